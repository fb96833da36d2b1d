//! A certificate authority of the test run's own, and the TLS configurations that trust it.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use usher::clock::{Clock, Timestamp};

/// The authority that signs every certificate of a test run.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// The one authority of this process.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(parameters, key), certificate }
    })
}

/// The list of what an authority has revoked, as PEM, which counts until the first day of that year.
pub(crate) fn revoked(issuer: &Issuer<'_, KeyPair>, serials: &[u8], next_update: i32) -> String {
    let ends = (date_time_ymd(next_update, 1, 1) - date_time_ymd(1970, 1, 1)).whole_seconds();
    revoked_until(issuer, serials, Timestamp(ends.unsigned_abs()))
}

/// The same, which counts until then.
pub(crate) fn revoked_until(issuer: &Issuer<'_, KeyPair>, serials: &[u8], ends: Timestamp) -> String {
    let revoked = |serial: &u8| RevokedCertParams {
        serial_number: vec![*serial].into(),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2019, 1, 1),
        next_update: date_time_ymd(1970, 1, 1) + Duration::from_secs(ends.0),
        crl_number: vec![1].into(),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap().pem().unwrap()
}

impl Authority {
    /// A list of this authority: see [`revoked`].
    pub(crate) fn revoked(&self, serials: &[u8]) -> String {
        revoked(&self.issuer, serials, 2100)
    }

    /// The root, as PEM: what a `ca` key of the configuration wants.
    pub(crate) fn root_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Writes a certificate for `names` and its key to `{stem}.pem` and `{stem}.key` in `directory`.
    pub(crate) fn write(&self, names: &[&str], directory: &Path, stem: &str) {
        Self::keep(self.issue(names, None), directory, stem);
    }

    /// The same, and it expires in so many days and a half.
    pub(crate) fn write_until(&self, names: &[&str], directory: &Path, stem: &str, days: u64) {
        Self::keep(self.issue(names, Some(days)), directory, stem);
    }

    fn keep((certificate, key): (rcgen::Certificate, KeyPair), directory: &Path, stem: &str) {
        std::fs::write(directory.join(format!("{stem}.pem")), certificate.pem()).unwrap();
        std::fs::write(directory.join(format!("{stem}.key")), key.serialize_pem()).unwrap();
    }

    /// A server for `names` that offers these protocols by ALPN.
    pub(crate) fn server(&self, names: &[&str], alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(names, None);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// A client that trusts this authority alone and asks for these protocols by ALPN.
    pub(crate) fn client(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    fn issue(&self, names: &[&str], days: Option<u64>) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        // Another name than that of the authority: OpenSSL takes subject and issuer of the same name for self-signed.
        parameters.distinguished_name.push(DnType::CommonName, "a server of the tests");
        if let Some(days) = days {
            let end = Clock::system().now().after(Duration::from_secs((2 * days + 1) * 12 * 60 * 60));
            parameters.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end.0);
        }
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate, key)
    }
}
