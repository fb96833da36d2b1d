//! A real Redis in a process of its own, on a port that was free, with its files in a directory of its own.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::port::free_port;
use super::wait::PATIENCE;

/// A running server. Its process is killed with this value.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    directory: TempDir,
}

impl Redis {
    /// Starts one that keeps nothing on disk. `None`: Redis is not installed, and the test is left out, which is said.
    ///
    /// # Panics
    ///
    /// When it is missing although `USHER_TEST_ALL` demands every test.
    pub(crate) async fn start(left_out: &str) -> Option<Self> {
        Self::start_with(&[], left_out).await
    }

    /// The same with more arguments. `$DIRECTORY` stands for the directory that it runs in.
    pub(crate) async fn start_with(arguments: &[&str], left_out: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        Self::start_in(directory, free_port(), arguments, left_out).await
    }

    /// The same in a directory that holds files for it, at a port that nothing listens on.
    pub(crate) async fn start_in(directory: TempDir, port: u16, arguments: &[&str], left_out: &str) -> Option<Self> {
        if !is_installed().await {
            super::left_out(&format!("{left_out}: redis-server or redis-cli is missing"));
            return None;
        }
        let at = directory.path().to_str().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("$DIRECTORY", at)).collect();
        let process = run(port, &arguments, directory.path());
        let server = Self { process, port, arguments, directory };
        server.answers().await;
        Some(server)
    }

    /// Where it listens on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How a configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The directory that it runs in.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it answers to a command.
    pub(crate) async fn command(&self, command: &[&str]) -> String {
        let port = self.port.to_string();
        let mut client = Command::new("redis-cli");
        client.args(["-h", "127.0.0.1", "-p", &port, "--raw"]).args(command);
        let output = client.current_dir(self.directory.path()).stdin(Stdio::null()).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.process.id().expect("it is running").to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }

    /// Ends it at once, and everything that it knows.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts it again where it was, empty.
    pub(crate) async fn restart(&mut self) {
        self.process = run(self.port, &self.arguments, self.directory.path());
        self.answers().await;
    }

    /// Waits until it answers, be it with a refusal.
    async fn answers(&self) {
        let started = std::time::Instant::now();
        while self.command(&["PING"]).await.is_empty() {
            assert!(started.elapsed() < PATIENCE, "redis-server starts: {:?}", self.arguments);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

fn run(port: u16, arguments: &[String], directory: &Path) -> Child {
    let port = port.to_string();
    let mut command = Command::new(server());
    // A Sentinel begins with the file that it keeps its state in.
    let (file, arguments): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| *argument == "sentinel.conf");
    command.args(file).args(["--port", &port, "--bind", "127.0.0.1", "--daemonize", "no", "--logfile", "log"]);
    if !arguments.iter().any(|argument| *argument == "--sentinel") {
        command.args(["--save", "", "--appendonly", "no"]);
    }
    command.args(arguments);
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

/// What is started: another server, such as `valkey-server`, where `USHER_TEST_REDIS` names it.
fn server() -> String {
    std::env::var("USHER_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

/// Whether there is one to start.
pub(crate) async fn is_installed() -> bool {
    let mut there = true;
    for program in [server().as_str(), "redis-cli"] {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        there &= version.is_ok_and(|status| status.success());
    }
    there
}
