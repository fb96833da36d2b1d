use std::sync::atomic::{AtomicUsize, Ordering};

use super::sheets::purpose;
use super::*;
use crate::config::Secret;
use crate::oauth::RefreshToken;
use crate::session::formats::committed;
use crate::session::shared::simulated::Simulated;
use crate::session::store::policy::SPARE;
use crate::session::store::{Access, Need, Presenter, Tokens};

const POLICY: Policy = Policy {
    grace: Duration::from_secs(60),
    idle: Duration::from_secs(8 * 3600),
    keep: Duration::from_secs(30 * 86_400),
    dated: true,
    max_records: 100_000,
    max_bytes: 100_000_000,
};

/// A server and its clock, for instances with any secrets.
struct Bench {
    server: Simulated,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::stopped();
        Self { server: Simulated::new(&clock), clock }
    }

    fn instance(&self, secrets: &[&str]) -> SharedStore<Simulated> {
        SharedStore::new(self.server.clone(), "usher", (POLICY, sealer(secrets)), self.clock.clone())
    }

    fn tokens(&self, refresh_token: &str) -> Outcome {
        let now = self.clock.now();
        let access = Access {
            token: AccessToken::new(&format!("canary-access beside {refresh_token}")),
            subject: Some("canary-alice".into()),
            expires_at: now.after(Duration::from_secs(300)),
            due_at: now.after(Duration::from_secs(270)),
        };
        let tokens = Tokens { access: Some(access), refresh_token: RefreshToken::new(refresh_token) };
        Outcome::Tokens { successor: key(refresh_token), tokens, nameless: false }
    }

    /// Renews this token to that one.
    async fn renew(&self, store: &SharedStore<Simulated>, spent: &str, successor: &str) {
        let lead = store.claim(&ask(spent)).await.unwrap().unwrap();
        assert_eq!(store.record(&lead.ticket, &self.tokens(successor)).await, Recording::Recorded);
    }
}

fn sealer(secrets: &[&str]) -> Sealer {
    Sealer::new(&secrets.iter().map(|secret| Secret::new(secret.as_bytes().to_vec())).collect::<Vec<_>>()).unwrap()
}

fn key(token: &str) -> RecordKey {
    RecordKey::of("company", &RefreshToken::new(token))
}

fn ask(token: &str) -> Ask {
    let (by, need) = (Presenter::Browser, Need::Token);
    Ask { key: key(token), token: RefreshToken::new(token), session: None, beside: None, by, need }
}

/// What a token is renewed to, if that is recorded.
async fn recorded(store: &SharedStore<Simulated>, token: &str) -> Option<String> {
    match store.look(&ask(token)).await {
        Standing::Recorded(tokens) => Some(tokens.refresh_token.expose().to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn who_reads_the_server_learns_no_token_and_no_name() {
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    bench.renew(&store, "canary-1", "canary-2").await;
    bench.clock.advance(Duration::from_secs(400));
    bench.renew(&store, "canary-2", "canary-3").await;
    let values = bench.server.values();
    assert_eq!(values.len(), 3, "a chain, and two pointers to it: {values:?}");
    let text = format!("{values:?}");
    assert!(!text.contains("canary") && !text.contains("company"), "{text}");
    assert!(values.keys().all(|key| key.starts_with("usher:")));
}

/// The chain of `one`, which was renewed to `two`, and the pointer to it, under the keys that they stand at.
#[tokio::test]
async fn a_chain_is_found_and_read_as_it_was_committed() {
    let bench = Bench::new();
    for name in ["chain", "pointer"] {
        let stored = committed("store", name);
        let (key, value) = stored.split_once(' ').unwrap();
        bench.server.overwrite(key, value.as_bytes());
    }
    let store = bench.instance(&["a session secret"]);
    for token in ["one", "two"] {
        assert_eq!(recorded(&store, token).await.as_deref(), Some("two"));
    }
}

#[tokio::test]
async fn looking_writes_nothing_that_is_known_already() {
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    bench.renew(&store, "one", "two").await;
    assert_eq!(recorded(&store, "two").await.as_deref(), Some("two"));
    let writes = bench.server.writes();
    for _ in 0..10 {
        assert_eq!(recorded(&store, "one").await.as_deref(), Some("two"));
        assert_eq!(recorded(&store, "two").await.as_deref(), Some("two"));
        store.note_presented(&key("two")).await.unwrap();
        assert!(matches!(store.look(&ask("never heard of")).await, Standing::Vacant));
    }
    assert_eq!(bench.server.writes(), writes);
}

#[tokio::test]
async fn what_is_known_of_tokens_stays_for_as_long_as_cookies_with_them_count() {
    let bench = Bench::new();
    for (dated, token, stays) in
        [(true, "one", Duration::from_secs(300) + POLICY.idle + SPARE), (false, "two", POLICY.keep)]
    {
        let store = bench.instance(&["s"]);
        store.set_terms(Policy { dated, ..POLICY }, sealer(&["s"]));
        let successor = format!("after {token}");
        bench.renew(&store, token, &successor).await;
        let sheet = store.sheet_key(ChainId::beginning_with(&key(token)));
        for key in [sheet, store.pointer_key(&key(&successor))] {
            assert_eq!(bench.server.lasts(&key), Some(stays), "{dated} {key}");
        }
    }
}

#[tokio::test]
async fn a_thousand_claims_at_once_write_once() {
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    let claims = (0..1_000).map(|n| {
        let (store, ask) = (if n % 2 == 0 { &one } else { &other }, ask("one"));
        async move { store.claim(&ask).await.unwrap().is_some() }
    });
    let led = futures_util::future::join_all(claims).await;
    assert_eq!((led.into_iter().filter(|led| *led).count(), bench.server.writes()), (1, 1));
}

#[tokio::test]
async fn secrets_rotate_across_a_fleet_without_a_loss() {
    let bench = Bench::new();
    let (old, both, new) = (bench.instance(&["old"]), bench.instance(&["old", "new"]), bench.instance(&["new", "old"]));
    bench.renew(&old, "one", "two").await;
    for store in [&both, &new] {
        assert_eq!(recorded(store, "one").await.as_deref(), Some("two"));
    }
    bench.clock.advance(Duration::from_secs(400));
    bench.renew(&new, "two", "three").await;
    assert_eq!(recorded(&both, "one").await.as_deref(), Some("three"));
}

#[tokio::test]
async fn what_cannot_be_read_is_as_if_it_were_not_there_and_is_overwritten() {
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    bench.renew(&bench.instance(&["another secret"]), "one", "two").await;
    let sheet_key = store.sheet_key(ChainId::beginning_with(&key("one")));
    let foreign = bench.server.values()[&sheet_key].clone();
    let of_the_next_version = sealer(&["s"]).seal(&purpose(ChainId::beginning_with(&key("one"))), &[2, 7, 7]).unwrap();
    let no_text = [0xff; 40];
    for value in [
        "x".as_bytes(),
        b"",
        &no_text,
        "\u{e9}".repeat(10).as_bytes(),
        foreign.as_bytes(),
        of_the_next_version.as_bytes(),
    ] {
        bench.server.overwrite(&sheet_key, value);
        bench.server.overwrite(&store.pointer_key(&key("one")), value);
        assert!(matches!(store.look(&ask("one")).await, Standing::Vacant), "{value:?}");
        bench.renew(&store, "one", "two").await;
        assert_eq!(recorded(&store, "one").await.as_deref(), Some("two"), "{value:?}");
    }
}

#[tokio::test]
async fn a_value_that_was_moved_to_another_chain_does_not_count_there() {
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    bench.renew(&store, "alice", "alice-2").await;
    let sheet = |token: &str| store.sheet_key(ChainId::beginning_with(&key(token)));
    let moved = bench.server.values()[&sheet("alice")].clone();
    bench.server.overwrite(&sheet("bob"), moved.as_bytes());
    let chain = ChainId::beginning_with(&key("bob")).to_string();
    bench.server.overwrite(&store.pointer_key(&key("alice")), chain.as_bytes());
    assert!(matches!(store.look(&ask("alice")).await, Standing::Vacant));
}

#[tokio::test]
async fn an_outcome_is_recorded_even_when_the_server_has_forgotten_everything_meanwhile() {
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    bench.renew(&one, "one", "two").await;
    bench.clock.advance(Duration::from_secs(400));
    let lead = one.claim(&ask("two")).await.unwrap().unwrap();
    bench.server.flush();
    assert_eq!(one.record(&lead.ticket, &bench.tokens("three")).await, Recording::Recorded);
    for token in ["two", "three"] {
        assert_eq!(recorded(&other, "three").await.as_deref(), Some("three"), "{token}");
    }
}

#[tokio::test]
async fn whoever_led_before_the_server_forgot_does_not_speak_for_who_leads_now() {
    let bench = Bench::new();
    let (stale, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    let before = stale.claim(&ask("one")).await.unwrap().unwrap();
    bench.server.flush();
    bench.clock.advance(Duration::from_millis(5));
    let now = other.claim(&ask("one")).await.unwrap().unwrap();
    assert_ne!(before.ticket.number, now.ticket.number);
    assert_eq!(stale.record(&before.ticket, &bench.tokens("stale")).await, Recording::Fenced);
    assert_eq!(other.record(&now.ticket, &bench.tokens("two")).await, Recording::Recorded);
}

#[tokio::test]
async fn whoever_leads_and_says_so_is_not_taken_for_dead() {
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    let lead = one.claim(&ask("one")).await.unwrap().unwrap();
    for _ in 0..5 {
        bench.clock.advance(HEARTBEAT * 2);
        assert!(other.claim(&ask("one")).await.unwrap().is_none());
        one.extend(&lead.ticket).await;
    }
    bench.clock.advance(LEASE);
    let successor = other.claim(&ask("one")).await.unwrap().unwrap();
    assert!(successor.answer_lost, "whoever led may have sent the token");
    one.extend(&lead.ticket).await;
    assert_eq!(one.record(&lead.ticket, &bench.tokens("stale")).await, Recording::Fenced);
    assert_eq!(other.record(&successor.ticket, &bench.tokens("two")).await, Recording::Recorded);
}

#[tokio::test]
async fn a_holder_that_slept_goes_on_when_nobody_took_over() {
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    let lead = store.claim(&ask("one")).await.unwrap().unwrap();
    bench.clock.advance(10 * LEASE);
    assert_eq!(store.record(&lead.ticket, &bench.tokens("two")).await, Recording::Recorded);
}

#[tokio::test]
async fn while_the_server_is_away_an_outcome_is_had_where_it_was_obtained_and_later_everywhere() {
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    let lead = one.claim(&ask("one")).await.unwrap().unwrap();
    bench.server.leave();
    assert_eq!(one.record(&lead.ticket, &bench.tokens("two")).await, Recording::Kept);
    for token in ["one", "two"] {
        assert_eq!(recorded(&one, token).await.as_deref(), Some("two"));
        assert!(matches!(other.look(&ask(token)).await, Standing::Away));
    }
    assert!(one.claim(&ask("two")).await.is_err(), "nobody spends anything");
    // Longer than a lease: the others must not conclude that it died.
    bench.clock.advance(2 * LEASE);
    bench.server.return_again();
    assert!(matches!(other.look(&ask("one")).await, Standing::InFlight(_)));
    assert!(other.claim(&ask("one")).await.unwrap().is_none());
    assert_eq!(one.record(&lead.ticket, &bench.tokens("two")).await, Recording::Recorded);
    assert_eq!(recorded(&other, "one").await.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_session_that_ends_while_the_server_is_away_has_ended_here_and_later_everywhere() {
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    bench.renew(&one, "one", "two").await;
    bench.server.leave();
    let ending = one.end(&ask("two"), EndCause::SignedOut).await.unwrap();
    assert!(!ending.recorded);
    assert_eq!(ending.refresh_token.unwrap().expose(), "two");
    bench.server.return_again();
    let ending = one.end_again(&ask("two"), EndCause::SignedOut).await.unwrap();
    assert!(ending.recorded && ending.access_tokens.len() == 1);
    for token in ["one", "two"] {
        assert!(matches!(other.look(&ask(token)).await, Standing::Ended(EndCause::SignedOut)));
    }
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_says_the_second_time_what_is_left_to_do() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    bench.renew(&other, "one", "two").await;
    // The pointer, the sheet, and then the end, which is written.
    bench.server.lose_answers(|| ASKED.fetch_add(1, Ordering::Relaxed) == 2);
    let ending = one.end(&ask("one"), EndCause::SignedOut).await.unwrap();
    assert!(!ending.recorded && ending.access_tokens.is_empty());
    assert!(matches!(other.look(&ask("two")).await, Standing::Ended(EndCause::SignedOut)));
    let ending = one.end_again(&ask("one"), EndCause::SignedOut).await.unwrap();
    assert!(ending.recorded && ending.access_tokens.len() == 1);
    assert_eq!(ending.refresh_token.unwrap().expose(), "two");
    assert!(one.end(&ask("one"), EndCause::SignedOut).await.is_none(), "whoever comes later has nothing to do");
}

#[tokio::test]
async fn a_session_whose_outcome_is_kept_is_ended_again_until_all_know() {
    let bench = Bench::new();
    let (one, other) = (bench.instance(&["s"]), bench.instance(&["s"]));
    let lead = one.claim(&ask("one")).await.unwrap().unwrap();
    bench.server.leave();
    assert_eq!(one.record(&lead.ticket, &bench.tokens("two")).await, Recording::Kept);
    assert!(!one.end(&ask("one"), EndCause::SignedOut).await.unwrap().recorded);
    assert!(!one.end_again(&ask("one"), EndCause::SignedOut).await.unwrap().recorded, "nobody else knows yet");
    bench.server.return_again();
    assert_eq!(one.record(&lead.ticket, &bench.tokens("two")).await, Recording::Recorded);
    let ending = one.end_again(&ask("one"), EndCause::SignedOut).await.unwrap();
    assert!(ending.recorded && ending.access_tokens.len() == 1);
    assert_eq!(ending.refresh_token.unwrap().expose(), "two");
    assert!(matches!(other.look(&ask("two")).await, Standing::Ended(EndCause::SignedOut)));
}

#[tokio::test]
async fn what_a_renewal_brings_for_a_session_that_has_ended_is_undone_though_the_server_did_not_answer() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    let lead = store.claim(&ask("one")).await.unwrap().unwrap();
    let ending = store.end(&ask("one"), EndCause::SignedOut).await.unwrap();
    assert!(ending.refresh_token.is_none(), "whoever spends it revokes it");
    // The pointer, the sheet, and then the outcome, which is written.
    bench.server.lose_answers(|| ASKED.fetch_add(1, Ordering::Relaxed) == 2);
    assert_eq!(store.record(&lead.ticket, &bench.tokens("two")).await, Recording::Kept);
    let recording = store.record(&lead.ticket, &bench.tokens("two")).await;
    assert_eq!(recording, Recording::SessionEnded(EndCause::SignedOut));
}

#[tokio::test]
async fn a_chain_does_not_grow_without_bound() {
    let bench = Bench::new();
    let store = bench.instance(&["s"]);
    let mut longest = 0;
    for n in 0..200 {
        bench.renew(&store, &format!("token {n}"), &format!("token {}", n + 1)).await;
        store.note_presented(&key(&format!("token {}", n + 1))).await.unwrap();
        bench.clock.advance(Duration::from_secs(400));
        longest = bench.server.values().values().map(String::len).max().unwrap().max(longest);
    }
    assert!(longest < 32 << 10, "{longest} bytes");
    assert!(matches!(store.look(&ask("token 199")).await, Standing::Reused), "those at its end are known still");
}
