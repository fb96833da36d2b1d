//! What verification looks at in a token, in its order, and how far it came: for people who ask why a token does not count.
//!
//! The verdicts are those of [`Verifier::verify`](super::Verifier::verify), whose error names the one thing that was wrong.
//! Nothing is verified here.

use serde_json::Value;

use super::compact::Presented;
use super::{Malformed, Verifier, VerifyError, fits};
use crate::clock::Timestamp;
use crate::config::IssuerId;
use crate::issuer::Issuer;
use crate::oauth::Claims;

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Form,
    Issuer,
    Algorithm,
    Type,
    Audience,
    Claims,
    Signature,
    Time,
    Standing,
}

/// One thing that verification looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// What.
    pub what: &'static str,
    /// What the token says of it, where it says something.
    pub seen: Option<String>,
    /// What counts here.
    pub wanted: Option<String>,
    /// `None`: it was not come to, or could not be known.
    pub holds: Option<bool>,
}

impl Verifier {
    /// What was looked at in a token, given what [`Verifier::verify`] has said about it with the same issuers.
    #[must_use]
    pub fn examine(&self, token: &str, allowed: &[IssuerId], error: Option<&VerifyError>) -> Vec<Examined> {
        let parsed = self.signed(token, allowed);
        if let (Err(_), Some(issuer)) = (&parsed, self.introspecting(allowed)) {
            return vec![asked_about(issuer, error)];
        }
        // Of a token that names nobody who counts, the claims can be shown all the same.
        let presented = Presented::parse(token).ok();
        let issuer = parsed.ok().map(|(issuer, _)| issuer);
        let known = allowed.iter().filter_map(|id| self.issuers().by_id(*id));
        let names: Vec<_> = known.map(|issuer| issuer.config().issuer.as_str()).collect();
        let seen = |aspect| presented.as_ref().and_then(|presented| seen(aspect, presented));
        let wanted = |aspect| match aspect {
            Aspect::Issuer => Some(names.join(" or ")),
            aspect => issuer.and_then(|issuer| wanted(aspect, issuer)),
        };
        let failed = error.map(Aspect::of);
        Aspect::ALL
            .into_iter()
            // Only of a local issuer is more known than the token says.
            .filter(|aspect| *aspect != Aspect::Standing || issuer.is_some_and(|issuer| issuer.local().is_some()))
            .map(|aspect| Examined {
                what: aspect.name(),
                seen: seen(aspect),
                wanted: wanted(aspect),
                holds: holds(aspect, failed, error),
            })
            .collect()
    }

    /// What [`Verifier::verify`] would say of a token if its signature were good, for when there is no key to know that by:
    /// whose it is, what it says, and until when it is usable. Nobody may be let in by that.
    ///
    /// # Errors
    /// As [`Verifier::verify`], where no issuer has to be asked for it.
    pub fn but_for_signature(
        &self,
        token: &str,
        allowed: &[IssuerId],
        now: Timestamp,
    ) -> Result<(IssuerId, Claims, Timestamp), VerifyError> {
        let (issuer, presented) = self.signed(token, allowed)?;
        match self.usable_until(issuer, &fits(issuer, &presented)?, now)? {
            Some(usable_until) => Ok((issuer.id(), presented.claims, usable_until)),
            None => Err(VerifyError::Expired(Box::new(presented.claims))),
        }
    }
}

/// All before the one that failed have held.
fn holds(aspect: Aspect, failed: Option<Aspect>, error: Option<&VerifyError>) -> Option<bool> {
    match failed {
        Some(failed) if aspect > failed => None,
        Some(failed) if aspect == failed => error?.retry_after().is_none().then_some(false),
        _ => Some(true),
    }
}

fn asked_about(issuer: &Issuer, error: Option<&VerifyError>) -> Examined {
    let unknown = error.is_some_and(|error| error.retry_after().is_some());
    Examined {
        what: "introspection",
        seen: None,
        wanted: Some(format!("active, says {}", issuer.config().name)),
        holds: (!unknown).then_some(error.is_none()),
    }
}

impl Aspect {
    const ALL: [Self; 9] = [
        Self::Form,
        Self::Issuer,
        Self::Algorithm,
        Self::Type,
        Self::Audience,
        Self::Claims,
        Self::Signature,
        Self::Time,
        Self::Standing,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Issuer => "iss",
            Self::Algorithm => "alg",
            Self::Type => "typ",
            Self::Audience => "aud",
            Self::Claims => "claims",
            Self::Signature => "signature",
            Self::Time => "exp",
            Self::Standing => "standing",
        }
    }

    /// What an error is about.
    fn of(error: &VerifyError) -> Self {
        match error {
            VerifyError::UntrustedIssuer
            | VerifyError::MissingClaim("iss")
            | VerifyError::Malformed(Malformed::Claim("iss")) => Self::Issuer,
            VerifyError::WrongAudience
            | VerifyError::MissingClaim("aud")
            | VerifyError::Malformed(Malformed::Claim("aud")) => Self::Audience,
            VerifyError::OtherClient
            | VerifyError::SenderConstrained
            | VerifyError::MissingClaim(_)
            | VerifyError::Malformed(Malformed::Claim(_)) => Self::Claims,
            VerifyError::Malformed(_) => Self::Form,
            VerifyError::AlgorithmNotAllowed => Self::Algorithm,
            VerifyError::WrongType => Self::Type,
            VerifyError::UnknownKey
            | VerifyError::BadSignature
            | VerifyError::IssuerUnavailable(_)
            | VerifyError::Inactive
            | VerifyError::NotIntrospected(_) => Self::Signature,
            VerifyError::Expired(_) | VerifyError::NotYetValid { .. } => Self::Time,
            VerifyError::Withdrawn(_) => Self::Standing,
        }
    }
}

/// What the token says.
fn seen(aspect: Aspect, presented: &Presented<'_>) -> Option<String> {
    let claim = |name: &str| presented.claims.0.get(name).map(plain);
    match aspect {
        Aspect::Issuer => claim("iss"),
        Aspect::Algorithm => Some(presented.header.algorithm.name().to_owned()),
        Aspect::Type => presented.header.typ().map(str::to_owned),
        Aspect::Audience => claim("aud"),
        Aspect::Signature => presented.header.kid.as_ref().map(|kid| format!("by the key {kid}")),
        Aspect::Time => claim("exp"),
        Aspect::Form | Aspect::Claims | Aspect::Standing => None,
    }
}

fn wanted(aspect: Aspect, issuer: &Issuer) -> Option<String> {
    let config = issuer.config();
    match aspect {
        Aspect::Algorithm => {
            Some(config.algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" or "))
        }
        Aspect::Type => config.token_type.clone(),
        Aspect::Audience => Some(config.audiences.join(" or ")),
        Aspect::Form | Aspect::Issuer | Aspect::Claims | Aspect::Signature | Aspect::Time | Aspect::Standing => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
