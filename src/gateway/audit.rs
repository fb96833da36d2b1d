//! The lines of the audit log that are about a request: who has signed in and out, and what was refused.
//!
//! They go where the access log goes, under the target of [`crate::audit`], and show a subject as that does. A password, what
//! somebody typed as a name, a token, the id of a session: never (law 8).

use std::sync::Arc;

use super::access_log::{AccessLog, Record};
use super::exchange::Exchange;
use super::verify::QuestionError;
use super::{Gateway, Rejection};
use crate::audit::{Event, TARGET};
use crate::auth::authenticate::Identity;
use crate::auth::sign_in::SignInError;
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::LogoutTokenError;
use crate::config::{Config, IssuerId};
use crate::forwarding::chain;
use crate::issuer::local::NotSignedIn;

/// In what way somebody signs in.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// At an authorization server.
    AuthorizationCode,
    /// At the application's own login.
    LoginService,
    /// Here, as a user of Usher's own.
    Password,
}

/// Who wanted a session to end.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// Whoever had it.
    User,
    /// The issuer, in the user's browser.
    FrontChannel,
    /// The issuer, from server to server.
    BackChannel,
    /// Whoever keeps the users file.
    Administrator,
}

/// Somebody has signed in; the exchange knows who.
pub(super) fn signed_in(exchange: &Exchange<'_>, way: Way, identity: &Identity) {
    let event = Event::SignIn.happens();
    let record = &exchange.record;
    tracing::info!(
        target: TARGET,
        event,
        request_id = exchange.id(),
        client = &*record.client,
        host = host(record),
        issuer = record.issuer.as_deref(),
        subject = record.subject.as_deref(),
        way = way.name(),
        acr = identity.token.claims.text("acr"),
        "signed in"
    );
}

/// Somebody's session has ended by their own wish, or their issuer's.
pub(super) fn signed_out(exchange: &Exchange<'_>, by: By, issuer: Option<IssuerId>, subject: Option<&str>) {
    let event = Event::SignOut.happens();
    let (record, gateway) = (&exchange.record, exchange.gateway());
    let issuer = issuer.and_then(|issuer| gateway.config.issuers.get(issuer.0)).map(|issuer| &*issuer.name);
    let subject = shown(gateway, subject);
    tracing::info!(
        target: TARGET,
        event,
        request_id = exchange.id(),
        client = &*record.client,
        host = host(record),
        issuer,
        subject = subject.as_deref(),
        by = by.name(),
        "signed out"
    );
}

/// A session was to end, and could not be found: it goes on.
pub(super) fn not_signed_out(exchange: &Exchange<'_>, by: By, error: &Unauthenticated) {
    let event = Event::SignOutFailed.happens();
    let record = &exchange.record;
    tracing::warn!(
        target: TARGET,
        event,
        request_id = exchange.id(),
        client = &*record.client,
        host = host(record),
        by = by.name(),
        reason = chain(error),
        fault = "store",
        "not signed out"
    );
}

/// The session of somebody has ended because the users file says so.
pub(super) fn signed_out_by_administrator(gateway: &Gateway, issuer: &str, subject: &str) {
    let event = Event::SignOut.happens();
    let subject = shown(gateway, Some(subject));
    tracing::info!(
        target: TARGET,
        event,
        issuer,
        subject = subject.as_deref(),
        by = By::Administrator.name(),
        "the session of a user who is gone, disabled or changed has ended"
    );
}

/// What an administrator does by a command, which is a process of its own.
pub struct CommandAudit {
    access_log: AccessLog,
}

impl CommandAudit {
    /// Shows subjects as the log of this configuration does.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { access_log: AccessLog::new(config.log.subject, config.session.secrets.first()) }
    }

    /// A session has ended, or all that somebody has. Whose it was is not known of one that is not in the store.
    pub fn signed_out(&self, of: Option<(&str, &str)>) {
        let event = Event::SignOut.happens();
        let (issuer, subject) = of.unzip();
        let subject = subject.and_then(|subject| self.access_log.subject(subject));
        tracing::info!(
            target: TARGET,
            event,
            issuer,
            subject = subject.as_deref(),
            by = By::Administrator.name(),
            "signed out"
        );
    }
}

/// A request ends with this rejection, which may be of interest to an auditor.
pub(super) fn rejected(exchange: &Exchange<'_>, rejection: &Rejection, (reason, fault): (&str, &'static str)) {
    let Some(event) = event_of(rejection).filter(|_| exchange.is_audited) else { return };
    let event = event.happens();
    let record = &exchange.record;
    let known = shown(exchange.gateway(), subject_of(rejection));
    tracing::info!(
        target: TARGET,
        event,
        request_id = exchange.id(),
        client = &*record.client,
        host = host(record),
        route = record.route.as_deref(),
        issuer = record.issuer.as_deref(),
        subject = record.subject.as_deref().or(known.as_deref()),
        reason,
        fault,
        "refused"
    );
}

fn shown(gateway: &Gateway, subject: Option<&str>) -> Option<Arc<str>> {
    subject.and_then(|subject| gateway.access_log.subject(subject))
}

fn host(record: &Record) -> Option<&str> {
    record.target.as_ref().map(|target| &*target.host)
}

/// Whom a rejection is about, where only that knows: whoever gave the right password.
fn subject_of(rejection: &Rejection) -> Option<&str> {
    match rejection {
        Rejection::NotSignedIn(NotSignedIn::WrongCode { subject }) => Some(subject),
        Rejection::NotSignedIn(NotSignedIn::Throttled { subject, .. }) => subject.as_deref(),
        _ => None,
    }
}

/// What an auditor calls a rejection. `None`: it says nothing about anybody's right to anything, or nothing that is not
/// everyday (a token whose time is up, a page that asks to sign in).
const fn event_of(rejection: &Rejection) -> Option<Event> {
    match rejection {
        Rejection::Unauthenticated(Unauthenticated::Token(error))
        | Rejection::LogoutToken(LogoutTokenError::Token(error))
            if !error.is_suspect() =>
        {
            None
        }
        Rejection::Malformed(_)
        | Rejection::UnknownHost
        | Rejection::OtherHandshake
        | Rejection::CertificateExpired
        | Rejection::NoPath
        | Rejection::AmbiguousPath
        | Rejection::Method { .. }
        | Rejection::RateLimited(_)
        | Rejection::Unauthenticated(
            Unauthenticated::NoCredentials
            | Unauthenticated::RenewalNotAllowed
            | Unauthenticated::IssuerUnavailable { .. }
            | Unauthenticated::Unverified { .. }
            | Unauthenticated::StoreAway { .. }
            | Unauthenticated::Unkept(_)
            | Unauthenticated::NoRandomness(_),
        )
        | Rejection::InsufficientAuthentication(_)
        | Rejection::UnspeakableClaim(_)
        | Rejection::Assertion(_)
        | Rejection::BodyTooLarge
        | Rejection::Forward(_)
        | Rejection::SignIn(SignInError::NotOffered | SignInError::NoNavigation | SignInError::NotAskedFor)
        | Rejection::SignInRequest
        | Rejection::CookiesNotKept
        | Rejection::NotSignedIn(NotSignedIn::CodeNeeded(_))
        | Rejection::LogoutRequest
        | Rejection::NotForwarded
        | Rejection::Question(
            QuestionError::NoQuestion
            | QuestionError::Missing(_)
            | QuestionError::Unreadable(_)
            | QuestionError::Contradiction(_)
            | QuestionError::LoginPassesBy
            | QuestionError::Overtaken,
        )
        | Rejection::NoEndpoint
        | Rejection::Internal => None,
        Rejection::Credentials(_)
        | Rejection::CrossSite
        | Rejection::Forbidden(_)
        | Rejection::NoSubject
        | Rejection::Unauthenticated(
            Unauthenticated::Certificate(_) | Unauthenticated::Token(_) | Unauthenticated::UnreadableCookies(_),
        )
        | Rejection::LogoutToken(_)
        | Rejection::Question(QuestionError::Stranger | QuestionError::Impostor(_)) => Some(Event::Refused),
        Rejection::Unauthenticated(Unauthenticated::SessionEnded(_)) => Some(Event::SessionEnded),
        Rejection::NotSignedIn(NotSignedIn::WrongCode { .. } | NotSignedIn::Throttled { subject: Some(_), .. }) => {
            Some(Event::SecondFactorFailed)
        }
        Rejection::SignIn(_)
        | Rejection::NotBegun(_)
        | Rejection::LoginTokens(_)
        | Rejection::LoginAnswer
        | Rejection::NotSignedIn(_) => Some(Event::SignInFailed),
    }
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::LoginService => "login_service",
            Self::Password => "password",
        }
    }
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::FrontChannel => "issuer_front_channel",
            Self::BackChannel => "issuer_back_channel",
            Self::Administrator => "administrator",
        }
    }
}
