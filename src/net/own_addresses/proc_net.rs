//! What Linux writes about the network of this process: `/proc/self/net/route`, `ipv6_route` and
//! `if_inet6`. Their forms are fixed; what has another one is an error, for a gateway that is
//! overlooked would be taken for a client.
//!
//! Source: proc(5), and the kernel's `fib_route_seq_show` (net/ipv4/fib_trie.c),
//! `ipv6_route_native_seq_show` (net/ipv6/ip6_fib.c) and `if6_seq_show` (net/ipv6/addrconf.c).
//! Routes of policy tables are not in them, and of an IPv4 route with several gateways the first.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::{Links, OwnAddressesError};

/// The route leads over a gateway (`RTF_GATEWAY`, linux/route.h).
const FLAG_GATEWAY: u32 = 0x0002;
/// The route leads nowhere: `!` in route(8) (`RTF_REJECT`, linux/route.h).
const FLAG_REJECT: u32 = 0x0200;

/// Reads own addresses and gateways.
pub(super) fn read() -> Result<Links, OwnAddressesError> {
    let mut gateways = Vec::new();
    // Its first line names the columns.
    each_line("/proc/self/net/route", 1, |line| {
        gateways.extend(gateway_of(line)?.map(IpAddr::from));
        Some(())
    })?;
    // The kernel writes these two only where it has IPv6.
    let mut own = Vec::new();
    if Path::new(IPV6_ADDRESSES).exists() {
        each_line(IPV6_ADDRESSES, 0, |line| {
            own.push(ipv6_own(line)?);
            Some(())
        })?;
        each_line("/proc/self/net/ipv6_route", 0, |line| {
            gateways.extend(ipv6_gateway_of(line)?.map(IpAddr::from));
            Some(())
        })?;
    }
    Ok(Links { own, gateways })
}

const IPV6_ADDRESSES: &str = "/proc/self/net/if_inet6";

/// Gives `take` each line of `file` but the first `skipped`. A machine may have a million routes,
/// so they are not held together.
fn each_line(
    file: &'static str,
    skipped: usize,
    mut take: impl FnMut(&str) -> Option<()>,
) -> Result<(), OwnAddressesError> {
    let read = |source| OwnAddressesError::Read { file, source };
    for line in BufReader::new(File::open(file).map_err(read)?).lines().skip(skipped) {
        let line = line.map_err(read)?;
        take(&line).ok_or_else(|| read(io::ErrorKind::InvalidData.into()))?;
    }
    Ok(())
}

/// The gateway of an IPv4 route if that is a default one. The outer `None`: it is no such line.
///
/// `Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT`, addresses as the hex
/// of a number that holds the bytes as they are sent.
fn gateway_of(line: &str) -> Option<Option<Ipv4Addr>> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let destination = hex_u32(fields.next()?, 8)?;
    let gateway = hex_u32(fields.next()?, 8)?;
    let flags = hex_u32(fields.next()?, 4)?;
    let mask = hex_u32(fields.nth(3)?, 8)?;
    let is_default = destination == 0 && mask == 0 && leads_over_a_gateway(flags);
    let gateway = Ipv4Addr::from(gateway.to_ne_bytes());
    Some(Some(gateway).filter(|gateway| is_default && !gateway.is_unspecified()))
}

/// The same of an IPv6 route.
///
/// Destination, its prefix length, source, its prefix length, gateway, metric, two counters, flags
/// and interface, all in hex. That a default route is for some sources only makes no difference.
fn ipv6_gateway_of(line: &str) -> Option<Option<Ipv6Addr>> {
    let mut fields = line.split_ascii_whitespace();
    let destination = hex_u128(fields.next()?)?;
    let prefix_len = hex_u32(fields.next()?, 2)?;
    let gateway = Ipv6Addr::from_bits(hex_u128(fields.nth(2)?)?);
    let flags = hex_u32(fields.nth(3)?, 8)?;
    fields.next()?;
    let is_default = destination == 0 && prefix_len == 0 && leads_over_a_gateway(flags);
    Some(Some(gateway).filter(|gateway| is_default && !gateway.is_unspecified()))
}

/// The address of `if_inet6`: `address index prefix-length scope flags interface`.
fn ipv6_own(line: &str) -> Option<Ipv6Addr> {
    let mut fields = line.split_ascii_whitespace();
    let address = hex_u128(fields.next()?)?;
    fields.nth(4)?;
    Some(Ipv6Addr::from_bits(address))
}

fn leads_over_a_gateway(flags: u32) -> bool {
    flags & FLAG_GATEWAY != 0 && flags & FLAG_REJECT == 0
}

fn hex_u32(field: &str, digits: usize) -> Option<u32> {
    is_hex(field, digits).then(|| u32::from_str_radix(field, 16).ok()).flatten()
}

fn hex_u128(field: &str) -> Option<u128> {
    is_hex(field, 32).then(|| u128::from_str_radix(field, 16).ok()).flatten()
}

/// `from_str_radix` would take a sign.
fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The samples are of machines that send the last byte of a number first.
    #[cfg(target_endian = "little")]
    #[test]
    fn gateway_is_that_of_a_default_route_of_ipv4_alone() {
        for (line, expected) in [
            // In a container of Docker: the default route, then the bridge's network.
            ("eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0", Some("172.17.0.1")),
            ("eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0", None),
            // A laptop with cable and radio has two.
            ("enp3s0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0", Some("192.168.1.1")),
            ("wlp4s0 00000000 FE01A8C0 0003 0 0 600 00000000 0 0 0", Some("192.168.1.254")),
            // A default route that leads to a link (PPP), one that leads nowhere, and one that
            // leads over a gateway of IPv6, which is written as none.
            ("ppp0 00000000 00000000 0001 0 0 0 00000000 0 0 0", None),
            ("* 00000000 00000000 0200 0 0 0 00000000 0 0 0", None),
            ("eth0 00000000 0101A8C0 0203 0 0 0 00000000 0 0 0", None),
            ("eth0 00000000 00000000 0003 0 0 0 00000000 0 0 0", None),
            // A gateway to a network, to one machine, and to half of everything (a VPN).
            ("eth0 0000000A 0101A8C0 0003 0 0 0 000000FF 0 0 0", None),
            ("eth0 05060708 0101A8C0 0007 0 0 0 FFFFFFFF 0 0 0", None),
            ("tun0 00000000 0100080A 0003 0 0 0 00000080 0 0 0", None),
        ] {
            let gateway = gateway_of(line).expect(line);
            assert_eq!(gateway, expected.map(|address| address.parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn gateway_is_that_of_a_default_route_of_ipv6_alone() {
        const ANY: &str = "00000000000000000000000000000000";
        const NET: &str = "20010db8000000000000000000000000";
        const LINK: &str = "fe800000000000000000000000000000";
        const ROUTER: &str = "fe800000000000000000000000000001";
        for (route, flags, expected) in [
            // By router advertisement, written down, and for some sources only.
            (format!("{ANY} 00 {ANY} 00 {ROUTER}"), "00450003", Some("fe80::1")),
            (format!("{ANY} 00 {ANY} 00 {NET}"), "00000003", Some("2001:db8::")),
            (format!("{ANY} 00 {NET} 20 {ROUTER}"), "00000003", Some("fe80::1")),
            // What every machine has at the end: everything else leads nowhere.
            (format!("{ANY} 00 {ANY} 00 {ANY}"), "00200200", None),
            (format!("{ANY} 00 {ANY} 00 {ROUTER}"), "00000203", None),
            // A default route that leads to a link; one that says it has a gateway, and has none.
            (format!("{ANY} 00 {ANY} 00 {ANY}"), "00000001", None),
            (format!("{ANY} 00 {ANY} 00 {ANY}"), "00000003", None),
            // A gateway to a network and to half of everything, and a link's own network.
            (format!("{NET} 20 {ANY} 00 {ROUTER}"), "00000003", None),
            (format!("{ANY} 01 {ANY} 00 {ROUTER}"), "00000003", None),
            (format!("{LINK} 40 {ANY} 00 {ANY}"), "00000001", None),
        ] {
            let line = format!("{route} 00000400 00000003 00000000 {flags}     eth0");
            let gateway = ipv6_gateway_of(&line).expect(&line);
            assert_eq!(gateway, expected.map(|address| address.parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn own_address_of_ipv6_is_read_with_those_of_one_link() {
        for (line, expected) in [
            ("00000000000000000000000000000001 01 80 10 80       lo", "::1"),
            ("fe800000000000000042acfffe110002 1f 40 20 80     eth0", "fe80::42:acff:fe11:2"),
            ("20010db8000000000000000000000002 02 40 00 80     eth0", "2001:db8::2"),
        ] {
            assert_eq!(ipv6_own(line), Some(expected.parse().unwrap()), "{line}");
        }
    }

    #[test]
    fn line_of_another_form_is_refused() {
        for line in [
            "",
            "eth0",
            "eth0 00000000 010011AC 0003 0 0 0",
            "eth0 00000000 010011AC 0003 0 0 0 0",
            "eth0 0000000 010011AC 0003 0 0 0 00000000 0 0 0",
            "eth0 00000000 +10011AC 0003 0 0 0 00000000 0 0 0",
            "eth0 00000000 172.17.0.1 0003 0 0 0 00000000 0 0 0",
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT",
        ] {
            assert_eq!(gateway_of(line), None, "{line}");
            assert_eq!(ipv6_gateway_of(line), None, "{line}");
            assert_eq!(ipv6_own(line), None, "{line}");
        }
        let v6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                  fe800000000000000000000000000001 00000400 00000003 00000000 00000003";
        assert_eq!(ipv6_gateway_of(v6), None, "its interface is missing");
        assert_eq!(ipv6_own("00000000000000000000000000000001 01 80 10 80"), None);
    }
}
