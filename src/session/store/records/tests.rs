use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::TokenHash;
use crate::session::store::{Access, Need, Presenter};

const LEASE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(300);
const POLICY: Policy = Policy {
    grace: Duration::from_secs(60),
    idle: Duration::from_secs(10_000),
    keep: Duration::from_secs(1_000_000),
    dated: true,
    max_records: 10_000,
    max_bytes: 1_000_000,
};

/// Records and a time that the test moves.
struct Bench {
    records: Records,
    now: Now,
    issued: usize,
}

fn key(token: &str) -> RecordKey {
    RecordKey::of("company", &RefreshToken::new(token))
}

fn ask(token: &str) -> Ask {
    let (by, need) = (Presenter::Browser, Need::Token);
    Ask { key: key(token), token: RefreshToken::new(token), session: None, beside: None, by, need }
}

impl Bench {
    fn new(policy: Policy) -> Self {
        let now = Now { instant: Instant::now(), wall: Timestamp(1_000_000) };
        Self { records: Records::new(policy), now, issued: 0 }
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { instant: self.now.instant + time, wall: self.now.wall.after(time) };
    }

    fn look(&mut self, token: &str) -> Decision {
        self.records.look(&ask(token), self.now)
    }

    fn claim(&mut self, token: &str) -> Option<Lead> {
        self.records.claim(&ask(token), LEASE, self.now)
    }

    fn tokens(&mut self, refresh_token: &str, owner: &str) -> Outcome {
        self.issued += 1;
        let access = Access {
            token: AccessToken::new(&format!("access {owner} {}", self.issued)),
            subject: Some(owner.into()),
            expires_at: self.now.wall.after(LIFETIME),
            due_at: self.now.wall.after(LIFETIME),
        };
        let tokens = Tokens { access: Some(access), refresh_token: RefreshToken::new(refresh_token) };
        Outcome::Tokens { successor: key(refresh_token), tokens, nameless: false }
    }

    /// Renews `token` to `successor`.
    fn renew(&mut self, token: &str, successor: &str) -> Recording {
        let lead = self.claim(token).unwrap();
        let outcome = self.tokens(successor, "alice");
        self.records.record(&lead.ticket, outcome, self.now)
    }
}

#[test]
fn one_claims_and_everybody_else_waits_for_that() {
    let mut bench = Bench::new(POLICY);
    assert!(matches!(bench.look("a"), Decision::Vacant(_)));
    assert!(bench.claim("a").is_some());
    assert!(bench.claim("a").is_none());
    assert!(matches!(bench.look("a"), Decision::InFlight(found) if found == key("a")));
}

#[test]
fn r9_a_leader_taken_for_dead_is_fenced_when_it_wakes_up() {
    let mut bench = Bench::new(POLICY);
    let slow = bench.claim("a").unwrap();
    bench.pass(LEASE);
    let second = bench.claim("a").unwrap();
    assert!(second.answer_lost && second.ticket.number > slow.ticket.number);
    let late = bench.tokens("late", "alice");
    assert_eq!(bench.records.record(&slow.ticket, late.clone(), bench.now), Recording::Fenced);
    let outcome = bench.tokens("b", "alice");
    assert_eq!(bench.records.record(&second.ticket, outcome, bench.now), Recording::Recorded);
    assert_eq!(bench.records.record(&slow.ticket, late, bench.now), Recording::Fenced);
    let Decision::Recorded(tokens) = bench.look("a") else { panic!() };
    assert_eq!(tokens.refresh_token.expose(), "b");
}

#[test]
fn an_outcome_is_recorded_once() {
    let mut bench = Bench::new(POLICY);
    let lead = bench.claim("a").unwrap();
    let outcome = bench.tokens("b", "alice");
    assert_eq!(bench.records.record(&lead.ticket, outcome.clone(), bench.now), Recording::Recorded);
    assert_eq!(bench.records.record(&lead.ticket, outcome, bench.now), Recording::Fenced);
}

#[test]
fn an_issuer_that_gives_an_older_token_again_makes_it_good_again() {
    let mut bench = Bench::new(POLICY);
    bench.renew("a", "b");
    bench.pass(LIFETIME);
    bench.renew("b", "a");
    bench.pass(LIFETIME);
    assert_eq!(bench.renew("b", "c"), Recording::Recorded);
    for token in ["a", "b"] {
        let Decision::Recorded(tokens) = bench.look(token) else { panic!() };
        assert_eq!(tokens.refresh_token.expose(), "c");
    }
}

#[test]
fn raw_cookies_inherit_the_session_along_the_chain() {
    let mut bench = Bench::new(POLICY);
    bench.renew("a", "b");
    bench.pass(LIFETIME);
    bench.renew("b", "c");
    assert!(bench.records.end(&ask("c"), EndCause::SignedOut, bench.now).is_some());
    for token in ["a", "b", "c"] {
        assert!(matches!(bench.look(token), Decision::Ended(EndCause::SignedOut)));
    }
}

#[test]
fn a_spent_token_after_the_grace_is_theft_in_a_browser_and_a_lost_write_in_the_store() {
    let mut bench = Bench::new(POLICY);
    bench.renew("a", "b");
    bench.records.presented(&key("b"), bench.now);
    bench.pass(POLICY.grace);
    assert!(matches!(bench.look("a"), Decision::Reused));
    let kept = Ask { by: Presenter::Keeper, ..ask("a") };
    let Decision::Recorded(tokens) = bench.records.look(&kept, bench.now) else { panic!() };
    assert_eq!(tokens.refresh_token.expose(), "b");
    bench.pass(LIFETIME);
    assert_eq!(bench.records.claim(&kept, LEASE, bench.now).unwrap().token.expose(), "b");
}

#[test]
fn ending_a_session_names_every_access_token_that_is_still_good() {
    let mut bench = Bench::new(POLICY);
    bench.renew("a", "b");
    bench.pass(Duration::from_secs(290));
    bench.records.presented(&key("b"), bench.now);
    let ahead = Ask { need: Need::FresherToken, ..ask("b") };
    assert!(bench.records.claim(&ahead, LEASE, bench.now).is_none(), "it is not due");
    bench.pass(Duration::from_secs(10));
    bench.renew("b", "c");
    let ending = bench.records.end(&ask("c"), EndCause::SignedOut, bench.now).unwrap();
    assert_eq!(ending.refresh_token.unwrap().expose(), "c");
    assert_eq!(ending.access_tokens.len(), 1);
    assert_eq!(ending.access_tokens[0].0, TokenHash::of("access alice 2"));
}

#[test]
fn r17_under_pressure_the_oldest_settled_records_go_first() {
    let mut bench = Bench::new(Policy { max_records: 4, ..POLICY });
    bench.renew("unfetched", "lost");
    bench.pass(Duration::from_secs(1));
    bench.renew("a", "b");
    bench.records.presented(&key("b"), bench.now);
    bench.pass(Duration::from_secs(1));
    bench.renew("x", "y");
    assert_eq!(bench.records.shelf.len(), 4);
    // "a" was settled and went; then "unfetched", seen longest ago. What was just recorded is there.
    assert!(matches!(bench.look("a"), Decision::Vacant(_)));
    assert!(matches!(bench.look("unfetched"), Decision::Vacant(_)));
    assert!(matches!(bench.look("x"), Decision::Recorded(_)));
}

#[test]
fn r17_the_bytes_of_tokens_are_bounded() {
    let mut bench = Bench::new(Policy { max_bytes: 5_000, ..POLICY });
    for number in 0..100 {
        bench.renew(&format!("{number}"), &format!("{number}{}", "x".repeat(1_000)));
        assert!(bench.records.shelf.bytes() <= 5_000);
    }
}

#[test]
fn what_is_old_is_forgotten_without_anybody_asking() {
    let mut bench = Bench::new(POLICY);
    for number in 0..20 {
        bench.renew(&format!("a{number}"), &format!("b{number}"));
    }
    bench.pass(POLICY.idle);
    assert!(matches!(bench.look("other"), Decision::Vacant(_)));
    assert!(matches!(bench.look("other"), Decision::Vacant(_)));
    assert_eq!(bench.records.shelf.len(), 20);
    bench.pass(POLICY.keep);
    assert!(matches!(bench.look("other"), Decision::Vacant(_)));
    assert_eq!(bench.records.shelf.len(), 0);
}

/// One step of a random history, by user and by the place of the token in what was issued to that user.
#[derive(Clone, Debug)]
enum Step {
    Look(usize, usize, bool),
    Claim(usize, usize, bool),
    Record(usize, Brings),
    Present(usize, usize),
    End(usize, usize),
    Pass(u64),
}

#[derive(Clone, Debug)]
enum Brings {
    Successor,
    SameToken,
    Unverified,
    Rejected,
    Trouble,
    NotSent,
}

fn step() -> impl Strategy<Value = Step> {
    let brings = prop_oneof![
        5 => Just(Brings::Successor), 1 => Just(Brings::SameToken), 1 => Just(Brings::Unverified),
        1 => Just(Brings::Rejected), 1 => Just(Brings::Trouble), 1 => Just(Brings::NotSent),
    ];
    prop_oneof![
        6 => (0..3_usize, 0..9_usize, any::<bool>()).prop_map(|(user, token, ahead)| Step::Look(user, token, ahead)),
        6 => (0..3_usize, 0..9_usize, any::<bool>()).prop_map(|(user, token, ahead)| Step::Claim(user, token, ahead)),
        6 => (0..4_usize, brings).prop_map(|(ticket, brings)| Step::Record(ticket, brings)),
        3 => (0..3_usize, 0..9_usize).prop_map(|(user, token)| Step::Present(user, token)),
        1 => (0..3_usize, 0..9_usize).prop_map(|(user, token)| Step::End(user, token)),
        4 => prop_oneof![Just(1), Just(40), Just(70), Just(301)].prop_map(Step::Pass),
    ]
}

/// What must be true of a history, kept in the plainest way.
struct Reference {
    bench: Bench,
    /// Every token issued to each user, in order.
    issued: Vec<Vec<String>>,
    /// Tokens that were rotated away.
    spent: HashSet<String>,
    /// The highest place in the user's chain that was presented.
    presented: Vec<usize>,
    ended: HashSet<usize>,
    leads: Vec<(Lead, usize, Instant)>,
    /// The newest ticket of each token.
    newest: HashMap<String, u64>,
}

impl Reference {
    fn new(policy: Policy) -> Self {
        let issued = (0..3).map(|user| vec![format!("{user}:0")]).collect();
        Self {
            bench: Bench::new(policy),
            issued,
            spent: HashSet::new(),
            presented: vec![0; 3],
            ended: HashSet::new(),
            leads: Vec::new(),
            newest: HashMap::new(),
        }
    }

    fn ask(&mut self, user: usize, token: usize, ahead: bool) -> Ask {
        let token = token % self.issued[user].len();
        let need = if ahead { Need::FresherToken } else { Need::Token };
        Ask { need, ..ask(&self.issued[user][token]) }
    }

    fn present(&mut self, user: usize, token: usize) {
        let token = token % self.issued[user].len();
        self.presented[user] = self.presented[user].max(token);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Look(user, token, ahead) => self.look(user, token, ahead),
            Step::Claim(user, token, ahead) => self.claim(user, token, ahead),
            Step::Record(ticket, brings) if !self.leads.is_empty() => self.record(ticket % self.leads.len(), &brings),
            Step::Record(..) => {}
            Step::Present(user, token) => {
                let ask = self.ask(user, token, false);
                self.present(user, token);
                self.bench.records.presented(&ask.key, self.bench.now);
            }
            Step::End(user, token) => {
                let ask = self.ask(user, token, false);
                let ending = self.bench.records.end(&ask, EndCause::SignedOut, self.bench.now);
                assert_eq!(ending.is_some(), self.ended.insert(user), "a session ends once");
            }
            Step::Pass(seconds) => self.bench.pass(Duration::from_secs(seconds)),
        }
    }

    fn look(&mut self, user: usize, token: usize, ahead: bool) {
        let ask = self.ask(user, token, ahead);
        self.present(user, token);
        let decision = self.bench.records.look(&ask, self.bench.now);
        if self.ended.contains(&user) {
            assert!(matches!(decision, Decision::Ended(_)), "an ended session stays ended: {decision:?}");
            return;
        }
        match decision {
            Decision::Recorded(tokens) => {
                let refresh_token = tokens.refresh_token.expose();
                assert!(self.issued[user].iter().any(|issued| issued == refresh_token), "it is the user's own");
                assert!(!self.spent.contains(refresh_token), "the newest is not spent");
                assert_eq!(tokens.access.unwrap().subject.as_deref(), Some(user.to_string().as_str()));
            }
            Decision::Reused => {
                let place = token % self.issued[user].len();
                assert!(self.spent.contains(ask.token.expose()) && self.presented[user] > place);
            }
            Decision::Ended(cause) => panic!("nobody ended it: {cause:?}"),
            Decision::Forgotten => panic!("nothing was dropped"),
            _ => {}
        }
    }

    fn claim(&mut self, user: usize, token: usize, ahead: bool) {
        let ask = self.ask(user, token, ahead);
        let Some(lead) = self.bench.records.claim(&ask, LEASE, self.bench.now) else { return };
        let spends = lead.token.expose().to_owned();
        assert!(!self.ended.contains(&user), "an ended session renews nothing");
        assert!(!self.spent.contains(&spends), "a spent token is never spent again");
        assert!(self.issued[user].contains(&spends), "the token is the user's own");
        let now = self.bench.now.instant;
        let other = self.leads.iter().find(|(other, _, since)| {
            let live = now.saturating_duration_since(*since) < LEASE;
            other.token == lead.token && live && self.newest.get(&spends) == Some(&other.ticket.number)
        });
        assert!(other.is_none(), "one leads at a time");
        assert!(self.newest.get(&spends).is_none_or(|before| *before < lead.ticket.number), "tickets only grow");
        self.newest.insert(spends, lead.ticket.number);
        self.leads.push((lead, user, now));
    }

    fn record(&mut self, index: usize, brings: &Brings) {
        let (lead, user, _) = self.leads.remove(index);
        let spends = lead.token.expose().to_owned();
        let successor = format!("{user}:{}", self.issued[user].len());
        let owner = user.to_string();
        let (outcome, successor) = match brings {
            Brings::Successor => (self.bench.tokens(&successor, &owner), Some(successor)),
            Brings::SameToken => (self.bench.tokens(&spends, &owner), None),
            Brings::Unverified => {
                let tokens = Tokens { access: None, refresh_token: RefreshToken::new(&successor) };
                (Outcome::Tokens { successor: key(&successor), tokens, nameless: false }, Some(successor))
            }
            Brings::Rejected => (Outcome::Rejected, None),
            Brings::Trouble => (Outcome::Unavailable { retry_after: None, answer_lost: false }, None),
            Brings::NotSent => (Outcome::NotSent(Duration::from_secs(1)), None),
        };
        let is_newest = self.newest.get(&spends) == Some(&lead.ticket.number);
        let expected = match (is_newest, self.ended.contains(&user)) {
            (_, true) => Recording::SessionEnded(EndCause::SignedOut),
            (false, false) => Recording::Fenced,
            (true, false) => Recording::Recorded,
        };
        assert_eq!(self.bench.records.record(&lead.ticket, outcome, self.bench.now), expected);
        if let Some(successor) = successor.filter(|_| is_newest) {
            self.spent.insert(spends);
            self.issued[user].push(successor);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_history_spends_a_token_twice_mixes_users_or_revives_a_session(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut reference = Reference::new(POLICY);
        for step in steps {
            reference.take(step);
        }
    }

    #[test]
    fn a_shelf_that_is_always_full_stays_within_its_bounds_and_mixes_nobody(
        steps in prop::collection::vec((0..40_usize, any::<bool>()), 1..200),
    ) {
        let policy = Policy { max_records: 8, max_bytes: 600, ..POLICY };
        let mut bench = Bench::new(policy);
        for (number, rotates) in steps {
            let token = format!("{number}");
            bench.pass(Duration::from_secs(7));
            if let Decision::Recorded(tokens) = bench.look(&token) {
                prop_assert!(tokens.refresh_token.expose().starts_with(&token));
                prop_assert_eq!(tokens.access.unwrap().subject, Some(token.as_str().into()));
            }
            if let Some(lead) = bench.claim(&token) {
                let successor = if rotates { format!("{token}/{}", bench.issued) } else { token.clone() };
                let outcome = bench.tokens(&successor, &token);
                bench.records.record(&lead.ticket, outcome, bench.now);
                let found = matches!(bench.look(&token), Decision::Recorded(_));
                prop_assert!(found, "what was just recorded is there");
            }
            prop_assert!(bench.records.shelf.len() <= policy.max_records && bench.records.shelf.bytes() <= 600);
        }
    }
}
