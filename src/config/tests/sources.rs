use std::fs;

use super::{FULL, SMALL, files, load_yaml, small_with};
use crate::config::document::Document;
use crate::config::error::Origin;
use crate::config::{Config, ConfigError, Format, LogFormat, Sources, load};

const TOML: &str = r#"
listen = { https = "127.0.0.1:0" }
tls.self_signed = true

[issuers.main]
issuer = "https://id.example.com"
audiences = ["web"]

[[sites]]
host = "app.example.com"
issuer = "main"
upstream = "http://app:8080"

[[sites.routes]]
path = "/"
"#;

fn with(variables: &[(&str, &str)], text: &str) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sources = Sources::text("usher.yaml", Format::Yaml, text, "").with_environment(variables);
    load(&sources).map(|loaded| loaded.config)
}

/// Everything but the random session secret.
fn shown(config: &Config) -> String {
    format!("{config:?}")
}

#[test]
fn toml_and_json_say_the_same_as_yaml() {
    let directory = files();
    let yaml = load(&Sources::text("a", Format::Yaml, FULL, directory.path())).unwrap().config;
    let values = Document::parse("a", Format::Yaml, FULL).unwrap().values();
    let json = serde_json::to_string(&values).unwrap();
    let json = load(&Sources::text("a", Format::Json, &json, directory.path())).unwrap().config;
    assert_eq!(shown(&yaml), shown(&json));

    let toml = load(&Sources::text("a", Format::Toml, TOML, "")).unwrap().config;
    assert_eq!(shown(&toml), shown(&load_yaml(SMALL).unwrap().config));
}

#[test]
fn the_ending_decides_about_the_format() {
    for (name, text) in [("usher.toml", TOML), ("usher.yaml", SMALL), ("usher.yml", SMALL)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        assert!(load(&Sources::file(&path)).is_ok(), "{name}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let directory = files();
    let path = directory.path().join("usher.yaml");
    fs::write(&path, FULL).unwrap();
    let config = load(&Sources::file(&path)).unwrap().config;
    assert_eq!(config.pages.unwrap(), directory.path().join("pages"));
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let error = load(&Sources::file("/nowhere/usher.yaml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/usher.yaml:1:1"), "{error}");
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let text = format!("{SMALL}log: {{ level: info, format: text }}\n");
    let sources = Sources::text("usher.yaml", Format::Yaml, &text, "")
        .with_environment([("USHER__LOG__LEVEL".into(), "debug".into()), ("USHER__LOG__FORMAT".into(), "json".into())])
        .with_flags([("log.level".into(), "warn".into())]);
    let log = load(&sources).unwrap().config.log;
    assert_eq!((log.level.as_str(), log.format), ("warn", LogFormat::Json));
}

#[test]
fn text_of_the_environment_becomes_what_its_key_needs() {
    let config = with(
        &[
            ("USHER__SESSION__SECRET", "007"),
            ("USHER__ISSUERS__MAIN__CLIENT_ID", "12"),
            ("USHER__LIMITS__CONNECTIONS", "7"),
            ("USHER__LISTEN__PROXY_PROTOCOL", "true"),
            ("USHER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
            ("USHER__SESSION__COOKIES", r#"{"sealed": false, "access": "a", "refresh": "b"}"#),
        ],
        SMALL,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.session.secrets[0].expose(), b"007");
    assert_eq!(config.issuers[0].client.as_ref().unwrap().id, "12");
    assert_eq!(config.limits.connections, 7);
    assert!(config.listen.proxy_protocol);
    assert_eq!(config.trusted_proxies.len(), 2);
    assert!(matches!(config.session.cookies, crate::config::Cookies::Raw { .. }));
}

#[test]
fn problems_of_the_environment_name_the_variable() {
    let error = with(
        &[
            ("USHER__SESION__STORE", "memory"),
            ("USHER__LIMITS__CONNECTIONS", "many"),
            ("USHER__LOG__LEVEL", ""),
            ("USHER__SESSION__STORE", "redis://cache"),
            ("USHER__TLS", "x"),
            ("USHER__TLS__SELF_SIGNED", "true"),
        ],
        SMALL,
    )
    .unwrap_err();
    let told = |variable: &str| {
        let origin = Origin::Environment { variable: variable.into() };
        let found: Vec<_> = error.problems.iter().filter(|problem| problem.origin == origin).collect();
        assert_eq!(found.len(), 1, "{variable}: {error}");
        found[0].clone()
    };
    assert_eq!(told("USHER__SESION__STORE").suggestion.as_deref(), Some("session"));
    assert_eq!(told("USHER__LIMITS__CONNECTIONS").message, "is text, but must be a whole number, 0 or more");
    assert_eq!(told("USHER__LOG__LEVEL").message, "is not a level");
    assert!(told("USHER__SESSION__STORE").remedy.unwrap().contains("redis: { url:"));
    assert!(error.problems.iter().any(|problem| problem.message.starts_with("is set twice")), "{error}");
}

#[test]
fn numbers_in_the_file_are_not_taken_for_text() {
    let problem = &super::problems(&format!("{SMALL}session: {{ secret: 007 }}\n"))[0];
    assert_eq!(problem.path, "session.secret");
    assert_eq!(problem.remedy.as_deref(), Some("put it in quotes"));
}

#[test]
fn no_problem_repeats_a_secret() {
    for text in [
        format!("{SMALL}session: {{ secrett: canary, secret: [canary], store: canary }}\n"),
        format!("{SMALL}session: {{ secret: {{ fil: canary }}, on_reuse: [canary] }}\n"),
        small_with("http://app:8080", "http://user:canary@app:8080"),
        small_with("audiences: [web]", "audiences: [web], hmac_secret: canary, algorithms: [HS256]"),
        small_with("audiences: [web]", "audiences: [web], client_secret: canary"),
    ] {
        let error = load_yaml(&text).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
        assert!(!serde_json::to_string(&error).unwrap().contains("canary"), "{error}");
    }
}
