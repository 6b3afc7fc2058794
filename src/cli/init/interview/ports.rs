//! Which ports are proposed: those that programs expect, as far as they may be had.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use ipnet::IpNet;

use crate::cli::tell;
use crate::provider::Protocol;

/// The page's port, where it is free.
const PAGE_PORT: u16 = 8587;

/// From a port that is taken to the next one that is looked at, and at how many: 1587 to 7587, so
/// that no listener comes to the page's.
const STEP: u16 = 1000;
const LOOKED_AT: u16 = 7;

/// Which hosts are listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    /// This machine's own, by name.
    Localhost,
    /// This machine's own of IPv4.
    LoopbackV4,
    /// All of the families that the devices have.
    All { v4: bool, v6: bool },
}

impl Hosts {
    pub(super) fn of(devices: &[IpNet]) -> Self {
        Self::All {
            v4: devices.iter().any(|it| it.addr().is_ipv4()),
            v6: devices.iter().any(|it| it.addr().is_ipv6()),
        }
    }

    fn names(self) -> Vec<&'static str> {
        match self {
            Self::Localhost => vec!["localhost"],
            Self::LoopbackV4 => vec!["127.0.0.1"],
            Self::All { v4, v6 } => {
                let names = [(v4, "0.0.0.0"), (v6, "[::]")];
                names.into_iter().filter(|(is_one, _)| *is_one).map(|(_, name)| name).collect()
            }
        }
    }

    /// Whether nobody listens at `port` of any of them.
    fn are_free(self, port: u16) -> bool {
        let (v4, v6) = match self {
            Self::Localhost => (Some(Ipv4Addr::LOCALHOST), Some(Ipv6Addr::LOCALHOST)),
            Self::LoopbackV4 => (Some(Ipv4Addr::LOCALHOST), None),
            Self::All { v4, v6 } => {
                (v4.then_some(Ipv4Addr::UNSPECIFIED), v6.then_some(Ipv6Addr::UNSPECIFIED))
            }
        };
        let mut hosts = v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6));
        hosts.all(|host| match TcpListener::bind((host, port)) {
            Ok(_) => true,
            // A machine without IPv6 listens where it can.
            Err(error) => error.kind() == io::ErrorKind::AddrNotAvailable,
        })
    }
}

/// Which ports are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ports {
    /// Those that programs expect, as far as they are free.
    Expected,
    /// Those that need no privilege.
    Unprivileged,
}

/// Who may have a port without a privilege that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The relay that runs with the file, or with one that it takes the place of.
    ByItself,
    /// Somebody else: the file is new.
    ByOthers,
}

/// Where `protocol` is usually served.
pub(super) fn usual_addresses(
    protocol: Protocol,
    hosts: Hosts,
    ports: Ports,
    taken: Taken,
) -> Vec<String> {
    let (expected, unprivileged) = match protocol {
        Protocol::Submission => (587, 1587),
        Protocol::Imap => (143, 1143),
        Protocol::Pop3 => (110, 1110),
    };
    let is_free = |port| hosts.are_free(port);
    // Whatever has it, a mail server mostly, is there to stay.
    let port = if ports == Ports::Expected && is_free(expected) {
        expected
    } else {
        told(protocol.name(), unprivileged, free(unprivileged, taken, is_free))
    };
    hosts.names().into_iter().map(|host| format!("{host}:{port}")).collect()
}

/// Where the page usually is.
pub(super) fn usual_page(taken: Taken) -> String {
    let is_free = |port| Hosts::LoopbackV4.are_free(port);
    let port = told("the page", PAGE_PORT, free(PAGE_PORT, taken, is_free));
    let hosts = Hosts::LoopbackV4.names();
    hosts.into_iter().map(|host| format!("{host}:{port}")).collect()
}

/// `port`, or the first behind it that is free. If none is, the file can be changed.
fn free(port: u16, taken: Taken, is_free: impl Fn(u16) -> bool) -> u16 {
    if taken == Taken::ByItself {
        return port;
    }
    let mut all = (0..LOOKED_AT).filter_map(|nth| port.checked_add(nth.checked_mul(STEP)?));
    all.find(|port| is_free(*port)).unwrap_or(port)
}

/// Tells that `what` is at `chosen` and not at `usual`, where that is so.
fn told(what: &str, usual: u16, chosen: u16) -> u16 {
    if chosen != usual {
        tell(format_args!("port {usual} is taken on this machine, so {what} gets {chosen}"));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_file_gets_the_first_port_that_nobody_has() {
        for (taken, expected) in [
            (&[][..], 1587),
            (&[1587], 2587),
            (&[1587, 2587, 4587], 3587),
            (&[587, 2587], 1587),
            (&[1587, 2587, 3587, 4587, 5587, 6587], 7587),
            // Never the page's.
            (&[1587, 2587, 3587, 4587, 5587, 6587, 7587], 1587),
        ] {
            assert_eq!(free(1587, Taken::ByOthers, |port| !taken.contains(&port)), expected);
            // The file's own relay has it, and keeps it.
            assert_eq!(free(1587, Taken::ByItself, |port| !taken.contains(&port)), 1587);
        }
    }

    #[test]
    fn port_is_free_where_nobody_listens_at_either_loopback() {
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        // A machine without IPv6 has one of the two.
        for taken in [v4, v6].into_iter().flatten() {
            let port = taken.local_addr().unwrap().port();
            assert!(!Hosts::Localhost.are_free(port), "{taken:?}");
            assert_eq!(Hosts::Localhost.names(), ["localhost"]);
        }
    }

    #[test]
    fn page_is_moved_from_the_loopback_of_ipv4_alone() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!Hosts::LoopbackV4.are_free(taken.local_addr().unwrap().port()));
        assert_eq!(usual_page(Taken::ByItself), "127.0.0.1:8587");
    }

    #[test]
    fn devices_are_reached_by_every_family_that_they_have() {
        for (devices, hosts) in [
            (&["10.1.0.0/24"][..], &["0.0.0.0"][..]),
            (&["2001:db8::/64"], &["[::]"]),
            (&["2001:db8::1/128", "10.1.0.1/32"], &["0.0.0.0", "[::]"]),
        ] {
            let devices: Vec<IpNet> = devices.iter().map(|it| it.parse().unwrap()).collect();
            assert_eq!(Hosts::of(&devices).names(), hosts);
        }
    }
}
