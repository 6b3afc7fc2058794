//! Which address is taken and when, and what is told of a way that leads nowhere.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::pin;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, lookup_host};
use tokio::runtime::Handle;

use super::*;
use crate::provider::UpstreamTls;
use crate::secret::{SecretSource, SecretString};

/// An address whose connections hang: its queue has room for one, and is full.
async fn silent() -> (Socket, TcpStream, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let queued = TcpStream::connect(address).await.unwrap();
    (socket, queued, address)
}

/// An address that refuses.
async fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn ways(addresses: &[SocketAddr]) -> Vec<Way> {
    addresses.iter().map(|&address| Way { address, source: None }).collect()
}

fn at(address: SocketAddr) -> MailHost {
    let (host, port) = (address.ip().to_string(), address.port());
    MailHost { host, port, tls: UpstreamTls::StartTls }
}

/// A name that only a proxy resolves.
fn elsewhere() -> MailHost {
    MailHost { host: "mail.nowhere.invalid".into(), port: 587, tls: UpstreamTls::StartTls }
}

fn through(proxy: SocketAddr) -> Egress {
    let url = SecretString::from(format!("socks5://user:tell-nobody@{proxy}"));
    Egress { mail_proxy: Some(SecretSource::Value(url)), ..Egress::default() }
}

#[tokio::test(start_paused = true)]
async fn next_address_is_tried_after_250_ms_of_silence() {
    let (_socket, _queued, silent) = silent().await;
    let (_listener, accepting) = listening().await;
    let started = Instant::now();
    let stream = connect_any(ways(&[silent, silent, accepting])).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), accepting);
    assert_eq!(started.elapsed().as_millis() / 10, 2 * ATTEMPT_DELAY.as_millis() / 10);
    assert!(stream.nodelay().unwrap());
}

#[tokio::test(start_paused = true)]
async fn next_address_is_tried_at_once_when_one_refuses() {
    let (_listener, accepting) = listening().await;
    let started = Instant::now();
    let ways = ways(&[closed().await, closed().await, accepting]);
    let stream = connect_any(ways).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), accepting);
    assert!(started.elapsed() < ATTEMPT_DELAY, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_no_task_until_the_next_one_runs_beside_it() {
    let (_socket, _queued, silent) = silent().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let mut connecting = pin!(connect_any(ways(&[silent, silent])));
    let instant = Duration::from_millis(1);
    assert!(timeout(ATTEMPT_DELAY - instant, connecting.as_mut()).await.is_err());
    assert_eq!(tasks(), 0);
    assert!(timeout(2 * instant, connecting.as_mut()).await.is_err());
    assert_eq!(tasks(), 2);
}

/// Whether a connection to `address` is being made (proc_net(5): state 2, SYN_SENT).
fn is_being_made(address: SocketAddr) -> bool {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace().skip(2));
    rows.any(|mut row| row.next().is_some_and(|to| to.ends_with(&port)) && row.next() == Some("02"))
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_under_way_are_given_up_when_one_is_connected() {
    let (_socket, _queued, silent) = silent().await;
    let (_listener, accepting) = listening().await;
    let (unneeded, last) = listening().await;
    let stream = connect_any(ways(&[silent, accepting, last])).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), accepting);
    // It is given up by the time that everybody else has had their turn.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    assert!(!is_being_made(silent), "the first is still being tried");
    let accepted = unneeded.into_std().unwrap().accept();
    assert_eq!(accepted.unwrap_err().kind(), io::ErrorKind::WouldBlock, "the last was not needed");
    // So that the first assertion cannot hold by itself.
    let kept = tokio::spawn(TcpSocket::new_v4().unwrap().connect(silent));
    tokio::task::yield_now().await;
    assert!(is_being_made(silent));
    kept.abort();
}

#[tokio::test(start_paused = true)]
async fn silence_of_every_address_is_told_after_ten_seconds() {
    let (_socket, _queued, silent) = silent().await;
    let started = Instant::now();
    let error = connect(&at(silent), &Egress::default(), |_, _| ()).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert_eq!(started.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
}

#[tokio::test]
async fn refusal_of_every_address_is_told_with_the_last_one() {
    let host = at(closed().await);
    let error = connect(&host, &Egress::default(), |_, _| ()).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with(&format!("{host} accepts no connection (Connection refused")),
        "{told}"
    );
}

#[test]
fn families_take_turns_beginning_with_the_resolvers_first() {
    let v4 = |last| SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), 25));
    let v6 = |last| SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last), 25));
    let mixed = interleaved(&[v6(1), v6(2), v6(3), v4(1), v4(2)]);
    assert_eq!(mixed, [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    assert_eq!(interleaved(&[v4(1), v6(1), v6(2)]), [v4(1), v6(1), v6(2)]);
    assert_eq!(interleaved(&[v4(1), v4(2)]), [v4(1), v4(2)]);
    assert_eq!(interleaved(&[]), []);
    let many: Vec<_> = (0..=255).map(v4).collect();
    assert_eq!(interleaved(&many).len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn a_host_is_reached_at_whichever_of_its_addresses_accepts() {
    for address in lookup_host(("localhost", 0)).await.unwrap() {
        // A machine may know ::1 by name and have no IPv6.
        let Ok(listener) = TcpListener::bind(address).await else { continue };
        let port = listener.local_addr().unwrap().port();
        let host = MailHost { host: "localhost".into(), port, tls: UpstreamTls::StartTls };
        let mut resolved = Vec::new();
        let tell = |proxy: Option<&Proxy>, addresses: &[SocketAddr]| {
            assert!(proxy.is_none());
            resolved.extend_from_slice(addresses);
        };
        connect(&host, &Egress::default(), tell).await.unwrap();
        assert!(resolved.contains(&SocketAddr::new(address.ip(), port)), "{resolved:?}");
    }
}

#[tokio::test]
async fn a_host_is_looked_for_again_once_nothing_is_where_it_was_found() {
    let (egress, host) =
        (Egress::default(), MailHost { host: "localhost".into(), ..at(closed().await) });
    let known = || egress.resolver.knows(&host.host, host.port);
    egress.resolver.addresses(&host.host, host.port).await.unwrap();
    assert!(known());
    assert!(connect(&host, &egress, |_, _| ()).await.is_err());
    assert!(!known());
}

#[tokio::test]
async fn connection_comes_from_the_address_of_the_configuration() {
    let (listener, address) = listening().await;
    let from = |bind: &str| Egress { bind: Some(bind.parse().unwrap()), ..Egress::default() };
    let _stream = connect(&at(address), &from("127.0.0.2"), |_, _| ()).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.2");

    let error = connect(&at(address), &from("::1"), |_, _| ()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoAddress { .. }), "{error}");
    // RFC 5737: no machine has it.
    let elsewhere = MailHost { host: "198.51.100.1".into(), ..at(address) };
    let error = connect(&elsewhere, &from("203.0.113.2"), |_, _| ()).await.unwrap_err().to_string();
    assert!(
        error.contains("can come from 203.0.113.2") && error.contains("`egress.bind`"),
        "{error}"
    );
}

#[tokio::test]
async fn name_is_resolved_by_the_proxy_and_the_server_speaks_first() {
    let (listener, proxy) = listening().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(asked, [5, 2, 0, 2]);
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 7 + 20];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"\x05\x01\x00\x03\x14mail.nowhere.invalid\x02\x4b");
        stream.write_all(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00220 ready\r\n").await.unwrap();
    });
    let mut told = None;
    let tell = |proxy: Option<&Proxy>, addresses: &[SocketAddr]| {
        told = Some((proxy.unwrap().to_string(), addresses.to_vec()));
    };
    let mut stream = connect(&elsewhere(), &through(proxy), tell).await.unwrap();
    assert_eq!(told.unwrap(), (proxy.to_string(), vec![proxy]));
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await.unwrap();
    assert_eq!(greeting, "220 ready\r\n");
    serving.await.unwrap();
}

#[tokio::test]
async fn proxy_that_is_not_there_is_told_as_the_proxy() {
    let proxy = closed().await;
    let error = connect(&elsewhere(), &through(proxy), |_, _| ()).await.unwrap_err();
    let told = format!("{error} {error:?}");
    let expected = format!("the proxy {proxy} (`egress.mail_proxy`) accepts no connection");
    assert!(told.starts_with(&expected) && !told.contains("tell-nobody"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn proxy_that_is_silent_is_told_as_such_after_ten_seconds() {
    let (listener, proxy) = listening().await;
    let started = Instant::now();
    let error = connect(&elsewhere(), &through(proxy), |_, _| ()).await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
    let told = error.to_string();
    let expected = format!(
        "the proxy {proxy} (`egress.mail_proxy`), asked for mail.nowhere.invalid:587, did not \
         connect in time"
    );
    assert!(told.starts_with(&expected), "{told}");
    drop(listener);
}
