//! SMTP replies of an upstream, read line by line.
//!
//! Sources: RFC 5321 section 4.2, RFC 2034 and RFC 3463 (enhanced codes).
//! In:  lines, at most [`LINE_LEN_MAX`] bytes each and [`LINES_MAX`] a reply. Out: whole replies.

use bytes::Bytes;

use crate::proto::{Input, Line, UpstreamFault, printable};

/// Longest line of an upstream's reply, in bytes without CRLF.
///
/// RFC 5321 section 4.5.3.1.5 allows 512; error challenges of providers are longer.
const LINE_LEN_MAX: usize = 2_048;

/// Most lines of one reply. The longest EHLO replies in use have some twenty.
const LINES_MAX: usize = 100;

/// Longest rendering of an upstream's reply in one line, in bytes.
pub(super) const ONE_LINE_LEN_MAX: usize = 400;

/// A whole reply of an upstream: one or more lines of one code.
#[derive(Debug)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<Bytes>,
}

impl Reply {
    /// Its code: 0 to 999.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// The texts of its lines, without the codes.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| line.get(4..).unwrap_or_default())
    }

    /// The text of its last line.
    pub(super) fn last_text(&self) -> &[u8] {
        self.texts().last().unwrap_or_default()
    }

    /// Its lines as the upstream sent them, without their ends.
    pub(super) fn into_lines(self) -> Vec<Bytes> {
        self.lines
    }

    /// Code and texts as one line: printable ASCII, at most 400 bytes. The enhanced code that
    /// servers repeat on each line (RFC 2034 section 4) stands there once.
    pub(super) fn one_line(&self) -> String {
        let enhanced_code = self.texts().next().and_then(enhanced_code);
        let mut line = format!("{:03}", self.code).into_bytes();
        for (position, text) in self.texts().enumerate() {
            let repeated = enhanced_code.filter(|_| position > 0);
            let text = repeated.and_then(|code| text.strip_prefix(code)).unwrap_or(text);
            if !text.trim_ascii().is_empty() {
                line.push(b' ');
                line.extend_from_slice(text.trim_ascii());
            }
        }
        printable(&line, ONE_LINE_LEN_MAX)
    }
}

/// The lines of a reply that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    lines: Vec<Bytes>,
    code: Option<u16>,
}

impl ReplyReader {
    /// Takes lines of `input` until a reply is whole; `None` while it is not.
    ///
    /// # Errors
    /// [`UpstreamFault::Protocol`] when the lines are no reply, or too long or too many.
    pub(super) fn read(&mut self, input: &mut Input) -> Result<Option<Reply>, UpstreamFault> {
        let fault = |problem| Err(UpstreamFault::Protocol { problem });
        loop {
            let line = match input.take_line(LINE_LEN_MAX) {
                Line::Whole(line) => line,
                Line::Incomplete => return Ok(None),
                Line::TooLong | Line::Skipped(_) | Line::Endless => {
                    return fault("a line of its reply has more than 2,048 bytes");
                }
            };
            let Some((code, follows)) = split_code(&line) else {
                return fault("a line of its reply does not begin with a code");
            };
            if *self.code.get_or_insert(code) != code {
                return fault("the lines of one reply have different codes");
            }
            self.lines.push(line);
            match follows {
                Follows::Nothing => {
                    self.code = None;
                    return Ok(Some(Reply { code, lines: std::mem::take(&mut self.lines) }));
                }
                Follows::Line if self.lines.len() == LINES_MAX => {
                    return fault("a reply of it has more than 100 lines");
                }
                Follows::Line => {}
            }
        }
    }
}

/// Whether a line of a reply is its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// It is: `NNN text`, or `NNN` alone.
    Nothing,
    /// It is not: `NNN-text`.
    Line,
}

/// Reads `NNN`, `NNN text` or `NNN-text`.
pub(super) fn split_code(line: &[u8]) -> Option<(u16, Follows)> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let follows = match rest.first() {
        None | Some(b' ') => Follows::Nothing,
        Some(b'-') => Follows::Line,
        Some(_) => return None,
    };
    let code = digits.iter().try_fold(0, |code, digit| {
        digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0'))
    })?;
    Some((code, follows))
}

/// The enhanced code at the start of a text, if there is one: `5.7.8`.
fn enhanced_code(text: &[u8]) -> Option<&[u8]> {
    let code = text.split(|&byte| byte == b' ').next()?;
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let parts = || code.split(|&byte| byte == b'.');
    (parts().count() == 3 && parts().all(is_number)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: &[u8]) -> Result<Option<Reply>, UpstreamFault> {
        let mut input = Input::default();
        input.extend(sent);
        ReplyReader::default().read(&mut input)
    }

    fn problem(sent: &[u8]) -> &'static str {
        match read(sent) {
            Err(UpstreamFault::Protocol { problem }) => problem,
            other => panic!("{other:?} is no fault of the protocol"),
        }
    }

    fn one_line(sent: &[u8]) -> String {
        read(sent).unwrap().unwrap().one_line()
    }

    #[test]
    fn a_reply_ends_with_its_first_line_without_a_hyphen() {
        let reply = read(b"250-a\r\n250-\r\n250 c\r\n250 next\r\n").unwrap().unwrap();
        assert_eq!(reply.code(), 250);
        assert_eq!(reply.texts().collect::<Vec<_>>(), [&b"a"[..], b"", b"c"]);
        assert_eq!(reply.last_text(), b"c");
        assert_eq!(reply.into_lines(), [&b"250-a"[..], b"250-", b"250 c"]);
        assert!(read(b"250-a\r\n250-b\r\n").unwrap().is_none());
    }

    #[test]
    fn a_reply_is_read_without_text_and_with_a_bare_lf() {
        for sent in [&b"334\r\n"[..], b"334 \r\n", b"334\n"] {
            let reply = read(sent).unwrap().unwrap();
            assert_eq!((reply.code(), reply.last_text()), (334, &b""[..]), "{sent:?}");
        }
    }

    #[test]
    fn lines_that_are_no_reply_are_a_fault() {
        let wrong: [&[u8]; 7] =
            [b"\r\n", b"25\r\n", b"abc\r\n", b"250x\r\n", b"+OK\r\n", b"2 0 a\r\n", b"2500 a\r\n"];
        for sent in wrong {
            assert!(problem(sent).contains("a code"), "{sent:?}");
        }
        assert!(problem(b"250-a\r\n251 b\r\n").contains("different codes"));
    }

    #[test]
    fn a_reply_is_bounded_in_width_and_length() {
        let line = |len: usize| format!("250 {}\r\n", "x".repeat(len - 4)).into_bytes();
        assert!(read(&line(LINE_LEN_MAX)).unwrap().is_some());
        assert!(problem(&line(LINE_LEN_MAX + 1)).contains("2,048"));
        let lines = |count: usize| format!("{}250 x\r\n", "250-x\r\n".repeat(count - 1));
        assert!(read(lines(LINES_MAX).as_bytes()).unwrap().is_some());
        assert!(problem(lines(LINES_MAX + 1).as_bytes()).contains("100 lines"));
    }

    #[test]
    fn a_reply_in_one_line_shows_its_enhanced_code_once() {
        assert_eq!(
            one_line(
                b"535-5.7.8 Username and Password not accepted. For more information, go to\r\n\
                  535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp\r\n"
            ),
            "535 5.7.8 Username and Password not accepted. For more information, go to \
             https://support.google.com/mail/?p=BadCredentials x - gsmtp"
        );
        assert_eq!(one_line(b"535-no\r\n535 5.7.8 way\r\n"), "535 no 5.7.8 way");
        assert_eq!(one_line(b"535-5.7.8\r\n535 5.7.8\r\n"), "535 5.7.8");
        assert_eq!(one_line(b"535\r\n"), "535");
    }

    #[test]
    fn a_reply_in_one_line_is_printable_and_short() {
        assert_eq!(one_line(b"535 \x1b[31m\xc3\xa9\x00.\r\n"), "535 ?[31m???.");
        let long = format!("{}535 end\r\n", "535-long\r\n".repeat(LINES_MAX - 1));
        assert_eq!(one_line(long.as_bytes()).len(), ONE_LINE_LEN_MAX);
    }
}
