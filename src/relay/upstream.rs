//! The provider's side of a session until it is signed in: dials, starts TLS and drives an upstream
//! machine. The token is waited for beside the dialling.
//!
//! Waits: TCP 10 s, a proxy's part of it counted, all together 30 s.

mod error;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CipherSuite, ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

pub(crate) use self::error::SignInError;
use super::meter::Took;
use crate::names::Username;
use crate::net::buffer::{READ_LEN, read_piece};
use crate::net::connect::connect;
use crate::net::egress::{Egress, Proxy};
use crate::net::tls;
use crate::net::tls::stream::TlsStream;
use crate::oauth::{Claims, TokenError};
use crate::proto::sasl::Credentials;
use crate::proto::{
    AwaitTls as _, AwaitToken, Input, Output, Upstream, UpstreamFault, UpstreamStep,
};
use crate::provider::{MailHost, Mechanism, UpstreamTls};
use crate::secret::AccessToken;

/// How long a provider may take from the dialling to its answer to the sign-in.
///
/// Legacy clients wait a minute or more for the answer to AUTH; Exchange was seen to take ten
/// seconds under load.
pub(super) const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the provider, under TLS.
pub(crate) type UpstreamStream = TlsStream<TcpStream>;

/// Where and as whom to sign in.
#[derive(Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) host: &'a MailHost,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) egress: &'a Egress,
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
    /// Host and port of the proxy that leads there, if there is one. The two below are its then.
    pub(crate) proxy: Option<String>,
    /// The addresses that DNS gave.
    pub(crate) addresses: Option<Vec<SocketAddr>>,
    /// The one that accepted the connection.
    pub(crate) peer: Option<SocketAddr>,
    /// What the two sides agreed upon.
    pub(crate) tls: Option<(ProtocolVersion, CipherSuite)>,
    /// How long the dialling and the handshake took.
    pub(crate) took: Took,
}

/// A connection on which a sign-in can begin.
pub(crate) struct Reached<'a, A> {
    /// How long the server's answers took so far.
    talked: Duration,
    connection: Connection<'a, UpstreamStream>,
    awaiting: A,
}

/// Signs in at `destination` with what `token` brings. `machine` is made for its way to TLS. What the
/// steps that are done `took` is added up, whatever comes of the rest.
pub(crate) async fn sign_in<M: Upstream>(
    destination: &Destination<'_>,
    machine: M,
    token: impl Future<Output = Result<AccessToken, TokenError>>,
    took: &mut Took,
) -> Result<SignedIn<M::Welcome>, SignInError> {
    let mut tally = Tally { took, progress: Progress::default(), token: None, sign_in: None };
    let Tally { progress, token: token_took, sign_in: sign_in_took, .. } = &mut tally;
    let sign_in = async {
        let reached = reach(destination, machine, progress);
        let asked_at = Instant::now();
        let token = async {
            let token = token.await?;
            *token_took = Some(asked_at.elapsed());
            Ok(token)
        };
        let (reached, token) = tokio::try_join!(reached, token)?;
        let (talked, shown_at) = (reached.talked, Instant::now());
        let outcome = reached.authenticate(&token).await;
        *sign_in_took = Some(talked + shown_at.elapsed());
        outcome
    };
    let outcome = timeout(SIGN_IN_TIMEOUT, sign_in).await;
    outcome.unwrap_or_else(|_| Err(SignInError::TimedOut { host: destination.host.to_string() }))
}

/// What the steps of one try took. Added up when it is dropped: whoever waits for the try may leave
/// in the middle of it.
struct Tally<'t> {
    took: &'t mut Took,
    progress: Progress,
    token: Option<Duration>,
    sign_in: Option<Duration>,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let Self { progress, token, sign_in, .. } = self;
        self.took.add(Took { token: *token, sign_in: *sign_in, ..progress.took });
    }
}

/// Dials `destination` and starts TLS, until a sign-in can begin. `progress` tells how far that is,
/// whoever gives up waiting. It may last as long as the server likes: the caller sets the deadline.
pub(crate) async fn reach<'a, M: Upstream>(
    destination: &'a Destination<'a>,
    machine: M,
    progress: &mut Progress,
) -> Result<Reached<'a, M::AwaitToken>, SignInError> {
    let resolved = |proxy: Option<&Proxy>, addresses: &[SocketAddr]| {
        progress.proxy = proxy.map(Proxy::to_string);
        progress.addresses = Some(addresses.to_vec());
    };
    let dialled_at = Instant::now();
    let tcp = connect(destination.host, destination.egress, resolved).await?;
    progress.took.dial = Some(dialled_at.elapsed());
    progress.peer = tcp.peer_addr().ok();
    let greeted_at = Instant::now();
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
    let talked = greeted_at.elapsed().saturating_sub(progress.took.tls.unwrap_or_default());
    Ok(Reached { talked, connection, awaiting })
}

async fn start_tls(
    destination: &Destination<'_>,
    tcp: TcpStream,
    progress: &mut Progress,
) -> Result<UpstreamStream, SignInError> {
    let config = Arc::clone(&destination.tls);
    let began_at = Instant::now();
    let stream = tls::connect(config, tcp, &destination.host.host).await?;
    progress.took.tls = Some(began_at.elapsed());
    progress.tls = stream.agreed();
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
