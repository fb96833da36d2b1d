//! The account at an authority (RFC 8555 §7.1.2): made once, kept, and used for every order. Whom the authority writes to is
//! what the configuration says, from the next order on.

use instant_acme::{Account, Error, ExternalAccountKey, NewAccount};

use super::error::OrderError;
use super::kept;
use super::transport::Transport;
use crate::config::Acme;
use crate::forwarding::chain;

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
            outcome => {
                let account = outcome.map_err(OrderError::of)?;
                if !kept::is_contact_of_account(acme) {
                    tell_contact(acme, &account).await;
                }
                return Ok(account);
            }
        }
    }
    let contact = contact(acme);
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = acme.external_account.as_ref();
    let external = external.map(|known| ExternalAccountKey::new(known.key_id.clone(), known.hmac_key.expose()));
    let making = builder().create(&new, acme.directory.to_string(), external.as_ref());
    let (account, credentials) = making.await.map_err(OrderError::of)?;
    let credentials = serde_json::to_value(&credentials).map_err(|error| OrderError::Unreachable(error.into()))?;
    kept::keep_account(acme, credentials)?;
    tracing::info!(directory = %acme.directory, "made an account at the certificate authority");
    Ok(account)
}

fn contact(acme: &Acme) -> Vec<&str> {
    acme.contacts.iter().map(String::as_str).collect()
}

/// RFC 8555 §7.3.2. A certificate is worth more than a mail about it, so a contact that is not taken holds up no order.
async fn tell_contact(acme: &Acme, account: &Account) {
    let told = account.update_contacts(&contact(acme)).await.map_err(OrderError::of);
    match told.and_then(|()| kept::note_contact(acme)) {
        Ok(()) => tracing::info!(directory = %acme.directory, "the authority was told the contact"),
        Err(error) => tracing::warn!(
            fault = error.fault(), directory = %acme.directory, error = chain(&error),
            "the authority does not have tls.acme.contact; it is told again with the next order"
        ),
    }
}
