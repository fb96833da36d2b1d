//! The end of sessions because the users file says so, at the start and when it changes, and of their access tokens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::families::{self, Family};
use super::in_force::InForce;
use super::living::Living;
use super::store::{Rows, Store, StoreError};
use super::{Lasting, Local};
use crate::audit::{self, Event};
use crate::clock::Timestamp;
use crate::config::Users;

/// A sign-in whose tokens count no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSession {
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The name of the issuer in the configuration.
    pub name: Arc<str>,
    /// Whose they are.
    pub subject: String,
    /// Their `sid`.
    pub sid: String,
    /// How long the last of them would have been good.
    pub lifetime: Duration,
}

/// The families of a store that has just been opened, of those users who may go on. The others end: the users may have
/// changed while nobody looked.
pub(super) fn review(store: &Store, users: &Users, issuer: &str, now: Timestamp) -> Result<Living, StoreError> {
    let living = Living::default();
    store.change(|rows| {
        for family in families::all(rows)? {
            if family.may_go_on(users, now) {
                living.add(&family);
            } else {
                families::end(rows, &family)?;
                tell_end(issuer);
            }
        }
        Ok::<_, StoreError>(())
    })?;
    Ok(living)
}

impl Local {
    /// Puts the users of `successor` in force, and ends the sessions of everybody who may no longer do what they could under
    /// this one: users who are gone, disabled, or have another password or subject. Blocks. What was let in by their access
    /// tokens before, and goes on, is the caller's to end.
    pub(in crate::issuer) fn end_sessions(&self, successor: &Self) -> Vec<EndedSession> {
        let Lasting { name, store, in_force, living, clock, .. } = &*self.lasting;
        let users = &successor.terms.local.users;
        if in_force.load().users == *users {
            return Vec::new();
        }
        in_force.store(Arc::new(InForce::new(users.clone())));
        let mut fallen = Vec::new();
        let end = |rows: &mut dyn Rows| {
            let now = clock.now();
            fallen = families::all(rows)?;
            fallen.retain(|family| living.contains(&family.id) && !family.may_go_on(users, now));
            fallen.iter().try_for_each(|family| families::end(rows, family))
        };
        if let Err(error) = living.change(store, end) {
            tracing::error!(fault = "us", issuer = %name, %error, "the end of sessions is not recorded");
            // They have ended all the same, unless the users are put back as they were and the process is another one.
            for family in &fallen {
                living.forget(family);
            }
        }
        let lifetime = self.terms.local.access_token_lifetime.saturating_add(self.terms.leeway);
        let ended = |family: Family| {
            let (issuer, name) = (self.terms.issuer.clone(), Arc::clone(name));
            EndedSession { issuer, name, subject: family.subject, sid: family.id, lifetime }
        };
        fallen.into_iter().map(ended).collect()
    }

    /// Whether an access token of these claims, whose signature is good and whose time is not up, still counts: its session
    /// has not ended, and it says of its user what the users file says now. Waits for nothing.
    pub(in crate::issuer) fn stands_by(&self, claims: &Map<String, Value>) -> bool {
        let sid = claims.get("sid").and_then(Value::as_str);
        sid.is_some_and(|sid| self.lasting.living.contains(sid)) && self.lasting.in_force.load().says(claims)
    }
}

/// Whose it was is not said: nobody knows here yet how the log is to show that.
fn tell_end(issuer: &str) {
    let event = Event::SignOut.happens();
    tracing::info!(target: audit::TARGET, event, issuer, by = "administrator", "the session of a user who is gone, disabled or changed has ended");
}
