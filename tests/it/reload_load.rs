//! A thousand reloads while people work: no request fails, nobody gets what is somebody else's, nothing stays behind.
//!
//! The short form does a hundred of them. They run in a process of their own: only there are descriptors and threads those of
//! this test alone.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::body::Feed;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Client, Load, Process, Scene, eventually, get, long};
use crate::websocket;

/// Before anything is counted: by then everything has been used that is made when it is first used.
const WARM_UP: usize = 20;
/// What a reload may leave behind in memory. A gateway is far more.
const KIB_PER_RELOAD: u64 = 24;

#[tokio::test]
async fn a_thousand_reloads_under_load_fail_no_request_and_leave_nothing_behind() {
    let mut test = tokio::process::Command::new(std::env::current_exe().unwrap());
    test.args(["reload_load::within_a_process", "--exact", "--ignored", "--nocapture"]).kill_on_drop(true);
    let ended = test.stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    let figures = said.lines().find(|line| line.contains("reloads in")).expect("it has run");
    println!("{figures}");
}

/// Somebody who connects anew for each request.
async fn newcomers(client: Client, token: String, (stop, count): (Arc<AtomicBool>, Arc<AtomicUsize>)) {
    while !stop.load(Ordering::SeqCst) {
        let answer = client.send(get("https://app.test/x").bearer(&token)).await;
        assert!(answer.assert_status(200).complete);
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is opened once and stays: a WebSocket, and a stream that has no end.
struct Lasting {
    socket: tokio_tungstenite::WebSocketStream<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>,
    feed: Feed,
    body: Incoming,
}

impl Lasting {
    async fn open(scene: &Scene) -> Self {
        let fields = [websocket::cookies(&scene.session("alice")), websocket::origin("https://app.test")];
        let socket = websocket::open(scene, "/ws", &fields).await.unwrap();
        let feed = scene.upstream.stream("/events", &[("content-type", "text/event-stream")]);
        let ask = get("https://app.test/events").bearer(&scene.issuer.access_token("bob"));
        let response = scene.http2().connect("app.test").await.open(ask).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { socket, feed, body: response.into_body() }
    }

    /// Both still pass something on.
    async fn assert_open(&mut self, number: usize) {
        self.socket.send(Message::text(format!("message {number}"))).await.unwrap();
        assert_eq!(self.socket.next().await.unwrap().unwrap(), Message::text(format!("message {number}")));
        self.feed.chunk(format!("data: {number}\n\n"));
        let frame = self.body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), format!("data: {number}\n\n"));
    }
}

/// What a process has of what might leak.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    memory: u64,
}

impl Held {
    fn now() -> Self {
        let id = std::process::id();
        let process = Process::of(id);
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).unwrap().count();
        Self { descriptors: process.descriptors(), threads, memory: process.memory() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own, which the test above starts"]
async fn within_a_process() {
    let reloads = if long() { 1000 } else { 100 };
    // Whoever waits here for another reload waits for all that is under load beside it, on a busy machine for seconds.
    let patient = SITES.replace("response: 2s, idle: 2s", "response: 30s, idle: 60s");
    let usual = format!("{ISSUERS}{SESSION}{patient}");
    let scene = Scene::start(&usual).await;
    // Issuers, routes and headers differ: what is remembered of tokens counts no more, and each rule is another one.
    let other = usual.replace("audiences: [usher]", "audiences: [usher, more]");
    let other = other.replace("/reports/", "/papers/").replace("X-User-Team: team", "X-User-Group: team");
    let mut lasting = Lasting::open(&scene).await;
    let load = Load::start(&scene, 8).await;
    let (stop, new) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let handles = [scene.client(), scene.http2()].map(|client| {
        tokio::spawn(newcomers(client, scene.issuer.access_token("carol"), (Arc::clone(&stop), Arc::clone(&new))))
    });
    let mut reload = async |number: usize| {
        scene.reload(if number.is_multiple_of(2) { &other } else { &usual }).await.unwrap();
        let before = new.load(Ordering::SeqCst);
        lasting.assert_open(number).await;
        load.goes_on(8).await;
        eventually("newcomers come", || new.load(Ordering::SeqCst) > before).await;
        scene.upstream.forget();
    };
    for number in 0..WARM_UP {
        reload(number).await;
    }
    let (before, started) = (Held::now(), Instant::now());
    for number in 0..reloads {
        reload(number).await;
    }
    let took = started.elapsed();
    stop.store(true, Ordering::SeqCst);
    for handle in handles {
        handle.await.expect("no newcomer fails");
    }
    let tally = load.stop().await;
    tally.assert_undisturbed();
    lasting.assert_open(reloads).await;
    // A connection that has just been closed may be one for a moment yet.
    eventually("no descriptor stays", || Held::now().descriptors <= before.descriptors + 4).await;
    let after = Held::now();
    // Those for work that blocks come and go.
    assert!(after.threads <= before.threads + 4, "threads stay: {before:?}, {after:?}");
    let grown = after.memory.saturating_sub(before.memory);
    println!(
        "{reloads} reloads in {took:.1?}: {} + {} answers, all 200 and their user's own; {before:?} before, {after:?} after",
        tally.answers(),
        new.load(Ordering::SeqCst)
    );
    assert!(grown < 4096 + KIB_PER_RELOAD * reloads as u64, "{grown} KiB stay");
    assert!(took < Duration::from_secs(290), "tokens of the load have expired meanwhile");
}
