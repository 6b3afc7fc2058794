//! Consent, from the first request to the first token, at the stand-in provider.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, in its helpers, too")]

use std::sync::Arc;

use mailbearer::names::{AccountPattern, Username};
use mailbearer::oauth::{
    AuthorizeError, Authorized, CodeRequest, RedirectError, Redirected, Tokens,
};
use mailbearer::provider::{Grant, Protocol};
use mailbearer::sandbox::{Conduct, Rotation, Sandbox, SandboxSettings, Told};
use mailbearer::secret::ExposeSecret as _;
use mailbearer::store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REDIRECT: &str = "http://localhost:41235";

struct Rig {
    provider: Sandbox,
    grant: Arc<Grant>,
    store: Store,
    tokens: Tokens,
}

fn alice() -> Username {
    Username::parse("alice@example.com").unwrap()
}

fn scopes() -> Vec<String> {
    let of = [Protocol::Submission, Protocol::Imap].map(Sandbox::scope);
    of.into_iter().chain(["openid".to_owned()]).collect()
}

impl Rig {
    async fn start() -> Self {
        let settings = SandboxSettings {
            rotation: Rotation::Keep,
            ..SandboxSettings::new(vec![AccountPattern::parse("*@example.com").unwrap()])
        };
        let provider = Sandbox::start(settings).await.unwrap();
        let store = Store::in_memory();
        let tokens = Tokens::new(store.clone());
        Self { grant: Arc::new(provider.kept_grant(&alice())), provider, store, tokens }
    }

    fn kept(&self) -> Option<String> {
        let stored = self.store.load(&self.grant.id);
        stored.map(|stored| stored.refresh_token.expose_secret().to_owned())
    }

    /// What the browser brings back for a new request, and the request.
    async fn answer(&self) -> (CodeRequest, String) {
        let (scopes, alice) = (scopes(), alice());
        let request = self.tokens.code_request(&self.grant, &scopes, REDIRECT, &alice);
        let request = request.await.unwrap();
        let back = browse(request.url()).await;
        let (uri, query) = back.split_once('?').unwrap();
        assert_eq!(uri.trim_end_matches('/'), REDIRECT);
        (request, query.to_owned())
    }

    async fn redeem(
        &self,
        request: CodeRequest,
        query: &str,
    ) -> Result<Authorized, AuthorizeError> {
        let redirected = Redirected::parse(query).unwrap();
        self.tokens.redeem(&self.grant, &scopes(), request, redirected, &[alice()]).await
    }

    async fn consent(&self, conduct: Conduct) -> Result<Authorized, AuthorizeError> {
        self.provider.set_conduct(conduct);
        let (request, query) = self.answer().await;
        self.redeem(request, &query).await
    }
}

/// Gets `url`; gives where it redirects to.
async fn browse(url: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
    location.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn consent_by_browser_brings_tokens_and_can_be_given_back() {
    let rig = Rig::start().await;
    let authorized = rig.consent(Conduct::default()).await.unwrap();
    assert_eq!(authorized, Authorized { user: Some(alice()), missing: vec![], unsaved: None });
    assert!(rig.kept().unwrap().starts_with("sandbox-refresh-"));
    let imap = [Sandbox::scope(Protocol::Imap)];
    rig.tokens.access_token(&rig.grant, &imap).await.unwrap();
    assert_eq!(rig.provider.refreshes(), 1);
    rig.tokens.revoke(&rig.grant).await.unwrap();
    assert_eq!(rig.kept(), None);
}

#[tokio::test]
async fn code_that_is_replayed_is_not_kept_and_ends_what_came_of_it() {
    let rig = Rig::start().await;
    let (first, query) = rig.answer().await;
    rig.redeem(first, &query).await.unwrap();
    let kept = rig.kept();
    let (second, own) = rig.answer().await;
    let error = rig.redeem(second, &query).await.unwrap_err();
    assert_eq!(error, RedirectError::Foreign.into(), "it has the first one's state");
    let (third, _) = rig.answer().await;
    let code = query.split('&').find(|pair| pair.starts_with("code=")).unwrap();
    let iss = own.split('&').find(|pair| pair.starts_with("iss=")).unwrap();
    let replayed = format!("{code}&state={}&{iss}", third.state());
    let error = rig.redeem(third, &replayed).await.unwrap_err();
    assert!(error.to_string().contains("does not take the code (invalid_grant)"), "{error}");
    assert_eq!(rig.kept(), kept);
    // RFC 6749 section 4.1.2: the provider has to hold the code for stolen.
    let imap = [Sandbox::scope(Protocol::Imap)];
    rig.tokens.access_token(&rig.grant, &imap).await.unwrap_err();
}

#[tokio::test]
async fn code_is_good_for_nobody_else_than_who_asked_for_it() {
    let rig = Rig::start().await;
    let (_, stolen) = rig.answer().await;
    let (thief, own) = rig.answer().await;
    let pair = |query: &str, name: &str| {
        query.split('&').find(|pair| pair.starts_with(name)).unwrap().to_owned()
    };
    let query = [pair(&stolen, "code="), pair(&own, "state="), pair(&own, "iss=")].join("&");
    let error = rig.redeem(thief, &query).await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "the verifier differs: {error}");
    assert_eq!(rig.kept(), None);
}

#[tokio::test]
async fn consent_is_kept_only_as_far_as_the_person_meant_it() {
    let rig = Rig::start().await;
    let mallory = Username::parse("mallory@example.com").unwrap();
    let wrong = Conduct { user: Some(mallory), ..Conduct::default() };
    let error = rig.consent(wrong).await.unwrap_err();
    assert_eq!(error.to_string(), "mallory@example.com consented, not alice@example.com");

    let denied = Conduct { denies: true, ..Conduct::default() };
    let error = rig.consent(denied).await.unwrap_err();
    assert!(error.to_string().contains("the consent was declined (access_denied)"), "{error}");

    let all = vec![Protocol::Submission, Protocol::Imap];
    for (conduct, expected) in [
        (Conduct { issuer: Told::Wrong, ..Conduct::default() }, RedirectError::Issuer.into()),
        (Conduct { issuer: Told::Nothing, ..Conduct::default() }, RedirectError::Issuer.into()),
        (Conduct { state: Told::Wrong, ..Conduct::default() }, RedirectError::Foreign.into()),
        (Conduct { state: Told::Nothing, ..Conduct::default() }, RedirectError::Foreign.into()),
        (
            Conduct { withholds_refresh_token: true, ..Conduct::default() },
            AuthorizeError::NoRefreshToken,
        ),
    ] {
        assert_eq!(rig.consent(conduct).await.unwrap_err(), expected);
    }
    let error = rig.consent(Conduct { unticked: all, ..Conduct::default() }).await.unwrap_err();
    assert!(matches!(error, AuthorizeError::NotGranted { .. }), "{error:?}");
    assert_eq!(rig.kept(), None);

    let unticked = vec![Protocol::Submission];
    let authorized = rig.consent(Conduct { unticked, ..Conduct::default() }).await.unwrap();
    assert_eq!(authorized.missing, [Sandbox::scope(Protocol::Submission)]);
    let submission = [Sandbox::scope(Protocol::Submission)];
    rig.tokens.access_token(&rig.grant, &submission).await.unwrap_err();
    let imap = [Sandbox::scope(Protocol::Imap)];
    rig.tokens.access_token(&rig.grant, &imap).await.unwrap();
}
