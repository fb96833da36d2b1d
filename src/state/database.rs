//! A database in a directory of its own: one file of redb, which survives a crash at any moment. One process at a time has it.
//!
//! What redb finds where no crash can have put it, such as the end of a file that was cut, it panics about. That is an error
//! here: the file is damaged, and stays as it is. What the tables are and mean is not known here. All calls block: they are
//! made on threads that may.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::backends::InMemoryBackend;
use redb::{Builder, StorageBackend as _, StorageError, WriteTransaction};

const FILE: &str = "state.redb";
const UNFINISHED: &str = "state.redb.tmp";
/// Bytes. The rows are few and small.
const CACHE: usize = 8 << 20;
/// A larger file is not read into memory only to be looked at.
const LARGEST_EXAMINED: u64 = 256 << 20;

/// What a database holds, in words for the operator.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    /// What others must not get at: "the keys of …".
    pub name: &'static str,
    /// What beginning anew does: "signs everybody out".
    pub loss: &'static str,
}

/// Why a database cannot be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another process has it. The operator's: two instances need two directories.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It is there, and not what was written. It is never replaced: that is for the operator to decide.
    #[error("{} is damaged; put back a copy, or move it away to begin anew, which {}", .0.display(), .1.loss)]
    Damaged(PathBuf, Content, #[source] Option<Box<redb::Error>>),
    /// Everybody on this machine may change it. The operator's.
    #[error("{} can be written by everybody; take that away with: chmod o-w", .0.display())]
    Exposed(PathBuf),
    /// It cannot be made. The operator's, or a full disk.
    #[error("{} cannot be made: state_directory must be writable", .0.display())]
    Make(PathBuf, #[source] io::Error),
    /// It cannot be read or written at the moment. The disk's.
    #[error("a database under state_directory cannot be read or written")]
    Broken(#[source] Box<redb::Error>),
}

impl DatabaseError {
    /// What redb says while rows are read and written.
    pub fn broken(error: impl Into<redb::Error>) -> Self {
        Self::Broken(Box::new(error.into()))
    }

    /// Whether the operator has to mend it before another start can succeed.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Exposed(_) | Self::Make(..) => true,
            Self::InUse(_) | Self::Damaged(..) | Self::Broken(_) => false,
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    content: Content,
    /// `None` after an error of the disk, after which redb wants to be opened anew.
    open: Mutex<Option<redb::Database>>,
}

impl Database {
    /// The database in this directory. One that is not there is made, and is there only when `begin` has filled it: it is made
    /// under another name first, so that an empty file is never taken for a new one.
    ///
    /// # Errors
    /// [`DatabaseError`], or what `begin` says.
    pub fn open<E: From<DatabaseError>>(
        directory: &Path,
        content: Content,
        begin: impl FnOnce(&WriteTransaction) -> Result<(), E>,
    ) -> Result<Self, E> {
        let path = directory.join(FILE);
        let make = |source| DatabaseError::Make(path.clone(), source);
        if !path.try_exists().map_err(make)? {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(make)?;
            let unfinished = directory.join(UNFINISHED);
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(make(error).into()),
                _ => {}
            }
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&unfinished);
            let database = Place { path: &path, content }.opened(file.map_err(make)?)?;
            change(database.begin_write().map_err(DatabaseError::broken)?, begin)?;
            drop(database);
            fs::rename(&unfinished, &path).and_then(|()| File::open(directory)?.sync_all()).map_err(make)?;
        }
        refuse_exposed(directory, content)?;
        refuse_exposed(&path, content)?;
        let open = Mutex::new(Some(Place { path: &path, content }.existing()?));
        Ok(Self { path, content, open })
    }

    /// Whether the database in this directory could be opened, where there is one: read as it is, and opened in memory. A process
    /// that has it is not disturbed, nor is one kept from opening it. What changes meanwhile is in use, and not judged.
    ///
    /// # Errors
    /// What [`Database::open`] would say.
    pub fn examine(directory: &Path, content: Content) -> Result<(), DatabaseError> {
        let path = directory.join(FILE);
        let make = |source| DatabaseError::Make(path.clone(), source);
        if !path.try_exists().map_err(make)? {
            return Ok(());
        }
        refuse_exposed(directory, content)?;
        refuse_exposed(&path, content)?;
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(make)?;
        let before = file.metadata().map_err(make)?;
        if before.len() > LARGEST_EXAMINED {
            return Ok(());
        }
        let (mut bytes, place) = (Vec::new(), Place { path: &path, content });
        file.read_to_end(&mut bytes).map_err(make)?;
        let copy = InMemoryBackend::new();
        copy.set_len(bytes.len() as u64).and_then(|()| copy.write(0, &bytes)).map_err(make)?;
        let examined = match bytes.len() {
            0 => Err(place.damaged(None)),
            _ => place.or_damaged(|| {
                let opened = Builder::new().set_cache_size(CACHE).create_with_backend(copy);
                opened.map(drop).map_err(|error| place.damaged(Some(error.into())))
            }),
        };
        let is_same =
            |after: fs::Metadata| after.len() == before.len() && after.modified().ok() == before.modified().ok();
        if file.metadata().is_ok_and(is_same) { examined } else { Ok(()) }
    }

    /// Does all of `work` or, when it fails, nothing. Durable when this returns.
    ///
    /// # Errors
    /// [`DatabaseError`], or what `work` says.
    pub fn change<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let place = self.place();
        let mut database = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = database.take();
        let (outcome, open) = place.or_damaged(|| {
            // After an error of the disk nothing begins any more until the file is opened anew.
            let begun = open.and_then(|open| Some((open.begin_write().ok()?, open)));
            let (transaction, open) = if let Some(begun) = begun {
                begun
            } else {
                let open = place.existing()?;
                (open.begin_write().map_err(DatabaseError::broken)?, open)
            };
            Ok((change(transaction, work), open))
        })?;
        *database = Some(open);
        outcome
    }

    fn place(&self) -> Place<'_> {
        Place { path: &self.path, content: self.content }
    }

    /// It holds what cannot have been written to it.
    #[must_use]
    pub fn damaged(&self) -> DatabaseError {
        self.place().damaged(None)
    }
}

/// Whoever may write the file, or put another one in its place, may say anything in it. Whoever may read it may be meant to,
/// as a backup is: that is only told. Both are made for their owner alone.
fn refuse_exposed(path: &Path, content: Content) -> Result<(), DatabaseError> {
    let metadata = fs::metadata(path).map_err(|source| DatabaseError::Make(path.to_owned(), source))?;
    let mode = metadata.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(DatabaseError::Exposed(path.to_owned()));
    }
    let shared = if metadata.is_dir() { 0o020 } else { 0o064 };
    if mode & shared != 0 {
        let (path, name) = (path.display(), content.name);
        tracing::warn!(fault = "operator", %path, "{name} are not for its owner alone: chmod go-rwx");
    }
    Ok(())
}

/// A file, and what is in it.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    content: Content,
}

impl Place<'_> {
    /// The file that is there. One that is empty was never whole.
    fn existing(self) -> Result<redb::Database, DatabaseError> {
        let file = OpenOptions::new().read(true).write(true).open(self.path);
        let file = file.map_err(|source| DatabaseError::Make(self.path.to_owned(), source))?;
        if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            return Err(self.damaged(None));
        }
        self.opened(file)
    }

    fn opened(self, file: File) -> Result<redb::Database, DatabaseError> {
        self.or_damaged(|| {
            Builder::new().set_cache_size(CACHE).create_file(file).map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => DatabaseError::InUse(self.path.to_owned()),
                redb::DatabaseError::Storage(StorageError::Io(source)) if is_full(&source) => {
                    DatabaseError::Make(self.path.to_owned(), source)
                }
                error => self.damaged(Some(error.into())),
            })
        })
    }

    /// What is half done is dropped on the way out, and nothing of it is used again.
    fn or_damaged<T>(self, work: impl FnOnce() -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(self.damaged(None)))
    }

    fn damaged(self, cause: Option<redb::Error>) -> DatabaseError {
        DatabaseError::Damaged(self.path.to_owned(), self.content, cause.map(Box::new))
    }
}

/// Whether there is no room, which says nothing about the file.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Dropped without a commit, a transaction has not happened.
fn change<T, E: From<DatabaseError>>(
    transaction: WriteTransaction,
    work: impl FnOnce(&WriteTransaction) -> Result<T, E>,
) -> Result<T, E> {
    let done = work(&transaction)?;
    transaction.commit().map_err(DatabaseError::broken)?;
    Ok(done)
}
