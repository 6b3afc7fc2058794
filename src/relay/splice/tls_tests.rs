//! What the splice promises where one side is under TLS, on in-memory pipes with a paused clock.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::net::client_stream::ClientStream;
use crate::net::props::{Authority, HOST, put};
use crate::net::tls::server::Shown;
use crate::net::tls::stream::TlsStream as UpstreamTls;

const IDLE: Duration = Duration::from_secs(2_100);

/// A splice that runs, and the far ends of its two sides.
struct Running {
    client: TlsStream<DuplexStream>,
    upstream: DuplexStream,
    spliced: JoinHandle<Spliced>,
}

async fn start(version: &'static rustls::SupportedProtocolVersion) -> Running {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let files = put(dir.path(), &authority.issue(HOST));
    let acceptor = Shown::read(&files).unwrap().acceptor();
    let (far, near) = duplex(65_536);
    let mut near = ClientStream::Clear(near);
    let connector = TlsConnector::from(Arc::clone(&authority.client(&[version])));
    let name = ServerName::try_from(HOST).unwrap();
    let (served, client) =
        tokio::join!(near.start_tls(acceptor, IDLE), connector.connect(name, far));
    served.unwrap();
    let (upstream, mut near_upstream) = duplex(65_536);
    let start =
        Start { up: Bytes::new(), down: Bytes::new(), client_closed: false, idle_timeout: IDLE };
    let spliced = tokio::spawn(async move {
        splice(&mut near, &mut near_upstream, start, std::future::pending()).await
    });
    Running { client: client.unwrap(), upstream, spliced }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_quit_with_close_notify_hears_the_answer() {
    for version in [&TLS12, &TLS13] {
        let Running { mut client, mut upstream, spliced } = start(version).await;
        client.write_all(b"QUIT\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = [0; 6];
        upstream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"QUIT\r\n");
        upstream.write_all(b"221 2.0.0 Bye\r\n").await.unwrap();
        let mut heard = [0; 15];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"221 2.0.0 Bye\r\n", "{version:?}");
        drop(upstream);
        let end = spliced.await.unwrap().end;
        assert!(matches!(end, End::Closed(Side::Downstream)), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_stops_the_sender_and_is_cut_after_the_idle_time() {
    let Running { client: _client, mut upstream, spliced } = start(&TLS13).await;
    let started = Instant::now();
    let mut sent = 0;
    while let Ok(len) = upstream.write(&[b'x'; 16_384]).await {
        sent += len;
    }
    assert_eq!(started.elapsed().as_secs(), IDLE.as_secs(), "the relay has closed");
    // The two pipes, the piece that is held, and what rustls keeps: 64 KiB each.
    assert!(sent <= 5 * 65_536, "{sent} bytes are somewhere in between");
    let end = spliced.await.unwrap().end;
    assert!(matches!(end, End::Idle), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn records_that_carry_no_byte_of_mail_do_not_keep_a_session() {
    let Running { mut client, upstream: _upstream, spliced } = start(&TLS13).await;
    let started = Instant::now();
    for _ in 0..9 {
        tokio::time::sleep(IDLE / 10).await;
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.flush().await.unwrap();
    }
    let end = spliced.await.unwrap().end;
    assert!(matches!(end, End::Idle), "{end:?}");
    assert_eq!(started.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_upload_reaches_a_server_that_is_slow_to_take_it() {
    const LEN: usize = 10_000;

    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let acceptor = Shown::read(&put(dir.path(), &authority.issue(HOST))).unwrap().acceptor();
    for version in [&TLS12, &TLS13] {
        // All of it is there at once, is encrypted at once, and does not go into the pipe at once.
        let (mut client, mut near_client) = duplex(2 * LEN);
        client.write_all(&[b'x'; LEN]).await.unwrap();
        let (near, far) = duplex(64);
        let config = authority.client(&[version]);
        let spliced = tokio::spawn(async move {
            let name = ServerName::try_from(HOST).unwrap();
            let mut upstream = UpstreamTls::connect(config, name, near).await.unwrap();
            let start = Start { idle_timeout: IDLE, ..Start::default() };
            splice(&mut near_client, &mut upstream, start, std::future::pending()).await
        });
        let mut far = acceptor.accept(far).await.unwrap();
        let mut got = [0; LEN];
        far.read_exact(&mut got).await.unwrap();
        assert!(got == [b'x'; LEN]);
        far.shutdown().await.unwrap();
        let Spliced { up_bytes, end, .. } = spliced.await.unwrap();
        assert_eq!(up_bytes, 10_000, "{version:?}");
        assert!(matches!(end, End::Closed(Side::Upstream)), "{end:?}");
    }
}
