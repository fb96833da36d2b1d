//! The browsers: each asks now and then, keeps the cookies that it is given, and comes again when it is told to, or not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::super::{Authority, PresentedRefresh, Renewal, Renewals, Renewed, SpendError, VerifiedAccess, due_at};
use super::provider::{Access, LIFETIME, Provider};
use super::time::Time;
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::session::store::Presenter;

/// Visits begin on multiples of this.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Between two requests of a page that is in use, on average.
const IN_USE: Duration = Duration::from_secs(30);
/// Between two requests of a session that is mostly asleep.
const ASLEEP: Duration = Duration::from_secs(2 * 3600);
const AHEAD: Duration = Duration::from_secs(30);

/// What browsers talk to.
pub(super) enum Instance {
    Usher(Renewals<Provider, Time>),
    /// Whoever comes with an expired token has it renewed at once, and nothing is known of anybody else.
    Naive(Provider),
}

/// The browsers. Clones are one and the same.
#[derive(Clone)]
pub(super) struct Crowd {
    time: Time,
    instances: Arc<Vec<Instance>>,
    state: Arc<Mutex<State>>,
}

struct State {
    browsers: Vec<Browser>,
    /// Who comes when, in ticks.
    visits: BTreeMap<u64, Vec<u32>>,
    answers: Answers,
}

#[derive(Clone)]
struct Browser {
    rotated: u32,
    received_at: Timestamp,
    expires_at: Timestamp,
    noted: bool,
    in_use: bool,
    locked_out: bool,
    visits: u32,
}

/// What browsers were answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    pub(super) good: u32,
    pub(super) unavailable: u32,
    pub(super) lost: usize,
    /// Those in use whose last answer was 503.
    pub(super) locked_out: usize,
    /// The last time that there were any.
    pub(super) last_locked_out: Duration,
}

/// What one visit came to.
enum Answer {
    Good(Option<Arc<Renewed<Access>>>),
    Unavailable(Option<Duration>),
    Lost,
}

impl Crowd {
    /// So many sessions. One in `one_in_use` has a page open that asks all the time, the others are asleep mostly.
    pub(super) fn new(sessions: u32, one_in_use: u32, instances: Vec<Instance>, time: &Time) -> Self {
        let now = time.clock().now();
        let mut state = State { browsers: Vec::new(), visits: BTreeMap::new(), answers: Answers::default() };
        for session in 0..sessions {
            let in_use = session.is_multiple_of(one_in_use);
            let age = if in_use { LIFETIME.mul_f64(spread(session, u32::MAX)) } else { LIFETIME };
            let received_at = Timestamp(now.0 - age.as_secs());
            let expires_at = received_at.after(LIFETIME);
            let browser =
                Browser { rotated: 0, received_at, expires_at, noted: true, in_use, locked_out: false, visits: 1 };
            let first = browser.period().mul_f64(spread(session, 0));
            state.visits.entry(tick(first)).or_default().push(session);
            state.browsers.push(browser);
        }
        Self { time: time.clone(), instances: Arc::new(instances), state: Arc::new(Mutex::new(state)) }
    }

    /// Lets time pass until then, and everybody come who comes before.
    pub(super) fn pass_until(&self, until: Duration) {
        while self.time.now() < until {
            let comes = self.state().visits.remove(&tick(self.time.now())).unwrap_or_default();
            for session in comes {
                let crowd = self.clone();
                self.time.spawn(async move { crowd.visit(session).await });
            }
            self.time.pass_until(self.time.now() + TICK);
        }
    }

    pub(super) fn answers(&self) -> Answers {
        self.state().answers
    }

    /// How many of those in use have an access token that is good.
    pub(super) fn share_with_good_token(&self) -> f64 {
        let now = self.time.clock().now();
        let state = self.state();
        let (mut in_use, mut good) = (0, 0);
        for browser in state.browsers.iter().filter(|browser| browser.in_use) {
            in_use += 1;
            good += u32::from(now < browser.expires_at);
        }
        f64::from(good) / f64::from(in_use)
    }

    async fn visit(&self, session: u32) {
        let browser = self.state().browsers[session as usize].clone();
        let instance = &self.instances[(session + browser.visits) as usize % self.instances.len()];
        let answer = match instance {
            Instance::Usher(renewals) => self.ask_usher(renewals, session, &browser).await,
            Instance::Naive(provider) => self.ask_naive(provider, session, &browser).await,
        };
        let now = self.time.now();
        let next = self.state().take(session, &answer, (now, self.time.clock().now()));
        if let Some(next) = next {
            let at = tick(now + next).max(tick(now) + 1);
            self.state().visits.entry(at).or_default().push(session);
        }
    }

    /// As `Authenticate` does.
    async fn ask_usher(&self, renewals: &Renewals<Provider, Time>, session: u32, browser: &Browser) -> Answer {
        let presented = PresentedRefresh {
            issuer: IssuerId(0),
            token: Provider::token(session, browser.rotated),
            session: None,
            before: None,
            subject: Some(Provider::subject(session)),
            started_at: None,
            beside: None,
            by: Presenter::Browser,
        };
        let now = self.time.clock().now();
        if now < browser.expires_at {
            if !browser.noted {
                renewals.note_presented(presented.issuer, &presented.token).await;
            }
            let is_due = due_at(browser.received_at, browser.expires_at, AHEAD) <= now;
            return Answer::Good(if is_due { renewals.renew_ahead(&presented).await } else { None });
        }
        match renewals.renew(&presented, &mut false).await {
            Renewal::Renewed(renewed) => Answer::Good(Some(renewed)),
            Renewal::Unavailable { retry_after } => Answer::Unavailable(Some(retry_after)),
            Renewal::Ended(_) | Renewal::StoreAway { .. } => Answer::Lost,
        }
    }

    async fn ask_naive(&self, provider: &Provider, session: u32, browser: &Browser) -> Answer {
        if self.time.clock().now() < browser.expires_at {
            return Answer::Good(None);
        }
        match provider.spend(IssuerId(0), &Provider::token(session, browser.rotated)).await {
            Ok(answer) => {
                let access = provider.accept(IssuerId(0), &answer).await.unwrap();
                Answer::Good(Some(Arc::new(Renewed { access, refresh_token: answer.refresh_token.unwrap() })))
            }
            Err(SpendError::Rejected) => Answer::Lost,
            Err(SpendError::Unavailable { .. }) => Answer::Unavailable(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// Takes over what came, and says when the browser comes again.
    fn take(&mut self, session: u32, answer: &Answer, (now, wall): (Duration, Timestamp)) -> Option<Duration> {
        let (browser, answers) = (&mut self.browsers[session as usize], &mut self.answers);
        let is_locked_out = matches!(answer, Answer::Unavailable(_)) && browser.in_use;
        if is_locked_out != std::mem::replace(&mut browser.locked_out, is_locked_out) {
            answers.locked_out = if is_locked_out { answers.locked_out + 1 } else { answers.locked_out - 1 };
            answers.last_locked_out = now;
        }
        browser.visits += 1;
        match answer {
            Answer::Good(renewed) => {
                answers.good += 1;
                browser.noted = true;
                if let Some(renewed) = renewed {
                    let expires_at = renewed.access.expires_at();
                    let token = renewed.refresh_token.expose().rsplit(' ').next().unwrap();
                    let rotated = token.parse().unwrap();
                    *browser = Browser { rotated, received_at: wall, expires_at, noted: false, ..browser.clone() };
                }
            }
            Answer::Unavailable(retry_after) => {
                answers.unavailable += 1;
                // Every other one is a script, and does as it is told: in whole seconds, as the field says.
                if let Some(retry_after) = retry_after.filter(|_| (session / 2).is_multiple_of(2)) {
                    return Some(Duration::from_secs(
                        retry_after.as_millis().div_ceil(1_000).max(1).try_into().unwrap(),
                    ));
                }
            }
            Answer::Lost => {
                answers.lost += 1;
                return None;
            }
        }
        Some(browser.period().mul_f64(0.5 + spread(session, browser.visits)))
    }
}

impl Browser {
    const fn period(&self) -> Duration {
        if self.in_use { IN_USE } else { ASLEEP }
    }
}

fn tick(at: Duration) -> u64 {
    u64::try_from(at.as_millis() / TICK.as_millis()).unwrap()
}

/// By chance between 0 and 1, and the same in every run.
fn spread(session: u32, visit: u32) -> f64 {
    let mut bits = (u64::from(session) << 32 | u64::from(visit)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
}
