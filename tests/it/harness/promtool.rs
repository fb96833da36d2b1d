//! Prometheus' own tool, as a judge of what it would read.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use super::left_out;

/// Runs it with these arguments and this input, and returns what it said; empty is praise. `None`, and said, where it is not
/// installed.
///
/// # Panics
///
/// When it is not content.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = match command.spawn() {
        Ok(process) => process,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            left_out(&format!("promtool {}: it is not installed", arguments.join(" ")));
            return None;
        }
        Err(error) => panic!("promtool: {error}"),
    };
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let verdict = process.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&verdict.stdout), String::from_utf8_lossy(&verdict.stderr));
    assert!(verdict.status.success(), "promtool {}: {said}", arguments.join(" "));
    Some(said)
}
