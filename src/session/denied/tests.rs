//! The list of denials.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::*;

const LATER: Timestamp = Timestamp(2_000);

/// Both clocks at so many seconds.
fn at(seconds: u64) -> Now {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Now { instant: *START + Duration::from_secs(seconds), wall: Timestamp(seconds) }
}

fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

#[test]
fn a_denied_session_and_a_denied_token_are_refused_and_others_are_not() {
    let denied = Denied::new(10);
    denied.deny_session(session(1), LATER, at(1_000));
    denied.deny_access_token(TokenHash::of("stolen"), LATER, at(1_000));
    assert!(denied.is_denied(Some(session(1)), "any"));
    assert!(denied.is_denied(None, "stolen"));
    assert!(denied.is_denied(Some(session(2)), "stolen"));
    assert!(!denied.is_denied(Some(session(2)), "any"));
    assert!(!denied.is_denied(None, ""));
}

#[test]
fn a_denied_token_is_denied_with_every_signature() {
    let denied = Denied::new(10);
    denied.deny_access_token(TokenHash::of("e30.claims.one"), LATER, at(0));
    assert!(denied.is_denied(None, "e30.claims.another"));
    assert!(!denied.is_denied(None, "e30.other.one"));
}

#[test]
fn the_epoch_moves_with_every_denial_and_not_otherwise() {
    let denied = Denied::new(10);
    let before = denied.epoch();
    assert!(!denied.is_denied(Some(session(1)), "any"));
    assert_eq!(denied.epoch(), before);
    denied.deny_session(session(1), LATER, at(1_000));
    assert_ne!(denied.epoch(), before);
}

#[test]
fn a_denied_subject_is_refused_with_what_it_was_given_before_and_at_no_other_issuer() {
    let denied = Denied::new(10);
    let issued = |seconds| Some(Timestamp(seconds));
    let is_denied = |issuer, subject, issued_at| denied.is_subject_denied(issuer, subject, issued_at, None);
    assert!(!is_denied("one", "alice", issued(900)));
    denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
    assert!(is_denied("one", "alice", issued(1_000)));
    assert!(is_denied("one", "alice", None));
    assert!(!is_denied("one", "alice", issued(1_001)));
    assert!(!is_denied("one", "bob", issued(900)));
    assert!(!is_denied("onea", "lice", issued(900)));
    denied.deny_subject("one", "bob", Timestamp(2_500), Timestamp(9_000), at(2_500));
    assert!(!is_denied("one", "alice", issued(900)), "its tokens have expired");
    assert!(is_denied("one", "bob", issued(2_500)));
}

#[test]
fn a_session_that_begins_after_the_denial_of_its_subject_is_not_meant_and_the_next_denial_means_it() {
    let denied = Denied::new(10);
    let subject = |number| denied.is_subject_denied("one", "alice", Some(Timestamp(1_000)), Some(session(number)));
    let nameless = |number| denied.is_nameless_denied("one", "alice", Timestamp(1_000), session(number));
    let begin = |number| denied.begin_session(session(number), "one", "alice", LATER, at(1_000));
    let deny = || denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
    begin(1);
    deny();
    assert!(subject(1));
    begin(2);
    assert!(subject(1) && !subject(2), "in the same second");
    denied.deny_nameless("one", "alice", Timestamp(1_500), LATER, at(1_500));
    assert!(nameless(2) && !subject(2));
    begin(3);
    assert!(!nameless(3), "though the clock was set back");
    deny();
    assert!(subject(1) && subject(2) && subject(3));
}

#[test]
fn a_session_is_denied_by_the_name_that_its_own_issuer_has_for_it() {
    let denied = Denied::new(10);
    denied.deny_sid(SidHash::of("one", "s-1"), LATER, at(1_000));
    assert!(denied.is_sid_denied(SidHash::of("one", "s-1")));
    for other in [SidHash::of("one", "s-2"), SidHash::of("two", "s-1"), SidHash::of("ones", "-1")] {
        assert!(!denied.is_sid_denied(other));
    }
    denied.deny_nameless("one", "alice", Timestamp(1_000), LATER, at(1_000));
    assert!(denied.is_nameless_denied("one", "alice", Timestamp(1_000), session(1)));
    assert!(!denied.is_nameless_denied("one", "alice", Timestamp(1_001), session(1)));
    assert!(!denied.is_subject_denied("one", "alice", None, None), "what has a name is not meant");
}

#[test]
fn a_logout_token_counts_once_for_as_long_as_it_could() {
    let denied = Denied::new(10);
    let comes = |issuer, jti, seconds| denied.use_logout_token(issuer, jti, LATER, at(seconds));
    assert!(comes("one", "j", 1_000));
    assert!(!comes("one", "j", 1_500));
    assert!(comes("two", "j", 1_500));
    assert!(comes("one", "k", 1_500));
}

#[test]
fn every_denial_is_told_to_those_who_wait() {
    let denied = Denied::new(10);
    let mut changes = denied.changes();
    assert!(!changes.has_changed().unwrap());
    denied.deny_session(session(1), LATER, at(1_000));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    denied.deny_sid(SidHash::of("one", "s"), LATER, at(1_000));
    assert!(changes.has_changed().unwrap());
}

#[test]
fn entries_go_when_what_they_name_has_ended() {
    let denied = Denied::new(10);
    denied.deny_session(session(1), LATER, at(1_000));
    denied.deny_session(session(2), Timestamp(9_000), at(2_001));
    assert!(!denied.is_denied(Some(session(1)), "any"));
    assert!(denied.is_denied(Some(session(2)), "any"));
}

#[test]
fn a_wall_clock_that_jumps_ahead_and_back_makes_nothing_forgotten() {
    let denied = Denied::new(10);
    denied.deny_session(session(1), LATER, at(1_000));
    let ahead = Now { wall: Timestamp(1_000_000), ..at(1_010) };
    denied.deny_session(session(2), Timestamp(2_000_000), ahead);
    assert!(denied.is_denied(Some(session(1)), "any"));
    denied.deny_session(session(3), Timestamp(2_000_000), at(2_001));
    assert!(!denied.is_denied(Some(session(1)), "any"));
}

#[test]
fn a_later_end_replaces_an_earlier_one_and_never_the_other_way_round() {
    let denied = Denied::new(10);
    denied.deny_session(session(1), LATER, at(1_000));
    denied.deny_session(session(1), Timestamp(1_500), at(1_000));
    denied.deny_session(session(2), LATER, at(1_600));
    assert!(denied.is_denied(Some(session(1)), "any"));
}

#[test]
fn what_is_denied_once_more_is_told_once_and_for_longer_once_more() {
    let denied = Denied::new(10);
    let (mut news, epoch) = (denied.news(), denied.epoch());
    let mut told = || std::iter::from_fn(|| news.try_recv().ok()).count();
    for round in 0..5 {
        let now = at(1_000 + round);
        denied.deny_session(session(1), LATER, now);
        denied.deny_access_token(TokenHash::of("stolen"), LATER, now);
        denied.deny_sid(SidHash::of("one", "s-1"), LATER, now);
    }
    assert_eq!(told(), 3);
    assert_eq!(denied.epoch(), epoch + 3, "nobody has to look again");
    denied.deny_session(session(1), Timestamp(2_001), at(1_010));
    denied.apply(Denial { what: What::Session(session(2)), until: LATER }, at(1_010));
    denied.deny_session(session(2), LATER, at(1_010));
    assert_eq!(told(), 1, "what another instance has told is known as well");
    for _ in 0..2 {
        denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
    }
    assert_eq!(told(), 2, "those who have begun in between are meant");
}

#[test]
fn a_full_list_drops_what_would_have_ended_first() {
    let denied = Denied::new(2);
    denied.deny_session(session(1), Timestamp(3_000), at(1_000));
    denied.deny_session(session(2), Timestamp(2_000), at(1_000));
    denied.deny_session(session(3), Timestamp(4_000), at(1_000));
    let remaining = [1, 2, 3].map(|number| denied.is_denied(Some(session(number)), "any"));
    assert_eq!(remaining, [true, false, true]);
}

#[test]
fn a_list_that_is_made_of_all_that_is_on_another_says_the_same() {
    let denied = Denied::new(10);
    let mut news = denied.news();
    denied.deny_session(session(1), LATER, at(1_000));
    denied.deny_access_token(TokenHash::of("stolen"), LATER, at(1_000));
    denied.deny_sid(SidHash::of("one", "s-1"), LATER, at(1_000));
    let deny = || denied.deny_subject("one", "alice", Timestamp(1_000), LATER, at(1_000));
    deny();
    denied.begin_session(session(2), "one", "alice", LATER, at(1_000));
    deny();
    denied.begin_session(session(3), "one", "alice", LATER, at(1_000));
    denied.deny_nameless("one", "bob", Timestamp(1_000), LATER, at(1_000));

    let told: Vec<_> = std::iter::from_fn(|| news.try_recv().ok()).collect();
    assert_eq!(told.len(), 8);
    for denials in [denied.all(), told] {
        let other = Denied::new(10);
        let mut echo = other.news();
        for denial in denials {
            other.apply(denial, at(1_001));
        }
        assert!(echo.try_recv().is_err(), "what was brought in is not told again");
        assert!(other.is_denied(Some(session(1)), "any") && other.is_denied(None, "stolen"));
        assert!(other.is_sid_denied(SidHash::of("one", "s-1")));
        let of_alice = |number| other.is_subject_denied("one", "alice", Some(Timestamp(1_000)), Some(session(number)));
        assert_eq!([2, 3, 4].map(of_alice), [true, false, true]);
        assert!(other.is_nameless_denied("one", "bob", Timestamp(1_000), session(5)));
    }
}

#[test]
fn a_hundred_thousand_subjects_are_taken_over_at_once() {
    let denied = Denied::new(20_000);
    let started = Instant::now();
    for number in 0..100_000_u64 {
        let name = SubjectHash::of("one", &number.to_string());
        let what = What::Subject { name, issued_until: Timestamp(1_000) };
        denied.apply(Denial { what, until: LATER.after(Duration::from_secs(number)) }, at(1_000));
        denied
            .apply(Denial { what: What::Begun(SessionId(u128::from(number).to_be_bytes())), until: LATER }, at(1_000));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    let is_denied = |number: u64| denied.is_subject_denied("one", &number.to_string(), Some(Timestamp(1_000)), None);
    assert!(is_denied(99_999) && is_denied(80_000) && !is_denied(79_999));
}
