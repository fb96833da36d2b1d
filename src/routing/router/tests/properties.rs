//! The router against a naive one, and against what lenient servers do.

use std::sync::Arc;

use http::Method;
use proptest::prelude::*;

use super::{route, router};
use crate::config::{PathPattern, Route};
use crate::routing::CanonicalPath;

/// Whether a pattern covers a path, and how closely: the rule of the documentation, written down plainly.
fn rank(pattern: &PathPattern, path: &str) -> Option<(bool, usize)> {
    match pattern {
        PathPattern::Exact(exact) => (exact == path).then_some((true, exact.len())),
        PathPattern::Prefix(prefix) => {
            (path.starts_with(prefix) || Some(path) == prefix.strip_suffix('/')).then_some((false, prefix.len()))
        }
    }
}

fn naive<'r>(routes: &'r [Arc<Route>], path: &str, method: &Method) -> Option<&'r Arc<Route>> {
    let best = routes.iter().filter_map(|route| rank(&route.path, path)).max()?;
    // A slash at the end is refused beside an exact route without it, unless a route is written with the slash.
    let without = path.strip_suffix('/').filter(|without| !without.is_empty());
    let exact = |path| routes.iter().any(|route| matches!(rank(&route.path, path), Some((true, _))));
    if without.is_some_and(exact) && best != (false, path.len()) {
        return None;
    }
    let here = || routes.iter().filter(|route| rank(&route.path, path) == Some(best));
    let naming =
        |method: &Method| here().find(|route| route.methods.as_ref().is_some_and(|methods| methods.contains(method)));
    naming(method)
        .or_else(|| (*method == Method::HEAD).then(|| naming(&Method::GET)).flatten())
        .or_else(|| here().find(|route| route.methods.is_none()))
}

fn any_method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::OPTIONS])
}

/// Pieces that paths are attacked with.
fn hostile_path() -> impl Strategy<Value = String> {
    let pieces = vec![
        "admin",
        "public",
        "/",
        "/",
        "/",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5c",
        ";",
        ";x=y",
        "%3b",
        "%25",
        "2e",
        "2f",
        "%c0%ae",
        "%00",
        "%20",
        "\\",
        "x",
        "%61dmin",
        "%u002e",
        "%3f",
        "%23",
        "::$DATA",
        "A",
        "%EF%BC%8E",
        "%EF%BC%8F",
        "%E2%80%A5",
        "%EF%BC%9B",
        "%CD%BE",
        "%EF%BC%9F",
        "%EF%BC%83",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// The full-width and compatibility forms as NFKC and best-fit code pages read them.
fn compatible(text: &str) -> String {
    text.replace(['\u{ff0f}', '\u{2215}'], "/")
        .replace('\u{ff0e}', ".")
        .replace('\u{2025}', "..")
        .replace(['\u{ff1b}', '\u{37e}'], ";")
        .replace('\u{ff1f}', "?")
        .replace('\u{ff03}', "#")
}

fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
}

fn resolve(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match segment.trim_end_matches(' ') {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment.split("::$").next().unwrap().trim_end_matches(['.', ' '])),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    format!("/{}", segments.join("/"))
}

/// What servers are known to do to a path, in every order of four steps, with dot segments resolved at the end.
fn lenient_readings(path: &str) -> Vec<String> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let steps: [&dyn Fn(&str) -> String; 6] = [
        &decode,
        &|text| without_parameters(text),
        &|text| text.split(['?', '#']).next().unwrap().to_owned(),
        &|text| text.split(';').next().unwrap().to_owned(),
        &|text| compatible(text).replace('\\', "/"),
        &|text| resolve(text),
    ];
    let mut readings = vec![path.to_owned()];
    for _ in 0..4 {
        let more: Vec<_> = readings.iter().flat_map(|text| steps.iter().map(move |step| step(text))).collect();
        readings.extend(more);
        readings.sort();
        readings.dedup();
    }
    readings.iter().map(|text| resolve(text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_reading_of_a_path_that_passes_leads_to_another_route(raw in hostile_path()) {
        let Ok(path) = CanonicalPath::parse(&raw) else { return Ok(()) };
        let routes = ["/", "/admin/", "/public/", "/public/x"].map(|path| route(path, &[]));
        let router = router(routes.to_vec());
        let Ok(found) = router.find("app.test", &path, &Method::GET) else { return Ok(()) };
        for reading in lenient_readings(path.as_str()) {
            let other = naive(&routes, &reading, &Method::GET).unwrap();
            prop_assert!(
                other.name == found.name,
                "{raw}: {} is forwarded by {}, and may be read as {reading}", path.as_str(), found.name
            );
        }
    }

    #[test]
    fn the_router_agrees_with_a_linear_scan(
        patterns in prop::collection::hash_set("(/[ab]{1,2}){0,3}/?", 0..12),
        methods in prop::collection::vec(prop::collection::vec(any_method(), 0..3), 12),
        requests in prop::collection::vec(("(/[ab]{1,2}){0,4}/?", any_method()), 16),
    ) {
        let routes: Vec<_> = patterns
            .iter()
            .filter(|pattern| !pattern.is_empty())
            .zip(&methods)
            .map(|(pattern, methods)| route(pattern, methods))
            .collect();
        let router = router(routes.clone());
        for (raw, method) in &requests {
            let Ok(path) = CanonicalPath::parse(raw) else { continue };
            let found = router.find("app.test", &path, method).ok().map(|found| &found.name);
            prop_assert_eq!(found, naive(&routes, raw, method).map(|route| &route.name), "{} {}", method, raw);
        }
    }
}
