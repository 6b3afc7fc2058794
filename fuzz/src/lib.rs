//! What must hold whatever a peer or a file says: properties that the fuzzer's targets and
//! `tests/corpus.rs` share.
//!
//! In:  the bytes of one input. Out: nothing, or a panic that says what does not hold.

mod configuration;
mod downstream;
mod filter;
mod oracle;
mod plan;
mod protocols;
mod sasl;
mod splits;
mod trace;
mod upstream;

use protocols::{Imap, Pop3, Smtp};

/// A part of mailbearer, and how an input is tried on it.
pub struct Target {
    /// Its name: that of the fuzzer's program, and of the directory of its corpus.
    pub name: &'static str,
    /// Tries an input.
    pub check: fn(&[u8]),
    /// Tries an input in every way there is to cut it in two; takes longer.
    pub check_every_split: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "smtp_downstream",
        check: |input| splits::check(input, downstream::play::<Smtp>),
        check_every_split: |input| splits::check_every_split(input, downstream::play::<Smtp>),
    },
    Target {
        name: "imap_downstream",
        check: imap_downstream,
        check_every_split: |input| splits::check_every_split(input, downstream::play::<Imap>),
    },
    Target {
        name: "pop3_downstream",
        check: |input| splits::check(input, downstream::play::<Pop3>),
        check_every_split: |input| splits::check_every_split(input, downstream::play::<Pop3>),
    },
    Target {
        name: "smtp_upstream",
        check: |input| splits::check(input, upstream::play::<Smtp>),
        check_every_split: |input| splits::check_every_split(input, upstream::play::<Smtp>),
    },
    Target {
        name: "imap_upstream",
        check: |input| splits::check(input, upstream::play::<Imap>),
        check_every_split: |input| splits::check_every_split(input, upstream::play::<Imap>),
    },
    Target {
        name: "pop3_upstream",
        check: |input| splits::check(input, upstream::play::<Pop3>),
        check_every_split: |input| splits::check_every_split(input, upstream::play::<Pop3>),
    },
    Target {
        name: "smtp_filter",
        check: |input| splits::check(input, filter::play),
        check_every_split: |input| splits::check_every_split(input, filter::play),
    },
    Target { name: "sasl", check: sasl::check, check_every_split: sasl::check },
    Target {
        name: "configuration",
        check: configuration::check,
        check_every_split: configuration::check,
    },
];

/// Tries `input` on the target `name`.
///
/// # Panics
/// When something does not hold, or there is no such target.
pub fn check(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target's name").check)(input);
}

fn imap_downstream(input: &[u8]) {
    splits::check(input, downstream::play::<Imap>);
    oracle::check(input);
}
