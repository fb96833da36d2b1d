//! What the conditions of one `require` mean beside each other: which of them nobody can meet together, and which let in
//! whoever they were meant to keep out.

use serde_json::Value;

use super::super::{Check, KeyPath};
use super::layer::claim_path;
use crate::config::file::{RequirementLists, Scalar};
use crate::config::{Condition, ConditionTest};
use crate::oauth::{ClaimPath, EmailDomain, email};

/// Whether the claim `email` is somebody's who could read what was sent there (OIDC Core §5.1).
const VERIFIED: &str = "email_verified";

impl Check<'_> {
    /// The lists of one claim, each of which is to be met; `domains` are those of `domain`, as far as they are right.
    pub(super) fn lists_beside(
        &mut self,
        at: &KeyPath,
        claim: &ClaimPath,
        lists: &RequirementLists,
        domains: &[EmailDomain],
    ) {
        let kept_out = |value: &Scalar| lists.none.iter().flatten().any(|other| other == value);
        let is_in_domain = |value: &Scalar| value.0.as_str().is_some_and(|address| email::is_in_any(address, domains));
        for (key, wanted) in [("any", &lists.any), ("all", &lists.all)] {
            for (index, value) in wanted.iter().flatten().enumerate() {
                let value_at = at.key(key).index(index);
                if kept_out(value) {
                    let message = "is in none as well: nobody can have it and not have it";
                    let remedy = "keep it in one of the two";
                    self.report.conflict(&value_at, std::slice::from_ref(&value_at), message, remedy);
                }
                if lists.domain.is_some() && !is_in_domain(value) {
                    let message = "is in no domain beside it, and both must be met";
                    let depends = [value_at.clone(), at.key("domain")];
                    self.report.conflict(&value_at, &depends, message, "take it out, or add its domain");
                }
            }
        }
        let names_addresses = claim.is_email() || lists.domain.is_some();
        if names_addresses && lists.none.iter().flatten().any(|value| value.0.is_string()) {
            let message = "keeps out this spelling and no other: providers may know one person by several, in capitals or with \
                           a +tag. Name the sub of whoever is meant";
            self.report.warn(&at.key("none"), message);
        }
    }

    /// Anybody may have given any address to a provider: that of a domain says something only once it is verified.
    pub(super) fn verified(&mut self, at: &KeyPath, conditions: &mut Vec<Condition>) {
        if !conditions.iter().any(is_on_domain_of_email) {
            return;
        }
        let Some(claim) = self.accept(at, claim_path(VERIFIED)) else { return };
        let tests: Vec<_> = conditions.iter().filter(|one| one.claim == claim).map(|one| &one.test).collect();
        if tests.is_empty() {
            let test = ConditionTest::Any(vec![true.into()]);
            return conditions.push(Condition { claim, test });
        }
        let lets_in = |said: Value| tests.iter().all(|test| is_met_by(test, &said));
        if lets_in(false.into()) {
            let message = "lets in people whose address is not verified, and anybody may have given any of the domain: write true";
            self.report.warn(&at.key(VERIFIED), message);
        } else if lets_in("false".into()) {
            let message =
                "lets in people of whom a provider says false in text, as some do: write none: [false, \"false\"]";
            self.report.warn(&at.key(VERIFIED), message);
        }
    }
}

fn is_on_domain_of_email(condition: &Condition) -> bool {
    condition.claim.is_email() && matches!(condition.test, ConditionTest::Domain(_))
}

/// Whether a claim with this one value meets a test.
fn is_met_by(test: &ConditionTest, said: &Value) -> bool {
    match test {
        ConditionTest::Any(values) => values.contains(said),
        ConditionTest::All(values) => !values.is_empty() && values.iter().all(|value| value == said),
        ConditionTest::None(values) => !values.contains(said),
        ConditionTest::Domain(_) => false,
    }
}
