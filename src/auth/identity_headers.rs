//! Claims to headers: the whole of what an application learns about who is asking.
//!
//! # The encoding
//!
//! | claim | header |
//! |---|---|
//! | string | as it is |
//! | number, boolean | its JSON form: `3`, `true` |
//! | list | its members, joined with `,`; `null` members are left out |
//! | object, also inside a list; list inside a list | compact JSON |
//! | absent, `null`, empty string, empty list | no header |
//!
//! In what comes out, `%` and every byte of the UTF-8 form outside 0x20–0x7E are percent-encoded (RFC 3986 §2.1), and so
//! are spaces at either end, which field parsing would lose. Inside a list, the same holds for every member, and `,` is
//! encoded as well. So an application that needs nothing but ASCII reads the header as it stands, any other splits lists
//! at `,` and percent-decodes; no value can break out of its header, and no two values of a kind look the same.

use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::config::IdentityHeader;
use crate::oauth::Claims;

/// Bytes of one header's value. Cutting would make another identity of it, so a longer one is an error.
const MAX_VALUE: usize = 8 * 1024;

/// Everything outside ASCII is encoded in any case.
const TEXT: &AsciiSet = &CONTROLS.add(b'%');
const LIST_MEMBER: &AsciiSet = &TEXT.add(b',');

/// A claim is longer than 8 KiB once it is encoded, and neither half an identity nor none may be forwarded in its place:
/// the request is refused. The issuer's doing, or the operator's choice of claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claim for the header {header} is too long to be one")]
pub struct ClaimTooLong {
    /// The header that was to be made.
    pub header: HeaderName,
}

/// Makes the headers of a set, in its order. Depends on nothing but its arguments: it is done once per token and set.
///
/// # Errors
/// [`ClaimTooLong`] for the first claim that does not fit.
pub fn render(claims: &Claims, set: &[IdentityHeader]) -> Result<Vec<(HeaderName, HeaderValue)>, ClaimTooLong> {
    let mut headers = Vec::with_capacity(set.len());
    for IdentityHeader { name, claim } in set {
        let text = claims.at(claim).map(encode).unwrap_or_default();
        if text.is_empty() {
            continue;
        }
        // What was encoded is printable ASCII, which is a header value always.
        let value = if text.len() > MAX_VALUE { None } else { HeaderValue::try_from(text).ok() };
        headers.push((name.clone(), value.ok_or_else(|| ClaimTooLong { header: name.clone() })?));
    }
    Ok(headers)
}

fn encode(claim: &Value) -> String {
    match claim {
        Value::Array(members) => {
            let members = members.iter().filter(|member| !member.is_null());
            members.map(|member| encode_text(&text(member), LIST_MEMBER)).collect::<Vec<_>>().join(",")
        }
        Value::Null => String::new(),
        other => encode_text(&text(other), TEXT),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn encode_text(text: &str, set: &'static AsciiSet) -> String {
    let without_start = text.trim_start_matches(' ');
    let inner = without_start.trim_end_matches(' ');
    let before = "%20".repeat(text.len() - without_start.len());
    let after = "%20".repeat(without_start.len() - inner.len());
    format!("{before}{}{after}", utf8_percent_encode(inner, set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    fn set(claim: &str) -> Vec<IdentityHeader> {
        vec![IdentityHeader { name: HeaderName::from_static("x-user"), claim: claim.parse().unwrap() }]
    }

    /// What the header for one claim says; `None` when there is none.
    fn header(value: Value) -> Option<String> {
        let claims = Claims(Map::from_iter([("claim".to_owned(), value)]));
        let headers = render(&claims, &set("claim")).unwrap();
        headers.into_iter().next().map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn every_kind_of_claim_has_its_form() {
        for (claim, expected) in [
            (json!("alice"), "alice"),
            (json!("Alice, of \"Wonderland\""), "Alice, of \"Wonderland\""),
            (json!(3), "3"),
            (json!(-0.5), "-0.5"),
            (json!(false), "false"),
            (json!(["admin", "analyst"]), "admin,analyst"),
            (json!(["admin"]), "admin"),
            (json!(["a,b", "c%d", "é"]), "a%2Cb,c%25d,%C3%A9"),
            (json!(["", "a", null, 1, true]), ",a,1,true"),
            (json!({ "b": [1, "x"], "a": "ü" }), r#"{"a":"%C3%BC","b":[1,"x"]}"#),
            (json!([["a", "b"], { "c": 1 }]), r#"["a"%2C"b"],{"c":1}"#),
            (json!("Zoë 100%"), "Zo%C3%AB 100%25"),
            (json!(" padded  "), "%20padded%20%20"),
            (json!("  "), "%20%20"),
            (json!([" a", "b c "]), "%20a,b c%20"),
            (json!("a\r\nX-Admin: 1\0\t\u{7f}"), "a%0D%0AX-Admin: 1%00%09%7F"),
        ] {
            assert_eq!(header(claim.clone()).as_deref(), Some(expected), "{claim}");
        }
    }

    #[test]
    fn what_says_nothing_makes_no_header() {
        for claim in [json!(null), json!(""), json!([]), json!([null]), json!([""])] {
            assert_eq!(header(claim.clone()), None, "{claim}");
        }
        assert_eq!(render(&Claims(Map::new()), &set("absent.deeper")), Ok(Vec::new()));
    }

    #[test]
    fn a_claim_that_does_not_fit_is_an_error_and_never_cut() {
        assert!(header(json!("a".repeat(MAX_VALUE))).is_some());
        for claim in [json!("a".repeat(MAX_VALUE + 1)), json!("é".repeat(MAX_VALUE / 3))] {
            let claims = Claims(Map::from_iter([("claim".to_owned(), claim)]));
            let error = ClaimTooLong { header: HeaderName::from_static("x-user") };
            assert_eq!(render(&claims, &set("claim")), Err(error));
        }
    }

    fn decode(text: &str) -> String {
        percent_decode_str(text).decode_utf8().unwrap().into_owned()
    }

    proptest! {
        #[test]
        fn a_string_can_be_read_back_and_never_leaves_its_header(text in any::<String>()) {
            let Some(value) = header(json!(text)) else {
                prop_assert_eq!(text, "");
                return Ok(());
            };
            prop_assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
            prop_assert_eq!(value.trim(), &value);
            prop_assert_eq!(decode(&value), text);
        }

        #[test]
        fn a_list_can_be_read_back(list in prop::collection::vec("[a, %\\PC\r\n]{0,6}", 2..6)) {
            let value = header(json!(list)).unwrap();
            prop_assert!(value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
            prop_assert_eq!(value.split(',').map(decode).collect::<Vec<_>>(), list);
        }
    }
}
