//! Canaries (X08): every secret that there is gets planted, everything that succeeds or fails is gone through at the lowest
//! log level, and whatever the binary wrote and answered is searched for them. [`crate::logs`] does it for the cookies of an
//! existing service; here it is Usher's own sessions, the login, the configuration.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use usher::clock::Clock;
use usher::config::{self, Format, Sources};

use crate::harness::child::Usher;
use crate::harness::gateway::{SESSION_SECRET, complete};
use crate::harness::issuer::{CLIENT_ID, CLIENT_SECRET, Issuer};
use crate::harness::keys::SigningKey;
use crate::harness::raw::Raw;
use crate::harness::scene::ISSUERS;
use crate::harness::{Answer, Ask, Client, Gateway, Jar, Protocol, TokenAnswer, Upstream, UpstreamAnswer, get, post};

const ID_TOKEN: &str = "canary-id-header.canary-id-claims.canary-id-signature";

const REST: &str = "
    login: { path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }
  legacy:
    issuer: legacy-app
    hmac_secret: canary-hmac-secret-0123456789abcdef
    algorithms: [HS256]
    audiences: [usher]
session: { secret: '$SECRET', refresh_wait: 300ms }
sites:
  - host: app.test
    issuer: [main, legacy]
    upstream: $UPSTREAM
    assertion: true
    identity_headers: { X-User-Id: sub }
    timeouts: { connect: 300ms, response: 300ms, idle: 300ms }
    routes:
      - path: /
      - { path: /forwarded/, forward_access_token: true }
      - { path: /admin/, require: { role: admin } }
      - { path: /basic/, upstream_authorization: { basic: { username: usher, password: canary-basic-password } } }
      - { path: /key/, upstream_authorization: { header: X-Api-Key, value: canary-api-key } }
      - { path: /nobody/, upstream: 'http://127.0.0.1:9' }
";

/// The binary, what surrounds it, and what nobody may ever read.
struct Cage {
    usher: Usher,
    upstream: Upstream,
    issuer: Issuer,
    client: Client,
    canaries: Vec<String>,
    _directory: tempfile::TempDir,
}

impl Cage {
    async fn open(format: &str) -> Self {
        let clock = Clock::system();
        let (upstream, issuer) = (Upstream::start().await, Issuer::start(&clock).await);
        let directory = tempfile::tempdir().unwrap();
        let yaml = format!("log: {{ format: {format}, level: trace }}\n{}{REST}", ISSUERS.trim_end());
        let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$UPSTREAM", &upstream.url());
        let yaml = complete(&yaml.replace("$CLIENT_SECRET", CLIENT_SECRET), &directory);
        let usher = Usher::serve(&yaml, directory.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
        let basic = STANDARD.encode(format!("{CLIENT_ID}:{encoded}"));
        let mut canaries =
            vec![CLIENT_SECRET.to_owned(), encoded, basic, SESSION_SECRET.to_owned(), "canary".to_owned()];
        canaries.push(STANDARD.encode("usher:canary-basic-password"));
        Self { usher, upstream, issuer, client, canaries, _directory: directory }
    }

    /// A token, and its parts: a header is no secret, and what is short is found anywhere.
    fn plant(&mut self, token: &str) {
        self.canaries.push(token.to_owned());
        self.canaries.extend(token.split('.').skip(1).filter(|part| part.len() > 20).map(str::to_owned));
    }

    /// Sends a request. What Usher answers by itself holds no secret either, but for the session in its sealed cookies.
    async fn send(&self, ask: Ask) -> Answer {
        let answer = self.client.send(ask).await;
        if answer
            .header("content-type")
            .is_some_and(|kind| kind == "application/problem+json" || kind.starts_with("text/html"))
        {
            // A page leads whoever has navigated back to the address that they had come to.
            let own = if answer.header("content-type") == Some("application/problem+json") { "" } else { LED_BACK };
            self.assert_silent("an answer", &String::from_utf8_lossy(&answer.body).replacen(own, "", 1));
        }
        answer
    }

    /// Signs alice in; the tokens of the issuer and the values of the cookies are secrets from then on.
    async fn sign_in(&mut self) -> Jar {
        let tokens = self.issuer.sign_in("alice");
        self.plant(&tokens.access);
        self.plant(&tokens.refresh);
        let body = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
        self.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
        let answer = self.send(login().json(&json!({ "username": "alice", "password": "canary-password" }))).await;
        answer.assert_status(200);
        self.kept(&Jar::default(), &answer)
    }

    fn kept(&mut self, before: &Jar, answer: &Answer) -> Jar {
        let mut jar = before.clone();
        jar.take(&answer.headers);
        for name in jar.names() {
            self.canaries.push(jar.value(name).unwrap().to_owned());
        }
        jar
    }

    #[track_caller]
    fn assert_silent(&self, who: &str, text: &str) {
        for canary in self.canaries.iter().filter(|canary| !canary.is_empty()) {
            let leak = text.lines().find(|line| line.contains(canary.as_str()));
            assert_eq!(leak, None, "{who} says {canary}");
        }
    }
}

/// Where the sign-ins lead to.
const LED_BACK: &str = "?rd=%2Fx%3Fcode%3Dcanary";

fn login() -> Ask {
    post("https://app.test/auth/login").header("origin", "https://app.test")
}

async fn presented_and_refused(cage: &mut Cage) {
    let token = cage.issuer.token("alice");
    let now = Clock::system().now().0;
    let signed = |token: &crate::harness::tokens::Token| cage.issuer.sign(token);
    let tokens = [
        signed(&token),
        signed(&token.clone().claim("exp", now - 60)),
        signed(&token.clone().claim("aud", "canary-audience")),
        signed(&token.clone().claim("iss", "https://canary.test")),
        signed(&token.clone().claim("sub", json!(["canary-subject"]))),
        signed(&token.clone().claim("nbf", now + 600)),
        signed(&token.clone().claim("cnf", json!({ "jkt": "canary-key" }))),
        signed(&token.clone().head("crit", json!(["canary"]))),
        signed(&token.clone().head("kid", "canary-kid")),
        token.clone().head("alg", "canary-alg").unsigned(),
        token.clone().sign(&SigningKey::p256()),
        token.clone().claim("iss", "legacy-app").head("alg", "HS256").sign(&SigningKey::hmac(b"canary")),
        "canary.e30.canary".to_owned(),
    ];
    for token in &tokens {
        cage.plant(token);
    }
    for token in &tokens {
        cage.send(get("https://app.test/x").bearer(token)).await;
        cage.send(get("https://app.test/admin/x").bearer(token)).await;
        cage.send(get("https://app.test/x").bearer(token).header("authorization", "Basic canary"))
            .await
            .assert_status(400);
        for scheme in ["Bearer ", "Bearer\t", "Basic ", "Token ", "DPoP ", ""] {
            cage.send(get("https://app.test/x").header("authorization", &format!("{scheme}\"{token}\""))).await;
        }
        cage.send(get(&format!("https://app.test/x?access_token={token}&code=canary&state=canary")))
            .await
            .assert_status(401);
        cage.send(get(&format!("https://app.test/x?access_token={token}")).navigation()).await;
        cage.send(get("https://app.test/x").header("x-access-token", token)).await.assert_status(401);
        cage.send(get("https://app.test/x").header("cookie", &format!("__Host-usher-access={token}")))
            .await
            .assert_status(401);
        cage.send(get("https://app.test/.usher/session").header("cookie", &format!("__Host-usher-refresh={token}")))
            .await;
        let form = post("https://app.test/x").header("content-type", "application/x-www-form-urlencoded");
        cage.send(form.body(format!("access_token={token}"))).await.assert_status(401);
        cage.send(get("https://unknown.test/x").bearer(token)).await.assert_status(421);
        cage.send(get("https://app.test/a%2fb").bearer(token)).await.assert_status(400);
        for bytes in [
            format!("GET /x HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer {token}\0\r\n\r\n"),
            format!("GET /x HTTP/1.1\r\nHost: app.test\r\nAuthorization : Bearer {token}\r\n\r\n"),
            format!(
                "GET /x HTTP/1.1\r\nHost: app.test\r\nCookie: __Host-usher-access={token}\r\nTransfer-Encoding: canary\r\n\r\n"
            ),
            format!("GET /x?{token} HTTP/9.9\r\nHost: app.test\r\n\r\n"),
            format!("{token}\r\n\r\n"),
        ] {
            drop(Raw::exchange(cage.client.address, "app.test", bytes).await);
        }
    }
}

async fn sessions_and_their_troubles(cage: &mut Cage) {
    let jar = cage.sign_in().await;
    for path in ["x", "admin/x", "forwarded/x", "basic/x", "key/x", "nobody/x", ".usher/session", ".usher/jwks.json"] {
        cage.send(get(&format!("https://app.test/{path}")).cookies(&jar)).await;
    }
    let seen = cage.upstream.seen();
    let assertions: Vec<&str> = seen.iter().flat_map(|seen| seen.all("x-usher-assertion")).collect();
    assert!(!assertions.is_empty());
    for assertion in assertions {
        cage.plant(assertion);
    }
    let fields = [("set-cookie", "__Host-usher-access=canary-of-the-application"), ("set-cookie", "theme=dark")];
    cage.upstream.answer("/evil", UpstreamAnswer::fixed(200, &fields, ""));
    cage.upstream.answer("/hangup", UpstreamAnswer::Hangup);
    cage.upstream.answer("/hang", UpstreamAnswer::Hang);
    for (path, status) in [("evil", 200), ("hangup", 502), ("hang", 504)] {
        cage.send(get(&format!("https://app.test/{path}")).cookies(&jar)).await.assert_status(status);
    }
    let http2 = Client { protocol: Protocol::Http2, ..cage.client };
    http2.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    http2.send(get("https://app.test/x").header("host", "evil.test").cookies(&jar)).await;
    cage.send(post("https://app.test/x").header("origin", "https://evil.test").cookies(&jar)).await.assert_status(403);

    for trouble in [
        TokenAnswer::Rotate,
        TokenAnswer::IdToken(ID_TOKEN),
        TokenAnswer::Forged,
        TokenAnswer::OtherSubject("root"),
        TokenAnswer::OtherIssuer,
        TokenAnswer::Sparse,
        TokenAnswer::Status(500, None),
        TokenAnswer::Garbage,
        TokenAnswer::Html,
        TokenAnswer::Empty,
        TokenAnswer::InvalidClient,
        TokenAnswer::InvalidRequest,
        TokenAnswer::InvalidGrant,
        TokenAnswer::Hangup,
        TokenAnswer::RotateThenHangup,
        TokenAnswer::Hang,
    ] {
        let mut jar = cage.sign_in().await;
        // Without its access token the session is renewed at once.
        jar.remove("__Host-usher-access");
        cage.issuer.behave(trouble);
        let answer = cage.send(get("https://app.test/x").cookies(&jar)).await;
        jar = cage.kept(&jar, &answer);
        cage.send(get("https://app.test/x").cookies(&jar)).await;
        cage.issuer.behave(TokenAnswer::Rotate);
    }
    let out = || post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
    cage.send(out().cookies(&jar)).await.assert_status(204);
    cage.send(get("https://app.test/x").cookies(&jar)).await.assert_status(401);
}

/// State, code, nonce, verifier and whatever the tokens are, of sign-ins that succeed and that fail in every way.
async fn sign_ins_at_the_issuer(cage: &mut Cage) {
    let changes = [json!({}), json!({ "nonce": "canary-nonce" }), json!({ "aud": "canary" }), json!({ "": null })];
    let answers = [
        TokenAnswer::Rotate,
        TokenAnswer::OtherSubject("root"),
        TokenAnswer::OtherIssuer,
        TokenAnswer::InvalidClient,
        TokenAnswer::Status(500, None),
    ];
    let attempts = changes.iter().map(|change| (change, TokenAnswer::Rotate));
    let none = json!({});
    for (change, answer) in attempts.chain(answers.into_iter().map(|answer| (&none, answer))) {
        let entrance = get(&format!("https://app.test/.usher/sign-in{LED_BACK}")).navigation();
        let sent = cage.send(entrance).await;
        let jar = cage.kept(&Jar::default(), &sent);
        let url = sent.assert_status(302).header("location").unwrap().to_owned();
        let callback = cage.issuer.authorize(&url, "alice");
        for (name, value) in url::Url::parse(&url).unwrap().query_pairs().chain(callback.query_pairs()) {
            if ["state", "nonce", "code", "code_challenge"].contains(&&*name) {
                cage.canaries.push(value.into_owned());
            }
        }
        for query in ["&state=canary", "&error=canary", "&iss=canary", "&code=canary"] {
            cage.send(get(&format!("{callback}{query}")).navigation().cookies(&jar)).await.assert_status(400);
        }
        cage.send(get(callback.as_str()).navigation()).await.assert_status(400);
        cage.issuer.change_id_tokens(change.clone());
        cage.issuer.next([answer]);
        let answer = cage.send(get(callback.as_str()).cookies(&jar)).await;
        cage.kept(&jar, &answer);
        cage.send(get(callback.as_str()).navigation().cookies(&jar)).await;
        let requests = cage.issuer.asked().tokens;
        let form = url::form_urlencoded::parse(requests.last().unwrap().body.as_bytes());
        let verifier = form.into_owned().find(|(name, _)| name == "code_verifier").unwrap().1;
        cage.canaries.push(verifier);
    }
    cage.issuer.change_id_tokens(json!({}));
    let refused = get("https://app.test/.usher/callback?error=canary-code&state=canary-state&error_description=canary");
    cage.send(refused.navigation()).await.assert_status(400);
}

async fn logins_that_fail(cage: &mut Cage) {
    let password = json!({ "username": "canary-user", "password": "canary-password" });
    let forged = cage.issuer.token("root").sign(&SigningKey::p256());
    cage.plant(&forged);
    let mut connection = cage.client.connect("app.test").await;
    for answer in [
        UpstreamAnswer::json(&json!({ "accessToken": forged, "refreshToken": "canary-refresh" })),
        UpstreamAnswer::json(&json!({ "accessToken": 7, "refreshToken": ["canary-refresh"] })),
        UpstreamAnswer::fixed(200, &[("content-type", "application/json")], "{\"accessToken\":\"canary"),
        UpstreamAnswer::fixed(401, &[("content-type", "application/json")], "{\"error\":\"wrong\"}"),
        UpstreamAnswer::fixed(200, &[("content-encoding", "gzip")], "canary"),
        UpstreamAnswer::fixed(200, &[], "canary".repeat(200_000)),
        UpstreamAnswer::Hangup,
        UpstreamAnswer::Hang,
    ] {
        cage.upstream.answer("/auth/login", answer);
        cage.send(login().json(&password)).await;
        let form = login().header("content-type", "application/x-www-form-urlencoded");
        cage.send(form.body("username=canary-user&password=canary-password")).await;
        cage.send(post("https://app.test/auth/login").header("origin", "https://evil.test").json(&password))
            .await
            .assert_status(403);
        cage.send(get("https://app.test/auth/login?password=canary-password")).await;
    }
    drop(connection.open(login().json(&password)).await);
    cage.issuer.set_down(true);
    let stranger = cage.issuer.token("alice").head("kid", "unknown").sign(&SigningKey::p256());
    cage.plant(&stranger);
    cage.send(get("https://app.test/x").bearer(&stranger)).await;
}

#[tokio::test]
async fn no_secret_leaves_the_binary_by_its_log_or_its_answers_whatever_happens() {
    for format in ["text", "json"] {
        let mut cage = Cage::open(format).await;
        sessions_and_their_troubles(&mut cage).await;
        sign_ins_at_the_issuer(&mut cage).await;
        presented_and_refused(&mut cage).await;
        logins_that_fail(&mut cage).await;
        let admin = cage.usher.address("admin").await;
        for path in ["/healthz", "/readyz", "/metrics", "/", "/status.json"] {
            let answer = reqwest::get(format!("http://{admin}{path}")).await.unwrap().text().await.unwrap();
            cage.assert_silent(path, &answer);
        }
        cage.usher.signal("TERM").await;
        cage.usher.exit().await;
        let output = cage.usher.output();
        assert!(output.lines().count() > 300, "it does log: {output}");
        cage.assert_silent("the log", &output);
    }
}

/// A configuration with a secret wherever one can stand in place.
fn with_secrets() -> String {
    let yaml = format!("{}{REST}", ISSUERS.trim_end()).replace("$ISSUER", "http://127.0.0.1:1");
    yaml.replace("$UPSTREAM", "http://127.0.0.1:2")
        .replace("$CLIENT_SECRET", "canary-client-secret")
        .replace("$SECRET", "canary-session-secret-0123456789")
}

#[tokio::test]
async fn no_mistake_in_a_configuration_and_no_look_at_one_shows_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = complete(&with_secrets(), &directory);
    let loaded =
        config::load(&Sources::text("usher.yaml", Format::Yaml, &yaml, ".")).unwrap_or_else(|error| panic!("{error}"));
    assert!(!format!("{loaded:?} {loaded:#?}").contains("canary"), "{loaded:#?}");

    let secrets = [
        "'canary-session-secret-0123456789'",
        "'canary-client-secret'",
        "canary-hmac-secret-0123456789abcdef",
        "canary-basic-password",
        "canary-api-key",
    ];
    let mistakes = ["[[$]]", "{ fil: $ }", "[$, 7]", "'$", "\"$", "$: x", "!!int $", "*$", "{ $", "\"$\\q\""];
    let mut leaks = Vec::new();
    for secret in secrets {
        assert!(yaml.contains(secret), "{secret}");
        for mistake in mistakes {
            let broken = yaml.replacen(secret, &mistake.replace('$', secret.trim_matches('\'')), 1);
            let Err(error) = config::load(&Sources::text("usher.yaml", Format::Yaml, &broken, ".")) else { continue };
            let said = format!("{error}\n{error:?}");
            leaks.extend(said.lines().filter(|line| line.contains("canary")).map(|line| format!("{mistake}: {line}")));
        }
    }
    assert_eq!(leaks, Vec::<String>::new());

    std::fs::write(directory.path().join("usher.yaml"), &yaml).unwrap();
    for arguments in
        [&["check", "--config", "usher.yaml"][..], &["check", "--config", "usher.yaml", "--output", "json"]]
    {
        let mut usher = Usher::run(arguments, directory.path());
        let code = usher.exit().await.code();
        assert_eq!(code, Some(0), "{}", usher.output());
        assert!(!usher.output().contains("canary"), "{}", usher.output());
    }
    assert_eq!(Gateway::refusal(&with_secrets()), None);
}
