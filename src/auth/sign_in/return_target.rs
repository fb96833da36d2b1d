//! Where a browser goes once it has signed in: a path and query of the same site, and nothing else (an open redirect would
//! lend the site's good name to a page that asks for the password once more).
//!
//! Browsers read a `Location` by the rules of the WHATWG URL standard, in which `\` is a slash, tabs and line breaks are not
//! there at all and `//host` is another site. So the text must be a path that the gateway itself would admit, and is then
//! looked at once more by a parser of that standard.

use url::Url;

use crate::routing::{CanonicalPath, check_query};

/// Longer ones would fill the `Cookie` header that they travel in.
const LONGEST: usize = 2_000;

/// Where everything begins that is Usher's own: coming back to it would sign out, or sign in again.
const OWN: &str = "/.usher";

/// The one page of Usher's own that a sign-in may lead to: it sends people back to the tab that they came from.
pub const GO_BACK: &str = "/.usher/go-back";

/// A path and query, as they stand in `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTarget(Box<str>);

impl ReturnTarget {
    /// What `rd` says, byte for byte, if it stays on the site; else the front page.
    #[must_use]
    pub fn parse(rd: &str, origin: &str) -> Self {
        if stays(rd, origin).is_some() { Self(rd.into()) } else { Self::front_page() }
    }

    /// The path of a whole URL, such as `Referer` has, if it is one of this site; else the front page.
    #[must_use]
    pub fn of_url(url: &str, origin: &str) -> Self {
        match url.strip_prefix(origin) {
            Some(rest) => Self::parse(rest, origin),
            None => Self::front_page(),
        }
    }

    /// `/`
    #[must_use]
    pub fn front_page() -> Self {
        Self("/".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `Some` when it does.
fn stays(rd: &str, origin: &str) -> Option<()> {
    if rd.len() > LONGEST {
        return None;
    }
    let (rest, fragment) = rd.split_once('#').unwrap_or((rd, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    check_query(query).ok()?;
    // As in a query: nothing that a browser would take out of it, or that could end a header.
    check_query(fragment).ok()?;
    let path = CanonicalPath::parse(path).ok()?;
    let begins_as_own = path.as_str().strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_own = begins_as_own && rd != GO_BACK;
    let origin = Url::parse(origin).ok()?;
    let url = origin.join(rd).ok()?;
    (!is_own && url.origin() == origin.origin() && url.username().is_empty() && url.password().is_none()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: &str = "https://app.test";

    fn target(rd: &str) -> String {
        ReturnTarget::parse(rd, ORIGIN).as_str().to_owned()
    }

    #[test]
    fn a_path_and_query_of_the_site_come_back_byte_for_byte() {
        for rd in [
            "/",
            "/reports/2026?from=1&to=%2F%2fx&q=a+b&empty=&&=",
            "/caf%C3%A9/%20x",
            "/a/b/?next=//evil.test/&u=https://evil.test",
            "/search?q=\\x|{}^",
            "/x#/inner/route?a=b",
            "/@user",
            "/a:b",
            "/.usherette",
            "/x/.usher/",
        ] {
            assert_eq!(target(rd), rd);
        }
    }

    #[test]
    fn of_usher_s_own_pages_only_the_one_that_sends_people_back_is_one() {
        assert_eq!(target(GO_BACK), GO_BACK);
        for rd in
            ["/.usher/go-back/", "/.usher/go-back?x", "/.usher/go-back#x", "/.usher/./go-back", "/.usher", "/.USHER"]
        {
            assert_ne!(target(rd), GO_BACK, "{rd}");
        }
        for rd in ["/.usher/", "/.usher/sign-out", "/.usher/go-back/../sign-out", "/.usher/go-backx"] {
            assert_eq!(target(rd), "/", "{rd}");
        }
    }

    #[test]
    fn whatever_might_leave_the_site_leads_to_the_front_page() {
        let long = format!("/{}", "a".repeat(100_000));
        for rd in [
            "",
            "x",
            "//evil.test",
            "///evil.test",
            "////evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "\\/evil.test",
            "/\t/evil.test",
            "\t//evil.test",
            "/\n/evil.test",
            "/\r\n/evil.test",
            " //evil.test",
            "/ /evil.test",
            "/%09/evil.test",
            "/%0d%0aLocation:%20https://evil.test",
            "/\r\nSet-Cookie:%20a=b",
            "/%5cevil.test",
            "/%2fevil.test",
            "%2f%2fevil.test",
            "/%2F/evil.test",
            "/..//evil.test",
            "/./\\evil.test",
            "/.//evil.test",
            "/x/../..//evil.test",
            "/;//evil.test",
            "https:evil.test",
            "https:/evil.test",
            "https://evil.test",
            "http:/evil.test",
            "https://app.test@evil.test",
            "https://evil.test#app.test",
            "https://app.test.evil.test",
            "https://app.test/x",
            "//app.test@evil.test/",
            "//app.test/x",
            "javascript:alert(1)",
            "/javascript:alert(1)//\\evil.test",
            "data:text/html,x",
            ".evil.test",
            "@evil.test",
            ":443/evil",
            "?x",
            "#x",
            "\u{2028}//evil.test",
            "/\u{2028}/evil.test",
            "/\u{ff0f}evil.test",
            "\u{3002}evil.test",
            "/\0/evil.test",
            "/\x7f",
            "/x?a=\tb",
            "/x?a=b\r\nc",
            "/x#a\nb",
            "/x#a#b",
            "/.usher",
            "/.usher/sign-out",
            "/.usher/sign-in?rd=//evil.test",
            "/.usher/sign-in?rd=/.usher/sign-in?rd=//evil.test",
            "/%2eusher/sign-out",
            "/.ushe%72/callback",
            &long,
        ] {
            assert_eq!(target(rd), "/", "{rd:?}");
        }
    }

    #[test]
    fn of_a_whole_url_only_the_path_counts_and_only_on_this_site() {
        let of = |url: &str| ReturnTarget::of_url(url, ORIGIN).as_str().to_owned();
        assert_eq!(of("https://app.test/form?step=2"), "/form?step=2");
        for other in
            ["https://app.test", "https://app.test.evil/x", "https://app.test@evil/x", "http://app.test/x", "/x", ""]
        {
            assert_eq!(of(other), "/", "{other}");
        }
    }

    /// What a browser does with the `Location`, on the page of the callback.
    fn resolved(target: &str) -> Url {
        Url::parse("https://app.test/.usher/callback?code=x").unwrap().join(target).unwrap()
    }

    proptest! {
        #[test]
        fn a_browser_stays_on_the_site_whatever_rd_says(rd in "[/\\\\.@:#?;%a-f0-9\t\r\n \u{2028}\u{ff0f}]{0,24}") {
            let target = ReturnTarget::parse(&rd, ORIGIN);
            let url = resolved(target.as_str());
            prop_assert_eq!(url.origin(), Url::parse(ORIGIN).unwrap().origin());
            prop_assert!(target.as_str() == "/" || target.as_str() == rd);
        }

        #[test]
        fn any_text_at_all_stays_on_the_site(rd in "\\PC{0,40}", prefix in "(/|//|/\\\\|https:|/\\.\\./)?") {
            let target = ReturnTarget::parse(&format!("{prefix}{rd}"), ORIGIN);
            let url = resolved(target.as_str());
            prop_assert_eq!(url.host_str(), Some("app.test"));
        }

        #[test]
        fn what_the_gateway_would_admit_is_restored(path in "(/[a-z0-9_~-]{1,8}){1,4}/?", query in "[!-\"$-~]{0,40}") {
            let rd = format!("{path}?{query}");
            prop_assert_eq!(target(&rd), rd);
        }
    }
}
