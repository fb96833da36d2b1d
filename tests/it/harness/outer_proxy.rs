//! Real proxies that serve an application and ask Usher about each request, with the very files of `examples/forward-auth`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::application_server::LEASH;
use super::certificates::authority;
use super::client::{Client, Protocol};
use super::left_out::left_out;
use super::port::free_port;
use super::wait::PATIENCE;

/// The proxies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OuterKind {
    /// `auth_request`.
    Nginx,
    /// What `forward_auth` stands for.
    Caddy,
    /// A few lines of Lua.
    Haproxy,
    /// `ext_authz`, HTTP.
    Envoy,
}

/// Where a proxy finds the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// Usher's own paths.
    pub(crate) usher: SocketAddr,
    /// Usher's answers to questions.
    pub(crate) verify: SocketAddr,
    /// The application.
    pub(crate) app: SocketAddr,
}

/// A running proxy. It is killed with this value.
#[derive(Debug)]
pub(crate) struct OuterProxy {
    /// Where it listens, with TLS.
    pub(crate) address: SocketAddr,
    process: Child,
    directory: TempDir,
}

impl OuterKind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Nginx, Self::Caddy, Self::Haproxy, Self::Envoy];

    const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// Its file, and what to run.
    fn command(self, program: &Path, directory: &Path) -> (&'static str, Vec<String>) {
        let (program, at) = (program.display(), directory.display());
        let (file, line) = match self {
            // The directives are those of a process that a test can end, not of the example.
            Self::Nginx => ("nginx.conf", format!("{program} -p {at} -e stderr -c {at}/nginx.conf -g")),
            Self::Caddy => ("Caddyfile", format!("{program} run --adapter caddyfile --config {at}/Caddyfile")),
            Self::Haproxy => ("haproxy.cfg", format!("{program} -db -f {at}/haproxy.cfg")),
            Self::Envoy => {
                let options = "--disable-hot-restart --concurrency 2 --log-level warn";
                ("envoy.yaml", format!("{program} {options} --config-path {at}/envoy.yaml"))
            }
        };
        let mut words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        if self == Self::Nginx {
            words.push(format!("daemon off; master_process off; pid {at}/pid;"));
        }
        (file, words)
    }

    /// The example's text with ports that are free here, and with directories that it may write to.
    fn localise(self, text: &str, port: u16, behind: Behind, directory: &Path) -> String {
        let at = directory.to_str().unwrap();
        let mut text = text.replace("/run/secrets", at).replace("app.example.com", "app.test");
        text = text.replace("app\\.example\\.com", "app\\.test");
        for (name, address) in [("usher:8000", behind.usher), ("usher:8001", behind.verify), ("app:8080", behind.app)] {
            text = text.replace(name, &address.to_string());
            let (host, number) = name.split_once(':').unwrap();
            let yaml = |host: &str, port: &str| format!("{{ address: {host}, port_value: {port} }}");
            text = text.replace(&yaml(host, number), &yaml("127.0.0.1", &address.port().to_string()));
        }
        match self {
            Self::Nginx => {
                let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
                    .join(" ");
                text.replace("listen 443", &format!("listen 127.0.0.1:{port}"))
                    .replace("http {", &format!("http {{ access_log off; {paths}"))
            }
            Self::Caddy => text.replace("https://app.test", &format!("https://app.test:{port}")),
            Self::Haproxy => {
                text.replace("bind :443", &format!("bind 127.0.0.1:{port}")).replace("/usr/local/etc/haproxy", at)
            }
            Self::Envoy => text
                .replace("address: 0.0.0.0, port_value: 443", &format!("address: 127.0.0.1, port_value: {port}"))
                .replace("type: STRICT_DNS", "type: STATIC"),
        }
    }
}

impl OuterProxy {
    /// Starts one for `app.test`. `None`: it is not installed, and the test is left out, which is said.
    ///
    /// # Panics
    ///
    /// When it is missing although `USHER_TEST_ALL` demands every test.
    pub(crate) async fn start(kind: OuterKind, behind: Behind) -> Option<Self> {
        let Some(program) = find(kind) else {
            left_out(&format!("{} as a proxy that asks, which is not installed", kind.name()));
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        authority().write(&["app.test"], at, "site");
        let both = ["site.pem", "site.key"].map(|name| std::fs::read_to_string(at.join(name)).unwrap()).concat();
        std::fs::write(at.join("site-with-key.pem"), both).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        for name in [
            "nginx.conf",
            "usher-question.conf",
            "usher-cookies.conf",
            "Caddyfile",
            "haproxy.cfg",
            "usher.lua",
            "envoy.yaml",
        ] {
            let text = std::fs::read_to_string(folder().join(name)).unwrap();
            std::fs::write(at.join(name), kind.localise(&text, address.port(), behind, at)).unwrap();
        }
        let (file, words) = kind.command(&program, at);
        let log = at.join("log");
        let output = std::fs::File::create(&log).unwrap();
        let process = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .args(words)
            .env("HOME", at)
            .env("XDG_DATA_HOME", at)
            .env("XDG_CONFIG_HOME", at)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "{} does not start with {file}: {}", kind.name(), said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(Self { address, process, directory })
    }

    /// A client of it.
    pub(crate) fn client(&self, protocol: Protocol) -> Client {
        Client { address: self.address, protocol }
    }

    /// What it has written to its log.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OuterProxy {
    fn drop(&mut self) {
        // The leash pulls.
        drop(self.process.stdin.take());
        let started = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The example.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/forward-auth")
}

/// Where a program is: Envoy comes from a wheel, the others are Debian's.
fn find(kind: OuterKind) -> Option<PathBuf> {
    let wheel = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outer-proxies/.venv/lib");
    let wheels = std::fs::read_dir(wheel).into_iter().flatten().flatten();
    let wheels = wheels.map(|python| python.path().join("site-packages/envoy/_bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root looks.
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).chain(wheels);
    directories.map(|directory| directory.join(kind.name())).find(|program| program.is_file())
}
