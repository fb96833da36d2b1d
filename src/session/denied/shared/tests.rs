use proptest::prelude::*;
use tokio::sync::broadcast::Receiver;
use tokio::time::sleep;

use super::*;
use crate::clock::Timestamp;
use crate::config::Secret;
use crate::session::denied::{SubjectHash, What};
use crate::session::formats::committed;
use crate::session::shared::simulated::Simulated;
use crate::session::{SessionId, SidHash, TokenHash};

const BOUNDS: (usize, Duration) = (1_000, Duration::from_secs(3_600));

/// An instance that shares its denials.
struct Instance {
    denied: Arc<Denied>,
    clock: Clock,
    shared: Arc<SharedDenials<Simulated>>,
    tasks: Tasks,
}

impl Instance {
    fn start(server: &Simulated, secret: &str) -> Self {
        let (denied, clock) = (Arc::new(Denied::new(100)), Clock::system());
        let (listed, sealer) = (Arc::clone(&denied), sealer(&[secret]));
        let shared = SharedDenials::new(server.clone(), "usher", sealer, listed, BOUNDS, clock.clone()).unwrap();
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        shared.start(&tasks);
        Self { denied, clock, shared, tasks }
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
    assert!(!one.denied.is_subject_denied("one", "alice", Some(now.wall), Some(session(1))), "its own echo is none");
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
    one.shared.set_sealer(sealer(&["secret"]));
    // The first may come with what was being read already.
    for number in [3, 4] {
        other.deny(session(number));
        one.refuses(session(number)).await;
    }
    assert!(is_denied(), "the beginning is older than the denial");
    for Listed { entry, .. } in server.page("usher:denials", "", PAGE).await.unwrap() {
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
async fn who_asks_hears_once_everything_is_told_that_was_denied_before() {
    let server = Simulated::new(&Clock::system());
    let one = Instance::start(&server, "secret");
    for round in 1..=3 {
        for number in 0..50 {
            one.deny(session(round * 50 + number));
        }
        assert_eq!(one.shared.told(Duration::from_secs(30)).await, Ok(()));
        let told = server.page("usher:denials", "", PAGE).await.unwrap().len();
        assert_eq!(told, usize::from(round) * 50);
    }
    server.leave();
    one.deny(session(0));
    assert_eq!(one.shared.told(Duration::from_millis(100)).await, Err(Away));
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
async fn an_entry_of_the_list_is_read_as_it_was_committed() {
    let server = Simulated::new(&Clock::system());
    let one = Instance::start(&server, "a session secret");
    let entry = committed("store", "denial");
    server.append("usher:denials", &entry, BOUNDS, "usher:denied").await.unwrap();
    one.refuses(session(7)).await;
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

/// An instance that tells and reads when the test says so.
struct ByHand {
    shared: Arc<SharedDenials<Simulated>>,
    news: Receiver<Denial>,
    place: String,
    taken: Taken,
}

impl ByHand {
    /// With a clock that is the same for all, and stands still.
    fn new(server: &Simulated, clock: &Clock) -> Self {
        let (denied, sealer) = (Arc::new(Denied::new(100)), sealer(&["secret"]));
        let shared = SharedDenials::new(server.clone(), "usher", sealer, denied, BOUNDS, clock.clone()).unwrap();
        let news = shared.denied.news();
        Self { shared, news, place: String::new(), taken: Taken::new(BOUNDS.0) }
    }

    fn now(&self) -> Now {
        Now::of(&self.shared.clock)
    }

    fn until(&self) -> Timestamp {
        self.now().wall.after(Duration::from_secs(600))
    }

    fn deny(&self, subject: &str) {
        self.shared.denied.deny_subject("one", subject, self.now().wall, self.until(), self.now());
    }

    fn begin(&self, number: u8, subject: &str) {
        self.shared.denied.begin_session(session(number), "one", subject, self.until(), self.now());
    }

    /// Tells the first so many of what it has to tell.
    async fn tell(&mut self, most: usize) {
        for _ in 0..most {
            let Ok(denial) = self.news.try_recv() else { return };
            self.shared.add(denial).await.unwrap();
        }
    }

    async fn read(&mut self) {
        self.shared.read_on(&mut self.place, &mut self.taken).await.unwrap();
    }

    fn refuses(&self, number: u8, subject: &str) -> bool {
        self.shared.denied.is_subject_denied("one", subject, Some(self.now().wall), Some(session(number)))
    }
}

#[tokio::test]
async fn a_session_that_began_elsewhere_before_a_denial_made_here_is_denied_though_it_is_heard_of_later() {
    let clock = Clock::stopped();
    let server = Simulated::new(&clock);
    let [mut one, mut other, mut third] = std::array::from_fn(|_| ByHand::new(&server, &clock));
    other.deny("alice");
    other.begin(1, "alice");
    other.tell(1).await;
    one.read().await;
    one.deny("alice");
    one.begin(2, "alice");
    other.tell(1).await;
    one.read().await;
    assert!(one.refuses(1, "alice"), "before the denial has its place");
    assert!(!one.refuses(2, "alice"), "which of the two was first is known here");
    one.tell(2).await;
    other.read().await;
    other.begin(3, "alice");
    other.tell(1).await;
    for instance in [&mut one, &mut other, &mut third] {
        instance.read().await;
        assert_eq!([1, 2, 3].map(|number| instance.refuses(number, "alice")), [true, false, false]);
    }
    let restored = Denied::new(100);
    for denial in one.shared.denied.all() {
        restored.apply(denial, one.now());
    }
    let is_denied = |number| restored.is_subject_denied("one", "alice", Some(one.now().wall), Some(session(number)));
    assert_eq!([1, 2, 3].map(is_denied), [true, false, false]);
}

/// What one of three instances does next.
#[derive(Clone, Debug)]
enum Step {
    Deny(&'static str),
    Begin(&'static str),
    Tell,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let subject = || prop::sample::select(vec!["alice", "bob"]);
    let step = prop_oneof![
        subject().prop_map(Step::Deny),
        subject().prop_map(Step::Begin),
        Just(Step::Tell),
        Just(Step::Tell),
        Just(Step::Read),
    ];
    prop::collection::vec((0..3_usize, step), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_denied_and_begun_in_whatever_order_all_instances_come_to_the_same_view(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = Clock::stopped();
            let server = Simulated::new(&clock);
            let mut instances: [ByHand; 3] = std::array::from_fn(|_| ByHand::new(&server, &clock));
            let mut begun = Vec::new();
            for (number, (at, step)) in (0_u8..).zip(steps) {
                let instance = &mut instances[at];
                match step {
                    Step::Deny(subject) => instance.deny(subject),
                    Step::Begin(subject) => {
                        instance.begin(number, subject);
                        begun.push((at, number, subject));
                    }
                    Step::Tell => instance.tell(1).await,
                    Step::Read => instance.read().await,
                }
            }
            for instance in &mut instances {
                instance.tell(usize::MAX).await;
            }
            for instance in &mut instances {
                instance.read().await;
            }
            for (at, number, subject) in begun {
                let views = instances.each_ref().map(|instance| instance.refuses(number, subject));
                let elsewhere: Vec<_> = (0..3).filter(|other| *other != at).map(|other| views[other]).collect();
                assert_eq!(elsewhere[0], elsewhere[1], "{number} of {subject}, which began at {at}: {views:?}");
                assert!(views[at] || !elsewhere[0], "good where it began alone: {number} of {subject}: {views:?}");
            }
        });
    }
}

#[tokio::test]
async fn whoever_starts_waits_until_it_knows_what_others_have_denied() {
    let clock = Clock::stopped();
    let server = Simulated::new(&clock);
    let mut first = ByHand::new(&server, &clock);
    // More than are read at once.
    for number in 0..=PAGE {
        first.deny(&format!("user {number}"));
    }
    first.tell(usize::MAX).await;
    let later = Instance::start(&server, "secret");
    later.shared.caught_up(Duration::from_secs(30)).await.unwrap();
    let last = format!("user {PAGE}");
    assert!(later.denied.is_subject_denied("one", &last, Some(Timestamp(1)), None));
}

#[tokio::test]
async fn whoever_starts_without_the_server_does_not_wait_for_it() {
    let server = Simulated::new(&Clock::system());
    server.leave();
    let one = Instance::start(&server, "secret");
    let (started, patience) = (std::time::Instant::now(), Duration::from_secs(30));
    assert_eq!(one.shared.caught_up(patience).await, Err(Away));
    assert!(started.elapsed() < patience);
}

#[tokio::test]
async fn whoever_ends_tells_what_it_has_denied_last() {
    let server = Simulated::new(&Clock::system());
    let (one, other) = (Instance::start(&server, "secret"), Instance::start(&server, "secret"));
    for number in 0..100 {
        one.deny(session(number));
    }
    assert!(one.tasks.finish(Duration::from_secs(30)).await);
    let told = server.page("usher:denials", "", PAGE).await.unwrap().len();
    assert_eq!(told, 100);
    other.refuses(session(99)).await;
}

#[tokio::test]
async fn whoever_cannot_tell_what_it_has_denied_ends_all_the_same() {
    let server = Simulated::new(&Clock::system());
    let one = Instance::start(&server, "secret");
    server.leave();
    one.deny(session(1));
    let started = std::time::Instant::now();
    assert!(one.tasks.finish(Duration::from_secs(30)).await);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_list_stays_for_as_long_as_anything_in_it_counts() {
    let clock = Clock::stopped();
    let server = Simulated::new(&clock);
    let mut one = ByHand::new(&server, &clock);
    let in_two_hours = one.now().wall.after(Duration::from_secs(2 * 3_600));
    one.shared.denied.deny_access_token(TokenHash::of("a.b.c"), in_two_hours, one.now());
    one.deny("alice");
    one.tell(2).await;
    clock.advance(BOUNDS.1 + Duration::from_secs(1_800));
    let mut later = ByHand::new(&server, &clock);
    later.read().await;
    assert!(later.shared.denied.is_denied(None, "a.b.c"));
}

#[tokio::test]
async fn what_is_denied_after_the_server_has_forgotten_everything_is_read_though_its_clock_was_set_back() {
    let clock = Clock::stopped();
    let server = Simulated::new(&clock);
    let [mut one, mut other] = std::array::from_fn(|_| ByHand::new(&server, &clock));
    for subject in ["alice", "bob", "carol"] {
        other.deny(subject);
    }
    other.tell(3).await;
    one.read().await;
    server.flush();
    other.deny("dave");
    other.tell(1).await;
    one.read().await;
    assert!(one.refuses(1, "dave"));
    server.flush();
    one.read().await;
    other.deny("eve");
    other.tell(1).await;
    one.read().await;
    assert!(one.refuses(1, "eve"));
}

#[tokio::test]
async fn a_gap_costs_nobody_the_whole_list() {
    let clock = Clock::stopped();
    let server = Simulated::new(&clock);
    let [mut one, mut other] = std::array::from_fn(|_| ByHand::new(&server, &clock));
    other.deny("alice");
    other.tell(1).await;
    one.read().await;
    // Whoever read everything would take what is no longer known to have been read.
    one.taken = Taken::new(1);
    other.begin(1, "alice");
    other.deny("alice");
    other.tell(2).await;
    one.read().await;
    one.deny("alice");
    let before = one.shared.denied.epoch();
    server.return_again();
    one.read().await;
    assert_eq!(one.shared.denied.epoch(), before);
}
