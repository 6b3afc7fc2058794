//! The client's side of a session until it has signed in: drives a downstream machine, and TLS where
//! the listener has it.
//!
//! Waits: the client's own time is `limits.sign_in_timeout` in all, the handshake included; ours is
//!        not counted.
//! Limits: one read is at most 64 KiB; while we wait for a verdict at most 64 KiB are held.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::reason::Reason;
use crate::net::buffer::{READ_LEN, read_piece};
use crate::net::client_stream::{ClientStream, HandshakeError};
use crate::net::proxy_header::{self, HeaderError};
use crate::net::tls::certificates::Certificate;
use crate::proto::{
    AwaitClientTls as _, Claim, CloseReason, Downstream, Farewell, Input, Output, Step,
};

/// Bytes held from a client that pipelines behind its sign-in.
const HELD_MAX: usize = 65_536;

/// How long the last words to a client may take, and how long a client may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How much a client may still send after our last words before we close on it.
const CLOSE_READ_MAX: usize = 262_144;

/// A client that has not signed in.
#[derive(Debug)]
pub(crate) struct Client<S> {
    stream: ClientStream<S>,
    /// What it is shown in a handshake; none where there is no TLS.
    certificate: Option<Arc<Certificate>>,
    input: Input,
    output: Output,
    /// What is left of the client's own time.
    left: Duration,
    /// Whether it has closed its side.
    closed: bool,
    /// Whether it has said something.
    has_spoken: bool,
    drain: CancellationToken,
}

/// Why a client will not sign in.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The machine or the client ended the session; all is said.
    Over(Reason),
    /// The relay is shutting down.
    Draining,
    /// The client's own time is used up.
    SignInTimeout,
    /// The client began TLS a second time, under TLS.
    SecondHello,
    /// No TLS came about.
    NoTls(HandshakeError),
    /// It begins with a PROXY header where none is due.
    UnexpectedHeader,
    /// It lacks the PROXY header that is due.
    NoHeader(HeaderError),
}

impl Ended {
    /// Why the session is over.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Over(reason) => *reason,
            Self::Draining => Reason::Draining,
            Self::SignInTimeout => Reason::SignInTimeout,
            Self::SecondHello => Reason::ClientHello,
            Self::UnexpectedHeader => Reason::ProxyHeader,
            Self::NoHeader(HeaderError::Left) => Reason::GaveUp,
            Self::NoHeader(_) => Reason::ProxyHeader,
            Self::NoTls(HandshakeError::Left) => Reason::GaveUp,
            Self::NoTls(_) => Reason::NoTls,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client that has just connected. Handshakes show it `certificate`.
    pub(crate) fn new(
        stream: S,
        certificate: Option<Arc<Certificate>>,
        sign_in_timeout: Duration,
        drain: CancellationToken,
    ) -> Self {
        let (stream, left) = (ClientStream::Clear(stream), sign_in_timeout);
        let (input, output) = (Input::default(), Output::default());
        let (closed, has_spoken) = (false, false);
        Self { stream, certificate, input, output, left, closed, has_spoken, drain }
    }

    /// Does the TLS handshake, in the client's own time. Nothing received before it counts.
    pub(crate) async fn start_tls(&mut self) -> Result<(), Ended> {
        let Some(certificate) = &self.certificate else {
            return Err(Ended::Over(Reason::NoTls));
        };
        self.input = Input::default();
        let started = Instant::now();
        // Boxed, so that no session holds room for a handshake but while it does one.
        let handshake = Box::pin(self.stream.start_tls(certificate.acceptor(), self.left));
        let done = tokio::select! {
            biased;
            () = self.drain.cancelled() => return Err(Ended::Over(Reason::Draining)),
            done = handshake => done,
        };
        self.spend(started);
        done.map_err(|error| {
            if !self.has_spoken && matches!(error, HandshakeError::ProxyHeader) {
                Ended::UnexpectedHeader
            } else {
                Ended::NoTls(error)
            }
        })
    }

    /// Where machines write.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Goes on from `step` until the client claims to be somebody.
    pub(crate) async fn next_claim<M: Downstream>(
        &mut self,
        mut step: Step<M>,
    ) -> Result<(Claim, M::Awaiting), Ended> {
        loop {
            let machine = match step {
                Step::Read(machine) => machine,
                Step::StartTls(awaiting) => {
                    self.send().await?;
                    let started = awaiting.started(&self.input);
                    let machine = started.map_err(|reason| Ended::Over(reason.into()))?;
                    self.start_tls().await?;
                    machine
                }
                Step::Verify(claim, awaiting) => {
                    self.send().await?;
                    return Ok((claim, awaiting));
                }
                Step::Close(CloseReason::ClientHello) if self.stream.is_tls() => {
                    return Err(Ended::SecondHello);
                }
                Step::Close(reason) => return Err(Ended::Over(reason.into())),
            };
            step = machine.receive(&mut self.input, &mut self.output);
            if let Step::Read(_) = step {
                let more = self.output.is_full();
                self.send().await?;
                if more {
                    continue;
                }
                if self.closed {
                    return Err(Ended::Over(Reason::GaveUp));
                }
                self.read().await?;
            }
        }
    }

    /// Waits for the `verdict` on `claim` while the client is listened to, so that one who gives up is
    /// noticed.
    ///
    /// A client that has sent something behind its claim and closed is still served.
    pub(crate) async fn hold<T>(
        &mut self,
        claim: &Claim,
        verdict: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        let mut verdict = std::pin::pin!(verdict);
        let behind = |input: &Input| match claim {
            Claim::Password(_) => input.len(),
            // Its MAIL still stands there, and comes to nothing by itself.
            Claim::Device => input.len_behind_line(),
        };
        loop {
            let room = HELD_MAX.saturating_sub(self.input.len());
            let input = &mut self.input;
            tokio::select! {
                biased;
                () = self.drain.cancelled() => return Err(Ended::Draining),
                verdict = &mut verdict => return Ok(verdict),
                read = read_piece(&mut self.stream, room, |bytes| input.extend(bytes)),
                    if room > 0 && !self.closed => match read {
                        Ok(0) if behind(&self.input) == 0 => return Err(Ended::Over(Reason::GaveUp)),
                        Ok(0) => self.closed = true,
                        Ok(_) => {}
                        Err(_) => return Err(Ended::Over(Reason::GaveUp)),
                    },
            }
        }
    }

    /// Says what is still to be said and closes.
    pub(crate) async fn end<M: Downstream>(mut self, ended: &Ended) {
        let farewell = match ended {
            Ended::Over(_)
            | Ended::SecondHello
            | Ended::NoTls(_)
            | Ended::UnexpectedHeader
            | Ended::NoHeader(_) => None,
            Ended::Draining => Some(Farewell::Draining),
            Ended::SignInTimeout => Some(Farewell::SignInTimeout),
        };
        if let Some(farewell) = farewell {
            M::farewell(farewell, &mut self.output);
        }
        let last_words = self.output.take();
        if ended.reason() != Reason::GaveUp
            && matches!(
                timeout(CLOSE_TIMEOUT, self.stream.write_all(&last_words)).await,
                Ok(Ok(()))
            )
        {
            close(&mut self.stream).await;
        }
    }

    /// The stream, what the client sent and what it is to hear; for the splice.
    pub(crate) fn into_parts(mut self) -> (ClientStream<S>, Bytes, Bytes, bool) {
        let unsent = self.output.take().freeze();
        (self.stream, self.input.into_leftover(), unsent, self.closed)
    }

    async fn send(&mut self) -> Result<(), Ended> {
        if self.output.is_empty() {
            return Ok(());
        }
        let bytes = self.output.take();
        let started = Instant::now();
        let stream = &mut self.stream;
        let write = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        let written = tokio::select! {
            biased;
            written = timeout(self.left, write) => written,
            // It takes no replies, so there is no use in last words.
            () = self.drain.cancelled() => return Err(Ended::Over(Reason::Draining)),
        };
        self.spend(started);
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Over(Reason::GaveUp)),
            Err(_) => Err(Ended::Over(Reason::SignInTimeout)),
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        let started = Instant::now();
        let input = &mut self.input;
        let is_first = !std::mem::replace(&mut self.has_spoken, true);
        let mut begins_with_header = false;
        let read = read_piece(&mut self.stream, READ_LEN, |bytes| {
            // A balancer sends it in one piece.
            begins_with_header = is_first && proxy_header::begins(bytes);
            input.extend(bytes);
        });
        let read = tokio::select! {
            biased;
            () = self.drain.cancelled() => return Err(Ended::Draining),
            read = timeout(self.left, read) => read,
        };
        self.spend(started);
        match read {
            Ok(Ok(0)) => {
                self.closed = true;
                Ok(())
            }
            Ok(Ok(_)) if begins_with_header => Err(Ended::UnexpectedHeader),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Ended::Over(Reason::GaveUp)),
            Err(_) => Err(Ended::SignInTimeout),
        }
    }

    fn spend(&mut self, started: Instant) {
        self.left = self.left.saturating_sub(started.elapsed());
    }
}

/// Ends a connection, before it is dropped, so that the peer still gets what was sent: a socket that
/// is closed with unread bytes in it resets, and a reset throws away what is under way.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let linger = async {
        stream.shutdown().await?;
        let mut read = 0;
        while read < CLOSE_READ_MAX {
            match read_piece(stream, READ_LEN, |_| {}).await? {
                0 => break,
                len => read += len,
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever goes wrong here, the connection is closed next.
    let _ = timeout(CLOSE_TIMEOUT, linger).await;
}

#[cfg(test)]
mod tests;
