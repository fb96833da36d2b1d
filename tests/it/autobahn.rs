//! WebSockets by the test suite of the Autobahn project: case by case the same verdict with Usher as without.
//!
//! The suite plays a client that breaks the protocol in every way it knows; behind Usher is `ws` for node. Usher must not
//! mend anything, nor break anything: what the server does about each case is what the suite sees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use usher::clock::Clock;

use crate::harness::certificates::authority;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::scene::{ISSUERS, SESSION, jar};
use crate::harness::{Gateway, Issuer, left_out, long};

/// In every run: framing, pings, reserved bits, opcodes, fragments, UTF-8, closing; of the big ones a sample each.
const SHORT: [&str; 15] = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.3", "9.2.3", "9.3.5", "9.7.2", "10.*", "12.1.3", "12.2.12",
    "13.4.3",
];

/// Case by case: the verdict, the verdict on the close, the close code of the server.
type Verdicts = BTreeMap<String, Value>;

#[tokio::test]
async fn websockets_are_as_transparent_as_without_usher() {
    let python = folder().join(".venv/bin/python");
    if !python.exists() || !folder().join("node_modules/ws").is_dir() {
        left_out("the Autobahn suite: the packages of tests/autobahn are missing");
        return;
    }
    let (_echo, port) = echo().await;
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let sites = format!(
        "sites: [{{ host: app.test, issuer: main, upstream: 'http://127.0.0.1:{port}', routes: [{{ path: / }}] }}]\n"
    );
    let yaml = format!("{ISSUERS}{SESSION}{sites}").replace("$ISSUER", &issuer.url());
    let gateway = Gateway::start(&yaml.replace("$CLIENT_SECRET", CLIENT_SECRET), &clock).await;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root.pem");
    std::fs::write(&root, authority().root_pem()).unwrap();

    let cookies = jar(&issuer.sign_in("alice")).line().unwrap();
    let wanted = json!({
        "cases": if long() { &["*"][..] } else { &SHORT[..] },
        "at_once": if long() { 4 } else { 64 },
        "servers": {
            "direct": { "port": port },
            "usher": {
                "port": gateway.https().port(), "name": "app.test", "authority": root,
                "headers": { "Cookie": cookies, "Origin": "https://app.test" },
            },
        },
    });
    let mut verdicts = run(&python, &wanted).await;
    let (direct, usher) = (verdicts.remove("direct").unwrap(), verdicts.remove("usher").unwrap());
    let passed = direct.values().filter(|verdict| verdict[0] == "OK").count();
    println!("{} cases, {passed} of them OK without Usher", direct.len());
    assert!(direct.len() > 250 && passed * 100 > direct.len() * 90, "the suite ran, and the server is a good one");
    let differ: Vec<_> =
        direct.iter().filter(|(case, verdict)| usher.get(*case).map(lenient) != Some(lenient(verdict))).collect();
    let differ: Vec<_> =
        differ.iter().map(|(case, verdict)| format!("{case}: {verdict}, with Usher {:?}", usher.get(*case))).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

/// A server that has read a fault already need not echo what came before it (NON-STRICT): the same server does or does not,
/// as the bytes happen to come in.
fn lenient(verdict: &Value) -> Value {
    let mut verdict = verdict.clone();
    if verdict[0] == "NON-STRICT" {
        verdict[0] = "OK".into();
    }
    verdict
}

/// The echo server and its port. It ends with the value.
async fn echo() -> (Child, u64) {
    let mut process = Command::new("node")
        .arg("echo.mjs")
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).await.unwrap();
    let line: Value = serde_json::from_str(&first).expect("the first line says where it listens");
    (process, line["port"].as_u64().unwrap())
}

async fn run(python: &Path, wanted: &Value) -> BTreeMap<String, Verdicts> {
    let running = Command::new(python)
        .arg("fuzz.py")
        .arg(wanted.to_string())
        .current_dir(folder())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&running.stderr);
    serde_json::from_slice(&running.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/autobahn")
}
