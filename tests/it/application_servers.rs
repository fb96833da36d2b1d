//! Real application servers behind the gateway, as judges of the paths that it lets through: whatever such a server
//! makes of a target, nobody who is not an admin gets to see what is protected.

use std::time::Instant;

use usher::clock::Clock;

use crate::harness::application_server::{Address, ApplicationServer, HELLO, Kind, NUMBER, SECRET};
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::verbatim::{Peer, Verbatim, VerbatimAnswer, VerbatimClient};
use crate::harness::{Issuer, Protocol, Scene, Upstream, eventually, long};
use crate::targets_generated::{canonical, target};

/// `$HOST` has the routes of the usual scene, `open-$HOST` keeps nothing from anybody.
const SITES: &str = "
sites:
  - host: $HOST
    issuer: main
    upstream: $SERVER
    routes:
      - path: /
      - { path: /public/, access: public }
      - { path: /admin/, require: { realm_access.roles: admin } }
  - host: open-$HOST
    upstream: $SERVER
    access: public
    routes: [{ path: / }]
";

/// Whether an answer shows what is protected.
fn shows_the_secret(answer: &VerbatimAnswer) -> bool {
    let shows = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET);
    shows(&answer.head) || shows(&answer.body)
}

/// A server, and a gateway before it.
struct Judge {
    server: ApplicationServer,
    scene: Scene,
    host: String,
}

/// What came of many targets.
#[derive(Debug, Default)]
struct Tally {
    requests: usize,
    /// Reached the server.
    passed: usize,
    /// Would have shown what is protected, had they been sent to the server itself.
    dangerous: usize,
}

impl Judge {
    async fn start(kind: Kind) -> Option<Self> {
        let server = ApplicationServer::start(kind).await?;
        let host = format!("{}.wild.test", kind.name());
        let sites = SITES.replace("$HOST", &host).replace("$SERVER", &server.url());
        let clock = Clock::adjustable();
        let issuer = Issuer::start(&clock).await;
        let yaml = format!("{ISSUERS}{SESSION}{sites}");
        let scene = Scene::with(&yaml, Upstream::start().await, issuer, clock).await;
        Some(Self { server, scene, host })
    }

    fn client(&self, protocol: Protocol) -> VerbatimClient {
        VerbatimClient::new(Peer::Gateway(self.scene.gateway.https(), self.host.clone(), protocol))
    }

    fn direct(&self) -> VerbatimClient {
        VerbatimClient::new(Peer::Server(self.server.address().clone()))
    }

    /// The server does serve what is protected, and the test would notice; also through the gateway, where it is open.
    async fn prove(&self) {
        let kind = self.server.kind();
        let secret = |host: &str| Verbatim::get(host, "/admin/secret.txt").field(NUMBER, "1");
        let answer = self.direct().send(&secret(&self.host)).await.unwrap();
        assert!(answer.status == 200 && shows_the_secret(&answer), "{kind:?} itself: {answer:?}");
        let admin = self.scene.issuer.access_token("root");
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut client = self.client(protocol);
            let answer = client.send(&secret(&format!("open-{}", self.host))).await.unwrap();
            assert!(answer.status == 200 && shows_the_secret(&answer), "{kind:?} where it is open: {answer:?}");
            let head = self.server.take_head(1).unwrap();
            assert!(head.starts_with(b"GET /admin/secret.txt HTTP/1.1\r\n"), "{}", head.escape_ascii());
            let authorization = format!("Bearer {admin}");
            let answer = client.send(&secret(&self.host).field("authorization", authorization)).await.unwrap();
            assert!(answer.status == 200 && shows_the_secret(&answer), "{kind:?} for an admin: {answer:?}");
            self.server.take_head(1).unwrap();
            let answer = client.send(&secret(&self.host)).await.unwrap();
            assert_eq!((answer.status, self.server.take_head(1)), (401, None), "{kind:?} for nobody");
            let answer = client.send(&Verbatim::get(&self.host, "/public/hello.txt")).await.unwrap();
            let hello = answer.body.windows(HELLO.len()).any(|window| window == HELLO);
            assert!(answer.status == 200 && (hello || kind == Kind::Gunicorn), "{kind:?}: {answer:?}");
        }
    }

    /// Sends the targets of these seeds, as nobody and as a user who is no admin.
    async fn try_targets(&self, protocol: Protocol, seeds: std::ops::Range<u64>) -> Tally {
        let mut tally = Tally::default();
        let authorization = format!("Bearer {}", self.scene.issuer.access_token("alice"));
        let (mut client, mut direct) = (self.client(protocol), self.direct());
        for seed in seeds {
            let target = target(seed, &self.host);
            let number = usize::try_from(seed).unwrap();
            for signed_in in [false, true] {
                let mut request = Verbatim::get(&self.host, target.as_slice()).field(NUMBER, number.to_string());
                if signed_in {
                    request = request.field("authorization", authorization.as_str());
                }
                let answer = client.send(&request).await;
                tally.requests += 1;
                let status = answer.as_ref().map_or(0, |answer| answer.status);
                let what = format!(
                    "seed {seed}, {:?}, {protocol:?}, signed in: {signed_in}, {}: {status}",
                    self.server.kind(),
                    target.escape_ascii()
                );
                assert!(!answer.as_ref().is_some_and(shows_the_secret), "{what} shows what is protected");
                if let Some(head) = self.server.take_head(number) {
                    tally.passed += 1;
                    let line = [b"GET ", &canonical(&target)[..], b" HTTP/1.1\r\n"].concat();
                    assert!(head.starts_with(&line), "{what} became {}", head.escape_ascii());
                    assert!(!matches!(status, 0 | 502..=504), "{what}: no answer to {}", head.escape_ascii());
                } else {
                    assert!(matches!(status, 0 | 400 | 401 | 403 | 404 | 414 | 421), "{what}");
                }
            }
            // A server that waits for the rest of a broken line would only cost time.
            if seed % 4 == 0 && target.iter().all(|byte| *byte > b' ') {
                let answer = direct.send(&Verbatim::get(&self.host, target.as_slice())).await;
                tally.dangerous += usize::from(answer.as_ref().is_some_and(shows_the_secret));
            }
        }
        tally
    }
}

/// The judgement of one server.
async fn judge(kind: Kind) {
    let Some(judge) = Judge::start(kind).await else { return };
    judge.prove().await;
    let count = if long() { 10_000 } else { 300 };
    // Each server gets targets of its own.
    let first = 1_000_000 * (1 + kind as u64);
    let started = Instant::now();
    let (one, two) = tokio::join!(
        judge.try_targets(Protocol::Http1, first..first + count),
        judge.try_targets(Protocol::Http2, first + count..first + 2 * count)
    );
    let tally = Tally {
        requests: one.requests + two.requests,
        passed: one.passed + two.passed,
        dangerous: one.dangerous + two.dangerous,
    };
    println!("{kind:?}: {} targets, {tally:?}, {:?}", 2 * count, started.elapsed());
    assert_eq!(judge.server.heads_left(), 0, "nothing reached the server that no request accounts for");
    assert!(tally.passed > tally.requests / 20, "enough reaches the server to judge: {tally:?}");
    assert!(tally.dangerous > 0, "the targets are dangerous: {tally:?}");
    judge.prove().await;
}

#[tokio::test]
async fn a_server_ends_with_the_test_that_started_it() {
    for kind in [Kind::Gunicorn, Kind::Nginx] {
        let Some(server) = ApplicationServer::start(kind).await else { continue };
        let address = server.address().clone();
        let listens = || match &address {
            Address::Tcp(address) => std::net::TcpStream::connect(address).is_ok(),
            Address::Unix(path) => std::os::unix::net::UnixStream::connect(path).is_ok(),
        };
        assert!(listens());
        drop(server);
        eventually(&format!("{kind:?} is gone"), || !listens()).await;
    }
}

#[tokio::test]
async fn gunicorn_shows_nothing_that_is_protected_however_it_is_asked_for() {
    judge(Kind::Gunicorn).await;
}

#[tokio::test]
async fn php_shows_nothing_that_is_protected_however_it_is_asked_for() {
    judge(Kind::Php).await;
}

#[tokio::test]
async fn nginx_shows_nothing_that_is_protected_however_it_is_asked_for() {
    judge(Kind::Nginx).await;
}

#[tokio::test]
async fn tomcat_shows_nothing_that_is_protected_however_it_is_asked_for() {
    judge(Kind::Tomcat).await;
}

#[tokio::test]
async fn node_shows_nothing_that_is_protected_however_it_is_asked_for() {
    judge(Kind::Node).await;
}
