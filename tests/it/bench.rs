//! The benchmark measures what answers rightly: every system that is installed starts, lets a good token through with
//! the identity, and, where it verifies, refuses a bad one. Nothing is measured here.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::left_out;

#[test]
fn systems_of_the_benchmark_answer_rightly() {
    if ["node", "nginx", "openssl", "taskset"].iter().any(|program| !installed(program)) {
        return left_out("the benchmark's systems: node, nginx, openssl or taskset is missing");
    }
    let checked = Command::new("tests/bench/compare")
        .args(["--check", "--binary", env!("CARGO_BIN_EXE_usher")])
        // What takes long to start is checked when it is measured.
        .args(["--systems", "usher,nginx,nginx-auth-request,haproxy,haproxy-jwt,apache-oidc"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    for system in ["usher", "nginx", "nginx-auth-request"] {
        assert!(said.lines().any(|line| line == format!("{system}: right")), "{said}");
    }
}

/// Whether a command is there; servers lie where only root has them in its path.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).any(|file| Path::is_file(&file))
}
