//! An authorization server that rotates, goes away, and is slow when too much is asked of it at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::super::{AcceptError, Authority, Background, NotRevoked, SpendError, VerifiedAccess};
use super::time::Time;
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::issuer::Sent;
use crate::oauth::{AccessToken, RefreshToken, TokenResponse};

/// How long it takes when nobody else asks.
const ANSWERS_IN: Duration = Duration::from_millis(50);
/// How long anybody waits for it: `issuers.*.timeout`, unless that is set.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an access token lives.
pub(super) const LIFETIME: Duration = Duration::from_secs(300);

/// What somebody who asks meets while it is away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// There is no connection.
    Refuses,
    /// There is one, and no answer.
    Hangs,
    /// 503, with `Retry-After`.
    Busy(Duration),
}

/// The server, as one instance sees it.
#[derive(Clone)]
pub(super) struct Provider {
    time: Time,
    instance: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    /// How long one token request keeps it busy.
    each: Duration,
    away: Option<Trouble>,
    /// When all that it was asked for is done.
    busy_until: Duration,
    /// How often the token of a session was rotated.
    rotated: HashMap<u32, u32>,
    revoked: HashSet<u32>,
    tally: Tally,
}

/// What it has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Token requests.
    pub(super) requests: u32,
    /// Requests with a token that was spent: each ends a session.
    pub(super) reuses: usize,
    /// Requests under way, by instance.
    inside: Vec<usize>,
    /// The most of them since its return.
    pub(super) most_inside: Vec<usize>,
    /// The longest that it took since then.
    pub(super) slowest: Duration,
}

impl Provider {
    /// A server that answers so many requests a second, and so many instances that ask it.
    pub(super) fn of(instances: u32, per_second: u32, time: &Time) -> Vec<Self> {
        let tally =
            Tally { inside: vec![0; instances as usize], most_inside: vec![0; instances as usize], ..Tally::default() };
        let state = State {
            each: Duration::from_secs(1) / per_second,
            away: None,
            busy_until: Duration::ZERO,
            rotated: HashMap::new(),
            revoked: HashSet::new(),
            tally,
        };
        let state = Arc::new(Mutex::new(state));
        (0..instances as usize)
            .map(|instance| Self { time: time.clone(), instance, state: Arc::clone(&state) })
            .collect()
    }

    /// The refresh token of a session that was rotated so often.
    pub(super) fn token(session: u32, rotated: u32) -> RefreshToken {
        RefreshToken::new(&format!("refresh {session} {rotated}"))
    }

    pub(super) fn subject(session: u32) -> Box<str> {
        format!("user-{session}").into()
    }

    pub(super) fn leave(&self, trouble: Trouble) {
        self.state().away = Some(trouble);
    }

    pub(super) fn return_again(&self) {
        let mut state = self.state();
        state.away = None;
        state.tally.most_inside = state.tally.inside.clone();
        state.tally.slowest = Duration::ZERO;
    }

    pub(super) fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn serve(&self, token: &RefreshToken) -> Result<TokenResponse, SpendError> {
        let away = self.state().away;
        match away {
            Some(Trouble::Refuses) => return Err(unavailable(Sent::Never, None)),
            Some(Trouble::Hangs) => {
                self.time.sleep(TIMEOUT).await;
                return Err(unavailable(Sent::Unknown, None));
            }
            Some(Trouble::Busy(retry_after)) => {
                self.time.sleep(ANSWERS_IN).await;
                return Err(unavailable(Sent::Answered, Some(retry_after)));
            }
            None => {}
        }
        let now = self.time.now();
        let takes = {
            let mut state = self.state();
            state.busy_until = state.busy_until.max(now) + state.each;
            let takes = state.busy_until.saturating_sub(now) + ANSWERS_IN;
            state.tally.slowest = state.tally.slowest.max(takes);
            takes
        };
        // It does what it was asked for, whether or not anybody waits for the answer still.
        let answer = self.state().rotate(token, self.time.clock().now());
        self.time.sleep(takes.min(TIMEOUT)).await;
        if takes > TIMEOUT { Err(unavailable(Sent::Unknown, None)) } else { answer }
    }
}

impl State {
    fn rotate(&mut self, token: &RefreshToken, now: Timestamp) -> Result<TokenResponse, SpendError> {
        let mut words = token.expose().split(' ').skip(1).map(|word| word.parse::<u32>().unwrap());
        let (session, rotated) = (words.next().unwrap(), words.next().unwrap());
        let newest = self.rotated.entry(session).or_default();
        if *newest != rotated {
            self.tally.reuses += 1;
            self.revoked.insert(session);
        }
        if self.revoked.contains(&session) {
            return Err(SpendError::Rejected);
        }
        *newest += 1;
        let successor = Provider::token(session, *newest);
        let access_token = AccessToken::new(&format!("{session} {} {newest}", now.after(LIFETIME).0));
        Ok(TokenResponse { access_token, refresh_token: Some(successor), id_token: None })
    }
}

fn unavailable(sent: Sent, retry_after: Option<Duration>) -> SpendError {
    SpendError::Unavailable { sent, retry_after, fault: "issuer", cause: "it is away".into() }
}

/// `session expiry number`.
#[derive(Debug)]
pub(super) struct Access {
    text: String,
    subject: Box<str>,
    expires_at: Timestamp,
}

impl VerifiedAccess for Access {
    fn token(&self) -> AccessToken {
        AccessToken::new(&self.text)
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.subject)
    }

    fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl Authority for Provider {
    type Access = Access;

    async fn spend(&self, _issuer: IssuerId, token: &RefreshToken) -> Result<TokenResponse, SpendError> {
        {
            let tally = &mut self.state().tally;
            tally.requests += 1;
            tally.inside[self.instance] += 1;
            tally.most_inside[self.instance] = tally.most_inside[self.instance].max(tally.inside[self.instance]);
        }
        let answer = self.serve(token).await;
        self.state().tally.inside[self.instance] -= 1;
        answer
    }

    async fn accept(&self, issuer: IssuerId, answer: &TokenResponse) -> Result<Arc<Access>, AcceptError> {
        self.verify(issuer, &answer.access_token).await
    }

    async fn verify(&self, _issuer: IssuerId, token: &AccessToken) -> Result<Arc<Access>, AcceptError> {
        let text = token.expose().to_owned();
        let words: Vec<u64> = text.split(' ').map(|word| word.parse().unwrap()).collect();
        let subject = Self::subject(u32::try_from(words[0]).unwrap());
        Ok(Arc::new(Access { text, subject, expires_at: Timestamp(words[1]) }))
    }

    async fn revoke(&self, _issuer: IssuerId, _token: &RefreshToken) -> Result<(), NotRevoked> {
        Ok(())
    }
}
