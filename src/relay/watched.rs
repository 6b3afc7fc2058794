//! The provider's stream of a session that has signed in, watched on its way to the client.
//!
//! SMTP is watched reply by reply. Nothing is changed, but a 354 that waits for its turn where
//! `messages_per_minute` is set; and where an account's `sender` or a device's rules want it, all
//! passes the filter. IMAP and POP3 are looked at and passed on as they are.
//!
//! The splice sees a stream as any other: what waits here is pending there, so that neither side is
//! read from while the other cannot be written to.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::first_lines::FirstLines;
use super::observer::{Next, Observer, Report};
use super::pace::Turn;
use super::splice::Paced;
use crate::proto::Output;
use crate::proto::smtp::Filter;
use crate::proto::smtp::{PassedReply, Replies};

/// What a client hears whose message would have to wait for longer than it may.
///
/// RFC 5321 section 3.8: after a 421 the connection is closed, and nothing of the message was sent.
const TOO_LONG_A_WAIT: &[u8] =
    b"421 4.3.2 this mailbox sends as many messages a minute as it may, try again later\r\n";

/// How much is kept back of a reply that has not ended and may have to wait, in bytes. The longest
/// line of a reply has 512 (RFC 5321 section 4.5.3.1.5).
const BEGUN_LEN_MAX: usize = 1_024;

/// How a session is watched.
pub(super) enum Course {
    /// IMAP and POP3.
    Lines(FirstLines),
    /// SMTP, where nothing but the replies is read.
    Replies(Replies),
    /// SMTP, where both sides are read.
    Filter(Box<Filter>),
}

/// A provider's stream that is watched.
pub(super) struct Watched<U> {
    upstream: U,
    course: Course,
    observer: Observer,
    /// What the provider has said and nobody has looked at.
    unread: Bytes,
    /// What goes to the client before anything else.
    due: BytesMut,
    /// A reply that has not ended and may be one that has to wait.
    begun: BytesMut,
    /// Whether the client has a part of a reply that has not ended.
    is_within_reply: bool,
    /// A 354 that waits for its turn.
    held: Option<Held>,
    /// What the filter has made of the client's bytes, and the provider has not taken so far.
    unsent: BytesMut,
    /// Woken when a reply was heard, or a turn has come: the client's bytes may wait for either.
    writer: Option<Waker>,
    /// Woken when there is something for the client that neither the provider nor a turn brings.
    reader: Option<Waker>,
    /// Whether both sides are to be closed once the client has heard what is due.
    is_over: bool,
    /// Whether the provider has closed, or broke off.
    has_ended: bool,
}

struct Held {
    reply: Bytes,
    turn: Turn,
    until: Pin<Box<Sleep>>,
}

impl<U> Watched<U> {
    /// Watches `upstream`. `unread` is what it has said already.
    pub(super) fn new(upstream: U, unread: Bytes, course: Course, observer: Observer) -> Self {
        Self {
            upstream,
            course,
            observer,
            unread,
            due: BytesMut::new(),
            begun: BytesMut::new(),
            is_within_reply: false,
            held: None,
            unsent: BytesMut::new(),
            writer: None,
            reader: None,
            is_over: false,
            has_ended: false,
        }
    }

    /// The stream itself.
    pub(super) fn upstream(&mut self) -> &mut U {
        &mut self.upstream
    }

    /// Ends the session: frees its place at the gate, and tells what was seen.
    pub(super) fn into_report(self) -> Report {
        let Self { upstream, course, mut observer, is_over, has_ended, .. } = self;
        if let Course::Lines(lines) = &course
            && has_ended
            && let Some(reply) = lines.last_words()
        {
            observer.hear_last_words(&reply);
        }
        // The provider counts the connection until it is closed.
        drop(upstream);
        Report { is_ended_here: is_over, ..observer.into_report() }
    }

    /// Looks at what was read, up to the first reply that has to wait.
    fn look(&mut self) {
        while self.held.is_none() && !self.is_over && !self.unread.is_empty() {
            match &mut self.course {
                Course::Lines(lines) => {
                    for line in lines.read(&self.unread) {
                        self.observer.hear_line(&line);
                    }
                    self.due.extend_from_slice(&std::mem::take(&mut self.unread));
                }
                Course::Replies(replies) => {
                    let Some((len, reply)) = replies.read(&self.unread) else {
                        let part = std::mem::take(&mut self.unread);
                        return self.pass_part(&part);
                    };
                    let bytes = self.unread.split_to(len.min(self.unread.len()));
                    self.pass(&bytes, reply);
                }
                Course::Filter(filter) => {
                    let mut output = Output::default();
                    let passed = filter.take_from_upstream(&self.unread, &mut output);
                    self.unread.advance(passed.taken.min(self.unread.len()));
                    wake(&mut self.writer);
                    let bytes = output.take();
                    match (passed.reply, passed.instead) {
                        (Some(reply), None) => self.pass(&bytes, reply),
                        (Some(_), Some(instead)) => {
                            self.observer.refuse(instead);
                            self.due.extend_from_slice(&bytes);
                        }
                        (None, _) => self.pass_part(&bytes),
                    }
                    self.end_if_over();
                }
            }
        }
    }

    /// Ends the session where the filter has: the client hears why, and the provider hears nothing
    /// more, so that it drops the message that has no end.
    fn end_if_over(&mut self) {
        let Course::Filter(filter) = &self.course else { return };
        if self.is_over || !filter.is_over() {
            return;
        }
        self.is_over = true;
        self.unsent.clear();
        if let Some(last_words) = filter.last_words() {
            self.observer.refuse(last_words);
            self.due.extend_from_slice(last_words.as_bytes());
            self.due.extend_from_slice(b"\r\n");
        }
        wake(&mut self.reader);
    }

    /// Passes a part of a reply whose end has not come. Of one that may be a 354 nothing passes where
    /// the client may have to hear something else in its place.
    fn pass_part(&mut self, part: &[u8]) {
        self.begun.extend_from_slice(part);
        let is_filtered = matches!(self.course, Course::Filter(_));
        let may_wait = (is_filtered || self.observer.is_paced())
            && self.begun.starts_with(b"3")
            && self.begun.len() <= BEGUN_LEN_MAX;
        if !self.begun.is_empty() && (self.is_within_reply || !may_wait) {
            self.is_within_reply = true;
            self.due.extend_from_slice(&self.begun.split());
        }
    }

    /// Passes `reply`, whose last part the client hears as `bytes`, when its turn comes.
    fn pass(&mut self, bytes: &[u8], reply: PassedReply) {
        self.is_within_reply = false;
        self.begun.extend_from_slice(bytes);
        let bytes = self.begun.split();
        match self.observer.hear_reply(reply) {
            Next::Pass => self.due.extend_from_slice(&bytes),
            Next::Await(turn) => {
                let until = Box::pin(sleep_until(turn.at()));
                self.held = Some(Held { reply: bytes.freeze(), turn, until });
            }
            Next::TurnAway => {
                self.due.extend_from_slice(TOO_LONG_A_WAIT);
                self.unread.clear();
                self.is_over = true;
            }
        }
    }

    /// Waits for the turn of a reply that is held.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(held) = &mut self.held {
            ready!(held.until.as_mut().poll(cx));
        }
        if let Some(Held { reply, turn, .. }) = self.held.take() {
            turn.used();
            self.due.extend_from_slice(&reply);
            wake(&mut self.writer);
        }
        Poll::Ready(())
    }

    /// Waits for no turn any more: the client has closed, so no message can begin, and another
    /// session may have the turn.
    fn give_turn_back(&mut self) {
        if let Some(Held { reply, .. }) = self.held.take() {
            self.due.extend_from_slice(&reply);
            wake(&mut self.reader);
        }
    }
}

impl<U: AsyncWrite + Unpin> Watched<U> {
    /// Writes what the filter has made.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let len = ready!(Pin::new(&mut self.upstream).poll_write(cx, &self.unsent))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl<U: AsyncRead + AsyncWrite + Unpin> Paced for Watched<U> {
    fn kept_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until.deadline())
    }

    fn moved(&mut self, up: u64, down: u64) {
        self.observer.moved(up, down);
    }
}

impl<U: AsyncRead + Unpin> AsyncRead for Watched<U> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.held.is_some() {
                this.reader = Some(cx.waker().clone());
            }
            ready!(this.poll_turn(cx));
            this.look();
            if !this.due.is_empty() {
                let len = this.due.len().min(buf.remaining());
                buf.put_slice(&this.due.split_to(len));
                return Poll::Ready(Ok(()));
            }
            if this.is_over {
                return Poll::Ready(Ok(()));
            }
            if this.held.is_some() {
                continue;
            }
            let before = buf.filled().len();
            if let Course::Filter(_) = this.course {
                this.reader = Some(cx.waker().clone());
            }
            let outcome = ready!(Pin::new(&mut this.upstream).poll_read(cx, buf));
            let read = buf.filled().get(before..).unwrap_or_default();
            this.has_ended = outcome.is_err() || read.is_empty();
            outcome?;
            if read.is_empty() {
                // What never ends passes as it is.
                if this.begun.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.due = this.begun.split();
                continue;
            }
            match &mut this.course {
                Course::Lines(lines) => {
                    for line in lines.read(read) {
                        this.observer.hear_line(&line);
                    }
                    return Poll::Ready(Ok(()));
                }
                // None of them can have to wait, so they pass from where they lie.
                Course::Replies(replies) if !this.observer.is_paced() => {
                    let mut rest = read;
                    while let Some((len, reply)) = replies.read(rest) {
                        this.observer.note_reply(reply);
                        rest = rest.get(len..).unwrap_or_default();
                    }
                    return Poll::Ready(Ok(()));
                }
                Course::Replies(_) | Course::Filter(_) => {}
            }
            this.unread = Bytes::copy_from_slice(read);
            buf.set_filled(before);
        }
    }
}

impl<U: AsyncWrite + Unpin> AsyncWrite for Watched<U> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_unsent(cx))?;
            if this.is_over {
                return Poll::Ready(Ok(bytes.len()));
            }
            if this.held.is_some() {
                // A client that does not wait for the 354 would begin its message before its turn.
                this.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let Course::Filter(filter) = &mut this.course else {
                return Pin::new(&mut this.upstream).poll_write(cx, bytes);
            };
            let mut output = Output::default();
            let taken = filter.take_from_client(bytes, &mut output);
            this.unsent = output.take();
            this.end_if_over();
            if taken > 0 {
                if let Poll::Ready(Err(error)) = this.poll_unsent(cx) {
                    return Poll::Ready(Err(error));
                }
                return Poll::Ready(Ok(taken));
            }
            if this.unsent.is_empty() {
                // It waits for a reply.
                this.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.upstream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.give_turn_back();
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.upstream).poll_shutdown(cx)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
