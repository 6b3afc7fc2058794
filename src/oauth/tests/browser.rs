//! Consent by browser: the request, the answer, and what is kept of it.

use std::collections::HashMap;

use oauth2::url::Url;

use super::scene::{HOUR, SECOND, Scene, alice, given, outage, refusal};
use super::*;

const REDIRECT: &str = "http://localhost:41235";
const ISSUER: &str = "https://login.example";

/// A scene at a provider that tells its issuer, with or without Alice's consent before.
fn scene(change: impl FnOnce(&mut Grant)) -> Scene {
    let mut grant = Grant::clone(&Scene::nobody().grant);
    grant.server.authorization_endpoint = Some("https://login.example/authorize".to_owned());
    grant.server.issuer = Some(ISSUER.to_owned());
    grant.server.tells_issuer = true;
    change(&mut grant);
    let scene = Scene::of(grant);
    scene.keep("refresh-0", crate::clock::unix_time());
    scene
}

fn mail() -> Vec<String> {
    ["https://mail.example/IMAP", "https://mail.example/SMTP", "offline_access"]
        .map(str::to_owned)
        .to_vec()
}

async fn request(scene: &Scene) -> CodeRequest {
    scene.tokens.code_request(&scene.grant, &mail(), REDIRECT, &alice()).await.unwrap()
}

/// The parameters of a URL; none stands twice.
fn parameters(url: &str) -> HashMap<String, String> {
    let url = Url::parse(url).unwrap();
    let pairs = || url.query_pairs().into_owned();
    let parameters: HashMap<_, _> = pairs().collect();
    assert_eq!(parameters.len(), pairs().count(), "{url}");
    parameters
}

async fn redeem(
    scene: &Scene,
    request: CodeRequest,
    query: &str,
) -> Result<Authorized, AuthorizeError> {
    let redirected = Redirected::parse(query).unwrap();
    scene.tokens.redeem(&scene.grant, &mail(), request, redirected, &[alice()]).await
}

/// Answers a new request with `query`, where `STATE` stands for its state.
async fn answer(scene: &Scene, query: &str) -> Result<Authorized, AuthorizeError> {
    let request = request(scene).await;
    let query = query.replace("STATE", request.state());
    redeem(scene, request, &query).await
}

const GOOD: &str = "code=c0de&state=STATE&iss=https%3A%2F%2Flogin.example";

/// Nothing was asked of the provider, and what was kept before is as it was.
fn assert_untouched(scene: &Scene) {
    assert_eq!((scene.request_count(), scene.kept_token().as_str()), (0, "refresh-0"));
}

#[tokio::test(start_paused = true)]
async fn browser_is_sent_to_what_rfc_6749_section_4_1_1_and_rfc_7636_section_4_3_say() {
    let scene = scene(|_| {});
    let request = request(&scene).await;
    assert!(request.url().starts_with("https://login.example/authorize?response_type=code&"));
    let mut parameters = parameters(request.url());
    let challenge = parameters.remove("code_challenge").unwrap();
    assert_eq!(
        (challenge.len(), parameters.remove("state").unwrap().as_str()),
        (43, request.state())
    );
    let expected = [
        ("response_type", "code"),
        ("client_id", "client"),
        ("redirect_uri", REDIRECT),
        ("scope", "https://mail.example/IMAP https://mail.example/SMTP offline_access"),
        ("code_challenge_method", "S256"),
        ("response_mode", "query"),
        ("login_hint", "alice@contoso.com"),
    ];
    assert_eq!(parameters, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert_eq!((request.redirect_uri(), request.state().len()), (REDIRECT, 43), "256 bits");
    let other = self::request(&scene).await;
    assert_ne!(request.state(), other.state());
    assert_ne!(self::parameters(other.url())["code_challenge"], challenge);
}

#[tokio::test(start_paused = true)]
async fn browser_is_sent_without_a_scope_when_none_is_written() {
    let scene = scene(|_| {});
    let request = scene.tokens.code_request(&scene.grant, &[], REDIRECT, &alice()).await.unwrap();
    // RFC 6749 appendix A.4: a scope has one token at least.
    assert!(!parameters(request.url()).contains_key("scope"), "{}", request.url());
}

#[tokio::test(start_paused = true)]
async fn browser_is_sent_with_the_query_and_parameters_of_the_file_which_change_none_of_ours() {
    let scene = scene(|grant| {
        let server = &mut grant.server;
        server.authorization_endpoint =
            Some("https://login.example/a?p=b2c%20policy&prompt=x".into());
        server.resource = Some("https://mail.example".into());
        server.authorization_params = [
            ("prompt", "consent"),
            ("access_type", "offline"),
            ("client_id", "other"),
            ("state", "known"),
            ("code_challenge_method", "plain"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    });
    let request = request(&scene).await;
    assert!(request.url().starts_with("https://login.example/a?p=b2c%20policy&prompt=x&"));
    let parameters = parameters(request.url());
    for (name, value) in [
        ("p", "b2c policy"),
        ("prompt", "x"),
        ("access_type", "offline"),
        ("client_id", "client"),
        ("state", request.state()),
        ("code_challenge_method", "S256"),
        ("resource", "https://mail.example"), // RFC 8707 section 2.1
    ] {
        assert_eq!(parameters[name], value, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn browser_is_sent_nowhere_when_the_endpoint_is_missing_or_unfit() {
    for (endpoint, told) in [
        (None, "names no endpoint for consent"),
        (Some("http://login.example/authorize"), "must be https"),
        (Some("no url"), "is no URL"),
        (Some("https://login.example/authorize?state=1"), "has `state` in its query"),
    ] {
        let scene = scene(|grant| {
            grant.server.authorization_endpoint = endpoint.map(str::to_owned);
        });
        let asked = scene.tokens.code_request(&scene.grant, &mail(), REDIRECT, &alice()).await;
        let error = asked.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration);
        assert!(error.cause.contains(told), "{error}");
        assert!(error.fix.contains("`authorization_endpoint`"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn code_is_redeemed_and_the_consent_kept_when_state_and_issuer_are_right() {
    let scene = scene(|_| {});
    let authorized = answer(&scene, GOOD).await.unwrap();
    assert_eq!((authorized.user, authorized.missing, authorized.unsaved), (None, vec![], None));
    assert_eq!(scene.events(), [r#"code "c0de""#, "commit refresh-1"]);
    let token = scene.tokens.access_token(&scene.grant, &mail()).await.unwrap();
    assert_eq!(token.access_token.expose_secret(), "token-1", "it is used for these scopes");
    assert_eq!(scene.ask().await.unwrap(), "token-2", "and for no others");
}

#[tokio::test(start_paused = true)]
async fn answer_with_a_foreign_or_no_state_changes_nothing() {
    let scene = scene(|_| {});
    let other = request(&scene).await.state().to_owned();
    let right = "&iss=https%3A%2F%2Flogin.example";
    for state in ["&state=guessed", "&state=STATEx", "&state=", "", &format!("&state={other}")] {
        for reply in ["code=c0de", "error=access_denied"] {
            let error = answer(&scene, &format!("{reply}{state}{right}")).await.unwrap_err();
            assert_eq!(error, RedirectError::Foreign.into(), "{state}");
        }
    }
    assert_untouched(&scene);
}

#[tokio::test(start_paused = true)]
async fn answer_of_another_issuer_changes_nothing() {
    let issuer = |grant: &mut Grant, issuer: Option<&str>, tells: bool| {
        grant.server.issuer = issuer.map(str::to_owned);
        grant.server.tells_issuer = tells;
    };
    for (known, tells, told, is_right) in [
        (Some(ISSUER), true, "&iss=https%3A%2F%2Flogin.example", true),
        (Some(ISSUER), true, "&iss=https%3A%2F%2Flogin.example%2F", false),
        (Some(ISSUER), true, "&iss=https%3A%2F%2Fevil.example", false),
        (Some(ISSUER), true, "&iss=", false),
        (Some(ISSUER), true, "", false),
        // RFC 9207 section 2.4: what is there is compared, promised or not.
        (Some(ISSUER), false, "&iss=https%3A%2F%2Fevil.example", false),
        (Some(ISSUER), false, "", true),
        (None, false, "&iss=https%3A%2F%2Fevil.example", true),
        (None, true, "", false),
    ] {
        let scene = scene(|grant| issuer(grant, known, tells));
        let outcome = answer(&scene, &format!("code=c0de&state=STATE{told}")).await;
        assert_eq!(outcome.is_ok(), is_right, "{known:?} {tells} {told}");
        if let Err(error) = outcome {
            assert_eq!(error, RedirectError::Issuer.into());
            let refusal = format!("error=access_denied&state=STATE{told}");
            assert_eq!(answer(&scene, &refusal).await.unwrap_err(), error, "not theirs to say");
            assert_untouched(&scene);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn error_in_the_place_of_a_code_is_told_with_a_fix_and_without_its_description() {
    for (error, kind, told) in [
        ("access_denied", None, "the consent was declined (access_denied)"),
        ("access_denied&error_subcode=cancel", None, "the consent was declined"),
        ("consent_required", None, "consent_required"),
        ("interaction_required", None, "interaction_required"),
        ("login_required", None, "login_required"),
        ("access_denied&error_description=AADSTS65004%3A+leak", None, "AADSTS65004"),
        ("x&error_description=AADSTS90094%3A+leak", Some(ErrorKind::Admin), "AADSTS90094"),
        ("admin_policy_enforced", Some(ErrorKind::Admin), "Google Workspace"),
        ("unauthorized_client&error_description=leak", Some(ErrorKind::Admin), "unauthorized"),
        ("invalid_scope", Some(ErrorKind::Configuration), "invalid_scope"),
        ("server_error", Some(ErrorKind::Temporary), "server_error"),
        ("temporarily_unavailable", Some(ErrorKind::Temporary), "temporarily_unavailable"),
        ("%1B%5B31mred", Some(ErrorKind::Admin), "?[31mred"),
    ] {
        let scene = scene(|_| {});
        let query = GOOD.replace("code=c0de", &format!("error={error}"));
        let refused = answer(&scene, &query).await.unwrap_err();
        let text = format!("{refused}: {}", refused.fix());
        assert!(text.contains(told) && !text.contains("leak"), "{text}");
        assert!(!refused.fix().is_empty());
        match refused {
            AuthorizeError::Token(error) => assert_eq!(Some(error.kind), kind, "{error}"),
            AuthorizeError::Denied { .. } => assert_eq!(kind, None, "{text}"),
            AuthorizeError::WrongUser { .. }
            | AuthorizeError::Redirect(_)
            | AuthorizeError::NoRefreshToken
            | AuthorizeError::NotGranted { .. } => panic!("{text}"),
        }
        assert_untouched(&scene);
    }
}

#[test]
fn redirect_is_read_once_and_within_bounds() {
    let parse = |query: &str| Redirected::parse(query).map(|it| it.state().map(str::to_owned));
    assert_eq!(parse("code=c&state=s%2B+1&session_state=x&scope=y"), Ok(Some("s+ 1".into())));
    assert_eq!(parse("error=access_denied"), Ok(None));
    for none in ["", "state=s", "code=&state=s", "error=", "4/0AbCdEf", "c0de", "&&&=", "%ff"] {
        assert_eq!(parse(none), Err(RedirectError::NoAnswer), "{none}");
    }
    let long = format!("code={}", "x".repeat(16 * 1024 - 5));
    assert!(parse(&long).is_ok());
    for malformed in [
        "code=a&code=a",
        "code=a&state=s&state=s",
        "code=a&iss=i&iss=j",
        "error=a&error=b",
        "code=&code=a",
        "code=a&error=b",
        "code=a%0D%0Ab",
        "code=%C3%A9",
        "code=%00",
        &format!("{long}x"),
    ] {
        assert_eq!(parse(malformed), Err(RedirectError::Malformed), "{malformed}");
    }
}

#[tokio::test(start_paused = true)]
async fn code_that_the_provider_does_not_take_changes_nothing() {
    let scene = scene(|_| {});
    scene.fail(&refusal("invalid_grant"));
    let error = answer(&scene, GOOD).await.unwrap_err();
    assert!(error.to_string().contains("does not take the code (invalid_grant)"), "{error}");
    assert!(error.fix().contains("begin again"), "{}", error.fix());
    scene.fail(&outage());
    let error = answer(&scene, GOOD).await.unwrap_err();
    let fix = "begin again; if that fails too, try again later".to_owned();
    assert_eq!(error, AuthorizeError::Token(TokenError { fix, ..outage() }), "a code is used once");
    assert_eq!(scene.kept_token(), "refresh-0");
    assert_eq!(scene.kept().unwrap().refused, None, "the consent before is not the refused one");
    scene.give(HOUR);
    assert_eq!(scene.ask().await.unwrap(), "token-3");
}

#[tokio::test(start_paused = true)]
async fn code_without_a_refresh_token_changes_nothing() {
    let scene = scene(|_| {});
    scene.say(|number| Ok(grant::Answer { refresh_token: None, ..given(number, HOUR) }));
    let error = answer(&scene, GOOD).await.unwrap_err();
    assert_eq!(error, AuthorizeError::NoRefreshToken);
    for told in ["access_type", "prompt", "offline_access"] {
        assert!(error.fix().contains(told), "{}", error.fix());
    }
    assert_eq!(scene.kept_token(), "refresh-0");
}

#[tokio::test(start_paused = true)]
async fn unticked_permission_is_named_and_none_at_all_is_not_kept() {
    let scene = scene(|_| {});
    let lacks = |missing: &'static [&str]| {
        move |number| {
            let missing = Some(missing.iter().map(|&it| it.to_owned()).collect());
            Ok(grant::Answer { missing, ..given(number, HOUR) })
        }
    };
    scene.say(lacks(&["https://mail.example/IMAP", "https://mail.example/SMTP"]));
    let error = answer(&scene, GOOD).await.unwrap_err();
    assert!(
        error.to_string().contains("IMAP, https://mail.example/SMTP was not granted"),
        "{error}"
    );
    assert_eq!(
        (scene.kept_token().as_str(), error.fix().as_str()),
        ("refresh-0", "begin again, and tick every box")
    );

    scene.say(lacks(&["https://mail.example/SMTP"]));
    assert_eq!(answer(&scene, GOOD).await.unwrap().missing, ["https://mail.example/SMTP"]);
    assert_eq!(scene.kept_token(), "refresh-2");
    scene.give(HOUR);
    let token = scene.tokens.access_token(&scene.grant, &mail()).await.unwrap();
    assert_eq!(token.access_token.expose_secret(), "token-3", "the narrower token is not used");
}

/// A consent that is kept: of which account, by whom, and to which client.
type Kept<'a> = (&'a str, Option<&'a str>, &'a str);

/// A scene where Mallory signs in instead of Alice, whose own consent is kept.
fn mallory_signs_in() -> Scene {
    let scene = scene(|_| {});
    scene.put(&crate::store::StoredGrant { user: Some(alice()), ..scene.kept().unwrap() });
    let mallory = Some(Username::parse("Mallory@contoso.com").unwrap());
    scene.say(move |number| Ok(grant::Answer { user: mallory.clone(), ..given(number, HOUR) }));
    scene
}

/// Mallory signs in while these consents are kept besides Alice's.
async fn wrong_person(kept: &[Kept<'_>]) -> Vec<String> {
    let scene = mallory_signs_in();
    for (account, user, client_id) in kept {
        let account = GrantId::Account(Username::parse(account).unwrap());
        let user = user.map(|user| Username::parse(user).unwrap());
        let client_id = (*client_id).to_owned();
        let alices = scene.kept().unwrap();
        scene.put_for(&account, &crate::store::StoredGrant { user, client_id, ..alices });
    }
    let error = answer(&scene, GOOD).await.unwrap_err();
    assert_eq!(error.to_string(), "Mallory@contoso.com consented, not alice@contoso.com");
    assert!(error.fix().contains("--as Mallory@contoso.com"), "{}", error.fix());
    assert_eq!(scene.kept_token(), "refresh-0");
    scene.events()
}

#[tokio::test(start_paused = true)]
async fn consent_of_the_wrong_person_is_given_back_unless_they_have_one_that_is_kept() {
    let given_back = [r#"code "c0de""#, r#"revoke "refresh-1""#].map(str::to_owned).to_vec();
    let left = given_back[..1].to_vec();
    assert_eq!(wrong_person(&[]).await, given_back);
    let bob = ("bob@contoso.com", Some("bob@contoso.com"), "client");
    assert_eq!(wrong_person(&[bob]).await, given_back);
    // At Google one token that is given back ends all of that person's for the project.
    let mallory = "mallory@contoso.com";
    assert_eq!(wrong_person(&[(mallory, Some(mallory), "client")]).await, left);
    assert_eq!(wrong_person(&[(mallory, None, "client")]).await, left, "it may be theirs");
    assert_eq!(wrong_person(&[(mallory, Some(mallory), "another")]).await, left);
    // No configuration names this account now: it is theirs all the same.
    assert_eq!(wrong_person(&[("shared@contoso.com", Some(mallory), "client")]).await, left);

    let scene = mallory_signs_in();
    let token_endpoint = "https://elsewhere.example/token".to_owned();
    let elsewhere = crate::store::StoredGrant { token_endpoint, ..scene.kept().unwrap() };
    let user = Some(Username::parse(mallory).unwrap());
    let account = GrantId::Account(user.clone().unwrap());
    scene.put_for(&account, &crate::store::StoredGrant { user, ..elsewhere });
    answer(&scene, GOOD).await.unwrap_err();
    assert_eq!(scene.events(), given_back, "another provider knows nothing of it");
}

#[tokio::test(start_paused = true)]
async fn code_is_redeemed_and_its_answer_kept_before_anybody_else_uses_the_grant() {
    let scene = scene(|_| {});
    scene.latency(5 * SECOND);
    let asking = async {
        tokio::time::sleep(SECOND).await;
        scene.ask().await.unwrap()
    };
    let (authorized, _) = tokio::join!(answer(&scene, GOOD), asking);
    authorized.unwrap();
    let events = scene.events();
    let first = [r#"code "c0de""#, "commit refresh-1", "lease", r#"request Some("refresh-1")"#];
    assert_eq!(events[..4], first, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn code_is_not_redeemed_when_the_program_ends() {
    let scene = scene(|_| {});
    scene.tokens.settled().await;
    let error = answer(&scene, GOOD).await.unwrap_err().to_string();
    assert!(error.contains("mailbearer is ending"), "{error}");
    assert_untouched(&scene);
}

#[tokio::test(start_paused = true)]
async fn wrong_person_is_told_once_their_consent_is_given_back_and_nobody_waits_for_that() {
    let scene = mallory_signs_in();
    scene.latency(4 * SECOND);
    let begun_at = Instant::now();
    let telling = async {
        answer(&scene, GOOD).await.unwrap_err();
        begun_at.elapsed().as_secs()
    };
    let using = async {
        tokio::time::sleep(5 * SECOND).await; // the consent is being given back until 8
        scene.ask().await.unwrap();
        begun_at.elapsed().as_secs()
    };
    assert_eq!(tokio::join!(telling, using), (8, 9), "one request at the provider each");
}

/// A grant at `stand_in` that can be consented to by browser.
fn by_browser(stand_in: &StandIn) -> Arc<Grant> {
    let mut grant = Grant::clone(&stand_in.person());
    grant.server.authorization_endpoint = Some("https://login.example/authorize".to_owned());
    Arc::new(grant)
}

#[tokio::test]
async fn code_is_redeemed_as_rfc_6749_section_4_1_3_and_rfc_7636_section_4_5_say() {
    let body = format!(
        r#"{{"access_token":"{TOKEN}","token_type":"Bearer","refresh_token":"next",
            "refresh_token_expires_in":604799}}"#
    );
    let stand_in = StandIn::start(Answer::json("200 OK", &body)).await;
    let public = Grant::clone(&by_browser(&stand_in)).by(|client| client.auth = ClientAuth::None);
    for (grant, secret) in
        [(by_browser(&stand_in), "&client_secret=s3cret-of-the-client"), (Arc::new(public), "")]
    {
        let store = Store::in_memory();
        let tokens = Tokens::new(store.clone());
        let request = tokens.code_request(&grant, &mail(), REDIRECT, &alice()).await.unwrap();
        let challenge = parameters(request.url()).remove("code_challenge").unwrap();
        let query = format!("code=c0de%2F%2B1&state={}", request.state());
        let redirected = Redirected::parse(&query).unwrap();
        tokens.redeem(&grant, &mail(), request, redirected, &[]).await.unwrap();
        let sent = stand_in.last_request();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
        let form = parameters(&format!("http://form/?{body}"));
        let verifier = &form["code_verifier"];
        assert_eq!(
            body,
            format!(
                "grant_type=authorization_code&code=c0de%2F%2B1&code_verifier={verifier}\
                 &client_id=the+client{secret}&redirect_uri=http%3A%2F%2Flocalhost%3A41235"
            )
        );
        assert_eq!(s256(verifier), challenge);
        let kept = store.load(&grant.id).unwrap();
        assert_eq!(kept.refresh_token.expose_secret(), "next");
        let ends_in = kept.ends_at.unwrap() - kept.consented_at;
        assert_eq!(ends_in.as_secs(), 604_799, "Google's word for a consent that ends in 7 days");
    }
}

#[tokio::test]
async fn nobody_is_asked_to_consent_to_a_client_that_could_not_show_itself_afterwards() {
    let stand_in = StandIn::start(Answer::json("200 OK", "{}")).await;
    let missing = tempfile::tempdir().unwrap().path().join("secret");
    let mut grant = Grant::clone(&by_browser(&stand_in));
    grant = grant.by(|client| client.auth = ClientAuth::SecretPost(SecretSource::File(missing)));
    let (tokens, grant) = (Tokens::new(Store::in_memory()), Arc::new(grant));
    let asked = tokens.code_request(&grant, &mail(), REDIRECT, &alice()).await;
    let error = asked.unwrap_err();
    assert!(error.cause.contains("secret"), "{error}");
    assert_eq!(stand_in.requests(), 0);
}

/// RFC 7636 section 4.2, by another library than the one that made the challenge.
fn s256(verifier: &str) -> String {
    let verifier = oauth2::PkceCodeVerifier::new(verifier.to_owned());
    oauth2::PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str().to_owned()
}

#[tokio::test]
async fn secrets_of_a_consent_reach_no_log_and_no_error_whatever_the_endpoint_does() {
    const CODE: &str = "c0de-of-alice";
    const DEVICE: &str = "d3vice-code-of-alice";
    const NEXT: &str = "n3xt-refresh-token";
    let log = Log::default();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _subscribed = log.subscribe(tracing::Level::TRACE);
    let good = format!(
        r#"{{"access_token":"{TOKEN}","token_type":"Bearer","refresh_token":"{NEXT}",
            "device_code":"{DEVICE}","user_code":"WDJB","verification_uri":"https://a.example/"}}"#
    );
    let echo = format!(r#"{{"error":"invalid_grant","error_description":"no {CODE} {DEVICE}"}}"#);
    let mut told = String::new();
    let mut verifiers = Vec::new();
    for answer in [
        Answer::json("200 OK", &good),
        Answer::json("200 OK", &good.replace("Bearer", "DPoP")),
        Answer::json("200 OK", &good.replace('}', "")),
        Answer::json("400 Bad Request", &echo),
        Answer::json("503 Unavailable", &echo),
        Answer::new("200 OK", "text/html", &good),
    ] {
        let stand_in = StandIn::start(answer).await;
        let mut grant = Grant::clone(&by_browser(&stand_in));
        grant.server.device_authorization_endpoint = grant.server.token_endpoint.clone();
        let grant = Arc::new(grant);
        let tokens = Tokens::new(Store::in_memory());
        let request = tokens.code_request(&grant, &mail(), REDIRECT, &alice()).await.unwrap();
        let state = request.state().to_owned();
        let query = format!("code={CODE}&state={state}");
        let redirected = Redirected::parse(&query).unwrap();
        told.push_str(&format!("{request:?} {redirected:?} "));
        assert!(!told.contains(&state));
        let redeemed = tokens.redeem(&grant, &mail(), request, redirected, &[alice()]).await;
        let sent = stand_in.last_request();
        let (_, form) = sent.split_once("\r\n\r\n").unwrap();
        verifiers.push(parameters(&format!("http://form/?{form}"))["code_verifier"].clone());
        let begun = tokens.device_request(&grant, &mail()).await;
        let code = DEVICE.into();
        let by = grant::By::DeviceCode(&code);
        let network = grant::Network::default();
        let polled = grant::Issuer::issue(&network, &grant, &mail(), by).await;
        told.push_str(&format!("{redeemed:?} {begun:?} {by:?} {polled:?} {tokens:?} "));
        if let Err(error) = redeemed {
            told.push_str(&format!("{error} {}", error.fix()));
        }
    }
    let logged = log.text();
    assert!(logged.contains("reqwest") && logged.contains("no token"), "{logged}");
    let planted = [CODE, DEVICE, NEXT, TOKEN, SECRET].map(str::to_owned);
    for secret in planted.iter().chain(&verifiers) {
        for text in [&logged, &told] {
            assert!(!text.contains(secret.as_str()), "{secret}: {text}");
        }
    }
}
