//! The read buffer of a worker thread: borrowed while bytes are moved, so that a waiting session
//! owns none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once: four full TLS records.
///
/// System calls and wake-ups cost more than copies, so pieces are large.
pub const READ_LEN: usize = 65_536;

/// Longest content of a TLS record, in bytes (RFC 8446 section 5.1).
pub const RECORD_LEN: usize = 16_384;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_LEN].into_boxed_slice());
}

/// Lends the worker's buffer to `work`. Calls must not nest.
pub fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| work(buffer))
}

/// Reads once, at most `len_max` and [`READ_LEN`] bytes, and hands them to `take`.
///
/// Gives the number of bytes; 0 is the end of the stream.
///
/// # Errors
/// What the stream's read gives.
pub async fn read_piece<S: AsyncRead + Unpin>(
    stream: &mut S,
    len_max: usize,
    mut take: impl FnMut(&[u8]),
) -> io::Result<usize> {
    std::future::poll_fn(|cx| {
        with_buffer(|buffer| {
            let len = buffer.len().min(len_max);
            let mut piece = ReadBuf::new(buffer.get_mut(..len).unwrap_or_default());
            match Pin::new(&mut *stream).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) => {
                    take(piece.filled());
                    Poll::Ready(Ok(piece.filled().len()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
    })
    .await
}

/// How a [`poll_fill`] ended.
#[derive(Debug)]
pub enum Filled {
    /// The buffer is as good as full; there may be more.
    Full,
    /// There is no more for now; the task is woken when there is.
    Pending,
    /// There will be no more: the stream's end, or what the peer did instead of ending it.
    Ended(io::Result<()>),
}

/// Reads until `buffer` has no room for another record, or nothing is there; gives how much it holds
/// and why it stopped.
///
/// A client's TLS stream gives one record a read, so this is what makes one write of several records.
pub fn poll_fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> (usize, Filled) {
    let mut piece = ReadBuf::new(buffer);
    loop {
        let before = piece.filled().len();
        if piece.remaining() == 0 || (before > 0 && piece.remaining() < RECORD_LEN) {
            return (before, Filled::Full);
        }
        match Pin::new(&mut *stream).poll_read(cx, &mut piece) {
            Poll::Ready(Ok(())) if piece.filled().len() > before => {}
            Poll::Ready(end) => return (before, Filled::Ended(end)),
            Poll::Pending => return (before, Filled::Pending),
        }
    }
}
