//! One logical cookie, in as many pieces as its value takes: reading them, and the lines that set and clear them.

use http::HeaderValue;

/// Bytes of a cookie's value that every browser keeps, name and attributes included in the 4096 (RFC 6265bis §5.5).
pub(super) const PIECE_BYTES: usize = 3_800;
/// Pieces of one logical cookie; what is longer is refused loudly instead of being cut.
pub const MAX_PIECES: usize = 5;
/// A browser keeps no cookie for longer (RFC 6265bis §5.5).
const MAX_AGE_CAP: u64 = 400 * 24 * 60 * 60;

/// One logical cookie.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) base: String,
    /// An existing service's cookie is never split: `NAME-1` may be somebody else's.
    pub(super) max_pieces: usize,
}

/// What a request carries under one logical name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The value, pieces joined.
    pub value: FoundValue,
    /// How many pieces the browser has; a shorter value must clear the rest.
    pub(super) pieces: usize,
}

/// The value of a logical cookie in a request.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum FoundValue {
    /// There is none.
    #[default]
    Absent,
    /// There is one.
    Present(String),
    /// The name comes twice, or a piece is missing.
    Unusable,
}

/// A new value cannot stand in cookies: too long, or with bytes that a cookie cannot hold (RFC 6265 §4.1.1). The issuer's
/// tokens are not made for cookies; the operator needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token of {bytes} bytes cannot be kept in cookies: at most {limit} bytes of printable ASCII can")]
pub struct Unstorable {
    /// What would have to be stored.
    pub bytes: usize,
    /// What can be.
    pub limit: usize,
}

impl Name {
    /// Which piece of this cookie a name is: 0 for the base itself, n for `base-n`.
    pub(super) fn piece(&self, name: &[u8]) -> Option<usize> {
        match name.strip_prefix(self.base.as_bytes())? {
            [] => Some(0),
            [b'-', digit @ b'1'..=b'9'] => Some(usize::from(digit - b'0')).filter(|index| *index < self.max_pieces),
            _ => None,
        }
    }

    fn piece_name(&self, piece: usize) -> String {
        if piece == 0 { self.base.clone() } else { format!("{}-{piece}", self.base) }
    }

    pub(super) fn set(&self, value: &str, max_age: u64, in_browser: usize) -> Result<Vec<HeaderValue>, Unstorable> {
        let limit = PIECE_BYTES * self.max_pieces;
        let unstorable = Unstorable { bytes: value.len(), limit };
        if value.is_empty() || value.len() > limit || !value.bytes().all(is_cookie_octet) {
            return Err(unstorable);
        }
        let mut lines = Vec::with_capacity(1);
        for (index, piece) in value.as_bytes().chunks(PIECE_BYTES).enumerate() {
            let piece = std::str::from_utf8(piece).map_err(|_| unstorable)?;
            lines.extend(line(&self.piece_name(index), piece, max_age));
        }
        let cleared = self.clear_from(lines.len(), in_browser);
        lines.extend(cleared);
        Ok(lines)
    }

    pub(super) fn clear_from(&self, from: usize, to: usize) -> Vec<HeaderValue> {
        (from..to).filter_map(|piece| line(&self.piece_name(piece), "", 0)).collect()
    }
}

/// The pieces of one logical cookie as they are found.
#[derive(Default)]
pub(super) struct Pieces<'r> {
    values: [Option<&'r [u8]>; MAX_PIECES],
    twice: bool,
}

impl<'r> Pieces<'r> {
    pub(super) fn add(&mut self, index: usize, value: &'r [u8]) {
        match self.values.get_mut(index) {
            Some(slot @ None) => *slot = Some(value),
            _ => self.twice = true,
        }
    }

    /// An empty value counts as absent: some clients send a cleared cookie once more. The browser has it all the same.
    pub(super) fn join(&self) -> Found {
        let are_full = self.values.map(|value| value.is_some_and(|value| !value.is_empty()));
        let pieces = self.values.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let full = are_full.iter().rposition(|full| *full).map_or(0, |last| last + 1);
        let present: Vec<&[u8]> = self.values.iter().flatten().copied().filter(|value| !value.is_empty()).collect();
        let value = if full == 0 && !self.twice {
            FoundValue::Absent
        } else if self.twice || present.len() != full {
            FoundValue::Unusable
        } else {
            String::from_utf8(present.concat()).map_or(FoundValue::Unusable, FoundValue::Present)
        };
        Found { value, pieces }
    }
}

/// `cookie-octet` (RFC 6265 §4.1.1).
const fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

pub(super) fn line(name: &str, value: &str, max_age: u64) -> Option<HeaderValue> {
    let max_age = max_age.min(MAX_AGE_CAP);
    HeaderValue::try_from(format!("{name}={value}; Max-Age={max_age}; Path=/; Secure; HttpOnly; SameSite=Lax")).ok()
}
