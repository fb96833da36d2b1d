//! What a session costs the store that instances share: bytes, operations, bytes on the wire, time of its processor.
//!
//! The figures are printed (`cargo test --test it fleet_costs -- --nocapture`; `USHER_TEST_LONG=1` goes on to a hundred
//! renewals of each session), and `examples/fleet/regions.md` reckons with them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use usher::clock::Clock;

use crate::fleet::instances::Troubled;
use crate::harness::scene::{assert_renewed, jar};
use crate::harness::{Browser, Jar, Redis, long, post};

/// So many sessions are measured together: what is seen of one is a part of that.
const SESSIONS: u32 = 100;
/// For so long an outcome answers whatever its token says, by the clock of the store, which no test moves.
const AN_OUTCOME_ANSWERS: Duration = Duration::from_secs(2);

/// What the server has done by now.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    scripts: f64,
    trips: f64,
    sent: f64,
    received: f64,
    cpu: f64,
}

impl Spent {
    async fn by_now(redis: &Redis) -> Self {
        let (commands, stats) =
            (redis.command(&["INFO", "commandstats"]).await, redis.command(&["INFO", "stats"]).await);
        let cpu = redis.command(&["INFO", "cpu"]).await;
        let calls = |name: &str| field(&commands, &format!("cmdstat_{name}:calls="));
        // A script to read asks for time and value; one to write asks for the value, and writes it; one that adds to the list
        // of denials does neither. One that looks at that list comes with time, and is no part of what a session costs.
        let (looks, reads, adds) = (calls("xrange"), calls("time"), calls("xadd"));
        let scripts = calls("eval") - looks;
        let writes = scripts - reads - adds;
        let trips = calls("get") + calls("set") - writes + adds + looks;
        Self {
            scripts,
            trips,
            sent: field(&stats, "total_net_input_bytes:"),
            received: field(&stats, "total_net_output_bytes:"),
            cpu: field(&cpu, "used_cpu_user:") + field(&cpu, "used_cpu_sys:"),
        }
    }

    /// Since then, for each of so many.
    async fn for_each(self, redis: &Redis, of: u32) -> Self {
        let (now, each) = (Self::by_now(redis).await, 1.0 / f64::from(of));
        Self {
            scripts: (now.scripts - self.scripts) * each,
            trips: (now.trips - self.trips) * each,
            sent: (now.sent - self.sent) * each,
            received: (now.received - self.received) * each,
            cpu: (now.cpu - self.cpu) * each,
        }
    }

    fn print(&self, what: &str) {
        let Self { scripts, trips, sent, received, cpu } = self;
        println!(
            "{what}: {trips:.1} round trips, {scripts:.1} of them scripts; {sent:.0} bytes there, {received:.0} back; {:.0} µs",
            cpu * 1e6
        );
    }
}

fn field(info: &str, name: &str) -> f64 {
    let line = info.lines().find_map(|line| line.trim().strip_prefix(name));
    let number = line.map_or("0", |rest| rest.split(',').next().unwrap());
    number.parse().unwrap_or_else(|_| panic!("{name}: {number:?}"))
}

/// Memory that all keys with this beginning take, for each of so many sessions.
async fn bytes(redis: &Redis, pattern: &str, of: u32) -> f64 {
    let script = "local sum = 0
        for _, key in ipairs(redis.call('KEYS', ARGV[1])) do sum = sum + redis.call('MEMORY', 'USAGE', key) end
        return sum";
    let sum: f64 = redis.command(&["EVAL", script, "0", pattern]).await.parse().unwrap();
    sum / f64::from(of)
}

/// The sessions and what is around them.
struct Measured {
    redis: Redis,
    fleet: Troubled,
    clock: Clock,
    jars: Vec<Jar>,
}

impl Measured {
    async fn start(what: &str) -> Option<Self> {
        let redis = Redis::start(what).await?;
        let clock = Clock::adjustable();
        // Longer than the default: a busy machine is not what is measured.
        let fleet = Troubled::start_by(&clock, &format!("url: '{}', timeout: 3s", redis.url())).await;
        // Access tokens of a KiB.
        fleet.issuer.change_access_tokens(json!({ "groups": "x".repeat(450) }));
        let jars = (0..SESSIONS).map(|n| jar(&fleet.issuer.sign_in_expired(&format!("user-{n}")))).collect();
        Some(Self { redis, fleet, clock, jars })
    }

    /// A request of every session, and what came of it is in its cookies.
    async fn ask_all(&mut self, instance: usize, expects_renewal: bool) {
        let answers = join_all(self.jars.iter().map(|jar| self.fleet.ask(instance, jar))).await;
        for (jar, answer) in self.jars.iter_mut().zip(answers) {
            answer.assert_status(200);
            if expects_renewal {
                assert_renewed(&answer);
            }
            jar.take(&answer.headers);
        }
    }

    /// The same, and what that cost the server for each, once it is idle.
    async fn cost(&mut self, what: &str, instance: usize, expects_renewal: bool) -> Spent {
        let before = Spent::by_now(&self.redis).await;
        self.ask_all(instance, expects_renewal).await;
        self.is_idle().await;
        let spent = before.for_each(&self.redis, SESSIONS).await;
        spent.print(what);
        spent
    }

    /// Waits until no script has run for a while: some of what follows a request is done beside it.
    async fn is_idle(&self) {
        let started = Instant::now();
        let mut last = -1.0;
        loop {
            let now = Spent::by_now(&self.redis).await.scripts;
            if now <= last {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "the store never rests");
            last = now;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn print_bytes(&self, renewals: u32) {
        let sheets = bytes(&self.redis, "usher:renewal:*", SESSIONS).await;
        let pointers = bytes(&self.redis, "usher:token:*", SESSIONS).await;
        println!(
            "after {renewals} renewals: {sheets:.0} bytes for the sheet of a session, {pointers:.0} for its pointers"
        );
        // Each spent token is remembered; 64 of them at most.
        assert!(sheets < 3_000.0 + 200.0 * f64::from(renewals.min(64)), "{sheets}");
        assert!(pointers < 250.0 * f64::from(renewals), "{pointers}");
    }
}

#[tokio::test]
async fn a_request_with_a_good_token_costs_the_store_nothing_and_a_renewal_little() {
    let Some(mut measured) = Measured::start("what a session costs the store").await else { return };
    let renewals = if long() { 100 } else { 2 };
    for renewal in 1..=renewals {
        let (here, there) = (renewal as usize % 2, (renewal as usize + 1) % 2);
        if renewal > 1 {
            measured.clock.advance(Duration::from_secs(301));
            tokio::time::sleep(AN_OUTCOME_ANSWERS).await;
        }
        if ![1, 2, 10, 100].contains(&renewal) {
            measured.ask_all(here, true).await;
            continue;
        }
        let spent = measured.cost(&format!("renewal {renewal}"), here, true).await;
        // A beat of whoever leads may fall into it, and the question before the token is sent.
        assert!(spent.trips < 23.0, "{spent:?}");
        measured.cost("the first request with the new token, there", here, false).await;
        measured.cost("the first one elsewhere", there, false).await;
        measured.print_bytes(renewal).await;
    }
    let one = &measured.jars[0];
    let sizes = ["at", "rt"].map(|name| one.value(name).unwrap().len());
    println!("access tokens of {} bytes, refresh tokens of {}", sizes[0], sizes[1]);
    let keys = measured.redis.command(&["DBSIZE"]).await;
    println!("{keys} keys; {}", measured.redis.command(&["INFO", "memory"]).await.lines().nth(1).unwrap());

    let (before, started) = (Spent::by_now(&measured.redis).await, Instant::now());
    for _ in 0..5 {
        measured.ask_all(0, false).await;
    }
    let spent = before.for_each(&measured.redis, 5 * SESSIONS).await;
    spent.print("a plain request");
    assert!(spent.scripts <= 0.0, "no record is looked at: {spent:?}");
    // Each instance asks twice a second whether the store is there, and every five seconds for denials.
    let of_time = 2.0 * (3.0 * started.elapsed().as_secs_f64() + 3.0) / f64::from(5 * SESSIONS);
    assert!(spent.trips <= of_time, "{spent:?}, {of_time}");
}

#[tokio::test]
async fn a_sign_in_and_a_sign_out_cost_the_store_a_few_operations() {
    let Some(measured) = Measured::start("what a sign-in costs the store").await else { return };
    let Measured { redis, fleet, .. } = &measured;
    let mut browsers = Vec::new();
    let before = Spent::by_now(redis).await;
    for n in 0..SESSIONS {
        let mut browser = Browser::new(fleet.instances[0].client());
        let (sign_in, _) = browser.follow("https://app.test/x", "/.usher/sign-in").await;
        let answer = browser.visit(sign_in.as_str()).await;
        let back = fleet.issuer.authorize(answer.header("location").unwrap(), &format!("user-{n}"));
        browser.visit(back.as_str()).await.assert_status(303);
        browsers.push(browser);
    }
    measured.is_idle().await;
    let spent = before.for_each(redis, SESSIONS).await;
    spent.print("a sign-in");
    assert!(spent.trips < 10.0, "{spent:?}");

    let before = Spent::by_now(redis).await;
    for browser in &browsers {
        let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(&browser.jar);
        fleet.instances[0].client().send(ask).await.assert_status(204);
    }
    measured.is_idle().await;
    let spent = before.for_each(redis, SESSIONS).await;
    spent.print("a sign-out");
    let denials: f64 = redis.command(&["XLEN", "usher:denials"]).await.parse().unwrap();
    let of_one = bytes(redis, "usher:denials", 1).await / denials;
    println!(
        "{denials} denials after {SESSIONS} sign-outs, {of_one:.0} bytes each; {:.0} bytes for the record of the end",
        { bytes(redis, "usher:renewal:*", SESSIONS).await }
    );
    assert!(denials >= f64::from(SESSIONS) && of_one < 500.0, "{denials} {of_one}");
}
