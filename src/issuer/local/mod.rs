//! The local issuer: users of Usher's own, for stacks without an identity provider.
//!
//! It verifies passwords and one-time passwords, signs access tokens (RFC 9068) and rotates refresh tokens. To everything
//! above it is an issuer like any other, except that nothing is dialled. It does *not* know cookies, requests or pages, and
//! it does not read the users file: another file is another configuration, to which keys, refresh tokens and counts of
//! attempts are handed on ([`Local::succeeded_by`]).

mod codes;
mod ending;
mod error;
mod factors;
mod families;
mod in_force;
mod keys;
mod living;
mod metadata;
mod passwords;
mod sign_in;
mod store;
#[cfg(test)]
pub(in crate::issuer) mod testing;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use self::families::{Exchanged, Family};
use self::in_force::InForce;
use self::keys::SigningKeys;
use self::living::Living;
use self::passwords::Passwords;
use self::store::{Rows, Store};
use self::throttle::Throttle;
use super::jwks::KeySet;
use crate::audit::{self, Event};
use crate::clock::Clock;
use crate::config::{self, LocalIssuer, PasswordHash, User};
use crate::oauth::{AccessToken, RefreshToken, TokenResponse};

pub use codes::{NoSecret, new_secret as new_totp_secret};
pub use ending::EndedSession;
pub(super) use error::ExchangeError;
pub use error::{IssueError, NotSignedIn};
pub use keys::KeysError;
pub use passwords::{HashingError, LONGEST as LONGEST_PASSWORD, hash as hash_password};
pub use sign_in::FirstStep;
pub use store::{StoreError, examine};

/// What is told to wait who finds the store out of order.
const SHORTLY: Duration = Duration::from_secs(5);

/// The local issuer under one configuration. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct Local {
    terms: Arc<Terms>,
    lasting: Arc<Lasting>,
}

/// What the configuration says.
#[derive(Debug)]
struct Terms {
    issuer: String,
    audiences: Vec<String>,
    /// How long after its end a token may still be taken for good.
    leeway: Duration,
    local: LocalIssuer,
    /// What the password of somebody unknown is verified against. `None` only without users.
    decoy: Option<PasswordHash>,
}

/// What outlives a configuration.
#[derive(Debug)]
struct Lasting {
    name: Arc<str>,
    store: Store,
    /// Whether the store could not be read or changed when that was last tried.
    is_out: AtomicBool,
    keys: SigningKeys,
    passwords: Passwords,
    throttle: Throttle,
    /// The same for one-time passwords.
    codes: Throttle,
    /// The users of the configuration in force. Requests of an earlier one may still be under way when it changes, and
    /// must not give out tokens by users of before: they look here within their change of the store, which comes before or
    /// after the one that ends sessions.
    in_force: ArcSwap<InForce>,
    living: Living,
    clock: Clock,
}

impl Local {
    /// Opens what is kept, or begins anew where nothing is yet. Ends the sessions of everybody who may no longer have one:
    /// the users may have changed while nobody looked.
    ///
    /// # Errors
    /// [`KeysError`]: what is kept and damaged is never replaced.
    pub(super) fn open(config: &config::Issuer, local: &LocalIssuer, clock: &Clock) -> Result<Self, KeysError> {
        let now = clock.now();
        let begin = |rows: &mut dyn Rows| SigningKeys::begin(rows, now);
        let store = if let Some(directory) = &local.state {
            Store::open(directory, begin)?
        } else {
            let store = Store::in_memory();
            store.change(begin)?;
            store
        };
        let name = Arc::clone(&config.name);
        let keys = SigningKeys::load(&store, &name)?;
        let (throttle, codes) = (Throttle::of_passwords(clock.clone()), Throttle::of_codes(clock.clone()));
        let passwords = Passwords::new();
        let living = ending::review(&store, &local.users, &name, now)?;
        let (in_force, clock) = (ArcSwap::from_pointee(InForce::new(local.users.clone())), clock.clone());
        let is_out = AtomicBool::new(false);
        let lasting = Lasting { name, store, is_out, keys, passwords, throttle, codes, in_force, living, clock };
        let lasting = Arc::new(lasting);
        Ok(Self { terms: Arc::new(Terms::new(config, local)), lasting })
    }

    /// The same issuer under another configuration.
    pub(super) fn succeeded_by(&self, config: &config::Issuer, local: &LocalIssuer) -> Self {
        Self { terms: Arc::new(Terms::new(config, local)), lasting: Arc::clone(&self.lasting) }
    }

    /// Whether the other one is configured to be the same: what is kept stays where it is.
    pub(super) fn is_kept_alike(&self, other: &LocalIssuer) -> bool {
        self.terms.local.state == other.state
    }

    /// Exchanges a refresh token for new tokens. Runs to its end whether or not anybody waits.
    pub(super) async fn refresh(&self, token: &RefreshToken) -> Result<TokenResponse, ExchangeError> {
        let token = token.clone();
        let exchanged = move |local: &Self| {
            local.change(|rows| {
                let (grace, now) = (local.terms.local.refresh_grace, local.lasting.clock.now());
                let in_force = local.lasting.in_force.load();
                let find = |name: &str| in_force.users.find_folded(name).filter(|user| !user.disabled);
                Ok(match families::exchange(rows, &token, find, grace, now)? {
                    Exchanged::Successor(family, successor) => {
                        let user = find(&family.user).ok_or(StoreError::Row)?;
                        Some(local.respond(user, &family, successor)?)
                    }
                    Exchanged::Rejected => None,
                    Exchanged::Reused => {
                        let event = Event::ReuseDetected.happens();
                        tracing::warn!(
                            target: audit::TARGET,
                            event,
                            issuer = %local.lasting.name,
                            session = "revoked",
                            "a refresh token was presented again after it was spent: its session has ended"
                        );
                        None
                    }
                })
            })
        };
        match self.blocking(exchanged).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(ExchangeError::Rejected),
            Err(error) => Err(ExchangeError::Unavailable(error)),
        }
    }

    /// Ends the session of a refresh token; one that is unknown has ended already (RFC 7009 §2.2).
    pub(super) async fn revoke(&self, token: &RefreshToken) -> Result<(), StoreError> {
        let token = token.clone();
        let revoked =
            move |local: &Self| local.change(|rows| families::revoke(rows, &token)).map_err(IssueError::Store);
        match self.blocking(revoked).await {
            Ok(_) => Ok(()),
            Err(IssueError::Store(error)) => Err(error),
            Err(IssueError::Sign(_)) => Err(StoreError::GivenUp),
        }
    }

    /// The published keys, as `/.usher/issuer/jwks.json` serves them (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self) -> Bytes {
        self.lasting.keys.document()
    }

    /// The discovery document (RFC 8414), with what there really is.
    #[must_use]
    pub fn metadata(&self) -> Bytes {
        metadata::document(&self.terms.issuer)
    }

    /// The published keys, to verify with.
    pub(super) fn key_set(&self) -> Arc<KeySet> {
        self.lasting.keys.published()
    }

    /// The name of the issuer in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lasting.name
    }

    /// Whether what it keeps could not be read or changed when that was last tried: then nobody signs in, and no session is
    /// renewed.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        self.lasting.is_out.load(Relaxed)
    }

    /// How many sessions it keeps.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.lasting.living.len()
    }

    /// Signs an access token.
    fn respond(&self, user: &User, family: &Family, refresh: RefreshToken) -> Result<TokenResponse, IssueError> {
        let (Terms { issuer, audiences, local, .. }, now) = (&*self.terms, self.lasting.clock.now());
        let expires_at = now.after(local.access_token_lifetime).min(family.ends);
        let claims = tokens::claims((issuer, audiences), user, family, expires_at, now)?;
        let token = self.lasting.keys.sign(tokens::TYPE, &claims, now)?;
        Ok(TokenResponse { access_token: AccessToken::new(&token), refresh_token: Some(refresh), id_token: None })
    }

    /// Changes what is kept of families.
    fn change<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut dyn Rows) -> Result<T, E>) -> Result<T, E> {
        self.lasting.living.change(&self.lasting.store, work)
    }

    /// Does what blocks where it may, with keys that are up to date.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, IssueError> + Send + 'static,
    ) -> Result<T, IssueError> {
        let local = self.clone();
        let work = move || {
            local.rotate_keys();
            work(&local)
        };
        let outcome = tokio::task::spawn_blocking(work).await.unwrap_or(Err(IssueError::Store(StoreError::GivenUp)));
        self.lasting.is_out.store(matches!(outcome, Err(IssueError::Store(_))), Relaxed);
        outcome
    }

    fn rotate_keys(&self) {
        let Lasting { keys, store, clock, name, .. } = &*self.lasting;
        let (lifetime, now) = (self.terms.local.signing_key_lifetime, clock.now());
        if keys.is_due(now, lifetime)
            && let Err(error) = keys.rotate(store, now, lifetime)
        {
            tracing::warn!(fault = "us", issuer = %name, %error, "the next signing key is not there yet");
        }
    }
}

impl Terms {
    fn new(config: &config::Issuer, local: &LocalIssuer) -> Self {
        let (issuer, audiences, leeway) = (config.issuer.clone(), config.audiences.clone(), config.leeway);
        Self { issuer, audiences, leeway, local: local.clone(), decoy: passwords::decoy(&local.users) }
    }
}
