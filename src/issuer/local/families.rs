//! Refresh tokens: 256 random bits each, of which the store has the hash; all of one sign-in are a family.
//!
//! A token is spent when it is exchanged for its successor. Spent, it is still exchanged for another successor within the
//! grace, because an answer may get lost; after that it is evidence of theft, and the family ends (RFC 9700 §4.14.2). A
//! family ends so long after the sign-in, whatever is done with it; when its user's password or second factor changes, or
//! the user goes; and when it is revoked. With it end its access tokens, which name it. All of this happens within a
//! transaction that somebody else has begun.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::factors::Factors;
use super::store::{Rows, StoreError, Table, read, sha256, write};
use crate::clock::Timestamp;
use crate::config::{FoldedName, User, Users};
use crate::oauth::RefreshToken;

/// So many spent tokens of a family are known; what is older is unknown, and refused like any unknown token.
const MOST_GENERATIONS: u64 = 4096;
/// So many families may a user have, as many browsers and programs: one more ends the oldest.
const MOST_FAMILIES: usize = 100;
/// So many families that are over are taken away with each change.
const SWEPT: usize = 16;

/// One sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Family {
    /// 128 random bits, in hexadecimal: the `sid` of its tokens.
    pub(super) id: String,
    /// Whose it is: the folded name.
    pub(super) user: String,
    /// The `sub` of its tokens.
    pub(super) subject: String,
    /// When the user was authenticated.
    pub(super) started: Timestamp,
    /// When it ends.
    pub(super) ends: Timestamp,
    /// How. `None` where the family began before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) factors: Option<Factors>,
    /// Of the password and the second factor ([`mark`]): whoever signs in with others is in another family.
    mark: [u8; 32],
    /// How many tokens it has had.
    generations: u64,
}

impl Family {
    /// Whether somebody may go on with it: it is not over, and its user may sign in, with the same password, second factor
    /// and subject.
    pub(super) fn may_go_on(&self, users: &Users, now: Timestamp) -> bool {
        let owner = users.find_folded(&self.user).filter(|user| !user.disabled);
        self.ends > now && owner.is_some_and(|owner| self.is_of(owner))
    }

    fn is_of(&self, user: &User) -> bool {
        user.subject == self.subject && mark(user) == self.mark
    }
}

#[derive(Serialize, Deserialize)]
struct Token {
    family: String,
    spent: Option<Timestamp>,
}

/// What became of a presented token.
#[derive(Debug)]
pub(super) enum Exchanged {
    /// Here is its successor.
    Successor(Family, RefreshToken),
    /// It is not good, or not any more.
    Rejected,
    /// It was spent long ago: the family has ended now.
    Reused,
}

/// Begins a family for a user who was authenticated by these factors.
pub(super) fn begin(
    rows: &mut dyn Rows,
    (user, factors): (&User, Factors),
    lifetime: Duration,
    now: Timestamp,
) -> Result<(Family, RefreshToken), StoreError> {
    sweep(rows, now)?;
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| StoreError::GivenUp)?;
    let mut family = Family {
        id: format!("{:032x}", u128::from_be_bytes(id)),
        user: FoldedName::of(&user.name).as_str().to_owned(),
        subject: user.subject.clone(),
        started: now,
        ends: now.after(lifetime),
        factors: Some(factors),
        mark: mark(user),
        generations: 0,
    };
    let mut ids = ids(rows, &family.user)?;
    while ids.len() >= MOST_FAMILIES {
        let oldest = ids.remove(0);
        end_by_id(rows, &oldest)?;
    }
    ids.push(family.id.clone());
    write(rows, Table::Users, family.user.as_bytes(), &ids)?;
    let token = issue(rows, &mut family)?;
    rows.put(Table::Ends, &ends_key(&family), &[])?;
    Ok((family, token))
}

/// Exchanges a token for its successor. `owner` is the user of that name, if there is one who may sign in.
pub(super) fn exchange<'u>(
    rows: &mut dyn Rows,
    presented: &RefreshToken,
    owner: impl FnOnce(&str) -> Option<&'u User>,
    grace: Duration,
    now: Timestamp,
) -> Result<Exchanged, StoreError> {
    sweep(rows, now)?;
    let hash = hash(presented);
    let Some(mut token) = read::<Token>(rows, Table::Tokens, &hash)? else { return Ok(Exchanged::Rejected) };
    let Some(mut family) = read::<Family>(rows, Table::Families, token.family.as_bytes())? else {
        return Ok(Exchanged::Rejected);
    };
    if !owner(&family.user).is_some_and(|user| family.is_of(user)) || family.ends <= now {
        end(rows, &family)?;
        return Ok(Exchanged::Rejected);
    }
    match token.spent {
        Some(spent) if now.since(spent) > grace => {
            end(rows, &family)?;
            return Ok(Exchanged::Reused);
        }
        // The grace begins once: a lost answer is asked for again soon, and a thief must not prolong it.
        Some(_) => {}
        None => {
            token.spent = Some(now);
            write(rows, Table::Tokens, &hash, &token)?;
        }
    }
    let successor = issue(rows, &mut family)?;
    Ok(Exchanged::Successor(family, successor))
}

/// Ends the family of a token, spent or not.
pub(super) fn revoke(rows: &mut dyn Rows, presented: &RefreshToken) -> Result<Option<Family>, StoreError> {
    let Some(token) = read::<Token>(rows, Table::Tokens, &hash(presented))? else { return Ok(None) };
    let family = read::<Family>(rows, Table::Families, token.family.as_bytes())?;
    family.iter().try_for_each(|family| end(rows, family))?;
    Ok(family)
}

/// Every family whose row can be read: nobody can go on with another one.
pub(super) fn all(rows: &dyn Rows) -> Result<Vec<Family>, StoreError> {
    let rows = rows.first(Table::Families, usize::MAX)?;
    Ok(rows.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect())
}

/// The families of a user, the oldest first.
fn ids(rows: &dyn Rows, user: &str) -> Result<Vec<String>, StoreError> {
    read(rows, Table::Users, user.as_bytes()).map(Option::unwrap_or_default)
}

fn end_by_id(rows: &mut dyn Rows, id: &str) -> Result<(), StoreError> {
    let family = read::<Family>(rows, Table::Families, id.as_bytes())?;
    family.map_or(Ok(()), |family| end(rows, &family))
}

fn issue(rows: &mut dyn Rows, family: &mut Family) -> Result<RefreshToken, StoreError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| StoreError::GivenUp)?;
    let token = RefreshToken::new(&URL_SAFE_NO_PAD.encode(bytes));
    let hash = hash(&token);
    family.generations += 1;
    if let Some(oldest) = family.generations.checked_sub(MOST_GENERATIONS) {
        forget(rows, family, oldest)?;
    }
    rows.put(Table::Generations, &generation_key(family, family.generations), &hash)?;
    write(rows, Table::Tokens, &hash, &Token { family: family.id.clone(), spent: None })?;
    write(rows, Table::Families, family.id.as_bytes(), family)?;
    Ok(token)
}

/// Ends a family.
pub(super) fn end(rows: &mut dyn Rows, family: &Family) -> Result<(), StoreError> {
    let first = family.generations.saturating_sub(MOST_GENERATIONS).max(1);
    for generation in first..=family.generations {
        forget(rows, family, generation)?;
    }
    rows.remove(Table::Families, family.id.as_bytes())?;
    rows.remove(Table::Ends, &ends_key(family))?;
    let mut ids = ids(rows, &family.user)?;
    ids.retain(|id| *id != family.id);
    if ids.is_empty() {
        rows.remove(Table::Users, family.user.as_bytes())
    } else {
        write(rows, Table::Users, family.user.as_bytes(), &ids)
    }
}

fn forget(rows: &mut dyn Rows, family: &Family, generation: u64) -> Result<(), StoreError> {
    let key = generation_key(family, generation);
    if let Some(hash) = rows.find(Table::Generations, &key)? {
        rows.remove(Table::Tokens, &hash)?;
        rows.remove(Table::Generations, &key)?;
    }
    Ok(())
}

/// Takes away what is over.
fn sweep(rows: &mut dyn Rows, now: Timestamp) -> Result<(), StoreError> {
    for (key, _) in rows.first(Table::Ends, SWEPT)? {
        let (ends, id) = key.split_first_chunk::<8>().ok_or(StoreError::Row)?;
        if u64::from_be_bytes(*ends) > now.0 {
            break;
        }
        match read::<Family>(rows, Table::Families, id)? {
            Some(family) => end(rows, &family)?,
            None => rows.remove(Table::Ends, &key)?,
        }
    }
    Ok(())
}

fn ends_key(family: &Family) -> Vec<u8> {
    [&family.ends.0.to_be_bytes(), family.id.as_bytes()].concat()
}

fn generation_key(family: &Family, generation: u64) -> Vec<u8> {
    [family.id.as_bytes(), &generation.to_be_bytes()].concat()
}

fn hash(token: &RefreshToken) -> [u8; 32] {
    sha256(token.expose().as_bytes())
}

/// What changes with the password and with the second factor. Without one it is that of families of before there were any.
pub(super) fn mark(user: &User) -> [u8; 32] {
    let mut secrets = Zeroizing::new(user.password.expose().to_vec());
    if let Some(totp) = &user.totp {
        // There is none in a hash: where it ends is certain.
        secrets.push(0);
        secrets.extend(totp.expose());
    }
    sha256(&secrets)
}

#[cfg(test)]
mod tests;
