//! Warm connections: who finds one, when there is none, and that a client never notices which it was.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "its modules share one scene")]

#[path = "../support/mod.rs"]
mod support;

mod given;
mod lost;
mod made;
mod refused;
mod scene;
#[cfg(target_os = "linux")]
mod silent;
