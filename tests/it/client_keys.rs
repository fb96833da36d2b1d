//! A client that says who it is with a key of its own (RFC 7523): at every endpoint of a certified server that asks.

use std::fs;
use std::time::Duration;

use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::authorization_server::AuthorizationServer;
use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::scene::{SITES, echoed};
use crate::harness::wait::PATIENCE;
use crate::harness::{Browser, Client, Protocol, Upstream, get, post};
use crate::sign_in::Ring;

async fn ring(
    kind: &'static SignatureAlgorithm,
    algorithm: &str,
    keys: &str,
    directory: &tempfile::TempDir,
) -> Option<Ring> {
    let (key, path) = (KeyPair::generate_for(kind).unwrap(), directory.path().join("client.key"));
    fs::write(&path, key.serialize_pem()).unwrap();
    let mut options = json!({ "clientKey": key.public_key_pem(), "clientAlgorithm": algorithm });
    if keys.contains("usher-1") {
        options["clientKeyId"] = json!("usher-1");
    }
    let client = format!("client_id: usher-key\nclient_key_file: {}\naudiences: [usher]", path.display());
    Ring::start_as("a client with a key at a certified server", &options, &format!("{client}\n{keys}")).await
}

#[tokio::test]
async fn a_client_with_a_key_signs_people_in_renews_and_revokes_at_a_certified_server() {
    for (kind, algorithm, keys) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256", ""),
        (&rcgen::PKCS_RSA_SHA256, "PS256", "client_key_algorithm: PS256\nclient_key_id: usher-1"),
        (&rcgen::PKCS_RSA_SHA256, "RS256", "client_key_algorithm: RS256"),
        (&rcgen::PKCS_ED25519, "EdDSA", "client_assertion_audience: http://127.0.0.1:$PORT/token"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let Some(ring) = ring(kind, algorithm, keys, &directory).await else { return };
        let mut browser = ring.browser();
        let pushed = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
        assert!(pushed.assert_status(302).header("location").unwrap().contains("request_uri"), "{algorithm}");
        let answer = browser.sign_in("https://app.test/x").await.1;
        assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"], "{algorithm}");
        browser.jar.remove("__Host-usher-access");
        browser.visit("https://app.test/x").await.assert_status(200);
        assert_eq!(ring.server.stats().await.token_requests, 2, "{algorithm}");

        let sign_out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
        ring.gateway.client().send(sign_out.cookies(&browser.jar)).await.assert_status(204);
        let revoked = async {
            while ring.server.stats().await.grants_revoked == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, revoked).await.expect("the refresh token is revoked");

        let set: Value = ring.gateway.client().send(get("https://app.test/.usher/client-jwks.json")).await.json();
        let published = set["keys"].as_array().unwrap();
        assert_eq!((published.len(), &published[0]["alg"]), (1, &json!(algorithm)));
        assert!(["d", "p", "q"].iter().all(|private| published[0].get(private).is_none()), "{set}");
        if keys.contains("usher-1") {
            assert_eq!(published[0]["kid"], "usher-1");
        }
    }
}

#[tokio::test]
async fn a_client_with_a_key_asks_about_opaque_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let keys = "identity: introspection\nintrospection_cache: 0s";
    let key = KeyPair::generate().unwrap();
    fs::write(directory.path().join("client.key"), key.serialize_pem()).unwrap();
    let path = directory.path().join("client.key").display().to_string();
    let options =
        json!({ "clientKey": key.public_key_pem(), "clientAlgorithm": "ES256", "accessTokenFormat": "opaque" });
    let client = format!("client_id: usher-key\nclient_key_file: {path}\naudiences: [usher]\n{keys}");
    let Some(ring) = Ring::start_as("a client with a key that introspects", &options, &client).await else { return };
    let mut browser = ring.browser();
    let answer = browser.sign_in("https://app.test/x").await.1;
    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    let before = ring.server.stats().await.introspections;
    browser.visit("https://app.test/x").await.assert_status(200);
    assert!(ring.server.stats().await.introspections > before, "every request is asked about");
}

#[tokio::test]
async fn a_wrong_key_is_the_operators_fault_and_the_right_one_counts_once_its_file_is_replaced() {
    let (directory, key) = (tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
    let path = directory.path().join("client.key");
    fs::write(&path, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let options = json!({ "clientKey": key.public_key_pem(), "clientAlgorithm": "ES256" });
    let what = "a client with a wrong key at a certified server";
    let Some(server) = AuthorizationServer::start_with(&options, what).await else { return };
    let upstream = Upstream::start().await;
    let issuer = format!(
        "issuers:\n  main:\n    issuer: {}\n    insecure_http: true\n    client_id: usher-key\n    client_key_file: {}\n    audiences: [usher]\n",
        server.issuer(),
        path.display()
    );
    let yaml = complete(&format!("{issuer}{SITES}").replace("$UPSTREAM", &upstream.url()), &directory);
    let usher = Usher::serve(&yaml, directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let mut browser = Browser::new(client);
    browser.visit("https://app.test/.usher/sign-in?rd=/x").await.assert_status(502);
    usher.says("fault=\"operator\"").await;
    usher.says("401").await;

    fs::write(&path, key.serialize_pem()).unwrap();
    let signed_in = async {
        loop {
            let mut browser = Browser::new(client);
            if browser.visit("https://app.test/.usher/sign-in?rd=/x").await.status == 302 {
                break browser.sign_in("https://app.test/x").await.1;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, signed_in).await.expect("the new key counts").assert_status(200);
}
