//! A JSON document that an issuer publishes: how it is fetched, and why it could not be.

use std::time::SystemTime;

use http::StatusCode;
use url::Url;

use super::transport::{Transport, TransportError};

/// A discovery document or a key set is a few KiB; nothing longer than this is read.
const LIMIT: usize = 1024 * 1024;

/// Why a document of an issuer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No whole answer came. The issuer's, or the network's.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer is not a success. The issuer's.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// The answer does not say that it is JSON: the wrong URL, or a page of something in between. The operator's.
    #[error("the answer is not JSON by its Content-Type")]
    ContentType,
    /// The answer is not the JSON that it should be. The issuer's.
    #[error("the document cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The discovery document is that of another issuer (OpenID Connect Discovery §4.3). The operator's, or an attack.
    #[error("the discovery document says that its issuer is {found:?}, not {expected:?}")]
    OtherIssuer {
        /// What the configuration says.
        expected: String,
        /// What the document says.
        found: String,
    },
    /// The discovery document has no such endpoint, or none at a URL that may be dialled. The issuer's.
    #[error("the discovery document has no usable {0}")]
    NoEndpoint(&'static str),
    /// The discovery document could not be had either.
    #[error("the discovery document could not be had")]
    Discovery(#[source] std::sync::Arc<FetchError>),
    /// The discovery document has not arrived yet.
    #[error("the discovery document has not arrived yet")]
    Underway,
}

/// What was fetched.
pub(super) struct Document {
    /// The JSON.
    pub(super) bytes: Vec<u8>,
    /// What time it was at the issuer when it sent that, if it says so.
    pub(super) sent_at: Option<SystemTime>,
}

/// Fetches a JSON document.
pub(super) async fn fetch(transport: &Transport, url: Url) -> Result<Document, FetchError> {
    let answer = transport.get(url, LIMIT).await?;
    if answer.status != StatusCode::OK {
        return Err(FetchError::Status(answer.status));
    }
    if !answer.is_json() {
        return Err(FetchError::ContentType);
    }
    let sent_at = answer.sent_at();
    Ok(Document { bytes: answer.body?, sent_at })
}
