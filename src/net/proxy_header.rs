//! The header of the PROXY protocol, by which a load balancer announces the client that it forwards.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (haproxy's doc/proxy-protocol.txt), sections 2.1 and
//!         2.2.
//! In:     the header alone. The byte behind it, be it TLS' or the protocol's, stays in the stream.
//! Waits:  [`HEADER_TIMEOUT`] in all.
//! Limits: `V1_LEN_MAX` and `V2_LEN_MAX`; no more is ever asked of the stream.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{self, FromStr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

/// How long the whole header may take. A balancer sends it at once, and section 2 advises at least
/// 3 seconds, for one packet that is lost on the way.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest header of version 1, in bytes with its CRLF (section 2.1).
const V1_LEN_MAX: usize = 107;

/// Shortest header of version 1: `PROXY UNKNOWN` and CRLF.
const V1_LEN_MIN: usize = 15;

/// What version 1 begins with.
const V1_PREFIX: &[u8] = b"PROXY ";

/// Longest header of version 2, in bytes. Addresses take 216 at most; what else balancers add, such
/// as a certificate's name, fits in the rest.
const V2_LEN_MAX: usize = 4_096;

/// What version 2 begins with (section 2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What stands before the addresses of version 2: signature, version and command, family, length.
const V2_FIXED_LEN: usize = 16;

/// Addresses and ports of a connection between unix sockets, in bytes (section 2.2).
const V2_UNIX_LEN: usize = 216;

/// Whom a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// The client at this address.
    Client(SocketAddr),
    /// Nobody: the balancer speaks for itself (LOCAL), or does not know for whom (UNKNOWN).
    Nobody,
}

/// Why there is no header to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It left without a byte, as a probe does that only connects.
    #[error("the connection was closed before a PROXY header had come")]
    Left,
    /// It left in the midst of the header.
    #[error("the connection was closed in the midst of a PROXY header")]
    BrokenOff,
    /// It did not come in time.
    #[error("no whole PROXY header came within {} s", HEADER_TIMEOUT.as_secs())]
    TimedOut,
    /// It begins with something else.
    #[error("it begins with something else than a PROXY header")]
    Missing,
    /// It is longer than any of its version.
    #[error("its PROXY header is longer than {len_max} bytes")]
    TooLong {
        /// The most, in bytes.
        len_max: usize,
    },
    /// It is none of its version.
    #[error("its PROXY header cannot be read: {problem}")]
    Malformed {
        /// What is wrong, in a clause.
        problem: &'static str,
    },
    /// It announces an address that no client on another machine has.
    #[error("its PROXY header announces {address}, which is no client's address")]
    NoClient {
        /// The address.
        address: IpAddr,
    },
}

/// Whether `bytes`, with which a connection begins, are a header's beginning.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(V1_PREFIX) || bytes.starts_with(V2_SIGNATURE)
}

/// Reads the header with which `stream` begins, and nothing behind it.
///
/// # Errors
/// When there is none within [`HEADER_TIMEOUT`]; the connection is only good to be closed then.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Announced, HeaderError> {
    match timeout(HEADER_TIMEOUT, receive(stream)).await {
        Ok(header) => parse(&header?),
        Err(_) => Err(HeaderError::TimedOut),
    }
}

/// Takes one whole header from `stream`.
async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, HeaderError> {
    let mut header = Vec::with_capacity(V1_LEN_MAX);
    loop {
        let missing = missing(&header)?;
        if missing == 0 {
            return Ok(header);
        }
        let limit = u64::try_from(missing).unwrap_or(u64::MAX);
        match (&mut *stream).take(limit).read_buf(&mut header).await {
            Ok(1..) => {}
            Ok(0) | Err(_) if header.is_empty() => return Err(HeaderError::Left),
            Ok(0) | Err(_) => return Err(HeaderError::BrokenOff),
        }
    }
}

/// How many bytes are missing at least behind `start`, the beginning of a header; 0 if it is whole.
fn missing(start: &[u8]) -> Result<usize, HeaderError> {
    if is_start_of(V2_SIGNATURE, start) && !start.is_empty() {
        let Some((_, [high, low])) = start.first_chunk::<V2_FIXED_LEN>().and_then(|fixed| {
            let (before, len) = fixed.split_last_chunk::<2>()?;
            Some((before, *len))
        }) else {
            return Ok(V2_FIXED_LEN.saturating_sub(start.len()));
        };
        let len = V2_FIXED_LEN + usize::from(u16::from_be_bytes([high, low]));
        if len > V2_LEN_MAX {
            return Err(HeaderError::TooLong { len_max: V2_LEN_MAX });
        }
        return Ok(len.saturating_sub(start.len()));
    }
    if !is_start_of(V1_PREFIX, start) {
        return Err(HeaderError::Missing);
    }
    let missing = match start {
        [.., b'\r', b'\n'] => return Ok(0),
        _ if start.len() < V1_LEN_MIN => V1_LEN_MIN - start.len(),
        [.., b'\r'] => 1,
        _ => 2,
    };
    if start.len() + missing > V1_LEN_MAX {
        return Err(HeaderError::TooLong { len_max: V1_LEN_MAX });
    }
    Ok(missing)
}

/// Whether `start` is a beginning of what begins with `prefix`.
fn is_start_of(prefix: &[u8], start: &[u8]) -> bool {
    start.iter().zip(prefix).all(|(one, other)| one == other)
}

/// Whom a whole header announces.
fn parse(header: &[u8]) -> Result<Announced, HeaderError> {
    let announced = match header.strip_prefix(V2_SIGNATURE) {
        Some(rest) => parse_v2(rest),
        None => parse_v1(header),
    };
    match announced.map_err(|problem| HeaderError::Malformed { problem })? {
        Announced::Client(client) => {
            let address = client.ip().to_canonical();
            if is_clients(address) {
                Ok(Announced::Client(SocketAddr::new(address, client.port())))
            } else {
                Err(HeaderError::NoClient { address })
            }
        }
        Announced::Nobody => Ok(Announced::Nobody),
    }
}

/// Whether a client on another machine can have that address.
fn is_clients(address: IpAddr) -> bool {
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address == IpAddr::V4(Ipv4Addr::BROADCAST))
}

fn parse_v1(header: &[u8]) -> Result<Announced, &'static str> {
    let line = str::from_utf8(header).map_err(|_| "it is no text")?;
    let line = line.strip_suffix("\r\n").ok_or("its line has no end")?;
    let mut words = line.split(' ').skip(1);
    let announced = match words.next() {
        // Whatever else it says is to be ignored (section 2.1).
        Some("UNKNOWN") => return Ok(Announced::Nobody),
        Some("TCP4") => v1_client::<Ipv4Addr>(&mut words)?,
        Some("TCP6") => v1_client::<Ipv6Addr>(&mut words)?,
        Some(_) | None => return Err("it names no protocol that is known"),
    };
    match words.next() {
        None => Ok(announced),
        Some(_) => Err("more stands behind the ports"),
    }
}

/// Takes source and destination; their addresses are of one family.
fn v1_client<'a, A: FromStr + Into<IpAddr>>(
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<Announced, &'static str> {
    let mut address = || words.next().and_then(|word| word.parse::<A>().ok());
    let (source, destination) = (address(), address());
    let mut port = || words.next().and_then(v1_port);
    let (source_port, destination_port) = (port(), port());
    match (source, destination) {
        (Some(source), Some(_)) => match (source_port, destination_port) {
            (Some(port), Some(_)) => Ok(Announced::Client(SocketAddr::new(source.into(), port))),
            (Some(_) | None, _) => Err("a port is none"),
        },
        (Some(_) | None, _) => Err("an address is none of its family"),
    }
}

/// A port in decimal digits, without leading zeros (section 2.1).
fn v1_port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| is_plain && !has_zeros)
}

/// `rest` is what stands behind the signature.
fn parse_v2(rest: &[u8]) -> Result<Announced, &'static str> {
    let [version_and_command, family, _, _, addresses @ ..] = rest else {
        return Err("it is too short");
    };
    match version_and_command {
        // Whatever else it says is to be ignored (section 2.2).
        0x20 => return Ok(Announced::Nobody),
        0x21 => {}
        0x22..=0x2f => return Err("its command is neither LOCAL nor PROXY"),
        _ => return Err("its version is not 2"),
    }
    // What stands behind the addresses are additions (TLV), which decide nothing here.
    let too_short = "its addresses are cut short";
    match family {
        0x00 => Ok(Announced::Nobody),
        0x11 => {
            let block: &[u8; 12] = addresses.first_chunk().ok_or(too_short)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *block;
            let port = u16::from_be_bytes([high, low]);
            Ok(Announced::Client(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)))
        }
        0x21 => {
            let (source, rest) = addresses.split_first_chunk::<16>().ok_or(too_short)?;
            let (_destination, ports) = rest.split_first_chunk::<16>().ok_or(too_short)?;
            let [high, low, _, _] = *ports.first_chunk::<4>().ok_or(too_short)?;
            let port = u16::from_be_bytes([high, low]);
            Ok(Announced::Client(SocketAddr::new(Ipv6Addr::from(*source).into(), port)))
        }
        // A client at a unix socket of the balancer has no address that rules could judge.
        0x31 if addresses.len() >= V2_UNIX_LEN => Ok(Announced::Nobody),
        0x31 => Err(too_short),
        0x12 | 0x22 | 0x32 => Err("it announces datagrams"),
        _ => Err("its family is none that is known"),
    }
}
