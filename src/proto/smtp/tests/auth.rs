//! The downstream machine in transcripts: AUTH, its verdicts and what is pipelined behind it.

use super::play;
use crate::proto::smtp::*;
use crate::proto::{Claim, Downstream as _, Input, Output, Privacy, Step};

#[test]
fn plain_signs_in_with_an_initial_response() {
    play(
        "C: EHLO client
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
fn plain_signs_in_after_an_empty_challenge() {
    play(
        "C: auth plain
         S: 334\\x20
         C: AGFsaWNlAHB3
         ?: alice pw",
    );
}

#[test]
fn login_signs_in_with_two_prompts() {
    play(
        "C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YWxpY2U=
         S: 334 UGFzc3dvcmQ6
         C: cHc=
         ?: alice pw",
    );
}

#[test]
fn login_signs_in_with_the_user_name_inline() {
    play(
        "C: AUTH LOGIN YWxpY2U=
         S: 334 UGFzc3dvcmQ6
         C: cHc=
         ?: alice pw",
    );
}

#[test]
fn a_device_signs_in_with_bare_lf_odd_case_odd_blanks_and_an_equals_sign() {
    play(
        "C| auth=login\\n
         S: 334 VXNlcm5hbWU6
         C|   YWxpY2U \\n
         S: 334 UGFzc3dvcmQ6
         C| cHc\\n
         ?: alice pw
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong
         C:  AUTH=Plain   AGFsaWNlAHB3\\x20
         ?: alice pw",
    );
}

#[test]
fn auth_is_served_after_helo() {
    play(
        "C: HELO client
         S: 250 mailbearer
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw",
    );
}

#[test]
fn auth_is_served_to_a_client_that_pipelines_all_of_it() {
    play(
        "C| EHLO client\\r\\nAUTH LOGIN\\r\\nYWxpY2U=\\r\\ncHc=\\r\\nMAIL FROM:<a@b>\\r\\nRCP
         S: 250-mailbearer
         S: 250 AUTH PLAIN LOGIN
         S: 334 VXNlcm5hbWU6
         S: 334 UGFzc3dvcmQ6
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t
         L| MAIL FROM:<a@b>\\r\\nRCP",
    );
}

#[test]
fn what_is_pipelined_behind_auth_is_left_untouched_when_it_is_accepted() {
    play(
        "C| AUTH PLAIN AGFsaWNlAHB3\\r\\nMAIL FROM:<a@b>\\r\\nQUIT\\r\\n\\0\\xff
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t
         L| MAIL FROM:<a@b>\\r\\nQUIT\\r\\n\\0\\xff",
    );
}

#[test]
fn what_is_pipelined_behind_auth_is_answered_when_it_is_refused() {
    play(
        "C| AUTH PLAIN AGFsaWNlAHB3\\r\\nMAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nQUIT\\r\\n
         ?: alice pw
         !: refuse wrong-password
         S: 535 5.7.8 the user name or the local password is wrong
         S: 530 5.7.0 Authentication required
         S: 503 5.5.1 sign in and send MAIL first
         S: 221 2.0.0 goodbye
         X: Quit",
    );
}

#[test]
fn an_account_without_consent_is_told_what_to_run_and_never_of_a_wrong_password() {
    play(
        "C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse consent-needed
         S: 454 4.7.0 this account has to be authorized, run: mailbearer authorize alice@example.com
         C: QUIT
         S: 221 2.0.0 goodbye
         X: Quit",
    );
}

#[test]
fn each_refusal_has_its_own_reply_and_the_next_try_is_heard() {
    play(
        "C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse grant-refused
         S: 454 4.7.0 the provider gives no token for this account; the administrator finds the reason in mailbearer's log
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse upstream-unavailable
         S: 454 4.7.0 the provider's mail server is not available now, try again later
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse upstream-refused
         S: 535 5.7.3 Authentication unsuccessful; the token is not for this mailbox
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: refuse token-endpoint-unavailable
         S: 454 4.7.0 the provider's token endpoint gives no token now, try again later
         C: AUTH PLAIN AGFsaWNlAHB3
         ?: alice pw
         !: accept
         S: 235-2.7.0 signed in,
         S: 235 2.7.0 \\xc3\\xa0 bient\\xc3\\xb4t",
    );
}

#[test]
fn bad_base64_is_answered_wherever_it_comes() {
    play(
        "C: AUTH PLAIN AGFs.aWNlAHB3
         S: 501 5.5.2 this is not base64
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: m\\xfcller
         S: 501 5.5.2 this is not base64
         C: AUTH LOGIN YWxpY2U=
         S: 334 UGFzc3dvcmQ6
         C: QUIT!
         S: 501 5.5.2 this is not base64
         C: AUTH LOGIN !
         S: 501 5.5.2 this is not base64",
    );
}

#[test]
fn credentials_of_the_wrong_shape_are_answered() {
    play(
        "C: AUTH PLAIN YWxpY2U=
         S: 501 5.5.2 these credentials are malformed
         C: AUTH PLAIN =
         S: 501 5.5.2 these credentials are malformed
         C: AUTH LOGIN =
         S: 334 UGFzc3dvcmQ6
         C: cHc=
         S: 501 5.5.2 these credentials are malformed
         C: AUTH PLAIN
         S: 334\\x20
         C:
         S: 501 5.5.2 these credentials are malformed",
    );
}

#[test]
fn a_latin_1_user_name_gets_an_ascii_reply() {
    play(
        "C: AUTH PLAIN AG38bGxlcgBwdw==
         ?: m\u{fc}ller pw
         !: refuse grant-refused
         S: 454 4.7.0 the provider gives no token for this account; the administrator finds the reason in mailbearer's log",
    );
}

#[test]
fn auth_is_answered_when_the_mechanism_is_missing_or_not_offered() {
    play(
        "C: AUTH
         S: 501 5.5.4 AUTH needs a mechanism: PLAIN or LOGIN
         C: AUTH CRAM-MD5
         S: 504 5.5.4 unknown mechanism: use PLAIN or LOGIN
         C: AUTH XOAUTH2 dXNlcj0=
         S: 504 5.5.4 unknown mechanism: use PLAIN or LOGIN",
    );
}

#[test]
fn an_initial_response_of_12_000_bytes_is_taken() {
    // Base64 of NUL a NUL and a password of 8,997 bytes 0xFF.
    let sent = format!("AUTH PLAIN AGEA{}\r\n", "/".repeat(11_996));
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(sent.as_bytes());
    let step =
        SmtpDownstream::new(Extensions::default(), Privacy::Clear).receive(&mut input, &mut output);
    assert!(
        matches!(step, Step::Verify(Claim::Password(shown), _) if shown.username.as_str() == "a")
    );
}
