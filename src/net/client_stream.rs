//! A client's connection: in clear until TLS has begun, if it ever does.
//!
//! A session in clear owns nothing of TLS, and what TLS needs lies beside it, so that the two are of
//! one size while they wait.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::proxy_header;
use super::read_ahead::ReadAhead;
use crate::proto::printable;

/// The first byte of a client's TLS: a record of the handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// The bit that the first byte of SSL 2.0 has, in which clients of around 2005 still say hello (RFC
/// 5246 appendix E.2). No mail command begins with it.
const SSL2_BIT: u8 = 0x80;

/// Longest account of a failed handshake, in bytes.
const PROBLEM_LEN_MAX: usize = 300;

/// How long a client that left without a byte must have stayed to be one that awaited a greeting.
///
/// Probes of load balancers connect and leave at once; mail clients wait for tens of seconds.
const AWAITED_GREETING: Duration = Duration::from_secs(5);

/// A client's connection.
#[derive(Debug)]
pub enum ClientStream<S> {
    /// In clear.
    Clear(S),
    /// Under TLS.
    Tls(Box<TlsStream<ReadAhead<S>>>),
    /// Lost in a handshake that was broken off.
    Closed,
}

/// Why no TLS came about with a client.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It sent nothing: most likely it waits to be greeted in clear.
    #[error("the client sent nothing, as one that waits for a greeting in clear does")]
    Silent,
    /// It left at once without a byte.
    #[error("the client closed the connection before TLS had begun")]
    Left,
    /// It left in the midst of the handshake. Many clients that do not trust a certificate do so
    /// without an alert.
    #[error("the client closed the connection in the midst of the TLS handshake")]
    BrokenOff,
    /// It begins with a PROXY header.
    #[error("the client begins with a PROXY header where TLS is expected")]
    ProxyHeader,
    /// It speaks in clear.
    #[error("the client speaks in clear where TLS is expected")]
    Clear,
    /// It did not come to the end in time.
    #[error("the client did not finish the TLS handshake in time")]
    TimedOut,
    /// Its TLS is too old.
    #[error("the client speaks no TLS 1.2 or newer ({problem})")]
    Version {
        /// What told it.
        problem: String,
    },
    /// It has no cipher, group or signature in common with us.
    #[error("the client offers no cipher suite of today ({problem})")]
    Suite {
        /// What told it.
        problem: String,
    },
    /// It says that nobody whom it trusts has issued the certificate.
    #[error("the client does not trust the certificate ({problem})")]
    Untrusted {
        /// Its alert.
        problem: String,
    },
    /// It refuses the certificate; most clients do not say whether for its name or its issuer.
    #[error("the client refuses the certificate for its name or its issuer ({problem})")]
    Certificate {
        /// Its alert.
        problem: String,
    },
    /// It says that the certificate is not of this time.
    #[error("the client holds the certificate for ended ({problem})")]
    Ended {
        /// Its alert.
        problem: String,
    },
    /// Anything else.
    #[error("the TLS handshake failed ({problem})")]
    Other {
        /// What happened.
        problem: String,
    },
}

impl<S> ClientStream<S> {
    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ClientStream<S> {
    /// Does the handshake as the server, within `patience`. Nothing but TLS may have been received
    /// and not been read; whatever was, ends it.
    ///
    /// # Errors
    /// When it fails: the connection is only good to be closed. It is lost when it is broken off.
    pub async fn start_tls(
        &mut self,
        acceptor: TlsAcceptor,
        patience: Duration,
    ) -> Result<(), HandshakeError> {
        let Self::Clear(stream) = std::mem::replace(self, Self::Closed) else {
            return Err(HandshakeError::Other { problem: "TLS has begun already".to_owned() });
        };
        let started = Instant::now();
        let mut stream = ReadAhead::new(stream);
        let first = match timeout(patience, stream.first_byte()).await {
            Err(_) => Err(HandshakeError::Silent),
            Ok(Ok(Some(_))) if proxy_header::begins(stream.ahead()) => {
                Err(HandshakeError::ProxyHeader)
            }
            Ok(Ok(Some(byte))) => expect_hello(byte),
            Ok(Ok(None)) if started.elapsed() >= AWAITED_GREETING => Err(HandshakeError::Silent),
            Ok(Ok(None) | Err(_)) => Err(HandshakeError::Left),
        };
        if let Err(error) = first {
            *self = Self::Clear(stream.into_inner());
            return Err(error);
        }
        let accepting = acceptor.accept(stream).into_fallible();
        match timeout_at(started + patience, accepting).await {
            Ok(Ok(stream)) => {
                *self = Self::Tls(Box::new(stream));
                Ok(())
            }
            Ok(Err((error, stream))) => {
                *self = Self::Clear(stream.into_inner());
                Err(HandshakeError::of(&error))
            }
            Err(_) => Err(HandshakeError::TimedOut),
        }
    }
}

/// Whether TLS may begin with `byte`.
fn expect_hello(byte: u8) -> Result<(), HandshakeError> {
    match byte {
        HANDSHAKE_RECORD => Ok(()),
        byte if byte & SSL2_BIT != 0 => {
            Err(HandshakeError::Version { problem: "its hello is of SSL 2.0".to_owned() })
        }
        _ => Err(HandshakeError::Clear),
    }
}

impl HandshakeError {
    /// What `error` of the handshake means.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of errors grow")]
    fn of(error: &io::Error) -> Self {
        let problem = printable(error.to_string().as_bytes(), PROBLEM_LEN_MAX);
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => Self::of_tls(error, problem),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::BrokenOff,
                _ => Self::Other { problem },
            },
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the lists of rustls grow")]
    fn of_tls(error: &rustls::Error, problem: String) -> Self {
        use rustls::{AlertDescription as Alert, PeerIncompatible};
        match error {
            rustls::Error::PeerIncompatible(incompatible) => match incompatible {
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::SupportedVersionsExtensionRequired
                // Looked for before the version; clients before TLS 1.2 have none to send.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
                    Self::Version { problem }
                }
                _ => Self::Suite { problem },
            },
            rustls::Error::AlertReceived(alert) => match alert {
                Alert::ProtocolVersion | Alert::InsufficientSecurity => Self::Version { problem },
                // A signature that does not hold is most likely that of an authority made anew
                // under the name of the one that the client trusts.
                Alert::UnknownCA | Alert::DecryptError => Self::Untrusted { problem },
                Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnrecognisedName => {
                    Self::Certificate { problem }
                }
                Alert::CertificateExpired => Self::Ended { problem },
                Alert::HandshakeFailure => Self::Suite { problem },
                _ => Self::Other { problem },
            },
            _ => Self::Other { problem },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        asked: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, asked),
            Self::Tls(stream) => match ready!(Pin::new(stream).poll_read(cx, asked)) {
                // Many clients close TCP without TLS' close_notify; the mail protocols themselves
                // tell where a command or a message ends.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
            Self::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Closed => false,
        }
    }
}

#[cfg(test)]
mod tests;
