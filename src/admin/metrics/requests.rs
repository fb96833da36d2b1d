//! What is counted of requests: how many, what became of them, and whose time they took.

use std::borrow::Cow;
use std::fmt;

use super::families::Families;
use crate::gateway::{Counts, RouteCounts};
use crate::tally::Durations;

pub(super) fn write(counts: &Counts, families: &mut Families<'_>) -> fmt::Result {
    let asked: Vec<_> = counts.routes().filter(|counts| is_asked(counts)).collect();
    let answers = asked.iter().flat_map(|counts| {
        counts.answers().map(|(code, times)| {
            let [site, route] = names(counts).map(|(label, name)| (label, Cow::Borrowed(name)));
            ([site, route, ("code", code)], times)
        })
    });
    let help = "Requests that were answered, by the status of the answer.";
    families.counters("usher_requests", help, answers)?;
    let refusals = asked.iter().flat_map(|counts| {
        counts.refusals().map(|(fault, times)| {
            let [site, route] = names(counts);
            ([site, route, ("fault", fault)], times)
        })
    });
    let help = "Answers that are refusals of Usher's own, by whose fault that was.";
    families.counters("usher_refusals", help, refusals)?;
    let limited = asked.iter().map(|counts| (names(counts), counts.limited.total()));
    let help = "Requests that a rate limit has refused.";
    families.counters("usher_rate_limited", help, limited)?;
    let sent = asked.iter().map(|counts| (names(counts), counts.sent_to_sign_in.total()));
    let help = "Requests whose browser was sent to sign in, which is no refusal.";
    families.counters("usher_sent_to_sign_in", help, sent)?;
    let given_up = asked.iter().map(|counts| (names(counts), counts.given_up.total()));
    let help = "Requests whose client left before there was an answer.";
    families.counters("usher_requests_given_up", help, given_up)?;
    let mut durations = |name, help, of: fn(&RouteCounts) -> &Durations| {
        families.durations(name, help, asked.iter().map(|counts| (names(counts), of(counts))))
    };
    let help = "From the head of a request to the head of its answer.";
    durations("usher_request_duration_seconds", help, |counts| &counts.whole)?;
    let help = "How long the application took for the head of its answer.";
    durations("usher_upstream_duration_seconds", help, |counts| &counts.upstream)?;
    let help = "What of a request's duration was Usher's own: waiting neither for the application nor for an issuer.";
    durations("usher_own_duration_seconds", help, |counts| &counts.own)
}

fn names(counts: &RouteCounts) -> [(&'static str, &str); 2] {
    [("site", &counts.site), ("route", &counts.route)]
}

fn is_asked(counts: &RouteCounts) -> bool {
    counts.answers().next().is_some() || counts.given_up.total() > 0
}
