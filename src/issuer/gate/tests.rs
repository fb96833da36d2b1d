use super::*;
use futures_util::FutureExt;
use std::future::{pending, ready};

fn enter(gate: &Gate, now: Instant) -> Option<Result<Pass<'_>, TurnedAway>> {
    gate.enter(pending(), || now).now_or_never()
}

fn fail(gate: &Gate, times: u32, now: Instant) {
    for _ in 0..times {
        enter(gate, now).unwrap().unwrap().issuer_failed(now);
    }
}

#[test]
fn only_so_many_are_under_way_and_who_leaves_makes_room() {
    let (gate, now) = (Gate::new(), Instant::now());
    let mut inside: Vec<_> = (0..PLACES).map(|_| enter(&gate, now).unwrap().unwrap()).collect();
    assert!(enter(&gate, now).is_none());
    inside.pop();
    assert!(enter(&gate, now).unwrap().is_ok());
}

#[test]
fn waiting_for_a_place_is_bounded() {
    let (gate, now) = (Gate::new(), Instant::now());
    let _inside: Vec<_> = (0..PLACES).map(|_| enter(&gate, now).unwrap().unwrap()).collect();
    let turned_away = gate.enter(ready(()), || now).now_or_never().unwrap();
    assert_eq!(turned_away.err(), Some(TurnedAway(BETWEEN_TRIES)));
}

#[test]
fn an_issuer_that_keeps_failing_is_tried_by_one_at_a_time_and_once_a_second() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    assert!(enter(&gate, now).unwrap().is_err());
    let later = now + BETWEEN_TRIES;
    let trial = enter(&gate, later).unwrap().unwrap();
    assert!(enter(&gate, later + BETWEEN_TRIES).unwrap().is_err());
    trial.issuer_failed(later + BETWEEN_TRIES);
    assert!(enter(&gate, later + BETWEEN_TRIES).unwrap().is_err());
    assert!(enter(&gate, later + 2 * BETWEEN_TRIES).unwrap().is_ok());
}

#[test]
fn the_longer_it_is_down_the_later_those_turned_away_come_and_not_together() {
    let (gate, went_down) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, went_down);
    let told_after = |down_for: u64| -> Vec<Duration> {
        let now = went_down + Duration::from_secs(down_for);
        if let Ok(trial) = enter(&gate, now).unwrap() {
            trial.issuer_failed(now);
        }
        (0..1_000).map(|_| gate.turns_away(now).unwrap().0).collect()
    };
    assert!(told_after(8).iter().all(|told| *told == BETWEEN_TRIES));
    for (down_for, longest) in [(80, 10), (240, 30), (600, 30), (86_400, 30)] {
        let (longest, mut told) = (Duration::from_secs(longest), told_after(down_for));
        told.sort_unstable();
        assert!(told[0] >= longest / 2 && told[999] <= longest, "{:?} {:?}", told[0], told[999]);
        // A hundredth of the time is a hundredth of them.
        let in_one_part = |part: u32| {
            let from = longest / 2 + longest / 200 * part;
            told.iter().filter(|told| (from..from + longest / 200).contains(*told)).count()
        };
        assert!((0..100).all(|part| (5..=15).contains(&in_one_part(part))));
    }
    let back = went_down + Duration::from_secs(90_000);
    enter(&gate, back).unwrap().unwrap().issuer_answered(back);
    assert_eq!(gate.turns_away(went_down), None);
}

/// As many as get in.
fn fill(gate: &Gate, now: Instant) -> Vec<Pass<'_>> {
    std::iter::from_fn(|| enter(gate, now)).map(Result::unwrap).collect()
}

#[test]
fn after_one_success_each_answer_makes_room_for_one_more_until_all_go_through_again() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    let back = now + BETWEEN_TRIES;
    enter(&gate, back).unwrap().unwrap().issuer_answered(back);
    for room in [2, 4, 8, 16, 32, 32] {
        let inside = fill(&gate, back);
        assert_eq!(inside.len(), room);
        for pass in inside {
            pass.issuer_answered(back + SLOWER_BY);
        }
    }
}

#[test]
fn an_issuer_that_is_slower_with_more_requests_is_asked_by_fewer() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    let back = now + BETWEEN_TRIES;
    enter(&gate, back).unwrap().unwrap().issuer_answered(back + Duration::from_secs(1));
    for (room, took) in [(2, 3), (4, 3), (8, 4), (1, 4), (1, 3), (2, 3)] {
        let inside = fill(&gate, back);
        assert_eq!(inside.len(), room);
        for pass in inside {
            pass.issuer_answered(back + Duration::from_secs(took));
        }
    }
}

#[test]
fn a_first_answer_that_hung_makes_no_other_quick() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    let back = now + BETWEEN_TRIES;
    enter(&gate, back).unwrap().unwrap().issuer_answered(back + Duration::from_secs(9));
    for pass in fill(&gate, back) {
        pass.issuer_answered(back + Duration::from_secs(4));
    }
    assert_eq!(fill(&gate, back).len(), 1);
}

#[test]
fn an_issuer_that_was_quick_once_and_never_again_is_asked_by_all_after_a_while() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    let back = now + BETWEEN_TRIES;
    enter(&gate, back).unwrap().unwrap().issuer_answered(back);
    let (slow, long_after) = (2 * SLOWER_BY, back + LONGEST_RETURN);
    for (asked, room) in
        [(back, 2), (back + slow, 1), (long_after, 1), (long_after + slow, PLACES), (long_after + 2 * slow, PLACES)]
    {
        let inside = fill(&gate, asked);
        assert_eq!(inside.len(), room);
        for pass in inside {
            pass.issuer_answered(asked + slow);
        }
    }
}

#[test]
fn a_retry_that_is_answered_at_once_is_quick_however_long_the_first_request_hung() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    let (asked, again) = (now + BETWEEN_TRIES, now + Duration::from_secs(11));
    let mut trial = enter(&gate, asked).unwrap().unwrap();
    trial.asks_again(again);
    trial.issuer_answered(again);
    let inside = fill(&gate, again);
    assert_eq!(inside.len(), 2);
    for pass in inside {
        pass.issuer_answered(again + 2 * SLOWER_BY);
    }
    assert_eq!(fill(&gate, again).len(), 1);
}

#[test]
fn an_issuer_that_is_down_again_at_once_makes_nobody_queue() {
    let (gate, now) = (Gate::new(), Instant::now());
    for down in 0..3 {
        let now = now + Duration::from_secs(100 * down);
        fail(&gate, OPENS_AFTER, now);
        let back = now + BETWEEN_TRIES;
        let trial = enter(&gate, back).unwrap().unwrap();
        assert!((0..100).all(|_| enter(&gate, back).unwrap().is_err()));
        drop(trial);
        enter(&gate, back).unwrap().unwrap().issuer_answered(back);
        assert_eq!(fill(&gate, back).len(), 2);
    }
}

#[test]
fn a_trial_that_vanishes_does_not_keep_the_gate_shut() {
    let (gate, now) = (Gate::new(), Instant::now());
    fail(&gate, OPENS_AFTER, now);
    for _ in 0..3 {
        drop(enter(&gate, now + BETWEEN_TRIES).unwrap().unwrap());
    }
    enter(&gate, now + BETWEEN_TRIES).unwrap().unwrap().issuer_failed(now + BETWEEN_TRIES);
    assert!(enter(&gate, now + BETWEEN_TRIES).unwrap().is_err());
}

#[test]
fn scattered_failures_do_not_open_the_circuit() {
    let (gate, now) = (Gate::new(), Instant::now());
    for _ in 0..10 {
        fail(&gate, OPENS_AFTER - 1, now);
        enter(&gate, now).unwrap().unwrap().issuer_answered(now);
    }
}
