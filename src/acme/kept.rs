//! The files of the state directory: the account and the certificates, for nobody but their owner.

use std::fs;
use std::io;

use instant_acme::AccountCredentials;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::error::OrderError;
use crate::clock::Timestamp;
use crate::config::Acme;
use crate::state;

const ACCOUNT: &str = "account.json";

/// Beside the credentials: whom the authority was told to write to.
const CONTACT: &str = "contact";

/// Beside them too: the key of the operator's account that it was bound to.
const EXTERNAL_KEY: &str = "external_key";

/// What is known of a certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issued {
    /// Since then it counts.
    pub(super) begins: Timestamp,
    /// From then on it counts no more.
    pub(super) ends: Timestamp,
    /// The certificate itself.
    pub(super) leaf: CertificateDer<'static>,
}

/// What an authority has issued for `host`; `None` where there is nothing of this authority that can be read.
pub(super) fn issued(acme: &Acme, host: &str) -> Option<Issued> {
    let text = fs::read_to_string(acme.kept_in.join(Acme::file_name(host))).ok()?;
    (text.lines().next()? == origin(acme)).then(|| examine(text.as_bytes(), host)).flatten()
}

/// What is known of the certificate in a PEM text; `None` where it is not for `host`, or not for the key beside it.
pub(super) fn examine(text: &[u8], host: &str) -> Option<Issued> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().ok()?;
    let key = PrivateKeyDer::from_pem_slice(text).ok()?;
    let leaf = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).ok()?.cert.first()?.clone();
    let host = ServerName::try_from(host).ok()?;
    webpki::EndEntityCert::try_from(&leaf).ok()?.verify_is_valid_for_subject_name(&host).ok()?;
    let (_, parsed) = X509Certificate::from_der(&leaf).ok()?;
    let validity = parsed.validity();
    let time = |time: i64| Timestamp(u64::try_from(time).unwrap_or_default());
    let (begins, ends) = (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()));
    Some(Issued { begins, ends, leaf })
}

/// Keeps a chain and its key in one file, so that they change at once.
pub(super) fn keep_certificate(acme: &Acme, host: &str, key_and_chain: &[u8]) -> Result<(), OrderError> {
    let content = Zeroizing::new([origin(acme).as_bytes(), b"\n", key_and_chain].concat());
    keep(acme, &Acme::file_name(host), &content)
}

/// The account that was made at this authority, and bound to the one that the operator has there, if that is said: what an
/// account is bound to stays as it was when it was made.
pub(super) fn account(acme: &Acme) -> Option<AccountCredentials> {
    let value = read_account(acme)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let is_bound = acme.external_account.as_ref().is_none_or(|known| text(EXTERNAL_KEY) == Some(&known.key_id));
    let is_this = text("directory") == Some(acme.directory.as_str()) && is_bound;
    is_this.then(|| serde_json::from_value(value).ok()).flatten()
}

fn read_account(acme: &Acme) -> Option<Value> {
    let text = Zeroizing::new(fs::read_to_string(acme.kept_in.join(ACCOUNT)).ok()?);
    serde_json::from_str(&text).ok()
}

/// Keeps the account, of which the authority knows the present contact.
pub(super) fn keep_account(acme: &Acme, mut credentials: Value) -> Result<(), OrderError> {
    if let Some(members) = credentials.as_object_mut() {
        members.insert(CONTACT.to_owned(), json!(acme.contacts));
        let bound = acme.external_account.as_ref().map(|known| (EXTERNAL_KEY.to_owned(), json!(known.key_id)));
        members.extend(bound);
    }
    keep(acme, ACCOUNT, Zeroizing::new(credentials.to_string()).as_bytes())
}

/// Whether the authority was told the present contact.
pub(super) fn is_contact_of_account(acme: &Acme) -> bool {
    read_account(acme).and_then(|account| account.get(CONTACT).cloned()) == Some(json!(acme.contacts))
}

/// Notes that it was.
pub(super) fn note_contact(acme: &Acme) -> Result<(), OrderError> {
    read_account(acme).map_or(Ok(()), |account| keep_account(acme, account))
}

/// Forgets the account.
pub(super) fn forget_account(acme: &Acme) -> Result<(), OrderError> {
    let path = acme.kept_in.join(ACCOUNT);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OrderError::Keep { path, source }),
        _ => Ok(()),
    }
}

/// Tries it: an authority counts accounts and certificates, so none is asked for where there is no place for it.
pub(super) fn try_keeping(acme: &Acme) -> Result<(), OrderError> {
    state::probe(&acme.kept_in).map_err(|source| OrderError::Keep { path: acme.kept_in.clone(), source })
}

fn keep(acme: &Acme, name: &str, content: &[u8]) -> Result<(), OrderError> {
    let failure = |source| OrderError::Keep { path: acme.kept_in.join(name), source };
    state::keep(&acme.kept_in, name, content).map_err(failure)
}

/// The first line of a certificate's file, which PEM allows (RFC 7468 §5.2): one that another authority has issued, such as
/// one for trying out, is used until this one has.
fn origin(acme: &Acme) -> String {
    format!("Issued to Usher by {}", acme.directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AcmeChallenge, ExternalAccount, Secret};

    fn acme(directory: &str, kept_in: &std::path::Path) -> Acme {
        Acme {
            directory: directory.parse().unwrap(),
            contacts: Vec::new(),
            external_account: None,
            challenge: AcmeChallenge::Http01,
            ca: None,
            hosts: vec!["app.test".to_owned()],
            kept_in: kept_in.to_owned(),
            beside: Vec::new(),
        }
    }

    fn certificate_and_key() -> String {
        let made = rcgen::generate_simple_self_signed(vec!["app.test".to_owned()]).unwrap();
        format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_another_authority_has_issued_or_what_cannot_be_used_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) =
            (acme("https://one.test/dir", directory.path()), acme("https://other.test/dir", directory.path()));
        assert_eq!(issued(&one, "app.test"), None);
        let text = certificate_and_key();
        keep_certificate(&one, "app.test", text.as_bytes()).unwrap();
        assert_eq!(issued(&one, "app.test"), examine(text.as_bytes(), "app.test"));
        assert!(issued(&one, "app.test").is_some());
        assert_eq!(issued(&other, "app.test"), None);
        assert_eq!(examine(text.as_bytes(), "other.test"), None, "another name than was ordered");

        let (certificate, _) = text.split_once("-----BEGIN PRIVATE").unwrap();
        let (_, key) =
            certificate_and_key().split_once("-----BEGIN PRIVATE").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        keep_certificate(&one, "app.test", format!("{certificate}-----BEGIN PRIVATE{key}").as_bytes()).unwrap();
        assert_eq!(issued(&one, "app.test"), None, "another key");
    }

    #[test]
    fn an_account_is_that_of_one_authority_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) =
            (acme("https://one.test/dir", directory.path()), acme("https://other.test/dir", directory.path()));
        let made = json!({ "id": "https://one.test/1", "key_pkcs8": "", "directory": "https://one.test/dir" });
        keep_account(&one, made).unwrap();
        assert!(account(&one).is_some() && account(&other).is_none());
        let moved = Acme { contacts: vec!["mailto:other@one.test".to_owned()], ..one.clone() };
        assert!(is_contact_of_account(&one) && !is_contact_of_account(&moved));
        note_contact(&moved).unwrap();
        assert!(account(&moved).is_some() && is_contact_of_account(&moved));
        let bound = |key_id: &str| Acme {
            external_account: Some(ExternalAccount { key_id: key_id.to_owned(), hmac_key: Secret::new(vec![1]) }),
            ..moved.clone()
        };
        assert!(account(&bound("a")).is_none(), "it was bound to none when it was made");
        keep_account(&bound("a"), read_account(&moved).unwrap()).unwrap();
        assert!(account(&bound("a")).is_some() && account(&bound("b")).is_none());
        note_contact(&one).unwrap();
        assert!(account(&bound("a")).is_some() && account(&one).is_some(), "what is not said any more changes nothing");
        forget_account(&one).unwrap();
        forget_account(&one).unwrap();
        assert!(account(&one).is_none());
    }
}
