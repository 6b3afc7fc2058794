//! Transcripts of the downstream side: STARTTLS, and what is refused before TLS is up.

use super::welcome;
use crate::proto::imap::{ImapDownstream, NonSyncLiterals};
use crate::proto::{Privacy, transcript};

/// Plays `script` behind the greeting.
fn session(privacy: Privacy, script: &str) {
    let capabilities = match privacy {
        Privacy::Clear | Privacy::Tls => UNDER_TLS,
        Privacy::Offered => "IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS AUTH=PLAIN AUTH=LOGIN",
        Privacy::Required => REQUIRED,
    };
    transcript::play(
        || ImapDownstream::new(NonSyncLiterals::Offered, privacy),
        &welcome(),
        &format!("S: * OK [CAPABILITY {capabilities}] mailbearer ready\n{script}"),
    );
}

/// RFC 3501 section 6.2.3: LOGINDISABLED where LOGIN is refused; and no mechanism is shown.
const REQUIRED: &str = "IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS LOGINDISABLED";

const UNDER_TLS: &str = "IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN";

#[test]
fn sign_in_is_shown_and_served_under_tls_alone_where_tls_is_required() {
    session(
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
fn sign_in_is_served_in_clear_too_where_tls_is_offered() {
    session(Privacy::Offered, "C: a1 LOGIN alice secret\n?: alice secret");
    session(
        Privacy::Offered,
        "C: a1 starttls\\x20
         S: a1 OK ready for the TLS handshake
         TLS
         C: a2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==
         ?: alice secret",
    );
}

#[test]
fn starttls_with_arguments_is_bad_and_read_to_its_end() {
    session(
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
fn starttls_is_bad_under_tls() {
    let refused = "C: a8 STARTTLS
         S: a8 BAD TLS is active already
         C: a9 NOOP
         S: a9 OK NOOP completed";
    session(Privacy::Tls, refused);
    session(
        Privacy::Required,
        &format!("C: a1 STARTTLS\nS: a1 OK ready for the TLS handshake\nTLS\n{refused}"),
    );
}

#[test]
fn login_is_refused_before_tls_and_its_literals_are_not_asked_for() {
    session(
        Privacy::Required,
        r#"C: a1 LOGIN alice secret
           S: a1 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
           C: a2 LOGIN {5}
           S: a2 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
           C: a3 LOGIN "alice" {6}
           S: a3 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
           C: a4 NOOP
           S: a4 OK NOOP completed"#,
    );
}

#[test]
fn login_is_refused_before_tls_when_its_literals_are_read_to_their_end() {
    session(
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
fn authenticate_is_refused_before_tls_and_asks_for_nothing() {
    for arguments in [" PLAIN", " LOGIN", " PLAIN AGFsaWNlAHNlY3JldA==", " PLAIN !", " NTLM", ""] {
        session(
            Privacy::Required,
            &format!(
                "C: a1 AUTHENTICATE{arguments}
                 S: a1 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
                 C: a2 NOOP
                 S: a2 OK NOOP completed"
            ),
        );
    }
}

#[test]
fn bytes_in_clear_behind_starttls_end_the_session() {
    // CVE-2011-0411: said by somebody on the path, to be taken as said under TLS.
    for injected in ["a2 NOOP\\r\\n", "a2 LOGIN alice secret\\r\\n", "\\n", "\\x16\\x03\\x01"] {
        session(
            Privacy::Required,
            &format!(
                "C| a1 STARTTLS\\r\\n{injected}
                 S: a1 OK ready for the TLS handshake
                 TLS
                 X: CleartextBehindStartTls"
            ),
        );
    }
}

#[test]
fn a_response_that_was_begun_in_clear_is_forgotten_under_tls() {
    session(
        Privacy::Offered,
        "C: a1 AUTHENTICATE LOGIN YWxpY2U=
         S: + UGFzc3dvcmQ6
         C: *
         S: a1 BAD sign-in cancelled
         C: a2 STARTTLS
         S: a2 OK ready for the TLS handshake
         TLS
         C: c2VjcmV0
         S: c2VjcmV0 BAD a command is missing behind the tag",
    );
}

#[test]
fn failures_from_before_tls_are_counted_under_it() {
    session(
        Privacy::Required,
        "C: a1 LOGIN alice secret
         S: a1 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
         C: a2 AUTHENTICATE PLAIN
         S: a2 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
         C: a3 LOGIN alice secret
         S: a3 NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in
         C: a4 STARTTLS
         S: a4 OK ready for the TLS handshake
         TLS
         C: a5 LOGIN alice wrong
         ?: alice wrong
         !: refuse wrong-password
         S: a5 NO [AUTHENTICATIONFAILED] user name or password is wrong
         C: a6 LOGIN alice wrong
         ?: alice wrong
         !: refuse wrong-password
         S: * BYE too many failures
         X: TooManyFailures",
    );
}

#[test]
fn commands_from_before_tls_are_counted_under_it() {
    let noops = |count| "C: a NOOP\nS: a OK NOOP completed\n".repeat(count);
    session(
        Privacy::Offered,
        &format!(
            "{}C: a STARTTLS
             S: a OK ready for the TLS handshake
             TLS
             {}C: a LOGIN alice secret
             S: * BYE too many commands and no sign-in
             X: TooManyCommands",
            noops(9),
            noops(189)
        ),
    );
}

#[test]
fn a_tls_handshake_where_a_command_is_due_closes_at_its_first_byte() {
    for privacy in [Privacy::Clear, Privacy::Offered, Privacy::Required, Privacy::Tls] {
        session(privacy, "C| \\x16\\x03\\x01\\x02\\n\nX: ClientHello");
    }
    // A client that begins all the same when it was refused.
    session(
        Privacy::Clear,
        "C: a1 STARTTLS
         S: a1 BAD STARTTLS is not offered here
         C| \\x16
         X: ClientHello",
    );
}

#[test]
fn a_tls_handshake_is_no_literal_and_no_response() {
    session(Privacy::Clear, "C: a1 LOGIN alice {2+}\nC: \\x16\\x03\n?: alice \\x16\\x03");
    session(
        Privacy::Clear,
        "C: a1 AUTHENTICATE PLAIN
         S: +\\x20
         C: \\x16\\x03
         S: a1 BAD this is not base64",
    );
}
