//! What became of reloads and of orders for certificates, for the metrics, the status page and whoever wants to know what is
//! wrong.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::admin::{CertificateOrders, ReloadFailure, Reloads};
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
    last_failure: ArcSwapOption<ReloadFailure>,
    /// Of the certificates that were read last.
    stale_certificates: ArcSwap<Vec<String>>,
    /// By host.
    orders: Mutex<HashMap<String, CertificateOrders>>,
}

impl Outcomes {
    /// Nothing was reloaded since the start.
    pub(super) fn since(start: Timestamp) -> Self {
        Self {
            last_success_at: AtomicU64::new(start.0),
            successful: Count::new(),
            failed: Count::new(),
            last_failure: ArcSwapOption::empty(),
            stale_certificates: ArcSwap::default(),
            orders: Mutex::default(),
        }
    }

    pub(super) fn told(&self) -> Reloads {
        Reloads {
            last_failure: self.last_failure.load_full(),
            last_success_at: Timestamp(self.last_success_at.load(Relaxed)),
            successful: self.successful.total(),
            failed: self.failed.total(),
            stale_certificates: self.stale_certificates.load_full(),
        }
    }

    /// Notes that a configuration was put in force, or what is wrong with it.
    pub(super) fn note(&self, outcome: Result<(), Vec<String>>, at: Timestamp) {
        if let Err(problems) = outcome {
            self.last_failure.store(Some(Arc::new(ReloadFailure { at, problems })));
            self.failed.add();
        } else {
            self.last_failure.store(None);
            self.last_success_at.store(at.0, Relaxed);
            self.successful.add();
        }
    }

    /// Notes what is wrong with certificates that were read anew.
    pub(super) fn note_certificates(&self, problems: Vec<String>) {
        self.stale_certificates.store(Arc::new(problems));
    }

    /// Notes that a certificate was ordered for `host`, and whether it was issued.
    pub(super) fn note_order(&self, host: &str, is_issued: bool) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = orders.entry(host.to_owned()).or_default();
        if is_issued { of_host.issued += 1 } else { of_host.failed += 1 }
    }

    /// What became of the orders for these hosts, in that order.
    pub(super) fn orders(&self, hosts: &[String]) -> Vec<(String, CertificateOrders)> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().map(|host| (host.clone(), orders.get(host).copied().unwrap_or_default())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_known_until_another_configuration_is_in_force() {
        let outcomes = Outcomes::since(Timestamp(1));
        assert!(outcomes.told().last_failure.is_none());
        outcomes.note(Err(vec!["usher.yaml:3:1: sites: is missing".to_owned()]), Timestamp(2));
        let told = outcomes.told();
        let failure = told.last_failure.unwrap();
        assert_eq!((failure.at, failure.problems.len()), (Timestamp(2), 1));
        assert_eq!((told.failed, told.last_success_at), (1, Timestamp(1)));
        outcomes.note(Ok(()), Timestamp(3));
        let told = outcomes.told();
        assert!(told.last_failure.is_none());
        assert_eq!((told.successful, told.last_success_at), (1, Timestamp(3)));
    }
}
