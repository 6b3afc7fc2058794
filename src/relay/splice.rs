//! The blind copy after the sign-in: each side's bytes to the other, unchanged, until one closes.
//!
//! A waiting session owns no buffer: bytes are read into the worker's and written from there. Only
//! what a slow peer does not take is kept, and while it is kept the other side is not read: that is
//! the back-pressure.
//!
//! Ends: when the upstream closes; when the client has closed and the upstream does not follow; when
//! nothing moved for the idle time; when either side breaks; when it is cut off.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::outcome::Side;
use super::reason::Reason;
use crate::net::buffer::{Filled, poll_fill, with_buffer};

/// How long the upstream must be silent before a client's close is passed on.
///
/// A TLS 1.2 peer drops the replies that it still has when it sees close_notify, so a client that
/// sends QUIT and closes would cost the reply, and its message the certainty.
const CLOSE_AFTER_SILENCE: Duration = Duration::from_secs(5);

/// How long nothing may move after a client's close was passed on. An upstream that goes on sending
/// what was asked for is not cut.
const CLOSE_WAIT: Duration = Duration::from_secs(60);

/// What is known when the sign-in is over.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Bytes for the upstream that the client sent behind its sign-in.
    pub(crate) up: Bytes,
    /// Bytes for the client: our verdict, and what the upstream sent behind its welcome.
    pub(crate) down: Bytes,
    /// Whether the client has closed its side already.
    pub(crate) client_closed: bool,
    /// How long no byte may move.
    pub(crate) idle_timeout: Duration,
}

/// How a splice ended.
#[derive(Debug)]
pub(crate) struct Spliced {
    /// Bytes taken by the upstream.
    pub(crate) up_bytes: u64,
    /// Bytes taken by the client.
    pub(crate) down_bytes: u64,
    /// Why it ended.
    pub(crate) end: End,
}

/// Why a splice ended.
#[derive(Debug)]
pub(crate) enum End {
    /// This side closed first.
    Closed(Side),
    /// Nothing moved for the idle time.
    Idle,
    /// This side broke.
    Broke(Side, io::ErrorKind),
    /// It was cut off, for this reason.
    Cut(Reason),
}

/// The upstream's side of a splice, whose words may have to wait for their turn.
pub(crate) trait Paced: AsyncRead + AsyncWrite + Unpin {
    /// Until when this relay itself keeps back what the upstream has said, if it does: so long each
    /// side may be silent, for it waits for the other.
    fn kept_until(&self) -> Option<Instant>;

    /// Hears how many bytes the upstream (`up`) and the client (`down`) have taken since the last
    /// time.
    fn moved(&mut self, up: u64, down: u64);
}

/// Copies both ways until the session is over or `cut` is ready. Neither side is closed here.
pub(crate) async fn splice<D, U>(
    client: &mut D,
    upstream: &mut U,
    start: Start,
    mut cut: impl Future<Output = Reason> + Unpin,
) -> Spliced
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: Paced,
{
    let now = Instant::now();
    let mut session = Splice {
        up: Direction::new(start.up),
        down: Direction::new(start.down),
        idle_timeout: start.idle_timeout,
        moved_at: now,
        kept_until: None,
        client_closed_at: None,
        close_passed_at: None,
        down_goes_first: false,
    };
    if start.client_closed {
        session.up.ended = Some(Ok(()));
    }
    let mut timer = pin!(sleep_until(session.next_due().0));
    let end = poll_fn(|cx| {
        if let Poll::Ready(reason) = Pin::new(&mut cut).poll(cx) {
            return Poll::Ready(End::Cut(reason));
        }
        if let Poll::Ready(end) = session.poll_bytes(cx, client, upstream) {
            return Poll::Ready(end);
        }
        session.poll_deadline(cx, upstream, timer.as_mut())
    });
    let end = end.await;
    Spliced { up_bytes: session.up.moved, down_bytes: session.down.moved, end }
}

struct Splice {
    up: Direction,
    down: Direction,
    idle_timeout: Duration,
    /// When a byte last moved, either way.
    moved_at: Instant,
    /// Until when the upstream's words were last kept back, or will be.
    kept_until: Option<Instant>,
    /// When the client closed its side.
    client_closed_at: Option<Instant>,
    /// When that was passed to the upstream.
    close_passed_at: Option<Instant>,
    /// Which way goes first; the two take turns.
    down_goes_first: bool,
}

impl Splice {
    /// Moves what can be moved; ready when the session is over.
    fn poll_bytes<D, U>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut D,
        upstream: &mut U,
    ) -> Poll<End>
    where
        D: AsyncRead + AsyncWrite + Unpin,
        U: Paced,
    {
        let (up_before, down_before) = (self.up.moved, self.down.moved);
        // A side that never runs dry would use up all that a task may do before others have a turn.
        self.down_goes_first = !self.down_goes_first;
        let mut down = Poll::Pending;
        if self.down_goes_first {
            down = self.down.poll(cx, upstream, client);
        }
        let up = self.up.poll(cx, client, upstream);
        // An upstream that takes no more may have said why in between.
        let is_due = !self.down_goes_first || matches!(up, Poll::Ready(Turn::WriteFailed(_)));
        if is_due && down.is_pending() {
            down = self.down.poll(cx, upstream, client);
        }
        if (self.up.moved, self.down.moved) != (up_before, down_before) {
            self.moved_at = Instant::now();
            upstream.moved(self.up.moved - up_before, self.down.moved - down_before);
        }
        self.kept_until = self.kept_until.max(upstream.kept_until());
        match down {
            Poll::Ready(Turn::SourceEnded(Ok(()))) => {
                let first = self.client_closed_at.map_or(Side::Upstream, |_| Side::Downstream);
                return Poll::Ready(End::Closed(first));
            }
            Poll::Ready(Turn::SourceEnded(Err(kind))) => {
                return Poll::Ready(End::Broke(Side::Upstream, kind));
            }
            Poll::Ready(Turn::WriteFailed(kind)) => {
                return Poll::Ready(End::Broke(Side::Downstream, kind));
            }
            Poll::Pending => {}
        }
        match up {
            Poll::Ready(Turn::SourceEnded(Ok(()))) => {
                self.client_closed_at.get_or_insert_with(Instant::now);
                Poll::Pending
            }
            Poll::Ready(Turn::SourceEnded(Err(kind))) => {
                Poll::Ready(End::Broke(Side::Downstream, kind))
            }
            // All that the upstream still said was passed on above.
            Poll::Ready(Turn::WriteFailed(kind)) => Poll::Ready(End::Broke(Side::Upstream, kind)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Does what is due when nothing moves. The timer is not set anew with every byte: it fires at
    /// an old deadline and is then moved to the current one.
    fn poll_deadline<U>(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut U,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<End>
    where
        U: AsyncWrite + Unpin,
    {
        loop {
            let (at, due) = self.next_due();
            if timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() < at {
                timer.as_mut().reset(at);
                continue;
            }
            match due {
                Due::End(end) => return Poll::Ready(end),
                Due::PassClose => {
                    self.close_passed_at = Some(Instant::now());
                    // Should this fail or block, the deadline that now runs ends the session.
                    let _ = Pin::new(&mut *upstream).poll_shutdown(cx);
                }
            }
        }
    }

    /// What is to be done when nothing moves until then.
    fn next_due(&self) -> (Instant, Due) {
        match (self.client_closed_at, self.close_passed_at) {
            (_, Some(passed_at)) => {
                (self.moved_at.max(passed_at) + CLOSE_WAIT, Due::End(End::Closed(Side::Downstream)))
            }
            // While the client is slow to take what the upstream said, the upstream is not silent.
            (Some(closed_at), None) if self.down.is_through() => {
                (self.moved_at.max(closed_at) + CLOSE_AFTER_SILENCE, Due::PassClose)
            }
            (Some(_) | None, None) => {
                let since = self.kept_until.map_or(self.moved_at, |until| self.moved_at.max(until));
                (since + self.idle_timeout, Due::End(End::Idle))
            }
        }
    }
}

/// What a deadline brings.
enum Due {
    /// The client's close is passed to the upstream.
    PassClose,
    /// The session is over.
    End(End),
}

/// One way of the copy.
struct Direction {
    /// Read and not yet taken by the other side.
    held: Bytes,
    /// Bytes that the other side has taken.
    moved: u64,
    /// How the source ended.
    ended: Option<Result<(), io::ErrorKind>>,
    /// Whether something was written since the last flush.
    unflushed: bool,
}

/// Why a direction makes no progress any more.
enum Turn {
    /// The source ended, and all that came from it is written and flushed.
    SourceEnded(Result<(), io::ErrorKind>),
    /// The sink takes no more.
    WriteFailed(io::ErrorKind),
}

impl Direction {
    fn new(first: Bytes) -> Self {
        Self { held: first, moved: 0, ended: None, unflushed: false }
    }

    /// Whether the sink has taken all that was read.
    fn is_through(&self) -> bool {
        self.held.is_empty() && !self.unflushed
    }

    /// Moves bytes until the source has none or the sink takes none.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, source: &mut R, sink: &mut W) -> Poll<Turn>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let held = std::mem::take(&mut self.held);
            let (rest, written) = self.poll_write(cx, &held, sink);
            self.held = held.slice_ref(rest);
            if let Err(kind) = written {
                return Poll::Ready(Turn::WriteFailed(kind));
            }
            if !self.held.is_empty() {
                return Poll::Pending;
            }
            let filled = match self.ended {
                Some(_) => Filled::Pending,
                None => match with_buffer(|buffer| self.poll_piece(cx, buffer, source, sink)) {
                    Ok(filled) => filled,
                    Err(kind) => return Poll::Ready(Turn::WriteFailed(kind)),
                },
            };
            match filled {
                Filled::Full => continue,
                Filled::Ended(result) => {
                    self.ended = Some(match result {
                        // Many servers close TCP without TLS' close_notify; the mail protocols
                        // themselves tell where a message ends.
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                        result => result.map_err(|error| error.kind()),
                    });
                    continue;
                }
                Filled::Pending => {}
            }
            if self.unflushed {
                match ready!(Pin::new(&mut *sink).poll_flush(cx)) {
                    Ok(()) => self.unflushed = false,
                    Err(error) => return Poll::Ready(Turn::WriteFailed(error.kind())),
                }
            }
            return match self.ended {
                Some(ended) if self.held.is_empty() => Poll::Ready(Turn::SourceEnded(ended)),
                _ => Poll::Pending,
            };
        }
    }

    /// Fills the buffer once and writes it; what the sink does not take is held.
    fn poll_piece<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        source: &mut R,
        sink: &mut W,
    ) -> Result<Filled, io::ErrorKind>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (len, filled) = poll_fill(source, cx, buffer);
        let piece = buffer.get(..len).unwrap_or_default();
        let (rest, written) = self.poll_write(cx, piece, sink);
        written?;
        self.held = Bytes::copy_from_slice(rest);
        Ok(filled)
    }

    /// Writes what the sink takes now and gives the rest.
    fn poll_write<'b, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut bytes: &'b [u8],
        sink: &mut W,
    ) -> (&'b [u8], Result<(), io::ErrorKind>)
    where
        W: AsyncWrite + Unpin,
    {
        while !bytes.is_empty() {
            match Pin::new(&mut *sink).poll_write(cx, bytes) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return (bytes, Err(io::ErrorKind::WriteZero)),
                Poll::Ready(Err(error)) => return (bytes, Err(error.kind())),
                Poll::Ready(Ok(len)) => {
                    self.unflushed = true;
                    self.moved = self.moved.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
                    bytes.advance(len);
                }
            }
        }
        (bytes, Ok(()))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
