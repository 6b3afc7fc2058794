//! The verdict on a claim: local password, then token beside dialling, then the provider's own.
//!
//! Where the provider refuses a token that a newer one may mend, it is shown a newer one on one new
//! connection, whose outcome counts. The client hears of the outcome alone.

use std::future::ready;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{Span, info, warn};

use super::listener::Listener;
use super::protocol::{MailProtocol, Welcome};
use super::upstream::{self, Destination, SignInError};
use crate::account::directory::Account;
use crate::account::password::{LocalRefusal, Origin, Peer, SignedIn};
use crate::names::Username;
use crate::oauth::{ErrorKind, Token, Tokens};
use crate::proto::Claim;
use crate::provider::Protocol;
use crate::refusal::{Refusal, Unavailable};

/// What to look at when a client is refused for its name or its password. Which of the two it was,
/// nobody is told.
const WRONG_PASSWORD_FIX: &str = "compare what the client shows with the account's whole name in the \
                                  file and with what `mailbearer password` printed, which may be \
                                  good for one protocol alone; see `accounts` of the listener, too";

/// When every refused local sign-in is answered, counted from its arrival: neither guessing fast
/// nor measuring the time teaches anything.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// When the client hears at last, counted from the arrival of its claim. The first try has its own
/// bounds, so this cuts the second one short. Legacy clients wait a minute or more for AUTH.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(60);

/// A claim that holds, and the provider's side of its session.
pub(crate) struct Accepted<P: MailProtocol> {
    pub(crate) access: SignedIn,
    pub(crate) upstream: upstream::SignedIn<Welcome<P>>,
}

/// Whether the claim holds; if so the provider's side is signed in.
pub(crate) async fn verdict<P: MailProtocol>(
    listener: &Listener,
    peer: Peer,
    claim: &Claim,
) -> Result<Accepted<P>, Refusal> {
    let received = Instant::now();
    let access = judge::<P>(listener, peer, claim, received).await?;
    let relay = listener.relay();
    let account = access.account();
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
    let told = told_user::<P>(relay.tokens(), account);
    let destination = Destination {
        host,
        tls: listener.service().tls(provider),
        mailbox: told.as_ref().unwrap_or_else(|| account.mailbox(P::PROTOCOL)),
        mechanism: provider.mechanism,
    };
    let deadline = received + VERDICT_TIMEOUT;
    match sign_in::<P>(relay.tokens(), account, &destination, deadline).await {
        Ok(upstream) => {
            relay.tokens().accepted(account.name(), P::PROTOCOL);
            P::learn(relay.records(), host, &upstream.welcome);
            let upstream_ms = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Once in a session: a field that is recorded again would stand twice in the text.
            Span::current().record("account", account.name().as_str());
            info!(provider = provider.name, upstream = %host, upstream_ms, "signed in");
            Ok(Accepted { access, upstream })
        }
        Err(error) => {
            let refusal = error.refusal(account.name(), &account.settings().grant.id);
            let (account, cause, fix) = (account.name().as_str(), error.to_string(), error.fix());
            warn!(account, refusal = refusal.kind(), cause, fix, "refused");
            Err(refusal)
        }
    }
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

/// Whether the client is whom it claims to be, as far as this relay can tell.
async fn judge<P: MailProtocol>(
    listener: &Listener,
    peer: Peer,
    claim: &Claim,
    received: Instant,
) -> Result<SignedIn, Refusal> {
    let origin = Origin { accounts: listener.accounts(), protocol: P::PROTOCOL, peer };
    let directory = listener.service().directory();
    let judged = listener.relay().passwords().sign_in(directory, origin, claim).await;
    let refusal = match judged {
        // A client that was greeted before a reload is let in by what is in force now.
        Ok(access) if listener.admits_still(&access) => return Ok(access),
        Ok(_) | Err(LocalRefusal::Wrong) => Refusal::WrongPassword,
        Err(LocalRefusal::Busy) => Refusal::Unavailable(Unavailable::Overloaded),
        Err(LocalRefusal::Unreadable) => Refusal::Unavailable(Unavailable::LocalPassword),
    };
    let fix = (refusal == Refusal::WrongPassword).then_some(WRONG_PASSWORD_FIX);
    warn!(account = claim.username.as_str(), refusal = refusal.kind(), fix, "refused");
    if refusal == Refusal::WrongPassword {
        sleep_until(received + REFUSAL_DELAY).await;
    }
    Err(refusal)
}

/// Signs in at `destination`, once more where a newer token may mend the refusal of the first.
pub(super) async fn sign_in<P: MailProtocol>(
    tokens: &Tokens,
    account: &Account,
    destination: &Destination<'_>,
    deadline: Instant,
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
    let first = upstream::sign_in(destination, machine, token).await;
    let (refused, shown) = match (first, shown) {
        (Err(refused), Some(shown)) if refused.may_be_mended_by_a_token() => (refused, shown),
        (outcome, _) => return outcome,
    };
    let again = sign_in_again::<P>(tokens, account, destination, (refused, &shown));
    let timed_out = SignInError::TimedOut { host: destination.host.to_string() };
    timeout_at(deadline, again).await.unwrap_or(Err(timed_out))
}

/// Signs in at `destination` with a newer token than the one that was refused, if one can be had.
pub(super) async fn sign_in_again<P: MailProtocol>(
    tokens: &Tokens,
    account: &Account,
    destination: &Destination<'_>,
    (refused, shown): (SignInError, &Token),
) -> Result<upstream::SignedIn<Welcome<P>>, SignInError> {
    let settings = account.settings();
    let grant = &settings.grant.for_mailbox(destination.mailbox);
    let scopes = settings.scopes.get(P::PROTOCOL);
    match tokens.renewed(grant, scopes, shown, account.name(), P::PROTOCOL).await {
        Ok(Some(newer)) => {
            let (account, cause) = (account.name().as_str(), refused.to_string());
            info!(account, cause, "token refused, a newer one is tried");
            let machine = P::upstream(destination.host.tls, destination.mechanism);
            upstream::sign_in(destination, machine, ready(Ok(newer.access_token))).await
        }
        Ok(None) => Err(refused),
        Err(error) => match error.kind {
            ErrorKind::Consent | ErrorKind::Temporary => Err(error.into()),
            // The provider gave a token a moment ago, so its refusal tells more.
            ErrorKind::Admin | ErrorKind::Configuration => Err(refused),
        },
    }
}
