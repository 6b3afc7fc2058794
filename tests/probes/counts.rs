//! Each counter moves by the event that it is for, and by nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::Username;
use mailbearer::provider::{PerProtocol, Protocol};
use mailbearer::sandbox::{Action, Fault, Step, Throttle, Times, TurnsAway};

use mailbearer::secret::ExposeSecret as _;
use tokio::task::yield_now;
use tokio::time::{pause, resume};

use crate::scene::{moved, rig, series, value, with};
use crate::support::client::until;
use crate::support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings, WRONG_PLAIN};

const SUBMISSION: &str = "{protocol=\"submission\"}";

/// What a sign-in with the first token of all moves.
const SIGNED_IN: [(&str, f64); 2] = [
    ("sign_ins{protocol=\"submission\"}", 1.0),
    ("token_requests{grant=\"client-credentials\",outcome=\"ok\"}", 1.0),
];

async fn quit(client: &mut Client) {
    client.ask("QUIT", "221").await;
    client.expect_end().await;
}

/// Begins a message; gives the final reply.
async fn message(client: &mut Client) -> String {
    client.ask(&format!("MAIL FROM:<{ALICE}>"), "250").await;
    client.ask(&format!("RCPT TO:<{ALICE}>"), "250").await;
    client.ask("DATA", "354").await;
    client.send("Subject: x\r\n\r\nx\r\n.").await;
    client.line().await
}

/// The series of sessions of submission that ended so.
fn ended(outcome: &str, reason: &str) -> String {
    format!("sessions{{protocol=\"submission\",outcome=\"{outcome}\",reason=\"{reason}\"}}")
}

fn durations(rig: &crate::scene::Series) -> Vec<f64> {
    ["gate_wait", "dial", "tls", "token", "sign_in"]
        .map(|step| value(rig, &format!("{step}_seconds_count{SUBMISSION}")))
        .to_vec()
}

#[tokio::test]
async fn session_counts_by_protocol_and_outcome_with_the_time_of_its_steps() {
    let rig = rig("").await;
    let before = series(&rig).await;
    assert_eq!(durations(&before), [0.0; 5]);
    let mut client = rig.signed_in().await;
    moved(&rig, &before, &SIGNED_IN).await;
    let during = series(&rig).await;
    let active = |series: &_, phase: &str| {
        value(series, &format!("active_sessions{{protocol=\"submission\",phase=\"{phase}\"}}"))
    };
    assert_eq!([active(&during, "signing-in"), active(&during, "signed-in")], [0.0, 1.0]);
    assert_eq!(durations(&during), [1.0; 5]);

    client.ask("NOOP", "250").await;
    quit(&mut client).await;
    let ended = ("sessions{protocol=\"submission\",outcome=\"signed-in\",reason=\"closed\"}", 1.0);
    moved(&rig, &before, &[&SIGNED_IN[..], &[ended]].concat()).await;
    let after = series(&rig).await;
    assert_eq!(active(&after, "signed-in"), 0.0);
    let bytes = |direction: &str| {
        let labels = format!("{{protocol=\"submission\",direction=\"{direction}\"}}");
        value(&after, &format!("streamed_bytes_total{labels}"))
    };
    // NOOP and QUIT; the verdict and two replies.
    assert_eq!(bytes("up"), 12.0);
    assert!(bytes("down") > 12.0);

    // Another one with the token in memory, by another protocol.
    let before = series(&rig).await;
    let mut client = rig.signed_in_by_imap(ALICE, PASSWORD).await;
    client.send("b LOGOUT").await;
    client.expect_after("b OK").await;
    client.expect_end().await;
    let expected = [
        ("sign_ins{protocol=\"imap\"}", 1.0),
        ("sessions{protocol=\"imap\",outcome=\"signed-in\",reason=\"closed\"}", 1.0),
    ];
    moved(&rig, &before, &expected).await;
    assert_eq!(durations(&series(&rig).await), [1.0; 5], "that was no submission");
}

#[tokio::test]
async fn bytes_count_while_they_are_streamed() {
    let rig = rig("").await;
    let mut client = rig.signed_in().await;
    let up = "streamed_bytes_total{protocol=\"submission\",direction=\"up\"}";
    assert_eq!(value(&series(&rig).await, up), 0.0);
    client.ask("NOOP", "250").await;
    assert_eq!(value(&series(&rig).await, up), 6.0);
}

#[tokio::test]
async fn refusals_count_by_their_kind() {
    let rig = rig("").await;
    let before = series(&rig).await;
    let mut client = rig.greeted("submission").await;
    client.ask(WRONG_PLAIN, "535 ").await;
    moved(&rig, &before, &[("refusals{protocol=\"submission\",kind=\"wrong-password\"}", 1.0)])
        .await;

    let before = series(&rig).await;
    rig.provider.token_fault(Fault::Html, Times::Always);
    client.ask(AUTH_PLAIN, "454 ").await;
    let failed = [
        ("refusals{protocol=\"submission\",kind=\"token-endpoint-unavailable\"}", 1.0),
        ("token_requests{grant=\"client-credentials\",outcome=\"temporary\"}", 1.0),
    ];
    moved(&rig, &before, &failed).await;
    let before = series(&rig).await;
    quit(&mut client).await;
    moved(&rig, &before, &[(&ended("refused", "quit"), 1.0)]).await;
}

#[tokio::test]
async fn consent_that_lacks_counts_as_such_and_as_no_outage() {
    let rig = rig("[accounts.\"bob@example.com\"]\nprovider = \"sandbox\"\n\
         grant = \"authorization-code\"\nlocal_password = { file = \"password\" }\n")
    .await;
    let before = series(&rig).await;
    let mut client = rig.greeted("imap").await;
    client.ask(&format!("a LOGIN bob@example.com {PASSWORD}"), "a NO [CONTACTADMIN]").await;
    let expected = [
        ("refusals{protocol=\"imap\",kind=\"consent-needed\"}", 1.0),
        ("token_requests{grant=\"authorization-code\",outcome=\"consent\"}", 1.0),
    ];
    moved(&rig, &before, &expected).await;
}

#[tokio::test]
async fn mailbox_that_the_provider_refuses_counts_as_that() {
    let rig = rig("").await;
    let before = series(&rig).await;
    let denied = Action::Reply("535 5.7.139 Authentication unsuccessful\r\n".into());
    rig.provider.script().on(Protocol::Submission, Step::Token, Times::Always, denied);
    let mut client = rig.greeted("submission").await;
    client.ask(AUTH_PLAIN, "535 5.7.139").await;
    let expected = [
        ("refusals{protocol=\"submission\",kind=\"upstream-refused\"}", 1.0),
        ("token_requests{grant=\"client-credentials\",outcome=\"ok\"}", 1.0),
    ];
    moved(&rig, &before, &expected).await;
    assert_eq!(durations(&series(&rig).await), [1.0; 5], "all steps were done");
}

#[tokio::test]
async fn gate_that_stays_full_counts_as_a_refusal_with_its_wait() {
    let provider = "concurrent_sessions = { submission = 1 }";
    let settings = RigSettings { provider, ..RigSettings::default() };
    let rig = with(settings, "[limits]\nwait_for_slot = \"0s\"\n").await;
    let _first = rig.signed_in().await;
    let before = series(&rig).await;
    let mut second = rig.greeted("submission").await;
    second.ask(AUTH_PLAIN, "454 4.3.2").await;
    moved(&rig, &before, &[("refusals{protocol=\"submission\",kind=\"mailbox-busy\"}", 1.0)]).await;
    assert_eq!(durations(&series(&rig).await), [2.0, 1.0, 1.0, 1.0, 1.0], "nobody dialled");
}

/// A relay before mailboxes with one place each, and a client that has it.
async fn full() -> (Rig, Client) {
    let provider = "concurrent_sessions = { submission = 1 }";
    let rig = with(RigSettings { provider, ..RigSettings::default() }, "").await;
    let inside = rig.signed_in().await;
    (rig, inside)
}

/// A client that waits for its place.
async fn queued(rig: &Rig) -> Client {
    let alice = Username::parse(ALICE).unwrap();
    // One that was made is judged without a thread, so the gate is next behind the answer to NOOP.
    let made = rig.operator.make_password(&alice, None, Vec::new()).await.unwrap().password;
    let response = STANDARD.encode(format!("\0{ALICE}\0{}", made.expose_secret()));
    let mut client = rig.greeted("submission").await;
    client.send_bytes(format!("NOOP\r\nAUTH PLAIN {response}\r\n").as_bytes()).await;
    client.expect("250 2.0.0 ").await;
    client
}

#[tokio::test]
async fn client_that_leaves_the_gate_counts_as_unanswered_with_its_wait() {
    let (rig, _inside) = full().await;
    let before = series(&rig).await;
    drop(queued(&rig).await);
    moved(&rig, &before, &[(&ended("unanswered", "gave-up"), 1.0)]).await;
    assert_eq!(durations(&series(&rig).await), [2.0, 1.0, 1.0, 1.0, 1.0], "it waited in vain");
}

#[tokio::test]
async fn client_that_waits_when_the_drain_begins_counts_as_unanswered() {
    let (rig, _inside) = full().await;
    let before = series(&rig).await;
    let mut waiting = queued(&rig).await;
    rig.shutdown.drain.cancel();
    waiting.expect("421 4.3.2 ").await;
    moved(&rig, &before, &[(&ended("unanswered", "draining"), 1.0)]).await;
}

#[tokio::test]
async fn guess_counts_before_it_is_answered() {
    let rig = rig("").await;
    let before = series(&rig).await;
    let mut guesser = rig.greeted("submission").await;
    // While a task is always ready no timer is waited for: the second before the answer never ends.
    pause();
    let busy = tokio::spawn(async {
        loop {
            yield_now().await;
        }
    });
    guesser.send(WRONG_PLAIN).await;
    let refused = ("refusals{protocol=\"submission\",kind=\"wrong-password\"}", 1.0);
    let name = refused.0.replace('{', "_total{");
    let mut polls = 0;
    while value(&series(&rig).await, &name) == 0.0 {
        polls += 1;
        assert!(polls < 10_000, "it is not counted while it waits for its answer");
    }
    drop(guesser);
    busy.abort();
    resume();
    moved(&rig, &before, &[refused, (&ended("refused", "gave-up"), 1.0)]).await;
}

#[tokio::test]
async fn provider_that_says_432_counts_as_a_throttle() {
    let rig = rig("").await;
    let sessions_per_mailbox = PerProtocol { submission: Some(1), imap: None, pop3: None };
    let turns_away = TurnsAway::AtMail;
    rig.provider.set_throttle(Throttle { sessions_per_mailbox, turns_away, ..Throttle::default() });
    let _first = rig.signed_in().await;
    let mut second = rig.signed_in().await;
    let before = series(&rig).await;
    second.ask(&format!("MAIL FROM:<{ALICE}>"), "432 4.3.2 ").await;
    let throttled = ("throttles{protocol=\"submission\",provider=\"sandbox\"}", 1.0);
    moved(&rig, &before, &[throttled]).await;
}

#[tokio::test]
async fn messages_count_by_who_took_or_refused_them() {
    let rig = rig("[listeners.devices]\nprotocol = \"submission\"\naddress = \"127.0.0.1:0\"\n\
         devices = true\n[devices.scanner]\naccount = \"alice@example.com\"\n\
         networks = [\"127.0.0.1\"]\nsenders = [\"scanner@example.com\"]\n")
    .await;
    let mut client = rig.signed_in().await;
    let before = series(&rig).await;
    assert!(message(&mut client).await.starts_with("250"));
    moved(&rig, &before, &[("messages_accepted", 1.0)]).await;

    let before = series(&rig).await;
    let denied = Action::Reply("554 5.2.0 no\r\n".into());
    rig.provider.script().on(Protocol::Submission, Step::Message, Times::Next(1), denied);
    assert!(message(&mut client).await.starts_with("554"));
    moved(&rig, &before, &[("messages_refused{by=\"provider\"}", 1.0)]).await;

    let before = series(&rig).await;
    let mut device = rig.greeted("devices").await;
    device.ask("EHLO scanner", "250-").await;
    device.expect_after("250 ").await;
    device.ask(&format!("MAIL FROM:<{ALICE}>"), "553 ").await;
    let expected =
        [("sign_ins{protocol=\"submission\"}", 1.0), ("messages_refused{by=\"relay\"}", 1.0)];
    moved(&rig, &before, &expected).await;
}

#[tokio::test]
async fn those_who_get_no_session_count_by_the_reason() {
    let limited = rig("[limits]\nsessions_per_peer = 1\n").await;
    let before = series(&limited).await;
    let _first = limited.greeted("submission").await;
    let mut second = Client::connect(limited.submission).await;
    second.expect("421 ").await;
    let reason = "turned_away{protocol=\"submission\",reason=\"too-many-from-peer\"}";
    moved(&limited, &before, &[(reason, 1.0)]).await;

    let full = rig("[limits]\nsessions = 1\n").await;
    let before = series(&full).await;
    let _first = full.greeted("submission").await;
    let mut second = Client::connect(full.imap).await;
    second.expect("* BYE").await;
    let reason = "turned_away{protocol=\"imap\",reason=\"too-many-sessions\"}";
    moved(&full, &before, &[(reason, 1.0)]).await;

    let announced = "[limits]\nsessions = 1\n[listeners.behind]\nprotocol = \"submission\"\n\
                     address = \"127.0.0.1:0\"\nrequire_tls = false\n\
                     proxy_protocol_from = [\"127.0.0.2\"]\n";
    let balanced = rig(announced).await;
    let before = series(&balanced).await;
    let _first = balanced.greeted("submission").await;
    let balancer = "127.0.0.2".parse().unwrap();
    let mut second = Client::connect_from(balancer, balanced.address("behind")).await;
    second.expect("421 ").await;
    let reason = "turned_away{protocol=\"submission\",reason=\"too-many-sessions\"}";
    moved(&balanced, &before, &[(reason, 1.0)]).await;

    let settings = RigSettings { allow: "[\"192.0.2.0/24\"]", ..RigSettings::default() };
    let elsewhere: Rig = with(settings, "").await;
    let before = series(&elsewhere).await;
    Client::connect(elsewhere.imap).await.rest_until_it_breaks().await;
    let reason = "turned_away{protocol=\"imap\",reason=\"not-allowed\"}";
    moved(&elsewhere, &before, &[(reason, 1.0)]).await;
}

#[tokio::test]
async fn connections_that_are_made_ahead_count_by_what_becomes_of_them() {
    let rig = rig("[limits]\nwarm_connections = 1\n").await;
    let before = series(&rig).await;
    let ready = |series: &_| value(series, &format!("warm_ready{SUBMISSION}"));
    for _ in 0..2 {
        quit(&mut rig.signed_in().await).await;
    }
    until("one is ready", async || (ready(&series(&rig).await) == 1.0).then_some(())).await;
    quit(&mut rig.signed_in().await).await;
    let taken = [
        ("sign_ins{protocol=\"submission\"}", 3.0),
        SIGNED_IN[1],
        (&ended("signed-in", "closed"), 3.0),
        ("warm_taken{protocol=\"submission\"}", 1.0),
    ];
    moved(&rig, &before, &taken).await;
    until("another one is ready", async || (ready(&series(&rig).await) == 1.0).then_some(())).await;
    let (before, dialled) = (series(&rig).await, durations(&series(&rig).await));
    assert_eq!(dialled, [3.0, 2.0, 2.0, 3.0, 3.0], "nothing was dialled for the third");
    pause();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    resume();
    let unused = [("warm_dropped{protocol=\"submission\",reason=\"unused\"}", 1.0)];
    moved(&rig, &before, &unused).await;
    assert_eq!(ready(&series(&rig).await), 0.0);
}

#[tokio::test]
async fn a_session_that_finds_none_where_there_should_be_one_counts_as_missed() {
    let rig = rig("[limits]\nwarm_connections = 1\n").await;
    quit(&mut rig.signed_in().await).await;
    let script = rig.provider.script();
    let auth = Step::Command("AUTH");
    script.on(Protocol::Submission, auth, Times::Next(1), Action::Reply("334 \r\n".into()));
    script.on(Protocol::Submission, auth, Times::Next(1), Action::Stall);
    quit(&mut rig.signed_in().await).await;
    let before = series(&rig).await;
    // The connection that is made behind the second is not ready yet.
    quit(&mut rig.signed_in().await).await;
    let missed = [
        ("sign_ins{protocol=\"submission\"}", 1.0),
        (&ended("signed-in", "closed"), 1.0),
        ("warm_missed{protocol=\"submission\"}", 1.0),
    ];
    moved(&rig, &before, &missed).await;
}
