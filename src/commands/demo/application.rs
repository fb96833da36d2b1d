//! The sample legacy application: a small HTTP/1.1 server on the loopback interface that knows nothing of Usher.
//!
//! It has its own sign-in and refresh endpoint, in JSON of its own making, and reads who is asking from plain headers, as
//! applications behind a proxy do. It does *not* look at tokens on any other path: whoever reaches it directly is
//! believed, which is why such an application must be reachable through the gateway only.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::accounts::{Accounts, AccountsError};
use super::pages;
use crate::clock::Clock;

/// Where the application takes a user name and a password.
pub(super) const LOGIN_PATH: &str = "/auth/login";

/// Where the application takes a refresh token.
pub(super) const REFRESH_PATH: &str = "/auth/refresh";

const BODY_LIMIT: usize = 16 * 1024;

/// The application while it runs; it ends when this is dropped, with all its connections.
pub(super) struct Application {
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl Application {
    /// Starts the application on a free port of the loopback interface. Access tokens are signed with `hmac_secret`.
    ///
    /// # Errors
    /// When the system gives no port.
    pub(super) async fn start(hmac_secret: &str, clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accounts = Arc::new(Accounts::new(hmac_secret.as_bytes(), clock));
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, accounts)));
        Ok(Self { address, _accepting: accepting })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, accounts: Arc<Accounts>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&accounts)))),
            // Out of file descriptors, most likely: accepting again at once would only burn a core.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, accounts: Arc<Accounts>) {
    let service = service_fn(|request| {
        let accounts = Arc::clone(&accounts);
        async move { Ok::<_, Infallible>(answer(request, &accounts).await) }
    });
    // A connection that breaks is the business of whoever broke it.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, accounts: &Accounts) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, LOGIN_PATH) => login(request, accounts).await,
        (&Method::POST, REFRESH_PATH) => refresh(request, accounts).await,
        (&Method::GET, "/api/me") => json_answer(StatusCode::OK, &json!({ "headers": received(request.headers()) })),
        (&Method::GET | &Method::HEAD, path) => match pages::find(path) {
            Some(page) => page_answer(page),
            None => refusal(StatusCode::NOT_FOUND, "there is nothing here"),
        },
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done here"),
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn login(request: Request<Incoming>, accounts: &Accounts) -> Response<Full<Bytes>> {
    let credentials: Credentials = match read_json(request).await {
        Ok(credentials) => credentials,
        Err(refusal) => return refusal,
    };
    match accounts.sign_in(&credentials.username, &credentials.password) {
        Ok((user, tokens)) => json_answer(
            StatusCode::OK,
            &json!({ "user": user.id, "accessToken": tokens.access_token, "refreshToken": tokens.refresh_token }),
        ),
        Err(error) => accounts_refusal(&error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest {
    refresh_token: String,
}

async fn refresh(request: Request<Incoming>, accounts: &Accounts) -> Response<Full<Bytes>> {
    let presented: RefreshRequest = match read_json(request).await {
        Ok(presented) => presented,
        Err(refusal) => return refusal,
    };
    match accounts.refresh(&presented.refresh_token) {
        Ok(tokens) => json_answer(StatusCode::OK, &json!(tokens)),
        Err(error) => accounts_refusal(&error),
    }
}

async fn read_json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Full<Bytes>>> {
    let body = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await
        .map_err(|_| refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broken"))?;
    // The parser's own words could quote a password, so the answer has words of its own.
    serde_json::from_slice(&body.to_bytes()).map_err(|_| refusal(StatusCode::BAD_REQUEST, "not the JSON expected here"))
}

/// The headers of a request as JSON: a string, or a list where a name came more than once.
fn received(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .map(|name| {
            let mut values: Vec<Value> = headers.get_all(name).iter().map(text).collect();
            let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
            (name.as_str().to_owned(), value)
        })
        .collect()
}

fn text(value: &HeaderValue) -> Value {
    Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn accounts_refusal(error: &AccountsError) -> Response<Full<Bytes>> {
    let status = match error {
        AccountsError::WrongCredentials | AccountsError::InvalidRefreshToken => StatusCode::UNAUTHORIZED,
        AccountsError::NoRandomness | AccountsError::Signing(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refusal(status, &error.to_string())
}

fn refusal(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    json_answer(status, &json!({ "message": message }))
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(format!("{value:#}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn page_answer(page: &pages::Page) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(page.content));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests;
