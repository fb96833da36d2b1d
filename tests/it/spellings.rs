//! The rows about paths and methods, each spelling over HTTP/1.1 and HTTP/2, as nobody and as a user without the group.

use crate::harness::raw::Raw;
use crate::harness::scene::SITES;
use crate::harness::verbatim::{Peer, Verbatim, VerbatimClient};
use crate::harness::{Protocol, Scene, get};
use crate::paths::{DISGUISED, is_admin, readings};

/// One client for each protocol.
pub(crate) fn clients(scene: &Scene, server_name: &str) -> [VerbatimClient; 2] {
    let peer = |protocol| Peer::Gateway(scene.gateway.https(), server_name.to_owned(), protocol);
    [Protocol::Http1, Protocol::Http2].map(|protocol| VerbatimClient::new(peer(protocol)))
}

/// The status of the answer; 0 where there is none.
pub(crate) async fn status(client: &mut VerbatimClient, request: &Verbatim) -> u16 {
    client.send(request).await.map_or(0, |answer| answer.status)
}

/// A request that would be answered.
const BEHIND: &str = "GET /public/x HTTP/1.1\r\nHost: app.test\r\n\r\n";

/// `Authorization` of a user without any group.
fn alice(scene: &Scene) -> String {
    format!("Bearer {}", scene.issuer.access_token("alice"))
}

#[tokio::test]
async fn no_disguise_of_a_protected_path_works_over_any_protocol() {
    let scene = Scene::usual().await;
    let alice = alice(&scene);
    for client in &mut clients(&scene, "app.test") {
        for target in DISGUISED {
            for request in [
                Verbatim::get("app.test", target),
                Verbatim::get("app.test", target).field("authorization", alice.as_str()),
            ] {
                let before = scene.upstream.count();
                let status = status(client, &request).await;
                if scene.upstream.count() == before {
                    assert!(matches!(status, 0 | 400 | 401 | 403), "{target}: {status}");
                } else {
                    let forwarded = scene.upstream.last().target;
                    assert!(!readings(&forwarded).iter().any(|path| is_admin(path)), "{target} reaches {forwarded}");
                }
            }
        }
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn segments_are_compared_whole_decoded_and_with_their_case_and_the_query_never() {
    let scene = Scene::usual().await;
    let alice = alice(&scene);
    for client in &mut clients(&scene, "app.test") {
        for (target, anonymous, signed_in) in [
            ("/admin", 401, 403),
            ("/admin/", 401, 403),
            ("/admin/x", 401, 403),
            ("/admi%6e/x", 401, 403),
            ("/%61dmin/x", 401, 403),
            ("/%61%64%6D%69%6e", 401, 403),
            // Another path than /admin, since no route says `ignore_case`.
            ("/ADMIN/x", 401, 200),
            ("/Admin/x", 401, 200),
            ("/%41dmin/x", 401, 200),
            ("/adm%C4%B1n", 401, 200),
            ("/administrator", 401, 200),
            ("/admin-x", 401, 200),
            ("/admin.x", 401, 200),
            ("/publicadmin", 401, 200),
            ("/public.admin", 401, 200),
            ("/public-x/admin", 401, 200),
            ("/public", 200, 200),
            ("/public/admin/x", 200, 200),
            ("/api/private?path=/public/", 401, 200),
            ("/admin?/public/", 401, 403),
            ("/admin/x?next=/public/", 401, 403),
            ("/admin?/../public/", 401, 403),
            ("/public/?/../admin/", 200, 200),
            ("/public?x=/admin/", 200, 200),
            ("/admin/x?a=%2f..%2f..%2fpublic%2f", 401, 403),
        ] {
            let nobody = Verbatim::get("app.test", target);
            assert_eq!(status(client, &nobody).await, anonymous, "{target} as nobody");
            let before = scene.upstream.count();
            let user = nobody.field("authorization", alice.as_str());
            assert_eq!(status(client, &user).await, signed_in, "{target} as alice");
            assert_eq!(scene.upstream.count() - before, usize::from(signed_in == 200), "{target}");
        }
    }
}

#[tokio::test]
async fn characters_that_become_ascii_lead_nowhere_that_is_protected() {
    let scene = Scene::usual().await;
    let alice = alice(&scene);
    for client in &mut clients(&scene, "app.test") {
        for target in [
            "/public/%EF%B8%B0/admin/x",
            "/public/%E2%80%A5/admin/x",
            "/public/%EF%BC%8E%EF%BC%8E/admin/x",
            "/public/%EF%BC%8E%EF%BC%8E%EF%BC%8Fadmin/x",
            "/public/%EF%BC%85%EF%BC%92%EF%BC%85%EF%BC%92e",
            "/public/%EF%BC%852e%EF%B9%AA2e/admin",
            "/adm%EF%BD%89n/x",
            "/%EF%BD%81%EF%BD%84%EF%BD%8D%EF%BD%89%EF%BD%8E",
            "/admin%EF%BC%8Fx",
            "/admin%EF%BC%9Fx",
            "/admin%EF%B8%94x/y",
            "/admin%E2%81%87/x",
            "/%F0%9D%90%9Admin/x",
            // Cut at the semicolon first, the name before it is none: a space.
            "/%20;%EF%BC%8Fx/admin",
        ] {
            let request = Verbatim::get("app.test", target).field("authorization", alice.as_str());
            assert_eq!(status(client, &request).await, 400, "{target}");
        }
        assert_eq!(scene.upstream.count(), 0);
    }
    for honest in ["/public/100%EF%BC%85.pdf", "/public/%C2%BD.txt", "/public/%EF%BC%81", "/public/caf%C3%A9"] {
        assert_eq!(scene.raw_get(honest, "").await, 200, "{honest}");
        assert_eq!(scene.upstream.last().target, honest);
    }
}

#[tokio::test]
async fn no_agent_and_no_health_path_gets_past_the_routes() {
    let scene = Scene::usual().await;
    for mut client in clients(&scene, "app.test") {
        for agent in ["GoogleHC/1.0", "kube-probe/1.29", "ELB-HealthChecker/2.0", "Usher", "curl/8"] {
            let request = Verbatim::get("app.test", "/admin/x").field("user-agent", agent);
            assert_eq!(status(&mut client, &request).await, 401, "{agent}");
        }
        for host in ["app.test", "admin.test", "pub.test"] {
            for health in ["/health", "/healthz", "/ready", "/ping", "/.usher", "/.usher/session", "/.usher/jwks.json"]
            {
                for up in ["/../admin", "/%2e%2e/admin", "/..;/admin", "/..%2fadmin", "/../../admin"] {
                    let request = Verbatim::get(host, format!("{health}{up}"));
                    assert_eq!(status(&mut client, &request).await, 400, "{host}{health}{up}");
                }
            }
        }
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn no_field_leads_to_another_path_host_or_method_than_was_asked_for() {
    let scene = Scene::usual().await;
    let alice = alice(&scene);
    for client in &mut clients(&scene, "app.test") {
        for (name, value) in [
            ("x-forwarded-uri", "/public/x"),
            ("x-original-url", "/public/x"),
            ("x-original-uri", "/public/x"),
            ("x-rewrite-url", "/public/x"),
            ("x-forwarded-host", "pub.test"),
            ("x-forwarded-method", "OPTIONS"),
            ("x-forwarded-prefix", "/public"),
            ("x-http-method-override", "GET"),
            ("x-http-method-override", "OPTIONS"),
            ("x-method-override", "HEAD"),
            ("x-original-method", "OPTIONS"),
            ("x-envoy-original-path", "/public/x"),
            ("x-host", "pub.test"),
            ("forwarded", "host=pub.test;proto=http"),
        ] {
            let nobody = Verbatim::get("app.test", "/admin/x").field(name, value);
            assert_eq!(status(client, &nobody).await, 401, "{name}");
            let user = nobody.field("authorization", alice.as_str());
            assert_eq!(status(client, &user).await, 403, "{name}");
            assert_eq!(scene.upstream.count(), 0, "{name}");
        }
    }
    // Where something is let through, the application does not hear of it either.
    for name in ["x-forwarded-uri", "x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-envoy-original-path"] {
        scene.send(get("https://app.test/public/x").header(name, "/admin/x")).await.assert_status(200);
        assert!(scene.upstream.last().folded(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn every_method_is_held_to_the_same_rule() {
    let scene = Scene::usual().await;
    let alice = alice(&scene);
    for client in &mut clients(&scene, "app.test") {
        for method in
            ["GET", "HEAD", "OPTIONS", "TRACK", "PROPFIND", "FOO", "TRACE", "get", "gEt", "GET\x0b", "G T", ""]
        {
            let expected: (&[u16], &[u16]) = match method {
                "GET" | "HEAD" | "OPTIONS" | "TRACK" | "PROPFIND" | "FOO" => (&[401], &[403]),
                "TRACE" | "get" | "gEt" => (&[405], &[405]),
                _ => (&[0, 400], &[0, 400]),
            };
            let nobody = Verbatim { method, ..Verbatim::get("app.test", "/admin/x") };
            let seen = status(client, &nobody).await;
            assert!(expected.0.contains(&seen), "{method:?} as nobody: {seen}");
            let seen = status(client, &nobody.field("authorization", alice.as_str())).await;
            assert!(expected.1.contains(&seen), "{method:?} as alice: {seen}");
        }
        let star = Verbatim { method: "OPTIONS", ..Verbatim::get("app.test", "*") };
        assert!(matches!(status(client, &star).await, 0 | 400), "OPTIONS *");
        assert_eq!(scene.upstream.count(), 0);
    }
}

#[tokio::test]
async fn nobody_gets_a_tunnel() {
    let scene = Scene::usual().await;
    let alice = alice(&scene);
    let [http1, http2] = &mut clients(&scene, "app.test");
    for target in ["app.test:443", "127.0.0.1:6379", "/public/x", "https://app.test/public/x", "*"] {
        let request = Verbatim { method: "CONNECT", ..Verbatim::get("app.test", target) };
        for request in [request.clone(), request.field("authorization", alice.as_str())] {
            let seen = status(http1, &request).await;
            assert!(matches!(seen, 0 | 400 | 405 | 501), "CONNECT {target}: {seen}");
            let seen = status(http2, &request).await;
            assert!(matches!(seen, 0 | 400 | 405 | 501), "CONNECT {target} over HTTP/2: {seen}");
        }
    }
    // What comes behind it is no request: it may be what was meant for the tunnel.
    for target in ["app.test:443", "127.0.0.1:6379"] {
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{BEHIND}")).await;
        let status = raw.read().await.unwrap().status;
        assert!(matches!(status, 400 | 405 | 501), "CONNECT {target}: {status}");
        assert_eq!(raw.read().await, None, "the connection ends");
    }
    for protocol in ["websocket", "connect-udp", "h2c", ""] {
        let request = Verbatim { method: "CONNECT", ..Verbatim::get("app.test", "/public/x") };
        let seen = status(http2, &request.field(":protocol", protocol)).await;
        assert!(matches!(seen, 0 | 400 | 405 | 501), "extended CONNECT for {protocol:?}: {seen}");
    }
    assert_eq!(scene.upstream.count(), 0);
    assert!(SITES.contains("path: /public/, access: public"), "where a GET would have passed");
    scene.assert_well().await;
}
