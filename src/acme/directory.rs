//! Whether an authority is there: its directory (RFC 8555 §7.1.1), asked for as an order asks for it. Nothing is ordered.

use bytes::Bytes;
use http::Request;
use instant_acme::{BodyWrapper, Error, HttpClient as _};

use super::error::OrderError;
use super::transport::Transport;
use crate::config::Acme;

/// Asks the authority for its directory.
///
/// # Errors
///
/// [`OrderError`]: nobody answers there, or not as an authority does.
pub async fn look(acme: &Acme) -> Result<(), OrderError> {
    let transport = Transport::new(acme.ca.as_deref())?;
    let request = Request::get(acme.directory.as_str()).body(BodyWrapper::<Bytes>::default());
    let request = request.map_err(|error| OrderError::Unreachable(error.into()))?;
    let mut answer = transport.request(request).await.map_err(OrderError::of)?;
    let body = answer.body.into_bytes().await.map_err(|error| OrderError::Unreachable(Error::Other(error)))?;
    let directory: serde_json::Value =
        serde_json::from_slice(&body).map_err(|error| OrderError::Unreachable(error.into()))?;
    if !answer.parts.status.is_success() || directory.get("newOrder").is_none() {
        return Err(OrderError::Unreachable(Error::Str("what is there is no directory of an authority")));
    }
    Ok(())
}
