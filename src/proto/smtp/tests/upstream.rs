//! The upstream machine in transcripts: the sign-in and its verdicts.

use crate::proto::smtp::{SmtpUpstream, Welcome};
use crate::proto::transcript::{Ended, play_upstream, play_upstream_ahead};
use crate::proto::{Lasting, UpstreamFault, UpstreamRefusal};
use crate::provider::{Mechanism, UpstreamTls};

/// `user=alice@example.com ^A auth=Bearer secret-token ^A ^A` in base64.
pub(super) const XOAUTH2: &str =
    "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBzZWNyZXQtdG9rZW4BAQ==";

/// Exchange Online as far as the token.
const EXCHANGE: &str = "
    S: 220 ZR0P278CA0001.outlook.office365.com Microsoft ESMTP MAIL Service ready at Mon, 2 Nov 2026 09:00:00 +0000 [WlIwUDI3OENBMDAwMQ==]
    C: EHLO [127.0.0.1]
    S: 250-ZR0P278CA0001.outlook.office365.com Hello [192.0.2.1]
    S: 250-SIZE 157286400
    S: 250-PIPELINING
    S: 250-DSN
    S: 250-ENHANCEDSTATUSCODES
    S: 250-STARTTLS
    S: 250-8BITMIME
    S: 250-BINARYMIME
    S: 250-CHUNKING
    S: 250 SMTPUTF8
    C: STARTTLS
    S: 220 2.0.0 SMTP server ready
    TLS
    C: EHLO [127.0.0.1]
    S: 250-ZR0P278CA0001.outlook.office365.com Hello [192.0.2.1]
    S: 250-SIZE 157286400
    S: 250-PIPELINING
    S: 250-DSN
    S: 250-ENHANCEDSTATUSCODES
    S: 250-AUTH LOGIN XOAUTH2
    S: 250-8BITMIME
    S: 250-BINARYMIME
    S: 250-CHUNKING
    S: 250 SMTPUTF8
    TOKEN
    C: AUTH XOAUTH2
";

/// Gmail's port 465 as far as the token.
const GMAIL: &str = "
    S: 220 smtp.gmail.com ESMTP ffacd0b85a97d-3a1b2c3d4e5sm1.2 - gsmtp
    C: EHLO [127.0.0.1]
    S: 250-smtp.gmail.com at your service, [192.0.2.1]
    S: 250-SIZE 35882577
    S: 250-8BITMIME
    S: 250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH
    S: 250-ENHANCEDSTATUSCODES
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250 SMTPUTF8
    TOKEN
    C: AUTH XOAUTH2
";

/// A server with nothing but AUTH, implicit TLS, as far as the token.
const PLAINEST: &str = "
    S: 220 mx
    C: EHLO [127.0.0.1]
    S: 250-mx
    S: 250 AUTH XOAUTH2 OAUTHBEARER
    TOKEN
";

fn play(tls: UpstreamTls, mechanism: Mechanism, script: &str) -> Ended<Welcome> {
    play_upstream(|| SmtpUpstream::new(tls, mechanism), mechanism, script)
}

pub(super) fn play_implicit(script: &str) -> Ended<Welcome> {
    play(UpstreamTls::Implicit, Mechanism::Xoauth2, script)
}

pub(super) fn play_starttls(script: &str) -> Ended<Welcome> {
    play(UpstreamTls::StartTls, Mechanism::Xoauth2, script)
}

/// Plays what comes after AUTH XOAUTH2 and gives the refusal that it ends in.
fn refused(script: &str) -> UpstreamRefusal {
    match play_implicit(&format!("{PLAINEST}\nC: AUTH XOAUTH2\n{script}")) {
        Ended::Refused(refusal) => refusal,
        ended @ (Ended::Authenticated(..) | Ended::Fault(_) | Ended::Waiting) => {
            panic!("{ended:?} is no refusal")
        }
    }
}

#[test]
fn exchange_takes_the_token_behind_starttls() {
    let script = format!(
        "{EXCHANGE}
         S: 334\\x20
         C: {XOAUTH2}
         S: 235 2.7.0 Authentication successful"
    );
    let Ended::Authenticated(welcome, leftover) = play_starttls(&script) else { panic!() };
    assert_eq!(welcome.reply, [&b"235 2.7.0 Authentication successful"[..]]);
    assert_eq!(
        welcome.extensions.lines().collect::<Vec<_>>(),
        [
            "SIZE 157286400",
            "8BITMIME",
            "SMTPUTF8",
            "DSN",
            "PIPELINING",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "BINARYMIME",
        ]
    );
    assert!(leftover.is_empty());
}

#[test]
fn gmail_takes_the_token_under_implicit_tls() {
    let script = format!(
        "{GMAIL}
         S: 334\\x20
         C: {XOAUTH2}
         S: 235 2.7.0 Accepted"
    );
    let Ended::Authenticated(welcome, _) = play_implicit(&script) else { panic!() };
    assert_eq!(
        welcome.extensions.lines().collect::<Vec<_>>(),
        ["SIZE 35882577", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING",]
    );
}

#[test]
fn gmail_s_error_challenge_is_answered_and_its_refusal_told_in_one_line() {
    let script = format!(
        "{GMAIL}
         S: 334\\x20
         C: {XOAUTH2}
         S: 334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==
         C:
         S: 535-5.7.8 Username and Password not accepted. For more information, go to
         S: 535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp"
    );
    let Ended::Refused(refusal) = play_implicit(&script) else { panic!() };
    assert_eq!(
        refusal,
        UpstreamRefusal {
            reply: "535 5.7.8 Username and Password not accepted. For more information, go to \
                    https://support.google.com/mail/?p=BadCredentials x - gsmtp"
                .to_owned(),
            lasting: Lasting::Permanent,
            challenge_status: Some("400".to_owned()),
            is_farewell: false,
        }
    );
}

#[test]
fn a_refusal_is_temporary_with_4xx_and_permanent_with_5xx() {
    for (reply, lasting) in [
        ("400 4.0.0 x", Lasting::Temporary),
        ("421 4.7.0 closing", Lasting::Temporary),
        ("432 4.3.2 Concurrent connections limit exceeded", Lasting::Temporary),
        ("454 4.7.0 later", Lasting::Temporary),
        ("500 5.5.2 syntax", Lasting::Permanent),
        ("535 5.7.139 SmtpClientAuthentication is disabled for the Address", Lasting::Permanent),
        ("599 x", Lasting::Permanent),
    ] {
        let refusal = refused(&format!("S: 334\nC: {XOAUTH2}\nS: {reply}"));
        let (is_farewell, reply) = (reply.starts_with("421 "), reply.to_owned());
        let challenge_status = None;
        let expected = UpstreamRefusal { reply, lasting, challenge_status, is_farewell };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn a_421_behind_a_challenge_is_a_word_on_the_token() {
    for challenge in ["", "!", "eyJzdGF0dXMiOiI0MDAifQ=="] {
        let refusal = refused(&format!("S: 334\nC: {XOAUTH2}\nS: 334 {challenge}\nC:\nS: 421 x"));
        assert!(!refusal.is_farewell, "{challenge:?}");
    }
}

#[test]
fn the_token_is_kept_when_the_mechanism_is_refused_at_once() {
    for reply in ["454 4.7.0 later", "503 5.5.1 order", "504 5.5.4 what", "535 5.7.3 no", "421 x"] {
        assert_eq!(refused(&format!("S: {reply}")).reply, reply);
    }
}

#[test]
fn the_welcome_keeps_every_line_and_what_is_behind_it_is_left() {
    let script = format!(
        "{PLAINEST}
         C: AUTH XOAUTH2
         S: 334
         C: {XOAUTH2}
         S| 235-2.7.0  Hello\\r\\n235-\\r\\n235 \\xe9\\r\\n421 clo"
    );
    let Ended::Authenticated(welcome, leftover) = play_implicit(&script) else { panic!() };
    assert_eq!(welcome.reply, [&b"235-2.7.0  Hello"[..], b"235-", b"235 \xe9"]);
    assert_eq!(leftover, b"421 clo");
}

#[test]
fn replies_out_of_place_are_a_fault() {
    let to_auth = format!("{PLAINEST}\nC: AUTH XOAUTH2\n");
    let scripts = [
        "S: 250 hello".to_owned(),
        "S: * OK IMAP4rev1 ready".to_owned(),
        "S: SSH-2.0-OpenSSH_9.6".to_owned(),
        "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 220 mx".to_owned(),
        format!("{to_auth}S: 235 without the token"),
        format!("{to_auth}S: 250 ok"),
        format!("{to_auth}S: 334\nC: {XOAUTH2}\nS: 250 ok"),
        format!("{to_auth}S: 334\nC: {XOAUTH2}\nS: 334\nC:\nS: 334"),
        format!("{to_auth}S: 334\nC: {XOAUTH2}\nS: 334\nC:\nS: 235 after all"),
    ];
    for script in scripts {
        let fault = play_implicit(&script).fault();
        assert!(matches!(fault, UpstreamFault::Protocol { .. }), "{script}: {fault:?}");
    }
}

/// A sign-in at Exchange that is begun before there is a token, up to where it is shown.
fn ahead() -> String {
    EXCHANGE.replace("TOKEN\n    C: AUTH XOAUTH2", "C: AUTH XOAUTH2\n    S: 334\n    TOKEN")
}

fn play_ahead(script: &str) -> Ended<Welcome> {
    let machine = || SmtpUpstream::new(UpstreamTls::StartTls, Mechanism::Xoauth2);
    play_upstream_ahead(machine, Mechanism::Xoauth2, script)
}

#[test]
fn a_sign_in_that_was_begun_ahead_brings_the_same_welcome() {
    let end = format!("C: {XOAUTH2}\n    S: 235 2.7.0 Authentication successful");
    let at_once = play_starttls(&format!("{EXCHANGE}    S: 334\n    {end}")).welcome();
    assert_eq!(play_ahead(&format!("{}    {end}", ahead())).welcome(), at_once);
}

#[test]
fn a_sign_in_that_was_begun_ahead_is_refused_as_any_other() {
    let script = format!(
        "{}    C: {XOAUTH2}\n    S: 334 eyJzdGF0dXMiOiI0MDAifQ==\n    C:\n    S: 535 5.7.3 no",
        ahead()
    );
    let (reply, lasting, status) = play_ahead(&script).refusal();
    assert_eq!((&*reply, lasting), ("535 5.7.3 no", Lasting::Permanent));
    assert_eq!(status.as_deref(), Some("400"));
}

#[test]
fn no_token_is_due_where_the_server_does_not_ask_for_it() {
    let begun = EXCHANGE.replace("TOKEN\n", "");
    let refused = play_ahead(&format!("{begun}    S: 454 4.7.0 not now")).refusal();
    assert_eq!(refused.1, Lasting::Temporary);
    for reply in ["235 2.7.0 already", "250 what", "220 hello"] {
        play_ahead(&format!("{begun}    S: {reply}")).problem();
    }
}
