//! The downstream side at the limits that IMAP alone has, and beyond: literals and tags.

use super::Imap;
use crate::proto::imap::{ImapDownstream, NonSyncLiterals};
use crate::proto::promises::server;
use crate::proto::transcript::Heard;
use crate::proto::{CloseReason, Downstream as _, Input, Output, Privacy, Step};

fn hear(sent: impl AsRef<[u8]>) -> Heard {
    server::hear::<Imap>(Privacy::Clear, sent)
}

/// What is said to `sent` behind the greeting.
fn reply(sent: impl AsRef<[u8]>) -> String {
    server::reply::<Imap>(sent)
}

/// What is said to `sent`, which is longer than any command.
fn given_up(sent: &str) -> String {
    let heard = hear(sent);
    assert_eq!(heard.closed, Some(CloseReason::EndlessLine), "{sent}");
    let said = heard.text();
    assert!(said.ends_with("* BYE that was longer than any command\r\n"), "{said}");
    said
}

fn line(begin: &str, len: usize) -> Vec<u8> {
    let mut line = begin.as_bytes().to_vec();
    line.resize(len, b'A');
    line.extend_from_slice(b"\r\n");
    line
}

#[test]
fn a_command_line_is_taken_up_to_8_kib() {
    let heard = hear(line("a1 LOGIN alice ", 8192));
    assert_eq!(heard.claims[0].1.len(), 8192 - "a1 LOGIN alice ".len());
    let too_long = [line("a1 LOGIN alice ", 8193), b"a2 NOOP\r\n".to_vec()].concat();
    assert_eq!(reply(too_long), "a1 BAD the line is too long\r\na2 OK NOOP completed\r\n");
}

#[test]
fn a_line_behind_a_literal_is_taken_up_to_8_kib() {
    let begin = "a1 LOGIN {5+}\r\n";
    let fits = line(&format!("{begin}alice "), begin.len() + 5 + 8192);
    assert_eq!(hear(&fits).claims.len(), 1);
    let too_long = line(&format!("{begin}alice "), begin.len() + 5 + 8193);
    assert_eq!(reply(too_long), "a1 BAD the line is too long\r\n");
}

#[test]
fn a_line_that_is_too_long_closes_when_a_literal_comes_behind_it() {
    let sent = |end: &str| format!("a1 LOGIN {}{end}\r\na2 NOOP\r\n", "x".repeat(13_000));
    for end in [" {9+}", " {9-}", " ({65536+}", "{9+}"] {
        let said = given_up(&sent(end));
        assert!(!said.contains("a2 "), "{end}: {said}");
    }
    // A client that waits for leave is refused before it sends its literal.
    for end in [" {9}", " {+}", " {9+", "9+} "] {
        let expected = "a1 BAD the line is too long\r\na2 OK NOOP completed\r\n";
        assert_eq!(reply(sent(end)), expected, "{end}");
    }
}

#[test]
fn a_literal_is_taken_up_to_4_kib() {
    for announced in ["{4096}", "{4096+}", "{4096-}"] {
        let begin = format!("a1 LOGIN alice {announced}\r\n");
        let heard = hear(line(&begin, begin.len() + 4096));
        assert_eq!(heard.claims[0].1, [b'A'; 4096], "{announced}");
    }
}

#[test]
fn a_synchronising_literal_that_is_too_long_is_refused_before_it_is_sent() {
    for len in ["4097", "4294967296", "18446744073709551616", "99999999999999999999999999"] {
        let sent = format!("a1 LOGIN {{{len}}}\r\na2 NOOP\r\n");
        assert_eq!(
            reply(sent),
            "a1 BAD a literal is longer than 4096 bytes, too long before sign-in\r\n\
             a2 OK NOOP completed\r\n"
        );
    }
}

#[test]
fn a_non_synchronising_literal_that_is_too_long_is_skipped_up_to_64_kib() {
    for len in [4097, 65_536] {
        let begin = format!("a1 LOGIN alice {{{len}+}}\r\n");
        let mut sent = line(&begin, begin.len() + len);
        sent.extend_from_slice(b"a2 NOOP\r\n");
        assert_eq!(
            reply(sent),
            "a1 BAD a literal is longer than 4096 bytes, too long before sign-in\r\n\
             a2 OK NOOP completed\r\n"
        );
    }
}

#[test]
fn a_non_synchronising_literal_of_more_than_64_kib_closes() {
    for sent in ["a1 LOGIN {65537+}\r\n", "a1 SELECT {18446744073709551616-}\r\n"] {
        given_up(sent);
    }
}

#[test]
fn a_refused_command_closes_when_its_literals_and_lines_exceed_64_kib_together() {
    let literal = [&b" {4096+}\r\n"[..], &[b'x'; 4096]].concat();
    let taken = [b"a1 SELECT".to_vec(), literal.repeat(15), b"\r\n".to_vec()].concat();
    assert_eq!(reply(taken), "a1 BAD this command is not known before sign-in\r\n");
    let sent = [b"a1 SELECT".to_vec(), literal.repeat(16)].concat();
    assert_eq!(hear(&sent).closed, Some(CloseReason::EndlessLine));
    let empty = [&b"a1 SELECT"[..], &b" {0+}\r\n".repeat(66_000)].concat();
    assert_eq!(hear(&empty).closed, Some(CloseReason::EndlessLine));
}

#[test]
fn id_takes_sixty_literals_and_no_more() {
    let id = |count: usize| [&b"a1 ID"[..], &b" {1+}\r\nx".repeat(count), b"\r\n"].concat();
    assert_eq!(reply(id(60)), "* ID NIL\r\na1 OK ID completed\r\n");
    assert_eq!(reply(id(61)), "a1 BAD too many literals in one command\r\n");
}

#[test]
fn a_command_without_a_usable_tag_is_read_to_the_end_of_its_literals() {
    let no_tag = "* BAD begin the line with a tag of at most 64 characters\r\n";
    let (noop, done) = ("a2 NOOP\r\n", "a2 OK NOOP completed\r\n");
    for sent in [
        "(1 LOGIN {5+}\r\nalice {9+}\r\na1 secret\r\n",
        "(1 LOGIN {9-}\r\na1 NOOP\r\n\r\n",
        // Whoever waits for leave has sent nothing yet.
        "(1 LOGIN {5}\r\n",
    ] {
        assert_eq!(reply(format!("{sent}{noop}")), format!("{no_tag}{done}"), "{sent}");
    }
    assert!(!given_up("(1 LOGIN {65537+}\r\na2 NOOP\r\n").contains("a2 "));
}

#[test]
fn a_tag_is_echoed_up_to_64_bytes() {
    let tag = "a".repeat(64);
    assert_eq!(reply(format!("{tag} NOOP\r\n")), format!("{tag} OK NOOP completed\r\n"));
    assert_eq!(
        reply(format!("{tag}a NOOP\r\n")),
        "* BAD begin the line with a tag of at most 64 characters\r\n"
    );
}

#[test]
fn a_flood_of_literals_is_answered_in_portions() {
    let sent = [&b"a ID"[..], &b" {0}\r\n".repeat(60), b"\r\n"].concat().repeat(199);
    let (mut input, mut output) = (Input::default(), Output::default());
    input.extend(&sent);
    let mut machine = ImapDownstream::new(NonSyncLiterals::NotOffered, Privacy::Clear);
    let (mut answered, mut portions) = (0, 0);
    while !input.is_empty() {
        let Step::Read(next) = machine.receive(&mut input, &mut output) else { panic!("it ends") };
        machine = next;
        let portion = output.take();
        assert!(portion.len() < 65_536 + 200, "{} bytes at once", portion.len());
        portions += 1;
        answered += portion.windows(4).filter(|window| window == b"a OK").count();
    }
    assert_eq!((answered, portions), (199, 3));
}

#[test]
fn a_line_that_is_too_long_is_answered_with_its_tag_where_that_can_be_echoed() {
    let replied = |begin: &str| {
        let sent = format!("{begin}{}\r\n", "x".repeat(13_000));
        reply(sent).replace(" BAD the line is too long\r\n", "")
    };
    let longest = "t".repeat(64);
    assert_eq!(replied(&format!("{longest} LOGIN ")), longest);
    for begin in ["a1 ", " a1 NOOP "] {
        assert_eq!(replied(begin), "a1", "{begin:?}");
    }
    // Nothing that is no tag is echoed, and no half of one.
    let blanks = format!("{}a1 ", " ".repeat(64));
    for begin in [&format!("{longest}t LOGIN "), &blanks, "", "a+1 ", "* "] {
        assert_eq!(replied(begin), "*", "{begin:?}");
    }
}
