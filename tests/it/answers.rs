//! The form of a refusal: by the situation and by the kind of request.

use std::time::Duration;

use http::Method;

use crate::harness::client::tls;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Answer, Ask, Scene, TokenAnswer, UpstreamAnswer, get, post};

/// A refusal for a program: problem+json (RFC 9457) with a request id, never stored.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16) {
    answer.assert_status(status);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert!(answer.header("cache-control").unwrap_or_default().contains("no-store"), "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], status, "{body}");
    assert!(body["title"].is_string() && body["request_id"].is_string(), "{body}");
}

/// A refusal for a person: a small page with the request id, never stored.
#[track_caller]
fn assert_page(answer: &Answer, status: u16) {
    answer.assert_status(status);
    assert!(answer.header("content-type").unwrap_or_default().starts_with("text/html"), "{answer:?}");
    assert!(answer.header("cache-control").unwrap_or_default().contains("no-store"), "{answer:?}");
    assert!(!answer.text().contains("<script"), "readable without JavaScript");
}

#[tokio::test]
async fn a_program_without_credentials_gets_401_with_a_bare_challenge() {
    let scene = Scene::usual().await;
    let asks = [
        get("https://app.test/x"),
        get("https://app.test/x").header("accept", "application/json"),
        get("https://app.test/x").header("sec-fetch-mode", "cors").header("accept", "text/html"),
        get("https://app.test/x").header("sec-fetch-dest", "image").header("sec-fetch-mode", "no-cors"),
        get("https://app.test/x").navigation().header("sec-purpose", "prefetch;prerender"),
        get("https://app.test/x").header("accept", "text/html").header("purpose", "prefetch"),
        post("https://app.test/x").header("accept", "application/json"),
    ];
    for ask in asks {
        let answer = scene.send(ask).await;
        assert_problem(&answer, 401);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer") && !challenge.contains("error"),
            "no error without credentials: {challenge}"
        );
        assert_eq!(answer.set_cookies(), [], "and no sign-in state is minted");
    }
}

#[tokio::test]
async fn a_navigation_without_a_session_is_sent_to_sign_in_or_gets_a_page() {
    let login = "    login: { path: /auth/login, page: /public/login, access_token: /a, refresh_token: /r }\n";
    let scene = Scene::start(&format!("{}{login}{SESSION}{SITES}", ISSUERS.trim_end().to_owned() + "\n")).await;
    for ask in
        [get("https://app.test/x").navigation(), get("https://app.test/x").header("accept", "text/html,*/*;q=0.8")]
    {
        let answer = scene.send(ask).await;
        assert!(answer.assert_status(302).header("location").unwrap().contains("/public/login"));
        assert!(answer.header("cache-control").unwrap().contains("no-store"));
    }
    let answer = scene.send(post("https://app.test/x").navigation().header("origin", "https://app.test")).await;
    assert_page(&answer, 401);
    let answer = scene.send(get("https://app.test/x")).await;
    assert!(answer.json()["login_url"].as_str().unwrap().contains("/public/login"));
}

#[tokio::test]
async fn the_form_can_be_fixed_per_route() {
    let login = "    login: { path: /auth/login, page: /public/login, access_token: /a, refresh_token: /r }\n";
    let sites = SITES.replace(
        "      - path: /\n",
        "      - path: /\n      - { path: /status/, unauthenticated: status }\n      - { path: /redirect/, unauthenticated: redirect }\n",
    );
    let scene = Scene::start(&format!("{}{login}{SESSION}{sites}", ISSUERS.trim_end().to_owned() + "\n")).await;
    scene.send(get("https://app.test/status/x").navigation()).await.assert_status(401);
    scene.send(get("https://app.test/redirect/x")).await.assert_status(302);
}

#[tokio::test]
async fn a_person_who_may_not_gets_a_page_that_names_nothing_unless_told_to() {
    let sites = SITES.replace("path: /admin/,", "path: /admin/, explain_refusals: false,");
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let answer = scene.send(get("https://app.test/admin/x").navigation().cookies(&scene.session("alice"))).await;
    assert_page(&answer, 403);
    assert!(!answer.text().contains("realm_access"), "{}", answer.text());
    assert!(answer.text().contains(r#"<a href="&#x2f;">front page</a>"#), "{}", answer.text());
    let answer = scene.send(get("https://app.test/admin/x").cookies(&scene.session("alice"))).await;
    assert_problem(&answer, 403);

    let sites = SITES.replace("path: /admin/,", "path: /admin/, explain_refusals: true,");
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let answer = scene.send(get("https://app.test/admin/x").navigation().cookies(&scene.session("alice"))).await;
    assert!(answer.assert_status(403).text().contains("realm_access"), "{}", answer.text());
}

#[tokio::test]
async fn every_other_refusal_is_a_page_for_people_and_a_problem_for_programs() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/502", UpstreamAnswer::Hangup);
    scene.upstream.answer("/public/504", UpstreamAnswer::Hang);
    for (url, status) in [
        ("https://unknown.test/", 421),
        ("https://app.test/.usher/nothing", 404),
        ("https://app.test/public/502", 502),
        ("https://app.test/public/504", 504),
    ] {
        assert_page(&scene.send(get(url).navigation()).await, status);
        assert_problem(&scene.send(get(url)).await, status);
    }
    let answer = scene.send(post("https://app.test/reports/x")).await;
    assert_problem(&answer, 405);
}

#[tokio::test]
async fn no_refusal_says_what_it_is_made_of_or_where_the_application_is() {
    let login = "    login: { path: /auth/login, page: /public/login, access_token: /a, refresh_token: /r }\n";
    let scene = Scene::start(&format!("{}\n{login}{SESSION}{SITES}", ISSUERS.trim_end())).await;
    scene.upstream.answer("/public/502", UpstreamAnswer::Hangup);
    scene.upstream.answer("/public/504", UpstreamAnswer::Hang);
    let token = scene.issuer.access_token("alice");
    let long = "x".repeat(9_000);
    let asks = || -> Vec<(Ask, u16)> {
        vec![
            (get("https://app.test/public/%2f"), 400),
            (get("https://app.test/x").header("authorization", &format!("Bearer {token},{token}")), 400),
            (get("https://app.test/x"), 401),
            (get("https://app.test/x").bearer("a.b.c"), 401),
            (get("https://app.test/admin/x").bearer(&token), 403),
            (get("https://app.test/.usher/nothing").bearer(&token), 404),
            (post("https://app.test/reports/x").bearer(&token), 405),
            (post("https://app.test/public/x").body(vec![b'x'; 1024 * 1024 + 1]), 413),
            (get(&format!("https://app.test/public/{long}")), 414),
            (get("https://unknown.test/x").bearer(&token), 421),
            (get("https://app.test/public/502"), 502),
            (get("https://app.test/public/504"), 504),
        ]
    };
    let application = scene.upstream.url().trim_start_matches("http://").to_owned();
    let version = format!("/{}", env!("CARGO_PKG_VERSION"));
    let never = [&*application, &version, "127.0.0.1", "hyper", ".rs", "panic", "/src/", &token, "backtrace"];
    for as_navigation in [false, true] {
        for (ask, status) in asks() {
            let ask = if as_navigation { ask.navigation() } else { ask };
            let answer = scene.send(ask).await;
            assert!(answer.status == status || status == 401 && answer.status == 302, "{status}: {answer:?}");
            let head: Vec<String> =
                answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            let said = format!("{}\n\n{}", head.join("\n"), answer.text());
            for secret in never {
                assert!(!said.contains(secret), "{status} says {secret}: {said}");
            }
            assert!(answer.header("server").is_none() && answer.header("x-powered-by").is_none(), "{said}");
            // Where the browser goes from here, the address of this page is not told.
            let page = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
            assert!(!page || answer.header("referrer-policy") == Some("no-referrer"), "{status}: {said}");
            assert!(answer.status != 302 || answer.header("referrer-policy") == Some("no-referrer"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_person_meets_a_page_with_retry_after_when_the_issuer_is_down() {
    let scene = Scene::usual().await;
    scene.issuer.behave(TokenAnswer::Status(500, None));
    let answer = scene.send(get("https://app.test/x").navigation().cookies(&scene.expired_session("alice"))).await;
    assert_page(&answer, 503);
    assert!(answer.header("retry-after").is_some() && answer.set_cookies().is_empty());
    let answer = scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await;
    assert_problem(&answer, 503);
}

#[tokio::test]
async fn two_credentials_are_an_invalid_request_for_everybody() {
    let scene = Scene::usual().await;
    for ask in [get("https://app.test/x"), get("https://app.test/x").navigation()] {
        let answer = scene.send(ask.bearer("a.b.c").header("authorization", "Basic YTpi")).await;
        answer.assert_status(400);
    }
}

#[tokio::test]
async fn refusals_carry_cors_only_for_origins_that_are_allowed() {
    let sites = SITES.replace(
        "    body_limit: 1MiB\n",
        "    body_limit: 1MiB\n    cors: true\n    allowed_origins: ['https://spa.test']\n",
    );
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let answer = scene.send(get("https://app.test/x").header("origin", "https://spa.test")).await;
    assert_eq!(answer.assert_status(401).header("access-control-allow-origin"), Some("https://spa.test"));
    assert!(
        answer.headers.get_all("vary").iter().any(|vary| vary
            .to_str()
            .unwrap()
            .to_ascii_lowercase()
            .contains("origin"))
    );
    for origin in ["https://evil.test", "null"] {
        let answer = scene.send(get("https://app.test/x").header("origin", origin)).await;
        assert_eq!(answer.assert_status(401).header("access-control-allow-origin"), None, "{origin}");
    }
}

#[tokio::test]
async fn a_preflight_passes_without_an_identity_only_where_the_route_says_so() {
    let preflight = |origin: &str| {
        Ask::new(Method::OPTIONS, "https://app.test/x")
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("x-user-id", "root")
    };
    let scene = Scene::usual().await;
    scene.send(preflight("https://spa.test")).await.assert_status(401);
    assert_eq!(scene.upstream.count(), 0);

    let sites = SITES.replace(
        "    body_limit: 1MiB\n",
        "    body_limit: 1MiB\n    cors: true\n    allowed_origins: ['https://spa.test']\n",
    );
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    scene.send(preflight("https://spa.test").cookies(&scene.session("alice"))).await.assert_status(200);
    let seen = scene.upstream.only();
    assert!(seen.folded("x-user-id").is_empty() && seen.all("cookie").is_empty(), "{seen:?}");
    scene.send(preflight("https://evil.test")).await.assert_status(401);
}

#[tokio::test]
async fn an_answer_to_a_signed_in_person_is_at_least_private() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/page", UpstreamAnswer::fixed(200, &[("content-type", "text/html")], "<p>hello"));
    let answer = scene.send(get("https://app.test/page").cookies(&scene.session("alice"))).await;
    let control = answer.assert_status(200).header("cache-control").unwrap_or_default();
    assert!(control.contains("private") || control.contains("no-store"), "{control:?}");
}

#[tokio::test]
async fn what_a_client_sends_is_never_said_back_in_a_page() {
    let scene = Scene::usual().await;
    let ask =
        get("https://unknown.test/x?q=%3Cscript%3E").navigation().header("x-request-id", "<script>alert(1)</script>");
    let answer = scene.send(ask).await;
    assert!(!answer.text().contains("alert(1)") && !answer.text().contains("%3Cscript"), "{}", answer.text());
}

/// Some clients lose an answer when the stream is reset behind it while they are still sending: curl 7.88 says "stream
/// error" in place of 401.
#[tokio::test]
async fn an_upload_that_is_refused_over_http_2_is_not_reset_behind_the_answer() {
    let scene = Scene::usual().await;
    let stream = tls(scene.gateway.https(), "app.test", &[b"h2"]).await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    for (path, bytes, status) in [("/x", 3, 401), ("/x", 48 * 1024, 401), ("/reports/", 3, 405)] {
        let request = http::Request::post(format!("https://app.test{path}")).body(()).unwrap();
        let (answer, mut upload) = client.send_request(request, false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let mut body = answer.into_body();
        while body.data().await.transpose().unwrap().is_some() {}
        // The answer is here whole, and only now does the client send.
        upload.reserve_capacity(bytes);
        while upload.capacity() < bytes {
            let capacity = std::future::poll_fn(|context| upload.poll_capacity(context)).await;
            capacity.expect("the stream is open").expect("the stream was not reset");
        }
        upload.send_data(vec![b'x'; bytes].into(), true).unwrap();
        let reset =
            tokio::time::timeout(Duration::from_millis(50), std::future::poll_fn(|context| upload.poll_reset(context)));
        assert!(!matches!(reset.await, Ok(Ok(_))), "{path}: the stream was reset");
    }
}

/// RFC 9110 §9.3.2. Over HTTP/2, one byte of a body would be a stream error.
#[tokio::test]
async fn an_answer_to_head_is_that_to_get_without_the_body() {
    let scene = Scene::usual().await;
    for client in [scene.client(), scene.http2()] {
        let answer = client.send(Ask::new(Method::HEAD, "https://app.test/x")).await;
        assert!(answer.assert_status(401).complete && answer.body.is_empty(), "{answer:?}");
        for (url, status) in [
            ("https://app.test/.usher/jwks.json", 200),
            ("https://app.test/.usher/sign-out", 200),
            ("https://app.test/.usher/session", 200),
            ("https://app.test/.usher/nothing", 404),
            ("https://app.test/public/%2f", 400),
            ("https://unknown.test/", 421),
        ] {
            let head = || Ask::new(Method::HEAD, url);
            for (whole, head) in [(get(url), head()), (get(url).navigation(), head().navigation())] {
                let (whole, head) = (client.send(whole).await, client.send(head).await);
                let case = format!("{url} over {:?}", client.protocol);
                assert_eq!((whole.status.as_u16(), head.status.as_u16()), (status, status), "{case}");
                assert!(head.complete && head.body.is_empty(), "{case}: {head:?}");
                assert_eq!(head.header("content-length"), Some(&*whole.body.len().to_string()), "{case}");
                assert_eq!(head.header("content-type"), whole.header("content-type"), "{case}");
            }
        }
    }
}
