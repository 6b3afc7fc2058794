//! `sender`: whose address messages carry, and that there is one.

use super::*;
use crate::account::Sender;

fn sender(changes: &[(usize, &str)]) -> Sender {
    config(changes).accounts[0].sender
}

#[test]
fn sender_is_what_the_account_says_and_else_its_provider() {
    assert_eq!(sender(&[]), Sender::Keep);
    for (word, expected) in [
        ("keep", Sender::Keep),
        ("envelope", Sender::Envelope),
        ("envelope-and-header", Sender::EnvelopeAndHeader),
    ] {
        let own = format!("sender = \"{word}\"");
        assert_eq!(sender(&[(END, &own)]), expected);
        let of_provider = format!("[providers.microsoft]\n{own}");
        assert_eq!(sender(&[(END, &of_provider)]), expected);
        let both = format!("sender = \"envelope\"\n[providers.microsoft]\n{own}");
        assert_eq!(sender(&[(END, &both)]), Sender::Envelope, "the account's own goes first");
    }
}

#[test]
fn sender_of_an_account_without_a_grant_of_its_own_is_that_of_its_provider_too() {
    let borrower = |keys: &str| {
        let text = format!(
            "[accounts.\"shared@contoso.com\"]\ngrant_of = \"alice@contoso.com\"\n{keys}\n\
             [providers.microsoft]\nsender = \"envelope\""
        );
        let config = config(&[(END, &text)]);
        let shared = config.accounts.iter().find(|it| it.name.to_string().starts_with("shared"));
        shared.unwrap().sender
    };
    assert_eq!(borrower(""), Sender::Envelope);
    assert_eq!(borrower("sender = \"keep\""), Sender::Keep);
}

#[test]
fn sender_needs_the_address_of_the_mailbox_that_sends() {
    let printer = |keys: &str| good_with(&[(ACCOUNT, "[accounts.printer]"), (END, keys)]);
    let lacking = |key: &str, name: &str| {
        format!(
            "5: `accounts.printer` has `sender`, which writes its address, but its {key}, \
             \"{name}\", is none"
        )
    };
    let told = problems(&printer("sender = \"envelope\""));
    assert_eq!(told, [lacking("name", "printer")]);
    let told = problems(&printer("[providers.microsoft]\nsender = \"envelope-and-header\""));
    assert_eq!(told, [lacking("name", "printer")]);
    let told = problems(&printer("sender = \"envelope\"\nmailbox = { imap = \"a@b.example\" }"));
    assert_eq!(told, [lacking("name", "printer")], "that one sends nothing");
    let told = problems(&printer("sender = \"envelope\"\nmailbox = \"a b@c.example\""));
    assert_eq!(told, [lacking("`mailbox` for submission", "a b@c.example")]);
    let mailbox = "sender = \"envelope\"\nmailbox = { submission = \"scan@contoso.com\" }";
    assert!(parse(&printer(mailbox)).is_ok());
    assert!(parse(&printer("sender = \"keep\"")).is_ok());
    // Its names are known when somebody signs in.
    let wildcard = [(ACCOUNT, "[accounts.\"*@contoso.com\"]"), (END, "sender = \"envelope\"")];
    assert_eq!(sender(&wildcard), Sender::Envelope);
}

#[test]
fn sender_that_is_no_word_of_it_is_refused() {
    refused(
        r#"accounts."alice@contoso.com""#,
        r#"
        12 sender = "envelop"
        sender is "envelop", which mailbearer does not know; the nearest is "envelope"
        12 sender = true
        sender is a boolean, not a string
        "#,
    );
    let told = problems(&good_with(&[(END, "[providers.microsoft]\nsender = \"header\"")]));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("13: `providers.microsoft.sender` is \"header\""), "{told:?}");
}
