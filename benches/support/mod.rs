//! What the benches share: an upstream, a load, the proxies before it, and what is measured of them.
//!
//! Load, upstream and each proxy are processes of their own on one loopback interface. A bench is a
//! choice of peers and measurements; [`bench::run`] alternates the peers round by round.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "each bench uses its own part, reads the real clock and fails by panicking"
)]

pub mod arguments;
pub mod bench;
pub mod capture;
pub mod client;
pub mod delay;
pub mod delayed;
pub mod figure;
pub mod ideal;
pub mod load;
pub mod measure;
pub mod peer;
pub mod process;
pub mod scene;
pub mod table;
pub mod tokens;
pub mod upstream;
pub mod wire;
