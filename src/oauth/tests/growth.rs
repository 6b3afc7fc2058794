//! What the keeper does for very many accounts, by a clock that a test moves: how many requests at
//! once, how evenly, and at what cost where nothing is due.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use tokio::time::sleep;

use super::scene::{HOUR, MINUTE, SECOND, Scene, given, outage};
use super::*;
use crate::oauth::moment::Moment;
use crate::store::StoredGrant;

/// The grants of `count` accounts, each of which is `of`.
fn accounts(of: &Grant, count: usize) -> Vec<Wanted> {
    let grants = (0..count).map(|number| {
        let id = GrantId::Account(Username::parse(&format!("user-{number}@corp.example")).unwrap());
        Arc::new(Grant { id, ..of.clone() })
    });
    grants.map(|grant| Wanted { grant, scopes: vec![vec!["mail".to_owned()]] }).collect()
}

/// As [`accounts`], with other names.
fn others(of: &Grant, count: usize) -> Vec<Wanted> {
    let mut wanted = accounts(of, count);
    for (nth, wanted) in wanted.iter_mut().enumerate() {
        let id = GrantId::Account(Username::parse(&format!("other-{nth}@corp.example")).unwrap());
        wanted.grant = Arc::new(Grant { id, ..of.clone() });
    }
    wanted
}

fn keep(scene: &Scene) -> tokio::task::JoinHandle<()> {
    let tokens = scene.tokens.clone();
    tokio::spawn(async move { tokens.keep().await })
}

/// Keeps `count` accounts, each of which has just been given a token.
async fn keep_in_use(scene: &Scene, count: usize) -> tokio::task::JoinHandle<()> {
    let wanted = accounts(&scene.grant, count);
    scene.tokens.want(wanted.clone());
    let keeping = keep(scene);
    for wanted in &wanted {
        scene.tokens.access_token(&wanted.grant, &wanted.scopes[0]).await.unwrap();
    }
    keeping
}

/// The most requests of `scene` from its `nth` on that came within one span of `length`.
fn most_within(scene: &Scene, nth: usize, length: Duration) -> usize {
    let requests = scene.requests();
    let times: Vec<_> = requests[nth..].iter().map(|request| request.at).collect();
    let within = |first: usize| times.partition_point(|at| *at < times[first] + length) - first;
    (0..times.len()).map(within).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn hundred_thousand_unused_consents_are_looked_at_by_turns_and_used_a_few_at_a_time() {
    let (count, due) = (100_000, 1_000);
    let scene = Scene::nobody();
    let wanted = accounts(&scene.grant, count);
    let now = crate::clock::unix_time();
    for (nth, wanted) in wanted.iter().enumerate() {
        let refreshed_at = if nth.is_multiple_of(count / due) { Duration::ZERO } else { now };
        scene.keep_for(&wanted.grant.id, &format!("refresh-of-{nth}"), refreshed_at);
    }
    scene.tokens.want(wanted);
    scene.latency(10 * SECOND);
    let keeping = keep(&scene);
    sleep(9 * MINUTE).await;

    // The other places are for renewals.
    assert_eq!(scene.script.at_once.load(Ordering::SeqCst), 56, "an endpoint is slow");
    assert!(most_within(&scene, 0, SECOND) <= 56);
    let mut asked = HashMap::new();
    for request in scene.requests() {
        *asked.entry(request.refresh_token.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(asked.len(), due, "each that is due");
    assert!(asked.values().all(|times| *times == 1), "and once");

    // Nothing is due any more: a look at each within five minutes, by turns, and at all of them once
    // in ten minutes for what ends soon.
    let loads = || scene.disk.loads.swap(0, Ordering::SeqCst);
    loads();
    sleep(10 * SECOND).await;
    let in_ten_seconds = loads();
    assert!(in_ten_seconds <= count / 8, "{in_ten_seconds} looks in ten seconds");
    sleep(5 * MINUTE).await;
    let in_five_minutes = loads();
    assert!((count..=count * 5 / 2).contains(&in_five_minutes), "{in_five_minutes} looks");
    assert_eq!(scene.request_count(), due);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn tokens_that_many_asked_for_at_one_instant_are_renewed_over_minutes_and_in_time() {
    let count = 2_000;
    let scene = Scene::application();
    let keeping = keep_in_use(&scene, count).await;
    assert_eq!(scene.request_count(), count);
    sleep(44 * MINUTE).await;
    assert_eq!(scene.request_count(), count, "none is renewed that is good for long");
    sleep(11 * MINUTE).await;
    assert_eq!(scene.request_count(), 2 * count, "no sign-in waits for one");
    let in_a_minute = most_within(&scene, count, MINUTE);
    assert!(in_a_minute <= count / 5, "{in_a_minute} in a minute");
    assert!(most_within(&scene, count, SECOND) <= 16);

    // Unused for an hour, all of them are left alone.
    sleep(2 * HOUR).await;
    let requests = scene.request_count();
    sleep(2 * HOUR).await;
    assert_eq!(scene.request_count(), requests);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn account_whose_renewal_fails_stands_in_nobody_elses_way() {
    let count = 200;
    let scene = Scene::application();
    let keeping = keep_in_use(&scene, count).await;
    // Every second request of the first hundred fails for the moment.
    let fails = move |number: usize| number <= count + 100 && number.is_multiple_of(2);
    scene.say(move |number| if fails(number) { Err(outage()) } else { Ok(given(number, HOUR)) });
    sleep(55 * MINUTE).await;
    let requests = scene.request_count();
    assert_eq!(requests, 2 * count + 50, "each is renewed, and asked for again where that failed");
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn consent_is_kept_alive_while_another_provider_hangs_for_hundreds_of_accounts() {
    let idle = Grant { refresh_idle: Some(30 * MINUTE), ..Grant::clone(&Scene::nobody().grant) };
    let scene = Scene::of(idle);
    let now = crate::clock::unix_time();
    scene.keep("refresh-0", now);
    let in_use = accounts(&Scene::application().grant, 400);
    let consent = Wanted { grant: Arc::clone(&scene.grant), scopes: vec![vec!["kept".into()]] };
    scene.tokens.want(in_use.iter().cloned().chain([consent]).collect());
    for wanted in &in_use {
        scene.tokens.access_token(&wanted.grant, &wanted.scopes[0]).await.unwrap();
    }
    let keeping = keep(&scene);
    sleep(44 * MINUTE).await;
    scene.latency(15 * SECOND);
    let answer = |number| Ok(given(number, HOUR));
    scene.say_for(move |number, of| if of == ["mail"] { Err(outage()) } else { answer(number) });
    sleep(11 * MINUTE).await;

    // Every token is due, and none comes; now the consent is due, too.
    scene.keep("refresh-0", now - 8 * MINUTE);
    for _ in 0..3 {
        for wanted in &in_use {
            let key = Key::new(&wanted.grant, &wanted.scopes[0]);
            scene.tokens.0.cache.board(&key, Need::Fresh, || false);
        }
        sleep(5 * MINUTE).await;
    }
    let kept = scene.requests().iter().filter(|request| request.scopes == ["kept"]).count();
    assert_eq!(kept, 1);
    assert!(scene.script.at_once.load(Ordering::SeqCst) <= 64);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn tokens_of_45_000_accounts_are_renewed_in_time_where_an_answer_takes_200_ms() {
    let count = 45_000;
    let scene = Scene::application();
    let wanted = accounts(&scene.grant, count);
    scene.tokens.want(wanted.clone());
    put_in_use(&scene, &wanted, HOUR);
    scene.latency(SECOND / 5);
    let keeping = keep(&scene);
    sleep(55 * MINUTE).await;
    assert_eq!(scene.request_count(), count, "no sign-in waits for one");
    assert!(scene.script.at_once.load(Ordering::SeqCst) <= 64);
    keeping.abort();
}

/// Gives each of `wanted` a token of that life at this instant, which somebody uses.
fn put_in_use(scene: &Scene, wanted: &[Wanted], life: Duration) {
    for (nth, wanted) in wanted.iter().enumerate() {
        let key = Key::new(&wanted.grant, &wanted.scopes[0]);
        scene.tokens.0.cache.board(&key, Need::Fresh, || false);
        let issued = given(nth, life).issued.unwrap();
        scene.tokens.0.cache.publish(&key, issued, Moment::now());
    }
}

/// The same accounts, each with a scope of its own, by which its requests are known.
fn told_apart(mut wanted: Vec<Wanted>, name: &str) -> Vec<Wanted> {
    for (nth, wanted) in wanted.iter_mut().enumerate() {
        wanted.scopes = vec![vec![format!("{name}-{nth}")]];
    }
    wanted
}

/// The longest time that one of `wanted` went without a request, from `since` until now.
fn longest_without(scene: &Scene, wanted: &[Wanted], since: Instant) -> Duration {
    let mut asked: HashMap<_, _> =
        wanted.iter().map(|wanted| (wanted.scopes[0].clone(), (since, Duration::ZERO))).collect();
    let now = Instant::now();
    for request in scene.requests() {
        if let Some((last, longest)) = asked.get_mut(&request.scopes) {
            *longest = (*longest).max(request.at - *last);
            *last = request.at;
        }
    }
    asked.into_values().map(|(last, longest)| longest.max(now - last)).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn tokens_of_ten_minutes_are_renewed_in_time_for_20_000_accounts() {
    let scene = Scene::application();
    let wanted = told_apart(accounts(&scene.grant, 20_000), "mail");
    scene.tokens.want(wanted.clone());
    scene.give(10 * MINUTE);
    scene.latency(SECOND / 5);
    let began = Instant::now();
    put_in_use(&scene, &wanted, 10 * MINUTE);
    let keeping = keep(&scene);
    sleep(25 * MINUTE).await;
    // With half its life left a token is asked for by the sign-in that needs it.
    let longest = longest_without(&scene, &wanted, began);
    assert!(longest < 5 * MINUTE, "one was not renewed for {longest:?}");
    keeping.abort();
}

/// Has the tokens of 2,000 accounts fall due beside those of 3,000 of another provider, whose
/// endpoint fails after `latency`, and none of the former be late.
async fn renew_beside_an_endpoint_that_fails_after(latency: Duration) {
    let scene = Scene::application();
    let other = Grant::clone(&scene.grant).at("https://login.other.example/token");
    let failing = told_apart(accounts(&other, 3_000), "failing");
    let healthy = told_apart(others(&scene.grant, 2_000), "healthy");
    scene.tokens.want(failing.iter().chain(&healthy).cloned().collect());
    let began = Instant::now();
    put_in_use(&scene, &failing, HOUR);
    put_in_use(&scene, &healthy, HOUR);
    scene.latency(SECOND / 5);
    scene.latency_of(&other, latency);
    let fails = |of: &[String]| of[0].starts_with("failing");
    scene.say_for(move |nth, of| if fails(of) { Err(outage()) } else { Ok(given(nth, HOUR)) });
    let keeping = keep(&scene);
    sleep(59 * MINUTE).await;
    let longest = longest_without(&scene, &healthy, began);
    assert!(longest < 55 * MINUTE, "one was not renewed for {longest:?}");
    assert!(scene.requests().iter().any(|request| fails(&request.scopes)));
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_in_time_while_another_providers_endpoint_hangs_for_thousands() {
    renew_beside_an_endpoint_that_fails_after(15 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_in_time_while_another_providers_endpoint_fails_at_once_for_thousands() {
    renew_beside_an_endpoint_that_fails_after(SECOND / 20).await;
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_in_time_after_a_reload_that_moves_them_away_from_a_host_that_hangs() {
    let scene = Scene::application();
    let slow = Grant::clone(&scene.grant).at("https://login.slow.example/token");
    let hanging = accounts(&slow, 600);
    let moved = told_apart(others(&scene.grant, 40), "moved");
    // Somebody still asks at the old place when the file is read again.
    let mut under_way = Vec::new();
    for wanted in &moved {
        let key =
            Key::new(&Grant { id: wanted.grant.id.clone(), ..slow.clone() }, &wanted.scopes[0]);
        let boarding = scene.tokens.0.cache.board(&key, Need::Fresh, || true);
        under_way.push((key, boarding));
    }
    scene.tokens.want(hanging.iter().chain(&moved).cloned().collect());
    let began = Instant::now();
    put_in_use(&scene, &hanging, HOUR);
    put_in_use(&scene, &moved, HOUR);
    for (key, _) in &under_way {
        scene.tokens.0.cache.publish(key, given(0, HOUR).issued.unwrap(), Moment::now());
    }
    scene.latency_of(&slow, 10 * MINUTE);
    let keeping = keep(&scene);
    sleep(59 * MINUTE).await;
    let longest = longest_without(&scene, &moved, began);
    assert!(longest < 55 * MINUTE, "one was not renewed for {longest:?}");
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn token_is_renewed_in_time_that_came_after_a_reload_changed_its_scopes() {
    let scene = Scene::application();
    let [before, after] =
        ["before", "after"].map(|name| told_apart(accounts(&scene.grant, 1), name));
    scene.tokens.want(before.clone());
    put_in_use(&scene, &before, HOUR);
    scene.tokens.want(after.clone());
    // Whoever was about to be renewed keeps its turn.
    scene.tokens.0.cache.look_at(&after[0].grant.id, Instant::now());
    let keeping = keep(&scene);
    sleep(2 * SECOND).await;
    put_in_use(&scene, &after, HOUR);
    sleep(55 * MINUTE).await;
    assert_eq!(scene.request_count(), 1);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn token_of_a_grant_that_no_configuration_had_falls_due_again_when_it_is_used() {
    let scene = Scene::application();
    let cache = &scene.tokens.0.cache;
    put_in_use(&scene, &accounts(&scene.grant, 1), HOUR);
    sleep(55 * MINUTE).await;
    assert!(cache.fall_due(Moment::now(), |_| None));
    assert_eq!(cache.due_next(), None);
    put_in_use(&scene, &accounts(&scene.grant, 1), HOUR);
    assert!(cache.due_next().is_some());
}

#[tokio::test(start_paused = true)]
async fn token_that_nobody_renews_ahead_of_its_end_asks_nothing_of_a_round() {
    let scene = Scene::application();
    let cache = &scene.tokens.0.cache;
    for (scope, life) in [("none", Duration::ZERO), ("mail", HOUR)] {
        let key = Key::new(&scene.grant, &[scope.to_owned()]);
        cache.board(&key, Need::Fresh, || false);
        cache.publish(&key, given(0, life).issued.unwrap(), Moment::now());
    }
    assert_eq!((cache.agenda_len(), cache.requests_a_round()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn consents_are_kept_alive_while_another_providers_endpoint_hangs_for_thousands() {
    let idle = Grant { refresh_idle: Some(HOUR), ..Grant::clone(&Scene::nobody().grant) };
    let scene = Scene::of(idle.clone());
    let slow = idle.at("https://login.slow.example/token");
    let now = crate::clock::unix_time();
    let hanging = told_apart(accounts(&slow, 3_000), "slow");
    for wanted in &hanging {
        let stored = StoredGrant {
            token_endpoint: slow.source().to_owned(),
            ..scene.stored("refresh-slow", now - 59 * MINUTE)
        };
        scene.put_for(&wanted.grant.id, &stored);
    }
    let kept = Wanted { grant: Arc::clone(&scene.grant), scopes: vec![vec!["kept".into()]] };
    scene.keep("refresh-0", now - 50 * MINUTE);
    scene.tokens.want(hanging.into_iter().chain([kept]).collect());
    scene.latency_of(&slow, 15 * SECOND);
    let fails = |of: &[String]| of[0].starts_with("slow");
    scene.say_for(move |nth, of| if fails(of) { Err(outage()) } else { Ok(given(nth, HOUR)) });
    let keeping = keep(&scene);
    sleep(10 * SECOND).await;
    let kept = scene.requests().iter().filter(|request| request.scopes == ["kept"]).count();
    assert_eq!(kept, 1, "whoever of the others dies first");
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn consents_that_die_soon_are_all_kept_alive_however_many_and_the_nearest_first() {
    let (count, dying) = (16_000, 100);
    let idle = Grant { refresh_idle: Some(HOUR), ..Grant::clone(&Scene::nobody().grant) };
    let scene = Scene::of(idle);
    let wanted = accounts(&scene.grant, count);
    let now = crate::clock::unix_time();
    // The last ones by name have two minutes left, all others a quarter of an hour.
    let mut ids: Vec<_> = wanted.iter().map(|wanted| wanted.grant.id.clone()).collect();
    ids.sort();
    for (nth, id) in ids.iter().enumerate() {
        let is_dying = nth >= count - dying;
        let unused = if is_dying { 58 * MINUTE } else { 45 * MINUTE };
        let refresh_token = if is_dying { format!("dying-{nth}") } else { format!("other-{nth}") };
        scene.keep_for(id, &refresh_token, now - unused);
    }
    scene.tokens.want(wanted);
    scene.latency(SECOND / 5);
    let keeping = keep(&scene);
    sleep(2 * MINUTE).await;
    let is_dying = |of: &str| of.starts_with("dying");
    let used = scene.requests();
    let used = used.iter().filter(|one| one.refresh_token.as_deref().is_some_and(is_dying)).count();
    assert_eq!(used, dying, "who dies first is first");
    sleep(13 * MINUTE).await;
    assert_eq!(scene.request_count(), count);
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn who_waits_longest_for_a_renewal_is_next_when_an_endpoint_is_slow() {
    let scene = Scene::application();
    let mut wanted = accounts(&scene.grant, 120);
    for (nth, wanted) in wanted.iter_mut().enumerate() {
        wanted.scopes = vec![vec![format!("scope-{nth}")]];
    }
    scene.tokens.want(wanted.clone());
    let mut due = HashMap::new();
    for wanted in &wanted {
        let scopes = &wanted.scopes[0];
        scene.tokens.access_token(&wanted.grant, scopes).await.unwrap();
        let key = Key::new(&wanted.grant, scopes);
        let left = scene.tokens.0.cache.renewal_due(&key, Moment::now());
        due.insert(scopes[0].clone(), Instant::now() + left.unwrap());
    }
    // Places are taken for longer than the others need to fall due.
    scene.latency(8 * MINUTE);
    let keeping = keep(&scene);
    sleep(59 * MINUTE).await;
    let requests = scene.requests();
    let order: Vec<_> = requests[120..].iter().map(|request| due[&request.scopes[0]]).collect();
    assert!(order.len() > 64, "{} requests", order.len());
    // Within one round the order may be another.
    assert!(order.is_sorted_by(|one, next| *one <= *next + 2 * SECOND), "out of turn");
    keeping.abort();
}
