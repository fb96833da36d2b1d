//! The tree itself. None of it can be printed for debugging: it holds secrets (law 8).

use figment::value::{Dict, Value};

use super::super::error::Position;

/// A value and where it begins.
pub(in crate::config) struct Node {
    /// Its first character.
    pub(in crate::config) position: Position,
    /// What it is.
    pub(in crate::config) content: Content,
}

/// What a node is.
pub(in crate::config) enum Content {
    /// Text, a number, true, false, or nothing.
    Single(Value),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file, repeated keys included.
    Map(Vec<Entry>),
}

/// A key and its value.
pub(in crate::config) struct Entry {
    /// The key.
    pub(in crate::config) key: String,
    /// Where the key begins.
    pub(in crate::config) position: Position,
    /// The value.
    pub(in crate::config) value: Node,
}

impl Node {
    /// Whether there is nothing here: YAML's and JSON's `null`.
    pub(in crate::config) fn is_null(&self) -> bool {
        matches!(self.content, Content::Single(Value::Empty(..)))
    }

    /// The value without its places: of a repeated key the first counts, and keys without a value are left out then. In the
    /// other order, what is read would stand at another place than the one that problems point at.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Single(value) => value.clone(),
            Content::List(items) => Value::from(items.iter().map(Self::to_value).collect::<Vec<_>>()),
            Content::Map(entries) => {
                let mut values = Dict::new();
                for entry in entries {
                    values.entry(entry.key.clone()).or_insert_with(|| entry.value.to_value());
                }
                values.retain(|_, value| !matches!(value, Value::Empty(..)));
                Value::from(values)
            }
        }
    }
}
