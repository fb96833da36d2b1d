//! Usher's cookies: reading them out of a request, keeping them from the application, writing them into an answer.
//!
//! One logical cookie may be split over several (`NAME`, `NAME-1`, …), because a browser keeps about 4 KiB each. The rule
//! for doubles is one: a name that comes twice is no session at all, whatever the values (C04); the answer clears it.
//! This module does not know what a cookie means.

mod name;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use self::name::{Name, Pieces, line};
use crate::config::Cookies;

pub use self::name::{Found, FoundValue, MAX_PIECES, Unstorable};

/// Clears what the browser keeps for the whole site, cookies of every name included (W3C Clear Site Data).
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

const OWN_PREFIX: &str = "__Host-usher-";
const OWN_ACCESS: &str = "__Host-usher-access";
const OWN_REFRESH: &str = "__Host-usher-refresh";
const OWN_SESSION: &str = "__Host-usher-session";

/// The names of the cookies that make a session: one with a key to it, or two with its tokens. Of the other kind, which the
/// browser may have from before, values are read and cleared.
#[derive(Clone, Debug)]
pub struct CookieNames {
    access: Name,
    refresh: Name,
    session: Name,
    hold_tokens: bool,
}

/// The logical cookies of a request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FoundCookies {
    /// The one with the access token.
    pub access: Found,
    /// The one with the refresh token.
    pub refresh: Found,
    /// The one with the key to a session.
    pub session: Found,
    /// Whatever else is Usher's own: of sign-ins under way.
    pub others: Vec<OtherCookie>,
}

/// A cookie of Usher's own that carries no session.
#[derive(Clone, PartialEq, Eq)]
pub struct OtherCookie {
    /// What follows the prefix: letters, digits, `-` and `_`.
    pub name: String,
    /// The value.
    pub value: String,
}

/// How many pieces of each cookie the browser has: what a shorter value, or a clearing, must clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InBrowser {
    access: usize,
    refresh: usize,
    session: usize,
}

impl CookieNames {
    /// The names for this kind of cookies.
    #[must_use]
    pub fn new(cookies: &Cookies) -> Self {
        let own = |base: &str| Name { base: base.to_owned(), max_pieces: MAX_PIECES };
        let whole = |base: &str| Name { base: base.to_owned(), max_pieces: 1 };
        let (access, refresh) = match cookies {
            Cookies::Sealed | Cookies::Stored => (own(OWN_ACCESS), own(OWN_REFRESH)),
            Cookies::Raw { access, refresh } => (whole(access), whole(refresh)),
        };
        Self { access, refresh, session: whole(OWN_SESSION), hold_tokens: *cookies != Cookies::Stored }
    }

    /// Reads the cookies out of all `Cookie` lines and takes them out of the request, so that the application never sees
    /// them (law 9). What remains keeps its bytes and order, on one line (RFC 9113 §8.2.3).
    pub fn take(&self, headers: &mut HeaderMap) -> FoundCookies {
        if !headers.contains_key(COOKIE) {
            return FoundCookies::default();
        }
        let mut access = Pieces::default();
        let mut refresh = Pieces::default();
        let mut session = Pieces::default();
        let mut others: Vec<u8> = Vec::new();
        let mut own = Vec::new();
        let mut rewrite = headers.get_all(COOKIE).iter().nth(1).is_some();
        for pair in headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
            let pair = pair.trim_ascii();
            let (name, value) = split_pair(pair);
            if let Some(piece) = self.access.piece(name) {
                access.add(piece, value);
            } else if let Some(piece) = self.refresh.piece(name) {
                refresh.add(piece, value);
            } else if let Some(piece) = self.session.piece(name) {
                session.add(piece, value);
            } else if !is_own(name) {
                if !others.is_empty() {
                    others.extend_from_slice(b"; ");
                }
                others.extend_from_slice(pair);
                continue;
            } else {
                own.extend(other_cookie(name, value));
            }
            rewrite = true;
        }
        let (access, refresh, session) = (access.join(), refresh.join(), session.join());
        let found = FoundCookies { access, refresh, session, others: own };
        if rewrite {
            headers.remove(COOKIE);
            if let Ok(value) = HeaderValue::from_bytes(&others)
                && !others.is_empty()
            {
                headers.insert(COOKIE, value);
            }
        }
        found
    }

    /// Whether a `Set-Cookie` line of the application sets one of these cookies, or any that only Usher may set. A cookie
    /// without a name is what its value says: browsers send `=NAME=VALUE` back as `NAME=VALUE`, and `NAME` as `NAME`.
    #[must_use]
    pub fn reserves(&self, set_cookie: &HeaderValue) -> bool {
        let pair = set_cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let nameless = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
        let start = pair.iter().position(|byte| !nameless(byte)).unwrap_or(pair.len());
        let (name, _) = split_pair(pair.get(start..).unwrap_or_default().trim_ascii());
        is_own(name) || self.access.piece(name).is_some() || self.refresh.piece(name).is_some()
    }

    /// `Set-Cookie` lines that store the access token's value for `max_age` seconds, and clear the pieces of a longer value
    /// that the browser still has.
    ///
    /// # Errors
    /// [`Unstorable`] when no browser would keep it.
    pub fn set_access(&self, value: &str, max_age: u64, browser: InBrowser) -> Result<Vec<HeaderValue>, Unstorable> {
        self.access.set(value, max_age, browser.access)
    }

    /// The same for the refresh token's value.
    ///
    /// # Errors
    /// [`Unstorable`] when no browser would keep it.
    pub fn set_refresh(&self, value: &str, max_age: u64, browser: InBrowser) -> Result<Vec<HeaderValue>, Unstorable> {
        self.refresh.set(value, max_age, browser.refresh)
    }

    /// `Set-Cookie` lines that store the key to a session, and clear the tokens that the browser still has.
    #[must_use]
    pub fn set_session(&self, key: &str, max_age: u64, browser: InBrowser) -> Vec<HeaderValue> {
        let mut lines: Vec<_> = line(OWN_SESSION, key, max_age).into_iter().collect();
        lines.extend(self.clear_other_kind(browser));
        lines
    }

    /// `Set-Cookie` lines that clear the cookies, every piece that the browser has, with the attributes they were set with
    /// (C02).
    #[must_use]
    pub fn clear(&self, browser: InBrowser) -> Vec<HeaderValue> {
        let mut lines = if self.hold_tokens {
            let mut lines = self.access.clear_from(0, browser.access.max(1));
            lines.extend(self.refresh.clear_from(0, browser.refresh.max(1)));
            lines
        } else {
            self.session.clear_from(0, 1)
        };
        lines.extend(self.clear_other_kind(browser));
        lines
    }

    /// `Set-Cookie` lines that clear what the browser has of the kind that is not used.
    #[must_use]
    pub fn clear_other_kind(&self, browser: InBrowser) -> Vec<HeaderValue> {
        if self.hold_tokens {
            return self.session.clear_from(0, browser.session);
        }
        let mut lines = self.access.clear_from(0, browser.access);
        lines.extend(self.refresh.clear_from(0, browser.refresh));
        lines
    }

    /// `Set-Cookie` lines that clear whatever the browser has of the refresh token's.
    #[must_use]
    pub fn clear_refresh(&self, browser: InBrowser) -> Vec<HeaderValue> {
        self.refresh.clear_from(0, browser.refresh)
    }

    /// Takes the cookies that only Usher may set out of an application's answer, and what would clear them; returns how
    /// many there were, for the log.
    pub fn remove_reserved(&self, headers: &mut HeaderMap) -> usize {
        keep_cookies(headers) + self.remove_reserved_cookies(headers)
    }

    fn remove_reserved_cookies(&self, headers: &mut HeaderMap) -> usize {
        if !headers.get_all(SET_COOKIE).iter().any(|line| self.reserves(line)) {
            return 0;
        }
        let (removed, kept): (Vec<_>, Vec<_>) =
            headers.get_all(SET_COOKIE).iter().cloned().partition(|line| self.reserves(line));
        headers.remove(SET_COOKIE);
        for line in kept {
            headers.append(SET_COOKIE, line);
        }
        removed.len()
    }
}

impl FoundCookies {
    /// Whether the request carries any of the cookies, usable or not.
    #[must_use]
    pub fn any(&self) -> bool {
        self.access.pieces > 0 || self.refresh.pieces > 0 || self.session.pieces > 0
    }

    /// Each of the two with tokens as if it had come alone.
    #[must_use]
    pub fn apart(&self) -> [Self; 2] {
        let absent = || Found { value: FoundValue::Absent, pieces: 0 };
        [
            Self { access: self.access.clone(), refresh: absent(), session: absent(), others: Vec::new() },
            Self { access: absent(), refresh: self.refresh.clone(), session: absent(), others: Vec::new() },
        ]
    }

    /// What the browser has.
    #[must_use]
    pub const fn in_browser(&self) -> InBrowser {
        InBrowser { access: self.access.pieces, refresh: self.refresh.pieces, session: self.session.pieces }
    }
}

/// `Clear-Site-Data` without what would clear Usher's cookies; the rest of it stays. Returns how many words went.
fn keep_cookies(headers: &mut HeaderMap) -> usize {
    if !headers.contains_key(CLEAR_SITE_DATA) {
        return 0;
    }
    let lines: Vec<_> = headers.get_all(CLEAR_SITE_DATA).iter().cloned().collect();
    let words = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let (removed, kept): (Vec<_>, Vec<_>) =
        words.partition(|word| word.eq_ignore_ascii_case(b"\"cookies\"") || word == b"\"*\"");
    if removed.is_empty() {
        return 0;
    }
    headers.remove(CLEAR_SITE_DATA);
    let everything_else: &[&[u8]] =
        if removed.contains(&b"\"*\"".as_slice()) { &[b"\"cache\"", b"\"storage\""] } else { &kept };
    if let Ok(value) = HeaderValue::from_bytes(&everything_else.join(b", ".as_slice()))
        && !value.is_empty()
    {
        headers.insert(CLEAR_SITE_DATA, value);
    }
    removed.len()
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    let name = parts.next().unwrap_or_default().trim_ascii();
    (name, parts.next().unwrap_or_default().trim_ascii())
}

/// Everything under the prefix is Usher's, known or not, in any case: an application that folds names must not be able
/// to confuse it with its own.
fn is_own(name: &[u8]) -> bool {
    name.split_at_checked(OWN_PREFIX.len())
        .is_some_and(|(prefix, _)| prefix.eq_ignore_ascii_case(OWN_PREFIX.as_bytes()))
}

/// A cookie of Usher's own beside the two, if it has a name that Usher can have given it: the name stands in a `Set-Cookie`
/// line when the cookie is cleared.
fn other_cookie(name: &[u8], value: &[u8]) -> Option<OtherCookie> {
    let name = std::str::from_utf8(name.strip_prefix(OWN_PREFIX.as_bytes())?).ok()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let value = std::str::from_utf8(value).ok().filter(|_| !name.is_empty() && name.bytes().all(allowed))?;
    Some(OtherCookie { name: name.to_owned(), value: value.to_owned() })
}

/// A `Set-Cookie` line for a cookie of Usher's own of this name, which follows the prefix. An age of 0 clears it.
pub(super) fn own_line(name: &str, value: &str, max_age: u64) -> Option<HeaderValue> {
    line(&format!("{OWN_PREFIX}{name}"), value, max_age)
}

#[cfg(test)]
mod tests;
