//! The rows about hosts: one host decides, for the rule and for the application, however it is spelt.

use std::fmt::Write as _;

use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::verbatim::{Peer, Verbatim, VerbatimClient};
use crate::harness::{Protocol, Scene};
use crate::spellings::{clients, status};

#[tokio::test]
async fn a_spelling_of_a_host_is_that_host_or_none() {
    let scene = Scene::usual().await;
    for client in &mut clients(&scene, "app.test") {
        for (suffix, valid) in [
            ("", true),
            (":443", true),
            (":8443", true),
            (":", true),
            (".", true),
            (".:443", true),
            (":0", false),
            (":99999", false),
            (":x", false),
            (":-1", false),
            (":443:443", false),
            ("..", false),
            ("/..", false),
            (",pub.test", false),
            (", pub.test", false),
            ("@pub.test", false),
            ("#pub.test", false),
            ("?pub.test", false),
            ("\\pub.test", false),
            ("%2epub.test", false),
            ("\0", false),
            (" pub.test", false),
            ("\tpub.test", false),
            ("\u{3002}", false),
        ] {
            for name in ["app.test", "APP.test", "aPP.TEST"] {
                // Nobody may see `/x` there, and everybody `/public/x`: neither a stricter nor a weaker site took over.
                let host = format!("{name}{suffix}");
                let expected: [&[u16]; 2] = if valid { [&[401], &[200]] } else { [&[0, 400], &[0, 400]] };
                for (path, expected) in ["/x", "/public/x"].into_iter().zip(expected) {
                    let seen = status(client, &Verbatim::get(&host, path)).await;
                    assert!(expected.contains(&seen), "{host:?}{path}: {seen}");
                }
            }
        }
    }
    assert!(scene.upstream.seen().iter().all(|seen| seen.host.starts_with("app.test") && !seen.host.contains("..")));
}

#[tokio::test]
async fn what_is_no_host_of_ours_is_never_a_weaker_one() {
    let scene = Scene::usual().await;
    for client in &mut clients(&scene, "pub.test") {
        for host in [
            "",
            "pub.test#app.test",
            "app.test@pub.test",
            "[::1",
            "[::1]x",
            "[pub.test]",
            ".pub.test",
            "pub..test",
            "pub test",
        ] {
            let seen = status(client, &Verbatim::get(host, "/x")).await;
            assert!(matches!(seen, 0 | 400), "{host:?}: {seen}");
        }
        for host in [
            "xn--app-.test",
            "nowhere.test",
            "test",
            "pub",
            "x.pub.test",
            "127.0.0.1",
            "[::1]",
            "localhost",
            "pub.test.app.test",
        ] {
            assert_eq!(status(client, &Verbatim::get(host, "/x")).await, 421, "{host:?}");
        }
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_request_names_one_host_and_once() {
    let scene = Scene::usual().await;
    let [http1, http2] = &mut clients(&scene, "pub.test");
    let pub_test = || Verbatim::get("pub.test", "/x");
    for (name, host) in
        [("Host", "pub.test"), ("Host", "app.test"), ("host", "pub.test"), ("HOST", "app.test"), ("hOsT", "")]
    {
        assert_eq!(status(http1, &pub_test().field(name, host)).await, 400, "{name}: {host}");
    }
    assert_eq!(scene.raw("GET /public/x HTTP/1.1\r\n\r\n").await.unwrap().status, 400, "none at all");
    assert_eq!(scene.raw("GET /public/x HTTP/1.0\r\n\r\n").await.unwrap().status, 400, "none in HTTP/1.0 either");
    for fields in [
        &[("host", "app.test")][..],
        &[("host", "pub.test:443")],
        &[("host", "")],
        &[("host", "pub.test"), ("host", "pub.test")],
        &[("host", "pub.test"), ("host", "app.test")],
        &[(":authority", "pub.test")],
        &[(":authority", "app.test")],
        &[(":path", "/admin/x")],
        &[(":method", "POST")],
        &[("accept", "*/*"), (":authority", "app.test")],
        &[("Host", "pub.test")],
    ] {
        let request = fields.iter().fold(pub_test(), |request, (name, value)| request.field(*name, *value));
        let seen = status(http2, &request).await;
        assert!(matches!(seen, 0 | 400), "{fields:?} over HTTP/2: {seen}");
    }
    assert_eq!(scene.upstream.count(), 0);
    assert_eq!(status(http2, &pub_test().field("host", "PUB.test")).await, 200, "the same host twice is one");
    assert_eq!(scene.upstream.only().all("host"), ["pub.test"]);
}

#[tokio::test]
async fn an_absolute_target_has_the_host_of_the_request_or_is_refused() {
    let scene = Scene::usual().await;
    let http1 = &mut clients(&scene, "app.test")[0];
    for (target, host, expected) in [
        ("https://app.test/x", "app.test", 401),
        ("http://app.test/admin", "app.test", 401),
        ("https://app.test/public/x", "app.test", 200),
        ("https://APP.test/public/x?y", "app.test", 200),
        ("https://app.test/public/../admin/x", "app.test", 400),
        ("https://pub.test/x", "app.test", 400),
        ("https://app.test/x", "pub.test", 400),
        ("https://app.test:1/x", "app.test", 400),
        ("ftp://app.test/public/x", "app.test", 400),
        ("file:///public/x", "app.test", 400),
        ("https://user@app.test/public/x", "app.test", 400),
        ("https://user@app.test/public/x", "user@app.test", 400),
        ("https:///public/x", "app.test", 400),
        ("app.test/public/x", "app.test", 400),
        ("app.test", "app.test", 400),
        ("public/x", "app.test", 400),
    ] {
        let before = scene.upstream.count();
        let seen = status(http1, &Verbatim::get(host, target)).await;
        assert_eq!(seen, expected, "{target} with Host: {host}");
        assert_eq!(scene.upstream.count() - before, usize::from(expected == 200), "{target}");
        if expected == 200 {
            let seen = scene.upstream.last();
            assert!(seen.target.starts_with("/public/x") && seen.host == "app.test", "{target}: {seen:?}");
        }
    }
    let http2 = &mut clients(&scene, "app.test")[1];
    for target in ["https://app.test/public/x", "https://pub.test/x", "//app.test/public/x", "public/x", "", "*"] {
        let seen = status(http2, &Verbatim::get("app.test", target)).await;
        assert!(matches!(seen, 0 | 400), "{target} over HTTP/2: {seen}");
    }
    // A target that is nothing but a query is the root, to whoever decides and to whoever answers.
    assert_eq!(status(http2, &Verbatim::get("app.test", "?/public/x")).await, 401);
}

#[tokio::test]
async fn the_host_decides_whatever_name_the_connection_was_opened_with() {
    let scene = Scene::usual().await;
    for server_name in ["pub.test", "app.test", "admin.test", "unknown.test"] {
        for client in &mut clients(&scene, server_name) {
            // A browser uses one connection for all names of a certificate.
            for (host, path, expected) in [
                ("pub.test", "/x", 200),
                ("admin.test", "/x", 401),
                ("ADMIN.test.", "/x", 401),
                ("app.test", "/x", 401),
                ("admin.test", "/public/x", 200),
                ("pub.test", "/admin/x", 200),
            ] {
                let seen = status(client, &Verbatim::get(host, path)).await;
                assert_eq!(seen, expected, "{host}{path} on a connection to {server_name}");
            }
        }
    }
}

#[tokio::test]
async fn among_hundreds_of_sites_each_name_has_one_verdict() {
    let mut sites = String::from("sites:\n");
    let routes = "upstream: $UPSTREAM, routes: [{ path: / }]";
    for n in 0..300 {
        let access = if n % 2 == 0 { "access: public" } else { "issuer: main" };
        writeln!(sites, "  - {{ host: s{n}.wild.test, {access}, {routes} }}").unwrap();
    }
    writeln!(sites, "  - {{ host: '*.wild.test', issuer: main, {routes} }}").unwrap();
    writeln!(sites, "  - {{ host: bücher.test, issuer: main, {routes} }}").unwrap();
    let scene = Scene::start(&format!("{ISSUERS}{SESSION}{sites}")).await;
    for client in &mut clients(&scene, "a.wild.test") {
        for (host, expected) in [
            ("SECURE.Wild.Test", 401),
            ("secure.wild.test.", 401),
            ("s0.wild.test", 200),
            ("S0.WILD.TEST.:443", 200),
            ("s1.wild.test", 401),
            ("S299.wild.TEST", 401),
            ("s298.wild.test", 200),
            ("s300.wild.test", 401),
            ("s0.s0.wild.test", 421),
            ("wild.test", 421),
            ("xn--bcher-kva.test", 401),
            ("XN--BCHER-KVA.test", 401),
            ("xn--bcher-kvb.test", 421),
        ] {
            assert_eq!(status(client, &Verbatim::get(host, "/x")).await, expected, "{host}");
        }
        // What is not ASCII is no host, in whatever encoding.
        for host in ["b\u{fc}cher.test", "b%C3%BCcher.test", "\u{ff53}0.wild.test"] {
            let seen = status(client, &Verbatim::get(host, "/x")).await;
            assert!(matches!(seen, 0 | 400), "{host}: {seen}");
        }
    }
    let mut client = VerbatimClient::new(Peer::Gateway(scene.gateway.https(), "a.wild.test".into(), Protocol::Http2));
    for n in 0..300 {
        let seen = status(&mut client, &Verbatim::get(&format!("s{n}.wild.test"), "/x")).await;
        assert_eq!(seen, if n % 2 == 0 { 200 } else { 401 }, "s{n}");
    }
}
