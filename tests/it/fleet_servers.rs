//! The ways to run the store that a fleet shares: TLS and users, Sentinels, a Cluster.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fleet::instances::Troubled;
use crate::harness::certificates::authority;
use crate::harness::port::free_port;
use crate::harness::scene::assert_renewed;
use crate::harness::wait::PATIENCE;
use crate::harness::{Jar, Redis};

/// What a user for Usher needs, as the README says.
pub(crate) const RULES: [&str; 12] = [
    "~usher:*",
    "&usher:*",
    "+get",
    "+set",
    "+eval",
    "+time",
    "+publish",
    "+subscribe",
    "+xadd",
    "+xrange",
    "+pexpire",
    "+pttl",
];

#[test]
fn the_readme_and_the_example_give_the_user_of_the_store_the_rights_that_are_tested() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["README.md", "examples/fleet/redis.sh"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let rights = RULES.join(" ");
        assert!(text.contains(&format!("`{rights}`")) || text.contains(&format!("'{rights}'")), "{document}: {rights}");
    }
}

async fn assert_shared(fleet: &Troubled) {
    let asked = fleet.issuer.token_requests();
    for instance in [0, 1] {
        fleet.is(instance, "ready").await;
    }
    let old = fleet.expired();
    for answer in join_all((0..10).map(|n| fleet.ask(n % 2, &old))).await {
        assert_renewed(answer.assert_status(200));
    }
    assert_eq!(fleet.issuer.token_requests(), asked + 1);
}

#[tokio::test]
async fn a_store_with_tls_and_a_user_of_its_own_is_shared() {
    let directory = tempfile::tempdir().unwrap();
    authority().write(&["localhost"], directory.path(), "server");
    std::fs::write(directory.path().join("ca.pem"), authority().root_pem()).unwrap();
    std::fs::write(directory.path().join("password"), "a password of the tests\n").unwrap();
    let (ca, password) = (directory.path().join("ca.pem"), directory.path().join("password"));
    let tls_port = free_port();
    let arguments = [
        ["--tls-port", &tls_port.to_string()],
        ["--tls-cert-file", "server.pem"],
        ["--tls-key-file", "server.key"],
        ["--tls-auth-clients", "no"],
    ];
    let what = "a store with TLS and a user";
    let Some(redis) = Redis::start_in(directory, free_port(), arguments.as_flattened(), what).await else { return };
    let mut user = vec!["ACL", "SETUSER", "usher", "on", ">a password of the tests"];
    user.extend(RULES);
    assert_eq!(redis.command(&user).await, "OK");
    let keys = |host: &str, more: &str| {
        let (password, ca) = (password.display(), ca.display());
        format!("url: 'rediss://usher@{host}:{tls_port}/0', password_file: '{password}', ca_file: '{ca}'{more}")
    };
    let fleet = Troubled::start(&keys("localhost", "")).await;
    assert_shared(&fleet).await;
    let seen = redis.command(&["ACL", "LOG"]).await;
    assert!(seen.is_empty(), "something was refused: {seen}");
    // The certificate is for another name; the system's authorities do not know it either.
    let elsewhere = Troubled::start(&keys("127.0.0.1", "")).await;
    elsewhere.is(0, "degraded").await;
    let url = format!("url: 'rediss://usher@localhost:{tls_port}', password_file: '{}'", password.display());
    Troubled::start(&url).await.is(0, "degraded").await;
}

/// Waits until a command is answered with these words.
async fn answers(redis: &Redis, command: &[&str], words: &str) {
    let started = Instant::now();
    loop {
        let answer = redis.command(command).await;
        if answer.contains(words) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{command:?}: {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the replica of a master has all that was written. `WAIT` says so of what its own connection wrote only.
async fn is_replicated(master: &Redis) {
    let started = Instant::now();
    loop {
        let info = master.command(&["INFO", "replication"]).await;
        let number = |name: &str| {
            let (_, rest) = info.split_once(name)?;
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        let (written, replicated) = (number("master_repl_offset:"), number(",offset="));
        if written.is_some() && written == replicated {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{info}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn behind_sentinels_a_fleet_follows_the_master() {
    let what = "a store behind a Sentinel";
    let Some(mut master) = Redis::start_with(&["--repl-diskless-sync-delay", "0"], what).await else { return };
    let master_port = master.port().to_string();
    let Some(replica) = Redis::start_with(&["--replicaof", "127.0.0.1", &master_port], what).await else { return };
    answers(&replica, &["INFO", "replication"], "master_link_status:up").await;
    let directory = tempfile::tempdir().unwrap();
    // A Sentinel that found no replica fit at once, for the machine was busy, tries again after twice its time-out.
    let monitor = format!(
        "sentinel monitor mymaster 127.0.0.1 {master_port} 1
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 2000
"
    );
    std::fs::write(directory.path().join("sentinel.conf"), monitor).unwrap();
    let arguments = ["sentinel.conf", "--sentinel"];
    let Some(sentinel) = Redis::start_in(directory, free_port(), &arguments, what).await else { return };
    answers(&sentinel, &["SENTINEL", "replicas", "mymaster"], &replica.port().to_string()).await;
    let fleet = Troubled::start(&format!("url: '{}', sentinel: mymaster, timeout: 200ms", sentinel.url())).await;
    assert_shared(&fleet).await;

    let started = Instant::now();
    master.kill().await;
    let old = fleet.expired();
    loop {
        let both = [fleet.ask(0, &old).await, fleet.ask(1, &old).await];
        if both.iter().all(|answer| answer.status == 200) {
            break;
        }
        // A Sentinel whose own clock stood still for two seconds does nothing for thirty.
        let in_time = started.elapsed() < 3 * PATIENCE;
        assert!(in_time, "{both:?}; {}", sentinel.command(&["SENTINEL", "master", "mymaster"]).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("renewals went on {:?} after the master was killed", started.elapsed());
    assert_shared(&fleet).await;
}

#[tokio::test]
async fn a_cluster_is_shared() {
    let what = "a store that is a Cluster";
    let arguments = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes"];
    let mut nodes = Vec::new();
    for slots in [["0", "5460"], ["5461", "10922"], ["10923", "16383"]] {
        let Some(node) = Redis::start_with(&arguments, what).await else { return };
        assert_eq!(node.command(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).await, "OK");
        nodes.push(node);
    }
    for node in nodes.iter().skip(1) {
        let port = node.port().to_string();
        assert_eq!(nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port]).await, "OK");
    }
    for node in &nodes {
        answers(node, &["CLUSTER", "INFO"], "cluster_state:ok").await;
        answers(node, &["CLUSTER", "INFO"], "cluster_known_nodes:3").await;
    }
    let urls: Vec<String> = nodes.iter().map(|node| format!("'{}'", node.url())).collect();
    let fleet = Troubled::start(&format!("url: [{}], cluster: true", urls.join(", "))).await;
    for _ in 0..5 {
        assert_shared(&fleet).await;
    }
    let keys = join_all(nodes.iter().map(|node| node.command(&["DBSIZE"]))).await;
    assert!(keys.iter().filter(|keys| *keys != "0").count() >= 2, "they are spread over the nodes: {keys:?}");
}

#[tokio::test]
async fn a_cluster_whose_shard_fails_over_is_followed() {
    let what = "a store that is a Cluster of which a node dies";
    let arguments = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes", "--cluster-node-timeout", "1000"];
    let arguments = [&arguments[..], &["--repl-diskless-sync-delay", "0"]].concat();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        let Some(node) = Redis::start_with(&arguments, what).await else { return };
        nodes.push(node);
    }
    for (node, slots) in nodes.iter().zip([["0", "5460"], ["5461", "10922"], ["10923", "16383"]]) {
        assert_eq!(node.command(&["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).await, "OK");
    }
    for node in nodes.iter().skip(1) {
        let port = node.port().to_string();
        assert_eq!(nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port]).await, "OK");
    }
    for node in &nodes {
        answers(node, &["CLUSTER", "INFO"], "cluster_known_nodes:4").await;
        answers(node, &["CLUSTER", "INFO"], "cluster_state:ok").await;
    }
    // The fourth replicates the first, and takes its place.
    let first = nodes[0].command(&["CLUSTER", "MYID"]).await;
    assert_eq!(nodes[3].command(&["CLUSTER", "REPLICATE", &first]).await, "OK");
    answers(&nodes[3], &["INFO", "replication"], "master_link_status:up").await;
    answers(&nodes[1], &["CLUSTER", "REPLICAS", &first], "slave").await;
    let urls: Vec<String> = nodes.iter().map(|node| format!("'{}'", node.url())).collect();
    let fleet = Troubled::start(&format!("url: [{}], cluster: true, timeout: 300ms", urls.join(", "))).await;
    assert_shared(&fleet).await;

    // Sessions of every shard, of which some have been renewed already.
    let sessions: Vec<Jar> = (0..12).map(|_| fleet.expired()).collect();
    for old in &sessions {
        assert_renewed(fleet.ask(0, old).await.assert_status(200));
    }
    is_replicated(&nodes[0]).await;
    let (asked, started) = (fleet.issuer.token_requests(), Instant::now());
    nodes[0].kill().await;
    for old in &sessions {
        loop {
            let both = [fleet.ask(0, old).await, fleet.ask(1, old).await];
            if both.iter().all(|answer| answer.status == 200) {
                break;
            }
            assert!(both.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 503)), "{both:?}");
            assert!(started.elapsed() < PATIENCE, "{both:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    println!("records of all shards were found {:?} after the master of one was killed", started.elapsed());
    assert_eq!(
        (fleet.issuer.token_requests(), fleet.issuer.reuses()),
        (asked, 0),
        "nothing that was recorded is forgotten"
    );
    assert_shared(&fleet).await;
}
