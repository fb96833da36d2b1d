use super::{SMALL, files, load_yaml, problems, small_with};
use crate::config::{Format, Sources, load};

/// Expects exactly one problem, at this key, whose message holds these words and which comes with a remedy.
fn refused(text: &str, path: &str, words: &str) {
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    assert_eq!(problems[0].path, path, "{text}\n{problems:#?}");
    assert!(problems[0].message.contains(words), "{text}\n{problems:#?}");
    let advised = problems[0].remedy.is_some() || problems[0].suggestion.is_some();
    assert!(advised || problems[0].message.contains("must be"), "{text}\n{problems:#?}");
}

#[test]
fn the_small_configuration_counts() {
    let loaded = load_yaml(SMALL).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.notes, []);
}

#[test]
fn several_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "
listen: { https: nowhere }
tls: { self_signed: maybe }
issuers:
  main: { issuer: https://id.example.com, audience: [web] }
sites:
  - host: app.example.com
    issuer: mian
    upstream: http://app:8080
    routes:
      - { path: admin }
      - { path: /, methods: [get] }
      - { path: /x, access: publik }
";
    let problems = problems(text);
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "listen.https",
            "tls.self_signed",
            "issuers.main.audience",
            "sites[0].issuer",
            "sites[0].routes[0].path",
            "sites[0].routes[1].methods[0]",
            "sites[0].routes[2].access",
        ]
    );
    assert_eq!(problems[3].suggestion.as_deref(), Some("main"));
    assert_eq!(problems[6].suggestion.as_deref(), Some("public"));
}

#[test]
fn a_part_of_all_traces_is_between_none_and_all() {
    for wrong in ["-0.1", "1.5", "10"] {
        refused(&format!("{SMALL}tracing: {{ sample: {wrong} }}\n"), "tracing.sample", "between 0 and 1");
    }
    refused(&format!("{SMALL}tracing: {{ accept_from: clients }}\n"), "tracing.accept_from", "");
}

#[test]
fn a_collector_is_told_by_its_address_and_what_it_wants_to_see_by_a_file() {
    let otlp = |keys: &str| format!("{SMALL}tracing: {{ otlp: {{ {keys} }} }}\n");
    refused(&otlp(""), "tracing.otlp.endpoint", "missing");
    refused(&otlp("endpoint: 'http://c:4317'"), "tracing.otlp.endpoint", "gRPC");
    refused(&otlp("endpoint: 'http://c/v1/traces'"), "tracing.otlp.endpoint", "/v1/traces");
    refused(&otlp("endpoint: 'http://c', timeout: 0s"), "tracing.otlp.timeout", "longer than 0s");
    refused(&otlp("endpoint: 'http://c', headers_file: /nowhere"), "tracing.otlp.headers_file", "cannot be read");
    refused(&otlp("endpoint: 'http://c', headers_file: /dev/null"), "tracing.otlp.headers_file", "no header");
    refused(&otlp("endpoint: 'http://c', ca_file: /dev/null"), "tracing.otlp.ca_file", "certificates");
    let directory = files();
    let with = format!("endpoint: 'http://c', headers_file: '{}'", directory.path().join("otlp_headers").display());
    let notes = load_yaml(&otlp(&with)).unwrap().notes;
    assert!(notes.iter().any(|note| note.path == "tracing.otlp.headers_file" && note.message.contains("http")));
}

#[test]
fn tokens_in_the_store_need_cookies_of_our_own_and_a_note_tells_what_memory_means() {
    let session = |keys: &str| format!("{SMALL}session: {{ secret: hC2kQ0pZ9wX4hC2kQ0, tokens: store{keys} }}\n");
    refused(&session(", cookies: { sealed: false, access: a, refresh: r }"), "session.tokens", "existing service");
    refused(&session("s"), "session.tokens", "");
    let notes = load_yaml(&session("")).unwrap().notes;
    assert!(notes.iter().any(|note| note.path == "session.tokens" && note.message.contains("restart")), "{notes:?}");
    let notes = load_yaml(&session(", store: { redis: { url: 'redis://r' } }")).unwrap().notes;
    assert!(notes.iter().all(|note| note.path != "session.tokens"), "{notes:?}");
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let problems = problems("# nothing yet\n");
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["listen", "sites"]);
}

#[test]
fn listeners() {
    let listen = |listen: &str| small_with("{ https: 127.0.0.1:0 }", listen);
    refused(&listen("{ http: 127.0.0.1:80 }"), "listen", "no public listener");
    refused(&listen("{ https: 0.0.0.0 }"), "listen.https", "address with a port");
    refused(&listen("{ https: [127.0.0.1:1, x] }"), "listen.https[1]", "address with a port");
    refused(&listen("{ https: 127.0.0.1:0, plain: 127.0.0.1:1 }"), "listen.plain", "there are none");
    refused(&listen("{ https: 127.0.0.1:0, proxy_protocol: true }"), "listen.proxy_protocol", "there are none");
    refused(&listen("{ https: 0.0.0.0:1, admin: 127.0.0.1:1 }"), "listen.admin", "port of https");
    refused(&listen("{ https: 0.0.0.0:1, http: 0.0.0.0:1 }"), "listen.http", "port of https");
    let other = listen("{ https: 0.0.0.0:1, admin: { address: '127.0.0.1:1' } }");
    refused(&other, "listen.admin", "port of https");
    refused(&small_with("self_signed: true", "self_signed: false"), "tls", "no certificate");
    refused(&small_with("tls:", "trusted_proxies: [10.0.0.0/99]\ntls:"), "trusted_proxies[0]", "a network");
}

#[test]
fn an_admin_listener_that_others_reach_needs_a_token_that_cannot_be_guessed() {
    let admin =
        |admin: &str| small_with("{ https: 127.0.0.1:0 }", &format!("{{ https: 127.0.0.1:0, admin: {admin} }}"));
    for address in ["0.0.0.0:9901", "10.0.0.2:9901", "[::]:9901", "[2001:db8::1]:9901", "[::ffff:10.0.0.2]:9901"] {
        refused(&admin(&format!("'{address}'")), "listen.admin", "nothing says who may read");
        refused(&admin(&format!("{{ address: '{address}' }}")), "listen.admin.address", "nothing says who may read");
        let guarded = admin(&format!("{{ address: '{address}', token: 4fa81c0a5f7b9d3e }}"));
        assert!(load_yaml(&guarded).is_ok(), "{guarded}");
    }
    for address in ["127.0.0.1:9901", "127.1.2.3:9901", "[::1]:9901", "[::ffff:127.0.0.1]:9901"] {
        for free in [format!("'{address}'"), format!("{{ address: '{address}', hosts: [status.example.com] }}")] {
            assert!(load_yaml(&admin(&free)).is_ok(), "{free}");
        }
    }
    let keys = |keys: &str| admin(&format!("{{ address: '0.0.0.0:9901', {keys} }}"));
    refused(&keys("token: 4fa81c0a5f7b9d3"), "listen.admin.token", "shorter than 16");
    refused(&keys("token: 'two words 0123456789'"), "listen.admin.token", "a header does not take");
    refused(&keys("token: passwordpassword"), "listen.admin.token", "everybody knows");
    refused(&keys("token_file: /nowhere/at/all"), "listen.admin.token_file", "/nowhere/at/all");
    refused(&keys("token: 4fa81c0a5f7b9d3e, hosts: ['*.example.com']"), "listen.admin.hosts[0]", "one name");
    refused(&keys("token: 4fa81c0a5f7b9d3e, hosts: []"), "listen.admin.hosts", "empty list");
    refused(&admin("{ hosts: [a.example] }"), "listen.admin.address", "missing");
}

#[test]
fn who_has_no_file_for_the_secret_of_sessions_is_told_how_to_make_one() {
    for key in ["secret_file: /nowhere/at/all", "secret: [{ file: /nowhere/at/all }]"] {
        let problems = problems(&format!("{SMALL}session: {{ {key} }}\n"));
        let [problem] = &problems[..] else { panic!("{problems:#?}") };
        let remedy = problem.remedy.as_deref().unwrap();
        assert!(remedy.contains("openssl rand -base64 48 > FILE") && remedy.contains("correct the path"), "{remedy}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let missing = "/nowhere/at/all";
    refused(&format!("{SMALL}session: {{ secret_file: {missing} }}\n"), "session.secret_file", missing);
    refused(&format!("{SMALL}session: {{ secret: [{{ file: {missing} }}] }}\n"), "session.secret[0].file", missing);
    refused(&format!("{SMALL}pages: {missing}\n"), "pages", missing);
    let issuer = |key: &str| small_with("audiences: [web]", &format!("audiences: [web], {key}"));
    refused(&issuer(&format!("ca_file: {missing}")), "issuers.main.ca_file", missing);
    refused(&issuer("ca_file: /dev/null"), "issuers.main.ca_file", "certificates");
    refused(
        &issuer(&format!("public_key_file: {missing}, algorithms: [RS256]")),
        "issuers.main.public_key_file",
        missing,
    );
    refused(
        &issuer("public_key_file: /dev/null, algorithms: [RS256]"),
        "issuers.main.algorithms[0]",
        "public_key_file",
    );
}

#[test]
fn secrets_that_can_be_guessed() {
    let session = |secret: &str| format!("{SMALL}session: {{ secret: {secret} }}\n");
    refused(&session("''"), "session.secret", "empty");
    refused(&session("changeme"), "session.secret", "everybody knows");
    refused(&session("[hC2kQ0pZ9wX4hC2kQ0, password]"), "session.secret[1]", "everybody knows");
    refused(&session("[]"), "session.secret", "empty list");
    let issuer = |keys: &str| small_with("audiences: [web]", &format!("audiences: [web], {keys}"));
    refused(&issuer("client_id: a, client_secret: secret"), "issuers.main.client_secret", "everybody knows");
    let short = "hmac_secret: hC2kQ0pZ9wX4hC2kQ0pZ9wX4, algorithms: [HS256]";
    refused(&issuer(short), "issuers.main.hmac_secret", "32 bytes");
    let for_512 = "hmac_secret: 0b5f7a1c9d3e2468ace13579bdf02468, algorithms: [HS256, HS512]";
    refused(&issuer(for_512), "issuers.main.algorithms[1]", "64 bytes");
}

#[test]
fn issuers() {
    let issuer = |keys: &str| small_with("audiences: [web]", &format!("audiences: [web], {keys}"));
    refused(&small_with(", audiences: [web]", ""), "issuers.main.audiences", "missing");
    refused(&small_with("audiences: [web]", "audiences: []"), "issuers.main.audiences", "empty list");
    refused(&small_with("issuer: https://id.example.com, ", ""), "issuers.main.issuer", "missing");
    refused(&small_with("https://id", "http://id"), "issuers.main.issuer", "plain http");
    refused(&small_with("https://id.example.com", "id"), "issuers.main.issuer", "not a URL");
    refused(&issuer("jwks_url: http://id/keys"), "issuers.main.jwks_url", "plain http");
    refused(&issuer("backchannel_url: http://id"), "issuers.main.backchannel_url", "plain http");
    refused(&issuer("algorithms: []"), "issuers.main.algorithms", "empty list");
    refused(&issuer("algorithms: [none]"), "issuers.main.algorithms[0]", "signed");
    refused(&issuer("algorithms: [rs256]"), "issuers.main.algorithms[0]", "not an algorithm");
    refused(&issuer("algorithms: [HS256]"), "issuers.main.algorithms[0]", "shared secrets");
    let hmac = "hmac_secret: 0b5f7a1c9d3e2468ace13579bdf02468";
    refused(&issuer(&format!("{hmac}, algorithms: [RS256]")), "issuers.main.algorithms[0]", "public keys");
    refused(&issuer(hmac), "issuers.main.algorithms", "missing");
    refused(&issuer(&format!("{hmac}, hmac_secret_file: x")), "issuers.main.hmac_secret_file", "beside");
    refused(
        &issuer(&format!("{hmac}, jwks_url: https://id/k, algorithms: [RS256]")),
        "issuers.main.hmac_secret",
        "beside",
    );
    refused(&issuer("jwks_url: https://id/k, backchannel_url: https://x"), "issuers.main.backchannel_url", "discovery");
    refused(&issuer("leeway: 1h"), "issuers.main.leeway", "longer than");
    refused(&issuer("client_secret: hC2kQ0pZ9wX4"), "issuers.main.client_secret", "client_id");
    refused(
        &issuer("client_id: a, client_authentication: post"),
        "issuers.main.client_authentication",
        "client_secret",
    );
    refused(&issuer("client_id: a, scopes: ['a b']"), "issuers.main.scopes[0]", "one word");
    refused(
        &issuer("client_id: a, authorization_parameters: { state: x }"),
        "issuers.main.authorization_parameters.state",
        "by itself",
    );
    refused(
        &issuer("client_id: a, authorization_parameters: { 'a b': x }"),
        "issuers.main.authorization_parameters[\"a b\"]",
        "not the name",
    );
    refused(&issuer("client_id: a, identity: id_token"), "issuers.main.audiences", "beside identity");
    let id_token = small_with("audiences: [web]", "identity: id_token");
    refused(&id_token, "issuers.main.identity", "client_id");
    let id_token = small_with("audiences: [web]", "client_id: a, identity: id_token, scopes: [email]");
    refused(&id_token, "issuers.main.scopes", "no ID token");
    refused(&issuer("refresh: { token_endpoint: https://id/t }"), "issuers.main.refresh.token_endpoint", "client");
    refused(&issuer("refresh: { send: json }"), "issuers.main.refresh", "where");
    refused(&issuer("refresh: { url: https://id/r, access_token: a }"), "issuers.main.refresh.access_token", "Pointer");
    refused(&issuer("login: { path: /login/ }"), "issuers.main.login.path", "slash");
    refused(
        &issuer("login: { path: /l, cookies: { access: a, refresh: a } }"),
        "issuers.main.login.cookies.refresh",
        "same",
    );
    let wrong = issuer("refresh: { url: https://id/r, access_token: a, refresh_token: b }");
    assert_eq!(problems(&wrong).len(), 2, "two wrong pointers are not the same one");
    let twin = "\n  twin: { issuer: https://id.example.com, audiences: [web] }\nsites:";
    refused(&small_with("\nsites:", twin), "issuers.twin.issuer", "main");
    refused(&SMALL.replace("main", "Main"), "issuers.Main", "not a name");
}

#[test]
fn one_public_key_is_for_one_family_of_algorithms() {
    let directory = files();
    let check = |algorithms: &str| {
        let text = small_with(
            "audiences: [web]",
            &format!("audiences: [web], public_key_file: ec.pub.pem, algorithms: {algorithms}"),
        );
        load(&Sources::text("usher.yaml", Format::Yaml, &text, directory.path()))
    };
    assert!(check("[ES256]").is_ok());
    for algorithms in ["[RS256]", "[EdDSA]", "[HS256]", "[ES256, RS256]"] {
        assert!(check(algorithms).is_err(), "{algorithms}");
    }
}

#[test]
fn shared_stores() {
    let store =
        |redis: &str| format!("{SMALL}session: {{ secret: hC2kQ0pZ9wX4hC2kQ0, store: {{ redis: {{ {redis} }} }} }}\n");
    let at = |key: &str| format!("session.store.redis.{key}");
    let without_secret = format!("{SMALL}session: {{ store: {{ redis: {{ url: 'redis://r' }} }} }}\n");
    refused(&without_secret, "session.store", "session secret");
    refused(
        &format!("{SMALL}session: {{ secret: hC2kQ0pZ9wX4hC2kQ0, store: {{}} }}\n"),
        "session.store.redis",
        "missing",
    );
    refused(&store("prefix: x"), &at("url"), "missing");
    refused(&store("url: 'http://r'"), &at("url"), "URL of a Redis");
    refused(&store("url: 'redis://u:p@r'"), &at("url"), "password");
    refused(&store("url: 'redis://u@r'"), &at("password_file"), "missing");
    refused(&store("url: 'redis://r/x'"), &at("url"), "by number");
    refused(&store("url: 'redis://r?protocol=resp2'"), &at("url"), "more than a path");
    refused(&store("url: ['redis://r', 'redis://s']"), &at("url"), "several");
    refused(&store("url: ['redis://r', 'rediss://s'], cluster: true"), &at("url"), "differ");
    refused(&store("url: ['redis://r', 'x'], cluster: true"), "session.store.redis.url[1]", "URL of a Redis");
    refused(&store("url: 'redis://r/1', cluster: true"), &at("url"), "database");
    refused(&store("url: 'redis://r', cluster: true, sentinel: m"), &at("sentinel"), "beside cluster");
    refused(&store("url: 'redis://r', ca_file: ca.pem"), &at("ca_file"), "without TLS");
    refused(&store("url: 'redis://r', timeout: 0s"), &at("timeout"), "longer than 0s");
    refused(&store("url: 'redis://r', prefix: '{a}'"), &at("prefix"), "prefix");
    refused(&store("url: 'redis://r', password_file: /nowhere/at/all"), &at("password_file"), "/nowhere/at/all");
}

#[test]
fn sessions() {
    let session = |keys: &str| format!("{SMALL}session: {{ {keys} }}\n");
    refused(&session("store: 'redis://cache'"), "session.store", "not a store");
    refused(&session("absolute_timeout: 1h"), "session.absolute_timeout", "shorter");
    refused(&session("idle_timeout: 0s"), "session.idle_timeout", "longer than 0s");
    refused(&session("max_records: 0"), "session.max_records", "at least 1");
    refused(&session("cookies: { access: a }"), "session.cookies.access", "sealed");
    refused(&session("cookies: { sealed: false, access: a }"), "session.cookies.refresh", "missing");
    refused(&session("cookies: { sealed: false, access: a, refresh: a }"), "session.cookies.refresh", "same");
    refused(&session("cookies: { sealed: false, access: 'a b', refresh: b }"), "session.cookies.access", "cookie name");
    assert!(load_yaml(&session("refresh_ahead: 0s, refresh_grace: 0s")).is_ok());
}

#[test]
fn sealed_cookies_need_a_secret_unless_this_is_development() {
    let with_client = small_with("audiences: [web]", "audiences: [web], client_id: usher");
    let notes = load_yaml(&with_client).unwrap().notes;
    assert_eq!(notes[0].path, "session.secret");

    let directory = files();
    let text = with_client.replace("self_signed: true", "certificates: [{ certificate: ca.pem, key: server.key }]");
    let error = load(&Sources::text("usher.yaml", Format::Yaml, &text, directory.path())).unwrap_err();
    assert_eq!(error.problems.len(), 1);
    assert_eq!(error.problems[0].path, "session.secret");
    let raw = format!("{text}session: {{ cookies: {{ sealed: false, access: a, refresh: b }} }}\n");
    assert!(load(&Sources::text("usher.yaml", Format::Yaml, &raw, directory.path())).is_ok());
}

#[test]
fn certificates_and_keys_are_what_they_are_called() {
    let directory = files();
    for (pair, path, what) in [
        ("certificate: server.key, key: server.key", "tls.certificates[0].certificate", "no certificate in PEM"),
        ("certificate: ca.pem, key: ca.pem", "tls.certificates[0].key", "no private key in PEM"),
        ("certificate: nowhere, key: server.key", "tls.certificates[0].certificate", "cannot be read"),
        ("certificate: ca.pem, key: nowhere", "tls.certificates[0].key", "cannot be read"),
    ] {
        let text = small_with("self_signed: true", &format!("certificates: [{{ {pair} }}]"));
        let error = load(&Sources::text("usher.yaml", Format::Yaml, &text, directory.path())).unwrap_err();
        let problem = &error.problems[0];
        assert_eq!((error.problems.len(), &*problem.path), (1, path), "{error}");
        assert!(problem.message.contains(what), "{error}");
    }
}

#[test]
fn sites() {
    refused(&small_with("host: app.example.com", "host: https://app"), "sites[0].host", "not a host");
    refused(&small_with("host: app.example.com\n    ", ""), "sites[0].host", "missing");
    let twice =
        format!("{SMALL}{}", SMALL.split_once("sites:").unwrap().1.replace("app.e", "APP.e").trim_start_matches('\n'));
    refused(&twice, "sites[1].host", "another site");
    refused(&small_with("issuer: main\n", "access: required\n"), "sites[0].routes[0].issuer", "missing");
    refused(&small_with("issuer: main\n", "issuer: []\n"), "sites[0].issuer", "empty list");
    refused(&small_with("    upstream: http://app:8080\n", ""), "sites[0].routes[0].upstream", "missing");
    refused(&small_with("http://app:8080", "http://app:8080/x"), "sites[0].upstream", "path");
    refused(&small_with("      - path: /\n", "      []\n"), "sites[0].routes", "empty");
    refused(&small_with("path: /\n", "access: public\n"), "sites[0].routes[0].path", "missing");
    refused(&small_with("path: /\n", "path: /a/../b\n"), "sites[0].routes[0].path", "dot segment");
}

#[test]
fn route_keys() {
    let route = |keys: &str| small_with("- path: /", &format!("- {{ path: /pub/x, {keys} }}"));
    let at = |key: &str| format!("sites[0].routes[0].{key}");
    refused(&route("methods: [TRACE]"), &at("methods[0]"), "does not forward");
    refused(&route("identity_headers: { X_User: sub }"), &at("identity_headers.X_User"), "header name");
    refused(&route("identity_headers: { Cookie: sub }"), &at("identity_headers.Cookie"), "another meaning");
    refused(&route("identity_headers: { X-A: sub, x-a: sub }"), &at("identity_headers.x-a"), "twice");
    refused(&route("identity_headers: { X-A: a..b }"), &at("identity_headers.X-A"), "claim path");
    refused(&route("strip_headers: [Host]"), &at("strip_headers[0]"), "frames the message");
    refused(&route("require: { a..b: 1 }"), &at("require[\"a..b\"]"), "claim path");
    refused(&route("require: { a: { any: [] } }"), &at("require.a.any"), "empty list");
    refused(&route("require: { a: {} }"), &at("require.a"), "nothing");
    refused(&route("require: { a: { domain: [] } }"), &at("require.a.domain"), "empty list");
    refused(&route("require: { a: { domain: '*' } }"), &at("require.a.domain"), "domain of addresses");
    refused(
        &route("require: { a: { domain: [b.test, x@b.test] } }"),
        &at("require.a.domain[1]"),
        "domain of addresses",
    );
    refused(&route("require: { a: [b] }"), &at("require.a"), "is a list");
    refused(&route("require: { scope: 'a b' }"), &at("require.scope"), "one word");
    let of_sign_in = |keys: &str| route(&format!("require: {keys}"));
    refused(&of_sign_in("{ acr: [] }"), &at("require.acr"), "empty list");
    refused(&of_sign_in("{ acr: [gold, 2] }"), &at("require.acr[1]"), "not text");
    for wrong in ["'a b'", "''", "ä", "'a\"b'"] {
        refused(&of_sign_in(&format!("{{ acr: {wrong} }}")), &at("require.acr"), "Context Class");
    }
    for wrong in ["0s", "1500ms"] {
        refused(&of_sign_in(&format!("{{ max_age: {wrong} }}")), &at("require.max_age"), "whole number");
    }
    for open in ["public", "optional"] {
        let text = of_sign_in(&format!("{{ max_age: 5m }}, access: {open}"));
        refused(&text, &at("require"), "not be looked at");
    }
    refused(&route("require: { a: b }, access: optional"), &at("require"), "not be looked at");
    refused(&route("upstream_authorization: { header: X-Key }"), &at("upstream_authorization.value"), "missing");
    refused(
        &route("upstream_authorization: { basic: { username: 'a:b', password: c } }"),
        &at("upstream_authorization.basic.username"),
        "colon",
    );
    refused(&route("upstream_authorization: {}"), &at("upstream_authorization"), "what to send");
    refused(&route("strip_prefix: /other"), &at("path"), "strip_prefix");
    refused(&route("rewrite_host: 'a b'"), &at("rewrite_host"), "not a host");
    refused(&route("timeouts: { idle: 0s }"), &at("timeouts.idle"), "longer than 0s");
    for wrong in ["999", "1001", "1006", "1015", "2999", "5000"] {
        refused(&route(&format!("websocket_close_code: {wrong}")), &at("websocket_close_code"), "not a status");
    }
    for (wrong, key, words) in [
        ("requests: 1, per: 1m", ".by", "missing"),
        ("by: address, per: 1m", ".requests", "missing"),
        ("by: address, requests: 1", ".per", "missing"),
        ("by: everybody, requests: 1, per: 1m", ".by", ""),
        ("by: address, requests: 0, per: 1m", ".requests", "at least 1"),
        ("by: address, requests: 5000000000, per: 1m", ".requests", "too large"),
        ("by: address, requests: 2000000, per: 1s", ".requests", "limits nothing"),
        ("by: address, requests: 1, per: 0s", ".per", "at least 1s"),
        ("by: address, requests: 1, per: 1500ms", ".per", "whole seconds"),
        ("by: address, requests: 1, per: 25h", ".per", "longer"),
        ("by: address, requests: 1, per: 1m, burst: 0", ".burst", "at least 1"),
        ("by: address, requests: 1, per: 24h, burst: 8", ".burst", "come back"),
    ] {
        refused(&route(&format!("rate_limit: {{ {wrong} }}")), &at(&format!("rate_limit{key}")), words);
    }
    let twice = "rate_limit: [{ by: address, requests: 9, per: 1m }, { by: address, requests: 8, per: 1m }]";
    refused(&route(twice), &at("rate_limit[1]"), "counts the same");
    refused(&route("body_limit: lots"), &at("body_limit"), "size");
    refused(&route("allowed_origins: ['*']"), &at("allowed_origins[0]"), "origin");
    refused(&route("upstream: { url: 'http://a', server_name: b }"), &at("upstream.url"), "https");
    refused(
        &route("upstream: [{ url: 'https://a', server_name: b }, 'https://c']"),
        &at("upstream[1]"),
        "other TLS settings",
    );
}

#[test]
fn how_an_upstream_is_cared_for() {
    let upstream = |keys: &str| small_with("http://app:8080", &format!("{{ url: [http://a, http://b], {keys} }}"));
    let at = |key: &str| format!("sites[0].upstream.{key}");
    refused(&upstream("balance: sticky"), &at("balance"), "least_requests or session");
    refused(&upstream("health: {}"), &at("health.path"), "missing");
    refused(&upstream("health: { path: healthz }"), &at("health.path"), "");
    refused(&upstream("health: { path: /h, host: 'a b' }"), &at("health.host"), "not a host");
    refused(&upstream("health: { path: /h, interval: 0s }"), &at("health.interval"), "longer than 0s");
    refused(&upstream("health: { path: /h, timeout: 0s }"), &at("health.timeout"), "longer than 0s");
    refused(&upstream("health: { path: /h, interval: 1s, timeout: 2s }"), &at("health.timeout"), "the interval");
    refused(&upstream("health: { path: /h, healthy_after: 0 }"), &at("health.healthy_after"), "at least 1");
    refused(&upstream("health: { path: /h, status: 2xx }"), &at("health.status"), "status");
    refused(&upstream("ejection: { faults: 0 }"), &at("ejection.faults"), "at least 1");
    refused(&upstream("ejection: { server_errors: 0 }"), &at("ejection.server_errors"), "at least 1");
    refused(&upstream("ejection: { first: 9s, longest: 8s }"), &at("ejection.longest"), "shorter than first");
    refused(&upstream("ejection: { max_percent: 101 }"), &at("ejection.max_percent"), "more than all");
    refused(&upstream("circuit: { max_requests: 0 }"), &at("circuit.max_requests"), "at least 1");
    refused(&upstream("circuit: { retry_percent: 200 }"), &at("circuit.retry_percent"), "more than all");
    refused(&small_with("http://app:8080", "{ url: [] }"), &at("url"), "empty list");
    refused(&small_with("http://app:8080", "{ url: [http://a, nowhere] }"), &at("url[1]"), "");
    let differ = small_with("http://app:8080", "[http://a, { url: http://b, balance: session }]");
    refused(&differ, "sites[0].upstream[1]", "other settings");
    // What is short for itself stays in proportion.
    for fine in ["health: { path: /h, interval: 500ms }", "ejection: { first: 60s }", "ejection: { slow_start: 0s }"] {
        assert!(load_yaml(&upstream(fine)).is_ok(), "{fine}");
    }
}

#[test]
fn a_condition_of_a_route_is_never_lost_to_a_public_site() {
    let text = small_with("issuer: main\n", "issuer: main\n    access: public\n")
        .replace("- path: /", "- { path: /, require: { a: b } }");
    refused(&text, "sites[0].routes[0].require", "not be looked at");
}

#[test]
fn routes_that_can_never_be_told_apart() {
    let routes = |second: &str| small_with("- path: /", &format!("- path: /a\n      - {second}"));
    refused(&routes("{ path: /a }"), "sites[0].routes[1].path", "told apart from sites[0].routes[0]");
    refused(&routes("{ path: /A, ignore_case: true }"), "sites[0].routes[1].path", "told apart");
    for fine in ["{ path: /A }", "{ path: /a/ }", "{ path: /a, methods: [GET] }"] {
        assert!(load_yaml(&routes(fine)).is_ok(), "{fine}");
    }
    let methods =
        routes("{ path: /a, methods: [POST, GET] }").replace("- path: /a\n", "- { path: /a, methods: [GET] }\n");
    refused(&methods, "sites[0].routes[1].path", "told apart");
}

#[test]
fn limits_and_log() {
    refused(&format!("{SMALL}limits: {{ header_bytes: 1KiB }}\n"), "limits.header_bytes", "between");
    refused(&format!("{SMALL}limits: {{ connections: 0 }}\n"), "limits.connections", "at least 1");
    refused(&format!("{SMALL}limits: {{ connections: -1 }}\n"), "limits.connections", "whole number");
    for level in ["usher=loud", "usher=debug info", " ", "info, "] {
        refused(&format!("{SMALL}log: {{ level: '{level}' }}\n"), "log.level", "level");
    }
    let loaded = load_yaml(&format!("{SMALL}log: {{ level: 'h2 = warn, info' }}\n")).unwrap();
    assert_eq!(loaded.config.log.level, "h2=warn,info", "as it is read");
}

#[test]
fn a_site_has_one_issuer_that_is_asked_about_its_tokens_at_most() {
    let asked = |name: &str| {
        let client = "client_id: a, client_secret: AbCd-3fG7hQ9xZ2k, audiences: [web]";
        format!("  {name}: {{ issuer: 'https://{name}.test', identity: introspection, {client} }}\n")
    };
    let two = small_with("sites:", &format!("{}{}sites:", asked("one"), asked("two")));
    let with = |issuers: &str| two.replacen("issuer: main", issuers, 1);
    load_yaml(&with("issuer: [main, one]")).unwrap();
    refused(&with("issuer: [one, main, two]"), "sites[0]", "two issuers with identity: introspection");
    // Usher's own paths are about all routes.
    let apart = with("issuer: one").replacen("- path: /", "- path: /\n      - { path: /x/, issuer: two }", 1);
    refused(&apart, "sites[0]", "two issuers");
}

#[test]
fn clients_with_a_key() {
    let issuer = |keys: &str| small_with("audiences: [web]", &format!("audiences: [web], {keys}"));
    let directory = files();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    std::fs::write(file("rsa.key"), rsa).unwrap();
    let key = |name: &str, keys: &str| issuer(&format!("client_id: a, client_key_file: {}{keys}", file(name)));
    load_yaml(&key("server.key", "")).unwrap();
    load_yaml(&key("rsa.key", ", client_key_algorithm: PS256, client_authentication: private_key_jwt")).unwrap();
    refused(&key("rsa.key", ""), "issuers.main.client_key_algorithm", "RSA key");
    for wrong in ["RS256", "ES384", "EdDSA"] {
        let text = key("server.key", &format!(", client_key_algorithm: {wrong}"));
        refused(&text, "issuers.main.client_key_algorithm", "not what the key");
    }
    for wrong in ["HS256", "none", "RS512"] {
        let text = key("rsa.key", &format!(", client_key_algorithm: {wrong}"));
        refused(&text, "issuers.main.client_key_algorithm", "not an algorithm for a client");
    }
    for no_key in ["ca.pem", "ec.pub.pem", "hmac_secret"] {
        refused(&key(no_key, ""), "issuers.main.client_key_file", "no private key");
    }
    refused(&key("nowhere.key", ""), "issuers.main.client_key_file", "cannot be read");
    let both = key("server.key", ", client_secret: AbCd-3fG7hQ9xZ2k");
    refused(&both, "issuers.main.client_key_file", "beside a client_secret");
    let none = key("server.key", ", client_authentication: none");
    refused(&none, "issuers.main.client_authentication", "beside a key");
    refused(
        &key("server.key", ", client_authentication: post"),
        "issuers.main.client_authentication",
        "needs a client_secret",
    );
    let jwt = issuer("client_id: a, client_authentication: private_key_jwt");
    refused(&jwt, "issuers.main.client_authentication", "needs a client_key_file");
    refused(&key("server.key", "").replace("client_id: a, ", ""), "issuers.main.client_key_file", "needs a client_id");
    for given in ["client_key_id: a", "client_key_algorithm: ES256", "client_assertion_audience: a"] {
        let name = given.split(':').next().unwrap();
        refused(&issuer(&format!("client_id: a, {given}")), &format!("issuers.main.{name}"), "needs a client_key_file");
    }
}

#[test]
fn issuers_that_are_asked_about_tokens() {
    let issuer = |keys: &str| small_with("audiences: [web]", &format!("audiences: [web], {keys}"));
    let asked = "identity: introspection, client_id: a, client_secret: AbCd-3fG7hQ9xZ2k";
    let opaque = |keys: &str| small_with("audiences: [web]", &format!("{asked}, {keys}"));
    load_yaml(&opaque("audiences: [web], introspection_cache: 0s")).unwrap();
    refused(&opaque("scopes: [openid]"), "issuers.main.audiences", "missing");
    refused(&opaque("audiences: [web], token_type: at+jwt"), "issuers.main.token_type", "beside identity");
    refused(
        &opaque("audiences: [web], introspection_cache: 11m"),
        "issuers.main.introspection_cache",
        "longer than 10m",
    );
    let plain = opaque("audiences: [web], introspection_endpoint: http://id/i");
    refused(&plain, "issuers.main.introspection_endpoint", "http");
    let keys = opaque("audiences: [web], jwks_url: https://id/keys");
    refused(&keys, "issuers.main.introspection_endpoint", "no discovery");
    for client in ["", ", client_id: a", ", client_id: a, client_authentication: none"] {
        refused(
            &issuer(&format!("identity: introspection{client}")),
            "issuers.main.identity",
            "client with a secret or a key",
        );
    }
    for key in ["introspection_endpoint: https://id/i", "introspection_cache: 30s"] {
        let name = key.split(':').next().unwrap();
        refused(&issuer(key), &format!("issuers.main.{name}"), "is for identity: introspection");
    }
}

#[test]
fn a_claim_within_a_claim_that_is_written_as_a_map_is_told_how_it_is_named() {
    let route = "- { path: /pub/x, require: { realm_access: { roles: admin } } }";
    let problems = problems(&small_with("- path: /", route));
    let remedies: Vec<_> = problems.iter().filter_map(|problem| problem.remedy.as_deref()).collect();
    assert!(remedies.iter().any(|remedy| remedy.contains("realm_access.roles: admin")), "{problems:#?}");
}
