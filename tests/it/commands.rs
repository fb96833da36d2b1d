//! The binary: what it says about a configuration, and with which exit code.

use std::path::Path;

use crate::harness::Gateway;
use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SESSION, SITES};

const GOOD: &str = "
sites:
  - host: app.test
    upstream: http://127.0.0.1:9
    access: public
    routes:
      - path: /
      - { path: /a/b/, methods: [GET] }
      - { path: /a/b/ , methods: [POST] }
      - { path: /a/ }
      - { path: /a/b/c }
";

/// A hash of some password.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0c2FsdA$kGQ5XwZbhAYdJLhmLpvCNV9nxMFcm0WZx2dX1v7o0ZQ";

/// Runs a command to its end: its exit code and everything that it said.
async fn run(arguments: &[&str], directory: &Path) -> (Option<i32>, String) {
    let mut usher = Usher::run(arguments, directory);
    let code = usher.exit().await.code();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    (code, usher.output())
}

async fn check(yaml: &str) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("usher.yaml"), complete(yaml, &directory)).unwrap();
    run(&["check", "--config", "usher.yaml"], directory.path()).await
}

#[tokio::test]
async fn check_prints_the_routes_in_winning_order() {
    let (code, said) = check(GOOD).await;
    assert_eq!(code, Some(0), "{said}");
    let at = |path: &str| said.lines().position(|line| line.split_whitespace().any(|word| word.ends_with(path)));
    assert!(at("/a/b/c").is_some() && at("/a/b/c") < at("/a/b/") && at("/a/b/") < at("/a/"), "{said}");
}

#[tokio::test]
async fn every_mistake_is_reported_at_once_with_its_place_and_a_remedy() {
    let bad = "
sites:
  - host: app.test
    upstream: http://127.0.0.1:9
    acess: public
    routes:
      - { path: / }
      - { path: /a/, body_limit: ten }
      - { path: /b/, issuer: nobody }
issuers:
  main: { issuer: https://id.test, audiences: [usher], client_id: usher, client_secret_file: /does/not/exist }
";
    let (code, said) = check(bad).await;
    assert_eq!(code, Some(78), "{said}");
    for part in ["usher.yaml:", "acess", "access", "body_limit", "nobody", "/does/not/exist"] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
}

#[tokio::test]
async fn a_misspelt_key_is_refused_wherever_it_stands() {
    for (good, bad) in [
        ("sites:", "sites:\nsite: 1\nx-sites:"),
        ("upstream:", "upstreams:"),
        ("access:", "acces:"),
        ("path: /\n", "path: /\n        pth: /\n"),
        ("methods: [GET]", "method: [GET]"),
    ] {
        let (code, said) = check(&GOOD.replacen(good, bad, 1)).await;
        assert_eq!(code, Some(78), "{bad}:\n{said}");
    }
}

#[tokio::test]
async fn serve_with_a_bad_configuration_ends_with_78_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("usher.yaml"), "sites: 7\n").unwrap();
    let (code, said) = run(&["serve", "--config", "usher.yaml"], directory.path()).await;
    assert!(code == Some(78) && said.contains("sites"), "{code:?}: {said}");
    let (code, said) = run(&["serve", "--config", "missing.yaml"], directory.path()).await;
    assert!(code == Some(78) && said.contains("missing.yaml"), "{code:?}: {said}");
}

#[tokio::test]
async fn the_schema_is_json_and_knows_every_section() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = run(&["schema"], directory.path()).await;
    let schema: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"));
    assert_eq!(code, Some(0));
    for key in ["listen", "tls", "issuers", "session", "sites", "limits", "log"] {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn an_unknown_command_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&["sreve"], directory.path()).await.0, Some(2));
    assert_eq!(run(&["--version"], directory.path()).await.0, Some(0));
}

#[test]
fn what_would_be_believed_and_mean_something_else_is_refused() {
    for (from, to, key) in [
        ("path: /", "path: /admin/*", "path"),
        ("identity_headers: { X-User-Id: sub", "identity_headers: { X-User-Id: /sub", "identity_headers"),
        ("sites:", "log: { level: debgu }\nsites:", "log.level"),
    ] {
        let yaml = format!("{ISSUERS}{SESSION}{SITES}").replace("$ISSUER", "http://127.0.0.1:1");
        let yaml = yaml.replace("$CLIENT_SECRET", "a client secret").replace("$UPSTREAM", "http://127.0.0.1:2");
        assert_eq!(Gateway::refusal(&yaml), None);
        let refusal = Gateway::refusal(&yaml.replacen(from, to, 1)).expect(to);
        assert!(refusal.contains(key), "{to}: {refusal}");
    }
}

#[test]
fn mistakes_of_one_issuer_do_not_hide_each_other() {
    let yaml = "
issuers:
  legacy:
    issuer: legacy-app
    hmac_secret: changeme
    algorithms: [HS265]
    audience: [web]
    refresh: { url: 'http://app/x', send: xml, access_token: data.jwt }
    login: { path: /auth/login, pge: /login, access_token: data.jwt }
sites: [{ host: app.test, issuer: legacy, upstream: 'http://127.0.0.1:1', routes: [{ path: / }] }]
";
    let refusal = Gateway::refusal(yaml).unwrap();
    for key in [
        "hmac_secret",
        "algorithms[0]",
        "audience",
        "refresh.url",
        "refresh.send",
        "refresh.access_token",
        "login.pge",
        "login.access_token",
    ] {
        assert!(refusal.contains(&format!("issuers.legacy.{key} ")), "{key}: {refusal}");
    }
    assert!(refusal.contains("8 problems"), "{refusal}");
}

#[tokio::test]
async fn what_keeps_serve_from_starting_is_told_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let public = |listen: String| format!("listen: {{ {listen} }}\ntls: {{ self_signed: true }}\n{GOOD}");
    let local = "
issuers: { staff: { local: { users_file: users.yaml } } }
session: { secret: 0b5f7a1c9d3e2468ace13579bdf02469 }
sites: [{ host: app.test, issuer: staff, upstream: 'http://127.0.0.1:9', routes: [{ path: / }] }]
state_directory: /proc/usher
";
    let port = taken.local_addr().unwrap();
    for (yaml, code, key) in [
        (public(format!("https: '{port}'")), 1, "listen.https"),
        (public(format!("https: '127.0.0.1:0', admin: '{port}'")), 1, "listen.admin"),
        (format!("listen: {{ https: '127.0.0.1:0' }}\ntls: {{ self_signed: true }}\n{local}"), 78, "state_directory"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("users.yaml"), format!("users: {{ a: {{ password: '{HASH}' }} }}\n"))
            .unwrap();
        std::fs::write(directory.path().join("usher.yaml"), yaml).unwrap();
        let (exited, said) = run(&["serve", "--config", "usher.yaml"], directory.path()).await;
        assert!(exited == Some(code) && said.contains(key), "{exited:?}: {said}");
    }
}

#[tokio::test]
async fn check_finds_what_only_serving_would_show() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["one", "other"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["app.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(at(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(at(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    std::fs::create_dir(at("pages")).unwrap();
    std::fs::write(at("pages/refusal.html"), "{{ never closed").unwrap();
    let with = |key: &str, more: &str| {
        format!(
            "listen: {{ https: '127.0.0.1:0' }}\ntls: {{ certificates: [{{ certificate: one.pem, key: {key} }}] }}\n{more}{GOOD}"
        )
    };
    for (yaml, code, said) in [
        (with("one.key", ""), 0, "The configuration is fine"),
        (with("other.key", ""), 78, "tls.certificates cannot be used"),
        (with("one.key", "pages: pages\n"), 78, "pages cannot be used"),
    ] {
        std::fs::write(at("usher.yaml"), yaml).unwrap();
        for output in ["text", "json"] {
            let (exited, says) = run(&["check", "--config", "usher.yaml", "--output", output], directory.path()).await;
            let expected =
                if output == "text" { says.contains(said) } else { code == 0 || says.contains("\"problems\"") };
            assert!(exited == Some(code) && expected, "{exited:?}: {says}");
        }
    }
}

/// As a container's health check does: where the file is, and nothing more is known.
#[tokio::test]
async fn health_asks_at_the_listener_that_the_configuration_names() {
    let directory = tempfile::tempdir().unwrap();
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = admin.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in admin.incoming() {
            let mut stream = stream.unwrap();
            std::io::Read::read(&mut stream, &mut [0; 512]).unwrap();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    // Whatever else is wrong with it: the gateway that serves has another one yet.
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    write("usher.yaml", format!("listen: {{ admin: '{address}' }}\nsites: 7\nunknown: key\n"));
    write("keys.yaml", format!("listen: {{ admin: {{ address: '0.0.0.0:{}', token_file: gone }} }}", address.port()));
    write("none.yaml", "listen: { https: '127.0.0.1:0' }\n".into());
    let at = format!("listen.admin={address}");
    for arguments in
        [&["health"][..], &["health", "--config", "keys.yaml"], &["health", "--config", "none.yaml", "--set", &at]]
    {
        let (code, _, said) = Usher::finish(arguments, directory.path(), "").await;
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }
    let elsewhere = ["health", "--admin", "127.0.0.1:9"];
    let (code, _, said) = Usher::finish(&elsewhere, directory.path(), "").await;
    assert!(code == Some(1) && said.contains("does not answer at 127.0.0.1:9;"), "{said}");
}
