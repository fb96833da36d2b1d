//! One of the two configurations, and who gets in by it.

use http::Method;

use crate::config::{Access, ClientCertificates, Config, IdentityHeader, Issuer, RateLimit, Route, Site, Upstream};
use crate::routing::{CanonicalPath, NoRoute, Router};

/// A configuration and its router.
pub(super) struct Side {
    pub(super) config: Config,
    router: Router,
}

/// A site or a route, and the configuration that says what the names in it mean.
pub(super) struct Written<'a, T> {
    pub(super) by: &'a Side,
    pub(super) it: &'a T,
}

/// Who gets through to the application.
pub(super) enum Reach<'a> {
    /// Nobody: no route is for the request.
    Nobody(NoRoute),
    /// Everybody. Where an identity is optional, those of these issuers and certificates are told to the application.
    Everybody(Known<'a>),
    /// Whoever has signed in with one of these issuers, or shows a certificate that is an identity, and meets what the route requires.
    Some(Known<'a>),
}

/// A route, and whose word counts there about who somebody is: nobody's, where it is public.
pub(super) struct Known<'a> {
    pub(super) route: &'a Route,
    pub(super) issuers: Vec<&'a Issuer>,
    /// Under which terms certificates are an identity, where they are.
    pub(super) certificates: Option<&'a ClientCertificates>,
}

impl Side {
    pub(super) fn new(config: Config) -> Self {
        Self { router: Router::new(&config.sites), config }
    }

    /// The site of a host.
    pub(super) fn site(&self, host: &str) -> Option<&Site> {
        self.router.site(host)
    }

    /// Who gets through with a request. A path that is none has no route.
    pub(super) fn reach(&self, host: &str, path: &str, method: &Method) -> Reach<'_> {
        let Ok(path) = CanonicalPath::parse(path) else { return Reach::Nobody(NoRoute::NoPath) };
        match self.router.find(host, &path, method) {
            Ok(route) => self.reach_of(route),
            Err(error) => Reach::Nobody(error),
        }
    }

    /// Who gets through by a route.
    pub(super) fn reach_of<'a>(&'a self, route: &'a Route) -> Reach<'a> {
        let certificates = self.certificates(route).filter(|terms| terms.identify());
        let known = Known { route, issuers: self.issuers(route), certificates };
        match route.access {
            Access::Public => Reach::Everybody(Known { issuers: Vec::new(), certificates: None, ..known }),
            Access::Optional => Reach::Everybody(known),
            Access::Required => Reach::Some(known),
        }
    }

    /// The route that the access log calls so.
    pub(super) fn route_named(&self, name: &str) -> Option<&Route> {
        let mut routes = self.config.sites.iter().flat_map(|site| &site.routes);
        routes.find(|route| &*route.name == name).map(AsRef::as_ref)
    }

    /// The issuer of this name.
    pub(super) fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.config.issuers.iter().find(|issuer| &*issuer.name == name)
    }

    pub(super) fn issuers(&self, route: &Route) -> Vec<&Issuer> {
        route.issuers.iter().filter_map(|id| self.config.issuers.get(id.0)).collect()
    }

    /// What the site of a route asks of its clients in the handshake.
    pub(super) fn certificates(&self, route: &Route) -> Option<&ClientCertificates> {
        let site = self.config.sites.iter().find(|site| site.routes.iter().any(|other| other.id == route.id))?;
        self.config.client_certificates_of(&site.host)
    }

    pub(super) fn upstream(&self, route: &Route) -> Option<&Upstream> {
        self.config.upstreams.get(route.upstream?.0)
    }

    /// What clients of a site are to show.
    pub(super) fn client_certificates(&self, site: &Site) -> Option<&ClientCertificates> {
        self.config.client_certificates_of(&site.host)
    }

    pub(super) fn rate_limits(&self, route: &Route) -> Vec<&RateLimit> {
        route.rate_limits.iter().filter_map(|id| self.config.rate_limits.get(id.0)).collect()
    }

    /// Where requests of a route go, in words.
    pub(super) fn addresses(&self, route: &Route) -> String {
        let addresses = self.upstream(route).into_iter().flat_map(|upstream| &upstream.addresses);
        let addresses = addresses.map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if addresses.is_empty() { "the proxy that asks".to_owned() } else { addresses }
    }

    pub(super) fn identity(&self, route: &Route) -> &[IdentityHeader] {
        self.config.identity_sets.get(route.identity.0).map_or(&[], Vec::as_slice)
    }
}
