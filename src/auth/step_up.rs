//! How, and how recently, somebody has signed in: what a route may ask for beside claims, and what another sign-in can mend
//! (RFC 9470).
//!
//! The verified token that is the identity says so in `acr` and `auth_time` (OIDC Core §2, RFC 9068 §2.2.1). Of what it does
//! not mention, the ID token of the sign-in counts, whose word is kept in the sealed cookies of the session. A renewal changes
//! nothing about that: it is no sign-in, and whatever its ID token says, nobody has proved anything new (OIDC Core §12.2).

use std::time::Duration;

use serde_json::Value;

use super::verify::date;
use crate::clock::Timestamp;
use crate::config::Authentication;
use crate::oauth::Claims;

pub use crate::session::{AcrHash, SignInFacts};

/// Somebody is signed in, but not in the way, or not as recently, as is asked for: 401, for signing in again can mend it. Tells
/// what the operator wrote, and nothing of the user's claims. The client's, mostly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sign-in is not what is asked for: {lacking}")]
pub struct Insufficient {
    /// All that is asked for.
    pub asked: Authentication,
    /// What of it is not met.
    pub lacking: Authentication,
}

impl SignInFacts {
    /// Of an ID token that has been verified. What cannot be read is not there.
    #[must_use]
    pub fn of(claims: &Claims) -> Self {
        Self { auth_time: date(claims, "auth_time").ok().flatten(), acr: claims.text("acr").map(AcrHash::of) }
    }
}

/// Whether a sign-in is what is asked for, by the claims of the verified token, and for what they do not mention by what is
/// `kept` of its ID token. What nobody tells is not met, and a claim that cannot be read tells nothing.
///
/// # Errors
/// [`Insufficient`]
pub fn check(
    claims: &Claims,
    kept: SignInFacts,
    asked: &Authentication,
    (now, leeway): (Timestamp, Duration),
) -> Result<(), Insufficient> {
    let acr = match claims.0.get("acr") {
        Some(Value::String(acr)) => asked.acr_values.contains(acr),
        Some(_) => false,
        None => kept.acr.is_some_and(|kept| asked.acr_values.iter().any(|asked| AcrHash::of(asked) == kept)),
    };
    let auth_time = date(claims, "auth_time").map(|time| time.or(kept.auth_time)).ok().flatten();
    let is_recent = |max_age: Duration| {
        auth_time.is_some_and(|at| at <= now.after(leeway) && now <= at.after(max_age).after(leeway))
    };
    let lacking = Authentication {
        acr_values: if acr { Vec::new() } else { asked.acr_values.clone() },
        max_age: asked.max_age.filter(|max_age| !is_recent(*max_age)),
    };
    if lacking.is_any() { Ok(()) } else { Err(Insufficient { asked: asked.clone(), lacking }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LEEWAY: Duration = Duration::from_secs(5);

    fn asked(acr_values: &[&str], max_age: Option<u64>) -> Authentication {
        let acr_values = acr_values.iter().map(ToString::to_string).collect();
        Authentication { acr_values, max_age: max_age.map(Duration::from_secs) }
    }

    fn claims(value: Value) -> Claims {
        let Value::Object(map) = value else { unreachable!() };
        Claims(map)
    }

    fn is_met(token: Value, kept: Value, asked: &Authentication, now: u64) -> bool {
        check(&claims(token), SignInFacts::of(&claims(kept)), asked, (Timestamp(now), LEEWAY)).is_ok()
    }

    #[test]
    fn a_sign_in_is_recent_to_the_second_with_the_leeway_on_both_ends() {
        let asked = asked(&[], Some(60));
        for (now, met) in [(994, false), (995, true), (1_000, true), (1_060, true), (1_065, true), (1_066, false)] {
            for (token, kept) in
                [(json!({ "auth_time": 1_000 }), json!({})), (json!({}), json!({ "auth_time": 1_000 }))]
            {
                assert_eq!(is_met(token, kept, &asked, now), met, "{now}");
            }
        }
        assert!(
            !is_met(json!({ "auth_time": u64::MAX }), json!({}), &asked, 1_000),
            "the end of time is in the future"
        );
    }

    #[test]
    fn any_of_the_values_will_do_and_only_as_a_whole() {
        let asked = asked(&["gold", "silver"], None);
        for (acr, met) in [("gold", true), ("silver", true), ("Gold", false), ("gold silver", false), ("", false)] {
            assert_eq!(is_met(json!({ "acr": acr }), json!({}), &asked, 0), met, "{acr}");
            assert_eq!(is_met(json!({}), json!({ "acr": acr }), &asked, 0), met, "{acr} in the ID token");
        }
    }

    #[test]
    fn what_nobody_tells_or_nobody_can_read_is_not_met() {
        for asked in [asked(&["1"], None), asked(&[], Some(60))] {
            assert!(!is_met(json!({}), json!({}), &asked, 1_000), "{asked}");
        }
        let good = json!({ "acr": "1", "auth_time": 1_000 });
        for acr in [json!(1), json!(["1"]), json!(null), json!(true)] {
            assert!(!is_met(json!({ "acr": acr }), good.clone(), &asked(&["1"], None), 1_000), "{acr}");
        }
        for time in [json!("1000"), json!(null), json!([1_000])] {
            assert!(!is_met(json!({ "auth_time": time }), good.clone(), &asked(&[], Some(60)), 1_000), "{time}");
        }
        assert!(is_met(json!({ "auth_time": 1_000.7 }), json!({}), &asked(&[], Some(60)), 1_000));
    }

    #[test]
    fn the_token_counts_more_than_what_is_kept_be_it_less_or_more() {
        let asked = asked(&["gold"], Some(60));
        let (gold, bronze) = (json!({ "acr": "gold", "auth_time": 1_000 }), json!({ "acr": "bronze", "auth_time": 1 }));
        assert!(is_met(gold.clone(), bronze.clone(), &asked, 1_000));
        assert!(!is_met(bronze, gold, &asked, 1_000));
    }

    #[test]
    fn what_is_lacking_is_named_and_nothing_of_the_user() {
        let both = asked(&["gold"], Some(900));
        let only = |token: Value| {
            let outcome = check(&claims(token), SignInFacts::default(), &both, (Timestamp(1_000), LEEWAY));
            outcome.unwrap_err().to_string()
        };
        let begins = "the sign-in is not what is asked for: ";
        assert_eq!(only(json!({ "acr": "canary" })), format!("{begins}acr gold, signed in within 15m"));
        assert_eq!(only(json!({ "acr": "gold" })), format!("{begins}signed in within 15m"));
        assert_eq!(only(json!({ "auth_time": 999 })), format!("{begins}acr gold"));
    }
}
