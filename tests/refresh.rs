//! What a person's consent survives: outages, crowds, clients that leave, and the end of the program
//! at any moment.

mod support;

use mailbearer::names::Username;
use mailbearer::provider::Protocol;
use mailbearer::sandbox::{Action, Fault, Rotation, Step, Times};
use support::kept::{BOB, Kept, Serving};
use support::{ALICE, AUTH_PLAIN, BOB_PLAIN, Client, WRONG_PLAIN};

/// What tells a person to consent again.
const CONSENT_NEEDED: &str = "mailbearer authorize alice@example.com";

async fn assert_is_served(serving: &Serving) {
    let heard = serving.sign_in(AUTH_PLAIN).await;
    assert!(heard.starts_with("235 "), "{heard}");
}

#[tokio::test]
async fn twenty_simultaneous_sign_ins_use_one_refresh_token_once() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    let before = kept.provider.refreshes();
    kept.provider.token_fault(Fault::Hold, Times::Next(1));
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(serving.submission).await;
        client.expect("220 ").await;
        client.send(AUTH_PLAIN).await;
        clients.push(client);
    }
    kept.provider.until(|it| it.refreshes() == before + 1).await;
    kept.provider.release_answers();
    for mut client in clients {
        client.expect("235 ").await;
    }
    assert_eq!((kept.provider.refreshes(), kept.provider.reuses()), (before + 1, 0));
}

#[tokio::test]
async fn one_consent_is_never_used_twice_at_once_whatever_the_protocols_ask_for() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    let before = kept.provider.refreshes();
    kept.provider.token_fault(Fault::Hold, Times::Next(1));
    let (smtp, imap, ()) =
        tokio::join!(serving.sign_in(AUTH_PLAIN), serving.log_in(ALICE), async {
            kept.provider.until(|it| it.refreshes() == before + 1).await;
            kept.provider.release_answers();
        });
    assert!(smtp.starts_with("235 ") && imap.starts_with("a OK"), "{smtp} {imap}");
    assert_eq!(kept.provider.refreshes(), before + 2);
    assert_eq!((kept.provider.most_refreshes_at_once(), kept.provider.reuses()), (1, 0));
}

#[tokio::test]
async fn an_outage_costs_no_consent_and_is_never_a_wrong_password() {
    // Which answers are no judgement is tested where they are read; here, how they are told. After
    // one failure the endpoint is left alone for a short time only, which the next sign-in waits.
    let faults = [
        (Fault::Status(503, "text/plain".into(), "busy".into()), "454 4.7.0 "),
        (Fault::Html, "a NO [UNAVAILABLE] "),
        (Fault::Close, "454 4.7.0 "),
    ];
    let kept = Kept::start(Rotation::Strict).await;
    for (fault, told) in faults {
        let serving = kept.serve().await;
        kept.provider.token_fault(fault.clone(), Times::Always);
        let heard = match told.starts_with('a') {
            true => serving.log_in(ALICE).await,
            false => serving.sign_in(AUTH_PLAIN).await,
        };
        assert!(heard.starts_with(told) && !heard.contains("authorize"), "{fault:?}: {heard}");
        kept.provider.clear_token_faults();
        assert_is_served(&serving).await;
        serving.kill().await;
    }
    assert_eq!(kept.provider.reuses(), 0);
}

#[tokio::test]
async fn wrong_passwords_touch_no_consent() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    let before = kept.provider.token_requests();
    let heard = serving.sign_in(WRONG_PLAIN).await;
    assert!(heard.starts_with("535 5.7.8 "), "{heard}");
    assert_eq!(kept.provider.token_requests(), before);
    assert_is_served(&serving).await;
}

#[tokio::test]
async fn a_refresh_token_is_kept_over_a_kill_once_a_client_was_served() {
    let kept = Kept::start(Rotation::Strict).await;
    for _ in 0..5 {
        let serving = kept.serve().await;
        assert_is_served(&serving).await;
        serving.kill().await;
    }
    assert_eq!(kept.provider.reuses(), 0);
}

#[tokio::test]
async fn a_kill_before_the_answer_costs_nothing_where_the_previous_refresh_token_is_good() {
    let kept = Kept::start(Rotation::Lenient).await;
    kill_before_the_answer(&kept).await;
    let serving = kept.serve().await;
    assert_is_served(&serving).await;
    assert_eq!(kept.provider.reuses(), 0);
}

#[tokio::test]
async fn a_kill_before_the_answer_of_a_strict_provider_is_told_to_that_person_alone() {
    let kept = Kept::start(Rotation::Strict).await;
    kill_before_the_answer(&kept).await;
    let serving = kept.serve().await;
    let heard = serving.sign_in(AUTH_PLAIN).await;
    assert!(heard.starts_with("454 4.7.0 ") && heard.contains(CONSENT_NEEDED), "{heard}");
    let heard = serving.log_in(ALICE).await;
    assert!(heard.starts_with("a NO [CONTACTADMIN]") && heard.contains(CONSENT_NEEDED), "{heard}");
    let heard = serving.sign_in(BOB_PLAIN).await;
    assert!(heard.starts_with("235 "), "{heard}");
    let heard = serving.log_in(BOB).await;
    assert!(heard.starts_with("a OK"), "{heard}");

    kept.authorize(ALICE, ALICE).await;
    assert_is_served(&serving).await;
}

/// Begins a sign-in for which the provider has spent the refresh token of [`ALICE`], and holds its
/// answer.
async fn sign_in_unanswered(kept: &Kept, serving: &Serving) -> Client {
    let before = kept.provider.refreshes();
    kept.provider.token_fault(Fault::Hold, Times::Next(1));
    let mut client = Client::connect(serving.submission).await;
    client.expect("220 ").await;
    client.send(AUTH_PLAIN).await;
    kept.provider.until(|it| it.refreshes() == before + 1).await;
    client
}

/// The provider has spent the refresh token of [`ALICE`]; nobody will ever read its answer.
async fn kill_before_the_answer(kept: &Kept) {
    let serving = kept.serve().await;
    let _client = sign_in_unanswered(kept, &serving).await;
    serving.kill().await;
}

#[tokio::test]
async fn an_answer_is_kept_when_the_client_that_needed_it_has_left() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    let before = kept.provider.refreshes();
    let client = sign_in_unanswered(&kept, &serving).await;
    drop(client);
    kept.provider.release_answers();
    assert_is_served(&serving).await;
    assert_eq!((kept.provider.refreshes(), kept.provider.reuses()), (before + 1, 0));
}

#[tokio::test]
async fn an_answer_is_kept_when_it_comes_while_the_program_ends() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    let _client = sign_in_unanswered(&kept, &serving).await;
    serving.terminate();
    // It has heard the signal once it turns newcomers away.
    while Client::connects(serving.submission).await {}
    kept.provider.release_answers();
    serving.ended().await;
    let serving = kept.serve().await;
    assert_is_served(&serving).await;
    assert_eq!(kept.provider.reuses(), 0);
}

#[tokio::test]
async fn a_token_that_the_upstream_refuses_is_renewed_once_and_the_client_hears_only_the_outcome() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    assert_is_served(&serving).await;
    let before = kept.provider.refreshes();
    let script = kept.provider.script();
    script.on(Protocol::Submission, Step::Token, Times::Next(1), Action::RefuseToken);
    assert_is_served(&serving).await;
    assert_eq!(kept.provider.refreshes(), before + 1);

    script.on(Protocol::Submission, Step::Token, Times::Always, Action::RefuseToken);
    let heard = serving.sign_in(AUTH_PLAIN).await;
    assert!(heard.starts_with("535 5.7."), "{heard}");
    assert_eq!((kept.provider.refreshes(), kept.provider.reuses()), (before + 2, 0));
}

#[tokio::test]
async fn a_consent_that_ended_at_the_provider_is_told_and_a_new_one_is_used_at_once() {
    let kept = Kept::start(Rotation::Strict).await;
    let serving = kept.serve().await;
    kept.provider.end_consents(&Username::parse(ALICE).unwrap());
    let before = kept.provider.token_requests();
    for _ in 0..10 {
        let heard = serving.sign_in(AUTH_PLAIN).await;
        assert!(heard.starts_with("454 4.7.0 ") && heard.contains(CONSENT_NEEDED), "{heard}");
    }
    assert_eq!(kept.provider.token_requests(), before + 1);
    kept.authorize(ALICE, ALICE).await;
    assert_is_served(&serving).await;
}

#[tokio::test]
async fn submission_signs_in_by_the_name_that_the_provider_told_and_imap_by_the_account() {
    const TOLD: &str = "a.liddell@example.com";
    let kept = Kept::before_consent(Rotation::Keep).await;
    kept.authorize(ALICE, TOLD).await;
    let serving = kept.serve().await;
    let user = || kept.provider.last_sign_in().unwrap().user.unwrap().to_string();
    assert_is_served(&serving).await;
    assert_eq!(user(), TOLD);
    let heard = serving.log_in(ALICE).await;
    assert!(heard.starts_with("a OK"), "{heard}");
    assert_eq!(user(), ALICE);
}
