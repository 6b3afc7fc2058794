//! Replies of an upstream as they pass to the client: read, never altered.
//!
//! Sources: RFC 5321 section 4.2 (a reply ends with its first line without a hyphen).
//! In:  the upstream's bytes, in any pieces. Out: where each reply ends, its code and last line.
//! Holds at most [`TEXT_LEN_MAX`] bytes of one line, whatever comes.

use super::upstream_reply::{Follows, split_code};
use crate::proto::printable;

/// Longest text of a reply that is told, in bytes. That of a refused sign-in has the same.
const TEXT_LEN_MAX: usize = 400;

/// Reads an upstream's replies as they pass to the client. Alters nothing; constant memory, whatever
/// comes.
#[derive(Debug, Default)]
pub struct Replies {
    /// The first bytes of the line that has not ended.
    line: Vec<u8>,
}

/// A reply that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedReply {
    /// Its code; 0 where its last line does not begin with one.
    pub code: u16,
    /// Its last line, code included: printable ASCII, at most 400 bytes.
    pub text: String,
}

impl Replies {
    /// Reads on in `bytes`: how many of them the first reply takes that ends in them, and that reply.
    /// `None` when all were read and no reply ended.
    ///
    /// A line that is no part of a reply is taken for a whole one, with the code 0.
    pub fn read(&mut self, bytes: &[u8]) -> Option<(usize, PassedReply)> {
        let mut read = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            read += line.len();
            let room = TEXT_LEN_MAX.saturating_sub(self.line.len());
            self.line.extend(line.iter().take(room));
            if !line.ends_with(b"\n") {
                return None;
            }
            let reply = passed(&self.line);
            self.line.clear();
            if reply.is_some() {
                return reply.map(|reply| (read, reply));
            }
        }
        None
    }
}

/// The reply that ends with this line; `None` where the line says that another follows.
fn passed(line: &[u8]) -> Option<PassedReply> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let code = match split_code(line) {
        Some((_, Follows::Line)) => return None,
        Some((code, Follows::Nothing)) => code,
        None => 0,
    };
    Some(PassedReply { code, text: printable(line, TEXT_LEN_MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reply in `pieces`, and how many bytes lie behind the last one.
    fn read_all(pieces: &[&[u8]]) -> (Vec<(u16, String)>, usize) {
        let (mut replies, mut found, mut behind) = (Replies::default(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while let Some((len, reply)) = replies.read(rest) {
                assert!(rest[..len].ends_with(b"\n"), "a reply ends with its line");
                found.push((reply.code, reply.text));
                rest = &rest[len..];
                behind = 0;
            }
            behind += rest.len();
        }
        (found, behind)
    }

    #[test]
    fn replies_are_read_the_same_at_every_split() {
        let sent = b"250-mx.example\r\n250-SIZE 3\r\n250 DSN\r\n250 2.1.0 ok\r\n354\r\n\
                     550-5.7.1 no\n550 5.7.1 way\nodd\r\n\r\n250-half";
        let whole = read_all(&[sent]);
        let texts = ["250 DSN", "250 2.1.0 ok", "354", "550 5.7.1 way", "odd", ""];
        assert_eq!(whole.0.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), texts);
        let codes = [250, 250, 354, 550, 0, 0];
        assert_eq!(whole.0.iter().map(|(code, _)| *code).collect::<Vec<_>>(), codes);
        assert_eq!(whole.1, b"250-half".len());
        for at in 0..=sent.len() {
            let (left, right) = sent.split_at(at);
            assert_eq!(read_all(&[left, right]), whole, "split at {at}");
        }
        assert_eq!(read_all(&sent.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn a_line_that_is_no_reply_has_the_code_0() {
        for line in [&b"25\r\n"[..], b"abc\r\n", b"250x\r\n", b"2500 a\r\n", b" 250 a\r\n", b"\n"] {
            let (len, reply) = Replies::default().read(line).unwrap();
            assert_eq!((len, reply.code), (line.len(), 0), "{line:?}");
        }
    }

    #[test]
    fn the_text_of_a_reply_is_printable_and_at_most_400_bytes_long() {
        let text = |line: &[u8]| Replies::default().read(line).unwrap().1.text;
        assert_eq!(text(b"250 \x1b[1m\xc3\xa9\0.\r\n"), "250 ?[1m???.");
        let line = |len: usize| [b"250 ", &vec![b'x'; len - 4][..], b"\r\n"].concat();
        for len in [399, 400, 401, 70_000] {
            assert_eq!(text(&line(len)).len(), len.min(TEXT_LEN_MAX), "{len}");
        }
    }

    #[test]
    fn an_endless_line_costs_no_memory() {
        let mut replies = Replies::default();
        for _ in 0..100 {
            assert_eq!(replies.read(&[b'2'; 10_000]), None);
            assert_eq!(replies.line.len(), TEXT_LEN_MAX);
        }
        let lines = b"250-x\r\n".repeat(1_000);
        let mut replies = Replies::default();
        for _ in 0..100 {
            assert_eq!(replies.read(&lines), None);
            assert_eq!(replies.line.len(), 0);
        }
    }
}
