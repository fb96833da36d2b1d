//! `usher doctor`: tries everything that a configuration depends on, and says of each what was found and what to do about it.
//!
//! It asks by the code that serves, reads what serving reads, and changes nothing: no port is bound, no database of a running
//! gateway is opened (what it keeps is looked at in a copy), no token is presented. What is written to see whether that is possible goes again: a file in the state
//! directory at once, a key in Redis within a second. Everything is tried at once, each within a bound, and all within another.

mod authority;
mod collector;
mod finding;
mod issuers;
mod names;
mod own;
mod remedy;
mod sites;
mod store;
mod text;
mod upstreams;

use std::io::Write;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use self::finding::{Finding, Verdict};
use super::Failure;
use super::check::{self, CheckError};
use super::source::Output;
use crate::clock::Clock;
use crate::config::Loaded;

pub use super::check::Args;

/// What one thing may take, and all of them.
const EACH: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(30);
/// How many are tried at once.
const AT_ONCE: usize = 32;

/// What scripts get.
#[derive(Serialize)]
struct Report<'a> {
    /// The worst of all.
    verdict: Verdict,
    checks: &'a [Finding],
}

/// Tries everything, and writes what was found to `out`.
///
/// # Errors
///
/// Something has failed, or whoever is strict was warned (1); the configuration does not count (78); an output that cannot be
/// written.
pub async fn run(args: &Args, clock: &Clock, out: &mut dyn Write) -> Result<(), Failure> {
    let loaded = check::load(&args.source.sources(), args.output, out)?;
    let findings = examine(&loaded, clock).await;
    let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    match args.output {
        Output::Text => text::write(&findings, out),
        Output::Json => check::json(&Report { verdict, checks: &findings }, out),
    }
    .map_err(CheckError::from)?;
    let tolerated = if args.strict { Verdict::Note } else { Verdict::Warning };
    if verdict > tolerated { Err(Failure::told(Failure::WORLD)) } else { Ok(()) }
}

/// Something that is tried.
struct Trial<'a> {
    /// What it is called when it comes to no end.
    check: &'static str,
    of: String,
    work: BoxFuture<'a, Vec<Finding>>,
}

impl<'a> Trial<'a> {
    fn new(check: &'static str, of: impl Into<String>, work: impl Future<Output = Vec<Finding>> + Send + 'a) -> Self {
        Self { check, of: of.into(), work: work.boxed() }
    }

    async fn within(self, deadline: Instant) -> Vec<Finding> {
        let deadline = deadline.min(Instant::now() + EACH);
        timeout_at(deadline, self.work).await.unwrap_or_else(|_| {
            let remedy = "see whether what it leads to, or a name server on the way, hangs";
            vec![Finding::failed(self.check, self.of, "came to no end in time, and was given up", remedy)]
        })
    }
}

/// What was found, in the order of the configuration.
async fn examine(loaded: &Loaded, clock: &Clock) -> Vec<Finding> {
    let Loaded { config, notes, .. } = loaded;
    let mut findings = own::configuration(config, notes);
    findings.extend(sites::cookies(config));
    findings.extend(own::client_certificates(config, clock.now()));
    let mut trials = vec![
        Trial::new("certificate", "", own::certificates(config, clock.now())),
        Trial::new("state_directory", "", own::state_directory(config)),
        Trial::new("session.store", "", store::examine(&config.session, clock)),
    ];
    trials.extend(authority::trial(config));
    trials.extend(issuers::trials(config, clock));
    trials.extend(upstreams::trials(config, clock));
    trials.extend(sites::trials(config));
    trials.extend(collector::trial(config));
    let deadline = Instant::now() + ALL;
    let mut found = stream::iter(trials).map(|trial| trial.within(deadline)).buffered(AT_ONCE);
    while let Some(more) = found.next().await {
        findings.extend(more);
    }
    findings
}
