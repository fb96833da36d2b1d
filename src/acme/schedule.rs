//! When a certificate is due, and how long to wait after a failure.

use std::time::Duration;

use super::kept::Issued;
use crate::clock::Timestamp;

/// Between one certificate and the next for the same name.
const LEAST: Duration = Duration::from_secs(60 * 60);

/// With a third of its life left, and up to a twentieth earlier, so that certificates which were issued together are not
/// renewed together. `chance` is random.
pub(super) fn due(issued: &Issued, chance: u32) -> Timestamp {
    let life = issued.ends.since(issued.begins);
    let before_end = life / 3 + Duration::from_secs_f64((life / 20).as_secs_f64() * share(chance));
    Timestamp(issued.ends.0.saturating_sub(before_end.as_secs()))
}

/// When one that was issued at `now` is due in truth, and whether it was due already: then the clock of this machine is ahead, or
/// the authority issues what is nearly over. Neither may come to one order after the other.
pub(super) fn no_sooner(issued: Option<&Issued>, due: Timestamp, now: Timestamp) -> (Timestamp, bool) {
    let life = issued.map(|issued| issued.ends.since(issued.begins)).unwrap_or_default();
    let at_once = due <= now;
    // What lives for seconds only, as in trials, is not to end before its successor is ordered.
    let least = if at_once { LEAST } else { LEAST.min(life / 3) };
    (due.max(now.after(least.max(life / 20))), at_once)
}

/// How long to wait after so many failures in a row: the first of the two after one, then twice as long each time up to the
/// second, with up to a fifth more, but never less than the authority asked for.
pub(super) fn back_off(
    (first, longest): (Duration, Duration),
    failures: u32,
    asked: Option<Duration>,
    chance: u32,
) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest);
    let wait = doubled.mul_f64(1.0 + share(chance) / 5.0);
    wait.max(asked.unwrap_or_default())
}

/// From 0 to 1.
fn share(chance: u32) -> f64 {
    f64::from(chance) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    #[test]
    fn a_certificate_is_due_with_a_third_of_its_life_left_or_a_little_earlier() {
        let leaf = CertificateDer::from(Vec::new());
        let issued = Issued { begins: Timestamp(100 * DAY), ends: Timestamp(190 * DAY), leaf };
        assert_eq!(due(&issued, 0), Timestamp(160 * DAY));
        let earliest = due(&issued, u32::MAX);
        assert_eq!(earliest, Timestamp(160 * DAY - 9 * DAY / 2));
    }

    #[test]
    fn after_one_that_is_due_already_the_next_is_ordered_an_hour_later_or_a_twentieth_of_its_life() {
        let lasting =
            |begins, ends| Issued { begins: Timestamp(begins), ends: Timestamp(ends), leaf: Vec::new().into() };
        let now = Timestamp(100 * DAY);
        let due_after = |issued: &Issued, now, chance| no_sooner(Some(issued), due(issued, chance), now);
        let ninety = lasting(30 * DAY, 120 * DAY);
        assert_eq!(due_after(&ninety, now, 0), (Timestamp(100 * DAY + 9 * DAY / 2), true), "its last third has begun");
        let short = lasting(100 * DAY - 20, 100 * DAY + 4);
        assert_eq!(due_after(&short, now, 0), (Timestamp(100 * DAY + 3600), true));
        // In order.
        assert_eq!(due_after(&lasting(100 * DAY, 190 * DAY), now, 0), (Timestamp(160 * DAY), false));
        assert_eq!(due_after(&lasting(100 * DAY, 100 * DAY + 24), now, 0), (Timestamp(100 * DAY + 16), false));
        // It is due in a second, with each that is issued.
        let backdated = lasting(40 * DAY + 1, 130 * DAY + 1);
        assert_eq!(due_after(&backdated, now, 0), (Timestamp(100 * DAY + 9 * DAY / 2), false));
    }

    #[test]
    fn waits_double_up_to_the_longest_and_never_undercut_what_was_asked_for() {
        let (first, longest) = (Duration::from_secs(300), Duration::from_secs(3000));
        let wait = |failures, asked| back_off((first, longest), failures, asked, 0);
        assert_eq!([wait(1, None), wait(2, None), wait(3, None)], [first, first * 2, first * 4]);
        assert_eq!(wait(400, None), longest);
        assert_eq!(back_off((first, longest), 1, None, u32::MAX), Duration::from_secs(360));
        assert_eq!(wait(1, Some(Duration::from_secs(3600))), Duration::from_secs(3600));
        assert_eq!(wait(2, Some(Duration::from_secs(1))), first * 2);
    }
}
