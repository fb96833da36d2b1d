//! A gateway in this process, on port 0, with a certificate that the test client trusts.

mod library;

use std::net::SocketAddr;

use tempfile::TempDir;
use usher::clock::Clock;

use super::certificates::authority;
use super::client::{Client, Protocol};
use library::Library;

/// Hosts that the certificate of a test gateway is for.
pub(crate) const HOSTS: [&str; 6] = ["app.test", "admin.test", "pub.test", "other.test", "*.wild.test", "unknown.test"];

/// A session secret of the tests.
pub(crate) const SESSION_SECRET: &str = "a session secret of the tests, 0123456789";

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    library: Library,
    directory: TempDir,
}

impl Gateway {
    /// Starts one. `listen`, `tls` and `session` are filled in where the YAML does not have them.
    pub(crate) async fn start(yaml: &str, clock: &Clock) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let yaml = complete(yaml, &directory);
        Self { library: Library::start(&yaml, clock.clone()).await, directory }
    }

    /// A gateway of the library's own that only explains, with what `start` fills in.
    pub(crate) fn explainer(yaml: &str, clock: &Clock) -> std::sync::Arc<usher::gateway::Gateway> {
        let directory = tempfile::tempdir().unwrap();
        Library::explainer(&complete(yaml, &directory), clock)
    }

    /// Another configuration while it runs, or why not.
    pub(crate) async fn reload(&self, yaml: &str) -> Result<(), String> {
        self.library.reload(&complete(yaml, &self.directory)).await
    }

    /// Reads the certificates anew: how many could not be read.
    pub(crate) fn renew_certificates(&self) -> impl Future<Output = usize> + Send + use<> {
        self.library.renew_certificates()
    }

    /// Everything that is wrong with a configuration, as an operator reads it; `None` when it is fine.
    pub(crate) fn refusal(yaml: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        Library::refusal(&complete(yaml, &directory))
    }

    /// The TLS listener.
    pub(crate) fn https(&self) -> SocketAddr {
        self.library.https()
    }

    /// The listener that redirects.
    pub(crate) fn http(&self) -> SocketAddr {
        self.library.http()
    }

    /// The plain listener.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.library.plain()
    }

    /// The listener for the questions of other proxies.
    pub(crate) fn verify(&self) -> SocketAddr {
        self.library.verify()
    }

    /// The admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.library.admin()
    }

    /// What the status page says at this path, as data.
    pub(crate) async fn status(&self, path: &str) -> serde_json::Value {
        let asks = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{}{path}", self.admin()));
        asks.header("accept", "application/json").send().await.unwrap().json().await.unwrap()
    }

    /// An HTTP/1.1 client.
    pub(crate) fn client(&self) -> Client {
        Client { address: self.https(), protocol: Protocol::Http1 }
    }

    /// An HTTP/2 client.
    pub(crate) fn http2(&self) -> Client {
        Client { address: self.https(), protocol: Protocol::Http2 }
    }

    /// Drains and returns when that is over.
    pub(crate) async fn drain(self) {
        self.library.drain().await;
    }
}

/// Fills in what most tests do not care about. `$DIRECTORY` stands for a directory of the gateway's own.
pub(crate) fn complete(yaml: &str, directory: &TempDir) -> String {
    let path = directory.path();
    authority().write(&HOSTS, path, "site");
    std::fs::write(path.join("authority.pem"), authority().root_pem()).unwrap();
    let mut whole = String::new();
    if !has(yaml, "listen") {
        whole.push_str("listen: { https: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' }\n");
    }
    if !has(yaml, "tls") {
        whole.push_str(
            "tls:\n  certificates:\n    - { certificate: '$DIRECTORY/site.pem', key: '$DIRECTORY/site.key' }\n",
        );
    }
    if !has(yaml, "session") {
        whole.push_str("session: { secret: '$SECRET' }\n");
    }
    whole.push_str(yaml);
    whole.replace("$DIRECTORY", path.to_str().unwrap()).replace("$SECRET", SESSION_SECRET)
}

fn has(yaml: &str, key: &str) -> bool {
    yaml.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
}
