//! The harness itself: a test that passes because its tools lie is worse than none.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use usher::clock::Clock;

use crate::harness::authorization_server::AuthorizationServer;
use crate::harness::body::fed;
use crate::harness::client::tls;
use crate::harness::issuer::{CLIENT_ID, CLIENT_SECRET};
use crate::harness::keys::SigningKey;
use crate::harness::raw::Raw;
use crate::harness::scene::echoed;
use crate::harness::{
    Answer, Client, Issuer, Jar, Protocol, SetCookie, TokenAnswer, Upstream, UpstreamAnswer, eventually, get, post,
};

fn client(upstream: &Upstream, protocol: Protocol) -> Client {
    let port: u16 = upstream.url().rsplit_once(':').unwrap().1.parse().unwrap();
    Client { address: ([127, 0, 0, 1], port).into(), protocol }
}

#[tokio::test]
async fn the_application_echoes_and_records_what_it_saw() {
    for (alpn, protocol) in [("http/1.1", Protocol::Http1), ("h2", Protocol::Http2)] {
        let upstream = Upstream::start_tls(alpn).await;
        let ask = post("https://localhost/a/b?c=d").header("x-one", "1").header("x-one", "2").body("hello");
        let answer = client(&upstream, protocol).send(ask).await;
        assert_eq!(echoed(&answer.assert_status(200).json(), "x-one"), ["1", "2"]);
        let seen = upstream.only();
        assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.host.as_str()), ("POST", "/a/b?c=d", "localhost"));
        assert_eq!((seen.all("X-One"), seen.body.as_ref(), seen.complete), (vec!["1", "2"], b"hello".as_ref(), true));
        assert_eq!(upstream.connections(), 1);
    }
}

#[tokio::test]
async fn the_wire_is_kept_byte_by_byte() {
    let upstream = Upstream::start_tls("http/1.1").await;
    let request = "GET /x HTTP/1.1\r\nHoSt: localhost\r\nX-Odd:   two  \r\n\r\n";
    let mut raw = Raw::connect(client(&upstream, Protocol::Http1).address, "localhost").await;
    raw.write(request.repeat(2)).await;
    let (first, second) = (raw.read().await.unwrap(), raw.read().await.unwrap());
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(upstream.wire(), request.repeat(2).as_bytes());
}

#[tokio::test]
async fn a_stream_comes_chunk_by_chunk_and_a_cut_is_visible() {
    let upstream = Upstream::start_tls("h2").await;
    let feed = upstream.stream("/events", &[("content-type", "text/event-stream")]);
    let mut connection = client(&upstream, Protocol::Http2).connect("localhost").await;
    let response = connection.open(get("https://localhost/events")).await.unwrap();
    feed.chunk("data: 1\n\n");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    feed.trailers(trailers);
    let answer = Answer::read(response).await;
    assert_eq!((answer.text(), answer.complete), ("data: 1\n\n", true));
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");

    let feed = upstream.stream("/events", &[("content-length", "100")]);
    let response = connection.open(get("https://localhost/events")).await.unwrap();
    feed.cut();
    assert!(!Answer::read(response).await.complete);
}

#[tokio::test]
async fn a_fed_request_body_arrives_as_it_is_fed() {
    let upstream = Upstream::start_tls("http/1.1").await;
    let (feed, body) = fed();
    let client = client(&upstream, Protocol::Http1);
    let sending = tokio::spawn(async move { client.send(post("https://localhost/up").streamed(body)).await });
    feed.chunk("one");
    eventually("the first chunk arrives", || upstream.seen().first().is_some_and(|seen| seen.body == "one")).await;
    feed.chunk("two");
    drop(feed);
    sending.await.unwrap().assert_status(200);
    assert_eq!(upstream.only().body, "onetwo");
}

#[tokio::test]
async fn the_application_answers_as_it_is_told() {
    let upstream = Upstream::start_tls("http/1.1").await;
    upstream.answer("/fixed", UpstreamAnswer::fixed(404, &[("x-a", "b")], "gone"));
    upstream.answer("/hangup", UpstreamAnswer::Hangup);
    let client = client(&upstream, Protocol::Http1);
    let answer = client.send(get("https://localhost/fixed?q")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-a"), answer.text()), (404, Some("b"), "gone"));
    assert!(client.connect("localhost").await.open(get("https://localhost/hangup")).await.is_err());
}

#[tokio::test]
async fn a_websocket_says_everything_back() {
    let upstream = Upstream::start_tls("http/1.1").await;
    let stream = tls(client(&upstream, Protocol::Http1).address, "localhost", &[b"http/1.1"]).await;
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/ws", stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket.close(None).await.unwrap();
    eventually("the socket closes", || upstream.websockets() == 0).await;
}

async fn refresh(url: &str, token: &str) -> (u16, Value) {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(url).basic_auth(encode(CLIENT_ID), Some(encode(CLIENT_SECRET))).form(&form);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn verify(token: &str, key_set: &Value, issuer: &str, algorithm: Algorithm) -> HashMap<String, Value> {
    let key_id = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let keys = key_set["keys"].as_array().unwrap();
    let jwk = keys.iter().find(|key| key["kid"] == json!(key_id)).expect("the key is published");
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["usher"]);
    validation.set_issuer(&[issuer]);
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    jsonwebtoken::decode(token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn the_issuer_signs_what_its_key_set_verifies() {
    for (key, algorithm) in [
        (SigningKey::rsa(), Algorithm::RS256),
        (SigningKey::p256(), Algorithm::ES256),
        (SigningKey::ed25519(), Algorithm::EdDSA),
    ] {
        let issuer = Issuer::start_with(&Clock::system(), key).await;
        let key_set = reqwest::get(format!("{}/keys", issuer.url())).await.unwrap().json().await.unwrap();
        let claims = verify(&issuer.access_token("root"), &key_set, &issuer.url(), algorithm);
        assert_eq!(claims["realm_access"], json!({ "roles": ["reader", "admin"] }));
        assert_eq!(issuer.asked().keys, 1);
    }
}

#[tokio::test]
async fn the_issuer_rotates_and_revokes_the_family_on_reuse() {
    let issuer = Issuer::start(&Clock::adjustable()).await;
    let url = format!("{}/token", issuer.url());
    let first = issuer.sign_in("alice").refresh;
    let (status, body) = refresh(&url, &first).await;
    assert_eq!(status, 200);
    let second = body["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&url, &first).await, (400, json!({ "error": "invalid_grant" })));
    assert_eq!(refresh(&url, second).await.0, 400, "the successor is revoked with its family");
    assert_eq!((issuer.token_requests(), issuer.reuses()), (3, 1));
}

#[tokio::test]
async fn the_issuer_misbehaves_once_or_until_told_otherwise() {
    let issuer = Issuer::start(&Clock::adjustable()).await;
    let url = format!("{}/token", issuer.url());
    let token = issuer.sign_in("alice").refresh;
    issuer.next([TokenAnswer::Status(503, Some("7")), TokenAnswer::InvalidClient]);
    assert_eq!(refresh(&url, &token).await.0, 503);
    assert_eq!(refresh(&url, &token).await.0, 401);
    issuer.behave(TokenAnswer::Keep);
    for _ in 0..2 {
        let (status, body) = refresh(&url, &token).await;
        assert_eq!((status, body.get("refresh_token")), (200, None));
    }
}

#[tokio::test]
async fn a_held_issuer_counts_first_and_answers_later() {
    let issuer = Issuer::start(&Clock::adjustable()).await;
    let (url, token) = (format!("{}/token", issuer.url()), issuer.sign_in("alice").refresh);
    issuer.hold();
    let pending = tokio::spawn(async move { refresh(&url, &token).await });
    eventually("the request arrives", || issuer.token_requests() == 1).await;
    assert!(!pending.is_finished());
    issuer.release();
    assert_eq!(pending.await.unwrap().0, 200);
}

#[tokio::test]
async fn the_certified_server_rotates_and_revokes_the_grant_on_reuse() {
    for (name, algorithm) in [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256)] {
        let Some(server) = AuthorizationServer::start(name, "the certified server rotates").await else { return };
        let url = format!("{}/token", server.issuer());
        let first = server.sign_in("alice", -10).await;
        let (status, body) = refresh(&url, &first.refresh_token).await;
        assert_eq!(status, 200, "{body}");
        let key_set = reqwest::get(format!("{}/jwks", server.issuer())).await.unwrap().json().await.unwrap();
        let claims = verify(body["access_token"].as_str().unwrap(), &key_set, server.issuer(), algorithm);
        assert_eq!(claims["sub"], "alice");
        assert_eq!(refresh(&url, &first.refresh_token).await.0, 400);
        assert_eq!(refresh(&url, body["refresh_token"].as_str().unwrap()).await.0, 400);
        let counted = server.stats().await;
        assert_eq!((counted.token_requests, counted.tokens_issued), (3, 1));
        assert_eq!((counted.reuses, counted.grants_revoked), (1, 1));
        server.delay(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_jar_takes_what_is_set_and_gives_up_what_is_cleared() {
    let cookie = SetCookie::parse("a=b=c; Path=/; Secure; Max-Age=0");
    assert_eq!((cookie.name.as_str(), cookie.value.as_str(), cookie.clears()), ("a", "b=c", true));
    assert_eq!(cookie.attributes["secure"], "");
    let mut jar = Jar::of(&[("a", "1"), ("b", "2")]);
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", "a=; Max-Age=0".parse().unwrap());
    headers.append("set-cookie", "c=3; HttpOnly".parse().unwrap());
    jar.take(&headers);
    assert_eq!(jar.line().unwrap(), "b=2; c=3");
}
