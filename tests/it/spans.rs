//! Spans by OTLP: what a collector is told, in the official messages; and that no request ever waits for a collector.

use std::time::Duration;

use futures_util::future::join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::time::Instant;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::metrics::Metrics;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::wait::PATIENCE;
use crate::harness::{Client, Protocol, Scene, Upstream, UpstreamAnswer, eventually, get};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// Where collectors take spans.
const PATH: &str = "/v1/traces";

async fn scene(collector: &str, keys: &str) -> Scene {
    Scene::start(&format!("{}{ISSUERS}{SESSION}{SITES}", tracing(collector, keys))).await
}

fn tracing(collector: &str, keys: &str) -> String {
    format!("tracing: {{ accept_from: everybody, otlp: {{ endpoint: '{collector}' }}{keys} }}\n")
}

/// Everything that a collector has been told.
fn exported(collector: &Upstream) -> Vec<Span> {
    let mut spans = Vec::new();
    for seen in collector.seen() {
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", PATH));
        assert_eq!(seen.header("content-type"), Some("application/json"));
        let request: ExportTraceServiceRequest = serde_json::from_slice(&seen.body).unwrap();
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        assert_eq!(service.value.as_ref().unwrap().value, Some(Any::StringValue("usher".to_owned())));
        spans.extend(request.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|scope| scope.spans));
    }
    spans
}

fn hex(id: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(id)
}

fn attribute(span: &Span, key: &str) -> Option<Any> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn text(span: &Span, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Any::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

/// The one span of this kind and name.
#[track_caller]
fn only<'s>(spans: &[&'s Span], kind: SpanKind, name: &str) -> &'s Span {
    let mut found = spans.iter().filter(|span| span.kind() == kind && span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no {name} among {spans:?}"));
    assert!(found.next().is_none(), "{name} comes twice");
    span
}

fn is_within(inner: &Span, outer: &Span) -> bool {
    outer.start_time_unix_nano <= inner.start_time_unix_nano && inner.end_time_unix_nano <= outer.end_time_unix_nano
}

#[tokio::test]
async fn a_request_with_a_renewal_is_a_span_with_the_waits_for_issuer_and_application_within() {
    let collector = Upstream::start().await;
    let scene = scene(&collector.url(), "").await;
    scene.issuer.delay(Duration::from_millis(200));
    let jar = scene.expired_session("alice-canary");
    let ask = |path: &str| {
        let given = format!("00-{TRACE}-{PARENT}-01");
        get(&format!("https://app.test{path}?q=query-canary")).cookies(&jar).header("traceparent", &given)
    };
    let connection = scene.http2().connect("app.test").await;
    let both = ["/one", "/two"].map(|path| {
        let (mut connection, ask) = (connection.share(), ask(path));
        async move { connection.send(ask).await }
    });
    for answer in join_all(both).await {
        answer.assert_status(200);
    }
    assert_eq!(scene.issuer.token_requests(), 1);
    let seen = scene.upstream.seen();
    let (address, cookies) = (scene.upstream.url(), format!("{jar:?}"));
    drop(connection);
    scene.gateway.drain().await;

    let spans = exported(&collector);
    assert_eq!(spans.len(), 6, "{spans:?}");
    let mut joined = Vec::new();
    for path in ["/one", "/two"] {
        let of_path = |span: &&Span| text(span, "url.path").as_deref() == Some(path);
        let whole = spans.iter().find(of_path).unwrap();
        let family = |span: &&Span| span.span_id == whole.span_id || span.parent_span_id == whole.span_id;
        let family: Vec<&Span> = spans.iter().filter(family).collect();
        assert_eq!(family.len(), 3);
        assert!(family.iter().all(|span| hex(&span.trace_id) == TRACE && is_within(span, whole)), "{family:?}");
        let whole = only(&family, SpanKind::Server, "GET /");
        assert_eq!(hex(&whole.parent_span_id), PARENT);
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.route", "/"),
            ("url.scheme", "https"),
            ("server.address", "app.test"),
            ("client.address", "127.0.0.1"),
            ("network.protocol.version", "2"),
            ("usher.decision", "forwarded"),
        ] {
            assert_eq!(text(whole, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(attribute(whole, "http.response.status_code"), Some(Any::IntValue(200)));

        let renewal = only(&family, SpanKind::Client, "renew");
        assert_eq!(text(renewal, "usher.issuer").as_deref(), Some("main"));
        let took = Duration::from_nanos(renewal.end_time_unix_nano - renewal.start_time_unix_nano);
        assert!(took >= Duration::from_millis(100), "{took:?}");
        joined.push(attribute(renewal, "usher.renewal.joined"));

        let forwarded = only(&family, SpanKind::Client, "GET");
        assert!(forwarded.start_time_unix_nano >= renewal.end_time_unix_nano);
        assert_eq!(
            format!("http://{}", text(forwarded, "server.address").unwrap()),
            address.rsplit_once(':').unwrap().0
        );
        let seen = seen.iter().find(|seen| seen.target.starts_with(path)).unwrap();
        assert_eq!(seen.header("traceparent"), Some(&*format!("00-{TRACE}-{}-01", hex(&forwarded.span_id))));
        assert_eq!(text(whole, "usher.request_id").as_deref(), seen.header("x-request-id"));
        assert!(family.iter().all(|span| span.status.is_none()), "{family:?}");
    }
    joined.sort_by_key(|joined| format!("{joined:?}"));
    assert_eq!(joined, [Some(Any::BoolValue(false)), Some(Any::BoolValue(true))]);

    let told: String = collector.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    assert!(!told.contains("canary"), "{told}");
    let tokens = cookies.split(|letter: char| letter.is_whitespace() || "\"'=;,{}".contains(letter));
    for token in tokens.filter(|token| token.len() > 20) {
        assert!(!told.contains(token), "{token} is in {told}");
    }
}

#[tokio::test]
async fn what_fails_says_whose_fault_it_is_and_what_is_refused_has_no_part_of_the_application() {
    let collector = Upstream::start().await;
    let scene = scene(&collector.url(), "").await;
    scene.upstream.answer("/public/gone", UpstreamAnswer::Hangup);
    scene.upstream.answer("/public/tea", UpstreamAnswer::fixed(418, &[], ""));
    for (path, status) in [("/public/gone", 502), ("/public/tea", 418), ("/x", 401)] {
        scene.send(get(&format!("https://app.test{path}"))).await.assert_status(status);
    }
    scene.gateway.drain().await;

    let spans = exported(&collector);
    let of = |path: &str| {
        let of_path = |span: &&Span| text(span, "url.path").as_deref() == Some(path);
        let whole = spans.iter().find(of_path).unwrap();
        assert!(whole.parent_span_id.is_empty(), "the trace begins here");
        let part = spans.iter().find(|span| span.parent_span_id == whole.span_id);
        let is_error = |span: &Span| span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        (is_error(whole), text(whole, "usher.fault"), part.map(|part| (is_error(part), text(part, "error.type"))))
    };
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(of("/public/gone"), (true, said("upstream"), Some((true, said("upstream")))));
    assert_eq!(of("/public/tea"), (false, None, Some((true, said("418")))));
    assert_eq!(of("/x"), (false, said("client"), None));
}

#[tokio::test]
async fn of_what_is_not_to_be_recorded_nothing_is_sent_and_the_trace_goes_on_as_it_came() {
    let collector = Upstream::start().await;
    let scene = scene(&collector.url(), ", sample: 0").await;
    let given = format!("00-{TRACE}-{PARENT}-00");
    scene.send(get("https://app.test/public/x").header("traceparent", &given)).await.assert_status(200);
    assert_eq!(scene.upstream.last().header("traceparent"), Some(&*given));
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    assert!(scene.upstream.last().header("traceparent").unwrap().ends_with("-00"));
    scene.gateway.drain().await;
    assert_eq!(collector.count(), 0);
}

#[tokio::test]
async fn a_signal_to_stop_sends_what_is_left_and_the_log_names_the_same_trace() {
    let (directory, upstream, collector) =
        (tempfile::tempdir().unwrap(), Upstream::start().await, Upstream::start().await);
    std::fs::write(directory.path().join("otlp"), "X-Api-Key: header-canary\nX-Scope-OrgID: one\n").unwrap();
    let yaml = format!(
        "log: {{ format: json, level: trace }}\n\
         tracing: {{ otlp: {{ endpoint: '{}', headers_file: '{}' }} }}\n\
         sites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}]\n",
        collector.url(),
        directory.path().join("otlp").display(),
        upstream.url()
    );
    let mut usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    client.send(get("https://app.test/x")).await.assert_status(200);
    usher.says("\"status\":200").await;
    usher.signal("TERM").await;
    assert_eq!(usher.exit().await.code(), Some(0));

    let spans = exported(&collector);
    assert_eq!(spans.len(), 2, "{spans:?}");
    let trace = hex(&spans[0].trace_id);
    assert!(usher.output().contains(&format!("\"trace_id\":\"{trace}\"")), "{}", usher.output());
    assert_eq!(upstream.only().header("traceparent").unwrap().split('-').nth(1), Some(&*trace));
    let told = collector.only();
    assert_eq!((told.header("x-api-key"), told.header("x-scope-orgid")), (Some("header-canary"), Some("one")));
    assert!(!usher.output().contains("canary"), "{}", usher.output());
}

/// So many that one batch is full: two spans for each.
const CROWD: usize = 300;

#[tokio::test]
async fn no_request_waits_for_a_collector_or_fails_with_it() {
    let answers = [
        ("hanging", UpstreamAnswer::Hang),
        ("gone", UpstreamAnswer::Hangup),
        ("refusing", UpstreamAnswer::fixed(400, &[], "no")),
        ("busy", UpstreamAnswer::fixed(429, &[("retry-after", "1")], "")),
        ("away", UpstreamAnswer::fixed(503, &[], "")),
        ("well", UpstreamAnswer::fixed(200, &[], r#"{"partialSuccess":{"rejectedSpans":"12"}}"#)),
    ];
    for (what, answer) in answers {
        let collector = Upstream::start().await;
        collector.answer(PATH, answer);
        let scene = scene(&collector.url(), "").await;
        let connection = scene.http2().connect("app.test").await;
        let began = Instant::now();
        let asked = (0..CROWD).map(|_| {
            let mut connection = connection.share();
            async move { connection.send(get("https://app.test/public/x")).await }
        });
        for answer in join_all(asked).await {
            answer.assert_status(200);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
        let counts = |metrics: &Metrics| {
            let of = |name: &str| metrics.count(&format!("usher_trace_spans_{name}_total"), &[]);
            (of("exported"), of("dropped"))
        };
        let expected = |counted: (usize, usize)| match what {
            "refusing" => counted == (0, 512),
            "well" => counted == (500, 12),
            _ => counted == (0, 0) && collector.count() > 0,
        };
        let until = async {
            while !expected(counts(&Metrics::of(scene.gateway.admin()).await)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, until).await.is_ok();
        assert!(in_time, "{what}: {:?}", counts(&Metrics::of(scene.gateway.admin()).await));
        if what == "busy" {
            collector.answer(PATH, UpstreamAnswer::fixed(200, &[], "{}"));
            drop(connection);
            scene.gateway.drain().await;
            let last = collector.seen().into_iter().skip(1).map(|seen| seen.body);
            let taken: std::collections::HashSet<Vec<u8>> = last
                .map(|body| serde_json::from_slice::<ExportTraceServiceRequest>(&body).unwrap())
                .flat_map(|request| request.resource_spans[0].scope_spans[0].spans.clone())
                .map(|span| span.span_id)
                .collect();
            // Whatever took long has a span of its own besides.
            assert!(taken.len() >= 2 * CROWD, "nothing is lost that the collector takes later: {}", taken.len());
        }
    }
}

#[tokio::test]
async fn a_reload_leads_what_waits_to_another_collector() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    let scene = scene(&one.url(), "").await;
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    scene.reload(&format!("{}{ISSUERS}{SESSION}{SITES}", tracing(&other.url(), ""))).await.unwrap();
    scene.send(get("https://app.test/public/y")).await.assert_status(200);
    scene.gateway.drain().await;
    assert_eq!((one.count(), exported(&other).len()), (0, 4));
}

/// What a collector has asked for holds for that one.
#[tokio::test]
async fn another_collector_is_not_left_alone_for_what_the_one_before_has_asked_for() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    one.answer(PATH, UpstreamAnswer::fixed(503, &[("retry-after", "300")], ""));
    let scene = scene(&one.url(), "").await;
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
    eventually("the first was asked", || one.count() > 0).await;
    scene.reload(&format!("{}{ISSUERS}{SESSION}{SITES}", tracing(&other.url(), ""))).await.unwrap();
    eventually("the other has what waited", || other.count() > 0).await;
    assert_eq!(exported(&other).len(), 2);
}
