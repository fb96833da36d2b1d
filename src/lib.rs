//! Usher stands in front of unmodified web applications: it terminates TLS, verifies the access token of every request,
//! renews it quietly when it has expired, and forwards the user's claims as plain headers.
//!
//! # The journey of a request
//!
//! ```text
//! client ──TLS──▶ server ─▶ gateway::handle ─────────────────────────────────────────────▶ upstream
//!                             1 admit            Host, target, framing are sane; one canonical path
//!                             2 strip            remove every header that only Usher may say
//!                             3 find route       host + path + method → route; nothing found → refused; limits by address count
//!                             4 credentials      Authorization header, cookies → presented tokens
//!                             5 authenticate     verify │ expired or absent: refresh, then verify the new one
//!                             6 authorize        what the route requires of the claims and of the sign-in
//!                             7 prepare          hop-by-hop out, own cookies out, identity and forwarding headers in
//!                             8 forward          pooled, timed, streamed, upgraded
//!         ◀──────── renewed cookies on *every* outcome, hop-by-hop out, caching made safe ◀────
//!                             any step may end in a Rejection; one total match turns it into a response
//! ```
//!
//! # Floors
//!
//! Each folder imports from lower floors only; folders on one floor do not import each other. A test holds this.
//!
//! | floor | folders |
//! |---|---|
//! | 8 | `fuzzing`: what the fuzzers hold the crate to; not in the product |
//! | 7 | `commands`: serve, demo, check, diff, explain, doctor, user, session, import, schema, health |
//! | 6 | `server`: sockets to requests · `admin`: health, metrics and the status page, on its own listener |
//! | 5 | `gateway`: the journey, rejections, pages, access log, endpoints, explanations, answers to other proxies that ask |
//! | 4 | `auth`: credentials, sign-in, verification, renewal, authorisation, identity headers · `acme`: certificates from an authority |
//! | 3 | `issuer`: discovery, key sets, token endpoint, introspection · `session`: sealing, renewal records, sessions in the store, denials, the server that instances share |
//! | 2 | `routing`: host, path, method to route · `forwarding`: the upstream side |
//! | 1 | `config`: the checked configuration |
//! | 0 | `oauth`: the protocol as data · `clock` · `tasks`: background work · `state`: files that survive a restart · `service_manager`: what it is told, and the sockets that it opens · `tally`: counting · `printable`: others' texts, fit to be shown · `audit`: the events of security |
//!
//! # Glossary
//!
//! A client *presents* a token, Usher *verifies* it, that *authenticates* the request, then the route *authorizes* it.
//! *Validation* is for configuration. A refresh token is *spent* once it was sent to the token endpoint; a *renewal* is
//! the outcome of spending it.

pub mod acme;
pub mod admin;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod commands;
pub mod config;
pub mod forwarding;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gateway;
pub mod issuer;
pub mod oauth;
pub mod printable;
pub mod routing;
pub mod server;
pub mod service_manager;
pub mod session;
pub mod state;
pub mod tally;
pub mod tasks;
