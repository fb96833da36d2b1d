use http::header::HOST;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Config, Format, Sources};
use crate::gateway::Gateway;
use crate::tasks::Tasks;

/// A process that serves nothing else.
struct Alone {
    config: Arc<Config>,
    gateway: Arc<Gateway>,
    readiness: Readiness,
}

impl Alone {
    fn new(admin: &str) -> Self {
        let text = format!(
            "listen: {{ https: 127.0.0.1:0, admin: {admin} }}\ntls: {{ self_signed: true }}\nsites:\n  - {{ host: app.test, \
             upstream: http://127.0.0.1:9, access: public, routes: [{{ path: / }}] }}\n"
        );
        let config = config::load(&Sources::text("usher.yaml", Format::Yaml, &text, ".")).unwrap().config;
        let tasks = Tasks::new(Handle::current());
        let gateway = Gateway::to_explain(config.clone(), true, tasks, Clock::system()).unwrap();
        Self { config: Arc::new(config), gateway, readiness: Readiness::default() }
    }
}

impl Process for Alone {
    fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn readings(&self) -> Readings {
        Readings {
            now: Timestamp(0),
            gateway: Arc::clone(&self.gateway),
            connections: 0,
            client_refusals: Vec::new(),
            certificates: Vec::new(),
            revocation_lists: Vec::new(),
            certificate_orders: Vec::new(),
            awaited_certificates: Vec::new(),
            reloads: Reloads {
                last_failure: None,
                last_success_at: Timestamp(0),
                successful: 0,
                failed: 0,
                stale_certificates: Arc::default(),
            },
            version: "0".into(),
        }
    }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method).uri(path).header(HOST, "127.0.0.1:9901");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

async fn status(method: Method, path: &str, headers: &[(&str, &str)]) -> u16 {
    respond(&request(method, path, headers), &Alone::new("127.0.0.1:0")).await.status().as_u16()
}

#[tokio::test]
async fn few_paths_exist_and_only_for_reading() {
    assert_eq!(status(Method::GET, "/healthz", &[]).await, 200);
    assert_eq!(status(Method::HEAD, "/readyz", &[]).await, 200);
    for path in ["/metrics", "/", "/status.json", "/status.js"] {
        assert_eq!(status(Method::GET, path, &[]).await, 200, "{path}");
    }
    assert_eq!(status(Method::POST, "/readyz", &[]).await, 405);
    assert_eq!(status(Method::POST, "/", &[]).await, 405);
    for path in ["/healthz/x", "/refusals", "/refusals/x", "/refusals/7", "/index.html"] {
        assert_eq!(status(Method::GET, path, &[]).await, 404, "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    for headers in [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("origin", "https://evil.test")],
        [("origin", "null")],
    ] {
        for path in ["/readyz", "/metrics", "/", "/status.json"] {
            assert_eq!(status(Method::GET, path, &headers).await, 403, "{path} {headers:?}");
        }
    }
    assert_eq!(status(Method::GET, "/readyz", &[("origin", "http://127.0.0.1:9901")]).await, 200);
    assert_eq!(status(Method::GET, "/readyz", &[("sec-fetch-site", "none")]).await, 200);
}

#[tokio::test]
async fn no_answer_is_kept_and_none_is_for_another_origin() {
    for path in ["/healthz", "/nothing", "/", "/status.json", "/status.js", "/metrics"] {
        let response = respond(&request(Method::GET, path, &[]), &Alone::new("127.0.0.1:0")).await;
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(response.headers()[CROSS_ORIGIN_RESOURCE_POLICY], "same-origin", "{path}");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn readiness_ends_when_a_drain_begins_and_health_does_not() {
    let process = Arc::new(Alone::new("127.0.0.1:0"));
    let admin = Admin::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let address = admin.address();
    let running = tokio::spawn(admin.run(Arc::clone(&process) as Arc<dyn Process>));

    assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    process.readiness.begin_drain();
    assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    running.abort();
}

/// Whoever reaches the listener can open more connections than there are places.
#[tokio::test]
async fn connections_that_ask_for_nothing_keep_no_probe_out() {
    let admin = Admin::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let address = admin.address();
    let running = tokio::spawn(admin.run(Arc::new(Alone::new("127.0.0.1:0"))));
    let mut kept = Vec::new();
    for sent in ["GET /healthz HTTP/1.1\r\nHost: ", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        for _ in 0..70 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            kept.push(stream);
        }
        for path in ["/healthz", "/readyz"] {
            assert!(ask(address, path).await.starts_with("HTTP/1.1 200"), "{path} after 70 × {sent:?}");
        }
    }
    running.abort();
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
