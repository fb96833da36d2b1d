//! What the fuzzers in `tests/fuzz` hold the crate to: one function for each target, which takes whatever bytes come and
//! panics where a promise is broken, not only where the code itself does.
//!
//! Each stands beside the code that it drives, in the `fuzzing` of its folder, and sees what that sees. None of it is in
//! the product. The unit tests run the saved corpus through the same functions, so that what a fuzzer has once found stays
//! found without one. This module does *not* make input.

pub use crate::auth::fuzzing::{cookie, token};
pub use crate::config::fuzzing::configuration;
pub use crate::gateway::fuzzing::{header_filter, path};
pub use crate::issuer::fuzzing::{discovery_document, key_set};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::panic;
    use std::path::PathBuf;

    use super::*;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 7] = [
        ("configuration", configuration),
        ("cookie", cookie),
        ("discovery_document", discovery_document),
        ("header_filter", header_filter),
        ("key_set", key_set),
        ("path", path),
        ("token", token),
    ];

    fn folder(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
    }

    fn replay(target: &str) {
        let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
        let files: Vec<_> =
            fs::read_dir(folder("corpus").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "the corpus of {target} is empty");
        let broken: Vec<_> = files
            .into_iter()
            .filter(|file| {
                let input = fs::read(file).unwrap();
                panic::catch_unwind(|| run(&input)).is_err()
            })
            .collect();
        assert!(broken.is_empty(), "{target} breaks on {broken:?}");
    }

    #[test]
    fn configurations_of_the_corpus_hold() {
        replay("configuration");
    }

    #[test]
    fn cookies_of_the_corpus_hold() {
        replay("cookie");
    }

    #[test]
    fn discovery_documents_of_the_corpus_hold() {
        replay("discovery_document");
    }

    #[test]
    fn headers_of_the_corpus_hold() {
        replay("header_filter");
    }

    #[test]
    fn key_sets_of_the_corpus_hold() {
        replay("key_set");
    }

    #[test]
    fn paths_of_the_corpus_hold() {
        replay("path");
    }

    #[test]
    fn tokens_of_the_corpus_hold() {
        replay("token");
    }

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let names = |folder: PathBuf| -> BTreeSet<String> {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names(folder("targets")), targets);
        assert_eq!(names(folder("corpus")), targets);
    }
}
