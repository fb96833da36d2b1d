//! What the operator is told about client certificates: whose was refused, and until when lists of revoked ones count.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use usher::clock::Clock;

use crate::client_certificates::{Clients, configuration, shake, showing};
use crate::harness::certificates::revoked_until;
use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::metrics::Metrics;
use crate::harness::wait::PATIENCE;
use crate::harness::{Protocol, Upstream};

const LISTEN: &str = "listen: { https: '127.0.0.1:0', admin: '127.0.0.1:0' }\n";
const LIST_ENDS: &str = "usher_revocation_list_expiry_timestamp_seconds";

/// The lines of the log, in JSON, that say this.
fn lines(usher: &Usher, words: &str) -> Vec<serde_json::Value> {
    let said = usher.output();
    said.lines().filter(|line| line.contains(words)).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn whose_certificate_was_refused_is_as_the_certificate_has_it_and_where_the_log_names_nobody_only_its_number() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let clients = Clients::new("clients");
    let numbered = |serial: u8| clients.issue(|params| params.serial_number = Some(vec![serial].into()));
    // Somebody has the certificate of another, without its key.
    let stolen = (numbered(1).0, numbered(2).1);
    let config = Arc::new(showing(Some(&stolen), Protocol::Http1));
    for (subject, named) in [("plain", Some("CN=alice")), ("hash", None), ("omit", None)] {
        let log = format!("log: {{ format: json, subject: {subject} }}\n");
        let yaml = complete(&format!("{LISTEN}{log}{}", configuration(&clients, &upstream, &directory)), &directory);
        let usher = Usher::serve(&yaml, directory.path());
        let mut stream = shake(usher.address("https").await, "app.test", &config).await.unwrap();
        assert!(stream.read_u8().await.is_err());
        usher.says("bad_certificate").await;
        let line = &lines(&usher, "bad_certificate")[0];
        assert_eq!((line["subject"].as_str(), line["serial"].as_str()), (named, Some("01")), "{line}");
        assert_eq!(line.to_string().contains("alice"), named.is_some(), "{line}");
    }
}

#[tokio::test]
async fn why_somebody_is_turned_away_is_told_also_where_he_stays_longer_than_a_handshake_may_take() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    // A client is listened to for two seconds after it was told.
    let limits = "limits: { handshake_timeout: 1900ms }\n";
    let sites = configuration(&Clients::new("clients"), &upstream, &directory);
    let usher = Usher::serve(&complete(&format!("{LISTEN}{limits}{sites}"), &directory), directory.path());
    let (at, admin) = (usher.address("https").await, usher.address("admin").await);

    let foreign = Arc::new(showing(Some(&Clients::new("others").issue(|_| {})), Protocol::Http1));
    let mut refused = shake(at, "app.test", &foreign).await.unwrap();
    let heard = refused.read_u8().await.unwrap_err().to_string();
    assert!(heard.contains("UnknownCA"), "{heard}");
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    usher.says("reason=\"unknown_ca\"").await;
    usher.says("plain HTTP at a port that speaks HTTPS").await;
    // Neither is waited for any longer.
    let gone = async {
        while Metrics::of(admin).await.count("usher_connections", &[]) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("nobody stays for ever");
    drop((refused, plain));
}

#[tokio::test]
async fn until_when_the_list_of_each_authority_counts_is_a_metric() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let [clients, others] = ["clients", "others"].map(Clients::new);
    let sites = configuration(&clients, &upstream, &directory).replacen(
        "clients.pem'",
        "clients.pem', crl_file: revoked.pem",
        1,
    );
    std::fs::write(directory.path().join("clients.pem"), format!("{}{}", clients.1, others.1)).unwrap();
    let write = |year| {
        let lists = clients.revoked(&[], year) + &others.revoked(&[], 2090);
        std::fs::write(directory.path().join("revoked.pem"), lists).unwrap();
    };
    write(2100);
    let usher = Usher::serve(&complete(&format!("{LISTEN}{sites}"), &directory), directory.path());
    let admin = usher.address("admin").await;
    let ends = async || {
        let metrics = Metrics::of(admin).await;
        assert_eq!(metrics.find(LIST_ENDS, &[("site", "pub.test")]), None, "it looks at no list");
        ["CN=clients", "CN=others"].map(|name| metrics.find(LIST_ENDS, &[("site", "app.test"), ("authority", name)]))
    };
    assert_eq!(ends().await, [Some(4_102_444_800.0), Some(3_786_912_000.0)]);
    write(2080);
    usher.says("configuration reloaded").await;
    assert_eq!(ends().await, [Some(3_471_292_800.0), Some(3_786_912_000.0)]);
}

#[tokio::test]
async fn a_list_that_ends_soon_is_told_of_when_a_reload_brings_it() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let clients = Clients::new("clients");
    let list = directory.path().join("revoked.pem");
    std::fs::write(&list, clients.revoked(&[], 2100)).unwrap();
    let yaml = configuration(&clients, &upstream, &directory).replacen(
        "clients.pem'",
        "clients.pem', crl_file: revoked.pem",
        1,
    );
    let yaml = complete(&format!("{LISTEN}log: {{ format: json }}\n{yaml}"), &directory);
    let usher = Usher::serve(&yaml, directory.path());
    usher.address("https").await;
    assert!(!usher.output().contains("a list of revoked"), "{}", usher.output());
    let soon = Clock::system().now().after(Duration::from_secs(3 * 60 * 60));
    std::fs::write(&list, revoked_until(&clients.0, &[], soon)).unwrap();
    usher.says("configuration reloaded").await;
    let told = lines(&usher, "a list of revoked client certificates of the site app.test expires in 2h");
    let [line] = &told[..] else { panic!("one line: {}", usher.output()) };
    assert_eq!((&line["level"], &line["fault"]), (&"WARN".into(), &"operator".into()), "{line}");
    assert!(line["remedy"].as_str().unwrap().contains("put the next list"), "{line}");
}
