//! From presented credentials to an authorised identity.
//!
//! [`credentials`] reads what the request presents, [`authenticate`](authenticate::Authenticator::authenticate) verifies
//! or renews it, [`authorize`](authorize::authorize) decides,
//! [`step_up`] asks how and when they have signed in, [`identity_headers`] says who it is to the application;
//! [`sign_in`] gets the first tokens of a session.
//! Nothing here knows HTTP responses: refusals are types that the gateway turns into answers.

pub mod assertion;
pub mod authenticate;
pub mod authority;
pub mod authorize;
pub mod certificate;
pub mod cookies;
pub mod credentials;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod identity_headers;
pub mod login;
pub mod origin;
pub mod refresh;
pub mod session_cookies;
pub mod sign_in;
pub mod step_up;
pub mod ticket;
pub mod unauthenticated;
pub mod verify;
