//! The status page on the admin listener: what it shows, who may look, and what is never on it.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use usher::clock::Clock;

use crate::harness::body::fed;
use crate::harness::child::Usher;
use crate::harness::chromium::Chromium;
use crate::harness::gateway::{SESSION_SECRET, complete};
use crate::harness::issuer::{CLIENT_SECRET, Issuer};
use crate::harness::metrics::Metrics;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Ask, Client, Gateway, Protocol, Scene, TokenAnswer, Upstream, UpstreamAnswer, get, post};

const TOKEN: &str = "4fa81c0a5f7b9d3e-of-the-admin-listener";

/// What whoever lacks a role is told of it.
const REASON: &str = "the claims do not meet what the route requires of realm_access.roles";

/// Asks an admin listener: status, fields, body.
async fn ask(admin: std::net::SocketAddr, path: &str, fields: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let field =
        |(name, value): &(&str, &str)| -> (HeaderName, HeaderValue) { (name.parse().unwrap(), value.parse().unwrap()) };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(format!("http://{admin}{path}")).headers(fields.iter().map(field).collect());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
}

async fn page(scene: &Scene, path: &str) -> String {
    let (status, headers, page) = ask(scene.gateway.admin(), path, &[("accept", "text/html")]).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"), "{page}");
    // It is escaped more than it would have to be.
    page.replace("&#x2f;", "/")
}

async fn json(scene: &Scene, path: &str) -> Value {
    let (status, headers, body) = ask(scene.gateway.admin(), path, &[("accept", "application/json")]).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json"), "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Looks until it holds.
async fn until(scene: &Scene, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let seen = async {
        loop {
            let status = json(scene, "/").await;
            if holds(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A token of somebody who has this role and no other.
fn with_role(issuer: &Issuer, role: &str) -> String {
    issuer.sign(&issuer.token("alice").claim("realm_access", json!({ "roles": [role] })))
}

#[tokio::test]
async fn a_refusal_is_on_the_page_and_its_explanation_one_click_away() {
    let scene = Scene::usual().await;
    let token = with_role(&scene.issuer, "editor");
    scene.send(get("https://app.test/admin/x").bearer(&token)).await.assert_status(403);
    let seen = page(&scene, "/").await;
    for shown in ["app.test", "pub.test", "GET app.test/admin/x", REASON, "href=\"refusals/1\"", "realm_access.roles"] {
        assert!(seen.contains(shown), "{shown} is not in {seen}");
    }
    let before = Metrics::of(scene.gateway.admin()).await;
    let explained = page(&scene, "/refusals/1").await;
    for shown in [REASON, "403", "realm_access.roles = admin", "✗", "editor", "/admin/", "is refused"] {
        assert!(explained.contains(shown), "{shown} is not in {explained}");
    }
    let told = json(&scene, "/refusals/1").await;
    assert_eq!((&told["refusal"]["reason"], &told["refusal"]["status"]), (&json!(REASON), &json!(403)));
    assert!(told["refusal"]["subject"] == "alice" && explained.contains("<code>alice</code>"), "{explained}");
    let checks = told["explanation"]["checks"].as_array().unwrap();
    let failed = checks.iter().find(|check| check["holds"] == json!(false)).unwrap();
    assert_eq!((&failed["what"], &failed["seen"]), (&json!("realm_access.roles = admin"), &json!("editor")));
    // Telling of a request is no request.
    let after = Metrics::of(scene.gateway.admin()).await;
    for counted in ["usher_requests_total", "usher_requests_given_up_total", "usher_refusals_total"] {
        assert_eq!(before.value(counted, &[]).to_bits(), after.value(counted, &[]).to_bits(), "{counted}");
    }
    assert_eq!(json(&scene, "/").await["refusals"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn refusals_of_every_kind_are_told_of_as_they_were_decided() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    scene.upstream.answer("/broken", UpstreamAnswer::Hangup);
    scene.send(get("https://app.test/x")).await.assert_status(401);
    scene.send(get("https://app.test/x").bearer("no.token.at-all")).await.assert_status(401);
    scene.send(get("https://app.test/broken?secret=1").bearer(&token)).await.assert_status(502);
    scene.send(get("https://unknown.test/x")).await.assert_status(421);
    assert_eq!(scene.raw_get("/x", "Host: two.test\r\n").await, 400);
    scene.send(get(&format!("https://app.test/{}", "long/".repeat(400)))).await.assert_status(401);
    let status = json(&scene, "/").await;
    let refusals = status["refusals"].as_array().unwrap();
    let of = |number: u64| refusals.iter().find(|refusal| refusal["number"] == json!(number)).unwrap();
    let statuses: Vec<_> = refusals.iter().map(|refusal| refusal["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [401, 400, 421, 502, 401, 401], "the newest first");
    assert_eq!(
        (&of(3)["fault"], &of(3)["path"], &of(3)["issuer"]),
        (&json!("upstream"), &json!("/broken"), &json!("main"))
    );
    assert_eq!((&of(5)["host"], &of(6)["is_cut"]), (&Value::Null, &json!(true)));
    let explained = async |number: u64| json(&scene, &format!("/refusals/{number}")).await["explanation"].take();
    let decisions = [(1, json!("refused")), (2, json!("unknown")), (3, json!("unknown")), (4, json!("refused"))];
    for (number, decision) in decisions {
        assert_eq!(explained(number).await["decision"], decision, "{number}");
    }
    for number in [5, 6] {
        assert_eq!(explained(number).await, Value::Null);
        page(&scene, &format!("/refusals/{number}")).await;
    }
    assert_eq!(ask(scene.gateway.admin(), "/refusals/7", &[]).await.0, 404);
}

/// Whoever looks for the cause of a refusal is not told that there is none.
#[tokio::test]
async fn what_was_refused_for_something_that_is_not_kept_is_not_told_as_let_in() {
    let scene = Scene::usual().await;
    let public = || get("https://app.test/public/x");
    let basic = |ask: Ask| ask.header("authorization", "Basic YTpi");
    scene.send(basic(basic(public()))).await.assert_status(400);
    scene.send(post("https://app.test/public/x").body(vec![0; 2 << 20])).await.assert_status(413);
    let (feed, without_length) = fed();
    feed.chunk(vec![0; 2 << 20]);
    scene.send(post("https://app.test/public/x").streamed(without_length)).await.assert_status(413);
    for number in 1..=3 {
        let explained = json(&scene, &format!("/refusals/{number}")).await["explanation"].take();
        let told = (&explained["decision"], explained["reason"].as_str().unwrap_or_default());
        assert!(told.0 == "unknown" && told.1.contains("not kept"), "{number}: {explained:#}");
        assert!(page(&scene, &format!("/refusals/{number}")).await.contains("cannot be known from here"));
    }
    scene.send(public()).await.assert_status(200);
}

#[tokio::test]
async fn nothing_that_somebody_sends_is_read_as_a_part_of_the_page() {
    let scene = Scene::usual().await;
    let evil = "<img src=x onerror=alert(1)>\"'</code><script>alert(2)</script>";
    let token = with_role(&scene.issuer, evil);
    scene.send(get("https://app.test/admin/x").bearer(&token)).await.assert_status(403);
    scene.send(get("https://app.test/admin/%3Cscript%3E&amp;\"").bearer(&token)).await;
    for path in ["/", "/refusals/1", "/refusals/2"] {
        let page = page(&scene, path).await;
        for part in ["<img", "<script>", "onerror=alert(1)>"] {
            assert!(!page.contains(part), "{part} in {page}");
        }
    }
    assert!(page(&scene, "/refusals/1").await.contains("&lt;img src=x onerror=alert(1)&gt;"));
    let turned = with_role(&scene.issuer, "a\u{202e}nimda\u{1b}[2J");
    scene.send(get("https://app.test/admin/x").bearer(&turned)).await.assert_status(403);
    let shown = page(&scene, "/refusals/3").await;
    assert!(shown.contains("a\\u{202e}nimda\\u{1b}[2J") && !shown.contains(['\u{202e}', '\u{1b}']), "{shown}");
    let (_, headers, _) = ask(scene.gateway.admin(), "/", &[]).await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [("x-frame-options", "DENY"), ("cross-origin-opener-policy", "same-origin")] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(!headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn no_token_query_or_secret_is_on_any_page() {
    let scene = Scene::usual().await;
    let (token, jar) = (scene.issuer.access_token("alice"), scene.expired_session("alice"));
    let refresh = jar.value("rt").unwrap().to_owned();
    scene.issuer.behave(TokenAnswer::InvalidGrant);
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let canaries =
        ["canary-query", "canary-cookie", "canary-field", "canary-bearer", CLIENT_SECRET, SESSION_SECRET, &refresh];
    let canaries = canaries.map(str::to_owned).into_iter();
    let canaries: Vec<_> = canaries.chain([signature(&token), signature(jar.value("at").unwrap())]).collect();
    scene.send(get("https://app.test/admin/x?token=canary-query").bearer(&token)).await.assert_status(403);
    scene.send(get("https://app.test/x?canary-query").cookies(&jar)).await.assert_status(401);
    let odd = get("https://app.test/x").header("cookie", "at=canary-cookie").header("x-field", "canary-field");
    scene.send(odd.bearer("canary-bearer")).await;
    let mut pages = vec![page(&scene, "/").await, json(&scene, "/").await.to_string()];
    for number in 1..=3 {
        pages.push(page(&scene, &format!("/refusals/{number}")).await);
        pages.push(json(&scene, &format!("/refusals/{number}")).await.to_string());
    }
    for page in pages {
        assert_eq!(canaries.iter().find(|canary| page.contains(canary.as_str())), None, "in {page}");
    }
}

#[tokio::test]
async fn what_claims_say_is_not_kept_where_the_log_does_not_show_subjects_as_they_are() {
    let scene = Scene::start(&format!("log: {{ subject: hash }}\n{ISSUERS}{SESSION}{SITES}")).await;
    let token = with_role(&scene.issuer, "canary-role");
    scene.send(get("https://app.test/admin/x").bearer(&token)).await.assert_status(403);
    let explained = json(&scene, "/refusals/1").await;
    assert_eq!(explained["explanation"]["decision"], "unknown");
    assert!(!explained.to_string().contains("canary-role"), "{explained}");
    let subject = explained["refusal"]["subject"].as_str().unwrap();
    assert!(subject.len() == 16 && !explained.to_string().contains("alice"), "{explained}");
}

/// Somebody may be guessing; a browser that asks for the first time is not.
#[tokio::test]
async fn a_wrong_token_leaves_a_trace_without_it() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let listen = format!("listen: {{ https: '127.0.0.1:0', admin: {{ address: '127.0.0.1:0', token: {TOKEN} }} }}\n");
    let site = format!("{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}", upstream.url());
    let usher = Usher::serve(&complete(&format!("{listen}sites:\n  - {site}\n"), &directory), directory.path());
    let admin = usher.address("admin").await;
    assert_eq!(ask(admin, "/first", &[]).await.0, 404);
    assert_eq!(ask(admin, "/metrics", &[]).await.0, 401);
    assert_eq!(ask(admin, "/status.json", &[("authorization", "Bearer canary-guess")]).await.0, 401);
    usher.says("a wrong token was presented to listen.admin").await;
    let output = usher.output();
    let lines: Vec<_> = output.lines().filter(|line| line.contains("wrong token")).collect();
    assert!(lines.len() == 1 && lines[0].contains("127.0.0.1") && lines[0].contains("/status.json"), "{output}");
    assert!(!output.contains("canary-guess"), "{output}");
}

#[tokio::test]
async fn a_listener_that_others_reach_shows_health_to_everybody_and_the_rest_for_its_token() {
    let listen = format!("listen: {{ https: '127.0.0.1:0', admin: {{ address: '0.0.0.0:0', token: {TOKEN} }} }}\n");
    let scene = Scene::start(&format!("{listen}{ISSUERS}{SESSION}{SITES}")).await;
    let admin = scene.gateway.admin();
    let bearer = |token: &str| format!("Bearer {token}");
    // The password of anybody.
    let basic = "Basic b3BzOjRmYTgxYzBhNWY3YjlkM2Utb2YtdGhlLWFkbWluLWxpc3RlbmVy";
    for path in ["/", "/status.json", "/status.js", "/metrics", "/refusals/1"] {
        let (status, headers, body) = ask(admin, path, &[]).await;
        assert_eq!(status, 401, "{path}: {body}");
        let challenges: Vec<_> =
            headers.get_all("www-authenticate").iter().map(|line| line.to_str().unwrap()).collect();
        assert!(challenges[0].starts_with("Basic ") && challenges[1].starts_with("Bearer "), "{challenges:?}");
        assert!(!body.contains("app.test"), "{body}");
        assert_eq!(ask(admin, path, &[("authorization", &bearer("4fa81c0a5f7b9d3e"))]).await.0, 401, "{path}");
        let may = [("authorization", bearer(TOKEN)), ("authorization", basic.to_owned())];
        for (name, value) in &may {
            let expected = if path == "/refusals/1" { 404 } else { 200 };
            assert_eq!(ask(admin, path, &[(name, value)]).await.0, expected, "{path}");
        }
    }
    // Whatever name it is asked by: a page of another site cannot have the token.
    let named = [("authorization", &*bearer(TOKEN)), ("host", "usher:9901")];
    assert_eq!(ask(admin, "/metrics", &named).await.0, 200);

    scene.send(get("https://app.test/x").bearer(&scene.issuer.access_token("alice"))).await.assert_status(200);
    scene.issuer.set_down(true);
    scene.clock.advance(Duration::from_secs(700));
    let degraded = async {
        while !ask(admin, "/readyz", &[]).await.2.starts_with("degraded") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, degraded).await.expect("the issuer is down");
    assert_eq!(ask(admin, "/readyz", &[]).await.2, "degraded\n", "no names for everybody");
    assert!(ask(admin, "/readyz", &[("authorization", &bearer(TOKEN))]).await.2.contains("main"));
    assert_eq!(ask(admin, "/healthz", &[]).await.0, 200);

    // Another token counts at once.
    let other = format!("{}{ISSUERS}{SESSION}{SITES}", listen.replace(TOKEN, "another-token-of-this-listener"));
    scene.reload(&other).await.unwrap();
    assert_eq!(ask(admin, "/", &[("authorization", &bearer(TOKEN))]).await.0, 401);
    assert_eq!(ask(admin, "/", &[("authorization", &bearer("another-token-of-this-listener"))]).await.0, 200);
    let refusal =
        Gateway::refusal(&format!("listen: {{ https: '127.0.0.1:0', admin: '0.0.0.0:0' }}\n{SITES}")).unwrap();
    assert!(refusal.contains("listen.admin") && refusal.contains("token_file"), "{refusal}");
}

#[tokio::test]
async fn a_site_whose_name_leads_to_this_machine_reads_nothing_but_health() {
    let listen = "listen: { https: '127.0.0.1:0', admin: { address: '127.0.0.1:0', hosts: [status.example.com] } }\n";
    let scene = Scene::start(&format!("{listen}{ISSUERS}{SESSION}{SITES}")).await;
    let admin = scene.gateway.admin();
    for path in ["/", "/status.json", "/metrics", "/refusals/1"] {
        let (status, _, body) = ask(admin, path, &[("host", "evil.test:9901")]).await;
        assert_eq!(status, 421, "{path}");
        assert!(!body.contains("app.test"), "{body}");
        for site in ["cross-site", "same-site"] {
            assert_eq!(ask(admin, path, &[("sec-fetch-site", site)]).await.0, 403, "{path}");
        }
    }
    for host in ["localhost:9901", "[::1]:9901", "status.example.com"] {
        assert_eq!(ask(admin, "/", &[("host", host)]).await.0, 200, "{host}");
    }
    assert_eq!(ask(admin, "/readyz", &[("host", "evil.test")]).await.2, "ready\n");
}

#[tokio::test]
async fn issuers_with_their_keys_applications_and_certificates_are_shown_as_they_are() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let status = json(&scene, "/").await;
    assert_eq!((&status["state"], &status["troubles"]), (&json!("well"), &json!([])), "{status}");
    let issuer = &status["issuers"][0];
    assert_eq!(
        (&issuer["name"], &issuer["up"], &issuer["source"]),
        (&json!("main"), &json!(true), &json!("discovery"))
    );
    assert_eq!(issuer["keys"][0]["kid"], json!(scene.issuer.key().0));
    let renewed =
        issuer["renewals"].as_array().unwrap().iter().find(|renewal| renewal["outcome"] == "renewed").unwrap();
    assert_eq!(renewed["times"], 1);
    let route = &status["sites"].as_array().unwrap().iter().find(|site| site["host"] == "app.test").unwrap()["routes"];
    let root = route.as_array().unwrap().iter().find(|route| route["path"] == "/").unwrap();
    assert_eq!((&root["requests"], &root["access"]), (&json!(2), &json!("required")));
    assert!(status["certificates"][0]["days_left"].as_u64().unwrap() > 1, "{status}");

    scene.issuer.set_down(true);
    scene.clock.advance(Duration::from_secs(700));
    let down = until(&scene, "the issuer is down", |status| status["issuers"][0]["up"] == false).await;
    assert!(down["issuers"][0]["last_error"].as_str().unwrap().len() > 10, "{down}");
    assert_eq!(down["state"], "troubled");
    assert!(page(&scene, "/").await.contains("the issuer main gives out no keys"));
}

#[tokio::test]
async fn a_site_that_awaits_its_certificate_is_not_said_to_be_well() {
    let acme = "acme: { agree_to_terms: true, directory: 'https://127.0.0.1:9/dir' }";
    let site = "{ host: app.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{ path: / }] }";
    let yaml = format!("state_directory: '$DIRECTORY/state'\ntls: {{ {acme} }}\nsites: [{site}]\n");
    let gateway = Gateway::start(&yaml, &Clock::system()).await;
    let status = gateway.status("/").await;
    assert_eq!((&status["state"], &status["troubles"][0]["part"]), (&json!("troubled"), &json!("certificates")));
    let (_, _, page) = ask(gateway.admin(), "/", &[]).await;
    assert!(page.contains("app.test is yet to be issued") && !page.contains("no listener speaks TLS"), "{page}");
    let ends =
        Metrics::of(gateway.admin()).await.find("usher_certificate_expiry_timestamp_seconds", &[("name", "app.test")]);
    assert!(ends.is_some_and(|ends| ends < 1.0), "{ends:?}");
}

#[tokio::test]
async fn an_application_that_fails_is_shown_so_until_it_answers() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("application");
    let address = format!("unix:{}", socket.display());
    let site =
        format!("sites: [{{ host: pub.test, upstream: '{address}', access: public, routes: [{{ path: / }}] }}]\n");
    let scene = Scene::start(&site).await;
    let of = |status: &Value| status["upstreams"][0].clone();
    let now = |status: &Value| status["now"].as_u64().unwrap();
    assert_eq!(
        of(&json(&scene, "/").await),
        json!({
            "at": address, "up": true, "state": "untried", "failure": null, "ejections": 0, "failed_checks": 0,
            "retries": 0, "overloads": 0
        })
    );
    assert!(page(&scene, "/").await.contains("not tried yet"));
    scene.send(get("https://pub.test/x")).await.assert_status(502);
    let status = json(&scene, "/").await;
    assert_eq!((&of(&status)["up"], &of(&status)["ejections"]), (&json!(false), &json!(1)));
    let failure = of(&status)["failure"].take();
    assert!((1..=now(&status)).contains(&failure["since"].as_u64().unwrap()), "{failure}");
    let cause = failure["cause"].as_str().unwrap();
    assert!(cause.contains("refused or failed") && !cause.contains(&*socket.to_string_lossy()), "{cause}");
    let shown = page(&scene, "/").await;
    for part in ["is passed over for what became of requests", cause, "since "] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }

    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    // Each worker finds out for itself.
    let answers = async {
        while of(&json(&scene, "/").await)["up"] == false {
            scene.send(get("https://pub.test/x")).await.assert_status(200);
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.expect("it answers again");
    let well = of(&json(&scene, "/").await);
    assert!(well["failure"].is_null() && well["state"] != "untried", "{well}");
}

#[tokio::test]
async fn the_version_tells_configurations_apart_and_not_their_secrets_and_refusals_outlive_a_reload() {
    let scene = Scene::usual().await;
    scene.send(get("https://app.test/x")).await.assert_status(401);
    let version = async || json(&scene, "/").await["configuration"]["version"].as_str().unwrap().to_owned();
    let first = version().await;
    assert_eq!(first.len(), 12);
    let whole = |issuers: &str| format!("{issuers}{SESSION}{SITES}");
    scene.reload(&whole(&ISSUERS.replace("'$CLIENT_SECRET'", "another-secret-of-the-client"))).await.unwrap();
    assert_eq!(version().await, first, "a secret does not count");
    scene.reload(&whole(&ISSUERS.replace("leeway: 0s", "leeway: 1s"))).await.unwrap();
    assert_ne!(version().await, first);
    scene.reload(&whole(ISSUERS)).await.unwrap();
    let status = json(&scene, "/").await;
    assert_eq!(status["configuration"]["version"], json!(first), "and back");
    assert_eq!((&status["configuration"]["reloads"], &status["refusals"][0]["number"]), (&json!(3), &json!(1)));
    let restart = format!("state_directory: '$DIRECTORY/state'\n{}", whole(ISSUERS));
    scene.reload(&restart).await.unwrap_err();
    let failure = json(&scene, "/").await["configuration"]["last_failure"]["problems"][0].to_string();
    assert!(failure.contains("state_directory can only be changed by a restart"), "{failure}");
}

/// The real binary, which looks at its files, and what surrounds it.
struct Running {
    usher: Usher,
    client: Client,
    admin: std::net::SocketAddr,
    issuer: Issuer,
    yaml: String,
    directory: tempfile::TempDir,
    _upstream: Upstream,
}

impl Running {
    async fn start() -> Self {
        let (upstream, issuer) = (Upstream::start().await, Issuer::start(&Clock::system()).await);
        let directory = tempfile::tempdir().unwrap();
        let yaml = format!("{ISSUERS}{SESSION}{SITES}").replace("$ISSUER", &issuer.url());
        let yaml = yaml.replace("$UPSTREAM", &upstream.url()).replace("$CLIENT_SECRET", CLIENT_SECRET);
        let yaml = complete(&yaml, &directory);
        let usher = Usher::serve(&yaml, directory.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        let admin = usher.address("admin").await;
        Self { usher, client, admin, issuer, yaml, directory, _upstream: upstream }
    }

    /// Puts a configuration in place that says a key wrongly.
    fn break_configuration(&self) {
        let broken = self.yaml.replacen("access: public", "acces: public", 1);
        std::fs::write(self.directory.path().join("usher.yaml"), broken).unwrap();
    }
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_told_of_with_its_place_until_it_is_put_right() {
    let running = Running::start().await;
    let last_failure = async |wanted: bool| {
        let seen = async {
            loop {
                let (_, _, body) = ask(running.admin, "/status.json", &[]).await;
                let failure = serde_json::from_str::<Value>(&body).unwrap()["configuration"]["last_failure"].take();
                if failure.is_object() == wanted {
                    return failure;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the page tells of it")
    };
    running.break_configuration();
    running.usher.signal("HUP").await;
    let failure = last_failure(true).await;
    let problem = failure["problems"][0].as_str().unwrap();
    assert!(problem.contains("usher.yaml:") && problem.contains("acces is not a key"), "{problem}");
    std::fs::write(running.directory.path().join("usher.yaml"), &running.yaml).unwrap();
    running.usher.signal("HUP").await;
    last_failure(false).await;
}

#[tokio::test]
async fn somebody_who_looks_sees_what_happens_without_a_reload_in_a_browser() {
    let running = Running::start().await;
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser");
    std::fs::create_dir_all(&pictures).unwrap();
    let options = json!({
        "admin": format!("http://{}/", running.admin),
        "pictures": pictures,
        "reason": REASON,
        "condition": "realm_access.roles = admin",
        "held": "editor",
    });
    let Some(mut browser) = Chromium::play_at("status", running.client.address.port(), options) else { return };
    browser.reaches("refuse").await;
    let token = with_role(&running.issuer, "editor");
    running.client.send(get("https://app.test/admin/users?canary-query").bearer(&token)).await.assert_status(403);
    for path in
        ["https://app.test/reports/2026", "https://pub.test/.usher/nothing", "https://unknown.test/wp-login.php"]
    {
        running.client.send(get(path).navigation()).await;
    }
    browser.go_on().await;
    browser.reaches("break").await;
    running.break_configuration();
    browser.go_on().await;
    let shown = browser.ends().await;
    let pages = shown.as_array().unwrap();
    assert_eq!(pages.len(), 3);
    for secret in [&token, CLIENT_SECRET, SESSION_SECRET, "canary-query"] {
        assert!(pages.iter().all(|page| !page.as_str().unwrap().contains(secret)), "{secret} is on a page");
    }
}
