//! The path to a provider's IMAP server.

use mailbearer::provider::Protocol;

use crate::path::Path;
use crate::support::stage::IMAP_PRIVATE;

const GREETING: &str = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\n";

async fn path() -> Path {
    Path::to(Protocol::Imap).await
}

/// What would be shown as mail or folders if it reached a client: `Tampering/untagged/` 01 to 09.
const FORGERIES: [(&str, &str); 9] = [
    ("01_list", "* LIST () \"/\" FORGED"),
    ("02_lsub", "* LSUB () \"/\" FORGED"),
    ("03_status_1", "* STATUS FORGED (MESSAGES 7 UIDNEXT 8)"),
    ("04_search", "* SEARCH 2 3 6 FORGED"),
    ("05_flags", "* FLAGS (\\Answered FORGED)"),
    ("06_exists", "* 23 EXISTS"),
    ("07_recent", "* 5 RECENT"),
    ("08_expunge", "* 44 EXPUNGE"),
    ("09_fetch", "* 1 FETCH (FLAGS (\\Seen) ENVELOPE (NIL \"FORGED\" NIL NIL NIL NIL NIL NIL))"),
];

#[tokio::test]
async fn responses_injected_behind_starttls_end_the_sign_in() {
    let mut path = path().await;
    for (case, injected) in [
        ("B_1", "S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2\nS: m2 OK FORGED"),
        ("B_2, suffix", "S: * OK [ALERT] FORGED"),
        ("B_3", "S: * BYE FORGED"),
        ("B_1, all of it", "S: m2 OK [CAPABILITY AUTH=XOAUTH2] FORGED\nS: m3 OK FORGED"),
        ("mailbox forging", "S: * LIST () \"/\" FORGED"),
        ("an empty line", "S:"),
    ] {
        let script =
            format!("{GREETING}C: m1 STARTTLS\nS: m1 OK go\n{injected}\nTLS\n{IMAP_PRIVATE}");
        path.are_refused(&[(case, &script)]).await;
    }
}

#[tokio::test]
async fn starttls_that_is_stripped_or_refused_ends_the_sign_in() {
    path()
        .await
        .are_refused(&[
            ("D_1", "S: * OK ready\nC: m1 CAPABILITY\nS: m1 BAD FORGED"),
            ("D_2", "S: * OK [CAPABILITY IMAP4] FORGED"),
            ("D_3", "S: * OK ready\nC: m1 CAPABILITY\nS: * CAPABILITY IMAP4\nS: m1 OK FORGED"),
            ("O_1", "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2] FORGED"),
            ("X_1", "S: * OK [CAPABILITY IMAP4rev1 AUTH=ANONYMOUS AUTH=NTLM AUTH=XOAUTH2] FORGED"),
            ("masked", "S: * OK [CAPABILITY IMAP4rev1 XSTARTTLS STARTTLSX AUTH=XOAUTH2] FORGED"),
            (
                "O_2",
                "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] ready
                 C: m1 STARTTLS
                 S: m1 NO FORGED",
            ),
            (
                "O_3",
                "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] ready
                 C: m1 STARTTLS
                 S: m1 BAD FORGED",
            ),
            (
                "O_4",
                "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] ready
                 C: m1 STARTTLS
                 S: + FORGED, continue with something",
            ),
            (
                "others/utf8_only_1",
                "S: * OK [CAPABILITY IMAP4rev1 UTF8=ONLY ENABLE AUTH=XOAUTH2] FORGED",
            ),
            (
                "a yes, then a response where the handshake is due",
                "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
                 C: m1 STARTTLS
                 S: m1 OK go ahead
                 C: \u{16}
                 S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
                 S: m2 OK FORGED",
            ),
        ])
        .await;
}

#[tokio::test]
async fn preauth_is_refused_whatever_it_shows() {
    let mut path = path().await;
    for (case, capabilities) in [
        ("P", "IMAP4rev1 STARTTLS LOGINDISABLED"),
        ("P_1", "IMAP4rev1"),
        ("P_2", "IMAP4rev1 AUTH=PLAIN AUTH=LOGIN"),
        ("P_3", "IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=LOGIN"),
        ("P_4", "IMAP4rev1 AUTH=XOAUTH2"),
        ("P_5", "IMAP4rev1 STARTTLS AUTH=XOAUTH2"),
        ("M_1", "IMAP4rev1 MAILBOX-REFERRALS"),
    ] {
        let script = format!("S: * PREAUTH [CAPABILITY {capabilities}] FORGED");
        path.are_refused(&[(case, &script)]).await;
    }
    path.are_refused(&[
        ("others/protocol/greeting/04_greeting_preauth", "S: * PREAUTH FORGED"),
        ("in small letters", "S: * preauth FORGED"),
    ])
    .await;
}

#[tokio::test]
async fn a_greeting_that_is_none_ends_the_sign_in() {
    let long = "x".repeat(100_000);
    path()
        .await
        .are_refused(&[
            ("UI Spoofing/greeting/no/01_alert", "S: * NO [ALERT] FORGED"),
            ("UI Spoofing/greeting/no/02_badcharset", "S: * NO [BADCHARSET (FORGED)] FORGED"),
            ("UI Spoofing/greeting/no/03_parse", "S: * NO [PARSE] FORGED"),
            ("others/protocol/greeting/02_greeting_no", "S: * NO FORGED"),
            ("others/protocol/greeting/03_greeting_bad", "S: * BAD FORGED"),
            ("others/protocol/greeting/05_greeting_bye", "S: * BYE FORGED"),
            ("others/protocol/construction/01_greeting_invalid", "S: 1Gdo00V4 FORGED"),
            ("others/protocol/construction/02_greeting_invalid_ok", "S: FORGED\nS: * OK hi"),
            ("others/protocol/construction/greeting_tagged", "S: XYZ OK FORGED"),
            ("our own tag", "S: m0 OK FORGED"),
            ("NUL", "S: * O\0K FORGED"),
            ("a long greeting", &format!("S: * OK {long}")),
            ("a literal", "S: * OK [CAPABILITY {4294967296}\nC: m1 CAPABILITY\nCLOSE"),
            (
                "others/protocol/construction/reorder",
                "S: * OK ready
                 C: m1 CAPABILITY
                 S: m2 OK FORGED, begin TLS
                 S: * CAPABILITY IMAP4rev1 STARTTLS
                 S: m1 OK done",
            ),
            (
                "all answers before any question",
                "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
                 S: m1 OK FORGED
                 S: * CAPABILITY IMAP4rev1 AUTH=XOAUTH2
                 S: m2 OK FORGED
                 S: m3 OK FORGED",
            ),
            (
                "BYE in between",
                "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
                 C: m1 STARTTLS
                 S: * BYE [ALERT] FORGED
                 S: m1 OK go ahead",
            ),
        ])
        .await;
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
    path()
        .await
        .are_refused(&[(
            "capabilities before TLS are not those under it",
            "S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=XOAUTH2] ready
             C: m1 STARTTLS
             S: m1 OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] go
             TLS
             C: m2 CAPABILITY
             S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
             S: m2 OK done",
        )])
        .await;
}

#[tokio::test]
async fn wrong_certificates_are_refused() {
    path().await.refuses_every_wrong_certificate().await;
}
