//! Signing in at an authorization server: authorization code with PKCE, state and nonce bound to the browser (RFC 6749 §4.1,
//! RFC 7636, OIDC Core §3.1, RFC 9207, RFC 9700 §2.1).
//!
//! [`SignIns::begin`] sends a browser away with a sealed cookie, [`SignIns::take`] takes what it brings back, and
//! [`SignIns::complete`] ends up with verified tokens. Beginning a session with them is the business of the
//! [`authenticator`](super::authenticate). This module does *not* know HTTP requests or answers, and keeps nothing between the
//! two: which states are spent is remembered afterwards.

mod asked;
mod attempts;
mod error;
mod first_step;
pub mod kept;
mod pending;
mod response;
mod return_target;
mod secrets;
mod sent;
mod spent;

use std::sync::Arc;

use url::Url;

pub use error::{LoopCause, SignInError};
pub use return_target::{GO_BACK, ReturnTarget};
pub use spent::SpentStates;

use pending::Pending;
use response::AuthorizationResponse;
use secrets::{Seed, code_challenge};

use super::authenticate::{Successor, sid_of};
use super::cookies::FoundCookies;
use super::login::IssuedTokens;
use super::session_cookies::CookieJar;
use super::step_up::SignInFacts;
use super::verify::{IdTokenError, Verifier};
use crate::clock::Clock;
use crate::config::{self, Authentication, Cookies, IssuerId};
use crate::issuer::local::{FirstStep, Local};
use crate::issuer::{AuthorizationRequest, Issuer};
use crate::oauth::{Claims, TokenResponse};
use crate::session::{SealError, Sealer};

/// Where browsers come back to, on every site.
pub const CALLBACK: &str = "/.usher/callback";
/// Being asked to sign in is not the wish for an identity (OIDC Core §3.1.2.1): without this word there is no ID token.
const OPENID: &str = "openid";

/// Sign-ins at authorization servers.
pub struct SignIns {
    sealer: Sealer,
    /// Whether the cookies of a session keep what an ID token says of its sign-in.
    keeps_facts: bool,
    verifier: Arc<Verifier>,
    spent: Arc<SpentStates>,
    clock: Clock,
}

/// What a browser has brought back of a sign-in that it has begun here. The rest is still to be looked at.
pub struct Returned {
    pending: Pending,
    response: AuthorizationResponse,
}

/// A sign-in that has succeeded. Its session is still to begin.
pub struct Completed {
    /// Who has signed the user in.
    pub issuer: IssuerId,
    /// The tokens, verified.
    pub tokens: IssuedTokens,
    /// Where the browser wanted to go.
    pub return_target: ReturnTarget,
    subject: Box<str>,
    attempt: u8,
}

impl SignIns {
    /// With what the configuration says of sessions, the verifier that looks at every other token, and the states that are
    /// spent already.
    ///
    /// # Errors
    /// [`SealError`] when no key can be made of the secrets.
    pub fn new(
        session: &config::Session,
        verifier: Arc<Verifier>,
        spent: Arc<SpentStates>,
        clock: Clock,
    ) -> Result<Self, SealError> {
        let keeps_facts = !matches!(session.cookies, Cookies::Raw { .. });
        Ok(Self { sealer: Sealer::new(&session.secrets)?, keeps_facts, verifier, spent, clock })
    }

    /// Where to send a browser that is to sign in, in the way that is `asked` for, and then come back to `return_target` on the
    /// site of this origin. The jar receives what binds the two.
    ///
    /// # Errors
    /// [`SignInError`]; the jar has nothing new then.
    pub async fn begin(
        &self,
        issuer: IssuerId,
        (origin, return_target): (&str, ReturnTarget),
        asked: Authentication,
        found: &FoundCookies,
        jar: &mut CookieJar,
    ) -> Result<Url, SignInError> {
        let issuer = self.verifier.issuers().by_id(issuer).ok_or(SignInError::NotOffered)?;
        let endpoint = issuer.authorization_endpoint().await.map_err(SignInError::NoAuthorization)?;
        let now = self.clock.now();
        let attempt = attempts::next(&self.sealer, found, now).unwrap_or(1);
        let (seed, name) = (Seed::random()?, Box::from(&*issuer.config().name));
        let origin = Box::from(origin);
        let pending = Pending { seed, issuer: name, origin, return_target, started_at: now, attempt, asked };
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri(&pending.origin),
            state: &pending.seed.state(),
            nonce: &pending.seed.nonce(),
            code_challenge: &code_challenge(&pending.seed.verifier()),
            asked: &pending.asked,
        };
        let url = issuer.authorization_url(endpoint, request).await.map_err(SignInError::NoAuthorization)?;
        pending.keep(&self.sealer, found, jar)?;
        Ok(url)
    }

    /// Whether this browser has just signed in so often that once more would not help. If so, it is forgotten: the next one
    /// may try again.
    pub fn is_looping(&self, found: &FoundCookies, jar: &mut CookieJar) -> bool {
        let is_looping = attempts::next(&self.sealer, found, self.clock.now()).is_none();
        if is_looping {
            attempts::forget(jar);
        }
        is_looping
    }

    /// Takes what a browser has brought back to the site of this origin: it must belong to this browser and this site.
    ///
    /// # Errors
    /// [`SignInError`]; nobody knows where the browser wanted to go then.
    pub fn take(
        &self,
        query: &str,
        origin: &str,
        found: &FoundCookies,
        jar: &mut CookieJar,
    ) -> Result<Returned, SignInError> {
        let response = AuthorizationResponse::parse(query).ok_or(SignInError::Malformed)?;
        let pending = Pending::take(&response.state, &self.sealer, found, jar).ok_or(SignInError::Unknown)?;
        if *pending.origin == *origin { Ok(Returned { pending, response }) } else { Err(SignInError::OtherSite) }
    }

    /// Makes tokens of it. Nothing is sent anywhere unless the response is that of the issuer that was asked, and comes for the
    /// first time: the state is spent then, whatever comes of it.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn complete(&self, returned: Returned) -> Result<Completed, SignInError> {
        let Returned { pending, response } = returned;
        if pending.is_over(self.clock.now()) {
            return Err(SignInError::Expired);
        }
        let mut issuers = self.verifier.issuers().iter();
        let issuer = issuers.find(|issuer| *issuer.config().name == *pending.issuer).ok_or(SignInError::OtherSite)?;
        let endpoint = issuer.authorization_endpoint().await.map_err(SignInError::NoAuthorization)?;
        let is_its_own = match &response.issuer {
            Some(name) => *name == issuer.config().issuer,
            None => !endpoint.names_issuer,
        };
        if !is_its_own {
            return Err(SignInError::OtherIssuer);
        }
        let code = response.outcome.map_err(SignInError::Refused)?;
        if !self.spent.spend(&pending.seed.state(), self.clock.instant()) {
            return Err(SignInError::Repeated);
        }
        let redirect_uri = redirect_uri(&pending.origin);
        let answer = issuer.exchange_code(&code, &redirect_uri, &pending.seed.verifier()).await?;
        let (subject, tokens) = self.verify(issuer, answer, &pending).await?;
        let Pending { return_target, attempt, .. } = pending;
        Ok(Completed { issuer: issuer.id(), tokens, return_target, subject, attempt })
    }

    /// Notes in the browser that a session has begun, so that a loop is told from a success.
    ///
    /// # Errors
    /// [`SignInError::Seal`]
    pub fn note_completed(&self, completed: &Completed, jar: &mut CookieJar) -> Result<(), SignInError> {
        Ok(attempts::note(completed.attempt, &self.sealer, self.clock.now(), jar)?)
    }

    /// The same for a sign-in that Usher itself has seen, with no authorization server in between.
    ///
    /// # Errors
    /// [`SignInError`] when there is no randomness.
    pub fn note_signed_in(&self, found: &FoundCookies, jar: &mut CookieJar) -> Result<(), SignInError> {
        let attempt = attempts::next(&self.sealer, found, self.clock.now()).unwrap_or(1);
        Ok(attempts::note(attempt, &self.sealer, self.clock.now(), jar)?)
    }

    /// Keeps in the browser that a password was right, until the one-time password follows.
    ///
    /// # Errors
    /// [`SignInError::Seal`]
    pub fn keep_first_step(&self, first: &FirstStep, local: &Local, jar: &mut CookieJar) -> Result<(), SignInError> {
        Ok(first_step::keep(first, local.name(), &self.sealer, jar)?)
    }

    /// What was kept of that, unless it is over.
    #[must_use]
    pub fn first_step(&self, local: &Local, found: &FoundCookies) -> Option<FirstStep> {
        let first = first_step::find(local.name(), &self.sealer, found)?;
        (!first.is_over(self.clock.now())).then_some(first)
    }

    /// Takes it out of the browser.
    pub fn forget_first_step(&self, jar: &mut CookieJar) {
        first_step::forget(jar);
    }

    /// The ID token, and the token that says who somebody is like any that is presented (law 4): both must be about the same
    /// user, who is returned, with the tokens of the session.
    async fn verify(
        &self,
        issuer: &Issuer,
        answer: TokenResponse,
        pending: &Pending,
    ) -> Result<(Box<str>, IssuedTokens), SignInError> {
        let (id, now) = (issuer.id(), self.clock.now());
        let claims = match &answer.id_token {
            Some(id_token) => {
                let (id_token, access_token) = (id_token.expose(), &answer.access_token);
                Some(self.verifier.verify_new_id_token(id_token, id, &pending.seed.nonce(), access_token, now).await?)
            }
            None if asks_for_identity(issuer.config()) => return Err(IdTokenError::Missing.into()),
            None => None,
        };
        let token = answer.identity_token(&issuer.config().identity).ok_or(IdTokenError::Missing)?;
        let verified = self.verifier.verify(token.expose(), &[id], now).await.map_err(SignInError::of_access_token)?;
        let subject = verified.claims.subject();
        let is_other = |claims: &Claims| claims.subject() != subject;
        if subject.is_some() && claims.as_ref().is_some_and(is_other) {
            return Err(IdTokenError::OtherSubject.into());
        }
        let facts = claims.as_ref().map(SignInFacts::of).unwrap_or_default();
        self.check_asked(issuer.config(), claims.as_ref(), (&verified.claims, facts), &pending.asked)?;
        let (access, sid) = (token.clone(), claims.as_ref().and_then(sid_of));
        Ok((subject.unwrap_or_default().into(), IssuedTokens { access, refresh: answer.refresh_token, sid, facts }))
    }
}

impl Returned {
    /// Where the browser wanted to go.
    #[must_use]
    pub const fn return_target(&self) -> &ReturnTarget {
        &self.pending.return_target
    }

    /// What sort of sign-in was asked for.
    #[must_use]
    pub const fn asked(&self) -> &Authentication {
        &self.pending.asked
    }

    /// The short name of the issuer that was asked.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.pending.issuer
    }
}

impl Completed {
    /// The tokens as those that take the place of a session.
    #[must_use]
    pub fn successor(&self) -> Successor<'_> {
        Successor { tokens: &self.tokens, grant: Some((self.issuer, &self.subject)) }
    }
}

fn redirect_uri(origin: &str) -> String {
    format!("{origin}{CALLBACK}")
}

fn asks_for_identity(issuer: &config::Issuer) -> bool {
    issuer.client.as_ref().is_some_and(|client| client.scopes.iter().any(|word| word == OPENID))
}
