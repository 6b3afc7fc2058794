//! The desk: where callers wait for tokens, and the requests are made that they wait for.
//!
//! A request runs in a task of its own: whoever gives up waiting neither ends it nor wastes it.
//!
//! Order within a request for a kept grant: its turn; the grant as it is kept now; the lease; the
//! request; the commit; and only then the token is given to anybody. What comes with an answer is
//! committed before anything else is done with it, because the refresh token that was used may be
//! good for nothing from that moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use super::cache::{Boarding, Cache, Need, Rest, Spare, Ticket};
use super::endpoint::{DEADLINE, host_of};
use super::error::{ErrorKind, Reach, TokenError};
use super::grant::{Answer, By, Issued, Issuer};
use super::insistence::Insistence;
use super::ledger::{Entry, Ledger};
use super::meter::Meter;
use super::moment::Moment;
use super::places::{Place, Places};
use super::shown::Shown;
use super::slot::Key;
use super::{Token, Wanted, forecast, shortfall, verdict};
use crate::clock;
use crate::provider::{Grant, GrantId};
use crate::store::{StoreError, StoredGrant, StoredRefusal};

/// How long a caller waits at most: for the end of a pause, another request's turn and its own
/// together. A client has to hear of a failure within 20 s.
const CALLER_WAITS_MAX: Duration = Duration::from_secs(19);

/// How long shutdown waits for requests under way: as long as one may take, and a disk after it.
const SETTLED_WITHIN: Duration = DEADLINE.saturating_add(Duration::from_secs(2));

/// What all clones of [`super::Tokens`] share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) cache: Cache,
    pub(super) ledger: Ledger,
    pub(super) issuer: Arc<dyn Issuer>,
    pub(super) insistence: Insistence,
    pub(super) meter: Meter,
    pub(super) wanted: Mutex<Arc<[Wanted]>>,
    /// Told when something falls due sooner than it did.
    pub(super) changed: Notify,
    /// The requests under way.
    pub(super) requests: TaskTracker,
    /// Places for those that nobody waits for.
    pub(super) places: Places,
}

/// Why a request brought no token.
struct Failure {
    error: TokenError,
    rest: Rest,
}

impl Desk {
    pub(super) fn new(issuer: Arc<dyn Issuer>, ledger: Ledger) -> Self {
        Self {
            cache: Cache::default(),
            ledger,
            issuer,
            insistence: Insistence::default(),
            meter: Meter::default(),
            wanted: Mutex::new(Arc::new([])),
            changed: Notify::new(),
            requests: TaskTracker::new(),
            places: Places::default(),
        }
    }

    /// A token for `need`; `None` where `may_ask` does not allow the request that it takes.
    pub(super) async fn token(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        need: Need,
        may_ask: impl Fn() -> bool,
    ) -> Result<Option<Token>, TokenError> {
        if let (Need::Fresh, Some(token)) = (need, self.cache.fresh(grant, scopes)) {
            return Ok(Some(token));
        }
        let waiting = self.wait(grant, scopes, need, may_ask);
        timeout(CALLER_WAITS_MAX, waiting).await.unwrap_or_else(|_| {
            let reason = "its answer takes too long";
            Err(TokenError::temporary(&host_of(grant.source()), reason))
        })
    }

    async fn wait(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        scopes: &[String],
        need: Need,
        may_ask: impl Fn() -> bool,
    ) -> Result<Option<Token>, TokenError> {
        let key = Key::new(grant, scopes);
        let mut flight = loop {
            match self.cache.board(&key, need, &may_ask) {
                Boarding::Token(token) => return Ok(Some(token)),
                Boarding::Flight(flight) => break flight,
                Boarding::Ticket(ticket, flight) => {
                    self.launch(ticket, grant, scopes, None);
                    break flight;
                }
                Boarding::Wait(until) => sleep_until(until).await,
                Boarding::Fail(error) => match Shown::now(grant).await {
                    Some(shown) if self.cache.is_corrected(&key, &shown) => {}
                    Some(_) | None => return Err(error),
                },
                Boarding::NotAllowed => return Ok(None),
            }
        };
        let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        let host = || host_of(grant.source());
        match outcome.unwrap_or_else(|| Err(TokenError::temporary(&host(), "it was cut off"))) {
            Err(error) if error.is_temporary() => {
                self.cache.spare(&key, need).map(Some).ok_or(error)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Makes the request of `ticket` in a task of its own, which keeps `place` as long as it runs.
    pub(super) fn launch(
        self: &Arc<Self>,
        ticket: Ticket,
        grant: &Arc<Grant>,
        scopes: &[String],
        place: Option<Place>,
    ) {
        let (desk, grant, scopes) = (Arc::clone(self), Arc::clone(grant), scopes.to_vec());
        self.requests.spawn(async move {
            let outcome = desk.fly(&ticket, &grant, &scopes).await;
            let _ = ticket.land.send(Some(outcome));
            // The keeper finds it free.
            drop(place);
            desk.changed.notify_one();
        });
    }

    async fn fly(
        &self,
        ticket: &Ticket,
        grant: &Arc<Grant>,
        scopes: &[String],
    ) -> Result<Token, TokenError> {
        let _turn = ticket.turn.lock().await;
        if let Some(outcome) = self.cache.overtaken(ticket) {
            return outcome;
        }
        // Before any of it is read, so that whatever is corrected from now on counts.
        let shown = Shown::now(grant).await;
        let asked_at = Moment::now();
        let asked = if let Some(error) = self.ending(grant) {
            Err(Failure { error, rest: Rest::Nothing })
        } else if grant.kind().is_kept() {
            self.refresh(ticket, grant, scopes).await
        } else {
            let asked = self.issuer.issue(grant, scopes, By::Itself).await;
            let issued = asked.and_then(|answer| answer.issued);
            issued.map_err(|error| Failure { error, rest: pause(false) })
        };
        let failure = asked.as_ref().err().map(|failure| failure.error.kind);
        self.meter.count(grant.kind(), failure);
        match asked {
            Ok(issued) => Ok(self.cache.publish(&ticket.key, issued, asked_at)),
            Err(Failure { error, rest }) => {
                let message = match self.cache.fail(&ticket.key, &error, rest, shown) {
                    Spare::Used => "token not renewed, the old one is used",
                    Spare::None => "no token",
                };
                error.log(&grant.id, message);
                Err(error)
            }
        }
    }

    /// Uses the refresh token of `grant` once.
    async fn refresh(
        &self,
        ticket: &Ticket,
        grant: &Arc<Grant>,
        scopes: &[String],
    ) -> Result<Issued, Failure> {
        let nobody_asked = |error| Failure { error, rest: Rest::Nothing };
        let kept = self.ledger.load(&grant.id).await;
        let kept = kept.map_err(|error| nobody_asked(unwritable(&error)))?;
        let kept = kept.ok_or_else(|| nobody_asked(unauthorized(&grant.id)))?;
        if let Some(error) = foreign(grant, &kept.stored) {
            return Err(nobody_asked(error));
        }
        if let Err(problem) = self.ledger.lease(&grant.id).await {
            // A token that the upstream has refused bridges nothing.
            if self.cache.spare(&ticket.key, ticket.need).is_some() {
                return Err(Failure { error: unwritable(&problem), rest: Rest::Store });
            }
            error!(
                grant = %grant.id,
                problem = %problem,
                "the store takes no writes: the token is renewed all the same, and a new refresh \
                 token may be in memory alone"
            );
        }
        let refused_before = kept.stored.refused.is_some();
        let named = shortfall::named(kept.stored.shortfall.as_ref(), scopes);
        let by = By::RefreshToken { token: &kept.stored.refresh_token, named: &named };
        let issued = match self.issuer.issue(grant, scopes, by).await {
            Ok(answer) => {
                let before = kept.stored.shortfall.as_ref();
                let shortfall = shortfall::after(before.cloned(), scopes, &named, &answer);
                shortfall::tell(&grant.id, before, shortfall.as_ref());
                let stored = StoredGrant { shortfall, ..kept.stored };
                self.keep_answer(grant, stored, answer).await
            }
            Err(error) => Err(self.keep_error(grant, kept, error).await),
        };
        issued.map_err(|error| Failure { error, rest: pause(refused_before) })
    }

    /// Commits what came with `answer`, and only then looks at its access token.
    async fn keep_answer(
        &self,
        grant: &Grant,
        stored: StoredGrant,
        answer: Answer,
    ) -> Result<Issued, TokenError> {
        let refreshed_at = clock::unix_time();
        let told = answer.refresh_token_life.and_then(|life| refreshed_at.checked_add(life));
        let (refresh_token, ends_at) = match answer.refresh_token {
            Some(newer) => (newer, told),
            None => (stored.refresh_token, told.or(stored.ends_at)),
        };
        let (user, refused) = (stored.user.or(answer.user), None);
        let stored = StoredGrant { refresh_token, refreshed_at, ends_at, user, refused, ..stored };
        // Failure to write it is told by `commit`.
        let _ = self.commit(&grant.id, stored).await;
        answer.issued
    }

    /// Keeps `error` if it says that the refresh token is refused; the token itself is kept in any
    /// case.
    async fn keep_error(&self, grant: &Grant, kept: Entry, mut error: TokenError) -> TokenError {
        let Some(said) = error.said.as_deref().filter(|_| error.refuses_refresh_token()) else {
            if error.is_answer_lost {
                self.ledger.lose_answer(&grant.id).await;
            } else {
                self.ledger.release(&grant.id).await;
            }
            return error;
        };
        let before = kept.stored.refused.as_ref();
        let refused = StoredRefusal {
            at: clock::unix_time(),
            error: said.error().to_owned(),
            aadsts: said.aadsts(),
            after_lost_answer: kept.answer_was_lost
                || before.is_some_and(|refused| refused.after_lost_answer),
        };
        if refused.after_lost_answer {
            add_lost_answer(&mut error);
        }
        let stored = StoredGrant { refused: Some(refused), ..kept.stored };
        forecast::add_age(&mut error, grant, &stored);
        // Failure to write it is told by `commit`.
        let _ = self.commit(&grant.id, stored).await;
        error
    }

    /// Commits `stored`, and tells if it is in memory alone.
    ///
    /// # Errors
    /// When it is in memory alone.
    pub(super) async fn commit(
        &self,
        grant: &GrantId,
        stored: StoredGrant,
    ) -> Result<(), StoreError> {
        let is_refused = stored.refused.is_some();
        let answered_at = Instant::now();
        let committed = self.ledger.commit(grant, stored).await;
        let window_us = answered_at.elapsed().as_micros();
        debug!(grant = %grant, window_us, refused = is_refused, "answer committed");
        match &committed {
            Ok(()) => {}
            Err(problem) if is_refused => {
                warn!(grant = %grant, problem = %problem, "a refusal is in memory alone");
            }
            Err(problem) => {
                error!(
                    grant = %grant,
                    problem = %problem,
                    "the newest refresh token is in memory alone: if the program ends before it \
                     is written, the account may need a new consent"
                );
            }
        }
        if committed.is_err() {
            self.changed.notify_one();
        }
        committed
    }

    /// Waits for the requests under way, 17 s at most: what they bring has to be committed. None
    /// begins any more, not even one whose turn comes now: the end might cut it off. Then tries for
    /// the last time to write what is in memory alone: the next pause would be too long.
    pub(super) async fn settled(&self) {
        self.requests.close();
        if timeout(SETTLED_WITHIN, self.requests.wait()).await.is_err() {
            error!("token requests are still under way: a refresh token may be lost");
        }
        let Err(problem) = self.ledger.save().await else { return };
        warn!(problem = %problem, "the store is not written at the end");
        for Wanted { grant, .. } in self.wanted().iter() {
            if self.ledger.store().is_unsaved(&grant.id) {
                error!(
                    grant = %grant.id,
                    "the program ends with a refresh token that is in memory alone: the account \
                     may need a new consent"
                );
            }
        }
    }

    /// Why no request is made any more, if the program ends.
    pub(super) fn ending(&self, grant: &Grant) -> Option<TokenError> {
        let host = || host_of(grant.source());
        let is_ending = self.requests.is_closed();
        is_ending.then(|| TokenError::temporary(&host(), "mailbearer is ending"))
    }

    /// The grants that the configuration names.
    pub(super) fn wanted(&self) -> Arc<[Wanted]> {
        Arc::clone(&self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn pause(refused_before: bool) -> Rest {
    Rest::Pause { refused_before }
}

/// There is no consent yet.
pub(super) fn unauthorized(grant: &GrantId) -> TokenError {
    let cause = match grant {
        GrantId::Account(account) => format!("nobody has authorized {account} yet"),
        GrantId::Application { .. } | GrantId::ServiceAccount { .. } => {
            format!("nobody has authorized {grant} yet")
        }
    };
    TokenError::consent(grant, cause)
}

/// Why the consent that is kept is not for `grant` as the configuration has it now, if it is not.
pub(super) fn foreign(grant: &Grant, stored: &StoredGrant) -> Option<TokenError> {
    let other = if stored.token_endpoint != grant.source() {
        format!("by the endpoint {}", host_of(&stored.token_endpoint))
    } else if stored.client_id != grant.client_id() {
        "to another client".to_owned()
    } else {
        return None;
    };
    let cause = format!("the consent that is kept was given {other}, not as the file has it now");
    Some(TokenError::consent(&grant.id, cause))
}

/// The store stands in the way of a request.
fn unwritable(problem: &StoreError) -> TokenError {
    TokenError {
        kind: ErrorKind::Temporary,
        reach: Reach::Grant,
        cause: "the refresh token is not used while a new one could not be kept".to_owned(),
        fix: problem.to_string(),
        said: None,
        retry_after: None,
        is_answer_lost: false,
    }
}

/// Adds to `error` that a lost answer, and nobody at the provider, may have ended the consent.
pub(super) fn add_lost_answer(error: &mut TokenError) {
    error.cause.push_str(
        "; the answer to an earlier request was lost, because mailbearer was ended or the connection \
         broke, and maybe a newer refresh token with it",
    );
}

/// What the refusal in `stored` means.
pub(super) fn refusal_of(grant: &Grant, stored: &StoredGrant) -> Option<TokenError> {
    let refused = stored.refused.as_ref()?;
    let said = super::ProviderError::kept(&refused.error, refused.aadsts);
    let mut error = verdict::judge(&host_of(grant.source()), &grant.id, said);
    if refused.after_lost_answer {
        add_lost_answer(&mut error);
    }
    forecast::add_age(&mut error, grant, stored);
    Some(error)
}
