//! TLS towards a provider's server, on rustls' unbuffered interface.
//!
//! rustls' own buffers stay with a connection as long as it lives. Here records are decrypted from a
//! buffer of the worker's and encrypted into one; what is kept is the beginning of a record whose end
//! has not come, and what a slow peer does not take. So a stream that waits owns no buffer, and what
//! is written leaves in one system call.
//!
//! A read may have to write and then waits as a writer too, so one task must poll both halves.
//!
//! Limits: a write of [`READ_LEN`] bytes and a read of `RECORDS_LEN`; `BEGUN_LEN_MAX` of what has
//! not ended.
//! Errors: those of rustls as `InvalidData`, once what came before is read and ever after; TCP that
//! ends without close_notify is `UnexpectedEof`.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, WriteTraffic};
use rustls::{CipherSuite, ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::buffer::{READ_LEN, RECORD_LEN};

/// Most bytes of what has not ended: a handshake message of 64 KiB, which is rustls' own limit, in
/// records of 512 bytes or longer. Each adds 22 bytes (RFC 8446 section 5.2), in clear 5.
const BEGUN_LEN_MAX: usize = 68_608;

/// What is added to [`READ_LEN`] bytes in records of 16 KiB: 29 bytes to each at most (RFC 5246
/// section 6.2.3.3 with RFC 5288 section 3), and a key update in front.
const ADDED_LEN_MAX: usize = 1_024;

/// Room for [`READ_LEN`] bytes in records.
const RECORDS_LEN: usize = READ_LEN + ADDED_LEN_MAX;

thread_local! {
    /// The worker's own, apart from the one of `buffer`: that one is lent while this one is used.
    static BUFFER: RefCell<Box<[u8]>> =
        RefCell::new(vec![0; BEGUN_LEN_MAX + RECORD_LEN].into_boxed_slice());
}

/// A stream under TLS to a server whose certificate was checked.
pub struct TlsStream<S> {
    stream: S,
    records: Records,
    /// Decrypted and not yet asked for.
    plain: Bytes,
}

impl<S> TlsStream<S> {
    /// What the two sides agreed upon.
    pub fn agreed(&self) -> Option<(ProtocolVersion, CipherSuite)> {
        let tls = &self.records.tls;
        tls.protocol_version().zip(tls.negotiated_cipher_suite().map(|it| it.suite()))
    }

    /// The stream below TLS.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Does the handshake over `stream`. It may last as long as the server likes.
    ///
    /// # Errors
    /// When the stream breaks or the two sides do not come to terms.
    pub async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<Self> {
        let tls = UnbufferedClientConnection::new(config, name).map_err(invalid)?;
        let mut this = Self { stream, records: Records::new(tls), plain: Bytes::new() };
        this.records.receive(&mut [], |_| {})?;
        poll_fn(|cx| this.poll_handshake(cx)).await?;
        Ok(this)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_unsent(cx))?;
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            if !self.records.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            // A server of TLS 1.3 may greet before it has heard the end of the handshake.
            let mut early = BytesMut::new();
            let len =
                ready!(self.poll_receive(cx, READ_LEN, |plain| early.extend_from_slice(plain)))?;
            self.plain = early.freeze();
            if len == 0 {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Reads once, about what fills `room` but a record at least, and gives `take` what comes of it;
    /// ready with the number of bytes read.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        take: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            let begun_len = self.records.begun.len();
            let wanted = room.clamp(RECORD_LEN, READ_LEN) + ADDED_LEN_MAX;
            let end = begun_len + wanted.saturating_sub(begun_len).max(RECORD_LEN);
            let mut read = ReadBuf::new(buffer.get_mut(begun_len..end).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            let len = read.filled().len();
            let received = buffer.get_mut(..begun_len + len).unwrap_or_default();
            if let Some(front) = received.get_mut(..begun_len) {
                front.copy_from_slice(&self.records.begun);
            }
            let outcome = self.records.receive(received, take);
            // An alert. Should it block, it goes with what is written next: not while the client is
            // silent. Should it fail, so does that write, and what was read is heard before.
            let _ = self.poll_unsent(cx);
            outcome?;
            Poll::Ready(Ok(len))
        })
    }

    /// Writes what is left of earlier records.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.records.unsent.is_empty() {
            let len = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.records.unsent))?;
            if len == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.records.unsent.advance(len);
            if self.records.unsent.is_empty() {
                self.records.unsent = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        asked: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.plain.is_empty() {
                let len = this.plain.len().min(asked.remaining());
                asked.put_slice(&this.plain.split_to(len));
                if this.plain.is_empty() {
                    this.plain = Bytes::new();
                }
                return Poll::Ready(Ok(()));
            }
            this.records.check()?;
            if this.records.is_closed || asked.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let before = asked.filled().len();
            let mut later = BytesMut::new();
            let received = this.poll_receive(cx, asked.remaining(), |plain| {
                let (now, rest) = plain.split_at_checked(asked.remaining()).unwrap_or((plain, &[]));
                asked.put_slice(now);
                later.extend_from_slice(rest);
            });
            this.plain = later.freeze();
            let is_end = matches!(received, Poll::Ready(Ok(0)));
            if asked.filled().len() > before {
                // An error behind it is kept for the next read.
                return Poll::Ready(Ok(()));
            }
            ready!(received)?;
            if is_end && !this.records.is_closed {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_unsent(cx))?;
        let bytes = bytes.get(..READ_LEN).unwrap_or(bytes);
        BUFFER.with_borrow_mut(|buffer| {
            let room = buffer.get_mut(..RECORDS_LEN).unwrap_or_default();
            let len = this.records.send(|traffic| traffic.encrypt(bytes, room))?;
            if len == 0 && !bytes.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            // What the step above itself has to send was made before, and goes first.
            let mut rest = buffer.get(..len).unwrap_or_default();
            while this.records.unsent.is_empty() && !rest.is_empty() {
                match Pin::new(&mut this.stream).poll_write(cx, rest)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(len) => rest.advance(len),
                    Poll::Pending => break,
                }
            }
            this.records.unsent.extend_from_slice(rest);
            Poll::Ready(Ok(bytes.len()))
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.records.close()?;
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("agreed", &self.agreed()).finish_non_exhaustive()
    }
}

/// The two ways of a connection, as records.
struct Records {
    /// Boxed, for it has 1 KiB or so, and the stream is passed on a dozen times before it is at its
    /// place.
    tls: Box<UnbufferedClientConnection>,
    /// Received and not ended; rustls wants it again, in front of what follows.
    begun: Vec<u8>,
    /// Encrypted and not yet taken by the stream.
    unsent: BytesMut,
    /// Whether the server has closed.
    is_closed: bool,
    /// Whether this side has.
    is_closing: bool,
    /// Why rustls has given up; it is not asked again, for what it wants back is lost.
    broken: Option<rustls::Error>,
}

impl Records {
    fn new(tls: UnbufferedClientConnection) -> Self {
        let (tls, begun, unsent) = (Box::new(tls), Vec::new(), BytesMut::new());
        Self { tls, begun, unsent, is_closed: false, is_closing: false, broken: None }
    }

    /// Gives the error that ended it, each time.
    fn check(&self) -> io::Result<()> {
        self.broken.clone().map_or(Ok(()), |error| Err(invalid(error)))
    }

    /// Decrypts `received`, which begins with what had not ended.
    fn receive(&mut self, received: &mut [u8], take: impl FnMut(&[u8])) -> io::Result<()> {
        let (used, _) = self.step(received, take, |_| Ok(0))?;
        let rest = received.get(used..).unwrap_or_default();
        if rest.len() > BEGUN_LEN_MAX {
            self.broken = Some(rustls::Error::General("a message without an end".to_owned()));
            return self.check();
        }
        // Of the length that is needed: it may wait for long.
        self.begun = rest.to_vec();
        Ok(())
    }

    /// Encrypts what `write` does; gives what that gave.
    fn send(
        &mut self,
        write: impl FnMut(&mut WriteTraffic<'_, ClientConnectionData>) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        let mut begun = std::mem::take(&mut self.begun);
        let (used, written) = self.step(&mut begun, |_| {}, write)?;
        begun.drain(..used.min(begun.len()));
        // Before what `write` gave, even an error: rustls counts on it.
        self.begun = begun;
        written.map_err(io::Error::other)
    }

    /// Makes the close_notify, once.
    fn close(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_closing, true) || self.broken.is_some() {
            return Ok(());
        }
        let mut alert = [0; ALERT_LEN_MAX];
        let len = self.send(|traffic| traffic.queue_close_notify(&mut alert))?;
        self.unsent.extend_from_slice(alert.get(..len).unwrap_or_default());
        Ok(())
    }

    /// Lets rustls do all that it can with `received`; then `write`, if it takes anything to be sent.
    /// Gives how much of `received` is done with, and what `write` gave.
    fn step(
        &mut self,
        received: &mut [u8],
        mut take: impl FnMut(&[u8]),
        mut write: impl FnMut(
            &mut WriteTraffic<'_, ClientConnectionData>,
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<(usize, Result<usize, EncryptError>)> {
        self.check()?;
        let mut used = 0;
        loop {
            // All that is left to be said then is the alert. rustls must not read any more.
            if !self.tls.wants_write() {
                self.check()?;
            }
            let rest = received.get_mut(used..).unwrap_or_default();
            let status = self.tls.process_tls_records(rest);
            let mut done = status.discard;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        take(record.payload);
                        done += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    // An empty slice asks for the length.
                    if let Err(EncodeError::InsufficientSize(it)) = data.encode(&mut []) {
                        let before = self.unsent.len();
                        self.unsent.resize(before + it.required_size, 0);
                        let room = self.unsent.get_mut(before..).unwrap_or_default();
                        data.encode(room).map_err(io::Error::other)?;
                    }
                }
                // What is unsent goes before all that follows, so rustls need not wait for it.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.is_closed = true,
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return Ok((used + done, write(&mut traffic)));
                }
                Ok(_) => return Ok((used + done, Ok(0))),
                Err(error) => self.broken = Some(error),
            }
            used += done;
        }
    }
}

/// Longest close_notify, with what rustls gives in front of it: 31 bytes in TLS 1.2; in TLS 1.3 24,
/// behind a key update of 27 that waits for the next record.
const ALERT_LEN_MAX: usize = 64;

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests;
