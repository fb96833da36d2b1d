//! `usher doctor` against real parts: each verdict once, and nothing is left behind.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use usher::clock::Clock;

use crate::harness::body::full;
use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::gateway::{SESSION_SECRET, complete};
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::keys::SigningKey;
use crate::harness::serve::{Hangup, Served, http1, serve};
use crate::harness::{Issuer, Redis, Upstream, UpstreamAnswer, eventually};

/// What was found.
#[derive(Debug)]
struct Found {
    code: Option<i32>,
    report: Value,
}

impl Found {
    /// The one finding of this check.
    #[track_caller]
    fn of(&self, check: &str) -> &Value {
        let mut all =
            self.report["checks"].as_array().into_iter().flatten().filter(|finding| finding["check"] == check);
        let one = all.next().unwrap_or_else(|| panic!("no {check}: {:#}", self.report));
        assert!(all.next().is_none(), "several {check}: {:#}", self.report);
        one
    }

    /// The finding of this check has this verdict, what was found contains one text, and the remedy another.
    #[track_caller]
    fn assert(&self, check: &str, verdict: &str, found: &str, remedy: &str) -> &Self {
        let finding = self.of(check);
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let matches = text("verdict") == verdict && text("found").contains(found) && text("remedy").contains(remedy);
        assert!(matches, "{check} {verdict} {found:?} {remedy:?}: {:#}", self.report);
        let code = i32::from(self.report["verdict"] == "failed");
        assert_eq!(self.code, Some(code), "{:#}", self.report);
        self
    }
}

/// Runs it on this configuration, in a directory that may hold files for it.
async fn doctor_in(directory: &TempDir, yaml: &str) -> Found {
    let yaml = complete(yaml, directory);
    std::fs::write(directory.path().join("usher.yaml"), yaml).unwrap();
    again(directory.path(), &[]).await
}

async fn again(directory: &Path, flags: &[&str]) -> Found {
    let arguments = [&["doctor", "--output", "json"], flags].concat();
    let (code, said, error) = Usher::finish(&arguments, directory, "").await;
    for secret in [SESSION_SECRET, CLIENT_SECRET, "canary"] {
        assert!(!said.contains(secret) && !error.contains(secret), "a secret is told: {said}{error}");
    }
    Found { code, report: serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{error}")) }
}

async fn doctor(yaml: &str) -> Found {
    doctor_in(&tempfile::tempdir().unwrap(), yaml).await
}

/// A site of this upstream.
fn site(keys: &str) -> String {
    format!("sites: [{{ host: app.test, {keys}, routes: [{{ path: / }}] }}]\n")
}

fn public(upstream: &str) -> String {
    site(&format!("access: public, upstream: {upstream}"))
}

const NOBODY: &str = "'http://127.0.0.1:9'";

fn with_issuer(url: &str, keys: &str) -> String {
    format!(
        "issuers: {{ main: {{ issuer: '{url}', client_id: usher, client_secret: '{CLIENT_SECRET}', audiences: [usher], \
         algorithms: [ES256], {keys} }} }}\n{}",
        site(&format!("issuer: main, upstream: {NOBODY}"))
    )
}

#[tokio::test]
async fn where_all_is_well_it_says_so_and_leaves_nothing_behind() {
    let (upstream, issuer) = (Upstream::start().await, Issuer::start(&Clock::system()).await);
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("state")).unwrap();
    let yaml = with_issuer(&issuer.url(), "insecure_http: true").replace("http://127.0.0.1:9", &upstream.url());
    let found = doctor_in(&directory, &format!("state_directory: $DIRECTORY/state\n{yaml}")).await;
    assert_eq!(found.code, Some(0), "{:#}", found.report);
    for check in [
        "configuration",
        "session.secret",
        "cookies",
        "certificate",
        "state_directory",
        "session.store",
        "issuer.connect",
        "issuer.discovery",
        "issuer.name",
        "issuer.keys",
        "issuer.clock",
        "issuer.token_endpoint",
        "upstream.connect",
    ] {
        found.assert(check, "ok", "", "");
    }
    found.assert("site.dns", "note", "does not resolve here", "");
    assert_eq!(std::fs::read_dir(directory.path().join("state")).unwrap().count(), 0);
    assert_eq!((upstream.count(), issuer.asked().revocations.len()), (0, 0), "the application is asked for nothing");

    let (code, said, _) = Usher::finish(&["doctor"], directory.path(), "").await;
    assert_eq!(code, Some(0));
    assert!(said.starts_with("check ") && said.contains("All is well"), "{said}");
    assert!(!said.contains(SESSION_SECRET) && !said.contains(CLIENT_SECRET) && !said.contains('\u{1b}'), "{said}");
}

#[tokio::test]
async fn the_directory_of_an_authority_is_asked_for() {
    let server = authority().server(&["localhost"], &[b"http/1.1"]);
    let speaks = |body: &'static str| {
        let acceptor = TlsAcceptor::from(Arc::clone(&server));
        serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                http1(stream, move |_: Request<Incoming>| async move { Ok(Response::new(full(body))) }).await;
            }
        })
    };
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority().root_pem()).unwrap();
    let yaml = |port: u16, ca: &str| {
        format!(
            "state_directory: state\n\
             tls:\n  acme: {{ agree_to_terms: true, directory: 'https://localhost:{port}/dir'{ca} }}\n{}",
            public(NOBODY)
        )
    };
    let ca = ", ca_file: ca.pem";
    let (good, other) = (speaks(r#"{"newOrder":"https://localhost/order"}"#).await, speaks("{}").await);
    let (port, other) = (good.address.port(), other.address.port());
    let check = "acme.directory";
    doctor_in(&directory, &yaml(port, ca)).await.assert(check, "ok", "answers", "");
    doctor_in(&directory, &yaml(other, ca)).await.assert(check, "failed", "no directory", "");
    doctor_in(&directory, &yaml(port, "")).await.assert(check, "failed", "", "tls.acme.ca_file");
    doctor_in(&directory, &yaml(9, ca)).await.assert(check, "failed", "", "start what should listen there");
}

#[tokio::test]
async fn what_an_authority_has_issued_is_looked_at_like_any_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("state/acme");
    std::fs::create_dir_all(&kept).unwrap();
    authority().write_until(&["app.test"], directory.path(), "issued", 3);
    let parts = ["issued.key", "issued.pem"].map(|part| std::fs::read_to_string(directory.path().join(part)).unwrap());
    std::fs::write(kept.join("app.test.pem"), parts.concat()).unwrap();
    let acme = "acme: { agree_to_terms: true, directory: 'https://127.0.0.1:9/dir' }";
    let found = doctor_in(&directory, &format!("state_directory: state\ntls: {{ {acme} }}\n{}", public(NOBODY))).await;
    found.assert("certificate", "warning", "ends in 3 day(s)", "why it is not renewed");
}

/// An issuer that says this in its discovery document, key set and `Date`; `$SELF` is where it is dialled.
async fn strange_issuer(document: Value, keys: Value, ahead: i64) -> Served {
    serve(move |stream| {
        let at = format!("http://{}", stream.local_addr().unwrap());
        let (document, keys) = (document.to_string().replace("$SELF", &at), keys.to_string());
        http1(stream, move |request: Request<Incoming>| {
            let body = if request.uri().path() == "/keys" { keys.clone() } else { document.clone() };
            async move {
                let now = Clock::system().now().0.checked_add_signed(ahead).unwrap();
                let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(now));
                let answer = Response::builder().header("content-type", "application/json").header("date", date);
                Ok::<_, Hangup>(answer.body(full(body)).unwrap())
            }
        })
    })
    .await
}

fn document() -> Value {
    json!({ "issuer": "$SELF", "jwks_uri": "$SELF/keys", "token_endpoint": "$SELF/token",
            "authorization_endpoint": "$SELF/authorize" })
}

#[tokio::test]
async fn what_is_wrong_with_an_issuer_is_told_apart() {
    let (good, none) = (json!({ "keys": [SigningKey::p256().jwk("one")] }), json!({ "keys": [] }));
    let without = |key: &str| {
        let mut document = document();
        document.as_object_mut().unwrap().remove(key);
        document
    };
    let mut other = document();
    other["issuer"] = json!("https://id.test/realms/other");
    let cases = [
        (
            other,
            good.clone(),
            0,
            "issuer.name",
            "failed",
            "realms/other",
            "write issuer: https://id.test/realms/other if",
        ),
        (document(), none, 0, "issuer.keys", "failed", "none of the published keys", "algorithms"),
        (document(), json!([]), 0, "issuer.keys", "failed", "cannot be read", "address of the keys"),
        (without("jwks_uri"), good.clone(), 0, "issuer.discovery", "failed", "jwks_uri", "https addresses"),
        (
            without("authorization_endpoint"),
            good.clone(),
            0,
            "issuer.discovery",
            "failed",
            "authorization_endpoint",
            "turn",
        ),
        (
            json!([]),
            good.clone(),
            0,
            "issuer.discovery",
            "failed",
            "cannot be read",
            ".well-known/openid-configuration",
        ),
        (document(), good.clone(), 3, "issuer.clock", "ok", "ahead", ""),
        (document(), good.clone(), 30, "issuer.clock", "warning", "ahead", "NTP"),
        (document(), good, -7200, "issuer.clock", "failed", "behind", "NTP"),
    ];
    let checks = cases.map(|(document, keys, ahead, check, verdict, said, remedy)| async move {
        let served = strange_issuer(document, keys, ahead).await;
        let yaml = with_issuer(&format!("http://{}", served.address), "insecure_http: true")
            .replace("http://127.0.0.1:9", &format!("http://{}", served.address));
        doctor(&yaml).await.assert(check, verdict, said, remedy);
    });
    futures_util::future::join_all(checks).await;
}

/// Discovery is for people, who sign in (see the README on opaque tokens).
#[tokio::test]
async fn where_tokens_are_introspected_the_endpoint_is_asked_and_programs_need_no_discovery() {
    let (server, none) = (Upstream::start().await, closed());
    server.answer("/.well-known/openid-configuration", UpstreamAnswer::fixed(404, &[], ""));
    let here = server.url().replace("http://", "");
    let keys =
        |at: &str| format!("identity: introspection, insecure_http: true, introspection_endpoint: 'http://{at}/ask'");
    let discovered = |at: &str| with_issuer(&server.url(), &keys(at));
    let fixed = |at: &str| {
        discovered(at).replace(
            "algorithms: [ES256]",
            "algorithms: [HS256], hmac_secret: 'canary-0123456789-0123456789-0123456789'",
        )
    };
    let check = "issuer.introspection_endpoint";
    for yaml in [&discovered as &dyn Fn(&str) -> String, &fixed] {
        let yaml = |at: &str| yaml(at).replace("issuer: main,", "issuer: main, unauthenticated: status,");
        let found = doctor(&yaml(&here)).await;
        found.assert(check, "ok", "/ask answers", "").assert("issuer.connect", "ok", &here, "");
        assert!(!found.report.to_string().contains("issuer.discovery"), "{:#}", found.report);
        doctor(&yaml(&none)).await.assert("issuer.connect", "failed", "refused", "start what should listen there");
    }
    let found = doctor(&discovered(&none)).await;
    found.assert("issuer.discovery", "failed", "404", "").assert(
        check,
        "failed",
        "refused",
        "start what should listen",
    );
}

/// A server of TLS that does no more than to shake hands.
async fn shakes_hands(config: Arc<ServerConfig>) -> Served {
    serve(move |stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                http1(stream, |_: Request<Incoming>| async { Err(Hangup) }).await;
            }
        }
    })
    .await
}

/// One whose certificate for 127.0.0.1 is its own authority, and its time is over.
fn expired() -> (Arc<ServerConfig>, String) {
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (Arc::new(config), certificate.pem())
}

/// A port that nothing listens on.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn an_address_that_several_sites_use_is_told_of_once_with_all_of_them() {
    let upstream = Upstream::start().await;
    let site = |host: &str, more: &str| {
        format!(
            "  - {{ host: {host}, access: public, upstream: {{ url: '{}'{more} }}, routes: [{{ path: / }}] }}\n",
            upstream.url()
        )
    };
    let health = ", health: { path: /healthz }";
    let sites = [site("b.test", ""), site("a.test", health), site("c.test", "")].concat();
    let found = doctor(&format!("sites:\n{sites}")).await;
    found.assert("upstream.connect", "ok", "; for a.test, b.test, c.test", "");
}

/// What is wrong with a connection to an upstream or an issuer, and what is said of it.
struct Wrong<'a> {
    url: &'a str,
    keys: &'a str,
    check: &'a str,
    found: &'a str,
    remedy: &'a str,
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_told_with_its_cause_and_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let (config, own) = expired();
    std::fs::write(directory.path().join("ca.pem"), authority().root_pem()).unwrap();
    std::fs::write(directory.path().join("expired.pem"), own).unwrap();
    let at = directory.path().to_str().unwrap();
    let (ca, own) = (&format!("ca_file: '{at}/ca.pem'"), &format!("ca_file: '{at}/expired.pem'"));
    let (good, over) = (shakes_hands(authority().server(&["127.0.0.1"], &[])).await, shakes_hands(config).await);
    let elsewhere = shakes_hands(authority().server(&["other.test"], &[])).await;
    let plain = Upstream::start().await;
    let https = |served: &Served| format!("https://{}", served.address);
    let (good, over, elsewhere) = (https(&good), https(&over), https(&elsewhere));
    let (plain, closed) = (plain.url().replace("http", "https"), format!("http://{}", closed()));
    let wrong = |url, keys, check, found, remedy| Wrong { url, keys, check, found, remedy };
    let cases = [
        wrong("http://nowhere.invalid:8080", "", "dns", "resolve", "name server"),
        wrong(&closed, "", "connect", "refused", "start what should listen there"),
        wrong(&good, "", "tls", "UnknownIssuer", "with ca_file"),
        wrong(&over, own, "tls", "expired", "renew the certificate there"),
        wrong(&elsewhere, ca, "tls", "not valid for name", "a name that its certificate has"),
        wrong(&plain, ca, "tls", "", "write http:// if it is not"),
    ];
    let checks = cases.iter().map(|Wrong { url, keys, check, found, remedy }| async move {
        let yaml = public(&format!("{{ url: '{url}', {keys} }}"));
        doctor(&yaml).await.assert(&format!("upstream.{check}"), "failed", found, remedy);
        let insecure = url.starts_with("http://");
        let keys = format!("insecure_http: {insecure}, {keys}");
        doctor(&with_issuer(url, &keys)).await.assert(&format!("issuer.{check}"), "failed", found, remedy);
    });
    futures_util::future::join_all(checks).await;
    let found = doctor(&public(&format!("{{ url: '{good}', {ca} }}"))).await;
    found.assert("upstream.tls", "ok", "its certificate is good; HTTP/1.1", "");
    let found = doctor(&public("'unix:/no/such/socket'")).await;
    found.assert("upstream.connect", "failed", "No such file", "correct the path");
}

#[tokio::test]
async fn a_collector_is_told_apart_that_takes_spans_refuses_them_or_is_not_there() {
    let (upstream, closed) = (Upstream::start().await, format!("http://{}", closed()));
    let collectors = [200, 401, 404].map(|status| async move {
        let collector = Upstream::start().await;
        collector.answer("/v1/traces", UpstreamAnswer::fixed(status, &[], "{}"));
        collector
    });
    let [good, stranger, other] = futures_util::future::join_all(collectors).await.try_into().unwrap();
    let told = |url: String| {
        let site = public(&upstream.url());
        async move { doctor(&format!("tracing: {{ otlp: {{ endpoint: '{url}' }} }}\n{site}")).await }
    };
    told(good.url()).await.assert("tracing.otlp", "ok", "takes spans", "");
    told(stranger.url()).await.assert("tracing.otlp", "warning", "401", "headers_file");
    told(other.url()).await.assert("tracing.otlp", "warning", "404", "OTLP over HTTP");
    told(closed).await.assert("tracing.otlp", "warning", "refused", "start what should listen there");
}

#[tokio::test]
async fn what_hangs_is_given_up_and_keeps_nothing_else_waiting() {
    let silent = serve(|stream| async move {
        let _kept = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let url = format!("http://{}", silent.address);
    let started = std::time::Instant::now();
    let yaml = with_issuer(&url, "insecure_http: true, timeout: 1s").replace("http://127.0.0.1:9", &url);
    let found = doctor(&yaml).await;
    found.assert("issuer.discovery", "failed", "broke off", "the issuer's log").assert(
        "upstream.connect",
        "ok",
        "",
        "",
    );
    let hanging = with_issuer(&url, "insecure_http: true, timeout: 1m").replace("http://127.0.0.1:9", &url);
    doctor(&hanging).await.assert("issuer", "failed", "came to no end", "hangs");
    assert!(started.elapsed() < Duration::from_secs(19), "{:?}", started.elapsed());
}

fn stored(url: &str, keys: &str) -> String {
    let (issuer, store) = ("https://id.test", format!("store: {{ redis: {{ url: '{url}', timeout: 1s, {keys} }} }}"));
    let issuers = format!(
        "issuers: {{ main: {{ issuer: '{issuer}', audiences: [usher], jwks_url: 'http://127.0.0.1:9', insecure_http: true }} }}"
    );
    format!(
        "session: {{ secret: '$SECRET', {store} }}\n{issuers}\n{}",
        site(&format!("issuer: main, upstream: {NOBODY}"))
    )
}

#[tokio::test]
async fn a_store_is_told_apart_that_is_good_down_full_of_others_or_forgetful() {
    const LEFT_OUT: &str = "usher doctor with Redis";
    let Some(mut redis) = Redis::start(LEFT_OUT).await else { return };
    let url = redis.url();
    let store = async |url: &str| doctor(&stored(url, "")).await;
    let found = store(&url).await;
    found.assert("session.store", "ok", "takes writes; a master", "").assert("session.store.eviction", "ok", "", "");
    let started = std::time::Instant::now();
    while redis.command(&["DBSIZE"]).await != "0" {
        assert!(started.elapsed() < Duration::from_secs(5), "what was written is gone within a second");
    }

    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    store(&url).await.assert("session.store.eviction", "note", "no maxmemory", "");
    redis.command(&["CONFIG", "SET", "maxmemory", "64mb"]).await;
    store(&url).await.assert("session.store.eviction", "warning", "allkeys-lru", "noeviction");
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    store(&url).await.assert("session.store", "failed", "OOM", "raise maxmemory");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;

    let rights = "~usher:* &usher:* +get +set +eval +time +publish +subscribe +xadd +xrange +pexpire +pttl";
    let user =
        [&["ACL", "SETUSER", "usher", "on", ">canary-password"], &*rights.split(' ').collect::<Vec<_>>()].concat();
    redis.command(&user).await;
    let as_user = url.replace("//", "//usher@");
    let directory = tempfile::tempdir().unwrap();
    for password in ["canary-password", "canary-wrong"] {
        std::fs::write(directory.path().join(password), password).unwrap();
    }
    let with = |password: &str| stored(&as_user, &format!("password_file: '$DIRECTORY/{password}'"));
    let found = doctor_in(&directory, &with("canary-password")).await;
    found.assert("session.store", "ok", "takes writes", "").assert("session.store.eviction", "note", "may not ask", "");
    let in_store = with("canary-password").replace("session: {", "session: { tokens: store,");
    doctor_in(&directory, &in_store).await.assert("session.store", "failed", "refuses other commands", "tokens: store");
    for right in "+del +zadd +zrem +zscan +zremrangebyscore +expire".split(' ') {
        redis.command(&["ACL", "SETUSER", "usher", right]).await;
    }
    doctor_in(&directory, &in_store).await.assert("session.store", "ok", "takes writes", "");
    redis.command(&["ACL", "SETUSER", "usher", "-pttl"]).await;
    let found = doctor_in(&directory, &with("canary-password")).await;
    found.assert("session.store", "failed", "'pttl'", "rights that the README lists");
    let found = doctor_in(&directory, &with("canary-wrong")).await;
    found.assert("session.store", "failed", "", "correct the user");

    let master = ["--replicaof", "127.0.0.1", &redis.port().to_string()].map(str::to_owned);
    let Some(replica) = Redis::start_with(&master.each_ref().map(String::as_str), LEFT_OUT).await else { return };
    let connected =
        async { while !replica.command(&["INFO", "replication"]).await.contains("master_link_status:up") {} };
    tokio::time::timeout(Duration::from_secs(20), connected).await.expect("it replicates");
    store(&replica.url()).await.assert("session.store", "failed", "read only replica", "name the master");
    replica.command(&["CONFIG", "SET", "replica-read-only", "no"]).await;
    store(&replica.url()).await.assert("session.store", "failed", "is a replica", "name the master");

    redis.kill().await;
    store(&url).await.assert("session.store", "failed", "refused", "start what should listen there");
}

#[tokio::test]
async fn what_is_on_this_machine_is_looked_at_and_the_exit_code_is_by_severity() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_str().unwrap().to_owned();
    authority().write_until(&["app.test"], directory.path(), "ending", 5);
    authority().write(&["elsewhere.test"], directory.path(), "other");
    std::fs::write(
        directory.path().join("broken.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    std::fs::copy(directory.path().join("other.key"), directory.path().join("broken.key")).unwrap();
    let upstream = Upstream::start().await;
    let with = |name: &str, more: &str| {
        let pair = format!("{{ certificate: {at}/{name}.pem, key: {at}/{name}.key }}");
        format!("tls: {{ certificates: [{pair}] }}\n{more}{}", public(&format!("'{}'", upstream.url())))
    };
    let found = doctor_in(&directory, &with("ending", "")).await;
    found.assert("certificate", "warning", "ends in 5 day(s)", "renew it");
    assert_eq!((found.code, again(directory.path(), &["--strict"]).await.code), (Some(0), Some(1)));
    let found = doctor_in(&directory, &with("other", "")).await;
    let names = |finding: &Value| finding["check"] == "certificate.names" && finding["verdict"] == "warning";
    assert_eq!(found.report["checks"].as_array().unwrap().iter().filter(|finding| names(finding)).count(), 2);
    doctor_in(&directory, &with("broken", "")).await.assert("certificate", "failed", "broken.pem", "put a certificate");
    let found = doctor_in(&directory, &with("site", "state_directory: /proc/usher\n")).await;
    found.assert("state_directory", "failed", "cannot be written to", "give it to the user");
    let found = doctor_in(&directory, &with("site", "session: { secret: k3y-of-8b }\n")).await;
    found.assert("session.secret", "warning", "short enough to be guessed", "openssl rand");
    std::fs::create_dir(directory.path().join("pages")).unwrap();
    std::fs::write(directory.path().join("pages/refusal.html"), "{{ never closed").unwrap();
    doctor_in(&directory, &with("site", &format!("pages: {at}/pages\n")))
        .await
        .assert("pages", "failed", "refusal", "template");

    let mistake = doctor_in(&directory, &with("site", "").replace("routes", "rutes")).await;
    assert_eq!((mistake.code, &mistake.report["problems"][0]["path"]), (Some(78), &json!("sites[0].rutes")));
}

#[tokio::test]
async fn what_is_kept_and_could_not_be_gone_on_with_is_told_of_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let yaml =
        format!("state_directory: $DIRECTORY/state\n{}", with_issuer("http://127.0.0.1:9", "insecure_http: true"));
    let (key, database) = ("state/assertion-key.pem", "state/denials/state.redb");
    std::fs::create_dir_all(directory.path().join("state/denials")).unwrap();
    for (file, found) in [(key, "holds no P-256 private key"), (database, "state.redb is damaged")] {
        let path = directory.path().join(file);
        std::fs::write(&path, "canary").unwrap();
        doctor_in(&directory, &yaml).await.assert("state_directory", "failed", found, "would not start");
        assert_eq!(std::fs::read(&path).unwrap(), b"canary", "{file}");
        std::fs::remove_file(path).unwrap();
    }
    let empty = doctor_in(&directory, &yaml).await;
    assert_eq!(empty.of("state_directory")["verdict"], "ok", "{:#}", empty.report);
    assert_eq!(std::fs::read_dir(directory.path().join("state/denials")).unwrap().count(), 0);
}

#[tokio::test]
async fn it_runs_beside_a_gateway_of_the_same_configuration() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0c2FsdA$kGQ5XwZbhAYdJLhmLpvCNV9nxMFcm0WZx2dX1v7o0ZQ";
    std::fs::write(directory.path().join("users.yaml"), format!("users:\n  alice: {{ password: '{hash}' }}\n"))
        .unwrap();
    let local = "issuers: { staff: { local: { users_file: users.yaml } } }\n";
    let site = site(&format!("issuer: staff, upstream: '{}'", upstream.url()));
    // A port of its own, which a second process could not have.
    let port = closed();
    let listen = format!("listen: {{ https: '{port}' }}\nstate_directory: state\n");
    let yaml = complete(&format!("{listen}{local}{site}"), &directory);
    let usher = Usher::serve(&yaml, directory.path());
    usher.address("https").await;
    let before = std::fs::read_dir(directory.path().join("state")).unwrap().count();
    let found = again(directory.path(), &[]).await;
    found.assert("issuer.keys", "ok", "Usher itself", "").assert("state_directory", "ok", "", "");
    assert_eq!(std::fs::read_dir(directory.path().join("state")).unwrap().count(), before);
    assert!(usher.output().lines().all(|line| !line.contains("ERROR")), "{}", usher.output());
    eventually("it still serves", || std::net::TcpStream::connect(&port).is_ok()).await;
}
