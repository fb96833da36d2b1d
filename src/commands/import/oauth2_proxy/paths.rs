//! Patterns of oauth2-proxy (regular expressions over the path) as paths of ours, where they are plain.
//!
//! What comes of a pattern never matches what the pattern does not. Whatever is not plain is refused, with the reason.

/// What of a pattern can be said in paths.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// `/exact`, or `/prefix/` for that segment and everything below.
    pub(super) path: String,
    /// The path that a prefix covers here and the pattern does not: `/prefix` without its slash.
    pub(super) not_itself: Option<String>,
    /// Whether the pattern matches more than this, as `^/static` does `/statics`.
    pub(super) is_narrower: bool,
}

/// A pattern as a path, or why it is none.
pub(super) fn plain(pattern: &str) -> Result<Plain, &'static str> {
    let (anchored, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (literal, end) = end(rest);
    let literal = unescaped(literal)?;
    let inside = literal.trim_end_matches('/');
    if inside.is_empty() {
        return Err("would be everything, or just the front page, which has no path of its own here");
    }
    canonical(&literal)?;
    let slash = literal.ends_with('/');
    match end {
        End::Exactly if slash => Err("ends in a slash, which here covers everything below"),
        End::Exactly => Ok(Plain { path: literal, not_itself: None, is_narrower: !anchored }),
        End::Below | End::ItselfAndBelow if slash => Err("has an empty segment"),
        End::Below => {
            Ok(Plain { path: format!("{inside}/"), not_itself: Some(inside.to_owned()), is_narrower: !anchored })
        }
        End::ItselfAndBelow => Ok(Plain { path: format!("{inside}/"), not_itself: None, is_narrower: !anchored }),
        End::Anything if slash => {
            Ok(Plain { path: format!("{inside}/"), not_itself: Some(inside.to_owned()), is_narrower: !anchored })
        }
        End::Anything => Ok(Plain { path: format!("{inside}/"), not_itself: None, is_narrower: true }),
    }
}

/// What may follow the literal part.
enum End {
    /// Nothing: `$`.
    Exactly,
    /// A slash and more: `/.*`.
    Below,
    /// Nothing, or a slash and more: `(/.*)?$`, `(/|$)`.
    ItselfAndBelow,
    /// Anything: no `$`, or `.*`.
    Anything,
}

fn end(pattern: &str) -> (&str, End) {
    for ending in ["(/.*)?$", "(/|$)", "(?:/.*)?$", "(?:/|$)"] {
        if let Some(literal) = pattern.strip_suffix(ending) {
            return (literal, End::ItselfAndBelow);
        }
    }
    for ending in ["\\/.*$", "\\/.*", "/.*$", "/.*"] {
        if let Some(literal) = pattern.strip_suffix(ending) {
            return (literal, End::Below);
        }
    }
    for ending in [".*$", ".*", "/*"] {
        if let Some(literal) = pattern.strip_suffix(ending) {
            return (literal, End::Anything);
        }
    }
    match pattern.strip_suffix('$') {
        Some(literal) => (literal, End::Exactly),
        None => (pattern, End::Anything),
    }
}

/// The text that a pattern without any operators stands for. A dot that is not escaped matches any character: the dot itself is
/// the one that is kept.
fn unescaped(pattern: &str) -> Result<String, &'static str> {
    let mut literal = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => literal.push(escaped),
                _ => return Err("is a pattern and no plain path"),
            },
            '[' | ']' | '(' | ')' | '{' | '}' | '|' | '?' | '+' | '*' | '^' | '$' => {
                return Err("is a pattern and no plain path");
            }
            letter => literal.push(letter),
        }
    }
    Ok(literal)
}

/// Only what no request spells in two ways, and nothing of Usher's own.
fn canonical(path: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/@:".contains(&byte);
    if !path.starts_with('/') {
        return Err("does not begin with /, so it may match anywhere in a path");
    }
    if path.contains("//")
        || path.split('/').any(|segment| [".", ".."].contains(&segment))
        || !path.bytes().all(is_plain)
    {
        return Err("is not a path as requests spell it");
    }
    if path.to_ascii_lowercase().starts_with("/.usher") {
        return Err("is Usher's own");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pattern: &str) -> Option<(String, bool)> {
        plain(pattern).ok().map(|plain| (plain.path, plain.is_narrower))
    }

    #[test]
    fn plain_patterns_are_paths() {
        for (pattern, path, is_narrower) in [
            ("^/healthz$", "/healthz", false),
            ("^/favicon\\.ico$", "/favicon.ico", false),
            ("^/static/", "/static/", false),
            ("^/static/.*", "/static/", false),
            ("^\\/static\\/.*$", "/static/", false),
            ("^/static(/.*)?$", "/static/", false),
            ("^/static(/|$)", "/static/", false),
            ("^/static", "/static/", true),
            ("^/static.*", "/static/", true),
            ("/api/*", "/api/", true),
            ("/ping$", "/ping", true),
        ] {
            assert_eq!(made(pattern), Some((path.to_owned(), is_narrower)), "{pattern}");
        }
        assert_eq!(plain("^/static/").unwrap().not_itself.as_deref(), Some("/static"));
        assert_eq!(plain("^/static(/|$)").unwrap().not_itself, None);
    }

    #[test]
    fn whatever_else_is_refused() {
        for pattern in [
            "",
            "^",
            "/",
            "^/",
            "^/$",
            ".*",
            "^/.*",
            "^/a/$",
            "^/(a|b)$",
            "\\.css$",
            "^/a\\d",
            "(?i)^/a",
            "^/a|/b",
            "^/[a-z]+/x$",
            "^/a/../b$",
            "^/a//b$",
            "^/.usher/x",
            "^/a b$",
            "^/%2e$",
            "a/b",
            "^/a+$",
            "^/a?$",
            "^/a//",
            "^/a//.*",
            "^/a/.+",
            "^/a(/.*)?",
            "^/a/(/|$)",
        ] {
            assert!(plain(pattern).is_err(), "{pattern}: {:?}", plain(pattern));
        }
    }
}
