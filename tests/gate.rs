//! The gate of a mailbox, as clients meet it: as many sessions as its provider takes, the rest in
//! order of arrival, and no `432` that a wait could spare them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailbearer::names::{Address, Username};
use mailbearer::provider::{PerProtocol, Protocol};
use mailbearer::relay::online::Outcome;
use mailbearer::sandbox::{Action, Speaker, Step, Throttle, Times, TurnsAway};
use mailbearer::secret::ExposeSecret as _;
use support::log::Log;
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, Rig, RigSettings};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{advance, pause, resume};

/// For how long a `432` closes a gate.
const CLOSED_FOR: Duration = Duration::from_secs(10);

/// What whoever runs the relay reads of a client that found no place.
const BUSY: &str = "refusal=\"mailbox-busy\"";

/// A second listener for the same mailboxes.
const SECOND: &str = "[listeners.second]\nprotocol = \"submission\"\naddress = \"127.0.0.1:0\"\n";

/// Nobody waits.
const NO_WAIT: &str = "[limits]\nwait_for_slot = \"0s\"\n";

/// The same, and listeners for everybody else.
const ALL_AND_NO_WAIT: &str = r#"
    [listeners.devices]
    protocol = "submission"
    address = "127.0.0.1:0"
    devices = true

    [listeners.pop3]
    protocol = "pop3"
    address = "127.0.0.1:0"

    [devices.scanner]
    account = "alice@example.com"
    networks = ["127.0.0.1"]

    [limits]
    wait_for_slot = "0s"
"#;

/// One place, and a listener for a scanner.
const DEVICES: &str = r#"
    [listeners.devices]
    protocol = "submission"
    address = "127.0.0.1:0"
    devices = true

    [devices.scanner]
    account = "alice@example.com"
    networks = ["127.0.0.1"]
"#;

fn alice() -> Username {
    Username::parse(ALICE).unwrap()
}

async fn rig(provider: &'static str, extra: &'static str) -> Rig {
    Rig::with(RigSettings { provider, extra, ..RigSettings::default() }).await
}

/// A provider that takes so many submission sessions of a mailbox, and says 432 to more.
fn takes(sessions: u32, turns_away: TurnsAway) -> Throttle {
    let sessions_per_mailbox = PerProtocol { submission: Some(sessions), imap: None, pop3: None };
    Throttle { sessions_per_mailbox, turns_away, ..Throttle::default() }
}

/// AUTH PLAIN as [`ALICE`] with a password that was made just now. It costs no thread, so that a
/// client is in the queue as soon as its sign-in is read.
async fn sign_in(rig: &Rig) -> String {
    let made = rig.operator.make_password(&alice(), None, Vec::new()).await.unwrap().password;
    let response = STANDARD.encode(format!("\0{ALICE}\0{}", made.expose_secret()));
    format!("AUTH PLAIN {response}")
}

/// Has `client` say `sign_in`, and gives once it is in the queue: the answer to the command before
/// it leaves when the sign-in was read, and the next one to run is the gate.
async fn queue(client: &mut Client, sign_in: &str) {
    client.send_bytes(format!("NOOP\r\n{sign_in}\r\n").as_bytes()).await;
    client.expect("250 2.0.0 ").await;
}

/// A client of that listener that waits for its place, or has it.
async fn queued(rig: &Rig, listener: &str, sign_in: &str) -> Client {
    let mut client = rig.greeted(listener).await;
    queue(&mut client, sign_in).await;
    client
}

/// Ends the session of `client`.
async fn leave(mut client: Client) {
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
}

/// Lets that much time pass at once.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

#[tokio::test]
async fn twenty_clients_of_two_listeners_are_served_three_at_once_in_order() {
    let rig = rig("concurrent_sessions = { submission = 3 }", SECOND).await;
    rig.provider.set_throttle(takes(3, TurnsAway::AtSignIn));
    let sign_in = sign_in(&rig).await;
    let mut waiting = Vec::new();
    for nth in 0..20 {
        let listener = ["submission", "second"][nth % 2];
        waiting.push(queued(&rig, listener, &sign_in).await);
    }
    let mut inside = Vec::new();
    for (nth, mut next) in waiting.into_iter().enumerate() {
        // Whoever were let in before it would have its place, and it would wait for ever.
        next.expect("235 ").await;
        inside.push(next);
        if nth >= 2 {
            leave(inside.remove(0)).await;
        }
    }
    for client in inside {
        leave(client).await;
    }
    assert_eq!(rig.provider.peak_sessions(Protocol::Submission, &alice()), 3);
    assert_eq!(rig.provider.turned_away(Protocol::Submission), 0, "432s");
    assert_eq!(rig.provider.smtp_connections(), 20);
}

#[tokio::test]
async fn a_burst_of_twenty_messages_arrives_whole_and_meets_no_432() {
    let rig = rig("concurrent_sessions = { submission = 3 }", SECOND).await;
    rig.provider.set_throttle(takes(3, TurnsAway::AtSignIn));
    let addresses = [rig.submission, rig.address("second")];
    let mut clients = JoinSet::new();
    for nth in 0..20 {
        clients.spawn(async move {
            let mut client = Client::connect(addresses[nth % 2]).await;
            client.expect("220 ").await;
            client.ask(AUTH_PLAIN, "235 ").await;
            client.ask(&format!("MAIL FROM:<{ALICE}>"), "250 ").await;
            client.ask(&format!("RCPT TO:<{ALICE}>"), "250 ").await;
            client.ask("DATA", "354 ").await;
            client.send_bytes(format!("Subject: {nth}\r\n\r\n.\r\n").as_bytes()).await;
            client.expect("250 ").await;
            leave(client).await;
        });
    }
    clients.join_all().await;
    let mut arrived = rig.messages();
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived.len(), 20, "each arrives once");
    assert!(rig.provider.peak_sessions(Protocol::Submission, &alice()) <= 3);
    assert_eq!(rig.provider.turned_away(Protocol::Submission), 0, "432s");
}

#[tokio::test]
async fn without_the_gate_the_same_provider_says_432() {
    let rig = Rig::start().await;
    rig.provider.set_throttle(takes(1, TurnsAway::AtMail));
    let _first = rig.signed_in().await;
    let mut second = rig.signed_in().await;
    second.ask(&format!("MAIL FROM:<{ALICE}>"), "432 4.3.2 ").await;
    assert_ne!(rig.provider.turned_away(Protocol::Submission), 0);
}

#[tokio::test]
async fn a_client_that_gives_up_while_it_waits_leaves_the_queue_at_once() {
    let log = Log::keep();
    let rig = rig("concurrent_sessions = { submission = 1 }", SECOND).await;
    let sign_in = sign_in(&rig).await;
    let mut inside = queued(&rig, "submission", &sign_in).await;
    inside.expect("235 ").await;
    let reset = queued(&rig, "second", &sign_in).await;
    let mut closed = queued(&rig, "submission", &sign_in).await;
    let mut patient = queued(&rig, "second", &sign_in).await;
    reset.reset();
    log.take_until("closed reason=\"gave-up\" side=downstream").await;
    closed.close().await;
    closed.expect_end().await;
    log.take_until("closed reason=\"gave-up\" side=downstream").await;
    leave(inside).await;
    patient.expect("235 ").await;
    let told = log.take_until(" signed in ").await;
    assert!(told.lines().last().unwrap().contains(" listener=\"second\" "), "{told}");
    assert_eq!(rig.provider.smtp_connections(), 2, "nobody dials for who has gone");
}

#[tokio::test]
async fn a_device_that_gives_up_behind_its_mail_leaves_the_queue_and_one_that_said_more_is_served()
{
    let log = Log::keep();
    let rig = rig("concurrent_sessions = { submission = 1 }", DEVICES).await;
    let inside = rig.signed_in().await;
    let mail = format!("MAIL FROM:<{ALICE}>");
    let mut gone = queued(&rig, "devices", &mail).await;
    gone.close().await;
    gone.expect_end().await;
    log.take_until("closed reason=\"gave-up\" side=downstream").await;
    let rest = format!("RCPT TO:<{ALICE}>\r\nDATA\r\nSubject: late\r\n\r\n.\r\nQUIT");
    let mut patient = queued(&rig, "devices", &format!("{mail}\r\n{rest}")).await;
    patient.close().await;
    leave(inside).await;
    patient.expect_after("221 ").await;
    assert_eq!(rig.messages().len(), 1);
    assert_eq!(rig.provider.smtp_connections(), 2, "nobody dials for who has gone");
}

#[tokio::test]
async fn who_may_not_sign_in_any_more_leaves_the_queue_at_once_and_hears_so() {
    let log = Log::keep();
    let rig = rig("concurrent_sessions = { submission = 1 }", DEVICES).await;
    let _inside = rig.signed_in().await;
    let mut revoked = queued(&rig, "submission", &sign_in(&rig).await).await;
    rig.operator.revoke_password(&alice(), None).await.unwrap();
    revoked.expect("535 5.7.8 ").await;
    let told = log.take_until("refusal=\"wrong-password\"").await;
    assert!(told.contains("reason=\"revoked\""), "{told}");
    let mut removed = queued(&rig, "devices", &format!("MAIL FROM:<{ALICE}>")).await;
    let (_, device) = DEVICES.split_once("[devices.scanner]").unwrap();
    rig.reload(|text| text.replace(&format!("[devices.scanner]{device}"), "")).await.unwrap();
    removed.expect("530 5.7.0 ").await;
    let told = log.take_until("refusal=\"no-device\"").await;
    assert!(told.contains("reason=\"device-removed\""), "{told}");
    assert_eq!(rig.provider.smtp_connections(), 1);
}

#[tokio::test]
async fn a_client_that_closes_behind_its_commands_is_served_when_its_turn_comes() {
    let rig = rig("concurrent_sessions = { submission = 1 }", "").await;
    let sign_in = sign_in(&rig).await;
    let mut inside = queued(&rig, "submission", &sign_in).await;
    inside.expect("235 ").await;
    let mut gone = rig.greeted("submission").await;
    let commands = format!(
        "{sign_in}\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\nSubject: late\r\n\r\n\
         .\r\nQUIT"
    );
    queue(&mut gone, &commands).await;
    gone.close().await;
    leave(inside).await;
    let heard = gone.expect_after("221 ").await;
    let codes: Vec<_> = heard.iter().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["235", "250", "250", "354", "250", "221"]);
    assert_eq!(&rig.messages()[0][..], b"Subject: late\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_finds_no_place_in_time_hears_so_in_its_own_protocol_and_may_try_again() {
    let log = Log::keep();
    let provider = "pop3 = {pop3}\nconcurrent_sessions = { submission = 1, imap = 1, pop3 = 1 }";
    let rig = rig(provider, ALL_AND_NO_WAIT).await;
    let pop3 = AUTH_PLAIN;
    let mail = format!("MAIL FROM:<{ALICE}>");
    let imap = format!("a LOGIN {ALICE} {PASSWORD}");
    let submission_holds = rig.signed_in().await;
    let mut imap_holds = rig.signed_in_by_imap(ALICE, PASSWORD).await;
    let mut pop3_holds = rig.greeted("pop3").await;
    pop3_holds.ask(pop3, "+OK").await;
    let mut turned_away = Vec::new();
    for (listener, claim, refused) in [
        ("submission", AUTH_PLAIN, "454 4.3.2 "),
        ("devices", &*mail, "451 4.3.2 "),
        ("imap", &*imap, "a NO [LIMIT] "),
        ("pop3", pop3, "-ERR [SYS/TEMP] "),
    ] {
        let mut client = rig.greeted(listener).await;
        client.ask(claim, refused).await;
        let told = log.take_until(BUSY).await;
        let told = told.lines().last().unwrap();
        for part in ["WARN", "account=\"alice@example.com\"", "`limits.wait_for_slot`"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        turned_away.push(client);
    }
    let connections = [
        rig.provider.smtp_connections(),
        rig.provider.imap_connections(),
        rig.provider.pop3_connections(),
    ];
    assert_eq!(connections, [1, 1, 1], "nobody dials without a place");

    leave(submission_holds).await;
    imap_holds.send("b LOGOUT").await;
    imap_holds.expect_after("b OK").await;
    pop3_holds.ask("QUIT", "+OK").await;
    drop((imap_holds, pop3_holds));
    for _ in 0..3 {
        log.take_until(" closed ").await;
    }
    let [mut smtp, mut device, mut imaps, mut pop3s] = turned_away.try_into().ok().unwrap();
    smtp.ask(AUTH_PLAIN, "235 ").await;
    leave(smtp).await;
    log.take_until(" closed ").await;
    device.ask(&mail, "250 ").await;
    imaps.send(&imap).await;
    imaps.expect_after("a OK").await;
    pop3s.ask(pop3, "+OK").await;
}

#[tokio::test]
async fn a_432_at_the_sign_in_is_waited_out_and_the_client_hears_the_outcome_alone() {
    let log = Log::keep();
    let rig = Rig::start().await;
    // Somebody else has the mailbox's one place, of whom this relay knows nothing.
    rig.provider.set_throttle(takes(0, TurnsAway::AtSignIn));
    let mut client = rig.greeted("submission").await;
    client.send(AUTH_PLAIN).await;
    let told = log.take_until("the mailbox's gate is closed for a while").await;
    assert!(told.contains("432 4.3.2 Concurrent connections limit exceeded"), "{told}");
    rig.provider.set_throttle(Throttle::default());
    // Another one that comes waits as well, and dials nobody.
    let sign_in = sign_in(&rig).await;
    let mut second = queued(&rig, "submission", &sign_in).await;
    pass(CLOSED_FOR - Duration::from_secs(1)).await;
    assert_eq!(rig.provider.smtp_connections(), 1);
    pass(Duration::from_secs(1)).await;
    client.expect("235 ").await;
    second.expect("235 ").await;
    assert_eq!(rig.provider.turned_away(Protocol::Submission), 1);
    assert_eq!(rig.provider.smtp_connections(), 3);
}

#[tokio::test]
async fn a_432_at_mail_reaches_the_client_and_closes_the_gate() {
    let log = Log::keep();
    let rig = rig("", NO_WAIT).await;
    rig.provider.set_throttle(takes(1, TurnsAway::AtMail));
    let first = rig.signed_in().await;
    let mut second = rig.signed_in().await;
    let heard = second.ask(&format!("MAIL FROM:<{ALICE}>"), "432 4.3.2 ").await;
    assert!(heard.contains("Concurrent connections limit exceeded"), "{heard}");
    let told = log.take_until("reply=\"432 4.3.2 ").await;
    assert!(told.contains("cause=") && told.contains("fix="), "{told}");
    let mut third = rig.greeted("submission").await;
    third.ask(AUTH_PLAIN, "454 4.3.2 ").await;
    assert_eq!(rig.provider.smtp_connections(), 2);
    // Those who are inside stay.
    leave(first).await;
    second.ask(&format!("MAIL FROM:<{ALICE}>"), "250 ").await;
    pass(CLOSED_FOR).await;
    third.ask(AUTH_PLAIN, "235 ").await;
}

#[tokio::test]
async fn a_432_in_place_of_a_greeting_closes_the_gate_and_is_explained() {
    let log = Log::keep();
    let rig = rig("", NO_WAIT).await;
    let throttled = "432 4.3.2 Concurrent connections limit exceeded.";
    let reply = Action::ReplyThenClose(format!("{throttled}\r\n").into());
    rig.provider.script().on(Protocol::Submission, Step::Greeting, Times::Next(1), reply);
    for _ in 0..2 {
        let mut client = rig.greeted("submission").await;
        client.ask(AUTH_PLAIN, "454 4.3.2 ").await;
    }
    let told = log.take_until(BUSY).await;
    for part in [&*format!("reply=\"{throttled}\""), "cause=", "fix="] {
        assert!(told.lines().last().unwrap().contains(part), "{part}: {told}");
    }
    assert_eq!(rig.provider.smtp_connections(), 1);
    let accounts = rig.operator.accounts().await.unwrap();
    assert_eq!(accounts[0].mail_error.as_ref().unwrap().reply, throttled);
}

#[tokio::test]
async fn a_432_that_a_command_hears_closes_the_gate() {
    let rig = rig("", NO_WAIT).await;
    let bob = || Address::parse("bob@example.com").unwrap();
    for turns_away in [TurnsAway::AtSignIn, TurnsAway::AtMail] {
        for is_walk in [true, false] {
            rig.provider.set_throttle(takes(0, turns_away));
            let stopped = if is_walk {
                let walked = rig.operator.walk(&alice(), Protocol::Submission).await.unwrap().it;
                matches!(walked.steps.last().unwrap().outcome, Outcome::Failed(_))
            } else {
                rig.operator.send_test(&alice(), bob(), |_| ()).await.is_err()
            };
            // A walk says no MAIL.
            assert_eq!(stopped, !is_walk || turns_away == TurnsAway::AtSignIn);
            if stopped {
                let mut client = rig.greeted("submission").await;
                client.ask(AUTH_PLAIN, "454 4.3.2 ").await;
                pass(CLOSED_FOR).await;
            }
            rig.provider.set_throttle(Throttle::default());
            leave(rig.signed_in().await).await;
        }
    }
}

#[tokio::test]
async fn commands_stand_in_the_queue_of_the_clients_and_are_served_in_order() {
    let rig = Arc::new(rig("concurrent_sessions = { submission = 1 }", SECOND).await);
    let sign_in = sign_in(&rig).await;
    let mut inside = queued(&rig, "submission", &sign_in).await;
    inside.expect("235 ").await;
    let mut earlier = queued(&rig, "second", &sign_in).await;
    // A task runs as far as it can before anything more is heard from a socket.
    let walk = tokio::spawn({
        let rig = Arc::clone(&rig);
        async move { rig.operator.walk(&alice(), Protocol::Submission).await.unwrap().it }
    });
    yield_now().await;
    let send = tokio::spawn({
        let rig = Arc::clone(&rig);
        let recipient = Address::parse(ALICE).unwrap();
        async move { rig.operator.send_test(&alice(), recipient, |_| ()).await.unwrap() }
    });
    let mut later = queued(&rig, "submission", &sign_in).await;
    assert_eq!(rig.provider.smtp_connections(), 1, "nobody dials without a place");
    inside.ask("NOOP inside", "250 ").await;
    leave(inside).await;
    earlier.expect("235 ").await;
    earlier.ask("NOOP earlier", "250 ").await;
    assert_eq!(rig.provider.smtp_connections(), 2);
    leave(earlier).await;
    later.expect("235 ").await;
    later.ask("NOOP later", "250 ").await;
    leave(later).await;
    let last = walk.await.unwrap().steps.pop().unwrap();
    assert!(matches!(last.outcome, Outcome::Done(_)), "{last:?}");
    send.await.unwrap();
    assert_eq!(rig.messages().len(), 1);
    assert_eq!(rig.provider.peak_sessions(Protocol::Submission, &alice()), 1);
    assert_eq!(said_in_turn(&rig), ["NOOP inside", "NOOP earlier", "QUIT", "MAIL", "NOOP later"]);
}

/// What the provider heard first behind each sign-in by submission, in the order of connections.
fn said_in_turn(rig: &Rig) -> Vec<String> {
    let mut transcripts = rig.provider.transcripts();
    transcripts.retain(|it| it.protocol == Protocol::Submission);
    transcripts.sort_by_key(|it| it.number);
    let said = transcripts.into_iter().map(|it| {
        let entries = it.entries.into_iter().skip_while(|entry| !entry.text.starts_with("235 "));
        let mut heard = entries.filter(|entry| entry.speaker == Speaker::Client);
        let first = heard.next().unwrap().text;
        first.split(" FROM").next().unwrap().to_owned()
    });
    said.collect()
}

#[tokio::test]
async fn three_sessions_of_microsoft_s_preset_are_served_at_once_and_no_fourth() {
    let log = Log::keep();
    let rig = rig("", NO_WAIT).await;
    let as_microsoft = |text: String| {
        text.replace("[providers.sandbox]", "[providers.microsoft]")
            .replace("provider = \"sandbox\"", "provider = \"microsoft\"\ntenant = \"example.com\"")
    };
    rig.reload(as_microsoft).await.unwrap();
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(rig.signed_in().await);
    }
    let mut fourth = rig.greeted("submission").await;
    fourth.ask(AUTH_PLAIN, "454 4.3.2 ").await;
    leave(inside.remove(0)).await;
    log.take_until(" closed ").await;
    fourth.ask(AUTH_PLAIN, "235 ").await;
    assert_eq!(rig.provider.peak_sessions(Protocol::Submission, &alice()), 3);
}

#[tokio::test]
async fn accounts_share_a_gate_where_they_share_a_mailbox_and_nowhere_else() {
    let extra = r#"
        [accounts.printer]
        provider = "sandbox"
        local_password = { file = "password" }
        mailbox = { imap = "Alice@example.com" }

        [accounts."bob@example.com"]
        provider = "sandbox"
        local_password = { file = "password" }

        [limits]
        wait_for_slot = "0s"
    "#;
    let rig = rig("concurrent_sessions = { imap = 1, submission = 1 }", extra).await;
    let _alice = rig.signed_in_by_imap(ALICE, PASSWORD).await;
    let mut printer = rig.greeted("imap").await;
    printer.ask(&format!("a LOGIN printer {PASSWORD}"), "a NO [LIMIT] ").await;
    let _bob = rig.signed_in_by_imap("bob@example.com", PASSWORD).await;
    // Each protocol has a gate of its own.
    rig.signed_in().await;
    assert_eq!(rig.provider.imap_connections(), 2);
}
