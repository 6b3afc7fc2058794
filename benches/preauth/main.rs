//! The machines alone: time and memory of one sign-in, without a socket: `cargo bench --bench preauth`.
//!
//! A sign-in is everything that is said from the greeting to the verdict, with a token of 1,700
//! characters; bytes and allocations are those that the machines and their buffers ask for.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench reads the real clock, prints its table and fails by panicking"
)]

mod machines;

use std::alloc::System;
use std::time::Instant;

use machines::Sides;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Sign-ins that are timed together.
const BATCH: u32 = 2_000;

/// Batches, of which the median counts.
const BATCHES: usize = 15;

fn main() {
    println!("| machine | ns per sign-in | allocations | bytes allocated |");
    println!("|---|---|---|---|");
    for Sides { protocol, downstream, upstream } in machines::all() {
        measure(&format!("{protocol}, downstream"), &downstream);
        measure(&format!("{protocol}, upstream"), &upstream);
    }
}

fn measure(name: &str, sign_in: &dyn Fn()) {
    // What is made once is made here.
    sign_in();
    let region = Region::new(ALLOCATOR);
    sign_in();
    let counted = region.change();
    let mut batches: Vec<u128> = (0..BATCHES).map(|_| batch(sign_in)).collect();
    batches.sort_unstable();
    let median = batches.get(BATCHES / 2).unwrap();
    println!(
        "| {name} | {median} | {} | {} |",
        counted.allocations + counted.reallocations,
        counted.bytes_allocated
    );
}

/// Nanoseconds of one sign-in.
fn batch(sign_in: &dyn Fn()) -> u128 {
    let started = Instant::now();
    for _ in 0..BATCH {
        sign_in();
    }
    started.elapsed().as_nanos() / u128::from(BATCH)
}
