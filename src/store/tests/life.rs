//! What a store keeps, and what becomes of it when its files are moved away under it.

use super::*;
use crate::store::contents::{Contents, Subject};
use crate::store::{Health, StoredRefusal, StoredShortfall};

#[test]
fn everything_is_there_again_when_the_store_is_opened_again() {
    let place = Place::new();
    let application = GrantId::Application {
        provider: "microsoft".to_owned(),
        tenant: None,
        client_id: "a \"quoted\" one".to_owned(),
    };
    let full = StoredGrant {
        user: Some(Username::parse("Älice@example.com").unwrap()),
        refused: Some(StoredRefusal {
            at: Duration::new(3, 999),
            error: "invalid_grant".to_owned(),
            aadsts: Some(700_082),
            after_lost_answer: true,
        }),
        shortfall: Some(StoredShortfall {
            missing: Some(["https://mail.example/SMTP".to_owned()].into()),
            unnamed: ["imap".to_owned()].into(),
        }),
        ..grant(r#"to"k\en ~"#)
    };
    let store = place.open().unwrap();
    store.commit(&alice(), &grant("first")).unwrap();
    store.commit(&alice(), &full).unwrap();
    store.commit(&application, &grant("other")).unwrap();
    store.commit(&account("gone@example.com"), &grant("gone")).unwrap();
    store.remove(&account("gone@example.com")).unwrap();
    let added = (TAG, password("alice@example.com", Some("printer")));
    store.change_passwords(Some(added.clone()), &[]).unwrap();
    store.change_passwords(Some(([8; 32], password("bob", None))), &[]).unwrap();
    store.change_passwords(None, &[[8; 32]]).unwrap();
    let expected = (format!("{:?}", store.list()), store.password_key());
    drop(store);

    let store = place.open().unwrap();
    assert_eq!((format!("{:?}", store.list()), store.password_key()), expected);
    assert_eq!(token_in(&store, &alice()).as_deref(), Some(r#"to"k\en ~"#));
    let kept = store.load(&alice()).unwrap();
    assert_eq!((kept.refused, kept.shortfall), (full.refused, full.shortfall));
    assert_eq!(token_in(&store, &application).as_deref(), Some("other"));
    assert_eq!(store.list().len(), 2);
    assert_eq!(store.passwords(), [added]);
    assert_eq!(store.health(), Health::Saved);
}

#[test]
fn grant_of_an_earlier_version_opens_when_later_fields_are_not_in_it() {
    let mut contents = Contents::default();
    let key = br#"{"account":"alice@example.com"}"#;
    let written = br#"{"refresh_token":"first","client_id":"client",
        "token_endpoint":"https://login.example/token","user":null,
        "consented_at":{"secs":1,"nanos":0},"refreshed_at":{"secs":2,"nanos":0},"refused":null}"#;
    contents.take(Subject::Grant, key, written).unwrap();
    let stored = contents.grants.get(&alice()).unwrap();
    assert_eq!((stored.ends_at, &stored.shortfall), (None, &None));
    assert_eq!(stored.refreshed_at, Duration::from_secs(2));
}

#[test]
fn nothing_is_written_while_there_is_nothing_to_keep() {
    let place = Place::new();
    let store = place.open().unwrap();
    store.remove(&alice()).unwrap();
    store.release(&alice());
    store.change_passwords(None, &[TAG]).unwrap();
    store.save().unwrap();
    assert_eq!(store.password_key(), None);
    assert!(!place.store().exists() && !place.key().exists());

    let key = store.make_password_key().unwrap();
    assert!(place.store().exists() && place.key().exists());
    assert_eq!(store.password_key().as_ref(), Some(&key));
    drop(store);
    assert_eq!(place.open().unwrap().password_key(), Some(key));
}

#[test]
fn command_makes_no_directory_before_it_keeps_something() {
    let place = Place::new();
    let store = place.command().unwrap();
    assert!(store.list().is_empty());
    assert!(!place.state.exists());
    store.commit(&alice(), &grant("token")).unwrap();
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
}

#[test]
fn answer_that_was_lost_is_remembered_at_once_and_after_a_restart() {
    for leased in [true, false] {
        let place = Place::with_token("token");
        let store = place.open().unwrap();
        if leased {
            store.lease(&alice()).unwrap();
        }
        store.lose_answer(&alice());
        assert!(store.answer_was_lost(&alice()));
        store.release(&alice());
        drop(store);
        let store = place.open().unwrap();
        assert!(store.answer_was_lost(&alice()), "leased: {leased}");
        store.commit(&alice(), &grant("next")).unwrap();
        assert!(!store.answer_was_lost(&alice()));
    }
}

#[test]
fn answer_was_lost_when_the_program_ended_within_a_request() {
    let place = Place::with_token("token");
    let store = place.open().unwrap();
    assert!(!store.answer_was_lost(&alice()));
    store.lease(&alice()).unwrap();
    assert!(!store.answer_was_lost(&alice()), "this run's own request is no lost one");
    drop(store);

    let store = place.open().unwrap();
    assert!(store.answer_was_lost(&alice()));
    store.lease(&alice()).unwrap();
    store.release(&alice());
    assert!(store.answer_was_lost(&alice()), "no answer came");
    drop(store);

    let store = place.open().unwrap();
    assert!(store.answer_was_lost(&alice()), "still none");
    store.commit(&alice(), &grant("newer")).unwrap();
    assert!(!store.answer_was_lost(&alice()));
    store.lease(&alice()).unwrap();
    store.release(&alice());
    drop(store);
    assert!(!place.open().unwrap().answer_was_lost(&alice()));
}

#[test]
fn secrets_are_in_no_file_and_in_no_debug_output() {
    let place = Place::new();
    let store = place.open().unwrap();
    for name in ["alice@example.com", "bob@example.com"] {
        store.commit(&account(name), &grant("planted-refresh-token")).unwrap();
        store.lease(&account(name)).unwrap();
    }
    let key = std::fs::read_to_string(place.key()).unwrap();
    let printed = format!("{store:?} {:?} {:?}", store.list(), store.0.file);
    drop(store);
    assert!(!printed.contains("planted") && !printed.contains(key.trim()), "{printed}");
    for entry in std::fs::read_dir(&place.state).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
        let bytes = std::fs::read(&path).unwrap();
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!holds(b"planted"), "{path:?}");
        assert_eq!(holds(key.trim().as_bytes()), path == place.key(), "{path:?}");
    }
    assert_eq!(mode(&place.state), 0o700);
    assert_eq!(mode(place.state.parent().unwrap()), 0o700);
}

#[test]
fn store_is_made_again_with_everything_when_it_was_removed() {
    let place = Place::with_token("token");
    let store = place.open().unwrap();
    store.commit(&account("bob@example.com"), &grant("bobs")).unwrap();
    let key = store.make_password_key().unwrap();
    for remove in [1, 2, 3] {
        match remove {
            1 => std::fs::remove_file(place.store()).unwrap(),
            2 => {
                std::fs::remove_file(place.store()).unwrap();
                std::fs::remove_file(place.key()).unwrap();
            }
            _ => std::fs::remove_dir_all(&place.state).unwrap(),
        }
        store.commit(&alice(), &grant("newer")).unwrap();
        assert_eq!(store.health(), Health::Saved);
    }
    assert!(matches!(place.open(), Err(StoreError::InUse { .. })), "the lock was made again too");
    drop(store);
    let store = place.open().unwrap();
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("newer"));
    assert_eq!(token_in(&store, &account("bob@example.com")).as_deref(), Some("bobs"));
    assert_eq!(store.password_key(), Some(key));
}

#[test]
fn key_is_written_again_when_it_was_removed() {
    let place = Place::with_token("token");
    let store = place.open().unwrap();
    std::fs::remove_file(place.key()).unwrap();
    store.lease(&alice()).unwrap();
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
}

#[test]
fn foreign_file_in_the_place_of_the_store_is_left_alone() {
    let place = Place::with_token("token");
    let store = place.open().unwrap();
    let own = place.state.join("moved");
    std::fs::rename(place.store(), &own).unwrap();
    std::fs::write(place.store(), b"somebody else's").unwrap();
    let refused = store.commit(&alice(), &grant("newer")).unwrap_err();
    assert!(refused.to_string().contains("another file"), "{refused}");
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("newer"));
    assert_eq!(store.health(), Health::Unsaved { problem: refused.to_string() });
    assert_eq!(place.bytes(), b"somebody else's");
    assert!(store.lease(&alice()).is_err());

    std::fs::rename(&own, place.store()).unwrap();
    store.save().unwrap();
    assert_eq!(store.health(), Health::Saved);
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("newer"));
}

#[test]
fn foreign_file_is_left_alone_when_it_came_before_the_first_write() {
    let place = Place::new();
    let store = place.open().unwrap();
    std::fs::write(place.store(), b"somebody else's").unwrap();
    assert!(store.commit(&alice(), &grant("token")).is_err());
    assert_eq!(place.bytes(), b"somebody else's");
    std::fs::remove_file(place.store()).unwrap();
    store.save().unwrap();
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
}

#[test]
fn half_made_store_is_made_again() {
    let place = Place::new();
    let store = place.open().unwrap();
    std::fs::write(place.state.join("mailbearer.redb.new"), b"half").unwrap();
    std::fs::write(place.state.join("store.key.new"), b"half").unwrap();
    store.commit(&alice(), &grant("token")).unwrap();
    drop(store);
    assert_eq!(token_in(&place.open().unwrap(), &alice()).as_deref(), Some("token"));
    assert_eq!(std::fs::read_dir(&place.state).unwrap().count(), 3, "store, key, lock");
}

#[test]
fn store_in_memory_keeps_everything_but_files() {
    let store = Store::in_memory();
    store.lease(&alice()).unwrap();
    store.commit(&alice(), &grant("token")).unwrap();
    store.change_passwords(Some((TAG, password("alice", None))), &[]).unwrap();
    assert_eq!(token_in(&store, &alice()).as_deref(), Some("token"));
    assert_eq!(store.passwords().len(), 1);
    assert!(store.make_password_key().is_ok() && store.password_key().is_some());
    assert_eq!((store.health(), store.warning()), (Health::Saved, None));
    assert!(store.control_directory().is_err());
}
