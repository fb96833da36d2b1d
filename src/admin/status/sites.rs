//! The sites and their routes in winning order, with what came of requests.

use serde::Serialize;

use crate::config::{ClientCertificates, Config, Route as Configured};
use crate::gateway::{Gateway, RouteCounts};

/// A site.
#[derive(Debug, Serialize)]
pub(super) struct Site {
    pub(super) host: String,
    /// Whether a certificate of the client is `required` or `asked for` in the handshake.
    pub(super) client_certificate: Option<&'static str>,
    pub(super) requests: u64,
    pub(super) refused: u64,
    pub(super) routes: Vec<Route>,
}

/// A route of it.
#[derive(Debug, Serialize)]
pub(super) struct Route {
    pub(super) path: String,
    /// None given: all.
    pub(super) methods: Vec<String>,
    /// `required`, `optional` or `public`.
    pub(super) access: String,
    /// Each condition, and how one must have signed in.
    pub(super) require: Vec<String>,
    pub(super) issuers: Vec<String>,
    /// The addresses; none where another proxy serves the route.
    pub(super) upstream: Vec<String>,
    #[serde(flatten)]
    pub(super) came: Came,
}

/// What came of requests.
#[derive(Debug, Default, Serialize)]
pub(super) struct Came {
    /// Those that were answered, by whomever.
    pub(super) requests: u64,
    /// Those that Usher refused.
    pub(super) refused: u64,
    /// Those whose browser was sent to sign in, which is no refusal.
    pub(super) sent_to_sign_in: u64,
    /// Those whose client left before there was an answer.
    pub(super) given_up: u64,
}

/// Requests that fell under no route.
#[derive(Debug, Serialize)]
pub(super) struct Unrouted {
    /// `/.usher/`, or `-` for what has none.
    pub(super) what: String,
    #[serde(flatten)]
    pub(super) came: Came,
}

impl Came {
    fn of(counts: &RouteCounts) -> Self {
        Self {
            requests: counts.answers().map(|(_, times)| times).sum(),
            refused: counts.refusals().map(|(_, times)| times).sum(),
            sent_to_sign_in: counts.sent_to_sign_in.total(),
            given_up: counts.given_up.total(),
        }
    }
}

/// All sites, in the order of the configuration.
pub(super) fn of(gateway: &Gateway) -> Vec<Site> {
    let config = gateway.config();
    // They come in the order of the routes.
    let mut counts = gateway.counts().routes();
    let mut sites = Vec::with_capacity(config.sites.len());
    for site in &config.sites {
        let routes: Vec<_> = site.routes.iter().map(|configured| route(config, configured, counts.next())).collect();
        let terms = config.client_certificates.iter().find(|terms| terms.host == site.host);
        sites.push(Site {
            host: site.host.to_string(),
            client_certificate: terms.map(ClientCertificates::asks),
            requests: routes.iter().map(|route| route.came.requests).sum(),
            refused: routes.iter().map(|route| route.came.refused).sum(),
            routes,
        });
    }
    sites
}

/// What fell under none of their routes.
pub(super) fn unrouted(gateway: &Gateway) -> Vec<Unrouted> {
    let routes: usize = gateway.config().sites.iter().map(|site| site.routes.len()).sum();
    let others = gateway.counts().routes().skip(routes);
    others.map(|counts| Unrouted { what: counts.route.to_string(), came: Came::of(counts) }).collect()
}

fn route(config: &Config, route: &Configured, counts: Option<&RouteCounts>) -> Route {
    let upstream = route.upstream.and_then(|upstream| config.upstreams.get(upstream.0));
    let sign_in = (!route.authentication.is_any()).then(|| route.authentication.to_string());
    let issuers = route.issuers.iter().filter_map(|id| config.issuers.get(id.0));
    Route {
        path: route.path.to_string(),
        methods: route.methods.iter().flatten().map(ToString::to_string).collect(),
        access: route.access.to_string(),
        require: route.require.iter().map(ToString::to_string).chain(sign_in).collect(),
        issuers: issuers.map(|issuer| issuer.name.to_string()).collect(),
        upstream: upstream.iter().flat_map(|upstream| &upstream.addresses).map(ToString::to_string).collect(),
        came: counts.map(Came::of).unwrap_or_default(),
    }
}
