//! An authorization server for the tests of the protocol: it rotates, revokes the whole family when it sees a token twice,
//! and has all the troubles that a test asks for. And the background work of a test.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::watch;

use super::types::{IssuerSettings, Settings};
use super::{
    AcceptError, Authority, Background, NotRevoked, PresentedRefresh, Renewal, Renewals, SpendError, VerifiedAccess,
};
use crate::clock::{Clock, Timestamp};
use crate::config::{IssuerId, OnReuse, Secret};
use crate::issuer::Sent;
use crate::oauth::{AccessToken, RefreshToken, TokenResponse};
use crate::session::shared::simulated::Simulated;
use crate::session::store::{MemoryStore, Presenter, SharedStore, yield_now};
use crate::session::{Denied, Policy, Sealer, Store};

pub(super) const POLICY: Policy = Policy {
    grace: Duration::from_secs(60),
    idle: Duration::from_secs(8 * 3600),
    keep: Duration::from_secs(30 * 86_400),
    dated: true,
    max_records: 100,
    max_bytes: 100_000,
};

pub(super) fn settings() -> Settings {
    let issuer =
        |name: &str| IssuerSettings { name: name.into(), lease: Duration::from_secs(60), counts: Arc::default() };
    Settings {
        issuers: vec![issuer("company"), issuer("staff")],
        wait: Duration::from_secs(5),
        ahead: Duration::from_secs(30),
        on_reuse: OnReuse::Revoke,
        absolute_timeout: POLICY.keep,
    }
}

pub(super) fn presented(token: &RefreshToken) -> PresentedRefresh {
    PresentedRefresh {
        issuer: IssuerId(0),
        token: token.clone(),
        session: None,
        before: None,
        subject: None,
        started_at: None,
        beside: None,
        by: Presenter::Browser,
    }
}

/// The protocol and everything around it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) issuer: FakeIssuer,
    pub(super) background: FakeBackground,
    pub(super) denied: Arc<Denied>,
    pub(super) renewals: Renewals<FakeIssuer, FakeBackground>,
}

impl World {
    pub(super) fn new(store: fn(MemoryStore) -> Store, spawn: fn(Work), hurry: fn() -> bool) -> Self {
        Self::with(settings(), store, FakeBackground::new(spawn, hurry))
    }

    pub(super) fn with(settings: Settings, store: fn(MemoryStore) -> Store, background: FakeBackground) -> Self {
        // The model explores thousands of schedules: how long that takes must not end a back-off.
        let clock = Clock::stopped();
        let issuer = FakeIssuer::new(clock.clone());
        let store = store(MemoryStore::new(POLICY, clock.clone()));
        Self::of(settings, store, background, (issuer, clock))
    }

    /// So many instances that share a server and nothing else.
    pub(super) fn fleet<const N: usize>(spawn: fn(Work)) -> ([Self; N], Simulated) {
        let clock = Clock::stopped();
        let (issuer, server) = (FakeIssuer::new(clock.clone()), Simulated::new(&clock));
        let instance = |instance| {
            let sealer = Sealer::new(&[Secret::new(b"the secret of all instances".to_vec())]).unwrap();
            let store = SharedStore::new(server.clone(), "usher", (POLICY, sealer), clock.clone());
            let background = FakeBackground::new(spawn, || false);
            let issuer = FakeIssuer { asked_by: instance, ..issuer.clone() };
            Self::of(settings(), Store::Simulated(store), background, (issuer, clock.clone()))
        };
        (std::array::from_fn(instance), server)
    }

    fn of(settings: Settings, store: Store, background: FakeBackground, (issuer, clock): (FakeIssuer, Clock)) -> Self {
        let (store, denied) = (Arc::new(store), Arc::new(Denied::new(100)));
        let state = (store, Arc::clone(&denied));
        let renewals = Renewals::new(issuer.clone(), background.clone(), state, settings, clock.clone());
        Self { clock, issuer, background, denied, renewals }
    }

    /// The refresh token that a request gets for this one, if it is renewed.
    pub(super) async fn renew(&self, token: &RefreshToken) -> Option<RefreshToken> {
        match self.renewals.renew(&presented(token), &mut false).await {
            Renewal::Renewed(renewed) => Some(renewed.refresh_token.clone()),
            Renewal::Ended(_) | Renewal::Unavailable { .. } | Renewal::StoreAway { .. } => None,
        }
    }
}

/// What happens to one token request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no connection.
    NoConnection,
    /// 503, perhaps with `Retry-After`.
    Answered(Option<Duration>),
    /// The request is lost on its way.
    LoseRequest,
    /// The answer is lost on its way: the token is spent.
    LoseAnswer,
    /// `invalid_grant`, for no reason.
    Reject,
    /// Tokens, whose access token is of this subject.
    OtherSubject(&'static str),
    /// Tokens, whose access token does not verify.
    Unverifiable,
    /// Tokens, and a panic over the access token.
    PanicOverAnswer,
    /// A panic.
    Panic,
}

/// The authorization server. Clones are one and the same; each may be that of another instance.
#[derive(Clone)]
pub(super) struct FakeIssuer {
    asked_by: usize,
    clock: Clock,
    state: Arc<Mutex<State>>,
    held: watch::Sender<bool>,
}

struct State {
    rotates: bool,
    /// A token that was rotated is answered once more with the same successor, as some issuers do for lost answers.
    forgives_repeats: bool,
    lifetime: Duration,
    subjects: HashMap<String, &'static str>,
    successors: HashMap<String, String>,
    revoked: HashSet<&'static str>,
    troubles: VecDeque<Trouble>,
    requests: Vec<String>,
    asked_by: Vec<usize>,
    revocations: Vec<String>,
    refused_revocations: usize,
    access_tokens: Vec<String>,
    issued: u32,
}

/// `access-of-subject expiry number`, and `!` at its end if it shall not verify, `?` if that shall panic.
#[derive(Debug)]
pub(super) struct FakeAccess {
    pub(super) text: String,
    subject: String,
    expires_at: Timestamp,
}

impl VerifiedAccess for FakeAccess {
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

impl FakeIssuer {
    pub(super) fn new(clock: Clock) -> Self {
        let state = State {
            rotates: true,
            forgives_repeats: false,
            lifetime: Duration::from_secs(300),
            subjects: HashMap::new(),
            successors: HashMap::new(),
            revoked: HashSet::new(),
            troubles: VecDeque::new(),
            requests: Vec::new(),
            asked_by: Vec::new(),
            revocations: Vec::new(),
            refused_revocations: 0,
            access_tokens: Vec::new(),
            issued: 0,
        };
        Self { asked_by: 0, clock, state: Arc::new(Mutex::new(state)), held: watch::Sender::new(false) }
    }

    pub(super) fn sign_in(&self, subject: &'static str) -> RefreshToken {
        RefreshToken::new(&self.state().issue_refresh_token(subject))
    }

    pub(super) fn stop_rotating(&self) {
        self.state().rotates = false;
    }

    pub(super) fn forgive_repeats(&self) {
        self.state().forgives_repeats = true;
    }

    pub(super) fn issue_for(&self, lifetime: Duration) {
        self.state().lifetime = lifetime;
    }

    pub(super) fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.state().troubles.extend(troubles);
    }

    /// From now on requests get stuck until [`FakeIssuer::release`].
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(super) fn release(&self) {
        self.held.send_replace(false);
    }

    /// The tokens that were sent to the token endpoint, in order.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// The instances that sent them.
    pub(super) fn asked_by(&self) -> Vec<usize> {
        self.state().asked_by.clone()
    }

    /// Whether this token was rotated.
    pub(super) fn has_rotated(&self, token: &RefreshToken) -> bool {
        self.state().successors.contains_key(token.expose())
    }

    pub(super) fn revocations(&self) -> Vec<String> {
        self.state().revocations.clone()
    }

    /// The next revocations come to nothing.
    pub(super) fn refuse_revocations(&self, number: usize) {
        self.state().refused_revocations = number;
    }

    /// The access tokens that were issued, in order.
    pub(super) fn access_tokens(&self) -> Vec<String> {
        self.state().access_tokens.clone()
    }

    pub(super) fn has_revoked(&self, subject: &str) -> bool {
        self.state().revoked.contains(subject)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn issue_refresh_token(&mut self, subject: &'static str) -> String {
        self.issued += 1;
        let token = format!("refresh-{}-of-{subject}", self.issued);
        self.subjects.insert(token.clone(), subject);
        token
    }

    fn serve(&mut self, token: &str, now: Timestamp) -> Result<TokenResponse, SpendError> {
        self.requests.push(token.to_owned());
        let trouble = self.troubles.pop_front();
        let failed = |sent, retry_after| {
            Err(SpendError::Unavailable { sent, retry_after, fault: "issuer", cause: "trouble".into() })
        };
        match &trouble {
            Some(Trouble::NoConnection) => return failed(Sent::Never, None),
            Some(Trouble::Answered(retry_after)) => return failed(Sent::Answered, *retry_after),
            Some(Trouble::LoseRequest) => return failed(Sent::Unknown, None),
            Some(Trouble::Reject) => return Err(SpendError::Rejected),
            _ => {}
        }
        let Some(&subject) = self.subjects.get(token) else { return Err(SpendError::Rejected) };
        if self.revoked.contains(subject) {
            return Err(SpendError::Rejected);
        }
        let successor = match self.successors.get(token) {
            Some(successor) if self.forgives_repeats => Some(successor.clone()),
            Some(_) => {
                self.revoked.insert(subject);
                return Err(SpendError::Rejected);
            }
            None if self.rotates => {
                let successor = self.issue_refresh_token(subject);
                self.successors.insert(token.to_owned(), successor.clone());
                Some(successor)
            }
            None => None,
        };
        let subject = if let Some(Trouble::OtherSubject(other)) = trouble { other } else { subject };
        let mark = match trouble {
            Some(Trouble::Unverifiable) => "!",
            Some(Trouble::PanicOverAnswer) => "?",
            _ => "",
        };
        self.issued += 1;
        let access_token = format!("access-of-{subject} {} {}{mark}", now.after(self.lifetime).0, self.issued);
        self.access_tokens.push(access_token.clone());
        if trouble == Some(Trouble::LoseAnswer) {
            return failed(Sent::Unknown, None);
        }
        Ok(TokenResponse {
            access_token: AccessToken::new(&access_token),
            refresh_token: successor.as_deref().map(RefreshToken::new),
            id_token: None,
        })
    }
}

impl Authority for FakeIssuer {
    type Access = FakeAccess;

    /// The request is there at once: who knows that it leads does not lose the lead before it has sent the token. What a stop
    /// between the two would do, no protocol can mend.
    async fn spend(&self, _issuer: IssuerId, token: &RefreshToken) -> Result<TokenResponse, SpendError> {
        let panics = self.state().troubles.front() == Some(&Trouble::Panic);
        if panics {
            self.state().troubles.pop_front();
            panic!("asked for");
        }
        self.state().asked_by.push(self.asked_by);
        let answer = self.state().serve(token.expose(), self.clock.now());
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
        yield_now().await;
        answer
    }

    async fn accept(&self, issuer: IssuerId, answer: &TokenResponse) -> Result<Arc<FakeAccess>, AcceptError> {
        self.verify(issuer, &answer.access_token).await
    }

    async fn verify(&self, _issuer: IssuerId, token: &AccessToken) -> Result<Arc<FakeAccess>, AcceptError> {
        yield_now().await;
        let text = token.expose();
        let words: Vec<_> = text.split(' ').collect();
        let subject = words[0].strip_prefix("access-of-").unwrap().to_owned();
        let expires_at = Timestamp(words[1].parse().unwrap());
        assert!(!text.ends_with('?'), "asked for");
        if text.ends_with('!') {
            return Err(AcceptError::Unverified("it does not verify".into()));
        }
        Ok(Arc::new(FakeAccess { text: text.to_owned(), subject, expires_at }))
    }

    async fn revoke(&self, _issuer: IssuerId, token: &RefreshToken) -> Result<(), NotRevoked> {
        yield_now().await;
        let mut state = self.state();
        state.revocations.push(token.expose().to_owned());
        if state.refused_revocations > 0 {
            state.refused_revocations -= 1;
            return Err(NotRevoked { fault: "issuer", cause: "trouble".into() });
        }
        if let Some(&subject) = state.subjects.get(token.expose()) {
            state.revoked.insert(subject);
        }
        Ok(())
    }
}

/// How the background work of a test is run, and how long anybody waits.
#[derive(Clone)]
pub(super) struct FakeBackground {
    under_way: watch::Sender<usize>,
    time: watch::Sender<Time>,
    killed: watch::Sender<bool>,
    stopped: Arc<Mutex<Option<Stopped>>>,
    spawn: fn(Work),
    hurry: fn() -> bool,
}

/// Who would run if the process did.
type Stopped = Vec<Waker>;

/// How long anybody waits.
#[derive(Clone, Copy)]
struct Time {
    /// So much time has passed that everybody who waits notices.
    passed: Duration,
    patient: bool,
}

pub(super) type Work = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// One task less is under way, however it ended.
struct Over(watch::Sender<usize>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.send_modify(|under_way| *under_way -= 1);
    }
}

impl FakeBackground {
    /// Runs work by `spawn`. Whoever waits a time waits forever, unless `hurry` says otherwise now and then.
    pub(super) fn new(spawn: fn(Work), hurry: fn() -> bool) -> Self {
        let time = watch::Sender::new(Time { passed: Duration::ZERO, patient: true });
        let (killed, stopped) = (watch::Sender::new(false), Arc::default());
        Self { under_way: watch::Sender::new(0), time, killed, stopped, spawn, hurry }
    }

    /// Whether anybody still waits; if not, all times that anybody waits for have come.
    pub(super) fn set_patience(&self, patient: bool) {
        self.time.send_modify(|time| time.patient = patient);
    }

    /// Whoever waits notices that this time has passed. The clock is the test's to move.
    pub(super) fn pass(&self, time: Duration) {
        self.time.send_modify(|now| now.passed += time);
    }

    /// All work ends where it stands, as with a process that is killed.
    pub(super) fn kill(&self) {
        self.killed.send_replace(true);
    }

    /// All work stays where it stands, as with a process that is stopped, until it [goes on](Self::go_on).
    pub(super) fn stop(&self) {
        self.stopped.lock().unwrap().get_or_insert_default();
    }

    pub(super) fn go_on(&self) {
        let stopped = self.stopped.lock().unwrap().take();
        stopped.into_iter().flatten().for_each(Waker::wake);
    }

    /// Does what this process does beside its background work.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Some(stopped) = self.stopped.lock().unwrap().as_mut() {
                stopped.push(context.waker().clone());
                return Poll::Pending;
            }
            work.as_mut().poll(context)
        })
        .await
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.under_way.borrow() == 0
    }

    /// Until all work is done.
    pub(super) async fn idle(&self) {
        self.under_way.subscribe().wait_for(|under_way| *under_way == 0).await.unwrap();
    }
}

impl Background for FakeBackground {
    fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.under_way.send_modify(|under_way| *under_way += 1);
        let over = Over(self.under_way.clone());
        let (mut killed, process) = (self.killed.subscribe(), self.clone());
        (self.spawn)(Box::pin(async move {
            let killed = pin!(killed.wait_for(|killed| *killed));
            drop(select(killed, pin!(process.run(work))).await);
            drop(over);
        }));
    }

    async fn sleep(&self, duration: Duration) {
        if (self.hurry)() {
            return yield_now().await;
        }
        let until = self.time.borrow().passed + duration;
        self.time.subscribe().wait_for(|time| !time.patient || time.passed >= until).await.unwrap();
    }

    async fn rest(&self, duration: Duration) {
        self.sleep(duration).await;
    }
}
