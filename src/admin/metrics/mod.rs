//! `/metrics`: what is counted and measured, in the text format of Prometheus.
//!
//! Whoever counts does not know how it is called: the names are here, by the conventions of Prometheus (base units, `_total`
//! for what only grows). Labels are what the configuration names (sites, routes, issuers, certificates) and short lists of
//! words, so there are only so many series, whatever clients send. A route is in it from its first request on.
//!
//! The library writes the format; its own counters and histograms are not used, because a histogram of it takes a lock for
//! each request.

mod families;
mod requests;
mod upstreams;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;

use self::families::Families;
use super::readings::{Certificate, Readings, Reloads};
use crate::audit::Event;

/// There is one of it at most.
const NO_LABELS: [(&str, &str); 0] = [];

/// The media type of the answer.
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The readings as text.
#[must_use]
pub fn text(readings: Readings) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(readings));
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        families.info("usher_build", "Which Usher this is.", &[("version", env!("CARGO_PKG_VERSION"))])?;
        requests::write(self.gateway.counts(), &mut families)?;
        upstreams::write(&self.gateway.address_health(), &mut families)?;
        self.server(&mut families)?;
        self.issuers(&mut families)?;
        self.sessions(&mut families)?;
        self.spans(&mut families)?;
        self.reloads(&mut families)
    }
}

impl Readings {
    fn server(&self, families: &mut Families<'_>) -> fmt::Result {
        let help = "Connections of clients that are open.";
        families.gauge("usher_connections", help, &self.connections)?;
        let refused = self.client_refusals.iter().map(|(reason, times)| ([("reason", *reason)], *times));
        let help = "Handshakes that were refused for the certificate of the client, by the reason.";
        families.counters("usher_client_certificates_refused", help, refused)?;
        let counts = self.gateway.counts();
        let streams = [("tunnel", &counts.tunnels), ("answer", &counts.answers), ("upload", &counts.uploads)];
        let streams = streams.map(|(kind, open)| ([("kind", kind)], open.now()));
        let help = "Upgraded connections, and bodies that take so long that they are watched and end with a session.";
        families.gauges("usher_streams", help, streams)?;
        let expiry = |certificate: &Certificate| {
            let file = certificate.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
            ([("name", certificate.name.clone()), ("file", file)], certificate.expires_at.0)
        };
        let awaited = |host: &String| ([("name", host.clone()), ("file", String::new())], 0);
        let all = self.certificates.iter().map(expiry).chain(self.awaited_certificates.iter().map(awaited));
        let help =
            "When a certificate that clients are shown ends, in seconds since 1970; 0 while it is yet to be issued.";
        families.gauges("usher_certificate_expiry_timestamp_seconds", help, all)?;
        let ends = self.revocation_lists.iter();
        let ends = ends.map(|list| ([("site", &*list.site), ("authority", &*list.authority)], list.ends_at.0));
        let help = "When the list of client certificates that an authority has revoked ends, in seconds since 1970.";
        families.gauges("usher_revocation_list_expiry_timestamp_seconds", help, ends)?;
        let orders = self.certificate_orders.iter().flat_map(|(host, orders)| {
            [("issued", orders.issued), ("failed", orders.failed)]
                .map(|(outcome, times)| ([("name", &**host), ("outcome", outcome)], times))
        });
        let help = "Certificates that were ordered by ACME, by what came of that; absent where none are.";
        families.counters("usher_certificate_orders", help, orders)
    }

    fn issuers(&self, families: &mut Families<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.gateway.issuer_health().collect();
        let up = issuers.iter().map(|issuer| ([("issuer", &*issuer.name)], u64::from(issuer.up)));
        let help = "Whether an issuer's tokens can be verified, and those of Usher itself be issued (1), or not (0).";
        families.gauges("usher_issuer_up", help, up)?;
        let ages =
            issuers.iter().filter_map(|issuer| Some(([("issuer", &*issuer.name)], issuer.key_set_age?.as_secs_f64())));
        let help = "How long ago the keys of an issuer that count were fetched.";
        families.gauges("usher_key_set_age_seconds", help, ages)?;
        let outcomes = self.gateway.renewals().flat_map(|(issuer, counts)| {
            counts.outcomes().map(move |(outcome, times)| ([("issuer", issuer), ("outcome", outcome)], times))
        });
        let help = "Renewals that this instance has led, by what came of them.";
        families.counters("usher_renewals", help, outcomes)?;
        let joined = self.gateway.renewals().map(|(issuer, counts)| ([("issuer", issuer)], counts.joined.total()));
        let help = "Requests that waited for a renewal which another request had begun.";
        families.counters("usher_renewals_joined", help, joined)?;
        let reused = self.gateway.renewals().map(|(issuer, counts)| ([("issuer", issuer)], counts.reused.total()));
        let help = "Spent refresh tokens that were presented after their grace: stolen cookies, perhaps.";
        families.counters("usher_refresh_tokens_reused", help, reused)?;
        let sessions = issuers.iter().filter_map(|issuer| Some(([("issuer", &*issuer.name)], issuer.sessions?)));
        families.gauges("usher_local_sessions", "Sessions of an issuer that is Usher itself.", sessions)
    }

    fn sessions(&self, families: &mut Families<'_>) -> fmt::Result {
        let cache = self.gateway.token_cache();
        let help = "Tokens that were presented, and known as verified.";
        families.counter("usher_token_cache_hits", help, cache.hits.total())?;
        let help = "Tokens that were presented, and had to be verified.";
        families.counter("usher_token_cache_misses", help, cache.misses.total())?;
        let help = "Whether the shared store can be reached (1) or cannot (0); absent where there is none.";
        let up = self.gateway.is_store_up().map(u64::from);
        families.gauges("usher_store_up", help, up.map(|up| (NO_LABELS, up)))?;
        let help = "Records of renewals that this process keeps; absent where they are in a shared store.";
        let records = self.gateway.renewal_records();
        families.gauges("usher_renewal_records", help, records.map(|records| (NO_LABELS, records)))?;
        let help = "Sessions in the memory of this process; absent where they are in cookies or in a shared store.";
        let sessions = self.gateway.stored_sessions();
        families.gauges("usher_stored_sessions", help, sessions.map(|sessions| (NO_LABELS, sessions)))?;
        let events = Event::ALL.into_iter().map(|event| ([("event", event.name())], event.times()));
        let help = "Events of the audit log.";
        families.counters("usher_audit_events", help, events)
    }

    fn spans(&self, families: &mut Families<'_>) -> fmt::Result {
        let Some(counts) = self.gateway.spans() else { return Ok(()) };
        let help = "Spans that the collector has taken.";
        families.counter("usher_trace_spans_exported", help, counts.exported.total())?;
        let help = "Spans that found no room in the queue, or that the collector did not take.";
        families.counter("usher_trace_spans_dropped", help, counts.dropped.total())
    }

    fn reloads(&self, families: &mut Families<'_>) -> fmt::Result {
        let Reloads { last_failure, last_success_at, successful, failed, .. } = &self.reloads;
        let help = "Whether the last reload put its configuration in force (1) or failed (0).";
        let name = "usher_configuration_last_reload_successful";
        families.gauge(name, help, &u64::from(last_failure.is_none()))?;
        let help = "When a configuration was put in force for the last time, in seconds since 1970.";
        let name = "usher_configuration_last_reload_success_timestamp_seconds";
        families.gauge(name, help, &last_success_at.0)?;
        let reloads = [([("outcome", "successful")], *successful), ([("outcome", "failed")], *failed)];
        families.counters("usher_configuration_reloads", "Reloads, by what came of them.", reloads)
    }
}
