//! What strangers do who mean harm, over sockets: it costs them their session and nobody else
//! anything.
//!
//! Nothing here waits for a clock. What ends by time alone is in `src/relay/session/tests`, on a
//! clock that is paused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod breaking;
mod crowds;
mod deaf;
mod descriptors;
mod floods;
#[path = "../support/mod.rs"]
mod support;
