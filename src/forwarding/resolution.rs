//! Where the name of an address leads. The system is asked whenever somebody connects, by one for everybody.
//!
//! It asks its name servers for longer than anybody waits for a connection, on a thread that nothing can end. So one question is
//! underway at a time, however many connect meanwhile; it goes on when they have given up, and its answer counts whenever it
//! comes. Until then the last one does: a name server that fails for a while, or is silent, takes nothing down that is known.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::forwarding::error::ConnectError;

/// A question that has been underway for so many times as long as anybody has patience may hang for ever: it is asked again.
const HANGS: u32 = 20;

/// What is known of one name. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolution(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What it led to last.
    known: Vec<SocketAddr>,
    /// What the system has been asked and has not answered.
    question: Option<Question>,
}

#[derive(Clone, Debug)]
struct Question {
    asked_at: Instant,
    answer: watch::Receiver<Option<Answer>>,
}

type Answer = Result<Vec<SocketAddr>, Arc<io::Error>>;

impl Resolution {
    /// Where the name leads. Where that is known, the system is waited for until `patience` after it was asked; nobody asks it
    /// by this `lookup` while it is.
    pub(super) async fn find<A: Iterator<Item = SocketAddr>>(
        &self,
        lookup: impl Future<Output = io::Result<A>> + Send + 'static,
        patience: Duration,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let (known, Question { asked_at, mut answer }) = self.ask(lookup, patience);
        let answered = async { answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone()) };
        let answer = match known.as_slice() {
            [] => answered.await,
            _ => timeout_at(asked_at + patience, answered).await.ok().flatten(),
        };
        match answer {
            Some(Ok(found)) => Ok(found),
            _ if !known.is_empty() => Ok(known),
            Some(Err(cause)) => Err(ConnectError::Resolve(cause)),
            None => Err(ConnectError::Lost),
        }
    }

    fn ask<A: Iterator<Item = SocketAddr>>(
        &self,
        lookup: impl Future<Output = io::Result<A>> + Send + 'static,
        patience: Duration,
    ) -> (Vec<SocketAddr>, Question) {
        let mut state = self.state();
        let known = state.known.clone();
        let is_underway = |question: &&Question| {
            question.answer.has_changed().is_ok() && question.asked_at.elapsed() < patience.saturating_mul(HANGS)
        };
        if let Some(question) = state.question.as_ref().filter(is_underway) {
            return (known, question.clone());
        }
        let (sender, answer) = watch::channel(None);
        let question = Question { asked_at: Instant::now(), answer };
        state.question = Some(question.clone());
        let resolution = self.clone();
        drop(tokio::spawn(async move {
            let found = lookup.await.map(Vec::from_iter).map_err(Arc::new);
            sender.send_replace(Some(resolution.answered(found)));
        }));
        (known, question)
    }

    fn answered(&self, found: Answer) -> Answer {
        let found = found.and_then(|found| match found.as_slice() {
            [] => Err(Arc::new(io::ErrorKind::NotFound.into())),
            _ => Ok(found),
        });
        let mut state = self.state();
        if let Ok(found) = &found {
            state.known.clone_from(found);
        }
        state.question = None;
        found
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, join, join_all};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    type Found = io::Result<std::array::IntoIter<SocketAddr, 1>>;

    const SHORT: Duration = Duration::from_millis(20);

    fn places() -> [SocketAddr; 2] {
        [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 80)))
    }

    #[tokio::test]
    async fn a_name_server_that_fails_or_is_silent_takes_nothing_down_that_is_known() {
        let ([one, two], resolution) = (places(), Resolution::default());
        let failure = || Found::Err(io::ErrorKind::NotFound.into());
        let find = |found: Found| resolution.find(ready(found), SHORT);
        assert!(matches!(find(failure()).await, Err(ConnectError::Resolve(_))));
        assert_eq!(find(Ok([one].into_iter())).await.unwrap(), [one]);
        assert_eq!(find(failure()).await.unwrap(), [one]);
        assert_eq!(find(Ok([two].into_iter())).await.unwrap(), [two]);
        let silent = timeout(50 * SHORT, resolution.find(pending::<Found>(), SHORT)).await;
        assert_eq!(silent.expect("it is known").unwrap(), [two]);
    }

    #[tokio::test]
    async fn the_system_is_asked_once_for_all_and_what_it_answers_late_counts() {
        let ([one, two], resolution) = (places(), Resolution::default());
        let asked = Arc::new(AtomicUsize::new(0));
        for place in [one, two] {
            let (answer, found) = oneshot::channel::<Found>();
            let count = || {
                let asked = Arc::clone(&asked);
                async move { asked.fetch_add(1, Ordering::Relaxed) }
            };
            let ask = |lookup: BoxFuture<'static, Found>| resolution.find(count().then(|_| lookup), SHORT);
            let first = ask(Box::pin(async { found.await.unwrap() }));
            let others = join_all((0..100).map(|_| ask(Box::pin(pending()))));
            // Nobody waits any longer.
            let outcome = timeout(10 * SHORT, join(first, others)).await;
            assert_eq!(outcome.is_ok(), place == two, "what is known already is waited for no longer than that");
            answer.send(Ok([place].into_iter())).unwrap();
            // Whether this one asks or the answer is still on its way.
            let next = resolution.find(ready(Found::Err(io::ErrorKind::NotFound.into())), 50 * SHORT);
            assert_eq!(next.await.unwrap(), [place]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_question_that_hangs_is_asked_again() {
        let ([place, _], resolution) = (places(), Resolution::default());
        assert!(timeout(SHORT, resolution.find(pending::<Found>(), SHORT)).await.is_err());
        let again = async {
            loop {
                let asked = resolution.find(ready(Found::Ok([place].into_iter())), SHORT);
                if let Ok(found) = timeout(SHORT, asked).await {
                    return found.unwrap();
                }
            }
        };
        assert_eq!(timeout(10 * HANGS * SHORT, again).await.unwrap(), [place]);
    }
}
