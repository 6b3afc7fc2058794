//! The fields of a header, as they are sent.
//!
//! Sources: RFC 5322 sections 2.2 and 2.2.3 (folding), 4.5 (blanks before the colon), RFC 5321
//! section 4.5.2 (a server takes the first dot of a line away).

use memchr::memchr;

/// A field with its continuations, or a line that is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// All its lines as sent, line ends included.
    pub(super) bytes: &'a [u8],
    /// Its name; empty for a line that is no field.
    name: &'a [u8],
    /// What stands behind the colon, line ends included.
    pub(super) value: &'a [u8],
}

impl Field<'_> {
    /// Whether it has this name; case does not matter.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header in which each line ends in CRLF.
pub(super) fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let mut end = line_len(rest)?;
        while let Some(next) = rest.get(end..)
            && let Some(len) = line_len(next)
            && is_continuation(next)
        {
            end += len;
        }
        let (bytes, behind) = rest.split_at_checked(end)?;
        rest = behind;
        let (name, value) = split_name(bytes).unwrap_or_default();
        Some(Field { bytes, name, value })
    })
}

/// Whether a line begins a field.
pub(super) fn is_field(line: &[u8]) -> bool {
    split_name(line).is_some()
}

/// Whether this is the line that stands before each message of an mbox; programs that take messages
/// from one send it along.
pub(super) fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") && !is_field(line) || line.starts_with(b">From ")
}

/// The length of the first line with its end; `None` where there is none.
fn line_len(bytes: &[u8]) -> Option<usize> {
    (!bytes.is_empty()).then(|| memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1))
}

fn is_continuation(line: &[u8]) -> bool {
    matches!(unstuffed(line).first(), Some(b' ' | b'\t'))
}

/// The name, and what stands behind the colon.
fn split_name(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = unstuffed(line);
    let colon = memchr(b':', line)?;
    let name = line.get(..colon)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    Some((name, line.get(colon + 1..)?)).filter(|_| is_name)
}

/// The line as the server reads it.
fn unstuffed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b".").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> Vec<(String, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields(header.as_bytes())
            .map(|field| (text(field.name), text(field.value), text(field.bytes)))
            .collect()
    }

    #[test]
    fn a_field_has_all_its_continuations() {
        let header = "To: a,\r\n\tb\r\n  c\r\nodd line\r\n more\r\nX:\r\n";
        let found = shown(header);
        let expected = [
            ("To", " a,\r\n\tb\r\n  c\r\n", "To: a,\r\n\tb\r\n  c\r\n"),
            ("", "", "odd line\r\n more\r\n"),
            ("X", "\r\n", "X:\r\n"),
        ];
        let own = |(a, b, c): (&str, &str, &str)| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(found, expected.map(own));
        assert!(shown("").is_empty());
    }

    #[test]
    fn names_are_found_behind_a_dot_and_before_blanks() {
        for line in ["From: x\r\n", "FROM : x\r\n", "from\t: x\r\n", ".From: x\r\n"] {
            let found: Vec<_> = fields(line.as_bytes()).collect();
            assert!(found[0].is("From"), "{line}");
        }
        // A server reads `.From`.
        assert_eq!(shown("..From: x\r\n")[0].0, ".From");
        assert_eq!(shown("X: a\r\n. b\r\n").len(), 1);
    }

    #[test]
    fn what_is_no_field_is_told_from_one() {
        for line in ["X: y", "X:", "X-1.2_3:y", "http://x", "From:", "From : a"] {
            assert!(is_field(line.as_bytes()), "{line}");
        }
        for line in ["", ":", " X: y", "no colon", "two words: x", "\u{e9}: x", "From a b:c"] {
            assert!(!is_field(line.as_bytes()), "{line}");
        }
        assert!(is_mbox_line(b"From a@b Mon Nov 22 10:00:00 2026"));
        assert!(is_mbox_line(b">From a@b"));
        assert!(!is_mbox_line(b"From : a@b") && !is_mbox_line(b"From: a@b"));
    }
}
