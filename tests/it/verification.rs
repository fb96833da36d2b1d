//! Tokens that do not count, and how they are refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use usher::clock::Clock;

use crate::harness::issuer::Issuer;
use crate::harness::keys::{SigningKey, base64url};
use crate::harness::tokens::Token;
use crate::harness::{Answer, Scene, get, post};

async fn present(scene: &Scene, token: &str) -> Answer {
    scene.send(get("https://app.test/x").bearer(token)).await
}

/// Every one of these is answered 401 with `error="invalid_token"`, or 400 with `error="invalid_request"` when it cannot
/// even stand in an `Authorization` header, and the application hears nothing of it.
async fn assert_refused(scene: &Scene, tokens: impl IntoIterator<Item = (String, String)>) {
    for (what, token) in tokens {
        let answer = present(scene, &token).await;
        let error = match answer.status.as_u16() {
            401 => "invalid_token",
            400 => "invalid_request",
            _ => panic!("{what}: {answer:?}"),
        };
        assert_eq!(answer.header("www-authenticate"), Some(&*format!("Bearer error=\"{error}\"")), "{what}");
        let answer = scene.send(get("https://app.test/x").header("cookie", &format!("at={token}"))).await;
        assert!(matches!(answer.status.as_u16(), 400 | 401), "{what} as a cookie: {answer:?}");
    }
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

fn named(what: &str, token: String) -> (String, String) {
    (what.to_owned(), token)
}

#[tokio::test]
async fn a_good_token_counts_in_every_algorithm_that_is_allowed() {
    for key in [SigningKey::rsa(), SigningKey::p256()] {
        let clock = Clock::adjustable();
        let issuer = Issuer::start_with(&clock, key).await;
        let yaml = format!(
            "{}{}{}",
            crate::harness::scene::ISSUERS,
            crate::harness::scene::SESSION,
            crate::harness::scene::SITES
        );
        let upstream = crate::harness::Upstream::start().await;
        Scene::with(&yaml, upstream, issuer, clock).await.assert_well().await;
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_in_every_spelling() {
    let scene = Scene::usual().await;
    let token = scene.issuer.token("root");
    let spellings = [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("NONE"),
        json!(""),
        Value::Null,
        json!(123),
        json!(["RS256"]),
    ];
    let mut cases: Vec<_> =
        spellings.into_iter().map(|alg| (format!("alg {alg}"), token.clone().head("alg", alg).unsigned())).collect();
    cases.push(named("no alg", token.clone().without_head("alg").unsigned()));
    cases.push(named("honest alg, no signature", token.unsigned()));
    assert_refused(&scene, cases).await;
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_shared_secret() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start_with(&clock, SigningKey::rsa()).await;
    let yaml =
        format!("{}{}{}", crate::harness::scene::ISSUERS, crate::harness::scene::SESSION, crate::harness::scene::SITES);
    let scene = Scene::with(&yaml, crate::harness::Upstream::start().await, issuer, clock).await;
    let (key_id, key) = scene.issuer.key();
    let jwk = key.jwk(&key_id);
    let secrets = [
        key.public_pem().into_bytes(),
        key.public_pem().trim_end().as_bytes().to_vec(),
        key.public_der(),
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap(),
    ];
    let forged = scene.issuer.token("root").head("alg", "HS256");
    let cases: Vec<_> = secrets
        .iter()
        .enumerate()
        .map(|(n, secret)| named(&format!("secret {n}"), forged.sign(&SigningKey::hmac(secret))))
        .collect();
    assert_refused(&scene, cases).await;
}

#[tokio::test]
async fn what_is_not_the_compact_form_of_a_jws_is_refused() {
    let scene = Scene::usual().await;
    let good = scene.issuer.access_token("root");
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let cases = [
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{good}.x"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.a.b"),
        "...".to_owned(),
        "x".to_owned(),
        ".".repeat(1000),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        // A JWE, of direct encryption and of a wrapped key (RFC 7516 §3.1).
        format!("{}..{signature}.{payload}.{signature}", base64url(r#"{"alg":"dir","enc":"A256GCM"}"#)),
        format!("{}.{signature}.AAAA.{payload}.AAAA", base64url(r#"{"alg":"RSA-OAEP","enc":"A128CBC-HS256"}"#)),
        // The JSON serialisations of the very same JWS (RFC 7515 §7.2).
        format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#),
        base64url(format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#)),
    ];
    assert_refused(&scene, cases.into_iter().map(|token| (token.clone(), token))).await;
}

#[tokio::test]
async fn one_flipped_bit_in_any_byte_of_header_claims_or_signature_is_refused() {
    for key in [SigningKey::p256(), SigningKey::rsa()] {
        let clock = Clock::adjustable();
        let issuer = Issuer::start_with(&clock, key).await;
        let yaml = format!(
            "{}{}{}",
            crate::harness::scene::ISSUERS,
            crate::harness::scene::SESSION,
            crate::harness::scene::SITES
        );
        let scene = Scene::with(&yaml, crate::harness::Upstream::start().await, issuer, clock).await;
        let good = scene.issuer.access_token("alice");
        let parts: Vec<Vec<u8>> = good.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let mut connection = scene.http2().connect("app.test").await;
        for (part, at) in (0..3).flat_map(|part| (0..parts[part].len()).map(move |at| (part, at))) {
            let mut flipped = parts.clone();
            flipped[part][at] ^= 1 << (at % 8);
            let token = flipped.iter().map(base64url).collect::<Vec<_>>().join(".");
            let answer = connection.send(get("https://app.test/x").bearer(&token)).await;
            assert_eq!(answer.status, 401, "byte {at} of part {part}: {answer:?}");
        }
        assert_eq!(scene.upstream.count(), 0);
        scene.assert_well().await;
    }
}

#[tokio::test]
async fn one_changed_letter_anywhere_is_refused() {
    let scene = Scene::usual().await;
    let good = scene.issuer.access_token("alice");
    let other = scene.issuer.access_token("root");
    let signature = other.rsplit_once('.').unwrap().1;
    let swapped = format!("{}.{signature}", good.rsplit_once('.').unwrap().0);
    let mut cases = vec![named("the signature of another token", swapped)];
    for at in (0..good.len()).step_by(37).filter(|at| good.as_bytes()[*at] != b'.') {
        let letter = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        cases.push(named(&format!("letter {at}"), format!("{}{letter}{}", &good[..at], &good[at + 1..])));
    }
    assert_refused(&scene, cases).await;
}

#[tokio::test]
async fn the_audience_must_be_ours_and_well_formed() {
    let scene = Scene::usual().await;
    let token = scene.issuer.token("alice");
    let audiences = [
        json!("other"),
        json!([]),
        json!(["other"]),
        json!({ "0": "usher" }),
        json!(["usher", 1]),
        json!("USHER"),
        json!("usher "),
        Value::Null,
    ];
    let mut cases: Vec<_> = audiences
        .into_iter()
        .map(|aud| (format!("aud {aud}"), scene.issuer.sign(&token.clone().claim("aud", aud))))
        .collect();
    cases.push(named("no aud", scene.issuer.sign(&token.clone().without("aud"))));
    assert_refused(&scene, cases).await;
    let several = scene.issuer.sign(&token.claim("aud", json!(["other", "usher"])));
    present(&scene, &several).await.assert_status(200);
}

#[tokio::test]
async fn the_issuer_must_be_exactly_the_one_that_is_trusted() {
    let scene = Scene::usual().await;
    let (token, url) = (scene.issuer.token("alice"), scene.issuer.url());
    let issuers = [
        json!(format!("{url}/")),
        json!("https://evil.test"),
        json!([url]),
        json!(""),
        Value::Null,
        json!(url.to_uppercase()),
    ];
    let mut cases: Vec<_> = issuers
        .into_iter()
        .map(|iss| (format!("iss {iss}"), scene.issuer.sign(&token.clone().claim("iss", iss))))
        .collect();
    cases.push(named("no iss", scene.issuer.sign(&token.without("iss"))));
    assert_refused(&scene, cases).await;
}

#[tokio::test]
async fn the_time_of_a_token_counts_to_the_second() {
    let scene = Scene::usual().await;
    let (token, now) = (scene.issuer.token("alice"), scene.clock.now().0);
    let sign = |name: &str, value: Value| scene.issuer.sign(&token.clone().claim(name, value));
    let cases = [
        named("expired a second ago", sign("exp", json!(now - 1))),
        named("expired", sign("exp", json!(now - 61))),
        named("not yet valid", sign("nbf", json!(now + 60))),
        named("exp is text", sign("exp", json!((now + 60).to_string()))),
        named("exp is negative", sign("exp", json!(-1))),
        named("exp is null", sign("exp", Value::Null)),
        named("no exp", scene.issuer.sign(&token.clone().without("exp"))),
    ];
    assert_refused(&scene, cases).await;
    let token = sign("exp", json!(now + 30));
    present(&scene, &token).await.assert_status(200);
    scene.clock.advance(std::time::Duration::from_secs(31));
    present(&scene, &token).await.assert_status(401);
}

#[tokio::test]
async fn headers_that_point_to_keys_or_demand_what_we_do_not_know_are_refused_or_ignored() {
    let scene = Scene::usual().await;
    let stranger = SigningKey::p256();
    let token = scene.issuer.token("root");
    let cases = [
        named("jwk in the header", token.clone().head("jwk", stranger.jwk("key-1")).sign(&stranger)),
        named("jku", token.clone().head("jku", "https://evil.test/keys").sign(&stranger)),
        named("x5u", token.clone().head("x5u", "https://evil.test/chain").sign(&stranger)),
        named("crit that nobody knows", scene.issuer.sign(&token.clone().head("crit", json!(["x"])).head("x", 1))),
        named("crit empty", scene.issuer.sign(&token.clone().head("crit", json!([])))),
        named("an ID token's typ", scene.issuer.sign(&token.clone().head("typ", "logout+jwt"))),
        named("a key that nobody knows", token.clone().head("kid", "../../key-1").sign(&stranger)),
    ];
    assert_refused(&scene, cases).await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_plain_bearer() {
    let scene = Scene::usual().await;
    let bound =
        scene.issuer.token("alice").claim("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }));
    assert_refused(&scene, [named("cnf", scene.issuer.sign(&bound))]).await;
}

#[tokio::test]
async fn a_subject_that_would_split_a_header_never_does() {
    let scene = Scene::usual().await;
    let long = json!("x".repeat(10 * 1024));
    for subject in [
        json!("a\r\nX-User-Id: root"),
        json!("a\nb"),
        json!("a\0b"),
        json!(7),
        json!(["root"]),
        json!({}),
        json!(""),
        long,
    ] {
        let token = scene.issuer.sign(&scene.issuer.token("alice").claim("sub", subject.clone()));
        let answer = present(&scene, &token).await;
        if answer.status == 200 {
            let seen = scene.upstream.last();
            assert!(
                seen.folded("x-user-id").iter().all(|id| *id != "root" && !id.contains(['\r', '\n', '\0'])),
                "{subject}: {seen:?}"
            );
        } else {
            answer.assert_status(401);
        }
    }
    let nameless = scene.issuer.sign(&scene.issuer.token("root").without("sub"));
    let before = scene.upstream.count();
    for path in ["x", "optional/x", "admin/x"] {
        for client in [scene.client(), scene.http2()] {
            let ask = || get(&format!("https://app.test/{path}"));
            client.send(ask().bearer(&nameless)).await.assert_status(403);
            client.send(ask().header("cookie", &format!("at={nameless}"))).await.assert_status(403);
        }
    }
    assert_eq!(scene.upstream.count(), before, "nobody is let through as nobody");
    // Where no header is made of it, a subject is not needed.
    scene.send(get("https://admin.test/x").bearer(&nameless)).await.assert_status(200);
    scene.assert_well().await;
}

#[tokio::test]
async fn a_big_token_passes_and_an_absurd_one_costs_nothing() {
    let scene = Scene::usual().await;
    let big = scene.issuer.sign(&scene.issuer.token("alice").claim("padding", "x".repeat(5500)));
    assert!(big.len() > 7000);
    present(&scene, &big).await.assert_status(200);
    let deep = Token { header: json!({ "alg": "ES256" }), claims: json!({}) }.sign(&SigningKey::p256());
    let nested = base64url(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    let signature = deep.rsplit_once('.').unwrap().1;
    for token in [format!("e30.{nested}.{signature}"), "a".repeat(64 * 1024), ".".repeat(60_000)] {
        let request = format!("GET /x HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = scene.raw(request).await;
        assert!(answer.is_none_or(|answer| matches!(answer.status, 400 | 401 | 431)));
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn the_scheme_is_case_insensitive_and_one_request_has_one_credential() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let answer = scene.send(get("https://app.test/x").header("authorization", &format!("{scheme} {token}"))).await;
        answer.assert_status(200);
    }
    for value in [
        format!("Bearer {token},{token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token} {token}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
    ] {
        let status = scene.send(get("https://app.test/x").header("authorization", &value)).await.status.as_u16();
        assert!(matches!(status, 400 | 401), "{status}");
    }
    for second in [format!("Bearer {token}"), "Basic YTpi".to_owned()] {
        let answer = scene.send(get("https://app.test/x").bearer(&token).header("authorization", &second)).await;
        let challenge = answer.assert_status(400).header("www-authenticate").unwrap_or_default().to_owned();
        assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
    }
}

#[tokio::test]
async fn a_token_anywhere_else_is_not_looked_at() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    scene.send(get(&format!("https://app.test/x?access_token={token}"))).await.assert_status(401);
    scene.send(get("https://app.test/x").header("x-access-token", &token)).await.assert_status(401);
    let form = post("https://app.test/x").header("content-type", "application/x-www-form-urlencoded");
    scene.send(form.body(format!("access_token={token}"))).await.assert_status(401);
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn the_header_decides_alone_when_there_are_cookies_too() {
    let scene = Scene::usual().await;
    let (token, cookies) = (scene.issuer.access_token("alice"), scene.session("root"));
    scene.send(get("https://app.test/x").bearer(&token).cookies(&cookies)).await.assert_status(200);
    assert_eq!(scene.upstream.only().all("x-user-id"), ["alice"]);
    let answer = scene.send(get("https://app.test/x").bearer("nonsense").cookies(&cookies)).await;
    assert_eq!(answer.assert_status(401).set_cookies(), [], "and the session is left alone");
    let expired = scene.issuer.sign_in_expired("alice").access;
    scene
        .send(get("https://app.test/x").bearer(&expired).cookies(&scene.expired_session("root")))
        .await
        .assert_status(401);
    assert_eq!(scene.issuer.token_requests(), 0, "a bearer token is never renewed from a cookie");
}
