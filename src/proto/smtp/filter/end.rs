//! The end of a message, and what another server could take for one.
//!
//! Sources: RFC 5321 sections 4.1.1.4 (CRLF . CRLF ends a message, and nothing else does) and 2.3.8
//! (CR and LF stand together or not at all); CVE-2023-51764, -51765 and -51766 (SMTP smuggling).
//! In:  the bytes behind a 354, in any pieces. Out: the bytes of the message, dot-stuffed as sent, and
//!      how it ends.
//!
//! A dot that is alone between other line ends (LF . LF, LF . CRLF, CR . CR, CRLF . LF and so on) ends
//! a message for some servers, and so does one with a NUL beside it where NULs are dropped. What
//! follows would be commands there, which no rule here has looked at. So such a message is given up,
//! and the dot is never sent. A client that doubles its dots never sends one before a NUL.

use memchr::memchr;

/// Finds the end of one message.
#[derive(Debug)]
pub(super) struct EndFinder {
    /// What the bytes that were given out end in.
    before: Before,
    held: Held,
}

/// What stands before the next byte.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// Something of a line.
    Text,
    /// A CR, which may become a CRLF.
    Cr,
    CrLf,
    /// Another line end: an LF alone, or any with NULs in it or behind it.
    Other,
}

/// What was read and not given out, for it may belong to the end.
#[derive(Debug, Clone, Copy)]
enum Held {
    Nothing,
    /// A dot at the start of a line.
    Dot(LineStart),
    /// A dot and a CR, behind a CRLF.
    DotCr,
}

/// What a line stands behind.
#[derive(Debug, Clone, Copy)]
enum LineStart {
    CrLf,
    /// Any other line end.
    Other,
}

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it has to.
    Strict,
    /// With a dot alone between line ends of which one is no CRLF, or with a NUL beside it.
    Ambiguous,
}

impl EndFinder {
    /// At the start of a message: the line of DATA ended in CRLF.
    pub(super) fn new() -> Self {
        Self { before: Before::CrLf, held: Held::Nothing }
    }

    /// Reads on in `bytes`, and gives what belongs to the message to `text`, in pieces. How many were
    /// read, and how the message ends if it does: what is left then belongs to no message.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut text: impl FnMut(&[u8]),
    ) -> (usize, Option<Ending>) {
        // What was given out, and how far was looked.
        let (mut given, mut seen) = (0, 0);
        while let Some(&byte) = bytes.get(seen) {
            match (self.held, byte) {
                (Held::Nothing, _) => {
                    let rest = bytes.get(seen..).unwrap_or_default();
                    let Some(dot) = memchr(b'.', rest).map(|at| seen + at) else { break };
                    seen = dot + 1;
                    if let Some(line) = self.line_start(bytes.get(given..dot).unwrap_or_default()) {
                        self.give(bytes.get(given..dot).unwrap_or_default(), &mut text);
                        given = seen;
                        self.held = Held::Dot(line);
                    }
                }
                (Held::DotCr, b'\n') => return (seen + 1, Some(Ending::Strict)),
                (Held::Dot(LineStart::CrLf), b'\r') => {
                    seen += 1;
                    given = seen;
                    self.held = Held::DotCr;
                }
                (Held::DotCr, _) | (Held::Dot(_), b'\r' | b'\n' | 0) => {
                    return (seen + 1, Some(Ending::Ambiguous));
                }
                (Held::Dot(_), _) => {
                    self.held = Held::Nothing;
                    self.give(b".", &mut text);
                }
            }
        }
        self.give(bytes.get(given..).unwrap_or_default(), &mut text);
        (bytes.len(), None)
    }

    /// What the line stands behind that would begin after `ungiven`; `None` if none begins there.
    fn line_start(&self, ungiven: &[u8]) -> Option<LineStart> {
        match self.before.behind(ungiven) {
            Before::Text => None,
            Before::CrLf => Some(LineStart::CrLf),
            Before::Cr | Before::Other => Some(LineStart::Other),
        }
    }

    fn give(&mut self, bytes: &[u8], text: &mut impl FnMut(&[u8])) {
        self.before = self.before.behind(bytes);
        if !bytes.is_empty() {
            text(bytes);
        }
    }
}

impl Before {
    /// The same once `bytes` stand there as well.
    fn behind(self, bytes: &[u8]) -> Self {
        let text = bytes.iter().rposition(|byte| !b"\r\n\0".contains(byte));
        let (before, ends) = match text {
            Some(last) => (Self::Text, bytes.get(last + 1..).unwrap_or_default()),
            None => (self, bytes),
        };
        ends.iter().fold(before, |before, byte| match (before, byte) {
            (_, b'\r') => Self::Cr,
            (Self::Cr, b'\n') => Self::CrLf,
            (Self::Text, 0) => Self::Text,
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message, how it ends, and what is left.
    fn read(pieces: &[&[u8]]) -> (Vec<u8>, Option<Ending>, Vec<u8>) {
        let (mut finder, mut message) = (EndFinder::new(), Vec::new());
        for (position, piece) in pieces.iter().enumerate() {
            let (read, ending) = finder.read(piece, |text| message.extend_from_slice(text));
            if ending.is_some() {
                let behind = [&piece[read..], &pieces[position + 1..].concat()].concat();
                return (message, ending, behind);
            }
            assert_eq!(read, piece.len());
        }
        (message, None, Vec::new())
    }

    #[track_caller]
    fn assert_read(sent: &[u8], message: &[u8], ending: Option<Ending>, behind: &[u8]) {
        let expected = (message.to_vec(), ending, behind.to_vec());
        assert_eq!(read(&[sent]), expected);
        for at in 0..=sent.len() {
            let (left, right) = sent.split_at(at);
            assert_eq!(read(&[left, right]), expected, "split at {at}");
        }
        assert_eq!(read(&sent.chunks(1).collect::<Vec<_>>()), expected, "byte by byte");
    }

    #[test]
    fn a_message_ends_with_a_dot_between_two_crlf() {
        let strict = Some(Ending::Strict);
        assert_read(b"a\r\nb\r\n.\r\nQUIT\r\n", b"a\r\nb\r\n", strict, b"QUIT\r\n");
        assert_read(b".\r\n", b"", strict, b"");
        assert_read(b"\r\n.\r\n.\r\n", b"\r\n", strict, b".\r\n");
        assert_read(b"..\r\n.a\r\n...\r\n.\r\n", b"..\r\n.a\r\n...\r\n", strict, b"");
    }

    #[test]
    fn a_dot_within_a_line_ends_nothing() {
        let text = b"a.\r\nb.c\r\n. \r\n.\tx\r\n v1.0.\r\n\xff.\r\nx\0.\r\n.x\0\r\n";
        assert_read(text, text, None, b"");
    }

    #[test]
    fn bare_line_ends_pass_and_end_nothing() {
        let text = b"a\nb\rc\n\r\n\r\rd\n..\r..\n.a\r.b\n\n";
        assert_read(text, text, None, b"");
    }

    #[test]
    fn a_dot_between_other_line_ends_is_ambiguous_and_never_given_out() {
        for before in [&b"\r\n"[..], b"\n", b"\r"] {
            for after in [&b"\r\n"[..], b"\n", b"\rx", b"\r\r"] {
                if (before, after) == (b"\r\n", b"\r\n") {
                    continue;
                }
                let sent = [b"a", before, b".", after].concat();
                let (message, ending, _) = read(&[&sent]);
                assert_eq!(message, [b"a", before].concat(), "{sent:?}");
                assert_eq!(ending, Some(Ending::Ambiguous), "{sent:?}");
                let behind = sent[..sent.len()].to_vec();
                let left = read(&[&sent]).2;
                assert_read(&behind, &message, ending, &left);
            }
        }
        assert_read(b".\n", b"", Some(Ending::Ambiguous), b"");
    }

    #[test]
    fn a_dot_beside_a_nul_is_ambiguous_and_never_given_out() {
        for (before, after) in [
            (&b"\r\n\0"[..], &b"\r\n"[..]),
            (b"\r\n\0\0", b"\r\n"),
            (b"\r\0\n", b"\r\n"),
            (b"\r\n\0", b"\n"),
            (b"\n\0", b"\n"),
            (b"\r\0", b"\r\n"),
            (b"\r\n\0", b"\0"),
            (b"\r\n", b"\0"),
            (b"\r\n", b"\r\0"),
            (b"\n", b"\0"),
        ] {
            let sent = [b"a", before, b".", after].concat();
            let message = [b"a", before].concat();
            let left = if after == b"\r\n" { &b"\n"[..] } else { b"" };
            assert_read(&sent, &message, Some(Ending::Ambiguous), left);
        }
        assert_read(b"\0.\r\n", b"\0", Some(Ending::Ambiguous), b"\n");
        // A dot that the client has doubled, and a NUL in the line before.
        let text = b"..\0\r\na\0\r\n";
        assert_read(&[&text[..], b".\r\n"].concat(), text, Some(Ending::Strict), b"");
    }

    #[test]
    fn what_may_be_an_end_is_held_until_it_is_known() {
        let (mut finder, mut message) = (EndFinder::new(), Vec::new());
        finder.read(b"a\r\n.", |text| message.extend_from_slice(text));
        assert_eq!(message, b"a\r\n");
        finder.read(b"\r", |text| message.extend_from_slice(text));
        assert_eq!(message, b"a\r\n");
        assert_eq!(finder.read(b"\n", |_| panic!("no text")), (1, Some(Ending::Strict)));
    }
}
