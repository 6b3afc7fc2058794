//! What `serve` logs: lines that can be read by programs, one at the end of each session, and no
//! secret, whatever clients send.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Fault, Step, Times};
use serde_json::Value;
use support::serve::{OTHER_SECRET, Served};
use support::{ALICE, AUTH_PLAIN, Client, PASSWORD, WRONG_PLAIN};

/// AUTH PLAIN as `eve", "account": "bob` with the password `wrong`.
const FORGED_PLAIN: &str = "AUTH PLAIN AGV2ZSIsICJhY2NvdW50IjogImJvYgB3cm9uZw==";

/// An account that makes a warning, because nobody can sign in to it.
const BOB: &str = "bob@example.com";

/// The file's part about [`BOB`] and the log.
macro_rules! with_bob {
    ($log:literal) => {
        concat!(
            "[accounts.\"bob@example.com\"]\n",
            "provider = \"sandbox\"\n",
            "client_id = \"other\"\n",
            "client_secret = { env = \"OTHER_SECRET\" }\n",
            "grant = \"client-credentials\"\n",
            // As many sessions as the descriptors of any machine allow.
            "[limits]\nsessions = 100\n",
            "[log]\nlevel = \"trace\"\n",
            $log
        )
    };
}

/// A client that signs in at the fourth attempt.
async fn submit(served: &Served) {
    let mut client = served.client().await;
    served.provider.token_fault(Fault::Html, Times::Next(1));
    client.ask(AUTH_PLAIN, "454 ").await;
    client.ask(WRONG_PLAIN, "535 ").await;
    client.ask(FORGED_PLAIN, "535 ").await;
    client.ask(AUTH_PLAIN, "235 ").await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
}

/// A client that signs in at the second attempt.
async fn read(served: &Served) {
    let mut client = Client::connect(served.imap).await;
    client.expect("* OK").await;
    client.ask(&format!("a LOGIN \"{ALICE}\u{202e}\" {PASSWORD}"), "a NO").await;
    client.send(&format!("b LOGIN {ALICE} {PASSWORD}")).await;
    client.expect_after("b OK").await;
    client.send("c LOGOUT").await;
    client.expect_after("c OK").await;
    client.expect_end().await;
}

/// Clients that do all kinds of things, and what was logged of them.
async fn logged(extra: &'static str) -> String {
    let served = Served::start(extra).await;
    submit(&served).await;
    read(&served).await;
    served.terminate();
    let client_secret = served.provider.client_secret().to_owned();
    let command_line = served.command_line.clone();
    let written = served.ended().await;
    let everything = command_line + &written;
    let base64 = AUTH_PLAIN.rsplit_once(' ').unwrap().1;
    for secret in [PASSWORD, base64, &client_secret, OTHER_SECRET, "eyJ", "wrong\""] {
        assert!(!everything.contains(secret), "{secret} is in {everything}");
    }
    written
}

#[tokio::test]
async fn each_line_of_json_is_an_object_with_the_sessions_fields() {
    let written = logged(with_bob!("format = \"json\"\n")).await;
    let lines: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        // RFC 3339 section 5.6, in UTC.
        let time = line["timestamp"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    }
    let said = |message: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["message"] == message).collect()
    };
    let [warning] = said("nobody can sign in, there is no local password").try_into().unwrap();
    assert_eq!((&warning["level"], &warning["account"]), (&"WARN".into(), &BOB.into()));
    assert_eq!(warning["hint"], format!("mailbearer password {BOB}"));

    let refused: Vec<_> = said("refused")
        .into_iter()
        .map(|line| (&line["account"], &line["refusal"], &line["span"]["id"]))
        .collect();
    let wrong = &Value::from("wrong-password");
    let [one, two] = [&Value::from("0001"), &Value::from("0002")];
    assert_eq!(
        refused,
        [
            (&ALICE.into(), &"token-endpoint-unavailable".into(), one),
            (&ALICE.into(), wrong, one),
            (&"eve\", \"account\": \"bob".into(), wrong, one),
            (&format!("{ALICE}\u{202e}").into(), wrong, two),
        ]
    );
    for message in ["signed in", "closed"] {
        let [first, second] = said(message).try_into().unwrap();
        for (line, id) in [(first, one), (second, two)] {
            assert_eq!((&line["span"]["account"], &line["span"]["id"]), (&ALICE.into(), id));
        }
    }
    for line in said("closed") {
        assert_eq!(line["outcome"], "signed-in");
        assert!(line["upstream"].is_string(), "{line}");
        for number in ["up_bytes", "down_bytes", "lasted_s"] {
            assert!(line[number].is_u64(), "{number}: {line}");
        }
    }
    assert!(said("signed in").iter().all(|line| line["upstream_ms"].is_u64()), "{written}");
}

#[tokio::test]
async fn each_line_of_text_is_a_message_and_fields_that_nobody_can_forge() {
    let written = logged(with_bob!("format = \"text\"\n")).await;
    for line in written.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == 27, "{line}");
        assert!(["WARN  ", "INFO  "].iter().any(|level| rest.starts_with(level)), "{line}");
        assert!(line.matches(" account=\"").count() <= 1, "{line}");
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
    }
    let refused = "WARN  refused account=\"eve\\\", \\\"account\\\": \\\"bob\" \
                   refusal=\"wrong-password\" fix=\"";
    let behind = "\" id=0001 protocol=\"submission\" listener=\"submission\" peer=127.0.0.1:";
    let refused = written.lines().find_map(|line| line.split_once(refused));
    assert!(refused.is_some_and(|(_, rest)| rest.contains(behind)), "{written}");
    let outage = "WARN  refused account=\"alice@example.com\" \
                  refusal=\"token-endpoint-unavailable\" cause=\"127.0.0.1 gives no token now: ";
    assert!(written.contains(outage), "{written}");
}

#[tokio::test]
async fn lack_of_consent_is_told_with_the_account_that_has_to_consent() {
    let served = Served::start(
        "[accounts.\"carol@example.com\"]\nprovider = \"sandbox\"\nclient_id = \"person\"\n\
         grant = \"authorization-code\"\nlocal_password = \"any\"\n\
         [accounts.\"shared@example.com\"]\ngrant_of = \"carol@example.com\"\n\
         local_password = \"any\"\n[limits]\nsessions = 100\n",
    )
    .await;
    served.terminate();
    let written = served.ended().await;
    let lines = written.lines().filter(|line| line.contains("consent is needed"));
    let told: Vec<_> =
        lines.filter_map(|line| line.split_once("account=")).map(|it| it.1).collect();
    assert_eq!(
        told,
        [
            "carol@example.com hint=\"mailbearer authorize carol@example.com\"",
            "shared@example.com hint=\"mailbearer authorize carol@example.com\"",
        ],
        "{written}"
    );
}

#[tokio::test]
async fn each_session_leaves_one_closing_line() {
    let served = Served::start("").await;
    let mut signed_in = served.client().await;
    signed_in.ask(AUTH_PLAIN, "235 ").await;
    signed_in.ask("NOOP", "250").await;
    signed_in.ask("QUIT", "221").await;
    signed_in.expect_end().await;
    let mut refused = served.client().await;
    refused.ask(WRONG_PLAIN, "535 5.7.8 ").await;
    refused.ask("QUIT", "221").await;
    refused.expect_end().await;
    let mut stranger = served.client().await;
    stranger.ask("QUIT", "221").await;
    stranger.expect_end().await;
    // Its password is right; behind the gate it is refused.
    served.provider.script().on(
        Protocol::Submission,
        Step::Token,
        Times::Always,
        Action::Reply("535 5.7.139 Authentication unsuccessful\r\n".into()),
    );
    let mut unserved = served.client().await;
    unserved.ask(AUTH_PLAIN, "535 5.7.139").await;
    // A wrong one behind it takes nothing back.
    unserved.ask(WRONG_PLAIN, "535 5.7.8 ").await;
    unserved.ask("QUIT", "221").await;
    unserved.expect_end().await;
    let served_at = served.provider.smtp().to_string();
    served.terminate();
    let log = served.ended().await;

    let mut closed: Vec<&str> = log.lines().filter(|line| line.contains(" closed ")).collect();
    assert_eq!(closed.len(), 4, "{log}");
    // Two that end at nearly the same time are told in any order.
    closed.sort_by_key(|line| line.split(" id=").nth(1));
    for (line, parts) in closed.iter().zip([
        // What was streamed: NOOP and QUIT up; 235, 250 and 221 down.
        &[
            "reason=\"closed\" side=upstream ",
            " last_reply=\"221 ",
            " up_bytes=12 ",
            " gate_wait_ms=0 dial_ms=",
            " tls_ms=",
            " token_ms=",
            " sign_in_ms=",
            "id=0001 ",
            "account=\"alice@example.com\"",
            " outcome=\"signed-in\" ",
            &format!(" upstream=\"{}\"", served_at),
        ][..],
        &[
            "reason=\"quit\" side=downstream up_bytes=0 down_bytes=0 ",
            "id=0002 ",
            " outcome=\"refused\" id=",
        ],
        &["reason=\"quit\" ", "id=0003 ", " outcome=\"no-claim\" id="],
        &[
            "reason=\"quit\" ",
            "id=0004 ",
            " outcome=\"refused\" ",
            &format!(" upstream=\"{}\" gate_wait_ms=0 dial_ms=", served_at),
            " sign_in_ms=",
            "account=\"alice@example.com\"",
        ],
    ]) {
        for part in parts.iter().chain(&["lasted_s=", "protocol=", "listener=", "peer=127.0.0.1:"])
        {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
    // Who shows no right password takes no steps, and is nobody.
    for line in &closed {
        let is_known = line.contains("id=0001 ") || line.contains("id=0004 ");
        assert_eq!(line.contains("_ms="), is_known, "{line}");
        assert_eq!(line.contains("account="), is_known, "{line}");
    }
    for part in [" WARN  refused ", "wrong-password", " INFO  signed in ", ALICE] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
}

#[tokio::test]
async fn a_refusal_names_its_session_at_every_level_that_shows_it() {
    let served = Served::start("[log]\nlevel = \"warn\"\n").await;
    served.provider.token_fault(Fault::Html, Times::Always);
    let mut client = served.client().await;
    client.ask(WRONG_PLAIN, "535 ").await;
    client.ask(AUTH_PLAIN, "454 ").await;
    client.ask("QUIT", "221").await;
    served.terminate();
    let log = served.ended().await;
    for refusal in ["wrong-password", "token-endpoint-unavailable"] {
        let refused = format!("refusal=\"{refusal}\"");
        let line = log.lines().find(|line| line.contains(&refused)).unwrap();
        for field in ["id=", "protocol=\"submission\"", "peer=127.0.0.1:", ALICE] {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
    assert!(!log.contains(" INFO "), "{log}");
}
