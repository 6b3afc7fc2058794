//! The provider's side of a session until it is signed in: dials, starts TLS and drives an upstream
//! machine. The token is waited for beside the dialling.
//!
//! Waits: TCP 10 s, all together 30 s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CipherSuite, ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::diagnosis::token::{Wanted, compared};
use super::diagnosis::{Diagnosis, Remedy};
use super::troubles::Trouble;
use crate::clock;
use crate::names::Username;
use crate::net::buffer::{READ_LEN, read_piece};
use crate::net::connect::{ConnectError, connect};
use crate::net::read_ahead::ReadAhead;
use crate::net::tls;
use crate::oauth::{Claims, TokenError};
use crate::proto::sasl::Credentials;
use crate::proto::{
    AwaitTls as _, AwaitToken, Input, Lasting, Output, Upstream, UpstreamFault, UpstreamRefusal,
    UpstreamStep,
};
use crate::provider::{GrantId, MailHost, Mechanism, Protocol, UpstreamTls};
use crate::refusal::{Refusal, Unavailable};
use crate::secret::AccessToken;

/// How long a provider may take from the dialling to its answer to the sign-in.
///
/// Legacy clients wait a minute or more for the answer to AUTH; Exchange was seen to take ten
/// seconds under load.
pub(super) const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the provider, under TLS.
pub(crate) type UpstreamStream = TlsStream<ReadAhead<TcpStream>>;

/// Where and as whom to sign in.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) host: &'a MailHost,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) mailbox: &'a Username,
    pub(crate) mechanism: Mechanism,
}

/// A signed-in connection to the provider.
#[derive(Debug)]
pub(crate) struct SignedIn<W> {
    pub(crate) stream: UpstreamStream,
    pub(crate) welcome: W,
    /// What the provider sent behind its welcome.
    pub(crate) input: Input,
}

/// How far the way to a provider's server went. What is not known yet was not reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The addresses that DNS gave.
    pub(crate) addresses: Option<Vec<SocketAddr>>,
    /// The one that accepted the connection.
    pub(crate) peer: Option<SocketAddr>,
    /// What the two sides agreed upon.
    pub(crate) tls: Option<(ProtocolVersion, CipherSuite)>,
}

/// A connection on which a sign-in can begin.
pub(crate) struct Reached<'a, A> {
    connection: Connection<'a, UpstreamStream>,
    awaiting: A,
}

/// Why the provider's side did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// No token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The connection broke off.
    #[error("{host} broke off the connection ({source})")]
    Broke { host: String, source: std::io::Error },
    /// The server cannot be spoken to.
    #[error("{host} cannot be used: {}", explained(.fault))]
    Fault { host: String, fault: UpstreamFault },
    /// No answer in time.
    #[error("{host} did not finish the sign-in in time")]
    TimedOut { host: String },
    /// The server refuses the token.
    #[error("{host} refuses the sign-in as {mailbox}: {}", told(.refusal))]
    Refused {
        host: String,
        mailbox: Username,
        refusal: UpstreamRefusal,
        /// What the token says that it was shown, if it was shown one that can be read.
        claims: Option<Box<Claims>>,
    },
}

/// Cause and fix of a refusal that may pass, and of which nothing else is known.
const PASSING: (&str, &str) = (
    "the provider refuses for now",
    "nothing: the client tries again; where it lasts, look at the provider's status page",
);

/// The reply, with what is known about it.
fn told(refusal: &UpstreamRefusal) -> String {
    let mut told = refusal.reply.clone();
    if let Some(status) = &refusal.challenge_status {
        told += &format!(" (status {status})");
    }
    if let Some(diagnosis) = diagnosis(refusal) {
        told += &format!("; {}", diagnosis.cause);
    }
    told
}

/// The fault, with what is known about it.
fn explained(fault: &UpstreamFault) -> String {
    match turned_away(fault) {
        Some((_, diagnosis)) => format!("{fault}; {}", diagnosis.cause),
        None => fault.to_string(),
    }
}

/// What is said in place of a greeting or an answer, if it is known and passes.
fn turned_away(fault: &UpstreamFault) -> Option<(&str, &'static Diagnosis)> {
    let UpstreamFault::TurnedAway { reply } = fault else { return None };
    Some((reply, passing(reply)?))
}

/// What a reply means that comes at the sign-in, if it is known and passes.
fn passing(reply: &str) -> Option<&'static Diagnosis> {
    Diagnosis::at_sign_in(reply).filter(|it| it.remedy == Remedy::Time)
}

/// What a refusal means: something, if it is final, and else what is known of it and passes.
fn diagnosis(refusal: &UpstreamRefusal) -> Option<&'static Diagnosis> {
    match refusal.lasting {
        Lasting::Permanent => Some(Diagnosis::of(&refusal.reply)),
        Lasting::Temporary => passing(&refusal.reply),
    }
}

impl SignInError {
    /// What the client hears.
    pub(crate) fn refusal(&self, account: &Username, grant: &GrantId) -> Refusal {
        match (self, self.diagnosis()) {
            (Self::Token(error), _) => error.refusal(account, grant),
            (Self::Refused { refusal, .. }, Some(diagnosis))
                if diagnosis.remedy != Remedy::Time =>
            {
                let (reply, cause) = (refusal.reply.clone(), diagnosis.cause.to_owned());
                Refusal::UpstreamRefused { reply, cause }
            }
            (
                Self::Connect(_)
                | Self::Tls(_)
                | Self::Broke { .. }
                | Self::Fault { .. }
                | Self::TimedOut { .. }
                | Self::Refused { .. },
                _,
            ) => Refusal::Unavailable(Unavailable::Upstream),
        }
    }

    /// What to do about a refusal that is known.
    pub(crate) fn fix(&self) -> Option<&'static str> {
        self.diagnosis().map(|diagnosis| diagnosis.fix)
    }

    /// Whether the same sign-in with a newer token may be accepted.
    pub(crate) fn may_be_mended_by_a_token(&self) -> bool {
        self.diagnosis().is_some_and(|diagnosis| diagnosis.remedy == Remedy::Token)
    }

    /// Where a newer token was of no use either: what is wrong with it by what it says itself.
    pub(crate) fn about_token(&self, wanted: &Wanted<'_>) -> Option<String> {
        match self {
            Self::Refused { claims: Some(claims), .. } if self.may_be_mended_by_a_token() => {
                compared(claims, wanted)
            }
            Self::Refused { .. }
            | Self::Token(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::Fault { .. }
            | Self::TimedOut { .. } => None,
        }
    }

    /// The trouble that a refusal is, for `accounts`; `None` of what the server did not say, and of a
    /// connection that it turned away for a reason which is not known.
    pub(crate) fn trouble(&self, protocol: Protocol) -> Option<Trouble> {
        let (reply, diagnosis) = match self {
            Self::Refused { refusal, .. } => (refusal.reply.as_str(), diagnosis(refusal)),
            Self::Fault { fault, .. } => turned_away(fault).map(|(it, why)| (it, Some(why)))?,
            Self::Token(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::TimedOut { .. } => return None,
        };
        let (cause, fix) = diagnosis.map_or(PASSING, |it| (it.cause, it.fix));
        Some(Trouble {
            at: clock::unix_time(),
            protocol,
            reply: reply.to_owned(),
            cause: cause.to_owned(),
            fix: fix.to_owned(),
        })
    }

    /// Whether the provider says that the mailbox has too many sessions at once.
    pub(crate) fn is_throttle(&self) -> bool {
        self.diagnosis().is_some_and(Diagnosis::is_throttle)
    }

    /// What a refusal means, if it is final or known; `None` of everything else.
    pub(crate) fn diagnosis(&self) -> Option<&'static Diagnosis> {
        match self {
            Self::Refused { refusal, .. } => diagnosis(refusal),
            Self::Fault { fault, .. } => turned_away(fault).map(|(_, diagnosis)| diagnosis),
            Self::Token(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Broke { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}

/// Signs in at `destination` with what `token` brings. `machine` is made for its way to TLS.
pub(crate) async fn sign_in<M: Upstream>(
    destination: &Destination<'_>,
    machine: M,
    token: impl Future<Output = Result<AccessToken, TokenError>>,
) -> Result<SignedIn<M::Welcome>, SignInError> {
    let sign_in = async {
        let mut progress = Progress::default();
        let reached = reach(destination, machine, &mut progress);
        let token = async { token.await.map_err(SignInError::from) };
        let (reached, token) = tokio::try_join!(reached, token)?;
        reached.authenticate(&token).await
    };
    match timeout(SIGN_IN_TIMEOUT, sign_in).await {
        Ok(result) => result,
        Err(_) => Err(SignInError::TimedOut { host: destination.host.to_string() }),
    }
}

/// Dials `destination` and starts TLS, until a sign-in can begin. `progress` tells how far that is,
/// whoever gives up waiting. It may last as long as the server likes: the caller sets the deadline.
pub(crate) async fn reach<'a, M: Upstream>(
    destination: &'a Destination<'a>,
    machine: M,
    progress: &mut Progress,
) -> Result<Reached<'a, M::AwaitToken>, SignInError> {
    let resolved = |addresses: &[SocketAddr]| progress.addresses = Some(addresses.to_vec());
    let tcp = connect(destination.host, resolved).await?;
    progress.peer = tcp.peer_addr().ok();
    let (connection, awaiting) = match destination.host.tls {
        UpstreamTls::Implicit => {
            let stream = start_tls(destination, tcp, progress).await?;
            Connection::new(stream, destination).until_ready(machine).await?
        }
        UpstreamTls::StartTls => {
            let (mut tcp, awaiting) = Connection::new(tcp, destination).until_tls(machine).await?;
            // Before the handshake, which whoever sent bytes in clear may never finish.
            let machine =
                awaiting.started(&tcp.input, &mut tcp.output).map_err(|fault| tcp.fault(fault))?;
            let stream = start_tls(destination, tcp.stream, progress).await?;
            let input = Input::default();
            Connection { stream, input, output: tcp.output, destination }
                .until_ready(machine)
                .await?
        }
    };
    Ok(Reached { connection, awaiting })
}

async fn start_tls(
    destination: &Destination<'_>,
    tcp: TcpStream,
    progress: &mut Progress,
) -> Result<UpstreamStream, SignInError> {
    let config = Arc::clone(&destination.tls);
    let stream = tls::connect(config, ReadAhead::new(tcp), &destination.host.host).await?;
    let (_, agreed) = stream.get_ref();
    progress.tls =
        agreed.protocol_version().zip(agreed.negotiated_cipher_suite().map(|it| it.suite()));
    Ok(stream)
}

impl<A: AwaitToken> Reached<'_, A> {
    /// Signs in with `token`.
    pub(crate) async fn authenticate(
        self,
        token: &AccessToken,
    ) -> Result<SignedIn<<A::Machine as Upstream>::Welcome>, SignInError> {
        self.connection.authenticate(self.awaiting, token).await
    }

    /// The connection, where no sign-in begins.
    pub(crate) fn into_stream(self) -> UpstreamStream {
        self.connection.stream
    }
}

struct Connection<'a, S> {
    stream: S,
    input: Input,
    output: Output,
    destination: &'a Destination<'a>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    fn new(stream: S, destination: &'a Destination<'a>) -> Self {
        Self { stream, input: Input::default(), output: Output::default(), destination }
    }

    /// Runs `machine` in clear until the handshake is due.
    async fn until_tls<M: Upstream>(
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
    async fn until_ready<M: Upstream>(
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
                Ok(_) => {}
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
        SignInError::Broke { host: self.destination.host.to_string(), source }
    }

    fn fault(&self, fault: UpstreamFault) -> SignInError {
        SignInError::Fault { host: self.destination.host.to_string(), fault }
    }

    /// The error of a step that ends the sign-in, or has no place where it came.
    fn unexpected<M: Upstream>(&self, step: UpstreamStep<M>) -> SignInError {
        match step {
            UpstreamStep::Refused(refusal) => SignInError::Refused {
                host: self.destination.host.to_string(),
                mailbox: self.destination.mailbox.clone(),
                refusal,
                claims: None,
            },
            UpstreamStep::Close(fault) => self.fault(fault),
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
    async fn authenticate<A: AwaitToken>(
        mut self,
        awaiting: A,
        token: &AccessToken,
    ) -> Result<SignedIn<<A::Machine as Upstream>::Welcome>, SignInError> {
        let Destination { host, mailbox, mechanism, .. } = self.destination;
        let credentials = Credentials { mailbox, token, mechanism: *mechanism, host };
        let machine = awaiting.authenticate(&credentials, &mut self.output);
        let step = self.run(machine).await?;
        if let UpstreamStep::Authenticated(welcome) = step {
            return Ok(SignedIn { stream: self.stream, welcome, input: self.input });
        }
        let mut error = self.unexpected(step);
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
        Err(error)
    }
}
