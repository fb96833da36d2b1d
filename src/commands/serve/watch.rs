//! Files that are looked at again and again, whatever file system they are on.
//!
//! What counts is what a path leads to, so a file that is written in place, one that is put there by a rename and a link
//! that is turned (as Kubernetes does with mounted secrets) are all the same. A change counts when two looks in a row have
//! seen the same: a file that is still being written may make sense already, and say something else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

/// Nothing that is watched is larger; of what is, the beginning counts.
const MOST_BYTES: u64 = 16 << 20;

type Seen = BTreeMap<PathBuf, Content>;

/// What was at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Bytes([u8; 32]),
    /// Of a directory, what is in it, not what that holds.
    Names(BTreeSet<OsString>),
    /// A pipe or a terminal: reading would take away what somebody else waits for.
    NoFile,
    Unreadable(io::ErrorKind),
}

/// Some files, as they were when they last counted.
#[derive(Debug, Default)]
pub(super) struct Watch {
    counted: Seen,
    changed: Option<Seen>,
}

impl Watch {
    /// Watches these files and no others. Returns whether one is among them that was not watched before: it is seen now
    /// for the first time, so what was read of it earlier may be older.
    pub(super) fn follow(&mut self, files: &BTreeSet<PathBuf>) -> bool {
        let known = self.counted.len();
        self.counted.retain(|path, _| files.contains(path));
        let kept = self.counted.len();
        for path in files {
            self.counted.entry(path.clone()).or_insert_with(|| content(path));
        }
        if kept < known || kept < self.counted.len() {
            self.changed = None;
        }
        kept < self.counted.len()
    }

    /// What is watched.
    pub(super) fn files(&self) -> BTreeSet<PathBuf> {
        self.counted.keys().cloned().collect()
    }

    /// Looks. Returns whether there is a change that counts.
    pub(super) fn look(&mut self) -> bool {
        let now = self.see();
        if now == self.counted {
            self.changed = None;
            return false;
        }
        if self.changed.as_ref() != Some(&now) {
            self.changed = Some(now);
            return false;
        }
        self.changed = None;
        self.counted = now;
        true
    }

    /// Whatever there is now counts.
    pub(super) fn settle(&mut self) {
        self.counted = self.see();
        self.changed = None;
    }

    fn see(&self) -> Seen {
        self.counted.keys().map(|path| (path.clone(), content(path))).collect()
    }
}

fn content(path: &Path) -> Content {
    let read = || {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Ok(Content::Names(
                fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?,
            ));
        }
        if !metadata.is_file() {
            return Ok(Content::NoFile);
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        Ok(Content::Bytes(hash))
    };
    read().unwrap_or_else(|error: io::Error| Content::Unreadable(error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(path: &Path) -> Watch {
        let mut watch = Watch::default();
        assert!(watch.follow(&BTreeSet::from([path.to_owned()])));
        watch
    }

    #[test]
    fn a_change_counts_once_it_has_been_the_same_for_two_looks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "whole").unwrap();
        let mut watch = watch(&path);
        assert!(!watch.look());
        fs::write(&path, "ha").unwrap();
        assert!(!watch.look());
        fs::write(&path, "half").unwrap();
        assert!(!watch.look(), "it is still being written");
        assert!(watch.look());
        assert!(!watch.look(), "once");
    }

    #[test]
    fn a_change_that_is_taken_back_never_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut watch = watch(&path);
        fs::write(&path, "new").unwrap();
        assert!(!watch.look());
        fs::remove_file(&path).unwrap();
        assert!(!watch.look());
        assert!(!watch.look());
    }

    #[test]
    fn a_directory_changes_with_the_names_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = watch(directory.path());
        fs::write(directory.path().join("new"), "one").unwrap();
        assert!(!watch.look());
        assert!(watch.look());
        fs::write(directory.path().join("new"), "two").unwrap();
        assert!(!watch.look() && !watch.look(), "what is in them is watched for itself");
    }

    #[test]
    fn a_link_that_is_turned_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["one", "two"] {
            fs::create_dir(directory.path().join(version)).unwrap();
            fs::write(directory.path().join(version).join("file"), version).unwrap();
        }
        let data = directory.path().join("..data");
        std::os::unix::fs::symlink("one", &data).unwrap();
        let mut watch = watch(&data.join("file"));
        let turned = directory.path().join("..turned");
        std::os::unix::fs::symlink("two", &turned).unwrap();
        fs::rename(&turned, &data).unwrap();
        assert!(!watch.look());
        assert!(watch.look());
    }
}
