//! Tokens that say nothing by themselves: their issuer is asked, and what it says is judged like the claims of a signed one
//! (RFC 7662 §2.2 and §4).
//!
//! Whoever presents the same token at the same time waits for one answer, which a client that leaves does not take along.
//! What counts is remembered with all other verified tokens; what does not is remembered briefly, apart from those, so that no
//! garbage can push them out.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::cache::TokenCache;
use super::claims::{self, Validity};
use super::compact::LONGEST;
use super::error::{Malformed, VerifyError};
use super::verified_token::VerifiedToken;
use crate::clock::Timestamp;
use crate::config::{self, IssuerId};
use crate::issuer::{IntrospectionError, Issuer, Issuers};
use crate::oauth::bearer::is_b64token;
use crate::oauth::{AccessToken, Claims};

/// Questions under way or waiting for their turn, to one issuer: those to a slow one must not keep out those to others.
const MOST_FLIGHTS: usize = 1024;
/// How long a request waits for an answer; the question goes on beyond that, and its answer is found by the next request.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come again, for whom there was no time or no place.
const SHORTLY: Duration = Duration::from_secs(1);
/// Tokens that do not count and are remembered as such.
const MOST_REFUSED: usize = 10_000;
/// For so long, unless answers count for less: a server that has just given out a token may not know it everywhere yet.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// A token by its hash, and the issuer that is asked about it.
type Question = (IssuerId, [u8; 32]);
type Outcome = Result<Arc<VerifiedToken>, VerifyError>;
type Flight = Shared<oneshot::Receiver<Outcome>>;

/// The questions, and what is remembered of the answers.
pub(super) struct Introspected {
    issuers: Arc<Issuers>,
    verified: Arc<TokenCache>,
    refused: Cache<Question, Refused>,
    flights: Mutex<HashMap<Question, Flight>>,
}

#[derive(Clone)]
struct Refused {
    until: Timestamp,
    error: VerifyError,
}

impl Introspected {
    pub(super) fn new(issuers: Arc<Issuers>, verified: Arc<TokenCache>) -> Self {
        Self { issuers, verified, refused: Cache::new(MOST_REFUSED), flights: Mutex::default() }
    }

    /// What the issuer says of the token, judged. Nothing is asked about what cannot be a token.
    pub(super) async fn verify(self: &Arc<Self>, token: &str, issuer: &Issuer, now: Timestamp) -> Outcome {
        if token.len() > LONGEST {
            return Err(Malformed::TooLong.into());
        }
        if !is_b64token(token.as_bytes()) {
            return Err(Malformed::Character.into());
        }
        let flight = match self.join(token, issuer, now) {
            Joined::Known(outcome) => return outcome,
            Joined::Waiting(flight) => flight,
        };
        match timeout(PATIENCE, flight).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// What is known of the token by now, or the one question that is asked about it.
    fn join(self: &Arc<Self>, token: &str, issuer: &Issuer, now: Timestamp) -> Joined {
        let hash = digest(&SHA256, token.as_bytes());
        let question = (issuer.id(), hash.as_ref().first_chunk().copied().unwrap_or_default());
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&question) {
            return Joined::Waiting(flight.clone());
        }
        // An answer is remembered before its flight is over, so it is found here, or was then.
        if let Some(known) = self.known(token, &question, now) {
            return Joined::Known(known);
        }
        // Counted only when there are many.
        let to_issuer = || flights.keys().filter(|(issuer, _)| *issuer == question.0).count();
        if flights.len() >= MOST_FLIGHTS && to_issuer() >= MOST_FLIGHTS {
            return Joined::Known(Err(busy()));
        }
        let (answer, flight) = oneshot::channel();
        let flight = flight.shared();
        flights.insert(question, flight.clone());
        drop(flights);
        let (this, token) = (Arc::clone(self), AccessToken::new(token));
        self.issuers.tasks().start(async move {
            let over = Over { flights: &this.flights, question };
            let asked = AssertUnwindSafe(this.ask(token, question, now)).catch_unwind().await;
            drop(over);
            // Nobody may be waiting any more, and whoever is finds out that there was no answer.
            let _unheard = asked.map(|outcome| answer.send(outcome));
        });
        Joined::Waiting(flight)
    }

    fn known(&self, token: &str, question: &Question, now: Timestamp) -> Option<Outcome> {
        let is_current = |known: &Arc<VerifiedToken>| known.issuer == question.0 && known.is_known_at(now);
        if let Some(known) = self.verified.find(token).filter(is_current) {
            return Some(Ok(known));
        }
        let is_recent = |refused: &Refused| now < refused.until && refused.until.since(now) <= REFUSED_FOR;
        self.refused.get(question).filter(is_recent).map(|refused| Err(refused.error))
    }

    async fn ask(&self, token: AccessToken, question: Question, now: Timestamp) -> Outcome {
        let issuer = self.issuers.by_id(question.0).ok_or(VerifyError::UntrustedIssuer)?;
        let cache = issuer.config().introspection().map_or(Duration::ZERO, |introspection| introspection.cache);
        let said = issuer.introspect(&token).await.map_err(|error| VerifyError::NotIntrospected(Arc::new(error)))?;
        // By the time at which it was asked: nothing counts for longer than that allows.
        let judged =
            said.ok_or(VerifyError::Inactive).and_then(|claims| judge(token.clone(), issuer, claims, (now, cache)));
        let judged = judged.map(Arc::new);
        match &judged {
            Ok(verified) => self.verified.remember(verified),
            Err(error) => {
                self.verified.forget(token.expose());
                let until = now.after(REFUSED_FOR.min(cache));
                self.refused.insert(question, Refused { until, error: error.clone() });
            }
        }
        judged
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Question, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Joined {
    Known(Outcome),
    Waiting(Flight),
}

/// Ends a flight, whatever became of it.
struct Over<'a> {
    flights: &'a Mutex<HashMap<Question, Flight>>,
    question: Question,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.question);
    }
}

fn busy() -> VerifyError {
    VerifyError::NotIntrospected(Arc::new(IntrospectionError::Busy(SHORTLY)))
}

/// Judges what the issuer says by the rules for a signed token: audience, subject and dates. An answer without `aud` is about
/// a token that may be meant for anybody, or is not an access token at all: it does not count.
fn judge(
    token: AccessToken,
    issuer: &Issuer,
    mut claims: Claims,
    (now, cache): (Timestamp, Duration),
) -> Result<VerifiedToken, VerifyError> {
    let config = issuer.config();
    named(&mut claims, config)?;
    bearer_access_token(&claims)?;
    if claims::are_of_another_kind(&claims, &config.identity) {
        return Err(VerifyError::WrongType);
    }
    let validity = Validity::check(&claims, &config.audiences)?;
    if let Some(seconds) = validity.not_valid_for(now, config.leeway) {
        return Err(VerifyError::NotYetValid { seconds });
    }
    let usable_until = validity.expires_at.after(config.leeway);
    if now >= usable_until {
        return Err(VerifyError::Inactive);
    }
    let until = (validity.expires_at, usable_until);
    Ok(VerifiedToken::introspected(token, issuer.id(), claims, until, (now, cache)))
}

/// `iss` is the issuer that was asked, and is put there if the answer leaves it out: whatever goes by it (denials, the headers
/// for the application) then finds the same as in a signed token.
fn named(claims: &mut Claims, config: &config::Issuer) -> Result<(), VerifyError> {
    match claims.0.get("iss") {
        Some(Value::String(name)) if *name == config.issuer => Ok(()),
        Some(Value::String(_)) => Err(VerifyError::UntrustedIssuer),
        Some(_) => Err(Malformed::Claim("iss").into()),
        None => {
            claims.0.insert("iss".to_owned(), config.issuer.as_str().into());
            Ok(())
        }
    }
}

/// Refresh tokens are introspected as well (RFC 7662 §2.1), and must not pass for access tokens; nor must a token that is
/// bound to its sender's key pass for a bearer token. `token_type` is that of RFC 6749 §5.1; `token_use` and `typ` are what
/// some servers say besides.
fn bearer_access_token(claims: &Claims) -> Result<(), VerifyError> {
    let is_one_of = |name: &'static str, words: &[&str]| match claims.0.get(name) {
        None => Ok(true),
        Some(Value::String(word)) => Ok(words.iter().any(|known| known.eq_ignore_ascii_case(word))),
        Some(_) => Err(Malformed::Claim(name)),
    };
    if !is_one_of("token_type", &["bearer", "access_token"])? {
        return Err(if is_one_of("token_type", &["dpop", "pop", "mtls"])? {
            VerifyError::SenderConstrained
        } else {
            VerifyError::WrongType
        });
    }
    if is_one_of("token_use", &["access_token", "access"])? && is_one_of("typ", &["bearer", "at+jwt", "jwt"])? {
        Ok(())
    } else {
        Err(VerifyError::WrongType)
    }
}

/// Shows how many there are, and no token.
impl std::fmt::Debug for Introspected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (refused, flights) = (self.refused.len(), self.flights().len());
        formatter
            .debug_struct("Introspected")
            .field("refused", &refused)
            .field("flights", &flights)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
