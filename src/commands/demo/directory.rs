//! A directory of its own for one demonstration: nobody else can read it, and it goes when the demonstration ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A fresh directory below the system's temporary one, mode 0700, removed with everything in it on drop.
pub(super) struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    /// Makes one. `unique` must be unguessable: the temporary directory belongs to everybody.
    ///
    /// # Errors
    /// When the system does not allow it, or something of that name is there already.
    pub(super) fn create(unique: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("usher-demo-{unique}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the temporary directory some day.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_is_private_and_goes_with_its_owner() {
        let directory = PrivateDirectory::create(&format!("test-{}", std::process::id())).unwrap();
        let path = directory.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("file"), "").unwrap();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let unique = format!("taken-{}", std::process::id());
        let _first = PrivateDirectory::create(&unique).unwrap();
        assert!(PrivateDirectory::create(&unique).is_err());
    }
}
