//! What changes for requests, in the order in which somebody should look at it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::difference::Differences;
use super::reach::{Shift, shift};
use super::side::{Reach, Side, Written};
use super::{everywhere, handshake, probe};
use crate::config::{PathPattern, Route, Site};
use crate::routing::NoRoute;

/// What kind of change. The order is that in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// More people get in than did, or more is believed.
    Opened,
    /// Fewer do.
    Closed,
    /// Others do, or requests are treated otherwise.
    Changed,
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) kind: Kind,
    /// The site. `None`: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<String>,
    /// The paths that it is for. Empty: the whole site.
    pub(super) paths: Vec<String>,
    /// The methods that it is for. Empty: all that have a route.
    pub(super) methods: Vec<String>,
    /// What it is, one sentence each.
    pub(super) what: Vec<String>,
    /// Whether a request may be decided otherwise by it.
    pub(super) decides: bool,
}

/// Every change, what opens first.
pub(super) fn all(before: &Side, after: &Side) -> Vec<Change> {
    let mut changes: Vec<Change> = everywhere::changes(before, after).collect();
    for (host, name) in probe::hosts([before, after]) {
        match (before.site(&host), after.site(&host)) {
            (Some(old), Some(new)) => {
                let (old, new) = (Written { by: before, it: old }, Written { by: after, it: new });
                changes.extend(handshake::change(&name, &old, &new));
                of_site(&name, &host, &old, &new, &mut changes);
            }
            (Some(site), None) => changes.push(whole(Kind::Removed, &name, before, site)),
            (None, Some(site)) => changes.push(whole(Kind::Added, &name, after, site)),
            (None, None) => {}
        }
    }
    // Stable: within a kind, the order of the configuration stays.
    changes.sort_by_key(|change| change.kind);
    changes
}

/// A site that has come or gone.
fn whole(kind: Kind, name: &str, of: &Side, site: &Site) -> Change {
    let open = site.routes.iter().filter(|route| matches!(of.reach_of(route), Reach::Everybody(_)));
    let open: Vec<_> = open.map(|route| route.path.to_string()).collect();
    let everybody = if open.is_empty() { String::new() } else { format!(", for everybody: {}", open.join(", ")) };
    let asked = of.client_certificates(site);
    let asked = asked.map(|asked| format!(", {}", handshake::words(Some(asked)))).unwrap_or_default();
    Change {
        kind,
        site: Some(name.to_owned()),
        paths: Vec::new(),
        methods: Vec::new(),
        what: vec![format!("the site, {} route(s){asked}{everybody}", site.routes.len())],
        decides: true,
    }
}

fn of_site(name: &str, host: &str, old: &Written<'_, Site>, new: &Written<'_, Site>, all: &mut Vec<Change>) {
    let sites = [old.it, new.it];
    let (patterns, methods) = (probe::patterns(sites), probe::methods(sites));
    let any_case = sites.into_iter().flat_map(|site| &site.routes).any(|route| route.ignore_case);
    let of_pattern = |pattern: &PathPattern| {
        let mut found: Vec<(Found, BTreeSet<usize>)> = Vec::new();
        for path in probe::paths(pattern, &patterns, any_case) {
            for (index, method) in methods.iter().enumerate() {
                let reached = [old.by, new.by].map(|side| side.reach(host, &path, method));
                let Some(change) = compare(old, new, pattern, &reached) else { continue };
                match found.iter_mut().find(|(known, _)| *known == change) {
                    Some((_, of)) => drop(of.insert(index)),
                    None => found.push((change, BTreeSet::from([index]))),
                }
            }
        }
        found
    };
    let first = all.len();
    for pattern in &patterns {
        for (Found { kind, what, decides }, of) in of_pattern(pattern) {
            let named = of.iter().filter_map(|index| methods.get(*index)).map(probe::method_name).collect();
            let methods = if of.len() == methods.len() { Vec::new() } else { named };
            let (site, path) = (Some(name.to_owned()), pattern.to_string());
            let mut own = all.iter_mut().skip(first);
            let same = own.find(|change| change.kind == kind && change.what == what && change.methods == methods);
            match same {
                Some(change) => change.paths.push(path),
                None => all.push(Change { kind, site, paths: vec![path], methods, what, decides }),
            }
        }
    }
}

/// What is found about one request.
#[derive(PartialEq, Eq)]
struct Found {
    kind: Kind,
    what: Vec<String>,
    decides: bool,
}

fn compare(
    old: &Written<'_, Site>,
    new: &Written<'_, Site>,
    pattern: &PathPattern,
    [was, is]: &[Reach<'_>; 2],
) -> Option<Found> {
    if !is_of(pattern, was, is) {
        return None;
    }
    let shift = shift(was, is);
    let mut what = Vec::new();
    if shift != Shift::Same {
        what.push(format!("{was} → {is}"));
    }
    let mut decides = shift != Shift::Same;
    if let (Some(one), Some(other)) = (route(was), route(is)) {
        if one.name != other.name && shift != Shift::Same {
            what.push(format!("falls under {}, before under {}", other.name, one.name));
        }
        let differences = Differences::between(&Written { by: old.by, it: one }, &Written { by: new.by, it: other });
        decides |= differences.decides;
        what.extend(differences.told);
    }
    let has = |site: &Written<'_, Site>| site.it.routes.iter().any(|route| route.path == *pattern);
    let gone = |reach: &Reach<'_>| matches!(reach, Reach::Nobody(NoRoute::NoPath | NoRoute::UnknownHost));
    let kind = match (shift, has(old), has(new)) {
        (Shift::Opened, ..) if gone(was) && matches!(is, Reach::Some(_)) => Kind::Added,
        (Shift::Closed, ..) if gone(is) => Kind::Removed,
        (Shift::Opened, ..) => Kind::Opened,
        (Shift::Closed, ..) => Kind::Closed,
        (Shift::Same, false, true) => Kind::Added,
        (Shift::Same, true, false) => Kind::Removed,
        (Shift::Same, ..) if what.is_empty() => return None,
        (Shift::Changed | Shift::Same, ..) => Kind::Changed,
    };
    if what.is_empty() {
        // It has come or gone, and its requests are treated as those above it.
        what.push(format!("as what covers it: {is}"));
    }
    Some(Found { kind, what, decides })
}

/// Whether what becomes of a request is for this pattern to tell, and not for that of the route which it falls under anyway.
fn is_of(pattern: &PathPattern, was: &Reach<'_>, is: &Reach<'_>) -> bool {
    let owns = |reach: &Reach<'_>| match (reach, route(reach)) {
        (_, Some(route)) => route.path == *pattern,
        (Reach::Nobody(NoRoute::NoPath | NoRoute::UnknownHost), None) => false,
        (_, None) => true,
    };
    let differ = matches!((route(was), route(is)), (Some(one), Some(other)) if one.name != other.name);
    owns(was) || owns(is) || differ
}

fn route<'a>(reach: &Reach<'a>) -> Option<&'a Route> {
    match reach {
        Reach::Nobody(_) => None,
        Reach::Everybody(known) | Reach::Some(known) => Some(known.route),
    }
}
