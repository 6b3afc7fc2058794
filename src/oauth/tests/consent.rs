//! A person's consent: taken in, compared, and given back.

use tokio::time::{advance, timeout};

use super::scene::{HOUR, SECOND, Scene, alice, given, outage, refusal};
use super::*;

async fn authorize(scene: &Scene, expected: &[&str]) -> Result<Authorized, AuthorizeError> {
    let expected: Vec<_> = expected.iter().map(|name| Username::parse(name).unwrap()).collect();
    let pasted = RefreshToken::parse("pasted").unwrap();
    scene.tokens.authorize(&scene.grant, &["mail".to_owned()], pasted, &expected).await
}

/// The endpoint says that this person signed in.
fn signs_in(scene: &Scene, user: &str) {
    let user = Username::parse(user).unwrap();
    scene.say(move |number| Ok(grant::Answer { user: Some(user.clone()), ..given(number, HOUR) }));
}

#[tokio::test(start_paused = true)]
async fn consent_is_kept_when_the_right_person_signed_in() {
    let scene = Scene::nobody();
    signs_in(&scene, "Alice@Contoso.com");
    let authorized = authorize(&scene, &["shared@contoso.com", "alice@contoso.com"]).await.unwrap();
    assert_eq!(authorized.user.unwrap().as_str(), "Alice@Contoso.com");
    assert_eq!(authorized.unsaved, None);
    assert_eq!(scene.events(), [r#"request Some("pasted")"#, "commit refresh-1"]);
    let status = scene.status();
    assert_eq!(status.state, TokenState::Ready);
    assert_eq!(status.user.unwrap().as_str(), "Alice@Contoso.com");
    assert_eq!(scene.ask().await.unwrap(), "token-1", "the token that came with it is used");
    assert_eq!(scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn consent_of_somebody_else_changes_nothing() {
    let scene = Scene::person();
    let user = Some(alice());
    scene.put(&crate::store::StoredGrant { user, ..scene.kept().unwrap() });
    scene.ask().await.unwrap();
    signs_in(&scene, "mallory@contoso.com");
    scene.events();
    let error = authorize(&scene, &["alice@contoso.com", "shared@contoso.com"]).await.unwrap_err();
    // It may be in use where it comes from, so nothing is given back.
    assert_eq!(scene.events(), [r#"request Some("pasted")"#]);
    assert_eq!(
        error.to_string(),
        "mallory@contoso.com consented, not alice@contoso.com or shared@contoso.com"
    );
    assert_eq!(scene.kept_token(), "refresh-1");
    assert_eq!(scene.ask().await.unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn consent_is_kept_when_the_provider_tells_no_name() {
    let scene = Scene::nobody();
    scene.say(|number| Ok(grant::Answer { refresh_token: None, ..given(number, HOUR) }));
    assert_eq!(authorize(&scene, &["alice@contoso.com"]).await.unwrap().user, None);
    assert_eq!(scene.kept_token(), "pasted");
}

#[tokio::test(start_paused = true)]
async fn refresh_token_that_does_not_work_is_not_kept() {
    let scene = Scene::person();
    for error in [outage(), refusal("invalid_grant")] {
        scene.fail(&error);
        assert_eq!(authorize(&scene, &[]).await.unwrap_err(), AuthorizeError::Token(error));
    }
    assert_eq!(scene.kept_token(), "refresh-0");
    assert_eq!(scene.kept().unwrap().refused, None);
}

#[tokio::test(start_paused = true)]
async fn consent_ends_the_pause_after_a_refusal() {
    let scene = Scene::person();
    scene.fail(&refusal("invalid_grant"));
    scene.ask().await.unwrap_err();
    scene.give(HOUR);
    authorize(&scene, &[]).await.unwrap();
    assert_eq!(scene.status().state, TokenState::Ready);
    assert_eq!(scene.token_for("another").await.unwrap().access_token.expose_secret(), "token-3");
    assert_eq!(scene.requests()[2].refresh_token.as_deref(), Some("refresh-2"));
}

#[tokio::test(start_paused = true)]
async fn consent_is_kept_when_the_command_is_broken_off() {
    let scene = Scene::nobody();
    scene.latency(5 * SECOND);
    timeout(SECOND, authorize(&scene, &[])).await.unwrap_err();
    scene.tokens.settled().await;
    assert_eq!(scene.kept_token(), "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn refresh_token_that_is_brought_is_not_used_while_another_request_is_under_way() {
    // It may be the very one that is kept, and used twice at once it would look stolen.
    let scene = Scene::person();
    scene.latency(5 * SECOND);
    let authorizing = async {
        advance(SECOND).await;
        authorize(&scene, &[]).await.unwrap();
    };
    let (token, ()) = tokio::join!(scene.ask(), authorizing);
    token.unwrap();
    assert!(!scene.script.overlapped.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(scene.kept_token(), "refresh-2", "the one that was brought counts");
}

#[tokio::test(start_paused = true)]
async fn consent_that_cannot_be_written_is_told() {
    let scene = Scene::nobody();
    scene.disk_fails(true);
    let unsaved = authorize(&scene, &[]).await.unwrap().unsaved.unwrap();
    assert!(unsaved.contains("the disk is full"), "{unsaved}");
    assert_eq!(scene.ask().await.unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn consent_given_back_is_forgotten() {
    let invalid = || refusal("invalid_token");
    for (outcome, revoked) in [
        (Ok(()), Revoked::AtProvider),
        (Err(invalid()), Revoked::AtProvider),
        (Err(refusal("unsupported_token_type")), Revoked::HereAlone),
    ] {
        let scene = Scene::person();
        scene.ask().await.unwrap();
        scene.events();
        scene.revocation(outcome);
        assert_eq!(scene.tokens.revoke(&scene.grant).await.unwrap(), revoked);
        assert_eq!(scene.events(), [r#"revoke "refresh-1""#, "remove"]);
        assert!(scene.kept().is_none());
        let error = scene.ask().await.unwrap_err();
        assert!(error.cause.contains("nobody has authorized"), "{error}");
        assert_eq!(scene.tokens.revoke(&scene.grant).await.unwrap(), Revoked::NothingKept);
    }
}

#[tokio::test(start_paused = true)]
async fn consent_that_the_provider_did_not_take_back_is_kept() {
    for error in [outage(), refusal("invalid_client")] {
        let scene = Scene::person();
        scene.ask().await.unwrap();
        scene.revocation(Err(error.clone()));
        assert_eq!(scene.tokens.revoke(&scene.grant).await.unwrap_err(), error);
        assert_eq!(
            (scene.kept_token().as_str(), scene.ask().await.unwrap().as_str()),
            ("refresh-1", "token-1")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn consent_is_forgotten_here_alone_when_the_provider_cannot_be_told() {
    let mut silent = Grant::clone(&Scene::nobody().grant);
    silent.server.revocation_endpoint = None;
    let scene = Scene::of(silent);
    scene.keep("refresh-0", Duration::ZERO);
    assert_eq!(scene.tokens.revoke(&scene.grant).await.unwrap(), Revoked::HereAlone);
    assert!(scene.kept().is_none());

    let scene = Scene::person();
    let moved = Grant::clone(&scene.grant).by(|client| client.id = "other".into());
    assert_eq!(scene.tokens.revoke(&Arc::new(moved)).await.unwrap(), Revoked::HereAlone);
    assert_eq!(scene.events(), ["remove"], "it is shown to no other client's endpoint");
}

#[tokio::test(start_paused = true)]
async fn consent_is_given_back_when_the_request_under_way_is_over() {
    let scene = Scene::person();
    scene.latency(5 * SECOND);
    let asking = scene.ask();
    let revoking = async {
        advance(SECOND).await;
        scene.tokens.revoke(&scene.grant).await.unwrap()
    };
    let (token, revoked) = tokio::join!(asking, revoking);
    assert_eq!((token.unwrap().as_str(), revoked), ("token-1", Revoked::AtProvider));
    assert!(scene.events().contains(&r#"revoke "refresh-1""#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn consent_ends_the_use_of_every_token_of_the_one_before() {
    let scene = Scene::person();
    scene.token_for("another").await.unwrap();
    authorize(&scene, &[]).await.unwrap();
    let token = scene.token_for("another").await.unwrap();
    assert_eq!(token.access_token.expose_secret(), "token-3");
    assert_eq!(scene.requests()[2].refresh_token.as_deref(), Some("refresh-2"));
}

#[tokio::test(start_paused = true)]
async fn consent_stays_when_the_way_to_give_it_changes() {
    let scene = Scene::person();
    let client = scene.grant.way.client().cloned().unwrap();
    let by_device =
        Grant { way: crate::provider::Way::DeviceCode(client), ..Grant::clone(&scene.grant) };
    let token = scene.tokens.access_token(&Arc::new(by_device), &scopes()).await.unwrap();
    assert_eq!(token.access_token.expose_secret(), "token-1");
    assert_eq!(scene.requests()[0].refresh_token.as_deref(), Some("refresh-0"));
    assert_eq!(scene.kept_token(), "refresh-1");
}
