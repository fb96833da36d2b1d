//! The audit log: every event of its vocabulary, as the real binary says it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use usher::audit::Event;
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::issuer::{CLIENT_SECRET, Issuer};
use crate::harness::metrics::Metrics;
use crate::harness::scene::{ISSUERS, SESSION, jar};
use crate::harness::tokens::Token;
use crate::harness::{
    Answer, Ask, Browser, Client, Jar, Protocol, TokenAnswer, Upstream, UpstreamAnswer, eventually, get, post,
};
use crate::local_issuer::{usual_users, write_users};

/// Where local users are.
const SIGN_IN: &str = "https://other.test/.usher/issuer/sign-in";
const BACKCHANNEL: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What happens in the usual process; a sign-out fails only where a store is away.
fn usual() -> impl Iterator<Item = Event> {
    Event::ALL.into_iter().filter(|event| *event != Event::SignOutFailed)
}

/// The lines of a process, by the event.
fn lines_of(usher: &Usher) -> BTreeMap<String, Vec<Value>> {
    let output = usher.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines_of = BTreeMap::<String, Vec<Value>>::new();
    for line in lines.filter(|line| line["target"] == "usher::audit") {
        lines_of.entry(line["event"].as_str().expect("an event").to_owned()).or_default().push(line);
    }
    lines_of
}

/// A process with people of an authorization server, of a login service and of its own.
struct Audited {
    usher: Usher,
    issuer: Issuer,
    upstream: Upstream,
    client: Client,
    directory: tempfile::TempDir,
}

impl Audited {
    async fn start(log: &str) -> Self {
        let (clock, upstream, directory) = (Clock::system(), Upstream::start().await, tempfile::tempdir().unwrap());
        let issuer = Issuer::start(&clock).await;
        write_users(&directory, &usual_users());
        let yaml = format!(
            "log: {{ format: json{log} }}
{issuers}
    login: {{ path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }}
  staff:
    local: {{ users_file: '$DIRECTORY/users.yaml' }}
{SESSION}  refresh_grace: 200ms
sites:
  - host: app.test
    issuer: main
    upstream: {upstream}
    routes: [{{ path: / }}, {{ path: /admin/, require: {{ realm_access.roles: admin }} }}]
  - host: other.test
    issuer: staff
    upstream: {upstream}
    routes: [{{ path: / }}]
",
            issuers = ISSUERS.trim_end().replace("$ISSUER", &issuer.url()).replace("$CLIENT_SECRET", CLIENT_SECRET),
            upstream = upstream.url(),
        );
        let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        Self { usher, issuer, upstream, client, directory }
    }

    async fn send(&self, ask: Ask, status: u16) -> Answer {
        let answer = self.client.send(ask).await;
        answer.assert_status(status);
        answer
    }

    async fn visit(&self, jar: &Jar) -> u16 {
        self.client.send(get("https://app.test/x").cookies(jar)).await.status.as_u16()
    }

    async fn people_sign_in(&self) {
        let credentials = |username: &str, password: &str| json!({ "username": username, "password": password });
        let ask = |document: &Value| post(SIGN_IN).header("origin", "https://other.test").json(document);
        self.send(ask(&credentials("alice", "wonderland")), 200).await;
        self.send(ask(&credentials("alice", "canary-password")), 401).await;
        let with_code = json!({ "username": "dora", "password": "explorer", "totp": "canary-code" });
        self.send(ask(&with_code), 401).await;

        let mut browser = Browser::new(self.client);
        let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
        let callback = self.issuer.authorize(answer.assert_status(302).header("location").unwrap(), "alice");
        browser.visit(callback.as_str()).await.assert_status(303);

        let tokens = self.issuer.sign_in("alice");
        let answer = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
        self.upstream.answer("/auth/login", UpstreamAnswer::json(&answer));
        let login = post("https://app.test/auth/login").header("origin", "https://app.test");
        self.send(login.json(&credentials("alice", "canary-password")), 200).await;
    }

    async fn people_sign_out(&self) {
        let out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
        self.send(out.cookies(&jar(&self.issuer.sign_in("alice"))), 204).await;

        let named = self.issuer.sign(&self.issuer.token("alice").claim("sid", "canary-session"));
        let frame = "https://app.test/.usher/frontchannel-logout";
        let frame = format!("{frame}?iss={}&sid=canary-session", self.issuer.url());
        self.send(get(&frame).cookies(&Jar::of(&[("at", &named)])), 200).await;

        let (now, (key_id, key)) = (Clock::system().now().0, self.issuer.key());
        let claims = json!({
            "iss": self.issuer.url(), "aud": "usher", "iat": now, "exp": now + 120, "jti": "one", "sub": "bob",
            "events": { BACKCHANNEL: {} },
        });
        let token = self.issuer.sign(&Token::new(&key, &key_id, claims).head("typ", "logout+jwt"));
        let told = post("https://app.test/.usher/backchannel-logout");
        let told = told.header("content-type", "application/x-www-form-urlencoded");
        self.send(told.body(format!("logout_token={token}")), 200).await;

        write_users(&self.directory, &usual_users().replace("name: Alice", "disabled: true, name: Alice"));
        self.usher.signal("HUP").await;
        self.usher.says("\"by\":\"administrator\"").await;
    }

    async fn sessions_go_wrong(&self) {
        let token = self.issuer.access_token("carol");
        self.send(get("https://app.test/admin/x").bearer(&token), 403).await;

        // Spent, renewed, and presented again when its successor has been in use for longer than the grace.
        let old = jar(&self.issuer.sign_in_expired("carol"));
        let mut new = old.clone();
        new.take(&self.send(get("https://app.test/x").cookies(&old), 200).await.headers);
        assert_eq!(self.visit(&new).await, 200);
        // Meanwhile, somebody has the refresh token of one, and the access token of another.
        let mut mixed = old.clone();
        mixed.put("at", jar(&self.issuer.sign_in_expired("dave")).value("at").unwrap());
        assert_eq!(self.visit(&mixed).await, 401);
        while self.visit(&old).await != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.issuer.behave(TokenAnswer::OtherSubject("root"));
        assert_eq!(self.visit(&jar(&self.issuer.sign_in_expired("carol"))).await, 401);
    }

    /// Its lines, by the event.
    fn lines(&self) -> BTreeMap<String, Vec<Value>> {
        lines_of(&self.usher)
    }

    async fn everything_happens(&self) {
        self.people_sign_in().await;
        self.people_sign_out().await;
        self.sessions_go_wrong().await;
        eventually("every event is said", || usual().all(|event| self.lines().contains_key(event.name()))).await;
    }
}

/// What a line says beside the target, the level, the time and the sentence.
fn facts(line: &Value) -> Vec<(&str, &Value)> {
    let told = ["timestamp", "level", "message", "target", "event", "request_id", "client", "reason", "record"];
    line.as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !told.contains(name))
        .collect()
}

#[tokio::test]
async fn every_event_is_said_once_with_who_and_where_and_counted() {
    let audited = Audited::start("").await;
    audited.everything_happens().await;
    let lines = audited.lines();
    let has = |event: Event, wanted: &[(&str, &str)]| {
        let lines = &lines[event.name()];
        let is = |line: &&Value| wanted.iter().all(|(name, value)| line[name] == *value);
        let found = lines.iter().filter(is).count();
        assert_eq!(found, 1, "{event:?} {wanted:?} in {:?}", lines.iter().map(facts).collect::<Vec<_>>());
    };
    for (issuer, way, acr) in
        [("staff", "password", "1"), ("main", "authorization_code", ""), ("main", "login_service", "")]
    {
        let by = [("issuer", issuer), ("subject", "alice"), ("way", way), ("acr", acr)];
        has(Event::SignIn, &by[..if acr.is_empty() { 3 } else { 4 }]);
    }
    has(
        Event::SignInFailed,
        &[("reason", "the user name or the password is wrong"), ("fault", "client"), ("host", "other.test")],
    );
    has(Event::SecondFactorFailed, &[("subject", "dora"), ("host", "other.test")]);
    has(Event::SignOut, &[("by", "user"), ("issuer", "main"), ("subject", "alice")]);
    has(Event::SignOut, &[("by", "issuer_front_channel"), ("issuer", "main"), ("subject", "alice")]);
    has(Event::SignOut, &[("by", "issuer_back_channel"), ("issuer", "main"), ("subject", "bob")]);
    has(Event::SignOut, &[("by", "administrator"), ("issuer", "staff"), ("subject", "alice")]);
    has(Event::Refused, &[("route", "app.test/admin/"), ("issuer", "main"), ("subject", "carol")]);
    has(Event::ReuseDetected, &[("issuer", "main"), ("session", "revoked")]);
    has(Event::IdentityMismatch, &[("issuer", "main")]);
    has(Event::IdentityChanged, &[("issuer", "main")]);
    let reused = "the session has ended: a spent refresh token was presented again";
    has(Event::SessionEnded, &[("reason", reused), ("route", "app.test/"), ("client", "127.0.0.1")]);

    let of_a_request =
        [Event::SignIn, Event::SignInFailed, Event::SecondFactorFailed, Event::SessionEnded, Event::Refused];
    for line in of_a_request.iter().flat_map(|event| &lines[event.name()]) {
        assert!(line["request_id"].is_string() && line["client"] == "127.0.0.1" && line["host"].is_string(), "{line}");
    }
    let metrics = Metrics::of(audited.usher.address("admin").await).await;
    for event in usual() {
        let counted = metrics.count("usher_audit_events_total", &[("event", event.name())]);
        assert_eq!(counted, lines[event.name()].len(), "{event:?}");
    }
}

#[tokio::test]
async fn the_audit_log_shows_subjects_as_the_log_does_and_nothing_secret() {
    let audited = Audited::start(", subject: hash").await;
    audited.everything_happens().await;
    let lines = audited.lines();
    let shown = |event: Event| lines[event.name()].iter().filter_map(|line| line["subject"].as_str());
    for event in [Event::SignIn, Event::SignOut, Event::Refused, Event::SecondFactorFailed] {
        assert!(shown(event).all(|subject| subject.len() == 16) && shown(event).count() > 0, "{event:?}");
    }
    for line in lines.values().flatten() {
        let line = line.to_string();
        for name in ["alice", "bob", "carol", "dave", "dora", "canary", "eyJ"] {
            assert!(!line.contains(name), "{name} in {line}");
        }
    }
}

#[tokio::test]
async fn a_sign_out_that_finds_the_store_away_is_told_by_whom_it_was_wanted() {
    let (directory, issuer) = (tempfile::tempdir().unwrap(), Issuer::start(&Clock::system()).await);
    let store = "store: { redis: { url: 'redis://127.0.0.1:9', timeout: 100ms } }";
    let yaml = format!(
        "log: {{ format: json }}
{ISSUERS}session: {{ secret: '$SECRET', tokens: store, {store} }}
sites: [{{ host: app.test, issuer: main, upstream: 'http://127.0.0.1:9', routes: [{{ path: / }}] }}]
"
    );
    let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$CLIENT_SECRET", CLIENT_SECRET);
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let key = Jar::of(&[(crate::server_sessions::KEY, "abcdefghijklmnopqrstuA")]);
    client.send(crate::server_sessions::sign_out(&key)).await.assert_status(503);
    let frame = format!("https://app.test/.usher/frontchannel-logout?iss={}&sid=some", issuer.url());
    client.send(get(&frame).cookies(&key)).await.assert_status(200);
    for by in ["user", "issuer_front_channel"] {
        usher.says(&format!("\"by\":\"{by}\"")).await;
    }
    let lines = lines_of(&usher);
    assert_eq!(lines.keys().collect::<Vec<_>>(), ["sign_out_failed"], "{lines:?}");
    for (line, by) in lines["sign_out_failed"].iter().zip(["user", "issuer_front_channel"]) {
        assert_eq!((&line["by"], &line["fault"], &line["host"]), (&by.into(), &"store".into(), &"app.test".into()));
        assert!(line["request_id"].is_string() && line["reason"].as_str().unwrap().contains("shared store"), "{line}");
    }
}

/// nginx asks about a request, and again for what it is to show.
#[tokio::test]
async fn a_request_that_another_proxy_asks_about_is_told_of_once_and_counted_under_its_route() {
    let (directory, issuer) = (tempfile::tempdir().unwrap(), Issuer::start(&Clock::system()).await);
    let yaml = format!(
        "log: {{ format: json }}
listen: {{ https: '127.0.0.1:0', verify: '127.0.0.1:0', admin: '127.0.0.1:0' }}
trusted_proxies: [127.0.0.0/8]
{ISSUERS}{SESSION}sites:
  - host: app.test
    issuer: main
    routes: [{{ path: / }}, {{ path: /admin/, require: {{ realm_access.roles: admin }} }}]
"
    );
    let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$CLIENT_SECRET", CLIENT_SECRET);
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let (client, verify) = (reqwest::Client::builder().no_proxy().build().unwrap(), usher.address("verify").await);
    let token = issuer.access_token("carol");
    for (path, uri, status) in [
        ("verify", "/x", 200),
        ("auth-request", "/admin/x", 403),
        ("auth-request/refusal", "/admin/x", 403),
        ("verify", "/.usher/x", 404),
    ] {
        let ask = client.get(format!("http://{verify}/.usher/{path}")).bearer_auth(&token);
        let ask = ask.header("x-forwarded-method", "GET").header("x-forwarded-proto", "https");
        let answer = ask.header("x-forwarded-host", "app.test").header("x-forwarded-uri", uri).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path} {uri}");
    }
    let metrics = Metrics::of(usher.address("admin").await).await;
    let answers = |route: &str, code: &str| metrics.count("usher_requests_total", &[("route", route), ("code", code)]);
    assert_eq!((answers("app.test/", "200"), answers("app.test/admin/", "403")), (1, 2), "{}", metrics.text);
    assert_eq!(answers("/.usher/", "404"), 1, "{}", metrics.text);
    assert_eq!(metrics.count("usher_upstream_duration_seconds_count", &[]), 0);
    assert_eq!(metrics.count("usher_audit_events_total", &[]), 1);
    usher.says("\"event\":\"refused\"").await;
    let lines = lines_of(&usher);
    let refused = &lines["refused"];
    assert_eq!((lines.len(), refused.len()), (1, 1), "{lines:?}");
    assert_eq!((&refused[0]["subject"], &refused[0]["route"]), (&"carol".into(), &"app.test/admin/".into()));
}

/// The document names what there is.
#[test]
fn the_readme_has_the_whole_vocabulary() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("\n### The audit log\n").expect("a chapter about it");
    let chapter = after.split("\n## ").next().unwrap();
    let told: Vec<_> = chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(told, Event::ALL.map(Event::name));
}
