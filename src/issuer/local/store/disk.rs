//! Rows on disk, in a database of the local issuer's own.

use std::path::Path;

use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Row, Rows, StoreError, Table};
use crate::state::database::{Content, Database, DatabaseError};

/// Whoever may change them makes tokens, and whoever may read them can do so as well.
const CONTENT: Content = Content { name: "the keys of the local issuer", loss: "signs everybody out" };

/// Whether the keys and refresh tokens of a local issuer could be opened, without opening them: see [`Database::examine`].
///
/// # Errors
/// [`DatabaseError`]
pub fn examine(directory: &Path) -> Result<(), DatabaseError> {
    Database::examine(directory, CONTENT)
}

/// The file.
pub(in crate::issuer::local) struct Disk(Database);

impl Disk {
    /// See [`super::Store::open`].
    pub(super) fn open(
        directory: &Path,
        begin: impl FnOnce(&mut dyn Rows) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        Database::open(directory, CONTENT, |transaction| begin(&mut Transaction(transaction))).map(Self)
    }

    pub(super) fn change<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
    ) -> Result<T, E> {
        let changed = self.0.change(|transaction| work(&mut Transaction(transaction)).map_err(Failure::Work));
        changed.map_err(|failure| match failure {
            Failure::Database(error) => StoreError::from(error).into(),
            Failure::Work(error) => error,
        })
    }
}

/// Why a change was not made.
enum Failure<E> {
    Database(DatabaseError),
    Work(E),
}

impl<E> From<DatabaseError> for Failure<E> {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

fn broken(error: impl Into<redb::Error>) -> StoreError {
    DatabaseError::broken(error).into()
}

struct Transaction<'a>(&'a WriteTransaction);

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(match table {
        Table::Keys => "keys",
        Table::Families => "families",
        Table::Tokens => "tokens",
        Table::Generations => "generations",
        Table::Ends => "ends",
        Table::Users => "users",
        Table::Codes => "codes",
    })
}

impl Rows for Transaction<'_> {
    fn find(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.0.open_table(definition(table)).map_err(broken)?;
        let found = table.get(key).map_err(broken)?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut table = self.0.open_table(definition(table)).map_err(broken)?;
        table.insert(key, value).map_err(broken)?;
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        let mut table = self.0.open_table(definition(table)).map_err(broken)?;
        table.remove(key).map_err(broken)?;
        Ok(())
    }

    fn first(&self, table: Table, most: usize) -> Result<Vec<Row>, StoreError> {
        let table = self.0.open_table(definition(table)).map_err(broken)?;
        let mut rows = Vec::new();
        for row in table.iter().map_err(broken)?.take(most) {
            let (key, value) = row.map_err(broken)?;
            rows.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(rows)
    }
}
