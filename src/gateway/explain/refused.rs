//! Which step a refusal is of.

use super::explanation::{Check, Explanation};
use crate::auth::sign_in::SignInError;
use crate::auth::unauthenticated::Unauthenticated;
use crate::forwarding::chain;
use crate::gateway::Rejection;

/// Tells of the step that has failed, unless what was told before says it: which sites and routes there are, each condition,
/// and how far the verification of a token has come.
pub(super) fn tell(rejection: &Rejection, told: &mut Explanation) {
    let (step, what) = match rejection {
        Rejection::UnknownHost
        | Rejection::NoPath
        | Rejection::AmbiguousPath
        | Rejection::Method { .. }
        | Rejection::Unauthenticated(Unauthenticated::Token(_))
        | Rejection::Forbidden(_)
        | Rejection::InsufficientAuthentication(_)
        | Rejection::SignIn(SignInError::UnmetHere(_)) => return,
        Rejection::Malformed(_) => ("admit", "a request that is served"),
        Rejection::OtherHandshake | Rejection::CertificateExpired => ("admit", "the client certificate is in its time"),
        Rejection::Question(_) => ("route", "fields of the client"),
        Rejection::Credentials(_) => ("credentials", "one credential"),
        Rejection::CrossSite => ("credentials", "sent by the site itself"),
        Rejection::Unauthenticated(_) => ("authenticate", "credentials"),
        _ => ("prepare", "the request for the application"),
    };
    told.checks.push(Check::of(step, what, false).seen(chain(rejection)));
}
