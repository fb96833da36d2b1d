//! HTTP/2 in quantities that no client needs: the flood ends, memory stays, others are served.

use std::time::Duration;

use futures_util::future::join_all;

use crate::harness::child::Usher;
use crate::harness::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, HEADERS, INITIAL_WINDOW_SIZE,
    Outcome, PING, PRIORITY, SETTINGS, WHOLE, block, frame, get, literal, post, request, reset, settings, window,
};
use crate::harness::gateway::complete;
use crate::harness::{Load, Scene, Upstream, UpstreamAnswer, eventually, long};

/// A gateway in a process of its own, so that its memory is its own.
struct Alone {
    usher: Usher,
    upstream: Upstream,
    _directory: tempfile::TempDir,
}

impl Alone {
    async fn start() -> Self {
        let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
        let yaml = format!(
            "log: {{ format: json }}\nlimits: {{ body_timeout: 2s }}\nsites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}]\n",
            upstream.url()
        );
        let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
        usher.says("https").await;
        Self { usher, upstream, _directory: directory }
    }

    async fn connect(&self) -> Frames {
        Frames::connect(self.usher.address("https").await).await
    }

    /// Kibibytes of memory.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.usher.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[tokio::test]
async fn streams_that_are_reset_as_they_are_opened_end_the_connection() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let mut frames = Frames::connect(scene.gateway.https()).await;
    let bytes: Vec<u8> =
        (0..2000).flat_map(|n| [get(2 * n + 1, "/public/hang"), reset(2 * n + 1, CANCEL)].concat()).collect();
    frames.write(bytes).await;
    assert!(matches!(frames.gone().await, Some(ENHANCE_YOUR_CALM) | None));
    assert!(scene.upstream.count() < 300, "{}", scene.upstream.count());
    scene.assert_well().await;
}

/// HTTP/2 goes on taking streams until the ping behind a GOAWAY is answered, and this client answers none.
#[tokio::test]
async fn a_goodbye_that_is_never_acknowledged_is_followed_by_the_end() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let mut frames = Frames::connect(scene.gateway.https()).await;
    frames.write(post(1, "/public/hang")).await;
    let patience = Duration::from_secs(1);
    for n in 1..1500 {
        let stream = 2 * n + 1;
        if !frames.write_deaf(&get(stream, "/public/hang"), patience).await {
            break;
        }
        // With the application before it is reset: it is the work there that an attacker is after.
        tokio::time::sleep(Duration::from_millis(2)).await;
        if !frames.write_deaf(&reset(stream, CANCEL), patience).await {
            break;
        }
    }
    assert!(scene.upstream.count() < 400, "{}", scene.upstream.count());
    scene.assert_well().await;
}

/// CVE-2025-8671: it is the server that resets the streams, for mistakes that the client makes on purpose.
#[tokio::test]
async fn streams_that_the_gateway_is_made_to_reset_end_the_connection() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let mistakes: [fn(u32) -> Vec<u8>; 4] = [
        |stream| window(stream, 0x7fff_ffff),
        |stream| window(stream, 0),
        |stream| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[1]].concat()),
        |stream| frame(HEADERS, END_HEADERS, stream, &block(&[("x-t", "1")])),
    ];
    for mistake in mistakes {
        let before = scene.upstream.count();
        let mut frames = Frames::connect(scene.gateway.https()).await;
        for n in 0..400 {
            let (stream, seen) = (2 * n + 1, scene.upstream.count());
            if !frames.write(post(stream, "/public/hang")).await {
                break;
            }
            // Each is with the application before its mistake, for as long as the connection lives.
            for _ in 0..20 {
                if scene.upstream.count() > seen {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if !frames.write(mistake(stream)).await {
                break;
            }
        }
        frames.gone().await;
        assert!(scene.upstream.count() - before < 250, "{}", scene.upstream.count() - before);
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    let gateway = Alone::start().await;
    let before = gateway.memory();
    let head = block(&request("GET", "/x"));
    for piece in [&b""[..], &literal(0, b"x-a", b"b"), &literal(0, b"x-a", &[b'x'; 16_000])] {
        let mut frames = gateway.connect().await;
        let mut bytes = frame(HEADERS, END_STREAM, 1, &head);
        for _ in 0..if long() { 100_000 } else { 2_000 } {
            bytes.extend(frame(CONTINUATION, 0, 1, piece));
        }
        frames.write(bytes).await;
        assert!(matches!(frames.gone().await, Some(ENHANCE_YOUR_CALM) | None));
    }
    assert!(gateway.memory() < before + 32 * 1024, "{} grew to {}", before, gateway.memory());
    assert_eq!(gateway.upstream.count(), 0);
}

#[tokio::test]
async fn a_head_that_unpacks_to_megabytes_is_not_unpacked() {
    let gateway = Alone::start().await;
    let before = gateway.memory();
    let head = block(&request("GET", "/x"));
    for (name, length) in [(&b"x-bomb"[..], 4000), (b"cookie", 4000), (b"x", 0)] {
        let mut frames = gateway.connect().await;
        // Into the table once, then out of it by one byte each.
        let bomb = [&*head, &literal(0x40, name, &vec![b'x'; length]), &vec![0xbe; 15_000 - length]].concat();
        let outcome = frames.ask(1, frame(HEADERS, WHOLE, 1, &bomb)).await;
        assert!(matches!(outcome, Outcome::Gone(Some(ENHANCE_YOUR_CALM)) | Outcome::Answered(431)), "{outcome:?}");
    }
    assert!(gateway.memory() < before + 16 * 1024, "{} grew to {}", before, gateway.memory());
    assert_eq!(gateway.upstream.count(), 0);
}

#[tokio::test]
async fn frames_that_mean_nothing_cost_nothing_and_harm_nobody() {
    let gateway = Alone::start().await;
    let before = gateway.memory();
    let count = if long() { 500_000 } else { 20_000 };
    let kinds = [
        ("pings", frame(PING, 0, 0, &[0; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("priorities", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("windows", window(0, 1)),
        ("unknown frames", frame(0xbe, 0, 0, b"?")),
        ("empty data", frame(DATA, 0, 1, &[])),
    ];
    for (what, one) in kinds {
        let mut frames = gateway.connect().await;
        let all = frames.write([post(1, "/x"), one.repeat(count)].concat()).await;
        if what == "empty data" {
            assert_eq!(frames.gone().await, Some(ENHANCE_YOUR_CALM));
        } else if all {
            assert_eq!(frames.ask(3, get(3, "/x")).await, Outcome::Answered(200), "the same connection after {what}");
        }
        let mut other = gateway.connect().await;
        assert_eq!(other.ask(1, get(1, "/x")).await, Outcome::Answered(200), "another connection after {what}");
    }
    // Nor when the answers to them are not read: the gateway stops reading, and then stops.
    let mut deaf = gateway.connect().await;
    let all = deaf.write_deaf(&frame(PING, 0, 0, &[0; 8]).repeat(4_000_000), Duration::from_secs(15)).await;
    assert!(!all, "the gateway went on reading");
    assert!(gateway.memory() < before + 32 * 1024, "{} grew to {}", before, gateway.memory());
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    let mut frames = Frames::connect(scene.gateway.https()).await;
    let bytes: Vec<u8> = (0..300).flat_map(|n| get(2 * n + 1, "/public/hang")).collect();
    frames.write(bytes).await;
    assert_eq!(frames.outcome(599).await, Outcome::Reset(7));
    eventually("those that are allowed arrive", || scene.upstream.count() == 256).await;
    scene.assert_well().await;
}

#[tokio::test]
async fn who_works_beside_a_flood_notices_nothing() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", UpstreamAnswer::Hang);
    scene.upstream.answer("/public/large", UpstreamAnswer::fixed(200, &[], vec![b'x'; 100_000]));
    let head = block(&request("GET", "/public/x"));
    let many = |one: fn(u32) -> Vec<u8>, count: u32| (0..count).flat_map(|n| one(2 * n + 1)).collect::<Vec<u8>>();
    let behind = |first: Vec<u8>, one: &[u8]| [first, one.repeat(2000)].concat();
    let bomb = [&*head, &literal(0x40, b"x-bomb", &[b'x'; 4000]), &[0xbe; 11_000]].concat();
    let floods = [
        ("resets", many(|stream| [get(stream, "/public/hang"), reset(stream, CANCEL)].concat(), 1000)),
        ("mistakes", many(|stream| [post(stream, "/public/hang"), window(stream, 0)].concat(), 400)),
        ("continuations", behind(frame(HEADERS, END_STREAM, 1, &head), &frame(CONTINUATION, 0, 1, &[]))),
        ("a head that unpacks", frame(HEADERS, WHOLE, 1, &bomb)),
        ("pings", behind(post(1, "/public/x"), &frame(PING, 0, 0, &[0; 8]))),
        ("settings", behind(post(1, "/public/x"), &frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]))),
        ("empty data", behind(post(1, "/public/x"), &frame(DATA, 0, 1, &[]))),
        ("shut windows", {
            let asked = many(|stream| get(stream, "/public/large"), 100);
            [settings(&[(INITIAL_WINDOW_SIZE, 0)]), asked].concat()
        }),
    ];
    let load = Load::start(&scene, 6).await;
    for (_, flood) in &floods {
        let hostile = join_all((0..4).map(|_| async {
            let mut frames = Frames::connect(scene.gateway.https()).await;
            frames.write(flood).await;
            frames
        }));
        let connections = hostile.await;
        // What they hold is still held.
        load.goes_on(24).await;
        drop(connections);
    }
    let tally = load.stop().await;
    tally.assert_undisturbed();
    println!("{} floods, {} answers beside them, p99 {:?}", floods.len(), tally.answers(), tally.percentile(99));
}
