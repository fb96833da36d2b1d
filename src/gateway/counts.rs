//! What is counted of requests, by the route that they fell under.
//!
//! A route's counts are found by its place in the configuration, so a request costs no look-up: one addition for the answer,
//! and two for each duration. Nothing of a request but its route becomes a name, so that no client can make them more.
//! Everything is counted when the head of the answer is ready: how long a body takes is the client's affair, and a stream
//! would be counted hours late.
//!
//! At a reload, routes of the same name go on counting; those that are gone are forgotten.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::config::{RouteId, Site};
use crate::tally::{Count, Durations, Open};

/// Answers that are counted by themselves, in order; others by their class.
const CODES: [u16; 33] = [
    101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415,
    416, 421, 422, 429, 431, 500, 501, 502, 503, 504,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Whose fault a refusal may be, as the access log says it.
const FAULTS: [&str; 6] = ["client", "issuer", "operator", "store", "upstream", OURS];

const OURS: &str = "us";

/// Of a whole request and of the application, in microseconds.
const LONG: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
/// Of Usher alone.
const SHORT: [u64; 10] = [25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 100_000, 1_000_000];

/// No site and no route has this name.
const NONE: &str = "-";
/// As the name of a route: Usher's own paths, whatever the site.
const OWN_PATHS: &str = "/.usher/";

/// What is counted of all requests.
#[derive(Debug)]
pub struct Counts {
    /// By [`RouteId`].
    routes: Vec<Arc<RouteCounts>>,
    own_paths: Arc<RouteCounts>,
    /// Requests that were refused before it was clear which route they are for.
    unrouted: Arc<RouteCounts>,
    /// Upgraded connections.
    pub tunnels: Open,
    /// Bodies of answers that go on for so long that the session they belong to is watched.
    pub answers: Open,
    /// Bodies of requests that do.
    pub uploads: Open,
}

/// What is counted of the requests of one route.
#[derive(Debug)]
pub struct RouteCounts {
    /// The host of its site, as configured; `-` where none is known.
    pub site: Box<str>,
    /// Its name, as the access log has it; `/.usher/` for Usher's own paths, `-` for requests that fell under none.
    pub route: Arc<str>,
    codes: [Count; CODES.len()],
    classes: [Count; CLASSES.len()],
    refused: [Count; FAULTS.len()],
    /// Requests that a rate limit has refused.
    pub limited: Count,
    /// Requests whose browser was sent to sign in; none of them is a refusal.
    pub sent_to_sign_in: Count,
    /// Requests whose client left before there was an answer.
    pub given_up: Count,
    /// From the request's head to the answer's.
    pub whole: Durations,
    /// Until the application had answered, or failed to, of requests that reached it.
    pub upstream: Durations,
    /// What was neither waiting for the application nor for an issuer.
    pub own: Durations,
}

/// How an answer came to be.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    /// Whose fault it is that Usher refused.
    pub(super) fault: Option<&'static str>,
    /// Whether that was for a rate limit.
    pub(super) limited: bool,
    /// Whether the browser was sent to sign in.
    pub(super) sent_to_sign_in: bool,
    pub(super) whole: Duration,
    pub(super) upstream: Option<Duration>,
    pub(super) own: Duration,
}

/// A request, which is counted once: when it is answered, or when it goes without an answer.
pub(super) struct Counting<'g> {
    counts: Option<&'g RouteCounts>,
}

impl Counts {
    /// Counts for the routes of these sites.
    pub(super) fn new(sites: &[Site]) -> Self {
        let none = Self {
            routes: Vec::new(),
            own_paths: Arc::new(RouteCounts::new(NONE.into(), OWN_PATHS.into())),
            unrouted: Arc::new(RouteCounts::new(NONE.into(), NONE.into())),
            tunnels: Open::default(),
            answers: Open::default(),
            uploads: Open::default(),
        };
        none.succeeded_by(sites)
    }

    /// The same for the sites of another configuration.
    pub(super) fn succeeded_by(&self, sites: &[Site]) -> Self {
        let before: HashMap<_, _> =
            self.routes.iter().map(|counts| ((&*counts.site, &*counts.route), counts)).collect();
        let routes = sites.iter().flat_map(|site| site.routes.iter().map(|route| (site.host.to_string(), &route.name)));
        let counts = |(site, route): (String, &Arc<str>)| match before.get(&(site.as_str(), &**route)) {
            Some(counts) => Arc::clone(counts),
            None => Arc::new(RouteCounts::new(site.into(), Arc::clone(route))),
        };
        Self {
            routes: routes.map(counts).collect(),
            own_paths: Arc::clone(&self.own_paths),
            unrouted: Arc::clone(&self.unrouted),
            tunnels: self.tunnels.clone(),
            answers: self.answers.clone(),
            uploads: self.uploads.clone(),
        }
    }

    /// Those of every route, of Usher's own paths, and of what fell under no route.
    pub fn routes(&self) -> impl Iterator<Item = &RouteCounts> {
        self.routes.iter().chain([&self.own_paths, &self.unrouted]).map(Arc::as_ref)
    }

    /// A request begins, of which nothing is known yet.
    pub(super) fn begin(&self) -> Counting<'_> {
        Counting { counts: Some(&self.unrouted) }
    }

    /// It is for one of Usher's own paths.
    pub(super) fn note_own_path<'g>(&'g self, counting: &mut Counting<'g>) {
        if counting.counts.is_some() {
            counting.counts = Some(&self.own_paths);
        }
    }

    /// It is for this route.
    pub(super) fn note_route<'g>(&'g self, route: RouteId, counting: &mut Counting<'g>) {
        if counting.counts.is_some() {
            counting.counts = self.routes.get(route.0).map(Arc::as_ref);
        }
    }
}

impl Counting<'_> {
    /// It is not counted at all.
    pub(super) const fn cancel(&mut self) {
        self.counts = None;
    }

    /// It is answered.
    pub(super) fn answered(&mut self, answered: &Answered) {
        if let Some(counts) = self.counts.take() {
            counts.answered(answered);
        }
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let Some(counts) = self.counts else { return };
        if std::thread::panicking() {
            // It is answered where the panic is caught, with this. How long it took says nothing about anything.
            counts.count(StatusCode::INTERNAL_SERVER_ERROR, Some(OURS));
        } else {
            counts.given_up.add();
        }
    }
}

impl RouteCounts {
    fn new(site: Box<str>, route: Arc<str>) -> Self {
        Self {
            site,
            route,
            codes: [const { Count::new() }; _],
            classes: [const { Count::new() }; _],
            refused: [const { Count::new() }; _],
            limited: Count::new(),
            sent_to_sign_in: Count::new(),
            given_up: Count::new(),
            whole: Durations::new(&LONG),
            upstream: Durations::new(&LONG),
            own: Durations::new(&SHORT),
        }
    }

    fn answered(&self, answered: &Answered) {
        let Answered { status, fault, limited, sent_to_sign_in, whole, upstream, own } = answered;
        self.count(*status, *fault);
        if *limited {
            self.limited.add();
        }
        if *sent_to_sign_in {
            self.sent_to_sign_in.add();
        }
        self.whole.note(*whole);
        if let Some(upstream) = upstream {
            self.upstream.note(*upstream);
        }
        self.own.note(*own);
    }

    fn count(&self, status: StatusCode, fault: Option<&str>) {
        let status = status.as_u16();
        let count = match CODES.binary_search(&status) {
            Ok(code) => self.codes.get(code),
            Err(_) => self.classes.get(usize::from(status / 100).saturating_sub(1)),
        };
        if let Some(count) = count {
            count.add();
        }
        if let Some(count) = fault.and_then(|fault| self.refused.get(FAULTS.iter().position(|one| *one == fault)?)) {
            count.add();
        }
    }

    /// Answers by their status, or by its class where that is a rare one. Those that there were.
    pub fn answers(&self) -> impl Iterator<Item = (Cow<'static, str>, u64)> {
        let codes = CODES.iter().zip(&self.codes).map(|(code, count)| (Cow::Owned(code.to_string()), count.total()));
        let classes = CLASSES.iter().zip(&self.classes).map(|(class, count)| (Cow::Borrowed(*class), count.total()));
        codes.chain(classes).filter(|(_, times)| *times > 0)
    }

    /// Answers that were refusals of Usher's, by whose fault that was. All of them, so that the first of a kind can be seen to
    /// be one more.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FAULTS.into_iter().zip(self.refused.iter().map(Count::total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, fault: Option<&'static str>) -> Answered {
        let (status, whole) = (StatusCode::from_u16(status).unwrap(), Duration::from_millis(3));
        let (limited, sent_to_sign_in, own) = (false, false, Duration::from_micros(30));
        Answered { status, fault, limited, sent_to_sign_in, whole, upstream: None, own }
    }

    #[test]
    fn every_status_is_counted_once_by_itself_or_by_its_class() {
        assert!(CODES.is_sorted());
        let counts = RouteCounts::new("s".into(), "r".into());
        (100..600).for_each(|status| counts.answered(&answered(status, None)));
        let answers: Vec<_> = counts.answers().collect();
        assert_eq!(answers.iter().map(|(_, times)| times).sum::<u64>(), 500);
        assert!(answers.iter().all(|(code, times)| code.ends_with("xx") || *times == 1), "{answers:?}");
        assert_eq!(counts.whole.buckets().map(|(_, times)| times).sum::<u64>(), 500);
    }

    #[test]
    fn a_request_is_counted_once_whatever_becomes_of_it() {
        let counts = Counts::new(&[]);
        counts.begin().answered(&answered(421, Some("client")));
        drop(counts.begin());
        assert_eq!(counts.unrouted.answers().collect::<Vec<_>>(), [("421".into(), 1)]);
        let refused = |fault| counts.unrouted.refusals().find(|(one, _)| *one == fault).unwrap().1;
        assert_eq!((refused("client"), refused(OURS), counts.unrouted.given_up.total()), (1, 0, 1));
        let panicking = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _counting = counts.begin();
            panic!("on purpose");
        }));
        assert!(panicking.is_err());
        assert_eq!((refused("client"), refused(OURS), counts.unrouted.given_up.total()), (1, 1, 1));
        assert!(counts.unrouted.answers().any(|(code, times)| code == "500" && times == 1));
    }
}
