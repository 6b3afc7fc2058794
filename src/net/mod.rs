//! Sockets and TLS.

pub mod listen;
