//! The downstream machine in transcripts: STARTTLS, and what is refused before TLS is up.

use super::Smtp;
use crate::proto::Privacy;
use crate::proto::promises::server;

#[track_caller]
fn play(privacy: Privacy, script: &str) {
    server::session::<Smtp>(privacy, script);
}

#[test]
fn auth_is_shown_and_served_under_tls_alone_where_tls_is_required() {
    play(
        Privacy::Required,
        "C: EHLO client
         S: 250-mailbearer
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: EHLO client
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t",
    );
}

#[test]
fn auth_is_shown_and_served_in_clear_too_where_tls_is_offered() {
    play(
        Privacy::Offered,
        "C: EHLO client
         S: 250-mailbearer
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
