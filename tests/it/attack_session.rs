//! Ways in, and ways to sign somebody out, that were tried on sessions, renewals and logins: none of them may work.

use std::time::Duration;

use serde_json::{Value, json};
use usher::clock::Clock;

use crate::harness::issuer::{Issuer, LIFETIME};
use crate::harness::{Answer, Ask, Jar, Scene, TokenAnswer, Upstream, UpstreamAnswer, get, post};

const ACCESS: &str = "__Host-usher-access";
const REFRESH: &str = "__Host-usher-refresh";
const IN_THE_BODY: &str = "access_token: /accessToken, refresh_token: /refreshToken";

/// An issuer with a login of the application's own, and what else stands under `session` and the site.
async fn with_login(login: &str, session: &str, site: &str) -> Scene {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let yaml = format!(
        "
issuers:
  main:
    issuer: {url}
    jwks_url: {url}/keys
    insecure_http: true
    audiences: [usher]
    algorithms: [ES256]
    leeway: 0s
    refresh: {{ url: {url}/legacy/refresh, send: json, field: refreshToken, access_token: /accessToken, refresh_token: /refreshToken }}
    login: {{ path: /auth/login, {login} }}
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
",
        url = issuer.url()
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
    scene.send(x(&browser)).await.assert_status(200);
}
