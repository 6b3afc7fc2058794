//! Transcripts of the downstream side: STARTTLS, and what is refused before TLS is up.

use super::{Imap, REQUIRED, UNDER_TLS, session};
use crate::proto::Privacy;
use crate::proto::promises::server::session as session_in;

#[test]
fn sign_in_is_shown_and_served_under_tls_alone_where_tls_is_required() {
    session_in::<Imap>(
        Privacy::Required,
        &format!(
            "C: a1 CAPABILITY
             S: * CAPABILITY {REQUIRED}
             S: a1 OK CAPABILITY completed
             C: a2 STARTTLS
             S: a2 OK ready for the TLS handshake
             TLS
             C: a3 CAPABILITY
             S: * CAPABILITY {UNDER_TLS}
             S: a3 OK CAPABILITY completed
             C: a4 LOGIN alice secret
             ?: alice secret
             !: accept
             S: * CAPABILITY IMAP4rev1 UNSELECT IDLE
             S: a4 OK alice@example.com authenticated (Success)"
        ),
    );
}

#[test]
fn starttls_with_arguments_is_bad_and_read_to_its_end() {
    session_in::<Imap>(
        Privacy::Required,
        "C: a1 STARTTLS now
         S: a1 BAD this command takes no arguments
         C: a2 STARTTLS {6+}
         C| LOGOUT\\r\\n
         S: a2 BAD this command takes no arguments
         C: a3 STARTTLS
         S: a3 OK ready for the TLS handshake
         TLS
         C: a4 NOOP
         S: a4 OK NOOP completed",
    );
}

#[test]
fn login_is_refused_before_tls_when_its_literals_are_read_to_their_end() {
    session_in::<Imap>(
        Privacy::Required,
        r"C: a1 LOGIN {5+}
          C: alice {12+}
          C| a2 STARTTLS\r\n
          S: a1 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
          C: a3 LOGIN
          S: a3 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in",
    );
}

#[test]
fn the_first_byte_of_a_handshake_means_nothing_in_a_literal_or_behind_it() {
    session("C: a1 LOGIN alice {2+}\nC: \\x16\\x03\n?: alice \\x16\\x03");
    session("C: a1 LOGIN {5+}\nC: alice\\x16\\x03\nS: a1 BAD put a blank between the arguments");
}
