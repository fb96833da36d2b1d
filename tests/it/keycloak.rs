//! The example with Keycloak, against a real one: `tests/run keycloak` starts it, and says where it is.

use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION};
use serde_json::Value;
use url::Url;
use usher::clock::Clock;

use crate::harness::scene::echoed;
use crate::harness::{Answer, Browser, Gateway, Jar, Upstream, get, post};

const EXAMPLE: &str = include_str!("../../examples/keycloak/usher.yaml");
const DEEP_LINK: &str = "https://app.test/reports/2026?from=1&to=%2Fx&&";

/// The gateway of the example, between an application and Keycloak.
struct Stack {
    gateway: Gateway,
    _upstream: Upstream,
}

impl Stack {
    async fn start() -> Self {
        let port = std::env::var("USHER_TEST_KEYCLOAK").expect("tests/run keycloak says where it is");
        let upstream = Upstream::start().await;
        // The issuers and sites of the example; the rest is about containers.
        let section = |from: &str, to: &str| {
            let (_, rest) = EXAMPLE.split_once(from).unwrap();
            format!("{from}{}", rest.split_once(to).map_or(rest, |(section, _)| section))
        };
        let yaml = [section("issuers:", "session:"), section("sites:", "\0")].concat();
        let yaml = yaml
            .replace("http://localhost:8180", &format!("http://localhost:{port}"))
            .replace("http://keycloak:8080", &format!("http://127.0.0.1:{port}"))
            .replace("host: localhost", "host: app.test")
            .replace("http://app:8080", &upstream.url());
        let gateway = Gateway::start(&yaml, &Clock::system()).await;
        Self { gateway, _upstream: upstream }
    }

    /// Signs somebody in as a person does, from the deep link on.
    async fn sign_in(&self, username: &str, password: &str) -> (Browser, Url, Answer) {
        let mut browser = Browser::new(self.gateway.client());
        let sent = browser.visit(DEEP_LINK).await;
        let entrance = format!("https://app.test{}", sent.assert_status(302).header("location").unwrap());
        let sent = browser.visit(&entrance).await;
        let callback = at_keycloak(sent.assert_status(302).header("location").unwrap(), username, password).await;
        let (url, answer) = browser.sign_in(&callback).await;
        (browser, url, answer)
    }

    async fn ask(&self, jar: &Jar, path: &str) -> Answer {
        let ask = get(&format!("https://app.test{path}")).header("accept", "application/json");
        self.gateway.client().send(ask.cookies(jar)).await
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// What somebody does on Keycloak's page; where it sends the browser then.
async fn at_keycloak(url: &str, username: &str, password: &str) -> String {
    let http = client();
    let (mut url, mut jar) = (url.to_owned(), Jar::default());
    let page = loop {
        let ask = http.get(&url).header("accept", "text/html").header(COOKIE, jar.line().unwrap_or_default());
        let answer = ask.send().await.unwrap();
        jar.take(answer.headers());
        match answer.headers().get(LOCATION) {
            Some(location) => url = location.to_str().unwrap().to_owned(),
            None => break answer,
        }
    };
    assert_eq!(page.status(), 200, "{url}");
    let page = page.text().await.unwrap();
    let action = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
    let form = [("username", username), ("password", password), ("credentialId", "")];
    let cookies = jar.line().unwrap_or_default();
    let answer = http.post(action.replace("&amp;", "&")).header(COOKIE, cookies).form(&form).send().await.unwrap();
    answer.headers().get(LOCATION).expect("a redirect").to_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs a Keycloak: tests/run keycloak"]
async fn keycloak_signs_people_in_and_their_sessions_go_on() {
    let stack = Stack::start().await;
    let (mut browser, url, answer) = stack.sign_in("alice", "wonderland").await;
    assert_eq!(url.as_str(), DEEP_LINK);
    let echo: Value = answer.assert_status(200).json();
    assert_eq!(echoed(&echo, "x-user-name"), ["Alice Liddell"]);
    assert!(echoed(&echo, "x-user-roles").concat().split(',').any(|role| role == "reader"), "{echo}");
    stack.ask(&browser.jar, "/admin/").await.assert_status(403);

    // Keycloak revokes the session of a refresh token that comes twice: all of them at once, three times over.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let asks = (0..50).map(|number| {
            let path = format!("/x?{number}");
            let (stack, jar) = (&stack, &browser.jar);
            async move { stack.ask(jar, &path).await }
        });
        let answers = futures_util::future::join_all(asks).await;
        for answer in &answers {
            answer.assert_status(200);
        }
        browser.jar.take(&answers.last().unwrap().headers);
    }
}

#[tokio::test]
#[ignore = "needs a Keycloak: tests/run keycloak"]
async fn keycloak_ends_the_session_of_who_signs_out() {
    let stack = Stack::start().await;
    let (mut browser, _, answer) = stack.sign_in("admin", "looking-glass").await;
    answer.assert_status(200);
    stack.ask(&browser.jar, "/admin/").await.assert_status(200);

    let old = browser.jar.clone();
    let button = post("https://app.test/.usher/sign-out").navigation().header("origin", "https://app.test");
    let answer = stack.gateway.client().send(button.cookies(&browser.jar)).await;
    browser.jar.take(&answer.headers);
    assert_eq!(browser.jar.line(), None);
    let onward: Url = answer.assert_status(303).header("location").unwrap().parse().unwrap();
    assert!(onward.path().ends_with("/protocol/openid-connect/logout"), "{onward}");
    // It knows the client and the address to come back to; whoever it does not see signed in is sent there at once.
    let answer = client().get(onward).send().await.unwrap();
    assert_eq!(answer.headers().get(LOCATION).unwrap(), "https://app.test/.usher/sign-out", "{}", answer.status());
    let page = browser.visit("https://app.test/.usher/sign-out").await;
    assert!(String::from_utf8_lossy(&page.assert_status(200).body).contains("You are signed out"));
    stack.ask(&old, "/admin/").await.assert_status(401);
}
