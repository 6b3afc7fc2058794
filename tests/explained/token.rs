//! What is wrong with a token that a mail server refuses: the log says it by what the token says of
//! itself, in each protocol, and never shows it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mailbearer::provider::Protocol;
use mailbearer::sandbox::AUDIENCE;
use serde_json::{Value, json};

use crate::scene::{rig_with, sign_in};
use crate::support::Client;
use crate::support::log::Log;

/// Another audience, no permission, another user; the last is right. A program whose token has ended
/// is not believed in the first place: tests/refused_token.rs has that one.
const FLAWS: [(&str, &str, &str); 4] = [
    ("graph", "aud", "https://graph.microsoft.com"),
    ("lacks", "scp", "Other"),
    ("other", "upn", "bob@example.com"),
    ("right", "", ""),
];

/// A token for `mailbox` whose claim `name` says `value`; nobody has signed it.
fn token(mailbox: &str, name: &str, value: &str) -> String {
    let mut claims = json!({
        "aud": AUDIENCE,
        "scp": "SMTP.Send IMAP.AccessAsUser.All POP.AccessAsUser.All",
        "upn": mailbox,
        "exp": 4_102_444_800_u64,
    });
    if !name.is_empty() {
        claims[name] = value.into();
    }
    let part = |text: &Value| URL_SAFE_NO_PAD.encode(text.to_string());
    format!("{}.{}.cGxhbnRlZA", part(&json!({"alg": "RS256"})), part(&claims))
}

/// What the log says of the token of `mailbox`.
fn told(flaw: &str, protocol: Protocol, mailbox: &str) -> String {
    let (prefix, permission) = match protocol {
        Protocol::Submission => ("SMTP", "SMTP.Send"),
        Protocol::Imap => ("IMAP", "IMAP.AccessAsUser.All"),
        Protocol::Pop3 => ("POP", "POP.AccessAsUser.All"),
    };
    match flaw {
        "graph" => format!(
            "token=\"aud=https://graph.microsoft.com (Microsoft Graph), which is not {AUDIENCE}\""
        ),
        "lacks" => format!("token=\"scp=Other, which lacks {permission}\""),
        "other" => format!("token=\"upn=bob@example.com, which is not {mailbox}: "),
        _ => format!("token=\"the token is right for {prefix} and {mailbox}\""),
    }
}

#[tokio::test]
async fn the_log_says_what_is_wrong_with_a_refused_token_in_each_protocol_and_never_shows_it() {
    let tokens = FLAWS.map(|(flaw, name, value)| {
        let mailbox = format!("{flaw}@example.com");
        let token = token(&mailbox, name, value);
        (flaw, mailbox, token)
    });
    let accounts = tokens.each_ref().map(|(_, mailbox, token)| {
        format!(
            "[accounts.\"{mailbox}\"]\nprovider = \"sandbox\"\ngrant = \"command\"\n\
             command = [\"echo\", \"{token}\"]\nlocal_password = {{ file = \"password\" }}\n"
        )
    });
    let log = Log::keep();
    let rig = rig_with(&accounts.concat()).await;
    for (flaw, mailbox, token) in &tokens {
        for protocol in Protocol::ALL {
            let (address, line, [_, last]) = sign_in(&rig, protocol, mailbox);
            let mut client = Client::connect(address).await;
            client.line().await;
            client.send(&line).await;
            let refused = ["535 5.7.3 ", "a NO [AUTHORIZATIONFAILED] ", "-ERR [SYS/PERM] "];
            let heard = client.expect_after(last).await.pop().unwrap();
            assert!(refused.iter().any(|it| heard.starts_with(it)), "{flaw}: {heard}");

            let logged = log.take_until("refused ").await;
            let told = told(flaw, protocol, mailbox);
            assert!(logged.lines().last().unwrap().contains(&told), "{told} is not in {logged}");
            let shown =
                STANDARD.encode(format!("user={mailbox}\u{1}auth=Bearer {token}\u{1}\u{1}"));
            for secret in token.split('.').chain([shown.as_str()]) {
                assert!(!logged.contains(secret), "{logged}");
            }
        }
    }
}
