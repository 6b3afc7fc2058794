//! Round trips: how many a sign-in waits for, through a relay and without one.
//!
//! Each direction of the path to the provider takes half a round trip, by a clock that stands still
//! while anybody has something to do. So what is counted is who has to wait for whom, and nothing of
//! what this machine takes for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the tests share one path")]

#[path = "../support/mod.rs"]
mod support;

mod path;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::Username;
use mailbearer::provider::{MailHost, Protocol, UpstreamTls};
use mailbearer::sandbox::{Fault, Times};
use mailbearer::secret::ExposeSecret as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, pause, resume, sleep};
use tokio_rustls::TlsConnector;

use path::{Path, ROUND_TRIP};
use support::client::AnyClient;
use support::stage::{IMAP_CLEAR, IMAP_WITHOUT_SASL_IR, Stage, Tls, Words, words};
use support::upstream::Script;
use support::{ALICE, AUTH_PLAIN, BOB_PLAIN, Client, Rig, RigSettings};

/// A provider at the far end of a path, with a relay before it.
struct Far {
    rig: Rig,
    path: Path,
    protocol: Protocol,
}

impl Far {
    /// One that keeps so many warm connections. A token is in memory.
    async fn away(protocol: Protocol, tls: UpstreamTls, warm: usize) -> Self {
        let path = Path::new().await;
        let (port, name) = (path.address.port(), protocol.name());
        let way = match tls {
            UpstreamTls::Implicit => "implicit",
            UpstreamTls::StartTls => "starttls",
        };
        let extra = format!(
            "[listeners.far]\nprotocol = \"{name}\"\naddress = \"127.0.0.1:0\"\n\
             accounts = [\"{ALICE}\"]\n\
             upstream = {{ host = \"127.0.0.1\", port = {port}, tls = \"{way}\" }}\n\
             [limits]\nwarm_connections = {warm}\n"
        );
        let extra: &'static str = extra.leak();
        let rig = Rig::with(RigSettings { tls, extra, ..RigSettings::default() }).await;
        path.lead_to(server(&rig, protocol).port);
        rig.signed_in().await;
        pause();
        Self { rig, path, protocol }
    }

    /// How many round trips a client of the relay waits for the verdict.
    async fn through_the_relay(&self) -> u32 {
        self.signing_in_by(words(self.protocol).sign_in).await
    }

    /// The same of one that signs in with this line.
    async fn signing_in_by(&self, sign_in: &str) -> u32 {
        let mut client = self.rig.greeted("far").await;
        let accepted = words(self.protocol).accepted;
        let begun = Instant::now();
        client.send(sign_in).await;
        client.expect_after(accepted).await;
        trips(begun)
    }

    /// How many a client waits that speaks to the provider itself and sends the token as providers
    /// want it: in SMTP and POP3 on a line of its own.
    async fn without(&self) -> u32 {
        let alice = Username::parse(ALICE).unwrap();
        let token = self.rig.operator.token(&alice, None).await.unwrap().it;
        let token = token.expose_secret();
        let token = STANDARD.encode(format!("user={ALICE}\x01auth=Bearer {token}\x01\x01"));
        let begun = Instant::now();
        let stream = TcpStream::connect(self.path.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = self.under_tls(Client::over(stream)).await;
        match self.protocol {
            Protocol::Submission => {
                client.send("EHLO direct.example").await;
                client.expect_after("250 ").await;
                client.ask("AUTH XOAUTH2", "334").await;
                client.ask(&token, "235 ").await;
            }
            Protocol::Imap => {
                client.send(&format!("a AUTHENTICATE XOAUTH2 {token}")).await;
                client.expect_after("a OK").await;
                // The OK tells none.
                client.send("b CAPABILITY").await;
                client.expect_after("b OK").await;
            }
            Protocol::Pop3 => {
                client.ask("AUTH XOAUTH2", "+").await;
                client.ask(&token, "+OK").await;
            }
        }
        trips(begun)
    }

    async fn under_tls(&self, mut client: Client) -> AnyClient {
        let mut roots = RootCertStore::empty();
        let ca = self.rig.provider.ca_pem();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let Words { greeting, start_tls, started, .. } = words(self.protocol);
        if server(&self.rig, self.protocol).tls == UpstreamTls::Implicit {
            let mut client = client.start_tls(&connector).await.of_any_kind();
            client.expect(greeting).await;
            return client;
        }
        client.expect(greeting).await;
        if self.protocol == Protocol::Submission {
            client.send("EHLO direct.example").await;
            client.expect_after("250 ").await;
        }
        client.ask(start_tls, started).await;
        let mut client = client.start_tls(&connector).await.of_any_kind();
        if self.protocol == Protocol::Imap {
            // Those from before TLS may be anybody's.
            client.send("c CAPABILITY").await;
            client.expect_after("c OK").await;
        }
        client
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // The next one is started by a clock that goes.
        resume();
    }
}

fn server(rig: &Rig, protocol: Protocol) -> MailHost {
    match protocol {
        Protocol::Submission => rig.provider.smtp(),
        Protocol::Imap => rig.provider.imap(),
        Protocol::Pop3 => rig.provider.pop3(),
    }
}

/// How many round trips have passed. Timers know milliseconds alone.
fn trips(begun: Instant) -> u32 {
    let (passed, whole) = (begun.elapsed().as_millis(), ROUND_TRIP.as_millis());
    assert!(passed % whole < whole / 4, "{passed} ms");
    u32::try_from(passed / whole).unwrap()
}

/// Round trips of TCP's own, of TLS 1.3, of the greeting and of each reply.
const COUNTED: [(Protocol, UpstreamTls, u32); 6] = [
    (Protocol::Submission, UpstreamTls::Implicit, 1 + 1 + 1 + 3),
    (Protocol::Submission, UpstreamTls::StartTls, 1 + 1 + 2 + 1 + 3),
    (Protocol::Imap, UpstreamTls::Implicit, 1 + 1 + 1 + 2),
    (Protocol::Imap, UpstreamTls::StartTls, 1 + 1 + 1 + 1 + 3),
    (Protocol::Pop3, UpstreamTls::Implicit, 1 + 1 + 1 + 2),
    (Protocol::Pop3, UpstreamTls::StartTls, 1 + 1 + 1 + 1 + 2),
];

#[tokio::test]
async fn a_sign_in_waits_for_no_round_trip_more_than_a_client_of_the_provider_does() {
    for (protocol, tls, counted) in COUNTED {
        let far = Far::away(protocol, tls, 0).await;
        assert_eq!(far.without().await, counted, "{protocol}, {tls:?}");
        assert_eq!(far.through_the_relay().await, counted, "{protocol}, {tls:?}");
    }
}

#[tokio::test]
async fn a_sign_in_on_a_warm_connection_waits_for_the_answer_to_the_token_alone() {
    for (protocol, tls, counted) in COUNTED {
        let far = Far::away(protocol, tls, 1).await;
        for _ in 0..2 {
            assert_eq!(far.through_the_relay().await, counted, "{protocol}, {tls:?}");
        }
        for _ in 0..3 {
            // As long as one takes to be made.
            sleep(ROUND_TRIP * (counted + 1)).await;
            assert_eq!(far.through_the_relay().await, 1, "{protocol}, {tls:?}");
        }
    }
}

#[tokio::test]
async fn a_warm_connection_to_an_imap_server_without_sasl_ir_saves_the_question_for_the_token() {
    let path = Path::new().await;
    let at = path.address.port();
    let stage = Stage::of(Tls::None, |text| {
        let hosts = text.lines().map(|line| match line.trim_start().strip_prefix("imap = ") {
            Some(_) => {
                format!("imap = {{ host = \"127.0.0.1\", port = {at}, tls = \"starttls\" }}\n")
            }
            None => format!("{line}\n"),
        });
        hosts.collect::<String>() + "[limits]\nwarm_connections = 1\n"
    })
    .await;
    let server = &stage.upstreams.imap;
    path.lead_to(server.address.port());
    let script = Script::parse(IMAP_CLEAR).and(&Script::parse(IMAP_WITHOUT_SASL_IR));
    for _ in 0..6 {
        server.plays(script.clone());
    }
    let sign_in = async || {
        let mut client = stage.greeted(Protocol::Imap).await;
        let Words { sign_in, accepted, .. } = words(Protocol::Imap);
        let begun = Instant::now();
        client.send(sign_in).await;
        client.expect_after(accepted).await;
        begun
    };
    // The token is in memory from here on.
    sign_in().await;
    pause();
    // TCP's own, of TLS, of the greeting and of each reply.
    for counted in [1 + 1 + 1 + 4, 1, 1, 1] {
        assert_eq!(trips(sign_in().await), counted);
        // As long as one takes to be made.
        sleep(ROUND_TRIP * 8).await;
    }
    resume();
}

#[tokio::test]
async fn capabilities_that_a_server_tells_unless_asked_are_asked_for_every_few_minutes() {
    let far = Far::away(Protocol::Imap, UpstreamTls::Implicit, 1).await;
    far.through_the_relay().await;
    let mut waited = Vec::new();
    // More often than a connection is kept, for as long as what was told counts, and longer.
    for _ in 0..60 {
        sleep(Duration::from_secs(6)).await;
        waited.push(far.through_the_relay().await);
    }
    let asked: Vec<_> = (0..).zip(&waited).filter(|(_, trips)| **trips == 2).collect();
    assert!(matches!(asked[..], [(45..=50, 2)]), "{waited:?}");
    assert!(waited[2..].iter().all(|trips| *trips <= 2), "{waited:?}");
}

/// Two more accounts, whose token is another one than that of [`ALICE`], and how they sign in.
const OTHERS: &str = "\n[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\ntenant = \"theirs.example\"\n\
    local_password = { file = \"password\" }\n\
    [accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\ntenant = \"theirs.example\"\n\
    local_password = { file = \"password\" }\n";
const CAROL: &str = "AUTH PLAIN AGNhcm9sQGV4YW1wbGUuY29tAGxvY2FsLXBhc3N3b3Jk";

/// One warm connection, and a token of the others that takes three round trips.
async fn one_ready_and_a_slow_token() -> Far {
    let far = Far::away(Protocol::Submission, UpstreamTls::Implicit, 1).await;
    let with_others = |text: String| {
        let text =
            text.replacen("/token\"", "/token?tenant={tenant}\"\ntenant = \"hers.example\"", 1);
        text.replacen("[\"alice@example.com\"]", "[\"*@example.com\"]", 1) + OTHERS
    };
    far.rig.reload(with_others).await.unwrap();
    for _ in 0..2 {
        far.through_the_relay().await;
    }
    sleep(ROUND_TRIP * 10).await;
    far.rig.provider.token_fault(Fault::Hold, Times::Next(1));
    far
}

async fn answer_in_three(far: &Far) {
    sleep(ROUND_TRIP * 3).await;
    far.rig.provider.release_answers();
}

#[tokio::test]
async fn of_two_that_await_a_token_one_waits_for_the_connection_and_one_dials_meanwhile() {
    let far = one_ready_and_a_slow_token().await;
    let (bob, carol, ()) =
        tokio::join!(far.signing_in_by(BOB_PLAIN), far.signing_in_by(CAROL), answer_in_three(&far));
    // The token, and its answer; the whole of a sign-in, in which the token came in time.
    assert_eq!([bob.min(carol), bob.max(carol)], [3 + 1, 1 + 1 + 1 + 3]);
}

#[tokio::test]
async fn who_loses_the_connection_while_the_token_is_awaited_dials_at_once() {
    let far = one_ready_and_a_slow_token().await;
    let alice = async {
        sleep(ROUND_TRIP).await;
        far.through_the_relay().await
    };
    let (bob, alice, ()) = tokio::join!(far.signing_in_by(BOB_PLAIN), alice, answer_in_three(&far));
    assert_eq!(alice, 1, "her token is in memory");
    assert_eq!(bob, 1 + (1 + 1 + 1 + 3), "from when she came on");
}

#[tokio::test]
async fn what_a_client_sends_behind_its_sign_in_leaves_in_one_write() {
    for warm in [0, 1] {
        let far = Far::away(Protocol::Submission, UpstreamTls::Implicit, warm).await;
        for _ in 0..2 {
            far.through_the_relay().await;
        }
        sleep(ROUND_TRIP * 10).await;
        let mut client = far.rig.greeted("far").await;
        let before = far.path.records_up();
        let batch = format!("MAIL FROM:<{ALICE}>\r\nRCPT TO:<{ALICE}>\r\nDATA");
        let begun = Instant::now();
        client.send(&format!("{AUTH_PLAIN}\r\n{batch}")).await;
        client.expect("235 ").await;
        let signed_in = trips(begun);
        client.expect("250 ").await;
        client.expect("250 ").await;
        client.expect("354 ").await;
        assert_eq!(trips(begun), signed_in + 1);
        // Of a new connection: the end of the handshake, EHLO, AUTH. And the token, the batch.
        let records = far.path.records_up() - before;
        assert_eq!(records, if warm == 0 { 5 } else { 2 });
    }
}
