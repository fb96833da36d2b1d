//! What a token says of its issuer, audience, subject and time.

use std::time::Duration;

use crate::oauth::Algorithm;
use serde_json::json;

use super::*;
use crate::config::KeySource;

#[test]
fn j11_the_audience_is_one_of_ours_exactly() {
    let fixture = Fixture::new(Algorithm::ES256);
    for (audience, expected) in [
        (json!("gw"), "Ok"),
        (json!(["gw"]), "Ok"),
        (json!(["other", "gw"]), "Ok"),
        (json!("other-app"), "WrongAudience"),
        (json!(["other"]), "WrongAudience"),
        (json!([]), "WrongAudience"),
        (json!("GW"), "WrongAudience"),
        (json!("gw "), "WrongAudience"),
        (json!("gw,other"), "WrongAudience"),
        (json!(""), "WrongAudience"),
        (json!({"0": "gw"}), r#"Malformed(Claim("aud"))"#),
        (json!(["gw", 1]), r#"Malformed(Claim("aud"))"#),
        (json!([["gw"]]), r#"Malformed(Claim("aud"))"#),
        (json!(null), r#"Malformed(Claim("aud"))"#),
        (json!(1), r#"Malformed(Claim("aud"))"#),
    ] {
        assert_eq!(verdict(fixture.claim("aud", audience.clone())), expected, "{audience}");
    }
    let missing = fixture.key.token(&without(claims(), "aud"));
    assert_eq!(verdict(fixture.verify(&missing)), r#"MissingClaim("aud")"#);
}

#[test]
fn the_issuer_is_one_exact_string() {
    let fixture = Fixture::new(Algorithm::ES256);
    for (issuer, expected) in [
        (json!("https://i1.test/"), "UntrustedIssuer"),
        (json!("HTTPS://i1.test"), "UntrustedIssuer"),
        (json!("https://i1.test "), "UntrustedIssuer"),
        (json!(""), "UntrustedIssuer"),
        (json!([ISSUER]), r#"Malformed(Claim("iss"))"#),
        (json!(null), r#"Malformed(Claim("iss"))"#),
    ] {
        assert_eq!(verdict(fixture.claim("iss", issuer.clone())), expected, "{issuer}");
    }
    let missing = fixture.key.token(&without(claims(), "iss"));
    assert_eq!(verdict(fixture.verify(&missing)), r#"MissingClaim("iss")"#);
}

#[test]
fn j12_keys_belong_to_their_issuer_and_issuers_to_their_routes() {
    let (one, two) = (TestKey::new("same", Algorithm::ES256), TestKey::new("same", Algorithm::ES256));
    let configs = [
        configured(ISSUER, KeySource::PublicKey(one.public_pem().into_bytes())),
        configured("https://i2.test", KeySource::PublicKey(two.public_pem().into_bytes())),
    ];
    let fixture = Fixture::of(one, &configs);
    let both = [IssuerId(1), IssuerId(0)];
    let token = fixture.key.token(&claims());
    assert_eq!(fixture.verify_for(&token, &both, NOW).unwrap().issuer, IssuerId(0));
    // Verified and remembered for one route, it still does not count on another.
    assert_eq!(verdict(fixture.verify_for(&token, &[IssuerId(1)], NOW)), "UntrustedIssuer");
    assert_eq!(verdict(fixture.verify_for(&token, &[], NOW)), "UntrustedIssuer");
    let crossed = fixture.key.token(&with(claims(), "iss", json!("https://i2.test")));
    assert_eq!(verdict(fixture.verify_for(&crossed, &both, NOW)), "BadSignature");
    assert_eq!(verdict(fixture.verify_for(&token, &[IssuerId(9)], NOW)), "UntrustedIssuer");
}

#[test]
fn j13_expiry_is_to_the_second_and_the_leeway_is_the_documented_one() {
    for leeway in [0, 5] {
        let fixture = Fixture::with(TestKey::new("k1", Algorithm::ES256), |config| {
            config.leeway = Duration::from_secs(leeway);
        });
        for (exp, expected) in [
            (json!(NOW.0 + 5), "Ok"),
            (json!(NOW.0 + 1 - leeway), "Ok"),
            (json!(NOW.0 - leeway), "Expired"),
            (json!(NOW.0 - leeway - 1), "Expired"),
            (json!(NOW.0 - 61), "Expired"),
            (json!(0), "Expired"),
            (json!(-1), "Expired"),
            (json!(-1e300), "Expired"),
            (json!(1e300), "Ok"),
            (json!(u64::MAX), "Ok"),
            (json!(1_800_000_000.9 - f64::from(u32::try_from(leeway).unwrap())), "Expired"),
            (json!(1_800_000_001.5), "Ok"),
            (json!("1900000000"), r#"Malformed(Claim("exp"))"#),
            (json!(null), r#"Malformed(Claim("exp"))"#),
            (json!([NOW.0 + 300]), r#"Malformed(Claim("exp"))"#),
        ] {
            let verdict = verdict(fixture.claim("exp", exp.clone()));
            assert!(verdict.starts_with(expected), "{exp}: {verdict}");
        }
        let missing = fixture.key.token(&without(claims(), "exp"));
        assert_eq!(verdict(fixture.verify(&missing)), r#"MissingClaim("exp")"#);
    }
}

#[test]
fn expired_means_that_everything_else_is_right() {
    let fixture = Fixture::new(Algorithm::ES256);
    let expired = with(claims(), "exp", json!(NOW.0 - 1));
    let Err(VerifyError::Expired(carried)) = fixture.verify(&fixture.key.token(&expired)) else { panic!() };
    assert_eq!(carried.subject(), Some("alice"));
    let stranger = TestKey::new("k1", Algorithm::ES256);
    assert_eq!(verdict(fixture.verify(&stranger.token(&expired))), "BadSignature");
    let elsewhere = fixture.key.token(&with(expired, "aud", json!("other")));
    assert_eq!(verdict(fixture.verify(&elsewhere)), "WrongAudience");
}

#[test]
fn j40_a_token_from_the_future_says_whose_clock_to_look_at() {
    let fixture = Fixture::with(TestKey::new("k1", Algorithm::ES256), |config| {
        config.leeway = Duration::from_secs(5);
    });
    for name in ["nbf", "iat"] {
        for (date, expected) in [
            (json!(NOW.0 - 600), None),
            (json!(NOW.0 + 5), None),
            (json!(NOW.0 + 6), Some(1)),
            (json!(NOW.0 + 600), Some(595)),
            (json!(-5), None),
        ] {
            let result = fixture.claim(name, date.clone());
            let seconds = match &result {
                Err(VerifyError::NotYetValid { seconds }) => Some(*seconds),
                other => other.as_ref().map(|_| None).unwrap(),
            };
            assert_eq!(seconds, expected, "{name} {date}");
        }
        for date in [json!("soon"), json!(null), json!([])] {
            assert_eq!(verdict(fixture.claim(name, date)), format!("Malformed(Claim({name:?}))"));
        }
    }
}

#[test]
fn j20_a_subject_is_a_short_text_without_control_characters() {
    let fixture = Fixture::new(Algorithm::ES256);
    for subject in ["alice", "Zoë 🙂", "a b", &"x".repeat(1024)] {
        assert_eq!(verdict(fixture.claim("sub", json!(subject))), "Ok", "{subject}");
    }
    let refused = [
        json!(""),
        json!("a\r\nX-User: root"),
        json!("a\u{0}"),
        json!("a\tb"),
        json!("\u{7f}"),
        json!("\u{85}"),
        json!("x".repeat(1025)),
        json!(7),
        json!(null),
        json!(["alice"]),
    ];
    for subject in refused {
        assert_eq!(verdict(fixture.claim("sub", subject)), r#"Malformed(Claim("sub"))"#);
    }
    assert_eq!(verdict(fixture.verify(&fixture.key.token(&without(claims(), "sub")))), "Ok");
}

#[test]
fn a_token_that_is_bound_to_its_sender_is_no_bearer_token() {
    let fixture = Fixture::new(Algorithm::ES256);
    for cnf in [json!({"jkt": "x"}), json!({"x5t#S256": "x"}), json!({}), json!(null)] {
        assert_eq!(verdict(fixture.claim("cnf", cnf)), "SenderConstrained");
    }
}
