//! A service account asks in the name of each mailbox on its own.

use tokio::time::{advance, sleep};

use super::scene::{HOUR, MINUTE, Scene, given};
use super::*;
use crate::oauth::moment::Moment;
use crate::provider::{ServiceAccount, ServiceAccountKey, Way};

/// A scene whose grant is a service account's.
fn service_account() -> Scene {
    let key = ServiceAccountKey::File("key.json".into());
    let id = GrantId::ServiceAccount { provider: "google".into(), key: "k".into(), subject: None };
    let way = Way::ServiceAccount(Arc::new(ServiceAccount { key }));
    Scene::of(Grant { id, way, ..Grant::of_application() })
}

fn mailbox(number: usize) -> Username {
    Username::parse(&format!("user-{number}@corp.example")).unwrap()
}

async fn ask_for(scene: &Scene, number: usize) -> String {
    let grant = scene.grant.for_mailbox(&mailbox(number));
    let token = scene.tokens.access_token(&grant, &["mail".to_owned()]).await.unwrap();
    token.access_token.expose_secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn each_mailbox_has_its_own_token_and_a_reload_keeps_it() {
    let scene = service_account();
    scene.want();
    assert_eq!(ask_for(&scene, 1).await, "token-1");
    assert_eq!(ask_for(&scene, 2).await, "token-2");
    scene.want();
    assert_eq!(ask_for(&scene, 1).await, "token-1");
    let status = |number| scene.tokens.status(&scene.grant.for_mailbox(&mailbox(number))).state;
    assert_eq!((status(1), status(3)), (TokenState::Ready, TokenState::NotAsked));
    assert_eq!(scene.status().state, TokenState::NotAsked);
    scene.tokens.want(Vec::new());
    assert_eq!(ask_for(&scene, 1).await, "token-3", "the file does not name it any more");
}

#[tokio::test(start_paused = true)]
async fn token_of_a_mailbox_is_kept_ready_while_it_is_in_use() {
    let scene = service_account();
    scene.want();
    ask_for(&scene, 1).await;
    let tokens = scene.tokens.clone();
    let keeping = tokio::spawn(async move { tokens.keep().await });
    // It is renewed with six minutes left at least, and is good for requests until five are.
    sleep(54 * MINUTE + MINUTE / 2).await;
    assert_eq!(ask_for(&scene, 1).await, "token-2");
    assert_eq!(scene.request_count(), 2, "nobody waited for it");
    sleep(10 * HOUR).await;
    assert!(scene.request_count() <= 4, "{}", scene.request_count());
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn mailboxes_beyond_ten_thousand_make_place_for_one_another() {
    let scene = service_account();
    scene.want();
    // The first has a dead token and the second was used long ago; both go before the others.
    scene.give(MINUTE);
    ask_for(&scene, 0).await;
    scene.give(24 * HOUR);
    ask_for(&scene, 1).await;
    advance(HOUR).await;
    for number in 2..10_000 {
        ask_for(&scene, number).await;
    }
    let requests = scene.request_count();
    assert_eq!(requests, 10_000);
    for number in [1, 9_999] {
        ask_for(&scene, number).await;
    }
    assert_eq!(scene.request_count(), requests, "all of them have their place");
    advance(MINUTE).await;
    for number in 2..10_000 {
        scene
            .tokens
            .access_token(&scene.grant.for_mailbox(&mailbox(number)), &["mail".to_owned()])
            .await
            .unwrap();
    }
    ask_for(&scene, 10_000).await;
    let requests = scene.request_count();
    ask_for(&scene, 9_999).await;
    assert_eq!(scene.request_count(), requests, "the last one used stays");
    ask_for(&scene, 1).await;
    assert_eq!(scene.request_count(), requests + 1, "the one unused longest went");
}

#[tokio::test(start_paused = true)]
async fn mailbox_that_is_forgotten_leaves_nothing_in_the_agenda() {
    let scene = service_account();
    scene.want();
    let cache = &scene.tokens.0.cache;
    let now = Moment::now();
    for number in 0..21_000 {
        let key = Key::new(&scene.grant.for_mailbox(&mailbox(number)), &["mail".to_owned()]);
        cache.board(&key, Need::Fresh, || false);
        let issued = given(number, 24 * HOUR).issued.unwrap();
        cache.publish(&key, issued, now);
    }
    // As many mailboxes have a token, and each has a place or two.
    assert!(cache.agenda_len() <= 2 * 10_000, "{} places", cache.agenda_len());
}
