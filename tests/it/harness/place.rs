//! The usual surroundings of a gateway that runs as a process of its own, on the clock of the system: for what only a
//! process can run out of.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use usher::clock::Clock;

use super::child::Usher;
use super::client::{Client, Protocol, post};
use super::cookies::Jar;
use super::gateway::complete;
use super::issuer::{CLIENT_SECRET, Issuer};
use super::scene::{ISSUERS, SITES};
use super::upstream::{Upstream, UpstreamAnswer};

/// A gateway process, the application behind it, and the issuer. Sessions are sealed.
#[derive(Debug)]
pub(crate) struct Place {
    /// The process.
    pub(crate) usher: Usher,
    /// Where it serves.
    pub(crate) address: SocketAddr,
    /// The application.
    pub(crate) upstream: Upstream,
    /// The issuer.
    pub(crate) issuer: Issuer,
    /// The directory that the process runs in.
    pub(crate) directory: TempDir,
}

impl Place {
    /// Starts one with these keys in its configuration, in a shell that has run `setup`.
    pub(crate) async fn start(setup: &str, keys: &str) -> Self {
        let (upstream, issuer) = (Upstream::start().await, Issuer::start(&Clock::system()).await);
        let directory = tempfile::tempdir().unwrap();
        let yaml = configuration(keys, &issuer.url(), &upstream.url(), &directory);
        let usher = Usher::serve_after(setup, &yaml, directory.path());
        let address = usher.address("https").await;
        Self { usher, address, upstream, issuer, directory }
    }

    /// The same configuration at the same address, in a new process: the old one is killed first (SIGKILL).
    pub(crate) async fn restart(&mut self, keys: &str) {
        self.restart_after("", keys).await;
    }

    /// The same, in a shell that has run `setup`.
    pub(crate) async fn restart_after(&mut self, setup: &str, keys: &str) {
        self.usher.signal("KILL").await;
        self.usher.exit().await;
        let listen = format!("listen: {{ https: '{}', admin: '127.0.0.1:0' }}\n{keys}", self.address);
        let yaml = configuration(&listen, &self.issuer.url(), &self.upstream.url(), &self.directory);
        self.usher = Usher::serve_after(setup, &yaml, self.directory.path());
    }

    /// An HTTP/1.1 client.
    pub(crate) fn client(&self) -> Client {
        Client { address: self.address, protocol: Protocol::Http1 }
    }

    /// An HTTP/2 client.
    pub(crate) fn http2(&self) -> Client {
        Client { address: self.address, protocol: Protocol::Http2 }
    }

    /// Signs a user in through the application's login: the sealed cookies.
    pub(crate) async fn sign_in(&self, subject: &str) -> Jar {
        let tokens = self.issuer.sign_in(subject);
        let issued = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
        self.upstream.answer("/auth/login", UpstreamAnswer::json(&issued));
        let ask = post("https://app.test/auth/login").header("origin", "https://app.test").json(&json!({}));
        let answer = self.client().send(ask).await;
        let mut jar = Jar::default();
        jar.take(&answer.assert_status(200).headers);
        assert!(jar.line().is_some(), "a login gives cookies: {answer:?}");
        jar
    }
}

fn configuration(keys: &str, issuer: &str, upstream: &str, directory: &TempDir) -> String {
    let login = "    login: { path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }\n";
    let yaml = format!("{keys}\n{}\n{login}{SITES}", ISSUERS.trim_end());
    let yaml = yaml.replace("$ISSUER", issuer).replace("$UPSTREAM", upstream);
    complete(&yaml.replace("$CLIENT_SECRET", CLIENT_SECRET), directory)
}

/// What the system says of a process, Linux only.
#[derive(Clone, Debug)]
pub(crate) struct Process(PathBuf);

impl Process {
    /// The process with this id.
    pub(crate) fn of(id: u32) -> Self {
        Self(Path::new("/proc").join(id.to_string()))
    }

    /// Memory that it holds now, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it ever held, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.0.join("fd")).unwrap().count()
    }

    /// Processor time that it has used, in hundredths of a second.
    pub(crate) fn processor(&self) -> u64 {
        let stat = std::fs::read_to_string(self.0.join("stat")).unwrap();
        // Behind the name, which may hold anything: the fields from the third on.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.0.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}
