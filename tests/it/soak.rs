//! Many users for a long time: thousands of open connections, tokens that expire all the while, and nothing that grows.
//!
//! The long form (`USHER_TEST_LONG=1`) takes ten minutes, or `USHER_SOAK_SECONDS`, and prints the figures of the README.

#![expect(clippy::cast_precision_loss, reason = "figures of a test are far below what a float holds exactly")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use usher::clock::Clock;

use crate::harness::body::{TestBody, full};
use crate::harness::child::Usher;
use crate::harness::client::tls;
use crate::harness::gateway::complete;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::scene::{ISSUERS, SESSION, jar};
use crate::harness::serve::{Hangup, Served, http1, serve};
use crate::harness::{Answer, Client, Issuer, Process, Protocol, get, long};

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Shape {
    idle: usize,
    active: usize,
    websockets: usize,
    lifetime: Duration,
    lasts: Duration,
    pace: Duration,
}

impl Shape {
    fn chosen() -> Self {
        if long() {
            let seconds = std::env::var("USHER_SOAK_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
            Self {
                idle: 3000,
                active: 200,
                websockets: 50,
                lifetime: Duration::from_secs(30),
                lasts: Duration::from_secs(seconds),
                pace: Duration::from_millis(200),
            }
        } else {
            Self {
                idle: 200,
                active: 40,
                websockets: 10,
                // Whole seconds, of which one may be as good as over when a token is issued; and outcomes answer for two.
                lifetime: Duration::from_secs(4),
                lasts: Duration::from_secs(9),
                pace: Duration::from_millis(100),
            }
        }
    }
}

/// An application that remembers nothing, so that it does not grow either: says who is asking, echoes WebSockets.
async fn application() -> Served {
    serve(|stream| {
        http1(stream, |mut request: Request<Incoming>| async move {
            let user = request.headers().get("x-user-id").map(|user| user.as_bytes().to_vec()).unwrap_or_default();
            if !request.headers().contains_key(UPGRADE) {
                return Ok::<Response<TestBody>, Hangup>(Response::new(full(user)));
            }
            let mut answer = Response::new(full(""));
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let accept = derive_accept_key(request.headers()[SEC_WEBSOCKET_KEY].as_bytes());
            answer.headers_mut().extend(HeaderMap::from_iter([
                (CONNECTION, "upgrade".parse().unwrap()),
                (UPGRADE, "websocket".parse().unwrap()),
                (SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap()),
            ]));
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let Ok(stream) = upgrade.await else { return };
                let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
                while let Some(Ok(message)) = socket.next().await {
                    if !message.is_text() || socket.send(message).await.is_err() {
                        break;
                    }
                }
            });
            Ok(answer)
        })
    })
    .await
}

/// What everybody got, by status; zero stands for a connection that broke, 999 for somebody else's answer.
type Tally = Arc<Mutex<BTreeMap<u16, usize>>>;

fn count(tally: &Tally, status: u16) {
    *tally.lock().unwrap().entry(status).or_default() += 1;
}

/// One user with a browser's cookies, who asks until `until`.
async fn active(client: Client, name: String, tokens: crate::harness::Jar, shape: Shape, until: Instant, tally: Tally) {
    let mut jar = tokens;
    let mut kept = None;
    while Instant::now() < until {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => client.connect("app.test").await,
        };
        match connection.open(get("https://app.test/x").cookies(&jar)).await {
            Ok(response) => {
                let answer = Answer::read(response).await;
                jar.take(&answer.headers);
                let own = answer.status != 200 || answer.body == name.as_bytes();
                count(&tally, if own && answer.complete { answer.status.as_u16() } else { 999 });
                kept = Some(connection).filter(|connection| !connection.is_closed());
            }
            Err(_) => count(&tally, 0),
        }
        tokio::time::sleep(shape.pace).await;
    }
}

/// A connection that was used once and is kept open, with a request now and then so that it is not idle for too long.
async fn idle(client: Client, n: usize, until: Instant, tally: Tally) {
    let mut connection = client.connect("app.test").await;
    loop {
        match connection.open(get("https://app.test/public/x")).await {
            Ok(response) => count(&tally, Answer::read(response).await.status.as_u16()),
            Err(_) => count(&tally, 0),
        }
        // Spread, so that they do not all ask at once.
        let rest = Duration::from_secs(40) + Duration::from_millis((n % 1000) as u64 * 10);
        let wake = Instant::now() + rest;
        tokio::time::sleep_until(wake.min(until).into()).await;
        if wake >= until {
            return;
        }
    }
}

async fn websocket(client: Client, cookies: String, until: Instant, tally: Tally) {
    let mut request = "ws://app.test/ws".into_client_request().unwrap();
    request.headers_mut().insert("cookie", cookies.parse().unwrap());
    request.headers_mut().insert("origin", "https://app.test".parse().unwrap());
    let stream = tls(client.address, "app.test", &[b"http/1.1"]).await;
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    count(&tally, answer.status().as_u16());
    while Instant::now() < until {
        let said = Message::text("still there");
        socket.send(said.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), said);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    drop(socket.close(None).await);
}

/// What was seen in one second.
#[derive(Clone, Copy)]
struct Sample {
    at: f64,
    memory: u64,
    descriptors: usize,
    processor: u64,
}

/// How much a figure grows per second, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    above / below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_users_for_a_long_time_leave_nothing_behind() {
    let shape = Shape::chosen();
    let (application, issuer) = (application().await, Issuer::start(&Clock::system()).await);
    issuer.live_for(shape.lifetime);
    // What is remembered is bounded so that it is full long before the second half.
    let sites = format!(
        "limits: {{ connections_per_address: 10000, token_cache_bytes: 1MiB }}
sites:
  - host: app.test
    issuer: main
    upstream: http://{}
    identity_headers: {{ X-User-Id: sub }}
    routes: [{{ path: / }}, {{ path: /public/, access: public }}]
",
        application.address
    );
    let directory = tempfile::tempdir().unwrap();
    let issuers = ISSUERS.replace("$ISSUER", &issuer.url()).replace("$CLIENT_SECRET", CLIENT_SECRET);
    // The access log is written, but not kept in this process.
    let mut usher = Usher::serve_after(
        "exec 2>log",
        &complete(&format!("{issuers}{SESSION}  max_records: 1000\n{sites}"), &directory),
        directory.path(),
    );
    let address = loop {
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        if let Some(address) = log.lines().find_map(|line| crate::harness::child::listening(line, "https")) {
            break address;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let process = Process::of(usher.id());
    let clients = [Protocol::Http1, Protocol::Http2].map(|protocol| Client { address, protocol });
    let at_rest = (process.memory(), process.descriptors());

    let (tally, began) = (Tally::default(), Instant::now());
    let until = began + shape.lasts;
    let mut everybody = JoinSet::new();
    for n in 0..shape.idle {
        everybody.spawn(idle(clients[0], n, until, Arc::clone(&tally)));
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for n in 0..shape.active {
        let name = format!("user-{n}");
        let tokens = jar(&issuer.sign_in(&name));
        everybody.spawn(active(clients[n % 2], name, tokens, shape, until, Arc::clone(&tally)));
    }
    for n in 0..shape.websockets {
        let cookies = jar(&issuer.sign_in(&format!("socket-{n}"))).line().unwrap();
        everybody.spawn(websocket(clients[0], cookies, until, Arc::clone(&tally)));
    }
    let mut samples = Vec::new();
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_secs(1).min(until.saturating_duration_since(Instant::now()))).await;
        samples.push(Sample {
            at: began.elapsed().as_secs_f64(),
            memory: process.memory(),
            descriptors: process.descriptors(),
            processor: process.processor(),
        });
    }
    while let Some(ended) = everybody.join_next().await {
        ended.unwrap();
    }
    let tally = tally.lock().unwrap().clone();
    print(shape, at_rest, &samples, &tally, &issuer);

    let unexpected: Vec<_> = tally.keys().filter(|status| !matches!(status, 200 | 101)).collect();
    let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
    let odd: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("status=503") || line.contains("WARN") || line.contains("ERROR"))
        .collect();
    assert!(unexpected.is_empty(), "{tally:?}\n{}", odd[..odd.len().min(40)].join("\n"));
    assert_eq!(issuer.reuses(), 0);
    let expiries = shape.lasts.as_secs() / shape.lifetime.as_secs();
    assert!(issuer.token_requests() as u64 >= (expiries - 1) * shape.active as u64, "tokens were renewed");
    let second_half = &samples[samples.len() / 2..];
    let memory: Vec<_> = second_half.iter().map(|sample| (sample.at, sample.memory as f64)).collect();
    let descriptors: Vec<_> = second_half.iter().map(|sample| (sample.at, sample.descriptors as f64)).collect();
    // Over the second half: less than 4 MiB and 20 descriptors. In the short form, caches are still being filled.
    let span = second_half.last().unwrap().at - second_half[0].at;
    assert!(slope(&memory) * span < 4096.0, "memory grows by {:.1} KiB/s", slope(&memory));
    assert!(slope(&descriptors) * span < 20.0, "descriptors grow by {:.3}/s", slope(&descriptors));

    // And all of it is given back, the connections to the application when that is gone.
    drop(application);
    let started = Instant::now();
    while process.descriptors() > at_rest.1 + 20 {
        assert!(started.elapsed() < Duration::from_secs(20), "{} descriptors are left", process.descriptors());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    usher.signal("TERM").await;
    assert_eq!(usher.exit().await.code(), Some(0));
}

fn print(shape: Shape, at_rest: (u64, usize), samples: &[Sample], tally: &BTreeMap<u16, usize>, issuer: &Issuer) {
    println!(
        "{} kept connections, {} active users, {} WebSockets, tokens of {:?}, {:?}",
        shape.idle, shape.active, shape.websockets, shape.lifetime, shape.lasts
    );
    println!("| second | memory KiB | descriptors | processor s |\n|---|---|---|---|");
    println!("| at rest | {} | {} | |", at_rest.0, at_rest.1);
    for sample in samples.iter().step_by((samples.len() / 12).max(1)) {
        let processor = sample.processor as f64 / 100.0;
        println!("| {:.0} | {} | {} | {processor:.2} |", sample.at, sample.memory, sample.descriptors);
    }
    println!("statuses: {tally:?}; renewals: {}; reuses: {}", issuer.token_requests(), issuer.reuses());
}
