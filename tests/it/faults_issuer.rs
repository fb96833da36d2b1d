//! Faults of the issuer: each alone, and while others work, who must notice nothing. It recovers by itself.
//!
//! The gateway dials the issuer through a [`Front`], which breaks what a test wants broken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::keys::SigningKey;
use crate::harness::scene::{ISSUERS, SESSION, SITES, assert_renewed, echoed, jar};
use crate::harness::scripted::{Line, answer};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Client, Issuer, Jar, Load, Protocol, Scene, Scripted, Upstream, eventually, get};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What goes wrong at one path.
#[derive(Clone)]
enum Trouble {
    /// This instead of an answer.
    Say(String),
    /// An answer that never comes to its end, byte by byte.
    Trickle,
    /// No answer.
    Silence,
    /// The issuer's answer to another path.
    Alias(&'static str),
}

type Troubles = Arc<Mutex<HashMap<String, Trouble>>>;

/// What the gateway takes for the issuer: passes on what nothing is wrong with.
struct Front {
    app: Scripted,
    troubles: Troubles,
    most: Arc<Mutex<(usize, usize)>>,
    asked: Arc<AtomicUsize>,
}

impl Front {
    async fn start(issuer: &Issuer) -> Self {
        let (troubles, most) = (Troubles::default(), Arc::<Mutex<(usize, usize)>>::default());
        let asked = Arc::<AtomicUsize>::default();
        let (shared, counts, address, requests) =
            (Arc::clone(&troubles), Arc::clone(&most), issuer.url(), Arc::clone(&asked));
        let app = Scripted::start(move |line: Line| {
            let (troubles, counts, address) = (Arc::clone(&shared), Arc::clone(&counts), address.clone());
            let requests = Arc::clone(&requests);
            async move {
                let entered = || {
                    let mut counts = counts.lock().unwrap();
                    counts.0 += 1;
                    counts.1 = counts.1.max(counts.0);
                };
                entered();
                pass(line, &troubles, &requests, address.trim_start_matches("http://")).await;
                counts.lock().unwrap().0 -= 1;
            }
        })
        .await;
        Self { app, troubles, most, asked }
    }

    fn break_at(&self, path: &str, trouble: Trouble) {
        self.troubles.lock().unwrap().insert(path.to_owned(), trouble);
    }

    fn mend(&self) {
        self.troubles.lock().unwrap().clear();
    }

    /// How many requests came.
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many connections there were at the same time, at most.
    fn most(&self) -> usize {
        self.most.lock().unwrap().1
    }
}

async fn pass(mut line: Line, troubles: &Troubles, requests: &AtomicUsize, issuer: &str) {
    while let Some(request) = line.request().await {
        requests.fetch_add(1, Ordering::SeqCst);
        let trouble = troubles.lock().unwrap().get(request.path()).cloned();
        let mut head = request.head.clone();
        match trouble {
            Some(Trouble::Say(bytes)) => {
                line.write(bytes).await;
                continue;
            }
            Some(Trouble::Trickle) => {
                line.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n").await;
                for _ in 0..600 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    line.write(" ").await;
                }
                return;
            }
            Some(Trouble::Silence) => return line.closed().await,
            Some(Trouble::Alias(path)) => head = head.replacen(request.path(), path, 1),
            None => {}
        }
        // One exchange to a connection is enough here.
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let Ok(mut stream) = TcpStream::connect(issuer).await else { return };
        drop(stream.write_all(&[head.as_bytes(), &request.body].concat()).await);
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes).await);
        return line.write(bytes).await;
    }
}

/// The usual scene with a front before the issuer, and more keys for issuer and session.
async fn scene(issuer_keys: &str, session_keys: &str) -> (Scene, Front) {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let front = Front::start(&issuer).await;
    (with_front(&front.app.url(), issuer, clock, issuer_keys, session_keys).await, front)
}

async fn with_front(front: &str, issuer: Issuer, clock: Clock, issuer_keys: &str, session_keys: &str) -> Scene {
    let yaml = format!(
        "{}\n    backchannel_url: {front}\n{issuer_keys}\n{SESSION}{session_keys}\n{SITES}",
        ISSUERS.trim_end()
    );
    Scene::with(&yaml, Upstream::start().await, issuer, clock).await
}

async fn ready(scene: &Scene) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("http://{}/readyz", scene.gateway.admin())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Sends until the answer has this status; until then it is a 503 with `Retry-After` that leaves the cookies alone.
async fn recovers(scene: &Scene, jar: &Jar) -> Answer {
    let started = Instant::now();
    loop {
        let answer = scene.send(get("https://app.test/x").cookies(jar)).await;
        if answer.status == 200 {
            return answer;
        }
        assert!(answer.assert_status(503).header("retry-after").is_some());
        assert_eq!(answer.set_cookies(), []);
        assert!(started.elapsed() < PATIENCE, "it recovers");
        scene.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// [`Scene::assert_well`], while others use the same application.
async fn alice_is_served(scene: &Scene) {
    let token = scene.issuer.access_token("alice");
    let answer = scene.send(get("https://app.test/well").bearer(&token)).await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
}

fn json_answer(body: &Value) -> Trouble {
    Trouble::Say(answer(&body.to_string()))
}

fn status(status: &str, content_type: &str, body: &str) -> Trouble {
    Trouble::Say(format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nRetry-After: 1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

// ---- F08: down at start ----

#[tokio::test]
async fn an_issuer_that_is_down_at_start_is_told_of_with_its_causes_before_anybody_asks() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = format!("{}{SESSION}{SITES}", ISSUERS.trim_end()).replace("$ISSUER", "http://127.0.0.1:9");
    let yaml = yaml.replace("$UPSTREAM", "http://127.0.0.1:9").replace("$CLIENT_SECRET", CLIENT_SECRET);
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    usher.says("the key set cannot be had").await;
    let output = usher.output();
    let line = output.lines().find(|line| line.contains("the key set cannot be had")).unwrap();
    assert!(line.contains("WARN") && line.contains("main") && line.contains("Connection refused"), "{line}");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let first = http.get(format!("http://{}/readyz", usher.address("admin").await)).send().await.unwrap();
    assert!(first.text().await.unwrap().starts_with("degraded: "), "the first probe knows");
}

#[tokio::test]
async fn an_issuer_that_is_down_at_start_makes_it_degraded_and_it_recovers_without_anybody_asking() {
    let (scene, _front) = scene("", "").await;
    scene.issuer.set_down(true);
    let load = Load::start_at(&scene, 4, "https://app.test/load");
    load.goes_on(20).await;
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    let (status, says) = ready(&scene).await;
    assert_eq!((status, says.as_str()), (200, "degraded: these issuers are failing: main\n"));
    let tally = load.stop().await;
    tally.assert_only(&[503]);
    assert!(scene.issuer.asked().discovery == 0 && tally.answers() > 20);

    scene.issuer.set_down(false);
    let started = Instant::now();
    while ready(&scene).await.1 != "ready\n" {
        assert!(started.elapsed() < PATIENCE, "it recovers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let load = Load::start(&scene, 4).await;
    load.goes_on(20).await;
    load.stop().await.assert_undisturbed();
}

// ---- F09: down at expiry ----

#[tokio::test]
async fn an_outage_within_the_window_is_invisible_and_a_longer_one_keeps_every_session() {
    let (scene, front) = scene("", "  refresh_ahead: 60s\n").await;
    let jar = scene.session("alice");
    scene.assert_well().await;
    scene.clock.advance(Duration::from_secs(250));
    let load = Load::start(&scene, 4).await;
    front.break_at("/token", status("503 Service Unavailable", "text/plain", "busy"));
    for _ in 0..5 {
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        assert_eq!(answer.assert_status(200).set_cookies(), []);
    }
    front.mend();
    // Seconds later the renewal ahead of time has gone through, and nobody has seen anything.
    let started = Instant::now();
    let mut renewed = jar.clone();
    loop {
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        if !answer.assert_status(200).set_cookies().is_empty() {
            assert_renewed(&answer);
            renewed.take(&answer.headers);
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it is renewed");
        scene.clock.advance(Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let late: Vec<Jar> = (0..5).map(|n| scene.expired_session(&format!("late-{n}"))).collect();
    scene.issuer.set_down(true);
    for jar in &late {
        let answer = scene.send(get("https://app.test/x").cookies(jar)).await;
        assert!(answer.assert_status(503).header("retry-after").is_some());
        assert_eq!(answer.set_cookies(), [], "the session is kept");
    }
    scene.send(get("https://app.test/x").cookies(&renewed)).await.assert_status(200);
    scene.issuer.set_down(false);
    for jar in &late {
        assert_renewed(&recovers(&scene, jar).await);
    }
    assert_eq!(scene.issuer.reuses(), 0);
    load.stop().await.assert_undisturbed();
}

// ---- F10: talks nonsense ----

fn nonsense() -> Vec<(&'static str, Trouble)> {
    let json = "application/json";
    vec![
        ("500", status("500 Internal Server Error", json, "{}")),
        ("503", status("503 Service Unavailable", json, "{}")),
        ("429", status("429 Too Many Requests", json, "{}")),
        ("404", status("404 Not Found", json, r#"{"keys":[]}"#)),
        ("a redirect", Trouble::Say("HTTP/1.1 302 Found\r\nLocation: /keys\r\nContent-Length: 0\r\n\r\n".to_owned())),
        ("html", status("200 OK", "text/html", "<h1>Please wait</h1>")),
        ("another type", status("200 OK", "text/plain", r#"{"keys":[]}"#)),
        ("no json", status("200 OK", json, "}{")),
        ("another document", status("200 OK", json, r#"{"access_token":7}"#)),
        ("a list", status("200 OK", json, "[1,2,3]")),
        ("deep", status("200 OK", json, &"[".repeat(100_000))),
        ("long", status("200 OK", json, &" ".repeat(2 * 1024 * 1024))),
        ("not http", Trouble::Say("nonsense\r\n\r\n".to_owned())),
        (
            "cut",
            Trouble::Say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{".to_owned()),
        ),
    ]
}

#[tokio::test]
async fn nonsense_for_documents_is_503_for_strangers_and_nothing_for_whoever_has_the_keys() {
    for path in [DISCOVERY, "/keys"] {
        let (holding, held_front) = scene("    timeout: 500ms", "").await;
        holding.assert_well().await;
        for (what, trouble) in nonsense() {
            // Without keys: everybody is told to come again, until the fault ends.
            let (fresh, front) = scene("    timeout: 500ms", "").await;
            front.break_at(path, trouble.clone());
            let token = fresh.issuer.access_token("alice");
            let answer = fresh.send(get("https://app.test/x").bearer(&token)).await;
            assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{path} {what}: {answer:?}");
            fresh.send(get("https://app.test/public/x")).await.assert_status(200);
            front.mend();
            assert_eq!(recovers(&fresh, &fresh.session("alice")).await.set_cookies(), [], "{path} {what}");

            // With keys, when the document has grown old or a strange token asks for more: what is held counts.
            let old = if path == DISCOVERY { 601 } else { 15 };
            holding.clock.advance(Duration::from_secs(old));
            let load = Load::start_at(&holding, 2, "https://app.test/load");
            held_front.break_at(path, trouble);
            let asked = held_front.asked();
            let strange = holding.issuer.token("root").head("kid", what).sign(&SigningKey::p256());
            let refused = holding.send(get("https://app.test/x").bearer(&strange)).await.status.as_u16();
            assert!(matches!(refused, 401 | 503), "{path} {what}: {refused}");
            eventually("the issuer is asked", || held_front.asked() > asked).await;
            load.goes_on(4).await;
            load.stop().await.assert_undisturbed();
            held_front.mend();
        }
    }
}

#[tokio::test]
async fn nonsense_at_the_token_endpoint_keeps_the_session_under_load_too() {
    let (scene, front) = scene("    timeout: 500ms", "").await;
    scene.assert_well().await;
    let load = Load::start(&scene, 4).await;
    for (what, trouble) in nonsense() {
        let jar = scene.expired_session("alice");
        front.break_at("/token", trouble);
        let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
        assert!(answer.status == 503 && answer.header("retry-after").is_some(), "{what}: {answer:?}");
        assert_eq!(answer.set_cookies(), [], "{what}");
        front.mend();
        assert_renewed(&recovers(&scene, &jar).await);
    }
    assert_eq!(scene.issuer.reuses(), 0);
    load.stop().await.assert_undisturbed();
}

// ---- F11: slow ----

#[tokio::test]
async fn a_slow_token_endpoint_holds_up_whoever_needs_it_for_a_bounded_time_and_nobody_else() {
    const WAIT: Duration = Duration::from_millis(700);
    for trouble in [Trouble::Silence, Trouble::Trickle] {
        let (scene, front) = scene("    timeout: 2s", &format!("  refresh_wait: {}ms\n", WAIT.as_millis())).await;
        scene.assert_well().await;
        let load = Load::start(&scene, 4).await;
        load.goes_on(100).await;
        let calm = load.stop().await.percentile(99);

        front.break_at("/token", trouble);
        let jars: Vec<Jar> = (0..60).map(|n| scene.expired_session(&format!("stuck-{n}"))).collect();
        let load = Load::start(&scene, 4).await;
        let connection = scene.http2().connect("app.test").await;
        let stuck = join_all(jars.iter().map(|jar| {
            let (mut connection, ask) = (connection.share(), get("https://app.test/x").cookies(jar));
            async move {
                let started = Instant::now();
                (connection.send(ask).await, started.elapsed())
            }
        }));
        for (answer, took) in stuck.await {
            assert!(answer.assert_status(503).header("retry-after").is_some());
            assert_eq!(answer.set_cookies(), []);
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
        let tally = load.stop().await;
        let busy = tally.assert_undisturbed().percentile(99);
        // Whoever waited for the issuer would do so for all of the wait; less is what a busy machine takes.
        assert!(busy < 3 * calm + WAIT / 2, "{busy:?} instead of {calm:?}");
        assert!(front.most() <= 34, "{} at once", front.most());

        front.mend();
        let known = jars.first().unwrap();
        assert_renewed(&recovers(&scene, known).await);
    }
}

#[tokio::test]
async fn a_key_set_that_trickles_or_never_comes_is_waited_for_within_bounds() {
    for (path, trouble) in [("/keys", Trouble::Trickle), ("/keys", Trouble::Silence), (DISCOVERY, Trouble::Silence)] {
        let (scene, front) = scene("    timeout: 600ms", "").await;
        front.break_at(path, trouble);
        let token = scene.issuer.access_token("alice");
        let connection = scene.http2().connect("app.test").await;
        let started = Instant::now();
        let waiting = join_all((0..50).map(|_| {
            let (mut connection, ask) = (connection.share(), get("https://app.test/x").bearer(&token));
            async move { connection.send(ask).await }
        }));
        let public = async {
            let first = Instant::now();
            scene.send(get("https://app.test/public/x")).await.assert_status(200);
            first.elapsed()
        };
        let (answers, public) = tokio::join!(waiting, public);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(public < Duration::from_millis(500), "others do not wait: {public:?}");
        for answer in answers {
            assert!(answer.assert_status(503).header("retry-after").is_some());
        }
        assert!(front.app.accepted() <= 4, "{} connections for one document", front.app.accepted());
        front.mend();
        recovers(&scene, &scene.session("alice")).await;
    }
}

#[tokio::test]
async fn an_issuer_that_swallows_connections_is_given_up_in_time() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    let swallows = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    swallows.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    swallows.listen(0).unwrap();
    let address = swallows.local_addr().unwrap().as_socket().unwrap();
    let _filler = std::net::TcpStream::connect(address).unwrap();
    let scene = with_front(&format!("http://{address}"), issuer, clock, "    timeout: 1s", "").await;
    let started = Instant::now();
    let token = scene.issuer.access_token("alice");
    let answer = scene.send(get("https://app.test/x").bearer(&token)).await;
    assert!(answer.assert_status(503).header("retry-after").is_some());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
}

// ---- F12: rotates its keys ----

#[tokio::test]
async fn a_rotation_with_overlap_fails_nobody_and_costs_one_fetch() {
    let (scene, _front) = scene("", "").await;
    scene.assert_well().await;
    let old = Load::start(&scene, 4).await;
    scene.issuer.add_key("key-2", SigningKey::p256());
    let new = Load::start(&scene, 4).await;
    new.goes_on(40).await;
    old.stop().await.assert_undisturbed();
    new.stop().await.assert_undisturbed();
    assert_eq!(scene.issuer.asked().keys, 2);
}

#[tokio::test]
async fn a_rotation_without_overlap_counts_at_once_and_a_second_one_within_the_cooldown() {
    let (scene, _front) = scene("", "").await;
    scene.assert_well().await;
    let old = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&old)).await.assert_status(200);
    scene.issuer.add_key("key-2", SigningKey::p256());
    scene.issuer.drop_old_keys();
    let second = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&second)).await.assert_status(200);
    scene.send(get("https://app.test/x").bearer(&old)).await.assert_status(401);

    let load = Load::start(&scene, 4).await;
    scene.issuer.add_key("key-3", SigningKey::p256());
    let third = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&third)).await.assert_status(401);
    scene.clock.advance(Duration::from_secs(10));
    scene.send(get("https://app.test/x").bearer(&third)).await.assert_status(200);
    load.stop().await.assert_undisturbed();
    assert_eq!(scene.issuer.asked().keys, 3);
}

#[tokio::test]
async fn a_new_key_under_an_old_name_is_fetched_once_and_forgeries_do_not_make_it_more() {
    let (scene, _front) = scene("", "").await;
    scene.assert_well().await;
    let first = scene.issuer.key().1;
    scene.issuer.add_key("key-1", SigningKey::p256());
    scene.issuer.drop_old_keys();
    scene.assert_well().await;
    assert_eq!(scene.issuer.asked().keys, 2);

    let load = Load::start(&scene, 4).await;
    for _ in 0..30 {
        let forged = scene.issuer.token("root").sign(&SigningKey::p256());
        scene.send(get("https://app.test/x").bearer(&forged)).await.assert_status(401);
        let withdrawn = scene.issuer.token("alice").sign(&first);
        scene.send(get("https://app.test/x").bearer(&withdrawn)).await.assert_status(401);
    }
    assert_eq!(scene.issuer.asked().keys, 2, "under the cooldown of the first");
    load.stop().await.assert_undisturbed();

    // It rolls back: the old key is the one again.
    let Ok(first) = Arc::try_unwrap(first) else { panic!("nobody else has the first key") };
    scene.issuer.add_key("key-1", first);
    scene.issuer.drop_old_keys();
    scene.clock.advance(Duration::from_secs(10));
    scene.assert_well().await;
    assert_eq!(scene.issuer.asked().keys, 3);
}

// ---- F13: another time ----

#[tokio::test]
async fn an_issuer_whose_clock_is_ten_minutes_off_is_refused_without_a_storm_and_served_within_the_leeway() {
    for ahead in [true, false] {
        for (off, leeway, good) in [(600, "0s", false), (600, "1m", false), (45, "1m", true)] {
            let (ours, theirs) = (Clock::adjustable(), Clock::adjustable());
            let early = if ahead { &theirs } else { &ours };
            early.advance(Duration::from_secs(off));
            let issuer = Issuer::start(&theirs).await;
            let yaml = format!("{}{SESSION}{SITES}", ISSUERS.replace("leeway: 0s", &format!("leeway: {leeway}")));
            let scene = Scene::with(&yaml, Upstream::start().await, issuer, ours).await;
            let token = scene.issuer.access_token("alice");
            let status = scene.send(get("https://app.test/x").bearer(&token)).await.status.as_u16();
            assert_eq!(status == 200, good, "{ahead} {off} {leeway}: {status}");
            let jar = jar(&scene.issuer.sign_in("alice"));
            for _ in 0..10 {
                let answer = scene.send(get("https://app.test/x").cookies(&jar)).await;
                let refused = matches!(answer.status.as_u16(), 401 | 503);
                assert!(if good { answer.status == 200 } else { refused }, "{ahead} {off} {leeway}: {answer:?}");
            }
            assert!(scene.issuer.token_requests() <= 2, "{} token requests", scene.issuer.token_requests());
            assert_eq!(scene.issuer.reuses(), 0);
            scene.send(get("https://app.test/public/x")).await.assert_status(200);
        }
    }
}

// ---- F14: another issuer, other endpoints ----

#[tokio::test]
async fn another_issuer_in_the_discovery_document_is_refused_and_what_was_known_counts() {
    let (scene, front) = scene("", "").await;
    scene.assert_well().await;
    let evil = SigningKey::p256();
    front.break_at("/evil-keys", json_answer(&json!({ "keys": [evil.jwk("evil")] })));
    let document = json!({
        "issuer": "https://evil.test", "jwks_uri": format!("{}/evil-keys", scene.issuer.url()),
        "token_endpoint": format!("{}/evil-token", scene.issuer.url()),
    });
    front.break_at(DISCOVERY, json_answer(&document));
    scene.clock.advance(Duration::from_secs(601));
    let load = Load::start(&scene, 4).await;
    alice_is_served(&scene).await;
    eventually("the keys were fetched anew from where they were", || scene.issuer.asked().keys == 2).await;
    for issuer in [scene.issuer.url(), "https://evil.test".to_owned()] {
        let token = scene.issuer.token("root").claim("iss", issuer).head("kid", "evil").sign(&evil);
        let status = scene.send(get("https://app.test/x").bearer(&token)).await.status.as_u16();
        assert!(matches!(status, 401 | 503), "{status}");
    }
    recovers(&scene, &scene.expired_session("alice")).await;
    assert_eq!(scene.issuer.token_requests(), 1, "at the endpoint that is known");
    load.stop().await.assert_undisturbed();
}

#[tokio::test]
async fn other_endpoints_in_the_discovery_document_are_adopted_when_it_is_refreshed() {
    let (scene, front) = scene("", "").await;
    scene.assert_well().await;
    front.break_at("/new/keys", Trouble::Alias("/keys"));
    front.break_at("/new/token", Trouble::Alias("/token"));
    let gone = || status("404 Not Found", "text/html", "gone");
    front.break_at("/keys", gone());
    front.break_at("/token", gone());
    let url = scene.issuer.url();
    let document =
        json!({ "issuer": url, "jwks_uri": format!("{url}/new/keys"), "token_endpoint": format!("{url}/new/token") });
    front.break_at(DISCOVERY, json_answer(&document));
    scene.clock.advance(Duration::from_secs(601));
    scene.issuer.add_key("key-2", SigningKey::p256());
    scene.issuer.drop_old_keys();
    assert_renewed(&recovers(&scene, &scene.expired_session("alice")).await);
    let load = Load::start(&scene, 4).await;
    load.goes_on(20).await;
    load.stop().await.assert_undisturbed();
    assert_eq!((scene.issuer.asked().keys, scene.issuer.token_requests()), (2, 1));
}

// ---- whose fault it was ----

#[tokio::test]
async fn the_log_says_that_it_was_the_issuer_and_a_wrong_clock_once() {
    let (theirs, directory) = (Clock::adjustable(), tempfile::tempdir().unwrap());
    let (issuer, upstream) = (Issuer::start(&theirs).await, Upstream::start().await);
    let front = Front::start(&issuer).await;
    let document = json!({ "issuer": "https://evil.test", "jwks_uri": format!("{}/keys", issuer.url()) });
    front.break_at(DISCOVERY, json_answer(&document));
    let yaml = format!(
        "log: {{ format: json }}\n{}\n    backchannel_url: {}\n{SESSION}\n{SITES}",
        ISSUERS.trim_end(),
        front.app.url()
    );
    let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$UPSTREAM", &upstream.url());
    let yaml = complete(&yaml.replace("$CLIENT_SECRET", CLIENT_SECRET), &directory);
    let usher = Usher::serve(&yaml, directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let line = |what: &str| -> Value {
        let output = usher.output();
        let line = output.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what} in {output}"));
        serde_json::from_str(line).unwrap()
    };

    let token = issuer.access_token("alice");
    client.send(get("https://app.test/keys").bearer(&token)).await.assert_status(503);
    usher.says("\"path\":\"/keys\"").await;
    let refused = line("is refused");
    assert_eq!((&refused["level"], &refused["issuer"]), (&json!("ERROR"), &json!("main")), "{refused}");
    assert_eq!(line("\"path\":\"/keys\"")["fault"], "issuer");

    front.mend();
    let started = Instant::now();
    while client.send(get("https://app.test/again").bearer(&token)).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "it recovers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    usher.says("can be had again").await;

    front.break_at("/token", status("500 Internal Server Error", "text/plain", "broken"));
    client
        .send(get("https://app.test/renewal").cookies(&jar(&issuer.sign_in_expired("alice"))))
        .await
        .assert_status(503);
    usher.says("\"path\":\"/renewal\"").await;
    assert_eq!(line("\"path\":\"/renewal\"")["fault"], "issuer");
    assert_eq!(line("sessions are kept")["issuer"], "main");

    theirs.advance(Duration::from_secs(600));
    for n in 0..10 {
        let token = issuer.access_token(&format!("user-{n}"));
        client.send(get(&format!("https://app.test/early-{n}")).bearer(&token)).await.assert_status(401);
    }
    usher.says("\"path\":\"/early-9\"").await;
    let said = usher.output().lines().filter(|line| line.contains("\"WARN\"") && line.contains("clock")).count();
    assert_eq!(said, 1, "{}", usher.output());
}
