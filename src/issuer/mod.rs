//! The issuers: whose keys verify tokens, and where refresh tokens are exchanged and revoked.
//!
//! Everything that an issuer publishes is fetched when it is first needed or looked at, and kept when the issuer is down:
//! Usher starts and serves without it. This module knows the protocol towards an issuer; it does *not* judge tokens, and it
//! does not decide when to refresh.

mod authorization_code;
mod client_assertion;
mod discovery;
mod document;
mod end_session;
mod examination;
mod form;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod introspection;
mod jwks;
mod key;
mod key_names;
pub mod local;
mod news;
mod pushed_request;
mod remote;
mod revocation;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token_endpoint;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use crate::oauth::{Algorithm, Claims};
use futures_util::FutureExt as _;

use self::discovery::Metadata;
use self::introspection::Introspecting;
use self::jwks::{KeySet, NoKey};
use self::key::Material;
use self::local::{KeysError, Local};
use self::pushed_request::Pushing;
use self::remote::{Remote, Waited};
use crate::clock::Clock;
use crate::config::{self, IssuerId, KeySource};
use crate::tasks::Tasks;

pub use authorization_code::{AuthorizationEndpoint, AuthorizationError, AuthorizationRequest, CodeError};
pub use document::FetchError;
pub use examination::{Answered, Examination, PublishedKeys};
pub use gate::{Gate, TurnedAway};
pub use introspection::IntrospectionError;
pub use jwks::Keys;
pub use key::{Key, KeyRejected};
pub use key_names::KeyName;
pub use pushed_request::PushError;
pub use remote::Unavailable;
pub use revocation::RevokeError;
pub use token_endpoint::{RefreshError, RefreshFailure, Sent};
pub(crate) use transport::trusting;
pub use transport::{Answer, ClientError, Post, Transport, TransportError};

/// Every issuer of the configuration.
#[derive(Debug)]
pub struct Issuers {
    issuers: Vec<Issuer>,
    tasks: Tasks,
}

/// One issuer: its keys and its endpoints.
#[derive(Debug)]
pub struct Issuer {
    id: IssuerId,
    config: config::Issuer,
    transport: Transport,
    /// `None` unless the issuer is discovered.
    metadata: Option<Arc<Remote<Metadata>>>,
    keys: KeyRing,
    pushing: Arc<Pushing>,
    introspecting: Arc<Introspecting>,
    /// Before the exchange of codes.
    codes: Arc<Gate>,
    clock: Clock,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug)]
enum KeyRing {
    /// Configured, for good.
    Fixed(Arc<KeySet>),
    /// Published by the issuer.
    Published(Arc<Remote<KeySet>>),
    /// Our own: Usher itself is the issuer.
    Local(Local),
}

/// Why the issuers could not be set up. The operator's.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// There is no way to dial this issuer.
    #[error("the issuer {issuer} cannot be dialled")]
    Client {
        /// Its name in the configuration.
        issuer: Arc<str>,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The configured key of this issuer cannot be used.
    #[error("the key of the issuer {issuer} cannot be used")]
    Key {
        /// Its name in the configuration.
        issuer: Arc<str>,
        /// Why.
        #[source]
        source: KeyRejected,
    },
    /// What the local issuer keeps cannot be used. The operator's, or the disk's.
    #[error("the local issuer {issuer} cannot be set up")]
    Local {
        /// Its name in the configuration.
        issuer: Arc<str>,
        /// Why.
        #[source]
        source: KeysError,
    },
}

impl IssuersError {
    /// Whether the operator has to mend it before another start can succeed.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Client { .. } | Self::Key { .. } => true,
            Self::Local { source, .. } => source.is_configuration(),
        }
    }
}

/// Why there is no key for a token.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The issuer has no such key. The client's.
    #[error("the issuer has no such key")]
    Unknown,
    /// The key is for another algorithm. The client's.
    #[error("the key is for another algorithm")]
    OtherAlgorithm,
    /// It cannot be known, because the issuer's keys cannot be had. The issuer's.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Issuers {
    /// All issuers, in the order of the configuration. Nothing is dialled yet.
    ///
    /// # Errors
    /// [`IssuersError`] when TLS or a configured key cannot be used.
    pub fn new(configured: &[config::Issuer], tasks: &Tasks, clock: &Clock) -> Result<Arc<Self>, IssuersError> {
        Self { issuers: Vec::new(), tasks: tasks.clone() }.succeeded_by(configured, tasks, clock)
    }

    /// The issuers of another configuration. What has been fetched of an issuer that is found as before is kept.
    ///
    /// # Errors
    /// As [`Issuers::new`].
    pub fn succeeded_by(
        &self,
        configured: &[config::Issuer],
        tasks: &Tasks,
        clock: &Clock,
    ) -> Result<Arc<Self>, IssuersError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(configured.len());
        for (index, config) in configured.iter().enumerate() {
            if let Some(before) = self.issuers.iter().find(|before| publishes_alike(before, config)) {
                issuers.push(before.succeeded_by(IssuerId(index), config.clone()));
                continue;
            }
            let alike = issuers.iter().find(|other| other.config.transport == config.transport);
            let transport = match alike {
                Some(other) => other.transport.clone(),
                None => Transport::new(&config.transport)
                    .map_err(|source| IssuersError::Client { issuer: Arc::clone(&config.name), source })?,
            };
            issuers.push(Issuer::new(IssuerId(index), config.clone(), transport, tasks, clock)?);
        }
        Ok(Arc::new(Self { issuers, tasks: tasks.clone() }))
    }

    /// The issuer at this index of the configuration.
    #[must_use]
    pub fn by_id(&self, id: IssuerId) -> Option<&Issuer> {
        self.issuers.get(id.0)
    }

    /// Puts these users in the place of those `before`: ends the sessions of everybody who may no longer have one, and
    /// returns which have ended. Blocks. To be called once the configuration is in force for good.
    #[must_use]
    pub fn end_sessions(&self, before: &Self) -> Vec<local::EndedSession> {
        let local = |issuer: &Issuer| issuer.local().cloned();
        let same = |before: &&Issuer| self.issuers.iter().find(|issuer| issuer.config.name == before.config.name);
        let pairs = before.issuers.iter().filter_map(|before| Some((local(before)?, local(same(&before)?)?)));
        pairs.flat_map(|(before, after)| before.end_sessions(&after)).collect()
    }

    /// Forgets which pushed requests were refused: somebody may have put that right.
    pub fn forget_refusals(&self) {
        self.issuers.iter().for_each(|issuer| issuer.pushing.forget_refusals());
    }

    /// Where work for them goes that no client may cancel.
    #[must_use]
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter()
    }
}

/// Whether the keys of both are the same ones, found in the same way.
fn publishes_alike(before: &Issuer, other: &config::Issuer) -> bool {
    let one = &before.config;
    if let (KeyRing::Local(local), KeySource::Local(other_local)) = (&before.keys, &other.keys) {
        return one.name == other.name && local.is_kept_alike(other_local);
    }
    (&one.name, &one.issuer, &one.keys, &one.algorithms, &one.transport)
        == (&other.name, &other.issuer, &other.keys, &other.algorithms, &other.transport)
}

impl Issuer {
    fn new(
        id: IssuerId,
        config: config::Issuer,
        transport: Transport,
        tasks: &Tasks,
        clock: &Clock,
    ) -> Result<Self, IssuersError> {
        let fixed = |material: Result<Material, KeyRejected>| {
            let key = material.and_then(|material| material.key(None, None, &config.algorithms));
            let key = key.map_err(|source| IssuersError::Key { issuer: Arc::clone(&config.name), source })?;
            Ok(KeyRing::Fixed(Arc::new(KeySet::single(key))))
        };
        let published = |location| KeyRing::Published(published_keys(&config, &transport, location, tasks, clock));
        let local = |local| {
            let opened = Local::open(&config, local, clock);
            opened.map_err(|source| IssuersError::Local { issuer: Arc::clone(&config.name), source })
        };
        let (metadata, keys) = match &config.keys {
            KeySource::Local(users) => (None, KeyRing::Local(local(users)?)),
            KeySource::Hmac(secret) => (None, fixed(Ok(Material::hmac(secret.clone())))?),
            KeySource::PublicKey(pem) => (None, fixed(Material::pem(pem))?),
            KeySource::JwksUrl(url) => (None, published(KeyLocation::Fixed(url.clone()))),
            KeySource::Discovery { base } => {
                let metadata = discovered(&config, &transport, base, tasks, clock);
                (Some(Arc::clone(&metadata)), published(KeyLocation::Discovered(metadata)))
            }
        };
        let (pushing, introspecting) = (Pushing::new(clock.clone()), Introspecting::new(clock.clone()));
        let (pushing, introspecting) = (Arc::new(pushing), Arc::new(introspecting));
        Ok(Self {
            id,
            config,
            transport,
            metadata,
            keys,
            pushing,
            introspecting,
            codes: Arc::default(),
            clock: clock.clone(),
        })
    }

    /// The same issuer in another configuration, with what has been fetched of it.
    fn succeeded_by(&self, id: IssuerId, config: config::Issuer) -> Self {
        let (transport, metadata) = (self.transport.clone(), self.metadata.clone());
        let (pushing, introspecting) = (Arc::clone(&self.pushing), Arc::clone(&self.introspecting));
        let keys = match (&self.keys, &config.keys) {
            (KeyRing::Local(local), KeySource::Local(users)) => KeyRing::Local(local.succeeded_by(&config, users)),
            (keys, _) => keys.clone(),
        };
        let (codes, clock) = (Arc::clone(&self.codes), self.clock.clone());
        Self { id, config, transport, metadata, keys, pushing, introspecting, codes, clock }
    }

    /// The issuer inside Usher, when this is it.
    #[must_use]
    pub const fn local(&self) -> Option<&Local> {
        match &self.keys {
            KeyRing::Local(local) => Some(local),
            KeyRing::Fixed(_) | KeyRing::Published(_) => None,
        }
    }

    /// Its index in the configuration.
    #[must_use]
    pub const fn id(&self) -> IssuerId {
        self.id
    }

    /// What is configured of it.
    #[must_use]
    pub const fn config(&self) -> &config::Issuer {
        &self.config
    }

    /// The keys with which a token of this header may be verified. Waits only when none have ever been fetched, or when
    /// the published set lacks the key and may be fetched anew for it; for 5 s at most.
    ///
    /// # Errors
    /// [`KeyError`]: no such key, or nothing is known because the issuer does not answer.
    pub async fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Keys, KeyError> {
        let remote = match &self.keys {
            KeyRing::Fixed(set) => return Ok(Arc::clone(set).choose(kid, algorithm)?),
            KeyRing::Local(local) => return Ok(local.key_set().choose(kid, algorithm)?),
            KeyRing::Published(remote) => remote,
        };
        let (set, waited) = remote.obtain().await?;
        match (Arc::clone(&set).choose(kid, algorithm), waited) {
            (Err(NoKey::Unknown), Waited::No) => match remote.newer_than(&set).await? {
                Some(newer) => Ok(newer.choose(kid, algorithm)?),
                None => Err(KeyError::Unknown),
            },
            (chosen, _) => Ok(chosen?),
        }
    }

    /// Other keys for a token whose signature none of the `tried` ones has made: the issuer may have put a new key under
    /// an old name. Fetches the set under the same cooldown as an unknown key; `None` when there is nothing newer.
    pub async fn key_instead_of(&self, tried: &Keys, kid: Option<&str>, algorithm: Algorithm) -> Option<Keys> {
        let KeyRing::Published(remote) = &self.keys else { return None };
        // An issuer that cannot be asked does not make a bad signature any better.
        let newer = remote.newer_than(tried.set()).await.ok().flatten()?.choose(kid, algorithm).ok()?;
        let is_untried = |key: &Arc<Key>| !tried.iter().any(|tried| Arc::ptr_eq(tried, key));
        let is_other = newer.iter().any(is_untried);
        is_other.then_some(newer)
    }

    /// Whether tokens cannot be verified at the moment, unless by what was had before; or, where it is Usher itself, none can be
    /// issued. Starts another attempt at the keys in the background when it is time.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        if self.config.introspection().is_some() {
            return self.introspecting.is_failing();
        }
        match &self.keys {
            KeyRing::Fixed(_) => false,
            KeyRing::Local(local) => local.is_out_of_order(),
            KeyRing::Published(remote) => remote.is_failing(),
        }
    }

    /// How long ago its keys were fetched; `None` where they are not fetched, or have not been yet.
    #[must_use]
    pub fn key_set_age(&self) -> Option<Duration> {
        match &self.keys {
            KeyRing::Fixed(_) | KeyRing::Local(_) => None,
            KeyRing::Published(remote) => remote.held_for(),
        }
    }

    /// Whether it still stands by an access token of these claims that it has signed and whose time is not up. Only of a
    /// local issuer is that known.
    #[must_use]
    pub fn stands_by(&self, claims: &Claims) -> bool {
        self.local().is_none_or(|local| local.stands_by(&claims.0))
    }

    /// Starts a refresh of the keys in the background when they are old. For uses of verified tokens that do not need
    /// the keys any more, but must notice when one is withdrawn. Costs a reading of the clock.
    pub fn refresh_keys_if_due(&self) {
        if let (KeyRing::Published(remote), None) = (&self.keys, self.config.introspection()) {
            remote.refresh_if_due();
        }
    }
}

impl From<NoKey> for KeyError {
    fn from(no_key: NoKey) -> Self {
        match no_key {
            NoKey::Unknown => Self::Unknown,
            NoKey::OtherAlgorithm => Self::OtherAlgorithm,
        }
    }
}

/// Where a key set is published.
#[derive(Clone)]
enum KeyLocation {
    Fixed(url::Url),
    Discovered(Arc<Remote<Metadata>>),
}

impl KeyLocation {
    /// The URL of today: a discovery document that has grown old is refreshed first, which is how a change of endpoints
    /// is adopted. One that cannot be had anew still counts.
    async fn url(&self) -> Result<url::Url, FetchError> {
        match self {
            Self::Fixed(url) => Ok(url.clone()),
            Self::Discovered(metadata) => match metadata.fresh().await {
                Ok(metadata) => Ok(metadata.jwks_uri.clone()),
                Err(unavailable) => Err(unavailable.cause.map_or(FetchError::Underway, FetchError::Discovery)),
            },
        }
    }
}

fn published_keys(
    config: &config::Issuer,
    transport: &Transport,
    location: KeyLocation,
    tasks: &Tasks,
    clock: &Clock,
) -> Arc<Remote<KeySet>> {
    let (name, algorithms, transport) = (Arc::clone(&config.name), config.algorithms.clone(), transport.clone());
    let fetch = move |previous: Option<Arc<KeySet>>| {
        let (name, algorithms) = (Arc::clone(&name), algorithms.clone());
        let (transport, location) = (transport.clone(), location.clone());
        async move {
            let document = document::fetch(&transport, location.url().await?).await?;
            KeySet::parse(&document.bytes, &name, &algorithms, previous.as_deref())
        }
        .boxed()
    };
    Remote::new("key set", Arc::clone(&config.name), tasks.clone(), clock.clone(), Box::new(fetch))
}

fn discovered(
    config: &config::Issuer,
    transport: &Transport,
    base: &url::Url,
    tasks: &Tasks,
    clock: &Clock,
) -> Arc<Remote<Metadata>> {
    let (issuer, transport, base) = (config.issuer.clone(), transport.clone(), base.clone());
    let fetch = move |_: Option<Arc<Metadata>>| {
        let (issuer, transport, base) = (issuer.clone(), transport.clone(), base.clone());
        async move {
            let document = document::fetch(&transport, discovery::url(&base)).await?;
            Metadata::parse(&document.bytes, &issuer, &base)
        }
        .boxed()
    };
    Remote::new("discovery document", Arc::clone(&config.name), tasks.clone(), clock.clone(), Box::new(fetch))
}
