//! The claims of a token, and paths into them.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// The claims set of a token (RFC 7519 §4): a JSON object.
#[derive(Clone, PartialEq)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// The value at `path`, if every step of it is there.
    #[must_use]
    pub fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let (first, rest) = path.steps.split_first()?;
        rest.iter().try_fold(self.0.get(first)?, |value, step| value.get(step.as_str()))
    }

    /// What these paths lead to, and nothing else.
    #[must_use]
    pub fn narrowed<'p>(&self, paths: impl IntoIterator<Item = &'p ClaimPath>) -> Self {
        let mut narrowed = Map::new();
        for path in paths {
            if let Some(value) = self.at(path) {
                place(&mut narrowed, &path.steps, value);
            }
        }
        Self(narrowed)
    }

    /// A top-level claim that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// What people call whoever it is (OIDC Core §5.1), if it is a string.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// The subject, if it is a string.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }
}

/// Puts a value where these steps lead. What is there already was found at a shorter path, and holds it.
fn place(object: &mut Map<String, Value>, steps: &[String], value: &Value) {
    match steps {
        [] => {}
        [last] => {
            object.insert(last.clone(), value.clone());
        }
        [first, rest @ ..] => {
            if let Value::Object(inner) = object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new())) {
                place(inner, rest, value);
            }
        }
    }
}

/// Shows the names only: values are personal data, and a claim may hold a secret.
impl fmt::Debug for Claims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A path into the claims: `realm_access.roles`. A dot that belongs to a name is written `\.`, as in
/// `https://example\.com/roles`; a backslash is written `\\`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClaimPath {
    steps: Vec<String>,
}

impl ClaimPath {
    /// Whether the path names the `sub` claim: who the token is about (RFC 7519 §4.1.2).
    #[must_use]
    pub fn is_subject(&self) -> bool {
        matches!(self.steps.as_slice(), [only] if only == "sub")
    }

    /// Whether the path names the `email` claim, of which `email_verified` says whether it is true (OIDC Core §5.1).
    #[must_use]
    pub fn is_email(&self) -> bool {
        matches!(self.steps.as_slice(), [only] if only == "email")
    }

    /// Whether the path names the `scope` claim (RFC 8693 §4.2), on which conditions look for a word in a string.
    #[must_use]
    pub fn is_scope(&self) -> bool {
        matches!(self.steps.as_slice(), [only] if only == "scope")
    }
}

/// Why a text is not a claim path. The operator's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// A step between two dots, or the whole path, is empty.
    #[error("a claim path has a name on both sides of every dot, as in realm_access.roles")]
    EmptyStep,
    /// A backslash stands before something other than a dot or a backslash, or at the end.
    #[error(r"a backslash in a claim path stands before a dot or a backslash, as in https://example\.com/roles")]
    StrayBackslash,
}

impl FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut steps = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let Some(step) = steps.last_mut() else { return Err(ClaimPathError::EmptyStep) };
            match character {
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => step.push(escaped),
                    _ => return Err(ClaimPathError::StrayBackslash),
                },
                '.' if step.is_empty() => return Err(ClaimPathError::EmptyStep),
                '.' => steps.push(String::new()),
                other => step.push(other),
            }
        }
        if steps.last().is_none_or(String::is_empty) {
            return Err(ClaimPathError::EmptyStep);
        }
        Ok(Self { steps })
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                formatter.write_str(".")?;
            }
            formatter.write_str(&step.replace('\\', r"\\").replace('.', r"\."))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims() -> Claims {
        let Value::Object(map) = json!({
            "sub": "alice",
            "realm_access": { "roles": ["admin"] },
            "https://example.com/roles": "a",
        }) else {
            unreachable!()
        };
        Claims(map)
    }

    #[test]
    fn nested_claims_and_names_with_dots_are_reached() {
        let at = |path: &str| claims().at(&path.parse().unwrap()).cloned();
        assert_eq!(at("realm_access.roles"), Some(json!(["admin"])));
        assert_eq!(at(r"https://example\.com/roles"), Some(json!("a")));
        assert_eq!(at("realm_access.absent"), None);
        assert_eq!(at("sub.deeper"), None);
    }

    #[test]
    fn narrowed_claims_hold_what_the_paths_lead_to_and_nothing_else() {
        let narrowed = |paths: &[&str]| {
            let paths: Vec<ClaimPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
            Value::Object(claims().narrowed(&paths).0)
        };
        assert_eq!(narrowed(&["realm_access.roles", "sub.deeper"]), json!({ "realm_access": { "roles": ["admin"] } }));
        assert_eq!(
            narrowed(&["realm_access", "realm_access.roles"]),
            json!({ "realm_access": { "roles": ["admin"] } })
        );
        assert_eq!(narrowed(&[]), json!({}));
    }

    #[test]
    fn paths_with_empty_steps_or_stray_backslashes_are_refused() {
        for path in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(path.parse::<ClaimPath>(), Err(ClaimPathError::EmptyStep), "{path}");
        }
        for path in [r"a\", r"a\b"] {
            assert_eq!(path.parse::<ClaimPath>(), Err(ClaimPathError::StrayBackslash), "{path}");
        }
    }

    #[test]
    fn a_path_prints_as_it_is_written() {
        for path in ["sub", "realm_access.roles", r"https://example\.com/roles", r"back\\slash"] {
            assert_eq!(path.parse::<ClaimPath>().unwrap().to_string(), path);
        }
    }
}
