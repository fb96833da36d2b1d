//! The rules, by table.

mod properties;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{Access, Authentication, IdentitySetId, PathPattern, RouteId, Timeouts, Unauthenticated};

/// A route for a path as it is written in the file; without methods it is for all.
pub(in crate::routing) fn route(path: &str, methods: &[Method]) -> Arc<Route> {
    Arc::new(Route {
        id: RouteId(0),
        name: format!("{path}{methods:?}").into(),
        path: if path.ends_with('/') { PathPattern::Prefix(path.into()) } else { PathPattern::Exact(path.into()) },
        methods: if methods.is_empty() { None } else { Some(methods.to_vec()) },
        ignore_case: false,
        access: Access::Required,
        issuers: Vec::new(),
        require: Vec::new(),
        authentication: Authentication::default(),
        upstream: None,
        identity: IdentitySetId(0),
        assertion: false,
        forward_access_token: false,
        upstream_authorization: None,
        strip_prefix: None,
        rewrite_host: None,
        unauthenticated: Unauthenticated::Auto,
        explain_refusals: false,
        resend_forms: None,
        websocket_close_code: 1008,
        rate_limits: vec![],
        timeouts: Timeouts { connect: Duration::ZERO, response: Duration::ZERO, idle: Duration::ZERO },
        body_limit: None,
        allowed_origins: Vec::new(),
        cors: false,
        login: None,
    })
}

fn ignoring_case(path: &str) -> Arc<Route> {
    Arc::new(Route { ignore_case: true, ..Route::clone(&route(path, &[])) })
}

fn site(host: &str, routes: Vec<Arc<Route>>) -> Site {
    let host = host
        .strip_prefix('*')
        .map_or_else(|| HostPattern::Exact(host.to_owned()), |suffix| HostPattern::OneLabel(suffix.to_owned()));
    Site { host, routes }
}

fn router(routes: Vec<Arc<Route>>) -> Router {
    Router::new(&[site("app.test", routes)])
}

fn paths(paths: &[&str]) -> Router {
    router(paths.iter().map(|path| route(path, &[])).collect())
}

/// The pattern that wins a path.
fn winner(router: &Router, path: &str) -> Result<String, NoRoute> {
    let path = CanonicalPath::parse(path).unwrap();
    router.find("app.test", &path, &Method::GET).map(|route| match &route.path {
        PathPattern::Exact(path) | PathPattern::Prefix(path) => path.clone(),
    })
}

#[test]
fn a_prefix_covers_its_segment_and_everything_below_it() {
    let router = paths(&["/", "/admin/", "/public/"]);
    for (path, expected) in [
        ("/admin", "/admin/"),
        ("/admin/", "/admin/"),
        ("/admin/x", "/admin/"),
        ("/admi%6e/x", "/admin/"),
        ("/administrator", "/"),
        ("/admin-x", "/"),
        ("/admin.json", "/"),
        ("/publicadmin", "/"),
        ("/public.admin", "/"),
        ("/ADMIN/x", "/"),
        ("/Admin/x", "/"),
        ("/adm%C4%B1n", "/"),
        ("/", "/"),
    ] {
        assert_eq!(winner(&router, path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn the_most_specific_path_wins() {
    let router = paths(&["/", "/a/", "/a/b/", "/a/b", "/a/b/c"]);
    for (path, expected) in
        [("/x", "/"), ("/a", "/a/"), ("/a/b", "/a/b"), ("/a/b/", "/a/b/"), ("/a/b/c", "/a/b/c"), ("/a/b/c/d", "/a/b/")]
    {
        assert_eq!(winner(&router, path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn an_exact_path_covers_itself_only() {
    let router = paths(&["/health"]);
    assert_eq!(winner(&router, "/health").as_deref(), Ok("/health"));
    for path in ["/", "/health/", "/health/x", "/healthy"] {
        assert_eq!(winner(&router, path), Err(NoRoute::NoPath), "{path}");
    }
}

#[test]
fn paths_that_an_application_could_read_as_another_routes_are_refused() {
    let router = paths(&["/", "/admin/", "/public/", "/public/exact"]);
    for path in [
        "/admin;x=y/x",
        "/admin;/x",
        "/admin;",
        "/admin./x",
        "/admin%20/x",
        "/%20/admin/x",
        "/admin::$INDEX_ALLOCATION/x",
        "/admin%3Fx",
        "/admin%23/x",
        "/admin%EF%BC%8Fx",
        "/admin%EF%BC%9Bx/y",
        "/public/exact;x",
        "/public/exact;x/y",
        "/public/exact.",
        "/public/exact/",
        "/public/exact./",
        "/public/exact;x/",
        "/public/exact%20/",
    ] {
        assert_eq!(winner(&router, path), Err(NoRoute::AmbiguousPath), "{path}");
    }
}

#[test]
fn odd_names_pass_where_every_reading_stays_on_the_same_route() {
    let router = paths(&["/", "/admin/", "/public/"]);
    for (path, expected) in [
        ("/admin/x;jsessionid=1", "/admin/"),
        ("/public/a;b=c/d", "/public/"),
        ("/public/what%3F.mp3", "/public/"),
        ("/public/Inc.", "/public/"),
        ("/public/AC%EF%BC%8FDC", "/public/"),
        ("/;jsessionid=1", "/"),
        ("/x%20y/50%25", "/"),
    ] {
        assert_eq!(winner(&router, path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn reserved_characters_match_encoded_or_not() {
    let router = paths(&["/", "/a@b/", "/caf%C3%A9/", "/x%2By/"]);
    for (path, expected) in
        [("/a@b/c", "/a@b/"), ("/a%40b/c", "/a@b/"), ("/caf%c3%a9", "/caf%C3%A9/"), ("/x+y", "/x%2By/")]
    {
        assert_eq!(winner(&router, path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn case_counts_unless_the_route_says_otherwise() {
    let router = router(vec![route("/", &[]), ignoring_case("/Admin/"), route("/admin/case/", &[])]);
    for (path, expected) in [
        ("/ADMIN/x", "/Admin/"),
        ("/admin/x", "/Admin/"),
        ("/adm%C4%B1n/x", "/Admin/"),
        ("/admin/case/x", "/admin/case/"),
        ("/ADMIN/CASE/x", "/Admin/"),
        ("/administrator", "/"),
    ] {
        assert_eq!(winner(&router, path).as_deref(), Ok(expected), "{path}");
    }
    assert_eq!(winner(&router, "/ADMIN;x/y"), Err(NoRoute::AmbiguousPath));
}

#[test]
fn the_path_decides_before_the_method_and_never_falls_through() {
    let router = router(vec![
        route("/", &[]),
        route("/reports/", &[Method::GET]),
        route("/both", &[Method::POST]),
        route("/both", &[Method::GET]),
        route("/rest", &[Method::POST]),
        route("/rest", &[]),
    ]);
    let name = |path: &str, method: &str| {
        let path = CanonicalPath::parse(path).unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        router.find("app.test", &path, &method).map(|route| route.name.to_string())
    };
    let refused = |allow: &'static str| Err(NoRoute::Method { allow: HeaderValue::from_static(allow) });

    assert_eq!(name("/reports/x", "GET").as_deref(), Ok("/reports/[GET]"));
    assert_eq!(name("/reports/x", "HEAD").as_deref(), Ok("/reports/[GET]"));
    assert_eq!(name("/reports/x", "POST"), refused("GET, HEAD"));
    assert_eq!(name("/reports/x", "OPTIONS"), refused("GET, HEAD"));
    assert_eq!(name("/reports/x", "get"), refused("GET, HEAD"));
    assert_eq!(name("/both", "POST").as_deref(), Ok("/both[POST]"));
    assert_eq!(name("/both", "HEAD").as_deref(), Ok("/both[GET]"));
    assert_eq!(name("/both", "PUT"), refused("GET, HEAD, POST"));
    assert_eq!(name("/rest", "POST").as_deref(), Ok("/rest[POST]"));
    assert_eq!(name("/rest", "DELETE").as_deref(), Ok("/rest[]"));
    for method in ["PROPFIND", "TRACK", "FOO", "get"] {
        assert_eq!(name("/x", method).as_deref(), Ok("/[]"), "{method}");
    }
    for method in ["TRACE", "CONNECT"] {
        assert_eq!(name("/x", method), refused("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"), "{method}");
        assert_eq!(name("/both", method), refused("GET, HEAD, POST"), "{method}");
    }
}

#[test]
fn a_route_that_names_trace_does_not_serve_it() {
    let router = router(vec![route("/", &[Method::TRACE, Method::GET])]);
    let path = CanonicalPath::parse("/").unwrap();
    let refusal = router.find("app.test", &path, &Method::TRACE).unwrap_err();
    assert_eq!(refusal, NoRoute::Method { allow: HeaderValue::from_static("GET, HEAD") });
}

#[test]
fn an_exact_host_wins_over_a_wildcard_of_one_label() {
    let router = Router::new(&[
        site("*.admin.test", vec![route("/wild", &[])]),
        site("secure.admin.test", vec![route("/exact", &[])]),
        site("[::1]", vec![route("/address", &[])]),
    ]);
    let found = |host: &str, path: &str| {
        let host = canonical_host(host).unwrap();
        router.find(&host, &CanonicalPath::parse(path).unwrap(), &Method::GET).map(|_| ())
    };
    assert_eq!(found("SECURE.Admin.Test", "/exact"), Ok(()));
    assert_eq!(found("secure.admin.test.:443", "/wild"), Err(NoRoute::NoPath));
    assert_eq!(found("Other.Admin.Test", "/wild"), Ok(()));
    assert_eq!(found("[0::1]:443", "/address"), Ok(()));
    for host in ["admin.test", "a.b.admin.test", "xadmin.test", "test", "localhost", "127.0.0.1"] {
        assert_eq!(found(host, "/wild"), Err(NoRoute::UnknownHost), "{host}");
    }
}

#[test]
fn a_full_width_slash_does_not_hide_what_is_left_without_parameters() {
    let router = paths(&["/", "/app/admin/"]);
    for path in [
        "/app;%EF%BC%8Fb/admin/x",
        "/app;x=y%E2%88%95b/admin/x",
        "/app;%EF%BC%8Fb/admin%EF%BC%9Bc/x",
        "/app::$DATA%EF%BC%8Fb/admin/x",
        "/app/admin%3F%EF%BC%8Fb",
    ] {
        assert_eq!(winner(&router, path), Err(NoRoute::AmbiguousPath), "{path}");
    }
}

#[test]
fn a_site_without_routes_serves_nothing() {
    assert_eq!(winner(&router(Vec::new()), "/"), Err(NoRoute::NoPath));
}
