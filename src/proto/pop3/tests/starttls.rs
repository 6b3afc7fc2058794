//! Transcripts of STLS on the downstream side, and of clients that begin TLS unasked.

use super::{WELCOME, hear, session, session_in};
use crate::proto::{CloseReason, Privacy};

#[test]
fn nothing_is_taken_before_tls_where_it_is_required() {
    session_in(
        Privacy::Required,
        "C: CAPA
         S: +OK capabilities follow
         S: STLS
         S: RESP-CODES
         S: AUTH-RESP-CODE
         S: UIDL
         S: TOP
         S: PIPELINING
         S: .
         C: USER alice
         S: -ERR start TLS first (STLS)
         C: PASS secret
         S: -ERR start TLS first (STLS)
         C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
         S: -ERR start TLS first (STLS)
         C: AUTH
         S: -ERR start TLS first (STLS)
         C: AUTH LOGIN
         S: -ERR too many failures, closing
         X: TooManyFailures",
    );
}

#[test]
fn stls_is_answered_and_under_tls_everything_is_there_but_stls() {
    for privacy in [Privacy::Offered, Privacy::Required] {
        session_in(
            privacy,
            &format!(
                "C: stls
                 S: +OK begin TLS now
                 TLS
                 C: CAPA
                 S: +OK capabilities follow
                 S: USER
                 S: SASL PLAIN LOGIN
                 S: RESP-CODES
                 S: AUTH-RESP-CODE
                 S: UIDL
                 S: TOP
                 S: PIPELINING
                 S: .
                 C: STLS
                 S: -ERR TLS is active already
                 C: USER alice
                 S: +OK send PASS
                 C: PASS secret
                 ?: alice secret
                 !: accept
                 S: {WELCOME}"
            ),
        );
    }
}

#[test]
fn where_tls_is_offered_and_not_required_a_client_may_do_without() {
    session_in(
        Privacy::Offered,
        &format!(
            "C: CAPA
             S: +OK capabilities follow
             S: USER
             S: SASL PLAIN LOGIN
             S: STLS
             S: RESP-CODES
             S: AUTH-RESP-CODE
             S: UIDL
             S: TOP
             S: PIPELINING
             S: .
             C: USER alice
             S: +OK send PASS
             C: PASS secret
             ?: alice secret
             !: accept
             S: {WELCOME}"
        ),
    );
}

#[test]
fn a_name_from_before_tls_is_forgotten() {
    session_in(
        Privacy::Offered,
        "C: USER mallory
         S: +OK send PASS
         C: STLS
         S: +OK begin TLS now
         TLS
         C: PASS secret
         S: -ERR say USER first",
    );
}

#[test]
fn failures_from_before_tls_count_on() {
    session_in(
        Privacy::Offered,
        "C: X
         S: -ERR unknown command
         C: X
         S: -ERR unknown command
         C: X
         S: -ERR unknown command
         C: STLS
         S: +OK begin TLS now
         TLS
         C: X
         S: -ERR unknown command
         C: X
         S: -ERR too many failures, closing
         X: TooManyFailures",
    );
}

#[test]
fn stls_is_refused_where_it_is_not_offered_or_has_arguments() {
    session("C: STLS\nS: -ERR STLS is not offered on this port");
    session_in(Privacy::Tls, "C: STLS\nS: -ERR TLS is active already");
    session_in(Privacy::Offered, "C: STLS now\nS: -ERR this command takes no arguments");
}

#[test]
fn bytes_in_clear_behind_stls_end_the_session_and_are_never_read() {
    let injected = b"STLS\r\nUSER mallory\r\nPASS x\r\n";
    for privacy in [Privacy::Offered, Privacy::Required] {
        let heard = hear(privacy, [&injected[..]]);
        assert_eq!(heard.closed, Some(CloseReason::CleartextBehindStartTls));
        assert_eq!(heard.said, "+OK mailbearer ready\r\n+OK begin TLS now\r\n");
        assert_eq!(heard.claims, []);
        // One byte will do, be it half of a line end.
        assert_eq!(
            hear(privacy, [&b"STLS\r\n\n"[..]]).closed,
            Some(CloseReason::CleartextBehindStartTls)
        );
    }
}

#[test]
fn a_client_that_begins_tls_unasked_is_closed_on_without_a_word() {
    let client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for privacy in [Privacy::Clear, Privacy::Offered, Privacy::Required] {
        for pieces in [&[&client_hello[..]][..], &[&client_hello[..1]]] {
            let heard = hear(privacy, pieces.iter().copied());
            assert_eq!(heard.closed, Some(CloseReason::ClientHello));
            assert_eq!(heard.said, "+OK mailbearer ready\r\n");
        }
    }
    let later = [&b"NOOP\r\n"[..], client_hello].concat();
    let heard = hear(Privacy::Clear, [&later[..]]);
    assert_eq!(heard.closed, Some(CloseReason::ClientHello));
    assert_eq!(heard.said, "+OK mailbearer ready\r\n+OK\r\n");
}

#[test]
fn the_first_byte_of_a_handshake_means_nothing_in_a_password_or_a_response() {
    for sent in [&b"USER alice\r\nPASS \x16\x03\r\n"[..], b"AUTH PLAIN\r\n\x16\x03\r\n"] {
        assert_eq!(hear(Privacy::Clear, [sent]).closed, None);
        assert_eq!(hear(Privacy::Clear, sent.chunks(1)).closed, None);
    }
}
