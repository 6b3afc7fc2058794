//! POP3 after the sign-in: dots at the beginning of lines, replies of many lines, commands in one
//! piece, and extensions that mailbearer knows nothing of.

use mailbearer::provider::Protocol;

use crate::extensions::noise;
use crate::passage::{Passage, Turn, WAYS};
use Turn::{Down, Up};

/// USER and PASS as a client sends them that waits for no reply, and how both are answered.
const USER_PASS: &str = "USER alice@example.com\r\nPASS local-password";
const REPLIES: [&str; 2] = ["+OK send PASS", "+OK signed in"];

/// A message on its way: lines that begin with a dot have one more (RFC 1939 section 3), some look
/// like replies, some end in LF alone.
const MESSAGE: &[u8] =
    b"+OK 120 octets\r\nSubject: t\r\n\r\n..\r\n...\r\n..dot\r\n+OK\r\n-ERR no\r\n\
                         .\n.\r \n\xc3\xa9 \x00\xff\r\n\r\n.\r\n";

#[tokio::test]
async fn replies_of_one_line_and_of_many_pass() {
    let compressed = noise(70_000);
    let mut passages = Vec::new();
    for tls in WAYS {
        passages.push(Passage::under(tls, Protocol::Pop3).await);
    }
    for (case, up, down) in [
        // RFC 1939 sections 5 and 7
        ("STAT", &b"STAT\r\n"[..], &b"+OK 2 320\r\n"[..]),
        (
            "UIDL",
            b"UIDL\r\n",
            b"+OK\r\n1 whqtswO00WBw418f9t5JxYwZ\r\n2 QhdPYR:00WBw1Ph7x7\r\n.\r\n",
        ),
        ("UIDL of one", b"UIDL 2\r\n", b"+OK 2 QhdPYR:00WBw1Ph7x7\r\n"),
        ("UIDL of none", b"UIDL\r\n", b"+OK\r\n.\r\n"),
        ("TOP", b"TOP 1 0\r\n", b"+OK\r\nSubject: ..t\r\n..\r\n\r\n.\r\n"),
        ("RETR", b"RETR 1\r\n", MESSAGE),
        ("DELE, RSET", b"DELE 1\r\nDELE 9\r\nRSET\r\n", b"+OK\r\n-ERR [SYS/TEMP] no\r\n+OK\r\n"),
        ("QUIT", b"QUIT\r\n", b"+OK bye\r\n"),
        // RFC 2449: what the provider has shows now.
        ("CAPA", b"CAPA\r\n", b"+OK\r\nSASL PLAIN XOAUTH2\r\nSTLS\r\nX-OWN\r\n.\r\n"),
        // RFC 6856
        ("UTF8, LANG", b"UTF8\r\nLANG fr\r\n", b"+OK\r\n+OK fr d\xc3\xa9j\xc3\xa0\r\n"),
        // Nothing of these is ours any more.
        ("AUTH and STLS again", b"AUTH PLAIN AGEAYg==\r\nSTLS\r\n", b"-ERR again\r\n-ERR TLS\r\n"),
        ("APOP", b"APOP a c4c9334bac560ecc979e58001b3e22fb\r\n", b"-ERR\r\n"),
        ("a browser", b"GET / HTTP/1.1\r\n\r\n", b"-ERR what\r\n"),
        ("a ClientHello", b"\x16\x03\x01\x00\xa5\x01", b"-ERR what\r\n"),
        ("bare line ends", b"STAT\nNOOP\rLIST\n\r\n", b"+OK\n+OK\r+OK\n.\n"),
        ("half a command", b"RE", b"+O"),
    ] {
        for passage in &mut passages {
            let turns = [Up(up), Down(down)];
            passage.passes(case, &turns).await;
            passage.passes_behind(case, USER_PASS, &REPLIES, &turns).await;
        }
    }
    // An extension that nobody has written yet, after which the bytes are no lines.
    let compress =
        [Up(b"XCOMPRESS DEFLATE\r\n"), Down(b"+OK active\r\n"), Up(&compressed), Down(&compressed)];
    for passage in &mut passages {
        passage.passes("XCOMPRESS", &compress).await;
        passage.passes_behind("XCOMPRESS", USER_PASS, &REPLIES, &compress).await;
    }
}

#[tokio::test]
async fn commands_in_one_packet_with_pass_reach_the_provider_once_and_in_order() {
    let up = b"STAT\r\nUIDL\r\nTOP 1 0\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n";
    let listed = b"+OK 1 120\r\n+OK\r\n1 a\r\n.\r\n+OK\r\n..\r\n.\r\n";
    let down = [&listed[..], MESSAGE, b"+OK\r\n+OK bye\r\n"].concat();
    for tls in WAYS {
        let mut passage = Passage::under(tls, Protocol::Pop3).await;
        let turns = [Up(up), Down(&down)];
        passage.passes_behind("a session at once", USER_PASS, &REPLIES, &turns).await;
    }
}
