use proptest::prelude::*;

use super::*;

const EJECTION: Ejection = Ejection {
    faults: 3,
    server_errors: Some(2),
    first: Duration::from_secs(3),
    longest: Duration::from_secs(30),
    max_percent: 50,
    slow_start: Duration::from_secs(10),
};

fn well() -> (Clock, Condition) {
    let clock = Clock::stopped();
    (clock.clone(), Condition::new(clock, Arc::default()))
}

impl Condition {
    fn fails(&self, evidence: Evidence) -> Option<Duration> {
        self.failed(self.stage(), evidence, &EJECTION, || true, || 0)
    }

    fn probes(&self) -> Option<u64> {
        self.probe(self.stage(), &EJECTION)
    }

    fn stands(&self) -> Standing {
        self.standing(&EJECTION, 0)
    }
}

#[test]
fn one_refused_connection_is_enough_and_so_are_three_faults_in_a_row() {
    let (_, refuses) = well();
    assert_eq!(refuses.fails(Evidence::NoConnection), Some(EJECTION.first));
    assert_eq!(refuses.stands(), Standing::Out);
    let (_, breaks) = well();
    for _ in 0..2 {
        assert_eq!((breaks.fails(Evidence::Fault), breaks.fails(Evidence::Fault)), (None, None));
        assert!(!breaks.worked(0), "it never was away");
    }
    assert_eq!((breaks.fails(Evidence::Fault), breaks.fails(Evidence::Fault)), (None, None));
    assert_eq!(breaks.fails(Evidence::Fault), Some(EJECTION.first));
}

#[test]
fn answers_of_500_count_only_in_a_row_of_their_own() {
    let (_, condition) = well();
    assert_eq!(condition.fails(Evidence::ServerError), None);
    condition.made_no_error();
    assert_eq!((condition.fails(Evidence::ServerError), condition.fails(Evidence::Fault)), (None, None));
    assert_eq!(condition.fails(Evidence::ServerError), Some(EJECTION.first));
}

#[test]
fn what_may_be_the_requests_fault_ejects_only_while_there_is_room_and_a_refused_connection_always() {
    let (_, condition) = well();
    for _ in 0..10 {
        assert_eq!(condition.failed(0, Evidence::Fault, &EJECTION, || false, || 0), None);
    }
    assert!(condition.failed(0, Evidence::NoConnection, &EJECTION, || false, || 0).is_some());
}

#[test]
fn an_ejection_ends_with_one_probe_and_doubles_when_that_fails() {
    let (clock, condition) = well();
    let mut penalty = condition.fails(Evidence::NoConnection).unwrap();
    for expected in [6, 12, 24, 30, 30] {
        clock.advance(penalty.saturating_sub(Duration::from_millis(1)));
        assert_eq!((condition.stands(), condition.fails(Evidence::NoConnection)), (Standing::Out, None));
        clock.advance(Duration::from_millis(1));
        assert_eq!(condition.stands(), Standing::In);
        assert!(condition.probes().is_some() && condition.probes().is_none(), "one at a time");
        assert_eq!(condition.stands(), Standing::Out);
        penalty = condition.fails(Evidence::Fault).unwrap();
        assert_eq!(penalty, Duration::from_secs(expected));
    }
    clock.advance(penalty);
    assert!(condition.worked(condition.stage()) && !condition.is_out());
    clock.advance(EJECTION.slow_start);
    assert_eq!(condition.fails(Evidence::NoConnection), Some(EJECTION.first), "all is forgotten");
}

#[test]
fn a_probe_that_takes_long_keeps_nobody_waiting() {
    let (clock, condition) = well();
    let penalty = condition.fails(Evidence::NoConnection).unwrap();
    clock.advance(penalty);
    let slow = condition.probes().unwrap();
    clock.advance(EJECTION.longest.saturating_sub(Duration::from_millis(1)));
    assert_eq!((condition.stands(), condition.probes()), (Standing::Out, None));
    clock.advance(Duration::from_millis(1));
    assert_eq!(condition.stands(), Standing::In);
    let next = condition.probes().unwrap();
    condition.probe_is_over(slow);
    assert_eq!((condition.stands(), condition.probes()), (Standing::Out, None), "the next is on its way");
    condition.probe_is_over(next);
    assert_eq!(condition.stands(), Standing::In);
}

#[test]
fn an_address_that_hangs_costs_few_of_those_who_try_it() {
    let (clock, condition) = well();
    condition.fails(Evidence::NoConnection).unwrap();
    let (second, patience, mut hanging, mut tried) = (Duration::from_secs(1), 60, Vec::new(), 0);
    for now in 0..600 {
        if condition.stands() == Standing::In {
            tried += 1;
            hanging.push((now, condition.stage(), condition.probes()));
        }
        clock.advance(second);
        for (_, stage, probe) in hanging.extract_if(.., |(began, ..)| now - *began >= patience) {
            condition.failed(stage, Evidence::Fault, &EJECTION, || true, || 0);
            if let Some(began) = probe {
                condition.probe_is_over(began);
            }
        }
    }
    assert!((5..=30).contains(&tried), "{tried} of 600");
}

#[test]
fn an_answer_of_500_renews_only_an_ejection_that_such_answers_began() {
    let (clock, refuses) = well();
    refuses.fails(Evidence::NoConnection).unwrap();
    clock.advance(EJECTION.first);
    assert!(!refuses.weighs_server_errors(refuses.stage()) && !refuses.anew(true).weighs_server_errors(1));
    assert!(refuses.worked(refuses.stage()) && refuses.weighs_server_errors(refuses.stage()));
    let (_, troubled) = well();
    assert_eq!(troubled.fails(Evidence::ServerError), None);
    troubled.fails(Evidence::ServerError).unwrap();
    assert!(troubled.weighs_server_errors(troubled.stage()) && troubled.anew(true).weighs_server_errors(1));
}

#[test]
fn what_began_before_the_ejection_neither_ends_nor_prolongs_it() {
    let (clock, condition) = well();
    let before = condition.stage();
    condition.fails(Evidence::NoConnection).unwrap();
    assert!(!condition.worked(before) && condition.is_out());
    clock.advance(EJECTION.first);
    assert_eq!(condition.failed(before, Evidence::Fault, &EJECTION, || true, || 0), None);
    assert_eq!(condition.stands(), Standing::In, "its time is up for somebody who tries it now");
}

#[test]
fn an_address_that_returns_gets_more_and_more() {
    let (clock, condition) = well();
    condition.fails(Evidence::NoConnection);
    clock.advance(EJECTION.first);
    assert!(condition.worked(1));
    let share = || (0..SLOWEST).filter(|dice| condition.standing(&EJECTION, *dice) == Standing::In).count();
    assert_eq!(share(), 1);
    clock.advance(EJECTION.slow_start / 2);
    assert_eq!(share(), 9);
    assert!(condition.is_returning(EJECTION.slow_start));
    clock.advance(EJECTION.slow_start / 2);
    assert_eq!(share(), 16);
    assert!(!condition.is_returning(EJECTION.slow_start));
}

#[test]
fn checks_and_ejections_each_keep_it_out() {
    let (clock, condition) = well();
    assert!(condition.checked(false) && !condition.checked(false), "told once");
    assert_eq!(condition.stands(), Standing::Out);
    condition.fails(Evidence::NoConnection);
    assert!(condition.checked(true));
    assert!(condition.is_out() && !condition.is_ill());
    clock.advance(EJECTION.first);
    assert!(condition.worked(1) && !condition.is_out());
}

#[test]
fn another_configuration_knows_what_requests_have_told_and_forgets_checks_that_are_no_more() {
    let (clock, condition) = well();
    condition.checked(false);
    condition.fails(Evidence::NoConnection);
    assert!(condition.anew(true).is_ill());
    let anew = condition.anew(false);
    assert!(!anew.is_ill() && anew.stands() == Standing::Out);
    clock.advance(EJECTION.first);
    assert_eq!(anew.stands(), Standing::In);
    assert_eq!(anew.counts.ejections.total(), 1);
}

#[test]
fn what_keeps_an_address_out_is_known_until_nothing_does_and_since_when_across_reloads() {
    let (clock, condition) = well();
    assert!(!condition.is_tried() && !condition.anew(true).is_tried());
    condition.fails(Evidence::NoConnection);
    condition.note_failure("refused".to_owned());
    let began = clock.now();
    clock.advance(EJECTION.first);
    let condition = condition.anew(true);
    condition.checked(false);
    condition.note_failure("its check was answered 503".to_owned());
    assert!(condition.worked(1) && condition.is_tried());
    let failure = condition.failure().unwrap();
    assert_eq!((failure.since, &*failure.cause), (began, "its check was answered 503"));
    assert!(condition.checked(true));
    assert_eq!((condition.failure(), condition.anew(true).is_tried()), (None, true));

    condition.fails(Evidence::NoConnection);
    condition.note_failure("refused".to_owned());
    assert_eq!(condition.failure().unwrap().since, clock.now(), "another time");
}

#[derive(Clone, Debug)]
enum Event {
    Begins,
    Works(usize),
    Breaks(usize),
    Refused,
    Passes(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => Just(Event::Begins),
        2 => any::<usize>().prop_map(Event::Works),
        2 => any::<usize>().prop_map(Event::Breaks),
        1 => Just(Event::Refused),
        2 => (0..40_000_u64).prop_map(Event::Passes),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    /// Whatever happens in whatever order: no ejection is longer than the longest and its jitter, one that is over lets
    /// somebody in, and once everything works the address is in.
    #[test]
    fn an_address_always_finds_its_way_back(events in events()) {
        let (clock, condition) = well();
        let mut under_way: Vec<(u32, Option<u64>)> = Vec::new();
        let end = |(_, probe): (u32, Option<u64>)| {
            if let Some(began) = probe {
                condition.probe_is_over(began);
            }
        };
        for event in events {
            match event {
                Event::Begins => {
                    let stage = condition.stage();
                    under_way.push((stage, condition.probe(stage, &EJECTION)));
                }
                Event::Works(which) | Event::Breaks(which) if !under_way.is_empty() => {
                    let request = under_way.swap_remove(which % under_way.len());
                    if matches!(event, Event::Works(_)) {
                        condition.worked(request.0);
                    } else if let Some(penalty) = condition.failed(request.0, Evidence::Fault, &EJECTION, || true, || 255) {
                        prop_assert!(penalty >= EJECTION.first && penalty <= EJECTION.longest * 5 / 4);
                        prop_assert_eq!(condition.stands(), Standing::Out);
                    }
                    end(request);
                }
                Event::Works(_) | Event::Breaks(_) => {}
                Event::Refused => drop(condition.fails(Evidence::NoConnection)),
                Event::Passes(millis) => clock.advance(Duration::from_millis(millis)),
            }
        }
        under_way.drain(..).for_each(end);
        clock.advance(EJECTION.longest * 5 / 4);
        prop_assert_ne!(condition.stands(), Standing::Out);
        let stage = condition.stage();
        prop_assert_eq!(condition.probes().is_some(), stage != 0);
        condition.worked(stage);
        clock.advance(EJECTION.slow_start);
        prop_assert_eq!(condition.stands(), Standing::In);
    }
}
