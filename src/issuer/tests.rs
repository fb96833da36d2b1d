//! Key sets and discovery over real connections.

use std::time::{Duration, Instant};

use crate::oauth::Algorithm;
use futures_util::future::join_all;
use serde_json::json;

use super::testing::{DISCOVERY, KEYS, Reply, TOKEN, TestIssuer, TestKey, configured, issuers, wait_until};
use super::{FetchError, Issuer, IssuersError, KeyError, Keys};
use crate::clock::Clock;
use crate::config::{self, IssuerId, KeySource, Refresh};
use crate::issuer::Issuers;
use crate::oauth::RefreshToken;

const ALGORITHM: Algorithm = Algorithm::ES256;

fn key(kid: &str) -> TestKey {
    TestKey::new(kid, ALGORITHM)
}

fn only(issuers: &Issuers) -> &Issuer {
    issuers.by_id(IssuerId(0)).unwrap()
}

async fn find(issuer: &Issuer, kid: &str) -> Result<Keys, KeyError> {
    issuer.key(Some(kid), ALGORITHM).await
}

fn cause(error: &KeyError) -> &FetchError {
    match error {
        KeyError::Unavailable(unavailable) => unavailable.cause.as_ref().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_are_fetched_when_first_needed_and_once_for_all_who_wait() {
    let server = TestIssuer::start(&[&key("a")]).await;
    server.set(KEYS, Reply::keys(&[&key("a")]).delayed(Duration::from_millis(50)));
    let issuers = issuers(&[server.config()], &Clock::adjustable());
    assert_eq!(server.count(DISCOVERY), 0);
    let found = join_all((0..50).map(|_| find(only(&issuers), "a"))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!((server.count(DISCOVERY), server.count(KEYS)), (1, 1));
}

#[tokio::test]
async fn a_known_key_never_waits_for_the_refresh_that_its_use_starts() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let clock = Clock::adjustable();
    let issuers = issuers(&[server.config()], &clock);
    find(only(&issuers), "a").await.unwrap();
    server.set(KEYS, Reply::keys(&[&key("a"), &key("b")]).delayed(Duration::from_millis(500)));
    clock.advance(Duration::from_secs(601));
    let started = Instant::now();
    for _ in 0..100 {
        find(only(&issuers), "a").await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_millis(400));
    server.wait_for(KEYS, 2).await;
    find(only(&issuers), "b").await.unwrap();
    assert_eq!(server.count(KEYS), 2);
}

#[tokio::test]
async fn keys_stay_while_the_issuer_is_down() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let clock = Clock::adjustable();
    let issuers = issuers(&[server.config()], &clock);
    find(only(&issuers), "a").await.unwrap();
    server.set(KEYS, Reply::status(500));
    server.set(DISCOVERY, Reply::status(500));
    for attempts in 2..5 {
        clock.advance(Duration::from_secs(3600));
        find(only(&issuers), "a").await.unwrap();
        wait_until(|| {
            clock.advance(Duration::from_secs(5));
            only(&issuers).refresh_keys_if_due();
            server.count(KEYS) >= attempts
        })
        .await;
    }
    // Whether an unknown key has come to be cannot be known now.
    assert!(matches!(find(only(&issuers), "b").await, Err(KeyError::Unavailable(_))));
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_per_cooldown_however_many_come() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let clock = Clock::adjustable();
    let issuers = issuers(&[server.config()], &clock);
    find(only(&issuers), "a").await.unwrap();
    for round in 1..4 {
        let kids: Vec<_> = (0..100).map(|kid| format!("unknown-{round}-{kid}")).collect();
        let found = join_all(kids.iter().map(|kid| find(only(&issuers), kid))).await;
        assert!(found.iter().all(|found| matches!(found, Err(KeyError::Unknown))));
        assert!(matches!(find(only(&issuers), "later").await, Err(KeyError::Unknown)));
        assert_eq!(server.count(KEYS), 1 + round);
        clock.advance(Duration::from_millis(9_900));
        assert!(matches!(find(only(&issuers), "early").await, Err(KeyError::Unknown)));
        assert_eq!(server.count(KEYS), 1 + round);
        clock.advance(Duration::from_millis(100));
    }
}

#[tokio::test]
async fn unknown_keys_on_a_cold_start_cause_no_second_fetch() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let issuers = issuers(&[server.config()], &Clock::adjustable());
    let kids: Vec<_> = (0..100).map(|kid| format!("unknown-{kid}")).collect();
    let found = join_all(kids.iter().map(|kid| find(only(&issuers), kid))).await;
    assert!(found.iter().all(|found| matches!(found, Err(KeyError::Unknown))));
    assert_eq!(server.count(KEYS), 1);
}

#[tokio::test]
async fn a_new_key_counts_from_its_first_token_on() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let issuers = issuers(&[server.config()], &Clock::adjustable());
    let a = find(only(&issuers), "a").await.unwrap().iter().next().unwrap().clone();
    let (first, second) = (key("a"), key("b"));
    server.set(KEYS, Reply::keys(&[&first, &second]));
    find(only(&issuers), "b").await.unwrap();
    assert_eq!(server.count(KEYS), 2);
    // What was published under the name before is gone, and whatever it signed knows.
    assert!(a.is_withdrawn());
}

#[tokio::test]
async fn a_key_that_is_still_published_stays_the_same_object() {
    let (a, b) = (key("a"), key("b"));
    let server = TestIssuer::start(&[&a, &b]).await;
    let issuers = issuers(&[server.config()], &Clock::adjustable());
    let [old_a, old_b] = [find(only(&issuers), "a").await.unwrap(), find(only(&issuers), "b").await.unwrap()]
        .map(|keys| keys.iter().next().unwrap().clone());
    server.set(KEYS, Reply::keys(&[&a, &key("c")]));
    find(only(&issuers), "c").await.unwrap();
    assert!(!old_a.is_withdrawn());
    assert!(old_b.is_withdrawn());
    assert!(matches!(find(only(&issuers), "b").await, Err(KeyError::Unknown)));
}

#[tokio::test]
async fn a_new_key_under_an_old_name_is_found_under_the_same_cooldown() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let clock = Clock::adjustable();
    let issuers = issuers(&[server.config()], &clock);
    let tried = find(only(&issuers), "a").await.unwrap();
    // Nothing has changed: a forged signature finds nothing newer, and costs one fetch.
    for _ in 0..10 {
        assert!(only(&issuers).key_instead_of(&tried, Some("a"), ALGORITHM).await.is_none());
    }
    assert_eq!(server.count(KEYS), 2);
    // The fetch has brought another set object with the same keys in it: that is not newer to whoever has tried those.
    server.set(KEYS, Reply::keys(&[&key("a")]));
    clock.advance(Duration::from_secs(10));
    let tried = find(only(&issuers), "a").await.unwrap();
    let newer = only(&issuers).key_instead_of(&tried, Some("a"), ALGORITHM).await.unwrap();
    assert!(tried.iter().next().unwrap().is_withdrawn());
    assert!(!newer.iter().next().unwrap().is_withdrawn());
}

#[tokio::test]
async fn an_issuer_that_is_down_at_start_is_found_again_without_being_stormed() {
    for path in [DISCOVERY, KEYS] {
        let server = TestIssuer::start(&[&key("a")]).await;
        let clock = Clock::adjustable();
        let issuers = issuers(&[server.config()], &clock);
        server.set(path, Reply::status(503));
        for _ in 0..100 {
            assert!(matches!(find(only(&issuers), "a").await, Err(KeyError::Unavailable(_))));
        }
        assert_eq!(server.count(path), 1);
        for attempt in 2..8 {
            clock.advance(Duration::from_secs(5));
            assert!(find(only(&issuers), "a").await.is_err());
            assert_eq!(server.count(path), attempt);
        }
        let up = if path == KEYS { Reply::keys(&[&key("a")]) } else { Reply::json(&server.metadata()) };
        server.set(path, up);
        clock.advance(Duration::from_secs(5));
        find(only(&issuers), "a").await.unwrap();
    }
}

#[tokio::test]
async fn a_refresh_and_a_key_that_are_wanted_at_once_share_one_discovery() {
    let server = TestIssuer::start(&[&key("a")]).await;
    server.set(DISCOVERY, Reply::json(&server.metadata()).delayed(Duration::from_millis(100)));
    server.set(TOKEN, Reply::json(&json!({"access_token": "at"})));
    let config = config::Issuer { refresh: Some(Refresh::Discovered), ..server.config() };
    let issuers = issuers(&[config], &Clock::adjustable());
    let token = RefreshToken::new("rt");
    let (refreshed, found) = tokio::join!(only(&issuers).refresh(&token), find(only(&issuers), "a"));
    refreshed.unwrap();
    found.unwrap();
    assert_eq!(server.count(DISCOVERY), 1);
}

#[tokio::test]
async fn whoever_waits_for_an_issuer_that_hangs_waits_for_five_seconds() {
    let server = TestIssuer::start(&[&key("a")]).await;
    server.set(KEYS, Reply::keys(&[]).delayed(Duration::from_secs(30)));
    let mut config = server.config();
    config.transport.timeout = Duration::from_secs(20);
    let issuers = issuers(&[config], &Clock::adjustable());
    let started = Instant::now();
    assert!(matches!(find(only(&issuers), "a").await, Err(KeyError::Unavailable(_))));
    assert!((4..7).contains(&started.elapsed().as_secs()));
}

#[tokio::test]
async fn another_issuers_discovery_document_is_refused() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let mut metadata = server.metadata();
    metadata["issuer"] = json!("https://elsewhere.example");
    server.set(DISCOVERY, Reply::json(&metadata));
    let issuers = issuers(&[server.config()], &Clock::adjustable());
    let error = find(only(&issuers), "a").await.unwrap_err();
    let FetchError::Discovery(cause) = cause(&error) else { panic!("{error:?}") };
    assert!(matches!(**cause, FetchError::OtherIssuer { .. }));
    assert_eq!(server.count(KEYS), 0);
}

#[tokio::test]
async fn a_change_of_endpoints_is_adopted_at_refresh_and_a_change_of_issuer_is_not() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let clock = Clock::adjustable();
    let issuers = issuers(&[server.config()], &clock);
    find(only(&issuers), "a").await.unwrap();

    let mut metadata = server.metadata();
    metadata["jwks_uri"] = json!(server.url("/realm/moved").as_str());
    server.set("/realm/moved", Reply::keys(&[&key("a"), &key("b")]));
    server.set(DISCOVERY, Reply::json(&metadata));
    clock.advance(Duration::from_secs(601));
    find(only(&issuers), "a").await.unwrap();
    server.wait_for("/realm/moved", 1).await;
    find(only(&issuers), "b").await.unwrap();

    metadata["issuer"] = json!("https://elsewhere.example");
    metadata["jwks_uri"] = json!(server.url("/realm/evil").as_str());
    server.set(DISCOVERY, Reply::json(&metadata));
    clock.advance(Duration::from_secs(601));
    find(only(&issuers), "a").await.unwrap();
    server.wait_for("/realm/moved", 2).await;
    find(only(&issuers), "b").await.unwrap();
    assert_eq!(server.count("/realm/evil"), 0);
}

#[tokio::test]
async fn the_issuer_is_dialled_at_its_backchannel() {
    let server = TestIssuer::start(&[&key("a")]).await;
    server.set(
        DISCOVERY,
        Reply::json(&json!({"issuer": "https://id.example/r", "jwks_uri": "https://id.example/r/keys"})),
    );
    let config = configured("https://id.example/r", KeySource::Discovery { base: server.url("/realm") });
    let issuers = issuers(&[config], &Clock::adjustable());
    find(only(&issuers), "a").await.unwrap();
}

#[tokio::test]
async fn documents_that_are_not_what_they_should_be_are_refused() {
    let a = key("a");
    let cases: [(&str, Reply); 5] = [
        ("html", Reply { content_type: "text/html", ..Reply::keys(&[&a]) }),
        ("untyped", Reply { content_type: "", ..Reply::keys(&[&a]) }),
        ("garbage", Reply { body: "<html>".to_owned(), ..Reply::status(200) }),
        (
            "long",
            Reply { body: format!("{{\"keys\":[],\"a\":\"{}\"}}", "a".repeat(1024 * 1024)), ..Reply::status(200) },
        ),
        ("redirect", Reply { headers: vec![("location", "/elsewhere".to_owned())], ..Reply::status(302) }),
    ];
    for (name, reply) in cases {
        let server = TestIssuer::start(&[]).await;
        server.set(KEYS, reply);
        server.set("/elsewhere", Reply::keys(&[&a]));
        let issuers = issuers(&[server.config()], &Clock::adjustable());
        let error = find(only(&issuers), "a").await.unwrap_err();
        let expected = match cause(&error) {
            FetchError::ContentType => matches!(name, "html" | "untyped"),
            FetchError::Unreadable(_) => name == "garbage",
            FetchError::Transport(super::TransportError::TooLarge { .. }) => name == "long",
            FetchError::Status(_) => name == "redirect",
            _ => false,
        };
        assert!(expected, "{name}: {error:?}");
        assert_eq!(server.count("/elsewhere"), 0);
    }
}

#[tokio::test]
async fn the_key_set_may_stand_at_a_fixed_url() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let issuers = issuers(&[configured("legacy", KeySource::JwksUrl(server.url(KEYS)))], &Clock::adjustable());
    find(only(&issuers), "a").await.unwrap();
    assert_eq!(server.count(DISCOVERY), 0);
}

#[tokio::test]
async fn uses_that_need_no_key_refresh_the_keys_as_well() {
    let server = TestIssuer::start(&[&key("a")]).await;
    let clock = Clock::adjustable();
    let issuers = issuers(&[server.config()], &clock);
    find(only(&issuers), "a").await.unwrap();
    only(&issuers).refresh_keys_if_due();
    clock.advance(Duration::from_secs(601));
    only(&issuers).refresh_keys_if_due();
    wait_until(|| server.count(KEYS) == 2).await;
}

#[tokio::test]
async fn a_configured_key_that_cannot_be_used_is_said_at_start() {
    let tasks = crate::tasks::Tasks::new(tokio::runtime::Handle::current());
    let garbage = configured("legacy", KeySource::PublicKey(b"-----BEGIN NOTHING-----".to_vec()));
    let mut unfit = configured("legacy", KeySource::PublicKey(key("a").public_pem().into_bytes()));
    unfit.algorithms = vec![Algorithm::RS256];
    for config in [garbage, unfit] {
        let error = Issuers::new(&[config], &tasks, &Clock::system()).unwrap_err();
        assert!(matches!(error, IssuersError::Key { .. }), "{error:?}");
    }
}
