//! Transcripts of the upstream side: servers where the token has a line of its own, at which a sign-in
//! can be begun ahead of it.

use super::upstream::{RESPONSE, connect, welcome};
use crate::proto::Lasting;
use crate::proto::imap::{ImapUpstream, NonSyncLiterals, Welcome};
use crate::proto::transcript::{Ended, play_upstream_ahead};
use crate::provider::{Mechanism, UpstreamTls};

/// A server without SASL-IR at which the sign-in is begun before there is a token.
const BEGUN: &str = "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
     C: m1 AUTHENTICATE XOAUTH2";

fn play_ahead(script: &str) -> Ended<Welcome> {
    let machine = || ImapUpstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    play_upstream_ahead(machine, Mechanism::Xoauth2, &format!("{BEGUN}\n{script}"))
}

#[test]
fn a_sign_in_is_begun_ahead_where_the_token_has_a_line_of_its_own() {
    let ended = play_ahead(&format!(
        "S: * OK [ALERT] be quick
         S: +
         TOKEN
         C: {RESPONSE}
         S: m1 OK [CAPABILITY IMAP4rev1] in"
    ));
    let (untagged, tagged, _) = welcome(ended);
    assert_eq!(untagged, r"* OK [ALERT] be quick\r\n");
    assert_eq!(tagged, "[CAPABILITY IMAP4rev1] in");
}

#[test]
fn no_token_is_due_where_the_server_refuses_or_accepts_ahead_of_it() {
    let refused = play_ahead("S: m1 NO not now").refusal();
    assert_eq!(refused, ("NO not now".to_owned(), Lasting::Permanent, None));
    for said in ["S: * BYE idle", "S: * OK wait\nS: * BYE idle"] {
        let Ended::Refused(refusal) = play_ahead(said) else { panic!("{said}") };
        assert!(refusal.is_farewell, "{said}");
    }
    play_ahead("S: m1 OK in").problem();
}

/// What a server without SASL-IR says of itself, where a sign-in is not begun ahead of the token.
const NOT_BEGUN: &str = "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
     TOKEN
     C: m1 AUTHENTICATE XOAUTH2";

/// Plays a sign-in at a server without SASL-IR that says `ahead` of the token and `behind` it: begun
/// before there was a token, and with it.
fn with_a_line_of_its_own(ahead: &str, behind: &str) -> [Ended<Welcome>; 2] {
    let token = format!("C: {RESPONSE}\n{behind}");
    [
        play_ahead(&format!("{ahead}\nS: +\nTOKEN\n{token}")),
        connect(&format!("{NOT_BEGUN}\n{ahead}\nS: +\n{token}")),
    ]
}

#[test]
fn what_is_said_ahead_of_the_token_is_no_word_on_it() {
    let ahead = "S: * OK [ALERT] be quick";
    for (behind, is_farewell) in [
        ("S: * BYE idle for too long", true),
        ("S: * OK wait\nS: * BYE too many sessions", false),
        ("S: + !\nC:\nS: * BYE too many sessions", false),
    ] {
        for ended in with_a_line_of_its_own(ahead, behind) {
            let Ended::Refused(refusal) = ended else { panic!("{behind}") };
            assert_eq!(refusal.is_farewell, is_farewell, "{behind}");
        }
    }
}

#[test]
fn capabilities_that_are_told_ahead_of_the_token_are_not_those_behind_it() {
    for ahead in [
        "S: * CAPABILITY IMAP4rev1 LOGINDISABLED LITERAL+",
        "S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED LITERAL+] x",
    ] {
        let ahead = format!("S: * OK [ALERT] be quick\n{ahead}");
        let asked = "S: m1 OK in\nC: m2 CAPABILITY\nS: * CAPABILITY IMAP4rev1 MOVE\nS: m2 OK done";
        for ended in with_a_line_of_its_own(&ahead, asked) {
            let expected = r"* OK [ALERT] be quick\r\n* CAPABILITY IMAP4rev1 MOVE\r\n";
            assert_eq!(welcome(ended).0, expected);
        }
        let in_vain = "S: m1 OK in\nC: m2 CAPABILITY\nS: m2 BAD not connected";
        for ended in with_a_line_of_its_own(&ahead, in_vain) {
            let Ended::Authenticated(welcome, _) = ended else { panic!("{ended:?}") };
            assert_eq!(welcome.asked_for(), None);
            assert_eq!(welcome.literals(), NonSyncLiterals::NotOffered);
        }
    }
}
