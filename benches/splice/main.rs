//! Streaming both ways, and questions with their answers: `cargo bench --bench splice`.
//!
//! mailbearer beside a tunnel that rewrites nothing, with the loads and figures of `compare`.

#![allow(missing_docs, clippy::disallowed_methods, reason = "a bench reads the real clock")]

#[path = "../support/mod.rs"]
mod support;

use std::time::Instant;

use support::arguments::Arguments;
use support::bench::Row;
use support::peer::Peer;
use support::{bench, scene, table};

fn main() {
    if !scene::play_role() {
        let started = Instant::now();
        let arguments = Arguments::parse(&[Row::Streams], &[Peer::Ideal, Peer::Mailbearer]);
        let (figures, failures) = bench::run(&arguments);
        table::print(&figures, &arguments.peers, &failures, started.elapsed());
    }
}
