//! Transcripts of the upstream side, and its limits.

use super::Welcome;
use crate::proto::pop3::Pop3Upstream;
use crate::proto::transcript::{Ended, play_upstream, play_upstream_ahead};
use crate::proto::{Lasting, UpstreamFault};
use crate::provider::{Mechanism, UpstreamTls};

/// `user=alice@example.com^Aauth=Bearer secret-token^A^A`.
const RESPONSE: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBzZWNyZXQtdG9rZW4BAQ==";

/// Exchange Online up to where the token is sent, as Microsoft's "Authenticate an IMAP, POP or SMTP
/// connection using OAuth" shows it: on its own line, once asked for.
const EXCHANGE: &str = "S: +OK The Microsoft Exchange POP3 service is ready. [RgBSADMAUAAyADgAMQA]
     TOKEN
     C: AUTH XOAUTH2
     S: + \n";

fn connect(script: &str) -> Ended<Welcome> {
    let machine = || Pop3Upstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    play_upstream(machine, Mechanism::Xoauth2, script)
}

fn connect_stls(script: &str) -> Ended<Welcome> {
    let machine = || Pop3Upstream::new(UpstreamTls::StartTls, Mechanism::Xoauth2);
    play_upstream(machine, Mechanism::Xoauth2, script)
}

/// Plays a sign-in at Exchange Online whose end is `outcome`.
fn signed_in(outcome: &str) -> Ended<Welcome> {
    connect(&format!("{EXCHANGE}C: {RESPONSE}\n{outcome}"))
}

/// Reply and leftovers of a sign-in that was accepted.
#[track_caller]
fn welcome(ended: Ended<Welcome>) -> (String, String) {
    let Ended::Authenticated(Welcome { reply }, left) = ended else {
        panic!("not authenticated: {ended:?}");
    };
    (reply.escape_ascii().to_string(), left.escape_ascii().to_string())
}

#[test]
fn the_token_follows_the_continuation_on_a_line_of_its_own() {
    let ended = signed_in("S: +OK User successfully authenticated. [RgBSADMA]");
    let reply = "+OK User successfully authenticated. [RgBSADMA]".to_owned();
    assert_eq!(welcome(ended), (reply, String::new()));
}

#[test]
fn a_continuation_may_be_a_bare_plus_or_carry_text() {
    for continuation in ["+", "+ ", "+  go ahead"] {
        let ended = connect(&format!(
            "S: +OK\nTOKEN\nC: AUTH XOAUTH2\nS: {continuation}\nC: {RESPONSE}\nS: +OK"
        ));
        assert_eq!(welcome(ended).0, "+OK");
    }
}

#[test]
fn the_welcome_is_kept_byte_for_byte_and_what_follows_it_is_left() {
    let ended = signed_in("S| +OK  m\\xfcller \\x00 has 2 messages\\r\\n+OK\\r\\nhalf");
    assert_eq!(
        welcome(ended),
        (r"+OK  m\xfcller \x00 has 2 messages".to_owned(), r"+OK\r\nhalf".to_owned())
    );
}

#[test]
fn an_error_challenge_is_answered_with_an_empty_line_before_the_refusal() {
    let ended = signed_in(
        "S: + eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=
         C:
         S: -ERR [AUTH] Invalid credentials",
    );
    let reply = "-ERR [AUTH] Invalid credentials".to_owned();
    assert_eq!(ended.refusal(), (reply, Lasting::Permanent, Some("400".to_owned())));
}

#[test]
fn a_refusal_is_temporary_where_its_code_says_so() {
    for (reply, lasting) in [
        ("-ERR [SYS/TEMP] later", Lasting::Temporary),
        ("-ERR [in-use] another session has it", Lasting::Temporary),
        ("-ERR [LOGIN-DELAY] minimum time between logins", Lasting::Temporary),
        ("-ERR [SYS/PERM] no POP for you", Lasting::Permanent),
        ("-ERR [AUTH] no", Lasting::Permanent),
        ("-ERR Authentication failure: unknown user name or bad password.", Lasting::Permanent),
        ("-ERR", Lasting::Permanent),
    ] {
        let told = (reply.to_owned(), lasting, None);
        assert_eq!(signed_in(&format!("S: {reply}")).refusal(), told);
    }
}

#[test]
fn a_server_that_does_not_know_the_mechanism_gets_no_token() {
    for reply in ["-ERR", "-ERR Unrecognized authentication type", "-ERR Command is not valid."] {
        let ended = connect(&format!("S: +OK hi\nTOKEN\nC: AUTH XOAUTH2\nS: {reply}"));
        assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
    }
    for (reply, lasting) in
        [("-ERR [SYS/TEMP] x", Lasting::Temporary), ("-ERR [SYS/PERM] x", Lasting::Permanent)]
    {
        let ended = connect(&format!("S: +OK hi\nTOKEN\nC: AUTH XOAUTH2\nS: {reply}"));
        assert_eq!(ended.refusal(), (reply.to_owned(), lasting, None));
    }
}

#[test]
fn stls_comes_first_where_it_is_due_and_nobody_greets_again() {
    let ended = connect_stls(&format!(
        "S: +OK hi
         C: STLS
         S: +OK Begin TLS negotiation
         TLS
         TOKEN
         C: AUTH XOAUTH2
         S: + \n\
         C: {RESPONSE}
         S: +OK in"
    ));
    assert_eq!(welcome(ended).0, "+OK in");
}

#[test]
fn a_server_that_refuses_stls_gets_no_token() {
    let fault_of = |reply| connect_stls(&format!("S: +OK hi\nC: STLS\nS: {reply}")).fault();
    for reply in ["-ERR Command not permitted", "-ERR [SYS/PERM] no"] {
        assert_eq!(fault_of(reply), UpstreamFault::NoStartTls, "{reply}");
    }
    // It has STLS, and no setting of ours would mend this (RFC 3206 section 4).
    let reply = "-ERR [SYS/TEMP] TLS is not available".to_owned();
    assert_eq!(fault_of(&reply), UpstreamFault::TurnedAway { reply });
}

#[test]
fn a_greeting_that_is_none_is_told_apart() {
    let turned_away = connect("S: -ERR [SYS/TEMP] busy \\x07");
    let reply = "-ERR [SYS/TEMP] busy ?".to_owned();
    assert_eq!(turned_away.fault(), UpstreamFault::TurnedAway { reply });
    for greeting in ["* OK IMAP4rev1", "220 mx ESMTP", "HTTP/1.1 400 Bad Request", ""] {
        let ended = connect(&format!("S: {greeting}"));
        assert_eq!(ended.problem(), "it does not greet as a POP3 server: check host and port");
    }
    assert_eq!(connect("S: + ").problem(), "it asks for more than was begun");
}

#[test]
fn replies_out_of_order_are_refused() {
    let early = connect("S: +OK hi\nTOKEN\nC: AUTH XOAUTH2\nS: +OK in");
    assert_eq!(early.problem(), "it accepts the sign-in before it has seen the token");
    let again = signed_in("S: + e30=\nC:\nS: + e30=");
    assert_eq!(again.problem(), "it asks for more than was begun");
    assert_eq!(connect_stls("S: +OK\nC: STLS\nS: + ").problem(), "it asks for more than was begun");
    assert_eq!(signed_in("S: hello").problem(), "it sends what is no reply");
}

#[test]
fn a_line_is_taken_up_to_2048_bytes() {
    let welcome_of = |len: usize| signed_in(&format!("S: +OK {}", "x".repeat(len - 4)));
    assert_eq!(welcome(welcome_of(2_048)).0.len(), 2_048);
    assert_eq!(welcome_of(2_049).problem(), "it sends a line of more than 2,048 bytes");
}

#[test]
fn a_server_that_says_no_more_is_waited_for() {
    for script in ["S| +OK half", "S: +OK\nTOKEN\nC: AUTH XOAUTH2\nS| +"] {
        assert!(matches!(connect(script), Ended::Waiting), "{script}");
    }
}

fn connect_ahead(script: &str) -> Ended<Welcome> {
    let machine = || Pop3Upstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    play_upstream_ahead(machine, Mechanism::Xoauth2, script)
}

#[test]
fn a_sign_in_that_was_begun_ahead_goes_on_with_the_token() {
    let begun = "S: +OK ready\nC: AUTH XOAUTH2\nS: +\nTOKEN";
    let ended = connect_ahead(&format!("{begun}\nC: {RESPONSE}\nS: +OK signed in"));
    assert_eq!(welcome(ended).0, "+OK signed in");
    let refused = connect_ahead(&format!("{begun}\nC: {RESPONSE}\nS: -ERR no")).refusal();
    assert_eq!((&*refused.0, refused.1), ("-ERR no", Lasting::Permanent));
}

#[test]
fn no_token_is_due_where_the_server_does_not_ask_for_it() {
    let begun = "S: +OK ready\nC: AUTH XOAUTH2\nS: ";
    let fault = connect_ahead(&format!("{begun}-ERR what")).fault();
    assert_eq!(fault, UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
    connect_ahead(&format!("{begun}+OK already")).problem();
    let refused = connect_ahead(&format!("{begun}-ERR [SYS/TEMP] not now")).refusal();
    assert_eq!(refused.1, Lasting::Temporary);
}
