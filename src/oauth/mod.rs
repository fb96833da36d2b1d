//! The protocol as data: tokens, bearer credentials, scopes, claims, addresses.
//!
//! No I/O, no clock, no other module of this crate: what stands here could be read beside the RFCs.

pub mod algorithm;
pub mod bearer;
pub mod claims;
pub mod email;
pub mod json;
pub mod signing_key;
pub mod token;

pub use algorithm::Algorithm;
pub use bearer::{BearerError, Challenge};
pub use claims::{ClaimPath, Claims};
pub use email::{EmailDomain, EmailDomainError};
pub use signing_key::SigningKey;
pub use token::{AccessToken, AuthorizationCode, CodeVerifier, RefreshToken, TokenErrorResponse, TokenResponse};
