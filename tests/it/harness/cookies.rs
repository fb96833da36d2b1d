//! Cookies by hand, so that a test sees every `Set-Cookie` with its attributes.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::SET_COOKIE;

/// One `Set-Cookie` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetCookie {
    /// The name.
    pub(crate) name: String,
    /// The value, as it stands.
    pub(crate) value: String,
    /// The attributes, names in lower case; one without a value has an empty one.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl SetCookie {
    /// Reads one line as browsers do (RFC 6265 §5.2).
    pub(crate) fn parse(line: &str) -> Self {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie has a name");
        let attributes = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
        let attributes = attributes.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { name: name.to_owned(), value: value.to_owned(), attributes }
    }

    /// Whether the line takes the cookie away.
    pub(crate) fn clears(&self) -> bool {
        self.attributes.get("max-age").is_some_and(|age| age == "0")
    }
}

/// Every `Set-Cookie` of an answer, in order.
pub(crate) fn set_cookies(headers: &HeaderMap) -> Vec<SetCookie> {
    headers.get_all(SET_COOKIE).iter().map(|line| SetCookie::parse(line.to_str().unwrap())).collect()
}

/// What one browser keeps for one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// A jar with these cookies.
    pub(crate) fn of(cookies: &[(&str, &str)]) -> Self {
        Self(cookies.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Takes over what an answer sets and clears.
    pub(crate) fn take(&mut self, headers: &HeaderMap) {
        for cookie in set_cookies(headers) {
            if cookie.clears() {
                self.0.remove(&cookie.name);
            } else {
                self.0.insert(cookie.name, cookie.value);
            }
        }
    }

    /// The value of a cookie.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Puts one cookie into the jar.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Takes one cookie out of the jar.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The names of all cookies.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The `Cookie` line; `None` when the jar is empty.
    pub(crate) fn line(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}
