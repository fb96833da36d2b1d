//! The form of a token, its header and its signature.

use std::time::{Duration, Instant};

use crate::oauth::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::config::{KeySource, Secret};

#[test]
fn a_good_token_of_every_algorithm_is_verified() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ] {
        let fixture = Fixture::new(algorithm);
        let verified = fixture.verify(&fixture.key.token(&claims())).unwrap();
        assert_eq!((verified.claims.subject(), verified.issuer), (Some("alice"), IssuerId(0)));
        assert_eq!((verified.expires_at, verified.usable_until), (Timestamp(NOW.0 + 300), Timestamp(NOW.0 + 300)));
    }
    let secret = TestKey::hmac(b"a secret of the legacy application");
    let mut config = configured(ISSUER, KeySource::Hmac(Secret::new(b"a secret of the legacy application".to_vec())));
    config.algorithms = vec![Algorithm::HS256];
    let fixture = Fixture::of(secret.named(Some("whatever")), &[config]);
    fixture.verify(&fixture.key.token(&claims())).unwrap();
}

#[test]
fn j01_no_spelling_of_no_algorithm_passes() {
    let fixture = Fixture::new(Algorithm::RS256);
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    let good = fixture.key.token(&claims());
    let signature = good.rsplit_once('.').unwrap().1;
    for alg in ["\"none\"", "\"None\"", "\"nOnE\"", "\"NONE\"", "\"\"", "null", "123", "[\"RS256\"]", "\"rs256\"", "{}"]
    {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":{alg},"typ":"JWT"}}"#));
        for signature in ["", signature] {
            let verdict = verdict(fixture.verify(&format!("{header}.{payload}.{signature}")));
            assert!(verdict.starts_with("Malformed") || verdict == "AlgorithmNotAllowed", "{alg}: {verdict}");
        }
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT"}"#);
    let verdict = verdict(fixture.verify(&format!("{header}.{payload}.{signature}")));
    assert_eq!(verdict, r#"Malformed(Header("alg"))"#);
}

#[test]
fn j02_a_public_key_is_no_shared_secret() {
    let all = |config: &mut config::Issuer| config.algorithms.push(Algorithm::HS256);
    for (algorithm, change) in [(Algorithm::RS256, false), (Algorithm::RS256, true), (Algorithm::ES256, true)] {
        let key = TestKey::new("k1", algorithm);
        let (pem, jwk) = (key.public_pem(), key.jwk());
        let modulus = jwk["n"].as_str().or(jwk["x"].as_str()).unwrap().to_owned();
        let fixture = Fixture::with(key, |config| {
            if change {
                all(config);
            }
        });
        let secrets = [
            pem.clone().into_bytes(),
            pem.trim_end().as_bytes().to_vec(),
            der(&pem),
            jwk.to_string().into_bytes(),
            modulus.clone().into_bytes(),
            URL_SAFE_NO_PAD.decode(&modulus).unwrap(),
        ];
        for secret in secrets {
            let forged = TestKey::hmac(&secret).named(Some("k1")).token(&claims());
            let verdict = verdict(fixture.verify(&forged));
            assert!(matches!(verdict.as_str(), "AlgorithmNotAllowed" | "UnknownKey"), "{verdict}");
        }
    }
}

fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

#[test]
fn j03_only_the_compact_form_of_a_jws_passes() {
    let fixture = Fixture::new(Algorithm::ES256);
    let good = fixture.key.token(&claims());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for (token, why) in [
        (String::new(), "Parts"),
        (header.to_owned(), "Parts"),
        (format!("{header}.{payload}"), "Parts"),
        (format!("{header}.{payload}."), "Parts"),
        (format!("{header}..{signature}"), "Parts"),
        (format!(".{payload}.{signature}"), "Parts"),
        (format!("{good}.{signature}"), "Parts"),
        (format!("{header}.a.{payload}.b.{signature}"), "Parts"),
        (format!(".{good}"), "Parts"),
        (format!("{good}."), "Parts"),
        ("..".to_owned(), "Parts"),
        (".".repeat(10_000), "Parts"),
        (".".repeat(100_000), "TooLong"),
        (
            json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).to_string(),
            "Parts",
        ),
        (json!({"payload": payload, "protected": header, "signature": "a.b.c"}).to_string(), "Base64"),
        (format!("{good}="), "Base64"),
        (format!("{header}=.{payload}.{signature}"), "Base64"),
        (format!(" {good}"), "Base64"),
        (format!("{good}\n"), "Base64"),
        (format!("{header}.é.{signature}"), "Base64"),
        (format!("bm90anNvbg.{payload}.{signature}"), "Json"),
        (format!("W10.{payload}.{signature}"), "Json"),
        (format!("{header}.bnVsbA.{signature}"), "Json"),
    ] {
        let verdict = verdict(fixture.verify(&token));
        assert_eq!(verdict, format!("Malformed({why})"), "{token:.40}");
    }
}

#[test]
fn j04_no_bit_of_a_token_can_be_changed() {
    let fixture = Fixture::new(Algorithm::ES256);
    let good = fixture.key.token(&claims());
    fixture.verify(&good).unwrap();
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert_ne!(verdict(fixture.verify(&changed)), "Ok", "{changed}");
            }
        }
    }
    let other = fixture.key.token(&with(claims(), "sub", json!("root")));
    let swapped = format!("{}.{}", good.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(verdict(fixture.verify(&swapped)), "BadSignature");
    let stranger = TestKey::new("k1", Algorithm::ES256).token(&claims());
    assert_eq!(verdict(fixture.verify(&stranger)), "BadSignature");
}

#[test]
fn a_signature_of_another_algorithm_than_the_header_says_does_not_pass() {
    let fixture = Fixture::new(Algorithm::RS256);
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        assert_eq!(verdict(fixture.header("alg", json!(alg))), "BadSignature", "{alg}");
    }
    for alg in ["ES256", "ES384", "EdDSA"] {
        assert_eq!(verdict(fixture.header("alg", json!(alg))), "UnknownKey", "{alg}");
    }
    let fixture = Fixture::with(TestKey::new("k1", Algorithm::RS256), |config| {
        config.algorithms = vec![Algorithm::RS256, Algorithm::ES256];
    });
    assert_eq!(verdict(fixture.header("alg", json!("PS256"))), "AlgorithmNotAllowed");
}

#[test]
fn header_parameters_that_are_not_understood_or_lead_elsewhere_do_not_help() {
    let fixture = Fixture::new(Algorithm::ES256);
    for (name, value, expected) in [
        ("crit", json!(["exp"]), r#"Malformed(Header("crit"))"#),
        ("crit", json!([]), r#"Malformed(Header("crit"))"#),
        ("crit", json!(null), r#"Malformed(Header("crit"))"#),
        ("b64", json!(false), r#"Malformed(Header("b64"))"#),
        ("kid", json!(7), r#"Malformed(Header("kid"))"#),
        ("kid", json!("../../dev/null"), "Ok"),
        ("typ", json!("JWT"), "Ok"),
        ("typ", json!("application/AT+jwt"), "Ok"),
        ("typ", json!("logout+jwt"), "WrongType"),
        ("typ", json!("dpop+jwt"), "WrongType"),
        ("typ", json!(""), "WrongType"),
        ("typ", json!(null), r#"Malformed(Header("typ"))"#),
        ("x5t", json!("x"), "Ok"),
    ] {
        assert_eq!(verdict(fixture.header(name, value.clone())), expected, "{name} {value}");
    }
    let stranger = TestKey::new("k1", Algorithm::ES256);
    for (name, value) in [("jwk", stranger.jwk()), ("jku", json!("http://evil.test/")), ("x5c", json!(["AA"]))] {
        let header = with(stranger.header(), name, value);
        let forged = stranger.signed(&header.to_string(), &claims().to_string());
        assert_eq!(verdict(fixture.verify(&forged)), "BadSignature", "{name}");
    }
    assert_eq!(verdict(fixture.verify(&fixture.key.signed(r#"{"alg":"ES256"}"#, &claims().to_string()))), "Ok");
}

#[test]
fn a_configured_type_is_required() {
    let fixture = Fixture::with(TestKey::new("k1", Algorithm::ES256), |config| {
        config.token_type = Some("at+jwt".to_owned());
    });
    assert_eq!(verdict(fixture.header("typ", json!("at+JWT"))), "Ok");
    assert_eq!(verdict(fixture.header("typ", json!("application/at+jwt"))), "Ok");
    assert_eq!(verdict(fixture.header("typ", json!("JWT"))), "WrongType");
    assert_eq!(verdict(fixture.verify(&fixture.key.signed(r#"{"alg":"ES256"}"#, &claims().to_string()))), "WrongType");
}

#[test]
fn a_member_that_stands_twice_is_refused_before_anybody_asks_which_counts() {
    let fixture = Fixture::new(Algorithm::ES256);
    let good = claims().to_string();
    let twice = good.replacen('{', r#"{"sub":"root","#, 1);
    let nested = good.replacen('{', r#"{"realm_access":{"roles":[],"roles":["admin"]},"#, 1);
    let header = fixture.key.header().to_string();
    for claims in [twice, nested] {
        assert_eq!(verdict(fixture.verify(&fixture.key.signed(&header, &claims))), "Malformed(Duplicate)");
    }
    let header = header.replacen('{', r#"{"alg":"ES256","#, 1);
    assert_eq!(verdict(fixture.verify(&fixture.key.signed(&header, &good))), "Malformed(Duplicate)");
}

#[test]
fn j21_large_and_deep_tokens_are_refused_at_once() {
    let fixture = Fixture::new(Algorithm::ES256);
    assert_eq!(verdict(fixture.claim("pad", json!("x".repeat(8000)))), "Ok");
    let header = fixture.key.header().to_string();
    let started = Instant::now();
    for claims in [
        format!(r#"{{"a":{}{}}}"#, "[".repeat(6000), "]".repeat(6000)),
        format!("{}1{}", r#"{"a":"#.repeat(2000), "}".repeat(2000)),
    ] {
        assert_eq!(verdict(fixture.verify(&fixture.key.signed(&header, &claims))), "Malformed(Json)");
    }
    for length in [64 * 1024, 1024 * 1024] {
        assert_eq!(verdict(fixture.claim("pad", json!("x".repeat(length)))), "Malformed(TooLong)");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn no_error_shows_the_token_or_a_value_of_its_claims() {
    let fixture = Fixture::new(Algorithm::ES256);
    let secret = with(claims(), "sub", json!("canary"));
    let tokens = [
        fixture.key.token(&with(secret.clone(), "exp", json!(1))),
        fixture.key.token(&with(secret.clone(), "aud", json!("canary"))),
        fixture.key.token(&with(secret.clone(), "iss", json!("canary"))),
        fixture.key.signed(r#"{"alg":"canary"}"#, &secret.to_string()),
        "canary.canary.canary".to_owned(),
        "canary".to_owned(),
    ];
    for token in tokens {
        let error = fixture.verify(&token).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }
    let verified = fixture.verify(&fixture.key.token(&secret)).unwrap();
    assert!(!format!("{verified:?}").contains("canary"));
}
