//! What changes for every site at once: whose word about a client is believed, and which headers only Usher may say.

use http::HeaderName;
use ipnet::IpNet;

use super::change::{Change, Kind};
use super::side::Side;

pub(super) fn changes(before: &Side, after: &Side) -> impl Iterator<Item = Change> {
    [unreserved(before, after), stripped(before, after), believed(before, after)].into_iter().flatten()
}

/// Headers that a client may say by itself from now on. Whatever believed Usher there believes everybody.
fn unreserved(before: &Side, after: &Side) -> Option<Change> {
    let names = only_reserved_by(before, after).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let what = || format!("clients may send {names} themselves: it is not stripped any more");
    (!names.is_empty()).then(|| change(Kind::Opened, what(), false))
}

/// Headers that the application gets from nobody from now on. Of those that it gets from Usher, routes tell.
fn stripped(before: &Side, after: &Side) -> Option<Change> {
    let is_sent = |name: &HeaderName| after.config.identity_sets.iter().flatten().any(|header| header.name == *name);
    let names = only_reserved_by(after, before).filter(|name| !is_sent(name));
    let names = names.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let what = || format!("clients may not send {names} any more: it is stripped");
    (!names.is_empty()).then(|| change(Kind::Closed, what(), false))
}

fn only_reserved_by<'a>(one: &'a Side, other: &'a Side) -> impl Iterator<Item = &'a HeaderName> {
    one.config.reserved_headers.iter().filter(|name| !other.config.reserved_headers.contains(name))
}

/// Proxies whose `X-Forwarded-*` counts, and which alone are served without TLS.
fn believed(before: &Side, after: &Side) -> Option<Change> {
    // Two halves of a network are that network.
    let [one, other] = [before, after].map(|side| IpNet::aggregate(&side.config.trusted_proxies));
    let covers = |these: &[IpNet], those: &[IpNet]| those.iter().all(|net| these.iter().any(|own| own.contains(net)));
    let kind = match (covers(&other, &one), covers(&one, &other)) {
        (true, true) => return None,
        (true, false) => Kind::Opened,
        (false, true) => Kind::Closed,
        (false, false) => Kind::Changed,
    };
    let [one, other] = [one, other].map(|proxies| match &proxies[..] {
        [] => "nobody".to_owned(),
        proxies => proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    });
    Some(change(kind, format!("trusted_proxies, whose word about clients counts: {one} → {other}"), true))
}

fn change(kind: Kind, what: String, decides: bool) -> Change {
    Change { kind, site: None, paths: Vec::new(), methods: Vec::new(), what: vec![what], decides }
}
