//! The one canonical form of a request's path (law 2): what is matched is what is forwarded, byte for byte.
//!
//! [`CanonicalPath::parse`] refuses what an application could read in more than one way, and normalises the rest as RFC
//! 3986 §6.2.2 says: percent-encoded unreserved characters are decoded, hexadecimal digits upper-cased. It never removes
//! dot segments or joins slashes: a client that sends them is refused, since no browser does.
//!
//! Some spellings have honest uses and a dangerous reading all the same: path parameters (`;jsessionid=…`), an encoded
//! `?` or `#` in a file's name, a dot at the end of a name, a full-width slash or letter. They pass here, and the router
//! refuses them where [`lenient`] finds that another reading would win another route. Letters that only look alike are
//! others: `/adm%C4%B1n`, with the dotless ı, is another path than `/admin`, as `/ADMIN` is, unless a route says
//! `ignore_case`.

use std::borrow::Cow;

use percent_encoding::{percent_decode_str, percent_encode_byte};

use super::lenient;

/// Bytes of a path; longer ones are answered 414 (RFC 9110 §4.1 asks for 8000 at least).
const MAX_LENGTH: usize = 8 * 1024;

/// Why a path is refused. The client's mistake, or its attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than 8 KiB: answered 414, the others 400.
    #[error("the path is longer than 8 KiB")]
    TooLong,
    /// Does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A raw byte that has no place in a path: a control, a space, a byte outside ASCII, or one of ``"#<>?\^`{}``.
    #[error("the path has a character that must be percent-encoded")]
    ForbiddenByte,
    /// A `%` without two hexadecimal digits after it (`%u002e` is one).
    #[error("the path has a % that two hexadecimal digits do not follow")]
    BadEscape,
    /// An encoded `/` or `\`, which some applications decode before they split the path.
    #[error("the path has an encoded slash or backslash")]
    EncodedSeparator,
    /// An encoded `;`, which hides a path parameter from whoever does not decode.
    #[error("the path has an encoded semicolon")]
    EncodedSemicolon,
    /// An encoded `%` before two hexadecimal digits (or `u` and four): decoded twice, it is another character.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// The decoded bytes are not UTF-8; overlong forms are not.
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
    /// An encoded control character: C0, DEL or C1.
    #[error("the path has an encoded control character")]
    Control,
    /// A segment of nothing but dots (and spaces), in any encoding and with or without parameters.
    #[error("the path has a dot segment")]
    DotSegment,
    /// Two slashes in a row, or a segment that is empty once its parameters are taken off.
    #[error("the path has an empty segment")]
    EmptySegment,
}

/// A path that has one meaning, in the form in which it is matched and forwarded. Never with the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    text: Cow<'a, str>,
    /// Nothing in it has a second reading, so the router need not look for one.
    plain: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Reads the path of a request target, without the query. A path that is canonical already is not copied.
    ///
    /// # Errors
    /// [`PathError`], one variant for each thing that is refused.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        if raw.len() > MAX_LENGTH {
            return Err(PathError::TooLong);
        }
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if !raw.bytes().all(may_stand_raw) {
            return Err(PathError::ForbiddenByte);
        }
        let text = normalise(raw)?;
        let plain = !text.contains('%') && !lenient::has_other_readings(&text);
        let decoded = decode(&text)?;
        let folded = lenient::fold(&decoded);
        // A full-width percent sign and digits are an escape to whoever folds them and decodes once more.
        if folded != decoded && folded.split('%').skip(1).any(completes_an_escape) {
            return Err(PathError::DoubleEncoding);
        }
        check_segments(&folded)?;
        Ok(Self { text, plain })
    }

    /// The path, to match and to forward.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same path, kept apart from the request that it came in.
    #[must_use]
    pub fn into_owned(self) -> CanonicalPath<'static> {
        CanonicalPath { text: Cow::Owned(self.text.into_owned()), plain: self.plain }
    }

    /// What remains to forward once `prefix` (whole segments, no slash at its end) is taken off the front: canonical as
    /// well, since no segment changes, and `/` when nothing remains. `None` when the path does not begin with `prefix`.
    /// Segments are compared as the router compares them.
    #[must_use]
    pub fn without_prefix(&self, prefix: &str, ignore_case: bool) -> Option<&str> {
        let mut rest = self.as_str();
        for wanted in prefix.split('/').skip(1) {
            let below = rest.strip_prefix('/')?;
            let end = below.find('/').unwrap_or(below.len());
            let (segment, after) = below.split_at_checked(end)?;
            if segment_key(segment, ignore_case) != segment_key(wanted, ignore_case) {
                return None;
            }
            rest = after;
        }
        Some(if rest.is_empty() { "/" } else { rest })
    }

    /// The path as an application sees it: percent-decoded. Slashes are where they were, for none was encoded.
    pub(super) fn decoded(&self) -> Cow<'_, str> {
        if self.plain { Cow::Borrowed(&self.text) } else { decode_lossy(&self.text) }
    }

    /// The other paths that an application could read this one as, percent-decoded. Empty for nearly every request; `None`
    /// when there are too many.
    pub(super) fn other_readings(&self) -> Option<Vec<String>> {
        if self.plain { Some(Vec::new()) } else { lenient::readings(&self.decoded()) }
    }
}

/// How a segment is compared: decoded, and folded where case does not count.
fn segment_key(segment: &str, ignore_case: bool) -> Cow<'_, str> {
    let decoded = decode_lossy(segment);
    if ignore_case { Cow::Owned(lenient::fold_case(&decoded).into_owned()) } else { decoded }
}

/// Decodes text that is known to be canonical, or a pattern that configuration has checked.
pub(super) fn decode_lossy(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// Unreserved characters, sub-delims, `:`, `@`, `/` and `%` (RFC 3986 §3.3), and `[`, `]`, `|`, which browsers send raw.
const fn may_stand_raw(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'\\' | b'^' | b'`' | b'{' | b'}')
}

/// Brings every percent-encoded byte into its one form (RFC 3986 §6.2.2), or refuses it.
fn normalise(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if !raw.contains('%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, escape)) = rest.split_once('%') {
        let (byte, after) = take_octet(escape).ok_or(PathError::BadEscape)?;
        text.push_str(before);
        match byte {
            b'/' | b'\\' => return Err(PathError::EncodedSeparator),
            b';' => return Err(PathError::EncodedSemicolon),
            byte if byte.is_ascii_control() => return Err(PathError::Control),
            b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            byte => text.push_str(percent_encode_byte(byte)),
        }
        rest = after;
    }
    text.push_str(rest);
    // Looked for in what came out: `%25%32e` has become `%252e` only now.
    if text.split("%25").skip(1).any(completes_an_escape) {
        return Err(PathError::DoubleEncoding);
    }
    Ok(if text == raw { Cow::Borrowed(raw) } else { Cow::Owned(text) })
}

fn take_octet(escape: &str) -> Option<(u8, &str)> {
    let (digits, after) = escape.split_at_checked(2)?;
    // `from_str_radix` would let a plus sign pass.
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok()?;
    hexadecimal.then_some((byte, after))
}

/// Whether `after`, which stands behind an encoded `%`, would make an escape of it: `2e`, or the `u002e` of IIS.
fn completes_an_escape(after: &str) -> bool {
    let hexadecimal = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal(after.get(..2)) || (after.starts_with(['u', 'U']) && hexadecimal(after.get(1..5)))
}

/// The decoded path, which must be UTF-8 without control characters.
fn decode(text: &str) -> Result<Cow<'_, str>, PathError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| PathError::NotUtf8)?;
    if decoded.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    Ok(decoded)
}

/// Refuses the segments that applications take out of a path, each in its own way: empty ones and those of dots only.
///
/// More than two dots are refused too, and spaces among them: on Windows, a name ends before its last dots and spaces.
fn check_segments(text: &str) -> Result<(), PathError> {
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if lenient::without_parameters(segment).is_empty() && segments.peek().is_some() {
            return Err(PathError::EmptySegment);
        }
        let name = segment.split([';', '?', '#', ':']).next().unwrap_or_default();
        if name.contains('.') && name.bytes().all(|byte| matches!(byte, b'.' | b' ')) {
            return Err(PathError::DotSegment);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
