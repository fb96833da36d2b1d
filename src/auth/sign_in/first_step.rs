//! Between the password and the one-time password, in a sealed cookie of its own that lives for as long as the first step is
//! good: nothing is kept here, and what one browser has done another one cannot go on with. It opens for one issuer and for
//! nothing else.

use crate::auth::cookies::FoundCookies;
use crate::auth::session_cookies::CookieJar;
use crate::issuer::local::FirstStep;
use crate::session::{SealError, Sealer};

const NAME: &str = "first-step";

/// Keeps it in the browser.
pub(super) fn keep(first: &FirstStep, issuer: &str, sealer: &Sealer, jar: &mut CookieJar) -> Result<(), SealError> {
    // Names and numbers always become JSON.
    let text = serde_json::to_vec(first).unwrap_or_default();
    jar.set_other(NAME, &sealer.seal(&purpose(issuer), &text)?, FirstStep::LIFETIME.as_secs());
    Ok(())
}

/// The one that this browser has.
pub(super) fn find(issuer: &str, sealer: &Sealer, found: &FoundCookies) -> Option<FirstStep> {
    let mut named = found.others.iter().filter(|cookie| cookie.name == NAME);
    // As for sessions: a name that comes twice is none at all.
    let (Some(cookie), None) = (named.next(), named.next()) else { return None };
    serde_json::from_slice(&sealer.open(&purpose(issuer), &cookie.value).ok()?).ok()
}

/// Takes it out of the browser.
pub(super) fn forget(jar: &mut CookieJar) {
    jar.clear_other(NAME);
}

fn purpose(issuer: &str) -> String {
    format!("cookie:first-step:{issuer}")
}
