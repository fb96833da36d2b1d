//! Signing in at an authorization server: the whole flow against a real certified one, as a browser goes through it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use usher::clock::Clock;

use crate::harness::authorization_server::AuthorizationServer;
use crate::harness::scene::{SITES, echoed};
use crate::harness::wait::PATIENCE;
use crate::harness::{Browser, Gateway, Upstream};

/// A gateway between an application and the certified server.
pub(crate) struct Ring {
    pub(crate) gateway: Gateway,
    pub(crate) upstream: Upstream,
    pub(crate) server: AuthorizationServer,
}

impl Ring {
    pub(crate) async fn start(what: &str) -> Option<Self> {
        Self::start_with(what, &json!({}), "audiences: [usher]").await
    }

    /// The same with options of the server, and more keys of the issuer, each on a line of its own.
    pub(crate) async fn start_with(what: &str, options: &Value, keys: &str) -> Option<Self> {
        Self::start_with_sites(what, options, keys, SITES).await
    }

    /// The same with other sites.
    pub(crate) async fn start_with_sites(what: &str, options: &Value, keys: &str, sites: &str) -> Option<Self> {
        let client = "client_id: usher\nclient_secret: a secret/with+signs that=need encoding\nalgorithms: [RS256]";
        Self::start_all(what, options, &format!("{client}\n{keys}"), sites).await
    }

    /// The same with another client.
    pub(crate) async fn start_as(what: &str, options: &Value, keys: &str) -> Option<Self> {
        Self::start_all(what, options, keys, SITES).await
    }

    async fn start_all(what: &str, options: &Value, keys: &str, sites: &str) -> Option<Self> {
        let server = AuthorizationServer::start_with(options, what).await?;
        let upstream = Upstream::start().await;
        let keys: Vec<String> = keys.lines().map(|line| format!("    {}", line.trim())).collect();
        let issuers = format!(
            "
issuers:
  main:
    issuer: {}
    insecure_http: true
    scopes: [openid, offline_access, read]
{}
",
            server.issuer(),
            keys.join("\n").replace("$PORT", server.issuer().rsplit_once(':').unwrap().1)
        );
        let yaml = format!("{issuers}{sites}").replace("$UPSTREAM", &upstream.url());
        let gateway = Gateway::start(&yaml, &Clock::system()).await;
        Some(Self { gateway, upstream, server })
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.gateway.client())
    }
}

#[tokio::test]
async fn a_navigation_without_a_session_signs_in_and_gets_what_it_asked_for() {
    let Some(ring) = Ring::start("sign-in at a certified server").await else { return };
    let mut browser = ring.browser();
    let deep_link = "https://app.test/reports/2026?from=1&to=%2F%2fx&q=a+b&q=&&u=https://evil.test/";
    let (url, answer) = browser.sign_in(deep_link).await;
    assert_eq!(url.as_str(), deep_link, "byte for byte");
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    assert_eq!(ring.server.stats().await.token_requests, 1);
    // From here on it is a session like any other.
    let answer = browser.visit("https://app.test/x").await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    assert!(!browser.jar.names().iter().any(|name| name.contains("state")), "{:?}", browser.jar.names());
}

#[tokio::test]
async fn twenty_tabs_sign_in_at_once_and_finish_in_any_order() {
    let Some(ring) = Ring::start("twenty tabs that sign in at once").await else { return };
    let mut browser = ring.browser();
    let mut callbacks = Vec::new();
    for tab in 0..20 {
        let deep_link = format!("https://app.test/reports/2026?tab={tab}");
        callbacks.push((deep_link.clone(), browser.sign_in_up_to_callback(&deep_link).await));
    }
    let line = browser.jar.line().unwrap();
    assert!(line.len() < 8 * 1024, "{}", line.len());
    for index in (0..20).rev().step_by(2).chain((0..20).step_by(2)) {
        let (deep_link, callback) = &callbacks[index];
        let (url, answer) = browser.sign_in(callback.as_str()).await;
        assert_eq!((url.as_str(), answer.status.as_u16()), (deep_link.as_str(), 200));
        let line = browser.jar.line().unwrap();
        assert!(line.len() < 8 * 1024, "{}", line.len());
    }
    assert_eq!(ring.server.stats().await.token_requests, 20);
}

#[tokio::test]
async fn a_server_that_names_the_host_it_was_dialled_with_signs_people_in_all_the_same() {
    // The certified server builds its URLs from the Host of each request, which a browser could not reach here.
    let keys = "audiences: [usher]\nbackchannel_url: http://localhost:$PORT";
    let Some(ring) = Ring::start_with("a server dialled by another name", &json!({}), keys).await else { return };
    let mut browser = ring.browser();
    let (location, _) = browser.follow("https://app.test/x", "/.usher/sign-in").await;
    let answer = browser.visit(location.as_str()).await;
    let sent_to = answer.assert_status(302).header("location").unwrap();
    assert!(sent_to.starts_with(ring.server.issuer()), "{sent_to}");
    let (url, answer) = browser.sign_in("https://app.test/x").await;
    assert_eq!((url.as_str(), answer.status.as_u16()), ("https://app.test/x", 200));
}

#[tokio::test]
async fn who_turns_back_at_the_server_gets_a_page_and_no_session() {
    let Some(ring) = Ring::start("a sign-in that is refused at a certified server").await else { return };
    for (error, status) in [("access_denied", 403), ("login_required", 502), ("temporarily_unavailable", 503)] {
        ring.server.next(&format!("error={error}")).await;
        let mut browser = ring.browser();
        let (url, answer) = browser.sign_in("https://app.test/x").await;
        assert_eq!(url.path(), "/.usher/callback");
        answer.assert_status(status);
        assert!(answer.text().contains(answer.header("x-request-id").unwrap()), "{}", answer.text());
        assert_eq!(browser.jar.line(), None, "and nothing is left of it");
    }
    assert_eq!(ring.server.stats().await.token_requests, 0);
}

#[tokio::test]
async fn a_code_is_good_for_one_sign_in_at_the_certified_server_too() {
    let Some(ring) = Ring::start("a code that is presented twice").await else { return };
    let mut browser = ring.browser();
    let callback = browser.sign_in_up_to_callback("https://app.test/x").await;
    // The same state and cookie once more: what a second instance would see.
    let mut twin = browser.clone();
    browser.visit(callback.as_str()).await.assert_status(303);
    let answer = twin.visit(callback.as_str()).await;
    answer.assert_status(400);
    assert!(answer.set_cookies().iter().all(crate::harness::SetCookie::clears), "{answer:?}");
}

#[tokio::test]
async fn the_session_of_a_sign_in_is_renewed_like_any_other() {
    let Some(ring) = Ring::start("the renewal of a session that began with a sign-in").await else { return };
    let mut browser = ring.browser();
    browser.sign_in("https://app.test/x").await.1.assert_status(200);
    assert_is_renewed(&ring, &mut browser).await;
}

/// Without the access token, the refresh token decides.
async fn assert_is_renewed(ring: &Ring, browser: &mut Browser) {
    browser.jar.remove("__Host-usher-access");
    let answer = browser.visit("https://app.test/x").await;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    let stats = ring.server.stats().await;
    assert_eq!((stats.token_requests, stats.reuses), (2, 0));
}

#[tokio::test]
async fn signing_in_once_more_does_not_revoke_what_the_new_session_stands_on() {
    let Some(ring) = Ring::start("a second sign-in at a certified server").await else { return };
    let mut browser = ring.browser();
    for _ in 0..2 {
        browser.sign_in("https://app.test/.usher/sign-in?rd=/x").await.1.assert_status(200);
    }
    browser.jar.remove("__Host-usher-access");
    browser.visit("https://app.test/x").await.assert_status(200);
    let stats = ring.server.stats().await;
    assert_eq!((stats.token_requests, stats.grants_revoked, stats.revocations), (3, 0, 0), "{stats:?}");
    // Somebody else is another matter: the first session ends at the server as well.
    ring.server.next("sub=root").await;
    browser.elsewhere = crate::harness::Jar::default();
    browser.sign_in("https://app.test/.usher/sign-in?rd=/x").await.1.assert_status(200);
    let revoked = async {
        while ring.server.stats().await.revocations == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, revoked).await.expect("the old refresh token is revoked");
}

#[tokio::test]
async fn opaque_access_tokens_end_with_a_page_unless_the_id_token_says_who_somebody_is() {
    let options = json!({ "accessTokenFormat": "opaque" });
    let what = "a certified server with opaque access tokens";
    let Some(ring) = Ring::start_with(what, &options, "audiences: [usher]").await else { return };
    let mut browser = ring.browser();
    let (url, answer) = browser.sign_in("https://app.test/x").await;
    assert_eq!((url.path(), answer.status.as_u16()), ("/.usher/callback", 502));
    assert!(answer.text().contains("tokens do not count here"), "{}", answer.text());
    assert_eq!(browser.jar.line(), None);

    let Some(ring) = Ring::start_with(what, &options, "identity: id_token").await else { return };
    let mut browser = ring.browser();
    let answer = browser.sign_in("https://app.test/x").await.1;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    // The renewal brings an ID token as well.
    assert_is_renewed(&ring, &mut browser).await;
}

#[tokio::test]
async fn a_server_that_takes_pushed_requests_gets_them_and_the_browser_carries_a_reference() {
    let Some(ring) = Ring::start("pushed authorization requests at a certified server").await else { return };
    let mut browser = ring.browser();
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
    let url = url::Url::parse(answer.assert_status(302).header("location").unwrap()).unwrap();
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "request_uri"]);
    assert_eq!(browser.sign_in("https://app.test/x").await.1.status, 200);
}
