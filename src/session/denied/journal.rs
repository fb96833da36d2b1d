//! Denials on disk, for an instance by itself: what was denied before a restart is refused after it.
//!
//! The rows are the denials as plain data, in the order in which they were told, which makes the same list again. One task
//! writes what has been told since it last wrote, all of it at once and durably: however many sign out together, they wait for
//! the disk once. When there are twice as many rows as at the last time, they are written anew from the list, which has dropped
//! by then what has ended, so the file is bounded as the list is.
//!
//! Nothing is sealed. The names are hashes, but for sessions' own numbers, and a number opens no session: the cookies around it
//! are sealed. A key would do harm: denials of bearer tokens and raw cookies hold whatever the session secret is, and must not be
//! forgotten with it. Whoever may change the file can bring back what was signed out, and no more; it is its owner's alone.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use redb::{ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::{Denial, Denied};
use crate::clock::{Clock, Now, Timestamp};
use crate::state::database::{Content, Database, DatabaseError};
use crate::tasks::Tasks;

const CONTENT: Content = Content { name: "the recorded sign-outs", loss: "forgets who has signed out" };
const DENIALS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("denials");
/// So many rows are never too many.
const FEW: u64 = 1_000;
/// Between two attempts to write what could not be written.
const BETWEEN_TRIES: Duration = Duration::from_secs(5);
/// What has ended is kept for so long after a start, on the list and on disk.
const SPARE: Duration = Duration::from_secs(24 * 3600);
/// An answer waits no longer than that for a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// The denials of this instance, on disk.
pub struct DenialJournal {
    database: Database,
    denied: Arc<Denied>,
    /// Those who wait until what they have told is written.
    waiting: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl DenialJournal {
    /// Whether the one in this directory could be opened, without opening it: see [`Database::examine`].
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub fn examine(directory: &Path) -> Result<(), DatabaseError> {
        Database::examine(directory, CONTENT)
    }

    /// Brings back what was denied before, and keeps what is denied from now on, for as long as anybody has this. Blocks.
    ///
    /// # Errors
    /// [`DatabaseError`]. What cannot be read is never passed over: it would be good again.
    pub fn open(
        directory: &Path,
        denied: &Arc<Denied>,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, DatabaseError> {
        let database = Database::open(directory, CONTENT, |transaction| {
            transaction.open_table(DENIALS).map_err(DatabaseError::broken).map(drop)
        })?;
        let (waiting, asked) = mpsc::unbounded_channel();
        // Before the list is written: what is denied while the disk takes its time is told, if not among that.
        let news = denied.news();
        let journal = Arc::new(Self { database, denied: Arc::clone(denied), waiting });
        let most = journal.restore(Now::of(clock))?;
        tasks.attend(keep(Arc::downgrade(&journal), news, asked, most));
        Ok(journal)
    }

    /// Waits until everything that was told before is on disk. A disk that cannot be written to delays an answer, and does not
    /// keep it back: the session has ended all the same, for as long as this process runs.
    pub async fn written(&self) {
        let (done, is_done) = oneshot::channel();
        if self.waiting.send(done).is_err() || timeout(PATIENCE, is_done).await.is_err() {
            tracing::warn!(fault = "operator", "a sign-out is answered before it is on disk: the disk hangs");
        }
    }

    fn restore(&self, now: Now) -> Result<u64, DatabaseError> {
        let rows = self.database.change(|transaction| {
            let table = transaction.open_table(DENIALS).map_err(DatabaseError::broken)?;
            let mut rows = Vec::new();
            for row in table.iter().map_err(DatabaseError::broken)? {
                let (_, row) = row.map_err(DatabaseError::broken)?;
                rows.push(Denial::from_bytes(row.value()).ok_or_else(|| self.database.damaged())?);
            }
            Ok::<_, DatabaseError>(rows)
        })?;
        for denial in rows {
            // As if it had some time left at least: the clock may be ahead, and right again later.
            let spared = Timestamp(denial.until.0.saturating_sub(SPARE.as_secs()));
            self.denied.apply(denial, Now { wall: now.wall.min(spared), ..now });
        }
        self.rewrite()
    }

    /// Adds these. Says how many rows there are.
    fn append(&self, denials: &[Denial]) -> Result<u64, DatabaseError> {
        self.database.change(|transaction| {
            let mut table = transaction.open_table(DENIALS).map_err(DatabaseError::broken)?;
            let last = table.last().map_err(DatabaseError::broken)?.map(|(number, _)| number.value());
            insert(&mut table, last.map_or(0, |last| last.saturating_add(1)), denials)
        })
    }

    /// Writes the whole list. Says how many rows there may be until that is done again.
    fn rewrite(&self) -> Result<u64, DatabaseError> {
        let denials = self.denied.all();
        let rows = self.database.change(|transaction| {
            transaction.delete_table(DENIALS).map_err(DatabaseError::broken)?;
            insert(&mut transaction.open_table(DENIALS).map_err(DatabaseError::broken)?, 0, &denials)
        })?;
        Ok(rows.saturating_mul(2).max(FEW))
    }
}

fn insert(table: &mut Table<'_, u64, &[u8]>, first: u64, denials: &[Denial]) -> Result<u64, DatabaseError> {
    for (number, denial) in (first..).zip(denials) {
        table.insert(number, &denial.to_bytes()[..]).map_err(DatabaseError::broken)?;
    }
    table.len().map_err(DatabaseError::broken)
}

/// What is to be written next.
#[derive(Default)]
struct Batch {
    denials: Vec<Denial>,
    /// Some are missing, here or on disk.
    whole: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Batch {
    /// Waits for something to do. `None` once nobody has the journal any more.
    async fn next(
        news: &mut Receiver<Denial>,
        asked: &mut mpsc::UnboundedReceiver<oneshot::Sender<()>>,
        whole: bool,
    ) -> Option<Self> {
        let mut batch = Self { whole, ..Self::default() };
        tokio::select! {
            told = news.recv() => match told {
                Ok(denial) => batch.denials.push(denial),
                Err(RecvError::Lagged(_)) => batch.whole = true,
                Err(RecvError::Closed) => return None,
            },
            one = asked.recv() => batch.waiting.push(one?),
            () = sleep(BETWEEN_TRIES), if whole => {}
        }
        while let Ok(one) = asked.try_recv() {
            batch.waiting.push(one);
        }
        // Behind those who wait: what they have told is among it.
        loop {
            match news.try_recv() {
                Ok(denial) => batch.denials.push(denial),
                Err(TryRecvError::Lagged(_)) => batch.whole = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(batch),
            }
        }
    }

    /// Says how many rows there may be from now on.
    fn write(&self, journal: &DenialJournal, most: u64) -> Result<u64, DatabaseError> {
        let fits = !self.whole && (self.denials.is_empty() || journal.append(&self.denials)? <= most);
        if fits { Ok(most) } else { journal.rewrite() }
    }
}

/// Writes what is told, one batch after the other.
async fn keep(
    journal: Weak<DenialJournal>,
    mut news: Receiver<Denial>,
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    mut most: u64,
) {
    let mut behind = false;
    while let Some(batch) = Batch::next(&mut news, &mut asked, behind).await {
        let Some(journal) = journal.upgrade() else { return };
        let written = tokio::task::spawn_blocking(move || {
            let written = batch.write(&journal, most);
            // Before anybody hears of it, so that who goes on finds the file free.
            drop(journal);
            (written, batch.waiting)
        });
        let Ok((written, waiting)) = written.await else { return };
        match written {
            Ok(rows) => {
                most = rows;
                if behind {
                    tracing::info!("sign-outs are on disk again, with those that were missing");
                }
                behind = false;
            }
            Err(error) => {
                if !behind {
                    let cause = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::warn!(
                        fault = "operator", %error, cause,
                        "sign-outs hold until a restart only, for they cannot be kept on disk; it is tried again"
                    );
                }
                behind = true;
            }
        }
        for one in waiting {
            // An error says that whoever asked has left.
            let _ = one.send(());
        }
    }
}

#[cfg(test)]
mod tests;
