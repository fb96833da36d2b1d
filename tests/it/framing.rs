//! Where one request ends and the next begins: no two readings are possible.

use std::fmt::Write;

use crate::harness::raw::Raw;
use crate::harness::{Scene, Seen};

#[tokio::test]
async fn a_request_with_two_lengths_is_refused_or_read_in_one_way() {
    let scene = Scene::usual().await;
    let post = "POST /public/x HTTP/1.1\r\nHost: app.test\r\n";
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhelloX",
        "Content-Length: 5, 5\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length:\r\n\r\n",
        "Content-Length: 5;\r\n\r\nhello",
        "Content-Length: 18446744073709551617\r\n\r\nx",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "Content-Length: 5\r\n X: folded\r\n\r\nhello",
    ] {
        let before = scene.upstream.count();
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(format!("{post}{fields}")).await;
        let status = raw.read().await.map(|answer| answer.status);
        let seen: Vec<Seen> = scene.upstream.seen().split_off(before);
        assert!(seen.len() <= 1, "{fields:?} became two requests");
        assert!(matches!(status, None | Some(400 | 200 | 501 | 413)), "{fields:?}: {status:?}");
        for seen in seen {
            let both = !seen.all("content-length").is_empty() && !seen.all("transfer-encoding").is_empty();
            assert!(!both && seen.all("content-length").len() < 2, "{fields:?} reached the application as {seen:?}");
        }
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_each_with_its_own_identity() {
    let scene = Scene::usual().await;
    let (alice, root) = (scene.issuer.access_token("alice"), scene.issuer.access_token("root"));
    let mut burst = String::new();
    for n in 0..20 {
        let authorization = match n % 3 {
            0 => format!("Authorization: Bearer {alice}\r\n"),
            1 => String::new(),
            _ => format!("Authorization: Bearer {root}\r\n"),
        };
        write!(burst, "GET /optional/{n} HTTP/1.1\r\nHost: app.test\r\n{authorization}\r\n").unwrap();
    }
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write(burst).await;
    for n in 0..20 {
        assert_eq!(raw.read().await.unwrap().status, 200, "request {n}");
    }
    for (n, seen) in scene.upstream.seen().iter().enumerate() {
        let expected = [vec!["alice"], vec![], vec!["root"]][n % 3].clone();
        assert_eq!((seen.target.as_str(), seen.all("x-user-id")), (format!("/optional/{n}").as_str(), expected));
    }
}

#[tokio::test]
async fn a_refused_upload_is_never_invited() {
    let scene = Scene::usual().await;
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    let head = "POST /x HTTP/1.1\r\nHost: app.test\r\nOrigin: https://app.test\r\nExpect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n";
    raw.write(head).await;
    assert_eq!(raw.read().await.unwrap().status, 401, "and not 100 first");
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn an_expected_upload_is_invited_and_arrives() {
    let scene = Scene::usual().await;
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write("POST /public/x HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(raw.read().await.unwrap().status, 100);
    raw.write("hello").await;
    assert_eq!(raw.read().await.unwrap().status, 200);
    assert_eq!(scene.upstream.only().body, "hello");
}

#[tokio::test]
async fn an_upload_that_stops_half_way_is_never_completed() {
    let scene = Scene::usual().await;
    for head in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let before = scene.upstream.count();
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{head}")).await;
        drop(raw);
        crate::harness::eventually("the request arrives or is dropped", || scene.upstream.count() >= before).await;
        assert!(scene.upstream.seen().iter().skip(before).all(|seen| !seen.complete), "{head:?}");
    }
    scene.assert_well().await;
}
