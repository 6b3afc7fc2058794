//! What a relay behind load balancers promises: its rules judge the client that the PROXY header
//! announces, and nobody else is believed to speak for one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::future::{Future as _, poll_fn};
use std::io::Write as _;
use std::net::SocketAddr;
use std::task::Poll;

use mailbearer::provider::Protocol;
use socket2::{Domain, Socket, Type};
use support::log::Log;
use support::stage::{Stage, Tls};
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings, WRONG_PLAIN};
use tokio::net::TcpStream;

/// Where the balancer of these tests is, and where somebody is whom nobody listed.
const BALANCER: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";

/// Listeners behind that balancer, with a device that is known by its network.
const BEHIND: &str = r#"
    [listeners.behind]
    protocol = "submission"
    address = "127.0.0.1:0"
    proxy_protocol_from = ["127.0.0.2"]
    require_tls = false
    allow = ["192.0.2.0/24", "2001:db8::/32", "127.0.0.0/8"]
    devices = true

    [listeners.behind-imap]
    protocol = "imap"
    address = "127.0.0.1:0"
    proxy_protocol_from = ["127.0.0.2"]
    require_tls = false
    allow = ["192.0.2.0/24"]

    [devices.scanner]
    account = "alice@example.com"
    networks = ["192.0.2.17"]
"#;

/// Limits that are soon reached, and the metrics.
const NARROW: &str = r#"
    [listeners.behind]
    protocol = "submission"
    address = "127.0.0.1:0"
    proxy_protocol_from = ["127.0.0.2"]
    require_tls = false
    allow = ["192.0.2.0/24"]

    [limits]
    sessions = 6
    sessions_per_peer = 2

    [web]
    probes = "127.0.0.1:0"
"#;

async fn rig() -> Rig {
    Rig::with(RigSettings { extra: BEHIND, ..RigSettings::default() }).await
}

async fn narrow_rig() -> Rig {
    Rig::with(RigSettings { extra: NARROW, ..RigSettings::default() }).await
}

/// A connection from `source` that begins with `header`.
async fn connected(address: SocketAddr, source: &str, header: &[u8]) -> Client {
    let mut client = Client::connect_from(source.parse().unwrap(), address).await;
    client.send_bytes(header).await;
    client
}

/// The file of a stage, with the balancer before each of its listeners.
fn behind_balancer(text: &str) -> String {
    let allow = "allow = [\"127.0.0.0/8\"";
    text.replace(
        allow,
        &format!("proxy_protocol_from = [\"{BALANCER}\"]\n{allow}, \"192.0.2.0/24\""),
    )
}

fn v1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 198.51.100.1 4660 587\r\n").into_bytes()
}

/// Of version 2: version and command, family, addresses.
fn v2(version_and_command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    let fixed = [version_and_command, family, len[0], len[1]];
    [b"\r\n\r\n\0\r\nQUIT\n", &fixed[..], addresses].concat()
}

/// Waits until that line of the metrics says `value`.
async fn until_metric(rig: &Rig, line: &str, value: usize) {
    let line = format!("mailbearer_{line} {value}");
    support::client::until(&line, async || {
        let mut client = Client::connect(*rig.probes.first().unwrap()).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n").await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        answer.lines().any(|it| it == line).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_behind_a_balancer_is_served_and_logged_by_its_own_address() {
    let log = Log::keep();
    let rig = rig().await;
    let v4 = v2(0x21, 0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 2, 75]);
    for header in [v1("192.0.2.7"), v4] {
        // All in one piece, as a client says it that does not wait.
        let all = [&header[..], b"EHLO client.example\r\n"].concat();
        let mut client = connected(rig.address("behind"), BALANCER, &all).await;
        client.expect("220 ").await;
        client.expect_after("250 ").await;
        client.ask(AUTH_PLAIN, "235 ").await;
        let told = log.take_until("signed in").await;
        let line = told.lines().last().unwrap();
        assert!(line.contains(" peer=192.0.2.7:4660 balancer=127.0.0.2:"), "{line}");
        client.ask("QUIT", "221 ").await;
        client.expect_end().await;
        let told = log.take_until(" closed ").await;
        assert!(told.contains("peer=192.0.2.7:4660 "), "{told}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_of_the_client_and_not_of_the_balancer() {
    let log = Log::keep();
    let rig = rig().await;
    let mut client = connected(rig.address("behind"), BALANCER, &v1("192.0.2.7")).await;
    client.expect("220 ").await;
    client.ask(WRONG_PLAIN, "535 5.7.8 ").await;
    let told = log.take_until("refusal=\"wrong-password\"").await;
    assert!(told.lines().last().unwrap().contains(" peer=192.0.2.7:4660 "), "{told}");
}

#[tokio::test]
async fn allow_judges_the_announced_address() {
    let log = Log::keep();
    let rig = rig().await;
    let imap = rig.address("behind-imap");
    connected(imap, BALANCER, &v1("192.0.2.255")).await.expect("* OK").await;
    let mut stranger = connected(imap, BALANCER, &v1("192.0.3.0")).await;
    stranger.expect_end().await;
    let told = log.take_until("turned away").await;
    assert!(told.contains("peer=192.0.3.0:4660 reason=\"the address is not in"), "{told}");
    // The balancer itself need not be there, and whoever is not listed is judged as ever.
    Client::connect_from(OTHER.parse().unwrap(), imap).await.expect_end().await;
}

#[tokio::test]
async fn a_header_that_announces_this_machine_is_refused() {
    let log = Log::keep();
    let rig = rig().await;
    for header in [
        v1("127.0.0.1"),
        v2(0x21, 0x11, &[127, 0, 0, 1, 198, 51, 100, 1, 0x12, 0x34, 2, 75]),
        b"PROXY TCP6 ::1 ::1 1 2\r\n".to_vec(),
        b"PROXY TCP6 ::ffff:127.0.0.9 ::1 1 2\r\n".to_vec(),
    ] {
        let mut client = connected(rig.address("behind"), BALANCER, &header).await;
        client.expect_end().await;
        let told = log.take_until("closed reason=\"proxy-header\"").await;
        let line = told.lines().last().unwrap();
        for part in ["WARN", "peer=127.0.0.2:", "announces ", "behind.proxy_protocol_from"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
}

#[tokio::test]
async fn an_announced_address_is_no_device_and_may_sign_in() {
    let log = Log::keep();
    let rig = rig().await;
    let mut client = connected(rig.address("behind"), BALANCER, &v1("192.0.2.17")).await;
    client.expect("220 ").await;
    client.ask("MAIL FROM:<scan@lan>", "530 5.7.0 ").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    assert!(told.contains("192.0.2.17 is what a load balancer announces"), "{told}");
    client.ask(AUTH_PLAIN, "235 ").await;
}

#[tokio::test]
async fn sessions_are_counted_by_the_announced_address() {
    let rig = narrow_rig().await;
    let address = rig.address("behind");
    let mut clients = Vec::new();
    for nth in 0..2 {
        let mut client = connected(address, BALANCER, &v1("192.0.2.7")).await;
        client.expect("220 ").await;
        clients.push((nth, client));
    }
    let mut third = connected(address, BALANCER, &v1("192.0.2.7")).await;
    third.expect("421 4.7.0 too many sessions from your address").await;
    let mut other = connected(address, BALANCER, &v1("192.0.2.8")).await;
    other.expect("220 ").await;
    // Who has signed in counts no more.
    let (_, first) = clients.first_mut().unwrap();
    first.ask(AUTH_PLAIN, "235 ").await;
    connected(address, BALANCER, &v1("192.0.2.7")).await.expect("220 ").await;
}

#[tokio::test]
async fn a_balancer_without_a_header_is_closed_and_the_log_names_the_key() {
    let log = Log::keep();
    let rig = rig().await;
    for (bytes, error) in [
        (&b"EHLO client.example\r\n"[..], "something else than a PROXY header"),
        (b"PROXY TCP4 192.0.2.7 nonsense 1 2\r\n", "cannot be read"),
        (
            b"PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789\
           0123456789012345678901\r\n",
            "longer than 107 bytes",
        ),
    ] {
        let mut client = connected(rig.address("behind"), BALANCER, bytes).await;
        assert_eq!(client.rest_until_it_breaks().await, b"", "nothing is said");
        let told = log.take_until("closed reason=\"proxy-header\"").await;
        let line = told.lines().last().unwrap();
        assert!(line.contains("WARN") && line.contains(error), "{line}");
        assert!(line.contains("hint=") && line.contains("proxy_protocol_from"), "{line}");
    }
}

#[tokio::test]
async fn a_header_from_elsewhere_ends_the_session_and_the_log_names_the_key() {
    let log = Log::keep();
    let rig = rig().await;
    let v4 = v2(0x21, 0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 2, 75]);
    for header in [v1("192.0.2.7"), v4] {
        for listener in ["behind", "submission", "imap"] {
            let mut client = connected(rig.address(listener), OTHER, &header).await;
            client.line().await;
            client.expect_end().await;
            let told = log.take_until("closed reason=\"proxy-header\"").await;
            let line = told.lines().last().unwrap();
            let key = format!("listeners.{listener}.proxy_protocol_from");
            assert!(line.contains("WARN") && line.contains("peer=127.0.0.3:"), "{line}");
            assert!(line.contains(&key), "{line}");
        }
    }
}

#[tokio::test]
async fn a_second_header_is_told_as_the_clients_and_names_no_key() {
    let log = Log::keep();
    let rig = rig().await;
    // Of a client that lies, and behind a probe.
    for (first, peer) in [(v1("192.0.2.7"), "192.0.2.7:4660"), (v2(0x20, 0, &[]), "127.0.0.2:")] {
        let both = [first, v1("192.0.2.9")].concat();
        let mut client = connected(rig.address("behind"), BALANCER, &both).await;
        client.expect("220 ").await;
        client.expect_end().await;
        let told = log.take_until("closed reason=\"proxy-header\"").await;
        let line = told.lines().last().unwrap();
        assert!(line.contains(&format!(" peer={peer}")), "{line}");
        assert!(line.contains("has come already") && !line.contains("add the load"), "{line}");
    }
}

#[tokio::test]
async fn a_probe_is_answered_noop_and_quit_and_leaves_no_warning() {
    let log = Log::keep();
    let rig = rig().await;
    for header in [v2(0x20, 0, &[]), v2(0x21, 0, &[]), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut client = connected(rig.address("behind"), BALANCER, &header).await;
        client.expect("220 ").await;
        client.ask("NOOP", "250 ").await;
        client.ask("QUIT", "221 ").await;
        client.expect_end().await;
        let mut client = connected(rig.address("behind-imap"), BALANCER, &header).await;
        client.expect("* OK").await;
        client.ask("a LOGOUT", "* BYE").await;
        // One that only connects, and one that leaves behind its header.
        drop(Client::connect_from(BALANCER.parse().unwrap(), rig.address("behind")).await);
        drop(connected(rig.address("behind"), BALANCER, &header).await);
    }
    let mut told = String::new();
    for _ in 0..12 {
        told += &log.take_until("probed reason=").await;
    }
    assert!(!told.contains("WARN session") && !told.contains("INFO session"), "{told}");
}

#[tokio::test]
async fn a_balancer_that_announces_nobody_cannot_sign_in_or_send() {
    let log = Log::keep();
    let rig = rig().await;
    for header in [v2(0x20, 0, &[]), b"PROXY UNKNOWN\r\n".to_vec()] {
        for said in [AUTH_PLAIN, "MAIL FROM:<scan@lan>", "EHLO balancer.example"] {
            let mut client = connected(rig.address("behind"), BALANCER, &header).await;
            client.expect("220 ").await;
            client.ask(said, "421 4.7.0 ").await;
            client.expect_end().await;
            let told = log.take_until("closed reason=\"no-address\"").await;
            assert!(told.contains("LOCAL") && told.contains("UNKNOWN"), "{told}");
        }
        let mut client = connected(rig.address("behind-imap"), BALANCER, &header).await;
        client.expect("* OK").await;
        client.ask(&format!("a LOGIN {ALICE} {PASSWORD}"), "* BYE").await;
    }
    assert_eq!((rig.provider.token_requests(), rig.provider.smtp_connections()), (0, 0));
}

#[tokio::test]
async fn the_header_comes_before_implicit_tls() {
    let stage = Stage::of(Tls::Implicit, |text| behind_balancer(&text)).await;
    let log = Log::keep();
    let address = stage.address(Protocol::Submission);
    let client = connected(address, BALANCER, &v1("192.0.2.7")).await;
    let mut client = client.start_tls(&stage.connector()).await;
    client.expect("220 ").await;
    client.ask("QUIT", "221 ").await;
    let told = log.take_until(" closed ").await;
    assert!(told.contains("peer=192.0.2.7:4660 "), "{told}");
    // A probe of TLS, and a header where none is due.
    let client = connected(address, BALANCER, b"PROXY UNKNOWN\r\n").await;
    let mut client = client.start_tls(&stage.connector()).await;
    client.expect("220 ").await;
    client.ask("NOOP", "250 ").await;
    let mut client = connected(address, OTHER, &v1("192.0.2.7")).await;
    client.rest_until_it_breaks().await;
    let told = log.take_until("closed reason=\"proxy-header\"").await;
    assert!(told.contains("submission.proxy_protocol_from"), "{told}");
}

#[tokio::test]
async fn an_announced_client_needs_tls_before_its_password() {
    let stage = Stage::of(Tls::Offered, |text| behind_balancer(&text)).await;
    let address = stage.address(Protocol::Submission);
    let mut client = connected(address, BALANCER, &v1("192.0.2.7")).await;
    client.expect("220 ").await;
    client.ask(AUTH_PLAIN, "538 5.7.11 ").await;
    client.ask("STARTTLS", "220 ").await;
    let mut client = client.start_tls(&stage.connector()).await;
    client.send("EHLO client.example").await;
    assert!(client.expect_after("250 ").await.iter().any(|line| line.contains("AUTH PLAIN")));
    // One on this machine that connects by itself needs none.
    let mut client = stage.greeted(Protocol::Submission).await;
    client.send("EHLO client.example").await;
    assert!(client.expect_after("250 ").await.iter().any(|line| line.contains("AUTH PLAIN")));
}

#[tokio::test]
async fn a_reload_changes_who_is_believed() {
    let rig = rig().await;
    let address = rig.address("behind");
    let changed = rig.reload(|text| {
        text.replace("proxy_protocol_from = [\"127.0.0.2\"]", "proxy_protocol_from = []")
    });
    changed.await.unwrap();
    Client::connect_from(BALANCER.parse().unwrap(), address).await.expect("220 ").await;
    let mut client = connected(address, BALANCER, &v1("192.0.2.7")).await;
    client.expect("220 ").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_drain_tells_a_client_without_a_header_at_once() {
    let log = Log::keep();
    let rig = rig().await;
    let mut clients = Vec::new();
    // Who is greeted at a listener has come there later, so the one without a header is known.
    for (listener, begun, greeting, farewell) in
        [("behind", &b"PROXY "[..], "220 ", "421 4.3.2 "), ("behind-imap", b"", "* OK", "* BYE ")]
    {
        let client = connected(rig.address(listener), BALANCER, begun).await;
        let mut greeted = connected(rig.address(listener), BALANCER, &v1("192.0.2.7")).await;
        greeted.expect(greeting).await;
        clients.push((client, farewell));
        clients.push((greeted, farewell));
    }
    rig.shutdown.drain.cancel();
    for (client, farewell) in &mut clients {
        // One whose header is waited for until there is no more time is closed without a word.
        client.expect(farewell).await;
        client.expect_end().await;
    }
    rig.stopped().await;
    let mut told = String::new();
    for _ in &clients {
        told += &log.take_until(" closed reason=\"draining\"").await;
    }
    assert_eq!(told.matches(" peer=127.0.0.2:").count(), 2, "{told}");
}

#[tokio::test]
async fn a_balancer_that_only_probes_cannot_take_every_place() {
    let log = Log::keep();
    let rig = narrow_rig().await;
    let behind = rig.address("behind");
    let mut probes = Vec::new();
    for _ in 0..2 {
        let mut probe = connected(behind, BALANCER, &v2(0x20, 0, &[])).await;
        probe.expect("220 ").await;
        probes.push(probe);
    }
    until_metric(&rig, "active_sessions{protocol=\"submission\",phase=\"signing-in\"}", 2).await;
    for _ in 0..2 {
        let mut probe = connected(behind, BALANCER, &v2(0x20, 0, &[])).await;
        probe.expect("421 4.7.0 too many sessions from your address").await;
        probe.expect_end().await;
    }
    let told = log.take_until("turned away").await;
    assert!(told.contains("peer=127.0.0.2:") && told.contains("from your address"), "{told}");
    let series = "turned_away_total{protocol=\"submission\",reason=\"too-many-from-peer\"}";
    until_metric(&rig, series, 2).await;
    // Those whom it announces are served, and so is everybody else.
    connected(behind, BALANCER, &v1("192.0.2.7")).await.expect("220 ").await;
    Client::connect(rig.submission).await.expect("220 ").await;
    drop(probes);
    let quiet = "active_sessions{protocol=\"submission\",phase=\"signing-in\"}";
    until_metric(&rig, quiet, 0).await;
}

/// Waits until one of `clients` is turned away, and leaves the others.
async fn one_is_turned_away(clients: &mut Vec<Client>) {
    let words = "421 4.7.0 too many sessions from your address";
    let mut waits: Vec<_> = clients.iter_mut().map(|it| Box::pin(it.expect(words))).collect();
    let gone = poll_fn(|cx| {
        let gone = waits.iter_mut().position(|wait| wait.as_mut().poll(cx).is_ready());
        gone.map_or(Poll::Pending, Poll::Ready)
    });
    let gone = gone.await;
    drop(waits);
    clients.remove(gone).expect_end().await;
}

#[tokio::test]
async fn a_balancer_that_sends_no_header_cannot_take_every_place() {
    let rig = narrow_rig().await;
    let behind = rig.address("behind");
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(connected(behind, BALANCER, b"").await);
    }
    one_is_turned_away(&mut silent).await;
    Client::connect(rig.submission).await.expect("220 ").await;
    // One that says whom it forwards leaves its place to the next.
    let mut late = silent.remove(0);
    late.send_bytes(&v1("192.0.2.7")).await;
    late.expect("220 ").await;
    for _ in 0..2 {
        silent.push(connected(behind, BALANCER, b"").await);
    }
    one_is_turned_away(&mut silent).await;
    for (client, last) in silent.iter_mut().zip(8..) {
        client.send_bytes(&v1(&format!("192.0.2.{last}"))).await;
        client.expect("220 ").await;
    }
    assert_eq!(silent.len(), 2);
}

#[tokio::test]
async fn a_burst_of_clients_behind_a_balancer_is_served_when_their_headers_are_there() {
    let rig = narrow_rig().await;
    let address = rig.address("behind").into();
    let balancer = SocketAddr::new(BALANCER.parse().unwrap(), 0).into();
    // All of them wait before the relay can accept one: nothing is awaited here.
    let burst: Vec<std::net::TcpStream> = (1..=6)
        .map(|last| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&balancer).unwrap();
            socket.connect(&address).unwrap();
            (&socket).write_all(&v1(&format!("192.0.2.{last}"))).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.into()
        })
        .collect();
    // Three times as many as may owe a header.
    for client in burst {
        Client::over(TcpStream::from_std(client).unwrap()).expect("220 ").await;
    }
}

#[tokio::test]
async fn a_client_behind_a_balancer_that_finds_no_place_is_counted() {
    let rig = narrow_rig().await;
    let mut places = Vec::new();
    for last in 1..=6 {
        let header = v1(&format!("192.0.2.{last}"));
        let mut client = connected(rig.address("behind"), BALANCER, &header).await;
        client.expect("220 ").await;
        places.push(client);
    }
    for _ in 0..3 {
        let mut client = connected(rig.address("behind"), BALANCER, b"").await;
        client.expect("421 4.7.0 too many sessions, try again later").await;
    }
    let series = "turned_away_total{protocol=\"submission\",reason=\"too-many-sessions\"}";
    until_metric(&rig, series, 3).await;
}
