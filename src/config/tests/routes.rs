use http::Method;

use super::{load_yaml, problems, small_with};
use crate::config::{Access, ConditionTest, Config, PathPattern, Route, Site};

const SITE: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers:
  app:
    issuer: app
    jwks_url: https://id.example.com/keys
    audiences: [web]
    login: { path: /auth/login, page: /hello }
sites:
  - host: app.example.com
    issuer: app
    upstream: http://app:8080
    require: { email_verified: true }
    identity_headers: { X-User: sub }
    timeouts: { connect: 1s, idle: 2s }
    routes:
      - path: /
      - { path: /hello, access: public }
      - { path: /api/, require: { scope: api }, timeouts: { idle: 9s }, upstream: [http://a, http://b] }
      - { path: /api/, methods: [DELETE], require: { roles: { any: [admin], none: [guest] } } }
      - { path: /api/open, access: optional, identity_headers: {} }
";

fn config(text: &str) -> Config {
    load_yaml(text).unwrap_or_else(|error| panic!("{error}")).config
}

fn names(site: &Site) -> Vec<&str> {
    site.routes.iter().map(|route| route.name.as_ref()).collect()
}

fn route<'c>(config: &'c Config, name: &str) -> &'c Route {
    config.sites[0].routes.iter().find(|route| route.name.as_ref() == name).unwrap()
}

#[test]
fn routes_stand_in_winning_order() {
    assert_eq!(
        names(&config(SITE).sites[0]),
        [
            "app.example.com/auth/login",
            "app.example.com/api/open",
            "app.example.com/hello",
            "app.example.com/api/ DELETE",
            "app.example.com/api/",
            "app.example.com/",
        ]
    );
}

#[test]
fn a_route_inherits_and_overrides_key_by_key() {
    let config = config(SITE);
    let (root, api) = (route(&config, "app.example.com/"), route(&config, "app.example.com/api/"));
    assert_eq!(root.require.len(), 1);
    assert_eq!(root.require[0].claim.to_string(), "email_verified");
    assert_eq!(api.require[0].claim.to_string(), "scope");
    assert_eq!((api.timeouts.connect.as_secs(), api.timeouts.idle.as_secs()), (1, 9));
    assert_eq!(api.timeouts.response, crate::config::defaults::TIMEOUTS.response);
    assert_eq!(config.upstreams[api.upstream.unwrap().0].addresses.len(), 2);
    assert_eq!(config.upstreams[root.upstream.unwrap().0].addresses.len(), 1);
    assert_eq!(api.identity, root.identity);
    assert_eq!(config.identity_sets[root.identity.0].len(), 1);
    assert_eq!(config.reserved_headers, ["x-user"]);
}

#[test]
fn access_is_required_unless_something_else_is_said() {
    let config = config(SITE);
    assert_eq!(route(&config, "app.example.com/").access, Access::Required);
    let open = route(&config, "app.example.com/api/open");
    assert_eq!((open.access, open.require.len()), (Access::Optional, 0));
    assert!(config.identity_sets[open.identity.0].is_empty());
}

#[test]
fn several_lists_on_one_claim_are_several_conditions() {
    let config = config(SITE);
    let delete = route(&config, "app.example.com/api/ DELETE");
    assert_eq!(delete.methods, Some(vec![Method::DELETE]));
    let tests: Vec<_> = delete.require.iter().map(|condition| &condition.test).collect();
    assert!(matches!(tests[..], [ConditionTest::Any(_), ConditionTest::None(_)]));
}

#[test]
fn a_domain_of_the_email_is_asked_for_with_a_verified_address_unless_that_is_said_otherwise() {
    let shown = |require: &str| {
        let config = config(&SITE.replace("scope: api", require));
        route(&config, "app.example.com/api/").require.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let domain = "email: { domain: [A.test, .b.test] }";
    assert_eq!(shown(domain), ["email domain any of a.test, .b.test", "email_verified = true"]);
    let both = format!("{domain}, email_verified: {{ none: [false] }}");
    assert_eq!(shown(&both), ["email domain any of a.test, .b.test", "email_verified none of false"]);
    assert_eq!(shown("upn: { domain: a.test }"), ["upn domain = a.test"]);
    assert_eq!(shown("email: root@a.test"), ["email = root@a.test"]);
    assert_eq!(shown("email: { any: [b@a.test], domain: a.test }").len(), 3);
}

#[test]
fn a_login_is_a_public_route_like_the_one_that_covers_it() {
    let config = config(&SITE.replace("- path: /\n", "- { path: /, body_limit: 1KiB }\n"));
    let login = route(&config, "app.example.com/auth/login");
    assert_eq!(login.login, Some(crate::config::IssuerId(0)));
    assert_eq!((login.access, login.body_limit), (Access::Public, Some(1024)));
    assert_eq!(login.path, PathPattern::Exact("/auth/login".into()));
    assert!(login.require.is_empty() && login.issuers.is_empty());
}

#[test]
fn a_route_at_the_login_path_becomes_the_login_if_it_is_public() {
    let with =
        |keys: &str| SITE.replace("- path: /\n", &format!("- path: /\n      - {{ path: /auth/login, {keys} }}\n"));
    let public = config(&with("access: public, body_limit: 2KiB"));
    assert_eq!(names(&public.sites[0]).len(), 6);
    assert_eq!(route(&public, "app.example.com/auth/login").login, Some(crate::config::IssuerId(0)));

    let problem = &problems(&with("body_limit: 2KiB"))[0];
    assert_eq!(problem.path, "sites[0].routes[1].path");
    assert!(problem.remedy.as_deref().unwrap().contains("access: public"));

    let get_only = config(&with("access: public, methods: [GET]"));
    assert_eq!(route(&get_only, "app.example.com/auth/login GET").login, None);
    assert_eq!(route(&get_only, "app.example.com/auth/login POST").methods, Some(vec![Method::POST]));
}

#[test]
fn a_login_page_lies_on_a_public_route() {
    let problem = &problems(&SITE.replace(", access: public", ""))[0];
    assert_eq!(problem.path, "issuers.app.login.page");
    assert!(problem.message.contains("app.example.com/hello"));
}

#[test]
fn sites_of_other_issuers_have_no_such_login() {
    let other = "  other: { issuer: https://o, audiences: [web] }\nsites:";
    let text =
        small_with("\nsites:", &format!("\n{other}")).replace("https://o, ", "https://o, login: { path: /login }, ");
    assert_eq!(names(&config(&text).sites[0]), ["app.example.com/"]);
}

#[test]
fn a_route_asks_for_a_sign_in_as_its_site_does_or_in_a_way_of_its_own_and_a_login_for_none() {
    let site = SITE.replace("    require: {", "    require: { acr: gold, max_age: 15m,").replace(
        "- path: /\n",
        "- path: /\n      - { path: /any/, require: {} }\n      - { path: /now/, require: { max_age: 1s } }\n",
    );
    let config = config(&site);
    let asked = |name: &str| route(&config, &format!("app.example.com{name}")).authentication.to_string();
    assert_eq!(asked("/"), "acr gold, signed in within 15m");
    assert_eq!(asked("/now/"), "signed in within 1s", "the two keys go together");
    for open in ["/any/", "/hello", "/api/open", "/auth/login"] {
        assert_eq!(asked(open), "", "{open}");
    }
}

#[test]
fn a_sign_in_that_nobody_can_be_sent_to_is_worth_a_note() {
    let notes = |site: &str| {
        let notes = load_yaml(site).unwrap().notes.into_iter().map(|note| note.to_string());
        notes.filter(|note| note.contains("max_age")).collect::<Vec<_>>()
    };
    let asking = SITE.replace("- path: /\n", "- { path: /, require: { max_age: 15m } }\n");
    assert_eq!(notes(&asking), [] as [String; 0]);
    let notes = notes(&asking.replace(", page: /hello", ""));
    assert!(notes.len() == 1 && notes[0].starts_with("sites[0].routes[0].require: sends nobody"), "{notes:?}");
}

#[test]
fn a_rate_limit_of_a_site_is_one_for_all_its_routes_and_an_empty_list_lifts_it() {
    let limited =
        "rate_limit: [{ by: address, requests: 9, per: 1m }, { by: address, requests: 90, per: 1h, burst: 5 }]";
    let text = SITE.replace("    require: {", &format!("    {limited}\n    require: {{")).replace(
        "{ path: /hello, access: public }",
        "{ path: /hello, access: public, rate_limit: { by: subject, requests: 1, per: 1s } }",
    );
    let text = text.replace("access: optional,", "access: optional, rate_limit: [],");
    let loaded = load_yaml(&text).unwrap_or_else(|error| panic!("{error}"));
    let limits = |name: &str| {
        let ids = &route(&loaded.config, name).rate_limits;
        ids.iter().map(|id| loaded.config.rate_limits[id.0].to_string()).collect::<Vec<_>>()
    };
    let of_site = [
        "9 requests in 1m by address, on app.example.com",
        "90 requests in 1h by address, 5 at once, on app.example.com",
    ];
    for name in ["", "api/", "api/ DELETE", "auth/login"] {
        assert_eq!(limits(&format!("app.example.com/{name}")), of_site, "{name}");
    }
    assert_eq!(limits("app.example.com/hello"), ["1 requests in 1s by subject, on app.example.com/hello"]);
    assert!(limits("app.example.com/api/open").is_empty());
    let names: Vec<&str> = loaded.config.rate_limits.iter().map(|limit| &*limit.name).collect();
    assert_eq!(names, ["address", "address-2", "subject"]);
    let notes: Vec<_> = loaded.notes.iter().map(|note| &*note.path).collect();
    assert!(notes.contains(&"sites[0].routes[1].rate_limit"), "{notes:?}");
}
