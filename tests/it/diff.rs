//! `usher diff`, the real command: what it says about each kind of change, and with which exit code.

use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::documents::first_of_the_readme;
use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::gateway::{SESSION_SECRET, complete};

const OLD: &str = "
issuers:
  main: { issuer: https://id.test, audiences: [usher] }
  spare: { issuer: https://spare.test, audiences: [usher] }
sites:
  - host: app.test
    issuer: main
    upstream: http://127.0.0.1:9
    identity_headers: { X-User-Id: sub, X-User-Email: email }
    strip_headers: [X-Role]
    routes:
      - path: /
      - { path: /admin/, require: { roles: { any: [admin, root] }, email_verified: true } }
      - { path: /public/, access: public }
      - { path: /public/inner/ }
      - { path: /only/, methods: [GET] }
      - { path: /Any/, ignore_case: true, require: { roles: admin } }
      - { path: /gold/, require: { acr: [gold, silver], max_age: 10m } }
  - host: '*.wild.test'
    upstream: http://127.0.0.1:9
    access: public
    routes: [{ path: / }]
  - host: a.wild.test
    issuer: main
    upstream: http://127.0.0.1:9
    routes: [{ path: / }]
";

/// What is decided beside routes, and by files.
const MORE: &str = "
trusted_proxies: [10.0.0.0/9]
issuers:
  desk: { local: { users_file: users.yaml } }
  main: { issuer: https://id.test, audiences: [usher], ca_file: site.pem }
sites:
  - host: shown.test
    upstream: http://127.0.0.1:9
    access: public
    client_certificates: { ca_file: authority.pem, required: true }
    routes: [{ path: / }]
  - host: desk.test
    issuer: desk
    upstream: { url: 'http://127.0.0.1:9', circuit: { max_requests: 7 } }
    rate_limit: { by: address, requests: 9, per: 1m }
    routes: [{ path: / }]
  - host: main.test
    issuer: main
    upstream: http://127.0.0.1:9
    routes: [{ path: / }]
  - host: both.test
    issuer: [main, desk]
    upstream: http://127.0.0.1:9
    routes: [{ path: / }, { path: /feed, access: optional, issuer: main }, { path: /open, access: public }]
";

static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash("builder", 8).unwrap());

/// A directory with two configurations.
struct Pair(TempDir);

impl Pair {
    fn new(before: &str, after: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, yaml) in [("old.yaml", before), ("new.yaml", after)] {
            std::fs::write(directory.path().join(name), complete(yaml, &directory)).unwrap();
        }
        authority().write(&["other.test"], directory.path(), "other");
        std::fs::write(directory.path().join("authorities.pem"), authority().root_pem().repeat(2)).unwrap();
        for (name, serials) in [("revoked.pem", &[1][..]), ("none.pem", &[])] {
            std::fs::write(directory.path().join(name), authority().revoked(serials)).unwrap();
        }
        for (name, users) in [("users.yaml", &["bob"][..]), ("more.yaml", &["bob", "eve"])] {
            let users: Vec<_> = users.iter().map(|user| format!("{user}: {{ password: {} }}", *HASH)).collect();
            let users = format!("users: {{ {} }}", users.join(", "));
            std::fs::write(directory.path().join(name), users).unwrap();
        }
        Self(directory)
    }

    /// The exit code, and everything that was said.
    async fn diff(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let arguments = [&["diff", "old.yaml", "new.yaml"], arguments].concat();
        let (code, said, error) = Usher::finish(&arguments, self.0.path(), input).await;
        let said = said + &error;
        assert!(!said.contains(SESSION_SECRET) && !said.contains('\u{1b}'), "{said}");
        (code, said)
    }

    async fn json(&self, arguments: &[&str], input: &str) -> (Option<i32>, Value) {
        let (code, said) = self.diff(&[arguments, &["--output", "json"]].concat(), input).await;
        (code, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}")))
    }
}

/// What changes when this stands in place of that, a line to each change, and the exit code.
async fn changes(from: &str, to: &str) -> (Option<i32>, Vec<String>) {
    changes_of(OLD, from, to).await
}

async fn changes_of(old: &str, from: &str, to: &str) -> (Option<i32>, Vec<String>) {
    assert!(old.contains(from), "{from}");
    let (code, told) = Pair::new(old, &old.replacen(from, to, 1)).json(&[], "").await;
    let texts = |value: &Value| {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let line = |change: &Value| {
        let text = |name: &str| change[name].as_str().unwrap_or("every site").to_owned();
        let (paths, methods) = (texts(&change["paths"]).join(" "), texts(&change["methods"]).join(","));
        let what = texts(&change["what"]).join("; ");
        format!("{} {} {paths} {methods}: {what}", text("kind"), text("site")).replace("  ", " ").replace(" :", ":")
    };
    (code, told["changes"].as_array().unwrap().iter().map(line).collect())
}

#[tokio::test]
async fn a_list_of_revoked_client_certificates_that_goes_lets_them_in() {
    let asks = "{ ca_file: authority.pem, crl_file: revoked.pem }";
    let old = MORE.replace("{ ca_file: authority.pem, required: true }", asks);
    for (from, to, told) in [
        (", crl_file: revoked.pem", "", "opened shown.test: client certificates required: revoked ones count"),
        ("revoked.pem", "none.pem", "changed shown.test: client certificates required: other lists of revoked ones"),
    ] {
        assert_eq!(changes_of(&old, from, to).await.1, [told]);
    }
}

/// What stands in place of what, the exit code, and what is told of it.
type Kind = (&'static str, &'static str, i32, &'static [&'static str]);

const KINDS: &[Kind] = &[
    (
        "/Any/, ignore_case: true, require: { roles: admin } }",
        "/Any/, require: { roles: admin } }\n      - { path: /aNY/, require: { roles: admin } }",
        1,
        &[
            "opened app.test /Any/ /aNY/: users of main with roles = admin → users of main; falls under app.test/, before under app.test/Any/",
            "added app.test /aNY/: as what covers it: users of main with roles = admin",
        ],
    ),
    ("X-Role]", "X-Role]", 0, &[]),
    (
        "/admin/, require: { roles: { any: [admin, root] }, email_verified: true }",
        "/admin/, access: public",
        1,
        &["opened app.test /admin/: users of main with email_verified = true; roles any of admin, root → everybody"],
    ),
    ("/public/, access: public", "/public/", 1, &["closed app.test /public/: everybody → users of main"]),
    (
        "/public/, access: public",
        "/public/, access: optional",
        1,
        &["changed app.test /public/: access public → optional"],
    ),
    (
        ", email_verified: true",
        "",
        1,
        &[
            "opened app.test /admin/: users of main with email_verified = true; roles any of admin, root → users of main with roles any of admin, root",
        ],
    ),
    (
        "[admin, root]",
        "[admin]",
        1,
        &[
            "closed app.test /admin/: users of main with email_verified = true; roles any of admin, root → users of main with email_verified = true; roles = admin",
        ],
    ),
    (
        "[admin, root]",
        "[admin, boss]",
        1,
        &[
            "changed app.test /admin/: users of main with email_verified = true; roles any of admin, root → users of main with email_verified = true; roles any of admin, boss",
        ],
    ),
    (
        "[gold, silver], max_age: 10m",
        "[gold, silver], max_age: 20m",
        1,
        &[
            "opened app.test /gold/: users of main with acr gold or silver, signed in within 10m → users of main with acr gold or silver, signed in within 20m",
        ],
    ),
    (
        "/only/, methods: [GET]",
        "/only/, methods: [GET, POST]",
        1,
        &["opened app.test /only/ POST: nobody (the path has no route for this method) → users of main"],
    ),
    (
        "/only/, methods: [GET]",
        "/only/",
        1,
        &["opened app.test /only/ any other: nobody (the path has no route for this method) → users of main"],
    ),
    (
        "/public/inner/ }",
        "/public/inner/, issuer: [main, spare] }",
        1,
        &["opened app.test /public/inner/: users of main → users of main or spare"],
    ),
    (
        "id.test, audiences: [usher]",
        "id.test, audiences: [usher, other]",
        1,
        &["opened app.test /public/inner/ /: users of main → users of main; issuer main counts otherwise: audiences"],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, upstream: 'http://127.0.0.1:10' }",
        1,
        &["changed app.test /public/inner/: upstream http://127.0.0.1:9 → http://127.0.0.1:10"],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, identity_headers: { X-User-Name: name, X-User-Mail: email } }",
        0,
        &[
            "changed app.test /public/inner/: header X-User-Email → X-User-Mail (email); header X-User-Id is not sent (sub); header X-User-Name is sent too (name)",
        ],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, upstream: { url: 'http://127.0.0.1:9', balance: session } }",
        0,
        &["changed app.test /public/inner/: another balance"],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, upstream: { url: 'http://127.0.0.1:9', health: { path: /health } } }",
        0,
        &["changed app.test /public/inner/: another health"],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, upstream: { url: 'http://127.0.0.1:9', ejection: { faults: 7 } } }",
        0,
        &["changed app.test /public/inner/: another ejection"],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, upstream: { url: 'http://127.0.0.1:9', circuit: { max_requests: 7 } } }",
        1,
        &["changed app.test /public/inner/: another circuit"],
    ),
    (
        "{ path: /public/inner/ }",
        "{ path: /public/inner/, rate_limit: { by: address, requests: 7, per: 1m } }",
        1,
        &["changed app.test /public/inner/: another rate_limit"],
    ),
    (
        "  - host: a.wild.test\n",
        "  - host: a.wild.test\n    client_certificates: { ca_file: $DIRECTORY/authority.pem }\n",
        1,
        &["closed a.wild.test: no client certificates → client certificates required"],
    ),
    (
        "  - host: a.wild.test\n    issuer: main\n",
        "  - host: a.wild.test\n    issuer: main\n    client_certificates: { ca_file: $DIRECTORY/authority.pem, identity: { sub: common_name } }\n",
        1,
        &[
            "opened a.wild.test /: users of main → users of main or client certificates",
            "closed a.wild.test: no client certificates → client certificates required",
        ],
    ),
    ("[X-Role]", "[]", 0, &["opened every site: clients may send x-role themselves: it is not stripped any more"]),
    ("[X-Role]", "[X-Role, X-Key]", 0, &["closed every site: clients may not send x-key any more: it is stripped"]),
    (
        "      - path: /\n",
        "      - path: /\n      - { path: /more/, methods: [GET] }\n",
        1,
        &[
            "closed app.test /more/ any other: users of main → nobody (the path has no route for this method)",
            "added app.test /more/ GET,HEAD: as what covers it: users of main",
        ],
    ),
    ("      - path: /\n", "", 1, &["removed app.test /: users of main → nobody (the site has no route for this path)"]),
    (
        "  - host: '*.wild.test'",
        "  - { host: pub.test, upstream: 'http://127.0.0.1:9', access: public, routes: [{ path: / }] }\n  - host: '*.wild.test'",
        1,
        &["added pub.test: the site, 1 route(s), for everybody: /"],
    ),
];

const KINDS_OF_MORE: &[Kind] = &[
    (
        "[main, desk]",
        "[desk, main]",
        1,
        &["changed both.test /: issuers, the first of which people sign in with: main, desk → desk, main"],
    ),
    (
        "access: optional, issuer: main",
        "access: optional, issuer: [main, desk]",
        1,
        &["opened both.test /feed: everybody, signed in (main) or not → everybody, signed in (main or desk) or not"],
    ),
    (
        "access: optional, issuer: main",
        "access: optional, issuer: desk",
        1,
        &["changed both.test /feed: everybody, signed in (main) or not → everybody, signed in (desk) or not"],
    ),
    (
        "access: optional, issuer: main",
        "access: public, issuer: desk",
        1,
        &["changed both.test /feed: access optional → public"],
    ),
    ("[main, desk]\n", "main\n", 1, &["closed both.test /: users of main or desk → users of main"]),
    (
        "required: true",
        "required: false",
        1,
        &["opened shown.test: client certificates required → client certificates asked for, and not required"],
    ),
    (
        "    client_certificates: { ca_file: authority.pem, required: true }\n",
        "",
        1,
        &["opened shown.test: client certificates required → no client certificates"],
    ),
    (
        "{ ca_file: authority.pem, required: true }",
        "{ ca_file: authority.pem, crl_file: revoked.pem }",
        1,
        &["closed shown.test: client certificates required: revoked ones are refused"],
    ),
    (
        "{ ca_file: authority.pem, required: true }",
        "{ ca_file: authorities.pem, required: true }",
        1,
        &["changed shown.test: client certificates required: other authorities count"],
    ),
    (
        "  - host: main.test\n",
        "  - host: main.test\n    client_certificates: { ca_file: authority.pem, required: true }\n",
        1,
        &["closed main.test: no client certificates → client certificates required"],
    ),
    (
        "  - host: main.test\n",
        "  - { host: new.test, upstream: 'http://127.0.0.1:9', access: public, client_certificates: { ca_file: authority.pem, required: true }, routes: [{ path: / }] }\n  - host: main.test\n",
        1,
        &["added new.test: the site, 1 route(s), client certificates required, for everybody: /"],
    ),
    ("requests: 9", "requests: 90", 1, &["changed desk.test /: another rate_limit"]),
    ("max_requests: 7", "max_requests: 70", 1, &["changed desk.test /: another circuit"]),
    (
        "{ max_requests: 7 }",
        "{ max_requests: 7 }, health: { path: /healthz }",
        0,
        &["changed desk.test /: another health"],
    ),
    (
        "users_file: users.yaml",
        "users_file: more.yaml",
        1,
        &["opened desk.test /: users of desk → users of desk; issuer desk counts otherwise: users"],
    ),
    (
        "[usher], ca_file: site.pem",
        "[usher], ca_file: other.pem",
        1,
        &["changed main.test /: users of main → users of main; issuer main counts otherwise: ca_file"],
    ),
    (
        "[10.0.0.0/9]",
        "[10.0.0.0/9, 10.128.0.0/9]",
        1,
        &["opened every site: trusted_proxies, whose word about clients counts: 10.0.0.0/9 → 10.0.0.0/8"],
    ),
    (
        "[10.0.0.0/9]",
        "[]",
        1,
        &["closed every site: trusted_proxies, whose word about clients counts: 10.0.0.0/9 → nobody"],
    ),
];

#[tokio::test]
async fn each_kind_of_change_is_told() {
    let kinds = KINDS.iter().map(|kind| (OLD, kind)).chain(KINDS_OF_MORE.iter().map(|kind| (MORE, kind)));
    for (old, (from, to, code, expected)) in kinds {
        let (seen, told) = changes_of(old, from, to).await;
        let whole = |line: &String| line.to_ascii_lowercase();
        let wanted: Vec<_> = expected.iter().map(|line| line.to_ascii_lowercase()).collect();
        let told: Vec<_> = told.iter().map(whole).collect();
        if wanted.iter().any(|line| line.contains("counts otherwise")) {
            // Every route of the issuer is told of; those without conditions are one change.
            assert!(wanted.iter().all(|line| told.contains(line)), "{from} → {to}: {told:#?}");
        } else {
            assert_eq!(told, wanted, "{from} → {to}");
        }
        assert_eq!(seen, Some(*code), "{from} → {to}");
    }
}

#[tokio::test]
async fn an_opening_that_no_single_route_shows_is_found_and_comes_first() {
    // The closer route is gone, and a weaker one above it wins.
    let (_, told) = changes("      - { path: /public/inner/ }\n", "").await;
    assert_eq!(
        told,
        [
            "opened app.test /public/inner/: users of main → everybody; falls under app.test/public/, before under app.test/public/inner/"
        ]
    );
    // One exact path below a protected prefix.
    let route = "      - path: /\n";
    let (_, told) = changes(route, &format!("{route}      - {{ path: /admin/hook, access: public }}\n")).await;
    assert_eq!(
        told,
        [
            "opened app.test /admin/hook: users of main with email_verified = true; roles any of admin, root → everybody; falls under app.test/admin/hook, before under app.test/admin/"
        ]
    );
    // The name of the directory alone.
    let (_, told) = changes(route, &format!("{route}      - {{ path: /admin, access: public }}\n")).await;
    assert!(told.len() == 1 && told[0].starts_with("opened app.test /admin:"), "{told:#?}");
    // Another spelling falls under a weaker route once case counts.
    let (_, told) = changes("/Any/, ignore_case: true", "/Any/").await;
    assert!(
        told[0].starts_with("opened app.test /Any/: users of main with roles = admin → users of main;"),
        "{told:#?}"
    );
    // A host falls under the wildcard.
    let own = "  - host: a.wild.test\n    issuer: main\n    upstream: http://127.0.0.1:9\n    routes: [{ path: / }]\n";
    let (_, told) = changes(own, "").await;
    assert!(told.len() == 1 && told[0].starts_with("opened a.wild.test /: users of main → everybody"), "{told:#?}");

    let both = OLD.replace("      - { path: /public/inner/ }\n", "").replace("{ path: /gold/,", "{ path: /silver/,");
    let pair = Pair::new(OLD, &both.replace("/public/, access: public", "/public/, access: public, body_limit: 1KiB"));
    let (code, said) = pair.diff(&[], "").await;
    assert_eq!(code, Some(1), "{said}");
    let first = |word: &str| said.lines().position(|line| line.starts_with(word));
    let order = ["OPENED", "closed", "changed"].map(|word| first(word).unwrap_or_else(|| panic!("{word} in {said}")));
    assert!(order.is_sorted() && order[0] == 0, "{said}");
}

#[tokio::test]
async fn what_needs_a_restart_and_what_else_is_written_otherwise_is_named_without_its_value() {
    let more = "log: { format: json, level: info }\nlimits: { header_bytes: 128KiB }\nsession: { secret: 'another secret of the tests 0123456789' }\n";
    let (code, told) = Pair::new(OLD, &format!("{more}{OLD}")).json(&[], "").await;
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(told["restart"], serde_json::json!(["log.format"]));
    assert_eq!(
        told["settings"],
        serde_json::json!(["limits.header_bytes", "log.format", "log.level", "session.secret"])
    );
    let (_, said) = Pair::new(OLD, &format!("{more}{OLD}")).diff(&[], "").await;
    assert!(
        said.contains("restart: log.format can only be changed by one") && !said.contains("another secret"),
        "{said}"
    );
    let end = "No route decides otherwise. What those settings do to requests is not compared.\n";
    assert!(said.ends_with(end), "{said}");
    let (code, said) = Pair::new(OLD, OLD).diff(&[], "").await;
    assert_eq!((code, &*said), (Some(0), "No request is treated otherwise.\n"));
}

/// A line as the gateway writes it.
fn line(path: &str, more: &str) -> String {
    format!(
        "2026-11-26T00:00:00Z  INFO usher::access: request_id=\"1\" client=\"127.0.0.1\" protocol=\"HTTP/1.1\" method=\"GET\" host=\"app.test\" path=\"{path}\" {more}\n"
    )
}

#[tokio::test]
async fn what_the_claims_decide_is_counted_and_not_guessed() {
    let forwarded = |path: &str, route: &str| {
        line(path, &format!("route=\"app.test{route}\" issuer=\"main\" decision=\"forwarded\" status=200"))
    };
    let log = [
        &*forwarded("/admin/a", "/admin/"),
        &forwarded("/admin/a", "/admin/"),
        "nonsense\n",
        &forwarded("/x", "/"),
        &line("/admin/a", "route=\"app.test/admin/\" issuer=\"main\" decision=\"refused\" status=403"),
        "2026-11-26T00:00:00Z  INFO usher: serving\n",
        &line(
            "/admin/b",
            "route=\"app.test/admin/\" decision=\"refused\" reason=\"no credentials were presented\" status=401",
        ),
        "{}\n\nmore nonsense\n",
        &line("/public/a", "route=\"app.test/public/\" decision=\"forwarded\" status=304"),
    ];
    let log = log.concat();
    // Fewer get in: who was refused still is, and of who got in nothing is known.
    let pair = Pair::new(OLD, &OLD.replacen("[admin, root]", "[admin]", 1));
    let (code, told) = pair.json(&["--access-log", "-"], &log).await;
    let told_log = &told["log"];
    assert_eq!((code, &told_log["requests"], &told_log["alike"]), (Some(1), &6.into(), &4.into()), "{told:#}");
    assert_eq!(told_log["otherwise"], serde_json::json!([]));
    let unknown = &told_log["unknown"][0];
    assert_eq!((&unknown["requests"], &unknown["line"]), (&2.into(), &1.into()), "{told:#}");
    assert_eq!(unknown["example"], "GET app.test/admin/a");
    assert_eq!((&told_log["different"], &told_log["other_lines"]), (&5.into(), &4.into()), "{told:#}");
    assert_eq!(told_log["first_other_lines"], serde_json::json!([3, 6, 8]));

    // More get in: who did still does, and of who was refused nothing is known.
    let pair = Pair::new(OLD, &OLD.replacen(", email_verified: true", "", 1));
    let (_, told) = pair.json(&["--access-log", "-"], &log).await;
    assert_eq!((&told["log"]["alike"], &told["log"]["unknown"][0]["requests"]), (&5.into(), &1.into()), "{told:#}");

    // Everybody gets in, whoever it was.
    let pair = Pair::new(
        OLD,
        &OLD.replacen(
            "/admin/, require: { roles: { any: [admin, root] }, email_verified: true }",
            "/admin/, access: public",
            1,
        ),
    );
    std::fs::write(pair.0.path().join("access.log"), &log).unwrap();
    let (code, said) = pair.diff(&["--access-log", "access.log"], "").await;
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "log: 6 requests, 5 different ones; decided alike: 4",
        "log: 4 lines that are none of the access log: line 3, 6, 8 and more",
        "decided otherwise: 2",
        "1         refused 403  forwarded  GET app.test/admin/a (line 5)",
        "1         refused 401  forwarded  GET app.test/admin/b (line 7)",
    ] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
}

#[tokio::test]
async fn what_cannot_be_compared_says_which_file_is_wrong() {
    let pair = Pair::new(OLD, &OLD.replacen("methods: [GET]", "method: [GET]", 1));
    let (code, said) = pair.diff(&[], "").await;
    assert!(code == Some(78) && said.contains("new.yaml:") && !said.contains("old.yaml"), "{code:?}: {said}");
    let pair =
        Pair::new(&OLD.replacen("upstream:", "upstraem:", 1), &OLD.replacen("methods: [GET]", "method: [GET]", 1));
    let (code, said) = pair.diff(&[], "").await;
    assert!(code == Some(78) && said.contains("new.yaml:") && said.contains("old.yaml:"), "{code:?}: {said}");
    let pair = Pair::new(OLD, OLD);
    for (log, input, reason) in
        [("missing.log", "", "missing.log cannot be read"), ("-", "one\ntwo\n", "no line is of the access log")]
    {
        let (code, said) = pair.diff(&["--access-log", log], input).await;
        assert!(code == Some(2) && said.contains(reason), "{code:?}: {said}");
    }
    let (code, said, error) = Usher::finish(&["diff", "old.yaml"], pair.0.path(), "").await;
    assert!(code == Some(2) && error.contains("NEW"), "{code:?}: {said}{error}");
    let (code, said, error) = Usher::finish(&["diff", "old.yaml", "missing.yaml"], pair.0.path(), "").await;
    assert!(code == Some(78) && error.contains("missing.yaml"), "{code:?}: {said}{error}");
}

#[tokio::test]
async fn the_readme_shows_what_it_says() {
    let (directory, shown) = first_of_the_readme("```console\n$ sed ");
    let (edit, rest) = shown.split_once(" usher.yaml > next.yaml\n$ usher ").unwrap();
    let (arguments, output) = rest.split_once('\n').unwrap();
    let log = [
        line("/admin/users", "route=\"localhost/admin/\" issuer=\"staff\" decision=\"refused\" status=403"),
        line(
            "/admin/",
            "route=\"localhost/admin/\" decision=\"refused\" reason=\"no credentials were presented\" status=401",
        ),
        line("/admin/users", "route=\"localhost/admin/\" issuer=\"staff\" decision=\"forwarded\" status=200"),
        line("/", "route=\"localhost/\" issuer=\"staff\" decision=\"forwarded\" status=200"),
    ];
    let log = log.concat().replace("app.test", "localhost");
    std::fs::write(directory.path().join("access.log"), log).unwrap();
    let script = format!("sed {edit} usher.yaml > next.yaml");
    let edited = std::process::Command::new("sh").args(["-c", &script]).current_dir(directory.path()).status();
    assert!(edited.unwrap().success());
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (code, said, error) = Usher::finish(&arguments, directory.path(), "").await;
    assert_eq!((code, said.as_str(), error.as_str()), (Some(1), output, ""));
}
