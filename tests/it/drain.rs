//! The end: readiness first, then no new connections, then the requests at hand, then exit 0.

use std::time::Duration;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Answer, Client, Protocol, Scene, Upstream, UpstreamAnswer, eventually, get};

async fn admin(scene: &Scene, path: &str) -> u16 {
    let url = format!("http://{}{path}", scene.gateway.admin());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_admin_listener_says_whether_it_is_well_and_nothing_else_does() {
    let scene = Scene::usual().await;
    assert_eq!((admin(&scene, "/healthz").await, admin(&scene, "/readyz").await), (200, 200));
    for path in ["/healthz", "/readyz", "/metrics"] {
        scene.send(get(&format!("https://app.test{path}"))).await.assert_status(401);
    }
}

#[tokio::test]
async fn the_plain_listener_redirects_to_https_and_keeps_path_and_query() {
    let scene = Scene::usual().await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = http.get(format!("http://{}/a%20b?c=d", scene.gateway.http())).header("host", "app.test");
    let answer = ask.send().await.unwrap();
    assert!(matches!(answer.status().as_u16(), 301 | 307 | 308));
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.starts_with("https://app.test") && location.ends_with("/a%20b?c=d"), "{location}");
    let status = http
        .get(format!("http://{}/", scene.gateway.http()))
        .header("host", "evil.test")
        .send()
        .await
        .unwrap()
        .status();
    assert!(!status.is_redirection(), "nobody is sent to a host that is not ours: {status}");
}

#[tokio::test]
async fn a_drain_lets_requests_at_hand_finish_and_takes_no_new_ones() {
    let scene = Scene::usual().await;
    let Scene { gateway, upstream, issuer: _issuer, clock: _ } = scene;
    upstream.answer("/public/slow", UpstreamAnswer::After(Duration::from_millis(700)));
    let (http1, http2) = (gateway.client(), gateway.http2());
    let slow = [http1, http2]
        .map(|client| tokio::spawn(async move { client.send(get("https://app.test/public/slow")).await }));
    eventually("both are at the application", || upstream.count() == 2).await;
    let address = gateway.https();
    gateway.drain().await;
    for answer in slow {
        assert!(answer.await.unwrap().assert_status(200).complete);
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

/// The usual configuration for a process of its own, with its log in JSON.
fn configuration(upstream: &Upstream, directory: &tempfile::TempDir) -> String {
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", "a secret of the client");
    let extra = "log: { format: json }\nshutdown: { delay: 300ms, deadline: 5s }\n";
    complete(&format!("{extra}{issuers}{SESSION}{SITES}").replace("$UPSTREAM", &upstream.url()), directory)
}

#[tokio::test]
async fn sigterm_and_sigint_drain_and_exit_with_zero() {
    tokio::join!(drains_and_exits("TERM"), drains_and_exits("INT"));
}

async fn drains_and_exits(signal: &str) {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    upstream.answer("/public/slow", UpstreamAnswer::After(Duration::from_secs(1)));
    let mut usher = Usher::serve(&configuration(&upstream, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http2 };
    let admin = usher.address("admin").await;
    let mut connection = client.connect("app.test").await;
    let slow = tokio::spawn(async move { connection.open(get("https://app.test/public/slow")).await });
    eventually("the request is at the application", || upstream.count() == 1).await;
    usher.signal(signal).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut ready = 200;
    while ready == 200 {
        ready = http.get(format!("http://{admin}/readyz")).send().await.map_or(503, |answer| answer.status().as_u16());
    }
    assert_eq!(ready, 503, "readiness goes first");
    assert!(Answer::read(slow.await.unwrap().unwrap()).await.complete, "the request at hand is answered");
    assert_eq!(usher.exit().await.code(), Some(0), "{}", usher.output());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let mut usher = Usher::serve(&configuration(&upstream, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let hanging =
        tokio::spawn(async move { client.connect("app.test").await.open(get("https://app.test/public/hang")).await });
    eventually("the request is at the application", || upstream.count() == 1).await;
    let started = std::time::Instant::now();
    usher.signal("TERM").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    usher.signal("TERM").await;
    usher.exit().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    drop(hanging.await);
}

#[tokio::test]
async fn sigterm_under_load_breaks_off_no_answer_and_no_http_2_stream() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let mut usher = Usher::serve(&configuration(&upstream, &directory), directory.path());
    let address = usher.address("https").await;
    let loads: Vec<_> = [Protocol::Http1, Protocol::Http2]
        .repeat(4)
        .into_iter()
        .map(|protocol| {
            tokio::spawn(async move {
                let mut connection = Client { address, protocol }.connect("app.test").await;
                let mut answers = 0;
                loop {
                    match connection.open(get("https://app.test/public/x")).await {
                        Ok(response) => assert!(Answer::read(response).await.assert_status(200).complete),
                        // The gateway has said that it closes: the request was never on its way.
                        Err(error) if error.is_canceled() || error.is_closed() => return answers,
                        // The race of RFC 9112 §9.3.1: a request crosses the end of a connection that was idle.
                        Err(error) if error.is_incomplete_message() && protocol == Protocol::Http1 => return answers,
                        Err(error) => panic!("{protocol:?}: {error:?}"),
                    }
                    answers += 1;
                }
            })
        })
        .collect();
    eventually("there is load", || upstream.count() > 100).await;
    usher.signal("TERM").await;
    assert_eq!(usher.exit().await.code(), Some(0), "{}", usher.output());
    for load in loads {
        assert!(load.await.unwrap() > 0);
    }
}
