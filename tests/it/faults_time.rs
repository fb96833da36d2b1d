//! Time that does not pass as it should: a process that is stopped, a system clock that jumps.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::{Place, eventually, get, left_out, post};

#[tokio::test]
async fn a_stopped_process_goes_on_as_if_nothing_had_been() {
    let place = Place::start("", "").await;
    let (jar, clients) = (place.sign_in("alice").await, [place.client(), place.http2()]);
    let mut users: Vec<_> = join_all((0..20).map(|n| clients[n % 2].connect("app.test"))).await;
    join_all(users.iter_mut().map(|user| user.send(get("https://app.test/x").cookies(&jar)))).await;
    // Longer than every time-out of these routes (2 s), with requests at hand.
    let slow = crate::harness::UpstreamAnswer::After(Duration::from_millis(500));
    place.upstream.answer("/slow", slow);
    let before = place.upstream.count();
    let at_hand: Vec<_> = users
        .into_iter()
        .map(|mut user| {
            let ask = get("https://app.test/slow").cookies(&jar);
            tokio::spawn(async move { (user.send(ask).await, user) })
        })
        .collect();
    eventually("all are at the application", || place.upstream.count() == before + 20).await;
    place.usher.signal("STOP").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    place.usher.signal("CONT").await;
    for asked in at_hand {
        let (answer, mut user) = asked.await.unwrap();
        answer.assert_status(200);
        user.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    }
    place.usher.says("the process was stopped").await;
    assert!(!place.usher.output().contains("a worker is blocked"), "nobody is blamed: {}", place.usher.output());
}

/// The library that gives a process another clock, where it is installed.
fn libfaketime() -> Option<PathBuf> {
    let folders = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let mut paths = folders.iter().map(|folder| format!("/usr/lib/{folder}/faketime/libfaketimeMT.so.1"));
    paths.find(|path| Path::new(path).exists()).map(PathBuf::from)
}

/// A process whose wall clock the test sets; what lasts is measured by a clock that nobody can set.
async fn with_a_clock_to_set() -> Option<Place> {
    let Some(library) = libfaketime() else {
        left_out("steps of the clock: faketime is missing");
        return None;
    };
    let setup = format!(
        "printf '+0' > clock\nexport LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE=$PWD/clock DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1",
        library.display()
    );
    let place = Place::start(&setup, "log: { format: json }\n").await;
    Some(place)
}

fn set_clock(place: &Place, to: &str) {
    std::fs::write(place.directory.path().join("clock"), to).unwrap();
}

/// Whatever the clock says, nothing panics and everything that needs no token is answered, by time-outs of the usual length.
async fn assert_well(place: &Place) {
    let http2 = place.http2().send(get("https://app.test/public/x")).await;
    http2.assert_status(200);
    place.upstream.answer("/public/hang", crate::harness::UpstreamAnswer::Hang);
    let started = Instant::now();
    place.client().send(get("https://app.test/public/hang")).await.assert_status(504);
    let lasted = started.elapsed();
    assert!(lasted > Duration::from_millis(1900) && lasted < Duration::from_secs(6), "{lasted:?}");
    assert!(!place.usher.output().contains("a defect of Usher"), "{}", place.usher.output());
}

#[tokio::test]
async fn a_clock_that_jumps_kills_no_timer_and_ends_no_session() {
    let Some(place) = with_a_clock_to_set().await else { return };
    let mut jar = place.sign_in("alice").await;
    let x = || get("https://app.test/x");
    place.client().send(x().cookies(&jar)).await.assert_status(200);

    // An hour ahead: the access token looks expired; the issuer, who is asked, still takes the refresh token. What it gives
    // out looks expired as well, which is the issuer's trouble, or ours: no reason to end the session.
    set_clock(&place, "+3600");
    let ahead = place.client().send(x().cookies(&jar)).await;
    jar.take(&ahead.headers);
    assert!(jar.line().is_some(), "the session is kept: {ahead:?}");
    assert_well(&place).await;

    // And back: the same person is still signed in.
    set_clock(&place, "+0");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    place.client().send(x().cookies(&jar)).await.assert_status(200);

    for wrong in ["-3600", "@1970-01-01 00:00:01", "@2038-01-19 03:14:08", "@2106-02-07 06:28:16"] {
        set_clock(&place, wrong);
        let answer = place.client().send(x()).await;
        answer.assert_status(401);
        assert_well(&place).await;
    }
    set_clock(&place, "+0");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    place.client().send(x().cookies(&jar)).await.assert_status(200);
    assert_eq!(place.issuer.reuses(), 0, "no refresh token was ever spent twice");
}

#[tokio::test]
async fn who_signed_out_stays_signed_out_when_the_clock_jumps_ahead_and_back() {
    let Some(place) = with_a_clock_to_set().await else { return };
    let (alice, bob) = (place.sign_in("alice").await, place.sign_in("bob").await);
    let client = place.client();
    let sign_out = |jar: &crate::harness::Jar| {
        let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar);
        async move { client.send(ask).await }
    };
    let answer = sign_out(&alice).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let x = get("https://app.test/x").cookies(&alice);
    place.client().send(x).await.assert_status(401);

    // Far enough for everything that was denied to have ended by itself; another sign-out then tidies the list up.
    set_clock(&place, "+40000000");
    sign_out(&bob).await;
    set_clock(&place, "+0");
    tokio::time::sleep(Duration::from_millis(100)).await;
    place.client().send(get("https://app.test/x").cookies(&alice)).await.assert_status(401);
}
