//! `usher explain`: why a request would be decided about as it is, step by step, without sending anything to the application.
//!
//! The steps are the gateway's own ([`Gateway::explain`]). This is what asks for them, and what renders the answer. Nothing is
//! written and no token is spent; an issuer is asked for its keys, unless `--offline` says not to.

mod cookies;
mod input;
pub(super) mod logged;
pub(super) mod request;
mod text;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;
use tokio::runtime::Handle;

use super::Failure;
use super::source::{Output, SourceArgs};
use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::gateway::Gateway;
use crate::gateway::explain::{Decision, Explanation, Presented};
use crate::oauth::AccessToken;
use crate::printable::printable;
use crate::server::examine_client_certificate;
use crate::tasks::Tasks;
use input::Inputs;
use logged::{Compared, Logged};
use request::Asked;

/// Exit code of a command line that says nothing which could be explained, as clap has it.
const USAGE: u8 = 2;
/// Exit code of what cannot be known from here.
const UNKNOWN: u8 = 3;

/// Flags of `usher explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 the request reaches the application, or an endpoint of Usher's; 1 it is refused; 2 the \
    command line is wrong; 3 that cannot be known from here; 78 the configuration is wrong."
)]
pub struct Args {
    /// The method, as in GET
    #[arg(required_unless_present = "log")]
    pub method: Option<String>,
    /// The address.
    #[arg(required_unless_present = "log", help = "The address, as in https://app.example.com/admin/")]
    pub url: Option<String>,
    /// A bearer token. Others on this machine can see the command line: --token-file is better
    #[arg(long, value_parser = access_token, conflicts_with_all = ["token_file", "claims"])]
    pub token: Option<AccessToken>,
    /// A file with a bearer token; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "claims")]
    pub token_file: Option<PathBuf>,
    /// A JSON file of claims, or the JSON itself, taken as if a token with them had been verified; - reads standard input
    #[arg(long, value_name = "FILE|JSON")]
    pub claims: Option<PathBuf>,
    /// A cookie jar as curl writes it, or a file with a Cookie header; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub cookie_file: Option<PathBuf>,
    /// A PEM file with a client certificate, and those that lead to its authority; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// Another header of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The address that the request comes from
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<IpAddr>,
    /// Ask no issuer for its keys
    #[arg(long)]
    pub offline: bool,
    /// A line of the access log, as text or JSON, to be explained again by this configuration; - reads standard input
    #[arg(long, value_name = "LINE", conflicts_with_all = ["method", "url"])]
    pub log: Option<String>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What the command line says cannot be explained. Whoever wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The address is none.
    #[error("{} is not an address such as https://app.example.com/admin/", printable(.0))]
    Url(String),
    /// The method is none.
    #[error("{} is not a method", printable(.0))]
    Method(String),
    /// A header is none.
    #[error("--header {} is not NAME: VALUE", printable(.0))]
    Header(String),
    /// What is presented as a token cannot stand in a header.
    #[error("the token has characters that no header can carry")]
    Token,
    /// A file cannot be read.
    #[error("{what} cannot be read")]
    Read {
        /// Which.
        what: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard input is one thing only.
    #[error("standard input can be read for one flag only")]
    InputTwice,
    /// The claims are no JSON object.
    #[error("{what} is not a JSON object of claims")]
    Claims {
        /// Which.
        what: String,
        /// What the reader of JSON said, if it is none.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// The cookies are neither a jar nor a header.
    #[error("{0} is neither a cookie jar nor a Cookie header")]
    Cookies(String),
    /// There is no certificate.
    #[error("{0} is not a PEM file with a certificate")]
    Certificate(String),
    /// The line is not of the access log.
    #[error("that is not a line of the access log (target usher::access)")]
    Line,
    /// The line is of a request that was never read.
    #[error("the line does not say what was asked for, because the request could not be read: {}", printable(.0))]
    Unread(String),
}

impl From<ExplainError> for Failure {
    fn from(error: ExplainError) -> Self {
        Self::world(error).with_code(USAGE)
    }
}

/// What is printed: the explanation, and for a line of the log how it compares.
#[derive(Debug, Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a Compared>,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

/// Explains a request.
///
/// # Errors
/// A [`Failure`] whose exit code says what would become of the request, when that is not that it passes.
pub async fn run(args: &Args, clock: &Clock, out: &mut dyn Write) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    let Loaded { config, .. } = config::load(&args.source.sources())?;
    let logged = args.log.as_deref().map(|line| Logged::read(line, &mut inputs)).transpose()?;
    let asked = match &logged {
        Some(logged) => Asked::of_log(logged)?,
        None => Asked::of_url(args.method.as_deref().unwrap_or_default(), args.url.as_deref().unwrap_or_default())?,
    };
    let claims = args.claims.as_ref().map(|path| inputs.claims(path)).transpose()?;
    let bearer = match &args.token_file {
        Some(path) => Some(inputs.token(path)?),
        None => args.token.clone(),
    };
    let cookies = match &args.cookie_file {
        Some(path) => cookies::header(&inputs.text("--cookie-file", path)?, &asked, clock.now())
            .map_err(|_| ExplainError::Cookies(path.display().to_string()))?,
        None => None,
    };
    let shown = args.client_certificate.as_ref().map(|path| inputs.certificates(path)).transpose()?;
    let is_given = shown.is_some() || claims.is_some() || bearer.is_some() || cookies.is_some();
    let presented = match (claims, &logged) {
        (Some(claims), _) => Presented::Claims(claims),
        (None, Some(logged)) if !is_given => logged.presented(),
        (None, _) => Presented::AsSent,
    };
    let from = args.from.or_else(|| logged.as_ref().and_then(Logged::client));
    let (connection, notes) = asked.connection(&config, from);
    let request = asked.request(&args.headers, bearer.as_ref(), cookies.as_deref(), &connection)?;

    let tasks = Tasks::new(Handle::current());
    let gateway = Gateway::to_explain(config, args.offline, tasks, clock.clone()).map_err(|error| {
        if error.is_configuration() { Failure::configuration(error) } else { Failure::world(error) }
    })?;
    let connection = match shown.as_ref().and_then(|shown| shown.first()) {
        Some(own) => gateway.showing(connection, asked.host(), own),
        None => connection,
    };
    let mut explanation = gateway.explain(&connection, request, &presented).await;
    explanation.notes.splice(0..0, notes);
    if let Some((terms, shown)) = gateway.client_certificates_of(asked.host()).zip(shown)
        && let Err(refusal) = examine_client_certificate(terms, &shown, clock.now())
    {
        explanation.refuse_handshake(&format!("{}: {}", refusal.name(), refusal.remedy()));
    }
    let compared = logged.as_ref().map(|logged| logged.compare(&explanation));
    write(args.output, &Told { log: compared.as_ref(), explanation: &explanation }, out)?;
    match explanation.decision {
        Decision::Forwarded | Decision::Answered => Ok(()),
        Decision::Refused => Err(Failure::told(Failure::WORLD)),
        Decision::Unknown => Err(Failure::told(UNKNOWN)),
    }
}

fn write(output: Output, told: &Told<'_>, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Text => text::write(told.explanation, told.log, out),
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, told)?;
            writeln!(out)
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what clap wants of a parser")]
fn access_token(text: &str) -> Result<AccessToken, std::convert::Infallible> {
    Ok(AccessToken::new(text))
}
