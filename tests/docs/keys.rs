//! Every key that the code reads is explained in an example, and docs/configuration.md says in which.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::pages::{Page, pages, root};

/// Keys within a value, of a secret or a mail server, that are no keys of a table.
const WITHIN_VALUES: [&str; 4] = ["env", "file", "host", "port"];

/// How the code asks a table of the file for a key.
const READS: [&str; 5] =
    ["table.read(", "table.take(", "table.require(", ".require(", "at(table, "];

/// Adds the keys that the code below `directory` reads, tests not counted.
fn read_below(directory: &Path, keys: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            read_below(&path, keys);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let (code, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
            for read in READS {
                let behind = code.split(read).skip(1).filter_map(|it| it.trim().strip_prefix('"'));
                keys.extend(behind.map(|it| it.split('"').next().unwrap().to_owned()));
            }
        }
    }
}

/// What an example says of `key` in a table of `kind`: the comment above it, or above the keys that
/// it stands among.
fn explanation(example: &Page, kind: &str, key: &str) -> Option<String> {
    let (mut table, mut comment, mut is_among_keys) = (String::new(), String::new(), false);
    for line in example.text.lines() {
        let shown = line.strip_prefix("# ").unwrap_or(line);
        let name = shown.split_once(" = ").map_or("", |(name, _)| name);
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).split('.').next().unwrap().to_owned();
            comment.clear();
        } else if is_key(name) {
            if table == kind && name == key && !comment.is_empty() {
                return Some(comment);
            }
            is_among_keys = true;
        } else if line.starts_with('#') {
            if is_among_keys {
                comment.clear();
            }
            is_among_keys = false;
            comment.push_str(line);
        } else {
            comment.clear();
        }
    }
    None
}

fn is_key(name: &str) -> bool {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    !name.is_empty() && name.bytes().all(plain)
}

#[test]
fn every_key_is_explained_with_its_default_where_the_page_says() {
    let all = pages();
    let page = all.iter().find(|page| page.name == "docs/configuration.md").unwrap();
    let (_, rows) = page.text.split_once("| key | table | explained in |").unwrap();
    let mut explained = BTreeSet::new();
    for row in rows.lines().skip(2).take_while(|row| row.starts_with("| ")) {
        let [keys, kind, example] =
            row.trim_matches('|').split('|').collect::<Vec<_>>().try_into().unwrap();
        let example = example.trim().split(['[', ']']).nth(1).unwrap();
        let example = all.iter().find(|page| page.name == example).unwrap();
        let kind = kind.trim().trim_matches('`');
        for key in keys.split('`').skip(1).step_by(2) {
            let said = explanation(example, kind, key);
            let said = said.unwrap_or_else(|| panic!("{} does not explain {key}", example.name));
            // Words of a sentence may stand on two lines.
            let has_default = ["efault", "equired", "Leave out"].iter().any(|it| said.contains(it));
            assert!(has_default, "{}: {key} has no default: {said}", example.name);
            explained.insert(key.to_owned());
        }
    }

    let mut read = BTreeSet::new();
    read_below(&root().join("src/config"), &mut read);
    read.retain(|key| !WITHIN_VALUES.contains(&key.as_str()));
    assert!(read.len() > 40, "{read:?}");
    assert_eq!(read.symmetric_difference(&explained).collect::<Vec<_>>(), Vec::<&String>::new());
}
