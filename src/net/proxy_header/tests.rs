//! Headers right, wrong and at the edge, in pieces of every size. The wire forms are those of
//! proxy-protocol.txt, sections 2.1 and 2.2.

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt as _, duplex};
use tokio::time::{Instant, sleep};

use super::*;

/// What may follow at once: the beginning of a TLS handshake.
const BEHIND: &[u8] = b"\x16\x03\x01\x02\x00\x01";

/// The examples of section 2.1, the last being the longest line that there is.
const V1: [(&str, Option<&str>); 6] = [
    ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Some("192.168.0.1:56324")),
    ("PROXY TCP4 255.255.255.254 255.255.255.255 65535 65535\r\n", Some("255.255.255.254:65535")),
    ("PROXY TCP6 2001:db8::1 2001:db8::2 0 25\r\n", Some("[2001:db8::1]:0")),
    ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", Some("192.0.2.1:1")),
    ("PROXY UNKNOWN\r\n", None),
    (
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
         ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        None,
    ),
];

fn v2(version_and_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    let fixed = [version_and_command, family, len[0], len[1]];
    [&V2_SIGNATURE[..], &fixed, block].concat()
}

/// Source 192.0.2.7:4660, destination 198.51.100.1:587.
const V4_BLOCK: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 2, 75];

fn v6_block() -> Vec<u8> {
    let [source, destination] =
        ["2001:db8::7", "2001:db8::1"].map(|address| address.parse::<Ipv6Addr>().unwrap().octets());
    [&source[..], &destination, &[0x12, 0x34, 2, 75]].concat()
}

fn client(address: &str) -> Announced {
    Announced::Client(address.parse().unwrap())
}

/// What comes of `sent`, and what is left in the stream then.
async fn sent(sent: &[u8]) -> (Result<Announced, HeaderError>, Vec<u8>) {
    let (mut far, mut near) = duplex(8_192);
    far.write_all(sent).await.unwrap();
    drop(far);
    let read = read(&mut near).await;
    let mut left = Vec::new();
    near.read_to_end(&mut left).await.unwrap();
    (read, left)
}

async fn problem(header: &[u8]) -> HeaderError {
    sent(header).await.0.unwrap_err()
}

/// Every header that is right, and whom it announces.
fn right() -> Vec<(Vec<u8>, Announced)> {
    let mut all: Vec<_> = V1
        .iter()
        .map(|(line, address)| {
            (line.as_bytes().to_vec(), address.map_or(Announced::Nobody, client))
        })
        .collect();
    let additions = [&V4_BLOCK[..], &[0x03, 0, 4, 1, 2, 3, 4, 0x04, 0, 1, 0]].concat();
    all.extend([
        (v2(0x21, 0x11, &V4_BLOCK), client("192.0.2.7:4660")),
        (v2(0x21, 0x11, &additions), client("192.0.2.7:4660")),
        (v2(0x21, 0x21, &v6_block()), client("[2001:db8::7]:4660")),
        (v2(0x21, 0x31, &[b'/'; 216]), Announced::Nobody),
        (v2(0x21, 0x00, &[]), Announced::Nobody),
        (v2(0x20, 0x00, &[]), Announced::Nobody),
        // Whatever a LOCAL one says besides is to be ignored, known or not.
        (v2(0x20, 0xff, b"abc"), Announced::Nobody),
        (v2(0x20, 0x11, &[127, 0, 0, 1]), Announced::Nobody),
    ]);
    all
}

#[tokio::test]
async fn a_header_is_read_and_no_byte_behind_it() {
    for (header, announced) in right() {
        let all = [&header[..], BEHIND].concat();
        assert_eq!(sent(&all).await, (Ok(announced), BEHIND.to_vec()), "{header:?}");
    }
}

#[tokio::test]
async fn a_header_is_read_in_two_pieces_whichever_and_byte_by_byte() {
    for (header, announced) in right() {
        for at in 1..header.len() {
            let (mut far, mut near) = duplex(8_192);
            far.write_all(&header[..at]).await.unwrap();
            let rest = async {
                tokio::task::yield_now().await;
                far.write_all(&header[at..]).await.unwrap();
            };
            let (read, ()) = tokio::join!(read(&mut near), rest);
            assert_eq!(read, Ok(announced), "{at} of {header:?}");
        }
        // A pipe of one byte.
        let (mut far, mut near) = duplex(1);
        let (read, written) = tokio::join!(read(&mut near), far.write_all(&header));
        written.unwrap();
        assert_eq!(read, Ok(announced), "{header:?}");
    }
}

#[tokio::test]
async fn a_header_cut_short_announces_nobody() {
    for (header, _) in right() {
        for at in 1..header.len() {
            assert_eq!(problem(&header[..at]).await, HeaderError::BrokenOff, "{at} of {header:?}");
        }
    }
    assert_eq!(problem(b"").await, HeaderError::Left);
}

#[tokio::test]
async fn version_1_takes_107_bytes_and_no_more() {
    for (len, is_right) in [(106, true), (107, true), (108, false)] {
        let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(len - 16));
        assert_eq!(line.len(), len);
        let (read, left) = sent(line.as_bytes()).await;
        if is_right {
            assert_eq!((read, left.len()), (Ok(Announced::Nobody), 0));
        } else {
            assert_eq!(read, Err(HeaderError::TooLong { len_max: 107 }));
            assert_eq!(left.len(), 1, "no more is read than a right one has");
        }
    }
}

#[tokio::test]
async fn version_2_takes_4_kib_and_no_more() {
    // One addition (TLV) of the whole rest: type 0x04, which is to be ignored.
    let header = |len: usize| {
        let padding = u16::try_from(len - 16 - 12 - 3).unwrap();
        let [high, low] = padding.to_be_bytes();
        let block = [&V4_BLOCK[..], &[0x04, high, low], &vec![0; usize::from(padding)]].concat();
        v2(0x21, 0x11, &block)
    };
    let longest = header(4_096);
    assert_eq!(longest.len(), 4_096);
    let (read, left) = sent(&[&longest[..], BEHIND].concat()).await;
    assert_eq!((read, &left[..]), (Ok(client("192.0.2.7:4660")), BEHIND));
    let (read, left) = sent(&header(4_097)).await;
    assert_eq!(read, Err(HeaderError::TooLong { len_max: 4_096 }));
    assert_eq!(left.len(), 4_097 - 16, "none of it is waited for");
}

#[tokio::test]
async fn what_is_no_header_is_refused_as_soon_as_it_is_known() {
    for other in [&b"E"[..], b"EHLO client.example\r\n", b"\x16\x03\x01", b"PROXZ", b"\r\n\r\nX"] {
        let (mut far, mut near) = duplex(100);
        far.write_all(other).await.unwrap();
        // The stream stays open, and nobody waits for the rest.
        assert_eq!(read(&mut near).await, Err(HeaderError::Missing), "{other:?}");
    }
}

#[tokio::test]
async fn a_line_of_version_1_that_is_wrong_announces_nobody() {
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.\u{e9} 1 2\r\n",
    ] {
        let told = problem(line.as_bytes()).await;
        assert!(matches!(told, HeaderError::Malformed { .. }), "{line:?}: {told}");
    }
}

#[tokio::test]
async fn a_header_of_version_2_that_is_wrong_announces_nobody() {
    for header in [
        v2(0x11, 0x11, &V4_BLOCK),
        v2(0x31, 0x11, &V4_BLOCK),
        v2(0x22, 0x11, &V4_BLOCK),
        v2(0x2f, 0x11, &V4_BLOCK),
        v2(0x21, 0x12, &V4_BLOCK),
        v2(0x21, 0x22, &v6_block()),
        v2(0x21, 0x10, &V4_BLOCK),
        v2(0x21, 0x41, &V4_BLOCK),
        v2(0x21, 0x01, &[]),
        v2(0x21, 0x11, &V4_BLOCK[..11]),
        v2(0x21, 0x11, &[]),
        v2(0x21, 0x21, &v6_block()[..35]),
        v2(0x21, 0x21, &V4_BLOCK),
        v2(0x21, 0x31, &[b'/'; 215]),
    ] {
        let told = problem(&header).await;
        assert!(matches!(told, HeaderError::Malformed { .. }), "{header:?}: {told}");
    }
}

#[tokio::test]
async fn an_address_that_is_no_other_machine_s_is_refused_in_every_form() {
    for (family, address) in [
        ("TCP4", "127.0.0.1"),
        ("TCP4", "127.255.255.255"),
        ("TCP4", "0.0.0.0"),
        ("TCP4", "224.0.0.1"),
        ("TCP4", "255.255.255.255"),
        ("TCP6", "::1"),
        ("TCP6", "::"),
        ("TCP6", "ff02::1"),
        ("TCP6", "::ffff:127.0.0.1"),
    ] {
        let told = problem(format!("PROXY {family} {address} {address} 1 2\r\n").as_bytes()).await;
        assert!(matches!(told, HeaderError::NoClient { .. }), "{address}: {told}");
    }
    let mut block = V4_BLOCK;
    block[..4].copy_from_slice(&[127, 0, 0, 1]);
    let told = problem(&v2(0x21, 0x11, &block)).await;
    assert_eq!(told, HeaderError::NoClient { address: Ipv4Addr::LOCALHOST.into() });
    let mut block = v6_block();
    block[..16].copy_from_slice(&"::ffff:127.0.0.1".parse::<Ipv6Addr>().unwrap().octets());
    let told = problem(&v2(0x21, 0x21, &block)).await;
    assert_eq!(told, HeaderError::NoClient { address: Ipv4Addr::LOCALHOST.into() });
}

#[tokio::test(start_paused = true)]
async fn a_header_is_waited_for_for_five_seconds_in_all() {
    for start in [&b""[..], b"PROXY TCP4 192.0", &v2(0x21, 0x11, &V4_BLOCK)[..20]] {
        let (mut far, mut near) = duplex(100);
        let started = Instant::now();
        let slow = async {
            for byte in start {
                far.write_all(&[*byte]).await.unwrap();
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_secs(60)).await;
        };
        let read = tokio::select! {
            read = read(&mut near) => read,
            () = slow => panic!("it waits on"),
        };
        assert_eq!(read, Err(HeaderError::TimedOut));
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }
}

#[test]
fn a_header_is_told_by_its_first_bytes() {
    for (header, _) in right() {
        assert!(begins(&header), "{header:?}");
    }
    for other in [&b""[..], b"PROXY", b"PROXIES", b"EHLO", b"\r\n\r\n\0\r\nQUIT\r", BEHIND] {
        assert!(!begins(other), "{other:?}");
    }
}

/// What another reader takes from a header, where it takes one.
fn other_reader(header: &[u8]) -> Option<Option<SocketAddr>> {
    if let Ok(header) = ppp::v2::Header::try_from(header) {
        use ppp::v2::{Addresses, Command, Protocol};
        return match (header.command, header.protocol, header.addresses) {
            (Command::Local, _, _) => Some(None),
            (Command::Proxy, Protocol::Stream, Addresses::IPv4(it)) => {
                Some(Some((it.source_address, it.source_port).into()))
            }
            (Command::Proxy, Protocol::Stream, Addresses::IPv6(it)) => {
                Some(Some((it.source_address, it.source_port).into()))
            }
            (Command::Proxy, Protocol::Stream, Addresses::Unix(_)) => Some(None),
            (Command::Proxy, Protocol::Unspecified, Addresses::Unspecified) => Some(None),
            _ => None,
        };
    }
    let header = ppp::v1::Header::try_from(header).ok()?;
    Some(match header.addresses {
        ppp::v1::Addresses::Unknown => None,
        ppp::v1::Addresses::Tcp4(it) => Some((it.source_address, it.source_port).into()),
        ppp::v1::Addresses::Tcp6(it) => Some((it.source_address, it.source_port).into()),
    })
}

/// Headers, with some of their bytes changed.
fn nearly_headers() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (prop::sample::select(right()), changes).prop_map(|((mut header, _), changes)| {
        for (at, byte) in changes {
            let at = at.index(header.len());
            header[at] = byte;
        }
        header
    })
}

proptest! {
    #[test]
    fn whom_both_readers_take_is_the_same(header in nearly_headers()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (read, _) = runtime.block_on(sent(&header));
        if let (Ok(announced), Some(other)) = (read, other_reader(&header)) {
            let other = other.map_or(Announced::Nobody, |it| {
                Announced::Client(SocketAddr::new(it.ip().to_canonical(), it.port()))
            });
            prop_assert_eq!(announced, other);
        }
    }
}
