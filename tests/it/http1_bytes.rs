//! HTTP/1.1 byte by byte: what the application sees is what a strict reader of RFC 9112 finds in the same bytes, or less.

use std::fmt::Write as _;

use crate::harness::random::Random;
use crate::harness::raw::Raw;
use crate::harness::{Scene, Seen, eventually, long};

/// A request as the strict reader finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    method: String,
    target: String,
    body: Vec<u8>,
}

/// Reads every well-formed request at the start of `bytes`, and stops at the first that is not, or is not whole.
fn read_strictly(mut bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    while let Some((request, rest)) = read_one(bytes) {
        found.push(request);
        bytes = rest;
    }
    found
}

/// A line of a head: LF ends it, with or without a CR (RFC 9112 §2.2 allows that, there and nowhere else).
fn read_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    Some((std::str::from_utf8(line).ok()?, &bytes[end + 1..]))
}

fn read_one(bytes: &[u8]) -> Option<(Found, &[u8])> {
    let (mut start, mut rest) = read_line(bytes)?;
    // Empty lines before a request are ignored (RFC 9112 §2.2).
    while start.is_empty() {
        (start, rest) = read_line(rest)?;
    }
    let [method, target, "HTTP/1.1"] = start.split(' ').collect::<Vec<_>>()[..] else { return None };
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    if !is_token(method) || !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    loop {
        let (line, behind) = read_line(rest)?;
        rest = behind;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        if !is_token(name) || value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
            return None;
        }
        match &*name.to_ascii_lowercase() {
            "content-length" => lengths.push(value),
            "transfer-encoding" => codings.push(value.to_ascii_lowercase()),
            "host" => hosts += 1,
            _ => {}
        }
    }
    let (body, rest) = match (&lengths[..], &codings[..]) {
        _ if hosts != 1 => return None,
        ([], []) => (Vec::new(), rest),
        // RFC 9112 §6.1: it may be read, but nothing behind it.
        ([_, ..], [coding]) if coding == "chunked" => (read_chunks(rest)?.0, &rest[rest.len()..]),
        ([], [coding]) if coding == "chunked" => read_chunks(rest)?,
        ([first, others @ ..], []) if others.iter().all(|other| other == first) => {
            let digits = first.len() < 10 && !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
            let length = digits.then(|| first.parse().unwrap())?;
            (rest.get(..length)?.to_vec(), &rest[length..])
        }
        _ => return None,
    };
    Some((Found { method: method.to_owned(), target: target.to_owned(), body }, rest))
}

fn read_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let (size, extension) = line.split_at(line.find([';', ' ', '\t']).unwrap_or(line.len()));
        let is_size = !size.is_empty()
            && size.trim_start_matches('0').len() < 8
            && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_size || extension.bytes().any(|byte| byte < b' ' && byte != b'\t') {
            return None;
        }
        let size = usize::from_str_radix(size, 16).unwrap_or(usize::MAX);
        rest = &rest[end + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 2..];
        if line.is_empty() {
            return Some((body, rest));
        }
        line.split_once(':').filter(|(name, _)| !name.is_empty() && !name.contains([' ', '\t', '\n', '\r']))?;
    }
}

/// Sends `bytes` on a connection of their own, ends it, and returns what the application saw whole.
async fn seen_of(scene: &Scene, bytes: &[u8]) -> Vec<Seen> {
    let before = scene.upstream.count();
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write(bytes).await;
    // A refusal closes the connection, and so does this: it is the last request in any reading that gets so far.
    raw.write("\r\n\r\nGET /public/end HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n").await;
    let patience = std::time::Duration::from_millis(300);
    // What waits for more of a body is left waiting.
    let _ = tokio::time::timeout(patience, raw.closed()).await;
    drop(raw);
    scene.upstream.seen().split_off(before)
}

/// Fails unless what was seen is the start of what the strict reader finds.
#[track_caller]
fn assert_no_more_than(seen: &[Seen], bytes: &[u8], what: &str) {
    let found = read_strictly(
        &[bytes, b"\r\n\r\nGET /public/end HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"].concat(),
    );
    let mut found = found.into_iter();
    for seen in seen.iter().filter(|seen| seen.complete) {
        let as_seen = Found { method: seen.method.clone(), target: seen.target.clone(), body: seen.body.to_vec() };
        // One that was refused, for its host say, is left out.
        let is_found = found.any(|found| found == as_seen);
        assert!(is_found, "{what}: {as_seen:?} out of\n{:?}", String::from_utf8_lossy(bytes));
        for name in ["x-user-id", "x-smuggled", "transfer-encoding"] {
            let values = seen.folded(name);
            let ours = name == "transfer-encoding" && values == ["chunked"] && seen.all("content-length").is_empty();
            assert!(values.is_empty() || ours, "{what}: {seen:?}");
        }
        assert_eq!(seen.trailers, [], "{what}");
    }
}

#[tokio::test]
async fn lengths_and_encodings_have_one_reading_in_every_order_and_spelling() {
    let scene = Scene::usual().await;
    let lengths = [
        "",
        "Content-Length: 5\r\n",
        "content-length: 05\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length:\t5 \r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content_Length: 5\r\n",
        "Content-Length: \"5\"\r\n",
    ];
    let codings = [
        "",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding:CHUNKED\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
    ];
    let bodies =
        ["5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\nGET /admin/smuggled HTTP/1.1\r\nHost: app.test\r\nX-Smuggled: 1\r\n\r\n"];
    for (n, length) in lengths.iter().enumerate() {
        for (m, coding) in codings.iter().enumerate() {
            let body = bodies[(n + m) % 2];
            for fields in [format!("{length}{coding}"), format!("{coding}{length}")] {
                let bytes = format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n{body}");
                let seen = seen_of(&scene, bytes.as_bytes()).await;
                assert_no_more_than(&seen, bytes.as_bytes(), "a length and an encoding");
            }
        }
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn chunks_have_one_reading() {
    let scene = Scene::usual().await;
    let flood = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a=b;".repeat(20_000));
    let mut cases: Vec<String> = [
        "5\r\nhello\r\n0\r\n\r\n",
        "05\r\nhello\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0;c\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\rhello\r0\r\r",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\r\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX-User-Id: root\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\nX-User-Id: root\r\n\r\n",
        "5\r\nhello\r\n",
        "\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "00000000000000000000005\r\nhello\r\n0\r\n\r\n",
    ]
    .map(str::to_owned)
    .to_vec();
    cases.push(flood);
    for chunks in cases {
        let bytes = format!("POST /public/x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let seen = seen_of(&scene, bytes.as_bytes()).await;
        assert_no_more_than(&seen, bytes.as_bytes(), "chunks");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn lines_have_one_reading() {
    let scene = Scene::usual().await;
    let get = |line: &str, fields: &str| format!("{line}\r\nHost: app.test\r\n{fields}\r\n");
    let mut cases: Vec<String> = [
        "GET /public/x HTTP/1.0",
        "GET /public/x HTTP/2.0",
        "GET /public/x HTTP/0.9",
        "GET /public/x",
        "GET /public/x http/1.1",
        "GET\t/public/x\tHTTP/1.1",
        "GET  /public/x HTTP/1.1",
        " GET /public/x HTTP/1.1",
        "GET /public/x  HTTP/1.1",
        "GET /public/x HTTP/1.1 ",
        "get /public/x HTTP/1.1",
        "GET /public/x HTTP/1.1\r",
        "GET /public/\0x HTTP/1.1",
        "GET public/x HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET app.test:443 HTTP/1.1",
        "CONNECT app.test:443 HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET /public/x\x7f HTTP/1.1",
        "GET /public/x HTTP/1.12",
        "GET /public/x HTTP/1.1\n",
    ]
    .iter()
    .map(|line| get(line, ""))
    .collect();
    cases.extend(
        [
            "X-A: b\nX-User-Id: root\r\n",
            "X-A: b\rX-User-Id: root\r\n",
            "X-A: b\r\n X-User-Id: root\r\n",
            "X-A: b\r\n\tc\r\n",
            "X-A : b\r\n",
            "X-A\t: b\r\n",
            ": b\r\n",
            "X-A\r\n",
            "X-A: \0\r\n",
            "X\0A: b\r\n",
            "X-\u{e9}: b\r\n",
            "X A: b\r\n",
            "(X): b\r\n",
            "\n",
            "X-A: b\r\r\n",
        ]
        .iter()
        .map(|fields| get("GET /public/x HTTP/1.1", fields)),
    );
    cases.push("GET /public/x HTTP/1.1\nHost: app.test\n\n".to_owned());
    for bytes in cases {
        for seen in seen_of(&scene, bytes.as_bytes()).await {
            let harmless = matches!(&*seen.target, "/public/x" | "/public/end") && seen.folded("x-user-id").is_empty();
            assert!(harmless && seen.host == "app.test", "{bytes:?} became {seen:?}");
        }
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn what_is_framed_in_one_way_arrives_as_it_was_framed() {
    let scene = Scene::usual().await;
    let bytes = b"POST /public/1 HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\nhello\
        POST /public/2 HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\n\r\n\
        GET /public/3 HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let found = read_strictly(bytes);
    assert_eq!(found.len(), 3);
    let seen: Vec<Found> = seen_of(&scene, bytes)
        .await
        .into_iter()
        .take(3)
        .map(|seen| Found { method: seen.method, target: seen.target, body: seen.body.to_vec() })
        .collect();
    assert_eq!(seen, found);
}

/// A few requests in one segment, with a change here and there.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    for n in 0..=random.below(3) {
        let framing = *random.one_of::<&str>(&[
            "\r\n",
            "Content-Length: 5\r\n\r\nhello",
            "Content-Length: 0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Smuggled: 1\r\n\r\n",
            "Content-Length: 47\r\n\r\nGET /admin/smuggled HTTP/1.1\r\nX-Smuggled: 1\r\n\r\n",
        ]);
        write!(text, "POST /public/{n} HTTP/1.1\r\nHost: app.test\r\n{framing}").unwrap();
    }
    let mut bytes = text.into_bytes();
    for _ in 0..random.below(3) {
        let at = random.below(bytes.len());
        let piece = *random.one_of::<&[u8]>(&[
            b"\r",
            b"\n",
            b"\r\n",
            b" ",
            b"\t",
            b":",
            b"\0",
            b"0",
            b"1",
            b"+",
            b"-",
            b"0x",
            b";",
            b",",
            b"_",
            b"\x0b",
            b"Content-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: identity\r\n",
        ]);
        match random.below(3) {
            0 => drop(bytes.splice(at..at, piece.iter().copied())),
            1 => drop(bytes.splice(at..=at, piece.iter().copied())),
            _ => drop(bytes.remove(at)),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[tokio::test]
async fn no_change_of_the_framing_makes_a_request_that_a_strict_reader_does_not_see() {
    let scene = Scene::usual().await;
    let (rounds, first) = if long() { (20_000, 1_000_000) } else { (60, 1) };
    for seed in first..first + rounds {
        let bytes = mutated(&mut Random::seeded(seed));
        let seen = seen_of(&scene, &bytes).await;
        assert_no_more_than(&seen, &bytes, &format!("seed {seed}"));
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn pipelined_posts_keep_their_bodies_and_identities_apart() {
    let scene = Scene::usual().await;
    let (alice, root) = (scene.issuer.access_token("alice"), scene.issuer.access_token("root"));
    let mut burst = String::new();
    for n in 0..20 {
        let user = ["alice", "", "root"][n % 3];
        let line = match user {
            "alice" => format!("Authorization: Bearer {alice}\r\n"),
            "root" => format!("Authorization: Bearer {root}\r\n"),
            _ => String::new(),
        };
        let body = format!("{n}:{user}");
        let framing = if n % 2 == 0 {
            format!("Content-Length: {}\r\n\r\n{body}", body.len())
        } else {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        };
        write!(burst, "POST /optional/{n} HTTP/1.1\r\nHost: app.test\r\n{line}{framing}").unwrap();
    }
    let mut raw = Raw::connect(scene.gateway.https(), "app.test").await;
    raw.write(burst).await;
    for n in 0..20 {
        let answer = raw.read().await.unwrap();
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let user = ["alice", "", "root"][n % 3];
        assert!(answer.status == 200 && body.contains(&format!("\"{n}:{user}\"")), "answer {n}: {body}");
        assert_eq!(body.contains("x-user-id"), !user.is_empty(), "answer {n}: {body}");
        assert!(user.is_empty() || body.contains(&format!("[\"x-user-id\",\"{user}\"]")), "answer {n}: {body}");
    }
    eventually("all were seen", || scene.upstream.count() == 20).await;
}
