//! What a provider says first behind the sign-in of an IMAP or POP3 session, and last: some troubles
//! are told there and nowhere else.
//!
//! In:     its bytes, in any pieces. Out: whole lines that tell of trouble, printable, at most
//!         [`LINE_LEN_MAX`] bytes each.
//! Limits: [`FIRST_LEN`] bytes are looked at, and the last [`LINE_LEN_MAX`] are kept; what lies
//!         between is content, which is nobody's business.
//!
//! Among the first lines there may be content, too, which anybody may have written: the literals of
//! IMAP (RFC 3501 section 4.3) and the multi-line responses of POP3 (RFC 1939 section 3) are passed
//! over, or a message could tell of troubles that there are not.

use crate::proto::printable;
use crate::provider::Protocol;

/// How much is looked at behind the sign-in, in bytes: the answers to CAPABILITY, ID, NAMESPACE and
/// the first SELECT.
const FIRST_LEN: usize = 8_192;

/// Longest line that is understood, in bytes: the longest that a refusal was seen to have is 200.
const LINE_LEN_MAX: usize = 400;

/// A reader of the first lines and the last one.
#[derive(Debug)]
pub(super) struct FirstLines {
    protocol: Protocol,
    /// How much of the beginning is still to be looked at.
    left: usize,
    /// The line that is being read, as far as it is kept.
    line: Vec<u8>,
    /// How much of a literal is still to come, in bytes.
    literal: usize,
    /// Whether the next line goes on with a response that a literal stands in.
    is_behind_literal: bool,
    /// Whether a response of several lines has begun and not ended.
    in_lines: bool,
    /// The end of all that was said.
    end: Vec<u8>,
}

impl FirstLines {
    /// A reader for a session of `protocol`.
    pub(super) fn new(protocol: Protocol) -> Self {
        let (line, literal, is_behind_literal, in_lines, end) = Default::default();
        Self { protocol, left: FIRST_LEN, line, literal, is_behind_literal, in_lines, end }
    }

    /// Reads on; gives the lines that ended and tell of trouble.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        self.keep_end(bytes);
        if self.left == 0 {
            return Vec::new();
        }
        let first = bytes.get(..self.left).unwrap_or(bytes);
        self.left -= first.len();
        let (mut rest, mut lines) = (first, Vec::new());
        while !rest.is_empty() {
            if self.literal > 0 {
                let len = self.literal.min(rest.len());
                self.literal -= len;
                rest = rest.get(len..).unwrap_or_default();
                continue;
            }
            let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (piece, behind) = rest.split_at(len);
            rest = behind;
            // All of it is kept until it ends: what is looked at at all is not much.
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if !self.is_content(&line) {
                    lines.extend(self.trouble(&line));
                }
            }
        }
        if self.left == 0 {
            // A session of an hour has no use for the room.
            self.line = Vec::new();
        }
        lines
    }

    /// Whether a line is part of what somebody may have written; notes whether more of that follows.
    fn is_content(&mut self, line: &[u8]) -> bool {
        match self.protocol {
            Protocol::Imap => {
                self.literal = literal_behind(line).unwrap_or_default();
                // What stands around a literal is no status response (RFC 3501 section 7.1).
                let is_before = self.literal > 0;
                std::mem::replace(&mut self.is_behind_literal, is_before) || is_before
            }
            Protocol::Pop3 => {
                let is_status = line.starts_with(b"+OK") || line.starts_with(b"-ERR");
                let is_content = self.in_lines || !is_status;
                self.in_lines = is_content && line.trim_ascii_end() != b".";
                is_content
            }
            Protocol::Submission => false,
        }
    }

    /// The last line that was said, where it is one that ends a session. To be asked when the provider
    /// has closed: before that it may be a line of a message which is on its way.
    pub(super) fn last_words(&self) -> Option<String> {
        let end = self.end.strip_suffix(b"\n")?;
        let line = end.rsplit(|&byte| byte == b'\n').next()?;
        let prefix = match self.protocol {
            Protocol::Imap => "* BYE ",
            Protocol::Pop3 => "-ERR ",
            Protocol::Submission => return None,
        };
        Some(printable(line, LINE_LEN_MAX)).filter(|line| line.starts_with(prefix))
    }

    fn keep_end(&mut self, bytes: &[u8]) {
        // One byte more for the line end before it.
        let kept = LINE_LEN_MAX + 1;
        self.end.extend_from_slice(bytes.get(bytes.len().saturating_sub(kept)..).unwrap_or(bytes));
        self.end.drain(..self.end.len().saturating_sub(kept));
    }

    /// The line, if it says that something failed.
    fn trouble(&self, line: &[u8]) -> Option<String> {
        let line = printable(line, LINE_LEN_MAX);
        let is_trouble = match self.protocol {
            Protocol::Imap => {
                let mut words = line.split(' ').skip(1);
                words.next().is_some_and(|word| {
                    ["NO", "BAD", "BYE"].iter().any(|known| word.eq_ignore_ascii_case(known))
                })
            }
            Protocol::Pop3 => line.starts_with("-ERR"),
            Protocol::Submission => false,
        };
        is_trouble.then_some(line)
    }
}

/// The length of the literal that follows `line` (RFC 3501 section 4.3, RFC 3516 section 4.4).
fn literal_behind(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', line)?;
    std::str::from_utf8(line.get(at + 1..)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(protocol: Protocol, pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let mut first = FirstLines::new(protocol);
        let lines = pieces.iter().flat_map(|piece| first.read(piece)).collect();
        (lines, first.last_words())
    }

    #[test]
    fn lines_that_tell_of_trouble_are_found_at_every_split() {
        let said = b"* CAPABILITY IMAP4rev1\r\n1 BAD User is authenticated but not connected.\r\n\
                     2 OK done\r\n* BYE Connection closed. 14\r\n";
        let expected = (
            vec![
                "1 BAD User is authenticated but not connected.".to_owned(),
                "* BYE Connection closed. 14".to_owned(),
            ],
            Some("* BYE Connection closed. 14".to_owned()),
        );
        for at in 0..=said.len() {
            let (left, right) = said.split_at(at);
            assert_eq!(read(Protocol::Imap, &[left, right]), expected, "split at {at}");
        }
        let single: Vec<&[u8]> = said.chunks(1).collect();
        assert_eq!(read(Protocol::Imap, &single), expected);
        let pop3 = b"+OK\r\n-ERR Protocol error. Connection is closed. 10\r\n";
        let line = "-ERR Protocol error. Connection is closed. 10".to_owned();
        assert_eq!(read(Protocol::Pop3, &[pop3]), (vec![line.clone()], Some(line)));
    }

    #[test]
    fn what_a_message_says_is_no_word_of_the_provider() {
        let bad = "1 BAD User is authenticated but not connected.\r\n";
        let text = format!("Subject: x\r\n\r\n{bad}");
        // Behind the second literal the response goes on with what would be a refusal elsewhere.
        let literal = format!(
            "* 1 FETCH (BODY[] {{{len}}}\r\n{text} BODY[TEXT] {{{len}}}\r\n{text} {bad}{bad}",
            len = text.len()
        );
        let err = "-ERR [SYS/TEMP] no\r\n";
        let lines = format!("+OK 2 octets\r\nSubject: x\r\n\r\n{err}..\r\n+OK\r\n{err}.\r\n{err}");
        for (protocol, said, told) in [(Protocol::Imap, literal, bad), (Protocol::Pop3, lines, err)]
        {
            let told = vec![told.trim_end().to_owned()];
            for at in 0..=said.len() {
                let (left, right) = said.as_bytes().split_at(at);
                assert_eq!(read(protocol, &[left, right]).0, told, "{protocol:?} at {at}");
            }
        }
    }

    #[test]
    fn braces_that_announce_no_literal_hide_nothing() {
        for braces in ["{}", "{x}", "{-1}", "{3} ", "3}", "{99999999999999999999999}", "{0}"] {
            let said = format!("* OK {braces}\r\n1 NO x\r\n");
            let told = read(Protocol::Imap, &[said.as_bytes()]).0;
            assert_eq!(told, ["1 NO x"], "{braces}");
        }
        let endless = format!("* OK {{{}}}\r\n1 NO x\r\n", usize::MAX);
        assert!(read(Protocol::Imap, &[endless.as_bytes()]).0.is_empty());
    }

    #[test]
    fn content_is_neither_looked_at_nor_kept() {
        let mut first = FirstLines::new(Protocol::Imap);
        assert!(first.read(&b"x".repeat(FIRST_LEN)).is_empty());
        assert!(first.read(b"\r\n1 BAD User is authenticated but not connected.\r\n").is_empty());
        assert_eq!(first.last_words(), None);
        assert_eq!(first.line.capacity(), 0, "nothing is kept for a line that nobody reads");
        for _ in 0..100 {
            assert!(first.read(&b"x".repeat(65_536)).is_empty());
        }
        assert!(first.line.len() <= FIRST_LEN && first.end.len() <= LINE_LEN_MAX + 1);
        assert_eq!(first.last_words(), None, "only what ends a session is told");
    }

    #[test]
    fn last_words_are_a_whole_line() {
        let last = |said: &str| read(Protocol::Imap, &[said.as_bytes()]).1;
        assert_eq!(last("* BYE a\r\n").as_deref(), Some("* BYE a"));
        assert_eq!(last("* OK\r\n* BYE a"), None);
    }

    #[test]
    fn a_line_beyond_the_bound_is_cut_and_printable() {
        let mut first = FirstLines::new(Protocol::Pop3);
        let line = [b"-ERR \x1b[31m", &b"y".repeat(1_000)[..], b"\r\n"].concat();
        let [told] = first.read(&line).try_into().unwrap();
        assert!(told.starts_with("-ERR ?[31myyy") && told.len() == LINE_LEN_MAX, "{told}");
    }
}
