//! Other spellings of a path: the same letters in the other case.
//!
//! Where case does not count, one route has them all, and no list of routes in its place has. So beside the obvious ones there
//! is one that no configuration writes down.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config::PathPattern;

/// A letter as it is written, and in the other case. Whatever has no case is the same twice.
type Letter = (String, String);

/// All letters in the other case, each of them alone, and the first mixture that none of `patterns` is spelled like.
pub(super) fn others(path: &str, patterns: &[PathPattern]) -> Vec<String> {
    let letters = letters(path);
    let cased: Vec<usize> =
        letters.iter().enumerate().filter(|(_, (one, other))| one != other).map(|(index, _)| index).collect();
    let mut spellings = vec![spelled(&letters, |_| true)];
    spellings.extend(cased.iter().map(|only| spelled(&letters, |index| index == *only)));
    let is_written = |spelling: &str| patterns.iter().any(|pattern| bare(&pattern.to_string()) == bare(spelling));
    // Counting in binary; one more than there are patterns is enough to find one, and few letters have fewer spellings.
    let mut mixtures = (1..=patterns.len() + 1).map(|number| {
        let is_other = |index| {
            let digit = cased.iter().position(|at| *at == index).and_then(|at| u32::try_from(at).ok());
            digit.and_then(|digit| number.checked_shr(digit)).is_some_and(|rest| rest & 1 == 1)
        };
        spelled(&letters, is_other)
    });
    spellings.extend(mixtures.find(|spelling| !is_written(spelling)));
    spellings.retain(|spelling| spelling != path);
    spellings
}

fn bare(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn spelled(letters: &[Letter], is_other: impl Fn(usize) -> bool) -> String {
    letters.iter().enumerate().map(|(index, (one, other))| if is_other(index) { &**other } else { &**one }).collect()
}

/// The letters of a path; one that is percent-encoded stays so, as does everything else that is.
fn letters(path: &str) -> Vec<Letter> {
    let mut letters = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (written, other) = if first == '%' {
            encoded(rest).unwrap_or_else(|| (rest.get(..3).unwrap_or(rest), None))
        } else {
            (rest.get(..first.len_utf8()).unwrap_or(rest), other_case(first).map(String::from))
        };
        letters.push((written.to_owned(), other.unwrap_or_else(|| written.to_owned())));
        rest = rest.strip_prefix(written).unwrap_or_default();
    }
    letters
}

/// The letter beyond ASCII that a path begins with, which is two to four bytes of UTF-8.
fn encoded(path: &str) -> Option<(&str, Option<String>)> {
    (2..=4).find_map(|bytes| {
        let written = path.get(..3 * bytes)?;
        let decoded = percent_decode_str(written).decode_utf8().ok()?;
        let mut characters = decoded.chars();
        let letter = characters.next().filter(|_| characters.next().is_none())?;
        let encode = |letter: char| utf8_percent_encode(letter.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC).to_string();
        Some((written, other_case(letter).map(encode)))
    })
}

/// The other case, where that is one letter as well.
fn other_case(letter: char) -> Option<char> {
    let forms = [letter.to_uppercase().collect::<Vec<_>>(), letter.to_lowercase().collect()];
    forms.into_iter().find_map(|form| match form[..] {
        [other] if other != letter => Some(other),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_changes_its_case_and_nothing_else_does() {
        assert_eq!(others("/a%3D1", &[]), ["/A%3D1", "/A%3D1", "/A%3D1"]);
        assert_eq!(others("/%C3%BC/%E2%82%AC", &[])[0], "/%C3%9C/%E2%82%AC");
        assert_eq!(others("/1%2", &[]), [""; 0]);
    }

    #[test]
    fn one_of_them_no_pattern_is_spelled_like() {
        let prefix = |path: &str| PathPattern::Prefix(path.to_owned());
        let patterns = ["/ab/", "/Ab/", "/aB/"].map(prefix);
        assert!(others("/ab/", &patterns).contains(&"/AB/".to_owned()));
        let patterns = ["/abc/", "/Abc/", "/aBc/", "/abC/", "/ABC/"].map(prefix);
        assert_eq!(others("/abc/", &patterns).last().map(String::as_str), Some("/ABc/"));
        assert_eq!(others("/abc", &patterns).last().map(String::as_str), Some("/ABc"));
    }
}
