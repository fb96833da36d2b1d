//! Signing in: the password, and then a one-time password where the user has a second factor.
//!
//! Programs present both at once. People do so one after the other; in between they hold a [`FirstStep`], and nothing is kept
//! here. It is the caller's to hand it to nobody but them, and to take it from nobody else.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::{IssueError, NotSignedIn};
use super::factors::Factors;
use super::passwords::{self, Busy};
use super::{Lasting, Local, SHORTLY, codes, families};
use crate::clock::Timestamp;
use crate::config::{FoldedName, User, Users};
use crate::oauth::TokenResponse;

/// A password that was right. Without what else the user needs it signs nobody in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstStep {
    /// The name of the user as the file has it.
    name: String,
    /// Of the password and the second factor ([`families::mark`]): with others it is worth nothing.
    mark: [u8; 32],
    /// When the password was verified.
    at: Timestamp,
}

/// What became of a session that was to begin.
enum Begun {
    Session(TokenResponse),
    /// The user is not any more who gave the password.
    Changed,
    /// The one-time password, or a later one, was used before.
    Spent,
}

impl FirstStep {
    /// How long one is good: as long as somebody has for finding the app, and the code in it.
    pub const LIFETIME: Duration = Duration::from_secs(300);

    /// The name of the user as the file has it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the password was given too long ago. Clocks of two instances may differ: what is of the future is not over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.at.after(Self::LIFETIME)
    }

    /// The user, if that is still who gave the password.
    fn user<'u>(&self, users: &'u Users) -> Option<&'u User> {
        let stands = |user: &&User| !user.disabled && families::mark(user) == self.mark;
        users.find(&FoldedName::of(&self.name)).filter(stands)
    }
}

/// Shows the name only: the mark is made of secrets.
impl fmt::Debug for FirstStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FirstStep").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Local {
    /// Signs somebody in who says to be `username`, from the address `source`. `code` is the one-time password, if one is
    /// presented; it is looked at after the right password of a user who has a second factor, and never else.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    pub async fn sign_in(
        &self,
        username: &str,
        password: Zeroizing<String>,
        code: Option<&str>,
        source: IpAddr,
    ) -> Result<TokenResponse, NotSignedIn> {
        let (first, has_second_factor) = self.first_step(username, password, source).await?;
        match code {
            Some(code) if has_second_factor => match self.second_step(first, code, source).await {
                Err(NotSignedIn::Stale) => Err(NotSignedIn::Wrong),
                outcome => outcome,
            },
            None if has_second_factor => Err(NotSignedIn::CodeNeeded(first)),
            Some(_) | None => match self.begin(first, None).await? {
                Begun::Session(response) => Ok(response),
                Begun::Changed | Begun::Spent => Err(NotSignedIn::Wrong),
            },
        }
    }

    /// Verifies the password, and tells whether a one-time password has to follow.
    async fn first_step(
        &self,
        username: &str,
        password: Zeroizing<String>,
        source: IpAddr,
    ) -> Result<(FirstStep, bool), NotSignedIn> {
        if password.len() > passwords::LONGEST || username.len() > passwords::LONGEST {
            return Err(NotSignedIn::TooLong);
        }
        let Lasting { passwords, throttle, in_force, clock, .. } = &*self.lasting;
        let name = FoldedName::of(username);
        let throttled = |retry_after| NotSignedIn::Throttled { subject: None, retry_after };
        let attempt = throttle.begin(&name, source).map_err(throttled)?;
        let in_force = in_force.load_full();
        let user = in_force.users.find(&name);
        // The same work whether or not there is such a user, so that nobody learns that by the time it takes.
        let hash = user.map(|user| &user.password).or(self.terms.decoy.as_ref()).ok_or(NotSignedIn::Wrong)?;
        let is_right = passwords.verify(hash.clone(), password).await.map_err(|Busy| {
            throttle.take_back(&attempt);
            NotSignedIn::Busy { retry_after: passwords::COME_AGAIN }
        })?;
        let user = user.filter(|user| is_right && !user.disabled).ok_or(NotSignedIn::Wrong)?;
        // Wrong codes are counted by themselves, and only after this: who does not know the password keeps nobody who does
        // from the second step.
        throttle.succeeded(&attempt);
        let first = FirstStep { name: user.name.clone(), mark: families::mark(user), at: clock.now() };
        Ok((first, user.totp.is_some()))
    }

    /// Signs somebody in who has given the password before, and presents a one-time password now.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    pub async fn second_step(
        &self,
        first: FirstStep,
        code: &str,
        source: IpAddr,
    ) -> Result<TokenResponse, NotSignedIn> {
        let Lasting { codes: throttle, in_force, clock, .. } = &*self.lasting;
        let (in_force, now) = (in_force.load_full(), clock.now());
        let user = first.user(&in_force.users).filter(|_| !first.is_over(now)).ok_or(NotSignedIn::Stale)?;
        let secret = user.totp.as_ref().ok_or(NotSignedIn::Stale)?;
        let attempt = throttle.begin(&FoldedName::of(&user.name), source).map_err(|retry_after| {
            NotSignedIn::Throttled { subject: Some(user.subject.as_str().into()), retry_after }
        })?;
        let wrong = || NotSignedIn::WrongCode { subject: user.subject.as_str().into() };
        let step = codes::step_of(secret, code, now).ok_or_else(wrong)?;
        match self.begin(first, Some(step)).await {
            Ok(Begun::Session(response)) => {
                throttle.succeeded(&attempt);
                Ok(response)
            }
            Ok(Begun::Spent) => Err(wrong()),
            Ok(Begun::Changed) => Err(NotSignedIn::Stale),
            Err(error) => {
                throttle.take_back(&attempt);
                Err(error)
            }
        }
    }

    /// Begins a session, and spends the code of this step with it: both or neither.
    async fn begin(&self, first: FirstStep, step: Option<u64>) -> Result<Begun, NotSignedIn> {
        let lifetime = self.terms.local.refresh_token_lifetime;
        let begun = move |local: &Self| {
            local.change(|rows| {
                // Others may have come into force while these were looked at.
                let in_force = local.lasting.in_force.load();
                let Some(user) = first.user(&in_force.users) else { return Ok(Begun::Changed) };
                let factors = match (&user.totp, step) {
                    (None, None) => Factors::Password,
                    (Some(secret), Some(step)) => {
                        if !codes::spend(rows, &FoldedName::of(&user.name), secret, step)? {
                            return Ok(Begun::Spent);
                        }
                        Factors::PasswordAndCode
                    }
                    (Some(_), None) | (None, Some(_)) => return Ok(Begun::Changed),
                };
                let (family, token) = families::begin(rows, (user, factors), lifetime, local.lasting.clock.now())?;
                local.respond(user, &family, token).map(Begun::Session)
            })
        };
        let begun: Result<Begun, IssueError> = self.blocking(begun).await;
        begun.map_err(|cause| NotSignedIn::Unavailable { cause, retry_after: SHORTLY })
    }
}

#[cfg(test)]
mod tests;
