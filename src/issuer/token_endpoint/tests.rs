//! Exchanges over real connections: what is sent, and how far it got.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::clock::Clock;
use crate::config::{self, Client, ClientAuthentication, IssuerId, Secret, TokenPointers};
use crate::issuer::RevokeError;
use crate::issuer::testing::{Break, DISCOVERY, REVOKE, Reply, TOKEN, TestIssuer, issuers};

fn tokens() -> Reply {
    Reply::json(&json!({"access_token": "at", "refresh_token": "r2", "token_type": "Bearer"}))
}

async fn refresh(config: config::Issuer) -> Result<TokenResponse, RefreshError> {
    let issuers = issuers(&[config], &Clock::system());
    issuers.by_id(IssuerId(0)).unwrap().refresh(&RefreshToken::new("r+1")).await
}

fn discovered(server: &TestIssuer) -> config::Issuer {
    config::Issuer { refresh: Some(Refresh::Discovered), ..server.config() }
}

fn client(authentication: ClientAuthentication) -> Client {
    Client {
        id: "usher".to_owned(),
        authentication,
        scopes: Vec::new(),
        authorization_parameters: Vec::new(),
        end_session: true,
    }
}

fn sent(result: Result<TokenResponse, RefreshError>) -> Sent {
    match result {
        Err(RefreshError::Unavailable { sent, .. }) => sent,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_form_and_the_client_are_those_of_rfc_6749() {
    let server = TestIssuer::start(&[]).await;
    server.set(TOKEN, tokens());
    let secret = || Secret::new(b"s:1".to_vec());
    let form = "grant_type=refresh_token&refresh_token=r%2B1";
    let cases = [
        (Some(client(ClientAuthentication::Basic(secret()))), form.to_owned(), Some("Basic dXNoZXI6cyUzQTE=")),
        (
            Some(client(ClientAuthentication::Post(secret()))),
            format!("{form}&client_id=usher&client_secret=s%3A1"),
            None,
        ),
        (Some(client(ClientAuthentication::None)), format!("{form}&client_id=usher"), None),
        (None, form.to_owned(), None),
    ];
    for (client, body, authorization) in cases {
        let answer = refresh(config::Issuer { client, ..discovered(&server) }).await.unwrap();
        assert_eq!(answer.refresh_token.unwrap().expose(), "r2");
        let seen = server.last(TOKEN);
        assert_eq!(seen.body, body);
        assert_eq!(seen.headers.get("authorization").map(|value| value.to_str().unwrap()), authorization);
        assert_eq!(seen.headers["content-type"], "application/x-www-form-urlencoded");
        assert_eq!(seen.headers["accept"], "application/json");
    }
}

#[tokio::test]
async fn the_token_endpoint_may_be_configured() {
    let server = TestIssuer::start(&[]).await;
    server.set("/oauth", tokens());
    refresh(config::Issuer { refresh: Some(Refresh::TokenEndpoint(server.url("/oauth"))), ..server.config() })
        .await
        .unwrap();
    assert_eq!(server.count(DISCOVERY), 0);
}

#[tokio::test]
async fn an_existing_service_is_asked_in_its_own_words() {
    let server = TestIssuer::start(&[]).await;
    server.set("/auth/refresh", Reply::json(&json!({"accessToken": "at", "refreshToken": "r2"})));
    for (send, content_type, body) in [
        (ExchangeFormat::Json, "application/json", r#"{"refreshToken":"r+1"}"#),
        (ExchangeFormat::Form, "application/x-www-form-urlencoded", "refreshToken=r%2B1"),
    ] {
        let exchange = RefreshExchange {
            url: server.url("/auth/refresh"),
            send,
            field: "refreshToken".to_owned(),
            tokens: TokenPointers {
                access_token: "/accessToken".to_owned(),
                refresh_token: Some("/refreshToken".to_owned()),
            },
        };
        let config = config::Issuer { refresh: Some(Refresh::Exchange(exchange)), ..server.config() };
        assert_eq!(refresh(config).await.unwrap().access_token.expose(), "at");
        let seen = server.last("/auth/refresh");
        assert_eq!((seen.body.as_str(), seen.headers["content-type"].to_str().unwrap()), (body, content_type));
    }
}

#[tokio::test]
async fn a_token_that_found_nobody_has_never_been_sent() {
    let server = TestIssuer::start(&[]).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = |url: String| Some(Refresh::TokenEndpoint(url.parse().unwrap()));
    for url in [format!("http://{closed}/"), "http://nowhere.invalid/".to_owned()] {
        let config = config::Issuer { refresh: endpoint(url.clone()), ..server.config() };
        assert_eq!(sent(refresh(config).await), Sent::Never, "{url}");
    }
    assert_eq!(sent(refresh(config::Issuer { refresh: None, ..server.config() }).await), Sent::Never);
    server.set(DISCOVERY, Reply::status(500));
    assert_eq!(sent(refresh(discovered(&server)).await), Sent::Never);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_known_to_have_sent_nothing() {
    let server = TestIssuer::start(&[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap()).parse().unwrap();
    let mut config = config::Issuer { refresh: Some(Refresh::TokenEndpoint(url)), ..server.config() };
    config.transport.timeout = Duration::from_millis(400);
    let started = Instant::now();
    assert_eq!(sent(refresh(config).await), Sent::Never);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_token_whose_answer_is_lost_may_have_been_rotated() {
    let server = TestIssuer::start(&[]).await;
    for reply in [
        tokens().breaking(Break::BeforeHead),
        tokens().breaking(Break::MidBody),
        tokens().delayed(Duration::from_secs(30)),
        Reply { body: format!("{{\"access_token\":\"{}\"}}", "a".repeat(LIMIT)), ..tokens() },
    ] {
        server.set(TOKEN, reply);
        let mut config = discovered(&server);
        config.transport.timeout = Duration::from_millis(400);
        let before = server.count(TOKEN);
        assert_eq!(sent(refresh(config).await), Sent::Unknown);
        assert_eq!(server.count(TOKEN), before + 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_an_answer_and_redirects_are_not_followed() {
    let server = TestIssuer::start(&[]).await;
    server.set("/elsewhere", tokens());
    for status in [301, 302, 303, 307, 308, 400, 404, 429, 500, 503] {
        let location = server.url("/elsewhere").to_string();
        server.set(TOKEN, Reply { headers: vec![("location", location)], ..Reply::status(status) });
        assert_eq!(sent(refresh(discovered(&server)).await), Sent::Answered, "{status}");
    }
    assert_eq!(server.count("/elsewhere"), 0);
}

#[tokio::test]
async fn invalid_grant_is_told_from_trouble() {
    let server = TestIssuer::start(&[]).await;
    server.set(TOKEN, Reply { status: 400, ..Reply::json(&json!({"error": "invalid_grant"})) });
    assert!(matches!(refresh(discovered(&server)).await, Err(RefreshError::InvalidGrant)));
    server.set(TOKEN, Reply { status: 401, ..Reply::json(&json!({"error": "invalid_client"})) });
    let Err(RefreshError::Unavailable { cause, .. }) = refresh(discovered(&server)).await else { panic!() };
    assert!(matches!(cause, RefreshFailure::Refused { code, .. } if code == "invalid_client"));
}

#[tokio::test]
async fn a_service_that_repeats_the_token_does_not_bring_it_into_the_log() {
    let server = TestIssuer::start(&[]).await;
    for (token, error) in [("a-canary", "no such token a-canary"), ("canary0123", "canary0"), ("canary", "canary")] {
        server.set(TOKEN, Reply { status: 400, ..Reply::json(&json!({ "error": error })) });
        let issuers = issuers(&[discovered(&server)], &Clock::system());
        let error = issuers.by_id(IssuerId(0)).unwrap().refresh(&RefreshToken::new(token)).await.unwrap_err();
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn a_private_ca_is_trusted_where_it_is_configured_and_nowhere_else() {
    let authority = rcgen::CertifiedIssuer::self_signed(
        {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params
        },
        rcgen::KeyPair::generate().unwrap(),
    )
    .unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // A blocking server that answers as many connections as there are below.
    let server = std::thread::spawn(move || {
        let tls = std::sync::Arc::new(tls);
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut session = rustls::ServerConnection::new(std::sync::Arc::clone(&tls)).unwrap();
            let mut stream = rustls::Stream::new(&mut session, &mut stream);
            let mut head = [0; 4096];
            if std::io::Read::read(&mut stream, &mut head).is_ok() {
                let body = r#"{"access_token":"at"}"#;
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
                write!(stream, "{head}\r\n\r\n{body}").unwrap();
            }
        }
    });
    let url = format!("https://localhost:{port}/token").parse().unwrap();
    let plain = TestIssuer::start(&[]).await;
    let mut config = config::Issuer { refresh: Some(Refresh::TokenEndpoint(url)), ..plain.config() };
    assert_eq!(sent(refresh(config.clone()).await), Sent::Never);
    config.transport.ca = Some(authority.pem().into_bytes());
    assert_eq!(refresh(config).await.unwrap().access_token.expose(), "at");
    server.join().unwrap();
}

#[tokio::test]
async fn a_refresh_token_is_revoked_where_discovery_says() {
    let server = TestIssuer::start(&[]).await;
    server.set(REVOKE, Reply { content_type: "", body: String::new(), ..Reply::status(200) });
    let mut config = server.config();
    config.client = Some(client(ClientAuthentication::Post(Secret::new(b"s".to_vec()))));
    let token = RefreshToken::new("r1");
    let revoking = issuers(&[config.clone()], &Clock::system());
    revoking.by_id(IssuerId(0)).unwrap().revoke(&token).await.unwrap();
    assert_eq!(server.last(REVOKE).body, "token=r1&token_type_hint=refresh_token&client_id=usher&client_secret=s");

    server.set(REVOKE, Reply::status(503));
    let error = revoking.by_id(IssuerId(0)).unwrap().revoke(&token).await.unwrap_err();
    assert!(matches!(error, RevokeError::Status(status) if status == 503));

    let mut metadata = server.metadata();
    metadata.as_object_mut().unwrap().remove("revocation_endpoint");
    server.set(DISCOVERY, Reply::json(&metadata));
    let without = issuers(&[config], &Clock::system());
    let error = without.by_id(IssuerId(0)).unwrap().revoke(&token).await.unwrap_err();
    assert!(matches!(error, RevokeError::NotOffered));
}
