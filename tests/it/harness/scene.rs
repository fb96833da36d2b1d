//! The usual scene: a gateway, the application behind it, an issuer, and one clock for all of them.

use serde_json::Value;
use usher::clock::Clock;

use super::client::{Answer, Ask, Client, get};
use super::cookies::Jar;
use super::gateway::Gateway;
use super::issuer::{CLIENT_SECRET, Issuer, Tokens};
use super::raw::{Raw, RawAnswer};
use super::upstream::Upstream;

/// The cookies of the usual scene, raw, so that a test can present any token.
pub(crate) const ACCESS_COOKIE: &str = "at";
/// See [`ACCESS_COOKIE`].
pub(crate) const REFRESH_COOKIE: &str = "rt";

/// The issuer of the usual scene. `$ISSUER` and `$CLIENT_SECRET` are filled in.
pub(crate) const ISSUERS: &str = "
issuers:
  main:
    issuer: $ISSUER
    insecure_http: true
    client_id: usher
    client_secret: '$CLIENT_SECRET'
    audiences: [usher]
    algorithms: [RS256, ES256]
    leeway: 0s
";

/// The session of the usual scene: raw cookies. More keys may follow.
pub(crate) const SESSION: &str = "
session:
  secret: '$SECRET'
  cookies: { access: at, refresh: rt, sealed: false }
";

/// The sites of the usual scene. `$UPSTREAM` is filled in.
pub(crate) const SITES: &str = "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: { X-User-Id: sub, X-User-Email: email, X-User-Roles: realm_access.roles, X-User-Team: team }
    strip_headers: [X-Role]
    timeouts: { connect: 1s, response: 2s, idle: 2s }
    body_limit: 1MiB
    routes:
      - path: /
      - { path: /public/, access: public }
      - { path: /optional/, access: optional }
      - { path: /admin/, require: { realm_access.roles: admin } }
      - { path: /write/, require: { scope: publish } }
      - { path: /gold/, require: { acr: gold } }
      - { path: /reports/, methods: [GET] }
  - host: admin.test
    issuer: main
    upstream: $UPSTREAM
    require: { realm_access.roles: admin }
    routes: [{ path: / }, { path: /public/, access: public }]
  - host: pub.test
    upstream: $UPSTREAM
    access: public
    identity_headers: { X-User-Id: sub }
    routes: [{ path: / }]
";

/// A gateway and its surroundings.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The gateway under test.
    pub(crate) gateway: Gateway,
    /// The application.
    pub(crate) upstream: Upstream,
    /// The issuer of every token.
    pub(crate) issuer: Issuer,
    /// The time of all of them.
    pub(crate) clock: Clock,
}

impl Scene {
    /// The usual issuers, session and sites.
    pub(crate) async fn usual() -> Self {
        Self::with_session("").await
    }

    /// The usual scene with more keys under `session`, one to a line, without indentation.
    pub(crate) async fn with_session(keys: &str) -> Self {
        let keys: Vec<String> = keys.lines().map(|line| format!("  {}", line.trim())).collect();
        Self::start(&format!("{ISSUERS}{SESSION}{}\n{SITES}", keys.join("\n"))).await
    }

    /// Any configuration; `$ISSUER`, `$CLIENT_SECRET` and `$UPSTREAM` are filled in.
    pub(crate) async fn start(yaml: &str) -> Self {
        let clock = Clock::adjustable();
        let issuer = Issuer::start(&clock).await;
        Self::with(yaml, Upstream::start().await, issuer, clock).await
    }

    /// The same with an application and an issuer of the test's own.
    pub(crate) async fn with(yaml: &str, upstream: Upstream, issuer: Issuer, clock: Clock) -> Self {
        let yaml = yaml.replace("$ISSUER", &issuer.url());
        let yaml = yaml.replace("$CLIENT_SECRET", CLIENT_SECRET).replace("$UPSTREAM", &upstream.url());
        let gateway = Gateway::start(&yaml, &clock).await;
        Self { gateway, upstream, issuer, clock }
    }

    /// Another configuration while the gateway runs, or why not.
    pub(crate) async fn reload(&self, yaml: &str) -> Result<(), String> {
        let yaml = yaml.replace("$ISSUER", &self.issuer.url());
        let yaml = yaml.replace("$CLIENT_SECRET", CLIENT_SECRET).replace("$UPSTREAM", &self.upstream.url());
        self.gateway.reload(&yaml).await
    }

    /// An HTTP/1.1 client.
    pub(crate) fn client(&self) -> Client {
        self.gateway.client()
    }

    /// An HTTP/2 client.
    pub(crate) fn http2(&self) -> Client {
        self.gateway.http2()
    }

    /// Sends these bytes over TLS and reads one answer; `None` when the gateway closes without one.
    pub(crate) async fn raw(&self, request: impl AsRef<[u8]>) -> Option<RawAnswer> {
        Raw::exchange(self.gateway.https(), "app.test", request).await
    }

    /// A byte-exact `GET` with `Host: app.test`, and its status; 0 when the gateway closes without an answer.
    pub(crate) async fn raw_get(&self, target: &str, fields: &str) -> u16 {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.test\r\n{fields}Connection: close\r\n\r\n");
        self.raw(request).await.map_or(0, |answer| answer.status)
    }

    /// The same process still answers an ordinary request: what every attack must leave behind.
    pub(crate) async fn assert_well(&self) {
        let token = self.issuer.access_token("alice");
        self.send(get("https://app.test/well").bearer(&token)).await.assert_status(200);
        assert_eq!(self.upstream.last().all("x-user-id"), ["alice"]);
    }

    /// Sends one request over HTTP/1.1.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        self.client().send(ask).await
    }

    /// The cookies of a user whose access token has just expired.
    pub(crate) fn expired_session(&self, subject: &str) -> Jar {
        jar(&self.issuer.sign_in_expired(subject))
    }

    /// The cookies of a user whose access token is good.
    pub(crate) fn session(&self, subject: &str) -> Jar {
        jar(&self.issuer.sign_in(subject))
    }
}

/// Tokens as the usual scene's cookies.
pub(crate) fn jar(tokens: &Tokens) -> Jar {
    Jar::of(&[(ACCESS_COOKIE, &tokens.access), (REFRESH_COOKIE, &tokens.refresh)])
}

/// Asserts that an answer hands out a new pair of tokens under the names of the usual scene.
#[track_caller]
pub(crate) fn assert_renewed(answer: &Answer) {
    let names: Vec<String> =
        answer.set_cookies().into_iter().filter(|cookie| !cookie.clears()).map(|cookie| cookie.name).collect();
    for name in [ACCESS_COOKIE, REFRESH_COOKIE] {
        assert!(names.iter().any(|set| set == name), "{name} is renewed by {answer:?}");
    }
}

/// A field as the application saw it, from the echo in an answer.
pub(crate) fn echoed<'a>(echo: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = echo["headers"].as_array().expect("an echo");
    headers.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}
