//! The refresh protocol under load, against a real certified authorization server that revokes the whole grant when it
//! sees a refresh token twice. The figures in the README come from here.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use usher::clock::Clock;

use crate::harness::authorization_server::AuthorizationServer;
use crate::harness::client::Connection;
use crate::harness::scene::{SESSION, SITES, assert_renewed, echoed};
use crate::harness::{Answer, Client, Gateway, Jar, SetCookie, Upstream, eventually, get};

/// A gateway between an application and the certified server.
struct Ring {
    gateway: Gateway,
    upstream: Upstream,
    server: AuthorizationServer,
}

impl Ring {
    async fn start(what: &str) -> Option<Self> {
        let server = AuthorizationServer::start("RS256", what).await?;
        let upstream = Upstream::start().await;
        let issuers = format!(
            "
issuers:
  main:
    issuer: {}
    insecure_http: true
    client_id: usher
    client_secret: a secret/with+signs that=need encoding
    audiences: [usher]
    algorithms: [RS256]
    leeway: 0s
limits: {{ streams_per_connection: 1000 }}
",
            server.issuer()
        );
        // A thousand connections at once may overflow the upstream's queue, and a lost SYN comes again after a second.
        let sites = SITES.replace("connect: 1s, response: 2s", "connect: 20s, response: 20s");
        let yaml = format!("{issuers}{SESSION}{sites}").replace("$UPSTREAM", &upstream.url());
        let gateway = Gateway::start(&yaml, &Clock::system()).await;
        Some(Self { gateway, upstream, server })
    }

    /// The cookies of a user whose access token has expired.
    async fn expired(&self, subject: &str) -> Jar {
        let tokens = self.server.sign_in(subject, -10).await;
        Jar::of(&[("at", &tokens.access_token), ("rt", &tokens.refresh_token)])
    }

    /// Everybody was let in, and the server was asked as often as this.
    async fn assert_asked(&self, times: usize) {
        let stats = self.server.stats().await;
        assert_eq!((stats.token_requests, stats.reuses, stats.grants_revoked), (times, 0, 0), "{stats:?}");
    }
}

async fn ask(client: Client, jar: &Jar) -> Answer {
    client.send(get("https://app.test/x").cookies(jar)).await
}

fn assert_all_are(answers: &[Answer], subject: &str) {
    for answer in answers {
        assert_renewed(answer.assert_status(200));
        assert_eq!(echoed(&answer.json(), "x-user-id"), [subject]);
    }
}

#[tokio::test]
async fn a_thousand_requests_over_http_1_with_one_expired_token_cost_one_token_request() {
    let Some(ring) = Ring::start("1,000 parallel requests over HTTP/1.1").await else { return };
    ring.server.delay(Duration::from_millis(300)).await;
    let jar = ring.expired("alice").await;
    let mut connections: Vec<Connection> =
        join_all((0..100).map(|_| async { ring.gateway.client().connect("app.test").await })).await;
    let started = Instant::now();
    let answers = join_all(connections.iter_mut().map(|connection| {
        let jar = &jar;
        async move {
            let mut answers = Vec::new();
            for _ in 0..10 {
                answers.push(connection.send(get("https://app.test/x").cookies(jar)).await);
            }
            answers
        }
    }))
    .await;
    let answers: Vec<Answer> = answers.into_iter().flatten().collect();
    println!("1,000 requests over 100 HTTP/1.1 connections: {:?}", started.elapsed());
    assert_eq!(answers.len(), 1000);
    assert_all_are(&answers, "alice");
    assert_eq!(ring.upstream.count(), 1000);
    ring.assert_asked(1).await;
}

#[tokio::test]
async fn a_thousand_requests_over_http_2_with_one_expired_token_cost_one_token_request() {
    let Some(ring) = Ring::start("1,000 parallel requests over HTTP/2").await else { return };
    ring.server.delay(Duration::from_millis(300)).await;
    let jar = ring.expired("alice").await;
    let connections = join_all((0..4).map(|_| async { ring.gateway.http2().connect("app.test").await })).await;
    let started = Instant::now();
    let answers = join_all((0..1000).map(|n: usize| {
        let (mut connection, ask) = (connections[n % 4].share(), get("https://app.test/x").cookies(&jar));
        async move { connection.send(ask).await }
    }))
    .await;
    println!("1,000 requests over 4 HTTP/2 connections: {:?}", started.elapsed());
    assert_all_are(&answers, "alice");
    assert_eq!(ring.upstream.count(), 1000);
    ring.assert_asked(1).await;
}

#[tokio::test]
async fn the_leaders_client_leaves_and_everybody_else_gets_in() {
    let Some(ring) = Ring::start("the leader disconnects").await else { return };
    for http2 in [false, true] {
        let asked = ring.server.stats().await.token_requests;
        ring.server.delay(Duration::from_millis(400)).await;
        let jar = ring.expired("alice").await;
        let client = if http2 { ring.gateway.http2() } else { ring.gateway.client() };
        let leader = tokio::spawn({
            let jar = jar.clone();
            async move { ask(client, &jar).await }
        });
        while ring.server.stats().await.token_requests == asked {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let followers = tokio::spawn({
            let jar = jar.clone();
            async move { join_all((0..20).map(|_| ask(client, &jar))).await }
        });
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled(), "the leader left before its answer");
        assert_all_are(&followers.await.unwrap(), "alice");
        ring.assert_asked(asked + 1).await;
    }
}

#[tokio::test]
async fn a_near_miss_by_one_to_a_hundred_milliseconds_is_none() {
    let Some(ring) = Ring::start("near misses").await else { return };
    let jar = ring.expired("alice").await;
    assert_renewed(ask(ring.gateway.client(), &jar).await.assert_status(200));
    for late in [1, 2, 5, 10, 20, 40, 70, 100] {
        tokio::time::sleep(Duration::from_millis(late)).await;
        assert_renewed(ask(ring.gateway.client(), &jar).await.assert_status(200));
    }
    ring.assert_asked(1).await;
}

#[tokio::test]
async fn a_response_that_got_lost_costs_nobody_the_session() {
    let Some(ring) = Ring::start("lost responses").await else { return };
    let jar = ring.expired("alice").await;
    let mut connection = ring.gateway.client().connect("app.test").await;
    drop(connection.open(get("https://app.test/x").cookies(&jar)).await.unwrap());
    drop(connection);
    let mut next = jar.clone();
    next.take(&ask(ring.gateway.client(), &jar).await.assert_status(200).headers);
    ask(ring.gateway.client(), &next).await.assert_status(200);
    ring.assert_asked(1).await;
}

#[tokio::test]
async fn hundreds_of_users_who_expire_in_the_same_second_all_get_in_once() {
    let Some(ring) = Ring::start("hundreds of users expire at once").await else { return };
    ring.server.delay(Duration::from_millis(20)).await;
    let mut jars = Vec::new();
    for _ in 0..300 {
        jars.push(ring.expired("alice").await);
    }
    let connection = ring.gateway.http2().connect("app.test").await;
    let started = Instant::now();
    let answers = join_all(jars.iter().flat_map(|jar| [jar, jar]).map(|jar| {
        let (mut connection, ask) = (connection.share(), get("https://app.test/x").cookies(jar));
        async move { connection.send(ask).await }
    }))
    .await;
    println!("300 users, 2 requests each, expired at once: {:?}", started.elapsed());
    assert_all_are(&answers, "alice");
    ring.assert_asked(300).await;
}

#[tokio::test]
async fn a_real_refusal_ends_the_session() {
    let Some(ring) = Ring::start("a real invalid_grant").await else { return };
    let jar = Jar::of(&[("rt", "a-refresh-token-that-nobody-issued")]);
    let answer = ask(ring.gateway.client(), &jar).await;
    assert!(answer.assert_status(401).set_cookies().iter().all(SetCookie::clears));
    eventually("nothing reached the application", || ring.upstream.count() == 0).await;
}
