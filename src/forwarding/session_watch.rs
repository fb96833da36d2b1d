//! Whether the session is over that a body belongs to, asked where a body goes on for longer than most do.
//!
//! Who may have an answer, or send a request, was looked at when it began. Most bodies end at once, and pay for nothing: a
//! short one of known length has no watch, and another one begins to be watched when it has to wait for the first time, or has
//! brought more than a few pieces. From then on a denial wakes it, however silent it is.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::SizeHint;

/// Bytes. What is known to be no longer than that is sent at once, and not worth watching.
const SHORT: u64 = 64 * 1024;
/// So many pieces may come without a wait before the session is looked at.
const PIECES: u8 = 4;

/// A body's watch over its session.
pub(super) struct SessionWatch {
    /// Ready when the session is over. It does nothing before it is polled.
    over: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    pieces: u8,
    is_over: bool,
}

impl SessionWatch {
    /// A watch for a body of that length, if it is worth one.
    pub(super) fn over<F>(length: &SizeHint, session_end: impl FnOnce() -> F) -> Option<Self>
    where
        F: Future<Output = ()> + Send + Sync + 'static,
    {
        let is_short = length.upper().is_some_and(|upper| upper <= SHORT);
        (!is_short).then(|| Self { over: Box::pin(session_end()), pieces: 0, is_over: false })
    }

    const fn has_begun(&self) -> bool {
        self.pieces >= PIECES
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.is_over = self.is_over || self.over.as_mut().poll(context).is_ready();
        if self.is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Polls a body's next piece. `None` once the session is over.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        next: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Option<T>> {
        let had_begun = self.has_begun();
        if had_begun && self.poll_over(context).is_ready() {
            return Poll::Ready(None);
        }
        match next(context) {
            Poll::Ready(piece) => {
                self.pieces = self.pieces.saturating_add(1);
                Poll::Ready(Some(piece))
            }
            Poll::Pending if had_begun => Poll::Pending,
            Poll::Pending => {
                self.pieces = PIECES;
                self.poll_over(context).map(|()| None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

    use super::*;

    /// A watch that counts how often it is polled, and is over at once if `over`.
    fn watch(over: bool) -> (SessionWatch, Arc<AtomicUsize>) {
        let polled = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&polled);
        let end = move || {
            std::future::poll_fn(move |_| {
                counts.fetch_add(1, Ordering::Relaxed);
                if over { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        (SessionWatch::over(&SizeHint::new(), end).unwrap(), polled)
    }

    #[test]
    fn short_bodies_are_not_watched() {
        for (length, is_watched) in [(0, false), (SHORT, false), (SHORT + 1, true)] {
            let watch = SessionWatch::over(&SizeHint::with_exact(length), std::future::pending);
            assert_eq!(watch.is_some(), is_watched, "{length}");
        }
        assert!(SessionWatch::over(&SizeHint::new(), std::future::pending).is_some(), "of unknown length");
    }

    #[test]
    fn nobody_asks_until_a_body_waits_or_has_brought_some_pieces() {
        let (mut asked, polled) = watch(false);
        let context = &mut Context::from_waker(Waker::noop());
        for _ in 0..PIECES {
            assert_eq!(asked.poll(context, |_| Poll::Ready(1)), Poll::Ready(Some(1)));
        }
        assert_eq!(polled.load(Ordering::Relaxed), 0);
        assert_eq!(asked.poll(context, |_| Poll::Ready(1)), Poll::Ready(Some(1)));
        assert_eq!(polled.load(Ordering::Relaxed), 1);

        let (mut waits, polled) = watch(false);
        for times in 1..4 {
            assert_eq!(waits.poll(context, |_| Poll::<u8>::Pending), Poll::Pending);
            assert_eq!(polled.load(Ordering::Relaxed), times, "once with each poll");
        }
    }

    #[test]
    fn a_session_that_is_over_ends_a_body_that_waits_and_one_that_never_does() {
        let context = &mut Context::from_waker(Waker::noop());
        let (mut waits, _) = watch(true);
        assert_eq!(waits.poll(context, |_| Poll::<u8>::Pending), Poll::Ready(None));
        let (mut busy, _) = watch(true);
        let pieces = (0..100).take_while(|_| busy.poll(context, |_| Poll::Ready(1)) == Poll::Ready(Some(1))).count();
        assert_eq!(pieces, usize::from(PIECES));
    }
}
