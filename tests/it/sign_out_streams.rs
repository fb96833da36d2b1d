//! What is still open when somebody is signed out: W03 of the cases.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Jar, Scene, eventually, get, post};
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
