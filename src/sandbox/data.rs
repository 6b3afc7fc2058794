//! The text of a message behind DATA: dot-stuffing undone, its end found (RFC 5321 section 4.5.2).
//!
//! In:  bytes in any pieces. Out: the message with its last CRLF. Only CRLF.CRLF ends it; a bare CR
//!      or LF is a byte like any other.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;

/// A message as it comes in.
#[derive(Debug)]
pub(super) struct MessageText {
    message: BytesMut,
    len_max: usize,
    /// The next byte is the first of a line.
    line_start: bool,
    /// More than `len_max` bytes came; what is too much was thrown away.
    too_long: bool,
}

/// More bytes than the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl MessageText {
    /// An empty one that takes up to `len_max` bytes.
    pub(super) fn new(len_max: usize) -> Self {
        Self { message: BytesMut::new(), len_max, line_start: true, too_long: false }
    }

    /// Consumes what it can of `received`; whether the end was among it. What is behind the end
    /// stays.
    pub(super) fn receive(&mut self, received: &mut BytesMut) -> bool {
        loop {
            if self.line_start {
                // A line start is followed by three bytes at least, those of the end.
                match received.get(..3) {
                    None => return false,
                    Some(b".\r\n") => {
                        received.advance(3);
                        return true;
                    }
                    Some([b'.', ..]) => received.advance(1),
                    Some(_) => {}
                }
            }
            let line_end = memmem::find(received, b"\r\n").map(|at| at + 2);
            self.line_start = line_end.is_some();
            let taken_len = line_end.unwrap_or_else(|| {
                // A CR at the end may be half of a CRLF.
                received.len() - usize::from(received.ends_with(b"\r"))
            });
            let taken = received.split_to(taken_len);
            if self.message.len() + taken.len() > self.len_max {
                self.too_long = true;
            } else {
                self.message.extend_from_slice(&taken);
            }
            if !self.line_start {
                return false;
            }
        }
    }

    /// The message.
    pub(super) fn finish(self) -> Result<Bytes, TooLong> {
        // A copy, since the buffer may be twice as large as the message.
        if self.too_long { Err(TooLong) } else { Ok(Bytes::copy_from_slice(&self.message)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (Result<Bytes, TooLong>, Bytes) {
        let (mut text, mut received) = (MessageText::new(40), BytesMut::new());
        let mut ended = false;
        for piece in pieces {
            received.extend_from_slice(piece);
            ended = ended || text.receive(&mut received);
        }
        assert!(ended, "the end was not found in {pieces:?}");
        (text.finish(), received.freeze())
    }

    #[test]
    fn a_message_is_the_same_at_every_split() {
        for (sent, message, rest) in [
            (&b"a\r\n..b\r\n.c\r\n\r\n.\r\nQUIT\r\n"[..], &b"a\r\n.b\r\nc\r\n\r\n"[..], "QUIT\r\n"),
            (b".\r\n", b"", ""),
            (b"..\r\n.\r\n.\r\n", b".\r\n", ".\r\n"),
            (b"a\n.\nb\r.\rc\n.\r\nd\r\n.\r\n", b"a\n.\nb\r.\rc\n.\r\nd\r\n", ""),
            (b"a\r\n.\nb\r\n.\rc\r\n.\r\n", b"a\r\n\nb\r\n\rc\r\n", ""),
            (b"a\r\r\n.\r\n", b"a\r\r\n", ""),
        ] {
            let expected = (Ok(Bytes::copy_from_slice(message)), Bytes::from(rest.to_owned()));
            assert_eq!(read(&[sent]), expected);
            for at in 1..sent.len() {
                let (left, right) = sent.split_at(at);
                assert_eq!(read(&[left, right]), expected, "split at {at}");
            }
            assert_eq!(read(&sent.chunks(1).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn a_message_over_the_limit_is_read_to_its_end_and_refused() {
        let sent = |len| [&vec![b'x'; len][..], b"\r\n.\r\nNOOP"].concat();
        assert_eq!(read(&[&sent(38)]).0.unwrap().len(), 40);
        assert_eq!(read(&[&sent(39)]), (Err(TooLong), Bytes::from_static(b"NOOP")));
    }
}
