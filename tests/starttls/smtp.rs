//! The path to a provider's submission server.

use mailbearer::provider::Protocol;

use crate::path::Path;
use crate::support::stage::SUBMISSION_PRIVATE;

async fn path() -> Path {
    Path::to(Protocol::Submission).await
}

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
    let mut path = path().await;
    for injected in injected {
        let script = format!(
            "S: 220 provider.example\nC: EHLO\nS: 250-provider.example\nS: 250 STARTTLS\n\
             C: STARTTLS\nS: 220 go ahead\n{injected}\nTLS\n{SUBMISSION_PRIVATE}"
        );
        path.are_refused(&[(&format!("B_1, {injected}"), &script)]).await;
    }
}

#[tokio::test]
async fn starttls_that_is_stripped_or_refused_ends_the_sign_in() {
    let ehlo = "S: 220 provider.example\nC: EHLO\n";
    let offered = "S: 250-provider.example\nS: 250 STARTTLS\nC: STARTTLS\n";
    let mut path = path().await;
    path.are_refused(&[("D_1", &format!("{ehlo}S: 502 FORGED, HELO only"))]).await;
    for (case, answer) in [
        ("O_1", "S: 250-FORGED\nS: 250 AUTH PLAIN LOGIN XOAUTH2"),
        ("X_1", "S: 250 AUTH ANONYMOUS CRAM-MD5 NTLM PLAIN LOGIN XOAUTH2 OAUTHBEARER"),
        // Stripped by a change of one letter, as middleboxes do (XXXXXXXX, XSTARTTLS).
        ("O_1, masked", "S: 250-FORGED\nS: 250-XXXXXXXA\nS: 250 AUTH XOAUTH2"),
        ("O_1, lengthened", "S: 250-XSTARTTLS\nS: 250-STARTTLSX\nS: 250 AUTH XOAUTH2"),
        ("others/ehlo/250-all-no-starttls", "S: 250-PIPELINING\nS: 250 8BITMIME"),
        ("others/ehlo/250-empty", "S: 250 FORGED"),
    ] {
        path.are_refused(&[(case, &format!("{ehlo}{answer}"))]).await;
    }
    for (case, answer) in [
        ("O_2", "S: 502 FORGED, not implemented"),
        ("O_3", "S: 454 FORGED, for a temporary reason"),
        ("O_4", "S: 354 FORGED, do something else"),
        ("others/starttls/221", "S: 221 FORGED"),
        ("others/starttls/421", "S: 421 FORGED"),
        ("others/starttls/500", "S: 500 FORGED"),
        ("others/starttls/501", "S: 501 FORGED"),
        ("others/starttls/530", "S: 530 FORGED"),
    ] {
        path.are_refused(&[(case, &format!("{ehlo}{offered}{answer}"))]).await;
    }
}

#[tokio::test]
async fn a_server_that_says_yes_to_starttls_and_goes_on_in_clear_hears_a_handshake_and_no_token() {
    path()
        .await
        .are_refused(&[(
            "others/starttls/220",
            "S: 220 provider.example
             C: EHLO
             S: 250 STARTTLS
             S: 250 STARTTLS
             CLOSE",
        )])
        .await;
    path()
        .await
        .are_refused(&[(
            "others/starttls/220, then a reply where the handshake is due",
            "S: 220 provider.example
             C: EHLO
             S: 250-provider.example
             S: 250 STARTTLS
             C: STARTTLS
             S: 220 go ahead
             C: \u{16}
             S: 250-FORGED
             S: 250 AUTH XOAUTH2",
        )])
        .await;
}

#[tokio::test]
async fn a_greeting_or_an_answer_that_is_none_ends_the_sign_in() {
    let mut path = path().await;
    // 220 is the greeting in order: `others/greeting/220`.
    for code in [221, 354, 421, 500, 501, 530, 554] {
        let case = format!("others/greeting/{code}");
        path.are_refused(&[(&case, &format!("S: {code} FORGED"))]).await;
    }
    for code in [220, 221, 354, 421, 500, 501, 502, 504, 530, 550] {
        let case = format!("others/ehlo/{code}");
        let script = format!("S: 220 provider.example\nC: EHLO\nS: {code} FORGED");
        path.are_refused(&[(&case, &script)]).await;
    }
}

#[tokio::test]
async fn what_is_said_before_its_turn_or_cannot_be_read_ends_the_sign_in() {
    let long = "x".repeat(100_000);
    let mut path = path().await;
    path.are_refused(&[
        // The answers to all that a client would say are there before it says anything.
        (
            "reordered",
            "S: 220 provider.example\nS: 250-FORGED\nS: 250 AUTH XOAUTH2\nS: 334\nS: 235 FORGED",
        ),
        ("a sign-in accepted before TLS", "S: 235 2.7.0 FORGED"),
        ("no code", "S: FORGED"),
        ("two codes", "S: 220-provider.example\nS: 554 FORGED"),
        ("NUL", "S: 220 provider.example\nC: EHLO\nS: 250-\0FORGED\nS: 2\x0050 STARTTLS"),
        ("UTF-7", "S: 220 provider.example\nC: EHLO\nS: 250 +AFMAVABBAFIAVABUAEwAUw-"),
        ("a long greeting", &format!("S: 220 {long}")),
        ("a long answer", &format!("S: 220 hi\nC: EHLO\nS: 250-{long}\nS: 250 STARTTLS")),
        ("many lines", &format!("S: 220 hi\nC: EHLO\n{}", "S: 250-x\n".repeat(5_000))),
        ("a farewell in between", "S: 220 hi\nC: EHLO\nS: 250 STARTTLS\nS: 421 FORGED\nCLOSE"),
    ])
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
    path()
        .await
        .are_refused(&[(
            "capabilities before TLS are not those under it",
            "S: 220 provider.example
             C: EHLO
             S: 250-AUTH XOAUTH2
             S: 250 STARTTLS
             C: STARTTLS
             S: 220 go ahead
             TLS
             C: EHLO
             S: 250-provider.example
             S: 250 AUTH PLAIN",
        )])
        .await;
}

#[tokio::test]
async fn wrong_certificates_are_refused() {
    path().await.refuses_every_wrong_certificate().await;
}
