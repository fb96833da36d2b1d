//! Distributed traces: whose are continued, how many of those that begin here are to be recorded, and who is told of Usher's
//! part in them.

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::IssuerTransport;

/// How Usher takes part in traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Whose traces are continued.
    pub accept_from: TraceSource,
    /// How many of the traces that begin here are to be recorded.
    pub sample: Ratio,
    /// Who is told of Usher's part in those that are recorded. `None`: nobody.
    pub otlp: Option<Otlp>,
}

/// A collector of spans, which takes OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Where spans are posted to, path included.
    pub url: Url,
    /// What it wants to see beside them: keys, tenants. Each is marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The name under which Usher stands in the traces.
    pub service_name: String,
    /// How it is dialled: as an issuer is.
    pub transport: IssuerTransport,
}

/// Whose traces are continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceSource {
    /// Those of whoever connects as one of `trusted_proxies`.
    TrustedProxies,
    /// Those of every client.
    Everybody,
    /// Nobody's: every request begins a trace.
    Nobody,
}

/// A part of all, in whole steps of 2^-53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio(u64);

const ALL: u64 = 1 << 53;

impl Ratio {
    /// All of them.
    pub const ALL: Self = Self(ALL);

    /// `None` where it is no part of all.
    #[must_use]
    pub fn new(part: f64) -> Option<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "it is between 0 and 2^53, where every whole number is a float"
        )]
        (0.0..=1.0).contains(&part).then_some(Self((part * ALL as f64) as u64))
    }

    /// Whether one of which this is random is among them.
    #[must_use]
    pub const fn has(self, random: u64) -> bool {
        random >> 11 < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_takes_that_part_of_what_is_random() {
        let has = |part, random| Ratio::new(part).unwrap().has(random);
        assert!(has(1.0, u64::MAX) && has(1.0, 0) && Ratio::ALL.has(u64::MAX));
        assert!(!has(0.0, 0));
        assert!(has(0.25, u64::MAX / 4) && !has(0.25, u64::MAX / 4 + 1));
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Ratio::new(wrong), None);
        }
    }
}
