//! What passwords of the file promise: what a claim costs, and what is remembered.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::*;
use crate::account::directory::Directory;
use crate::account::directory::tests::settings;
use crate::account::password::Passwords;
use crate::account::password::tests::{counting, hashed, plain, sign_in};
use crate::store::Store;

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
    let configured = ConfiguredPasswords::with(Arc::new(verify), 1).unwrap();
    let passwords = Arc::new(Passwords::with(Store::in_memory(), configured));
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
    while passwords.configured.admitted.available_permits() > 0 {
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
    assert_eq!(passwords.configured.admitted.available_permits(), 1 + QUEUE_LEN_MAX);
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
