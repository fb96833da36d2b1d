//! The upstream side: one request goes out, one answer comes back, both streamed.
//!
//! [`Upstreams`] is what all worker threads share: addresses, TLS settings, and how each address is. Each worker has a
//! [`Forwarder`] with connection pools of its own, which only its thread uses, so that nothing on the way of a request
//! is contended. An HTTP/1.1 connection is driven by the task of the request that uses it, first from
//! [`Forwarder::send`], then from [`UpstreamBody`] while that is polled; it is parked again once both messages are
//! complete. An HTTP/2 connection is shared by all requests of the worker and driven by a task of its own.
//!
//! The bodies carry the promises of the proxy: they stream with back-pressure, they never wait for ever, and a body that
//! was cut short ends in an error, never in a clean end ([`RequestBody`], [`UpstreamBody`]).
//!
//! This module does *not* know routes, tokens or rejections. It does not decide which headers pass either, except
//! through what the gateway calls on the way: [`hop_by_hop`], [`forwarded`], [`upgrade`].

mod affinity;
mod arriving;
mod backend;
mod balance;
mod body;
mod budget;
mod checks;
mod client_address;
mod condition;
mod connect;
mod error;
mod examination;
pub mod forwarded;
mod forwarder;
mod framing;
mod health;
pub mod hop_by_hop;
mod http1;
mod http2;
mod parked;
mod pool;
mod request_body;
mod resolution;
mod response_timer;
mod room;
mod session_body;
mod session_watch;
mod silence;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod trailers;
mod tunnel;
pub mod upgrade;
mod upload;
mod upstream_body;
mod upstreams;
mod websocket_frames;

pub use affinity::Affinity;
pub use body::Body;
pub use client_address::network;
pub use condition::AddressFailure;
pub use error::{BodyError, ConnectError, Fault, ForwardError, chain};
pub use examination::{Examination, Tried};
pub use forwarder::Forwarder;
pub use health::{AddressHealth, AddressState};
pub use request_body::{BodyTooLarge, RequestBody, TrailerFilter};
pub use tls::UpstreamTlsError;
pub use upstream_body::UpstreamBody;
pub use upstreams::Upstreams;
