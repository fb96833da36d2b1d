//! Where the local issuer keeps its keys and refresh tokens: rows of bytes in a few tables, changed in transactions.
//!
//! On disk ([`disk`]) a change is durable when [`Store::change`] returns, or has not happened; in memory it ends with the
//! process. What the rows mean is not known here. All calls block: they are made on threads that may.

mod disk;
mod memory;

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use disk::Disk;
pub use disk::examine;
use memory::Memory;
use serde::{Deserialize, Serialize};

use crate::state::database::DatabaseError;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    /// Signing keys.
    Keys,
    /// Families of refresh tokens by their ids.
    Families,
    /// Refresh tokens by their hashes.
    Tokens,
    /// The hash of each token of a family, by family and generation.
    Generations,
    /// The families by when they end.
    Ends,
    /// The families of a user, by the user's folded name.
    Users,
    /// The last one-time password of a user that counted, by the user's folded name.
    Codes,
}

/// A key and a value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// The rows within a transaction.
pub(super) trait Rows {
    fn find(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError>;
    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError>;
    /// The first rows of a table by their keys, at most so many.
    fn first(&self, table: Table, most: usize) -> Result<Vec<Row>, StoreError>;
}

/// A row that is written as JSON.
pub(super) fn read<T: for<'de> Deserialize<'de>>(
    rows: &dyn Rows,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    let value = rows.find(table, key)?;
    value.map(|value| serde_json::from_slice(&value).map_err(|_| StoreError::Row)).transpose()
}

/// Writes it.
pub(super) fn write<T: Serialize>(rows: &mut dyn Rows, table: Table, key: &[u8], row: &T) -> Result<(), StoreError> {
    let value = serde_json::to_vec(row).map_err(|_| StoreError::Row)?;
    rows.put(table, key, &value)
}

/// What is kept of a secret.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (byte, digest) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *byte = *digest;
    }
    hash
}

/// Why the store cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database on disk: see there.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Something that must be in it is not, or cannot be read. The disk's, or whoever has changed it.
    #[error("a row of the local issuer's state cannot be read")]
    Row,
    /// Work on it was given up: a defect of Usher, or its end.
    #[error("work on the local issuer's state was given up")]
    GivenUp,
}

impl StoreError {
    /// Whether the operator has to mend it before another start can succeed.
    pub(in crate::issuer) const fn is_configuration(&self) -> bool {
        match self {
            Self::Database(error) => error.is_configuration(),
            Self::Row | Self::GivenUp => false,
        }
    }
}

/// The rows, wherever they are.
pub(super) enum Store {
    Memory(Memory),
    Disk(Disk),
}

impl Store {
    pub(super) fn in_memory() -> Self {
        Self::Memory(Memory::default())
    }

    /// The store in this directory. One that is not there is made, and is there only when `begin` has filled it.
    pub(super) fn open(
        directory: &Path,
        begin: impl FnOnce(&mut dyn Rows) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        Disk::open(directory, begin).map(Self::Disk)
    }

    /// Changes the rows, all or none: none when `work` fails.
    pub(super) fn change<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Memory(memory) => memory.change(work),
            Self::Disk(disk) => disk.change(work),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Memory(_) => "Store(memory)",
            Self::Disk(_) => "Store(disk)",
        })
    }
}

#[cfg(test)]
mod tests;
