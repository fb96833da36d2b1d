//! Who may: conditions on claims.

use serde_json::{Value, json};

use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::{Scene, get};

async fn scene(require: &str) -> Scene {
    let site = format!(
        "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    routes: [{{ path: /, require: {require} }}]
"
    );
    Scene::start(&format!("{ISSUERS}{SESSION}{site}")).await
}

/// With `require`, a token with these claims is let in or not.
async fn decides(require: &str, cases: &[(Value, bool)]) {
    let scene = scene(require).await;
    for (claims, allowed) in cases {
        let mut token = scene.issuer.token("alice").without("realm_access").without("scope").without("email_verified");
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        let before = scene.upstream.count();
        let answer = scene.send(get("https://app.test/x").bearer(&scene.issuer.sign(&token))).await;
        assert_eq!(answer.status.as_u16(), if *allowed { 200 } else { 403 }, "{require} with {claims}");
        assert_eq!(scene.upstream.count() - before, usize::from(*allowed));
    }
}

#[tokio::test]
async fn a_plain_value_is_equality_or_membership() {
    decides(
        "{ realm_access.roles: admin }",
        &[
            (json!({ "realm_access": { "roles": ["reader", "admin"] } }), true),
            (json!({ "realm_access": { "roles": "admin" } }), true),
            (json!({ "realm_access": { "roles": ["administrator"] } }), false),
            (json!({ "realm_access": { "roles": "admin reader" } }), false),
            (json!({ "realm_access": { "roles": [["admin"]] } }), false),
            (json!({ "realm_access": ["admin"] }), false),
            (json!({ "realm_access.roles": "admin" }), false),
            (json!({}), false),
        ],
    )
    .await;
}

#[tokio::test]
async fn any_all_and_none_are_what_they_say() {
    let roles = |roles: Value| json!({ "roles": roles });
    decides(
        "{ roles: { any: [a, b] } }",
        &[(roles(json!(["b"])), true), (roles(json!(["c"])), false), (json!({}), false)],
    )
    .await;
    decides("{ roles: { all: [a, b] } }", &[(roles(json!(["b", "a", "c"])), true), (roles(json!(["a"])), false)]).await;
    decides(
        "{ roles: { none: [x] } }",
        &[(roles(json!(["a"])), true), (roles(json!(["x", "a"])), false), (json!({}), true)],
    )
    .await;
}

#[tokio::test]
async fn several_conditions_must_all_hold() {
    decides(
        "{ roles: admin, email_verified: true }",
        &[
            (json!({ "roles": ["admin"], "email_verified": true }), true),
            (json!({ "roles": ["admin"], "email_verified": false }), false),
            (json!({ "roles": ["admin"], "email_verified": "true" }), false),
            (json!({ "roles": ["admin"] }), false),
            (json!({ "email_verified": true }), false),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_domain_lets_in_whoever_has_a_verified_address_there() {
    let of = |email: Value| json!({ "email": email, "email_verified": true });
    decides(
        "{ email: { domain: [example.com, .corp.example] } }",
        &[
            (of(json!("a@example.com")), true),
            (of(json!("A@x.Corp.Example")), true),
            (of(json!(["a@example.com", "b@x.corp.example"])), true),
            (of(json!("a@evilexample.com")), false),
            (of(json!("a@evilcorp.example")), false),
            (of(json!("a@corp.example")), false),
            (of(json!("a@evil.test@example.com")), false),
            (of(json!("@example.com")), false),
            (of(json!("a@example.com.")), false),
            (of(json!(["a@example.com", "a@evil.test"])), false),
            (of(json!(null)), false),
            (json!({ "email": "a@example.com", "email_verified": false }), false),
            (json!({ "email": "a@example.com", "email_verified": "true" }), false),
            (json!({ "email": "a@example.com" }), false),
        ],
    )
    .await;
    decides(
        "{ email: { domain: example.com }, email_verified: { none: [false, 'false'] } }",
        &[
            (json!({ "email": "a@example.com" }), true),
            (json!({ "email": "a@example.com", "email_verified": false }), false),
            (json!({ "email": "a@example.com", "email_verified": "false" }), false),
            (json!({ "email": "a@evil.test" }), false),
        ],
    )
    .await;
}

#[tokio::test]
async fn scope_is_a_list_of_words() {
    decides(
        "{ scope: write }",
        &[
            (json!({ "scope": "read write" }), true),
            (json!({ "scope": "write" }), true),
            (json!({ "scope": "rewrite" }), false),
            (json!({ "scope": "read" }), false),
            (json!({}), false),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_missing_scope_is_challenged_as_insufficient_scope() {
    let scene = scene("{ scope: publish }").await;
    let answer = scene.send(get("https://app.test/x").bearer(&scene.issuer.access_token("alice"))).await;
    let challenge = answer.assert_status(403).header("www-authenticate").unwrap();
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"publish\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn a_route_overrides_single_keys_of_its_site() {
    let scene = Scene::usual().await;
    let (alice, root) = (scene.issuer.access_token("alice"), scene.issuer.access_token("root"));
    for (url, token, status) in [
        ("https://app.test/admin/x", &alice, 403),
        ("https://app.test/admin/x", &root, 200),
        ("https://admin.test/any", &alice, 403),
        ("https://admin.test/any", &root, 200),
        ("https://app.test/x", &alice, 200),
    ] {
        scene.send(get(url).bearer(token)).await.assert_status(status);
    }
}

#[tokio::test]
async fn optional_access_takes_an_identity_when_there_is_one() {
    let scene = Scene::usual().await;
    scene.send(get("https://app.test/optional/x")).await.assert_status(200);
    assert!(scene.upstream.last().folded("x-user-id").is_empty());
    scene.send(get("https://app.test/optional/x").bearer(&scene.issuer.access_token("alice"))).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("x-user-id"), ["alice"]);
}
