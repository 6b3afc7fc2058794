//! One line of a client that is read by the filter: a command, or what is wrong with it.
//!
//! Sources: RFC 5321 sections 2.3.8 (CRLF alone ends a line) and 4.1.1 (the commands).
//! In:  the client's bytes, in any pieces. Out: which command a line is.
//! Holds at most [`LINE_LEN_MAX`] bytes and a line end.

use memchr::memchr;

use super::super::reply;
use super::refusals;
use crate::proto::preauth::SKIP_MAX;

/// Longest command, in bytes without CRLF. RFC 5321 section 4.5.3.1.4 allows 510, and extensions add
/// up to 500 each for AUTH= (RFC 4954 section 5) and ORCPT= (RFC 3461 section 5.1).
const LINE_LEN_MAX: usize = 2_048;

/// A line as far as it came.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    /// Its first bytes, with the line end.
    bytes: Vec<u8>,
    /// How long it is so far.
    len: usize,
}

/// What there is of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No end yet.
    Part,
    /// It goes on past every bound.
    Endless,
    /// It is here.
    Whole,
}

/// What a command means to the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// EHLO, whose reply is looked through.
    Ehlo,
    /// HELO or RSET, which end a transaction.
    Reset,
    /// MAIL.
    Mail,
    /// DATA.
    Data,
    /// BDAT, with how many bytes follow its line.
    Bdat(u64),
    /// Anything else.
    Other,
}

impl CommandLine {
    /// Takes bytes up to the end of the line: how many, and whether it is here.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let end = memchr(b'\n', bytes).map(|at| at + 1);
        let piece = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let room = (LINE_LEN_MAX + 2).saturating_sub(self.len);
        self.bytes.extend(piece.iter().take(room));
        self.len = self.len.saturating_add(piece.len());
        let progress = match end {
            _ if self.len > SKIP_MAX => Progress::Endless,
            Some(_) => Progress::Whole,
            None => Progress::Part,
        };
        (piece.len(), progress)
    }

    /// Takes the whole line out, without its end.
    ///
    /// # Errors
    /// What the client hears where it is no line to be sent on.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, &'static str> {
        let Self { mut bytes, len } = std::mem::take(self);
        if len > bytes.len() {
            return Err(reply::TOO_LONG);
        }
        let Some(line) = bytes.strip_suffix(b"\r\n") else { return Err(refusals::BAD_LINE_END) };
        if line.contains(&b'\r') {
            return Err(refusals::BAD_LINE_END);
        }
        // Servers differ in what they make of them, so one may see another command than we do.
        if line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(refusals::BAD_BYTE);
        }
        bytes.truncate(line.len());
        Ok(bytes)
    }
}

impl Verb {
    /// Reads a line.
    ///
    /// # Errors
    /// What the client hears where it is a command that the filter does not serve.
    pub(super) fn parse(line: &[u8]) -> Result<Self, &'static str> {
        let line = line.trim_ascii();
        let end = line.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(line.len());
        let (verb, argument) = line.split_at(end);
        match verb.to_ascii_uppercase().as_slice() {
            b"EHLO" => Ok(Self::Ehlo),
            b"HELO" | b"RSET" => Ok(Self::Reset),
            b"DATA" => Ok(Self::Data),
            // Some servers answer it and some do not: then the next reply would be for another line.
            b"" => Err(refusals::EMPTY_LINE),
            // To a server that knows of letters beyond ASCII, one of them may be the `I` of MAIL.
            verb if !verb.is_ascii() => Err(reply::UNKNOWN),
            // `MAILFROM:<a@b>` as well, which some server may understand; so with those below.
            verb if verb.starts_with(b"MAIL") => Ok(Self::Mail),
            verb if verb.starts_with(b"BDAT") => Ok(Self::Bdat(chunk_len(argument))),
            // RFC 4468: a message that is not sent but fetched.
            verb if verb.starts_with(b"BURL") => Err(refusals::NO_CHUNKS),
            // RFC 821 section 3.4: these began a transaction, too.
            verb if [&b"SEND"[..], b"SOML", b"SAML"].iter().any(|old| verb.starts_with(old)) => {
                Err(refusals::ONLY_MAIL)
            }
            verb if verb.starts_with(b"STARTTLS") => Err(refusals::NO_STARTTLS),
            // What it shows is a local password, which is none of the provider's business.
            verb if verb.starts_with(b"AUTH") => Err(refusals::NO_AUTH),
            _ => Ok(Self::Other),
        }
    }
}

/// How many bytes follow a BDAT; none where that cannot be read.
fn chunk_len(argument: &[u8]) -> u64 {
    let mut words = argument.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let number = words.next().and_then(|word| std::str::from_utf8(word).ok());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(sent: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut line = CommandLine::default();
        assert_eq!(line.push(sent), (sent.len(), Progress::Whole));
        let taken = line.take();
        assert_eq!((line.len, line.bytes.len()), (0, 0));
        taken
    }

    #[test]
    fn a_line_ends_with_crlf_and_holds_no_control_character() {
        assert_eq!(take(b"NOOP \tx\xc3\xa9\r\n").unwrap(), b"NOOP \tx\xc3\xa9");
        assert_eq!(take(b"\r\n").unwrap(), b"");
        for bad in [&b"NOOP\n"[..], b"\n", b"NO\rOP\r\n", b"NOOP\r\r\n"] {
            assert_eq!(take(bad), Err(refusals::BAD_LINE_END), "{bad:?}");
        }
        for bad in [&b"NO\0OP\r\n"[..], b"MAIL\x0bFROM:<a@b>\r\n", b"\x7f\r\n", b"\x1b[A\r\n"] {
            assert_eq!(take(bad), Err(refusals::BAD_BYTE), "{bad:?}");
        }
    }

    #[test]
    fn a_line_is_at_most_2048_bytes_long() {
        let line = |len: usize| [vec![b'x'; len], b"\r\n".to_vec()].concat();
        assert_eq!(take(&line(LINE_LEN_MAX)).unwrap().len(), LINE_LEN_MAX);
        assert_eq!(take(&line(LINE_LEN_MAX + 1)), Err(reply::TOO_LONG));
        assert_eq!(take(&line(SKIP_MAX - 2)), Err(reply::TOO_LONG));
    }

    #[test]
    fn an_endless_line_is_given_up_and_costs_no_memory() {
        let mut line = CommandLine::default();
        for _ in 0..SKIP_MAX / 1_024 {
            assert_eq!(line.push(&[b'x'; 1_024]), (1_024, Progress::Part));
            assert!(line.bytes.len() <= LINE_LEN_MAX + 2);
        }
        assert_eq!(line.push(b"\n"), (1, Progress::Endless));
    }

    #[test]
    fn nothing_behind_the_line_is_taken() {
        let mut line = CommandLine::default();
        assert_eq!(line.push(b"NO"), (2, Progress::Part));
        assert_eq!(line.push(b"OP\r\nQUIT\r\n"), (4, Progress::Whole));
        assert_eq!(line.take().unwrap(), b"NOOP");
    }

    #[test]
    fn verbs_are_read_in_any_case_and_between_blanks() {
        let read = |line: &str| Verb::parse(line.as_bytes());
        for line in ["MAIL FROM:<a@b>", "mail\tfrom:<a@b>", " MAIL", "MAILFROM:<a@b>", "Mail:"] {
            assert_eq!(read(line), Ok(Verb::Mail), "{line}");
        }
        for line in ["DATA", "data ", " Data x"] {
            assert_eq!(read(line), Ok(Verb::Data), "{line}");
        }
        for line in ["RSET", "helo x", "HELO"] {
            assert_eq!(read(line), Ok(Verb::Reset), "{line}");
        }
        for line in ["RCPT TO:<a@b>", "QUIT", "DATA:", "XAUTH PLAIN", "XMAIL", "NOOP MAIL"] {
            assert_eq!(read(line), Ok(Verb::Other), "{line}");
        }
        assert_eq!(read("ehlo x"), Ok(Verb::Ehlo));
        assert_eq!(read("BDAT 300 LAST"), Ok(Verb::Bdat(300)));
        for line in ["BDAT", "BDAT -1", "BDAT x LAST"] {
            assert_eq!(read(line), Ok(Verb::Bdat(0)), "{line}");
        }
        assert_eq!(read("BURL imap://x LAST"), Err(refusals::NO_CHUNKS));
        assert_eq!(read("Send FROM:<a@b>"), Err(refusals::ONLY_MAIL));
        assert_eq!(read("STARTTLS"), Err(refusals::NO_STARTTLS));
        for line in ["AUTH PLAIN", "auth", "AUTH=LOGIN", " Auth\tLOGIN"] {
            assert_eq!(read(line), Err(refusals::NO_AUTH), "{line}");
        }
    }

    #[test]
    fn a_line_that_some_servers_read_as_another_command_is_refused() {
        let read = |line: &[u8]| Verb::parse(line);
        for line in [&b""[..], b" ", b"\t "] {
            assert_eq!(read(line), Err(refusals::EMPTY_LINE), "{line:?}");
        }
        // In upper case, as Unicode has it, these are MAIL and RSET; without the eighth bit, the next.
        for line in
            ["MA\u{131}L FROM:<a@b>".as_bytes(), "R\u{17f}ET".as_bytes(), b"\xcdAIL", b"\xa0 x"]
        {
            assert_eq!(read(line), Err(reply::UNKNOWN), "{line:?}");
        }
        assert_eq!(read("VRFY m\u{fc}ller".as_bytes()), Ok(Verb::Other));
        assert_eq!(read(b"BDATx 9 LAST"), Ok(Verb::Bdat(9)));
        assert_eq!(read(b"SAMLFROM:<a@b>"), Err(refusals::ONLY_MAIL));
        assert_eq!(read(b"starttls:"), Err(refusals::NO_STARTTLS));
    }
}
