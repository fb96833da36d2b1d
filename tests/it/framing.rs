//! Where one request ends and the next begins: no two readings are possible.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::body::fed;
use crate::harness::client::tls;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Scene, Scripted, Seen, eventually, post};

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

/// An application that writes down every byte behind a head until the gateway closes: one text for each connection.
async fn listening() -> (Scripted, Arc<Mutex<Vec<(Vec<u8>, bool)>>>) {
    let heard = Arc::<Mutex<Vec<(Vec<u8>, bool)>>>::default();
    let shared = Arc::clone(&heard);
    let application = Scripted::start(move |mut line| {
        let heard = Arc::clone(&shared);
        async move {
            if line.head().await.is_none() {
                return;
            }
            let at = {
                let mut heard = heard.lock().unwrap();
                heard.push((Vec::new(), false));
                heard.len() - 1
            };
            loop {
                let bytes = line.read().await;
                let mut heard = heard.lock().unwrap();
                if bytes.is_empty() {
                    heard[at].1 = true;
                    return;
                }
                heard[at].0.extend_from_slice(&bytes);
            }
        }
    })
    .await;
    (application, heard)
}

#[tokio::test]
async fn an_upload_that_stops_half_way_ends_without_its_end_for_the_application_too() {
    let (application, heard) = listening().await;
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{}", SITES.replace("$UPSTREAM", &application.url()))).await;
    let half =
        |at: usize| heard.lock().unwrap().get(at).is_some_and(|(text, _)| text.windows(4).any(|four| four == b"half"));
    let ended = |at: usize| heard.lock().unwrap().get(at).is_some_and(|(_, ended)| *ended);
    let mut uploads = 0;
    for head in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{head}")).await;
        eventually("the half arrives", || half(uploads)).await;
        drop(raw);
        eventually("the application's connection ends", || ended(uploads)).await;
        uploads += 1;
    }
    for declared in [true, false] {
        let (feed, body) = fed();
        let mut connection = scene.http2().connect("app.test").await;
        let ask = post("https://app.test/public/x");
        let ask = if declared { ask.header("content-length", "100") } else { ask };
        let sending = tokio::spawn(async move { connection.open(ask.streamed(body)).await.map(drop) });
        feed.chunk("half");
        eventually("the half arrives over HTTP/2", || half(uploads)).await;
        feed.cut();
        eventually("the application's connection ends after HTTP/2", || ended(uploads)).await;
        drop(sending.await);
        uploads += 1;
    }
    for (text, _) in heard.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(text);
        assert!(!text.starts_with("0\r\n") && !text.contains("\r\n0\r\n"), "a last chunk was made up: {text:?}");
    }
}

fn lines(lengths: &[&str]) -> String {
    lengths.iter().fold(String::new(), |lines, length| lines + "Content-Length: " + length + "\r\n")
}

#[tokio::test]
async fn a_length_is_digits_and_one_or_the_request_reaches_nobody() {
    let scene = Scene::usual().await;
    for lengths in [
        &["5", "6"][..],
        &["6", "5"],
        &["5", ""],
        &["5, 5"],
        &["5,5"],
        &["5, 6"],
        &["+5"],
        &["-1"],
        &["-0"],
        &["0x5"],
        &["5 5"],
        &[""],
        &["5;"],
        &["5.0"],
        &["5e0"],
        &["\u{665}"],
        &["18446744073709551617"],
        &["18446744073709551616"],
        &["99999999999999999999999999999999999999"],
    ] {
        let lines = lines(lengths);
        let request = format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{lines}\r\nhello");
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(request).await;
        assert_eq!(raw.read().await.unwrap().status, 400, "{lengths:?}");
        raw.closed().await;
        assert_eq!(scene.upstream.count(), 0, "{lengths:?}");
    }
    // The same twice may pass once; whitespace around a field's value is no part of it (RFC 9110 §5.5).
    for lengths in [&["5", "5"][..], &["5 "], &["\t5"], &["5"]] {
        let before = scene.upstream.count();
        let lines = lines(lengths);
        let answer = scene.raw(format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{lines}\r\nhello")).await.unwrap();
        assert!(matches!(answer.status, 200 | 400), "{lengths:?}: {}", answer.head);
        assert!(answer.status == 200 || lengths.len() == 2, "{lengths:?}: {}", answer.head);
        if scene.upstream.count() > before {
            let seen = scene.upstream.last();
            assert_eq!((&*seen.body, seen.all("content-length")), (&b"hello"[..], vec!["5"]), "{lengths:?}");
        }
    }
}

#[tokio::test]
async fn a_length_beside_an_encoding_ends_the_connection_and_never_makes_a_second_request() {
    let scene = Scene::usual().await;
    let smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let before = scene.upstream.count();
        let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
        raw.write(format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{fields}{smuggled}")).await;
        let first = raw.read().await.map(|answer| answer.status);
        assert!(matches!(first, None | Some(400 | 200)), "{fields:?}: {first:?}");
        assert_eq!(raw.read().await, None, "{fields:?}: the connection ends");
        let seen = scene.upstream.seen().split_off(before);
        assert!(seen.len() <= 1 && seen.iter().all(|seen| seen.target == "/public/x"), "{fields:?}: {seen:?}");
        assert!(
            seen.iter().all(|seen| seen.all("content-length").is_empty() || seen.all("transfer-encoding").is_empty())
        );
    }
    scene.assert_well().await;
}

/// Uploads at a steady pace whatever is answered, and returns the answer once the connection has ended.
async fn stubborn_upload(scene: &Scene, path: &str, framing: &str) -> String {
    let stream = tls(scene.gateway.https(), "app.test", &[b"http/1.1"]).await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let head = format!("POST {path} HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n");
    writing.write_all(head.as_bytes()).await.unwrap();
    let chunked = framing.starts_with("Transfer-Encoding");
    let upload = async {
        let block = vec![b'x'; 0x10000];
        loop {
            let block = if chunked { [b"10000\r\n", &block[..], b"\r\n"].concat() } else { block.clone() };
            if writing.write_all(&block).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut answer = Vec::new();
    let end = async { tokio::join!(upload, reading.read_to_end(&mut answer)) };
    tokio::time::timeout(PATIENCE, end).await.expect("the connection ends while the client goes on").1.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_goes_on_uploading_what_was_refused_is_left() {
    let scene = &Scene::usual().await;
    let cases = [
        ("/x", "Content-Length: 1000000000", 401),
        ("/x", "Content-Length: 1000000000\r\nExpect: 100-continue", 401),
        ("/x", "Transfer-Encoding: chunked", 401),
        ("/public/x", "Content-Length: 10000000000", 413),
        ("/public/x", "Content-Length: 10000000000\r\nExpect: 100-continue", 413),
        ("/public/x", "Transfer-Encoding: chunked", 413),
    ];
    let uploads = cases.map(|(path, framing, status)| async move {
        let answer = stubborn_upload(scene, path, framing).await;
        // Not an invitation before it, either. A reset may overtake it.
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.is_empty() || answer.starts_with(&expected), "{framing:?} at {path}: {answer}");
    });
    futures_util::future::join_all(uploads).await;
    assert!(scene.upstream.seen().iter().all(|seen| !seen.complete));
    scene.assert_well().await;
}
