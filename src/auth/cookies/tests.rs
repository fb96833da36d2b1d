use super::name::PIECE_BYTES;
use super::*;

fn own() -> CookieNames {
    CookieNames::new(&Cookies::Sealed)
}

fn request(lines: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(COOKIE, HeaderValue::from_static(line));
    }
    headers
}

fn value_of(found: &Found) -> Option<&str> {
    match &found.value {
        FoundValue::Present(value) => Some(value),
        FoundValue::Absent | FoundValue::Unusable => None,
    }
}

fn texts(lines: &[HeaderValue]) -> Vec<&str> {
    lines.iter().map(|line| line.to_str().unwrap()).collect()
}

#[test]
fn own_cookies_are_read_and_the_rest_keeps_its_bytes_and_order() {
    let mut headers = request(&["a=1; __Host-usher-access=AT; b=\"x y\"; __Host-usher-refresh=RT; c=;d"]);
    let found = own().take(&mut headers);
    assert_eq!(value_of(&found.access), Some("AT"));
    assert_eq!(value_of(&found.refresh), Some("RT"));
    assert_eq!(headers.get(COOKIE).unwrap(), "a=1; b=\"x y\"; c=; d");
}

#[test]
fn crumbs_on_several_lines_become_one_line() {
    let mut headers = request(&["a=1", "__Host-usher-access=AT", "b=2"]);
    let found = own().take(&mut headers);
    assert_eq!(value_of(&found.access), Some("AT"));
    assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
}

#[test]
fn a_request_without_own_cookies_is_left_alone() {
    let mut headers = request(&["a=1;b=2"]);
    let found = own().take(&mut headers);
    assert!(!found.any());
    assert_eq!(headers.get(COOKIE).unwrap(), "a=1;b=2");
}

#[test]
fn a_request_with_nothing_but_own_cookies_keeps_no_cookie_line() {
    let mut headers = request(&["__Host-usher-access=AT"]);
    own().take(&mut headers);
    assert!(!headers.contains_key(COOKIE));
}

#[test]
fn a_name_that_comes_twice_is_unusable_in_either_order() {
    for line in ["__Host-usher-access=A; __Host-usher-access=B", "__Host-usher-access=B; __Host-usher-access=A"] {
        let found = own().take(&mut request(&[line]));
        assert!(found.access.value == FoundValue::Unusable, "{line}");
    }
}

#[test]
fn unknown_cookies_under_the_prefix_never_reach_the_application() {
    let mut headers = request(&["__host-USHER-access=A; __Host-usher-other=B; __Host-usher-access-9=C; __Host-app=D"]);
    let found = own().take(&mut headers);
    assert!(!found.any());
    assert_eq!(headers.get(COOKIE).unwrap(), "__Host-app=D");
}

#[test]
fn a_long_value_is_split_and_joined_again_in_any_order() {
    let long = "x".repeat(PIECE_BYTES * 2 + 1);
    let lines = own().set_access(&long, 60, own().take(&mut HeaderMap::new()).in_browser()).unwrap();
    assert_eq!(lines.len(), 3);
    let mut headers = HeaderMap::new();
    for line in lines.iter().rev() {
        let text = line.to_str().unwrap();
        assert!(text.len() <= 4096);
        headers.append(COOKIE, HeaderValue::try_from(text.split(';').next().unwrap()).unwrap());
    }
    let found = own().take(&mut headers);
    assert_eq!(value_of(&found.access), Some(long.as_str()));
}

#[test]
fn a_missing_piece_makes_the_cookie_unusable() {
    let found = own().take(&mut request(&["__Host-usher-access=A; __Host-usher-access-2=C"]));
    assert!(found.access.value == FoundValue::Unusable);
}

#[test]
fn an_empty_piece_counts_as_absent_and_is_cleared_with_the_rest() {
    let found = own().take(&mut request(&["__Host-usher-access=A; __Host-usher-access-1="]));
    assert_eq!(value_of(&found.access), Some("A"));
    assert_eq!(own().set_access("B", 60, found.in_browser()).unwrap().len(), 2);
    let found = own().take(&mut request(&["__Host-usher-access=; __Host-usher-access-1=B"]));
    assert!(found.access.value == FoundValue::Unusable);
}

#[test]
fn a_shorter_value_clears_the_pieces_that_the_browser_has() {
    let found = own().take(&mut request(&["__Host-usher-access=A; __Host-usher-access-1=B; __Host-usher-access-2=C"]));
    let lines = own().set_access("short", 60, found.in_browser()).unwrap();
    assert_eq!(
        texts(&lines),
        [
            "__Host-usher-access=short; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax",
            "__Host-usher-access-1=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
            "__Host-usher-access-2=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
        ]
    );
}

#[test]
fn clearing_names_every_piece_with_its_attributes() {
    let found = own().take(&mut request(&["__Host-usher-access=A; __Host-usher-access-1=B"]));
    let lines = own().clear(found.in_browser());
    assert_eq!(
        texts(&lines),
        [
            "__Host-usher-access=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
            "__Host-usher-access-1=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
            "__Host-usher-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
        ]
    );
}

#[test]
fn what_no_browser_keeps_is_refused_loudly() {
    let nothing = own().take(&mut HeaderMap::new()).in_browser();
    assert!(own().set_access(&"x".repeat(PIECE_BYTES * MAX_PIECES + 1), 60, nothing).is_err());
    assert!(own().set_access("semi;colon", 60, nothing).is_err());
    let raw = CookieNames::new(&Cookies::Raw { access: "at".into(), refresh: "rt".into() });
    assert!(raw.set_access(&"x".repeat(PIECE_BYTES + 1), 60, nothing).is_err());
}

#[test]
fn an_existing_services_cookies_are_never_split() {
    let raw = CookieNames::new(&Cookies::Raw { access: "at".into(), refresh: "rt".into() });
    let mut headers = request(&["at=A; at-1=not-ours; rt=R"]);
    let found = raw.take(&mut headers);
    assert_eq!(value_of(&found.access), Some("A"));
    assert_eq!(value_of(&found.refresh), Some("R"));
    assert_eq!(headers.get(COOKIE).unwrap(), "at-1=not-ours");
}

#[test]
fn no_cookie_lives_longer_than_a_browser_keeps_it() {
    let nothing = own().take(&mut HeaderMap::new()).in_browser();
    let lines = own().set_refresh("r", u64::MAX, nothing).unwrap();
    assert!(texts(&lines)[0].contains("Max-Age=34560000;"));
}

#[test]
fn the_application_cannot_set_own_cookies() {
    let mut headers = HeaderMap::new();
    for line in ["a=1", "__Host-usher-access=evil; Path=/", " __HOST-usher-x=evil", "b=2; Path=/"] {
        headers.append(SET_COOKIE, HeaderValue::from_static(line));
    }
    assert_eq!(own().remove_reserved(&mut headers), 2);
    assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2; Path=/"]);
}

#[test]
fn the_kind_of_cookies_that_is_not_used_is_cleared_together_with_the_one_that_is() {
    let names = |lines: &[HeaderValue]| -> Vec<String> {
        texts(lines).iter().map(|line| line.split('=').next().unwrap().replace("__Host-usher-", "")).collect()
    };
    let stored = CookieNames::new(&Cookies::Stored);
    let mut headers = request(&["__Host-usher-access=A; __Host-usher-access-1=B; __Host-usher-session=K"]);
    let browser = stored.take(&mut headers).in_browser();
    assert!(headers.is_empty());
    let set = stored.set_session("key", u64::MAX, browser);
    assert!(texts(&set)[0].starts_with("__Host-usher-session=key; Max-Age=34560000; Path=/; Secure; HttpOnly"));
    for lines in [set, stored.clear(browser)] {
        assert_eq!(names(&lines), ["session", "access", "access-1"]);
    }
    assert_eq!(names(&own().clear(browser)), ["access", "access-1", "refresh", "session"]);
    let nothing = stored.take(&mut HeaderMap::new()).in_browser();
    assert_eq!(names(&stored.clear(nothing)), ["session"]);
    assert_eq!(names(&own().clear(nothing)), ["access", "refresh"]);
}
