//! What comes of clients of all kinds, on in-memory pipes with a paused clock.

use std::sync::Arc;

use rcgen::{CertificateParams, date_time_ymd};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::*;
use crate::net::props::{Authority, HOST, put};
use crate::net::tls::server;

const PATIENCE: Duration = Duration::from_secs(60);

/// A hello of TLS 1.0 as devices of 2008 say it: version 3.1 in record and hello, the suites
/// AES128-SHA and 3DES, no extensions (RFC 2246 sections 6.2.1 and 7.4.1.2).
fn hello_of_tls_1_0() -> Vec<u8> {
    let mut hello = vec![3, 1];
    hello.extend([7; 32]); // random
    hello.extend([0]); // no session
    hello.extend([0, 4, 0x00, 0x2f, 0x00, 0x0a]);
    hello.extend([1, 0]); // no compression
    let len = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 1, 0, len + 4, 1, 0, 0, len];
    record.extend(hello);
    record
}

fn acceptor([certificate, key]: &[String; 2]) -> TlsAcceptor {
    let dir = tempfile::tempdir().unwrap();
    let files = put(dir.path(), &[certificate.clone(), key.clone()]);
    server::Shown::read(&files).unwrap().acceptor()
}

/// A handshake with a client that does `says` at its end of the pipe.
async fn handshake<T>(
    issued: &[String; 2],
    says: impl AsyncFnOnce(DuplexStream) -> T,
) -> (Result<ClientStream<DuplexStream>, HandshakeError>, T) {
    let (far, near) = duplex(65_536);
    let serve = async {
        let mut stream = ClientStream::Clear(near);
        stream.start_tls(acceptor(issued), PATIENCE).await.map(|()| stream)
    };
    tokio::join!(serve, says(far))
}

/// The same with a client of rustls that expects `host`; the error is its own.
async fn meet(
    issued: &[String; 2],
    client: Arc<ClientConfig>,
    host: &'static str,
) -> (
    Result<ClientStream<DuplexStream>, HandshakeError>,
    io::Result<tokio_rustls::client::TlsStream<DuplexStream>>,
) {
    let name = ServerName::try_from(host).unwrap();
    handshake(issued, async |far| TlsConnector::from(client).connect(name, far).await).await
}

async fn problem(bytes: &[u8]) -> (HandshakeError, Vec<u8>) {
    let issued = Authority::new().issue(HOST);
    let (served, heard) = handshake(&issued, async |mut far: DuplexStream| {
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        heard
    })
    .await;
    (served.map(drop).unwrap_err(), heard)
}

#[tokio::test(start_paused = true)]
async fn tls_1_2_and_1_3_begin_and_carry_bytes_both_ways() {
    let authority = Authority::new();
    let issued = authority.issue(HOST);
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut config = Arc::unwrap_or_clone(authority.client(&[version]));
        // Whatever protocol a client names is passed over.
        config.alpn_protocols = vec![b"imap".to_vec()];
        let (near, far) = meet(&issued, Arc::new(config), HOST).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(far.get_ref().1.protocol_version(), Some(name));
        assert_eq!(far.get_ref().1.alpn_protocol(), None);
        near.write_all(b"220 ready\r\n").await.unwrap();
        near.flush().await.unwrap();
        far.write_all(b"QUIT\r\n").await.unwrap();
        let mut heard = [0; 11];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"220 ready\r\n");
        // Closed without close_notify, as many clients do.
        drop(far);
        let mut said = String::new();
        near.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "QUIT\r\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_resumed_by_a_ticket() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority.issue(HOST));
    for version in [&TLS12, &TLS13] {
        let client = authority.client(&[version]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (far, near) = duplex(65_536);
            let mut near = ClientStream::Clear(near);
            let name = ServerName::try_from(HOST).unwrap();
            let connector = TlsConnector::from(Arc::clone(&client));
            let (served, far) = tokio::join!(
                near.start_tls(acceptor.clone(), PATIENCE),
                connector.connect(name, far)
            );
            served.unwrap();
            let mut far = far.unwrap();
            kinds.push(far.get_ref().1.handshake_kind().unwrap());
            near.write_all(b"x").await.unwrap();
            near.flush().await.unwrap();
            far.read_u8().await.unwrap(); // and with it the tickets of TLS 1.3
        }
        assert_eq!(kinds[0], rustls::HandshakeKind::Full, "{version:?}");
        assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn clear_text_where_tls_is_expected_is_told_and_answered_with_nothing() {
    for said in ["EHLO client\r\n", "a CAPABILITY\r\n", "\r\n", "\u{15}\u{3}", "GET / HTTP/1.1\r\n"]
    {
        let (error, heard) = problem(said.as_bytes()).await;
        assert!(matches!(error, HandshakeError::Clear), "{error}");
        assert!(heard.is_empty(), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_tls_1_2_is_told_from_others_and_hears_the_alert() {
    let (error, heard) = problem(&hello_of_tls_1_0()).await;
    assert!(matches!(error, HandshakeError::Version { .. }), "{error}");
    // An alert (21) of two bytes that is fatal (2): RFC 5246 sections 6.2.1 and 7.2.
    assert_eq!((heard.first(), heard.get(5)), (Some(&21), Some(&2)), "{heard:?}");
    // SSL 2.0: RFC 5246 appendix E.2.
    let (error, heard) = problem(&[0x80, 0x2e, 1, 0, 2]).await;
    assert!(matches!(error, HandshakeError::Version { .. }), "{error}");
    assert!(heard.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_refuses_the_certificate_tells_why() {
    let authority = Authority::new();
    let both: &[_] = &[&TLS12, &TLS13];
    // An authority made anew has the name of the one that the client trusts.
    for stranger in [Authority::new(), Authority::called("stranger")] {
        let (served, _) = meet(&authority.issue(HOST), stranger.client(both), HOST).await;
        let error = served.unwrap_err();
        assert!(matches!(error, HandshakeError::Untrusted { .. }), "{error}");
    }

    let (served, _) = meet(&authority.issue(HOST), authority.client(both), "other.example").await;
    let error = served.unwrap_err();
    assert!(matches!(error, HandshakeError::Certificate { .. }), "{error}");

    let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
    params.not_after = date_time_ymd(2020, 1, 1);
    let (served, _) = meet(&authority.issue_as(&params), authority.client(both), HOST).await;
    let error = served.unwrap_err();
    assert!(matches!(error, HandshakeError::Ended { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_to_be_greeted_is_told_from_one_that_leaves() {
    let issued = Authority::new().issue(HOST);
    let (served, _kept) = handshake(&issued, async |far| far).await;
    assert!(matches!(served.unwrap_err(), HandshakeError::Silent), "until the deadline");
    for (stays, is_silent) in [(0, false), (4, false), (5, true), (30, true)] {
        let (served, ()) = handshake(&issued, async |far| {
            sleep(Duration::from_secs(stays)).await;
            drop(far);
        })
        .await;
        let error = served.unwrap_err();
        assert_eq!(matches!(error, HandshakeError::Silent), is_silent, "{stays} s: {error}");
        assert_eq!(matches!(error, HandshakeError::Left), !is_silent, "{stays} s: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_in_the_midst_of_the_handshake_is_told_from_one_that_never_began() {
    let hello = hello_of_tls_1_0();
    for len in 1..hello.len() {
        let (error, _) = problem(&hello[..len]).await;
        assert!(matches!(error, HandshakeError::BrokenOff), "after {len} bytes: {error}");
    }
    let (error, heard) = problem(b"").await;
    assert!(matches!(error, HandshakeError::Left) && heard.is_empty(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_without_an_alert_when_it_sees_the_certificate_has_broken_off() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let client = authority.client(&[version]);
        let (served, ()) = handshake(&authority.issue(HOST), async |mut far: DuplexStream| {
            let name = ServerName::try_from(HOST).unwrap();
            let mut client = rustls::ClientConnection::new(client, name).unwrap();
            let mut hello = Vec::new();
            client.write_tls(&mut hello).unwrap();
            far.write_all(&hello).await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), 0x16, "the certificate is on its way");
        })
        .await;
        let error = served.map(drop).unwrap_err();
        assert!(matches!(error, HandshakeError::BrokenOff), "{version:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_ends_in_time_wherever_it_does() {
    let issued = Authority::new().issue(HOST);
    let hello = hello_of_tls_1_0();
    for len in 1..hello.len() {
        let started = Instant::now();
        let (served, _kept) = handshake(&issued, async |mut far: DuplexStream| {
            sleep(Duration::from_secs(50)).await;
            far.write_all(&hello[..len]).await.unwrap();
            far
        })
        .await;
        assert!(matches!(served.unwrap_err(), HandshakeError::TimedOut), "after {len} bytes");
        assert_eq!(started.elapsed(), PATIENCE);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_hello_is_cut_and_told_in_a_printable_line() {
    let mut endless = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    endless.extend([b'\n'; 200_000]);
    let issued = Authority::new().issue(HOST);
    let (served, taken) = handshake(&issued, async |mut far: DuplexStream| {
        let mut taken = 0;
        while let Ok(len) = far.write(&endless[taken..]).await
            && taken < endless.len()
        {
            taken += len;
        }
        taken
    })
    .await;
    let told = served.unwrap_err().to_string();
    assert!(told.len() < 400 && !told.contains(|char: char| char.is_control()), "{told:?}");
    assert!(taken < endless.len(), "{taken} bytes were taken");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_stops_the_sender_under_tls_too() {
    let authority = Authority::new();
    let (near, far) = meet(&authority.issue(HOST), authority.client(&[&TLS13]), HOST).await;
    let (mut near, _far) = (near.unwrap(), far.unwrap());
    let mut sent = 0;
    let send = async {
        loop {
            sent += near.write(&[b'x'; 16_384]).await.unwrap();
        }
    };
    let _: Result<(), _> = timeout(Duration::from_secs(60), send).await;
    // The pipe's 64 KiB, and as much that rustls keeps.
    assert!((65_536..=3 * 65_536).contains(&sent), "{sent} bytes are somewhere in between");
}
