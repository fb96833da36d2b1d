//! Bodies of any length in both directions: nothing is held back, trailers are kept, a break stays visible.

use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use usher::clock::Clock;

use crate::harness::body::fed;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Answer, Issuer, Scene, Upstream, UpstreamAnswer, eventually, get, post};

async fn next_chunk(body: &mut Incoming) -> bytes::Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let scene = Scene::usual().await;
    for client in [scene.client(), scene.http2()] {
        let feed = scene.upstream.stream("/public/events", &[("content-type", "text/event-stream")]);
        let mut connection = client.connect("app.test").await;
        let mut response = connection.open(get("https://app.test/public/events")).await.unwrap();
        for n in 0..5 {
            feed.chunk(format!("data: {n}\n\n"));
            assert_eq!(next_chunk(response.body_mut()).await, format!("data: {n}\n\n"));
        }
        drop(feed);
        assert!(Answer::read(response).await.complete);
    }
}

#[tokio::test]
async fn a_request_body_streams_to_the_application_while_the_client_still_sends() {
    let scene = Scene::usual().await;
    for client in [scene.client(), scene.http2()] {
        let before = scene.upstream.count();
        let (feed, body) = fed();
        let sending = tokio::spawn(async move { client.send(post("https://app.test/public/up").streamed(body)).await });
        for (chunk, sent) in [("one", "one"), ("two", "onetwo"), ("three", "onetwothree")] {
            feed.chunk(chunk);
            eventually("the chunk arrives", || scene.upstream.seen().get(before).is_some_and(|seen| seen.body == sent))
                .await;
        }
        drop(feed);
        sending.await.unwrap().assert_status(200);
        assert!(scene.upstream.last().complete);
    }
}

#[tokio::test]
async fn a_call_with_trailers_keeps_them_both_ways() {
    let clock = Clock::adjustable();
    let (upstream, issuer) = (Upstream::start_h2c().await, Issuer::start(&clock).await);
    let scene = Scene::with(&format!("{ISSUERS}{SESSION}{SITES}"), upstream, issuer, clock).await;
    let answering = scene.upstream.stream("/public/grpc", &[("content-type", "application/grpc")]);
    let (feed, body) = fed();
    feed.chunk("call");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    trailers.insert("x-user-id", "root".parse().unwrap());
    feed.trailers(trailers);
    let mut connection = scene.http2().connect("app.test").await;
    let ask = post("https://app.test/public/grpc").header("te", "trailers").header("content-type", "application/grpc");
    let response = connection.open(ask.streamed(body)).await.unwrap();
    answering.chunk("answer");
    let mut status = HeaderMap::new();
    status.insert("grpc-status", "0".parse().unwrap());
    answering.trailers(status);
    let answer = Answer::read(response).await;
    assert_eq!((answer.text(), answer.complete), ("answer", true));
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
    eventually("the call arrived whole", || scene.upstream.last().complete).await;
    let seen = scene.upstream.last();
    assert_eq!(
        (seen.header("te"), &seen.trailers),
        (Some("trailers"), &vec![("x-checksum".to_owned(), "7".to_owned())])
    );
}

#[tokio::test]
async fn a_big_body_passes_whole_in_both_directions() {
    let yaml = format!("{ISSUERS}{SESSION}{}", SITES.replace("body_limit: 1MiB", "body_limit: 64MiB"));
    let scene = Scene::start(&yaml).await;
    let big = vec![b'x'; 20 * 1024 * 1024];
    scene.upstream.answer("/public/down", UpstreamAnswer::fixed(200, &[], big.clone()));
    for client in [scene.client(), scene.http2()] {
        let answer = client.send(get("https://app.test/public/down")).await;
        assert!(answer.complete && answer.body.len() == big.len());
        client.send(post("https://app.test/public/up").body(big.clone())).await.assert_status(200);
        assert!(scene.upstream.last().complete && scene.upstream.last().body.len() == big.len());
    }
}

#[tokio::test]
async fn what_is_compressed_passes_as_it_is_and_is_never_unpacked() {
    // Ten bytes of a head, and what would be gigabytes of zeros to whoever believes it.
    let bomb = [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], &vec![0xec; 100_000]].concat();
    let scene = Scene::usual().await;
    for coding in ["gzip", "br", "deflate", "zstd"] {
        let fields = [("content-encoding", coding), ("content-type", "text/html")];
        scene.upstream.answer("/public/down", UpstreamAnswer::fixed(200, &fields, bomb.clone()));
        for client in [scene.client(), scene.http2()] {
            let answer = client.send(get("https://app.test/public/down").header("accept-encoding", coding)).await;
            assert_eq!(answer.assert_status(200).header("content-encoding"), Some(coding));
            assert!(answer.body == bomb && answer.complete, "{coding}");
            assert_eq!(scene.upstream.last().all("accept-encoding"), [coding]);
            client
                .send(post("https://app.test/public/up").header("content-encoding", coding).body(bomb.clone()))
                .await
                .assert_status(200);
            let seen = scene.upstream.last();
            assert!(seen.body == bomb && seen.all("content-encoding") == [coding], "{coding}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_visibly_truncated() {
    let scene = Scene::usual().await;
    for client in [scene.client(), scene.http2()] {
        for fields in [&[("content-length", "100")][..], &[]] {
            let feed = scene.upstream.stream("/public/cut", fields);
            let mut connection = client.connect("app.test").await;
            let mut response = connection.open(get("https://app.test/public/cut")).await.unwrap();
            feed.chunk("begun");
            assert_eq!(next_chunk(response.body_mut()).await, "begun");
            feed.cut();
            assert!(!Answer::read(response).await.complete, "{fields:?} on {:?}", client.protocol);
        }
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn a_request_that_breaks_off_is_never_completed_as_if_it_were_whole() {
    let scene = Scene::usual().await;
    for client in [scene.client(), scene.http2()] {
        let before = scene.upstream.count();
        let (feed, body) = fed();
        let mut connection = client.connect("app.test").await;
        let sending =
            tokio::spawn(
                async move { connection.open(post("https://app.test/public/up").streamed(body)).await.map(drop) },
            );
        feed.chunk("half");
        eventually("the first half arrives", || {
            scene.upstream.seen().get(before).is_some_and(|seen| seen.body == "half")
        })
        .await;
        feed.cut();
        drop(sending.await);
        assert!(!scene.upstream.seen()[before].complete);
    }
    scene.assert_well().await;
}
