//! A day on which the provider goes away, and what became of it by the evening.

use std::sync::Arc;
use std::time::Duration;

use super::super::Renewals;
use super::super::fake::{POLICY, settings};
use super::crowd::{Answers, Crowd, Instance};
use super::provider::{Provider, Trouble};
use super::time::Time;
use crate::clock::Clock;
use crate::config::Secret;
use crate::session::shared::simulated::Simulated;
use crate::session::store::SharedStore;
use crate::session::{Denied, Sealer, Store};

/// So much of an ordinary day comes before.
const BEFORE: Duration = Duration::from_secs(60);
/// How long the provider is away.
const AWAY: Duration = Duration::from_secs(600);
/// What one line of the table is about.
const LINE: Duration = Duration::from_secs(10);
/// When the circuits of all instances are open by, however slowly the provider fails.
const NOTICED: Duration = Duration::from_secs(60);

/// A day on which the provider goes away.
#[derive(Clone, Copy)]
pub(super) struct Day {
    pub(super) sessions: u32,
    /// One session in so many is in use.
    pub(super) one_in_use: u32,
    pub(super) instances: u32,
    /// Token requests that the provider answers in a second.
    pub(super) capacity: u32,
    pub(super) trouble: Trouble,
    /// Without Usher: every request with an expired token is a token request.
    pub(super) naive: bool,
    /// How much of the day there is after the provider's return.
    pub(super) after: Duration,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Evening {
    /// Sessions that ended.
    pub(super) lost: usize,
    /// Refresh tokens that the provider saw although they were spent.
    pub(super) reuses: usize,
    /// Token requests in the busiest second, on average over ten, once it was noticed that the provider is away.
    pub(super) probes: f64,
    /// Answers 503 while it was away.
    pub(super) refused_while_away: u32,
    /// And after.
    pub(super) refused_after: u32,
    /// How often the store was written to while it was away, once that was noticed.
    pub(super) written_while_away: usize,
    /// The most token requests of one instance under way at once, after the return.
    pub(super) most_inside: usize,
    /// The longest that the provider took for an answer.
    pub(super) slowest: Duration,
    /// How long after the return the last page in use that had been refused was served.
    pub(super) everybody_after: Duration,
    /// Those in use that were not served by the end of the day.
    pub(super) locked_out: usize,
}

impl Day {
    pub(super) fn pass(&self) -> Evening {
        let time = Time::new(Clock::stopped());
        let server = Simulated::new(time.clock());
        let providers = Provider::of(self.instances, self.capacity, &time);
        let provider = &providers[0];
        let instances = providers.iter().map(|provider| self.instance(provider, &server, &time)).collect();
        let crowd = Crowd::new(self.sessions, self.one_in_use, instances, &time);
        let (leaves, returns) = (BEFORE, BEFORE + AWAY);
        let (mut evening, mut at_return, mut written) = (Evening::default(), crowd.answers(), 0);
        println!("     s  token requests/s  200/s  503/s  renewals under way  good tokens");
        while time.now() < returns + self.after {
            let began = time.now();
            if began == leaves {
                provider.leave(self.trouble);
            } else if began == leaves + NOTICED {
                written = server.writes();
            } else if began == returns {
                provider.return_again();
                at_return = crowd.answers();
                evening.written_while_away = server.writes() - written;
            }
            let (asked, answered) = (provider.tally().requests, crowd.answers());
            crowd.pass_until(began + LINE);
            let asks = per_second(provider.tally().requests - asked);
            if began >= leaves + NOTICED && began < returns {
                evening.probes = evening.probes.max(asks);
            }
            let line = Line { began, asks, answered, under_way: time.under_way() };
            self.print(&line, &crowd);
        }
        let (tally, answers) = (provider.tally(), crowd.answers());
        let evening = Evening {
            lost: answers.lost,
            reuses: tally.reuses,
            refused_while_away: at_return.unavailable,
            refused_after: answers.unavailable - at_return.unavailable,
            most_inside: tally.most_inside.into_iter().max().unwrap_or_default(),
            slowest: tally.slowest,
            everybody_after: answers.last_locked_out.saturating_sub(returns),
            locked_out: answers.locked_out,
            ..evening
        };
        println!("{evening:?}");
        evening
    }

    fn instance(&self, provider: &Provider, server: &Simulated, time: &Time) -> Instance {
        if self.naive {
            return Instance::Naive(provider.clone());
        }
        let clock = time.clock().clone();
        let sealer = Sealer::new(&[Secret::new(b"the secret of all instances".to_vec())]).unwrap();
        let store = SharedStore::new(server.clone(), "usher", (POLICY, sealer), clock.clone());
        let state = (Arc::new(Store::Simulated(store)), Arc::new(Denied::new(100)));
        Instance::Usher(Renewals::new(provider.clone(), time.clone(), state, settings(), clock))
    }

    fn print(&self, Line { began, asks, answered, under_way }: &Line, crowd: &Crowd) {
        let answers = crowd.answers();
        println!(
            "{:6.0}  {asks:16.1}  {:5.0}  {:5.0}  {under_way:18}  {:9.1} %  {}",
            began.as_secs_f64() - (BEFORE + AWAY).as_secs_f64(),
            per_second(answers.good - answered.good),
            per_second(answers.unavailable - answered.unavailable),
            100.0 * crowd.share_with_good_token(),
            "#".repeat((0..30).take_while(|part| asks * 20.0 > f64::from(part * self.capacity)).count()),
        );
    }
}

struct Line {
    began: Duration,
    asks: f64,
    answered: Answers,
    under_way: usize,
}

fn per_second(count: u32) -> f64 {
    f64::from(count) / LINE.as_secs_f64()
}
