//! One request of the application: written down, then answered.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer::{json_response, response};
use super::seen::pairs;
use super::{Log, Seen, UpstreamAnswer};
use crate::harness::body::{TestBody, full};
use crate::harness::serve::Hangup;

pub(super) async fn answer(log: Arc<Log>, request: Request<Incoming>) -> Result<Response<TestBody>, Hangup> {
    let index = {
        let mut seen = log.seen.lock().unwrap();
        seen.push(Seen::head(&request));
        seen.len() - 1
    };
    let known = log.answers.lock().unwrap().get(request.uri().path()).cloned();
    match known.unwrap_or(UpstreamAnswer::Echo) {
        UpstreamAnswer::Hang => std::future::pending().await,
        UpstreamAnswer::Hangup => Err(Hangup),
        UpstreamAnswer::Early(status) => Ok(response(status, HeaderMap::new(), full("early"))),
        UpstreamAnswer::Fixed { status, headers, body } => {
            drain(&log, index, request).await;
            Ok(response(status, headers, full(body)))
        }
        UpstreamAnswer::Streamed { headers, body } => {
            let body = body.lock().unwrap().take().expect("the stream is for one request");
            tokio::spawn(async move { drain(&log, index, request).await });
            Ok(response(200, headers, body.0))
        }
        UpstreamAnswer::After(delay) => {
            tokio::time::sleep(delay).await;
            Ok(json_response(&drain(&log, index, request).await.to_json()))
        }
        UpstreamAnswer::Echo if asks_for_websocket(request.headers()) => Ok(websocket(log, request)),
        UpstreamAnswer::Echo => Ok(json_response(&drain(&log, index, request).await.to_json())),
    }
}

/// Reads the body to its end and writes it down as it comes, so that a test can wait for a part of it.
async fn drain(log: &Log, index: usize, request: Request<Incoming>) -> Seen {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    let mut clean = true;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            clean = false;
            break;
        };
        let mut seen = log.seen.lock().unwrap();
        match frame.into_data() {
            Ok(data) => {
                bytes.extend_from_slice(&data);
                seen[index].body = bytes.clone().into();
            }
            Err(frame) => seen[index].trailers = frame.into_trailers().map(|map| pairs(&map)).unwrap_or_default(),
        }
    }
    let mut seen = log.seen.lock().unwrap();
    seen[index].complete = clean;
    seen[index].clone()
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Switches protocols and says everything back, until the other side closes.
fn websocket(log: Arc<Log>, mut request: Request<Incoming>) -> Response<TestBody> {
    let accept = derive_accept_key(request.headers()[SEC_WEBSOCKET_KEY].as_bytes());
    let mut head = HeaderMap::new();
    head.insert(CONNECTION, "upgrade".parse().unwrap());
    head.insert(UPGRADE, "websocket".parse().unwrap());
    head.insert(SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
    if let Some(protocols) = request.headers().get(SEC_WEBSOCKET_PROTOCOL) {
        let first = protocols.to_str().unwrap().split(',').next().unwrap().trim().to_owned();
        head.insert(SEC_WEBSOCKET_PROTOCOL, first.parse().unwrap());
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = upgrade.await else { return };
        *log.websockets.lock().unwrap() += 1;
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let done = message.is_close();
            if done || (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
        *log.websockets.lock().unwrap() -= 1;
    });
    response(101, head, full(""))
}

/// Waits for a request head, writes `bytes`, closes.
pub(super) async fn raw<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, log: Arc<Log>, bytes: &'static [u8]) {
    let mut read = Vec::new();
    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = Request::new(());
    log.seen.lock().unwrap().push(Seen::head(&head));
    drop(stream.write_all(bytes).await);
    drop(stream.shutdown().await);
}
