//! The authority that certificates are ordered from: whether its directory can be had. Nothing is ordered, for it counts.

use super::Trial;
use super::finding::{Finding, told};
use super::remedy::{self, Keys};
use crate::acme;
use crate::config::{Acme, Config, Tls};

const CHECK: &str = "acme.directory";
const KEYS: Keys = Keys { ca: "tls.acme.ca_file", server_name: None };

/// One where certificates are ordered.
pub(super) fn trial(config: &Config) -> Option<Trial<'_>> {
    let Tls::Acme(acme) = &config.tls else { return None };
    Some(Trial::new(CHECK, acme.directory.as_str(), examine(acme)))
}

async fn examine(acme: &Acme) -> Vec<Finding> {
    let of = acme.directory.as_str();
    vec![match acme::look(acme).await {
        Ok(()) => Finding::ok(CHECK, of, "answers"),
        Err(error) => {
            let remedy = remedy::of_tls(&error, &KEYS).unwrap_or_else(|| remedy::of_socket(&error).to_owned());
            Finding::failed(CHECK, of, told(&error), remedy)
        }
    }]
}
