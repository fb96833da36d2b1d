//! Signing in at an authorization server: the request that a browser is sent away with, and the exchange of the code that it
//! comes back with (RFC 6749 §4.1, RFC 7636 §4.3 and §4.5).
//!
//! What binds the two to one browser (state, nonce, verifier) is made and kept elsewhere; here it only travels.

use std::time::Duration;

use tokio::time::sleep;
use url::Url;

use super::Issuer;
use super::form::Form;
use super::gate::TurnedAway;
use super::pushed_request::{PushError, ToPush};
use super::remote::Unavailable;
use super::token_endpoint::{LIMIT, RefreshError, RefreshFailure, judge};
use crate::config::{Authentication, SignIn};
use crate::oauth::{AuthorizationCode, CodeVerifier, TokenResponse};

/// How long a code waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a browser is sent to sign in.
pub struct AuthorizationEndpoint {
    pub(super) url: Url,
    /// Where the request is pushed to, and whether it must be (RFC 9126 §5).
    pub(super) push: Option<Url>,
    pub(super) must_push: bool,
    /// Whether authorization responses name their issuer (RFC 9207 §3).
    pub names_issuer: bool,
}

/// What an authorization request says that is new each time.
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// Binds the response to the browser (RFC 6749 §10.12).
    pub state: &'a str,
    /// Binds the ID token to the browser (OIDC Core §3.1.2.1).
    pub nonce: &'a str,
    /// Binds the code to the verifier (RFC 7636 §4.2), method `S256`.
    pub code_challenge: &'a str,
    /// In what way, and how recently, the user must sign in: `acr_values` and `max_age` (OIDC Core §3.1.2.1).
    pub asked: &'a Authentication,
}

/// Why nobody can be sent to sign in.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationError {
    /// The configuration knows no client or no discovery for this issuer. The operator's.
    #[error("nobody can sign in at this issuer")]
    NotConfigured,
    /// Discovery names no authorization endpoint that a browser may be sent to. The issuer's, or the operator's.
    #[error("the discovery document names no usable authorization endpoint")]
    NoEndpoint,
    /// Discovery could not be had. The issuer's, or the network's.
    #[error(transparent)]
    Discovery(#[from] Unavailable),
    /// The server has refused a pushed request, or wants requests pushed and has not taken this one. The operator's, or the
    /// issuer's.
    #[error("the authorization request was not accepted")]
    NotPushed(#[source] PushError),
}

/// Why a code was not exchanged for tokens.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The code is spent, too old, or was given out for another request. The client's, or somebody who has injected it.
    #[error("the issuer says that the code is not good")]
    InvalidGrant,
    /// Everything else. The issuer's, the network's or the operator's.
    #[error("the issuer gave no tokens for the code")]
    Unavailable {
        /// What went wrong.
        #[source]
        cause: RefreshFailure,
        /// How long the issuer asks to be left alone, if it does; five minutes at most.
        retry_after: Option<Duration>,
    },
}

impl Issuer {
    /// Where a browser is sent to sign in. Waits only when discovery has never been had; for 5 s at most.
    ///
    /// # Errors
    /// [`AuthorizationError`]
    pub async fn authorization_endpoint(&self) -> Result<AuthorizationEndpoint, AuthorizationError> {
        let Some(SignIn::AuthorizationServer(_)) = self.config.sign_in() else {
            return Err(AuthorizationError::NotConfigured);
        };
        let metadata = self.metadata.as_ref().ok_or(AuthorizationError::NotConfigured)?;
        let (metadata, _) = metadata.obtain().await?;
        let url = metadata.authorization_endpoint.clone().ok_or(AuthorizationError::NoEndpoint)?;
        let push = metadata.pushed_request_endpoint.clone();
        Ok(AuthorizationEndpoint { url, push, must_push: metadata.must_push, names_issuer: metadata.names_issuer })
    }

    /// The URL of one request: with everything that it says, or with a reference to what was pushed before.
    ///
    /// # Errors
    /// [`AuthorizationError::NotPushed`], where the server insists on that or has refused the request.
    pub async fn authorization_url(
        &self,
        endpoint: AuthorizationEndpoint,
        request: AuthorizationRequest<'_>,
    ) -> Result<Url, AuthorizationError> {
        let Some(SignIn::AuthorizationServer(client)) = self.config.sign_in() else {
            return Err(AuthorizationError::NotConfigured);
        };
        let scope = client.scopes.join(" ");
        let own = [
            ("response_type", "code"),
            ("client_id", &client.id),
            ("redirect_uri", request.redirect_uri),
            ("scope", &scope),
            ("state", request.state),
            ("nonce", request.nonce),
            ("code_challenge", request.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        let (acr_values, max_age) =
            (request.asked.acr_values.join(" "), request.asked.max_age.map(|age| age.as_secs()));
        let max_age = max_age.map(|age| age.to_string());
        let asked =
            [("acr_values", Some(&acr_values).filter(|values| !values.is_empty())), ("max_age", max_age.as_ref())];
        let asked = asked.map(|(name, value)| value.map(|value| (name, value.as_str())));
        let more = client.authorization_parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // What a route asks for is meant instead of what is configured for every sign-in.
        let more = more.filter(|(name, _)| !asked.iter().flatten().any(|(asked, _)| asked == name));
        let parameters: Vec<(&str, &str)> =
            own.into_iter().chain(more).chain(asked.iter().flatten().copied()).collect();
        let mut url = endpoint.url;
        let (redirect_uri, must) = (request.redirect_uri, endpoint.must_push);
        let to_push = ToPush { client, redirect_uri, parameters: &parameters, must };
        match self.push(endpoint.push, &to_push).await? {
            Some(reference) => {
                url.query_pairs_mut().extend_pairs([("client_id", &client.id), ("request_uri", &reference)]);
            }
            None => {
                url.query_pairs_mut().extend_pairs(parameters);
            }
        }
        Ok(url)
    }

    /// Exchanges a code for tokens. It is sent once, whatever comes of it: a code that is presented twice revokes what it
    /// was good for (RFC 6749 §4.1.2). Only so many are under way at once; who finds no place waits, for 5 s at most.
    ///
    /// # Errors
    /// [`CodeError`]
    pub async fn exchange_code(
        &self,
        code: &AuthorizationCode,
        redirect_uri: &str,
        verifier: &CodeVerifier,
    ) -> Result<TokenResponse, CodeError> {
        let now = || self.clock.instant();
        let busy =
            |TurnedAway(again_in)| CodeError::Unavailable { cause: RefreshFailure::Busy, retry_after: Some(again_in) };
        let pass = self.codes.enter(sleep(PATIENCE), now).await.map_err(busy)?;
        let outcome = self.exchange(code, redirect_uri, verifier).await;
        match &outcome {
            Err(CodeError::Unavailable {
                cause: RefreshFailure::Transport(_) | RefreshFailure::Discovery(_), ..
            }) => {
                pass.issuer_failed(now());
            }
            // What an answer says is of one code, which anybody may have made up.
            Ok(_) | Err(_) => pass.issuer_answered(now()),
        }
        outcome
    }

    async fn exchange(
        &self,
        code: &AuthorizationCode,
        redirect_uri: &str,
        verifier: &CodeVerifier,
    ) -> Result<TokenResponse, CodeError> {
        let failed = |cause| CodeError::Unavailable { cause, retry_after: None };
        let endpoint = self.token_endpoint().await.map_err(failed)?;
        let form = Form::default()
            .with("grant_type", b"authorization_code")
            .with("code", code.expose().as_bytes())
            .with("redirect_uri", redirect_uri.as_bytes())
            .with("code_verifier", verifier.expose().as_bytes());
        let post = self.posted(form, endpoint);
        let answer = self.transport.post(post, LIMIT).await.map_err(|error| failed(error.into()))?;
        judge(answer, &[code.expose(), verifier.expose()]).map_err(|error| match error {
            RefreshError::InvalidGrant => CodeError::InvalidGrant,
            RefreshError::Unavailable { cause, retry_after, .. } => CodeError::Unavailable { cause, retry_after },
        })
    }
}
