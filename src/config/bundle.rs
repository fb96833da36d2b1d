//! A PEM file with several things in it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_lc_rs::digest;

/// The text of one. Each request is held against those of its site, and lists of revoked certificates are long: they are told apart
/// by their hashes.
#[derive(Clone)]
pub struct Bundle {
    text: Arc<[u8]>,
    hash: digest::Digest,
}

impl Bundle {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: Vec<u8>) -> Self {
        Self { hash: digest::digest(&digest::SHA256, &text), text: text.into() }
    }
}

impl Deref for Bundle {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text
    }
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.hash.as_ref() == other.hash.as_ref()
    }
}

impl Eq for Bundle {}

impl fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Bundle").field(&self.hash).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_the_same_that_have_the_same_text() {
        let [one, same, other] = ["text", "text", "texts"].map(|text| Bundle::new(text.into()));
        assert!(one == same && one != other);
        assert_eq!(&*one, b"text");
    }
}
