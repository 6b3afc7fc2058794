//! The fuzzer's corpus as ordinary tests: each input, cut at every byte, and beginnings of it.
//!
//! What must hold is in `fuzz/src/`, which the fuzzer's programs share; so this is also what builds
//! that code with every change. `fuzz/README.md` says how an input gets into the corpus.
#![allow(dead_code, unreachable_pub, reason = "the fuzzer's programs use what is not used here")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(clippy::wildcard_enum_match_arm, reason = "imap-codec knows more than is compared")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, Target};

/// Most bytes that the whole corpus may have.
const CORPUS_LEN_MAX: u64 = 500 * 1024;

/// Fewest inputs of a target.
const INPUTS_MIN: usize = 12;

/// About how many beginnings of an input are tried. A machine that is fed byte by byte passes through
/// all of them; what they add is a session that goes no further.
const BEGINNINGS: usize = 32;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The inputs of a target, with their names.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let paths = fs::read_dir(corpus().join(target)).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = paths
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
        })
        .collect();
    inputs.sort();
    inputs
}

/// Tries every input of the target `name`, and beginnings of it.
fn replay(name: &str) {
    let target: &Target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let inputs = inputs(name);
    assert!(inputs.len() >= INPUTS_MIN, "{} inputs", inputs.len());
    for (file, input) in inputs {
        let held = catch_unwind(|| (target.check_every_split)(&input));
        assert!(held.is_ok(), "{name}/{file}");
        for end in (0..input.len()).step_by(input.len() / BEGINNINGS + 1) {
            let held = catch_unwind(|| (target.check)(&input[..end]));
            assert!(held.is_ok(), "{name}/{file}, the first {end} bytes");
        }
    }
}

#[test]
fn properties_of_smtp_towards_clients_hold_for_the_corpus() {
    replay("smtp_downstream");
}

#[test]
fn properties_of_smtp_towards_providers_hold_for_the_corpus() {
    replay("smtp_upstream");
}

#[test]
fn properties_of_imap_towards_clients_hold_for_the_corpus() {
    replay("imap_downstream");
}

#[test]
fn properties_of_imap_towards_providers_hold_for_the_corpus() {
    replay("imap_upstream");
}

#[test]
fn properties_of_pop3_towards_clients_hold_for_the_corpus() {
    replay("pop3_downstream");
}

#[test]
fn properties_of_pop3_towards_providers_hold_for_the_corpus() {
    replay("pop3_upstream");
}

#[test]
fn properties_of_the_filter_hold_for_the_corpus() {
    replay("smtp_filter");
}

#[test]
fn properties_of_sasl_hold_for_the_corpus() {
    replay("sasl");
}

#[test]
fn properties_of_the_configuration_hold_for_the_corpus() {
    replay("configuration");
}

#[test]
fn corpus_is_small_and_has_a_directory_for_each_target() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let found = fs::read_dir(corpus()).unwrap();
    let found: BTreeSet<_> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, names);
    let len: usize = names.iter().flat_map(|name| inputs(name)).map(|(_, input)| input.len()).sum();
    assert!(u64::try_from(len).unwrap() <= CORPUS_LEN_MAX, "{len} bytes");
}
