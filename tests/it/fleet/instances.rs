//! Instances that share a store, an application behind them, and an issuer: the certified one, or one with bad days.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use usher::clock::Clock;

use crate::harness::authorization_server::AuthorizationServer;
use crate::harness::child::{Usher, binary};
use crate::harness::client::Protocol;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SITES, jar};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Client, Gateway, Issuer, Jar, Upstream, get};

/// A session with raw cookies, so that a test can present any token.
const RAW: &str = "  secret: '$SECRET'\n  cookies: { access: at, refresh: rt, sealed: false }";

/// The instances and everything around them but the store.
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Gateway>,
    pub(crate) server: AuthorizationServer,
    _upstream: Upstream,
}

impl Fleet {
    /// So many instances whose store is at `url`.
    pub(crate) async fn start(instances: usize, url: &str, what: &str) -> Option<Self> {
        let server = AuthorizationServer::start("RS256", what).await?;
        let upstream = Upstream::start().await;
        let issuers = ISSUERS.replace("$ISSUER", server.issuer());
        // Longer than the default: a busy machine is not what is tested.
        let yaml = configuration(&issuers, &upstream, &format!("url: '{url}', timeout: 3s"));
        Some(Self { instances: gateways(instances, &yaml, &Clock::system()).await, server, _upstream: upstream })
    }

    /// The cookies of a user whose access token has expired.
    pub(crate) async fn expired(&self, subject: &str) -> Jar {
        expired(&self.server, subject).await
    }

    /// The server was asked for tokens as often as this, and never with a spent one.
    pub(crate) async fn assert_asked(&self, times: usize) {
        let stats = self.server.stats().await;
        assert_eq!((stats.token_requests, stats.reuses, stats.grants_revoked), (times, 0, 0), "{stats:?}");
    }
}

/// The same with an issuer that has bad days.
pub(crate) struct Troubled {
    pub(crate) instances: Vec<Gateway>,
    pub(crate) issuer: Issuer,
    pub(crate) upstream: Upstream,
    yaml: String,
}

impl Troubled {
    /// Two instances; `redis` holds the keys of `session.store.redis`.
    pub(crate) async fn start(redis: &str) -> Self {
        Self::start_by(&Clock::system(), redis).await
    }

    /// The same by a clock that the test moves. The store has its own.
    pub(crate) async fn start_by(clock: &Clock, redis: &str) -> Self {
        Self::before(Upstream::start().await, clock, redis).await
    }

    /// The same before this application.
    pub(crate) async fn before(upstream: Upstream, clock: &Clock, redis: &str) -> Self {
        let issuer = Issuer::start(clock).await;
        let yaml = configuration(&ISSUERS.replace("$ISSUER", &issuer.url()), &upstream, redis);
        Self { instances: gateways(2, &yaml, clock).await, issuer, upstream, yaml }
    }

    /// An instance more.
    pub(crate) async fn another(&self) -> Gateway {
        Gateway::start(&self.yaml, &Clock::system()).await
    }

    /// The cookies of a user whose access token has expired.
    pub(crate) fn expired(&self) -> Jar {
        jar(&self.issuer.sign_in_expired("alice"))
    }

    /// One request to an instance.
    pub(crate) async fn ask(&self, instance: usize, jar: &Jar) -> Answer {
        self.instances[instance].client().send(get("https://app.test/x").cookies(jar)).await
    }

    /// What an instance says of itself to a load balancer.
    pub(crate) async fn readiness(&self, instance: usize) -> String {
        let url = format!("http://{}/readyz", self.instances[instance].admin());
        reqwest::get(url).await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }

    /// Waits until an instance says this of itself.
    pub(crate) async fn is(&self, instance: usize, state: &str) {
        let started = Instant::now();
        loop {
            let said = self.readiness(instance).await;
            if said.starts_with(state) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "instance {instance} never was {state}: {said}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the issuer has got so many token requests.
    pub(crate) async fn is_asked(&self, times: usize) {
        crate::harness::eventually("the issuer is asked", || self.issuer.token_requests() == times).await;
    }
}

/// Instances that are processes, so that they can be stopped and killed.
pub(crate) struct Processes<I = Issuer> {
    pub(crate) instances: Vec<Instance>,
    pub(crate) issuer: I,
    _upstream: Upstream,
    yaml: String,
}

/// One process.
pub(crate) struct Instance {
    pub(crate) usher: Usher,
    pub(crate) address: SocketAddr,
    directory: TempDir,
}

impl Processes {
    /// So many instances.
    pub(crate) async fn start(instances: usize, url: &str) -> Self {
        Self::start_with(instances, &format!("url: '{url}'"), RAW).await
    }

    /// The same, where nobody gives up.
    pub(crate) async fn patient(instances: usize, url: &str) -> Self {
        let session = format!("{RAW}\n  refresh_wait: 60s");
        Self::start_with(instances, &format!("url: '{url}', timeout: 3s"), &session).await
    }

    async fn start_with(instances: usize, redis: &str, session: &str) -> Self {
        let issuer = Issuer::start(&Clock::system()).await;
        let issuers = ISSUERS.replace("$ISSUER", &issuer.url());
        let upstream = Upstream::start().await;
        let yaml = complete_configuration(&issuers, &upstream, session, redis);
        Self::around((issuer, upstream), yaml, instances).await
    }

    /// The cookies of a user whose access token has expired.
    pub(crate) fn expired(&self) -> Jar {
        jar(&self.issuer.sign_in_expired("alice"))
    }
}

impl Processes<AuthorizationServer> {
    /// So many instances with the certified server; `redis` holds the keys of `session.store.redis`.
    pub(crate) async fn certified(instances: usize, redis: &str, what: &str) -> Option<Self> {
        let server = AuthorizationServer::start("RS256", what).await?;
        let issuers = ISSUERS.replace("$ISSUER", server.issuer());
        let upstream = Upstream::start().await;
        // Nobody gives up because the machine is busy.
        let session = format!("{RAW}\n  refresh_wait: 60s");
        let yaml = complete_configuration(&issuers, &upstream, &session, redis);
        Some(Self::around((server, upstream), yaml, instances).await)
    }

    /// The cookies of a user whose access token has expired.
    pub(crate) async fn expired(&self, subject: &str) -> Jar {
        expired(&self.issuer, subject).await
    }
}

impl<I> Processes<I> {
    async fn around((issuer, upstream): (I, Upstream), yaml: String, instances: usize) -> Self {
        let mut processes = Self { instances: Vec::new(), issuer, _upstream: upstream, yaml };
        for _ in 0..instances {
            let instance = processes.another().await;
            processes.instances.push(instance);
        }
        processes
    }

    /// An instance more.
    pub(crate) async fn another(&self) -> Instance {
        Instance::start(&self.yaml, &binary()).await
    }
}

async fn expired(server: &AuthorizationServer, subject: &str) -> Jar {
    let tokens = server.sign_in(subject, -10).await;
    Jar::of(&[("at", &tokens.access_token), ("rt", &tokens.refresh_token)])
}

impl Instance {
    /// Starts one of this version.
    pub(crate) async fn start(yaml: &str, binary: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let usher = Usher::serve_by(binary, &complete(yaml, &directory), directory.path());
        let address = usher.address("https").await;
        Self { usher, address, directory }
    }

    /// Drains it, and starts another version in its place.
    pub(crate) async fn become_version(&mut self, binary: &str) {
        self.usher.signal("TERM").await;
        assert_eq!(self.usher.exit().await.code(), Some(0), "{}", self.usher.output());
        self.usher = Usher::run_by(binary, &["serve", "--config", "usher.yaml"], self.directory.path());
        self.address = self.usher.address("https").await;
    }

    /// A client of this instance.
    pub(crate) const fn client(&self) -> Client {
        Client { address: self.address, protocol: Protocol::Http1 }
    }
}

async fn gateways(instances: usize, yaml: &str, clock: &Clock) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    for _ in 0..instances {
        gateways.push(Gateway::start(yaml, clock).await);
    }
    gateways
}

/// What all instances are configured with whose cookies are raw.
fn configuration(issuers: &str, upstream: &Upstream, redis: &str) -> String {
    complete_configuration(issuers, upstream, RAW, redis)
}

/// The same with sealed cookies. `secrets` is a list.
pub(crate) fn sealed(issuer: &Issuer, upstream: &Upstream, secrets: &str, redis: &str) -> String {
    let issuers = ISSUERS.replace("$ISSUER", &issuer.url());
    complete_configuration(&issuers, upstream, &format!("  secret: {secrets}"), redis)
}

fn complete_configuration(issuers: &str, upstream: &Upstream, session: &str, redis: &str) -> String {
    let sites = SITES.replace("connect: 1s, response: 2s", "connect: 60s, response: 60s");
    let issuers = issuers.replace("$CLIENT_SECRET", crate::harness::issuer::CLIENT_SECRET);
    let limits = "limits: { streams_per_connection: 1000 }";
    let store = format!("  store: {{ redis: {{ {redis} }} }}");
    format!("{issuers}\n{limits}\nsession:\n{session}\n{store}\n{sites}").replace("$UPSTREAM", &upstream.url())
}
