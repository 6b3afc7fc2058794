//! Sockets, TLS and the buffers into which workers read.

pub mod buffer;
pub mod client_stream;
pub mod connect;
pub mod exchangers;
pub mod listen;
pub mod network;
pub mod own_addresses;
#[cfg(test)]
pub(crate) mod props;
pub mod read_ahead;
pub mod tls;
