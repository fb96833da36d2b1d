//! Forward authentication, asked by hand: another proxy describes a request and is told whether it may pass, and as whom.

use http::Method;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use usher::clock::Clock;

use crate::harness::application_server::Address;
use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::verbatim::{Peer, Verbatim, VerbatimAnswer, VerbatimClient};
use crate::harness::{Gateway, Issuer, Jar, Scene, Upstream};

/// Where a proxy like nginx asks.
const AUTH_REQUEST: &str = "/.usher/auth-request";
/// Where it gets what it shows to whoever is refused.
const REFUSAL: &str = "/.usher/auth-request/refusal";

const LISTEN: &str = "
listen: { https: '127.0.0.1:0', plain: '127.0.0.1:0', verify: '127.0.0.1:0', admin: '127.0.0.1:0' }
trusted_proxies: [127.0.0.0/8]
";

const SITES: &str = "
sites:
  - host: app.test
    issuer: main
    identity_headers: { X-User-Id: sub, X-User-Team: team }
    strip_headers: [X-Role]
    allowed_origins: ['https://spa.test']
    routes:
      - path: /
      - { path: /public/, access: public }
      - { path: /optional/, access: optional }
      - { path: /admin/, require: { realm_access.roles: admin } }
      - { path: /gold/, require: { acr: gold } }
      - { path: /reports/, methods: [GET] }
      - { path: /forms/, resend_forms: 64KiB }
      - { path: /told/, assertion: true, forward_access_token: true }
      - { path: /key/, access: public, upstream_authorization: { header: X-Api-Key, value: the key } }
  - host: pub.test
    access: public
    routes: [{ path: / }]
";

async fn scene() -> Scene {
    Scene::start(&format!("{LISTEN}{ISSUERS}{SESSION}{SITES}")).await
}

/// A question at this path of Usher's, without any description.
fn question(scene: &Scene, path: &str) -> RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.build().unwrap().get(format!("http://{}{path}", scene.gateway.verify()))
}

/// The same about a request, as Caddy and Traefik describe it.
fn asks(scene: &Scene, path: &str, method: &Method, uri: &str) -> RequestBuilder {
    question(scene, path)
        .header("x-forwarded-method", method.as_str())
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "app.test")
        .header("x-forwarded-uri", uri)
        .header("x-forwarded-for", "192.0.2.7")
}

fn get(scene: &Scene, uri: &str) -> RequestBuilder {
    asks(scene, "/.usher/verify", &Method::GET, uri)
}

fn cookies(asks: RequestBuilder, jar: &Jar) -> RequestBuilder {
    asks.header("cookie", jar.line().unwrap())
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn send(asks: RequestBuilder) -> Response {
    asks.send().await.unwrap()
}

#[tokio::test]
async fn whoever_may_pass_is_told_of_with_every_header_that_only_usher_may_say() {
    let scene = scene().await;
    let session = scene.session("alice").line().unwrap();
    let answer = send(get(&scene, "/x?q=1").header("cookie", format!("a=1; {session}; b=2"))).await;
    assert_eq!(answer.status(), 200);
    for (name, value) in [
        ("x-user-id", "alice"),
        // The claim is absent, and X-Role is nobody's: a header that a client has sent is overwritten all the same.
        ("x-user-team", ""),
        ("x-role", ""),
        // The session stays here.
        ("cookie", "a=1; b=2"),
        ("authorization", ""),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(header(&answer, name), Some(value), "{name} of {answer:?}");
    }
    assert_eq!(answer.text().await.unwrap(), "");

    let answer = send(get(&scene, "/x").bearer_auth(scene.issuer.access_token("bob"))).await;
    assert_eq!((header(&answer, "x-user-id"), header(&answer, "authorization")), (Some("bob"), Some("")));
    // Where nobody is asked who they are, nobody is.
    let answer = send(get(&scene, "/public/x").header("cookie", session).basic_auth("a", Some("b"))).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "x-user-id")), (200, Some("")));
    assert_eq!((header(&answer, "authorization"), header(&answer, "cookie")), (Some("Basic YTpi"), Some("")));
    assert_eq!(scene.upstream.count(), 0, "nothing is forwarded");
}

#[tokio::test]
async fn the_assertion_the_token_and_the_applications_own_credentials_are_told_as_well() {
    let scene = scene().await;
    let token = scene.issuer.access_token("alice");
    let answer = send(get(&scene, "/told/x").bearer_auth(&token)).await;
    assert_eq!(header(&answer, "authorization"), Some(format!("Bearer {token}").as_str()));
    assert_eq!(header(&answer, "x-usher-assertion").unwrap().split('.').count(), 3);
    assert_eq!(header(&send(get(&scene, "/key/x")).await, "x-api-key"), Some("the key"));
}

#[tokio::test]
async fn a_refusal_has_the_form_that_the_client_would_get() {
    let scene = scene().await;
    let alice = scene.session("alice");
    let answer = send(get(&scene, "/x")).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "www-authenticate")), (401, Some("Bearer")));
    assert_eq!(header(&answer, "x-user-id"), None, "a refusal tells nothing");
    assert_eq!(answer.json::<Value>().await.unwrap()["login_url"], "/.usher/sign-in?rd=%2Fx");

    let navigates =
        |asks: RequestBuilder| asks.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    let answer = send(navigates(get(&scene, "/x?q=1"))).await;
    assert_eq!(answer.status(), 302);
    // With the site's name: some proxies take a path for one on the host that they have asked.
    assert_eq!(header(&answer, "location"), Some("https://app.test/.usher/sign-in?rd=%2Fx%3Fq%3D1"));
    let answer = send(navigates(cookies(get(&scene, "/gold/x"), &alice))).await;
    assert_eq!(answer.status(), 302, "step-up");
    assert!(header(&answer, "location").unwrap().contains("acr_values=gold"), "{answer:?}");

    assert_eq!(send(cookies(get(&scene, "/admin/x"), &alice)).await.status(), 403);
    let post = |uri: &str| cookies(asks(&scene, "/.usher/verify", &Method::POST, uri), &alice);
    assert_eq!(send(post("/x").header("origin", "https://evil.test")).await.status(), 403);
    assert_eq!(send(post("/x").header("origin", "https://app.test")).await.status(), 200);
    let answer = send(post("/reports/x")).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (405, Some("GET, HEAD")));
    assert_eq!(send(post("/.usher/sign-out")).await.status(), 404, "the proxy has to pass on Usher's own paths");
}

/// A proxy that says where its client is in one field passes on what the client has written in the other.
#[tokio::test]
async fn where_the_client_is_says_the_description_alone() {
    let scene = scene().await;
    for own in ["for=203.0.113.9", "for=unknown", "for=192.0.2.7;host=pub.test, for=203.0.113.9"] {
        send(get(&scene, "/x").header("forwarded", own)).await;
        assert_eq!(scene.gateway.status("/").await["refusals"][0]["client"], "192.0.2.7", "{own}");
    }
}

#[tokio::test]
async fn a_head_is_answered_with_a_body_when_the_question_is_a_get() {
    let scene = scene().await;
    let answer = send(asks(&scene, "/.usher/verify", &Method::HEAD, "/x")).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], 401);
}

#[tokio::test]
async fn where_a_web_socket_comes_from_is_looked_at_although_upgrade_is_not_passed_on() {
    let scene = scene().await;
    let alice = scene.session("alice");
    for (origin, status) in [("https://evil.test", 403), ("https://app.test", 200), ("https://spa.test", 200)] {
        let asks = cookies(get(&scene, "/socket"), &alice).header("origin", origin);
        assert_eq!(send(asks.header("sec-websocket-key", "x")).await.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn a_renewal_is_handed_back_and_is_one_however_many_ask() {
    let scene = scene().await;
    let jar = scene.expired_session("alice");
    let asked = (0..50).map(|_| send(cookies(get(&scene, "/x"), &jar)));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!((answer.status().as_u16(), header(&answer, "x-user-id")), (200, Some("alice")));
        let set: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert!(set.len() >= 2, "{set:?}");
        assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
    }
    assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (1, 0));
    // A refusal carries them too (law 6).
    let jar = scene.expired_session("bob");
    let answer = send(cookies(get(&scene, "/admin/x"), &jar)).await;
    assert_eq!(answer.status(), 403);
    assert!(answer.headers().get_all("set-cookie").iter().count() >= 2, "{answer:?}");
}

#[tokio::test]
async fn a_proxy_that_knows_statuses_only_gets_these_and_each_cookie_under_a_name_of_its_own() {
    let scene = scene().await;
    let (alice, expired) = (scene.session("alice"), scene.expired_session("alice"));
    let get = |path: &str, uri: &str| asks(&scene, path, &Method::GET, uri);
    let answer = send(cookies(get(AUTH_REQUEST, "/x"), &expired)).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "x-user-id")), (200, Some("alice")));
    assert_eq!(header(&answer, "set-cookie"), None);
    for number in [1, 2] {
        let line = header(&answer, &format!("x-usher-set-cookie-{number}")).unwrap();
        assert!(line.starts_with("at=") || line.starts_with("rt="), "{line}");
    }

    for (uri, navigates, status, whole) in
        [("/x", true, 401, 302), ("/x", false, 401, 401), ("//x", false, 403, 400), ("/.usher/x", false, 403, 404)]
    {
        let mode = if navigates { "navigate" } else { "cors" };
        let answer = send(get(AUTH_REQUEST, uri).header("sec-fetch-mode", mode)).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (status, None), "{uri}");
        assert_eq!(header(&answer, "www-authenticate"), None, "nginx would send it beside that of the refusal");
        assert_eq!(answer.text().await.unwrap(), "");
        let answer = send(get(REFUSAL, uri).header("sec-fetch-mode", mode)).await;
        assert_eq!(answer.status().as_u16(), whole, "{uri}");
    }
    scene.issuer.set_down(true);
    let answer = send(cookies(get(AUTH_REQUEST, "/x"), &scene.expired_session("bob"))).await;
    assert_eq!(answer.status(), 403);
    let answer = send(cookies(get(REFUSAL, "/x"), &scene.expired_session("bob"))).await;
    assert_eq!(answer.status(), 503);
    assert!(header(&answer, "retry-after").is_some());

    // Refused a moment ago, and good by now: nobody gets an empty page for that.
    let answer = send(cookies(get(REFUSAL, "/x?q=1"), &alice)).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (307, Some("https://app.test/x?q=1")));
    assert_eq!((header(&answer, "x-user-id"), header(&answer, "cache-control")), (None, Some("no-store")));
    let answer = send(cookies(asks(&scene, REFUSAL, &Method::POST, "/x"), &alice)).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn the_rest_of_the_path_may_describe_the_request() {
    let scene = scene().await;
    let alice = scene.session("alice");
    let ask = |rest: &str| {
        let ask = question(&scene, &format!("/.usher/verify{rest}"));
        cookies(ask.header("host", "app.test").header("x-forwarded-proto", "https"), &alice)
    };
    let answer = send(ask("/x?q=1")).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "x-user-id")), (200, Some("alice")));
    assert_eq!(send(ask("/admin/x")).await.status(), 403);
    assert_eq!(send(ask("/admin/x?/public/")).await.status(), 403);
    // What a client has written there, where the proxy writes nothing.
    assert_eq!(send(ask("/admin/x").header("x-forwarded-uri", "/public/x")).await.status(), 400);
    assert_eq!(send(ask("/x").header("x-forwarded-method", "HEAD")).await.status(), 400);
    assert_eq!(send(ask("/x").header("x-forwarded-host", "pub.test")).await.status(), 400);
    assert_eq!(send(ask("x")).await.status(), 404);
}

/// One question, byte by byte.
async fn raw(scene: &Scene, target: &str, fields: &[(&str, &str)]) -> VerbatimAnswer {
    let mut client = VerbatimClient::new(Peer::Server(Address::Tcp(scene.gateway.verify())));
    let mut request = Verbatim::get("usher", target);
    for (name, value) in fields {
        request = request.field(*name, *value);
    }
    client.send(&request).await.unwrap()
}

#[tokio::test]
async fn what_is_described_twice_or_not_wholly_is_refused() {
    let scene = scene().await;
    let token = format!("Bearer {}", scene.issuer.access_token("alice"));
    let whole = [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.test"),
        ("X-Forwarded-Uri", "/x"),
        ("Authorization", token.as_str()),
    ];
    assert_eq!(raw(&scene, "/.usher/verify", &whole).await.status, 200);
    for (name, value) in &whole[..4] {
        for other in [*value, "", "/public/x"] {
            let mut fields = whole.to_vec();
            fields.push((name, other));
            assert_eq!(raw(&scene, "/.usher/verify", &fields).await.status, 400, "{name} twice: {other}");
        }
        let without: Vec<_> = whole.iter().copied().filter(|(other, _)| other != name).collect();
        // Without the field, `Host` says it, which is none of a site here.
        let status = if *name == "X-Forwarded-Host" { 421 } else { 400 };
        assert_eq!(raw(&scene, "/.usher/verify", &without).await.status, status, "without {name}");
    }
    for (name, values) in [
        ("X-Forwarded-Method", &["", "GET, GET", "G T", "get", "TRACE", "CONNECT"][..]),
        ("X-Forwarded-Proto", &["", "https, http", "ftp"]),
        ("X-Forwarded-Host", &["", "app.test, app.test", "app.test/", "a@app.test"]),
        ("X-Forwarded-Uri", &["", "x", "*", "https://app.test/x", "?q", "/x#y", "/x#/public/", "/x y", "/x\u{e9}"]),
    ] {
        for value in values {
            let fields = whole.map(|(other, said)| (other, if other == name { value } else { said }));
            let status = raw(&scene, "/.usher/verify", &fields).await.status;
            assert!(matches!(status, 400 | 405), "{name}: {value:?} is {status}");
        }
    }
}

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_refused() {
    let scene = scene().await;
    for path in [
        "/public/..%2fadmin/x",
        "/public/../admin/x",
        "/public/%2e%2e/admin/x",
        "//admin/x",
        "/public//x",
        "/public/..;/admin/x",
        "/admin;x/y",
        "/public%5c..%5cadmin",
        "/public/..\\admin",
        "/public%252f..%252fadmin",
    ] {
        for (at, uri) in [("/.usher/verify".to_owned(), Some(path)), (format!("/.usher/verify{path}"), None)] {
            let mut fields = vec![("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "app.test")];
            if let Some(uri) = uri {
                fields.extend([("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", uri)]);
            }
            let answer = raw(&scene, &at, &fields).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.head.escape_ascii());
        }
    }
}

#[tokio::test]
async fn a_field_that_could_be_taken_for_ushers_is_refused_because_it_cannot_be_taken_off() {
    let scene = scene().await;
    for uri in ["/x", "/public/x"] {
        for name in [
            "X_User_Id",
            "X_User-Id",
            "X.User.Id",
            "X_Role",
            "X-HTTP-Method-Override",
            "X-Original-URL",
            "X_Original_URL",
            "X-Rewrite-URL",
            "X-Usher-Assertion",
            "Proxy",
            // An application that folds names together would take them for the proxy's own.
            "X_Forwarded_For",
            "X-Forwarded_Host",
            "X_Real_IP",
            "True.Client.IP",
        ] {
            let asks = get(&scene, uri).bearer_auth(scene.issuer.access_token("alice")).header(name, "root");
            assert_eq!(send(asks).await.status(), 400, "{name} at {uri}");
        }
    }
    // These are overwritten by the answer; and this one is nobody's.
    let asks = get(&scene, "/public/x").header("x-user-id", "root").header("x-role", "admin").header("my_field", "1");
    let answer = send(asks).await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "x-user-id"), header(&answer, "x-role")),
        (200, Some(""), Some(""))
    );
}

#[tokio::test]
async fn a_form_that_meets_an_ended_session_is_not_said_to_be_kept() {
    let scene = scene().await;
    let asks = asks(&scene, "/.usher/verify", &Method::POST, "/forms/x")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", "0")
        .header("sec-fetch-mode", "navigate")
        .header("origin", "https://app.test");
    let answer = send(asks).await;
    assert_eq!(answer.status(), 401);
    let page = answer.text().await.unwrap();
    assert!(page.contains("is not kept"), "its body has stayed with the proxy: {page}");
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_is_answered_and_only_where_questions_are_asked() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let listen = LISTEN.replace("127.0.0.0/8", "192.0.2.0/24");
    let yaml = format!("{listen}{ISSUERS}{SESSION}{SITES}");
    let strange = Scene::with(&yaml, Upstream::start().await, issuer, clock).await;
    let alice = strange.session("alice");
    for path in ["/.usher/verify", AUTH_REQUEST, REFUSAL, "/.usher/verify/x", "/x"] {
        let asks = cookies(asks(&strange, path, &Method::GET, "/x"), &alice);
        let answer = send(asks.header("host", "app.test").header("x-forwarded-for", "192.0.2.1")).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "x-user-id")), (403, None), "{path}");
        assert_eq!(header(&answer, "set-cookie"), None);
    }
    assert_eq!(strange.issuer.token_requests(), 0);

    // On the other listeners the paths are nobody's, and on this one there is nothing else.
    let scene = scene().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/.usher/verify", AUTH_REQUEST, REFUSAL, "/.usher/verify/x"] {
        let ask = client.get(format!("http://{}{path}", scene.gateway.plain())).header("host", "app.test");
        let ask = ask.header("x-forwarded-method", "GET").header("x-forwarded-uri", "/x");
        let answer = send(ask.bearer_auth(scene.issuer.access_token("alice"))).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "x-user-id")), (404, None), "{path}");
    }
    for path in ["/", "/x", "/.usher/session", "/.usher/sign-in", "/.usher", "/.usher/verify.x"] {
        assert_eq!(
            send(asks(&scene, path, &Method::GET, "/x").header("host", "app.test")).await.status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_log_says_what_was_decided_for_another_proxy_and_who_asked_without_being_one() {
    let issuer = Issuer::start(&Clock::system()).await;
    for (trusted, says) in [
        ("127.0.0.0/8", "decision=\"verified\""),
        ("192.0.2.0/24", "a peer that is not in trusted_proxies asks at listen.verify"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let yaml = format!("{}{ISSUERS}{SESSION}{SITES}", LISTEN.replace("127.0.0.0/8", trusted));
        let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$CLIENT_SECRET", CLIENT_SECRET);
        let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let ask = client.get(format!("http://{}/.usher/verify", usher.address("verify").await));
        let ask = ask.header("x-forwarded-method", "DELETE").header("x-forwarded-uri", "/public/x?canary");
        send(ask.header("x-forwarded-proto", "https").header("x-forwarded-host", "app.test")).await;
        usher.says(says).await;
        let said = usher.output();
        assert!(!said.contains("canary"), "{said}");
        assert_eq!(said.contains("path=\"/public/x\"") && said.contains("DELETE"), trusted == "127.0.0.0/8", "{said}");
    }
}

#[tokio::test]
async fn a_request_itself_is_misdirected_where_there_is_no_upstream() {
    let scene = scene().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = client.get(format!("http://{}/x", scene.gateway.plain())).header("host", "app.test");
    assert_eq!(send(ask.bearer_auth(scene.issuer.access_token("alice"))).await.status(), 421);
}

#[tokio::test]
async fn the_login_of_an_application_must_pass_through_usher() {
    let login = "    login: { path: /login, access_token: /at, refresh_token: /rt }\n";
    let yaml = format!("{LISTEN}{}\n{login}{SESSION}{SITES}", ISSUERS.trim_end());
    let scene = Scene::start(&yaml).await;
    let asks = asks(&scene, "/.usher/verify", &Method::POST, "/login").header("origin", "https://app.test");
    assert_eq!(send(asks).await.status(), 500);
}

#[test]
fn a_listener_for_questions_needs_proxies_and_a_route_without_it_needs_an_upstream() {
    let site = "sites: [{ host: app.test, access: public, routes: [{ path: / }] }]\n";
    let refused = Gateway::refusal(site).unwrap();
    assert!(refused.contains("upstream") && refused.contains("listen.verify"), "{refused}");
    let listen = "listen: { https: '127.0.0.1:0', verify: '127.0.0.1:0' }\n";
    let refused = Gateway::refusal(&format!("{listen}{site}")).unwrap();
    assert!(refused.contains("listen.verify") && refused.contains("trusted_proxies"), "{refused}");
    assert_eq!(Gateway::refusal(&format!("{listen}trusted_proxies: [10.0.0.0/8]\n{site}")), None);
    // Everybody would be told what only a proxy is: credentials of applications among it.
    for everybody in ["0.0.0.0/0", "'::/0'", "10.0.0.0/8, 0.0.0.0/1, 128.0.0.0/1"] {
        let refused = Gateway::refusal(&format!("{listen}trusted_proxies: [{everybody}]\n{site}")).unwrap_or_default();
        assert!(refused.contains("listen.verify") && refused.contains("everybody"), "{everybody}: {refused}");
    }
}

#[tokio::test]
async fn a_key_that_does_nothing_where_there_is_no_upstream_is_said_to_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let listen = "listen: { plain: '127.0.0.1:0', verify: '127.0.0.1:0' }\ntrusted_proxies: [10.0.0.0/8]\n";
    let keys = "strip_prefix: /a, rewrite_host: b.test, body_limit: 1MiB, resend_forms: 1KiB";
    let routes = format!("[{{ path: /a/, {keys} }}, {{ path: /b/, upstream: 'http://b', body_limit: 1MiB }}]");
    let yaml = format!("{listen}sites:\n- {{ host: app.test, access: public, routes: {routes} }}\n");
    std::fs::write(directory.path().join("usher.yaml"), yaml).unwrap();
    let (code, said, error) = Usher::finish(&["check", "--config", "usher.yaml"], directory.path(), "").await;
    assert_eq!((code, error.as_str()), (Some(0), ""), "{said}");
    for key in ["strip_prefix", "rewrite_host", "body_limit", "resend_forms"] {
        assert!(said.contains(&format!("note: sites[0].routes[0].{key}: does nothing")), "{key}: {said}");
    }
    assert!(!said.contains("routes[1]"), "{said}");
}
