//! A bound socket of whatever kind, and the connections that it accepts.

use std::fmt;
use std::io::{self, IoSlice, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::unix::{OTHERS_WRITE, SocketFile};
use crate::net::peer::PeerAddress;

/// How long a connection is silent before the system asks whether the other side is there.
///
/// Less than the 4 minutes after which Azure's load balancer forgets a connection, and the 350 s of
/// Amazon's (their documentation of idle timeouts): IDLE is silent for 29 minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(180);

/// A bound socket.
#[derive(Debug)]
pub enum ListenSocket {
    /// Of TCP, and where its connections have their options from.
    Tcp(TcpListener, TcpOptions),
    /// A unix socket. Its file goes with it, where this process has made it; and before it, or a
    /// process that finds the socket dead would have put its own there by then.
    Unix(Option<SocketFile>, UnixListener),
}

/// Where a connection has from what a mail session wants of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpOptions {
    /// From its listener, which had them before it listened. That spares the system calls.
    OfListener,
    /// They are set when it is accepted.
    AtAccept,
}

/// Where a socket is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundAddress {
    /// An address and the real port.
    Tcp(SocketAddr),
    /// A path; none for a socket that was passed without one.
    Unix(Option<PathBuf>),
}

impl BoundAddress {
    /// Its address in the network; none of a unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether it is a unix socket at which every user of this machine may connect (unix(7): who may
    /// write at its path, and anybody where it is abstract).
    pub fn is_for_everybody(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Unix(None) => true,
            Self::Unix(Some(path)) => {
                path.metadata().is_ok_and(|found| found.permissions().mode() & OTHERS_WRITE != 0)
            }
        }
    }

    /// Whether none but this machine reaches it.
    pub fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

impl ListenSocket {
    /// Waits for the next connection.
    ///
    /// # Errors
    /// What accept(2) gives.
    pub async fn accept(&self) -> io::Result<(ClientSocket, PeerAddress)> {
        match self {
            Self::Tcp(listener, options) => {
                let (stream, peer) = listener.accept().await?;
                if *options == TcpOptions::AtAccept {
                    set_options(&SockRef::from(&stream));
                }
                Ok((ClientSocket::Tcp(stream), peer.into()))
            }
            Self::Unix(_, listener) => {
                let (stream, _) = listener.accept().await?;
                let process = stream.peer_cred().ok().map(Into::into);
                Ok((ClientSocket::Unix(stream), PeerAddress::Unix(process)))
            }
        }
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// What getsockname(2) gives.
    pub fn address(&self) -> io::Result<BoundAddress> {
        Ok(match self {
            Self::Tcp(listener, _) => BoundAddress::Tcp(listener.local_addr()?),
            Self::Unix(_, listener) => {
                BoundAddress::Unix(listener.local_addr()?.as_pathname().map(Into::into))
            }
        })
    }
}

impl From<TcpListener> for ListenSocket {
    /// Takes one that this process has bound ([`super::ListenAddress::bind`]), with its options set.
    /// Linux copies them to each connection when its handshake ends (`tcp_create_openreq_child`); of
    /// other systems that is not taken for granted.
    fn from(listener: TcpListener) -> Self {
        let is_copied = cfg!(target_os = "linux");
        let options = if is_copied { TcpOptions::OfListener } else { TcpOptions::AtAccept };
        Self::Tcp(listener, options)
    }
}

/// Sets what a mail session wants of TCP. Where the system refuses that, it goes on without.
pub(super) fn set_options(socket: &SockRef<'_>) {
    // Each reply leaves at once; a delayed acknowledgement would cost 40 ms.
    socket.set_tcp_nodelay(true).ok();
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER)).ok();
}

/// An accepted connection.
#[derive(Debug)]
pub enum ClientSocket {
    /// Of TCP.
    Tcp(TcpStream),
    /// At a unix socket.
    Unix(UnixStream),
}

impl ClientSocket {
    /// Says `last_words` as far as that goes without waiting, and closes.
    pub fn dismiss(self, last_words: &[u8]) {
        // The send buffer of a new connection is empty; if this fails all the same, so be it.
        let _ = match self {
            Self::Tcp(stream) => stream.into_std().and_then(|mut it| it.write(last_words)),
            Self::Unix(stream) => stream.into_std().and_then(|mut it| it.write(last_words)),
        };
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        asked: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, asked),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, asked),
        }
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listen::ListenAddress;

    #[tokio::test]
    async fn an_accepted_connection_sends_at_once_and_is_looked_after_while_it_is_silent() {
        let any_port = ListenAddress::Socket("127.0.0.1:0".parse().unwrap());
        let listener = any_port.bind(&[]).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        // Its handshake ends as soon as there is a listener.
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = ListenSocket::from(listener).accept().await.unwrap();
        let ClientSocket::Tcp(stream) = accepted else { panic!("TCP was asked for") };
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        assert_eq!(SockRef::from(&stream).tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
    }
}
