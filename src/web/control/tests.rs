//! Requests and answers of the control socket's router.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::*;
use crate::account::directory::Directory;
use crate::account::password::Passwords;
use crate::account::{AccountSettings, LocalPassword, Sender};
use crate::names::{AccountPattern, Username};
use crate::oauth::Tokens;
use crate::provider::{
    ClientAuth, Grant, GrantId, GrantKind, MailHost, PerProtocol, Protocol, Provider, UpstreamTls,
};
use crate::relay::online::Online;
use crate::relay::troubles::{Trouble, Troubles};
use crate::secret::{RefreshToken, SecretSource, SecretString};
use crate::store::{Store, StoredGrant, StoredShortfall};
use crate::web::consents::Consents;
use crate::web::operator::{Class, Serving};

/// An account of `corp`, whose tokens come from `token_endpoint`.
fn account(name: &str, kind: GrantKind, token_endpoint: &str) -> AccountSettings {
    let host =
        |port| Some(MailHost { host: "mail.example".to_owned(), port, tls: UpstreamTls::Implicit });
    let grant = if kind.is_kept() { Grant::of_person(name) } else { Grant::of_application() };
    let secret = SecretSource::Value(SecretString::from("planted-secret"));
    let grant = grant.at(token_endpoint).by(|client| client.auth = ClientAuth::SecretPost(secret));
    AccountSettings {
        name: AccountPattern::parse(name).unwrap(),
        provider: Arc::new(Provider {
            hosts: PerProtocol { submission: host(465), imap: host(993), pop3: None },
            ..Provider::unknown("corp")
        }),
        grant: Arc::new(grant),
        scopes: PerProtocol {
            submission: vec!["send".to_owned()],
            imap: vec!["read".to_owned()],
            pop3: vec!["fetch".to_owned()],
        },
        local_password: LocalPassword::None,
        mailbox: PerProtocol::default(),
        sender: Sender::Keep,
        is_pop3_served: false,
    }
}

/// Of a person, of an application, and of all others of a domain.
pub(crate) fn accounts(token_endpoint: &str) -> Vec<AccountSettings> {
    vec![
        account("alice@contoso.com", GrantKind::AuthorizationCode, token_endpoint),
        account("app@contoso.com", GrantKind::ClientCredentials, token_endpoint),
        account("*@fabrikam.com", GrantKind::ClientCredentials, token_endpoint),
    ]
}

pub(crate) fn operator(accounts: Vec<AccountSettings>, serving: Option<Serving>) -> Operator {
    let store = Store::in_memory();
    let tokens = Tokens::new(store.clone());
    Operator {
        online: Online::alone(tokens.clone(), Arc::default()),
        tokens,
        passwords: Arc::new(Passwords::new(store.clone()).unwrap()),
        store,
        directory: watch::channel(Arc::new(Directory::new(accounts, Vec::new()))).1,
        consents: Consents::new(None),
        serving,
    }
}

/// The router of a command for accounts whose token endpoint is never asked.
fn alone() -> Router {
    router(operator(accounts("http://127.0.0.1:9/token"), None))
}

/// Sends `body` to `path`; gives status and answer.
async fn send(router: &Router, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::post(path).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), ASK_LEN_MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn ask(router: &Router, path: &str, body: Value) -> Value {
    let (status, answer) = send(router, path, body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn refused(router: &Router, path: &str, body: Value) -> Failure {
    let (status, answer) = send(router, path, body.to_string()).await;
    assert!(status >= 400, "{answer}");
    serde_json::from_value(answer).unwrap()
}

/// What a token endpoint was sent, request by request.
type Heard = Arc<Mutex<Vec<String>>>;

/// A token endpoint on loopback that gives each request a token.
async fn token_endpoint() -> (String, Heard) {
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let answer = move |body: String| {
        hears.lock().unwrap().push(body);
        async {
            Json(json!({
                "access_token": "fresh-token",
                "refresh_token": "next-refresh-token",
                "token_type": "Bearer",
                "expires_in": 3600,
            }))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let router = Router::new().route("/token", post(answer));
    tokio::spawn(axum::serve(listener, router).into_future());
    (url, heard)
}

/// Keeps a consent for `account` as if `user` had given it.
pub(crate) fn keep(
    operator: &Operator,
    account: &AccountSettings,
    user: Option<&str>,
    shortfall: Option<StoredShortfall>,
) {
    let stored = StoredGrant {
        refresh_token: RefreshToken::parse("planted-refresh-token").unwrap(),
        client_id: account.grant.client_id().to_owned(),
        token_endpoint: account.grant.source().to_owned(),
        user: user.map(|user| Username::parse(user).unwrap()),
        consented_at: Duration::ZERO,
        refreshed_at: Duration::ZERO,
        ends_at: None,
        refused: None,
        shortfall,
    };
    operator.store.commit(&account.grant.id, &stored).unwrap();
}

#[tokio::test]
async fn accounts_tell_what_the_consent_lacks_of_the_scopes_in_the_file() {
    let accounts = accounts("http://127.0.0.1:9/token");
    let alice = accounts[0].clone();
    let operator = operator(accounts, None);
    let set = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
    let known = |missing: Option<&[&str]>, unnamed: &[&str]| {
        Some(StoredShortfall { missing: missing.map(set), unnamed: set(unnamed) })
    };
    let fix = "run `mailbearer authorize alice@contoso.com`, and leave every box ticked";
    let lacks = |scopes: &[&str]| json!({"scopes": scopes, "fix": fix});
    // The file has the scopes `send` and `read`.
    for (shortfall, told) in [
        (None, Value::Null),
        (known(Some(&["send"]), &[]), lacks(&["send"])),
        (known(Some(&["send", "of an older file"]), &["read", "send"]), lacks(&["send"])),
        (known(Some(&["send", "read"]), &[]), lacks(&["read", "send"])),
        (known(Some(&["of an older file"]), &[]), Value::Null),
        (known(Some(&[]), &["read", "send"]), Value::Null),
        (known(None, &["read", "send"]), lacks(&[])),
        (known(None, &["of an older file"]), Value::Null),
    ] {
        keep(&operator, &alice, None, shortfall.clone());
        let rows = ask(&router(operator.clone()), "/accounts", json!({})).await;
        assert_eq!(rows[0]["not_granted"], told, "{shortfall:?}");
        assert_eq!(rows[0]["token"], "not asked yet", "it is used all the same");
    }
}

#[tokio::test]
async fn accounts_tell_what_a_mail_server_did_not_do_last_and_for_whom() {
    let troubles = Arc::new(Troubles::default());
    let note = |name: &str, reply: &str| {
        let trouble = Trouble {
            at: Duration::from_secs(1_795_354_200),
            protocol: Protocol::Submission,
            reply: reply.to_owned(),
            cause: "the mailbox is full".to_owned(),
            fix: "empty it".to_owned(),
        };
        troubles.note(&Username::parse(name).unwrap(), trouble);
    };
    let mut accounts = accounts("http://127.0.0.1:9/token");
    let endpoint = "http://127.0.0.1:9/token";
    accounts.push(account("own@fabrikam.com", GrantKind::ClientCredentials, endpoint));
    let (reload, not_ready) = (mpsc::channel(1).0, Arc::new(Vec::new));
    let serving =
        Serving { reload, not_ready, troubles: Arc::clone(&troubles), recent: Arc::default() };
    let router = router(operator(accounts, Some(serving)));
    note("Scan@fabrikam.com", "554 one");
    note("own@fabrikam.com", "554 two");
    let rows = ask(&router, "/accounts", json!({})).await;
    let told = |account: &str, reply: &str| {
        json!({
            "account": account, "at": "2026-11-22T13:30:00Z", "protocol": "submission",
            "reply": reply, "cause": "the mailbox is full", "fix": "empty it",
        })
    };
    let errors: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["mail_error"]).collect();
    let (own, all) = (told("own@fabrikam.com", "554 two"), told("scan@fabrikam.com", "554 one"));
    assert_eq!(errors, [&Value::Null, &Value::Null, &own, &all]);
}

#[tokio::test]
async fn accounts_are_objects_with_stable_names() {
    let rows = ask(&alone(), "/accounts", json!({})).await;
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["account"]).collect();
    assert_eq!(names, ["alice@contoso.com", "app@contoso.com", "*@fabrikam.com"]);
    let keys: Vec<_> = rows[0].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "access_token_ends_at",
            "account",
            "consented_at",
            "credential_ends_at",
            "devices",
            "dies_at",
            "dies_of",
            "grant",
            "last_error",
            "mail_error",
            "not_granted",
            "provider",
            "refreshed_at",
            "token",
            "unsaved",
            "untried",
            "user",
        ]
    );
    let told = include_str!("../../../docs/operation.md");
    for key in keys {
        assert!(told.contains(&format!("`{key}`")), "docs/operation.md tells nothing of {key}");
    }
    assert_eq!(rows[0]["grant"], "authorization-code");
    assert_eq!(rows[0]["credential_ends_at"], Value::Null);
}

#[tokio::test]
async fn password_is_made_listed_replaced_and_revoked() {
    let router = alone();
    let made =
        ask(&router, "/passwords/make", json!({"name": "Alice@Contoso.com", "protocols": []}));
    let made = made.await;
    assert_eq!(made["protocols"], json!(["submission", "imap", "pop3"]));
    assert_eq!(made["replaced"], false);
    let body = json!({"name": "alice@contoso.com", "label": "scanner", "protocols": []});
    let scanner = ask(&router, "/passwords/make", body.clone()).await;
    assert_eq!(scanner["protocols"], json!(["submission"]), "a label's is good for sending");
    assert_ne!(scanner["password"], made["password"]);
    let taken = refused(&router, "/passwords/make", body).await;
    assert_eq!(taken.exit, Class::Failed, "no script breaks a device by repeating itself");
    let again = json!({"name": "alice@contoso.com", "protocols": []});
    assert_eq!(ask(&router, "/passwords/make", again).await["replaced"], true);

    let of_alice = json!({"name": "alice@contoso.com"});
    let list = ask(&router, "/passwords", of_alice.clone()).await;
    let labels: Vec<_> = list.as_array().unwrap().iter().map(|row| &row["label"]).collect();
    assert_eq!(labels, [&Value::Null, &json!("scanner")]);
    assert!(!list.to_string().contains(made["password"].as_str().unwrap()));

    let scanner = json!({"name": "ALICE@contoso.com", "label": "scanner"});
    assert_eq!(ask(&router, "/passwords/revoke", scanner.clone()).await, Value::Null);
    let again = refused(&router, "/passwords/revoke", scanner).await;
    assert_eq!(again.exit, Class::Failed);
    assert_eq!(again.error, "ALICE@contoso.com has no local password labelled \"scanner\"");
    assert_eq!(ask(&router, "/passwords", of_alice).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn password_is_made_for_an_address_that_a_wildcard_covers() {
    let protocols = ["imap", "submission", "imap"];
    let body = json!({"name": "bob@fabrikam.com", "label": "laptop", "protocols": protocols});
    let made = ask(&alone(), "/passwords/make", body).await;
    assert_eq!(made["protocols"], json!(["submission", "imap"]));
    // The one without a label is for everything.
    let body = json!({"name": "bob@fabrikam.com", "protocols": []});
    let made = ask(&alone(), "/passwords/make", body).await;
    assert_eq!(made["protocols"], json!(["submission", "imap", "pop3"]));
}

#[tokio::test]
async fn password_is_refused_when_name_label_or_protocol_cannot_be() {
    let router = alone();
    for (body, expected) in [
        (json!({"name": "a\nb", "protocols": []}), "a user name is"),
        (json!({"name": "", "protocols": []}), "a user name is"),
        (json!({"name": "app@contoso.com", "label": "", "protocols": []}), "a label is"),
        (json!({"name": "app@contoso.com", "label": "a\u{1b}[1m", "protocols": []}), "a label is"),
        (
            json!({"name": "app@contoso.com", "label": "x".repeat(65), "protocols": []}),
            "a label is",
        ),
        (json!({"name": "app@contoso.com", "protocols": ["nntp"]}), "this relay knows no such"),
    ] {
        let failure = refused(&router, "/passwords/make", body).await;
        assert!(failure.error.starts_with(expected), "{failure}");
        assert_eq!(failure.exit, Class::Usage);
    }
    assert_eq!(ask(&router, "/passwords", json!({"name": "app@contoso.com"})).await, json!([]));
}

#[tokio::test]
async fn password_without_a_label_is_refused_for_some_protocols_alone() {
    let router = alone();
    for protocols in [&["imap"][..], &["submission", "imap", "pop3"]] {
        let body = json!({"name": "App@contoso.com", "label": null, "protocols": protocols});
        let failure = refused(&router, "/passwords/make", body).await;
        assert_eq!(
            failure.error,
            "the password of app@contoso.com without a label is good for every protocol"
        );
        assert_eq!(
            failure.fix,
            "for one that is not, add --label: `mailbearer password app@contoso.com --label NAME \
             --protocol PROTOCOL`"
        );
        assert_eq!(failure.exit, Class::Usage);
    }
    assert_eq!(ask(&router, "/passwords", json!({"name": "app@contoso.com"})).await, json!([]));
    let labelled = json!({"name": "app@contoso.com", "label": "mail", "protocols": ["imap"]});
    let made = ask(&router, "/passwords/make", labelled).await;
    assert_eq!(made["protocols"], json!(["imap"]));
}

#[tokio::test]
async fn unknown_account_is_told_with_the_nearest_name() {
    let router = alone();
    for (path, mut body) in [
        ("/passwords/make", json!({"protocols": []})),
        ("/passwords", json!({})),
        ("/token", json!({})),
        ("/authorize", json!({"refresh_token": "planted", "users": []})),
        ("/revoke", json!({})),
        ("/consents/begin", json!({"users": []})),
    ] {
        for key in ["name", "account"] {
            body[key] = json!("alcie@contoso.com");
        }
        let failure = refused(&router, path, body).await;
        assert_eq!(
            failure.error,
            "no such account: alcie@contoso.com; the nearest is alice@contoso.com"
        );
        assert!(failure.fix.starts_with("`mailbearer accounts` shows"), "{}", failure.fix);
        assert_eq!(failure.exit, Class::Usage);
    }
}

#[tokio::test]
async fn token_is_asked_for_the_protocol_that_is_named() {
    let (url, heard) = token_endpoint().await;
    let router = router(operator(accounts(&url), None));
    for (body, scope) in [
        (json!({"account": "app@contoso.com"}), "scope=send"),
        (json!({"account": "bob@fabrikam.com", "protocol": "imap"}), "scope=read"),
        (json!({"account": "app@contoso.com", "protocol": "pop3"}), "scope=fetch"),
    ] {
        let got = ask(&router, "/token", body).await;
        assert_eq!(got, json!({"access_token": "fresh-token", "unsaved": null}));
        assert!(heard.lock().unwrap().pop().unwrap().contains(scope), "{scope}");
    }
}

#[tokio::test]
async fn token_is_refused_for_what_its_person_was_not_asked_for() {
    let router = router(operator(accounts("http://127.0.0.1:1/"), None));
    let body = json!({"account": "alice@contoso.com", "protocol": "pop3"});
    let failure = refused(&router, "/token", body).await;
    let told = "nobody is asked to consent to pop3 for alice@contoso.com: no listener speaks it";
    assert_eq!((failure.error.as_str(), failure.exit), (told, Class::Configuration));
    assert!(
        failure.fix.contains("run `mailbearer authorize alice@contoso.com`"),
        "{}",
        failure.fix
    );
}

#[tokio::test]
async fn token_for_pop3_needs_no_listener_where_the_consent_holds_its_scopes() {
    let mut accounts = accounts("http://127.0.0.1:1/");
    // As at Google, where one scope is for every protocol.
    accounts[0].scopes = PerProtocol::of_each(vec!["mail".to_owned()]);
    let router = router(operator(accounts, None));
    let body = json!({"account": "alice@contoso.com", "protocol": "pop3"});
    let failure = refused(&router, "/token", body).await;
    // What submission would hear, too: the consent is what is missing.
    assert_eq!(failure.error, "nobody has authorized alice@contoso.com yet");
}

#[tokio::test]
async fn token_may_come_later_when_its_endpoint_is_down() {
    // A port of which nobody else can take what was bound and closed just now.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/token", socket.local_addr().unwrap());
    let router = router(operator(accounts(&url), None));
    let failure = refused(&router, "/token", json!({"account": "app@contoso.com"})).await;
    assert_eq!(failure.exit, Class::TryLater);
    assert!(failure.error.contains("127.0.0.1"), "{failure}");
}

#[tokio::test]
async fn consent_is_refused_where_no_person_gives_one() {
    let router = alone();
    let bodies = [
        ("/authorize", json!({"account": "app@contoso.com", "refresh_token": "r", "users": []})),
        ("/revoke", json!({"account": "bob@fabrikam.com"})),
        ("/consents/begin", json!({"account": "app@contoso.com", "users": []})),
        ("/consents/begin", json!({"account": "app@contoso.com", "method": "device", "users": []})),
    ];
    for (path, body) in bodies {
        let failure = refused(&router, path, body).await;
        assert_eq!(failure.exit, Class::Usage);
        assert!(failure.error.ends_with("its grant is client-credentials"), "{failure}");
    }
}

#[tokio::test]
async fn revocation_is_foreseen_with_every_account_that_it_concerns() {
    let mut accounts = accounts("https://oauth2.googleapis.com/token");
    let mut alice = accounts.remove(0);
    Arc::make_mut(&mut alice.grant).server.revocation_endpoint =
        Some("https://oauth2.googleapis.com/revoke".to_owned());
    let named = |name: &str| AccountPattern::parse(name).unwrap();
    let shared = AccountSettings { name: named("shared@contoso.com"), ..alice.clone() };
    let mut info = AccountSettings { name: named("info@contoso.com"), ..alice.clone() };
    Arc::make_mut(&mut info.grant).id =
        GrantId::Account(Username::parse("info@contoso.com").unwrap());
    accounts.extend([alice.clone(), shared, info.clone()]);
    let operator = operator(accounts, None);
    let router = router(operator.clone());
    let body = json!({"account": "alice@contoso.com"});
    let foreseen = ask(&router, "/revoke/foresee", body.clone()).await;
    assert_eq!(foreseen["extent"], "nothing");

    for account in [&alice, &info] {
        keep(&operator, account, Some("alice@contoso.com"), None);
    }
    assert_eq!(
        ask(&router, "/revoke/foresee", body).await,
        json!({
            "extent": "person",
            "user": "alice@contoso.com",
            "sharing": ["shared@contoso.com"],
            "ended": ["info@contoso.com"],
            "endangered": [],
        })
    );
    assert!(operator.store.load(&alice.grant.id).is_some(), "nothing was given back");
    let of_another = json!({"account": "shared@contoso.com"});
    let failure = refused(&router, "/revoke/foresee", of_another).await;
    assert_eq!(failure.exit, Class::Usage);
}

#[tokio::test]
async fn refresh_token_is_in_no_answer() {
    let (url, _) = token_endpoint().await;
    let router = router(operator(accounts(&url), None));
    let planted = "planted-refresh-token";
    let mut body = json!({"account": "alice@contoso.com", "refresh_token": planted, "users": []});
    let (_, answer) = send(&router, "/authorize", body.to_string()).await;
    assert!(!answer.to_string().contains(planted), "{answer}");
    body["users"] = json!(["a\nb"]);
    for (path, body) in [
        ("/authorize", body.to_string()),
        ("/authorize", json!({"account": planted, "refresh_token": 1}).to_string()),
        ("/authorize", json!({"account": "alice@contoso.com", "users": planted}).to_string()),
        ("/authorize", planted.to_owned()),
        ("/token", format!("{{\"account\": {planted}}}")),
    ] {
        let (status, answer) = send(&router, path, body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(!answer.to_string().contains(planted), "{answer}");
    }
}

#[tokio::test]
async fn consent_that_is_not_known_is_told_and_nothing_is_repeated_of_its_answer() {
    let router = alone();
    let pasted = "http://localhost:1/?code=planted-code&state=s";
    for (path, body) in [
        ("/consents/progress", json!({"consent": "planted-id"})),
        ("/consents/answer", json!({"consent": "planted-id", "pasted": pasted})),
        ("/consents/end", json!({"consent": "planted-id"})),
    ] {
        let failure = refused(&router, path, body).await;
        assert_eq!(failure.exit, Class::Failed);
        assert!(failure.error.starts_with("this consent is not known"), "{failure}");
        assert!(!failure.error.contains("planted"), "{failure}");
    }
    let ask = AnswerConsent { consent: "id".to_owned(), pasted: Shown(SecretString::from(pasted)) };
    assert!(!format!("{ask:?}").contains("planted-code"));
}

#[tokio::test]
async fn refresh_token_of_64_kib_is_taken_whatever_its_characters() {
    let (url, _) = token_endpoint().await;
    let router = router(operator(accounts(&url), None));
    let longest = "\"".repeat(65_536);
    let body = json!({"account": "alice@contoso.com", "refresh_token": longest, "users": []});
    ask(&router, "/authorize", body).await;
    let body = json!({"account": "alice@contoso.com", "refresh_token": "a\u{7}b", "users": []});
    assert_eq!(refused(&router, "/authorize", body).await.exit, Class::Usage);
    let (status, answer) = send(&router, "/authorize", vec![b' '; ASK_LEN_MAX + 1]).await;
    assert_eq!((status, &answer["exit"]), (400, &json!(64)));
}

#[tokio::test]
async fn request_that_is_not_known_is_told_to_another_version() {
    let (status, answer) = send(&alone(), "/later", "{}").await;
    assert_eq!((status, &answer["exit"]), (400, &json!(64)));
    assert!(answer["fix"].as_str().unwrap().contains("same version"));
}

#[tokio::test]
async fn pattern_is_refused_where_a_mailbox_has_to_be_named() {
    for (path, body) in [
        ("/passwords/make", json!({"name": "*@fabrikam.com", "label": null, "protocols": []})),
        ("/passwords", json!({"name": "*@Fabrikam.com"})),
        ("/token", json!({"account": "*@fabrikam.com", "protocol": null})),
        ("/online", json!({"account": "*@nobody.example"})),
    ] {
        let failure = refused(&alone(), path, body).await;
        assert_eq!(failure.exit, Class::Usage, "{path}");
        assert!(failure.error.contains("and is no name to sign in with"), "{path}: {failure}");
        assert!(failure.fix.starts_with("name one of them: NAME@"), "{path}: {}", failure.fix);
    }
}

#[tokio::test]
async fn reload_and_health_fail_when_no_relay_runs() {
    for path in ["/reload", "/health"] {
        let failure = refused(&alone(), path, json!({})).await;
        assert_eq!((failure.error.as_str(), failure.exit), ("no relay runs here", Class::Failed));
    }
}

#[tokio::test]
async fn reload_and_health_tell_what_the_relay_says() {
    let (reload, mut orders) = mpsc::channel(1);
    let not_ready = Arc::new(|| vec!["draining".to_owned()]);
    let serving = Serving { reload, not_ready, troubles: Arc::default(), recent: Arc::default() };
    let router = router(operator(accounts("http://127.0.0.1:9/token"), Some(serving)));
    tokio::spawn(async move {
        for outcome in [Ok(vec!["odd".to_owned()]), Err("mailbearer.toml:3: wrong".to_owned())] {
            let order: crate::web::operator::Reload = orders.recv().await.unwrap();
            order.send(outcome).unwrap();
        }
    });
    assert_eq!(
        ask(&router, "/health", json!({})).await,
        json!({"not_ready": ["draining"], "unsaved": null})
    );
    assert_eq!(ask(&router, "/reload", json!({})).await, json!({"warnings": ["odd"]}));
    let failure = refused(&router, "/reload", json!({})).await;
    assert_eq!(failure.exit, Class::Configuration);
    assert_eq!(failure.error, "mailbearer.toml:3: wrong");
    let gone = refused(&router, "/reload", json!({})).await;
    assert_eq!(gone.exit, Class::Failed, "it ends");
}

mod devices;
