//! Cookies: those of an existing service, read and renewed raw under its names; and whatever a browser may send.

use http::Method;

use crate::harness::scene::assert_renewed;
use crate::harness::{Ask, Scene, get, post};

#[tokio::test]
async fn renewed_raw_cookies_keep_their_names_and_are_as_safe_as_a_cookie_can_be() {
    let scene = Scene::usual().await;
    let answer = scene.send(get("https://app.test/x").cookies(&scene.expired_session("alice"))).await;
    assert_renewed(answer.assert_status(200));
    for cookie in answer.set_cookies() {
        let has = |name: &str| cookie.attributes.contains_key(name);
        assert!(has("secure") && has("httponly") && !has("domain"), "{cookie:?}");
        assert_eq!((cookie.attributes["path"].as_str(), cookie.attributes["samesite"].as_str()), ("/", "Lax"));
    }
    let access = answer.set_cookies().into_iter().find(|cookie| cookie.name == "at").unwrap();
    assert_eq!(access.value.split('.').count(), 3, "the raw token");
}

#[tokio::test]
async fn crumbs_and_several_lines_are_one_cookie_header() {
    let scene = Scene::usual().await;
    let jar = scene.session("alice");
    let (access, refresh) = (jar.value("at").unwrap(), jar.value("rt").unwrap());
    for client in [scene.client(), scene.http2()] {
        let ask =
            get("https://app.test/x").header("cookie", "a=1").header("cookie", &format!("at={access}; rt={refresh}"));
        client.send(ask.header("cookie", "b=2")).await.assert_status(200);
        assert_eq!(scene.upstream.last().all("cookie"), ["a=1; b=2"]);
    }
}

#[tokio::test]
async fn two_cookies_of_one_name_are_never_a_lottery() {
    let scene = Scene::usual().await;
    let (alice, root) = (scene.issuer.access_token("alice"), scene.issuer.access_token("root"));
    for (first, second) in [(&alice, &root), (&root, &alice)] {
        let answer = scene.send(get("https://app.test/x").header("cookie", &format!("at={first}; at={second}"))).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn a_cookie_that_is_none_of_ours_is_no_session_and_never_an_error_of_ours() {
    let scene = Scene::usual().await;
    for value in ["", "x", "a.b.c", "%00", "\"\"", "at=at", &"x".repeat(8000), "eyJhbGciOiJub25lIn0.e30."] {
        let answer = scene.send(get("https://app.test/x").header("cookie", &format!("at={value}"))).await;
        assert!(answer.status.is_client_error(), "{value:?}: {answer:?}");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn an_unsafe_request_from_elsewhere_with_cookies_is_refused() {
    let scene = Scene::usual().await;
    let jar = scene.session("alice");
    for client in [scene.client(), scene.http2()] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            for fields in [
                &[("origin", "https://evil.test")][..],
                &[("origin", "null")],
                &[("origin", "https://sub.app.test")],
                &[("origin", "http://app.test")],
                &[("origin", "https://app.test"), ("origin", "https://evil.test")],
                &[("origin", "https://app.test"), ("sec-fetch-site", "cross-site")],
                &[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
                &[("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "same-site")],
            ] {
                let ask = Ask::new(method.clone(), "https://app.test/x").cookies(&jar);
                let ask = fields.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
                let answer = client.send(ask).await;
                assert_eq!(answer.assert_status(403).set_cookies(), [], "{method} {fields:?}");
            }
        }
    }
    assert_eq!(scene.upstream.count(), 0);
    scene.send(post("https://app.test/x").header("origin", "https://app.test").cookies(&jar)).await.assert_status(200);
    // No browser of today leaves both out: it is a program that has the cookies, and nobody else made it send them.
    scene.send(post("https://app.test/x").cookies(&jar)).await.assert_status(200);
    let bearer = post("https://app.test/x").header("origin", "https://evil.test").bearer(jar.value("at").unwrap());
    scene.send(bearer).await.assert_status(200);
    let navigation =
        get("https://app.test/x").header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
    scene.send(navigation.cookies(&jar)).await.assert_status(200);
}
