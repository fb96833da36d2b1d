//! Single values whose form the protocols prescribe.

mod header;
mod host;
mod path;
mod url;

pub(super) use header::{header_name, header_value, identity_header_name, method};
pub(super) use host::{email_domain, host_pattern, host_value, origin};
pub(super) use path::{canonical_path, covers, path_pattern, strip_prefix};
pub(super) use url::{base_url, endpoint, upstream_address};

use super::Mistake;

/// A cookie name: a token (RFC 6265 §4.1.1), and not one of Usher's own.
pub(super) fn cookie_name(name: &str) -> Result<String, Mistake> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        Err(Mistake::new("is not a cookie name", "write the name alone, as in access_token"))
    } else if name.to_ascii_lowercase().starts_with("__host-usher-") {
        Err(Mistake::new("is a cookie of Usher's own", "name the cookie of the existing service"))
    } else {
        Ok(name.to_owned())
    }
}

/// A word of a scope (RFC 6749 §3.3).
pub(super) fn scope_word(word: &str) -> Result<String, Mistake> {
    let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if !word.is_empty() && word.bytes().all(allowed) {
        Ok(word.to_owned())
    } else {
        Err(Mistake::new(
            "is not one word of a scope",
            "write the words one by one, without spaces, quotes and backslashes",
        ))
    }
}

/// A JSON Pointer (RFC 6901) to something inside a document.
pub(super) fn json_pointer(text: &str) -> Result<String, Mistake> {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if text.starts_with('/') && escapes {
        Ok(text.to_owned())
    } else {
        Err(Mistake::new("is not a JSON Pointer", "begin each name with a slash, as in /data/accessToken"))
    }
}

/// Any text that is not empty.
pub(super) fn text(text: &str) -> Result<String, Mistake> {
    if text.trim().is_empty() {
        Err(Mistake::new("is empty", "write something, or take the key out"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_names_are_tokens_and_not_ours() {
        assert!(cookie_name("access_token").is_ok());
        for name in ["", "a b", "a=b", "a;b", "__Host-usher-access", "__host-USHER-x", "ä"] {
            assert!(cookie_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn pointers_begin_with_a_slash_and_escape_properly() {
        for pointer in ["/a", "/a/b~0c", "/~1"] {
            assert!(json_pointer(pointer).is_ok(), "{pointer}");
        }
        for pointer in ["", "a", "/~", "/~2"] {
            assert!(json_pointer(pointer).is_err(), "{pointer}");
        }
    }

    #[test]
    fn scope_words_have_no_spaces_quotes_and_backslashes() {
        assert!(scope_word("https://example.com/read:x").is_ok());
        for word in ["", "a b", "a\"", "a\\", "ä"] {
            assert!(scope_word(word).is_err(), "{word}");
        }
    }
}
