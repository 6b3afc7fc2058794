//! A connection to a provider's server while a machine runs on it: up to the handshake, up to where a
//! sign-in can begin, and the sign-in.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{Destination, SignInError, SignedIn, UpstreamStream};
use crate::net::buffer::{READ_LEN, read_piece};
use crate::oauth::Claims;
use crate::proto::sasl::Credentials;
use crate::proto::{AwaitToken, Input, Output, Upstream, UpstreamFault, UpstreamStep};
use crate::provider::MailHost;
use crate::secret::AccessToken;

/// A connection, and what passes between it and a machine.
pub(super) struct Connection<'h, S> {
    pub(super) stream: S,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) host: &'h MailHost,
    /// Whether anything was read from it.
    pub(super) has_heard: bool,
}

/// A sign-in that failed.
pub(super) struct Failed {
    pub(super) error: SignInError,
    /// Whether the server said anything behind the token.
    is_answered: bool,
}

impl Failed {
    /// Whether the server did not look at the token: it was gone, or took its leave.
    pub(super) fn is_unheard(&self) -> bool {
        match &self.error {
            SignInError::Broke { .. } => !self.is_answered,
            SignInError::Refused { refusal, .. } => refusal.is_farewell,
            SignInError::Token(_)
            | SignInError::Connect(_)
            | SignInError::Tls(_)
            | SignInError::Fault { .. }
            | SignInError::TimedOut { .. } => false,
        }
    }
}

impl<'h, S: AsyncRead + AsyncWrite + Unpin> Connection<'h, S> {
    pub(super) fn new(stream: S, host: &'h MailHost) -> Self {
        let (input, output) = (Input::default(), Output::default());
        Self { stream, input, output, host, has_heard: false }
    }

    /// Runs `machine` in clear until the handshake is due.
    pub(super) async fn until_tls<M: Upstream>(
        mut self,
        machine: M,
    ) -> Result<(Self, M::AwaitTls), SignInError> {
        let step = self.run(machine).await?;
        if let UpstreamStep::StartTls(awaiting) = step {
            return Ok((self, awaiting));
        }
        Err(self.unexpected(step))
    }

    /// Runs `machine` until the token is due.
    pub(super) async fn until_ready<M: Upstream>(
        mut self,
        machine: M,
    ) -> Result<(Self, M::AwaitToken), SignInError> {
        let step = self.run(machine).await?;
        if let UpstreamStep::Ready(awaiting) = step {
            return Ok((self, awaiting));
        }
        Err(self.unexpected(step))
    }

    /// Runs `machine` until it wants something but more input.
    async fn run<M: Upstream>(&mut self, mut machine: M) -> Result<UpstreamStep<M>, SignInError> {
        loop {
            let step = machine.receive(&mut self.input, &mut self.output);
            self.send().await?;
            let UpstreamStep::Read(next) = step else { return Ok(step) };
            machine = next;
            let input = &mut self.input;
            match read_piece(&mut self.stream, READ_LEN, |bytes| input.extend(bytes)).await {
                Ok(0) => return Err(self.broke(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => self.has_heard = true,
                Err(error) => return Err(self.broke(error)),
            }
        }
    }

    async fn send(&mut self) -> Result<(), SignInError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let bytes = self.output.take();
        let sent = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| self.broke(error))
    }

    fn broke(&self, source: std::io::Error) -> SignInError {
        SignInError::Broke { host: self.host.to_string(), source }
    }

    pub(super) fn fault(&self, fault: UpstreamFault) -> SignInError {
        SignInError::Fault { host: self.host.to_string(), fault }
    }

    /// The error of a step that ends the way to a sign-in, or has no place where it came.
    fn unexpected<M: Upstream>(&self, step: UpstreamStep<M>) -> SignInError {
        match step {
            UpstreamStep::Close(fault) => self.fault(fault),
            // To AUTH, before anybody's token was shown.
            UpstreamStep::Refused(refusal) => {
                self.fault(UpstreamFault::TurnedAway { reply: refusal.reply })
            }
            UpstreamStep::Read(_)
            | UpstreamStep::StartTls(_)
            | UpstreamStep::Ready(_)
            | UpstreamStep::Authenticated(_) => {
                self.fault(UpstreamFault::Protocol { problem: "its replies are out of order" })
            }
        }
    }
}

impl Connection<'_, UpstreamStream> {
    /// Goes as far into the sign-in as no token is needed for.
    pub(super) async fn begin<A: AwaitToken>(
        mut self,
        awaiting: A,
    ) -> Result<(Self, A), SignInError> {
        let step = awaiting.begin(&mut self.output);
        self.send().await?;
        let step =
            if let UpstreamStep::Read(machine) = step { self.run(machine).await? } else { step };
        if let UpstreamStep::Ready(awaiting) = step {
            return Ok((self, awaiting));
        }
        Err(self.unexpected(step))
    }

    /// Signs in at `destination` with `token`.
    pub(super) async fn authenticate<A: AwaitToken>(
        mut self,
        awaiting: A,
        destination: &Destination<'_>,
        token: &AccessToken,
    ) -> Result<SignedIn<<A::Machine as Upstream>::Welcome>, Failed> {
        let Destination { host, mailbox, mechanism, .. } = destination;
        let credentials = Credentials { mailbox, token, mechanism: *mechanism, host };
        let machine = awaiting.authenticate(&credentials, &mut self.output);
        self.has_heard = false;
        let mut error = match self.run(machine).await {
            Ok(UpstreamStep::Authenticated(welcome)) => {
                return Ok(SignedIn { stream: self.stream, welcome, input: self.input });
            }
            Ok(UpstreamStep::Refused(refusal)) => SignInError::Refused {
                host: host.to_string(),
                mailbox: (*mailbox).clone(),
                refusal,
                claims: None,
            },
            Ok(step) => self.unexpected(step),
            Err(error) => error,
        };
        match &mut error {
            SignInError::Refused { refusal, claims, .. } => {
                refusal.reply = credentials.hidden_in(&refusal.reply);
                *claims = Claims::of(token).map(Box::new);
            }
            SignInError::Fault { fault: UpstreamFault::TurnedAway { reply }, .. } => {
                *reply = credentials.hidden_in(reply);
            }
            SignInError::Fault { .. }
            | SignInError::Token(_)
            | SignInError::Connect(_)
            | SignInError::Tls(_)
            | SignInError::Broke { .. }
            | SignInError::TimedOut { .. } => {}
        }
        Err(Failed { error, is_answered: self.has_heard })
    }
}
