//! A consent that lacks some of what was asked for: what its refreshes name, and what is told of it.

use std::collections::BTreeSet;

use super::scene::{HOUR, Scene, given, refusal};
use super::*;
use crate::oauth::grant::Answer as Given;
use crate::store::StoredShortfall;

fn words(scopes: &[&str]) -> Vec<String> {
    scopes.iter().map(|&scope| scope.to_owned()).collect()
}

fn known(missing: &[&str], unnamed: &[&str]) -> StoredShortfall {
    let set = |scopes: &[&str]| words(scopes).into_iter().collect::<BTreeSet<_>>();
    StoredShortfall { missing: Some(set(missing)), unnamed: set(unnamed) }
}

/// Alice's consent, of which this is known.
fn scene_of(shortfall: Option<StoredShortfall>) -> Scene {
    let scene = Scene::person();
    scene.put(&crate::store::StoredGrant { shortfall, ..scene.kept().unwrap() });
    scene
}

/// The endpoint answers that these lack.
fn lacks(scene: &Scene, missing: Option<&[&str]>, is_unnamed: bool) {
    let missing = missing.map(words);
    scene.say(move |number| {
        Ok(Given { missing: missing.clone(), is_unnamed, ..given(number, HOUR) })
    });
}

/// What the next refresh for `scopes` names.
async fn named(scene: &Scene, scopes: &[&str]) -> Vec<String> {
    scene.tokens.access_token(&scene.grant, &words(scopes)).await.unwrap();
    scene.requests().pop().unwrap().named
}

#[tokio::test(start_paused = true)]
async fn refresh_names_what_the_consent_is_not_known_to_lack() {
    // RFC 6749 section 6: the scope "MUST NOT include any scope not originally granted".
    for (kept, wanted, expected) in [
        (None, &["imap", "smtp"][..], &["imap", "smtp"][..]),
        (Some(known(&["smtp"], &[])), &["openid", "imap", "smtp"], &["openid", "imap"]),
        (Some(known(&["smtp"], &[])), &["imap"], &["imap"]),
        // Naming them was refused before.
        (Some(known(&["smtp"], &["imap", "smtp"])), &["imap", "smtp"], &[]),
        (Some(known(&["smtp"], &["imap", "smtp"])), &["imap"], &[]),
        // Some of the two lacks, and it is not known which.
        (Some(StoredShortfall { missing: None, ..known(&[], &["a", "b"]) }), &["a", "b"], &[]),
        // It lacks all: the provider itself is to say so.
        (Some(known(&["smtp"], &["imap", "smtp"])), &["openid", "smtp"], &["openid", "smtp"]),
        // The file has one since then that nobody has asked for yet.
        (Some(known(&["smtp"], &["imap", "smtp"])), &["imap", "pop", "smtp"], &["imap", "pop"]),
    ] {
        let scene = scene_of(kept.clone());
        assert_eq!(named(&scene, wanted).await, expected, "{kept:?} {wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answer_tells_of_what_was_wanted_and_nothing_else() {
    let both = &["imap", "smtp"][..];
    for (before, missing, is_unnamed, after) in [
        (None, Some(&[][..]), false, None),
        (None, Some(&["smtp"][..]), false, Some(known(&["smtp"], &[]))),
        (None, Some(&["smtp"]), true, Some(known(&["smtp"], both))),
        (None, Some(&[]), true, Some(known(&[], both))),
        (None, None, true, Some(StoredShortfall { missing: None, ..known(&[], both) })),
        // An answer of which only a refresh token can be read.
        (None, None, false, None),
        (Some(known(&["pop"], &[])), Some(&[]), false, Some(known(&["pop"], &[]))),
        (Some(known(&["smtp"], &[])), Some(&[]), false, None),
        (Some(known(&["smtp"], both)), None, false, Some(known(&["smtp"], both))),
        (Some(known(&["smtp"], &[])), None, true, Some(known(&["smtp"], &["imap"]))),
    ] {
        let scene = scene_of(before.clone());
        lacks(&scene, missing, is_unnamed);
        scene.tokens.access_token(&scene.grant, &words(both)).await.unwrap();
        let kept = scene.kept().unwrap().shortfall;
        assert_eq!(kept, after, "{before:?} {missing:?} {is_unnamed}");
        assert_eq!(scene.status().shortfall, after);
    }
}

#[tokio::test(start_paused = true)]
async fn shortfall_stays_when_no_answer_tells_of_it() {
    for error in [scene::outage(), refusal("invalid_scope"), refusal("invalid_grant")] {
        let scene = scene_of(Some(known(&["smtp"], &["imap"])));
        scene.fail(&error);
        let asked = scene.tokens.access_token(&scene.grant, &words(&["imap", "smtp"])).await;
        assert_eq!(asked.unwrap_err().said, error.said);
        assert_eq!(scene.kept().unwrap().shortfall, Some(known(&["smtp"], &["imap"])), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn scope_that_the_file_has_since_then_is_known_to_lack_only_once_the_provider_says_so() {
    let scene = scene_of(Some(known(&["smtp"], &["imap", "smtp"])));
    lacks(&scene, Some(&["pop", "smtp"]), true);
    assert_eq!(named(&scene, &["imap", "pop", "smtp"]).await, ["imap", "pop"]);
    let all = ["imap", "pop", "smtp"];
    assert_eq!(scene.kept().unwrap().shortfall, Some(known(&["pop", "smtp"], &all)));

    let scene = scene_of(Some(known(&["smtp"], &[])));
    lacks(&scene, Some(&["smtp"]), false);
    assert_eq!(named(&scene, &["imap", "pop", "smtp"]).await, ["imap", "pop"]);
    assert_eq!(scene.kept().unwrap().shortfall, Some(known(&["smtp"], &[])), "pop was granted");
}

#[tokio::test(start_paused = true)]
async fn new_consent_is_asked_for_in_full_and_ends_the_shortfall_before() {
    let scene = scene_of(Some(known(&["smtp"], &["imap", "smtp"])));
    let both = words(&["imap", "smtp"]);
    let brought = async |missing: &[&str]| {
        lacks(&scene, Some(missing), false);
        let token = RefreshToken::parse("brought").unwrap();
        scene.tokens.authorize(&scene.grant, &both, token, &[]).await.unwrap().missing
    };
    assert_eq!(brought(&["imap"]).await, ["imap"]);
    assert_eq!(scene.requests()[0].named, both);
    assert_eq!(scene.status().shortfall, Some(known(&["imap"], &[])));
    assert!(brought(&[]).await.is_empty());
    assert_eq!(scene.requests()[1].named, both);
    assert_eq!(scene.status().shortfall, None);
    assert_eq!(scene.kept().unwrap().shortfall, None);
}

#[tokio::test(start_paused = true)]
async fn shortfall_of_another_clients_consent_is_not_told() {
    let scene = scene_of(Some(known(&["smtp"], &[])));
    let moved = Grant::clone(&scene.grant).by(|client| client.id = "other".into());
    assert_eq!(scene.tokens.status(&moved).shortfall, None);
    assert_eq!(scene.status().shortfall, Some(known(&["smtp"], &[])));
}
