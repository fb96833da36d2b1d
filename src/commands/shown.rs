//! Names that others have chosen, on a terminal.

/// The text with everything escaped that cannot be seen: whoever chooses a subject must neither draw on a terminal nor turn
/// around what stands beside it, as control and formatting characters and the separators of lines do.
pub(super) fn shown(text: &str) -> String {
    // Quotes can be seen, and nothing is put into any here.
    text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped_and_everything_else_stays() {
        for name in ["alice", "O'Brien \"Bob\"", "Zoe\u{308} \u{5e9}\u{5dc}\u{5d5}\u{5dd}", "a b@x.test"] {
            assert_eq!(shown(name), name);
        }
        for (letter, escaped) in [
            ('\u{1b}', "\\u{1b}"),
            ('\n', "\\n"),
            ('\u{9b}', "\\u{9b}"),
            ('\u{202e}', "\\u{202e}"),
            ('\u{200f}', "\\u{200f}"),
            ('\u{2066}', "\\u{2066}"),
            ('\u{feff}', "\\u{feff}"),
            ('\u{2028}', "\\u{2028}"),
            ('\u{2029}', "\\u{2029}"),
            ('\\', "\\\\"),
        ] {
            assert_eq!(shown(&format!("a{letter}'b")), format!("a{escaped}'b"));
        }
    }
}
