//! What scanners, printers and programs that are no mail clients can rely on, and what whoever runs
//! the relay reads of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, reason = "its modules share one scene")]

mod ended;
mod known;
mod refused;
mod rules;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod tls;
