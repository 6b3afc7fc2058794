//! The verdict on a claim: who it is, a place at the mailbox's gate, token beside dialling or before
//! a connection that was made ahead, then the provider's own.
//!
//! Where the provider refuses a token that a newer one may mend, it is shown a newer one on one new
//! connection, whose outcome counts. The client hears of the outcome alone.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{Span, info, warn};

use super::Relay;
use super::attempt::Attempt;
use super::caller::Caller;
use super::diagnosis::token::Wanted;
use super::gate::{Full, Mailbox, Permit};
use super::judge;
use super::listener::Listener;
use super::meter::Took;
use super::protocol::{Awaiting, MailProtocol, Welcome};
use super::troubles::Trouble;
use super::upstream::{self, Ahead, Destination, SignInError};
use crate::account::directory::Account;
use crate::account::password::SignedIn;
use crate::clock;
use crate::names::Username;
use crate::oauth::{ErrorKind, Token, Tokens};
use crate::proto::Claim;
use crate::provider::{MailHost, Protocol};
use crate::refusal::{Refusal, Unavailable};

/// When the client hears at last, counted from when it has a place at the gate. The first try has its
/// own bounds, so this cuts the second one short. Legacy clients wait a minute or more for AUTH.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(60);

/// A claim that holds, and the provider's side of its session.
pub(crate) struct Accepted<P: MailProtocol> {
    pub(crate) access: SignedIn,
    /// Its place among the sessions of its mailbox.
    pub(crate) permit: Permit,
    pub(crate) upstream: upstream::SignedIn<Welcome<P>>,
}

/// Whether the claim holds; if so the provider's side is signed in. What is found on the way is
/// written down in `attempt`.
pub(crate) async fn verdict<P: MailProtocol>(
    listener: &Listener,
    client: Caller,
    claim: &Claim,
    attempt: &mut Attempt<'_>,
) -> Result<Accepted<P>, Refusal> {
    let received = Instant::now();
    let access = match claim {
        Claim::Password(shown) => {
            judge::password::<P>(listener, client, shown, received, attempt).await?
        }
        Claim::Device => judge::device::<P>(listener, client, attempt)?,
    };
    let relay = listener.relay();
    let account = access.account();
    attempt.is_of(account.name());
    let provider = &account.settings().provider;
    let Some(host) = listener.upstream().or(provider.hosts.get(P::PROTOCOL).as_ref()) else {
        let refusal = Refusal::Unavailable(Unavailable::Upstream);
        let (account, provider) = (account.name().as_str(), provider.name.as_str());
        let cause = "the provider has no server for this protocol";
        let fix = "add one, or keep the account off this listener by its `accounts`";
        warn!(account, refusal = refusal.kind(), provider, cause, fix, "refused");
        attempt.refuse(&refusal);
        return Err(refusal);
    };
    attempt.upstream = Some(host.to_string());
    let told = told_user::<P>(relay.tokens(), account);
    let destination = Destination {
        host,
        tls: listener.service().tls(provider),
        egress: listener.service().egress(),
        mailbox: told.as_ref().unwrap_or_else(|| account.mailbox(P::PROTOCOL)),
        mechanism: provider.mechanism,
    };
    let until = received + listener.service().limits().wait_for_slot;
    attempt.queues(received);
    let outcome = tokio::select! {
        biased;
        // It may wait for long, and nobody is signed in for who may not be here any more.
        end = judge::until_shut_out(listener, &access) => Err(end),
        // Begun only behind a first look above, so whoever comes here is let in.
        outcome = async {
            relay.passwords().let_in(&access);
            at_gate::<P>(listener, account, &destination, until, attempt).await
        } => Ok(outcome),
    };
    attempt.leaves();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(end) => return Err(judge::shut_out(end, &access, claim, received, attempt).await),
    };
    let (permit, signed_in) =
        outcome.map_err(|said| busy::<P>(relay, account, said.as_ref(), attempt))?;
    match signed_in {
        Ok(upstream) => {
            relay.tokens().accepted(account.name(), P::PROTOCOL);
            relay.troubles().signed_in(account.name(), P::PROTOCOL);
            P::learn(relay.records(), host, &upstream.welcome);
            let pool = P::pool(listener.service().warm());
            pool.signed_in(provider, &destination, relay.meter().warm(), relay.drain());
            pool.learn(provider, &destination, &upstream.welcome);
            let is_warm = attempt.took.is_warm().then_some(true);
            tell_signed_in(&access, host, received.elapsed(), permit.waited(), is_warm);
            relay.meter().signed_in(P::PROTOCOL);
            Ok(Accepted { access, permit, upstream })
        }
        Err(error) => Err(refused::<P>(relay, account, &destination, &error, attempt)),
    }
}

/// Tells that the client of `access` is signed in at `host`, `after` its claim came. It `waited` so
/// long at the gate; on a `warm` connection nothing was dialled for it.
fn tell_signed_in(
    access: &SignedIn,
    host: &MailHost,
    after: Duration,
    waited: Duration,
    warm: Option<bool>,
) {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // To find a place free takes some microseconds, too.
    let waited_ms = Some(ms(waited)).filter(|waited| *waited > 0);
    let account = access.account();
    // Once in a session: a field that is recorded again would stand twice in the text.
    Span::current().record("account", account.name().as_str());
    info!(
        device = access.device().map(|device| device.name.as_str()),
        provider = account.settings().provider.name,
        upstream = %host,
        upstream_ms = ms(after.saturating_sub(waited)),
        waited_ms,
        warm,
        "signed in"
    );
}

/// What a client hears that is not signed in at `destination`, because of `error`.
fn refused<P: MailProtocol>(
    relay: &Relay,
    account: &Account,
    destination: &Destination<'_>,
    error: &SignInError,
    attempt: &mut Attempt<'_>,
) -> Refusal {
    if let Some(trouble) = error.trouble(P::PROTOCOL) {
        relay.troubles().refused(account.name(), trouble);
    }
    let token = error.about_token(&Wanted {
        user: destination.mailbox,
        protocol: P::PROTOCOL,
        scopes: account.settings().scopes.get(P::PROTOCOL),
        grant: &account.settings().grant,
        now: clock::unix_time(),
    });
    let refusal = error.refusal(account.name(), &account.settings().grant.id);
    let (account, cause, fix) = (account.name().as_str(), error.to_string(), error.fix());
    warn!(account, refusal = refusal.kind(), cause, fix, token, "refused");
    attempt.refuse(&refusal);
    refusal
}

/// Signs in at `destination` once there is a place at the gate of its mailbox. A provider that says
/// that there was none is believed: the gate is closed for a while, and the place waited for again.
/// What the tries took is added up in `attempt`.
///
/// # Errors
/// When there was no place `until` then: what the provider said of it, if it was asked.
async fn at_gate<P: MailProtocol>(
    listener: &Listener,
    account: &Account,
    destination: &Destination<'_>,
    until: Instant,
    attempt: &mut Attempt<'_>,
) -> Result<(Permit, Result<upstream::SignedIn<Welcome<P>>, SignInError>), Option<SignInError>> {
    let (relay, pool) = (listener.relay(), P::pool(listener.service().warm()));
    let warm_meter = relay.meter().warm();
    let provider = &account.settings().provider;
    let mailbox = Mailbox::new(&provider.name, destination.mailbox, P::PROTOCOL);
    let places = *provider.concurrent_sessions.get(P::PROTOCOL);
    let entered = relay.gates().enter(mailbox, places, until).await;
    let mut permit = entered.map_err(|Full| None)?;
    loop {
        attempt.enters(&permit);
        let deadline = Instant::now() + VERDICT_TIMEOUT;
        let mut offer = pool.offer(provider, destination, warm_meter);
        let (ahead, took) = (&mut offer, &mut attempt.took);
        let outcome =
            sign_in::<P>(relay.tokens(), account, destination, ahead, deadline, took).await;
        drop(offer);
        if let Err(error) = &outcome {
            pool.failed(provider, destination, error, warm_meter);
        }
        match outcome {
            Err(error) if error.is_throttle() => {
                let (account, cause) = (account.name().as_str(), error.to_string());
                info!(account, cause, "the mailbox's gate is closed for a while");
                relay.meter().throttled(P::PROTOCOL, &provider.name);
                permit.close_gate();
                attempt.queues(Instant::now());
                permit = permit.enter_again(until).await.map_err(|Full| Some(error))?;
            }
            outcome => return Ok((permit, outcome)),
        }
    }
}

/// What a client hears whose mailbox's gate stayed full; `said` is what the provider told of that.
fn busy<P: MailProtocol>(
    relay: &Relay,
    account: &Account,
    said: Option<&SignInError>,
    attempt: &mut Attempt<'_>,
) -> Refusal {
    let refusal = Refusal::MailboxBusy;
    attempt.refuse(&refusal);
    if let Some(trouble) = said.and_then(|error| error.trouble(P::PROTOCOL)) {
        let Trouble { reply, cause, fix, .. } = &trouble;
        let account = account.name();
        warn!(account = account.as_str(), refusal = refusal.kind(), reply, cause, fix, "refused");
        relay.troubles().refused(account, trouble);
        return refusal;
    }
    let hint = "see `concurrent_sessions` of the provider and `limits.wait_for_slot`; let clients of \
                this mailbox open fewer connections, or give some of them another mailbox";
    warn!(account = account.name().as_str(), refusal = refusal.kind(), hint, "refused");
    refusal
}

/// The user name that the provider told at consent, where the file names no `mailbox`.
///
/// Exchange Online takes a token for submission only under its own user principal name, which need
/// not be an address of the mailbox; for IMAP it wants the mailbox.
pub(super) fn told_user<P: MailProtocol>(tokens: &Tokens, account: &Account) -> Option<Username> {
    let settings = account.settings();
    let is_asked = P::PROTOCOL == Protocol::Submission && settings.grant.kind().is_kept();
    let is_open = is_asked && settings.mailbox.submission.is_none();
    is_open.then(|| tokens.user(&settings.grant.id)).flatten()
}

/// Signs in at `destination`, on one of the connections made `ahead` if there is one, and once more
/// where a newer token may mend the refusal of the first. What both `took` is added up.
pub(super) async fn sign_in<P: MailProtocol>(
    tokens: &Tokens,
    account: &Account,
    destination: &Destination<'_>,
    ahead: &mut impl Ahead<Awaiting<P>>,
    deadline: Instant,
    took: &mut Took,
) -> Result<upstream::SignedIn<Welcome<P>>, SignInError> {
    let settings = account.settings();
    let grant = &settings.grant.for_mailbox(destination.mailbox);
    let scopes = settings.scopes.get(P::PROTOCOL);
    let machine = P::upstream(destination.host.tls, destination.mechanism);
    let mut shown = None;
    let token = async {
        let token = tokens.access_token(grant, scopes).await?;
        Ok(shown.insert(token).access_token.clone())
    };
    let first = upstream::sign_in(destination, machine, ahead, token, took).await;
    let (refused, shown) = match (first, shown) {
        (Err(refused), Some(shown)) if refused.may_be_mended_by_a_token() => (refused, shown),
        (outcome, _) => return outcome,
    };
    let again = sign_in_again::<P>(tokens, account, destination, (refused, &shown), took);
    let timed_out = SignInError::TimedOut { host: destination.host.to_string() };
    timeout_at(deadline, again).await.unwrap_or(Err(timed_out))
}

/// Signs in at `destination` with a newer token than the one that was refused, if one can be had.
/// What that `took` is added.
pub(super) async fn sign_in_again<P: MailProtocol>(
    tokens: &Tokens,
    account: &Account,
    destination: &Destination<'_>,
    (refused, shown): (SignInError, &Token),
    took: &mut Took,
) -> Result<upstream::SignedIn<Welcome<P>>, SignInError> {
    let settings = account.settings();
    let grant = &settings.grant.for_mailbox(destination.mailbox);
    let scopes = settings.scopes.get(P::PROTOCOL);
    let asked_at = Instant::now();
    let newer = tokens.renewed(grant, scopes, shown, account.name(), P::PROTOCOL).await;
    took.add(Took { token: Some(asked_at.elapsed()), ..Took::default() });
    match newer {
        Ok(Some(newer)) => {
            let (account, cause) = (account.name().as_str(), refused.to_string());
            info!(account, cause, "token refused, a newer one is tried");
            let machine = P::upstream(destination.host.tls, destination.mechanism);
            let token = async { Ok(newer.access_token) };
            upstream::sign_in(destination, machine, &mut (), token, took).await
        }
        Ok(None) => Err(refused),
        Err(error) => match error.kind {
            ErrorKind::Consent | ErrorKind::Temporary => Err(error.into()),
            // The provider gave a token a moment ago, so its refusal tells more.
            ErrorKind::Admin | ErrorKind::Configuration => Err(refused),
        },
    }
}
