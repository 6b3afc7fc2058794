//! A session from accept to close: claim, local password or device, a place at the mailbox's gate,
//! token beside dialling, verdict, splice.
//!
//! Nothing is dialled and no token asked for before it is known who the client is.

use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::attempt::Attempt;
use super::caller::Caller;
use super::downstream::{Client, Ended, close};
use super::first_lines::FirstLines;
use super::judge::until_shut_out;
use super::limits::Place;
use super::listener::Listener;
use super::meter::Took;
use super::observer::Observer;
use super::outcome::Outcome;
use super::protocol::MailProtocol;
use super::reason::Reason;
use super::recent::Closed;
use super::rules;
use super::splice::{End, Start, splice};
use super::upstream::UpstreamStream;
use super::verdict::{Accepted, verdict};
use super::watched::{Course, Watched};
use crate::account::password::SignedIn;
use crate::clock;
use crate::names::Username;
use crate::net::client_stream::ClientStream;
use crate::proto::smtp::Replies;
use crate::proto::{AwaitVerdict as _, Downstream as _, Step};
use crate::provider::Protocol;

/// Serves one client, `from` wherever it comes. `place` is freed when the session is over. Its lines in
/// the log are of `span`.
pub(crate) async fn run<P, S>(
    listener: Arc<Listener>,
    stream: S,
    from: Caller,
    mut place: Place,
    span: Span,
) where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let relay = listener.relay();
    let mut active = relay.meter().begun(P::PROTOCOL);
    let sign_in_timeout = listener.service().limits().sign_in_timeout;
    let certificate = listener.certificate().cloned();
    let client = Client::new(stream, certificate, sign_in_timeout, relay.drain().clone());
    // Boxed, so that a session that has signed in holds no room for what it needed before.
    let sign_in = Box::pin(sign_in::<P, S>(&listener, from, client));
    let (account, outcome) = match sign_in.instrument(span.clone()).await {
        Ok(session) => {
            place.signed_in();
            active.signed_in();
            let account = session.access.account().name().clone();
            // Boxed, so that a session holds room for it once it has signed in alone. Not within the
            // span: what is streamed leaves no line, and who logs enters it.
            (Some(account), Box::pin(session.run(&listener)).await)
        }
        Err(ended) => ended,
    };
    let lasted = started.elapsed();
    span.in_scope(|| outcome.log(lasted));
    relay.meter().ended(P::PROTOCOL, &outcome);
    relay.recent().note(Closed {
        at: clock::unix_time(),
        listener: listener.settings().name.clone(),
        protocol: P::PROTOCOL,
        from: from.to_string(),
        account,
        how: outcome.into_how(lasted),
    });
}

/// A session that is signed in on both sides.
struct Session<S> {
    client: ClientStream<S>,
    upstream: Watched<UpstreamStream>,
    /// Where the provider's side is, as the file names it.
    host: Option<String>,
    start: Start,
    access: SignedIn,
    /// What its sign-in took.
    took: Took,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Streams both ways until it is over.
    ///
    /// What waits for long lies in two boxes: the parts in the one of `self`, the waiting in the
    /// caller's. Passed by value they would be there twice.
    async fn run(mut self: Box<Self>, listener: &Listener) -> Outcome {
        let start = std::mem::take(&mut self.start);
        let spliced = {
            let cut = pin!(until_cut(listener, &self.access));
            splice(&mut self.client, &mut self.upstream, start, cut).await
        };
        // In a shutdown nobody is waited for: a supervisor may be about to kill us.
        if !matches!(spliced.end, End::Cut(Reason::Draining)) {
            let Self { client, upstream, .. } = &mut *self;
            // Boxed, since a session that is not at its end needs no room for it.
            Box::pin(async { tokio::join!(close(client), close(upstream.upstream())) }).await;
        }
        let Self { upstream, host, took, .. } = *self;
        // The place at the gate is free with this: the provider has seen the session end.
        Outcome::of_session(host, &spliced, upstream.into_report(), took)
    }
}

/// Waits until the session has to end, whatever its two sides do; gives why.
async fn until_cut(listener: &Listener, access: &SignedIn) -> Reason {
    tokio::select! {
        biased;
        end = until_shut_out(listener, access) => end.into(),
        () = listener.relay().cut().cancelled() => Reason::Draining,
    }
}

/// A session that ended without a sign-in: whose account it was to be, if the client has shown that
/// it may use one, and how it ended.
type NotSignedIn = (Option<Username>, Outcome);

async fn sign_in<P, S>(
    listener: &Arc<Listener>,
    from: Caller,
    mut client: Client<S>,
) -> Result<Box<Session<S>>, NotSignedIn>
where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    if listener.settings().tls.is_implicit()
        && let Err(ended) = client.start_tls().await
    {
        return Err(Box::pin(over::<P, S>(client, None, ended, from, listener)).await);
    }
    let machine = P::downstream(listener, listener.privacy(from.peer()));
    machine.greet(client.output());
    let (mut step, mut last) = (Step::Read(machine), None);
    let ended = loop {
        let (claim, awaiting) = match client.next_claim(step).await {
            Ok(claimed) => claimed,
            Err(ended) => break ended,
        };
        let meter = listener.relay().meter();
        // Boxed, as what follows: a stranger that waits needs no room for it.
        let attempt = last.get_or_insert_with(|| Box::new(Attempt::new(meter, P::PROTOCOL)));
        attempt.begin();
        // Boxed, so that a session holds what only the verdict needs while it awaits it alone:
        // neither a stranger that waits nor the long part afterwards.
        let verdict = Box::pin(verdict::<P>(listener, from, &claim, attempt));
        let held = client.hold(&claim, verdict).await;
        attempt.settle();
        match held {
            Ok(Ok(accepted)) => {
                awaiting.accept(&accepted.upstream.welcome, client.output());
                return Ok(Box::new(session::<P, S>(client, accepted, attempt, listener)));
            }
            Ok(Err(refusal)) => step = awaiting.refuse(&refusal, client.output()),
            Err(ended) => break ended,
        }
    };
    Err(Box::pin(over::<P, S>(client, last, ended, from, listener)).await)
}

/// Ends a session that has not signed in. Called in a box: a session that waits needs no room for it.
async fn over<P, S>(
    client: Client<S>,
    last: Option<Box<Attempt<'_>>>,
    ended: Ended,
    from: Caller,
    listener: &Listener,
) -> NotSignedIn
where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    client.end::<P::Downstream>(&ended).await;
    let outcome = Outcome::before_sign_in(last.as_deref(), &ended, from, listener.settings());
    let account = last.and_then(|last| last.account);
    if let Some(account) = &account {
        // For the closing line. What a stranger typed is never in it.
        Span::current().record("account", account.as_str());
    }
    (account, outcome)
}

fn session<P, S>(
    client: Client<S>,
    accepted: Accepted<P>,
    attempt: &mut Attempt<'_>,
    listener: &Arc<Listener>,
) -> Session<S>
where
    P: MailProtocol,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Accepted { access, permit, upstream } = accepted;
    let (took, host) = (attempt.took_in_all(), attempt.upstream.take());
    let (client, up, down, client_closed) = client.into_parts();
    let idle_timeout = listener.service().limits().idle_timeout;
    let start = Start { up, down, client_closed, idle_timeout };
    let relay = listener.relay();
    let pace = access.account().settings().provider.messages_per_minute;
    let pace = pace.filter(|_| P::PROTOCOL == Protocol::Submission);
    let pace = pace.map(|per_minute| relay.paces().of(permit.mailbox(), per_minute));
    let course = match P::PROTOCOL {
        Protocol::Submission => match rules::filter(&access, relay.quotas()) {
            Some(filter) => Course::Filter(Box::new(filter)),
            None => Course::Replies(Replies::default()),
        },
        protocol @ (Protocol::Imap | Protocol::Pop3) => Course::Lines(FirstLines::new(protocol)),
    };
    let account = access.account().name().clone();
    let observer = Observer::new(Arc::clone(listener), P::PROTOCOL, account, permit, pace);
    let unread = upstream.input.into_leftover();
    let upstream = Watched::new(upstream.stream, unread, course, observer);
    Session { client, upstream, host, start, access, took }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
pub(super) use tests::{listener_of, settings};
