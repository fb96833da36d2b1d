//! Users of Usher's own: sign-in as JSON, tokens that anybody can verify, sessions that end when the users file says so.

use std::fs;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::totp::SECRET;
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Ask, Client, Gateway, Jar, Protocol, Upstream, eventually, get, long, post};

pub(crate) const SIGN_IN: &str = "https://app.test/.usher/issuer/sign-in";

/// At the lowest cost that counts.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 8).unwrap()
}

/// A gateway with a local issuer.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    upstream: Upstream,
    pub(crate) clock: Clock,
    yaml: String,
    directory: TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// With these keys at the top of the file.
    async fn with(keys: &str) -> Self {
        let (clock, upstream) = (Clock::adjustable(), Upstream::start().await);
        let directory = tempfile::tempdir().unwrap();
        let yaml = configuration(keys, &upstream, &directory);
        write_users(&directory, &usual_users());
        let gateway = Gateway::start(&yaml, &clock).await;
        Self { gateway, upstream, clock, yaml, directory }
    }

    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        self.gateway.client().send(ask).await
    }

    async fn sign_in(&self, username: &str, password: &str) -> Answer {
        self.send(credentials(username, password)).await
    }

    /// The cookies of a user who has signed in.
    pub(crate) async fn session(&self, username: &str, password: &str) -> Jar {
        let mut jar = Jar::default();
        jar.take(&self.sign_in(username, password).await.assert_status(200).headers);
        jar
    }

    /// Its configuration, without what every gateway of the tests has.
    pub(crate) fn yaml(&self) -> &str {
        &self.yaml
    }

    pub(crate) async fn visit(&self, jar: &Jar) -> Answer {
        self.send(get("https://app.test/x").header("accept", "application/json").cookies(jar)).await
    }

    /// What the users file says.
    pub(crate) fn users(&self) -> String {
        fs::read_to_string(self.directory.path().join("users.yaml")).unwrap()
    }

    /// Other users while the gateway runs.
    pub(crate) async fn change_users(&self, users: &str) {
        write_users(&self.directory, users);
        self.gateway.reload(&self.yaml).await.unwrap();
    }
}

fn configuration(keys: &str, upstream: &Upstream, directory: &TempDir) -> String {
    format!(
        "{keys}
issuers:
  staff:
    leeway: 0s
    local: {{ users_file: '{users}' }}
sites:
  - host: app.test
    issuer: staff
    upstream: {upstream}
    identity_headers: {{ X-User-Id: sub, X-User-Email: email, X-User-Roles: roles }}
    routes:
      - path: /
      - {{ path: /staff/, require: {{ roles: staff }} }}
      - {{ path: /strong/, require: {{ acr: '2' }} }}
      - {{ path: /recent/, require: {{ acr: ['1', '2'], max_age: 15m }} }}
  - host: pub.test
    access: public
    upstream: {upstream}
    routes: [{{ path: / }}]
",
        users = directory.path().join("users.yaml").display(),
        upstream = upstream.url(),
    )
}

pub(crate) fn usual_users() -> String {
    format!(
        "users:
  alice: {{ password: '{}', name: Alice, email: alice@example.com, claims: {{ roles: [user, staff] }} }}
  bob: {{ password: '{}', subject: 7f3 }}
  carol: {{ password: '{}', disabled: true }}
  dora: {{ password: '{}', totp: {SECRET} }}
",
        hash("wonderland"),
        hash("builder"),
        hash("carol's"),
        hash("explorer"),
    )
}

pub(crate) fn write_users(directory: &TempDir, users: &str) {
    fs::write(directory.path().join("users.yaml"), users).unwrap();
}

fn credentials(username: &str, password: &str) -> Ask {
    post(SIGN_IN).header("origin", "https://app.test").json(&json!({ "username": username, "password": password }))
}

#[tokio::test]
async fn a_password_becomes_a_session_that_the_application_is_told_of() {
    let scene = Scene::start().await;
    let answer = scene.sign_in("alice", "wonderland").await;
    let body = answer.assert_status(200).json();
    assert_eq!((&body["token_type"], &body["sub"]), (&json!("Bearer"), &json!("alice")));
    assert!(body["expires_in"].as_u64().unwrap() > 290 && body.get("refresh_token").is_none(), "{body}");
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    for cookie in answer.set_cookies() {
        let has = |name: &str| cookie.attributes.contains_key(name);
        assert!(cookie.name.starts_with("__Host-usher-") && has("secure") && has("httponly"), "{cookie:?}");
    }

    let mut jar = Jar::default();
    jar.take(&answer.headers);
    scene.visit(&jar).await.assert_status(200);
    let seen = scene.upstream.last();
    assert_eq!((seen.all("x-user-id"), seen.all("cookie")), (vec!["alice"], vec![]));
    assert_eq!((seen.all("x-user-email"), seen.all("x-user-roles")), (vec!["alice@example.com"], vec!["user,staff"]));

    let token = body["access_token"].as_str().unwrap();
    scene.send(get("https://app.test/x").bearer(token)).await.assert_status(200);
}

#[tokio::test]
async fn an_expired_session_is_renewed_quietly_with_one_rotation_each() {
    let scene = Scene::start().await;
    let mut jar = scene.session("alice", "wonderland").await;
    for _ in 0..3 {
        scene.clock.advance(Duration::from_secs(301));
        let before = jar.line();
        let answer = scene.visit(&jar).await;
        jar.take(&answer.assert_status(200).headers);
        assert_ne!(jar.line(), before);
        assert!(scene.visit(&jar).await.assert_status(200).set_cookies().is_empty(), "it is fresh now");
    }
    scene.clock.advance(Duration::from_secs(31 * 86_400));
    scene.visit(&jar).await.assert_status(401);
}

#[tokio::test]
async fn wrong_passwords_unknown_users_and_disabled_ones_are_answered_alike() {
    let scene = Scene::start().await;
    let mut answers = Vec::new();
    for (username, password) in [("alice", "wrong"), ("nobody", "wonderland"), ("carol", "carol's")] {
        let answer = scene.sign_in(username, password).await;
        assert!(answer.assert_status(401).set_cookies().is_empty());
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        answers.push(body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(scene.upstream.count(), 0);
}

/// Tabs share their cookies: what one of them has asked before another signed in is answered after that.
#[tokio::test]
async fn a_late_answer_to_the_session_before_leaves_the_cookies_of_the_new_one() {
    let scene = Scene::start().await;
    let before = scene.session("alice", "wonderland").await;
    scene.send(credentials("alice", "wonderland").cookies(&before)).await.assert_status(200);
    let late = scene.visit(&before).await;
    assert!(late.assert_status(401).set_cookies().is_empty(), "{late:?}");
}

#[tokio::test]
async fn whatever_is_no_sign_in_is_refused() {
    let scene = Scene::start().await;
    let good = r#"{"username":"alice","password":"wonderland"}"#;
    for (content_type, body) in [
        ("application/json", ""),
        ("application/json", "{}"),
        ("application/json", r#"{"username":"alice"}"#),
        ("application/json", r#"{"password":"wonderland"}"#),
        ("application/json", r#"{"username":"bob","username":"alice","password":"wonderland"}"#),
        ("application/json", r#"{"username":"alice","password":"wonderland","totp":1}"#),
        ("application/json", r#"{"username":["alice"],"password":"wonderland"}"#),
        ("application/json", r#"{"username":"alice","password":null}"#),
        ("application/json", r#"["alice","wonderland"]"#),
        ("application/json", r#"{"username":"alice","password":"wonderland"}x"#),
        ("text/plain", good),
        ("application/json; charset=latin1", good),
        ("multipart/form-data; boundary=x", "username=alice&password=wonderland"),
        ("application/x-www-form-urlencoded", ""),
        ("application/x-www-form-urlencoded", "username=alice"),
        ("application/x-www-form-urlencoded", "username=bob&username=alice&password=wonderland"),
        ("application/x-www-form-urlencoded", good),
    ] {
        let ask = post(SIGN_IN).header("origin", "https://app.test").header("content-type", content_type);
        let answer = scene.send(ask.body(body)).await;
        assert!(answer.assert_status(400).set_cookies().is_empty(), "{body}");
    }
    let long = |length| credentials("alice", &"x".repeat(length));
    scene.send(long(4097)).await.assert_status(400);
    let longest = scene.send(long(1 << 20)).await;
    assert!(longest.assert_status(400).json()["detail"].as_str().unwrap().contains("too long"));
    scene.sign_in("alice", &"x".repeat(1024)).await.assert_status(401);

    let from_elsewhere = credentials("alice", "wonderland").header("origin", "https://evil.test");
    scene.send(from_elsewhere).await.assert_status(403);
    scene.send(Ask::new(http::Method::PUT, SIGN_IN)).await.assert_status(405);
    let twice = credentials("alice", "wonderland").header("content-type", "application/json");
    scene.send(twice).await.assert_status(400);
    scene.sign_in("alice", "wonderland").await.assert_status(200);
}

#[tokio::test]
async fn guessing_has_to_wait_however_the_source_and_the_name_are_varied() {
    let scene = Scene::start().await;
    for (number, name) in (0..).zip(["alice", "ALICE", " alice", "Alice ", "ａlice"]) {
        let forwarded = format!("192.0.2.{number}");
        let ask = credentials(name, "wrong").header("x-forwarded-for", &forwarded);
        scene.send(ask).await.assert_status(401);
    }
    let answer = scene.sign_in("alice", "wonderland").await;
    let wait: u64 = answer.assert_status(429).header("retry-after").unwrap().parse().unwrap();
    assert_eq!(answer.json()["error"], "too_many_attempts");
    assert!((1..=60).contains(&wait), "{wait}");
    scene.sign_in("bob", "builder").await.assert_status(200);
    scene.clock.advance(Duration::from_secs(wait));
    scene.sign_in("alice", "wonderland").await.assert_status(200);

    let mut refused = 0;
    for number in 0..30 {
        refused += usize::from(scene.sign_in(&format!("user {number}"), "x").await.status == 429);
    }
    assert!(refused >= 5, "{refused}");
    // Nobody learns from it whether there is such a user.
    let told = |answer: crate::harness::Answer| {
        let mut told = answer.assert_status(429).json();
        told["request_id"].take();
        (told, answer.header("retry-after").map(ToOwned::to_owned))
    };
    assert_eq!(told(scene.sign_in("alice", "x").await), told(scene.sign_in("nobody at all", "x").await));
}

#[tokio::test]
async fn tokens_are_of_rfc_9068_and_anybody_can_verify_them() {
    let scene = Scene::start().await;
    let body = scene.sign_in("bob", "builder").await.assert_status(200).json();
    let token = body["access_token"].as_str().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), jsonwebtoken::Algorithm::ES256));

    let base = "https://app.test/.usher/issuer";
    let document = scene.send(get(&format!("{base}/.well-known/openid-configuration"))).await.assert_status(200).json();
    assert_eq!(document["issuer"], base);
    let keys = scene.send(get(document["jwks_uri"].as_str().unwrap())).await;
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys.assert_status(200).json()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&[base]);
    validation.set_issuer(&[base]);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "auth_time", "sid"] {
        assert!(!claims[name].is_null(), "{name} of {claims}");
    }
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("7f3"), &json!("usher")));
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("1"), &json!(["pwd"])));
    assert_eq!(document["acr_values_supported"], json!(["1", "2"]));
    let supported = document["claims_supported"].as_array().unwrap();
    assert!(["auth_time", "acr", "amr"].iter().all(|claim| supported.contains(&json!(claim))), "{supported:?}");
    let other = scene.send(get(&format!("{base}/.well-known/oauth-authorization-server"))).await;
    assert_eq!(other.assert_status(200).json(), document);
}

#[tokio::test]
async fn a_site_without_a_local_issuer_has_nothing_there() {
    let scene = Scene::start().await;
    for path in ["sign-in", "jwks.json", ".well-known/openid-configuration"] {
        scene.send(get(&format!("https://pub.test/.usher/issuer/{path}"))).await.assert_status(404);
    }
    for path in ["token", "revoke", "", "sign-in/"] {
        scene.send(get(&format!("https://app.test/.usher/issuer/{path}"))).await.assert_status(404);
    }
}

#[tokio::test]
async fn another_password_or_no_such_user_ends_the_sessions_and_the_access_tokens_at_once() {
    let scene = Scene::start().await;
    let (alice, bob) = (scene.session("alice", "wonderland").await, scene.session("bob", "builder").await);
    let body = scene.sign_in("alice", "wonderland").await.json();
    let token = body["access_token"].as_str().unwrap();
    scene.change_users(&usual_users().replace("name: Alice", "name: Alice Liddell")).await;
    scene.visit(&alice).await.assert_status(401);
    scene.visit(&bob).await.assert_status(401);

    // A sign-in in the same second counts.
    let (alice, bob) = (scene.session("alice", "wonderland").await, scene.session("bob", "builder").await);
    scene.visit(&alice).await.assert_status(200);
    let users = fs::read_to_string(scene.directory.path().join("users.yaml")).unwrap();
    scene.change_users(&users.replace("alice@example.com", "liddell@example.com")).await;
    let mut renewed = alice.clone();
    renewed.take(&scene.visit(&alice).await.assert_status(200).headers);
    assert_eq!(scene.upstream.last().all("x-user-email"), ["liddell@example.com"], "claims are those of now");

    let kept: Vec<_> = users.lines().filter(|line| !line.contains("bob:")).collect();
    let without_bob = kept.join("\n");
    scene.change_users(&without_bob).await;
    scene.visit(&bob).await.assert_status(401);
    scene.visit(&renewed).await.assert_status(200);
    let other_password = without_bob.replacen(&hash_of(&without_bob), &hash("looking-glass"), 1);
    scene.change_users(&other_password).await;
    scene.visit(&renewed).await.assert_status(401);
    scene.send(get("https://app.test/x").bearer(token)).await.assert_status(401);
    scene.sign_in("alice", "wonderland").await.assert_status(401);
    let alice = scene.session("alice", "looking-glass").await;
    scene.visit(&alice).await.assert_status(200);
}

#[tokio::test]
async fn what_a_user_has_open_is_cut_when_the_user_is_disabled_and_that_of_others_is_not() {
    let scene = Scene::start().await;
    let [alice, bob] = [scene.session("alice", "wonderland").await, scene.session("bob", "builder").await];
    let mut open = Vec::new();
    for jar in [&alice, &bob] {
        let feed = scene.upstream.stream("/long", &[("content-type", "application/octet-stream")]);
        let mut connection = scene.gateway.client().connect("app.test").await;
        let mut response = connection.open(get("https://app.test/long").cookies(jar)).await.unwrap();
        feed.chunk("so far");
        response.body_mut().frame().await.unwrap().unwrap();
        open.push((connection, response, feed));
    }
    scene.change_users(&scene.users().replacen("alice: {", "alice: { disabled: true,", 1)).await;
    let (_connection, response, feed) = open.remove(0);
    let answer = timeout(PATIENCE, Answer::read(response)).await.expect("it ends with the session");
    assert!(!answer.complete, "cut, not ended");
    eventually("the application is let go", || feed.is_dropped()).await;
    let (_connection, response, feed) = &mut open[0];
    feed.chunk("still");
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "still");
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_with_the_next_request_and_the_session_goes_on() {
    let scene = Scene::start().await;
    let token = scene.sign_in("alice", "wonderland").await.json()["access_token"].as_str().unwrap().to_owned();
    let alice = scene.session("alice", "wonderland").await;
    scene.visit(&alice).await.assert_status(200);
    let users = fs::read_to_string(scene.directory.path().join("users.yaml")).unwrap();
    scene.change_users(&users.replace("[user, staff]", "[user]")).await;
    scene.visit(&alice).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("x-user-roles"), ["user"]);
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(401);
}

/// The first hash of a users file.
fn hash_of(users: &str) -> String {
    users.split('\'').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_users_file_that_is_wrong_keeps_the_users_of_before() {
    let scene = Scene::start().await;
    let jar = scene.session("alice", "wonderland").await;
    write_users(&scene.directory, "users: {}\n");
    let refusal = scene.gateway.reload(&scene.yaml).await.unwrap_err();
    assert!(refusal.contains("who is to sign in"), "{refusal}");
    scene.visit(&jar).await.assert_status(200);
    scene.session("bob", "builder").await;
}

#[tokio::test]
async fn a_sign_in_ends_the_session_of_before_in_the_same_browser() {
    let scene = Scene::start().await;
    let alice = scene.session("alice", "wonderland").await;
    let answer = scene.send(credentials("bob", "builder").cookies(&alice)).await;
    let mut bob = alice.clone();
    bob.take(&answer.assert_status(200).headers);
    scene.visit(&alice).await.assert_status(401);
    scene.visit(&bob).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("x-user-id"), ["7f3"]);
    scene.send(post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(&bob)).await;
    scene.visit(&bob).await.assert_status(401);
}

/// The configuration of a process, which keeps its state, with these keys at its top.
pub(crate) fn for_a_process(keys: &str, upstream: &Upstream, directory: &TempDir) -> String {
    write_users(directory, &usual_users());
    complete(&configuration(&format!("{keys}state_directory: '$DIRECTORY/state'\n"), upstream, directory), directory)
}

/// F33, the short form: killed at any moment of a sign-in or a renewal, the store opens again, and at most the last
/// rotation is lost, which the grace forgives.
#[tokio::test]
async fn sessions_survive_a_process_that_is_killed_at_any_moment() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = for_a_process("", &upstream, &directory);
    let rounds = if long() { 1_000 } else { 20 };
    let mut jar = None;
    for round in 0..rounds {
        let mut usher = Usher::serve(&yaml, directory.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        if let Some(jar) = &jar {
            let ask = get("https://app.test/x").header("accept", "application/json").cookies(jar);
            client.send(ask).await.assert_status(200);
        }
        let mut kept = Jar::default();
        kept.take(&client.send(credentials("alice", "wonderland")).await.assert_status(200).headers);
        // Without its access token, a session can only be renewed.
        kept.remove("__Host-usher-access");
        jar = Some(kept);
        let busy = async { while client.try_send(credentials("bob", "builder")).await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(u64::from(round % 20 * 7_u32)), busy).await;
        usher.signal("KILL").await;
        usher.exit().await;
    }
}

#[tokio::test]
async fn a_user_who_was_disabled_stays_out_after_a_restart() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = for_a_process("", &upstream, &directory);
    let users = fs::read_to_string(directory.path().join("users.yaml")).unwrap();
    let disabled = users.replace("subject: 7f3", "subject: 7f3, disabled: true");
    let serve = |users: &str| {
        write_users(&directory, users);
        Usher::serve(&yaml, directory.path())
    };
    let mut usher = serve(&users);
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let answer = client.send(credentials("bob", "builder")).await;
    let token = answer.assert_status(200).json()["access_token"].as_str().unwrap().to_owned();
    let mut jar = Jar::default();
    jar.take(&answer.headers);
    for (users, status) in [(&users, 200), (&disabled, 401), (&users, 401)] {
        usher.signal("TERM").await;
        usher.exit().await;
        usher = serve(users);
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        client.send(get("https://app.test/x").bearer(&token)).await.assert_status(status);
        let ask = get("https://app.test/x").header("accept", "application/json").cookies(&jar);
        client.send(ask).await.assert_status(status);
    }
}

#[tokio::test]
async fn a_change_of_the_users_file_counts_within_the_watch_interval() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = for_a_process("", &upstream, &directory);
    let usher = Usher::serve(&yaml, directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let mut jar = Jar::default();
    jar.take(&client.send(credentials("bob", "builder")).await.assert_status(200).headers);
    let visit = || client.send(get("https://app.test/x").header("accept", "application/json").cookies(&jar));
    visit().await.assert_status(200);
    let users = fs::read_to_string(directory.path().join("users.yaml")).unwrap();
    write_users(&directory, &users.replace("subject: 7f3", "subject: 7f3, disabled: true"));
    let started = Instant::now();
    while visit().await.status != 401 {
        assert!(started.elapsed() < Duration::from_secs(5), "the session has not ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
