//! Extensions that begin after the sign-in, or show in it, and that mailbearer knows nothing of.

use mailbearer::provider::Protocol;

use crate::passage::{Passage, Turn, WAYS};
use Turn::{Down, Up};

/// Bytes of every value, in an order that repeats at no power of two, so that a piece that is lost,
/// doubled or swapped shows.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(next());
    }
    bytes.truncate(len);
    bytes
}

#[tokio::test]
async fn ehlo_after_the_sign_in_is_answered_by_the_provider() {
    let capabilities = b"250-provider.example Hello\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n\
                         250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-X-OWN\r\n250 SMTPUTF8\r\n";
    let turns = [Up(b"EHLO client.example\r\n"), Down(capabilities)];
    Passage::of(Protocol::Submission).await.passes("EHLO", &turns).await;
}

#[tokio::test]
async fn extensions_of_smtp_pass() {
    let chunk = noise(100_000);
    let mut passages = Vec::new();
    for tls in WAYS {
        passages.push(Passage::under(tls, Protocol::Submission).await);
    }
    let envelope = b"MAIL FROM:<alice@example.com>";
    let [chunks, last] = [[b"BDAT 100000\r\n", &chunk[..]], [b"BDAT 100000 LAST\r\n", &chunk[..]]];
    for (case, up, down) in [
        // RFC 1870
        ("SIZE", [envelope, &b" SIZE=157286401\r\n"[..]].concat(), &b"552 too big\r\n"[..]),
        // RFC 6152
        ("8BITMIME", [envelope, &b" BODY=8BITMIME\r\n"[..]].concat(), b"250 OK\r\n"),
        // RFC 6531
        (
            "SMTPUTF8",
            "MAIL FROM:<älïçe@exämple.com> SMTPUTF8\r\nRCPT TO:<用户@例え.jp>\r\n".into(),
            "250 2.1.0 schön\r\n550 用户 unbekannt\r\n".as_bytes(),
        ),
        // RFC 3461
        (
            "DSN",
            b"MAIL FROM:<a@example.com> RET=HDRS ENVID=QQ+2B1\r\n\
              RCPT TO:<b@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@example.com\r\n"
                .to_vec(),
            b"250 OK\r\n250 OK\r\n",
        ),
        // RFC 4954 section 5
        ("MAIL AUTH", [envelope, &b" AUTH=e+3Dmc2@example.com\r\n"[..]].concat(), b"250 OK\r\n"),
        // RFC 8689, RFC 4865, RFC 2852
        (
            "REQUIRETLS, HOLDFOR, BY",
            [envelope, &b" REQUIRETLS HOLDFOR=60 BY=120;R\r\n"[..]].concat(),
            b"250 OK\r\n",
        ),
        // RFC 2920
        ("PIPELINING", b"RSET\r\nNOOP\r\nVRFY a\r\nEXPN b\r\n".to_vec(), b"250\r\n250\r\n252\r\n"),
        // RFC 3030: a chunk may hold anything.
        ("CHUNKING", chunks.concat(), b"250 chunk\r\n"),
        ("CHUNKING, the last", last.concat(), b"250 queued\r\n"),
        ("CHUNKING, nothing", b"BDAT 0 LAST\r\n".to_vec(), b"250 queued\r\n"),
        // A second sign-in is the provider's to refuse, and so is TLS in TLS.
        ("AUTH again", b"AUTH PLAIN AGEAYg==\r\n".to_vec(), b"503 5.5.1 again\r\n"),
        ("STARTTLS again", b"STARTTLS\r\n".to_vec(), b"503 5.5.1 TLS is active\r\n"),
        // What ends a session before the sign-in is the provider's business after it.
        ("a browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), b"500 what\r\n"),
        ("a ClientHello", b"\x16\x03\x01\x00\xa5\x01".to_vec(), b"500 what\r\n"),
    ] {
        for passage in &mut passages {
            passage.passes(case, &[Up(&up), Down(down)]).await;
            passage.passes_behind_the_sign_in(case, &up[..up.len().min(60_000)]).await;
        }
    }
}

#[tokio::test]
async fn extensions_of_imap_pass() {
    let compressed = noise(70_000);
    let literal = [b"l APPEND INBOX {70000+}\r\n", &compressed[..], b"\r\n"].concat();
    let long = [b"t UID FETCH ", &b"1,3,".repeat(30_000)[..], b"5 FLAGS\r\n"].concat();
    let mut passages = Vec::new();
    for tls in WAYS {
        passages.push(Passage::under(tls, Protocol::Imap).await);
    }
    for (case, turns) in [
        // RFC 2177
        (
            "IDLE",
            vec![
                Up(b"i IDLE\r\n"),
                Down(b"+ idling\r\n"),
                Down(b"* 4 EXISTS\r\n"),
                Up(b"DONE\r\n"),
                Down(b"i OK IDLE terminated\r\n"),
            ],
        ),
        (
            "IDLE, pipelined",
            vec![Up(b"i IDLE\r\nDONE\r\nj NOOP\r\n"), Down(b"+ idling\r\ni OK\r\nj OK\r\n")],
        ),
        // RFC 4978: from the OK on it is deflate, both ways.
        (
            "COMPRESS",
            vec![
                Up(b"c COMPRESS DEFLATE\r\n"),
                Down(b"c OK DEFLATE active\r\n"),
                Up(&compressed),
                Down(&compressed),
            ],
        ),
        // RFC 7888, both of it
        ("LITERAL+", vec![Up(&literal), Down(b"l OK\r\n")]),
        (
            "LITERAL-",
            vec![Up(b"l LIST \"\" {6-}\r\nINBOX\0\r\n"), Down(b"* LIST () NIL {2}\r\n\r\r\r\n")],
        ),
        (
            "a literal that is waited for",
            vec![
                Up(b"a APPEND INBOX {5}\r\n"),
                Down(b"+ go\r\n"),
                Up(b"\x00\r\n\xffx\r\n"),
                Down(b"a OK\r\n"),
            ],
        ),
        // RFC 5161, RFC 6855, RFC 2971, RFC 7162
        (
            "ENABLE, ID, CONDSTORE",
            vec![
                Up(b"e ENABLE UTF8=ACCEPT QRESYNC\r\nf ID (\"name\" \"x\")\r\ng NOOP\r\n"),
                Down(b"* ENABLED UTF8=ACCEPT\r\ne OK\r\n* ID NIL\r\nf OK\r\n* OK [ALERT] x\r\n"),
            ],
        ),
        ("a long command", vec![Up(&long), Down(b"t BAD too long\r\n")]),
        (
            "LOGIN and STARTTLS again",
            vec![
                Up(b"x LOGIN alice secret\r\ny STARTTLS\r\n"),
                Down(b"x BAD again\r\ny BAD again\r\n"),
            ],
        ),
        ("BYE", vec![Up(b"q LOGOUT\r\n"), Down(b"* BYE\r\nq OK\r\n")]),
        ("no line at all", vec![Up(b"half a comm"), Down(b"* half a resp")]),
    ] {
        for passage in &mut passages {
            passage.passes(case, &turns).await;
        }
    }
}

#[tokio::test]
async fn anything_passes_both_ways_in_any_amount_however_the_client_comes() {
    let (up, down) = (noise(1_500_000), noise(2_000_003));
    let turns = [Up(&up), Down(&down), Up(&down[..7]), Down(&up[..1])];
    for tls in WAYS {
        for protocol in Protocol::ALL {
            let mut passage = Passage::under(tls, protocol).await;
            passage.passes("noise", &turns).await;
            passage.passes_behind_the_sign_in("noise", &up[..60_000]).await;
        }
    }
}
