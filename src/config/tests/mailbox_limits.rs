//! What a provider allows to each of its mailboxes.

use std::num::NonZeroU32;

use super::*;

type Sessions = PerProtocol<Option<NonZeroU32>>;

/// What the accounts of `provider`, a built-in one or `corp`, are limited to.
fn limits(provider: &str, keys: &str) -> (Sessions, Option<u32>) {
    let line = format!("provider = \"{provider}\"");
    let text = format!("[providers.{provider}]\n{keys}");
    let of_person = [
        (GRANT, "grant = \"authorization-code\""),
        (CLIENT_SECRET, ""),
        (LOCAL_PASSWORD, ""),
        (TENANT, ""),
    ];
    let tenant = [(TENANT, "tenant = \"contoso.com\"")];
    let is_entra = provider.starts_with("microsoft");
    let tenant = if is_entra { &tenant[..] } else { &[] };
    let changes: Vec<_> = [(PROVIDER, &*line), (END, &text)]
        .into_iter()
        .chain(tenant.iter().copied())
        .chain(of_person)
        .collect();
    let provider = Arc::clone(&config(&changes).accounts[0].provider);
    (provider.concurrent_sessions.clone(), provider.messages_per_minute.map(NonZeroU32::get))
}

fn sessions(submission: u32, imap: u32) -> Sessions {
    let [submission, imap] = [submission, imap].map(NonZeroU32::new);
    PerProtocol { submission, imap, pop3: None }
}

/// Microsoft's "Improvements in SMTP AUTH client submission", Gmail Help's "Add Gmail to another
/// email client".
#[test]
fn built_in_providers_limit_what_they_document() {
    for provider in ["microsoft", "microsoft-gcc-high", "microsoft-dod", "microsoft-21vianet"] {
        assert_eq!(limits(provider, ""), (sessions(3, 0), None), "{provider}");
    }
    assert_eq!(limits("microsoft-hve", ""), (sessions(3, 0), None));
    assert_eq!(limits("outlook-com", ""), (sessions(3, 0), None));
    assert_eq!(limits("google", ""), (sessions(0, 15), None));
    assert_eq!(limits("fastmail", ""), (sessions(0, 0), None));
}

#[test]
fn limit_of_a_file_replaces_that_of_its_protocol_alone() {
    let own = "concurrent_sessions = { imap = 20 }\nmessages_per_minute = 30";
    assert_eq!(limits("microsoft", own), (sessions(3, 20), Some(30)));
    let own = "concurrent_sessions = { submission = 1, imap = 10_000 }\nmessages_per_minute = 1";
    assert_eq!(limits("microsoft", own), (sessions(1, 10_000), Some(1)));
    assert_eq!(limits("google", "messages_per_minute = 10_000").1, Some(10_000));
}

#[test]
fn limit_that_is_none_is_refused() {
    refused(
        "providers.microsoft",
        r#"
        + concurrent_sessions = 3
        concurrent_sessions is one number, and each protocol has its own
        + concurrent_sessions = { smtp = 3 }
        concurrent_sessions.smtp is no key that mailbearer knows
        + concurrent_sessions = { submission = 0 }
        concurrent_sessions.submission is 0, which is out of range
        + concurrent_sessions = { imap = 10_001 }
        concurrent_sessions.imap is 10001, which is out of range
        + messages_per_minute = 0
        messages_per_minute is 0, which is out of range
        + messages_per_minute = 10_001
        messages_per_minute is 10001, which is out of range
        + messages_per_minute = "30"
        messages_per_minute is a string, not a whole number
        "#,
    );
    refused(
        "limits",
        r#"
        + wait_for_slot = "601s"
        wait_for_slot is "601s", which is out of range
        + wait_for_slot = 60
        wait_for_slot is no string with a duration
        "#,
    );
}

#[test]
fn limit_of_a_mailbox_that_stands_at_its_account_is_told_where_it_belongs() {
    for (key, told, help) in [
        (
            "concurrent_sessions = 3",
            "concurrent_sessions` belongs to a provider",
            "write it in the provider's table, for each of its mailboxes",
        ),
        (
            "messages_per_minute = 30",
            "messages_per_minute` belongs to a provider",
            "write it in the provider's table, for each of its mailboxes",
        ),
        (
            "messages_per_hour = 200",
            "messages_per_hour` belongs to a device",
            "write it in the [devices.NAME] of those that send as this account",
        ),
        (
            "senders = [\"*@contoso.com\"]",
            "senders` belongs to a device",
            "write it in the [devices.NAME] of those that send as this account",
        ),
    ] {
        let problems = parse(&good_with(&[(END, key)])).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
        let rendered = problem.in_file(Path::new("F")).to_string();
        let account = "accounts.\"alice@contoso.com\"";
        assert_eq!(rendered, format!("F:12: `{account}.{told}\n  {help}"));
    }
}

#[test]
fn sessions_in_one_number_are_told_how_to_be_written() {
    let text = good_with(&[(END, "[providers.microsoft]\nconcurrent_sessions = 3")]);
    let [problem] = parse(&text).unwrap_err().try_into().unwrap();
    assert_eq!(problem.help, "write concurrent_sessions = { submission = 3, imap = 15 }");
}
