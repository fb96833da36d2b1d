//! A client's certificate as an identity: whom it names, what the application is told, and that it makes up for nothing else
//! that is presented.

use std::time::{Duration, SystemTime};

use http_body_util::BodyExt as _;
use rcgen::{DnType, SanType};
use serde_json::Value;
use tokio::time::timeout;

use crate::client_certificates::{Clients, Shown, connect};
use crate::harness::child::Usher;
use crate::harness::client::Connection;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Ask, Gateway, Jar, Protocol, Scene, Upstream, eventually, get, post};

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

const SITES: &str = "
sites:
  - host: app.test
    client_certificates: { ca_file: '$CA', identity: { sub: san_email, cn: common_name, uri: san_uri } }
    issuer: main
    upstream: $UPSTREAM
    identity_headers: { X-User-Id: sub, X-User-Name: cn }
    timeouts: { idle: 60s }
    routes:
      - path: /
      - { path: /public/, access: public }
      - { path: /optional/, access: optional }
      - { path: /bob/, require: { cn: bob } }
      - { path: /service/, require: { uri: 'spiffe://example.test/job' } }
      - { path: /gold/, require: { acr: gold } }
      - { path: /told/, assertion: true, forward_access_token: true }
      - { path: /limited/, rate_limit: { by: subject, requests: 2, per: 1h } }
  - host: pub.test
    client_certificates: { ca_file: '$CA', required: false, identity: { sub: subject_dn } }
    upstream: $UPSTREAM
    identity_headers: { X-User-Id: sub }
    allowed_origins: ['https://spa.test']
    routes: [{ path: / }]
  - host: other.test
    client_certificates: { ca_file: '$CA' }
    issuer: main
    upstream: $UPSTREAM
    routes: [{ path: / }]
";

/// A scene, whose certificates are of these clients.
async fn scene(clients: &Clients, listen: &str) -> (Scene, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("clients.pem");
    std::fs::write(&ca, &clients.1).unwrap();
    let sites = SITES.replace("$CA", &ca.display().to_string());
    (Scene::start(&format!("{listen}{ISSUERS}{SESSION}{sites}")).await, directory)
}

fn email(address: &str) -> SanType {
    SanType::Rfc822Name(address.try_into().unwrap())
}

/// A certificate with this common name and these other names.
fn named(clients: &Clients, common_name: &str, others: &[SanType]) -> Shown {
    clients.issue(|params| {
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = others.to_vec();
    })
}

fn alice(clients: &Clients) -> Shown {
    named(clients, "alice", &[email("alice@example.test")])
}

async fn send(gateway: &Gateway, shown: Option<&Shown>, protocol: Protocol, ask: Ask) -> Answer {
    let host = ask.host().to_owned();
    connect(gateway.https(), &host, shown, protocol).await.unwrap().send(ask).await
}

#[tokio::test]
async fn the_application_is_told_whom_the_certificate_names_whatever_the_client_says() {
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let shown = alice(&clients);
    for protocol in BOTH {
        let forged = get("https://app.test/x").header("x-user-id", "root").header("x-user-name", "root");
        let answer = send(&scene.gateway, Some(&shown), protocol, forged).await;
        answer.assert_status(200);
        assert_eq!(answer.header("cache-control"), Some("private"));
        let seen = scene.upstream.last();
        assert_eq!((seen.all("x-user-id"), seen.all("x-user-name")), (vec!["alice@example.test"], vec!["alice"]));
        // Who is of no interest is not named.
        send(&scene.gateway, Some(&shown), protocol, get("https://app.test/public/x")).await.assert_status(200);
        assert!(scene.upstream.last().all("x-user-id").is_empty());
        for (path, status) in [("bob", 403), ("service", 403), ("gold", 401), ("optional", 200)] {
            let answer = send(&scene.gateway, Some(&shown), protocol, get(&format!("https://app.test/{path}/x"))).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
        }
        let uri = SanType::URI("spiffe://example.test/job".try_into().unwrap());
        let job = named(&clients, "job", &[email("job@example.test"), uri]);
        send(&scene.gateway, Some(&job), protocol, get("https://app.test/service/x")).await.assert_status(200);
    }
}

#[tokio::test]
async fn a_certificate_is_an_identity_only_where_the_site_says_so() {
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let shown = alice(&clients);
    for protocol in BOTH {
        let answer = send(&scene.gateway, Some(&shown), protocol, get("https://other.test/x")).await;
        assert!(answer.assert_status(401).json()["error"].is_null(), "one can sign in there");
        let answer = send(&scene.gateway, None, protocol, get("https://pub.test/x")).await;
        assert_eq!(answer.assert_status(401).json()["error"], "certificate_required");
        let page = send(&scene.gateway, None, protocol, get("https://pub.test/x").navigation()).await;
        assert!(page.assert_status(401).text().contains("This needs a client certificate, and none was shown."));
        send(&scene.gateway, Some(&shown), protocol, get("https://pub.test/x")).await.assert_status(200);
        assert_eq!(scene.upstream.last().all("x-user-id"), ["CN=alice"]);
    }
    let tricky = named(&clients, "alice,O=Admins", &[]);
    send(&scene.gateway, Some(&tricky), Protocol::Http1, get("https://pub.test/x")).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("x-user-id"), ["CN=alice\\,O=Admins"]);
}

#[tokio::test]
async fn what_else_is_presented_decides_alone_and_a_bad_one_is_not_made_up_for() {
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let shown = alice(&clients);
    for protocol in BOTH {
        let told = async |ask: Ask| {
            let answer = send(&scene.gateway, Some(&shown), protocol, ask).await;
            (answer.status.as_u16(), scene.upstream.last().all("x-user-id").join(" "))
        };
        let ask = || get("https://app.test/x");
        assert_eq!(told(ask()).await, (200, "alice@example.test".to_owned()));
        assert_eq!(told(ask().bearer(&scene.issuer.access_token("bob"))).await, (200, "bob".to_owned()));
        assert_eq!(told(ask().cookies(&scene.session("carol"))).await, (200, "carol".to_owned()));
        // Renewed, and not made up for.
        assert_eq!(told(ask().cookies(&scene.expired_session("dave"))).await, (200, "dave".to_owned()));
        let before = scene.upstream.count();
        for bad in [
            ask().bearer("not.a.token"),
            ask().bearer(&scene.issuer.sign_in_expired("eve").access),
            ask().cookies(&Jar::of(&[("at", "not.a.token")])),
            ask().cookies(&Jar::of(&[("at", &scene.issuer.sign_in_expired("eve").access)])),
        ] {
            assert_eq!(told(bad).await.0, 401);
        }
        assert_eq!(told(get("https://app.test/optional/x").bearer("not.a.token")).await.0, 401);
        assert_eq!(scene.upstream.count(), before);
        // No issuer counts on this site at all.
        let token = scene.issuer.access_token("bob");
        let ask = get("https://pub.test/x").bearer(&token);
        send(&scene.gateway, Some(&shown), protocol, ask).await.assert_status(401);
    }
}

#[tokio::test]
async fn another_site_cannot_use_the_certificate_of_a_browser() {
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let shown = alice(&clients);
    for protocol in BOTH {
        for (ask, status) in [
            (post("https://app.test/x"), 200),
            (post("https://app.test/x").header("origin", "https://app.test"), 200),
            (post("https://app.test/x").header("origin", "https://evil.test"), 403),
            (post("https://app.test/x").header("sec-fetch-site", "cross-site"), 403),
            (post("https://app.test/x").header("sec-fetch-site", "same-site"), 403),
            (get("https://app.test/x").header("origin", "https://evil.test"), 200),
            (post("https://pub.test/x").header("origin", "https://spa.test"), 200),
            (post("https://pub.test/x").header("origin", "https://evil.test"), 403),
            (post("https://app.test/public/x").header("origin", "https://evil.test"), 200),
        ] {
            let what = format!("{ask:?}");
            let before = scene.upstream.count();
            let answer = send(&scene.gateway, Some(&shown), protocol, ask).await;
            assert_eq!(answer.status.as_u16(), status, "{what} over {protocol:?}");
            assert_eq!(scene.upstream.count() > before, status == 200);
        }
        // A program that presents a token of its own means to send it.
        let token = scene.issuer.access_token("bob");
        let ask = post("https://app.test/x").header("origin", "https://evil.test").bearer(&token);
        send(&scene.gateway, Some(&shown), protocol, ask).await.assert_status(200);
    }
    let socket = get("https://app.test/x").header("connection", "upgrade").header("upgrade", "websocket");
    let ask = socket.header("origin", "https://evil.test");
    send(&scene.gateway, Some(&shown), Protocol::Http1, ask).await.assert_status(403);
}

#[tokio::test]
async fn a_certificate_that_names_nobody_or_could_be_misread_is_no_identity() {
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let two = [email("alice@example.test"), email("root@example.test")];
    let good = email("alice@example.test");
    for (what, shown) in [
        ("no address", named(&clients, "alice", &[])),
        ("a host in place of it", named(&clients, "alice", &[SanType::DnsName("a.test".try_into().unwrap())])),
        ("two", named(&clients, "alice", &two)),
        ("an empty one", named(&clients, "alice", &[email("")])),
        ("a blank", named(&clients, "alice", &[email("alice @example.test")])),
        ("a line", named(&clients, "alice", &[email("alice@example.test\r\nx-user-id: root")])),
        ("a NUL", named(&clients, "alice", &[email("alice@example.test\0.evil.test")])),
        ("a long one", named(&clients, "alice", &[email(&"a".repeat(513))])),
        ("another field with a line", named(&clients, "alice\nroot", std::slice::from_ref(&good))),
        ("another field turned around", named(&clients, "\u{202e}ecila", std::slice::from_ref(&good))),
        ("another field with a blank", named(&clients, " alice", std::slice::from_ref(&good))),
        ("another field that is empty", named(&clients, "", std::slice::from_ref(&good))),
    ] {
        for path in ["x", "optional/x"] {
            let ask = get(&format!("https://app.test/{path}"));
            let answer = send(&scene.gateway, Some(&shown), Protocol::Http1, ask).await;
            assert_eq!(answer.status.as_u16(), 401, "{what}: {answer:?}");
            assert_eq!(answer.json()["error"], "certificate_nameless", "{what}: {answer:?}");
        }
        // A token says who it is nevertheless.
        let ask = get("https://app.test/x").bearer(&scene.issuer.access_token("bob"));
        send(&scene.gateway, Some(&shown), Protocol::Http2, ask).await.assert_status(200);
    }
    assert!(scene.upstream.seen().iter().all(|seen| seen.all("x-user-id") == ["bob"]));
}

#[tokio::test]
async fn assertions_and_limits_are_of_each_and_there_is_no_token_to_forward() {
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let (alice, bob) = (alice(&clients), named(&clients, "bob", &[email("bob@example.test")]));
    let told = || get("https://app.test/told/x").header("authorization", "Token forged");
    for (shown, subject) in [(&alice, "alice@example.test"), (&bob, "bob@example.test")] {
        send(&scene.gateway, Some(shown), Protocol::Http1, told()).await.assert_status(200);
        let seen = scene.upstream.last();
        assert!(seen.all("authorization").is_empty());
        let assertion = seen.header("x-usher-assertion").unwrap();
        let claims: Value = jsonwebtoken::dangerous::insecure_decode(assertion).unwrap().claims;
        assert_eq!(claims["sub"], subject);
        for status in [200, 200, 429] {
            let ask = get("https://app.test/limited/x");
            send(&scene.gateway, Some(shown), Protocol::Http2, ask).await.assert_status(status);
        }
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate_and_what_is_open_on_it_too() {
    // Most of its life passes before anything is asked for.
    const MOST: Duration = Duration::from_secs(3600);
    const LEFT: Duration = Duration::from_secs(4);
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let shown = clients.issue(|params| {
        params.subject_alt_names = vec![email("alice@example.test")];
        params.not_after = (SystemTime::now() + MOST + LEFT).into();
    });
    let feed = scene.upstream.stream("/events", &[("content-type", "text/event-stream")]);
    let mut connection = connect(scene.gateway.https(), "app.test", Some(&shown), Protocol::Http2).await.unwrap();
    let mut of_other = connect(scene.gateway.https(), "other.test", Some(&shown), Protocol::Http2).await.unwrap();
    let token = scene.issuer.access_token("bob");
    let other = || get("https://other.test/x").bearer(&token);
    // By then the gateway has seen the handshakes to their ends, too.
    connection.send(get("https://app.test/x")).await.assert_status(200);
    of_other.send(other()).await.assert_status(200);
    scene.clock.advance(MOST);
    let mut response = connection.open(get("https://app.test/events")).await.unwrap();
    assert_eq!(response.status(), 200);
    feed.chunk("data: 1\n\n");
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    let answer = timeout(PATIENCE, Answer::read(response)).await.expect("it ends with the certificate");
    assert!(!answer.complete, "cut, not ended");
    scene.clock.advance(LEFT);
    let answer = connection.send(get("https://app.test/x")).await;
    answer.assert_status(421);
    assert!(answer.text().contains("certificate of this connection has expired"), "{answer:?}");
    // Whatever else is presented, and where it is no identity.
    connection.send(get("https://app.test/public/x").bearer(&token)).await.assert_status(421);
    // Whoever looks for the cause is not told that it is none.
    let refused = scene.gateway.status("/").await["refusals"][0]["number"].as_u64().unwrap();
    let explained = scene.gateway.status(&format!("/refusals/{refused}")).await;
    assert_eq!(explained["explanation"]["decision"], "unknown", "{explained:#}");
    of_other.send(other()).await.assert_status(421);
}

#[tokio::test]
async fn a_client_is_sent_to_another_connection_when_its_certificate_has_expired() {
    const LIFE: Duration = Duration::from_secs(5);
    let clients = Clients::new("clients");
    let (scene, _directory) = scene(&clients, "").await;
    let shown = clients.issue(|params| {
        params.subject_alt_names = vec![email("alice@example.test")];
        params.not_after = (SystemTime::now() + LIFE).into();
    });
    let (mut open, ask) = (Vec::new(), || get("https://app.test/x"));
    for protocol in BOTH {
        let mut connection = connect(scene.gateway.https(), "app.test", Some(&shown), protocol).await.unwrap();
        connection.send(ask()).await.assert_status(200);
        open.push(connection);
    }
    eventually("both are closed", || open.iter().all(Connection::is_closed)).await;

    // Whoever asks in the same moment, or where the clock has stepped.
    let shown = alice(&clients);
    let mut connection = connect(scene.gateway.https(), "app.test", Some(&shown), Protocol::Http1).await.unwrap();
    connection.send(ask()).await.assert_status(200);
    scene.clock.advance(Duration::from_secs(10_000 * 365 * 24 * 3600));
    let answer = connection.send(ask()).await;
    assert_eq!(answer.assert_status(421).json()["error"], "certificate_expired");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn other_identity_headers_count_at_once_on_connections_of_before() {
    let clients = Clients::new("clients");
    let (scene, directory) = scene(&clients, "").await;
    let shown = alice(&clients);
    let mut connection = connect(scene.gateway.https(), "app.test", Some(&shown), Protocol::Http2).await.unwrap();
    connection.send(get("https://app.test/x")).await.assert_status(200);
    let ca = directory.path().join("clients.pem").display().to_string();
    let sites = SITES.replace("$CA", &ca).replacen("X-User-Id: sub, X-User-Name: cn", "X-User-Id: cn", 1);
    scene.reload(&format!("{ISSUERS}{SESSION}{sites}")).await.unwrap();
    connection.send(get("https://app.test/x")).await.assert_status(200);
    let seen = scene.upstream.last();
    assert_eq!((seen.all("x-user-id"), seen.all("x-user-name")), (vec!["alice"], vec![]));
    // Whom it names is among the terms of the handshake.
    scene
        .reload(&format!("{ISSUERS}{SESSION}{}", sites.replacen("sub: san_email", "sub: common_name", 1)))
        .await
        .unwrap();
    eventually("connections of before are closed", || connection.is_closed()).await;
}

#[tokio::test]
async fn another_proxy_that_asks_has_no_certificate_to_show() {
    let clients = Clients::new("clients");
    let listen = "listen: { https: '127.0.0.1:0', verify: '127.0.0.1:0' }\ntrusted_proxies: [127.0.0.0/8]\n";
    let (scene, _directory) = scene(&clients, listen).await;
    // What nginx asks is answered with the statuses that it understands.
    for (question, status) in [("verify", 421), ("auth-request", 403)] {
        let ask = reqwest::Client::new()
            .get(format!("http://{}/.usher/{question}", scene.gateway.verify()))
            .header("X-Forwarded-Host", "app.test")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Uri", "/x")
            .header("Client-Cert", ":Zm9yZ2Vk:");
        let answer = ask.send().await.unwrap();
        assert_eq!(answer.status(), status, "{question}");
        assert!(answer.headers().get("x-user-id").is_none_or(http::HeaderValue::is_empty));
    }
}

#[tokio::test]
async fn the_log_and_usher_explain_tell_whom_a_certificate_named() {
    let (clients, upstream, directory) =
        (Clients::new("clients"), Upstream::start().await, tempfile::tempdir().unwrap());
    let ca = directory.path().join("clients.pem");
    std::fs::write(&ca, &clients.1).unwrap();
    let sites = format!(
        "sites:\n  - host: app.test\n    upstream: '{}'\n    client_certificates: {{ ca_file: '{}', identity: {{ sub: common_name }} }}\n    identity_headers: {{ X-User-Id: sub }}\n    routes: [{{ path: / }}, {{ path: /bob/, require: {{ sub: bob }} }}]\n",
        upstream.url(),
        ca.display()
    );
    let yaml = complete(&format!("log: {{ format: json }}\n{sites}"), &directory);
    std::fs::write(directory.path().join("usher.yaml"), &yaml).unwrap();
    let usher = Usher::serve(&yaml, directory.path());
    let shown = clients.issue(|_| {});
    let address = usher.address("https").await;
    let mut connection = connect(address, "app.test", Some(&shown), Protocol::Http1).await.unwrap();
    connection.send(get("https://app.test/x")).await.assert_status(200);
    connection.send(get("https://app.test/bob/x")).await.assert_status(403);
    for said in [
        "\"authenticated_by\":\"certificate\"",
        "\"issuer\":\"client-certificate:app.test\"",
        "\"subject\":\"alice\"",
        "\"status\":403",
    ] {
        usher.says(said).await;
    }

    let (code, said, _) = Usher::finish(&["check", "--config", "usher.yaml"], directory.path(), "").await;
    assert!(code == Some(0) && said.contains("client-certificate"), "{said}");

    let pem = |name: &str, shown: &Shown| {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &shown.0);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n");
        std::fs::write(directory.path().join(name), pem).unwrap();
    };
    pem("alice.pem", &shown);
    pem("expired.pem", &clients.issue(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)));
    pem("foreign.pem", &Clients::new("others").issue(|_| {}));
    pem("nobody.pem", &named(&clients, "", &[]));
    std::fs::write(directory.path().join("bob.json"), r#"{"iss":"client-certificate:app.test","sub":"bob"}"#).unwrap();
    std::fs::write(directory.path().join("far.json"), r#"{"iss":"client-certificate:b.test","sub":"bob"}"#).unwrap();
    for (path, flags, code, parts) in [
        ("x", &["--client-certificate", "alice.pem"][..], 0, &["sub alice", "X-User-Id alice", "required shown"][..]),
        ("bob/x", &["--client-certificate", "alice.pem"], 1, &["sub = bob", "alice", "refused"]),
        (
            "x",
            &["--client-certificate", "expired.pem"],
            1,
            &["TLS handshake is refused: certificate_expired: give the"],
        ),
        ("x", &["--client-certificate", "foreign.pem"], 1, &["it counts unknown_ca: have the client show"]),
        ("x", &["--client-certificate", "nobody.pem"], 1, &["common name", "does not say who it is"]),
        ("x", &[], 1, &["client certificate", "not known here: one that counts"]),
        ("bob/x", &["--claims", "bob.json"], 0, &["X-User-Id bob"]),
        ("bob/x", &["--claims", "far.json"], 1, &["client-certificate:app.test"]),
        ("x", &["--client-certificate", "bob.json"], 2, &["bob.json is not a PEM file"]),
    ] {
        let url = format!("https://app.test/{path}");
        let arguments = [&["explain", "GET", &url, "--config", "usher.yaml"], flags].concat();
        let (seen, said, error) = Usher::finish(&arguments, directory.path(), "").await;
        let said = said + &error;
        assert_eq!(seen, Some(code), "{path} {flags:?}: {said}");
        let lower = said.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        for part in parts {
            assert!(lower.contains(&part.to_ascii_lowercase()), "{part} in: {said}");
        }
    }
}

#[test]
fn claims_that_a_certificate_cannot_give_are_refused() {
    let refusal = |identity: &str| {
        let yaml = format!(
            "sites: [{{ host: app.test, upstream: 'http://127.0.0.1:1', client_certificates: {{ ca_file: $DIRECTORY/authority.pem, identity: {{ {identity} }} }}, routes: [{{ path: / }}] }}]"
        );
        Gateway::refusal(&yaml)
    };
    assert_eq!(refusal("sub: san_uri, role: common_name"), None);
    for (identity, words) in [
        ("role: common_name", "sub is missing"),
        ("", "sub is missing"),
        ("sub: serial", "must be subject_dn or common_name"),
        ("sub: common_name, iss: common_name", "what only a token can say"),
        ("sub: common_name, auth_time: common_name", "what only a token can say"),
        ("sub: common_name, a.b: common_name", "without dots"),
    ] {
        let said = refusal(identity).unwrap_or_else(|| panic!("{identity} is fine"));
        assert!(said.contains(words), "{identity}: {said}");
    }
}
