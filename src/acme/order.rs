//! One order (RFC 8555 §7.4): the authority is shown that the name is ours, then issues a certificate for it.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};

use super::challenges::{Challenges, Showing};
use super::error::{OrderError, words};
use crate::config::AcmeChallenge;

/// How the authority is asked whether it has come to an end.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// A certificate chain for `host` and its key, in PEM.
pub(super) async fn issue(
    account: &Account,
    host: &str,
    challenge: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<String, OrderError> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(OrderError::of)?;
    // Shown until the authority has made up its mind.
    let shown = answer(&mut order, host, challenge, challenges).await?;
    let status = order.poll_ready(&POLLING).await.map_err(OrderError::of)?;
    drop(shown);
    if status != OrderStatus::Ready {
        return Err(OrderError::NotSeen(not_seen(&mut order).await));
    }
    let key = order.finalize().await.map_err(OrderError::of)?;
    let chain = order.poll_certificate(&POLLING).await.map_err(OrderError::of)?;
    Ok(format!("{}\n{key}", chain.trim_end()))
}

/// Shows what is asked for, and says so.
async fn answer(
    order: &mut Order,
    host: &str,
    challenge: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Showing>, OrderError> {
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(OrderError::of)?;
        // One that still counts from an earlier order has no more to show.
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        // An authority that asks about another name than was ordered is shown nothing.
        if authorization.identifier().to_string() != host {
            return Err(OrderError::Unusable("an authorization for another name than was ordered"));
        }
        let kind = match challenge {
            AcmeChallenge::Http01 => ChallengeType::Http01,
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let mut asked = authorization.challenge(kind).ok_or(OrderError::NoSuchChallenge)?;
        let key_authorization = asked.key_authorization();
        shown.push(match challenge {
            AcmeChallenge::Http01 => challenges.show_token(host, &asked.token, key_authorization.as_str()),
            AcmeChallenge::TlsAlpn01 => challenges.show_certificate(host, key_authorization.digest().as_ref())?,
        });
        asked.set_ready().await.map_err(OrderError::of)?;
    }
    Ok(shown)
}

/// What the authority says about an order that came to nothing.
async fn not_seen(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return words(problem);
        }
    }
    "it does not say why".to_owned()
}
