//! The benches work: all measurements of mailbearer and of what needs no other program, with tiny
//! loads, in the profile of the tests. Their figures mean nothing and are not looked at; that there
//! is one of each is the promise.
//!
//! It has no harness, because the processes of a measurement are roles of this program.

#![allow(missing_docs, clippy::print_stdout, reason = "it answers as a harness does")]

#[path = "../benches/support/mod.rs"]
mod support;

use std::path::Path;

use support::arguments::Arguments;
use support::bench::{self, Row};
use support::capture;
use support::figure::Figure;
use support::peer::Peer;
use support::scene;

/// The tests, as a harness would call them.
const TESTS: [(&str, fn()); 2] = [
    ("benches_measure_every_figure_with_tiny_loads", benches_measure_every_figure_with_tiny_loads),
    (
        "benches_measure_the_program_that_they_are_told",
        benches_measure_the_program_that_they_are_told,
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_told = |word: &str| arguments.iter().any(|argument| argument == word);
    if is_told("--list") {
        // nextest asks for those that are ignored too.
        for (name, _) in TESTS.iter().filter(|_| !is_told("--ignored")) {
            println!("{name}: test");
        }
    } else if !scene::play_role() {
        let is_one_named = TESTS.iter().any(|(name, _)| is_told(name));
        for (name, test) in TESTS.iter().filter(|(name, _)| !is_one_named || is_told(name)) {
            test();
            println!("test {name} ... ok");
        }
    }
}

fn benches_measure_every_figure_with_tiny_loads() {
    let peers = vec![Peer::Direct, Peer::Ideal, Peer::Mailbearer];
    let (figures, failures) = bench::run(&Arguments::smoke(&Row::ALL, &peers));
    assert!(failures.is_empty(), "{failures:?}");
    // Where CI is set, root has to be able to watch packets, so that the row is not left out unseen.
    let is_required = std::env::var_os("CI").is_some() && rustix::process::geteuid().is_root();
    for figure in Figure::ALL {
        let is_there = figure != Figure::Dial || is_required || capture::is_possible();
        assert_eq!(figures.spread(figure, Peer::Mailbearer).is_some(), is_there, "{figure:?}");
    }
}

fn benches_measure_the_program_that_they_are_told() {
    let elsewhere = Path::new("/nonexistent/mailbearer").to_owned();
    let arguments = Arguments {
        program: elsewhere,
        ..Arguments::smoke(&[Row::Memory], &[Peer::Ideal, Peer::Mailbearer])
    };
    let (figures, failures) = bench::run(&arguments);
    assert!(figures.spread(Figure::IdlePss, Peer::Ideal).is_some());
    assert_eq!(failures, ["mailbearer failed at memory in round 1"]);
}
