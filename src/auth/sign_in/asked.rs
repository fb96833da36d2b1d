//! Whether what has come of a sign-in is what a route has asked for.

use super::{SignInError, SignIns};
use crate::auth::step_up::{self, SignInFacts};
use crate::config::{self, Authentication};
use crate::oauth::Claims;

impl SignIns {
    /// Whether the sign-in is what was asked for. An ID token must say by itself that it is recent (OIDC Core §3.1.3.7, step
    /// 13); and the route, which looks at what the session will stand on, must come to the same end, or the browser would go
    /// round in circles.
    pub(super) fn check_asked(
        &self,
        issuer: &config::Issuer,
        id_token: Option<&Claims>,
        (claims, facts): (&Claims, SignInFacts),
        asked: &Authentication,
    ) -> Result<(), SignInError> {
        let time = (self.clock.now(), issuer.leeway);
        if let Some(id_token) = id_token {
            let max_age = Authentication { max_age: asked.max_age, ..Authentication::default() };
            step_up::check(id_token, SignInFacts::default(), &max_age, time).map_err(SignInError::Unmet)?;
        }
        let kept = if self.keeps_facts { facts } else { SignInFacts::default() };
        step_up::check(claims, kept, asked, time).map_err(SignInError::Unmet)
    }
}
