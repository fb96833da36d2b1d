//! Attacks on the way in: spellings that an application reads differently, slowness, and configurations that would open
//! something by accident.

use crate::harness::client::tls;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Gateway, Scene, UpstreamAnswer, eventually, get};

/// One public site at `app.test` with these routes.
async fn open_site(routes: &str) -> Scene {
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
async fn a_method_in_small_letters_does_not_get_round_the_route_of_that_method() {
    let scene = open_site(
        "      - { path: /api/ }
      - { path: /api/, methods: [POST, DELETE], access: required }",
    )
    .await;
    for method in ["post", "Post", "pOST", "delete"] {
        let request = format!("{method} /api/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(scene.raw(request).await.unwrap().status, 405, "{method}");
    }
    assert_eq!(scene.upstream.count(), 0);
    assert_eq!(scene.raw_get("/api/x", "").await, 200);
}

/// What is wrong with a configuration that the scenes could start with; `None` when nothing is.
fn refusal(sites: &str) -> Option<String> {
    let yaml = format!("{ISSUERS}{SESSION}{sites}").replace("$CLIENT_SECRET", "a secret of the client");
    Gateway::refusal(&yaml.replace("$ISSUER", "http://id.test").replace("$UPSTREAM", "http://127.0.0.1:9"))
}

#[test]
fn conditions_that_the_access_of_their_own_site_switches_off_are_refused() {
    let site = |keys: &str| {
        format!("sites: [{{ host: app.test, issuer: main, upstream: $UPSTREAM, require: {{ roles: admin }}, {keys} }}]")
    };
    for access in ["public", "optional"] {
        let wrong = refusal(&site(&format!("access: {access}, routes: [{{ path: / }}, {{ path: /x/ }}]"))).unwrap();
        assert!(wrong.contains("sites[0].require") && wrong.contains("would not be looked at"), "{wrong}");
        let meant = site(&format!("routes: [{{ path: / }}, {{ path: /x/, access: {access} }}]"));
        assert_eq!(refusal(&meant), None, "a route may open what its site restricts");
    }
    assert_eq!(refusal(&site("access: public, routes: [{ path: /, access: required }]")), None);
}

#[test]
fn what_tells_another_site_from_our_own_cannot_be_stripped() {
    for name in ["Origin", "origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Purpose"] {
        let sites = SITES.replace("strip_headers: [X-Role]", &format!("strip_headers: [{name}]"));
        let wrong = refusal(&sites).unwrap_or_default();
        assert!(wrong.contains("is a header with another meaning"), "{name}: {wrong}");
    }
    assert_eq!(refusal(SITES), None);
}

#[test]
fn a_time_out_that_no_clock_can_add_is_refused() {
    let limits = |key: &str, value: &str| refusal(&format!("{SITES}\nlimits: {{ {key}: {value} }}"));
    for key in ["idle_timeout", "header_timeout", "body_timeout", "connection_age"] {
        let wrong = limits(key, "500000000000y").unwrap_or_default();
        assert!(wrong.contains(&format!("limits.{key}")) && wrong.contains("at most 36500d"), "{key}: {wrong}");
        assert_eq!(limits(key, "36500d"), None, "{key}");
    }
}

#[tokio::test]
async fn the_application_cannot_set_the_cookies_of_usher_without_naming_them() {
    let scene = Scene::usual().await;
    let lines =
        ["=at=evil; Path=/", " = at=evil", "==rt=evil", "=\t__Host-usher-access=evil; Path=/; Secure", "at", "=rt"];
    for line in lines {
        scene.upstream.answer("/public/c", UpstreamAnswer::fixed(200, &[("set-cookie", line)], ""));
        let answer = scene.send(get("https://app.test/public/c")).await;
        assert_eq!(answer.assert_status(200).header("set-cookie"), None, "{line:?}");
    }
    scene.upstream.answer("/public/c", UpstreamAnswer::fixed(200, &[("set-cookie", "=mine=at=1")], ""));
    let answer = scene.send(get("https://app.test/public/c")).await;
    assert_eq!(answer.header("set-cookie"), Some("=mine=at=1"), "what is the application's own stays");
}

#[tokio::test]
async fn the_host_that_was_matched_is_the_host_that_is_forwarded() {
    let scene = Scene::usual().await;
    for (said, forwarded) in [
        ("pub.test.", "pub.test"),
        ("PUB.test", "pub.test"),
        ("pub.test:", "pub.test"),
        ("pub.test.:08443", "pub.test:8443"),
        ("pub.test:8443", "pub.test:8443"),
    ] {
        let request = format!("GET /x HTTP/1.1\r\nHost: {said}\r\n\r\n");
        assert_eq!(scene.raw(request).await.unwrap().status, 200, "{said}");
        let seen = scene.upstream.last();
        assert_eq!((seen.host.as_str(), seen.header("x-forwarded-host")), (forwarded, Some(forwarded)), "{said}");
    }
}

/// The usual sites, on a plain listener too, behind a load balancer at 127.0.0.1.
async fn behind_a_load_balancer() -> Scene {
    let listen = "listen: { https: '127.0.0.1:0', plain: '127.0.0.1:0' }\ntrusted_proxies: [127.0.0.1/32]";
    Scene::start(&format!("{listen}\n{ISSUERS}{SESSION}{SITES}")).await
}

/// Sends these bytes to the plain listener, as a load balancer would; returns the status.
async fn plain(scene: &Scene, request: &str) -> u16 {
    let mut stream = TcpStream::connect(scene.gateway.plain()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap_or("0").parse().unwrap()
}

#[tokio::test]
async fn the_scheme_that_a_load_balancer_names_has_one_reading() {
    let scene = behind_a_load_balancer().await;
    let cookies = scene.session("alice").line().unwrap();
    for (lines, scheme) in [
        ("X-Forwarded-Proto: https\r\n", "https"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "http"),
        ("X-Forwarded-Proto: http, https\r\n", "https"),
        ("X-Forwarded-Proto: https,https\r\n", "https"),
        ("X-Forwarded-Proto: gopher\r\n", "http"),
    ] {
        for origin in ["https", "http"] {
            let request = format!(
                "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nCookie: {cookies}\r\n\
                 Origin: {origin}://app.test\r\n{lines}\r\n"
            );
            let expected = if origin == scheme { 200 } else { 403 };
            assert_eq!(plain(&scene, &request).await, expected, "{lines:?} with an origin of {origin}");
        }
        assert_eq!(scene.upstream.last().header("x-forwarded-proto"), Some(scheme), "{lines:?}");
    }
}

#[tokio::test]
async fn a_load_balancer_that_passes_everything_on_vouches_for_no_user_and_no_other_target() {
    let scene = behind_a_load_balancer().await;
    for name in [
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-access-token",
        "x-http-host-override",
        "x-host",
    ] {
        scene.send(get("https://pub.test/x").header(name, "root")).await.assert_status(200);
        assert_eq!(scene.upstream.last().folded(name), Vec::<&str>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_forwarded_host_does_not_lead_the_application_to_another_site_than_was_decided_about() {
    let scene = behind_a_load_balancer().await;
    for host in ["admin.test", "ADMIN.test.:443", "pub.test, admin.test", "a b", "x\"y"] {
        let answer = scene.send(get("https://pub.test/x").header("x-forwarded-host", host)).await;
        answer.assert_status(400);
    }
    assert_eq!(scene.upstream.count(), 0);
    for host in ["pub.test:8443", "www.elsewhere.test"] {
        scene.send(get("https://pub.test/x").header("x-forwarded-host", host)).await.assert_status(200);
        assert_eq!(scene.upstream.last().header("x-forwarded-host"), Some(host));
    }
    scene.send(get("https://pub.test/x").header("x-forwarded-host", "admin.test, pub.test")).await.assert_status(200);
    assert_eq!(scene.upstream.last().header("x-forwarded-host"), Some("pub.test"));
}

#[tokio::test]
async fn a_slash_at_the_end_does_not_lead_past_the_route_of_exactly_that_page() {
    let scene = open_site(
        "      - { path: / }
      - { path: /admin/users, access: required }
      - { path: /ADMIN/groups, access: required, ignore_case: true }
      - { path: /docs, access: required }
      - { path: /docs/ }",
    )
    .await;
    for target in
        ["/admin/users/", "/admin/users/?x", "/admin/%75sers/", "/admin/users;x/", "/admin/users./", "/admin/Groups/"]
    {
        assert_eq!(scene.raw_get(target, "").await, 400, "{target}");
    }
    assert_eq!(scene.upstream.count(), 0);
    for (target, status) in
        [("/admin/users", 401), ("/admin/users/x", 200), ("/docs", 401), ("/docs/", 200), ("/", 200)]
    {
        assert_eq!(scene.raw_get(target, "").await, status, "{target}");
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_does_not_keep_a_connection_of_the_application() {
    let scene = Scene::start(&format!("limits: {{ body_timeout: 1s }}\n{ISSUERS}{SESSION}{SITES}")).await;
    for head in ["Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{head}")).await;
        let byte = if head.starts_with('C') { "x" } else { "1\r\nx\r\n" };
        let started = Instant::now();
        let answer = loop {
            raw.write(byte).await;
            tokio::select! {
                answer = raw.read() => break answer,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        };
        assert_eq!(answer.unwrap().status, 408, "{head:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    assert!(scene.upstream.seen().iter().all(|seen| !seen.complete));
    scene.assert_well().await;
}

#[tokio::test]
async fn a_body_that_comes_steadily_may_take_its_time() {
    let scene = Scene::start(&format!("limits: {{ body_timeout: 1s }}\n{ISSUERS}{SESSION}{SITES}")).await;
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write("POST /public/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4000\r\n\r\n").await;
    for _ in 0..20 {
        raw.write([b'x'; 200]).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(raw.read().await.unwrap().status, 200);
    assert_eq!(scene.upstream.only().body.len(), 4000);
}

#[tokio::test]
async fn a_client_that_resets_its_streams_as_fast_as_it_opens_them_is_sent_away() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let stream = tls(scene.gateway.https(), "app.test", &[b"h2"]).await;
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..1000 {
        let Ok(mut sender) = sender.clone().ready().await else { break };
        let before = scene.upstream.count();
        let request = http::Request::get("https://app.test/public/hang").body(()).unwrap();
        let Ok((response, mut stream)) = sender.send_request(request, true) else { break };
        // Each is with the application before it is reset, so that no queue of the gateway counts it.
        let arrived = eventually("the request arrives", || scene.upstream.count() > before || connection.is_finished());
        tokio::select! {
            () = arrived => {}
            outcome = response => drop(outcome),
        }
        stream.send_reset(h2::Reason::CANCEL);
    }
    assert!(scene.upstream.count() < 200, "{} requests for one handshake", scene.upstream.count());
    drop(sender);
    connection.await.unwrap().ok();
    scene.assert_well().await;
}

#[tokio::test]
async fn an_answer_that_is_read_byte_by_byte_over_http_2_is_given_up() {
    let scene = Scene::start(&format!("limits: {{ body_timeout: 1s }}\n{ISSUERS}{SESSION}{SITES}")).await;
    scene.upstream.answer("/public/large", UpstreamAnswer::fixed(200, &[], vec![b'x'; 4 << 20]));
    let stream = tls(scene.gateway.https(), "app.test", &[b"h2"]).await;
    let (sender, connection) =
        h2::client::Builder::new().initial_window_size(1).handshake::<_, Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://app.test/public/large").body(()).unwrap();
    let (response, _) = sender.ready().await.unwrap().send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let started = Instant::now();
    while let Some(Ok(chunk)) = body.data().await {
        assert!(started.elapsed() < Duration::from_secs(8), "the stream is still being served");
        // One byte more, well before any single byte is late.
        tokio::time::sleep(Duration::from_millis(100)).await;
        body.flow_control().release_capacity(chunk.len()).unwrap();
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn an_answer_that_comes_slowly_is_no_fault_of_its_reader() {
    let scene = Scene::start(&format!("limits: {{ body_timeout: 1s }}\n{ISSUERS}{SESSION}{SITES}")).await;
    let feed = scene.upstream.stream("/public/events", &[("content-type", "text/event-stream")]);
    let mut connection = scene.http2().connect("app.test").await;
    let mut body = connection.open(get("https://app.test/public/events")).await.unwrap().into_body();
    for _ in 0..8 {
        feed.chunk("data: x\n\n");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: x\n\n");
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_are_never_the_answer_to_the_next_request() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const POISON: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for (late, status) in [(false, "200 OK"), (true, "200 OK"), (false, "204 No Content"), (true, "304 Not Modified")] {
        let scene = Scene::start(&format!("{ISSUERS}{SESSION}{}", SITES.replace("$UPSTREAM", &url))).await;
        let mut connection = scene.client().connect("app.test").await;
        for _ in 0..4 {
            let asking = tokio::spawn(async move {
                let answer = connection.send(get("https://app.test/public/x")).await;
                (connection, answer)
            });
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let answer = String::from_utf8_lossy(ANSWER).replace("200 OK", status).into_bytes();
            stream.write_all(&if late { answer } else { [&answer, POISON].concat() }).await.unwrap();
            let answer;
            (connection, answer) = asking.await.unwrap();
            assert!(!String::from_utf8_lossy(&answer.body).contains("poison"), "{late} {status}: {answer:?}");
            if late {
                stream.write_all(POISON).await.ok();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // Kept open: it is the gateway that must not use it again.
            tokio::spawn(async move { drop(stream.read(&mut [0; 1]).await) });
        }
    }
}
