//! The provider is away for ten minutes, and comes back to everybody at once.
//!
//! The protocol, the gates and the records are those of the product, over the simulated server of the tests; what is made up
//! is time, the provider and the browsers. `USHER_TEST_LONG=1` asks for a million sessions and prints the figures of
//! `examples/fleet/regions.md`. What is *not* simulated is the sockets, and how long a store takes to answer.

mod crowd;
mod day;
mod provider;
mod time;

use std::time::Duration;

use day::{Day, Evening};
use provider::Trouble;

/// What the provider asks for with `Retry-After`: as long as that, the sessions whose tokens it was tried with stay away.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Ten thousand sessions of which one in ten is in use, and a provider that needs a minute for as many token requests.
const SHORT: Day = Day {
    sessions: 10_000,
    one_in_use: 10,
    instances: 4,
    capacity: 20,
    trouble: Trouble::Busy(RETRY_AFTER),
    naive: false,
    after: Duration::from_secs(200),
};

const LONG: Day = Day { sessions: 1_000_000, one_in_use: 50, capacity: 500, ..SHORT };

fn day() -> Day {
    if std::env::var_os("USHER_TEST_LONG").is_some_and(|value| value == "1") { LONG } else { SHORT }
}

fn in_use(day: &Day) -> u32 {
    day.sessions / day.one_in_use
}

/// Whoever comes in those ten minutes: the pages in use, and those that wake up.
fn came(day: &Day) -> u32 {
    in_use(day) + day.sessions / 12
}

/// Nobody is lost, the provider is not run over, and nobody waits much longer than it needs.
fn assert_went_well(day: &Day, evening: &Evening) {
    assert_eq!((evening.lost, evening.reuses, evening.locked_out), (0, 0, 0), "{evening:?}");
    assert!(evening.most_inside <= 32, "the places of a gate: {evening:?}");
    // An answer is waited for ten seconds. Of instances that find it back one after the other, the first may have all places
    // by then, and the others begin.
    assert!(evening.slowest < Duration::from_secs(8), "it is not asked for more than it can do: {evening:?}");
    // While it is away, each instance tries once a second, and once more what got no answer.
    assert!(evening.probes <= f64::from(2 * day.instances), "{evening:?}");
    let least = Duration::from_secs((in_use(day) / day.capacity).into());
    assert!(evening.refused_after <= 12 * came(day), "{evening:?}");
    assert!(evening.everybody_after <= 2 * least + RETRY_AFTER + Duration::from_secs(45), "{least:?}: {evening:?}");
}

#[test]
fn a_provider_that_was_away_is_not_run_over_and_nobody_is_lost() {
    let day = day();
    let evening = day.pass();
    assert_went_well(&day, &evening);
    // Nobody came much more often than a page in use does.
    assert!(evening.refused_while_away < 20 * came(&day), "{evening:?}");
    // And each time costs the store a look: what is written is about the tries, and a few times about each who came.
    let (tries, came) = (10 * day.instances * 600, 5 * came(&day));
    assert!(evening.written_while_away < (tries + came) as usize, "{evening:?}");
}

#[test]
fn it_is_the_same_with_one_that_refuses_connections_and_one_that_hangs() {
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        let day = Day { sessions: 4_000, capacity: 10, trouble, ..SHORT };
        assert_went_well(&day, &day.pass());
    }
}

/// What all of this is for.
#[test]
fn a_token_request_for_every_request_runs_it_over_and_people_are_signed_out() {
    let day = Day { naive: true, ..day() };
    let evening = day.pass();
    assert!(evening.lost > 0 && evening.slowest > Duration::from_secs(10), "{evening:?}");
}
