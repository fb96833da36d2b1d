//! Targets in thousands of spellings: from what is protected, by every trick that some server has fallen for, several at
//! once. Here the application is an echo; `application_servers.rs` sends the same targets to real ones.
//!
//! Two things must hold for every one of them: what reaches the application is, byte for byte, the canonical form of what
//! was sent, and no reading of it is protected.

use crate::harness::random::Random;
use crate::harness::verbatim::{Peer, Verbatim, VerbatimClient};
use crate::harness::{Protocol, Scene, long};
use crate::paths::{is_admin, readings};

/// What the mutations begin with. `/admin/` is protected, `/public/` is for everybody.
const BEGINNINGS: [&str; 31] = [
    "/admin/secret.txt",
    "/admin/secret.txt",
    "/admin/index.php",
    "/admin/",
    "/admin",
    "/admin/index.php/x",
    "/admin;x=y/secret.txt",
    "/x;y/admin;/secret.txt",
    "/public/..%2fadmin/secret.txt",
    "/public/../admin/secret.txt",
    "/public/x/../../admin/secret.txt",
    "/public/hello.txt/../../admin/secret.txt",
    "/public/..;/admin/secret.txt",
    "/public/admin/../../admin/",
    "/./admin/secret.txt",
    "//admin/secret.txt",
    "/x/../admin/secret.txt",
    // Open as they stand: what is done to them decides where they lead.
    "/public/admin/secret.txt",
    "/public/admin/secret.txt",
    "/public/x/admin/",
    "/public/hello.txt",
    "/public/hello.txt/admin",
    "/public/",
    "/public",
    "/x/admin/secret.txt",
    "/x/admin/secret.txt",
    "/index.php/admin/secret.txt",
    "/administrator",
    "/",
    "/publicadmin/secret.txt",
    "/public/?/admin/secret.txt",
];

/// What some server takes for a slash, or for nothing beside one.
const SLASHES: [&str; 34] = [
    "//",
    "///",
    "/./",
    "/.//",
    "\\",
    "/\\",
    "\\/",
    "%2f",
    "%2F",
    "/%2f",
    "%5c",
    "%5C/",
    "%252f",
    "%255c",
    "%25252f",
    "%c0%af",
    "%c1%9c",
    "%e0%80%af",
    "%u002f",
    "%u2215",
    "/;/",
    ";/",
    "/;x=y/",
    "/%3b/",
    "/%20/",
    "/%09/",
    "/%00/",
    "/+/",
    "/ /",
    "/x/../",
    "/x/%2e%2e/",
    "/%2e/",
    "/./../",
    "/...//",
];

/// What some server takes for a step up.
const STEPS_UP: [&str; 30] = [
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%252e%252e",
    "%25252e.",
    "..;",
    "..;x=y",
    "%2e%2e;",
    ".;/.",
    "..%3b",
    "..%00",
    "%00..",
    "..%20",
    ".. ",
    "..%09",
    "...",
    "....",
    ". .",
    ".%20.",
    "%c0%ae%c0%ae",
    "%e0%80%ae.",
    "%u002e%u002e",
    "%uff0e%uff0e",
    "%ef%bc%8e%ef%bc%8e",
    "%e2%80%a5",
    "..%5c",
    "..%2f",
    "..#",
    "..?",
];

/// What may stand at the end of a name.
const ENDINGS: [&str; 36] = [
    "/",
    "//",
    "/.",
    "/..",
    "/./",
    "/x/..",
    ".",
    "..",
    "%2e",
    "%20",
    " ",
    "+",
    "%00",
    "%00.css",
    "%00/",
    "%0a",
    "%0d%0a",
    "%09",
    ";",
    ";.css",
    ";x=y",
    ";/../../public/hello.txt",
    "%3b",
    "%3f",
    "%23",
    "%3f/../public/",
    "%23/public/",
    "?",
    "?/public/",
    "??x=%2f..%2f..",
    "#",
    "#/public/",
    "::$DATA",
    "::$INDEX_ALLOCATION",
    "~1",
    "%25",
];

/// Those that a path may have.
const LEGAL_ENDINGS: [&str; 18] = [
    "/",
    ".",
    "..",
    "%20",
    "%20.",
    "+",
    "%3f",
    "%3fx",
    "%23",
    "%23x",
    "%3f.css",
    "%25",
    "~1",
    ":x",
    "::$DATA",
    "::$INDEX_ALLOCATION",
    "/index.php",
    ".css",
];

/// Characters that compatibility forms and best-fit code pages turn into one that structures a path.
const LOOKALIKES: &str = "\u{2044}\u{2215}\u{29f8}\u{ff0f}\u{2216}\u{29f5}\u{fe68}\u{ff3c}\u{2024}\u{fe52}\u{ff0e}\
    \u{2025}\u{2026}\u{fe30}\u{fe19}\u{37e}\u{fe54}\u{ff1b}\u{fe14}\u{fe56}\u{ff1f}\u{fe16}\u{2047}\u{2048}\u{2049}\
    \u{fe5f}\u{ff03}\u{ff05}\u{fe6a}\u{2100}\u{2105}\u{2488}\u{1f100}\u{ff1a}\u{a0}\u{3000}\u{200b}\u{feff}\u{ad}\u{131}\
    \u{130}\u{17f}\u{212a}\u{e9}";

/// Where an absolute target may lead; `$HOST` is the host of the request.
const ORIGINS: [&str; 14] = [
    "https://$HOST",
    "https://$HOST",
    "http://$HOST",
    "HTTPS://$HOST",
    "https://$HOST:443",
    "https://$HOST.",
    "https://user@$HOST",
    "https://pub.test",
    "https://",
    "https:/",
    "//$HOST",
    "ftp://$HOST",
    "file://",
    "x:",
];

/// The spelling that this seed makes, for a request to `host`.
pub(crate) fn target(seed: u64, host: &str) -> Vec<u8> {
    let random = &mut Random::seeded(seed);
    let mut target = random.one_of(&BEGINNINGS).as_bytes().to_vec();
    // Most tricks are refused at first sight. What is legal, and means something else to some server, gets further.
    let change = if random.chance(400) { bend } else { mutate };
    for _ in 0..*random.one_of(&[1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6]) {
        change(&mut target, random);
    }
    if random.chance(30) {
        target.splice(0..0, random.one_of(&ORIGINS).replace("$HOST", host).into_bytes());
    }
    target
}

/// Changes a target into another that is legal, as a rule.
fn bend(target: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(target.len().max(1)).min(target.len());
    let ends: Vec<usize> = (1..=target.len()).filter(|at| target.get(*at).is_none_or(|byte| *byte == b'/')).collect();
    let end = if ends.is_empty() { target.len() } else { *random.one_of(&ends) };
    match random.below(6) {
        0 if target.get(at).is_some_and(u8::is_ascii_alphanumeric) => {
            drop(target.splice(at..=at, format!("%{:02x}", target[at]).into_bytes()));
        }
        1 => drop(target.splice(end..end, random.one_of(&[";", ";x=y", ";a,b", ";jsessionid=1;v=%2e"]).bytes())),
        2 => drop(target.splice(end..end, random.one_of(&LEGAL_ENDINGS).bytes())),
        3 if target.get(at).is_some_and(u8::is_ascii_alphabetic) => target[at] ^= 0x20,
        4 => {
            let characters: Vec<char> = LOOKALIKES.chars().collect();
            drop(target.splice(end..end, percent_encoded(*random.one_of(&characters)).into_bytes()));
        }
        _ => drop(target.splice(end..end, format!("%{:02x}", random.below(0x60) + 0x20).into_bytes())),
    }
}

fn mutate(target: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(target.len().max(1)).min(target.len());
    let slashes: Vec<usize> = (0..target.len()).filter(|at| target[*at] == b'/').collect();
    let slash = if slashes.is_empty() { 0 } else { *random.one_of(&slashes) };
    let slash_end = (slash + 1).min(target.len());
    let end = *random.one_of(&[slash, target.len()]);
    match random.below(16) {
        0..=2 if at < target.len() => drop(target.splice(at..=at, encoded(target[at], random))),
        3 | 4 => drop(target.splice(slash..slash_end, random.one_of(&SLASHES).bytes())),
        5 | 6 => {
            let before = *random.one_of(&["/public/", "/x/", "/"]);
            let step = format!("{before}{}/", random.one_of(&STEPS_UP));
            drop(target.splice(slash..slash_end, step.into_bytes()));
        }
        7 => drop(
            target
                .splice(end..end, random.one_of(&[";", ";x=y", ";/x", ";jsessionid=1;v=%2f", "%3bx", ";a;b"]).bytes()),
        ),
        8 if at < target.len() => target[at] ^= if target[at].is_ascii_alphabetic() { 0x20 } else { 0 },
        9 | 10 => drop(target.splice(end..end, random.one_of(&ENDINGS).bytes())),
        11 => {
            let byte = *random.one_of(b"\0\x01\t\x0b\x0c \"#<>?[\\]^`{|}%\x7f\x80\xa0\xae\xc0\xe0\xff;:@!$&'()*+,=~");
            target.insert(at, byte);
        }
        12 => {
            let byte = random.below(256);
            drop(target.splice(at..at, format!("%{byte:02x}").into_bytes()));
        }
        13 => {
            let characters: Vec<char> = LOOKALIKES.chars().collect();
            let character = *random.one_of(&characters);
            let spelt: Vec<u8> = if random.chance(850) {
                percent_encoded(character).into_bytes()
            } else {
                character.to_string().into_bytes()
            };
            let to = if random.chance(600) { slash_end } else { slash };
            drop(target.splice(slash..to, spelt));
        }
        14 if at < target.len() => drop(target.remove(at)),
        _ => {
            let piece: Vec<u8> = target[slash..].to_vec();
            target.extend_from_slice(&piece);
        }
    }
}

/// One byte, in some encoding.
fn encoded(byte: u8, random: &mut Random) -> Vec<u8> {
    let wide = 0xfee0 + u32::from(byte);
    match random.below(12) {
        0..=3 => format!("%{byte:02x}"),
        4 | 5 => format!("%{byte:02X}"),
        6 => format!("%25{byte:02x}"),
        7 => format!("%2525{byte:02x}"),
        8 => format!("%u00{byte:02x}"),
        9 => format!("%{:02x}%{:02x}", 0xc0 | byte >> 6, 0x80 | byte & 0x3f),
        10 => format!("%e0%{:02x}%{:02x}", 0x80 | byte >> 6, 0x80 | byte & 0x3f),
        _ => percent_encoded(char::from_u32(wide).unwrap()),
    }
    .into_bytes()
}

fn percent_encoded(character: char) -> String {
    percent_encoding::utf8_percent_encode(&character.to_string(), percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// What may reach the application of this target: its origin form, with percent-encodings in their one form (RFC 3986
/// §6.2.2), and nothing else changed. What follows a `#` is not sent on: no target has such a part.
pub(crate) fn canonical(target: &[u8]) -> Vec<u8> {
    let target = target.split(|byte| *byte == b'#').next().unwrap();
    let after_scheme = target.windows(3).position(|three| three == b"://").filter(|at| !target[..*at].contains(&b'/'));
    let origin_form = after_scheme.map_or(target, |at| {
        let rest = &target[at + 3..];
        rest.iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(&b""[..], |path| &rest[path..])
    });
    let question = origin_form.iter().position(|byte| *byte == b'?').unwrap_or(origin_form.len());
    let (path, query) = origin_form.split_at(question);
    let mut canonical = Vec::new();
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = hex.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(octet) if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) => canonical.push(octet),
            Some(octet) => canonical.extend_from_slice(format!("%{octet:02X}").as_bytes()),
            None => canonical.push(*byte),
        }
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    if canonical.is_empty() {
        canonical.push(b'/');
    }
    [&canonical, query].concat()
}

#[tokio::test]
async fn no_spelling_that_is_protected_under_some_reading_reaches_the_application() {
    let scene = Scene::usual().await;
    let authorization = format!("Bearer {}", scene.issuer.access_token("alice"));
    let (mut passed, count) = (0, if long() { 5_000 } else { 600 });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut client = VerbatimClient::new(Peer::Gateway(scene.gateway.https(), "app.test".to_owned(), protocol));
        for seed in 0..count {
            let target = target(seed, "app.test");
            for signed_in in [false, true] {
                let before = scene.upstream.count();
                let mut request = Verbatim::get("app.test", target.as_slice());
                if signed_in {
                    request = request.field("authorization", authorization.as_str());
                }
                let status = client.send(&request).await.map_or(0, |answer| answer.status);
                let what = format!("seed {seed}, {protocol:?}, {}: {status}", target.escape_ascii());
                if scene.upstream.count() == before {
                    assert!(matches!(status, 0 | 400 | 401 | 403 | 404 | 414 | 421), "{what}");
                    continue;
                }
                passed += 1;
                let seen = scene.upstream.last().target;
                assert_eq!(seen.as_bytes(), canonical(&target), "{what}");
                assert!(signed_in || seen.starts_with("/public"), "{what}: {seen}");
                let protected = readings(&seen).into_iter().find(|path| is_admin(path));
                assert_eq!(protected, None, "{what}: {seen}");
            }
        }
    }
    assert!(passed > count / 10, "{passed} of {count} targets are enough to say something about");
    scene.assert_well().await;
}
