//! Lines of a configuration, each with where it comes from.

/// A configuration that is being written.
#[derive(Debug, Default)]
pub(super) struct Yaml {
    lines: Vec<(String, Option<String>)>,
}

impl Yaml {
    /// A line of its own making.
    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.lines.push((line.into(), None));
    }

    /// A line with a comment that says where it comes from, or why it is there.
    pub(super) fn of(&mut self, line: impl Into<String>, origin: impl Into<String>) {
        self.lines.push((line.into(), Some(origin.into())));
    }

    /// All lines; the comments stand in one column where the lines are short enough.
    pub(super) fn text(&self) -> String {
        const COLUMN: usize = 60;
        let line = |(line, origin): &(String, Option<String>)| match origin {
            Some(origin) => format!("{line:COLUMN$}  # {origin}\n"),
            None => format!("{line}\n"),
        };
        self.lines.iter().map(line).collect()
    }
}

/// A value that YAML reads as this very text.
pub(super) fn text(value: &str) -> String {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
    };
    let is_path = value.starts_with('/') && is_word(value);
    let is_url = value.split_once("://").is_some_and(|(scheme, rest)| {
        ["http", "https"].contains(&scheme) && is_word(&rest.replace(':', "")) && !rest.ends_with(':')
    });
    if is_path || is_url { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

/// A list of such values on one line.
pub(super) fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<_> = values.into_iter().map(text).collect();
    format!("[{}]", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_value_is_it_stays_text() {
        for value in ["no", "1", "a: b", "- x", "/a/b", "https://a.test:8443/x", "#", "\"", "a\nb", "ü", "", "~", "{}"]
        {
            let read: String = serde_saphyr::from_str(&text(value)).unwrap();
            assert_eq!(read, value, "{}", text(value));
        }
        let read: Vec<String> = serde_saphyr::from_str(&list(["a,b", "]", "c"])).unwrap();
        assert_eq!(read, ["a,b", "]", "c"]);
    }
}
