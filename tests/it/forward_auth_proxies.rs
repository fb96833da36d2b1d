//! Forward authentication with real proxies, run with the very files of `examples/forward-auth`.

use std::net::SocketAddr;

use http::Method;

use crate::harness::browser::location;
use crate::harness::outer_proxy::{Behind, OuterKind, OuterProxy, folder};
use crate::harness::scene::assert_renewed;
use crate::harness::verbatim::{Peer, Verbatim, VerbatimClient};
use crate::harness::{Answer, Ask, Browser, Client, Jar, Protocol, Scene, UpstreamAnswer, get, post};

/// The example's configuration, with an issuer of the test's own, these cookies, and one more site.
fn configuration(cookies: &str) -> String {
    let mut text = std::fs::read_to_string(folder().join("usher.yaml")).unwrap();
    for (example, here) in [
        ("0.0.0.0:8000", "127.0.0.1:0"),
        ("0.0.0.0:8001", "127.0.0.1:0"),
        ("127.0.0.1:9901", "127.0.0.1:0"),
        ("172.16.0.0/12", "127.0.0.0/8"),
        ("https://id.example.com", "$ISSUER\n    insecure_http: true\n    leeway: 0s"),
        ("client_secret_file: /run/secrets/usher_client", "client_secret: '$CLIENT_SECRET'"),
        ("[app]", "[usher]"),
        ("secret_file: /run/secrets/usher_session", &format!("secret: '$SECRET'\n  {cookies}")),
        ("app.example.com", "app.test"),
    ] {
        assert!(text.contains(example), "the example says {example}");
        text = text.replace(example, here);
    }
    // Another site of Usher's, which is open, and which these proxies do not serve.
    text + "  - { host: pub.test, access: public, routes: [{ path: / }] }\n"
}

/// A proxy, the application behind it, and Usher, which it asks.
pub(crate) struct Outer {
    pub(crate) kind: OuterKind,
    pub(crate) proxy: OuterProxy,
    pub(crate) scene: Scene,
}

impl Outer {
    pub(crate) async fn start(kind: OuterKind, cookies: &str) -> Option<Self> {
        let scene = Scene::start(&configuration(cookies)).await;
        let app = scene.upstream.url().strip_prefix("http://").unwrap().parse().unwrap();
        let (usher, verify): (SocketAddr, SocketAddr) = (scene.gateway.plain(), scene.gateway.verify());
        let proxy = OuterProxy::start(kind, Behind { usher, verify, app }).await?;
        Some(Self { kind, proxy, scene })
    }

    fn client(&self) -> Client {
        self.proxy.client(Protocol::Http1)
    }

    async fn send(&self, ask: Ask) -> Answer {
        self.client().send(ask).await
    }

    /// Sends this target and these fields as they stand; the status, and whether the application got it.
    pub(crate) async fn verbatim(&self, method: &'static str, target: &[u8], fields: &[(&str, &str)]) -> (u16, bool) {
        self.verbatim_at("app.test", method, target, fields).await
    }

    /// The same with this `Host`.
    pub(crate) async fn verbatim_at(
        &self,
        host: &str,
        method: &'static str,
        target: &[u8],
        fields: &[(&str, &str)],
    ) -> (u16, bool) {
        let before = self.scene.upstream.count();
        let peer = Peer::Gateway(self.proxy.address, "app.test".to_owned(), Protocol::Http1);
        let mut request = Verbatim { method, ..Verbatim::get(host, target) };
        for (name, value) in fields {
            request = request.field(*name, *value);
        }
        let status = VerbatimClient::new(peer).send(&request).await.map_or(0, |answer| answer.status);
        (status, self.scene.upstream.count() > before)
    }
}

/// Everything that is promised of one proxy.
async fn judge(kind: OuterKind) {
    let Some(outer) = Outer::start(kind, "cookies: { access: at, refresh: rt, sealed: false }").await else { return };
    passes_with_the_identity(&outer).await;
    refuses_as_usher_would(&outer).await;
    nobody_speaks_in_ushers_place(&outer).await;
    the_client_describes_nothing(&outer).await;
    what_is_verified_is_what_is_forwarded(&outer).await;
    other_sites_act_for_nobody(&outer).await;
    no_client_names_its_request(&outer).await;
    renews_once_and_hands_the_cookies_back(&outer).await;
    opens_web_sockets(&outer).await;
    ends_closed(outer).await;
    signs_people_in(kind).await;
}

async fn passes_with_the_identity(outer: &Outer) {
    let alice = outer.scene.session("alice");
    let ask = get("https://app.test/x?q=%2f..;1").header("cookie", &format!("a=1; {}", alice.line().unwrap()));
    let answer = outer.send(ask).await;
    answer.assert_status(200);
    let seen = outer.scene.upstream.last();
    assert_eq!(seen.target, "/x?q=%2f..;1");
    assert_eq!(seen.host, "app.test");
    assert_eq!((seen.header("x-user-id"), seen.header("cookie")), (Some("alice"), Some("a=1")), "{:?}", outer.kind);
    let body = post("https://app.test/form").cookies(&alice).header("origin", "https://app.test").body("a=1&b=2");
    outer.send(body).await.assert_status(200);
    assert_eq!(
        (outer.scene.upstream.last().method.as_str(), &outer.scene.upstream.last().body[..]),
        ("POST", &b"a=1&b=2"[..])
    );
    let token = outer.scene.issuer.access_token("bob");
    outer.proxy.client(Protocol::Http2).send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    let seen = outer.scene.upstream.last();
    assert_eq!(seen.header("x-user-id"), Some("bob"));
    assert!(seen.all("authorization").iter().all(|value| value.is_empty()), "the token is Usher's: {seen:?}");
    let ask = get("https://app.test/public/x").header("authorization", "Basic YTpi");
    outer.send(ask).await.assert_status(200);
    assert_eq!(
        outer.scene.upstream.last().header("authorization"),
        Some("Basic YTpi"),
        "and this is the application's"
    );
}

async fn refuses_as_usher_would(outer: &Outer) {
    let (alice, before) = (outer.scene.session("alice"), outer.scene.upstream.count());
    let answer = outer.send(get("https://app.test/x")).await;
    assert_eq!(challenges(answer.assert_status(401)), ["Bearer"], "{:?}", outer.kind);
    assert_eq!(answer.json()["login_url"], "/.usher/sign-in?rd=%2Fx");
    let answer = outer.send(get("https://app.test/x?q=1").navigation()).await;
    let place = answer.assert_status(302).header("location").unwrap();
    assert_eq!(challenges(&answer), ["Bearer"], "{:?}", outer.kind);
    assert_eq!(place, "https://app.test/.usher/sign-in?rd=%2Fx%3Fq%3D1", "{:?}", outer.kind);
    let answer = outer.send(get("https://app.test/admin/x").navigation().cookies(&alice)).await;
    assert!(answer.assert_status(403).text().contains("not allowed"), "the page: {answer:?}");
    let answer = outer.send(Ask::new(Method::HEAD, "https://app.test/x")).await;
    assert!(answer.assert_status(401).body.is_empty());
    assert_eq!(challenges(&answer), ["Bearer"], "{:?}", outer.kind);
    let answer = outer.send(get("https://app.test/x").bearer("a.b.c")).await;
    assert_eq!(challenges(answer.assert_status(401)), ["Bearer error=\"invalid_token\""], "{:?}", outer.kind);
    // The answer to an upload that may not be made.
    let answer = outer.send(post("https://app.test/x").body(vec![0; 100_000])).await;
    answer.assert_status(401);
    assert_eq!(outer.scene.upstream.count(), before);
    // An application's own refusal is its own.
    outer.scene.upstream.answer("/own", UpstreamAnswer::fixed(401, &[("www-authenticate", "App")], "no"));
    let answer = outer.send(get("https://app.test/own").cookies(&alice)).await;
    assert_eq!((challenges(answer.assert_status(401)), answer.text()), (vec!["App"], "no"));
}

fn challenges(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("www-authenticate").iter().map(|challenge| challenge.to_str().unwrap()).collect()
}

async fn nobody_speaks_in_ushers_place(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    for (path, who) in [("/x", &["alice"][..]), ("/public/x", &[])] {
        for name in ["X-User-Id", "x-user-id", "X_User_Id", "X.User.Id", "X-User_Id", "X_USER_ID", "X-User-Roles"] {
            let ask = [("Cookie", alice.as_str()), (name, "root"), (name, "admin")];
            let (status, forwarded) = outer.verbatim("GET", path.as_bytes(), &ask).await;
            assert!(matches!(status, 200 | 400) && forwarded == (status == 200), "{:?}: {name}: {status}", outer.kind);
            if forwarded {
                let seen = outer.scene.upstream.last();
                let said = |name: &str| -> Vec<String> {
                    seen.folded(name).into_iter().filter(|value| !value.is_empty()).map(ToOwned::to_owned).collect()
                };
                assert_eq!(said("x-user-id"), who, "{:?}: {name}: {seen:?}", outer.kind);
                assert!(!said("x-user-roles").iter().any(|role| role.contains("admin") || role == "root"), "{seen:?}");
            }
        }
        // A client cannot name the headers away either (law 5).
        for named in ["X-User-Id", "close, X-User-Id", "Cookie", "X-Forwarded-Uri, X-Forwarded-Method"] {
            let ask = [("Cookie", alice.as_str()), ("Connection", named)];
            let (status, forwarded) = outer.verbatim("GET", path.as_bytes(), &ask).await;
            let seen = outer.scene.upstream.last();
            assert!(
                !forwarded || seen.all("x-user-id").iter().filter(|v| !v.is_empty()).eq(who),
                "{:?}: {named}: {status}: {seen:?}",
                outer.kind
            );
        }
    }
    for name in ["X-HTTP-Method-Override", "X-Original-URL"] {
        let (_, forwarded) = outer.verbatim("GET", b"/public/x", &[(name, "/admin/x")]).await;
        assert!(!forwarded || outer.scene.upstream.last().folded(name).is_empty(), "{:?}: {name}", outer.kind);
    }
}

async fn the_client_describes_nothing(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    for (name, value) in [
        ("X-Forwarded-Uri", "/public/x"),
        ("x-forwarded-uri", "/public/x"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "pub.test"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Prefix", "/public"),
        ("Forwarded", "host=pub.test"),
    ] {
        let (status, forwarded) = outer.verbatim("GET", b"/admin/x", &[("Cookie", &alice), (name, value)]).await;
        assert!(matches!(status, 400 | 403) && !forwarded, "{:?}: {name}: {status}", outer.kind);
        let (status, forwarded) = outer.verbatim("GET", b"/x", &[(name, value)]).await;
        assert!(matches!(status, 400 | 401) && !forwarded, "{:?}: {name}: {status}", outer.kind);
    }
    // Where Usher answers questions, no client comes.
    for path in ["/.usher/verify", "/.usher/auth-request", "/.usher/verify/x", "/.usher/auth-request/refusal"] {
        let fields = [("Cookie", alice.as_str()), ("X-Forwarded-Uri", "/x"), ("X-Forwarded-Method", "GET")];
        let (status, forwarded) = outer.verbatim("GET", path.as_bytes(), &fields).await;
        assert_eq!((status, forwarded), (404, false), "{:?}: {path}", outer.kind);
    }
}

async fn what_is_verified_is_what_is_forwarded(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    for target in [
        "/public/..%2fadmin/x",
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "//admin/x",
        "/admin;x/y",
        "/public/..;/admin/x",
        "/public/..\\admin/x",
        "/.usher/../admin/x",
        "/.usher/..%2fadmin/x",
        "/.usher/%2e%2e/admin/x",
        "/public/x#/../../admin",
        "https://pub.test/x",
        "/usher-question",
        "/ADMIN/x",
        "/%61dmin/x",
    ] {
        let (status, forwarded) = outer.verbatim("GET", target.as_bytes(), &[("Cookie", &alice)]).await;
        if forwarded {
            // To an application, this is a path that alice may see.
            let seen = outer.scene.upstream.last();
            let harmless = ["/ADMIN/x", "/public/x", "/usher-question", "/x"].contains(&seen.target.as_str());
            assert!(harmless, "{:?}: {target} became {}", outer.kind, seen.target);
        } else {
            // Caddy answers for a host that it does not know with nothing.
            let nothing = status == 200 && target.starts_with("https://pub.test");
            assert!(nothing || matches!(status, 0 | 400 | 403 | 404 | 421), "{:?}: {target}: {status}", outer.kind);
        }
    }
}

/// A client that could would put its requests under the names of others' in the logs.
async fn no_client_names_its_request(outer: &Outer) {
    let (own, jar) = ("63c18ae52d0b24e600000001", outer.scene.session("alice"));
    let answer = outer.send(get("https://app.test/x").cookies(&jar).header("x-request-id", own)).await;
    assert_ne!(outer.scene.upstream.last().all("x-request-id"), [own], "{:?}: {answer:?}", outer.kind);
    let said = outer.send(get("https://app.test/.usher/session").cookies(&jar).header("x-request-id", own)).await;
    assert!(said.assert_status(200).header("x-request-id").is_none_or(|id| id != own), "{:?}: {said:?}", outer.kind);
}

async fn other_sites_act_for_nobody(outer: &Outer) {
    let (alice, before) = (outer.scene.session("alice"), outer.scene.upstream.count());
    for (name, value) in [("origin", "https://evil.test"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let ask = post("https://app.test/x").cookies(&alice).header(name, value).body("a=1");
        outer.send(ask).await.assert_status(403);
    }
    assert_eq!(outer.scene.upstream.count(), before, "{:?}", outer.kind);
}

async fn renews_once_and_hands_the_cookies_back(outer: &Outer) {
    let jar = outer.scene.expired_session("alice");
    outer
        .scene
        .upstream
        .answer("/kept", UpstreamAnswer::fixed(200, &[("cache-control", "public"), ("set-cookie", "own=1")], ""));
    let before = outer.scene.issuer.token_requests();
    let client = outer.client();
    let asked = (0..50).map(|_| client.send(get("https://app.test/kept").cookies(&jar)));
    let answers = futures_util::future::join_all(asked).await;
    for answer in &answers {
        assert_renewed(answer.assert_status(200));
        assert!(
            answer.set_cookies().iter().any(|cookie| cookie.name == "own"),
            "the application's own stay: {answer:?}"
        );
        let said: Vec<_> = answer.headers.get_all("cache-control").iter().map(|line| line.to_str().unwrap()).collect();
        assert!(said.join(",").contains("no-store"), "{:?}: {said:?}", outer.kind);
    }
    let requests = outer.scene.issuer.token_requests() - before;
    assert_eq!((requests, outer.scene.issuer.reuses()), (1, 0), "{:?}", outer.kind);
    let mut renewed = Jar::default();
    renewed.take(&answers[0].headers);
    renewed.remove("own");
    let answer = outer.send(get("https://app.test/x").cookies(&renewed)).await;
    assert!(answer.assert_status(200).set_cookies().is_empty(), "{:?}: {answer:?}", outer.kind);
    // Otherwise the application alone says who may keep its answer.
    outer.scene.upstream.answer("/cached", UpstreamAnswer::fixed(200, &[("cache-control", "public")], ""));
    let answer = outer.send(get("https://app.test/cached").cookies(&renewed)).await;
    let said: Vec<_> = answer.headers.get_all("cache-control").iter().collect();
    assert_eq!(said, ["public"], "{:?}", outer.kind);
    // Whatever the answer is (law 6).
    let answer = outer.send(get("https://app.test/admin/x").cookies(&outer.scene.expired_session("bob"))).await;
    assert_renewed(answer.assert_status(403));
    outer.scene.issuer.set_down(true);
    let answer = outer.send(get("https://app.test/x").navigation().cookies(&outer.scene.expired_session("eve"))).await;
    // Envoy answers that by itself.
    let says_when = answer.assert_status(503).header("retry-after").is_some() || outer.kind == OuterKind::Envoy;
    assert!(says_when, "{:?}: {answer:?}", outer.kind);
    assert!(answer.set_cookies().is_empty(), "the session is kept");
    outer.scene.issuer.set_down(false);
}

async fn opens_web_sockets(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    for (origin, opens) in [("https://app.test", true), ("https://evil.test", false)] {
        let fields = [
            ("Cookie", alice.as_str()),
            ("Origin", origin),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let (status, forwarded) = outer.verbatim("GET", b"/socket", &fields).await;
        assert_eq!((status, forwarded), (if opens { 101 } else { 403 }, opens), "{:?}: {origin}", outer.kind);
        assert!(!opens || outer.scene.upstream.last().header("x-user-id") == Some("alice"));
    }
}

/// Nobody gets through for want of an answer.
async fn ends_closed(outer: Outer) {
    let Outer { kind, proxy, scene } = outer;
    let (alice, Scene { gateway, upstream, .. }) = (scene.session("alice"), scene);
    let before = upstream.count();
    gateway.drain().await;
    let answer = proxy.client(Protocol::Http1).send(get("https://app.test/x").cookies(&alice)).await;
    assert!(answer.status.is_server_error() || answer.status == 403, "{kind:?}: {answer:?}");
    assert_eq!(upstream.count(), before, "{kind:?}");
}

/// The whole way of a person, through the proxy: with sealed cookies, which come in several lines.
async fn signs_people_in(kind: OuterKind) {
    let Some(outer) = Outer::start(kind, "refresh_ahead: 0s").await else { return };
    // An access token of several pieces.
    outer.scene.issuer.change_access_tokens(serde_json::json!({ "padding": "x".repeat(3_000) }));
    let mut browser = Browser::new(outer.client());
    let entrance = location(&browser.visit("https://app.test/desk?q=1").await).unwrap();
    let elsewhere = location(&browser.visit(&entrance).await).unwrap();
    let back = outer.scene.issuer.authorize(&elsewhere, "alice");
    assert_eq!(back.origin().ascii_serialization(), "https://app.test", "{kind:?}");
    let place = back.join(&location(&browser.visit(back.as_str()).await).unwrap()).unwrap();
    assert_eq!(place.as_str(), "https://app.test/desk?q=1");
    browser.visit(place.as_str()).await.assert_status(200);
    let seen = outer.scene.upstream.last();
    assert_eq!((seen.target.as_str(), seen.header("x-user-id")), ("/desk?q=1", Some("alice")), "{kind:?}");
    assert_eq!(seen.all("cookie").concat(), "", "{kind:?}: {seen:?}");
    let before = (outer.scene.issuer.token_requests(), browser.jar.clone());
    let pieces = browser.jar.names().iter().filter(|name| name.contains("access")).count();
    assert!(pieces >= 2, "{kind:?}: {:?}", browser.jar.names());
    outer.scene.clock.advance(std::time::Duration::from_secs(301));
    browser.visit("https://app.test/x").await.assert_status(200);
    assert_eq!(outer.scene.issuer.token_requests(), before.0 + 1);
    for name in before.1.names().into_iter().filter(|name| name.contains("access") || name.contains("refresh")) {
        assert_ne!(browser.jar.value(name), before.1.value(name), "{kind:?}: {name} is a new one");
    }
    browser.visit("https://app.test/x").await.assert_status(200);
    assert_eq!((outer.scene.issuer.token_requests(), outer.scene.issuer.reuses()), (before.0 + 1, 0));
    let answer = outer
        .send(post("https://app.test/.usher/sign-out").cookies(&browser.jar).header("origin", "https://app.test"))
        .await;
    answer.assert_status(204);
    outer.send(get("https://app.test/x").cookies(&browser.jar)).await.assert_status(401);
}

#[tokio::test]
async fn nginx_asks_with_auth_request() {
    judge(OuterKind::Nginx).await;
}

#[tokio::test]
async fn caddy_asks_with_what_forward_auth_stands_for() {
    judge(OuterKind::Caddy).await;
}

#[tokio::test]
async fn haproxy_asks_with_a_few_lines_of_lua() {
    judge(OuterKind::Haproxy).await;
}

#[tokio::test]
async fn envoy_asks_with_ext_authz() {
    judge(OuterKind::Envoy).await;
}
