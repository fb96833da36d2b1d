//! Certificates that the clients of a site are to show: the handshake decides about them, before there is a route.

use super::change::{Change, Kind};
use super::side::Written;
use crate::config::{ClientCertificates, Site};

/// What changes for a host, whatever the path.
pub(super) fn change(name: &str, old: &Written<'_, Site>, new: &Written<'_, Site>) -> Option<Change> {
    let (was, is) = (old.by.client_certificates(old.it), new.by.client_certificates(new.it));
    if was == is {
        return None;
    }
    let keeps_out = |asked: Option<&ClientCertificates>| {
        [asked.is_some_and(|asked| asked.required), asked.is_some_and(|asked| asked.revoked.is_some())]
    };
    let (kept_out, keeps_out) = (keeps_out(was), keeps_out(is));
    let more = |of: [bool; 2], than: [bool; 2]| of.into_iter().zip(than).any(|(of, than)| of && !than);
    let kind = if more(kept_out, keeps_out) {
        Kind::Opened
    } else if more(keeps_out, kept_out) {
        Kind::Closed
    } else {
        Kind::Changed
    };
    let what = match (was, is) {
        (Some(was), Some(is)) if was.required == is.required => {
            format!("{}: {}", words(Some(is)), differences(was, is).join(", "))
        }
        (was, is) => format!("{} → {}", words(was), words(is)),
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

fn differences(was: &ClientCertificates, is: &ClientCertificates) -> Vec<&'static str> {
    let lists = match (was.revoked.is_some(), is.revoked.is_some()) {
        (false, true) => "revoked ones are refused",
        (true, false) => "revoked ones count",
        (true, true) | (false, false) => "other lists of revoked ones",
    };
    [
        (was.authorities != is.authorities, "other authorities count"),
        (was.revoked != is.revoked, lists),
        (was.identity != is.identity, "another identity"),
    ]
    .into_iter()
    .filter_map(|(differs, words)| differs.then_some(words))
    .collect()
}

/// What is asked of clients, in words.
pub(super) fn words(asked: Option<&ClientCertificates>) -> &'static str {
    match asked {
        None => "no client certificates",
        Some(ClientCertificates { required: true, .. }) => "client certificates required",
        Some(_) => "client certificates asked for, and not required",
    }
}
