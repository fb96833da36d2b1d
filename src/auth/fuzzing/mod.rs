//! What is expected of credentials, whatever a client presents.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a promise that is broken is a panic, and a fuzzer's only way to tell"
)]

mod cookie;
mod token;

pub use cookie::cookie;
pub use token::token;
