//! Generated `Cookie` headers (family C): intact, mutated and foreign session cookies between those of an application, in
//! every spelling that a field can hold, over HTTP/1.1 and HTTP/2.
//!
//! The oracle reads the same bytes by the rule of `README` and `auth::cookies`, in its own way, and knows the values that
//! were really handed out: only those make somebody of a request. Cookies of Usher never reach the application; its own
//! arrive with every byte and in order.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use usher::clock::Clock;

use crate::harness::client::Connection;
use crate::harness::issuer::Issuer;
use crate::harness::mirror::{Mirror, Reflection};
use crate::harness::random::Random;
use crate::harness::{Answer, Jar, Protocol, Scene, SetCookie, Upstream, UpstreamAnswer, get, long, post};

const ACCESS: &str = "__Host-usher-access";
const REFRESH: &str = "__Host-usher-refresh";

const SITES: &str = "
session: { secret: '$SECRET' }
issuers:
  main: &issuer
    issuer: $ISSUER
    jwks_url: $ISSUER/keys
    insecure_http: true
    audiences: [usher]
    algorithms: [ES256]
    leeway: 0s
    refresh: { url: $ISSUER/legacy/refresh, send: json, field: refreshToken, access_token: /accessToken, refresh_token: /refreshToken }
    login: { path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }
  second:
    issuer: $SECOND
    jwks_url: $SECOND/keys
    insecure_http: true
    audiences: [usher]
    algorithms: [ES256]
    leeway: 0s
    refresh: { url: $SECOND/legacy/refresh, send: json, field: refreshToken, access_token: /accessToken, refresh_token: /refreshToken }
    login: { path: /auth/login, access_token: /accessToken, refresh_token: /refreshToken }
sites:
  - host: app.test
    issuer: main
    upstream: $UPSTREAM
    identity_headers: { X-User-Id: sub }
    routes:
      - { path: / }
      - { path: /mirror/, upstream: $MIRROR }
      - { path: /mirror/optional/, upstream: $MIRROR, access: optional }
      - { path: /mirror/public/, upstream: $MIRROR, access: public }
  - host: other.test
    issuer: second
    upstream: $UPSTREAM
    routes: [{ path: / }]
";

/// A gateway before a mirror, and sessions that were begun there.
struct Stage {
    scene: Scene,
    mirror: Mirror,
    _second: Issuer,
    sessions: Vec<Session>,
    /// Every logical value that was handed out: the session, by its place in `sessions`.
    access: HashMap<Vec<u8>, usize>,
    refresh: HashMap<Vec<u8>, usize>,
}

/// What one browser got at its sign-in.
struct Session {
    /// Who it makes of a request; nobody where the cookies are another site's or another gateway's.
    subject: Option<&'static str>,
    readable: bool,
    crumbs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What becomes of the cookies of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Somebody(&'static str),
    /// There is no session here, and nothing to clear.
    Nobody,
    /// Something is there that is no session: it is cleared.
    Unreadable,
}

impl Stage {
    async fn set() -> Self {
        let (scene, mirror, second) = start("").await;
        let elsewhere = start("another secret than everywhere else, 0123456789").await;
        let mut sessions = Vec::new();
        for (subject, padding) in [("alice", 0), ("alice", 6000), ("root", 0)] {
            let jar = sign_in(&scene, &scene.issuer, "app.test", subject, padding).await;
            sessions.push(Session { subject: Some(subject), readable: true, crumbs: crumbs(&jar) });
        }
        let jar = sign_in(&scene, &second, "other.test", "alice", 0).await;
        sessions.push(Session { subject: None, readable: true, crumbs: crumbs(&jar) });
        let jar = sign_in(&elsewhere.0, &elsewhere.0.issuer, "app.test", "alice", 0).await;
        sessions.push(Session { subject: None, readable: false, crumbs: crumbs(&jar) });
        let values = |base: &str| {
            let of = |session: &Session| pieces(&session.crumbs, base).concat();
            sessions.iter().enumerate().map(|(at, session)| (of(session), at)).collect()
        };
        let (access, refresh) = (values(ACCESS), values(REFRESH));
        Self { scene, mirror, _second: second, sessions, access, refresh }
    }

    /// What these lines make of a request for a route of the first issuer.
    fn judge(&self, lines: &[Vec<u8>]) -> Verdict {
        let read = |base: &str, known: &HashMap<Vec<u8>, usize>| {
            let mut found: [Option<&[u8]>; 5] = [None; 5];
            for (name, value) in lines.iter().flat_map(|line| pairs(line)) {
                let Some(at) = (0..5).find(|at| name == piece_name(base, *at).as_bytes()) else { continue };
                if found[at].replace(value).is_some() {
                    return Err(());
                }
            }
            let full: Vec<usize> = (0..5).filter(|at| found[*at].is_some_and(|value| !value.is_empty())).collect();
            if full.iter().enumerate().any(|(place, at)| place != *at) {
                return Err(());
            }
            let value: Vec<u8> = full.iter().filter_map(|at| found[*at]).flatten().copied().collect();
            if value.is_empty() {
                return Ok(None);
            }
            known.get(&value).filter(|at| self.sessions[**at].readable).map(|at| Some(*at)).ok_or(())
        };
        match (read(ACCESS, &self.access), read(REFRESH, &self.refresh)) {
            (Err(()), _) | (_, Err(())) => Verdict::Unreadable,
            (Ok(Some(access)), Ok(Some(refresh))) if access != refresh => Verdict::Unreadable,
            (Ok(access), Ok(refresh)) => {
                let subject = access.or(refresh).and_then(|at| self.sessions[at].subject);
                subject.map_or(Verdict::Nobody, Verdict::Somebody)
            }
        }
    }

    /// The `Cookie` lines of a seed.
    fn lines(&self, seed: u64) -> Vec<Vec<u8>> {
        let mut random = Random::seeded(seed);
        let random = &mut random;
        let mut crumbs = self.sessions[random.below(self.sessions.len())].crumbs.clone();
        if random.chance(100) {
            crumbs
                .retain(|(name, _)| name.starts_with(if seed.is_multiple_of(2) { ACCESS } else { REFRESH }.as_bytes()));
        }
        for _ in 0..*random.one_of(&[0, 0, 1, 1, 2]) {
            self.mutate(random, &mut crumbs);
        }
        for _ in 0..random.below(4) {
            let crumb = application_crumb(random);
            crumbs.insert(random.below(crumbs.len() + 1), crumb);
        }
        let mut lines = vec![Vec::new()];
        for (name, value) in crumbs {
            let last = lines.len() - 1;
            if !lines[last].is_empty() && random.chance(200) {
                lines.push(Vec::new());
            } else if !lines[last].is_empty() || random.chance(20) {
                let separator =
                    if random.chance(850) { "; " } else { *random.one_of(&[";", ";;", " ; ", "; ;", ";\t", ";  "]) };
                lines[last].extend_from_slice(separator.as_bytes());
            }
            let last = lines.last_mut().unwrap();
            last.extend_from_slice(&name);
            // A cookie without `=` has a name only.
            if !(value.is_empty() && name == b"flag") {
                last.extend_from_slice(if random.chance(20) { b" = " } else { b"=" });
            }
            last.extend_from_slice(&value);
        }
        if random.chance(30) {
            lines.last_mut().unwrap().push(b';');
        }
        lines.retain(|line| !line.is_empty());
        lines
    }

    /// Does something to one of Usher's cookies.
    fn mutate(&self, random: &mut Random, crumbs: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        if crumbs.is_empty() {
            return;
        }
        let (at, other) = (random.below(crumbs.len()), random.below(crumbs.len()));
        let stranger = &self.sessions[random.below(self.sessions.len())].crumbs;
        let stranger = random.one_of(stranger).clone();
        let (name, value) = crumbs[at].clone();
        let cut = random.below(value.len() + 1);
        match random.below(22) {
            0 => drop(crumbs.remove(at)),
            1 => crumbs.push((name, value)),
            2 => crumbs.push((name, stranger.1)),
            3 => crumbs.insert(0, (name, Vec::new())),
            4 => crumbs[at].1 = stranger.1,
            5 => crumbs.push(stranger),
            6 => {
                let other_value = std::mem::replace(&mut crumbs[other].1, value);
                crumbs[at].1 = other_value;
            }
            7 => crumbs.swap(at, other),
            8 => crumbs[at].1 = value[..cut].to_vec(),
            9 => crumbs[at].1 = value[cut..].to_vec(),
            10 => crumbs[at].1 = flipped(random, &value),
            11 => crumbs[at].1 = versioned(&value, *random.one_of(&[0, 2, 3, 255])),
            12 => crumbs[at].1 = random.bytes(cut + 1).into_iter().map(printable).collect(),
            13 => crumbs[at].1 = URL_SAFE_NO_PAD.encode(random.bytes(6144)).into_bytes(),
            14 => crumbs[at].1 = [b"\"", value.as_slice(), b"\""].concat(),
            15 => crumbs[at].1 = [value.as_slice(), b"="].concat(),
            16 => {
                crumbs[at].1 =
                    [&value[..cut], &[0x80 + u8::try_from(random.below(128)).unwrap()], &value[cut..]].concat();
            }
            17 => crumbs[at].0 = name.to_ascii_uppercase(),
            18 => crumbs[at].0 = piece_name(random.one_of::<&str>(&[ACCESS, REFRESH]), random.below(6)).into_bytes(),
            19 => crumbs[at].0 = [b" \t", name.as_slice(), b"\t "].concat(),
            20 => crumbs.push((
                piece_name(random.one_of::<&str>(&[ACCESS, REFRESH]), 1 + random.below(4)).into_bytes(),
                Vec::new(),
            )),
            _ => crumbs[at].1 = [b" ", value.as_slice(), b"\t"].concat(),
        }
    }
}

async fn start(secret: &str) -> (Scene, Mirror, Issuer) {
    let clock = Clock::adjustable();
    let (issuer, second) = (Issuer::start(&clock).await, Issuer::start(&clock).await);
    let (upstream, mirror) = (Upstream::start().await, Mirror::start().await);
    let yaml = SITES.replace("$MIRROR", &mirror.url()).replace("$SECOND", &second.url()).replace("&issuer", "");
    let yaml = if secret.is_empty() { yaml } else { yaml.replace("$SECRET", secret) };
    (Scene::with(&yaml, upstream, issuer, clock).await, mirror, second)
}

/// Signs somebody in through the application's login, with an access token of some size.
async fn sign_in(scene: &Scene, issuer: &Issuer, host: &str, subject: &str, padding: usize) -> Jar {
    let access = issuer.sign(&issuer.token(subject).claim("padding", "x".repeat(padding)));
    let body = json!({ "accessToken": access, "refreshToken": issuer.sign_in(subject).refresh });
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
    let ask = post(&format!("https://{host}/auth/login")).header("origin", &format!("https://{host}"));
    let mut jar = Jar::default();
    jar.take(&scene.send(ask).await.assert_status(200).headers);
    jar
}

fn crumbs(jar: &Jar) -> Vec<(Vec<u8>, Vec<u8>)> {
    jar.names().into_iter().map(|name| (name.into(), jar.value(name).unwrap().into())).collect()
}

fn piece_name(base: &str, at: usize) -> String {
    if at == 0 { base.to_owned() } else { format!("{base}-{at}") }
}

fn pieces(crumbs: &[(Vec<u8>, Vec<u8>)], base: &str) -> Vec<Vec<u8>> {
    let of =
        |at| crumbs.iter().find(|(name, _)| *name == piece_name(base, at).as_bytes()).map(|(_, value)| value.clone());
    (0..5).filter_map(of).collect()
}

/// Name and value of every crumb of a line.
fn pairs(line: &[u8]) -> Vec<(&[u8], &[u8])> {
    let crumbs = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let pair = |crumb: &'_ [u8]| crumb.iter().position(|byte| *byte == b'=');
    let split = crumbs.map(|crumb| match pair(crumb) {
        Some(at) => (crumb[..at].trim_ascii(), crumb[at + 1..].trim_ascii()),
        None => (crumb, &b""[..]),
    });
    split.collect()
}

/// The crumbs of these lines that are the application's.
fn of_the_application<'l>(lines: impl IntoIterator<Item = &'l [u8]>) -> Vec<Vec<u8>> {
    let crumbs = lines.into_iter().flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let own = |crumb: &[u8]| crumb.to_ascii_lowercase().starts_with(b"__host-usher-");
    crumbs.filter(|crumb| !crumb.is_empty() && !own(crumb)).map(<[u8]>::to_vec).collect()
}

fn application_crumb(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let names = [
        "a",
        "theme",
        "flag",
        "JSESSIONID",
        "usher-access",
        "__Host-app",
        "__Host-usher",
        "__Secure-x",
        "at",
        "é",
        "$Version",
    ];
    let own = [
        "__Host-usher-x",
        "__host-USHER-access",
        "__Host-usher-access-9",
        "__Host-usher-accessory",
        "__Host-usher-access-01",
    ];
    let name = if random.chance(200) { *random.one_of(&own) } else { *random.one_of(&names) };
    let length = random.below(12);
    let value = match random.below(6) {
        0 => Vec::new(),
        1 => b"\"two words\"".to_vec(),
        2 => b"4=4==".to_vec(),
        3 => b"a, b:{\"c\"}".to_vec(),
        4 => random.bytes(length).into_iter().map(|byte| byte | 0x80).collect(),
        _ => random.bytes(length).into_iter().map(printable).collect(),
    };
    (name.into(), value)
}

/// Some letter that neither ends a crumb nor is trimmed.
fn printable(byte: u8) -> u8 {
    match 0x21 + byte % 0x5e {
        b';' => b':',
        letter => letter,
    }
}

fn flipped(random: &mut Random, value: &[u8]) -> Vec<u8> {
    let Ok(mut bytes) = URL_SAFE_NO_PAD.decode(value) else { return value.to_vec() };
    if let Some(at) = bytes.len().checked_sub(1).map(|last| random.below(last + 1)) {
        bytes[at] ^= 1 << random.below(8);
    }
    URL_SAFE_NO_PAD.encode(bytes).into_bytes()
}

fn versioned(value: &[u8], version: u8) -> Vec<u8> {
    let Ok(mut bytes) = URL_SAFE_NO_PAD.decode(value) else { return value.to_vec() };
    bytes.iter_mut().take(1).for_each(|first| *first = version);
    URL_SAFE_NO_PAD.encode(bytes).into_bytes()
}

async fn present(connection: &mut Connection, path: &str, lines: &[Vec<u8>]) -> Answer {
    let ask = get(&format!("https://app.test/mirror/{path}"));
    connection.send(lines.iter().fold(ask, |ask, line| ask.header_bytes("cookie", line))).await
}

/// Compares an answer with the verdict; returns whether the request reached the application.
fn assert_agreed(what: &str, path: &str, lines: &[Vec<u8>], verdict: Verdict, answer: &Answer) -> bool {
    let told = || {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| String::from_utf8_lossy(&line.escape_ascii().collect::<Vec<_>>()).into_owned())
            .collect();
        format!("{what}, /{path}: {verdict:?} for {lines:#?}: {answer:?}")
    };
    let identity = match verdict {
        Verdict::Somebody(subject) if path != "public/" => vec![subject.as_bytes()],
        _ => Vec::new(),
    };
    let refused = path.is_empty() && identity.is_empty();
    assert_eq!(answer.status.as_u16(), if refused { 401 } else { 200 }, "{}", told());
    let changes = answer.set_cookies();
    let ends = !changes.is_empty() && changes.iter().all(SetCookie::clears);
    assert_eq!(
        ends,
        verdict == Verdict::Unreadable && path != "public/",
        "only what is no session is cleared: {}",
        told()
    );
    if refused {
        return false;
    }
    let seen = Reflection::read(&answer.body);
    assert_eq!(seen.all("x-user-id"), identity, "{}", told());
    let cookies = seen.all("cookie");
    assert!(cookies.len() <= 1, "the application gets one line: {}", told());
    let expected = of_the_application(lines.iter().map(Vec::as_slice));
    let arrived: Vec<_> = cookies
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|crumb| !crumb.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    assert_eq!(arrived, expected, "{}", told());
    true
}

#[tokio::test]
async fn no_cookies_but_the_intact_ones_make_somebody_of_a_request() {
    let (cases, at_once) = if long() { (150_000, 8) } else { (4_000, 4) };
    let stage = &Stage::set().await;
    let presenters = (0..at_once).map(|lane| async move {
        let client = if lane % 2 == 0 { stage.scene.client() } else { stage.scene.http2() };
        let (mut connection, mut forwarded, mut somebody) = (client.connect("app.test").await, 0, 0);
        for seed in (lane..cases).step_by(usize::try_from(at_once).unwrap()) {
            if connection.is_closed() {
                connection = client.connect("app.test").await;
            }
            let lines = stage.lines(seed);
            let (path, verdict) =
                (["", "", "optional/", "public/"][usize::try_from(seed / 8 % 4).unwrap()], stage.judge(&lines));
            let answer = present(&mut connection, path, &lines).await;
            // RFC 9113 §8.2.1; on HTTP/1.1 it is taken off by whoever reads the line.
            if client.protocol == Protocol::Http2 && lines.iter().any(|line| line.trim_ascii() != line.as_slice()) {
                assert_eq!(answer.status, 400, "seed {seed}");
                continue;
            }
            forwarded += usize::from(assert_agreed(&format!("seed {seed}"), path, &lines, verdict, &answer));
            somebody += usize::from(matches!(verdict, Verdict::Somebody(_)));
        }
        (forwarded, somebody)
    });
    let counts = futures_util::future::join_all(presenters).await;
    assert_eq!(stage.mirror.count(), counts.iter().map(|(forwarded, _)| forwarded).sum::<usize>());
    let somebody: usize = counts.iter().map(|(_, somebody)| somebody).sum();
    let all = usize::try_from(cases).unwrap();
    assert!(somebody > all / 10 && somebody < all * 2 / 3, "{somebody} of {all}: the generator has lost its balance");
    assert_eq!(stage.scene.issuer.reuses(), 0);
}

#[tokio::test]
async fn a_sealed_cookie_that_was_changed_or_cut_anywhere_is_no_session_and_is_cleared() {
    let stage = Stage::set().await;
    let client = stage.scene.http2();
    let mut connection = client.connect("app.test").await;
    for (name, value) in stage.sessions[0].crumbs.clone() {
        for at in 0..value.len() {
            let letter = if value[at] == b'A' { b'B' } else { b'A' };
            let changed = [&value[..at], &[letter], &value[at + 1..]].concat();
            let cut = value[..at].to_vec();
            for value in [changed, cut].into_iter().filter(|value| !value.is_empty()) {
                let lines = [[name.as_slice(), b"=", value.as_slice()].concat()];
                let answer = present(&mut connection, "", &lines).await;
                assert_agreed(&format!("letter {at}"), "", &lines, Verdict::Unreadable, &answer);
            }
        }
    }
    assert_eq!((stage.mirror.count(), stage.scene.issuer.token_requests()), (0, 0));
}

/// Every attribute of a line of Usher's, a clearing one too.
fn assert_safe(cookie: &SetCookie) {
    let has = |name: &str| cookie.attributes.contains_key(name);
    assert!(
        cookie.name.starts_with("__Host-usher-") && has("secure") && has("httponly") && !has("domain"),
        "{cookie:?}"
    );
    assert_eq!(
        (cookie.attributes["path"].as_str(), cookie.attributes["samesite"].as_str()),
        ("/", "Lax"),
        "{cookie:?}"
    );
    let age: u64 = cookie.attributes["max-age"].parse().unwrap();
    assert!(age <= 400 * 24 * 60 * 60, "{cookie:?}");
    assert_eq!(age == 0, cookie.value.is_empty(), "{cookie:?}");
}

#[tokio::test]
async fn every_line_that_sets_renews_or_clears_a_session_has_all_attributes_however_long_sessions_last() {
    let clock = Clock::adjustable();
    let (issuer, second, mirror) = (Issuer::start(&clock).await, Issuer::start(&clock).await, Mirror::start().await);
    let yaml = SITES.replace("$MIRROR", &mirror.url()).replace("$SECOND", &second.url()).replace("&issuer", "");
    let yaml = yaml.replace("'$SECRET' }", "'$SECRET', idle_timeout: 900d, absolute_timeout: 1000d }");
    let scene = Scene::with(&yaml, Upstream::start().await, issuer, clock).await;
    let mut jar = sign_in(&scene, &scene.issuer, "app.test", "alice", 9000).await;
    assert!(jar.names().len() > 3, "{:?}", jar.names());
    let pieces: Vec<String> = jar.names().into_iter().map(str::to_owned).collect();
    let access = scene.issuer.sign(&scene.issuer.token("alice"));
    let body = json!({ "accessToken": access, "refreshToken": scene.issuer.sign_in("alice").refresh });
    scene.upstream.answer("/auth/login", UpstreamAnswer::json(&body));
    let login = post("https://app.test/auth/login").header("origin", "https://app.test");
    let at_login = scene.send(login).await;
    let out = post("https://app.test/.usher/sign-out").header("origin", "https://app.test");
    let at_sign_out = scene.send(out.cookies(&jar)).await;
    let cleared: Vec<_> =
        at_sign_out.set_cookies().into_iter().filter(SetCookie::clears).map(|cookie| cookie.name).collect();
    assert!(pieces.iter().all(|piece| cleared.contains(piece)), "{pieces:?} are cleared: {cleared:?}");
    jar = Jar::default();
    jar.take(&at_login.headers);
    scene.clock.advance(std::time::Duration::from_secs(301));
    let at_renewal = scene.send(get("https://app.test/x").cookies(&jar)).await;
    for answer in [at_login.assert_status(200), at_renewal.assert_status(200), at_sign_out.assert_status(204)] {
        assert!(answer.set_cookies().len() >= 2, "{answer:?}");
        answer.set_cookies().iter().for_each(assert_safe);
    }
}

#[tokio::test]
async fn after_a_doubled_cookie_the_browser_can_sign_in_again() {
    let stage = Stage::set().await;
    let [alice, root] = [0, 2].map(|at| stage.sessions[at].crumbs[0].1.clone());
    let mut connection = stage.scene.client().connect("app.test").await;
    let garbage = b"garbage".to_vec();
    for (first, second) in [(&alice, &garbage), (&garbage, &alice), (&alice, &root), (&root, &alice), (&alice, &alice)]
    {
        let pair = |value: &[u8]| [ACCESS.as_bytes(), b"=", value].concat();
        for lines in [vec![pair(first), pair(second)], vec![[pair(first), pair(second)].join(b"; ".as_slice())]] {
            let answer = present(&mut connection, "", &lines).await;
            assert_agreed("doubled", "", &lines, Verdict::Unreadable, &answer);
        }
    }
    assert_eq!(stage.mirror.count(), 0);
    let jar = sign_in(&stage.scene, &stage.scene.issuer, "app.test", "alice", 0).await;
    stage.scene.send(get("https://app.test/mirror/").cookies(&jar)).await.assert_status(200);
}

#[tokio::test]
async fn a_session_secret_rotates_without_a_sign_in_and_a_lost_one_is_a_sign_in_and_no_error() {
    let clock = Clock::adjustable();
    let yaml = |issuer: &Issuer, upstream: &Upstream, secrets: &str| {
        let yaml =
            SITES.replace("$MIRROR", &upstream.url()).replace("$SECOND", "http://127.0.0.1:9").replace("&issuer", "");
        yaml.replace("$ISSUER", &issuer.url()).replace("$UPSTREAM", &upstream.url()).replace("'$SECRET'", secrets)
    };
    let (old, new) = ("an old secret 0123456789 0123456789", "a new secret 9876543210 9876543210");
    let secrets = format!("[{old}]");
    let (issuer, upstream) = (Issuer::start(&clock).await, Upstream::start().await);
    let configurations =
        [format!("['{new}', '{old}']"), format!("['{new}']")].map(|secrets| yaml(&issuer, &upstream, &secrets));
    let first = yaml(&issuer, &upstream, &secrets);
    let scene = Scene::with(&first, upstream, issuer, clock.clone()).await;
    let mut jar = sign_in(&scene, &scene.issuer, "app.test", "alice", 0).await;
    let both = crate::harness::Gateway::start(&configurations[0], &clock).await;
    let last = crate::harness::Gateway::start(&configurations[1], &clock).await;
    let ask = |jar: &Jar| get("https://app.test/x").cookies(jar);
    both.client().send(ask(&jar)).await.assert_status(200);
    let refused = last.client().send(ask(&jar)).await;
    assert!(
        refused.assert_status(401).set_cookies().iter().all(SetCookie::clears) && !refused.set_cookies().is_empty()
    );
    // What is renewed under both is sealed with the new one.
    clock.advance(std::time::Duration::from_secs(301));
    jar.take(&both.client().send(ask(&jar)).await.assert_status(200).headers);
    last.client().send(ask(&jar)).await.assert_status(200);
    assert_eq!(
        scene
            .client()
            .send(ask(&jar))
            .await
            .assert_status(401)
            .set_cookies()
            .iter()
            .filter(|cookie| !cookie.clears())
            .count(),
        0
    );
}

#[tokio::test]
async fn gateways_on_sibling_hosts_and_applications_below_a_path_do_not_meet_in_the_browser() {
    let (scene, _mirror, _second) = start("").await;
    let (sibling, _sibling_mirror, _sibling_second) = start("the secret of the sibling, 0123456789 0123456789").await;
    let jar = sign_in(&scene, &scene.issuer, "app.test", "alice", 0).await;
    let foreign = sign_in(&sibling, &sibling.issuer, "app.test", "alice", 0).await;
    assert_eq!(jar.names(), foreign.names(), "one name on every host, and no browser shares it (__Host-, no Domain)");
    let answer = scene.send(get("https://app.test/x").cookies(&foreign)).await;
    assert!(answer.assert_status(401).set_cookies().iter().all(SetCookie::clears));
    // A cookie that a sibling may set for the parent domain has another name, and is the application's.
    let tossed = "usher-access=tossed; __Host-app=1; usher-refresh=tossed";
    let line = format!("usher-access=tossed; {}; __Host-app=1; usher-refresh=tossed", jar.line().unwrap());
    scene.send(get("https://app.test/deep/app/x").header("cookie", &line)).await.assert_status(200);
    assert_eq!(scene.upstream.last().all("cookie"), [tossed]);
}
