//! `issuers`: the provider, the client there, and further issuers whose tokens programs bring.

use std::collections::BTreeMap;

use super::NoWay;
use super::people::named;
use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};
use crate::commands::import::yaml::{self, Yaml};

/// What the other parts ask about the provider.
#[derive(Debug)]
pub(super) struct Provider {
    /// As oauth2-proxy calls it.
    pub(super) kind: String,
    /// The names of all issuers whose tokens count, the one that people sign in with first.
    pub(super) issuers: Vec<String>,
    /// The claims are those of the access token, not of the ID token.
    pub(super) by_access_token: bool,
}

/// Where the secret of the client is to be.
const SECRET: &str = "/run/secrets/usher_client";

pub(super) fn write(options: &mut Options, host: &str, yaml: &mut Yaml, notes: &mut Notes) -> Result<Provider, NoWay> {
    let given = options.take("provider");
    let kind = given.as_ref().map_or("google", Given::text).to_owned();
    let (issuer, origin) = issuer(options, &kind)?;
    let client = options.take("client_id").ok_or(NoWay::NoClient)?;
    let by_access_token = kind == "keycloak-oidc";
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let name: String = kind.chars().map(letter).collect();
    yaml.line("issuers:");
    yaml.of(format!("  {name}:"), given.map_or("the default of provider".to_owned(), |given| given.origin()));
    yaml.of(format!("    issuer: {}", yaml::text(&issuer)), origin);
    insecure(&issuer, yaml);
    yaml.of(format!("    client_id: {}", yaml::text(client.text())), client.origin());
    secret(options, yaml, notes);
    scopes(options, &kind, yaml, notes);
    parameters(options, yaml);
    audiences(options, &client, by_access_token, yaml, notes);
    authorities(options, yaml, notes);
    if let Some(url) = options.take("backend_logout_url") {
        let why = format!(
            "people who sign out are sent to the end_session_endpoint that discovery names: register \
             https://{host}/.usher/sign-out there. Another URL is not called"
        );
        notes.left_out(&url, why);
    }
    if kind != "google" && !options.peek("skip_claims_from_profile_url").is_some_and(Given::is_true) {
        let why = "claims that are not in the token are not fetched from the provider's userinfo endpoint: have the provider put \
                   those of groups and addresses into the token, or nobody meets a condition on them";
        notes.by_default("skip_claims_from_profile_url", why);
    }
    let mut issuers = vec![name];
    issuers.extend(of_programs(options, &issuer, yaml, notes));
    Ok(Provider { kind, issuers, by_access_token })
}

/// What `iss` says, and where that comes from.
fn issuer(options: &mut Options, kind: &str) -> Result<(String, String), NoWay> {
    let tenant = options.take("azure_tenant");
    let url = options.take("oidc_issuer_url");
    let others =
        ["bitbucket", "digitalocean", "facebook", "gitea", "github", "keycloak", "linkedin", "nextcloud", "sourcehut"];
    if others.contains(&kind) {
        return Err(NoWay::Provider(kind.to_owned()));
    }
    if let Some(url) = url {
        return Ok((url.text().to_owned(), url.origin()));
    }
    let of_kind = |issuer: &str| Ok((issuer.to_owned(), format!("of provider {kind}")));
    match (kind, tenant) {
        ("google", _) => of_kind("https://accounts.google.com"),
        ("gitlab", _) => of_kind("https://gitlab.com"),
        ("azure" | "entra-id", Some(tenant)) => match tenant.text() {
            every @ ("common" | "organizations" | "consumers") => Err(NoWay::EveryTenant(every.to_owned())),
            one => Ok((format!("https://login.microsoftonline.com/{one}/v2.0"), tenant.origin())),
        },
        ("azure" | "entra-id", None) => Err(NoWay::EveryTenant("common".to_owned())),
        _ => Err(NoWay::NoIssuer(kind.to_owned())),
    }
}

fn insecure(issuer: &str, yaml: &mut Yaml) {
    if issuer.starts_with("http://") {
        yaml.of("    insecure_http: true", "the issuer is reached over http://");
    }
}

/// A secret in place is never copied: a file is named, and a note says what belongs there.
fn secret(options: &mut Options, yaml: &mut Yaml, notes: &mut Notes) {
    let (inline, file) = (options.take("client_secret"), options.take("client_secret_file"));
    match (inline, file) {
        (_, Some(file)) => yaml.of(format!("    client_secret_file: {}", yaml::text(file.text())), file.origin()),
        (Some(inline), None) => {
            yaml.of(format!("    client_secret_file: {SECRET}"), inline.origin());
            notes.remains(format!("put the secret of the client, line {}, into {SECRET}", inline.line));
        }
        (None, None) => {
            yaml.of("    # no client_secret: a public client", "name a file as client_secret_file, if it has one");
        }
    }
}

fn scopes(options: &mut Options, kind: &str, yaml: &mut Yaml, notes: &mut Notes) {
    let refresh = options.take("cookie_refresh");
    let given = options.take("scope");
    let has_groups = options.peek("allowed_groups").is_some_and(|given| !named(given).is_empty());
    let default = match kind {
        "oidc" | "keycloak-oidc" | "entra-id" if has_groups => "openid email profile groups",
        _ => "openid email profile",
    };
    let scope = given.as_ref().map_or(default, Given::text);
    let mut words: Vec<&str> = scope.split_whitespace().collect();
    if !words.contains(&"openid") {
        words.insert(0, "openid");
    }
    let origin = given.as_ref().map_or("the default of scope".to_owned(), Given::origin);
    yaml.of(format!("    scopes: {}", yaml::list(words.iter().copied())), origin);
    if !words.contains(&"offline_access") {
        let why = "sessions here are as good as the provider's tokens, and are renewed with the refresh token. If people are \
                   signed out when the first token expires, add offline_access to scopes, or what your provider wants for one";
        match refresh {
            Some(refresh) => notes.left_out(&refresh, why),
            None => notes.by_default("cookie_refresh", why),
        }
    }
}

/// What the authorization request says besides.
fn parameters(options: &mut Options, yaml: &mut Yaml) {
    let given = [("prompt", "prompt"), ("acr_values", "acr_values"), ("resource", "resource")];
    let given: Vec<_> = given.into_iter().filter_map(|(name, key)| Some((options.take(name)?, key))).collect();
    if given.is_empty() {
        return;
    }
    yaml.line("    authorization_parameters:");
    for (given, key) in given {
        yaml.of(format!("      {key}: {}", yaml::text(given.text())), given.origin());
    }
}

/// oauth2-proxy reads the claims of the ID token, but with Keycloak those of the access token.
fn audiences(options: &mut Options, client: &Given, by_access_token: bool, yaml: &mut Yaml, notes: &mut Notes) {
    let extra = options.take("oidc_extra_audiences");
    if by_access_token {
        let audiences = std::iter::once(client.text()).chain(extra.iter().flat_map(Given::list));
        yaml.of(
            format!("    audiences: {}", yaml::list(audiences)),
            "of the access token: an audience mapper puts it there",
        );
        return;
    }
    yaml.of("    identity: id_token", "the token that oauth2-proxy reads the claims of");
    if let Some(extra) = extra {
        notes.left_out(
            &extra,
            "an ID token counts here for the client itself only; take identity out and write audiences of the \
                                access token, if that is a JWT",
        );
    }
}

fn authorities(options: &mut Options, yaml: &mut Yaml, notes: &mut Notes) {
    let Some(given) = options.take("provider_ca_files") else { return };
    match given.list().as_slice() {
        [one] => yaml.of(format!("    ca_file: {}", yaml::text(one)), given.origin()),
        _ => notes.left_out(&given, "there is one ca_file here: put the certificates into one file, and name it"),
    }
}

/// Issuers whose tokens programs bring, beside the one that people sign in with.
fn of_programs(options: &mut Options, main: &str, yaml: &mut Yaml, notes: &mut Notes) -> Vec<String> {
    let skip = options.take("skip_jwt_bearer_tokens");
    let extra = options.take("extra_jwt_issuers");
    if !skip.as_ref().is_some_and(Given::is_true) {
        if let Some(extra) = extra {
            notes.left_out(&extra, "counts with skip_jwt_bearer_tokens only, and did not before either");
        }
        let why = "tokens of the provider that programs bring as Authorization: Bearer count here; oauth2-proxy did not look at \
                   them. They are verified as ever, and are for this client";
        notes.by_default("skip_jwt_bearer_tokens", why);
        return Vec::new();
    }
    let Some(extra) = extra else { return Vec::new() };
    let mut audiences: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for pair in extra.list() {
        match pair.rsplit_once('=') {
            Some((issuer, _)) if issuer == main => {
                notes.left_out(&extra, "names the provider itself with another audience: an issuer is there once");
            }
            Some((issuer, audience)) => audiences.entry(issuer).or_default().push(audience),
            None => notes.left_out(&extra, "has an entry that is not issuer=audience"),
        }
    }
    let mut names = Vec::new();
    for (index, (issuer, audiences)) in audiences.into_iter().enumerate() {
        let name = format!("programs-{}", index + 1);
        yaml.of(format!("  {name}:"), extra.origin());
        yaml.line(format!("    issuer: {}", yaml::text(issuer)));
        insecure(issuer, yaml);
        yaml.line(format!("    audiences: {}", yaml::list(audiences)));
        names.push(name);
    }
    names
}
