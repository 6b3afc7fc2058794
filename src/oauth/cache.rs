//! Access tokens in memory, each renewed by one request however many sessions wait for it.
//!
//! In:  a key, and how to ask for a new token. Out: a token, or why there is none.
//!
//! A request runs in a task of its own: whoever gives up waiting neither ends it nor wastes it.
//! There are as many entries as the configuration has grants and scope sets; no lock is held while
//! anything is awaited.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::endpoint::host_of;
use super::error::TokenError;
use crate::clock;
use crate::secret::AccessToken;

/// A token with no more than this left is renewed. Google ends a session with its token, so one
/// that is about to end would make a short session.
const LEFT_MIN: Duration = Duration::from_secs(5 * 60);

/// A token with no more than this left is not used even when it cannot be renewed: the upstream
/// might see it expired.
const LEFT_LAST: Duration = Duration::from_secs(30);

/// How long a token that could not be renewed is used before the next attempt, so that an outage
/// does not hold up every sign-in for as long as a request may take.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// Which tokens are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) token_endpoint: String,
    pub(super) client_id: String,
    pub(super) scopes: BTreeSet<String>,
}

/// A token fresh from its endpoint.
pub(super) struct Issued {
    pub(super) token: AccessToken,
    pub(super) life: Duration,
}

/// The tokens. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    slots: Arc<Mutex<HashMap<Key, Slot>>>,
}

/// What is known under one key.
#[derive(Debug, Default)]
struct Slot {
    held: Option<Held>,
    flight: Option<Flight>,
}

/// A request under way, and what came of it once it is over.
type Flight = watch::Receiver<Option<Result<AccessToken, TokenError>>>;

/// What a caller gets at once.
enum Boarding {
    Token(AccessToken),
    Flight(Flight),
}

impl Cache {
    /// The token under `key`: from memory, or by the request under way, or by a new one.
    ///
    /// # Errors
    /// What the request said, to everybody who waited for it. It is not remembered.
    pub(super) async fn token<F, R>(&self, key: Key, ask: F) -> Result<AccessToken, TokenError>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Issued, TokenError>> + Send + 'static,
    {
        let mut flight = match self.board(&key, ask) {
            Boarding::Token(token) => return Ok(token),
            Boarding::Flight(flight) => flight,
        };
        let outcome = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        outcome.unwrap_or_else(|| {
            Err(TokenError::temporary(&host_of(&key.token_endpoint), "the request was cut off"))
        })
    }

    /// Takes the token, or a place on a flight; `ask` is called under the lock and must not wait.
    fn board<F, R>(&self, key: &Key, ask: F) -> Boarding
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Issued, TokenError>> + Send + 'static,
    {
        let mut slots = self.lock();
        let slot = slots.entry(key.clone()).or_default();
        let now = Moment::now();
        if let Some(held) = slot.held.as_ref().filter(|held| held.is_fresh(now)) {
            return Boarding::Token(held.token.clone());
        }
        // The sender is gone without a word only if the request's task was torn down.
        if let Some(flight) = slot.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Boarding::Flight(flight.clone());
        }
        let (land, flight) = watch::channel(None);
        slot.flight = Some(flight.clone());
        let (cache, key, asking) = (self.clone(), key.clone(), ask());
        tokio::spawn(async move {
            let outcome = asking.await;
            // An error means that everybody gave up waiting.
            let _ = land.send(Some(cache.settle(key, now, outcome)));
        });
        Boarding::Flight(flight)
    }

    /// Ends the flight of `key`, which took off at `asked_at`, and says what its passengers get.
    fn settle(
        &self,
        key: Key,
        asked_at: Moment,
        outcome: Result<Issued, TokenError>,
    ) -> Result<AccessToken, TokenError> {
        let grant = key.client_id.clone();
        let mut slots = self.lock();
        let slot = slots.entry(key).or_default();
        slot.flight = None;
        let error = match outcome {
            Ok(issued) => {
                let token = issued.token.clone();
                slot.held = Some(Held::new(issued, asked_at));
                return Ok(token);
            }
            Err(error) => error,
        };
        let now = Moment::now();
        let spare =
            slot.held.as_mut().filter(|held| error.is_temporary() && held.left(now) > LEFT_LAST);
        let spare = spare.map(|held| {
            held.renewal_pauses_until = Some(now.instant + RENEWAL_PAUSE);
            held.token.clone()
        });
        drop(slots);
        if let Some(token) = spare {
            error.log(&grant, "token not renewed, the old one is used");
            Ok(token)
        } else {
            error.log(&grant, "no token");
            Err(error)
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        // Nothing that is done under the lock leaves a slot half changed.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token in memory.
#[derive(Debug)]
struct Held {
    token: AccessToken,
    /// Reckoned from before it was asked for, so never later than the provider means.
    asked_at: Moment,
    life: Duration,
    renewal_pauses_until: Option<Instant>,
}

impl Held {
    fn new(issued: Issued, asked_at: Moment) -> Self {
        let Issued { token, life } = issued;
        Self { token, asked_at, life, renewal_pauses_until: None }
    }

    fn left(&self, now: Moment) -> Duration {
        self.life.saturating_sub(now.since(self.asked_at))
    }

    /// Whether it is used without asking for another.
    fn is_fresh(&self, now: Moment) -> bool {
        let pauses = self.renewal_pauses_until.is_some_and(|until| now.instant < until);
        let needed = if pauses { LEFT_LAST } else { LEFT_MIN.min(self.life / 2) };
        self.left(now) > needed
    }
}

/// A moment by both clocks. The monotonic one stands still while a laptop sleeps, the wall clock
/// can be set back; whichever has gone further counts.
#[derive(Debug, Clone, Copy)]
struct Moment {
    instant: Instant,
    unix_time: Duration,
}

impl Moment {
    fn now() -> Self {
        Self { instant: Instant::now(), unix_time: clock::unix_time() }
    }

    fn since(self, earlier: Self) -> Duration {
        let monotonic = self.instant.saturating_duration_since(earlier.instant);
        monotonic.max(self.unix_time.saturating_sub(earlier.unix_time))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio::time::advance;

    use super::*;
    use crate::secret::ExposeSecret as _;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> Key {
        Key {
            token_endpoint: "https://login.example/token".into(),
            client_id: "client".into(),
            scopes: BTreeSet::new(),
        }
    }

    fn outage() -> TokenError {
        TokenError::temporary("login.example", "HTTP 503")
    }

    fn refusal() -> TokenError {
        TokenError::configuration("no secret", "write one")
    }

    /// A cache, and an endpoint that counts its requests and numbers its tokens.
    #[derive(Default)]
    struct Scene {
        cache: Cache,
        requests: AtomicUsize,
    }

    impl Scene {
        /// Asks at an endpoint that would say `outcome`: a life, or an error.
        async fn ask(&self, outcome: Result<Duration, TokenError>) -> Result<String, TokenError> {
            let asking = || {
                let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
                async move {
                    let token = AccessToken::parse(&format!("token-{number}")).unwrap();
                    outcome.map(|life| Issued { token, life })
                }
            };
            self.cache.token(key(), asking).await.map(|token| token.expose_secret().to_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_used_until_five_minutes_before_its_end() {
        let scene = Scene::default();
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-1");
        advance(HOUR - LEFT_MIN - SECOND).await;
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-1");
        advance(SECOND).await;
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn short_token_is_used_for_half_its_life() {
        let scene = Scene::default();
        let minute = 60 * SECOND;
        assert_eq!(scene.ask(Ok(minute)).await.unwrap(), "token-1");
        advance(29 * SECOND).await;
        assert_eq!(scene.ask(Ok(minute)).await.unwrap(), "token-1");
        advance(SECOND).await;
        assert_eq!(scene.ask(Ok(minute)).await.unwrap(), "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn token_without_life_serves_those_who_waited_for_it_alone() {
        let scene = Scene::default();
        assert_eq!(scene.ask(Ok(Duration::ZERO)).await.unwrap(), "token-1");
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn old_token_is_used_when_it_cannot_be_renewed_for_the_moment() {
        let scene = Scene::default();
        scene.ask(Ok(HOUR)).await.unwrap();
        advance(HOUR - LEFT_MIN).await;
        assert_eq!(scene.ask(Err(outage())).await.unwrap(), "token-1");
        assert_eq!(scene.requests.load(Ordering::SeqCst), 2);

        // The next attempt comes after a pause, and its token is taken.
        advance(RENEWAL_PAUSE - SECOND).await;
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-1");
        assert_eq!(scene.requests.load(Ordering::SeqCst), 2);
        advance(SECOND).await;
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-3");
    }

    #[tokio::test(start_paused = true)]
    async fn old_token_is_not_used_in_its_last_thirty_seconds() {
        let scene = Scene::default();
        scene.ask(Ok(HOUR)).await.unwrap();
        advance(HOUR - LEFT_LAST - SECOND).await;
        assert_eq!(scene.ask(Err(outage())).await.unwrap(), "token-1");
        advance(SECOND).await;
        assert_eq!(scene.ask(Err(outage())).await.unwrap_err(), outage());
    }

    #[tokio::test(start_paused = true)]
    async fn old_token_is_not_used_when_its_renewal_is_refused() {
        let scene = Scene::default();
        scene.ask(Ok(HOUR)).await.unwrap();
        advance(HOUR - LEFT_MIN).await;
        assert_eq!(scene.ask(Err(refusal())).await.unwrap_err(), refusal());
    }

    #[tokio::test(start_paused = true)]
    async fn failure_is_not_remembered() {
        let scene = Scene::default();
        assert_eq!(scene.ask(Err(outage())).await.unwrap_err(), outage());
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-2");
    }

    #[tokio::test(start_paused = true)]
    async fn request_goes_on_when_its_first_caller_gives_up() {
        let cache = Cache::default();
        let gate = Arc::new(Notify::new());
        let at_gate = Arc::clone(&gate);
        let asking = || async move {
            at_gate.notified().await;
            Ok(Issued { token: AccessToken::parse("token-1").unwrap(), life: HOUR })
        };
        tokio::time::timeout(SECOND, cache.token(key(), asking)).await.unwrap_err();
        let second = cache.token(key(), || -> std::future::Pending<_> {
            panic!("a second request is made while the first is under way")
        });
        let (token, ()) = tokio::join!(second, async { gate.notify_one() });
        assert_eq!(token.unwrap().expose_secret(), "token-1");
    }

    #[tokio::test(start_paused = true)]
    async fn request_that_was_torn_down_fails_its_callers_and_leaves_no_trace() {
        let scene = Scene::default();
        let torn = scene.cache.token(key(), || async { panic!("torn down") }).await;
        assert!(torn.unwrap_err().is_temporary());
        assert_eq!(scene.ask(Ok(HOUR)).await.unwrap(), "token-1");
    }

    #[test]
    fn moment_counts_the_clock_that_went_further() {
        let instant = Instant::now();
        let at = |monotonic: u64, wall: u64| Moment {
            instant: instant + Duration::from_secs(monotonic),
            unix_time: Duration::from_secs(wall),
        };
        assert_eq!(at(5, 1005).since(at(0, 1000)), 5 * SECOND);
        assert_eq!(at(5, 4600).since(at(0, 1000)), HOUR, "the machine slept");
        assert_eq!(at(5, 900).since(at(0, 1000)), 5 * SECOND, "the clock was set back");
    }
}
