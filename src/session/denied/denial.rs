//! A denial as plain data: what other instances are told, and what survives a restart.

use super::names::{SidHash, SubjectHash, TokenHash};
use crate::clock::Timestamp;
use crate::session::SessionId;

/// Bytes of a denial: version, kind, name, two times.
const LENGTH: usize = 2 + NAME + 8 + 8;
/// Shorter names are followed by zeros.
const NAME: usize = 32;
const VERSION: u8 = 1;

/// What is refused from now on, or what is not meant by it, `until` it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What.
    pub what: What,
    /// When it has ended by itself.
    pub until: Timestamp,
}

/// What a denial is about. Nothing of it tells a name, a session or a token to who reads it, but sessions' own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A session.
    Session(SessionId),
    /// A session by the issuer's own name for it.
    Sid(SidHash),
    /// An access token.
    AccessToken(TokenHash),
    /// Everything that a subject was given up to a time, or those of its sessions that have no name at the issuer.
    Subject {
        /// Who, and which of the two.
        name: SubjectHash,
        /// Up to and with this second.
        issued_until: Timestamp,
    },
    /// Not refused: a session that has begun after all denials of subjects that were told before.
    Begun(SessionId),
}

impl Denial {
    /// The denial in a fixed number of bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let none = Timestamp(0);
        let (kind, name, issued_until): (u8, &[u8], _) = match &self.what {
            What::Session(SessionId(id)) => (0, id, none),
            What::Sid(SidHash(hash)) => (1, hash, none),
            What::AccessToken(token) => (2, token.as_bytes(), none),
            What::Subject { name, issued_until } => (3, name.as_bytes(), *issued_until),
            What::Begun(SessionId(id)) => (4, id, none),
        };
        let padding = std::iter::repeat_n(&0, NAME.saturating_sub(name.len()));
        let times = [issued_until.0.to_be_bytes(), self.until.0.to_be_bytes()].concat();
        let mut bytes = [0; LENGTH];
        for (to, from) in bytes.iter_mut().zip([VERSION, kind].iter().chain(name).chain(padding).chain(&times)) {
            *to = *from;
        }
        bytes
    }

    /// The denial in these bytes. `None` for what another version has written, or is none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[version, kind], bytes) = bytes.split_first_chunk()?;
        let (name, bytes) = bytes.split_first_chunk::<NAME>()?;
        let (issued_until, bytes) = bytes.split_first_chunk()?;
        let until = Timestamp(u64::from_be_bytes(bytes.try_into().ok()?));
        let short = || name.first_chunk().copied();
        let what = match (version, kind) {
            (VERSION, 0) => What::Session(SessionId(short()?)),
            (VERSION, 1) => What::Sid(SidHash(short()?)),
            (VERSION, 2) => What::AccessToken(TokenHash::from_bytes(*name)),
            (VERSION, 3) => What::Subject {
                name: SubjectHash::from_bytes(*name),
                issued_until: Timestamp(u64::from_be_bytes(*issued_until)),
            },
            (VERSION, 4) => What::Begun(SessionId(short()?)),
            _ => return None,
        };
        Some(Self { what, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::formats::{assert_committed, committed_bytes};

    #[test]
    fn every_denial_is_read_as_it_was_written() {
        let session = SessionId([7; 16]);
        for what in [
            What::Session(session),
            What::Sid(SidHash::of("one", "s-1")),
            What::AccessToken(TokenHash::of("a.b.c")),
            What::Subject { name: SubjectHash::of("one", "alice"), issued_until: Timestamp(1_000) },
            What::Subject { name: SubjectHash::of_nameless("one", "alice"), issued_until: Timestamp(u64::MAX) },
            What::Begun(session),
        ] {
            let denial = Denial { what, until: Timestamp(2_000) };
            assert_eq!(Denial::from_bytes(&denial.to_bytes()), Some(denial));
        }
    }

    #[test]
    fn denials_are_written_and_read_as_they_were_committed() {
        let session = SessionId([7; 16]);
        let issued_until = Timestamp(1_700_000_000);
        for (name, what) in [
            ("session", What::Session(session)),
            ("sid", What::Sid(SidHash::of("company", "s-1"))),
            ("access_token", What::AccessToken(TokenHash::of("a.b.c"))),
            ("subject", What::Subject { name: SubjectHash::of("company", "alice"), issued_until }),
            ("nameless", What::Subject { name: SubjectHash::of_nameless("company", "alice"), issued_until }),
            ("begun", What::Begun(session)),
        ] {
            let denial = Denial { what, until: Timestamp(32_503_680_000) };
            assert_committed("denial", name, &denial.to_bytes());
            assert_eq!(Denial::from_bytes(&committed_bytes("denial", name)), Some(denial));
        }
    }

    #[test]
    fn what_another_version_wrote_is_none() {
        let bytes = Denial { what: What::Session(SessionId([7; 16])), until: Timestamp(2_000) }.to_bytes();
        assert_eq!(Denial::from_bytes(&[]), None);
        assert_eq!(Denial::from_bytes(&bytes[..LENGTH - 1]), None);
        assert_eq!(Denial::from_bytes(&[&bytes[..], &[0]].concat()), None);
        for (index, value) in [(0, 2), (1, 5)] {
            let mut other = bytes;
            other[index] = value;
            assert_eq!(Denial::from_bytes(&other), None);
        }
    }
}
