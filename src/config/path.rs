//! Where in the configuration something stands: `sites[0].routes[2].require`.

use std::fmt;

/// One step of a [`KeyPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A key of a map.
    Key(String),
    /// An item of a list, counted from 0.
    Index(usize),
}

/// The way from the root of the configuration to one value. It is the same whatever the format of the file, and whether
/// the value comes from the file, the environment or a flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(Vec<Step>);

impl KeyPath {
    /// The root.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// The value of `key` in the map here.
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// Item `index` of the list here.
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// One step further.
    pub(super) fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps from the root.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The map or list around this value; the root has none.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// Whether one of the two is the other or lies inside it.
    pub(super) fn touches(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }

    /// Whether this is `other` or lies inside it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Key(key) if !is_plain(key) => write!(formatter, "[{key:?}]")?,
                Step::Key(key) if position == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Whether a key can be read in a path without quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prints_as_an_operator_would_write_it() {
        let route = KeyPath::root().key("sites").index(0).key("routes").index(2);
        assert_eq!(route.key("require").to_string(), "sites[0].routes[2].require");
        assert_eq!(route.key("realm.roles").to_string(), r#"sites[0].routes[2]["realm.roles"]"#);
        assert_eq!(KeyPath::root().to_string(), "");
    }

    #[test]
    fn a_value_touches_what_is_around_it_and_what_is_inside_it() {
        let site = KeyPath::root().key("sites").index(0);
        assert!(site.touches(&site.key("host")) && site.key("host").touches(&site));
        assert!(!site.key("host").touches(&site.key("issuer")));
        assert!(site.key("host").is_within(&site) && !site.is_within(&site.key("host")));
    }
}
