//! `require`: who may.
//!
//! oauth2-proxy lets in whoever meets one condition on the address and one on the groups. Where ours cannot say the same, what
//! is written lets in fewer.

use super::Emails;
use super::identity::{EMAIL, claim, email_claim};
use super::provider::Provider;
use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};
use crate::commands::import::yaml::{self, Yaml};
use crate::oauth::EmailDomain;

/// An address that nobody has.
const NOBODY: &str = "nobody@usher.invalid";

/// Whether an address is verified.
const VERIFIED: &str = "email_verified";

/// What oauth2-proxy takes for `false`, as providers spell it; anything that says neither is false there too.
const FALSE: &str = "[false, 0, \"false\", \"False\", \"FALSE\", \"f\", \"F\", \"no\", \"No\", \"NO\", \"0\", \"\"]";

/// Conditions that are all to be met: the claim, the test, and where it comes from.
type Conditions = Vec<(String, Test, String)>;

enum Test {
    Any(Vec<String>),
    Domain(Vec<String>),
    NotFalse,
    /// Met by whatever a provider says, and there because something must be said where a domain is asked for.
    Whatever,
}

pub(super) fn write(
    options: &mut Options,
    provider: &Provider,
    emails: Emails<'_>,
    yaml: &mut Yaml,
    notes: &mut Notes,
) {
    let mut conditions = Conditions::new();
    let unverified = options.take("insecure_oidc_allow_unverified_email").filter(Given::is_true);
    // Google's addresses are looked at whatever the option says, and no other claim than the usual one, but for GitLab's.
    let is_looked_at = match &*provider.kind {
        "google" => true,
        "gitlab" => unverified.is_none(),
        _ => unverified.is_none() && email_claim(options) == EMAIL,
    };
    if is_looked_at {
        let origin = "as without insecure_oidc_allow_unverified_email".to_owned();
        conditions.push((VERIFIED.to_owned(), Test::NotFalse, origin));
    }
    addresses(options, emails, &mut conditions, notes);
    let has_domain = conditions.iter().any(|(claim, test, _)| claim == EMAIL && matches!(test, Test::Domain(_)));
    if let Some(unverified) = unverified.filter(|_| has_domain && !is_looked_at) {
        conditions.push((VERIFIED.to_owned(), Test::Whatever, unverified.origin()));
    }
    groups(options, provider, &mut conditions, notes);
    if !conditions.is_empty() {
        yaml.line("    require:");
    }
    for (claim, test, origin) in conditions {
        let test = match test {
            Test::Any(values) => format!("any: {}", yaml::list(values.iter().map(String::as_str))),
            Test::Domain(names) => format!("domain: {}", yaml::list(names.iter().map(String::as_str))),
            Test::NotFalse => format!("none: {FALSE}"),
            Test::Whatever => "none: [\"not looked at\"]".to_owned(),
        };
        yaml.of(format!("      {}: {{ {test} }}", yaml::text(&claim)), origin);
    }
}

/// Values of one claim are in one condition, in which any of them will do.
fn any<'v>(conditions: &mut Conditions, claim: &str, values: impl IntoIterator<Item = &'v str>, origin: String) {
    let values = values.into_iter().map(str::to_owned);
    for (known, test, _) in conditions.iter_mut() {
        if let Test::Any(already) = test
            && known == claim
        {
            already.extend(values);
            return;
        }
    }
    conditions.push((claim.to_owned(), Test::Any(values.collect()), origin));
}

fn addresses(options: &mut Options, emails: Emails<'_>, conditions: &mut Conditions, notes: &mut Notes) {
    let (domains, file) = (options.take("email_domains"), options.take("authenticated_emails_file"));
    let email = email_claim(options);
    drop(["oidc_email_claim", "user_id_claim"].map(|name| options.take(name)));
    match (domains, file) {
        (Some(domains), _) if domains.list().contains(&"*") => {
            let why = format!(
                "oauth2-proxy refuses the sign-in of people without {email}; here they sign in, and the application gets no \
                 address: require a claim or a group that they do not have, if there are such people"
            );
            notes.about("people without an address".to_owned(), why);
        }
        (domains, Some(file)) => {
            let listed = emails(file.text()).unwrap_or_default();
            if listed.is_empty() {
                let why =
                    "cannot be read here, or has no address in it: nobody is let in until you write them into require";
                notes.left_out(&file, why);
                any(conditions, &email, [NOBODY], file.origin());
            } else {
                let why = "is copied as it is, and compared letter for letter; add later addresses to require";
                notes.left_out(&file, why);
                any(conditions, &email, listed.iter().map(String::as_str), file.origin());
            }
            if let Some(domains) = domains {
                let why = "one of these domains would do beside the addresses; here the addresses decide alone";
                notes.left_out(&domains, why);
            }
        }
        (Some(given), None) => {
            let names = known_domains(&given, notes);
            if names.is_empty() {
                any(conditions, &email, [NOBODY], given.origin());
            } else {
                conditions.push((email, Test::Domain(names), given.origin()));
            }
        }
        (None, None) => {
            any(conditions, &email, [NOBODY], "there are no email_domains".to_owned());
            let why = "oauth2-proxy does not start without; take the condition on the address out of require to let in everybody whom \
                       the provider knows";
            notes.by_default("email_domains", why);
        }
    }
}

/// The domains that are domains here. What else is in the list lets in nobody there, or odd addresses that are refused here.
fn known_domains(given: &Given, notes: &mut Notes) -> Vec<String> {
    let mut names = Vec::new();
    for text in given.list() {
        let below = text.strip_prefix('*').filter(|below| below.starts_with('.'));
        match below.unwrap_or(text).parse::<EmailDomain>() {
            Ok(domain) => names.push(domain.to_string()),
            Err(_) => notes.left_out(
                given,
                format!("{text:?} is no domain: it lets in nobody; write names with dots between, in ASCII (xn--…)"),
            ),
        }
    }
    names
}

/// One of all these would do; here there is one condition for each claim, and all must be met.
fn groups(options: &mut Options, provider: &Provider, conditions: &mut Conditions, notes: &mut Notes) {
    let claim = options.take("oidc_groups_claim").map_or("groups".to_owned(), |given| claim(given.text()));
    let lists = ["allowed_groups", "google_groups", "google_group", "gitlab_groups"].map(|name| options.take(name));
    let lists: Vec<_> = lists.into_iter().flatten().filter(|given| !named(given).is_empty()).collect();
    let has_groups = !lists.is_empty();
    for given in lists {
        let is_gitlab = given.name == "gitlab_groups" && claim == "groups";
        any(conditions, if is_gitlab { "groups_direct" } else { &claim }, named(&given), given.origin());
        if is_gitlab {
            let why = "is compared with groups_direct of the ID token, which names no parents of groups";
            notes.left_out(&given, why);
        } else if provider.kind == "google" {
            notes.left_out(&given, "Google says no groups in its tokens: nobody is let in until a claim does");
        }
    }
    if let Some(projects) = options.take("gitlab_projects") {
        if has_groups {
            notes.left_out(
                &projects,
                "projects are in no token: the groups decide alone, where a project would do as well",
            );
        } else {
            any(conditions, "groups_direct", [NOBODY], projects.origin());
            let why = "projects are in no token: nobody is let in until you write a group in place of this condition";
            notes.left_out(&projects, why);
        }
    }
    let Some(given) = options.take("allowed_roles") else { return };
    if has_groups {
        notes.left_out(&given, "must be met beside the groups, where one of them was enough");
    }
    roles(&given, if provider.by_access_token { "realm_access.roles" } else { "roles" }, conditions, notes);
}

/// The groups of a list. One without a name is passed over, as it is there: where there are no others, nobody need be in one.
pub(super) fn named(given: &Given) -> Vec<&str> {
    given.list().into_iter().filter(|group| !group.is_empty()).collect()
}

/// `role` is of the realm, `client:role` of a client, which Keycloak says in another claim for each.
fn roles(given: &Given, realm: &str, conditions: &mut Conditions, notes: &mut Notes) {
    let roles: Vec<(Option<&str>, &str)> = given
        .list()
        .into_iter()
        .map(|role| role.split_once(':').map_or((None, role), |(client, role)| (Some(client), role)))
        .collect();
    let Some((client, _)) = roles.first() else { return };
    let (of_first, of_others): (Vec<_>, Vec<_>) = roles.iter().copied().partition(|(of, _)| of == client);
    let claim = match client {
        None => realm.to_owned(),
        Some(client) => format!("resource_access.{}.roles", client.replace('.', "\\.")),
    };
    any(conditions, &claim, of_first.into_iter().map(|(_, role)| role), given.origin());
    if !of_others.is_empty() {
        let why = format!(
            "roles of the realm and of clients are different claims here: those in {claim} decide alone, where others \
                           would do as well"
        );
        notes.left_out(given, why);
    }
}
