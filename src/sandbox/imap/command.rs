//! IMAP commands as they come in: a tag, a verb, and arguments with literals in any place.
//!
//! Source: RFC 3501 section 9; RFC 7888 (LITERAL+).
//! In:  lines and literals; all literals of a command together have a limit, given by the caller.
//! Out: tokens. `BODY[HEADER.FIELDS (DATE FROM)]<0.9>` is one.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::conversation::{Conversation, End};
use super::super::record::hidden;

/// Longest tag, in bytes.
const TAG_LEN_MAX: usize = 64;

/// How many literals a command may have.
const LITERALS_MAX: usize = 64;

/// A piece of a command's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// Anything unquoted: an atom, a number, a flag, a set.
    Atom(String),
    /// A quoted string or a literal.
    Text(Bytes),
    Open,
    Close,
}

/// A command from the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) tag: String,
    /// In upper case; `UID` and the word behind it together.
    pub(super) verb: String,
    pub(super) arguments: Arguments,
}

/// Arguments that were not read yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments(VecDeque<Token>);

/// What cannot be read as a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Command {
    /// Reads one and puts it on record without its credentials. The client was told what is wrong
    /// where it gives `None`.
    pub(super) async fn read(
        talk: &mut Conversation,
        literals_len_max: usize,
    ) -> Result<Option<Self>, End> {
        let mut line = talk.line().await?;
        talk.heard(shown(&line).as_bytes());
        let (tag, _) = split_word(&line);
        let Some(tag) = std::str::from_utf8(tag).ok().filter(|tag| is_tag(tag)) else {
            talk.say("* BAD A command begins with a tag.");
            return Ok(None);
        };
        let tag = tag.to_owned();
        let mut tokens = VecDeque::new();
        let mut literals_len: usize = 0;
        for _ in 0..=LITERALS_MAX {
            let (text, literal) = split_literal(&line);
            if tokenize(text, &mut tokens).is_err() {
                talk.say(&format!("{tag} BAD Command syntax error."));
                // What follows a literal that was not waited for cannot be told from commands.
                let in_step = literal.is_none_or(|literal| literal.waits);
                return if in_step { Ok(None) } else { Err(End::Orderly) };
            }
            let Some(Literal { len, waits }) = literal else {
                return Ok(Some(Self::new(tag, tokens)));
            };
            literals_len = literals_len.saturating_add(len);
            if literals_len > literals_len_max {
                talk.say(&format!("{tag} NO [TOOBIG] The literal is too long."));
                return if waits { Ok(None) } else { Err(End::Orderly) };
            }
            if waits {
                talk.say("+ Ready for additional command text.");
            }
            tokens.push_back(Token::Text(talk.take(len).await?));
            talk.heard_hidden("literal", len);
            line = talk.line().await?;
            if !line.is_empty() {
                talk.heard(&line);
            }
        }
        talk.say(&format!("{tag} BAD A command with so many literals."));
        Err(End::Orderly)
    }

    /// Sorts tokens, of which the first is the tag, into a command.
    fn new(tag: String, mut tokens: VecDeque<Token>) -> Self {
        tokens.pop_front();
        let mut arguments = Arguments(tokens);
        let mut verb = arguments.atom().unwrap_or_default().to_ascii_uppercase();
        if verb == "UID" {
            let what = arguments.atom().unwrap_or_default().to_ascii_uppercase();
            verb = format!("UID {what}");
        }
        Self { tag, verb, arguments }
    }
}

impl Arguments {
    /// Takes the next token.
    pub(super) fn next(&mut self) -> Result<Token, Malformed> {
        self.0.pop_front().ok_or(Malformed)
    }

    /// Looks at the next token.
    pub(super) fn peek(&self) -> Option<&Token> {
        self.0.front()
    }

    /// Takes an atom.
    pub(super) fn atom(&mut self) -> Result<String, Malformed> {
        match self.next()? {
            Token::Atom(atom) => Ok(atom),
            Token::Text(_) | Token::Open | Token::Close => Err(Malformed),
        }
    }

    /// Takes a string in any form.
    pub(super) fn string(&mut self) -> Result<Bytes, Malformed> {
        match self.next()? {
            Token::Atom(atom) => Ok(Bytes::from(atom)),
            Token::Text(text) => Ok(text),
            Token::Open | Token::Close => Err(Malformed),
        }
    }

    /// Takes an atom, or a list of atoms in parentheses.
    pub(super) fn atoms(&mut self) -> Result<Vec<String>, Malformed> {
        if self.peek() != Some(&Token::Open) {
            return Ok(vec![self.atom()?]);
        }
        self.next()?;
        let mut atoms = Vec::new();
        while self.peek() != Some(&Token::Close) {
            atoms.push(self.atom()?);
        }
        self.next()?;
        Ok(atoms)
    }

    /// Makes sure that nothing is left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// `{n}` or `{n+}` at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Literal {
    len: usize,
    /// The client sends it when it was asked to.
    waits: bool,
}

fn split_literal(line: &[u8]) -> (&[u8], Option<Literal>) {
    let announced = || {
        let inside = line.strip_suffix(b"}")?;
        let at = inside.iter().rposition(|&byte| byte == b'{')?;
        let (before, len) = inside.split_at_checked(at)?;
        let len = std::str::from_utf8(len.get(1..)?).ok()?;
        let waits = !len.ends_with('+');
        let len = len.strip_suffix('+').unwrap_or(len);
        let digits = len.bytes().all(|byte| byte.is_ascii_digit());
        let len = len.parse().ok().filter(|_| digits)?;
        Some((before, Some(Literal { len, waits })))
    };
    announced().unwrap_or((line, None))
}

/// Appends the tokens of `text`.
fn tokenize(mut text: &[u8], tokens: &mut VecDeque<Token>) -> Result<(), Malformed> {
    while let Some((&first, rest)) = text.split_first() {
        text = match first {
            b' ' => rest,
            b'(' => {
                tokens.push_back(Token::Open);
                rest
            }
            b')' => {
                tokens.push_back(Token::Close);
                rest
            }
            b'"' => {
                let (quoted, rest) = take_quoted(rest)?;
                tokens.push_back(Token::Text(quoted));
                rest
            }
            _ => {
                let (atom, rest) = take_atom(text)?;
                tokens.push_back(Token::Atom(atom));
                rest
            }
        };
    }
    Ok(())
}

fn take_quoted(text: &[u8]) -> Result<(Bytes, &[u8]), Malformed> {
    let mut quoted = Vec::new();
    let mut bytes = text.iter();
    loop {
        match bytes.next() {
            None => return Err(Malformed),
            Some(b'"') => return Ok((quoted.into(), bytes.as_slice())),
            Some(b'\\') => quoted.push(*bytes.next().ok_or(Malformed)?),
            Some(&byte) => quoted.push(byte),
        }
    }
}

/// Takes what reaches to a blank or parenthesis; between brackets these count as any other byte.
fn take_atom(text: &[u8]) -> Result<(String, &[u8]), Malformed> {
    let mut inside = false;
    let end = text.iter().position(|&byte| {
        match byte {
            b'[' => inside = true,
            b']' => inside = false,
            _ => {}
        }
        !inside && matches!(byte, b' ' | b'(' | b')' | b'"')
    });
    let (atom, rest) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(Malformed)?;
    let atom = std::str::from_utf8(atom).map_err(|_| Malformed)?;
    let plain = !inside && !atom.chars().any(char::is_control);
    plain.then(|| (atom.to_owned(), rest)).ok_or(Malformed)
}

/// The command line as it goes on record.
fn shown(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    match *words.as_slice() {
        [tag, verb, mechanism, response] if verb.eq_ignore_ascii_case("AUTHENTICATE") => {
            format!("{tag} {verb} {mechanism} {}", hidden("token", response.len()))
        }
        [tag, verb, ..] if verb.eq_ignore_ascii_case("LOGIN") => {
            format!("{tag} {verb} {}", hidden("credentials", line.len()))
        }
        _ => line.into_owned(),
    }
}

fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

fn is_tag(tag: &str) -> bool {
    let fits = (1..=TAG_LEN_MAX).contains(&tag.len());
    fits && tag.bytes().all(|byte| byte.is_ascii_graphic() && !b"(){%*\"\\+".contains(&byte))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The arguments that `text` holds.
    pub(in super::super) fn arguments(text: &str) -> Arguments {
        let mut tokens = VecDeque::new();
        tokenize(text.as_bytes(), &mut tokens).unwrap();
        Arguments(tokens)
    }

    #[test]
    fn arguments_are_read_in_every_form() {
        let mut read =
            arguments(r#"1:* (FLAGS BODY.PEEK[HEADER.FIELDS ("A" b)]<0.9>) "a\"b \\" ()"#);
        assert_eq!(read.atom().unwrap(), "1:*");
        assert_eq!(read.atoms().unwrap(), ["FLAGS", r#"BODY.PEEK[HEADER.FIELDS ("A" b)]<0.9>"#]);
        assert_eq!(read.string().unwrap(), r#"a"b \"#);
        assert_eq!(read.end(), Err(Malformed));
        assert!(read.atoms().unwrap().is_empty());
        assert_eq!((read.end(), read.atom()), (Ok(()), Err(Malformed)));
    }

    #[test]
    fn what_is_no_argument_is_malformed() {
        for text in [&b"\"a"[..], b"\"a\\", b"BODY[ 1", b"a\x01", b"\xff"] {
            assert_eq!(tokenize(text, &mut VecDeque::new()), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_literal_is_announced_at_the_end_of_a_line_alone() {
        let literal = |line: &'static str| split_literal(line.as_bytes()).1;
        assert_eq!(literal("a {5}"), Some(Literal { len: 5, waits: true }));
        assert_eq!(literal("a {5+}"), Some(Literal { len: 5, waits: false }));
        for line in ["a {5} ", "a {}", "a {+5}", "a {5++}", "a 5}", "{99999999999999999999}"] {
            assert_eq!(literal(line), None, "{line}");
        }
    }

    #[test]
    fn credentials_do_not_go_on_record() {
        assert_eq!(
            shown(b"a authenticate XOAUTH2 c2VjcmV0"),
            "a authenticate XOAUTH2 <token, 8 bytes>"
        );
        assert_eq!(shown(b"a LOGIN alice secret"), "a LOGIN <credentials, 20 bytes>");
    }
}
