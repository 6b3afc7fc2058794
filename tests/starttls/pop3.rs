//! The path to a provider's POP3 server.

use mailbearer::provider::Protocol;

use crate::path::{Path, cause};
use crate::support::stage::{POP3_CLEAR, POP3_PRIVATE};

/// A server in order up to STLS, not answered yet.
const UP_TO_STLS: &str = "S: +OK ready\nC: STLS\n";

async fn path() -> Path {
    Path::to(Protocol::Pop3).await
}

#[tokio::test]
async fn replies_injected_behind_stls_end_the_sign_in() {
    let injected = [
        ("B_1", "S: +OK FORGED"),
        ("B_2", "S: \u{b9}\u{b3}\u{b9}\u{b2}FORGED"),
        ("B_1, all of it", "S: +OK\nS: SASL XOAUTH2\nS: .\nS: +\nS: +OK FORGED"),
        ("an error", "S: -ERR FORGED"),
        ("an empty line", "S:"),
    ];
    let scripts = injected.map(|(case, injected)| {
        (case, format!("{UP_TO_STLS}S: +OK go ahead\n{injected}\nTLS\n{POP3_PRIVATE}"))
    });
    path().await.are_refused(cause::INJECTED, scripts).await;
}

/// mailbearer asks for STLS without asking for capabilities first, so there is nothing to strip: a
/// server that has none says so, and so does whoever forges its answer.
#[tokio::test]
async fn stls_that_is_refused_ends_the_sign_in() {
    let mut path = path().await;
    for (case, answer, cause) in [
        ("O_1, O_2, O_3", "S: -ERR FORGED, STARTTLS not supported", cause::NO_STARTTLS),
        (
            "others/stls/greeting_ok_capa_ok_stls_err_sys_perm",
            "S: -ERR [SYS/PERM] FORGED",
            cause::NO_STARTTLS,
        ),
        ("a continuation", "S: + FORGED", cause::PROTOCOL),
        ("no reply at all", "S: FORGED", cause::PROTOCOL),
        ("capabilities", "S: STLS\nS: SASL XOAUTH2\nS: .", cause::PROTOCOL),
        ("a yes, then clear text", "S: +OK go\nC: \u{16}\nS: +OK FORGED", cause::NO_HANDSHAKE),
    ] {
        path.are_refused(cause, [(case, format!("{UP_TO_STLS}{answer}"))]).await;
    }
    // The timestamp invites to APOP, in clear.
    let apop = "S: +OK ready <1234.123456789@example.org>\nC: STLS\nS: -ERR FORGED";
    path.are_refused(cause::NO_STARTTLS, [("O_4", apop)]).await;
}

#[tokio::test]
async fn a_greeting_that_is_none_ends_the_sign_in() {
    let mut path = path().await;
    let errors = [
        ("others/greeting/err, others/code", "S: -ERR FORGED"),
        ("others/greeting/greeting_2", "S: -ERR FORGED\nS: +OK FORGED"),
        ("others/greeting/err_sys_perm", "S: -ERR [SYS/PERM] FORGED"),
        ("others/greeting/err_sys_temp", "S: -ERR [SYS/TEMP] FORGED"),
        ("others/greeting/err_timestamp", "S: -ERR FORGED <1.2@example.org>"),
        ("others/greeting/err_escape", "S: -ERR \u{1b}[31;1;4mFORGED\u{1b}[0m"),
    ];
    path.are_refused(cause::TURNED_AWAY, errors).await;
    let long = format!("S: +OK {}", "x".repeat(100_000));
    let none = [
        ("no reply", "S: FORGED"),
        ("a continuation", "S: + FORGED"),
        ("NUL", "S: +\0OK FORGED"),
        ("a long greeting", &long),
    ];
    path.are_refused(cause::PROTOCOL, none).await;
}

#[tokio::test]
async fn what_is_said_before_its_turn_ends_the_sign_in() {
    let mut path = path().await;
    // Lines behind the greeting are taken for the answer to STLS, which they are not.
    let unsolicited = "S: +OK 2 FORGED messages\nS: 1 120\nS: 2 200\nS: .\nC: STLS";
    let case = "others/unsolicited/multi_line_scan_listing";
    path.are_refused(cause::PROTOCOL, [(case, unsolicited)]).await;
    // What stands behind one that is, is injected.
    let all = "S: +OK\nS: +OK FORGED\nS: +\nS: +OK FORGED, signed in\nC: STLS";
    path.are_refused(cause::INJECTED, [("all answers before any question", all)]).await;
}

#[tokio::test]
async fn what_was_told_before_tls_is_forgotten_and_never_told_to_a_client() {
    let mut path = path().await;
    for (case, clear) in [
        ("others/greeting/ok_escape", POP3_CLEAR.replace("provider", "\u{1b}[31mFORGED")),
        ("others/greeting/ok_timestamp", POP3_CLEAR.replace("provider", "<1.2@FORGED>")),
        ("others/greeting/ok_sys_perm", POP3_CLEAR.replace("provider", "[SYS/PERM] FORGED")),
        ("others/greeting/ok_sys_temp", POP3_CLEAR.replace("provider", "[SYS/TEMP] FORGED")),
        ("stls_ok_sys_perm", POP3_CLEAR.replace("go ahead", "[SYS/PERM] FORGED")),
    ] {
        path.is_forgotten(case, &clear, POP3_PRIVATE).await;
    }
}
