//! The real binary in a process of its own: for what only a process has, such as its log, its signals, its exit code.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::wait::{PATIENCE, eventually};

/// A running `usher`. Its process is killed with this value.
#[derive(Debug)]
pub(crate) struct Usher {
    process: Child,
    output: Arc<Mutex<String>>,
}

impl Usher {
    /// Runs the binary with these arguments, in `directory`.
    pub(crate) fn run(arguments: &[&str], directory: &Path) -> Self {
        Self::run_by(&binary(), arguments, directory)
    }

    /// The same by another binary.
    pub(crate) fn run_by(binary: &str, arguments: &[&str], directory: &Path) -> Self {
        let mut command = Command::new(binary);
        command.args(arguments);
        Self::start(command, directory)
    }

    fn start(mut command: Command, directory: &Path) -> Self {
        command.stdin(Stdio::null());
        Self::spawn(command, directory)
    }

    fn spawn(mut command: Command, directory: &Path) -> Self {
        let mut process = command
            .current_dir(directory)
            .env_remove("RUST_LOG")
            .env("TMPDIR", directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = Arc::<Mutex<String>>::default();
        collect(process.stdout.take().unwrap(), &output);
        collect(process.stderr.take().unwrap(), &output);
        Self { process, output }
    }

    /// Runs a command that ends by itself, with this on its standard input: its exit code, and what it wrote to standard output
    /// and to standard error.
    pub(crate) async fn finish(arguments: &[&str], directory: &Path, input: &str) -> (Option<i32>, String, String) {
        let given = directory.join(".standard-input");
        std::fs::write(&given, input).unwrap();
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(directory).kill_on_drop(true).stdin(std::fs::File::open(given).unwrap());
        let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("usher ends in time").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    }

    /// `usher serve` with this configuration.
    pub(crate) fn serve(yaml: &str, directory: &Path) -> Self {
        Self::serve_by(&binary(), yaml, directory)
    }

    /// The same by another binary.
    pub(crate) fn serve_by(binary: &str, yaml: &str, directory: &Path) -> Self {
        std::fs::write(directory.join("usher.yaml"), yaml).unwrap();
        Self::run_by(binary, &["serve", "--config", "usher.yaml"], directory)
    }

    /// `usher serve` with this configuration, by a shell that has run `setup` first and then becomes the process.
    pub(crate) fn serve_after(setup: &str, yaml: &str, directory: &Path) -> Self {
        Self::start(shell(setup, yaml, directory), directory)
    }

    /// `usher serve` with this configuration, on this socket of a service manager (`sd_listen_fds(3)`).
    pub(crate) fn serve_on(socket: &std::net::TcpListener, yaml: &str, directory: &Path) -> Self {
        let mut command = shell("exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$", yaml, directory);
        command.stdin(OwnedFd::from(socket.try_clone().unwrap()));
        Self::spawn(command, directory)
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id().expect("it is running")
    }

    /// Everything that it wrote to standard output and standard error so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until the output contains `text`.
    pub(crate) async fn says(&self, text: &str) {
        eventually(&format!("usher says {text:?}; it said {}", self.output()), || self.output().contains(text)).await;
    }

    /// Where a listener (`https`, `http`, `plain`, `admin`) is, from the log line that says so.
    pub(crate) async fn address(&self, listener: &str) -> SocketAddr {
        let mut found = None;
        eventually(&format!("usher names its {listener} listener"), || {
            found = self.output().lines().find_map(|line| listening(line, listener));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }

    /// Stops it, and waits until all its threads stand still: on a busy machine some go on for a while after the signal.
    pub(crate) async fn stop(&self) {
        self.signal("STOP").await;
        let threads = format!("/proc/{}/task", self.id());
        let stands = |stat: String| stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'));
        let all_stand = || {
            let mut threads = std::fs::read_dir(&threads).unwrap();
            threads.all(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).is_ok_and(stands))
        };
        eventually("it is stopped", all_stand).await;
    }

    /// Waits for the end, and returns how it ended.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("usher ends in time").unwrap()
    }
}

/// A shell that runs `setup` and then becomes `usher serve` with this configuration.
fn shell(setup: &str, yaml: &str, directory: &Path) -> Command {
    std::fs::write(directory.join("usher.yaml"), yaml).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setup}\nexec \"$0\" serve --config usher.yaml"), &binary()]);
    command
}

/// The binary under test: another one than that of this build where `USHER_TEST_BINARY` names it.
pub(crate) fn binary() -> String {
    std::env::var("USHER_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_usher").to_owned())
}

/// Collects lines as they come.
fn collect(stream: impl AsyncRead + Unpin + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}

/// The first address of a listener in the line that says where all of them are, which older versions write as
/// `https: [127.0.0.1:8443], admin: Some(127.0.0.1:9901)` and this one as `https 127.0.0.1:8443, admin 127.0.0.1:9901`.
pub(crate) fn listening(line: &str, listener: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("addresses")?;
    let mut named = rest.split(listener).skip(1);
    let first = named.find_map(|rest| [": [", ": Some(", " "].iter().find_map(|sign| rest.strip_prefix(sign)))?;
    first.split([',', ')', '"']).next()?.trim_end_matches(']').parse().ok()
}
