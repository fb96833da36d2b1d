//! What clients try at proxies that ask: to say through them what only Usher may say, and to be asked about as somebody they
//! are not. With the very files of `examples/forward-auth`.

use crate::forward_auth_proxies::Outer;
use crate::harness::client::connect_from;
use crate::harness::outer_proxy::OuterKind;
use crate::harness::scene::assert_renewed;
use crate::harness::{UpstreamAnswer, get};

const WEB_SOCKET: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Origin", "https://app.test"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn attack(kind: OuterKind) {
    let Some(outer) = Outer::start(kind, "cookies: { access: at, refresh: rt, sealed: false }").await else { return };
    nothing_hides_behind_connection(&outer).await;
    what_usher_drops_from_everybody_reaches_nobody(&outer).await;
    nor_does_what_a_proxy_would_say(&outer).await;
    a_client_is_where_it_comes_from(&outer).await;
    the_proxy_serves_the_host_that_it_asks_about(&outer).await;
    several_lines_of_cookies_are_one(&outer).await;
    cookies_come_back_though_the_application_is_down(&outer).await;
}

impl Outer {
    /// Whether a request with these fields reached the application together with any of these names.
    async fn hears(&self, path: &str, fields: &[(&str, &str)], names: &[&str]) -> bool {
        let (status, forwarded) = self.verbatim("GET", path.as_bytes(), fields).await;
        let answered = if forwarded { matches!(status, 101 | 200) } else { matches!(status, 0 | 400 | 403 | 431) };
        assert!(answered, "{:?}: {path} with {fields:?}: {status}", self.kind);
        let said = |name: &&str| self.scene.upstream.last().folded(name).iter().any(|value| value.contains("forged"));
        forwarded && names.iter().any(said)
    }
}

async fn nothing_hides_behind_connection(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    for path in ["/x", "/public/x"] {
        for name in ["X_User_Id", "X.User.Roles", "X-User-Id", "X-Usher-Assertion", "X-Original-URL"] {
            for upgrades in [false, true] {
                let connection = if upgrades { format!("Upgrade, {name}") } else { name.to_owned() };
                let mut fields = vec![("Cookie", alice.as_str()), (name, "forged"), ("Connection", &connection)];
                fields.extend(WEB_SOCKET.iter().filter(|_| upgrades));
                let heard = outer.hears(path, &fields, &[name]).await;
                assert!(!heard, "{:?}: {fields:?} at {path}: {:?}", outer.kind, outer.scene.upstream.last());
            }
        }
    }
}

/// The names that Usher drops from everybody, and one for each prefix, as its source lists them.
fn dropped_from_everybody() -> Vec<String> {
    let source = include_str!("../../src/gateway/strip.rs");
    let (_, module) = source.split_once("mod never {").unwrap();
    let (module, _) = module.split_once("\n}").unwrap();
    let names: Vec<_> = module.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    assert!(names.len() >= 15, "{names:?}");
    names.into_iter().map(|name| if name.ends_with('-') { name + "assertion" } else { name }).collect()
}

async fn what_usher_drops_from_everybody_reaches_nobody(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    let mut reached = Vec::new();
    for name in dropped_from_everybody() {
        for name in [name.replacen('-', "_", 1), name] {
            let fields = [("Cookie", alice.as_str()), (name.as_str(), "forged")];
            for path in ["/x", "/public/x"] {
                if outer.hears(path, &fields, &[&name]).await {
                    reached.push(name.clone());
                }
            }
        }
    }
    assert!(reached.is_empty(), "{:?}: {reached:?}", outer.kind);
}

async fn nor_does_what_a_proxy_would_say(outer: &Outer) {
    let mut reached = Vec::new();
    for name in [
        "Forwarded",
        "X-Real-IP",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X_Real_IP",
        "X-Forwarded_Host",
        "X_Forwarded_Proto",
        "True_Client_IP",
    ] {
        if outer.hears("/public/x", &[(name, "forged")], &[name]).await {
            reached.push(name);
        }
    }
    assert!(reached.is_empty(), "{:?}: {reached:?}", outer.kind);
}

/// The log, the auditor and the rate limits go by the address: nobody takes themselves out of them, whoever is asked.
async fn a_client_is_where_it_comes_from(outer: &Outer) {
    for path in ["/x", "/.usher/nothing"] {
        for (name, own) in
            [("forwarded", "for=192.0.2.6"), ("x-forwarded-for", "192.0.2.6"), ("x-real-ip", "192.0.2.6")]
        {
            let mut client = connect_from([127, 0, 0, 9], outer.proxy.address, "app.test").await;
            client.send(get(&format!("https://app.test{path}")).header(name, own)).await;
            let refused = outer.scene.gateway.status("/").await["refusals"][0].take();
            assert_eq!(refused["client"], "127.0.0.9", "{:?}: {path} with {name}: {refused:#}", outer.kind);
        }
    }
}

/// A host that is another site to Usher, or none, is none here: the application would serve it as this one.
async fn the_proxy_serves_the_host_that_it_asks_about(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    let mine = [("Cookie", alice.as_str())];
    for (host, target) in [
        ("pub.test", "/x"),
        ("pub.test:443", "/x"),
        ("nowhere.test", "/x"),
        ("pub.test", "https://app.test/x"),
        ("app.test.pub.test", "/x"),
        ("pub.test,app.test", "/x"),
        ("pub.test", "/.usher/session"),
    ] {
        let (status, forwarded) = outer.verbatim_at(host, "GET", target.as_bytes(), &mine).await;
        if forwarded && target.starts_with("https:") {
            // Usher was asked about the host of the request line, as which the application is served.
            let seen = outer.scene.upstream.last();
            assert_eq!((&*seen.host, seen.header("x-user-id")), ("app.test", Some("alice")), "{:?}", outer.kind);
            continue;
        }
        // Caddy answers for a host that it does not know with nothing.
        let refused = matches!(status, 0 | 400 | 404 | 421) || outer.kind == OuterKind::Caddy && status == 200;
        assert!(refused && !forwarded, "{:?}: {target} at {host}: {status}", outer.kind);
    }
    for host in ["app.test", "APP.test"] {
        assert_eq!(outer.verbatim_at(host, "GET", b"/x", &mine).await, (200, true), "{:?}: {host}", outer.kind);
    }
}

async fn several_lines_of_cookies_are_one(outer: &Outer) {
    let alice = outer.scene.session("alice").line().unwrap();
    let (access, refresh) = alice.split_once("; ").unwrap();
    let (second, third) = (format!("b=2; {access}"), format!("{refresh}; c=3"));
    let fields = [("Cookie", "a=1"), ("Cookie", second.as_str()), ("Cookie", third.as_str())];
    let (status, _) = outer.verbatim("GET", b"/x", &fields).await;
    let seen = outer.scene.upstream.last();
    let said = |name: &str| seen.all(name).join("; ");
    let known = (status, said("x-user-id"), said("cookie"));
    assert_eq!(known, (200, "alice".to_owned(), "a=1; b=2; c=3".to_owned()), "{:?}", outer.kind);
}

/// Law 6: the old refresh token is spent, whatever becomes of the request.
async fn cookies_come_back_though_the_application_is_down(outer: &Outer) {
    outer.scene.upstream.answer("/down", UpstreamAnswer::Hangup);
    let asks = get("https://app.test/down").cookies(&outer.scene.expired_session("alice"));
    let answer = outer.proxy.client(crate::harness::Protocol::Http1).send(asks).await;
    assert!(answer.status.is_server_error(), "{:?}: {answer:?}", outer.kind);
    assert_renewed(&answer);
    let said: Vec<_> = answer.headers.get_all("cache-control").iter().map(|line| line.to_str().unwrap()).collect();
    assert!(said.join(",").contains("no-store"), "{:?}: {said:?}", outer.kind);
}

#[tokio::test]
async fn clients_of_nginx_get_nothing_past_usher() {
    attack(OuterKind::Nginx).await;
}

#[tokio::test]
async fn clients_of_caddy_get_nothing_past_usher() {
    attack(OuterKind::Caddy).await;
}

#[tokio::test]
async fn clients_of_haproxy_get_nothing_past_usher() {
    attack(OuterKind::Haproxy).await;
}

#[tokio::test]
async fn clients_of_envoy_get_nothing_past_usher() {
    attack(OuterKind::Envoy).await;
}
