//! Ways in, and ways to sign somebody out, that were tried on sessions, renewals and logins: none of them may work.

use std::time::Duration;

use serde_json::{Value, json};
use usher::clock::Clock;

use crate::harness::issuer::{Issuer, LIFETIME};
use crate::harness::scene::{ISSUERS, SESSION, assert_renewed};
use crate::harness::{Answer, Ask, Jar, Scene, TokenAnswer, Upstream, UpstreamAnswer, eventually, get, post};

const ACCESS: &str = "__Host-usher-access";
/// A minute before the end of an access token.
const ALMOST_OVER: Duration = Duration::from_secs(LIFETIME.as_secs() - 60);
const IN_THE_BODY: &str = "access_token: /accessToken, refresh_token: /refreshToken";

/// An issuer with a login of the application's own, and what else stands under `session` and the site.
async fn with_login(login: &str, session: &str, site: &str) -> Scene {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let issuers = issuer.legacy(&format!("leeway: 0s\n    login: {{ path: /auth/login, {login} }}"));
    let yaml = format!(
        "{issuers}
session:
  secret: '$SECRET'
{session}
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: {{ X-User-Id: sub }}
{site}
    routes:
      - path: /
      - {{ path: /public/, access: public }}
      - {{ path: /nameless/, identity_headers: {{ X-User-Email: email }} }}
"
    );
    Scene::with(&yaml, Upstream::start().await, issuer, clock).await
}

fn login() -> Ask {
    post("https://app.test/auth/login").header("origin", "https://app.test").json(&json!({ "password": "wonderland" }))
}

fn x(jar: &Jar) -> Ask {
    get("https://app.test/x").cookies(jar)
}

fn sign_out() -> Ask {
    post("https://app.test/.usher/sign-out").header("origin", "https://app.test")
}

fn taken(answer: &Answer) -> Jar {
    let mut jar = Jar::default();
    jar.take(&answer.headers);
    jar
}

/// Signs in through the application, which answers this.
async fn sign_in_with(scene: &Scene, ask: Ask, body: &Value) -> Answer {
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(body));
    scene.send(ask).await
}

#[tokio::test]
async fn a_session_whose_tokens_name_no_subject_is_renewed() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    let access = scene.issuer.sign(&scene.issuer.token("alice").without("sub"));
    let refresh = scene.issuer.sign_in("alice").refresh;
    let browser =
        taken(&sign_in_with(&scene, login(), &json!({ "accessToken": access, "refreshToken": refresh })).await);
    scene.clock.advance(LIFETIME + Duration::from_secs(1));
    scene.issuer.behave(TokenAnswer::NoSubject);
    scene.send(get("https://app.test/nameless/x").cookies(&browser)).await.assert_status(200);
}

#[tokio::test]
async fn a_renewal_ahead_cannot_change_who_somebody_is() {
    let scene = Scene::with_session("refresh_ahead: 100s").await;
    let jar = scene.session("alice");
    scene.send(x(&jar)).await.assert_status(200);
    scene.issuer.behave(TokenAnswer::OtherSubject("root"));
    scene.clock.advance(ALMOST_OVER);
    scene.send(x(&jar)).await;
    eventually("a renewal ahead", || scene.issuer.token_requests() == 1).await;
    for _ in 0..20 {
        let answer = scene.send(get("https://app.test/admin/x").cookies(&jar)).await;
        assert_ne!(answer.status, 200, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(scene.upstream.seen().iter().all(|seen| seen.all("x-user-id") == ["alice"]));
}

/// Two issuers, one cookie pair: `main` and another one, whose routes are below `/other/`.
async fn two_issuers(session: &str) -> (Scene, Issuer) {
    let clock = Clock::adjustable();
    let (issuer, other) = (Issuer::start(&clock).await, Issuer::start(&clock).await);
    let yaml = format!(
        "
issuers:
  other:
    issuer: {url}
    insecure_http: true
    client_id: usher
    client_secret: '$CLIENT_SECRET'
    audiences: [usher]
    algorithms: [ES256]
    leeway: 0s
    login: {{ path: /auth/other, {IN_THE_BODY} }}
{ISSUERS}    login: {{ path: /auth/main, {IN_THE_BODY} }}
{session}
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: {{ X-User-Id: sub }}
    routes:
      - path: /
      - {{ path: /other/, issuer: other }}
      - {{ path: /both/, issuer: [main, other] }}
",
        url = other.url()
    )
    .replacen("issuers:\n  main:", "  main:", 1);
    (Scene::with(&yaml, Upstream::start().await, issuer, clock).await, other)
}

#[tokio::test]
async fn a_refresh_token_is_never_sent_to_another_issuer() {
    let (scene, other) = two_issuers(SESSION).await;
    for (path, expired) in [("/other/x", false), ("/other/x", true), ("/.usher/session", true)] {
        let jar = if expired { scene.expired_session("alice") } else { scene.session("alice") };
        let answer = scene.send(get(&format!("https://app.test{path}")).cookies(&jar)).await;
        let asked = other.asked();
        assert!(asked.tokens.is_empty(), "{path}: alice's token went to the other issuer");
        assert!(answer.set_cookies().iter().all(|cookie| !cookie.clears()), "{path} signs nobody out: {answer:?}");
    }
    let jar = scene.session("alice");
    scene.send(sign_out().cookies(&jar)).await;
    eventually("the issuer that gave it out revokes it", || {
        scene.issuer.asked().revocations.iter().any(|token| Some(token.as_str()) == jar.value("rt"))
    })
    .await;
    assert_eq!(other.asked().revocations, Vec::<String>::new());
}

#[tokio::test]
async fn signing_out_with_half_a_session_ends_it_all_the_same() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    let tokens = scene.issuer.sign_in("alice");
    let body = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
    let browser = taken(&sign_in_with(&scene, login(), &body).await);
    let mut broken = browser.clone();
    broken.put(ACCESS, "broken");
    scene.send(sign_out().cookies(&broken)).await.assert_status(204);
    scene.send(x(&browser)).await.assert_status(401);
}

#[tokio::test]
async fn a_login_ends_the_session_before_whoever_issued_it() {
    let (scene, other) = two_issuers("").await;
    let sign_in = |at: &'static str, tokens: crate::harness::issuer::Tokens, before: Jar| {
        let body = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
        scene.upstream.answer(at, UpstreamAnswer::json(&body));
        let ask = post(&format!("https://app.test{at}")).header("origin", "https://app.test").cookies(&before);
        async { taken(&scene.send(ask).await) }
    };
    let before = sign_in("/auth/other", other.sign_in("alice"), Jar::default()).await;
    scene.send(get("https://app.test/other/x").cookies(&before)).await.assert_status(200);
    let after = sign_in("/auth/main", scene.issuer.sign_in("bob"), before.clone()).await;
    scene.send(x(&after)).await.assert_status(200);
    scene.send(get("https://app.test/other/x").cookies(&before)).await.assert_status(401);
}

#[tokio::test]
async fn signing_in_again_without_a_refresh_token_leaves_nothing_of_the_session_before() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    let alice = scene.issuer.sign_in("alice");
    let body = json!({ "accessToken": alice.access, "refreshToken": alice.refresh });
    let mut browser = taken(&sign_in_with(&scene, login(), &body).await);
    scene.send(x(&browser)).await.assert_status(200);
    let body = json!({ "accessToken": scene.issuer.access_token("bob") });
    browser.take(&sign_in_with(&scene, login().cookies(&browser), &body).await.assert_status(200).headers);
    assert_eq!(browser.names(), [ACCESS]);
    scene.send(x(&browser)).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("x-user-id"), ["bob"]);
}

#[tokio::test]
async fn an_answer_that_comes_late_does_not_bring_a_spent_token_back() {
    let scene = Scene::usual().await;
    let old = scene.expired_session("alice");
    let (head, slow) = (scene.client(), get("https://app.test/slow").cookies(&old));
    scene.upstream.answer("/slow", UpstreamAnswer::After(Duration::from_secs(1)));
    let slow = tokio::spawn(async move { head.send(slow).await });
    eventually("the slow request is under way", || scene.upstream.count() == 1).await;
    let mut browser = old.clone();
    for _ in 0..2 {
        browser.take(&scene.send(x(&browser)).await.assert_status(200).headers);
        scene.send(x(&browser)).await.assert_status(200);
        scene.clock.advance(LIFETIME + Duration::from_secs(1));
    }
    let late = slow.await.unwrap();
    browser.take(&late.assert_status(200).headers);
    scene.send(x(&browser)).await.assert_status(200);
    assert_eq!(scene.issuer.reuses(), 0);
    assert_eq!(scene.issuer.asked().revocations, Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_that_comes_after_sign_out_brings_no_cookies() {
    let scene = Scene::usual().await;
    let old = scene.expired_session("alice");
    scene.upstream.answer("/slow", UpstreamAnswer::After(Duration::from_millis(500)));
    let (client, slow) = (scene.client(), get("https://app.test/slow").cookies(&old));
    let slow = tokio::spawn(async move { client.send(slow).await });
    eventually("the slow request is under way", || scene.upstream.count() == 1).await;
    scene.send(sign_out().cookies(&old)).await.assert_status(204);
    let late = slow.await.unwrap();
    assert_eq!(late.set_cookies(), [], "whoever has signed in since keeps that session");
}

#[tokio::test]
async fn no_spelling_of_a_login_answer_lets_a_token_reach_the_browser() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    let tokens = scene.issuer.sign_in("alice");
    let (access, refresh) = (tokens.access.as_str(), tokens.refresh.as_str());
    let whole = json!({ "accessToken": access, "refreshToken": refresh }).to_string();
    let json = ("content-type", "application/json");
    let fixed = |fields: &[(&'static str, &str)], body: String| UpstreamAnswer::fixed(200, fields, body);
    let answers = [
        ("no type", fixed(&[], whole.clone())),
        ("text/html", fixed(&[("content-type", "text/html; charset=utf-8")], whole.clone())),
        ("text/plain", fixed(&[("content-type", "text/plain")], format!(" \r\n\t{whole}"))),
        ("two types", fixed(&[("content-type", "text/html"), json], whole.clone())),
        ("a byte order mark", fixed(&[json], format!("\u{feff}{whole}"))),
        ("something behind it", fixed(&[json], format!("{whole}\n<!-- 3 ms -->"))),
        ("a warning before it", fixed(&[json], format!("Notice: undefined index\n{whole}"))),
        ("identity coding", fixed(&[json, ("content-encoding", "identity")], whole.clone())),
        ("a coding", fixed(&[json, ("content-encoding", "gzip")], whole.clone())),
        ("a coding and no type", fixed(&[("content-encoding", "br")], whole.clone())),
        ("created", UpstreamAnswer::fixed(201, &[json], whole.clone())),
        ("no access token", fixed(&[json], json!({ "refreshToken": refresh }).to_string())),
        ("access null", fixed(&[json], json!({ "accessToken": null, "refreshToken": refresh }).to_string())),
        ("twice", fixed(&[json], format!(r#"{{"accessToken":"{access}","accessToken":"{access}","refreshToken":"{refresh}"}}"#))),
        (
            "copies",
            fixed(
                &[json, ("authorization", &format!("Bearer {access}")), ("set-cookie", &format!("jwt={access}; Path=/"))],
                json!({ "accessToken": access, "refreshToken": refresh, "user": { "token": access, "all": [refresh], "h": format!("Bearer {access}") } }).to_string(),
            ),
        ),
    ];
    for (name, answer) in answers {
        scene.upstream.answer("/auth/login", answer);
        let answer = scene.send(login()).await;
        let text = String::from_utf8_lossy(&answer.body);
        for secret in [access, refresh] {
            assert!(!text.contains(secret), "{name}: in the body {text}");
            let header =
                answer.headers.iter().find(|(_, value)| String::from_utf8_lossy(value.as_bytes()).contains(secret));
            assert_eq!(header, None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_login_page_passes_whatever_its_size() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    for (content_type, page) in
        [("text/html", " <p>wrong</p>".repeat(50_000)), ("text/html", String::new()), ("image/png", " ".repeat(9))]
    {
        scene
            .upstream
            .answer("/auth/login", UpstreamAnswer::fixed(200, &[("content-type", content_type)], page.clone()));
        let answer = scene.send(login()).await;
        assert!(answer.assert_status(200).text() == page && answer.complete);
    }
    assert_eq!(scene.upstream.last().all("accept-encoding"), ["identity"]);
    scene.upstream.answer("/auth/login", UpstreamAnswer::fixed(200, &[], " ".repeat(600_000)));
    scene.send(login()).await.assert_status(502);
}

#[tokio::test]
async fn the_login_of_a_service_with_raw_cookies_signs_in() {
    let session = "  cookies: { access: at, refresh: rt, sealed: false }";
    let scene = with_login("cookies: { access: at, refresh: rt }", session, "").await;
    let tokens = scene.issuer.sign_in("alice");
    let (access, refresh) =
        (format!("at={}; Path=/; HttpOnly", tokens.access), format!("rt={}; Path=/auth; Domain=test", tokens.refresh));
    let fields = [("set-cookie", access.as_str()), ("set-cookie", refresh.as_str()), ("set-cookie", "theme=dark")];
    scene.upstream.answer("/auth/login", UpstreamAnswer::fixed(200, &fields, ""));
    let answer = scene.send(login()).await;
    for cookie in answer.assert_status(200).set_cookies().iter().filter(|cookie| cookie.name != "theme") {
        assert_eq!(
            (cookie.attributes.get("path").map(String::as_str), cookie.attributes.get("domain")),
            (Some("/"), None)
        );
    }
    let browser = taken(&answer);
    assert_eq!(browser.names(), ["at", "rt", "theme"]);
    scene.send(x(&browser)).await.assert_status(200);
    scene.clock.advance(LIFETIME + Duration::from_secs(1));
    scene.send(x(&browser)).await.assert_status(200);
}

#[tokio::test]
async fn an_ended_session_is_not_revived_by_another_one_with_the_same_access_token() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    let access = scene.issuer.access_token("alice");
    let mut browsers = Vec::new();
    for _ in 0..2 {
        let body = json!({ "accessToken": access, "refreshToken": scene.issuer.sign_in("alice").refresh });
        browsers.push(taken(&sign_in_with(&scene, login(), &body).await));
    }
    let mut refresh_only = browsers[0].clone();
    refresh_only.remove(ACCESS);
    scene.send(sign_out().cookies(&refresh_only)).await.assert_status(204);
    scene.send(x(&browsers[0])).await.assert_status(401);
    scene.send(x(&browsers[1])).await.assert_status(200);
    scene.send(x(&browsers[0])).await.assert_status(401);
    scene.send(x(&browsers[1])).await.assert_status(200);
}

#[tokio::test]
async fn sign_out_denies_the_access_token_that_was_renewed_ahead_of_its_time() {
    let scene = Scene::with_session("refresh_ahead: 100s").await;
    let old = scene.session("alice");
    scene.clock.advance(ALMOST_OVER);
    scene.send(x(&old)).await.assert_status(200);
    let mut new = old.clone();
    while new == old {
        new.take(&scene.send(x(&old)).await.assert_status(200).headers);
    }
    scene.send(sign_out().cookies(&new)).await.assert_status(204);
    scene.send(x(&new)).await.assert_status(401);
    scene.send(x(&old)).await.assert_status(401);
    scene.send(get("https://app.test/x").bearer(old.value("at").unwrap())).await.assert_status(401);
}

#[tokio::test]
async fn a_withdrawn_key_makes_sessions_renew_instead_of_wait() {
    let scene = Scene::usual().await;
    let old = scene.expired_session("alice");
    let mut new = old.clone();
    new.take(&scene.send(x(&old)).await.assert_status(200).headers);
    scene.issuer.add_key("key-2", crate::harness::keys::SigningKey::p256());
    scene.issuer.drop_old_keys();
    scene.clock.advance(Duration::from_secs(11));
    let token = scene.issuer.access_token("bob");
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    assert_renewed(scene.send(x(&new)).await.assert_status(200));
}

#[tokio::test]
async fn garbage_that_an_issuer_chokes_on_does_not_keep_others_from_renewing() {
    let scene = Scene::usual().await;
    for trouble in [TokenAnswer::InvalidRequest, TokenAnswer::Status(404, None), TokenAnswer::Status(500, None)] {
        scene.issuer.next([trouble; 12]);
        for number in 0..12 {
            let garbage = Jar::of(&[("rt", &format!("garbage-{trouble:?}-{number}"))]);
            scene.send(x(&garbage)).await.assert_status(503);
        }
        assert_renewed(scene.send(x(&scene.expired_session("alice"))).await.assert_status(200));
    }
}

#[tokio::test]
async fn the_application_cannot_set_our_cookies_by_a_cookie_without_a_name_nor_clear_them_with_its_data() {
    let scene = Scene::usual().await;
    let fields = [
        ("set-cookie", "=at=evil"),
        ("set-cookie", " = at=evil"),
        ("set-cookie", "at"),
        ("set-cookie", "=__Host-usher-access=evil"),
        ("set-cookie", "mine=1"),
        ("clear-site-data", "\"cache\", \"cookies\""),
        ("clear-site-data", "\"*\""),
    ];
    scene.upstream.answer("/public/x", UpstreamAnswer::fixed(200, &fields, ""));
    let answer = scene.send(get("https://app.test/public/x")).await;
    let lines: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(lines, ["mine=1"]);
    let clears: Vec<_> =
        answer.headers.get_all("clear-site-data").iter().filter_map(|value| value.to_str().ok()).collect();
    assert!(clears.iter().all(|value| !value.contains("cookies") && !value.contains('*')), "{clears:?}");
}

#[tokio::test]
async fn no_cache_of_any_make_may_store_an_answer_with_a_cookie() {
    let scene = Scene::usual().await;
    let names = [
        "cache-control",
        "cdn-cache-control",
        "surrogate-control",
        "vercel-cdn-cache-control",
        "netlify-cdn-cache-control",
        "akamai-cache-control",
        "edge-control",
        "x-accel-expires",
        "expires",
        "cloudflare-cdn-cache-control",
    ];
    let fields: Vec<_> = names.iter().map(|name| (*name, "public, max-age=600")).collect();
    scene.upstream.answer("/x", UpstreamAnswer::fixed(200, &fields, ""));
    let answer = scene.send(x(&scene.expired_session("alice"))).await;
    assert_renewed(answer.assert_status(200));
    for name in &names[1..] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
}

#[tokio::test]
async fn no_other_token_of_the_issuer_passes_for_an_access_token() {
    let scene = Scene::usual().await;
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    for (name, value) in [("at_hash", json!("x")), ("c_hash", json!("x")), ("events", event)] {
        let token = scene.issuer.sign(&scene.issuer.token("alice").claim(name, value).head("typ", "JWT"));
        let answer = scene.send(get("https://app.test/x").bearer(&token)).await;
        assert_eq!(answer.status, 401, "{name}");
    }
}

#[tokio::test]
async fn signing_in_again_is_possible_where_a_service_gives_out_the_same_refresh_token() {
    for session in ["", "  cookies: { access: at, refresh: rt, sealed: false }"] {
        let scene = with_login(IN_THE_BODY, session, "").await;
        scene.issuer.behave(TokenAnswer::Keep);
        let refresh = scene.issuer.sign_in("alice").refresh;
        let body = || json!({ "accessToken": scene.issuer.access_token("alice"), "refreshToken": refresh });
        let mut browser = taken(&sign_in_with(&scene, login(), &body()).await);
        // Again without having signed out, then after having.
        browser.take(&sign_in_with(&scene, login().cookies(&browser), &body()).await.assert_status(200).headers);
        for _ in 0..2 {
            scene.clock.advance(LIFETIME + Duration::from_secs(1));
            browser.take(&scene.send(x(&browser)).await.assert_status(200).headers);
            scene.send(sign_out().cookies(&browser)).await.assert_status(204);
            scene.send(x(&browser)).await.assert_status(401);
            browser = taken(&sign_in_with(&scene, login(), &body()).await);
        }
    }
}

#[tokio::test]
async fn tokens_that_no_browser_can_keep_are_a_failed_login_and_not_a_loop() {
    let scene = with_login(IN_THE_BODY, "", "").await;
    let tokens = scene.issuer.sign_in("alice");
    let body = json!({ "accessToken": tokens.access, "refreshToken": "r".repeat(20_000) });
    let answer = sign_in_with(&scene, login(), &body).await;
    assert_eq!(answer.assert_status(502).set_cookies(), []);
}

#[tokio::test]
async fn halves_of_two_sessions_make_nobody() {
    let scene = Scene::with_session("refresh_ahead: 100s").await;
    let (root, mut mixed) = (scene.session("root"), scene.expired_session("alice"));
    mixed.put("rt", root.value("rt").unwrap());
    scene.send(x(&mixed)).await.assert_status(401);
    assert_eq!(scene.upstream.count(), 0);
}
