//! What Usher's own cookies hold: a token, and the session that it belongs to.
//!
//! A ticket is a short binary record, sealed by [`Sealer`] under the purpose of its cookie, so that a browser can neither
//! read nor change it, and an access cookie cannot stand in for a refresh cookie. The issuer's name and the session stand
//! inside the seal: a token cannot be moved to another issuer or session.

use super::step_up::{AcrHash, SignInFacts};
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
    /// How the issuer calls the session, where it does.
    pub sid: Option<SidHash>,
    /// What the ID token of the sign-in says of it. Stands last with `sid`, and may be missing, as in the cookies of older
    /// versions.
    pub facts: SignInFacts,
}

/// What follows the token: nothing, a `sid` alone as older versions write it, or one byte that says what else there is. No two
/// of these have the same length.
const HAS_SID: u8 = 1;
const HAS_AUTH_TIME: u8 = 2;
const HAS_ACR: u8 = 4;

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
        self.encode_rest(&mut bytes);
        bytes
    }

    fn encode_rest(&self, bytes: &mut Vec<u8>) {
        let SignInFacts { auth_time, acr } = self.facts;
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let has = flag(auth_time.is_some(), HAS_AUTH_TIME) | flag(acr.is_some(), HAS_ACR);
        if has != 0 {
            bytes.push(has | flag(self.sid.is_some(), HAS_SID));
        }
        bytes.extend(self.sid.iter().flat_map(|sid| sid.0));
        bytes.extend(auth_time.iter().flat_map(|at| at.0.to_be_bytes()));
        bytes.extend(acr.iter().flat_map(|acr| acr.0));
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
        let (sid, facts) = decode_rest(&mut bytes)?;
        let ticket = Self { session, started_at, idle_until, issuer, subject, token, sid, facts };
        bytes.is_empty().then_some(ticket)
    }
}

fn decode_rest(bytes: &mut &[u8]) -> Option<(Option<SidHash>, SignInFacts)> {
    let has = match bytes.len() {
        0 => 0,
        16 => HAS_SID,
        _ => take::<1>(bytes).map(|[has]| has).filter(|has| has & (HAS_AUTH_TIME | HAS_ACR) != 0 && *has < 8)?,
    };
    let sid = if has & HAS_SID == 0 { None } else { Some(SidHash(take(bytes)?)) };
    let auth_time = if has & HAS_AUTH_TIME == 0 { None } else { Some(Timestamp(u64::from_be_bytes(take(bytes)?))) };
    let acr = if has & HAS_ACR == 0 { None } else { Some(AcrHash(take(bytes)?)) };
    Some((sid, SignInFacts { auth_time, acr }))
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
    use crate::session::formats::{assert_committed, committed, committed_bytes};

    fn ticket() -> Ticket {
        Ticket {
            session: SessionId([7; 16]),
            started_at: Timestamp(1_000),
            idle_until: Timestamp(2_000),
            issuer: "legacy".into(),
            subject: "alice".into(),
            token: "canary-token".into(),
            sid: None,
            facts: SignInFacts::default(),
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
    fn tickets_are_written_and_read_as_they_were_committed() {
        let sid = Some(SidHash([9; 16]));
        let facts = SignInFacts { auth_time: Some(Timestamp(5_000)), acr: Some(AcrHash::of("gold")) };
        for (name, ticket) in [
            ("plain", ticket()),
            ("sid", Ticket { sid, ..ticket() }),
            ("auth_time", Ticket { facts: SignInFacts { acr: None, ..facts }, ..ticket() }),
            ("everything", Ticket { sid, facts, ..ticket() }),
        ] {
            assert_committed("ticket", name, &ticket.encode());
            assert_eq!(Ticket::decode(&committed_bytes("ticket", name)), Some(ticket));
        }
        let sealer = Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap();
        for (name, purpose) in [("access_cookie", Purpose::Access), ("refresh_cookie", Purpose::Refresh)] {
            assert_eq!(Ticket::open(&committed("ticket", name), purpose, &sealer), Some(ticket()));
        }
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
    fn what_is_known_of_the_sign_in_stands_behind_it_and_no_part_of_it_is_another_ticket() {
        for sid in [None, Some(SidHash([9; 16]))] {
            for auth_time in [None, Some(Timestamp(5_000))] {
                for acr in [None, Some(AcrHash::of("gold"))] {
                    let ticket = Ticket { sid, facts: SignInFacts { auth_time, acr }, ..ticket() };
                    let bytes = ticket.encode();
                    assert_eq!(Ticket::decode(&bytes), Some(ticket.clone()));
                    if auth_time.is_some() || acr.is_some() {
                        let rest = bytes.len() - self::ticket().encode().len();
                        let cut = (1..rest).filter(|cut| Ticket::decode(&bytes[..bytes.len() - cut]).is_some());
                        // Cut to the length of a bare name of the session, it would be one; but nobody cuts what is sealed.
                        assert!(cut.map(|cut| rest - cut).all(|left| left == 16), "{ticket:?}");
                        let unknown = [&self::ticket().encode()[..], &[8], &[0; 24]].concat();
                        assert_eq!(Ticket::decode(&unknown), None);
                    }
                }
            }
        }
    }

    #[test]
    fn debug_never_shows_the_token() {
        assert!(!format!("{:?}", ticket()).contains("canary"));
    }
}
