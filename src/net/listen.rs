//! Addresses to listen on, and listening on them.

pub mod inherited;
pub mod socket;
pub mod unix;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpListener;

use self::socket::set_options;

/// Connections that the kernel keeps until they are accepted: room for a burst of clients that all
/// start together (Linux cuts it to net.core.somaxconn, 4,096 by default).
const BACKLOG: i32 = 4_096;

/// How often `localhost:0` tries to find one port that is free on both loopback addresses.
const LOCALHOST_TRIES: usize = 16;

/// The addresses of `localhost`.
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// One entry of a listener's `address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// An address of this machine.
    Tcp(ListenAddress),
    /// `unix:PATH`: a socket that is made there.
    Unix(PathBuf),
    /// `systemd:NAME`: the sockets that systemd passes under that name.
    Systemd(String),
}

impl Door {
    /// Its address in the network, as far as the file tells it.
    pub fn tcp(&self) -> Option<ListenAddress> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Systemd(_) => None,
        }
    }
}

/// An address of this machine to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `localhost:P`: both loopback addresses. With port 0 both get the same free port.
    Localhost(u16),
    /// `127.0.0.1:P`, `[::]:P`: this one.
    Socket(SocketAddr),
}

/// Why nothing could be bound at an address.
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be listened on ({source}): {}", hint(.source))]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl ListenError {
    /// Whether somebody listens there already.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl ListenAddress {
    /// Binds it, but for the addresses `held` by this process already. `localhost` gives up to two
    /// sockets, since a machine may lack IPv6.
    ///
    /// # Errors
    /// When the address is taken, not this machine's, or not permitted.
    pub fn bind(self, held: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
        match self {
            Self::Socket(address) if held.contains(&address) => Ok(Vec::new()),
            Self::Socket(address) => Ok(vec![bind(address)?]),
            Self::Localhost(0) => {
                for _ in 1..LOCALHOST_TRIES {
                    if let Ok(listeners) = bind_localhost(0, &[]) {
                        return Ok(listeners);
                    }
                }
                bind_localhost(0, &[])
            }
            Self::Localhost(port) => bind_localhost(port, held),
        }
    }

    /// Whether it is `address`, or has it among its two. Never with port 0, which is any.
    pub fn is_at(self, address: SocketAddr) -> bool {
        match self {
            Self::Socket(socket) => socket == address && socket.port() != 0,
            Self::Localhost(port) => {
                port != 0 && LOCALHOST.map(|ip| SocketAddr::new(ip, port)).contains(&address)
            }
        }
    }

    /// Its port; 0 is any that is free.
    pub fn port(self) -> u16 {
        match self {
            Self::Localhost(port) => port,
            Self::Socket(address) => address.port(),
        }
    }
}

fn bind_localhost(port: u16, held: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let [v4, v6] = LOCALHOST;
    let mut listeners = Vec::new();
    let v4 = SocketAddr::new(v4, port);
    if !held.contains(&v4) {
        listeners.push(bind(v4)?);
    }
    let bound = listeners.first().and_then(|v4| v4.local_addr().ok());
    let v6 = SocketAddr::new(v6, bound.map_or(port, |address| address.port()));
    if !held.contains(&v6) {
        match bind(v6) {
            Ok(v6) => listeners.push(v6),
            Err(error) if lacks_ipv6(&error.source) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let attempt = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the old sessions' TIME_WAIT to pass.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // `[::]` beside `0.0.0.0` must not collide, whatever net.ipv6.bindv6only says.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Before the first connection, which has them from here.
        set_options(&SockRef::from(&socket));
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    attempt().map_err(|source| ListenError { address, source })
}

fn lacks_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list of kinds grows")]
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port; stop it or choose another `address`"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege; choose one above, or give CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; correct `address`",
        _ => "correct `address`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_gives_one_port_on_both_loopbacks() {
        let listeners = ListenAddress::Localhost(0).bind(&[]).unwrap();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = ListenAddress::Socket(address).bind(&[]).unwrap_err().to_string();
        assert!(error.starts_with(&address.to_string()), "{error}");
        assert!(error.contains("another program has this port"), "{error}");
    }

    #[tokio::test]
    async fn addresses_that_are_held_already_are_not_bound_again() {
        let v4 = ListenAddress::Socket("127.0.0.1:0".parse().unwrap()).bind(&[]).unwrap();
        let held = v4[0].local_addr().unwrap();
        let entry = ListenAddress::Localhost(held.port());
        assert!(entry.is_at(held) && ListenAddress::Socket(held).is_at(held));
        assert!(ListenAddress::Socket(held).bind(&[held]).unwrap().is_empty());
        let rest = entry.bind(&[held]).unwrap();
        assert!(rest.iter().all(|it| it.local_addr().unwrap().is_ipv6()), "{rest:?}");
        assert!(entry.bind(&[]).is_err(), "it is taken");
    }
}
