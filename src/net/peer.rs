//! The other end of an accepted connection, as the system tells it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tokio::net::unix::UCred;

/// The other end of an accepted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// A host and its port.
    Tcp(SocketAddr),
    /// A process at a unix socket, which is on this machine.
    Unix(Option<Process>),
}

/// A process as it was when it connected. It may have ended since, and its number be another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its user.
    pub uid: u32,
    /// Its number, where the system tells it.
    pub pid: Option<i32>,
}

impl PeerAddress {
    /// Its address in the network; none at a unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        // As IPv4 where it is, whatever family the socket has: one of systemd serves both.
        Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl From<UCred> for Process {
    fn from(credentials: UCred) -> Self {
        Self { uid: credentials.uid(), pid: credentials.pid() }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(None) => f.write_str("unix"),
            Self::Unix(Some(Process { uid, pid: None })) => write!(f, "unix:uid={uid}"),
            Self::Unix(Some(Process { uid, pid: Some(pid) })) => {
                write!(f, "unix:uid={uid},pid={pid}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_a_socket_for_both_families_is_told_as_what_it_is() {
        for (address, told) in [
            ("[::ffff:192.0.2.7]:50000", "192.0.2.7:50000"),
            ("192.0.2.7:50000", "192.0.2.7:50000"),
            ("[2001:db8::7]:50000", "[2001:db8::7]:50000"),
        ] {
            let peer = PeerAddress::from(address.parse::<SocketAddr>().unwrap());
            assert_eq!(peer.to_string(), told);
        }
    }
}
