//! The real, certified authorization server: npm's `oidc-provider` in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::issuer::CLIENT_SECRET;
use super::wait::PATIENCE;

/// A running authorization server. Its process ends with this value: its standard input is closed and it is killed.
#[derive(Debug)]
pub(crate) struct AuthorizationServer {
    issuer: String,
    http: reqwest::Client,
    _process: Child,
}

/// First tokens of a new grant.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FirstTokens {
    /// A JWT.
    pub(crate) access_token: String,
    /// Opaque.
    pub(crate) refresh_token: String,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Requests at the token endpoint, answered or not.
    pub(crate) token_requests: usize,
    /// Those of them that were answered with tokens.
    pub(crate) tokens_issued: usize,
    /// Spent refresh tokens that were presented again.
    pub(crate) reuses: usize,
    /// Grants that were revoked for it.
    pub(crate) grants_revoked: usize,
    /// Requests at the revocation endpoint.
    pub(crate) revocations: usize,
    /// Requests at the introspection endpoint.
    pub(crate) introspections: usize,
}

impl AuthorizationServer {
    /// Starts one that signs with `algorithm`. `None`: node or the npm packages are not installed, and the test is left
    /// out, which is said.
    ///
    /// # Panics
    ///
    /// When something is missing although `USHER_TEST_ALL` demands every test.
    pub(crate) async fn start(algorithm: &str, left_out: &str) -> Option<Self> {
        Self::start_with(&json!({ "algorithm": algorithm }), left_out).await
    }

    /// The same with any options of `server.mjs`.
    pub(crate) async fn start_with(options: &Value, left_out: &str) -> Option<Self> {
        let folder = folder();
        if !folder.join("node_modules/oidc-provider").is_dir() || !node_is_installed().await {
            super::left_out(&format!("{left_out}: node or the packages of tests/authorization-server are missing"));
            return None;
        }
        let mut starts = 0;
        let (process, first) = loop {
            let mut process = Command::new("node")
                .arg("server.mjs")
                .arg(options.to_string())
                .current_dir(&folder)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut first = String::new();
            let mut stdout = BufReader::new(process.stdout.take().unwrap());
            // Node has been seen waiting for a lock of its own for ever before it came to the first line of the script.
            if timeout(PATIENCE, stdout.read_line(&mut first)).await.is_ok() {
                break (process, first);
            }
            starts += 1;
            assert!(starts < 3, "the authorization server does not start");
        };
        let line: Value = serde_json::from_str(&first).expect("the first line says where it listens");
        let issuer = line["issuer"].as_str().unwrap().to_owned();
        Some(Self { issuer, http: reqwest::Client::builder().no_proxy().build().unwrap(), _process: process })
    }

    /// The issuer identifier, which is also where it is dialled.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs a user in. The access token is good for `lifetime` seconds; a negative figure is one that has expired.
    pub(crate) async fn sign_in(&self, subject: &str, lifetime: i64) -> FirstTokens {
        let url = format!("{}/test/tokens?sub={subject}&lifetime={lifetime}", self.issuer);
        self.http.post(url).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Revokes a token as the client could by itself.
    pub(crate) async fn revoke(&self, token: &str) {
        let secret: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
        let request = self.http.post(format!("{}/token/revocation", self.issuer)).basic_auth("usher", Some(secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("token={token}")).send().await.unwrap().error_for_status().unwrap();
    }

    /// Every later token request takes that much longer.
    pub(crate) async fn delay(&self, by: Duration) {
        let url = format!("{}/test/delay?ms={}", self.issuer, by.as_millis());
        self.http.post(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// The next token request meets this: `error` or `hangup`, which `server.mjs` explains.
    pub(crate) async fn fault(&self, is: &str) {
        let url = format!("{}/test/fault?is={is}", self.issuer);
        self.http.post(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// Whoever signs in from now on is this user (`sub=root`), or is sent back with this error (`error=access_denied`).
    pub(crate) async fn next(&self, outcome: &str) {
        let url = format!("{}/test/next?{outcome}", self.issuer);
        self.http.post(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// `https://app.test` is at this port of this machine: where logout tokens are delivered.
    pub(crate) async fn deliver_to(&self, port: u16) {
        let url = format!("{}/test/gateway?port={port}", self.issuer);
        self.http.post(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// What was counted so far.
    pub(crate) async fn stats(&self) -> Stats {
        self.http.get(format!("{}/test/stats", self.issuer)).send().await.unwrap().json().await.unwrap()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authorization-server")
}

async fn node_is_installed() -> bool {
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}
