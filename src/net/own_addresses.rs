//! The addresses of this machine and of its default gateways.
//!
//! Where addresses are translated, clients from anywhere come from one of these: those of a
//! container from the gateway of its bridge (172.17.0.1 with Docker), those behind a proxy or a
//! port that is forwarded on this machine from its own address. Who trusts a network must not
//! trust these in passing.
//!
//! Addresses come and go while the program runs, so the system is asked each time. Whether an
//! address is this machine's is asked by binding a socket to it, which every system allows for its
//! own addresses alone; that knows ranges and secondary addresses, too. Gateways, and addresses of
//! IPv6 that hold on one link only, are read from `/proc` on Linux. On other systems they are not
//! known.

#[cfg(any(target_os = "linux", test))]
mod proc_net;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;

/// How long what was read is taken to hold. Long enough that a burst of sessions reads once.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Addresses that no machine has: the dummy address of RFC 7600 section 4.8, and one of those that
/// are there to be discarded (RFC 6666).
const NOBODYS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const NOBODYS_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1);

/// A socket that is told where it would send needs some port.
const ANY_PORT: u16 = 9;

/// Why an address is not simply a client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// It is one of this machine's; all loopback addresses are.
    ThisMachine,
    /// It is a default gateway.
    Gateway,
}

/// Why it could not be told whose an address is. It may be told later.
#[derive(Debug, thiserror::Error)]
pub enum OwnAddressesError {
    /// A file of `/proc` is not there, or not as Linux writes it.
    #[error("cannot read the network's {file}: have /proc mounted for this process")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No socket could be had.
    #[error("cannot open a socket to see whose an address is: raise the limit of open files")]
    Socket(#[source] io::Error),
}

/// The addresses of this machine and of its default gateways, as they are when asked.
#[derive(Debug, Default)]
pub struct OwnAddresses(Mutex<Option<Reading>>);

/// What was read, and when.
#[derive(Debug)]
struct Reading {
    at: Instant,
    links: Links,
}

/// What cannot be asked address by address.
#[derive(Debug, Default)]
struct Links {
    /// This machine's addresses of IPv6.
    own: Vec<Ipv6Addr>,
    gateways: Vec<IpAddr>,
}

impl OwnAddresses {
    /// What `address` is, if it is not simply a client's.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn what_is(&self, address: IpAddr) -> Result<Option<Own>, OwnAddressesError> {
        let address = address.to_canonical();
        if address.is_loopback() || is_local(address).map_err(OwnAddressesError::Socket)? {
            return Ok(Some(Own::ThisMachine));
        }
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = last.as_ref().filter(|reading| now < reading.at + READ_EVERY) {
            return Ok(reading.links.what_is(address));
        }
        let links = Links::read()?;
        let own = links.what_is(address);
        *last = Some(Reading { at: now, links });
        Ok(own)
    }
}

impl Links {
    #[cfg(target_os = "linux")]
    fn read() -> Result<Self, OwnAddressesError> {
        proc_net::read()
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, reason = "on Linux there is something to read")]
    fn read() -> Result<Self, OwnAddressesError> {
        Ok(Self::default())
    }

    fn what_is(&self, address: IpAddr) -> Option<Own> {
        if self.own.iter().any(|own| *own == address) {
            Some(Own::ThisMachine)
        } else if self.gateways.contains(&address) {
            Some(Own::Gateway)
        } else {
            None
        }
    }
}

/// Whether `address` is this machine's. Of those of IPv6 that hold on one link only it is not known:
/// they are bound together with their link.
fn is_local(address: IpAddr) -> io::Result<bool> {
    if !binds(address)? {
        return Ok(false);
    }
    // Where `ip_nonlocal_bind` is set, as machines that share an address have it, every address
    // binds. Then what says most is where the machine would speak to it from.
    let nobodys = match address {
        IpAddr::V4(_) => NOBODYS_V4.into(),
        IpAddr::V6(_) => NOBODYS_V6.into(),
    };
    Ok(!binds(nobodys)? || is_reached_from_itself(address))
}

/// Whether a socket can be bound to `address`. Nothing is sent.
fn binds(address: IpAddr) -> io::Result<bool> {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::ADDRNOTAVAIL | Errno::INVAL | Errno::AFNOSUPPORT) => Ok(false),
            _ => Err(error),
        },
    }
}

/// Whether this machine would speak to `address` from `address`. Nothing is sent.
fn is_reached_from_itself(address: IpAddr) -> bool {
    let any = match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Where there is no way to an address, it is not this machine's.
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, ANY_PORT))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn loopback_is_this_machine_however_it_is_written() {
        let addresses = OwnAddresses::default();
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(
                addresses.what_is(ip(address)).unwrap(),
                Some(Own::ThisMachine),
                "{address}"
            );
        }
    }

    #[test]
    fn address_of_nobody_is_neither_this_machine_nor_a_gateway() {
        let addresses = OwnAddresses::default();
        for address in [NOBODYS_V4.into(), NOBODYS_V6.into(), ip("::ffff:192.0.0.8")] {
            assert_eq!(addresses.what_is(address).unwrap(), None, "{address}");
        }
    }

    #[test]
    fn address_is_local_when_a_socket_binds_to_it() {
        assert!(is_local(ip("127.0.0.1")).unwrap());
        assert!(is_local(ip("127.9.9.9")).unwrap(), "a range is this machine's, too");
        assert!(!is_local(NOBODYS_V4.into()).unwrap());
        assert!(!is_local(ip("fe80::1234")).unwrap(), "it binds with its link alone");
    }

    #[test]
    fn address_is_known_by_where_it_is_reached_from_where_binding_says_nothing() {
        assert!(is_reached_from_itself(ip("127.0.0.1")));
        assert!(!is_reached_from_itself(NOBODYS_V4.into()));
        assert!(!is_reached_from_itself(NOBODYS_V6.into()));
    }

    #[test]
    fn links_tell_own_addresses_from_gateways_and_from_clients() {
        let links = Links {
            own: vec!["fe80::42:acff:fe11:2".parse().unwrap()],
            gateways: vec![ip("172.17.0.1"), ip("fe80::1")],
        };
        for (address, expected) in [
            ("fe80::42:acff:fe11:2", Some(Own::ThisMachine)),
            ("172.17.0.1", Some(Own::Gateway)),
            ("fe80::1", Some(Own::Gateway)),
            ("172.17.0.2", None),
            ("fe80::2", None),
        ] {
            assert_eq!(links.what_is(ip(address)), expected, "{address}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_linux_writes_now_is_understood_and_its_gateways_are_told() {
        let addresses = OwnAddresses::default();
        let links = Links::read().unwrap();
        for own in links.own {
            assert_eq!(addresses.what_is(own.into()).unwrap(), Some(Own::ThisMachine), "{own}");
        }
        for gateway in links.gateways {
            assert!(addresses.what_is(gateway).unwrap().is_some(), "{gateway}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_read_again_after_a_second() {
        let [client, gateway] = [NOBODYS_V4.into(), ip("198.51.100.77")];
        let links = Links { own: Vec::new(), gateways: vec![client, gateway] };
        let addresses = OwnAddresses(Mutex::new(Some(Reading { at: Instant::now(), links })));
        assert_eq!(addresses.what_is(client).unwrap(), Some(Own::Gateway));
        tokio::time::advance(READ_EVERY - Duration::from_millis(1)).await;
        assert_eq!(addresses.what_is(client).unwrap(), Some(Own::Gateway));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(addresses.what_is(client).unwrap(), None, "it is no gateway any more");
    }
}
