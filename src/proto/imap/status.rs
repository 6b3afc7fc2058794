//! What a provider says before the sign-in is complete: a line taken apart.
//!
//! Source: RFC 3501 section 7 and 9. In: a line without its end, any bytes. Out: borrowed pieces.

use super::command::{Literal, split_word};
use crate::proto::Lasting;
use crate::provider::Mechanism;

/// One response of a provider.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response<'a> {
    /// `+ …`: what stands behind it.
    Continuation(&'a [u8]),
    /// `* …` with a status.
    Status(Status<'a>),
    /// `* …` with data: what stands behind the `* `.
    Data(&'a [u8]),
    /// A tag and a status.
    Tagged(&'a [u8], Status<'a>),
}

/// OK, NO, BAD, BYE or PREAUTH, with what follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status<'a> {
    pub(super) condition: Condition,
    /// What stands between `[` and `]` at the beginning of the text, if it begins so.
    pub(super) code: Option<&'a [u8]>,
    /// What stands behind the condition: code and text.
    pub(super) text: &'a [u8],
    /// All of it, from the condition on.
    pub(super) line: &'a [u8],
}

/// The first word of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Ok,
    No,
    Bad,
    Bye,
    Preauth,
}

impl<'a> Response<'a> {
    /// Takes a line apart; `None` where it is no response, or none that can be followed.
    ///
    /// Data that announces a literal counts as such: none of the responses that precede a sign-in
    /// has one, and what is not expected is not worth the room it would take.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        if let Some(rest) = line.strip_prefix(b"+") {
            return Some(Self::Continuation(rest.trim_ascii()));
        }
        let (tag, rest) = split_word(line);
        let rest = rest.strip_prefix(b" ")?;
        match (tag, Status::parse(rest)) {
            (b"*", Some(status)) => Some(Self::Status(status)),
            (b"*", None) => Literal::split_off(rest).1.is_none().then_some(Self::Data(rest)),
            (tag, Some(status)) => Some(Self::Tagged(tag, status)),
            (_, None) => None,
        }
    }

    /// The list of capabilities that the response tells, in its data or its code.
    pub(super) fn capabilities(&self) -> Option<&'a [u8]> {
        match self {
            Self::Data(data) => capability_list(data),
            Self::Status(status) | Self::Tagged(_, status) => capability_list(status.code?),
            Self::Continuation(_) => None,
        }
    }
}

impl<'a> Status<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        const CONDITIONS: [(&[u8], Condition); 5] = [
            (b"OK", Condition::Ok),
            (b"NO", Condition::No),
            (b"BAD", Condition::Bad),
            (b"BYE", Condition::Bye),
            (b"PREAUTH", Condition::Preauth),
        ];
        let (word, rest) = split_word(line);
        let (_, condition) =
            CONDITIONS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name))?;
        let text = rest.strip_prefix(b" ").unwrap_or(rest);
        let code = text.strip_prefix(b"[").and_then(|code| {
            let end = memchr::memchr(b']', code)?;
            code.get(..end)
        });
        Some(Self { condition, code, text, line })
    }

    /// Whether the refusal may pass by itself. The codes of RFC 5530 that say so are believed, and so
    /// is BYE; texts are not interpreted. CONTACTADMIN is no such code: somebody has to do something.
    pub(super) fn lasting(&self) -> Lasting {
        const TEMPORARY: [&[u8]; 4] = [b"UNAVAILABLE", b"INUSE", b"LIMIT", b"SERVERBUG"];
        let passes = match self.condition {
            Condition::Bye => true,
            Condition::No => TEMPORARY
                .iter()
                .any(|code| self.code.is_some_and(|told| told.eq_ignore_ascii_case(code))),
            Condition::Ok | Condition::Bad | Condition::Preauth => false,
        };
        if passes { Lasting::Temporary } else { Lasting::Permanent }
    }
}

/// What stands behind CAPABILITY, in data or in a code.
fn capability_list(data: &[u8]) -> Option<&[u8]> {
    let (word, rest) = split_word(data);
    word.eq_ignore_ascii_case(b"CAPABILITY").then_some(rest)
}

/// The capabilities of a provider that matter before the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) starttls: bool,
    pub(super) sasl_ir: bool,
    /// Whether the wanted mechanism is there.
    pub(super) mechanism: bool,
}

impl Capabilities {
    /// Reads a list of capabilities; case means nothing in it.
    pub(super) fn read(list: &[u8], mechanism: Mechanism) -> Self {
        let wanted = format!("AUTH={}", mechanism.name());
        Self {
            starttls: offers(list, "STARTTLS"),
            sasl_ir: offers(list, "SASL-IR"),
            mechanism: offers(list, &wanted),
        }
    }
}

/// Whether a list of capabilities holds this one; case means nothing in it.
pub(super) fn offers(list: &[u8], name: &str) -> bool {
    list.split(|&byte| byte == b' ').any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_taken_apart() {
        let Some(Response::Status(status)) = Response::parse(b"* ok [UNSEEN 3] hello") else {
            panic!("it is a status");
        };
        assert_eq!(status.condition, Condition::Ok);
        assert_eq!(status.code, Some(&b"UNSEEN 3"[..]));
        assert_eq!(status.text, b"[UNSEEN 3] hello");
        assert_eq!(status.line, b"ok [UNSEEN 3] hello");
        assert_eq!(Response::parse(b"+"), Some(Response::Continuation(b"")));
        assert_eq!(Response::parse(b"+ eyJ9 "), Some(Response::Continuation(b"eyJ9")));
        assert_eq!(Response::parse(b"* 3 EXISTS"), Some(Response::Data(b"3 EXISTS")));
        let Some(Response::Tagged(b"m1", status)) = Response::parse(b"m1 NO") else {
            panic!("it is tagged");
        };
        assert_eq!((status.condition, status.code, status.text), (Condition::No, None, &b""[..]));
    }

    #[test]
    fn a_response_that_is_none_is_told_apart() {
        for line in ["", "*", "m1", "m1 MAYBE x", "HTTP/1.1 400 Bad Request", "* ID (\"x\" {3}"] {
            assert_eq!(Response::parse(line.as_bytes()), None, "{line:?}");
        }
        assert!(Response::parse(b"* OK the text may end in {3}").is_some());
    }

    #[test]
    fn a_code_stands_at_the_beginning_of_the_text_alone() {
        // Exchange's greeting ends in its server's name, in brackets.
        let line = b"* OK The Microsoft Exchange IMAP4 service is ready. [TABO]";
        let Some(Response::Status(status)) = Response::parse(line) else { panic!("a status") };
        assert_eq!(status.code, None);
        let Some(Response::Status(status)) = Response::parse(b"* OK [UNSEEN") else {
            panic!("a status");
        };
        assert_eq!(status.code, None);
    }

    #[test]
    fn capabilities_are_whole_words_in_any_case() {
        let list = capability_list(b"Capability imap4rev1 starttls Auth=XOauth2 sasl-ir").unwrap();
        assert_eq!(
            Capabilities::read(list, Mechanism::Xoauth2),
            Capabilities { starttls: true, sasl_ir: true, mechanism: true }
        );
        assert_eq!(
            Capabilities::read(b" XSTARTTLS SASL-IR2 AUTH=XOAUTH2X", Mechanism::Xoauth2),
            Capabilities { starttls: false, sasl_ir: false, mechanism: false }
        );
        assert_eq!(capability_list(b"CAPABILITYX a"), None);
    }
}
