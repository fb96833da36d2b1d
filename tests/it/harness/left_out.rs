//! What a machine cannot run is left out, and said.

use std::io::Write as _;

/// Says that a test is left out, on the standard error of the process itself: what a test prints in the usual way is
/// shown only when it fails.
///
/// # Panics
///
/// When `USHER_TEST_ALL` demands every test.
pub(crate) fn left_out(what: &str) {
    assert!(std::env::var_os("USHER_TEST_ALL").is_none(), "left out: {what}; run tests/run");
    let _ = writeln!(std::io::stderr(), "left out: {what}");
}
