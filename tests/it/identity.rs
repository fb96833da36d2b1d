//! What the application is told: claims as headers, the assertion, the token only when asked for.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::{Scene, get, post};

async fn scene(keys: &str) -> Scene {
    let site = format!(
        "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: {{ X-User-Id: sub, X-Value: value, X-Roles: realm_access.roles }}
    {keys}
    routes: [{{ path: / }}]
"
    );
    Scene::start(&format!("{ISSUERS}{SESSION}{site}")).await
}

#[tokio::test]
async fn claims_become_headers_unambiguously() {
    let scene = scene("").await;
    for (claim, header) in [
        (json!("plain"), Some("plain")),
        (json!(42), Some("42")),
        (json!(-1.5), Some("-1.5")),
        (json!(true), Some("true")),
        (json!(["a", "b"]), Some("a,b")),
        (json!(["a,b", "c"]), Some("a%2Cb,c")),
        (json!(["x", 1, false]), Some("x,1,false")),
        (json!("Zoë"), Some("Zo%C3%AB")),
        (json!("100%"), Some("100%25")),
        (json!("a\r\nX-User-Id: root"), Some("a%0D%0AX-User-Id: root")),
    ] {
        let token = scene.issuer.sign(&scene.issuer.token("alice").claim("value", claim.clone()));
        scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
        let seen = scene.upstream.last();
        assert_eq!((seen.header("x-value"), seen.all("x-user-id")), (header, vec!["alice"]), "{claim}");
    }
}

#[tokio::test]
async fn an_absent_claim_makes_no_header_even_when_the_client_sends_one() {
    let scene = scene("").await;
    for claim in [Value::Null, json!([])] {
        let token = scene.issuer.sign(&scene.issuer.token("alice").claim("value", claim));
        scene.send(get("https://app.test/x").bearer(&token).header("x-value", "forged")).await.assert_status(200);
        assert!(scene.upstream.last().folded("x-value").is_empty());
    }
    let token = scene.issuer.sign(&scene.issuer.token("alice").without("realm_access"));
    scene.send(get("https://app.test/x").bearer(&token).header("x-roles", "admin")).await.assert_status(200);
    assert!(scene.upstream.last().folded("x-roles").is_empty());
}

#[tokio::test]
async fn one_connection_never_mixes_identities() {
    let scene = scene("").await;
    let mut connection = scene.client().connect("app.test").await;
    for n in 0..20 {
        let name = format!("user-{}", n % 3);
        let answer = connection.send(get("https://app.test/x").bearer(&scene.issuer.access_token(&name))).await;
        answer.assert_status(200);
        assert_eq!(scene.upstream.last().all("x-user-id"), [name.as_str()]);
    }
}

#[tokio::test]
async fn the_access_token_goes_on_only_when_asked_for() {
    let scene_without = scene("").await;
    let token = scene_without.issuer.access_token("alice");
    scene_without.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    assert!(scene_without.upstream.last().all("authorization").is_empty());

    let scene = scene("forward_access_token: true").await;
    let jar = scene.expired_session("alice");
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    let seen = scene.upstream.last();
    let forwarded = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    assert_ne!(Some(forwarded), jar.value("at"), "the renewed one");
}

#[tokio::test]
async fn the_application_gets_the_credentials_that_it_expects_instead() {
    let scene =
        scene("upstream_authorization: { basic: { username: usher, password: 'a password of the app' } }").await;
    scene.send(get("https://app.test/x").bearer(&scene.issuer.access_token("alice"))).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("authorization"), ["Basic dXNoZXI6YSBwYXNzd29yZCBvZiB0aGUgYXBw"]);
}

#[tokio::test]
async fn an_assertion_is_about_somebody() {
    let site = "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: { X-Value: value }
    assertion: true
    routes: [{ path: / }]
";
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{site}")).await;
    let nameless = scene.issuer.sign(&scene.issuer.token("alice").without("sub"));
    scene.send(get("https://app.test/x").bearer(&nameless)).await.assert_status(403);
    assert_eq!(scene.upstream.count(), 0);
    scene.send(get("https://app.test/x").bearer(&scene.issuer.access_token("alice"))).await.assert_status(200);
}

#[tokio::test]
async fn the_assertion_is_a_signed_statement_for_this_site_that_lives_briefly() {
    let scene = scene("assertion: true").await;
    let ask = get("https://app.test/x").bearer(&scene.issuer.access_token("alice"));
    scene.send(ask.header("x-usher-assertion", "forged")).await.assert_status(200);
    let assertion = scene.upstream.last().header("x-usher-assertion").unwrap().to_owned();
    let key_set = scene.send(get("https://app.test/.usher/jwks.json")).await.assert_status(200).json();
    let header = jsonwebtoken::decode_header(&assertion).unwrap();
    let jwk = key_set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == json!(header.kid)).unwrap();
    assert!(jwk.get("d").is_none(), "no private key is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.algorithms = vec![header.alg];
    validation.set_audience(&["app.test"]);
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    let claims: Value = jsonwebtoken::decode(&assertion, &key, &validation).unwrap().claims;
    assert_eq!(claims["sub"], "alice");
    assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 300);
}

#[tokio::test]
async fn a_public_route_sends_no_identity_whoever_asks() {
    let scene = Scene::usual().await;
    let ask = post("https://pub.test/x").bearer(&scene.issuer.access_token("root")).header("x-user-id", "root");
    scene.send(ask).await.assert_status(200);
    assert!(scene.upstream.last().folded("x-user-id").is_empty());
}
