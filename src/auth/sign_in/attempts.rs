//! Breaking loops: how often in a row a browser has signed in and come back unauthenticated all the same.
//!
//! A sealed cookie of a minute says how many sign-ins this browser has just completed one after the other. The next one
//! counts on from there; sign-ins side by side in several tabs do not count each other. Nothing is remembered here.

use std::time::Duration;

use crate::auth::cookies::FoundCookies;
use crate::auth::session_cookies::CookieJar;
use crate::clock::Timestamp;
use crate::session::{SealError, Sealer};

/// Completed sign-ins one right after the other that are no loop yet: somebody may sign out and in again.
const MOST: u8 = 3;
/// Who comes back later than this has been somewhere meanwhile.
const WINDOW: Duration = Duration::from_secs(20);
const NAME: &str = "attempts";
const PURPOSE: &str = "cookie:attempts";

/// Which attempt it is that begins now; `None` when there have been too many.
pub(super) fn next(sealer: &Sealer, found: &FoundCookies, now: Timestamp) -> Option<u8> {
    let completed = completed(sealer, found, now).unwrap_or(0);
    (completed < MOST).then(|| completed + 1)
}

/// Notes that this attempt has come to its end: the browser is signed in, or so it should be.
pub(super) fn note(attempt: u8, sealer: &Sealer, now: Timestamp, jar: &mut CookieJar) -> Result<(), SealError> {
    let value = sealer.seal(PURPOSE, format!("{attempt} {}", now.0).as_bytes())?;
    jar.set_other(NAME, &value, WINDOW.as_secs());
    Ok(())
}

/// Forgets what was before: whoever has read the page of a loop may try again.
pub(super) fn forget(jar: &mut CookieJar) {
    jar.clear_other(NAME);
}

fn completed(sealer: &Sealer, found: &FoundCookies, now: Timestamp) -> Option<u8> {
    let cookie = found.others.iter().find(|cookie| cookie.name == NAME)?;
    let text = String::from_utf8(sealer.open(PURPOSE, &cookie.value).ok()?).ok()?;
    let (attempt, at) = text.split_once(' ')?;
    let at = Timestamp(at.parse().ok()?);
    attempt.parse().ok().filter(|_| now < at.after(WINDOW))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::cookies::{CookieNames, InBrowser};
    use crate::config::{Cookies, Secret};
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    fn sealer() -> Sealer {
        Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap()
    }

    fn after(attempt: Option<u8>, at: u64) -> FoundCookies {
        let mut headers = HeaderMap::new();
        if let Some(attempt) = attempt {
            let mut jar = CookieJar::new(InBrowser::default());
            note(attempt, &sealer(), Timestamp(at), &mut jar).unwrap();
            let line = jar.lines().next().unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
            headers.insert(COOKIE, HeaderValue::try_from(line).unwrap());
        }
        CookieNames::new(&Cookies::Sealed).take(&mut headers)
    }

    fn next_after(attempt: Option<u8>, at: u64, now: u64) -> Option<u8> {
        next(&sealer(), &after(attempt, at), Timestamp(now))
    }

    #[test]
    fn each_attempt_counts_on_from_the_one_before_until_there_are_too_many() {
        assert_eq!(next_after(None, 0, 100), Some(1));
        assert_eq!(next_after(Some(1), 100, 101), Some(2));
        assert_eq!(next_after(Some(2), 100, 101), Some(3));
        assert_eq!(next_after(Some(3), 100, 101), None);
        assert_eq!(next_after(Some(255), 100, 101), None);
    }

    #[test]
    fn who_comes_back_later_begins_anew() {
        assert_eq!(next_after(Some(3), 100, 119), None);
        assert_eq!(next_after(Some(3), 100, 120), Some(1));
    }
}
