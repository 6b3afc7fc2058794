//! The downstream machine in transcripts: commands, limits, failures and farewells.

use bytes::Bytes;

use crate::proto::preauth::SKIP_MAX;
use crate::proto::sasl::LINE_LEN_MAX;
use crate::proto::smtp::*;
use crate::proto::{
    CloseReason, Downstream as _, Farewell, Input, Output, Privacy, Step, transcript,
};

/// Plays a script after the greeting; an acceptance brings a 235 of two lines.
pub(super) fn play(script: &str) {
    play_with(&Extensions::default(), script);
}

fn play_with(extensions: &Extensions, script: &str) {
    let welcome = Welcome {
        reply: vec![
            Bytes::from_static(b"235-2.7.0 signed in,"),
            Bytes::from_static(b"235 2.7.0 \xc3\xa0 bient\xc3\xb4t"),
        ],
        extensions: Extensions::default(),
    };
    let machine = || SmtpDownstream::new(extensions.clone(), Privacy::Clear);
    transcript::play(machine, &welcome, &format!("S: 220 mailbearer ESMTP ready\n{script}"));
}

/// What the machine says to `sent`, which comes at once, and how it closes.
pub(super) fn hear(sent: &[u8]) -> (String, Option<CloseReason>) {
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(sent);
    let closed = match SmtpDownstream::new(Extensions::default(), Privacy::Clear)
        .receive(&mut input, &mut output)
    {
        Step::Close(reason) => Some(reason),
        Step::Read(_) | Step::Verify(..) | Step::StartTls(_) => None,
    };
    (String::from_utf8(output.take().to_vec()).unwrap(), closed)
}

#[test]
fn ehlo_shows_exactly_one_auth_line_and_nothing_that_was_not_given() {
    play(
        "C: EHLO client
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN",
    );
}

#[test]
fn ehlo_shows_the_extensions_that_were_given_before_auth() {
    let extensions =
        Extensions::declared(&["SIZE 35882577", "SMTPUTF8", "AUTH XOAUTH2", "STARTTLS"]);
    play_with(
        &extensions,
        "C: ehlo
         S: 250-mailbearer
         S: 250-SIZE 35882577
         S: 250-SMTPUTF8
         S: 250 AUTH PLAIN LOGIN",
    );
}

#[test]
fn commands_that_need_no_sign_in_are_answered() {
    let once = "C: NOOP ignored
         S: 250 2.0.0 OK
         C: RSET
         S: 250 2.0.0 OK
         C: VRFY alice
         S: 252 2.5.0 nothing is verified here, send the message
         C: HELP
         S: 214 2.0.0 sign in with AUTH PLAIN or AUTH LOGIN, then send
         C: HELO client
         S: 250 mailbearer\n";
    play(&once.repeat(2));
}

#[test]
fn quit_is_answered_and_nothing_behind_it() {
    play(
        "C| quit\\r\\nNOOP\\r\\n
         S: 221 2.0.0 goodbye
         X: Quit",
    );
}

#[test]
fn mail_is_refused_before_the_sign_in() {
    play(
        "C: MAIL FROM:<a@example.com>
         S: 530 5.7.0 Authentication required
         C: RCPT TO:<b@example.com>
         S: 503 5.5.1 sign in and send MAIL first
         C: DATA
         S: 503 5.5.1 sign in and send MAIL first
         C: BDAT 0 LAST
         S: 503 5.5.1 sign in and send MAIL first",
    );
}

#[test]
fn starttls_expn_and_unknown_commands_are_refused() {
    play(
        "C: STARTTLS
         S: 502 5.5.1 STARTTLS is not offered on this port
         C: EXPN staff
         S: 502 5.5.1 EXPN is not served
         C: X\\xff\\x1b[31m
         S: 500 5.5.1 unknown command
         C:
         S: 500 5.5.1 unknown command",
    );
}

#[test]
fn the_fifth_failure_of_any_kind_closes() {
    play(
        "C: MAIL FROM:<a@b>
         S: 530 5.7.0 Authentication required
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse upstream-unavailable
         S: 454 4.7.0 the provider's mail server is not available now, try again later
         C: AUTH PLAIN !
         S: 501 5.5.2 this is not base64
         C: NOOP
         S: 250 2.0.0 OK
         C: BOGUS
         S: 500 5.5.1 unknown command
         C| BOGUS\\r\\nNOOP\\r\\n
         S: 421 4.7.0 too many failures, closing
         X: TooManyFailures",
    );
}

#[test]
fn the_fifth_wrong_password_closes() {
    let refused = "C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong\n";
    play(&format!(
        "{}
         C| AUTH PLAIN AGFsaWNlAHB3\\r\\nAUTH PLAIN AGFsaWNlAHB3\\r\\n
         ?: alice pw
         !: refuse wrong-password
         S: 421 4.7.0 too many failures, closing
         X: TooManyFailures",
        refused.repeat(4)
    ));
}

#[test]
fn a_browser_is_sent_away_at_its_first_line() {
    for line in ["GET / HTTP/1.1", "POST /x HTTP/1.0", "PRI * HTTP/2.0", "NOOP HTTP/1.1"] {
        play(&format!(
            "C| {line}\\r\\nHost: localhost\\r\\n\\r\\nAUTH PLAIN AGFsaWNlAHB3\\r\\n
             S: 421 4.7.0 this is no web server, closing
             X: Browser"
        ));
    }
}

#[test]
fn a_line_is_taken_up_to_its_limit_and_refused_beyond() {
    let blanks = |len: usize| " ".repeat(len - "NOOP".len());
    let (longest, too_long) = (blanks(LINE_LEN_MAX), blanks(LINE_LEN_MAX + 1));
    let sent = format!("NOOP{longest}\r\nNOOP{too_long}\r\nNOOP\r\n");
    let replies = "250 2.0.0 OK\r\n500 5.5.6 line too long\r\n250 2.0.0 OK\r\n";
    assert_eq!(hear(sent.as_bytes()), (replies.to_owned(), None));
}

#[test]
fn a_line_without_end_closes() {
    let sent = "x".repeat(SKIP_MAX + 1);
    let replies = "500 5.5.6 line too long\r\n421 4.7.0 this line does not end, closing\r\n";
    assert_eq!(hear(sent.as_bytes()), (replies.to_owned(), Some(CloseReason::EndlessLine)));
}

#[test]
fn a_farewell_is_one_421_with_its_reason() {
    for (farewell, line) in [
        (Farewell::Draining, "421 4.3.2 mailbearer is shutting down, try again later\r\n"),
        (Farewell::SignInTimeout, "421 4.4.2 no sign-in in time\r\n"),
        (Farewell::TooManySessions, "421 4.7.0 too many sessions, try again later\r\n"),
        (
            Farewell::TooManyFromPeer,
            "421 4.7.0 too many sessions from your address have not signed in\r\n",
        ),
    ] {
        let mut output = Output::default();
        SmtpDownstream::farewell(farewell, &mut output);
        assert_eq!(output.take(), line.as_bytes());
    }
}

#[test]
fn the_two_hundredth_command_closes_whatever_it_is() {
    let answered = "250 2.0.0 OK\r\n".repeat(199);
    assert_eq!(hear("NOOP\r\n".repeat(199).as_bytes()), (answered.clone(), None));
    for last in ["NOOP", "QUIT", "AUTH PLAIN AGFsaWNlAHB3", "STARTTLS", ""] {
        let sent = format!("{}{last}\r\nNOOP\r\n", "NOOP\r\n".repeat(199));
        let replies = format!("{answered}421 4.7.0 too many commands and no sign-in, closing\r\n");
        assert_eq!(hear(sent.as_bytes()), (replies, Some(CloseReason::TooManyCommands)), "{last}");
    }
}

#[test]
fn a_flood_of_commands_is_answered_with_less_than_64_kib() {
    let extensions = Extensions::declared(&[
        "SIZE 18446744073709551615",
        "8BITMIME",
        "SMTPUTF8",
        "DSN",
        "PIPELINING",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "BINARYMIME",
        "DELIVERBY 4294967295",
    ]);
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend("EHLO\r\n".repeat(10_000).as_bytes());
    let machine = SmtpDownstream::new(extensions, Privacy::Offered);
    let step = machine.receive(&mut input, &mut output);
    assert!(matches!(step, Step::Close(CloseReason::TooManyCommands)), "{step:?}");
    assert!((40_000..65_536).contains(&output.take().len()));
}

#[test]
fn a_line_of_64_kib_is_answered_before_it_ends() {
    for end in ["", "\r\n"] {
        let sent = format!("{}{end}", "x".repeat(65_536 - end.len()));
        assert_eq!(hear(sent.as_bytes()), ("500 5.5.6 line too long\r\n".to_owned(), None));
    }
}

#[test]
fn a_browsers_line_closes_however_long_it_is() {
    for path_len in [12_288, 30_000] {
        let sent = format!("GET /{} HTTP/1.1\r\nNOOP\r\n", "a".repeat(path_len));
        let replies = "500 5.5.6 line too long\r\n421 4.7.0 this is no web server, closing\r\n";
        assert_eq!(hear(sent.as_bytes()), (replies.to_owned(), Some(CloseReason::Browser)));
    }
}
