//! Tokens that nobody has thought of.

use crate::oauth::Algorithm;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_at_all_panics_or_passes(token in "(?s).{0,200}|[A-Za-z0-9_.-]{0,400}|[A-Za-z0-9_-]{1,80}(\\.[A-Za-z0-9_-]{1,80}){1,4}") {
        let fixture = shared();
        prop_assert_ne!(verdict(fixture.verify(&token)), "Ok");
    }

    #[test]
    fn no_mutation_of_a_good_token_passes(
        cut in any::<prop::sample::Index>(),
        length in 0_usize..4,
        inserted in "[A-Za-z0-9_.=+/ -]{0,4}",
    ) {
        let fixture = shared();
        let good = fixture.key.token(&claims());
        let start = cut.index(good.len());
        let mut mutated = good.clone();
        mutated.replace_range(start..(start + length).min(good.len()), &inserted);
        prop_assume!(mutated != good);
        prop_assert_ne!(verdict(fixture.verify(&mutated)), "Ok");
    }

    #[test]
    fn no_claims_of_any_shape_panic(text in arbitrary_object()) {
        let fixture = shared();
        let token = fixture.key.signed(&fixture.key.header().to_string(), &text.to_string());
        let _ = fixture.verify(&token);
    }
}

/// Objects whose members are those that are looked at, with values of every type.
fn arbitrary_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!(ISSUER)),
        Just(json!("gw")),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from));
    let name = prop::sample::select(vec!["iss", "aud", "sub", "exp", "nbf", "iat", "cnf", "scope"]);
    prop::collection::vec((name, value), 0..8)
        .prop_map(|changes| changes.into_iter().fold(claims(), |object, (name, value)| with(object, name, value)))
}

/// One fixture per thread: making a runtime per case would take longest.
fn shared() -> &'static Fixture {
    thread_local!(static FIXTURE: &'static Fixture = Box::leak(Box::new(Fixture::new(Algorithm::EdDSA))));
    FIXTURE.with(|fixture| *fixture)
}
