//! Paths as the router matches them: canonical, so that a rule is never written in a spelling that no request has.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::super::Mistake;
use crate::config::PathPattern;

/// Everything below this is Usher's own.
const OWN: &str = "/.usher";

/// The path of a route: a prefix when it ends in a slash, else exact.
pub(in crate::config::check) fn path_pattern(text: &str) -> Result<PathPattern, Mistake> {
    let sign = text.chars().find(|one| ['*', '{'].contains(one)).or(text.starts_with('^').then_some('^'));
    if let Some(sign) = sign {
        // A pattern that nobody matches would leave what it was meant to guard to a weaker route.
        let message = format!("has a {sign}, and there are no patterns");
        // Only what covers as much as was meant, and no more: whoever opens a route would open the rest.
        let whole = text.trim_end_matches('*');
        let is_whole = whole.ends_with('/') && !whole.contains(['*', '{', '(']) && canonical_path(whole).is_ok();
        let meant = if is_whole { format!("{whole} for that") } else { "/admin/ for /admin/*".to_owned() };
        return Err(Mistake::new(message, format!("a path that ends in / covers everything below it: write {meant}")));
    }
    let path = canonical_path(text)?;
    Ok(if path.ends_with('/') { PathPattern::Prefix(path) } else { PathPattern::Exact(path) })
}

/// A prefix to take off: whole segments, without the slash at its end.
pub(in crate::config::check) fn strip_prefix(text: &str) -> Result<String, Mistake> {
    let path = canonical_path(text)?;
    match path.strip_suffix('/').unwrap_or(&path) {
        "" => Err(Mistake::new("takes nothing off", "take the key out")),
        prefix => Ok(prefix.to_owned()),
    }
}

/// A canonical path (RFC 3986 §6.2): absolute, no empty or dot segments, and only such characters percent-encoded as
/// cannot stand for themselves, in upper-case digits.
pub(in crate::config::check) fn canonical_path(text: &str) -> Result<String, Mistake> {
    if !text.starts_with('/') {
        let path = Url::parse(text).ok().filter(Url::has_host).map_or(format!("/{text}"), |url| url.path().to_owned());
        return Err(Mistake::new("must begin with /", format!("write {path}")));
    }
    if let Some(part) = text.find(['?', '#']) {
        let path = text.get(..part).unwrap_or_default();
        return Err(Mistake::new("must be a path without query and fragment", format!("write {path}")));
    }
    if text.contains("//") {
        let single = text.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/");
        let end = if text.ends_with('/') && !single.is_empty() { "/" } else { "" };
        return Err(Mistake::new("has an empty segment, which no request keeps", format!("write /{single}{end}")));
    }
    if text.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Mistake::new("has a dot segment, which no request keeps", format!("write {}", resolved(text))));
    }
    characters(text)?;
    if text.eq_ignore_ascii_case(OWN) || text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("/.usher/")) {
        return Err(Mistake::new("lies below /.usher/, which is Usher's own", "choose another path"));
    }
    Ok(text.to_owned())
}

/// RFC 3986 §5.2.4.
fn resolved(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with("/.") || path.ends_with("/..") { "/" } else { "" };
    format!("/{}{end}", kept.join("/")).replace("//", "/")
}

fn characters(text: &str) -> Result<(), Mistake> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            encoded([bytes.next(), bytes.next()])?;
        } else if is_refused(byte) {
            return Err(refused());
        } else if !(byte == b'/' || is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)) {
            let encoded = utf8_percent_encode(text, &NOT_IN_PATHS);
            return Err(Mistake::new("has a character that paths spell percent-encoded", format!("write {encoded}")));
        }
    }
    Ok(())
}

fn encoded(digits: [Option<u8>; 2]) -> Result<(), Mistake> {
    let value = |digit: Option<u8>| char::from(digit?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (Some(high), Some(low)) = (value(digits[0]), value(digits[1])) else {
        return Err(Mistake::new("has a % without two digits", "write a percent sign as %25"));
    };
    let byte = high * 16 + low;
    if byte == b'/' || is_refused(byte) {
        Err(refused())
    } else if is_unreserved(byte) {
        let message = "encodes a character that stands for itself";
        Err(Mistake::new(message, format!("write {} plainly", char::from(byte))))
    } else if digits.into_iter().flatten().any(|digit| digit.is_ascii_lowercase()) {
        Err(Mistake::new("has a % without two upper-case digits", format!("write %{byte:02X}")))
    } else {
        Ok(())
    }
}

/// A backslash is a slash to some applications, and control characters end what they read.
fn is_refused(byte: u8) -> bool {
    byte == b'\\' || byte.is_ascii_control()
}

fn refused() -> Mistake {
    let remedy = "take it out: slashes that are encoded, backslashes and control characters are answered 400";
    Mistake::new("has a character that is refused in every request", remedy)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Percent-encodes what cannot stand for itself, and leaves what may be encoded already.
const NOT_IN_PATHS: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'%');

/// Whether `pattern` covers `path`, in whole segments: `/admin/` covers `/admin` and `/admin/x`, never `/administrator`.
pub(in crate::config::check) fn covers(pattern: &PathPattern, path: &str, ignore_case: bool) -> bool {
    let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    match pattern {
        PathPattern::Exact(exact) => fold(exact) == fold(path),
        PathPattern::Prefix(prefix) => {
            let (prefix, path) = (fold(prefix), fold(path));
            path.starts_with(&prefix) || prefix.strip_suffix('/') == Some(path.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths_pass() {
        for path in ["/", "/a", "/a/", "/a.b/~c/d-e_f", "/k%C3%A4se", "/a%20b", "/a:b@c", "/.well-known/x", "/.ushers"]
        {
            assert_eq!(canonical_path(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn spellings_that_no_request_has_are_refused() {
        for path in [
            "",
            "a",
            "//",
            "/a//b",
            "/a/../b",
            "/.",
            "/a/.",
            "/a?b",
            "/a#b",
            "/%61",
            "/%7Ea",
            "/%2e%2e",
            "/%2F",
            "/%5C",
            "/%00",
            "/%c3%a4",
            "/%",
            "/%2",
            "/a b",
            "/a\\b",
            "/käse",
            "/a{b",
            "/.usher",
            "/.usher/x",
            "/.Usher/x",
            "/a\u{7f}",
        ] {
            assert!(canonical_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_remedy_is_the_canonical_spelling() {
        assert_eq!(canonical_path("/käse platte").unwrap_err().advice, "write /k%C3%A4se%20platte");
    }

    #[test]
    fn prefixes_cover_whole_segments() {
        let admin = PathPattern::Prefix("/admin/".into());
        assert!(covers(&admin, "/admin", false) && covers(&admin, "/admin/x", false));
        assert!(!covers(&admin, "/administrator", false) && !covers(&admin, "/Admin/x", false));
        assert!(covers(&admin, "/Admin/x", true));
        assert!(covers(&PathPattern::Prefix("/".into()), "/x", false));
        assert!(!covers(&PathPattern::Exact("/a".into()), "/a/", false));
    }
}
