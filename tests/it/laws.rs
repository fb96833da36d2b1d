//! The ten ordering laws of the journey, one test each.

use std::time::Duration;

use http::HeaderMap;

use crate::harness::body::fed;
use crate::harness::client::Connection;
use crate::harness::scene::{ISSUERS, SESSION, assert_renewed};
use crate::harness::{Ask, Gateway, Scene, SetCookie, TokenAnswer, UpstreamAnswer, get, post};
use crate::logs;

#[tokio::test]
async fn law_01_identity_headers_are_stripped_before_anything_reads_headers() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    for name in ["x-user-id", "X-USER-ID", "x_user_id", "X_User-Id", "x.user.id", "x-user_id", "x~user~id", "x-role"] {
        for (path, mine) in [("/", vec!["alice"]), ("/public/x", vec![]), ("/optional/x", vec!["alice"])] {
            let ask = get(&format!("https://app.test{path}")).bearer(&token);
            scene.send(ask.header(name, "root").header(name, "admin")).await.assert_status(200);
            let seen = scene.upstream.last();
            assert_eq!(seen.folded("x-user-id"), mine, "{name} on {path}");
            assert!(seen.folded("x-role").is_empty(), "{name} on {path}");
        }
    }
    let (feed, body) = fed();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-user-id", "root".parse().unwrap());
    feed.trailers(trailers);
    scene.http2().send(post("https://pub.test/x").streamed(body)).await;
    assert!(scene.upstream.last().folded("x-user-id").is_empty(), "not as a trailer either");
    scene.assert_well().await;
}

#[tokio::test]
async fn law_02_the_bytes_that_were_matched_are_the_bytes_that_are_forwarded() {
    let scene = Scene::usual().await;
    for target in ["/public/a%20b?c=%2f..%2f", "/public/%C3%A9?", "/public/?q=/../x", "/public/~x!$&'()*+,=:@"] {
        assert_eq!(scene.raw_get(target, "").await, 200, "{target}");
        assert_eq!(scene.upstream.last().target, target);
    }
    let before = scene.upstream.count();
    for target in [
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "/public/.%2E/admin",
        "/public%2f..%2fadmin",
        "/public/a%2fb",
        "/public/a%5cb",
        "/public\\..\\admin",
        "/public/%252e%252e/admin",
        "/public/./x",
        "/public//x",
        "/public/a%00b",
        "/public/a%0ab",
        "/public/%zz",
        "/public/%",
        "/public/%c0%ae%c0%ae/admin",
    ] {
        assert_eq!(scene.raw_get(target, "").await, 400, "{target}");
    }
    assert_eq!(scene.upstream.count(), before, "nothing ambiguous is forwarded");
    scene.assert_well().await;
}

#[tokio::test]
async fn law_03_nothing_is_open_by_omission() {
    let sites = "
sites:
  - host: app.test
    issuer: main
    upstream: http://127.0.0.1:9
    routes: [{ path: /only/ }]
";
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{}", sites.replace("http://127.0.0.1:9", "$UPSTREAM"))).await;
    let token = scene.issuer.access_token("root");
    scene.send(get("https://app.test/elsewhere").bearer(&token)).await.assert_status(404);
    scene.send(get("https://unknown.test/only/").bearer(&token)).await.assert_status(421);
    scene.send(get("https://app.test/only/")).await.assert_status(401);
    assert_eq!(scene.upstream.count(), 0);

    let issuers = ISSUERS.replace("$ISSUER", "http://id.test").replace("$CLIENT_SECRET", "a secret of the client");
    let whole = format!("{issuers}{SESSION}{sites}");
    assert_eq!(Gateway::refusal(&whole), None);
    for (good, bad) in [
        ("path: /only/", "path: /only/, acess: public"),
        ("    issuer: main\n", ""),
        ("issuer: main", "issuer: mian"),
        ("path: /only/", "path: /only/, access: pubic"),
        ("host: app.test", "host: app.test\n    requier: { sub: root }"),
    ] {
        assert!(Gateway::refusal(&whole.replace(good, bad)).is_some(), "{good:?} → {bad:?} is refused");
    }
}

#[tokio::test]
async fn law_04_a_renewed_token_passes_through_the_same_verification() {
    let scene = Scene::usual().await;
    for lie in [TokenAnswer::Forged, TokenAnswer::OtherIssuer, TokenAnswer::OtherSubject("root")] {
        scene.issuer.behave(lie);
        let answer = scene.send(get("https://app.test/").cookies(&scene.expired_session("alice"))).await;
        assert!(matches!(answer.status.as_u16(), 401 | 503), "{lie:?}: {answer:?}");
        assert!(answer.set_cookies().iter().all(SetCookie::clears), "{lie:?}: nothing unverified is handed out");
    }
    assert_eq!(scene.upstream.count(), 0);
    scene.issuer.behave(TokenAnswer::Rotate);
    scene.assert_well().await;
}

#[tokio::test]
async fn law_05_hop_by_hop_removal_comes_before_injection() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    for fields in [
        "Connection: X-User-Id\r\n",
        "Connection: keep-alive\r\nConnection: x-user-id, X-USER-EMAIL\r\n",
        "Connection: close, X-User-Id, X-Forwarded-For, Forwarded, Via, Host, Authorization, Cookie, Content-Length\r\n",
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer {token}\r\nX-User-Id: root\r\n{fields}\r\n"
        );
        assert_eq!(scene.raw(request).await.unwrap().status, 200, "{fields}");
        let seen = scene.upstream.last();
        assert_eq!(seen.folded("x-user-id"), ["alice"], "{fields}");
        assert_eq!(seen.folded("x-user-email"), ["alice@app.test"], "{fields}");
        assert_eq!((seen.host.as_str(), seen.all("x-forwarded-for").len()), ("app.test", 1), "{fields}");
    }
}

#[tokio::test]
async fn law_06_the_cookies_of_a_renewal_go_out_whatever_the_answer_is() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/304", UpstreamAnswer::fixed(304, &[("etag", "\"x\"")], ""));
    scene.upstream.answer("/404", UpstreamAnswer::fixed(404, &[], "nothing here"));
    scene.upstream.answer("/500", UpstreamAnswer::fixed(500, &[], "oh"));
    scene.upstream.answer("/502", UpstreamAnswer::Hangup);
    scene.upstream.answer("/504", UpstreamAnswer::Hang);
    for (path, status) in
        [("/200", 200), ("/304", 304), ("/404", 404), ("/500", 500), ("/502", 502), ("/504", 504), ("/admin/", 403)]
    {
        let answer = scene.send(get(&format!("https://app.test{path}")).cookies(&scene.expired_session("alice"))).await;
        assert_renewed(answer.assert_status(status));
    }
    let upgrade = websocket(get("https://app.test/ws").cookies(&scene.expired_session("alice")));
    let mut connection: Connection = scene.client().connect("app.test").await;
    let response = connection.open(upgrade).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(crate::harness::cookies::set_cookies(response.headers()).len(), 2);
}

#[tokio::test]
async fn law_07_only_a_parsed_invalid_grant_ends_a_session() {
    let scene = Scene::with_session("refresh_wait: 300ms").await;
    for trouble in [
        TokenAnswer::Status(500, None),
        TokenAnswer::Status(429, Some("3")),
        TokenAnswer::Garbage,
        TokenAnswer::Html,
        TokenAnswer::Empty,
        TokenAnswer::InvalidClient,
        TokenAnswer::InvalidRequest,
        TokenAnswer::ServerErrorThatMentionsInvalidGrant,
        TokenAnswer::Hangup,
        TokenAnswer::Hang,
    ] {
        scene.issuer.behave(trouble);
        let answer = scene.send(get("https://app.test/").cookies(&scene.expired_session("alice"))).await;
        assert!(answer.assert_status(503).header("retry-after").is_some(), "{trouble:?}");
        assert_eq!(answer.set_cookies(), [], "{trouble:?}: the session is kept");
    }
    scene.issuer.behave(TokenAnswer::InvalidGrant);
    // After so much trouble the issuer is given a rest.
    scene.clock.advance(Duration::from_secs(60));
    let answer = scene.send(get("https://app.test/").cookies(&scene.expired_session("alice"))).await;
    let cleared: Vec<_> = answer.assert_status(401).set_cookies().into_iter().filter(SetCookie::clears).collect();
    assert_eq!(cleared.len(), 2, "both cookies are cleared");
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn law_08_nothing_secret_reaches_a_log_line() {
    logs::nothing_secret_is_said_at("trace").await;
}

#[tokio::test]
async fn law_09_the_application_neither_sees_nor_sets_the_cookies_of_usher() {
    let scene = Scene::usual().await;
    let session = scene.session("alice");
    let (access, refresh) = (session.value("at").unwrap(), session.value("rt").unwrap());
    let line = format!("a=1; at={access}; b=\"two\"; rt={refresh}; c=; __Host-usher-access=x; d=4=4");
    scene.upstream.answer(
        "/evil",
        UpstreamAnswer::fixed(
            200,
            &[
                ("set-cookie", "at=evil"),
                ("set-cookie", "mine=1; Path=/"),
                ("set-cookie", "rt=evil; Path=/"),
                ("set-cookie", "__Host-usher-refresh=evil; Path=/; Secure"),
                ("set-cookie", "AT=other"),
            ],
            "",
        ),
    );
    let answer = scene.send(get("https://app.test/evil").header("cookie", &line)).await;
    let names: Vec<_> = answer.assert_status(200).set_cookies().into_iter().map(|cookie| cookie.name).collect();
    assert!(names.contains(&"mine".to_owned()), "{names:?}");
    for own in ["at", "rt", "__Host-usher-refresh"] {
        assert!(!names.contains(&own.to_owned()), "the application cannot set {own}");
    }
    scene.send(get("https://app.test/echo").header("cookie", &line)).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("cookie"), ["a=1; b=\"two\"; c=; d=4=4"]);
    let wire = String::from_utf8_lossy(&scene.upstream.wire()).into_owned();
    assert!(!wire.contains(refresh) && !wire.contains(access), "no token reaches the application");
}

#[tokio::test]
async fn law_10_an_answer_with_a_new_cookie_can_never_be_stored_by_a_shared_cache() {
    let scene = Scene::usual().await;
    let public =
        [("cache-control", "public, max-age=3600, s-maxage=3600"), ("expires", "Thu, 31 Dec 2037 23:59:59 GMT")];
    scene.upstream.answer("/cached", UpstreamAnswer::fixed(200, &public, "x"));
    let answer = scene.send(get("https://app.test/cached").cookies(&scene.expired_session("alice"))).await;
    assert_renewed(answer.assert_status(200));
    let lines: Vec<_> = answer.headers.get_all("cache-control").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(lines, ["private, no-store"]);
}

/// A WebSocket handshake.
fn websocket(ask: Ask) -> Ask {
    ask.header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", "https://app.test")
}
