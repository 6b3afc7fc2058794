//! The device flow: when it polls, and what ends it (RFC 8628 sections 3.4 and 3.5). The clock is
//! paused, so each instant is exact.

use std::collections::VecDeque;
use std::future::pending;

use tokio::time::timeout;

use super::scene::{HOUR, MINUTE, SECOND, Scene, alice, given, outage, refusal};
use super::*;

/// What a poll brings.
enum Poll {
    Error(TokenError),
    /// The tokens of this person.
    Tokens(&'static str),
}

/// The word for a poll that comes too early, or at an early time.
fn says(error: &str) -> Poll {
    Poll::Error(refusal(error))
}

fn busy(retry_after: u64) -> Poll {
    Poll::Error(TokenError { retry_after: Some(Duration::from_secs(retry_after)), ..outage() })
}

/// The provider answers so to one poll after the other, and to further ones as if nobody had come.
fn script(scene: &Scene, polls: impl IntoIterator<Item = Poll>) {
    let mut polls: VecDeque<_> = polls.into_iter().collect();
    scene.say(move |number| match polls.pop_front() {
        Some(Poll::Error(error)) => Err(error),
        Some(Poll::Tokens(user)) => {
            let user = Some(Username::parse(user).unwrap());
            Ok(grant::Answer { user, ..given(number, HOUR) })
        }
        None => Err(refusal("authorization_pending")),
    });
}

/// Runs a whole flow; gives what came of it, and the seconds at which polls came.
async fn run(scene: &Scene) -> (Result<Authorized, AuthorizeError>, Vec<u64>) {
    let begun_at = Instant::now();
    let scopes = ["mail".to_owned()];
    let request = scene.tokens.device_request(&scene.grant, &scopes).await.unwrap();
    let expected = [alice()];
    let flow = scene.tokens.await_device(&scene.grant, &scopes, request, &expected, pending());
    let outcome = flow.await.map(|authorized| authorized.expect("nobody gives it up"));
    let polls = scene.requests();
    let seconds = |at: Instant| {
        let since = at - begun_at;
        // The timer counts in milliseconds, and may be one late but never early.
        assert!(since.subsec_millis() <= 5, "{since:?}");
        since.as_secs()
    };
    (outcome, polls.iter().map(|poll| seconds(poll.at)).collect())
}

#[tokio::test(start_paused = true)]
async fn device_polls_at_every_instant_that_rfc_8628_section_3_5_says() {
    let scene = Scene::nobody();
    let polls = [
        says("authorization_pending"), // 5
        says("slow_down"),             // 10: the interval is 10 from now on
        says("slow_down"),             // 20: 15
        Poll::Error(outage()),         // 35: doubled once
        says("authorization_pending"), // 65: 15 again
        Poll::Error(outage()),         // 80: doubled
        Poll::Error(outage()),         // 110: and again
        busy(90),                      // 170: longer than we would wait
        busy(1),                       // 260: shorter, which counts for nothing
        says("slow_down"),             // 320: 20
        says("authorization_pending"), // 340
        Poll::Tokens("Alice@Contoso.com"),
    ];
    script(&scene, polls);
    let (outcome, polls) = run(&scene).await;
    assert_eq!(outcome.unwrap().user.unwrap().folded(), alice());
    assert_eq!(polls, [5, 10, 20, 35, 65, 80, 110, 170, 260, 320, 340, 360]);
    assert_eq!(scene.kept_token(), "refresh-12");
    assert_eq!(scene.events().last().unwrap(), "commit refresh-12");
    assert_eq!(scene.ask().await.unwrap(), "token-12");
}

#[tokio::test(start_paused = true)]
async fn device_waits_for_the_interval_from_the_answer_and_not_from_the_poll() {
    let scene = Scene::nobody();
    scene.latency(3 * SECOND);
    script(&scene, [says("authorization_pending"), Poll::Tokens("alice@contoso.com")]);
    let (outcome, polls) = run(&scene).await;
    outcome.unwrap();
    assert_eq!(polls, [5, 13]);
}

#[tokio::test(start_paused = true)]
async fn device_polls_as_rarely_as_the_provider_wants() {
    let scene = Scene::nobody();
    scene.device(15 * MINUTE, 2 * MINUTE);
    script(&scene, [Poll::Error(outage()), Poll::Tokens("alice@contoso.com")]);
    let (outcome, polls) = run(&scene).await;
    outcome.unwrap();
    assert_eq!(polls, [120, 240], "our own pause is never shorter than the interval");
}

#[tokio::test(start_paused = true)]
async fn device_ends_with_the_code_even_while_the_provider_is_out_of_reach() {
    let trouble = || (0..60).map(|_| Poll::Error(outage()));
    for (polls, last) in [(Vec::new(), 30), (trouble().collect(), 15), (vec![busy(3600)], 5)] {
        let scene = Scene::person();
        scene.device(33 * SECOND, 5 * SECOND);
        script(&scene, polls);
        let begun_at = Instant::now();
        let (outcome, polls) = run(&scene).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, AuthorizeError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains("before it came to its end"), "{error}");
        assert!(
            error.fix().contains("`mailbearer authorize alice@contoso.com`"),
            "{}",
            error.fix()
        );
        assert_eq!((polls.last(), begun_at.elapsed().as_secs()), (Some(&last), 33));
        assert_eq!(scene.kept_token(), "refresh-0");
    }
}

#[tokio::test(start_paused = true)]
async fn device_ends_with_the_code_when_it_is_told_to_wait_longer_than_any_clock_counts() {
    let for_ever = Duration::from_secs(u64::MAX);
    for (interval, seen) in [(for_ever, vec![]), (5 * SECOND, vec![5])] {
        let scene = Scene::nobody();
        scene.device(33 * SECOND, interval);
        script(&scene, [busy(u64::MAX)]);
        let begun_at = Instant::now();
        let (outcome, polls) = run(&scene).await;
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("before it came to its end"), "{error}");
        assert_eq!((polls, begun_at.elapsed().as_secs()), (seen, 33));
    }
}

#[tokio::test(start_paused = true)]
async fn device_stops_when_the_provider_says_something_definite() {
    for (poll, told) in [
        (says("expired_token"), "before it came to its end"),
        (says("access_denied"), "declined (access_denied)"),
        (says("authorization_declined"), "declined (authorization_declined)"),
        (says("invalid_client"), "the client is unknown"),
        (says("bad_verification_code"), "bad_verification_code"),
    ] {
        let scene = Scene::person();
        script(&scene, [says("authorization_pending"), poll]);
        let (outcome, polls) = run(&scene).await;
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(!error.fix().is_empty());
        assert_eq!((polls, scene.kept_token().as_str()), (vec![5, 10], "refresh-0"));
    }
}

#[tokio::test(start_paused = true)]
async fn device_polls_no_more_when_its_answer_is_of_no_use() {
    let scene = Scene::person();
    let reason = "its token is not of type Bearer";
    scene.say(move |number| {
        let issued = Err(TokenError::temporary("login.example", reason));
        Ok(grant::Answer { issued, ..given(number, HOUR) })
    });
    let (outcome, polls) = run(&scene).await;
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
    assert!(error.fix().starts_with("begin again"), "{}", error.fix());
    assert_eq!((polls, scene.kept_token().as_str()), (vec![5], "refresh-0"));
}

#[tokio::test(start_paused = true)]
async fn device_tells_of_a_lost_answer_when_the_code_is_refused_after_it() {
    let scene = Scene::nobody();
    let lost = TokenError { is_answer_lost: true, ..outage() };
    script(&scene, [Poll::Error(lost), says("invalid_grant")]);
    let (outcome, _) = run(&scene).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("the answer to an earlier request was lost"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn device_of_the_wrong_person_changes_nothing() {
    let scene = Scene::person();
    script(&scene, [Poll::Tokens("mallory@contoso.com")]);
    let (outcome, _) = run(&scene).await;
    assert!(matches!(outcome, Err(AuthorizeError::WrongUser { .. })), "{outcome:?}");
    assert_eq!(scene.kept_token(), "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn device_keeps_nobody_waiting_who_uses_the_consent_before() {
    let scene = Scene::person();
    scene.latency(4 * SECOND);
    script(&scene, []);
    let scopes = ["mail".to_owned()];
    let request = scene.tokens.device_request(&scene.grant, &scopes).await.unwrap();
    let flow = scene.tokens.await_device(&scene.grant, &scopes, request, &[], pending());
    let using = async {
        tokio::time::sleep(6 * SECOND).await; // the first poll is under way until 9
        let begun_at = Instant::now();
        scene.give(HOUR);
        let token = scene.ask().await.unwrap();
        assert_eq!(begun_at.elapsed().as_secs(), 4, "its own request alone");
        token
    };
    let (ended, token) = tokio::join!(timeout(11 * SECOND, flow), using);
    assert_eq!(token, "token-2");
    ended.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn device_polls_no_more_when_the_command_is_broken_off_but_keeps_what_is_under_way() {
    let scene = Scene::nobody();
    scene.latency(4 * SECOND);
    script(&scene, [says("authorization_pending"), Poll::Tokens("alice@contoso.com")]);
    let expected = [alice()];
    let scopes = ["mail".to_owned()];
    let request = scene.tokens.device_request(&scene.grant, &scopes).await.unwrap();
    let flow = scene.tokens.await_device(&scene.grant, &scopes, request, &expected, pending());
    timeout(16 * SECOND, flow).await.unwrap_err(); // the second poll came at 14
    scene.tokens.settled().await;
    assert_eq!(scene.kept_token(), "refresh-2");

    let scene = Scene::nobody();
    script(&scene, []);
    let request = scene.tokens.device_request(&scene.grant, &scopes).await.unwrap();
    let flow = scene.tokens.await_device(&scene.grant, &scopes, request, &expected, pending());
    timeout(7 * SECOND, flow).await.unwrap_err();
    tokio::time::advance(HOUR).await;
    scene.tokens.settled().await;
    assert_eq!(scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn device_that_is_given_up_tells_what_came_of_the_poll_under_way() {
    let given_up_after = async |scene: &Scene, seconds: u32| {
        let begun_at = Instant::now();
        let (scopes, expected) = (["mail".to_owned()], [alice()]);
        let request = scene.tokens.device_request(&scene.grant, &scopes).await.unwrap();
        let given_up = tokio::time::sleep(seconds * SECOND);
        let flow = scene.tokens.await_device(&scene.grant, &scopes, request, &expected, given_up);
        (flow.await, begun_at.elapsed().as_secs())
    };
    // Polls come at 5 and 14, and are answered at 9 and 18.
    let polls = || [says("authorization_pending"), Poll::Tokens("alice@contoso.com")];
    for (seconds, ended_at, is_kept) in
        [(0, 0, false), (6, 9, false), (10, 10, false), (16, 18, true)]
    {
        let scene = Scene::nobody();
        scene.latency(4 * SECOND);
        script(&scene, polls());
        let (outcome, ended) = given_up_after(&scene, seconds).await;
        assert_eq!((outcome.unwrap().is_some(), ended), (is_kept, ended_at), "after {seconds}");
        let count = scene.request_count();
        tokio::time::advance(HOUR).await;
        scene.tokens.settled().await;
        assert_eq!(scene.request_count(), count, "no poll follows");
    }
    let scene = Scene::nobody();
    scene.latency(4 * SECOND);
    script(&scene, [Poll::Tokens("mallory@contoso.com")]);
    let (outcome, _) = given_up_after(&scene, 6).await;
    assert!(matches!(outcome, Err(AuthorizeError::WrongUser { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn device_polls_no_more_when_the_program_ends() {
    let scene = Scene::nobody();
    script(&scene, []);
    let flow = run(&scene);
    let ending = async {
        tokio::time::sleep(6 * SECOND).await;
        scene.tokens.settled().await;
    };
    let ((outcome, polls), ()) = tokio::join!(flow, ending);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("mailbearer is ending"), "{error}");
    assert_eq!(polls, [5]);
}

/// What a flow at a stand-in's device endpoint says and hears.
async fn begin(
    answer: Answer,
    change: impl FnOnce(&mut Grant),
) -> (Result<DeviceRequest, TokenError>, String) {
    begin_for(&["https://a.example/x", "offline_access"], answer, change).await
}

/// The same for these scopes.
async fn begin_for(
    scopes: &[&str],
    answer: Answer,
    change: impl FnOnce(&mut Grant),
) -> (Result<DeviceRequest, TokenError>, String) {
    let stand_in = StandIn::start(answer).await;
    let mut grant = Grant::clone(&stand_in.person());
    let url = grant.server.token_endpoint.clone().unwrap().replace("/token", "/devicecode");
    grant.server.device_authorization_endpoint = Some(url);
    change(&mut grant);
    let tokens = Tokens::new(Store::in_memory());
    let scopes: Vec<_> = scopes.iter().copied().map(str::to_owned).collect();
    let begun = tokens.device_request(&Arc::new(grant), &scopes).await;
    (begun, stand_in.last_request())
}

const BEGUN: &str = r#"{"device_code":"d3vice","user_code":"WDJB-MJHT","expires_in":900,
    "verification_uri":"https://example.com/device","interval":5}"#;

#[tokio::test]
async fn device_flow_begins_as_rfc_8628_section_3_1_says() {
    let (begun, request) = begin(Answer::json("200 OK", BEGUN), |_| {}).await;
    let begun = begun.unwrap();
    assert_eq!(begun.user_code, "WDJB-MJHT");
    assert_eq!(begun.verification_uri, "https://example.com/device");
    assert_eq!((begun.verification_uri_complete, begun.expires_in.as_secs()), (None, 900));
    assert!(request.starts_with("POST /tenant/devicecode HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        "scope=https%3A%2F%2Fa.example%2Fx+offline_access\
         &client_id=the+client&client_secret=s3cret-of-the-client"
    );
    let public = |grant: &mut Grant| {
        *grant = grant.clone().by(|client| client.auth = ClientAuth::None);
        grant.server.resource = Some("https://mail.example".to_owned()); // RFC 8707 section 2
    };
    let (_, request) = begin(Answer::json("200 OK", BEGUN), public).await;
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let resource = "resource=https%3A%2F%2Fmail.example";
    let scope = "scope=https%3A%2F%2Fa.example%2Fx+offline_access";
    assert_eq!(body, format!("{scope}&{resource}&client_id=the+client"));
    let public = |grant: &mut Grant| *grant = grant.clone().by(|it| it.auth = ClientAuth::None);
    let (begun, request) = begin_for(&[], Answer::json("200 OK", BEGUN), public).await;
    // `scope` is optional, and has one token at least (RFC 6749 appendix A.4).
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!((begun.is_ok(), body), (true, "client_id=the+client"));
}

#[tokio::test]
async fn device_flow_does_not_begin_where_there_is_none() {
    let none = |grant: &mut Grant| grant.server.device_authorization_endpoint = None;
    let known = |grant: &mut Grant| {
        grant.server.no_device_flow = Some("its mail scopes are not allowed there");
    };
    let paste = "run `mailbearer authorize alice@contoso.com --paste`";
    type Change = fn(&mut Grant);
    let cases: [(Change, &str); 2] = [
        (none, "names no device flow"),
        (known, "has no device flow for mail: its mail scopes are not allowed there"),
    ];
    for (change, told) in cases {
        let (begun, request) = begin(Answer::json("200 OK", BEGUN), change).await;
        let error = begun.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.cause.contains(told) && error.fix.contains(paste), "{error}");
        assert_eq!(request, "", "nobody was asked");
    }
}

#[tokio::test]
async fn device_flow_does_not_begin_when_the_answer_is_an_error_or_nothing() {
    let refused = r#"{"error":"invalid_scope","error_description":"Invalid device flow scope"}"#;
    for (answer, kind, told) in [
        (Answer::json("400 Bad Request", refused), ErrorKind::Configuration, "invalid_scope"),
        (Answer::json("200 OK", refused), ErrorKind::Configuration, "invalid_scope"),
        (Answer::json("503 Unavailable", refused), ErrorKind::Temporary, "HTTP 503"),
        (Answer::json("200 OK", "{}"), ErrorKind::Temporary, "holds no code"),
        (Answer::new("200 OK", "text/html", "<html>"), ErrorKind::Temporary, "holds no code"),
    ] {
        let error = begin(answer, |_| {}).await.0.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.cause.contains(told) && !error.cause.contains("Invalid device"), "{error}");
    }
}

#[tokio::test]
async fn device_is_polled_for_as_rfc_8628_section_3_4_says() {
    let stand_in = StandIn::start(Answer::token()).await;
    let grant = stand_in.person();
    let code = "d3vice code".into();
    let network = grant::Network::default();
    let by = grant::By::DeviceCode(&code);
    let answer = grant::Issuer::issue(&network, &grant, &scopes(), by).await.unwrap();
    assert_eq!(answer.issued.unwrap().token.expose_secret(), TOKEN);
    let request = stand_in.last_request();
    assert!(request.starts_with("POST /tenant/token HTTP/1.1\r\n"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code\
         &device_code=d3vice+code&client_id=the+client&client_secret=s3cret-of-the-client"
    );
}
