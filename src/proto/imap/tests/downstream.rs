//! Transcripts of the downstream side.

use super::{GREETING, Imap, session};
use crate::proto::Downstream as _;
use crate::proto::imap::{ImapDownstream, NonSyncLiterals, Source, Welcome};
use crate::proto::promises::Server as _;
use crate::proto::transcript::play;
use crate::proto::{Input, Output, Privacy, Step};

/// Plays a session in which `sent` (a script of its own) claims `claim`.
fn claims(sent: &str, claim: &str) {
    session(&format!("{sent}\n?: {claim}\n!: accept\n{ACCEPTED}"));
}

const ACCEPTED: &str = "S: * CAPABILITY IMAP4rev1 UNSELECT IDLE
    S: a1 OK alice@example.com authenticated (Success)";

#[test]
fn greeting_capability_id_noop_and_logout_are_answered() {
    session(
        "C: a1 CAPABILITY
         S: * CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN
         S: a1 OK CAPABILITY completed
         C: a2 NOOP
         S: a2 OK NOOP completed
         C: a3 ID NIL
         S: * ID NIL
         S: a3 OK ID completed
         C: a4 logout
         S: * BYE mailbearer closes as you asked
         S: a4 OK LOGOUT completed
         X: Quit",
    );
}

#[test]
fn literal_plus_is_not_shown_but_taken_when_it_is_not_offered() {
    play(
        || ImapDownstream::new(NonSyncLiterals::NotOffered, Privacy::Clear),
        &Imap::welcome(),
        &format!(
            "S: {}
             C: a1 CAPABILITY
             S: * CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN AUTH=LOGIN
             S: a1 OK CAPABILITY completed
             C: a1 LOGIN {{5+}}
             C: alice secret
             ?: alice secret
             !: accept
             {ACCEPTED}",
            GREETING.replace("LITERAL+ ", "")
        ),
    );
}

#[test]
fn id_is_answered_nil_whatever_its_arguments_are() {
    session(
        r#"C: a1 ID ("name" "Out\"look \\\\ (" "version" NIL)
           S: * ID NIL
           S: a1 OK ID completed
           C: a2 ID ({4}
           S: + go ahead
           C: name {3+}
           C| \r\n\0
           C:  "os" {0}
           S: + go ahead
           C: )
           S: * ID NIL
           S: a2 OK ID completed
           C: a3 ID "unbalanced
           S: * ID NIL
           S: a3 OK ID completed
           C: a4 ID
           S: * ID NIL
           S: a4 OK ID completed"#,
    );
}

#[test]
fn login_takes_atoms_as_old_clients_send_them() {
    claims("C: a1 LOGIN alice@example.com secret", "alice@example.com secret");
    claims("C: a1 login  alice   secret  ", "alice secret");
    claims(r"C: a1  LOGIN DOMAIN\\user pa%ss", r"DOMAIN\\user pa%ss");
    claims(r#"C: a1 LOGIN a*b p(a"s{s]{3"#, r#"a*b p(a"s{s]{3"#);
    claims("C: a1 LOGIN alice pw{5}", "alice pw{5}");
    claims("C: a1 LOGIN m\\xfcller p\\xe4ss", "m\\xc3\\xbcller p\\xef\\xbf\\xbdss");
}

#[test]
fn login_takes_quoted_strings_with_and_without_right_escapes() {
    claims(r#"C: a1 LOGIN "alice" "se cret""#, "alice se cret");
    claims(r#"C: a1 LOGIN "alice" "p\\"w\\\\""#, r#"alice p"w\\"#);
    claims(r#"C: a1 LOGIN "DOMAIN\\user" secret "#, r"DOMAIN\\user secret");
    claims(r#"C: a1 LOGIN "DOMAIN\\\\user" """#, r"DOMAIN\\user ");
    claims("C: a1 LOGIN \"m\\xfcller\" \"{3}\"", "m\\xc3\\xbcller {3}");
}

#[test]
fn login_takes_literals_of_every_kind_mixed_with_anything() {
    claims(
        "C: a1 LOGIN {5}
         S: + go ahead
         C: alice {6}
         S: + go ahead
         C: secret",
        "alice secret",
    );
    claims("C: a1 LOGIN {5+}\nC: alice {6-}\nC: secret", "alice secret");
    claims("C: a1 LOGIN \"alice\" {6}\nS: + go ahead\nC: secret", "alice secret");
    claims("C: a1 LOGIN {5+}\nC: alice  \"secret\" ", "alice secret");
    claims("C: a1 LOGIN alice {6+}\nC: secret  ", "alice secret");
    claims("C: a1 LOGIN alice {0}\nS: + go ahead\nC:", "alice ");
}

#[test]
fn a_literal_may_hold_line_ends_and_quotes_and_commands() {
    claims(
        r#"C: a1 LOGIN alice {27}
           S: + go ahead
           C| "a"\r\n\\ {3}\na2 LOGOUT\r\n\xff\x01(*%\r\n"#,
        r#"alice "a"\r\n\\ {3}\na2 LOGOUT\r\n\xef\xbf\xbd\x01(*%"#,
    );
}

#[test]
fn login_is_bad_when_its_arguments_are_not_two() {
    session(
        r#"C: a1 LOGIN
           S: a1 BAD LOGIN takes a user name and a password
           C: a2 LOGIN alice
           S: a2 BAD LOGIN takes a user name and a password
           C: a3 LOGIN alice se cret
           S: a3 BAD LOGIN takes a user name and a password
           C: a4 LOGIN alice secret {6}
           S: a4 BAD LOGIN takes a user name and a password"#,
    );
    session(
        r#"C: a1 LOGIN alice "secret
           S: a1 BAD a quoted string has no end
           C: a2 LOGIN "alice""secret"
           S: a2 BAD put a blank between the arguments
           C: a3 LOGIN {5+}
           C: alice"secret"
           S: a3 BAD put a blank between the arguments
           C: a4 LOGIN ({5}
           S: a4 BAD put a blank between the arguments"#,
    );
}

#[test]
fn login_is_bad_when_the_name_is_unusable_or_a_nul_stands_anywhere() {
    session(
        r#"C: a1 LOGIN "" secret
           S: a1 BAD a user name is 1 to 320 bytes with no control characters
           C: a2 LOGIN {3+}
           C: a\nb secret
           S: a2 BAD a user name is 1 to 320 bytes with no control characters
           C: a3 LOGIN alice {3}
           S: + go ahead
           C: a\0b
           S: a3 BAD an argument holds a NUL
           C: a4 LOGIN al\0ice secret
           S: a4 BAD an argument holds a NUL"#,
    );
}

#[test]
fn a_refused_command_is_read_to_its_end_before_it_is_answered() {
    session(
        "C: a1 SELECT {5+}
         C: INBOX
         S: a1 BAD this command is not known before sign-in
         C: a2 LOGIN a b {10+}
         C: a3 LOGOUT\\r {2-}
         C: \\r\\n
         S: a2 BAD LOGIN takes a user name and a password
         C: a3 AUTHENTICATE PLAIN {4+}
         C: AAAA
         S: a3 BAD AUTHENTICATE takes a mechanism and at most one response
         C: a4 SELECT {5}
         S: a4 BAD this command is not known before sign-in",
    );
}

#[test]
fn authenticate_plain_is_read_with_and_without_an_initial_response() {
    claims("C: a1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==", "alice secret");
    claims("C: a1 authenticate  plain  AGFsaWNlAHNlY3JldA== ", "alice secret");
    claims("C: a1 AUTHENTICATE PLAIN\nS: +\\x20\nC: AGFsaWNlAHNlY3JldA==", "alice secret");
}

#[test]
fn authenticate_login_is_read_with_and_without_an_initial_response() {
    claims(
        "C: a1 AUTHENTICATE LOGIN
         S: + VXNlcm5hbWU6
         C: YWxpY2U=
         S: + UGFzc3dvcmQ6
         C: c2VjcmV0",
        "alice secret",
    );
    claims("C: a1 AUTHENTICATE login YWxpY2U=\nS: + UGFzc3dvcmQ6\nC: c2VjcmV0", "alice secret");
    claims("C: a1 AUTHENTICATE LOGIN YWxpY2U=\nS: + UGFzc3dvcmQ6\nC:", "alice ");
}

#[test]
fn authenticate_is_bad_when_the_response_is_not_what_the_mechanism_sends() {
    session(
        "C: a1 AUTHENTICATE PLAIN !!
         S: a1 BAD this is not base64
         C: a2 AUTHENTICATE PLAIN =
         S: a2 BAD these credentials are malformed
         C: a3 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA== x
         S: a3 BAD this is not base64
         C: a4 AUTHENTICATE
         S: a4 BAD AUTHENTICATE takes a mechanism and at most one response",
    );
    session(
        "C: a1 AUTHENTICATE LOGIN =
         S: + UGFzc3dvcmQ6
         C: c2VjcmV0
         S: a1 BAD these credentials are malformed
         C: a2 AUTHENTICATE LOGIN
         S: + VXNlcm5hbWU6
         C: a3 LIST * %
         S: a2 BAD this is not base64",
    );
}

#[test]
fn a_mechanism_that_is_not_offered_is_answered_no() {
    session(
        "C: a1 AUTHENTICATE XOAUTH2 dXNlcj0=
         S: a1 NO sign in with PLAIN or LOGIN, other mechanisms are not offered
         C: a2 AUTHENTICATE \"PLAIN\"
         S: a2 NO sign in with PLAIN or LOGIN, other mechanisms are not offered",
    );
}

#[test]
fn a_command_that_is_unknown_or_needs_a_sign_in_is_bad() {
    session(
        "C: a1 SELECT INBOX
         S: a1 BAD this command is not known before sign-in
         C: a2 STARTTLS
         S: a2 BAD STARTTLS is not offered here
         C: a3 NOOP now
         S: a3 BAD this command takes no arguments
         C: a4
         S: a4 BAD a command is missing behind the tag",
    );
}

#[test]
fn a_line_without_a_usable_tag_is_answered_without_one() {
    session(
        "C: * NOOP
         S: * BAD begin the line with a tag of at most 64 characters
         C:
         S: * BAD begin the line with a tag of at most 64 characters
         C: a+b NOOP
         S: * BAD begin the line with a tag of at most 64 characters
         C: \\xff\\xfb NOOP
         S: * BAD begin the line with a tag of at most 64 characters",
    );
}

#[test]
fn a_line_end_without_cr_is_taken() {
    claims("C| a1 LOGIN {5}\\n\nS: + go ahead\nC| alice secret\\n", "alice secret");
}

#[test]
fn bytes_behind_the_sign_in_are_left_whole() {
    session(&format!(
        "C: a1 LOGIN alice {{6}}
         S: + go ahead
         C: secret
         ?: alice secret
         C: a2 SELECT INBOX
         C| a3 FETCH 1 {{
         !: accept
         {ACCEPTED}
         L| a2 SELECT INBOX\\r\\na3 FETCH 1 {{"
    ));
}

#[test]
fn an_acceptance_keeps_what_the_upstream_said_under_the_clients_tag() {
    let welcome = Welcome {
        untagged: b"* OK [ALERT] quota\xff\r\n* CAPABILITY IMAP4rev1 MOVE\r\n".to_vec(),
        tagged: b"[READ-WRITE] AUTHENTICATE completed.".to_vec(),
        source: Source::Unasked,
    };
    play(
        || ImapDownstream::new(NonSyncLiterals::Offered, Privacy::Clear),
        &welcome,
        &format!(
            "S: {GREETING}
             C: x.1 LOGIN alice secret
             ?: alice secret
             !: accept
             S: * OK [ALERT] quota\\xff
             S: * CAPABILITY IMAP4rev1 MOVE
             S: x.1 OK [READ-WRITE] AUTHENTICATE completed."
        ),
    );
}

#[test]
fn a_refusal_is_rendered_by_its_kind_and_the_session_goes_on() {
    session(
        "C: a1 LOGIN alice wrong
         ?: alice wrong
         !: refuse wrong-password
         S: a1 NO [AUTHENTICATIONFAILED] user name or password is wrong
         C: a2 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==
         ?: alice secret
         !: refuse grant-refused
         S: a2 NO [CONTACTADMIN] the provider gives no access to this account: the reason and what to run are in mailbearer's log
         C: a4 LOGIN alice secret
         ?: alice secret
         !: refuse consent-needed
         S: a4 NO [CONTACTADMIN] this account has to be authorized, run: mailbearer authorize alice@example.com
         C: a3 LOGIN alice secret
         ?: alice secret
         !: refuse token-endpoint-unavailable
         S: a3 NO [UNAVAILABLE] the provider's token endpoint gives no token now, try again later
         C: a1 LOGIN alice secret
         ?: alice secret
         !: accept
         S: * CAPABILITY IMAP4rev1 UNSELECT IDLE
         S: a1 OK alice@example.com authenticated (Success)",
    );
    session(
        "C: a1 LOGIN alice secret
         ?: alice secret
         !: refuse upstream-unavailable
         S: a1 NO [UNAVAILABLE] the provider's mail server is not available now, try again later
         C: a2 LOGIN alice secret
         ?: alice secret
         !: refuse overloaded
         S: a2 NO [UNAVAILABLE] too many sign-ins at once, try again later
         C: a3 LOGIN alice secret
         ?: alice secret
         !: refuse upstream-refused
         S: a3 NO [AUTHORIZATIONFAILED] 535 5.7.3 Authentication unsuccessful; the token is not for this mailbox",
    );
}

#[test]
fn commands_behind_a_refused_sign_in_are_read_once_and_in_order() {
    session(
        "C: a1 LOGIN alice wrong
         ?: alice wrong
         C: a2 CAPABILITY
         C: a3 LOGIN alice secret
         C: a4 SELECT INBOX
         !: refuse wrong-password
         S: a1 NO [AUTHENTICATIONFAILED] user name or password is wrong
         S: * CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN
         S: a2 OK CAPABILITY completed
         ?: alice secret
         !: refuse wrong-password
         S: a3 NO [AUTHENTICATIONFAILED] user name or password is wrong
         S: a4 BAD this command is not known before sign-in",
    );
}

#[test]
fn the_fifth_failure_closes_when_it_is_a_bad_command() {
    session(
        "C: a1 LOGIN alice wrong
         ?: alice wrong
         !: refuse wrong-password
         S: a1 NO [AUTHENTICATIONFAILED] user name or password is wrong
         C: a2 AUTHENTICATE NTLM
         S: a2 NO sign in with PLAIN or LOGIN, other mechanisms are not offered
         C: a3 FOO
         S: a3 BAD this command is not known before sign-in
         C: ?
         S: ? BAD a command is missing behind the tag
         C: a5 NOOP
         S: a5 OK NOOP completed
         C: a6 AUTHENTICATE PLAIN *
         S: * BYE too many failures
         X: TooManyFailures",
    );
}

#[test]
fn a_password_is_not_printed_while_its_command_is_gathered() {
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(b"a1 LOGIN {5+}\r\nalice {6+}\r\nsecret");
    let machine = ImapDownstream::new(NonSyncLiterals::Offered, Privacy::Clear);
    let Step::Read(machine) = machine.receive(&mut input, &mut output) else {
        panic!("the end of the line is awaited");
    };
    assert!(input.is_empty(), "the machine has the password");
    let printed = format!("{machine:?}");
    assert!(!printed.contains("secret") && !printed.contains("115, 101"), "{printed}");
}
