//! What is still open when somebody is signed out: W03 of the cases.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use usher::clock::Clock;

use crate::harness::body::fed;
use crate::harness::place::{Place, Process};
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Issuer, Jar, Scene, TokenAnswer, Upstream, eventually, get, long, post};
use crate::sign_out::signed_in;
use crate::websocket::{cookies, open, origin};

/// The usual scene, in which silence lasts longer than a test.
async fn patient() -> Scene {
    let sites = SITES.replacen("idle: 2s", "idle: 60s", 1);
    Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await
}

async fn sign_out(scene: &Scene, jar: &Jar) {
    let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar);
    scene.send(ask).await.assert_status(204);
}

#[tokio::test]
async fn a_websocket_is_closed_with_1008_when_its_session_is_signed_out_and_others_stay() {
    let scene = patient().await;
    let (alice, bob) = (scene.session("alice"), scene.session("bob"));
    let mut of_alice = open(&scene, "/ws", &[cookies(&alice), origin("https://app.test")]).await.unwrap();
    let mut of_bob = open(&scene, "/ws", &[cookies(&bob), origin("https://app.test")]).await.unwrap();
    let mut public = open(&scene, "/public/ws", &[cookies(&alice), origin("https://app.test")]).await.unwrap();
    of_alice.send(Message::text("before")).await.unwrap();
    assert_eq!(of_alice.next().await.unwrap().unwrap(), Message::text("before"));
    sign_out(&scene, &alice).await;
    let Message::Close(Some(goodbye)) = of_alice.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 1008);
    eventually("the application's half is closed", || scene.upstream.websockets() == 2).await;
    for socket in [&mut of_bob, &mut public] {
        socket.send(Message::text("still")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("still"));
    }
}

#[tokio::test]
async fn events_are_cut_when_the_session_is_signed_out_and_it_shows() {
    let scene = patient().await;
    for client in [scene.client(), scene.http2()] {
        let jar = scene.session("alice");
        let feed = scene.upstream.stream("/events", &[("content-type", "text/event-stream; charset=utf-8")]);
        let mut connection = client.connect("app.test").await;
        let mut response = connection.open(get("https://app.test/events").cookies(&jar)).await.unwrap();
        feed.chunk("data: 1\n\n");
        assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
        sign_out(&scene, &jar).await;
        let answer = timeout(PATIENCE, Answer::read(response)).await.expect("it ends with the session");
        assert!(!answer.complete, "cut, not ended");
        drop(feed);
    }
}

#[tokio::test]
async fn events_are_cut_when_the_issuer_renews_the_session_no_more() {
    let sites = SITES.replacen("idle: 2s", "idle: 60s", 1);
    let scene = Scene::start(&format!("{ISSUERS}session: {{ secret: '$SECRET' }}\n{sites}")).await;
    let (alice, bob) = (signed_in(&scene, "alice").await, signed_in(&scene, "bob").await);
    let feed = scene.upstream.stream("/events", &[("content-type", "text/event-stream")]);
    let mut connection = scene.client().connect("app.test").await;
    let mut response = connection.open(get("https://app.test/events").cookies(&alice)).await.unwrap();
    feed.chunk("data: 1\n\n");
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    let mut of_bob = open(&scene, "/ws", &[cookies(&bob), origin("https://app.test")]).await.unwrap();
    scene.clock.advance(Duration::from_secs(400));
    scene.issuer.behave(TokenAnswer::InvalidGrant);
    scene.send(get("https://app.test/x").cookies(&alice)).await.assert_status(401);
    let answer = timeout(PATIENCE, Answer::read(response)).await.expect("it ends with the session");
    assert!(!answer.complete, "cut, not ended");
    of_bob.send(Message::text("still")).await.unwrap();
    assert_eq!(of_bob.next().await.unwrap().unwrap(), Message::text("still"));
}

#[tokio::test]
async fn a_logout_by_the_issuer_closes_websockets_of_sessions_and_of_bearer_tokens() {
    let scene = Scene::usual().await;
    let token = scene.issuer.sign(&scene.issuer.token("alice").claim("sid", "s-1"));
    let bearer = ("authorization", format!("Bearer {token}"));
    let mut socket = open(&scene, "/ws", &[bearer]).await.unwrap();
    let now = scene.clock.now().0;
    let logout = scene.issuer.token("alice").without("sub").claim("sid", "s-1").claim("iat", now);
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = scene.issuer.sign(&logout.claim("events", event).head("typ", "logout+jwt"));
    let ask = post("https://app.test/.usher/backchannel-logout");
    let ask = ask.header("content-type", "application/x-www-form-urlencoded");
    scene.send(ask.body(format!("logout_token={logout}"))).await.assert_status(200);
    let Message::Close(Some(goodbye)) = socket.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 1008);
}

#[tokio::test]
async fn a_websocket_is_closed_at_the_absolute_time_out_of_its_session() {
    let sites = SITES.replacen("idle: 2s", "idle: 60s", 1);
    let session = "session: { secret: '$SECRET', idle_timeout: 8s, absolute_timeout: 8s }\n";
    let scene = Scene::start(&format!("{ISSUERS}{session}{sites}")).await;
    let (jar, beside) = (signed_in(&scene, "alice").await, scene.issuer.access_token("alice"));
    scene.clock.advance(Duration::from_secs(7));
    let mut socket = open(&scene, "/ws", &[cookies(&jar), origin("https://app.test")]).await.unwrap();
    let mut of_token = open(&scene, "/ws", &[("authorization", format!("Bearer {beside}"))]).await.unwrap();
    let goodbye = timeout(PATIENCE, socket.next()).await.expect("it ends with the session").unwrap().unwrap();
    let Message::Close(Some(goodbye)) = goodbye else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 1008);
    of_token.send(Message::text("still")).await.unwrap();
    assert_eq!(of_token.next().await.unwrap().unwrap(), Message::text("still"));
}

/// A way in which an answer may go on, and whether its head says how long it is.
const ENDLESS: [&[(&str, &str)]; 3] = [
    &[("content-type", "application/octet-stream"), ("content-length", "100000000")],
    &[("content-type", "text/html")],
    &[("content-type", "text/event-stream")],
];

#[tokio::test]
async fn whatever_goes_on_is_cut_when_its_session_is_signed_out_silent_or_not() {
    let scene = patient().await;
    for (fields, talks) in ENDLESS.into_iter().flat_map(|fields| [(fields, false), (fields, true)]) {
        for client in [scene.client(), scene.http2()] {
            let jar = scene.session("alice");
            let feed = scene.upstream.stream("/long", fields);
            let mut connection = client.connect("app.test").await;
            let mut response = connection.open(get("https://app.test/long").cookies(&jar)).await.unwrap();
            feed.chunk("so far");
            assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "so far");
            sign_out(&scene, &jar).await;
            let reading = tokio::spawn(Answer::read(response));
            if talks {
                // Never so silent that it waits, until it is let go.
                eventually("the application is let go", || {
                    feed.chunk(vec![7; 1_000]);
                    feed.is_dropped()
                })
                .await;
            }
            let answer = timeout(PATIENCE, reading).await.expect("it ends with the session").unwrap();
            assert!(!answer.complete, "cut, not ended: {fields:?}");
            eventually("the application is let go", || feed.is_dropped()).await;
        }
    }
}

#[tokio::test]
async fn a_long_upload_is_aborted_when_its_session_is_signed_out() {
    for upstream in [Upstream::start().await, Upstream::start_h2c().await] {
        let clock = Clock::adjustable();
        let issuer = Issuer::start(&clock).await;
        let sites = SITES.replacen("response: 2s, idle: 2s", "response: 60s, idle: 60s", 1);
        let scene = Scene::with(&format!("{ISSUERS}{SESSION}{sites}"), upstream, issuer, clock).await;
        for client in [scene.client(), scene.http2()] {
            let jar = scene.session("alice");
            let (feed, body) = fed();
            let ask = post("https://app.test/upload").header("origin", "https://app.test").cookies(&jar).streamed(body);
            feed.chunk("half of it");
            let asking = tokio::spawn(async move { client.send(ask).await });
            eventually("the application has the beginning", || {
                scene.upstream.seen().last().is_some_and(|seen| seen.body == "half of it")
            })
            .await;
            let index = scene.upstream.count() - 1;
            sign_out(&scene, &jar).await;
            let answer = timeout(PATIENCE, asking).await.expect("it is answered").unwrap();
            answer.assert_status(401);
            eventually("the upload is let go", || feed.is_dropped()).await;
            assert!(!scene.upstream.seen()[index].complete, "the application must not take it for whole");
        }
    }
}

#[tokio::test]
async fn a_grpc_stream_is_reset_in_both_directions_when_its_session_is_signed_out() {
    let clock = Clock::adjustable();
    let (upstream, issuer) = (Upstream::start_h2c().await, Issuer::start(&clock).await);
    let sites = SITES.replacen("idle: 2s", "idle: 60s", 1);
    let scene = Scene::with(&format!("{ISSUERS}{SESSION}{sites}"), upstream, issuer, clock).await;
    let jar = scene.session("alice");
    let answers = scene.upstream.stream("/chat.Room/Talk", &[("content-type", "application/grpc")]);
    let (messages, body) = fed();
    messages.chunk(&b"\0\0\0\0\x01a"[..]);
    let ask = post("https://app.test/chat.Room/Talk").header("origin", "https://app.test").cookies(&jar);
    let ask = ask.header("content-type", "application/grpc").header("te", "trailers").streamed(body);
    let mut connection = scene.http2().connect("app.test").await;
    let mut response = connection.open(ask).await.unwrap();
    answers.chunk(&b"\0\0\0\0\x01b"[..]);
    response.body_mut().frame().await.unwrap().unwrap();
    eventually("the application has the message", || scene.upstream.last().body.len() == 6).await;
    sign_out(&scene, &jar).await;
    let end = timeout(PATIENCE, async {
        loop {
            match response.body_mut().frame().await {
                Some(Ok(frame)) => assert!(!frame.is_trailers(), "no status that looks like an end"),
                other => return other,
            }
        }
    });
    let error = end.await.expect("it ends with the session").expect("it does not end by itself").unwrap_err();
    let reset = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<h2::Error>());
    assert!(reset.is_some_and(|reset| reset.is_remote() && reset.is_reset()), "{error:?}");
    eventually("the application is let go", || answers.is_dropped()).await;
    assert!(!scene.upstream.last().complete);
    // The connection serves others.
    connection.send(get("https://app.test/x").cookies(&scene.session("bob"))).await.assert_status(200);
}

#[tokio::test]
async fn a_download_goes_on_over_the_expiry_of_its_token_and_ends_at_the_absolute_time_out() {
    let sites = SITES.replacen("idle: 2s", "idle: 60s", 1);
    let session = "session: { secret: '$SECRET', idle_timeout: 2h, absolute_timeout: 2h }\n";
    let scene = Scene::start(&format!("{ISSUERS}{session}{sites}")).await;
    let jar = signed_in(&scene, "alice").await;
    let feed = scene.upstream.stream("/long", ENDLESS[0]);
    let mut connection = scene.client().connect("app.test").await;
    // The timer runs by itself from here on, a few seconds before the end.
    scene.clock.advance(Duration::from_secs(2 * 3600 - 4));
    let mut renewed = jar.clone();
    renewed.take(&scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200).headers);
    let mut response = connection.open(get("https://app.test/long").cookies(&renewed)).await.unwrap();
    scene.clock.advance(Duration::from_secs(3600));
    feed.chunk("beyond the token");
    assert_eq!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "beyond the token");
    let answer = timeout(PATIENCE, Answer::read(response)).await.expect("it ends with the session");
    assert!(!answer.complete);
}

#[tokio::test]
async fn a_websocket_is_closed_with_the_code_that_its_site_names() {
    let sites = SITES.replacen("idle: 2s }", "idle: 60s }\n    websocket_close_code: 4401", 1);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let alice = scene.session("alice");
    let mut socket = open(&scene, "/ws", &[cookies(&alice), origin("https://app.test")]).await.unwrap();
    sign_out(&scene, &alice).await;
    let Message::Close(Some(goodbye)) = socket.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 4401);
}

/// What a stream takes of memory while it waits: printed, and bounded loosely.
#[tokio::test]
async fn a_stream_that_waits_takes_little_memory() {
    let streams: u64 = if long() { 2_000 } else { 300 };
    let keys = "session: { secret: '$SECRET' }\nlimits: { streams_per_connection: 100 }\n";
    let place = Place::start("", keys).await;
    let jar = place.sign_in("alice").await;
    let process = Process::of(place.usher.id());
    let mut of_each = Vec::new();
    let mut kept = Vec::new();
    // The first come into memory that the process has not had yet.
    for path in ["/public/warm", "/public/open", "/open"] {
        let before = process.memory();
        for number in 0..streams {
            if number % 100 == 0 {
                kept.push((place.http2().connect("app.test").await, Vec::new()));
            }
            let (connection, open) = kept.last_mut().unwrap();
            let feed = place.upstream.stream(path, &[("content-type", "application/octet-stream")]);
            let mut response = connection.open(get(&format!("https://app.test{path}")).cookies(&jar)).await.unwrap();
            feed.chunk("x");
            response.body_mut().frame().await.unwrap().unwrap();
            open.push((response, feed));
        }
        of_each.push(process.memory().saturating_sub(before) * 1024 / streams);
    }
    let [_, public, watched] = of_each[..] else { unreachable!() };
    println!("memory of a stream that waits, of {streams}: {public} bytes without a session, {watched} with one");
    assert!(watched < 64 * 1024, "{watched} bytes");
}
