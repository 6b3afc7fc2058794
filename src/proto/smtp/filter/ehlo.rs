//! The reply to an EHLO after the sign-in, without the extensions that the filter does not serve.
//!
//! Sources: RFC 5321 section 4.1.1.1, RFC 3030 (CHUNKING, BINARYMIME).
//! In:  the upstream's bytes, in any pieces. Out: the same lines but those of the two keywords.

use crate::proto::Output;

/// Longest line of the reply, in bytes with its end. Before the sign-in it is the same.
const LINE_LEN_MAX: usize = 2_050;

/// The keywords that are taken out: both go with BDAT, whose chunks nothing here reads.
const HIDDEN: [&[u8]; 2] = [b"CHUNKING", b"BINARYMIME"];

/// The reply, as far as it came.
#[derive(Debug, Default)]
pub(super) struct EhloReply {
    /// The line that has not ended.
    line: Vec<u8>,
    /// The last line that the client will see. It may have to become the last of all.
    kept: Vec<u8>,
}

/// A line of the reply is longer than any server's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineTooLong;

impl EhloReply {
    /// Takes bytes of the reply.
    pub(super) fn push(&mut self, bytes: &[u8], down: &mut Output) -> Result<(), LineTooLong> {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + piece.len() > LINE_LEN_MAX {
                return Err(LineTooLong);
            }
            self.line.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                return Ok(());
            }
            // The first line names the server.
            if self.kept.is_empty() || !is_hidden(&self.line) {
                down.bytes(&self.kept);
                std::mem::swap(&mut self.kept, &mut self.line);
            }
            self.line.clear();
        }
        Ok(())
    }

    /// Writes the last line, now that the reply has ended.
    pub(super) fn finish(&mut self, down: &mut Output) {
        if let Some(hyphen) = self.kept.get_mut(3).filter(|byte| **byte == b'-') {
            *hyphen = b' ';
        }
        down.bytes(&self.kept);
        *self = Self::default();
    }
}

fn is_hidden(line: &[u8]) -> bool {
    let Some((b"250", text)) = line.split_at_checked(3) else { return false };
    let mut words = text.get(1..).unwrap_or_default().split(u8::is_ascii_whitespace);
    let keyword = words.find(|word| !word.is_empty()).unwrap_or_default();
    HIDDEN.iter().any(|hidden| keyword.eq_ignore_ascii_case(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_shown(sent: &[u8], shown: &[u8]) {
        for at in 0..=sent.len() {
            let (mut reply, mut down) = (EhloReply::default(), Output::default());
            let (left, right) = sent.split_at(at);
            reply.push(left, &mut down).unwrap();
            reply.push(right, &mut down).unwrap();
            reply.finish(&mut down);
            assert_eq!(down.take(), shown, "split at {at}");
        }
    }

    #[test]
    fn chunking_and_binarymime_are_taken_out_wherever_they_stand() {
        assert_shown(
            b"250-mx\r\n250-CHUNKING\r\n250-SIZE 3\r\n250-binarymime \r\n250 DSN\r\n",
            b"250-mx\r\n250-SIZE 3\r\n250 DSN\r\n",
        );
        assert_shown(
            b"250-mx\r\n250-DSN\r\n250-BINARYMIME\r\n250 Chunking\r\n",
            b"250-mx\r\n250 DSN\r\n",
        );
        assert_shown(b"250-mx\r\n250 CHUNKING\r\n", b"250 mx\r\n");
    }

    #[test]
    fn every_other_byte_of_the_reply_passes() {
        for same in [
            &b"250 CHUNKING\r\n"[..],
            b"250-mx\r\n250-XCHUNKING\r\n250 SIZE CHUNKING\r\n",
            b"250-mx\n250 \r\n",
            b"502-CHUNKING\r\n502-CHUNKING\r\n502 no\r\n",
        ] {
            assert_shown(same, same);
        }
    }

    #[test]
    fn a_line_of_the_reply_is_bounded() {
        let push = |len: usize| {
            let mut reply = EhloReply::default();
            let line = [b"250-", &vec![b'x'; len - 6][..], b"\r\n"].concat();
            let pushed = reply.push(&line, &mut Output::default());
            (pushed, reply.line.len().max(reply.kept.len()))
        };
        assert_eq!(push(LINE_LEN_MAX), (Ok(()), LINE_LEN_MAX));
        assert_eq!(push(LINE_LEN_MAX + 1), (Err(LineTooLong), 0));
    }
}
