//! The router against a naive one, and against what lenient servers do.

use http::Method;
use proptest::prelude::*;

use super::{route, router};
use crate::routing::CanonicalPath;
use crate::routing::model::{lenient_readings, winner};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_reading_of_a_path_that_passes_leads_to_another_route(raw in hostile_path()) {
        let Ok(path) = CanonicalPath::parse(&raw) else { return Ok(()) };
        let routes = ["/", "/admin/", "/public/", "/public/x"].map(|path| route(path, &[]));
        let router = router(routes.to_vec());
        let Ok(found) = router.find("app.test", &path, &Method::GET) else { return Ok(()) };
        for reading in lenient_readings(path.as_str()) {
            let other = winner(&routes, &reading, &Method::GET).unwrap();
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
            prop_assert_eq!(found, winner(&routes, raw, method).map(|route| &route.name), "{} {}", method, raw);
        }
    }
}
