//! Faults under load, one in twenty expiries: the provider's, the store's, and those of the instances themselves.
//!
//! Three processes, a real Redis, and the certified authorization server, which revokes the whole grant when it sees a refresh
//! token twice. What `refresh.md` promises is that every session goes on whose outcome was recorded, or whose token was not
//! spent yet. Where the server has rotated and its answer got lost, be it on the way or with an instance, the fleet asks once
//! more (R1), and this server ends the session for that: such a session may be lost, and no other.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fleet::instances::Processes;
use crate::harness::authorization_server::{AuthorizationServer, Stats};
use crate::harness::client::Connection;
use crate::harness::random::Random;
use crate::harness::scene::echoed;
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Client, Jar, Protocol, Redis, get, long};

const INSTANCES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The provider answers 500; nothing was rotated.
    Error,
    /// The provider rotates, and closes the connection.
    AnswerLost,
    /// The store hangs for longer than an operation may take.
    StorePaused,
    /// An instance is killed.
    Killed,
    /// An instance is stopped for longer than its lease, and goes on then.
    Stopped,
}

const FAULTS: [Fault; 5] = [Fault::Error, Fault::AnswerLost, Fault::Killed, Fault::StorePaused, Fault::Stopped];

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    answers: usize,
    put_off: usize,
    broken: usize,
    lost: usize,
    retries: usize,
    slowest: Duration,
}

struct Scene {
    fleet: Processes<AuthorizationServer>,
    redis: Redis,
    connections: Vec<Connection>,
    random: Random,
    tally: Tally,
}

/// What one request got. `None`: the connection broke.
type Got = (usize, Option<Answer>);

impl Scene {
    async fn start(what: &str) -> Option<Self> {
        let redis = Redis::start(what).await?;
        let store = format!("url: '{}', timeout: 3s", redis.url());
        let fleet = Processes::certified(INSTANCES, &store, what).await?;
        fleet.issuer.delay(Duration::from_millis(20)).await;
        let connections = join_all(fleet.instances.iter().map(|instance| connect(instance.client()))).await;
        Some(Self { fleet, redis, connections, random: Random::seeded(20), tally: Tally::default() })
    }

    /// One expiry: so many requests at once with one expired token. Whoever meets the fault is asked first.
    async fn expire(&mut self, subject: &str, requests: usize, fault: Option<Fault>) {
        let (jar, before) = (self.fleet.expired(subject).await, self.fleet.issuer.stats().await);
        let (victim, moment) = (self.random.below(INSTANCES), Duration::from_millis(self.random.below(60) as u64));
        match fault {
            Some(Fault::Error) => self.fleet.issuer.fault("error").await,
            Some(Fault::AnswerLost) => self.fleet.issuer.fault("hangup").await,
            _ => {}
        }
        let began = Instant::now();
        let asks = join_all((0..requests).map(|n| {
            let instance = (victim + n) % INSTANCES;
            let (mut connection, jar) = (self.connections[instance].share(), jar.clone());
            async move { (instance, ask(&mut connection, &jar).await) }
        }));
        let (got, ()) = tokio::join!(asks, self.strike(fault, victim, moment));
        if fault.is_none() {
            self.tally.slowest = self.tally.slowest.max(began.elapsed());
        }
        if fault == Some(Fault::Killed) {
            self.fleet.instances[victim] = self.fleet.another().await;
            self.connections[victim] = connect(self.fleet.instances[victim].client()).await;
        }
        let served = self.count(&got, subject, fault, victim);
        let is_lost = self.settle(&jar, subject).await;
        assert!(!(served && is_lost), "{fault:?}: an outcome that was recorded is lost");
        self.judge(fault, is_lost, before).await;
    }

    async fn strike(&self, fault: Option<Fault>, victim: usize, moment: Duration) {
        tokio::time::sleep(moment).await;
        let usher = &self.fleet.instances[victim].usher;
        match fault {
            Some(Fault::StorePaused) => {
                self.redis.command(&["CLIENT", "PAUSE", "3500", "ALL"]).await;
            }
            Some(Fault::Killed) => usher.signal("KILL").await,
            Some(Fault::Stopped) => {
                usher.signal("STOP").await;
                tokio::time::sleep(Duration::from_secs(if long() { 20 } else { 4 })).await;
                usher.signal("CONT").await;
            }
            Some(Fault::Error | Fault::AnswerLost) | None => {}
        }
    }

    /// Every answer is the user's own, or says not now; only with a fault is there another one. Whether anybody was served.
    fn count(&mut self, got: &[Got], subject: &str, fault: Option<Fault>, victim: usize) -> bool {
        let mut served = false;
        for (instance, answer) in got {
            let Some(answer) = answer else {
                assert!(fault == Some(Fault::Killed) && *instance == victim, "an answer is missing: {fault:?}");
                self.tally.broken += 1;
                continue;
            };
            self.tally.answers += 1;
            match answer.status.as_u16() {
                200 => {
                    assert_eq!(echoed(&answer.json(), "x-user-id"), [subject]);
                    served = true;
                }
                503 if fault.is_some() => self.tally.put_off += 1,
                401 if fault.is_some() => {}
                _ => panic!("{fault:?}: {answer:?}; {}", self.said(*instance)),
            }
        }
        served
    }

    /// The log of an instance, without a line for each request.
    fn said(&self, instance: usize) -> String {
        let output = self.fleet.instances[instance].usher.output();
        output.lines().filter(|line| !line.contains("usher::access")).collect::<Vec<_>>().join("\n")
    }

    /// What all instances say in the end to who still has the old cookies. Whether that is that the session is over.
    async fn settle(&self, jar: &Jar, subject: &str) -> bool {
        let started = Instant::now();
        loop {
            let answers = join_all(
                self.connections
                    .iter()
                    .map(|connection| async move { ask(&mut connection.share(), jar).await.expect("it is served") }),
            )
            .await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            match statuses[..] {
                [200, 200, 200] => {
                    assert!(answers.iter().all(|answer| echoed(&answer.json(), "x-user-id") == [subject]));
                    return false;
                }
                [401, 401, 401] => return true,
                _ => assert!(started.elapsed() < 2 * PATIENCE, "it does not settle: {answers:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// One token request, and one more where it could not be known whether the first was answered, or it was answered with an
    /// error. A session is lost only where that second one came with a token that the server had rotated already.
    async fn judge(&mut self, fault: Option<Fault>, is_lost: bool, before: Stats) {
        let after = self.fleet.issuer.stats().await;
        let (requests, reuses) = (after.token_requests - before.token_requests, after.reuses - before.reuses);
        let may_ask_again = !matches!(fault, None | Some(Fault::StorePaused));
        assert!(requests == 1 || requests == 2 && may_ask_again, "{fault:?}: {requests} token requests");
        let may_lose = matches!(fault, Some(Fault::AnswerLost | Fault::Killed | Fault::Stopped));
        assert_eq!(is_lost, reuses == 1, "{fault:?}: {after:?}");
        assert!(!is_lost || may_lose, "{fault:?} costs a session");
        assert!(fault != Some(Fault::AnswerLost) || is_lost, "the server revokes on reuse");
        if let Some(fault) = fault {
            println!(
                "{fault:?}: {requests} token requests, the session {}",
                if is_lost { "is lost" } else { "goes on" }
            );
        }
        self.tally.retries += requests - 1;
        self.tally.lost += usize::from(is_lost);
    }
}

async fn connect(client: Client) -> Connection {
    Client { protocol: Protocol::Http2, ..client }.connect("app.test").await
}

async fn ask(connection: &mut Connection, jar: &Jar) -> Option<Answer> {
    let response = connection.open(get("https://app.test/x").cookies(jar)).await.ok()?;
    Some(Answer::read(response).await).filter(|answer| answer.complete)
}

/// The long form: 200 expiries of 1,000 requests, of which ten meet a fault, each kind twice. The short one has those that do
/// not take long; the others have tests of their own in `fleet_trouble`.
#[tokio::test]
async fn a_fault_in_one_of_twenty_expiries_loses_no_session_but_those_whose_rotated_answer_was_lost() {
    let Some(mut scene) = Scene::start("faults under load").await else { return };
    let (expiries, requests, every) = if long() { (200, 1_000, 20) } else { (3, 60, 1) };
    let started = Instant::now();
    for expiry in 0..expiries {
        let subject = if expiry % 2 == 0 { "alice" } else { "root" };
        let fault = (expiry % every == every / 2).then(|| FAULTS[expiry / every % FAULTS.len()]);
        scene.expire(subject, requests, fault).await;
    }
    let asked = scene.fleet.issuer.stats().await.token_requests;
    println!(
        "{expiries} expiries of {requests} requests in {:?}: {:?}, {asked} token requests",
        started.elapsed(),
        scene.tally
    );
    assert_eq!(asked, expiries + scene.tally.retries);
}
