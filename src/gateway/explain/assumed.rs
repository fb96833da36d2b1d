//! What is taken as presented beside what the request itself carries.

use std::sync::Arc;

use crate::auth::authenticate::{Identity, Source};
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::VerifiedToken;
use crate::clock::Timestamp;
use crate::config::{CERTIFICATE_ISSUER, IssuerId};
use crate::oauth::{AccessToken, Claims};

/// What is presented.
#[derive(Clone, Debug)]
pub enum Presented {
    /// What the request itself carries, and nothing else.
    AsSent,
    /// A token with these claims, taken as if it had been verified. Whose it is, says `iss`; without that, the first issuer of
    /// the route is meant.
    Claims(Claims),
    /// What is not known any more, but that it counted as a token of the issuer of this name, by the configuration of then.
    OfIssuer(String),
    /// The same, and it is taken to count still: who lets in everybody of that issuer forwards the request.
    StillOfIssuer(String),
    /// Something that is not known any more, if anything.
    Unseen,
}

impl Presented {
    /// What was presented with a request of which no more is known than the issuer whose token it was, if one counted, and why
    /// it was refused, if it was.
    #[must_use]
    pub fn of_log(issuer: Option<&str>, reason: Option<&str>) -> Self {
        match (issuer, reason) {
            // The log does not keep certificates.
            (Some(issuer), _) if issuer.starts_with(CERTIFICATE_ISSUER) => Self::Unseen,
            (Some(issuer), _) => Self::OfIssuer(issuer.to_owned()),
            (None, Some(reason)) if reason == Unauthenticated::NoCredentials.to_string() => Self::AsSent,
            (None, _) => Self::Unseen,
        }
    }
}

/// An identity of these claims, which somebody vouches for who need not be asked.
pub(super) fn identity(claims: Claims, (issuer, source): (IssuerId, Source)) -> Identity {
    let token = VerifiedToken::new(AccessToken::new(""), issuer, claims, Timestamp(u64::MAX));
    Identity { token: Arc::new(token), session: None, source }
}
