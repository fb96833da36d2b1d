//! `tracing`.

use super::{Check, KeyPath, Mistake};
use crate::config::{Ratio, TraceSource, Tracing, file};

impl Check<'_> {
    /// Without the key, Usher takes no part in traces.
    pub(super) fn tracing(&mut self, mirror: Option<&file::Tracing>) -> Option<Tracing> {
        let mirror = mirror?;
        let at = KeyPath::root().key("tracing").key("sample");
        let ratio =
            |part| Ratio::new(part).ok_or_else(|| Mistake::new("must be between 0 and 1", "write 0.1 for a tenth"));
        let sample = mirror.sample.and_then(|part| self.accept(&at, ratio(part)));
        Some(Tracing {
            accept_from: mirror.accept_from.unwrap_or(TraceSource::TrustedProxies),
            sample: sample.unwrap_or(Ratio::ALL),
        })
    }
}
