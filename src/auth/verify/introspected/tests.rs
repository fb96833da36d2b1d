//! An issuer that is asked about its tokens, on a real socket.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::auth::verify::Verifier;
use crate::clock::Clock;
use crate::config::{Client, IdentityToken, Introspection, KeySource, Secret};
use crate::issuer::testing::{Break, Reply, TestIssuer, TestKey, configured, issuers, wait_until};
use crate::oauth::Algorithm;

const NOW: Timestamp = Timestamp(1_800_000_000);
/// Bytes for verified tokens.
const CACHE: usize = 1 << 20;
const ASK: &str = "/realm/introspect";
const FIRST: [IssuerId; 1] = [IssuerId(0)];
const BOTH: [IssuerId; 2] = [IssuerId(0), IssuerId(1)];

struct Fixture {
    server: TestIssuer,
    verifier: Verifier,
    key: TestKey,
    name: String,
}

impl Fixture {
    /// With another issuer beside it, whose tokens are signed.
    async fn start() -> Self {
        let key = TestKey::new("k1", Algorithm::ES256);
        let server = TestIssuer::start(&[&key]).await;
        let mut config = server.config();
        let endpoint = format!("http://{}{ASK}", server.address).parse().unwrap();
        let introspection = Introspection { endpoint: Some(endpoint), cache: Duration::from_secs(30) };
        config.identity = IdentityToken::Introspected(introspection);
        config.client = Some(Client {
            id: "usher".to_owned(),
            authentication: crate::config::ClientAuthentication::Basic(Secret::new(b"x y".to_vec())),
            scopes: Vec::new(),
            authorization_parameters: Vec::new(),
            end_session: true,
        });
        let other = configured("https://other.test", KeySource::PublicKey(key.public_pem().into_bytes()));
        let name = config.issuer.clone();
        let verifier = Verifier::new(issuers(&[config, other], &Clock::system()), CACHE as u64);
        let fixture = Self { server, verifier, key, name };
        fixture.says(&fixture.good());
        fixture
    }

    fn good(&self) -> Value {
        json!({"active": true, "iss": self.name, "aud": "gw", "sub": "alice", "exp": NOW.0 + 300, "token_type": "Bearer"})
    }

    fn says(&self, answer: &Value) {
        self.server.set(ASK, Reply::json(answer));
    }

    /// The verdict on an answer that differs in one member from a good one. `null`: without it.
    async fn member(&self, name: &str, value: Value) -> Outcome {
        let mut answer = self.good();
        answer[name] = value;
        answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.says(&answer);
        self.verify(&format!("{name}-{answer}").replace(|byte: char| !byte.is_ascii_alphanumeric(), "_")).await
    }

    async fn verify(&self, token: &str) -> Outcome {
        self.verifier.verify(token, &FIRST, NOW).await
    }

    fn questions(&self) -> usize {
        self.server.count(ASK)
    }
}

#[tokio::test]
async fn a_token_is_asked_about_once_and_then_again_when_the_answer_has_grown_old() {
    let fixture = Fixture::start().await;
    let verified = fixture.verify("v1.opaque").await.unwrap();
    assert_eq!((verified.claims.subject(), verified.issuer), (Some("alice"), IssuerId(0)));
    assert!(!verified.claims.0.contains_key("active"));
    let seen = fixture.server.last(ASK);
    assert_eq!(seen.body, "token=v1.opaque&token_type_hint=access_token");
    assert!(seen.headers.contains_key("authorization"));

    let at = |seconds| Timestamp(NOW.0 + seconds);
    fixture.verifier.verify("v1.opaque", &FIRST, at(29)).await.unwrap();
    assert_eq!(fixture.questions(), 1);
    // Another one of the same beginning is another one.
    fixture.says(&json!({"active": false}));
    assert!(matches!(fixture.verify("v1.other").await, Err(VerifyError::Inactive)));
    assert!(matches!(fixture.verifier.verify("v1.opaque", &FIRST, at(30)).await, Err(VerifyError::Inactive)));
    assert_eq!(fixture.questions(), 3);
}

#[tokio::test]
async fn an_answer_never_counts_beyond_exp() {
    let fixture = Fixture::start().await;
    let token = "short";
    fixture.says(&json!({"active": true, "aud": ["gw"], "exp": NOW.0 + 10}));
    let verified = fixture.verify(token).await.unwrap();
    assert_eq!(verified.known_until, Timestamp(NOW.0 + 10));
    // The issuer still says yes, but its own date says no.
    let late = fixture.verifier.verify(token, &FIRST, Timestamp(NOW.0 + 10)).await;
    assert!(matches!(late, Err(VerifyError::Inactive)), "{late:?}");
}

#[tokio::test]
async fn what_is_said_of_a_token_is_judged_like_signed_claims() {
    use VerifyError as E;
    let fixture = Fixture::start().await;
    let ok = |outcome: &Outcome| outcome.is_ok();
    assert!(ok(&fixture.member("iss", Value::Null).await));
    assert_eq!(fixture.member("iss", Value::Null).await.unwrap().claims.text("iss"), Some(&*fixture.name));
    assert!(matches!(fixture.member("iss", json!("https://evil")).await, Err(E::UntrustedIssuer)));
    assert!(matches!(fixture.member("iss", json!(["a"])).await, Err(E::Malformed(Malformed::Claim("iss")))));
    assert!(matches!(fixture.member("aud", Value::Null).await, Err(E::MissingClaim("aud"))));
    assert!(matches!(fixture.member("aud", json!("other")).await, Err(E::WrongAudience)));
    assert!(matches!(fixture.member("aud", json!(["gw", 1])).await, Err(E::Malformed(_))));
    assert!(ok(&fixture.member("aud", json!(["other", "gw"])).await));
    assert!(matches!(fixture.member("exp", Value::Null).await, Err(E::MissingClaim("exp"))));
    assert!(matches!(fixture.member("exp", json!(NOW.0)).await, Err(E::Inactive)));
    assert!(matches!(fixture.member("nbf", json!(NOW.0 + 9)).await, Err(E::NotYetValid { seconds: 9 })));
    assert!(matches!(fixture.member("iat", json!(NOW.0 + 9)).await, Err(E::NotYetValid { seconds: 9 })));
    assert!(ok(&fixture.member("sub", Value::Null).await), "as with signed tokens");
    assert!(matches!(fixture.member("sub", json!("a\r\nb")).await, Err(E::Malformed(_))));
    assert!(matches!(fixture.member("cnf", json!({"jkt": "x"})).await, Err(E::SenderConstrained)));
    assert!(matches!(fixture.member("at_hash", json!("x")).await, Err(E::WrongType)));
    assert!(matches!(fixture.member("events", json!({})).await, Err(E::WrongType)));
}

#[tokio::test]
async fn a_refresh_token_and_a_bound_token_are_no_bearer_access_tokens() {
    use VerifyError as E;
    let fixture = Fixture::start().await;
    for (name, word) in
        [("token_type", "bearer"), ("token_type", "access_token"), ("token_use", "access_token"), ("typ", "Bearer")]
    {
        assert!(fixture.member(name, json!(word)).await.is_ok(), "{name}: {word}");
    }
    assert!(fixture.member("token_type", Value::Null).await.is_ok());
    for (name, word) in
        [("token_type", "refresh_token"), ("token_type", "N_A"), ("token_use", "refresh_token"), ("typ", "Refresh")]
    {
        assert!(matches!(fixture.member(name, json!(word)).await, Err(E::WrongType)), "{name}: {word}");
    }
    assert!(matches!(fixture.member("token_type", json!("DPoP")).await, Err(E::SenderConstrained)));
    assert!(matches!(fixture.member("token_type", json!(1)).await, Err(E::Malformed(_))));
}

#[tokio::test]
async fn nothing_is_asked_about_what_cannot_be_a_token_or_has_another_signer() {
    let fixture = Fixture::start().await;
    let long = "a".repeat(LONGEST + 1);
    for text in ["", "a b", "a\u{e4}", "a,b", "a\"", "=", "a=b", "a&active=true", &long] {
        assert!(matches!(fixture.verify(text).await, Err(VerifyError::Malformed(_))), "{text:.10}");
    }
    let claims = json!({"iss": "https://other.test", "aud": "gw", "sub": "bob", "exp": NOW.0 + 300});
    let verified = fixture.verifier.verify(&fixture.key.token(&claims), &BOTH, NOW).await.unwrap();
    assert_eq!((verified.issuer, verified.claims.subject()), (IssuerId(1), Some("bob")));
    let forged = TestKey::new("k1", Algorithm::ES256).token(&claims);
    assert!(matches!(fixture.verifier.verify(&forged, &BOTH, NOW).await, Err(VerifyError::BadSignature)));
    assert!(matches!(fixture.verifier.verify("opaque", &BOTH[1..], NOW).await, Err(VerifyError::Malformed(_))));
    assert_eq!(fixture.questions(), 0);
    // One that the issuer itself has signed is its own to judge all the same.
    let own = fixture.key.token(&json!({"iss": fixture.name, "aud": "gw", "sub": "eve", "exp": NOW.0 + 300}));
    assert_eq!(fixture.verifier.verify(&own, &BOTH, NOW).await.unwrap().claims.subject(), Some("alice"));
    assert_eq!(fixture.questions(), 1);
}

#[tokio::test]
async fn however_many_ask_about_one_token_there_is_one_question_and_who_leaves_does_not_take_it_along() {
    let fixture = Fixture::start().await;
    fixture.server.set(ASK, Reply::json(&fixture.good()).delayed(Duration::from_millis(300)));
    let fixture = Arc::new(fixture);
    let ask = || {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.verify("one").await })
    };
    let first = ask();
    wait_until(|| fixture.questions() == 1).await;
    let others: Vec<_> = (0..50).map(|_| ask()).collect();
    first.abort();
    for other in others {
        assert!(other.await.unwrap().is_ok());
    }
    assert_eq!(fixture.questions(), 1);
}

#[tokio::test]
async fn an_inactive_token_is_remembered_for_a_few_seconds() {
    let fixture = Fixture::start().await;
    fixture.says(&json!({"active": false}));
    for _ in 0..5 {
        assert!(matches!(fixture.verify("gone").await, Err(VerifyError::Inactive)));
    }
    assert_eq!(fixture.questions(), 1);
    fixture.says(&fixture.good());
    assert!(fixture.verifier.verify("gone", &FIRST, Timestamp(NOW.0 + 5)).await.is_ok());
}

#[tokio::test]
async fn garbage_pushes_no_good_token_out_and_never_more_than_so_many_questions_are_under_way() {
    let fixture = Arc::new(Fixture::start().await);
    fixture.verify("good").await.unwrap();
    fixture.says(&json!({"active": false}));
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..10_000_u64 {
        let fixture = Arc::clone(&fixture);
        let token = URL_SAFE_NO_PAD.encode(digest(&SHA256, &number.to_be_bytes()));
        asking.spawn(async move { fixture.verify(&token).await });
    }
    while let Some(outcome) = asking.join_next().await {
        let error = outcome.unwrap().unwrap_err();
        assert!(matches!(error, VerifyError::Inactive | VerifyError::NotIntrospected(_)), "{error:?}");
        assert!(fixture.verifier.introspected.flights().len() <= MOST_FLIGHTS);
    }
    assert!((1..=32).contains(&fixture.server.most_at_once()), "{}", fixture.server.most_at_once());
    let before = fixture.questions();
    fixture.verify("good").await.unwrap();
    assert_eq!(fixture.questions(), before);
    assert!(fixture.verifier.introspected.refused.len() <= MOST_REFUSED);
}

#[tokio::test]
async fn trouble_of_the_issuer_is_no_verdict_and_is_not_remembered() {
    let fixture = Fixture::start().await;
    let good = Reply::json(&fixture.good());
    for (number, trouble) in [
        Reply::status(500),
        Reply::status(401),
        Reply::json(&json!({"active": "yes"})),
        Reply { content_type: "text/html", ..good.clone() },
        Reply { body: "{".to_owned(), ..good.clone() },
        Reply { body: format!("{{\"active\":true,\"a\":\"{}\"}}", "a".repeat(65 * 1024)), ..good.clone() },
        good.clone().breaking(Break::MidBody),
        good.clone().breaking(Break::BeforeHead),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("t{number}");
        fixture.server.set(ASK, trouble);
        let error = fixture.verify(&token).await.unwrap_err();
        assert!(
            matches!(error, VerifyError::NotIntrospected(_)) && error.retry_after().is_some(),
            "{number}: {error:?}"
        );
        fixture.server.set(ASK, good.clone());
        assert!(fixture.verify(&token).await.is_ok(), "{number}");
    }
}

#[tokio::test]
async fn questions_to_one_issuer_take_no_place_from_those_to_another() {
    let fixture = Fixture::start().await;
    let mut unanswered = Vec::new();
    for number in 0..MOST_FLIGHTS {
        let (answer, flight) = oneshot::channel();
        let hash = digest(&SHA256, &number.to_be_bytes()).as_ref().first_chunk().copied().unwrap();
        fixture.verifier.introspected.flights().insert((IssuerId(1), hash), flight.shared());
        unanswered.push(answer);
    }
    fixture.verify("good").await.unwrap();
}

#[tokio::test]
async fn what_an_issuer_says_of_a_token_counts_towards_the_memory_for_all_of_them() {
    const TOKENS: usize = 200;
    const SAID: usize = 30 * 1024;
    let fixture = Fixture::start().await;
    let mut answer = fixture.good();
    answer["groups"] = "a".repeat(SAID).into();
    fixture.says(&answer);
    let token = |number: usize| format!("short-{number}");
    for number in 0..TOKENS {
        fixture.verify(&token(number)).await.unwrap();
    }
    let is_kept = |number: &usize| fixture.verifier.cached(&token(*number), &FIRST, NOW).is_some();
    let kept = (0..TOKENS).filter(is_kept).count();
    assert!(kept * SAID <= CACHE, "{kept} answers are kept");
}

#[tokio::test]
async fn tokens_that_a_firewall_takes_for_an_attack_keep_nobody_else_out() {
    let fixture = Fixture::start().await;
    let blocked = Reply { content_type: "text/html", body: "<h1>Blocked</h1>".to_owned(), ..Reply::status(403) };
    fixture.server.set(ASK, blocked);
    for number in 0..10 {
        assert!(fixture.verify(&format!("../../etc/passwd{number}")).await.is_err());
    }
    fixture.says(&fixture.good());
    fixture.verify("good").await.unwrap();
}

#[tokio::test]
async fn an_answer_counts_no_longer_because_the_clock_is_set_back() {
    let fixture = Fixture::start().await;
    let earlier = Timestamp(NOW.0 - 3_600);
    fixture.verify("revoked").await.unwrap();
    fixture.says(&json!({"active": false}));
    assert!(matches!(fixture.verify("new").await, Err(VerifyError::Inactive)));
    let outcome = fixture.verifier.verify("revoked", &FIRST, earlier).await;
    assert!(matches!(outcome, Err(VerifyError::Inactive)), "{outcome:?}");
    fixture.says(&fixture.good());
    fixture.verifier.verify("new", &FIRST, earlier).await.unwrap();
}
