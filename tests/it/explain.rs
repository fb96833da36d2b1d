//! `usher explain`, the real command: what it says, with which exit code, and what it never says or does.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use usher::clock::Clock;

use crate::documents::first_of_the_readme;
use crate::harness::child::Usher;
use crate::harness::gateway::{SESSION_SECRET, complete};
use crate::harness::issuer::{CLIENT_SECRET, Issuer};
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::tokens::shows_a_token;
use crate::harness::{Client, Protocol, Upstream, UpstreamAnswer, get, post};
use crate::local_issuer::Scene;

/// A directory with the usual configuration, and an issuer of its own.
struct Place {
    directory: TempDir,
    issuer: Issuer,
}

impl Place {
    async fn usual() -> Self {
        Self::with(&format!("{ISSUERS}{SESSION}{SITES}")).await
    }

    async fn with(yaml: &str) -> Self {
        let issuer = Issuer::start(&Clock::system()).await;
        let place = Self { directory: tempfile::tempdir().unwrap(), issuer };
        place.write("usher.yaml", &place.filled_in(yaml, "http://127.0.0.1:9"));
        place.write("analyst.json", r#"{"sub":"alice","realm_access":{"roles":["analyst"]}}"#);
        place.write("admin.json", r#"{"sub":"root","realm_access":{"roles":["admin","user"]},"scope":"read"}"#);
        place
    }

    fn filled_in(&self, yaml: &str, upstream: &str) -> String {
        let yaml = yaml.replace("$ISSUER", &self.issuer.url()).replace("$CLIENT_SECRET", CLIENT_SECRET);
        complete(&yaml.replace("$UPSTREAM", upstream), &self.directory)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// The exit code, and everything that was said.
    async fn explain(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.explain_with(arguments, "").await
    }

    async fn explain_with(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let (code, said, error) = Usher::finish(&[&["explain"], arguments].concat(), self.path(), input).await;
        let said = said + &error;
        assert!(!shows_a_token(&said) && !said.contains('\u{1b}'), "{said}");
        for secret in [CLIENT_SECRET, SESSION_SECRET] {
            assert!(!said.contains(secret), "{said}");
        }
        (code, said)
    }

    async fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let (code, said) = self.explain(&[arguments, &["--output", "json"]].concat()).await;
        (code, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}")))
    }
}

/// The check of this name.
fn check<'v>(told: &'v Value, what: &str) -> &'v Value {
    let mut checks = told["checks"].as_array().unwrap().iter();
    checks.find(|check| check["what"] == what).unwrap_or_else(|| panic!("{what} in {told:#}"))
}

fn why<'v>(told: &'v Value, kind: &str, name: &str) -> &'v str {
    let mut candidates = told[kind].as_array().unwrap().iter();
    let candidate = candidates.find(|candidate| candidate["name"] == name);
    candidate.unwrap_or_else(|| panic!("{name} in {told:#}"))["why"].as_str().unwrap()
}

#[tokio::test]
async fn each_candidate_is_told_with_why_it_does_not_win() {
    let place = Place::usual().await;
    let (code, told) = place.json(&["POST", "https://APP.test/reports/x", "--claims", "analyst.json"]).await;
    assert_eq!((code, &told["decision"], &told["status"]), (Some(1), &"refused".into(), &405.into()), "{told:#}");
    assert_eq!(why(&told, "routes", "/reports/ GET"), "is not for POST");
    assert_eq!(why(&told, "routes", "/"), "covers the path, but /reports/ does more closely");
    assert_eq!(why(&told, "routes", "/admin/"), "does not cover the path");
    assert_eq!(why(&told, "sites", "app.test"), "is for this host");
    assert_eq!(why(&told, "sites", "pub.test"), "is for another host");
    assert_eq!(told["answers"]["program"]["headers"][0]["value"], "GET, HEAD");

    let (code, told) = place.json(&["GET", "https://app.test/public;x/../admin"]).await;
    assert_eq!((code, &told["status"]), (Some(1), &400.into()), "{told:#}");
    let (code, told) = place.json(&["GET", "https://app.test/public;x/", "--claims", "analyst.json"]).await;
    assert_eq!((code, &told["status"]), (Some(1), &400.into()), "{told:#}");
    let seen = check(&told, "one meaning of the path")["seen"].as_str().unwrap();
    assert!(seen.contains("/public"), "{seen}");
    let (code, told) = place.json(&["GET", "https://nowhere.test/"]).await;
    assert_eq!((code, &told["status"]), (Some(1), &421.into()), "{told:#}");
}

#[tokio::test]
async fn each_condition_is_told_with_the_value_that_is_there() {
    let place = Place::usual().await;
    let (code, said) = place.explain(&["GET", "https://app.test/admin/x", "--claims", "analyst.json"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("✗ realm_access.roles = admin  analyst"), "{said}");
    assert!(said.contains("→ is refused") && said.contains("a program gets  403"), "{said}");

    let (code, told) = place.json(&["GET", "https://app.test/write/", "--claims", "admin.json"]).await;
    assert_eq!((code, &told["answers"]["program"]["status"]), (Some(1), &403.into()));
    assert!(told["answers"]["program"]["headers"].to_string().contains("insufficient_scope"), "{told:#}");
    assert_eq!(check(&told, "scope = publish")["seen"], "read");

    let (code, told) = place.json(&["GET", "https://app.test/gold/", "--claims", "admin.json"]).await;
    assert_eq!((code, &told["answers"]["program"]["status"]), (Some(1), &401.into()), "{told:#}");
    assert_eq!(check(&told, "acr gold")["holds"], false);
}

#[tokio::test]
async fn claims_are_in_a_file_or_in_place() {
    let place = Place::usual().await;
    let admin = r#" {"sub": "root", "realm_access": {"roles": ["admin"]}}"#;
    let analyst = admin.replace("admin", "analyst");
    for (claims, code) in [(admin, 0), (&*analyst, 1)] {
        let (was, told) = place.json(&["GET", "https://app.test/admin/x", "--claims", claims]).await;
        assert_eq!(was, Some(code), "{claims}: {told:#}");
    }
    for (wrong, why) in [("{sub: root}", "key must be a string"), (&admin[..30], "EOF"), ("{}}", "trailing")] {
        let (code, said) = place.explain(&["GET", "https://app.test/", "--claims", wrong]).await;
        assert!(
            code == Some(2) && said.contains("not a JSON object of claims") && said.contains(why),
            "{wrong}: {said}"
        );
        assert!(!said.contains("root"), "{said}");
    }
}

#[tokio::test]
async fn a_domain_is_told_with_the_address_and_that_it_must_be_verified() {
    let first = "    routes:\n      - path: /\n";
    let more = format!("{first}      - {{ path: /staff/, require: {{ email: {{ domain: example.com }} }} }}\n");
    let place = Place::with(&format!("{ISSUERS}{SESSION}{}", SITES.replace(first, &more))).await;
    place.write("a.json", r#"{"sub":"a","email":"a@evilexample.com"}"#);
    place.write("b.json", r#"{"sub":"b","email":"B@Example.com","email_verified":true}"#);
    let (code, told) = place.json(&["GET", "https://app.test/staff/", "--claims", "a.json"]).await;
    assert_eq!(code, Some(1), "{told:#}");
    let domain = check(&told, "email domain = example.com");
    assert_eq!((&domain["holds"], &domain["seen"]), (&false.into(), &"a@evilexample.com".into()));
    let verified = check(&told, "email_verified = true");
    assert_eq!((&verified["holds"], &verified["seen"]), (&false.into(), &"no such claim".into()));
    let (code, told) = place.json(&["GET", "https://app.test/staff/", "--claims", "b.json"]).await;
    assert_eq!((code, &check(&told, "email domain = example.com")["seen"]), (Some(0), &"B@Example.com".into()));
}

#[tokio::test]
async fn what_the_application_receives_is_told_with_secrets_masked() {
    let api_key = "a fixed key of the application";
    let sites = SITES.replace("    routes:\n      - path: /\n", &format!(
        "    routes:\n      - path: /\n      - {{ path: /api/, forward_access_token: true, upstream_authorization: {{ header: X-Api-Key, value: '{api_key}' }} }}\n"
    ));
    let place = Place::with(&format!("{ISSUERS}{SESSION}{sites}")).await;
    let token = place.issuer.access_token("alice");
    place.write("token", &format!("{token}\n"));
    let url = "https://app.test/api/x?password=hidden";
    let more = ["--header", "X-User-Id: root", "-H", "X-Role: root", "-H", "Cookie: theme=hidden"];
    let (code, said) = place.explain(&[&["GET", url, "--token-file", "token"][..], &more].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    for shown in
        ["x-user-id ", "  alice", "theme=•••", "Bearer •••", "••• (upstream_authorization)", "not passed on: x-role"]
    {
        assert!(said.contains(shown), "{shown} in:\n{said}");
    }
    for hidden in ["hidden", api_key, "root"] {
        assert!(!said.contains(hidden), "{hidden} in:\n{said}");
    }
}

#[tokio::test]
async fn a_token_is_verified_by_the_keys_of_its_issuer_and_each_look_is_told() {
    let place = Place::usual().await;
    let token = place.issuer.access_token("alice");
    let (code, said) = place.explain_with(&["GET", "https://app.test/x", "--token-file", "-"], &token).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("✓ token signature") && said.contains("✓ token exp"), "{said}");

    let expired = place.issuer.sign_in_expired("alice").access;
    let (code, told) = place.json(&["GET", "https://app.test/x", "--token", &expired]).await;
    assert_eq!((code, &told["status"]), (Some(1), &401.into()), "{told:#}");
    assert_eq!(check(&told, "token signature")["holds"], true);
    assert_eq!(check(&told, "token exp")["holds"], false);
    assert_eq!(told["answers"]["browser"]["status"], 302);
    assert!(told["answers"]["browser"]["headers"].to_string().contains("/.usher/sign-in?rd="), "{told:#}");

    let foreign = place.issuer.sign(&place.issuer.token("alice").claim("aud", "somebody"));
    let (code, told) = place.json(&["GET", "https://app.test/x", "--token", &foreign]).await;
    assert_eq!(code, Some(1));
    assert_eq!(check(&told, "token iss")["holds"], true);
    let audience = check(&told, "token aud");
    assert_eq!((&audience["holds"], &audience["wanted"]), (&false.into(), &"usher".into()), "{audience}");
    assert_eq!(check(&told, "token signature")["holds"], Value::Null, "it was not come to");
}

#[tokio::test]
async fn without_the_issuer_it_says_that_it_cannot_be_known_and_what_would_be() {
    let place = Place::usual().await;
    let token = place.issuer.access_token("alice");
    let (code, told) = place.json(&["GET", "https://app.test/x", "--token", &token, "--offline"]).await;
    assert_eq!((code, &told["decision"]), (Some(3), &"unknown".into()), "{told:#}");
    assert_eq!(place.issuer.asked().discovery, 0, "nobody is dialled");
    assert!(told["forwarded"]["headers"].to_string().contains("alice"), "{told:#}");
    assert_eq!(check(&told, "token signature")["holds"], Value::Null);

    place.issuer.set_down(true);
    let (code, said) = place.explain(&["GET", "https://app.test/x", "--token", &token]).await;
    assert!(code == Some(3) && said.contains("cannot be verified now"), "{code:?}: {said}");
    // What is not allowed to whoever it says to be is refused in any case.
    let (code, said) = place.explain(&["GET", "https://app.test/gold/", "--token", &token]).await;
    assert!(code == Some(1) && said.contains("✗ acr gold"), "{code:?}: {said}");
}

#[tokio::test]
async fn cookies_of_a_jar_are_opened_and_nothing_is_spent_or_written() {
    let scene = Scene::start().await;
    let jar = scene.session("alice", "wonderland").await;
    let place = Place::usual().await;
    place.write("usher.yaml", &complete(&format!("state_directory: state\n{}", scene.yaml()), &place.directory));
    let mut lines = "# Netscape HTTP Cookie File\n".to_owned();
    for name in ["__Host-usher-access", "__Host-usher-refresh"] {
        writeln!(lines, "#HttpOnly_app.test\tFALSE\t/\tTRUE\t0\t{name}\t{}", jar.value(name).unwrap()).unwrap();
    }
    place.write("jar", &lines);
    let before = files(place.path());
    let (code, said) = place.explain(&["GET", "https://app.test/x", "--cookie-file", "jar"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("an access and a refresh token in cookies") && said.contains("✓ session"), "{said}");
    assert!(!said.contains(jar.value("__Host-usher-refresh").unwrap()), "{said}");
    assert_eq!(files(place.path()), before, "no file is new");

    // Another secret opens nothing, and the browser is told to forget them.
    let other = std::fs::read_to_string(place.path().join("usher.yaml"))
        .unwrap()
        .replace(SESSION_SECRET, "another secret 0123456789 0123456789");
    place.write("usher.yaml", &other);
    let (code, told) = place.json(&["GET", "https://app.test/x", "--cookie-file", "jar"]).await;
    assert_eq!((code, &told["answers"]["program"]["clears_cookies"]), (Some(1), &true.into()), "{told:#}");
    // The session goes on: nothing of it was spent.
    scene.visit(&jar).await.assert_status(200);
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names.retain(|name| name != ".standard-input");
    names
}

#[tokio::test]
async fn a_line_of_the_log_is_explained_again_in_both_formats() {
    for format in ["text", "json"] {
        let place = Place::usual().await;
        let upstream = Upstream::start().await;
        let yaml = format!("log: {{ format: {format} }}\n{ISSUERS}{SESSION}{SITES}");
        let yaml = place.filled_in(&yaml, &upstream.url());
        let usher = Usher::serve(&yaml, place.path());
        let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
        client.send(get("https://app.test/public/x").header("x-request-id", "ignored")).await.assert_status(200);
        client.send(get("https://app.test/closed")).await.assert_status(401);
        upstream.answer("/public/broken", UpstreamAnswer::Hangup);
        client.send(get("https://app.test/public/broken")).await.assert_status(502);
        client.send(post("https://app.test/public/large").body(vec![0; 2 << 20])).await.assert_status(413);
        let token = place.issuer.access_token("alice");
        client.send(get("https://app.test/admin/y").bearer(&token)).await.assert_status(403);
        let line = async |path: &str| {
            usher.says(path).await;
            let output = usher.output();
            output.lines().find(|line| line.contains("usher::access") && line.contains(path)).unwrap().to_owned()
        };
        let (public, closed, admin) = (line("/public/x").await, line("/closed").await, line("/admin/y").await);

        let (code, told) = place.json(&["--log", &public]).await;
        assert_eq!((code, &told["log"]["differs"]), (Some(0), &false.into()), "{format}: {told:#}");
        assert_eq!(told["request"]["path"], "/public/x");
        let (code, told) = place.json(&["--log", &closed]).await;
        assert_eq!(
            (code, &told["log"]["differs"], &told["log"]["status"]),
            (Some(1), &false.into(), &401.into()),
            "{told:#}"
        );
        // The application's trouble is not written anywhere, nor is how long a body was.
        for path in ["/public/broken", "/public/large"] {
            let (code, told) = place.json(&["--log", &line(path).await]).await;
            assert_eq!((code, &told["log"]["differs"]), (Some(0), &Value::Null), "{told:#}");
        }
        // Of whom it was the log keeps the issuer, and not the claims.
        let (code, told) = place.json(&["--log", &admin]).await;
        assert_eq!((code, &told["log"]["differs"]), (Some(3), &Value::Null), "{told:#}");
        let (code, told) = place.json(&["--log", &admin, "--claims", "analyst.json"]).await;
        assert_eq!((code, &told["log"]["differs"]), (Some(1), &false.into()), "{told:#}");

        place.write("usher.yaml", &yaml.replace("{ path: /public/, access: public }", "{ path: /public/ }"));
        let (code, said) = place.explain_with(&["--log", "-"], &format!("web-1  | {public}\n")).await;
        assert_eq!(code, Some(3), "what was presented, nobody looked at: {said}");
        place.write("usher.yaml", &yaml.replace("- { path: /admin/, require: { realm_access.roles: admin } }", ""));
        let (_, said) = place.explain(&["--log", &admin]).await;
        assert!(said.contains("now:    decided otherwise"), "{said}");
    }
}

/// Another proxy serves this site, and asks.
const ASKED: &str = "
listen: { plain: '127.0.0.1:0', verify: '127.0.0.1:0' }
trusted_proxies: [127.0.0.0/8]
sites:
  - host: app.test
    issuer: main
    identity_headers: { X-User-Id: sub, X-User-Team: team }
    routes:
      - path: /
      - { path: /pub/, access: public, strip_prefix: /pub, rewrite_host: inner.test }
      - { path: /key/, access: public, upstream_authorization: { header: X-Api-Key, value: the fixed key } }
";

#[tokio::test]
async fn of_a_route_that_another_proxy_serves_it_tells_what_that_proxy_is_told() {
    let place = Place::with(&format!("{ISSUERS}{SESSION}{ASKED}")).await;
    let url = "https://app.test/pub/x?q=1";
    let (code, told) = place.json(&["GET", url, "-H", "X-User-Id: root", "-H", "Accept: text/html"]).await;
    assert_eq!((code, &told["decision"]), (Some(0), &"forwarded".into()), "{told:#}");
    let forwarded = &told["forwarded"];
    assert_eq!(
        (&forwarded["target"], &forwarded["upstream"]),
        (&"/pub/x?…".into(), &serde_json::json!([])),
        "{told:#}"
    );
    let names: Vec<_> = forwarded["headers"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect();
    assert!(!names.contains(&"host".into()) && !names.contains(&"x-forwarded-host".into()), "{told:#}");
    assert!(forwarded["removed"].as_array().unwrap().contains(&"x-user-id".into()), "{told:#}");
    let (_, said) = place.explain(&["GET", "https://app.test/x", "--claims", "analyst.json"]).await;
    assert!(said.contains("+ x-user-id  alice"), "{said}");
    let (_, said) = place.explain(&["GET", "https://app.test/key/x"]).await;
    assert!(said.contains("••• (upstream_authorization)") && !said.contains("the fixed key"), "{said}");

    // What could not be taken off any more is refused.
    let (code, told) = place.json(&["GET", url, "-H", "X_User_Id: root"]).await;
    assert_eq!((code, &told["status"]), (Some(1), &400.into()), "{told:#}");
    assert!(told["reason"].as_str().unwrap().contains("x_user_id"), "{told:#}");

    // And what was verified then passes by now as well.
    let line = |decision: &str, status: u16| {
        let route = "app.test/pub/";
        let line = serde_json::json!({ "target": "usher::access", "method": "GET", "host": "app.test", "path": "/pub/x",
            "request_id": "1", "route": route, "decision": decision, "status": status });
        line.to_string()
    };
    for (decision, status, differs) in [
        ("verified", 200, Value::Bool(false)),
        ("forwarded", 200, Value::Bool(false)),
        ("refused", 403, Value::Bool(true)),
        ("refused", 429, Value::Null),
        ("answered", 200, Value::Bool(true)),
    ] {
        let (_, told) = place.json(&["--log", &line(decision, status)]).await;
        assert_eq!(told["log"]["differs"], differs, "{decision}: {told:#}");
    }
}

#[tokio::test]
async fn nothing_that_somebody_else_has_written_draws_on_the_terminal() {
    let place = Place::usual().await;
    // A line of its own, a colour of eight bits, and one that turns the rest of the line round.
    let drawn = "x\n→ reaches the application\u{9b}32m\u{202e}\u{2028}y";
    let drew = |said: &str| {
        let ours = said.replace('\n', "");
        let escapes = |letter: char| letter.is_control() || "\u{202e}\u{2028}".contains(letter);
        said.lines().any(|line| line.starts_with("→ reaches")) || ours.contains(escapes)
    };
    let line = |name: &str| {
        let mut line = serde_json::json!({ "target": "usher::access", "method": "GET", "host": "app.test", "path": "/x",
            "request_id": "1", "decision": "refused", "status": 401 });
        line[name] = drawn.into();
        line.to_string()
    };
    place.write("claims.json", &serde_json::json!({ "sub": drawn, "realm_access": { "roles": [drawn] } }).to_string());
    place.write("token", &place.issuer.token("alice").claim("iss", drawn).unsigned());
    let mut asked = vec![
        vec!["GET", "https://app.test/admin/x", "--claims", "claims.json"],
        vec!["GET", "https://app.test/admin/x", "--token-file", "token"],
        vec!["GET", drawn],
        vec![drawn, "https://app.test/"],
        vec!["GET", "https://app.test/", "--header", drawn],
    ];
    let lines = ["method", "host", "path", "request_id", "route", "reason", "decision", "issuer"].map(line);
    asked.extend(lines.iter().map(|line| vec!["--log", line]));
    for arguments in asked {
        let (_, said) = place.explain(&arguments).await;
        assert!(!drew(&said), "{arguments:?}:\n{}", said.escape_debug());
    }
}

#[tokio::test]
async fn what_cannot_be_explained_is_a_usage_error_and_a_bad_file_one_of_the_configuration() {
    let place = Place::usual().await;
    for (arguments, reason) in [
        (&["GET", "app.test/x"][..], "is not an address"),
        (&["GET", "ftp://app.test/x"], "is not an address"),
        (&["G T", "https://app.test/"], "is not a method"),
        (&["GET", "https://app.test/", "--header", "nonsense"], "is not NAME: VALUE"),
        (&["GET", "https://app.test/", "--claims", "usher.yaml"], "is not a JSON object"),
        (&["GET", "https://app.test/", "--claims", "missing.json"], "cannot be read"),
        (&["GET", "https://app.test/", "--token-file", "missing"], "cannot be read"),
        (&["GET", "https://app.test/", "--cookie-file", "analyst.json"], "neither a cookie jar"),
        (&["GET", "https://app.test/", "--cookie-file", "-", "--token-file", "-"], "one flag only"),
        (&["GET", "https://app.test/", "--token", "a", "--claims", "analyst.json"], "cannot be used with"),
        (&["GET"], "required"),
        (&["--log", "nonsense"], "not a line of the access log"),
    ] {
        let (code, said) = place.explain(arguments).await;
        assert!(code == Some(2) && said.contains(reason), "{arguments:?}: {code:?}: {said}");
    }
    let (code, said) = place.explain(&["GET", "https://app.test/", "--config", "missing.yaml"]).await;
    assert!(code == Some(78) && said.contains("missing.yaml"), "{code:?}: {said}");
}

#[tokio::test]
async fn the_readme_shows_what_it_says() {
    let (directory, shown) = first_of_the_readme("```console\n$ echo '");
    let (input, rest) = shown.split_once("' | usher ").unwrap();
    let (arguments, output) = rest.split_once('\n').unwrap();
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (code, said, error) = Usher::finish(&arguments, directory.path(), input).await;
    assert_eq!((code, said.as_str(), error.as_str()), (Some(1), output, ""));
}
