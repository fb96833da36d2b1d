//! The issuer inside Usher: its users, and how long what it gives out is good.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde_json::{Map, Value};

use super::{PasswordHash, TotpSecret};

/// What is configured of the local issuer, beside what every issuer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalIssuer {
    /// Everybody who may sign in. Never empty.
    pub users: Users,
    /// How long an access token is good; a day at most.
    pub access_token_lifetime: Duration,
    /// How long after the sign-in its refresh tokens end, however often they are rotated: never later than
    /// [`Session::absolute_timeout`](super::Session::absolute_timeout).
    pub refresh_token_lifetime: Duration,
    /// How long one key signs before the next one does.
    pub signing_key_lifetime: Duration,
    /// How long a spent refresh token is still exchanged: [`Session::refresh_grace`](super::Session::refresh_grace).
    pub refresh_grace: Duration,
    /// The directory of its keys and refresh tokens. `None`: they are kept in memory, and end with the process.
    pub state: Option<PathBuf>,
}

/// The users, found by their names as people type them: case, width and spaces around do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(Arc<BTreeMap<FoldedName, User>>);

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name as the file has it.
    pub name: String,
    /// The `sub` of the tokens.
    pub subject: String,
    /// The hash of the password.
    pub password: PasswordHash,
    /// The secret of the one-time passwords, of a user with a second factor.
    pub totp: Option<TotpSecret>,
    /// Whether the user may not sign in at the moment.
    pub disabled: bool,
    /// Claims of the tokens beside those that the issuer makes.
    pub claims: Map<String, Value>,
}

/// More rounds of folding than any name takes.
const MOST_ROUNDS: usize = 8;

/// A user name without what people type differently: NFKC, without case, without spaces around.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoldedName(String);

impl FoldedName {
    /// Folds a name. One that is folded stays as it is.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let (mut before, mut folded) = (fold(name), String::new());
        // What is folded may be what is to be folded: ẞ becomes ß, and that ss. Each round leaves less to do.
        for _ in 0..MOST_ROUNDS {
            folded = fold(&before);
            if folded == before {
                break;
            }
            before.clone_from(&folded);
        }
        Self(folded)
    }

    /// The folded name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FoldedName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

fn fold(name: &str) -> String {
    let normalizer = const { ComposingNormalizerBorrowed::new_nfkc() };
    // Up and down again: what has two lower-case forms (ς and σ), or none (ß), has one then.
    let folded: String =
        normalizer.normalize(name).chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    normalizer.normalize(folded.trim()).into_owned()
}

impl Users {
    /// Of two users whose names fold to one, the later one is lost: the check of the file refuses that before.
    #[must_use]
    pub fn new(users: impl IntoIterator<Item = User>) -> Self {
        Self(Arc::new(users.into_iter().map(|user| (FoldedName::of(&user.name), user)).collect()))
    }

    /// The user of this name.
    #[must_use]
    pub fn find(&self, name: &FoldedName) -> Option<&User> {
        self.0.get(name)
    }

    /// The same by a name that was folded before, and is not folded again: it may have been kept for years.
    #[must_use]
    pub fn find_folded(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    /// All of them, by their folded names.
    pub fn iter(&self) -> impl Iterator<Item = (&FoldedName, &User)> {
        self.0.iter()
    }
}

/// Shows the name only: claims are personal data, and the hash may be guessed from.
impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_take_for_one_fold_to_one() {
        for (one, other) in [
            ("alice", "ALICE"),
            ("alice", " Alice\t"),
            ("alice", "ａｌｉｃｅ"),
            ("strasse", "STRAßE"),
            ("οδος", "ΟΔΟΣ"),
            ("é", "e\u{301}"),
            ("kelvin", "\u{212a}elvin"),
            ("strasse", "STRA\u{1e9e}E"),
        ] {
            assert_eq!(FoldedName::of(one), FoldedName::of(other), "{one} {other}");
        }
        assert_ne!(FoldedName::of("alice"), FoldedName::of("alíce"));
    }

    fn stays_folded(name: &str) {
        let folded = FoldedName::of(name);
        assert_eq!(FoldedName::of(folded.as_str()), folded, "{name:?}");
    }

    #[test]
    fn every_letter_that_is_folded_stays_as_it_is() {
        for letter in '\0'..=char::MAX {
            stays_folded(letter.encode_utf8(&mut [0; 4]));
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_that_is_folded_stays_as_it_is(name in proptest::prelude::any::<String>()) {
            stays_folded(&name);
        }
    }
}
