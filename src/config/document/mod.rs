//! A configuration file as a tree that remembers where everything stands.
//!
//! YAML, TOML and JSON become the same [`Node`]s, which are then values for figment to merge, and positions for problems
//! to point at. What the tree means is not known here.

mod toml;
mod tree;
mod yaml;

use figment::value::{Dict, Value};

use super::error::{Origin, Position, Problem};
use super::load::Format;
use super::path::{KeyPath, Step};
pub(super) use tree::{Content, Entry, Node};

/// A file that was read.
pub(super) struct Document {
    /// How messages call it.
    pub(super) name: String,
    root: Node,
}

/// The text is not of its format. The operator's mistake.
#[derive(Debug)]
pub(super) struct SyntaxError {
    /// Where reading stopped.
    pub(super) position: Position,
    /// What the reader says.
    pub(super) message: String,
    /// How to put it right, where that is known.
    pub(super) remedy: Option<&'static str>,
}

impl SyntaxError {
    /// As a problem of the file that messages call `name`.
    pub(super) fn into_problem(self, name: &str) -> Problem {
        let Self { position, message, remedy } = self;
        Problem {
            origin: Origin::File { file: name.to_owned(), position },
            path: String::new(),
            message,
            suggestion: None,
            remedy: remedy.map(str::to_owned),
        }
    }
}

/// What is wrong with a tree whatever its keys mean. The operator's mistakes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file holds a list or a single value.
    RootIsNoMap,
    /// A key without a value. Taking it as absent would let `require:` with nothing below it pass.
    NoValue(KeyPath),
    /// A key stands twice in one map; this is where it stands again.
    Duplicate(KeyPath, Position),
}

impl Document {
    /// Reads `text`.
    pub(super) fn parse(name: &str, format: Format, text: &str) -> Result<Self, Vec<SyntaxError>> {
        let root = match format {
            Format::Yaml => yaml::parse(text).map_err(|error| vec![error])?,
            Format::Json => yaml::parse_json(text).map_err(|error| vec![error])?,
            Format::Toml => toml::parse(text)?,
        };
        Ok(Self { name: name.to_owned(), root })
    }

    /// The tree, for those who walk it.
    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// What is wrong with the tree as such.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !matches!(self.root.content, Content::Map(_)) && !self.root.is_null() {
            faults.push(Fault::RootIsNoMap);
        }
        collect_faults(&self.root, &KeyPath::root(), &mut faults);
        faults
    }

    /// The values, without the keys that have none; of a repeated key, the first.
    pub(super) fn values(&self) -> Dict {
        match self.root.to_value() {
            Value::Dict(_, values) => values,
            _ => Dict::new(),
        }
    }

    /// Where the key of `path` stands, or that of the nearest thing around it that exists.
    pub(super) fn key_position(&self, path: &KeyPath) -> Position {
        self.nearest(path).0
    }

    /// Where the value of `path` stands: a single value where it begins, a list or a map at its key.
    pub(super) fn value_position(&self, path: &KeyPath) -> Position {
        match self.nearest(path) {
            (_, Some(node)) if matches!(node.content, Content::Single(_)) => node.position,
            (key, _) => key,
        }
    }

    /// Whether there is something at `path`.
    pub(super) fn contains(&self, path: &KeyPath) -> bool {
        self.nearest(path).1.is_some()
    }

    /// The position of the key nearest to `path`, and the node when `path` itself exists.
    fn nearest(&self, path: &KeyPath) -> (Position, Option<&Node>) {
        let mut node = &self.root;
        let mut position = node.position;
        for step in path.steps() {
            let next = match (step, &node.content) {
                (Step::Key(key), Content::Map(entries)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| (entry.position, &entry.value))
                }
                (Step::Index(index), Content::List(items)) => items.get(*index).map(|item| (item.position, item)),
                _ => None,
            };
            match next {
                Some((found, inner)) => (position, node) = (found, inner),
                None => return (position, None),
            }
        }
        (position, Some(node))
    }
}

fn collect_faults(node: &Node, at: &KeyPath, faults: &mut Vec<Fault>) {
    match &node.content {
        Content::Single(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_faults(item, &at.index(index), faults);
            }
        }
        Content::Map(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                let path = at.key(&entry.key);
                if entries.iter().take(index).any(|earlier| earlier.key == entry.key) {
                    faults.push(Fault::Duplicate(path, entry.position));
                } else if entry.value.is_null() {
                    faults.push(Fault::NoValue(path));
                } else {
                    collect_faults(&entry.value, &path, faults);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    const YAML: &str = "listen:\n  https: 0.0.0.0:8443\nsites:\n  - host: a\n    routes:\n      - { path: /x }\n";
    const JSON: &str = "{\n\t\"listen\": {\"https\": \"0.0.0.0:8443\"},\n\t\"sites\": [\n\t\t{\"host\": \"a\", \"routes\": [{ \"path\": \"/x\" }]}\n\t]\n}";
    const TOML: &str =
        "[listen]\nhttps = \"0.0.0.0:8443\"\n[[sites]]\nhost = \"a\"\nroutes = [\n  { path = \"/x\" },\n]\n";

    fn document(format: Format, text: &str) -> Document {
        Document::parse("test", format, text).ok().unwrap()
    }

    fn at(line: usize, column: usize) -> Position {
        Position { line, column }
    }

    #[test]
    fn the_three_formats_give_the_same_values() {
        let yaml = document(Format::Yaml, YAML).values();
        assert_eq!(yaml, document(Format::Json, JSON).values());
        assert_eq!(yaml, document(Format::Toml, TOML).values());
    }

    #[test]
    fn every_format_knows_where_things_stand() {
        let path = KeyPath::root().key("sites").index(0).key("routes").index(0).key("path");
        for (format, text, key, value) in [
            (Format::Yaml, YAML, at(6, 11), at(6, 17)),
            (Format::Json, JSON, at(4, 30), at(4, 38)),
            (Format::Toml, TOML, at(6, 5), at(6, 12)),
        ] {
            let document = document(format, text);
            assert_eq!(document.key_position(&path), key, "{format:?}");
            assert_eq!(document.value_position(&path), value, "{format:?}");
        }
    }

    #[test]
    fn what_is_absent_is_placed_at_the_nearest_thing_around_it() {
        let document = document(Format::Yaml, YAML);
        let absent = KeyPath::root().key("sites").index(0).key("issuer");
        assert_eq!(document.key_position(&absent), at(4, 5));
        assert_eq!(document.key_position(&KeyPath::root().key("tls")), at(1, 1));
    }

    #[test]
    fn keys_without_a_value_and_repeated_keys_are_faults() {
        let root = KeyPath::root();
        for (format, text) in
            [(Format::Yaml, "a:\nb: 1\nb: 2\n"), (Format::Json, "{\"a\": null,\n\"b\": 1,\n\"b\": 2}")]
        {
            let faults = document(format, text).faults();
            assert_eq!(faults, [Fault::NoValue(root.key("a")), Fault::Duplicate(root.key("b"), at(3, 1))]);
        }
        assert_eq!(document(Format::Yaml, "- a\n").faults(), [Fault::RootIsNoMap]);
        assert_eq!(document(Format::Yaml, "# nothing\n").faults(), []);
    }

    #[test]
    fn what_is_read_of_a_repeated_key_is_what_stands_at_its_place() {
        for (format, text) in
            [(Format::Yaml, "a:\na: { b: 1 }\n"), (Format::Json, "{\"a\": null,\n\"a\": { \"b\": 1 }}")]
        {
            let document = document(format, text);
            assert_eq!(document.values(), Dict::new(), "{format:?}");
            assert!(!document.contains(&KeyPath::root().key("a").key("b")), "{format:?}");
        }
    }

    #[test]
    fn broken_text_is_placed() {
        for (format, text, line) in [
            (Format::Yaml, "a: 1\nb: [1,\n", 2),
            (Format::Yaml, "a: 1\nb: !env HOME\n", 2),
            (Format::Yaml, "a: 1\n---\nb: 1\n", 3),
            (Format::Json, "{\n\"a\": 1,}", 2),
            (Format::Json, "a: 1", 1),
            (Format::Toml, "a = 1\na = 2\n", 2),
            (Format::Toml, "a = 1\nb = \n", 2),
        ] {
            let errors = Document::parse("test", format, text).err().unwrap();
            assert_eq!(errors.first().unwrap().position.line, line, "{text}");
        }
    }

    #[test]
    fn a_tab_in_the_indentation_is_named_where_it_is_and_with_its_remedy() {
        for (text, place) in [
            ("listen:\n\thttps: x\n", at(2, 1)),
            ("listen:\n  https: x\n\ttls: y\n", at(3, 1)),
            ("sites:\n  - host: a\n\n \tissuer: b\n", at(4, 2)),
            ("sites:\n  - \thost: a\n    issuer: b\n", at(2, 5)),
            ("a: >\n\tc: d\n", at(2, 1)),
            ("a: x # c\n\tc: d\n", at(2, 1)),
            ("a: [1]\n\tc: d\n", at(2, 1)),
            ("a:\n  - x\n\t# c\n\tb: 1\n", at(3, 1)),
        ] {
            let errors = Document::parse("test", Format::Yaml, text).err().unwrap();
            let error = errors.first().unwrap();
            assert_eq!((error.position, error.remedy), (place, Some("indent with spaces")), "{text:?}");
        }
        for text in ["a: 1\n\t\nb: [1,\n\t2]\n", "a: |\n  b\n  \tc\n", "a:\t1\n"] {
            assert!(Document::parse("test", Format::Yaml, text).is_ok(), "{text:?}");
        }
        let elsewhere = Document::parse("test", Format::Yaml, "a: [1,\n\t2]\nb: 1\nc: ]\n").err().unwrap();
        let remedy = Some("look at indentation, quotes and brackets here and in the lines above");
        assert_eq!((elsewhere[0].position.line, elsewhere[0].remedy), (4, remedy));
    }

    #[test]
    fn text_that_is_no_yaml_has_a_remedy_and_an_alias_of_nothing_has_not_that_one() {
        for text in ["a: 'b\n", "`a: b\n", "a:\n    - b\n   c: d\n", "a: {b: c\n"] {
            let errors = Document::parse("test", Format::Yaml, text).err().unwrap();
            assert!(errors[0].remedy.is_some_and(|remedy| remedy.starts_with("look at indentation")), "{text:?}");
        }
        let errors = Document::parse("test", Format::Yaml, "a: *b\n").err().unwrap();
        assert_eq!(errors[0].remedy, None);
    }

    #[test]
    fn the_column_of_broken_text_counts_characters() {
        for (format, text) in [(Format::Yaml, "\"é\": ]"), (Format::Json, "{\"é\": }"), (Format::Toml, "\"é\" = ]")]
        {
            let place = |text: &str| Document::parse("test", format, text).err().unwrap().first().unwrap().position;
            assert_eq!(place(text), place(&text.replace('é', "e")), "{format:?}");
        }
    }

    #[test]
    fn a_yaml_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{below}]").unwrap();
        }
        assert!(Document::parse("test", Format::Yaml, &text).is_err());
    }
}
