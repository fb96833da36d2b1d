//! Rules about tokens (family J) that need a scene of their own: leeway, absurd sizes, withdrawn keys, clocks that differ.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::client::tls;
use crate::harness::gateway::complete;
use crate::harness::issuer::{CLIENT_SECRET, Issuer};
use crate::harness::keys::{SigningKey, base64url};
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Client, Protocol, Scene, Upstream, eventually, get};

#[tokio::test]
async fn the_leeway_is_the_configured_one_to_the_second_at_both_ends() {
    for leeway in [0_i64, 5, 30] {
        let issuers = ISSUERS.replace("leeway: 0s", &format!("leeway: {leeway}s"));
        let scene = Scene::start(&format!("{issuers}{SESSION}{SITES}")).await;
        for (claim, delta, status) in [
            ("exp", 1 - leeway, 200),
            ("exp", -leeway, 401),
            ("exp", -1 - leeway, 401),
            ("nbf", leeway, 200),
            ("nbf", leeway + 1, 401),
            ("iat", leeway, 200),
            ("iat", leeway + 1, 401),
        ] {
            // The clock ticks: what was asked in one second must be answered in it to be compared.
            loop {
                let now = scene.clock.now().0;
                let token =
                    scene.issuer.token("alice").claim("iat", now).claim(claim, now.saturating_add_signed(delta));
                let answer = scene.send(get("https://app.test/x").bearer(&scene.issuer.sign(&token))).await;
                if scene.clock.now().0 == now {
                    assert_eq!(answer.status.as_u16(), status, "{claim} is now {delta:+}, leeway {leeway}: {answer:?}");
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn absurd_tokens_are_refused_at_once_in_the_header_and_in_cookies() {
    let scene = Scene::usual().await;
    let header = base64url(json!({ "alg": "ES256", "kid": "key-1" }).to_string());
    let signed = |claims: &str| {
        let message = format!("{header}.{}", base64url(claims));
        let signature = scene.issuer.key().1.sign("ES256", message.as_bytes());
        format!("{message}.{}", base64url(signature))
    };
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let tokens = [
        ("64 KiB", "a".repeat(64 * 1024)),
        ("1 MiB", "a".repeat(1024 * 1024)),
        ("dots", ".".repeat(100_000)),
        ("fewer dots", ".".repeat(16_000)),
        ("deep lists", signed(&nested(5_000))),
        ("deeper lists", signed(&nested(10_000))),
        ("deep objects", signed(&"{\"a\":".repeat(2_000))),
        ("a long claim", signed(&format!("{{\"a\":\"{}\"}}", "x".repeat(200_000)))),
        (
            "many claims",
            signed(&format!("{{{}}}", (0..1_000).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","))),
        ),
    ];
    for (what, token) in tokens {
        for field in [format!("Authorization: Bearer {token}"), format!("Cookie: at={token}")] {
            let started = Instant::now();
            let mut stream = tls(scene.gateway.https(), "app.test", &[b"http/1.1"]).await;
            // The gateway may have heard enough before everything is written.
            let request = format!("GET /x HTTP/1.1\r\nHost: app.test\r\n{field}\r\nConnection: close\r\n\r\n");
            drop(stream.write_all(request.as_bytes()).await);
            let mut answer = Vec::new();
            drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await);
            let status = String::from_utf8_lossy(&answer).split(' ').nth(1).map(str::to_owned);
            assert!(
                status.as_deref().is_none_or(|status| ["400", "401", "431"].contains(&status)),
                "{what}: {status:?}"
            );
            assert!(started.elapsed() < Duration::from_secs(2), "{what} took {:?}", started.elapsed());
        }
    }
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

/// HTTP/1.1 takes the white space off; over HTTP/2 it would be part of the value, and of another scheme's name.
#[tokio::test]
async fn over_http_2_a_field_with_white_space_at_an_end_is_refused() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    for value in [" Bearer $", "\tBearer $", "Bearer $ ", "Bearer $\t", " "] {
        for url in ["https://app.test/public/x", "https://app.test/x"] {
            let value = value.replace('$', &token);
            scene.http2().send(get(url).header("authorization", &value)).await.assert_status(400);
        }
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn one_spelling_of_a_bearer_credential_counts_and_every_other_is_refused() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    for value in ["bearer $", "BeArEr $"] {
        let answer = scene.send(get("https://app.test/x").header("authorization", &value.replace('$', &token))).await;
        answer.assert_status(200);
    }
    let before = scene.upstream.count();
    for (value, status) in [
        ("Bearer\t$", 400),
        ("Bearer  $", 400),
        ("Bearer $,$", 400),
        ("Bearer $, Basic YTpi", 400),
        ("Bearer \"$\"", 400),
        ("Bearer $ $", 400),
        ("Bearer token=$", 400),
        ("Bearer:$", 400),
        ("Basic YTpi, Bearer $", 400),
        ("Basic YTpi,bearer $", 400),
        ("Digest a=\"b\",\tBEARER\t$", 400),
        ("Basic $", 401),
        ("DPoP $", 401),
        ("Bearer-$", 401),
        ("$", 401),
    ] {
        for client in [scene.client(), scene.http2()] {
            let value = value.replace('$', &token);
            let answer = client.send(get("https://app.test/x").header("authorization", &value)).await;
            assert_eq!(answer.status.as_u16(), status, "{value}");
            // Where nobody needs one, a credential of Usher's goes on in no disguise either.
            if status == 400 {
                client.send(get("https://app.test/public/x").header("authorization", &value)).await.assert_status(400);
            }
        }
    }
    assert_eq!(scene.upstream.count(), before);
}

#[tokio::test]
async fn a_token_of_exactly_8_kib_counts_in_the_header_and_in_a_cookie() {
    let scene = Scene::usual().await;
    let of = |padding: usize| scene.issuer.sign(&scene.issuer.token("alice").claim("padding", "x".repeat(padding)));
    // Three bytes make four letters, so one of three lengths is there.
    let token = (5_700..6_000).map(of).find(|token| token.len() >= 8 * 1024).unwrap();
    assert!(token.len() <= 8 * 1024 + 1, "{}", token.len());
    for client in [scene.client(), scene.http2()] {
        client.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
        client.send(get("https://app.test/x").header("cookie", &format!("at={token}"))).await.assert_status(200);
        assert_eq!(scene.upstream.last().all("x-user-id"), ["alice"]);
    }
}

#[tokio::test]
async fn a_key_that_is_no_longer_published_stops_counting_within_the_stated_time() {
    let scene = Scene::usual().await;
    let old = scene.issuer.sign(&scene.issuer.token("alice").claim("exp", scene.clock.now().0 + 5_000));
    scene.send(get("https://app.test/x").bearer(&old)).await.assert_status(200);
    scene.issuer.add_key("key-2", SigningKey::p256());
    scene.clock.advance(Duration::from_secs(11));
    let new = scene.issuer.sign(&scene.issuer.token("alice").claim("exp", scene.clock.now().0 + 5_000));
    for token in [&new, &old, &new] {
        scene.send(get("https://app.test/x").bearer(token)).await.assert_status(200);
    }
    scene.issuer.drop_old_keys();
    let fetched = scene.issuer.asked().keys;
    // A set is refreshed when it is used and ten minutes old.
    scene.clock.advance(Duration::from_secs(601));
    scene.send(get("https://app.test/x").bearer(&new)).await.assert_status(200);
    eventually("the set is fetched", || scene.issuer.asked().keys > fetched).await;
    let mut status = 200;
    for _ in 0..1_000 {
        status = scene.send(get("https://app.test/x").bearer(&old)).await.status.as_u16();
        if status != 200 {
            break;
        }
    }
    assert_eq!(status, 401);
    scene.send(get("https://app.test/x").bearer(&new)).await.assert_status(200);
}

#[tokio::test]
async fn an_issuer_whose_clock_is_ahead_is_one_clear_line_of_the_log() {
    let clock = Clock::system();
    let (upstream, issuer, directory) =
        (Upstream::start().await, Issuer::start(&clock).await, tempfile::tempdir().unwrap());
    let yaml = format!("{ISSUERS}{SESSION}{SITES}").replace("$ISSUER", &issuer.url());
    let yaml = yaml.replace("$CLIENT_SECRET", CLIENT_SECRET).replace("$UPSTREAM", &upstream.url());
    let mut usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let now = clock.now().0;
    for ahead in 0..10 {
        let token = issuer.token("alice").claim("iat", now + 600 + ahead).claim("exp", now + 900);
        client.send(get("https://app.test/x").bearer(&issuer.sign(&token))).await.assert_status(401);
    }
    // Behind, tokens that it means to be good have expired.
    let token = issuer.token("alice").claim("iat", now - 600).claim("exp", now - 300);
    client.send(get("https://app.test/x").bearer(&issuer.sign(&token))).await.assert_status(401);
    usher.signal("TERM").await;
    usher.exit().await;
    let said = usher.output();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("is ahead, or this machine's behind")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("issuer=main"), "{}", lines[0]);
    assert_eq!(upstream.count(), 0);
}
