//! The two buffers of a machine: received bytes that wait to be consumed, and bytes to send.
//!
//! In:  whatever the peer sends, in any pieces. Lines end in LF; a CR before it is dropped, because
//!      old devices send bare LF while they sign in.
//! Out: lines without their ends, each no longer than the machine's limit.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

/// How far a line that is too long is skipped, in bytes, before the peer is given up.
///
/// 64 KiB, from the promise that an endless line costs less than that and is cut.
pub const SKIP_MAX: usize = 65_536;

/// How much is kept of the end of a line that is skipped, in bytes: ` HTTP/1.1` and a CR.
const TAIL_LEN_MAX: usize = 10;

/// How much a machine may answer before it has to be written, in bytes.
///
/// One piece of 64 KiB holds 13,000 commands, and the longest reply has 40 times the length of its
/// command: a client that takes no replies must not have us keep them all.
const OUTPUT_LEN_MAX: usize = 65_536;

/// Room that an output is given with its first bytes, in bytes: a reply is written in parts, and nearly
/// every one is shorter.
const REPLY_LEN_USUAL: usize = 256;

/// The first byte of a TLS handshake: content type 22 (RFC 8446 section 5.1).
///
/// No command of a mail protocol begins with a control character.
const TLS_HANDSHAKE: u8 = 0x16;

/// The first byte of a ClientHello in the form of SSL 2.0 (RFC 5246 appendix E.2), in which devices of
/// around 2005 begin TLS: the bit that says how long the header is, over the high bits of a length of
/// up to 255 bytes.
///
/// That has room for 70 cipher suites beside the longest challenge, more than such a client knows, so
/// lengths above it (0x81 and so on) are not looked for: no command begins with a byte above 0x7f
/// either, but lines do that are answered, with the options of Telnet (0xff) for one.
const SSL2_HELLO: u8 = 0x80;

/// How the request lines end that browsers send.
const HTTP_VERSIONS: [&[u8]; 3] = [b" HTTP/1.0", b" HTTP/1.1", b" HTTP/2.0"];

/// Bytes received and not yet consumed. They are not printed, for passwords are among them.
#[derive(Default)]
pub struct Input {
    bytes: BytesMut,
    /// How much of `bytes` was searched for LF already, so that no byte is looked at twice.
    searched: usize,
    /// What is known of a line that is too long and thrown away as it comes.
    skipped: Option<Skipped>,
}

#[derive(Default)]
struct Skipped {
    len: usize,
    /// Its last bytes so far, at most [`TAIL_LEN_MAX`].
    tail: Vec<u8>,
}

/// What [`Input::take_line`] found.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub enum Line {
    /// A whole line, without its line end.
    Whole(Bytes),
    /// More than the limit and no end yet, or an end too late. Said once a line; the line is skipped
    /// by the calls that follow.
    TooLong,
    /// The end of that line: its last nine bytes or more, for it may be the request of a browser.
    Skipped(Bytes),
    /// That line has more than [`SKIP_MAX`] bytes. Said from then on: nothing is found behind it.
    Endless,
    /// No whole line yet.
    Incomplete,
}

impl Input {
    /// Appends received bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the next line begins as a TLS handshake does, be it in the form of SSL 2.0. Its line end
    /// may never come, so this is asked before the line is taken, where a command is due.
    pub fn begins_tls_handshake(&self) -> bool {
        self.skipped.is_none() && matches!(self.bytes.first(), Some(&(TLS_HANDSHAKE | SSL2_HELLO)))
    }

    /// Takes the next line, if it is whole and at most `len_max` bytes long without its end.
    pub fn take_line(&mut self, len_max: usize) -> Line {
        if let Some(skipped) = self.skipped.take() {
            return self.skip_line(skipped);
        }
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        let end = memchr::memchr(b'\n', unsearched).map(|at| self.searched + at);
        let without_cr = |end: usize| match self.bytes.get(..end) {
            Some([.., b'\r']) => end - 1,
            _ => end,
        };
        match end {
            Some(end) if without_cr(end) <= len_max => {
                let len = without_cr(end);
                let mut line = self.bytes.split_to(end + 1).freeze();
                line.truncate(len);
                self.searched = 0;
                Line::Whole(line)
            }
            // One byte more than the limit may be the CR of a line of just the limit.
            None if self.bytes.len() <= len_max + 1 => {
                self.searched = self.bytes.len();
                Line::Incomplete
            }
            _ => {
                self.skipped = Some(Skipped::default());
                Line::TooLong
            }
        }
    }

    /// The next line without its end, if it is whole and at most `len_max` bytes long. It stays.
    pub fn peek_line(&self, len_max: usize) -> Option<&[u8]> {
        if self.skipped.is_some() {
            return None;
        }
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        let end = self.searched + memchr::memchr(b'\n', unsearched)?;
        let line = self.bytes.get(..end)?;
        Some(line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| line.len() <= len_max)
    }

    /// How many bytes wait behind the first line that does, if one is whole; else how many wait.
    pub fn len_behind_line(&self) -> usize {
        let behind = memchr::memchr(b'\n', &self.bytes).map_or(0, |end| end + 1);
        self.bytes.len().saturating_sub(behind)
    }

    /// The first bytes that wait, at most `len_max`. Behind [`Line::TooLong`] these are the first of
    /// that line.
    pub fn peek(&self, len_max: usize) -> &[u8] {
        self.bytes.get(..len_max).unwrap_or(&self.bytes)
    }

    /// Takes `len` bytes, if so many wait.
    pub fn take(&mut self, len: usize) -> Option<Bytes> {
        (self.bytes.len() >= len).then(|| {
            self.searched = 0;
            self.bytes.split_to(len).freeze()
        })
    }

    /// Gives all that was not consumed; it is streamed first.
    pub fn into_leftover(self) -> Bytes {
        self.bytes.freeze()
    }

    /// Throws a line that is too long away, as far as it is here.
    fn skip_line(&mut self, Skipped { len, mut tail }: Skipped) -> Line {
        self.searched = 0;
        let end = memchr::memchr(b'\n', &self.bytes);
        let piece = self.bytes.split_to(end.unwrap_or(self.bytes.len()));
        let len = len.saturating_add(piece.len());
        tail.extend_from_slice(
            piece.get(piece.len().saturating_sub(TAIL_LEN_MAX)..).unwrap_or(&[]),
        );
        tail.drain(..tail.len().saturating_sub(TAIL_LEN_MAX));
        if end.is_some() && len <= SKIP_MAX {
            self.bytes.advance(1);
            tail.pop_if(|last| *last == b'\r');
            return Line::Skipped(tail.into());
        }
        self.bytes.clear();
        self.skipped = Some(Skipped { len, tail });
        if len > SKIP_MAX { Line::Endless } else { Line::Incomplete }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Bytes to send. They are not printed, for tokens are among them.
#[derive(Default)]
pub struct Output {
    bytes: BytesMut,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("len", &self.bytes.len()).finish()
    }
}

impl Output {
    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(bytes.len().max(REPLY_LEN_USUAL));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends `text` and CRLF. The text must hold neither CR nor LF.
    pub fn line(&mut self, text: &str) {
        self.line_of([text]);
    }

    /// Appends `parts` in a row, as one line, and CRLF. The parts must hold neither CR nor LF.
    pub fn line_of<'p>(&mut self, parts: impl IntoIterator<Item = &'p str, IntoIter: Clone>) {
        let parts = parts.into_iter();
        let len: usize = parts.clone().map(str::len).sum();
        self.bytes.reserve(len + b"\r\n".len());
        for part in parts {
            debug_assert!(!part.contains(['\r', '\n']), "a line holds no line end");
            self.bytes(part.as_bytes());
        }
        self.bytes(b"\r\n");
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether what is here has to be sent before more is answered.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= OUTPUT_LEN_MAX
    }

    /// Takes all bytes out.
    pub fn take(&mut self) -> BytesMut {
        std::mem::take(&mut self.bytes)
    }
}

/// Whether a line ends like the request of a browser, as a web page can make any send it; the end of
/// a line that was skipped will do.
pub fn is_http(line: &[u8]) -> bool {
    HTTP_VERSIONS.iter().any(|version| line.ends_with(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]], len_max: usize) -> Vec<Line> {
        let mut input = Input::default();
        let mut lines = Vec::new();
        for piece in pieces {
            input.extend(piece);
            loop {
                let line = input.take_line(len_max);
                if line == Line::Incomplete {
                    break;
                }
                lines.push(line);
                if lines.last() == Some(&Line::Endless) {
                    return lines;
                }
            }
        }
        lines
    }

    #[test]
    fn what_waits_behind_a_line_is_told_without_taking_it() {
        for (sent, behind) in [
            ("", 0),
            ("MAIL", 4),
            ("MAIL\n", 0),
            ("MAIL\r\n", 0),
            ("MAIL\r\nR", 1),
            ("MAIL\r\n\r\nx", 3),
        ] {
            let mut input = Input::default();
            input.extend(sent.as_bytes());
            assert_eq!((input.len_behind_line(), input.len()), (behind, sent.len()), "{sent:?}");
        }
    }

    #[test]
    fn lines_are_the_same_at_every_split() {
        let sent = b"ab\r\n\r\nabcd\nabcde\r\nabcdefgh\r\nx\r\r\n";
        let whole = lines(&[sent], 4);
        assert_eq!(whole.len(), 8);
        assert_eq!(whole[3..5], [Line::TooLong, Line::Skipped(Bytes::from_static(b"abcde"))]);
        for at in 0..=sent.len() {
            let (left, right) = sent.split_at(at);
            assert_eq!(lines(&[left, right], 4), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(lines(&single, 4), whole);
    }

    #[test]
    fn a_line_of_more_than_64_kib_is_given_up_at_every_split() {
        let mut sent = vec![b'x'; SKIP_MAX + 1];
        sent.extend_from_slice(b"\r\nNOOP\r\n");
        let whole = lines(&[&sent], 512);
        assert_eq!(whole, [Line::TooLong, Line::Endless]);
        for at in [1, 513, 514, 600, SKIP_MAX, SKIP_MAX + 1, SKIP_MAX + 2] {
            let (left, right) = sent.split_at(at);
            assert_eq!(lines(&[left, right], 512), whole, "split at {at}");
        }
    }

    #[test]
    fn an_endless_line_is_given_up_and_costs_no_memory() {
        let mut input = Input::default();
        let mut given_up = false;
        for sent in 0..200 {
            input.extend(&[b'x'; 1024]);
            match input.take_line(512) {
                Line::TooLong => assert_eq!(sent, 0),
                Line::Endless => {
                    given_up = true;
                    break;
                }
                Line::Incomplete => assert!(input.is_empty(), "the bytes are thrown away"),
                Line::Whole(_) | Line::Skipped(_) => panic!("there is no line"),
            }
        }
        assert!(given_up);
    }

    #[test]
    fn a_tls_handshake_is_known_by_the_first_byte_of_a_line_alone() {
        let mut input = Input::default();
        assert!(!input.begins_tls_handshake());
        input.extend(b"x\x16\r\n");
        assert!(!input.begins_tls_handshake());
        input.take_line(100);
        input.extend(b"\x16");
        assert!(input.begins_tls_handshake());
    }

    #[test]
    fn the_hello_of_ssl_2_is_known_by_its_first_byte() {
        // RFC 5246 appendix E.2: a length of 46, client_hello, and the version 3.1 of TLS 1.0.
        let begins = |bytes: &[u8]| {
            let mut input = Input::default();
            input.extend(bytes);
            input.begins_tls_handshake()
        };
        assert!(begins(&[0x80, 0x2e, 1, 3, 1]));
        assert!(begins(&[0x80]));
        // Telnet's IAC, UTF-8 and Latin-1, and the length of a hello that nothing sends.
        for other in [0x7f, 0x81, 0xc3, 0xe4, 0xff] {
            assert!(!begins(&[other, 0x2e, 1, 3, 1]), "{other:#x}");
        }
    }

    #[test]
    fn no_tls_handshake_is_seen_within_a_line_that_is_skipped() {
        let mut input = Input::default();
        input.extend(b"too long");
        assert_eq!(input.take_line(4), Line::TooLong);
        assert_eq!(input.take_line(4), Line::Incomplete);
        input.extend(b"\x16\x03\r\n\x16\x03");
        assert!(!input.begins_tls_handshake());
        assert!(matches!(input.take_line(4), Line::Skipped(_)));
        assert!(input.begins_tls_handshake());
    }

    #[test]
    fn neither_buffer_prints_its_bytes() {
        let (mut input, mut output) = (Input::default(), Output::default());
        input.extend(b"PASS secret\r\n");
        output.line("secret");
        assert_eq!(format!("{input:?} {output:?}"), "Input { len: 13, .. } Output { len: 8 }");
        // Nor is the end of a line printed that is thrown away.
        input.take_line(4);
        input.take_line(4);
        assert_eq!(format!("{input:?}"), "Input { len: 0, .. }");
    }

    #[test]
    fn bytes_behind_a_line_are_left_whole() {
        let mut input = Input::default();
        input.extend(b"AUTH PLAIN\r\nMAIL FROM:<a@b>\r\nhalf");
        assert_eq!(input.take_line(100), Line::Whole(Bytes::from_static(b"AUTH PLAIN")));
        assert_eq!(&input.into_leftover()[..], b"MAIL FROM:<a@b>\r\nhalf");
    }
}
