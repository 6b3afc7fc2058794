//! Both machines, as transcripts, and by what all protocols promise.

mod auth;
mod devices;
mod downstream;
mod odd;
mod starttls;
mod upstream;
mod upstream_ehlo;

use bytes::Bytes;

use super::{Extensions, SmtpDownstream, SmtpUpstream, Welcome};
use crate::proto::Privacy::{self, Clear, Offered, Required, Tls};
use crate::proto::promises::{
    Client, LongLine, Provider, Replies, Server, client_promises, server, server_promises,
};
use crate::provider::{Mechanism, UpstreamTls};

/// SMTP as a mail client speaks it.
struct Smtp;

server_promises!(crate::proto::smtp::tests::Smtp);
client_promises!(crate::proto::smtp::tests::Smtp);

/// Plays a session in clear behind the greeting; an acceptance brings a 235 of two lines.
#[track_caller]
fn play(script: &str) {
    server::session::<Smtp>(Clear, script);
}

const TLS_FIRST: &str = "538 5.7.11 begin TLS first (STARTTLS), then sign in";

impl Server for Smtp {
    type Machine = SmtpDownstream;

    const REPLIES: Replies = Replies {
        noop: ("NOOP", "250 2.0.0 OK"),
        unknown: ("X", "500 5.5.1 unknown command"),
        long: ("EHLO x", "250-mailbearer\r\n250 AUTH PLAIN LOGIN"),
        last: &["NOOP", "QUIT", "AUTH PLAIN AGFsaWNlAHNlY3JldA==", "STARTTLS", "X", ""],
        sign_in: (
            "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
            "535 5.7.8 the user name or the local password is wrong",
        ),
        // Not base64, cancelled, foreign: what came inline is not looked at.
        before_tls: &[
            ("AUTH PLAIN AGFsaWNlAHNlY3JldA==", TLS_FIRST),
            ("AUTH PLAIN", TLS_FIRST),
            ("AUTH LOGIN", TLS_FIRST),
            ("AUTH LOGIN YWxpY2U=", TLS_FIRST),
            ("AUTH PLAIN !", TLS_FIRST),
            ("AUTH CRAM-MD5", TLS_FIRST),
            ("AUTH PLAIN *", TLS_FIRST),
        ],
        prompted: &[
            ("AUTH PLAIN", "334 "),
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            ("AUTH LOGIN YWxpY2U=", "334 UGFzc3dvcmQ6"),
            ("AUTH LOGIN\r\nYWxpY2U=", "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6"),
        ],
        cancelled: "501 5.7.0 sign-in cancelled",
        starttls: ("STARTTLS", "220 2.0.0 ready for the TLS handshake"),
        // RFC 3207 section 4: no parameters, else 501; section 4.2: not again once TLS is up.
        no_starttls: &[
            (Clear, ("STARTTLS", "502 5.5.1 STARTTLS is not offered on this port")),
            (Offered, ("STARTTLS now", "501 5.5.4 STARTTLS takes no arguments")),
            (Required, ("STARTTLS now", "501 5.5.4 STARTTLS takes no arguments")),
            (Tls, ("STARTTLS", "503 5.5.1 TLS is active already")),
            (Tls, ("STARTTLS now", "503 5.5.1 TLS is active already")),
        ],
        long_lines: &[
            LongLine { before: &[], begin: "NOOP ", len_max: 12_288, too_long: TOO_LONG },
            LongLine { before: &[], begin: "AUTH PLAIN ", len_max: 12_288, too_long: TOO_LONG },
            LongLine {
                before: &[("AUTH LOGIN", "334 VXNlcm5hbWU6")],
                begin: "",
                len_max: 12_288,
                too_long: TOO_LONG,
            },
        ],
        too_long: TOO_LONG,
        browser: "421 4.7.0 this is no web server, closing",
        endless: "421 4.7.0 this line does not end, closing",
        too_many_commands: "421 4.7.0 too many commands and no sign-in, closing",
        too_many_failures: "421 4.7.0 too many failures, closing",
        farewells: [
            "421 4.3.2 mailbearer is shutting down, try again later",
            "421 4.4.2 no sign-in in time",
            "421 4.7.0 too many sessions, try again later",
            "421 4.7.0 too many sessions from your address have not signed in",
        ],
    };

    const SENT: &'static [&'static [u8]] = &[
        b"EHLO x\r\n",
        b"HELO\n",
        b"AUTH PLAIN\r\n",
        b"AUTH PLAIN AGFsaWNlAHB3\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH=LOGIN YWxpY2U=\n",
        b"AUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\n",
        b"YWxpY2U=\r\n",
        b"*\r\n",
        b"=\r\n",
        b"NOOP\r\n",
        b"RSET",
        b"MAIL FROM:<a@b>\r\n",
        b"BDAT 3\r\n",
        b"STARTTLS\r\n",
        b"QUIT\r\n",
        b"GET / HTTP/1.1\r\n",
        b" HTTP/1.1",
        b" ",
        b"\x16\x03\x01\x00\x05",
        b"\n",
        b"\r\n",
    ];

    fn machine(privacy: Privacy) -> SmtpDownstream {
        SmtpDownstream::new(Extensions::default(), privacy)
    }

    fn greeting(_: Privacy) -> String {
        "220 mailbearer ESMTP ready".to_owned()
    }

    fn welcome() -> Welcome {
        let lines = [&b"235-2.7.0 signed in,"[..], b"235 2.7.0 \xc3\xa0 bient\xc3\xb4t"];
        let reply = lines.map(Bytes::from_static).to_vec();
        Welcome { reply, extensions: Extensions::default() }
    }

    /// RFC 5321 sections 4.2 and 4.5.3.1.5: three digits, and 512 bytes with the line end.
    fn is_reply(line: &str) -> bool {
        let is_code = |code: &str| code.bytes().all(|byte| byte.is_ascii_digit());
        line.len() <= 510
            && line.split_at_checked(3).is_some_and(|(code, text)| {
                is_code(code) && (text.starts_with(' ') || text.starts_with('-'))
            })
    }

    fn is_failure(line: &str) -> bool {
        line.starts_with('5')
    }
}

const TOO_LONG: &str = "500 5.5.6 line too long";

impl Client for Smtp {
    type Machine = SmtpUpstream;

    const PROVIDER: Provider = Provider {
        starttls: "S: 220 mx
                   C: EHLO [127.0.0.1]
                   S: 250-mx
                   S: 250-AUTH XOAUTH2
                   S: 250 STARTTLS
                   C: STARTTLS
                   S: 220 go",
        token: "S: 220 mx
                C: EHLO [127.0.0.1]
                S: 250-mx
                S: 250 AUTH XOAUTH2 OAUTHBEARER",
        begin: "AUTH",
        challenge: "334 ",
        accept: "235 2.7.0 in",
        refuse: "535 5.7.8 ",
        endless: &["235-x\r\n", "535-5.7.8 x\r\n", "220-x\r\n", "250-x\r\n"],
        held_len_max: 2_048 + 1,
    };

    const SENT: &'static [&'static [u8]] = &[
        b"220 mx\r\n",
        b"220-mx\r\n",
        b"250-mx\r\n",
        b"250-SIZE 10\r\n",
        b"250-STARTTLS\r\n",
        b"250 AUTH XOAUTH2\r\n",
        b"250 STARTTLS\r\n",
        b"334 \r\n",
        b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n",
        b"235 2.7.0 ok\r\n",
        b"421 4.3.2 bye\r\n",
        b"454 4.7.0 later\r\n",
        b"535-5.7.8 no\r\n",
        b"535 5.7.8 no\r\n",
        b"250",
        b"-",
        b"\n",
        b"\r\n",
    ];

    fn machine(tls: UpstreamTls, mechanism: Mechanism) -> SmtpUpstream {
        SmtpUpstream::new(tls, mechanism)
    }
}
