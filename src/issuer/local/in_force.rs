//! The users in force, and what an access token says of each of them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::tokens;
use crate::config::Users;

/// The users of the configuration in force.
#[derive(Debug)]
pub(super) struct InForce {
    /// The users.
    pub(super) users: Users,
    /// What the tokens of those who may sign in say of them, by subject.
    said: HashMap<String, Map<String, Value>>,
}

impl InForce {
    pub(super) fn new(users: Users) -> Self {
        let may_sign_in = users.iter().filter(|(_, user)| !user.disabled);
        // Written and read once, as a token is: a number may come back in another form.
        let read = |claims: &Map<String, Value>| serde_json::from_slice(&serde_json::to_vec(claims).ok()?).ok();
        let said = may_sign_in.filter_map(|(_, user)| Some((user.subject.clone(), read(&user.claims)?))).collect();
        Self { users, said }
    }

    /// Whether a token of these claims says what one would say now of the same subject, if that may sign in at all.
    pub(super) fn says(&self, claims: &Map<String, Value>) -> bool {
        let Some(said) = claims.get("sub").and_then(Value::as_str).and_then(|subject| self.said.get(subject)) else {
            return false;
        };
        let of_user = |claims: &Map<String, Value>| claims.keys().filter(|name| !tokens::is_own(name)).count();
        let is_same = |(name, value): (&String, &Value)| tokens::is_own(name) || claims.get(name) == Some(value);
        of_user(said) == of_user(claims) && said.iter().all(is_same)
    }
}
