//! The grant of another account.

use super::*;

const PERSON: (usize, &str) = (GRANT, "grant = \"authorization-code\"");
const SHARED: &str = "[accounts.\"shared@contoso.com\"]\ngrant_of = \"Alice@contoso.com\"\n\
                      mailbox = { submission = \"alice@contoso.com\" }\nlocal_password = \"any\"";

fn with(end: &str) -> String {
    good_with(&[PERSON, (END, end)])
}

#[test]
fn a_shared_mailbox_uses_a_persons_grant_and_has_the_rest_of_its_own() {
    for text in [SHARED.to_owned(), format!("{SHARED}\nprovider = \"microsoft\"")] {
        let [alice, shared] = parse(&with(&text)).unwrap().accounts.try_into().unwrap();
        assert!(Arc::ptr_eq(&alice.grant, &shared.grant));
        assert!(Arc::ptr_eq(&alice.provider, &shared.provider));
        assert_eq!(alice.scopes, shared.scopes);
        assert!(matches!(shared.local_password, LocalPassword::Any));
        assert_eq!(shared.mailbox.submission, Some(Username::parse("alice@contoso.com").unwrap()));
        assert_eq!((alice.mailbox.submission, shared.mailbox.imap), (None, None));
    }
}

#[test]
fn an_account_may_stand_before_the_one_whose_grant_it_uses() {
    let alice = GOOD.lines().skip(ACCOUNT - 1).collect::<Vec<_>>().join("\n");
    let before = GOOD.split("[accounts").next().unwrap();
    let config = parse(
        &format!("{before}{SHARED}\n{alice}").replace("client-credentials", "authorization-code"),
    );
    let names: Vec<String> =
        config.unwrap().accounts.iter().map(|account| account.name.to_string()).collect();
    assert_eq!(names, ["shared@contoso.com", "alice@contoso.com"]);
}

#[test]
fn any_local_password_follows_the_grant_that_is_used() {
    assert_eq!(
        problems(&good_with(&[(END, SHARED)])),
        [
            "15: `accounts.\"shared@contoso.com\".local_password` is \"any\", which an application's \
          grant never takes"
        ]
    );
}

#[test]
fn a_grant_of_nobody_is_refused() {
    for (whose, told) in [
        ("shared@contoso.com", "is the account itself"),
        ("SHARED@contoso.com", "is the account itself"),
        (
            "alise@contoso.com",
            "is \"alise@contoso.com\", and there is no such account; the nearest is \
             \"alice@contoso.com\"",
        ),
        ("*@contoso.com", "is \"*@contoso.com\", which stands for many accounts"),
        ("", "is no account: a user name is 1 to 320 bytes with no control characters"),
    ] {
        let text = with(&SHARED.replace("Alice@contoso.com", whose));
        assert_eq!(
            problems(&text),
            [format!("13: `accounts.\"shared@contoso.com\".grant_of` {told}")]
        );
    }
    let wildcard = SHARED.replace("shared@", "*@").replace("mailbox", "# mailbox");
    assert_eq!(
        problems(&with(&wildcard)),
        [
            "13: `accounts.\"*@contoso.com\".grant_of` stands at a wildcard, and a grant is lent to one \
          mailbox at a time"
        ]
    );
}

#[test]
fn a_chain_and_a_loop_of_grants_are_refused() {
    let chain = format!("{SHARED}\n[accounts.third]\ngrant_of = \"shared@contoso.com\"");
    assert_eq!(
        problems(&with(&chain)),
        [
            "17: `accounts.third.grant_of` is \"shared@contoso.com\", which uses another's grant itself"
        ]
    );
    let ring = "[accounts.one]\ngrant_of = \"two\"\n[accounts.two]\ngrant_of = \"one\"";
    assert_eq!(
        problems(&with(ring)),
        [
            "13: `accounts.one.grant_of` is \"two\", which uses another's grant itself",
            "15: `accounts.two.grant_of` is \"one\", which uses another's grant itself",
        ]
    );
}

#[test]
fn a_key_of_a_grant_beside_it_is_refused() {
    let keys = "grant = \"password\"\ntenant = \"a.b\"\nclient_id = \"x\"\nprovider = \"google\"";
    let told = problems(&with(&format!("{SHARED}\n{keys}")));
    let told: Vec<&str> =
        told.iter().map(|told| told.split_once("contoso.com\".").unwrap().1).collect();
    let no_use = "has no use beside `grant_of`: the grant is that of \"Alice@contoso.com\"";
    assert_eq!(told, ["grant", "tenant", "client_id"].map(|key| format!("{key}` {no_use}")));
    assert_eq!(
        problems(&with(&format!("{SHARED}\nprovider = \"google\""))),
        ["16: `accounts.\"shared@contoso.com\".provider` is not \"microsoft\", the provider of \
          \"Alice@contoso.com\""]
    );
    let default = format!("{SHARED}\n[providers.microsoft]\ngrant_of = \"alice@contoso.com\"");
    assert_eq!(
        problems(&with(&default)),
        ["17: `providers.microsoft.grant_of` belongs to an account"]
    );
}

#[test]
fn what_is_wrong_with_the_lender_is_told_once() {
    let text = good_with(&[PERSON, (CLIENT_ID, ""), (END, SHARED)]);
    assert_eq!(problems(&text), ["5: `accounts.\"alice@contoso.com\"` lacks `client_id`"]);
}
