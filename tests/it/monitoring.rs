//! What `examples/monitoring` asks for is there, and Prometheus understands it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::metrics::Metrics;
use crate::harness::promtool::promtool;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Scene, get};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monitoring")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// The names of Usher's metrics in a text, without what a histogram or its kind puts behind them.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_part(letter)).filter(|word| word.starts_with("usher_"));
    let family = |word: &str| {
        let histogram = word.contains("_duration_seconds");
        let endings = ["_bucket", "_sum", "_count"].iter().filter(|_| histogram);
        endings.fold(word, |word, ending| word.strip_suffix(ending).unwrap_or(word)).to_owned()
    };
    words.map(family).collect()
}

#[tokio::test]
async fn every_metric_that_a_rule_or_a_panel_asks_for_exists_with_the_labels_it_is_asked_by() {
    // Nobody listens there: the metrics of spans are there all the same.
    let tracing = "tracing: { otlp: { endpoint: 'http://127.0.0.1:9' } }";
    let scene = Scene::start(&format!("{tracing}\n{ISSUERS}{SESSION}{SITES}")).await;
    scene.send(get("https://app.test/x")).await.assert_status(401);
    scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await.assert_status(200);
    let metrics = Metrics::of(scene.gateway.admin()).await;
    let there: BTreeSet<_> = metrics.families().into_iter().map(str::to_owned).collect();
    let mut asked = BTreeSet::new();
    for name in ["alerts.yaml", "alerts.test.yaml", "dashboard.json", "README.md"] {
        let names = named(&file(name));
        let unknown: Vec<_> = names.difference(&there).collect();
        assert!(!names.is_empty() && unknown.is_empty(), "{name} asks for {unknown:?}");
        asked.extend(names);
    }
    let ignored: Vec<_> = there.difference(&asked).collect();
    assert!(ignored.is_empty(), "nobody looks at {ignored:?}");
    let (_, chapter) = include_str!("../../README.md").split_once("\n## Metrics\n").expect("a chapter about them");
    assert_eq!(named(chapter.split("\n## ").next().unwrap()), there, "the README names every metric, and no other");

    let words = ["rejected", "unavailable", "not_sent", "unverified", "other_identity", "renewed"];
    for outcome in words {
        assert!(metrics.find("usher_renewals_total", &[("outcome", outcome)]).is_some(), "{outcome}");
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_place_and_something_to_show() {
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        if panel["type"] != "row" {
            let targets = panel["targets"].as_array().unwrap();
            assert!(targets.iter().all(|target| target["expr"].as_str().unwrap().contains('{')), "{panel}");
        }
    }
    assert!(ids.len() > 15);
}

#[test]
fn prometheus_takes_the_configuration_and_the_rules_and_the_rules_raise_the_alarm_when_they_should() {
    // It wants to see the token, too.
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("admin_token");
    std::fs::write(&token, "4fa81c0a5f7b9d3e").unwrap();
    for name in ["prometheus.yml", "alerts.yaml", "alerts.test.yaml"] {
        let text = file(name).replace("/run/secrets/admin_token", token.to_str().unwrap());
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let at = |name: &str| directory.path().join(name).display().to_string();
    for (what, name) in
        [("check config", "prometheus.yml"), ("check rules", "alerts.yaml"), ("test rules", "alerts.test.yaml")]
    {
        let (verb, object) = what.split_once(' ').unwrap();
        if promtool(&[verb, object, &at(name)], "").is_none() {
            return;
        }
    }
}
