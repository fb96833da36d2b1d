//! The access log, request by request, through both configurations.
//!
//! Requests that are the same to both are decided once. So many of them are remembered, by a hash that whoever wrote the log
//! could not choose, and others decided each time: the log may be longer than memory, and so may its lines.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde::Serialize;

use super::DiffError;
use super::lines::Lines;
use super::outcome::{Outcome, Verdict, compare};
use super::reach::trusts_all_of;
use super::side::Side;
use crate::commands::explain::logged::Logged;
use crate::commands::explain::request::Asked;
use crate::config::Access;
use crate::gateway::Gateway;
use crate::gateway::explain::{Explanation, Presented};

/// So many different requests are remembered.
const REMEMBERED: usize = 100_000;
/// So many lines that are none are named.
const NAMED: usize = 3;

/// A configuration, and a gateway of it to ask.
pub(super) struct Asking {
    pub(super) side: Side,
    pub(super) gateway: Arc<Gateway>,
}

/// What the log came to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Replayed {
    /// Requests that could be compared.
    pub(super) requests: u64,
    /// Those that are told apart: method, host, path, and what is known of whoever asked.
    pub(super) different: usize,
    /// There are more different ones than are remembered and counted.
    pub(super) and_more: bool,
    /// Decided alike.
    pub(super) alike: u64,
    /// Decided otherwise, the most frequent first.
    pub(super) otherwise: Vec<Group>,
    /// What cannot be known from the log.
    pub(super) unknown: Vec<Group>,
    /// Requests that could not be read then. No configuration changes that.
    pub(super) unreadable: u64,
    /// Lines that are not of the access log.
    pub(super) other_lines: u64,
    /// The first of those.
    pub(super) first_other_lines: Vec<u64>,
}

/// Requests of which the same becomes.
#[derive(Debug, Serialize)]
pub(super) struct Group {
    pub(super) before: Outcome,
    pub(super) after: Outcome,
    pub(super) requests: u64,
    /// One of them.
    pub(super) example: String,
    /// The line of that.
    pub(super) line: u64,
}

/// Reads the whole log.
pub(super) async fn replay(mut lines: Lines, asking: &[Asking; 2]) -> Result<Replayed, DiffError> {
    let mut replayed = Replayed::default();
    let keys = RandomState::new();
    let mut known: HashMap<u64, Verdict> = HashMap::new();
    while let Some((number, line)) = lines.next()? {
        let Some(logged) = line.and_then(Logged::parse) else {
            replayed.other_lines += 1;
            if replayed.first_other_lines.len() < NAMED {
                replayed.first_other_lines.push(number);
            }
            continue;
        };
        let Ok(asked) = Asked::of_log(&logged) else {
            replayed.unreadable += 1;
            continue;
        };
        let key = keys.hash_one(key(&logged));
        let verdict = if let Some(verdict) = known.get(&key) {
            verdict.clone()
        } else {
            let verdict = decide(&logged, &asked, asking).await?;
            if known.len() < REMEMBERED {
                known.insert(key, verdict.clone());
            } else {
                replayed.and_more = true;
            }
            verdict
        };
        replayed.count(verdict, &logged, number);
    }
    replayed.different = known.len();
    for groups in [&mut replayed.otherwise, &mut replayed.unknown] {
        groups.sort_by_key(|group| std::cmp::Reverse(group.requests));
    }
    Ok(replayed)
}

/// Everything of a line that may decide.
fn key(logged: &Logged) -> String {
    let status = if logged.decision == "refused" { logged.status } else { 0 };
    let Logged { method, host, path, route, decision, .. } = logged;
    format!("{method} {host:?} {path:?} {route:?} {decision} {status} {:?}", logged.presented())
}

async fn decide(logged: &Logged, asked: &Asked, asking: &[Asking; 2]) -> Result<Verdict, DiffError> {
    let [before, after] = asking;
    let was = explain(before, asked, &presented(logged, [&before.side, &before.side])).await?;
    let is = explain(after, asked, &presented(logged, [&before.side, &after.side])).await?;
    Ok(compare([&before.side, &after.side], [&was, &is], logged))
}

/// What was presented, as far as the log tells; a token that counted then counts wherever the same ones do.
fn presented(logged: &Logged, [before, side]: [&Side; 2]) -> Presented {
    match logged.presented() {
        Presented::OfIssuer(name) => match (before.issuer(&name), side.issuer(&name)) {
            (Some(one), Some(other)) if trusts_all_of(other, one) => Presented::StillOfIssuer(name),
            _ => Presented::OfIssuer(name),
        },
        // Where an identity is looked at and none was found, nothing was presented. A preflight is not looked at.
        Presented::Unseen if logged.reason.is_none() && logged.issuer.is_none() && logged.method != "OPTIONS" => {
            let route = logged.route.as_deref().and_then(|name| before.route_named(name));
            if route.is_some_and(|route| route.access == Access::Optional) {
                Presented::AsSent
            } else {
                Presented::Unseen
            }
        }
        presented => presented,
    }
}

async fn explain(asking: &Asking, asked: &Asked, presented: &Presented) -> Result<Explanation, DiffError> {
    let (connection, _) = asked.connection(&asking.side.config, None);
    let request = asked.request(&[], None, None, &connection)?;
    Ok(asking.gateway.explain(&connection, request, presented).await)
}

impl Replayed {
    fn count(&mut self, verdict: Verdict, logged: &Logged, line: u64) {
        self.requests += 1;
        let (groups, before, after) = match verdict {
            Verdict::Alike => {
                self.alike += 1;
                return;
            }
            Verdict::Otherwise(before, after) => (&mut self.otherwise, before, after),
            Verdict::Unknown(before, after) => (&mut self.unknown, before, after),
        };
        if let Some(group) = groups.iter_mut().find(|group| group.before == before && group.after == after) {
            group.requests += 1;
            return;
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let example = format!("{} {}{}", logged.method, text(&logged.host), text(&logged.path));
        groups.push(Group { before, after, requests: 1, example, line });
    }
}
