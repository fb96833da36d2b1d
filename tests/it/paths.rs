//! Paths that gateway and application could read differently: none of them reaches what is protected.

use crate::harness::{Scene, get};

/// Targets that end up at `/admin` under some normalisation that some application server does.
pub(crate) const DISGUISED: [&str; 46] = [
    "/public/../admin/x",
    "/public/./../admin/x",
    "/public/..;/admin/x",
    "/public/.../admin",
    "/public/%2e%2e/admin/x",
    "/public/%2E./admin",
    "/public/.%2e/admin",
    "/public/%252e%252e/admin",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%u002e%u002e/admin",
    "//admin/x",
    "/%2fadmin/x",
    "///admin",
    "/public//../admin",
    "/./admin/x",
    "//public/../admin",
    "/public%2f..%2fadmin/x",
    "/public%2F%2e%2e%2Fadmin",
    "/public/..%2fadmin",
    "/public%5c..%5cadmin",
    "/public/..%5cadmin",
    "/public\\..\\admin",
    "/public/..\\admin",
    "\\admin",
    "/admin;x=y/x",
    "/admin;/x",
    "/public;/../admin/x",
    "/;/admin/x",
    "/admin%3bx",
    "/public/%2e%2e;/admin",
    "/admin/../public/../admin/x",
    "/public/%00/../admin",
    "/public/..%00/admin",
    "/public/x/../../admin",
    "/admin%20",
    "/admin%09/x",
    "/admi%6e/x",
    "/%61dmin/x",
    "/admin%2e/x",
    "/admin./x",
    "/public/..%252fadmin",
    "/public/%2e%2e%2f%2e%2e%2fadmin",
    "/.//admin",
    "/public/%uff0e%uff0e/admin",
    "/public/x#/../../admin",
    "/public/#/admin",
];

#[tokio::test]
async fn nobody_reaches_what_is_protected_by_spelling_it_differently() {
    let scene = Scene::usual().await;
    let alice = scene.issuer.access_token("alice");
    for credentials in [String::new(), format!("Authorization: Bearer {alice}\r\n")] {
        for target in DISGUISED {
            let before = scene.upstream.count();
            let status = scene.raw_get(target, &credentials).await;
            if scene.upstream.count() == before {
                assert!(matches!(status, 0 | 400 | 401 | 403 | 404), "{target}: {status}");
            } else {
                let forwarded = scene.upstream.last().target;
                assert!(!readings(&forwarded).iter().any(|path| is_admin(path)), "{target} reaches {forwarded}");
            }
        }
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn an_encoded_letter_is_the_letter() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    for target in ["/%61dmin/x", "/admi%6e/x", "/%61%64%6d%69%6e/"] {
        let status = scene.raw_get(target, &format!("Authorization: Bearer {token}\r\n")).await;
        assert!(matches!(status, 400 | 403), "{target}: {status}");
    }
}

#[tokio::test]
async fn a_query_never_takes_part_in_the_choice_of_a_route() {
    let scene = Scene::usual().await;
    for target in ["/private?path=/public/", "/admin?/public/", "/admin/x?next=/public/", "/x?/../public/"] {
        assert_eq!(scene.raw_get(target, "").await, 401, "{target}");
    }
}

#[tokio::test]
async fn headers_that_speak_of_another_path_or_host_change_nothing() {
    let scene = Scene::usual().await;
    for (name, value) in [
        ("x-forwarded-uri", "/public/x"),
        ("x-original-url", "/public/x"),
        ("x-rewrite-url", "/public/x"),
        ("x-forwarded-host", "pub.test"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-prefix", "/public"),
        ("x-http-method-override", "OPTIONS"),
        ("x-envoy-original-path", "/public/x"),
        ("forwarded", "host=pub.test;proto=http"),
        ("user-agent", "kube-probe/1.29"),
        ("x-original-method", "OPTIONS"),
    ] {
        scene.send(get("https://app.test/admin/x").header(name, value)).await.assert_status(401);
    }
    assert_eq!(scene.upstream.count(), 0);
}

/// How application servers may read a path: decoded once and twice, `\` as `/`, `;…` dropped, slashes merged, dot
/// segments resolved, in combination.
pub(crate) fn readings(target: &str) -> Vec<String> {
    let path = target.split('?').next().unwrap().to_owned();
    let decode = |path: &str| percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let decoded = [path.clone(), decode(&path), decode(&decode(&path))];
    let without_parameters =
        |path: &String| path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/");
    let mut all: Vec<String> = decoded.iter().map(|path| path.replace('\\', "/")).collect();
    all.extend(decoded.iter().map(without_parameters));
    all.extend(all.clone().iter().map(|path| resolve(path)));
    all
}

fn resolve(path: &str) -> String {
    let mut resolved: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(resolved.pop()),
            other => resolved.push(other),
        }
    }
    format!("/{}", resolved.join("/"))
}

/// Whether a path is protected in the usual scene.
pub(crate) fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}
