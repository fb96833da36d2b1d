//! WebSockets: switched only when the application switches, for those who may, from where they may.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::client::tls;
use crate::harness::raw::Raw;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::scripted::Line;
use crate::harness::{Jar, Scene, Scripted, eventually};

/// Opens a WebSocket, or says with which status that was refused.
pub(crate) async fn open(
    scene: &Scene,
    path: &str,
    fields: &[(&'static str, String)],
) -> Result<WebSocketStream<TlsStream<TcpStream>>, u16> {
    open_at(scene.gateway.https(), path, fields).await
}

/// The same at this address.
pub(crate) async fn open_at(
    address: SocketAddr,
    path: &str,
    fields: &[(&'static str, String)],
) -> Result<WebSocketStream<TlsStream<TcpStream>>, u16> {
    let mut request = format!("ws://app.test{path}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let stream = tls(address, "app.test", &[b"http/1.1"]).await;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, response)) => {
            assert_eq!(response.status().as_u16(), 101);
            Ok(socket)
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn cookies(jar: &Jar) -> (&'static str, String) {
    ("cookie", jar.line().unwrap())
}

pub(crate) fn origin(value: &str) -> (&'static str, String) {
    ("origin", value.to_owned())
}

#[tokio::test]
async fn a_websocket_passes_through_with_its_identity() {
    let scene = Scene::usual().await;
    let fields = [cookies(&scene.session("alice")), origin("https://app.test")];
    let mut socket = open(&scene, "/ws?a=b", &fields).await.unwrap();
    for n in 0..10 {
        socket.send(Message::text(format!("message {n}"))).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(format!("message {n}")));
    }
    let seen = scene.upstream.only();
    assert_eq!((seen.target.as_str(), seen.all("x-user-id")), ("/ws?a=b", vec!["alice"]));
    assert_eq!(scene.upstream.websockets(), 1);
    socket.close(None).await.unwrap();
    eventually("both halves are closed", || scene.upstream.websockets() == 0).await;
}

#[tokio::test]
async fn a_websocket_without_a_session_is_refused_before_the_application_hears_of_it() {
    let scene = Scene::usual().await;
    assert_eq!(open(&scene, "/ws", &[origin("https://app.test")]).await.unwrap_err(), 401);
    let alice = cookies(&scene.session("alice"));
    assert_eq!(open(&scene, "/admin/ws", &[alice, origin("https://app.test")]).await.unwrap_err(), 403);
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_websocket_from_another_origin_with_cookies_is_refused() {
    let scene = Scene::usual().await;
    for bad in ["https://evil.test", "null", "https://app.test.evil.test", "http://app.test"] {
        let refused = open(&scene, "/ws", &[cookies(&scene.session("alice")), origin(bad)]).await;
        assert_eq!(refused.unwrap_err(), 403, "{bad}");
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_websocket_may_come_from_an_origin_that_is_allowed_or_from_what_is_no_browser() {
    let sites = SITES.replacen("body_limit: 1MiB", "body_limit: 1MiB\n    allowed_origins: ['https://spa.test']", 1);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let alice = || cookies(&scene.session("alice"));
    let fetch_site = |value: &str| ("sec-fetch-site", value.to_owned());
    for fields in [
        vec![alice(), origin("https://spa.test")],
        vec![alice(), origin("https://spa.test"), fetch_site("cross-site")],
        vec![alice(), origin("https://app.test"), fetch_site("same-origin")],
        vec![alice()],
    ] {
        let mut socket = open(&scene, "/ws", &fields).await.unwrap_or_else(|status| panic!("{status}: {fields:?}"));
        socket.send(Message::text("x")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("x"));
    }
    let before = scene.upstream.count();
    for fields in [
        vec![alice(), origin("https://spa.test.evil.test")],
        vec![alice(), origin("https://spa.test:444")],
        vec![alice(), origin("http://spa.test")],
        vec![alice(), origin("https://app.test"), origin("https://evil.test")],
        vec![alice(), origin("https://evil.test"), origin("https://app.test")],
        vec![alice(), origin("https://app.test"), fetch_site("cross-site")],
        vec![alice(), origin("")],
        vec![alice(), fetch_site("cross-site")],
        vec![alice(), fetch_site("same-site")],
    ] {
        assert_eq!(open(&scene, "/ws", &fields).await.unwrap_err(), 403, "{fields:?}");
    }
    assert_eq!(scene.upstream.count(), before);
}

/// Switches, and does what the path says, until the gateway closes.
async fn switches(mut line: Line) {
    let Some(head) = line.head().await else { return };
    line.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    if head.starts_with("GET /public/first") {
        line.write("goodbye").await;
        line.half_close().await;
    }
    while !line.read().await.is_empty() {}
    line.write("farewell").await;
}

#[tokio::test]
async fn half_a_tunnel_may_end_first_and_both_are_closed_in_the_end() {
    let application = Scripted::start(switches).await;
    let sites = SITES.replace("$UPSTREAM", &application.url()).replacen("idle: 2s", "idle: 20s", 1);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let upgrade = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    };
    // The client says that it has nothing more to say, and still hears the end of what the application says.
    let mut stream = tls(scene.gateway.https(), "app.test", &[b"http/1.1"]).await;
    stream.write_all(upgrade("/public/ws").as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    // Before that it is a request, and whoever ends the connection behind one gives it up.
    while !heard.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "{}", heard.escape_ascii());
    }
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut heard).await.unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 101 ") && heard.ends_with(b"farewell"), "{}", heard.escape_ascii());
    eventually("the application's half is closed", || application.open() == 0).await;
    // The application ends first, and the client's end is told to it all the same.
    let mut stream = tls(scene.gateway.https(), "app.test", &[b"http/1.1"]).await;
    stream.write_all(upgrade("/public/first").as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert!(heard.ends_with(b"goodbye"), "{}", heard.escape_ascii());
    assert_eq!(application.open(), 1, "the client has not ended yet");
    drop(stream);
    eventually("the application's half is closed", || application.open() == 0).await;
}

#[tokio::test]
async fn a_tunnel_in_which_nobody_speaks_is_closed_on_both_sides() {
    let application = Scripted::start(switches).await;
    let sites = SITES.replace("$UPSTREAM", &application.url()).replacen("idle: 2s", "idle: 1s", 1);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    let request = "GET /public/ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    raw.write(request).await;
    assert_eq!(raw.read().await.unwrap().status, 101);
    raw.closed().await;
    eventually("the application's half is closed", || application.open() == 0).await;
}

#[tokio::test]
async fn a_websocket_with_a_bearer_token_needs_no_origin() {
    let scene = Scene::usual().await;
    let bearer = ("authorization", format!("Bearer {}", scene.issuer.access_token("alice")));
    let mut socket = open(&scene, "/ws", &[bearer]).await.unwrap();
    socket.send(Message::text("x")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("x"));
}

#[tokio::test]
async fn a_client_that_vanishes_closes_the_applications_half() {
    let scene = Scene::usual().await;
    let socket = open(&scene, "/ws", &[cookies(&scene.session("alice")), origin("https://app.test")]).await.unwrap();
    eventually("it is open", || scene.upstream.websockets() == 1).await;
    drop(socket);
    eventually("it is closed", || scene.upstream.websockets() == 0).await;
}

/// F36, without a FIN.
#[tokio::test]
async fn a_client_that_leaves_no_sign_closes_the_applications_half_in_time() {
    let scene = Scene::usual().await;
    let socket = open(&scene, "/ws", &[cookies(&scene.session("alice")), origin("https://app.test")]).await.unwrap();
    eventually("it is open", || scene.upstream.websockets() == 1).await;
    eventually("it is closed after the silence that is allowed", || scene.upstream.websockets() == 0).await;
    drop(socket);
}

#[tokio::test]
async fn a_drain_says_goodbye_to_a_websocket_with_1001() {
    let scene = Scene::usual().await;
    let mut socket =
        open(&scene, "/ws", &[cookies(&scene.session("alice")), origin("https://app.test")]).await.unwrap();
    socket.send(Message::text("before")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("before"));
    let Scene { gateway, upstream, issuer: _issuer, clock: _ } = scene;
    let draining = tokio::spawn(gateway.drain());
    let Message::Close(Some(goodbye)) = socket.next().await.unwrap().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(goodbye.code), 1001);
    eventually("the application's half is closed", || upstream.websockets() == 0).await;
    draining.await.unwrap();
}

#[tokio::test]
async fn an_upgrade_that_the_application_does_not_take_is_an_ordinary_answer() {
    let scene = Scene::usual().await;
    let request = "GET /public/x HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(scene.raw(request).await.unwrap().status, 200);
    scene.assert_well().await;
}
