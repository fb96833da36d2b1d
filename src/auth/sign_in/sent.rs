//! Who was sent to sign in anew at a place that nobody comes back from through a callback: the page of an application or of the
//! local issuer. What begins there is looked at by the route only, which must tell somebody who has not been there yet from
//! somebody who got no more there: sending that one again would be in vain. And a page may send a browser straight back.
//!
//! A sealed cookie of ten minutes says when the browser was sent, from which page, and how often in a row. Nothing is remembered
//! here.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::return_target::ReturnTarget;
use super::{SignInError, SignIns};
use crate::auth::cookies::FoundCookies;
use crate::auth::session_cookies::CookieJar;
use crate::clock::Timestamp;
use crate::session::{SealError, Sealer};

/// How long somebody has for signing in.
const LIFETIME: Duration = Duration::from_secs(600);
/// Who asks later than so long after signing in has been somewhere meanwhile, and may be sent again.
const WINDOW: Duration = Duration::from_secs(60);
/// Nobody reads a login page, goes back and comes here again within so long, time after time.
const BOUNCE: Duration = Duration::from_secs(10);
/// From one page to one login, and straight back.
const MOST: u8 = 3;
const NAME: &str = "sent";
const PURPOSE: &str = "cookie:sent";

/// A browser that was sent to sign in anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    at: Timestamp,
    /// The page that it is to come back to: tabs that open side by side are no circle.
    page: [u8; 8],
    /// How often in a row, this time included.
    times: u8,
}

impl Sent {
    /// The next one, from this page.
    fn next(sealer: &Sealer, found: &FoundCookies, target: &ReturnTarget, now: Timestamp) -> Self {
        let page = digest(&SHA256, target.as_str().as_bytes()).as_ref().first_chunk().copied().unwrap_or_default();
        let last = Self::find(sealer, found).filter(|last| last.page == page && now < last.at.after(BOUNCE));
        Self { at: now, page, times: last.map_or(0, |last| last.times).saturating_add(1) }
    }

    /// Whether the browser was sent so often that once more would not help.
    const fn is_too_many(&self) -> bool {
        self.times > MOST
    }

    /// Keeps it in the browser.
    fn keep(&self, sealer: &Sealer, jar: &mut CookieJar) -> Result<(), SealError> {
        let bytes = [&self.at.0.to_be_bytes()[..], &self.page, &[self.times]].concat();
        jar.set_other(NAME, &sealer.seal(PURPOSE, &bytes)?, LIFETIME.as_secs());
        Ok(())
    }

    /// The one that this browser has.
    fn find(sealer: &Sealer, found: &FoundCookies) -> Option<Self> {
        let mut named = found.others.iter().filter(|cookie| cookie.name == NAME);
        // As for sessions: a name that comes twice is none at all.
        let (Some(cookie), None) = (named.next(), named.next()) else { return None };
        let bytes = sealer.open(PURPOSE, &cookie.value).ok()?;
        let (at, rest) = bytes.split_first_chunk()?;
        let (page, times) = rest.split_first_chunk()?;
        let [times] = *times else { return None };
        Some(Self { at: Timestamp(u64::from_be_bytes(*at)), page: *page, times })
    }

    /// Whether whatever began at `began_at` began since, and just now.
    fn is_back(&self, began_at: Timestamp, now: Timestamp) -> bool {
        now < self.at.after(LIFETIME) && self.at <= began_at && now < began_at.after(WINDOW)
    }
}

impl SignIns {
    /// Notes in the browser that it is sent to sign in anew, to where nobody comes back from through a callback. Says whether
    /// that may help: `false` when it has been sent from this page again and again, and is straight back. It is forgotten then:
    /// who wants to may try again.
    ///
    /// # Errors
    /// [`SignInError::Seal`]
    pub fn note_sent(
        &self,
        target: &ReturnTarget,
        found: &FoundCookies,
        jar: &mut CookieJar,
    ) -> Result<bool, SignInError> {
        let sent = Sent::next(&self.sealer, found, target, self.clock.now());
        if sent.is_too_many() {
            forget(found, jar);
            return Ok(false);
        }
        sent.keep(&self.sealer, jar)?;
        Ok(true)
    }

    /// Whether this browser was sent to sign in anew and has just done so: what has begun then is all that it gets there. If
    /// so, it is forgotten: who wants to may try again.
    pub fn is_back(&self, found: &FoundCookies, began_at: Timestamp, jar: &mut CookieJar) -> bool {
        let sent = Sent::find(&self.sealer, found);
        let is_back = sent.is_some_and(|sent| sent.is_back(began_at, self.clock.now()));
        if is_back {
            forget(found, jar);
        }
        is_back
    }

    /// Forgets that this browser was sent to sign in anew, for now it has.
    pub fn forget_sent(&self, found: &FoundCookies, jar: &mut CookieJar) {
        forget(found, jar);
    }
}

/// Forgets it.
fn forget(found: &FoundCookies, jar: &mut CookieJar) {
    if found.others.iter().any(|cookie| cookie.name == NAME) {
        jar.clear_other(NAME);
    }
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

    /// What a browser has that was sent like this.
    fn browser(sent: Option<Sent>) -> FoundCookies {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            let mut jar = CookieJar::new(InBrowser::default());
            sent.keep(&sealer(), &mut jar).unwrap();
            let line = jar.lines().next().unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
            headers.insert(COOKIE, HeaderValue::try_from(line).unwrap());
        }
        CookieNames::new(&Cookies::Sealed).take(&mut headers)
    }

    fn next(last: Option<Sent>, page: &str, now: u64) -> Sent {
        let target = ReturnTarget::parse(page, "https://app.test");
        Sent::next(&sealer(), &browser(last), &target, Timestamp(now))
    }

    #[test]
    fn who_was_sent_and_has_signed_in_since_is_back() {
        let sent = Sent::find(&sealer(), &browser(Some(next(None, "/x", 100)))).unwrap();
        let is_back = |began_at, now| sent.is_back(Timestamp(began_at), Timestamp(now));
        assert!(is_back(100, 100) && is_back(400, 459));
        assert!(!is_back(99, 100), "it has not signed in since");
        assert!(!is_back(400, 460), "it has been somewhere meanwhile");
        assert!(!is_back(699, 700), "that was too long ago");
        assert_eq!(Sent::find(&sealer(), &browser(None)), None);
    }

    #[test]
    fn a_page_that_sends_straight_back_does_so_three_times_and_tabs_side_by_side_do_not_count() {
        let mut last = None;
        for round in 0..3 {
            let sent = next(last, "/x", 100 + 9 * round);
            assert!(!sent.is_too_many(), "{round}");
            last = Some(sent);
        }
        assert!(next(last, "/x", 127).is_too_many());
        assert!(!next(last, "/x", 128).is_too_many(), "somebody has looked at the page meanwhile");
        let tabs = (0..9).fold(None, |last, tab| Some(next(last, &format!("/{tab}"), 100)));
        assert!(!tabs.unwrap().is_too_many());
    }
}
