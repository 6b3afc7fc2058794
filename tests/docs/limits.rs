//! The numbers of docs/security.md, and the reasons of docs/operation.md, against the code.

use std::collections::BTreeSet;
use std::fs;

use mailbearer::proto::preauth::SKIP_MAX;
use mailbearer::proto::{COMMANDS_MAX, FAILURES_MAX, sasl};
use mailbearer::relay::Limits;

use super::configuration::rows;
use super::pages::{pages, root};

#[test]
fn every_limit_of_the_page_is_that_of_the_code() {
    let page = pages().into_iter().find(|page| page.name == "docs/security.md").unwrap();
    let limit = |what: &str| {
        let what = format!("| {what} | ");
        let row = page.text.lines().find_map(|line| line.strip_prefix(&what)).unwrap();
        let (limit, _) = row.split_once(" | ").unwrap();
        let number = limit.rsplit("`, ").next().unwrap().split(' ').next().unwrap();
        number.replace(',', "").parse::<u64>().unwrap()
    };
    let Limits {
        sign_in_timeout,
        idle_timeout,
        sessions,
        sessions_per_peer,
        wait_for_slot,
        warm_connections,
    } = Limits::default();
    let of = |number: usize| u64::try_from(number).unwrap();
    for (what, number) in [
        ("time to sign in, our own waits not counted", sign_in_timeout.as_secs()),
        ("time in the mailbox's queue", wait_for_slot.as_secs()),
        ("connections ahead of sessions, for each provider and protocol", of(warm_connections)),
        ("sessions in all", of(sessions)),
        ("sessions of one address that have not signed in", of(sessions_per_peer)),
        ("refused sign-ins and bad commands of one session", FAILURES_MAX.into()),
        ("commands of one session", COMMANDS_MAX.into()),
        ("a line of SMTP, or of a SASL sign-in by IMAP or POP3", of(sasl::LINE_LEN_MAX)),
        ("a line that does not end", of(SKIP_MAX / 1024)),
    ] {
        assert_eq!(limit(what), number, "{what}");
    }
    let idle = format!("`limits.idle_timeout`, {} minutes", idle_timeout.as_secs() / 60);
    assert!(page.text.contains(&idle), "{idle}");
}

#[test]
fn every_secret_of_the_file_is_told_what_it_opens() {
    let page = pages().into_iter().find(|page| page.name == "docs/security.md").unwrap();
    let (_, table) = page.text.split_once("| secret | where it lies |").unwrap();
    let told: BTreeSet<String> = table
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut secrets = 0;
    for row in rows() {
        // Programs print secrets, and are none.
        let is_secret = ["secret", "a secret", "PEM"].iter().any(|it| row.range.starts_with(it))
            || ["local_password", "assertion_file", "key_file"].contains(&row.key.as_str());
        let is_public = row.key == "certificate";
        if is_secret && !is_public {
            let is_told = told.contains(&row.key)
                || (row.key == "key" && told.contains("store.key") && row.kind == "store");
            assert!(is_told, "{} of {}", row.key, row.kind);
            secrets += 1;
        }
    }
    assert!(secrets >= 10, "{secrets}");
}

#[test]
fn every_reason_of_a_closing_line_has_a_row() {
    let code = fs::read_to_string(root().join("src/relay/reason.rs")).unwrap();
    let (_, names) = code.split_once("impl Reason {").unwrap();
    let (names, _) = names.split_once("\n}\n").unwrap();
    let names: BTreeSet<_> =
        names.split(" => \"").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect();
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(first_cells("## Why a session ended"), names);
}

#[test]
fn every_limit_of_a_session_that_is_read_is_that_of_the_code() {
    let page = pages().into_iter().find(|page| page.name == "docs/security.md").unwrap();
    for (row, file, line) in [
        (
            "| a command | 2,048 bytes |",
            "src/proto/smtp/filter/line.rs",
            "const LINE_LEN_MAX: usize = 2_048;",
        ),
        (
            "| commands that await their reply | 512 |",
            "src/proto/smtp/filter.rs",
            "const AWAITED_MAX: usize = 512;",
        ),
        (
            "| a header that is rewritten | 256 KiB |",
            "src/proto/smtp/header.rs",
            "const HEADER_LEN_MAX: usize = 256 * 1024;",
        ),
    ] {
        let code = fs::read_to_string(root().join(file)).unwrap();
        assert!(page.text.contains(row) && code.contains(line), "{row}");
    }
}

/// The words between backticks in the first cells of the table behind `heading` of docs/operation.md.
fn first_cells(heading: &str) -> BTreeSet<String> {
    let page = pages().into_iter().find(|page| page.name == "docs/operation.md").unwrap();
    let (_, section) = page.text.split_once(heading).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap_or((section, ""));
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let words = cells.flat_map(|(cell, _)| cell.split('`').skip(1).step_by(2));
    words.map(str::to_owned).collect()
}

#[test]
fn every_kind_of_refusal_has_a_row() {
    let code = fs::read_to_string(root().join("src/refusal.rs")).unwrap();
    let (_, kinds) = code.split_once("pub fn kind(").unwrap();
    let kinds: BTreeSet<_> =
        kinds.split(" => \"").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect();
    assert!(kinds.len() > 8, "{kinds:?}");
    assert_eq!(first_cells("## Why a claim was refused"), kinds);
}

#[test]
fn every_message_that_the_page_names_is_logged() {
    let files = ["observer.rs", "outcome.rs", "verdict.rs"];
    let code: String = files
        .iter()
        .map(|name| fs::read_to_string(root().join("src/relay").join(name)).unwrap())
        .collect();
    let named = first_cells("## What a session that signed in logs");
    assert!(named.len() > 5, "{named:?}");
    for message in named {
        assert!(code.contains(&format!("\"{message}\"")), "{message}");
    }
}
