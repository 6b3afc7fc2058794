//! The downstream machine in transcripts: devices, which send without signing in.

use super::Smtp;
use crate::proto::Privacy::{self, Clear, Required, Tls};
use crate::proto::promises::Server as _;
use crate::proto::smtp::DeviceMail::{self, Heard, HeardUnderTls};
use crate::proto::smtp::{Extensions, SmtpDownstream};
use crate::proto::{
    COMMANDS_MAX, Claim, CloseReason, Downstream as _, Input, Output, Step, transcript,
};

/// Plays a session behind its greeting.
#[track_caller]
fn play(privacy: Privacy, devices: DeviceMail, script: &str) {
    transcript::play(
        || SmtpDownstream::new(Extensions::default(), privacy).with_devices(devices),
        &Smtp::welcome(),
        &format!("S: 220 mailbearer ESMTP ready\n{script}"),
    );
}

#[test]
fn mail_of_a_device_is_the_first_that_is_streamed() {
    for hello in [
        "C: EHLO scanner
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN",
        "C: HELO scanner
         S: 250 mailbearer",
        "",
    ] {
        play(
            Clear,
            Heard,
            &format!(
                "{hello}
                 C: MAIL FROM:<scanner@contoso.com>
                 ?: a device
                 C: RCPT TO:<bob@contoso.com>
                 !: accept
                 L| MAIL FROM:<scanner@contoso.com>\\r\\nRCPT TO:<bob@contoso.com>\\r\\n"
            ),
        );
    }
}

#[test]
fn mail_of_a_refused_device_is_answered_once_and_the_session_goes_on() {
    play(
        Clear,
        Heard,
        "C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         C: RCPT TO:<bob@contoso.com>
         C: DATA
         !: refuse no-device
         S: 530 5.7.0 Authentication required
         S: 503 5.5.1 sign in and send MAIL first
         S: 503 5.5.1 sign in and send MAIL first
         C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         !: refuse mailbox-busy
         S: 451 4.3.2 this mailbox has as many sessions as its provider allows, try again later
         C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         !: accept
         L| MAIL FROM:<scanner@contoso.com>\\r\\n",
    );
}

#[test]
fn each_refusal_of_a_device_is_one_that_mail_may_have() {
    for (kind, reply) in [
        ("wrong-password", "530 5.7.0 Authentication required"),
        ("no-device", "530 5.7.0 Authentication required"),
        (
            "consent-needed",
            "451 4.3.0 this account has to be authorized, run: mailbearer authorize \
             alice@example.com",
        ),
        (
            "grant-refused",
            "451 4.3.0 the provider gives no token for this account; the administrator finds the \
             reason in mailbearer's log",
        ),
        (
            "token-endpoint-unavailable",
            "451 4.3.0 the provider's token endpoint gives no token now, try again later",
        ),
        (
            "upstream-unavailable",
            "451 4.3.0 the provider's mail server is not available now, try again later",
        ),
        (
            "upstream-refused",
            "550 5.7.1 Authentication unsuccessful; the token is not for this mailbox",
        ),
    ] {
        play(
            Clear,
            Heard,
            &format!(
                "C: MAIL FROM:<scanner@contoso.com>
                 ?: a device
                 !: refuse {kind}
                 S: {reply}"
            ),
        );
    }
}

#[test]
fn the_fifth_refusal_of_a_device_closes() {
    let refused = "C: MAIL FROM:<scanner@contoso.com>
                   ?: a device
                   !: refuse no-device
                   S: 530 5.7.0 Authentication required
                   ";
    play(
        Clear,
        Heard,
        &format!(
            "{}C: MAIL FROM:<scanner@contoso.com>
             ?: a device
             !: refuse no-device
             S: 421 4.7.0 too many failures, closing
             X: TooManyFailures",
            refused.repeat(4)
        ),
    );
}

#[test]
fn mail_of_a_device_that_is_the_command_one_too_many_closes() {
    // The one before it is still heard.
    for (before, is_heard) in [(COMMANDS_MAX - 2, true), (COMMANDS_MAX - 1, false)] {
        let machine = SmtpDownstream::new(Extensions::default(), Clear).with_devices(Heard);
        let (mut input, mut output) = (Input::default(), Output::default());
        input.extend("NOOP\r\n".repeat(usize::from(before)).as_bytes());
        input.extend(b"MAIL FROM:<scanner@contoso.com>\r\n");
        let step = machine.receive(&mut input, &mut output);
        let said = String::from_utf8(output.take().to_vec()).unwrap();
        let last = said.lines().last().unwrap();
        if is_heard {
            assert!(matches!(step, Step::Verify(Claim::Device, _)), "{step:?}");
            assert_eq!(last, "250 2.0.0 OK");
        } else {
            assert!(matches!(step, Step::Close(CloseReason::TooManyCommands)), "{step:?}");
            assert_eq!(last, "421 4.7.0 too many commands and no sign-in, closing");
        }
    }
}

#[test]
fn a_device_may_sign_in_as_any_other_client() {
    play(
        Clear,
        Heard,
        "C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t
         C: MAIL FROM:<alice@example.com>
         L| MAIL FROM:<alice@example.com>\\r\\n",
    );
}

#[test]
fn mail_within_a_sign_in_is_no_device() {
    play(
        Clear,
        Heard,
        "C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: MAIL FROM:<scanner@contoso.com>
         S: 501 5.5.2 this is not base64",
    );
}

#[test]
fn a_device_is_heard_in_clear_where_credentials_are_not_taken() {
    play(
        Required,
        Heard,
        "C: AUTH PLAIN AGFsaWNlAHB3
         S: 538 5.7.11 begin TLS first (STARTTLS), then sign in
         C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         !: refuse no-device
         S: 530 5.7.0 begin TLS first (STARTTLS), then sign in
         C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         !: accept
         L| MAIL FROM:<scanner@contoso.com>\\r\\n",
    );
}

#[test]
fn a_device_is_heard_under_tls_alone_where_tls_is_written_out() {
    play(
        Required,
        HeardUnderTls,
        "C: MAIL FROM:<scanner@contoso.com>
         S: 530 5.7.0 begin TLS first (STARTTLS), then sign in
         C: STARTTLS
         S: 220 2.0.0 ready for the TLS handshake
         TLS
         C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         !: accept
         L| MAIL FROM:<scanner@contoso.com>\\r\\n",
    );
    play(
        Tls,
        HeardUnderTls,
        "C: MAIL FROM:<scanner@contoso.com>
         ?: a device
         !: accept
         L| MAIL FROM:<scanner@contoso.com>\\r\\n",
    );
}

#[test]
fn mail_with_a_bare_line_feed_and_any_case_is_a_device_s() {
    play(
        Clear,
        Heard,
        "C|  mail from: scanner@contoso.com\\n
         ?: a device
         !: accept
         L|  mail from: scanner@contoso.com\\n",
    );
}

#[test]
fn what_only_looks_like_mail_is_no_device() {
    play(
        Clear,
        Heard,
        "C: MAILX
         S: 500 5.5.1 unknown command
         C: RCPT TO:<bob@contoso.com>
         S: 503 5.5.1 sign in and send MAIL first",
    );
}
