//! What holds for the filter, between a client that says anything and a server that keeps to RFC 5321.
//!
//! In:  what the client sends. Out: what went up and down, or a panic where something does not hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mailbearer::names::{AccountPattern, Address};
use mailbearer::proto::Output;
use mailbearer::proto::smtp::{Filter, Rewrite, Rules, Stamp, Surroundings};

use super::plan::Plan;
use super::splits::Split;
use super::trace::{End, Trace};

/// Whom senders become.
const MAILBOX: &str = "scan@fabrikam.com";

/// Most that one call may write, in bytes: the output's bound, and a header.
const OUTPUT_LEN_MAX: usize = 384 * 1024;

/// Plays a session in which the client sends what the plan says.
pub fn play(plan: &Plan, split: Split<'_>) -> Trace {
    let rule = plan.offer();
    let taken = Arc::new(AtomicUsize::new(0));
    let hour = Hour { refused: plan.accepted(), asked: 0, open: Arc::clone(&taken) };
    let mut filter = Filter::new(rules(rule), Box::new(hour));
    let sent = plan.sent();
    let mut server = Server::default();
    let (mut waiting, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for piece in split(&sent) {
        waiting.extend_from_slice(piece);
        loop {
            let mut output = Output::default();
            let read = filter.take_from_client(&waiting, &mut output);
            waiting.drain(..read);
            let output = output.take();
            assert!(output.len() <= OUTPUT_LEN_MAX, "{} bytes at once", output.len());
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
    if rule < 3 {
        for message in &server.messages {
            let is_there = |message: &[u8]| sent.windows(message.len()).any(|at| at == message);
            assert!(is_there(&[message, &b".\r\n"[..]].concat()), "a message was changed");
        }
    }
    let is_over = filter.is_over();
    let end = if is_over {
        End::Closed(filter.last_words().unwrap_or_default().to_owned())
    } else {
        End::Waiting
    };
    // How much the client heard before the end depends on when the server answered.
    let heard = if is_over { String::new() } else { String::from_utf8_lossy(&down).into_owned() };
    drop(filter);
    assert!(taken.load(Ordering::Relaxed) <= server.begun, "a message counts that never began");
    Trace { said: up, events: vec![(sent.len(), heard.len(), heard)], end }
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
        assert!(!heard.windows(8).any(|at| at == b"CHUNKING"));
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
    /// Messages that count.
    open: Arc<AtomicUsize>,
}

impl Surroundings for Hour {
    fn take_message(&mut self) -> bool {
        self.asked += 1;
        let has_room = self.asked != self.refused;
        self.open.fetch_add(usize::from(has_room), Ordering::Relaxed);
        has_room
    }

    fn give_back_message(&mut self) {
        let before = self.open.fetch_sub(1, Ordering::Relaxed);
        assert!(before > 0, "more was given back than taken");
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { date: "today".to_owned(), message_id: "<1@x>".to_owned() }
    }
}

/// A server that keeps to the letter.
#[derive(Default)]
struct Server {
    heard: Vec<u8>,
    in_transaction: bool,
    in_message: bool,
    /// How many transactions it let begin.
    begun: usize,
    /// The messages that it took, dot-stuffed.
    messages: Vec<Vec<u8>>,
}

impl Server {
    /// Hears what went up: each command with its reply.
    fn hear(&mut self, bytes: &[u8], rule: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.heard.extend_from_slice(bytes);
        let mut replies = Vec::new();
        loop {
            if self.in_message {
                let Some(end) = end_of_message(&self.heard) else { return replies };
                let message: Vec<u8> = self.heard.drain(..end + 3).take(end).collect();
                check_message(&message, rule);
                self.messages.push(message);
                (self.in_message, self.in_transaction) = (false, false);
                replies.push((b"its end".to_vec(), b"250 2.0.0 queued\r\n".to_vec()));
                continue;
            }
            let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') else {
                return replies;
            };
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let line = line.strip_suffix(b"\r\n").expect("a command ends in CRLF");
            assert!(!line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t'), "{line:?}");
            replies.push((line.to_vec(), self.reply(line, rule).to_vec()));
        }
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
            b"MAIL" => {
                match rule {
                    0 => {}
                    1 => assert!(upper.windows(12).any(|at| at == b"@CONTOSO.COM"), "{line:?}"),
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
                self.in_message = true;
                b"354 go on\r\n"
            }
            b"DATA" => b"503 no transaction\r\n",
            _ => b"250 2.0.0 ok\r\n",
        }
    }
}

/// Where the dot stands that ends the message: behind its CRLF, or first of all.
fn end_of_message(heard: &[u8]) -> Option<usize> {
    if heard.starts_with(b".\r\n") {
        return Some(0);
    }
    heard.windows(5).position(|at| at == b"\r\n.\r\n").map(|at| at + 2)
}

fn check_message(message: &[u8], rule: u8) {
    // Whatever a server takes for the end of a line, and if it drops NULs, it sees no other end.
    let seen: Vec<u8> = message.iter().copied().filter(|byte| *byte != 0).collect();
    let mut lines = seen.split(|byte| b"\r\n".contains(byte));
    let first = lines.next();
    assert!(first != Some(b".") && !lines.any(|line| line == b"."), "{message:?}");
    if rule == 3 {
        let header = message.split(|&byte| byte == b'\n').take_while(|line| *line != b"\r");
        let name = |line: &[u8]| {
            let line = line.strip_prefix(b".").unwrap_or(line);
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            let is_field = name.len() < line.len();
            if is_field { name.trim_ascii_end().to_ascii_lowercase() } else { Vec::new() }
        };
        let mut froms = 0;
        let mut is_from = false;
        let mut value = Vec::new();
        for line in header {
            let is_continuation = matches!(line.first(), Some(b' ' | b'\t'));
            is_from = if is_continuation { is_from } else { name(line) == b"from" };
            froms += usize::from(is_from && !is_continuation);
            if is_from {
                value.extend(line.to_ascii_lowercase());
            }
        }
        assert_eq!(froms, 1, "{}", String::from_utf8_lossy(message));
        assert!(value.windows(MAILBOX.len()).any(|at| at == MAILBOX.as_bytes()));
    }
}
