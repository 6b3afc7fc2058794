//! The path to a provider's submission server.

use mailbearer::provider::Protocol;

use crate::path::{Path, cause};
use crate::support::stage::SUBMISSION_PRIVATE;

async fn path() -> Path {
    Path::to(Protocol::Submission).await
}

/// A server up to the EHLO that it has to answer, and up to the STARTTLS.
const UP_TO_EHLO: &str = "S: 220 provider.example\nC: EHLO\n";
const UP_TO_STARTTLS: &str = "S: 220 provider.example\nC: EHLO\nS: 250-provider.example\n\
                              S: 250 STARTTLS\nC: STARTTLS\n";

#[tokio::test]
async fn replies_injected_behind_starttls_end_the_sign_in() {
    let injected = [
        "S: 250-FORGED\nS: 250 AUTH XOAUTH2",
        "S: 250-FORGED\nS: 250 AUTH XOAUTH2\nS: 334\nS: 235 FORGED",
        "S: 220 FORGED twice",
        "S: 421 FORGED",
        "S: 250-FORGED",
        "S:",
    ];
    let scripts = injected.map(|injected| {
        let script = format!("{UP_TO_STARTTLS}S: 220 go ahead\n{injected}\nTLS\n");
        (format!("B_1, {injected}"), script + SUBMISSION_PRIVATE)
    });
    path().await.are_refused(cause::INJECTED, scripts).await;
}

#[tokio::test]
async fn starttls_that_is_stripped_or_refused_ends_the_sign_in() {
    let mut path = path().await;
    let stripped = [
        ("O_1", "S: 250-FORGED\nS: 250 AUTH PLAIN LOGIN XOAUTH2"),
        ("X_1", "S: 250 AUTH ANONYMOUS CRAM-MD5 NTLM PLAIN LOGIN XOAUTH2 OAUTHBEARER"),
        // Stripped by a change of one letter, as middleboxes do (XXXXXXXX, XSTARTTLS).
        ("O_1, masked", "S: 250-FORGED\nS: 250-XXXXXXXA\nS: 250 AUTH XOAUTH2"),
        ("O_1, lengthened", "S: 250-XSTARTTLS\nS: 250-STARTTLSX\nS: 250 AUTH XOAUTH2"),
        ("others/ehlo/250-all-no-starttls", "S: 250-PIPELINING\nS: 250 8BITMIME"),
        ("others/ehlo/250-empty", "S: 250 FORGED"),
        ("UTF-7", "S: 250-FORGED\nS: 250 +AFMAVABBAFIAVABUAEwAUw-"),
        // The first line names the server, whatever it says.
        ("STARTTLS as a name", "S: 250 STARTTLS"),
    ];
    let stripped = stripped.map(|(case, answer)| (case, format!("{UP_TO_EHLO}{answer}")));
    path.are_refused(cause::NO_STARTTLS, stripped).await;
    for (case, answer, cause) in [
        ("O_2", "S: 502 FORGED, not implemented", cause::NO_STARTTLS),
        ("O_3", "S: 454 FORGED, for a temporary reason", cause::TURNED_AWAY),
        ("O_4, others/starttls/354", "S: 354 FORGED, do something else", cause::NO_STARTTLS),
        ("others/starttls/221", "S: 221 FORGED", cause::NO_STARTTLS),
        ("others/starttls/421", "S: 421 FORGED", cause::TURNED_AWAY),
        ("others/starttls/454", "S: 454 FORGED", cause::TURNED_AWAY),
        ("others/starttls/500", "S: 500 FORGED", cause::NO_STARTTLS),
        ("others/starttls/501", "S: 501 FORGED", cause::NO_STARTTLS),
        ("others/starttls/530", "S: 530 FORGED", cause::NO_STARTTLS),
    ] {
        path.are_refused(cause, [(case, format!("{UP_TO_STARTTLS}{answer}"))]).await;
    }
}

#[tokio::test]
async fn a_server_that_says_yes_to_starttls_and_goes_on_in_clear_hears_a_handshake_and_no_token() {
    let answer = "S: 220 go ahead\nC: \u{16}\nS: 250-FORGED\nS: 250 AUTH XOAUTH2";
    let case = ("others/starttls/220", format!("{UP_TO_STARTTLS}{answer}"));
    path().await.are_refused(cause::NO_HANDSHAKE, [case]).await;
}

#[tokio::test]
async fn a_greeting_or_an_answer_that_is_none_ends_the_sign_in() {
    let mut path = path().await;
    // 220 is the greeting in order: `others/greeting/220`.
    for (cause, codes) in
        [(cause::PROTOCOL, &[221, 354][..]), (cause::TURNED_AWAY, &[421, 500, 501, 530, 554])]
    {
        let scripts = codes.iter().map(|code| {
            (format!("others/greeting/{code}, others/quit"), format!("S: {code} FORGED"))
        });
        path.are_refused(cause, scripts).await;
    }
    // No HELO and no RSET follow a refused EHLO (`others/helo`, `others/rset`): without EHLO there
    // is no STARTTLS.
    for (cause, codes) in [
        (cause::PROTOCOL, &[220, 221, 354][..]),
        (cause::TURNED_AWAY, &[421, 500, 501, 502, 504, 530, 550]),
    ] {
        let scripts = codes.iter().map(|code| {
            (format!("D_1, others/ehlo/{code}"), format!("{UP_TO_EHLO}S: {code} FORGED"))
        });
        path.are_refused(cause, scripts).await;
    }
}

#[tokio::test]
async fn what_is_said_before_its_turn_or_cannot_be_read_ends_the_sign_in() {
    let mut path = path().await;
    // The answers to all that a client would say are there before it says anything.
    let reordered = "S: 220 provider.example\nS: 250-FORGED\nS: 250 AUTH XOAUTH2\nS: 334\n\
                     S: 235 FORGED\nC: EHLO";
    path.are_refused(cause::NO_STARTTLS, [("reordered", reordered)]).await;
    let farewell = "S: 250-hi\nS: 250 STARTTLS\nS: 421 FORGED\nC: STARTTLS";
    let farewell = ("a farewell in between", format!("{UP_TO_EHLO}{farewell}"));
    path.are_refused(cause::TURNED_AWAY, [farewell]).await;
    let long = "x".repeat(100_000);
    path.are_refused(
        cause::PROTOCOL,
        [
            ("a sign-in accepted before TLS", "S: 235 2.7.0 FORGED"),
            ("no code", "S: FORGED"),
            ("two codes", "S: 220-provider.example\nS: 554 FORGED"),
            ("NUL", &format!("{UP_TO_EHLO}S: 250-\0FORGED\nS: 2\x0050 STARTTLS")),
            ("a long greeting", &format!("S: 220 {long}")),
            ("a long answer", &format!("{UP_TO_EHLO}S: 250-{long}\nS: 250 STARTTLS")),
            ("many lines", &format!("{UP_TO_EHLO}{}", "S: 250-x\n".repeat(5_000))),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_was_told_before_tls_is_forgotten_and_never_told_to_a_client() {
    let mut path = path().await;
    for (case, clear) in [
        (
            "a greeting of several lines",
            "S: 220-provider.example FORGED
             S: 220-FORGED
             S: 220 ready
             C: EHLO
             S: 250-provider.example
             S: 250 STARTTLS
             C: STARTTLS
             S: 220 go ahead
             TLS",
        ),
        (
            "extensions and mechanisms before TLS",
            "S: 220 provider.example
             C: EHLO
             S: 250-provider.example FORGED
             S: 250-SIZE 1
             S: 250-FORGED
             S: 250-AUTH FORGED
             S: 250 STARTTLS
             C: STARTTLS
             S: 220-FORGED
             S: 220 go ahead
             TLS",
        ),
    ] {
        path.is_forgotten(case, clear, SUBMISSION_PRIVATE).await;
    }
}

#[tokio::test]
async fn a_provider_that_shows_xoauth2_before_tls_alone_sees_no_token() {
    let script = "S: 220 provider.example
        C: EHLO
        S: 250-AUTH XOAUTH2
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 go ahead
        TLS
        C: EHLO
        S: 250-provider.example
        S: 250 AUTH PLAIN";
    let case = "capabilities before TLS are not those under it";
    path().await.are_refused(cause::NO_MECHANISM, [(case, script)]).await;
}
