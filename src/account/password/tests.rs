//! What local passwords promise: who is let in, and for how long.

use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};

use super::configured::verify_argon2;
use super::*;
use crate::account::directory::tests::{name, settings};
use crate::account::{AccountSettings, LocalPassword};
use crate::names::{AccountPattern, AccountPatterns};
use crate::secret::{SecretSlice, SecretSource, SecretString};

/// A submission listener for every account, and a client on another machine.
const ANYWHERE: Origin<'static> = Origin {
    accounts: None,
    devices: false,
    protocol: Protocol::Submission,
    peer: Peer::Elsewhere,
};

/// A listener for these accounts and no device.
fn admitted(accounts: Option<&AccountPatterns>) -> Admitted<'_> {
    Admitted { accounts, devices: false }
}

/// A listener's `accounts` with that pattern alone.
fn only(pattern: &str) -> AccountPatterns {
    [&AccountPattern::parse(pattern).unwrap()].into_iter().collect()
}

fn claim(username: &str, password: &str) -> LocalCredentials {
    LocalCredentials {
        username: name(username),
        password: SecretSlice::from(password.as_bytes().to_vec()),
    }
}

/// A PHC string that costs next to nothing.
fn hash(algorithm: Algorithm, password: &str) -> LocalPassword {
    let cheap = Argon2::new(algorithm, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash = cheap.hash_password_with_salt(password.as_bytes(), b"salt of 16 bytes").unwrap();
    LocalPassword::Hash(SecretString::from(hash.to_string()))
}

pub(super) fn hashed(pattern: &str, password: &str) -> AccountSettings {
    settings(pattern, hash(Algorithm::Argon2id, password))
}

pub(super) fn plain(pattern: &str, password: &str) -> AccountSettings {
    let source = SecretSource::Value(SecretString::from(password));
    settings(pattern, LocalPassword::Plain(source))
}

/// Verifies, and counts how often.
pub(super) fn counting() -> (Passwords, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let verify = move |hash: &str, password: &[u8]| {
        counted.fetch_add(1, Ordering::SeqCst);
        verify_argon2(hash, password)
    };
    let configured = ConfiguredPasswords::with(Arc::new(verify), 1).unwrap();
    (Passwords::with(Store::in_memory(), configured), count)
}

pub(super) async fn sign_in(
    passwords: &Passwords,
    directory: &Directory,
    username: &str,
    password: &str,
) -> Result<String, LocalRefusal> {
    let claim = claim(username, password);
    let outcome = passwords.sign_in(directory, ANYWHERE, &claim).await;
    outcome.map(|signed_in| signed_in.account().name().to_string())
}

#[tokio::test]
async fn right_password_opens_its_account_and_no_other() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let directory = Directory::new(
        vec![
            hashed("alice@contoso.com", "one"),
            settings("bob@contoso.com", hash(Algorithm::Argon2i, "two")),
            settings("carol@contoso.com", hash(Algorithm::Argon2d, "three")),
            plain("dave@contoso.com", "four"),
        ],
        Vec::new(),
    );
    let names = ["alice@contoso.com", "bob@contoso.com", "carol@contoso.com", "dave@contoso.com"];
    let tries = ["one", "two", "three", "four"];
    for (at, username) in names.into_iter().enumerate() {
        for (of, password) in tries.into_iter().enumerate() {
            let outcome = sign_in(&passwords, &directory, username, password).await;
            assert_eq!(outcome.is_ok(), at == of, "{username} {password}");
        }
        for bad in ["", "One", "one ", "ONE"] {
            let outcome = sign_in(&passwords, &directory, username, bad).await;
            assert_eq!(outcome, Err(LocalRefusal::Wrong), "{username} {bad}");
        }
    }
}

#[tokio::test]
async fn user_name_ignores_case_and_a_wildcard_gives_the_concrete_one() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let directory = Directory::new(
        vec![hashed("*@contoso.com", "for all"), hashed("alice@contoso.com", "for alice")],
        Vec::new(),
    );
    let bob = sign_in(&passwords, &directory, "Bob@CONTOSO.com", "for all").await;
    assert_eq!(bob.as_deref(), Ok("bob@contoso.com"));
    let alice = sign_in(&passwords, &directory, "ALICE@contoso.com", "for alice").await;
    assert_eq!(alice.as_deref(), Ok("alice@contoso.com"));
    let alice = sign_in(&passwords, &directory, "alice@contoso.com", "for all").await;
    assert_eq!(alice, Err(LocalRefusal::Wrong));
}

#[tokio::test]
async fn right_password_is_wrong_where_the_listener_does_not_allow_the_account() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let directory = Directory::new(vec![hashed("*@contoso.com", "right")], Vec::new());
    let allowed = only("alice@contoso.com");
    let at = Origin { accounts: Some(&allowed), ..ANYWHERE };
    for (username, accepted) in [("alice@contoso.com", true), ("bob@contoso.com", false)] {
        let claim = claim(username, "right");
        // Remembered from another listener, it still counts only where it is allowed.
        passwords.sign_in(&directory, ANYWHERE, &claim).await.unwrap();
        let outcome = passwords.sign_in(&directory, at, &claim);
        assert_eq!(outcome.await.is_ok(), accepted, "{username}");
    }
}

#[tokio::test]
async fn account_without_password_accepts_none() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let directory =
        Directory::new(vec![settings("alice", LocalPassword::None), plain("bob", "")], Vec::new());
    for username in ["alice", "bob"] {
        let outcome = sign_in(&passwords, &directory, username, "").await;
        assert_eq!(outcome, Err(LocalRefusal::Wrong), "{username}");
    }
}

#[tokio::test]
async fn made_password_is_accepted_beside_the_one_of_the_file_and_costs_no_verification() {
    let (passwords, count) = counting();
    let directory = Directory::new(
        vec![
            hashed("alice", "of the file"),
            settings("bob", LocalPassword::None),
            settings("*@contoso.com", LocalPassword::None),
        ],
        Vec::new(),
    );
    for username in ["alice", "bob", "carol@contoso.com"] {
        let made = passwords.make(&name(username), None, &[]).unwrap();
        let password = made.password.expose_secret();
        sign_in(&passwords, &directory, username, password).await.unwrap();
        let outcome = sign_in(&passwords, &directory, "nobody", password).await;
        assert_eq!(outcome, Err(LocalRefusal::Wrong));
    }
    assert_eq!(count.load(Ordering::SeqCst), 3, "one for each that is wrong");
    sign_in(&passwords, &directory, "alice", "of the file").await.unwrap();
}

#[tokio::test]
async fn made_password_is_wrong_for_a_name_that_the_file_no_longer_has() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let made = passwords.make(&name("alice"), None, &[]).unwrap();
    let directory = Directory::new(vec![hashed("bob", "right")], Vec::new());
    let outcome = sign_in(&passwords, &directory, "alice", made.password.expose_secret()).await;
    assert_eq!(outcome, Err(LocalRefusal::Wrong));
}

#[tokio::test]
async fn labelled_password_is_wrong_for_another_protocol_and_costs_what_a_wrong_one_costs() {
    let (passwords, count) = counting();
    let directory = Directory::new(vec![hashed("alice", "right")], Vec::new());
    let made = passwords.make(&name("alice"), Some("scanner"), &[]).unwrap();
    let claim = claim("alice", made.password.expose_secret());
    for (protocol, accepted, verifications) in
        [(Protocol::Submission, true, 0), (Protocol::Imap, false, 1)]
    {
        let at = Origin { protocol, ..ANYWHERE };
        let outcome = passwords.sign_in(&directory, at, &claim).await;
        assert_eq!(outcome.is_ok(), accepted, "{protocol}");
        assert_eq!(count.load(Ordering::SeqCst), verifications, "{protocol}");
    }
}

#[tokio::test]
async fn any_password_does_from_this_machine_alone() {
    let (passwords, count) = counting();
    let directory = Directory::new(
        vec![settings("alice", LocalPassword::Any), hashed("bob", "right")],
        Vec::new(),
    );
    for (address, accepted) in [
        ("127.0.0.1", true),
        ("127.8.0.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("192.0.2.1", false),
        ("0.0.0.0", false),
        ("::ffff:192.0.2.1", false),
    ] {
        let peer = Peer::from(address.parse::<IpAddr>().unwrap());
        let at = Origin { peer, ..ANYWHERE };
        for password in ["", "whatever"] {
            let outcome = passwords.sign_in(&directory, at, &claim("alice", password)).await;
            assert_eq!(outcome.is_ok(), accepted, "{address}");
        }
        let outcome = passwords.sign_in(&directory, at, &claim("bob", "whatever")).await;
        assert!(outcome.is_err(), "{address}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 3 * 2 + 7, "a refused one costs a verification");
}

#[tokio::test]
async fn client_may_stay_while_its_account_and_its_password_do() {
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let before = Directory::new(vec![hashed("alice", "right"), plain("bob", "right")], Vec::new());
    let signed_in = async |username: &str, password: &str| {
        passwords.sign_in(&before, ANYWHERE, &claim(username, password)).await.unwrap()
    };
    let alice = signed_in("alice", "right").await;
    let bob = signed_in("bob", "right").await;
    let made = passwords.make(&name("alice"), None, &[]).unwrap();
    let alice_made = signed_in("alice", made.password.expose_secret()).await;

    let others = only("bob");
    assert_eq!(alice.ended_by(&before, admitted(None)), None);
    assert_eq!(alice.ended_by(&before, admitted(Some(&others))), Some(AccessEnd::AccountRemoved));
    assert_eq!(bob.ended_by(&before, admitted(Some(&others))), None);

    let after = Directory::new(vec![hashed("alice", "new")], Vec::new());
    assert_eq!(alice.ended_by(&after, admitted(None)), Some(AccessEnd::Revoked));
    assert_eq!(alice_made.ended_by(&after, admitted(None)), None, "a made one is not the file's");
    assert_eq!(bob.ended_by(&after, admitted(None)), Some(AccessEnd::AccountRemoved));
    let plain_after = Directory::new(vec![plain("bob", "new")], Vec::new());
    assert_eq!(bob.ended_by(&plain_after, admitted(None)), Some(AccessEnd::Revoked));

    assert_eq!(passwords.revoke(&name("alice"), None), Ok(true));
    alice_made.revoked().await;
    assert_eq!(alice_made.ended_by(&before, admitted(None)), Some(AccessEnd::Revoked));
}

mod devices;
