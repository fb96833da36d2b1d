//! The router written down plainly, and what servers are known to make of a path: what tests and fuzzers hold the real one
//! to. Slow, and not in the product.

use std::sync::Arc;

use http::Method;
use icu_normalizer::ComposingNormalizerBorrowed;

use crate::config::{PathPattern, Route};

/// Whether a pattern covers a path, and how closely: the rule of the documentation, written down plainly.
fn rank(pattern: &PathPattern, path: &str) -> Option<(bool, usize)> {
    match pattern {
        PathPattern::Exact(exact) => (exact == path).then_some((true, exact.len())),
        PathPattern::Prefix(prefix) => {
            (path.starts_with(prefix) || Some(path) == prefix.strip_suffix('/')).then_some((false, prefix.len()))
        }
    }
}

/// The route that wins a path, by looking at all of them.
pub(crate) fn winner<'r>(routes: &'r [Arc<Route>], path: &str, method: &Method) -> Option<&'r Arc<Route>> {
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

/// The text as NFKC and best-fit code pages read it.
fn compatible(text: &str) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    composed.replace(['\u{2044}', '\u{2215}', '\u{29f8}', '\u{2216}', '\u{29f5}', '\\'], "/")
}

fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

fn resolve(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match segment.trim_end_matches(' ') {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment.split("::$").next().unwrap_or_default().trim_end_matches(['.', ' '])),
        }
    }
    segments.retain(|segment| !segment.is_empty());
    format!("/{}", segments.join("/"))
}

/// What servers are known to do to a path, in every order of four steps, with dot segments resolved at the end.
pub(crate) fn lenient_readings(path: &str) -> Vec<String> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let steps: [&dyn Fn(&str) -> String; 6] = [
        &decode,
        &|text| without_parameters(text),
        &|text| text.split(['?', '#']).next().unwrap_or_default().to_owned(),
        &|text| text.split(';').next().unwrap_or_default().to_owned(),
        &|text| compatible(text),
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
