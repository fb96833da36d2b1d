//! Whether more people get in than before, or fewer.
//!
//! What is compared is what is written: conditions on claims, issuers, ways to sign in. Where it cannot be shown that everybody
//! who got in still does, or the other way round, they are other people, and that is said.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::side::{Known, Reach};
use crate::config::{Access, Authentication, Condition, ConditionTest, Issuer, KeySource, Users};

/// How those who get in compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// They are the same.
    Same,
    /// All who got in, or were known, still do and are, and more.
    Opened,
    /// Nobody gets in or is known who did not and was not, and some who did do no more.
    Closed,
    /// Neither can be shown.
    Changed,
}

/// How those who get in after compare with those before.
pub(super) fn shift(before: &Reach<'_>, after: &Reach<'_>) -> Shift {
    match (before, after) {
        (Reach::Nobody(_), Reach::Nobody(_)) => Shift::Same,
        // Whether an identity is looked at is another matter than whose.
        (Reach::Everybody(before), Reach::Everybody(after)) if before.route.access != after.route.access => Shift::Same,
        (Reach::Some(before), Reach::Some(after)) | (Reach::Everybody(before), Reach::Everybody(after)) => {
            match (admits_all_of(after, before), admits_all_of(before, after)) {
                (true, true) => Shift::Same,
                (true, false) => Shift::Opened,
                (false, true) => Shift::Closed,
                (false, false) => Shift::Changed,
            }
        }
        (_, Reach::Everybody(_)) | (Reach::Nobody(_), Reach::Some(_)) => Shift::Opened,
        (Reach::Everybody(_), Reach::Some(_)) | (_, Reach::Nobody(_)) => Shift::Closed,
    }
}

/// Whether one lets in everybody whom the other lets in; or knows, where everybody gets in.
fn admits_all_of(one: &Known<'_>, other: &Known<'_>) -> bool {
    let (own, others) = (&one.route.require, &other.route.require);
    other.issuers.iter().all(|issuer| one.issuers.iter().any(|own| trusts_all_of(own, issuer)))
        && (other.certificates.is_none() || one.certificates == other.certificates)
        && own.iter().all(|own| others.iter().any(|other| implies(other, own)))
        && accepts_all_of(&one.route.authentication, &other.route.authentication)
}

/// Whether every token that counts as one of `other` counts as one of `one`.
pub(super) fn trusts_all_of(one: &Issuer, other: &Issuer) -> bool {
    let wider = |what: &&str| match *what {
        "audiences" => other.audiences.iter().all(|audience| one.audiences.contains(audience)),
        "algorithms" => other.algorithms.iter().all(|algorithm| one.algorithms.contains(algorithm)),
        "leeway" => one.leeway >= other.leeway,
        "users" => {
            one.local().is_some_and(|one| other.local().is_some_and(|other| has_all_of(&one.users, &other.users)))
        }
        _ => false,
    };
    one.name == other.name && distrusted(one, other).iter().all(wider)
}

/// What makes other tokens count.
pub(super) fn distrusted(one: &Issuer, other: &Issuer) -> Vec<&'static str> {
    let is_local = |issuer: &Issuer| matches!(issuer.keys, KeySource::Local(_));
    let users = |issuer: &Issuer| issuer.local().map(|local| local.users.clone());
    let differs = [
        ("issuer", one.issuer != other.issuer),
        ("keys", one.keys != other.keys && !(is_local(one) && is_local(other))),
        ("users", users(one) != users(other)),
        ("ca_file", one.transport.ca != other.transport.ca),
        ("which token counts", one.identity != other.identity),
        ("audiences", one.audiences != other.audiences),
        ("algorithms", one.algorithms != other.algorithms),
        ("token_type", one.token_type != other.token_type),
        ("leeway", one.leeway != other.leeway),
    ];
    differs.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect()
}

/// Whether everybody is in `one` who is in `other`, just as there.
fn has_all_of(one: &Users, other: &Users) -> bool {
    other.iter().all(|(name, user)| one.find(name) == Some(user))
}

/// Whether whoever meets `one` meets `other` as well.
fn implies(one: &Condition, other: &Condition) -> bool {
    let within = |these: &[Value], those: &[Value]| these.iter().all(|value| those.contains(value));
    one.claim == other.claim
        && match (&one.test, &other.test) {
            (ConditionTest::Any(one), ConditionTest::Any(other)) => within(one, other),
            (ConditionTest::All(one), ConditionTest::All(other)) => !other.is_empty() && within(other, one),
            (ConditionTest::All(one), ConditionTest::Any(other)) => one.iter().any(|value| other.contains(value)),
            (ConditionTest::Any(one), ConditionTest::All(other)) => one.len() == 1 && one == other,
            (ConditionTest::None(one), ConditionTest::None(other)) => within(other, one),
            (ConditionTest::Domain(one), ConditionTest::Domain(other)) => {
                one.iter().all(|domain| other.iter().any(|other| other.has_all_of(domain)))
            }
            _ => false,
        }
}

fn accepts_all_of(one: &Authentication, other: &Authentication) -> bool {
    let acr = one.acr_values.is_empty()
        || !other.acr_values.is_empty() && other.acr_values.iter().all(|acr| one.acr_values.contains(acr));
    let age = |authentication: &Authentication| authentication.max_age.unwrap_or(Duration::MAX);
    acr && age(one) >= age(other)
}

impl Known<'_> {
    /// Whose word counts.
    fn sources(&self) -> String {
        let by_certificate = self.certificates.is_some().then_some("client certificates");
        let sources = self.issuers.iter().map(|issuer| &*issuer.name).chain(by_certificate);
        sources.collect::<Vec<_>>().join(" or ")
    }
}

impl fmt::Display for Reach<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(reason) => write!(formatter, "nobody ({reason})"),
            Self::Everybody(known) => match known.route.access {
                Access::Optional => write!(formatter, "everybody, signed in ({}) or not", known.sources()),
                _ => formatter.write_str("everybody"),
            },
            Self::Some(known) => {
                write!(formatter, "users of {}", known.sources())?;
                let route = known.route;
                let sign_in = (!route.authentication.is_any()).then(|| route.authentication.to_string());
                let conditions = route.require.iter().map(ToString::to_string).chain(sign_in);
                let conditions = conditions.collect::<Vec<_>>().join("; ");
                if conditions.is_empty() { Ok(()) } else { write!(formatter, " with {conditions}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(claim: &str, test: ConditionTest) -> Condition {
        Condition { claim: claim.parse().unwrap(), test }
    }

    #[test]
    fn a_condition_implies_what_nobody_fails_who_meets_it() {
        let values = |words: &[&str]| words.iter().map(|word| Value::from(*word)).collect::<Vec<_>>();
        let any = |words: &[&str]| condition("roles", ConditionTest::Any(values(words)));
        let all = |words: &[&str]| condition("roles", ConditionTest::All(values(words)));
        let none = |words: &[&str]| condition("roles", ConditionTest::None(values(words)));
        let domain = |names: &[&str]| {
            condition("roles", ConditionTest::Domain(names.iter().map(|name| name.parse().unwrap()).collect()))
        };
        for (one, other, expected) in [
            (any(&["a"]), any(&["a", "b"]), true),
            (any(&["a", "b"]), any(&["a"]), false),
            (all(&["a", "b"]), all(&["a"]), true),
            (all(&["a"]), all(&["a", "b"]), false),
            (all(&["a", "b"]), any(&["b", "c"]), true),
            (all(&["a"]), any(&["c"]), false),
            (any(&["a"]), all(&["a"]), true),
            (any(&["a", "b"]), all(&["a", "b"]), false),
            (none(&["a", "b"]), none(&["a"]), true),
            (none(&["a"]), none(&["a", "b"]), false),
            (any(&["a"]), none(&["b"]), false),
            (domain(&["a.test"]), domain(&["b.test", "a.test"]), true),
            (domain(&["x.a.test", ".y.a.test"]), domain(&[".a.test"]), true),
            (domain(&[".a.test"]), domain(&["a.test"]), false),
            (domain(&["a.test", "b.test"]), domain(&["a.test"]), false),
            (any(&["x@a.test"]), domain(&["a.test"]), false),
            (domain(&["a.test"]), any(&["a.test"]), false),
            (any(&["a"]), condition("groups", ConditionTest::Any(values(&["a"]))), false),
        ] {
            assert_eq!(implies(&one, &other), expected, "{one} and {other}");
        }
    }

    #[test]
    fn a_sign_in_is_accepted_where_less_is_asked_of_it() {
        let asks = |acr: &[&str], max_age: Option<u64>| Authentication {
            acr_values: acr.iter().map(|acr| (*acr).to_owned()).collect(),
            max_age: max_age.map(Duration::from_secs),
        };
        assert!(accepts_all_of(&asks(&[], None), &asks(&["gold"], Some(60))));
        assert!(!accepts_all_of(&asks(&["gold"], None), &asks(&[], None)));
        assert!(accepts_all_of(&asks(&["gold", "silver"], Some(60)), &asks(&["gold"], Some(60))));
        assert!(!accepts_all_of(&asks(&["gold"], None), &asks(&["gold", "silver"], None)));
        assert!(!accepts_all_of(&asks(&[], Some(60)), &asks(&[], Some(61))));
        assert!(!accepts_all_of(&asks(&[], Some(60)), &asks(&[], None)));
    }
}
