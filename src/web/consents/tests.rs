//! Consents from their request to their end, with nobody at the token endpoint.

mod waiters;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::account::AccountSettings;
use crate::account::directory::Directory;
use crate::provider::{Grant, GrantId, LoopbackRedirect};
use crate::web::control::tests::{accounts, operator};
use crate::web::operator::{Class, Serving};

const ALICE: &str = "alice@contoso.com";

/// An account of a person, whose consent is asked for at an endpoint that nobody is behind.
fn of_person(name: &str) -> AccountSettings {
    let mut account = accounts("http://127.0.0.1:9/token").remove(0);
    account.name = crate::names::AccountPattern::parse(name).unwrap();
    let mut grant = Grant::of_person(name).at("http://127.0.0.1:9/token");
    grant.server.authorization_endpoint = Some("https://login.example/authorize".to_owned());
    account.grant = Arc::new(grant);
    account
}

fn with(accounts: Vec<AccountSettings>, public_url: Option<&str>) -> Operator {
    let consents = Consents::new(public_url.map(str::to_owned));
    Operator { consents, ..operator(accounts, None) }
}

fn alice() -> Operator {
    with(vec![of_person(ALICE)], None)
}

fn name(name: &str) -> Username {
    Username::parse(name).unwrap()
}

struct Asked {
    id: ConsentId,
    url: String,
    redirect_uri: String,
    register: String,
}

impl Asked {
    fn state(&self) -> &str {
        let (_, behind) = self.url.split_once("state=").unwrap();
        behind.split('&').next().unwrap()
    }
}

async fn begin(operator: &Operator, account: &str, method: Method) -> Result<Asked, OperatorError> {
    match operator.begin_consent(&name(account), method, Vec::new(), Waiter::Page).await? {
        Begun::Browser { id, authorize_url, redirect_uri, register } => {
            Ok(Asked { id, url: authorize_url, redirect_uri, register })
        }
        device @ Begun::Device { .. } => panic!("{device:?}"),
    }
}

/// What came of a consent that must be at its end.
async fn ended(operator: &Operator, id: &ConsentId) -> OperatorError {
    match operator.consent_progress(id, Duration::from_secs(5)).await.unwrap() {
        Progress::Ended(outcome) => outcome.unwrap_err(),
        Progress::Waiting => panic!("it still waits"),
    }
}

async fn waits(operator: &Operator, id: &ConsentId) -> bool {
    operator.consent_progress(id, Duration::ZERO).await.unwrap() == Progress::Waiting
}

#[tokio::test(start_paused = true)]
async fn consent_ends_when_nobody_answers_for_ten_minutes() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Browser).await.unwrap();
    tokio::time::advance(PATIENCE - Duration::from_secs(1)).await;
    assert!(waits(&operator, &asked.id).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ended(&operator, &asked.id).await, ConsentError::Expired.into());
    let late = operator.answer_consent(&format!("code=c&state={}", asked.state())).await;
    assert_eq!(late, Err(ConsentError::Expired.into()));
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_after_25_seconds_however_long_somebody_would_wait() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Paste).await.unwrap();
    let before = Instant::now();
    let progress = operator.consent_progress(&asked.id, Duration::MAX).await.unwrap();
    assert_eq!((progress, before.elapsed().as_secs()), (Progress::Waiting, 25));
}

#[tokio::test]
async fn consent_takes_the_place_of_the_one_before_of_the_same_account() {
    let operator = with(vec![of_person(ALICE), of_person("bob@contoso.com")], None);
    let first = begin(&operator, ALICE, Method::Browser).await.unwrap();
    let bob = begin(&operator, "bob@contoso.com", Method::Browser).await.unwrap();
    let second = begin(&operator, "ALICE@contoso.com", Method::Browser).await.unwrap();
    assert_eq!(ended(&operator, &first.id).await, ConsentError::Replaced.into());
    assert!(waits(&operator, &second.id).await && waits(&operator, &bob.id).await);
    assert_ne!((first.id, first.url), (second.id, second.url));
}

#[tokio::test]
async fn consent_is_refused_while_64_wait_and_has_room_once_one_has_ended() {
    let people = |count| (0..count).map(|it| format!("user{it}@contoso.com"));
    let operator = with(people(65).map(|it| of_person(&it)).collect(), None);
    let mut asked = Vec::new();
    for person in people(64) {
        asked.push(begin(&operator, &person, Method::Paste).await.unwrap());
    }
    let last = "user64@contoso.com";
    let error = begin(&operator, last, Method::Paste).await.map(|_| ()).unwrap_err();
    assert_eq!((&error, error.class()), (&ConsentError::TooMany.into(), Class::TryLater));
    let ended = operator.end_consent(&asked[7].id).await.unwrap();
    assert_eq!(ended, Progress::Ended(Err(ConsentError::BrokenOff.into())));
    begin(&operator, last, Method::Paste).await.unwrap();
    let forgotten = operator.consent_progress(&asked[7].id, Duration::ZERO).await;
    assert_eq!(forgotten, Err(ConsentError::Unknown.into()));
    assert!(waits(&operator, &asked[0].id).await);
}

#[tokio::test]
async fn consent_ends_when_a_reload_changes_or_removes_what_it_was_asked_for() {
    let with_mailbox = |mailbox: &str| {
        let mut account = of_person(ALICE);
        account.mailbox.submission = Some(name(mailbox));
        account
    };
    let of_client = |secret: &str| {
        let mut account = of_person(ALICE);
        let mut grant = Grant::of_person(ALICE).at(secret);
        grant.server.authorization_endpoint = Some("https://login.example/authorize".to_owned());
        account.grant = Arc::new(grant);
        account
    };
    let bob = || of_person("bob@contoso.com");
    for (changed, ends) in [
        (vec![of_person(ALICE), bob()], false),
        (vec![bob()], true),
        (Vec::new(), true),
        (vec![of_client("http://127.0.0.1:9/other")], true),
        (vec![with_mailbox("shared@contoso.com")], true),
    ] {
        let (directory, accounts) =
            watch::channel(Arc::new(Directory::new(vec![of_person(ALICE)], Vec::new())));
        let operator = Operator { directory: accounts, ..alice() };
        let asked = begin(&operator, ALICE, Method::Paste).await.unwrap();
        directory.send_replace(Arc::new(Directory::new(changed, Vec::new())));
        if ends {
            assert_eq!(ended(&operator, &asked.id).await, ConsentError::Outdated.into());
        } else {
            assert!(waits(&operator, &asked.id).await);
        }
        let pasted = format!("{}?code=c&state={}", asked.redirect_uri, asked.state());
        let error = operator.answer_by_paste(&asked.id, &pasted).await.unwrap_err();
        assert_eq!(error == ConsentError::Outdated.into(), ends, "{error}");
    }
}

#[tokio::test]
async fn consents_end_with_the_relay_and_none_is_begun_after_that() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Browser).await.unwrap();
    operator.consents.stop();
    let error = ended(&operator, &asked.id).await;
    assert_eq!((&error, error.class()), (&ConsentError::Stopping.into(), Class::TryLater));
    let refused = begin(&operator, ALICE, Method::Browser).await.map(|_| ()).unwrap_err();
    assert_eq!(refused, error);
}

#[tokio::test]
async fn answer_that_belongs_to_nothing_changes_nothing() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Browser).await.unwrap();
    let foreign = Err(AuthorizeError::Redirect(RedirectError::Foreign).into());
    let state = asked.state();
    for query in [
        "code=c".to_owned(),
        "code=c&state=".to_owned(),
        "code=c&state=forged".to_owned(),
        format!("code=c&state={state}x"),
        format!("code=c&state={}", &state[1..]),
        "error=access_denied&state=forged".to_owned(),
    ] {
        assert_eq!(operator.answer_consent(&query).await, foreign, "{query}");
        assert!(waits(&operator, &asked.id).await, "{query}");
    }
    let none = operator.answer_consent(&format!("state={state}")).await;
    assert_eq!(none, Err(AuthorizeError::Redirect(RedirectError::NoAnswer).into()));
    assert!(waits(&operator, &asked.id).await);
}

#[tokio::test]
async fn answer_counts_once_whichever_way_it_comes() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Browser).await.unwrap();
    let query = format!("error=access_denied&state={}", asked.state());
    let denied = operator.answer_consent(&query).await.unwrap_err();
    assert!(matches!(denied, OperatorError::Consent(AuthorizeError::Denied { .. })), "{denied:?}");
    assert_eq!(ended(&operator, &asked.id).await, denied, "whoever waits hears the same");
    for again in [query.clone(), format!("code=another&state={}", asked.state())] {
        assert_eq!(
            operator.answer_consent(&again).await,
            Err(denied.clone()),
            "nothing is redeemed"
        );
    }
    let pasted = format!("{}?{query}", asked.redirect_uri);
    assert_eq!(operator.answer_by_paste(&asked.id, &pasted).await, Err(denied));
}

#[tokio::test]
async fn paste_that_cannot_be_the_answer_leaves_the_consent_as_it_is() {
    let operator = alice();
    let asked = begin(&operator, ALICE, Method::Paste).await.unwrap();
    let Asked { id, redirect_uri, .. } = &asked;
    for (pasted, expected) in [
        ("0.code".to_owned(), PasteError::NoAddress),
        (asked.url.clone(), PasteError::OtherAddress { redirect_uri: redirect_uri.clone() }),
        (format!("{redirect_uri}?state={}", asked.state()), PasteError::NoAnswer),
        (format!("{redirect_uri}?code=c"), PasteError::Foreign),
        (format!("{redirect_uri}?code=c&state=forged"), PasteError::Foreign),
    ] {
        let error = operator.answer_by_paste(id, &pasted).await.unwrap_err();
        assert_eq!((&error, error.class()), (&expected.into(), Class::Usage), "{pasted}");
        assert!(!error.fix().is_empty());
        assert!(waits(&operator, id).await, "{pasted}");
    }
    let unknown = operator.answer_by_paste(&ConsentId("0".repeat(32)), redirect_uri).await;
    assert_eq!(unknown, Err(ConsentError::Unknown.into()));
}

#[tokio::test]
async fn redirect_goes_to_the_page_where_browsers_reach_it() {
    let public_url = Some("https://mail.example:8587");
    let alone = with(vec![of_person(ALICE)], public_url);
    let redirect_uri = "https://mail.example:8587/oauth/callback".to_owned();
    let error = begin(&alone, ALICE, Method::Browser).await.map(|_| ()).unwrap_err();
    assert_eq!(error, ConsentError::NoRelay { redirect_uri: redirect_uri.clone() }.into());
    assert!(error.fix().contains("mailbearer serve"), "{}", error.fix());
    let pasted = begin(&alone, ALICE, Method::Paste).await.unwrap();
    assert_eq!(pasted.redirect_uri, redirect_uri);

    let reload = mpsc::channel(1).0;
    let serving = Serving {
        reload,
        not_ready: Arc::new(Vec::new),
        troubles: Arc::default(),
        recent: Arc::default(),
    };
    let relay = Operator { serving: Some(serving), ..alone };
    let asked = begin(&relay, ALICE, Method::Browser).await.unwrap();
    assert_eq!(asked.redirect_uri, redirect_uri);
    assert!(asked.register.starts_with(&redirect_uri), "{}", asked.register);
}

#[tokio::test]
async fn redirect_to_this_machine_is_as_the_provider_compares_it() {
    for (like, prefix, suffix, register) in [
        (LoopbackRedirect::Localhost, "http://localhost:", "", "http://localhost, without a port"),
        (LoopbackRedirect::Address, "http://127.0.0.1:", "/", "http://127.0.0.1/ "),
    ] {
        let mut account = of_person(ALICE);
        Arc::get_mut(&mut account.grant).unwrap().server.loopback_redirect = like;
        let operator = with(vec![account], None);
        for method in [Method::Browser, Method::Paste] {
            let asked = begin(&operator, ALICE, method).await.unwrap();
            let port = asked.redirect_uri.strip_prefix(prefix).unwrap();
            let port = port.strip_suffix(suffix).unwrap();
            assert!(port.parse::<u16>().unwrap() > 0);
            assert!(asked.register.starts_with(register), "{}", asked.register);
        }
    }
}

#[tokio::test]
async fn person_is_asked_for_the_scopes_of_all_protocols_and_as_whoever_was_named() {
    let operator = alice();
    for (users, hint) in [(Vec::new(), ALICE), (vec![name("bob@contoso.com")], "bob@contoso.com")] {
        let begun =
            operator.begin_consent(&name(ALICE), Method::Paste, users, Waiter::Page).await.unwrap();
        let Begun::Browser { authorize_url, .. } = begun else { panic!("{begun:?}") };
        let hint = format!("login_hint={}", hint.replace('@', "%40"));
        assert!(authorize_url.contains(&hint), "{authorize_url}");
        assert!(authorize_url.split('&').any(|it| it == "scope=send+read"), "{authorize_url}");
    }
}

#[tokio::test]
async fn person_is_asked_for_the_scope_of_pop3_where_a_listener_serves_it() {
    let operator = with(vec![AccountSettings { is_pop3_served: true, ..of_person(ALICE) }], None);
    let begun = operator.begin_consent(&name(ALICE), Method::Paste, Vec::new(), Waiter::Page).await;
    let Begun::Browser { authorize_url, .. } = begun.unwrap() else { panic!("no browser") };
    assert!(authorize_url.split('&').any(|it| it == "scope=send+read+fetch"), "{authorize_url}");
}

#[tokio::test]
async fn consent_of_another_account_is_given_there() {
    let mut shared = of_person("shared@contoso.com");
    let grant = Grant { id: GrantId::Account(name(ALICE)), ..Grant::clone(&shared.grant) };
    shared.grant = Arc::new(grant);
    let operator = with(vec![of_person(ALICE), shared], None);
    let shared = name("shared@contoso.com");
    let begun = operator.begin_consent(&shared, Method::Browser, Vec::new(), Waiter::Page).await;
    for error in [begun.unwrap_err(), operator.revoke(&shared).await.unwrap_err()] {
        assert_eq!(error.class(), Class::Usage);
        assert_eq!(error.fix(), "run `mailbearer authorize alice@contoso.com`");
    }
}
