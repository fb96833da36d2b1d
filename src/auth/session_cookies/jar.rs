//! What an answer tells the browser about its cookies.

use std::sync::Arc;

use http::HeaderValue;

use super::SessionOrigin;
use crate::auth::cookies::{InBrowser, own_line};
use crate::auth::refresh::{PresentedRefresh, Renewed};
use crate::auth::verify::VerifiedToken;
use crate::session::stored;

/// What shall happen to the browser's cookies, whatever the answer is.
pub struct CookieJar {
    pub(super) browser: InBrowser,
    pub(super) lines: Vec<HeaderValue>,
    /// Of cookies that carry no session.
    others: Vec<HeaderValue>,
    /// What the lines come from, when it is a renewal.
    pub(in crate::auth) renewed: Option<RenewedSession>,
    /// Whose they are, when it has moved.
    pub(in crate::auth) moved: Option<SessionOrigin>,
    /// Whether the request has waited for a renewal, whatever came of it.
    pub waited: Option<Waited>,
}

/// What a request had to do with the renewal that it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It was begun for this one.
    Led,
    /// It was begun for another one.
    Joined,
}

/// A session that this request has renewed, or found renewed.
pub(in crate::auth) struct RenewedSession {
    /// The refresh token that the request presented.
    pub(in crate::auth) presented: PresentedRefresh,
    /// The session, when the cookies name one.
    pub(in crate::auth) origin: Option<SessionOrigin>,
    /// What it was renewed to, as far as this request knows.
    pub(in crate::auth) tokens: Arc<Renewed<VerifiedToken>>,
    /// What was found in the store, if it was there.
    pub(in crate::auth) stored: Option<stored::Found>,
}

impl CookieJar {
    /// An empty jar for a browser that has these cookies.
    #[must_use]
    pub const fn new(browser: InBrowser) -> Self {
        Self { browser, lines: Vec::new(), others: Vec::new(), renewed: None, moved: None, waited: None }
    }

    /// Leaves the browser's cookies as they are.
    pub(in crate::auth) fn forget(&mut self) {
        self.lines.clear();
    }

    /// Sets a cookie of Usher's own that carries no session, by what follows the prefix of its name.
    pub(in crate::auth) fn set_other(&mut self, name: &str, value: &str, max_age: u64) {
        self.others.extend(own_line(name, value, max_age));
    }

    /// Clears it.
    pub(in crate::auth) fn clear_other(&mut self, name: &str) {
        self.others.extend(own_line(name, "", 0));
    }

    /// The `Set-Cookie` lines to send.
    pub fn lines(&self) -> impl Iterator<Item = &HeaderValue> {
        self.lines.iter().chain(&self.others)
    }
}
