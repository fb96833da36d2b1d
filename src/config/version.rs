//! What tells one configuration from another, for people who compare instances or wonder which one is in force.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use super::Config;

/// Digits of it: enough to tell, and short enough to read aloud.
const DIGITS: usize = 12;

/// What is written goes into a hash.
struct Hashed(Context);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

impl Config {
    /// The same for the same configuration, by the same version of Usher, from a file at the same place. Secrets do not count:
    /// a hash of them would let everybody who sees it try guesses. So it is one of what `Debug` shows.
    #[must_use]
    pub fn version(&self) -> String {
        let mut hashed = Hashed(Context::new(&SHA256));
        // Hashing cannot fail.
        let _ = write!(hashed, "{self:?}");
        let digest = hashed.0.finish();
        HEXLOWER.encode(digest.as_ref().get(..DIGITS / 2).unwrap_or_default())
    }
}
