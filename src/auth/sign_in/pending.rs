//! A sign-in under way: what must be known when the browser comes back, in a sealed cookie of its own that lives for ten
//! minutes. Nothing of it is kept here, so no number of them fills any memory, and any instance can finish what another began.
//! A browser is asked to forget it once it has come back, but nobody can make it: that a response counts once is the business
//! of [`super::spent`].
//!
//! Each tab has its own cookie, named after its state, so that many sign in side by side. They are bounded in number and in
//! bytes: when a new one would go beyond that, the oldest goes.

use std::time::Duration;

use aws_lc_rs::constant_time;

use super::return_target::ReturnTarget;
use super::secrets::{Seed, cookie_suffix};
use crate::auth::cookies::{FoundCookies, OtherCookie};
use crate::auth::session_cookies::CookieJar;
use crate::clock::Timestamp;
use crate::config::Authentication;
use crate::session::{SealError, Sealer};

/// How long somebody has for signing in.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);
/// Cookies of sign-ins under way in one browser.
const MOST: usize = 20;
/// Bytes of their names and values together. Beside a session they fit in the 8 KiB that common servers take.
const MOST_BYTES: usize = 5_000;
/// What every name begins with, after the prefix of all of Usher's cookies.
const NAME: &str = "state-";
const PURPOSE: &str = "cookie:state";

/// A sign-in under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// State, nonce and verifier.
    pub(super) seed: Seed,
    /// The issuer's short name in the configuration: that of the response must be this one (RFC 9700 §4.4).
    pub(super) issuer: Box<str>,
    /// Scheme, host and port of the site.
    pub(super) origin: Box<str>,
    /// Where the browser goes then.
    pub(super) return_target: ReturnTarget,
    /// When it began.
    pub(super) started_at: Timestamp,
    /// How many sign-ins there have been one right after the other, this one included.
    pub(super) attempt: u8,
    /// What sort of sign-in was asked for.
    pub(super) asked: Authentication,
}

/// The texts of a sign-in under way, as they stand in its cookie.
type Texts = (String, Box<str>, Box<str>, String);
/// What sort of sign-in was asked for, as it stands in the cookie: values, and seconds.
type Asked = (Vec<String>, Option<u64>);

impl Pending {
    /// Keeps it in the browser, and takes out of there what is over or too much.
    pub(super) fn keep(&self, sealer: &Sealer, found: &FoundCookies, jar: &mut CookieJar) -> Result<(), SealError> {
        let name = format!("{NAME}{}", cookie_suffix(&self.seed.state()));
        let value = sealer.seal(PURPOSE, &self.encode())?;
        let mut others: Vec<(Timestamp, &OtherCookie)> = Vec::new();
        for cookie in cookies(found) {
            match Self::open(&cookie.value, sealer).filter(|pending| !pending.is_over(self.started_at)) {
                Some(pending) => others.push((pending.started_at, cookie)),
                None => jar.clear_other(&cookie.name),
            }
        }
        others.sort_by_key(|(started_at, _)| std::cmp::Reverse(*started_at));
        let (mut count, mut bytes) = (1, size(&name, &value));
        for (_, cookie) in others {
            (count, bytes) = (count + 1, bytes + size(&cookie.name, &cookie.value));
            if count > MOST || bytes > MOST_BYTES {
                jar.clear_other(&cookie.name);
            }
        }
        jar.set_other(&name, &value, LIFETIME.as_secs());
        Ok(())
    }

    /// Takes the one of this state out of the browser. `None` when this browser has none, or it cannot be opened.
    pub(super) fn take(state: &str, sealer: &Sealer, found: &FoundCookies, jar: &mut CookieJar) -> Option<Self> {
        let name = format!("{NAME}{}", cookie_suffix(state));
        let mut named = cookies(found).filter(|cookie| cookie.name == name);
        // As for sessions: a name that comes twice is none at all.
        let (Some(cookie), None) = (named.next(), named.next()) else { return None };
        jar.clear_other(&name);
        let pending = Self::open(&cookie.value, sealer)?;
        constant_time::verify_slices_are_equal(pending.seed.state().as_bytes(), state.as_bytes()).ok()?;
        Some(pending)
    }

    /// Whether it began too long ago. Clocks of two instances may differ: one that begins in the future is not over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.started_at.after(LIFETIME)
    }

    fn encode(&self) -> Vec<u8> {
        let Self { seed, issuer, origin, return_target, started_at, attempt, asked } = self;
        let texts = (seed.encode(), issuer, origin, return_target.as_str());
        // Numbers and texts always become JSON. Where nothing is asked for, it is what older versions write and read.
        let bytes = if asked.is_any() {
            serde_json::to_vec(&(started_at, attempt, texts))
        } else {
            let asked = (&asked.acr_values, asked.max_age.map(|age| age.as_secs()));
            serde_json::to_vec(&(started_at, attempt, texts, asked))
        };
        bytes.unwrap_or_default()
    }

    fn open(value: &str, sealer: &Sealer) -> Option<Self> {
        let bytes = sealer.open(PURPOSE, value).ok()?;
        let (started_at, attempt, texts, asked) = decode(&bytes)?;
        let (seed, issuer, origin, target) = texts;
        let return_target = ReturnTarget::parse(&target, &origin);
        let asked = Authentication { acr_values: asked.0, max_age: asked.1.map(Duration::from_secs) };
        Some(Self { seed: Seed::decode(&seed)?, issuer, origin, return_target, started_at, attempt, asked })
    }
}

fn decode(bytes: &[u8]) -> Option<(Timestamp, u8, Texts, Asked)> {
    serde_json::from_slice(bytes).ok().or_else(|| {
        let (started_at, attempt, texts) = serde_json::from_slice(bytes).ok()?;
        Some((started_at, attempt, texts, Asked::default()))
    })
}

fn cookies(found: &FoundCookies) -> impl Iterator<Item = &OtherCookie> {
    found.others.iter().filter(|cookie| cookie.name.starts_with(NAME))
}

fn size(name: &str, value: &str) -> usize {
    "__Host-usher-=; ".len() + name.len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::cookies::{CookieNames, InBrowser};
    use crate::config::{Cookies, Secret};
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};
    use std::collections::BTreeMap;

    fn sealer() -> Sealer {
        Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap()
    }

    fn pending(started_at: u64, rd: &str) -> Pending {
        Pending {
            seed: Seed::random().unwrap(),
            issuer: "company".into(),
            origin: "https://app.test".into(),
            return_target: ReturnTarget::parse(rd, "https://app.test"),
            started_at: Timestamp(started_at),
            attempt: 1,
            asked: Authentication::default(),
        }
    }

    /// A browser's cookies.
    #[derive(Default)]
    struct Browser(BTreeMap<String, String>);

    impl Browser {
        fn line(&self) -> String {
            self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
        }

        fn found(&self) -> FoundCookies {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::try_from(self.line()).unwrap());
            CookieNames::new(&Cookies::Sealed).take(&mut headers)
        }

        fn take(&mut self, jar: &CookieJar) {
            for line in jar.lines() {
                let pair = line.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                if value.is_empty() {
                    self.0.remove(name);
                } else {
                    self.0.insert(name.to_owned(), value.to_owned());
                }
            }
        }

        fn begin(&mut self, pending: &Pending) {
            let mut jar = CookieJar::new(InBrowser::default());
            pending.keep(&sealer(), &self.found(), &mut jar).unwrap();
            self.take(&jar);
        }

        fn finish(&mut self, state: &str) -> Option<Pending> {
            let mut jar = CookieJar::new(InBrowser::default());
            let pending = Pending::take(state, &sealer(), &self.found(), &mut jar);
            self.take(&jar);
            pending
        }
    }

    #[test]
    fn twenty_tabs_finish_in_any_order_with_a_short_cookie_header() {
        let mut browser = Browser::default();
        let tabs: Vec<_> = (0..20).map(|tab| pending(1_000 + tab, &format!("/reports/2026?tab={tab}"))).collect();
        for tab in &tabs {
            browser.begin(tab);
        }
        assert_eq!(browser.0.len(), 20);
        assert!(browser.line().len() < 5_100, "{}", browser.line().len());
        for tab in tabs.iter().rev().step_by(2).chain(tabs.iter().step_by(2)) {
            assert_eq!(browser.finish(&tab.seed.state()).as_ref(), Some(tab));
        }
        assert!(browser.0.is_empty());
    }

    #[test]
    fn more_tabs_or_longer_targets_put_out_the_oldest() {
        let mut browser = Browser::default();
        let tabs: Vec<_> = (0..25).map(|tab| pending(1_000 + tab, "/")).collect();
        for tab in &tabs {
            browser.begin(tab);
        }
        assert_eq!(browser.0.len(), 20);
        assert_eq!(browser.finish(&tabs[4].seed.state()), None);
        let long = pending(2_000 - 500, &format!("/{}", "a".repeat(1_990)));
        browser.begin(&long);
        assert!(browser.line().len() < 5_100 && browser.0.len() < 15, "{}", browser.0.len());
        assert_eq!(browser.finish(&long.seed.state()), Some(long));
    }

    #[test]
    fn a_sign_in_counts_once_and_for_ten_minutes() {
        let mut browser = Browser::default();
        let (one, other) = (pending(1_000, "/x"), pending(1_000, "/y"));
        browser.begin(&one);
        browser.begin(&other);
        assert_eq!(browser.finish(&one.seed.state()), Some(one.clone()));
        assert_eq!(browser.finish(&one.seed.state()), None);
        let other = browser.finish(&other.seed.state()).unwrap();
        assert_eq!((other.is_over(Timestamp(1_599)), other.is_over(Timestamp(1_600))), (false, true));
        assert!(browser.0.is_empty(), "whatever came of it");
    }

    #[test]
    fn what_is_over_is_taken_out_with_the_next() {
        let mut browser = Browser::default();
        browser.begin(&pending(1_000, "/"));
        browser.0.insert("__Host-usher-state-AAAAAAAA".to_owned(), "nonsense".to_owned());
        browser.begin(&pending(1_700, "/"));
        assert_eq!(browser.0.len(), 1);
    }

    #[test]
    fn what_was_asked_for_comes_back_and_where_nothing_was_it_is_as_older_versions_write_it() {
        let values = ["urn:example:gold".to_owned(), "silver".to_owned()];
        for (acr_values, max_age) in [(&values[..], None), (&values[..1], Some(900)), (&[], Some(1))] {
            let asked = Authentication { acr_values: acr_values.to_vec(), max_age: max_age.map(Duration::from_secs) };
            let (mut browser, pending) = (Browser::default(), Pending { asked, ..pending(1_000, "/x") });
            browser.begin(&pending);
            assert_eq!(browser.finish(&pending.seed.state()), Some(pending));
        }
        let plain = pending(1_000, "/x").encode();
        assert!(serde_json::from_slice::<(u64, u8, Texts)>(&plain).is_ok());
    }

    #[test]
    fn the_cookie_of_one_state_does_not_serve_another() {
        let mut browser = Browser::default();
        let (one, other) = (pending(1_000, "/x"), pending(1_000, "/y"));
        browser.begin(&one);
        let value = browser.0.values().next().unwrap().clone();
        browser.0.insert(format!("__Host-usher-state-{}", cookie_suffix(&other.seed.state())), value);
        assert_eq!(browser.finish(&other.seed.state()), None);
    }
}
