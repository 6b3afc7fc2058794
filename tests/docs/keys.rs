//! Every key is explained, with its default, in the example that docs/configuration.md names.

use super::configuration::rows;
use super::pages::{Page, pages};

/// Whether a key may have `byte` in its name.
fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
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
        } else if !name.is_empty() && name.bytes().all(is_of_key) {
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

#[test]
fn every_key_is_explained_with_its_default_where_the_page_says() {
    let all = pages();
    let rows = rows();
    assert!(rows.len() > 60, "{}", rows.len());
    for row in &rows {
        let (key, kind) = (&row.key, &row.kind);
        let Some(example) = &row.example else {
            let other = rows.iter().any(|other| other.key == *key && other.example.is_some());
            assert!(other, "{key} of {kind} is explained nowhere");
            continue;
        };
        let example = all.iter().find(|page| page.name == *example).unwrap();
        let said = explanation(example, kind, key);
        let said = said.unwrap_or_else(|| panic!("{} does not explain {key}", example.name));
        // Words of a sentence may stand on two lines.
        let has_default = ["efault", "equired", "Leave out"].iter().any(|it| said.contains(it));
        assert!(has_default, "{}: {key} has no default: {said}", example.name);
    }
}
