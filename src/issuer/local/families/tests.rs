use super::*;
use crate::issuer::local::store::Store;
use crate::issuer::local::testing::easy;

const LIFETIME: Duration = Duration::from_secs(1_000);
const GRACE: Duration = Duration::from_secs(60);

fn rows(store: &Store) -> usize {
    let tables = [Table::Families, Table::Tokens, Table::Generations, Table::Ends];
    tables.map(|table| store.change(|rows| rows.first(table, usize::MAX)).unwrap().len()).iter().sum()
}

#[test]
fn what_is_over_is_taken_away_and_with_a_family_everything_of_it() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let begin = |now| store.change(|rows| super::begin(rows, &alice, LIFETIME, Timestamp(now))).unwrap().1;
    let mut token = begin(0);
    for now in 1..100 {
        let exchanged = store.change(|rows| exchange(rows, &token, |_| Some(&alice), GRACE, Timestamp(now)));
        let Exchanged::Successor(_, successor) = exchanged.unwrap() else { panic!() };
        token = successor;
    }
    assert_eq!(rows(&store), 1 + 100 + 100 + 1);
    begin(1_000);
    assert_eq!(rows(&store), 4);
}

#[test]
fn so_many_spent_tokens_of_a_family_are_known_and_no_more() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let (_, first) = store.change(|rows| super::begin(rows, &alice, LIFETIME, Timestamp(0))).unwrap();
    let spend = |token: &RefreshToken, now| {
        store.change(|rows| exchange(rows, token, |_| Some(&alice), GRACE, Timestamp(now))).unwrap()
    };
    let mut token = first.clone();
    for _ in 0..MOST_GENERATIONS + 10 {
        let Exchanged::Successor(_, successor) = spend(&token, 1) else { panic!() };
        token = successor;
    }
    assert_eq!(rows(&store) as u64, 2 + 2 * MOST_GENERATIONS);
    assert!(matches!(spend(&first, 900), Exchanged::Rejected));
    let Exchanged::Successor(..) = spend(&token, 900) else { panic!() };
}

#[test]
fn a_clock_that_was_set_back_revives_nothing_and_ends_nothing() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let (_, token) = store.change(|rows| super::begin(rows, &alice, LIFETIME, Timestamp(5_000))).unwrap();
    let spend = |now| store.change(|rows| exchange(rows, &token, |_| Some(&alice), GRACE, Timestamp(now))).unwrap();
    assert!(matches!(spend(0), Exchanged::Successor(..)));
    assert!(matches!(spend(5_000), Exchanged::Reused(_)));
    assert!(matches!(spend(0), Exchanged::Rejected));
}
