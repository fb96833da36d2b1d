//! The applications: where their names lead, what accepts connections there, and whether TLS stands.

use std::time::Duration;

use super::Trial;
use super::finding::{Finding, told};
use super::remedy::{self, Keys};
use crate::clock::Clock;
use crate::config::{Config, Upstream, UpstreamAddress};
use crate::forwarding::{ConnectError, Examination, Tried, Upstreams};

const KEYS: Keys = Keys { ca: "ca_file of the upstream", server_name: Some("server_name") };

/// Nobody waits longer for a connection than this, whatever a route allows.
const PATIENCE: Duration = Duration::from_secs(4);

/// One for each upstream.
pub(super) fn trials<'a>(config: &'a Config, clock: &'a Clock) -> Vec<Trial<'a>> {
    let routes = || config.sites.iter().flat_map(|site| &site.routes);
    let limit = |index| {
        let its = routes().filter(|route| route.upstream.is_some_and(|id| id.0 == index));
        its.map(|route| route.timeouts.connect).max().unwrap_or(PATIENCE).min(PATIENCE)
    };
    let trial = |(index, upstream)| Trial::new("upstream", addresses(upstream), examine(upstream, limit(index), clock));
    config.upstreams.iter().enumerate().map(trial).collect()
}

fn addresses(upstream: &Upstream) -> String {
    upstream.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn examine(upstream: &Upstream, limit: Duration, clock: &Clock) -> Vec<Finding> {
    match Upstreams::new(std::slice::from_ref(upstream), clock) {
        Ok(upstreams) => {
            let found = upstreams.examine(limit).await;
            upstream.addresses.iter().zip(&found).flat_map(|(address, found)| verdicts(address, found)).collect()
        }
        Err(error) => {
            let remedy = "correct ca_file, client_certificate or client_key of the upstream";
            vec![Finding::failed("upstream.tls", addresses(upstream), told(&error), remedy)]
        }
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
