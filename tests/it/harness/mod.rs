//! What the tests stand on: a gateway, an application behind it, an issuer, a client, all in this process on port 0.
//!
//! Everything that knows how the gateway is built and started is in [`gateway`].

pub(crate) mod application_server;
pub(crate) mod authorization_server;
pub(crate) mod body;
pub(crate) mod browser;
pub(crate) mod certificates;
pub(crate) mod child;
pub(crate) mod chromium;
pub(crate) mod client;
pub(crate) mod cookies;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod issuer;
pub(crate) mod keys;
pub(crate) mod left_out;
pub(crate) mod load;
pub(crate) mod long;
pub(crate) mod metrics;
pub(crate) mod mirror;
pub(crate) mod outer_proxy;
pub(crate) mod pebble;
pub(crate) mod place;
pub(crate) mod port;
pub(crate) mod promtool;
pub(crate) mod random;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod scene;
pub(crate) mod scripted;
pub(crate) mod serve;
pub(crate) mod tokens;
pub(crate) mod totp;
pub(crate) mod upstream;
pub(crate) mod verbatim;
pub(crate) mod wait;

pub(crate) use browser::Browser;
pub(crate) use client::{Answer, Ask, Client, Protocol, get, post};
pub(crate) use cookies::{Jar, SetCookie};
pub(crate) use gateway::Gateway;
pub(crate) use issuer::{Issuer, TokenAnswer};
pub(crate) use left_out::left_out;
pub(crate) use load::Load;
pub(crate) use long::long;
pub(crate) use place::{Place, Process};
pub(crate) use redis::Redis;
pub(crate) use scene::Scene;
pub(crate) use scripted::Scripted;
pub(crate) use upstream::{Seen, Upstream, UpstreamAnswer};
pub(crate) use wait::eventually;
