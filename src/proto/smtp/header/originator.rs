//! The one address of a From:, and the name before it.
//!
//! Sources: RFC 5322 section 3.4, RFC 2047 section 5 (encoded words stand where words do).
//! In:  a field's value as sent. Out: name and address where there is one of the plain form
//!      `name <address>` or `address`; nothing of groups, lists, comments and what is broken.

use crate::names::Address;

/// Longest name that is kept, in bytes with its folding.
const NAME_LEN_MAX: usize = 256;

/// Who a message is from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Originator<'a> {
    /// The name as sent: words, encoded words and quoted strings, folded or not. It may hold bytes
    /// beyond ASCII, for those were in the header before.
    pub(super) name: Option<&'a [u8]>,
    address: &'a [u8],
}

impl<'a> Originator<'a> {
    /// Reads a value.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let bracket = plain_len(value)?;
        let (name, rest) = value.split_at_checked(bracket)?;
        let name = name.trim_ascii();
        let Some(rest) = rest.strip_prefix(b"<") else {
            return Some(Self { name: None, address: name })
                .filter(|from| !from.address.is_empty());
        };
        let end = rest.iter().position(|&byte| byte == b'>')?;
        let (address, behind) = rest.split_at_checked(end)?;
        if !behind.get(1..)?.trim_ascii().is_empty() {
            return None;
        }
        let name = Some(name).filter(|name| is_name(name));
        Some(Self { name, address: address.trim_ascii() })
    }

    /// Whether this is the mailbox, be it under another name.
    pub(super) fn is(&self, mailbox: &Address) -> bool {
        self.address.eq_ignore_ascii_case(mailbox.as_str().as_bytes())
    }
}

/// How much stands before `<`, or all; `None` where it is more than one address or has a comment.
fn plain_len(value: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'<' => return Some(at),
            b',' | b';' | b':' | b'(' | b')' | b'>' | b'\\' => return None,
            _ => {}
        }
    }
    (!quoted).then_some(value.len())
}

/// Whether a name may stand in a header of ours as it is.
fn is_name(name: &[u8]) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    let is_fit = |byte: u8| match byte {
        _ if std::mem::take(&mut escaped) => byte >= b' ',
        b'"' => {
            quoted = !quoted;
            true
        }
        b'\\' => {
            escaped = true;
            true
        }
        b'\r' | b'\n' | b'\t' => true,
        b'@' | b'[' | b']' => quoted,
        byte => byte >= b' ' && byte != 0x7f,
    };
    // A dot at the start of a line is one too many, or too few; and a line of blanks is for some the
    // end of the header.
    let is_fit_line = |line: &[u8]| !line.starts_with(b".") && !line.trim_ascii().is_empty();
    (1..=NAME_LEN_MAX).contains(&name.len())
        && name.iter().copied().all(is_fit)
        && name.split(|&byte| byte == b'\n').skip(1).all(is_fit_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<(Option<&str>, &str)> {
        let from = Originator::parse(value.as_bytes())?;
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Some((from.name.map(text), text(from.address)))
    }

    #[test]
    fn name_and_address_are_found_in_the_plain_forms() {
        let folded = "=?utf-8?Q?B=C3=BCro?=\r\n =?utf-8?Q?2?=";
        let long = "x".repeat(NAME_LEN_MAX);
        for (value, name, address) in [
            (" a@b\r\n".to_owned(), None, "a@b"),
            (" <a@b>\r\n".to_owned(), None, "a@b"),
            (" Office Scanner <a@b>\r\n".to_owned(), Some("Office Scanner"), "a@b"),
            ("\r\n .2 <a@b>\r\n".to_owned(), Some(".2"), "a@b"),
            ("\"a, <b> \\\" c@d\"<a@b>".to_owned(), Some("\"a, <b> \\\" c@d\""), "a@b"),
            (format!(" {folded}\r\n < a@b >\r\n"), Some(folded), "a@b"),
            ("Büro <a@b>".to_owned(), Some("Büro"), "a@b"),
            ("Dr. X \"the\" Y <scanner>".to_owned(), Some("Dr. X \"the\" Y"), "scanner"),
            (format!("{long} <a@b>"), Some(long.as_str()), "a@b"),
        ] {
            assert_eq!(parse(&value), Some((name, address)), "{value}");
        }
    }

    #[test]
    fn groups_lists_comments_and_broken_values_are_nobody() {
        for value in [
            "",
            " \r\n",
            "a@b, c@d",
            "X <a@b>, Y <c@d>",
            "Group: a@b;",
            "undisclosed:;",
            "a@b (Scanner)",
            "(x) <a@b>",
            "<a@b> x",
            "X <a@b",
            "\"X <a@b>",
            "X\\Y <a@b>",
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_name_that_would_break_the_header_is_left_out() {
        let long = format!("{} <a@b>", "x".repeat(NAME_LEN_MAX + 1));
        for value in [
            "x@y <a@b>",
            "x\0y <a@b>",
            "[x] <a@b>",
            "\"x\x1by\" <a@b>",
            "x\r\n. y <a@b>",
            "x\r\n \t\r\n y <a@b>",
            &long,
        ] {
            assert_eq!(parse(value), Some((None, "a@b")), "{value:?}");
        }
    }

    #[test]
    fn the_mailbox_is_known_in_any_case() {
        let mailbox = Address::parse("scan@contoso.com").unwrap();
        let is = |value: &str| Originator::parse(value.as_bytes()).unwrap().is(&mailbox);
        assert!(is(" X <Scan@Contoso.com>\r\n") && is("scan@contoso.com"));
        assert!(!is("scan@contoso.com.example") && !is("\"scan\"@contoso.com"));
    }
}
