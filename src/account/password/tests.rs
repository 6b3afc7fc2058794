//! What local passwords promise: who is let in, what a claim costs, and what is remembered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use argon2::{Algorithm, Params, PasswordHasher as _, Version};

use super::*;
use crate::account::AccountSettings;
use crate::account::directory::tests::{name, settings};
use crate::secret::{SecretSlice, SecretString};

/// A submission listener for every account, and a client on another machine.
const ANYWHERE: Origin<'static> = Origin {
    accounts: None,
    devices: false,
    protocol: Protocol::Submission,
    peer: Peer::Elsewhere,
};

/// A listener for these accounts and no device.
fn admitted(accounts: Option<&[AccountPattern]>) -> Admitted<'_> {
    Admitted { accounts, devices: false }
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

fn hashed(pattern: &str, password: &str) -> AccountSettings {
    settings(pattern, hash(Algorithm::Argon2id, password))
}

fn plain(pattern: &str, password: &str) -> AccountSettings {
    let source = SecretSource::Value(SecretString::from(password));
    settings(pattern, LocalPassword::Plain(source))
}

/// Verifies, and counts how often.
fn counting() -> (Passwords, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let verify = move |hash: &str, password: &[u8]| {
        counted.fetch_add(1, Ordering::SeqCst);
        verify_argon2(hash, password)
    };
    (Passwords::with(Store::in_memory(), Arc::new(verify), 1).unwrap(), count)
}

async fn sign_in(
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
    let allowed = [AccountPattern::parse("alice@contoso.com").unwrap()];
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
async fn wrong_claim_costs_one_verification_whatever_is_wrong_with_it() {
    let (passwords, count) = counting();
    let directory = Directory::new(
        vec![
            plain("plain", "secret"),
            settings("none", LocalPassword::None),
            hashed("hashed", "right"),
        ],
        Vec::new(),
    );
    for (before, username) in
        ["plain", "none", "hashed", "nobody", "nobody"].into_iter().enumerate()
    {
        assert_eq!(count.load(Ordering::SeqCst), before);
        // It is the right one of the decoy, which opens nothing else.
        let password = if username == "hashed" { "wrong" } else { "right" };
        let outcome = sign_in(&passwords, &directory, username, password).await;
        assert_eq!(outcome, Err(LocalRefusal::Wrong), "{username}");
        assert_eq!(count.load(Ordering::SeqCst), before + 1, "{username}");
    }
}

#[tokio::test]
async fn right_password_is_verified_once_and_a_wrong_one_each_time() {
    let (passwords, count) = counting();
    let directory = Directory::new(
        vec![hashed("alice", "right"), hashed("*@contoso.com", "right")],
        Vec::new(),
    );
    for (username, verifications) in
        [("alice", 1), ("ALICE", 1), ("a@contoso.com", 2), ("b@contoso.com", 3), ("alice", 3)]
    {
        sign_in(&passwords, &directory, username, "right").await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), verifications, "{username}");
    }
    for verifications in [4, 5] {
        sign_in(&passwords, &directory, "alice", "wrong").await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), verifications);
    }
}

#[tokio::test]
async fn remembered_password_is_forgotten_when_the_hash_changes() {
    let (passwords, count) = counting();
    let before = Directory::new(vec![hashed("alice", "old")], Vec::new());
    let after = Directory::new(vec![hashed("alice", "new")], Vec::new());
    sign_in(&passwords, &before, "alice", "old").await.unwrap();
    let outcome = sign_in(&passwords, &after, "alice", "old").await;
    assert_eq!(outcome, Err(LocalRefusal::Wrong));
    sign_in(&passwords, &after, "alice", "new").await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn full_queue_is_busy_for_known_and_unknown_names_alike() {
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let verify = move |hash: &str, password: &[u8]| {
        // Released one by one, and for good when the sender is dropped.
        let _ = gate.lock().unwrap().recv();
        verify_argon2(hash, password)
    };
    let passwords = Arc::new(Passwords::with(Store::in_memory(), Arc::new(verify), 1).unwrap());
    let directory = Arc::new(Directory::new(
        vec![hashed("alice", "right"), plain("bob", "right"), hashed("carol", "right")],
        Vec::new(),
    ));
    go_on.send(()).unwrap();
    sign_in(&passwords, &directory, "carol", "right").await.unwrap();

    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..=QUEUE_LEN_MAX {
        let (passwords, directory) = (Arc::clone(&passwords), Arc::clone(&directory));
        waiting.spawn(async move { sign_in(&passwords, &directory, "alice", "right").await });
    }
    while passwords.admitted.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    for (username, password) in
        [("alice", "right"), ("alice", "wrong"), ("bob", "wrong"), ("nobody", "right")]
    {
        let outcome = sign_in(&passwords, &directory, username, password).await;
        assert_eq!(outcome, Err(LocalRefusal::Busy), "{username} {password}");
    }
    // Strangers who fill the queue do not keep out those who were right before.
    sign_in(&passwords, &directory, "carol", "right").await.unwrap();
    sign_in(&passwords, &directory, "bob", "right").await.unwrap();

    drop(go_on);
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
    assert_eq!(passwords.admitted.available_permits(), 1 + QUEUE_LEN_MAX);
    let outcome = sign_in(&passwords, &directory, "nobody", "right").await;
    assert_eq!(outcome, Err(LocalRefusal::Wrong));
}

#[tokio::test]
async fn plain_password_is_read_anew_when_its_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let source = SecretSource::File(path.clone());
    let directory =
        Directory::new(vec![settings("alice", LocalPassword::Plain(source))], Vec::new());
    let passwords = Passwords::new(Store::in_memory()).unwrap();
    let outcome = sign_in(&passwords, &directory, "alice", "first").await;
    assert_eq!(outcome, Err(LocalRefusal::Unreadable), "the file is missing");
    for (password, other) in [("first", "second"), ("second", "first")] {
        std::fs::write(&path, format!("{password}\n")).unwrap();
        sign_in(&passwords, &directory, "alice", password).await.unwrap();
        let outcome = sign_in(&passwords, &directory, "alice", other).await;
        assert_eq!(outcome, Err(LocalRefusal::Wrong));
    }
}

#[test]
fn memory_forgets_the_oldest_when_it_is_full() {
    let tag = |number: usize| {
        let mut tag = Tag::default();
        tag[..8].copy_from_slice(&number.to_be_bytes());
        tag
    };
    let mut remembered = Remembered::default();
    for number in 0..REMEMBERED_MAX {
        remembered.insert(tag(number));
    }
    remembered.insert(tag(0)); // known already: pushes nobody out
    assert!(remembered.tags.contains(&tag(0)));
    remembered.insert(tag(REMEMBERED_MAX));
    assert!(!remembered.tags.contains(&tag(0)) && remembered.tags.contains(&tag(1)));
    assert_eq!(remembered.tags.len(), REMEMBERED_MAX);
    assert_eq!(remembered.order.len(), REMEMBERED_MAX);
}

#[test]
fn unreadable_hash_matches_nothing() {
    for bad in ["", "right", "$argon2id$", "$2b$12$abc", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ"] {
        assert!(!verify_argon2(bad, b"right") && !verify_argon2(bad, b""), "{bad}");
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

    let others = [AccountPattern::parse("bob").unwrap()];
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
