//! `sites`: hosts, and the routes of each in winning order.

mod authorization;
mod beside;
mod care;
mod layer;
mod login;
mod order;
mod rate_limit;
mod require;
mod route;
mod suspicious;
mod upstreams;

use std::sync::Arc;

use http::HeaderName;

use super::issuers::CheckedIssuers;
use super::values::host_pattern;
use super::{Check, KeyPath};
use crate::config::file;
use crate::config::{
    ClientCertificates, IdentityHeader, IdentitySetId, RateLimit, Route, RouteId, Site, Upstream, UpstreamId,
};
use order::Candidate;

/// The sites, and what their routes share.
#[derive(Default)]
pub(super) struct CheckedSites {
    pub(super) sites: Vec<Site>,
    pub(super) client_certificates: Vec<ClientCertificates>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) identity_sets: Vec<Vec<IdentityHeader>>,
    pub(super) rate_limits: Vec<RateLimit>,
    pub(super) reserved_headers: Vec<HeaderName>,
}

impl CheckedSites {
    fn upstream(&mut self, upstream: Upstream) -> UpstreamId {
        UpstreamId(position_or_push(&mut self.upstreams, upstream))
    }

    fn identity_set(&mut self, set: Vec<IdentityHeader>) -> IdentitySetId {
        IdentitySetId(position_or_push(&mut self.identity_sets, set))
    }

    fn reserve(&mut self, name: HeaderName) {
        position_or_push(&mut self.reserved_headers, name);
    }
}

fn position_or_push<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    if let Some(position) = list.iter().position(|other| *other == item) {
        return position;
    }
    list.push(item);
    list.len() - 1
}

/// A site under check, with what its routes are named after.
struct SiteContext<'a> {
    at: &'a KeyPath,
    host: &'a str,
    issuers: &'a CheckedIssuers<'a>,
    /// Whether other proxies ask about requests that they serve themselves.
    asked: bool,
    /// Whether certificates are an identity here, so that an issuer may be missing.
    certifies: bool,
}

impl Check<'_> {
    /// `asked`: other proxies ask about requests that they serve themselves, so that an upstream may be missing.
    pub(super) fn sites(
        &mut self,
        mirror: Option<&[file::Site]>,
        issuers: &CheckedIssuers<'_>,
        asked: bool,
    ) -> CheckedSites {
        let at = KeyPath::root().key("sites");
        let mut checked = CheckedSites::default();
        let mirror = mirror.unwrap_or_default();
        if mirror.is_empty() {
            self.report.absent(&at, "is empty: every request would be refused", "add a site with a host and routes");
        }
        for (index, site) in mirror.iter().enumerate() {
            let at = at.index(index);
            if let Some(site) = self.site(&at, site, (issuers, asked), &mut checked) {
                if checked.sites.iter().any(|other| other.host == site.host) {
                    self.report.problem(
                        &at.key("host"),
                        "is the host of another site too",
                        "put their routes together",
                    );
                }
                checked.sites.push(site);
            }
        }
        self.unused_issuers(&checked.sites, issuers);
        checked
    }

    fn site(
        &mut self,
        at: &KeyPath,
        mirror: &file::Site,
        (issuers, asked): (&CheckedIssuers<'_>, bool),
        checked: &mut CheckedSites,
    ) -> Option<Site> {
        let remedy = "add it, as in host: app.example.com";
        let host = self.needed(&at.key("host"), mirror.host.as_deref(), host_pattern, remedy);
        if let (Some(mirror), Some(host)) = (&mirror.client_certificates, &host) {
            let asked = self.client_certificates(&at.key("client_certificates"), mirror, host.clone());
            checked.client_certificates.extend(asked);
        }
        let name = mirror.host.as_deref().unwrap_or("?").to_lowercase();
        let certifies = mirror.client_certificates.as_ref().is_some_and(|certificates| certificates.identity.is_some());
        let context = SiteContext { at, host: &name, issuers, asked, certifies };
        let layer = self.layer(at, &mirror.keys(), issuers, checked).limited_together(&name);
        let routes = mirror.routes.as_deref().unwrap_or_default();
        if routes.is_empty() {
            let remedy = "add one that covers everything: routes: [{ path: / }]";
            self.report.absent(&at.key("routes"), "is empty: every request would be refused", remedy);
        }
        let mut candidates: Vec<Candidate> = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let at = at.key("routes").index(index);
            let own = self.layer(&at, &route.keys(), issuers, checked);
            candidates.extend(self.route(&context, &at, route, own.over(&layer), checked));
        }
        if asked && candidates.iter().all(|candidate| candidate.route.upstream.is_none()) {
            self.idle(at, &mirror.keys());
        }
        self.indistinguishable(&candidates);
        self.suspicious(&context, &layer, &candidates);
        self.logins(&context, &layer, &mut candidates, checked);
        candidates.sort_by(order::winning);
        let first = checked.sites.iter().map(|site| site.routes.len()).sum::<usize>();
        let numbered = |(index, Candidate { route, .. })| Arc::new(Route { id: RouteId(first + index), ..route });
        let routes: Vec<_> = candidates.into_iter().enumerate().map(numbered).collect();
        self.one_local_issuer(at, &routes, issuers);
        self.one_introspecting_issuer(at, &routes, issuers);
        Some(Site { host: host?, routes })
    }

    /// Its endpoints have one path on a site.
    fn one_local_issuer(&mut self, at: &KeyPath, routes: &[Arc<Route>], issuers: &CheckedIssuers<'_>) {
        let mut local = routes.iter().flat_map(|route| &route.issuers).filter(|id| issuers.is_local(**id));
        if let Some(first) = local.next()
            && local.any(|other| other != first)
        {
            let message = "has two local issuers, but their endpoints have one path";
            self.report.problem(at, message, "keep one of the two here, with the users of both in its file");
        }
    }

    /// An opaque token does not say whose it is, and must not be shown to somebody else's issuer. On a whole site, because
    /// Usher's own paths are about all its routes.
    fn one_introspecting_issuer(&mut self, at: &KeyPath, routes: &[Arc<Route>], issuers: &CheckedIssuers<'_>) {
        let mut asked = routes.iter().flat_map(|route| &route.issuers).filter(|id| issuers.introspects(**id));
        if let Some(first) = asked.next()
            && asked.any(|other| other != first)
        {
            let message = "has two issuers with identity: introspection, but an opaque token does not say whose it is";
            self.report.problem(at, message, "keep one of the two here, and put the other's routes on another host");
        }
    }

    fn unused_issuers(&mut self, sites: &[Site], issuers: &CheckedIssuers<'_>) {
        for name in issuers.names() {
            let id = issuers.find(name);
            let used = sites
                .iter()
                .flat_map(|site| &site.routes)
                .any(|route| route.issuers.iter().any(|issuer| Some(*issuer) == id));
            if !used {
                self.report.note(&KeyPath::root().key("issuers").key(name), "is used by no route");
            }
        }
    }
}
