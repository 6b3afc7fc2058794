//! Sockets and TLS.

pub mod listen;
pub mod tls;
