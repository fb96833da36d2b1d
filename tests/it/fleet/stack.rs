//! The stack of `examples/fleet` from its own files: a real load balancer, a real Redis, two processes. Only the addresses are
//! others, and the harness plays the provider and the application.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use usher::clock::Clock;

use crate::fleet::people;
use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::wait::PATIENCE;
use crate::harness::{Browser, Client, Issuer, Protocol, Upstream, eventually, get, left_out, redis};

/// What the containers of the example are called.
const INSTANCES: [&str; 2] = ["usher-one", "usher-two"];

/// The running stack.
pub(crate) struct Stack {
    pub(crate) issuer: Issuer,
    pub(crate) instances: Vec<Usher>,
    /// Where browsers go, for `https` and for `http`.
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    _upstream: Upstream,
    _servers: [Child; 2],
    directories: Vec<TempDir>,
    files: [String; 2],
    listening: [SocketAddr; 2],
    admin: [SocketAddr; 2],
}

impl Stack {
    /// Starts all of it. `None`: something is not installed, and the test is left out, which is said.
    pub(crate) async fn start(what: &str) -> Option<Self> {
        if !redis::is_installed().await || !is_installed("haproxy", "-v").await {
            left_out(&format!("{what}: redis-server, redis-cli or haproxy is missing"));
            return None;
        }
        let (issuer, upstream) = (Issuer::start(&Clock::system()).await, Upstream::start().await);
        let directory = tempfile::tempdir().unwrap();
        let network = Network::new();
        let [https, http] = network.free(1);
        let [store] = network.free(2);
        let places = [3, 4].map(|host| network.free(host));
        let secrets = furnish(directory.path());
        let files = places.map(|place| {
            let yaml = usher(&secrets, place);
            let yaml = replace(&yaml, "redis:6379", &store.to_string());
            let yaml = replace(&yaml, "http://localhost:8180/realms/main", &issuer.url());
            let yaml = replace(&yaml, "http://keycloak:8080/realms/main", &issuer.url());
            let yaml = replace(&yaml, "published-in-realm.json-change-both", CLIENT_SECRET);
            replace(&yaml, "http://app:8080", &upstream.url())
        });
        let servers = [start_redis(directory.path(), store), start_balancer(directory.path(), [https, http], places)];
        let mut stack = Self {
            issuer,
            instances: Vec::new(),
            https,
            http,
            _upstream: upstream,
            _servers: servers,
            directories: vec![directory],
            files,
            listening: places.map(|[https, ..]| https),
            admin: places.map(|[.., admin]| admin),
        };
        for instance in 0..INSTANCES.len() {
            stack.directories.push(tempfile::tempdir().unwrap());
            stack.instances.push(stack.serve(instance));
        }
        stack.are_up().await;
        Some(stack)
    }

    /// Starts an instance where it was.
    fn serve(&self, instance: usize) -> Usher {
        Usher::serve(&self.files[instance], self.directories[instance + 1].path())
    }

    /// Ends an instance as `docker compose` does, starts it anew, and waits until the load balancer sends requests there.
    /// `answers` counts what others get over new connections meanwhile.
    pub(crate) async fn restart(&mut self, instance: usize, answers: &AtomicUsize) {
        self.instances[instance].signal("TERM").await;
        self.is_spared(instance, answers).await;
        let ended = self.instances[instance].exit().await;
        assert_eq!(ended.code(), Some(0), "{}", self.instances[instance].output());
        self.instances[instance] = self.serve(instance);
        self.gets_requests(instance).await;
    }

    /// Waits until no new connections go to an instance, which is to be while it would still take them.
    async fn is_spared(&self, instance: usize, answers: &AtomicUsize) {
        let served = || self.instances[instance].output().matches("protocol=\"HTTP/1.1\"").count();
        loop {
            let (before, enough) = (served(), answers.load(Ordering::SeqCst) + 10);
            eventually("others are answered", || answers.load(Ordering::SeqCst) >= enough).await;
            if served() == before {
                break;
            }
        }
        TcpStream::connect(self.listening[instance])
            .await
            .expect("it listens until the load balancer has seen that it ends");
    }

    /// Waits until an instance has served a request.
    async fn gets_requests(&self, instance: usize) {
        self.instances[instance].says("usher::access").await;
    }

    /// Waits until both instances have the store, and the load balancer sends requests to both.
    async fn are_up(&self) {
        let started = Instant::now();
        for (instance, admin) in self.instances.iter().zip(&self.admin) {
            instance.says("serving").await;
            let url = format!("http://{admin}/readyz");
            while !reqwest::get(&url).await.unwrap().text().await.unwrap().starts_with("ready") {
                assert!(started.elapsed() < PATIENCE, "{}", instance.output());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        while !self.instances.iter().all(|instance| instance.output().contains("usher::access")) {
            assert!(started.elapsed() < PATIENCE, "the load balancer knows both instances");
            self.client(Protocol::Http1).try_send(get("https://localhost/up")).await;
        }
    }

    /// A client of the load balancer: each connection goes to another instance.
    pub(crate) const fn client(&self, protocol: Protocol) -> Client {
        Client { address: self.https, protocol }
    }

    /// A browser in which somebody has signed in. Its requests have gone to one instance and the other in turn.
    pub(crate) async fn sign_in(&self, subject: &str) -> Browser {
        people::sign_in(self.client(Protocol::Http1), &self.issuer, "localhost", subject).await
    }
}

/// Addresses of the loopback network that no other test has, so that a port stays free while nobody listens there.
struct Network([u8; 2]);

impl Network {
    fn new() -> Self {
        let mut bytes = [0; 2];
        rand::fill(&mut bytes).unwrap();
        Self([64 | bytes[0] & 63, bytes[1]])
    }

    /// Free ports of one address.
    fn free<const PORTS: usize>(&self, host: u8) -> [SocketAddr; PORTS] {
        let address = IpAddr::V4(Ipv4Addr::new(127, self.0[0], self.0[1], host));
        let listeners = [(); PORTS].map(|()| TcpListener::bind((address, 0)).unwrap());
        listeners.map(|listener| listener.local_addr().unwrap())
    }
}

/// Writes what `secrets.sh` makes, and says where.
fn furnish(directory: &Path) -> String {
    authority().write(&["localhost"], directory, "site");
    std::fs::write(directory.join("usher_session"), "a session secret of the tests, 0123456789\n").unwrap();
    std::fs::write(directory.join("admin_token"), "4fa81c0a5f7b9d3e4fa81c0a5f7b9d3e\n").unwrap();
    std::fs::write(directory.join("redis"), "8f3a5c0e\n").unwrap();
    directory.to_str().unwrap().to_owned()
}

/// The configuration of an instance that listens at these places.
fn usher(secrets: &str, [https, http, admin]: [SocketAddr; 3]) -> String {
    let yaml = replace(&example("usher.yaml"), "/run/secrets", secrets);
    let yaml = replace(&yaml, "0.0.0.0:8443", &https.to_string());
    let yaml = replace(&yaml, "0.0.0.0:8080", &http.to_string());
    let yaml = replace(&yaml, "0.0.0.0:9901", &admin.to_string());
    replace(&yaml, "172.30.250.0/24", "127.0.0.0/8")
}

fn start_redis(directory: &Path, at: SocketAddr) -> Child {
    let place = directory.to_str().unwrap();
    let script = replace(&example("redis.sh"), "/run/secrets", place).replace("/data", place);
    std::fs::write(directory.join("redis.sh"), replace(&script, "/etc/redis.conf", &format!("{place}/redis.conf")))
        .unwrap();
    std::fs::write(directory.join("redis.conf"), replace(&example("redis.conf"), "/data", place)).unwrap();
    let mut command = Command::new("sh");
    command.args(["redis.sh", "--bind", &at.ip().to_string(), "--port", &at.port().to_string(), "--dir", place]);
    start(command, directory)
}

fn start_balancer(directory: &Path, [https, http]: [SocketAddr; 2], places: [[SocketAddr; 3]; 2]) -> Child {
    let file = replace(&example("haproxy.cfg"), "bind :8443", &format!("bind {https}"));
    let mut file = replace(&file, "bind :8080", &format!("bind {http}"));
    for (name, [https, http, admin]) in INSTANCES.iter().zip(places) {
        let check = format!("{https} check port {}", admin.port());
        file = replace(&file, &format!("{name}:8443 check port 9901"), &check);
        file = replace(&file, &format!("{name}:8080"), &http.to_string());
    }
    std::fs::write(directory.join("haproxy.cfg"), file).unwrap();
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f", "haproxy.cfg"]);
    start(command, directory)
}

fn start(mut command: Command, directory: &Path) -> Child {
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

/// A file of the example.
fn example(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/fleet");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Replaces something that must be there: an example that has changed is tested as it is, or not at all.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to)
}

async fn is_installed(program: &str, version: &str) -> bool {
    let status = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}
