//! The rows about header fields, over HTTP/1.1 and HTTP/2: what a client says of itself, and what an application says back.

use crate::harness::scene::{ISSUERS, SESSION, SITES, assert_renewed};
use crate::harness::verbatim::Verbatim;
use crate::harness::{Scene, SetCookie, UpstreamAnswer, get};
use crate::spellings::{clients, status};

#[tokio::test]
async fn however_often_a_client_says_who_it_is_the_application_hears_it_once_from_usher() {
    let scene = Scene::usual().await;
    let bearer = format!("Bearer {}", scene.issuer.access_token("alice"));
    for client in &mut clients(&scene, "app.test") {
        for (path, mine) in [("/x", vec!["alice"]), ("/optional/x", vec!["alice"]), ("/public/x", vec![])] {
            for lines in [
                &["x-user-id: root"][..],
                &["x-user-id: root", "x-user-id: root"],
                &["x-user-id: alice, root"],
                &["x-user-id: "],
                &["x-user-id: root", "x_user_id: root", "x-user-id_: root", "x.user.id: root"],
            ] {
                let mut request = Verbatim::get("app.test", path);
                let (before, after) = lines.split_at(lines.len() / 2);
                for line in before.iter().copied().chain([""]).chain(after.iter().copied()) {
                    let field = line.split_once(": ").unwrap_or(("authorization", &bearer));
                    request = request.field(field.0, field.1);
                }
                assert_eq!(status(client, &request).await, 200, "{path} {lines:?}");
                assert_eq!(scene.upstream.last().folded("x-user-id"), mine, "{path} {lines:?}");
            }
        }
    }
}

#[tokio::test]
async fn at_the_login_the_application_hears_of_nobody_and_on_a_health_path_neither() {
    let login = "    login: { path: /auth/login, page: /public/login, access_token: /a, refresh_token: /r }\n";
    let scene = Scene::start(&format!("{}\n{login}{SESSION}{SITES}", ISSUERS.trim_end())).await;
    let cookies = scene.session("root").line().unwrap();
    for client in &mut clients(&scene, "app.test") {
        for (method, path) in
            [("POST", "/auth/login"), ("GET", "/auth/login"), ("GET", "/public/login"), ("GET", "/public/healthz")]
        {
            let mut request =
                Verbatim { method, ..Verbatim::get("app.test", path) }.field("origin", "https://app.test");
            for name in ["x-user-id", "x_user_id", "x-user-email", "x-user-roles", "x-user-team", "x-role"] {
                request = request.field(name, "root").field(name, "admin");
            }
            for request in [request.clone(), request.field("cookie", cookies.as_str())] {
                let before = scene.upstream.count();
                status(client, &request).await;
                // A GET there is no login: it is a request for a route like any other, and alice may not be told apart.
                if scene.upstream.count() == before {
                    assert_eq!((method, path), ("GET", "/auth/login"));
                    continue;
                }
                let seen = scene.upstream.last();
                let says = |name: &str| seen.folded(name).iter().any(|value| *value == "root" || *value == "admin");
                let told = ["x-user-email", "x-user-team", "x-role"].into_iter().find(|name| says(name));
                assert_eq!(told, None, "{method} {path}: {seen:?}");
                assert!(method == "GET" && path == "/auth/login" || !says("x-user-id"), "{method} {path}: {seen:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_field_that_names_the_framing_does_not_take_it_away() {
    let scene = Scene::usual().await;
    let bearer = scene.issuer.access_token("alice");
    for option in ["content-length", "Content-Length, X-User-Id", "transfer-encoding", "host, authorization", "cookie"]
    {
        for framing in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
            let before = scene.upstream.count();
            let request = format!(
                "POST /x HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer {bearer}\r\nCookie: mine=1\r\n\
                 Connection: {option}\r\n{framing}"
            );
            assert_eq!(scene.raw(request).await.unwrap().status, 200, "{option}");
            let seen = scene.upstream.last();
            assert_eq!(scene.upstream.count(), before + 1, "{option}");
            assert_eq!((&*seen.body, seen.complete, seen.host.as_str()), (&b"hello"[..], true, "app.test"), "{option}");
            assert_eq!(seen.all("x-user-id"), ["alice"], "{option}");
            assert!(seen.all("content-length").len() + seen.all("transfer-encoding").len() <= 1, "{option}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_preflight_carries_no_identity_whoever_sends_it_and_only_where_it_is_allowed() {
    let sites = SITES.replacen(
        "body_limit: 1MiB",
        "body_limit: 1MiB\n    cors: true\n    allowed_origins: ['https://spa.test']",
        1,
    );
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let bearer = format!("Bearer {}", scene.issuer.access_token("root"));
    let cookies = scene.session("root").line().unwrap();
    for client in &mut clients(&scene, "app.test") {
        for (name, value) in [("authorization", &bearer), ("cookie", &cookies), ("x-user-id", &"root".to_owned())] {
            let preflight = |origin: &str| {
                let request = Verbatim { method: "OPTIONS", ..Verbatim::get("app.test", "/admin/x") };
                let request = request.field("origin", origin).field("access-control-request-method", "DELETE");
                request.field(name, value.as_str()).field("x-user-roles", "admin").field("x_user_id", "root")
            };
            let before = scene.upstream.count();
            assert_eq!(status(client, &preflight("https://spa.test")).await, 200, "{name}");
            let seen = scene.upstream.last();
            for header in ["x-user-id", "x-user-email", "x-user-roles", "authorization", "cookie"] {
                assert!(seen.folded(header).is_empty(), "{header}: {seen:?}");
            }
            // From elsewhere it is a request like any other.
            let elsewhere = status(client, &preflight("https://evil.test")).await;
            let identity = scene.upstream.last();
            assert!(elsewhere != 200 || identity.folded("x-user-id") == ["root"], "{name}: {elsewhere}");
            assert!(name != "x-user-id" || scene.upstream.count() == before + 1, "{name}: {elsewhere}");
        }
    }
}

#[tokio::test]
async fn fields_of_the_connection_end_here_over_every_protocol() {
    let scene = Scene::usual().await;
    let fields = [
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic x"),
        ("proxy-authenticate", "Basic"),
        ("te", "gzip"),
        ("trailer", "x-sum"),
        ("upgrade", "foo"),
        ("http2-settings", "AAMAAABk"),
        ("connection", "x-mine"),
    ];
    for (version, client) in clients(&scene, "app.test").iter_mut().enumerate() {
        for (name, value) in fields {
            let before = scene.upstream.count();
            let seen = status(client, &Verbatim::get("app.test", "/public/x").field(name, value)).await;
            // RFC 9113 §8.2.2 makes the fields of a connection an error in HTTP/2.
            assert!(seen == 200 || version == 1 && matches!(seen, 0 | 400), "{name}: {seen}");
            if scene.upstream.count() > before {
                assert!(scene.upstream.last().folded(name).is_empty(), "{name}");
            }
        }
        let request = Verbatim::get("app.test", "/public/x").field("te", "trailers");
        assert_eq!(status(client, &request).await, 200);
        assert!(scene.upstream.last().all("te").iter().all(|value| *value == "trailers"));
    }
}

#[tokio::test]
async fn where_a_request_came_from_is_told_in_one_way_over_every_protocol() {
    let scene = Scene::usual().await;
    for client in &mut clients(&scene, "app.test") {
        let request = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-ssl", "off"),
            ("x-forwarded-server", "evil.test"),
            ("x-real-ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4;host=evil.test"),
            ("true-client-ip", "1.2.3.4"),
            ("cf-connecting-ip", "1.2.3.4"),
            ("x-client-ip", "1.2.3.4"),
        ]
        .iter()
        .fold(Verbatim::get("app.test", "/public/x"), |request, (name, value)| request.field(*name, *value));
        assert_eq!(status(client, &request).await, 200);
        let seen = scene.upstream.last();
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "app.test"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1;host=\"app.test\";proto=https"),
        ] {
            assert_eq!(seen.folded(name), [value], "{name}");
        }
        let lies = |value: &str| ["1.2.3.4", "5.6.7.8", "evil"].iter().any(|lie| value.contains(lie));
        assert!(!seen.headers.iter().any(|(_, value)| lies(value)), "{seen:?}");
    }
}

#[tokio::test]
async fn an_application_cannot_take_away_what_usher_answers() {
    let scene = Scene::usual().await;
    let fields = [
        ("connection", "set-cookie, cache-control, x-request-id, x-theirs"),
        ("set-cookie", "mine=1; Path=/"),
        ("set-cookie", "at=; Max-Age=0; Path=/"),
        ("x-theirs", "1"),
        ("x-user-id", "x"),
        ("www-authenticate", "Basic realm=\"app\""),
    ];
    scene.upstream.answer("/x", UpstreamAnswer::fixed(401, &fields, "no"));
    for client in [scene.client(), scene.http2()] {
        let answer = client.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await;
        assert_renewed(answer.assert_status(401));
        assert!(answer.set_cookies().iter().all(|cookie| !SetCookie::clears(cookie)), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        assert_eq!(answer.header("x-theirs"), None);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"app\""), "the application's own login");
    }
}

#[tokio::test]
async fn more_fields_than_anybody_needs_are_431_over_every_protocol() {
    let scene = Scene::usual().await;
    for client in &mut clients(&scene, "app.test") {
        let with = |count: usize, name: &str, value: String| {
            let fields = (0..count).map(|n| (name.replace('#', &n.to_string()), value.clone()));
            fields.fold(Verbatim::get("app.test", "/public/x"), |request, (name, value)| request.field(name, value))
        };
        for (what, request) in [
            ("101 fields", with(101, "x-#", "1".to_owned())),
            ("one name 101 times", with(101, "x-same", "1".to_owned())),
            ("100 fields of 8 KiB", with(100, "x-#", "x".repeat(8 * 1024))),
            ("one of 256 KiB", with(1, "x-#", "x".repeat(256 * 1024))),
            ("5,000 cookies", with(1, "cookie", "a=;".repeat(5000) + &"b=x;".repeat(20_000))),
        ] {
            let seen = status(client, &request).await;
            assert!(matches!(seen, 0 | 431), "{what}: {seen}");
        }
        assert_eq!(scene.upstream.count(), 0);
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn credentials_for_the_application_pass_and_those_for_usher_do_not() {
    let scene = Scene::usual().await;
    let bearer = format!("Bearer {}", scene.issuer.access_token("alice"));
    let cookies = scene.session("alice").line().unwrap();
    for client in &mut clients(&scene, "app.test") {
        for path in ["/public/x", "/optional/x", "/x"] {
            let request = Verbatim::get("app.test", path).field("authorization", bearer.as_str());
            assert_eq!(status(client, &request).await, 200);
            assert!(scene.upstream.last().all("authorization").is_empty(), "{path}");
            let request = Verbatim::get("app.test", path).field("authorization", "Basic YTpi");
            let request = request.field("cookie", format!("{cookies}; mine=1"));
            assert_eq!(status(client, &request).await, 200);
            let seen = scene.upstream.last();
            assert_eq!((seen.header("authorization"), seen.header("cookie")), (Some("Basic YTpi"), Some("mine=1")));
        }
    }
}
