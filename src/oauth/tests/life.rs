//! How long a token is used, and what becomes of callers while none can be had.

use tokio::time::{advance, timeout};

use super::scene::{HOUR, MINUTE, SECOND, Scene, given, outage, refusal};
use super::*;
use crate::oauth::slot::{LEFT_LAST, LEFT_MIN};
use crate::provider::Way;
use crate::secret::SecretCommand;

#[tokio::test(start_paused = true)]
async fn token_is_used_until_five_minutes_before_its_end() {
    let scene = Scene::application();
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    advance(HOUR - LEFT_MIN - SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    advance(SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn short_token_is_used_for_half_its_life() {
    let scene = Scene::application();
    scene.give(MINUTE);
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    advance(29 * SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    advance(SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn token_without_life_serves_those_who_waited_for_it_alone() {
    let scene = Scene::application();
    scene.give(Duration::ZERO);
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    scene.give(HOUR);
    assert_eq!(scene.ask().await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn token_of_another_command_or_resource_is_not_used_after_a_reload() {
    let scene = Scene::application();
    let command = |argument: &str| {
        let command = SecretCommand::new("print-token".into(), vec![argument.to_owned()]);
        Grant { way: Way::Command(command), ..Grant::of_application() }
    };
    let resource = |resource: &str| {
        let mut grant = Grant::of_application();
        grant.server.resource = Some(resource.to_owned());
        grant
    };
    let grants = [command("alice"), command("bob"), resource("mail"), resource("calendar")];
    for (grant, expected) in grants.into_iter().zip(1..) {
        let (grant, scopes) = (Arc::new(grant), vec![scopes()]);
        scene.tokens.want(vec![Wanted { grant: Arc::clone(&grant), scopes: scopes.clone() }]);
        for _ in 0..2 {
            let token = scene.tokens.access_token(&grant, &scopes[0]).await.unwrap();
            assert_eq!(token.access_token.expose_secret(), format!("token-{expected}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn generation_grows_with_every_token() {
    let scene = Scene::application();
    let first = scene.token_for("mail").await.unwrap();
    assert_eq!(scene.token_for("mail").await.unwrap().generation, first.generation);
    advance(HOUR).await;
    scene.want(); // what is forgotten meanwhile does not start it again
    assert!(scene.token_for("mail").await.unwrap().generation > first.generation);
}

#[tokio::test(start_paused = true)]
async fn old_token_is_used_when_it_cannot_be_renewed_for_the_moment() {
    let scene = Scene::application();
    scene.ask().await.unwrap();
    advance(HOUR - LEFT_MIN).await;
    scene.fail(&outage());
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert_eq!(scene.request_count(), 2);
    assert_eq!(scene.status().state, TokenState::Ready);
    assert_eq!(scene.status().last_error, Some(outage()));

    // During the pause nobody is asked; after it the next token is taken.
    scene.give(HOUR);
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert_eq!(scene.request_count(), 2);
    advance(3 * SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-3");
    assert_eq!(scene.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn old_token_is_not_used_in_its_last_thirty_seconds() {
    let scene = Scene::application();
    scene.ask().await.unwrap();
    scene.fail(&outage());
    advance(HOUR - LEFT_LAST - SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    advance(3 * SECOND).await;
    assert_eq!(scene.ask().await.unwrap_err(), outage());
}

#[tokio::test(start_paused = true)]
async fn old_token_is_not_used_when_its_renewal_is_refused() {
    let scene = Scene::application();
    scene.ask().await.unwrap();
    advance(HOUR - LEFT_MIN).await;
    scene.fail(&refusal("invalid_client"));
    assert_eq!(scene.ask().await.unwrap_err(), refusal("invalid_client"));
    let again = scene.ask().await.unwrap_err();
    assert!(again.fix.contains("the next request is made in"), "{again}");
    assert_eq!(scene.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn sign_in_right_after_the_first_failure_waits_and_succeeds_when_it_is_over() {
    let scene = Scene::application();
    scene.fail(&outage());
    assert_eq!(scene.ask().await.unwrap_err(), outage());
    scene.give(HOUR);
    let begun = Instant::now();
    assert_eq!(scene.ask().await.unwrap(), "token-2");
    assert!((1..=3).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn outage_is_asked_about_ever_more_rarely_and_told_at_once_between() {
    let scene = Scene::application();
    scene.fail(&outage());
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    while begun.elapsed() < 10 * MINUTE {
        let asked = Instant::now();
        let error = scene.ask().await.unwrap_err();
        assert!(error.is_temporary());
        longest = longest.max(asked.elapsed());
        advance(SECOND).await;
    }
    assert!(longest <= Duration::from_secs(4), "{longest:?}");
    // The first, one after each pause of 2, 4, 8 and 16 s, and one after each of 30 s; each pause
    // may be a fifth shorter, and the last is waited for up to 4 s beyond the ten minutes.
    let requests = scene.request_count();
    assert!((18..=29).contains(&requests), "{requests} requests in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_asks_to_be_left_alone_is_left_alone() {
    let scene = Scene::application();
    scene.fail(&TokenError { retry_after: Some(2 * MINUTE), ..outage() });
    scene.ask().await.unwrap_err();
    advance(2 * MINUTE - 5 * SECOND).await;
    let error = scene.ask().await.unwrap_err();
    assert!(error.fix.contains("the next request is made in 6 s"), "{error}");
    assert_eq!(scene.request_count(), 1);
    scene.give(HOUR);
    advance(SECOND).await;
    assert_eq!(scene.ask().await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn changed_configuration_ends_pauses() {
    let scene = Scene::application();
    scene.fail(&refusal("invalid_client"));
    scene.ask().await.unwrap_err();
    scene.want();
    scene.give(HOUR);
    assert_eq!(scene.ask().await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn caller_hears_of_it_within_twenty_seconds_whatever_it_waits_for() {
    let scene = Arc::new(Scene::person());
    scene.latency(14 * SECOND);
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for scope in ["a", "b", "c"] {
        let scene = Arc::clone(&scene);
        callers.spawn(async move { scene.token_for(scope).await });
    }
    callers.join_all().await;
    assert!(begun.elapsed() <= 20 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn request_goes_on_when_its_first_caller_gives_up() {
    let scene = Scene::application();
    scene.latency(5 * SECOND);
    timeout(SECOND, scene.ask()).await.unwrap_err();
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    assert_eq!(scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn request_that_was_torn_down_fails_its_callers_and_leaves_no_trace() {
    let scene = Scene::application();
    scene.say(|number| if number == 1 { panic!("torn down") } else { Ok(given(number, HOUR)) });
    let torn = scene.ask().await;
    assert!(torn.unwrap_err().is_temporary());
}

#[tokio::test(start_paused = true)]
async fn wanted_grants_keep_their_tokens_and_others_are_forgotten() {
    let scene = Scene::application();
    scene.ask().await.unwrap();
    scene.token_for("other").await.unwrap();
    scene.want();
    assert_eq!(scene.ask().await.unwrap(), "token-1");
    scene.token_for("other").await.unwrap();
    assert_eq!(scene.request_count(), 3);
    scene.tokens.want(Vec::new());
    scene.ask().await.unwrap();
    assert_eq!(scene.request_count(), 4);
}
