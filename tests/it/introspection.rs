//! Access tokens that say nothing by themselves: the issuer is asked about them (RFC 7662), a real one and one that
//! misbehaves.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::issuer::IntrospectionAnswer;
use crate::harness::random::Random;
use crate::harness::scene::{SESSION, SITES, assert_renewed, echoed};
use crate::harness::tokens::Token;
use crate::harness::wait::PATIENCE;
use crate::harness::{Jar, Scene, eventually, get, post};
use crate::sign_in::Ring;
use crate::sign_out::signed_in;

const OPAQUE: &str = "
issuers:
  main:
    issuer: $ISSUER
    insecure_http: true
    client_id: usher
    client_secret: '$CLIENT_SECRET'
    identity: introspection
    audiences: [usher]
    leeway: 0s
    timeout: 1s
";

/// Raw cookies, so that a test can present any token.
async fn scene() -> Scene {
    Scene::start(&format!("{OPAQUE}{SESSION}{SITES}")).await
}

async fn certified(what: &str, cache: &str) -> Option<Ring> {
    let keys = format!("identity: introspection\naudiences: [usher]\nintrospection_cache: {cache}");
    Ring::start_with(what, &json!({ "accessTokenFormat": "opaque" }), &keys).await
}

#[tokio::test]
async fn who_signs_in_at_a_certified_server_with_opaque_tokens_is_known_by_what_it_says_of_them() {
    let Some(ring) = certified("introspection at a certified server", "30s").await else { return };
    let mut browser = ring.browser();
    let answer = browser.sign_in("https://app.test/x").await.1;
    let echo = answer.assert_status(200).json();
    assert_eq!((echoed(&echo, "x-user-id"), echoed(&echo, "x-user-roles")), (vec!["alice"], vec!["reader"]));
    browser.visit("https://app.test/admin/x").await.assert_status(403);
    for _ in 0..10 {
        browser.visit("https://app.test/x").await.assert_status(200);
    }
    assert_eq!(ring.server.stats().await.introspections, 1);
    // Without the access token, the refresh token decides, and what it brings is asked about before it counts.
    browser.jar.remove("__Host-usher-access");
    let answer = browser.visit("https://app.test/x").await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    let stats = ring.server.stats().await;
    assert_eq!((stats.token_requests, stats.reuses, stats.introspections), (2, 0, 2));
}

#[tokio::test]
async fn programs_bring_opaque_tokens_of_a_certified_server_and_nothing_else() {
    let Some(ring) = certified("opaque bearer tokens of a certified server", "30s").await else { return };
    let tokens = ring.server.sign_in("root", 300).await;
    assert!(!tokens.access_token.contains('.'), "it is opaque");
    let status = async |token: &str| ring.gateway.client().send(get("https://app.test/admin/x").bearer(token)).await;
    assert_eq!(status(&tokens.access_token).await.status, 200);
    for wrong in [tokens.refresh_token.as_str(), "garbage", &tokens.access_token[1..], "e30.e30.e30"] {
        let answer = status(wrong).await;
        assert!(answer.assert_status(401).header("www-authenticate").unwrap().contains("invalid_token"), "{wrong}");
    }
    let expired = ring.server.sign_in("root", -10).await;
    assert_eq!(status(&expired.access_token).await.status, 401);
}

#[tokio::test]
async fn a_revocation_at_a_certified_server_holds_within_the_time_that_answers_count() {
    let Some(ring) = certified("revocation at a certified server", "1s").await else { return };
    let tokens = ring.server.sign_in("alice", 300).await;
    let client = ring.gateway.client();
    let status = async || client.send(get("https://app.test/x").bearer(&tokens.access_token)).await.status.as_u16();
    assert_eq!(status().await, 200);
    ring.server.revoke(&tokens.access_token).await;
    let revoked = tokio::time::Instant::now();
    while status().await != 401 {
        assert!(revoked.elapsed() < PATIENCE, "the revoked token is never refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(revoked.elapsed() < Duration::from_secs(3), "{:?}", revoked.elapsed());
}

#[tokio::test]
async fn a_session_whose_access_token_is_not_active_any_more_is_renewed_once() {
    let scene = scene().await;
    let mut jar = scene.session("alice");
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    scene.issuer.revoke_access(jar.value("at").unwrap());
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    assert_eq!(scene.issuer.token_requests(), 0, "so long an answer counts");
    scene.clock.advance(Duration::from_secs(30));
    let client = scene.client();
    let answers = join_all((0..8).map(|_| client.send(get("https://app.test/x").cookies(&jar)))).await;
    for answer in &answers {
        assert_renewed(answer);
        assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    }
    assert_eq!(scene.issuer.token_requests(), 1);
    jar.take(&answers[0].headers);
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    // Without a refresh token there is nothing to go on with.
    let mut alone = scene.session("bob");
    alone.remove("rt");
    scene.issuer.revoke_access(alone.value("at").unwrap());
    let answer = scene.send(get("https://app.test/x").cookies(&alone)).await;
    assert!(answer.assert_status(401).set_cookies().iter().all(crate::harness::SetCookie::clears));
}

#[tokio::test]
async fn a_renewal_whose_new_token_is_not_active_lets_nobody_in_and_loses_nothing() {
    let scene = scene().await;
    let jar = scene.expired_session("alice");
    scene.issuer.introspect_with(IntrospectionAnswer::Text(r#"{"active":false}"#));
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(503);
    assert_eq!(scene.issuer.token_requests(), 1);
    scene.issuer.introspect_with(IntrospectionAnswer::Honest);
    scene.clock.advance(Duration::from_secs(10));
    assert_renewed(scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200));
    assert_eq!(scene.issuer.reuses(), 0);
}

#[tokio::test]
async fn an_issuer_that_gives_no_answer_is_503_and_never_anonymous_and_spends_no_refresh_token() {
    use IntrospectionAnswer as I;
    let scene = scene().await;
    let known = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&known)).await.assert_status(200);
    for (number, trouble) in [
        I::Status(500),
        I::Status(401),
        I::Status(503),
        I::Text("}{ not json"),
        I::Text("{}"),
        I::Text(r#"{"active":"true"}"#),
        I::Hang,
        I::Hangup,
    ]
    .into_iter()
    .enumerate()
    {
        scene.issuer.introspect_with(trouble.clone());
        let (user, jar) = (format!("user-{number}"), scene.session(&format!("user-{number}")));
        let bearer = scene.issuer.access_token(&user);
        for path in ["x", "optional/x"] {
            let url = format!("https://app.test/{path}");
            for ask in [get(&url).bearer(&bearer), get(&url).cookies(&jar)] {
                let answer = scene.send(ask).await;
                assert!(answer.assert_status(503).header("retry-after").is_some(), "{trouble:?}");
                assert!(answer.set_cookies().is_empty(), "{trouble:?}: the session is kept");
            }
        }
        assert_eq!(scene.issuer.token_requests(), 0, "{trouble:?}");
        // Whoever is known goes on.
        scene.send(get("https://app.test/x").bearer(&known)).await.assert_status(200);
        scene.issuer.introspect_with(I::Honest);
        for ask in [get("https://app.test/x").bearer(&bearer), get("https://app.test/x").cookies(&jar)] {
            scene.send(ask).await.assert_status(200);
        }
    }
}

#[tokio::test]
async fn what_an_issuer_says_of_a_token_for_others_lets_nobody_in() {
    let scene = scene().await;
    for claims in [
        json!({ "aud": "other" }),
        json!({ "aud": null }),
        json!({ "iss": "https://evil.test" }),
        json!({ "exp": null }),
        json!({ "cnf": { "jkt": "x" } }),
        json!({ "token_type": "refresh_token" }),
        json!({ "token_type": "DPoP" }),
        json!({ "sub": "a\r\nX-User-Id: root" }),
    ] {
        scene.issuer.introspect_with(IntrospectionAnswer::Claims(claims.clone()));
        let token = scene.issuer.sign(&scene.issuer.token("root").claim("jti", claims.to_string()));
        let before = scene.upstream.count();
        scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(401);
        assert_eq!(scene.upstream.count(), before, "{claims}");
    }
    scene.issuer.introspect_with(IntrospectionAnswer::Honest);
    scene.assert_well().await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_question_of_others_along() {
    let scene = scene().await;
    scene.issuer.delay_introspection(Duration::from_millis(300));
    let token = scene.issuer.access_token("alice");
    let mut first = scene.client().connect("app.test").await;
    let asking = tokio::spawn({
        let ask = get("https://app.test/x").bearer(&token);
        async move { first.send(ask).await }
    });
    eventually("the question is asked", || scene.issuer.introspected().len() == 1).await;
    asking.abort();
    let client = scene.client();
    let others = join_all((0..20).map(|_| client.send(get("https://app.test/x").bearer(&token)))).await;
    assert!(others.iter().all(|answer| answer.status == 200));
    assert_eq!(scene.issuer.introspected().len(), 1);
}

#[tokio::test]
async fn ten_thousand_texts_let_nobody_in_and_are_asked_about_a_few_at_a_time() {
    let scene = scene().await;
    let good = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&good)).await.assert_status(200);
    scene.issuer.delay_introspection(Duration::from_millis(5));
    let served = scene.upstream.count();
    let mut clients = tokio::task::JoinSet::new();
    for seed in 0..20 {
        let client = scene.http2();
        clients.spawn(async move {
            let mut random = Random::seeded(seed);
            for _ in 0..10 {
                let connection = client.connect("app.test").await;
                join_all((0..50).map(|_| {
                    let (mut connection, token) = (connection.share(), text(&mut random));
                    async move {
                        let answer = connection.send(get("https://app.test/x").bearer(&token)).await;
                        assert!([401, 400, 503].contains(&answer.status.as_u16()), "{token}: {answer:?}");
                    }
                }))
                .await;
            }
        });
    }
    while let Some(outcome) = clients.join_next().await {
        outcome.unwrap();
    }
    assert_eq!(scene.upstream.count(), served);
    let most = scene.issuer.most_introspections_at_once();
    assert!((1..=32).contains(&most), "{most}");
    // Whoever was known is known still, and not asked about again.
    let asked = scene.issuer.introspected().len();
    scene.send(get("https://app.test/x").bearer(&good)).await.assert_status(200);
    assert_eq!(scene.issuer.introspected().len(), asked);
}

/// What somebody may present, of characters that a token has, and of some that none has.
fn text(random: &mut Random) -> String {
    const TOKEN: &[u8] = b"ABCxyz019-._~+/";
    let length = 1 + random.below(60);
    let mut text: String = (0..length).map(|_| char::from(*random.one_of(TOKEN))).collect();
    let ends: [&str; 11] = ["", "", "", "=", "==", "=a", "\"", " a", ",b", "%00", "&active=true"];
    text.push_str(random.one_of::<&str>(&ends));
    text
}

#[tokio::test]
async fn nothing_is_asked_on_routes_without_such_an_issuer() {
    let sites = SITES.replacen("  - host: pub.test\n", "  - host: other.test\n    issuer: plain\n    upstream: $UPSTREAM\n    routes: [{ path: / }]\n  - host: pub.test\n", 1);
    let plain = "  plain: { issuer: 'https://plain.test', jwks_url: 'https://plain.test/keys', audiences: [usher] }\n";
    let scene = Scene::start(&format!("{OPAQUE}{plain}{SESSION}{sites}")).await;
    let token = scene.issuer.access_token("alice");
    let jar = scene.session("alice");
    for ask in [
        get("https://other.test/x").bearer(&token),
        get("https://other.test/x").bearer("opaque"),
        get("https://other.test/x").cookies(&jar),
        get("https://other.test/.usher/session").bearer("opaque"),
        post("https://other.test/.usher/sign-out").header("origin", "https://other.test").cookies(&jar),
        get("https://pub.test/x").bearer("opaque"),
        get("https://app.test/public/x").bearer("opaque"),
    ] {
        scene.send(ask).await;
    }
    assert!(scene.issuer.introspected().is_empty());
}

#[tokio::test]
async fn a_sign_out_denies_an_opaque_token_for_as_long_as_it_would_be_good() {
    let scene = scene().await;
    let jar = scene.session("alice");
    let bearer = jar.value("at").unwrap().to_owned();
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(200);
    let sign_out = async |jar: &Jar| {
        let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
        scene.send(ask.cookies(jar)).await.assert_status(204);
    };
    sign_out(&jar).await;
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(401);
    // The issuer still says that it is active, when it is asked anew. Another sign-out sweeps out denials that have ended.
    scene.clock.advance(Duration::from_secs(60));
    sign_out(&scene.session("bob")).await;
    scene.send(get("https://app.test/x").bearer(&bearer)).await.assert_status(401);
    let another = scene.issuer.sign(&scene.issuer.token("alice").claim("jti", "another"));
    scene.send(get("https://app.test/x").bearer(&another)).await.assert_status(200);
}

#[tokio::test]
async fn a_logout_token_denies_opaque_tokens_and_sessions_that_name_no_issuer() {
    let scene = Scene::start(&format!("{OPAQUE}{SITES}")).await;
    scene.issuer.introspect_with(IntrospectionAnswer::Claims(json!({ "iss": null })));
    let jar = signed_in(&scene, "alice").await;
    let bearer = scene.issuer.access_token("alice");
    for ask in [get("https://app.test/x").bearer(&bearer), get("https://app.test/x").cookies(&jar)] {
        scene.send(ask).await.assert_status(200);
    }
    let (now, (key_id, key)) = (scene.clock.now().0, scene.issuer.key());
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let claims = json!({
        "iss": scene.issuer.url(), "aud": "usher", "sub": "alice", "iat": now, "exp": now + 120, "jti": "l", "events": event,
    });
    let logout = scene.issuer.sign(&Token::new(&key, &key_id, claims).head("typ", "logout+jwt"));
    let deliver = post("https://app.test/.usher/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={logout}"));
    scene.send(deliver).await.assert_status(200);
    for ask in [get("https://app.test/x").bearer(&bearer), get("https://app.test/x").cookies(&jar)] {
        scene.send(ask).await.assert_status(401);
    }
}

#[tokio::test]
async fn a_sign_out_while_the_issuer_does_not_answer_ends_the_access_token_all_the_same() {
    let scene = scene().await;
    let mut jar = scene.session("alice");
    let visit = async |jar: &Jar| scene.send(get("https://app.test/x").cookies(jar)).await.status.as_u16();
    assert_eq!(visit(&jar).await, 200);
    scene.clock.advance(Duration::from_secs(31));
    scene.issuer.introspect_with(IntrospectionAnswer::Status(503));
    assert_eq!(visit(&jar).await, 503);
    let sign_out = post("https://app.test/.usher/sign-out").cookies(&jar).header("origin", "https://app.test");
    scene.send(sign_out).await.assert_status(204);
    scene.issuer.introspect_with(IntrospectionAnswer::Honest);
    jar.remove("rt");
    assert_eq!(visit(&jar).await, 401);
}
