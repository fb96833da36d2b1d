//! Denials on a server that several instances share: what one of them denies, all of them refuse, and one that starts later
//! as well.
//!
//! They stand in one list there, sealed, the newest at its end. Whoever denies something here adds it and tells the others,
//! who then read on from where they were; who may have missed that begins at the beginning. While the server is away, what
//! is denied here waits, and holds here all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

use super::taken::Taken;
use super::{Denial, Denied};
use crate::clock::Clock;
use crate::session::shared::{Away, Connection, Heard, Listed, Server};
use crate::session::store::Now;
use crate::session::{NoRandomness, SealError, Sealer};
use crate::tasks::Tasks;

const PURPOSE: &str = "denial";
/// How the entries of one instance are told from those of others: by so many bytes of chance.
const ORIGIN: usize = 8;
/// Between two attempts to add what the server did not take.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// The list is looked at so often although nobody has said that there is more.
const UNCALLED: Duration = Duration::from_secs(5);
/// Entries that are read at once.
const PAGE: usize = 500;

/// The denials of all instances.
pub struct SharedDenials<S = Connection> {
    server: S,
    list: String,
    channel: String,
    sealer: ArcSwap<Sealer>,
    denied: Arc<Denied>,
    clock: Clock,
    origin: [u8; ORIGIN],
    /// How many there may be, and for how long the last one stays.
    bounds: (usize, Duration),
    more: Arc<More>,
}

/// What has been heard of the list.
#[derive(Default)]
struct More {
    called: Notify,
    missed: AtomicBool,
}

impl<S: Server> SharedDenials<S> {
    /// Between this list and the one on the server. Listens at once, and does nothing more until it is [started](Self::start).
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(
        server: S,
        prefix: &str,
        sealer: Sealer,
        denied: Arc<Denied>,
        (bounds, clock): ((usize, Duration), Clock),
    ) -> Result<Arc<Self>, NoRandomness> {
        let mut origin = [0; ORIGIN];
        rand::fill(&mut origin).map_err(|_| NoRandomness)?;
        let (list, channel) = (format!("{prefix}:denials"), format!("{prefix}:denied"));
        let more = Arc::new(More::default());
        let hears = Arc::clone(&more);
        server.listen(
            &channel,
            Box::new(move |heard| {
                if heard == Heard::Gap {
                    hears.missed.store(true, Ordering::Release);
                }
                hears.called.notify_one();
            }),
        );
        let sealer = ArcSwap::from_pointee(sealer);
        Ok(Arc::new(Self { server, list, channel, sealer, denied, clock, origin, bounds, more }))
    }

    /// Tells and follows from now on, for as long as anybody has this.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        // From this moment on, not from when the task has its turn.
        tasks.attend(tell(Arc::downgrade(self), self.denied.news()));
        tasks.attend(follow(Arc::downgrade(self)));
    }

    /// Other secrets: the configuration has changed. What could not be read under the last ones is read again, for the
    /// sessions that it is about can be read from now on.
    pub fn set_sealer(&self, sealer: Sealer) {
        self.sealer.store(Arc::new(sealer));
        self.more.missed.store(true, Ordering::Release);
        self.more.called.notify_one();
    }

    /// Tells all instances of a denial: what they look at has it when this returns.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn add(&self, denial: Denial) -> Result<(), Away> {
        let entry = match self.seal(denial) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::error!(%error, "a denial cannot be sealed, and holds on this instance only");
                return Ok(());
            }
        };
        self.server.append(&self.list, &entry, self.bounds, &self.channel).await
    }

    fn seal(&self, denial: Denial) -> Result<String, SealError> {
        self.sealer.load().seal(PURPOSE, &[&self.origin[..], &denial.to_bytes()].concat())
    }

    /// Reads on from `place` to the end of the list.
    async fn read_on(&self, place: &mut String, taken: &mut Taken) -> Result<(), Away> {
        loop {
            if self.more.missed.swap(false, Ordering::AcqRel) {
                place.clear();
            }
            let page = self.server.after(&self.list, place, PAGE).await?;
            let is_last = page.len() < PAGE;
            for Listed { place: at, entry } in page {
                *place = at;
                if taken.contains(&entry) || self.take(&entry) {
                    taken.insert(&entry);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// What this version cannot read, or was sealed under another secret, is passed over: the sessions that it is about
    /// cannot be read either. Says whether it could be read.
    fn take(&self, entry: &str) -> bool {
        let Ok(bytes) = self.sealer.load().open(PURPOSE, entry) else { return false };
        if let Some((origin, denial)) = bytes.split_first_chunk()
            && *origin != self.origin
            && let Some(denial) = Denial::from_bytes(denial)
        {
            self.denied.apply(denial, Now::of(&self.clock));
        }
        true
    }
}

/// Tells the others what is denied here, in that order.
async fn tell<S: Server>(shared: Weak<SharedDenials<S>>, mut news: Receiver<Denial>) {
    loop {
        let denials = match timeout(UNCALLED, news.recv()).await {
            Ok(Ok(denial)) => vec![denial],
            // The server was away for so long that not all of them could wait.
            Ok(Err(RecvError::Lagged(_))) => shared.upgrade().map(|shared| shared.denied.all()).unwrap_or_default(),
            Ok(Err(RecvError::Closed)) => return,
            Err(_) if shared.strong_count() == 0 => return,
            Err(_) => continue,
        };
        for denial in denials {
            loop {
                let Some(shared) = shared.upgrade() else { return };
                if denial.until < shared.clock.now() || shared.add(denial).await.is_ok() {
                    break;
                }
                drop(shared);
                sleep(BETWEEN_TRIES).await;
            }
        }
    }
}

/// Takes over what the others deny.
async fn follow<S: Server>(shared: Weak<SharedDenials<S>>) {
    let mut place = String::new();
    let Some(mut taken) = shared.upgrade().map(|shared| Taken::new(shared.bounds.0)) else { return };
    loop {
        let Some(following) = shared.upgrade() else { return };
        let more = Arc::clone(&following.more);
        if following.read_on(&mut place, &mut taken).await.is_err() {
            // Where it was: a call comes with the connection.
            tracing::debug!("the denials of other instances cannot be read at the moment");
        }
        drop(following);
        let _called = timeout(UNCALLED, more.called.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::config::Secret;
    use crate::session::denied::{SubjectHash, What};
    use crate::session::shared::simulated::Simulated;
    use crate::session::{SessionId, SidHash, TokenHash};

    const BOUNDS: (usize, Duration) = (1_000, Duration::from_secs(3_600));

    /// An instance that shares its denials.
    struct Instance {
        denied: Arc<Denied>,
        clock: Clock,
        shared: Arc<SharedDenials<Simulated>>,
    }

    impl Instance {
        fn start(server: &Simulated, secret: &str) -> Self {
            let (denied, clock) = (Arc::new(Denied::new(100)), Clock::system());
            let terms = (BOUNDS, clock.clone());
            let shared = SharedDenials::new(server.clone(), "usher", sealer(&[secret]), Arc::clone(&denied), terms);
            let shared = shared.unwrap();
            shared.start(&Tasks::new(tokio::runtime::Handle::current()));
            Self { denied, clock, shared }
        }

        fn deny(&self, session: SessionId) {
            let now = Now::of(&self.clock);
            self.denied.deny_session(session, now.wall.after(Duration::from_secs(600)), now);
        }

        async fn refuses(&self, session: SessionId) {
            let mut changes = self.denied.changes();
            let refused = async {
                while !self.denied.is_denied(Some(session), "") {
                    changes.changed().await.unwrap();
                }
            };
            timeout(Duration::from_secs(30), refused).await.expect("it is told");
        }
    }

    fn sealer(secrets: &[&str]) -> Sealer {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(secret.as_bytes().to_vec())).collect();
        Sealer::new(&secrets).unwrap()
    }

    fn session(number: u8) -> SessionId {
        SessionId([number; 16])
    }

    #[tokio::test]
    async fn what_one_denies_all_refuse_and_one_that_starts_later_too() {
        let server = Simulated::new(&Clock::system());
        let (one, other) = (Instance::start(&server, "secret"), Instance::start(&server, "secret"));
        let now = Now::of(&one.clock);
        let until = now.wall.after(Duration::from_secs(600));
        one.denied.deny_access_token(TokenHash::of("a.b.c"), until, now);
        one.denied.deny_sid(SidHash::of("one", "s-1"), until, now);
        one.denied.deny_subject("one", "alice", now.wall, until, now);
        one.deny(session(1));
        other.refuses(session(1)).await;
        let later = Instance::start(&server, "secret");
        later.refuses(session(1)).await;
        for instance in [&other, &later] {
            assert!(instance.denied.is_denied(None, "a.b.c"));
            assert!(instance.denied.is_sid_denied(SidHash::of("one", "s-1")));
            assert!(instance.denied.is_subject_denied("one", "alice", Some(Timestamp(1)), None));
        }
        later.deny(session(2));
        one.refuses(session(2)).await;
    }

    #[tokio::test]
    async fn who_has_begun_after_the_denial_of_the_subject_is_meant_nowhere() {
        let server = Simulated::new(&Clock::system());
        let (one, other) = (Instance::start(&server, "secret"), Instance::start(&server, "secret"));
        let now = Now::of(&one.clock);
        let until = now.wall.after(Duration::from_secs(600));
        one.denied.deny_subject("one", "alice", now.wall, until, now);
        one.denied.begin_session(session(1), "one", "alice", until, now);
        one.deny(session(9));
        other.refuses(session(9)).await;
        let is_denied = |number| other.denied.is_subject_denied("one", "alice", Some(now.wall), Some(session(number)));
        assert!(!is_denied(1) && is_denied(2));
        assert!(
            !one.denied.is_subject_denied("one", "alice", Some(now.wall), Some(session(1))),
            "its own echo is none"
        );
    }

    #[tokio::test]
    async fn a_list_that_is_read_once_more_or_has_copies_at_its_end_lifts_no_denial() {
        let server = Simulated::new(&Clock::system());
        let (one, other) = (Instance::start(&server, "secret"), Instance::start(&server, "secret"));
        let now = Now::of(&one.clock);
        let until = now.wall.after(Duration::from_secs(600));
        let deny_alice = |by: &Instance| by.denied.deny_subject("one", "alice", now.wall, until, now);
        deny_alice(&other);
        other.denied.begin_session(session(1), "one", "alice", until, now);
        other.deny(session(2));
        one.refuses(session(2)).await;
        deny_alice(&one);
        let is_denied = || one.denied.is_subject_denied("one", "alice", Some(now.wall), Some(session(1)));
        assert!(is_denied());
        server.return_again();
        // The first may come with what was being read already.
        for number in [3, 4] {
            other.deny(session(number));
            one.refuses(session(number)).await;
        }
        assert!(is_denied(), "the beginning is older than the denial");
        for Listed { entry, .. } in server.after("usher:denials", "", PAGE).await.unwrap() {
            server.append("usher:denials", &entry, BOUNDS, "usher:denied").await.unwrap();
        }
        other.deny(session(5));
        one.refuses(session(5)).await;
        assert!(is_denied(), "a copy says nothing new");
    }

    #[tokio::test]
    async fn what_comes_back_of_its_own_denies_nobody_who_has_begun_since() {
        let one = Instance::start(&Simulated::new(&Clock::system()), "secret");
        let now = Now::of(&one.clock);
        let until = now.wall.after(Duration::from_secs(600));
        one.denied.deny_subject("one", "alice", now.wall, until, now);
        one.denied.begin_session(session(1), "one", "alice", until, now);
        let what = What::Subject { name: SubjectHash::of("one", "alice"), issued_until: now.wall };
        let echo = one.shared.seal(Denial { what, until }).unwrap();
        assert!(one.shared.take(&echo));
        assert!(!one.denied.is_subject_denied("one", "alice", Some(now.wall), Some(session(1))));
    }

    #[tokio::test]
    async fn what_is_denied_while_the_server_is_away_is_told_once_it_is_back() {
        let server = Simulated::new(&Clock::system());
        let (one, other) = (Instance::start(&server, "secret"), Instance::start(&server, "secret"));
        server.leave();
        one.deny(session(1));
        sleep(BETWEEN_TRIES).await;
        assert!(one.denied.is_denied(Some(session(1)), ""), "it holds here at once");
        assert!(!other.denied.is_denied(Some(session(1)), ""));
        server.return_again();
        other.refuses(session(1)).await;
    }

    #[tokio::test]
    async fn lost_messages_delay_a_denial_and_no_more() {
        let server = Simulated::new(&Clock::system());
        let (one, other) = (Instance::start(&server, "secret"), Instance::start(&server, "secret"));
        // It follows by then, and has read what there is.
        one.deny(session(1));
        other.refuses(session(1)).await;
        server.lose_messages(|| true);
        one.deny(session(2));
        other.refuses(session(2)).await;
    }

    #[tokio::test]
    async fn who_gets_a_secret_late_finds_what_was_denied_under_it_before() {
        let server = Simulated::new(&Clock::system());
        let (late, first) = (Instance::start(&server, "old"), Instance::start(&server, "new"));
        first.deny(session(1));
        late.shared.set_sealer(sealer(&["old", "old too"]));
        sleep(BETWEEN_TRIES).await;
        assert!(!late.denied.is_denied(Some(session(1)), ""));
        late.shared.set_sealer(sealer(&["old", "new"]));
        late.refuses(session(1)).await;
    }

    #[tokio::test]
    async fn entries_under_another_secret_or_of_nobody_are_passed_over() {
        let server = Simulated::new(&Clock::system());
        let (one, stranger) = (Instance::start(&server, "secret"), Instance::start(&server, "another"));
        stranger.deny(session(1));
        server.append("usher:denials", "garbage", BOUNDS, "usher:denied").await.unwrap();
        let other = Instance::start(&server, "secret");
        other.deny(session(2));
        one.refuses(session(2)).await;
        assert!(!one.denied.is_denied(Some(session(1)), ""));
    }
}
