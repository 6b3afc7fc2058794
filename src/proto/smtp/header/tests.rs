//! Headers as they go up: right, wrong and at the edge, at every split.

use super::*;

/// What a message without a date or an id is given.
const STAMP: &str = "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@mailbearer>\r\n";

fn mailbox() -> Address {
    Address::parse("scan@contoso.com").unwrap()
}

fn stamp() -> Stamp {
    Stamp {
        date: "Sun, 22 Nov 2026 10:00:00 +0000".to_owned(),
        message_id: "<1@mailbearer>".to_owned(),
    }
}

fn rewritten_in(pieces: &[&[u8]]) -> Result<Vec<u8>, HeaderFault> {
    let (mut header, mut up) = (Header::default(), Output::default());
    for (position, piece) in pieces.iter().enumerate() {
        let (taken, progress) = header.take(piece)?;
        if progress == Progress::Ended {
            header.write(&mailbox(), stamp, &mut up);
            up.bytes(&piece[taken..]);
            up.bytes(&pieces[position + 1..].concat());
            return Ok(up.take().to_vec());
        }
    }
    header.write(&mailbox(), stamp, &mut up);
    Ok(up.take().to_vec())
}

/// What a message becomes, however it is cut.
#[track_caller]
fn rewritten(message: &[u8]) -> Result<String, HeaderFault> {
    let whole = rewritten_in(&[message]);
    for at in 0..=message.len() {
        let (left, right) = message.split_at(at);
        assert_eq!(rewritten_in(&[left, right]), whole, "split at {at}");
    }
    assert_eq!(rewritten_in(&message.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    whole.map(|message| String::from_utf8(message).unwrap())
}

#[track_caller]
fn assert_becomes(message: &str, expected: &str) {
    assert_eq!(rewritten(message.as_bytes()).as_deref(), Ok(expected));
}

/// A From: with this value, in a message that has all else.
#[track_caller]
fn assert_from_becomes(value: &str, expected: &str) {
    let rest = "Date: d\r\nMessage-ID: <x@y>\r\n\r\nbody\r\n";
    assert_becomes(&format!("From:{value}\r\n{rest}"), &format!("{expected}\r\n{rest}"));
}

#[test]
fn from_becomes_the_mailbox_and_the_old_one_goes_to_reply_to() {
    assert_becomes(
        "Received: x\r\nDate: d\r\nFrom: a@b\r\nSubject: s\r\nMessage-Id: <x@y>\r\n\r\nFrom: body\r\n",
        "From: scan@contoso.com\r\nReply-To: a@b\r\n\
         Received: x\r\nDate: d\r\nSubject: s\r\nMessage-Id: <x@y>\r\n\r\nFrom: body\r\n",
    );
}

#[test]
fn a_reply_to_that_is_there_stays_alone() {
    assert_becomes(
        "From: a@b\r\nreply-to: c@d\r\nDate: d\r\nMessage-ID: <x@y>\r\n\r\n",
        "From: scan@contoso.com\r\nreply-to: c@d\r\nDate: d\r\nMessage-ID: <x@y>\r\n\r\n",
    );
}

#[test]
fn the_display_name_stays_with_the_mailbox() {
    assert_from_becomes(
        " Office Scanner <a@b>",
        "From: Office Scanner <scan@contoso.com>\r\nReply-To: Office Scanner <a@b>",
    );
    assert_from_becomes(
        "\"Scanner, 2nd\"<a@b>",
        "From: \"Scanner, 2nd\" <scan@contoso.com>\r\nReply-To:\"Scanner, 2nd\"<a@b>",
    );
    assert_from_becomes(" Büro <a@b>", "From: Büro <scan@contoso.com>\r\nReply-To: Büro <a@b>");
}

#[test]
fn folding_and_encoded_words_are_kept_as_they_are() {
    let name = "=?utf-8?Q?Scanner_im_zweiten_Stock_links_neben_der_K=C3=BCche?=";
    // RFC 2047 section 2: a line with an encoded word has at most 76 bytes.
    assert_from_becomes(
        &format!("\r\n {name}\r\n\t=?utf-8?B?w7w=?=\r\n <a@b>"),
        &format!(
            "From: {name}\r\n\t=?utf-8?B?w7w=?= <scan@contoso.com>\r\n\
             Reply-To:\r\n {name}\r\n\t=?utf-8?B?w7w=?=\r\n <a@b>"
        ),
    );
    assert_from_becomes(
        &format!(" {name} <a@b>"),
        &format!("From: {name}\r\n <scan@contoso.com>\r\nReply-To: {name} <a@b>"),
    );
}

#[test]
fn a_line_of_blanks_never_stands_before_the_mailbox() {
    // Some servers take it for the end of the header, and From: would end with it.
    assert_from_becomes(
        " Scanner\r\n \r\n <a@b>",
        "From: Scanner <scan@contoso.com>\r\nReply-To: Scanner\r\n \r\n <a@b>",
    );
    assert_from_becomes(
        " Scanner\r\n \r\n 2 <a@b>",
        "From: scan@contoso.com\r\nReply-To: Scanner\r\n \r\n 2 <a@b>",
    );
}

#[test]
fn groups_and_lists_go_to_reply_to_without_a_name() {
    for value in [" Team: a@b, c@d;", " X <a@b>, Y <c@d>", " a@b (Scanner)", " X", " <", " @"] {
        assert_from_becomes(value, &format!("From: scan@contoso.com\r\nReply-To:{value}"));
    }
}

#[test]
fn a_from_that_is_the_mailbox_stays_byte_for_byte() {
    for value in [" Scanner <Scan@Contoso.com>", "scan@contoso.com", "\r\n  <scan@contoso.com> "] {
        assert_from_becomes(value, &format!("From:{value}"));
    }
    assert_from_becomes(
        " scan@contoso.com, a@b",
        "From: scan@contoso.com\r\nReply-To: scan@contoso.com, a@b",
    );
}

#[test]
fn several_from_become_one_whose_value_is_the_first() {
    assert_becomes(
        "From: \r\nFROM : A <a@b>\r\nDate: d\r\nfrom: scan@contoso.com\r\n x\r\nMessage-ID: i\r\n\r\n",
        "From: A <scan@contoso.com>\r\nReply-To: A <a@b>\r\nDate: d\r\nMessage-ID: i\r\n\r\n",
    );
}

#[test]
fn several_from_of_which_the_first_is_the_mailbox_become_one_and_another_goes_to_reply_to() {
    let rest = "Date: d\r\nMessage-ID: i\r\n\r\nFrom: body\r\n";
    let own = "From: Scanner <Scan@contoso.com>\r\n";
    let from = "From: Scanner <scan@contoso.com>\r\n";
    for (others, reply_to) in [
        ("From: A <a@b>\r\n", "Reply-To: A <a@b>\r\n"),
        ("From: \r\nfrom: scan@contoso.com\r\nFROM : A <a@b>\r\n", "Reply-To: A <a@b>\r\n"),
        ("From: a@b, c@d\r\nFrom: e@f\r\n", "Reply-To: a@b, c@d\r\n"),
        // An answer to the mailbox needs no field.
        ("From: scan@contoso.com\r\n", ""),
        ("From: A <a@b>\r\nReply-To: c@d\r\n", "Reply-To: c@d\r\n"),
    ] {
        assert_becomes(&format!("{own}{others}{rest}"), &format!("{from}{reply_to}{rest}"));
    }
}

#[test]
fn from_date_and_message_id_are_added_where_missing() {
    let from = "From: scan@contoso.com\r\n";
    assert_becomes("Subject: s\r\n\r\nbody", &format!("{from}{STAMP}Subject: s\r\n\r\nbody"));
    assert_becomes("From: \r\n\r\nbody", &format!("{from}{STAMP}\r\nbody"));
    assert_becomes("Date:\r\n\r\n", &format!("{from}Message-ID: <1@mailbearer>\r\nDate:\r\n\r\n"));
    assert_becomes(
        "message-id: x\r\n\r\n",
        &format!("{from}Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nmessage-id: x\r\n\r\n"),
    );
}

#[test]
fn a_message_without_a_header_is_given_one() {
    let header = format!("From: scan@contoso.com\r\n{STAMP}\r\n");
    for body in ["", "no field\r\n\r\nFrom: a@b\r\n", " X: y\r\n", "From a@b\r\nno field\r\n"] {
        assert_becomes(body, &format!("{header}{body}"));
    }
    // The empty line is the client's own.
    assert_becomes("\r\nbody\r\n", &format!("{header}body\r\n"));
}

#[test]
fn a_message_that_is_all_header_stays_one() {
    assert_becomes("Subject: s\r\n", &format!("From: scan@contoso.com\r\n{STAMP}Subject: s\r\n"));
}

#[test]
fn lines_that_are_no_fields_stay_where_they_are() {
    assert_becomes(
        "From a@b Mon Nov 22\r\n>From x\r\nFrom: a@b\r\nDate: d\r\nodd\r\n>From y\r\n odd\r\n\
         Message-ID: i\r\n\r\n",
        "From a@b Mon Nov 22\r\n>From x\r\nFrom: scan@contoso.com\r\nReply-To: a@b\r\n\
         Date: d\r\nodd\r\n>From y\r\n odd\r\nMessage-ID: i\r\n\r\n",
    );
}

#[test]
fn a_field_behind_a_dot_is_read_as_the_server_reads_it() {
    assert_becomes(
        "Date: d\r\n.From: ceo@b\r\n..From: x\r\nMessage-ID: i\r\n\r\n..\r\n",
        "From: scan@contoso.com\r\nReply-To: ceo@b\r\n\
         Date: d\r\n..From: x\r\nMessage-ID: i\r\n\r\n..\r\n",
    );
}

#[test]
fn a_reply_to_is_folded_where_its_line_would_be_too_long() {
    let fits = format!(" {}@b", "x".repeat(LINE_LEN_MAX - "Reply-To: @b".len()));
    assert_from_becomes(&fits, &format!("From: scan@contoso.com\r\nReply-To:{fits}"));
    let long = format!(" x{}", &fits[1..]);
    assert_from_becomes(&long, &format!("From: scan@contoso.com\r\nReply-To:\r\n{long}"));
    let apart = format!("xx{}", &fits[1..]);
    assert_from_becomes(&apart, &format!("From: scan@contoso.com\r\nReply-To:\r\n {apart}"));
}

#[test]
fn a_header_with_other_line_ends_is_refused() {
    for header in ["From: a@b\n\nbody", "Subject: s\rFrom: a@b\r\n\r\n", "X: y\r\r\n\r\n", "\n"] {
        assert_eq!(rewritten(header.as_bytes()), Err(HeaderFault::LineEnd), "{header:?}");
    }
    // What stands behind the header is not looked at.
    assert!(rewritten(b"X: y\r\n\r\na\nb\r").is_ok());
}

#[test]
fn a_header_has_at_most_256_kib() {
    let take = |message: &str| rewritten_in(&[message.as_bytes()]).map(|_| ());
    let lines = format!("X: {}\r\n", "x".repeat(1_019)).repeat(HEADER_LEN_MAX / 1_024 - 1);
    let filler = |len: usize| format!("{lines}F:{}\r\n", "f".repeat(len - lines.len() - 4));
    assert_eq!(take(&(filler(HEADER_LEN_MAX) + "\r\nbody")), Ok(()));
    assert_eq!(take(&filler(HEADER_LEN_MAX)), Ok(()));
    assert_eq!(take(&(filler(HEADER_LEN_MAX + 1) + "\r\nbody")), Err(HeaderFault::TooLong));
    assert_eq!(take(&"x".repeat(HEADER_LEN_MAX + 3)), Err(HeaderFault::TooLong));
}

#[test]
fn an_endless_header_costs_no_more_memory_than_its_limit() {
    let mut header = Header::default();
    let mut faults = 0;
    for _ in 0..1_000 {
        faults += usize::from(header.take(&[b'x'; 1_000]).is_err());
        assert!(header.bytes.len() <= HEADER_LEN_MAX + 2);
    }
    assert!(faults > 0);
}
