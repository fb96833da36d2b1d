//! Which families there are, known without asking the disk: whoever verifies an access token must not wait for it.
//!
//! The rows of the store say the same. In between there is one difference: a family that had to end and whose end the disk
//! did not take is dead here, and then nobody finds its rows any more either, until the process ends.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use super::families::Family;
use super::store::{Row, Rows, Store, StoreError, Table};

/// The ids of the families.
#[derive(Debug, Default)]
pub(super) struct Living(RwLock<HashSet<u128>>);

impl Living {
    /// Whether there is a family of this id, which is the `sid` of its tokens.
    pub(super) fn contains(&self, id: &str) -> bool {
        number(id.as_bytes()).is_some_and(|id| self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&id))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes in a family that the store has.
    pub(super) fn add(&self, family: &Family) {
        number(family.id.as_bytes()).map(|id| self.set(id, true));
    }

    /// Forgets a family, whatever the store has.
    pub(super) fn forget(&self, family: &Family) {
        number(family.id.as_bytes()).map(|id| self.set(id, false));
    }

    /// Changes rows of the store, all or none, and what is known here with them.
    pub(super) fn change<T, E: From<StoreError>>(
        &self,
        store: &Store,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut changed = Vec::new();
        let outcome = store.change(|rows| work(&mut Watched { rows, living: self, changed: &mut changed }));
        if outcome.is_err() {
            for (id, lived) in changed.into_iter().rev() {
                self.set(id, lived);
            }
        }
        outcome
    }

    /// Whether it lived before.
    fn set(&self, id: u128, lives: bool) -> bool {
        let mut ids = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if lives { !ids.insert(id) } else { ids.remove(&id) }
    }
}

/// Rows of which those of families are noted when they come and go.
struct Watched<'r> {
    rows: &'r mut dyn Rows,
    living: &'r Living,
    /// Which families have come or gone, and whether they lived before.
    changed: &'r mut Vec<(u128, bool)>,
}

impl Watched<'_> {
    fn note(&mut self, table: Table, key: &[u8], lives: bool) {
        if let Some(id) = number(key).filter(|_| table == Table::Families) {
            let before = self.living.set(id, lives);
            if before != lives {
                self.changed.push((id, before));
            }
        }
    }
}

impl Rows for Watched<'_> {
    fn find(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let is_dead =
            || number(key).is_none_or(|id| !self.living.0.read().unwrap_or_else(PoisonError::into_inner).contains(&id));
        if table == Table::Families && is_dead() { Ok(None) } else { self.rows.find(table, key) }
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.note(table, key, true);
        self.rows.put(table, key, value)
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.note(table, key, false);
        self.rows.remove(table, key)
    }

    fn first(&self, table: Table, most: usize) -> Result<Vec<Row>, StoreError> {
        self.rows.first(table, most)
    }
}

/// An id is 128 bits in hexadecimal.
fn number(id: &[u8]) -> Option<u128> {
    u128::from_str_radix(std::str::from_utf8(id).ok()?, 16).ok()
}
