//! `usher demo`: one command, then the lines that it prints, exactly as it prints them.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::harness::child::Usher;
use crate::harness::chromium::Chromium;
use crate::harness::left_out;
use crate::harness::tokens::shows_a_token;

#[tokio::test]
async fn the_lines_that_the_demonstration_prints_do_what_they_say() {
    do_what_they_say(&[]).await;
}

#[tokio::test]
async fn with_a_login_service_they_do_as_well() {
    do_what_they_say(&["--login-service"]).await;
}

#[tokio::test]
async fn nothing_on_its_page_is_cut_on_a_small_screen() {
    let home = tempfile::tempdir().unwrap();
    let usher = Usher::run(&["demo", "--listen", "127.0.0.1:0"], home.path());
    usher.says("Ctrl-C ends").await;
    let output = usher.output();
    let port = output.split("https://localhost:").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser");
    std::fs::create_dir_all(&pictures).unwrap();
    let options = json!({ "pictures": pictures });
    let Some(browser) = Chromium::play_at("demo", port.parse().unwrap(), options) else { return };
    browser.ends().await;
}

async fn do_what_they_say(flags: &[&str]) {
    if !curl_is_installed().await {
        left_out("the demonstration: curl is missing");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let usher = Usher::run(&[&["demo", "--listen", "127.0.0.1:0"], flags].concat(), home.path());
    usher.says("Ctrl-C ends").await;
    let output = usher.output();
    let shell = output.lines().filter_map(|line| line.strip_prefix("    "));
    let mut lines = shell.filter(|line| !line.starts_with(['#', ' ']));
    let enter = lines.next().expect("first into its directory");
    assert!(enter.starts_with("cd "), "{enter}");

    let mut said = Vec::new();
    for line in lines {
        let done = Command::new("sh").args(["-c", &format!("{enter} && {line}")]).output().await.unwrap();
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        said.push(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let [unknown, login, known, renewed, refused, forged] = said.as_slice() else {
        panic!("six lines to try: {output}")
    };
    assert_has(unknown, &["HTTP/2 401", "www-authenticate: Bearer"]);
    assert_has(login, &["HTTP/2 200", "set-cookie: __Host-usher-access", "set-cookie: __Host-usher-refresh"]);
    // A program gets its access token; from a login that a page may read, nothing.
    assert_eq!(shows_a_token(login), flags.is_empty(), "{login}");
    assert!(!login.contains("refresh_token") && !login.contains("refreshToken"), "{login}");
    assert_has(known, &["alice"]);
    assert_has(renewed, &["HTTP/2 200", "set-cookie: __Host-usher-access", "alice"]);
    assert_has(refused, &["HTTP/2 403"]);
    assert_has(forged, &["alice"]);
    assert!(!shows_a_token(known) && !known.contains("__Host-usher"), "the application sees neither: {known}");
}

#[track_caller]
fn assert_has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} in {said}");
    }
}

async fn curl_is_installed() -> bool {
    let version = Command::new("curl").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}
