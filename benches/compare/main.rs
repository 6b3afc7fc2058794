//! mailbearer beside everything that could stand in its place: `cargo bench --bench compare`.
//!
//! haproxy and stunnel as tunnels, a tunnel of tokio-rustls ("ideal"), a client that speaks TLS itself
//! ("direct"), Dovecot as login proxy and email-oauth2-proxy; `benches/compare/install` installs
//! them. `-- --write` puts the table and the picture into docs/performance.md and .svg.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench reads the real clock and fails by panicking"
)]

mod machine;
mod picture;

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Instant;

use support::arguments::Arguments;
use support::bench::Row;
use support::peer::Peer;
use support::{bench, scene, table};

/// Where the table goes.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");

/// What stands around it there.
const MARKERS: [&str; 2] = ["<!-- benches/compare writes from here -->", "<!-- to here -->"];

fn main() {
    if scene::play_role() {
        return;
    }
    let started = Instant::now();
    let arguments = Arguments::parse(&Row::ALL, &Peer::ALL);
    let (figures, failures) = bench::run(&arguments);
    if arguments.write {
        assert!(failures.is_empty(), "nothing is written: {failures:?}");
        let text = format!(
            "{}\n\n![mailbearer beside others](performance.svg)\n\n{}\n{}\n",
            machine::description(arguments.rounds, &arguments.peers, &arguments.program),
            table::table(&figures, &arguments.peers),
            table::NOTES,
        );
        write(Path::new(PAGE), &text);
        let picture = picture::picture(&figures, &arguments.peers, &machine::title());
        std::fs::write(Path::new(PAGE).with_extension("svg"), picture).unwrap();
    }
    table::print(&figures, &arguments.peers, &failures, started.elapsed());
}

/// Replaces what stands between the markers.
fn write(page: &Path, text: &str) {
    let old = std::fs::read_to_string(page).unwrap();
    let [begin, end] = MARKERS;
    let (before, rest) = old.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    std::fs::write(page, format!("{before}{begin}\n\n{text}\n{end}{after}")).unwrap();
}
