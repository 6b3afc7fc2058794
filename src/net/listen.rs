//! Addresses to listen on.

use std::net::SocketAddr;

/// One entry of a listener's `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `localhost:P`: both loopback addresses.
    Localhost(u16),
    /// `127.0.0.1:P`, `[::]:P`: this one.
    Socket(SocketAddr),
}
