//! Transcripts of the upstream side: what somebody on the path can do before TLS is up. The cases are
//! those of "NO STARTTLS" (USENIX Security 2021): stripping, injection, PREAUTH, tampering, alerts.

use crate::proto::UpstreamFault;
use crate::proto::imap::{ImapUpstream, Welcome};
use crate::proto::transcript::{Ended, play_upstream};
use crate::provider::{Mechanism, UpstreamTls};

/// `user=alice@example.com^Aauth=Bearer secret-token^A^A`.
const RESPONSE: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBzZWNyZXQtdG9rZW4BAQ==";

fn connect(script: &str) -> Ended<Welcome> {
    let machine = || ImapUpstream::new(UpstreamTls::StartTls, Mechanism::Xoauth2);
    play_upstream(machine, Mechanism::Xoauth2, script)
}

#[track_caller]
fn fault(script: &str) -> UpstreamFault {
    match connect(script) {
        Ended::Fault(fault) => fault,
        ended @ (Ended::Authenticated(..) | Ended::Refused(_) | Ended::Waiting) => {
            panic!("no fault: {ended:?}")
        }
    }
}

#[test]
fn alerts_and_data_from_before_tls_never_reach_the_client() {
    let ended = connect(&format!(
        "S: * OK [ALERT] your password ends, go to http://evil.example
         C: m1 CAPABILITY
         S: * OK [ALERT] http://evil.example
         S: * CAPABILITY IMAP4rev1 STARTTLS
         S: * 3 EXISTS
         S: m1 OK [ALERT] http://evil.example
         C: m2 STARTTLS
         S: * OK [ALERT] http://evil.example
         S: * LIST () \"/\" evil
         S: m2 OK [ALERT] http://evil.example
         TLS
         C: m3 CAPABILITY
         S: * CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2
         S: m3 OK done
         TOKEN
         C: m4 AUTHENTICATE XOAUTH2 {RESPONSE}
         S: * OK [ALERT] quota
         S: m4 OK [CAPABILITY IMAP4rev1 MOVE] in"
    ));
    let Ended::Authenticated(welcome, _) = ended else { panic!("{ended:?}") };
    assert_eq!(welcome.untagged, b"* OK [ALERT] quota\r\n");
    assert_eq!(welcome.tagged, b"[CAPABILITY IMAP4rev1 MOVE] in");
}

#[test]
fn capabilities_in_the_answer_to_starttls_are_not_used() {
    let told = "[CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2]";
    let fault = fault(&format!(
        "S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2] ready
         C: m1 STARTTLS
         S: * OK {told}
         S: m1 OK {told}
         TLS
         C: m2 CAPABILITY
         S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
         S: m2 OK done"
    ));
    assert_eq!(fault, UpstreamFault::NoMechanism { mechanism: "XOAUTH2" });
}

#[test]
fn starttls_is_required_however_the_server_is_said_to_be_without() {
    for told in ["IMAP4rev1 AUTH=XOAUTH2", "IMAP4rev1 XSTARTTLS", "IMAP4rev1 LOGINDISABLED", ""] {
        let greeted = fault(&format!("S: * OK [CAPABILITY {told}] ready"));
        assert_eq!(greeted, UpstreamFault::NoStartTls, "{told:?}");
        let asked = fault(&format!(
            "S: * OK ready\nC: m1 CAPABILITY\nS: * CAPABILITY {told}\nS: m1 OK done"
        ));
        assert_eq!(asked, UpstreamFault::NoStartTls, "{told:?}");
    }
}

#[test]
fn preauth_is_no_way_around_tls_wherever_it_comes() {
    assert_eq!(fault("S: * PREAUTH hi"), UpstreamFault::Preauth);
    // Behind the greeting it means nothing (RFC 3501 section 7.1.4), and STARTTLS is still due.
    let fault = fault(
        "S: * OK hi
         C: m1 CAPABILITY
         S: * PREAUTH hi
         S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
         S: m1 OK done",
    );
    assert_eq!(fault, UpstreamFault::NoStartTls);
}

#[test]
fn an_answer_ahead_of_its_command_is_no_answer() {
    // Tags are counted up, so they can be guessed; what is not awaited ends the connection.
    for script in [
        "S: m1 OK begin",
        "S: * OK hi\nC: m1 CAPABILITY\nS: m2 OK begin",
        "S: * OK [CAPABILITY STARTTLS] hi\nC: m1 STARTTLS\nS: m2 OK begin",
    ] {
        let fault = fault(script);
        assert!(matches!(fault, UpstreamFault::Protocol { .. }), "{script}: {fault:?}");
    }
}

#[test]
fn capabilities_from_before_tls_do_not_stand_in_for_those_that_are_not_told_under_it() {
    let ended = connect(
        "S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2] ready
         C: m1 STARTTLS
         S: m1 OK begin
         TLS
         C: m2 CAPABILITY
         S: m2 OK done",
    );
    assert_eq!(ended.problem(), "it tells no capabilities");
}
