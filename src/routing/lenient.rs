//! What lenient applications make of a path.
//!
//! A canonical path has one meaning by the standards, and application servers that do not follow them: they cut path
//! parameters off (Tomcat, Jetty), end the path at a decoded `?` or `#` (whoever parses it twice), drop dots and spaces
//! at the end of a name and know `name::$DATA` (Windows), or turn full-width and other compatibility characters into
//! ASCII (NFKC, best-fit code pages). The router looks every such reading up, and refuses the path when it would win
//! another route. So honest file names pass, and nobody reaches `/admin/` by way of a route for something else.
//!
//! Case and letters that merely look alike (`ı` for `i`) are *not* readings: see `ignore_case` for the first.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Between a name and the type of its stream, on NTFS: `admin::$INDEX_ALLOCATION` is the directory `admin`.
const STREAM: &str = "::$";

/// What a path ends at, once it is decoded, for whoever parses it twice.
const QUERY: [char; 2] = ['?', '#'];

/// Bytes of readings that are looked at for one path, and readings that are looked at whatever their length: a path with
/// parameters has no more.
const MOST_TEXT: usize = 16 * 1024;
const FEW_TEXTS: usize = 4;

/// What parameters begin with (RFC 3986 §3.3).
const PARAMETER: char = ';';

/// Whether an ASCII path without percent-encoding may have other readings. Says yes too often rather than too rarely.
pub(super) fn has_other_readings(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b';' | b'$')) || text.contains("./") || text.ends_with('.')
}

/// The readings of a decoded path; the path as it stands may be among them. `None` when there are more than anybody means:
/// looking at them all would keep a core busy for the price of one request.
pub(super) fn readings(decoded: &str) -> Option<Vec<String>> {
    let folded = fold(decoded);
    if !folded.contains(PARAMETER) && !folded.contains(QUERY) && !folded.contains(STREAM) {
        return Some(vec![tidy(&folded)]);
    }
    // Which of these an application does, and in what order, is not to be known: they do not commute. Each changes
    // nothing when it is done again, and only folding gives the others something new to do: the texts are few.
    let until = |text: &str, end: &[char]| text.split(end).next().unwrap_or_default().to_owned();
    let steps: [&dyn Fn(&str) -> String; 4] =
        [&|text| fold(text).into_owned(), &|text| strip_ends(text), &|text| until(text, &QUERY), &|text| {
            until(text, &[PARAMETER])
        }];
    let mut texts = vec![decoded.to_owned()];
    let mut looked_at = 0;
    while let Some(text) = texts.get(looked_at).cloned() {
        for changed in steps.map(|step| step(&text)) {
            if texts.contains(&changed) {
                continue;
            }
            texts.push(changed);
            if texts.len() * decoded.len() > MOST_TEXT && texts.len() > FEW_TEXTS {
                return None;
            }
        }
        looked_at += 1;
    }
    Some(texts.iter().map(|text| tidy(text)).collect())
}

/// The segment without its parameters (RFC 3986 §3.3): `admin;x=y` is `admin`.
pub(super) fn without_parameters(segment: &str) -> &str {
    segment.split(PARAMETER).next().unwrap_or_default()
}

/// Every segment without its parameters or the name of a stream.
fn strip_ends(text: &str) -> String {
    let name = |segment| without_parameters(segment).split(STREAM).next().unwrap_or_default();
    text.split('/').map(name).collect::<Vec<_>>().join("/")
}

/// The path without dots and spaces at the end of names, and with empty segments joined: `/admin./x` is `/admin/x`.
fn tidy(text: &str) -> String {
    let mut path = String::with_capacity(text.len() + 1);
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let name = segment.trim_end_matches(['.', ' ']);
        if !name.is_empty() || segments.peek().is_none() {
            path.push('/');
            path.push_str(name);
        }
    }
    path
}

/// Replaces the characters of which Unicode's compatibility forms (NFKC) or a best-fit code page make ASCII: `．` is a dot,
/// `︰` are two, `％` is a percent sign, `ａ` the letter a. A backslash counts as a slash. Everything else is left as it is.
pub(super) fn fold(decoded: &str) -> Cow<'_, str> {
    if decoded.is_ascii() {
        return Cow::Borrowed(decoded);
    }
    let compatible = ComposingNormalizerBorrowed::new_nfkc();
    let mut folded = String::with_capacity(decoded.len());
    for character in decoded.chars() {
        let mut buffer = [0; 4];
        let whole: &str = character.encode_utf8(&mut buffer);
        let form = if whole.is_ascii() { Cow::Borrowed(whole) } else { compatible.normalize(whole) };
        if form.chars().map(best_fit).all(|form| form.is_ascii()) {
            folded.extend(form.chars().map(best_fit));
        } else {
            folded.push(character);
        }
    }
    Cow::Owned(folded)
}

/// What structures a path in some code page, and has no compatibility form.
const fn best_fit(character: char) -> char {
    match character {
        // ¥ and ₩ are the backslash of the code pages 932 and 949.
        '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{2216}' | '\u{29f5}' | '\\' | '\u{a5}' | '\u{20a9}' => '/',
        other => other,
    }
}

/// The text as it is compared where case does not count: each character by its upper case and the lower case of that, so
/// that `K` (Kelvin), `ſ` and `ı` fall together with the letters that some system takes them for. Characters whose other
/// case is longer than one are left alone.
pub(super) fn fold_case(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let fold = |character: char| {
        let upper = only(character.to_uppercase()).unwrap_or(character);
        only(upper.to_lowercase()).unwrap_or(upper)
    };
    Cow::Owned(text.chars().map(fold).collect())
}

/// The character that a mapping of case makes, when it is one.
fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    mapped.next().filter(|_| mapped.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(decoded: &str) -> Vec<String> {
        super::readings(decoded).unwrap()
    }

    #[test]
    fn parameters_encoded_delimiters_and_ends_of_names_are_read_every_way() {
        assert_eq!(readings("/admin./x"), ["/admin/x"]);
        assert!(readings("/admin::$INDEX_ALLOCATION/x").contains(&"/admin/x".to_owned()));
        assert_eq!(readings("/ /admin /x"), ["/admin/x"]);
        assert_eq!(readings("/a\u{ff0f}b"), ["/a/b"]);
        assert!(readings("/::$DATA?/a?").contains(&"/a".to_owned()));
        assert!(readings("/admin;x=y/z").contains(&"/admin/z".to_owned()));
        assert!(readings("/admin/x;y/z").contains(&"/admin/x".to_owned()));
        assert!(readings("/admin?x/y").contains(&"/admin".to_owned()));
        assert!(readings("/a;p?q/b/c").contains(&"/a/b/c".to_owned()));
        assert!(readings("/a;p/b;q?r/c").contains(&"/a/b".to_owned()));
        assert!(readings("/a/b;p?q/c").contains(&"/a/b".to_owned()));
    }

    #[test]
    fn parameters_end_before_or_after_their_characters_become_ascii() {
        // The slash is part of a parameter to whoever cuts first, and parts two segments for whoever folds first.
        let both = readings("/ ;\u{ff0f}x/admin");
        assert!(both.contains(&"/admin".to_owned()) && both.contains(&"/x/admin".to_owned()), "{both:?}");
        let both = readings("/a;p\u{ff1f}q/b");
        assert!(both.contains(&"/a/b".to_owned()) && both.contains(&"/a".to_owned()), "{both:?}");
        assert!(readings("/;\u{ff1b}?\u{ff1f}#\u{ff03}::$\u{ff0f}").len() < 100);
    }

    #[test]
    fn more_readings_than_anybody_means_are_not_looked_at() {
        let everything = "/a;b\u{ff1f}c\u{ff0f}d::$e/f\u{ff1b}g?h/i::$j\u{ff0f}k;l#m/n\u{ff03}o;p";
        assert!(super::readings(everything).is_some());
        assert_eq!(super::readings(&format!("{}{everything}", "/x".repeat(3_500))), None);
        let ordinary = format!("/{};jsessionid=0/y", "x".repeat(8_000));
        assert!(super::readings(&ordinary).is_some());
    }

    #[test]
    fn what_becomes_ascii_in_a_compatibility_form_is_read_as_that() {
        for (text, folded) in [
            ("/\u{fe30}/x", "/../x"),
            ("/\u{2025}\u{ff3c}x", "/../x"),
            ("/\u{ff05}\u{ff12}\u{ff45}", "/%2e"),
            ("/\u{ff41}d\u{1d426}\u{2148}n", "/admin"),
            ("/\u{2488}\u{2047}\u{fe14}", "/1.??;"),
            ("/\u{2100}\u{bd}", "/a/c1/2"),
            ("/a\u{a5}b\u{ffe6}c", "/a/b/c"),
        ] {
            assert_eq!(fold(text), folded);
        }
        for text in ["/\u{e9}", "/e\u{301}", "/\u{ff76}", "/adm\u{131}n", "/\u{430}dmin", "/\u{200b}", "/\u{ac00}"] {
            assert_eq!(fold(text), text, "stays");
        }
    }

    #[test]
    fn a_slash_at_the_end_stays() {
        assert_eq!(readings("/admin%/"), ["/admin%/"]);
        assert_eq!(readings("/"), ["/"]);
    }

    #[test]
    fn case_folds_to_what_some_system_takes_for_the_same_letter() {
        for text in ["admin", "ADMIN", "adm\u{131}n"] {
            assert_eq!(fold_case(text), "admin");
        }
        assert_eq!(fold_case("\u{212a}\u{17f}\u{dc}"), "ks\u{fc}");
        assert_eq!(fold_case("\u{df}"), "\u{df}");
    }
}
