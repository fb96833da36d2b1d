//! HTTP/2 as no client library writes it: what is wrong ends the stream or the connection, and never reaches the
//! application.

use crate::harness::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Frames,
    GOAWAY, HEADERS, Outcome, PADDED, PING, PREFACE, PRIORITISED, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM,
    SETTINGS, STREAM_CLOSED, WHOLE, WINDOW_UPDATE, block, frame, get, literal, post, request, settings, window,
};
use crate::harness::random::Random;
use crate::harness::{Scene, eventually, long};

/// A `GET` of `/public/x` with these fields instead of, or behind, the ordinary ones.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = request("GET", "/public/x");
    for field in fields {
        match all.iter_mut().find(|(name, _)| *name == field.0 && name.starts_with(':')) {
            Some(ordinary) => *ordinary = *field,
            None => all.push(*field),
        }
    }
    frame(HEADERS, WHOLE, 1, &block(&all))
}

/// The ordinary fields in another order, or not all of them: as they stand.
fn just(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &block(fields))
}

#[tokio::test]
async fn a_malformed_head_reaches_nobody_and_harms_no_other_stream() {
    let scene = Scene::usual().await;
    let (method, scheme) = ((":method", "GET"), (":scheme", "https"));
    let (authority, path) = ((":authority", "app.test"), (":path", "/public/x"));
    let twice = |field| just(&[method, scheme, authority, path, field]);
    let cases = [
        ("no method", just(&[scheme, authority, path])),
        ("no scheme", just(&[method, authority, path])),
        ("no path", just(&[method, scheme, authority])),
        ("no host", just(&[method, scheme, path])),
        ("nothing", just(&[])),
        ("a method twice", twice(method)),
        ("a scheme twice", twice(scheme)),
        ("an authority twice", twice(authority)),
        ("another authority", twice((":authority", "pub.test"))),
        ("a path twice", twice((":path", "/admin/x"))),
        ("a status", twice((":status", "200"))),
        ("a protocol", twice((":protocol", "websocket"))),
        ("a pseudo field behind others", just(&[method, scheme, authority, ("x-a", "b"), path])),
        ("an authority behind others", just(&[method, scheme, path, ("x-a", "b"), authority])),
        ("an empty path", with(&[(":path", "")])),
        ("a path without a slash", with(&[(":path", "public/x")])),
        ("a path with a host", with(&[(":path", "https://pub.test/x")])),
        ("an asterisk", with(&[(":path", "*")])),
        ("a space in the path", with(&[(":path", "/public/x y")])),
        ("a line in the path", with(&[(":path", "/public/x\r\nx-user-id: root")])),
        ("a NUL in the path", with(&[(":path", "/public/\0x")])),
        ("small letters", with(&[(":method", "get")])),
        ("TRACE", with(&[(":method", "TRACE")])),
        ("CONNECT with a path", with(&[(":method", "CONNECT")])),
        ("CONNECT", just(&[(":method", "CONNECT"), (":authority", "127.0.0.1:6379")])),
        ("extended CONNECT", with(&[(":method", "CONNECT"), (":protocol", "websocket")])),
        ("a scheme of its own", with(&[(":scheme", "ftp")])),
        ("an empty scheme", with(&[(":scheme", "")])),
        ("an empty authority", with(&[(":authority", "")])),
        ("a user in the authority", with(&[(":authority", "app.test@pub.test")])),
        ("two hosts in the authority", with(&[(":authority", "app.test,pub.test")])),
        ("a path in the authority", with(&[(":authority", "app.test/x")])),
        ("another host", with(&[("host", "pub.test")])),
        ("two hosts", with(&[("host", "app.test"), ("host", "app.test")])),
        ("a host alone, twice", just(&[method, scheme, path, ("host", "app.test"), ("host", "pub.test")])),
        ("connection", with(&[("connection", "x-user-id")])),
        ("keep-alive", with(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te", with(&[("te", "gzip")])),
        ("te with more", with(&[("te", "trailers, gzip")])),
        ("a length without a body", with(&[("content-length", "5")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "5")])),
        ("two lengths in one", with(&[("content-length", "0, 0")])),
        ("a signed length", with(&[("content-length", "+0")])),
        ("a negative length", with(&[("content-length", "-1")])),
        ("a length in hexadecimal", with(&[("content-length", "0x0")])),
        ("an enormous length", with(&[("content-length", "18446744073709551616")])),
        ("a dependency on itself", {
            let payload = [&[0, 0, 0, 1, 16][..], &block(&request("GET", "/public/x"))].concat();
            frame(HEADERS, WHOLE | PRIORITISED, 1, &payload)
        }),
    ];
    for (what, bytes) in cases {
        let mut frames = Frames::connect(scene.gateway.https()).await;
        let outcome = frames.ask(1, bytes).await;
        let refused = matches!(outcome, Outcome::Reset(PROTOCOL_ERROR) | Outcome::Answered(400 | 405 | 421 | 501));
        assert!(refused, "{what}: {outcome:?}");
        assert_eq!(scene.upstream.count(), 0, "{what} reached the application");
        assert_eq!(frames.ask(3, get(3, "/")).await, Outcome::Answered(401), "the same connection after {what}");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn names_and_values_that_no_header_has_reach_nobody() {
    let scene = Scene::usual().await;
    let names: [&[u8]; 12] = [
        b"X-User-Id",
        b"x-User-id",
        b"",
        b" x",
        b"x ",
        b"x:y",
        b"x\0",
        b"x\r\nx-user-id",
        b"x\ny",
        b"x\xff",
        b"x\x7f",
        b"x\ty",
    ];
    let values: [&[u8]; 7] = [b"a\r\nx-user-id: root", b"a\nb", b"a\rb", b"a\0b", b"\n", b"a\x01", b"a\x7f"];
    let ordinary = block(&request("GET", "/public/x"));
    let mut blocks: Vec<Vec<u8>> = names.iter().map(|name| [&*ordinary, &literal(0, name, b"a")].concat()).collect();
    blocks.extend(values.iter().map(|value| [&*ordinary, &literal(0, b"x-a", value)].concat()));
    blocks.extend(values.iter().map(|value| [&*ordinary, &literal(0, b"cookie", value)].concat()));
    blocks.extend(["", "GET /admin/", "G\r\n", "G\0"].map(|method| block(&request(method, "/public/x"))));
    for block in blocks {
        let mut frames = Frames::connect(scene.gateway.https()).await;
        let outcome = frames.ask(1, frame(HEADERS, WHOLE, 1, &block)).await;
        let refused = matches!(
            outcome,
            Outcome::Reset(PROTOCOL_ERROR)
                | Outcome::Gone(Some(PROTOCOL_ERROR | COMPRESSION_ERROR))
                | Outcome::Answered(400)
        );
        assert!(refused, "{:?}: {outcome:?}", String::from_utf8_lossy(&block));
        assert_eq!(scene.upstream.count(), 0, "{:?} reached the application", String::from_utf8_lossy(&block));
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn what_is_merely_unusual_is_served() {
    let scene = Scene::usual().await;
    let host_alone = [(":method", "GET"), (":scheme", "https"), (":path", "/public/x"), ("host", "app.test")];
    let padded = [&[3][..], &block(&request("GET", "/public/x")), &[0; 3]].concat();
    let whole = block(&request("GET", "/public/x"));
    let (first, second) = whole.split_at(20);
    for (what, bytes) in [
        ("te: trailers", with(&[("te", "trailers")])),
        // What is behind it is neither looked at nor forwarded.
        ("a fragment", with(&[(":path", "/public/x#/../admin/")])),
        ("the host twice, once each way", with(&[("host", "app.test")])),
        ("a host alone", just(&host_alone)),
        ("a length of nothing", with(&[("content-length", "0")])),
        ("padding", frame(HEADERS, WHOLE | PADDED, 1, &padded)),
        ("an unknown frame", [frame(0xbe, 0xff, 1, b"?"), get(1, "/public/x")].concat()),
        ("an unknown setting", [settings(&[(0xbeef, 1)]), get(1, "/public/x")].concat()),
        (
            "settings at their bounds",
            [settings(&[(1, u32::MAX), (3, 0), (4, 0x7fff_ffff), (6, 0)]), get(1, "/public/x")].concat(),
        ),
        ("the largest frames", [settings(&[(5, 0x00ff_ffff)]), get(1, "/public/x")].concat()),
        (
            "a priority of a stream that is not there",
            [frame(PRIORITY, 0, 9, &[0, 0, 0, 3, 1]), get(1, "/public/x")].concat(),
        ),
        ("a reserved bit", frame(HEADERS, WHOLE, 0x8000_0001, &whole)),
        (
            "a block in pieces, one of them empty",
            [
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, 0, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, second),
            ]
            .concat(),
        ),
    ] {
        let before = scene.upstream.count();
        let mut frames = Frames::connect(scene.gateway.https()).await;
        assert_eq!(frames.ask(1, bytes).await, Outcome::Answered(200), "{what}");
        assert_eq!(scene.upstream.count(), before + 1, "{what}");
        assert_eq!(
            (scene.upstream.last().target.as_str(), scene.upstream.last().host.as_str()),
            ("/public/x", "app.test")
        );
    }
}

#[tokio::test]
async fn a_cookie_in_crumbs_is_one_cookie_to_the_application() {
    let scene = Scene::usual().await;
    let token = scene.issuer.access_token("alice");
    let session = format!("at={token}");
    let crumbs = [("cookie", "a=1"), ("cookie", session.as_str()), ("cookie", "b=2"), ("cookie", "c=3; d=4")];
    let head = [&*request("GET", "/x"), &crumbs].concat();
    let mut frames = Frames::connect(scene.gateway.https()).await;
    assert_eq!(frames.ask(1, frame(HEADERS, WHOLE, 1, &block(&head))).await, Outcome::Answered(200));
    assert_eq!(scene.upstream.last().all("cookie"), ["a=1; b=2; c=3; d=4"]);
    assert_eq!(scene.upstream.last().all("x-user-id"), ["alice"]);
}

#[tokio::test]
async fn a_body_of_another_length_than_was_said_is_never_whole() {
    let scene = Scene::usual().await;
    let said = |length| {
        frame(
            HEADERS,
            END_HEADERS,
            1,
            &block(&[&*request("POST", "/public/x"), &[("content-length", length)]].concat()),
        )
    };
    let trailers = |fields: &[(&str, &str)], flags| frame(HEADERS, flags, 1, &block(fields));
    for (what, bytes) in [
        ("less", [said("5"), frame(DATA, END_STREAM, 1, b"hell")].concat()),
        ("less, in two", [said("5"), frame(DATA, 0, 1, b"he"), frame(DATA, END_STREAM, 1, b"l")].concat()),
        ("nothing", [said("5"), frame(DATA, END_STREAM, 1, b"")].concat()),
        ("more", [said("5"), frame(DATA, END_STREAM, 1, b"hello!")].concat()),
        ("more than nothing", [said("0"), frame(DATA, END_STREAM, 1, b"x")].concat()),
        ("more, bit by bit", [said("5"), frame(DATA, 0, 1, b"hello"), frame(DATA, 0, 1, b"!")].concat()),
        ("less, then trailers", [said("5"), frame(DATA, 0, 1, b"hell"), trailers(&[("x-t", "1")], WHOLE)].concat()),
        ("padding counted as content", [said("5"), frame(DATA, END_STREAM | PADDED, 1, b"\x02he\0\0")].concat()),
        ("trailers that do not end it", [post(1, "/public/x"), trailers(&[("x-t", "1")], END_HEADERS)].concat()),
        ("trailers with a connection", [post(1, "/public/x"), trailers(&[("connection", "x")], WHOLE)].concat()),
        (
            "trailers with an encoding",
            [post(1, "/public/x"), trailers(&[("transfer-encoding", "chunked")], WHOLE)].concat(),
        ),
        ("too large a reset", [post(1, "/public/x"), frame(DATA, 0, 1, b"x"), window(1, 0x7fff_ffff)].concat()),
        ("a window opened by nothing", [post(1, "/public/x"), frame(DATA, 0, 1, b"x"), window(1, 0)].concat()),
    ] {
        let mut frames = Frames::connect(scene.gateway.https()).await;
        let outcome = frames.ask(1, bytes).await;
        // RFC 9113 §6.9: opening a window by nothing is a stream's mistake, but a connection's is allowed (§5.4.1).
        let refused = matches!(
            outcome,
            Outcome::Reset(PROTOCOL_ERROR | FLOW_CONTROL_ERROR)
                | Outcome::Answered(400)
                | Outcome::Gone(Some(PROTOCOL_ERROR))
        );
        assert!(refused, "{what}: {outcome:?}");
        if !matches!(outcome, Outcome::Gone(_)) {
            assert_eq!(frames.ask(3, get(3, "/")).await, Outcome::Answered(401), "the same connection after {what}");
        }
        drop(frames);
        assert!(scene.upstream.seen().iter().all(|seen| !seen.complete), "{what}: {:?}", scene.upstream.seen());
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn trailers_say_nothing_that_a_head_says() {
    let scene = Scene::usual().await;
    let fields = [
        (":path", "/admin/x"),
        (":authority", "admin.test"),
        (":method", "DELETE"),
        ("x-user-id", "root"),
        ("host", "admin.test"),
        ("content-length", "7"),
        ("authorization", "Bearer x"),
        ("cookie", "at=x"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    for field in fields {
        let before = scene.upstream.count();
        let mut frames = Frames::connect(scene.gateway.https()).await;
        let bytes =
            [post(1, "/public/x"), frame(DATA, 0, 1, b"hello"), frame(HEADERS, WHOLE, 1, &block(&[field]))].concat();
        let outcome = frames.ask(1, bytes).await;
        assert!(
            matches!(outcome, Outcome::Answered(200 | 400) | Outcome::Reset(PROTOCOL_ERROR)),
            "{field:?}: {outcome:?}"
        );
        for seen in scene.upstream.seen().into_iter().skip(before) {
            assert_eq!(
                (seen.method.as_str(), seen.target.as_str(), seen.host.as_str()),
                ("POST", "/public/x", "app.test")
            );
            let name = field.0.trim_start_matches(':');
            assert_eq!(seen.trailers, [], "{name}");
            assert_eq!(seen.folded("x-user-id"), Vec::<&str>::new());
        }
    }
    scene.assert_well().await;
}

/// What breaks a connection: its name, its frames, the codes that may answer it.
type Breach = (&'static str, Vec<u8>, &'static [u32]);

fn breaches_of_framing() -> Vec<Breach> {
    let whole = block(&request("GET", "/public/x"));
    let large = vec![0; 16 * 1024 + 1];
    vec![
        ("data on stream 0", frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR]),
        ("data on an idle stream", frame(DATA, 0, 1, b"x"), &[PROTOCOL_ERROR]),
        ("a head on stream 0", frame(HEADERS, WHOLE, 0, &whole), &[PROTOCOL_ERROR]),
        ("a stream of ours", frame(HEADERS, WHOLE, 2, &whole), &[PROTOCOL_ERROR]),
        ("a reset of stream 0", frame(RST_STREAM, 0, 0, &[0; 4]), &[PROTOCOL_ERROR]),
        ("a reset of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), &[PROTOCOL_ERROR]),
        (
            "a short reset",
            [post(1, "/public/x"), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
        ("a window of an idle stream", window(1, 1), &[PROTOCOL_ERROR]),
        ("a connection's window opened by nothing", window(0, 0), &[PROTOCOL_ERROR]),
        ("a connection's window opened too far", window(0, 0x7fff_ffff), &[FLOW_CONTROL_ERROR]),
        ("a short window", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[]), &[PROTOCOL_ERROR]),
        ("settings cut short", frame(SETTINGS, 0, 0, &[0; 5]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("settings acknowledged with content", frame(SETTINGS, ACK, 0, &[0; 6]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("settings acknowledged twice", frame(SETTINGS, ACK, 0, &[]), &[PROTOCOL_ERROR]),
        ("a push setting of 2", settings(&[(2, 2)]), &[PROTOCOL_ERROR]),
        ("a window setting of 2^31", settings(&[(4, 0x8000_0000)]), &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ("a frame setting too small", settings(&[(5, 100)]), &[PROTOCOL_ERROR]),
        ("a frame setting too large", settings(&[(5, 0x0100_0000)]), &[PROTOCOL_ERROR]),
        ("a short ping", frame(PING, 0, 0, &[0; 7]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("a ping on a stream", frame(PING, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("a goodbye on a stream", frame(GOAWAY, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        (
            "a push",
            [post(1, "/public/x"), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &whole), &[PROTOCOL_ERROR]),
        (
            "a continuation elsewhere",
            [frame(HEADERS, END_STREAM, 1, &whole), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "a ping amid a block",
            [frame(HEADERS, END_STREAM, 1, &whole), frame(PING, 0, 0, &[0; 8])].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "data amid a block",
            [frame(HEADERS, 0, 1, &whole), frame(DATA, END_STREAM, 1, b"x")].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "an unknown frame amid a block",
            [frame(HEADERS, END_STREAM, 1, &whole), frame(0xbe, 0, 1, &[])].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "a head amid a block",
            [frame(HEADERS, END_STREAM, 1, &whole), frame(HEADERS, WHOLE, 3, &whole)].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("a head of padding", frame(HEADERS, WHOLE | PADDED, 1, &[200, 0, 0]), &[PROTOCOL_ERROR]),
        ("data of padding", [post(1, "/public/x"), frame(DATA, PADDED, 1, &[9, 0])].concat(), &[PROTOCOL_ERROR]),
        ("a priority of stream 0", frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 1]), &[PROTOCOL_ERROR]),
        ("too large a frame", [post(1, "/public/x"), frame(DATA, 0, 1, &large)].concat(), &[FRAME_SIZE_ERROR]),
        ("too large an unknown frame", frame(0xbe, 0, 0, &large), &[FRAME_SIZE_ERROR]),
    ]
}

fn breaches_of_compression() -> Vec<Breach> {
    let whole = block(&request("GET", "/public/x"));
    let indexed = |bytes: &[u8]| frame(HEADERS, WHOLE, 1, bytes);
    vec![
        ("entry 0 of the table", indexed(&[0x80]), &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ("an entry that is not there", indexed(&[0xbe]), &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        (
            "an entry far away",
            indexed(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            &[COMPRESSION_ERROR, PROTOCOL_ERROR],
        ),
        ("too large a table", indexed(&[0x3f, 0xe2, 0xff, 0x03]), &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        (
            "a table that changes at the end",
            indexed(&[&*whole, &[0x20]].concat()),
            &[COMPRESSION_ERROR, PROTOCOL_ERROR],
        ),
        (
            "a value cut short",
            indexed(&[&*whole, &[0, 1, b'x', 9, b'y']].concat()),
            &[COMPRESSION_ERROR, PROTOCOL_ERROR],
        ),
        (
            "wrong Huffman code",
            indexed(&[&*whole, &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]].concat()),
            &[COMPRESSION_ERROR, PROTOCOL_ERROR],
        ),
    ]
}

#[tokio::test]
async fn what_breaks_the_connection_ends_it_with_its_reason() {
    let scene = Scene::usual().await;
    for (what, bytes, codes) in breaches_of_framing().into_iter().chain(breaches_of_compression()) {
        let before = scene.upstream.count();
        let mut frames = Frames::connect(scene.gateway.https()).await;
        frames.write(bytes).await;
        let code = frames.gone().await;
        assert!(code.is_some_and(|code| codes.contains(&code)), "{what}: {code:?}");
        let seen: Vec<_> = scene.upstream.seen().split_off(before);
        assert!(seen.iter().all(|seen| !seen.complete), "{what}: {seen:?}");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn a_stream_that_was_used_is_not_used_again() {
    let scene = Scene::usual().await;
    let ended = get(1, "/public/x");
    for (what, bytes) in [
        ("a head again", ended.clone()),
        ("data", frame(DATA, END_STREAM, 1, b"x")),
        ("a lower number", get(3, "/admin/x")),
        ("trailers", frame(HEADERS, WHOLE, 1, &block(&[("x-t", "1")]))),
    ] {
        let before = scene.upstream.count();
        let mut frames = Frames::connect(scene.gateway.https()).await;
        assert_eq!(frames.ask(5, get(5, "/public/x")).await, Outcome::Answered(200));
        if !what.contains("lower") {
            let mut other = Frames::connect(scene.gateway.https()).await;
            assert_eq!(other.ask(1, &ended).await, Outcome::Answered(200));
            let outcome = other.ask(1, &bytes).await;
            let closed = matches!(
                outcome,
                Outcome::Reset(STREAM_CLOSED | PROTOCOL_ERROR) | Outcome::Gone(Some(STREAM_CLOSED | PROTOCOL_ERROR))
            );
            assert!(closed, "{what}: {outcome:?}");
            assert_eq!(scene.upstream.count(), before + 2, "{what}");
            continue;
        }
        frames.write(&bytes).await;
        assert_eq!(frames.gone().await, Some(PROTOCOL_ERROR), "{what}");
        assert_eq!(scene.upstream.count(), before + 1, "{what}");
    }
    scene.assert_well().await;
}

#[tokio::test]
async fn a_preface_that_is_none_ends_the_connection() {
    let scene = Scene::usual().await;
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        b"GET /public/x HTTP/1.1\r\nHost: app.test\r\n\r\n",
        b"\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut frames = Frames::bare(scene.gateway.https()).await;
        frames.write(bytes).await;
        frames.gone().await;
        assert_eq!(scene.upstream.count(), 0);
    }
    // A head where the settings belong (RFC 9113 §3.4) is a mistake, but nothing that anybody could be fooled with.
    let mut frames = Frames::bare(scene.gateway.https()).await;
    let outcome = frames.ask(1, [PREFACE, &get(1, "/")].concat()).await;
    assert!(matches!(outcome, Outcome::Answered(_) | Outcome::Gone(_)), "{outcome:?}");
    assert_eq!(scene.upstream.count(), 0);
    scene.assert_well().await;
}

#[tokio::test]
async fn a_client_that_says_goodbye_still_gets_its_answer() {
    let scene = Scene::usual().await;
    let feed = scene.upstream.stream("/public/slow", &[]);
    let mut frames = Frames::connect(scene.gateway.https()).await;
    frames.write(get(1, "/public/slow")).await;
    eventually("the request arrives", || scene.upstream.count() == 1).await;
    frames.write(frame(GOAWAY, 0, 0, &[0; 8])).await;
    feed.chunk("the answer");
    drop(feed);
    assert_eq!(frames.outcome(1).await, Outcome::Answered(200));
    scene.assert_well().await;
}

#[tokio::test]
async fn more_than_the_window_and_the_route_allow_is_refused() {
    let scene = Scene::usual().await;
    scene.upstream.answer("/public/hang", crate::harness::UpstreamAnswer::Hang);
    let mut frames = Frames::connect(scene.gateway.https()).await;
    let mut bytes = post(1, "/public/hang");
    for _ in 0..70 {
        bytes.extend(frame(DATA, 0, 1, &[b'x'; 16 * 1024]));
    }
    let outcome = frames.ask(1, bytes).await;
    assert!(
        matches!(
            outcome,
            Outcome::Reset(FLOW_CONTROL_ERROR) | Outcome::Gone(Some(FLOW_CONTROL_ERROR)) | Outcome::Answered(413)
        ),
        "{outcome:?}"
    );
    scene.assert_well().await;
}

/// Frames of every kind, most of them wrong in some way, in any order.
fn any_frames(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = 1;
    for _ in 0..=random.below(12) {
        let field = *random.one_of(&[
            ("x-user-id", "root"),
            ("X-User-Id", "root"),
            ("x_user_id", "root"),
            ("host", "admin.test"),
            ("connection", "x-user-id"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("cookie", "at=x"),
            (":path", "/admin/x"),
            ("x-a", "b\r\nx-user-id: root"),
        ]);
        let mut fields = request(
            random.one_of::<&str>(&["GET", "POST", "CONNECT"]),
            random.one_of::<&str>(&["/public/gen", "/admin/x", "/public/../admin/x"]),
        );
        if random.chance(700) {
            fields.insert(random.below(fields.len() + 1), field);
        }
        if random.chance(100) {
            fields.remove(random.below(fields.len()));
        }
        let mut one = match random.below(10) {
            0..=4 => frame(HEADERS, *random.one_of(&[WHOLE, WHOLE, END_HEADERS, END_STREAM]), stream, &block(&fields)),
            5 => frame(DATA, *random.one_of(&[0, END_STREAM]), stream, &random.bytes(5)),
            6 => frame(CONTINUATION, *random.one_of(&[0, END_HEADERS]), stream, &block(&[field])),
            7 => frame(HEADERS, WHOLE, stream, &block(&[field])),
            8 => window(stream, u32::try_from(random.below(3)).unwrap()),
            _ => {
                let kind = u8::try_from(random.below(11)).unwrap();
                let flags = random.bytes(1)[0];
                let length = random.below(20);
                frame(kind, flags, u32::try_from(random.below(6)).unwrap(), &random.bytes(length))
            }
        };
        if random.chance(100) {
            let at = random.below(one.len());
            one[at] = random.bytes(1)[0];
        }
        bytes.extend(one);
        if random.chance(600) {
            stream += 2;
        }
    }
    bytes
}

#[tokio::test]
async fn no_sequence_of_frames_fools_the_gateway() {
    let scene = Scene::usual().await;
    let seed = if long() { rand_seed() } else { 1 };
    let mut random = Random::seeded(seed);
    for round in 0..if long() { 20_000 } else { 150 } {
        let bytes = any_frames(&mut random);
        let before = scene.upstream.count();
        let mut frames = Frames::connect(scene.gateway.https()).await;
        frames.write(&bytes).await;
        // Answered in order with what came before it, so all of that has been looked at.
        frames.write([frame(PING, 0, 0, b"the end."), frame(GOAWAY, 0, 0, &[0; 8])].concat()).await;
        while frames.next().await.is_some_and(|next| next.kind != PING) {}
        drop(frames);
        for seen in scene.upstream.seen().split_off(before) {
            let fooled = !seen.target.starts_with("/public/gen")
                || seen.host != "app.test"
                || !seen.folded("x-user-id").is_empty();
            assert!(!fooled, "seed {seed}, round {round}: {bytes:02x?} became {seen:?}");
        }
    }
    scene.assert_well().await;
}

fn rand_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
