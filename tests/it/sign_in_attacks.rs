//! Signing in, as an attacker, a broken issuer or a confused browser would have it (O01–O15 of the cases).

use std::time::Duration;

use serde_json::json;
use url::Url;
use usher::clock::Clock;

use crate::harness::scene::{ISSUERS, SESSION, SITES, echoed};
use crate::harness::{Answer, Browser, Gateway, Issuer, Jar, Scene, TokenAnswer, Upstream, eventually, get, post};

/// The usual issuer and sites with Usher's own cookies.
async fn scene() -> Scene {
    Scene::start(&format!("{ISSUERS}{SITES}")).await
}

fn browser(scene: &Scene) -> Browser {
    Browser::new(scene.client())
}

/// Goes to the entrance, as far as the authorization server's URL.
async fn begin(browser: &mut Browser, rd: &str) -> String {
    let rd: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
    let answer = browser.visit(&format!("https://app.test/.usher/sign-in?rd={rd}")).await;
    answer.assert_status(302).header("location").unwrap().to_owned()
}

/// Signs in as far as the callback, which is not visited yet.
async fn up_to_callback(browser: &mut Browser, issuer: &Issuer, subject: &str) -> Url {
    let url = begin(browser, "/x").await;
    issuer.authorize(&url, subject)
}

fn session_cookies(answer: &Answer) -> Vec<String> {
    let session = |name: &str| name.contains("access") || name.contains("refresh");
    let set = answer.set_cookies().into_iter().filter(|cookie| session(&cookie.name) && !cookie.clears());
    set.map(|cookie| cookie.name).collect()
}

/// A page that states the request id, with no session begun and nothing asked of the token endpoint.
#[track_caller]
fn assert_refused(scene: &Scene, answer: &Answer, status: u16, token_requests: usize) {
    answer.assert_status(status);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{answer:?}");
    assert!(answer.text().contains(answer.header("x-request-id").unwrap()), "{answer:?}");
    assert_eq!(answer.header("cache-control").map(|value| value.contains("no-store")), Some(true), "{answer:?}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(session_cookies(answer), [] as [String; 0]);
    assert_eq!(scene.issuer.token_requests(), token_requests, "{}", answer.text());
}

fn asked(url: &str) -> std::collections::HashMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

#[tokio::test]
async fn the_authorization_request_says_everything_that_binds_it_and_nothing_more() {
    let parameters = "    scopes: [openid, read]\n    authorization_parameters: { prompt: login, max_age: 300 }\n";
    let scene = Scene::start(&format!("{}\n{parameters}{SITES}", ISSUERS.trim_end())).await;
    let mut browser = browser(&scene);
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x&prompt=none&scope=admin").await;
    assert_eq!(answer.assert_status(302).header("referrer-policy"), Some("no-referrer"));
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    let mut asked = asked(answer.header("location").unwrap());
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "usher"),
        ("redirect_uri", "https://app.test/.usher/callback"),
        ("scope", "openid read"),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("max_age", "300"),
    ] {
        assert_eq!(asked.remove(name).as_deref(), Some(value), "{name}");
    }
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(asked.remove(name).unwrap().len(), 43, "{name} has 256 bits");
    }
    assert!(asked.is_empty(), "{asked:?}");
}

#[tokio::test]
async fn the_cookie_of_a_sign_in_is_short_lived_and_for_nobody_else() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    let cookies = answer.set_cookies();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert!(cookies[0].name.starts_with("__Host-usher-state-"), "{cookies:?}");
    for (name, value) in [("max-age", "600"), ("path", "/"), ("secure", ""), ("httponly", ""), ("samesite", "Lax")] {
        assert_eq!(cookies[0].attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!cookies[0].attributes.contains_key("domain"));
    // The application never sees it, and can neither set nor clear it (law 9).
    scene.send(get("https://app.test/public/x").cookies(&browser.jar).header("cookie", "mine=1")).await;
    assert_eq!(scene.upstream.last().all("cookie"), ["mine=1"]);
    // A sign-out takes it out of the browser with the same attributes (C02).
    let answer = scene.send(post("https://app.test/.usher/sign-out").cookies(&browser.jar)).await;
    let cleared = answer.set_cookies().into_iter().find(|cookie| cookie.name == cookies[0].name).unwrap();
    assert!(cleared.clears() && cleared.attributes.contains_key("secure"), "{cleared:?}");
}

#[tokio::test]
async fn a_response_that_belongs_to_no_sign_in_of_this_browser_reaches_no_token_endpoint() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    let good = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    let (state, code) = (asked(good.as_str())["state"].clone(), asked(good.as_str())["code"].clone());
    let base = "https://app.test/.usher/callback";
    let untouched = browser.clone();
    for query in [
        String::new(),
        format!("?code={code}"),
        format!("?state={state}"),
        format!("?code={code}&state="),
        format!("?code={code}&state=AAAA"),
        format!("?code={code}&state={state}&state={state}"),
        format!("?code={code}&code={code}&state={state}"),
        format!("?code={code}&code=other&state={state}"),
        format!("?code={code}&state={state}&error=access_denied"),
        format!("?code={code}&state={state}&iss=a&iss=a"),
        format!("?code={code}&state={state}&iss=https://evil.test"),
    ] {
        let mut browser = untouched.clone();
        assert_refused(&scene, &browser.visit(&format!("{base}{query}")).await, 400, 0);
    }
    // Another browser, which may have a sign-in of its own under way (login CSRF, O02).
    let mut victim = self::browser(&scene);
    assert_refused(&scene, &victim.visit(good.as_str()).await, 400, 0);
    begin(&mut victim, "/y").await;
    assert_refused(&scene, &victim.visit(good.as_str()).await, 400, 0);
    // Once is right, twice is not.
    browser.visit(good.as_str()).await.assert_status(303);
    assert_refused(&scene, &browser.visit(good.as_str()).await, 400, 1);
    // Too late.
    let late = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    scene.clock.advance(Duration::from_secs(601));
    assert_refused(&scene, &browser.visit(late.as_str()).await, 400, 1);
}

#[tokio::test]
async fn a_stolen_code_is_of_no_use_in_another_sign_in() {
    let scene = scene().await;
    let (mut victim, mut attacker) = (browser(&scene), browser(&scene));
    let stolen = up_to_callback(&mut victim, &scene.issuer, "root").await;
    let own = up_to_callback(&mut attacker, &scene.issuer, "alice").await;
    let injected = format!(
        "https://app.test/.usher/callback?code={}&state={}",
        asked(stolen.as_str())["code"],
        asked(own.as_str())["state"]
    );
    // The token request carries the attacker's verifier, which the code was not given out for.
    assert_refused(&scene, &attacker.visit(&injected).await, 400, 1);
}

#[tokio::test]
async fn an_id_token_that_is_not_of_this_sign_in_begins_no_session() {
    let scene = scene().await;
    let now = scene.clock.now().0;
    let cases = [
        json!({ "nonce": "another one" }),
        json!({ "nonce": null }),
        json!({ "nonce": 7 }),
        json!({ "aud": "somebody-else" }),
        json!({ "aud": ["usher", "other"], "azp": "other" }),
        json!({ "aud": ["usher", "other"] }),
        json!({ "iss": "https://evil.test" }),
        json!({ "sub": "root" }),
        json!({ "sub": null }),
        json!({ "exp": now - 60 }),
        json!({ "exp": null }),
        json!({ "iat": now + 600 }),
        json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }),
        json!({ "": null }),
    ];
    for (index, changed) in cases.into_iter().enumerate() {
        let mut browser = browser(&scene);
        scene.issuer.change_id_tokens(changed.clone());
        let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
        let answer = browser.visit(callback.as_str()).await;
        assert_eq!(answer.status, 502, "{changed}");
        assert_refused(&scene, &answer, 502, index + 1);
    }
    scene.issuer.change_id_tokens(json!({ "aud": ["usher", "other"], "azp": "usher" }));
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    browser.visit(callback.as_str()).await.assert_status(303);
}

#[tokio::test]
async fn an_access_token_that_does_not_count_begins_no_session() {
    let scene = scene().await;
    for answer in [TokenAnswer::OtherIssuer, TokenAnswer::OtherSubject("root"), TokenAnswer::InvalidClient] {
        scene.issuer.next([answer]);
        let mut browser = browser(&scene);
        let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
        let before = scene.issuer.token_requests();
        assert_refused(&scene, &browser.visit(callback.as_str()).await, 502, before + 1);
    }
}

#[tokio::test]
async fn a_response_of_another_issuer_is_a_mix_up_and_reaches_no_token_endpoint() {
    let clock = Clock::adjustable();
    let (honest, evil) = (Issuer::start(&clock).await, Issuer::start(&clock).await);
    honest.name_itself();
    evil.name_itself();
    let second = "
  evil:
    issuer: $EVIL
    insecure_http: true
    client_id: usher
    client_secret: '$CLIENT_SECRET'
    audiences: [usher]
    algorithms: [ES256]
";
    let sites = SITES.replace("issuer: main\n", "issuer: [main, evil]\n");
    let yaml = format!("{}{second}{sites}", ISSUERS.trim_end()).replace("$EVIL", &evil.url());
    let scene = Scene::with(&yaml, Upstream::start().await, honest, clock).await;
    let mut browser = browser(&scene);
    let right = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    let query = right.query().unwrap();
    let without = query.split("&iss=").next().unwrap();
    let other: String = url::form_urlencoded::byte_serialize(evil.url().as_bytes()).collect();
    let untouched = browser.clone();
    for query in [without.to_owned(), format!("{without}&iss={other}"), format!("{query}&iss={other}")] {
        let mut browser = untouched.clone();
        let answer = browser.visit(&format!("https://app.test/.usher/callback?{query}")).await;
        assert_refused(&scene, &answer, 400, 0);
    }
    assert_eq!(evil.token_requests(), 0);
    browser.visit(right.as_str()).await.assert_status(303);
    // A user who wants the other one may say so; a stranger is none.
    let answer = browser.visit("https://app.test/.usher/sign-in?issuer=evil").await;
    assert!(answer.header("location").unwrap().starts_with(&evil.url()), "{answer:?}");
    browser.visit("https://app.test/.usher/sign-in?issuer=nobody").await.assert_status(404);
}

#[tokio::test]
async fn a_new_sign_in_replaces_the_session_that_was_there() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    // Whatever an attacker has put there before does not survive (fixation).
    browser.jar = Jar::of(&[("__Host-usher-access", "preset"), ("__Host-usher-refresh", "preset")]);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    browser.visit(callback.as_str()).await.assert_status(303);
    let alice = browser.jar.clone();
    let callback = up_to_callback(&mut browser, &scene.issuer, "root").await;
    browser.visit(callback.as_str()).await.assert_status(303);
    let answer = browser.visit("https://app.test/x").await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["root"]);
    scene.send(get("https://app.test/x").cookies(&alice)).await.assert_status(401);
}

#[tokio::test]
async fn nothing_but_a_navigation_mints_a_state() {
    let scene = scene().await;
    let entrance = "https://app.test/.usher/sign-in?rd=/x";
    for ask in [
        get(entrance),
        get(entrance).header("accept", "application/json"),
        get(entrance).header("accept", "text/html").header("x-requested-with", "XMLHttpRequest"),
        get(entrance).header("sec-fetch-mode", "cors").header("accept", "text/html"),
        get(entrance).header("sec-fetch-mode", "no-cors").header("sec-fetch-dest", "image"),
        get(entrance).header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "iframe"),
        get(entrance).navigation().header("sec-purpose", "prefetch;prerender"),
        get(entrance).navigation().header("purpose", "prefetch"),
    ] {
        let answer = scene.send(ask).await;
        answer.assert_status(403);
        assert_eq!(answer.set_cookies(), []);
    }
    scene.send(post(entrance).navigation().header("origin", "https://app.test")).await.assert_status(405);
    assert_eq!(scene.issuer.asked().discovery, 0);
}

#[tokio::test]
async fn a_form_without_a_session_is_told_that_it_was_not_delivered() {
    let scene = scene().await;
    let form = || post("https://app.test/transfer").navigation().header("origin", "https://app.test").body("to=bob");
    let answer = scene.send(form().header("referer", "https://app.test/form?step=2")).await;
    answer.assert_status(401);
    assert!(answer.text().contains("not delivered"), "{}", answer.text());
    let text = answer.text().replace("&#x2f;", "/");
    assert!(text.contains("/.usher/sign-in?rd=%2Fform%3Fstep%3D2"), "{text}");
    assert_eq!(answer.set_cookies(), []);
    // Another site's page is nothing to come back to.
    let answer = scene.send(form().header("referer", "https://evil.test/form")).await;
    assert!(answer.text().replace("&#x2f;", "/").contains("/.usher/sign-in?rd=%2F\""), "{}", answer.text());
    assert!(scene.upstream.seen().is_empty());
}

#[tokio::test]
async fn wherever_rd_points_the_browser_stays_on_the_site() {
    let scene = scene().await;
    for rd in [
        "//evil.test",
        "/\\evil.test",
        "/\t/evil.test",
        "/%09/evil.test",
        "https://evil.test/",
        "https:evil.test",
        "https://app.test@evil.test",
        "javascript:alert(1)",
        "/.usher/sign-out",
        "/.usher/sign-in?rd=//evil.test",
        "https://admin.test/x",
        "/x\r\nSet-Cookie: a=b",
        "",
    ] {
        let mut browser = browser(&scene);
        let url = begin(&mut browser, rd).await;
        let answer = browser.visit(scene.issuer.authorize(&url, "alice").as_str()).await;
        assert_eq!(answer.assert_status(303).header("location"), Some("/"), "{rd}");
    }
    let mut browser = browser(&scene);
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/a&rd=//evil.test").await;
    let callback = scene.issuer.authorize(answer.header("location").unwrap(), "alice");
    assert_eq!(browser.visit(callback.as_str()).await.header("location"), Some("/"));
}

#[tokio::test]
async fn a_browser_that_loses_its_session_is_told_so_instead_of_going_in_circles() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    for _ in 0..3 {
        let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
        browser.visit(callback.as_str()).await.assert_status(303);
        for name in ["__Host-usher-access", "__Host-usher-refresh"] {
            browser.jar.remove(name);
        }
    }
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    assert_refused(&scene, &answer, 508, 3);
    assert!(answer.text().contains("cookies"), "{}", answer.text());
    // Whoever has read that may try again.
    browser.visit("https://app.test/.usher/sign-in?rd=/x").await.assert_status(302);
}

#[tokio::test]
async fn a_loop_with_a_session_in_place_is_the_application_s_doing() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    for _ in 0..3 {
        let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
        browser.visit(callback.as_str()).await.assert_status(303);
    }
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    assert!(answer.assert_status(508).text().contains("the application asks"), "{}", answer.text());
}

#[tokio::test]
async fn an_issuer_that_is_down_makes_signing_in_wait_and_not_fail_for_good() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    scene.issuer.set_down(true);
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    assert_refused(&scene, &answer, 503, 0);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.set_cookies(), []);
    scene.issuer.set_down(false);
    scene.clock.advance(Duration::from_secs(10));
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    scene.issuer.next([TokenAnswer::Status(503, None)]);
    let answer = browser.visit(callback.as_str()).await;
    assert_refused(&scene, &answer, 503, 1);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_route_of_another_issuer_sends_people_to_that_one() {
    let clock = Clock::adjustable();
    let (main, other) = (Issuer::start(&clock).await, Issuer::start(&clock).await);
    let second = "
  other:
    issuer: $OTHER
    insecure_http: true
    client_id: usher
    client_secret: '$CLIENT_SECRET'
    audiences: [usher]
    algorithms: [ES256]
";
    let sites = SITES.replace("{ path: /reports/, methods: [GET] }", "{ path: /reports/, issuer: other }");
    let yaml = format!("{}{second}{sites}", ISSUERS.trim_end()).replace("$OTHER", &other.url());
    let scene = Scene::with(&yaml, Upstream::start().await, main, clock).await;
    let mut browser = browser(&scene);
    let answer = browser.visit("https://app.test/reports/x").await;
    let entrance = format!("https://app.test{}", answer.assert_status(302).header("location").unwrap());
    let answer = browser.visit(&entrance).await;
    assert!(answer.assert_status(302).header("location").unwrap().starts_with(&other.url()), "{answer:?}");
}

#[tokio::test]
async fn a_session_secret_that_has_changed_meanwhile_ends_the_sign_in_and_not_the_gateway() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    let yaml = format!("{ISSUERS}session: {{ secret: another secret of the tests 0123456789 }}\n{SITES}");
    let yaml = yaml.replace("$ISSUER", &scene.issuer.url()).replace("$UPSTREAM", &scene.upstream.url());
    let gateway =
        Gateway::start(&yaml.replace("$CLIENT_SECRET", crate::harness::issuer::CLIENT_SECRET), &scene.clock).await;
    let mut elsewhere = Browser::new(gateway.client());
    elsewhere.jar = browser.jar.clone();
    assert_refused(&scene, &elsewhere.visit(callback.as_str()).await, 400, 0);
}

#[tokio::test]
async fn where_the_id_token_is_the_identity_a_logout_token_and_one_for_another_client_are_none() {
    let issuers = ISSUERS.replace("audiences: [usher]", "identity: id_token");
    let scene = Scene::start(&format!("{issuers}{SITES}")).await;
    let id_token = || scene.issuer.token("alice").head("typ", "JWT").claim("aud", "usher").claim("at_hash", "x");
    let send = async |token: &crate::harness::tokens::Token| {
        let token = scene.issuer.sign(token);
        scene.send(get("https://app.test/x").bearer(&token)).await.status.as_u16()
    };
    assert_eq!(send(&id_token()).await, 200);
    assert_eq!(send(&id_token().claim("aud", "another-client")).await, 401);
    // OIDC Core §3.1.3.7: who it was issued to is one of its audience at most.
    assert_eq!(send(&id_token().claim("azp", "another-client")).await, 401);
    assert_eq!(send(&id_token().claim("azp", json!(["usher"]))).await, 401);
    assert_eq!(send(&id_token().claim("aud", json!(["usher", "another-client"]))).await, 401);
    assert_eq!(send(&id_token().claim("aud", json!(["usher", "another-client"])).claim("azp", "usher")).await, 200);
    assert_eq!(send(&id_token().claim("aud", json!(["usher"]))).await, 200);
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    assert_eq!(send(&id_token().claim("events", event)).await, 401);
    // An answer without an ID token begins no session.
    scene.issuer.change_id_tokens(json!({ "": null }));
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    assert_refused(&scene, &browser.visit(callback.as_str()).await, 502, 1);
}

#[tokio::test]
async fn a_browser_carries_the_request_only_when_nobody_has_refused_it() {
    for (refusal, must, status) in
        [(503, false, 302), (429, false, 302), (503, true, 503), (400, false, 502), (401, false, 502), (400, true, 502)]
    {
        let clock = Clock::adjustable();
        let issuer = Issuer::start(&clock).await;
        issuer.take_no_pushed_request(refusal, must);
        let scene = Scene::with(&format!("{ISSUERS}{SITES}"), Upstream::start().await, issuer, clock).await;
        let answer = browser(&scene).visit("https://app.test/.usher/sign-in?rd=/x").await;
        assert_eq!(answer.status, status, "{refusal}, and must be pushed: {must}");
        assert_eq!(answer.set_cookies().len(), usize::from(status == 302), "no state without somewhere to go");
    }
}

#[tokio::test]
async fn a_sign_in_comes_back_to_the_very_port_that_it_began_at() {
    let scene = scene().await;
    for (host, redirect_uri) in [
        ("app.test:8443", "https://app.test:8443/.usher/callback"),
        ("app.test:443", "https://app.test/.usher/callback"),
        ("APP.test", "https://app.test/.usher/callback"),
    ] {
        let entrance = get("https://app.test/.usher/sign-in?rd=/x").header("host", host).navigation();
        let answer = scene.send(entrance).await;
        let location = answer.assert_status(302).header("location").unwrap();
        assert_eq!(asked(location)["redirect_uri"], redirect_uri);
        let callback = scene.issuer.authorize(location, "alice");
        let mut jar = Jar::default();
        jar.take(&answer.headers);
        let elsewhere = get(&format!("https://app.test{}?{}", callback.path(), callback.query().unwrap()));
        let answer = scene.send(elsewhere.header("host", "app.test:9443").navigation().cookies(&jar)).await;
        assert_refused(&scene, &answer, 400, 0);
    }
}

#[tokio::test]
async fn the_cookies_of_an_existing_service_take_the_tokens_of_a_sign_in_as_well() {
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{SITES}")).await;
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    browser.visit(callback.as_str()).await.assert_status(303);
    assert_eq!(browser.jar.names(), ["__Host-usher-attempts", "at", "rt"]);
    let answer = browser.visit("https://app.test/x").await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    // Whose they are they do not say: better not revoked than taking the new ones along.
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    browser.visit(callback.as_str()).await.assert_status(303);
    browser.visit("https://app.test/x").await.assert_status(200);
    assert_eq!(scene.issuer.asked().revocations, [] as [String; 0]);
}

#[tokio::test]
async fn a_sign_in_that_fails_at_the_very_end_leaves_the_session_that_was_there() {
    let issuers = ISSUERS.replace("audiences: [usher]", "identity: id_token");
    let scene = Scene::start(&format!("{issuers}{SITES}")).await;
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    browser.visit(callback.as_str()).await.assert_status(303);
    // Everything is right with this one, but no browser keeps it.
    scene.issuer.change_id_tokens(json!({ "filler": "x".repeat(12_000) }));
    let callback = up_to_callback(&mut browser, &scene.issuer, "root").await;
    assert_refused(&scene, &browser.visit(callback.as_str()).await, 502, 2);
    let answer = browser.visit("https://app.test/x").await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
}

#[tokio::test]
async fn a_page_after_a_failed_sign_in_leads_back_to_where_the_link_led() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    let deep_link = "/reports/2026?from=1&to=2";
    let again = |answer: &Answer, rd: &str| {
        let text = answer.text().replace("&#x2f;", "/");
        assert!(text.contains(&format!("\"/.usher/sign-in{rd}\"")), "{text}");
    };
    let rd = "?rd=%2Freports%2F2026%3Ffrom%3D1%26to%3D2";
    // The issuer says no, the token endpoint says no, and somebody has been away for too long.
    let url = begin(&mut browser, deep_link).await;
    let callback = format!("https://app.test/.usher/callback?error=access_denied&state={}", asked(&url)["state"]);
    again(browser.visit(&callback).await.assert_status(403), rd);
    scene.issuer.next([TokenAnswer::InvalidClient]);
    let url = begin(&mut browser, deep_link).await;
    again(browser.visit(scene.issuer.authorize(&url, "alice").as_str()).await.assert_status(502), rd);
    let url = begin(&mut browser, deep_link).await;
    scene.clock.advance(Duration::from_secs(601));
    again(browser.visit(scene.issuer.authorize(&url, "alice").as_str()).await.assert_status(400), rd);
    // Where nothing is known, nothing is made up.
    again(browser.visit("https://app.test/.usher/callback?code=x&state=y").await.assert_status(400), "");
}

#[tokio::test]
async fn once_more_is_with_the_issuer_that_somebody_had_chosen() {
    let clock = Clock::adjustable();
    let (main, other) = (Issuer::start(&clock).await, Issuer::start(&clock).await);
    let second = format!(
        "  other: {{ issuer: '{}', insecure_http: true, client_id: usher, client_secret: x, audiences: [usher] }}\n",
        other.url()
    );
    let sites = SITES.replace("issuer: main\n", "issuer: [main, other]\n");
    let yaml = format!("{}\n{second}{sites}", ISSUERS.trim_end());
    let scene = Scene::with(&yaml, Upstream::start().await, main, clock).await;
    let mut browser = browser(&scene);
    for (chosen, once_more) in [
        ("rd=/x&issuer=other", "\"/.usher/sign-in?rd=%2Fx&amp;issuer=other\""),
        ("rd=/x&issuer=main", "\"/.usher/sign-in?rd=%2Fx\""),
        ("rd=/x", "\"/.usher/sign-in?rd=%2Fx\""),
    ] {
        let answer = browser.visit(&format!("https://app.test/.usher/sign-in?{chosen}")).await;
        let state = asked(answer.assert_status(302).header("location").unwrap())["state"].clone();
        let callback = format!("https://app.test/.usher/callback?error=access_denied&state={state}");
        let page = browser.visit(&callback).await.assert_status(403).text().replace("&#x2f;", "/");
        assert!(page.contains(once_more), "{chosen}: {page}");
    }
}

#[tokio::test]
async fn a_state_is_good_for_one_token_request_whatever_the_browser_sends_again() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    // Somebody reloads the slow page: the cookie of the state is sent once more.
    let mut reloaded = browser.clone();
    browser.visit(callback.as_str()).await.assert_status(303);
    assert_refused(&scene, &reloaded.clone().visit(callback.as_str()).await, 400, 1);
    // Who has the session by then is where they wanted to be.
    for name in browser.jar.names() {
        reloaded.jar.put(name, browser.jar.value(name).unwrap());
    }
    let answer = reloaded.clone().visit(callback.as_str()).await;
    assert_eq!(answer.assert_status(303).header("location"), Some("/x"));
    assert_eq!((session_cookies(&answer), scene.issuer.token_requests()), (vec![], 1));
    browser.visit("https://app.test/x").await.assert_status(200);
    // Another configuration remembers it.
    scene.reload(&format!("{ISSUERS}{}", SITES.replace("1MiB", "2MiB"))).await.unwrap();
    let answer = reloaded.visit(callback.as_str()).await;
    assert_eq!((answer.assert_status(303).header("location"), scene.issuer.token_requests()), (Some("/x"), 1));
}

#[tokio::test]
async fn a_state_whose_token_request_is_under_way_is_not_sent_another_one() {
    let scene = scene().await;
    let mut browser = browser(&scene);
    let callback = up_to_callback(&mut browser, &scene.issuer, "alice").await;
    let mut reloaded = browser.clone();
    scene.issuer.hold();
    let url = callback.clone();
    let slow = tokio::spawn(async move { browser.visit(url.as_str()).await });
    eventually("the code is being exchanged", || scene.issuer.token_requests() == 1).await;
    assert_refused(&scene, &reloaded.visit(callback.as_str()).await, 400, 1);
    scene.issuer.release();
    slow.await.unwrap().assert_status(303);
}
