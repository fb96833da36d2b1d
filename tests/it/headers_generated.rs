//! Header fields in thousands of spellings, on every kind of route: what the application is told about the user and
//! about the way of the request is what Usher wrote, or nothing.
//!
//! Judges are an echo, byte by byte, and two servers that make variables of fields: gunicorn (WSGI) and PHP.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::Value;

use crate::harness::application_server::{ApplicationServer, Kind, NUMBER};
use crate::harness::random::Random;
use crate::harness::scene::{ISSUERS, SESSION};
use crate::harness::verbatim::{Peer, Verbatim, VerbatimAnswer, VerbatimClient};
use crate::harness::{Issuer, Protocol, Scene, get, long};

const SITES: &str = "
sites:
  - host: $HOST
    issuer: main
    upstream: $SERVER
    identity_headers: { X-User-Id: sub, X-User-Email: email, X-User-Roles: realm_access.roles, X-User-Team: team }
    strip_headers: [X-Role]
    cors: true
    allowed_origins: ['https://spa.test']
    routes:
      - path: /
      - { path: /public/, access: public }
      - { path: /optional/, access: optional }
      - { path: /admin/, require: { realm_access.roles: admin } }
";

/// What Usher alone says about the user. A client says `forged`, wherever it says anything.
const IDENTITY: [&str; 4] = ["x-user-id", "x-user-email", "x-user-roles", "x-user-team"];

/// What nobody but Usher, or nobody at all, says to an application. A hyphen at the end stands for everything that begins so.
const RESERVED: [&str; 29] = [
    "x-role",
    "x-usher-",
    "proxy",
    "x-forwarded",
    "x-forwarded-",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "cf-",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-",
    "x-rewrite-",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-envoy-",
    "x-ssl-",
    "client-cert",
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "http2-settings",
];

/// The names that the mutations begin with.
const NAMES: [&str; 44] = [
    "X-User-Id",
    "X-User-Id",
    "X-User-Id",
    "X-User-Email",
    "X-User-Roles",
    "X-User-Team",
    "X-User-Team",
    "X-Role",
    "X-Usher-Assertion",
    "Proxy",
    "X-Forwarded-For",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-User",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded",
    "X-Real-IP",
    "Forwarded",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Client-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Envoy-Original-Path",
    "Client-Cert",
    "Host",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "TE",
    "Trailer",
    "Upgrade",
    "HTTP2-Settings",
    "Authorization",
    "Via",
    "X-Free",
    "X-Free",
    "Cookie",
];

/// How many of the values are legal.
const TAME: usize = 17;

const VALUES: [&[u8]; 21] = [
    b"forged",
    b"forged",
    b"forged, root",
    b"root,forged",
    b"\tforged\t",
    b" forged ",
    b"for\tforged",
    b"forged\xff",
    b"=?utf-8?q?forged?=",
    b"h2c, forged",
    b"\x80forged",
    b"forged\xc3\xa9",
    b"\"forged\"",
    b"forged;a=b",
    b"1.2.3.4, forged",
    b"for=forged;host=forged;proto=http, for=forged",
    b"https://forged/admin/",
    b"forged\r\n forged",
    b"forged\r\n\tx-user-id: forged",
    b"forged\0",
    b"forged\x7f",
];

/// The fields that this seed makes.
fn fields(random: &mut Random) -> Vec<(Vec<u8>, Vec<u8>)> {
    let count = 1 + random.below(6);
    // What is no field at all is refused at once, so most requests have none of that.
    let wild = random.chance(250);
    let values = if wild { &VALUES[..] } else { &VALUES[..TAME] };
    let mut fields = Vec::new();
    for _ in 0..count {
        let name = if random.chance(150) { "Connection" } else { *random.one_of(&NAMES) };
        let value = if name == "Connection" { connection(random) } else { random.one_of(values).to_vec() };
        let mut name = name.as_bytes().to_vec();
        if random.chance(500) {
            misspell(&mut name, wild, random);
        }
        let lines = if random.chance(150) { 2 } else { 1 };
        fields.extend(std::iter::repeat_n((name, value), lines));
    }
    fields
}

/// A list of what is to be removed, if the client had its way.
fn connection(random: &mut Random) -> Vec<u8> {
    let mut list = Vec::new();
    for _ in 0..=random.below(4) {
        let option = *random.one_of(&[
            "close",
            "keep-alive",
            "X-User-Id",
            "x-user-email",
            "X-USER-ROLES",
            "x-forwarded-for",
            "X-Forwarded-Host",
            "forwarded",
            "via",
            "host",
            "authorization",
            "cookie",
            "content-length",
            "x-free",
            "te",
            "upgrade",
            "x_user_id",
        ]);
        list.extend_from_slice(option.as_bytes());
        list.extend_from_slice(random.one_of(&[", ", ",", " , ", ",,", ";", " ", "\t,"]).as_bytes());
    }
    list
}

/// Gives a name another spelling: a `wild` one may be none that a field can have.
fn misspell(name: &mut Vec<u8>, wild: bool, random: &mut Random) {
    let (separators, ends, starts): (&[u8], &[&str], &[&str]) = if wild {
        (b"_ \t:@/\0\xad\r", &["_", " ", "\t", "\0", "\u{a0}", ":"], &["_", " ", "\t", ":", "\u{feff}", ":path:"])
    } else {
        (b"__.~+!#$%&'*^`|", &["_", "-", ".", "~", "%20", "'"], &["_", "-", "HTTP_", "HTTP-", "~", "%"])
    };
    for _ in 0..=random.below(3) {
        let at = random.below(name.len());
        let hyphens: Vec<usize> = (0..name.len()).filter(|at| name[*at] == b'-').collect();
        match random.below(8) {
            0 | 1 => name.make_ascii_lowercase(),
            2 => name.make_ascii_uppercase(),
            3 if name[at].is_ascii_alphabetic() => name[at] ^= 0x20,
            4 | 5 if !hyphens.is_empty() => name[*random.one_of(&hyphens)] = *random.one_of(separators),
            6 => name.extend_from_slice(random.one_of(ends).as_bytes()),
            7 => drop(name.splice(0..0, random.one_of(starts).bytes())),
            _ => name.insert(at, *random.one_of(separators)),
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    Alice,
    /// Her token has no `email`.
    Nameless,
}

/// What is asked for, and what the application is to be told about the user; `None` where it is told nothing at all,
/// because it never hears of the request.
#[derive(Clone, Copy, Debug)]
struct Case {
    method: &'static str,
    path: &'static str,
    who: Who,
    identity: Option<bool>,
    websocket: bool,
}

const fn case(method: &'static str, path: &'static str, who: Who, identity: Option<bool>) -> Case {
    Case { method, path, who, identity, websocket: false }
}

const CASES: [Case; 12] = [
    case("GET", "/public/x", Who::Nobody, Some(false)),
    case("GET", "/public/x", Who::Alice, Some(false)),
    case("GET", "/x", Who::Nobody, None),
    case("GET", "/x", Who::Alice, Some(true)),
    case("GET", "/x", Who::Nameless, Some(true)),
    case("GET", "/optional/x", Who::Nobody, Some(false)),
    case("GET", "/optional/x", Who::Alice, Some(true)),
    case("GET", "/admin/x", Who::Alice, None),
    case("OPTIONS", "/x", Who::Nobody, Some(false)),
    case("OPTIONS", "/x", Who::Alice, Some(false)),
    case("GET", "/.usher/x", Who::Alice, None),
    Case { method: "GET", path: "/ws", who: Who::Alice, identity: Some(true), websocket: true },
];

struct Tokens {
    alice: String,
    nameless: String,
}

impl Tokens {
    fn new(issuer: &Issuer) -> Self {
        let nameless = issuer.sign(&issuer.token("alice").without("email"));
        Self { alice: issuer.access_token("alice"), nameless }
    }
}

/// The request of a case, with these fields among its own.
fn request(case: Case, host: &str, tokens: &Tokens, random: &mut Random) -> Verbatim {
    let mut request = Verbatim { method: case.method, ..Verbatim::get(host, case.path) };
    let mut own: Vec<(&str, String)> = Vec::new();
    let token = match case.who {
        Who::Nobody => None,
        Who::Alice => Some(&tokens.alice),
        Who::Nameless => Some(&tokens.nameless),
    };
    match token {
        Some(token) if random.chance(500) => own.push(("authorization", format!("Bearer {token}"))),
        Some(token) => own.push(("cookie", format!("a=1; at={token}; b=2"))),
        None => {}
    }
    if case.method == "OPTIONS" {
        own.push(("origin", "https://spa.test".to_owned()));
        own.push(("access-control-request-method", "PUT".to_owned()));
    }
    if case.websocket {
        own.push(("connection", "Upgrade".to_owned()));
        own.push(("upgrade", "websocket".to_owned()));
        own.push(("sec-websocket-version", "13".to_owned()));
        own.push(("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned()));
        own.push(("origin", format!("https://{host}")));
    }
    let fields = fields(random);
    let middle = random.below(fields.len() + 1);
    request.fields.extend_from_slice(&fields[..middle]);
    request.fields.extend(own.into_iter().map(|(name, value)| (name.into(), value.into())));
    request.fields.extend_from_slice(&fields[middle..]);
    request
}

/// What the application is to be told of the user.
fn identity(case: Case) -> [Option<&'static str>; 4] {
    let email = (case.who != Who::Nameless).then_some("alice@app.test");
    if case.identity == Some(true) { [Some("alice"), email, Some("reader"), None] } else { [None; 4] }
}

/// A name as CGI, WSGI and their kin make a variable of it.
fn variable(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }).collect()
}

/// Nothing but what Usher wrote stands where only Usher writes. Names are in lower case.
fn assert_honest(fields: &[(String, String)], case: Case, host: &str, what: &str) {
    let all = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|(name, _)| variable(name) == wanted).map(|(_, value)| value.as_str()).collect()
    };
    let proper = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    assert!(fields.iter().all(|(name, _)| proper(name)), "{what}: {fields:?}");
    for (name, expected) in IDENTITY.iter().zip(identity(case)) {
        assert_eq!(all(name), expected.into_iter().collect::<Vec<_>>(), "{name} of {what}: {fields:?}");
    }
    for (name, value) in fields.iter().filter(|(_, value)| value.contains("forged")) {
        let reserved = |reserved: &str| name == reserved || reserved.ends_with('-') && name.starts_with(reserved);
        assert!(!RESERVED.iter().any(|name| reserved(name)), "{name}: {value} of {what}");
    }
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"], "{what}");
    assert_eq!(all("x-real-ip"), ["127.0.0.1"], "{what}");
    assert_eq!(all("x-forwarded-proto"), ["https"], "{what}");
    assert_eq!(all("x-forwarded-host"), [host], "{what}");
    assert_eq!(all("x-forwarded-port"), ["443"], "{what}");
    assert_eq!(all("forwarded"), [format!("for=127.0.0.1;host=\"{host}\";proto=https")], "{what}");
    assert_eq!(all("host"), [host], "{what}");
    assert_eq!(all("transfer-encoding"), [""; 0], "{what}");
    for option in all("connection").iter().flat_map(|line| line.split(',')) {
        let option = option.trim().to_ascii_lowercase();
        assert!(matches!(option.as_str(), "keep-alive" | "close" | "upgrade"), "{what}");
    }
    // Any protocol may be asked for on a connection that the client turns over, but not HTTP once more.
    assert!(all("upgrade").len() < 2 && !all("upgrade").concat().to_ascii_lowercase().contains("h2c"), "{what}");
    assert!(!case.websocket || all("upgrade").concat().contains("websocket"), "{what}");
    assert!(all("te").iter().all(|value| *value == "trailers"), "{what}");
    let said = |text: &str| fields.iter().any(|(_, value)| value.contains(text));
    assert!(!said("Bearer ") && !said("at=ey"), "no token of Usher's goes on: {what}");
}

/// The fields that a head of HTTP/1.1 has.
fn parse(head: &[u8]) -> Vec<(String, String)> {
    let head = String::from_utf8_lossy(head).into_owned();
    let lines = head.lines().skip(1).take_while(|line| !line.is_empty());
    let pairs = lines.map(|line| line.split_once(':').unwrap());
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// The variables that a server has made of the fields.
fn assert_honest_variables(variables: &Value, case: Case, host: &str, what: &str) {
    let said = |name: &str| variables.get(format!("HTTP_{}", name.to_uppercase().replace('-', "_"))).cloned();
    for (name, expected) in IDENTITY.iter().zip(identity(case)) {
        assert_eq!(said(name), expected.map(Value::from), "{name} of {what}");
    }
    for (name, expected) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", host),
        ("x-forwarded-port", "443"),
        ("host", host),
    ] {
        assert_eq!(said(name), Some(Value::from(expected)), "{name} of {what}");
    }
    for name in ["proxy", "x-role", "x-forwarded-user", "x-original-url", "x-rewrite-url", "x-http-method-override"] {
        assert_eq!(said(name), None, "{name} of {what}");
    }
}

/// Whether a `Connection` line names this field.
fn names(request: &Verbatim, field: &str) -> bool {
    let lines = request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
    let mut options = lines.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(field.as_bytes()))
}

/// What a refusal may be. A WebSocket that a server does not speak is answered in HTTP.
fn is_refusal(answer: Option<&VerbatimAnswer>) -> bool {
    answer.is_none_or(|answer| matches!(answer.status, 400 | 401 | 403 | 404 | 431))
}

fn sites(host: &str, server: &str) -> String {
    format!("{ISSUERS}{SESSION}{}", SITES.replace("$HOST", host).replace("$SERVER", server))
}

#[tokio::test]
async fn no_spelling_of_a_field_tells_the_application_who_somebody_is() {
    let scene = Scene::start(&sites("app.test", "$UPSTREAM")).await;
    let tokens = Tokens::new(&scene.issuer);
    let (mut told, count) = (0, if long() { 5_000 } else { 600 });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut client = VerbatimClient::new(Peer::Gateway(scene.gateway.https(), "app.test".to_owned(), protocol));
        for seed in 0..count {
            let random = &mut Random::seeded(seed);
            let case = *random.one_of(&CASES);
            if case.websocket && protocol == Protocol::Http2 {
                continue;
            }
            let request = request(case, "app.test", &tokens, random);
            let before = scene.upstream.count();
            let answer = client.send(&request).await;
            let what = format!("seed {seed}, {protocol:?}, {}", request.http1().escape_ascii());
            let arrived = scene.upstream.count() - before;
            if arrived == 0 {
                assert!(case.identity.is_none() || is_refusal(answer.as_ref()), "{what}: {answer:?}");
                continue;
            }
            told += 1;
            let seen = scene.upstream.last();
            assert_eq!((arrived, case.identity.is_some()), (1, true), "{what} is told to the application: {seen:?}");
            assert_eq!((seen.method.as_str(), seen.target.as_str()), (case.method, case.path), "{what}");
            assert_honest(&seen.headers, case, "app.test", &what);
            assert!(!names(&request, "x-free") || seen.all("x-free").is_empty(), "{what}: {seen:?}");
        }
    }
    assert!(told > count / 4, "the application is told of {told} of {count}");
    scene.assert_well().await;
}

/// A server that makes variables of fields, behind the gateway.
async fn judge(kind: Kind) {
    let Some(server) = ApplicationServer::start(kind).await else { return };
    let host = format!("{}.wild.test", kind.name());
    let scene = Scene::start(&sites(&host, &server.url())).await;
    let tokens = Tokens::new(&scene.issuer);
    // The server does make variables of them, and a test would notice.
    let mut direct = VerbatimClient::new(Peer::Server(server.address().clone()));
    let forged = Verbatim::get(&host, "/x").field("X_User-ID", "forged").field("X-Forwarded-For", "forged");
    let variables: Value = serde_json::from_slice(&direct.send(&forged).await.unwrap().body).unwrap();
    assert_eq!(variables["HTTP_X_FORWARDED_FOR"], "forged");
    assert_eq!(variables["HTTP_X_USER_ID"], "forged", "{kind:?} folds an underscore");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut client = VerbatimClient::new(Peer::Gateway(scene.gateway.https(), host.clone(), protocol));
        for name in ["X_User_Id", "x_user_id", "X-User_Id", "X-User-Id_", "X_USER_ID", "x-user_id", "HTTP_X_USER_ID"] {
            let name = if protocol == Protocol::Http2 { name.to_lowercase() } else { name.to_owned() };
            for (path, expected) in [("/x", Some("alice")), ("/public/x", None)] {
                let request = Verbatim::get(&host, path).field(NUMBER, "0").field(name.as_str(), "forged");
                let request = request.field("authorization", format!("Bearer {}", tokens.alice));
                let answer = client.send(&request).await.unwrap();
                let start = answer.body.iter().position(|byte| *byte == b'{').unwrap();
                let end = answer.body.iter().rposition(|byte| *byte == b'}').unwrap();
                let variables: Value = serde_json::from_slice(&answer.body[start..=end]).unwrap();
                assert_eq!(variables.get("HTTP_X_USER_ID").and_then(Value::as_str), expected, "{name} on {path}");
                assert!(!variables.to_string().contains("forged"), "{name} on {path}: {variables}");
                server.take_head(0).unwrap();
            }
        }
    }

    let (mut told, count) = (0, if long() { 10_000 } else { 200 });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut client = VerbatimClient::new(Peer::Gateway(scene.gateway.https(), host.clone(), protocol));
        for seed in 0..count {
            let random = &mut Random::seeded(1_000_000 + seed);
            let case = *random.one_of(&CASES);
            if case.websocket {
                continue;
            }
            let number = usize::try_from(seed).unwrap();
            let request = request(case, &host, &tokens, random).field(NUMBER, number.to_string());
            let answer = client.send(&request).await;
            let what = format!("seed {seed}, {kind:?}, {protocol:?}, {}", request.http1().escape_ascii());
            let Some(head) = server.take_head(number) else {
                assert!(case.identity.is_none() || is_refusal(answer.as_ref()), "{what}: {answer:?}");
                continue;
            };
            told += 1;
            assert!(case.identity.is_some(), "{what} is told to the application");
            assert_honest(&parse(&head), case, &host, &what);
            let body = answer.unwrap_or_else(|| panic!("no answer: {what}")).body;
            let start = body.iter().position(|byte| *byte == b'{').unwrap_or_default();
            let end = body.iter().rposition(|byte| *byte == b'}').map_or(body.len(), |at| at + 1);
            let variables: Value = serde_json::from_slice(&body[start..end])
                .unwrap_or_else(|error| panic!("{error}: {what}: {}", body.escape_ascii()));
            assert_honest_variables(&variables, case, &host, &what);
        }
    }
    assert!(told > count / 4, "the application is told of {told} of {count}");
    assert_eq!(server.heads_left(), 0, "nothing reached the server that no request accounts for");
}

#[tokio::test]
async fn the_environ_of_a_wsgi_application_has_the_identity_that_usher_wrote() {
    judge(Kind::Gunicorn).await;
}

#[tokio::test]
async fn the_server_variables_of_php_have_the_identity_that_usher_wrote() {
    judge(Kind::Php).await;
}

#[tokio::test]
async fn whatever_a_trusted_proxy_says_the_application_is_told_one_story() {
    const ADDRESSES: [&str; 9] =
        ["203.0.113.9", "10.0.0.1", "::1", "[2001:db8::1]:80", "1.2.3.4:99", "unknown", "", "forged", "127.0.0.1"];
    let yaml = format!("trusted_proxies: [127.0.0.1/32, 10.0.0.0/8]\n{}", sites("app.test", "$UPSTREAM"));
    let scene = Scene::start(&yaml).await;
    let mut passed = 0;
    for seed in 0..if long() { 2_000 } else { 300 } {
        let random = &mut Random::seeded(2_000_000 + seed);
        let mut ask = get("https://app.test/public/x");
        let mut said = String::new();
        for _ in 0..=random.below(4) {
            let list: Vec<&str> = (0..=random.below(3)).map(|_| *random.one_of(&ADDRESSES)).collect();
            let (name, value) = match random.below(8) {
                0..=2 => ("x-forwarded-for", list.join(*random.one_of(&[", ", ","]))),
                3 => {
                    ("x-forwarded-proto", (*random.one_of(&["http", "https", "HTTPS", "ws", "https, http"])).to_owned())
                }
                4 => (
                    "x-forwarded-host",
                    (*random.one_of(&["www.else.test:8443", "ELSE.test", "app.test", "a, b.test"])).to_owned(),
                ),
                5 => ("x-forwarded-port", (*random.one_of(&["8443", "80", "0x50", "99999", "80, 443"])).to_owned()),
                6 => ("x-real-ip", list.join("")),
                _ => ("forwarded", format!("for=\"{}\";host=forged;proto=http", list.join(""))),
            };
            writeln!(said, "{name}: {value}").unwrap();
            ask = ask.header(name, &value);
        }
        let before = scene.upstream.count();
        let answer = scene.send(ask.header("x-user-id", "forged")).await;
        if scene.upstream.count() == before {
            answer.assert_status(400);
            continue;
        }
        passed += 1;
        let seen = scene.upstream.last();
        let one = |name: &str| seen.header(name).unwrap_or_else(|| panic!("{name} is missing after {said}")).to_owned();
        let chain: Vec<IpAddr> = one("x-forwarded-for").split(", ").map(|hop| hop.parse().unwrap()).collect();
        let forwarded = one("forwarded");
        let hops = forwarded.split(", ").map(|hop| hop.trim_start_matches("for=").split(';').next().unwrap());
        let hops: Vec<IpAddr> = hops.map(|hop| hop.trim_matches(['"', '[', ']']).parse().unwrap()).collect();
        assert_eq!(chain, hops, "one chain after {said}: {seen:?}");
        assert_eq!(chain.last(), Some(&IpAddr::from([127, 0, 0, 1])), "{said}");
        let trusted = |hop: &&IpAddr| matches!(hop, IpAddr::V4(hop) if hop.octets()[0] == 10 || hop.is_loopback());
        let client = chain.iter().rev().find(|hop| !trusted(hop)).unwrap_or(&chain[0]);
        assert_eq!(one("x-real-ip").parse::<IpAddr>().unwrap(), *client, "{said}: {chain:?}");
        let (scheme, host) = (one("x-forwarded-proto"), one("x-forwarded-host"));
        assert!(matches!(scheme.as_str(), "http" | "https"), "{said}");
        assert!(forwarded.ends_with(&format!(";host=\"{host}\";proto={scheme}")), "{said}: {forwarded} and {host}");
        assert!(one("x-forwarded-port").parse::<u16>().is_ok(), "{said}");
        assert_eq!((seen.host.as_str(), seen.folded("x-user-id")), ("app.test", vec![]), "{said}");
    }
    assert!(passed > 100, "{passed}");
}
