//! Sessions through the filter, as transcripts that are played whole, at every split, and byte by
//! byte, in both directions.

mod limits;
mod messages;
mod properties;
mod transactions;

use std::sync::{Arc, Mutex};

use super::*;
use crate::names::Address;

/// What the filter took and gave back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Count {
    /// How many messages the hour has room for.
    room: usize,
    taken: usize,
    given_back: usize,
}

#[derive(Clone, Default)]
struct Counter(Arc<Mutex<Count>>);

impl Surroundings for Counter {
    fn take_message(&mut self) -> bool {
        let mut count = self.0.lock().unwrap();
        let has_room = count.taken - count.given_back < count.room;
        count.taken += usize::from(has_room);
        has_room
    }

    fn give_back_message(&mut self) {
        let mut count = self.0.lock().unwrap();
        count.given_back += 1;
        assert!(count.given_back <= count.taken, "given back more than was taken");
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { date: "DATE".to_owned(), message_id: "<ID>".to_owned() }
    }
}

fn mailbox() -> Address {
    Address::parse("scan@contoso.com").unwrap()
}

fn rules(rewrite: Rewrite, senders: Option<&str>) -> Rules {
    let senders = senders.map(|pattern| vec![AccountPattern::parse(pattern).unwrap()]);
    Rules { rewrite, senders }
}

fn blind() -> Rules {
    rules(Rewrite::Keep, None)
}

/// A filter between two peers whose bytes come in any pieces.
struct Session {
    filter: Filter,
    count: Counter,
    /// What the client has sent and the filter not taken.
    waiting: Vec<u8>,
    up: Vec<u8>,
    down: Vec<u8>,
    passed: Vec<PassedReply>,
}

impl Session {
    fn new(rules: Rules, room: usize) -> Self {
        let count = Counter::default();
        count.0.lock().unwrap().room = room;
        let filter = Filter::new(rules, Box::new(count.clone()));
        let (waiting, up, down, passed) = Default::default();
        Self { filter, count, waiting, up, down, passed }
    }

    fn count(&self) -> (usize, usize) {
        let count = self.count.0.lock().unwrap();
        (count.taken, count.given_back)
    }

    fn client(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        loop {
            let mut up = Output::default();
            let taken = self.filter.take_from_client(&self.waiting, &mut up);
            self.up.extend_from_slice(&up.take());
            self.waiting.drain(..taken);
            if taken == 0 || self.waiting.is_empty() {
                return;
            }
        }
    }

    fn upstream(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut down = Output::default();
            let passed = self.filter.take_from_upstream(bytes, &mut down);
            self.down.extend_from_slice(&down.take());
            assert!(passed.taken > 0);
            bytes = &bytes[passed.taken..];
            self.passed.extend(passed.reply);
            self.client(b"");
        }
    }
}

/// Who says a line of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// `C:` the client says it.
    Client,
    /// `U:` it goes upstream.
    Up,
    /// `S:` the upstream's server says it.
    Server,
    /// `D:` the client hears it.
    Down,
    /// `!:` the client hears it last, and the session is over.
    Last,
}

/// Reads a script. Lines end in CRLF; `␊`, `␍` and `␀` stand for bare LF, CR and NUL, and a `¬` at
/// the end for no line end.
fn steps(script: &str) -> Vec<(Who, Vec<u8>)> {
    let mut steps: Vec<(Who, Vec<u8>)> = Vec::new();
    for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (who, text) = line.split_at(2);
        let who = match who {
            "C:" => Who::Client,
            "U:" => Who::Up,
            "S:" => Who::Server,
            "D:" => Who::Down,
            "!:" => Who::Last,
            other => panic!("{other} says nothing"),
        };
        let text = text.strip_prefix(' ').unwrap_or(text);
        let text = text.replace('␊', "\n").replace('␍', "\r").replace('␀', "\0");
        let text = text.strip_suffix('¬').map_or(format!("{text}\r\n"), str::to_owned);
        match steps.last_mut() {
            Some((last, bytes)) if *last == who => bytes.extend_from_slice(text.as_bytes()),
            _ => steps.push((who, text.into_bytes())),
        }
    }
    steps
}

/// Plays a script in every way; the counts of messages that were taken and given back, at its end and
/// once the session is gone.
#[track_caller]
fn play_with_room(rules: &Rules, room: usize, script: &str) -> [(usize, usize); 2] {
    let steps = steps(script);
    let longest = steps.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    let counts = play_in(rules, room, &steps, |bytes| vec![bytes]);
    for at in 1..longest {
        let cut = play_in(rules, room, &steps, |bytes| {
            let (left, right) = bytes.split_at(at.min(bytes.len()));
            vec![left, right]
        });
        assert_eq!(cut, counts, "cut at {at}");
    }
    assert_eq!(play_in(rules, room, &steps, |bytes| bytes.chunks(1).collect()), counts);
    counts
}

#[track_caller]
fn play(rules: &Rules, script: &str) -> [(usize, usize); 2] {
    play_with_room(rules, usize::MAX, script)
}

#[track_caller]
fn play_in(
    rules: &Rules,
    room: usize,
    steps: &[(Who, Vec<u8>)],
    cut: impl Fn(&[u8]) -> Vec<&[u8]>,
) -> [(usize, usize); 2] {
    let mut session = Session::new(rules.clone(), room);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (who, bytes) in steps {
        match who {
            Who::Client => cut(bytes).into_iter().for_each(|piece| session.client(piece)),
            Who::Server => cut(bytes).into_iter().for_each(|piece| session.upstream(piece)),
            Who::Up => assert_eq!(text(&std::mem::take(&mut session.up)), text(bytes)),
            Who::Down => assert_eq!(text(&std::mem::take(&mut session.down)), text(bytes)),
            Who::Last => {
                let last_words = session.filter.last_words().map(|words| format!("{words}\r\n"));
                assert!(session.filter.is_over());
                assert_eq!(last_words.unwrap_or_default().trim_end(), text(bytes).trim_end());
            }
        }
    }
    assert_eq!((text(&session.up), text(&session.down)), (String::new(), String::new()));
    let ends = steps.iter().any(|(who, _)| *who == Who::Last);
    assert_eq!(session.filter.is_over(), ends, "over");
    let (at_end, count) = (session.count(), session.count.clone());
    drop(session);
    let count = count.0.lock().unwrap();
    [at_end, (count.taken, count.given_back)]
}
