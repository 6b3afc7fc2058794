//! Names in a bundle: as they are, or each the same pseudonym wherever it stands.
//!
//! Every name that is known is taken in before anything is shown, and looked for in every text, by
//! whole words; beside them mail addresses, addresses of machines and quoted paths are told by their
//! form.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde_json::Value;

use crate::config::{Names, Places};
use crate::store::shell_word;

/// What stands for an identifier.
const NO_ID: &str = "(not shown)";

/// What stands for a path, a program or a variable.
const NO_PLACE: &str = "(a place, not shown)";

/// Tenants that are no organisation's (Microsoft's "OAuth 2.0 authorization code flow").
const TENANTS_OF_ALL: [&str; 3] = ["common", "organizations", "consumers"];

/// Domains at which everybody may have a mailbox, so that they tell nothing of anybody.
const DOMAINS_OF_ALL: [&str; 9] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "yahoo.com",
    "aol.com",
    "fastmail.com",
    "onmicrosoft.com",
];

/// Shows names, or pseudonyms in their place.
pub(super) struct Shown {
    hides: bool,
    /// The pseudonyms by name, in lower case.
    given: BTreeMap<String, String>,
    /// What is looked for in texts, in lower case, and what is shown for it, by first character.
    wanted: BTreeMap<char, Vec<(String, String)>>,
}

impl Shown {
    /// Shows pseudonyms if it `hides`.
    pub(super) fn new(hides: bool) -> Self {
        Self { hides, given: BTreeMap::new(), wanted: BTreeMap::new() }
    }

    /// A name.
    pub(super) fn of(&mut self, name: &str) -> String {
        if self.hides { self.pseudonym("name", name) } else { name.to_owned() }
    }

    /// Where a client was: an address, or that it came to a unix socket.
    pub(super) fn address(&mut self, address: &str) -> String {
        self.text(address)
    }

    /// JSON, of which every value is a text.
    pub(super) fn json(&mut self, row: &impl Serialize) -> String {
        if !self.hides {
            return serde_json::to_string(row).unwrap_or_default();
        }
        let row = serde_json::to_value(row).unwrap_or_default();
        self.value(row).to_string()
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(key, value)| (key, self.value(value))).collect()
            }
            value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => value,
        }
    }

    /// What the rest of a text begins with that has a pseudonym: its length, and what is shown.
    fn at(&mut self, rest: &str) -> Option<(usize, String)> {
        if let Some(known) = self.known(rest) {
            return Some(known);
        }
        if let Some(len) = quoted_path(rest) {
            return Some((len, NO_PLACE.to_owned()));
        }
        if let Some(address) = mail_address(rest) {
            // What stands before a known one, as in account=alice@x.example, is no part of it.
            let inner = address.match_indices(is_separator);
            let mut inner = inner.filter_map(|(at, sign)| rest.get(at + sign.len()..));
            if inner.any(|inner| self.known(inner).is_some()) {
                return None;
            }
            return Some((address.len(), self.pseudonym("name", address)));
        }
        let (len, address) = machine_address(rest)?;
        let is_nobody = address.is_loopback() || address.is_unspecified();
        (!is_nobody).then(|| (len, self.pseudonym("address", &address.to_string())))
    }

    /// The longest name that is known and that `rest` begins with, as a whole word.
    fn known(&self, rest: &str) -> Option<(usize, String)> {
        let first = rest.chars().next()?.to_lowercase().next()?;
        let all = self.wanted.get(&first)?.iter();
        let found = all.filter_map(|(name, shown)| {
            let len = begins_with(rest, name)?;
            let next = rest.get(len..)?.chars().next();
            let is_whole = !next.is_some_and(|next| is_of_word(next) || next == '@');
            is_whole.then(|| (len, shown.clone()))
        });
        found.max_by_key(|(len, _)| *len)
    }

    fn pseudonym(&mut self, kind: &str, name: &str) -> String {
        let folded = name.to_lowercase();
        if let Some(known) = self.given.get(&folded) {
            return known.clone();
        }
        let pseudonym = format!("{kind}-{}", self.given.len() + 1);
        self.given.insert(folded.clone(), pseudonym.clone());
        self.look_for(&folded, &pseudonym);
        if let Some((_, domain)) = folded.rsplit_once('@') {
            self.look_for(&folded.replace('@', "%40"), &pseudonym);
            if domain.contains('.') && !DOMAINS_OF_ALL.contains(&domain) {
                self.pseudonym("domain", domain);
            }
        }
        pseudonym
    }

    /// Shows `shown` wherever `name`, in lower case, stands, be it quoted for a shell or not.
    fn look_for(&mut self, name: &str, shown: &str) {
        let quoted = shell_word(name);
        let quoted = Some(quoted).filter(|quoted| quoted != name);
        for name in [Some(name.to_owned()), quoted].into_iter().flatten() {
            let Some(first) = name.chars().next() else { continue };
            self.wanted.entry(first).or_default().push((name, shown.to_owned()));
        }
    }
}

impl Names for Shown {
    fn name(&mut self, name: &str) -> String {
        self.of(name)
    }

    fn id(&mut self, id: &str) -> String {
        if !self.hides || TENANTS_OF_ALL.contains(&id) {
            return id.to_owned();
        }
        let folded = id.to_lowercase();
        if self.given.insert(folded.clone(), NO_ID.to_owned()).is_none() {
            self.look_for(&folded, NO_ID);
        }
        NO_ID.to_owned()
    }

    fn text(&mut self, text: &str) -> String {
        if !self.hides {
            return text.to_owned();
        }
        let mut shown = String::new();
        let mut rest = text;
        let mut is_in_word = false;
        while let Some(first) = rest.chars().next() {
            let found = if is_in_word { None } else { self.at(rest) };
            let (len, part) = match &found {
                Some((len, pseudonym)) => (*len, pseudonym.as_str()),
                None => (first.len_utf8(), rest.get(..first.len_utf8()).unwrap_or_default()),
            };
            shown.push_str(part);
            is_in_word = found.is_none() && is_of_word(first);
            rest = rest.get(len..).unwrap_or_default();
        }
        shown
    }

    fn places(&self) -> Places {
        if self.hides { Places::Hidden } else { Places::Shown }
    }

    fn take_in_place(&mut self, place: &str) {
        // A mere word says something else in most texts: those stay.
        let is_word = place.chars().all(char::is_alphanumeric);
        let is_named = place.chars().any(char::is_alphanumeric);
        let folded = place.to_lowercase();
        let mut wanted = self.wanted.values().flatten();
        let is_new = !wanted.any(|(known, _)| *known == folded);
        if self.hides && !is_word && is_named && is_new {
            self.look_for(&folded, NO_PLACE);
        }
    }
}

/// How long what `text` begins with is, if that is `folded` in some case.
fn begins_with(text: &str, folded: &str) -> Option<usize> {
    let mut wanted = folded.chars();
    let mut len = 0;
    for char in text.chars() {
        if wanted.as_str().is_empty() {
            break;
        }
        if char.to_lowercase().any(|char| wanted.next() != Some(char)) {
            return None;
        }
        len += char.len_utf8();
    }
    wanted.as_str().is_empty().then_some(len)
}

/// How long the path is that `rest` begins with, in quotes, as errors have it; one from the root, or
/// from a home.
fn quoted_path(rest: &str) -> Option<usize> {
    let quoted = rest.strip_prefix('"').filter(|quoted| quoted.starts_with(['/', '~']))?;
    let mut is_escaped = false;
    let end = quoted.char_indices().find(|(_, char)| {
        let ends = *char == '"' && !is_escaped;
        is_escaped = *char == '\\' && !is_escaped;
        ends
    });
    // One that was cut has no end.
    Some(end.map_or(rest.len(), |(at, _)| at + 2))
}

/// The mail address that `rest` begins with.
fn mail_address(rest: &str) -> Option<&str> {
    if rest.starts_with(is_separator) {
        return None;
    }
    let at = rest.find(|char| !is_of_local_part(char))?;
    let domain = rest.get(at..)?.strip_prefix('@')?;
    let end = domain.find(|char: char| !char.is_alphanumeric() && !".-_".contains(char));
    let domain = domain.get(..end.unwrap_or(domain.len()))?.trim_end_matches(['.', '-']);
    rest.get(..at + 1 + domain.len()).filter(|address| *address != "@")
}

/// The address of a machine that `rest` begins with, and how long it is there; a port behind it is no
/// part of it.
fn machine_address(rest: &str) -> Option<(usize, IpAddr)> {
    let end = rest.find(|char: char| !char.is_ascii_hexdigit() && !".:".contains(char));
    let text = rest.get(..end.unwrap_or(rest.len()))?;
    let text = text.trim_end_matches(['.', ':']);
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((text.len(), address.to_canonical()));
    }
    let address = text.parse::<SocketAddr>().ok()?.ip();
    Some((text.rfind(':')?, address))
}

/// Whether what stands beside it is a part of the same word.
fn is_of_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The atoms of RFC 5322 section 3.2.3 with their dots, and what RFC 6531 section 3.3 adds.
fn is_of_local_part(char: char) -> bool {
    char.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(char)
}

/// Of these, what stands before addresses in our own lines and in those of servers.
fn is_separator(char: char) -> bool {
    "'/=?`{|}&".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_pseudonym_wherever_it_stands() {
        let mut names = Shown::new(true);
        assert_eq!(names.of("alice@contoso.com"), "name-1");
        assert_eq!(names.of("scan2"), "name-3");
        assert_eq!(names.of("o'brien@contoso.com"), "name-4");
        for (text, shown) in [
            (
                "<Alice@contoso.com> may not send as bob@x.example.",
                "<name-1> may not send as name-5.",
            ),
            ("no name @ all, ü@", "no name @ all, name-7"),
            ("account=ALICE@contoso.com 'alice@contoso.com'", "account=name-1 'name-1'"),
            ("O'Brien@contoso.com, scan2: scan23 xscan2", "name-4, name-3: scan23 xscan2"),
            ("authorize 'o'\\''brien@contoso.com'", "authorize name-4"),
            ("login_hint=alice%40contoso.com&x", "login_hint=name-1&x"),
            ("at imap.Contoso.com:993", "at imap.domain-2:993"),
            ("x+y/z=1&2@x.example", "name-8"),
            ("jim.scan2@gmail.com", "name-9"),
        ] {
            assert_eq!(names.text(text), shown, "{text}");
        }
    }

    #[test]
    fn addresses_of_machines_have_pseudonyms_but_those_of_nobody() {
        let mut names = Shown::new(true);
        for (text, shown) in [
            ("192.0.2.7", "address-1"),
            ("::ffff:192.0.2.7", "address-1"),
            ("192.0.2.7:587, [2001:db8::1]:25.", "address-1:587, [address-2]:25."),
            ("10.9.0.0/16", "address-3/16"),
            ("127.0.0.1:143 [::1]:143 0.0.0.0 [::]:25", "127.0.0.1:143 [::1]:143 0.0.0.0 [::]:25"),
            ("2026-11-22T20:55:47Z 5.7.1 1.2.3", "2026-11-22T20:55:47Z 5.7.1 1.2.3"),
            ("a unix socket", "a unix socket"),
        ] {
            assert_eq!(names.address(text), shown, "{text}");
        }
    }

    #[test]
    fn an_identifier_is_not_shown_in_any_text() {
        let mut names = Shown::new(true);
        assert_eq!(names.id("Contoso.onmicrosoft.com"), NO_ID);
        assert_eq!(names.id("common"), "common");
        let told = "Tenant 'contoso.onmicrosoft.com' is no common one";
        assert_eq!(names.text(told), "Tenant '(not shown)' is no common one");
    }

    #[test]
    fn a_path_is_shown_in_no_text() {
        let mut names = Shown::new(true);
        names.take_in_place("keys/Alice.pem");
        names.take_in_place("/srv/keys/Alice.pem");
        names.take_in_place("secret");
        names.take_in_place("CAROL_SECRET");
        for (text, shown) in [
            (
                "the secret file \"/home/al/s\" cannot",
                "the secret file (a place, not shown) cannot",
            ),
            (r#"at "/a \"b\" c\\" and"#, "at (a place, not shown) and"),
            ("\"~/x\", \"/cut", "(a place, not shown), (a place, not shown)"),
            ("keys/alice.pem: no", "(a place, not shown): no"),
            ("variable CAROL_SECRET is", "variable (a place, not shown) is"),
            ("(/srv/keys/Alice.pem)", "((a place, not shown))"),
            ("at https://id.example/a \"a/b\" \"\"", "at https://id.example/a \"a/b\" \"\""),
        ] {
            assert_eq!(names.text(text), shown, "{text}");
        }
        let mut names = Shown::new(false);
        names.take_in_place("keys/a.pem");
        assert_eq!(names.text("\"/a\" keys/a.pem"), "\"/a\" keys/a.pem");
    }

    #[test]
    fn keys_of_json_stay() {
        let mut names = Shown::new(true);
        assert_eq!(names.of("account"), "name-1");
        let row = serde_json::json!({ "account": "account", "at": [null, 1, "to x@y.example"] });
        assert_eq!(names.json(&row), r#"{"account":"name-1","at":[null,1,"to name-2"]}"#);
    }

    #[test]
    fn names_stay_where_nobody_hides_them() {
        let mut names = Shown::new(false);
        assert_eq!(names.text("to bob@x.example at 192.0.2.7"), "to bob@x.example at 192.0.2.7");
        assert_eq!((names.of("alice"), names.id("x")), ("alice".to_owned(), "x".to_owned()));
    }
}
