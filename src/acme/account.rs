//! The account at an authority (RFC 8555 §7.1.2): made once, kept, and used for every order.

use instant_acme::{Account, Error, NewAccount};

use super::error::OrderError;
use super::kept;
use super::transport::Transport;
use crate::config::Acme;

/// The kept account, else one that is made now.
pub(super) async fn open(acme: &Acme, transport: &Transport) -> Result<Account, OrderError> {
    let builder = || Account::builder_with_http(Box::new(transport.clone()));
    if let Some(credentials) = kept::account(acme) {
        match builder().from_credentials(credentials).await {
            Err(Error::KeyRejected | Error::Crypto) => tracing::error!(
                fault = "operator",
                directory = %acme.directory,
                "the account in the state directory has no key that can be used; another one is made"
            ),
            outcome => return outcome.map_err(OrderError::of),
        }
    }
    let contact: Vec<_> = acme.contacts.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) =
        builder().create(&new, acme.directory.to_string(), None).await.map_err(OrderError::of)?;
    let text = serde_json::to_string(&credentials).map_err(|error| OrderError::Unreachable(error.into()))?;
    kept::keep_account(acme, &text)?;
    tracing::info!(directory = %acme.directory, "made an account at the certificate authority");
    Ok(account)
}
