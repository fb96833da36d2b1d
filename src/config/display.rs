//! How checked values are written, for people: names in logs, the lists of `usher check`.

use std::fmt::{Display, Formatter, Result};

use serde_json::Value;

use super::{
    Access, Authentication, Condition, ConditionTest, HostPattern, LimitedBy, PathPattern, RateLimit, UpstreamAddress,
};

impl Display for HostPattern {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Exact(host) => formatter.write_str(host),
            Self::OneLabel(suffix) => write!(formatter, "*{suffix}"),
        }
    }
}

impl Display for PathPattern {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let (Self::Exact(path) | Self::Prefix(path)) = self;
        formatter.write_str(path)
    }
}

impl Display for Access {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Public => "public",
        })
    }
}

impl Display for LimitedBy {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(match self {
            Self::Address => "address",
            Self::Subject => "subject",
            Self::Session => "session",
        })
    }
}

/// `100 requests in 1m by address, 20 at once, on app.example.com`.
impl Display for RateLimit {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let Self { name: _, scope, by, requests, per, burst } = self;
        write!(formatter, "{requests} requests in {} by {by}", humantime::format_duration(*per))?;
        if burst != requests {
            write!(formatter, ", {burst} at once")?;
        }
        write!(formatter, ", on {scope}")
    }
}

impl Display for UpstreamAddress {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Http { host, port } => write!(formatter, "http://{host}:{port}"),
            Self::Https { host, port } => write!(formatter, "https://{host}:{port}"),
            Self::H2c { host, port } => write!(formatter, "h2c://{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// `email_verified = true`, `realm_access.roles any of analyst, admin`, `email domain = example.com`.
impl Display for Condition {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let plain = |values: &[Value]| values.iter().map(plain).collect::<Vec<_>>();
        let (word, values) = match &self.test {
            ConditionTest::Any(values) if values.len() == 1 => ("=", plain(values)),
            ConditionTest::Any(values) => ("any of", plain(values)),
            ConditionTest::All(values) => ("all of", plain(values)),
            ConditionTest::None(values) => ("none of", plain(values)),
            ConditionTest::Domain(domains) => (
                if domains.len() == 1 { "domain =" } else { "domain any of" },
                domains.iter().map(ToString::to_string).collect(),
            ),
        };
        write!(formatter, "{} {word} {}", self.claim, values.join(", "))
    }
}

/// `acr gold or silver`, `signed in within 15m`, or both.
impl Display for Authentication {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        if !self.acr_values.is_empty() {
            write!(formatter, "acr {}", self.acr_values.join(" or "))?;
        }
        let Some(max_age) = self.max_age else { return Ok(()) };
        let separator = if self.acr_values.is_empty() { "" } else { ", " };
        write!(formatter, "{separator}signed in within {}", humantime::format_duration(max_age))
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_like_sentences() {
        let shown = |test| Condition { claim: "a.b".parse().unwrap(), test }.to_string();
        assert_eq!(shown(ConditionTest::Any(vec![true.into()])), "a.b = true");
        assert_eq!(shown(ConditionTest::Any(vec!["x".into(), 7.into()])), "a.b any of x, 7");
        assert_eq!(shown(ConditionTest::None(vec!["x".into()])), "a.b none of x");
        let domains = |names: &[&str]| ConditionTest::Domain(names.iter().map(|name| name.parse().unwrap()).collect());
        assert_eq!(shown(domains(&["a.test"])), "a.b domain = a.test");
        assert_eq!(shown(domains(&["a.test", ".b.test"])), "a.b domain any of a.test, .b.test");
        let max_age = Some(std::time::Duration::from_secs(900));
        let both = Authentication { acr_values: vec!["gold".into(), "silver".into()], max_age };
        assert_eq!(both.to_string(), "acr gold or silver, signed in within 15m");
        assert_eq!(Authentication { acr_values: Vec::new(), ..both }.to_string(), "signed in within 15m");
    }
}
