//! A scene: tokens, an endpoint that answers by script, and a store that can be made to fail; none
//! of them with a socket or a disk, so that time can be paused.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::oauth::discovery::Located;
use crate::oauth::grant::{Answer as Given, Asked, By, DeviceAnswer, Issued, Issuer};
use crate::oauth::ledger::{GrantStore, Ledger};
use crate::store::{Health, StoreError, StoredGrant};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// What an endpoint says to its request of this number, from 1, for these scopes.
pub(super) type Say = dyn FnMut(usize, &[String]) -> Result<Given, TokenError> + Send;

/// One request as the endpoint saw it.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) scopes: Vec<String>,
    /// Those that it named.
    pub(super) named: Vec<String>,
    pub(super) refresh_token: Option<String>,
    /// When it came.
    pub(super) at: Instant,
}

pub(super) struct Script {
    say: Mutex<Box<Say>>,
    latency: Mutex<Duration>,
    /// What counts for one endpoint instead.
    latencies: Mutex<HashMap<String, Duration>>,
    requests: Mutex<Vec<Request>>,
    running: AtomicUsize,
    pub(super) overlapped: AtomicBool,
    /// How many there were at once at most.
    pub(super) at_once: AtomicUsize,
    revocation: Mutex<Result<(), TokenError>>,
    /// How long device codes live, and the interval between polls.
    device: Mutex<(Duration, Duration)>,
    events: Events,
}

type Events = Arc<Mutex<Vec<String>>>;

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Issuer for Script {
    fn issue<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        scopes: &'a [String],
        by: By<'a>,
    ) -> Asked<'a, Given> {
        Box::pin(async move {
            let refresh_token = match by {
                By::RefreshToken { token, .. } => Some(token.expose_secret().to_owned()),
                By::Itself | By::Code(_) | By::DeviceCode(_) => None,
            };
            let event = match by {
                By::RefreshToken { .. } | By::Itself => format!("request {refresh_token:?}"),
                By::Code(redemption) => format!("code {:?}", redemption.code.expose_secret()),
                By::DeviceCode(code) => format!("poll {:?}", code.expose_secret()),
            };
            self.events.lock().unwrap().push(event);
            let number = {
                let mut requests = self.requests.lock().unwrap();
                let at = Instant::now();
                let named = match by {
                    By::RefreshToken { named, .. } => named.to_vec(),
                    By::Itself | By::Code(_) | By::DeviceCode(_) => scopes.to_vec(),
                };
                requests.push(Request { scopes: scopes.to_vec(), named, refresh_token, at });
                requests.len()
            };
            let others = self.running.fetch_add(1, Ordering::SeqCst);
            self.at_once.fetch_max(others + 1, Ordering::SeqCst);
            if others > 0 {
                self.overlapped.store(true, Ordering::SeqCst);
            }
            let own = self.latencies.lock().unwrap().get(grant.source()).copied();
            let latency = own.unwrap_or(*self.latency.lock().unwrap());
            sleep(latency).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            (self.say.lock().unwrap())(number, scopes)
        })
    }

    fn locate<'a>(&'a self, grant: &'a Arc<Grant>) -> Asked<'a, Arc<Located>> {
        let server = &grant.server;
        let located = Located {
            token: server.token_endpoint.clone().unwrap(),
            authorization: server.authorization_endpoint.clone(),
            device_authorization: server.device_authorization_endpoint.clone(),
            revocation: server.revocation_endpoint.clone(),
            issuer: server.issuer.clone(),
            tells_issuer: server.tells_issuer,
        };
        Box::pin(async { Ok(Arc::new(located)) })
    }

    fn begin_device<'a>(
        &'a self,
        _grant: &'a Arc<Grant>,
        _scopes: &'a [String],
    ) -> Asked<'a, DeviceAnswer> {
        let (expires_in, interval) = *self.device.lock().unwrap();
        Box::pin(async move {
            Ok(DeviceAnswer {
                device_code: "d3vice-code".into(),
                user_code: "WDJB-MJHT".to_owned(),
                verification_uri: "https://login.example/device".to_owned(),
                verification_uri_complete: None,
                expires_in,
                interval,
            })
        })
    }

    fn revoke<'a>(
        &'a self,
        grant: &'a Arc<Grant>,
        refresh_token: &'a RefreshToken,
    ) -> Asked<'a, bool> {
        if grant.server.revocation_endpoint.is_none() {
            return Box::pin(async { Ok(false) });
        }
        let event = format!("revoke {:?}", refresh_token.expose_secret());
        self.events.lock().unwrap().push(event);
        let outcome = self.revocation.lock().unwrap().clone();
        let latency = *self.latency.lock().unwrap();
        Box::pin(async move {
            sleep(latency).await;
            outcome.map(|()| true)
        })
    }
}

/// A store in memory whose disk fails on demand.
#[derive(Debug)]
pub(super) struct Disk {
    store: Store,
    fails: AtomicBool,
    unsaved: Mutex<HashSet<GrantId>>,
    pub(super) answer_was_lost: AtomicBool,
    /// How often something was read.
    pub(super) loads: AtomicUsize,
    events: Events,
}

impl Disk {
    fn write(&self, event: &str) -> Result<(), StoreError> {
        let fails = self.fails.load(Ordering::SeqCst);
        self.events.lock().unwrap().push(format!("{event}{}", if fails { " fails" } else { "" }));
        if fails { Err(StoreError::Io { problem: "the disk is full".into() }) } else { Ok(()) }
    }
}

impl GrantStore for Disk {
    fn load(&self, grant: &GrantId) -> Option<StoredGrant> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.store.load(grant)
    }

    fn list(&self) -> Vec<StoredGrant> {
        GrantStore::list(&self.store)
    }

    fn lease(&self, _grant: &GrantId) -> Result<(), StoreError> {
        self.write("lease")
    }

    fn release(&self, _grant: &GrantId) {
        self.events.lock().unwrap().push("release".into());
    }

    fn lose_answer(&self, _grant: &GrantId) {
        self.events.lock().unwrap().push("lose answer".into());
        self.answer_was_lost.store(true, Ordering::SeqCst);
    }

    fn answer_was_lost(&self, _grant: &GrantId) -> bool {
        self.answer_was_lost.load(Ordering::SeqCst)
    }

    fn commit(&self, grant: &GrantId, stored: &StoredGrant) -> Result<(), StoreError> {
        self.store.commit(grant, stored).unwrap();
        self.answer_was_lost.store(false, Ordering::SeqCst);
        let token = stored.refresh_token.expose_secret();
        let refused = if stored.refused.is_some() { " refused" } else { "" };
        let written = self.write(&format!("commit {token}{refused}"));
        let mut unsaved = self.unsaved.lock().unwrap();
        match &written {
            Ok(()) => unsaved.clear(),
            Err(_) if stored.refused.is_some() => {}
            Err(_) => drop(unsaved.insert(grant.clone())),
        }
        written
    }

    fn remove(&self, grant: &GrantId) -> Result<(), StoreError> {
        self.store.remove(grant).unwrap();
        self.write("remove")
    }

    fn is_unsaved(&self, grant: &GrantId) -> bool {
        self.unsaved.lock().unwrap().contains(grant)
    }

    fn health(&self) -> Health {
        if self.unsaved.lock().unwrap().is_empty() {
            Health::Saved
        } else {
            Health::Unsaved { problem: "the disk is full".into() }
        }
    }

    fn save(&self) -> Result<(), StoreError> {
        self.write("save")?;
        self.unsaved.lock().unwrap().clear();
        Ok(())
    }
}

pub(super) struct Scene {
    pub(super) tokens: Tokens,
    pub(super) script: Arc<Script>,
    pub(super) disk: Arc<Disk>,
    pub(super) grant: Arc<Grant>,
    events: Events,
}

impl Scene {
    /// An application's grant, at an endpoint whose tokens live an hour.
    pub(super) fn application() -> Self {
        Self::of(Grant::of_application().by(|client| client.auth = ClientAuth::None))
    }

    /// Alice's consent, kept as `refresh-0`; each answer brings the next one.
    pub(super) fn person() -> Self {
        let scene = Self::nobody();
        scene.keep("refresh-0", crate::clock::unix_time());
        scene
    }

    /// Alice's account, without a consent.
    pub(super) fn nobody() -> Self {
        let mut grant =
            Grant::of_person(alice().as_str()).by(|client| client.auth = ClientAuth::None);
        grant.server.revocation_endpoint = Some("https://login.example/revoke".into());
        Self::of(grant)
    }

    pub(super) fn of(grant: Grant) -> Self {
        let events = Events::default();
        let script = Arc::new(Script {
            say: Mutex::new(Box::new(|number, _| Ok(given(number, HOUR)))),
            latency: Mutex::new(Duration::ZERO),
            latencies: Mutex::default(),
            requests: Mutex::default(),
            running: AtomicUsize::new(0),
            overlapped: AtomicBool::new(false),
            at_once: AtomicUsize::new(0),
            revocation: Mutex::new(Ok(())),
            device: Mutex::new((15 * MINUTE, 5 * SECOND)),
            events: Arc::clone(&events),
        });
        let disk = Arc::new(Disk {
            store: Store::in_memory(),
            fails: AtomicBool::new(false),
            unsaved: Mutex::default(),
            answer_was_lost: AtomicBool::new(false),
            loads: AtomicUsize::new(0),
            events: Arc::clone(&events),
        });
        let issuer: Arc<dyn Issuer> = Arc::<Script>::clone(&script);
        let store: Arc<dyn GrantStore> = Arc::<Disk>::clone(&disk);
        let tokens = Tokens(Arc::new(Desk::new(issuer, Ledger::new(store))));
        Self { tokens, script, disk, grant: Arc::new(grant), events }
    }

    /// Puts Alice's consent into the store.
    pub(super) fn keep(&self, refresh_token: &str, refreshed_at: Duration) {
        self.keep_for(&self.grant.id, refresh_token, refreshed_at);
    }

    /// Puts the consent of `whom` into the store.
    pub(super) fn keep_for(&self, whom: &GrantId, refresh_token: &str, refreshed_at: Duration) {
        let stored = self.stored(refresh_token, refreshed_at);
        self.disk.store.commit(whom, &stored).unwrap();
    }

    /// A consent as it is kept, of this scene's grant.
    pub(super) fn stored(&self, refresh_token: &str, refreshed_at: Duration) -> StoredGrant {
        StoredGrant {
            refresh_token: RefreshToken::parse(refresh_token).unwrap(),
            client_id: self.grant.client_id().to_owned(),
            token_endpoint: self.grant.source().to_owned(),
            user: None,
            consented_at: refreshed_at,
            refreshed_at,
            ends_at: None,
            refused: None,
            shortfall: None,
        }
    }

    /// Puts `stored` into the store.
    pub(super) fn put(&self, stored: &StoredGrant) {
        self.disk.store.commit(&self.grant.id, stored).unwrap();
    }

    /// Puts `stored` into the store as the consent of `whom`.
    pub(super) fn put_for(&self, whom: &GrantId, stored: &StoredGrant) {
        self.disk.store.commit(whom, stored).unwrap();
    }

    /// What is kept.
    pub(super) fn kept(&self) -> Option<StoredGrant> {
        self.disk.store.load(&self.grant.id)
    }

    /// The refresh token that is kept.
    pub(super) fn kept_token(&self) -> String {
        self.kept().unwrap().refresh_token.expose_secret().to_owned()
    }

    /// The endpoint answers so from now on.
    pub(super) fn say(
        &self,
        mut say: impl FnMut(usize) -> Result<Given, TokenError> + Send + 'static,
    ) {
        self.say_for(move |number, _| say(number));
    }

    /// The endpoint answers so to requests for these scopes from now on.
    pub(super) fn say_for(
        &self,
        say: impl FnMut(usize, &[String]) -> Result<Given, TokenError> + Send + 'static,
    ) {
        *self.script.say.lock().unwrap() = Box::new(say);
    }

    /// The endpoint answers with this error from now on.
    pub(super) fn fail(&self, error: &TokenError) {
        let error = error.clone();
        self.say(move |_| Err(error.clone()));
    }

    /// The endpoint gives tokens that live so long from now on.
    pub(super) fn give(&self, life: Duration) {
        self.say(move |number| Ok(given(number, life)));
    }

    /// The endpoint takes so long from now on.
    pub(super) fn latency(&self, latency: Duration) {
        *self.script.latency.lock().unwrap() = latency;
    }

    /// The endpoint of `grant` takes so long from now on, whatever the others take.
    pub(super) fn latency_of(&self, grant: &Grant, latency: Duration) {
        self.script.latencies.lock().unwrap().insert(grant.source().to_owned(), latency);
    }

    /// The disk fails, or no longer does.
    pub(super) fn disk_fails(&self, fails: bool) {
        self.disk.fails.store(fails, Ordering::SeqCst);
    }

    /// The revocation endpoint answers so from now on.
    pub(super) fn revocation(&self, outcome: Result<(), TokenError>) {
        *self.script.revocation.lock().unwrap() = outcome;
    }

    /// Device codes live so long from now on, and may be asked for so often.
    pub(super) fn device(&self, life: Duration, interval: Duration) {
        *self.script.device.lock().unwrap() = (life, interval);
    }

    /// Asks for a token for `scope`.
    pub(super) async fn token_for(&self, scope: &str) -> Result<Token, TokenError> {
        self.tokens.access_token(&self.grant, &[scope.to_owned()]).await
    }

    /// Asks for a token as a sign-in does, and gives its text.
    pub(super) async fn ask(&self) -> Result<String, TokenError> {
        let token = self.token_for("mail").await;
        token.map(|token| token.access_token.expose_secret().to_owned())
    }

    /// Asks for a newer token than `refused`, as Alice's session does.
    pub(super) async fn renewed(
        &self,
        scope: &str,
        refused: &Token,
    ) -> Result<Option<Token>, TokenError> {
        self.tokens
            .renewed(&self.grant, &[scope.to_owned()], refused, &alice(), Protocol::Imap)
            .await
    }

    /// Wants the grant with the scope of [`Self::ask`].
    pub(super) fn want(&self) {
        let grant = Arc::clone(&self.grant);
        self.tokens.want(vec![Wanted { grant, scopes: vec![vec!["mail".to_owned()]] }]);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.script.requests.lock().unwrap().clone()
    }

    pub(super) fn request_count(&self) -> usize {
        self.script.requests.lock().unwrap().len()
    }

    /// What endpoint and disk have seen since the last call, in order.
    pub(super) fn events(&self) -> Vec<String> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    pub(super) fn status(&self) -> GrantStatus {
        self.tokens.status(&self.grant)
    }
}

pub(super) fn alice() -> Username {
    Username::parse("alice@contoso.com").unwrap()
}

/// The answer of this number: `token-N`, and for a person `refresh-N`.
pub(super) fn given(number: usize, life: Duration) -> Given {
    let token = AccessToken::parse(&format!("token-{number}")).unwrap();
    Given {
        issued: Ok(Issued { token, life }),
        refresh_token: RefreshToken::parse(&format!("refresh-{number}")),
        refresh_token_life: None,
        user: None,
        missing: Some(Vec::new()),
        is_unnamed: false,
    }
}

pub(super) fn outage() -> TokenError {
    TokenError::temporary("login.example", "HTTP 503")
}

/// What the table says of `error` to Alice's grant.
pub(super) fn refusal(error: &str) -> TokenError {
    let said = ProviderError::kept(error, None);
    verdict::judge("login.example", &GrantId::Account(alice()), said)
}
