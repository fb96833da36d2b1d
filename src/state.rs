//! The state directory: what must survive a restart, each thing in a file of its own, or where it changes all the time in a
//! [`database`].
//!
//! The files hold keys. So each is there whole or not at all, and nobody but its owner can read it at any moment. This
//! module does *not* know what is kept, nor when it is to be made anew.

pub mod database;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Keeps `content` in the file `name` of the directory, which is made if it is not there. Of
/// two processes that keep the same file at once, the later one wins.
///
/// # Errors
/// What the system says; the file is then as it was.
pub fn keep(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let (unfinished, file) = begin(directory, name)?;
    let kept = write(file, content).and_then(|()| fs::rename(&unfinished, directory.join(name)));
    if kept.is_err() {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&unfinished);
    }
    kept
}

/// Whether files can be kept in the directory: tried with one that is taken away again. A directory that is not there is not
/// made, but tried where it would be.
///
/// # Errors
/// What the system says.
pub fn probe(directory: &Path) -> io::Result<()> {
    let there = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."));
    let (path, file) = begin(there, "probe")?;
    let written = write(file, b"whether files can be kept here");
    written.and(fs::remove_file(&path))
}

/// A file that is not there yet.
fn begin(directory: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let path = directory.join(unfinished(name));
    // What an earlier start left behind might be readable for others: the mode counts only when a file is made.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

/// In a container every start has the same process id.
fn unfinished(name: &str) -> String {
    format!("{name}.{}.tmp", std::process::id())
}

fn write(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_for_its_owner_only_whatever_was_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("deep/state");
        keep(&state, "key", b"one").unwrap();
        assert_eq!((mode(&state), mode(&state.join("key"))), (0o700, 0o600));

        let left_behind = state.join(unfinished("key"));
        fs::write(&left_behind, "half").unwrap();
        fs::set_permissions(&left_behind, fs::Permissions::from_mode(0o644)).unwrap();
        keep(&state, "key", b"two").unwrap();
        assert_eq!((fs::read(state.join("key")).unwrap(), mode(&state.join("key"))), (b"two".to_vec(), 0o600));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_probe_leaves_nothing_behind_and_makes_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        // One that was interrupted is in nobody's way.
        fs::write(directory.path().join(unfinished("probe")), "half").unwrap();
        probe(&directory.path().join("not/there/yet")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(probe(&directory.path().join("file")).is_err());
    }

    #[test]
    fn what_cannot_be_kept_leaves_what_was() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("key/in the way")).unwrap();
        assert!(keep(directory.path(), "key", b"one").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
