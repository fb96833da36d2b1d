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

/// How long nothing is ordered after this one was issued. If it is due already, the clock of this machine is ahead, or the
/// authority issues what is nearly over: neither may come to one order after the other.
pub(super) fn rest(issued: &Issued, due_already: bool) -> Duration {
    let life = issued.ends.since(issued.begins);
    // What lives for seconds only, as in trials, is not to end before its successor is ordered.
    let least = if due_already { LEAST } else { LEAST.min(life / 3) };
    least.max(life / 20)
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
    fn between_two_orders_is_a_twentieth_of_a_life_and_an_hour_unless_that_is_too_long_for_one_that_is_in_order() {
        let rest = |life, due_already| {
            let (begins, ends) = (Timestamp(100 * DAY), Timestamp(100 * DAY + life));
            rest(&Issued { begins, ends, leaf: Vec::new().into() }, due_already).as_secs()
        };
        for due_already in [true, false] {
            assert_eq!(rest(90 * DAY, due_already), 9 * DAY / 2);
            assert_eq!(rest(6 * 60 * 60, due_already), 60 * 60);
        }
        assert_eq!((rest(24, true), rest(24, false)), (60 * 60, 8));
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
