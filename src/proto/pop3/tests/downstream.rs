//! Transcripts of the downstream side in clear: every way to sign in, odd clients, refusals.

use super::{Pop3, WELCOME, session};
use crate::proto::Privacy;
use crate::proto::promises::Server as _;

/// `\0alice@example.com\0secret`, as PLAIN sends it.
const PLAIN: &str = "AGFsaWNlQGV4YW1wbGUuY29tAHNlY3JldA==";

/// Plays a sign-in that is accepted: `sent` claims to be `claim`.
#[track_caller]
fn claims(sent: &str, claim: &str) {
    session(&format!("{sent}\n?: {claim}\n!: accept\nS: {WELCOME}"));
}

#[test]
fn user_and_pass_sign_in_and_what_follows_is_streamed() {
    session(&format!(
        "C: USER alice@example.com
         S: +OK send PASS
         C: PASS secret
         ?: alice@example.com secret
         !: accept
         S: {WELCOME}
         C| STAT\\r\\nLIST\\r\\nRE
         L| STAT\\r\\nLIST\\r\\nRE"
    ));
}

#[test]
fn auth_plain_signs_in_with_and_without_an_initial_response() {
    claims(&format!("C: AUTH PLAIN {PLAIN}"), "alice@example.com secret");
    claims(&format!("C: AUTH PLAIN\nS: + \nC: {PLAIN}"), "alice@example.com secret");
    // RFC 5034 section 6: the user name as authorization identity, too.
    claims("C: AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=", "test test");
}

#[test]
fn auth_login_signs_in_with_and_without_an_initial_response() {
    let prompts = "S: + VXNlcm5hbWU6\nC: YWxpY2U=\nS: + UGFzc3dvcmQ6\nC: c2VjcmV0";
    claims(&format!("C: AUTH LOGIN\n{prompts}"), "alice secret");
    claims("C: AUTH LOGIN YWxpY2U=\nS: + UGFzc3dvcmQ6\nC: c2VjcmV0", "alice secret");
}

#[test]
fn capa_shows_what_can_be_used() {
    session(
        "C: CAPA
         S: +OK capabilities follow
         S: USER
         S: SASL PLAIN LOGIN
         S: RESP-CODES
         S: AUTH-RESP-CODE
         S: UIDL
         S: TOP
         S: PIPELINING
         S: .",
    );
}

#[test]
fn auth_alone_lists_the_mechanisms_as_outlook_express_asks() {
    session(
        "C: AUTH
         S: +OK mechanisms follow
         S: PLAIN
         S: LOGIN
         S: .
         C: USER alice
         S: +OK send PASS",
    );
}

#[test]
fn noop_and_capa_between_user_and_pass_change_nothing() {
    claims("C: USER alice\nS: +OK send PASS\nC: NOOP\nS: +OK\nC: PASS secret", "alice secret");
}

#[test]
fn quit_closes() {
    session("C: NOOP\nS: +OK\nC: QUIT\nS: +OK goodbye\nX: Quit");
}

#[test]
fn apop_is_refused_with_what_to_use() {
    session(
        "C: APOP alice c4c9334bac560ecc979e58001b3e22fb
         S: -ERR APOP cannot be served, for it never shows the password: use USER and PASS
         C: USER alice
         S: +OK send PASS",
    );
}

#[test]
fn the_greeting_shows_no_timestamp_that_would_offer_apop() {
    // RFC 1939 section 7: a server that implements APOP puts one in angle brackets there.
    assert!(!Pop3::greeting(Privacy::Clear).contains('<'));
}

#[test]
fn user_again_takes_the_place_of_the_first() {
    claims("C: USER bob\nS: +OK send PASS\nC: USER alice\nS: +OK send PASS\nC: PASS x", "alice x");
}

#[test]
fn pass_without_user_is_refused_also_behind_a_refused_sign_in() {
    session(
        "C: PASS secret
         S: -ERR say USER first
         C: USER alice
         S: +OK send PASS
         C: PASS wrong
         ?: alice wrong
         !: refuse wrong-password
         S: -ERR [AUTH] the user name or the local password is wrong
         C: PASS secret
         S: -ERR say USER first
         C: USER alice
         S: +OK send PASS
         C: PASS secret
         ?: alice secret
         !: accept
         S: +OK User successfully authenticated.",
    );
}

#[test]
fn auth_forgets_the_name_of_user() {
    session(
        "C: USER alice
         S: +OK send PASS
         C: AUTH PLAIN
         S: + \n\
         C: *
         S: -ERR sign-in cancelled
         C: PASS secret
         S: -ERR say USER first",
    );
}

#[test]
fn old_clients_send_bare_lf_lower_case_and_blanks() {
    claims("C| user alice \\n\nS: +OK send PASS\nC| pass se cret \\n", "alice se cret ");
    claims("C:  UsEr  DOMAIN\\\\alice\nS: +OK send PASS\nC: PASS  x", "DOMAIN\\\\alice  x");
    claims("C: USER alice smith\nS: +OK send PASS\nC: PASS ", "alice smith ");
    claims("C| auth login YWxpY2U\\n\nS: + UGFzc3dvcmQ6\nC| c2VjcmV0\\n", "alice secret");
    claims(&format!("C: AUTH  plain   {PLAIN} "), "alice@example.com secret");
}

#[test]
fn latin_1_names_and_passwords_get_a_verdict() {
    claims(
        "C: USER m\\xfcller\nS: +OK send PASS\nC: PASS p\\xe4ss",
        "m\\xc3\\xbcller p\\xef\\xbf\\xbdss",
    );
    claims("C: USER m\\xc3\\xbcller\nS: +OK send PASS\nC: PASS x", "m\\xc3\\xbcller x");
}

#[test]
fn a_name_or_password_that_cannot_be_one_is_refused() {
    session(
        "C: USER
         S: -ERR a user name is 1 to 320 bytes with no control characters
         C: USER ali\\x01ce
         S: -ERR a user name is 1 to 320 bytes with no control characters
         C: USER alice
         S: +OK send PASS
         C: PASS
         S: -ERR PASS needs a password
         C: USER alice
         S: +OK send PASS
         C: PASS se\\0cret
         S: -ERR these credentials are malformed",
    );
}

#[test]
fn what_is_no_base64_or_no_message_is_refused() {
    session(
        "C: AUTH PLAIN !!
         S: -ERR this is not base64
         C: AUTH LOGIN
         S: + VXNlcm5hbWU6
         C: alice@example.com
         S: -ERR this is not base64
         C: AUTH PLAIN =
         S: -ERR these credentials are malformed
         C: AUTH PLAIN YWxpY2UAYm9iAHNlY3JldA==
         S: -ERR sign in as yourself: leave the authorization identity empty",
    );
}

#[test]
fn what_is_not_served_is_refused() {
    session(
        "C: AUTH CRAM-MD5
         S: -ERR unknown mechanism: use PLAIN or LOGIN
         C: STAT
         S: -ERR sign in first
         C: FROBNICATE
         S: -ERR unknown command
         C: CAPA all
         S: -ERR this command takes no arguments",
    );
    session("C: retr 1\nS: -ERR sign in first\nC: UTF8\nS: -ERR unknown command");
}

#[test]
fn each_refusal_has_its_response_code() {
    for (kind, reply) in [
        ("wrong-password", "[AUTH] the user name or the local password is wrong"),
        (
            "consent-needed",
            "[SYS/PERM] this account has to be authorized, run: \
             mailbearer authorize alice@example.com",
        ),
        (
            "grant-refused",
            "[SYS/PERM] the provider gives no token for this account; \
             the administrator finds the reason in mailbearer's log",
        ),
        (
            "token-endpoint-unavailable",
            "[SYS/TEMP] the provider's token endpoint gives no token now, try again later",
        ),
        (
            "upstream-unavailable",
            "[SYS/TEMP] the provider's mail server is not available now, try again later",
        ),
        ("overloaded", "[SYS/TEMP] too many sign-ins at once, try again later"),
        (
            "local-password-unreadable",
            "[SYS/TEMP] the local password cannot be compared now, try again later",
        ),
        (
            "upstream-refused",
            "[SYS/PERM] 535 5.7.3 Authentication unsuccessful; \
             the token is not for this mailbox",
        ),
    ] {
        session(&format!(
            "C: AUTH PLAIN {PLAIN}
             ?: alice@example.com secret
             !: refuse {kind}
             S: -ERR {reply}
             C: NOOP
             S: +OK"
        ));
    }
}

#[test]
fn a_pipelined_sign_in_is_read_to_its_claim_and_the_rest_is_streamed_or_parsed() {
    session(&format!(
        "C| CAPA\\r\\nUSER alice\\r\\nPASS secret\\r\\nSTAT\\r\\nQU
         S: +OK capabilities follow
         S: USER
         S: SASL PLAIN LOGIN
         S: RESP-CODES
         S: AUTH-RESP-CODE
         S: UIDL
         S: TOP
         S: PIPELINING
         S: .
         S: +OK send PASS
         ?: alice secret
         !: accept
         S: {WELCOME}
         L| STAT\\r\\nQU"
    ));
    session(
        "C| USER alice\\r\\nPASS wrong\\r\\nSTAT\\r\\nQUIT\\r\\n
         S: +OK send PASS
         ?: alice wrong
         !: refuse wrong-password
         S: -ERR [AUTH] the user name or the local password is wrong
         S: -ERR sign in first
         S: +OK goodbye
         X: Quit",
    );
}

#[test]
fn the_fifth_failure_closes_whatever_the_failures_were() {
    session(
        "C: X
         S: -ERR unknown command
         C: AUTH X
         S: -ERR unknown mechanism: use PLAIN or LOGIN
         C: PASS
         S: -ERR say USER first
         C: USER alice
         S: +OK send PASS
         C: PASS wrong
         ?: alice wrong
         !: refuse wrong-password
         S: -ERR [AUTH] the user name or the local password is wrong
         C: USER alice
         S: +OK send PASS
         C: PASS wrong
         ?: alice wrong
         !: refuse wrong-password
         S: -ERR too many failures, closing
         X: TooManyFailures",
    );
}

#[test]
fn base64_is_read_that_is_broken_by_blanks_or_padded_too_much() {
    // RFC 2045 section 6.8 has decoders of mail ignore blanks, so encoders made for it may set them.
    claims("C: AUTH PLAIN AGFs aWNl\\x09AHB3", "alice pw");
    claims("C: AUTH PLAIN AGFsaWNlAHB3====", "alice pw");
    claims("C: AUTH LOGIN YWxp Y2U==\nS: + UGFzc3dvcmQ6\nC: c Hc = =", "alice pw");
    claims("C: AUTH PLAIN\nS: + \nC: AGFs aWNlAHB3", "alice pw");
    session("C: AUTH PLAIN AGFs=aWNlAHB3\nS: -ERR this is not base64");
}
