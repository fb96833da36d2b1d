//! The way to the application and back: fields, framing, upstream protocols.

use http::Method;

use usher::clock::Clock;

use crate::harness::certificates::authority;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::upstream::serve_unix;
use crate::harness::{Ask, Issuer, Protocol, Scene, Upstream, UpstreamAnswer, get, post};

#[tokio::test]
async fn what_a_client_says_of_itself_is_replaced_by_what_is_so() {
    let scene = Scene::usual().await;
    let ask = get("https://app.test/public/x")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-forwarded-proto", "http")
        .header("x-forwarded-host", "evil.test")
        .header("x-forwarded-port", "1")
        .header("x-real-ip", "1.2.3.4")
        .header("forwarded", "for=1.2.3.4;host=evil.test")
        .header("true-client-ip", "1.2.3.4")
        .header("via", "1.0 somebody");
    scene.send(ask).await.assert_status(200);
    let seen = scene.upstream.only();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("app.test"));
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
    let forwarded = seen.header("forwarded").unwrap().to_ascii_lowercase();
    assert!(forwarded.contains("for=127.0.0.1") && forwarded.contains("proto=https"), "{forwarded}");
    assert!(!forwarded.contains("1.2.3.4") && !forwarded.contains("evil"), "{forwarded}");
    assert!(seen.all("true-client-ip").is_empty() && !seen.all("via").is_empty());
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_appended_to() {
    let yaml = format!("trusted_proxies: [127.0.0.1/32]\n{ISSUERS}{SESSION}{SITES}");
    let scene = Scene::start(&yaml).await;
    scene.send(get("https://app.test/public/x").header("x-forwarded-for", "203.0.113.9")).await.assert_status(200);
    let seen = scene.upstream.only();
    let chain = seen.header("x-forwarded-for").unwrap();
    assert!(chain.starts_with("203.0.113.9"), "{chain}");
    assert_eq!(seen.header("x-real-ip"), Some("203.0.113.9"));
}

#[tokio::test]
async fn hop_by_hop_fields_end_here_in_both_directions() {
    let scene = Scene::usual().await;
    let request = "GET /public/x HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nProxy-Authorization: Basic x\r\n\
        Upgrade: foo\r\nTrailer: X\r\nX-Stays: 1\r\n\r\n";
    assert_eq!(scene.raw(request).await.unwrap().status, 200);
    let seen = scene.upstream.only();
    for name in ["x-mine", "keep-alive", "proxy-connection", "te", "proxy-authorization", "upgrade", "trailer"] {
        assert!(seen.all(name).is_empty(), "{name}");
    }
    assert_eq!(seen.all("x-stays"), ["1"]);

    let fields = [
        ("connection", "x-theirs"),
        ("x-theirs", "1"),
        ("keep-alive", "timeout=5"),
        ("x-stays", "1"),
        ("proxy-authenticate", "Basic"),
    ];
    scene.upstream.answer("/public/back", UpstreamAnswer::fixed(200, &fields, "x"));
    let answer = scene.http2().send(get("https://app.test/public/back")).await;
    for name in ["x-theirs", "keep-alive", "proxy-authenticate", "connection"] {
        assert_eq!(answer.assert_status(200).header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-stays"), Some("1"));
}

#[tokio::test]
async fn only_plain_field_names_pass() {
    let scene = Scene::usual().await;
    let ask = get("https://app.test/public/x").header("x_odd", "1").header("x.odd", "1").header("x-even", "1");
    let answer = scene.send(ask).await;
    if answer.status == 200 {
        let seen = scene.upstream.only();
        assert!(seen.all("x_odd").is_empty() && seen.all("x.odd").is_empty());
        assert_eq!(seen.all("x-even"), ["1"]);
    } else {
        answer.assert_status(400);
    }
}

#[tokio::test]
async fn every_method_status_and_body_passes_over_both_protocols() {
    let scene = Scene::usual().await;
    for client in [scene.client(), scene.http2()] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            client.send(Ask::new(method.clone(), "https://app.test/public/x").body("b")).await.assert_status(200);
            assert_eq!((scene.upstream.last().method, scene.upstream.last().body), (method.to_string(), "b".into()));
        }
        for status in [201, 204, 206, 301, 304, 404, 418, 500, 503] {
            scene.upstream.answer(
                "/public/s",
                UpstreamAnswer::fixed(
                    status,
                    &[("x-a", "b")],
                    if status == 204 || status == 304 { "" } else { "body" },
                ),
            );
            let answer = client.send(get("https://app.test/public/s")).await;
            assert_eq!(answer.assert_status(status).header("x-a"), Some("b"));
        }
        let head = client.send(Ask::new(Method::HEAD, "https://app.test/public/x")).await;
        assert!(head.assert_status(200).body.is_empty());
    }
}

#[tokio::test]
async fn connections_to_the_application_are_kept_and_used_again() {
    let scene = Scene::usual().await;
    let mut connection = scene.client().connect("app.test").await;
    for _ in 0..20 {
        connection.send(get("https://app.test/public/x")).await.assert_status(200);
    }
    assert_eq!((scene.upstream.count(), scene.upstream.connections()), (20, 1));
}

#[tokio::test]
async fn every_kind_of_upstream_is_spoken_to() {
    for upstream in [Upstream::start().await, Upstream::start_h2c().await] {
        let clock = Clock::adjustable();
        let issuer = Issuer::start(&clock).await;
        let scene = Scene::with(&format!("{ISSUERS}{SESSION}{SITES}"), upstream, issuer, clock).await;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let client = crate::harness::Client { protocol, ..scene.client() };
            client.send(post("https://app.test/public/x").body("hello")).await.assert_status(200);
            let seen = scene.upstream.last();
            assert_eq!((seen.body.as_ref(), seen.host.as_str()), (b"hello".as_ref(), "app.test"));
        }
    }
}

#[tokio::test]
async fn a_tls_upstream_is_verified_against_its_own_authority() {
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("ca.pem"), authority().root_pem()).unwrap();
    for alpn in ["http/1.1", "h2"] {
        for (ca, status) in [(format!(", ca_file: {}/ca.pem", files.path().display()), 200), (String::new(), 502)] {
            let sites = SITES.replace("upstream: $UPSTREAM", &format!("upstream: {{ url: $UPSTREAM{ca} }}"));
            let clock = Clock::adjustable();
            let (upstream, issuer) = (Upstream::start_tls(alpn).await, Issuer::start(&clock).await);
            let scene = Scene::with(&format!("{ISSUERS}{SESSION}{sites}"), upstream, issuer, clock).await;
            scene.send(get("https://app.test/public/x")).await.assert_status(status);
        }
    }
}

#[tokio::test]
async fn an_application_on_a_unix_socket_is_reached() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("app.sock");
    let _serving = serve_unix(&socket);
    let sites = SITES.replace("upstream: $UPSTREAM", &format!("upstream: 'unix:{}'", socket.display()));
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
}
