//! The downstream machine in transcripts: commands, limits, failures and farewells.

use super::{Smtp, play};
use crate::proto::promises::Server as _;
use crate::proto::smtp::{Extensions, SmtpDownstream};
use crate::proto::{CloseReason, Downstream as _, Input, Output, Privacy, Step, transcript};

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
    transcript::play(
        || SmtpDownstream::new(extensions.clone(), Privacy::Clear),
        &Smtp::welcome(),
        "S: 220 mailbearer ESMTP ready
         C: ehlo
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
