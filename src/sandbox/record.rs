//! The record: what the provider heard and said, connection by connection, fit to be shown.
//!
//! Tokens and passwords never enter it: they are replaced by their length. Messages and other
//! literals are, too. It is bounded: [`CONNECTIONS_KEPT`] connections of [`ENTRIES_MAX`] lines of
//! [`LINE_LEN_MAX`] bytes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::sign_in::SignIn;
use crate::provider::{PerProtocol, Protocol};

/// How many connections are remembered; the oldest go first.
pub const CONNECTIONS_KEPT: usize = 256;

/// How many lines of one connection are remembered: enough for any sign-in and one message with a
/// hundred recipients. Later ones are only counted.
pub const ENTRIES_MAX: usize = 256;

/// Longest line shown, in bytes.
pub const LINE_LEN_MAX: usize = 400;

/// Longest word shown, in bytes. Every access token is longer, so that one which comes where none
/// is expected is not shown either; no address of the sandbox is.
const WORD_LEN_MAX: usize = 128;

/// What was said on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// What is spoken.
    pub protocol: Protocol,
    /// The how-manieth connection of that protocol it is, from 1.
    pub number: u64,
    /// The first [`ENTRIES_MAX`] lines.
    pub entries: Vec<Entry>,
    /// How many more lines there were.
    pub omitted: usize,
    /// The last sign-in tried on it.
    pub sign_in: Option<SignIn>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said: one line without its end, printable.
    pub text: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The provider's client: the relay.
    Client,
    /// The provider.
    Provider,
    /// Nobody: something happened.
    Event,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.speaker {
            Speaker::Client => write!(f, "C: {}", self.text),
            Speaker::Provider => write!(f, "S: {}", self.text),
            Speaker::Event => write!(f, "   ({})", self.text),
        }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// The record of all connections. Clones share it.
#[derive(Clone)]
pub(super) struct Record {
    kept: Arc<Mutex<Kept>>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    connections: PerProtocol<u64>,
    transcripts: VecDeque<Arc<Mutex<Transcript>>>,
    last_sign_in: Option<SignIn>,
}

impl Record {
    /// An empty record; whatever is added to it is told to the receivers of `changes`.
    pub(super) fn new(changes: watch::Sender<()>) -> Self {
        Self { kept: Arc::default(), changes }
    }

    /// Counts a connection and begins its transcript.
    pub(super) fn open(&self, protocol: Protocol) -> Recorder {
        let mut kept = lock(&self.kept);
        let count = match protocol {
            Protocol::Submission => &mut kept.connections.submission,
            Protocol::Imap => &mut kept.connections.imap,
            Protocol::Pop3 => &mut kept.connections.pop3,
        };
        *count += 1;
        let transcript = Arc::new(Mutex::new(Transcript {
            protocol,
            number: *count,
            entries: Vec::new(),
            omitted: 0,
            sign_in: None,
        }));
        if kept.transcripts.len() == CONNECTIONS_KEPT {
            kept.transcripts.pop_front();
        }
        kept.transcripts.push_back(Arc::clone(&transcript));
        drop(kept);
        self.changes.send_replace(());
        Recorder { transcript, record: self.clone() }
    }

    /// How many connections of `protocol` were accepted.
    pub(super) fn connections(&self, protocol: Protocol) -> u64 {
        *lock(&self.kept).connections.get(protocol)
    }

    /// The transcripts kept, oldest connection first.
    pub(super) fn transcripts(&self) -> Vec<Transcript> {
        lock(&self.kept).transcripts.iter().map(|it| lock(it).clone()).collect()
    }

    /// The last sign-in tried on any connection.
    pub(super) fn last_sign_in(&self) -> Option<SignIn> {
        lock(&self.kept).last_sign_in.clone()
    }
}

/// Writes the transcript of one connection.
pub(super) struct Recorder {
    transcript: Arc<Mutex<Transcript>>,
    record: Record,
}

impl Recorder {
    /// Adds one line.
    pub(super) fn add(&self, speaker: Speaker, line: &[u8]) {
        let mut transcript = lock(&self.transcript);
        if transcript.entries.len() < ENTRIES_MAX {
            transcript.entries.push(Entry { speaker, text: shown(line) });
        } else {
            transcript.omitted += 1;
        }
        drop(transcript);
        self.record.changes.send_replace(());
    }

    /// Notes how a sign-in ended.
    pub(super) fn sign_in(&self, sign_in: &SignIn) {
        lock(&self.transcript).sign_in = Some(sign_in.clone());
        lock(&self.record.kept).last_sign_in = Some(sign_in.clone());
        self.record.changes.send_replace(());
    }
}

/// What stands for `len` bytes that are not shown.
pub(super) fn hidden(what: &str, len: usize) -> String {
    format!("<{what}, {len} bytes>")
}

/// `line` with its long words replaced by their length, control characters escaped, and cut.
fn shown(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let words = line.split(' ').map(|word| match word.len() {
        ..=WORD_LEN_MAX => word.chars().flat_map(escaped).collect(),
        len => hidden("word", len),
    });
    let mut shown = words.collect::<Vec<String>>().join(" ");
    shown.truncate(shown.floor_char_boundary(LINE_LEN_MAX));
    shown
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let escape = character.is_control().then(|| character.escape_default());
    let plain = escape.is_none().then_some(character);
    escape.into_iter().flatten().chain(plain)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_control_characters_and_long_words() {
        let record = Record::new(watch::Sender::new(()));
        let recorder = record.open(Protocol::Submission);
        recorder.add(Speaker::Client, b"NO\x1bOP \xff\r\n");
        recorder.add(Speaker::Client, format!("X {} Y", "t".repeat(129)).as_bytes());
        let shown = record.transcripts().remove(0).to_string();
        assert_eq!(shown, "C: NO\\u{1b}OP \u{fffd}\\r\\n\nC: X <word, 129 bytes> Y\n");
    }

    #[test]
    fn the_record_forgets_the_oldest_connection_and_counts_what_it_leaves_out() {
        let record = Record::new(watch::Sender::new(()));
        for _ in 0..=CONNECTIONS_KEPT {
            let recorder = record.open(Protocol::Imap);
            (0..ENTRIES_MAX + 2).for_each(|_| recorder.add(Speaker::Client, b"a NOOP"));
        }
        let transcripts = record.transcripts();
        assert_eq!(transcripts.len(), CONNECTIONS_KEPT);
        assert_eq!((transcripts[0].number, transcripts[0].omitted), (2, 2));
        assert_eq!(record.connections(Protocol::Imap), 257);
        assert_eq!(record.connections(Protocol::Submission), 0);
    }
}
