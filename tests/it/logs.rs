//! What the operator sees, and what nobody ever sees: canaries are planted in every secret, on the way of success and of
//! every failure, and the output of the real binary is searched for them.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::gateway::{SESSION_SECRET, complete};
use crate::harness::issuer::{CLIENT_SECRET, Issuer};
use crate::harness::keys::SigningKey;
use crate::harness::scene::{ISSUERS, SESSION, SITES, jar};
use crate::harness::{Client, Jar, Protocol, TokenAnswer, Upstream, UpstreamAnswer, get, post};

/// A process of its own that logs in JSON at this level, and what surrounds it.
struct Logged {
    usher: Usher,
    upstream: Upstream,
    issuer: Issuer,
    client: Client,
    _directory: tempfile::TempDir,
}

impl Logged {
    async fn start(level: &str, more: &str) -> Self {
        let clock = Clock::system();
        let (upstream, issuer, directory) =
            (Upstream::start().await, Issuer::start(&clock).await, tempfile::tempdir().unwrap());
        let login = "    login: { path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }\n";
        let issuers = format!("{}\n{login}", ISSUERS.trim_end());
        let yaml = format!(
            "log: {{ format: json, level: '{level}'{more} }}\n{issuers}{SESSION}  refresh_wait: 300ms\n{SITES}"
        );
        let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$UPSTREAM", &upstream.url());
        let yaml = complete(&yaml.replace("$CLIENT_SECRET", CLIENT_SECRET), &directory);
        let usher = Usher::serve(&yaml, directory.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        Self { usher, upstream, issuer, client, _directory: directory }
    }
}

/// Runs the binary at a log level through success and every failure, and searches what it said.
pub(crate) async fn nothing_secret_is_said_at(level: &str) {
    let mut logged = Logged::start(level, "").await;
    let (issuer, upstream, client) = (&logged.issuer, &logged.upstream, logged.client);
    let mut canaries: Vec<String> =
        [CLIENT_SECRET, SESSION_SECRET, "canary-password", "canary-query"].map(str::to_owned).into();
    let mut plant =
        |jar: &Jar| canaries.extend(["at", "rt"].iter().filter_map(|name| jar.value(name)).map(str::to_owned));

    let good = jar(&issuer.sign_in("alice"));
    plant(&good);
    client.send(get("https://app.test/x").cookies(&good)).await.assert_status(200);
    client.send(get("https://app.test/admin/x").cookies(&good)).await.assert_status(403);
    client
        .send(post("https://app.test/x").header("origin", "https://evil.test").cookies(&good))
        .await
        .assert_status(403);
    client.send(get("https://app.test/x?access_token=canary-query&code=canary-query")).await.assert_status(401);
    client.send(get("https://app.test/x").bearer(good.value("at").unwrap())).await.assert_status(200);
    client.send(get("https://app.test/x").bearer("canary.password.canary-password")).await.assert_status(401);
    client.send(get("https://app.test/x").header("authorization", "Basic canary-password")).await;
    let forged = issuer.token("root").sign(&SigningKey::p256());
    client.send(get("https://app.test/x").bearer(&forged)).await.assert_status(401);
    upstream.answer("/broken", UpstreamAnswer::Hangup);
    client.send(get("https://app.test/broken").cookies(&good)).await.assert_status(502);

    for trouble in [
        TokenAnswer::Rotate,
        TokenAnswer::Forged,
        TokenAnswer::OtherSubject("root"),
        TokenAnswer::Status(500, None),
        TokenAnswer::Garbage,
        TokenAnswer::Html,
        TokenAnswer::Empty,
        TokenAnswer::InvalidClient,
        TokenAnswer::InvalidGrant,
        TokenAnswer::Hangup,
        TokenAnswer::RotateThenHangup,
        TokenAnswer::Hang,
    ] {
        issuer.behave(trouble);
        let mut expired = jar(&issuer.sign_in_expired("alice"));
        plant(&expired);
        let answer = client.send(get("https://app.test/x").cookies(&expired)).await;
        expired.take(&answer.headers);
        plant(&expired);
    }
    let tokens = issuer.sign_in("alice");
    plant(&jar(&tokens));
    upstream.answer(
        "/auth/login",
        UpstreamAnswer::json(&json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh })),
    );
    let login = json!({ "username": "alice", "password": "canary-password" });
    client.send(post("https://app.test/auth/login").header("origin", "https://app.test").json(&login)).await;
    let out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
    client.send(out.cookies(&good)).await;

    canaries.push(forged);
    logged.usher.signal("TERM").await;
    logged.usher.exit().await;
    let output = logged.usher.output();
    assert!(output.lines().count() > 20, "it does log: {output}");
    for canary in canaries {
        let signature = canary.rsplit('.').next().unwrap();
        for secret in [canary.as_str(), signature] {
            let leak = output.lines().find(|line| line.contains(secret));
            assert_eq!(leak, None, "{secret} was said");
        }
    }
}

#[tokio::test]
async fn the_access_log_says_who_did_what_and_why_it_was_decided_so() {
    let logged = Logged::start("info", "").await;
    let token = logged.issuer.access_token("alice");
    logged.client.send(get("https://app.test/admin/x?secret=1").bearer(&token)).await.assert_status(403);
    logged.client.send(get("https://app.test/gold/x").bearer(&token)).await.assert_status(401);
    logged.client.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    logged.usher.says("\"status\":200").await;
    let output = logged.usher.output();
    let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |status: u64| {
        lines.iter().find(|line| line.to_string().contains(&format!("\"status\":{status}"))).unwrap().to_string()
    };
    let step_up = "the sign-in is not what is asked for: acr gold";
    for (line, facts) in [
        (of(403), ["app.test/admin/", "main", "alice"]),
        (of(401), [step_up, "\"decision\":\"refused\"", "\"fault\":\"client\""]),
        (of(200), ["app.test/", "main", "alice"]),
    ] {
        for fact in facts {
            assert!(line.contains(fact), "{fact} in {line}");
        }
    }
    assert!(!output.contains("secret=1"), "queries are not logged");
}

#[tokio::test]
async fn http_at_the_port_of_https_is_told_in_one_line_however_often_it_comes() {
    let logged = Logged::start("info", "").await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(logged.client.address).await.unwrap();
        stream.write_all(b"GET /canary HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    logged.usher.says("plain HTTP at a port that speaks HTTPS").await;
    let output = logged.usher.output();
    let lines: Vec<&str> = output.lines().filter(|line| line.contains("plain HTTP at a port")).collect();
    let [line] = lines[..] else { panic!("one line: {output}") };
    assert!(line.contains("\"level\":\"INFO\"") && line.contains("127.0.0.1") && !line.contains("canary"), "{line}");
}

#[tokio::test]
async fn the_subject_may_be_left_out_or_hashed() {
    for how in ["hash", "omit"] {
        let logged = Logged::start("info", &format!(", subject: {how}")).await;
        let token = logged.issuer.access_token("alice-in-wonderland");
        logged.client.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
        logged.usher.says("\"status\":200").await;
        assert!(!logged.usher.output().contains("alice-in-wonderland"), "{how}");
    }
}

#[tokio::test]
async fn a_client_cannot_write_lines_into_the_log() {
    let logged = Logged::start("info", "").await;
    let ask = get("https://app.test/x").header("user-agent", "a\"}{\"status\":999").header("x-request-id", "evil\"}{");
    logged.client.send(ask).await.assert_status(401);
    logged.usher.says("\"status\":401").await;
    for line in logged.usher.output().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "every line is one JSON object: {line}");
    }
}
