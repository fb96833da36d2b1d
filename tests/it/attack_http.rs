//! Attacks on the way in: spellings that an application reads differently, slowness, and configurations that would open
//! something by accident.

use crate::harness::Scene;
use crate::harness::scene::{ISSUERS, SESSION};

/// One public site at `app.test` with these routes.
async fn open_site(routes: &str) -> Scene {
    let site = "
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    access: public
    routes:
";
    Scene::start(&format!("{ISSUERS}{SESSION}{site}{routes}")).await
}

#[tokio::test]
async fn a_method_in_small_letters_does_not_get_round_the_route_of_that_method() {
    let scene = open_site(
        "      - { path: /api/ }
      - { path: /api/, methods: [POST, DELETE], access: required }",
    )
    .await;
    for method in ["post", "Post", "pOST", "delete"] {
        let request = format!("{method} /api/x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(scene.raw(request).await.unwrap().status, 405, "{method}");
    }
    assert_eq!(scene.upstream.count(), 0);
    assert_eq!(scene.raw_get("/api/x", "").await, 200);
}
