//! SEARCH: which messages a client looks for.
//!
//! Source: RFC 3501 section 6.4.4.
//! Limits: bytes are compared as they are, ASCII case aside; no dates, no keywords.

use bytes::Bytes;

use super::super::mailboxes::{Flags, Message};
use super::command::{Arguments, Malformed, Token};
use super::fetch::header_len;
use super::set::NumberSet;

/// How deep OR, NOT and parentheses may be nested.
const DEPTH_MAX: usize = 16;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// All of them hold; of none, every message.
    All(Vec<Self>),
    Either(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Flagged(Flags),
    Numbers(NumberSet),
    Uids(NumberSet),
    /// A header field contains this.
    Header(String, Bytes),
    /// The text contains this.
    Body(Bytes),
    /// Any part of the message contains this.
    Anywhere(Bytes),
    LargerThan(usize),
    SmallerThan(usize),
}

/// Where a message stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) number: u32,
    pub(super) largest_number: u32,
    pub(super) largest_uid: u32,
}

/// Reads the arguments of SEARCH. Of charsets those in which ASCII is ASCII are known.
pub(super) fn key(arguments: &mut Arguments) -> Result<Key, Malformed> {
    if matches!(arguments.peek(), Some(Token::Atom(atom)) if atom.eq_ignore_ascii_case("CHARSET")) {
        arguments.next()?;
        let charset = arguments.string()?;
        if ![&b"UTF-8"[..], b"US-ASCII"].iter().any(|it| it.eq_ignore_ascii_case(&charset)) {
            return Err(Malformed);
        }
    }
    let mut keys = vec![one(arguments, DEPTH_MAX)?];
    while arguments.peek().is_some() {
        keys.push(one(arguments, DEPTH_MAX)?);
    }
    Ok(Key::All(keys))
}

fn one(arguments: &mut Arguments, depth: usize) -> Result<Key, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let atom = match arguments.next()? {
        Token::Open => {
            let mut keys = Vec::new();
            while arguments.peek() != Some(&Token::Close) {
                keys.push(one(arguments, depth)?);
            }
            arguments.next()?;
            return Ok(Key::All(keys));
        }
        Token::Atom(atom) => atom,
        Token::Text(_) | Token::Close => return Err(Malformed),
    };
    let not = |key| Ok(Key::Not(Box::new(key)));
    match atom.to_ascii_uppercase().as_str() {
        // Every message is old: \Recent is kept for nobody.
        "ALL" | "OLD" => Ok(Key::All(Vec::new())),
        "RECENT" | "NEW" => not(Key::All(Vec::new())),
        "NOT" => not(one(arguments, depth)?),
        "OR" => Ok(Key::Either(Box::new(one(arguments, depth)?), Box::new(one(arguments, depth)?))),
        "UID" => Ok(Key::Uids(NumberSet::parse(&arguments.atom()?)?)),
        "BODY" => Ok(Key::Body(arguments.string()?)),
        "TEXT" => Ok(Key::Anywhere(arguments.string()?)),
        "HEADER" => {
            let name = String::from_utf8(arguments.string()?.to_vec()).map_err(|_| Malformed)?;
            Ok(Key::Header(name, arguments.string()?))
        }
        field @ ("FROM" | "TO" | "CC" | "BCC" | "SUBJECT") => {
            Ok(Key::Header(field.to_owned(), arguments.string()?))
        }
        "LARGER" => Ok(Key::LargerThan(arguments.atom()?.parse().map_err(|_| Malformed)?)),
        "SMALLER" => Ok(Key::SmallerThan(arguments.atom()?.parse().map_err(|_| Malformed)?)),
        upper => match (flag(upper), upper.strip_prefix("UN").map(flag)) {
            (Some(flag), _) => Ok(Key::Flagged(flag)),
            (None, Some(Some(flag))) => not(Key::Flagged(flag)),
            (None, _) => NumberSet::parse(upper).map(Key::Numbers),
        },
    }
}

fn flag(name: &str) -> Option<Flags> {
    match name {
        "ANSWERED" => Some(Flags::ANSWERED),
        "DELETED" => Some(Flags::DELETED),
        "DRAFT" => Some(Flags::DRAFT),
        "FLAGGED" => Some(Flags::FLAGGED),
        "SEEN" => Some(Flags::SEEN),
        _ => None,
    }
}

impl Key {
    /// Whether it holds for `message` at `place`.
    pub(super) fn holds(&self, message: &Message, place: Place) -> bool {
        let bytes = &message.bytes;
        match self {
            Self::All(keys) => keys.iter().all(|key| key.holds(message, place)),
            Self::Either(one, other) => one.holds(message, place) || other.holds(message, place),
            Self::Not(key) => !key.holds(message, place),
            Self::Flagged(flag) => message.flags.contain(*flag),
            Self::Numbers(set) => set.contains(place.number, place.largest_number),
            Self::Uids(set) => set.contains(message.uid, place.largest_uid),
            Self::Header(name, wanted) => {
                let header = bytes.slice(..header_len(bytes));
                header_values(&header, name).any(|value| contains(value, wanted))
            }
            Self::Body(wanted) => contains(&bytes.slice(header_len(bytes)..), wanted),
            Self::Anywhere(wanted) => contains(bytes, wanted),
            Self::LargerThan(len) => bytes.len() > *len,
            Self::SmallerThan(len) => bytes.len() < *len,
        }
    }
}

/// The lines of a header whose field is `name`, continuation lines left out.
fn header_values<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    header.split(|&byte| byte == b'\n').filter_map(move |line| {
        let (found, value) = line.split_at_checked(name.len())?;
        value.strip_prefix(b":").filter(|_| found.eq_ignore_ascii_case(name.as_bytes()))
    })
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|it| it.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::super::command::tests::arguments;
    use super::*;

    fn search(wanted: &str) -> Vec<u32> {
        let message = |uid, flags, text: &'static str| Message {
            uid,
            flags,
            internal_date: String::new(),
            bytes: Bytes::from_static(text.as_bytes()),
        };
        let messages = [
            message(10, Flags::SEEN, "Subject: One\r\n\r\nfirst"),
            message(20, Flags::NONE, "Subject: Two\r\n\r\nsecond"),
            message(30, Flags::SEEN | Flags::DELETED, "X: One\r\n\r\nthird one"),
        ];
        let key = key(&mut arguments(wanted)).unwrap();
        let place = |number| Place { number, largest_number: 3, largest_uid: 30 };
        let found = (1..).zip(&messages).filter(|(number, it)| key.holds(it, place(*number)));
        found.map(|(number, _)| number).collect()
    }

    #[test]
    fn a_search_finds_what_holds() {
        for (wanted, found) in [
            ("ALL", &[1, 2, 3][..]),
            ("UNSEEN", &[2]),
            ("SEEN UNDELETED", &[1]),
            ("CHARSET UTF-8 SUBJECT one", &[1]),
            ("HEADER \"x\" \"ONE\"", &[3]),
            ("OR TEXT one UNSEEN", &[1, 2, 3]),
            ("BODY one", &[3]),
            ("NOT (2:* SEEN)", &[1, 2]),
            ("UID 15:*", &[2, 3]),
            ("LARGER 20 SMALLER 22", &[1]),
            ("NEW", &[]),
        ] {
            assert_eq!(search(wanted), found, "{wanted}");
        }
    }

    #[test]
    fn what_is_no_condition_is_malformed() {
        let deep = "NOT ".repeat(17) + "ALL";
        for wanted in ["", "UNHEARD", "NOT", "OR ALL", "(ALL", ")", "CHARSET KOI8-R ALL", &deep] {
            assert_eq!(key(&mut arguments(wanted)), Err(Malformed), "{wanted}");
        }
    }
}
