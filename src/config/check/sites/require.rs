//! `require`: conditions on claims.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::values::scope_word;
use super::super::{Check, KeyPath, Mistake};
use super::layer::claim_path;
use crate::config::file::{Requirement, Scalar};
use crate::config::{Condition, ConditionTest};
use crate::oauth::ClaimPath;

type Test = fn(Vec<Value>) -> ConditionTest;

impl Check<'_> {
    pub(super) fn conditions(&mut self, at: &KeyPath, claims: &BTreeMap<String, Requirement>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (claim, requirement) in claims {
            let at = at.key(claim);
            if let Some(claim) = self.accept(&at, claim_path(claim)) {
                self.condition(&at, &claim, requirement, &mut conditions);
            }
        }
        conditions
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
        if tests.iter().all(|(_, values, _)| values.is_none()) {
            let depends = tests.map(|(key, ..)| at.key(key));
            self.report.conflict(at, &depends, "requires nothing", "add any, all or none with a list");
        }
        for (key, values, test) in tests {
            if let Some(values) = values {
                let remedy = "write values, or take the key out";
                let values = self.each(&at.key(key), values, |value| expected(claim, value), remedy);
                conditions.push(Condition { claim: claim.clone(), test: test(values) });
            }
        }
    }
}

/// A value that a claim can hold; of the scope, one word.
fn expected(claim: &ClaimPath, value: &Scalar) -> Result<Value, Mistake> {
    match &value.0 {
        Value::String(word) if claim.is_scope() => scope_word(word).map(Value::String),
        _ if claim.is_scope() => Err(Mistake::new("is not a word of a scope", "put it in quotes")),
        value => Ok(value.clone()),
    }
}
