//! Rows in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Row, Rows, StoreError, Table};

/// The rows. A change that fails leaves them as they were.
#[derive(Default)]
pub(in crate::issuer::local) struct Memory {
    rows: Mutex<Changes>,
    /// For tests of what happens when nothing can be written: changes fail when they are to be kept.
    #[cfg(test)]
    pub(in crate::issuer::local) is_full: std::sync::atomic::AtomicBool,
}

type Key = (Table, Vec<u8>);

/// The rows, and what the ones that are being changed were.
#[derive(Default)]
struct Changes {
    rows: BTreeMap<Key, Vec<u8>>,
    before: Vec<(Key, Option<Vec<u8>>)>,
}

impl Memory {
    pub(super) fn change<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut changes = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        changes.before.clear();
        let outcome = work(&mut *changes);
        #[cfg(test)]
        let outcome = match outcome {
            Ok(_) if self.is_full.load(std::sync::atomic::Ordering::Relaxed) => Err(StoreError::GivenUp.into()),
            outcome => outcome,
        };
        if outcome.is_err() {
            let Changes { rows, before } = &mut *changes;
            for (key, value) in before.drain(..).rev() {
                match value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
        }
        outcome
    }
}

impl Rows for Changes {
    fn find(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let key = (table, key.to_vec());
        let before = self.rows.insert(key.clone(), value.to_vec());
        self.before.push((key, before));
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let key = (table, key.to_vec());
        let before = self.rows.remove(&key);
        self.before.push((key, before));
        Ok(())
    }

    fn first(&self, table: Table, most: usize) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows.range((table, Vec::new())..).take_while(|((of, _), _)| *of == table).take(most);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
}
