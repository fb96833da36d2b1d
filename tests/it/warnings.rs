//! What `usher check` warns of: valid, and yet it looks like a mistake.

use serde_json::Value;

use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::gateway::complete;

const ISSUER: &str = "issuers: { main: { issuer: 'https://id.test', audiences: [usher] } }\n";

/// The exit code, and the warnings, each with its key before it.
async fn warnings(yaml: &str, flags: &[&str]) -> (Option<i32>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    authority().write(&["elsewhere.example"], directory.path(), "other");
    authority().write_until(&["app.test"], directory.path(), "ending", 5);
    std::fs::write(directory.path().join("usher.yaml"), complete(&format!("{ISSUER}{yaml}"), &directory)).unwrap();
    let arguments = [&["check", "--output", "json"], flags].concat();
    let (code, said, error) = Usher::finish(&arguments, directory.path(), "").await;
    let summary: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{error}"));
    let warning =
        |warning: &Value| format!("{}: {}", warning["path"].as_str().unwrap(), warning["message"].as_str().unwrap());
    (code, summary["warnings"].as_array().unwrap().iter().map(warning).collect())
}

/// Warns of this and nothing else.
async fn warns(yaml: &str, of: &str) {
    let (code, warnings) = warnings(yaml, &[]).await;
    assert_eq!(code, Some(0), "a warning is no mistake: {yaml}");
    assert!(warnings.len() == 1 && warnings[0].contains(of), "{of}: {warnings:?} of {yaml}");
}

/// Sites of one host, with these keys and routes.
fn site(keys: &str, routes: &str) -> String {
    format!("sites: [{{ host: app.test, issuer: main, upstream: 'http://127.0.0.1:9', {keys} routes: [{routes}] }}]\n")
}

#[tokio::test]
async fn a_public_prefix_around_a_protected_one_is_warned_of_and_the_other_way_round_is_not() {
    warns(
        &site("", "{ path: /, access: public }, { path: /admin/ }"),
        "sites[0].routes[0].access: is public and covers /admin/",
    )
    .await;
    for fine in [
        "{ path: / }, { path: /assets/, access: public }",
        "{ path: / }, { path: /feed, access: public }",
        "{ path: /, access: public }",
    ] {
        assert_eq!(warnings(&site("", fine), &["--strict"]).await, (Some(0), Vec::new()), "{fine}");
    }
    // Another application has no second address for it.
    let elsewhere = "{ path: /, access: public }, { path: /admin/, upstream: 'http://127.0.0.1:10' }";
    assert_eq!(warnings(&site("", elsewhere), &[]).await.1, Vec::<String>::new());
}

#[tokio::test]
async fn a_session_secret_that_can_be_guessed_is_warned_of() {
    let yaml = format!("session: {{ secret: k }}\n{}", site("", "{ path: / }"));
    warns(&yaml, "session.secret: is short enough to be guessed").await;
    assert_eq!(warnings(&yaml, &["--strict"]).await.0, Some(1));
}

#[tokio::test]
async fn a_condition_that_no_route_looks_at_is_warned_of() {
    warns(&site("require: { roles: admin },", "{ path: /, access: public }"), "sites[0].require: never counts").await;
}

#[tokio::test]
async fn what_cookies_cannot_do_is_warned_of() {
    let origins =
        "cors: true, allowed_origins: ['https://spa.example', 'https://www.app.test', 'https://api.app.test'],";
    warns(&site(origins, "{ path: / }").replace("www.app.test", "spa.example"), "scripts of https://spa.example ask")
        .await;
    let plain = "listen: { plain: '127.0.0.1:0' }\ntrusted_proxies: [0.0.0.0/0]\n";
    warns(&format!("{plain}{}", site("", "{ path: / }")), "trusted_proxies[0]: is everybody").await;
}

#[tokio::test]
async fn certificates_that_end_soon_or_are_for_nobody_are_warned_of() {
    let pairs = |names: &[&str]| {
        let pairs =
            names.iter().map(|name| format!("{{ certificate: $DIRECTORY/{name}.pem, key: $DIRECTORY/{name}.key }}"));
        format!("tls: {{ certificates: [{}] }}\n{}", pairs.collect::<Vec<_>>().join(", "), site("", "{ path: / }"))
    };
    warns(&pairs(&["ending"]), "ending.pem expires in 5 days").await;
    warns(&pairs(&["site", "other"]), "other.pem is for no site: it is for elsewhere.example").await;
    let (code, warnings) = warnings(&pairs(&["other"]), &["--strict"]).await;
    assert_eq!(code, Some(1), "whoever is strict wants none");
    assert!(warnings.iter().any(|warning| warning.contains("no certificate is for the site app.test")), "{warnings:?}");
}
