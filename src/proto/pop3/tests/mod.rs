//! Both machines, as transcripts, against random bytes, and by what all protocols promise.

mod downstream;
mod properties;
mod starttls;
mod upstream;

use super::{Pop3Downstream, Pop3Upstream, Welcome};
use crate::proto::Privacy::{self, Clear, Offered, Required, Tls};
use crate::proto::promises::{
    Client, LongLine, Provider, Replies, Server, client_promises, server, server_promises,
};
use crate::provider::{Mechanism, UpstreamTls};

/// POP3.
struct Pop3;

server_promises!(crate::proto::pop3::tests::Pop3);
client_promises!(crate::proto::pop3::tests::Pop3);

/// What Exchange Online says to an accepted sign-in.
const WELCOME: &str = "+OK User successfully authenticated.";

/// Plays a session in clear behind the greeting.
#[track_caller]
fn session(script: &str) {
    server::session::<Pop3>(Clear, script);
}

const TLS_FIRST: &str = "-ERR start TLS first (STLS)";

const TOO_LONG: &str = "-ERR line too long";

impl Server for Pop3 {
    type Machine = Pop3Downstream;

    const REPLIES: Replies = Replies {
        noop: ("NOOP", "+OK"),
        unknown: ("X", "-ERR unknown command"),
        long: (
            "CAPA",
            "+OK capabilities follow\r\nUSER\r\nSASL PLAIN LOGIN\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n\
             UIDL\r\nTOP\r\nPIPELINING\r\n.",
        ),
        last: &["NOOP", "QUIT", "USER alice", "AUTH PLAIN AGFsaWNlAHNlY3JldA==", "STLS", "X", ""],
        sign_in: (
            "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
            "-ERR [AUTH] the user name or the local password is wrong",
        ),
        before_tls: &[
            ("USER alice", TLS_FIRST),
            ("PASS secret", TLS_FIRST),
            ("AUTH PLAIN AGFsaWNlAHNlY3JldA==", TLS_FIRST),
            ("AUTH PLAIN", TLS_FIRST),
            ("AUTH LOGIN", TLS_FIRST),
            ("AUTH LOGIN YWxpY2U=", TLS_FIRST),
            ("AUTH CRAM-MD5", TLS_FIRST),
            ("AUTH", TLS_FIRST),
        ],
        prompted: &[
            ("AUTH PLAIN", "+ "),
            ("AUTH LOGIN", "+ VXNlcm5hbWU6"),
            ("AUTH LOGIN YWxpY2U=", "+ UGFzc3dvcmQ6"),
            ("AUTH LOGIN\r\nYWxpY2U=", "+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6"),
        ],
        cancelled: "-ERR sign-in cancelled",
        starttls: ("STLS", "+OK begin TLS now"),
        no_starttls: &[
            (Clear, ("STLS", "-ERR STLS is not offered on this port")),
            (Offered, ("STLS now", "-ERR this command takes no arguments")),
            (Required, ("STLS now", "-ERR this command takes no arguments")),
            (Tls, ("STLS", "-ERR TLS is active already")),
        ],
        // RFC 2449 section 4: 255 with the line end; a line of SASL may be longer.
        long_lines: &[
            LongLine { before: &[], begin: "USER ", len_max: 255, too_long: TOO_LONG },
            LongLine {
                before: &[("USER alice", "+OK send PASS")],
                begin: "PASS ",
                len_max: 255,
                too_long: TOO_LONG,
            },
            LongLine { before: &[], begin: "AUTH PLAIN ", len_max: 12_288, too_long: TOO_LONG },
            LongLine {
                before: &[("AUTH PLAIN", "+ ")],
                begin: "",
                len_max: 12_288,
                too_long: TOO_LONG,
            },
        ],
        too_long: TOO_LONG,
        browser: "-ERR this is no web server, closing",
        endless: "-ERR this line does not end, closing",
        too_many_commands: "-ERR too many commands before a sign-in, closing",
        too_many_failures: "-ERR too many failures, closing",
        farewells: [
            "-ERR [SYS/TEMP] mailbearer is shutting down, try again later",
            "-ERR no sign-in in time",
            "-ERR [SYS/TEMP] too many sessions, try again later",
            "-ERR [SYS/TEMP] too many sessions from your address have not signed in",
        ],
    };

    const SENT: &'static [&'static [u8]] = &[
        b"USER alice\r\n",
        b"user m\xfcller \n",
        b"PASS se cret\r\n",
        b"USER alice\r\nPASS secret\r\nSTAT\r\n",
        b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"AUTH PLAIN\r\n*\r\n",
        b"AUTH\r\n",
        b"CAPA\r\nNOOP\r\n",
        b"APOP alice 0123\r\n",
        b"STLS\r\n",
        b"QUIT\r\n",
        b"\x16\x03\x01\x00\x05",
        b"GET / HTTP/1.1\r\n",
    ];

    fn machine(privacy: Privacy) -> Pop3Downstream {
        Pop3Downstream::new(privacy)
    }

    fn greeting(_: Privacy) -> String {
        "+OK mailbearer ready".to_owned()
    }

    fn welcome() -> Welcome {
        Welcome { reply: WELCOME.into() }
    }

    /// RFC 1939 section 3: a status, a challenge or a line of a list; RFC 2449 section 4: 512 bytes
    /// with the line end.
    fn is_reply(line: &str) -> bool {
        let begins = ["+OK", "-ERR ", "+ "].iter().any(|begin| line.starts_with(begin));
        line.len() <= 510
            && (begins || line == "." || line.starts_with(|first: char| first.is_ascii_uppercase()))
    }

    fn is_failure(line: &str) -> bool {
        line.starts_with("-ERR")
    }
}

impl Client for Pop3 {
    type Machine = Pop3Upstream;

    const PROVIDER: Provider = Provider {
        starttls: "S: +OK hi\nC: STLS\nS: +OK Begin TLS negotiation",
        token: "S: +OK hi",
        begin: "AUTH",
        challenge: "+ ",
        accept: "+OK in",
        refuse: "-ERR [AUTH] ",
        endless: &["+ \r\n", "-ERR", "+OK"],
        held_len_max: 2_048 + 1,
    };

    const SENT: &'static [&'static [u8]] = &[
        b"+OK hi\r\n",
        b"+OK\r\n",
        b"+ \r\n",
        b"+\r\n",
        b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        b"-ERR no\r\n",
        b"-ERR [SYS/TEMP] later\r\n",
        b"-ERR [AUTH\r\n",
    ];

    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> Pop3Upstream {
        Pop3Upstream::new(tls, mechanism)
    }
}
