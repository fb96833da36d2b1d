//! The only place that knows how the library loads a configuration and starts a gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use usher::clock::Clock;
use usher::commands::serve::{self, Running};
use usher::config::{self, Config, ConfigError, Format, Sources};
use usher::tasks::Tasks;

/// The library's handle on a running gateway.
#[derive(Debug)]
pub(super) struct Library(Running);

impl Library {
    /// Loads and starts.
    pub(super) async fn start(yaml: &str, clock: Clock) -> Self {
        let config = load(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        Self(serve::start(config, clock).await.expect("the gateway starts"))
    }

    /// Everything that is wrong with a configuration, as an operator reads it; `None` when it is fine.
    pub(super) fn refusal(yaml: &str) -> Option<String> {
        load(yaml).err().map(|error| error.to_string())
    }

    /// Another configuration for the running gateway, or why not.
    pub(super) async fn reload(&self, yaml: &str) -> Result<(), String> {
        let config = load(yaml).map_err(|error| error.to_string())?;
        self.0.reloads().reload(config).await.map_err(|error| error.to_string())
    }

    /// Reads the certificates anew, as often as this is polled to its end.
    pub(super) fn renew_certificates(&self) -> impl Future<Output = usize> + Send + use<> {
        let reloads = self.0.reloads();
        async move { reloads.renew_certificates().await.len() }
    }

    /// A gateway of a configuration that only explains.
    pub(super) fn explainer(yaml: &str, clock: &Clock) -> Arc<usher::gateway::Gateway> {
        let config = load(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        usher::gateway::Gateway::to_explain(config, false, tasks, clock.clone()).expect("it can be asked")
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.0.addresses.https[0]
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.0.addresses.http[0]
    }

    pub(super) fn plain(&self) -> SocketAddr {
        self.0.addresses.plain[0]
    }

    pub(super) fn verify(&self) -> SocketAddr {
        self.0.addresses.verify[0]
    }

    pub(super) fn admin(&self) -> SocketAddr {
        self.0.addresses.admin.expect("there is an admin listener")
    }

    pub(super) async fn drain(self) {
        self.0.drain().await;
    }
}

/// Loads a configuration from text, as if it stood in `usher.yaml`.
fn load(yaml: &str) -> Result<Config, ConfigError> {
    config::load(&Sources::text("usher.yaml", Format::Yaml, yaml, ".")).map(|loaded| loaded.config)
}
