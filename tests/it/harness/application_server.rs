//! Real application servers, each in a process of its own, behind a relay that writes down what they are asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use super::left_out::left_out;
use super::serve::{Served, serve};
use super::wait::PATIENCE;

/// What is in every file below `/admin/`.
pub(crate) const SECRET: &[u8] = b"Nobody but the admins may read this.";

/// What is in the file `/public/hello.txt`.
pub(crate) const HELLO: &[u8] = b"Anybody may read this.";

/// The field with which a test numbers its requests, so that the relay can tell them apart.
pub(crate) const NUMBER: &str = "x-number";

/// Runs the server, and kills it with all its children when standard input closes: also when the test is killed.
pub(crate) const LEASH: &str = r#""$@" </dev/null & cat >/dev/null; kill -s KILL -- -$$"#;

const TOMCAT: &str = "/usr/share/tomcat10";

/// The servers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Python: a lenient application over WSGI.
    Gunicorn,
    /// The server that is built into PHP: files, and scripts.
    Php,
    /// Files.
    Nginx,
    /// Files, with every leniency that can be switched on.
    Tomcat,
    /// A lenient server of files.
    Node,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Gunicorn, Self::Php, Self::Nginx, Self::Tomcat, Self::Node];

    /// A label of a host name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gunicorn => "gunicorn",
            Self::Php => "php",
            Self::Nginx => "nginx",
            Self::Tomcat => "tomcat",
            Self::Node => "node",
        }
    }

    fn command(self, directory: &Path) -> Vec<String> {
        let (own, files) = (folder().display().to_string(), folder().join("files").display().to_string());
        let directory = directory.display();
        let line = match self {
            Self::Gunicorn => format!(
                "gunicorn --bind 127.0.0.1:0 --worker-class gthread --threads 4 --keep-alive 60 --worker-tmp-dir \
                 {directory} --chdir {own} application:application"
            ),
            Self::Php => format!("php -S 127.0.0.1:0 -t {files}"),
            Self::Nginx => format!("nginx -p {directory} -c {directory}/nginx.conf"),
            Self::Tomcat => format!(
                "java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx128m -cp {TOMCAT}/bin/bootstrap.jar:{TOMCAT}/bin/\
                 tomcat-juli.jar -Dcatalina.home={TOMCAT} -Dcatalina.base={directory} -Djava.io.tmpdir={directory} \
                 -Dfiles={files} org.apache.catalina.startup.Bootstrap start"
            ),
            Self::Node => format!("node {own}/files.mjs {files}"),
        };
        line.split(' ').map(ToOwned::to_owned).collect()
    }

    /// What the server needs beside its arguments.
    fn furnish(self, directory: &Path) {
        match self {
            Self::Nginx => {
                let text = std::fs::read_to_string(folder().join("nginx.conf")).unwrap();
                let text = text.replace("$FOLDER", directory.to_str().unwrap());
                let text = text.replace("$FILES", folder().join("files").to_str().unwrap());
                std::fs::write(directory.join("nginx.conf"), text).unwrap();
            }
            Self::Tomcat => {
                std::fs::create_dir(directory.join("conf")).unwrap();
                for name in ["server.xml", "web.xml"] {
                    std::fs::copy(folder().join("tomcat").join(name), directory.join("conf").join(name)).unwrap();
                }
            }
            Self::Gunicorn | Self::Php | Self::Node => {}
        }
    }

    fn is_installed(self) -> bool {
        let program = match self {
            Self::Tomcat => "java",
            other => other.name(),
        };
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&directories).any(|directory| directory.join(program).is_file());
        found && (self != Self::Tomcat || Path::new(TOMCAT).is_dir())
    }
}

/// Where a server can be dialled.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A running server. It is killed with this value.
#[derive(Debug)]
pub(crate) struct ApplicationServer {
    kind: Kind,
    address: Address,
    relay: Served,
    heads: Arc<Mutex<HashMap<usize, Vec<u8>>>>,
    process: Child,
    _directory: TempDir,
}

impl ApplicationServer {
    /// Starts one. `None`: it is not installed, and the test is left out, which is said.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        if !kind.is_installed() {
            left_out(&format!("{} as an oracle, which is not installed", kind.name()));
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        kind.furnish(directory.path());
        let mut process = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .args(kind.command(directory.path()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<String>>::default();
        collect(process.stdout.take().unwrap(), &output);
        collect(process.stderr.take().unwrap(), &output);
        let address = await_address(kind, directory.path(), &output).await;
        let heads = Arc::default();
        let relay = relay(address.clone(), Arc::clone(&heads)).await;
        Some(Self { kind, address, relay, heads, process, _directory: directory })
    }

    /// Which one it is.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens itself.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// What the configuration names: the relay before it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.relay.address)
    }

    /// The head of the request that the test gave this number, byte by byte, if it came.
    pub(crate) fn take_head(&self, number: usize) -> Option<Vec<u8>> {
        self.heads.lock().unwrap().remove(&number)
    }

    /// How many requests came that no test has asked about.
    pub(crate) fn heads_left(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

impl Drop for ApplicationServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let started = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && started.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/application-servers")
}

/// Collects lines as they come.
fn collect(stream: impl AsyncRead + Unpin + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut output = output.lock().unwrap();
            // Some servers write a line for every request.
            if output.len() < 100_000 {
                output.push_str(&line);
                output.push('\n');
            }
        }
    });
}

/// Waits until the server has said where it listens, and listens there.
async fn await_address(kind: Kind, directory: &Path, output: &Mutex<String>) -> Address {
    let started = Instant::now();
    loop {
        let said = output.lock().unwrap().clone();
        let found = match kind {
            Kind::Nginx => Some(Address::Unix(directory.join("socket"))),
            Kind::Tomcat => port_after(&said, "Starting ProtocolHandler [\"http-nio-127.0.0.1-auto-1-"),
            Kind::Gunicorn | Kind::Php | Kind::Node => port_after(&said, "http://127.0.0.1:"),
        };
        if let Some(address) = found
            && connect(&address).await.is_ok()
        {
            return address;
        }
        assert!(started.elapsed() < 2 * PATIENCE, "{kind:?} does not start: {said}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn port_after(said: &str, before: &str) -> Option<Address> {
    let digits: String = said.split_once(before)?.1.chars().take_while(char::is_ascii_digit).collect();
    Some(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], digits.parse().ok()?))))
}

/// Any stream.
pub(crate) trait Stream: AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Stream for S {}

/// Dials a server.
pub(crate) async fn connect(address: &Address) -> std::io::Result<Box<dyn Stream>> {
    Ok(match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// Passes every byte on, both ways, and keeps the head of each numbered request. Requests have no bodies here.
async fn relay(address: Address, heads: Arc<Mutex<HashMap<usize, Vec<u8>>>>) -> Served {
    serve(move |client| {
        let (address, heads) = (address.clone(), Arc::clone(&heads));
        async move {
            let Ok(server) = connect(&address).await else { return };
            let (mut client_in, mut client_out) = client.into_split();
            let (mut server_in, mut server_out) = tokio::io::split(server);
            let up = async {
                let mut unread = Vec::new();
                let mut chunk = vec![0; 16 * 1024];
                while let Ok(length @ 1..) = client_in.read(&mut chunk).await {
                    unread.extend_from_slice(&chunk[..length]);
                    while let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                        let head: Vec<u8> = unread.drain(..end + 4).collect();
                        if let Some(number) = number(&head) {
                            heads.lock().unwrap().insert(number, head);
                        }
                    }
                    if server_out.write_all(&chunk[..length]).await.is_err() {
                        break;
                    }
                }
                drop(server_out.shutdown().await);
            };
            let down = async {
                drop(tokio::io::copy(&mut server_in, &mut client_out).await);
                drop(client_out.shutdown().await);
            };
            tokio::join!(up, down);
        }
    })
    .await
}

fn number(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix(NUMBER)?.strip_prefix(": ")?.parse().ok())
}
