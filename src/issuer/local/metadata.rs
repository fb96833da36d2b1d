//! What the local issuer says of itself (RFC 8414 §2), so that others can verify its access tokens.
//!
//! There is a key set and nothing else: no authorization endpoint, for its users sign in at a site of Usher's; and no token
//! or revocation endpoint, for nobody but Usher ever holds one of its refresh tokens.

use bytes::Bytes;
use serde_json::json;

use super::factors::Factors;
use super::tokens;

/// The document. URLs begin with the issuer as it is configured.
pub(super) fn document(issuer: &str) -> Bytes {
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/jwks.json", issuer.trim_end_matches('/')),
        "response_types_supported": [],
        "grant_types_supported": [],
        "acr_values_supported": Factors::CLASSES,
        "claims_supported": tokens::OWN,
    });
    document.to_string().into()
}
