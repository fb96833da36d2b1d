//! Certificates that clients show: whose count, what the application is told, and that no site is reached under the terms of
//! another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use usher::clock::Clock;

use crate::harness::certificates::{authority, revoked};
use crate::harness::child::Usher;
use crate::harness::client::Connection;
use crate::harness::gateway::complete;
use crate::harness::metrics::Metrics;
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Ask, Gateway, Protocol, Upstream, eventually, get};

/// An authority of clients.
pub(crate) struct Clients(pub(crate) Issuer<'static, KeyPair>, pub(crate) String);

/// A certificate and its key.
pub(crate) type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Clients {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// The list of what it has revoked, which counts until that year.
    pub(crate) fn revoked(&self, serials: &[u8], next_update: i32) -> String {
        revoked(&self.0, serials, next_update)
    }

    pub(crate) fn issue(&self, change: impl Fn(&mut CertificateParams)) -> Shown {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().der().clone(), key.into())
    }
}

/// A client that shows this.
pub(crate) fn showing(shown: Option<&Shown>, protocol: Protocol) -> ClientConfig {
    let alpn: &[u8] = if protocol == Protocol::Http2 { b"h2" } else { b"http/1.1" };
    let config = ClientConfig::clone(&authority().client(&[alpn]));
    match shown {
        Some(shown) => showing_chain(config, shown, &[]),
        None => config,
    }
}

fn showing_chain(mut config: ClientConfig, (own, key): &Shown, further: &[CertificateDer<'static>]) -> ClientConfig {
    let key = config.crypto_provider().key_provider.load_private_key(key.clone_key()).unwrap();
    let chain = [std::slice::from_ref(own), further].concat();
    let chain = rustls::sign::CertifiedKey::new(chain, key);
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(chain));
    config
}

pub(crate) async fn shake(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::clone(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

/// A connection for `name` by a client that shows this.
pub(crate) async fn connect(
    address: SocketAddr,
    name: &str,
    shown: Option<&Shown>,
    protocol: Protocol,
) -> Option<Connection> {
    let stream = TokioIo::new(shake(address, name, &Arc::new(showing(shown, protocol))).await.ok()?);
    match protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(stream).await.ok()?;
            tokio::spawn(async move { drop(connection.await) });
            Some(Connection::Http1(sender))
        }
        Protocol::Http2 => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.ok()?;
            tokio::spawn(async move { drop(connection.await) });
            Some(Connection::Http2(sender))
        }
    }
}

/// The answer; `None` where the handshake comes to nothing, which a client of TLS 1.3 hears with its first read.
async fn ask(gateway: &Gateway, name: &str, shown: Option<&Shown>, protocol: Protocol, ask: Ask) -> Option<Answer> {
    let mut connection = connect(gateway.https(), name, shown, protocol).await?;
    Some(Answer::read(connection.open(ask).await.ok()?).await)
}

/// What the application was told last of a certificate.
fn told(upstream: &Upstream) -> Vec<String> {
    let is_told = |(name, _): &(String, String)| name.to_ascii_lowercase().starts_with("client-cert");
    upstream.last().headers.into_iter().filter(is_told).map(|(_, value)| value).collect()
}

/// `app.test` asks for a certificate, `pub.test` takes one, `other.test` asks for nothing.
pub(crate) fn configuration(clients: &Clients, upstream: &Upstream, directory: &tempfile::TempDir) -> String {
    let ca = directory.path().join("clients.pem");
    std::fs::write(&ca, &clients.1).unwrap();
    let site = |host: &str, keys: &str| {
        format!(
            "  - {{ host: {host}, upstream: '{}', access: public, {keys} routes: [{{ path: / }}] }}\n",
            upstream.url()
        )
    };
    let asks = |keys: &str| format!("client_certificates: {{ ca_file: '{}'{keys} }},", ca.display());
    [
        "sites:\n".to_owned(),
        site("app.test", &asks("")),
        site("pub.test", &asks(", required: false")),
        site("other.test", ""),
    ]
    .concat()
}

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

#[tokio::test]
async fn who_shows_no_certificate_that_counts_does_not_get_in_and_the_application_is_told_of_one_that_does() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let (clients, others) = (Clients::new("clients"), Clients::new("others"));
    let gateway = Gateway::start(&configuration(&clients, &upstream, &directory), &Clock::system()).await;
    let alice = clients.issue(|_| {});
    let expired = clients.issue(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let of_a_server = clients.issue(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let foreign = others.issue(|_| {});
    let field = format!(":{}:", STANDARD.encode(&alice.0));
    let forged = |host: &str| get(&format!("https://{host}/x")).header("client-cert", ":Zm9yZ2Vk:");
    for protocol in BOTH {
        for (what, shown) in [
            ("none", None),
            ("expired", Some(&expired)),
            ("a server's", Some(&of_a_server)),
            ("foreign", Some(&foreign)),
        ] {
            let before = upstream.count();
            let answer = ask(&gateway, "app.test", shown, protocol, forged("app.test")).await;
            assert!(answer.is_none(), "{what} over {protocol:?}: {answer:?}");
            assert_eq!(upstream.count(), before);
            // Where none is required, a bad one is worse than none.
            let answer = ask(&gateway, "pub.test", shown, protocol, forged("pub.test")).await;
            assert_eq!(answer.map(|answer| answer.status.as_u16()), shown.is_none().then_some(200), "{what}");
        }
        for host in ["app.test", "pub.test"] {
            let answer = ask(&gateway, host, Some(&alice), protocol, forged(host)).await.unwrap();
            answer.assert_status(200);
            assert_eq!(told(&upstream), [field.as_str()], "{host}");
        }
        for host in ["pub.test", "other.test"] {
            ask(&gateway, host, None, protocol, forged(host)).await.unwrap().assert_status(200);
            assert!(told(&upstream).is_empty(), "{host}");
        }
    }
}

#[tokio::test]
async fn not_even_a_trusted_proxy_says_what_was_shown_to_a_site_that_asks() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let clients = Clients::new("clients");
    let yaml = configuration(&clients, &upstream, &directory);
    let gateway = Gateway::start(&format!("trusted_proxies: [127.0.0.1]\n{yaml}"), &Clock::system()).await;
    let alice = clients.issue(|_| {});
    let forged = |host: &str| {
        let ask = get(&format!("https://{host}/x")).header("client-cert", ":Zm9yZ2Vk:");
        ask.header("client-cert-chain", ":Zm9yZ2Vk:")
    };
    ask(&gateway, "app.test", Some(&alice), Protocol::Http1, forged("app.test")).await.unwrap().assert_status(200);
    assert_eq!(told(&upstream), [format!(":{}:", STANDARD.encode(&alice.0))]);
    ask(&gateway, "pub.test", None, Protocol::Http1, forged("pub.test")).await.unwrap().assert_status(200);
    assert!(told(&upstream).is_empty());
    // It does where nobody else is asked.
    ask(&gateway, "other.test", None, Protocol::Http1, forged("other.test")).await.unwrap().assert_status(200);
    assert_eq!(told(&upstream).len(), 2);
}

#[tokio::test]
async fn no_site_is_reached_under_the_terms_of_another() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let clients = Clients::new("clients");
    let gateway = Gateway::start(&configuration(&clients, &upstream, &directory), &Clock::system()).await;
    let alice = clients.issue(|_| {});
    for protocol in BOTH {
        for (name, shown) in
            [("app.test", Some(&alice)), ("pub.test", None), ("pub.test", Some(&alice)), ("other.test", None)]
        {
            let mut connection = connect(gateway.https(), name, shown, protocol).await.unwrap();
            for host in ["app.test", "pub.test", "other.test"] {
                for path in ["x", ".usher/session"] {
                    // A client of HTTP/1.1 is sent away with its connection.
                    if protocol == Protocol::Http1 {
                        connection = connect(gateway.https(), name, shown, protocol).await.unwrap();
                    }
                    let before = upstream.count();
                    let answer = connection.send(get(&format!("https://{host}/{path}"))).await;
                    let (status, refused) = (answer.status.as_u16(), host != name);
                    let is_last = answer.headers.get("connection").is_some_and(|value| value == "close");
                    assert_eq!(is_last, refused && protocol == Protocol::Http1, "{name} then {host} over {protocol:?}");
                    assert_eq!(status == 421, refused, "{name} then {host}/{path} over {protocol:?}: {status}");
                    assert_eq!(upstream.count() == before, refused || path != "x");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_session_is_not_resumed_where_a_certificate_is_asked_for() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let clients = Clients::new("clients");
    let gateway = Gateway::start(&configuration(&clients, &upstream, &directory), &Clock::system()).await;
    let alice = clients.issue(|_| {});
    for (name, resumed) in [("app.test", false), ("pub.test", false), ("other.test", true)] {
        let mut config = showing(Some(&alice), Protocol::Http1);
        config.resumption = Resumption::in_memory_sessions(8);
        let config = Arc::new(config);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let stream = shake(gateway.https(), name, &config).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(async move { drop(connection.await) });
            sender.ready().await.unwrap();
            // Tickets come with the answer.
            let mut connection = Connection::Http1(sender);
            connection.send(get(&format!("https://{name}/x"))).await.assert_status(200);
        }
        assert_eq!(kinds[1] == HandshakeKind::Resumed, resumed, "{name}: {kinds:?}");
    }
}

#[tokio::test]
async fn other_authorities_count_at_once_and_connections_of_before_do_not() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let (clients, others) = (Clients::new("clients"), Clients::new("others"));
    let gateway = Gateway::start(&configuration(&clients, &upstream, &directory), &Clock::system()).await;
    let (alice, foreign) = (clients.issue(|_| {}), others.issue(|_| {}));
    let app = || get("https://app.test/x");
    let mut before = connect(gateway.https(), "app.test", Some(&alice), Protocol::Http2).await.unwrap();
    before.send(app()).await.assert_status(200);
    gateway.reload(&configuration(&others, &upstream, &directory)).await.unwrap();
    eventually("the connection of before is closed", || before.is_closed()).await;
    assert!(ask(&gateway, "app.test", Some(&alice), Protocol::Http1, app()).await.is_none());
    ask(&gateway, "app.test", Some(&foreign), Protocol::Http1, app()).await.unwrap().assert_status(200);
}

#[tokio::test]
async fn whoever_is_refused_hears_why_whatever_it_has_sent_by_then() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let gateway =
        Gateway::start(&configuration(&Clients::new("clients"), &upstream, &directory), &Clock::system()).await;
    let config = Arc::new(showing(None, Protocol::Http2));
    for _ in 0..50 {
        // By TLS 1.3 the handshake is over for the client before its certificate was looked at.
        let mut stream = shake(gateway.https(), "app.test", &config).await.unwrap();
        drop(stream.write_all(&vec![b'x'; 48 * 1024]).await);
        drop(stream.flush().await);
        // A program that looks at the connection, or goes on sending, would stumble over one that is reset before it reads.
        stream.get_ref().0.readable().await.unwrap();
        stream.get_ref().0.peer_addr().expect("it is open still");
        let heard = stream.read_u8().await.unwrap_err().to_string();
        assert!(heard.contains("CertificateRequired"), "{heard}");
    }
}

#[tokio::test]
async fn what_its_authority_has_revoked_does_not_count_from_the_next_list_on() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let clients = Clients::new("clients");
    let list = directory.path().join("revoked.pem");
    std::fs::write(&list, clients.revoked(&[], 2100)).unwrap();
    let yaml = configuration(&clients, &upstream, &directory)
        .replace("clients.pem'", &format!("clients.pem', crl_file: '{}'", list.display()));
    let gateway = Gateway::start(&yaml, &Clock::system()).await;
    let numbered = |serial: u8| clients.issue(|params| params.serial_number = Some(vec![serial].into()));
    let (alice, bob) = (numbered(1), numbered(2));
    let app = || get("https://app.test/x");
    for protocol in BOTH {
        let mut before = connect(gateway.https(), "app.test", Some(&alice), protocol).await.unwrap();
        before.send(app()).await.assert_status(200);
        std::fs::write(&list, clients.revoked(&[1], 2100)).unwrap();
        gateway.reload(&yaml).await.unwrap();
        eventually("the connection of before is closed", || before.is_closed()).await;
        for host in ["app.test", "pub.test"] {
            let asked = || get(&format!("https://{host}/x"));
            assert!(ask(&gateway, host, Some(&alice), protocol, asked()).await.is_none(), "{host} over {protocol:?}");
            ask(&gateway, host, Some(&bob), protocol, asked()).await.unwrap().assert_status(200);
        }
        // Who is on no list gets in again, and who has no list that counts today lets in nobody.
        std::fs::write(&list, clients.revoked(&[], 2100)).unwrap();
        gateway.reload(&yaml).await.unwrap();
        ask(&gateway, "app.test", Some(&alice), protocol, app()).await.unwrap().assert_status(200);
        std::fs::write(&list, clients.revoked(&[], 2020)).unwrap();
        gateway.reload(&yaml).await.unwrap();
        assert!(ask(&gateway, "app.test", Some(&bob), protocol, app()).await.is_none());
        let troubles = gateway.status("").await["troubles"].to_string();
        assert!(troubles.contains("client certificates of the site app.test has expired"), "{troubles}");
        ask(&gateway, "pub.test", None, protocol, get("https://pub.test/x")).await.unwrap().assert_status(200);
        std::fs::write(&list, clients.revoked(&[], 2100)).unwrap();
        gateway.reload(&yaml).await.unwrap();
    }
}

#[tokio::test]
async fn a_list_of_revoked_certificates_that_keeps_everybody_out_is_told_of() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let [clients, namesake, others] = ["clients", "clients", "others"].map(Clients::new);
    let write = |pem: &str| std::fs::write(directory.path().join("revoked.pem"), pem).unwrap();
    let yaml =
        configuration(&clients, &upstream, &directory).replace("clients.pem'", "clients.pem', crl_file: revoked.pem");
    std::fs::write(directory.path().join("usher.yaml"), complete(&yaml, &directory)).unwrap();
    let not_one = clients.revoked(&[], 2100).replacen("\nMI", "\nMJ", 1);
    for (list, words) in [
        (clients.1.clone(), "is not a PEM file with lists of revoked certificates"),
        (not_one, "holds a list (number 1) that cannot be used"),
        (others.revoked(&[], 2100), "holds no list of"),
        (namesake.revoked(&[], 2100), "has not signed: its certificates would be refused"),
        // Who is on the second alone would get in.
        (clients.revoked(&[], 2100) + &clients.revoked(&[1], 2100), "only the first would be looked at"),
        (clients.revoked(&[], 2020), "sites[1].client_certificates: a list of revoked client certificates"),
        (others.revoked(&[], 2100) + &clients.revoked(&[], 2100), "app.test  client certificate required"),
        (clients.revoked(&[], 2100) + &"\n".repeat(1 << 20), "app.test  client certificate required"),
        (clients.revoked(&[], 2100) + &"\n".repeat(8 << 20), "revoked.pem is larger than 8 MiB"),
    ] {
        write(&list);
        let (_, said, told) = Usher::finish(&["check"], directory.path(), "").await;
        assert!(format!("{said}{told}").contains(words), "{words}: {said}{told}");
    }
    write(&clients.revoked(&[], 2020));
    let (_, said, _) = Usher::finish(&["doctor"], directory.path(), "").await;
    assert!(said.contains("app.test has expired: nobody") && said.contains("put the next list"), "{said}");
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    usher.says("app.test has expired: nobody with one of its authority gets in").await;
}

#[tokio::test]
async fn each_cause_of_a_refusal_is_told_once_under_its_own_name_and_counted() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let (clients, others) = (Clients::new("clients"), Clients::new("others"));
    let listen = "listen: { https: '127.0.0.1:0', admin: '127.0.0.1:0' }\nlog: { format: json }\n";
    let yaml = complete(&format!("{listen}{}", configuration(&clients, &upstream, &directory)), &directory);
    let usher = Usher::serve(&yaml, directory.path());
    let (at, admin) = (usher.address("https").await, usher.address("admin").await);
    let numbered = |clients: &Clients, change: fn(&mut CertificateParams)| {
        Some(clients.issue(|params| {
            params.serial_number = Some(vec![0x0a, 0xbc].into());
            change(params);
        }))
    };
    let issue = |change| numbered(&clients, change);
    let causes = [
        ("certificate_required", None, "required: false"),
        ("certificate_expired", issue(|params| params.not_after = date_time_ymd(2020, 1, 1)), "another"),
        ("certificate_not_yet_valid", issue(|params| params.not_before = date_time_ymd(2090, 1, 1)), "clock"),
        ("unknown_ca", numbered(&others, |_| {}), "ca_file"),
        (
            "wrong_key_purpose",
            issue(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "clientAuth",
        ),
        ("too_many_certificates", issue(|_| {}), "four"),
        (
            "bad_certificate",
            issue(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "the error names",
        ),
    ];
    for (reason, shown, _) in &causes {
        let further = if *reason == "too_many_certificates" { 5 } else { 0 };
        let config = showing(None, Protocol::Http1);
        let config = Arc::new(match shown {
            Some(shown) => showing_chain(config, shown, &vec![shown.0.clone(); further]),
            None => config,
        });
        for _ in 0..3 {
            // A client of TLS 1.3 hears of it with its first read.
            if let Ok(mut stream) = shake(at, "app.test", &config).await {
                assert!(stream.read_u8().await.is_err());
            }
        }
    }
    let counted = async |reason: &str| {
        while Metrics::of(admin).await.count("usher_client_certificates_refused_total", &[("reason", reason)]) != 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for (reason, shown, remedy) in &causes {
        usher.says(reason).await;
        tokio::time::timeout(PATIENCE, counted(reason)).await.unwrap_or_else(|_| panic!("{reason} three times"));
        let told = usher.output();
        let of_it = |line: &&str| line.contains("refused for its client certificate") && line.contains(reason);
        let lines: Vec<_> = told.lines().filter(of_it).collect();
        let [line] = lines[..] else { panic!("one line of {reason}: {told}") };
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["level"], &line["reason"], &line["fault"]),
            (&"INFO".into(), &(*reason).into(), &"client".into())
        );
        assert_eq!((&line["site"], line["times"].as_u64()), (&"app.test".into(), Some(1)), "{line}");
        assert!(line["remedy"].as_str().unwrap().contains(remedy), "{line}");
        assert_eq!(line["error"].is_string(), *reason == "bad_certificate", "{line}");
        let whose = [&line["subject"], &line["serial"]].map(|said| said.as_str());
        assert_eq!(whose, [shown.as_ref().map(|_| "CN=alice"), shown.as_ref().map(|_| "0ABC")], "{line}");
    }
}

#[test]
fn certificates_are_asked_for_where_there_is_tls_only() {
    let site = |keys: &str| {
        format!(
            "sites: [{{ host: app.test, upstream: 'http://127.0.0.1:1', access: public, client_certificates: {{ {keys} }}, routes: [{{ path: / }}] }}]"
        )
    };
    let plain = "trusted_proxies: [127.0.0.1]\nlisten: { plain: '127.0.0.1:0' }\n";
    let ca = "ca_file: $DIRECTORY/site.pem";
    for (yaml, words) in [
        (format!("{plain}{}", site(ca)), "and there is none"),
        (site("required: true"), "ca_file is missing"),
        (site("ca_file: $DIRECTORY/site.key"), "is not a PEM file with certificates"),
        (site(ca), "not of an authority"),
    ] {
        let refusal = Gateway::refusal(&yaml).unwrap_or_else(|| panic!("{yaml} is fine"));
        assert!(refusal.contains(words), "{yaml}: {refusal}");
    }
}

#[tokio::test]
async fn a_site_that_asks_for_a_certificate_is_told_apart_wherever_sites_are_told_of() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&Clients::new("clients"), &upstream, &directory);
    std::fs::write(directory.path().join("usher.yaml"), complete(&yaml, &directory)).unwrap();
    let (_, said, _) = Usher::finish(&["check"], directory.path(), "").await;
    for line in ["app.test  client certificate required", "pub.test  client certificate asked for", "other.test"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let explain = ["explain", "GET", "https://app.test/x", "--offline"];
    let (_, said, _) = Usher::finish(&explain, directory.path(), "").await;
    assert!(said.contains("client certificate") && said.contains("not known here"), "{said}");

    let gateway = Gateway::start(&yaml, &Clock::system()).await;
    for host in ["app.test", "other.test"] {
        let asked = get(&format!("https://{host}/x"));
        let mut connection = connect(gateway.https(), "pub.test", None, Protocol::Http1).await.unwrap();
        Answer::read(connection.open(asked).await.ok().unwrap()).await.assert_status(421);
    }
    for number in 1..=2 {
        let refusal = gateway.status(&format!("/refusals/{number}")).await;
        assert_eq!(refusal["explanation"]["decision"], "unknown", "{refusal:#}");
    }
    let page = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("http://{}/", gateway.admin()));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("client certificate required") && page.contains("client certificate asked for"), "{page}");
}
