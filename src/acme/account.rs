//! The account at an authority (RFC 8555 §7.1.2): made once, kept, and used for every order.

use instant_acme::{Account, AccountBuilder, AccountCredentials, Error, NewAccount};

use super::error::OrderError;
use super::kept;
use super::transport::Transport;
use crate::config::Acme;

/// The kept account, else one that is made now.
pub(super) async fn open(acme: &Acme, transport: &Transport) -> Result<Account, OrderError> {
    let builder = || Account::builder_with_http(Box::new(transport.clone()));
    if let Some(text) = kept::account(acme) {
        match kept_account(builder(), &text).await {
            Err(Error::Json(_) | Error::KeyRejected | Error::Crypto) => tracing::error!(
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

async fn kept_account(builder: AccountBuilder, text: &str) -> Result<Account, Error> {
    builder.from_credentials(serde_json::from_str::<AccountCredentials>(text)?).await
}
