//! What the configuration is held to, whatever is in the file, the environment and the flags: no panic, every problem at a
//! place that exists, and no key that is not known.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a promise that is broken is a panic, and a fuzzer's only way to tell"
)]

use std::sync::LazyLock;

use super::error::Origin;
use super::{Config, ConfigError, Format, Loaded, Sources, load};

/// A configuration for the other targets: it needs no file, and its secrets never change.
const EXAMPLE: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers:
  main:
    issuer: https://main.test
    audiences: [gw]
    algorithms: [HS256]
    hmac_secret: kBq0vTz5uHjRmXw81nLq02PzQv7e3dXa
session: { secret: 0b5f7a1c9d3e2468ace13579bdf02468 }
sites:
  - host: app.test
    issuer: main
    upstream: http://app:8080
    identity_headers: { X-User: sub, X-Groups: groups, Remote-User-2: name }
    strip_headers: [X-Tenant]
    routes:
      - path: /
      - path: /admin/
      - path: /app/admin/
      - path: /public/
      - path: /public/x
      - { path: /cut/, strip_prefix: /cut }
";

/// The configuration of all targets.
pub(crate) static CONFIG: LazyLock<Config> = LazyLock::new(|| match load_text(Format::Yaml, EXAMPLE) {
    Ok(loaded) => loaded.config,
    Err(error) => unreachable!("{error}"),
});

/// A file in each of the three formats. Lines that begin as variables or flags do are those, over the example.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if text.starts_with("USHER__") || text.starts_with("--") {
        return settings(text);
    }
    for (format, unknown) in [
        (Format::Yaml, "not_a_key: 1\n".to_owned() + text),
        (Format::Toml, "not_a_key = 1\n".to_owned() + text),
        (Format::Json, text.replacen('{', r#"{"not_a_key": 1,"#, 1)),
    ] {
        if let Err(error) = load_text(format, text) {
            check_problems(text, &error);
            continue;
        }
        let error = load_text(format, &unknown).expect_err("a key that is not known");
        check_problems(&unknown, &error);
    }
}

fn settings(text: &str) {
    let mut sources = Sources::text("usher", Format::Yaml, EXAMPLE, NOWHERE);
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let pair = |name: &str| [(name.to_owned(), value.to_owned())];
        sources = match name.strip_prefix("--") {
            Some(flag) => sources.with_flags(pair(flag)),
            None => sources.with_environment(pair(name)),
        };
    }
    if let Err(error) = load(&sources) {
        check_problems(EXAMPLE, &error);
    }
}

/// No file that a configuration names is found here.
const NOWHERE: &str = "/nonexistent";

fn load_text(format: Format, text: &str) -> Result<Loaded, ConfigError> {
    load(&Sources::text("usher", format, text, NOWHERE))
}

/// Whatever is wrong can be found: there is a problem, its place is in the file, and a key that is not one stands there.
fn check_problems(text: &str, error: &ConfigError) {
    assert!(!error.problems.is_empty(), "a refusal without a reason");
    assert!(!error.to_string().is_empty() && !error.styled().to_string().is_empty());
    // Whether a lone carriage return ends a line is a matter of the editor.
    if text.contains('\r') {
        return;
    }
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &error.problems {
        let Origin::File { position, .. } = &problem.origin else { continue };
        let (line, column) = (position.line, position.column);
        assert!((1..=lines.len()).contains(&line), "{}: line {line} of {}", problem.path, lines.len());
        let found = lines.get(line - 1).copied().unwrap_or_default();
        assert!((1..=found.chars().count() + 1).contains(&column), "{}: {line}:{column} in {found:?}", problem.path);
        if problem.message == "is not a key"
            && let Some(key) = plain_key(&problem.path)
            && !text.contains(['\\', '*'])
        {
            assert!(found.contains(key), "{}: not in line {line}: {found:?}", problem.path);
        }
    }
}

/// The last key of a path, where it stands in the path as it does in the file.
fn plain_key(path: &str) -> Option<&str> {
    path.rsplit('.').next().filter(|key| !key.is_empty() && !key.contains(['[', ']', '"']))
}
