//! TLS 1.2 and 1.3 with aws-lc-rs, the only provider.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, version};

use super::certificates::Certificates;

/// The ALPN identifier of HTTP/2 (RFC 9113 §3.1).
pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// What all workers shake hands with. They share the ticket keys, so a session is resumed on whichever core its next
/// connection lands.
pub(super) fn server_config(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    // Tickets hold the state at the client, under keys that rotate; nothing is stored for connections that are gone.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed by whoever recorded it (RFC 8446 §8), and a gateway cannot know what is safe to repeat.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
