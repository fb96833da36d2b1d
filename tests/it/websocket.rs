//! WebSockets: switched only when the application switches, for those who may, from where they may.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::client::tls;
use crate::harness::{Jar, Scene, eventually};

/// Opens a WebSocket, or says with which status that was refused.
async fn open(
    scene: &Scene,
    path: &str,
    fields: &[(&'static str, String)],
) -> Result<WebSocketStream<TlsStream<TcpStream>>, u16> {
    let mut request = format!("ws://app.test{path}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    let stream = tls(scene.gateway.https(), "app.test", &[b"http/1.1"]).await;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, response)) => {
            assert_eq!(response.status().as_u16(), 101);
            Ok(socket)
        }
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn cookies(jar: &Jar) -> (&'static str, String) {
    ("cookie", jar.line().unwrap())
}

fn origin(value: &str) -> (&'static str, String) {
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

#[tokio::test]
async fn an_upgrade_that_the_application_does_not_take_is_an_ordinary_answer() {
    let scene = Scene::usual().await;
    let request = "GET /public/x HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(scene.raw(request).await.unwrap().status, 200);
    scene.assert_well().await;
}
