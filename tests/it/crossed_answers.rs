//! No crossed answers: hundreds of users at once over few connections to the applications, while one request of twenty
//! meets a fault there, and every answer is its user's own or visibly none.
//!
//! Users share connections to the gateway as well, as behind a content delivery network. `USHER_TEST_LONG=1` asks for a
//! million answers, `USHER_TEST_ALL=1` for a hundred thousand.

mod http1;
mod http2;
mod plan;
mod user;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use usher::clock::Clock;

use crate::harness::random::Random;
use crate::harness::{Gateway, Issuer, Jar, Protocol, eventually, long, post};
use plan::{Fault, Oracle};
use user::{Credentials, Door, Ending, HOSTS, Tally, User};

const USERS: usize = 200;

/// How many requests are on their way at a time, which is what keeps the connections to the applications few.
const AT_A_TIME: usize = 32;

/// How many requests there are in all.
fn requests() -> usize {
    if long() {
        1_000_000
    } else if std::env::var_os("USHER_TEST_ALL").is_some() {
        100_000
    } else {
        20_000
    }
}

/// A gateway before both applications. Fewer tokens fit into its memory than there are users.
async fn gateway(issuer: &Issuer, applications: [String; 2], clock: &Clock) -> Gateway {
    let login = "{ path: /auth/login, page: /login, access_token: /accessToken, refresh_token: /refreshToken }";
    let issuers = issuer.legacy(&format!("login: {login}"));
    let yaml = format!(
        "
limits: {{ connections_per_address: 10000, token_cache_bytes: 1MiB }}
{issuers}
session: {{ secret: '$SECRET' }}
sites:
"
    );
    let sites = HOSTS.iter().zip(applications).map(|(host, application)| {
        format!(
            "  - host: {host}
    issuer: main
    upstream: {application}
    identity_headers: {{ X-User-Id: sub }}
    timeouts: {{ connect: 5s, response: 10s, idle: 10s }}
    routes: [{{ path: / }}, {{ path: /login, access: public }}]
"
        )
    });
    Gateway::start(&(yaml + &sites.collect::<String>()), clock).await
}

/// Half of the users present a token; the others have signed in at the application, which says the tokens back that are
/// sent to it, and present the sealed cookies.
async fn credentials(n: usize, name: &str, gateway: &Gateway, issuer: &Issuer) -> Credentials {
    if n % 4 < 2 {
        return Credentials::Bearer(issuer.access_token(name));
    }
    let tokens = issuer.sign_in(name);
    let tokens = json!({ "accessToken": tokens.access, "refreshToken": tokens.refresh });
    let login = post("https://app.test/auth/login").header("origin", "https://app.test").json(&tokens);
    let mut jar = Jar::default();
    jar.take(&gateway.client().send(login).await.assert_status(200).headers);
    Credentials::Session(jar)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_users_over_few_connections_get_their_own_answers_while_applications_fail() {
    let seed = 0x5eed;
    let clock = Clock::adjustable();
    let (issuer, oracle) = (Issuer::start(&clock).await, Arc::<Oracle>::default());
    issuer.live_for(Duration::from_secs(24 * 3600));
    let applications = (http1::application(&oracle).await, http2::application(&oracle).await);
    let urls = [format!("http://{}", applications.0.address), format!("h2c://{}", applications.1.address)];
    let gateway = gateway(&issuer, urls, &clock).await;

    let began = Instant::now();
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let (mut users, mut doors) = (JoinSet::new(), BTreeMap::new());
    for n in 0..USERS {
        let name = format!("user-{n}");
        // Two users to a connection of HTTP/1.1, twenty to one of HTTP/2.
        let (client, shared) = if n % 2 == 0 { (gateway.client(), n / 4) } else { (gateway.http2(), n / 40) };
        let door = doors.entry((client.protocol == Protocol::Http2, shared)).or_insert_with(|| Door::new(client));
        let user = User {
            credentials: credentials(n, &name, &gateway, &issuer).await,
            door: Arc::clone(door),
            random: Random::seeded(seed + n as u64),
            name,
        };
        users.spawn(user.run(requests() / USERS, Arc::clone(&permits)));
    }
    let mut tally = Tally::new();
    while let Some(ended) = users.join_next().await {
        for (key, count) in ended.unwrap() {
            *tally.entry(key).or_default() += count;
        }
    }
    print(&tally, &oracle, began.elapsed());

    let crossed: Vec<_> = tally.keys().filter(|(.., ending)| matches!(ending, Ending::Wrong(_))).collect();
    assert!(crossed.is_empty(), "{} answers are wrong: {:#?}", crossed.len(), &crossed[..crossed.len().min(5)]);
    assert_eq!(oracle.wrong(), [""; 0], "what the applications saw");

    // On a connection of HTTP/2 everybody who is on it pays for a fault. On one of HTTP/1.1 nobody else does, but where a
    // request crosses the end of a connection (RFC 9112 §9.3.1): its client's, or that of an application that closes
    // behind a whole answer without saying so.
    let ordinary = |host: &str, own: bool| -> usize {
        let of = tally.iter().filter(|((at, fault, left, ending), _)| {
            *at == host && *fault == Fault::Nothing && !left && (*ending == Ending::Own) == own
        });
        of.map(|(_, count)| count).sum()
    };
    for (host, one_of) in HOSTS.into_iter().zip([1000, 10]) {
        let (failed, own) = (ordinary(host, false), ordinary(host, true));
        assert!(failed * one_of < own, "{failed} requests without a fault failed at {host}, {own} did not");
    }
    assert!(oracle.connections().1 < 4 * AT_A_TIME, "the connections were few: {:?}", oracle.connections());
    for fault in plan::FAULTS_OF_ALL_KINDS {
        assert!(tally.keys().any(|(_, met, ..)| *met == fault), "{fault:?} never happened");
    }
    eventually("all is given up that nobody waits for", || oracle.open() <= 2 * AT_A_TIME).await;
}

fn print(tally: &Tally, oracle: &Oracle, took: Duration) {
    let (connections, peak) = oracle.connections();
    let asked: usize = tally.values().sum();
    println!(
        "{asked} requests of {USERS} users in {took:.1?}; the applications saw {} over {connections} connections, {peak} at a time",
        oracle.requests()
    );
    println!("| host | fault | client | ending | requests |\n|---|---|---|---|---|");
    for ((host, fault, left, ending), count) in tally {
        println!("| {host} | {fault:?} | {} | {ending:?} | {count} |", if *left { "leaves" } else { "stays" });
    }
}
