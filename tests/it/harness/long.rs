//! The long form of the tests.

/// Whether the long form was asked for: `USHER_TEST_LONG=1`.
pub(crate) fn long() -> bool {
    std::env::var_os("USHER_TEST_LONG").is_some_and(|value| value == "1")
}
