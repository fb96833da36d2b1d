//! `require`: conditions on claims, and how, and how recently, somebody must have signed in.

use std::time::Duration;

use serde_json::Value;

use super::super::values::{email_domain, scope_word};
use super::super::{Check, KeyPath, Mistake};
use super::layer::{Required, claim_path};
use crate::config::file::{OneOrMany, Require, Requirement, Scalar};
use crate::config::{Authentication, Condition, ConditionTest};
use crate::oauth::ClaimPath;

type Test = fn(Vec<Value>) -> ConditionTest;

impl Check<'_> {
    pub(super) fn required_of(&mut self, at: &KeyPath, mirror: &Require) -> Required {
        let mut conditions = Vec::new();
        for (claim, requirement) in &mirror.claims {
            let at = at.key(claim);
            if let Some(claim) = self.accept(&at, claim_path(claim)) {
                self.condition(&at, &claim, requirement, &mut conditions);
            }
        }
        self.verified(at, &mut conditions);
        Required { conditions, authentication: self.authentication(at, mirror) }
    }

    fn authentication(&mut self, at: &KeyPath, mirror: &Require) -> Authentication {
        let acr_values = mirror.acr.as_ref().map(|acr| self.one_or_many(&at.key("acr"), acr, acr_value));
        let max_age = mirror.max_age.and_then(|age| self.accept(&at.key("max_age"), max_age(age.0)));
        Authentication { acr_values: acr_values.unwrap_or_default(), max_age }
    }

    fn condition(
        &mut self,
        at: &KeyPath,
        claim: &ClaimPath,
        requirement: &Requirement,
        conditions: &mut Vec<Condition>,
    ) {
        let lists = match requirement {
            Requirement::Value(value) => {
                let value = self.accept(at, expected(claim, value));
                let test = ConditionTest::Any(value.into_iter().collect());
                return conditions.push(Condition { claim: claim.clone(), test });
            }
            Requirement::Lists(lists) => lists,
        };
        let tests: [(&str, &Option<Vec<Scalar>>, Test); 3] = [
            ("any", &lists.any, ConditionTest::Any),
            ("all", &lists.all, ConditionTest::All),
            ("none", &lists.none, ConditionTest::None),
        ];
        if tests.iter().all(|(_, values, _)| values.is_none()) && lists.domain.is_none() {
            let depends = ["any", "all", "none", "domain"].map(|key| at.key(key));
            let remedy = "add any, all, none or domain with a list; a claim within a claim is named with a dot, as in \
                          realm_access.roles: admin";
            self.report.conflict(at, &depends, "requires nothing", remedy);
        }
        for (key, values, test) in tests {
            if let Some(values) = values {
                let remedy = "write values, or take the key out";
                let values = self.each(&at.key(key), values, |value| expected(claim, value), remedy);
                conditions.push(Condition { claim: claim.clone(), test: test(values) });
            }
        }
        if let Some(domains) = &lists.domain {
            let domains = self.one_or_many(&at.key("domain"), domains, |domain| email_domain(domain));
            self.lists_beside(at, claim, lists, &domains);
            conditions.push(Condition { claim: claim.clone(), test: ConditionTest::Domain(domains) });
        } else {
            self.lists_beside(at, claim, lists, &[]);
        }
    }

    fn one_or_many<T, U>(
        &mut self,
        at: &KeyPath,
        given: &OneOrMany<T>,
        parse: impl Fn(&T) -> Result<U, Mistake>,
    ) -> Vec<U> {
        match given.values.as_slice() {
            [only] if !given.is_list => self.accept(at, parse(only)).into_iter().collect(),
            values => self.each(at, values, parse, "write values, or take the key out"),
        }
    }
}

/// An Authentication Context Class Reference: it travels in a list with spaces between, and in the quotes of a challenge
/// (RFC 9470 §3), which is also what a word of a scope may be.
fn acr_value(value: &Scalar) -> Result<String, Mistake> {
    let Value::String(text) = &value.0 else {
        return Err(Mistake::new("is not text, which every acr is", format!("put it in quotes: \"{}\"", value.0)));
    };
    let advice = "write each value by itself, without spaces, quotes, backslashes and letters outside ASCII";
    scope_word(text).map_err(|_| Mistake::new("is not an Authentication Context Class Reference", advice))
}

fn max_age(age: Duration) -> Result<Duration, Mistake> {
    if age.subsec_nanos() != 0 || age.is_zero() {
        let message = "is not a whole number of seconds, at least one: no sign-in could be that recent";
        return Err(Mistake::new(message, "write how old a sign-in may be, as in 5m"));
    }
    Ok(age)
}

/// A value that a claim can hold; of the scope, one word.
fn expected(claim: &ClaimPath, value: &Scalar) -> Result<Value, Mistake> {
    match &value.0 {
        Value::String(word) if claim.is_scope() => scope_word(word).map(Value::String),
        _ if claim.is_scope() => Err(Mistake::new("is not a word of a scope", "put it in quotes")),
        value => Ok(value.clone()),
    }
}
