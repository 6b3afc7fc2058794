//! Addresses to listen on, and listening on them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel keeps until they are accepted: room for a burst of clients that all
/// start together (Linux cuts it to net.core.somaxconn, 4,096 by default).
const BACKLOG: i32 = 4_096;

/// How often `localhost:0` tries to find one port that is free on both loopback addresses.
const LOCALHOST_TRIES: usize = 16;

/// One entry of a listener's `address`.
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

impl ListenAddress {
    /// Binds it. `localhost` gives one or two sockets, since a machine may lack IPv6.
    ///
    /// # Errors
    /// When the address is taken, not this machine's, or not permitted.
    pub fn bind(self) -> Result<Vec<TcpListener>, ListenError> {
        match self {
            Self::Socket(address) => Ok(vec![bind(address)?]),
            Self::Localhost(0) => {
                for _ in 1..LOCALHOST_TRIES {
                    if let Ok(listeners) = bind_localhost(0) {
                        return Ok(listeners);
                    }
                }
                bind_localhost(0)
            }
            Self::Localhost(port) => bind_localhost(port),
        }
    }
}

fn bind_localhost(port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let v4 = bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))?;
    let port = v4.local_addr().map_or(port, |address| address.port());
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
    match bind(v6) {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(error) if lacks_ipv6(&error.source) => Ok(vec![v4]),
        Err(error) => Err(error),
    }
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
        let listeners = ListenAddress::Localhost(0).bind().unwrap();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_with_what_to_do() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = ListenAddress::Socket(address).bind().unwrap_err().to_string();
        assert!(error.starts_with(&address.to_string()), "{error}");
        assert!(error.contains("another program has this port"), "{error}");
    }
}
