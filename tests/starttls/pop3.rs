//! The path to a provider's POP3 server.

use mailbearer::provider::Protocol;

use crate::path::Path;
use crate::support::stage::{POP3_CLEAR, POP3_PRIVATE};

/// A server in order up to STLS, not answered yet.
const UP_TO_STLS: &str = "S: +OK ready\nC: STLS\n";

async fn path() -> Path {
    Path::to(Protocol::Pop3).await
}

#[tokio::test]
async fn replies_injected_behind_stls_end_the_sign_in() {
    let mut path = path().await;
    for (case, injected) in [
        ("B_1", "S: +OK FORGED"),
        ("B_2", "S: \u{b9}\u{b3}\u{b9}\u{b2}FORGED"),
        ("B_1, all of it", "S: +OK\nS: SASL XOAUTH2\nS: .\nS: +\nS: +OK FORGED"),
        ("an error", "S: -ERR FORGED"),
        ("an empty line", "S:"),
    ] {
        let script = format!("{UP_TO_STLS}S: +OK go ahead\n{injected}\nTLS\n{POP3_PRIVATE}");
        path.are_refused(&[(case, &script)]).await;
    }
}

/// mailbearer asks for STLS without asking for capabilities first, so there is nothing to strip: a
/// server that has none says so, and so does whoever forges its answer.
#[tokio::test]
async fn stls_that_is_refused_ends_the_sign_in() {
    let mut path = path().await;
    for (case, answer) in [
        ("O_1, O_2, O_3", "S: -ERR FORGED, STARTTLS not supported"),
        ("others/stls/greeting_ok_capa_ok_stls_err_sys_perm", "S: -ERR [SYS/PERM] FORGED"),
        ("a continuation", "S: + FORGED"),
        ("no reply at all", "S: FORGED"),
        ("capabilities", "S: STLS\nS: SASL XOAUTH2\nS: ."),
        ("a yes, then clear text", "S: +OK go\nC: \u{16}\nS: +OK FORGED"),
    ] {
        path.are_refused(&[(case, &format!("{UP_TO_STLS}{answer}"))]).await;
    }
    // The timestamp invites to APOP, in clear.
    let apop = "S: +OK ready <1234.123456789@example.org>\nC: STLS\nS: -ERR FORGED";
    path.are_refused(&[("O_4", apop)]).await;
}

#[tokio::test]
async fn a_greeting_that_is_none_ends_the_sign_in() {
    let long = "x".repeat(100_000);
    path()
        .await
        .are_refused(&[
            ("others/greeting/err", "S: -ERR FORGED"),
            ("others/greeting/greeting_2", "S: -ERR FORGED\nS: +OK FORGED"),
            ("others/greeting/err_sys_perm", "S: -ERR [SYS/PERM] FORGED"),
            ("others/greeting/err_sys_temp", "S: -ERR [SYS/TEMP] FORGED"),
            ("others/greeting/err_timestamp", "S: -ERR FORGED <1.2@example.org>"),
            ("others/greeting/err_escape", "S: -ERR \u{1b}[31;1;4mFORGED\u{1b}[0m"),
            ("no reply", "S: FORGED"),
            ("a continuation", "S: + FORGED"),
            ("NUL", "S: +\0OK FORGED"),
            ("a long greeting", &format!("S: +OK {long}")),
            // Lines behind the greeting are taken for the answer to STLS, which they are not.
            (
                "others/unsolicited/multi_line_scan_listing",
                "S: +OK 2 FORGED messages\nS: 1 120\nS: 2 200\nS: .",
            ),
            // What stands behind one that is, is injected.
            (
                "all answers before any question",
                "S: +OK\nS: +OK FORGED\nS: +\nS: +OK FORGED, signed in",
            ),
        ])
        .await;
}

#[tokio::test]
async fn what_was_told_before_tls_is_forgotten_and_never_told_to_a_client() {
    let mut path = path().await;
    for (case, clear) in [
        ("others/greeting/ok_escape", POP3_CLEAR.replace("provider", "\u{1b}[31mFORGED")),
        ("others/greeting/ok_timestamp", POP3_CLEAR.replace("provider", "<1.2@FORGED>")),
        ("others/greeting/ok_sys_perm", POP3_CLEAR.replace("provider", "[SYS/PERM] FORGED")),
        ("stls_ok_sys_perm", POP3_CLEAR.replace("go ahead", "[SYS/PERM] FORGED")),
    ] {
        path.is_forgotten(case, &clear, POP3_PRIVATE).await;
    }
}

#[tokio::test]
async fn wrong_certificates_are_refused() {
    path().await.refuses_every_wrong_certificate().await;
}
