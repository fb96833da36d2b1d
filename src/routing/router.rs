//! Host, path and method to a route. Immutable: a new configuration makes a new router.

use std::borrow::Cow;
use std::collections::HashMap;

use http::{HeaderValue, Method};

use super::host::canonical_host;
use super::lenient::fold_case;
use super::path::CanonicalPath;
use super::table::{Match, Node};
use crate::config::{HostPattern, Route, Site};

/// All routes of all sites.
#[derive(Debug)]
pub struct Router {
    /// By host.
    exact: HashMap<Box<str>, SiteTable>,
    /// By what follows the one label, dot included.
    one_label: HashMap<Box<str>, SiteTable>,
}

/// Why a request falls under no route. Nothing is open by omission (law 3): each is a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No site has this host: 421. The client's mistake, or a host that the operator forgot.
    #[error("no site has this host")]
    UnknownHost,
    /// The site has no route for this path: 404. The client's mistake, or a path that the operator forgot.
    #[error("the site has no route for this path")]
    NoPath,
    /// The most specific path has no route for this method: 405. The client's mistake.
    #[error("the path has no route for this method")]
    Method {
        /// The value of the `Allow` header that a 405 must carry (RFC 9110 §15.5.6).
        allow: HeaderValue,
    },
    /// An application could read the path as one of another route: 400. The client's mistake, or its attack.
    #[error("an application could read the path as another one, which another route covers")]
    AmbiguousPath,
}

impl Router {
    /// Builds the router of a checked configuration, in which no two routes are for the same requests.
    #[must_use]
    pub fn new(sites: &[Site]) -> Self {
        let mut router = Self { exact: HashMap::new(), one_label: HashMap::new() };
        for site in sites {
            let table = SiteTable::new(site.clone());
            match &site.host {
                HostPattern::Exact(host) => {
                    let host = canonical_host(host).unwrap_or(Cow::Borrowed(host));
                    router.exact.insert(host.into(), table);
                }
                HostPattern::OneLabel(suffix) => {
                    router.one_label.insert(suffix.to_ascii_lowercase().into(), table);
                }
            }
        }
        router
    }

    /// The route of a request. `host` is canonical ([`canonical_host`]).
    ///
    /// An exact host wins over `*.`; then the path decides, an exact one over a prefix and a longer prefix over a shorter
    /// one; then the method, which never leads back to a less specific path. GET routes serve HEAD as well.
    ///
    /// # Errors
    /// [`NoRoute`], in that order.
    pub fn find(&self, host: &str, path: &CanonicalPath<'_>, method: &Method) -> Result<&Route, NoRoute> {
        let table = self.table(host).ok_or(NoRoute::UnknownHost)?;
        let decoded = path.decoded();
        let found = table.find(&decoded).ok_or(NoRoute::NoPath)?;
        if table.misreading(path, &decoded, found).is_some() {
            return Err(NoRoute::AmbiguousPath);
        }
        found.entry.route(method).map_err(|allow| NoRoute::Method { allow })
    }

    /// The site of a canonical host, whatever the path.
    #[must_use]
    pub fn site(&self, host: &str) -> Option<&Site> {
        self.table(host).map(|table| &table.site)
    }

    pub(super) fn table(&self, host: &str) -> Option<&SiteTable> {
        self.exact.get(host).or_else(|| {
            let (label, suffix) = host.split_at_checked(host.find('.')?)?;
            self.one_label.get(suffix).filter(|_| !label.is_empty())
        })
    }
}

/// What makes a path mean more than one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misreading {
    /// An application could read it as this one, percent-decoded, which another route covers, or none.
    As(String),
    /// It can be read in more ways than anybody means.
    TooMany,
}

/// The routes of one site: those for which case counts, and those for which it does not.
#[derive(Debug)]
pub(super) struct SiteTable {
    pub(super) site: Site,
    by_case: Node,
    without_case: Option<Node>,
}

impl SiteTable {
    pub(super) fn new(site: Site) -> Self {
        let mut by_case = Node::default();
        let mut without_case = None;
        for route in &site.routes {
            if route.ignore_case {
                without_case.get_or_insert_with(Node::default).insert(route, fold_case);
            } else {
                by_case.insert(route, |segment| Cow::Borrowed(segment));
            }
        }
        Self { site, by_case, without_case }
    }

    /// The most specific entry; where one of each kind is equally so, the one for which case counts.
    pub(super) fn find(&self, path: &str) -> Option<Match<'_>> {
        let by_case = self.by_case.find(path);
        let folded = self.without_case.as_ref().and_then(|table| table.find(&fold_case(path)));
        match (by_case, folded) {
            (Some(one), Some(other)) if other.rank > one.rank => Some(other),
            (one, other) => one.or(other),
        }
    }

    /// The first reading of a path, of which `decoded` is the plain one, that does not win what has been `found` for that.
    pub(super) fn misreading(&self, path: &CanonicalPath<'_>, decoded: &str, found: Match<'_>) -> Option<Misreading> {
        let elsewhere = |reading: &str, other: Option<Match<'_>>| {
            other.is_none_or(|other| !std::ptr::eq(other.entry, found.entry) || self.slash_hides_exact(reading, &other))
        };
        if elsewhere(decoded, Some(found)) {
            return Some(Misreading::As(decoded.trim_end_matches('/').to_owned()));
        }
        let Some(readings) = path.other_readings() else { return Some(Misreading::TooMany) };
        readings.into_iter().find(|reading| elsewhere(reading, self.find(reading))).map(Misreading::As)
    }

    /// Whether a slash at the end takes the path away from the exact route that it has without, while no route was written
    /// for the path with the slash: Express, Spring and many others serve the same page for both.
    fn slash_hides_exact(&self, path: &str, found: &Match<'_>) -> bool {
        let Some(without) = path.strip_suffix('/').filter(|without| !without.is_empty()) else { return false };
        let depth = without.bytes().filter(|byte| *byte == b'/').count();
        found.rank != (false, depth) && self.find(without).is_some_and(|other| other.rank.0)
    }
}

#[cfg(test)]
pub(super) mod tests;
