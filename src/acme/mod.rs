//! Certificates from an authority by ACME (RFC 8555), ordered and renewed without anybody's help.
//!
//! [`Renewals`] knows which certificate is due ([`schedule`]) and orders one at a time ([`order`]), with an account that is
//! made at the first order ([`account`]). What an authority wants to see of a name is in [`Challenges`] for as long as it is
//! wanted; the server answers from there. Account and certificates are files of the state directory ([`kept`]): what is in
//! force stays until its successor is there, whatever goes wrong.
//!
//! This module does *not* put a certificate in force: the server reads the file. It does not know when to look either.

mod account;
mod challenges;
mod directory;
mod error;
mod kept;
mod order;
mod renewals;
mod schedule;
mod transport;

pub use challenges::{Challenges, Showing};
pub use directory::look;
pub use error::OrderError;
pub use renewals::{Ordered, Renewals};
