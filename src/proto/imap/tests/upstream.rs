//! Transcripts of the upstream side, and its limits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::names::Username;
use crate::proto::imap::{ImapUpstream, NonSyncLiterals, Source, Welcome};
use crate::proto::sasl::Credentials;
use crate::proto::transcript::{Ended, play_upstream, play_upstream_ahead};
use crate::proto::{
    AwaitToken as _, Input, Lasting, Output, Upstream as _, UpstreamFault, UpstreamStep,
};
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::secret::AccessToken;

/// `user=alice@example.com^Aauth=Bearer secret-token^A^A`.
pub(super) const RESPONSE: &str =
    "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBzZWNyZXQtdG9rZW4BAQ==";

/// Exchange Online: no capabilities in the greeting, nor in the answer to the sign-in.
const EXCHANGE: &str =
    "S: * OK The Microsoft Exchange IMAP4 service is ready. [RgBSADMAUAAyADgAMQBDAEEAMAAxADMA]
     C: m1 CAPABILITY
     S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+
     S: m1 OK CAPABILITY completed.
     TOKEN";

/// Gmail.
const GMAIL: &str = "S: * OK Gimap ready for requests from 192.0.2.7 5b1f17b1804b1mb12345678
     C: m1 CAPABILITY
     S: * CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER
     S: m1 OK Thats all she wrote! 5b1f17b1804b1mb12345678
     TOKEN";

/// A server that tells all in its greeting.
const TELLING: &str = "S: * OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=XOAUTH2 AUTH=OAUTHBEARER] ready.
     TOKEN";

pub(super) fn connect(script: &str) -> Ended<Welcome> {
    let machine = || ImapUpstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    play_upstream(machine, Mechanism::Xoauth2, script)
}

fn connect_starttls(script: &str) -> Ended<Welcome> {
    let machine = || ImapUpstream::new(UpstreamTls::StartTls, Mechanism::Xoauth2);
    play_upstream(machine, Mechanism::Xoauth2, script)
}

fn bearer(script: &str) -> Ended<Welcome> {
    let machine = || ImapUpstream::new(UpstreamTls::Implicit, Mechanism::OauthBearer);
    play_upstream(machine, Mechanism::OauthBearer, script)
}

/// Plays a sign-in whose end is `outcome`, at a server that tells all in its greeting.
fn signed_in(outcome: &str) -> Ended<Welcome> {
    connect(&format!("{TELLING}\nC: m1 AUTHENTICATE XOAUTH2 {RESPONSE}\n{outcome}"))
}

#[track_caller]
pub(super) fn welcome(ended: Ended<Welcome>) -> (String, String, String) {
    let Ended::Authenticated(Welcome { untagged, tagged, .. }, left) = ended else {
        panic!("not authenticated: {ended:?}");
    };
    let text = |bytes: Vec<u8>| bytes.escape_ascii().to_string();
    (text(untagged), text(tagged), text(left))
}

#[test]
fn exchange_is_asked_for_its_capabilities_once_more_behind_the_sign_in() {
    let ended = connect(&format!(
        "{EXCHANGE}
         C: m2 AUTHENTICATE XOAUTH2 {RESPONSE}
         S: m2 OK AUTHENTICATE completed.
         C: m3 CAPABILITY
         S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+
         S: m3 OK CAPABILITY completed.
         S| * BYE"
    ));
    let (untagged, tagged, left) = welcome(ended);
    assert!(untagged.starts_with("* CAPABILITY IMAP4 IMAP4rev1") && untagged.contains(" MOVE "));
    assert!(untagged.ends_with(" LITERAL+\\r\\n"), "{untagged}");
    assert_eq!((tagged.as_str(), left.as_str()), ("AUTHENTICATE completed.", "* BYE"));
}

#[test]
fn gmail_is_not_asked_again_since_it_tells_its_capabilities() {
    let ended = connect(&format!(
        "{GMAIL}
         C: m2 AUTHENTICATE XOAUTH2 {RESPONSE}
         S: * CAPABILITY IMAP4rev1 UNSELECT IDLE UIDPLUS MOVE UTF8=ACCEPT
         S: m2 OK alice@example.com authenticated (Success)
         S| * 3 EXISTS\\r\\n* half"
    ));
    assert_eq!(
        welcome(ended),
        (
            r"* CAPABILITY IMAP4rev1 UNSELECT IDLE UIDPLUS MOVE UTF8=ACCEPT\r\n".to_owned(),
            "alice@example.com authenticated (Success)".to_owned(),
            r"* 3 EXISTS\r\n* half".to_owned(),
        )
    );
}

#[test]
fn capabilities_in_a_code_are_enough_and_the_code_is_kept() {
    let (untagged, tagged, _) = welcome(signed_in("S: m1 OK [CAPABILITY IMAP4rev1 MOVE] in"));
    assert_eq!((untagged.as_str(), tagged.as_str()), ("", "[CAPABILITY IMAP4rev1 MOVE] in"));
    let ended = signed_in("S: * OK [CAPABILITY IMAP4rev1 MOVE] x\nS: m1 OK in");
    assert_eq!(welcome(ended).0, r"* OK [CAPABILITY IMAP4rev1 MOVE] x\r\n");
}

#[test]
fn untagged_responses_are_kept_byte_for_byte_and_in_order() {
    let ended = signed_in(
        "S: * OK [ALERT] quota \\xfc  {3}
         S: * NO slow
         S: * CAPABILITY IMAP4rev1
         S| * ID NIL\\r\\r\\n
         S: m1 OK",
    );
    let (untagged, tagged, _) = welcome(ended);
    assert_eq!(
        untagged,
        r"* OK [ALERT] quota \xfc  {3}\r\n* NO slow\r\n* CAPABILITY IMAP4rev1\r\n* ID NIL\r\r\n"
    );
    assert_eq!(tagged, "");
}

#[test]
fn the_sign_in_holds_when_the_question_for_capabilities_is_refused() {
    let ended = signed_in(
        "S: m1 OK AUTHENTICATE completed.
         C: m2 CAPABILITY
         S: m2 BAD User is authenticated but not connected.",
    );
    assert_eq!(welcome(ended).1, "AUTHENTICATE completed.");
}

#[test]
fn the_token_waits_for_a_continuation_where_sasl_ir_is_not_offered() {
    let ended = connect(&format!(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
         TOKEN
         C: m1 AUTHENTICATE XOAUTH2
         S: +
         C: {RESPONSE}
         S: m1 OK [CAPABILITY IMAP4rev1] in"
    ));
    assert_eq!(welcome(ended).1, "[CAPABILITY IMAP4rev1] in");
}

#[test]
fn the_token_is_not_sent_when_the_mechanism_is_refused_first() {
    let ended = connect(
        "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
         TOKEN
         C: m1 AUTHENTICATE XOAUTH2
         S: m1 NO not now",
    );
    assert_eq!(ended.refusal(), ("NO not now".to_owned(), Lasting::Permanent, None));
}

#[test]
fn capabilities_are_read_in_any_case_and_from_the_tagged_code() {
    let ended = connect(&format!(
        "S: * ok hello
         C: m1 CAPABILITY
         S: * OK still here
         S: m1 ok [capability imap4REV1 sasl-ir auth=xoauth2] done
         TOKEN
         C: m2 AUTHENTICATE XOAUTH2 {RESPONSE}
         S: m2 OK [CAPABILITY IMAP4rev1] in"
    ));
    welcome(ended);
}

#[test]
fn capabilities_that_were_told_last_are_the_ones_that_hold() {
    let ended = connect(
        "S: * OK hello
         C: m1 CAPABILITY
         S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2
         S: m1 OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] done",
    );
    assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
    let ended = connect(
        "S: * OK hello
         C: m1 CAPABILITY
         S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2
         S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
         S: m1 OK done
         TOKEN
         C: m2 AUTHENTICATE XOAUTH2",
    );
    assert!(matches!(ended, Ended::Waiting), "{ended:?}");
}

#[test]
fn starttls_is_taken_and_all_from_before_it_forgotten() {
    let ended = connect_starttls(&format!(
        "S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2] ready
         C: m1 STARTTLS
         S: * OK soon
         S: m1 OK begin
         TLS
         C: m2 CAPABILITY
         S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
         S: m2 OK done
         TOKEN
         C: m3 AUTHENTICATE XOAUTH2
         S: +\\x20
         C: {RESPONSE}
         S: m3 OK in
         C: m4 CAPABILITY
         S: * CAPABILITY IMAP4rev1 MOVE
         S: m4 OK done"
    ));
    assert_eq!(welcome(ended).0, r"* CAPABILITY IMAP4rev1 MOVE\r\n");
}

#[test]
fn starttls_is_asked_for_where_the_greeting_tells_nothing() {
    let ended = connect_starttls(
        "S: * OK ready
         C: m1 CAPABILITY
         S: * CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED
         S: m1 OK done
         C: m2 STARTTLS
         S: m2 OK begin
         TLS
         C: m3 CAPABILITY
         S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
         S: m3 OK done",
    );
    assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
}

#[test]
fn a_server_without_starttls_is_given_up_in_clear() {
    let ended = connect_starttls("S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready");
    assert_eq!(ended.fault(), UpstreamFault::NoStartTls);
    let fault_of = |answer: &str| {
        connect_starttls(&format!(
            "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
             C: m1 STARTTLS
             S: m1 {answer}"
        ))
        .fault()
    };
    for answer in ["NO not now", "BAD unknown", "BAD [UNAVAILABLE] unknown"] {
        assert_eq!(fault_of(answer), UpstreamFault::NoStartTls, "{answer}");
    }
    // It has STARTTLS, and no setting of ours would mend this (RFC 5530 section 3).
    let reply = "NO [UNAVAILABLE] not now".to_owned();
    assert_eq!(fault_of(&reply), UpstreamFault::TurnedAway { reply });
}

#[test]
fn a_greeting_that_turns_away_is_kept_for_the_log() {
    for connect in [connect, connect_starttls] {
        let reply = "BYE [UNAVAILABLE] busy?".to_owned();
        let ended = connect("S: * BYE [UNAVAILABLE] busy\\xfc");
        assert_eq!(ended.fault(), UpstreamFault::TurnedAway { reply });
    }
    let reply = "BYE Connection closed. 14".to_owned();
    let ended = connect("S: * OK hi\nC: m1 CAPABILITY\nS: * BYE Connection closed. 14");
    assert_eq!(ended.fault(), UpstreamFault::TurnedAway { reply: reply.clone() });
    let greeted = "S: * OK [CAPABILITY STARTTLS] hi\nC: m1 STARTTLS";
    let ended = connect_starttls(&format!("{greeted}\nS: * BYE Connection closed. 14"));
    assert_eq!(ended.fault(), UpstreamFault::TurnedAway { reply });
}

#[test]
fn a_greeting_that_claims_we_are_signed_in_is_a_fault() {
    for connect in [connect, connect_starttls] {
        let ended = connect("S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] hi");
        assert_eq!(ended.fault(), UpstreamFault::Preauth);
    }
}

#[test]
fn a_server_without_the_mechanism_is_given_up_before_a_token_is_asked_for() {
    let ended = connect("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=OAUTHBEARER] hi");
    assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
    let ended = bearer("S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2] hi");
    assert_eq!(ended.fault(), UpstreamFault::NoMechanism { mechanism: "OAUTHBEARER" });
}

#[test]
fn an_error_challenge_is_answered_with_an_empty_line_for_xoauth2() {
    // Gmail's, as seen.
    let ended = connect(&format!(
        "{GMAIL}
         C: m2 AUTHENTICATE XOAUTH2 {RESPONSE}
         S: + eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==
         C:
         S: m2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
    ));
    let reply = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)".to_owned();
    assert_eq!(ended.refusal(), (reply, Lasting::Permanent, Some("400".to_owned())));
}

#[test]
fn an_error_challenge_is_answered_with_a_single_control_a_for_oauthbearer() {
    let message = "n,a=alice@example.com,\x01host=mail.example.com\x01port=587\x01\
                   auth=Bearer secret-token\x01\x01";
    let ended = bearer(&format!(
        "{TELLING}
         C: m1 AUTHENTICATE OAUTHBEARER {}
         S: + eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=
         C: AQ==
         S: m1 NO [AUTHENTICATIONFAILED] Authentication failed.",
        STANDARD.encode(message)
    ));
    let reply = "NO [AUTHENTICATIONFAILED] Authentication failed.".to_owned();
    assert_eq!(ended.refusal(), (reply, Lasting::Permanent, Some("invalid_token".to_owned())));
}

#[test]
fn a_refusal_lasts_unless_its_code_says_otherwise() {
    for code in ["UNAVAILABLE", "inuse", "LIMIT", "SERVERBUG"] {
        let reply = format!("NO [{code}] try later");
        let ended = signed_in(&format!("S: m1 {reply}"));
        assert_eq!(ended.refusal(), (reply, Lasting::Temporary, None));
    }
    for reply in [
        "NO AUTHENTICATE failed.",
        "NO [CONTACTADMIN] ask",
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        "NO [AUTHENTICATIONFAILED] [UNAVAILABLE]",
        "BAD [UNAVAILABLE] what",
    ] {
        let ended = signed_in(&format!("S: m1 {reply}"));
        assert_eq!(ended.refusal(), (reply.to_owned(), Lasting::Permanent, None));
    }
}

#[test]
fn a_bye_during_the_sign_in_is_a_refusal_that_passes() {
    let reply = "BYE Session invalidated".to_owned();
    let expected = (reply.clone(), Lasting::Temporary, None);
    assert_eq!(signed_in("S: * BYE Session invalidated").refusal(), expected);
    let late = "S: m1 OK in\nC: m2 CAPABILITY\nS: * BYE Session invalidated";
    assert_eq!(signed_in(late).refusal(), expected);
    let challenged = "S: + eyJzdGF0dXMiOjQwMX0=\nC:\nS: * BYE Session invalidated";
    let expected = (reply, Lasting::Temporary, Some("401".to_owned()));
    assert_eq!(signed_in(challenged).refusal(), expected);
}

#[test]
fn what_is_no_imap_is_a_fault() {
    for greeting in ["220 smtp.example.com ESMTP", "+OK POP3 ready", "HTTP/1.1 400 no", "* 1 X"] {
        connect(&format!("S: {greeting}")).problem();
    }
    connect("S: * NO hi").problem();
    connect("S: * OK hi\nC: m1 CAPABILITY\nS: m1 OK nothing").problem();
    connect("S: * OK hi\nC: m1 CAPABILITY\nS: m1 BAD what").problem();
    connect("S: * OK hi\nC: m1 CAPABILITY\nS: + more").problem();
    connect("S: * OK hi\nC: m1 CAPABILITY\nS: m2 OK not this").problem();
    signed_in("S: * X {5}").problem();
    signed_in("S: + eyJ9\nC:\nS: + eyJ9").problem();
    signed_in("S: m1 OK in\nC: m2 CAPABILITY\nS: + more").problem();
    connect_starttls("S: * OK [CAPABILITY STARTTLS] hi\nC: m1 STARTTLS\nS: + more").problem();
}

/// A greeting that tells all.
const TOLD: &[u8] = b"* OK [CAPABILITY SASL-IR AUTH=XOAUTH2] hi\r\n";

/// A machine that awaits a token, SASL-IR being offered.
fn awaiting_token() -> <ImapUpstream as crate::proto::Upstream>::AwaitToken {
    let machine = ImapUpstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    let mut input = Input::default();
    input.extend(TOLD);
    let UpstreamStep::Ready(awaiting) = machine.receive(&mut input, &mut Output::default()) else {
        panic!("a token is due");
    };
    awaiting
}

fn host() -> MailHost {
    MailHost { host: "mail.example.com".to_owned(), port: 993, tls: UpstreamTls::Implicit }
}

#[test]
fn the_token_is_sent_inline_only_if_the_line_stays_under_8000_bytes() {
    let mailbox = Username::parse("alice@example.com").unwrap();
    let host = host();
    let begin = "m1 AUTHENTICATE XOAUTH2";
    let mut seen = [false; 2];
    for token_len in 5_900..6_000 {
        let token = AccessToken::parse(&"t".repeat(token_len)).unwrap();
        let mechanism = Mechanism::Xoauth2;
        let credentials = Credentials { mailbox: &mailbox, token: &token, mechanism, host: &host };
        // Begin, a blank and the response: 8,000 bytes is one of the lengths that come up.
        let response_len = (mailbox.as_str().len() + token_len + 20).div_ceil(3) * 4;
        let len = begin.len() + 1 + response_len;
        let (mut input, mut output) = (Input::default(), Output::default());
        let machine = awaiting_token().authenticate(&credentials, &mut output);
        let said = output.take();
        seen[usize::from(len == 8_000)] = true;
        if len < 8_000 {
            assert_eq!(said.len(), len + 2, "the line holds the token");
            continue;
        }
        assert_eq!(said, format!("{begin}\r\n").as_bytes(), "{len} bytes are too many");
        input.extend(b"+\r\n");
        assert!(matches!(machine.receive(&mut input, &mut output), UpstreamStep::Read(_)));
        assert_eq!(output.take().len(), response_len + 2);
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_line_is_taken_up_to_16_kib_and_all_until_the_sign_in_up_to_64() {
    let end_of = |sent: &[u8]| {
        let mailbox = Username::parse("alice@example.com").unwrap();
        let token = AccessToken::parse("secret-token").unwrap();
        let (mechanism, host) = (Mechanism::Xoauth2, host());
        let credentials = Credentials { mailbox: &mailbox, token: &token, mechanism, host: &host };
        let mut output = Output::default();
        let mut machine = awaiting_token().authenticate(&credentials, &mut output);
        let mut input = Input::default();
        for piece in sent.chunks(1_000) {
            input.extend(piece);
            let step = machine.receive(&mut input, &mut output);
            let UpstreamStep::Read(waiting) = step else { return step };
            machine = waiting;
            assert!(input.len() <= 16_385, "{} bytes are held back", input.len());
        }
        UpstreamStep::Read(machine)
    };
    let line = |len: usize| [&b"* CAPABILITY "[..], &vec![b'x'; len - 13], b"\r\n"].concat();
    let ok = &b"m1 OK in\r\n"[..];
    let longest = [&line(16_384), ok].concat();
    assert!(matches!(end_of(&longest), UpstreamStep::Authenticated(_)));
    let too_long = [&line(16_385), ok].concat();
    assert!(matches!(end_of(&too_long), UpstreamStep::Close(UpstreamFault::Protocol { .. })));
    // The greeting and the answer to the sign-in count as well.
    let left = 65_536 - TOLD.len() - ok.len() - 4 * "\r\n".len();
    let welcome = |len: usize| [line(16_384), line(16_384), line(16_384), line(len)].concat();
    let most = welcome(left - 3 * 16_384);
    let UpstreamStep::Authenticated(said) = end_of(&[&most, ok].concat()) else {
        panic!("it is 64 KiB");
    };
    assert_eq!(said.untagged, most);
    let too_much = [&welcome(left - 3 * 16_384 + 1), ok].concat();
    assert!(matches!(end_of(&too_much), UpstreamStep::Close(UpstreamFault::Protocol { .. })));
}

#[test]
fn literal_plus_is_read_from_the_capabilities_told_last() {
    let welcome = |untagged: &str, tagged: &str| Welcome {
        untagged: untagged.as_bytes().to_vec(),
        tagged: tagged.as_bytes().to_vec(),
        source: Source::Unasked,
    };
    let (offered, not) = (NonSyncLiterals::Offered, NonSyncLiterals::NotOffered);
    for (untagged, tagged, literals) in [
        ("* CAPABILITY IMAP4rev1 literal+ IDLE\r\n", "done", offered),
        ("", "[CAPABILITY IMAP4rev1 LITERAL+] done", offered),
        ("", "LITERAL+ done", not),
        ("* CAPABILITY IMAP4rev1 LITERAL-\r\n* 1 EXISTS\r\n", "done", not),
        ("* CAPABILITY LITERAL+\r\n* CAPABILITY IMAP4rev1\r\n", "done", not),
        ("", "", not),
    ] {
        assert_eq!(welcome(untagged, tagged).literals(), literals, "{untagged:?} {tagged:?}");
    }
}

/// Signs in where `remembered` is what an earlier session was told, and the server answers `outcome`.
fn signed_in_remembering(remembered: &str, outcome: &str) -> (UpstreamStep<ImapUpstream>, String) {
    let machine = ImapUpstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready.\r\n");
    let UpstreamStep::Ready(mut awaiting) = machine.receive(&mut input, &mut output) else {
        panic!("a sign-in can begin");
    };
    awaiting.remember(Bytes::copy_from_slice(remembered.as_bytes()));
    let mailbox = Username::parse("alice@example.com").unwrap();
    let token = AccessToken::parse("secret-token").unwrap();
    let host = MailHost { host: "imap.example".into(), port: 993, tls: UpstreamTls::Implicit };
    let mechanism = Mechanism::Xoauth2;
    let credentials = Credentials { mailbox: &mailbox, token: &token, mechanism, host: &host };
    let machine = awaiting.authenticate(&credentials, &mut output);
    assert_eq!(*output.take(), *format!("m1 AUTHENTICATE XOAUTH2 {RESPONSE}\r\n").as_bytes());
    input.extend(outcome.as_bytes());
    let step = machine.receive(&mut input, &mut output);
    (step, String::from_utf8(output.take().to_vec()).unwrap())
}

#[test]
fn capabilities_that_an_earlier_session_was_told_are_not_asked_for() {
    let told = "* CAPABILITY IMAP4rev1 MOVE LITERAL+\r\n";
    let (step, said) =
        signed_in_remembering(told, "* 1 EXISTS\r\nm1 OK AUTHENTICATE completed.\r\n");
    let UpstreamStep::Authenticated(welcome) = step else { panic!("{step:?}") };
    assert_eq!(said, "", "nothing is asked");
    assert_eq!(welcome.untagged, format!("* 1 EXISTS\r\n{told}").into_bytes());
    assert_eq!(welcome.tagged, b"AUTHENTICATE completed.");
    assert_eq!(welcome.source, Source::Remembered);
    assert_eq!(welcome.asked_for(), None, "what is remembered grows no younger");
}

#[test]
fn capabilities_that_the_server_tells_count_before_those_that_are_remembered() {
    let now = "* CAPABILITY IMAP4rev1 IDLE\r\n";
    for answer in [format!("{now}m1 OK in\r\n"), "m1 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n".into()]
    {
        let (step, _) = signed_in_remembering("* CAPABILITY IMAP4rev1 MOVE\r\n", &answer);
        let UpstreamStep::Authenticated(welcome) = step else { panic!("{step:?}") };
        assert_eq!(welcome.source, Source::Unasked);
        assert!(!welcome.untagged.escape_ascii().to_string().contains("MOVE"));
    }
}

#[test]
fn a_refusal_is_one_whatever_is_remembered() {
    let (step, _) =
        signed_in_remembering("* CAPABILITY IMAP4rev1\r\n", "m1 NO AUTHENTICATE failed.\r\n");
    assert!(
        matches!(step, UpstreamStep::Refused(refusal) if refusal.reply == "NO AUTHENTICATE failed.")
    );
}

#[test]
fn what_is_kept_for_the_next_session_is_the_answer_that_was_asked_for() {
    let kept = |outcome: &str| {
        let Ended::Authenticated(welcome, _) = signed_in(outcome) else { panic!("{outcome}") };
        welcome.asked_for().map(|kept| kept.escape_ascii().to_string())
    };
    let asked = "S: m1 OK AUTHENTICATE completed.\nC: m2 CAPABILITY";
    assert_eq!(
        kept(&format!(
            "{asked}\nS: * CAPABILITY IMAP4rev1 MOVE\nS: * OK [CAPABILITY x] x\nS: m2 OK done"
        )),
        Some(r"* CAPABILITY IMAP4rev1 MOVE\r\n".to_owned())
    );
    assert_eq!(kept(&format!("{asked}\nS: m2 BAD not connected")), None);
    assert_eq!(kept("S: * CAPABILITY IMAP4rev1 MOVE\nS: m1 OK in"), None, "it tells them anyhow");
}

#[test]
fn nothing_is_said_ahead_of_a_token_that_goes_with_its_command() {
    let machine = || ImapUpstream::new(UpstreamTls::Implicit, Mechanism::Xoauth2);
    let script = format!(
        "{TELLING}\nC: m1 AUTHENTICATE XOAUTH2 {RESPONSE}\nS: m1 OK [CAPABILITY IMAP4rev1] done"
    );
    let ended = play_upstream_ahead(machine, Mechanism::Xoauth2, &script);
    assert_eq!(welcome(ended), welcome(connect(&script)));
}

#[test]
fn a_bye_is_no_word_on_the_token_where_it_is_the_first() {
    let sent = format!("{TELLING}\nC: m1 AUTHENTICATE XOAUTH2 {RESPONSE}");
    for (said, is_farewell) in [
        ("S: * BYE timed out", true),
        ("S: * bye", true),
        ("S: m1 NO [UNAVAILABLE] BYE", false),
        ("S: * OK wait\nS: * BYE too many sessions", false),
        ("S: + !\nC:\nS: * BYE too many sessions", false),
        ("S: m1 OK done\nC: m2 CAPABILITY\nS: * BYE too many sessions", false),
    ] {
        let Ended::Refused(refusal) = connect(&format!("{sent}\n{said}")) else { panic!("{said}") };
        assert_eq!(refusal.is_farewell, is_farewell, "{said}");
    }
}
