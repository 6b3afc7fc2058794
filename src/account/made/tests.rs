//! What made passwords promise, whatever the store does with them.

use std::collections::HashMap;

use super::*;
use crate::account::directory::tests::name;

fn made() -> MadePasswords {
    MadePasswords::new(Store::in_memory())
}

fn make(made: &MadePasswords, username: &str, label: Option<&str>) -> String {
    let made = made.make(&name(username), label, &[]).unwrap();
    made.password.expose_secret().to_owned()
}

/// Whether the password is good for submission, IMAP and POP3.
fn good_for(made: &MadePasswords, username: &str, password: &str) -> [bool; 3] {
    Protocol::ALL
        .map(|protocol| made.verify(&name(username), protocol, password.as_bytes()).is_some())
}

#[test]
fn a_password_opens_its_name_in_any_case_and_no_other() {
    let made = made();
    let password = make(&made, "Alice@Contoso.com", None);
    assert_eq!(good_for(&made, "ALICE@contoso.com", &password), [true; 3]);
    assert_eq!(good_for(&made, "bob@contoso.com", &password), [false; 3]);
    for other in ["", &password[1..], &password.to_uppercase(), &format!("{password} ")] {
        assert_eq!(good_for(&made, "alice@contoso.com", other), [false; 3], "{other}");
    }
    // The bytes of name and password in another division.
    let (first, rest) = password.split_at(1);
    assert_eq!(good_for(&made, &format!("alice@contoso.com{first}"), rest), [false; 3]);
}

#[test]
fn a_password_has_twenty_letters_that_are_not_mistaken() {
    let made = made();
    let one = make(&made, "alice", Some("one"));
    let other = make(&made, "alice", Some("other"));
    assert_ne!(one, other);
    for password in [one, other] {
        assert_eq!(password.len(), 20);
        assert!(password.bytes().all(|byte| ALPHABET.contains(&byte)), "{password}");
    }
    assert_eq!(ALPHABET.len(), 31);
    assert!(!ALPHABET.iter().any(|letter| b"01ilo".contains(letter)));
}

#[test]
fn each_letter_is_drawn_with_the_same_chance() {
    let mut counts = HashMap::new();
    for letter in (0..=u8::MAX).filter_map(letter) {
        *counts.entry(letter).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 31);
    assert!(counts.values().all(|count| *count == 8), "{counts:?}");
}

#[test]
fn a_labelled_password_is_for_submission_unless_said_otherwise() {
    let made = made();
    let scanner = make(&made, "alice", Some("scanner"));
    assert_eq!(good_for(&made, "alice", &scanner), [true, false, false]);
    let reader = made.make(&name("alice"), Some("reader"), &[Protocol::Imap]).unwrap();
    assert_eq!(good_for(&made, "alice", reader.password.expose_secret()), [false, true, false]);
}

#[test]
fn a_kept_password_is_for_a_newer_protocol_unless_it_has_a_label() {
    let store = Store::in_memory();
    let key = hmac_key(&store.make_password_key().unwrap());
    // As they were kept before there was POP3.
    let keep = |label: Option<&str>, password: &str| {
        let stored = StoredPassword {
            name: name("alice"),
            label: label.map(str::to_owned),
            protocols: vec![Protocol::Submission, Protocol::Imap],
            made_at: unix_time(),
        };
        let tag = tag(&key, &name("alice"), password.as_bytes());
        store.change_passwords(Some((tag, stored)), &[]).unwrap();
    };
    keep(None, "main");
    keep(Some("laptop"), "labelled");

    let made = MadePasswords::new(store);
    assert_eq!(good_for(&made, "alice", "main"), [true; 3]);
    assert_eq!(good_for(&made, "alice", "labelled"), [true, true, false]);
    let [main, laptop] = made.list(&name("alice")).try_into().unwrap();
    assert_eq!(main.password.protocols, Protocol::ALL);
    assert_eq!(laptop.password.protocols, [Protocol::Submission, Protocol::Imap]);
}

#[test]
fn the_main_password_is_replaced_and_labelled_ones_stay() {
    let made = made();
    let scanner = make(&made, "alice", Some("scanner"));
    let first = made.make(&name("alice"), None, &[]).unwrap();
    assert!(!first.replaced);
    let first = first.password.expose_secret();
    let revoked = made.verify(&name("alice"), Protocol::Imap, first.as_bytes()).unwrap();
    let second = made.make(&name("ALICE"), None, &[]).unwrap();
    assert!(second.replaced && revoked.revoked.is_cancelled());
    assert_eq!(good_for(&made, "alice", first), [false; 3]);
    assert_eq!(good_for(&made, "alice", second.password.expose_secret()), [true; 3]);
    assert_eq!(good_for(&made, "alice", &scanner), [true, false, false]);
}

#[test]
fn a_label_is_one_for_its_name_whatever_the_case() {
    let made = made();
    make(&made, "alice", Some("Scanner 2"));
    make(&made, "bob", Some("scanner 2"));
    let again = made.make(&name("Alice"), Some("SCANNER 2"), &[]);
    let taken = MakeError::LabelTaken { name: name("alice"), label: "SCANNER 2".into() };
    assert_eq!(again.unwrap_err(), taken);
}

#[test]
fn a_label_is_plain() {
    let made = made();
    let longest = "x".repeat(64);
    for good in ["a", "2nd floor", "hp-4.1_b", &longest] {
        make(&made, "alice", Some(good));
    }
    let too_long = "x".repeat(65);
    for bad in ["", " ", " a", "a ", "a\tb", "ä", "a/b", "a\"", "$a", &too_long] {
        let error = made.make(&name("alice"), Some(bad), &[]).unwrap_err();
        assert_eq!(error, MakeError::Label, "{bad:?}");
    }
}

#[test]
fn a_revoked_password_is_wrong_and_its_sessions_are_told() {
    let made = made();
    let [main, scanner] = [None, Some("scanner")].map(|label| make(&made, "alice", label));
    let verify = |password: &str| {
        made.verify(&name("alice"), Protocol::Submission, password.as_bytes()).unwrap()
    };
    let (of_main, of_scanner) = (verify(&main), verify(&scanner));
    assert_eq!(made.revoke(&name("alice"), Some("fax")), Ok(false));
    assert_eq!(made.revoke(&name("bob"), None), Ok(false));
    assert_eq!(made.revoke(&name("Alice"), Some("SCANNER")), Ok(true));
    assert!(of_scanner.revoked.is_cancelled() && !of_main.revoked.is_cancelled());
    assert_eq!(good_for(&made, "alice", &scanner), [false; 3]);
    assert_eq!(made.revoke(&name("alice"), None), Ok(true));
    assert!(of_main.revoked.is_cancelled());
    assert_eq!(made.list(&name("alice")), []);
}

#[test]
fn a_hundred_passwords_are_enough_for_one_name() {
    let made = made();
    for number in 0..99 {
        make(&made, "alice", Some(&number.to_string()));
    }
    make(&made, "alice", None);
    make(&made, "alice", None); // takes the place of the one before
    let error = made.make(&name("alice"), Some("one more"), &[]).unwrap_err();
    assert_eq!(error, MakeError::TooMany { name: name("alice") });
    make(&made, "bob", None);
}

#[test]
fn passwords_are_listed_by_label_without_the_passwords() {
    let made = made();
    for label in [Some("scanner"), None, Some("fax")] {
        make(&made, "Alice", label);
    }
    make(&made, "bob", None);
    let list = made.list(&name("ALICE"));
    let labels: Vec<_> = list.iter().map(|it| it.password.label.as_deref()).collect();
    assert_eq!(labels, [None, Some("fax"), Some("scanner")]);
    assert!(list.iter().all(|it| it.password.name == name("alice")));
}

#[test]
fn passwords_are_good_again_after_a_restart() {
    let store = Store::in_memory();
    let password = make(&MadePasswords::new(store.clone()), "alice", None);
    let restarted = MadePasswords::new(store);
    assert_eq!(good_for(&restarted, "alice", &password), [true; 3]);
    assert_eq!(restarted.names().into_iter().collect::<Vec<_>>(), [name("alice")]);
}
