//! Steps 5 and 6 as they are told: what is presented, what verification says of it, whose request it is then, and what of the
//! conditions holds for them.

use humantime::format_duration;

use super::explanation::{Check, Explanation};
use super::{Presented, assumed, shown};
use crate::auth::authenticate::{Authenticator, Foreseen, Identity, Source, Trust};
use crate::auth::authorize::{authorize, is_met};
use crate::auth::credentials::Credentials;
use crate::auth::session_cookies::SessionFacts;
use crate::auth::unauthenticated::Unauthenticated;
use crate::auth::verify::VerifyError;
use crate::config::{Access, CERTIFICATE_ISSUER, ClientCertificates, IssuerId, Route};
use crate::gateway::authentication::Authentication;
use crate::gateway::exchange::Exchange;
use crate::gateway::{Gateway, Rejection, client_certificate};
use crate::issuer::Issuer;
use crate::oauth::{AccessToken, Claims};

const STEP: &str = "authenticate";

/// What is known of whoever asks.
struct Known {
    /// Whose request it is, or would be.
    identity: Option<Identity>,
    /// Why that is not certain.
    undecided: Option<String>,
}

impl Known {
    const fn nobody() -> Self {
        Self { identity: None, undecided: None }
    }

    fn undecided(reason: impl Into<String>) -> Self {
        Self { identity: None, undecided: Some(reason.into()) }
    }
}

/// Looks instead of doing what would have to be done, and tells what it sees.
pub(super) struct Look<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) presented: &'a Presented,
    pub(super) told: &'a mut Explanation,
    /// Why it is not certain what was found.
    pub(super) undecided: Option<String>,
}

impl Authentication for Look<'_> {
    async fn whose(
        &mut self,
        credentials: &Credentials,
        route: &Route,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Identity>, Rejection> {
        let Self { gateway, presented, told, undecided } = self;
        let known = find(gateway, credentials, presented, route, exchange, told).await?;
        if let Some(identity) = &known.identity {
            conditions(identity, route, told);
            let is_let_in = authorize(&identity.token.claims, &route.require).is_ok();
            if is_let_in && !route.authentication.is_any() {
                sign_in(gateway, identity, route, told);
            }
        }
        *undecided = known.undecided;
        Ok(known.identity)
    }
}

/// Whose request it is.
async fn find(
    gateway: &Gateway,
    credentials: &Credentials,
    presented: &Presented,
    route: &Route,
    exchange: &mut Exchange<'_>,
    told: &mut Explanation,
) -> Result<Known, Rejection> {
    if route.access == Access::Public {
        told.checks.push(Check::of(STEP, "access is public: no identity is looked at", true));
        return Ok(Known::nobody());
    }
    match presented {
        Presented::AsSent => as_sent(gateway, credentials, route, exchange, told).await,
        Presented::Claims(claims) => of_claims(gateway, claims, route, exchange, told),
        Presented::OfIssuer(name) => of_issuer(gateway, (name, false), route, told),
        Presented::StillOfIssuer(name) => of_issuer(gateway, (name, true), route, told),
        Presented::Unseen => Ok(Known::undecided("what was presented is not known")),
    }
}

async fn as_sent(
    gateway: &Gateway,
    credentials: &Credentials,
    route: &Route,
    exchange: &mut Exchange<'_>,
    told: &mut Explanation,
) -> Result<Known, Rejection> {
    let authenticator = &gateway.authenticator;
    let may_renew = exchange.kind.may_renew;
    let doubt = presented(gateway, credentials, route, told).await;
    let trust = if doubt.is_some() { Trust::ButForSignature } else { Trust::Verified };
    let foreseen = authenticator.foresee(credentials, route, (may_renew, trust), &mut exchange.jar).await;
    match foreseen {
        Ok(Foreseen::Nobody) => {
            told.checks.push(Check::of(STEP, "access is optional: it goes on without an identity", true));
            Ok(Known::nobody())
        }
        Ok(Foreseen::Somebody { identity, renews_ahead }) => {
            if renews_ahead {
                told.note("the access token has little life left: a renewal would begin beside the request");
            }
            // Usher itself has put a sealed token there, which it had verified.
            let vouched_for = identity.session.is_some();
            Ok(Known { identity: Some(identity), undecided: doubt.filter(|_| !vouched_for) })
        }
        Ok(Foreseen::Renewal) => Ok(Known::undecided(
            "the access token does not count any more: the refresh token would be exchanged, which decides",
        )),
        Ok(Foreseen::Stored) => Ok(Known::undecided(
            "the session is in the store, which is not asked: `usher session list` shows whether it is there",
        )),
        // Of an opaque token, nothing is known without its issuer.
        Err(Unauthenticated::Token(VerifyError::UntrustedIssuer | VerifyError::Malformed(_))) if doubt.is_some() => {
            Ok(Known { identity: None, undecided: doubt })
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells what is presented and what verification says of it. Comes back with why that cannot be known, where it cannot.
async fn presented(
    gateway: &Gateway,
    credentials: &Credentials,
    route: &Route,
    told: &mut Explanation,
) -> Option<String> {
    let authenticator = &gateway.authenticator;
    if let Some(token) = &credentials.bearer {
        told.checks.push(Check::of(STEP, "presented", true).seen("a bearer token in Authorization"));
        return examine(gateway, authenticator, token, &route.issuers, told).await;
    }
    if let Some(certificate) = credentials.deciding_certificate() {
        let seen = certificate.said().map_or_else(|error| error.to_string(), shown::claims);
        told.checks.push(Check::of(STEP, "presented", true).seen("a client certificate, and no token"));
        told.checks.push(Check::of(STEP, "certificate names", certificate.said().is_ok()).seen(seen));
        return None;
    }
    if authenticator.has_key(credentials) {
        told.checks.push(Check::of(STEP, "presented", true).seen("a key to a session in the store"));
        return None;
    }
    let session = authenticator.presented(credentials, &route.issuers).ok()??;
    let halves = match (&session.access, &session.refresh) {
        (Some(_), Some(_)) => "an access and a refresh token in cookies",
        (Some(_), None) => "an access token in cookies",
        (None, _) => "a refresh token in cookies",
    };
    told.checks.push(Check::of(STEP, "presented", true).seen(halves));
    if let Some(facts) = &session.facts {
        age(gateway, facts, told);
    }
    told.note(
        "whether the session was signed out or denied, and what became of its refresh token, only the gateway knows",
    );
    let allowed = session.facts.as_ref().map_or(&route.issuers[..], |facts| std::slice::from_ref(&facts.origin.issuer));
    examine(gateway, authenticator, session.access.as_ref()?, allowed, told).await
}

/// How old a session is, and when it ends.
fn age(gateway: &Gateway, facts: &SessionFacts, told: &mut Explanation) {
    let now = gateway.clock.now();
    let ends = gateway.authenticator.session_end_of(facts.origin.started_at);
    let seen = format!("began {} ago", format_duration(now.since(facts.origin.started_at)));
    let wanted = format!("ends at the latest in {}", format_duration(ends.since(now)));
    told.checks.push(Check::of(STEP, "session", ends > now).wanted(wanted).seen(seen));
    let seen = format!("for {} more", format_duration(facts.idle_until.since(now)));
    told.checks.push(Check::of(STEP, "not idle for too long", facts.idle_until > now).seen(seen));
}

/// What verification looks at, and how far it comes.
async fn examine(
    gateway: &Gateway,
    authenticator: &Authenticator,
    token: &AccessToken,
    allowed: &[IssuerId],
    told: &mut Explanation,
) -> Option<String> {
    let (verifier, token) = (authenticator.verifier(), token.expose());
    let now = gateway.clock.now();
    let named = verifier.named_issuer(token, allowed).and_then(|id| verifier.issuers().by_id(id));
    let is_local = named.is_some_and(|issuer| issuer.local().is_some());
    let (error, doubt) = if is_local {
        // Its keys are in the state directory, which the running gateway has for itself.
        let doubt = "the key of the local issuer is with the running gateway: the signature cannot be verified here";
        (verifier.but_for_signature(token, allowed, now).err(), Some(doubt.to_owned()))
    } else {
        let error = verifier.verify(token, allowed, now).await.err();
        let doubt = error.as_ref().filter(|error| error.retry_after().is_some()).map(unknown);
        (error, doubt)
    };
    for examined in verifier.examine(token, allowed, error.as_ref()) {
        let is_of_key = matches!(examined.what, "signature" | "standing");
        let holds = if is_local && is_of_key { None } else { examined.holds };
        let seen = match (&error, holds) {
            (Some(error), Some(false)) => {
                Some(examined.seen.map_or_else(String::new, |seen| format!("{seen}: ")) + &error.to_string())
            }
            _ if examined.what == "exp" => examined.seen.map(|seen| since_or_until(&seen, now.0)),
            _ => examined.seen,
        };
        told.checks.push(Check {
            wanted: examined.wanted,
            seen,
            ..Check::of(STEP, format!("token {}", examined.what), holds)
        });
    }
    doubt
}

fn unknown(error: &VerifyError) -> String {
    format!("the token cannot be verified now: {}", crate::forwarding::chain(error))
}

/// A `NumericDate`, and how far it is from now.
fn since_or_until(date: &str, now: u64) -> String {
    let Ok(seconds) = date.parse::<u64>() else { return date.to_owned() };
    let between = format_duration(std::time::Duration::from_secs(seconds.abs_diff(now)));
    if seconds >= now { format!("{date}, in {between}") } else { format!("{date}, {between} ago") }
}

/// Claims that somebody has given, as if they had been verified.
fn of_claims(
    gateway: &Gateway,
    claims: &Claims,
    route: &Route,
    exchange: &Exchange<'_>,
    told: &mut Explanation,
) -> Result<Known, Rejection> {
    if let Some(certified) = claims.text("iss").filter(|name| name.starts_with(CERTIFICATE_ISSUER)) {
        told.note("the claims are taken as if a client certificate had given them");
        let terms = exchange.target().and_then(|target| client_certificate::terms(gateway, &target.host));
        let own = terms.filter(|terms| terms.identify()).map(ClientCertificates::issuer_name);
        let counts = own.as_deref() == Some(certified);
        let wanted = own.unwrap_or_else(|| "no certificate is an identity on this site".to_owned());
        told.checks.push(Check::of(STEP, "claims iss", counts).wanted(wanted).seen(certified));
        if !counts {
            return Err(Unauthenticated::Token(VerifyError::UntrustedIssuer).into());
        }
        let identity = assumed::identity(claims.clone(), (IssuerId::CERTIFICATES, Source::Certificate));
        return Ok(Known { identity: Some(identity), undecided: None });
    }
    told.note("the claims are taken as if a token with them had been verified");
    let issuers = gateway.authenticator.verifier().issuers();
    let mut known = route.issuers.iter().filter_map(|id| issuers.by_id(*id));
    let issuer = match claims.text("iss") {
        Some(name) => known.find(|issuer| issuer.config().issuer == name),
        None => known.next(),
    };
    let (wanted, seen) = match (claims.text("iss"), issuer) {
        (None, Some(issuer)) => (None, format!("none given: {} is meant", issuer.config().name)),
        (seen, _) => {
            let known = route.issuers.iter().filter_map(|id| issuers.by_id(*id));
            let wanted = known.map(|issuer| issuer.config().issuer.clone()).collect::<Vec<_>>().join(" or ");
            (Some(wanted), seen.unwrap_or_default().to_owned())
        }
    };
    told.checks.push(Check { wanted, ..Check::of(STEP, "claims iss", issuer.is_some()).seen(seen) });
    let issuer = issuer.map(Issuer::id).ok_or(Unauthenticated::Token(VerifyError::UntrustedIssuer))?;
    Ok(Known { identity: Some(assumed::identity(claims.clone(), (issuer, Source::Header))), undecided: None })
}

/// Somebody of whom the log has kept the issuer, and not what the token said.
fn of_issuer(
    gateway: &Gateway,
    (name, still_counts): (&str, bool),
    route: &Route,
    told: &mut Explanation,
) -> Result<Known, Rejection> {
    let issuers = gateway.authenticator.verifier().issuers();
    let counts = route.issuers.iter().filter_map(|id| issuers.by_id(*id)).any(|issuer| &*issuer.config().name == name);
    told.checks.push(Check::of(STEP, "an issuer of the route", counts).seen(format!("{name}, says the log")));
    if !counts {
        return Err(Unauthenticated::Token(VerifyError::UntrustedIssuer).into());
    }
    for condition in &route.require {
        told.checks.push(Check::of("authorize", condition.to_string(), None).seen("the log does not keep claims"));
    }
    // Who lets in everybody of an issuer needs no claims.
    let certain = route.require.is_empty() && route.authentication.is_any();
    if certain && still_counts {
        return Ok(Known::nobody());
    }
    let reason =
        if certain { "the token counted then: whether it does still is not known" } else { "the claims are not known" };
    Ok(Known::undecided(reason))
}

/// Each condition on the claims, and what the token says.
fn conditions(identity: &Identity, route: &Route, told: &mut Explanation) {
    let claims = &identity.token.claims;
    for condition in &route.require {
        let seen = claims.at(&condition.claim).map_or_else(|| "no such claim".to_owned(), shown::claim);
        let holds = is_met(claims, condition);
        told.checks.push(Check::of("authorize", condition.to_string(), holds).seen(seen));
    }
}

/// How, and when, the user has signed in.
fn sign_in(gateway: &Gateway, identity: &Identity, route: &Route, told: &mut Explanation) {
    let claims = &identity.token.claims;
    let claim = |name: &str| claims.0.get(name).map(|value| format!("{name} {}", shown::claim(value)));
    let seen: Vec<_> = ["acr", "auth_time"].into_iter().filter_map(claim).collect();
    let seen = if seen.is_empty() { "the token says nothing of it".to_owned() } else { seen.join(", ") };
    let holds = gateway.authenticator.check_sign_in(identity, &route.authentication).is_ok();
    told.checks.push(Check::of("authorize", route.authentication.to_string(), holds).seen(seen));
}
