use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Rows, Store, StoreError, Table};
use crate::state::database::DatabaseError;

fn begin(rows: &mut dyn Rows) -> Result<(), StoreError> {
    rows.put(Table::Keys, b"first", b"key")
}

fn open(directory: &Path) -> Result<Store, StoreError> {
    Store::open(directory, begin)
}

fn both(directory: &Path) -> [Store; 2] {
    [Store::in_memory(), open(directory).unwrap()]
}

#[test]
fn a_change_happens_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    for store in both(directory.path()) {
        let put = |value: &'static [u8], outcome: Result<(), StoreError>| {
            store.change(|rows| {
                rows.put(Table::Tokens, b"a", value)?;
                rows.remove(Table::Tokens, b"b")?;
                rows.put(Table::Ends, b"c", value)?;
                outcome
            })
        };
        store.change(|rows| rows.put(Table::Tokens, b"b", b"kept")).unwrap();
        put(b"1", Err(StoreError::Row)).unwrap_err();
        let rows = |table| store.change(|rows| rows.first(table, 10)).unwrap();
        assert_eq!((rows(Table::Tokens), rows(Table::Ends)), (vec![(b"b".to_vec(), b"kept".to_vec())], vec![]));
        put(b"2", Ok(())).unwrap();
        assert_eq!(rows(Table::Tokens), [(b"a".to_vec(), b"2".to_vec())]);
        assert_eq!(store.change(|rows| rows.find(Table::Ends, b"c")).unwrap().as_deref(), Some(&b"2"[..]));
    }
}

#[test]
fn the_first_rows_are_those_of_one_table_in_the_order_of_their_keys() {
    let directory = tempfile::tempdir().unwrap();
    for store in both(directory.path()) {
        store
            .change(|rows| [[2], [0], [1]].iter().try_for_each(|key| rows.put(Table::Ends, key, &[])))
            .and_then(|()| store.change(|rows| rows.put(Table::Users, &[0], &[])))
            .unwrap();
        let first = store.change(|rows| rows.first(Table::Ends, 2)).unwrap();
        assert_eq!(first, [(vec![0], vec![]), (vec![1], vec![])]);
    }
}

#[test]
fn a_directory_is_for_its_owner_and_for_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/state");
    let store = open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("state.redb"))), (0o700, 0o600));
    assert!(matches!(open(&path), Err(StoreError::Database(DatabaseError::InUse(_)))));
    drop(store);
    open(&path).unwrap();
}

fn is_exposed(error: &StoreError, path: &Path) -> bool {
    matches!(error, StoreError::Database(DatabaseError::Exposed(exposed)) if exposed == path)
}

#[test]
fn keys_that_everybody_may_change_are_refused_and_those_of_a_group_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("state"), directory.path().join("state/state.redb"));
    drop(open(&path).unwrap());
    for (of, mode, is_taken) in
        [(&file, 0o640, true), (&file, 0o602, false), (&path, 0o750, true), (&path, 0o707, false)]
    {
        let before = fs::metadata(of).unwrap().permissions();
        fs::set_permissions(of, fs::Permissions::from_mode(mode)).unwrap();
        match open(&path) {
            Ok(_) => assert!(is_taken, "{mode:o}"),
            Err(error) => {
                assert!(!is_taken && is_exposed(&error, of), "{error}");
            }
        }
        fs::set_permissions(of, before).unwrap();
    }
}

#[test]
fn what_is_damaged_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    for content in [&b""[..], b"not a store", &[0; 10_000]] {
        fs::write(&path, content).unwrap();
        let error = open(directory.path()).err().unwrap();
        assert!(matches!(error, StoreError::Database(DatabaseError::Damaged(..))), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_file_that_was_cut_anywhere_is_damaged_and_makes_nothing_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let fill = |rows: &mut dyn Rows| {
        (0..2_000_u32).try_for_each(|number| rows.put(Table::Tokens, &number.to_be_bytes(), &[7; 500]))
    };
    open(directory.path()).unwrap().change(fill).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut damaged = 0;
    for part in 1..64 {
        let cut = &whole[..whole.len() * part / 64];
        fs::write(&path, cut).unwrap();
        let read = |store: Store| store.change(|rows| rows.first(Table::Tokens, usize::MAX)).map(|rows| rows.len());
        match open(directory.path()).and_then(read) {
            Err(StoreError::Database(DatabaseError::Damaged(of, ..))) => {
                assert_eq!(of, path);
                assert_eq!(fs::read(&path).unwrap(), cut, "{part}: it is left as it is");
                damaged += 1;
            }
            Err(StoreError::Database(DatabaseError::Broken(_))) | Ok(2_000) => {}
            other => panic!("{part}: {other:?}"),
        }
    }
    assert!(damaged > 0);
}

#[test]
fn a_panic_in_the_midst_of_a_change_is_an_error_and_the_next_change_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let put = |rows: &mut dyn Rows| rows.put(Table::Tokens, b"a", b"1");
    let panicked: Result<(), StoreError> = store.change(|rows| {
        put(rows)?;
        panic!("as redb does where the file is not what it was")
    });
    assert!(matches!(panicked, Err(StoreError::Database(DatabaseError::Damaged(..)))), "{panicked:?}");
    assert_eq!(store.change(|rows| rows.find(Table::Tokens, b"a")).unwrap(), None);
    store.change(put).unwrap();
}

#[test]
fn what_was_never_finished_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("state.redb.tmp"), "half").unwrap();
    let failed = Store::open(directory.path(), |_| Err(StoreError::Row));
    assert!(matches!(failed, Err(StoreError::Row)) && !directory.path().join("state.redb").exists());
    let store = open(directory.path()).unwrap();
    assert_eq!(store.change(|rows| rows.find(Table::Keys, b"first")).unwrap().as_deref(), Some(&b"key"[..]));
}
