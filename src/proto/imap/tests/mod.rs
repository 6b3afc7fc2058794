//! Both machines, as transcripts, at their limits, against random bytes, and by what all protocols
//! promise.

mod downstream;
mod limits;
mod odd;
mod properties;
mod starttls;
mod upstream;
mod upstream_ahead;
mod upstream_starttls;

use super::{ImapDownstream, ImapUpstream, NonSyncLiterals, Source, Welcome};
use crate::proto::Privacy::{self, Clear, Offered, Required, Tls};
use crate::proto::promises::{
    Client, LongLine, Provider, Replies, Server, client_promises, server, server_promises,
};
use crate::provider::{Mechanism, UpstreamTls};

/// IMAP.
struct Imap;

server_promises!(crate::proto::imap::tests::Imap);
client_promises!(crate::proto::imap::tests::Imap);

/// RFC 3501 section 6.2.3: LOGINDISABLED where LOGIN is refused; and no mechanism is shown.
const REQUIRED: &str = "IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS LOGINDISABLED";

const UNDER_TLS: &str = "IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN";

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN] \
                        mailbearer ready";

/// Plays a session in clear behind the greeting.
#[track_caller]
fn session(script: &str) {
    server::session::<Imap>(Clear, script);
}

const TLS_FIRST: &str = "a NO [PRIVACYREQUIRED] begin TLS first (STARTTLS), then sign in";

const TOO_LONG: &str = "a BAD the line is too long";

impl Server for Imap {
    type Machine = ImapDownstream;

    const REPLIES: Replies = Replies {
        noop: ("a NOOP", "a OK NOOP completed"),
        unknown: ("a X", "a BAD this command is not known before sign-in"),
        long: (
            "a CAPABILITY",
            "* CAPABILITY IMAP4rev1 SASL-IR ID LITERAL+ AUTH=PLAIN AUTH=LOGIN\r\n\
             a OK CAPABILITY completed",
        ),
        last: &[
            "a NOOP",
            "a LOGOUT",
            "a LOGIN alice secret",
            "a LOGIN {5}",
            "a X {9+}",
            "a STARTTLS",
            "",
        ],
        sign_in: (
            "a LOGIN alice secret",
            "a NO [AUTHENTICATIONFAILED] user name or password is wrong",
        ),
        // Not base64, foreign: what came inline is not looked at, and no literal is asked for.
        before_tls: &[
            ("a LOGIN alice secret", TLS_FIRST),
            ("a LOGIN {5}", TLS_FIRST),
            ("a LOGIN \"alice\" {6}", TLS_FIRST),
            ("a LOGIN", TLS_FIRST),
            ("a AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==", TLS_FIRST),
            ("a AUTHENTICATE PLAIN", TLS_FIRST),
            ("a AUTHENTICATE LOGIN", TLS_FIRST),
            ("a AUTHENTICATE PLAIN !", TLS_FIRST),
            ("a AUTHENTICATE NTLM", TLS_FIRST),
            ("a AUTHENTICATE", TLS_FIRST),
        ],
        prompted: &[
            ("a AUTHENTICATE PLAIN", "+ "),
            ("a AUTHENTICATE LOGIN", "+ VXNlcm5hbWU6"),
            ("a AUTHENTICATE LOGIN YWxpY2U=", "+ UGFzc3dvcmQ6"),
            ("a AUTHENTICATE LOGIN\r\nYWxpY2U=", "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6"),
        ],
        cancelled: "a BAD sign-in cancelled",
        starttls: ("a STARTTLS", "a OK ready for the TLS handshake"),
        no_starttls: &[
            (Clear, ("a STARTTLS", "a BAD STARTTLS is not offered here")),
            (Offered, ("a STARTTLS now", "a BAD this command takes no arguments")),
            (Required, ("a STARTTLS now", "a BAD this command takes no arguments")),
            (Tls, ("a STARTTLS", "a BAD TLS is active already")),
        ],
        long_lines: &[
            LongLine { before: &[], begin: "a LOGIN alice ", len_max: 8_192, too_long: TOO_LONG },
            LongLine {
                before: &[],
                begin: "a AUTHENTICATE PLAIN ",
                len_max: 12_288,
                too_long: TOO_LONG,
            },
            LongLine {
                before: &[("a AUTHENTICATE PLAIN", "+ ")],
                begin: "",
                len_max: 12_288,
                too_long: TOO_LONG,
            },
        ],
        too_long: "* BAD the line is too long",
        browser: "* BYE this is a mail server, it does not speak HTTP",
        endless: "* BYE that was longer than any command",
        too_many_commands: "* BYE too many commands and no sign-in",
        too_many_failures: "* BYE too many failures",
        farewells: [
            "* BYE mailbearer is shutting down, try again later",
            "* BYE no sign-in in time",
            "* BYE too many sessions, try again later",
            "* BYE too many sessions from your address have not signed in",
        ],
    };

    const SENT: &'static [&'static [u8]] = &[
        b"a1 LOGIN alice secret\r\n",
        b"a1 LOGIN \"DOMAIN\\user\" \"p\\\"w\" \r\n",
        b"a1 LOGIN {5}\r\nalice {6}\r\nsecret\r\n",
        b"a1 LOGIN {5+}\r\nalice {6-}\r\ns\xffc\r\nt\r\n",
        b"a1 LOGIN {5000+}\r\nalice\r\n",
        b"a1 SELECT {3+}\r\nabc {2+}\r\nxy\r\n",
        b"a1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"a1 AUTHENTICATE LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"a1 AUTHENTICATE PLAIN\r\n*\r\n",
        b"a1 ID (\"name\" {4+}\r\nabcd NIL)\r\n",
        b"a1 CAPABILITY\r\na2 NOOP\r\n",
        b"a1 LOGOUT\r\n",
        b"a1 STARTTLS\r\n",
        b"\x16\x03\x01\x00\x05",
        b"GET / HTTP/1.1\r\n",
    ];

    fn machine(privacy: Privacy) -> ImapDownstream {
        ImapDownstream::new(NonSyncLiterals::Offered, privacy)
    }

    fn greeting(privacy: Privacy) -> String {
        let capabilities = match privacy {
            Clear | Tls => UNDER_TLS,
            Offered => "IMAP4rev1 SASL-IR ID LITERAL+ STARTTLS AUTH=PLAIN AUTH=LOGIN",
            Required => REQUIRED,
        };
        format!("* OK [CAPABILITY {capabilities}] mailbearer ready")
    }

    /// What Gmail says to an accepted sign-in.
    fn welcome() -> Welcome {
        Welcome {
            untagged: b"* CAPABILITY IMAP4rev1 UNSELECT IDLE\r\n".to_vec(),
            tagged: b"alice@example.com authenticated (Success)".to_vec(),
            source: Source::Unasked,
        }
    }

    /// RFC 3501 section 2.2.2: untagged, a continuation request, or tagged with a status.
    fn is_reply(line: &str) -> bool {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next()) {
            (Some("*" | "+"), Some(_)) => true,
            (Some(tag), Some("OK" | "NO" | "BAD")) => (1..=64).contains(&tag.len()),
            _ => false,
        }
    }

    fn is_failure(line: &str) -> bool {
        matches!(line.split(' ').nth(1), Some("NO" | "BAD"))
    }
}

impl Client for Imap {
    type Machine = ImapUpstream;

    const PROVIDER: Provider = Provider {
        starttls: "S: * OK [CAPABILITY STARTTLS SASL-IR AUTH=XOAUTH2] hi
                   C: m1 STARTTLS
                   S: m1 OK begin",
        token: "S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi",
        begin: "m1 AUTHENTICATE",
        challenge: "+ ",
        accept: "m1 OK [CAPABILITY IMAP4rev1] in",
        refuse: "m1 NO ",
        endless: &["* X\r\n", "* OK x\r\n", "* CAPABILITY IMAP4rev1\r\n"],
        held_len_max: 16_384 + 1,
    };

    const SENT: &'static [&'static [u8]] = &[
        b"* OK hi\r\n",
        b"* OK [CAPABILITY SASL-IR STARTTLS AUTH=XOAUTH2] hi\r\n",
        b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n",
        b"* BYE no\r\n",
        b"* PREAUTH hi\r\n",
        b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        b"+\r\n",
        b"m1 OK done\r\n",
        b"m2 OK [CAPABILITY IMAP4rev1] in\r\n",
        b"m3 NO [UNAVAILABLE] later\r\n",
        b"* ID {3}\r\nabc\r\n",
    ];

    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> ImapUpstream {
        ImapUpstream::new(tls, mechanism)
    }
}
