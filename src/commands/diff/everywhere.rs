//! What changes for every site at once: whose word about a client is believed, and which headers only Usher may say.

use ipnet::IpNet;

use super::change::{Change, Kind};
use super::side::Side;

pub(super) fn changes(before: &Side, after: &Side) -> impl Iterator<Item = Change> {
    [unreserved(before, after), believed(before, after)].into_iter().flatten()
}

/// Headers that a client may say by itself from now on. Whatever believed Usher there believes everybody.
fn unreserved(before: &Side, after: &Side) -> Option<Change> {
    let reserved = &after.config.reserved_headers;
    let names: Vec<_> = before.config.reserved_headers.iter().filter(|name| !reserved.contains(name)).collect();
    let names = names.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let what = || format!("clients may send {names} themselves: it is not stripped any more");
    (!names.is_empty()).then(|| change(Kind::Opened, what(), false))
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
