//! What stands in the files that a configuration names counts anew when they are replaced: each kind is in force, and what was
//! there before is not.

use std::fs;
use std::path::Path;

use serde_json::json;
use usher::clock::Clock;

use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::keys::SigningKey;
use crate::harness::scene::echoed;
use crate::harness::tokens::Token;
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, Protocol, Redis, Upstream, get};

/// Puts another file in the place of one, as most editors do.
fn replace(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join("beside"), text).unwrap();
    fs::rename(directory.join("beside"), directory.join(name)).unwrap();
}

/// A token of an existing service that signs with a shared secret.
fn token(secret: &str) -> String {
    let now = Clock::system().now().0;
    let claims = json!({ "iss": "legacy", "sub": "alice", "aud": "web", "iat": now, "exp": now + 300 });
    let key = SigningKey::hmac(secret.as_bytes());
    Token::new(&key, "none", claims).sign(&key)
}

const YAML: &str = "
log: { format: json }
issuers:
  legacy: { issuer: legacy, hmac_secret_file: hmac, algorithms: [HS256], audiences: [web] }
pages: pages
sites:
  - host: app.test
    issuer: legacy
    upstream: $PLAIN
    upstream_authorization: { header: X-Token, value_file: token }
    identity_headers: { X-User-Id: sub }
    routes:
      - { path: / }
      - { path: /tls/, access: public, upstream: { url: '$TLS', ca_file: ca.pem } }
";

const FIRST: &str = "0b5f7a1c9d3e2468ace13579bdf02469";
const SECOND: &str = "9642fdb97531eca8642e3d9c1a7f5b0b";

#[tokio::test]
async fn secrets_authorities_pages_and_words_are_in_force_when_their_files_are_replaced() {
    let (plain, tls) = (Upstream::start().await, Upstream::start_tls("http/1.1").await);
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let stranger = rcgen::CertificateParams::new(vec!["stranger.test".to_owned()]).unwrap();
    let stranger = stranger.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    fs::create_dir(at.join("pages")).unwrap();
    for (name, text) in [("hmac", FIRST), ("token", "first"), ("ca.pem", &stranger), ("pages/refusal.html", "one")] {
        replace(at, name, text);
    }
    let yaml = complete(&YAML.replace("$PLAIN", &plain.url()).replace("$TLS", &tls.url()), &directory);
    let usher = Usher::serve(&yaml, at);
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let seen = async |secret: &str| {
        let own = client.send(get("https://app.test/x").bearer(&token(secret))).await;
        let sent = if own.status == 200 { echoed(&own.json(), "x-token").join("") } else { String::new() };
        let tls = client.send(get("https://app.test/tls/x")).await.status.as_u16();
        let page = client.send(get("https://app.test/x").navigation()).await.text().to_owned();
        (own.status.as_u16(), sent, tls, page)
    };
    assert_eq!(seen(FIRST).await, (200, "first".to_owned(), 502, "one".to_owned()));
    assert_eq!(seen(SECOND).await.0, 401);

    for (name, text) in
        [("hmac", SECOND), ("token", "second"), ("ca.pem", &authority().root_pem()), ("pages/refusal.html", "two")]
    {
        replace(at, name, text);
    }
    usher.says("configuration reloaded").await;
    assert_eq!(seen(SECOND).await, (200, "second".to_owned(), 200, "two".to_owned()));
    assert_eq!(seen(FIRST).await.0, 401, "what the old one has signed counts no more");
}

#[tokio::test]
async fn another_password_of_the_store_is_used_from_the_next_connection_on() {
    let Some(redis) = Redis::start("another password of the store").await else { return };
    redis.command(&["ACL", "SETUSER", "usher", "on", ">first-password", "~*", "&*", "+@all"]).await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    replace(directory.path(), "password", "first-password");
    let url = redis.url().replace("//", "//usher@");
    let yaml = format!(
        "log: {{ format: json }}\nsession: {{ secret: '$SECRET', store: {{ redis: {{ url: '{url}', password_file: password }} }} }}\n\
         issuers: {{ main: {{ issuer: 'https://id.test', audiences: [web] }} }}\n\
         sites: [{{ host: app.test, issuer: main, upstream: '{}', routes: [{{ path: / }}] }}]\n",
        upstream.url()
    );
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let admin = usher.address("admin").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let is_up = async || {
        let text = http.get(format!("http://{admin}/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().any(|line| line == "usher_store_up 1")
    };
    assert!(is_up().await, "{}", usher.output());

    redis.command(&["ACL", "SETUSER", "usher", "resetpass", ">second-password"]).await;
    replace(directory.path(), "password", "second-password");
    usher.says("configuration reloaded").await;
    assert_ne!(redis.command(&["CLIENT", "KILL", "USER", "usher"]).await, "0");
    let started = std::time::Instant::now();
    while !redis.command(&["CLIENT", "LIST"]).await.contains("user=usher") {
        assert!(started.elapsed() < PATIENCE, "it connects anew: {}", usher.output());
    }
    assert!(!usher.output().contains("out of reach"), "{}", usher.output());
    assert!(is_up().await, "{}", usher.output());
}
