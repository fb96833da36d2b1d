//! States that have been to the token endpoint. Each goes there once (O01): a browser that reloads a slow page sends the cookie
//! of its sign-in again, and to many a server a code that comes twice is a stolen one, which ends the session that has just
//! begun with it (RFC 6749 §4.1.2).
//!
//! Kept in this process, for as long as a state may be used. When there are too many, the oldest go, and another instance knows
//! nothing of them: then it is the server that says no.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};

use super::pending::LIFETIME;

/// States at once: some MiB.
const MOST: usize = 50_000;

/// The beginning of a hash.
type Name = [u8; 16];

/// The states that are spent. Outlives a configuration.
#[derive(Debug, Default)]
pub struct SpentStates(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    names: HashSet<Name>,
    oldest_first: VecDeque<(Instant, Name)>,
}

impl SpentStates {
    /// Spends a state. Says whether it was still good.
    pub(super) fn spend(&self, state: &str, now: Instant) -> bool {
        let name = name(state);
        let spent = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.names.contains(&name) {
            return false;
        }
        while let Some((since, oldest)) = spent.oldest_first.front() {
            if spent.names.len() < MOST && now.saturating_duration_since(*since) < LIFETIME {
                break;
            }
            spent.names.remove(oldest);
            spent.oldest_first.pop_front();
        }
        spent.names.insert(name);
        spent.oldest_first.push_back((now, name));
        true
    }
}

fn name(state: &str) -> Name {
    digest(&SHA256, state.as_bytes()).as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_state_is_spent_once() {
        let (states, now) = (SpentStates::default(), Instant::now());
        assert!(states.spend("one", now) && states.spend("other", now));
        assert!(!states.spend("one", now) && !states.spend("one", now + Duration::from_secs(LIFETIME.as_secs() - 1)));
    }

    #[test]
    fn what_is_over_is_forgotten_and_so_are_the_oldest_of_too_many() {
        let (states, now) = (SpentStates::default(), Instant::now());
        for number in 0..=MOST {
            assert!(states.spend(&number.to_string(), now));
        }
        assert_eq!(states.0.lock().unwrap().names.len(), MOST);
        assert!(!states.spend("1", now));
        states.spend("last", now + LIFETIME);
        let spent = states.0.lock().unwrap();
        assert_eq!((spent.names.len(), spent.oldest_first.len()), (1, 1));
    }
}
