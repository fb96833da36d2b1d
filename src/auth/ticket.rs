//! What Usher's own cookies hold: a token, and the session that it belongs to.
//!
//! A ticket is a short binary record, sealed by [`Sealer`] under the purpose of its cookie, so that a browser can neither
//! read nor change it, and an access cookie cannot stand in for a refresh cookie. The issuer's name and the session stand
//! inside the seal: a token cannot be moved to another issuer or session.

use crate::clock::Timestamp;
use crate::session::{SealError, Sealer, SessionId, SidHash};

/// Which of the two cookies a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The access token.
    Access,
    /// The refresh token.
    Refresh,
}

impl Purpose {
    const fn label(self) -> &'static str {
        match self {
            Self::Access => "cookie:access",
            Self::Refresh => "cookie:refresh",
        }
    }
}

/// The content of one sealed cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The session, new at every sign-in.
    pub session: SessionId,
    /// When the session began; the absolute time-out counts from here.
    pub started_at: Timestamp,
    /// When the session ends unless something happens before: the idle time-out after the access token's expiry.
    pub idle_until: Timestamp,
    /// The issuer's short name in the configuration.
    pub issuer: Box<str>,
    /// The subject that the session belongs to; a renewal must not change it (R7).
    pub subject: Box<str>,
    /// The access or refresh token.
    pub token: Box<str>,
    /// How the issuer calls the session, where it does. Stands last and may be missing, as in the cookies of older versions.
    pub sid: Option<SidHash>,
}

/// Never shows the token, nor whose it is.
impl std::fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ticket").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Ticket {
    /// The cookie's value.
    ///
    /// # Errors
    /// [`SealError::Failed`] when there is no randomness.
    pub fn seal(&self, purpose: Purpose, sealer: &Sealer) -> Result<String, SealError> {
        sealer.seal(purpose.label(), &self.encode())
    }

    /// Opens a cookie's value; `None` for anything that this or an equally keyed instance did not seal for this purpose:
    /// cut, flipped, of another key or another version. Such a cookie is no session (C06).
    #[must_use]
    pub fn open(value: &str, purpose: Purpose, sealer: &Sealer) -> Option<Self> {
        Self::decode(&sealer.open(purpose.label(), value).ok()?)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 6 + 16 + self.issuer.len() + self.subject.len() + self.token.len());
        bytes.extend_from_slice(&self.session.0);
        bytes.extend_from_slice(&self.started_at.0.to_be_bytes());
        bytes.extend_from_slice(&self.idle_until.0.to_be_bytes());
        for text in [&self.issuer, &self.subject, &self.token] {
            // A token is bounded by the cookie pieces that can carry it, far below 64 KiB.
            let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend(self.sid.iter().flat_map(|sid| sid.0));
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let session = SessionId(take(&mut bytes)?);
        let started_at = Timestamp(u64::from_be_bytes(take(&mut bytes)?));
        let idle_until = Timestamp(u64::from_be_bytes(take(&mut bytes)?));
        let mut text = || {
            let length = usize::from(u16::from_be_bytes(take(&mut bytes)?));
            let (text, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            std::str::from_utf8(text).ok().map(Box::<str>::from)
        };
        let (issuer, subject, token) = (text()?, text()?, text()?);
        let sid = if bytes.is_empty() { None } else { Some(SidHash(take(&mut bytes)?)) };
        let ticket = Self { session, started_at, idle_until, issuer, subject, token, sid };
        bytes.is_empty().then_some(ticket)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn ticket() -> Ticket {
        Ticket {
            session: SessionId([7; 16]),
            started_at: Timestamp(1_000),
            idle_until: Timestamp(2_000),
            issuer: "legacy".into(),
            subject: "alice".into(),
            token: "canary-token".into(),
            sid: None,
        }
    }

    #[test]
    fn a_ticket_survives_its_cookie() {
        let sealer = Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap();
        let value = ticket().seal(Purpose::Access, &sealer).unwrap();
        assert!(!value.contains("canary"));
        assert_eq!(Ticket::open(&value, Purpose::Access, &sealer), Some(ticket()));
    }

    #[test]
    fn a_ticket_is_good_for_its_own_purpose_only() {
        let sealer = Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap();
        let value = ticket().seal(Purpose::Access, &sealer).unwrap();
        assert_eq!(Ticket::open(&value, Purpose::Refresh, &sealer), None);
    }

    #[test]
    fn bytes_that_are_no_ticket_are_refused() {
        let bytes = ticket().encode();
        for length in 0..bytes.len() {
            assert_eq!(Ticket::decode(&bytes[..length]), None, "{length}");
        }
        for more in [&b"x"[..], &[0; 15], &[0; 17]] {
            assert_eq!(Ticket::decode(&[bytes.as_slice(), more].concat()), None, "{} more", more.len());
        }
    }

    #[test]
    fn the_issuers_name_for_the_session_stands_at_the_end_and_may_be_missing() {
        let named = Ticket { sid: Some(SidHash([9; 16])), ..ticket() };
        assert_eq!(Ticket::decode(&named.encode()), Some(named.clone()));
        // What older versions have sealed.
        assert_eq!(named.encode().strip_suffix(&[9; 16]), Some(&*ticket().encode()));
    }

    #[test]
    fn debug_never_shows_the_token() {
        assert!(!format!("{:?}", ticket()).contains("canary"));
    }
}
