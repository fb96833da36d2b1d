//! A real browser: Debian's Chromium, which plays the scenarios of `tests/browser`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::Gateway;

/// A scenario under way. Node and the browser end with this value.
#[derive(Debug)]
pub(crate) struct Chromium {
    scenario: String,
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where the browser keeps its profile.
    _directory: TempDir,
}

impl Chromium {
    /// Begins a scenario, with the gateway for every `https` site. `None`: the browser or the npm packages are not installed,
    /// and the test is left out, which is said.
    ///
    /// # Panics
    ///
    /// When something is missing although `USHER_TEST_ALL` demands every test.
    pub(crate) fn play(scenario: &str, gateway: &Gateway, options: Value) -> Option<Self> {
        Self::play_at(scenario, gateway.https().port(), options)
    }

    /// The same with what listens on this port of the machine for every `https` site.
    pub(crate) fn play_at(scenario: &str, port: u16, mut options: Value) -> Option<Self> {
        let found = chromium().filter(|_| folder().join("node_modules/playwright-core").is_dir());
        let Some(chromium) = found else {
            super::left_out(&format!("{scenario} in a browser: chromium or the packages of tests/browser are missing"));
            return None;
        };
        options["chromium"] = chromium.to_str().into();
        options["port"] = port.into();
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new("node")
            .args(["run.mjs", scenario, &options.to_string()])
            .current_dir(folder())
            .env("TMPDIR", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Some(Self { scenario: scenario.to_owned(), process, lines, _directory: directory })
    }

    /// Waits until the scenario has come to this step.
    pub(crate) async fn reaches(&mut self, step: &str) {
        assert_eq!(self.line().await["step"], step, "{} is somewhere else", self.scenario);
    }

    /// Lets it go on from there.
    pub(crate) async fn go_on(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").await.unwrap();
    }

    /// Waits for the end, and returns what the scenario does.
    pub(crate) async fn ends(mut self) -> Value {
        let mut line = self.line().await;
        assert!(line.get("done").is_some(), "{} is still under way: {line}", self.scenario);
        line["done"].take()
    }

    /// The next line. Every wait of a scenario has a limit of its own, so there is one in any case, or an error.
    async fn line(&mut self) -> Value {
        if let Some(line) = self.lines.next_line().await.unwrap() {
            return serde_json::from_str(&line).unwrap();
        }
        let mut error = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut error).await.unwrap();
        panic!("{}: {error}", self.scenario);
    }
}

/// The browser of the system.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}
