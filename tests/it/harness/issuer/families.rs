//! Refresh tokens: rotation, and the end of the whole family when a spent one comes back (RFC 9700 §4.14.2).

use std::collections::HashMap;

use super::unique;

/// Every refresh token that was ever issued.
#[derive(Debug, Default)]
pub(super) struct Families {
    tokens: HashMap<String, Refresh>,
    /// How often a spent token was presented.
    pub(super) reuses: usize,
    /// Whether a spent token is answered with its successor.
    pub(super) forgiving: bool,
    begun: usize,
    /// What all later tokens are longer by.
    pub(super) padding: usize,
}

#[derive(Clone, Debug)]
struct Refresh {
    family: usize,
    subject: String,
    successor: Option<String>,
    revoked: bool,
}

/// What a presented refresh token is good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// It is good; it belongs to this user.
    Good(String),
    /// It is spent, and the issuer forgives that: the user and the successor.
    Forgiven(String, String),
    /// It is not known, revoked or spent.
    Refused,
}

impl Families {
    /// Starts a family and returns its first token.
    pub(super) fn begin(&mut self, subject: &str) -> String {
        self.begun += 1;
        let first = Refresh { family: self.begun, subject: subject.to_owned(), successor: None, revoked: false };
        self.insert(first)
    }

    /// Judges a presented token; a spent one ends its family.
    pub(super) fn present(&mut self, token: &str) -> Presented {
        let Some(found) = self.tokens.get(token).cloned() else { return Presented::Refused };
        if found.revoked {
            return Presented::Refused;
        }
        match found.successor {
            None => Presented::Good(found.subject),
            Some(successor) => {
                self.reuses += 1;
                if self.forgiving {
                    return Presented::Forgiven(found.subject, successor);
                }
                self.revoke_family(found.family);
                Presented::Refused
            }
        }
    }

    /// Spends a good token and returns its successor.
    pub(super) fn rotate(&mut self, token: &str) -> String {
        let fresh = Refresh { successor: None, ..self.tokens[token].clone() };
        let successor = self.insert(fresh);
        self.tokens.get_mut(token).unwrap().successor = Some(successor.clone());
        successor
    }

    /// Revokes the family of a token (RFC 7009); an unknown one is no error.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(found) = self.tokens.get(token) {
            self.revoke_family(found.family);
        }
    }

    fn revoke_family(&mut self, family: usize) {
        self.tokens.values_mut().filter(|token| token.family == family).for_each(|token| token.revoked = true);
    }

    fn insert(&mut self, refresh: Refresh) -> String {
        let token = format!("refresh-{}{}", unique(), "x".repeat(self.padding));
        self.tokens.insert(token.clone(), refresh);
        token
    }
}
