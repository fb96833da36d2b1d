//! Certificates that the clients of a site are to show: the handshake decides about them, before there is a route.

use super::change::{Change, Kind};
use super::side::Side;
use crate::config::{ClientCertificates, Site};

/// What changes for a host, whatever the path.
pub(super) fn change(name: &str, (before, old): (&Side, &Site), (after, new): (&Side, &Site)) -> Option<Change> {
    let (was, is) = (before.client_certificates(old), after.client_certificates(new));
    let required = |asked: Option<&ClientCertificates>| asked.is_some_and(|asked| asked.required);
    let same = was == is;
    let kind = match (required(was), required(is)) {
        _ if same => return None,
        (true, false) => Kind::Opened,
        (false, true) => Kind::Closed,
        (true, true) | (false, false) => Kind::Changed,
    };
    let authorities = |asked: Option<&ClientCertificates>| asked.map(|asked| asked.authorities.clone());
    let what = if words(was) != words(is) {
        format!("{} → {}", words(was), words(is))
    } else if authorities(was) != authorities(is) {
        format!("{}: other authorities count", words(is))
    } else {
        format!("{}: another identity", words(is))
    };
    Some(Change {
        kind,
        site: Some(name.to_owned()),
        paths: Vec::new(),
        methods: Vec::new(),
        what: vec![what],
        decides: true,
    })
}

/// What is asked of clients, in words.
pub(super) fn words(asked: Option<&ClientCertificates>) -> &'static str {
    match asked {
        None => "no client certificates",
        Some(ClientCertificates { required: true, .. }) => "client certificates required",
        Some(_) => "client certificates asked for, and not required",
    }
}
