//! Telling other instances what is denied here, in that order, until the very end of the process.
//!
//! What the server does not take is tried again until it does; whoever has to know waits for that. A process that ends tells what it has denied last before it
//! goes, and how much of that it could not tell.

use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Denial;
use super::shared::{BETWEEN_TRIES, SharedDenials, UNCALLED};
use crate::session::shared::Server;

/// So long a process that ends goes on telling.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is to be told, for as long as anybody shares denials.
pub(super) struct Telling<S> {
    shared: Weak<SharedDenials<S>>,
    news: Receiver<Denial>,
    untold: VecDeque<Denial>,
    asked: mpsc::UnboundedReceiver<Asked>,
    /// Those who wait until all of it is told.
    waiting: Vec<Asked>,
}

/// Who hears that everything is told that was denied before it asked.
pub(super) type Asked = oneshot::Sender<()>;

impl<S: Server> Telling<S> {
    pub(super) const fn new(
        shared: Weak<SharedDenials<S>>,
        news: Receiver<Denial>,
        asked: mpsc::UnboundedReceiver<Asked>,
    ) -> Self {
        Self { shared, news, untold: VecDeque::new(), asked, waiting: Vec::new() }
    }

    pub(super) async fn run(mut self, ends: CancellationToken) {
        let too_late = async {
            ends.cancelled().await;
            sleep(LAST_WORDS).await;
        };
        tokio::pin!(too_late);
        loop {
            tokio::select! {
                goes_on = self.tell_one(&ends) => if !goes_on { return },
                () = &mut too_late => break,
            }
        }
        let denials = self.untold.len().saturating_add(self.news.len());
        tracing::warn!(
            fault = "store",
            denials,
            "the shared store was not told of the last denials: other instances do not refuse what they are about"
        );
    }

    /// Says whether there may be another one. To be given up at any point: what was not told is kept.
    async fn tell_one(&mut self, ends: &CancellationToken) -> bool {
        let Some(denial) = self.next(ends).await else { return false };
        let Some(shared) = self.shared.upgrade() else { return false };
        if denial.until < shared.clock.now() || shared.add(denial).await.is_ok() {
            self.untold.pop_front();
        } else {
            drop(shared);
            sleep(BETWEEN_TRIES).await;
        }
        true
    }

    /// `None` when nobody will deny anything any more.
    async fn next(&mut self, ends: &CancellationToken) -> Option<Denial> {
        while self.untold.is_empty() {
            // What was denied before somebody asked is among the news by then, or told.
            if self.news.is_empty() {
                for asked in self.waiting.drain(..) {
                    // Whoever it was may have had enough of waiting.
                    let _gone = asked.send(());
                }
            }
            tokio::select! {
                biased;
                denied = self.news.recv() => match denied {
                    Ok(denial) => self.untold.push_back(denial),
                    // The server was away for so long that not all of them could wait.
                    Err(RecvError::Lagged(_)) => self.untold.extend(self.shared.upgrade()?.denied.all()),
                    Err(RecvError::Closed) => return None,
                },
                Some(asked) = self.asked.recv() => self.waiting.push(asked),
                () = ends.cancelled() => return None,
                () = sleep(UNCALLED) => {
                    self.shared.upgrade()?;
                }
            }
        }
        self.untold.front().copied()
    }
}
