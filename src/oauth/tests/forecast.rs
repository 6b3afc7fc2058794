//! What is foreseen of grants, and warned of.

use tokio::task::JoinHandle;
use tokio::time::{advance, sleep};

use super::scene::{HOUR, MINUTE, SECOND, Scene, given, outage, refusal};
use super::*;
use crate::clock::unix_time;
use crate::oauth::forecast::DiesOf;
use crate::provider::{AssertionAlgorithm, ClientKey};
use crate::store::{StoredGrant, StoredRefusal};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a scene logs while the keeper runs.
struct Watch {
    scene: Scene,
    log: Log,
    keeping: JoinHandle<()>,
    _subscribed: tracing::subscriber::DefaultGuard,
    // While there is one subscriber alone, `tracing` (0.1) believes that nobody listens to a log
    // line whose first thread has none: another test's, here.
    _second: tracing::Dispatch,
}

impl Watch {
    fn over(scene: Scene) -> Self {
        let log = Log::default();
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let subscribed = log.subscribe(tracing::Level::WARN);
        scene.want();
        let tokens = scene.tokens.clone();
        let keeping = tokio::spawn(async move { tokens.keep().await });
        Self { scene, log, keeping, _subscribed: subscribed, _second: second }
    }

    /// The warnings of an end that have come after `time`.
    async fn endings_after(&self, time: Duration) -> Vec<String> {
        sleep(time).await;
        let logged = self.log.take();
        let lines = logged.lines().filter(|line| line.contains("ends_at="));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// Google's server in place of the scene's.
fn google() -> Scene {
    let grant = Grant::of_person("alice@contoso.com").by(|client| client.auth = ClientAuth::None);
    Scene::of(grant.at("https://oauth2.googleapis.com/token"))
}

/// A consent as it is kept.
fn stored(scene: &Scene, consented_at: Duration) -> StoredGrant {
    scene.keep("refresh-0", consented_at);
    scene.kept().unwrap()
}

fn account(number: usize) -> GrantId {
    GrantId::Account(Username::parse(&format!("user-{number}@corp.example")).unwrap())
}

fn with_secret_until(ends_at: Duration) -> Grant {
    Grant::of_application().by(|client| client.secret_ends_at = Some(ends_at))
}

fn with_certificate(pem: &str) -> Grant {
    let secret = |text: &str| SecretSource::Value(text.into());
    let key = ClientKey {
        certificate: Some(secret(pem)),
        private_key: secret("key"),
        key_id: None,
        algorithm: AssertionAlgorithm::Ps256,
    };
    Grant::of_application().by(|client| client.auth = ClientAuth::PrivateKeyJwt(key))
}

/// A certificate (PEM) that ends then, with its own end in whole seconds.
fn certificate_until(ends_at: Duration) -> (String, Duration) {
    let ends_at = Duration::from_secs(ends_at.as_secs());
    let mut params = rcgen::CertificateParams::new(["client.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + ends_at;
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), ends_at)
}

#[tokio::test(start_paused = true)]
async fn credential_is_warned_of_from_thirty_days_before_its_end_and_once_a_day() {
    for (left, expected) in [(31, 0), (29, 1), (1, 1), (0, 1)] {
        let ends_at = unix_time() + left * DAY;
        let (pem, _) = certificate_until(ends_at);
        for (grant, ends, fix) in [
            (with_secret_until(ends_at), "the client secret", "client_secret_expires"),
            (with_certificate(&pem), "the certificate", "upload it"),
        ] {
            let watch = Watch::over(Scene::of(grant));
            let lines = watch.endings_after(MINUTE).await;
            assert_eq!(lines.len(), expected, "{left} days: {lines:?}");
            for line in &lines {
                let day = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + ends_at);
                let day = day.to_string();
                let message = if left == 0 { "has ended" } else { "ends soon" };
                for told in
                    [&format!("{ends} {message}"), "grant=application corp/client", fix, &day[..10]]
                {
                    assert!(line.contains(told), "{told} is not in {line}");
                }
            }
            assert_eq!(watch.endings_after(23 * HOUR).await.len(), 0, "not again on that day");
            assert_eq!(watch.endings_after(2 * HOUR).await.len(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credential_that_a_reload_brings_is_warned_of_at_once() {
    let watch = Watch::over(Scene::application());
    assert!(watch.endings_after(MINUTE).await.is_empty());
    let grant = Arc::new(with_secret_until(unix_time() + DAY));
    watch.scene.tokens.want(vec![Wanted { grant, scopes: vec![scopes()] }]);
    assert_eq!(watch.endings_after(5 * SECOND).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn credential_that_many_accounts_share_is_warned_of_in_one_line() {
    let watch = Watch::over(Scene::application());
    let of = with_secret_until(unix_time() + DAY);
    let wanted = (0..1_000).map(|number| Wanted {
        grant: Arc::new(Grant { id: account(number), ..of.clone() }),
        scopes: vec![scopes()],
    });
    watch.scene.tokens.want(wanted.collect());
    let lines = watch.endings_after(5 * SECOND).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("grants=1000"), "{lines:?}");
    assert_eq!(watch.endings_after(HOUR).await.len(), 0, "not again on that day");
}

#[tokio::test(start_paused = true)]
async fn consents_that_end_together_are_warned_of_in_a_few_lines_the_nearest_first() {
    let watch = Watch::over(google());
    let now = unix_time();
    let kept = stored(&watch.scene, now - 6 * DAY);
    let wanted = (0..30).map(|number| {
        let grant = Grant { id: account(number), ..Grant::clone(&watch.scene.grant) };
        let ends_at = Some(now + DAY - u32::try_from(number).unwrap() * MINUTE);
        watch.scene.put_for(&grant.id, &StoredGrant { ends_at, refreshed_at: now, ..kept.clone() });
        Wanted { grant: Arc::new(grant), scopes: vec![scopes()] }
    });
    watch.scene.tokens.want(wanted.collect());
    sleep(5 * SECOND).await;
    let logged = watch.log.take();
    let lines: Vec<_> = logged.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(lines.len(), 21, "{lines:?}");
    assert!(lines[0].contains("user-29@"), "{}", lines[0]);
    assert!(
        lines[20].contains("grants=10") && lines[20].contains("mailbearer accounts"),
        "{lines:?}"
    );
    assert_eq!(watch.endings_after(HOUR).await.len(), 0, "not again on that day");
}

#[test]
fn credential_ends_when_the_file_or_the_certificate_says() {
    let ends = |grant: &Grant| Scene::of(grant.clone()).tokens.status(grant).credential_ends_at;
    let at = unix_time() + 400 * DAY;
    assert_eq!(ends(&with_secret_until(at)), Some(at));
    let (pem, at) = certificate_until(at);
    let (other, _) = certificate_until(at + DAY);
    assert_eq!(ends(&with_certificate(&pem)), Some(at));
    assert_eq!(ends(&with_certificate(&format!("{pem}{other}"))), Some(at), "the first counts");
    for unread in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        assert_eq!(ends(&with_certificate(unread)), None, "{unread}");
    }
    let public = with_secret_until(at).by(|client| client.auth = ClientAuth::None);
    assert_eq!(ends(&public), None, "there is no secret");
    assert_eq!(ends(&Grant::of_application()), None);
}

#[tokio::test(start_paused = true)]
async fn end_that_the_endpoint_tells_is_kept_and_foreseen() {
    let told =
        |number, life| Ok(grant::Answer { refresh_token_life: Some(life), ..given(number, HOUR) });
    // Google's testing apps: the end of the consent. Keycloak's: the end without use.
    for (scene, of) in [(google(), DiesOf::Age), (Scene::nobody(), DiesOf::Disuse)] {
        scene.keep("refresh-0", unix_time());
        scene.say(move |number| told(number, 7 * DAY));
        scene.ask().await.unwrap();
        let status = scene.status();
        let left = status.dies_at.unwrap().abs_diff(unix_time() + 7 * DAY);
        assert!(left < 5 * SECOND, "{left:?}");
        assert_eq!(status.dies_of, Some(of));

        // What is not told again stays for the same refresh token alone.
        let before = scene.kept().unwrap().ends_at;
        scene.say(|number| Ok(grant::Answer { refresh_token: None, ..given(number, HOUR) }));
        advance(HOUR).await;
        scene.ask().await.unwrap();
        assert_eq!(scene.kept().unwrap().ends_at, before);
        scene.give(HOUR);
        advance(HOUR).await;
        scene.ask().await.unwrap();
        assert_eq!(scene.kept().unwrap().ends_at, None);
    }
}

#[tokio::test(start_paused = true)]
async fn end_that_is_told_at_the_consent_is_kept() {
    let scene = Scene::nobody();
    scene.say(|number| Ok(grant::Answer { refresh_token_life: Some(DAY), ..given(number, HOUR) }));
    let pasted = RefreshToken::parse("pasted").unwrap();
    scene.tokens.authorize(&scene.grant, &["mail".to_owned()], pasted, &[]).await.unwrap();
    let left = scene.kept().unwrap().ends_at.unwrap().abs_diff(unix_time() + DAY);
    assert!(left < 5 * SECOND, "{left:?}");
}

#[test]
fn earlier_of_two_deaths_is_foreseen() {
    let idle = Grant { refresh_idle: Some(90 * DAY), ..Grant::clone(&google().grant) };
    let scene = Scene::of(idle);
    let now = unix_time();
    for (told, at, of) in [
        (None, now + 90 * DAY, DiesOf::Disuse),
        (Some(now + 7 * DAY), now + 7 * DAY, DiesOf::Age),
        (Some(now + 100 * DAY), now + 90 * DAY, DiesOf::Disuse),
    ] {
        scene.put(&StoredGrant { ends_at: told, ..stored(&scene, now) });
        let status = scene.status();
        assert_eq!((status.dies_at, status.dies_of), (Some(at), Some(of)), "{told:?}");
    }
    assert_eq!(Scene::person().status().dies_of, None, "nothing is known");
}

#[tokio::test(start_paused = true)]
async fn death_by_age_is_warned_of_in_the_last_quarter() {
    for (left, expected) in [(2 * DAY, 0), (DAY, 1), (Duration::ZERO, 1)] {
        let scene = google();
        let now = unix_time();
        let kept = stored(&scene, now + left - 7 * DAY);
        scene.put(&StoredGrant { ends_at: Some(now + left), refreshed_at: now, ..kept });
        let watch = Watch::over(scene);
        let lines = watch.endings_after(MINUTE).await;
        assert_eq!(lines.len(), expected, "{left:?}: {lines:?}");
        for line in lines {
            assert!(line.contains("mailbearer authorize alice@contoso.com"), "{line}");
            assert!(line.contains("the refresh token") && line.contains("in testing"), "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn death_by_disuse_is_warned_of_once_keeping_alive_has_failed() {
    let idle = Grant { refresh_idle: Some(90 * DAY), ..Grant::clone(&Scene::nobody().grant) };
    for (unused, fails, expected) in [(80, true, 1), (80, false, 0), (60, true, 0)] {
        let scene = Scene::of(idle.clone());
        scene.keep("refresh-0", unix_time() - unused * DAY);
        if fails {
            scene.fail(&outage());
        }
        let watch = Watch::over(scene);
        assert_eq!(watch.endings_after(MINUTE).await.len(), 0, "it is being kept alive");
        let lines = watch.endings_after(HOUR).await;
        assert_eq!(lines.len(), expected, "{unused} days, {fails}: {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn consent_that_is_lost_already_is_not_warned_of() {
    let scene = google();
    let now = unix_time();
    let refused = StoredRefusal {
        at: now,
        error: "invalid_grant".into(),
        aadsts: None,
        after_lost_answer: false,
    };
    let kept = stored(&scene, now - 7 * DAY);
    scene.put(&StoredGrant { ends_at: Some(now), refused: Some(refused), ..kept });
    assert_eq!(Watch::over(scene).endings_after(MINUTE).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn refresh_token_of_a_short_life_is_kept_alive_within_it() {
    let scene = Scene::nobody();
    scene.say(|number| {
        Ok(grant::Answer { refresh_token_life: Some(30 * MINUTE), ..given(number, HOUR) })
    });
    let kept = stored(&scene, unix_time());
    scene.put(&StoredGrant { ends_at: Some(unix_time()), refreshed_at: Duration::ZERO, ..kept });
    let watch = Watch::over(scene);
    sleep(MINUTE).await;
    assert_eq!(watch.scene.request_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn refusal_after_seven_days_is_explained_where_google_gave_the_consent() {
    let hour = |hours: u32| hours * HOUR;
    for (scene, age, is_told) in [
        (google(), hour(6 * 24 + 12), true),
        (google(), hour(7 * 24), true),
        (google(), hour(7 * 24 + 11), true),
        (google(), hour(6 * 24 + 11), false),
        (google(), hour(7 * 24 + 13), false),
        (Scene::nobody(), hour(7 * 24), false),
    ] {
        scene.keep("refresh-0", unix_time() - age);
        scene.fail(&refusal("invalid_grant"));
        let error = scene.ask().await.unwrap_err();
        for error in [error, scene.status().last_error.unwrap()] {
            assert_eq!(error.kind, ErrorKind::Consent);
            assert_eq!(error.cause.contains("External and in testing"), is_told, "{age:?} {error}");
            assert!(error.fix.ends_with("run `mailbearer authorize alice@contoso.com`"), "{error}");
            assert_eq!(error.fix.starts_with("set the consent screen"), is_told, "{error}");
        }
        // The next run of the program knows it from the store.
        scene.tokens.want(Vec::new());
        let error = scene.status().last_error.unwrap();
        assert_eq!(error.cause.contains("External and in testing"), is_told, "{error}");
    }
    let scene = google();
    scene.keep("refresh-0", unix_time() - hour(7 * 24));
    scene.fail(&refusal("invalid_client"));
    assert!(!scene.ask().await.unwrap_err().cause.contains("in testing"));
}

#[tokio::test(start_paused = true)]
async fn refusal_after_the_end_that_was_told_says_so() {
    let scene = Scene::nobody();
    let kept = stored(&scene, unix_time() - DAY);
    scene.put(&StoredGrant { ends_at: Some(unix_time() - HOUR), ..kept });
    scene.fail(&refusal("invalid_grant"));
    let error = scene.ask().await.unwrap_err();
    assert!(error.cause.contains("had told that it would end"), "{error}");
}
