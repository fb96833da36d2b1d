//! The session secrets of a fleet rotate without a sign-out, in the three steps that the README tells of.

use std::time::Duration;

use usher::clock::Clock;

use crate::fleet::instances::sealed;
use crate::fleet::people::{Person, sign_in};
use crate::harness::scene::echoed;
use crate::harness::{Answer, Gateway, Issuer, Jar, Redis, SetCookie, Upstream, eventually, get, post};

const OLD: &str = "'the old secret of the tests, 0123456789'";
const NEW: &str = "'the new secret of the tests, 9876543210'";

/// What does not change.
struct Around {
    issuer: Issuer,
    upstream: Upstream,
    redis: Redis,
}

impl Around {
    fn yaml(&self, secrets: &[&str]) -> String {
        let redis = format!("url: '{}', timeout: 3s", self.redis.url());
        sealed(&self.issuer, &self.upstream, &format!("[{}]", secrets.join(", ")), &redis)
    }

    async fn gateway(&self, secrets: &[&str]) -> Gateway {
        Gateway::start(&self.yaml(secrets), &Clock::system()).await
    }
}

async fn ask(gateway: &Gateway, jar: &Jar) -> Answer {
    gateway.client().send(get("https://app.test/x").cookies(jar)).await
}

async fn sign_out(gateway: &Gateway, jar: &Jar) {
    let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar);
    gateway.client().send(ask).await.assert_status(204);
}

#[tokio::test]
async fn the_secrets_of_a_fleet_rotate_in_three_steps_under_load_and_nobody_is_signed_out() {
    let Some(redis) = Redis::start("secrets of a fleet that rotate").await else { return };
    let around = Around { issuer: Issuer::start(&Clock::system()).await, upstream: Upstream::start().await, redis };
    let fleet = [around.gateway(&[OLD]).await, around.gateway(&[OLD]).await];
    let issuer = &around.issuer;
    let bob = sign_in(fleet[0].client(), issuer, "app.test", "bob").await.jar;
    // Renewed every two seconds.
    issuer.live_for(Duration::from_secs(4));
    let alice = sign_in(fleet[0].client(), issuer, "app.test", "alice").await.jar;
    let person = Person::start(fleet.iter().map(Gateway::client).collect(), "alice", alice);
    sign_out(&fleet[0], &bob).await;

    let mut carol = Jar::default();
    for (step, secrets) in [&[OLD, NEW][..], &[NEW, OLD], &[NEW]].into_iter().enumerate() {
        for gateway in &fleet {
            gateway.reload(&around.yaml(secrets)).await.unwrap();
            // One of them is a step ahead for a while.
            person.goes_on().await;
        }
        if step == 1 {
            // What the old secret has sealed of theirs is replaced: their cookies, and what is recorded.
            person.is_renewed().await;
            issuer.live_for(Duration::from_secs(300));
            carol = sign_in(fleet[1].client(), issuer, "app.test", "carol").await.jar;
            issuer.live_for(Duration::from_secs(4));
            ask(&fleet[0], &carol).await.assert_status(200);
            sign_out(&fleet[1], &carol).await;
        }
    }

    // An instance that has never had the old secret finds what was recorded and denied since step 2.
    let third = around.gateway(&[NEW]).await;
    let before = person.stop().await;
    let (mut after, asked) = (before.clone(), issuer.token_requests());
    while after == before {
        after.take(&ask(&fleet[0], &after).await.assert_status(200).headers);
    }
    eventually("it was renewed once", || issuer.token_requests() == asked + 1).await;
    let late = ask(&third, &before).await;
    assert_eq!(echoed(&late.assert_status(200).json(), "x-user-id"), ["alice"]);
    assert!(late.set_cookies().iter().any(|cookie| !cookie.clears()), "the new cookies: {late:?}");
    assert_eq!((issuer.token_requests(), issuer.reuses()), (asked + 1, 0));
    for jar in [&bob, &carol] {
        for gateway in fleet.iter().chain([&third]) {
            let refused = ask(gateway, jar).await;
            assert!(refused.assert_status(401).set_cookies().iter().all(SetCookie::clears), "{refused:?}");
        }
    }
}
