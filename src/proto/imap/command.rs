//! A client's command line before the sign-in: tag, verb, arguments, announced literal.
//!
//! Source: RFC 3501 section 9 (grammar), RFC 7888 (non-synchronising literals).
//! In:     a line without its end, or what follows a literal up to the line end. Any bytes.
//! Out:    pieces of it. Arguments are read as old clients write them, which is more than the
//!         grammar allows: see [`arguments`].

use std::fmt;

use zeroize::Zeroizing;

use crate::names::UsernameError;
use crate::proto::Input;
use crate::proto::sasl::SaslError;

/// Longest tag that is taken and so echoed, in bytes. Clients in use send 2 to 12.
const TAG_LEN_MAX: usize = 64;

/// A command's tag: 1 to 64 bytes of the grammar's `tag`, so fit to be echoed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    /// Takes the tag off a line that begins a command; `None` when there is no usable one.
    pub(super) fn split_off(line: &[u8]) -> Option<(Self, &[u8])> {
        let (word, rest) = split_word(line);
        let fits = (1..=TAG_LEN_MAX).contains(&word.len()) && word.iter().all(is_tag_char);
        fits.then(|| (Self(word.iter().copied().map(char::from).collect()), rest))
    }

    /// Stands where there is no usable tag: the response is an untagged one.
    pub(super) fn untagged() -> Self {
        Self("*".to_owned())
    }

    /// The tag of a command whose line is too long to be taken: its client awaits a tagged response.
    pub(super) fn of_beginning(input: &Input) -> Option<Self> {
        let (tag, rest) = Self::split_off(input.peek(TAG_LEN_MAX + b" ".len()))?;
        rest.starts_with(b" ").then_some(tag)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client may ask for before it is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Authenticate,
    Capability,
    Id,
    Login,
    Logout,
    Noop,
    StartTls,
    /// Nothing stands behind the tag.
    Missing,
    /// Any other: valid only after the sign-in, or nowhere.
    Other,
}

impl Verb {
    /// Takes the verb off what follows a tag. What is left is empty or begins with a blank.
    pub(super) fn split_off(text: &[u8]) -> (Self, &[u8]) {
        const VERBS: [(&[u8], Verb); 8] = [
            (b"AUTHENTICATE", Verb::Authenticate),
            (b"CAPABILITY", Verb::Capability),
            (b"ID", Verb::Id),
            (b"LOGIN", Verb::Login),
            (b"LOGOUT", Verb::Logout),
            (b"NOOP", Verb::Noop),
            (b"STARTTLS", Verb::StartTls),
            (b"", Verb::Missing),
        ];
        let (word, rest) = split_word(text);
        let known = VERBS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        (known.map_or(Self::Other, |&(_, verb)| verb), rest)
    }
}

/// A literal as the end of a line announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Literal {
    /// How many bytes it has; `usize::MAX` for a number that is too large to hold.
    pub(super) len: usize,
    /// Whether the client waits for our leave before it sends them.
    pub(super) pace: Pace,
}

/// How a client sends a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// `{n}`: it waits for a continuation request.
    Waiting,
    /// `{n+}`: it does not. `{n-}` is in no RFC, and is taken for the same: a client that misread
    /// LITERAL- can mean nothing else (swift-nio-imap 675, seen in 2022).
    AtOnce,
}

impl Literal {
    /// Takes the announcement off the end of `text`: `{n}`, `{n+}` or `{n-}` behind a blank or an
    /// opening parenthesis. Behind anything else it is part of a word, as in the password `pw{1}`.
    pub(super) fn split_off(text: &[u8]) -> (&[u8], Option<Self>) {
        Self::parse_end(text).map_or((text, None), |(before, literal)| (before, Some(literal)))
    }

    /// Whether a line may announce a literal that comes without leave, of which line no more is known
    /// than how it ends.
    pub(super) fn may_come_at_once(end: &[u8]) -> bool {
        matches!(end, [.., b'0'..=b'9', b'+' | b'-', b'}'])
    }

    fn parse_end(text: &[u8]) -> Option<(&[u8], Self)> {
        let open = memchr::memrchr(b'{', text)?;
        let (before, announced) = text.split_at_checked(open)?;
        let announced = announced.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let at_once = announced.strip_suffix(b"+").or(announced.strip_suffix(b"-"));
        let digits = at_once.unwrap_or(announced);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let len = digits.iter().fold(0_usize, |len, digit| {
            len.saturating_mul(10).saturating_add(usize::from(digit - b'0'))
        });
        let pace = if at_once.is_some() { Pace::AtOnce } else { Pace::Waiting };
        matches!(before.last(), Some(b' ' | b'(')).then_some((before, Self { len, pace }))
    }
}

/// The arguments of LOGIN in `text`, which is empty or begins with a blank.
///
/// Old clients do not keep to the grammar, and their users cannot change them. So:
/// - an atom is anything up to the next blank that does not begin with a quote (`DOMAIN\user`,
///   `pa%ss`, Latin-1);
/// - in a quoted string a backslash before anything but `"` and `\` stands for itself
///   (`"DOMAIN\user"`);
/// - more than one blank between arguments, and blanks at the end, mean nothing.
pub(super) fn arguments(
    mut text: &[u8],
) -> impl Iterator<Item = Result<Zeroizing<Vec<u8>>, Fault>> {
    std::iter::from_fn(move || {
        let glued = !text.is_empty() && !text.starts_with(b" ");
        let (word, rest) = split_word(text);
        if word.is_empty() {
            return None;
        }
        let taken = match skip_blanks(text).strip_prefix(b"\"") {
            _ if glued => Err(Fault::Glued),
            Some(quoted) => unquote(quoted),
            None => Ok((Zeroizing::new(word.to_vec()), rest)),
        };
        text = taken.as_ref().map_or(&[], |&(_, rest)| rest);
        Some(taken.map(|(argument, _)| argument))
    })
}

/// Why a command is refused. None of these says anything about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("begin the line with a tag of at most 64 characters")]
    Tag,
    #[error("a command is missing behind the tag")]
    NoCommand,
    #[error("this command is not known before sign-in")]
    UnknownCommand,
    #[error("STARTTLS is not offered here")]
    StartTls,
    #[error("TLS is active already")]
    StartTlsAgain,
    #[error("begin TLS first (STARTTLS), then sign in")]
    Privacy,
    #[error("this command takes no arguments")]
    Arguments,
    #[error("LOGIN takes a user name and a password")]
    LoginArguments,
    #[error("AUTHENTICATE takes a mechanism and at most one response")]
    AuthenticateArguments,
    #[error("sign in with PLAIN or LOGIN, other mechanisms are not offered")]
    Mechanism,
    #[error("put a blank between the arguments")]
    Glued,
    #[error("a quoted string has no end")]
    Unquoted,
    #[error("an argument holds a NUL")]
    Nul,
    #[error("the line is too long")]
    LineTooLong,
    #[error("a literal is longer than 4096 bytes, too long before sign-in")]
    LiteralTooLong,
    #[error("too many literals in one command")]
    TooManyLiterals,
    #[error(transparent)]
    Username(#[from] UsernameError),
    #[error(transparent)]
    Sasl(#[from] SaslError),
}

/// The first word of `text`, blanks before it dropped, and the rest with the blank behind it.
pub(super) fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = skip_blanks(text);
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or_default()
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != b' ').unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Reads a quoted string behind its opening quote; gives it and what follows its closing quote.
fn unquote(text: &[u8]) -> Result<(Zeroizing<Vec<u8>>, &[u8]), Fault> {
    let mut argument = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', byte @ (b'"' | b'\\'), rest @ ..] => {
                argument.push(*byte);
                rest
            }
            [b'"', rest @ ..] => return Ok((argument, rest)),
            [byte, rest @ ..] => {
                argument.push(*byte);
                rest
            }
            [] => return Err(Fault::Unquoted),
        };
    }
}

/// `tag = 1*<any ASTRING-CHAR except "+">` (RFC 3501 section 9).
fn is_tag_char(byte: &u8) -> bool {
    const EXCEPT: &[u8] = br#"(){%*"\+"#;
    byte.is_ascii_graphic() && !EXCEPT.contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        arguments(text).map(|argument| argument.map(|argument| argument.to_vec())).collect()
    }

    #[test]
    fn a_tag_is_taken_only_if_it_can_be_echoed() {
        let (tag, rest) = Tag::split_off(b"A1.x]-7 NOOP").unwrap();
        assert_eq!((tag.to_string().as_str(), rest), ("A1.x]-7", &b" NOOP"[..]));
        assert!(Tag::split_off("a".repeat(64).as_bytes()).is_some());
        assert!(Tag::split_off("a".repeat(65).as_bytes()).is_none());
        for line in ["", " ", "*", "+ x", "a+ x", "a\"b x", "a{1} x", "a\\ x", "a% x", "(a) x"] {
            assert!(Tag::split_off(line.as_bytes()).is_none(), "{line:?}");
        }
        for line in [&b"a\x01 x"[..], b"a\r x", b"a\x7f x", b"\xe4 x", b"a\0 x", b"a\tb x"] {
            assert!(Tag::split_off(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn a_verb_is_read_in_any_case_and_behind_two_blanks() {
        assert_eq!(Verb::split_off(b"  lOgIn a b"), (Verb::Login, &b" a b"[..]));
        assert_eq!(Verb::split_off(b" LOGINS"), (Verb::Other, &b""[..]));
        assert_eq!(Verb::split_off(b"  "), (Verb::Missing, &b""[..]));
    }

    #[test]
    fn a_literal_is_announced_behind_a_blank_or_a_parenthesis_alone() {
        let found = |text| Literal::split_off(text).1.map(|literal| (literal.len, literal.pace));
        assert_eq!(Literal::split_off(b" a {3}").0, b" a ");
        assert_eq!(found(b" {0}"), Some((0, Pace::Waiting)));
        assert_eq!(found(b" ({12+}"), Some((12, Pace::AtOnce)));
        assert_eq!(found(b" {12-}"), Some((12, Pace::AtOnce)));
        assert_eq!(found(b" {99999999999999999999999}"), Some((usize::MAX, Pace::Waiting)));
        for text in [" a{3}", "{3}", " {3} ", " {}", " {+}", " {3+-}", " {-3}", " {3", " \"{3}\""] {
            assert_eq!(found(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn arguments_are_read_as_old_clients_write_them() {
        for (text, first, second) in [
            (r"a b", "a", "b"),
            (r"  a   b  ", "a", "b"),
            (r"DOMAIN\user pa%ss", r"DOMAIN\user", "pa%ss"),
            (r#""DOMAIN\user" "p\"w\\""#, r"DOMAIN\user", r#"p"w\"#),
            (r#""" "b c""#, "", "b c"),
            (r"p(a {x}", "p(a", "{x}"),
            ("\t\"a b", "\t\"a", "b"),
            (r#"a"b c"d"#, r#"a"b"#, r#"c"d"#),
            ("m\u{fc}ller \"\u{fc}\"", "m\u{fc}ller", "\u{fc}"),
        ] {
            let read = read(format!(" {text}").as_bytes()).unwrap();
            assert_eq!(read, [first.as_bytes(), second.as_bytes()], "{text}");
        }
        assert_eq!(read(b"   "), Ok(vec![]));
    }

    #[test]
    fn arguments_without_an_end_or_a_blank_between_them_are_refused() {
        for text in [r#" "a"#, r#" ""#, r#" "a\""#, r#" "a\\\""#] {
            assert_eq!(read(text.as_bytes()), Err(Fault::Unquoted), "{text}");
        }
        for text in [r#" "a""b""#, r#" "a"b"#, "a", r#""a""#] {
            assert_eq!(read(text.as_bytes()), Err(Fault::Glued), "{text}");
        }
    }
}
