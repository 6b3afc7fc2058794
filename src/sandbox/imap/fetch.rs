//! FETCH: which parts of a message a client wants, and how they are written.
//!
//! Source: RFC 3501 sections 6.4.5 and 7.4.2.
//! Limits: messages are not taken apart as MIME, so there is no ENVELOPE, BODYSTRUCTURE or part
//!         number; every other item is here.

use bytes::Bytes;
use memchr::memmem;

use super::super::mailboxes::Message;
use super::command::{Arguments, Malformed};

/// Something about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Flags,
    Uid,
    InternalDate,
    Size,
    Body(Body),
}

/// Some of a message's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    /// What it is called in the response.
    name: String,
    section: Section,
    /// First byte and length.
    partial: Option<(usize, usize)>,
    /// Fetching it marks the message as seen.
    pub(super) marks_seen: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Section {
    Whole,
    Header,
    Text,
    Fields(Vec<String>),
    FieldsNot(Vec<String>),
}

/// A piece of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// A name and the literal behind it.
    Literal(String, Bytes),
}

/// Reads the items of a FETCH command.
pub(super) fn items(arguments: &mut Arguments) -> Result<Vec<Item>, Malformed> {
    let mut items = Vec::new();
    for atom in arguments.atoms()? {
        match atom.to_ascii_uppercase().as_str() {
            "FAST" => items.extend([Item::Flags, Item::InternalDate, Item::Size]),
            upper => items.push(item(upper)?),
        }
    }
    if items.is_empty() { Err(Malformed) } else { Ok(items) }
}

impl Item {
    /// What the response says about `message`.
    pub(super) fn write(&self, message: &Message) -> Piece {
        Piece::Text(match self {
            Self::Flags => format!("FLAGS ({})", message.flags),
            Self::Uid => format!("UID {}", message.uid),
            Self::InternalDate => format!("INTERNALDATE \"{}\"", message.internal_date),
            Self::Size => format!("RFC822.SIZE {}", message.bytes.len()),
            Self::Body(body) => return Piece::Literal(body.name.clone(), body.of(&message.bytes)),
        })
    }
}

impl Body {
    fn of(&self, message: &Bytes) -> Bytes {
        let header_len = header_len(message);
        let bytes = match &self.section {
            Section::Whole => message.clone(),
            Section::Header => message.slice(..header_len),
            Section::Text => message.slice(header_len..),
            Section::Fields(names) => {
                fields(&message.slice(..header_len), |name| is_one_of(names, name))
            }
            Section::FieldsNot(names) => {
                fields(&message.slice(..header_len), |name| !is_one_of(names, name))
            }
        };
        let Some((first, len)) = self.partial else { return bytes };
        let first = first.min(bytes.len());
        bytes.slice(first..first.saturating_add(len).min(bytes.len()))
    }
}

/// Reads one item, given in upper case.
fn item(upper: &str) -> Result<Item, Malformed> {
    let old_name = |section, marks_seen| {
        Item::Body(Body { name: upper.to_owned(), section, partial: None, marks_seen })
    };
    Ok(match upper {
        "FLAGS" => Item::Flags,
        "UID" => Item::Uid,
        "INTERNALDATE" => Item::InternalDate,
        "RFC822.SIZE" => Item::Size,
        "RFC822" => old_name(Section::Whole, true),
        "RFC822.HEADER" => old_name(Section::Header, false),
        "RFC822.TEXT" => old_name(Section::Text, true),
        _ => Item::Body(body(upper)?),
    })
}

/// Reads `BODY[section]<first.len>` or `BODY.PEEK[…]`.
fn body(upper: &str) -> Result<Body, Malformed> {
    let (marks_seen, rest) = match upper.strip_prefix("BODY.PEEK[") {
        Some(rest) => (false, rest),
        None => (true, upper.strip_prefix("BODY[").ok_or(Malformed)?),
    };
    let (section, partial) = rest.rsplit_once(']').ok_or(Malformed)?;
    let partial = match partial {
        "" => None,
        partial => {
            let partial = partial.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
            let (first, len) = partial.and_then(|it| it.split_once('.')).ok_or(Malformed)?;
            let number = |text: &str| text.parse::<u32>().ok().and_then(|it| it.try_into().ok());
            Some((number(first).ok_or(Malformed)?, number(len).ok_or(Malformed)?))
        }
    };
    let origin = partial.map(|(first, _): (usize, usize)| format!("<{first}>")).unwrap_or_default();
    let name = format!("BODY[{section}]{origin}");
    let section = match section {
        "" => Section::Whole,
        "HEADER" => Section::Header,
        "TEXT" => Section::Text,
        _ => match section.strip_prefix("HEADER.FIELDS.NOT ") {
            Some(names) => Section::FieldsNot(field_names(names)?),
            None => {
                let names = section.strip_prefix("HEADER.FIELDS ").ok_or(Malformed)?;
                Section::Fields(field_names(names)?)
            }
        },
    };
    Ok(Body { name, section, partial, marks_seen })
}

fn field_names(list: &str) -> Result<Vec<String>, Malformed> {
    let names = list.strip_prefix('(').and_then(|it| it.strip_suffix(')')).ok_or(Malformed)?;
    let names = names.split_ascii_whitespace().map(|name| name.trim_matches('"').to_owned());
    let names: Vec<String> = names.collect();
    if names.is_empty() { Err(Malformed) } else { Ok(names) }
}

/// Writes a FETCH response: its bytes, and how it goes on record.
pub(super) fn response(number: u32, pieces: impl Iterator<Item = Piece>) -> (Vec<u8>, String) {
    let mut bytes = format!("* {number} FETCH (").into_bytes();
    let mut shown = format!("* {number} FETCH (");
    for (at, piece) in pieces.enumerate() {
        let separator = if at == 0 { "" } else { " " };
        let (text, literal) = match piece {
            Piece::Text(text) => (text, None),
            Piece::Literal(name, literal) => (name, Some(literal)),
        };
        bytes.extend_from_slice(format!("{separator}{text}").as_bytes());
        shown.push_str(&format!("{separator}{text}"));
        if let Some(literal) = literal {
            bytes.extend_from_slice(format!(" {{{}}}\r\n", literal.len()).as_bytes());
            bytes.extend_from_slice(&literal);
            shown.push_str(&format!(" <{} bytes>", literal.len()));
        }
    }
    bytes.extend_from_slice(b")\r\n");
    shown.push(')');
    (bytes, shown)
}

/// The length of a message's header with the empty line behind it.
pub(super) fn header_len(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 2;
    }
    memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

/// Those fields of a header whose name is `wanted`, whole, with an empty line behind them.
fn fields(header: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Bytes {
    let mut found = Vec::new();
    let mut takes = false;
    for line in header.split_inclusive(|&byte| byte == b'\n') {
        if line == b"\r\n" {
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            takes = wanted(name.trim_ascii());
        }
        if takes {
            found.extend_from_slice(line);
        }
    }
    found.extend_from_slice(b"\r\n");
    found.into()
}

fn is_one_of(names: &[String], name: &[u8]) -> bool {
    names.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::super::super::mailboxes::Flags;
    use super::super::command::tests::arguments;
    use super::*;

    const TEXT: &str = "From: a\r\nSubject: b\r\n c\r\nTo: d\r\n\r\nbody\r\n";

    fn fetch(wanted: &str) -> Vec<Piece> {
        let bytes = Bytes::from_static(TEXT.as_bytes());
        let (flags, internal_date) = (Flags::SEEN | Flags::DELETED, " 1-Jan-1970".to_owned());
        let message = Message { uid: 7, flags, internal_date, bytes };
        let items = items(&mut arguments(wanted)).unwrap();
        items.iter().map(|item| item.write(&message)).collect()
    }

    fn literal(wanted: &str) -> (String, String) {
        match fetch(wanted).remove(0) {
            Piece::Literal(name, bytes) => (name, String::from_utf8(bytes.to_vec()).unwrap()),
            Piece::Text(text) => panic!("{text}"),
        }
    }

    #[test]
    fn the_attributes_of_a_message_are_written() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let size = format!("RFC822.SIZE {}", TEXT.len());
        let date = text("INTERNALDATE \" 1-Jan-1970\"");
        let flags = || text("FLAGS (\\Deleted \\Seen)");
        assert_eq!(fetch("(uid flags)"), [text("UID 7"), flags()]);
        assert_eq!(fetch("FAST"), [flags(), date, text(&size)]);
    }

    #[test]
    fn a_section_is_cut_out_of_the_message() {
        for (wanted, name, cut) in [
            ("BODY[]", "BODY[]", TEXT),
            ("RFC822", "RFC822", TEXT),
            ("body.peek[text]", "BODY[TEXT]", "body\r\n"),
            ("RFC822.HEADER", "RFC822.HEADER", &TEXT[..34]),
            ("BODY[HEADER]<1.3>", "BODY[HEADER]<1>", "rom"),
            ("BODY[]<36.99>", "BODY[]<36>", "dy\r\n"),
            ("BODY[]<99.1>", "BODY[]<99>", ""),
            (
                "BODY[HEADER.FIELDS (\"subject\" X)]",
                "BODY[HEADER.FIELDS (\"SUBJECT\" X)]",
                "Subject: b\r\n c\r\n\r\n",
            ),
            (
                "BODY[HEADER.FIELDS.NOT (SUBJECT)]",
                "BODY[HEADER.FIELDS.NOT (SUBJECT)]",
                "From: a\r\nTo: d\r\n\r\n",
            ),
        ] {
            assert_eq!(literal(wanted), (name.to_owned(), cut.to_owned()));
        }
    }

    #[test]
    fn what_is_no_item_is_malformed() {
        for wanted in ["ENVELOPE", "BODY", "BODY[1]", "BODY[]<1>", "BODY[HEADER.FIELDS ()]", "()"] {
            assert_eq!(items(&mut arguments(wanted)), Err(Malformed), "{wanted}");
        }
    }

    #[test]
    fn a_message_without_an_empty_line_is_all_header() {
        assert_eq!(header_len(b"a: b\r\n"), 6);
        assert_eq!(header_len(b"\r\nbody"), 2);
        assert_eq!(header_len(b""), 0);
    }
}
