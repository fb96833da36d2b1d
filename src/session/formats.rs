//! What is sealed and stored, as it was committed under `tests/formats`: a file for each format, a line for each value.
//!
//! Versions read what others have written, in a fleet and across a restart. A test that fails here has found a change of a
//! format: bytes that are read no more need a number of their own, so that they are told apart, and not another fixture.

use std::path::Path;

/// The text of a value.
pub(crate) fn committed(format: &str, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(format);
    let text = std::fs::read_to_string(&file).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} is missing in {}", file.display())).to_owned()
}

/// The bytes of a value that stands there in hexadecimal digits.
pub(crate) fn committed_bytes(format: &str, name: &str) -> Vec<u8> {
    let text = committed(format, name);
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// These bytes are what is committed.
#[track_caller]
pub(crate) fn assert_committed(format: &str, name: &str, bytes: &[u8]) {
    let committed = committed_bytes(format, name);
    assert!(bytes == committed, "{name} of tests/formats/{format} is written otherwise: {bytes:02x?}");
}
