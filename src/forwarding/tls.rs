//! TLS towards upstreams: whom to trust, what to present, which protocols to offer.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::{ClientConfig, WantsClientCert};
use rustls::crypto::aws_lc_rs;
use rustls::{ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::config::{CertificateFiles, UpstreamTls};

/// Why TLS towards an upstream cannot be set up. The operator's mistake, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamTlsError {
    /// The `ca` file holds something that is not a certificate.
    #[error("the CA of the upstream is not a list of PEM certificates")]
    Ca(#[source] pem::Error),
    /// The `ca` file holds a certificate that cannot be a root, or none at all.
    #[error("the CA of the upstream holds no usable root certificate")]
    Root(#[source] Option<rustls::Error>),
    /// The client certificate or its key cannot be read or parsed.
    #[error("{} is not a PEM file of the expected kind", path.display())]
    ClientCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The client certificate and its key do not belong together.
    #[error("the client certificate cannot be used with its key")]
    ClientKey(#[source] rustls::Error),
    /// `server_name` or the host of the address is no name that a certificate can have.
    #[error("`{0}` is not a name that a certificate can have")]
    ServerName(String),
    /// Us or the system: the provider or the system's roots cannot be used.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// What a TLS connection to one address needs.
#[derive(Clone, Debug)]
pub(super) struct TlsClient {
    /// Offers `h2` and `http/1.1`.
    pub(super) any: Arc<ClientConfig>,
    /// Offers `http/1.1` only, for upgrades, which HTTP/2 does not have.
    pub(super) http1: Arc<ClientConfig>,
    /// The name that the certificate must have.
    pub(super) server_name: ServerName<'static>,
}

impl TlsClient {
    /// TLS to `host`, as the configuration of its upstream says.
    pub(super) fn new(config: Arc<ClientConfig>, tls: &UpstreamTls, host: &str) -> Result<Self, UpstreamTlsError> {
        let name = tls.server_name.as_deref().unwrap_or_else(|| host.trim_matches(['[', ']']));
        let server_name =
            ServerName::try_from(name.to_owned()).map_err(|_| UpstreamTlsError::ServerName(name.to_owned()))?;
        let mut http1 = ClientConfig::clone(&config);
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { any: config, http1: Arc::new(http1), server_name })
    }
}

/// The configuration that all https addresses of one upstream share, their session cache included.
pub(super) fn client_config(tls: &UpstreamTls) -> Result<Arc<ClientConfig>, UpstreamTlsError> {
    let builder = match &tls.ca {
        Some(pem) => protocol_versions()?.with_root_certificates(roots(pem)?),
        None => protocol_versions()?.with_platform_verifier().map_err(UpstreamTlsError::Setup)?,
    };
    let mut config = match &tls.client_certificate {
        Some(files) => with_client_certificate(builder, files)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn protocol_versions() -> Result<ConfigBuilder<ClientConfig, rustls::WantsVerifier>, UpstreamTlsError> {
    ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(UpstreamTlsError::Setup)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, UpstreamTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(UpstreamTlsError::Ca)?;
        roots.add(certificate).map_err(|cause| UpstreamTlsError::Root(Some(cause)))?;
    }
    if roots.is_empty() { Err(UpstreamTlsError::Root(None)) } else { Ok(roots) }
}

fn with_client_certificate(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &CertificateFiles,
) -> Result<ClientConfig, UpstreamTlsError> {
    let broken = |path: &PathBuf| {
        let path = path.clone();
        move |source| UpstreamTlsError::ClientCertificate { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(broken(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(broken(&files.key))?;
    builder.with_client_auth_cert(chain, key).map_err(UpstreamTlsError::ClientKey)
}
