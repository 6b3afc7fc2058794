//! SMTP, IMAP and POP3, as the properties see them: machines, limits and the shape of lines.

use bytes::Bytes;
use mailbearer::proto::Privacy;
use mailbearer::proto::imap::{self, ImapDownstream, ImapUpstream, NonSyncLiterals};
use mailbearer::proto::pop3::{self, Pop3Downstream, Pop3Upstream};
use mailbearer::proto::smtp::{self, DeviceMail, Extensions, SmtpDownstream, SmtpUpstream};
use mailbearer::provider::{Mechanism, UpstreamTls};

use super::downstream::Server;
use super::plan::Plan;
use super::upstream::Client;

/// Longest line that SMTP and POP3 may say, in bytes without CRLF (RFC 5321 section 4.5.3.1.5, RFC
/// 2449 section 4: 512 with it).
const SHORT_LINE_LEN_MAX: usize = 510;

/// Longest line that IMAP may say before the sign-in, in bytes without CRLF: a tag of 64, and the
/// longest of our texts.
const IMAP_LINE_LEN_MAX: usize = 1_024;

/// SMTP as a mail client speaks it.
pub struct Smtp;

impl Server for Smtp {
    type Machine = SmtpDownstream;

    fn machine(plan: &Plan, privacy: Privacy) -> SmtpDownstream {
        let shown: &[&str] = match plan.offer() {
            0 => &[],
            1 => &["SIZE 157286400", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "BINARYMIME"],
            2 => &["SIZE", "SMTPUTF8", "PIPELINING", "CHUNKING"],
            _ => &["DELIVERBY 240"],
        };
        SmtpDownstream::new(Extensions::declared(shown), privacy).with_devices(plan.devices())
    }

    fn hears_devices(plan: &Plan, privacy: Privacy) -> bool {
        match plan.devices() {
            DeviceMail::Refused => false,
            DeviceMail::Heard => true,
            DeviceMail::HeardUnderTls => privacy == Privacy::Tls,
        }
    }

    /// RFC 5321 section 4.1.1.2, in any case and between blanks, as devices write it.
    fn is_mail(line: &[u8]) -> bool {
        let line = line.trim_ascii();
        let end = line.iter().position(|byte| b" \t".contains(byte)).unwrap_or(line.len());
        line[..end].eq_ignore_ascii_case(b"MAIL")
    }

    fn welcome() -> smtp::Welcome {
        let reply = vec![Bytes::from_static(b"235 2.7.0 Authentication successful")];
        smtp::Welcome { reply, extensions: Extensions::default() }
    }

    /// RFC 5321 section 4.2: three digits, and a blank or a hyphen.
    fn is_reply(line: &[u8]) -> bool {
        line.len() <= SHORT_LINE_LEN_MAX
            && matches!(line, [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9', b' ' | b'-', ..])
    }
}

impl Client for Smtp {
    type Machine = SmtpUpstream;

    const HELD_LEN_MAX: usize = 2_048 + 1;
    const WELCOME_LEN_MAX: usize = 100 * 2_048;
    const INLINE: Option<&'static [u8]> = None;

    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> SmtpUpstream {
        SmtpUpstream::new(tls, mechanism)
    }

    fn welcome_len(welcome: &smtp::Welcome) -> usize {
        welcome.reply.iter().map(Bytes::len).sum()
    }

    fn asks_for_token(line: &[u8]) -> bool {
        line.starts_with(b"334")
    }
}

/// IMAP.
pub struct Imap;

impl Server for Imap {
    type Machine = ImapDownstream;

    fn machine(plan: &Plan, privacy: Privacy) -> ImapDownstream {
        let literals = match plan.offer() % 2 {
            0 => NonSyncLiterals::Offered,
            _ => NonSyncLiterals::NotOffered,
        };
        ImapDownstream::new(literals, privacy)
    }

    fn welcome() -> imap::Welcome {
        imap::Welcome {
            untagged: b"* CAPABILITY IMAP4rev1 IDLE\r\n".to_vec(),
            tagged: b"alice authenticated".to_vec(),
            source: imap::Source::Unasked,
        }
    }

    /// RFC 3501 section 2.2.2: untagged, a continuation request, or tagged with a status.
    fn is_reply(line: &[u8]) -> bool {
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        let is_status = |word: &[u8]| [&b"OK"[..], b"NO", b"BAD"].contains(&word);
        line.len() <= IMAP_LINE_LEN_MAX
            && match first {
                b"*" | b"+" => second.is_some(),
                tag => (1..=64).contains(&tag.len()) && second.is_some_and(is_status),
            }
    }
}

impl Client for Imap {
    type Machine = ImapUpstream;

    const HELD_LEN_MAX: usize = 16_384 + 1;
    const WELCOME_LEN_MAX: usize = 65_536;
    const INLINE: Option<&'static [u8]> = Some(b"SASL-IR");

    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> ImapUpstream {
        ImapUpstream::new(tls, mechanism)
    }

    fn welcome_len(welcome: &imap::Welcome) -> usize {
        welcome.untagged.len() + welcome.tagged.len()
    }

    fn asks_for_token(line: &[u8]) -> bool {
        line.starts_with(b"+")
    }
}

/// POP3.
pub struct Pop3;

impl Server for Pop3 {
    type Machine = Pop3Downstream;

    fn machine(_: &Plan, privacy: Privacy) -> Pop3Downstream {
        Pop3Downstream::new(privacy)
    }

    fn welcome() -> pop3::Welcome {
        pop3::Welcome { reply: b"+OK welcome".to_vec() }
    }

    /// RFC 1939 section 3 and RFC 2449 section 5: a status, a challenge, or a line of a list, which
    /// begins with a capital or is the dot at its end.
    fn is_reply(line: &[u8]) -> bool {
        let begins = |start: &&[u8]| line.starts_with(start);
        line.len() <= SHORT_LINE_LEN_MAX
            && (line == b"."
                || [&b"+OK"[..], b"-ERR ", b"+ "].iter().any(begins)
                || line.first().is_some_and(u8::is_ascii_uppercase))
    }
}

impl Client for Pop3 {
    type Machine = Pop3Upstream;

    const HELD_LEN_MAX: usize = 2_048 + 1;
    const WELCOME_LEN_MAX: usize = 2_048;
    const INLINE: Option<&'static [u8]> = None;

    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> Pop3Upstream {
        Pop3Upstream::new(tls, mechanism)
    }

    fn welcome_len(welcome: &pop3::Welcome) -> usize {
        welcome.reply.len()
    }

    /// The blank behind the plus is due (RFC 5034 section 4), and some leave it out.
    fn asks_for_token(line: &[u8]) -> bool {
        line == b"+" || line.starts_with(b"+ ")
    }
}
