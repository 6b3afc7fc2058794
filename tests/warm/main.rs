//! Warm connections: who finds one, when there is none, and that a client never notices which it was.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod given;
mod lost;
mod made;
mod scene;
