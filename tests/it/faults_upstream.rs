//! Faults of the application: each alone, and again while others work, who must notice nothing. When the fault ends, the
//! next request is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use tokio::sync::watch;
use usher::clock::Clock;

use crate::harness::body::fed;
use crate::harness::child::Usher;
use crate::harness::client::Ask;
use crate::harness::gateway::complete;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::scripted::{Line, Request, answer};
use crate::harness::{
    Answer, Client, Issuer, Load, Protocol, Scene, Scripted, Upstream, UpstreamAnswer, eventually, get, long, post,
};

/// What the route of a faulty application waits for.
const LIMIT: Duration = Duration::from_millis(500);

/// A site with a faulty application, beside the usual ones.
fn other_site(upstream: &str) -> String {
    format!(
        "  - host: other.test
    issuer: main
    upstream: {upstream}
    access: optional
    identity_headers: {{ X-User-Id: sub }}
    timeouts: {{ connect: 300ms, response: 500ms, idle: 500ms }}
    body_limit: 64MiB
    routes: [{{ path: / }}]
"
    )
}

/// The usual scene, and a faulty application behind `other.test`.
async fn beside(upstream: &str) -> Scene {
    Scene::start(&format!("{ISSUERS}{SESSION}{SITES}{}", other_site(upstream))).await
}

/// The fault, and the fault again while users of another application work, who notice nothing.
async fn at_rest_and_under_load(scene: &Scene, fault: impl AsyncFn()) {
    fault().await;
    let load = Load::start(scene, 6).await;
    fault().await;
    load.goes_on(20).await;
    load.stop().await.assert_undisturbed();
}

// ---- F01: refuses ----

#[tokio::test]
async fn an_application_that_refuses_is_502_at_once_on_a_connection_that_stays() {
    let gone = Upstream::start().await;
    let (url, stopped) = (gone.url(), gone.stop());
    let scene = beside(&url).await;
    let clients = [scene.client().connect("other.test").await, scene.http2().connect("other.test").await];
    let clients = clients.map(tokio::sync::Mutex::new);
    at_rest_and_under_load(&scene, async || {
        for client in &clients {
            let mut fastest = Duration::MAX;
            for _ in 0..10 {
                let started = Instant::now();
                client.lock().await.send(get("https://other.test/x")).await.assert_status(502);
                fastest = fastest.min(started.elapsed());
            }
            assert!(fastest < Duration::from_millis(100), "{fastest:?}");
        }
    })
    .await;
    let _back = stopped.restart().await;
    for client in &clients {
        client.lock().await.send(get("https://other.test/x")).await.assert_status(200);
    }
}

#[tokio::test]
async fn under_load_an_application_that_comes_and_goes_costs_502_while_it_is_gone_and_nothing_after() {
    let mut app = Upstream::start().await;
    let scene = beside(&app.url()).await;
    let load = Load::start_at(&scene, 6, "https://other.test/load");
    for _ in 0..3 {
        load.goes_on(30).await;
        let stopped = app.stop();
        load.goes_on(30).await;
        app = stopped.restart().await;
        scene.send(get("https://other.test/x")).await.assert_status(200);
    }
    let tally = load.stop().await;
    tally.assert_only(&[200, 502]);
    assert!(tally.count(200) > 50 && tally.count(502) > 20, "{:?}", tally.statuses);
    let load = Load::start_at(&scene, 6, "https://other.test/load");
    load.goes_on(50).await;
    load.stop().await.assert_undisturbed();
}

// ---- F02: accepts, never answers ----

/// Answers nothing below `/hang`, and everything else.
async fn hangs_sometimes(mut line: Line) {
    while let Some(request) = line.request().await {
        if request.path().starts_with("/hang") {
            return line.closed().await;
        }
        line.write(request.echo()).await;
    }
}

#[tokio::test]
async fn an_application_that_never_answers_is_504_on_time_and_only_its_own_connection_closes() {
    let app = Scripted::start(hangs_sometimes).await;
    let scene = beside(&app.url()).await;
    let clients = [scene.client().connect("other.test").await, scene.http2().connect("other.test").await];
    let clients = clients.map(tokio::sync::Mutex::new);
    let fastest = std::sync::Mutex::new([Duration::MAX; 2]);
    at_rest_and_under_load(&scene, async || {
        for client in &clients {
            let mut client = client.lock().await;
            let asks = [get("https://other.test/hang"), post("https://other.test/hang").body(vec![b'x'; 100_000])];
            for (n, ask) in asks.into_iter().enumerate() {
                let started = Instant::now();
                client.send(ask).await.assert_status(504);
                let took = started.elapsed();
                assert!(took >= LIMIT.mul_f64(0.9), "{took:?}");
                {
                    let fastest = &mut fastest.lock().unwrap()[n];
                    *fastest = took.min(*fastest);
                }
                client.send(get("https://other.test/fine")).await.assert_status(200);
            }
        }
    })
    .await;
    // On a busy machine one of them may be late, not each.
    let fastest = fastest.into_inner().unwrap();
    assert!(fastest.iter().all(|took| *took <= LIMIT.mul_f64(1.1)), "{fastest:?}");
    // What hung is closed; what answered waits in the pool.
    client_is_served(&scene).await;
    eventually("the connections that hung are closed", || app.open() <= 2 * workers()).await;
}

/// At most so many threads have a pool.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

async fn client_is_served(scene: &Scene) {
    scene.send(get("https://other.test/fine")).await.assert_status(200);
}

#[tokio::test]
async fn an_upload_that_nobody_reads_is_504_and_the_connection_is_drained_or_closed() {
    let app = Scripted::start(|mut line: Line| async move {
        let request = line.head().await;
        if request.is_some_and(|head| head.starts_with("POST")) {
            std::future::pending::<()>().await;
        }
        line.write(answer("{}")).await;
    })
    .await;
    let scene = beside(&app.url()).await;
    at_rest_and_under_load(&scene, async || {
        for client in [scene.client(), scene.http2()] {
            let mut connection = client.connect("other.test").await;
            // An HTTP/1.1 client may see the connection close while it still sends.
            if let Ok(response) =
                connection.open(post("https://other.test/unread").body(vec![b'x'; 32 * 1024 * 1024])).await
            {
                Answer::read(response).await.assert_status(504);
            }
            if client.protocol == Protocol::Http2 {
                connection.send(get("https://other.test/fine")).await.assert_status(200);
            }
            client_is_served(&scene).await;
        }
    })
    .await;
}

// ---- F03: dies in the middle ----

/// Says what the path asks for, and dies.
async fn dies(mut line: Line) {
    while let Some(request) = line.request().await {
        let (says, resets): (&[u8], bool) = match request.path() {
            "/before" => (b"", false),
            "/before-reset" => (b"", true),
            "/head" => (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX-Half", false),
            "/head-reset" => (b"HTTP/1.1 200 OK\r\nContent-Le", true),
            "/length" => (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", false),
            "/chunked" => (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n", false),
            "/length-reset" => (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", true),
            "/chunked-reset" => (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n", true),
            "/length-half-close" | "/chunked-half-close" => {
                let framing = if request.path().starts_with("/length") {
                    "Content-Length: 100\r\n\r\n0123456789"
                } else {
                    "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
                };
                line.write(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
                line.half_close().await;
                line.closed().await;
                return;
            }
            "/half-chunk" => (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n0123456789", false),
            _ => {
                line.write(request.echo()).await;
                continue;
            }
        };
        line.write(says).await;
        if resets {
            line.reset();
        }
        return;
    }
}

#[tokio::test]
async fn an_application_that_dies_before_the_head_is_502_and_after_it_is_visibly_cut() {
    let app = Scripted::start(dies).await;
    let scene = beside(&app.url()).await;
    at_rest_and_under_load(&scene, async || {
        for client in [scene.client(), scene.http2()] {
            for path in ["length-reset", "chunked-reset", "length-half-close", "chunked-half-close"] {
                let answer = client.send(get(&format!("https://other.test/{path}"))).await;
                // A reset may overtake what was said before it.
                assert!(answer.status == 502 || answer.status == 200 && !answer.complete, "{path}: {answer:?}");
                assert!(path.ends_with("-reset") || answer.body == "0123456789", "{path}: {answer:?}");
            }
            for path in ["before", "before-reset", "head", "head-reset", "length", "chunked", "half-chunk"] {
                client.send(get("https://other.test/fine")).await.assert_status(200);
                let answer = client.send(get(&format!("https://other.test/{path}"))).await;
                if matches!(path, "length" | "chunked" | "half-chunk") {
                    assert!(!answer.assert_status(200).complete, "{path}: {answer:?}");
                    assert_eq!(answer.body, "0123456789", "{path}: what came is passed on");
                } else {
                    answer.assert_status(502);
                }
                client.send(get("https://other.test/fine")).await.assert_status(200);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_http2_application_that_dies_in_the_middle_is_visibly_cut_and_the_next_request_is_answered() {
    let app = Upstream::start_h2c().await;
    let scene = beside(&app.url()).await;
    at_rest_and_under_load(&scene, async || {
        for client in [scene.client(), scene.http2()] {
            let feed = app.stream("/cut", &[]);
            let mut connection = client.connect("other.test").await;
            let response = connection.open(get("https://other.test/cut")).await.unwrap();
            feed.chunk("0123456789");
            feed.cut();
            assert!(!Answer::read(response).await.complete);
            client.send(get("https://other.test/fine")).await.assert_status(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_fault_on_one_stream_of_an_http2_application_harms_no_other_stream() {
    let app = Upstream::start_h2c().await;
    app.answer("/hang", UpstreamAnswer::Hang);
    app.answer("/before", UpstreamAnswer::Hangup);
    app.answer("/longer", UpstreamAnswer::fixed(200, &[("content-length", "2")], "0123456789"));
    app.answer("/shorter", UpstreamAnswer::fixed(200, &[("content-length", "100")], "0123456789"));
    let scene = beside(&app.url()).await;
    // Others of the same application: their streams are on the same connections.
    let load = Load::start_at(&scene, 6, "https://other.test/load");
    load.goes_on(20).await;
    for client in [scene.client(), scene.http2()] {
        let started = Instant::now();
        client.send(get("https://other.test/hang")).await.assert_status(504);
        assert!(started.elapsed() >= LIMIT.mul_f64(0.9), "{:?}", started.elapsed());
        client.send(get("https://other.test/before")).await.assert_status(502);
        client.send(post("https://other.test/before").body("once")).await.assert_status(502);
        for path in ["longer", "shorter"] {
            let mut connection = client.connect("other.test").await;
            match connection.open(get(&format!("https://other.test/{path}"))).await {
                Ok(response) => {
                    let answer = Answer::read(response).await;
                    assert!(answer.status == 502 || !answer.complete, "{path}: {answer:?}");
                    assert!(answer.status == 502 || b"0123456789".starts_with(&answer.body), "{path}: {answer:?}");
                }
                Err(error) => assert!(client.protocol == Protocol::Http2, "{path}: {error}"),
            }
        }
    }
    load.stop().await.assert_undisturbed();
    assert!(app.connections() <= workers(), "{} connections", app.connections());
    assert_eq!(app.seen().iter().filter(|seen| seen.method == "POST").count(), 2, "a POST is never sent twice");
}

// ---- F04: slow ----

#[tokio::test]
async fn a_slow_answer_streams_for_as_long_as_it_is_never_silent_for_too_long() {
    let (count, pause) = if long() { (15, Duration::from_secs(1)) } else { (14, Duration::from_millis(100)) };
    let app = Scripted::start(move |mut line: Line| async move {
        while line.head().await.is_some() {
            line.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n")).await;
            for _ in 0..count {
                tokio::time::sleep(pause).await;
                line.write("x").await;
            }
        }
    })
    .await;
    let limits = if long() { "idle: 3s" } else { "idle: 500ms" };
    let site = other_site(&app.url()).replace("idle: 500ms", limits);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{SITES}{site}")).await;
    let load = Load::start(&scene, 4).await;
    let slow = [scene.client(), scene.http2()].map(|client| {
        tokio::spawn(async move {
            let response = client.connect("other.test").await.open(get("https://other.test/slow")).await.unwrap();
            let head_at = Instant::now();
            (Answer::read(response).await, head_at.elapsed())
        })
    });
    for slow in slow {
        let (answer, took) = slow.await.unwrap();
        assert!(answer.assert_status(200).complete && answer.body.len() == count, "{answer:?}");
        assert!(took > 2 * LIMIT, "the head came before the body: {took:?}");
    }
    load.stop().await.assert_undisturbed();
}

#[tokio::test]
async fn a_slow_reader_of_an_upload_slows_the_client_down_and_nothing_piles_up() {
    const SIZE: usize = 16 * 1024 * 1024;
    let app = Scripted::start(|mut line: Line| async move {
        let Some(head) = line.head().await else { return };
        if head.contains("/never") {
            std::future::pending::<()>().await;
        }
        let mut read = 0;
        while read < SIZE {
            let until = (read + SIZE / 16).min(SIZE);
            while read < until {
                read += line.take(SIZE / 16).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        line.write(answer("\"whole\"")).await;
    })
    .await;
    // The buffers of the sockets take the last bytes long before the application does.
    let site = other_site(&app.url()).replace("response: 500ms", "response: 3s");
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{SITES}{site}")).await;
    let load = Load::start(&scene, 4).await;
    let started = Instant::now();
    let slow = post("https://other.test/slow").body(vec![b'x'; SIZE]);
    assert_eq!(scene.send(slow).await.assert_status(200).text(), "\"whole\"");
    assert!(started.elapsed() > 2 * LIMIT, "longer than the silence that is allowed");

    // Whoever writes to an application that reads nothing is stopped by the buffers of the sockets, not by memory.
    let mut raw = Raw::connect(scene.gateway.https(), "other.test").await;
    raw.write("POST /never HTTP/1.1\r\nHost: other.test\r\nContent-Length: 60000000\r\n\r\n").await;
    let (mut written, chunk) = (0, vec![b'x'; 256 * 1024]);
    while written < 59_000_000 && tokio::time::timeout(Duration::from_millis(250), raw.write(&chunk)).await.is_ok() {
        written += chunk.len();
    }
    assert!(written < 32 * 1024 * 1024, "{written} bytes went somewhere");
    load.stop().await.assert_undisturbed();
}

// ---- F05: resets idle connections ----

#[tokio::test]
async fn connections_that_die_in_the_pool_cost_a_reader_nothing() {
    let die = watch::Sender::new(());
    let dying = die.clone();
    let app = Scripted::start(move |mut line: Line| {
        let mut dying = dying.subscribe();
        async move {
            loop {
                let head = tokio::select! {
                    head = line.head() => head,
                    _ = dying.changed() => return line.reset(),
                };
                let Some(head) = head else { return };
                let request = Request { head, body: Vec::new() };
                line.write(request.echo()).await;
            }
        }
    })
    .await;
    let scene = beside(&app.url()).await;
    let load = Load::start_at(&scene, 8, "https://other.test/load");
    for _ in 0..20 {
        load.goes_on(24).await;
        die.send_replace(());
    }
    load.stop().await.assert_undisturbed();
    assert!(app.accepted() > 20, "{} connections", app.accepted());

    // A connection whose end has arrived is not used, whatever the method.
    for n in 0..10 {
        die.send_replace(());
        eventually("all are reset", || app.open() == 0).await;
        scene.send(post("https://other.test/write").body(format!("{n}"))).await.assert_status(200);
    }
}

#[tokio::test]
async fn a_connection_that_dies_under_a_request_is_retried_for_readers_and_502_once_for_writers() {
    let (seen, killed) = (Arc::<std::sync::Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
    let (log, kills) = (Arc::clone(&seen), Arc::clone(&killed));
    // The second request of every connection is read, and the connection reset.
    let app = Scripted::start(move |mut line: Line| {
        let (log, kills) = (Arc::clone(&log), Arc::clone(&kills));
        async move {
            for turn in 0.. {
                let Some(request) = line.request().await else { return };
                log.lock().unwrap().push(String::from_utf8_lossy(&request.body).into_owned());
                if turn > 0 {
                    kills.fetch_add(1, Ordering::SeqCst);
                    return line.reset();
                }
                line.write(request.echo()).await;
            }
        }
    })
    .await;
    // As many are to be sent once more as there are.
    let scene = beside(&format!("{{ url: '{}', circuit: {{ retry_percent: 100 }} }}", app.url())).await;
    let load = Load::start_at(&scene, 6, "https://other.test/load");
    load.goes_on(60).await;
    load.stop().await.assert_undisturbed();
    assert!(killed.load(Ordering::SeqCst) > 10, "the fault did happen");

    seen.lock().unwrap().clear();
    killed.store(0, Ordering::SeqCst);
    let mut failed = 0;
    for n in 0..20 {
        let status = scene.send(post("https://other.test/write").body(format!("write {n}"))).await.status.as_u16();
        assert!(matches!(status, 200 | 502), "{status}");
        failed += usize::from(status == 502);
    }
    assert!(failed > 0 && failed <= killed.load(Ordering::SeqCst), "{failed} failed");
    let mut bodies = seen.lock().unwrap().clone();
    bodies.sort_unstable();
    let before = bodies.len();
    bodies.dedup();
    assert_eq!(bodies.len(), before, "nothing was written twice");
}

// ---- F06: talks nonsense ----

/// What the application says instead of an answer, by path; nothing of it may pass.
fn nonsense(path: &str) -> Option<Vec<u8>> {
    let text = match path {
        "/text" => "leaked leaked leaked\r\n\r\n".to_owned(),
        "/zeros" => "\0".repeat(1000) + "leaked",
        "/http0.9" => "<html>leaked</html>".to_owned(),
        "/tls" => "\u{16}\u{3}\u{1}leaked".to_owned(),
        "/version" => "HTTP/9.1 200 OK\r\nContent-Length: 6\r\n\r\nleaked".to_owned(),
        "/long-field" => format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\nleaked", "x".repeat(256 * 1024)),
        "/many-fields" => format!("HTTP/1.1 200 OK\r\n{}\r\nleaked", "X-Many: leaked\r\n".repeat(20_000)),
        "/two-lengths" => "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 7\r\n\r\nleaked".to_owned(),
        "/negative" => "HTTP/1.1 200 OK\r\nContent-Length: -6\r\n\r\nleaked".to_owned(),
        "/huge" => "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n\r\nleaked".to_owned(),
        "/space" => "HTTP/1.1 200 OK\r\nContent-Length : 6\r\n\r\nleaked".to_owned(),
        "/name" => "HTTP/1.1 200 OK\r\nX(Y): 6\r\n\r\nleaked".to_owned(),
        _ => return None,
    };
    Some(text.into_bytes())
}

#[tokio::test]
async fn nonsense_is_502_closes_the_connection_and_none_of_it_passes() {
    let app = Scripted::start(|mut line: Line| async move {
        while let Some(request) = line.request().await {
            match nonsense(request.path()) {
                Some(bytes) => {
                    line.write(bytes).await;
                    return line.closed().await;
                }
                None => line.write(request.echo()).await,
            }
        }
    })
    .await;
    let scene = beside(&app.url()).await;
    let paths = [
        "text",
        "zeros",
        "http0.9",
        "tls",
        "version",
        "long-field",
        "many-fields",
        "two-lengths",
        "negative",
        "huge",
        "space",
        "name",
    ];
    at_rest_and_under_load(&scene, async || {
        for client in [scene.client(), scene.http2()] {
            for path in paths {
                client.send(get("https://other.test/fine")).await.assert_status(200);
                let answer = client.send(get(&format!("https://other.test/{path}"))).await;
                assert_eq!(answer.status, 502, "{path}: {answer:?}");
                assert!(!format!("{:?} {}", answer.headers, answer.text()).contains("leaked"), "{path}: {answer:?}");
            }
        }
        client_is_served(&scene).await;
    })
    .await;
    eventually("what talked nonsense is closed", || app.open() <= 2 * workers()).await;
}

#[tokio::test]
async fn bytes_behind_an_answer_are_never_anothers_answer() {
    let stolen = answer(r#"{"target":"/load","headers":[["x-user-id","somebody-else"]]}"#);
    let app = Scripted::start(move |mut line: Line| {
        let stolen = stolen.clone();
        async move {
            while let Some(request) = line.request().await {
                line.write(request.echo() + &stolen).await;
            }
        }
    })
    .await;
    let scene = beside(&app.url()).await;
    let load = Load::start_at(&scene, 8, "https://other.test/load");
    load.goes_on(200).await;
    load.stop().await.assert_undisturbed();

    // A length that is too short makes such bytes as well.
    let short = Scripted::start(|mut line: Line| async move {
        while line.request().await.is_some() {
            line.write(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
            )
            .await;
        }
    })
    .await;
    let scene = beside(&short.url()).await;
    for method in [Method::GET, Method::HEAD, Method::POST] {
        for _ in 0..5 {
            let answer = scene.send(Ask::new(method.clone(), "https://other.test/x")).await;
            assert!(!answer.assert_status(200).text().contains("stolen"), "{answer:?}");
        }
    }
}

// ---- F07: one of several is bad ----

#[tokio::test]
async fn one_bad_address_of_three_costs_less_than_one_request_in_a_hundred() {
    let good = async || Scripted::start(hangs_sometimes).await;
    let (one, two) = (good().await, good().await);
    let refuses = Scripted::start(hangs_sometimes).await;
    let refusing = refuses.url();
    drop(refuses);
    let stalls = Scripted::start(|mut line: Line| async move { line.closed().await }).await;
    let resets = Scripted::start(|line: Line| async move { line.reset() }).await;
    let breaks = Scripted::start(|mut line: Line| async move { drop(line.head().await) }).await;
    let babbles = Scripted::start(|mut line: Line| async move {
        line.head().await;
        line.write("nonsense\r\n\r\n").await;
    })
    .await;
    // A full accept queue: the handshake of the next connection is never answered.
    let swallows = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    swallows.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    swallows.listen(0).unwrap();
    let swallowing = swallows.local_addr().unwrap().as_socket().unwrap();
    let _filler = std::net::TcpStream::connect(swallowing).unwrap();

    let kinds = [
        ("refuses", refusing),
        ("stalls", stalls.url()),
        ("resets", resets.url()),
        ("breaks", breaks.url()),
        ("babbles", babbles.url()),
        ("swallows", format!("http://{swallowing}")),
    ];
    let route = |(path, bad): &(&str, String)| {
        format!("      - {{ path: /{path}/, upstream: [{}, {bad}, {}] }}\n", one.url(), two.url())
    };
    let routes = kinds.iter().map(route).collect::<Vec<_>>().concat();
    let site = other_site(&one.url()).replace("routes: [{ path: / }]\n", &format!("routes:\n{routes}"));
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{SITES}{site}")).await;
    let start = |kinds: &[(&'static str, String); 6]| {
        kinds
            .iter()
            .map(|(path, _)| (*path, Load::start_at(&scene, 2, &format!("https://other.test/{path}/x"))))
            .collect::<Vec<_>>()
    };
    let pause = Duration::from_secs(if long() { 30 } else { 2 });
    let first = start(&kinds);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for (kind, load) in first {
        println!("{kind}: {:?} in the first second", load.stop().await.assert_only(&[200, 502, 504]).statuses);
    }
    let then = start(&kinds);
    tokio::time::sleep(pause).await;
    for (kind, load) in then {
        let tally = load.stop().await;
        tally.assert_only(&[200, 502, 504]);
        let failed = tally.answers() - tally.count(200);
        assert!(failed * 100 < tally.answers(), "{kind}: {failed} of {} failed", tally.answers());
    }
}

// ---- whose fault it was ----

#[tokio::test]
async fn the_log_says_that_it_was_the_application() {
    let (hangs, dies, babbles) = (
        Scripted::start(hangs_sometimes).await,
        Scripted::start(dies).await,
        Scripted::start(|mut line: Line| async move {
            line.head().await;
            line.write("nonsense\r\n\r\n").await;
        })
        .await,
    );
    let gone = Scripted::start(hangs_sometimes).await;
    let refusing = gone.url();
    drop(gone);
    let (issuer, directory) = (Issuer::start(&Clock::system()).await, tempfile::tempdir().unwrap());
    let site = other_site(&hangs.url()).replace(
        "routes: [{ path: / }]",
        &format!(
            "routes: [{{ path: / }}, {{ path: /gone, upstream: {refusing} }}, {{ path: /nonsense, upstream: {} }}, {{ \
             path: /before, upstream: {dies} }}, {{ path: /length, upstream: {dies} }}]",
            babbles.url(),
            dies = dies.url()
        ),
    );
    let yaml = format!("log: {{ format: json }}\n{ISSUERS}{SESSION}\nsites:\n{site}").replace("$ISSUER", &issuer.url());
    let usher = Usher::serve(&complete(&yaml.replace("$CLIENT_SECRET", "x"), &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let cases = [
        ("/gone", 502, "cannot be reached"),
        ("/hang", 504, "did not answer in time"),
        ("/before", 502, "closed the connection before it answered"),
        ("/nonsense", 502, "not valid HTTP"),
    ];
    for (path, status, _) in cases {
        client.send(get(&format!("https://other.test{path}"))).await.assert_status(status);
    }
    client.send(get("https://other.test/length")).await;
    let (feed, body) = fed();
    drop(client.connect("other.test").await.open(post("https://other.test/fine").streamed(body)));
    drop(feed);
    usher.says("\"path\":\"/length\"").await;
    let lines: Vec<Value> = usher.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap_or_else(|| panic!("{lines:#?}"));
    for (path, _, reason) in cases {
        let line = line(path);
        assert_eq!(line["fault"], "upstream", "{line}");
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
        let warning = lines.iter().find(|other| other["level"] == "WARN" && other["request_id"] == line["request_id"]);
        assert_eq!(warning.expect("a line of its own")["fault"], "upstream");
    }
    let cut = line("/length");
    assert_eq!(cut["ending"], "truncated", "{cut}");
    let warning = lines.iter().find(|other| other["level"] == "WARN" && other["request_id"] == cut["request_id"]);
    assert_eq!(warning.expect("a line of its own")["fault"], "upstream");
}
