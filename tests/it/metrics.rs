//! `/metrics` on the admin listener: what is counted and measured, under which names, and that no client makes it more.

use std::time::Duration;

use futures_util::future::join_all;

use crate::harness::body::fed;
use crate::harness::keys::SigningKey;
use crate::harness::metrics::Metrics;
use crate::harness::promtool::promtool;
use crate::harness::scene::{ISSUERS, SESSION, SITES, jar};
use crate::harness::wait::PATIENCE;
use crate::harness::{Ask, Redis, Scene, TokenAnswer, UpstreamAnswer, get, post};
use crate::server_sessions::sign_out;
use crate::sign_out::signed_in;
use crate::websocket::{cookies, open, origin};

async fn scrape(scene: &Scene) -> Metrics {
    Metrics::of(scene.gateway.admin()).await
}

/// Scrapes until it holds.
async fn until(scene: &Scene, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
    let seen = async {
        loop {
            let metrics = scrape(scene).await;
            if holds(&metrics) {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never: {what}"))
}

#[tokio::test]
async fn requests_are_counted_by_site_route_and_status_and_refusals_by_whose_fault_they_are() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    scene.upstream.answer("/broken", UpstreamAnswer::Hangup);
    scene.upstream.answer("/teapot", UpstreamAnswer::fixed(418, &[], ""));
    for (ask, status) in [
        (get("https://app.test/x").bearer(&token), 200),
        (get("https://app.test/y?q=1").bearer(&token), 200),
        (get("https://app.test/x"), 401),
        (get("https://app.test/broken").bearer(&token), 502),
        (get("https://app.test/teapot").bearer(&token), 418),
        (get("https://app.test/admin/x").bearer(&token), 403),
        (get("https://app.test/.usher/session"), 200),
    ] {
        scene.send(ask).await.assert_status(status);
    }
    assert_eq!(scene.raw_get("/x", "Host: two.test\r\n").await, 400);
    let metrics = scrape(&scene).await;
    let root = [("site", "app.test"), ("route", "app.test/")];
    let answers = |route: &str, code: &str| metrics.count("usher_requests_total", &[("route", route), ("code", code)]);
    assert_eq!(answers("app.test/", "200"), 2, "{}", metrics.text);
    assert_eq!(answers("app.test/", "4xx"), 1, "a rare status is counted with its class");
    assert_eq!((answers("app.test/", "401"), answers("app.test/", "502")), (1, 1));
    assert_eq!((answers("app.test/admin/", "403"), answers("/.usher/", "200"), answers("-", "400")), (1, 1, 1));
    assert_eq!(metrics.count("usher_requests_total", &root), 5);
    let refused = |fault: &str| metrics.count("usher_refusals_total", &[("route", "app.test/"), ("fault", fault)]);
    assert_eq!((refused("client"), refused("upstream"), refused("us")), (1, 1, 0), "{}", metrics.text);
    assert_eq!(metrics.count("usher_request_duration_seconds_count", &root), 5);
    assert_eq!(metrics.count("usher_upstream_duration_seconds_count", &root), 4, "one did not get there");
    assert_eq!(metrics.count("usher_own_duration_seconds_count", &root), 5);
}

#[tokio::test]
async fn who_is_merely_sent_to_sign_in_is_not_refused_and_who_presents_what_does_not_count_is() {
    let scene = Scene::usual().await;
    let page = || get("https://app.test/x").navigation();
    scene.send(page()).await.assert_status(302);
    let forged = scene.issuer.token("root").sign(&SigningKey::p256());
    scene.send(page().header("cookie", &format!("at={forged}"))).await.assert_status(302);
    scene.send(get("https://app.test/x")).await.assert_status(401);
    let metrics = scrape(&scene).await;
    let root = [("site", "app.test"), ("route", "app.test/")];
    assert_eq!(metrics.count("usher_sent_to_sign_in_total", &root), 1, "{}", metrics.text);
    assert_eq!(metrics.count("usher_refusals_total", &root), 2, "{}", metrics.text);
    let status = scene.gateway.status("/").await;
    let told: Vec<_> = status["refusals"].as_array().unwrap().iter().map(|refusal| refusal["status"].clone()).collect();
    assert_eq!(told, [401, 302], "{status:#}");
    let site = status["sites"].as_array().unwrap().iter().find(|site| site["host"] == "app.test").unwrap();
    let route = site["routes"].as_array().unwrap().iter().find(|route| route["path"] == "/").unwrap();
    assert_eq!((&route["sent_to_sign_in"], &route["refused"]), (&1.into(), &2.into()), "{route}");
}

#[tokio::test]
async fn the_time_of_the_application_and_of_the_issuer_is_not_ours() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/slow", UpstreamAnswer::After(Duration::from_millis(300)));
    scene.issuer.delay(Duration::from_millis(300));
    scene.send(get("https://app.test/slow").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let metrics = scrape(&scene).await;
    let sum = |what: &str| metrics.value(&format!("usher_{what}_duration_seconds_sum"), &[("route", "app.test/")]);
    assert!(sum("request") >= 0.6, "{}", sum("request"));
    assert!(sum("upstream") >= 0.3 && sum("upstream") < sum("request") - 0.3, "{}", sum("upstream"));
    assert!(sum("own") < sum("request") - 0.59, "{} of {}", sum("own"), sum("request"));
}

#[tokio::test]
async fn renewals_are_counted_once_by_what_came_of_them_and_those_who_waited_by_themselves() {
    let scene = Scene::usual().await;
    let expired = scene.expired_session("alice");
    scene.issuer.hold();
    let asks = join_all((0..8).map(|_| scene.send(get("https://app.test/x").cookies(&expired))));
    let release = async {
        until(&scene, "seven wait", |metrics| metrics.count("usher_renewals_joined_total", &[]) == 7).await;
        scene.issuer.release();
    };
    let (answers, ()) = tokio::join!(asks, release);
    for answer in &answers {
        answer.assert_status(200);
    }
    for (answer, status, outcome) in [
        (TokenAnswer::InvalidGrant, 401, "rejected"),
        (TokenAnswer::Forged, 503, "unverified"),
        (TokenAnswer::OtherSubject("root"), 401, "other_identity"),
        (TokenAnswer::Status(500, None), 503, "unavailable"),
    ] {
        scene.issuer.behave(answer);
        let answer = scene.send(get("https://app.test/x").cookies(&scene.expired_session("bob"))).await;
        assert_eq!(answer.status.as_u16(), status, "{outcome}");
    }
    let metrics = scrape(&scene).await;
    let outcomes = |outcome| metrics.count("usher_renewals_total", &[("issuer", "main"), ("outcome", outcome)]);
    for outcome in ["renewed", "rejected", "unverified", "other_identity", "unavailable"] {
        assert_eq!(outcomes(outcome), 1, "{outcome}: {}", metrics.text);
    }
    assert_eq!(outcomes("not_sent"), 0);
    assert_eq!(metrics.count("usher_renewals_joined_total", &[("issuer", "main")]), 7);
}

#[tokio::test]
async fn known_tokens_issuers_their_keys_certificates_and_streams_are_measured() {
    let scene = Scene::usual().await;
    let before = scrape(&scene).await;
    assert_eq!(before.find("usher_key_set_age_seconds", &[]), None, "no keys were fetched yet");
    let token = scene.issuer.access_token("alice");
    for _ in 0..3 {
        scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    }
    scene.clock.advance(Duration::from_secs(60));
    let socket = open(&scene, "/ws", &[cookies(&scene.session("alice")), origin("https://app.test")]).await.unwrap();
    let metrics = scrape(&scene).await;
    let value = |name: &str| metrics.value(name, &[]);
    let known = |what: &str| metrics.count(&format!("usher_token_cache_{what}_total"), &[]);
    assert_eq!((known("misses"), known("hits")), (2, 2));
    assert_eq!(metrics.find("usher_issuer_up", &[("issuer", "main")]), Some(1.0));
    assert!((60.0..120.0).contains(&value("usher_key_set_age_seconds")), "{}", value("usher_key_set_age_seconds"));
    assert_eq!(metrics.count("usher_streams", &[("kind", "tunnel")]), 1);
    assert!(value("usher_connections") >= 1.0);
    let expiry = metrics.find("usher_certificate_expiry_timestamp_seconds", &[("name", "app.test")]).unwrap();
    let now = f64::from(u32::try_from(scene.clock.now().0).unwrap());
    assert!(expiry > now + 86_400.0 && expiry < now + 1e9 * 70.0, "{expiry}");
    assert!(metrics.text.contains(&format!("usher_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
    assert_eq!(metrics.find("usher_store_up", &[]), None, "no store is shared");
    assert_eq!(metrics.find("usher_stored_sessions", &[]), None, "they are in cookies");

    drop(socket);
    until(&scene, "the stream is closed", |metrics| metrics.count("usher_streams", &[]) == 0).await;
    scene.issuer.set_down(true);
    scene.clock.advance(Duration::from_secs(700));
    until(&scene, "the issuer is down", |metrics| metrics.count("usher_issuer_up", &[]) == 0).await;
}

#[tokio::test]
async fn bodies_that_go_on_are_open_streams_while_they_are_watched_and_short_ones_are_none() {
    let sites = SITES.replacen("response: 2s, idle: 2s", "response: 60s, idle: 60s", 1);
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let (jar, streams) = (scene.session("alice"), |kind: &'static str, wanted: usize| {
        move |metrics: &Metrics| metrics.count("usher_streams", &[("kind", kind)]) == wanted
    });
    let events = scene.upstream.stream("/events", &[("content-type", "text/event-stream")]);
    let mut connection = scene.client().connect("app.test").await;
    let answer = connection.open(get("https://app.test/events").cookies(&jar)).await.unwrap();
    events.chunk("data: one\n\n");
    until(&scene, "events are open", streams("answer", 1)).await;

    let (feed, body) = fed();
    feed.chunk("half of it");
    let ask = post("https://app.test/upload").header("origin", "https://app.test").cookies(&jar).streamed(body);
    let (client, scene) = (scene.client(), &scene);
    let uploading = tokio::spawn(async move { client.send(ask).await });
    until(scene, "an upload is open", streams("upload", 1)).await;
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    let metrics = scrape(scene).await;
    assert!(streams("answer", 1)(&metrics) && streams("upload", 1)(&metrics) && streams("tunnel", 0)(&metrics));

    uploading.abort();
    drop((answer, connection, events));
    until(scene, "all are closed", |metrics| metrics.count("usher_streams", &[]) == 0).await;
}

#[tokio::test]
async fn sessions_in_memory_are_counted_until_they_end() {
    let session = "session: { secret: '$SECRET', tokens: store, idle_timeout: 1h }\n";
    let scene = Scene::start(&format!("{ISSUERS}{session}{SITES}")).await;
    let sessions = |metrics: &Metrics| metrics.find("usher_stored_sessions", &[]);
    assert_eq!(sessions(&scrape(&scene).await), Some(0.0));
    let (alice, _bob) = (signed_in(&scene, "alice").await, signed_in(&scene, "bob").await);
    assert_eq!(sessions(&scrape(&scene).await), Some(2.0));
    scene.send(sign_out(&alice)).await.assert_status(204);
    assert_eq!(sessions(&scrape(&scene).await), Some(1.0));
    scene.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(sessions(&scrape(&scene).await), Some(0.0), "idle for too long");
}

#[tokio::test]
async fn a_request_whose_client_leaves_without_an_answer_is_counted() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/never", UpstreamAnswer::Hang);
    let ask = scene.send(get("https://app.test/public/never"));
    assert!(tokio::time::timeout(Duration::from_millis(300), ask).await.is_err());
    let route = [("route", "app.test/public/")];
    let metrics =
        until(&scene, "it is given up", |metrics| metrics.count("usher_requests_given_up_total", &route) == 1).await;
    assert_eq!(metrics.count("usher_requests_total", &route), 0);
}

#[tokio::test]
async fn no_count_falls_at_a_reload_and_routes_that_are_gone_are_forgotten() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    scene.send(get("https://app.test/reports/x").bearer(&token)).await.assert_status(200);
    scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let before = scrape(&scene).await;
    let success_at =
        |metrics: &Metrics| metrics.count("usher_configuration_last_reload_success_timestamp_seconds", &[]);
    let succeeded = |metrics: &Metrics| metrics.count("usher_configuration_last_reload_successful", &[]);
    assert_eq!(succeeded(&before), 1);

    // The routes move: they are other ones by their number, and the same by their name. So are the issuers.
    let sites = SITES.replace("      - { path: /reports/, methods: [GET] }\n", "      - { path: /aaa/ }\n");
    let issuers = ISSUERS.replace("leeway: 0s", "leeway: 1s");
    scene.clock.advance(Duration::from_secs(100));
    scene.reload(&format!("{issuers}{SESSION}{sites}")).await.unwrap();
    let after = scrape(&scene).await;
    assert!(succeeded(&after) == 1 && success_at(&after) >= success_at(&before) + 100);
    let (grown, is_gone) = (after.growing(), |series: &str| series.contains("app.test/reports/"));
    for (series, value) in before.growing() {
        assert!(is_gone(&series) || grown.get(&series).is_some_and(|after| *after >= value), "{series} fell");
    }
    assert!(!grown.keys().any(|series| is_gone(series)), "{grown:?}");
    assert_eq!(after.count("usher_renewals_total", &[("outcome", "renewed")]), 1);
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
    assert_eq!(scrape(&scene).await.count("usher_requests_total", &[("route", "app.test/")]), 4);

    let restart = format!("state_directory: '$DIRECTORY/state'\n{ISSUERS}{SESSION}{SITES}");
    scene.reload(&restart).await.unwrap_err();
    let failed = scrape(&scene).await;
    assert_eq!((succeeded(&failed), success_at(&failed)), (0, success_at(&after)));
    assert_eq!(failed.count("usher_configuration_reloads_total", &[("outcome", "failed")]), 1);
}

/// Names come of the configuration alone.
#[tokio::test]
async fn nothing_that_a_client_sends_becomes_a_name() {
    let scene = Scene::usual().await;
    let noise = |n: usize| -> Vec<Ask> {
        let token = scene.issuer.access_token(&format!("canary-subject-{n}"));
        vec![
            get(&format!("https://app.test/canary-path-{n}?canary-query={n}")).bearer(&token),
            get(&format!("https://app.test/canary-path-{n}")).header("x-request-id", &format!("canary-{n}")),
            Ask::new(http::Method::from_bytes(format!("CANARY{n}").as_bytes()).unwrap(), "https://app.test/x"),
            get("https://app.test/x").bearer(&format!("canary.token.{n}")),
            post(&format!("https://app.test/.usher/canary-{n}")),
        ]
    };
    let mut series = Vec::new();
    for round in [0..1, 1..20] {
        for n in round {
            for ask in noise(n) {
                scene.send(ask).await;
            }
        }
        series.push(scrape(&scene).await);
    }
    let count = |metrics: &Metrics| metrics.text.lines().count();
    assert_eq!(count(&series[0]), count(&series[1]), "{}", series[1].text);
    assert!(!series[1].text.to_lowercase().contains("canary"), "{}", series[1].text);
}

#[tokio::test]
async fn a_shared_store_is_up_or_it_is_not() {
    let Some(mut redis) = Redis::start("metrics of a shared store").await else { return };
    let session = format!("{SESSION}  store: {{ redis: {{ url: '{}', timeout: 200ms }} }}\n", redis.url());
    let scene = Scene::start(&format!("{ISSUERS}{session}{SITES}")).await;
    let is = |value: f64| move |metrics: &Metrics| metrics.find("usher_store_up", &[]) == Some(value);
    until(&scene, "it is up", is(1.0)).await;
    redis.kill().await;
    until(&scene, "it is down", is(0.0)).await;
}

/// What Prometheus itself says of names and format.
#[tokio::test]
async fn prometheus_finds_nothing_to_complain_about() {
    let scene = Scene::usual().await;
    scene.send(get("https://app.test/x").cookies(&jar(&scene.issuer.sign_in("alice")))).await.assert_status(200);
    scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let metrics = scrape(&scene).await;
    for family in metrics.families() {
        assert!(metrics.text.contains(&format!("# HELP {family} ")), "{family}");
    }
    if let Some(said) = promtool(&["check", "metrics"], &metrics.text) {
        assert_eq!(said, "");
    }
}
