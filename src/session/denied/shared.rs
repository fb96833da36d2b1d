//! Denials on a server that several instances share: what one of them denies, all of them refuse, and one that starts later
//! as well.
//!
//! They stand in one list there, sealed, the newest at its end. Whoever denies something here adds it and tells the others,
//! who then read on from where they were, or from the beginning where that is gone. What is denied here holds here at
//! once, and gets its place among the others when it comes back. While the server is away, it waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::taken::Taken;
use super::telling::{Asked, Telling};
use super::{Denial, Denied};
use crate::clock::{Clock, Now};
use crate::session::shared::{Away, Connection, Listed, Server};
use crate::session::{NoRandomness, SealError, Sealer};
use crate::tasks::Tasks;

const PURPOSE: &str = "denial";
/// How the entries of one instance are told from those of others: by so many bytes of chance.
const ORIGIN: usize = 8;
/// Between two attempts to add what the server did not take.
pub(super) const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// The list is looked at so often although nobody has said that there is more.
pub(super) const UNCALLED: Duration = Duration::from_secs(5);
/// Entries that are read at once.
const PAGE: usize = 500;
/// Those who begin to read the list anew spread over so long.
const SPREAD: Duration = Duration::from_secs(1);
/// By how much the clocks of instances may differ at least.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// The denials of all instances.
pub struct SharedDenials<S = Connection> {
    server: S,
    list: String,
    channel: String,
    sealer: ArcSwap<Sealer>,
    pub(super) denied: Arc<Denied>,
    pub(super) clock: Clock,
    origin: [u8; ORIGIN],
    /// How many there may be, and for how long the last one stays at least.
    bounds: (usize, Duration),
    more: Arc<More>,
    /// Where those ask who wait until what they have denied is told, once anybody tells it.
    telling: OnceLock<mpsc::UnboundedSender<Asked>>,
    /// What came of reading the list for the first time, once that is known.
    first: watch::Sender<Option<Result<(), Away>>>,
}

/// What has been heard of the list.
#[derive(Default)]
struct More {
    called: Notify,
    /// It is to be read from its beginning.
    again: AtomicBool,
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
        bounds: (usize, Duration),
        clock: Clock,
    ) -> Result<Arc<Self>, NoRandomness> {
        let mut origin = [0; ORIGIN];
        rand::fill(&mut origin).map_err(|_| NoRandomness)?;
        let (list, channel) = (format!("{prefix}:denials"), format!("{prefix}:denied"));
        let more = Arc::new(More::default());
        let hears = Arc::clone(&more);
        // A message says that there is more, and a gap that there may be.
        server.listen(&channel, Box::new(move |_| hears.called.notify_one()));
        denied.share();
        let sealer = ArcSwap::from_pointee(sealer);
        Ok(Arc::new(Self {
            server,
            list,
            channel,
            sealer,
            denied,
            clock,
            origin,
            bounds,
            more,
            telling: OnceLock::new(),
            first: watch::Sender::new(None),
        }))
    }

    /// Tells and follows from now on, for as long as anybody has this.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        // From this moment on, not from when the task has its turn.
        let (ask, asked) = mpsc::unbounded_channel();
        let telling = Telling::new(Arc::downgrade(self), self.denied.news(), asked);
        let _first = self.telling.set(ask);
        tasks.conclude(|ends| telling.run(ends));
        tasks.attend(follow(Arc::downgrade(self)));
    }

    /// Other secrets: the configuration has changed. What could not be read under the last ones is read again, for the
    /// sessions that it is about can be read from now on.
    pub fn set_sealer(&self, sealer: Sealer) {
        self.sealer.store(Arc::new(sealer));
        self.more.again.store(true, Ordering::Release);
        self.more.called.notify_one();
    }

    /// Waits until all that others have denied is known here, so that nobody is let in by a start.
    ///
    /// # Errors
    /// [`Away`]: the server is, or it takes longer than `patience`. It becomes known once the server is back.
    pub async fn caught_up(&self, patience: Duration) -> Result<(), Away> {
        let mut first = self.first.subscribe();
        let known = timeout(patience, first.wait_for(Option::is_some)).await;
        known.ok().and_then(Result::ok).and_then(|known| *known).unwrap_or(Err(Away))
    }

    /// Waits until all that was denied here before is told: whatever becomes of this process, it holds.
    ///
    /// # Errors
    /// [`Away`]: the server is, or it takes longer than `patience`. It is told once the server is back, unless this process ends
    /// before.
    pub async fn told(&self, patience: Duration) -> Result<(), Away> {
        if self.server.is_away() {
            return Err(Away);
        }
        let (tell, told) = oneshot::channel();
        self.telling.get().and_then(|telling| telling.send(tell).ok()).ok_or(Away)?;
        timeout(patience, told).await.ok().and_then(Result::ok).ok_or(Away)
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
        // A token may be good for longer than any session.
        let left = denial.until.since(self.clock.now()).saturating_add(CLOCKS_DIFFER);
        let (most, lasts) = self.bounds;
        self.server.append(&self.list, &entry, (most, lasts.max(left)), &self.channel).await
    }

    fn seal(&self, denial: Denial) -> Result<String, SealError> {
        self.sealer.load().seal(PURPOSE, &[&self.origin[..], &denial.to_bytes()].concat())
    }

    /// Reads on from `place` to the end of the list.
    async fn read_on(&self, place: &mut String, taken: &mut Taken) -> Result<(), Away> {
        loop {
            if self.more.again.swap(false, Ordering::AcqRel) {
                place.clear();
            }
            let page = self.server.page(&self.list, place, PAGE).await?;
            let is_last = page.len() < PAGE;
            let mut page = page.into_iter().peekable();
            if !place.is_empty() && page.next_if(|first| first.place == *place).is_none() {
                // What was read is there no more: the server has forgotten it, or is another one. What it has been told since
                // may stand at any place, before this one too, should its clock have been set back.
                place.clear();
                self.let_others_go_first().await;
                continue;
            }
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

    /// All instances notice at the same time that they have to read everything.
    async fn let_others_go_first(&self) {
        let mut chance = [0; 2];
        // Without randomness, they do so at once.
        let chance = rand::fill(&mut chance).map_or(0, |()| u16::from_be_bytes(chance));
        sleep(SPREAD.mul_f64(f64::from(chance) / f64::from(u16::MAX))).await;
    }

    /// What this version cannot read, or was sealed under another secret, is passed over: the sessions that it is about
    /// cannot be read either. Says whether it could be read.
    fn take(&self, entry: &str) -> bool {
        let Ok(bytes) = self.sealer.load().open(PURPOSE, entry) else { return false };
        if let Some((origin, denial)) = bytes.split_first_chunk()
            && let Some(denial) = Denial::from_bytes(denial)
        {
            if *origin == self.origin {
                self.denied.place(&denial);
            } else {
                self.denied.apply(denial, Now::of(&self.clock));
            }
        }
        true
    }
}

/// Takes over what the others deny.
async fn follow<S: Server>(shared: Weak<SharedDenials<S>>) {
    let mut place = String::new();
    let Some(mut taken) = shared.upgrade().map(|shared| Taken::new(shared.bounds.0)) else { return };
    loop {
        let Some(following) = shared.upgrade() else { return };
        let more = Arc::clone(&following.more);
        let read = following.read_on(&mut place, &mut taken).await;
        if read.is_err() {
            // Where it was: a call comes with the connection.
            tracing::debug!("the denials of other instances cannot be read at the moment");
        }
        // While the connection is still being made, nobody knows.
        if read.is_ok() || following.server.is_away() {
            following.first.send_if_modified(|first| first.replace(read).is_none());
        }
        drop(following);
        let pause = if read.is_ok() { UNCALLED } else { BETWEEN_TRIES };
        let _called = timeout(pause, more.called.notified()).await;
    }
}

#[cfg(test)]
mod tests;
