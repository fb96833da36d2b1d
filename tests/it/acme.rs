//! Certificates that a real authority issues by ACME: ordered, shown, renewed, and what becomes of it when the authority is
//! not there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;

use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::client::try_tls;
use crate::harness::metrics::Metrics;
use crate::harness::pebble::{Pebble, Visitor};
use crate::harness::{Client, Gateway, Protocol, Upstream, eventually, get};

/// Longer than any certificate of a test needs to be issued or renewed.
const SOON: Duration = Duration::from_secs(60);

const MONTHS: u64 = 90 * 24 * 60 * 60;

/// A site whose certificate is ordered, and one with a certificate of its own.
fn configuration(pebble: &Pebble, challenge: &str, upstream: &Upstream, directory: &TempDir) -> String {
    authority().write(&["other.test"], directory.path(), "other");
    format!(
        "listen: {{ https: '{}', http: '{}', admin: '127.0.0.1:0' }}\n\
         log: {{ format: json }}\n\
         state_directory: state\n\
         tls:\n  certificates: [{{ certificate: other.pem, key: other.key }}]\n  \
         acme: {{ {}, challenge: {challenge}, contact: operator@example.test, hosts: app.test }}\n\
         sites:\n  \
         - {{ host: app.test, upstream: '{upstream}', access: public, routes: [{{ path: / }}] }}\n  \
         - {{ host: other.test, upstream: '{upstream}', access: public, routes: [{{ path: / }}] }}\n",
        pebble.https,
        pebble.http,
        pebble.keys(),
        upstream = upstream.url(),
    )
}

/// Waits until `app.test` is served with a certificate that this visitor trusts, other than `before`.
async fn shown(visitor: &Visitor, before: Option<&CertificateDer<'static>>, usher: &Usher) -> CertificateDer<'static> {
    let started = Instant::now();
    loop {
        if let Ok((certificate, status)) = visitor.visit("app.test", "/x").await
            && Some(&certificate) != before
        {
            assert_eq!(status, 200);
            return certificate;
        }
        assert!(started.elapsed() < SOON, "no certificate was shown: {}", usher.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_certificate_is_issued_by_either_challenge_kept_for_its_owner_and_used_after_a_restart_without_another_order()
{
    for challenge in ["http-01", "tls-alpn-01"] {
        let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
        pebble.start().await;
        let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
        let yaml = configuration(&pebble, challenge, &upstream, &directory);
        let mut usher = Usher::serve(&yaml, directory.path());
        let visitor = pebble.trusting().await;
        let issued = shown(&visitor, None, &usher).await;
        let kept = directory.path().join("state/acme");
        assert_eq!(
            (mode(&kept), mode(&kept.join("app.test.pem")), mode(&kept.join("account.json"))),
            (0o700, 0o600, 0o600)
        );
        let account = fs::read(kept.join("account.json")).unwrap();
        let metrics = format!("http://{}/metrics", usher.address("admin").await);
        let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
        assert!(
            metrics
                .lines()
                .any(|line| line.starts_with("usher_certificate_expiry_timestamp_seconds{name=\"app.test\"")),
            "{metrics}"
        );

        // What is not being looked for is not there: the usual redirect, and no handshake.
        let plain = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let url = format!("http://{}/.well-known/acme-challenge/token", pebble.http);
        for (host, status) in [("app.test", 308), ("unknown.test", 421)] {
            assert_eq!(plain.get(&url).header("host", host).send().await.unwrap().status(), status, "{host}");
        }
        assert!(try_tls(pebble.https, "other.test", &[b"acme-tls/1"]).await.is_err());

        usher.signal("TERM").await;
        usher.exit().await;
        let orders = pebble.orders();
        assert_eq!(orders, 1, "{challenge}");
        let usher = Usher::serve(&yaml, directory.path());
        usher.says("\"serving\"").await;
        assert_eq!(visitor.visit("app.test", "/x").await.unwrap(), (issued, 200), "{challenge}");
        // Two looks at what is due have passed by then.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        assert_eq!(pebble.orders(), orders, "{challenge}");
        assert_eq!(fs::read(kept.join("account.json")).unwrap(), account);
    }
}

#[tokio::test]
async fn the_authority_is_told_another_contact_once_with_the_next_order() {
    let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&pebble, "http-01", &upstream, &directory);
    let kept = directory.path().join("state/acme");
    let mut seen = Vec::new();
    for contact in ["operator@example.test", "other@example.test", "other@example.test"] {
        let mut usher = Usher::serve(&yaml.replace("operator@example.test", contact), directory.path());
        let visitor = pebble.trusting().await;
        shown(&visitor, None, &usher).await;
        seen.push(usher.output().matches("was told the contact").count());
        assert!(fs::read_to_string(kept.join("account.json")).unwrap().contains(contact), "{contact}");
        usher.signal("TERM").await;
        usher.exit().await;
        fs::remove_file(kept.join("app.test.pem")).unwrap();
    }
    assert_eq!((&seen[..], pebble.accounts(), pebble.orders()), (&[0, 1, 0][..], 1, 3), "{}", pebble.said());
    let updates = pebble.said().lines().filter(|line| line.contains("POST /my-account/")).count();
    assert!(updates > 0, "{}", pebble.said());
}

#[tokio::test]
async fn an_authority_that_refuses_one_good_nonce_in_five_issues_all_the_same() {
    let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
    pebble.refuse_nonces(20);
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let usher = Usher::serve(&configuration(&pebble, "http-01", &upstream, &directory), directory.path());
    shown(&pebble.trusting().await, None, &usher).await;
}

#[tokio::test]
async fn an_authority_that_wants_an_account_of_the_operators_issues_to_who_has_its_key() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
    pebble.require_external_account("kid-1", KEY);
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&pebble, "http-01", &upstream, &directory);
    let mut without = Usher::serve(&yaml, directory.path());
    without.says("externalAccountBinding").await;
    let refused = without.output();
    let line = refused.lines().find(|line| line.contains("externalAccountBinding")).unwrap();
    assert!(line.contains(r#""fault":"operator""#), "{line}");
    without.signal("TERM").await;
    without.exit().await;

    // As it is handed out: a line, with or without padding.
    fs::write(directory.path().join("hmac"), format!("{KEY}\n")).unwrap();
    let known = "agree_to_terms: true, external_account: { key_id: kid-1, hmac_key_file: hmac }";
    let usher = Usher::serve(&yaml.replace("agree_to_terms: true", known), directory.path());
    shown(&pebble.trusting().await, None, &usher).await;
    assert!(!usher.output().contains(KEY));
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends_and_no_request_fails_over_it() {
    let Some(mut pebble) = Pebble::prepare(24) else { return };
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let usher = Usher::serve(&configuration(&pebble, "tls-alpn-01", &upstream, &directory), directory.path());
    let visitor = pebble.trusting().await;
    let first = shown(&visitor, None, &usher).await;
    // People keep coming, on connections of their own.
    let (over, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let crowd: Vec<_> = (0..4)
        .map(|_| {
            let (visitor, over, failed) = (visitor.clone(), Arc::clone(&over), Arc::clone(&failed));
            tokio::spawn(async move {
                let mut visits = 0;
                while !over.load(Ordering::Relaxed) {
                    visits += 1;
                    if !matches!(visitor.visit("app.test", "/x").await, Ok((_, 200))) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                visits
            })
        })
        .collect();
    let second = shown(&visitor, Some(&first), &usher).await;
    assert_ne!(first, second);
    over.store(true, Ordering::Relaxed);
    let mut visits = 0;
    for visitor in crowd {
        visits += visitor.await.unwrap();
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {visits}");
    assert!(visits > 100, "{visits}");
}

#[tokio::test]
async fn without_the_authority_other_sites_are_served_a_certificate_that_there_is_stays_and_it_recovers_by_itself() {
    let Some(mut pebble) = Pebble::prepare(18) else { return };
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let usher = Usher::serve(&configuration(&pebble, "http-01", &upstream, &directory), directory.path());
    usher.says("no certificate was issued").await;
    let told = usher.output();
    let line = told.lines().find(|line| line.contains("no certificate was issued")).unwrap();
    assert!(line.contains("\"authority\"") && line.contains("\"app.test\""), "whose fault it is: {line}");
    let admin = usher.address("admin").await;
    let ordered = async |outcome| {
        Metrics::of(admin).await.count("usher_certificate_orders_total", &[("name", "app.test"), ("outcome", outcome)])
    };
    assert!(ordered("failed").await > 0 && ordered("issued").await == 0);
    let other = Client { address: pebble.https, protocol: Protocol::Http1 };
    other.send(get("https://other.test/x")).await.assert_status(200);
    let ready = format!("http://{}/readyz", usher.address("admin").await);
    assert_eq!(reqwest::get(&ready).await.unwrap().status(), 200);

    pebble.start().await;
    let visitor = pebble.trusting().await;
    let first = shown(&visitor, None, &usher).await;
    assert!(ordered("issued").await > 0);

    // At a renewal.
    pebble.stop().await;
    let failures = || usher.output().matches("no certificate was issued").count();
    let before = failures();
    eventually("the renewal fails", || failures() > before).await;
    assert_eq!(visitor.visit("app.test", "/x").await.unwrap(), (first.clone(), 200));

    // It comes back, and knows neither the account nor anything else.
    pebble.start().await;
    shown(&pebble.trusting().await, Some(&first), &usher).await;
}

#[tokio::test]
async fn what_was_issued_and_cannot_be_written_is_not_ordered_again() {
    let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let in_the_way = directory.path().join("state/acme/app.test.pem");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    let usher = Usher::serve(&configuration(&pebble, "http-01", &upstream, &directory), directory.path());
    let told = || usher.output().matches("cannot keep").count();
    eventually("it cannot be kept, twice", || told() >= 2).await;
    assert_eq!(pebble.orders(), 1);
    fs::remove_dir_all(&in_the_way).unwrap();
    shown(&pebble.trusting().await, None, &usher).await;
    assert_eq!(pebble.orders(), 1, "an authority counts orders");
}

#[tokio::test]
async fn where_nothing_can_be_kept_neither_an_account_is_made_nor_a_certificate_ordered() {
    let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let in_the_way = directory.path().join("state/acme");
    fs::create_dir(directory.path().join("state")).unwrap();
    fs::write(&in_the_way, "a file").unwrap();
    let usher = Usher::serve(&configuration(&pebble, "http-01", &upstream, &directory), directory.path());
    let told = || usher.output().matches("cannot keep").count();
    eventually("it cannot be kept, twice", || told() >= 2).await;
    assert_eq!((pebble.accounts(), pebble.orders()), (0, 0), "an authority counts both");
    fs::remove_file(&in_the_way).unwrap();
    shown(&pebble.trusting().await, None, &usher).await;
}

#[tokio::test]
async fn an_account_is_not_given_up_for_an_authority_that_is_in_trouble() {
    // It speaks, and not as an authority does.
    let (authority_in_trouble, upstream) = (Upstream::start_tls("http/1.1").await, Upstream::start().await);
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("state/acme")).unwrap();
    fs::write(directory.path().join("ca.pem"), authority().root_pem()).unwrap();
    let at = format!("{}/dir", authority_in_trouble.url());
    let key = URL_SAFE_NO_PAD.encode(rcgen::KeyPair::generate().unwrap().serialize_der());
    let account = serde_json::json!({ "id": "https://localhost/account", "key_pkcs8": key, "directory": at });
    fs::write(directory.path().join("state/acme/account.json"), account.to_string()).unwrap();
    let yaml = format!(
        "listen: {{ https: '127.0.0.1:0' }}\nlog: {{ format: json }}\nstate_directory: state\n\
         tls: {{ acme: {{ directory: '{at}', ca_file: ca.pem, agree_to_terms: true }} }}\n\
         sites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}]\n",
        upstream.url()
    );
    let usher = Usher::serve(&yaml, directory.path());
    usher.says("no certificate was issued").await;
    assert!(!usher.output().contains("another one is made"), "{}", usher.output());
    assert!(authority_in_trouble.count() > 0);
}

#[tokio::test]
async fn a_name_that_the_authority_cannot_see_is_told_as_the_operators_and_not_tried_again_at_once() {
    let Some(mut pebble) = Pebble::prepare(MONTHS) else { return };
    pebble.start().await;
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&pebble, "http-01", &upstream, &directory);
    // Nobody listens where the authority looks.
    let usher = Usher::serve(&yaml.replace(&pebble.http.to_string(), "127.0.0.1:0"), directory.path());
    usher.says("no certificate was issued").await;
    let told = usher.output();
    let line = told.lines().find(|line| line.contains("no certificate was issued")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["fault"], "operator", "{line}");
    assert!(line["remedy"].as_str().unwrap().contains("http://app.test/"), "{line}");
    assert!(line["error"].as_str().unwrap().contains("could not see"), "{line}");
    let again = line["again_in"].as_str().unwrap();
    assert!(
        again.starts_with("5m") || again.starts_with("6m"),
        "Let's Encrypt allows five failures in an hour: {again}"
    );
}

#[test]
fn what_cannot_be_ordered_is_told_with_what_to_do() {
    let site = |host: &str| {
        format!(
            "sites: [{{ host: '{host}', upstream: 'http://127.0.0.1:1', access: public, routes: [{{ path: / }}] }}]"
        )
    };
    let state = "state_directory: $DIRECTORY/state\n";
    let ordered = |keys: &str| format!("{state}tls: {{ acme: {{ agree_to_terms: true{keys} }} }}\n");
    let app = site("app.test");
    for (yaml, words) in [
        (format!("{}{}", ordered(""), site("*.corp.test")), "DNS-01"),
        (format!("{}{}", ordered(""), site("192.0.2.7")), "which is an address"),
        (format!("tls: {{ acme: {{ agree_to_terms: true }} }}\n{app}"), "needs a state_directory"),
        (format!("{state}tls: {{ acme: {{ challenge: http-01 }} }}\n{app}"), "agree_to_terms: true"),
        (format!("{}{app}", ordered(", hosts: [unknown.test]")), "is the host of no site"),
        (format!("{}{app}", ordered(", contact: nobody")), "is not a mail address"),
        (format!("{}{app}", ordered(", external_account: { key_id: a }")), "hmac_key_file is missing"),
        (
            format!("{}{app}", ordered(", external_account: { key_id: a, hmac_key_file: $DIRECTORY/site.pem }")),
            "holds no key in base64url",
        ),
        (format!("{}{app}", ordered(", directory: 'http://acme.test/dir'")), "never over plain http"),
        (
            format!("listen: {{ https: '127.0.0.1:0' }}\n{}{app}", ordered(", challenge: http-01")),
            "is answered on the http listener",
        ),
        (format!("{state}tls: {{ self_signed: true, acme: {{ agree_to_terms: true }} }}\n{app}"), "is set beside acme"),
        (
            format!(
                "{state}tls:\n  certificates: [{{ certificate: $DIRECTORY/site.pem, key: $DIRECTORY/site.key }}]\n  \
                 acme: {{ agree_to_terms: true }}\n{app}"
            ),
            "does not say which sites are whose",
        ),
    ] {
        let refusal = Gateway::refusal(&yaml).unwrap_or_else(|| panic!("{yaml} is fine"));
        assert!(refusal.contains(words) && refusal.contains("1 problem"), "{yaml}: {refusal}");
    }
    assert_eq!(Gateway::refusal(&format!("{}{app}", ordered(""))), None);
}
