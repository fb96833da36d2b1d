//! The `Cookie` header that a browser would send: of a jar in the format of Netscape, which curl writes, or as it stands.

use super::request::Asked;
use crate::clock::Timestamp;

/// Before a cookie that scripts cannot see.
const HTTP_ONLY: &str = "#HttpOnly_";

/// The text is neither a jar nor a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoCookies;

/// The header, if any cookie is for this request.
pub(super) fn header(text: &str, asked: &Asked, now: Timestamp) -> Result<Option<String>, NoCookies> {
    let lines = || text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let is_jar = lines().any(|line| line.contains('\t')) || lines().all(|line| line.starts_with('#'));
    if !is_jar {
        let line = lines().next().ok_or(NoCookies)?;
        let value = line
            .split_once(':')
            .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"))
            .map_or(line, |(_, value)| value);
        return if value.contains('=') { Ok(Some(value.trim().to_owned())) } else { Err(NoCookies) };
    }
    let mut pairs = Vec::new();
    for line in lines().filter(|line| !line.starts_with('#') || line.starts_with(HTTP_ONLY)) {
        let cookie = Cookie::parse(line).ok_or(NoCookies)?;
        if cookie.is_for(asked, now) {
            pairs.push(format!("{}={}", cookie.name, cookie.value));
        }
    }
    Ok(Some(pairs.join("; ")).filter(|header| !header.is_empty()))
}

/// One line of a jar.
struct Cookie<'a> {
    domain: &'a str,
    subdomains: bool,
    path: &'a str,
    secure: bool,
    /// 0: with the browser.
    expires: u64,
    name: &'a str,
    value: &'a str,
}

impl<'a> Cookie<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.strip_prefix(HTTP_ONLY).unwrap_or(line).split('\t');
        let mut next = || fields.next();
        let (domain, subdomains, path, secure) = (next()?, next()? == "TRUE", next()?, next()? == "TRUE");
        let (expires, name) = (next()?.parse().ok()?, next()?);
        Some(Self { domain, subdomains, path, secure, expires, name, value: next().unwrap_or_default() })
    }

    /// RFC 6265 §5.1.3, §5.1.4.
    fn is_for(&self, asked: &Asked, now: Timestamp) -> bool {
        let domain = self.domain.trim_start_matches('.');
        let host = asked.host();
        let is_below = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let of_host = host.eq_ignore_ascii_case(domain) || self.subdomains && is_below();
        let below = asked.path().strip_prefix(self.path);
        let of_path = below.is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        of_host && of_path && (asked.is_secure() || !self.secure) && (self.expires == 0 || self.expires > now.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str, url: &str) -> Result<Option<String>, NoCookies> {
        header(text, &Asked::of_url("GET", url).unwrap(), Timestamp(1_000))
    }

    const JAR: &str = "# Netscape HTTP Cookie File\n\n\
        #HttpOnly_app.test\tFALSE\t/\tTRUE\t2000\t__Host-usher-access\tAAA\n\
        .test\tTRUE\t/admin\tFALSE\t0\twide\tW\n\
        app.test\tFALSE\t/\tFALSE\t999\told\tO\n\
        other.test\tFALSE\t/\tFALSE\t0\tother\tX\n";

    #[test]
    fn the_cookies_of_a_jar_are_those_for_the_request() {
        let header = |url| sent(JAR, url).unwrap();
        assert_eq!(header("https://app.test/").as_deref(), Some("__Host-usher-access=AAA"));
        assert_eq!(header("https://app.test/admin/x").as_deref(), Some("__Host-usher-access=AAA; wide=W"));
        assert_eq!(header("https://app.test/administrator").as_deref(), Some("__Host-usher-access=AAA"));
        assert_eq!(header("http://app.test/"), None, "a secure cookie is for https only");
        assert_eq!(header("https://test/admin").as_deref(), Some("wide=W"));
    }

    #[test]
    fn a_header_is_taken_as_it_stands_and_other_text_refused() {
        assert_eq!(sent("Cookie: a=b; c=d\n", "https://app.test/"), Ok(Some("a=b; c=d".to_owned())));
        assert_eq!(sent("a=b", "https://app.test/"), Ok(Some("a=b".to_owned())));
        assert_eq!(sent("nonsense", "https://app.test/"), Err(NoCookies));
        assert_eq!(sent("one\ttwo", "https://app.test/"), Err(NoCookies));
    }
}
