//! From host, path and method to a route.

use http::Method;

use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::{Ask, Gateway, Scene, get, post};

async fn scene(routes: &str) -> Scene {
    let site = "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    access: public
    routes:
";
    Scene::start(&format!("{ISSUERS}{SESSION}{site}{routes}")).await
}

#[tokio::test]
async fn a_prefix_covers_its_segment_and_everything_below_and_nothing_beside() {
    let scene = scene("      - { path: /admin/ }").await;
    for path in ["/admin", "/admin/", "/admin/x", "/admin/x/y", "/admin?x", "/admin/?x=/other"] {
        scene.send(get(&format!("https://app.test{path}"))).await.assert_status(200);
    }
    for path in ["/administrator", "/admin-x", "/admin.x", "/Admin/", "/ADMIN", "/xadmin/", "/", "/other?/admin/"] {
        scene.send(get(&format!("https://app.test{path}"))).await.assert_status(404);
    }
}

#[tokio::test]
async fn an_exact_path_covers_itself_only() {
    let scene = scene("      - { path: /feed }").await;
    scene.send(get("https://app.test/feed?page=2")).await.assert_status(200);
    for path in ["/feed/", "/feed/x", "/feeds", "/"] {
        scene.send(get(&format!("https://app.test{path}"))).await.assert_status(404);
    }
}

#[tokio::test]
async fn the_most_specific_route_wins_whatever_the_order() {
    let scene = scene(
        "      - { path: / }
      - { path: /a/, access: required }
      - { path: /a/b/c, access: required }
      - { path: /a/b/ }",
    )
    .await;
    for (path, status) in [("/x", 200), ("/a", 401), ("/a/x", 401), ("/a/b", 200), ("/a/b/x", 200), ("/a/b/c", 401)] {
        scene.send(get(&format!("https://app.test{path}"))).await.assert_status(status);
    }
}

#[tokio::test]
async fn a_path_without_a_route_for_the_method_is_405_and_never_falls_through() {
    let scene = scene(
        "      - { path: / }
      - { path: /reports/, methods: [GET, PUT], access: required }",
    )
    .await;
    let answer = scene.send(post("https://app.test/reports/x")).await;
    let allow = answer.assert_status(405).header("allow").unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("PUT") && !allow.contains("POST"), "{allow}");
    scene.send(get("https://app.test/reports/x")).await.assert_status(401);
    scene.send(post("https://app.test/other")).await.assert_status(200);
}

#[tokio::test]
async fn two_routes_may_share_a_path_with_different_methods() {
    let scene = scene(
        "      - { path: /api/, methods: [GET, HEAD] }
      - { path: /api/, methods: [POST], access: required }",
    )
    .await;
    scene.send(get("https://app.test/api/x")).await.assert_status(200);
    scene.send(post("https://app.test/api/x")).await.assert_status(401);
    scene.send(Ask::new(Method::DELETE, "https://app.test/api/x")).await.assert_status(405);
}

#[tokio::test]
async fn trace_and_connect_are_refused_and_a_method_in_small_letters_is_another_method() {
    let scene = scene("      - { path: / }").await;
    for method in ["TRACE", "CONNECT"] {
        let target = if method == "CONNECT" { "127.0.0.1:6379" } else { "/" };
        let answer = scene.raw(format!("{method} {target} HTTP/1.1\r\nHost: app.test\r\n\r\n")).await;
        assert!(answer.is_none_or(|answer| matches!(answer.status, 400 | 405 | 501)), "{method}");
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn every_valid_spelling_of_a_host_is_the_same_host() {
    let scene = Scene::usual().await;
    for host in ["app.test", "APP.test", "app.test:443", "app.test:8443", "app.test."] {
        let answer = scene.raw(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.unwrap();
        assert_eq!(answer.status, 401, "{host}: {}", answer.head);
    }
    for host in [
        "",
        "app.test, pub.test",
        "app.test@pub.test",
        "pub.test#app.test",
        "app.test/..",
        "[::1",
        "app.test:x",
        "app.test:99999",
        "app.test:-1",
        "pub.test\x00",
        "pub test",
        "pub.test\\x",
    ] {
        let answer = scene.raw(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.is_none_or(|answer| matches!(answer.status, 400 | 421)), "{host:?}");
    }
    let answer = scene.raw("GET /x HTTP/1.1\r\nHost: nowhere.test\r\n\r\n").await.unwrap();
    assert_eq!(answer.status, 421, "an unknown host never falls to another site");
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn no_host_two_hosts_and_a_target_that_contradicts_are_refused() {
    let scene = Scene::usual().await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: pub.test\r\nHost: pub.test\r\n",
        "GET / HTTP/1.1\r\nHost: pub.test\r\nhost: app.test\r\n",
        "GET ftp://pub.test/ HTTP/1.1\r\nHost: pub.test\r\n",
        "GET https://user@pub.test/ HTTP/1.1\r\nHost: pub.test\r\n",
    ] {
        let answer = scene.raw(format!("{head}\r\n")).await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{head}");
    }
    assert_eq!(scene.upstream.count(), 0);
    let answer = scene.raw("GET https://app.test/x HTTP/1.1\r\nHost: pub.test\r\n\r\n").await.unwrap();
    assert!(matches!(answer.status, 400 | 401), "the target decides, or nobody does: {}", answer.head);
}

#[tokio::test]
async fn http_2_with_a_host_that_differs_from_its_authority_is_refused() {
    let scene = Scene::usual().await;
    let mut connection = scene.http2().connect("app.test").await;
    let response = connection.open(get("https://app.test/public/x").header("host", "pub.test")).await;
    assert!(response.is_err() || response.is_ok_and(|response| response.status() == 400));
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_wildcard_host_is_for_exactly_one_label() {
    let yaml = format!(
        "{ISSUERS}{SESSION}sites:\n  - {{ host: '*.wild.test', issuer: main, upstream: $UPSTREAM, access: public, routes: [{{ path: / }}] }}\n"
    );
    let scene = Scene::start(&yaml).await;
    for (host, status) in
        [("a.wild.test", 200), ("A.WILD.test.", 200), ("wild.test", 421), ("a.b.wild.test", 421), (".wild.test", 400)]
    {
        let answer =
            Raw::exchange(scene.gateway.https(), "a.wild.test", format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                .await;
        let seen = answer.unwrap().status;
        assert!(seen == status || status == 400 && seen == 421, "{host}: {seen}");
    }
}

#[tokio::test]
async fn paths_match_whatever_the_case_only_where_the_operator_says_so() {
    let scene = scene("      - { path: /Admin/, ignore_case: true }").await;
    scene.send(get("https://app.test/aDMIN/X")).await.assert_status(200);
    assert_eq!(scene.upstream.only().target, "/aDMIN/X", "the bytes go on unchanged");
}

#[tokio::test]
async fn a_prefix_is_stripped_after_matching_and_what_results_is_canonical() {
    let scene = scene("      - { path: /pub/, strip_prefix: /pub }").await;
    for (asked, forwarded) in [("/pub/x?y", "/x?y"), ("/pub", "/"), ("/pub/", "/"), ("/pub?q", "/?q")] {
        scene.send(get(&format!("https://app.test{asked}"))).await.assert_status(200);
        assert_eq!(scene.upstream.last().target, forwarded);
    }
    for path in ["/pub//evil.test", "/pub/%2fevil.test"] {
        assert_eq!(scene.raw_get(path, "").await, 400, "{path}");
    }
}

#[tokio::test]
async fn the_host_of_the_request_goes_on_unless_it_is_rewritten() {
    let scene = scene("      - { path: /as-is/ }\n      - { path: /other/, rewrite_host: inside.test }").await;
    scene.send(get("https://app.test/as-is/")).await.assert_status(200);
    assert_eq!(scene.upstream.last().host, "app.test");
    scene.send(get("https://app.test/other/")).await.assert_status(200);
    assert_eq!(scene.upstream.last().host, "inside.test");
}

#[test]
fn two_routes_that_can_never_be_told_apart_are_refused() {
    let site = |routes: &str| {
        format!(
            "sites:\n  - {{ host: app.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{routes}] }}\n"
        )
    };
    assert_eq!(Gateway::refusal(&site("{ path: /a/ }, { path: /b/ }")), None);
    assert!(Gateway::refusal(&site("{ path: /a/ }, { path: /a/ }")).is_some());
    assert!(Gateway::refusal(&site("{ path: /a, methods: [GET, PUT] }, { path: /a, methods: [PUT] }")).is_some());
}
