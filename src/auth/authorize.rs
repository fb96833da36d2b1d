//! What a route requires of the claims: the step between knowing who asks and letting them through.
//!
//! A claim *holds* a value when it equals it or is a list with it as a member; the `scope` claim, when it is a string,
//! holds each of its words (RFC 8693 §4.2). Nothing is converted: the string `"true"` is not `true`, `"1"` is not `1`,
//! and letters are compared with their case; only numbers are compared as numbers, so that `1` equals `1.0`. An absent
//! claim and one that is `null` hold nothing, so that `any` and `all` fail on them and `none` passes. A list without
//! values asks for something that nothing can be, and fails in `any` and in `all`. A claim is in a domain when it is an
//! address there, or a list of such addresses and nothing else, for an application may take any of them for the user's.

use serde_json::{Number, Value};

use crate::config::{Condition, ConditionTest};
use crate::oauth::{Claims, EmailDomain, email};

/// Why an authenticated request is refused: 403. Tells what the operator wrote, and nothing of the user's claims.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the claims do not meet what the route requires of {}", names(&self.failed))]
pub struct Refusal {
    /// The conditions that failed, all of them, in the order of the configuration. Never empty.
    pub failed: Vec<Condition>,
    /// When a wider scope is all that is missing: every scope that the route's conditions ask for, for the
    /// `insufficient_scope` challenge (RFC 6750 §3.1). Empty when another condition failed as well, since asking for a
    /// token with more scope would then be in vain.
    pub insufficient_scope: Vec<String>,
}

/// Checks claims against the conditions of a route, all of which must be met. No conditions: everybody who is authenticated.
///
/// # Errors
/// [`Refusal`] with the conditions that failed.
pub fn authorize(claims: &Claims, require: &[Condition]) -> Result<(), Refusal> {
    if require.iter().all(|condition| is_met(claims, condition)) {
        return Ok(());
    }
    let failed: Vec<_> = require.iter().filter(|condition| !is_met(claims, condition)).cloned().collect();
    let only_scope = failed.iter().all(|condition| !asked_scopes(condition).is_empty());
    Err(Refusal { insufficient_scope: if only_scope { all_scopes(require) } else { Vec::new() }, failed })
}

/// Whether claims meet one condition.
#[must_use]
pub fn is_met(claims: &Claims, condition: &Condition) -> bool {
    let claim = claims.at(&condition.claim).unwrap_or(&Value::Null);
    let holds = |value: &Value| match (claim, value) {
        (Value::String(words), Value::String(word)) if condition.claim.is_scope() => {
            !word.is_empty() && words.split(' ').any(|held| held == word)
        }
        _ => holds(claim, value),
    };
    match &condition.test {
        ConditionTest::Any(values) => values.iter().any(holds),
        ConditionTest::All(values) => !values.is_empty() && values.iter().all(holds),
        ConditionTest::None(values) => !values.iter().any(holds),
        ConditionTest::Domain(domains) => is_in(claim, domains),
    }
}

fn is_in(claim: &Value, domains: &[EmailDomain]) -> bool {
    let is_in = |address: &Value| address.as_str().is_some_and(|address| email::is_in_any(address, domains));
    match claim {
        Value::Array(addresses) => !addresses.is_empty() && addresses.iter().all(is_in),
        address => is_in(address),
    }
}

fn holds(claim: &Value, value: &Value) -> bool {
    match claim {
        Value::Array(members) => equal(claim, value) || members.iter().any(|member| equal(member, value)),
        _ => equal(claim, value),
    }
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Number(one), Value::Number(other)) => equal_numbers(one, other),
        _ => one == other,
    }
}

fn equal_numbers(one: &Number, other: &Number) -> bool {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.as_f64() == other.as_f64(),
        _ => false,
    }
}

/// The number, when it is whole: exactly, because two identifiers beyond 2⁵³ may be one and the same as floats.
fn whole(number: &Number) -> Option<i128> {
    number.as_i128().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e30)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range of the target")]
        let whole = float as i128;
        Some(whole)
    })
}

/// The scopes that a condition asks for; none when it is on another claim, or asks for the absence of scopes.
fn asked_scopes(condition: &Condition) -> Vec<&str> {
    match &condition.test {
        ConditionTest::Any(values) | ConditionTest::All(values) if condition.claim.is_scope() => {
            values.iter().filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    }
}

fn all_scopes(require: &[Condition]) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in require.iter().flat_map(asked_scopes) {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

fn names(conditions: &[Condition]) -> String {
    conditions.iter().map(|condition| condition.claim.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> Claims {
        let Value::Object(map) = value else { unreachable!() };
        Claims(map)
    }

    fn any(claim: &str, values: Value) -> Condition {
        condition(claim, values, ConditionTest::Any)
    }

    fn all(claim: &str, values: Value) -> Condition {
        condition(claim, values, ConditionTest::All)
    }

    fn none(claim: &str, values: Value) -> Condition {
        condition(claim, values, ConditionTest::None)
    }

    fn condition(claim: &str, values: Value, test: fn(Vec<Value>) -> ConditionTest) -> Condition {
        let Value::Array(values) = values else { unreachable!() };
        Condition { claim: claim.parse().unwrap(), test: test(values) }
    }

    fn alice() -> Claims {
        claims(json!({
            "sub": "alice",
            "email_verified": true,
            "level": 3,
            "big": 9_007_199_254_740_993_u64,
            "realm_access": { "roles": ["analyst", "editor", 7] },
            "scope": "read write",
            "nothing": null,
            "words": "read write",
        }))
    }

    #[test]
    fn a_claim_holds_what_it_equals_and_what_its_list_has() {
        for (condition, met) in [
            (any("sub", json!(["alice"])), true),
            (any("sub", json!(["bob", "alice"])), true),
            (any("sub", json!(["Alice"])), false),
            (any("sub", json!(["ali"])), false),
            (any("realm_access.roles", json!(["admin", "editor"])), true),
            (any("realm_access.roles", json!(["admin"])), false),
            (all("realm_access.roles", json!(["analyst", "editor"])), true),
            (all("realm_access.roles", json!(["analyst", "admin"])), false),
            (none("realm_access.roles", json!(["admin"])), true),
            (none("realm_access.roles", json!(["admin", "editor"])), false),
            (any("realm_access.roles", json!([7])), true),
            (any("realm_access", json!(["roles"])), false),
        ] {
            assert_eq!(is_met(&alice(), &condition), met, "{condition:?}");
        }
    }

    #[test]
    fn types_are_never_converted_but_numbers_are_numbers() {
        for (condition, met) in [
            (any("email_verified", json!([true])), true),
            (any("email_verified", json!(["true", 1, "1", "yes"])), false),
            (any("level", json!([3])), true),
            (any("level", json!([3.0])), true),
            (any("level", json!(["3", 3.5, true])), false),
            (any("realm_access.roles", json!(["7"])), false),
            (any("big", json!([9_007_199_254_740_993_u64])), true),
            (any("big", json!([9_007_199_254_740_992_u64, 9_007_199_254_740_992.0])), false),
        ] {
            assert_eq!(is_met(&alice(), &condition), met, "{condition:?}");
        }
    }

    #[test]
    fn an_absent_claim_and_null_hold_nothing() {
        for claim in ["absent", "absent.deeper", "sub.deeper", "nothing"] {
            for value in [json!("x"), json!(""), json!(null), json!(false), json!(0)] {
                assert!(!is_met(&alice(), &any(claim, json!([value]))), "{claim} {value}");
                assert!(!is_met(&alice(), &all(claim, json!([value]))), "{claim} {value}");
                assert!(is_met(&alice(), &none(claim, json!([value]))), "{claim} {value}");
            }
        }
    }

    #[test]
    fn a_list_without_values_is_never_met() {
        assert!(!is_met(&alice(), &any("sub", json!([]))));
        assert!(!is_met(&alice(), &all("sub", json!([]))));
    }

    #[test]
    fn scope_is_a_string_of_words_and_other_claims_are_not() {
        for (condition, met) in [
            (any("scope", json!(["write"])), true),
            (all("scope", json!(["write", "read"])), true),
            (any("scope", json!(["writ", "read write", "", "Read"])), false),
            (none("scope", json!(["write"])), false),
            (any("words", json!(["write"])), false),
            (any("words", json!(["read write"])), true),
        ] {
            assert_eq!(is_met(&alice(), &condition), met, "{condition:?}");
        }
        let listed = claims(json!({ "scope": ["read", "write all"] }));
        assert!(is_met(&listed, &any("scope", json!(["read"]))));
        assert!(!is_met(&listed, &any("scope", json!(["write"]))));
    }

    #[test]
    fn a_claim_is_in_a_domain_when_all_that_it_says_is() {
        let domains = ["example.com", ".corp.example"].map(|domain| domain.parse().unwrap());
        let condition = Condition { claim: "email".parse().unwrap(), test: ConditionTest::Domain(domains.to_vec()) };
        for (email, met) in [
            (json!("a@example.com"), true),
            (json!("a@x.corp.example"), true),
            (json!("a@corp.example"), false),
            (json!("a@evilexample.com"), false),
            (json!(["a@example.com"]), true),
            (json!(["a@example.com", "a@x.corp.example"]), true),
            (json!(["a@example.com", "a@evil.test"]), false),
            (json!(["a@example.com", 7]), false),
            (json!([["a@example.com"]]), false),
            (json!([]), false),
            (json!({ "a@example.com": "a@example.com" }), false),
            (json!(true), false),
            (json!(null), false),
        ] {
            assert_eq!(is_met(&claims(json!({ "email": email })), &condition), met, "{email}");
        }
        assert!(!is_met(&alice(), &condition), "no address at all");
    }

    #[test]
    fn conditions_are_anded() {
        let require = [any("sub", json!(["alice"])), any("level", json!([3]))];
        assert_eq!(authorize(&alice(), &require), Ok(()));
        assert_eq!(authorize(&alice(), &[]), Ok(()));
        let require = [any("sub", json!(["alice"])), any("level", json!([4]))];
        assert_eq!(authorize(&alice(), &require).unwrap_err().failed, require[1..]);
    }

    #[test]
    fn insufficient_scope_is_said_where_scopes_alone_decide() {
        let scopes = [all("scope", json!(["read", "delete"])), any("scope", json!(["read", "write"]))];
        let refusal = authorize(&alice(), &scopes).unwrap_err();
        assert_eq!(refusal.insufficient_scope, ["read", "delete", "write"]);
        assert_eq!(refusal.failed, scopes[..1]);

        let both = [scopes[0].clone(), any("sub", json!(["bob"]))];
        assert!(authorize(&alice(), &both).unwrap_err().insufficient_scope.is_empty());
        let forbidden = [none("scope", json!(["write"]))];
        assert!(authorize(&alice(), &forbidden).unwrap_err().insufficient_scope.is_empty());
    }

    #[test]
    fn a_refusal_shows_nothing_of_the_claims() {
        let refusal = authorize(&alice(), &[any("level", json!([4])), any("sub", json!(["bob"]))]).unwrap_err();
        assert_eq!(refusal.to_string(), "the claims do not meet what the route requires of level, sub");
        assert!(!format!("{refusal:?}").contains("alice"));
    }
}
