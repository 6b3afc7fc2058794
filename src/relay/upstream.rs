//! The provider's side of a session until it is signed in: dials, starts TLS and drives an upstream
//! machine. The token is waited for beside the dialling.
//!
//! Waits: TCP 10 s, a proxy's part of it counted, all together 30 s.

mod connection;
mod error;
mod reached;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CipherSuite, ClientConfig, ProtocolVersion};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tracing::debug;

use self::connection::Connection;
pub(crate) use self::error::SignInError;
pub(crate) use self::reached::Reached;
use super::meter::{Took, Warm};
use crate::names::Username;
use crate::net::connect::connect;
use crate::net::egress::{Egress, Proxy};
use crate::net::tls;
use crate::net::tls::stream::TlsStream;
use crate::oauth::TokenError;
use crate::proto::{AwaitTls as _, Input, Upstream};
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
    pub(crate) egress: &'a Arc<Egress>,
    pub(crate) mailbox: &'a Username,
    pub(crate) mechanism: Mechanism,
}

impl Destination<'_> {
    /// The server alone.
    pub(crate) fn server(&self) -> Server<'_> {
        Server { host: self.host, tls: &self.tls, egress: self.egress }
    }
}

/// What is dialled, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) host: &'a MailHost,
    pub(crate) tls: &'a Arc<ClientConfig>,
    pub(crate) egress: &'a Egress,
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

/// The connections that were made ahead, as one sign-in meets them.
pub(crate) trait Ahead<A> {
    /// Waits, while the token is awaited, until there is none that could be taken with it.
    fn none_left(&mut self) -> impl Future<Output = ()> + Send;

    /// Takes one whose server has said nothing since it was made, if there is one.
    fn take(&mut self) -> Option<Reached<A>>;

    /// Notes that the server had given up the one that was taken.
    fn was_dead(&mut self);
}

/// There are none: what is signed in on is dialled.
impl<A> Ahead<A> for () {
    async fn none_left(&mut self) {}

    fn take(&mut self) -> Option<Reached<A>> {
        None
    }

    fn was_dead(&mut self) {}
}

/// Signs in at `destination` with what `token` brings: on one of those made `ahead`, or on a new
/// connection, for whose way to TLS `machine` is made. What the steps that are done `took` is added
/// up, whatever comes of the rest.
///
/// Where one is ready it is taken once the token is there, since nobody watches it from then on; if it
/// goes to somebody else meanwhile, a new one is dialled beside the token. One that turns out to be
/// dead, or given up by the server, is replaced by a new one: the token was not answered there, so it
/// is as if it had never been shown.
pub(crate) async fn sign_in<M: Upstream>(
    destination: &Destination<'_>,
    machine: M,
    ahead: &mut impl Ahead<M::AwaitToken>,
    token: impl Future<Output = Result<AccessToken, TokenError>>,
    took: &mut Took,
) -> Result<SignedIn<M::Welcome>, SignInError> {
    let mut tally = Tally { took, progress: Progress::default(), steps: Took::default() };
    let Tally { progress, steps, .. } = &mut tally;
    let Took { token: token_took, sign_in: sign_in_took, warm: warm_was, .. } = steps;
    let sign_in = async {
        let asked_at = Instant::now();
        let token = async {
            let token = token.await?;
            *token_took = Some(asked_at.elapsed());
            Ok(token)
        };
        let mut token = pin!(token);
        let early = tokio::select! {
            biased;
            // One that is in memory is there at once.
            token = &mut token => Some(token?),
            () = ahead.none_left() => None,
        };
        let (reached, token) = if let Some(token) = early {
            if let Some(warm) = ahead.take() {
                let shown_at = Instant::now();
                *warm_was = Some(Warm::Held);
                let outcome = warm.show_ahead(destination, &token).await;
                *sign_in_took = Some(shown_at.elapsed());
                match outcome {
                    Err(failed) if failed.is_unheard() => {
                        *warm_was = Some(Warm::Dead);
                        ahead.was_dead();
                        debug!(
                            upstream = %destination.host,
                            error = %failed.error,
                            "warm connection found dead, another one is dialled"
                        );
                    }
                    outcome => return outcome.map_err(|failed| failed.error),
                }
            }
            (reach(destination.server(), machine, progress).await?, token)
        } else {
            tokio::try_join!(reach(destination.server(), machine, progress), token)?
        };
        let (talked, shown_at) = (reached.talked, Instant::now());
        let outcome = reached.authenticate(destination, &token).await;
        let so_far = sign_in_took.unwrap_or_default();
        *sign_in_took = Some(so_far + talked + shown_at.elapsed());
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
    steps: Took,
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let Self { progress, steps, .. } = self;
        let Took { dial, tls, .. } = progress.took;
        self.took.add(Took { dial, tls, ..*steps });
    }
}

/// Dials `server` and starts TLS, until a sign-in can begin. `progress` tells how far that is,
/// whoever gives up waiting. It may last as long as the server likes: the caller sets the deadline.
pub(crate) async fn reach<M: Upstream>(
    server: Server<'_>,
    machine: M,
    progress: &mut Progress,
) -> Result<Reached<M::AwaitToken>, SignInError> {
    let resolved = |proxy: Option<&Proxy>, addresses: &[SocketAddr]| {
        progress.proxy = proxy.map(Proxy::to_string);
        progress.addresses = Some(addresses.to_vec());
    };
    let host = server.host;
    let dialled_at = Instant::now();
    let tcp = connect(host, server.egress, resolved).await?;
    progress.took.dial = Some(dialled_at.elapsed());
    progress.peer = tcp.peer_addr().ok();
    let greeted_at = Instant::now();
    let (connection, awaiting) = match host.tls {
        UpstreamTls::Implicit => {
            let stream = start_tls(server, tcp, progress).await?;
            Connection::new(stream, host).until_ready(machine).await?
        }
        UpstreamTls::StartTls => {
            let (mut tcp, awaiting) = Connection::new(tcp, host).until_tls(machine).await?;
            // Before the handshake, which whoever sent bytes in clear may never finish.
            let machine =
                awaiting.started(&tcp.input, &mut tcp.output).map_err(|fault| tcp.fault(fault))?;
            let stream = start_tls(server, tcp.stream, progress).await?;
            let connection = Connection { output: tcp.output, ..Connection::new(stream, host) };
            connection.until_ready(machine).await?
        }
    };
    let talked = greeted_at.elapsed().saturating_sub(progress.took.tls.unwrap_or_default());
    let Connection { stream, input, .. } = connection;
    Ok(Reached { talked, stream, input, awaiting })
}

async fn start_tls(
    server: Server<'_>,
    tcp: TcpStream,
    progress: &mut Progress,
) -> Result<UpstreamStream, SignInError> {
    let config = Arc::clone(server.tls);
    let began_at = Instant::now();
    let stream = tls::connect(config, tcp, &server.host.host).await?;
    progress.took.tls = Some(began_at.elapsed());
    progress.tls = stream.agreed();
    Ok(stream)
}
