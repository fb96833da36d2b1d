//! What is worth a line of the log once in a while, and not each time that somebody meets it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

/// It is said once per this many seconds.
const INTERVAL: u64 = 60;

/// When it was last said.
#[derive(Debug)]
pub(super) struct News {
    /// As a [`crate::clock::Timestamp`]; 0: never.
    said: AtomicU64,
    clock: Clock,
}

impl News {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { said: AtomicU64::new(0), clock }
    }

    /// Whether it is time to say it again. Notes that it is said then.
    pub(super) fn is_news(&self) -> bool {
        let (now, last) = (self.clock.now().0, self.said.load(Ordering::Relaxed));
        let is_news = now.abs_diff(last) >= INTERVAL;
        if is_news {
            self.said.store(now, Ordering::Relaxed);
        }
        is_news
    }

    /// Whether it was said, and is not over.
    pub(super) fn is_going_on(&self) -> bool {
        self.said.load(Ordering::Relaxed) != 0
    }

    /// Forgets that it was said, and says whether it was.
    pub(super) fn is_over(&self) -> bool {
        self.is_going_on() && self.said.swap(0, Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_is_news_once_a_minute_and_again_when_it_was_over() {
        let clock = Clock::stopped();
        let news = News::new(clock.clone());
        assert!(!news.is_over());
        assert_eq!([news.is_news(), news.is_news()], [true, false]);
        clock.advance(Duration::from_secs(59));
        assert!(!news.is_news());
        clock.advance(Duration::from_secs(1));
        assert_eq!([news.is_news(), news.is_news()], [true, false]);
        assert_eq!([news.is_over(), news.is_over(), news.is_news()], [true, false, true]);
    }
}
