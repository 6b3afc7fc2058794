//! A disk that takes no writes costs nobody a sign-in, and is told.

use tokio::time::{advance, timeout};

use super::scene::{HOUR, MINUTE, SECOND, Scene, refusal};
use super::*;
use crate::oauth::slot::{LEFT_LAST, LEFT_MIN};

#[tokio::test(start_paused = true)]
async fn token_is_used_on_while_the_lease_cannot_be_written() {
    let scene = Scene::person();
    scene.ask().await.unwrap();
    scene.disk_fails(true);
    advance(HOUR - LEFT_MIN).await;
    scene.events();
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert_eq!(scene.events(), ["lease fails"], "and the next attempt comes after a pause");
    let told = scene.status().last_error.unwrap();
    assert!(told.is_temporary() && told.fix.contains("the disk is full"), "{told}");

    // With the token's end near, what could be lost is less than what would be.
    advance(LEFT_MIN - LEFT_LAST).await;
    assert_eq!(scene.ask().await.unwrap(), "token-2");
    assert_eq!(
        scene.events(),
        ["lease fails", r#"request Some("refresh-1")"#, "commit refresh-2 fails"]
    );
}

#[tokio::test(start_paused = true)]
async fn token_is_renewed_without_a_lease_when_the_upstream_has_refused_it() {
    let scene = Scene::person();
    let refused = scene.token_for("mail").await.unwrap();
    scene.disk_fails(true);
    let renewed = scene.renewed("mail", &refused).await.unwrap().unwrap();
    assert_eq!(renewed.access_token.expose_secret(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_used_from_memory_when_the_commit_fails_and_written_later() {
    let scene = Scene::person();
    scene.want();
    scene.disk_fails(true);
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert!(scene.status().is_unsaved);

    let tokens = scene.tokens.clone();
    let keeping = tokio::spawn(async move { tokens.keep().await });
    scene.events();
    tokio::time::sleep(2 * MINUTE).await;
    let tries = scene.events();
    assert!(tries.iter().all(|event| event == "save fails"), "{tries:?}");
    assert!((5..=8).contains(&tries.len()), "{} tries in two minutes", tries.len());
    scene.disk_fails(false);
    tokio::time::sleep(MINUTE + SECOND).await;
    assert_eq!(scene.events(), ["save"]);
    assert!(!scene.status().is_unsaved);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn tokens_are_written_at_the_end_if_there_is_room_again() {
    let scene = Scene::person();
    scene.disk_fails(true);
    scene.ask().await.unwrap();
    scene.disk_fails(false);
    scene.events();
    scene.tokens.settled().await;
    assert_eq!(scene.events(), ["save"]);
}

#[tokio::test(start_paused = true)]
async fn next_refresh_uses_what_is_in_memory_alone() {
    let scene = Scene::person();
    scene.disk_fails(true);
    scene.ask().await.unwrap();
    advance(HOUR).await;
    assert_eq!(scene.ask().await.unwrap(), "token-2");
    assert_eq!(scene.requests()[1].refresh_token.as_deref(), Some("refresh-1"));
}

#[tokio::test(start_paused = true)]
async fn danger_is_told_when_the_newest_refresh_token_is_in_memory_alone() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::INFO);
    let scene = Scene::person();
    scene.disk_fails(true);
    scene.ask().await.unwrap();
    let logged = log.text();
    assert_eq!(logged.matches("ERROR").count(), 2, "{logged}");
    for told in ["the disk is full", "is in memory alone", "account alice@contoso.com"] {
        assert!(logged.contains(told), "{told} is not logged: {logged}");
    }
    assert!(!logged.contains("refresh-"), "{logged}");
    timeout(SECOND, scene.tokens.settled()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusal_that_cannot_be_written_endangers_no_refresh_token() {
    let scene = Scene::person();
    scene.disk_fails(true);
    scene.fail(&refusal("invalid_grant"));
    assert_eq!(scene.ask().await.unwrap_err().kind, ErrorKind::Consent);
    assert!(!scene.status().is_unsaved);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_memory_alone_is_written_before_the_program_ends() {
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::ERROR);
    let scene = Scene::person();
    scene.want();
    scene.disk_fails(true);
    scene.ask().await.unwrap();
    scene.events();
    scene.tokens.settled().await;
    assert_eq!(scene.events(), ["save fails"]);
    let logged = log.text();
    assert!(logged.contains("the program ends with a refresh token that"), "{logged}");

    scene.disk_fails(false);
    scene.tokens.settled().await;
    assert_eq!(scene.events(), ["save"]);
    assert!(!scene.status().is_unsaved);
}
