//! Whether a browser keeps Usher's cookies at all. One that does not would come back to the sign-in page after every right
//! password, without a word; so the page sets a cookie, and the form must bring it back. It says nothing about anybody.

use crate::auth::cookies::FoundCookies;
use crate::auth::session_cookies::CookieJar;

const NAME: &str = "form";
/// A page may stay open for as long before somebody fills it in.
const LIFETIME: u64 = 24 * 60 * 60;

/// Sets the cookie.
pub fn ask(jar: &mut CookieJar) {
    jar.set_other(NAME, "1", LIFETIME);
}

/// Whether the browser has brought it back, or has cookies of a session, which tells the same.
#[must_use]
pub fn are_kept(found: &FoundCookies) -> bool {
    found.any() || found.others.iter().any(|cookie| cookie.name == NAME)
}
