//! What a process runs out of: descriptors, memory, disk, somebody who reads its log; and its own life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::Command;

use crate::harness::body::fed;
use crate::harness::child::{Usher, listening};
use crate::harness::client::try_tls;
use crate::harness::gateway::complete;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::scene::ISSUERS;
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, Place, Process, Protocol, eventually, get, left_out, long, post};

/// Sets the limit of descriptors of a running process.
async fn limit_descriptors(process: u32, soft: usize) {
    let limit = format!("--nofile={soft}:");
    assert!(Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status().await.unwrap().success());
}

async fn is_installed(command: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {command} >/dev/null")]).status().await.unwrap().success()
}

#[tokio::test]
async fn clients_cannot_take_the_descriptors_that_the_way_to_the_application_needs() {
    let place = Place::start("ulimit -n 256", "").await;
    assert!(place.usher.output().contains("limits.connections"), "{}", place.usher.output());
    let mut held = Vec::new();
    for _ in 0..300 {
        if let Ok(connection) = place.client().try_connect("app.test").await {
            held.push(connection);
        }
    }
    assert!((60..=96).contains(&held.len()), "{} connections for 256 descriptors", held.len());
    let answers = join_all(held.iter_mut().map(|connection| connection.send(get("https://app.test/public/x")))).await;
    for answer in &answers {
        answer.assert_status(200);
    }
    assert!(Process::of(place.usher.id()).descriptors() <= 256);
    let told = place.usher.output().matches("too many connections").count();
    assert!((1..=3).contains(&told), "it is told, and not each time: {told}");
    held.truncate(10);
    let mut again = false;
    while !again {
        again = place.client().try_send(get("https://app.test/public/x")).await.is_some();
    }
}

#[tokio::test]
async fn too_few_descriptors_are_a_warning_where_there_may_be_more_connections_than_by_default() {
    for (keys, level) in [("", "INFO"), ("limits: { connections: 20000 }\n", "WARN")] {
        let place = Place::start("ulimit -n 256", &format!("log: {{ format: json }}\n{keys}")).await;
        let output = place.usher.output();
        let line = output.lines().find(|line| line.contains("limits.connections is more")).unwrap();
        assert!(line.contains(&format!("\"level\":\"{level}\"")), "{line}");
    }
}

#[tokio::test]
async fn accepting_without_descriptors_waits_and_recovers_by_itself() {
    if !is_installed("prlimit").await {
        return left_out("no descriptors: prlimit is missing");
    }
    let place = Place::start("", "").await;
    let process = Process::of(place.usher.id());
    let mut existing = place.client().connect("app.test").await;
    existing.send(get("https://app.test/public/x")).await.assert_status(200);

    limit_descriptors(place.usher.id(), process.descriptors()).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(tokio::net::TcpStream::connect(place.address).await.unwrap());
    }
    place.usher.says("cannot accept connections").await;
    let (before, began) = (process.processor(), Instant::now());
    let mut served = 0;
    while began.elapsed() < Duration::from_millis(1500) {
        existing.send(get("https://app.test/public/x")).await.assert_status(200);
        served += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let used = process.processor() - before;
    assert!(used <= 40, "{used} hundredths of a second for {served} requests in 1.5 s");
    let told = place.usher.output().matches("cannot accept connections").count();
    assert!(told <= 2, "it is not told each time: {told}");

    limit_descriptors(place.usher.id(), 1024).await;
    let client = place.client();
    let again = tokio::time::timeout(Duration::from_secs(10), client.send(get("https://app.test/public/x")));
    again.await.expect("accepted again").assert_status(200);
    drop(waiting);
}

/// Whatever one address can make a small gateway hold at once: heads that do not end, bodies that nobody reads, answers
/// that nobody takes. The bound is on the peak of the resident memory, which is what a memory cap kills for, less the
/// sockets' buffers, which the kernel counts as well.
#[tokio::test]
async fn a_hostile_crowd_does_not_take_more_memory_than_the_limits_say() {
    const MIB: u64 = 1024;
    let limits = "connections: 200, header_bytes: 16KiB, token_cache_bytes: 4MiB, streams_per_connection: 32";
    let place = Place::start("", &format!("limits: {{ {limits} }}\n")).await;
    let process = Process::of(place.usher.id());
    let at_rest = process.memory();
    let many = if long() { 1000 } else { 500 };
    place.upstream.answer("/public/hang", crate::harness::UpstreamAnswer::Hang);
    let large = crate::harness::UpstreamAnswer::fixed(200, &[], vec![b'x'; 2 << 20]);
    place.upstream.answer("/public/large", large);

    let (address, http2) = (place.address, place.http2());
    let mut crowd = tokio::task::JoinSet::new();
    for n in 0..many {
        crowd.spawn(async move {
            match n % 3 {
                // A head just below its bound, which does not end.
                0 => {
                    if let Ok(mut stream) = try_tls(address, "app.test", &[b"http/1.1"]).await {
                        let head = format!("GET / HTTP/1.1\r\nHost: app.test\r\nX: {}", "x".repeat(15 * 1024));
                        drop(stream.write_all(head.as_bytes()).await);
                        tokio::time::sleep(Duration::from_secs(3)).await;
                    }
                }
                // Bodies that the application does not read, over as many streams as fill the connection's window.
                1 => {
                    let Ok(connection) = http2.try_connect("app.test").await else { return };
                    let mut uploads = Vec::new();
                    for _ in 0..4 {
                        let (feed, body) = fed();
                        feed.chunk(vec![b'x'; 250 * 1024]);
                        let mut stream = connection.share();
                        let ask = post("https://app.test/public/hang").streamed(body);
                        uploads.push(async move {
                            let _feed = feed;
                            let answer = tokio::time::timeout(Duration::from_secs(3), stream.open(ask)).await;
                            drop(answer);
                        });
                    }
                    join_all(uploads).await;
                }
                // Large answers that are not taken.
                _ => {
                    let Ok(mut connection) = http2.try_connect("app.test").await else { return };
                    let answer = connection.open(get("https://app.test/public/large")).await;
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    drop(answer);
                }
            }
        });
    }
    crowd.join_all().await;
    let (peak, refused) = (process.peak(), place.usher.output().contains("too many connections"));
    println!("{many} hostile connections: {at_rest} KiB at rest, {peak} KiB at most, {} KiB after", process.memory());
    assert!(refused, "those that are too many are refused");
    assert!(peak < 128 * MIB, "{peak} KiB");
    let mut well = None;
    while well.is_none() {
        well = place.client().try_send(get("https://app.test/public/x")).await;
    }
    well.unwrap().assert_status(200);
}

/// A configuration that keeps state in `state`, for a start that may fail.
fn with_state(directory: &tempfile::TempDir) -> String {
    let site = "sites: [{ host: app.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{ path: / }] }]\n";
    complete(&format!("state_directory: state\n{site}"), directory)
}

/// The same with somebody who can sign out.
fn with_sign_outs(directory: &tempfile::TempDir) -> String {
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", CLIENT_SECRET);
    format!("{}{issuers}", with_state(directory))
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("state"), "a file where a directory is wanted").unwrap();
    let mut usher = Usher::serve(&with_state(&directory), directory.path());
    assert_ne!(usher.exit().await.code(), Some(0));
    usher.says("state").await;
}

/// On a disk of its own, in a mount namespace that ends with the process.
const SMALL_DISK: &str = "mkdir -p state && mount -t tmpfs -o size=16k none state";

#[tokio::test]
async fn a_full_disk_is_told_at_the_start_and_a_read_only_one_with_the_key_is_fine() {
    let can = Command::new("unshare").args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"]).status().await;
    if !can.is_ok_and(|status| status.success()) {
        return left_out("a full disk: mounting one needs to be root");
    }
    let directory = tempfile::tempdir().unwrap();
    let inside = |then: &str| {
        format!(
            "if [ -z \"$INSIDE\" ]; then INSIDE=1 exec unshare -m sh -c '{SMALL_DISK} && {then}; exec \"$0\" serve --config usher.yaml' \"$0\"; fi"
        )
    };
    let full = inside("dd if=/dev/zero of=state/filler bs=1k count=64 2>/dev/null");
    let mut usher = Usher::serve_after(&full, &with_state(&directory), directory.path());
    assert_ne!(usher.exit().await.code(), Some(0));
    usher.says("No space left").await;

    // A key from an earlier start.
    let mut earlier = Usher::serve(&with_state(&directory), directory.path());
    earlier.address("https").await;
    earlier.signal("TERM").await;
    earlier.exit().await;
    let kept = directory.path().join("kept");
    std::fs::rename(directory.path().join("state"), &kept).unwrap();
    let read_only = inside("cp kept/* state/ && mount -o remount,ro state");
    let usher = Usher::serve_after(&read_only, &with_state(&directory), directory.path());
    usher.address("https").await;

    // Sign-outs are written all the time.
    let mut usher = Usher::serve_after(&read_only, &with_sign_outs(&directory), directory.path());
    assert_eq!(usher.exit().await.code(), Some(78));
    usher.says("state_directory must be writable").await;
    let mut usher = Usher::serve_after(&inside("cp kept/* state/"), &with_sign_outs(&directory), directory.path());
    assert_ne!(usher.exit().await.code(), Some(0));
    usher.says("the sign-outs before this start cannot be read").await;
    usher.says("No space left").await;
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nobody() {
    let mut place = Place::start("", "").await;
    place.restart_after("exec 2>/dev/full", "").await;
    let mut answered = None;
    let started = Instant::now();
    while answered.is_none() {
        assert!(started.elapsed() < Duration::from_secs(20), "it serves");
        answered = place.client().try_send(get("https://app.test/public/x")).await;
    }
    let mut connection = place.client().connect("app.test").await;
    for _ in 0..50 {
        connection.send(get("https://app.test/public/x")).await.assert_status(200);
    }
    assert!(!place.usher.output().contains("serving"), "the log went where it cannot be written");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up_and_what_was_lost_is_counted() {
    let pipe_made = "mkfifo log 2>/dev/null; exec 2<>log";
    let directory = tempfile::tempdir().unwrap();
    let upstream = crate::harness::Upstream::start().await;
    let site = format!(
        "log: {{ format: json }}\nsites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}]\n",
        upstream.url()
    );
    let usher = Usher::serve_after(pipe_made, &complete(&site, &directory), directory.path());
    eventually("the pipe is there", || directory.path().join("log").exists()).await;
    let mut reader = pipe::OpenOptions::new().open_receiver(directory.path().join("log")).unwrap();
    let mut said = String::new();
    let mut address = None;
    while address.is_none() {
        let mut buffer = [0; 4096];
        let count = reader.read(&mut buffer).await.unwrap();
        said.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        address = said.lines().find_map(|line| listening(line, "https"));
    }
    // From now on nobody reads. Lines are made long by what was asked for: more than any bound on what waits.
    let client = Client { address: address.unwrap(), protocol: Protocol::Http1 };
    let path = format!("https://app.test/{}", "x".repeat(4 * 1024));
    join_all((0..8).map(|_| async {
        let mut connection = client.connect("app.test").await;
        for _ in 0..200 {
            // Whom the log held up, it would hold up until it is read: for ever.
            let answer = tokio::time::timeout(PATIENCE, connection.send(get(&path))).await;
            answer.expect("the log holds nobody up").assert_status(200);
        }
    }))
    .await;

    // The reader comes back.
    let mut lost = false;
    let came_back = Instant::now();
    let mut said = Vec::new();
    while !lost {
        assert!(came_back.elapsed() < Duration::from_secs(20), "the loss is told");
        // A line that is logged now: there is room for it.
        client.send(get("https://app.test/x")).await.assert_status(200);
        let mut buffer = vec![0; 1 << 16];
        let read = tokio::time::timeout(Duration::from_millis(50), reader.read(&mut buffer)).await;
        if let Ok(Ok(count)) = read {
            said.extend_from_slice(&buffer[..count]);
            lost = String::from_utf8_lossy(&said).contains("\"lost\":");
        }
    }
    assert!(usher.id() > 0);
}

#[tokio::test]
async fn a_killed_gateway_is_back_within_a_second_and_nobody_signs_in_again() {
    let mut place = Place::start("", "").await;
    let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut users = tokio::task::JoinSet::new();
    for n in 0..12 {
        let mut jar = place.sign_in(&format!("user-{n}")).await;
        let client = if n % 2 == 0 { place.client() } else { place.http2() };
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        users.spawn(async move {
            let mut kept = None;
            while !stop.load(Ordering::SeqCst) {
                let mut connection = if let Some(connection) = kept.take() {
                    connection
                } else if let Ok(connection) = client.try_connect("app.test").await {
                    connection
                } else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                if let Ok(response) = connection.open(get("https://app.test/x").cookies(&jar)).await {
                    let answer = crate::harness::Answer::read(response).await;
                    if answer.complete {
                        answer.assert_status(200);
                        jar.take(&answer.headers);
                        answered.fetch_add(1, Ordering::SeqCst);
                        kept = Some(connection);
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    for _ in 0..3 {
        let before = answered.load(Ordering::SeqCst);
        eventually("there is load", || answered.load(Ordering::SeqCst) > before + 50).await;
        let killed = Instant::now();
        place.restart("").await;
        let before = answered.load(Ordering::SeqCst);
        eventually("everybody is served again", || answered.load(Ordering::SeqCst) > before).await;
        let away = killed.elapsed();
        println!("killed and back in {away:?}");
        // Beside other tests, the machine may be busy.
        assert!(away < Duration::from_secs(if long() { 1 } else { 5 }), "{away:?}");
    }
    let before = answered.load(Ordering::SeqCst);
    eventually("the load goes on", || answered.load(Ordering::SeqCst) > before + 50).await;
    stop.store(true, Ordering::SeqCst);
    users.join_all().await;
}
