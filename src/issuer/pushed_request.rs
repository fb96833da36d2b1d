//! Pushing an authorization request to the server before the browser goes there (RFC 9126), where the server offers that: the
//! browser then carries a reference, which nobody on the way can change.
//!
//! Anybody can make Usher do this by opening a page, so only so many are under way at once, and not each is worth a line of
//! the log. A server that does not insist gets the request by the browser when there are more, or when it cannot take a
//! pushed one now; where it insists, they wait for their turn. What it has refused is refused: it would say no to the same
//! request in a URL, or worse, take it. For a few seconds it is not even asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::Issuer;
use super::authorization_code::AuthorizationError;
use super::form::Form;
use super::news::News;
use super::token_endpoint::of_client;
use super::transport::TransportError;
use crate::clock::Clock;
use crate::config::{Client, ClientAuthentication};
use crate::oauth::TokenErrorResponse;

/// Requests under way at one server.
const MOST: usize = 16;
/// How long one that must be pushed waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is one reference.
const LIMIT: usize = 64 * 1024;
/// So long a refusal is remembered.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Refusals that are remembered.
const MOST_REFUSALS: usize = 64;
/// Longer than any reference; the browser carries it in a URL.
const LONGEST: usize = 2_000;

/// Why a request was not pushed. The issuer's, unless it is said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// No whole answer came. The issuer's, or the network's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// It was refused. The operator's most likely: the client's credentials or parameters.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// It was refused, with an error (RFC 9126 §2.3). The operator's most likely.
    #[error("the issuer answered {status} with the error {code:?}{}", remedy.as_ref().map(|see| format!(": {see}")).unwrap_or_default())]
    Refused {
        /// The status.
        status: StatusCode,
        /// The code.
        code: String,
        /// What is to be looked at. `None` where the issuer is in trouble itself.
        remedy: Option<String>,
    },
    /// One like it was refused just now, with this status: the issuer was not asked again, and it has been logged. The
    /// operator's.
    #[error("the issuer answered {0} a moment ago, and was not asked again")]
    Remembered(StatusCode),
    /// A success without a usable `request_uri`.
    #[error("the answer holds no reference to the request")]
    Garbage,
    /// Too many are under way. Whoever opens so many pages.
    #[error("too many requests are being pushed")]
    Busy,
    /// The server wants requests pushed, and does not say where.
    #[error("the discovery document does not say where to push requests to")]
    NoEndpoint,
}

impl PushError {
    /// Whether the server may well take the next one: it has not looked at this one.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Busy => true,
            Self::Status(status) | Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Remembered(_) | Self::Garbage | Self::NoEndpoint => false,
        }
    }
}

#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

/// What is known of pushing to one server.
#[derive(Debug)]
pub(super) struct Pushing {
    permits: Semaphore,
    /// A server that takes none takes none of all.
    not_taken: News,
    refusals: Mutex<Refusals>,
    clock: Clock,
}

/// What the server has refused of late, by what a request says that is not new with each visit. Whoever visits has a part in it
/// (the port of the `Host`, a way to sign in that some route asks for), so one refusal must not speak for another.
#[derive(Debug, Default)]
struct Refusals(HashMap<Box<str>, Refusal>);

#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    until: Instant,
    /// How many visits it has answered.
    spared: u64,
}

impl Pushing {
    pub(super) fn new(clock: Clock) -> Self {
        let (permits, not_taken) = (Semaphore::new(MOST), News::new(clock.clone()));
        Self { permits, not_taken, refusals: Mutex::default(), clock }
    }

    /// A place among those under way, if there is one. What must be pushed waits for it.
    async fn place(&self, must: bool) -> Option<SemaphorePermit<'_>> {
        if must { timeout(PATIENCE, self.permits.acquire()).await.ok()?.ok() } else { self.permits.try_acquire().ok() }
    }

    /// Asks again from now on, whatever was refused.
    pub(super) fn forget_refusals(&self) {
        self.refusals().0.clear();
    }

    /// With what a request like this was refused just now. Counts how often that is asked.
    fn refused(&self, alike: &str) -> Option<StatusCode> {
        let mut refusals = self.refusals();
        let refusal = refusals.0.get_mut(alike).filter(|refusal| self.clock.instant() < refusal.until)?;
        refusal.spared += 1;
        Some(refusal.status)
    }

    /// Remembers a refusal, and says how many visits the one before has answered.
    fn refuse(&self, alike: &str, status: StatusCode) -> u64 {
        let now = self.clock.instant();
        let spared = self.taken(alike);
        let mut refusals = self.refusals();
        if refusals.0.len() >= MOST_REFUSALS {
            refusals.0.retain(|_, refusal| now < refusal.until);
        }
        if refusals.0.len() < MOST_REFUSALS {
            refusals.0.insert(alike.into(), Refusal { status, until: now + REFUSED_FOR, spared: 0 });
        }
        spared
    }

    /// Forgets a refusal, and says how many visits it has answered.
    fn taken(&self, alike: &str) -> u64 {
        self.refusals().0.remove(alike).map_or(0, |refusal| refusal.spared)
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that a browser is to be sent with, or that is pushed instead.
pub(super) struct ToPush<'a> {
    pub(super) client: &'a Client,
    pub(super) redirect_uri: &'a str,
    pub(super) parameters: &'a [(&'a str, &'a str)],
    /// Whether the server takes none from a browser.
    pub(super) must: bool,
}

impl Issuer {
    /// The reference under which the server knows the request; `None` when it is the browser that carries it.
    pub(super) async fn push(
        &self,
        endpoint: Option<Url>,
        request: &ToPush<'_>,
    ) -> Result<Option<String>, AuthorizationError> {
        let (must, alike) = (request.must, alike(request.parameters));
        let outcome = match endpoint {
            Some(endpoint) => match self.pushing.refused(&alike) {
                Some(status) => Err(PushError::Remembered(status)),
                None => self.push_noted(endpoint, request, &alike).await,
            },
            None if must => Err(PushError::NoEndpoint),
            None => return Ok(None),
        };
        match outcome {
            Ok(reference) => Ok(Some(reference)),
            Err(error) if must || !error.is_passing() => Err(AuthorizationError::NotPushed(error)),
            Err(error) => {
                if self.pushing.not_taken.is_news() {
                    tracing::warn!(
                        fault = "issuer",
                        issuer = %self.config.name,
                        %error,
                        "the issuer has not taken a pushed authorization request: the browser carries it"
                    );
                }
                Ok(None)
            }
        }
    }

    /// Pushes, and takes note of what the server says of requests like it.
    async fn push_noted(&self, endpoint: Url, request: &ToPush<'_>, alike: &str) -> Result<String, PushError> {
        let outcome = match self.pushing.place(request.must).await {
            Some(_place) => self.push_to(endpoint, request).await,
            None => Err(PushError::Busy),
        };
        let spared = match &outcome {
            Ok(_) => self.pushing.taken(alike),
            Err(PushError::Status(status) | PushError::Refused { status, .. })
                if status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS =>
            {
                self.pushing.refuse(alike, *status)
            }
            Err(_) => 0,
        };
        if spared > 0 {
            tracing::warn!(
                fault = "operator",
                issuer = %self.config.name,
                redirect_uri = request.redirect_uri,
                visits = spared,
                "nobody could sign in: the issuer had refused the pushed request, and was not asked again for a while"
            );
        }
        outcome
    }

    async fn push_to(&self, endpoint: Url, request: &ToPush<'_>) -> Result<String, PushError> {
        // Where the credentials name the client, its name must not stand in the form twice.
        let is_named = !matches!(request.client.authentication, ClientAuthentication::Basic(_));
        let parameters = request.parameters.iter().filter(|(name, _)| !(is_named && *name == "client_id"));
        let form = parameters.fold(Form::default(), |form, (name, value)| form.with(name, value.as_bytes()));
        let post = self.posted(form, endpoint);
        let answer = self.transport.post(post, LIMIT).await?;
        let status = answer.status;
        if !status.is_success() {
            let code = answer.body.ok().as_deref().and_then(TokenErrorResponse::printable_code);
            return Err(code.map_or(PushError::Status(status), |code| {
                let is_its_own = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                let remedy = (!is_its_own).then(|| remedy(&code, request.redirect_uri));
                PushError::Refused { status, code, remedy }
            }));
        }
        let pushed: Pushed = serde_json::from_slice(&answer.body?).map_err(|_| PushError::Garbage)?;
        Some(pushed.request_uri).filter(|uri| !uri.is_empty() && uri.len() <= LONGEST).ok_or(PushError::Garbage)
    }
}

/// What an operator looks at, by the error. The codes do not tell much apart: that a redirect URI is not registered is
/// `invalid_redirect_uri` to some servers, and `invalid_request`, like so much else, to most.
fn remedy(code: &str, redirect_uri: &str) -> String {
    if let Some(remedy) = of_client(code) {
        return remedy.to_owned();
    }
    match code {
        "invalid_scope" => "see scopes".to_owned(),
        "invalid_target" => "see resource in authorization_parameters".to_owned(),
        "invalid_redirect_uri" => format!("register {redirect_uri} there as a redirect URI of the client"),
        _ => format!("see whether {redirect_uri} is registered there as a redirect URI, and authorization_parameters"),
    }
}

/// What requests have in common that the server cannot tell apart, but by what binds each to its browser.
fn alike(parameters: &[(&str, &str)]) -> String {
    let is_new = |name: &str| matches!(name, "state" | "nonce" | "code_challenge");
    let lasting = parameters.iter().filter(|(name, _)| !is_new(name));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(lasting).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Authentication;
    use crate::issuer::testing::{DISCOVERY, Reply, TestIssuer, issuers};
    use crate::issuer::{AuthorizationRequest, Issuers};
    use futures_util::future::join_all;
    use serde_json::json;

    const PUSH: &str = "/realm/push";

    #[test]
    fn a_refusal_answers_for_a_while_for_its_own_redirect_uri_and_counts() {
        let clock = Clock::stopped();
        let pushing = Pushing::new(clock.clone());
        assert_eq!(pushing.refused("a"), None);
        assert_eq!(pushing.refuse("a", StatusCode::UNAUTHORIZED), 0);
        assert_eq!(
            (pushing.refused("a"), pushing.refused("a")),
            (Some(StatusCode::UNAUTHORIZED), Some(StatusCode::UNAUTHORIZED))
        );
        assert_eq!(pushing.refused("b"), None);
        clock.advance(REFUSED_FOR);
        assert_eq!(pushing.refused("a"), None);
        assert_eq!(pushing.refuse("a", StatusCode::BAD_REQUEST), 2);
        assert_eq!(pushing.refused("a"), Some(StatusCode::BAD_REQUEST));
        assert_eq!((pushing.taken("a"), pushing.refused("a")), (1, None));
        pushing.refuse("a", StatusCode::BAD_REQUEST);
        pushing.forget_refusals();
        assert_eq!(pushing.refused("a"), None);
    }

    #[test]
    fn only_so_many_refusals_are_remembered_and_old_ones_make_room() {
        let clock = Clock::stopped();
        let pushing = Pushing::new(clock.clone());
        for port in 0..2 * MOST_REFUSALS {
            pushing.refuse(&port.to_string(), StatusCode::BAD_REQUEST);
        }
        assert_eq!(pushing.refusals().0.len(), MOST_REFUSALS);
        clock.advance(REFUSED_FOR);
        pushing.refuse("new", StatusCode::BAD_REQUEST);
        assert_eq!(pushing.refused("new"), Some(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn what_the_server_has_looked_at_and_refused_is_not_passing() {
        for (status, passes) in [(503, true), (500, true), (429, true), (400, false), (401, false), (404, false)] {
            assert_eq!(PushError::Status(StatusCode::from_u16(status).unwrap()).is_passing(), passes, "{status}");
        }
        assert!(
            PushError::Busy.is_passing() && !PushError::Garbage.is_passing() && !PushError::NoEndpoint.is_passing()
        );
    }

    /// An issuer that wants its requests pushed, and answers so.
    fn pushing(server: &TestIssuer, answer: Reply) -> std::sync::Arc<Issuers> {
        let mut metadata = server.metadata();
        metadata["authorization_endpoint"] = server.url("/realm/authorize").as_str().into();
        metadata["pushed_authorization_request_endpoint"] = server.url(PUSH).as_str().into();
        metadata["require_pushed_authorization_requests"] = true.into();
        server.set(DISCOVERY, Reply::json(&metadata));
        server.set(PUSH, answer);
        let mut config = server.config();
        config.client = Some(Client {
            id: "usher".to_owned(),
            authentication: ClientAuthentication::None,
            scopes: Vec::new(),
            authorization_parameters: Vec::new(),
            end_session: true,
        });
        issuers(&[config], &Clock::system())
    }

    async fn visit(issuers: &Issuers) -> Result<Url, AuthorizationError> {
        let issuer = issuers.by_id(crate::config::IssuerId(0)).unwrap();
        let asked = Authentication::default();
        let request = AuthorizationRequest {
            redirect_uri: "https://app.test/cb",
            state: "s",
            nonce: "n",
            code_challenge: "c",
            asked: &asked,
        };
        issuer.authorization_url(issuer.authorization_endpoint().await?, request).await
    }

    #[tokio::test]
    async fn where_requests_must_be_pushed_they_wait_for_their_turn() {
        let server = TestIssuer::start(&[]).await;
        let pushed = Reply { status: 201, ..Reply::json(&json!({ "request_uri": "urn:x" })) };
        let issuers = pushing(&server, pushed.delayed(Duration::from_millis(100)));
        for url in join_all((0..3 * MOST).map(|_| visit(&issuers))).await {
            assert!(url.unwrap().as_str().contains("request_uri=urn"));
        }
        assert_eq!(server.most_at_once(), MOST);
    }

    #[tokio::test]
    async fn a_refusal_says_the_error_and_what_to_look_at() {
        let redirect_uri = "https://app.test/cb";
        for (status, error, remedy) in [
            (401, "invalid_client", "client_secret"),
            (400, "invalid_redirect_uri", redirect_uri),
            (400, "invalid_request", redirect_uri),
            (400, "invalid_scope", "scopes"),
            (503, "temporarily_unavailable", "temporarily_unavailable\""),
            (429, "slow_down", "slow_down\""),
        ] {
            let server = TestIssuer::start(&[]).await;
            let refused = Reply { status, ..Reply::json(&json!({ "error": error, "error_description": "canary" })) };
            let Err(AuthorizationError::NotPushed(refusal)) = visit(&pushing(&server, refused)).await else { panic!() };
            let said = refusal.to_string();
            assert!(said.contains(error) && said.contains(remedy) && !said.contains("canary"), "{said}");
            assert_eq!(said.contains(redirect_uri), remedy == redirect_uri, "{said}");
        }
    }
}
