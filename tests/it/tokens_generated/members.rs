//! Headers and claims of generated tokens: for every member the values that it may have, each with the verdict of the rules
//! (RFC 7515, 7519, 8725, 9068 and the configuration), written down by hand so that nothing of the product judges itself.

use crate::harness::keys::SigningKey;
use crate::harness::random::Random;

/// One member of an object.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    /// Its value, as JSON.
    pub(super) value: String,
    /// Whether a token with it may count.
    pub(super) fine: bool,
    /// What the application is told of it, if it is one of the claims that make headers.
    pub(super) shown: Option<String>,
}

fn fine(name: &'static str, value: impl Into<String>) -> Member {
    Member { name, value: value.into(), fine: true, shown: None }
}

fn shown(name: &'static str, value: &str, as_header: &str) -> Member {
    Member { shown: Some(as_header.to_owned()), ..fine(name, value) }
}

fn bad(name: &'static str, value: impl Into<String>) -> Member {
    Member { fine: false, ..fine(name, value) }
}

/// Members without which no token counts; `sub` because a header is made of it.
pub(super) const NEEDED: [&str; 5] = ["iss", "aud", "exp", "sub", "alg"];

/// Members that make headers: claim (or the first step of its path) and header.
pub(super) const IDENTITY: [(&str, &str); 4] =
    [("sub", "x-user-id"), ("email", "x-user-email"), ("realm_access", "x-user-roles"), ("team", "x-user-team")];

/// The claims of an honest token.
pub(super) fn honest_claims(issuer: &str, now: u64, subject: &str) -> Vec<Member> {
    vec![
        fine("iss", format!("\"{issuer}\"")),
        shown("sub", &format!("\"{subject}\""), subject),
        fine("aud", "\"usher\""),
        fine("iat", now.to_string()),
        fine("exp", (now + 300).to_string()),
        shown("realm_access", r#"{"roles":["reader"]}"#, "reader"),
    ]
}

/// The header of an honest token.
pub(super) fn honest_header(key_id: &str, key: &SigningKey) -> Vec<Member> {
    let algorithm = fine("alg", format!("\"{}\"", key.algorithm()));
    vec![algorithm, fine("kid", format!("\"{key_id}\"")), fine("typ", "\"at+jwt\"")]
}

/// Some claim with some value.
pub(super) fn claim(random: &mut Random, issuer: &str, now: u64) -> Member {
    let pools = [issuers, audiences, subjects, times, shown_claims, marks];
    let pool = random.one_of(&pools)(issuer, now);
    random.one_of(&pool).clone()
}

/// Some header parameter with some value.
pub(super) fn parameter(random: &mut Random, key_id: &str, key: &SigningKey) -> Member {
    let pools = [algorithms, key_ids, types, pointers];
    let pool = random.one_of(&pools)(key_id, key);
    random.one_of(&pool).clone()
}

fn issuers(issuer: &str, _: u64) -> Vec<Member> {
    let mut members = vec![fine("iss", format!("\"\\u0068{}\"", &issuer[1..]))];
    let others = [
        format!("\"{issuer}/\""),
        format!("\"{issuer} \""),
        format!("\"{issuer}\\u0000\""),
        format!("\"{issuer}#\""),
        format!("\"{}\"", issuer.to_uppercase()),
        format!("[\"{issuer}\"]"),
        "\"https://evil.test\"".to_owned(),
        "\"main\"".to_owned(),
        "\"\"".to_owned(),
        "null".to_owned(),
        "7".to_owned(),
    ];
    members.extend(others.into_iter().map(|value| bad("iss", value)));
    members
}

fn audiences(_: &str, _: u64) -> Vec<Member> {
    let ours = [r#"["usher"]"#, r#"["other","usher"]"#, r#""us\u0068er""#, r#"["usher","usher"]"#];
    let others = [
        r#""other""#,
        "[]",
        r#"["other"]"#,
        r#"{"0":"usher"}"#,
        r#"{"usher":true}"#,
        r#"["usher",1]"#,
        r#"["usher",null]"#,
        r#"[["usher"]]"#,
        r#""USHER""#,
        r#""usher ""#,
        r#"" usher""#,
        r#""usher\u0000""#,
        r#""usher,other""#,
        r#""other usher""#,
        r#""""#,
        "null",
        "true",
        "0",
    ];
    ours.map(|value| fine("aud", value)).into_iter().chain(others.map(|value| bad("aud", value))).collect()
}

fn subjects(_: &str, _: u64) -> Vec<Member> {
    let long = "x".repeat(1024);
    let mut members = vec![
        shown("sub", r#""root""#, "root"),
        shown("sub", r#""al\u0069ce""#, "alice"),
        shown("sub", r#""\u00e5lice""#, "%C3%A5lice"),
        shown("sub", "\"ålice\"", "%C3%A5lice"),
        shown("sub", r#""a%b""#, "a%25b"),
        shown("sub", r#"" alice ""#, "%20alice%20"),
        shown("sub", r#""alice,root""#, "alice,root"),
        shown("sub", r#""\ud83d\ude00""#, "%F0%9F%98%80"),
        shown("sub", r#""alice\u2028X-User-Id: root""#, "alice%E2%80%A8X-User-Id: root"),
        shown("sub", &format!("\"{long}\""), &long),
    ];
    let others = [
        r#""""#,
        "null",
        "7",
        "true",
        r#"["root"]"#,
        r#"{"id":"root"}"#,
        r#""a\r\nX-User-Id: root""#,
        r#""a\nb""#,
        r#""a\u0000b""#,
        r#""a\tb""#,
        r#""a\u007f""#,
        r#""a\u0085b""#,
        r#""\ud800""#,
        r#""\q""#,
    ];
    members.extend(others.map(|value| bad("sub", value)));
    members.extend([format!("\"{long}x\""), format!("\"{}\"", "y".repeat(10 * 1024))].map(|value| bad("sub", value)));
    members
}

fn times(_: &str, now: u64) -> Vec<Member> {
    let seconds = |delta: i64| now.saturating_add_signed(delta).to_string();
    let mut members = vec![
        fine("exp", seconds(60)),
        fine("exp", format!("{}.75", seconds(60))),
        fine("exp", "99999999999999999999"),
        fine("exp", "1e300"),
        fine("nbf", seconds(0)),
        fine("nbf", seconds(-500)),
        fine("nbf", "-1"),
        fine("iat", seconds(-100_000)),
        fine("iat", "0"),
    ];
    for value in [seconds(0), seconds(-1), seconds(-61), format!("{}.5", seconds(0)), "0".into(), "-1".into()] {
        members.push(bad("exp", value));
    }
    for value in ["null", "true", "{}", "[]", "-1e300", "1e400", "0x7fffffff", "Infinity", "NaN", "\"\""] {
        members.push(bad("exp", value));
    }
    for value in [format!("\"{}\"", seconds(60)), format!("[{}]", seconds(60)), format!("0{}", seconds(60))] {
        members.push(bad("exp", value));
    }
    for name in ["nbf", "iat"] {
        for value in [&seconds(60), "1e300", "null", "\"0\"", "true", "[0]"] {
            members.push(bad(name, value));
        }
    }
    members
}

fn shown_claims(_: &str, _: u64) -> Vec<Member> {
    vec![
        shown("email", r#""alice@app.test""#, "alice@app.test"),
        shown("email", r#""a\r\nX-User-Id: root""#, "a%0D%0AX-User-Id: root"),
        shown("email", r#""a\u0000b""#, "a%00b"),
        shown("email", "7", "7"),
        shown("email", "true", "true"),
        shown("email", r#"["a","b,c",null]"#, "a,b%2Cc"),
        shown("email", r#"{"a":1}"#, r#"{"a":1}"#),
        fine("email", "null"),
        fine("email", "[]"),
        fine("email", r#""""#),
        shown("realm_access", r#"{"roles":["reader","admin"]}"#, "reader,admin"),
        shown("realm_access", r#"{"roles":"admin"}"#, "admin"),
        shown("realm_access", r#"{"other":["x"],"r\u006fles":["reader"]}"#, "reader"),
        fine("realm_access", r#"{"Roles":["admin"]}"#),
        fine("realm_access", r#""admin""#),
        fine("realm_access", r#"["roles","admin"]"#),
        fine("realm_access", "null"),
        bad("realm_access", r#"{"roles":["reader"],"roles":["admin"]}"#),
        bad("realm_access", r#"{"roles":["reader"],"\u0072oles":["admin"]}"#),
        bad("realm_access", r#"{"roles":["admin"]"#),
        shown("team", r#""red""#, "red"),
        shown("team", r#""X-User-Id: root""#, "X-User-Id: root"),
    ]
}

/// Claims that say what kind of token it is, and ones that nobody knows.
fn marks(_: &str, _: u64) -> Vec<Member> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        bad("cnf", r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#),
        bad("cnf", "{}"),
        bad("cnf", "null"),
        bad("at_hash", r#""x""#),
        bad("c_hash", r#""x""#),
        bad("s_hash", r#""x""#),
        bad("events", r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#),
        fine("nonce", r#""x""#),
        fine("padding", format!("\"{}\"", "x".repeat(3000))),
        fine("padding", format!("\"{}\"", "x".repeat(20_000))),
        bad("padding", format!("\"{}\"", "x".repeat(40_000))),
        fine("deep", deep(100)),
        bad("deep", deep(200)),
        bad("deep", deep(10_000)),
        bad("deep", "[".repeat(5_000)),
        bad("huge", "1e999"),
        fine("huge", "123456789012345678901234567890"),
        fine("SUB", r#""root""#),
        fine("Sub", r#""root""#),
        fine("sub ", r#""root""#),
        fine("x-user-id", r#""root""#),
        fine("EXP", "1"),
        fine("admin", "true"),
        fine("__proto__", r#"{"sub":"root"}"#),
    ]
}

fn algorithms(_: &str, key: &SigningKey) -> Vec<Member> {
    let honest = key.algorithm();
    let mut members = vec![fine("alg", format!("\"\\u00{:02x}{}\"", honest.as_bytes()[0], &honest[1..]))];
    let spellings = ["none", "None", "nOnE", "NONE", "", "HS256", "HS384", "PS256", "ES384", "ES512", "RS1", "dir"];
    members.extend(spellings.map(|name| bad("alg", format!("\"{name}\""))));
    members.extend(
        ["RS256", "ES256", "EdDSA"]
            .into_iter()
            .filter(|name| *name != honest)
            .map(|name| bad("alg", format!("\"{name}\""))),
    );
    members.extend(
        [honest.to_lowercase(), format!("{honest} "), format!(" {honest}"), format!("{honest}\\u0000")]
            .map(|name| bad("alg", format!("\"{name}\""))),
    );
    members.extend(["null", "123", "{}", "true"].map(|value| bad("alg", value)));
    members.push(bad("alg", format!("[\"{honest}\"]")));
    members
}

fn key_ids(key_id: &str, _: &SigningKey) -> Vec<Member> {
    let mut members = vec![fine("kid", format!("\"\\u00{:02x}{}\"", key_id.as_bytes()[0], &key_id[1..]))];
    let others = ["unknown", "../../dev/null", "", "' OR 1=1 --", "key-1\\u0000", "KEY-1", "http://evil.test/keys"];
    members.extend(others.map(|name| bad("kid", format!("\"{name}\""))));
    members.extend(
        super::KEY_IDS.into_iter().filter(|name| *name != key_id).map(|name| bad("kid", format!("\"{name}\""))),
    );
    members.extend(["null", "7", "[\"key-1\"]", "{}"].map(|value| bad("kid", value)));
    members
}

fn types(_: &str, _: &SigningKey) -> Vec<Member> {
    let ours = ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT", "\\u004aWT"];
    let others =
        ["logout+jwt", "dpop+jwt", "secevent+jwt", "", "JWT ", "at+jwt\\u0000", "text/jwt", "JOSE", "JWS", "JWE"];
    let mut members: Vec<_> = ours.iter().map(|name| fine("typ", format!("\"{name}\""))).collect();
    members.extend(others.map(|name| bad("typ", format!("\"{name}\""))));
    members.extend(["null", "1", "[\"JWT\"]"].map(|value| bad("typ", value)));
    members
}

/// Parameters that lead to a key elsewhere, or must be understood.
fn pointers(_: &str, _: &SigningKey) -> Vec<Member> {
    let stranger = SigningKey::ed25519();
    vec![
        fine("jwk", stranger.jwk("key-1").to_string()),
        fine("jku", r#""http://127.0.0.1:9/keys""#),
        fine("x5u", r#""http://127.0.0.1:9/chain""#),
        fine("x5c", r#"["AAAA"]"#),
        fine("x5t", r#""AAAA""#),
        fine("cty", r#""JWT""#),
        fine("Alg", r#""none""#),
        bad("crit", r#"["exp"]"#),
        bad("crit", "[]"),
        bad("crit", "null"),
        bad("b64", "false"),
        bad("b64", "true"),
    ]
}
