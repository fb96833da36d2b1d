//! The upstream side over real sockets. Upstreams are written by hand, byte by byte, so that they can misbehave.

mod bodies;
mod connections;
mod harness;
mod http2;
mod reuse;
mod timeouts;
mod truncation;
mod tunnels;
