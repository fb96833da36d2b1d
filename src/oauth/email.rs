//! Addresses of e-mail, and the domains that they are in.
//!
//! An address is what somebody has typed, and programs read odd ones in different ways: one takes what is behind the first
//! `@`, another what is behind the last, a third follows a route in the local part. So what is no plain address is in no
//! domain. Letters of ASCII are compared without their case and nothing else is converted: the Kelvin sign (U+212A) is no `k`,
//! and a name outside ASCII is matched in its ASCII form (`xn--…`) alone.

use std::fmt;
use std::str::FromStr;

/// `example.com`: this domain and no other; `.example.com`: every one below it, however deep, and not itself.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailDomain(Box<str>);

/// Why a text is no domain. The operator's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a domain of addresses is names with dots between, as in example.com, or .example.com for those below it")]
pub struct EmailDomainError;

impl EmailDomain {
    /// Whether whoever is in `other` is in this one.
    #[must_use]
    pub fn has_all_of(&self, other: &Self) -> bool {
        self == other || self.is_of_those_below() && other.0.ends_with(&*self.0)
    }

    fn is_of_those_below(&self) -> bool {
        self.0.starts_with('.')
    }

    /// Whether this is the domain, made of labels, or one of those below.
    fn covers(&self, domain: &str) -> bool {
        if !self.is_of_those_below() {
            return domain.eq_ignore_ascii_case(&self.0);
        }
        let end = domain.len().checked_sub(self.0.len()).and_then(|start| domain.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(&self.0))
    }
}

/// Whether an address is in one of these domains.
#[must_use]
pub fn is_in_any(address: &str, domains: &[EmailDomain]) -> bool {
    // A second `@` would be in either part, which refuse it.
    let Some((local, domain)) = address.split_once('@') else { return false };
    !local.is_empty()
        && local.chars().all(may_stand_in_local)
        && is_domain(domain)
        && domains.iter().any(|known| known.covers(domain))
}

/// What a local part is made of when it needs no quotes (RFC 5322 §3.2.3, RFC 6532), but for what mail servers have read as a
/// route to elsewhere: `evil.test!user`, `user%evil.test`, and the `=?…?=` of encoded words. Of other scripts, letters and
/// digits: a full-width `＠` is an `@` to whoever normalises it.
fn may_stand_in_local(letter: char) -> bool {
    letter.is_alphanumeric() || ".+-_'&/=#$*^`{|}~".contains(letter)
}

/// Whether a text is names with dots between, none of them empty.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(is_letter)
    };
    text.split('.').all(is_label)
}

impl FromStr for EmailDomain {
    type Err = EmailDomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_one = is_domain(text.strip_prefix('.').unwrap_or(text));
        if is_one { Ok(Self(text.to_ascii_lowercase().into())) } else { Err(EmailDomainError) }
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for EmailDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(address: &str, domain: &str) -> bool {
        is_in_any(address, &[domain.parse().unwrap()])
    }

    #[test]
    fn a_domain_is_itself_and_a_dot_in_front_makes_it_those_below() {
        for (address, domain, expected) in [
            ("a@example.com", "example.com", true),
            ("A.B+c@Example.COM", "example.com", true),
            ("a@example.com", "EXAMPLE.com", true),
            ("jürgen@example.com", "example.com", true),
            ("o'neil@example.com", "example.com", true),
            ("a@evilexample.com", "example.com", false),
            ("a@sub.example.com", "example.com", false),
            ("a@example.com.evil.test", "example.com", false),
            ("a@sub.example.com", ".example.com", true),
            ("a@x.SUB.example.com", ".Example.com", true),
            ("a@example.com", ".example.com", false),
            ("a@evilexample.com", ".example.com", false),
            ("a@xn--bcher-kva.example", "xn--bcher-kva.example", true),
        ] {
            assert_eq!(is_in(address, domain), expected, "{address} in {domain}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_in_no_domain() {
        for address in [
            "",
            "example.com",
            "@example.com",
            "a@",
            "a@b@example.com",
            "a@evil.test@example.com",
            "\"a@evil.test\"@example.com",
            "a@example.com@",
            "a@evil.test,b@example.com",
            "<a>@example.com",
            "a b@example.com",
            " a@example.com",
            "a@example.com ",
            "a@example.com\n",
            "a\0@example.com",
            "a\u{2028}@example.com",
            "a\u{a0}@example.com",
            "a\u{200b}@example.com",
            "a\u{ff20}evil.test@example.com",
            "evil.test!a@example.com",
            "a%evil.test@example.com",
            "=?x?q?a=40evil.test=3e=20?=@example.com",
            "a@example.com.",
            "a@.example.com",
            "a@x..example.com",
            "a@evil.test/.example.com",
            "a@evil.test\0.example.com",
            "a@bücher.example.com",
            "a@example\u{3002}com",
            "a@ｅxample.com",
            "a@exam\u{212a}le.com",
        ] {
            let domains = ["example.com", ".example.com", "examkle.com"].map(|domain| domain.parse().unwrap());
            assert!(!is_in_any(address, &domains), "{address:?}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in ["", ".", "..a", "a.", "a..b", "*", "*.a", "a@b", "a b", " a", "bücher.example", "a/b", "@a"] {
            assert_eq!(text.parse::<EmailDomain>(), Err(EmailDomainError), "{text}");
        }
        assert_eq!(".Corp.Example".parse::<EmailDomain>().unwrap().to_string(), ".corp.example");
    }

    #[test]
    fn one_domain_has_all_of_another_when_every_address_there_is_here() {
        for (one, other, expected) in [
            ("a.test", "a.test", true),
            (".a.test", ".a.test", true),
            (".a.test", "x.a.test", true),
            (".a.test", ".x.a.test", true),
            (".a.test", "a.test", false),
            ("a.test", ".a.test", false),
            (".x.a.test", ".a.test", false),
            (".a.test", "xa.test", false),
            ("a.test", "x.a.test", false),
        ] {
            let [one, other] = [one, other].map(|domain| domain.parse::<EmailDomain>().unwrap());
            assert_eq!(one.has_all_of(&other), expected, "{one} and {other}");
        }
    }
}
