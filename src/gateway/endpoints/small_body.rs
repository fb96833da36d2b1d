//! Reading the body of a request to one of Usher's own paths: short, whole, and in time.

use std::time::Duration;

use http_body::Body as _;
use http_body_util::BodyExt as _;
use zeroize::Zeroizing;

use crate::forwarding::{BodyError, RequestBody};
use crate::gateway::Rejection;

/// The body, of at most `limit` bytes. `None` when it does not arrive whole within `patience`. It may hold a secret, so no copy
/// of it is left in memory.
///
/// # Errors
/// [`Rejection::BodyTooLarge`]
pub(in crate::gateway) async fn read(
    mut body: RequestBody,
    limit: u64,
    patience: Duration,
) -> Result<Option<Zeroizing<Vec<u8>>>, Rejection> {
    body.limit(Some(limit))?;
    // Of its whole size from the beginning: what grows leaves copies behind.
    let most = body.size_hint().exact().unwrap_or(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(most).unwrap_or_default()));
    let whole = async {
        while let Some(frame) = body.frame().await {
            bytes.extend_from_slice(frame?.data_ref().map_or(&[], |data| data));
        }
        Ok(())
    };
    match tokio::time::timeout(patience, whole).await {
        Ok(Ok(())) => Ok(Some(bytes)),
        Ok(Err(BodyError::TooLarge)) => Err(Rejection::BodyTooLarge),
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}
