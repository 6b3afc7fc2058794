//! What a bench is told behind `--`.

use std::path::PathBuf;

use super::bench::Row;
use super::peer::Peer;

/// Which part of a bench is run, and how often.
pub struct Arguments {
    pub rounds: usize,
    pub rows: Vec<Row>,
    pub peers: Vec<Peer>,
    /// What is measured as mailbearer.
    pub program: PathBuf,
    /// Tiny loads and one round, to see that everything works.
    pub smoke: bool,
    /// Whether the table and the picture go into docs.
    pub write: bool,
}

/// How it is used.
const USAGE: &str = "\
arguments: [--rounds N] [--rows NAME,...] [--peers NAME,...] [--program PATH] [--smoke] [--write]
  rows:  memory sign-ins dial streams crowd far
  peers: direct ideal haproxy stunnel dovecot emailproxy mailbearer
  --program  another mailbearer than the one built with the bench
  --write  puts the table and the picture into docs (compare alone)";

impl Arguments {
    /// Tiny loads, and the program that was built beside this one.
    pub fn smoke(rows: &[Row], peers: &[Peer]) -> Self {
        let (rows, peers) = (rows.to_vec(), peers.to_vec());
        let program = PathBuf::from(env!("CARGO_BIN_EXE_mailbearer"));
        Self { rounds: 1, rows, peers, program, smoke: true, write: false }
    }

    /// What this program was told; what it was not is `rows` and `peers`, and three rounds.
    pub fn parse(rows: &[Row], peers: &[Peer]) -> Self {
        let mut parsed = Self { rounds: 3, smoke: false, ..Self::smoke(rows, peers) };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| misused(&argument));
            match argument.as_str() {
                "--rounds" => {
                    parsed.rounds = value().parse().unwrap_or_else(|_| misused(&argument));
                }
                "--rows" => parsed.rows = named(&value(), &Row::ALL, |row| row.name()),
                "--peers" => parsed.peers = named(&value(), &Peer::ALL, |peer| peer.name()),
                "--program" => parsed.program = program(&value()),
                "--smoke" => (parsed.smoke, parsed.rounds) = (true, 1),
                "--write" => parsed.write = true,
                // cargo says so to every bench.
                "--bench" => {}
                _ => misused(&argument),
            }
        }
        parsed
    }
}

/// The program at `path`, which is there.
fn program(path: &str) -> PathBuf {
    let program = std::path::absolute(path).unwrap_or_default();
    if program.is_file() { program } else { misused(path) }
}

fn named<T: Copy>(list: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Vec<T> {
    let find = |word: &str| all.iter().copied().find(|item| name(*item) == word);
    list.split(',').map(|word| find(word).unwrap_or_else(|| misused(word))).collect()
}

fn misused<T>(argument: &str) -> T {
    eprintln!("{argument}?\n{USAGE}");
    std::process::exit(64)
}
