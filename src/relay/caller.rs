//! Who calls: from where a client comes, as the rules of the file judge it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::account::password::Peer;
use crate::net::peer::PeerAddress;

/// From where a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// From the address that it connects from.
    Address(IpAddr),
    /// From the address that a load balancer announces, which is never this machine's.
    Announced(IpAddr),
    /// From a unix socket, so from this machine.
    UnixSocket,
}

impl Caller {
    /// Whoever is at the other end, if nobody speaks for another there.
    pub(crate) fn of(peer: PeerAddress) -> Self {
        peer.ip().map_or(Self::UnixSocket, Self::Address)
    }

    /// On which machine it is.
    pub(crate) fn peer(self) -> Peer {
        match self {
            Self::Address(address) => address.into(),
            Self::Announced(_) => Peer::Elsewhere,
            Self::UnixSocket => Peer::ThisMachine,
        }
    }

    /// The address that it counts for where shares are limited.
    pub(crate) fn counted_as(self) -> IpAddr {
        match self {
            Self::Address(address) | Self::Announced(address) => address,
            Self::UnixSocket => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl From<IpAddr> for Caller {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) | Self::Announced(address) => address.fmt(f),
            Self::UnixSocket => f.write_str("a unix socket"),
        }
    }
}
