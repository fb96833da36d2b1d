//! Who was sent to sign in anew at a place that nobody comes back from through a callback: the page of an application or of the
//! local issuer. What begins there is looked at by the route only, which must tell somebody who has not been there yet from
//! somebody who got no more there: sending that one again would be in vain.
//!
//! A sealed cookie of ten minutes says when the browser was sent. Nothing is remembered here.

use std::time::Duration;

use crate::auth::cookies::FoundCookies;
use crate::auth::session_cookies::CookieJar;
use crate::clock::Timestamp;
use crate::session::{SealError, Sealer};

/// How long somebody has for signing in.
const LIFETIME: Duration = Duration::from_secs(600);
/// Who asks later than so long after signing in has been somewhere meanwhile, and may be sent again.
const WINDOW: Duration = Duration::from_secs(60);
const NAME: &str = "sent";
const PURPOSE: &str = "cookie:sent";

/// Notes that the browser is sent now.
pub(super) fn note(sealer: &Sealer, now: Timestamp, jar: &mut CookieJar) -> Result<(), SealError> {
    jar.set_other(NAME, &sealer.seal(PURPOSE, &now.0.to_be_bytes())?, LIFETIME.as_secs());
    Ok(())
}

/// Whether it was, and whatever began at `began_at` began since, and just now.
pub(super) fn is_back(sealer: &Sealer, found: &FoundCookies, began_at: Timestamp, now: Timestamp) -> bool {
    let mut named = found.others.iter().filter(|cookie| cookie.name == NAME);
    let bytes = named.next().and_then(|cookie| sealer.open(PURPOSE, &cookie.value).ok());
    let sent_at = bytes.and_then(|bytes| bytes.try_into().ok()).map(|bytes| Timestamp(u64::from_be_bytes(bytes)));
    sent_at.is_some_and(|sent_at| now < sent_at.after(LIFETIME) && sent_at <= began_at && now < began_at.after(WINDOW))
}

/// Forgets it.
pub(super) fn forget(found: &FoundCookies, jar: &mut CookieJar) {
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

    fn is_back(sent_at: Option<u64>, began_at: u64, now: u64) -> bool {
        let sealer = Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(sent_at) = sent_at {
            let mut jar = CookieJar::new(InBrowser::default());
            note(&sealer, Timestamp(sent_at), &mut jar).unwrap();
            let line = jar.lines().next().unwrap().to_str().unwrap().split(';').next().unwrap().to_owned();
            headers.insert(COOKIE, HeaderValue::try_from(line).unwrap());
        }
        let found = CookieNames::new(&Cookies::Sealed).take(&mut headers);
        super::is_back(&sealer, &found, Timestamp(began_at), Timestamp(now))
    }

    #[test]
    fn who_was_sent_and_has_signed_in_since_is_back() {
        assert!(is_back(Some(100), 100, 100) && is_back(Some(100), 400, 459));
        assert!(!is_back(None, 100, 100), "nobody has sent it");
        assert!(!is_back(Some(100), 99, 100), "it has not signed in since");
        assert!(!is_back(Some(100), 400, 460), "it has been somewhere meanwhile");
        assert!(!is_back(Some(100), 699, 700), "that was too long ago");
    }
}
