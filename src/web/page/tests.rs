//! What the page answers, request by request.

use std::collections::BTreeSet;

use axum::body::to_bytes;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HOST};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::*;
use crate::account::AccountSettings;
use crate::account::device::DeviceSettings;
use crate::account::directory::Directory;
use crate::account::password::{Origin, Peer};
use crate::names::{AccountPattern, Username};
use crate::provider::{Grant, GrantId, Protocol};
use crate::relay::troubles::{Trouble, Troubles};
use crate::secret::{SecretSource, SecretString};
use crate::store::StoredShortfall;
use crate::web::control::tests::{accounts, keep, operator};
use crate::web::operator::Serving;

const ADMIN: &str = "planted-admin-token";

/// A page and the one browser before it.
struct Scene {
    page: Page,
    cookie: Option<String>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Scene {
    fn new(admin_token: Option<&str>) -> Self {
        Self::with(operator(people(), None), admin_token)
    }

    fn with(operator: Operator, admin_token: Option<&str>) -> Self {
        Self { page: Page::new(operator, site(admin_token)).unwrap(), cookie: None }
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: &str) -> Answer {
        let mut request = request.header(HOST, "localhost:8587");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(Ends {
            peer: "127.0.0.1".parse().unwrap(),
            local: "127.0.0.1:8587".parse().unwrap(),
            is_tls: false,
        });
        let router = self.page.front.borrow().router.clone();
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for name in ["content-security-policy", "referrer-policy", "cache-control"] {
            assert!(parts.headers.contains_key(name), "{name} of every answer");
        }
        if let Some(cookie) = parts.headers.get(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned());
        }
        let text = to_bytes(body, 1024 * 1024).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    async fn post(&mut self, path: &str, body: &str) -> Answer {
        let form = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header(CONTENT_TYPE, form), body).await
    }

    /// The token of a form on the page at `path`.
    async fn form_token(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        let rest = answer.text.split("name=\"form_token\" value=\"").nth(1).expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    async fn show(&mut self, admin_token: &str) -> Answer {
        let token = self.form_token("/login").await;
        self.post("/login", &format!("form_token={token}&admin_token={admin_token}")).await
    }
}

impl Answer {
    fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }
}

/// Accounts of people: who can be asked in both ways, in none but a browser, and whose consent is
/// another's. And an application's.
fn people() -> Vec<AccountSettings> {
    let mut accounts = accounts("http://127.0.0.1:9/token");
    let alice = accounts.remove(0);
    let like_alice = |name: &str, change: fn(&mut Grant)| {
        let mut account = alice.clone();
        let name = Username::parse(name).unwrap();
        account.name = AccountPattern::Exact(name.clone());
        let grant = Arc::make_mut(&mut account.grant);
        grant.id = GrantId::Account(name);
        grant.server.authorization_endpoint = Some("https://login.example/authorize".to_owned());
        grant.server.device_authorization_endpoint = Some("https://login.example/code".to_owned());
        change(grant);
        account
    };
    accounts.extend([
        like_alice("alice@contoso.com", |_| {}),
        like_alice("bob@gmail.example", |grant| {
            grant.server.no_device_flow = Some("it has none");
        }),
        like_alice("carol@contoso.com", |grant| grant.server.device_authorization_endpoint = None),
        like_alice("shared@contoso.com", |grant| {
            grant.id = GrantId::Account(Username::parse("alice@contoso.com").unwrap());
        }),
    ]);
    accounts
}

fn site(admin_token: Option<&str>) -> Site {
    let token = admin_token.map(|token| SecretSource::Value(SecretString::from(token)));
    Site { admin_token: token.map(|token| AdminToken::new(token).unwrap()), ..Site::default() }
}

#[tokio::test]
async fn accounts_are_shown_with_their_state_and_what_can_be_done() {
    let mut scene = Scene::new(None);
    let answer = scene.get("/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains(">alice@contoso.com</h2>"));
    assert!(answer.text.contains("consent needed"));
    assert!(answer.text.contains("consent, by a button below"), "nobody has consented before");
    assert!(answer.text.contains("consent for alice@contoso.com"), "who shares hers");
    assert!(!answer.text.contains("again"), "{}", answer.text);
    assert!(answer.text.contains("formaction=\"/accounts/alice@contoso.com/authorize\""));
    assert!(answer.text.contains("formaction=\"/accounts/alice@contoso.com/device\""));
    for by_browser_alone in ["bob@gmail.example", "carol@contoso.com"] {
        assert!(answer.text.contains(&format!("/accounts/{by_browser_alone}/authorize")));
        assert!(!answer.text.contains(&format!("/accounts/{by_browser_alone}/device")));
    }
    for none in ["app@contoso.com", "shared@contoso.com", "*@fabrikam.com"] {
        assert!(!answer.text.contains(&format!("/accounts/{none}")), "nobody consents for {none}");
    }
    assert!(answer.text.contains("<dt>Uses the consent of</dt><dd>alice@contoso.com</dd>"));
    assert!(!answer.text.contains("mailbearer authorize"), "there are buttons: {}", answer.text);
    assert!(!answer.text.contains("<script"));
}

#[tokio::test]
async fn buttons_of_one_account_are_told_from_those_of_another_without_looking() {
    let page = Scene::new(None).get("/").await.text;
    let mut buttons = 0;
    for part in page.split("<section>").skip(1) {
        let (_, heading) = part.split_once("<h2 id=\"").unwrap();
        let (id, _) = heading.split_once('"').unwrap();
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        for button in part.split("<button formaction").skip(1) {
            assert!(button.contains(&format!("aria-describedby=\"{id}\"")), "{button}");
            buttons += 1;
        }
    }
    assert_eq!(buttons, 4, "{page}");
}

#[tokio::test]
async fn accounts_are_shown_with_what_a_mail_server_said_and_none_of_it_is_html() {
    let troubles = Arc::new(Troubles::default());
    let trouble = Trouble {
        at: Duration::from_secs(1_795_354_200),
        protocol: Protocol::Submission,
        reply: "554 5.2.2 <b>mailbox full</b>".to_owned(),
        cause: "the mailbox is full".to_owned(),
        fix: "empty Sent Items".to_owned(),
    };
    troubles.note(&Username::parse("scan@fabrikam.com").unwrap(), trouble);
    let reload = tokio::sync::mpsc::channel(1).0;
    let serving =
        Serving { reload, not_ready: Arc::new(Vec::new), troubles, recent: Arc::default() };
    let operator = operator(accounts("http://127.0.0.1:9/token"), Some(serving));
    let page = Scene::with(operator, None).get("/").await.text;
    for shown in [
        "<strong>Mail error</strong> of scan@fabrikam.com by submission on 2026-11-22T13:30:00Z: \
         554 5.2.2 ",
        "<strong>Cause:</strong> the mailbox is full",
        "<strong>What to do:</strong> empty Sent Items",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(page.contains("mailbox full") && !page.contains("<b>"), "{page}");
}

#[tokio::test]
async fn accounts_are_shown_with_their_devices_and_none_of_it_is_html() {
    let name = |name| Username::parse(name).unwrap();
    let device = |device, network: &str, username| DeviceSettings {
        name: name(device),
        account: name("app@contoso.com"),
        networks: vec![network.parse().unwrap()],
        username,
        senders: None,
        messages_per_hour: None,
    };
    let devices = vec![
        device("fax", "192.0.2.0/24", None),
        device("scanner-2", "192.0.2.7/32", Some(name("<b>scan2"))),
    ];
    let directory = Arc::new(Directory::new(people(), devices));
    let operator = Operator {
        directory: watch::channel(Arc::clone(&directory)).1,
        ..operator(people(), None)
    };
    let origin = Origin {
        accounts: None,
        devices: true,
        protocol: Protocol::Submission,
        peer: Peer::Elsewhere,
    };
    let address = "192.0.2.7".parse().unwrap();
    let known = operator.passwords.known_device(&directory, origin, address).unwrap();
    operator.passwords.let_in(&known);
    let page = Scene::with(operator, None).get("/").await.text;
    let unused = "<dt>Device fax</dt><dd>at 192.0.2.0/24; no use since the relay started</dd>";
    assert_eq!(page.matches(unused).count(), 1, "{page}");
    let used = "<dt>Device scanner-2</dt><dd>at 192.0.2.7, or as &#60;b&#62;scan2; last used 2";
    assert_eq!(page.matches(used).count(), 1, "{page}");
}

#[tokio::test]
async fn accounts_are_shown_with_what_was_not_granted_and_whose_consent_helps() {
    let people = people();
    let alice = people.iter().find(|account| account.name.to_string() == "alice@contoso.com");
    let operator = operator(people.clone(), None);
    let lacks = |scope: &str| {
        let missing = Some([scope.to_owned()].into());
        Some(StoredShortfall { missing, unnamed: BTreeSet::new() })
    };
    keep(&operator, alice.unwrap(), None, lacks("another"));
    let mut scene = Scene::with(operator.clone(), None);
    assert!(!scene.get("/").await.text.contains("Not granted"));
    keep(&operator, alice.unwrap(), None, lacks("send"));
    let text = scene.get("/").await.text;
    // Once for the account, and once for the other that uses its consent.
    assert_eq!(text.matches("<strong>Not granted:</strong> send</p>").count(), 2, "{text}");
    for fix in ["consent again, by a button below, and", "consent again for alice@contoso.com, and"]
    {
        let fix = format!("<strong>What to do:</strong> {fix} leave every box ticked</p>");
        assert_eq!(text.matches(&fix).count(), 1, "{text}");
    }
}

#[tokio::test]
async fn only_get_and_post_are_known_and_head_redeems_nothing() {
    let mut scene = Scene::new(None);
    for method in ["HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "BREW"] {
        for path in ["/", "/oauth/callback?code=1&state=2", "/nothing"] {
            let answer = scene.send(Request::builder().method(method).uri(path), "").await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers[ALLOW], "GET, POST");
        }
    }
    assert_eq!(scene.get("/nothing").await.status, 404);
    assert_eq!(scene.get("/accounts/alice@contoso.com/authorize").await.status, 405);
    let token = scene.form_token("/").await;
    let body = format!("form_token={token}");
    assert_eq!(scene.post("/oauth/callback", &body).await.status, 405);
}

#[tokio::test]
async fn post_without_the_token_of_its_own_form_does_nothing() {
    let mut scene = Scene::new(None);
    let path = "/accounts/nobody@contoso.com/authorize";
    let own = scene.form_token("/").await;
    let foreign = Scene::new(None).form_token("/").await;
    for body in ["", "form_token=", &format!("form_token={foreign}"), &format!("x={own}")] {
        assert_eq!(scene.post(path, body).await.status, 403, "{body}");
    }
    // The right one is carried out: there is no such account.
    let answer = scene.post(path, &format!("form_token={own}")).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    scene.cookie = None;
    assert_eq!(scene.post(path, &format!("form_token={own}")).await.status, 403);
}

#[tokio::test]
async fn body_that_is_no_form_or_too_long_is_refused() {
    let mut scene = Scene::new(None);
    let token = scene.form_token("/").await;
    let path = "/accounts/alice@contoso.com/authorize";
    let answer = scene.send(Request::post(path), &format!("form_token={token}")).await;
    assert_eq!(answer.status, 415);
    let body = format!("form_token={token}&as={}", "x".repeat(BODY_LEN_MAX));
    assert_eq!(scene.post(path, &body).await.status, 413);
    let answer = scene.post(path, &format!("form_token={token}&as=%00")).await;
    assert_eq!(answer.status, 400, "nobody is called so");
}

#[tokio::test]
async fn names_in_paths_and_errors_are_no_html() {
    let mut scene = Scene::new(None);
    let token = scene.form_token("/").await;
    let path = "/accounts/%3Cscript%3Ealert(1)%3C%2Fscript%3E/authorize";
    let answer = scene.post(path, &format!("form_token={token}")).await;
    assert!(answer.text.contains("no such account: &#60;script&#62;"), "{}", answer.text);
    assert!(!answer.text.contains("<script"));
}

#[tokio::test]
async fn forged_answer_changes_nothing_and_nothing_of_it_is_shown() {
    let mut scene = Scene::new(Some(ADMIN));
    for query in [
        "",
        "?",
        "?code=planted-code&state=planted-state",
        "?error=access_denied&error_description=%3Cscript%3Eplanted&state=planted-state",
        "?state=planted-state",
        "?code=planted-code&code=planted-code&state=%00",
    ] {
        let answer = scene.get(&format!("/oauth/callback{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text.contains("No consent was kept"), "{query}");
        assert!(!answer.text.contains("planted") && !answer.text.contains("<script"), "{query}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert!(!answer.headers.contains_key(SET_COOKIE));
    }
}

#[tokio::test]
async fn nothing_but_the_callback_is_had_without_signing_in() {
    let mut scene = Scene::new(Some(ADMIN));
    for path in ["/", "/consents/0123456789abcdef0123456789abcdef", "/nothing"] {
        let answer = scene.get(path).await;
        assert_eq!((answer.status, answer.location()), (303, "/login"), "{path}");
    }
    let token = scene.form_token("/login").await;
    let body = format!("form_token={token}");
    for path in ["/accounts/alice@contoso.com/authorize", "/logout", "/nothing"] {
        assert_eq!(scene.post(path, &body).await.status, 403, "{path}");
    }
    let answer = scene.post("/login", "admin_token=planted-admin-token").await;
    assert_eq!(answer.status, 403, "a foreign form cannot sign anybody in");
    scene.cookie = Some(format!("mailbearer={}", "A".repeat(43)));
    assert_eq!(scene.get("/").await.status, 303, "nobody has that session");
}

#[tokio::test]
async fn who_shows_the_admin_token_is_signed_in_until_they_sign_out() {
    let mut scene = Scene::new(Some(ADMIN));
    scene.get("/login").await;
    let before = scene.cookie.clone();
    let answer = scene.show(ADMIN).await;
    assert_eq!((answer.status, answer.location()), (303, "/"), "{}", answer.text);
    assert_ne!(scene.cookie, before, "the cookie of before the sign-in is worth nothing");
    let page = scene.get("/").await;
    assert!(page.text.contains("alice@contoso.com") && !page.text.contains(ADMIN));
    let own = scene.cookie.clone();
    scene.cookie = before;
    assert_eq!(scene.get("/").await.status, 303);
    scene.cookie.clone_from(&own);
    let token = scene.form_token("/").await;
    let answer = scene.post("/logout", &format!("form_token={token}")).await;
    assert_eq!((answer.status, answer.location()), (303, "/login"));
    scene.cookie = own;
    assert_eq!(scene.get("/").await.status, 303);
}

#[tokio::test(start_paused = true)]
async fn wrong_admin_tokens_take_a_second_and_the_right_one_works_after_them() {
    let mut scene = Scene::new(Some(ADMIN));
    for wrong in ["", "planted-admin-toke", "planted-admin-tokem", "planted-admin-token%20"] {
        let began = tokio::time::Instant::now();
        let answer = scene.show(wrong).await;
        assert_eq!(answer.status, 403, "{wrong}");
        assert!(answer.text.contains("That is not the admin token."));
        assert!(began.elapsed() >= Duration::from_secs(1), "{wrong}");
        assert_eq!(scene.get("/").await.status, 303);
    }
    assert_eq!(scene.show(ADMIN).await.status, 303);
    assert_eq!(scene.get("/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn four_admin_tokens_are_looked_at_at_once_and_the_others_have_their_turn() {
    let scene = Scene::new(Some(ADMIN));
    let began = tokio::time::Instant::now();
    let mut guesses = tokio::task::JoinSet::new();
    let page = Arc::new(scene.page);
    for _ in 0..3 * login::TURNS {
        // Each is a browser of its own.
        let page = Page { desk: Arc::clone(&page.desk), front: page.front.clone() };
        guesses.spawn(async move { Scene { page, cookie: None }.show("wrong").await.status });
    }
    let statuses = guesses.join_all().await;
    assert!(statuses.iter().all(|status| *status == 403), "{statuses:?}");
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn guess_takes_its_second_when_the_browser_hangs_up() {
    let mut scene = Scene::new(Some(ADMIN));
    for _ in 0..login::TURNS {
        let token = scene.form_token("/login").await;
        let body = format!("form_token={token}&admin_token=wrong");
        let gone = timeout(Duration::from_millis(100), scene.post("/login", &body)).await;
        assert!(gone.is_err(), "a wrong token was answered at once");
    }
    let began = tokio::time::Instant::now();
    assert_eq!(scene.show(ADMIN).await.status, 303);
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn sessions_end_when_a_reload_brings_another_admin_token() {
    let mut scene = Scene::new(Some(ADMIN));
    scene.show(ADMIN).await;
    scene.page.change(site(Some(ADMIN)));
    assert_eq!(scene.get("/").await.status, 200);
    scene.page.change(site(Some("another-admin-token")));
    assert_eq!(scene.get("/").await.status, 303);
    assert_eq!(scene.show(ADMIN).await.status, 403);
    assert_eq!(scene.show("another-admin-token").await.status, 303);
}

#[tokio::test]
async fn what_only_the_control_socket_gives_is_no_page() {
    let mut scene = Scene::new(None);
    for path in ["/token", "/password", "/passwords", "/reload", "/revoke", "/support-bundle"] {
        assert_eq!(scene.get(path).await.status, 404, "{path}");
        let token = scene.form_token("/").await;
        assert_eq!(scene.post(path, &format!("form_token={token}")).await.status, 404, "{path}");
    }
}
