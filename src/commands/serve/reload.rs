//! Another configuration while serving: on SIGHUP, or when a file that the configuration depends on has changed.
//!
//! It is read whole, checked whole, built whole, and only then put in force; whatever is wrong with it, the one in force
//! stays and the log says why, once. Nobody is signed out by it, and requests at hand end under the rules they began
//! under. Certificates are renewed by themselves, pair by pair: they must not wait for a configuration to be put right.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::watch::Watch;
use crate::admin::metrics;
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Config, ConfigError, Loaded, Sources};
use crate::gateway::{self, Gateway};
use crate::server::{self, CertificateError};
use crate::service_manager::{self, Word};
use crate::tally::Count;

/// Between two looks at the files; a change counts with the second one.
const LOOK: Duration = Duration::from_secs(1);
/// Between two reloads: signals that come meanwhile are one.
const PAUSE: Duration = Duration::from_millis(250);

/// Why another configuration is not put in force. The one that was stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The operator: these keys count at start only.
    #[error("{} can only be changed by a restart", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// The operator: see the cause.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The operator or the world: see the cause.
    #[error("cannot build the gateway")]
    Gateway(#[from] gateway::BuildError),
    /// Us: building panicked.
    #[error("a defect of Usher: reloading panicked")]
    Defect(#[from] tokio::task::JoinError),
}

/// The handle through which another configuration is put in force. Clones are one and the same.
#[derive(Clone)]
pub struct Reloads {
    server: server::Reload,
    in_force: Arc<ArcSwap<InForce>>,
    /// One at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    outcomes: Arc<Outcomes>,
    clock: Clock,
}

/// What became of reloads so far.
#[derive(Debug)]
struct Outcomes {
    last_failed: AtomicBool,
    /// As a [`Timestamp`]; the start counts.
    last_success_at: AtomicU64,
    successful: Count,
    failed: Count,
}

struct InForce {
    config: Arc<Config>,
    gateway: Arc<Gateway>,
}

impl Reloads {
    pub(super) fn new(server: server::Reload, config: Arc<Config>, gateway: Arc<Gateway>, clock: Clock) -> Self {
        let in_force = Arc::new(ArcSwap::from_pointee(InForce { config, gateway }));
        let outcomes = Arc::new(Outcomes {
            last_failed: AtomicBool::new(false),
            last_success_at: AtomicU64::new(clock.now().0),
            successful: Count::new(),
            failed: Count::new(),
        });
        Self { server, in_force, turn: Arc::default(), outcomes, clock }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.in_force.load().config)
    }

    /// The gateway in force.
    pub(super) fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.in_force.load().gateway)
    }

    /// The server that it is reloaded in.
    pub(super) const fn server(&self) -> &server::Reload {
        &self.server
    }

    /// What became of reloads so far.
    pub(super) fn outcomes(&self) -> metrics::Reloads {
        let Outcomes { last_failed, last_success_at, successful, failed } = &*self.outcomes;
        metrics::Reloads {
            last_successful: !last_failed.load(Relaxed),
            last_success_at: Timestamp(last_success_at.load(Relaxed)),
            successful: successful.total(),
            failed: failed.total(),
        }
    }

    /// Notes that a configuration was put in force, or was not.
    fn note(&self, successful: bool) {
        let outcomes = &self.outcomes;
        outcomes.last_failed.store(!successful, Relaxed);
        if successful {
            outcomes.last_success_at.store(self.clock.now().0, Relaxed);
            outcomes.successful.add();
        } else {
            outcomes.failed.add();
        }
    }

    /// Puts `config` in force, which holds for every request that arrives after this returns.
    ///
    /// # Errors
    ///
    /// See [`ReloadError`]; nothing has changed then.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let outcome = self.put_in_force(config).await;
        self.note(outcome.is_ok());
        outcome
    }

    async fn put_in_force(&self, config: Config) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().await;
        let before = self.in_force.load_full();
        let fixed = needs_restart(&before.config, &config);
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }
        let (mut server, now) = (self.server.clone(), self.clock.now());
        // Reading certificates and building the tables is not for a thread that others wait for.
        let build = {
            let (server, config) = (server.clone(), Arc::new(config));
            move || -> Result<_, ReloadError> {
                let certificates = server.prepare(&config, now)?;
                let gateway = before.gateway.succeeded_by(Arc::clone(&config))?;
                Ok((certificates, InForce { config, gateway }))
            }
        };
        let (certificates, next) = tokio::task::spawn_blocking(build).await??;
        server.adopt(&next.config, certificates, &next.gateway).await;
        self.in_force.store(Arc::new(next));
        Ok(())
    }

    /// Reads the certificates anew. Each that cannot be used stays as it is, and is told of.
    pub async fn renew_certificates(&self) -> Vec<CertificateError> {
        let (server, now) = (self.server.clone(), self.clock.now());
        tokio::task::spawn_blocking(move || server.renew_certificates(now)).await.unwrap_or_default()
    }
}

impl std::fmt::Debug for Reloads {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reloads").finish_non_exhaustive()
    }
}

/// The keys that differ and count at start only.
fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let (one, other) = (&before.listen, &after.listen);
    [
        ("listen.https", one.https != other.https),
        ("listen.http", one.http != other.http),
        ("listen.plain", one.plain != other.plain),
        ("listen.verify", one.verify != other.verify),
        ("listen.admin", one.admin != other.admin),
        ("state_directory", before.state_directory != after.state_directory),
        ("session.store", before.session.store != after.session.store),
        ("log.format", before.log.format != after.log.format),
        ("log.level", before.log.level != after.log.level),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

/// Where the configuration comes from, and the files that it depends on.
#[derive(Debug)]
pub(super) struct Source {
    sources: Sources,
    configuration: Watch,
    certificates: Watch,
}

impl Source {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, configuration: Watch::default(), certificates: Watch::default() }
    }

    /// Loads the configuration, and watches what it depends on from now on.
    pub(super) fn load(&mut self) -> Result<Loaded, ConfigError> {
        self.configuration.settle();
        loop {
            let loaded = config::load(&self.sources);
            let (files, certificates) = match &loaded {
                Ok(Loaded { config, files, .. }) => (depended_on(config, files), certificates(config)),
                // What is missing or wrong may be put right in any of these.
                Err(error) => (&self.configuration.files() | &error.files, self.certificates.files()),
            };
            self.certificates.follow(&certificates);
            // A file that is named for the first time was read before it was watched.
            if !self.configuration.follow(&(&files - &certificates)) {
                return loaded;
            }
        }
    }
}

/// The files of the certificates that clients are shown.
fn certificates(config: &Config) -> BTreeSet<PathBuf> {
    config.tls.files().into_iter().flat_map(|pair| [pair.certificate, pair.key]).collect()
}

fn depended_on(config: &Config, files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut files = files.clone();
    files.extend(config.pages.iter().flat_map(|directory| gateway::page_templates(directory)));
    files
}

/// What there is to do.
enum Work {
    Nothing,
    Certificates,
    Configuration,
}

/// Reloads whenever there is reason to, for as long as it is polled.
pub(super) async fn run(mut source: Source, reloads: Reloads, mut hang_ups: Signal) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            Some(()) = hang_ups.recv() => true,
            _ = looks.tick() => false,
        };
        // A file system that does not answer must hold up nothing but this.
        let looked = tokio::task::spawn_blocking(move || {
            let work = match (asked, source.configuration.look(), source.certificates.look()) {
                (true, ..) | (false, true, _) => Work::Configuration,
                (false, false, true) => Work::Certificates,
                (false, false, false) => Work::Nothing,
            };
            let loaded = matches!(work, Work::Configuration).then(|| source.load());
            (source, work, loaded)
        });
        let Ok((returned, work, loaded)) = looked.await else {
            tracing::error!("a defect of Usher: looking at files panicked; nothing is reloaded any more");
            return;
        };
        source = returned;
        match (work, loaded) {
            (Work::Certificates, _) => renew_certificates(&reloads).await,
            (Work::Configuration, Some(loaded)) => {
                reload(&reloads, loaded).await;
                // Pairs that are in use already are read whatever else is wrong.
                renew_certificates(&reloads).await;
                sleep(PAUSE).await;
            }
            _ => {}
        }
    }
}

pub(super) async fn renew_certificates(reloads: &Reloads) {
    let errors = reloads.renew_certificates().await;
    for error in &errors {
        let cause = std::error::Error::source(error).map(tracing::field::display);
        tracing::error!(fault = "operator", %error, cause, "a certificate cannot be renewed; the one in use stays");
    }
    if errors.is_empty() {
        tracing::info!("certificates read");
    }
}

async fn reload(reloads: &Reloads, loaded: Result<Loaded, ConfigError>) {
    service_manager::tell(Word::Reloading);
    adopt(reloads, loaded).await;
    service_manager::tell(Word::Serving);
}

async fn adopt(reloads: &Reloads, loaded: Result<Loaded, ConfigError>) {
    let Loaded { config, notes, .. } = match loaded {
        Ok(loaded) => loaded,
        Err(ConfigError { problems, .. }) => {
            reloads.note(false);
            for problem in problems {
                let (place, remedy) = (problem.origin, problem.remedy.or(problem.suggestion));
                tracing::error!(
                    fault = "operator", %place, key = problem.path, remedy,
                    "the configuration is not reloaded: {}", problem.message
                );
            }
            return;
        }
    };
    match reloads.reload(config).await {
        Ok(()) => {
            for note in &notes {
                tracing::warn!("{note}");
            }
            tracing::info!("configuration reloaded");
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(tracing::field::display);
            tracing::error!(fault = "operator", %error, cause, "the configuration is not reloaded");
        }
    }
}
