use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::{FULL, files};
use crate::config::document::Document;
use crate::config::schema::schema;
use crate::config::{Config, Format, Sources, UpstreamCare, defaults, load};

const DOCUMENTED: &str = include_str!("../../../config/usher.yaml");

/// `config/usher.yaml` with the files that it names.
fn documented() -> (TempDir, String) {
    let directory = files();
    for (name, original) in [
        ("site.pem", "ca.pem"),
        ("site.key", "server.key"),
        ("client.pem", "ca.pem"),
        ("client.key", "server.key"),
        ("usher_client", "client_secret"),
        ("legacy_hmac", "hmac_secret"),
        ("usher_session", "session_secret"),
    ] {
        fs::copy(directory.path().join(original), directory.path().join(name)).unwrap();
    }
    (directory, DOCUMENTED.replace("/run/secrets/", ""))
}

fn documented_config() -> Config {
    let (directory, text) = documented();
    let loaded = load(&Sources::text("config/usher.yaml", Format::Yaml, &text, directory.path()));
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
    // It has a local issuer and others, and the default for where sessions and sign-outs are kept.
    let notes: Vec<_> = loaded.notes.iter().map(|note| &*note.path).collect();
    assert_eq!(notes, ["state_directory", "state_directory"]);
    loaded.config
}

fn schema_value() -> Value {
    schema().to_value()
}

fn validate(value: &Value) -> Result<(), String> {
    jsonschema::draft7::validate(&schema_value(), value).map_err(|error| error.to_string())
}

fn check(yaml: &str) -> Result<(), String> {
    let values = Document::parse("example", Format::Yaml, yaml).unwrap().values();
    validate(&serde_json::to_value(values).unwrap())
}

#[test]
fn the_schema_accepts_the_documented_and_the_full_configuration() {
    assert_eq!(check(DOCUMENTED), Ok(()));
    assert_eq!(check(FULL), Ok(()));
    assert_eq!(check(super::SMALL), Ok(()));
}

#[test]
fn the_schema_refuses_unknown_keys_wrong_types_and_empty_values() {
    for text in [
        super::small_with("host:", "hots:"),
        super::small_with("path: /", "path: 7"),
        super::small_with("self_signed: true", "self_signed: 1"),
        super::small_with("path: /", "path: /\n        access: publik"),
    ] {
        assert!(check(&text).is_err(), "{text}");
    }
    let null = serde_json::json!({ "sites": null });
    assert!(validate(&null).is_err());
}

#[test]
fn every_key_of_the_schema_is_documented_and_described() {
    let schema = schema_value();
    let mut count = 0;
    let definitions = schema["definitions"].as_object().unwrap().values().chain([&schema]);
    for (key, property) in definitions.filter_map(|definition| definition["properties"].as_object()).flatten() {
        count += 1;
        let written = DOCUMENTED.lines().any(|line| {
            let mut words = line.split([' ', '{', ',']).map(str::trim);
            words.any(|word| word.strip_suffix(':') == Some(key))
        });
        assert!(written, "{key} is not in config/usher.yaml");
        let described = property["description"].is_string() || property["$ref"].is_string();
        assert!(described, "{key} has no description");
    }
    assert!(count > 100, "{count}");
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let documented = documented_config();
    let small = super::load_yaml(super::SMALL).unwrap().config;
    assert_eq!(documented.limits, defaults::LIMITS);
    assert_eq!(documented.log, defaults::log());
    assert_eq!(documented.shutdown, defaults::SHUTDOWN);
    let session = |config: &Config| {
        let mut session = config.session.clone();
        session.secrets.clear();
        format!("{session:?}")
    };
    assert_eq!(session(&documented), session(&small));
    let issuer = |config: &Config| {
        (config.issuers[0].leeway, config.issuers[0].transport.timeout, config.issuers[0].algorithms.clone())
    };
    assert_eq!(issuer(&documented), issuer(&small));
    let root = |config: &Config| {
        let mut root = config.sites[0].routes.last().unwrap().as_ref().clone();
        root.id = crate::config::RouteId(0);
        root.issuers.clear();
        root.identity = crate::config::IdentitySetId(0);
        root.upstream = None;
        format!("{root:?}")
    };
    assert_eq!(root(&documented), root(&small));
    let care = &documented.upstreams.iter().find(|upstream| upstream.care.health.is_some()).unwrap().care;
    let health = care.health.as_ref().unwrap();
    assert_eq!((health.interval, health.timeout), (defaults::CHECK_INTERVAL, defaults::CHECK_TIMEOUT));
    assert_eq!((health.healthy_after, health.unhealthy_after), (defaults::HEALTHY_AFTER, defaults::UNHEALTHY_AFTER));
    assert_eq!(health.status, defaults::GOOD_STATUSES);
    assert_eq!(UpstreamCare { health: None, ..care.clone() }, UpstreamCare::default());
    let client = documented.issuers[0].client.as_ref().unwrap();
    assert_eq!(
        (client.scopes.as_slice(), client.end_session),
        (&defaults::SCOPES.map(str::to_owned)[..], defaults::END_SESSION)
    );
}

#[test]
fn descriptions_state_the_defaults_that_count() {
    let schema = schema_value();
    let described = |pointer: &str| schema.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    for (pointer, default) in [
        ("/definitions/Session/properties/idle_timeout/description", "8h"),
        ("/definitions/Limits/properties/header_bytes/description", "64KiB"),
        ("/definitions/Site/properties/body_limit/description", "10MiB"),
    ] {
        assert!(described(pointer).contains(default), "{pointer}");
    }
}
