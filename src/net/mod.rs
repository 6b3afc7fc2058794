//! Sockets, TLS and the buffers into which workers read.

pub mod buffer;
pub mod client_stream;
pub mod connect;
pub mod egress;
pub mod exchangers;
pub mod listen;
pub mod network;
pub mod networks;
pub mod own_addresses;
pub mod peer;
#[cfg(test)]
pub(crate) mod props;
pub mod proxy_header;
pub mod read_ahead;
pub mod resolver;
pub mod socket;
pub mod tls;
