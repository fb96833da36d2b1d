//! Key sets: fetched when needed, kept when the issuer is down, never at an attacker's command.

use std::time::Duration;

use usher::clock::Clock;

use crate::harness::issuer::Issuer;
use crate::harness::keys::SigningKey;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Scene, Upstream, eventually, get};

#[tokio::test]
async fn keys_are_fetched_on_first_use_and_then_kept() {
    let scene = Scene::usual().await;
    for _ in 0..5 {
        scene.assert_well().await;
    }
    assert_eq!((scene.issuer.asked().discovery, scene.issuer.asked().keys), (1, 1));
    scene.issuer.set_down(true);
    scene.assert_well().await;
}

#[tokio::test]
async fn a_hundred_first_requests_fetch_the_keys_once() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    let connection = scene.http2().connect("app.test").await;
    let all = (0..100).map(|_| {
        let (mut connection, ask) = (connection.share(), get("https://app.test/x").bearer(&token));
        async move { connection.send(ask).await }
    });
    for answer in futures_util::future::join_all(all).await {
        answer.assert_status(200);
    }
    assert_eq!(scene.issuer.asked().keys, 1);
}

#[tokio::test]
async fn a_new_key_counts_at_once_and_old_ones_until_they_are_gone() {
    let scene = Scene::usual().await;
    let old = scene.issuer.access_token("alice");
    scene.assert_well().await;
    scene.clock.advance(Duration::from_secs(11));
    scene.issuer.add_key("key-2", SigningKey::p256());
    scene.assert_well().await;
    scene.send(get("https://app.test/x").bearer(&old)).await.assert_status(200);
    assert_eq!(scene.issuer.asked().keys, 2);
}

#[tokio::test]
async fn unknown_key_ids_fetch_the_key_set_at_most_once_per_cooldown() {
    let scene = Scene::usual().await;
    scene.assert_well().await;
    let stranger = SigningKey::p256();
    for n in 0..50 {
        let token = scene.issuer.token("root").head("kid", format!("unknown-{n}")).sign(&stranger);
        scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(401);
    }
    let fetched = scene.issuer.asked().keys;
    assert!(fetched <= 3, "50 unknown keys caused {fetched} fetches");
}

#[tokio::test]
async fn the_gateway_starts_and_serves_without_the_issuer_and_recovers_by_itself() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    issuer.set_down(true);
    let scene = Scene::with(&format!("{ISSUERS}{SESSION}{SITES}"), Upstream::start().await, issuer, clock).await;
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    let token = scene.issuer.access_token("alice");
    let answer = scene.send(get("https://app.test/x").bearer(&token)).await;
    assert!(answer.assert_status(503).header("retry-after").is_some());
    assert!(answer.text().contains("the token cannot be verified"), "nobody says that there is a session: {answer:?}");
    scene.issuer.set_down(false);
    let (mut well, client) = (false, scene.client());
    for _ in 0..100 {
        scene.clock.advance(Duration::from_secs(1));
        well = client.send(get("https://app.test/x").bearer(&token)).await.status == 200;
        if well {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(well, "it recovers");
}

#[tokio::test]
async fn keys_belong_to_their_issuer_even_when_their_ids_are_equal() {
    let clock = Clock::adjustable();
    let (first, second) = (Issuer::start(&clock).await, Issuer::start(&clock).await);
    let issuers = ISSUERS.to_owned()
        + &ISSUERS.replace("\nissuers:\n", "").replace("main:", "second:").replace("$ISSUER", &second.url());
    let sites = "
sites:
  - { host: app.test, issuer: main, upstream: $UPSTREAM, routes: [{ path: / }] }
  - { host: admin.test, issuer: second, upstream: $UPSTREAM, routes: [{ path: / }] }
  - { host: other.test, issuer: [main, second], upstream: $UPSTREAM, routes: [{ path: / }] }
";
    let scene = Scene::with(&format!("{issuers}{SESSION}{sites}"), Upstream::start().await, first, clock).await;
    let (one, two) = (scene.issuer.access_token("alice"), second.access_token("alice"));
    for (host, token, status) in [
        ("app.test", &one, 200),
        ("app.test", &two, 401),
        ("admin.test", &one, 401),
        ("admin.test", &two, 200),
        ("other.test", &one, 200),
        ("other.test", &two, 200),
        ("app.test", &two, 401),
        ("admin.test", &one, 401),
    ] {
        scene.send(get(&format!("https://{host}/")).bearer(token)).await.assert_status(status);
    }
    let crossed = scene.issuer.token("alice").sign(&second.key().1);
    scene.send(get("https://app.test/").bearer(&crossed)).await.assert_status(401);
}

#[tokio::test]
async fn a_key_set_with_strange_members_still_gives_its_good_keys() {
    let scene = Scene::usual().await;
    scene.issuer.add_key("ed", SigningKey::ed25519());
    scene.issuer.add_key("key-3", SigningKey::p256());
    scene.assert_well().await;
}

#[tokio::test]
async fn a_shared_secret_a_public_key_file_and_a_key_set_url_verify_as_well() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let files = tempfile::tempdir().unwrap();
    let (secret, key) = (b"a shared secret of a legacy application".as_slice(), SigningKey::ed25519());
    std::fs::write(files.path().join("key.pem"), key.public_pem()).unwrap();
    std::fs::write(files.path().join("hmac"), [secret, b"\n"].concat()).unwrap();
    let yaml = format!(
        "
issuers:
  shared: {{ issuer: legacy-app, hmac_secret_file: {files}/hmac, algorithms: [HS256], audiences: [usher] }}
  file: {{ issuer: file-app, public_key_file: {files}/key.pem, algorithms: [EdDSA], audiences: [usher] }}
  url: {{ issuer: url-app, jwks_url: {}/keys, insecure_http: true, algorithms: [ES256], audiences: [usher] }}
sites:
  - {{ host: app.test, issuer: [shared, file, url], upstream: $UPSTREAM, identity_headers: {{ X-User-Id: sub }}, routes: [{{ path: / }}] }}
",
        issuer.url(),
        files = files.path().display(),
    );
    let scene = Scene::with(&yaml, Upstream::start().await, issuer, clock).await;
    let token = scene.issuer.token("alice");
    let shared = SigningKey::hmac(secret);
    for (name, algorithm, key) in
        [("legacy-app", "HS256", &shared), ("file-app", "EdDSA", &key), ("url-app", "ES256", &*scene.issuer.key().1)]
    {
        let token = token.clone().claim("iss", name).head("alg", algorithm).without_head("kid").sign(key);
        scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    }
    eventually("all three arrived", || scene.upstream.count() == 3).await;
}
