//! Sessions in a Redis that instances share, and the command that lists and ends them.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use usher::clock::Clock;
use usher::config::Secret;
use usher::oauth::{AccessToken, RefreshToken};
use usher::session::shared::Connection;
use usher::session::stored::{Found, SessionKey, SessionsOnServer, StoredSession, StoredSessions};
use usher::session::{Sealer, SessionId, SignInFacts};
use usher::tasks::Tasks;

use crate::harness::gateway::complete;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::scene::{ISSUERS, SITES, echoed};
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Browser, Gateway, Issuer, Jar, Redis, Upstream, get};
use crate::server_sessions::{KEY, sign_out};

/// Two instances with one clock, one issuer and one Redis.
struct Fleet {
    instances: Vec<Gateway>,
    issuer: Issuer,
    clock: Clock,
    redis: Redis,
    yaml: String,
    _upstream: Upstream,
}

impl Fleet {
    /// With more keys under `session`.
    async fn start(what: &str, keys: &str) -> Option<Self> {
        let redis = Redis::start(what).await?;
        let clock = Clock::adjustable();
        let (issuer, upstream) = (Issuer::start(&clock).await, Upstream::start().await);
        let store = format!("store: {{ redis: {{ url: '{}', timeout: 2s }} }}", redis.url());
        let session = format!("session: {{ secret: '$SECRET', {store}, {keys} }}");
        let yaml = format!("{ISSUERS}{session}{SITES}").replace("$ISSUER", &issuer.url());
        let yaml = yaml.replace("$CLIENT_SECRET", CLIENT_SECRET).replace("$UPSTREAM", &upstream.url());
        let mut fleet = Self { instances: Vec::new(), issuer, clock, redis, yaml, _upstream: upstream };
        for _ in 0..2 {
            fleet.start_another().await;
        }
        Some(fleet)
    }

    async fn start_another(&mut self) {
        self.instances.push(Gateway::start(&self.yaml, &self.clock).await);
    }

    async fn sign_in(&self, instance: usize, subject: &str) -> Jar {
        let (browser, answer) = self.try_to_sign_in(instance, subject).await;
        answer.assert_status(303);
        browser.jar
    }

    /// With what the redirect URI answers.
    async fn try_to_sign_in(&self, instance: usize, subject: &str) -> (Browser, Answer) {
        let mut browser = Browser::new(self.instances[instance].client());
        let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
        let callback = self.issuer.authorize(answer.assert_status(302).header("location").unwrap(), subject);
        let answer = browser.visit(callback.as_str()).await;
        (browser, answer)
    }

    async fn ask(&self, instance: usize, jar: &Jar) -> Answer {
        self.instances[instance].client().send(get("https://app.test/x").cookies(jar)).await
    }

    /// Waits until an instance knows that this session is over.
    async fn is_refused(&self, instance: usize, jar: &Jar) -> Duration {
        let started = Instant::now();
        while self.ask(instance, jar).await.status != 401 {
            assert!(started.elapsed() < PATIENCE, "instance {instance} goes on with a session that has ended");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        started.elapsed()
    }

    async fn names(&self, pattern: &str) -> Vec<String> {
        self.redis.command(&["KEYS", pattern]).await.lines().map(ToOwned::to_owned).collect()
    }

    /// Runs `usher session` beside the instances: the exit code, and what it said.
    async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run(&self.yaml, arguments).await
    }
}

async fn run(yaml: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let directory: TempDir = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("usher.yaml"), complete(yaml, &directory)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
    command.arg("session").args(arguments).current_dir(directory.path()).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// What the lines of the audit log say.
fn audited(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.split_once("usher::audit: signed out ").map(|(_, facts)| facts)).collect()
}

fn id(jar: &Jar) -> String {
    SessionKey::parse(jar.value(KEY).unwrap()).unwrap().id().to_text()
}

#[tokio::test]
async fn a_session_is_the_same_on_every_instance_and_is_renewed_once() {
    let Some(mut fleet) = Fleet::start("sessions in a shared store", "tokens: store").await else { return };
    let mut jar = Jar::default();
    for subject in ["alice", "bob"] {
        jar = fleet.sign_in(0, subject).await;
        fleet.ask(1, &jar).await.assert_status(200);
        let before = fleet.issuer.token_requests();
        fleet.clock.advance(Duration::from_secs(310));
        let clients: Vec<_> = fleet.instances.iter().map(Gateway::http2).collect();
        let connections = join_all(clients.iter().map(|client| client.connect("app.test"))).await;
        let answers = join_all((0..100).map(|n| {
            let (mut connection, ask) = (connections[n % 2].share(), get("https://app.test/x").cookies(&jar));
            async move { connection.send(ask).await }
        }))
        .await;
        for answer in &answers {
            assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), [subject]);
            assert!(answer.set_cookies().is_empty(), "{answer:?}");
        }
        assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (before + 1, 0));
    }
    // An instance that has just started knows it as well.
    fleet.start_another().await;
    fleet.ask(2, &jar).await.assert_status(200);
}

/// An instance remembers a session that another one has renewed since. With its own memory of the refresh token, it would take
/// the session for a stolen one; with that of the idle time-out, for one that is over. (The server has a clock of its own, by
/// which no token has expired yet: each session can be renewed once here.)
#[tokio::test]
async fn what_an_instance_remembers_is_not_what_it_renews() {
    let keys = "tokens: store, refresh_grace: 0s, idle_timeout: 20s";
    let Some(fleet) = Fleet::start("a session that is remembered", keys).await else { return };
    // Renewed when it has expired, or ahead of that; and in the end it would be idle for too long, too.
    for advance in [305, 280] {
        let jar = fleet.sign_in(0, "alice").await;
        let key = format!("usher:session:{}", id(&jar));
        let before = fleet.redis.command(&["GET", &key]).await;
        fleet.ask(1, &jar).await.assert_status(200);
        fleet.clock.advance(Duration::from_secs(advance));
        let (requests, started) = (fleet.issuer.token_requests(), Instant::now());
        while fleet.redis.command(&["GET", &key]).await == before {
            fleet.ask(0, &jar).await.assert_status(200);
            assert!(started.elapsed() < PATIENCE, "it is renewed");
        }
        fleet.ask(0, &jar).await.assert_status(200);
        fleet.ask(1, &jar).await.assert_status(200);
        fleet.ask(1, &jar).await.assert_status(200);
        assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (requests + 1, 0), "{advance}");
    }
    let jar = fleet.sign_in(0, "alice").await;
    fleet.ask(1, &jar).await.assert_status(200);
    for advance in [305, 20] {
        fleet.clock.advance(Duration::from_secs(advance));
        fleet.ask(0, &jar).await.assert_status(200);
    }
    fleet.ask(1, &jar).await.assert_status(200);
}

#[tokio::test]
async fn a_sign_out_on_one_instance_holds_on_the_one_that_remembers_the_session() {
    let Some(fleet) = Fleet::start("a sign-out of a session in the store", "tokens: store").await else { return };
    let (alice, bob) = (fleet.sign_in(0, "alice").await, fleet.sign_in(0, "bob").await);
    for jar in [&alice, &bob] {
        fleet.ask(1, jar).await.assert_status(200);
    }
    assert_eq!(fleet.names("usher:session:*").await.len(), 2);
    fleet.instances[0].client().send(sign_out(&alice)).await.assert_status(204);
    println!("a sign-out held on another instance {:?} after its answer", fleet.is_refused(1, &alice).await);
    assert_eq!(fleet.names("usher:session:*").await, [format!("usher:session:{}", id(&bob))]);
    fleet.ask(1, &bob).await.assert_status(200);
}

/// The process ends between renewing and writing that down, or the server loses it: whoever comes next has the old tokens.
#[tokio::test]
async fn a_write_that_is_lost_costs_no_session_and_no_token_request() {
    let Some(mut fleet) = Fleet::start("a lost write of a session", "tokens: store").await else { return };
    let jar = fleet.sign_in(0, "alice").await;
    let key = format!("usher:session:{}", id(&jar));
    let before = fleet.redis.command(&["GET", &key]).await;
    fleet.clock.advance(Duration::from_secs(310));
    fleet.ask(0, &jar).await.assert_status(200);
    let requests = fleet.issuer.token_requests();
    let after = fleet.redis.command(&["GET", &key]).await;
    assert_ne!(before, after);
    fleet.redis.command(&["SET", &key, &before]).await;
    fleet.start_another().await;
    for instance in [2, 1, 2] {
        fleet.ask(instance, &jar).await.assert_status(200);
    }
    assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (requests, 0));
    assert_ne!(fleet.redis.command(&["GET", &key]).await, before, "and it is written after all");
}

#[tokio::test]
async fn while_the_store_is_away_what_is_remembered_goes_on_and_nobody_is_signed_out() {
    let Some(mut fleet) = Fleet::start("sessions without their store", "tokens: store").await else { return };
    let jar = fleet.sign_in(0, "alice").await;
    fleet.redis.kill().await;
    fleet.ask(0, &jar).await.assert_status(200);
    let answer = fleet.ask(1, &jar).await;
    assert!(answer.assert_status(503).set_cookies().is_empty() && answer.header("retry-after").is_some(), "{answer:?}");
    let answer = fleet.instances[1].client().send(sign_out(&jar)).await;
    assert!(answer.assert_status(503).set_cookies().is_empty(), "it has not ended, and nobody says so: {answer:?}");
    // Who has none yet is not told of a session.
    let (_, answer) = fleet.try_to_sign_in(1, "alice").await;
    assert!(answer.assert_status(503).text().contains("Sign-in is not possible at the moment"), "{answer:?}");
    // Nobody asks a store about nothing.
    for jar in [Jar::default(), Jar::of(&[(KEY, "garbage")])] {
        fleet.ask(1, &jar).await.assert_status(401);
    }
    // Due, or expired: then only the store knows.
    fleet.clock.advance(Duration::from_secs(280));
    fleet.ask(0, &jar).await.assert_status(200);
    fleet.clock.advance(Duration::from_secs(30));
    assert!(fleet.ask(0, &jar).await.assert_status(503).set_cookies().is_empty());

    // It comes back, and has forgotten everything.
    fleet.redis.restart().await;
    let started = Instant::now();
    while fleet.ask(0, &jar).await.status == 503 {
        assert!(started.elapsed() < PATIENCE, "it is found again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = fleet.ask(0, &jar).await;
    assert_eq!(answer.status, 401);
    let jar = fleet.sign_in(0, "alice").await;
    fleet.ask(1, &jar).await.assert_status(200);
    assert_eq!(fleet.issuer.reuses(), 0);
}

#[tokio::test]
async fn a_right_that_the_user_of_the_store_lacks_is_named_in_the_log() {
    let Some(fleet) = Fleet::start("a user of the store without a right", "tokens: store").await else { return };
    fleet.redis.command(&["ACL", "SETUSER", "default", "-zscan"]).await;
    let (code, said) = fleet.command(&["list"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("'zscan'") && said.contains("the rights that the README lists"), "{said}");
}

/// While the operator changes `session.tokens`, one instance after the other: what the first move has left in the store is older
/// than the cookies by the time of the second one, and its refresh token is spent.
#[tokio::test]
async fn a_session_that_moves_twice_has_its_newest_tokens_in_the_store() {
    let keys = "tokens: cookies, refresh_grace: 0s";
    let Some(mut fleet) = Fleet::start("a session that moves to and fro", keys).await else { return };
    fleet.yaml = fleet.yaml.replace("tokens: cookies", "tokens: store");
    fleet.start_another().await;
    let mut jar = fleet.sign_in(0, "alice").await;
    // It moves, and the answer with its key is lost.
    fleet.ask(2, &jar).await.assert_status(200);
    fleet.clock.advance(Duration::from_secs(310));
    jar.take(&fleet.ask(1, &jar).await.assert_status(200).headers);
    fleet.ask(0, &jar).await.assert_status(200);
    jar.take(&fleet.ask(2, &jar).await.assert_status(200).headers);
    assert!(jar.value(KEY).is_some(), "{jar:?}");
    fleet.ask(2, &jar).await.assert_status(200);
    assert_eq!((fleet.issuer.token_requests(), fleet.issuer.reuses()), (2, 0), "the code, and one renewal");
    assert_eq!(fleet.issuer.asked().revocations.len(), 0);
}

/// As while an operator changes them: the session ends for as long as its cookies count where they were written.
#[tokio::test]
async fn a_sign_out_lasts_though_the_instances_have_different_time_outs() {
    let keys = "tokens: cookies, idle_timeout: 10m, absolute_timeout: 12m";
    let Some(mut fleet) = Fleet::start("instances with different time-outs", keys).await else { return };
    fleet.yaml =
        fleet.yaml.replace("idle_timeout: 10m, absolute_timeout: 12m", "idle_timeout: 10h, absolute_timeout: 12h");
    fleet.start_another().await;
    let alice = fleet.sign_in(2, "alice").await;
    fleet.ask(2, &alice).await.assert_status(200);
    fleet.instances[0].client().send(sign_out(&alice)).await.assert_status(204);
    fleet.is_refused(2, &alice).await;
    fleet.clock.advance(Duration::from_secs(20 * 60));
    // A denial drops those that have ended, and the records of renewals go by the clock of the server.
    let bob = fleet.sign_in(2, "bob").await;
    fleet.instances[2].client().send(sign_out(&bob)).await.assert_status(204);
    for name in fleet.names("usher:*").await {
        if name != "usher:denials" {
            fleet.redis.command(&["DEL", &name]).await;
        }
    }
    let before = fleet.issuer.token_requests();
    fleet.ask(2, &alice).await.assert_status(401);
    assert_eq!(fleet.issuer.token_requests(), before, "nothing of it is spent");
}

#[tokio::test]
async fn who_reads_the_store_learns_no_token_no_key_and_no_name() {
    let Some(fleet) = Fleet::start("what the store of sessions shows", "tokens: store").await else { return };
    let (alice, bob) = (fleet.sign_in(0, "alice").await, fleet.sign_in(0, "bob").await);
    fleet.clock.advance(Duration::from_secs(310));
    fleet.ask(1, &alice).await.assert_status(200);
    let mut all = Vec::new();
    for name in fleet.names("*").await {
        let read: &[&str] = match fleet.redis.command(&["TYPE", &name]).await.as_str() {
            "string" => &["GET", &name],
            "zset" => &["ZRANGE", &name, "0", "-1", "WITHSCORES"],
            "stream" => &["XRANGE", &name, "-", "+"],
            // What tries the connection lasts a second.
            "none" => continue,
            other => panic!("{name} is a {other}"),
        };
        all.push(format!("{name} {}", fleet.redis.command(read).await));
        // -1 is for ever; -2 is gone since, as what tries the connection.
        assert_ne!(fleet.redis.command(&["PTTL", &name]).await, "-1", "{name} expires");
    }
    let all = all.join("\n");
    assert!(all.contains(&id(&alice)) && all.contains(&id(&bob)), "{all}");
    for word in [alice.value(KEY).unwrap(), bob.value(KEY).unwrap(), "alice", "bob", "refresh-", "eyJ"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
    // What is shown opens nothing, in any spelling.
    for shown in [id(&alice), id(&alice)[..22].to_owned()] {
        fleet.ask(0, &Jar::of(&[(KEY, &shown)])).await.assert_status(401);
    }
    // Nor does one session in the place of another.
    let [from, to] = [&alice, &bob].map(|jar| format!("usher:session:{}", id(jar)));
    fleet.redis.command(&["COPY", &from, &to, "REPLACE"]).await;
    fleet.clock.advance(Duration::from_secs(310));
    fleet.ask(0, &bob).await.assert_status(401);
}

#[tokio::test]
async fn the_command_lists_sessions_and_ends_them_by_id() {
    let Some(fleet) = Fleet::start("usher session", "tokens: store").await else { return };
    let (one, other, bob) =
        (fleet.sign_in(0, "alice").await, fleet.sign_in(1, "alice").await, fleet.sign_in(1, "bob").await);
    let (code, said) = fleet.command(&["list"]).await;
    assert_eq!((code, said.lines().count()), (Some(0), 4), "{said}");
    for jar in [&one, &other, &bob] {
        assert!(said.contains(&id(jar)) && !said.contains(jar.value(KEY).unwrap()), "{said}");
        fleet.ask(0, jar).await.assert_status(200);
        fleet.ask(1, jar).await.assert_status(200);
    }
    let (_, said) = fleet.command(&["list", "--user", "alice", "--output", "json"]).await;
    let list: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2, "{said}");
    assert_eq!((&list[0]["user"], &list[0]["issuer"]), (&Value::from("alice"), &Value::from("main")));
    let (_, none) = fleet.command(&["list", "--user", "nobody", "--output", "json"]).await;
    assert_eq!(none, "[]\n");
    let (code, none) = fleet.command(&["list", "--user", "nobody"]).await;
    assert_eq!((code, &*none), (Some(0), "nobody has no session in the store.\n"));

    let (code, said) = fleet.command(&["end", &id(&one)]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ended (alice at main); its refresh token is revoked"), "{said}");
    assert_eq!(audited(&said), [r#"event="sign_out" issuer="main" subject="alice" by="administrator""#]);
    assert_eq!(fleet.issuer.asked().revocations.len(), 1);
    for instance in [0, 1] {
        println!("ended by the command, refused {:?} later", fleet.is_refused(instance, &one).await);
        fleet.ask(instance, &other).await.assert_status(200);
    }
    // What is dead is not listed.
    fleet.redis.command(&["DEL", &format!("usher:session:{}", id(&other))]).await;
    let (_, said) = fleet.command(&["list", "--output", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap().as_array().unwrap().len(), 1, "{said}");
    // The other is remembered yet, and ends all the same.
    let (code, said) = fleet.command(&["end", &id(&other)]).await;
    assert!(code == Some(3) && said.contains("1 of 1 sessions are not in the store"), "{said}");
    assert_eq!(audited(&said), [r#"event="sign_out" by="administrator""#]);
    for instance in [0, 1] {
        fleet.is_refused(instance, &other).await;
        fleet.ask(instance, &bob).await.assert_status(200);
    }
}

#[tokio::test]
async fn the_command_ends_all_that_a_user_was_given_wherever_the_tokens_are() {
    for keys in ["tokens: store", "tokens: cookies"] {
        let Some(fleet) = Fleet::start("usher session end --user", keys).await else { return };
        let mut jars = Vec::new();
        for subject in ["alice", "alice", "bob"] {
            jars.push(fleet.sign_in(0, subject).await);
        }
        for jar in &jars {
            fleet.ask(1, jar).await.assert_status(200);
        }
        let (code, said) = fleet.command(&["end", "--user", "alice", "--issuer", "main"]).await;
        assert_eq!(code, Some(0), "{said}");
        let line = r#"event="sign_out" issuer="main" subject="alice" by="administrator""#;
        assert_eq!(audited(&said), [line], "one for all that somebody has");
        for jar in &jars[..2] {
            fleet.is_refused(0, jar).await;
            fleet.is_refused(1, jar).await;
        }
        fleet.ask(1, &jars[2]).await.assert_status(200);
        // What was given is denied all the same, and of cookies nobody knows.
        let (code, none) = fleet.command(&["end", "--user", "nobody"]).await;
        assert!(none.contains("nobody: whatever was given until now at main is denied"), "{none}");
        let (expected, words) = if keys == "tokens: store" {
            (3, "nobody has no session in the store; --user is the subject")
        } else {
            (0, "sessions are in cookies, of which there is no list")
        };
        assert!(code == Some(expected) && none.contains(words), "{code:?}: {none}");
        if keys == "tokens: store" {
            assert_eq!(said.matches("its refresh token is revoked").count(), 2, "{said}");
            assert_eq!(fleet.names("usher:session:*").await, [format!("usher:session:{}", id(&jars[2]))]);
        } else {
            let (code, said) = fleet.command(&["list"]).await;
            assert!(code == Some(78) && said.contains("session.tokens is cookies"), "{said}");
        }
    }
}

#[tokio::test]
async fn the_command_says_what_is_missing() {
    let memory = "
issuers: { main: { issuer: https://id.test, audiences: [web] } }
session: { secret: '$SECRET', tokens: store }
sites: [{ host: app.test, issuer: main, upstream: 'http://127.0.0.1:9', routes: [{ path: / }] }]
";
    for arguments in [&["list"][..], &["end", "--user", "alice"], &["end", &"0".repeat(32)]] {
        let (code, said) = run(memory, arguments).await;
        assert!(code == Some(78) && said.contains("session.store is memory"), "{said}");
    }
    let away = memory.replace("tokens: store", "tokens: store, store: { redis: { url: 'redis://127.0.0.1:9' } }");
    let (code, said) = run(&away, &["list"]).await;
    assert!(code == Some(1) && said.contains("the shared store is out of reach"), "{said}");
    for arguments in [&["end"][..], &["end", "nonsense"], &["end", "--issuer", "main"]] {
        assert_eq!(run(memory, arguments).await.0, Some(2), "{arguments:?}");
    }
    let (code, said) = run(memory, &["list", "--issuer", "x"]).await;
    assert!(code == Some(78), "{said}");
}

/// The sessions on a server by themselves.
fn server(redis: &Redis, user: Option<&str>) -> SessionsOnServer {
    let redis = usher::config::Redis {
        arrangement: usher::config::Arrangement::Single,
        servers: vec![("127.0.0.1".to_owned(), redis.port())],
        tls: false,
        user: user.map(ToOwned::to_owned),
        password: user.map(|_| Secret::new(b"a password of the tests".to_vec())),
        database: 0,
        ca: None,
        timeout: Duration::from_secs(3),
        prefix: "usher".to_owned(),
    };
    let connection = Connection::new(redis, Clock::system());
    connection.open(&Tasks::new(tokio::runtime::Handle::current()));
    let sealer = Sealer::new(&[Secret::new(b"a session secret".to_vec())]).unwrap();
    SessionsOnServer::new(connection, "usher", sealer)
}

fn store(redis: &Redis) -> StoredSessions {
    StoredSessions::on_server(server(redis, None), (100, 1 << 20))
}

fn session(access: &str, refresh: &str) -> StoredSession {
    let now = Clock::system().now();
    StoredSession {
        issuer: "main".into(),
        subject: "alice".into(),
        started_at: now,
        renewed_at: now,
        idle_until: now.after(Duration::from_secs(3_600)),
        sid: None,
        facts: SignInFacts::default(),
        access: AccessToken::new(access),
        refresh: Some(RefreshToken::new(refresh)),
        moved_from: None,
    }
}

fn refresh_of(found: Option<Found>) -> Option<String> {
    Some(found?.held.session.refresh.as_ref()?.expose().to_owned())
}

#[tokio::test]
async fn a_newer_session_is_never_overwritten_by_an_older_one_and_an_ended_one_stays_so() {
    let Some(redis) = Redis::start("sessions that are written at once").await else { return };
    let (one, other) = (Arc::new(store(&redis)), store(&redis));
    let (id, now) = (SessionId([7; 16]), Clock::system().now());
    let times = (now, now.after(Duration::from_secs(7_200)));
    one.begin(id, session("a0", "r0"), times).await.unwrap();
    let (at_one, at_other) = (one.find_anew(id).await.unwrap().unwrap(), other.find_anew(id).await.unwrap().unwrap());
    one.replace(&at_one, session("a1", "r1"), now).await.unwrap();
    // Both have seen the first.
    other.replace(&at_other, session("a9", "r9"), now).await.unwrap();
    for store in [&*one, &other] {
        assert_eq!(refresh_of(store.find(id).await.unwrap()).as_deref(), Some("r1"));
        assert_eq!(refresh_of(store.find_anew(id).await.unwrap()).as_deref(), Some("r1"));
    }
    // Nor is one that is there begun again.
    other.begin(id, session("a0", "r0"), times).await.unwrap();
    assert_eq!(refresh_of(other.find_anew(id).await.unwrap()).as_deref(), Some("r1"));
    let late = other.find_anew(id).await.unwrap().unwrap();
    one.end(&one.find_anew(id).await.unwrap().unwrap()).await.unwrap();
    other.replace(&late, session("a2", "r2"), now).await.unwrap();
    for store in [&*one, &other] {
        assert!(store.find(id).await.unwrap().is_none() && store.find_anew(id).await.unwrap().is_none());
    }
    assert_eq!(redis.command(&["KEYS", "usher:session*"]).await, "");
}

/// A session that moves into the store began long ago, and would be too old soon.
#[tokio::test]
async fn a_list_lasts_for_as_long_as_the_session_that_lasts_longest() {
    let Some(redis) = Redis::start("how long lists of sessions last").await else { return };
    let (store, now) = (store(&redis), Clock::system().now());
    for (name, lasts) in [(16, 7_200), (32, 60)] {
        let ends_at = now.after(Duration::from_secs(lasts));
        store.begin(SessionId([name; 16]), session("a0", "r0"), (now, ends_at)).await.unwrap();
    }
    for pattern in ["usher:user:*", "usher:sessions:*"] {
        let set = redis.command(&["KEYS", pattern]).await;
        let left: u64 = redis.command(&["TTL", &set]).await.parse().unwrap();
        assert!(left > 7_000, "{set}: {left}");
    }
}

/// Its name is in the lists before it is there itself, and somebody lists just then.
#[tokio::test]
async fn a_list_takes_out_no_session_that_is_about_to_begin() {
    let Some(redis) = Redis::start("a list while a session begins").await else { return };
    let (store, server, now) = (store(&redis), server(&redis, None), Clock::system().now());
    let id = SessionId([7; 16]);
    store.begin(id, session("a0", "r0"), (now, now.after(Duration::from_secs(7_200)))).await.unwrap();
    let key = format!("usher:session:{}", id.to_text());
    let value = redis.command(&["GET", &key]).await;
    redis.command(&["DEL", &key]).await;
    let list = async || {
        let (mut listing, mut count) = (server.list_user(["main"], "alice"), 0);
        while let Some(page) = server.next(&mut listing).await.unwrap() {
            count += page.len();
        }
        count
    };
    assert_eq!(list().await, 0);
    redis.command(&["SET", &key, &value]).await;
    assert_eq!(list().await, 1);
}

/// The refresh token never leaves the server: an old one there means that a write was lost, and no theft.
#[tokio::test]
async fn a_session_that_was_rolled_back_goes_on_after_the_grace() {
    let keys = "tokens: store, refresh_grace: 0s";
    let Some(mut fleet) = Fleet::start("a session that was rolled back", keys).await else { return };
    let jar = fleet.sign_in(0, "alice").await;
    let key = format!("usher:session:{}", id(&jar));
    let before = fleet.redis.command(&["GET", &key]).await;
    fleet.clock.advance(Duration::from_secs(310));
    // The second one shows that the renewal has arrived.
    for _ in 0..2 {
        fleet.ask(0, &jar).await.assert_status(200);
    }
    fleet.redis.command(&["SET", &key, &before]).await;
    fleet.start_another().await;
    for instance in [2, 1, 0] {
        fleet.ask(instance, &jar).await.assert_status(200);
    }
    assert_eq!(fleet.issuer.reuses(), 0);
}

#[tokio::test]
async fn what_a_session_costs_in_redis() {
    let Some(redis) = Redis::start("the size of a session").await else { return };
    let (store, now) = (store(&redis), Clock::system().now());
    let times = (now, now.after(Duration::from_secs(7_200)));
    let used = async || {
        let info = redis.command(&["INFO", "memory"]).await;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().to_owned();
        line.parse::<usize>().unwrap()
    };
    let before = used().await;
    let sessions = 1_000;
    for number in 0_u16..sessions {
        let mut name = [0; 16];
        aws_lc_rs::rand::fill(&mut name).unwrap();
        let session = StoredSession {
            subject: format!("user-{number}").into(),
            ..session(&"a".repeat(1024 - 43), &"r".repeat(43))
        };
        store.begin(SessionId(name), session, times).await.unwrap();
    }
    let name = redis.command(&["KEYS", "usher:session:*"]).await.lines().next().unwrap().to_owned();
    let usage = redis.command(&["MEMORY", "USAGE", &name]).await;
    let each = (used().await - before) / usize::from(sessions);
    println!(
        "a session with a pair of tokens of 1 KiB: MEMORY USAGE {usage} bytes; with its place in two lists, {each} bytes"
    );
    assert!(each < 4_096, "{each}");
}

#[tokio::test]
async fn a_user_of_the_store_needs_no_more_than_the_readme_says() {
    let Some(redis) = Redis::start("a user of Redis' own for sessions").await else { return };
    let mut user = vec!["ACL", "SETUSER", "usher", "on", ">a password of the tests"];
    user.extend(crate::fleet_servers::RULES);
    user.extend(["+del", "+zadd", "+zrem", "+zscan", "+zremrangebyscore", "+expire"]);
    assert_eq!(redis.command(&user).await, "OK");
    let server = server(&redis, Some("usher"));
    let (id, now) = (SessionId([7; 16]), Clock::system().now());
    let store = StoredSessions::on_server(self::server(&redis, Some("usher")), (100, 1 << 20));
    store.begin(id, session("a0", "r0"), (now, now.after(Duration::from_secs(7_200)))).await.unwrap();
    let found = store.find_anew(id).await.unwrap().unwrap();
    store.replace(&found, session("a1", "r1"), now).await.unwrap();
    // By its user, and among all.
    for mut listing in [server.list_user(["main"], "alice"), server.list_all()] {
        let mut ids = Vec::new();
        while let Some(page) = server.next(&mut listing).await.unwrap() {
            ids.extend(page.into_iter().map(|(id, _)| id));
        }
        assert_eq!(ids, [id]);
    }
    store.end(&store.find_anew(id).await.unwrap().unwrap()).await.unwrap();
    assert_eq!(redis.command(&["KEYS", "usher:*s*"]).await, "");
    let seen = redis.command(&["ACL", "LOG"]).await;
    assert!(seen.is_empty(), "something was refused: {seen}");
}
