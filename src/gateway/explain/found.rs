//! Which site and route win, and why each other candidate does not.

use std::cmp::Reverse;

use http::Method;

use super::Target;
use super::explanation::{Candidate, Check, Explanation};
use crate::config::{Access, PathPattern, Route};
use crate::gateway::Gateway;
use crate::routing::{Misreading, Standing};

/// Every site, the one that wins first.
pub(super) fn sites(gateway: &Gateway, target: &Target, told: &mut Explanation) {
    let router = &gateway.router;
    told.site = router.site(&target.host).map(|site| site.host.to_string());
    let mut sites: Vec<_> =
        gateway.config.sites.iter().map(|site| (site, router.standing_of(site, &target.host))).collect();
    sites.sort_by_key(|(_, standing)| Reverse(*standing == Standing::Wins));
    told.sites = sites
        .into_iter()
        .map(|(site, standing)| Candidate {
            name: site.host.to_string(),
            wins: standing == Standing::Wins,
            why: match standing {
                Standing::Wins => "is for this host",
                Standing::Elsewhere => "is for another host",
                _ => "is for any name of one label, and a site has this very host",
            }
            .to_owned(),
        })
        .collect();
}

/// Every route of the site, in winning order.
pub(super) fn routes(gateway: &Gateway, target: &Target, method: &Method, told: &mut Explanation) {
    let candidates = gateway.router.candidates(&target.host, &target.path, method);
    let winner = candidates.iter().find(|candidate| candidate.standing == Standing::Wins);
    let winner = winner.or_else(|| {
        let at_the_path = |standing| matches!(standing, Standing::OtherMethod | Standing::MethodNamed);
        candidates.iter().find(|candidate| at_the_path(candidate.standing))
    });
    let closest = winner.map(|winner| winner.route.path.clone());
    let misreading = gateway.router.misreading(&target.host, &target.path);
    told.routes = candidates
        .iter()
        .map(|candidate| Candidate {
            name: name(&candidate.route),
            wins: candidate.standing == Standing::Wins && misreading.is_none(),
            why: why(&candidate.route, candidate.standing, (closest.as_ref(), misreading.as_ref()), method),
        })
        .collect();
    if let Some(misreading) = misreading {
        let seen = match misreading {
            Misreading::As(reading) => {
                format!("an application could take it for {reading}, which falls under another route or none")
            }
            Misreading::TooMany => "it can be read in more ways than anybody means".to_owned(),
        };
        told.checks.push(Check::of("route", "one meaning of the path", false).seen(seen));
    }
}

/// Whether another proxy serves the route that wins, and only asks here.
pub(super) fn is_only_asked_about(gateway: &Gateway, target: &Target, method: &Method) -> bool {
    gateway.router.find(&target.host, &target.path, method).is_ok_and(|route| route.upstream.is_none())
}

/// The path, and the methods where they are written.
fn name(route: &Route) -> String {
    let methods = route.methods.iter().flatten().map(Method::as_str).collect::<Vec<_>>().join(",");
    format!("{} {methods}", route.path).trim_end().to_owned()
}

fn why(
    route: &Route,
    standing: Standing,
    (closest, misreading): (Option<&PathPattern>, Option<&Misreading>),
    method: &Method,
) -> String {
    match standing {
        Standing::Wins if misreading.is_some() => "would win the path as it is written".to_owned(),
        Standing::Wins => is(route),
        Standing::Elsewhere => match &route.path {
            PathPattern::Exact(_) => "is for another path, exactly".to_owned(),
            PathPattern::Prefix(_) => "does not cover the path".to_owned(),
        },
        Standing::LessSpecific => match closest {
            Some(closest) => format!("covers the path, but {closest} does more closely"),
            None => "covers the path, but another does more closely".to_owned(),
        },
        Standing::OtherMethod => format!("is not for {method}"),
        Standing::MethodNamed => format!("is for any method, but another route here names {method}"),
    }
}

/// What the winner is.
fn is(route: &Route) -> String {
    let access = match route.access {
        Access::Public => "access public",
        Access::Optional => "access optional",
        Access::Required => "access required",
    };
    match (&route.path, route.login) {
        (_, Some(_)) => format!("{access}; a login whose tokens Usher takes"),
        (PathPattern::Exact(_), None) => format!("{access}; this very path"),
        (PathPattern::Prefix(_), None) => format!("{access}; the longest prefix"),
    }
}
