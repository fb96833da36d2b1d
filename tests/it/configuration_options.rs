//! The configuration as an operator meets it (family K): every key of the schema is one that the tests of `config` misspell,
//! mistype and repeat, and every option that lets somebody in also keeps somebody out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use usher::clock::Clock;

use crate::harness::issuer::Issuer;
use crate::harness::keys::SigningKey;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::{Ask, Gateway, Scene, Upstream, UpstreamAnswer, get, post};

const FULL: &str = include_str!("../../src/config/fixtures/full.yaml");

/// Every key below a schema: lists are `[]`, names that an operator chooses are `*`.
fn keys_of_schema(root: &Value, schema: &Value, at: &str, keys: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        keys_of_schema(root, root.pointer(name.trim_start_matches('#')).unwrap(), at, keys);
    }
    for choice in ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| schema[*name].as_array()).flatten() {
        keys_of_schema(root, choice, at, keys);
    }
    if schema["items"].is_object() {
        keys_of_schema(root, &schema["items"], &format!("{at}[]"), keys);
    }
    if schema["additionalProperties"].is_object() {
        keys_of_schema(root, &schema["additionalProperties"], &format!("{at}.*"), keys);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}.{name}");
        keys.insert(path.clone());
        keys_of_schema(root, property, &path, keys);
    }
}

/// Every key of a document, spelt in the same way.
fn keys_of_document(node: &Value, at: &str, keys: &mut BTreeSet<String>) {
    let chosen = [".issuers", ".require", ".identity_headers"].iter().any(|parent| at.ends_with(parent));
    for item in node.as_array().into_iter().flatten() {
        keys_of_document(item, &format!("{at}[]"), keys);
    }
    for (name, value) in node.as_object().into_iter().flatten() {
        let is_key = at.ends_with(".require") && ["acr", "max_age"].contains(&name.as_str());
        let path = if chosen && !is_key { format!("{at}.*") } else { format!("{at}.{name}") };
        keys.insert(path.clone());
        keys_of_document(value, &path, keys);
    }
}

/// One or a list, of a site or of a route: it is the same key.
fn alike(keys: &BTreeSet<String>) -> BTreeSet<String> {
    keys.iter().map(|key| key.replace("[]", "").replace(".sites.routes.", ".sites.")).collect()
}

#[test]
fn the_document_whose_every_key_is_misspelt_mistyped_and_repeated_has_every_key_of_the_schema() {
    let schema = usher::config::schema::schema().to_value();
    let document: Value = serde_saphyr::from_str(FULL).unwrap();
    let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
    keys_of_schema(&schema, &schema, "", &mut known);
    keys_of_document(&document, "", &mut used);
    let (known, used) = (alike(&known), alike(&used));
    assert!(known.len() > 100, "{}", known.len());
    let missing: Vec<_> = known.difference(&used).map(String::as_str).collect();
    // They cannot stand beside `token` and `secret`, and have their turn here.
    assert_eq!(missing, [".listen.admin.token_file", ".session.secret_file"]);
    let site = "sites: [{ host: app.test, upstream: 'http://127.0.0.1:1', access: public, routes: [{ path: / }] }]";
    for session in ["secret_fil: /x", "secret_file: [/x]", "secret_file: /x, secret_file: /x", "secret_file: null"] {
        let refusal = Gateway::refusal(&format!("session: {{ {session} }}\n{site}")).expect(session);
        assert!(refusal.contains("1 problem") || refusal.contains("session.secret_fil"), "{session}: {refusal}");
    }
    for token in ["token_fil: /x", "token_file: [/x]", "token_file: /x, token_file: /x", "token_file: null"] {
        let admin = format!("listen: {{ https: '127.0.0.1:0', admin: {{ address: '0.0.0.0:0', {token} }} }}");
        let refusal = Gateway::refusal(&format!("{admin}\n{site}")).expect(token);
        assert!(refusal.contains("1 problem") || refusal.contains("listen.admin.token_fil"), "{token}: {refusal}");
    }
}

/// One route per option, each below a path of its own.
const OPTIONS: &str = "
  typed:
    issuer: typed-app
    hmac_secret: a shared secret of the tests, 0123456789
    algorithms: [HS256]
    audiences: [usher]
    token_type: at+jwt
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    routes:
      - { path: / }
      - { path: /text/, require: { team: red } }
      - { path: /number/, require: { level: 3 } }
      - { path: /truth/, require: { email_verified: true } }
      - { path: /group/, require: { groups: staff } }
      - { path: /any/, require: { groups: { any: [a, b] } } }
      - { path: /all/, require: { groups: { all: [a, b] } } }
      - { path: /none/, require: { groups: { none: [guest] } } }
      - { path: /nested/, require: { realm_access.roles: admin } }
      - { path: /email/, require: { email: root@app.test } }
      - { path: /domain/, require: { email: { domain: .test } } }
      - { path: /scope/, require: { scope: publish } }
      - { path: /method/, methods: [GET] }
      - { path: /typed/, issuer: typed }
      - { path: /origin/, allowed_origins: ['https://spa.test'] }
      - { path: /small/, body_limit: 1KiB }
  - { host: '*.wild.test', issuer: main, upstream: $UPSTREAM, routes: [{ path: / }] }
";

#[tokio::test]
async fn every_option_that_lets_somebody_in_keeps_somebody_out() {
    let scene = Scene::start(&format!("{ISSUERS}{OPTIONS}{SESSION}")).await;
    let plain = scene.issuer.token("alice");
    let with = |name: &str, value: Value| scene.issuer.sign(&plain.clone().claim(name, value));
    let (alice, shared) = (scene.issuer.sign(&plain), SigningKey::hmac(b"a shared secret of the tests, 0123456789"));
    let typed = |typ: &str| plain.clone().claim("iss", "typed-app").head("alg", "HS256").head("typ", typ).sign(&shared);
    let asks = |path: &str, token: &str| get(&format!("https://app.test/{path}/x")).bearer(token);
    let on = |host: &str| get(&format!("https://{host}/")).bearer(&alice);
    let cookies =
        |origin: &str| post("https://app.test/origin/x").header("origin", origin).cookies(&scene.session("alice"));
    let upload = |bytes: usize| post("https://app.test/small/x").bearer(&alice).body("x".repeat(bytes));
    let groups = |groups: Value| with("groups", groups);
    // What is let in, what is not, and how that is answered.
    let cases: Vec<(&str, Ask, Ask, u16)> = vec![
        ("access", asks("plain", &alice), get("https://app.test/plain/x"), 401),
        ("a text", asks("text", &with("team", json!("red"))), asks("text", &with("team", json!("Red"))), 403),
        ("a number", asks("number", &with("level", json!(3))), asks("number", &with("level", json!("3"))), 403),
        ("a truth", asks("truth", &alice), asks("truth", &with("email_verified", json!("true"))), 403),
        ("a group", asks("group", &groups(json!(["staff"]))), asks("group", &groups(json!(["staffing"]))), 403),
        ("any", asks("any", &groups(json!(["b"]))), asks("any", &groups(json!(["c"]))), 403),
        ("all", asks("all", &groups(json!(["b", "a"]))), asks("all", &groups(json!(["a"]))), 403),
        ("none", asks("none", &groups(json!(["a"]))), asks("none", &groups(json!(["guest"]))), 403),
        ("nested", asks("nested", &scene.issuer.access_token("root")), asks("nested", &alice), 403),
        (
            "an address",
            asks("email", &scene.issuer.access_token("root")),
            asks("email", &with("email", json!("root@app.test.evil"))),
            403,
        ),
        ("a domain", asks("domain", &alice), asks("domain", &with("email", json!("alice@app.nottest"))), 403),
        (
            "a scope",
            asks("scope", &with("scope", json!("publish"))),
            asks("scope", &with("scope", json!("publisher"))),
            403,
        ),
        ("a method", asks("method", &alice), post("https://app.test/method/x").bearer(&alice), 405),
        ("an issuer", asks("typed", &typed("at+jwt")), asks("typed", &alice), 401),
        ("a type of token", asks("typed", &typed("at+jwt")), asks("typed", &typed("JWT")), 401),
        ("an audience", asks("plain", &alice), asks("plain", &with("aud", json!("other"))), 401),
        ("an origin", cookies("https://spa.test"), cookies("https://spa.test.evil.test"), 403),
        ("a size", upload(1024), upload(1025), 413),
        ("a host", on("a.wild.test"), on("unknown.test"), 421),
    ];
    for (option, allowed, denied, status) in cases {
        let before = scene.upstream.count();
        let answer = scene.send(denied).await;
        assert_eq!(answer.status.as_u16(), status, "{option}: {answer:?}");
        assert_eq!(scene.upstream.count(), before, "{option}");
        let answer = scene.send(allowed).await;
        assert_eq!(answer.status.as_u16(), 200, "{option}: {answer:?}");
        assert_eq!(scene.upstream.count(), before + 1, "{option}");
    }
    // One label in front of a wildcard: neither two nor none.
    for host in ["a.b.wild.test", "wild.test"] {
        let request =
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {alice}\r\nConnection: close\r\n\r\n");
        assert_eq!(scene.raw(request).await.unwrap().status, 421, "{host}");
    }
}

#[tokio::test]
async fn the_plain_listener_serves_trusted_proxies_and_nobody_else() {
    let clock = Clock::adjustable();
    let upstream = Upstream::start().await;
    for (trusted, served) in [("127.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let yaml = format!(
            "listen: {{ https: '127.0.0.1:0', plain: '127.0.0.1:0' }}\ntrusted_proxies: [{trusted}]\nsites:\n  - {{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}\n",
            upstream.url()
        );
        let gateway = Gateway::start(&yaml, &clock).await;
        let request =
            reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{}/x", gateway.plain()));
        let answer = request.header("host", "app.test").header("x-forwarded-for", "127.0.0.1").send().await;
        assert_eq!(answer.is_ok_and(|answer| answer.status() == 200), served, "{trusted}");
        assert_eq!(upstream.count(), 1, "{trusted}");
        assert_eq!(
            Raw::exchange(gateway.https(), "app.test", "GET /x HTTP/1.1\r\nHost: unknown.test\r\n\r\n")
                .await
                .unwrap()
                .status,
            421
        );
    }
}

#[tokio::test]
async fn with_the_issuer_down_at_start_logins_are_503_public_routes_work_and_it_recovers_by_itself() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    issuer.set_down(true);
    let login = "    login: { path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }\n";
    let yaml = format!(
        "{}\n{login}sites:\n  - host: app.test\n    issuer: main\n    upstream: $UPSTREAM\n    routes: [{{ path: / }}, {{ path: /public/, access: public }}]\n",
        ISSUERS.trim_end()
    );
    let scene = Scene::with(&yaml, Upstream::start().await, issuer, clock).await;
    let tokens = scene.issuer.sign_in("alice");
    let body = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
    let ask = || post("https://app.test/auth/login").header("origin", "https://app.test");
    let answer = scene.send(ask()).await;
    assert!(answer.assert_status(503).header("retry-after").is_some() && answer.set_cookies().is_empty(), "{answer:?}");
    assert!(!answer.text().contains(&tokens.access), "no token reaches the browser");
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    let ready = reqwest::get(format!("http://{}/readyz", scene.gateway.admin())).await.unwrap();
    assert_eq!(ready.status(), 200, "what does not need the issuer is served");
    scene.issuer.set_down(false);
    scene.clock.advance(std::time::Duration::from_secs(10));
    scene.send(ask()).await.assert_status(200);
}
