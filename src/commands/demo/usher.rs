//! Usher itself, started from a file as `usher serve` starts it, but for the environment: what is set there for a real
//! gateway is none of the demonstration's business.

use std::net::SocketAddr;
use std::path::Path;

use crate::clock::Clock;
use crate::commands::serve::{self, Running, StartupError};
use crate::config::{self, ConfigError, Loaded, Sources};

/// Why Usher does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The demonstration's own configuration is refused. Ours.
    #[error("the configuration of the demonstration is not valid")]
    Configuration(#[from] ConfigError),
    /// The world: see the cause.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// It listens nowhere. Ours.
    #[error("the gateway has no TLS listener")]
    NoListener,
}

/// A running gateway.
pub(super) struct Usher {
    running: Running,
    https: SocketAddr,
}

impl Usher {
    pub(super) async fn start(file: &Path, clock: Clock) -> Result<Self, StartError> {
        let Loaded { config, .. } = config::load(&Sources::file(file))?;
        let running = serve::start(config, clock).await?;
        let https = running.addresses.https.first().copied().ok_or(StartError::NoListener)?;
        Ok(Self { running, https })
    }

    pub(super) const fn https(&self) -> SocketAddr {
        self.https
    }

    pub(super) async fn drain(self) {
        self.running.drain().await;
    }
}
