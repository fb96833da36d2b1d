//! Distributed traces (W3C Trace Context): whose go on, and what the application and the log get.

use serde_json::Value;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Client, Protocol, Scene, Upstream, get};

const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

async fn scene(keys: &str) -> Scene {
    Scene::start(&format!("{keys}{ISSUERS}{SESSION}{SITES}")).await
}

/// What the application gets of a request with a trace.
async fn arrives(scene: &Scene, traceparent: &str) -> (Vec<String>, Vec<String>) {
    let ask = get("https://app.test/public/x").header("traceparent", traceparent).header("tracestate", "vendor=1");
    scene.send(ask).await.assert_status(200);
    let seen = scene.upstream.last();
    let all = |name| seen.all(name).into_iter().map(str::to_owned).collect();
    (all("traceparent"), all("tracestate"))
}

#[tokio::test]
async fn without_the_key_the_fields_are_the_applications_own_affair() {
    let scene = scene("").await;
    assert_eq!(arrives(&scene, "whatever").await, (vec!["whatever".to_owned()], vec!["vendor=1".to_owned()]));
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    assert!(scene.upstream.last().all("traceparent").is_empty());
}

#[tokio::test]
async fn a_strangers_trace_ends_here_and_one_of_a_trusted_proxy_goes_on() {
    let trusted = "trusted_proxies: [127.0.0.1/32]\n";
    for (keys, goes_on) in [
        ("tracing: {}\n".to_owned(), false),
        (format!("{trusted}tracing: {{}}\n"), true),
        ("tracing: { accept_from: everybody }\n".to_owned(), true),
        (format!("{trusted}tracing: {{ accept_from: nobody }}\n"), false),
    ] {
        let scene = scene(&keys).await;
        let (parents, states) = arrives(&scene, GIVEN).await;
        assert_eq!((parents.len(), parents[0] == GIVEN, states.len()), (1, goes_on, usize::from(goes_on)), "{keys}");
        // What cannot be read is nobody's.
        let (parents, states) = arrives(&scene, "00-none").await;
        assert_eq!((parents.len(), parents[0].len(), states.len()), (1, 55, 0), "{keys}");
    }
}

#[tokio::test]
async fn so_many_of_the_traces_that_begin_here_are_to_be_recorded() {
    for (sample, flags) in [("0", "-00"), ("1.0", "-01")] {
        let scene = scene(&format!("tracing: {{ sample: {sample} }}\n")).await;
        let mut ids = std::collections::HashSet::new();
        for _ in 0..20 {
            scene.http2().send(get("https://app.test/public/x")).await.assert_status(200);
            let seen = scene.upstream.last();
            let written = seen.header("traceparent").unwrap();
            assert!(written.ends_with(flags), "{written}");
            assert!(ids.insert(written[3..35].to_owned()), "{written} comes again");
        }
    }
}

#[tokio::test]
async fn the_access_log_names_the_trace_that_the_application_got() {
    let (directory, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let yaml = format!(
        "log: {{ format: json }}\ntracing: {{}}\n\
         sites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}]\n",
        upstream.url()
    );
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    client.send(get("https://app.test/x").header("traceparent", GIVEN)).await.assert_status(200);
    usher.says("\"status\":200").await;
    let output = usher.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let logged: Vec<Value> = lines.filter(|line| line.to_string().contains("\"status\":200")).collect();
    let seen = upstream.only();
    let trace_id = &seen.header("traceparent").unwrap()[3..35];
    assert!(logged.len() == 1 && logged[0].to_string().contains(&format!("\"trace_id\":\"{trace_id}\"")), "{logged:?}");
    assert!(!output.contains("0af7651916cd43dd8448eb211c80319c"), "a stranger's id is nobody's");
}
