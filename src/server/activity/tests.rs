//! What is judged of a connection, with a clock that the test moves.

use std::cell::Cell;

use super::super::testing;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn activity(protocol: Protocol) -> Activity {
    let limits = Limits {
        header_timeout: 10 * SECOND,
        idle_timeout: 60 * SECOND,
        body_timeout: 30 * SECOND,
        connection_age: 3600 * SECOND,
        ..testing::limits()
    };
    Activity::new(protocol, limits, now)
}

thread_local! {
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static START: Instant = Instant::now();
}

fn now() -> Instant {
    START.with(|start| *start) + AHEAD.get()
}

fn pass(time: Duration) -> Instant {
    AHEAD.set(AHEAD.get() + time);
    now()
}

#[test]
fn a_head_that_does_not_end_is_cut_however_steadily_it_comes() {
    let activity = activity(Protocol::Http1);
    for _ in 0..9 {
        activity.received(1);
        let now = pass(SECOND);
        assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
    }
    let now = pass(SECOND);
    assert_eq!(activity.verdict(now), Verdict::Abort(Silence::Head { begun: true }));
}

#[test]
fn between_requests_the_idle_time_out_counts_and_within_a_head_the_shorter_one() {
    let activity = activity(Protocol::Http1);
    activity.received(100);
    activity.request_begins(false);
    activity.request_ends();
    let now = pass(59 * SECOND);
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
    activity.received(1);
    let now = pass(9 * SECOND);
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
    let now = pass(SECOND);
    assert_eq!(activity.verdict(now), Verdict::Abort(Silence::Head { begun: true }));
}

#[test]
fn an_idle_connection_is_retired_and_a_busy_one_is_not() {
    let activity = activity(Protocol::Http2);
    activity.received(24);
    activity.request_begins(false);
    let now = pass(600 * SECOND);
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
    activity.request_ends();
    let now = pass(60 * SECOND);
    assert_eq!(activity.verdict(now), Verdict::Retire);
    activity.retire();
    let now = pass(30 * SECOND);
    assert_eq!(activity.verdict(now), Verdict::Abort(Silence::Closing));
}

#[test]
fn half_an_http_2_preface_is_not_enough() {
    let activity = activity(Protocol::Http2);
    activity.received(23);
    let now = pass(10 * SECOND);
    assert_eq!(activity.verdict(now), Verdict::Abort(Silence::Head { begun: true }));
}

#[test]
fn an_http_2_head_that_does_not_end_is_cut_however_steadily_it_comes() {
    let activity = activity(Protocol::Http2);
    activity.received(24);
    pass(30 * SECOND);
    activity.amid(Block::Begun);
    for _ in 0..9 {
        let now = pass(SECOND);
        activity.amid(Block::Unfinished);
        assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
    }
    let now = pass(SECOND);
    assert!(matches!(activity.verdict(now), Verdict::Abort(Silence::Head { .. })));
    activity.amid(Block::None);
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
}

#[test]
fn a_reader_that_makes_no_progress_is_cut_and_a_slow_one_is_not() {
    let activity = activity(Protocol::Http1);
    activity.request_begins(false);
    activity.blocked();
    activity.wrote(64 * 1024);
    let now = pass(30 * SECOND);
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
    activity.wrote(1024);
    let now = pass(30 * SECOND);
    assert_eq!(activity.verdict(now), Verdict::Abort(Silence::Reading));
    activity.flushed();
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)));
}

#[test]
fn an_old_connection_is_retired_in_the_middle_of_its_requests() {
    let activity = activity(Protocol::Http1);
    activity.request_begins(false);
    let now = pass(3600 * SECOND);
    assert_eq!(activity.verdict(now), Verdict::Retire);
    activity.retire();
    let now = pass(3600 * SECOND);
    assert!(matches!(activity.verdict(now), Verdict::Wait(_)), "the request at hand may take its time");
}
