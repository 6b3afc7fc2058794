//! What supervisors and monitors can rely on: probes that tell the truth and do not flap, counters
//! that move by what they are for, and no series that a stranger makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
#![allow(unreachable_pub, reason = "its modules share one scene")]

mod alerts;
mod bounds;
mod counts;
mod health;
mod scene;
#[path = "../support/mod.rs"]
mod support;
