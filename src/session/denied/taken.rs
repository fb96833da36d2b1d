//! Which entries of the shared list have been taken over.

use std::collections::HashSet;

/// So many characters of an entry no other one begins with: the version and the nonce of what is sealed.
const DISTINCT: usize = 18;

type Name = [u8; DISTINCT];

/// The entries that were taken over last. Each counts once, where it was first read: a list that is read once more, or an
/// entry that somebody has copied to its end, would put an old beginning of a session behind newer denials.
#[derive(Debug)]
pub(super) struct Taken {
    latest: HashSet<Name>,
    before: HashSet<Name>,
    most: usize,
}

impl Taken {
    /// None yet. At least the last `most` are known later, and at most twice as many.
    pub(super) fn new(most: usize) -> Self {
        Self { latest: HashSet::new(), before: HashSet::new(), most: most.max(1) }
    }

    /// Whether this entry was taken over.
    pub(super) fn contains(&self, entry: &str) -> bool {
        name(entry).is_some_and(|name| self.latest.contains(name) || self.before.contains(name))
    }

    /// This entry is taken over, or still there.
    pub(super) fn insert(&mut self, entry: &str) {
        let Some(name) = name(entry) else { return };
        if self.latest.len() >= self.most && !self.latest.contains(name) {
            self.before = std::mem::take(&mut self.latest);
        }
        self.latest.insert(*name);
    }
}

fn name(entry: &str) -> Option<&Name> {
    entry.as_bytes().first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known_and_never_more_than_twice_as_many() {
        let mut taken = Taken::new(3);
        let entry = |number: usize| format!("{number:DISTINCT$} and what is sealed");
        for number in 0..100 {
            taken.insert(&entry(number));
            assert!((number.saturating_sub(2)..=number).all(|last| taken.contains(&entry(last))));
        }
        assert!(!taken.contains(&entry(90)) && !taken.contains("short"));
    }
}
