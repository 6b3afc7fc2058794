//! The path to a provider's IMAP server.

use mailbearer::provider::Protocol;

use crate::path::{Path, cause};
use crate::support::stage::IMAP_PRIVATE;

const GREETING: &str = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\n";

async fn path() -> Path {
    Path::to(Protocol::Imap).await
}

/// What would be shown as mail or folders if it reached a client: `Tampering/untagged/` 01 to 09.
const FORGERIES: [(&str, &str); 11] = [
    ("01_list", "* LIST () \"/\" FORGED"),
    ("02_lsub", "* LSUB () \"/\" FORGED"),
    ("03_status_1", "* STATUS FORGED (MESSAGES 7 UIDNEXT 8)"),
    ("03_status_2", "* STATUS FORGED (MESSAGES 7 RECENT 8 UIDNEXT 9 UNSEEN 10 UIDVALIDITY 11)"),
    ("04_search", "* SEARCH 2 3 6 FORGED"),
    ("05_flags", "* FLAGS (\\Answered FORGED)"),
    ("06_exists", "* 23 EXISTS"),
    ("07_recent", "* 5 RECENT"),
    ("08_expunge", "* 44 EXPUNGE"),
    ("09_fetch", "* 1 FETCH (FLAGS (\\Seen) ENVELOPE (NIL \"FORGED\" NIL NIL NIL NIL NIL NIL))"),
    // `others/exploit/list_injection_expunge`
    ("list_injection_expunge", "* LIST () \"/\" \"Click me! FORGED\""),
];

#[tokio::test]
async fn responses_injected_behind_starttls_end_the_sign_in() {
    let injected = [
        ("B_1", "S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2\nS: m2 OK FORGED"),
        ("B_2, suffix", "S: * OK [ALERT] FORGED"),
        ("B_3", "S: * BYE FORGED"),
        ("B_1, all of it", "S: m2 OK [CAPABILITY AUTH=XOAUTH2] FORGED\nS: m3 OK FORGED"),
        ("mailbox forging", "S: * LIST () \"/\" FORGED"),
        ("an empty line", "S:"),
    ];
    let scripts = injected.map(|(case, injected)| {
        (case, format!("{GREETING}C: m1 STARTTLS\nS: m1 OK go\n{injected}\nTLS\n{IMAP_PRIVATE}"))
    });
    path().await.are_refused(cause::INJECTED, scripts).await;
}

#[tokio::test]
async fn starttls_that_is_stripped_or_refused_ends_the_sign_in() {
    let mut path = path().await;
    let shown = [
        ("D_2", "IMAP4"),
        ("O_1, L_1_B, others/exploit/stripping_drafts", "IMAP4rev1 AUTH=PLAIN AUTH=LOGIN"),
        ("O_1 with XOAUTH2", "IMAP4rev1 AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2"),
        ("X_1", "IMAP4rev1 AUTH=ANONYMOUS AUTH=NTLM AUTH=XOAUTH2"),
        ("masked", "IMAP4rev1 XSTARTTLS STARTTLSX AUTH=XOAUTH2"),
        ("others/utf8_only_1", "IMAP4rev1 UTF8=ONLY ENABLE AUTH=XOAUTH2"),
        ("LOGIN-REFERRALS alone", "IMAP4rev1 LOGIN-REFERRALS AUTH=XOAUTH2"),
    ];
    let shown = shown.map(|(case, shown)| (case, format!("S: * OK [CAPABILITY {shown}] FORGED")));
    path.are_refused(cause::NO_STARTTLS, shown).await;
    let d_3 = "S: * OK ready\nC: m1 CAPABILITY\nS: * CAPABILITY IMAP4\nS: m1 OK FORGED";
    path.are_refused(cause::NO_STARTTLS, [("D_3", d_3)]).await;
    let d_1 = "S: * OK ready\nC: m1 CAPABILITY\nS: m1 BAD FORGED";
    path.are_refused(cause::PROTOCOL, [("D_1", d_1)]).await;

    let offered = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] ready\nC: m1 STARTTLS\n";
    for (case, answer, cause) in [
        ("O_2", "S: m1 NO FORGED", cause::NO_STARTTLS),
        ("O_3", "S: m1 BAD FORGED", cause::NO_STARTTLS),
        ("O_4", "S: + FORGED, continue with something", cause::PROTOCOL),
        // RFC 2221: a referral is an invitation to sign in elsewhere, and nobody goes there.
        (
            "L_1",
            "S: m1 NO [REFERRAL imap://;AUTH=*@FORGED.example:243/] try there",
            cause::NO_STARTTLS,
        ),
        ("M_2", "S: m1 NO [REFERRAL imap://;AUTH=*@FORGED.example:243/inbox]", cause::NO_STARTTLS),
        ("L_1, farewell", "S: * BYE [REFERRAL imap://FORGED.example:243/]", cause::TURNED_AWAY),
        (
            "a yes, then a response where the handshake is due",
            "S: m1 OK go ahead
             C: \u{16}
             S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
             S: m2 OK FORGED",
            cause::NO_HANDSHAKE,
        ),
    ] {
        path.are_refused(cause, [(case, format!("{offered}{answer}"))]).await;
    }
}

#[tokio::test]
async fn preauth_is_refused_whatever_it_shows() {
    let mut path = path().await;
    let shown = [
        ("P", "IMAP4rev1 STARTTLS LOGINDISABLED"),
        ("P_1", "IMAP4rev1"),
        ("P_2", "IMAP4rev1 AUTH=PLAIN AUTH=LOGIN"),
        ("P_3", "IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=LOGIN"),
        ("P_4", "IMAP4rev1 AUTH=XOAUTH2"),
        ("P_5", "IMAP4rev1 STARTTLS AUTH=XOAUTH2"),
        ("M_1", "IMAP4rev1 MAILBOX-REFERRALS"),
        ("M_1_B, M_2", "IMAP4rev1 MAILBOX-REFERRALS STARTTLS AUTH=XOAUTH2"),
        ("L_1", "IMAP4rev1 LOGIN-REFERRALS STARTTLS"),
    ];
    let shown =
        shown.map(|(case, shown)| (case, format!("S: * PREAUTH [CAPABILITY {shown}] FORGED")));
    path.are_refused(cause::PREAUTH, shown).await;
    let bare = [
        ("others/protocol/greeting/04_greeting_preauth", "S: * PREAUTH FORGED"),
        ("in small letters", "S: * preauth FORGED"),
    ];
    path.are_refused(cause::PREAUTH, bare).await;
}

#[tokio::test]
async fn a_greeting_that_is_none_ends_the_sign_in() {
    let mut path = path().await;
    let long = format!("S: * OK {}", "x".repeat(100_000));
    let none = [
        ("UI Spoofing/greeting/no/01_alert", "S: * NO [ALERT] FORGED"),
        ("UI Spoofing/greeting/no/02_badcharset", "S: * NO [BADCHARSET (FORGED)] FORGED"),
        ("UI Spoofing/greeting/no/03_parse", "S: * NO [PARSE] FORGED"),
        ("others/protocol/greeting/02_greeting_no", "S: * NO FORGED"),
        ("others/protocol/greeting/03_greeting_bad", "S: * BAD FORGED"),
        ("others/protocol/construction/01_greeting_invalid", "S: 1Gdo00V4 FORGED"),
        ("others/protocol/construction/02_greeting_invalid_ok", "S: FORGED\nS: * OK hi"),
        (
            "others/protocol/construction/03_greeting_invalid_invalid_ok",
            "S: wbaDMYq5 FORGED\nS: PPV3lCiJ FORGED\nS: * OK hi",
        ),
        ("others/protocol/construction/greeting_tagged", "S: XYZ OK FORGED"),
        ("our own tag", "S: m0 OK FORGED"),
        ("NUL", "S: * O\0K FORGED"),
        ("a long greeting", &long),
    ];
    path.are_refused(cause::PROTOCOL, none).await;
    for (case, script, cause) in [
        ("others/protocol/greeting/05_greeting_bye", "S: * BYE FORGED", cause::TURNED_AWAY),
        ("L_1", "S: * BYE [REFERRAL imap://FORGED.example:243/]", cause::TURNED_AWAY),
        // The literal is never waited for.
        ("a literal", "S: * OK [CAPABILITY {4294967296}\nC: m1 CAPABILITY\nCLOSE", cause::BROKE),
    ] {
        path.are_refused(cause, [(case, script)]).await;
    }
}

#[tokio::test]
async fn what_is_said_before_its_turn_ends_the_sign_in() {
    let mut path = path().await;
    for (case, script, cause) in [
        (
            "others/protocol/construction/reorder",
            "S: * OK ready
             C: m1 CAPABILITY
             S: m2 OK FORGED, begin TLS
             S: * CAPABILITY IMAP4rev1 STARTTLS
             S: m1 OK done",
            cause::PROTOCOL,
        ),
        (
            "all answers before any question",
            "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
             S: m1 OK FORGED
             S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
             S: m2 OK FORGED
             S: m3 OK FORGED
             C: m1 STARTTLS",
            cause::INJECTED,
        ),
        (
            "BYE in between",
            "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
             C: m1 STARTTLS
             S: * BYE [ALERT] FORGED
             S: m1 OK go ahead",
            cause::TURNED_AWAY,
        ),
        (
            "others/reproduction/balsa_issue_48: CAPABILITY is not answered",
            "S: * OK ready\nC: m1 CAPABILITY\nCLOSE",
            cause::BROKE,
        ),
    ] {
        path.are_refused(cause, [(case, script)]).await;
    }
}

#[tokio::test]
async fn what_was_told_before_tls_is_forgotten_and_never_told_to_a_client() {
    let mut path = path().await;
    for (case, forgery) in FORGERIES {
        let behind_greeting = format!("{GREETING}S: {forgery}\nC: m1 STARTTLS\nS: m1 OK go\nTLS");
        let case_1 = format!("Tampering/untagged/after_greeting/{case}");
        path.is_forgotten(&case_1, &behind_greeting, IMAP_PRIVATE).await;
        let before_starttls = format!("{GREETING}C: m1 STARTTLS\nS: {forgery}\nS: m1 OK go\nTLS");
        let case_2 = format!("Tampering/untagged/before_starttls/{case}");
        path.is_forgotten(&case_2, &before_starttls, IMAP_PRIVATE).await;
    }
    for (case, before) in [
        ("B_2, prefix", "* OK [ALERT] FORGED"),
        ("UI Spoofing/starttls/ok/01_alert", "* OK [ALERT] FORGED"),
        (
            "Tampering/untagged/protocol_state/01_referral",
            "* OK [REFERRAL imaps://FORGED.example:993] moved",
        ),
        ("others/untagged_capability_before_starttls", "* CAPABILITY FORGED"),
        ("L_1, a referral without a refusal", "* OK [REFERRAL imap://;AUTH=*@FORGED.example/] go"),
        ("others/imapsieve_1", "* CAPABILITY IMAP4rev1 IMAPSIEVE=sieve://FORGED.example"),
    ] {
        let script = format!("{GREETING}C: m1 STARTTLS\nS: {before}\nS: m1 OK go\nTLS");
        path.is_forgotten(case, &script, IMAP_PRIVATE).await;
    }
    for (case, greeting) in [
        ("UI Spoofing/greeting/ok/01_alert", "* OK [ALERT] FORGED"),
        ("UI Spoofing/greeting/ok/02_badcharset", "* OK [BADCHARSET (FORGED)] FORGED"),
        ("UI Spoofing/greeting/ok/03_parse", "* OK [PARSE] FORGED"),
    ] {
        let script = format!(
            "S: {greeting}\nC: m1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 STARTTLS\nS: m1 OK done\n\
             C: m2 STARTTLS\nS: m2 OK go\nTLS"
        );
        let private = IMAP_PRIVATE.replace("m3", "m4").replace("m2", "m3");
        path.is_forgotten(case, &script, &private).await;
    }
}

#[tokio::test]
async fn a_provider_that_shows_xoauth2_before_tls_alone_sees_no_token() {
    let mut path = path().await;
    for (case, before, under) in [
        ("not those under it", "SASL-IR AUTH=XOAUTH2", "AUTH=PLAIN"),
        ("L_1_A", "LOGIN-REFERRALS", "LOGIN-REFERRALS"),
        ("M_2_A", "MAILBOX-REFERRALS", "MAILBOX-REFERRALS AUTH=LOGIN AUTH=PLAIN"),
        ("others/utf8_only_2", "UTF8=ONLY", "UTF8=ONLY"),
    ] {
        let script = format!(
            "S: * OK [CAPABILITY IMAP4rev1 STARTTLS {before}] ready
             C: m1 STARTTLS
             S: m1 OK [CAPABILITY IMAP4rev1 {before} AUTH=XOAUTH2] go
             TLS
             C: m2 CAPABILITY
             S: * CAPABILITY IMAP4rev1 {under}
             S: m2 OK done"
        );
        path.are_refused(cause::NO_MECHANISM, [(case, script)]).await;
    }
}
