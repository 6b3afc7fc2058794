//! Sockets, TLS and the worker's read buffer.

pub mod buffer;
pub mod connect;
pub mod listen;
pub mod read_ahead;
pub mod tls;
