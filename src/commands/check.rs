//! `usher check`: validates the configuration without serving, and shows the routes in the order in which they win.

use std::error::Error;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Failure;
use super::source::{Output, SourceArgs};
use super::{causes, table};
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Access, Config, ConfigError, Loaded, Note, Route, Sources};
use crate::{gateway, server};

/// Flags of `usher check`, and of `usher doctor`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// End with exit code 1 of a warning, too
    #[arg(long)]
    pub strict: bool,
}

/// Why a check did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The configuration does not count. The operator's mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The same, and the problems are on the output already.
    #[error("the configuration does not count")]
    Told,
    /// A file that the configuration names is not what it should be, which only using it shows. The operator's mistake.
    #[error("{key} cannot be used")]
    Unusable {
        /// The key that names it.
        key: &'static str,
        /// Why.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// Something looks wrong, which is on the output already, and whoever asked is strict.
    #[error("something looks wrong")]
    Suspicious,
    /// The output cannot be written: its reader went away.
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Config(error) => error.into(),
            CheckError::Unusable { .. } => Self::configuration(error),
            CheckError::Told => Self::told(Self::CONFIGURATION),
            CheckError::Suspicious => Self::told(Self::WORLD),
            CheckError::Output(error) => error.into(),
        }
    }
}

/// Checks the configuration, and writes what it says to `out`.
///
/// # Errors
///
/// Everything that is wrong with the configuration, or an output that cannot be written.
pub fn run(args: &Args, clock: &Clock, out: &mut dyn Write) -> Result<(), CheckError> {
    let warnings = check(&args.source.sources(), args.output, clock.now(), out)?;
    if args.strict && warnings > 0 { Err(CheckError::Suspicious) } else { Ok(()) }
}

/// Returns how much looks wrong.
fn check(sources: &Sources, output: Output, now: Timestamp, out: &mut dyn Write) -> Result<usize, CheckError> {
    let mut loaded = load(sources, output, out)?;
    match usable(&loaded.config, now) {
        Ok(warnings) => loaded.notes.extend(warnings),
        Err(CheckError::Unusable { key, cause }) if output == Output::Json => {
            let message = causes(&*cause).join(": ");
            json(&serde_json::json!({ "problems": [{ "path": key, "message": message }] }), out)?;
            return Err(CheckError::Told);
        }
        Err(error) => return Err(error),
    }
    let summary = Summary::of(&loaded);
    match output {
        Output::Text => text(&summary, out)?,
        Output::Json => json(&summary, out)?,
    }
    Ok(summary.warnings.len())
}

/// The configuration. What is wrong with it is on the output already where that is for scripts.
pub(super) fn load(sources: &Sources, output: Output, out: &mut dyn Write) -> Result<Loaded, CheckError> {
    match (config::load(sources), output) {
        (Ok(loaded), _) => Ok(loaded),
        (Err(error), Output::Text) => Err(error.into()),
        (Err(error), Output::Json) => {
            json(&error, out)?;
            Err(CheckError::Told)
        }
    }
}

/// What `usher serve` would find out next, by the same code, and what looks wrong about it.
fn usable(config: &Config, now: Timestamp) -> Result<Vec<Note>, CheckError> {
    const CERTIFICATES: &str = "tls.certificates";
    let unusable = |key, cause| CheckError::Unusable { key, cause };
    let warnings = server::certificate_warnings(config, now).map_err(|error| unusable(CERTIFICATES, error.into()))?;
    gateway::check_pages(config).map_err(|error| unusable("pages", error.into()))?;
    let warning = |path: String, message: String| Note { path, message, is_warning: true };
    let own = warnings.iter().map(|about| warning(CERTIFICATES.to_owned(), about.to_string()));
    let of_clients = config.client_certificate_warnings(now).into_iter().map(|about| {
        let site = config.sites.iter().position(|site| site.host == *about.host()).unwrap_or_default();
        warning(format!("sites[{site}].client_certificates"), about.to_string())
    });
    Ok(own.chain(of_clients).collect())
}

/// What a configuration says, in words.
#[derive(Debug, Serialize)]
struct Summary<'c> {
    sites: Vec<SiteSummary>,
    /// What looks wrong though it is valid.
    warnings: Vec<&'c Note>,
    notes: Vec<&'c Note>,
}

#[derive(Debug, Serialize)]
struct SiteSummary {
    host: String,
    /// Whether one is `required` or `asked for`.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate: Option<&'static str>,
    /// In winning order.
    routes: Vec<RouteSummary>,
}

#[derive(Debug, Serialize)]
struct RouteSummary {
    path: String,
    /// Empty: all but TRACE and CONNECT.
    methods: Vec<String>,
    access: String,
    issuers: Vec<String>,
    upstream: Vec<String>,
    conditions: Vec<String>,
    /// The issuer whose login this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
}

impl<'c> Summary<'c> {
    fn of(loaded: &'c Loaded) -> Self {
        let config = &loaded.config;
        let site = |site: &config::Site| SiteSummary {
            host: site.host.to_string(),
            client_certificate: config.client_certificates_of(&site.host).map(config::ClientCertificates::asks),
            routes: site.routes.iter().map(|route| RouteSummary::of(site, route, config)).collect(),
        };
        let (warnings, notes) = loaded.notes.iter().partition(|note| note.is_warning);
        Self { sites: config.sites.iter().map(site).collect(), warnings, notes }
    }
}

impl RouteSummary {
    fn of(site: &config::Site, route: &Route, config: &Config) -> Self {
        let certified = config.client_certificates_of(&site.host).filter(|terms| terms.identify());
        let certified = certified.filter(|_| route.access != Access::Public).map(|_| "client-certificate".to_owned());
        let issuer = |id: &config::IssuerId| config.issuers.get(id.0).map(|issuer| issuer.name.to_string());
        let upstream = route.upstream.and_then(|id| config.upstreams.get(id.0));
        Self {
            path: route.path.to_string(),
            methods: route.methods.iter().flatten().map(ToString::to_string).collect(),
            access: route.access.to_string(),
            issuers: route.issuers.iter().filter_map(issuer).chain(certified).collect(),
            upstream: upstream.into_iter().flat_map(|upstream| &upstream.addresses).map(ToString::to_string).collect(),
            conditions: conditions(route),
            login: route.login.as_ref().and_then(issuer),
        }
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        let or = |words: &[String], nothing: &str| match words {
            [] => nothing.to_owned(),
            words => words.join(", "),
        };
        let conditions = match &self.login {
            Some(issuer) => format!("login of {issuer}"),
            None => self.conditions.join("; "),
        };
        [
            self.path.clone(),
            or(&self.methods, "any"),
            self.access.clone(),
            or(&self.issuers, "-"),
            or(&self.upstream, "-"),
            conditions,
        ]
    }
}

/// Those on claims, and how somebody must have signed in.
fn conditions(route: &Route) -> Vec<String> {
    let authentication = (!route.authentication.is_any()).then(|| route.authentication.to_string());
    route.require.iter().map(ToString::to_string).chain(authentication).collect()
}

const COLUMNS: [&str; 6] = ["path", "methods", "access", "issuers", "upstream", "conditions"];
const HOST: Style = Style::new().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

fn text(summary: &Summary<'_>, out: &mut dyn Write) -> io::Result<()> {
    for site in &summary.sites {
        let certificate = site.client_certificate.map(|asks| format!("  client certificate {asks}"));
        writeln!(out, "{HOST}{}{HOST:#}{}", site.host, certificate.unwrap_or_default())?;
        let rows: Vec<_> = site.routes.iter().map(RouteSummary::cells).collect();
        table::write("  ", COLUMNS, &rows, out)?;
        writeln!(out)?;
    }
    for warning in &summary.warnings {
        writeln!(out, "{WARNING}warning{WARNING:#}: {warning}")?;
    }
    for note in &summary.notes {
        writeln!(out, "note: {note}")?;
    }
    let routes: usize = summary.sites.iter().map(|site| site.routes.len()).sum();
    writeln!(out, "The configuration is fine: {} site(s), {routes} route(s).", summary.sites.len())
}

pub(super) fn json(answer: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, answer)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;

    const YAML: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers:
  main: { issuer: https://id.example.com, audiences: [web] }
  spare: { issuer: https://spare.example.com, audiences: [web] }
sites:
  - host: app.example.com
    issuer: main
    upstream: http://app:8080
    routes:
      - path: /
      - { path: /admin/, methods: [GET, POST], require: { roles: { any: [admin, root] }, email_verified: true } }
      - { path: /pay/, require: { roles: user, acr: [gold, silver], max_age: 15m } }
      - { path: /assets/, access: public, upstream: [http://a, http://b] }
";

    fn checked(yaml: &str, output: Output) -> (String, Result<usize, CheckError>) {
        let mut out = Vec::new();
        let result =
            check(&Sources::text("usher.yaml", Format::Yaml, yaml, ""), output, Clock::system().now(), &mut out);
        (anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string(), result)
    }

    #[test]
    fn people_see_aligned_routes_in_winning_order_and_notes() {
        let (text, result) = checked(YAML, Output::Text);
        result.unwrap();
        let expected = "\
app.example.com
  path      methods    access    issuers  upstream                  conditions
  /assets/  any        public    -        http://a:80, http://b:80
  /admin/   GET, POST  required  main     http://app:8080           email_verified = true; roles any of admin, root
  /pay/     any        required  main     http://app:8080           roles = user; acr gold or silver, signed in within 15m
  /         any        required  main     http://app:8080

note: sites[0].routes[2].require: sends nobody to sign in for acr or max_age: no issuer here offers that, only programs can meet it
note: issuers.spare: is used by no route
The configuration is fine: 1 site(s), 4 route(s).
";
        assert_eq!(text, expected);
    }

    #[test]
    fn scripts_get_json_of_routes_and_of_problems() {
        let (text, result) = checked(YAML, Output::Json);
        result.unwrap();
        let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(summary["sites"][0]["routes"][1]["methods"][1], "POST");

        let (text, result) = checked(&YAML.replace("host:", "hots:"), Output::Json);
        assert!(matches!(result, Err(CheckError::Told)));
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["problems"][0]["path"], "sites[0].hots");
        assert_eq!(error["problems"][0]["line"], 8);
    }

    #[test]
    fn a_bad_file_leaves_the_output_to_the_error() {
        let (text, result) = checked("sites: []", Output::Text);
        assert_eq!(text, "");
        assert!(result.unwrap_err().to_string().contains("usher.yaml:1:1"));
    }
}
