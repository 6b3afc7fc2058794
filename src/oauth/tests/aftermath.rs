//! What is foreseen before a consent is given back.

use super::scene::{Scene, alice};
use super::*;
use crate::oauth::aftermath::Extent;
use crate::store::StoredGrant;

const GOOGLE: &str = "https://oauth2.googleapis.com/token";
const CORP: &str = "https://login.example/token";

/// The grant of `account` at `source`, where consents can be given back.
fn grant(account: &str, source: &str) -> Grant {
    let mut grant = Grant::of_person(account).at(source);
    grant.server.revocation_endpoint = Some("https://login.example/revoke".to_owned());
    grant
}

/// What ends with Alice's consent at `source`, whose person is `user`; others are kept of these
/// accounts, persons, clients and sources. Gives what ends, and what may.
fn foreseen(
    source: &str,
    user: Option<&str>,
    others: &[(&str, Option<&str>, &str, &str)],
) -> (Extent, String, String) {
    let scene = Scene::of(grant(alice().as_str(), source));
    let parse = |name: &str| Username::parse(name).unwrap();
    scene.keep("refresh-0", Duration::ZERO);
    let own = StoredGrant { user: user.map(parse), ..scene.kept().unwrap() };
    scene.put(&own);
    // The grant itself among the others is not one of them; one without a consent has none to lose.
    let mut grants = vec![Arc::clone(&scene.grant), Arc::new(grant("none@contoso.com", source))];
    for (account, user, client_id, source) in others {
        let grant = grant(account, source).by(|client| client.id = (*client_id).to_owned());
        let (client_id, token_endpoint) = ((*client_id).to_owned(), (*source).to_owned());
        let user = user.map(parse);
        let stored = StoredGrant { user, client_id, token_endpoint, ..own.clone() };
        scene.put_for(&grant.id, &stored);
        grants.push(Arc::new(grant));
    }
    let aftermath = scene.tokens.aftermath(&scene.grant, &grants);
    assert_eq!(aftermath.user, own.user);
    assert!(scene.events().is_empty(), "nobody is asked and nothing is written");
    let names =
        |names: Vec<Username>| names.iter().map(Username::as_str).collect::<Vec<_>>().join(" ");
    (aftermath.extent, names(aftermath.ended), names(aftermath.endangered))
}

fn told(extent: Extent, ended: &str, endangered: &str) -> (Extent, String, String) {
    (extent, ended.to_owned(), endangered.to_owned())
}

#[tokio::test]
async fn consents_of_the_same_person_end_with_one_at_google() {
    let others = [
        ("same", Some("Alice@Contoso.com"), "client", GOOGLE),
        ("by-issuer", Some("alice@contoso.com"), "client", "https://accounts.google.com"),
        ("other-client", Some("alice@contoso.com"), "another", GOOGLE),
        ("unknown", None, "client", GOOGLE),
        ("bob", Some("bob@contoso.com"), "client", GOOGLE),
        ("elsewhere", Some("alice@contoso.com"), "client", CORP),
    ];
    assert_eq!(
        foreseen(GOOGLE, Some("alice@contoso.com"), &others),
        told(Extent::Person, "same by-issuer", "other-client unknown")
    );
    assert_eq!(
        foreseen(GOOGLE, None, &others),
        told(Extent::Person, "", "same by-issuer other-client unknown bob")
    );
}

#[tokio::test]
async fn consents_of_the_same_person_and_client_may_end_with_one_elsewhere() {
    let others = [
        ("same", Some("Alice@Contoso.com"), "client", CORP),
        ("other-client", Some("alice@contoso.com"), "another", CORP),
        ("unknown", None, "client", CORP),
        ("bob", Some("bob@contoso.com"), "client", CORP),
        ("elsewhere", Some("alice@contoso.com"), "client", GOOGLE),
    ];
    let alice = Some("alice@contoso.com");
    assert_eq!(foreseen(CORP, alice, &others), told(Extent::Policy, "", "same unknown"));
    assert_eq!(foreseen(CORP, None, &others), told(Extent::Policy, "", "same unknown bob"));
    assert_eq!(foreseen(CORP, alice, &[]), told(Extent::Policy, "", ""));
}

#[tokio::test]
async fn no_other_consent_ends_when_the_provider_is_not_told() {
    let scene = Scene::of(grant(alice().as_str(), GOOGLE));
    let extent = |grant: &Grant| scene.tokens.aftermath(grant, &[]).extent;
    assert_eq!(extent(&scene.grant), Extent::Nothing, "there is no consent");
    scene.keep("refresh-0", Duration::ZERO);
    assert_eq!(extent(&scene.grant), Extent::Person);

    let mut silent = Grant::clone(&scene.grant);
    silent.server.revocation_endpoint = None;
    assert_eq!(extent(&silent), Extent::Here);
    // Its metadata may name one.
    silent.server.is_discovered = true;
    assert_eq!(extent(&silent), Extent::Person);
    let moved = Grant::clone(&scene.grant).by(|client| client.id = "other".into());
    assert_eq!(extent(&moved), Extent::Here, "the consent is shown to no other client's endpoint");
}
