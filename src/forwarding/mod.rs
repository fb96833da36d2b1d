//! The upstream side of the proxy.
