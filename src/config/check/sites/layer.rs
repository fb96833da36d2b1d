//! The keys that sites and routes share, checked where they are written, so that a mistake of a site is told once and not
//! for each of its routes. A route's layer is then laid over its site's.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method};

use super::super::issuers::CheckedIssuers;
use super::super::values::{host_value, identity_header_name, method, origin, strip_prefix};
use super::super::{Advice, Check, KeyPath, Mistake};
use super::CheckedSites;
use crate::config::file::{BodyLimit, ByteSize, OneOrMany, RouteKeys};
use crate::config::{
    Access, Authentication, Condition, IdentityHeader, IdentitySetId, IssuerId, RateLimit, Timeouts, Unauthenticated,
    UpstreamId, defaults,
};

/// What is required of whoever asks: of the claims, and of the sign-in.
#[derive(Clone, Debug, Default)]
pub(super) struct Required {
    pub(super) conditions: Vec<Condition>,
    pub(super) authentication: Authentication,
}

impl Required {
    pub(super) const fn is_nothing(&self) -> bool {
        self.conditions.is_empty() && self.authentication.is_any()
    }
}

/// A value and the layer that it was written in.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) at: KeyPath,
}

/// What a site or a route sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) issuers: Option<Vec<IssuerId>>,
    pub(super) upstream: Option<UpstreamId>,
    pub(super) access: Option<Written<Access>>,
    pub(super) require: Option<Written<Required>>,
    pub(super) methods: Option<Vec<Method>>,
    pub(super) identity: Option<IdentitySetId>,
    pub(super) assertion: Option<bool>,
    pub(super) forward_access_token: Option<bool>,
    pub(super) upstream_authorization: Option<(HeaderName, HeaderValue)>,
    pub(super) strip_prefix: Option<Written<String>>,
    pub(super) rewrite_host: Option<HeaderValue>,
    pub(super) unauthenticated: Option<Unauthenticated>,
    pub(super) explain_refusals: Option<bool>,
    pub(super) resend_forms: Option<u64>,
    pub(super) websocket_close_code: Option<u16>,
    pub(super) rate_limit: Option<Written<Vec<RateLimit>>>,
    pub(super) timeouts: PartialTimeouts,
    pub(super) body_limit: Option<BodyLimit>,
    pub(super) ignore_case: Option<bool>,
    pub(super) cors: Option<Written<bool>>,
    pub(super) allowed_origins: Option<Vec<String>>,
}

/// Time-outs, of which a route may override single ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartialTimeouts {
    connect: Option<std::time::Duration>,
    response: Option<std::time::Duration>,
    idle: Option<std::time::Duration>,
}

impl PartialTimeouts {
    pub(super) fn complete(self) -> Timeouts {
        let default = defaults::TIMEOUTS;
        Timeouts {
            connect: self.connect.unwrap_or(default.connect),
            response: self.response.unwrap_or(default.response),
            idle: self.idle.unwrap_or(default.idle),
        }
    }
}

impl Layer {
    /// What holds when this layer lies over `below`: its own keys, and below them the others.
    pub(super) fn over(self, below: &Self) -> Self {
        let below = below.clone();
        Self {
            issuers: self.issuers.or(below.issuers),
            upstream: self.upstream.or(below.upstream),
            access: self.access.or(below.access),
            require: self.require.or(below.require),
            methods: self.methods.or(below.methods),
            identity: self.identity.or(below.identity),
            assertion: self.assertion.or(below.assertion),
            forward_access_token: self.forward_access_token.or(below.forward_access_token),
            upstream_authorization: self.upstream_authorization.or(below.upstream_authorization),
            strip_prefix: self.strip_prefix.or(below.strip_prefix),
            rewrite_host: self.rewrite_host.or(below.rewrite_host),
            unauthenticated: self.unauthenticated.or(below.unauthenticated),
            explain_refusals: self.explain_refusals.or(below.explain_refusals),
            resend_forms: self.resend_forms.or(below.resend_forms),
            websocket_close_code: self.websocket_close_code.or(below.websocket_close_code),
            rate_limit: self.rate_limit.or(below.rate_limit),
            timeouts: PartialTimeouts {
                connect: self.timeouts.connect.or(below.timeouts.connect),
                response: self.timeouts.response.or(below.timeouts.response),
                idle: self.timeouts.idle.or(below.timeouts.idle),
            },
            body_limit: self.body_limit.or(below.body_limit),
            ignore_case: self.ignore_case.or(below.ignore_case),
            cors: self.cors.or(below.cors),
            allowed_origins: self.allowed_origins.or(below.allowed_origins),
        }
    }
}

impl Check<'_> {
    pub(super) fn layer(
        &mut self,
        at: &KeyPath,
        keys: &RouteKeys<'_>,
        issuers: &CheckedIssuers<'_>,
        checked: &mut CheckedSites,
    ) -> Layer {
        let written = |key: &str| at.key(key);
        for (index, name) in keys.strip_headers.into_iter().flatten().enumerate() {
            if let Some(name) = self.accept(&written("strip_headers").index(index), identity_header_name(name)) {
                checked.reserve(name);
            }
        }
        Layer {
            issuers: keys.issuer.map(|names| self.issuer_ids(&written("issuer"), names, issuers)),
            upstream: keys.upstream.and_then(|entries| self.upstream(&written("upstream"), entries, checked)),
            access: keys.access.map(|access| Written { value: *access, at: written("access") }),
            require: keys.require.map(|mirror| {
                let at = written("require");
                Written { value: self.required_of(&at, mirror), at }
            }),
            methods: keys.methods.map(|names| {
                let remedy = "write the methods, or take the key out for all of them";
                self.each(&written("methods"), names, |name| method(name), remedy)
            }),
            identity: keys.identity_headers.map(|headers| {
                let set = self.identity_headers(&written("identity_headers"), headers);
                for header in &set {
                    checked.reserve(header.name.clone());
                }
                checked.identity_set(set)
            }),
            assertion: keys.assertion.copied(),
            forward_access_token: keys.forward_access_token.copied(),
            upstream_authorization: keys
                .upstream_authorization
                .and_then(|mirror| self.upstream_authorization(&written("upstream_authorization"), mirror)),
            strip_prefix: keys.strip_prefix.and_then(|text| {
                let at = written("strip_prefix");
                let value = self.accept(&at, strip_prefix(text))?;
                Some(Written { value, at })
            }),
            rewrite_host: keys.rewrite_host.and_then(|text| self.accept(&written("rewrite_host"), host_value(text))),
            unauthenticated: keys.unauthenticated.copied(),
            explain_refusals: keys.explain_refusals.copied(),
            resend_forms: keys.resend_forms.and_then(|size| self.accept(&written("resend_forms"), resend_forms(*size))),
            websocket_close_code: keys
                .websocket_close_code
                .and_then(|code| self.accept(&written("websocket_close_code"), close_code(*code))),
            rate_limit: keys.rate_limit.map(|limits| {
                let at = written("rate_limit");
                Written { value: self.rate_limits(&at, limits), at }
            }),
            timeouts: self.timeouts(&written("timeouts"), keys),
            body_limit: keys.body_limit.copied(),
            ignore_case: keys.ignore_case.copied(),
            cors: keys.cors.map(|cors| Written { value: *cors, at: written("cors") }),
            allowed_origins: keys.allowed_origins.map(|origins| {
                let remedy = "write origins, or take the key out";
                self.each(&written("allowed_origins"), origins, |text| origin(text), remedy)
            }),
        }
    }

    fn issuer_ids(&mut self, at: &KeyPath, names: &OneOrMany<String>, issuers: &CheckedIssuers<'_>) -> Vec<IssuerId> {
        if names.values.is_empty() {
            self.report.absent(at, "is an empty list", "name an issuer, or take the key out");
        }
        let mut ids = Vec::new();
        for (index, name) in names.values.iter().enumerate() {
            let at = if names.is_list { at.index(index) } else { at.clone() };
            match issuers.find(name) {
                Some(id) if ids.contains(&id) => self.report.problem(&at, "is named twice", "name it once"),
                Some(id) => ids.push(id),
                None => {
                    let all: Vec<_> = issuers.names().collect();
                    let known = || match all.as_slice() {
                        [] => "add it under issuers".to_owned(),
                        all => format!("the issuers are {}", all.join(", ")),
                    };
                    let advice = Advice::nearest(name, issuers.names(), known);
                    self.report.unknown_name(
                        &at,
                        &KeyPath::root().key("issuers"),
                        "is not the name of an issuer",
                        advice,
                    );
                }
            }
        }
        ids
    }

    fn identity_headers(&mut self, at: &KeyPath, headers: &BTreeMap<String, String>) -> Vec<IdentityHeader> {
        let mut set: Vec<IdentityHeader> = Vec::new();
        for (name, claim) in headers {
            let at = at.key(name);
            let header = self.accept(&at, identity_header_name(name));
            let claim = self.accept(&at, claim_path(claim));
            let (Some(name), Some(claim)) = (header, claim) else { continue };
            if set.iter().any(|other| other.name == name) {
                self.report.problem(
                    &at,
                    "is set twice: the case of a header name does not count",
                    "keep one of the two",
                );
            }
            set.push(IdentityHeader { name, claim });
        }
        set
    }

    fn timeouts(&mut self, at: &KeyPath, keys: &RouteKeys<'_>) -> PartialTimeouts {
        let Some(mirror) = keys.timeouts else { return PartialTimeouts::default() };
        let mut one = |key: &str, given: Option<crate::config::file::HumanDuration>| {
            given.map(|given| self.time(&at.key(key), Some(given), given.0))
        };
        PartialTimeouts {
            connect: one("connect", mirror.connect),
            response: one("response", mirror.response),
            idle: one("idle", mirror.idle),
        }
    }
}

/// The page that keeps a form is several times as large as that.
const LONGEST_FORM: u64 = 1 << 20;

fn resend_forms(size: ByteSize) -> Result<u64, Mistake> {
    if size.0 > LONGEST_FORM {
        return Err(Mistake::new(
            "is more than a page can keep",
            "write at most 1MiB; forms of people are below 64KiB",
        ));
    }
    Ok(size.0)
}

/// What may be said in a close frame and says that somebody was signed out (RFC 6455 §7.4.1 and §7.4.2): the other statuses of the
/// protocol itself have meanings of their own, or are never sent.
fn close_code(code: u16) -> Result<u16, Mistake> {
    match code {
        1000 | 1008 | 3000..=4999 => Ok(code),
        _ => Err(Mistake::new(
            "is not a status for the end of a session",
            "write 1008 (policy violation), 1000 (normal), or one of your own from 3000 to 4999",
        )),
    }
}

/// A path into the claims.
pub(super) fn claim_path(text: &str) -> Result<crate::oauth::ClaimPath, Mistake> {
    if let Some(pointer) = text.strip_prefix('/') {
        let dotted = pointer.replace('/', ".");
        return Err(Mistake::new("is a JSON Pointer, not a claim path", format!("write {dotted}")));
    }
    text.parse()
        .map_err(|error: crate::oauth::claims::ClaimPathError| Mistake::new("is not a claim path", error.to_string()))
}
