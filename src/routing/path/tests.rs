use super::*;
use proptest::prelude::*;

fn parse(raw: &str) -> Result<String, PathError> {
    CanonicalPath::parse(raw).map(|path| path.as_str().to_owned())
}

#[test]
fn a_canonical_path_is_not_copied() {
    for raw in ["/", "/admin/x", "/a:b@c/[d]|e/f,g;h=i", "/caf%C3%A9/50%25", "/v1...v2", "/.well-known/x", "/a/..b/c."]
    {
        let path = CanonicalPath::parse(raw).unwrap();
        assert!(matches!(path.text, Cow::Borrowed(text) if text == raw), "{raw}");
    }
}

#[test]
fn encoded_unreserved_characters_are_decoded_and_digits_upper_cased() {
    for (raw, canonical) in [
        ("/%41dmin/x", "/Admin/x"),
        ("/admi%6e/x", "/admin/x"),
        ("/%7euser/%2d%5F%2Etxt", "/~user/-_.txt"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%2bb%3d", "/a%2Bb%3D"),
        ("/adm%c4%b1n", "/adm%C4%B1n"),
    ] {
        assert_eq!(parse(raw).as_deref(), Ok(canonical), "{raw}");
    }
}

#[test]
fn a_path_is_the_same_path_however_it_was_spelt() {
    assert_eq!(CanonicalPath::parse("/admi%6e/x"), CanonicalPath::parse("/admin/x"));
}

#[test]
fn honest_names_pass() {
    for raw in ["/what%3F.mp3", "/C%23/x", "/100%25", "/100%25up", "/a%20b", "/app/;jsessionid=1", "/;jsessionid=1"] {
        assert_eq!(parse(raw).as_deref(), Ok(raw), "{raw}");
    }
    assert!(parse("/AC%EF%BC%8FDC").is_ok(), "a full-width slash between letters is a character of a name");
}

#[test]
fn dot_segments_are_refused_in_every_encoding() {
    for raw in [
        "/public/../admin/x",
        "/public/./../admin/x",
        "/public/..;/admin/x",
        "/public/..;x=y/admin/x",
        "/public/.;/admin/x",
        "/public/.../admin",
        "/public/..",
        "/..",
        "/.",
        "/./admin/x",
        "/public/%2e%2e/admin/x",
        "/public/%2E./admin",
        "/public/.%2e/admin",
        "/public/%2e%2e;x/admin",
        "/public/..%20/admin",
        "/public/.%20./admin",
        "/public/..%3Fx/admin",
        "/public/..::$INDEX_ALLOCATION/admin",
        "/public/%EF%BC%8E%EF%BC%8E/admin",
        "/public/%E2%80%A5/admin",
        "/public/%EF%BC%8E%EF%BC%8E%EF%BC%8Fadmin",
        "/public/x%EF%BC%BC..%EF%BC%BCadmin",
        "/public/..%EF%BC%9B/admin",
    ] {
        assert_eq!(parse(raw), Err(PathError::DotSegment), "{raw}");
    }
}

#[test]
fn empty_segments_are_refused() {
    for raw in ["//admin/x", "///admin", "//", "/public//x", "/x//", "/;/admin/x", "/;x=y/admin", "/public/;/x"] {
        assert_eq!(parse(raw), Err(PathError::EmptySegment), "{raw}");
    }
    for raw in ["/public//../admin", "//public/../admin", "/public;/../admin/x"] {
        assert!(parse(raw).is_err(), "{raw}");
    }
}

#[test]
fn separators_and_percent_signs_are_not_hidden_by_encoding() {
    for (raw, error) in [
        ("/%2fadmin/x", PathError::EncodedSeparator),
        ("/public%2f..%2fadmin/x", PathError::EncodedSeparator),
        ("/public%2F%2e%2e%2Fadmin", PathError::EncodedSeparator),
        ("/public/..%5cadmin", PathError::EncodedSeparator),
        ("/public%5C..%5Cadmin", PathError::EncodedSeparator),
        ("/admin%3bx", PathError::EncodedSemicolon),
        ("/admin%3Bx", PathError::EncodedSemicolon),
        ("/public/%252e%252e/admin", PathError::DoubleEncoding),
        ("/public/%25%32%65%25%32%65/admin", PathError::DoubleEncoding),
        ("/public/%2%35", PathError::BadEscape),
        ("/public/%25252e", PathError::DoubleEncoding),
        ("/public/%252fadmin", PathError::DoubleEncoding),
        ("/public/%25u002e%25u002e/admin", PathError::DoubleEncoding),
        ("/public/%25U002E/admin", PathError::DoubleEncoding),
        ("/public/%u002e%u002e/admin", PathError::BadEscape),
        ("/public/%", PathError::BadEscape),
        ("/public/%2", PathError::BadEscape),
        ("/public/%+1", PathError::BadEscape),
        ("/public/%zz", PathError::BadEscape),
    ] {
        assert_eq!(parse(raw), Err(error), "{raw}");
    }
}

#[test]
fn overlong_forms_and_controls_are_refused() {
    for raw in ["/public/%c0%ae%c0%ae/admin", "/%c0%af", "/%e0%80%ae", "/%ff", "/%C3", "/%ed%a0%80", "/%f5%80%80%80"] {
        assert_eq!(parse(raw), Err(PathError::NotUtf8), "{raw}");
    }
    for raw in ["/x%00", "/x%0d%0aX:%20y", "/%09", "/%7f", "/%1b", "/%C2%85", "/%c2%9b"] {
        assert_eq!(parse(raw), Err(PathError::Control), "{raw}");
    }
}

#[test]
fn raw_bytes_that_browsers_encode_are_refused() {
    for character in "\"#<>?\\^`{} \t\r\n\0\u{7f}\u{e9}".chars() {
        assert_eq!(parse(&format!("/a{character}b")), Err(PathError::ForbiddenByte), "{character:?}");
    }
    for raw in ["/public\\..\\admin", "/public/..\\admin", "/public?x", "/x#/admin"] {
        assert_eq!(parse(raw), Err(PathError::ForbiddenByte), "{raw}");
    }
}

#[test]
fn a_path_is_absolute_and_bounded() {
    for raw in ["", "*", "admin", "\\admin", "http://app.test/", "%2fadmin"] {
        assert_eq!(parse(raw), Err(PathError::NotAbsolute), "{raw}");
    }
    assert!(parse(&format!("/{}", "a".repeat(MAX_LENGTH - 1))).is_ok());
    assert_eq!(parse(&format!("/{}", "a".repeat(MAX_LENGTH))), Err(PathError::TooLong));
}

#[test]
fn a_prefix_is_taken_off_by_whole_segments() {
    let without = |path: &str, prefix: &str, ignore_case| {
        CanonicalPath::parse(path).unwrap().without_prefix(prefix, ignore_case).map(str::to_owned)
    };
    assert_eq!(without("/pub/x/y", "/pub", false).as_deref(), Some("/x/y"));
    assert_eq!(without("/pub/x/", "/pub/x", false).as_deref(), Some("/"));
    assert_eq!(without("/pub", "/pub", false).as_deref(), Some("/"));
    assert_eq!(without("/public/x", "/pub", false), None);
    assert_eq!(without("/Pub/x", "/pub", false), None);
    assert_eq!(without("/Pub/X", "/pub", true).as_deref(), Some("/X"));
    assert_eq!(without("/a%40b/x", "/a@b", false).as_deref(), Some("/x"));
    assert_eq!(without("/x", "", false).as_deref(), Some("/x"));
}

proptest! {
    #[test]
    fn parsing_is_idempotent(raw in "/[a-c./;%0-9A-F?@\\[ ]{0,24}") {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            let again = CanonicalPath::parse(path.as_str());
            prop_assert_eq!(again.as_ref(), Ok(&path));
            prop_assert!(matches!(again.unwrap().text, Cow::Borrowed(_)));
        }
    }

    #[test]
    fn any_text_that_is_encoded_once_parses_to_itself_or_is_refused(name in "\\PC{1,12}") {
        let raw = format!("/{}", percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC));
        if let Ok(path) = CanonicalPath::parse(&raw) {
            let decoded = path.decoded();
            prop_assert_eq!(decoded.strip_prefix('/'), Some(&*name));
        }
    }
}
