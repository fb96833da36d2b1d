//! oauth2-proxy's configuration as one of ours.
//!
//! Each part takes the options that it understands; what is left then is told by [`left_out`]. The names of options are
//! those of its version 7.

mod durations;
mod identity;
mod left_out;
mod listening;
mod paths;
mod people;
mod provider;
mod routes;
mod session;
#[cfg(test)]
mod tests;

use std::io;

use url::Url;

use super::notes::Notes;
use super::options::Options;
use super::yaml::{self, Yaml};
use routes::Routes;

/// Where oauth2-proxy says nothing of the host, and nobody else does.
const SOME_HOST: &str = "app.example.com";

/// Why there is no configuration of ours that does what this one does. The operator's to put right.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWay {
    /// A provider that speaks a protocol of its own.
    #[error(
        "provider {0} is no OpenID provider, and Usher signs people in with OpenID Connect only: put one in between that knows \
         it, such as Keycloak or Dex, and import again with provider = \"oidc\" and its oidc_issuer_url"
    )]
    Provider(String),
    /// One that is, and does not say where.
    #[error("provider {0} needs oidc_issuer_url, which is missing: write what the provider says as iss")]
    NoIssuer(String),
    /// A tenant for everybody has no issuer of its own.
    #[error(
        "the tenant {0} is of all tenants, whose tokens have different issuers: write oidc_issuer_url of one tenant"
    )]
    EveryTenant(String),
    /// Nothing to be known by.
    #[error("client_id is missing: write the client that is registered at the provider")]
    NoClient,
}

/// Reads a file of addresses, which the options only name.
pub(super) type Emails<'f> = &'f dyn Fn(&str) -> io::Result<Vec<String>>;

/// The configuration, and what to tell beside it. `host` is that of the site, where the options do not say it.
pub(super) fn convert(mut options: Options, host: Option<&str>, emails: Emails<'_>) -> Result<(String, Notes), NoWay> {
    let (mut yaml, mut notes) = (Yaml::default(), Notes::default());
    let routes = Routes::of(&mut options, &mut notes);
    let is_asked = routes.is_without_upstream();
    if is_asked {
        notes.remains(
            "write allowed_groups=, allowed_emails= and allowed_email_domains= in the proxy's URL of /oauth2/auth as require of \
             routes: Usher reads no query of a question, and what they ask for would not be asked for any more",
        );
    }
    listening::write(&mut options, is_asked, &mut yaml, &mut notes);
    yaml.line("");
    let (host, origin) = site_host(&mut options, host, &mut notes);
    let provider = provider::write(&mut options, &host, &mut yaml, &mut notes)?;
    yaml.line("");
    session::write(&mut options, &mut yaml, &mut notes);
    yaml.line("");
    yaml.line("sites:");
    yaml.of(format!("  - host: {}", yaml::text(&host)), origin);
    yaml.line(format!("    issuer: {}", yaml::list(provider.issuers.iter().map(String::as_str))));
    identity::write(&mut options, &provider, is_asked, &mut yaml, &mut notes);
    people::write(&mut options, &provider, emails, &mut yaml, &mut notes);
    routes.write(&mut yaml);
    left_out::tell(options, &mut notes);
    Ok((yaml.text(), notes))
}

/// The host that people see, and where that comes from.
fn site_host(options: &mut Options, host: Option<&str>, notes: &mut Notes) -> (String, String) {
    let redirect = options.take("redirect_url");
    let url = redirect.as_ref().and_then(|given| Url::parse(given.text()).ok());
    let seen = url.as_ref().and_then(Url::host_str);
    let (host, origin) = match (host, seen, &redirect) {
        (Some(host), ..) => (host.to_owned(), "--host".to_owned()),
        (None, Some(host), Some(given)) => (host.to_owned(), given.origin()),
        _ => {
            notes.remains(format!(
                "write the host that people see in place of {SOME_HOST}, or import again with --host: oauth2-proxy answers for \
                 every host, and a site of Usher's for one; another host is another entry of sites"
            ));
            (SOME_HOST.to_owned(), "an example: write yours".to_owned())
        }
    };
    let port = url.and_then(|url| url.port()).map(|port| format!(":{port}")).unwrap_or_default();
    notes.remains(format!(
        "register https://{host}{port}/.usher/callback as a redirect URI of the client at the provider"
    ));
    (host, origin)
}
