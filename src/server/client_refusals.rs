//! Why a handshake was refused for the certificate that the client showed: one name for each cause, which the log and the metrics
//! share.
//!
//! Where the alert that the client gets (RFC 8446 §6.2) names the cause, it has that name. Causes are told of
//! independently, so that scanners, which show nothing, do not hide that a certificate has expired.

use std::io;

use rustls::{CertificateError, Error, OtherError};
use tokio::time::Instant;

use super::client_chains::TooMany;
use super::refused_certificates::{Whose, beginning};
use crate::config::{HostPattern, LogSubject};
use crate::tally::{Count, Throttle};

/// What is wrong with a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRefusal {
    /// None was shown where one is required.
    Required,
    /// Its time is up, or that of a certificate above it.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It leads to no authority of `ca_file`.
    UnknownAuthority,
    /// Its authority has revoked it, or one above it (RFC 5280 §5).
    Revoked,
    /// No list in its time says whether it has been revoked: the operator's fault.
    Unlisted,
    /// It is for something else than clients (RFC 5280 §4.2.1.12).
    KeyPurpose,
    /// It is of X.509 v1 or v2 (RFC 5280 §4.1.2.1).
    Version,
    /// More came with it than is looked at.
    TooMany,
    /// It cannot be read, is not signed as it should be, or is otherwise unfit; the library's error says how.
    Bad,
}

impl ClientRefusal {
    /// All there are.
    pub(super) const ALL: [Self; 10] = [
        Self::Required,
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownAuthority,
        Self::Revoked,
        Self::Unlisted,
        Self::KeyPurpose,
        Self::Version,
        Self::TooMany,
        Self::Bad,
    ];

    /// Why a client got no further, if that was for its certificate; nobody else's is verified where hands are shaken.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        Self::of_error(error.get_ref()?.downcast_ref()?)
    }

    pub(super) fn of_error(error: &Error) -> Option<Self> {
        match error {
            Error::NoCertificatesPresented => Some(Self::Required),
            Error::InvalidCertificate(error) => Some(Self::of_certificate(error)),
            Error::InvalidCertRevocationList(_) => Some(Self::Unlisted),
            _ => None,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::UnknownIssuer => Self::UnknownAuthority,
            E::Revoked => Self::Revoked,
            E::UnknownRevocationStatus | E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
                Self::Unlisted
            }
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::KeyPurpose,
            E::Other(OtherError(cause)) if cause.is::<TooMany>() => Self::TooMany,
            E::Other(OtherError(cause)) => match cause.downcast_ref() {
                Some(webpki::Error::UnsupportedCertVersion) => Self::Version,
                _ => Self::Bad,
            },
            _ => Self::Bad,
        }
    }

    /// Its name in the log and in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "certificate_required",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::UnknownAuthority => "unknown_ca",
            Self::Revoked => "certificate_revoked",
            Self::Unlisted => "no_revocation_list",
            Self::KeyPurpose => "wrong_key_purpose",
            Self::Version => "unsupported_version",
            Self::TooMany => "too_many_certificates",
            Self::Bad => "bad_certificate",
        }
    }

    /// Whose fault it is. Nobody has authenticated who is refused, whatever the certificate says.
    const fn fault(self) -> &'static str {
        if matches!(self, Self::Unlisted) { "operator" } else { "client" }
    }

    /// What the operator can do, where the client is to get in.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Required => "give the client a certificate by an authority in ca_file, or say required: false",
            Self::Expired => "give the client another certificate, and look whether one above it has expired",
            Self::NotYetValid => "look at the clocks of this host and of whoever issued it",
            Self::UnknownAuthority => {
                "have the client show the certificates between its own and ca_file, or put its authority into ca_file"
            }
            Self::Revoked => "give the client another certificate, if it is to get in",
            Self::Unlisted => "put a list in its time of each authority, signed by that, into crl_file",
            Self::KeyPurpose => "issue one with extendedKeyUsage=clientAuth",
            Self::Version => "issue one of X.509 v3: `openssl x509 -req` needs -extfile for that",
            Self::TooMany => "have the client show no more than four certificates besides its own",
            Self::Bad => "issue another one, without what the error names",
        }
    }
}

/// A handshake that was refused for the certificate that the client showed, or did not.
#[derive(Debug)]
pub(super) struct Refused {
    /// Why.
    pub(super) refusal: ClientRefusal,
    /// The site of the handshake's name.
    pub(super) site: HostPattern,
    /// Whose the certificate says it is.
    pub(super) whose: Whose,
    /// What the library says of it.
    pub(super) error: io::Error,
}

/// How often each cause was met, in the order of [`ClientRefusal::ALL`].
#[derive(Debug, Default)]
pub(super) struct ClientRefusals([(Count, Throttle); ClientRefusal::ALL.len()]);

impl ClientRefusals {
    /// Counts it, and tells the log when it is time to: with the subject where the log names people as they are called.
    pub(super) fn note(&self, refused: &Refused, peer: std::net::SocketAddr, subjects: LogSubject) {
        let Refused { refusal, site, whose: Whose { subject, serial }, error } = refused;
        let Some((count, throttle)) = self.0.get(*refusal as usize) else { return };
        count.add();
        let Some(times) = throttle.note(Instant::now()) else { return };
        // The library writes down what the client has sent, however long that is.
        let error =
            matches!(refusal, ClientRefusal::Bad | ClientRefusal::Unlisted).then(|| beginning(&error.to_string()));
        tracing::info!(
            %peer,
            %site,
            times,
            fault = refusal.fault(),
            reason = refusal.name(),
            subject = subject.as_deref().filter(|_| subjects == LogSubject::Plain),
            serial,
            error,
            remedy = refusal.remedy(),
            "a handshake was refused for its client certificate"
        );
    }

    /// How often each was met so far.
    pub(super) fn totals(&self) -> Vec<(&'static str, u64)> {
        ClientRefusal::ALL.iter().zip(&self.0).map(|(refusal, (count, _))| (refusal.name(), count.total())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::CertRevocationListError;

    use super::*;

    #[test]
    fn what_the_library_has_no_name_for_is_told_apart_as_well() {
        let refused = |cause: Error| ClientRefusal::of(&io::Error::new(io::ErrorKind::InvalidData, cause));
        let other =
            |cause: webpki::Error| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(cause))));
        assert_eq!(refused(other(webpki::Error::UnsupportedCertVersion)), Some(ClientRefusal::Version));
        assert_eq!(refused(other(webpki::Error::CaUsedAsEndEntity)), Some(ClientRefusal::Bad));
        assert_eq!(refused(CertificateError::BadSignature.into()), Some(ClientRefusal::Bad));
        assert_eq!(refused(CertificateError::Revoked.into()), Some(ClientRefusal::Revoked));
        assert_eq!(refused(CertificateError::UnknownRevocationStatus.into()), Some(ClientRefusal::Unlisted));
        assert_eq!(refused(CertRevocationListError::BadSignature.into()), Some(ClientRefusal::Unlisted));
        // Somebody else's trouble.
        assert_eq!(refused(Error::DecryptError), None);
        assert_eq!(ClientRefusal::of(&io::ErrorKind::UnexpectedEof.into()), None);
    }

    #[test]
    fn no_certificate_makes_a_line_of_the_log_long() {
        let (signature_algorithm_id, supported_algorithms) = (vec![7; 60_000], Vec::new());
        let error =
            CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, supported_algorithms };
        let error = io::Error::new(io::ErrorKind::InvalidData, Error::from(error));
        assert_eq!(ClientRefusal::of(&error), Some(ClientRefusal::Bad));
        assert_eq!(beginning(&error.to_string()).chars().count(), 201);
    }

    #[test]
    fn each_is_found_at_its_own_place() {
        for (place, refusal) in ClientRefusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place, "{}", refusal.name());
        }
    }
}
