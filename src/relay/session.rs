//! A session from accept to close: claim, local password, token beside dialling, verdict, splice.
//!
//! Nothing is dialled and no token asked for before the local password was right.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tracing::{Span, info, warn};

use super::downstream::{Client, close};
use super::limits::Place;
use super::listener::Listener;
use super::outcome::Outcome;
use super::protocol::{MailProtocol, Welcome};
use super::splice::{End, Start, splice};
use super::upstream::{self, Destination, SignedIn, UpstreamStream};
use crate::account::password::LocalRefusal;
use crate::proto::{AwaitVerdict as _, Claim, Downstream as _, Step};
use crate::refusal::{Refusal, Unavailable};

/// When every refused local sign-in is answered, counted from its arrival: neither guessing fast
/// nor measuring the time teaches anything.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// Serves one client. `place` is freed when the session is over.
pub(crate) async fn run<P, S>(listener: Arc<Listener>, stream: S, mut place: Place)
where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let relay = listener.relay();
    let client = Client::new(stream, relay.limits().sign_in_timeout, relay.drain().clone());
    let outcome = match sign_in::<P, S>(&listener, client).await {
        Ok(mut session) => {
            place.signed_in();
            let cut = relay.cut().cancelled();
            let spliced =
                splice(&mut session.client, &mut session.upstream, session.start, cut).await;
            // Once cut off, nobody is waited for: a supervisor may be about to kill us.
            if !matches!(spliced.end, End::Cut) {
                tokio::join!(close(&mut session.client), close(&mut session.upstream));
            }
            Outcome::from(spliced)
        }
        Err(outcome) => outcome,
    };
    outcome.log(started.elapsed());
}

/// A session that is signed in on both sides.
struct Session<S> {
    client: S,
    upstream: UpstreamStream,
    start: Start,
}

async fn sign_in<P, S>(listener: &Listener, mut client: Client<S>) -> Result<Session<S>, Outcome>
where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let machine = P::downstream(listener);
    machine.greet(client.output());
    let mut step = Step::Read(machine);
    let ended = loop {
        let (claim, awaiting) = match client.next_claim(step).await {
            Ok(claimed) => claimed,
            Err(ended) => break ended,
        };
        // Boxed, so that a session holds what only the verdict needs while it awaits it alone:
        // neither a stranger that waits nor the long part afterwards.
        match client.hold(Box::pin(verdict::<P>(listener, &claim))).await {
            Ok(Ok(upstream)) => {
                awaiting.accept(&upstream.welcome, client.output());
                return Ok(session::<P, S>(client, upstream, listener));
            }
            Ok(Err(refusal)) => step = awaiting.refuse(&refusal, client.output()),
            Err(ended) => break ended,
        }
    };
    Err(Outcome::before_sign_in(client.end::<P::Downstream>(ended).await))
}

fn session<P, S>(
    client: Client<S>,
    upstream: SignedIn<Welcome<P>>,
    listener: &Listener,
) -> Session<S>
where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (client, up, verdict, client_closed) = client.into_parts();
    let start = Start {
        up,
        down: joined(verdict, &upstream.input.into_leftover()),
        client_closed,
        idle_timeout: listener.relay().limits().idle_timeout,
    };
    Session { client, upstream: upstream.stream, start }
}

fn joined(first: Bytes, second: &Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    let mut both = BytesMut::from(first);
    both.extend_from_slice(second);
    both.freeze()
}

/// Whether the claim holds; if so the provider's side is signed in.
async fn verdict<P: MailProtocol>(
    listener: &Listener,
    claim: &Claim,
) -> Result<SignedIn<Welcome<P>>, Refusal> {
    let received = Instant::now();
    let relay = listener.relay();
    let signed_in = match relay.sign_in(listener.accounts(), claim).await {
        Ok(signed_in) => signed_in,
        Err(LocalRefusal::Busy) => return Err(unjudged(claim, Unavailable::Overloaded)),
        Err(LocalRefusal::Unreadable) => {
            return Err(unjudged(claim, Unavailable::LocalPassword));
        }
        Err(LocalRefusal::Wrong) => {
            let refusal = Refusal::WrongPassword;
            warn!(account = claim.username.as_str(), refusal = refusal.kind(), "refused");
            sleep_until(received + REFUSAL_DELAY).await;
            return Err(refusal);
        }
    };
    let account = signed_in.account();
    let provider = &account.settings().provider;
    let Some(host) = listener.upstream().or(provider.hosts.get(P::PROTOCOL).as_ref()) else {
        warn!(
            account = account.name().as_str(),
            provider = provider.name,
            "refused: the provider has no server for this protocol; add one, or keep the account \
             off this listener by its `accounts`"
        );
        return Err(Refusal::Unavailable(Unavailable::Upstream));
    };
    let destination = Destination {
        host,
        tls: relay.tls(provider),
        mailbox: account.mailbox(P::PROTOCOL),
        mechanism: provider.mechanism,
    };
    let machine = P::upstream(host.tls, provider.mechanism);
    let scopes = account.settings().scopes.get(P::PROTOCOL);
    let token = async {
        let token = relay.tokens().access_token(&account.settings().grant, scopes).await;
        token.map(|token| token.access_token)
    };
    match upstream::sign_in(&destination, machine, token).await {
        Ok(signed_in) => {
            P::learn(relay.records(), host, &signed_in.welcome);
            let upstream_ms = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Once in a session: a field that is recorded again would stand twice in the text.
            Span::current().record("account", account.name().as_str());
            info!(provider = provider.name, upstream = %host, upstream_ms, "signed in");
            Ok(signed_in)
        }
        Err(error) => {
            let refusal = error.refusal(account.name());
            let (account, cause) = (account.name().as_str(), error.to_string());
            warn!(account, refusal = refusal.kind(), cause, "refused");
            Err(refusal)
        }
    }
}

/// The refusal of a claim that could not be judged.
fn unjudged(claim: &Claim, unavailable: Unavailable) -> Refusal {
    let refusal = Refusal::Unavailable(unavailable);
    warn!(account = claim.username.as_str(), refusal = refusal.kind(), "refused");
    refusal
}

#[cfg(test)]
mod tests;
