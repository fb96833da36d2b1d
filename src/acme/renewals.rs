//! Which certificate is due, one after the other.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::config::{Acme, Secret};

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
    /// When another one is wanted, as what it has says.
    due: Timestamp,
    /// Nothing is ordered before, whatever the wall clock says: it may be ahead, and be set while this is waited for.
    rests_until: Instant,
    /// What it has, as far as is known.
    issued: Option<Issued>,
    failures: u32,
    /// Issued, but not kept yet: what the authority counts is not ordered again because a disk is full.
    unkept: Option<Secret>,
}

/// What became of an order.
#[derive(Debug)]
pub enum Ordered {
    /// The certificate is in its file.
    Issued {
        /// How long until another one is ordered, of a certificate that is due already.
        due_already: Option<Duration>,
    },
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
            self.adopt(acme);
        }
        let (now, instant) = (self.clock.now(), self.clock.instant());
        for host in &acme.hosts {
            if !self.hosts.contains_key(host) {
                self.hosts.insert(host.clone(), Host::of(issued(acme, host).await, instant));
            }
        }
        let all = acme.hosts.iter().filter_map(|host| Some((host, self.hosts.get(host)?)));
        let due = all.filter(|(_, host)| host.due <= now && host.rests_until <= instant);
        let (host, known) = due.min_by_key(|(_, host)| host.rests_until)?;
        // Another instance with the same directory may have been faster: the server sees the file by itself.
        if let Some(issued) = issued(acme, host).await.filter(|issued| known.issued.as_ref() != Some(issued)) {
            self.hosts.insert(host.clone(), Host::renewed(issued, &self.clock).0);
            return None;
        }
        let outcome = match caught(self.renew(acme, host)).await {
            Ok(issued) => {
                let (renewed, due_already) = Host::renewed(issued, &self.clock);
                self.hosts.insert(host.clone(), renewed);
                Ordered::Issued { due_already }
            }
            Err(error) => self.failed(acme, host, error),
        };
        Some((host.clone(), outcome))
    }

    /// Other terms. What is known of a host is about the authority and the file: it stays as long as these do, so that nobody
    /// whom the authority has asked to wait comes earlier because something else was changed.
    fn adopt(&mut self, acme: &Acme) {
        let of = |acme: &Acme| (acme.directory.clone(), acme.kept_in.clone());
        if self.acme.as_ref().map(of) == Some(of(acme)) {
            self.hosts.retain(|host, _| acme.hosts.contains(host));
        } else {
            self.hosts.clear();
        }
        self.authority = None;
        self.acme = Some(acme.clone());
    }

    /// Orders and keeps.
    async fn renew(&mut self, acme: &Acme, host: &str) -> Result<Issued, OrderError> {
        let unkept = self.hosts.get_mut(host).and_then(|host| host.unkept.take());
        let text = if let Some(text) = unkept {
            text
        } else {
            let ordered = timeout(PATIENCE, self.order(acme, host)).await;
            Secret::new(ordered.map_err(|_| OrderError::TooSlow)??.into_bytes())
        };
        let issued = kept::examine(text.expose(), host)
            .ok_or(OrderError::Unusable("it is no certificate for this name and our key"))?;
        if issued.ends <= self.clock.now() {
            return Err(OrderError::Unusable("its time is over already, or the clock of this machine is wrong"));
        }
        if let Err(error) = kept::keep_certificate(acme, host, text.expose()) {
            if let Some(host) = self.hosts.get_mut(host) {
                host.unkept = Some(text);
            }
            return Err(error);
        }
        Ok(issued)
    }

    async fn order(&mut self, acme: &Acme, host: &str) -> Result<String, OrderError> {
        kept::try_keeping(acme)?;
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
        let now = self.clock.instant();
        let again_in = self.hosts.get_mut(host).map(|host| {
            host.failures = host.failures.saturating_add(1);
            let wait = schedule::back_off(error.waits(), host.failures, asked, chance());
            host.rests_until = now + wait;
            wait
        });
        Ordered::Failed { error, again_in: again_in.unwrap_or_default() }
    }
}

impl Host {
    /// One is due at once where there is none.
    fn of(issued: Option<Issued>, now: Instant) -> Self {
        let due = issued.as_ref().map_or(Timestamp(0), |issued| schedule::due(issued, chance()));
        Self { due, rests_until: now, issued, failures: 0, unkept: None }
    }

    /// One that has just been issued, and how long until another one is ordered, of one that is due already.
    fn renewed(issued: Issued, clock: &Clock) -> (Self, Option<Duration>) {
        let due = schedule::due(&issued, chance());
        let due_already = due <= clock.now();
        let rest = schedule::rest(&issued, due_already);
        let rests_until = clock.instant() + rest;
        (Self { due, rests_until, issued: Some(issued), failures: 0, unkept: None }, due_already.then_some(rest))
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
    use crate::config::AcmeChallenge;

    fn acme(change: impl Fn(&mut Acme)) -> Acme {
        let mut acme = Acme {
            directory: "https://one.test/dir".parse().unwrap(),
            contacts: Vec::new(),
            external_account: None,
            challenge: AcmeChallenge::Http01,
            ca: None,
            hosts: vec!["app.test".to_owned(), "gone.test".to_owned()],
            kept_in: "state/acme".into(),
            beside: Vec::new(),
        };
        change(&mut acme);
        acme
    }

    #[test]
    fn who_was_asked_to_wait_waits_whatever_is_changed_but_the_authority_and_the_files() {
        let known = || {
            let mut renewals = Renewals::new(Arc::default(), Clock::system());
            renewals.adopt(&acme(|_| {}));
            for host in ["app.test", "gone.test"] {
                renewals.hosts.insert(host.to_owned(), Host { failures: 3, ..Host::of(None, Instant::now()) });
            }
            renewals
        };
        let after = |changed: Acme| {
            let mut renewals = known();
            renewals.adopt(&changed);
            renewals.hosts.get("app.test").map(|host| host.failures)
        };
        let still = Some(3);
        assert_eq!(after(acme(|acme| acme.contacts.push("mailto:a@b.test".to_owned()))), still);
        assert_eq!(after(acme(|acme| acme.hosts.push("other.test".to_owned()))), still);
        assert_eq!(after(acme(|acme| acme.directory = "https://other.test/dir".parse().unwrap())), None);
        assert_eq!(after(acme(|acme| acme.kept_in = "other/acme".into())), None);
        let mut renewals = known();
        renewals.adopt(&acme(|acme| acme.hosts.truncate(1)));
        assert_eq!(renewals.hosts.len(), 1);
    }

    #[test]
    fn how_long_to_wait_is_no_question_of_the_wall_clock_which_may_have_been_ahead() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let clock = Clock::stopped();
        let mut renewals = Renewals::new(Arc::default(), clock.clone());
        renewals.hosts.insert("app.test".to_owned(), Host::of(None, clock.instant()));
        renewals.failed(&acme(|_| {}), "app.test", OrderError::Unusable("its time is over already"));
        let host = &renewals.hosts["app.test"];
        assert_eq!(host.due, Timestamp(0));
        assert!(host.rests_until >= clock.instant() + Duration::from_secs(5 * 60));

        // It was issued a moment ago, and here that is 61 days ago.
        let begins = Timestamp(clock.now().0 - 61 * DAY.as_secs());
        let issued = Issued { begins, ends: begins.after(90 * DAY), leaf: Vec::new().into() };
        let (host, again_in) = Host::renewed(issued, &clock);
        assert_eq!(again_in, Some(DAY * 9 / 2));
        assert_eq!(host.rests_until, clock.instant() + DAY * 9 / 2);
        assert!(host.due <= begins.after(60 * DAY), "as the certificate says: {host:?}");
    }

    #[test]
    fn a_key_that_could_not_be_kept_is_not_shown() {
        let host = Host { unkept: Some(Secret::new(b"PRIVATE".to_vec())), ..Host::of(None, Instant::now()) };
        assert!(!format!("{host:?}").contains("PRIVATE"));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_of_ours_that_is_waited_after() {
        let outcome: Result<(), _> = caught(async { panic!("somebody added a duration to a time") }).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.fault(), "us");
        assert!(error.counts());
    }
}
