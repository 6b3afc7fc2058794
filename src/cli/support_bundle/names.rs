//! Names in a bundle: as they are, or each the same pseudonym wherever it stands.

use std::collections::BTreeMap;

use crate::config::Names;

/// Shows names, or pseudonyms in their place.
pub(super) struct Shown {
    hides: bool,
    /// The pseudonyms by name, in lower case.
    given: BTreeMap<String, String>,
}

impl Shown {
    /// Shows pseudonyms if it `hides`.
    pub(super) fn new(hides: bool) -> Self {
        Self { hides, given: BTreeMap::new() }
    }

    /// A name.
    pub(super) fn of(&mut self, name: &str) -> String {
        if self.hides { self.pseudonym("name", name) } else { name.to_owned() }
    }

    /// Where a client was.
    pub(super) fn address(&mut self, address: &str) -> String {
        if self.hides { self.pseudonym("address", address) } else { address.to_owned() }
    }

    /// A text that names may stand in: those that were shown before, and mail addresses.
    pub(super) fn text(&mut self, text: &str) -> String {
        if !self.hides {
            return text.to_owned();
        }
        let mut shown = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let (before, behind) = rest.split_at(at);
            let first = before.char_indices().rev().find(|(_, char)| !is_of_address(*char));
            let local = first.map_or(0, |(at, char)| at + char.len_utf8());
            let behind_at = behind.get(1..).unwrap_or_default();
            let end = behind_at.find(|char| !is_of_address(char)).unwrap_or(behind_at.len());
            let (before, local) = before.split_at(local);
            let (domain, behind) = behind_at.split_at(end);
            shown.push_str(before);
            let domain = domain.trim_end_matches('.');
            let dots = behind_at.get(domain.len()..end).unwrap_or_default();
            shown.push_str(&self.pseudonym("name", &format!("{local}@{domain}")));
            shown.push_str(dots);
            rest = behind;
        }
        shown.push_str(rest);
        // Names without an @ can be told from other words where they are whole alone.
        for (name, pseudonym) in self.given.iter().filter(|(name, _)| !name.contains('@')) {
            shown = shown.replace(&format!("{name:?}"), &format!("{pseudonym:?}"));
        }
        shown
    }

    fn pseudonym(&mut self, kind: &str, name: &str) -> String {
        let next = self.given.len() + 1;
        self.given.entry(name.to_lowercase()).or_insert_with(|| format!("{kind}-{next}")).clone()
    }
}

impl Names for Shown {
    fn name(&mut self, name: &str) -> String {
        self.of(name)
    }

    fn id(&mut self, id: &str) -> String {
        if self.hides { "(not shown)".to_owned() } else { id.to_owned() }
    }
}

/// Whether it may stand in a mail address that needs no quotes (RFC 5321 section 4.1.2), or in a
/// wildcard; but for signs that stand beside addresses in our own lines.
fn is_of_address(char: char) -> bool {
    char.is_alphanumeric() || "!#$%*+-^_~.".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_pseudonym_wherever_it_stands() {
        let mut names = Shown::new(true);
        assert_eq!(names.of("alice@contoso.com"), "name-1");
        assert_eq!(names.of("scan2"), "name-2");
        assert_eq!(
            names.text(
                "<Alice@contoso.com> may not send as bob@x.example. {\"username\":\"scan2\"}"
            ),
            "<name-1> may not send as name-3. {\"username\":\"name-2\"}"
        );
        assert_eq!(names.text("no name @ all, ü@"), "no name name-4 all, name-5");
    }

    #[test]
    fn names_stay_where_nobody_hides_them() {
        let mut names = Shown::new(false);
        assert_eq!(names.text("to bob@x.example"), "to bob@x.example");
        assert_eq!(names.of("alice"), "alice");
    }
}
