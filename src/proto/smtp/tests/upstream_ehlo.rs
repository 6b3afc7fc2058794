//! The upstream machine in transcripts: greeting, STARTTLS and EHLO.

use super::upstream::{XOAUTH2, play_implicit, play_starttls};
use crate::proto::UpstreamFault;
use crate::proto::transcript::Ended;

fn turned_away(reply: &str) -> UpstreamFault {
    UpstreamFault::TurnedAway { reply: reply.to_owned() }
}

#[test]
fn starttls_is_required_even_where_auth_is_offered_in_clear() {
    let ended = play_starttls(
        "S: 220 mx
         C: EHLO [127.0.0.1]
         S: 250-mx
         S: 250-X-STARTTLS
         S: 250 AUTH XOAUTH2",
    );
    assert_eq!(ended.fault(), UpstreamFault::NoStartTls);
}

#[test]
fn a_server_that_refuses_starttls_is_not_spoken_to() {
    let fault_of = |reply: &str| {
        let ended = play_starttls(&format!(
            "S: 220 mx
             C: EHLO [127.0.0.1]
             S: 250-mx
             S: 250 starttls
             C: STARTTLS
             S: {reply}"
        ));
        ended.fault()
    };
    for reply in ["502 5.5.1 no", "500 no", "250 ok", "334 "] {
        assert_eq!(fault_of(reply), UpstreamFault::NoStartTls, "{reply}");
    }
    // It has STARTTLS, and no setting of ours would mend this (RFC 3207 section 4).
    for reply in ["454 4.7.0 TLS not available", "499 later", "400 later"] {
        assert_eq!(fault_of(reply), turned_away(reply), "{reply}");
    }
}

#[test]
fn extensions_from_before_tls_are_not_kept() {
    let ended = play_starttls(&format!(
        "S: 220 mx
         C: EHLO [127.0.0.1]
         S: 250-mx
         S: 250-SIZE 1
         S: 250-CHUNKING
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 go
         TLS
         C: EHLO [127.0.0.1]
         S: 250-mx
         S: 250-DSN
         S: 250 AUTH XOAUTH2
         TOKEN
         C: AUTH XOAUTH2
         S: 334
         C: {XOAUTH2}
         S: 235 ok"
    ));
    let Ended::Authenticated(welcome, _) = ended else { panic!("{ended:?}") };
    assert_eq!(welcome.extensions.lines().collect::<Vec<_>>(), ["DSN"]);
}

#[test]
fn what_was_offered_before_tls_is_forgotten() {
    let ended = play_starttls(
        "S: 220 mx
         C: EHLO [127.0.0.1]
         S: 250-mx
         S: 250-AUTH XOAUTH2
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 go
         TLS
         C: EHLO [127.0.0.1]
         S: 250 mx",
    );
    assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
}

#[test]
fn the_mechanism_is_found_in_any_case_and_in_the_old_form() {
    for line in ["AUTH PLAIN xoauth2", "auth=XOAUTH2 PLAIN", "AUTH=LOGIN XOAUTH2", "AUTH  XOAUTH2 "]
    {
        let script = format!(
            "S: 220-welcome
             S: 220 mx
             C: EHLO [127.0.0.1]
             S: 250-mx
             S: 250 {line}
             TOKEN
             C: AUTH XOAUTH2"
        );
        assert!(matches!(play_implicit(&script), Ended::Waiting), "{line}");
    }
}

#[test]
fn a_server_without_the_mechanism_gets_no_auth() {
    for line in ["AUTH LOGIN PLAIN", "AUTH XOAUTH", "AUTH", "XAUTH XOAUTH2", "SIZE XOAUTH2"] {
        let ended = play_implicit(&format!(
            "S: 220 mx
             C: EHLO [127.0.0.1]
             S: 250-AUTH XOAUTH2
             S: 250 {line}"
        ));
        assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "XOAUTH2" }, "{line}");
    }
}

#[test]
fn a_server_that_greets_with_a_refusal_turns_us_away() {
    for reply in ["421 4.3.2 too busy", "554 5.7.1 go away", "450 x"] {
        assert_eq!(play_implicit(&format!("S: {reply}")).fault(), turned_away(reply));
    }
    let ended = play_implicit("S: 554-5.7.1 \\x1bgo\nS: 554 5.7.1 away");
    assert_eq!(ended.fault(), turned_away("554 5.7.1 ?go away"));
}

#[test]
fn a_421_at_any_step_before_auth_turns_us_away() {
    let steps = [
        "S: 220 mx\nC: EHLO [127.0.0.1]\n",
        "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n",
    ];
    for step in steps {
        let ended = play_starttls(&format!("{step}S: 421 4.4.2 idle"));
        assert_eq!(ended.fault(), turned_away("421 4.4.2 idle"));
    }
    let ended = play_implicit("S: 220 mx\nC: EHLO [127.0.0.1]\nS: 421 4.4.2 idle");
    assert_eq!(ended.fault(), turned_away("421 4.4.2 idle"));
}

#[test]
fn a_refused_ehlo_turns_us_away_in_the_server_s_words() {
    let ended = play_implicit("S: 220 mx\nC: EHLO [127.0.0.1]\nS: 502 5.5.1 HELO only");
    assert_eq!(ended.fault(), turned_away("502 5.5.1 HELO only"));
}
