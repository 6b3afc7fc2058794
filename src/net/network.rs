//! What an address tells of whoever has it: who counts as one where shares are limited, and what is
//! this machine.

use std::net::{IpAddr, Ipv6Addr};

/// How many bits of an address of IPv6 count. The rest is chosen by whoever has the network (RFC
/// 4291 section 2.5.1).
const IPV6_NETWORK_BITS: u32 = 64;

/// What of `peer` tells it from others: an address of IPv4, a network of IPv6.
pub fn network_of(peer: IpAddr) -> IpAddr {
    // Mapped ones would all be in one network.
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let host_bits = u128::BITS - IPV6_NETWORK_BITS;
            Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits).into()
        }
    }
}

/// Whether `host` names this machine, by a loopback address, in brackets or not, or as `localhost`.
pub fn is_this_machine(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_the_first_half_of_ipv6_and_all_of_ipv4_however_it_is_written() {
        for (peer, network) in [
            ("2001:db8:1:2::1", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::1", "::"),
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(network_of(peer.parse().unwrap()), network.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn this_machine_is_loopback_however_it_is_written_and_localhost() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["localhost.example", "128.0.0.1", "0.0.0.0", "[::1", "::2", "[::2]", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
