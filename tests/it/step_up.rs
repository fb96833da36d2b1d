//! Step-up (RFC 9470): routes that ask how, and how recently, somebody has signed in, and what a sign-in at an authorization
//! server does about it.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::harness::scene::{ISSUERS, echoed};
use crate::harness::{Answer, Browser, Scene, TokenAnswer, get, post};
use crate::sign_in::Ring;

const ACCESS: &str = "__Host-usher-access";

/// One route for each kind of condition, and one for each mixture. `$UPSTREAM` is filled in.
pub(crate) const SITES: &str = "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: { X-User-Id: sub }
    routes:
      - path: /
      - { path: /gold/, require: { acr: [gold, platinum] } }
      - { path: /fresh/, require: { max_age: 15m } }
      - { path: /both/, require: { acr: gold, max_age: 15m } }
      - { path: /admin/, require: { realm_access.roles: admin, acr: gold } }
";

/// The usual issuer with more keys; Usher's own cookies.
pub(crate) async fn scene(keys: &str) -> Scene {
    Scene::start(&format!("{}\n{keys}{SITES}", ISSUERS.trim_end())).await
}

pub(crate) fn browser(scene: &Scene) -> Browser {
    Browser::new(scene.client())
}

/// What the authorization request says that the browser is sent away with from this page: past the entrance.
pub(crate) async fn sent_away(browser: &mut Browser, page: &str) -> Url {
    let answer = browser.visit(page).await;
    let entrance = Url::parse("https://app.test").unwrap().join(answer.assert_status(302).header("location").unwrap());
    let answer = browser.visit(entrance.unwrap().as_str()).await;
    answer.assert_status(302).header("location").unwrap().parse().unwrap()
}

pub(crate) fn asked(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// Goes to a page, signs in where that leads, and comes back to whatever the callback answers.
pub(crate) async fn sign_in(scene: &Scene, browser: &mut Browser, page: &str) -> Answer {
    let url = sent_away(browser, page).await;
    let callback = scene.issuer.authorize(url.as_str(), "alice");
    browser.visit(callback.as_str()).await
}

fn at(scene: &Scene, seconds_ago: u64) -> Value {
    json!(scene.clock.now().0 - seconds_ago)
}

#[tokio::test]
async fn a_program_gets_the_challenge_of_rfc_9470_and_passes_with_a_token_that_meets_it() {
    let scene = scene("").await;
    let ask = async |path: &str, claims: Value| {
        let mut token = scene.issuer.token("alice");
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        scene.send(get(&format!("https://app.test{path}")).bearer(&scene.issuer.sign(&token))).await
    };
    let begins = "Bearer error=\"insufficient_user_authentication\", error_description=\"A different or more recent authentication is required\"";
    for (path, wanted, claims) in [
        ("/gold/x", r#"acr_values="gold platinum""#, json!({})),
        ("/gold/x", r#"acr_values="gold platinum""#, json!({ "acr": "silver", "auth_time": at(&scene, 0) })),
        ("/fresh/x", r#"max_age="900""#, json!({ "acr": "gold" })),
        ("/fresh/x", r#"max_age="900""#, json!({ "auth_time": at(&scene, 1_000) })),
        ("/both/x", r#"acr_values="gold", max_age="900""#, json!({ "acr": "gold", "auth_time": at(&scene, 1_000) })),
        ("/both/x", r#"acr_values="gold", max_age="900""#, json!({ "acr": "silver", "auth_time": at(&scene, 0) })),
    ] {
        let answer = ask(path, claims.clone()).await;
        let challenge = answer.assert_status(401).header("www-authenticate");
        assert_eq!(challenge, Some(&*format!("{begins}, {wanted}")), "{path} {claims}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(scene.upstream.count(), 0, "the application has seen nothing of it");
    for (path, claims) in [
        ("/gold/x", json!({ "acr": "platinum" })),
        ("/fresh/x", json!({ "auth_time": at(&scene, 800) })),
        ("/both/x", json!({ "acr": "gold", "auth_time": at(&scene, 0) })),
    ] {
        ask(path, claims).await.assert_status(200);
    }
}

#[tokio::test]
async fn what_signing_in_again_cannot_mend_comes_first() {
    let scene = scene("").await;
    let token = scene.issuer.access_token("alice");
    let answer = scene.send(get("https://app.test/admin/x").bearer(&token)).await;
    assert_eq!(answer.assert_status(403).header("www-authenticate"), None);
    let root = scene.issuer.access_token("root");
    scene.send(get("https://app.test/admin/x").bearer(&root)).await.assert_status(401);
}

#[tokio::test]
async fn a_sign_in_gets_old_on_the_second_that_max_age_says() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    scene.issuer.change_id_tokens(json!({ "auth_time": at(&scene, 600) }));
    sign_in(&scene, &mut browser, "https://app.test/fresh/x").await.assert_status(303);
    scene.clock.advance(Duration::from_secs(240));
    browser.visit("https://app.test/fresh/x").await.assert_status(200);
    scene.clock.advance(Duration::from_secs(62));
    browser.visit("https://app.test/fresh/x").await.assert_status(302);
    browser.visit("https://app.test/x").await.assert_status(200);
}

#[tokio::test]
async fn a_browser_signs_in_as_the_page_wants_and_renewals_keep_what_was_proven() {
    let scene = scene("    authorization_parameters: { acr_values: bronze, max_age: 7, prompt: login }\n").await;
    let mut browser = browser(&scene);
    let url = sent_away(&mut browser, "https://app.test/x").await;
    assert_eq!((asked(&url, "acr_values").as_deref(), asked(&url, "max_age").as_deref()), (Some("bronze"), Some("7")));
    browser.visit(scene.issuer.authorize(url.as_str(), "alice").as_str()).await.assert_status(303);
    browser.visit("https://app.test/x").await.assert_status(200);

    // What the route wants is asked for instead of what is configured, each once, and it is the page that one comes back to.
    let url = sent_away(&mut browser, "https://app.test/gold/x?a=b%20c").await;
    assert_eq!(
        (asked(&url, "acr_values").as_deref(), asked(&url, "max_age").as_deref()),
        (Some("gold platinum"), Some("7"))
    );
    let url = sent_away(&mut browser, "https://app.test/both/x").await;
    let named =
        |name: &str| url.query_pairs().filter(|(found, _)| found == name).map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!((named("acr_values"), named("max_age")), (vec!["gold".into()], vec!["900".into()]));
    assert_eq!(asked(&url, "prompt").as_deref(), Some("login"));
    scene.issuer.change_id_tokens(json!({ "acr": "gold", "auth_time": at(&scene, 2) }));
    let before = browser.jar.clone();
    let answer = browser.visit(scene.issuer.authorize(url.as_str(), "alice").as_str()).await;
    assert_eq!(answer.assert_status(303).header("location"), Some("/both/x"));
    browser.visit("https://app.test/both/x").await.assert_status(200);
    let old = scene.send(get("https://app.test/x").cookies(&before)).await;
    old.assert_status(401);

    // A renewal is no sign-in, and its ID token proves nothing new, be it more or less.
    let (_, key) = scene.issuer.key();
    for (acr, seconds) in [("platinum", 0), ("bronze", 3_600)] {
        let now = scene.clock.now().0;
        let claims = json!({ "acr": acr, "auth_time": now - seconds, "aud": "usher", "iat": now, "exp": now + 600 });
        let mut token = scene.issuer.token("alice").head("typ", "JWT");
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        scene.clock.advance(Duration::from_secs(301));
        scene.issuer.next([TokenAnswer::IdToken(token.sign(&key).leak())]);
        let asked_before = scene.issuer.token_requests();
        browser.visit("https://app.test/both/x").await.assert_status(200);
        assert_eq!(scene.issuer.token_requests(), asked_before + 1, "a renewal");
    }
    scene.clock.advance(Duration::from_secs(400));
    browser.visit("https://app.test/both/x").await.assert_status(302);
}

#[tokio::test]
async fn a_script_finds_where_to_sign_in_and_a_form_gets_a_page_that_leads_there() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    sign_in(&scene, &mut browser, "https://app.test/x").await.assert_status(303);
    let page = "https://app.test/both/form?step=2";
    let entrance = "/.usher/sign-in?rd=%2Fboth%2Fform%3Fstep%3D2&acr_values=gold&max_age=900";
    let script = get("https://app.test/both/data").header("sec-fetch-mode", "cors").header("referer", page);
    let answer = scene.send(script.cookies(&browser.jar)).await;
    assert_eq!(answer.assert_status(401).json()["login_url"], json!(entrance));
    assert!(answer.header("www-authenticate").unwrap().contains("insufficient_user_authentication"));
    assert_eq!(answer.set_cookies(), [], "nothing begins, and nothing ends");

    let form = post("https://app.test/both/form").navigation().header("origin", "https://app.test");
    let answer = scene.send(form.header("referer", page).cookies(&browser.jar)).await;
    let text = answer.assert_status(401).text();
    assert!(text.contains("Please sign in again") && text.contains("was not delivered"), "{text}");
    let written = entrance.replace('&', "&amp;").replace('/', "&#x2f;");
    assert!(text.contains(&format!("href=\"{written}\"")), "{text}");
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_server_that_does_not_honour_what_was_asked_is_told_of_on_a_page_and_the_session_stays() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    sign_in(&scene, &mut browser, "https://app.test/x").await.assert_status(303);
    let now = scene.clock.now().0;
    for (path, id_token) in [
        ("/gold/x", json!({})),
        ("/gold/x", json!({ "acr": "silver" })),
        ("/fresh/x", json!({ "acr": "gold" })),
        ("/fresh/x", json!({ "auth_time": now - 3_600 })),
        ("/fresh/x", json!({ "auth_time": now + 3_600 })),
        ("/fresh/x", json!({ "auth_time": "now" })),
        ("/both/x", json!({ "acr": "gold", "auth_time": now - 3_600 })),
    ] {
        scene.issuer.change_id_tokens(id_token.clone());
        let page = format!("https://app.test{path}");
        let session = browser.jar.clone();
        let answer = sign_in(&scene, &mut browser, &page).await;
        let text = answer.assert_status(403).text();
        assert!(text.contains("Signing in was not enough"), "{id_token} {text}");
        assert_eq!(answer.header("location"), None);
        // Once more when the user wants it, asking for the same; or away from there.
        let again = text.split_once("class=\"button\" href=\"").unwrap().1.split_once('"').unwrap().0;
        let again = again.replace("&#x2f;", "/").replace("&amp;", "&");
        let wanted = if path.starts_with("/fresh") { "max_age=900" } else { "acr_values=gold" };
        assert!(again.starts_with("/.usher/sign-in?rd=") && again.contains(wanted), "{again}");
        assert!(text.contains("front page"), "{text}");
        assert_eq!(browser.jar, session, "the session is what it was");
        browser.visit("https://app.test/x").await.assert_status(200);
    }
    // The server says so itself: OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
    let url = sent_away(&mut browser, "https://app.test/gold/x").await;
    let state = asked(&url, "state").unwrap();
    let callback = format!("https://app.test/.usher/callback?error=unmet_authentication_requirements&state={state}");
    assert!(browser.visit(&callback).await.assert_status(403).text().contains("Signing in was not enough"));
    browser.visit("https://app.test/x").await.assert_status(200);
}

#[tokio::test]
async fn a_token_that_says_less_than_the_id_token_beside_it_is_no_reason_to_go_in_circles() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    scene.issuer.change_id_tokens(json!({ "acr": "gold", "auth_time": at(&scene, 0) }));
    scene.issuer.change_access_tokens(json!({ "acr": "silver" }));
    sign_in(&scene, &mut browser, "https://app.test/gold/x").await.assert_status(403);
    scene.issuer.change_access_tokens(json!({ "acr": "gold" }));
    sign_in(&scene, &mut browser, "https://app.test/gold/x").await.assert_status(303);
    browser.visit("https://app.test/gold/x").await.assert_status(200);
    // An ID token that is asked for a time must tell it, whatever the token beside it does (OIDC Core §3.1.3.7).
    scene.issuer.change_access_tokens(json!({ "auth_time": at(&scene, 0) }));
    scene.issuer.change_id_tokens(json!({ "acr": "gold" }));
    let mut other = self::browser(&scene);
    sign_in(&scene, &mut other, "https://app.test/fresh/x").await.assert_status(403);
    // What the token says from now on is what counts.
    scene.issuer.change_access_tokens(json!({ "acr": "silver" }));
    browser.jar.remove(ACCESS);
    browser.visit("https://app.test/gold/x").await.assert_status(302);
}

#[tokio::test]
async fn whoever_is_signed_in_with_the_second_issuer_of_a_route_signs_in_again_there() {
    let others = "
  first: { issuer: 'https://id.example.com', client_id: usher, audiences: [usher] }
";
    let scene =
        Scene::start(&format!("{ISSUERS}{others}{}", SITES.replace("issuer: main", "issuer: [first, main]"))).await;
    let mut browser = browser(&scene);
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x&issuer=main").await;
    let url = answer.assert_status(302).header("location").unwrap().to_owned();
    browser.visit(scene.issuer.authorize(&url, "alice").as_str()).await.assert_status(303);
    browser.visit("https://app.test/x").await.assert_status(200);
    scene.issuer.change_id_tokens(json!({ "acr": "silver" }));
    let answer = sign_in(&scene, &mut browser, "https://app.test/gold/x").await;
    // There the link to try again leads, too.
    assert!(
        answer.assert_status(403).text().contains("acr_values=gold%20platinum&amp;issuer=main"),
        "{}",
        answer.text()
    );
    scene.issuer.change_id_tokens(json!({ "acr": "gold" }));
    sign_in(&scene, &mut browser, "https://app.test/gold/x").await.assert_status(303);
    browser.visit("https://app.test/gold/x").await.assert_status(200);
}

#[tokio::test]
async fn tabs_that_want_different_sign_ins_each_get_their_own() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    let pages = ["https://app.test/gold/x", "https://app.test/fresh/x", "https://app.test/x"];
    let mut callbacks = Vec::new();
    for page in pages {
        let url = sent_away(&mut browser, page).await;
        callbacks.push(scene.issuer.authorize(url.as_str(), "alice"));
    }
    scene.issuer.change_id_tokens(json!({ "auth_time": at(&scene, 0) }));
    for (callback, status) in callbacks.iter().zip([403, 303, 303]).rev() {
        browser.visit(callback.as_str()).await.assert_status(status);
    }
    browser.visit("https://app.test/fresh/x").await.assert_status(200);
}

async fn ring(what: &str, keys: &str) -> Option<Ring> {
    Ring::start_with_sites(what, &json!({}), keys, SITES).await
}

/// With access tokens that say nothing of the sign-in, and with ID tokens in their place.
const KINDS: [&str; 2] = ["audiences: [usher]", "identity: id_token"];

#[tokio::test]
async fn the_certified_server_is_asked_for_a_way_of_signing_in_and_gives_it() {
    for keys in KINDS {
        let Some(ring) = ring("step-up by acr_values at a certified server", keys).await else { return };
        let mut browser = ring.browser();
        browser.sign_in("https://app.test/x").await.1.assert_status(200);
        let (url, answer) = browser.sign_in("https://app.test/gold/x?a=b").await;
        assert_eq!((url.as_str(), answer.status.as_u16()), ("https://app.test/gold/x?a=b", 200), "{keys} {answer:?}");
        assert_eq!(echoed(&answer.json(), "x-user-id"), ["alice"]);
        // Renewed with an ID token that says the same, or without a word.
        browser.jar.remove(ACCESS);
        browser.visit("https://app.test/gold/x").await.assert_status(200);
        assert_eq!(ring.server.stats().await.token_requests, 3, "{keys}");
    }
}

#[tokio::test]
async fn the_certified_server_is_asked_for_a_recent_sign_in_and_sees_to_it() {
    for keys in KINDS {
        let Some(ring) = ring("step-up by max_age at a certified server", keys).await else { return };
        let mut browser = ring.browser();
        ring.server.next("sub=alice&ago=3600").await;
        browser.sign_in("https://app.test/x").await.1.assert_status(200);
        ring.server.next("sub=alice").await;
        let (url, answer) = browser.sign_in("https://app.test/both/x").await;
        assert_eq!((url.path(), answer.status.as_u16()), ("/both/x", 200), "{keys} {answer:?}");
    }
}

#[tokio::test]
async fn where_the_certified_server_does_not_honour_it_nobody_goes_in_circles() {
    for keys in KINDS {
        let Some(ring) = ring("step-up that a certified server ignores", keys).await else { return };
        for (outcome, page) in [("sub=alice&acr=ignored", "/gold/x"), ("sub=alice&ago=3600", "/fresh/x")] {
            ring.server.next(outcome).await;
            let mut browser = ring.browser();
            browser.sign_in("https://app.test/x").await.1.assert_status(200);
            let (url, answer) = browser.sign_in(&format!("https://app.test{page}")).await;
            assert_eq!((url.path(), answer.status.as_u16()), ("/.usher/callback", 403), "{keys} {outcome} {answer:?}");
            browser.visit("https://app.test/x").await.assert_status(200);
        }
    }
}
