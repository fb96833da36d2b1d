//! What `usher diff` says of a log is what happens: random requests to a real gateway of one random configuration and to one of
//! another, and the log of the first through the command.

use http::Method;
use serde_json::Value;
use usher::clock::Clock;

use crate::explain_agrees::{HOSTS, METHODS, PATHS, configuration, token};
use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::random::Random;
use crate::harness::wait::eventually;
use crate::harness::{Answer, Ask, Client, Protocol, Upstream, long};

/// What became of a request: whether it reached the application, and the status.
type Fate = (bool, u16);

#[tokio::test]
async fn what_is_said_of_a_log_is_what_another_gateway_decides() {
    let (pairs, requests) = if long() { (30, 300) } else { (3, 80) };
    let (mut differed, mut said_so) = (0, 0);
    for seed in 0..pairs {
        let random = &mut Random::seeded(9_000 + seed);
        let upstream = Upstream::start().await;
        let format = if seed % 2 == 0 { "text" } else { "json" };
        let directory = tempfile::tempdir().unwrap();
        let [old, new] = [(); 2].map(|()| {
            complete(&format!("log: {{ format: {format} }}\n{}", configuration(random, &upstream.url()).0), &directory)
        });
        let asked: Vec<_> = (0..requests).map(|_| draw(random)).collect();
        let (before, log) = fates(&old, directory.path(), &asked, &upstream).await;
        let (after, _) = fates(&new, directory.path(), &asked, &upstream).await;
        for (name, text) in [("old.yaml", &old), ("new.yaml", &new), ("access.log", &log)] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let arguments = ["diff", "old.yaml", "new.yaml", "--access-log", "access.log", "--output", "json"];
        let (code, said, error) = Usher::finish(&arguments, directory.path(), "").await;
        assert!(matches!(code, Some(0 | 1)), "{code:?}: {error}");
        let told: Value = serde_json::from_str(&said).unwrap();
        let happened: Vec<(Fate, Fate)> = before.into_iter().zip(after).collect();
        let what = format!("seed {seed}\n{old}\n{new}\n{log}\n{:#}", told["log"]);
        said_so += agree(&told["log"], &happened, &what);
        differed += happened.iter().filter(|(before, after)| is_other(*before, *after)).count();
    }
    assert!(said_so * 4 > differed && differed > 20, "{said_so} of {differed} that differ are known");
}

/// Of the application's own statuses, nothing is said.
fn is_other(before: Fate, after: Fate) -> bool {
    before.0 != after.0 || (!before.0 && before.1 != after.1)
}

/// Nothing is said to happen more often than it has; what is not known makes up for the rest. Returns how many are said to differ.
fn agree(told: &Value, happened: &[(Fate, Fate)], what: &str) -> usize {
    let count = |value: &Value| value["requests"].as_u64().unwrap();
    let sum = |name: &str| told[name].as_array().unwrap().iter().map(count).sum::<u64>();
    let alike = told["alike"].as_u64().unwrap();
    let unreadable = told["unreadable"].as_u64().unwrap();
    let total = alike + sum("otherwise") + sum("unknown") + unreadable;
    assert_eq!(total, happened.len() as u64, "{what}");
    let same = happened.iter().filter(|(before, after)| !is_other(*before, *after)).count() as u64;
    assert!(alike + unreadable <= same, "{alike} alike, really {same}: {what}");
    for group in told["otherwise"].as_array().unwrap() {
        let is = |outcome: &Value, (reached, status): Fate| match outcome["decision"].as_str().unwrap() {
            "forwarded" => reached,
            "refused" => !reached && outcome["status"][0] == status,
            _ => panic!("{group}: {what}"),
        };
        let really =
            happened.iter().filter(|(before, after)| is(&group["before"], *before) && is(&group["after"], *after));
        let really = really.count() as u64;
        assert!(count(group) <= really, "really {really}: {group:#}: {what}");
    }
    usize::try_from(sum("otherwise")).unwrap()
}

type Drawn = (Method, String, Option<String>);

fn draw(random: &mut Random) -> Drawn {
    let url = format!(
        "https://{}{}{}",
        random.one_of(&HOSTS),
        random.one_of(&PATHS),
        random.one_of(&["", "", "x", ";p", "?q"])
    );
    let token = random.chance(700).then(|| token(random, &Clock::system()));
    (random.one_of(&METHODS).parse().unwrap(), url, token)
}

/// What a gateway of this configuration really does, and its log.
async fn fates(yaml: &str, directory: &std::path::Path, asked: &[Drawn], upstream: &Upstream) -> (Vec<Fate>, String) {
    let usher = Usher::serve(yaml, directory);
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let mut fates = Vec::new();
    for (method, url, token) in asked {
        let before = upstream.count();
        let ask = Ask::new(method.clone(), url);
        let ask = token.iter().fold(ask, |ask, token| ask.header("authorization", &format!("Bearer {token}")));
        let mut connection = client.connect("app.test").await;
        let answer = Answer::read(connection.open(ask).await.unwrap()).await;
        fates.push((upstream.count() > before, answer.status.as_u16()));
    }
    let lines = || usher.output().lines().filter(|line| line.contains("usher::access")).count();
    eventually("every request is in the log", || lines() == asked.len()).await;
    (fates, usher.output())
}
