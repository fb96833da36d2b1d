//! Another configuration while serving: on SIGHUP, or when a file that the configuration depends on has changed.
//!
//! It is read whole, checked whole, built whole, and only then put in force; whatever is wrong with it, the one in force
//! stays and the log says why, once; a panic of ours is wrong with it like anything else, and ends nothing but that reload.
//! Nobody is signed out by it, and requests at hand end under the rules they began under. Certificates are renewed by
//! themselves, pair by pair: they must not wait for a configuration to be put right.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::files::Source;
use super::outcomes::Outcomes;
use crate::admin;
use crate::clock::{Clock, Timestamp};
use crate::commands::{causes, restart};
use crate::config::{Config, ConfigError, Loaded, Tls};
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
    /// The operator: see its problems.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The operator: these keys count at start only.
    #[error("{} can only be changed by a restart: restart Usher, or put it back as it was", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// The operator: see the cause.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The operator or the world: see the cause.
    #[error("cannot build the gateway")]
    Gateway(#[from] gateway::BuildError),
    /// Us: loading, building or adopting panicked, of which the log has a line of its own.
    #[error("a defect of Usher: reloading panicked")]
    Defect,
}

impl ReloadError {
    const fn fault(&self) -> &'static str {
        match self {
            Self::Configuration(_) | Self::NeedsRestart(_) | Self::Certificate(_) | Self::Gateway(_) => "operator",
            Self::Defect => "us",
        }
    }

    /// Everything that is wrong, each as the log says it.
    fn problems(&self) -> Vec<String> {
        match self {
            Self::Configuration(error) => error.problems.iter().map(ToString::to_string).collect(),
            _ => vec![causes(self).join(": ")],
        }
    }
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
        let putting = AssertUnwindSafe(self.put_in_force(config)).catch_unwind();
        let outcome = putting.await.unwrap_or(Err(ReloadError::Defect));
        self.note(outcome.as_ref().copied());
        outcome
    }

    /// Notes that a certificate was ordered, and whether it was issued.
    pub(super) fn note_order(&self, host: &str, is_issued: bool) {
        self.outcomes.note_order(host, is_issued);
    }

    /// What became of the orders for the certificates that are to be ordered.
    pub(super) fn certificate_orders(&self) -> Vec<(String, admin::CertificateOrders)> {
        match &self.config().tls {
            Tls::Acme(acme) => self.outcomes.orders(&acme.hosts),
            _ => Vec::new(),
        }
    }

    fn note(&self, outcome: Result<(), &ReloadError>) {
        self.outcomes.note(outcome.map_err(ReloadError::problems), self.clock.now());
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
        let (certificates, next) =
            tokio::task::spawn_blocking(build).await.map_err(|_panicked| ReloadError::Defect)??;
        server.adopt(&next.config, certificates, &next.gateway).await;
        next.gateway.watch_upstreams(Some(&replaced));
        self.in_force.store(Arc::new(next));
        Ok(())
    }

    /// Reads the certificates anew. Each that cannot be used stays as it is, and is told of.
    pub async fn renew_certificates(&self) -> Vec<ReloadError> {
        // What is read here is the table of before, with its files read anew: it must not come after another one.
        let _turn = self.turn.lock().await;
        let (server, now) = (self.server.clone(), self.clock.now());
        let errors = tokio::task::spawn_blocking(move || server.renew_certificates(now)).await;
        let errors: Vec<_> = match errors {
            Ok(errors) => errors.into_iter().map(ReloadError::Certificate).collect(),
            Err(_panicked) => vec![ReloadError::Defect],
        };
        self.outcomes.note_certificates(errors.iter().flat_map(ReloadError::problems).collect());
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
    Configuration(Box<Result<Loaded, ReloadError>>),
}

impl Work {
    /// What somebody asks for, or a look at the files gives reason for.
    fn find(source: &mut Source, asked: bool, in_force: &Config) -> Self {
        let (configuration, certificates) = if asked { (true, false) } else { source.look() };
        if configuration {
            Self::Configuration(Box::new(source.load(Some(in_force)).map_err(ReloadError::Configuration)))
        } else if certificates {
            Self::Certificates
        } else {
            Self::Nothing
        }
    }
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
        let find = move |source: &mut Source, in_force: &Config| Work::find(source, asked, in_force);
        // Nothing else takes it away than the end of the runtime.
        let Some(returned) = turn(source, &reloads, find).await else { return };
        source = returned;
    }
}

/// Finds what there is to do, and does it. Returns the source, whatever became of that.
async fn turn<F>(mut source: Source, reloads: &Reloads, find: F) -> Option<Source>
where
    F: FnOnce(&mut Source, &Config) -> Work + Send + 'static,
{
    let in_force = reloads.config();
    // A file system that does not answer must hold up nothing but this.
    let found = tokio::task::spawn_blocking(move || {
        let found = catch_unwind(AssertUnwindSafe(|| find(&mut source, &in_force)));
        (source, found)
    });
    let (source, found) = found.await.ok()?;
    match found.unwrap_or_else(|_panic| Work::Configuration(Box::new(Err(ReloadError::Defect)))) {
        Work::Nothing => {}
        Work::Certificates => {
            let are_read = renew_certificates(reloads).await;
            if are_read {
                tracing::info!("certificates read");
            }
        }
        Work::Configuration(loaded) => {
            reload(reloads, *loaded).await;
            // Pairs that are in use already are read whatever else is wrong.
            renew_certificates(reloads).await;
            sleep(PAUSE).await;
        }
    }
    Some(source)
}

/// Whether all of them could be read.
pub(super) async fn renew_certificates(reloads: &Reloads) -> bool {
    let errors = reloads.renew_certificates().await;
    for error in &errors {
        tracing::error!(
            fault = error.fault(),
            error = causes(error).join(": "),
            "a certificate cannot be renewed; the one in use stays"
        );
    }
    errors.is_empty()
}

async fn reload(reloads: &Reloads, loaded: Result<Loaded, ReloadError>) {
    service_manager::tell(Word::Reloading);
    match loaded {
        Ok(loaded) => adopt(reloads, loaded).await,
        Err(error) => {
            reloads.note(Err(&error));
            tell(&error);
        }
    }
    service_manager::tell(Word::Serving);
}

async fn adopt(reloads: &Reloads, Loaded { config, notes, .. }: Loaded) {
    if let Err(error) = reloads.reload(config).await {
        return tell(&error);
    }
    for note in &notes {
        tracing::warn!("{note}");
    }
    tell_of_client_certificates(&reloads.config(), reloads.clock.now());
    tracing::info!("configuration reloaded");
}

/// What keeps clients out with the configuration that comes into force, or will.
pub(super) fn tell_of_client_certificates(config: &Config, now: Timestamp) {
    for warning in config.client_certificate_warnings(now) {
        tracing::warn!(fault = "operator", remedy = warning.remedy(), "{warning}");
    }
}

fn tell(error: &ReloadError) {
    let fault = error.fault();
    if let ReloadError::Configuration(ConfigError { problems, .. }) = error {
        for problem in problems {
            tracing::error!(fault, key = problem.path, "the configuration is not reloaded: {problem}");
        }
    } else {
        tracing::error!(fault, error = causes(error).join(": "), "the configuration is not reloaded");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::commands::serve;
    use crate::config::Sources;
    use crate::server::testing;

    /// Without an issuer, so that nothing has to be reached.
    const YAML: &str = "
listen: { plain: '127.0.0.1:0' }
trusted_proxies: [127.0.0.1]
sites: [{ host: app.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{ path: / }] }]
";

    #[tokio::test]
    async fn a_panic_while_a_configuration_is_loaded_refuses_that_one_and_the_next_is_reloaded() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("usher.yaml");
        fs::write(&file, YAML).unwrap();
        let mut source = Source::new(Sources::file(file.clone()));
        let config = source.load(None).unwrap().config;
        let running = serve::start(config, Clock::system()).await.unwrap();
        let reloads = running.reloads();
        let before = reloads.in_force().1;

        let source = turn(source, &reloads, |_, _| panic!("while loading")).await.unwrap();
        let told = reloads.outcomes();
        let failure = told.last_failure.unwrap();
        assert_eq!(
            (told.failed, &failure.problems[..]),
            (1, &["a defect of Usher: reloading panicked".to_owned()][..])
        );
        assert_eq!(reloads.in_force().1, before, "what was in force still is");

        fs::write(&file, YAML.replace("path: /", "path: /docs/")).unwrap();
        let asked = |source: &mut Source, in_force: &Config| Work::find(source, true, in_force);
        turn(source, &reloads, asked).await.unwrap();
        let told = reloads.outcomes();
        assert!(told.last_failure.is_none() && told.successful == 1, "{told:?}");
        assert_ne!(reloads.in_force().1, before);
        tokio::time::timeout(testing::PATIENCE, running.drain()).await.unwrap();
    }
}
