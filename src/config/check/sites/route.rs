//! One route, with everything it inherits.

use std::sync::Arc;

use super::super::values::{covers, path_pattern};
use super::super::{Check, KeyPath};
use super::layer::{Layer, Required, Written};
use super::order::Candidate;
use super::{CheckedSites, SiteContext};
use crate::config::file;
use crate::config::{Access, IssuerId, PathPattern, Route, RouteId, Unauthenticated, defaults};

impl Check<'_> {
    pub(super) fn route(
        &mut self,
        site: &SiteContext<'_>,
        at: &KeyPath,
        mirror: &file::Route,
        layer: Layer,
        checked: &mut CheckedSites,
    ) -> Option<Candidate> {
        let remedy = "add it: / covers everything, /admin/ a part, /feed one path";
        let path = self.needed(&at.key("path"), mirror.path.as_deref(), path_pattern, remedy)?;
        if layer.upstream.is_none() && site.asked {
            self.idle(at, &mirror.keys());
        }
        Some(Candidate { route: self.complete(site, at, path, layer, checked), at: at.clone() })
    }

    /// Keys about the way to the application, where another proxy goes it.
    pub(super) fn idle(&mut self, at: &KeyPath, keys: &file::RouteKeys<'_>) {
        for (key, is_there) in [
            ("strip_prefix", keys.strip_prefix.is_some()),
            ("rewrite_host", keys.rewrite_host.is_some()),
            ("body_limit", keys.body_limit.is_some()),
            ("resend_forms", keys.resend_forms.is_some()),
        ] {
            if is_there {
                self.report
                    .note(&at.key(key), "does nothing: without an upstream, another proxy forwards the requests");
            }
        }
    }

    /// Fills in the defaults, and checks what the keys mean together.
    pub(super) fn complete(
        &mut self,
        site: &SiteContext<'_>,
        at: &KeyPath,
        path: PathPattern,
        layer: Layer,
        checked: &mut CheckedSites,
    ) -> Route {
        let access = layer.access.as_ref().map_or(Access::Required, |access| access.value);
        if access != Access::Public && layer.issuers.is_none() && !site.certifies {
            let (own, inherited) = (at.key("issuer"), site.at.key("issuer"));
            let remedy = "add issuer to the route or its site, or access: public if everybody may see this";
            self.report.lacks(&own, &[own.clone(), inherited], "is missing: nobody's tokens would count", remedy);
        }
        if layer.upstream.is_none() && !site.asked {
            let (own, inherited) = (at.key("upstream"), site.at.key("upstream"));
            let remedy = "add it to the route or its site, as in upstream: http://app:8080, or listen.verify, where another \
                          proxy that serves the application asks";
            self.report.lacks(&own, &[own.clone(), inherited], "is missing", remedy);
        }
        let ignore_case = layer.ignore_case.unwrap_or(false);
        self.strippable(at, layer.strip_prefix.as_ref(), &path, ignore_case);
        let allowed_origins = layer.allowed_origins.unwrap_or_default();
        if let Some(cors) = layer.cors.as_ref().filter(|cors| cors.value && allowed_origins.is_empty()) {
            self.report.note(&cors.at, "has no effect without allowed_origins");
        }
        self.possible(site, layer.require.as_ref(), layer.issuers.as_deref());
        let Required { conditions, authentication } = self.required(site, at, layer.access.as_ref(), layer.require);
        let body_limit = layer.body_limit.map_or(defaults::BODY_LIMIT, |limit| limit.0);
        let name = name(site.host, &path, layer.methods.as_deref());
        Route {
            // There are others to come, and they are sorted before they are numbered.
            id: RouteId(0),
            rate_limits: self.limits_of_route(at, (&name, access), layer.rate_limit, checked),
            name,
            path,
            methods: layer.methods,
            ignore_case,
            access,
            issuers: if access == Access::Public { Vec::new() } else { layer.issuers.unwrap_or_default() },
            require: conditions,
            authentication,
            upstream: layer.upstream,
            identity: layer.identity.unwrap_or_else(|| checked.identity_set(Vec::new())),
            assertion: layer.assertion.unwrap_or(false),
            forward_access_token: layer.forward_access_token.unwrap_or(false),
            upstream_authorization: layer.upstream_authorization,
            strip_prefix: layer.strip_prefix.map(|prefix| prefix.value),
            rewrite_host: layer.rewrite_host,
            unauthenticated: layer.unauthenticated.unwrap_or(Unauthenticated::Auto),
            explain_refusals: layer.explain_refusals.unwrap_or(false),
            // What would be refused the next time need not be kept.
            resend_forms: layer.resend_forms.filter(|size| *size > 0).map(|size| size.min(body_limit.unwrap_or(size))),
            websocket_close_code: layer.websocket_close_code.unwrap_or(defaults::WEBSOCKET_CLOSE_CODE),
            timeouts: layer.timeouts.complete(),
            body_limit,
            allowed_origins,
            cors: layer.cors.is_some_and(|cors| cors.value),
            login: None,
        }
    }

    /// Conditions count only where access is required. A route that opens what its site restricts does so on purpose; one
    /// that states a condition that nobody will look at does not, nor does a site that states one beside its own `access`.
    fn required(
        &mut self,
        site: &SiteContext<'_>,
        at: &KeyPath,
        access: Option<&Written<Access>>,
        require: Option<Written<Required>>,
    ) -> Required {
        let Some(require) = require else { return Required::default() };
        let Some(open) = access.filter(|access| access.value != Access::Required) else { return require.value };
        let stated_by_route = require.at.is_within(at);
        let opened_by_route = open.at.is_within(at);
        if (stated_by_route || !opened_by_route) && !require.value.is_nothing() {
            let depends = [at.key("access"), site.at.key("access")];
            let message = "would not be looked at, because access is not required";
            let remedy = if stated_by_route {
                "add access: required to the route"
            } else {
                "take access out of the site, and write it on the routes that it is for"
            };
            self.report.conflict(&require.at, &depends, message, remedy);
        }
        Required::default()
    }

    /// Whoever has not signed in as the route wants is sent to do so, where that is offered.
    fn possible(&mut self, site: &SiteContext<'_>, require: Option<&Written<Required>>, issuers: Option<&[IssuerId]>) {
        let Some(asked) = require.filter(|asked| !asked.value.authentication.is_any()) else { return };
        if !issuers.is_none_or(|issuers| issuers.iter().any(|id| site.issuers.signs_people_in(*id))) {
            self.report.note(
                &asked.at,
                "sends nobody to sign in for acr or max_age: no issuer here offers that, only programs can meet it",
            );
        }
    }

    /// A prefix can only be taken off where every path of the route has it.
    fn strippable(&mut self, at: &KeyPath, prefix: Option<&Written<String>>, path: &PathPattern, ignore_case: bool) {
        let Some(prefix) = prefix else { return };
        let whole = PathPattern::Prefix(format!("{}/", prefix.value));
        let (PathPattern::Exact(text) | PathPattern::Prefix(text)) = path;
        if !covers(&whole, text, ignore_case) {
            let message = format!("does not begin with the strip_prefix {}", prefix.value);
            let remedy = "give the route a path below that, or take strip_prefix out of its site";
            self.report.problem(&at.key("path"), message, remedy);
        }
    }
}

/// `app.example.com/admin/ GET,POST`.
pub(super) fn name(host: &str, path: &PathPattern, methods: Option<&[http::Method]>) -> Arc<str> {
    let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = path;
    match methods {
        None => format!("{host}{path}").into(),
        Some(methods) => {
            let methods: Vec<_> = methods.iter().map(http::Method::as_str).collect();
            format!("{host}{path} {}", methods.join(",")).into()
        }
    }
}
