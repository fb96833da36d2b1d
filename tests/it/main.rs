//! Behaviour over real sockets. This file is the table of contents.
//!
//! Every test starts what it needs on port 0: a gateway in this process, an application that echoes what it got, an
//! authorization server. No fixed ports, no retries, no sleeping for luck.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking and tells what it left out by printing"
)]

#[allow(dead_code, unused_imports, reason = "a harness offers some knobs that no test turns at the moment")]
mod harness;

/// The source tree itself: floors, module docs, the clock, documents that run.
mod house;

/// The harness tells the truth: the issuer signs, rotates and counts, the upstream records.
mod harness_works;

// The ten ordering laws of the journey, one test each.
mod laws;

// From host, path and method to a route, and everything that must not get through.
mod hosts;
mod paths;
mod routing;
mod spellings;

// Tokens: what is refused, and how.
mod introspection;
mod key_sets;
mod token_rules;
mod tokens_generated;
mod verification;

// Renewal: the protocol with an issuer that misbehaves, and under load with a real one.
mod raw_cookies;
mod refresh;
mod refresh_reuse;
mod refresh_torture;
mod refresh_trouble;

// Several instances that share their records of renewals in a real Redis, and what becomes of them without it.
mod fleet;
mod fleet_costs;
mod fleet_denials;
mod fleet_example;
mod fleet_faults;
mod fleet_secrets;
mod fleet_servers;
mod fleet_store;
mod fleet_trouble;
mod fleet_versions;

// Users of Usher's own, and the command that keeps them.
mod local_issuer;
mod local_issuer_page;
mod local_issuer_second_factor;
mod user_command;
// An application's own login; sign-in at an authorization server, a real one and one that misbehaves.
mod client_keys;
mod keycloak;
mod login;
mod resend;
mod sign_in;
mod sign_in_attacks;
mod sign_in_bounds;

// Signing in again, in another way or more recently, where a route asks for it.
mod step_up;
mod step_up_attacks;
mod step_up_elsewhere;

// Signing out: here, at the issuer, by the issuer, over a restart, and with everything that is still open.
mod sign_out;
mod sign_out_by_issuer;
mod sign_out_restart;
mod sign_out_streams;

// Sessions whose tokens are in the store: in memory, in a Redis that instances share, and the command that ends them.
mod server_sessions;
mod server_sessions_fleet;

// A real browser: people sign in and out, and how the pages look.
mod browser;
mod languages;

// Ways in, and ways to sign people out, that were tried on sessions and tokens.
mod attack_session;
mod cookies_generated;

// Who may, and what the application is told.
mod authorization;
mod identity;

// The way to the application and back.
mod client_fields;
mod forwarding;
mod several_addresses;
mod streaming;
mod upstream_trouble;
mod websocket;

// Other proxies that serve the application and ask about each request: their questions, and real ones.
mod forward_auth;
mod forward_auth_attacks;
mod forward_auth_proxies;

// WebSockets by the test suite of the Autobahn project.
mod autobahn;

// Refusals, limits, certificates that an authority issues, the end.
mod acme;
mod answers;
mod certificate_identity;
mod client_certificates;
mod client_certificates_told;
mod drain;
mod framing;
mod limits;
mod rate_limits;
mod reload;
mod reload_files;
mod reload_load;
mod service_manager;

// Frames and bytes that no client library would send, and clients that are slow.
mod http1_bytes;
mod http2_floods;
mod http2_frames;
mod slow_clients;

// What an attacker would try, beyond the rows above.
mod attack_http;

// Targets and headers by the thousand, with real application servers as judges.
mod application_servers;
mod headers_generated;
mod targets_generated;

// Faults of others, at rest and under a load of ordinary requests: the application's, the issuer's.
mod faults_issuer;
mod faults_upstream;

// What the machine does to it: no descriptors, no memory, no disk, no log; a stopped process, a clock that jumps.
mod faults_resources;
mod faults_time;

// Many users at once, and for a long time.
mod crossed_answers;
mod soak;

// What the operator sees, and what nobody ever sees.
mod audit;
mod canaries;
mod commands;
mod configuration_options;
mod demo;
mod diff;
mod diff_agrees;
mod doctor;
mod documents;
mod explain;
mod explain_agrees;
mod import;
mod kubernetes_example;
mod logs;
mod metrics;
mod monitoring;
mod spans;
mod status_page;
mod traces;
mod warnings;

// What the benchmark compares answers rightly.
mod bench;
