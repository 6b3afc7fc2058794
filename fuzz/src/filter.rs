//! What holds for the filter, between a client that says anything and a server that keeps to RFC 5321.
//!
//! In:  what the client sends. Out: what went up and down, or a panic where something does not hold.
//! Time: linear in what is sent, for one input may have a long line, or many messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mailbearer::names::{AccountPattern, Address};
use mailbearer::proto::Output;
use mailbearer::proto::smtp::{Filter, Rewrite, Rules, Stamp, Surroundings};
use memchr::{memchr, memchr_iter, memmem};

use super::plan::Plan;
use super::splits::Split;
use super::trace::{End, Trace};

/// Whom senders become.
const MAILBOX: &str = "scan@fabrikam.com";

/// Most that one call may write where no header is held, in bytes: the output's bound, and a piece.
/// A client may send more than this.
const OUTPUT_LEN_MAX: usize = (64 + 16) * 1024;

/// How much longer a message and its MAIL may become, in bytes each: what SIZE= is raised by.
const ADDED_LEN_MAX: usize = 2_048;

/// What goes up for a line that is refused: an empty one becomes longer by that.
const NOOP: &[u8] = b"NOOP\r\n";

/// Plays a session in which the client sends what the plan says.
pub fn play(plan: &Plan, split: Split<'_>) -> Trace {
    let rule = plan.rule();
    let counts = Arc::new(Counts::default());
    let hour = Hour { refused: plan.accepted(), asked: 0, counts: Arc::clone(&counts) };
    let mut filter = Filter::new(rules(rule), Box::new(hour));
    let sent = plan.sent();
    let mut server = Server::default();
    let (mut waiting, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for piece in split(&sent) {
        waiting.extend_from_slice(piece);
        loop {
            let was_over = filter.is_over();
            let mut output = Output::default();
            let read = filter.take_from_client(&waiting, &mut output);
            waiting.drain(..read);
            let output = output.take();
            assert!(rule == 3 || output.len() <= OUTPUT_LEN_MAX, "{} bytes at once", output.len());
            assert!(!was_over || output.is_empty(), "more went up than before the last words");
            up.extend_from_slice(&output);
            let replies = server.hear(&output, rule);
            for (command, reply) in &replies {
                answer(&mut filter, command, reply, split, &mut down);
            }
            if read == 0 && replies.is_empty() {
                break;
            }
        }
    }
    check_order(&server.messages, rule, &sent);
    let last_words = filter.last_words();
    assert_eq!(filter.is_over(), last_words.is_some());
    drop(filter);
    let [granted, kept] = [&counts.granted, &counts.kept].map(|it| it.load(Ordering::Relaxed));
    let lines = memchr_iter(b'\n', &sent).count();
    let len_max = sent.len() + lines * NOOP.len() + granted * 2 * ADDED_LEN_MAX;
    assert!(up.len() <= len_max, "{} bytes became {}", sent.len(), up.len());
    assert!(server.begun <= granted, "a message began that the hour had no room for");
    assert!(kept <= server.begun, "a message counts that never began");
    assert!(server.messages.len() <= kept, "a message was sent that does not count");
    let (end, heard) = match last_words {
        // The words of a message that is given up: 550 and 552.
        Some(words) if words.starts_with("55") => {
            assert!(server.message.is_some(), "a message was sent to its end and given up");
            (End::Closed(words.to_owned()), String::new())
        }
        // How much the client heard before the end depends on when the server answered.
        Some(words) => (End::Closed(words.to_owned()), String::new()),
        None => (End::Waiting, String::from_utf8_lossy(&down).into_owned()),
    };
    Trace { said: up, events: vec![(sent.len(), heard.len(), heard)], end }
}

/// Checks that the messages came in their order, each from the start of a line to its end, and
/// unchanged; of one whose header is rewritten, what stands behind that.
fn check_order(messages: &[Vec<u8>], rule: u8, sent: &[u8]) {
    let mut rest = sent;
    for message in messages {
        let header_len = match rule {
            3 => memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4),
            _ => 0,
        };
        let as_sent = [b"\n", &message[header_len..], b".\r\n"].concat();
        let at = memmem::find(rest, &as_sent).expect("a message was changed");
        rest = &rest[at + as_sent.len()..];
    }
}

/// Gives the server's reply to the filter: the client hears one as well.
fn answer(filter: &mut Filter, command: &[u8], reply: &[u8], split: Split<'_>, down: &mut Vec<u8>) {
    if filter.is_over() {
        return;
    }
    let (mut output, mut ended) = (Output::default(), 0);
    for mut piece in split(reply) {
        while !piece.is_empty() {
            let passed = filter.take_from_upstream(piece, &mut output);
            ended += usize::from(passed.reply.is_some());
            piece = &piece[passed.taken..];
            if passed.instead.is_some() {
                assert_eq!(command, b"NOOP", "a reply was replaced");
            }
        }
    }
    let heard = output.take();
    assert_eq!(ended, 1);
    let lines = || heard.split_inclusive(|&byte| byte == b'\n');
    assert_eq!(lines().filter(|line| line.get(3) != Some(&b'-')).count(), 1, "one reply");
    assert!(lines().all(|line| line.ends_with(b"\r\n")));
    let verb = command.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
    let is_any = |verbs: [&[u8]; 2]| {
        verbs.iter().any(|it| verb.is_some_and(|verb| verb.eq_ignore_ascii_case(it)))
    };
    if is_any([b"NOOP", b"EHLO"]) {
        assert!(memmem::find(&heard, b"CHUNKING").is_none());
    } else {
        assert_eq!(heard, reply, "a reply was changed");
    }
    down.extend_from_slice(&heard);
}

fn rules(rule: u8) -> Rules {
    let mailbox = Address::parse(MAILBOX).unwrap();
    let rewrite = match rule {
        0 | 1 => Rewrite::Keep,
        2 => Rewrite::Envelope(mailbox),
        _ => Rewrite::EnvelopeAndHeader(mailbox),
    };
    let senders = (rule == 1).then(|| vec![AccountPattern::parse("*@contoso.com").unwrap()]);
    Rules { rewrite, senders }
}

/// An hour that has room for all messages but one.
struct Hour {
    refused: usize,
    asked: usize,
    counts: Arc<Counts>,
}

/// How the hour stands, once the filter is gone.
#[derive(Default)]
struct Counts {
    /// Messages that there was room for.
    granted: AtomicUsize,
    /// Those of them that were not given back.
    kept: AtomicUsize,
}

impl Surroundings for Hour {
    fn take_message(&mut self) -> bool {
        self.asked += 1;
        let has_room = self.asked != self.refused;
        for count in [&self.counts.granted, &self.counts.kept] {
            count.fetch_add(usize::from(has_room), Ordering::Relaxed);
        }
        has_room
    }

    fn give_back_message(&mut self) {
        let before = self.counts.kept.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "more was given back than taken");
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { date: "today".to_owned(), message_id: "<1@x>".to_owned() }
    }
}

/// A server that keeps to the letter.
#[derive(Default)]
struct Server {
    /// The line that has not ended.
    line: Vec<u8>,
    in_transaction: bool,
    /// The message that has not ended.
    message: Option<Vec<u8>>,
    /// How many transactions it let begin.
    begun: usize,
    /// The messages that it took, dot-stuffed.
    messages: Vec<Vec<u8>>,
}

impl Server {
    /// Hears what went up: each command with its reply.
    fn hear(&mut self, bytes: &[u8], rule: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut replies = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                break;
            }
            let line = std::mem::take(&mut self.line);
            let Some(mut message) = self.message.take() else {
                let line = line.strip_suffix(b"\r\n").expect("a command ends in CRLF");
                let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
                assert!(!line.iter().any(is_control), "{line:?}");
                replies.push((line.to_vec(), self.reply(line, rule).to_vec()));
                continue;
            };
            // A dot behind CRLF, or first of all: that of DATA stands before it.
            if line == b".\r\n" && (message.is_empty() || message.ends_with(b"\r\n")) {
                check_message(&message, rule);
                self.messages.push(message);
                self.in_transaction = false;
                replies.push((b"its end".to_vec(), b"250 2.0.0 queued\r\n".to_vec()));
            } else {
                message.extend(line);
                self.message = Some(message);
            }
        }
        replies
    }

    fn reply(&mut self, line: &[u8], rule: u8) -> &'static [u8] {
        let upper = line.trim_ascii().to_ascii_uppercase();
        let verb = upper.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        assert!(!verb.is_empty() && verb.is_ascii(), "{line:?} went up");
        match verb {
            b"EHLO" => {
                self.in_transaction = false;
                b"250-mx\r\n250-CHUNKING\r\n250-SIZE 9\r\n250 CHUNKING\r\n"
            }
            b"HELO" | b"RSET" => {
                self.in_transaction = false;
                b"250 reset\r\n"
            }
            b"BDAT" | b"BURL" | b"SEND" | b"SOML" | b"SAML" | b"STARTTLS" => {
                panic!("{} went up", String::from_utf8_lossy(&upper))
            }
            // To the letter it is no command; the filter reads it as MAIL, for some servers do.
            verb if verb.starts_with(b"MAIL") && verb != b"MAIL" => b"500 unknown\r\n",
            b"MAIL" => {
                match rule {
                    0 => {}
                    1 => assert!(
                        upper.starts_with(b"MAIL FROM:<") && is_of_contoso(&upper),
                        "{line:?}"
                    ),
                    _ => assert!(line.starts_with(b"MAIL FROM:<scan@fabrikam.com>"), "{line:?}"),
                }
                if self.in_transaction {
                    return b"503 nested\r\n";
                }
                self.in_transaction = true;
                self.begun += 1;
                b"250-2.1.0\r\n250 2.1.0 ok\r\n"
            }
            b"DATA" if self.in_transaction => {
                self.message = Some(Vec::new());
                b"354 go on\r\n"
            }
            b"DATA" => b"503 no transaction\r\n",
            _ => b"250 2.0.0 ok\r\n",
        }
    }
}

/// Whether the address of a MAIL is one that the rule allows, for a server that knows no quotes as
/// well: it ends at the first bracket.
fn is_of_contoso(mail: &[u8]) -> bool {
    memmem::find(mail, b">").is_some_and(|end| mail[..end].ends_with(b"@CONTOSO.COM"))
}

fn check_message(message: &[u8], rule: u8) {
    // Whatever a server takes for the end of a line, and if it drops NULs, it sees no other end.
    let seen: Vec<u8> = message.iter().copied().filter(|byte| *byte != 0).collect();
    let mut lines = seen.split(|byte| b"\r\n".contains(byte));
    assert!(!lines.any(|line| line == b"."), "{}", String::from_utf8_lossy(message));
    if rule == 3 {
        check_from(message);
    }
}

/// Checks that a header has one From:, and that this is one address: the mailbox.
fn check_from(message: &[u8]) {
    let lines = message.split(|&byte| byte == b'\n').take_while(|line| *line != b"\r");
    // As the server reads them, which takes the first dot away.
    let lines = lines.map(|line| line.strip_prefix(b".").unwrap_or(line));
    let mut froms: Vec<Vec<u8>> = Vec::new();
    let mut is_from = false;
    for line in lines {
        let is_continuation = matches!(line.first(), Some(b' ' | b'\t'));
        if is_from && is_continuation {
            froms.last_mut().expect("it was begun").extend(line);
        } else {
            let (name, value) = line.split_at(memchr(b':', line).unwrap_or_default());
            is_from = name.trim_ascii_end().eq_ignore_ascii_case(b"from");
            froms.extend(is_from.then(|| value[1..].to_ascii_lowercase()));
        }
    }
    let [from] = froms.as_slice() else { panic!("{} of From:", froms.len()) };
    let shown = String::from_utf8_lossy(from);
    let from = without_quoted(from);
    assert!(!from.iter().any(|byte| b",;:()".contains(byte)), "{shown}: more than an address");
    let address = match from.trim_ascii().strip_suffix(b">") {
        Some(from) => from.rsplit(|&byte| byte == b'<').next().unwrap_or_default(),
        None => &from[..],
    };
    assert_eq!(address.trim_ascii(), MAILBOX.as_bytes(), "{shown}");
}

/// The text without its quoted strings.
fn without_quoted(text: &[u8]) -> Vec<u8> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut rest = Vec::new();
    for &byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            _ => rest.push(byte),
        }
    }
    rest
}
