//! A real certificate authority that speaks ACME: Pebble, the one that Let's Encrypt tests clients with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

use super::application_server::LEASH;
use super::certificates::authority;
use super::left_out::left_out;
use super::port::free_port;
use super::wait::PATIENCE;

/// A running authority, for which every name leads to this machine. It is killed with this value.
#[derive(Debug)]
pub(crate) struct Pebble {
    /// Where it looks for `http-01`.
    pub(crate) http: SocketAddr,
    /// Where it looks for `tls-alpn-01`.
    pub(crate) https: SocketAddr,
    port: u16,
    management: u16,
    names: u16,
    programs: PathBuf,
    /// How many of a hundred good nonces it refuses.
    refused_nonces: u8,
    processes: Vec<Child>,
    directory: TempDir,
}

impl Pebble {
    /// One whose certificates live so many seconds, and that is not running yet. `None`: it is not installed, and the test is
    /// left out, which is said.
    ///
    /// # Panics
    ///
    /// When it is missing although `USHER_TEST_ALL` demands every test.
    pub(crate) fn prepare(validity: u64) -> Option<Self> {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pebble");
        if !["pebble", "pebble-challtestsrv"].iter().all(|name| programs.join(name).is_file()) {
            left_out("certificates by ACME: Pebble is not installed, which tests/run does");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        authority().write(&["localhost"], directory.path(), "pebble");
        std::fs::write(directory.path().join("authority.pem"), authority().root_pem()).unwrap();
        let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (http, https) = (here(free_port()), here(free_port()));
        let (port, management, names) = (free_port(), free_port(), free_port());
        let config = json!({ "pebble": {
            "listenAddress": here(port).to_string(),
            "managementListenAddress": here(management).to_string(),
            "certificate": directory.path().join("pebble.pem"),
            "privateKey": directory.path().join("pebble.key"),
            "httpPort": http.port(),
            "tlsPort": https.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "retryAfter": { "authz": 1, "order": 1 },
            "keyAlgorithm": "ecdsa",
            "profiles": { "default": { "description": "the only one", "validityPeriod": validity } },
        } });
        std::fs::write(directory.path().join("pebble.json"), config.to_string()).unwrap();
        Some(Self {
            http,
            https,
            port,
            management,
            names,
            programs,
            refused_nonces: 0,
            processes: Vec::new(),
            directory,
        })
    }

    /// It makes accounts for those alone who have this key, in base64url, of this name.
    pub(crate) fn require_external_account(&self, key_id: &str, key: &str) {
        let path = self.directory.path().join("pebble.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["pebble"]["externalAccountBindingRequired"] = true.into();
        config["pebble"]["externalAccountMACKeys"] = json!({ key_id: key });
        std::fs::write(path, config.to_string()).unwrap();
    }

    /// It refuses so many of a hundred nonces that are good, as it may: a client comes again.
    pub(crate) fn refuse_nonces(&mut self, percent: u8) {
        self.refused_nonces = percent;
    }

    /// Starts it; or again, and it has forgotten everything.
    pub(crate) async fn start(&mut self) {
        let names = format!("127.0.0.1:{}", self.names);
        let management = format!("127.0.0.1:{}", free_port());
        let resolver = ["-dnsserver", &names, "-management", &management, "-defaultIPv6", ""];
        let silent = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""];
        self.run("pebble-challtestsrv", &[&resolver[..], &silent].concat());
        let config = self.directory.path().join("pebble.json");
        self.run("pebble", &["-config", config.to_str().unwrap(), "-dnsserver", &names]);
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err()
            || TcpStream::connect(("127.0.0.1", self.management)).await.is_err()
        {
            assert!(started.elapsed() < PATIENCE, "pebble does not start: {}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn run(&mut self, program: &str, arguments: &[&str]) {
        let log = self.directory.path().join(format!("{program}.log"));
        let output = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let process = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(self.programs.join(program))
            .args(arguments)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", self.refused_nonces.to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.processes.push(process);
    }

    /// Kills it.
    pub(crate) async fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            // The leash pulls.
            drop(process.stdin.take());
            drop(process.wait().await);
        }
    }

    /// What `tls.acme` says of it.
    pub(crate) fn keys(&self) -> String {
        let ca = self.directory.path().join("authority.pem");
        let directory = format!("https://localhost:{}/dir", self.port);
        format!("directory: '{directory}', ca_file: '{}', agree_to_terms: true", ca.display())
    }

    /// What it wrote to its log.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("pebble.log")).unwrap_or_default()
    }

    /// How many orders were made.
    pub(crate) fn orders(&self) -> usize {
        self.said().matches("Added order ").count()
    }

    /// How many accounts were made.
    pub(crate) fn accounts(&self) -> usize {
        self.said().matches(" accounts in memory").count()
    }

    /// A client that trusts what it has issued, since it was started last, and nobody else.
    pub(crate) async fn trusting(&self) -> Visitor {
        let trusting = ClientConfig::clone(&authority().client(&[b"http/1.1"]));
        let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(trusting).build().unwrap();
        let url = format!("https://localhost:{}/roots/0", self.management);
        let pem = client.get(url).send().await.unwrap().text().await.unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Visitor { https: self.https, config: Arc::new(config) }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The leash pulls; whoever killed the shell that holds it would leave the other end running.
            drop(process.stdin.take());
            let started = Instant::now();
            while matches!(process.try_wait(), Ok(None)) && started.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Somebody who trusts one authority.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    https: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Visitor {
    /// The certificate that is shown for `host` and the status of `GET path`, on a connection of its own.
    pub(crate) async fn visit(&self, host: &str, path: &str) -> std::io::Result<(CertificateDer<'static>, u16)> {
        let stream = TcpStream::connect(self.https).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((shown, status.ok_or_else(|| std::io::Error::other(answer))?))
    }
}
