//! The users file on disk: read whole, replaced whole, by one command at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Why a users file cannot be read or written. The operator's, or the disk's.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It cannot be read.
    #[error("cannot read the users file {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// Its directory cannot be locked, so that others might change it meanwhile.
    #[error("cannot lock the directory of the users file {}", .0.display())]
    Lock(PathBuf, #[source] io::Error),
    /// It cannot be replaced, and is as it was.
    #[error("cannot write the users file {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// The right to replace a users file, until it is dropped: a text that was read before may be out of date, and to write it
/// would undo what another command has done since.
#[derive(Debug)]
pub(super) struct Turn {
    /// The directory, locked: the file itself is another one after each change, and nothing is left lying beside it.
    _locked: File,
}

impl Turn {
    /// Waits until no other command changes a file of this directory.
    pub(super) fn wait(path: &Path) -> Result<Self, FileError> {
        let lock = || {
            // A file that is not there yet is made where its path says.
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
            let directory = File::open(directory.unwrap_or(Path::new(".")))?;
            directory.lock()?;
            Ok(Self { _locked: directory })
        };
        lock().map_err(|source| FileError::Lock(path.to_owned(), source))
    }
}

/// A users file as it was read.
#[derive(Debug)]
pub(super) struct UsersFile {
    path: PathBuf,
    text: String,
    /// `None` for one that is not there yet.
    metadata: Option<fs::Metadata>,
}

impl UsersFile {
    /// Reads one that is there. A link is followed, so that it stays a link when what it leads to is replaced.
    pub(super) fn read(path: PathBuf) -> Result<Self, FileError> {
        let read = |path: &Path| -> io::Result<Self> {
            let path = fs::canonicalize(path)?;
            let (text, metadata) = (fs::read_to_string(&path)?, Some(fs::metadata(&path)?));
            Ok(Self { path, text, metadata })
        };
        read(&path).map_err(|source| FileError::Read(path, source))
    }

    /// Reads one, or begins one that is not there.
    pub(super) fn read_or_begin(path: PathBuf) -> Result<Self, FileError> {
        match Self::read(path.clone()) {
            Err(FileError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { path, text: String::new(), metadata: None })
            }
            read => read,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts another text in its place, all at once, for the same owner and readers. A new file is for its owner only.
    pub(super) fn write(&self, text: &str) -> Result<(), FileError> {
        let mut unfinished = self.path.clone().into_os_string();
        unfinished.push(format!(".{}.tmp", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let written = self.write_beside(&unfinished, text).and_then(|()| fs::rename(&unfinished, &self.path));
        written.map_err(|source| {
            // Best effort: the first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
            FileError::Write(self.path.clone(), source)
        })
    }

    fn write_beside(&self, unfinished: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished)?;
        if let Some(before) = &self.metadata {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o7777))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("users.yaml"), directory.path().join("link.yaml"));
        UsersFile::read_or_begin(path.clone()).unwrap().write("one").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let file = UsersFile::read(link.clone()).unwrap();
        assert_eq!(file.text(), "one");
        file.write("two").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode()), ("two", 0o640));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left beside it");
        UsersFile::read(directory.path().join("nobody.yaml")).unwrap_err();
    }
}
