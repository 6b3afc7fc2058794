//! Messages: where they end, whose header is rewritten, and which are given up.

use super::*;

/// The way to the 354.
const BEGIN: &str = "C: MAIL FROM:<x@contoso.com>
    C: DATA
    U: MAIL FROM:<scan@contoso.com>
    U: DATA
    S: 250 ok
    S: 354 go
    D: 250 ok
    D: 354 go\n";

#[track_caller]
fn play_message(rewrite: Rewrite, script: &str) {
    play(&rules(rewrite, None), &format!("{BEGIN}{script}"));
}

fn header() -> Rewrite {
    Rewrite::EnvelopeAndHeader(mailbox())
}

fn envelope() -> Rewrite {
    Rewrite::Envelope(mailbox())
}

#[test]
fn from_becomes_the_mailbox_and_all_else_stays() {
    play_message(
        header(),
        "C: From: Office <a@b>
         C: Subject: s
         C:
         C: ..From: x
         C: a␊..␍b
         C: .
         C: NOOP
         U: From: Office <scan@contoso.com>
         U: Reply-To: Office <a@b>
         U: Date: DATE
         U: Message-ID: <ID>
         U: Subject: s
         U:
         U: ..From: x
         U: a␊..␍b
         U: .
         U: NOOP",
    );
}

#[test]
fn a_message_without_anything_is_completed() {
    play_message(
        header(),
        "C: .
         U: From: scan@contoso.com
         U: Date: DATE
         U: Message-ID: <ID>
         U:
         U: .",
    );
}

#[test]
fn a_message_that_ends_within_its_header_keeps_its_end() {
    play_message(
        header(),
        "C: Date: d
         C: .
         C: QUIT
         U: From: scan@contoso.com
         U: Message-ID: <ID>
         U: Date: d
         U: .
         U: QUIT",
    );
}

#[test]
fn the_bytes_behind_data_wait_for_its_reply() {
    play(
        &blind(),
        "C: MAIL FROM:<a@b>
         C: DATA
         C: .
         C: RSET
         U: MAIL FROM:<a@b>
         U: DATA
         S: 250 ok
         D: 250 ok
         S: 354 go
         D: 354 go
         U: .
         U: RSET",
    );
    play(
        &blind(),
        "C: MAIL FROM:<a@b>
         C: DATA
         C: NOOP
         U: MAIL FROM:<a@b>
         U: DATA
         S: 250 ok
         S: 554 no valid recipients
         D: 250 ok
         D: 554 no valid recipients
         U: NOOP",
    );
}

#[test]
fn a_message_that_could_end_elsewhere_is_given_up_before_its_end() {
    for end in ["␊.␊¬", "␊.␍␊¬", "␍.␍␊¬", "␍␊.␊¬", "␍␊.␍x¬"] {
        for rewrite in [envelope(), header()] {
            let shown = match &rewrite {
                Rewrite::EnvelopeAndHeader(_) => {
                    "U: From: scan@contoso.com\nU: Date: DATE\nU: Message-ID: <ID>\nU:\nU: a b¬"
                }
                Rewrite::Keep | Rewrite::Envelope(_) => "U:\nU: a b¬",
            };
            let before = end.split('.').next().unwrap();
            let script = format!(
                "C:
                 C: a b¬
                 C: {end}
                 C: MAIL FROM:<ceo@contoso.com>
                 C: .
                 {}{before}¬
                 !: 550 5.6.11 end each line of a message with CR LF, CR or LF alone are not taken",
                shown.trim_end_matches('¬'),
            );
            play_message(rewrite, &script);
        }
    }
}

#[test]
fn a_device_that_writes_lf_alone_is_told_so_at_its_end() {
    play_message(
        header(),
        "C: From: a@b␊Subject: s␊␊body␊..␊.¬
         C: ␊¬
         !: 550 5.6.11 end each line of a message with CR LF, CR or LF alone are not taken",
    );
}

#[test]
fn a_header_with_a_bare_line_end_is_refused_once_the_client_has_said_all() {
    let mut session = Session::new(rules(header(), None), 1);
    session.client(b"MAIL FROM:<a@b>\r\nDATA\r\n");
    session.upstream(b"250 ok\r\n354 go\r\n");
    session.up.clear();
    session.client(b"Subject: s\nFrom: ceo@b\r\n\r\n");
    session.client(&b"body\r\n".repeat(100_000));
    assert!(!session.filter.is_over() && session.waiting.is_empty());
    session.client(b".\r\nQUIT\r\n");
    assert_eq!(session.filter.last_words(), Some(refusals::MESSAGE_LINE_ENDS));
    assert!(session.up.is_empty(), "upstream hears nothing of it");
    // What the upstream still says is thrown away, and so is what the client says.
    session.upstream(b"250 late\r\n");
    assert!(!session.down.ends_with(b"late\r\n"));
}
