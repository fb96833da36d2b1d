//! Several instances are as one: whoever of them is asked, a refresh token is spent once, and its outcome is found by all.
//!
//! The instances are gateways with nothing in common but a real Redis; the authorization server is a real one that revokes
//! the whole grant when it sees a refresh token twice.

pub(crate) mod instances;
pub(crate) mod people;
pub(crate) mod stack;

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::client::Connection;
use crate::harness::scene::{assert_renewed, echoed};
use crate::harness::{Answer, Gateway, Jar, Redis, get, long};
use instances::Fleet;

async fn connect(fleet: &Fleet) -> Vec<Connection> {
    let clients: Vec<_> = fleet.instances.iter().map(Gateway::http2).collect();
    join_all(clients.iter().map(|client| client.connect("app.test"))).await
}

/// So many requests with these cookies, spread over all instances.
async fn ask_all(connections: &[Connection], jar: &Jar, requests: usize) -> Vec<Answer> {
    join_all((0..requests).map(|n| {
        let (mut connection, ask) =
            (connections[n % connections.len()].share(), get("https://app.test/x").cookies(jar));
        async move { connection.send(ask).await }
    }))
    .await
}

fn assert_all_are(answers: &[Answer], subject: &str) {
    for answer in answers {
        assert_renewed(answer.assert_status(200));
        assert_eq!(echoed(&answer.json(), "x-user-id"), [subject]);
    }
}

/// Two users' tokens expire together, and nobody gets what is the other's. The long form: a thousand requests for each of two
/// hundred expiries, with a store that hangs now and then.
#[tokio::test]
async fn many_requests_with_one_expired_token_over_three_instances_cost_one_token_request() {
    let what = "parallel requests over three instances";
    let Some(redis) = Redis::start(what).await else { return };
    let Some(fleet) = Fleet::start(3, &redis.url(), what).await else { return };
    let (expiries, requests) = if long() { (200, 1_000) } else { (4, 200) };
    fleet.server.delay(Duration::from_millis(20)).await;
    let connections = connect(&fleet).await;
    let (started, mut slowest, mut faults) = (Instant::now(), Duration::ZERO, 0);
    for round in 0..expiries / 2 {
        let (alice, root) = (fleet.expired("alice").await, fleet.expired("root").await);
        if round % 10 == 1 {
            // Shorter than an operation may take: nobody notices but by the time.
            faults += 1;
            redis.command(&["CLIENT", "PAUSE", "200", "ALL"]).await;
        }
        let began = Instant::now();
        let [of_alice, of_root] = [&alice, &root].map(|jar| ask_all(&connections, jar, requests));
        let (of_alice, of_root) = tokio::join!(of_alice, of_root);
        assert_all_are(&of_alice, "alice");
        assert_all_are(&of_root, "root");
        slowest = slowest.max(began.elapsed());
    }
    println!(
        "{expiries} expiries of {requests} requests each over 3 instances, the store paused {faults} times: {:?}, {slowest:?} \
         at most for two; {} token requests",
        started.elapsed(),
        fleet.server.stats().await.token_requests
    );
    fleet.assert_asked(expiries).await;
}

#[tokio::test]
async fn a_renewal_on_one_instance_is_found_on_another_before_and_after_its_cookies_arrive() {
    let what = "a renewal is found by another instance";
    let Some(redis) = Redis::start(what).await else { return };
    let Some(fleet) = Fleet::start(2, &redis.url(), what).await else { return };
    let old = fleet.expired("alice").await;
    let ask = |instance: usize, jar: Jar| {
        let client = fleet.instances[instance].client();
        async move { client.send(get("https://app.test/x").cookies(&jar)).await }
    };
    let first = ask(0, old.clone()).await;
    assert_renewed(first.assert_status(200));
    let mut new = old.clone();
    new.take(&first.headers);
    // Its answer is lost, or a request of the same moment comes late to the other instance.
    let second = ask(1, old.clone()).await;
    assert_renewed(second.assert_status(200));
    let mut as_new = old;
    as_new.take(&second.headers);
    assert_eq!(as_new.line(), new.line());
    ask(1, new).await.assert_status(200);
    fleet.assert_asked(1).await;
}
