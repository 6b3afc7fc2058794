//! Tokens that the upstream refuses, and tokens that are renewed before anybody needs them.

use tokio::time::{advance, sleep};

use super::scene::{HOUR, MINUTE, SECOND, Scene, alice, given, outage, refusal};
use super::*;

/// A scene whose tokens are kept ready in the background.
fn kept_ready(scene: Scene) -> (Scene, tokio::task::JoinHandle<()>) {
    scene.want();
    let tokens = scene.tokens.clone();
    (scene, tokio::spawn(async move { tokens.keep().await }))
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_renewed_once_for_all_who_hold_it() {
    let scene = Arc::new(Scene::person());
    let refused = scene.token_for("mail").await.unwrap();
    scene.latency(SECOND);
    let mut sessions = JoinSet::new();
    for _ in 0..20 {
        let (scene, refused) = (Arc::clone(&scene), refused.clone());
        sessions.spawn(async move { scene.renewed("mail", &refused).await.unwrap().unwrap() });
    }
    let renewed = sessions.join_all().await;
    assert!(renewed.iter().all(|token| token.access_token.expose_secret() == "token-2"));
    assert_eq!(scene.request_count(), 2);
    // Whoever comes late with the old one gets the new one as well.
    let late = scene.renewed("mail", &refused).await.unwrap().unwrap();
    assert_eq!((late.generation, scene.request_count()), (renewed[0].generation, 2));
}

#[tokio::test(start_paused = true)]
async fn refused_token_is_not_given_again_when_no_newer_one_can_be_had() {
    let scene = Scene::person();
    let refused = scene.token_for("mail").await.unwrap();
    scene.fail(&outage());
    assert_eq!(scene.renewed("mail", &refused).await.unwrap_err(), outage());
}

#[tokio::test(start_paused = true)]
async fn hundred_refused_sign_ins_in_a_minute_make_six_requests_at_most() {
    let scene = Scene::person();
    let begun = Instant::now();
    for _ in 0..100 {
        let token = scene.token_for("mail").await.unwrap();
        scene.renewed("mail", &token).await.unwrap();
        advance(Duration::from_millis(590)).await;
    }
    assert!(begun.elapsed() < MINUTE);
    assert_eq!(scene.request_count(), 6);

    // One a minute after that, until a token is accepted.
    advance(MINUTE).await;
    for _ in 0..3 {
        let token = scene.token_for("mail").await.unwrap();
        scene.renewed("mail", &token).await.unwrap();
    }
    assert_eq!(scene.request_count(), 7);
    scene.tokens.accepted(&alice(), Protocol::Imap);
    let token = scene.token_for("mail").await.unwrap();
    assert!(scene.renewed("mail", &token).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn hundred_refused_sign_ins_at_once_make_six_requests_at_most() {
    let scene = Arc::new(Scene::person());
    scene.latency(SECOND);
    let mut sessions = JoinSet::new();
    for _ in 0..100 {
        let scene = Arc::clone(&scene);
        sessions.spawn(async move {
            let token = scene.token_for("mail").await.unwrap();
            scene.renewed("mail", &token).await.unwrap();
        });
    }
    sessions.join_all().await;
    assert!(scene.request_count() <= 6, "{}", scene.request_count());
}

#[tokio::test(start_paused = true)]
async fn used_token_is_renewed_before_a_sign_in_has_to_wait_for_it() {
    let (scene, keeping) = kept_ready(Scene::person());
    scene.ask().await.unwrap();
    scene.latency(5 * SECOND);
    sleep(54 * MINUTE + 30 * SECOND).await;
    let begun = Instant::now();
    assert_eq!(scene.ask().await.unwrap(), "token-2");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Unused for an hour, it is left alone.
    sleep(10 * HOUR).await;
    let requests = scene.request_count();
    assert!(requests <= 4, "{requests}");
    sleep(10 * HOUR).await;
    assert_eq!(scene.request_count(), requests);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn short_token_is_kept_ready_at_a_bearable_rate_and_a_shorter_one_not_at_all() {
    for (life, range) in [(60, 25..=51), (59, 1..=1), (10, 1..=1), (2, 1..=1), (0, 1..=1)] {
        let (scene, keeping) = kept_ready(Scene::person());
        scene.give(Duration::from_secs(life));
        scene.ask().await.unwrap();
        sleep(10 * MINUTE).await;
        let requests = scene.request_count();
        assert!(range.contains(&requests), "{requests} requests for {life} s tokens");
        keeping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn renewal_in_the_background_is_tried_again_after_an_outage_and_not_after_a_refusal() {
    for (error, recovers) in [(outage(), true), (refusal("invalid_client"), false)] {
        let (scene, keeping) = kept_ready(Scene::person());
        scene.ask().await.unwrap();
        scene.fail(&error);
        sleep(55 * MINUTE).await;
        assert!(scene.request_count() >= 2, "{error}");
        scene.give(HOUR);
        sleep(MINUTE).await;
        assert_eq!(scene.status().last_error.is_none(), recovers, "{error}");
        keeping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn refusal_of_one_scope_set_stops_neither_renewal_nor_keeping_alive_by_another() {
    let scene = Scene::nobody();
    scene.keep("refresh-0", Duration::ZERO);
    scene.say_for(|number, scopes| {
        if scopes == ["smtp"] { Err(refusal("invalid_scope")) } else { Ok(given(number, HOUR)) }
    });
    let scopes = ["smtp", "imap"].map(|scope| vec![scope.to_owned()]).to_vec();
    scene.tokens.want(vec![Wanted { grant: Arc::clone(&scene.grant), scopes }]);
    scene.token_for("smtp").await.unwrap_err();
    let tokens = scene.tokens.clone();
    let keeping = tokio::spawn(async move { tokens.keep().await });
    sleep(3 * SECOND).await;
    assert_eq!(scene.requests()[1].scopes, ["imap"], "the grant is kept alive by what works");
    scene.token_for("imap").await.unwrap();
    sleep(55 * MINUTE).await;
    assert_eq!(scene.request_count(), 3);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn unused_grant_is_used_once_in_a_quarter_of_its_idle_life() {
    let day = 24 * HOUR;
    let now = crate::clock::unix_time();
    for (idle, unused, requests) in [
        (Some(90 * day), 22 * day, 0),
        (Some(90 * day), 23 * day, 1),
        (None, 6 * day, 0),
        (None, 8 * day, 1),
    ] {
        let grant = Grant { refresh_idle: idle, ..Grant::clone(&Scene::nobody().grant) };
        let scene = Scene::of(grant);
        scene.keep("refresh-0", now - unused);
        assert_eq!(scene.status().dies_at, idle.map(|idle| now - unused + idle));
        let (scene, keeping) = kept_ready(scene);
        sleep(5 * MINUTE).await;
        assert_eq!(scene.request_count(), requests, "{idle:?} {unused:?}");
        keeping.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn unused_grant_whose_keeping_alive_fails_is_tried_again_each_hour() {
    let scene = Scene::nobody();
    scene.keep("refresh-0", Duration::ZERO);
    let (scene, keeping) = kept_ready(scene);
    scene.fail(&refusal("invalid_client"));
    sleep(5 * HOUR - MINUTE).await;
    assert_eq!(scene.request_count(), 5);
    scene.fail(&refusal("invalid_grant"));
    sleep(10 * HOUR).await;
    assert_eq!(scene.request_count(), 6, "a grant that is refused cannot be kept alive");
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn grants_that_fall_due_together_are_asked_for_a_few_at_a_time() {
    let scene = Scene::nobody();
    let wanted = (0..40).map(|number| {
        let id = GrantId::Account(Username::parse(&format!("user-{number}")).unwrap());
        scene.keep_for(&id, "refresh-0", Duration::ZERO);
        let grant = Arc::new(Grant { id, ..Grant::clone(&scene.grant) });
        Wanted { grant, scopes: vec![scopes()] }
    });
    scene.tokens.want(wanted.collect());
    scene.latency(10 * SECOND);
    let tokens = scene.tokens.clone();
    let keeping = tokio::spawn(async move { tokens.keep().await });
    sleep(SECOND / 2).await;
    assert_eq!(scene.request_count(), 16);
    sleep(MINUTE).await;
    assert_eq!(scene.request_count(), 40);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn renewal_that_another_scope_sets_failure_overtakes_is_made_up_for() {
    let scene = Arc::new(Scene::person());
    let scopes = ["imap", "smtp"].map(|scope| vec![scope.to_owned()]).to_vec();
    scene.tokens.want(vec![Wanted { grant: Arc::clone(&scene.grant), scopes }]);
    scene.token_for("imap").await.unwrap();
    sleep(54 * MINUTE + 10 * SECOND).await;
    scene.latency(10 * SECOND);
    scene.fail(&outage());
    let sign_in = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.token_for("smtp").await }
    });
    sleep(SECOND).await;
    // The token for IMAP is due, and its request waits for the turn that the other one has.
    let tokens = scene.tokens.clone();
    let keeping = tokio::spawn(async move { tokens.keep().await });
    sign_in.await.unwrap().unwrap_err();
    scene.latency(Duration::ZERO);
    scene.give(HOUR);
    sleep(10 * SECOND).await;
    let asked: Vec<_> = scene.requests().into_iter().map(|request| request.scopes).collect();
    assert_eq!(asked, [["imap"], ["smtp"], ["imap"]], "ahead of its end, without a sign-in");
    keeping.abort();
}
