//! The downstream machine in transcripts: STARTTLS, and what is refused before TLS is up.

use bytes::Bytes;

use super::downstream::hear;
use crate::proto::smtp::*;
use crate::proto::{Privacy, transcript};

fn play(privacy: Privacy, script: &str) {
    let welcome = Welcome {
        reply: vec![Bytes::from_static(b"235 2.7.0 signed in")],
        extensions: Extensions::default(),
    };
    let machine = || SmtpDownstream::new(Extensions::declared(&["SIZE 10"]), privacy);
    transcript::play(machine, &welcome, &format!("S: 220 mailbearer ESMTP ready\n{script}"));
}

#[test]
fn auth_is_shown_and_served_under_tls_alone_where_tls_is_required() {
    play(
        Privacy::Required,
        "C: EHLO client
         S: 250-mailbearer
         S: 250-SIZE 10
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: EHLO client
         S: 250-mailbearer
         S: 250-SIZE 10
         S: 250 AUTH PLAIN LOGIN
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: accept
         S: 235 2.7.0 signed in",
    );
}

#[test]
fn auth_is_shown_and_served_in_clear_too_where_tls_is_offered() {
    play(
        Privacy::Offered,
        "C: EHLO client
         S: 250-mailbearer
         S: 250-SIZE 10
         S: 250-STARTTLS
         S: 250 AUTH PLAIN LOGIN
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw",
    );
}

#[test]
fn starttls_is_taken_before_ehlo_after_helo_and_in_lower_case() {
    for before in ["", "C: HELO client\nS: 250 mailbearer\n"] {
        play(
            Privacy::Required,
            &format!(
                "{before}C: starttls\\x20
                 S: 220 2.0.0 ready for the TLS handshake
                 TLS
                 C: AUTH PLAIN AGFsaWNlAHB3
                 ?: alice pw"
            ),
        );
    }
}

#[test]
fn starttls_with_arguments_is_refused_and_clear_text_goes_on() {
    // RFC 3207 section 4: no parameters, else 501.
    play(
        Privacy::Offered,
        "C: STARTTLS now
         S: 501 5.5.4 STARTTLS takes no arguments
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw",
    );
}

#[test]
fn starttls_is_refused_under_tls() {
    // RFC 3207 section 4.2: not to be offered once TLS is up. Implicit TLS is no other.
    let refused = "C: STARTTLS
         S: 503 5.5.1 TLS is active already
         C: STARTTLS now
         S: 503 5.5.1 TLS is active already
         C: EHLO client
         S: 250-mailbearer
         S: 250-SIZE 10
         S: 250 AUTH PLAIN LOGIN";
    play(Privacy::Tls, refused);
    play(
        Privacy::Required,
        &format!(
            "C: STARTTLS
             S: 220 2.0.0 ready for the TLS handshake
             TLS
             {refused}"
        ),
    );
}

#[test]
fn auth_is_refused_unread_before_tls_and_asks_for_nothing() {
    // Not base64, cancelled, foreign: what came inline is not looked at.
    for auth in
        ["PLAIN AGFsaWNlAHB3", "PLAIN", "LOGIN", "LOGIN YWxpY2U=", "PLAIN !", "CRAM-MD5", "PLAIN *"]
    {
        play(
            Privacy::Required,
            &format!(
                "C: AUTH {auth}
                 S: 538 5.7.11 begin TLS first (STARTTLS), then sign in
                 C: NOOP
                 S: 250 2.0.0 OK"
            ),
        );
    }
}

#[test]
fn mail_is_told_to_begin_tls_where_that_comes_first() {
    play(
        Privacy::Required,
        "C: MAIL FROM:<a@example.com>
         S: 530 5.7.0 begin TLS first (STARTTLS), then sign in
         C: RCPT TO:<b@example.com>
         S: 503 5.5.1 sign in and send MAIL first
         C: HELP
         S: 214 2.0.0 begin TLS with STARTTLS, then sign in and send
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: MAIL FROM:<a@example.com>
         S: 530 5.7.0 Authentication required",
    );
}

#[test]
fn bytes_in_clear_behind_starttls_end_the_session() {
    // CVE-2011-0411: said by somebody on the path, to be taken as said under TLS.
    for injected in ["RSET\\r\\n", "AUTH PLAIN AGFsaWNlAHB3\\r\\n", "\\n", "\\x16\\x03\\x01"] {
        play(
            Privacy::Required,
            &format!(
                "C| STARTTLS\\r\\n{injected}
                 S: 220 2.0.0 ready for the TLS handshake
                 TLS
                 X: CleartextBehindStartTls"
            ),
        );
    }
}

#[test]
fn a_response_that_was_begun_in_clear_is_forgotten_under_tls() {
    play(
        Privacy::Offered,
        "C: AUTH LOGIN YWxpY2U=
         S: 334 UGFzc3dvcmQ6
         C: *
         S: 501 5.7.0 sign-in cancelled
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: cHc=
         S: 500 5.5.1 unknown command",
    );
}

#[test]
fn failures_from_before_tls_are_counted_under_it() {
    play(
        Privacy::Required,
        "C: AUTH LOGIN
         S: 538 5.7.11 begin TLS first (STARTTLS), then sign in
         C: AUTH LOGIN
         S: 538 5.7.11 begin TLS first (STARTTLS), then sign in
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse wrong-password
         S: 421 4.7.0 too many failures, closing
         X: TooManyFailures",
    );
}

#[test]
fn commands_from_before_tls_are_counted_under_it() {
    let noops = |count| "C: NOOP\nS: 250 2.0.0 OK\n".repeat(count);
    play(
        Privacy::Offered,
        &format!(
            "{}C: STARTTLS
             S: 220 2.0.0 ready for the TLS handshake
             TLS
             {}C: AUTH PLAIN AGFsaWNlAHB3
             S: 421 4.7.0 too many commands and no sign-in, closing
             X: TooManyCommands",
            noops(9),
            noops(189)
        ),
    );
}

#[test]
fn a_tls_handshake_where_a_command_is_due_closes_at_its_first_byte() {
    for privacy in [Privacy::Clear, Privacy::Offered, Privacy::Required, Privacy::Tls] {
        play(privacy, "C| \\x16\\x03\\x01\\x02\\n\nX: ClientHello");
    }
    // A client that begins all the same when it was refused.
    play(
        Privacy::Clear,
        "C: STARTTLS
         S: 502 5.5.1 STARTTLS is not offered on this port
         C| \\x16
         X: ClientHello",
    );
}

#[test]
fn a_tls_handshake_is_no_response() {
    let (said, closed) = hear(b"AUTH PLAIN\r\n\x16\x03\r\nNOOP\r\n");
    assert_eq!(said, "334 \r\n501 5.5.2 this is not base64\r\n250 2.0.0 OK\r\n");
    assert_eq!(closed, None);
}
