//! The applications: where their names lead, what accepts connections there, and whether TLS stands.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Trial;
use super::finding::{Finding, told};
use super::remedy::{self, Keys};
use crate::clock::Clock;
use crate::config::{Config, Route, Site, Upstream, UpstreamAddress};
use crate::forwarding::{ConnectError, Examination, Tried, Upstreams};

const KEYS: Keys = Keys { ca: "ca_file of the upstream", server_name: Some("server_name") };

/// Nobody waits longer for a connection than this, whatever a route allows.
const PATIENCE: Duration = Duration::from_secs(4);

/// More sites than that are only counted.
const MOST_SITES: usize = 4;

/// An address, as one or several upstreams have it.
struct Used<'a> {
    upstream: Upstream,
    address: &'a UpstreamAddress,
    /// What the most patient of its routes waits for a connection.
    limit: Duration,
    sites: BTreeSet<String>,
}

/// One for each address, however many sites use it.
pub(super) fn trials<'a>(config: &'a Config, clock: &'a Clock) -> Vec<Trial<'a>> {
    let trial = |used: Used<'a>| Trial::new("upstream", used.address.to_string(), examine(used, clock));
    addresses(config).into_iter().map(trial).collect()
}

/// In the order of the configuration. One that is dialled in two ways is there twice.
fn addresses(config: &Config) -> Vec<Used<'_>> {
    let mut all: Vec<Used<'_>> = Vec::new();
    for (index, upstream) in config.upstreams.iter().enumerate() {
        let (limit, sites) = users(config, index);
        for address in &upstream.addresses {
            let is_same = |used: &&mut Used<'_>| used.address == address && used.upstream.tls == upstream.tls;
            if let Some(used) = all.iter_mut().find(is_same) {
                used.limit = used.limit.max(limit);
                used.sites.extend(sites.iter().cloned());
            } else {
                let upstream = Upstream { addresses: vec![address.clone()], ..upstream.clone() };
                all.push(Used { upstream, address, limit, sites: sites.clone() });
            }
        }
    }
    all
}

/// How long its routes wait for a connection, and the sites that have them.
fn users(config: &Config, index: usize) -> (Duration, BTreeSet<String>) {
    let is_its = |route: &Route| route.upstream.is_some_and(|id| id.0 == index);
    let of_site =
        |site: &'_ Site| site.routes.iter().filter(|route| is_its(route)).map(|route| route.timeouts.connect).max();
    let (limits, sites): (Vec<_>, BTreeSet<_>) =
        config.sites.iter().filter_map(|site| Some((of_site(site)?, site.host.to_string()))).unzip();
    (limits.into_iter().max().unwrap_or(PATIENCE).min(PATIENCE), sites)
}

async fn examine(used: Used<'_>, clock: &Clock) -> Vec<Finding> {
    let mut findings = match Upstreams::new(std::slice::from_ref(&used.upstream), clock) {
        Ok(upstreams) => {
            let found = upstreams.examine(used.limit).await;
            found.iter().flat_map(|found| verdicts(used.address, found)).collect()
        }
        Err(error) => {
            let remedy = "correct ca_file, client_certificate or client_key of the upstream";
            vec![Finding::failed("upstream.tls", used.address.to_string(), told(&error), remedy)]
        }
    };
    // Where it ends for good or bad, that is who is concerned.
    if let Some(last) = findings.last_mut() {
        last.found.push_str(&used_by(&used.sites));
    }
    findings
}

fn used_by(sites: &BTreeSet<String>) -> String {
    let named = sites.iter().take(MOST_SITES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match sites.len().saturating_sub(MOST_SITES) {
        0 if sites.is_empty() => String::new(),
        0 => format!("; for {named}"),
        more => format!("; for {named} and {more} more"),
    }
}

fn verdicts(address: &UpstreamAddress, examination: &Examination) -> Vec<Finding> {
    let of = address.to_string();
    let tried = match &examination.found {
        Ok(tried) => tried,
        Err(error) => {
            let remedy = "correct the name, or the name server of this machine; in a container, see whether both are on one \
                          network";
            return vec![Finding::failed("upstream.dns", of, told(error), remedy)];
        }
    };
    let mut findings = Vec::new();
    if examination.name().is_some() {
        let places: Vec<_> = tried.iter().filter_map(|tried| tried.at).map(|at| at.ip().to_string()).collect();
        findings.push(Finding::ok("upstream.dns", &of, places.join(", ")));
    }
    findings.push(reached(&of, tried));
    findings.extend(encrypted(&of, tried).filter(|_| examination.is_encrypted()));
    findings
}

/// Where something accepts connections, whatever it speaks.
fn reached(of: &str, tried: &[Tried]) -> Finding {
    const CHECK: &str = "upstream.connect";
    let lost: Vec<(&Tried, &ConnectError)> = tried
        .iter()
        .filter_map(|tried| Some((tried, tried.outcome.as_ref().err()?)))
        .filter(|(_, error)| !matches!(error, ConnectError::Tls(_)))
        .collect();
    let told = lost.iter().map(|(tried, error)| format!("{}{}", place(tried), told(*error)));
    let told = told.collect::<Vec<_>>().join("; ");
    match lost.first() {
        None => Finding::ok(CHECK, of, "accepts connections"),
        Some((_, error)) if lost.len() == tried.len() => Finding::failed(CHECK, of, told, remedy::of_socket(*error)),
        Some((_, error)) => {
            let remedy = format!("requests go round it: {}", remedy::of_socket(*error));
            Finding::warning(CHECK, of, told, remedy)
        }
    }
}

/// Whether TLS stands where something accepts connections. `None`: nothing does.
fn encrypted(of: &str, tried: &[Tried]) -> Option<Finding> {
    const CHECK: &str = "upstream.tls";
    let refused = |tried: &&Tried| matches!(tried.outcome, Err(ConnectError::Tls(_)));
    if let Some((tried, error)) =
        tried.iter().find(refused).and_then(|tried| Some((tried, tried.outcome.as_ref().err()?)))
    {
        let remedy = remedy::of_tls(error, &KEYS);
        let remedy = remedy.unwrap_or_else(|| "see whether TLS is spoken there at all".to_owned());
        return Some(Finding::failed(CHECK, of, format!("{}{}", place(tried), told(error)), remedy));
    }
    let is_http2 = tried.iter().find_map(|tried| tried.outcome.as_ref().ok().copied())?;
    let speaks = if is_http2 { "HTTP/2" } else { "HTTP/1.1" };
    Some(Finding::ok(CHECK, of, format!("its certificate is good; {speaks}")))
}

fn place(tried: &Tried) -> String {
    tried.at.map(|at| format!("{at}: ")).unwrap_or_default()
}
