//! Why a request falls under one route and not under another: the router's own look-ups, made for one candidate at a time.
//!
//! For people who ask. Nothing of it is on the way of a request, and it decides nothing by itself: each candidate is put into
//! a router or table of its own, and that is asked what the real one is asked.

use std::sync::Arc;

use http::Method;

use super::path::CanonicalPath;
use super::router::{Misreading, Router, SiteTable};
use crate::config::{Route, Site};

/// How a candidate stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the one.
    Wins,
    /// It is for other hosts, or other paths.
    Elsewhere,
    /// It covers the host or the path, and another one does more closely.
    LessSpecific,
    /// It has the winning path, and is not for the method.
    OtherMethod,
    /// It has the winning path and is for any method, and another one names this one.
    MethodNamed,
}

/// A route of a site, and how it stands.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The route.
    pub route: Arc<Route>,
    /// Its standing.
    pub standing: Standing,
}

impl Router {
    /// How a site of the configuration stands for a canonical host.
    #[must_use]
    pub fn standing_of(&self, site: &Site, host: &str) -> Standing {
        let alone = Self::new(std::slice::from_ref(site));
        match (alone.site(host), self.site(host)) {
            (None, _) => Standing::Elsewhere,
            (Some(_), Some(winner)) if winner.host == site.host => Standing::Wins,
            (Some(_), _) => Standing::LessSpecific,
        }
    }

    /// Every route of the host's site in winning order, by path and method alone. What else an application could take the
    /// path for is the business of [`Router::misreading`].
    #[must_use]
    pub fn candidates(&self, host: &str, path: &CanonicalPath<'_>, method: &Method) -> Vec<Candidate> {
        let Some(table) = self.table(host) else { return Vec::new() };
        let decoded = path.decoded();
        let winner = table.find(&decoded);
        let standing = |route: &Arc<Route>| {
            let alone = SiteTable::new(Site { host: table.site.host.clone(), routes: vec![Arc::clone(route)] });
            let (Some(own), Some(winner)) = (alone.find(&decoded), winner) else { return Standing::Elsewhere };
            if !winner.entry.has(route) {
                return Standing::LessSpecific;
            }
            match (own.entry.route(method), winner.entry.route(method)) {
                (Ok(_), Ok(chosen)) if std::ptr::eq(chosen, &raw const **route) => Standing::Wins,
                (Ok(_), _) => Standing::MethodNamed,
                (Err(_), _) => Standing::OtherMethod,
            }
        };
        let candidate = |route: &Arc<Route>| Candidate { standing: standing(route), route: Arc::clone(route) };
        table.site.routes.iter().map(candidate).collect()
    }

    /// What an application could take a path for that another route covers: why it is refused.
    #[must_use]
    pub fn misreading(&self, host: &str, path: &CanonicalPath<'_>) -> Option<Misreading> {
        let table = self.table(host)?;
        let decoded = path.decoded();
        table.misreading(path, &decoded, table.find(&decoded)?)
    }
}
