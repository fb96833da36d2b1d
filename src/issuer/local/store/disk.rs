//! Rows on disk: one file of redb, which survives a crash at any moment. One process at a time has it.
//!
//! What redb finds where no crash can have put it, such as the end of a file that was cut, it panics about. That is an error
//! here: the file is damaged, and stays as it is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::{Builder, Database, DatabaseError, ReadableTable as _, TableDefinition, WriteTransaction};

use super::{Row, Rows, StoreError, Table};

const FILE: &str = "state.redb";
const UNFINISHED: &str = "state.redb.tmp";
/// Bytes. The rows are few and small.
const CACHE: usize = 8 << 20;

/// The file.
pub(in crate::issuer::local) struct Disk {
    path: PathBuf,
    /// `None` after an error of the disk, after which redb wants to be opened anew.
    database: Mutex<Option<Database>>,
}

impl Disk {
    /// See [`super::Store::open`]: made under another name first, so that an empty file is never taken for a new one.
    pub(super) fn open(
        directory: &Path,
        begin: impl FnOnce(&mut dyn Rows) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let make = |source| StoreError::Make(path.clone(), source);
        if !path.try_exists().map_err(make)? {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(make)?;
            let unfinished = directory.join(UNFINISHED);
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(make(error)),
                _ => {}
            }
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished);
            let database = opened(&path, file.map_err(make)?)?;
            change(database.begin_write().map_err(broken)?, begin)?;
            drop(database);
            fs::rename(&unfinished, &path).and_then(|()| File::open(directory)?.sync_all()).map_err(make)?;
        }
        refuse_exposed(directory)?;
        refuse_exposed(&path)?;
        let database = existing(&path)?;
        Ok(Self { path, database: Mutex::new(Some(database)) })
    }

    pub(super) fn change<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let open = database.take();
        let (outcome, open) = or_damaged(&self.path, || {
            // After an error of the disk nothing begins any more until the file is opened anew.
            let begun = open.and_then(|open| Some((open.begin_write().ok()?, open)));
            let (transaction, open) = if let Some(begun) = begun {
                begun
            } else {
                let open = existing(&self.path)?;
                (open.begin_write().map_err(broken)?, open)
            };
            Ok((change(transaction, work), open))
        })?;
        *database = Some(open);
        outcome
    }
}

/// Whoever may write the file, or put another one in its place, makes tokens. Whoever may read it can do so as well, but may
/// be meant to, as a backup is: that is only told. Both are made for their owner alone.
fn refuse_exposed(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|source| StoreError::Make(path.to_owned(), source))?;
    let mode = metadata.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(StoreError::Exposed(path.to_owned()));
    }
    let shared = if metadata.is_dir() { 0o020 } else { 0o064 };
    if mode & shared != 0 {
        let path = path.display();
        tracing::warn!(fault = "operator", %path, "the keys of the local issuer are not for its owner alone: chmod go-rwx");
    }
    Ok(())
}

/// The file that is there. One that is empty was never whole.
fn existing(path: &Path) -> Result<Database, StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|source| StoreError::Make(path.to_owned(), source))?;
    if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        return Err(StoreError::Damaged(path.to_owned(), None));
    }
    opened(path, file)
}

fn opened(path: &Path, file: File) -> Result<Database, StoreError> {
    or_damaged(path, || {
        Builder::new().set_cache_size(CACHE).create_file(file).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            error => StoreError::Damaged(path.to_owned(), Some(Box::new(error.into()))),
        })
    })
}

/// What is half done is dropped on the way out, and nothing of it is used again.
fn or_damaged<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(StoreError::Damaged(path.to_owned(), None)))
}

fn change<T, E: From<StoreError>>(
    transaction: WriteTransaction,
    work: impl FnOnce(&mut dyn Rows) -> Result<T, E>,
) -> Result<T, E> {
    let mut transaction = Transaction(transaction);
    // Dropped without a commit, a transaction has not happened.
    let done = work(&mut transaction)?;
    transaction.0.commit().map_err(broken)?;
    Ok(done)
}

fn broken(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Broken(Box::new(error.into()))
}

struct Transaction(WriteTransaction);

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

impl Rows for Transaction {
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
