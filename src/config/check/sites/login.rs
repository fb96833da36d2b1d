//! The logins of the applications themselves: a public route each, on every site of their issuer.

use http::Method;

use super::super::values::{canonical_path, covers};
use super::super::{Check, KeyPath};
use super::layer::{Layer, Written};
use super::order::{Candidate, winning};
use super::{CheckedSites, SiteContext, route};
use crate::config::{Access, Authentication, IssuerId, PathPattern, Route};

/// A login whose route is to be found or made.
struct Wanted<'a> {
    issuer: IssuerId,
    at: &'a KeyPath,
    path: &'a str,
}

impl Check<'_> {
    pub(super) fn logins(
        &mut self,
        site: &SiteContext<'_>,
        layer: &Layer,
        candidates: &mut Vec<Candidate>,
        checked: &mut CheckedSites,
    ) {
        for (issuer, at, login) in site.issuers.logins() {
            let inherited = layer.issuers.as_ref().is_some_and(|issuers| issuers.contains(&issuer));
            if !inherited && !candidates.iter().any(|candidate| candidate.route.issuers.contains(&issuer)) {
                continue;
            }
            // Paths that are wrong were reported with the issuer.
            if let Some(path) = login.path.as_deref().and_then(|path| canonical_path(path).ok()) {
                let wanted = Wanted { issuer, at: &at.key("path"), path: &path };
                self.login_route(site, &wanted, layer, candidates, checked);
            }
            if let Some(page) = login.page.as_deref().and_then(|page| canonical_path(page).ok()) {
                self.login_page(site, &at.key("page"), &page, candidates);
            }
        }
    }

    /// Marks the operator's own route for the login, or makes one.
    fn login_route(
        &mut self,
        site: &SiteContext<'_>,
        wanted: &Wanted<'_>,
        layer: &Layer,
        candidates: &mut Vec<Candidate>,
        checked: &mut CheckedSites,
    ) {
        let exact = |route: &Route| {
            matches!(route.path, PathPattern::Exact(_)) && covers(&route.path, wanted.path, route.ignore_case)
        };
        let own = candidates.iter_mut().find(|candidate| exact(&candidate.route) && takes(candidate, &Method::POST));
        if let Some(own) = own {
            self.mark(site, wanted, own);
            return;
        }
        // Beside a route of the operator's for other methods at that path, only what is left: the POST.
        let methods = candidates.iter().any(|candidate| exact(&candidate.route)).then(|| vec![Method::POST]);
        let mut route = self.like_what_covers(site, wanted, layer, candidates, checked);
        route.path = PathPattern::Exact(wanted.path.to_owned());
        route.name = route::name(site.host, &route.path, methods.as_deref());
        route.methods = methods;
        route.access = Access::Public;
        route.issuers = Vec::new();
        route.require = Vec::new();
        route.authentication = Authentication::default();
        route.login = Some(wanted.issuer);
        candidates.push(Candidate { route, at: wanted.at.clone() });
    }

    fn mark(&mut self, site: &SiteContext<'_>, wanted: &Wanted<'_>, own: &mut Candidate) {
        if own.route.access != Access::Public {
            let message = format!("is the path of {}, but asks for a token before one is handed out", wanted.at);
            let depends = [own.at.key("access"), site.at.key("access")];
            self.report.conflict(&own.at.key("path"), &depends, message, "add access: public to the route");
        }
        if own.route.login.is_some_and(|other| other != wanted.issuer) {
            let message = format!("is the login path of two issuers on {}", site.host);
            self.report.problem(wanted.at, message, "give each login a path of its own");
        }
        own.route.login = Some(wanted.issuer);
    }

    /// A copy of the route that a login would take if it were no login; without one, what the site says.
    fn like_what_covers(
        &mut self,
        site: &SiteContext<'_>,
        wanted: &Wanted<'_>,
        layer: &Layer,
        candidates: &[Candidate],
        checked: &mut CheckedSites,
    ) -> Route {
        let covering = candidates.iter().filter(|candidate| {
            covers(&candidate.route.path, wanted.path, candidate.route.ignore_case) && takes(candidate, &Method::POST)
        });
        if let Some(covering) = covering.min_by(|one, other| winning(one, other)) {
            return covering.route.clone();
        }
        let access = Some(Written { value: Access::Public, at: wanted.at.clone() });
        let layer = Layer { access, require: None, ..layer.clone() };
        self.complete(site, wanted.at, PathPattern::Exact(wanted.path.to_owned()), layer, checked)
    }

    /// The login page must be open, or nobody could sign in.
    fn login_page(&mut self, site: &SiteContext<'_>, at: &KeyPath, page: &str, candidates: &[Candidate]) {
        let covering =
            candidates.iter().filter(|candidate| covers(&candidate.route.path, page, candidate.route.ignore_case));
        let remedy = format!("add a route to that site: {{ path: {page}, access: public }}");
        let whole_site = [site.at.clone()];
        let Some(best) = covering.clone().min_by(|one, other| winning(one, other)) else {
            let message = format!("is on no route of {}", site.host);
            self.report.conflict(at, &whole_site, message, remedy);
            return;
        };
        // The path decides first; only then the method.
        let mut deciding = covering.filter(|candidate| candidate.route.path == best.route.path);
        if !deciding.any(|one| one.route.access == Access::Public && takes(one, &Method::GET)) {
            let message = format!("is not public on {}, where {} covers it", site.host, best.route.name);
            self.report.conflict(at, &whole_site, message, remedy);
        }
    }
}

fn takes(candidate: &Candidate, method: &Method) -> bool {
    candidate.route.methods.as_ref().is_none_or(|methods| methods.contains(method))
}
