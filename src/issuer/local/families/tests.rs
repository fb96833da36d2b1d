use super::*;
use crate::issuer::local::store::Store;
use crate::issuer::local::testing::easy;

const LIFETIME: Duration = Duration::from_secs(1_000);
const GRACE: Duration = Duration::from_secs(60);

fn rows(store: &Store) -> usize {
    let tables = [Table::Families, Table::Tokens, Table::Generations, Table::Ends, Table::Users];
    tables.map(|table| store.change(|rows| rows.first(table, usize::MAX)).unwrap().len()).iter().sum()
}

#[test]
fn what_is_over_is_taken_away_and_with_a_family_everything_of_it() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let begin =
        |now| store.change(|rows| super::begin(rows, (&alice, Factors::Password), LIFETIME, Timestamp(now))).unwrap().1;
    let mut token = begin(0);
    for now in 1..100 {
        let exchanged = store.change(|rows| exchange(rows, &token, |_| Some(&alice), GRACE, Timestamp(now)));
        let Exchanged::Successor(_, successor) = exchanged.unwrap() else { panic!() };
        token = successor;
    }
    assert_eq!(rows(&store), 1 + 100 + 100 + 1 + 1);
    begin(1_000);
    assert_eq!(rows(&store), 5);
}

#[test]
fn so_many_spent_tokens_of_a_family_are_known_and_no_more() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let (_, first) =
        store.change(|rows| super::begin(rows, (&alice, Factors::Password), LIFETIME, Timestamp(0))).unwrap();
    let spend = |token: &RefreshToken, now| {
        store.change(|rows| exchange(rows, token, |_| Some(&alice), GRACE, Timestamp(now))).unwrap()
    };
    let mut token = first.clone();
    for _ in 0..MOST_GENERATIONS + 10 {
        let Exchanged::Successor(_, successor) = spend(&token, 1) else { panic!() };
        token = successor;
    }
    assert_eq!(rows(&store) as u64, 3 + 2 * MOST_GENERATIONS);
    assert!(matches!(spend(&first, 900), Exchanged::Rejected));
    let Exchanged::Successor(..) = spend(&token, 900) else { panic!() };
}

#[test]
fn a_clock_that_was_set_back_revives_nothing_and_ends_nothing() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let (_, token) =
        store.change(|rows| super::begin(rows, (&alice, Factors::Password), LIFETIME, Timestamp(5_000))).unwrap();
    let spend = |now| store.change(|rows| exchange(rows, &token, |_| Some(&alice), GRACE, Timestamp(now))).unwrap();
    assert!(matches!(spend(0), Exchanged::Successor(..)));
    assert!(matches!(spend(5_000), Exchanged::Reused));
    assert!(matches!(spend(0), Exchanged::Rejected));
}

#[test]
fn a_user_has_so_many_families_and_none_may_go_on_without_the_user() {
    let (store, alice, bob) = (Store::in_memory(), easy("alice"), easy("bob"));
    let begin =
        |user| store.change(|rows| super::begin(rows, (user, Factors::Password), LIFETIME, Timestamp(0))).unwrap().1;
    let others = begin(&bob);
    let tokens: Vec<_> = (0..=MOST_FAMILIES).map(|_| begin(&alice)).collect();
    let is_good = |token: &RefreshToken, user| {
        let exchanged = store.change(|rows| exchange(rows, token, |_| Some(user), GRACE, Timestamp(1)));
        matches!(exchanged.unwrap(), Exchanged::Successor(..))
    };
    assert!(!is_good(&tokens[0], &alice), "the oldest has gone");
    assert!(is_good(&tokens[1], &alice) && is_good(&tokens[MOST_FAMILIES], &alice));
    let without_alice = Users::new([bob.clone()]);
    let end_fallen = |rows: &mut dyn Rows| {
        let mut fallen = all(rows)?;
        fallen.retain(|family| !family.may_go_on(&without_alice, Timestamp(1)));
        fallen.iter().try_for_each(|family| end(rows, family))
    };
    store.change(end_fallen).unwrap();
    assert!(tokens.iter().all(|token| !is_good(token, &alice)));
    assert!(is_good(&others, &bob));
    assert_eq!(rows(&store), 1 + 2 + 2 + 1 + 1);
}

#[test]
fn a_family_that_began_before_factors_were_kept_goes_on_without_them() {
    let (store, alice) = (Store::in_memory(), easy("alice"));
    let begin = |rows: &mut dyn Rows| super::begin(rows, (&alice, Factors::Password), LIFETIME, Timestamp(0));
    let (family, token) = store.change(begin).unwrap();
    let age = |rows: &mut dyn Rows| {
        let mut row: serde_json::Value = read(rows, Table::Families, family.id.as_bytes())?.unwrap();
        assert_eq!(row.as_object_mut().unwrap().remove("factors").unwrap(), "password");
        write(rows, Table::Families, family.id.as_bytes(), &row)
    };
    store.change(age).unwrap();
    let exchanged = store.change(|rows| exchange(rows, &token, |_| Some(&alice), GRACE, Timestamp(1))).unwrap();
    let Exchanged::Successor(successor, _) = exchanged else { panic!() };
    let claims =
        crate::issuer::local::tokens::claims(("i", &[]), &alice, &successor, Timestamp(9), Timestamp(1)).unwrap();
    assert_eq!(claims["auth_time"], 0);
    assert!(!claims.contains_key("acr") && !claims.contains_key("amr"), "{claims:?}");
}
