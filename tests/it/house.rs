//! The house keeps its rules: what a file may import, that it says what it is for, who may ask for the time, and what
//! else is made of the same crates.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of the crate. A folder imports from lower floors only; folders on one floor do not import each other.
const FLOORS: [(&str, u8); 20] = [
    ("fuzzing", 8),
    ("commands", 7),
    ("server", 6),
    ("admin", 6),
    ("gateway", 5),
    ("auth", 4),
    ("acme", 4),
    ("issuer", 3),
    ("session", 3),
    ("routing", 2),
    ("forwarding", 2),
    ("config", 1),
    ("oauth", 0),
    ("clock", 0),
    ("tally", 0),
    ("printable", 0),
    ("audit", 0),
    ("tasks", 0),
    ("state", 0),
    ("service_manager", 0),
];

#[test]
fn every_folder_imports_from_lower_floors_only() {
    let mut broken = Vec::new();
    for file in sources() {
        let Some(home) = home(&file) else { continue };
        let allowed =
            allowed(&home).unwrap_or_else(|| panic!("src/{home} has no floor: say which in tests/it/house.rs"));
        for (number, line) in code(&file) {
            for name in imports(&line) {
                if name != home && !allowed.contains(&name.as_str()) {
                    let file = file.display();
                    broken
                        .push(format!("{file}:{number}: imports `{name}`; `{home}` may import {}", allowed.join(", ")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_crate_docs_show_every_module_on_its_floor() {
    let docs = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut floors: Vec<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    floors.sort_unstable();
    assert_eq!(modules, floors);
    for (name, floor) in FLOORS {
        let row = docs.lines().find(|line| line.starts_with(&format!("//! | {floor} | "))).unwrap_or_default();
        assert!(row.contains(&format!("`{name}`")), "{name} is not on floor {floor} of the crate docs");
    }
}

#[test]
fn nobody_climbs_out_of_a_folder_with_super() {
    let mut broken = Vec::new();
    for file in sources().into_iter().filter(|file| home(file).is_some()) {
        let mut depth = depth(&file);
        for (number, line) in code(&file) {
            depth += usize::from(line.trim_start().starts_with("mod ") && line.ends_with('{'));
            let climbs = line.split(|letter: char| !(letter.is_alphanumeric() || "_:".contains(letter)));
            if climbs.map(|path| path.matches("super::").count()).any(|steps| steps >= depth) {
                broken.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "say `crate::…` instead:\n{}", broken.join("\n"));
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|file| !is_test(file) && !fs::read_to_string(file).unwrap().starts_with("//! "))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "module docs are missing:\n{}", silent.join("\n"));
}

/// Timers are tokio's, and so is the instant that they are set by; everything that decides about tokens and sessions asks
/// the clock.
#[test]
fn only_the_clock_asks_for_the_time() {
    forbid("time comes from `clock`", |line, file| {
        let of_a_timer = || fs::read_to_string(file).unwrap().lines().any(imports_the_instant_of_tokio);
        !file.ends_with("src/clock.rs")
            && (line.contains("SystemTime::now") || line.contains("Instant::now") && !of_a_timer())
    });
}

fn imports_the_instant_of_tokio(line: &str) -> bool {
    line.trim_start().starts_with("use tokio::time::") && line.contains("Instant")
}

#[test]
fn only_the_tasks_start_work_that_outlives_a_request() {
    forbid("background work starts in `tasks`; connections have tasks of their own", |line, file| {
        let home = home(file).unwrap_or_default();
        let may = ["tasks", "server", "admin", "commands", "forwarding"].contains(&home.as_str());
        line.contains("tokio::spawn(") && !may
    });
}

#[test]
fn the_scan_finds_imports_in_every_spelling() {
    assert_eq!(imports("use crate::gateway::Rejection;"), ["gateway"]);
    assert_eq!(imports("use crate::{config, oauth::{Scope, Claims}, auth::verify};"), ["config", "oauth", "auth"]);
    assert_eq!(imports("let a: crate::auth::A = crate::session::B;"), ["auth", "session"]);
    assert_eq!(imports("pub(in crate::forwarding) fn x() {}"), ["forwarding"]);
    assert!(imports("use http::HeaderMap;").is_empty());
}

/// What the fuzzers look at is what is shipped.
#[test]
fn the_fuzzers_are_built_of_the_same_crates() {
    let lock = |file: &str| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let lock: toml::Table = text.parse().unwrap();
        let packages = lock["package"].as_array().unwrap().iter().map(|package| {
            let text = |key: &str| package[key].as_str().unwrap().to_owned();
            (text("name"), text("version"))
        });
        packages.collect::<BTreeSet<_>>()
    };
    let (shipped, fuzzed) = (lock("Cargo.lock"), lock("tests/fuzz/Cargo.lock"));
    let names: BTreeSet<_> = shipped.iter().map(|(name, _)| name).collect();
    let others: Vec<_> =
        fuzzed.difference(&shipped).filter(|(name, _)| names.contains(name)).map(|(name, _)| name).collect();
    assert!(others.is_empty(), "copy Cargo.lock to tests/fuzz and let cargo complete it: {others:?}");
}

/// Fails with every line of code for which `is_bad` holds, outside of comments and of tests.
fn forbid(why: &str, is_bad: impl Fn(&str, &Path) -> bool) {
    let mut broken = Vec::new();
    for file in sources().into_iter().filter(|file| !is_test(file)) {
        let code = code(&file);
        for (index, (number, line)) in code.iter().enumerate() {
            // The tests at the bottom of the file; tests in files of their own are declared in one line, further up.
            let next = code.get(index + 1).map_or("", |(_, next)| next);
            if line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
                break;
            }
            if is_bad(line, &file) {
                broken.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(broken.is_empty(), "{why}:\n{}", broken.join("\n"));
}

/// The folders that `home` may import; `None` when it is on no floor.
fn allowed(home: &str) -> Option<Vec<&'static str>> {
    let floor = FLOORS.iter().find(|(name, _)| *name == home)?.1;
    Some(FLOORS.iter().filter(|(_, other)| *other < floor).map(|(name, _)| *name).collect())
}

/// The folder (or file) right below `src` that a file belongs to; `None` for `lib.rs` and `main.rs`, which stand above.
fn home(file: &Path) -> Option<String> {
    let below = file.strip_prefix(root().join("src")).unwrap();
    let first = Path::new(below.components().next().unwrap().as_os_str());
    let name = first.file_stem().unwrap().to_str().unwrap().to_owned();
    (name != "lib" && name != "main").then_some(name)
}

/// How many modules a file is below the crate: 1 for `src/clock.rs` and `src/auth/mod.rs`, 2 for `src/auth/verify.rs`.
fn depth(file: &Path) -> usize {
    let below = file.strip_prefix(root().join("src")).unwrap();
    below.components().count() - usize::from(below.ends_with("mod.rs"))
}

/// Whether a file is there for tests only: its name says so, or that of its folder.
fn is_test(file: &Path) -> bool {
    let below = file.strip_prefix(root().join("src")).unwrap();
    below.components().any(|part| ["tests", "tests.rs", "testing.rs"].contains(&part.as_os_str().to_str().unwrap()))
}

/// The lines of code of a file with their numbers; an import that spans lines is joined to one, comments are left out.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        match joined.last_mut() {
            Some((_, import)) if open => import.push_str(line.trim()),
            _ => joined.push((index + 1, line.to_owned())),
        }
        open = joined.last().is_some_and(|(_, whole)| whole.contains("crate::{") && !whole.contains(';'));
    }
    joined
}

/// What follows each `crate::` in a line, the members of a list one by one.
fn imports(line: &str) -> Vec<String> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for (at, matched) in line.match_indices("crate::") {
        let rest = &line[at + matched.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let members = list.split(|letter: char| {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                letter == ',' && depth == 0
            });
            found.extend(
                members.map(|member| member.trim_matches(|c| !is_word(c)).split("::").next().unwrap().to_owned()),
            );
        } else {
            found.push(rest.split(|letter| !is_word(letter)).next().unwrap().to_owned());
        }
    }
    found
}

/// Every Rust file under `src`.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
