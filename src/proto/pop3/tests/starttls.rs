//! Transcripts of STLS on the downstream side, and of clients that begin TLS unasked.

use super::{Pop3, WELCOME};
use crate::proto::Privacy;
use crate::proto::promises::server::{reply, session as session_in};

#[test]
fn nothing_is_taken_before_tls_where_it_is_required() {
    session_in::<Pop3>(
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
        session_in::<Pop3>(
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
    session_in::<Pop3>(
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
    session_in::<Pop3>(
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
fn the_first_byte_of_a_handshake_means_nothing_in_a_password() {
    let said = reply::<Pop3>(b"USER alice\r\nPASS \x16\x03\r\nNOOP\r\n");
    let wrong = "-ERR [AUTH] the user name or the local password is wrong";
    assert_eq!(said, format!("+OK send PASS\r\n{wrong}\r\n+OK\r\n"));
}
