//! Another configuration while serving: on SIGHUP, or when a file that the configuration depends on has changed.
//!
//! It is read whole, checked whole, built whole, and only then put in force; whatever is wrong with it, the one in force
//! stays and the log says why, once. Nobody is signed out by it, and requests at hand end under the rules they began
//! under. Certificates are renewed by themselves, pair by pair: they must not wait for a configuration to be put right.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::files::Source;
use super::outcomes::Outcomes;
use crate::admin;
use crate::clock::{Clock, Timestamp};
use crate::commands::{causes, restart};
use crate::config::{Config, ConfigError, Loaded};
use crate::gateway::{self, Gateway};
use crate::server::{self, CertificateError};
use crate::service_manager::{self, Word};

/// Between two looks at the files; a change counts with the second one.
const LOOK: Duration = Duration::from_secs(1);
/// Between two reloads: signals that come meanwhile are one.
const PAUSE: Duration = Duration::from_millis(250);

/// Why another configuration is not put in force. The one that was stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The operator: these keys count at start only.
    #[error("{} can only be changed by a restart: restart Usher, or put it back as it was", .0.join(", "))]
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

struct InForce {
    config: Arc<Config>,
    gateway: Arc<Gateway>,
    version: Arc<str>,
}

impl Reloads {
    pub(super) fn new(server: server::Reload, config: Arc<Config>, gateway: Arc<Gateway>, clock: Clock) -> Self {
        let version = config.version().into();
        let in_force = Arc::new(ArcSwap::from_pointee(InForce { config, gateway, version }));
        let outcomes = Arc::new(Outcomes::since(clock.now()));
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
        self.outcomes.told()
    }

    /// Puts `config` in force, which holds for every request that arrives after this returns.
    ///
    /// # Errors
    ///
    /// See [`ReloadError`]; nothing has changed then.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let outcome = self.put_in_force(config).await;
        let told = outcome.as_ref().copied().map_err(|error| vec![causes(error).join(": ")]);
        self.outcomes.note(told, self.clock.now());
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
        let replaced = Arc::clone(&before.gateway);
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
        next.gateway.watch_upstreams(Some(&replaced));
        self.in_force.store(Arc::new(next));
        Ok(())
    }

    /// Reads the certificates anew. Each that cannot be used stays as it is, and is told of.
    pub async fn renew_certificates(&self) -> Vec<CertificateError> {
        // What is read here is the table of before, with its files read anew: it must not come after another one.
        let _turn = self.turn.lock().await;
        let (server, now) = (self.server.clone(), self.clock.now());
        let errors = tokio::task::spawn_blocking(move || server.renew_certificates(now)).await.unwrap_or_default();
        self.outcomes.note_certificates(errors.iter().map(|error| causes(error).join(": ")).collect());
        errors
    }
}

impl std::fmt::Debug for Reloads {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reloads").finish_non_exhaustive()
    }
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
        let in_force = reloads.config();
        // A file system that does not answer must hold up nothing but this.
        let looked = tokio::task::spawn_blocking(move || {
            let work = match (asked, source.look()) {
                (true, _) | (false, (true, _)) => Work::Configuration,
                (false, (false, true)) => Work::Certificates,
                (false, (false, false)) => Work::Nothing,
            };
            let loaded = matches!(work, Work::Configuration).then(|| source.load(Some(&in_force)));
            (source, work, loaded)
        });
        let Ok((returned, work, loaded)) = looked.await else {
            tracing::error!("a defect of Usher: looking at files panicked; nothing is reloaded any more");
            return;
        };
        source = returned;
        match (work, loaded) {
            (Work::Certificates, _) => {
                let are_read = renew_certificates(&reloads).await;
                if are_read {
                    tracing::info!("certificates read");
                }
            }
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

/// Whether all of them could be read.
pub(super) async fn renew_certificates(reloads: &Reloads) -> bool {
    let errors = reloads.renew_certificates().await;
    for error in &errors {
        tracing::error!(
            fault = "operator",
            error = causes(error).join(": "),
            "a certificate cannot be renewed; the one in use stays"
        );
    }
    errors.is_empty()
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
            reloads.outcomes.note(Err(problems.iter().map(ToString::to_string).collect()), reloads.clock.now());
            for problem in problems {
                tracing::error!(fault = "operator", key = problem.path, "the configuration is not reloaded: {problem}");
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
            tracing::error!(fault = "operator", error = causes(&error).join(": "), "the configuration is not reloaded");
        }
    }
}
