//! The query of a request: never rewritten, never matched against, only held to bytes that cannot end it early.

/// Why a query is refused. The client's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A control, a space, a byte outside ASCII, or a `#`.
    #[error("the query has a character that must be percent-encoded")]
    ForbiddenByte,
}

/// Checks the query (what follows the first `?`, without it), which goes on byte for byte.
///
/// Printable ASCII passes, `"<>\^{|}` and the backtick among it: RFC 3986 §3.4 wants those encoded, but browsers and
/// programs send them raw, and after the first `?` nothing can turn into a path any more. For the same reason a `%` need
/// not begin an escape (`?discount=10%`). A `#` does not pass, because whoever parses the target again would end it
/// there, nor does anything that could end the request line.
///
/// # Errors
/// [`QueryError::ForbiddenByte`].
pub fn check_query(query: &str) -> Result<(), QueryError> {
    let sane = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if sane { Ok(()) } else { Err(QueryError::ForbiddenByte) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_and_programs_send_raw_passes() {
        for query in ["", "a=b&c=%20", "filter={\"a\":[1]}", "a|b^c`d\\e", "discount=10%", "next=/public/../x", "??"] {
            assert_eq!(check_query(query), Ok(()), "{query}");
        }
    }

    #[test]
    fn what_could_end_the_query_or_the_line_is_refused() {
        for query in ["a b", "a#b", "a\r\nX: y", "a\tb", "a\0b", "a\x7fb", "caf\u{e9}"] {
            assert_eq!(check_query(query), Err(QueryError::ForbiddenByte), "{query}");
        }
    }
}
