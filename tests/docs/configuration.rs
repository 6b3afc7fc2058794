//! docs/configuration.md against the program: every key that a table of the file takes has a row, and
//! no other; and each default, each word and each bound there is the one that a file is read by.

use std::collections::BTreeSet;
use std::env::VarError;
use std::path::Path;

use mailbearer::config::{Config, Problem, Secrets};
use mailbearer::provider::GrantKind;

use super::pages::pages;

/// A file with each table once, and nothing in it that another key could contradict.
const FILE: &str = r#"
[listeners.submission]
protocol = "submission"
address = "localhost:0"

[accounts."alice@corp.example"]
provider = "corp"
grant = "client-credentials"
client_id = "mailbearer"
certificate = "app.pem"
private_key = "app.key"
tenant = "contoso.com"

[providers.corp]
token_endpoint = "https://id.corp.example/{tenant}/token"
submission = { host = "smtp.corp.example", port = 587, tls = "starttls" }

[devices.fax]
account = "alice@corp.example"
username = "fax"

[web]
address = "127.0.0.1:0"

[store]

[egress]

[limits]

[log]

[shutdown]
"#;

/// The sections of the page, and the table of [`FILE`] that each is about.
const TABLES: [(&str, &str); 10] = [
    ("Listeners", "[listeners.submission]"),
    ("Accounts", "[accounts.\"alice@corp.example\"]"),
    ("Providers", "[providers.corp]"),
    ("Devices", "[devices.fax]"),
    ("Web", "[web]"),
    ("Store", "[store]"),
    ("Egress", "[egress]"),
    ("Limits", "[limits]"),
    ("Log", "[log]"),
    ("Shutdown", "[shutdown]"),
];

/// Keys of an account that are no defaults of a provider's accounts, as the page says.
const OF_ACCOUNTS_ALONE: [&str; 4] = ["provider", "local_password", "mailbox", "grant_of"];

/// A row of the page about a key.
pub(crate) struct Row {
    pub(crate) key: String,
    /// The table that it is about: `listeners`, `accounts` and so on.
    pub(crate) kind: String,
    /// The table of [`FILE`].
    table: &'static str,
    default: String,
    pub(crate) range: String,
    /// The example that explains it; none where another row of the same key names one.
    pub(crate) example: Option<String>,
}

/// What stands in the section `heading` of the page.
fn section(heading: &str) -> String {
    let page = pages().into_iter().find(|page| page.name == "docs/configuration.md").unwrap();
    let (_, section) = page.text.split_once(&format!("\n## {heading}\n")).unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// The cells of each row below the table head that begins with `head`.
fn cells(section: &str, head: &str) -> Vec<Vec<String>> {
    let (_, rows) = section.split_once(head).unwrap();
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with("| "));
    rows.map(|row| {
        let cells = row.trim_start_matches("| ").trim_end_matches(" |");
        cells.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// All rows about keys.
pub(crate) fn rows() -> Vec<Row> {
    let of_section = |&(heading, table): &(&str, &'static str)| -> Vec<Row> {
        let rows = cells(&section(heading), "| key | what it is ");
        let row = |cells: Vec<String>| Row {
            key: cells[0].trim_matches('`').to_owned(),
            kind: heading.to_lowercase(),
            table,
            default: cells[2].clone(),
            range: cells[3].clone(),
            example: cells[4].split(['[', ']']).nth(1).map(str::to_owned),
        };
        rows.into_iter().map(row).collect()
    };
    TABLES.iter().flat_map(of_section).collect()
}

/// The words of a cell that is nothing but words between backticks, with `between` between them.
fn words(cell: &str, between: &str) -> Option<Vec<String>> {
    let word = |part: &str| {
        let word = part.strip_prefix('`')?.strip_suffix('`')?;
        (!word.contains('`')).then(|| word.to_owned())
    };
    cell.split(between).map(word).collect()
}

/// [`FILE`] without `key` in `table`, and with `line` there.
fn file(table: &str, key: &str, line: &str) -> String {
    let mut current = "";
    let mut text = String::new();
    for written in FILE.lines() {
        if written.starts_with('[') {
            current = written;
        }
        if current == table && written.starts_with(&format!("{key} = ")) {
            continue;
        }
        text.push_str(written);
        text.push('\n');
        if written == table {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// What is made of a file, or what is wrong with it.
fn read(text: &str) -> Result<String, Vec<Problem>> {
    let unset = |_: &str| Err(VarError::NotPresent);
    let config = Config::parse(text, Path::new(""), &unset, Secrets::Leave)?;
    Ok(format!("{:?}", Config { warnings: Vec::new(), ..config }))
}

/// What is said of `value` where `row` is about.
fn refused(row: &Row, value: &str) -> String {
    let text = file(row.table, &row.key, &format!("{} = {value}", row.key));
    let problems = read(&text).unwrap_err();
    let of_key = |problem: &&Problem| {
        problem.key.as_ref().is_some_and(|key| key.ends_with(&format!(".{}", row.key)))
    };
    problems.iter().find(of_key).unwrap_or_else(|| panic!("{}: {problems:?}", row.key)).help.clone()
}

/// The keys that the program names where it meets one in `table` that it does not know.
fn known(table: &str) -> BTreeSet<String> {
    let text = match table {
        "" => format!("no_such_key = 1\n{FILE}"),
        table => file(table, "no_such_key", "no_such_key = 1"),
    };
    let problems = read(&text).unwrap_err();
    let unknown = problems.iter().find(|problem| problem.message.contains("is no key")).unwrap();
    let (_, known) = unknown.help.split_once("known here: ").unwrap();
    known.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_that_a_table_takes_has_a_row_and_no_other_has() {
    assert!(read(FILE).is_ok(), "{:?}", read(FILE));
    let rows = rows();
    let of = |kind: &str| -> BTreeSet<String> {
        let of_kind = rows.iter().filter(|row| row.kind == kind);
        of_kind.map(|row| row.key.clone()).collect()
    };
    for (heading, table) in TABLES {
        let mut told = of(&heading.to_lowercase());
        if heading == "Providers" {
            told.extend(of("accounts"));
            told.retain(|key| !OF_ACCOUNTS_ALONE.contains(&key.as_str()));
        }
        assert_eq!(told, known(table), "{heading}");
    }
    let page = section("Tables");
    let tables = cells(&page, "| table | what it is |").into_iter().map(|cells| {
        let name = cells[0].trim_matches(['`', '[', ']']).to_owned();
        name.split('.').next().unwrap().to_owned()
    });
    assert_eq!(tables.collect::<BTreeSet<_>>(), known(""));
}

#[test]
fn every_default_is_what_a_file_without_the_key_is_read_as() {
    let (mut compared, mut differ) = (0, 0);
    for row in rows() {
        let told = words(&row.default, ", ").filter(|words| words.len() == 1);
        let Some(default) = told.and_then(|words| words.into_iter().next()) else { continue };
        let with =
            |value: &str| read(&file(row.table, &row.key, &format!("{} = {value}", row.key)));
        let without = read(&file(row.table, &row.key, "")).unwrap();
        assert_eq!(with(&default).unwrap(), without, "{} of {}", row.key, row.kind);
        compared += 1;
        // The comparison sees the key: some other value of it makes another configuration.
        let others = words(&row.range, ", ").or_else(|| words(&row.range, " to "));
        let others = others.unwrap_or_default().into_iter().filter(|other| *other != default);
        differ += usize::from(others.into_iter().any(|it| with(&it).is_ok_and(|it| it != without)));
    }
    assert!(compared >= 17 && differ >= 12, "{compared}, {differ}");
}

#[test]
fn every_word_of_a_key_is_on_the_page_and_no_other() {
    let mut compared = 0;
    for row in rows() {
        let Some(told) = words(&row.range, ", ").filter(|words| words.len() > 1) else { continue };
        let help = refused(&row, "\"no-such-word\"");
        let known = help.strip_prefix("write ").unwrap().split(" or ").map(str::to_owned);
        assert_eq!(
            told.into_iter().collect::<BTreeSet<_>>(),
            known.collect::<BTreeSet<_>>(),
            "{} of {}",
            row.key,
            row.kind
        );
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn every_bound_is_on_the_page_and_is_taken() {
    let mut compared = 0;
    for row in rows() {
        let Some(bounds) = words(&row.range, " to ").filter(|words| words.len() == 2) else {
            continue;
        };
        let beyond = if bounds[0].starts_with('"') { "\"9999h\"" } else { "999999999" };
        let range = format!("from {} to {}", bounds[0], bounds[1]);
        let help = refused(&row, beyond);
        assert!(help.contains(&range), "{}: {help}", row.key);
        for bound in bounds {
            let text = file(row.table, &row.key, &format!("{} = {bound}", row.key));
            assert!(read(&text).is_ok(), "{} = {bound}", row.key);
        }
        compared += 1;
    }
    assert_eq!(compared, 10);
    let sessions = rows().into_iter().find(|row| row.key == "concurrent_sessions").unwrap();
    assert!(sessions.range.starts_with("1 to 10,000 each"), "{}", sessions.range);
    assert!(refused_within(&sessions).contains("from 1 to 10000"));
}

/// What is said of a number of sessions that is too large.
fn refused_within(row: &Row) -> String {
    let line = format!("{} = {{ submission = 999999999 }}", row.key);
    read(&file(row.table, &row.key, &line)).unwrap_err().remove(0).help
}

#[test]
fn every_grant_takes_the_keys_of_its_row_and_no_others() {
    let values = [
        ("tenant", "\"contoso.com\""),
        ("client_id", "\"id\""),
        ("client_secret", "\"secret\""),
        ("client_secret_expires", "\"2036-11-01\""),
        ("client_auth", "\"none\""),
        ("certificate", "\"app.pem\""),
        ("private_key", "\"app.key\""),
        ("private_key_id", "\"id\""),
        ("assertion_algorithm", "\"PS256\""),
        ("assertion_file", "\"assertion.jwt\""),
        ("key_file", "\"key.json\""),
        ("client_email", "\"mailbearer@example.com\""),
        ("password", "\"password\""),
        ("command", "[\"cat\"]"),
    ];
    let named = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let grants = cells(&section("Accounts"), "| `grant` | needs ");
    assert_eq!(grants.len(), GrantKind::ALL.len());
    let same = named(&grants[0][2]);
    for cells in grants {
        let grant = cells[0].trim_matches('`');
        let mut told = named(&cells[1]);
        told.extend(if cells[2] == "the same" { same.clone() } else { named(&cells[2]) });
        let takes = values.iter().filter(|(key, value)| {
            let account = format!("provider = \"corp\"\ngrant = \"{grant}\"\n{key} = {value}");
            let text = FILE.replace(
                "provider = \"corp\"\ngrant = \"client-credentials\"\nclient_id = \"mailbearer\"\n\
                 certificate = \"app.pem\"\nprivate_key = \"app.key\"\ntenant = \"contoso.com\"",
                &account,
            );
            assert!(text.contains(&account));
            let foreign = |problem: &Problem| {
                let key = format!(".{key}");
                problem.key.as_ref().is_some_and(|it| it.ends_with(&key))
                    && problem.message.contains("has no use with grant")
            };
            let problems = read(&text).err().unwrap_or_default();
            assert!(problems.iter().all(|problem| problem.key.is_some()), "{problems:?}");
            !problems.iter().any(foreign)
        });
        let takes = takes.map(|(key, _)| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(told, takes, "{grant}");
    }
}
