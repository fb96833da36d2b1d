//! Sign-outs that hold on every instance, and end what is open there.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use usher::clock::Clock;

use crate::fleet::instances::Troubled;
use crate::harness::body::fed;
use crate::harness::scene::jar;
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Jar, Redis, Upstream, eventually, get, post};
use crate::websocket::{cookies, open_at, origin};

/// Whether an instance knows by now that these cookies count no more, and how long that took.
async fn is_refused(fleet: &Troubled, instance: usize, jar: &Jar) -> Duration {
    let started = Instant::now();
    while fleet.ask(instance, jar).await.status != 401 {
        assert!(started.elapsed() < PATIENCE, "a sign-out did not reach instance {instance}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    started.elapsed()
}

async fn sign_out(fleet: &Troubled, instance: usize, jar: &Jar) -> Answer {
    let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar);
    fleet.instances[instance].client().send(ask).await
}

#[tokio::test]
async fn a_sign_out_counts_on_every_instance_and_closes_what_is_open_there() {
    let Some(redis) = Redis::start("sign-outs on every instance").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    let (alice, bob) = (jar(&fleet.issuer.sign_in("alice")), jar(&fleet.issuer.sign_in("bob")));
    let mut sockets = Vec::new();
    for jar in [&alice, &bob] {
        let fields = [cookies(jar), origin("https://app.test")];
        sockets.push(open_at(fleet.instances[1].https(), "/ws", &fields).await.unwrap());
    }
    for jar in [&alice, &bob] {
        fleet.ask(1, jar).await.assert_status(200);
    }
    let started = Instant::now();
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    let goodbye = timeout(PATIENCE, sockets[0].next()).await.expect("it is closed").unwrap().unwrap();
    println!("a WebSocket on another instance was closed {:?} after the sign-out", started.elapsed());
    let Message::Close(Some(goodbye)) = goodbye else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 1008);
    is_refused(&fleet, 1, &alice).await;
    fleet.ask(1, &bob).await.assert_status(200);
    sockets[1].send(Message::text("still")).await.unwrap();
    assert_eq!(sockets[1].next().await.unwrap().unwrap(), Message::text("still"));

    // How long that takes is printed: a busy machine says little about it.
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let alice = jar(&fleet.issuer.sign_in("alice"));
        fleet.ask(1, &alice).await.assert_status(200);
        sign_out(&fleet, 0, &alice).await.assert_status(204);
        slowest = slowest.max(is_refused(&fleet, 1, &alice).await);
    }
    // Somebody has said so: who looks by itself does that every five seconds.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    println!("the slowest of 20 sign-outs held on another instance {slowest:?} after its answer");
}

/// What the issuer says to an instance when this session of its has ended.
fn logout_token(fleet: &Troubled, sid: &str) -> String {
    let now = Clock::system().now().0;
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = fleet.issuer.token("alice").without("sub").claim("sid", sid).claim("iat", now);
    fleet.issuer.sign(&logout.claim("events", event).head("typ", "logout+jwt"))
}

async fn deliver(fleet: &Troubled, logout_token: &str) -> Answer {
    let ask = post("https://app.test/.usher/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={logout_token}"));
    fleet.instances[0].client().send(ask).await
}

#[tokio::test]
async fn a_logout_by_the_issuer_counts_wherever_it_says_so() {
    let Some(redis) = Redis::start("a logout by the issuer on every instance").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    let token = fleet.issuer.sign(&fleet.issuer.token("alice").claim("sid", "s-1"));
    let ask = |instance: usize| {
        let (client, ask) = (fleet.instances[instance].client(), get("https://app.test/x").bearer(&token));
        async move { client.send(ask).await }
    };
    ask(1).await.assert_status(200);
    deliver(&fleet, &logout_token(&fleet, "s-1")).await.assert_status(200);
    let started = Instant::now();
    while ask(1).await.status != 401 {
        assert!(started.elapsed() < PATIENCE, "it did not reach the other instance");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The issuer does not say it again after a 200, and a process may be killed at any moment.
#[tokio::test]
async fn a_sign_out_is_not_answered_before_the_store_has_it_and_an_issuer_hears_when_it_has_not() {
    let Some(redis) = Redis::start("sign-outs that the store has").await else { return };
    let fleet = Troubled::start(&format!("url: '{}', timeout: 1s", redis.url())).await;
    let alice = jar(&fleet.issuer.sign_in("alice"));
    for instance in [0, 1] {
        fleet.ask(instance, &alice).await.assert_status(200);
    }
    // Shorter than an operation may take.
    redis.command(&["CLIENT", "PAUSE", "500", "ALL"]).await;
    let started = Instant::now();
    deliver(&fleet, &logout_token(&fleet, "s-1")).await.assert_status(200);
    assert!(started.elapsed() > Duration::from_millis(300), "{:?}", started.elapsed());
    redis.command(&["CLIENT", "PAUSE", "4000", "ALL"]).await;
    let token = logout_token(&fleet, "s-2");
    let started = Instant::now();
    deliver(&fleet, &token).await.assert_status(400);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    // The same one, until it has done its work.
    let started = Instant::now();
    while deliver(&fleet, &token).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "it is told once the store is back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    deliver(&fleet, &token).await.assert_status(400);
}

#[tokio::test]
async fn a_sign_out_while_the_store_is_away_holds_at_once_here_and_elsewhere_once_it_is_back() {
    let Some(redis) = Redis::start("a sign-out while the store hangs").await else { return };
    let fleet = Troubled::start(&format!("url: '{}', timeout: 200ms", redis.url())).await;
    let alice = jar(&fleet.issuer.sign_in("alice"));
    for instance in [0, 1] {
        fleet.ask(instance, &alice).await.assert_status(200);
    }
    redis.command(&["CLIENT", "PAUSE", "1500", "ALL"]).await;
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    fleet.ask(0, &alice).await.assert_status(401);
    fleet.ask(1, &alice).await.assert_status(200);
    is_refused(&fleet, 1, &alice).await;
}

#[tokio::test]
async fn an_instance_that_starts_lets_nobody_in_whom_another_has_signed_out() {
    let Some(redis) = Redis::start("sign-outs before a start").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    let alice = jar(&fleet.issuer.sign_in("alice"));
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    is_refused(&fleet, 1, &alice).await;
    // Shorter than an operation may take.
    redis.command(&["CLIENT", "PAUSE", "300", "ALL"]).await;
    let later = fleet.another().await;
    later.client().send(get("https://app.test/x").cookies(&alice)).await.assert_status(401);
}

#[tokio::test]
async fn what_somebody_else_adds_to_the_list_of_denials_is_neither_heeded_nor_fetched() {
    let Some(redis) = Redis::start("strange entries among the denials").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    let alice = jar(&fleet.issuer.sign_in("alice"));
    fleet.ask(1, &alice).await.assert_status(200);
    let add = "for n = 1, 8 do redis.call('XADD', KEYS[1], '*', 'e', string.rep(string.char(255), 1000000)) end \
               redis.call('XADD', KEYS[1], '*', 'a', '1', 'b', '2')";
    redis.command(&["EVAL", add, "1", "usher:denials"]).await;
    let before = sent(&redis).await;
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    is_refused(&fleet, 1, &alice).await;
    let bytes = sent(&redis).await - before;
    assert!(bytes < 1_000_000, "{bytes} bytes");
}

/// How many bytes a server has sent.
async fn sent(redis: &Redis) -> u64 {
    let statistics = redis.command(&["INFO", "stats"]).await;
    let bytes = statistics.lines().find_map(|line| line.trim().strip_prefix("total_net_output_bytes:"));
    bytes.unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_list_of_denials_stays_for_as_long_as_the_longest_of_them() {
    let Some(redis) = Redis::start("how long denials stay").await else { return };
    let fleet = Troubled::start(&format!("url: '{}'", redis.url())).await;
    let alice = jar(&fleet.issuer.sign_in("alice"));
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    is_refused(&fleet, 1, &alice).await;
    // What a denial of a token that is good for ninety days would have brought about.
    let (ninety_days, bob) = (90 * 86_400_000_u64, jar(&fleet.issuer.sign_in("bob")));
    redis.command(&["PEXPIRE", "usher:denials", &ninety_days.to_string()]).await;
    sign_out(&fleet, 0, &bob).await.assert_status(204);
    is_refused(&fleet, 1, &bob).await;
    let left: u64 = redis.command(&["PTTL", "usher:denials"]).await.parse().unwrap();
    assert!(left > ninety_days - 60_000, "{left} ms");
}

#[tokio::test]
async fn a_sign_out_on_one_instance_cuts_a_download_and_a_grpc_stream_on_another() {
    let Some(redis) = Redis::start("streams on every instance").await else { return };
    let fleet =
        Troubled::before(Upstream::start_h2c().await, &Clock::system(), &format!("url: '{}'", redis.url())).await;
    let [alice, bob] = ["alice", "bob"].map(|subject| jar(&fleet.issuer.sign_in(subject)));
    let mut open = Vec::new();
    let mut feeds = Vec::new();
    for (jar, file, call) in [(&alice, "/alice", "/a.Service/Watch"), (&bob, "/bob", "/b.Service/Watch")] {
        let mut connection = fleet.instances[1].http2().connect("app.test").await;
        let download = fleet.upstream.stream(file, &[("content-type", "application/octet-stream")]);
        let response = connection.open(get(&format!("https://app.test{file}")).cookies(jar)).await.unwrap();
        download.chunk(vec![7; 200_000]);
        let grpc = fleet.upstream.stream(call, &[("content-type", "application/grpc")]);
        let (messages, body) = fed();
        let ask = post(&format!("https://app.test{call}")).header("origin", "https://app.test").cookies(jar);
        let ask = ask.header("content-type", "application/grpc").header("te", "trailers").streamed(body);
        messages.chunk(&b"\0\0\0\0\x01a"[..]);
        let stream = connection.open(ask).await.unwrap();
        grpc.chunk(&b"\0\0\0\0\x01b"[..]);
        feeds.push((download, grpc, messages));
        open.push((connection, response, stream));
    }
    for (_, download, stream) in &mut open {
        for body in [download.body_mut(), stream.body_mut()] {
            body.frame().await.unwrap().unwrap();
        }
    }
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    let (_connection, download, stream) = open.remove(0);
    for response in [download, stream] {
        let answer = timeout(PATIENCE, Answer::read(response)).await.expect("it ends with the session");
        assert!(!answer.complete && answer.trailers.is_none(), "cut, not ended: {:?}", answer.status);
    }
    let (download, grpc, _messages) = feeds.remove(0);
    eventually("the application is let go", || download.is_dropped() && grpc.is_dropped()).await;
    let (download, grpc, _messages) = &feeds[0];
    let (_connection, of_download, of_stream) = &mut open[0];
    for (feed, response) in [(download, of_download), (grpc, of_stream)] {
        feed.chunk("still");
        let mut read = Vec::new();
        while !read.ends_with(b"still") {
            read.extend_from_slice(response.body_mut().frame().await.unwrap().unwrap().data_ref().unwrap());
        }
    }
}

#[tokio::test]
async fn one_cookie_that_is_signed_out_again_and_again_pushes_nobody_off_the_list() {
    let Some(redis) = Redis::start("sign-outs that are repeated").await else { return };
    let clock = Clock::adjustable();
    let fleet = Troubled::start_by(&clock, &format!("url: '{}'", redis.url())).await;
    let [alice, bob] = ["alice", "bob"].map(|user| jar(&fleet.issuer.sign_in(user)));
    sign_out(&fleet, 0, &alice).await.assert_status(204);
    is_refused(&fleet, 1, &alice).await;
    for round in 0..20 {
        clock.advance(Duration::from_secs(1));
        sign_out(&fleet, round % 2, &alice).await.assert_status(204);
    }
    // Told in order: behind what the others would have been.
    for (instance, user) in [(0, &bob), (1, &jar(&fleet.issuer.sign_in("carol")))] {
        sign_out(&fleet, instance, user).await.assert_status(204);
        is_refused(&fleet, 1 - instance, user).await;
    }
    let entries: usize = redis.command(&["XLEN", "usher:denials"]).await.trim().parse().unwrap();
    assert_eq!(entries, 3, "an access token each");
}
