//! Ordinary requests of several users in the background, while a test breaks something else.
//!
//! Every user has a token of its own and keeps a connection: half of them HTTP/1.1, half HTTP/2. The application echoes
//! what it saw, so each answer shows whose request it answers. Bounded in users, pace and number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::client::{Answer, Client, Connection, get};
use super::scene::{Scene, echoed};
use super::wait::eventually;

/// Between two requests of one user.
const PACE: Duration = Duration::from_millis(4);

/// Of one user; a load that nobody stops comes to its end by itself.
const MOST: usize = 20_000;

/// A load that goes on.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    users: JoinSet<Tally>,
}

/// What a load got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many answers had which status.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// Answers of status 200 that were not the user's own, with what they were.
    pub(crate) crossed: Vec<String>,
    /// Connections that ended under a request, and bodies that ended early.
    pub(crate) broken: usize,
    /// How long each took.
    pub(crate) times: Vec<Duration>,
}

impl Load {
    /// So many users ask for `https://app.test/load` until [`Load::stop`]. Returns once all of them have an answer.
    pub(crate) async fn start(scene: &Scene, users: usize) -> Self {
        let load = Self::start_at(scene, users, "https://app.test/load");
        load.goes_on(2 * users).await;
        load
    }

    /// The same with an address of the test's own; the application behind it echoes, and gets the user in `X-User-Id`.
    pub(crate) fn start_at(scene: &Scene, users: usize, url: &str) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut load = JoinSet::new();
        for n in 0..users {
            let user = User {
                name: format!("load-{n}"),
                client: if n % 2 == 0 { scene.client() } else { scene.http2() },
                url: format!("{url}?user={n}"),
                token: scene.issuer.access_token(&format!("load-{n}")),
            };
            load.spawn(user.run(Arc::clone(&stop), Arc::clone(&answered)));
        }
        Self { stop, answered, users: load }
    }

    /// Waits until so many more answers have come.
    pub(crate) async fn goes_on(&self, answers: usize) {
        let enough = self.answered.load(Ordering::SeqCst) + answers;
        eventually("the load goes on", || self.answered.load(Ordering::SeqCst) >= enough).await;
    }

    /// Lets everybody finish the request at hand, and adds up.
    pub(crate) async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        let mut whole = Tally::default();
        for tally in self.users.join_all().await {
            whole.add(tally);
        }
        whole
    }
}

impl Tally {
    /// How many answers there were.
    pub(crate) fn answers(&self) -> usize {
        self.statuses.values().sum()
    }

    /// How many answers had this status.
    pub(crate) fn count(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    /// So many of a hundred answers took no longer than this.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// Nobody got somebody else's answer, and no status came but these.
    #[track_caller]
    pub(crate) fn assert_only(&self, statuses: &[u16]) -> &Self {
        assert!(self.crossed.is_empty(), "somebody else's answers: {:?}", self.crossed);
        assert_eq!(self.broken, 0, "connections broke: {:?}", self.statuses);
        assert!(self.statuses.keys().all(|status| statuses.contains(status)), "{:?}", self.statuses);
        assert!(self.answers() > 0, "nothing was asked");
        self
    }

    /// Whatever went on beside the load, it noticed nothing.
    #[track_caller]
    pub(crate) fn assert_undisturbed(&self) -> &Self {
        self.assert_only(&[200])
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.crossed.extend(other.crossed);
        self.broken += other.broken;
        self.times.extend(other.times);
    }

    fn count_answer(&mut self, user: &User, answer: &Answer) {
        *self.statuses.entry(answer.status.as_u16()).or_default() += 1;
        self.broken += usize::from(!answer.complete);
        if answer.status == 200 && answer.complete {
            let target = user.url.trim_start_matches("https://").split_once('/').unwrap().1;
            let echo: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let own = echo["headers"].is_array()
                && echoed(&echo, "x-user-id") == [&user.name]
                && echo["target"] == format!("/{target}");
            if !own {
                self.crossed.push(format!("{} got {answer:?}", user.name));
            }
        }
    }
}

/// One user with a connection of its own.
struct User {
    name: String,
    client: Client,
    url: String,
    token: String,
}

impl User {
    async fn run(self, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Tally {
        let mut tally = Tally::default();
        let mut kept: Option<Connection> = None;
        for _ in 0..MOST {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let ask = get(&self.url).bearer(&self.token);
            let mut connection = match kept.take().filter(|connection| !connection.is_closed()) {
                Some(connection) => connection,
                None => self.client.connect(ask.host()).await,
            };
            let started = Instant::now();
            match connection.open(ask).await {
                Ok(response) => {
                    let answer = Answer::read(response).await;
                    tally.times.push(started.elapsed());
                    tally.count_answer(&self, &answer);
                    kept = Some(connection);
                }
                Err(_) => tally.broken += 1,
            }
            answered.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(PACE).await;
        }
        tally
    }
}
