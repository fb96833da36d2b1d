//! The paths of one site as a tree of segments. A look-up visits one node per segment of the request's path, until no
//! pattern goes deeper: its cost does not grow with the number of routes.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::{HeaderValue, Method};

use super::path::decode_lossy;
use crate::config::{PathPattern, Route};

/// What covers a path, and how closely.
#[derive(Clone, Copy)]
pub(super) struct Match<'t> {
    pub(super) entry: &'t Entry,
    /// Exact before prefix, longer before shorter: the greater wins.
    pub(super) rank: (bool, usize),
}

/// One segment in the tree, or the root. Segments are kept percent-decoded, as applications see them.
#[derive(Debug, Default)]
pub(super) struct Node {
    below: HashMap<Box<str>, Node>,
    exact: Option<Entry>,
    prefix: Option<Entry>,
}

impl Node {
    /// Adds a route under its path, each segment of which `key` brings into the form that is compared.
    pub(super) fn insert(&mut self, route: &Arc<Route>, key: fn(&str) -> Cow<'_, str>) {
        let (path, exact) = match &route.path {
            PathPattern::Exact(path) => (path.as_str(), true),
            PathPattern::Prefix(path) => (path.strip_suffix('/').unwrap_or(path), false),
        };
        let node = path.split('/').skip(1).fold(self, |node, segment| {
            let segment = decode_lossy(segment);
            node.below.entry(key(&segment).into()).or_default()
        });
        let entry = if exact { &mut node.exact } else { &mut node.prefix };
        entry.get_or_insert_default().routes.push(Arc::clone(route));
    }

    /// The most specific entry that covers a decoded path.
    pub(super) fn find(&self, path: &str) -> Option<Match<'_>> {
        let segments = path.bytes().filter(|byte| *byte == b'/').count();
        let mut best = None;
        for (depth, node) in self.walk(path).enumerate() {
            if let Some(entry) = &node.prefix {
                best = Some(Match { entry, rank: (false, depth) });
            }
            if let Some(entry) = node.exact.as_ref().filter(|_| depth == segments) {
                best = Some(Match { entry, rank: (true, depth) });
            }
        }
        best
    }

    /// The root, then one node for each segment of the path, for as long as there are any.
    fn walk<'t>(&'t self, path: &str) -> impl Iterator<Item = &'t Self> {
        let mut segments = path.split('/').skip(1);
        std::iter::successors(Some(self), move |node| node.below.get(segments.next()?))
    }
}

/// The routes that share one path, and differ in their methods.
#[derive(Debug, Default)]
pub(super) struct Entry {
    routes: Vec<Arc<Route>>,
}

impl Entry {
    /// Whether this very route is one of them.
    pub(super) fn has(&self, route: &Arc<Route>) -> bool {
        self.routes.iter().any(|own| Arc::ptr_eq(own, route))
    }

    /// The route for a method. Method names are compared as they are, case included (RFC 9110 §9.1).
    ///
    /// A route that names the method wins, then for HEAD one that names GET (RFC 9110 §9.3.2: the same answer without
    /// its body), then one that names none. TRACE, which shows a client what Usher added to its request, and CONNECT,
    /// which asks for another kind of proxy, have no route ever.
    ///
    /// # Errors
    /// The value of `Allow` when no route is for this method.
    pub(super) fn route(&self, method: &Method) -> Result<&Route, HeaderValue> {
        if matches!(*method, Method::TRACE | Method::CONNECT) {
            return Err(self.allow());
        }
        self.naming(method)
            .or_else(|| if *method == Method::HEAD { self.naming(&Method::GET) } else { None })
            .or_else(|| self.routes.iter().find(|route| route.methods.is_none()))
            .map(Arc::as_ref)
            .ok_or_else(|| self.allow())
    }

    fn naming(&self, method: &Method) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.methods.as_ref().is_some_and(|methods| methods.contains(method)))
    }

    /// The methods that have a route here (RFC 9110 §10.2.1), sorted. Where a route is for all of them, the registered
    /// ones that are in common use are listed.
    fn allow(&self) -> HeaderValue {
        let mut allowed = BTreeSet::new();
        for route in &self.routes {
            match &route.methods {
                Some(methods) => allowed.extend(methods.iter().map(Method::as_str)),
                None => allowed.extend(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]),
            }
        }
        if allowed.contains("GET") {
            allowed.insert("HEAD");
        }
        allowed.remove("TRACE");
        allowed.remove("CONNECT");
        let list = allowed.into_iter().collect::<Vec<_>>().join(", ");
        // Method names are tokens, so this is a field value always; an empty one means "none" (RFC 9110 §10.2.1).
        HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::router::tests::route;

    fn table(patterns: impl IntoIterator<Item = String>) -> Node {
        let mut table = Node::default();
        for pattern in patterns {
            table.insert(&route(&pattern, &[]), |segment| Cow::Borrowed(segment));
        }
        table
    }

    #[test]
    fn a_look_up_visits_as_many_nodes_among_10000_routes_as_among_10() {
        let few = table((0..10).map(|n| format!("/area{n}/page/")));
        let many = table((0..10_000).map(|n| format!("/area{n}/page/")));
        for path in ["/area7/page/x/y", "/area7", "/nowhere/at/all", "/"] {
            assert_eq!(many.walk(path).count(), few.walk(path).count(), "{path}");
            assert!(many.walk(path).count() <= 3);
        }
        assert!(many.find("/area9999/page/x").is_some());
    }

    #[test]
    fn a_path_of_thousands_of_segments_is_left_where_no_pattern_goes_deeper() {
        let path = "/a".repeat(4096);
        assert_eq!(table(["/a/b/".to_owned()]).walk(&path).count(), 2);
    }
}
