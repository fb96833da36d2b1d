//! Another configuration, and other certificates, while the gateway serves (F22 to F25): whole or not at all, for the next
//! request on whatever connection, and nobody is signed out by it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;
use tempfile::TempDir;
use usher::clock::Clock;

use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::client::tls;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SESSION, SITES, assert_renewed};
use crate::harness::{Client, Gateway, Protocol, Scene, Upstream, UpstreamAnswer, eventually, get, post};

/// What `shown` may take at most after a change of a file.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

const NAMES: [&str; 3] = ["app.test", "admin.test", "pub.test"];

/// The usual configuration for a process of its own, with a certificate for each site.
fn configuration(upstream: &Upstream, directory: &TempDir) -> String {
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", "a secret of the client");
    let mut tls = String::from("tls:\n  certificates:\n");
    for name in NAMES {
        authority().write(&[name], directory.path(), name);
        tls.extend(["    - { certificate: '", name, ".pem', key: '", name, ".key' }\n"]);
    }
    let extra = "log: { format: json }\nshutdown: { delay: 100ms, deadline: 5s }\n";
    complete(&format!("{extra}{tls}{issuers}{SESSION}{SITES}").replace("$UPSTREAM", &upstream.url()), directory)
}

async fn shown(address: SocketAddr, name: &str) -> CertificateDer<'static> {
    let stream = tls(address, name, &[b"http/1.1"]).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn readiness(usher: &Usher) -> u16 {
    let url = format!("http://{}/readyz", usher.address("admin").await);
    reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap().status().as_u16()
}

/// Waits until every site shows another certificate than before.
async fn all_shown_anew(address: SocketAddr, before: &[CertificateDer<'static>]) {
    let started = Instant::now();
    for (name, before) in NAMES.iter().zip(before) {
        while shown(address, name).await == *before {
            assert!(started.elapsed() < SHOWN_WITHIN, "the old certificate of {name} is still shown");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn all_shown(address: SocketAddr) -> Vec<CertificateDer<'static>> {
    let mut all = Vec::new();
    for name in NAMES {
        all.push(shown(address, name).await);
    }
    all
}

fn link(target: &str, at: &Path) {
    let beside = at.parent().unwrap().join("turning");
    std::os::unix::fs::symlink(target, &beside).unwrap();
    fs::rename(beside, at).unwrap();
}

#[tokio::test]
async fn certificates_that_are_replaced_in_any_way_are_shown_within_five_seconds_and_connections_live_on() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&upstream, &directory);
    // The third site is mounted as Kubernetes does: links to a link to a directory.
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("v1")).unwrap();
    fs::create_dir(at("v2")).unwrap();
    link("v1", &at("..data"));
    for ending in ["pem", "key"] {
        let file = format!("pub.test.{ending}");
        fs::rename(at(&file), at("v1").join(&file)).unwrap();
        link(&format!("..data/{file}"), &at(&file));
    }
    let usher = Usher::serve(&yaml, directory.path());
    let address = usher.address("https").await;
    let before = all_shown(address).await;
    let mut open = Client { address, protocol: Protocol::Http2 }.connect("app.test").await;
    open.send(get("https://app.test/public/x")).await.assert_status(200);

    authority().write(&["app.test"], directory.path(), "app.test");
    authority().write(&["admin.test"], directory.path(), "new");
    for ending in ["pem", "key"] {
        fs::rename(at(&format!("new.{ending}")), at(&format!("admin.test.{ending}"))).unwrap();
    }
    authority().write(&["pub.test"], &at("v2"), "pub.test");
    link("v2", &at("..data"));
    all_shown_anew(address, &before).await;
    open.send(get("https://app.test/public/x")).await.assert_status(200);
}

/// A certificate whose time is over, with its key.
fn write_expired(directory: &Path, name: &str) {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(directory.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

type Spoil = fn(&Path, &str);

/// Every way in which a pair of files can be of no use.
const SPOILED: [(&str, Spoil); 5] = [
    ("half written", |directory, name| {
        let path = directory.join(format!("{name}.pem"));
        let whole = fs::read(&path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    }),
    ("not the key's", |directory, name| {
        authority().write(&[name], directory, "other");
        fs::rename(directory.join("other.key"), directory.join(format!("{name}.key"))).unwrap();
    }),
    ("missing", |directory, name| fs::remove_file(directory.join(format!("{name}.pem"))).unwrap()),
    ("corrupt", |directory, name| fs::write(directory.join(format!("{name}.key")), "rubbish").unwrap()),
    ("expired", write_expired),
];

#[tokio::test]
async fn a_certificate_that_is_of_no_use_leaves_the_one_in_use_and_is_told_once() {
    let upstream = Upstream::start().await;
    let checks = SPOILED.map(|(how, spoil)| {
        let upstream = &upstream;
        async move {
            let directory = tempfile::tempdir().unwrap();
            let usher = Usher::serve(&configuration(upstream, &directory), directory.path());
            let address = usher.address("https").await;
            let before = all_shown(address).await;
            spoil(directory.path(), "app.test");
            usher.says("a certificate cannot be renewed").await;
            // Another site's is renewed all the same.
            authority().write(&["pub.test"], directory.path(), "pub.test");
            let started = Instant::now();
            while shown(address, "pub.test").await == before[2] {
                assert!(started.elapsed() < SHOWN_WITHIN, "{how}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(shown(address, "app.test").await, before[0], "{how}");
            assert_eq!(readiness(&usher).await, 200, "{how}");
            let told = usher.output();
            let lines: Vec<_> = told.lines().filter(|line| line.contains("cannot be renewed")).collect();
            assert!(lines.len() <= 2, "once per change, {how}: {lines:?}");
            assert!(lines[0].contains("app.test."), "it names the file: {lines:?}");
        }
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn a_certificate_that_is_of_no_use_is_refused_at_start() {
    let upstream = Upstream::start().await;
    for (how, spoil) in SPOILED {
        let directory = tempfile::tempdir().unwrap();
        let yaml = configuration(&upstream, &directory);
        spoil(directory.path(), "admin.test");
        let mut usher = Usher::serve(&yaml, directory.path());
        assert_eq!(usher.exit().await.code(), Some(78), "{how}: {}", usher.output());
        eventually("it names the file", || usher.output().contains("admin.test.")).await;
    }
}

#[tokio::test]
async fn a_change_of_the_file_is_read_by_itself_and_a_mistake_is_told_with_its_place_and_changes_nothing() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&upstream, &directory);
    let mut usher = Usher::serve(&yaml, directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let file = directory.path().join("usher.yaml");
    let mut connection = client.connect("app.test").await;
    let mut status = async |path: &str| connection.send(get(&format!("https://app.test{path}"))).await.status.as_u16();
    assert_eq!(status("/public/x").await, 200);

    fs::write(&file, yaml.replace("/public/", "/open/")).unwrap();
    usher.says("configuration reloaded").await;
    assert_eq!((status("/public/x").await, status("/open/x").await), (401, 200));

    let mistakes = [
        (yaml.replace("sites:", "sites: ["), "usher.yaml:"),
        (yaml.replace("access: public", "access: everybody"), "sites[0].routes[1].access must be required or optional"),
        (
            yaml.replacen("127.0.0.1:0", "127.0.0.1:1", 1),
            "listen.https can only be changed by a restart: restart Usher",
        ),
    ];
    for (mistake, told) in mistakes {
        fs::write(&file, mistake).unwrap();
        usher.signal("HUP").await;
        eventually(told, || {
            let output = usher.output();
            output.lines().any(|line| line.contains("the configuration is not reloaded") && line.contains(told))
        })
        .await;
        assert_eq!((status("/public/x").await, status("/open/x").await), (401, 200), "{told}");
        assert_eq!(readiness(&usher).await, 200);
    }
    usher.signal("TERM").await;
    usher.signal("HUP").await;
    assert_eq!(usher.exit().await.code(), Some(0), "{}", usher.output());
}

#[tokio::test]
async fn a_storm_of_sighup_is_one_reload_now_and_then_and_disturbs_nothing() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let usher = Usher::serve(&configuration(&upstream, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let mut connection = client.connect("app.test").await;
    for _ in 0..100 {
        usher.signal("HUP").await;
        connection.send(get("https://app.test/public/x")).await.assert_status(200);
    }
    usher.says("configuration reloaded").await;
    let reloads = usher.output().matches("configuration reloaded").count();
    assert!(reloads < 50, "{reloads} reloads");
}

#[tokio::test]
async fn new_rules_hold_on_open_connections_while_requests_at_hand_end_under_the_old_ones() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/slow", UpstreamAnswer::After(Duration::from_millis(400)));
    let usual = format!("{ISSUERS}{SESSION}{SITES}");
    for client in [scene.client(), scene.http2()] {
        let mut open = client.connect("app.test").await;
        open.send(get("https://app.test/public/x")).await.assert_status(200);
        let at_hand = tokio::spawn(async move { client.send(get("https://app.test/public/slow")).await });
        let count = scene.upstream.count();
        eventually("it is at the application", || scene.upstream.count() > count).await;

        scene.reload(&usual.replace("/public/", "/open/")).await.unwrap();
        open.send(get("https://app.test/public/x")).await.assert_status(401);
        open.send(get("https://app.test/open/x")).await.assert_status(200);
        assert!(at_hand.await.unwrap().assert_status(200).complete);
        scene.reload(&usual).await.unwrap();
        open.send(get("https://app.test/public/x")).await.assert_status(200);
    }
}

#[tokio::test]
async fn what_counts_at_start_only_refuses_a_reload_and_names_the_key() {
    let scene = Scene::usual().await;
    let usual = format!("{ISSUERS}{SESSION}{SITES}");
    for (more, key) in [("log: { level: debug }\n", "log.level"), ("state_directory: elsewhere\n", "state_directory")] {
        let refused = scene.reload(&format!("{more}{usual}").replace("/public/", "/open/")).await.unwrap_err();
        assert!(refused.contains(key) && refused.contains("restart"), "{refused}");
    }
    scene.send(get("https://app.test/public/x")).await.assert_status(200);
}

#[tokio::test]
async fn connections_under_other_measures_are_closed_after_their_request() {
    let scene = Scene::usual().await;
    let mut open = scene.client().connect("app.test").await;
    open.send(get("https://app.test/public/x")).await.assert_status(200);
    scene.reload(&format!("trusted_proxies: [192.0.2.0/24]\n{ISSUERS}{SESSION}{SITES}")).await.unwrap();
    let closed = async { while open.open(get("https://app.test/public/x")).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the connection is closed");
    scene.assert_well().await;
}

#[tokio::test]
async fn keys_that_were_fetched_survive_a_reload_while_the_issuer_is_down() {
    let scene = Scene::usual().await;
    scene.assert_well().await;
    let token = scene.issuer.access_token("bob");
    scene.issuer.set_down(true);
    let changed = format!("{ISSUERS}{SESSION}{SITES}").replace("audiences: [usher]", "audiences: [usher, more]");
    scene.reload(&changed).await.unwrap();
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
}

#[tokio::test]
async fn a_sign_out_holds_after_a_reload() {
    let scene = Scene::usual().await;
    let jar = scene.session("alice");
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(200);
    let out = post("https://app.test/.usher/sign-out").cookies(&jar);
    let out = scene.send(out.header("origin", "https://app.test")).await;
    assert!(out.status.is_success() || out.status.is_redirection(), "{out:?}");
    let changed = format!("{ISSUERS}{SESSION}{SITES}").replace("audiences: [usher]", "audiences: [usher, more]");
    scene.reload(&changed).await.unwrap();
    scene.send(get("https://app.test/x").cookies(&jar)).await.assert_status(401);
}

#[tokio::test]
async fn nobody_is_signed_out_by_a_reload_and_no_renewal_under_way_is_lost() {
    const USERS: usize = 60;
    let scene = Arc::new(Scene::usual().await);
    scene.issuer.delay(Duration::from_millis(80));
    let usual = format!("{ISSUERS}{SESSION}{SITES}");
    // Issuers change place and so number, which flushes what can be flushed.
    let other = usual.replace("audiences: [usher]", "audiences: [usher, more]");
    let jars: Vec<_> = (0..USERS).map(|n| scene.expired_session(&format!("user-{n}"))).collect();
    let requests: Vec<_> = (0..2 * USERS)
        .map(|n| (n, jars[n / 2].clone()))
        .map(|(n, jar)| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(5 * n as u64)).await;
                scene.send(get("https://app.test/x").cookies(&jar)).await
            })
        })
        .collect();
    let reloading = async {
        for n in 0..20 {
            scene.reload(if n % 2 == 0 { &other } else { &usual }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), reloading);
    for answer in answers {
        let answer = answer.unwrap();
        answer.assert_status(200);
        assert_renewed(&answer);
    }
    assert_eq!((scene.issuer.token_requests(), scene.issuer.reuses()), (USERS, 0));
}

#[tokio::test]
async fn a_reload_that_a_certificate_has_refused_comes_by_itself_with_a_better_one_and_the_one_in_use_is_renewed_meanwhile()
 {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let yaml = configuration(&upstream, &directory);
    let usher = Usher::serve(&yaml, directory.path());
    let address = usher.address("https").await;
    let first = shown(address, "app.test").await;
    authority().write(&["app.test"], directory.path(), "next");
    let (_, with_the_key_of_another) = SPOILED[1];
    with_the_key_of_another(directory.path(), "next");
    fs::write(directory.path().join("usher.yaml"), yaml.replace("'app.test.", "'next.")).unwrap();
    usher.says("the configuration is not reloaded").await;

    let changes = async |from: &CertificateDer<'static>| {
        let started = Instant::now();
        loop {
            let now = shown(address, "app.test").await;
            if now != *from {
                return now;
            }
            assert!(started.elapsed() < SHOWN_WITHIN, "it is still shown: {}", usher.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    authority().write(&["app.test"], directory.path(), "app.test");
    let second = changes(&first).await;
    authority().write(&["app.test"], directory.path(), "next");
    changes(&second).await;
    usher.says("configuration reloaded").await;
}

#[tokio::test]
async fn what_an_authority_has_issued_and_cannot_be_read_any_more_stays_in_use_when_something_else_is_reloaded() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let kept = directory.path().join("acme/app.test.pem");
    fs::create_dir(directory.path().join("acme")).unwrap();
    authority().write(&["app.test"], directory.path(), "issued");
    let [key, chain] =
        ["issued.key", "issued.pem"].map(|name| fs::read_to_string(directory.path().join(name)).unwrap());
    fs::write(&kept, format!("Issued to Usher by https://localhost:9/dir\n{key}{chain}")).unwrap();
    let configuration = |path: &str| {
        format!(
            "state_directory: '{}'\n\
             tls: {{ acme: {{ agree_to_terms: true, directory: 'https://localhost:9/dir' }} }}\n\
             sites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: {path} }}] }}]\n",
            directory.path().display(),
            upstream.url()
        )
    };
    let gateway = Gateway::start(&configuration("/"), &Clock::system()).await;
    let before = shown(gateway.https(), "app.test").await;
    for spoil in [|path: &Path| fs::write(path, "rubbish").unwrap(), |path: &Path| fs::remove_file(path).unwrap()] {
        spoil(&kept);
        gateway.reload(&configuration("/x")).await.unwrap();
        gateway.renew_certificates().await;
        assert_eq!(shown(gateway.https(), "app.test").await, before);
    }
}

#[tokio::test]
async fn certificates_of_before_that_take_long_to_read_do_not_take_the_place_of_those_of_a_reload() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let configuration = |name: &str| {
        authority().write(&["app.test"], directory.path(), name);
        let stem = directory.path().join(name).display().to_string();
        format!(
            "tls: {{ certificates: [{{ certificate: '{stem}.pem', key: '{stem}.key' }}] }}\n\
             sites: [{{ host: app.test, upstream: '{}', access: public, routes: [{{ path: / }}] }}]\n",
            upstream.url()
        )
    };
    let gateway = Gateway::start(&configuration("before"), &Clock::system()).await;
    let before = shown(gateway.https(), "app.test").await;
    // Reading it takes as long as somebody else wants.
    let pipe = directory.path().join("before.pem");
    fs::remove_file(&pipe).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let renewing = tokio::spawn(gateway.renew_certificates());
    let writer = tokio::task::spawn_blocking(move || fs::File::options().write(true).open(pipe));
    let writer = writer.await.unwrap().unwrap();
    let after = configuration("after");
    let mut reload = std::pin::pin!(gateway.reload(&after));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut reload).await;
    drop(writer);
    assert_eq!(renewing.await.unwrap(), 1, "the pipe holds no certificate");
    match early {
        Ok(reloaded) => reloaded.unwrap(),
        Err(_) => reload.await.unwrap(),
    }
    assert_ne!(shown(gateway.https(), "app.test").await, before);
}
