//! Whether whoever has been authenticated has signed in as a route wants.

use super::{Authenticator, Identity};
use crate::auth::step_up::{self, Insufficient};
use crate::clock::Timestamp;
use crate::config::Authentication;

impl Authenticator {
    /// Looks at how, and when, the user has signed in.
    ///
    /// # Errors
    /// [`Insufficient`]
    pub fn check_sign_in(&self, identity: &Identity, asked: &Authentication) -> Result<(), Insufficient> {
        let kept = identity.session.map(|session| session.facts).unwrap_or_default();
        let leeway = self.verifier.issuers().by_id(identity.token.issuer).map(|issuer| issuer.config().leeway);
        step_up::check(&identity.token.claims, kept, asked, (self.clock.now(), leeway.unwrap_or_default()))
    }
}

impl Identity {
    /// When it came to be, as far as that is known: with the session, or else with the token.
    #[must_use]
    pub fn began_at(&self) -> Option<Timestamp> {
        self.session.map(|session| session.started_at).or_else(|| self.token.issued_at())
    }
}
