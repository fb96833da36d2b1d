//! Why a request is not answered by the application.
//!
//! Each variant says whose fault it is. The form of the answer is the business of [`answer`](super::answer).

use http::HeaderValue;

use super::access_log::Cause;
use super::admit::AdmitError;
use super::rate_limits::RateExceeded;
use super::verify::QuestionError;
use crate::auth::assertion::AssertionError;
use crate::auth::authorize::Refusal;
use crate::auth::credentials::CredentialsError;
use crate::auth::identity_headers::ClaimTooLong;
use crate::auth::sign_in::SignInError;
use crate::auth::step_up::Insufficient;
use crate::auth::unauthenticated::{SessionEnd, Unauthenticated};
use crate::auth::verify::LogoutTokenError;
use crate::forwarding::{BodyTooLarge, Fault, ForwardError};
use crate::issuer::local::NotSignedIn;
use crate::issuer::{AuthorizationError, PushError};
use crate::routing::NoRoute;

/// A request that ends here.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The request can be read in more than one way. The client.
    #[error(transparent)]
    Malformed(#[from] AdmitError),
    /// There is no such site. The client, or the operator's DNS.
    #[error("no site of this gateway has this host")]
    UnknownHost,
    /// The connection was opened under other terms than those of the site: under another name, or before they changed. The
    /// client.
    #[error("the connection was opened for another site than the request is for")]
    OtherHandshake,
    /// The certificate of the connection has expired since the handshake. The client.
    #[error("the certificate that this connection was opened with has expired")]
    CertificateExpired,
    /// No route covers the path. The client, or the operator's file.
    #[error("no route covers this path")]
    NoPath,
    /// The path means one route with its parameters and another without them. The client.
    #[error("the path's parameters change what it means")]
    AmbiguousPath,
    /// The path has routes, but none for this method. The client.
    #[error("no route at this path is for this method")]
    Method {
        /// The methods that there are routes for.
        allow: HeaderValue,
    },
    /// More requests than a rate limit allows. The client.
    #[error(transparent)]
    RateLimited(#[from] RateExceeded),
    /// Several credentials, or a malformed one. The client.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Another site made the browser send this. The other site.
    #[error("another site made the browser send this request")]
    CrossSite,
    /// Not authenticated; the variant inside says whose fault it is.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// Authenticated, and not allowed. The client.
    #[error(transparent)]
    Forbidden(#[from] Refusal),
    /// Authenticated and allowed, but not signed in as the route wants: another sign-in can mend that. The client.
    #[error(transparent)]
    InsufficientAuthentication(#[from] Insufficient),
    /// The application is to be told the subject, and the token names none. The issuer.
    #[error("the token names no subject, which the application is to be told")]
    NoSubject,
    /// A claim cannot be said in a header. The issuer.
    #[error(transparent)]
    UnspeakableClaim(ClaimTooLong),
    /// The identity cannot be signed for the application. The issuer, or us; the cause says.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// The request body is larger than the route allows. The client.
    #[error("the request body is larger than this route allows")]
    BodyTooLarge,
    /// The application could not be asked, or its answer not be had; the variant inside says whose fault it is.
    #[error(transparent)]
    Forward(ForwardError),
    /// The application's login gave out tokens that do not count. The operator, or the login service.
    #[error("the login service gave out tokens that Usher does not accept")]
    LoginTokens(#[source] Unauthenticated),
    /// The application's login answered with more than can be searched for tokens. The upstream.
    #[error("the answer of the login service cannot be read")]
    LoginAnswer,
    /// A sign-in does not begin, or comes to nothing; the variant inside says whose fault it is.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// Somebody has signed in, and no session can begin with that; the variant inside says whose fault it is.
    #[error(transparent)]
    NotBegun(Unauthenticated),
    /// The sign-in is not the JSON that it should be. The client.
    #[error("the sign-in cannot be read")]
    SignInRequest,
    /// Somebody signs in with a browser that does not keep cookies. The client.
    #[error("the browser does not keep cookies of this site")]
    CookiesNotKept,
    /// The local issuer signs nobody in; the variant inside says whose fault it is.
    #[error(transparent)]
    NotSignedIn(#[from] NotSignedIn),
    /// What an issuer says about somebody's sign-out has no form that can be read. Whoever sends it.
    #[error("the logout request cannot be read")]
    LogoutRequest,
    /// What an issuer says about somebody's sign-out does not count; the variant inside says whose fault it is.
    #[error(transparent)]
    LogoutToken(#[from] LogoutTokenError),
    /// Another proxy serves the route, and only asks here whether it may. Whoever sends the request here.
    #[error(
        "the route has no upstream: the proxy that serves it asks at listen.verify, and forwards the request itself"
    )]
    NotForwarded,
    /// Another proxy's question is none that can be answered; the variant inside says whose fault it is.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// One of Usher's own paths, and nothing is there. The client.
    #[error("there is no such endpoint of Usher")]
    NoEndpoint,
    /// Usher itself could not build a message. Us.
    #[error("internal error")]
    Internal,
}

impl Rejection {
    /// Whether it is about somebody's session or sign-in, and so may pass with another one.
    pub(super) const fn is_about_sign_in(&self) -> bool {
        matches!(
            self,
            Self::Unauthenticated(_) | Self::InsufficientAuthentication(_) | Self::SignIn(SignInError::UnmetHere(_))
        )
    }

    /// What it came of.
    pub(super) const fn cause(&self) -> Cause {
        match self {
            Self::RateLimited(_) => Cause::RateLimit,
            Self::InsufficientAuthentication(_) => Cause::NotSignedIn,
            Self::Unauthenticated(why) if why.is_everyday() => Cause::NotSignedIn,
            Self::Malformed(_)
            | Self::OtherHandshake
            | Self::CertificateExpired
            | Self::Credentials(_)
            | Self::CrossSite
            | Self::BodyTooLarge
            | Self::NotForwarded
            | Self::Question(_) => Cause::Unkept,
            // Of a body, and how it came.
            Self::Forward(error) if matches!(error.fault(), Fault::Client) => Cause::Unkept,
            Self::UnknownHost
            | Self::NoPath
            | Self::AmbiguousPath
            | Self::Method { .. }
            | Self::Unauthenticated(_)
            | Self::Forbidden(_)
            | Self::NoSubject
            | Self::UnspeakableClaim(_)
            | Self::Assertion(_)
            | Self::Forward(_)
            | Self::LoginTokens(_)
            | Self::LoginAnswer
            | Self::SignIn(_)
            | Self::NotBegun(_)
            | Self::SignInRequest
            | Self::CookiesNotKept
            | Self::NotSignedIn(_)
            | Self::LogoutRequest
            | Self::LogoutToken(_)
            | Self::NoEndpoint
            | Self::Internal => Cause::Kept,
        }
    }

    /// Whether the log has it already: anybody can have it come again with each visit.
    pub(super) const fn is_said(&self) -> bool {
        matches!(
            self,
            Self::SignIn(SignInError::NoAuthorization(AuthorizationError::NotPushed(PushError::Remembered(_))))
        )
    }
}

impl From<BodyTooLarge> for Rejection {
    fn from(_: BodyTooLarge) -> Self {
        Self::BodyTooLarge
    }
}

impl From<ForwardError> for Rejection {
    fn from(error: ForwardError) -> Self {
        match error {
            ForwardError::SessionOver => Self::Unauthenticated(Unauthenticated::SessionEnded(SessionEnd::Denied)),
            error => Self::Forward(error),
        }
    }
}

impl From<NoRoute> for Rejection {
    fn from(error: NoRoute) -> Self {
        match error {
            NoRoute::UnknownHost => Self::UnknownHost,
            NoRoute::NoPath => Self::NoPath,
            NoRoute::Method { allow } => Self::Method { allow },
            NoRoute::AmbiguousPath => Self::AmbiguousPath,
        }
    }
}
