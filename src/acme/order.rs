//! One order (RFC 8555 §7.4): the authority is shown that the name is ours, then issues a certificate for it.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::challenges::{Challenges, Showing};
use super::error::{OrderError, words};
use crate::config::AcmeChallenge;

/// How the authority is asked whether it has come to an end.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_secs(120));

/// A key for `host` and a certificate chain, in PEM. Whether the one is for the other, and for `host`, has yet to be seen.
pub(super) async fn issue(
    account: &Account,
    host: &str,
    challenge: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<String, OrderError> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(OrderError::of)?;
    complete(&mut order, host, challenge, challenges).await.map_err(OrderError::amid)
}

async fn complete(
    order: &mut Order,
    host: &str,
    challenge: AcmeChallenge,
    challenges: &Arc<Challenges>,
) -> Result<String, OrderError> {
    // Shown until the authority has made up its mind.
    let shown = answer(order, host, challenge, challenges).await?;
    let status = order.poll_ready(&POLLING).await;
    drop(shown);
    match status {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => {
            let why = not_seen(order).await;
            return Err(OrderError::NotSeen(why.unwrap_or_else(|| "it does not say why".to_owned())));
        }
        Err(error @ instant_acme::Error::Api(_)) => {
            return Err(not_seen(order).await.map_or_else(|| OrderError::of(error), OrderError::NotSeen));
        }
        Err(error) => return Err(OrderError::of(error)),
    }
    let (key, request) = request(host)?;
    order.finalize_csr(&request).await.map_err(OrderError::of)?;
    let chain = order.poll_certificate(&POLLING).await.map_err(OrderError::of)?;
    text(&key, &chain)
}

/// A key, and a request for a certificate of this one name, whatever the authority says that the order is for.
fn request(host: &str) -> Result<(String, Vec<u8>), OrderError> {
    let mut params = CertificateParams::new([host.to_owned()]).map_err(OrderError::Request)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().map_err(OrderError::Request)?;
    let request = params.serialize_request(&key).map_err(OrderError::Request)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

/// Both in one text. The key comes first, which is the one that counts, and nothing but certificates may follow: an authority
/// that sends a key along would else have us show a certificate whose key it has.
fn text(key: &str, chain: &str) -> Result<String, OrderError> {
    let mut sections = chain.match_indices("-----BEGIN ").map(|(at, _)| chain.get(at..).unwrap_or_default());
    if !sections.all(|section| section.starts_with("-----BEGIN CERTIFICATE-----")) {
        return Err(OrderError::Unusable("there is something else among the certificates"));
    }
    Ok(format!("{}\n{}\n", key.trim_end(), chain.trim_end()))
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
        // An authority that asks about another name than was ordered is shown nothing.
        if authorization.identifier().to_string() != host {
            return Err(OrderError::Unusable("an authorization for another name than was ordered"));
        }
        // One that still counts from an earlier order has no more to show.
        if authorization.status != AuthorizationStatus::Pending {
            continue;
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
        asked.set_ready().await.map_err(OrderError::of_challenge)?;
    }
    Ok(shown)
}

/// What the authority says about a name that it could not see.
async fn not_seen(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(words(problem));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, NewAccount};
    use serde_json::json;
    use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509CertificationRequest};

    use super::*;

    #[test]
    fn a_key_that_comes_along_with_the_chain_is_refused_and_ours_comes_first() {
        let section = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        let (key, chain) = (section("PRIVATE KEY"), section("CERTIFICATE"));
        for other in ["PRIVATE KEY", "EC PRIVATE KEY", "X509 CRL", "CERTIFICATE REQUEST"] {
            for chain in [format!("{chain}{}", section(other)), format!("{}{chain}", section(other))] {
                assert!(matches!(text(&key, &chain), Err(OrderError::Unusable(_))), "{other}");
            }
        }
        assert_eq!(text(&key, &format!("{chain}{chain}")).unwrap(), format!("{key}{chain}{chain}"));
    }

    /// An authority that issues at once, but says nothing at one place.
    struct Silent {
        at: &'static str,
        finalized: Arc<AtomicBool>,
    }

    impl HttpClient for Silent {
        fn request(
            &self,
            request: Request<BodyWrapper<Bytes>>,
        ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
            let at = |path: &str| format!("https://acme.test/{path}");
            let path = request.uri().path().trim_start_matches('/').to_owned();
            self.finalized.fetch_or(path == "finalize", Ordering::Relaxed);
            let status = if self.finalized.load(Ordering::Relaxed) { "valid" } else { "ready" };
            let body = match path.as_str() {
                _ if path == self.at => return Box::pin(async { Err(Error::Str("silence")) }),
                "dir" => json!({ "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order") }),
                "authorization" => json!({
                    "status": "valid", "identifier": { "type": "dns", "value": "app.test" }, "challenges": []
                }),
                _ => json!({
                    "status": status, "authorizations": [at("authorization")],
                    "finalize": at("finalize"), "certificate": at("certificate")
                }),
            };
            let answer =
                Response::builder().header("replay-nonce", "nonce").header("location", at(&format!("{path}/1")));
            let answer = answer.body(Full::new(Bytes::from(body.to_string()))).unwrap();
            Box::pin(async move { Ok(BytesResponse::from(answer)) })
        }
    }

    #[tokio::test]
    async fn whoever_breaks_off_within_an_order_is_not_asked_again_at_once_for_it_may_have_issued() {
        let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
        for (at, begun) in
            [("order", false), ("authorization", true), ("order/1", true), ("finalize", true), ("certificate", true)]
        {
            let authority = Box::new(Silent { at, finalized: Arc::default() });
            let builder = Account::builder_with_http(authority);
            let (account, _) = builder.create(&new, "https://acme.test/dir".to_owned(), None).await.unwrap();
            let outcome = issue(&account, "app.test", AcmeChallenge::Http01, &Arc::default()).await;
            assert_eq!(outcome.unwrap_err().counts(), begun, "{at}");
        }
    }

    #[test]
    fn a_certificate_is_requested_for_the_one_name_that_is_ordered() {
        let (_, request) = request("app.test").unwrap();
        let (_, request) = X509CertificationRequest::from_der(&request).unwrap();
        let mut names = Vec::new();
        for extension in request.requested_extensions().unwrap() {
            if let ParsedExtension::SubjectAlternativeName(alternative) = extension {
                names.extend(alternative.general_names.iter().cloned());
            }
        }
        assert_eq!(names, [GeneralName::DNSName("app.test")]);
    }
}
