//! Which route wins, and which two could never be told apart.

use std::cmp::{Ordering, Reverse};

use super::super::{Check, KeyPath};
use crate::config::{PathPattern, Route};

/// A route and where it was written.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) route: Route,
    pub(super) at: KeyPath,
}

/// Exact before prefix, longer before shorter; of the same path, the route with methods first. Beyond that the order does
/// not matter, but is always the same.
pub(super) fn winning(one: &Candidate, other: &Candidate) -> Ordering {
    let rank = |candidate: &Candidate| {
        let (prefix, path) = match &candidate.route.path {
            PathPattern::Exact(path) => (false, path.clone()),
            PathPattern::Prefix(path) => (true, path.clone()),
        };
        (prefix, Reverse(path.len()), path, candidate.route.methods.is_none(), candidate.route.name.clone())
    };
    rank(one).cmp(&rank(other))
}

impl Check<'_> {
    /// Two routes of one path that are for the same method: no rule says which of them a request means.
    pub(super) fn indistinguishable(&mut self, candidates: &[Candidate]) {
        for (index, later) in candidates.iter().enumerate() {
            let twin = candidates.iter().take(index).find(|earlier| is_twin(&earlier.route, &later.route));
            if let Some(twin) = twin {
                let message = format!("can never be told apart from {}", twin.at);
                let depends = [later.at.key("methods"), twin.at.key("methods"), later.at.key("ignore_case")];
                let remedy = "give them different methods or paths, or take one out";
                self.report.conflict(&later.at.key("path"), &depends, message, remedy);
            }
        }
    }
}

fn is_twin(one: &Route, other: &Route) -> bool {
    let same_path = if one.ignore_case || other.ignore_case {
        match (&one.path, &other.path) {
            (PathPattern::Exact(a), PathPattern::Exact(b)) | (PathPattern::Prefix(a), PathPattern::Prefix(b)) => {
                a.eq_ignore_ascii_case(b)
            }
            _ => false,
        }
    } else {
        one.path == other.path
    };
    same_path
        && match (&one.methods, &other.methods) {
            (None, None) => true,
            (Some(a), Some(b)) => a.iter().any(|method| b.contains(method)),
            _ => false,
        }
}
