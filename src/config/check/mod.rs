//! From the mirror of the file to the checked types: what the values mean, what is missing, what contradicts what.
//!
//! Nothing here stops at a mistake. A value that is wrong is reported and left out; because a report with problems never
//! becomes a configuration, what stands in its place does not matter.

mod acme;
mod admin;
mod client_certificates;
mod files;
mod issuers;
mod listen;
mod operation;
mod revocation_lists;
mod secrets;
mod session;
mod sites;
mod store;
mod traces;
mod translations;
mod values;

use std::path::Path;

use super::file::File;
use super::path::KeyPath;
use super::report::{Advice, Report};
use super::{Config, Cookies, Session, SessionStore};

use acme::Around;
use issuers::CheckedIssuers;

pub(super) use issuers::{algorithm_names, client_key_algorithm_names, own_host, users_of};

/// What every check needs.
struct Check<'a> {
    report: &'a mut Report,
    /// What relative paths are relative to.
    directory: &'a Path,
}

/// Why a value is not what it should be, and how to put it right.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    message: String,
    advice: String,
}

impl Mistake {
    fn new(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { message: message.into(), advice: advice.into() }
    }
}

impl Check<'_> {
    /// The value, or a problem at `at`.
    fn accept<T>(&mut self, at: &KeyPath, result: Result<T, Mistake>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.report.problem(at, mistake.message, mistake.advice);
                None
            }
        }
    }

    /// The value of a key that must be there, or a problem.
    fn needed<U>(
        &mut self,
        at: &KeyPath,
        given: Option<&str>,
        parse: impl Fn(&str) -> Result<U, Mistake>,
        remedy: &str,
    ) -> Option<U> {
        let Some(given) = given else {
            self.report.absent(at, "is missing", remedy);
            return None;
        };
        self.accept(at, parse(given))
    }

    /// Nothing is kept on disk: what that means where it means anything.
    fn without_state(&mut self, at: &KeyPath, file: &File, issuers: &CheckedIssuers<'_>, session: &Session) {
        for name in issuers.local_names() {
            let message = format!("is not set: a restart signs out everybody who has signed in with {name}");
            self.report.note(at, message);
        }
        let has_secret = file.session.as_ref().is_some_and(|keys| keys.secret.is_some() || keys.secret_file.is_some());
        let outlives_restart = has_secret || session.cookies != Cookies::Sealed;
        if outlives_restart && session.store == SessionStore::Memory && issuers.keep_sessions_of_others() {
            let message = "is not set: a restart forgets who has signed out, and a copy of their cookies counts again";
            self.report.note(at, message);
        }
    }

    /// The items that are right; a problem for each that is not, and one when the list is empty.
    fn each<T, U>(
        &mut self,
        at: &KeyPath,
        items: &[T],
        parse: impl Fn(&T) -> Result<U, Mistake>,
        remedy: &str,
    ) -> Vec<U> {
        if items.is_empty() {
            self.report.absent(at, "is an empty list", remedy);
        }
        let mut parsed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            parsed.extend(self.accept(&at.index(index), parse(item)));
        }
        parsed
    }
}

/// Checks everything. `None`, or anything at all, when the report has problems afterwards.
pub(super) fn check(file: &File, directory: &Path, report: &mut Report) -> Option<Config> {
    let root = KeyPath::root();
    let mut check = Check { report, directory };
    let trusted_proxies = check.trusted_proxies(file.trusted_proxies.as_deref().unwrap_or_default());
    let listen = check.listen(file.listen.as_ref(), &trusted_proxies);
    let issuers = check.issuers(file.issuers.as_ref(), file.sites.as_deref().unwrap_or_default());
    let sites = check.sites(file.sites.as_deref(), &issuers, !listen.verify.is_empty());
    check.addresses_of_local_issuers(&issuers, file.sites.as_deref().unwrap_or_default());
    check.client_certificates_need_tls(file.sites.as_deref().unwrap_or_default(), !listen.https.is_empty());
    let state_directory =
        file.state_directory.as_deref().and_then(|path| check.future_directory(&root.key("state_directory"), path));
    let around = Around { listen: &listen, sites: &sites.sites, state_directory: state_directory.as_deref() };
    let tls = check.tls(file.tls.as_ref(), &around);
    let session = check.session(file.session.as_ref(), &issuers, matches!(tls, super::Tls::SelfSigned))?;
    if file.state_directory.is_none() {
        check.without_state(&root.key("state_directory"), file, &issuers, &session);
    }
    let asserts = sites.sites.iter().flat_map(|site| &site.routes).any(|route| route.assertion);
    check.of_one_instance(&session.store, &issuers, asserts);
    let config = Config {
        issuers: issuers.checked(&session, state_directory.as_deref()),
        listen,
        tls,
        trusted_proxies,
        session,
        sites: sites.sites,
        client_certificates: sites.client_certificates,
        upstreams: sites.upstreams,
        identity_sets: sites.identity_sets,
        rate_limits: sites.rate_limits,
        reserved_headers: sites.reserved_headers,
        limits: check.limits(file.limits.as_ref()),
        log: check.log(file.log.as_ref()),
        tracing: check.tracing(file.tracing.as_ref()),
        shutdown: operation::shutdown(file.shutdown.as_ref()),
        pages: file.pages.as_deref().and_then(|path| check.directory(&root.key("pages"), path)),
        translations: check.translations(&root.key("translations"), file.translations.as_deref()),
        state_directory,
    };
    Some(config)
}
