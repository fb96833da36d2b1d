//! What else two routes do otherwise, beside whom they let in.

use super::reach::distrusted;
use super::side::{Side, Written};
use crate::config::{Access, IdentityHeader, Route, Upstream};

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// One sentence each.
    pub(super) told: Vec<String>,
    /// Whether a request may be answered otherwise, and not only reach the application in another form.
    pub(super) decides: bool,
}

impl Differences {
    /// Between the route that a request falls under by either configuration.
    pub(super) fn between(before: &Written<'_, Route>, after: &Written<'_, Route>) -> Self {
        let mut found = Self::default();
        let (Written { by: old, it: one }, Written { by: new, it: other }) = (before, after);
        let is_open = |route: &Route| route.access != Access::Required;
        if one.access != other.access && is_open(one) && is_open(other) {
            found.tell(format!("access {} → {}", one.access, other.access), true);
        }
        found.issuers(before, after);
        found.upstreams(before, after);
        // To a public route, no identity is sent.
        if one.access != Access::Public && other.access != Access::Public {
            found.headers(old.identity(one), new.identity(other));
        }
        found.another("rate_limit", old.rate_limits(one) != new.rate_limits(other), true);
        found.keys(one, other);
        found
    }

    fn tell(&mut self, what: String, decides: bool) {
        self.told.push(what);
        self.decides |= decides;
    }

    /// Issuers whose name stands for others than before; and the same ones in another order, by which people sign in elsewhere.
    fn issuers(&mut self, before: &Written<'_, Route>, after: &Written<'_, Route>) {
        let (Written { by: old, it: one }, Written { by: new, it: other }) = (before, after);
        let names =
            |side: &Side, route| side.issuers(route).into_iter().map(|issuer| issuer.name.clone()).collect::<Vec<_>>();
        let (was, is) = (names(old, one), names(new, other));
        let is_order = was != is && was.len() == is.len() && was.iter().all(|name| is.contains(name));
        if is_order && one.access != Access::Public && other.access != Access::Public {
            self.tell(
                format!("issuers, the first of which people sign in with: {} → {}", was.join(", "), is.join(", ")),
                true,
            );
        }
        for issuer in old.issuers(one) {
            let same = new.issuers(other).into_iter().find(|other| other.name == issuer.name);
            let differs = same.map(|other| distrusted(issuer, other)).unwrap_or_default();
            if !differs.is_empty() {
                self.tell(format!("issuer {} counts otherwise: {}", issuer.name, differs.join(", ")), true);
            }
        }
    }

    fn upstreams(&mut self, before: &Written<'_, Route>, after: &Written<'_, Route>) {
        let (Written { by: old, it: one }, Written { by: new, it: other }) = (before, after);
        let (before, after) = (old.upstream(one), new.upstream(other));
        if before.map(|upstream| &upstream.addresses) != after.map(|upstream| &upstream.addresses) {
            self.tell(format!("upstream {} → {}", old.addresses(one), new.addresses(other)), true);
        } else if before.map(|upstream| &upstream.tls) != after.map(|upstream| &upstream.tls) {
            self.tell("TLS towards the upstream".to_owned(), false);
        }
        let care = |upstream: Option<&Upstream>| upstream.map(|upstream| upstream.care.clone()).unwrap_or_default();
        let (before, after) = (care(before), care(after));
        for (key, differs, decides) in [
            ("balance", before.balance != after.balance, false),
            ("health", before.health != after.health, false),
            ("ejection", before.ejection != after.ejection, false),
            ("circuit", before.circuit != after.circuit, true),
        ] {
            self.another(key, differs, decides);
        }
    }

    /// Identity headers, of which one with another name and the same claim was renamed.
    fn headers(&mut self, before: &[IdentityHeader], after: &[IdentityHeader]) {
        let named = |headers: &[IdentityHeader], name| headers.iter().any(|header| header.name == name);
        let mut added: Vec<_> = after.iter().filter(|header| !named(before, &header.name)).collect();
        for header in before {
            if let Some(kept) = after.iter().find(|other| other.name == header.name) {
                if kept.claim != header.claim {
                    self.tell(format!("header {}: {} → {}", header.name, header.claim, kept.claim), false);
                }
            } else if let Some(position) = added.iter().position(|other| other.claim == header.claim) {
                let renamed = added.remove(position);
                self.tell(format!("header {} → {} ({})", header.name, renamed.name, header.claim), false);
            } else {
                self.tell(format!("header {} is not sent ({})", header.name, header.claim), false);
            }
        }
        for header in added {
            self.tell(format!("header {} is sent too ({})", header.name, header.claim), false);
        }
    }

    /// Keys of which the name is enough.
    fn keys(&mut self, one: &Route, other: &Route) {
        let deciding = [
            ("body_limit", one.body_limit != other.body_limit),
            ("cors", one.cors != other.cors),
            ("allowed_origins", one.allowed_origins != other.allowed_origins),
            ("unauthenticated", one.unauthenticated != other.unauthenticated),
            ("login", one.login.is_some() != other.login.is_some()),
        ];
        let shaping = [
            ("assertion", one.assertion != other.assertion),
            ("forward_access_token", one.forward_access_token != other.forward_access_token),
            ("upstream_authorization", one.upstream_authorization != other.upstream_authorization),
            ("strip_prefix", one.strip_prefix != other.strip_prefix),
            ("rewrite_host", one.rewrite_host != other.rewrite_host),
            ("explain_refusals", one.explain_refusals != other.explain_refusals),
            ("resend_forms", one.resend_forms != other.resend_forms),
            ("websocket_close_code", one.websocket_close_code != other.websocket_close_code),
            ("timeouts", one.timeouts != other.timeouts),
        ];
        let keys = deciding.map(|key| (key, true)).into_iter().chain(shaping.map(|key| (key, false)));
        for ((key, differs), decides) in keys {
            self.another(key, differs, decides);
        }
    }

    /// A key of which the name is enough.
    fn another(&mut self, key: &str, differs: bool, decides: bool) {
        if differs {
            self.tell(format!("another {key}"), decides);
        }
    }
}
