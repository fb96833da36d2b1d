//! Another configuration while serving: on SIGHUP, or when a file that the configuration depends on has changed.
//!
//! It is read whole, checked whole, built whole, and only then put in force; whatever is wrong with it, the one in force
//! stays and the log says why, once. Nobody is signed out by it, and requests at hand end under the rules they began
//! under. Certificates are renewed by themselves, pair by pair: they must not wait for a configuration to be put right.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::watch::Watch;
use crate::admin::{self, ReloadFailure};
use crate::clock::{Clock, Timestamp};
use crate::commands::restart;
use crate::config::{self, Config, ConfigError, Loaded, Sources, Tls};
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
    last_failure: ArcSwapOption<ReloadFailure>,
    /// As a [`Timestamp`]; the start counts.
    last_success_at: AtomicU64,
    successful: Count,
    failed: Count,
}

struct InForce {
    config: Arc<Config>,
    gateway: Arc<Gateway>,
    version: Arc<str>,
}

impl Reloads {
    pub(super) fn new(server: server::Reload, config: Arc<Config>, gateway: Arc<Gateway>, clock: Clock) -> Self {
        let version = config.version().into();
        let in_force = Arc::new(ArcSwap::from_pointee(InForce { config, gateway, version }));
        let outcomes = Arc::new(Outcomes {
            last_failure: ArcSwapOption::empty(),
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

    /// The gateway in force, and what tells its configuration from others.
    pub(super) fn in_force(&self) -> (Arc<Gateway>, Arc<str>) {
        let in_force = self.in_force.load();
        (Arc::clone(&in_force.gateway), Arc::clone(&in_force.version))
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The server that it is reloaded in.
    pub(super) const fn server(&self) -> &server::Reload {
        &self.server
    }

    /// What became of reloads so far.
    pub(super) fn outcomes(&self) -> admin::Reloads {
        let Outcomes { last_failure, last_success_at, successful, failed } = &*self.outcomes;
        admin::Reloads {
            last_failure: last_failure.load_full(),
            last_success_at: Timestamp(last_success_at.load(Relaxed)),
            successful: successful.total(),
            failed: failed.total(),
        }
    }

    /// Notes that a configuration was put in force.
    fn note_success(&self) {
        let outcomes = &self.outcomes;
        outcomes.last_failure.store(None);
        outcomes.last_success_at.store(self.clock.now().0, Relaxed);
        outcomes.successful.add();
    }

    /// Notes that one was not, and all that is wrong with it.
    fn note_failure(&self, problems: Vec<String>) {
        let failure = ReloadFailure { at: self.clock.now(), problems };
        self.outcomes.last_failure.store(Some(Arc::new(failure)));
        self.outcomes.failed.add();
    }

    /// Puts `config` in force, which holds for every request that arrives after this returns.
    ///
    /// # Errors
    ///
    /// See [`ReloadError`]; nothing has changed then.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let outcome = self.put_in_force(config).await;
        match &outcome {
            Ok(()) => self.note_success(),
            Err(error) => {
                let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
                self.note_failure(vec![format!("{error}{}", cause.unwrap_or_default())]);
            }
        }
        outcome
    }

    async fn put_in_force(&self, config: Config) -> Result<(), ReloadError> {
        let _turn = self.turn.lock().await;
        let before = self.in_force.load_full();
        let fixed = restart::keys(&before.config, &config);
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
                let version = config.version().into();
                Ok((certificates, InForce { config, gateway, version }))
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
    let Tls::Files(pairs) = &config.tls else { return BTreeSet::new() };
    pairs.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]).collect()
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

async fn renew_certificates(reloads: &Reloads) {
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
            reloads.note_failure(problems.iter().map(ToString::to_string).collect());
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
