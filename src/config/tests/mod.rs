//! Whole configurations, from text to checked types. The table of contents:

/// What is said of addresses and paths that are none.
mod addresses;
/// Conditions that stand beside each other.
mod conditions;
/// `config/usher.yaml` and the JSON Schema.
mod documentation;
/// Every key: misspelt, repeated, missing, with a value that it does not take.
mod keys;
/// The local issuer and its users file.
mod local;
/// What values must not be, and what must not stand beside what.
mod mistakes;
/// Inheritance, winning order, logins.
mod routes;
/// File, environment, flags; YAML, TOML, JSON.
mod sources;
mod translations;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::{ConfigError, Format, Loaded, Problem, Sources, load};

/// The smallest configuration that counts.
const SMALL: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers:
  main: { issuer: https://id.example.com, audiences: [web] }
sites:
  - host: app.example.com
    issuer: main
    upstream: http://app:8080
    routes:
      - path: /
";

/// Uses every key.
const FULL: &str = include_str!("../fixtures/full.yaml");

/// A hash that counts.
const ALICE: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0c2FsdA$kGQ5XwZbhAYdJLhmLpvCNV9nxMFcm0WZx2dX1v7o0ZQ";

/// A directory with the files that [`FULL`] names.
fn files() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["app.example.com".into()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let (this_update, next_update) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2100, 1, 1));
    let revoked = rcgen::CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: vec![1].into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let revoked = revoked.signed_by(&rcgen::Issuer::from_params(&params, &key)).unwrap();
    for (name, contents) in [
        ("ca.pem", certificate.pem()),
        ("revoked.pem", revoked.pem().unwrap()),
        ("server.key", key.serialize_pem()),
        ("ec.pub.pem", key.public_key_pem()),
        ("client_secret", "kBq0vTz5uHjR\n".into()),
        ("hmac_secret", "0b5f7a1c9d3e2468ace13579bdf02469\r\n".into()),
        ("session_secret", "mXw81nLq02PzQv7e\n".into()),
        ("password", "opensesame\n".into()),
        ("otlp_headers", "X-Api-Key: opensesame\n".into()),
        ("users.yaml", format!("users:\n  alice: {{ password: '{ALICE}' }}\n")),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::create_dir(directory.path().join("pages")).unwrap();
    fs::create_dir(directory.path().join("translations")).unwrap();
    directory
}

fn load_yaml(text: &str) -> Result<Loaded, ConfigError> {
    load(&Sources::text("usher.yaml", Format::Yaml, text, ""))
}

/// The problems of a text, of which there must be some.
fn problems(text: &str) -> Vec<Problem> {
    load_yaml(text).expect_err(text).problems
}

/// [`SMALL`] with `from` replaced by `to`.
fn small_with(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    SMALL.replacen(from, to, 1)
}
