//! The issuers: name, connection, discovery document, key set, clock.

use std::time::Duration;

use tokio::runtime::Handle;
use url::{Host, Url};

use super::Trial;
use super::finding::{Finding, Verdict, told};
use super::names;
use super::remedy::{self, Keys};
use crate::clock::Clock;
use crate::config::{Access, Config, Issuer, IssuerId, KeySource, Refresh, Route, Unauthenticated};
use crate::issuer::{Answered, Examination, FetchError, Issuers, PublishedKeys, TransportError};
use crate::tasks::Tasks;

const KEYS: Keys = Keys { ca: "ca_file of the issuer", server_name: None };

/// A clock that is further off than any leeway that somebody would grant.
const FAR_OFF: Duration = Duration::from_secs(60);

/// Its name in the configuration.
fn name(issuer: &Issuer) -> String {
    issuer.name.to_string()
}

/// One for each.
pub(super) fn trials<'a>(config: &'a Config, clock: &'a Clock) -> impl Iterator<Item = Trial<'a>> {
    let routes = || config.sites.iter().flat_map(|site| &site.routes);
    let leads_to = |route: &Route, id| {
        route.access != Access::Public
            && route.unauthenticated != Unauthenticated::Status
            && route.issuers.contains(&id)
    };
    config.issuers.iter().enumerate().map(move |(index, issuer)| {
        let for_people = routes().any(|route| leads_to(route, IssuerId(index)));
        Trial::new("issuer", name(issuer), examine(issuer, for_people, clock))
    })
}

/// Asks one. Of an issuer that nobody signs in to, less is needed.
pub(super) async fn examine(issuer: &Issuer, for_people: bool, clock: &Clock) -> Vec<Finding> {
    let of = name(issuer);
    if issuer.local().is_some() {
        return vec![Finding::ok("issuer.keys", of, "Usher itself is the issuer: nothing is asked of anybody")];
    }
    let Some(url) = dialled(issuer, for_people) else {
        return vec![Finding::ok("issuer.keys", of, "in the configuration: nothing is asked of anybody")];
    };
    let issuers = match Issuers::new(std::slice::from_ref(issuer), &Tasks::new(Handle::current()), clock) {
        Ok(issuers) => issuers,
        Err(error) => {
            let remedy = "correct what the message names";
            return vec![Finding::failed("issuer.connect", of, told(&error), remedy)];
        }
    };
    let mut findings: Vec<_> = resolve(&of, &url).await.into_iter().collect();
    if findings.iter().any(|finding| finding.verdict == Verdict::Failed) {
        return findings;
    }
    if let Some(asked) = issuers.by_id(IssuerId(0)) {
        findings.extend(verdicts(issuer, &url, &asked.examine(for_people).await));
    }
    findings
}

/// What is asked first.
fn dialled(issuer: &Issuer, for_people: bool) -> Option<Url> {
    let introspected = issuer.introspection_endpoint();
    match (&issuer.keys, &issuer.refresh) {
        _ if introspected.is_some() && !for_people => introspected,
        (KeySource::Discovery { base }, _) => Some(base),
        (KeySource::JwksUrl(url), _) => Some(url),
        (_, Some(Refresh::TokenEndpoint(url))) => introspected.or(Some(url)),
        (_, Some(Refresh::Exchange(exchange))) => introspected.or(Some(&exchange.url)),
        (KeySource::PublicKey(_) | KeySource::Hmac(_) | KeySource::Local(_), Some(Refresh::Discovered) | None) => {
            introspected
        }
    }
    .cloned()
}

/// Where its name leads; `None` when it has none.
async fn resolve(of: &str, url: &Url) -> Option<Finding> {
    const CHECK: &str = "issuer.dns";
    let Some(Host::Domain(host)) = url.host() else { return None };
    Some(match names::resolve(host).await {
        Ok(addresses) => Finding::ok(CHECK, of, format!("{host}: {addresses}")),
        Err(error) => {
            let remedy = "correct the address, or the name server of this machine; where the issuer has another name inside, \
                          say that as backchannel_url";
            Finding::failed(CHECK, of, format!("{host} does not resolve: {error}"), remedy)
        }
    })
}

fn verdicts(issuer: &Issuer, url: &Url, found: &Examination) -> Vec<Finding> {
    let of = &name(issuer);
    let mut findings = connected(of, url, first_failure(found));
    if findings.iter().any(|finding| finding.verdict == Verdict::Failed) {
        return findings;
    }
    match &found.discovery {
        Some(Ok(lacking)) => findings.extend(discovered(issuer, lacking)),
        Some(Err(error)) => findings.extend(undiscovered(issuer, url, error)),
        None => {}
    }
    findings.extend(found.keys.as_ref().map(|keys| key_set(of, keys)));
    findings.extend(found.clock_ahead.map(|ahead| clock_difference(issuer, ahead)));
    for (check, endpoint) in [
        ("issuer.token_endpoint", &found.token_endpoint),
        ("issuer.introspection_endpoint", &found.introspection_endpoint),
    ] {
        findings.extend(endpoint.as_ref().map(|answered| answers(check, of, answered)));
    }
    findings
}

/// Why what was asked first got no connection.
fn first_failure(found: &Examination) -> Option<&TransportError> {
    let endpoint = found.introspection_endpoint.as_ref().or(found.token_endpoint.as_ref());
    let failed = match (&found.discovery, &found.keys, endpoint) {
        (Some(Err(FetchError::Transport(error))), ..) | (None, Some(Err(FetchError::Transport(error))), _) => {
            Some(error)
        }
        (None, None, Some((_, Err(error)))) => Some(error),
        _ => None,
    };
    failed.filter(|error| matches!(error, TransportError::Connect(_)))
}

fn connected(of: &str, url: &Url, failure: Option<&TransportError>) -> Vec<Finding> {
    let place = url.origin().ascii_serialization();
    let is_encrypted = url.scheme() == "https";
    let Some(error) = failure else {
        let mut findings = vec![Finding::ok("issuer.connect", of, &place)];
        findings.extend(is_encrypted.then(|| Finding::ok("issuer.tls", of, "its certificate is good")));
        return findings;
    };
    let told = format!("{place}: {}", told(error));
    vec![match remedy::of_tls(error, &KEYS) {
        Some(remedy) => Finding::failed("issuer.tls", of, told, remedy),
        None => Finding::failed("issuer.connect", of, told, remedy::of_socket(error)),
    }]
}

fn discovered(issuer: &Issuer, lacking: &[&str]) -> Vec<Finding> {
    let of = &name(issuer);
    let document = match lacking {
        [] => Finding::ok("issuer.discovery", of, "the document has everything that is needed"),
        lacking => {
            let found = format!("the document names no usable {}", lacking.join(", "));
            Finding::failed("issuer.discovery", of, found, "turn that on at the issuer, or do without it here")
        }
    };
    vec![document, Finding::ok("issuer.name", of, format!("is {} in the document too", issuer.issuer))]
}

fn undiscovered(issuer: &Issuer, url: &Url, error: &FetchError) -> Vec<Finding> {
    let of = &name(issuer);
    if let FetchError::OtherIssuer { found, .. } = error {
        let remedy = format!(
            "write issuer: {found} if that is who is meant, exactly so; where it is dialled by another address, that is \
             backchannel_url"
        );
        return vec![
            Finding::ok("issuer.discovery", of, "the document was fetched"),
            Finding::failed("issuer.name", of, told(error), remedy),
        ];
    }
    let told = told(error);
    let remedy = match error {
        FetchError::Status(_) | FetchError::ContentType | FetchError::Unreadable(_) => {
            format!("see that {url} is the issuer: its document is at /.well-known/openid-configuration below it")
        }
        FetchError::NoEndpoint(_) => "see that the document names https addresses where the issuer has one".to_owned(),
        _ => "see the issuer's log: it took the question and gave no whole answer".to_owned(),
    };
    vec![Finding::failed("issuer.discovery", of, told, remedy)]
}

fn key_set(of: &str, keys: &Result<PublishedKeys, FetchError>) -> Finding {
    const CHECK: &str = "issuer.keys";
    match keys {
        Ok(PublishedKeys { usable: 0, .. }) => {
            let remedy = "see that it publishes keys for signing, and that algorithms names theirs";
            Finding::failed(CHECK, of, "none of the published keys can be used", remedy)
        }
        Ok(PublishedKeys { usable, without_key }) => {
            let names: Vec<_> = without_key.iter().map(|algorithm| algorithm.name()).collect();
            let none = if names.is_empty() { String::new() } else { format!(", none for {}", names.join(", ")) };
            Finding::ok(CHECK, of, format!("{usable} can be used{none}"))
        }
        Err(error) => {
            let remedy = "see that the address of the keys is right and can be reached from here";
            Finding::failed(CHECK, of, told(error), remedy)
        }
    }
}

fn clock_difference(issuer: &Issuer, ahead: i64) -> Finding {
    const CHECK: &str = "issuer.clock";
    let of = name(issuer);
    let apart = Duration::from_secs(ahead.unsigned_abs());
    let found = match ahead {
        0 => "agrees with the one here".to_owned(),
        1.. => format!("is {} ahead of the one here", humantime::format_duration(apart)),
        _ => format!("is {} behind the one here", humantime::format_duration(apart)),
    };
    let remedy = "let both machines get their time from the network (NTP): tokens are refused as not valid yet, or count too \
                  long";
    if apart <= issuer.leeway.max(Duration::from_secs(1)) {
        Finding::ok(CHECK, of, found)
    } else if apart <= FAR_OFF {
        Finding::warning(CHECK, of, found, remedy)
    } else {
        Finding::failed(CHECK, of, found, remedy)
    }
}

/// Any answer shows that it is there: a `GET` is not what it is for.
fn answers(check: &'static str, of: &str, (url, answer): &Answered) -> Finding {
    let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
    match answer {
        Ok(status) if status.is_server_error() => {
            let remedy = "see the log of what answers there";
            Finding::warning(check, of, format!("{place} answers {status}"), remedy)
        }
        Ok(_) => Finding::ok(check, of, format!("{place} answers")),
        Err(error) => {
            let tls = remedy::of_tls(error, &KEYS);
            let remedy = tls.unwrap_or_else(|| remedy::of_socket(error).to_owned());
            Finding::failed(check, of, format!("{place}: {}", told(error)), remedy)
        }
    }
}
