//! What is explained is what happens: random requests of random configurations, through a real gateway over sockets and
//! through the explanation, decided alike, by the same route, with the same identity for the application.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use http::{Method, Request};
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;
use usher::clock::Clock;
use usher::gateway::Connection;
use usher::gateway::explain::{Decision, Explanation, Presented};
use usher::oauth::Claims;

use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::keys::SigningKey;
use crate::harness::random::Random;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::tokens::Token;
use crate::harness::{Answer, Ask, Gateway, Seen, Upstream, client, long};

pub(crate) const HOSTS: [&str; 8] =
    ["app.test", "app.test", "app.test", "pub.test", "pub.test", "a.wild.test", "a.b.wild.test", "unknown.test"];
pub(crate) const PATHS: [&str; 10] =
    ["/", "/a/", "/a", "/a/b/", "/a/b", "/a/b/c", "/A/", "/x%20y/", "/login", "/a/b/c/"];
const ENDINGS: [&str; 16] =
    ["", "", "", "", "", "", "/", "b", "x", "/x", ";p=1", "%2e", "%3B", "?q=1", "/%61", "/b;p/c"];
pub(crate) const METHODS: [&str; 6] = ["GET", "GET", "POST", "HEAD", "OPTIONS", "DELETE"];
const SECRETS: [&str; 3] = [
    "a shared secret of one issuer 0123456789",
    "a shared secret of the other 0123456789",
    "a secret of nobody's at all 01234567",
];
const FIELDS: [(&str, &str); 14] = [
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "same-origin"),
    ("accept", "text/html"),
    ("origin", "https://evil.test"),
    ("origin", "https://app.test"),
    ("origin", "https://friend.test"),
    ("access-control-request-method", "POST"),
    ("x-user-id", "root"),
    ("x-role", "root"),
    ("x-forwarded-host", "pub.test"),
    ("authorization", "Basic YTpi"),
    ("connection", "x-user-id"),
];

#[tokio::test]
async fn an_explanation_agrees_with_the_gateway_on_random_requests() {
    let (configurations, requests) = if long() { (50, 200) } else { (10, 100) };
    let (mut decided, mut identified) = ([0_usize; 4], 0);
    for seed in 0..configurations {
        let random = &mut Random::seeded(7_000 + seed);
        let (clock, upstream) = (Clock::stopped(), Upstream::start().await);
        let (yaml, names) = configuration(random, &upstream.url());
        let gateway = Gateway::start(&yaml, &clock).await;
        let explainer = Gateway::explainer(&yaml, &clock);
        let mut connection = gateway.client().connect("app.test").await;
        for _ in 0..requests {
            let drawn = Drawn::of(random, &clock);
            let what = format!("seed {seed}: {drawn:?}\n{yaml}");
            let seen_before = upstream.count();
            if connection.is_closed() {
                connection = gateway.client().connect("app.test").await;
            }
            let answer = Answer::read(connection.open(drawn.ask()).await.expect(&what)).await;
            if answer.header("connection") == Some("close") {
                connection = gateway.client().connect("app.test").await;
            }
            let told = explainer.explain(&from_here(), drawn.request(), &Presented::AsSent).await;
            let reached = (upstream.count() > seen_before).then(|| upstream.last());
            decided[told.decision as usize] += 1;
            identified += usize::from(reached.as_ref().is_some_and(|seen| seen.header("x-user-id").is_some()));
            agree(&told, &answer, reached.as_ref(), &names, &what);
        }
        gateway.drain().await;
    }
    let tenth = decided.iter().sum::<usize>() / 10;
    assert!(
        decided[0] > tenth && decided[2] > tenth && identified > tenth,
        "{decided:?}, {identified} with an identity"
    );
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Nobody has asked for what is only explained.
#[tokio::test]
async fn an_explanation_is_not_counted_and_no_auditor_is_told() {
    let (log, clock) = (Log::default(), Clock::stopped());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let yaml = format!(
        "{ISSUERS}{SESSION}sites:
  - host: app.test
    issuer: main
    upstream: 'http://127.0.0.1:9'
    routes: [{{ path: / }}, {{ path: /admin/, require: {{ role: admin }} }}]
"
    );
    let yaml = yaml.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", CLIENT_SECRET);
    let explainer = Gateway::explainer(&yaml, &clock);
    let claims = Presented::Claims(Claims(json!({ "sub": "alice" }).as_object().unwrap().clone()));
    let asks = async {
        for (uri, decision) in [
            ("https://app.test/x", Decision::Forwarded),
            ("https://app.test/admin/x", Decision::Refused),
            ("https://unknown.test/", Decision::Refused),
        ] {
            let host = uri.split('/').nth(2).unwrap();
            let request = Request::get(uri).header("host", host).body(()).unwrap();
            let told = explainer.explain(&from_here(), request, &claims).await;
            assert_eq!(told.decision, decision, "{uri}: {:?}", told.reason);
        }
    };
    asks.with_subscriber(subscriber).await;
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!said.contains("usher::audit"), "{said}");
    for route in explainer.counts().routes() {
        let refused = route.refusals().map(|(_, times)| times).sum::<u64>();
        assert_eq!((route.answers().count(), refused, route.given_up.total()), (0, 0, 0), "{route:?}");
    }
}

/// What was explained is what happened. `names` are those of the routes, by the number that each says to the application.
fn agree(told: &Explanation, answer: &Answer, reached: Option<&Seen>, names: &[String], what: &str) {
    match told.decision {
        Decision::Forwarded => {
            let seen = reached.unwrap_or_else(|| panic!("explained as forwarded, answered {}: {what}", answer.status));
            let route = seen.header("x-route").map(|number| &names[number.parse::<usize>().unwrap()]);
            assert_eq!(route, told.route.as_ref(), "{what}");
            let path = |target: &str| target.split('?').next().unwrap().to_owned();
            assert_eq!(path(&told.forwarded.as_ref().unwrap().target), path(&seen.target), "{what}");
            for name in ["x-user-id", "x-user-roles", "x-role", "host"] {
                assert_eq!(received(told, name), seen.all(name), "{name}: {what}");
            }
        }
        Decision::Refused => {
            assert!(reached.is_none(), "explained as refused ({:?}), and forwarded: {what}", told.reason);
            assert_eq!(told.status, Some(answer.status.as_u16()), "{:?}: {what}", told.reason);
        }
        Decision::Answered => assert!(reached.is_none(), "{what}"),
        Decision::Unknown => panic!("everything is known here: {:?}: {what}", told.reason),
    }
}

/// A connection like that of the test's client.
fn from_here() -> Connection {
    Connection::new(([127, 0, 0, 1], 1).into(), false, ([127, 0, 0, 1], 443).into(), true, Some("app.test".into()))
}

fn received<'t>(told: &'t Explanation, name: &str) -> Vec<&'t str> {
    let fields = &told.forwarded.as_ref().unwrap().headers;
    fields.iter().filter(|field| field.name == name).map(|field| field.value.as_str()).collect()
}

/// A configuration, and the names of its routes. Each of them says its number to the application.
pub(crate) fn configuration(random: &mut Random, upstream: &str) -> (String, Vec<String>) {
    let mut yaml = format!(
        "issuers:\n  one: {{ issuer: one, hmac_secret: '{}', algorithms: [HS256], audiences: [usher], leeway: 0s }}\n  \
         two: {{ issuer: two, hmac_secret: '{}', algorithms: [HS256], audiences: [usher], leeway: 0s }}\n\
         session:\n  secret: '$SECRET'\n  cookies: {{ access: at, refresh: rt, sealed: false }}\nsites:\n",
        SECRETS[0], SECRETS[1],
    );
    let mut names = Vec::new();
    for host in ["app.test", "pub.test", "*.wild.test"] {
        write!(
            yaml,
            "  - host: '{host}'\n    issuer: {}\n    upstream: {upstream}\n    identity_headers: {{ X-User-Id: sub, X-User-Roles: roles }}\n    \
             strip_headers: [X-Role]\n    allowed_origins: ['https://friend.test']\n    cors: {}\n    routes:\n",
            random.one_of(&["one", "[one, two]", "[two, one]"]),
            random.chance(500),
        )
        .unwrap();
        let mut taken: Vec<String> = Vec::new();
        for number in 0..=random.below(6) {
            let path = if number == 0 { "/" } else { *random.one_of(&PATHS) };
            let methods = if number == 0 { "" } else { *random.one_of(&["", "", "", "", "GET", "POST"]) };
            let key = format!("{} {methods}", path.to_ascii_lowercase());
            if taken.contains(&key) {
                continue;
            }
            taken.push(key);
            let access = *random.one_of(&[
                "access: required",
                "access: required, require: { roles: admin }",
                "access: required, require: { roles: { none: [guest] }, sub: { any: [alice, bob] } }",
                "access: required, require: { scope: write }",
                "access: required, require: { acr: gold }",
                "access: required",
                "access: optional",
                "access: public",
            ]);
            let more = *random.one_of(&[
                "",
                "",
                ", issuer: two",
                ", ignore_case: true",
                ", rewrite_host: inner.test",
                ", unauthenticated: redirect",
            ]);
            let only = if methods.is_empty() { String::new() } else { format!(", methods: [{methods}]") };
            let number = names.len();
            let says = format!("upstream_authorization: {{ header: X-Route, value: '{number}' }}");
            writeln!(yaml, "      - {{ path: '{path}', {access}, {says}{only}{more} }}").unwrap();
            names.push(format!("{host}{path} {methods}").trim_end().to_owned());
        }
    }
    (yaml, names)
}

/// A request that was drawn.
#[derive(Debug)]
struct Drawn {
    method: Method,
    url: String,
    fields: Vec<(&'static str, String)>,
}

impl Drawn {
    fn of(random: &mut Random, clock: &Clock) -> Self {
        let url = format!("https://{}{}{}", random.one_of(&HOSTS), random.one_of(&PATHS), random.one_of(&ENDINGS));
        let mut fields: Vec<(&'static str, String)> = Vec::new();
        while random.chance(300) {
            let (name, value) = *random.one_of(&FIELDS);
            fields.push((name, value.to_owned()));
        }
        if random.chance(750) {
            fields.push(("authorization", format!("Bearer {}", token(random, clock))));
        }
        if random.chance(250) {
            fields.push(("cookie", format!("theme=dark; at={}", token(random, clock))));
        }
        Self { method: random.one_of(&METHODS).parse().unwrap(), url, fields }
    }

    fn ask(&self) -> Ask {
        self.fields.iter().fold(Ask::new(self.method.clone(), &self.url), |ask, (name, value)| ask.header(name, value))
    }

    fn request(&self) -> Request<()> {
        client::origin_form(self.ask()).map(drop)
    }
}

/// Mostly a good one.
pub(crate) fn token(random: &mut Random, clock: &Clock) -> String {
    if random.chance(60) {
        return (*random.one_of(&["nonsense", "a.b.c", "ey J", ""])).to_owned();
    }
    let now = clock.now().0;
    let issuer = random.below(2);
    let secret = if random.chance(60) { SECRETS[2] } else { SECRETS[issuer] };
    let claims = json!({
        "iss": (["one", "two"][issuer]),
        "aud": *random.one_of(&["usher", "usher", "usher", "usher", "usher", "usher", "usher", "other"]),
        "sub": *random.one_of(&["alice", "bob", "Zoë", "root"]),
        "roles": random.one_of(&[json!(["admin"]), json!(["user", "guest"]), json!("admin"), Value::Null]).clone(),
        "scope": *random.one_of(&["read", "read write"]),
        "acr": *random.one_of(&["gold", "silver"]),
        "iat": now - 100,
        "exp": now + 300 - 310 * u64::from(random.chance(80)),
    });
    Token::new(&SigningKey::hmac(secret.as_bytes()), "k", claims).sign(&SigningKey::hmac(secret.as_bytes()))
}
