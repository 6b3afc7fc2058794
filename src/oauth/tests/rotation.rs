//! Refresh tokens: used in order, one at a time, kept before anything else, and never lost.

use tokio::time::{advance, timeout};

use super::scene::{HOUR, MINUTE, SECOND, Scene, given, outage, refusal};
use super::*;
use crate::store::StoredRefusal;

#[tokio::test(start_paused = true)]
async fn answer_is_committed_before_anybody_gets_its_token() {
    let scene = Scene::person();
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert_eq!(scene.events(), ["lease", r#"request Some("refresh-0")"#, "commit refresh-1"]);
    let kept = scene.kept().unwrap();
    assert_eq!((kept.refused, kept.user), (None, None));
}

#[tokio::test(start_paused = true)]
async fn refresh_tokens_are_used_in_the_order_in_which_they_came() {
    let scene = Scene::person();
    for number in 1..=4 {
        assert_eq!(scene.ask().await.unwrap(), format!("token-{number}"));
        advance(HOUR).await;
    }
    let used: Vec<_> = scene.requests().into_iter().filter_map(|one| one.refresh_token).collect();
    assert_eq!(used, ["refresh-0", "refresh-1", "refresh-2", "refresh-3"]);
    assert_eq!(scene.kept_token(), "refresh-4");
}

#[tokio::test(start_paused = true)]
async fn refresh_token_stays_when_the_answer_brings_none() {
    let scene = Scene::person();
    scene.say(|number| Ok(grant::Answer { refresh_token: None, ..given(number, HOUR) }));
    scene.ask().await.unwrap();
    assert_eq!(scene.kept_token(), "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn refresh_token_is_kept_when_the_access_token_beside_it_is_of_no_use() {
    let scene = Scene::person();
    scene.say(|number| Ok(grant::Answer { issued: Err(outage()), ..given(number, HOUR) }));
    assert_eq!(scene.ask().await.unwrap_err(), outage());
    assert_eq!(scene.kept_token(), "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn scope_sets_of_one_grant_are_never_asked_for_at_once() {
    let scene = Arc::new(Scene::person());
    scene.latency(2 * SECOND);
    let mut callers = JoinSet::new();
    for number in 0..12 {
        let scene = Arc::clone(&scene);
        let scope = ["imap", "submission", "pop3"][number % 3];
        callers.spawn(async move { scene.token_for(scope).await.unwrap() });
    }
    callers.join_all().await;
    let requests = scene.requests();
    let mut scopes: Vec<_> = requests.iter().flat_map(|one| one.scopes.clone()).collect();
    scopes.sort();
    assert_eq!(scopes, ["imap", "pop3", "submission"], "one request for each scope set");
    assert!(!scene.script.overlapped.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(scene.kept_token(), "refresh-3");
}

#[tokio::test(start_paused = true)]
async fn answer_is_kept_when_everybody_gave_up_waiting() {
    let scene = Scene::person();
    scene.latency(5 * SECOND);
    timeout(SECOND, scene.ask()).await.unwrap_err();
    scene.tokens.want(Vec::new()); // nobody wants the grant any more, either
    let begun = Instant::now();
    scene.tokens.settled().await;
    assert_eq!(begun.elapsed(), 4 * SECOND);
    assert_eq!(scene.kept_token(), "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_no_request_begin_whose_turn_comes_then() {
    let scene = Scene::person();
    scene.latency(14 * SECOND);
    let (first, second) = (scene.token_for("imap"), scene.token_for("smtp"));
    let ending = async {
        tokio::task::yield_now().await;
        scene.tokens.settled().await;
    };
    let (first, second, ()) = tokio::join!(first, second, ending);
    assert!(first.is_ok() && second.unwrap_err().cause.contains("mailbearer is ending"));
    assert_eq!((scene.request_count(), scene.kept_token().as_str()), (1, "refresh-1"));
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_until_the_last_answer_in_time_is_written() {
    let scene = Scene::person();
    scene.latency(15 * SECOND);
    let ending = async {
        tokio::task::yield_now().await;
        scene.tokens.settled().await;
        scene.kept_token()
    };
    let (_, kept) = tokio::join!(scene.ask(), ending);
    assert_eq!(kept, "refresh-1");
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_seventeen_seconds_at_most() {
    let scene = Scene::person();
    scene.latency(HOUR);
    timeout(SECOND, scene.ask()).await.unwrap_err();
    let begun = Instant::now();
    scene.tokens.settled().await;
    assert_eq!(begun.elapsed(), 17 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn failure_that_may_pass_keeps_everything_and_ends_the_lease() {
    let scene = Scene::person();
    scene.fail(&outage());
    scene.ask().await.unwrap_err();
    assert_eq!(scene.events(), ["lease", r#"request Some("refresh-0")"#, "release"]);
    let kept = scene.kept().unwrap();
    assert_eq!((scene.kept_token().as_str(), kept.refused), ("refresh-0", None));
}

#[tokio::test(start_paused = true)]
async fn mistake_in_the_file_costs_no_consent() {
    for error in ["invalid_client", "access_denied", "something_new"] {
        let scene = Scene::person();
        scene.fail(&refusal(error));
        assert_eq!(scene.ask().await.unwrap_err(), refusal(error));
        assert_eq!(scene.kept().unwrap().refused, None, "{error}");
        assert_eq!(scene.status().state, TokenState::Failing);
        assert_eq!(scene.events().last().unwrap(), "release");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_refresh_token_is_parked_and_tried_again_later() {
    let scene = Scene::person();
    scene.fail(&refusal("invalid_grant"));
    let error = scene.ask().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Consent);
    assert_eq!(error.fix, "run `mailbearer authorize alice@contoso.com`");
    assert_eq!(scene.events().last().unwrap(), "commit refresh-0 refused");
    let refused = scene.kept().unwrap().refused.unwrap();
    assert_eq!((refused.error.as_str(), refused.after_lost_answer), ("invalid_grant", false));
    assert_eq!(scene.status().state, TokenState::ConsentNeeded);

    // A minute later the same refresh token is tried: the provider had been wrong.
    advance(MINUTE - 5 * SECOND).await;
    assert_eq!(scene.ask().await.unwrap_err(), error);
    assert_eq!(scene.request_count(), 1);
    scene.give(HOUR);
    advance(5 * SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-2");
    assert_eq!(scene.requests()[1].refresh_token.as_deref(), Some("refresh-0"));
    assert_eq!(scene.kept().unwrap().refused, None);
    assert_eq!(scene.status().state, TokenState::Ready);
}

/// Only the scope `smtp` is refused, as Entra refuses permissions that nobody has consented to.
fn refuse_smtp(scene: &Scene, error: &'static str) {
    scene.say_for(
        move |number, scopes| {
            if scopes == ["smtp"] { Err(refusal(error)) } else { Ok(given(number, HOUR)) }
        },
    );
}

#[tokio::test(start_paused = true)]
async fn refusal_of_one_scope_set_neither_parks_the_refresh_token_nor_pauses_the_others() {
    for error in ["consent_required", "interaction_required", "invalid_scope", "something_new"] {
        let scene = Scene::person();
        refuse_smtp(&scene, error);
        assert_eq!(scene.token_for("smtp").await.unwrap_err(), refusal(error));
        assert_eq!(scene.kept().unwrap().refused, None, "{error}");
        assert_eq!(scene.events().last().unwrap(), "release");
        scene.token_for("imap").await.unwrap();

        // What goes right for one scope set hides nothing of the other, nor ends its pause.
        assert_eq!(scene.status().last_error, Some(refusal(error)));
        scene.token_for("smtp").await.unwrap_err();
        assert_eq!(scene.request_count(), 2, "{error}");
        advance(HOUR).await;
        scene.give(HOUR);
        scene.token_for("smtp").await.unwrap();
        assert_eq!(scene.status().last_error, None, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_refresh_token_pauses_every_scope_set() {
    let scene = Scene::person();
    scene.fail(&refusal("invalid_grant"));
    scene.token_for("smtp").await.unwrap_err();
    scene.token_for("imap").await.unwrap_err();
    assert_eq!(scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusal_from_an_earlier_run_allows_one_try_and_counts() {
    let scene = Scene::person();
    let mut stored = scene.kept().unwrap();
    let refused = StoredRefusal {
        at: Duration::ZERO,
        error: "invalid_grant".into(),
        aadsts: Some(50_173),
        after_lost_answer: false,
    };
    stored.refused = Some(refused);
    scene.put(&stored);
    let status = scene.status();
    assert_eq!(status.state, TokenState::ConsentNeeded);
    let told = status.last_error.unwrap().to_string();
    assert!(told.contains("AADSTS50173") && told.contains("changed password"), "{told}");

    scene.fail(&refusal("invalid_grant"));
    scene.ask().await.unwrap_err();
    advance(2 * MINUTE - 5 * SECOND).await;
    scene.ask().await.unwrap_err();
    assert_eq!(scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusal_after_a_lost_answer_says_so() {
    let scene = Scene::person();
    scene.disk.answer_was_lost.store(true, std::sync::atomic::Ordering::SeqCst);
    scene.fail(&refusal("invalid_grant"));
    let error = scene.ask().await.unwrap_err();
    assert!(error.cause.contains("the answer to an earlier request was lost"), "{error}");
    assert!(scene.kept().unwrap().refused.unwrap().after_lost_answer);
    scene.tokens.want(Vec::new());
    assert_eq!(scene.status().last_error, Some(error), "and after a reload or a restart too");
}

#[tokio::test(start_paused = true)]
async fn answer_that_was_lost_is_remembered_until_another_is_kept() {
    let scene = Scene::person();
    scene.fail(&TokenError { is_answer_lost: true, ..outage() });
    scene.ask().await.unwrap_err();
    assert_eq!(scene.events().last().unwrap(), "lose answer");
    scene.fail(&outage());
    scene.ask().await.unwrap_err();
    assert_eq!(scene.events().last().unwrap(), "release", "which forgets nothing that was lost");
    advance(MINUTE).await;
    scene.fail(&refusal("invalid_grant"));
    let error = scene.ask().await.unwrap_err();
    assert!(error.cause.contains("the answer to an earlier request was lost"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn consent_is_needed_without_a_request_when_there_is_none() {
    let scene = Scene::nobody();
    let error = scene.ask().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "nobody has authorized alice@contoso.com yet: run `mailbearer authorize alice@contoso.com`"
    );
    assert_eq!(error.kind, ErrorKind::Consent);
    assert_eq!(scene.status().state, TokenState::ConsentNeeded);
    assert!(scene.events().is_empty());
    // No pause: whoever puts the consent there is served at once.
    scene.keep("refresh-0", Duration::ZERO);
    assert_eq!(scene.ask().await.unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn consent_for_another_client_or_endpoint_is_shown_to_nobody() {
    let scene = Scene::person();
    let other_client = Grant::clone(&scene.grant).by(|client| client.id = "other".into());
    let other_endpoint = Grant::clone(&scene.grant).at("https://new.example/token");
    for (grant, told) in
        [(other_client, "to another client"), (other_endpoint, "by the endpoint login.example")]
    {
        let grant = Arc::new(grant);
        let error = scene.tokens.access_token(&grant, &scopes()).await.unwrap_err();
        assert!(error.kind == ErrorKind::Consent && error.cause.contains(told), "{error}");
        assert_eq!(scene.tokens.status(&grant).state, TokenState::ConsentNeeded);
    }
    assert_eq!((scene.request_count(), scene.kept_token().as_str()), (0, "refresh-0"));
}

#[tokio::test(start_paused = true)]
async fn reload_during_a_request_does_not_let_a_second_one_begin() {
    let scene = Scene::person();
    scene.latency(5 * SECOND);
    timeout(SECOND, scene.ask()).await.unwrap_err();
    scene.tokens.want(Vec::new());
    scene.want();
    scene.token_for("another").await.unwrap();
    assert!(!scene.script.overlapped.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(scene.requests()[1].refresh_token.as_deref(), Some("refresh-1"));
}

#[tokio::test(start_paused = true)]
async fn request_whose_turn_comes_in_a_pause_is_not_made() {
    let scene = Scene::person();
    scene.latency(2 * SECOND);
    scene.fail(&outage());
    let (imap, smtp) = tokio::join!(scene.token_for("imap"), scene.token_for("smtp"));
    assert_eq!(imap.unwrap_err(), outage());
    assert_eq!(smtp.unwrap_err().cause, outage().cause);
    assert_eq!(scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn answer_that_was_lost_is_told_at_every_later_refusal() {
    let scene = Scene::person();
    let lost = |is_lost| {
        scene.disk.answer_was_lost.store(is_lost, std::sync::atomic::Ordering::SeqCst);
    };
    lost(true);
    scene.fail(&refusal("invalid_grant"));
    let first = scene.ask().await.unwrap_err();
    // The refusal was committed, which ends the lease that told of it.
    lost(false);
    advance(MINUTE).await;
    assert_eq!(scene.ask().await.unwrap_err(), first);
    assert_eq!(scene.request_count(), 2);
    assert!(scene.kept().unwrap().refused.unwrap().after_lost_answer);
}
