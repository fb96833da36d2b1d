//! Two versions side by side, as during a rolling restart: they read each other's cookies, records and denials.
//!
//! `USHER_TEST_PREVIOUS` names the binary of another version. Without it both are this one, which shows that the test itself
//! holds.

use std::time::Instant;

use usher::clock::Clock;

use crate::fleet::instances::{Instance, sealed};
use crate::fleet::people::{Person, sign_in};
use crate::harness::child::binary;
use crate::harness::gateway::SESSION_SECRET;
use crate::harness::wait::PATIENCE;
use crate::harness::{Browser, Issuer, Jar, Redis, Upstream, get, post};

fn other_version() -> String {
    std::env::var("USHER_TEST_PREVIOUS").unwrap_or_else(|_| binary())
}

/// A sign-in that begins on one instance and ends on another.
async fn sign_in_across(from: &Instance, to: &Instance, issuer: &Issuer, subject: &str) -> Jar {
    let mut begun = Browser::new(from.client());
    let entrance = begun.visit("https://app.test/.usher/sign-in?rd=%2Fx").await;
    let callback = issuer.authorize(entrance.assert_status(302).header("location").unwrap(), subject);
    let mut ended = Browser::new(to.client());
    ended.jar = begun.jar;
    ended.sign_in(callback.as_str()).await.1.assert_status(200);
    ended.jar
}

async fn is_signed_out_by(one: &Instance, other: &Instance, jar: &Jar) {
    for instance in [one, other] {
        instance.client().send(get("https://app.test/x").cookies(jar)).await.assert_status(200);
    }
    let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar);
    one.client().send(ask).await.assert_status(204);
    let started = Instant::now();
    while other.client().send(get("https://app.test/x").cookies(jar)).await.status != 401 {
        assert!(started.elapsed() < PATIENCE, "the sign-out holds on the other version");
    }
}

#[tokio::test]
async fn two_versions_share_sessions_renewals_and_sign_outs_and_one_replaces_the_other() {
    let Some(redis) = Redis::start("two versions side by side").await else { return };
    let (issuer, upstream) = (Issuer::start(&Clock::system()).await, Upstream::start().await);
    let redis = format!("url: '{}', timeout: 3s", redis.url());
    let yaml = sealed(&issuer, &upstream, &format!("'{SESSION_SECRET}'"), &redis);
    let mut other = Instance::start(&yaml, &other_version()).await;
    let this = Instance::start(&yaml, &binary()).await;

    // A renewal every two seconds, by whichever is faster.
    issuer.live_for(std::time::Duration::from_secs(4));
    let alice = sign_in(other.client(), &issuer, "app.test", "alice").await.jar;
    let root = sign_in_across(&other, &this, &issuer, "root").await;
    let both = || vec![other.client(), this.client()];
    let people = [Person::start(both(), "alice", alice), Person::start(both(), "root", root)];
    issuer.live_for(std::time::Duration::from_secs(300));
    let across = sign_in_across(&this, &other, &issuer, "bob").await;
    is_signed_out_by(&this, &other, &across).await;
    let across = sign_in_across(&other, &this, &issuer, "carol").await;
    is_signed_out_by(&other, &this, &across).await;
    issuer.live_for(std::time::Duration::from_secs(4));
    for person in &people {
        person.is_renewed().await;
    }
    let [alice, root] = people;
    let (alice, root) = (alice.stop().await, root.stop().await);

    // The other version gives way to this one: what it has recorded is found, and what it has denied.
    other.become_version(&binary()).await;
    for jar in [&alice, &root] {
        other.client().send(get("https://app.test/x").cookies(jar)).await.assert_status(200);
    }
    other.client().send(get("https://app.test/x").cookies(&across)).await.assert_status(401);
    assert_eq!(issuer.reuses(), 0);
    assert!(!this.usher.output().contains("cannot be read"), "{}", this.usher.output());
}
