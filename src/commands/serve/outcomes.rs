//! What became of reloads, for the metrics and for whoever wants to know what is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::admin::metrics;
use crate::clock::Timestamp;
use crate::tally::Count;

/// What became of reloads so far.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// As a [`Timestamp`]; the start counts.
    last_success_at: AtomicU64,
    successful: Count,
    failed: Count,
    /// `None`: the last one was put in force.
    refused: ArcSwapOption<Refused>,
    /// Of the certificates that were read last.
    stale_certificates: ArcSwap<Vec<String>>,
}

/// Another configuration that was not put in force, and still is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When that was tried.
    pub at: Timestamp,
    /// What is wrong with it, each with its place where that is known. Nothing secret is in it.
    pub problems: Vec<String>,
}

impl Outcomes {
    /// Nothing was reloaded since the start.
    pub(super) fn since(start: Timestamp) -> Self {
        Self {
            last_success_at: AtomicU64::new(start.0),
            successful: Count::new(),
            failed: Count::new(),
            refused: ArcSwapOption::empty(),
            stale_certificates: ArcSwap::default(),
        }
    }

    pub(super) fn counted(&self) -> metrics::Reloads {
        metrics::Reloads {
            last_successful: self.refused.load().is_none(),
            last_success_at: Timestamp(self.last_success_at.load(Relaxed)),
            successful: self.successful.total(),
            failed: self.failed.total(),
        }
    }

    pub(super) fn refused(&self) -> Option<Arc<Refused>> {
        self.refused.load_full()
    }

    pub(super) fn stale_certificates(&self) -> Arc<Vec<String>> {
        self.stale_certificates.load_full()
    }

    /// Notes that a configuration was put in force, or what is wrong with it.
    pub(super) fn note(&self, outcome: Result<(), Vec<String>>, at: Timestamp) {
        if let Err(problems) = outcome {
            self.refused.store(Some(Arc::new(Refused { at, problems })));
            self.failed.add();
        } else {
            self.refused.store(None);
            self.last_success_at.store(at.0, Relaxed);
            self.successful.add();
        }
    }

    /// Notes what is wrong with certificates that were read anew.
    pub(super) fn note_certificates(&self, problems: Vec<String>) {
        self.stale_certificates.store(Arc::new(problems));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_known_until_another_configuration_is_in_force() {
        let outcomes = Outcomes::since(Timestamp(1));
        assert_eq!((outcomes.refused(), outcomes.counted().last_successful), (None, true));
        outcomes.note(Err(vec!["usher.yaml:3:1: sites: is missing".to_owned()]), Timestamp(2));
        let refused = outcomes.refused().unwrap();
        assert_eq!((refused.at, refused.problems.len()), (Timestamp(2), 1));
        let counted = outcomes.counted();
        assert_eq!((counted.last_successful, counted.failed, counted.last_success_at), (false, 1, Timestamp(1)));
        outcomes.note(Ok(()), Timestamp(3));
        assert_eq!((outcomes.refused(), outcomes.counted().last_success_at), (None, Timestamp(3)));
    }
}
