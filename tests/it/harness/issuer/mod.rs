//! An authorization server of our own, for everything that a real one does only on a bad day.
//!
//! It signs real tokens, rotates refresh tokens, revokes the whole family when one is presented twice, and counts what
//! it was asked. [`TokenAnswer`] says how the token endpoint misbehaves.

mod answer;
mod authorize;
mod endpoints;
mod families;
mod introspect;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use usher::clock::Clock;

pub(crate) use answer::TokenAnswer;
use families::Families;
pub(crate) use introspect::IntrospectionAnswer;
use introspect::Introspections;

use super::keys::{SigningKey, base64url};
use super::serve::{Served, http1, serve};
use super::tokens::Token;

/// The `client_id` that the gateway has here.
pub(crate) const CLIENT_ID: &str = "usher";
/// Its secret: with characters that client authentication must encode (RFC 6749 §2.3.1).
pub(crate) const CLIENT_SECRET: &str = "a secret/with+signs that=need encoding";
/// The audience of every honest token.
pub(crate) const AUDIENCE: &str = "usher";
/// How long honest access tokens live.
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// A running authorization server.
#[derive(Debug)]
pub(crate) struct Issuer {
    served: Served,
    state: Arc<State>,
}

/// What the endpoints share with the test.
#[derive(Debug)]
struct State {
    clock: Clock,
    /// Published keys; the last one signs.
    keys: Mutex<Vec<(String, Arc<SigningKey>)>>,
    families: Mutex<Families>,
    script: Mutex<VecDeque<TokenAnswer>>,
    standing: Mutex<TokenAnswer>,
    delay: Mutex<Duration>,
    lifetime: Mutex<Duration>,
    open: watch::Sender<bool>,
    /// What the ID tokens of sign-ins say besides or otherwise; `null` leaves a claim out.
    id_token: Mutex<Value>,
    /// What every access token says besides.
    access_token: Mutex<Value>,
    /// Whether authorization responses name their issuer, and discovery says so (RFC 9207).
    names_issuer: Mutex<bool>,
    /// How each pushed request is answered, where discovery names an endpoint for them, and whether they must be pushed.
    pushes: Mutex<Option<(u16, bool)>>,
    /// Whether discovery names a place to sign out.
    ends_sessions: Mutex<bool>,
    /// How many revocations are answered with 503 from now on.
    failing_revocations: Mutex<usize>,
    introspections: Introspections,
    down: Mutex<bool>,
    asked: Mutex<Asked>,
}

/// What the gateway asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Requests of the discovery document.
    pub(crate) discovery: usize,
    /// Requests of the key set.
    pub(crate) keys: usize,
    /// Pushed authorization requests.
    pub(crate) pushes: usize,
    /// Requests at the revocation endpoint: the token of each.
    pub(crate) revocations: Vec<String>,
    /// Requests at the token endpoint, the JSON exchange included.
    pub(crate) tokens: Vec<TokenRequest>,
}

/// A request at the token endpoint.
#[derive(Clone, Debug)]
pub(crate) struct TokenRequest {
    /// `Authorization`, decoded from Base64 when it is Basic.
    pub(crate) authorization: Option<String>,
    /// `Content-Type`.
    pub(crate) content_type: String,
    /// The body as it came.
    pub(crate) body: String,
}

/// The tokens of one sign-in.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    /// The access token.
    pub(crate) access: String,
    /// The refresh token.
    pub(crate) refresh: String,
}

impl Issuer {
    /// Starts one whose time is `clock`, signing with ES256.
    pub(crate) async fn start(clock: &Clock) -> Self {
        Self::start_with(clock, SigningKey::p256()).await
    }

    /// Starts one that signs with this key.
    pub(crate) async fn start_with(clock: &Clock, key: SigningKey) -> Self {
        let state = Arc::new(State {
            clock: clock.clone(),
            keys: Mutex::new(vec![("key-1".to_owned(), Arc::new(key))]),
            families: Mutex::default(),
            script: Mutex::default(),
            standing: Mutex::new(TokenAnswer::Rotate),
            delay: Mutex::default(),
            lifetime: Mutex::new(LIFETIME),
            open: watch::Sender::new(true),
            id_token: Mutex::new(json!({})),
            access_token: Mutex::new(json!({})),
            names_issuer: Mutex::new(false),
            pushes: Mutex::new(None),
            ends_sessions: Mutex::new(false),
            failing_revocations: Mutex::new(0),
            introspections: Introspections::default(),
            down: Mutex::new(false),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let served = serve(move |stream| {
            let state = Arc::clone(&shared);
            let issuer = format!("http://{}", stream.local_addr().unwrap());
            http1(stream, move |request| endpoints::answer(Arc::clone(&state), issuer.clone(), request))
        })
        .await;
        Self { served, state }
    }

    /// The issuer identifier, which is also where it is dialled.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.served.address)
    }

    /// The configuration of this issuer as that of an application whose users signed in before there was OpenID Connect: tokens
    /// are renewed in JSON. `more` are keys beside these.
    pub(crate) fn legacy(&self, more: &str) -> String {
        let url = self.url();
        format!(
            "
issuers:
  main:
    issuer: {url}
    jwks_url: {url}/keys
    insecure_http: true
    audiences: [usher]
    algorithms: [ES256]
    refresh:
      url: {url}/legacy/refresh
      send: json
      field: refreshToken
      access_token: /accessToken
      refresh_token: /refreshToken
    {more}
"
        )
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Asked {
        self.state.asked.lock().unwrap().clone()
    }

    /// How often a refresh token was presented at the token endpoint.
    pub(crate) fn token_requests(&self) -> usize {
        self.state.asked.lock().unwrap().tokens.len()
    }

    /// How often a spent refresh token was presented: what a gateway must never do.
    pub(crate) fn reuses(&self) -> usize {
        self.state.families.lock().unwrap().reuses
    }

    /// Every later token request is answered like this.
    pub(crate) fn behave(&self, answer: TokenAnswer) {
        *self.state.standing.lock().unwrap() = answer;
    }

    /// The next token requests are answered like this, one after the other; then as before.
    pub(crate) fn next(&self, answers: impl IntoIterator<Item = TokenAnswer>) {
        self.state.script.lock().unwrap().extend(answers);
    }

    /// Every later token request takes that much longer.
    pub(crate) fn delay(&self, by: Duration) {
        *self.state.delay.lock().unwrap() = by;
    }

    /// Access tokens live so long from now on.
    pub(crate) fn live_for(&self, lifetime: Duration) {
        *self.state.lifetime.lock().unwrap() = lifetime;
    }

    /// Token requests arrive and are counted, but none is answered until [`Issuer::release`].
    pub(crate) fn hold(&self) {
        self.state.open.send_replace(false);
    }

    /// Answers what was held.
    pub(crate) fn release(&self) {
        self.state.open.send_replace(true);
    }

    /// Discovery names a place to sign out from now on (OIDC RP-Initiated Logout 1.0).
    pub(crate) fn end_sessions(&self) {
        *self.state.ends_sessions.lock().unwrap() = true;
    }

    /// So many revocations come to nothing from now on.
    pub(crate) fn fail_revocations(&self, number: usize) {
        *self.state.failing_revocations.lock().unwrap() = number;
    }

    /// Every endpoint closes the connection without an answer, until it is up again.
    pub(crate) fn set_down(&self, down: bool) {
        *self.state.down.lock().unwrap() = down;
    }

    /// All later refresh tokens are longer by so many bytes.
    pub(crate) fn pad_refresh_tokens(&self, by: usize) {
        self.state.families.lock().unwrap().padding = by;
    }

    /// A spent refresh token is answered with its successor instead of revoking the family, as some issuers do for a
    /// while.
    pub(crate) fn forgive_reuse(&self) {
        self.state.families.lock().unwrap().forgiving = true;
    }

    /// Publishes one more key and signs with it from now on.
    pub(crate) fn add_key(&self, key_id: &str, key: SigningKey) {
        self.state.keys.lock().unwrap().push((key_id.to_owned(), Arc::new(key)));
    }

    /// Publishes only the newest key.
    pub(crate) fn drop_old_keys(&self) {
        let mut keys = self.state.keys.lock().unwrap();
        let newest = keys.pop().unwrap();
        *keys = vec![newest];
    }

    /// The key that signs now, and its id.
    pub(crate) fn key(&self) -> (String, Arc<SigningKey>) {
        self.state.key()
    }

    /// An honest token of a user, to change before it is signed with [`Issuer::sign`].
    pub(crate) fn token(&self, subject: &str) -> Token {
        self.state.token(&self.url(), subject)
    }

    /// Signs with the key that signs now.
    pub(crate) fn sign(&self, token: &Token) -> String {
        token.sign(&self.key().1)
    }

    /// An honest access token that is good for [`LIFETIME`].
    pub(crate) fn access_token(&self, subject: &str) -> String {
        self.sign(&self.token(subject))
    }

    /// The tokens of a new sign-in.
    pub(crate) fn sign_in(&self, subject: &str) -> Tokens {
        let refresh = self.state.families.lock().unwrap().begin(subject);
        Tokens { access: self.access_token(subject), refresh }
    }

    /// The tokens of a sign-in so long ago that the access token has expired.
    pub(crate) fn sign_in_expired(&self, subject: &str) -> Tokens {
        let now = self.state.clock.now().0;
        let access = self.token(subject).claim("iat", now - 900).claim("exp", now - 600);
        Tokens { access: self.sign(&access), ..self.sign_in(subject) }
    }
}

impl State {
    fn key(&self) -> (String, Arc<SigningKey>) {
        self.keys.lock().unwrap().last().unwrap().clone()
    }

    fn token(&self, issuer: &str, subject: &str) -> Token {
        let now = self.clock.now().0;
        let (key_id, key) = self.key();
        let claims = json!({
            "iss": issuer, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + self.lifetime.lock().unwrap().as_secs(),
            "jti": unique(), "client_id": CLIENT_ID, "scope": "read write",
            "email": format!("{subject}@app.test"), "email_verified": true,
            "realm_access": { "roles": roles(subject) },
        });
        let besides = self.access_token.lock().unwrap().clone();
        let besides = besides.as_object().unwrap().clone();
        besides.into_iter().fold(Token::new(&key, &key_id, claims), |token, (name, value)| token.claim(&name, value))
    }
}

/// What the users of the tests may do: `root` is an administrator, everybody else a reader.
fn roles(subject: &str) -> Value {
    if subject == "root" { json!(["reader", "admin"]) } else { json!(["reader"]) }
}

/// Something that was never there before.
fn unique() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    base64url(bytes)
}
