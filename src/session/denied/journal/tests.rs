use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tokio::runtime::Handle;

use super::*;
use crate::clock::Timestamp;
use crate::session::{SessionId, SidHash, TokenHash};

const CAPACITY: usize = 5_000;

/// An instance with its list.
struct Instance {
    denied: Arc<Denied>,
    clock: Clock,
    journal: Arc<DenialJournal>,
}

impl Instance {
    fn open(directory: &Path, clock: &Clock) -> Result<Self, DatabaseError> {
        let (denied, tasks) = (Arc::new(Denied::new(CAPACITY)), Tasks::new(Handle::current()));
        let journal = DenialJournal::open(directory, &denied, clock, &tasks)?;
        Ok(Self { denied, clock: clock.clone(), journal })
    }

    fn deny(&self, number: u64, lasts: u64) {
        let now = Now::of(&self.clock);
        self.denied.deny_session(session(number), now.wall.after(Duration::from_secs(lasts)), now);
    }

    fn refuses(&self, number: u64) -> bool {
        self.denied.is_denied(Some(session(number)), "")
    }

    fn rows(&self) -> u64 {
        self.journal.append(&[]).unwrap()
    }
}

fn session(number: u64) -> SessionId {
    SessionId(u128::from(number).to_be_bytes())
}

#[tokio::test]
async fn what_was_denied_before_a_restart_is_refused_after_it() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let path = directory.path().join("denials");
    let before = Instance::open(&path, &clock).unwrap();
    let now = Now::of(&clock);
    let until = now.wall.after(Duration::from_secs(600));
    before.deny(1, 600);
    before.denied.deny_access_token(TokenHash::of("a.b.c"), until, now);
    before.denied.deny_sid(SidHash::of("one", "s-1"), until, now);
    before.denied.deny_subject("one", "alice", now.wall, until, now);
    before.denied.begin_session(session(2), "one", "alice", until, now);
    before.journal.written().await;
    drop(before);

    let after = Instance::open(&path, &clock).unwrap();
    assert!(after.refuses(1) && !after.refuses(9));
    assert!(after.denied.is_denied(None, "a.b.c") && after.denied.is_sid_denied(SidHash::of("one", "s-1")));
    let of_alice = |number| after.denied.is_subject_denied("one", "alice", Some(now.wall), Some(session(number)));
    assert!(of_alice(3) && !of_alice(2), "who began behind the denial is not meant");
    assert_eq!(after.rows(), 5, "what came from disk is not told again");
}

#[tokio::test]
async fn what_is_written_when_an_answer_goes_out_survives_without_a_farewell() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let (path, copy) = (directory.path().join("denials"), directory.path().join("copy"));
    let instance = Instance::open(&path, &clock).unwrap();
    instance.deny(1, 600);
    instance.journal.written().await;
    // The file as it is at this moment is all that a killed process leaves.
    fs::create_dir(&copy).unwrap();
    fs::copy(path.join("state.redb"), copy.join("state.redb")).unwrap();
    assert!(Instance::open(&copy, &clock).unwrap().refuses(1));
}

#[tokio::test]
async fn what_has_ended_leaves_the_disk() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::adjustable());
    let instance = Instance::open(directory.path(), &clock).unwrap();
    for number in 0..FEW {
        instance.deny(number, 10);
    }
    instance.journal.written().await;
    assert_eq!(instance.rows(), FEW);
    clock.advance(Duration::from_secs(60));
    instance.deny(FEW, 600);
    instance.journal.written().await;
    assert_eq!(instance.rows(), 1, "one more than were few");
    drop(instance);
    clock.advance(Duration::from_secs(3_600));
    let after = Instance::open(directory.path(), &clock).unwrap();
    assert_eq!(after.rows(), 1, "the clock may be ahead");
    clock.advance(SPARE);
    for number in 0..=FEW {
        after.deny(2 * FEW + number, 10);
    }
    after.journal.written().await;
    assert_eq!(after.rows(), FEW + 1);
}

#[tokio::test]
async fn a_start_with_a_clock_that_is_ahead_forgets_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let before = Instance::open(directory.path(), &Clock::system()).unwrap();
    before.deny(1, 600);
    before.denied.deny_subject(
        "one",
        "alice",
        Timestamp(1),
        Timestamp(Clock::system().now().0 + 600),
        Now::of(&before.clock),
    );
    before.journal.written().await;
    drop(before);
    let ahead = Clock::adjustable();
    ahead.advance(Duration::from_secs(40 * 24 * 3_600));
    let wrong = Instance::open(directory.path(), &ahead).unwrap();
    wrong.deny(2, 600);
    assert!(wrong.refuses(1), "should the clock be set right meanwhile");
    wrong.journal.written().await;
    drop(wrong);
    let after = Instance::open(directory.path(), &Clock::system()).unwrap();
    assert!(after.refuses(1) && after.refuses(2));
    assert!(after.denied.is_subject_denied("one", "alice", Some(Timestamp(1)), None));
}

#[tokio::test]
async fn what_is_denied_while_the_list_is_brought_back_is_written_as_well() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let (denied, tasks) = (Arc::new(Denied::new(CAPACITY)), Tasks::new(Handle::current()));
    let goes_on = std::sync::atomic::AtomicBool::new(true);
    let (journal, last) = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let numbers = (0..4_000).take_while(|number| {
                let now = Now::of(&clock);
                denied.deny_session(session(*number), now.wall.after(Duration::from_secs(600)), now);
                std::thread::sleep(Duration::from_micros(50));
                goes_on.load(std::sync::atomic::Ordering::Relaxed)
            });
            numbers.count() as u64
        });
        let journal = DenialJournal::open(directory.path(), &denied, &clock, &tasks).unwrap();
        goes_on.store(false, std::sync::atomic::Ordering::Relaxed);
        (journal, other.join().unwrap())
    });
    journal.written().await;
    drop((journal, denied));
    let after = Instance::open(directory.path(), &clock).unwrap();
    let forgotten: Vec<_> = (0..last).filter(|number| !after.refuses(*number)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?} of {last}");
}

#[tokio::test]
async fn more_than_can_be_told_one_by_one_are_written_all_the_same() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let instance = Instance::open(directory.path(), &clock).unwrap();
    // More than wait in the channel, before the task has its turn.
    for number in 0..5_000 {
        instance.deny(number, 600);
    }
    instance.journal.written().await;
    drop(instance);
    let after = Instance::open(directory.path(), &clock).unwrap();
    assert!((0..5_000).all(|number| after.refuses(number)));
}

#[tokio::test]
async fn a_disk_that_fails_keeps_no_answer_back_and_what_is_missing_is_written_later() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let instance = Instance::open(directory.path(), &clock).unwrap();
    let (file, aside) = (directory.path().join("state.redb"), directory.path().join("aside"));
    // As redb is after an error of the disk: it wants to be opened anew, which fails while the file is away.
    fs::rename(&file, &aside).unwrap();
    let broken: Result<(), DatabaseError> = instance.journal.database.change(|_| panic!("as redb does"));
    assert!(matches!(broken, Err(DatabaseError::Damaged(..))));
    instance.deny(1, 600);
    instance.journal.written().await;
    assert!(instance.refuses(1), "it holds here");
    fs::rename(&aside, &file).unwrap();
    instance.deny(2, 600);
    instance.journal.written().await;
    drop(instance);
    let after = Instance::open(directory.path(), &clock).unwrap();
    assert!(after.refuses(1) && after.refuses(2));
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_no_empty_one() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let open = |content: &[u8]| {
        fs::write(directory.path().join("state.redb"), content).unwrap();
        Instance::open(directory.path(), &clock).err().unwrap()
    };
    for content in [&b""[..], b"not a database"] {
        let told = open(content).to_string();
        assert!(told.contains("state.redb is damaged") && told.contains("forgets who has signed out"), "{told}");
    }
    let other = directory.path().join("other");
    let instance = Instance::open(&other, &clock).unwrap();
    let odd: Result<u64, DatabaseError> = instance.journal.database.change(|transaction| {
        let mut table = transaction.open_table(DENIALS).map_err(DatabaseError::broken)?;
        table.insert(7, &b"of another version"[..]).map_err(DatabaseError::broken)?;
        Ok(0)
    });
    odd.unwrap();
    let error = Instance::open(&other, &clock).err().unwrap();
    assert!(matches!(error, DatabaseError::InUse(_)), "{error}");
    drop(instance);
    let error = Instance::open(&other, &clock).err().unwrap();
    assert!(matches!(error, DatabaseError::Damaged(..)), "{error}");
}

#[tokio::test]
async fn a_journal_that_everybody_may_change_is_refused() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let path = directory.path().join("denials");
    drop(Instance::open(&path, &clock).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o707)).unwrap();
    let error = Instance::open(&path, &clock).err().unwrap();
    assert!(matches!(&error, DatabaseError::Exposed(_)) && error.is_configuration(), "{error}");
}

/// How long an answer waits for the disk: printed, for a busy machine says nothing about it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_sign_out_together_wait_for_the_disk_together() {
    let (directory, clock) = (tempfile::tempdir().unwrap(), Clock::system());
    let instance = Arc::new(Instance::open(directory.path(), &clock).unwrap());
    let started = clock.instant();
    for number in 0..20 {
        instance.deny(number, 600);
        instance.journal.written().await;
    }
    let alone = clock.instant().duration_since(started) / 20;
    let started = clock.instant();
    let together = (100..300).map(|number| {
        let instance = Arc::clone(&instance);
        tokio::spawn(async move {
            instance.deny(number, 600);
            instance.journal.written().await;
        })
    });
    futures_util::future::join_all(together).await;
    let together = clock.instant().duration_since(started);
    println!("a sign-out alone waits {alone:?} for the disk; 200 at once, {together:?} in all");
    assert_eq!(instance.rows(), 220);
    assert!(instance.denied.all().iter().all(|denial| denial.until > Timestamp(0)));
}
