//! The benches work: all measurements of mailbearer and of what needs no other program, with tiny
//! loads, in the profile of the tests. Their figures mean nothing and are not looked at; that there
//! is one of each is the promise.
//!
//! It has no harness, because the processes of a measurement are roles of this program.

#![allow(missing_docs, clippy::print_stdout, reason = "it answers as a harness does")]

#[path = "../benches/support/mod.rs"]
mod support;

use support::arguments::Arguments;
use support::bench::{self, Row};
use support::capture;
use support::figure::Figure;
use support::peer::Peer;
use support::scene;

/// As the harness would call it.
const NAME: &str = "benches_measure_every_figure_with_tiny_loads";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_told = |word: &str| arguments.iter().any(|argument| argument == word);
    if is_told("--list") {
        // nextest asks for those that are ignored too.
        if !is_told("--ignored") {
            println!("{NAME}: test");
        }
    } else if !scene::play_role() {
        benches_measure_every_figure_with_tiny_loads();
        println!("test {NAME} ... ok");
    }
}

fn benches_measure_every_figure_with_tiny_loads() {
    let peers = vec![Peer::Direct, Peer::Ideal, Peer::Mailbearer];
    let (figures, failures) = bench::run(&Arguments::smoke(&Row::ALL, &peers));
    assert!(failures.is_empty(), "{failures:?}");
    for figure in Figure::ALL {
        let is_possible = figure != Figure::Dial || capture::is_possible();
        assert_eq!(figures.spread(figure, Peer::Mailbearer).is_some(), is_possible, "{figure:?}");
    }
}
