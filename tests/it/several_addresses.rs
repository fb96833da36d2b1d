//! Several addresses of one application: which gets a request, which are passed over and come back, and what the application
//! is spared.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::process::Command;
use usher::clock::Clock;

use crate::harness::certificates::authority;
use crate::harness::metrics::Metrics;
use crate::harness::port::free_port;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::scripted::{Line, answer};
use crate::harness::wait::PATIENCE;
use crate::harness::{Gateway, Issuer, Scene, Scripted, Upstream, UpstreamAnswer, eventually, get, left_out, post};

/// A site at these addresses, with these settings.
fn site(urls: &[&str], settings: &str) -> String {
    format!(
        "{ISSUERS}{SESSION}
sites:
  - host: app.test
    issuer: main
    upstream: {{ url: ['{}'], {settings} }}
    access: optional
    identity_headers: {{ X-User-Id: sub }}
    timeouts: {{ connect: 1s, response: 2s, idle: 2s }}
    routes: [{{ path: / }}]
",
        urls.join("', '")
    )
}

async fn three() -> [Upstream; 3] {
    [Upstream::start().await, Upstream::start().await, Upstream::start().await]
}

fn urls(apps: &[Upstream]) -> Vec<String> {
    apps.iter().map(Upstream::url).collect()
}

async fn scene(urls: &[String], settings: &str) -> Scene {
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    begin(&site(&urls, settings)).await
}

/// On a clock that stands still: how long a busy machine takes for some requests must not end an ejection.
async fn begin(yaml: &str) -> Scene {
    let clock = Clock::stopped();
    let (upstream, issuer) = (Upstream::start().await, Issuer::start(&clock).await);
    Scene::with(yaml, upstream, issuer, clock).await
}

/// Whether metrics say that an address gets requests.
async fn is_healthy(gateway: &Gateway, url: &str) -> bool {
    Metrics::of(gateway.admin()).await.find("usher_upstream_address_healthy", &[("address", url)]) == Some(1.0)
}

/// Waits until metrics say so.
async fn becomes(gateway: &Gateway, url: &str, healthy: bool) {
    let said = async {
        while is_healthy(gateway, url).await != healthy {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("{url} never was healthy: {healthy}"));
}

async fn counted(gateway: &Gateway, name: &str) -> usize {
    Metrics::of(gateway.admin()).await.count(name, &[])
}

// ---- what requests tell ----

#[tokio::test]
async fn a_dead_address_is_passed_over_without_a_lost_request_and_comes_back_by_one() {
    let apps = three().await;
    let urls = urls(&apps);
    let scene = scene(&urls, "").await;
    let [one, two, dead] = apps;
    let stopped = dead.stop();
    for _ in 0..30 {
        scene.send(post("https://app.test/x").body("once")).await.assert_status(200);
    }
    assert_eq!(one.count() + two.count(), 30, "each was sent once");
    assert!(one.count() > 5 && two.count() > 5, "{} and {}", one.count(), two.count());
    let healthy = [is_healthy(&scene.gateway, &urls[0]).await, is_healthy(&scene.gateway, &urls[2]).await];
    assert_eq!(healthy, [true, false]);
    assert_eq!(counted(&scene.gateway, "usher_upstream_ejections_total").await, 1, "all workers know of it");

    let dead = stopped.restart().await;
    let before = dead.count();
    for _ in 0..10 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    assert_eq!(dead.count(), before, "its time is not up");
    // With what makes several instances come back at different times.
    scene.clock.advance(Duration::from_secs(4));
    for _ in 0..10 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    assert!(dead.count() > before);
    becomes(&scene.gateway, &urls[2], true).await;
}

#[tokio::test]
async fn an_address_that_breaks_requests_is_passed_over_after_three_and_one_of_two_always_stays() {
    let (good, bad) = (Upstream::start().await, Upstream::start_raw(b"").await);
    let scene = scene(&[good.url(), bad.url()], "").await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(scene.send(post("https://app.test/x").body("once")).await.status == 502);
    }
    assert_eq!(failed, 3);
    assert_eq!(bad.count(), 3, "none was sent twice");
    // The other one must not go as well, whatever becomes of its requests.
    good.answer("/poison", UpstreamAnswer::Hangup);
    for _ in 0..5 {
        scene.send(get("https://app.test/poison")).await.assert_status(502);
    }
    assert!(is_healthy(&scene.gateway, &good.url()).await);
    scene.send(get("https://app.test/x")).await.assert_status(200);
}

#[tokio::test]
async fn answers_of_500_say_nothing_unless_they_are_to() {
    for (settings, asked) in [("", 20), ("ejection: { server_errors: 4 }", 4)] {
        let (good, bad) = (Upstream::start().await, Upstream::start().await);
        bad.answer("/x", UpstreamAnswer::fixed(503, &[], "too much"));
        let scene = scene(&[good.url(), bad.url()], settings).await;
        let client = scene.client();
        let mut connection = client.connect("app.test").await;
        for _ in 0..40 {
            connection.send(get("https://app.test/x")).await;
        }
        assert_eq!(bad.count(), asked, "{settings}");
    }
}

#[tokio::test]
async fn when_every_address_is_out_every_address_is_tried() {
    let apps = three().await;
    let urls = urls(&apps);
    for app in &apps {
        app.answer("/healthz", UpstreamAnswer::fixed(500, &[], ""));
    }
    let scene = scene(&urls, "health: { path: /healthz, interval: 50ms, unhealthy_after: 1 }").await;
    for url in &urls {
        becomes(&scene.gateway, url, false).await;
    }
    for _ in 0..12 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    let asked = |app: &Upstream| app.seen().iter().filter(|seen| seen.target == "/x").count();
    assert!(apps.iter().all(|app| asked(app) > 1), "{:?}", apps.iter().map(asked).collect::<Vec<_>>());
}

// ---- health checks ----

#[tokio::test]
async fn checks_are_asked_over_every_kind_of_connection_and_keep_an_ill_address_out_before_a_request_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    authority().write(&["localhost"], directory.path(), "app");
    std::fs::write(directory.path().join("ca.pem"), authority().root_pem()).unwrap();
    let apps = [Upstream::start().await, Upstream::start_h2c().await];
    let tls = [Upstream::start_tls("h2").await, Upstream::start_tls("http/1.1").await];
    let health = "health: { path: /healthz, interval: 50ms, healthy_after: 2, unhealthy_after: 2, status: 200 }";
    let yaml = format!(
        "{}
  - host: other.test
    upstream: {{ url: ['{}', '{}'], ca_file: '{}', {health} }}
    access: public
    routes: [{{ path: / }}]
",
        site(&[&apps[0].url(), &apps[1].url()], health).trim_end(),
        tls[0].url(),
        tls[1].url(),
        directory.path().join("ca.pem").display()
    );
    let scene = begin(&yaml).await;
    for app in apps.iter().chain(&tls) {
        eventually("it is asked", || app.count() > 2).await;
        let seen = app.last();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/healthz"));
        assert!(seen.all("user-agent")[0].contains("(health check)"), "{seen:?}");
        assert!(is_healthy(&scene.gateway, &app.url()).await);
    }
    for [well, ill] in [&apps, &tls] {
        ill.answer("/healthz", UpstreamAnswer::fixed(204, &[], ""));
        becomes(&scene.gateway, &ill.url(), false).await;
        let host = if ill.url().starts_with("https") { "other.test" } else { "app.test" };
        let before = well.seen().iter().filter(|seen| seen.target == "/x").count();
        for _ in 0..10 {
            scene.send(get(&format!("https://{host}/x"))).await.assert_status(200);
        }
        assert_eq!(well.seen().iter().filter(|seen| seen.target == "/x").count(), before + 10);
        ill.answer("/healthz", UpstreamAnswer::fixed(200, &[], ""));
        becomes(&scene.gateway, &ill.url(), true).await;
    }
}

#[tokio::test]
async fn an_application_on_a_unix_socket_is_asked_too_and_one_that_never_answers_is_ill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let accepted = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&accepted);
    let accepting = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            kept.push(stream);
        }
    });
    let url = format!("unix:{}", path.display());
    let health = "health: { path: /, interval: 100ms, timeout: 60ms, unhealthy_after: 3 }";
    let scene = scene(std::slice::from_ref(&url), health).await;
    assert!(is_healthy(&scene.gateway, &url).await || accepted.load(Ordering::SeqCst) >= 3, "until checks have failed");
    becomes(&scene.gateway, &url, false).await;
    assert!(accepted.load(Ordering::SeqCst) >= 3);
    accepting.abort();
}

#[tokio::test]
async fn checks_of_a_real_server_find_out_when_it_is_taken_out_and_put_back() {
    let Some(path) = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|directory| directory.join("nginx")).find(|program| program.is_file())
    }) else {
        return left_out("nginx behind Usher");
    };
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    let [one, two] = [free_port(), free_port()];
    let configuration = format!(
        "events {{}}\nhttp {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; \
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{}{} }}\n",
        server(one, &at.to_string()),
        server(two, &at.to_string())
    );
    std::fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
    for port in [one, two] {
        std::fs::write(directory.path().join(format!("up-{port}")), "well").unwrap();
    }
    let mut nginx = Command::new(path)
        .args(["-p", &at.to_string(), "-e", "stderr", "-c", &format!("{at}/nginx.conf"), "-g"])
        .arg(format!("daemon off; master_process off; pid {at}/pid;"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let urls = [one, two].map(|port| format!("http://127.0.0.1:{port}"));
    let scene = scene(&urls, "health: { path: /healthz, interval: 50ms }, ejection: { slow_start: 0s }").await;
    for _ in 0..2 {
        for url in &urls {
            becomes(&scene.gateway, url, true).await;
        }
        // As a deployment does: the check says no first, and the server goes on answering what still comes.
        std::fs::remove_file(directory.path().join(format!("up-{one}"))).unwrap();
        becomes(&scene.gateway, &urls[0], false).await;
        for _ in 0..10 {
            assert_eq!(scene.send(get("https://app.test/x")).await.assert_status(200).text(), two.to_string());
        }
        std::fs::write(directory.path().join(format!("up-{one}")), "well").unwrap();
        becomes(&scene.gateway, &urls[0], true).await;
        let mut from = BTreeSet::new();
        for _ in 0..10 {
            from.insert(scene.send(get("https://app.test/x")).await.assert_status(200).text().to_owned());
        }
        assert_eq!(from.len(), 2, "{from:?}");
    }
    nginx.kill().await.unwrap();
}

/// A server of nginx that is well while a file is there.
fn server(port: u16, directory: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port}; root {directory}; location / {{ return 200 '{port}'; }} location = /healthz {{ \
         try_files /up-{port} =503; }} }}\n"
    )
}

// ---- one user, one address ----

/// At which of the applications each user was, since so many requests.
fn places(apps: &[&Upstream], since: &[usize]) -> BTreeMap<String, BTreeSet<usize>> {
    let mut places = BTreeMap::<String, BTreeSet<usize>>::new();
    for (index, app) in apps.iter().enumerate() {
        for seen in app.seen().iter().skip(since[index]) {
            places.entry(seen.all("x-user-id")[0].to_owned()).or_default().insert(index);
        }
    }
    places
}

#[tokio::test]
async fn a_user_stays_at_one_address_on_every_instance_leaves_it_only_while_it_is_out_and_comes_back() {
    let (clock, [one, two, mut three]) = (Clock::stopped(), three().await);
    let issuer = Issuer::start(&clock).await;
    let urls = [one.url(), two.url(), three.url()];
    let yaml = site(&[&urls[0], &urls[1], &urls[2]], "balance: session, ejection: { slow_start: 0s }");
    let yaml = yaml.replace("$ISSUER", &issuer.url()).replace("$CLIENT_SECRET", "x");
    let gateways = [Gateway::start(&yaml, &clock).await, Gateway::start(&yaml, &clock).await];
    let users: Vec<String> = (0..12).map(|n| format!("user-{n}")).collect();
    let round = async |times: usize| {
        for user in &users {
            for n in 0..times {
                // A token each time, as after a renewal.
                let ask = get("https://app.test/x").bearer(&issuer.access_token(user));
                gateways[n % 2].client().send(ask).await.assert_status(200);
            }
        }
    };
    round(100 / users.len() + 1).await;
    let home = places(&[&one, &two, &three], &[0, 0, 0]);
    assert!(home.len() == 12 && home.values().all(|places| places.len() == 1), "{home:?}");
    let count = |place| home.values().filter(|places| places.contains(&place)).count();
    assert!((0..3).all(|place| count(place) > 0), "nobody is somewhere: {home:?}");

    let stopped = three.stop();
    let since = [one.count(), two.count(), 0];
    round(4).await;
    let away = places(&[&one, &two], &since);
    for (user, places) in &away {
        assert_eq!(places.len(), 1, "{user} is at one address, for both instances");
        assert!(home[user].contains(&2) || *places == home[user], "{user} had no reason to move");
    }

    three = stopped.restart().await;
    clock.advance(Duration::from_secs(4));
    let since = [one.count(), two.count(), three.count()];
    round(4).await;
    assert_eq!(places(&[&one, &two, &three], &since), home);
}

#[tokio::test]
async fn who_is_not_signed_in_stays_with_those_of_the_same_client_address() {
    let apps = three().await;
    let urls = urls(&apps);
    let scene = scene(&urls, "balance: session").await;
    for _ in 0..20 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    let asked: Vec<usize> = apps.iter().map(Upstream::count).filter(|count| *count > 0).collect();
    assert_eq!(asked, [20]);
}

// ---- what the application is spared ----

#[tokio::test]
async fn requests_that_break_are_sent_once_more_only_as_long_as_they_are_few() {
    const ASKED: usize = 200;
    let arrived = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&arrived);
    // Answers one request on each connection; the next one on it arrives, and is lost.
    let app = Scripted::start(move |mut line: Line| {
        let count = Arc::clone(&count);
        async move {
            if line.head().await.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
                line.write(answer("{}")).await;
            }
            count.fetch_add(usize::from(line.head().await.is_some()), Ordering::SeqCst);
        }
    })
    .await;
    let scene = scene(&[app.url()], "").await;
    let mut connection = scene.client().connect("app.test").await;
    let mut lost = 0;
    for _ in 0..ASKED {
        lost += usize::from(connection.send(get("https://app.test/x")).await.status == 502);
    }
    let arrived = arrived.load(Ordering::SeqCst);
    let most = ASKED + ASKED / 5 + 10;
    assert!(arrived > ASKED + 10 && arrived <= most, "{arrived} of {ASKED} arrived");
    assert!(lost > 0, "nothing was refused");
    assert_eq!(counted(&scene.gateway, "usher_upstream_retries_total").await, arrived - ASKED);
    assert_eq!(counted(&scene.gateway, "usher_upstream_retries_refused_total").await, lost);
}

#[tokio::test]
async fn more_requests_than_an_application_may_have_are_503_at_once_until_one_of_them_ends() {
    let app = Upstream::start().await;
    let scene = scene(&[app.url()], "circuit: { max_requests: 2 }").await;
    let feeds = ["/one", "/two"].map(|path| app.stream(path, &[]));
    let mut open = Vec::new();
    for path in ["one", "two"] {
        let mut connection = scene.client().connect("app.test").await;
        open.push((connection.open(get(&format!("https://app.test/{path}"))).await.unwrap(), connection));
    }
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let answer = scene.send(get("https://app.test/x")).await;
        fastest = fastest.min(started.elapsed());
        assert_eq!(answer.assert_status(503).header("retry-after"), Some("1"), "{answer:?}");
    }
    assert!(fastest < Duration::from_millis(200), "{fastest:?}");
    assert_eq!(app.count(), 2, "none arrived");
    assert_eq!(counted(&scene.gateway, "usher_upstream_overloads_total").await, 5);
    assert!(is_healthy(&scene.gateway, &app.url()).await, "busy is not ill");
    drop(feeds);
    drop(open);
    let served = async { while scene.send(get("https://app.test/x")).await.status != 200 {} };
    tokio::time::timeout(PATIENCE, served).await.expect("there is room again");
}

// ---- another configuration ----

#[tokio::test]
async fn a_reload_forgets_nothing_of_an_address_that_stays() {
    let apps = three().await;
    let urls = urls(&apps);
    let scene = scene(&urls, "").await;
    let [_one, _two, dead] = apps;
    let stopped = dead.stop();
    for _ in 0..6 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    let dead = stopped.restart().await;
    let before = dead.count();
    scene.reload(&site(&[&urls[0], &urls[1], &urls[2]], "circuit: { retry_percent: 10 }")).await.unwrap();
    for _ in 0..9 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    assert_eq!(dead.count(), before, "its time is not up");
    assert_eq!(counted(&scene.gateway, "usher_upstream_ejections_total").await, 1, "no count falls");
    scene.clock.advance(Duration::from_secs(4));
    for _ in 0..9 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    assert!(dead.count() > before);
}

#[tokio::test]
async fn a_reload_keeps_what_checks_have_found_and_ends_checks_that_are_not_configured_any_more() {
    let (one, ill) = (Upstream::start().await, Upstream::start().await);
    ill.answer("/healthz", UpstreamAnswer::fixed(500, &[], ""));
    let list = |settings: &str| site(&[&one.url(), &ill.url()], settings);
    let scene = begin(&list("health: { path: /healthz, interval: 50ms, unhealthy_after: 1 }")).await;
    becomes(&scene.gateway, &ill.url(), false).await;
    // A stream keeps the configuration that it began under.
    let feed = one.stream("/stream", &[]);
    let mut streaming = scene.client().connect("app.test").await;
    let stream = streaming.open(get("https://app.test/stream")).await.unwrap();

    let asked = |app: &Upstream| app.seen().iter().filter(|seen| seen.target == "/x").count();
    // The first check of this one comes long after the test.
    scene.reload(&list("health: { path: /healthz, interval: 10h }")).await.unwrap();
    for _ in 0..6 {
        scene.send(get("https://app.test/x")).await.assert_status(200);
    }
    assert_eq!((asked(&one), asked(&ill)), (6, 0));
    // One may have been on its way.
    let (checks, began) = (ill.count(), Instant::now());
    eventually("several checks' time is over", || began.elapsed() > Duration::from_millis(300)).await;
    assert!(ill.count() <= checks + 1, "it is still asked: {} and {checks}", ill.count());

    scene.reload(&list("")).await.unwrap();
    assert!(is_healthy(&scene.gateway, &ill.url()).await, "nobody would ever say so otherwise");
    drop((feed, stream, streaming));
}
