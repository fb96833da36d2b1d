//! Generated tokens (family J): what the issuer signs, with headers and claims of every kind, and what becomes of it when
//! encodings, signatures and the whole text are tampered with. Each is presented as a bearer token and as a cookie.
//!
//! The oracle is a judgement of the generator's own, made of verdicts written down beside each variant: a token that the
//! issuer has signed and that obeys every rule is answered 200 with exactly its claims for headers; of any other the
//! application sees nothing.

mod members;
mod signatures;
mod spelling;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use usher::clock::Clock;

use crate::harness::client::Connection;
use crate::harness::issuer::Issuer;
use crate::harness::keys::{SigningKey, base64url};
use crate::harness::mirror::{Mirror, Reflection};
use crate::harness::random::Random;
use crate::harness::{Answer, Scene, Upstream, get, long, post};

use members::{IDENTITY, Member, NEEDED};
use spelling::Spelt;

/// The keys of the issuer: one on P-256, one RSA, one Ed25519.
const KEY_IDS: [&str; 3] = ["key-1", "rsa-1", "ed-1"];

const SITES: &str = "
session:
  secret: '$SECRET'
  cookies: { access: at, refresh: rt, sealed: false }
issuers:
  main:
    issuer: $ISSUER
    insecure_http: true
    audiences: [usher]
    algorithms: [RS256, ES256, EdDSA]
    leeway: 0s
sites:
  - host: app.test
    issuer: main
    upstream: $MIRROR
    identity_headers: { X-User-Id: sub, X-User-Email: email, X-User-Roles: realm_access.roles, X-User-Team: team }
    routes: [{ path: / }]
";

/// A gateway before a mirror, and the keys of its issuer.
struct Stage {
    scene: Scene,
    mirror: Mirror,
    keys: [Arc<SigningKey>; 3],
    /// A key of somebody else.
    stranger: SigningKey,
}

/// A token, and what is known about it.
#[derive(Debug)]
struct Case {
    seed: u64,
    text: String,
    /// The identity headers that the application gets, if the token counts.
    verdict: Option<Vec<(String, String)>>,
}

impl Stage {
    async fn set() -> Self {
        let clock = Clock::adjustable();
        let (issuer, mirror) = (Issuer::start(&clock).await, Mirror::start().await);
        let p256 = issuer.key().1;
        issuer.add_key(KEY_IDS[1], SigningKey::rsa());
        let rsa = issuer.key().1;
        issuer.add_key(KEY_IDS[2], SigningKey::ed25519());
        let keys = [p256, rsa, issuer.key().1];
        let yaml = SITES.replace("$MIRROR", &mirror.url());
        Self {
            scene: Scene::with(&yaml, Upstream::start().await, issuer, clock).await,
            mirror,
            keys,
            stranger: SigningKey::p256(),
        }
    }

    /// The case of a seed. Keys are made at run time, so signatures differ from one run to another; nothing else does.
    fn case(&self, seed: u64) -> Case {
        let mut random = Random::seeded(seed);
        let random = &mut random;
        let (issuer, now) = (self.scene.issuer.url(), self.scene.clock.now().0);
        let chosen = random.below(KEY_IDS.len());
        let (key_id, key) = (KEY_IDS[chosen], &*self.keys[chosen]);
        let mut header = members::honest_header(key_id, key);
        let mut claims = members::honest_claims(&issuer, now, "alice");
        for _ in 0..*random.one_of(&[0, 0, 1, 1, 2, 3]) {
            if random.chance(300) {
                let member = members::parameter(random, key_id, key);
                change(random, &mut header, member);
            } else {
                let member = members::claim(random, &issuer, now);
                change(random, &mut claims, member);
            }
        }
        let mut fine = may_count(&header) && may_count(&claims);

        let named: String = header.iter().filter(|member| member.name == "alg").map(|member| &*member.value).collect();
        let (header, payload) = (spelling::json(random, &header), spelling::json(random, &claims));
        let (first, second) = (spelling::encode(random, &header.text), spelling::encode(random, &payload.text));
        fine &= header.fine && payload.fine && first.fine && second.fine;
        let message = format!("{}.{}", first.text, second.text);
        let signature = self.signature(random, key, &named, &message);
        let third = if random.chance(30) {
            let text = spelling::trailing_bits(&base64url(&signature.text));
            Spelt { fine: text == base64url(&signature.text), text }
        } else {
            spelling::encode(random, &signature.text)
        };
        fine &= signature.fine && third.fine;
        let mut text = format!("{message}.{}", third.text);
        if random.chance(150) {
            // Whitespace around a field's value is no part of it.
            let changed = tamper(random, &text).trim().to_owned();
            fine &= changed == text;
            text = changed;
        }
        Case { seed, text, verdict: fine.then(|| identity(&claims)) }
    }

    /// A signature under a header that names this algorithm.
    fn signature(&self, random: &mut Random, key: &SigningKey, named: &str, message: &str) -> Spelt<Vec<u8>> {
        let good = key.sign(key.algorithm(), message.as_bytes());
        if !random.chance(250) {
            return Spelt { text: good, fine: true };
        }
        let by = |key: &SigningKey| Spelt { text: key.sign(key.algorithm(), message.as_bytes()), fine: false };
        match random.below(8) {
            0 => by(&SigningKey::p256()),
            1 => by(&SigningKey::ed25519()),
            2 => {
                let place = self.keys.iter().position(|other| std::ptr::eq(Arc::as_ptr(other), key)).unwrap();
                let other = &self.keys[(place + 1) % self.keys.len()];
                // Under its own name it would be an honest signature of the issuer.
                by(if named.contains(other.algorithm()) { &self.stranger } else { other })
            }
            3 => by(&SigningKey::hmac(key.public_pem().as_bytes())),
            _ => {
                let other = key.sign(key.algorithm(), self.scene.issuer.access_token("root").as_bytes());
                signatures::spoil(random, key, &good, &other)
            }
        }
    }
}

/// Puts a member in the place of its namesake, beside it, or takes that one out.
fn change(random: &mut Random, members: &mut Vec<Member>, member: Member) {
    match random.below(20) {
        0 => members.retain(|other| other.name != member.name),
        1 => members.insert(random.below(members.len() + 1), member),
        _ => {
            members.retain(|other| other.name != member.name);
            members.insert(random.below(members.len() + 1), member);
        }
    }
}

/// Every member is fine, none stands twice, and what must be there is.
fn may_count(members: &[Member]) -> bool {
    let names: Vec<_> = members.iter().map(|member| member.name).collect();
    let twice = (1..names.len()).any(|at| names[..at].contains(&names[at]));
    let needed = if names.contains(&"iss") || names.contains(&"aud") || names.contains(&"exp") {
        &NEEDED[..4]
    } else {
        &NEEDED[4..]
    };
    members.iter().all(|member| member.fine) && !twice && needed.iter().all(|name| names.contains(name))
}

/// The headers that these claims make, sorted.
fn identity(claims: &[Member]) -> Vec<(String, String)> {
    let of = |name: &str| claims.iter().find(|member| member.name == name).and_then(|member| member.shown.clone());
    let mut headers: Vec<_> =
        IDENTITY.iter().filter_map(|(claim, header)| Some(((*header).to_owned(), of(claim)?))).collect();
    headers.sort();
    headers
}

/// Changes the whole text as a clumsy or a clever sender might.
fn tamper(random: &mut Random, text: &str) -> String {
    let at = random.below(text.len());
    let parts: Vec<&str> = text.split('.').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let letter = *random.one_of(&["A", "_", "-", "+", "/", "=", ".", "~", "%", ",", "\"", " ", "é", ":", "{", "\t"]);
    match random.below(16) {
        0 => format!("{}{letter}{}", &text[..at], &text[at..]),
        1 => format!("{}{letter}{}", &text[..at], &text[at + 1..]),
        2 => format!("{}{}", &text[..at], &text[at + 1..]),
        3 => text[..at].to_owned(),
        4 => text[at..].to_owned(),
        5 => format!("{text}.{last}"),
        6 => format!("{first}.{text}"),
        7 => format!("{first}.a.{}.b.{last}", parts[1]),
        8 => format!("{text},{text}"),
        9 => format!("\"{text}\""),
        10 => format!("{{\"payload\":\"{}\",\"protected\":\"{first}\",\"signature\":\"{last}\"}}", parts[1]),
        11 => format!("{first}.{}", parts[1]),
        12 => format!("{first}..{last}"),
        13 => text.to_uppercase(),
        14 => format!(".{text}"),
        _ => text.replace('.', random.one_of::<&str>(&["..", "%2e", ",", "./.", "\u{3002}"])),
    }
}

/// Presents a token in one of the two ways.
async fn present(connection: &mut Connection, token: &str, as_cookie: bool) -> Answer {
    let ask = get("https://app.test/x");
    let ask = if as_cookie {
        ask.header("cookie", &format!("a=1; at={token}; b=2"))
    } else {
        ask.header("authorization", &format!("Bearer {token}"))
    };
    connection.send(ask).await
}

/// What the two judgements of a case must not differ in. Returns whether it counted.
fn assert_agreed(case: &Case, answer: &Answer, as_cookie: bool) -> bool {
    let how = format!("seed {}, {}", case.seed, if as_cookie { "as a cookie" } else { "in the header" });
    let status = answer.status.as_u16();
    match &case.verdict {
        Some(identity) => {
            assert_eq!(status, 200, "{how}: a good token was refused: {case:?}: {answer:?}");
            let mut seen = Reflection::read(&answer.body).beginning("x-user");
            seen.sort();
            assert_eq!(seen, *identity, "{how}: the claims are not what the application saw: {case:?}");
        }
        None => {
            assert!(matches!(status, 400 | 401 | 403 | 431), "{how}: {status} for a bad token: {case:?}: {answer:?}");
        }
    }
    case.verdict.is_some()
}

#[tokio::test]
async fn no_token_counts_but_one_that_the_issuer_has_signed_and_that_obeys_every_rule() {
    let (cases, at_once) = if long() { (100_000, 8) } else { (4_000, 4) };
    let stage = &Stage::set().await;
    let presenters = (0..at_once).map(|lane| async move {
        let client = if lane % 2 == 0 { stage.scene.client() } else { stage.scene.http2() };
        let (mut connection, mut counted) = (client.connect("app.test").await, 0);
        for seed in (lane..cases).step_by(usize::try_from(at_once).unwrap()) {
            let case = stage.case(seed);
            for as_cookie in [false, true] {
                if connection.is_closed() {
                    connection = client.connect("app.test").await;
                }
                let answer = present(&mut connection, &case.text, as_cookie).await;
                counted += usize::from(assert_agreed(&case, &answer, as_cookie));
            }
        }
        counted
    });
    let counted: usize = futures_util::future::join_all(presenters).await.into_iter().sum();
    assert_eq!(stage.mirror.count(), counted, "the application saw nothing else");
    let all = usize::try_from(cases).unwrap() * 2;
    assert!(counted > all / 10 && counted < all / 2, "{counted} of {all} counted: the generator has lost its balance");
}

#[tokio::test]
async fn a_token_that_was_signed_out_stays_so_under_the_other_spelling_of_its_signature() {
    let scene = Scene::usual().await;
    let jar = scene.session("alice");
    let token = jar.value("at").unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mirrored = signatures::mirrored(&URL_SAFE_NO_PAD.decode(signature).unwrap());
    let mirrored = format!("{message}.{}", base64url(mirrored));
    scene.send(get("https://app.test/x").bearer(&mirrored)).await.assert_status(200);
    let sign_out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
    scene.send(sign_out.cookies(&jar)).await.assert_status(204);
    for token in [token, &mirrored] {
        scene.send(get("https://app.test/x").bearer(token)).await.assert_status(401);
        scene.send(get("https://app.test/x").header("cookie", &format!("at={token}"))).await.assert_status(401);
    }
    assert_eq!(scene.upstream.count(), 1);
}
