//! `identity_headers` and the like: what the application is told.

use super::durations::{seconds, written};
use super::provider::Provider;
use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};
use crate::commands::import::yaml::{self, Yaml};

/// The claim of the address, unless another one is named.
pub(super) const EMAIL: &str = "email";

/// `is_asked`: another proxy asks, and passes on what the answer says.
pub(super) fn write(options: &mut Options, provider: &Provider, is_asked: bool, yaml: &mut Yaml, notes: &mut Notes) {
    headers(options, provider, is_asked, yaml, notes);
    let [id_token, set_id_token, access_token] =
        ["pass_authorization_header", "set_authorization_header", "pass_access_token"]
            .map(|name| options.take(name).filter(Given::is_true));
    let id_token = id_token.or(set_id_token.filter(|_| is_asked));
    if let Some(given) = &id_token {
        yaml.of("    forward_access_token: true", format!("{}; as Authorization: Bearer", given.origin()));
        if provider.by_access_token {
            notes.left_out(
                given,
                "the application gets the access token as Authorization: Bearer, and not the ID token",
            );
        }
    }
    if let Some(given) = access_token {
        let why = "there is no X-Forwarded-Access-Token; with forward_access_token: true, and without identity: id_token, the \
                   application gets the access token as Authorization: Bearer";
        notes.left_out(&given, why);
    }
    let [basic, password] = ["pass_basic_auth", "basic_auth_password"].map(|name| options.take(name));
    if let Some(password) = password
        && basic.is_none_or(|given| given.is_true())
    {
        let why = "the name of the user is not sent as Basic credentials; read it from a header, or send fixed ones with \
                   upstream_authorization: { basic: { username: …, password_file: … } }";
        notes.left_out(&password, why);
    }
    if let Some(host) = options.take("pass_host_header").filter(|given| !given.is_true()) {
        let why = "the application gets the host that people see; write rewrite_host with the one that it expects";
        notes.left_out(&host, why);
    }
    if let Some(time) = options.take("upstream_timeout") {
        match seconds(time.text()) {
            Some(seconds @ 1..) => {
                yaml.of(format!("    timeouts: {{ response: {} }}", written(seconds)), time.origin());
            }
            _ => notes.left_out(&time, "is no duration in whole seconds; write timeouts: { response: … }"),
        }
    }
}

fn headers(options: &mut Options, provider: &Provider, is_asked: bool, yaml: &mut Yaml, notes: &mut Notes) {
    let passed = options.take("pass_user_headers");
    // Either of the two passes them, and both do by default.
    let is_on = |given: Option<&Given>| given.is_none_or(Given::is_true);
    let is_said = is_on(passed.as_ref()) || is_on(options.peek("pass_basic_auth"));
    let asked = options.take("set_xauthrequest").filter(Given::is_true);
    let prefer_email = options.take("prefer_email_to_user").filter(Given::is_true);
    let email_claim = email_claim(options);
    let user = if prefer_email.is_some() { email_claim.clone() } else { "sub".to_owned() };
    // The claims are asked for again by the conditions on them.
    let groups = options.peek("oidc_groups_claim").map_or("groups".to_owned(), |given| claim(given.text()));
    let prefix = match (is_asked, &asked) {
        (true, Some(_)) => "X-Auth-Request",
        (false, _) if is_said => "X-Forwarded",
        _ => return,
    };
    if let Some(given) = asked.as_ref().filter(|_| !is_asked) {
        notes.left_out(
            given,
            "nobody reads who somebody is in answers: the application gets it in X-Forwarded-User and its kin",
        );
    }
    let given = asked.filter(|_| is_asked).or(passed.filter(Given::is_true));
    let origin = given.map_or("the default of pass_user_headers".to_owned(), |given| given.origin());
    yaml.of("    identity_headers:", origin);
    let names = [("User", user), ("Email", email_claim), ("Groups", groups)];
    for (name, claim) in names {
        yaml.line(format!("      {prefix}-{name}: {}", yaml::text(&claim)));
    }
    yaml.line(format!("      {prefix}-Preferred-Username: preferred_username"));
    let other = match &*provider.kind {
        "gitlab" if prefer_email.is_none() => {
            "User was the nickname at GitLab, and is sub, a number: the token has no nickname"
        }
        "keycloak-oidc" => {
            "Groups had roles beside the groups, as role:…: name a header of your own for realm_access.roles"
        }
        _ => return,
    };
    notes.about(format!("{prefix}-…"), other);
}

/// The claim that says the address, to whoever asks about it.
pub(super) fn email_claim(options: &Options) -> String {
    // The older name counts where the other one says nothing of its own.
    let named = |name| options.peek(name).map(Given::text).filter(|text| !["", EMAIL].contains(text));
    claim(named("oidc_email_claim").or_else(|| named("user_id_claim")).unwrap_or(EMAIL))
}

/// A claim as ours are written: a name that is a URL has dots of its own.
pub(super) fn claim(name: &str) -> String {
    if name.contains("://") { name.replace('.', "\\.") } else { name.to_owned() }
}
