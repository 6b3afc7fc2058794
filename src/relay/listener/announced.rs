//! Connections of load balancers, which announce by a PROXY header whom they forward.
//!
//! Waits: for the header, [`HEADER_TIMEOUT`](proxy_header::HEADER_TIMEOUT). After [`AT_ONCE`] it
//!        counts among those for which the balancer owes one, and behind the header for the announced
//!        address; a probe among the balancer's own.
//! Ends:  in a session of the announced client, in one of [`Probe`] for nobody, or closed without a
//!        word: what the balancer says is not to be believed then. When the relay shuts down, with
//!        the words that all hear who have not signed in.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{Instrument as _, debug};

use super::Listener;
use crate::account::password::Peer;
use crate::net::listen::socket::ClientSocket;
use crate::net::peer::PeerAddress;
use crate::net::proxy_header::{self, Announced, HeaderError};
use crate::proto::probe::Probe;
use crate::proto::{Downstream as _, Farewell, Step};
use crate::relay::caller::Caller;
use crate::relay::downstream::{Client, Ended};
use crate::relay::limits::{Crowded, Place};
use crate::relay::outcome::Outcome;
use crate::relay::protocol::MailProtocol;
use crate::relay::reason::Reason;
use crate::relay::session;

/// How long a header may take that a balancer sends at once, with the last packet of the handshake.
const AT_ONCE: Duration = Duration::from_millis(100);

impl Listener {
    /// Whether a PROXY header has to come first from `peer`.
    pub(super) fn expects_header(&self, peer: PeerAddress) -> bool {
        let networks = &self.settings.proxy_protocol_from;
        peer.ip().is_some_and(|ip| networks.iter().any(|network| network.contains(&ip)))
    }

    /// Serves whomever `balancer` announces.
    pub(super) fn start_announced<P: MailProtocol>(
        self: &Arc<Self>,
        stream: ClientSocket,
        balancer: PeerAddress,
    ) {
        match self.relay.admit_forwarded() {
            Ok(place) => {
                let session = announced::<P>(Arc::clone(self), stream, balancer, place);
                self.relay.sessions().spawn(session);
            }
            Err(crowded) => self.reject::<P>(stream, balancer, crowded),
        }
    }
}

async fn announced<P: MailProtocol>(
    listener: Arc<Listener>,
    mut stream: ClientSocket,
    balancer: PeerAddress,
    mut place: Place,
) {
    let started = Instant::now();
    let span = || listener.span::<P>(balancer, None);
    match header(&listener, &mut stream, balancer, &mut place).await {
        Heard::Header(Ok(Announced::Client(client))) => {
            serve::<P>(listener, stream, balancer, client, place).await;
        }
        Heard::Header(Ok(Announced::Nobody)) => {
            if let Err(crowded) = place.count_as_probe(Caller::of(balancer).counted_as()) {
                return listener.reject::<P>(stream, balancer, crowded);
            }
            let span = span();
            probe::<P>(&listener, stream, balancer, started).instrument(span).await;
        }
        Heard::Header(Err(error)) => {
            span().in_scope(|| close::<P>(&listener, error, balancer, started));
        }
        Heard::Crowded(crowded) => listener.reject::<P>(stream, balancer, crowded),
        Heard::Draining => {
            listener.turn_away::<P>(stream, Farewell::Draining);
            span().in_scope(|| tell::<P>(&listener, &Ended::Draining, balancer, started));
        }
    }
}

/// What came of the wait for a header.
enum Heard {
    Header(Result<Announced, HeaderError>),
    /// None came at once, and the balancer owes too many.
    Crowded(Crowded),
    /// The relay shuts down.
    Draining,
}

/// Waits for the header. Only one that does not come at once takes a place of the balancer's share:
/// however many clients a balancer forwards in a burst, their headers are there with them.
async fn header(
    listener: &Listener,
    stream: &mut ClientSocket,
    balancer: PeerAddress,
    place: &mut Place,
) -> Heard {
    let mut header = pin!(proxy_header::read(stream));
    let mut drain = pin!(listener.relay.drain().cancelled());
    tokio::select! {
        biased;
        () = &mut drain => return Heard::Draining,
        header = &mut header => return Heard::Header(header),
        () = sleep(AT_ONCE) => {}
    }
    if let Err(crowded) = place.count_as_owing(Caller::of(balancer).counted_as()) {
        return Heard::Crowded(crowded);
    }
    tokio::select! {
        biased;
        () = drain => Heard::Draining,
        header = header => Heard::Header(header),
    }
}

/// Serves the client that `balancer` announces.
async fn serve<P: MailProtocol>(
    listener: Arc<Listener>,
    stream: ClientSocket,
    balancer: PeerAddress,
    client: SocketAddr,
    mut place: Place,
) {
    let caller = Caller::Announced(client.ip());
    if !listener.allows(caller) {
        return listener.refuse_stranger(client.into());
    }
    if let Err(crowded) = place.count_for(caller.counted_as()) {
        return listener.reject::<P>(stream, client.into(), crowded);
    }
    let span = listener.span::<P>(client.into(), Some(balancer));
    // Boxed, so that waiting for a header takes no room for a session.
    Box::pin(session::run::<P, _>(listener, stream, caller, place, span)).await;
}

/// Answers a balancer that speaks for itself.
async fn probe<P: MailProtocol>(
    listener: &Listener,
    stream: ClientSocket,
    balancer: PeerAddress,
    started: Instant,
) {
    let _active = listener.relay.meter().begun(P::PROTOCOL);
    let limits = listener.service.limits();
    let certificate = listener.certificate.clone();
    let drain = listener.relay.drain().clone();
    let mut client = Client::new(stream, certificate, limits.sign_in_timeout, drain);
    let ended = match begin(listener, &mut client).await {
        Ok(()) => {
            let machine = Probe::new(P::downstream(listener, listener.privacy(Peer::Elsewhere)));
            machine.greet(client.output());
            match client.next_claim(Step::Read(machine)).await {
                Ok((_, never)) => never.is_never(),
                Err(ended) => ended,
            }
        }
        Err(ended) => ended,
    };
    client.end::<P::Downstream>(&ended).await;
    // Balancers look every few seconds, and nobody wants to read that all is well.
    if matches!(ended.reason(), Reason::Quit | Reason::GaveUp) {
        debug!(reason = ended.reason().name(), "probed");
    } else {
        tell::<P>(listener, &ended, balancer, started);
    }
}

/// Begins TLS where the listener begins with it.
async fn begin(listener: &Listener, client: &mut Client<ClientSocket>) -> Result<(), Ended> {
    if listener.settings.tls.is_implicit() { client.start_tls().await } else { Ok(()) }
}

/// Tells why a balancer's connection is closed.
fn close<P: MailProtocol>(
    listener: &Listener,
    error: HeaderError,
    balancer: PeerAddress,
    started: Instant,
) {
    if error == HeaderError::Left {
        debug!(reason = Reason::GaveUp.name(), "probed");
    } else {
        tell::<P>(listener, &Ended::NoHeader(error), balancer, started);
    }
}

/// Logs and counts a connection that no client was announced for.
fn tell<P: MailProtocol>(
    listener: &Listener,
    ended: &Ended,
    balancer: PeerAddress,
    started: Instant,
) {
    let from = Caller::of(balancer);
    let outcome = Outcome::before_sign_in(None, ended, from, &listener.settings);
    outcome.log(started.elapsed());
    listener.relay.meter().ended(P::PROTOCOL, &outcome);
}
