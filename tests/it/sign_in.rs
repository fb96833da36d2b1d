//! Signing in at an authorization server: the whole flow against a real certified one, as a browser goes through it.

use usher::clock::Clock;

use crate::harness::authorization_server::AuthorizationServer;
use crate::harness::scene::{SITES, echoed};
use crate::harness::{Browser, Gateway, Upstream};

/// A gateway between an application and the certified server.
struct Ring {
    gateway: Gateway,
    upstream: Upstream,
    server: AuthorizationServer,
}

impl Ring {
    async fn start(what: &str) -> Option<Self> {
        Self::start_with(what, "").await
    }

    /// The same with more keys of the issuer, each on a line of its own.
    async fn start_with(what: &str, keys: &str) -> Option<Self> {
        let server = AuthorizationServer::start("RS256", what).await?;
        let upstream = Upstream::start().await;
        let keys: Vec<String> = keys.lines().map(|line| format!("    {}", line.trim())).collect();
        let issuers = format!(
            "
issuers:
  main:
    issuer: {}
    insecure_http: true
    client_id: usher
    client_secret: a secret/with+signs that=need encoding
    scopes: [openid, offline_access, read]
    audiences: [usher]
    algorithms: [RS256]
{}
",
            server.issuer(),
            keys.join("\n").replace("$PORT", server.issuer().rsplit_once(':').unwrap().1)
        );
        let yaml = format!("{issuers}{SITES}").replace("$UPSTREAM", &upstream.url());
        let gateway = Gateway::start(&yaml, &Clock::system()).await;
        Some(Self { gateway, upstream, server })
    }

    fn browser(&self) -> Browser {
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
