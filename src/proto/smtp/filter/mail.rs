//! The command MAIL: its sender, which rules ask about, and its parameters, which they do not.
//!
//! Sources: RFC 5321 sections 4.1.1.2 and 4.1.2, RFC 1870 (SIZE), RFC 3030 (BODY=BINARYMIME).
//! In:  a line without its end and without control characters but tabs.
//! Out: the same command as RFC 5321 writes it. What was judged is what is sent, so that no other
//!      reader finds another sender in it.
//!
//! Old devices write blanks behind the colon, no colon, or no angle brackets: that is mended.

use crate::names::{AccountPattern, Address, Username};
use crate::proto::Output;

/// How much larger a message may become when its header is rewritten, in bytes: three fields with
/// their names, a display name, a mailbox, a date and a message id.
const ADDED_LEN_MAX: u64 = 2_048;

/// A command MAIL that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mail<'a> {
    /// The address; empty for `<>`. A source route is left out (RFC 5321 appendix C).
    sender: &'a [u8],
    /// All that stands behind the sender, as it was sent.
    parameters: &'a [u8],
}

/// What of MAIL goes upstream otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) enum Becomes<'a> {
    /// Nothing.
    Same,
    /// The sender.
    Sender(&'a Address),
    /// The sender, and the size, because fields will be added.
    SenderAndSize(&'a Address),
}

impl<'a> Mail<'a> {
    /// Reads a line; `None` when it has no sender that can be told from the rest.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        Self::parse_replaced(line).filter(|mail| unquoted(mail.sender, is_blank).is_none())
    }

    /// The same of a line whose sender goes nowhere: it may have blanks within its brackets, as the
    /// names have that people give to their devices.
    pub(super) fn parse_replaced(line: &'a [u8]) -> Option<Self> {
        let rest = strip_prefix(line.trim_ascii_start(), b"MAIL")?.trim_ascii_start();
        let rest = strip_prefix(rest, b"FROM")?;
        if rest.first().is_some_and(|first| !b" \t:<".contains(first)) {
            return None;
        }
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
        let (path, parameters) = match rest.strip_prefix(b"<") {
            Some(path) => {
                let end = unquoted(path, |byte| byte == b'>')?;
                (path.get(..end)?.trim_ascii(), path.get(end + 1..)?)
            }
            None => {
                let end = unquoted(rest, is_blank).unwrap_or(rest.len());
                match rest.split_at_checked(end)? {
                    // A device without a sender: `MAIL FROM: SIZE=300`.
                    (word, _)
                        if is_parameter(word) && word.contains(&b'=') && !word.contains(&b'@') =>
                    {
                        (Default::default(), rest)
                    }
                    split => split,
                }
            }
        };
        let sender = match path.first() {
            Some(b'@') => path.get(unquoted(path, |byte| byte == b':')? + 1..)?,
            _ => path,
        };
        let is_whole =
            unquoted(sender, |byte| b"<>".contains(&byte)).is_none() && quotes_are_closed(sender);
        let is_apart = parameters.first().is_none_or(|&first| is_blank(first))
            || path.is_empty() && rest.first() != Some(&b'<');
        (is_whole && is_apart && words(parameters).all(is_parameter))
            .then_some(Self { sender, parameters })
    }

    /// Whether one of the patterns covers the sender. None covers `<>`, and none a sender in which
    /// another reader could see another address: angle brackets within quotes, and a letter beyond
    /// ASCII whose lower case is within, as that of the Kelvin sign.
    pub(super) fn is_covered_by(&self, patterns: &[AccountPattern]) -> bool {
        let folds_to_ascii = |letter: char| {
            !letter.is_ascii() && letter.to_lowercase().all(|lower| lower.is_ascii())
        };
        Username::from_wire(self.sender).is_ok_and(|sender| {
            !sender.as_str().contains(['<', '>'])
                && !sender.as_str().chars().any(folds_to_ascii)
                && patterns.iter().any(|pattern| pattern.covers(&sender))
        })
    }

    /// Writes the command.
    pub(super) fn write(&self, becomes: Becomes<'_>, up: &mut Output) {
        up.bytes(b"MAIL FROM:<");
        match becomes {
            Becomes::Same => up.bytes(self.sender),
            Becomes::Sender(mailbox) | Becomes::SenderAndSize(mailbox) => {
                up.bytes(mailbox.as_str().as_bytes());
            }
        }
        up.bytes(b">");
        if self.parameters.first().is_some_and(|&first| !is_blank(first)) {
            up.bytes(b" ");
        }
        for piece in self.parameters.split_inclusive(|&byte| is_blank(byte)) {
            let word = piece.trim_ascii_end();
            match (becomes, size_of(word)) {
                // RFC 1870 section 6.3: a server may refuse a message that is larger than declared.
                (Becomes::SenderAndSize(_), Some(size)) => {
                    up.bytes(word.get(..SIZE.len()).unwrap_or_default());
                    up.bytes(size.saturating_add(ADDED_LEN_MAX).to_string().as_bytes());
                    up.bytes(piece.get(word.len()..).unwrap_or_default());
                }
                _ => up.bytes(piece),
            }
        }
        up.bytes(b"\r\n");
    }
}

/// Whether a line asks for BINARYMIME, which goes with BDAT alone (RFC 3030 section 3).
pub(super) fn asks_for_binarymime(line: &[u8]) -> bool {
    words(line).any(|word| word.eq_ignore_ascii_case(b"BODY=BINARYMIME"))
}

/// What stands before the number of bytes.
const SIZE: &[u8] = b"SIZE=";

fn size_of(word: &[u8]) -> Option<u64> {
    let number = strip_prefix(word, SIZE)?;
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(number).ok().filter(|_| is_number)?.parse().ok()
}

/// A keyword, with a value or without (RFC 5321 section 4.1.2, `esmtp-param`).
fn is_parameter(word: &[u8]) -> bool {
    let keyword = word.split(|&byte| byte == b'=').next().unwrap_or_default();
    !keyword.is_empty() && keyword.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_blank(byte)).filter(|word| !word.is_empty())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What stands behind `prefix`, whose case does not matter.
fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The first byte outside of quoted strings that is wanted.
fn unquoted(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut quotes = Quotes::default();
    text.iter().position(|&byte| !quotes.pass(byte) && wanted(byte))
}

fn quotes_are_closed(text: &[u8]) -> bool {
    let mut quotes = Quotes::default();
    for &byte in text {
        quotes.pass(byte);
    }
    !quotes.open
}

/// Where quoted strings are (RFC 5321 section 4.1.2, `Quoted-string`).
#[derive(Default)]
struct Quotes {
    open: bool,
    /// A backslash stands before.
    escaped: bool,
}

impl Quotes {
    /// Takes the next byte: whether it belongs to a quoted string.
    fn pass(&mut self, byte: u8) -> bool {
        let was_open = self.open;
        if self.escaped {
            self.escaped = false;
        } else if byte == b'"' {
            self.open = !self.open;
        } else {
            self.escaped = self.open && byte == b'\\';
        }
        was_open || self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, becomes: Becomes<'_>) -> Option<String> {
        let mut up = Output::default();
        Mail::parse(line.as_bytes())?.write(becomes, &mut up);
        Some(String::from_utf8(up.take().to_vec()).unwrap())
    }

    fn mailbox() -> Address {
        Address::parse("scan@contoso.com").unwrap()
    }

    #[test]
    fn a_sender_is_read_as_devices_write_it() {
        let forms = [
            ("MAIL FROM:<a@b> SIZE=3", "MAIL FROM:<a@b> SIZE=3\r\n"),
            ("mail from: <a@b>", "MAIL FROM:<a@b>\r\n"),
            ("Mail  From : < a@b > BODY=8BITMIME", "MAIL FROM:<a@b> BODY=8BITMIME\r\n"),
            ("MAIL FROM <a@b>", "MAIL FROM:<a@b>\r\n"),
            ("MAILFROM:<a@b>", "MAIL FROM:<a@b>\r\n"),
            ("MAIL FROM:a@b SIZE=3", "MAIL FROM:<a@b> SIZE=3\r\n"),
            ("MAIL FROM: scanner", "MAIL FROM:<scanner>\r\n"),
            ("MAIL FROM:<@x,@y:a@b>", "MAIL FROM:<a@b>\r\n"),
            ("MAIL FROM:<\"a b>\\\"@c\"@d> RET=HDRS", "MAIL FROM:<\"a b>\\\"@c\"@d> RET=HDRS\r\n"),
            ("MAIL FROM:<m\u{fc}ller@b> SMTPUTF8", "MAIL FROM:<m\u{fc}ller@b> SMTPUTF8\r\n"),
            ("MAIL FROM:<>", "MAIL FROM:<>\r\n"),
            ("MAIL FROM:", "MAIL FROM:<>\r\n"),
            ("MAIL FROM: SIZE=3", "MAIL FROM:<> SIZE=3\r\n"),
        ];
        for (line, expected) in forms {
            assert_eq!(written(line, Becomes::Same).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_line_in_which_two_could_see_two_senders_is_refused() {
        for line in [
            "MAIL",
            "MAIL TO:<a@b>",
            "MAIL FROMAGE@b",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>x",
            "MAIL FROM:<a@b><c@d>",
            "MAIL FROM:a@b <c@d>",
            "MAIL FROM:a@b>",
            "MAIL FROM:<a <c@d> b>",
            "MAIL FROM:<a b@c>",
            "MAIL FROM:<a@b> c@d",
            "MAIL FROM:<\"a@b>",
            "MAIL FROM:\"a@b c",
            "MAIL FROM:<@x,@y>",
            "MAIL FROM:<a@b> =3",
        ] {
            assert_eq!(Mail::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_sender_with_blanks_is_read_within_its_brackets_where_it_is_replaced() {
        let mailbox = mailbox();
        let replaced = |line: &str| {
            let mut up = Output::default();
            let mail = Mail::parse_replaced(line.as_bytes())?;
            mail.write(Becomes::Sender(&mailbox), &mut up);
            Some(String::from_utf8(up.take().to_vec()).unwrap())
        };
        for (line, parameters) in [
            ("MAIL FROM:<Office Scanner>", ""),
            ("MAIL FROM: < Office\tScanner 2 > SIZE=3 BODY=8BITMIME", " SIZE=3 BODY=8BITMIME"),
            ("MAIL FROM:<Scanner \"a> b\" 2> SIZE=3", " SIZE=3"),
            ("MAIL FROM:<a SIZE=9> SIZE=3", " SIZE=3"),
            ("MAIL FROM:<@x,@y: a b@c>", ""),
        ] {
            assert_eq!(Mail::parse(line.as_bytes()), None, "{line}");
            let expected = format!("MAIL FROM:<scan@contoso.com>{parameters}\r\n");
            assert_eq!(replaced(line), Some(expected), "{line}");
        }
        // What follows could be the sender's, or a parameter.
        for line in [
            "MAIL FROM:<Office Scanner",
            "MAIL FROM:<Office <a@b> Scanner>",
            "MAIL FROM:<Office Scanner>SIZE=3",
            "MAIL FROM:<Office Scanner> a@b",
            "MAIL FROM:Office Scanner <a@b>",
            "MAIL FROM:<Office \"Scanner> SIZE=3",
        ] {
            assert_eq!(replaced(line), None, "{line}");
        }
    }

    #[test]
    fn the_sender_becomes_the_mailbox_and_parameters_stay_byte_for_byte() {
        let mailbox = mailbox();
        let parameters = "  size=300\tBODY=8BITMIME AUTH=<> AUTH=a+40b ENVID=x RET=FULL SMTPUTF8 ";
        for sender in ["<x@y>", "<>", "x", ""] {
            let line = format!("MAIL FROM:{sender}{parameters}");
            let expected = format!("MAIL FROM:<scan@contoso.com>{parameters}\r\n");
            let expected =
                if sender.is_empty() { expected.replace(">  s", "> s") } else { expected };
            assert_eq!(written(&line, Becomes::Sender(&mailbox)), Some(expected), "{sender}");
        }
    }

    #[test]
    fn the_declared_size_grows_with_the_header() {
        // RFC 1870 section 4: SIZE= and 1 to 20 digits.
        let mailbox = mailbox();
        let size = |word: &str| {
            let line = format!("MAIL FROM:<a@b> {word} SMTPUTF8");
            let line = written(&line, Becomes::SenderAndSize(&mailbox)).unwrap();
            let words = line.strip_prefix("MAIL FROM:<scan@contoso.com> ").unwrap();
            words.strip_suffix(" SMTPUTF8\r\n").unwrap().to_owned()
        };
        assert_eq!(size("SIZE=1000"), "SIZE=3048");
        assert_eq!(size("Size=0"), "Size=2048");
        assert_eq!(size("SIZE=18446744073709551615"), "SIZE=18446744073709551615");
        for kept in ["SIZE=", "SIZE=much", "SIZE=99999999999999999999", "SIZE=+3", "XSIZE=3"] {
            assert_eq!(size(kept), kept);
        }
    }

    #[test]
    fn a_sender_is_covered_by_its_pattern_alone() {
        let patterns = ["*@contoso.com", "scanner", "*@kelvin.example", "kim@x.example"];
        let patterns = patterns.map(|text| AccountPattern::parse(text).unwrap());
        let covered = |line: &str| Mail::parse(line.as_bytes()).unwrap().is_covered_by(&patterns);
        for line in [
            "MAIL FROM:<a@contoso.com>",
            "MAIL FROM:<A@Contoso.COM>",
            "MAIL FROM:Scanner",
            "MAIL FROM:<\"a b\"@contoso.com>",
            "MAIL FROM:<M\u{dc}LLER@Kelvin.example> SMTPUTF8",
        ] {
            assert!(covered(line), "{line}");
        }
        for line in [
            "MAIL FROM:<>",
            "MAIL FROM:<a@fabrikam.com>",
            "MAIL FROM:<a@x.contoso.com>",
            "MAIL FROM:<@contoso.com:a@b>",
            "MAIL FROM:<\"a@b\"@contoso.com>",
            "MAIL FROM:<a@b@contoso.com>",
            // A server that knows no quotes ends the address at the first bracket.
            "MAIL FROM:<\"ceo>\"@contoso.com>",
            "MAIL FROM:<\"<ceo\"@contoso.com>",
            // The Kelvin sign, whose lower case is a k.
            "MAIL FROM:<a@\u{212a}elvin.example>",
            "MAIL FROM:<\u{212a}im@x.example>",
        ] {
            assert!(!covered(line), "{line}");
        }
    }

    #[test]
    fn binarymime_is_found_in_any_case() {
        assert!(asks_for_binarymime(b"MAIL FROM:<a@b> SIZE=3\tbody=BinaryMime"));
        assert!(!asks_for_binarymime(b"MAIL FROM:<BODY=BINARYMIME@b> BODY=8BITMIME"));
    }
}
