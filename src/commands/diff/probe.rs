//! Requests that stand for all others: for each host, path and method that one of the two configurations tells apart.
//!
//! What wins them, the router says, and nobody else. So an opening is found that no single route shows: a route is gone and a
//! weaker one above it wins, or a closer one is there that is open.

use std::collections::BTreeSet;

use http::Method;

use super::side::Side;
use super::spelling;
use crate::config::{HostPattern, PathPattern, Site};

/// A method that no configuration names stands for all that are not named.
const OTHER: &str = "USHER-OTHER";

/// Every host that is told apart, with the pattern that it stands for.
pub(super) fn hosts(both: [&Side; 2]) -> Vec<(String, String)> {
    let sites = || both.into_iter().flat_map(|one| &one.config.sites);
    let exact = |host: &str| sites().any(|site| matches!(&site.host, HostPattern::Exact(exact) if exact == host));
    let mut hosts: Vec<(String, String)> = Vec::new();
    for site in sites() {
        let host = match &site.host {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::OneLabel(suffix) => free("any", |label| exact(&format!("{label}{suffix}"))) + suffix,
        };
        if !hosts.iter().any(|(known, _)| *known == host) {
            hosts.push((host, site.host.to_string()));
        }
    }
    hosts
}

/// Every path pattern of these sites, the most specific first as far as each site orders them.
pub(super) fn patterns(sites: [&Site; 2]) -> Vec<PathPattern> {
    let mut patterns: Vec<PathPattern> = Vec::new();
    for route in sites.into_iter().flat_map(|site| &site.routes) {
        if !patterns.contains(&route.path) {
            patterns.push(route.path.clone());
        }
    }
    patterns
}

/// Every method that these sites tell apart; one that none of them names comes last.
pub(super) fn methods(sites: [&Site; 2]) -> Vec<Method> {
    let routes = sites.into_iter().flat_map(|site| &site.routes);
    let named: BTreeSet<&str> = routes.flat_map(|route| route.methods.iter().flatten()).map(Method::as_str).collect();
    // A route for GET serves HEAD as well, unless another names it.
    let head = (named.contains("GET") && !named.contains("HEAD")).then_some("HEAD");
    let all = named.into_iter().chain(head).chain([OTHER]);
    all.filter_map(|name| Method::from_bytes(name.as_bytes()).ok()).collect()
}

/// How people read a method of [`methods`].
pub(super) fn method_name(method: &Method) -> String {
    if method.as_str() == OTHER { "any other".to_owned() } else { method.to_string() }
}

/// The paths that stand for a pattern among others: itself, something below it, and both in other spellings where case does not
/// count for some route.
pub(super) fn paths(pattern: &PathPattern, among: &[PathPattern], any_case: bool) -> Vec<String> {
    let mut paths = match pattern {
        PathPattern::Exact(path) => vec![path.clone()],
        PathPattern::Prefix(path) => {
            let mut paths = vec![path.clone()];
            let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty());
            // An exact route for it has requests of its own.
            let has_own = |bare: &str| among.iter().any(|other| *other == PathPattern::Exact(bare.to_owned()));
            paths.extend(bare.filter(|bare| !has_own(bare)).map(str::to_owned));
            let taken = |segment: &str| among.iter().any(|other| other.to_string().contains(segment));
            paths.push(format!("{path}{}", free("below", taken)));
            paths
        }
    };
    if any_case {
        for path in paths.clone() {
            for other in spelling::others(&path, among) {
                if !paths.contains(&other) {
                    paths.push(other);
                }
            }
        }
    }
    paths
}

/// `word`, with a number where it is taken.
fn free(word: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2_u32..).map(|number| format!("{word}{number}"));
    std::iter::once(word.to_owned()).chain(numbered).find(|word| !is_taken(word)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_asked_for_itself_and_below_in_both_cases_and_by_no_name_that_is_taken() {
        let admin = PathPattern::Prefix("/admin/".to_owned());
        assert_eq!(paths(&admin, &[], false), ["/admin/", "/admin", "/admin/below"]);
        let others = [PathPattern::Exact("/admin".to_owned()), PathPattern::Exact("/admin/below".to_owned())];
        assert_eq!(paths(&admin, &others, false), ["/admin/", "/admin/below2"]);
        let short = PathPattern::Exact("/a%3Db".to_owned());
        assert_eq!(paths(&short, &[], true), ["/a%3Db", "/A%3DB", "/A%3Db", "/a%3DB"]);
    }
}
