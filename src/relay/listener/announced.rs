//! Connections of load balancers, which announce by a PROXY header whom they forward.
//!
//! Waits: for the header, [`HEADER_TIMEOUT`](proxy_header::HEADER_TIMEOUT). It counts among all
//!        sessions meanwhile, and from then on among those of the announced address.
//! Ends:  in a session of the announced client, in one of [`Probe`] for nobody, or closed without a
//!        word: what the balancer says is not to be believed then.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{Instrument as _, debug};

use super::Listener;
use crate::account::password::Peer;
use crate::net::listen::socket::ClientSocket;
use crate::net::peer::PeerAddress;
use crate::net::proxy_header::{self, Announced, HeaderError};
use crate::proto::probe::Probe;
use crate::proto::{Downstream as _, Step};
use crate::relay::caller::Caller;
use crate::relay::downstream::{Client, Ended};
use crate::relay::limits::Place;
use crate::relay::outcome::{Attained, Outcome, Reason};
use crate::relay::protocol::MailProtocol;
use crate::relay::session;

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
        match self.relay.admit_unnamed() {
            Ok(place) => {
                let session = announced::<P>(Arc::clone(self), stream, balancer, place);
                self.relay.sessions().spawn(session);
            }
            Err(farewell) => {
                self.relay.meter().turned_away(P::PROTOCOL, farewell.into());
                self.turned_away.tell(balancer, farewell.text());
                self.turn_away::<P>(stream, farewell);
            }
        }
    }
}

async fn announced<P: MailProtocol>(
    listener: Arc<Listener>,
    mut stream: ClientSocket,
    balancer: PeerAddress,
    place: Place,
) {
    let started = Instant::now();
    let header = tokio::select! {
        biased;
        () = listener.relay.drain().cancelled() => return,
        header = proxy_header::read(&mut stream) => header,
    };
    match header {
        Ok(Announced::Client(client)) => {
            serve::<P>(listener, stream, balancer, client, place).await;
        }
        Ok(Announced::Nobody) => {
            let span = listener.span::<P>(balancer, None);
            probe::<P>(&listener, stream, started).instrument(span).await;
        }
        Err(error) => {
            let span = listener.span::<P>(balancer, None);
            span.in_scope(|| close::<P>(&listener, error, started));
        }
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
    if let Err(farewell) = place.count_for(caller.counted_as()) {
        listener.relay.meter().turned_away(P::PROTOCOL, farewell.into());
        listener.turned_away.tell(client, farewell.text());
        return listener.turn_away::<P>(stream, farewell);
    }
    let span = listener.span::<P>(client.into(), Some(balancer));
    // Boxed, so that waiting for a header takes no room for a session.
    let session = Box::pin(session::run::<P, _>(listener, stream, caller, place));
    session.instrument(span).await;
}

/// Answers a balancer that speaks for itself.
async fn probe<P: MailProtocol>(listener: &Listener, stream: ClientSocket, started: Instant) {
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
        tell::<P>(listener, &ended, started);
    }
}

/// Begins TLS where the listener begins with it.
async fn begin(listener: &Listener, client: &mut Client<ClientSocket>) -> Result<(), Ended> {
    if listener.settings.tls.is_implicit() { client.start_tls().await } else { Ok(()) }
}

/// Tells why a balancer's connection is closed.
fn close<P: MailProtocol>(listener: &Listener, error: HeaderError, started: Instant) {
    if error == HeaderError::Left {
        debug!(reason = Reason::GaveUp.name(), "probed");
    } else {
        tell::<P>(listener, &Ended::NoHeader(error), started);
    }
}

/// Logs and counts a connection that no client was announced for.
fn tell<P: MailProtocol>(listener: &Listener, ended: &Ended, started: Instant) {
    let outcome = Outcome::before_sign_in(Attained::NoClaim, ended, &listener.settings);
    outcome.log(started.elapsed());
    listener.relay.meter().ended(P::PROTOCOL, outcome.reason());
}
