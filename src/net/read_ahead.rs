//! Reading ahead below TLS: rustls asks for one record at a time, the system is asked for many.
//!
//! What was read and not yet asked for is kept, and nothing when there is none: a stream that waits
//! owns no buffer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffer::{READ_LEN, read_piece};

thread_local! {
    /// The worker's own, apart from the one of `buffer`: that one is lent while this one is read
    /// into.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_LEN].into_boxed_slice());
}

/// A stream that is read in pieces of up to [`READ_LEN`] bytes, whatever is asked for.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    /// Read and not yet asked for.
    ahead: Bytes,
}

impl<S> ReadAhead<S> {
    /// Reads ahead on `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Bytes::new() }
    }

    /// What was read and not yet asked for.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// The stream itself. What was read ahead is lost.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    /// Waits for the next byte and leaves it to be read; none at the stream's end.
    ///
    /// # Errors
    /// What the stream's read gives.
    pub async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        if self.ahead.is_empty() {
            let Self { stream, ahead } = self;
            let read = |bytes: &[u8]| *ahead = Bytes::copy_from_slice(bytes);
            read_piece(stream, READ_LEN, read).await?;
        }
        Ok(self.ahead.first().copied())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        asked: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let Self { stream, ahead } = &mut *self;
            BUFFER.with_borrow_mut(|buffer| {
                let mut piece = ReadBuf::new(buffer);
                ready!(Pin::new(stream).poll_read(cx, &mut piece))?;
                let (now, later) = split(piece.filled(), asked.remaining());
                asked.put_slice(now);
                *ahead = Bytes::copy_from_slice(later);
                Poll::Ready(Ok(()))
            })
        } else {
            let len = self.ahead.len().min(asked.remaining());
            asked.put_slice(&self.ahead.split_to(len));
            Poll::Ready(Ok(()))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// `bytes` in two, the first at most `len_max` long.
fn split(bytes: &[u8], len_max: usize) -> (&[u8], &[u8]) {
    bytes.split_at_checked(len_max).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_come_in_order_however_few_are_asked_for() {
        let (mut far, near) = duplex(100_000);
        let sent: Vec<u8> = (0..90_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);
        let mut stream = ReadAhead::new(near);
        let mut got = Vec::new();
        let mut asked = [0; 777];
        loop {
            match stream.read(&mut asked).await.unwrap() {
                0 => break,
                len => got.extend_from_slice(&asked[..len]),
            }
        }
        assert!(got == sent);
    }

    #[tokio::test]
    async fn the_first_byte_is_told_and_still_comes() {
        let (mut far, near) = duplex(100);
        let mut stream = ReadAhead::new(near);
        far.write_all(b"abc").await.unwrap();
        drop(far);
        assert_eq!(stream.first_byte().await.unwrap(), Some(b'a'));
        assert_eq!(stream.first_byte().await.unwrap(), Some(b'a'));
        let mut read = String::new();
        stream.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "abc");
        assert_eq!(stream.first_byte().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_stream_that_waits_keeps_nothing() {
        let (mut far, near) = duplex(100);
        let mut stream = ReadAhead::new(near);
        far.write_all(b"abc").await.unwrap();
        assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 2);
        assert_eq!(stream.ahead.as_ref(), b"c");
        assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 1);
        assert!(stream.ahead.is_empty());
        far.write_all(b"d").await.unwrap();
        assert_eq!(stream.read(&mut [0; 2]).await.unwrap(), 1);
        assert!(stream.ahead.is_empty());
    }
}
