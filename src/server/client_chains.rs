//! What stands around the library's verifier of client certificates, which alone verifies: a bound on how many a client may
//! show besides its own, the lists that the library does not look at, and word of whose certificate was refused.
//!
//! webpki tries every order of the certificates, and whoever makes ten of one name, which costs nothing and needs no authority,
//! would have a worker search for most of a second, while nobody else on it is served.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::divided_lists::DividedLists;
use super::refused_certificates::note;

/// Real chains have one or two. The search takes milliseconds with five, and grows twentyfold with two more.
const MOST_INTERMEDIATES: usize = 4;

/// The client: more than are looked at.
#[derive(thiserror::Error)]
#[error("more than {MOST_INTERMEDIATES} certificates besides the client's own")]
pub(super) struct TooMany;

/// The library shows nothing else of an error that is not its own.
impl fmt::Debug for TooMany {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Verifies as the other one does, what is short enough, and looks at the lists of which that one looks at one.
#[derive(Debug)]
pub(super) struct Short(pub(super) Arc<dyn ClientCertVerifier>, pub(super) DividedLists);

impl Short {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if intermediates.len() > MOST_INTERMEDIATES {
            return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(TooMany)))));
        }
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        std::iter::once(end_entity).chain(intermediates).try_for_each(|shown| self.1.check(shown, now))?;
        Ok(verified)
    }
}

impl ClientCertVerifier for Short {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now).inspect_err(|_| note(end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss).inspect_err(|_| note(cert))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss).inspect_err(|_| note(cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use rustls::RootCertStore;
    use rustls::crypto::aws_lc_rs;
    use rustls::server::WebPkiClientVerifier;

    use super::*;

    fn authority(name: &str) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().der().clone(), Issuer::new(params, key))
    }

    #[test]
    fn certificates_of_one_name_are_refused_before_any_is_looked_at() {
        let (root, issuer) = authority("clients");
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verifier = Short(verifier, DividedLists::default());
        let leaf = |issuer: &Issuer<'_, KeyPair>| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate().unwrap();
            params.signed_by(&key, issuer).unwrap().der().clone()
        };
        let (mut several, mut last) = (Vec::new(), None);
        for _ in 0..10 {
            let (certificate, issuer) = authority("others");
            several.push(certificate);
            last = Some(issuer);
        }
        let refused = |leaf: &CertificateDer<'_>, several| {
            verifier.verify_client_cert(leaf, several, UnixTime::now()).err().map(|error| error.to_string())
        };
        let forged = leaf(&last.unwrap());
        for count in [MOST_INTERMEDIATES + 1, 10] {
            let told = refused(&forged, &several[..count]).unwrap();
            assert!(told.contains("more than 4 certificates"), "{told}");
        }
        // What is short enough is looked at.
        assert_eq!(refused(&leaf(&issuer), &several[..MOST_INTERMEDIATES]), None);
        let told = refused(&forged, &several[..2]).unwrap();
        assert!(told.contains("UnknownIssuer"), "{told}");
    }
}
