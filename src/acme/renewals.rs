//! Which certificate is due, one after the other.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use futures_util::FutureExt as _;
use instant_acme::Account;
use tokio::time::timeout;

use super::challenges::Challenges;
use super::error::OrderError;
use super::kept::Issued;
use super::transport::Transport;
use super::{account, kept, order, schedule};
use crate::clock::{Clock, Timestamp};
use crate::config::Acme;

/// An order that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What is known about the certificates of all hosts.
#[derive(Debug)]
pub struct Renewals {
    challenges: Arc<Challenges>,
    clock: Clock,
    /// What the rest is about.
    acme: Option<Acme>,
    authority: Option<Authority>,
    hosts: HashMap<String, Host>,
}

/// Whom certificates are ordered from.
struct Authority {
    transport: Transport,
    account: Option<Account>,
}

#[derive(Debug)]
struct Host {
    due: Timestamp,
    /// What it has, as far as is known.
    issued: Option<Issued>,
    failures: u32,
    /// Issued, but not kept yet: what the authority counts is not ordered again because a disk is full.
    unkept: Option<String>,
}

/// What became of an order.
#[derive(Debug)]
pub enum Ordered {
    /// The certificate is in its file.
    Issued,
    /// It is not; the next attempt comes by itself.
    Failed {
        /// Why.
        error: OrderError,
        /// How long until the next attempt.
        again_in: Duration,
    },
}

impl Renewals {
    /// Nothing is known yet. What an authority is to be shown goes into `challenges`.
    #[must_use]
    pub fn new(challenges: Arc<Challenges>, clock: Clock) -> Self {
        Self { challenges, clock, acme: None, authority: None, hosts: HashMap::new() }
    }

    /// Orders the first certificate that is due: whose it is, and what became of it. `None`: none is due.
    pub async fn tend(&mut self, acme: &Acme) -> Option<(String, Ordered)> {
        if self.acme.as_ref() != Some(acme) {
            // Another authority, other names: whatever was known may be different.
            *self = Self { acme: Some(acme.clone()), ..Self::new(Arc::clone(&self.challenges), self.clock.clone()) };
        }
        let now = self.clock.now();
        for host in &acme.hosts {
            if !self.hosts.contains_key(host) {
                self.hosts.insert(host.clone(), Host::of(issued(acme, host).await));
            }
        }
        let first = acme.hosts.iter().filter_map(|host| Some((host, self.hosts.get(host)?.due)));
        let (host, _) = first.filter(|(_, due)| *due <= now).min_by_key(|(_, due)| *due)?;
        // Another instance with the same directory may have been faster: the server sees the file by itself.
        let issued = issued(acme, host).await;
        if self.hosts.get(host).is_some_and(|host| issued.is_some() && host.issued != issued) {
            self.hosts.insert(host.clone(), Host::of(issued));
            return None;
        }
        let outcome = match caught(self.renew(acme, host)).await {
            Ok(issued) => {
                self.hosts.insert(host.clone(), Host::of(Some(issued)));
                Ordered::Issued
            }
            Err(error) => self.failed(acme, host, error),
        };
        Some((host.clone(), outcome))
    }

    /// Orders and keeps.
    async fn renew(&mut self, acme: &Acme, host: &str) -> Result<Issued, OrderError> {
        let unkept = self.hosts.get_mut(host).and_then(|host| host.unkept.take());
        let text = match unkept {
            Some(text) => text,
            None => timeout(PATIENCE, self.order(acme, host)).await.map_err(|_| OrderError::TooSlow)??,
        };
        let issued = kept::examine(&text).ok_or(OrderError::Unusable("it is no certificate for our key"))?;
        if issued.ends <= self.clock.now() {
            return Err(OrderError::Unusable("its time is over already, or the clock of this machine is wrong"));
        }
        if let Err(error) = kept::keep_certificate(acme, host, &text) {
            if let Some(host) = self.hosts.get_mut(host) {
                host.unkept = Some(text);
            }
            return Err(error);
        }
        Ok(issued)
    }

    async fn order(&mut self, acme: &Acme, host: &str) -> Result<String, OrderError> {
        let challenges = Arc::clone(&self.challenges);
        let authority = match &mut self.authority {
            Some(authority) => authority,
            none => {
                let transport = Transport::new(acme.ca.as_deref())?;
                none.insert(Authority { transport, account: None })
            }
        };
        let account = match &mut authority.account {
            Some(account) => account,
            none => none.insert(account::open(acme, &authority.transport).await?),
        };
        order::issue(account, host, acme.challenge, &challenges).await
    }

    fn failed(&mut self, acme: &Acme, host: &str, error: OrderError) -> Ordered {
        let asked = self.authority.as_ref().and_then(|authority| authority.transport.asked_to_wait());
        if matches!(error, OrderError::UnknownAccount)
            && let Err(error) = kept::forget_account(acme)
        {
            return self.failed(acme, host, error);
        }
        // What the next attempt is made with is read anew: the authority may have moved, or lost what it knew.
        self.authority = None;
        let now = self.clock.now();
        let again_in = self.hosts.get_mut(host).map(|host| {
            host.failures = host.failures.saturating_add(1);
            let wait = schedule::back_off(error.waits(), host.failures, asked, chance());
            host.due = now.after(wait);
            wait
        });
        Ordered::Failed { error, again_in: again_in.unwrap_or_default() }
    }
}

impl Host {
    /// One is due at once where there is none.
    fn of(issued: Option<Issued>) -> Self {
        let due = issued.as_ref().map_or(Timestamp(0), |issued| schedule::due(issued, chance()));
        Self { due, issued, failures: 0, unkept: None }
    }
}

/// What came of it; a panic is one more failure, and must not be the end of all renewals.
async fn caught<T>(work: impl Future<Output = Result<T, OrderError>>) -> Result<T, OrderError> {
    // Nothing of what a panic may leave half done is used again: whoever failed begins with another authority client.
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(OrderError::Defect))
}

/// What is in the file of `host`.
async fn issued(acme: &Acme, host: &str) -> Option<Issued> {
    let (acme, host) = (acme.clone(), host.to_owned());
    tokio::task::spawn_blocking(move || kept::issued(&acme, &host)).await.ok().flatten()
}

/// Any number. Without randomness it is always the same, which spreads nothing and breaks nothing.
fn chance() -> u32 {
    let mut bytes = [0; 4];
    let _ = rand::fill(&mut bytes);
    u32::from_le_bytes(bytes)
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_of_ours_that_is_waited_after() {
        let outcome: Result<(), _> = caught(async { panic!("somebody added a duration to a time") }).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.fault(), "us");
        assert!(error.counts());
    }
}
