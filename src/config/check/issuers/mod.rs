//! `issuers`.

mod client;
mod exchange;
mod identity;
mod keys;
mod local;
mod parameters;
mod users;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use super::values::{cookie_name, text};
use super::{Check, KeyPath, Mistake};
use crate::config::file;
use crate::config::{Issuer, IssuerId, IssuerTransport, KeySource, Refresh, Session, defaults};

pub(in crate::config) use client::client_key_algorithm_names;
pub(in crate::config) use keys::algorithm_names;
pub(in crate::config) use local::own_host;
pub(in crate::config) use users::users_of;

/// The issuers, with what only the checks need to know of them.
pub(super) struct CheckedIssuers<'a> {
    /// In the order of their names, right or not, so that the rest of the file can be checked against their names.
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    name: &'a str,
    mirror: &'a file::Issuer,
    issuer: Option<Issuer>,
}

impl<'a> CheckedIssuers<'a> {
    /// The issuer of that name.
    pub(super) fn find(&self, name: &str) -> Option<IssuerId> {
        self.entries.iter().position(|entry| entry.name == name).map(IssuerId)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().map(|entry| entry.name)
    }

    /// The issuers with a login of the application.
    pub(super) fn logins(&self) -> impl Iterator<Item = (IssuerId, KeyPath, &'a file::Login)> {
        let login = |(index, entry): (usize, &Entry<'a>)| {
            let at = KeyPath::root().key("issuers").key(entry.name).key("login");
            entry.mirror.login.as_ref().map(|login| (IssuerId(index), at, login))
        };
        self.entries.iter().enumerate().filter_map(login)
    }

    /// Whether any issuer has sessions that Usher keeps in cookies.
    pub(super) fn keep_sessions(&self) -> bool {
        self.entries
            .iter()
            .filter_map(|entry| entry.issuer.as_ref())
            .any(|issuer| issuer.login.is_some() || issuer.refresh.is_some() || issuer.local().is_some())
    }

    /// Whether one of those who are not Usher itself has any.
    pub(super) fn keep_sessions_of_others(&self) -> bool {
        let others = self.entries.iter().filter(|entry| entry.mirror.local.is_none());
        let mut others = others.filter_map(|entry| entry.issuer.as_ref());
        others.any(|issuer| issuer.login.is_some() || issuer.refresh.is_some())
    }

    /// Whether the issuer is asked about its tokens.
    pub(super) fn introspects(&self, id: IssuerId) -> bool {
        self.entries.get(id.0).is_some_and(|entry| entry.mirror.identity == Some(file::Identity::Introspection))
    }

    /// Whether the issuer is Usher itself.
    pub(super) fn is_local(&self, id: IssuerId) -> bool {
        self.entries.get(id.0).is_some_and(|entry| entry.mirror.local.is_some())
    }

    /// Whether people can be sent to sign in with it. One that is broken may well be meant to.
    pub(super) fn signs_people_in(&self, id: IssuerId) -> bool {
        let issuer = self.entries.get(id.0).and_then(|entry| entry.issuer.as_ref());
        issuer.is_none_or(|issuer| issuer.sign_in().is_some())
    }

    /// The names of those that are Usher itself.
    pub(super) fn local_names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(|entry| entry.mirror.local.is_some()).map(|entry| entry.name)
    }

    /// The issuers that are right, and of the local ones what other parts of the file say.
    pub(super) fn checked(self, session: &Session, state_directory: Option<&Path>) -> Vec<Issuer> {
        let mut issuers: Vec<_> = self.entries.into_iter().filter_map(|entry| entry.issuer).collect();
        for issuer in &mut issuers {
            let state = state_directory.map(|directory| directory.join(format!("issuer-{}", issuer.name)));
            if let KeySource::Local(local) = &mut issuer.keys {
                local.refresh_token_lifetime = local.refresh_token_lifetime.min(session.absolute_timeout);
                local.refresh_grace = session.refresh_grace;
                local.state = state;
            }
        }
        issuers
    }
}

impl Check<'_> {
    pub(super) fn issuers<'f>(
        &mut self,
        mirror: Option<&'f BTreeMap<String, file::Issuer>>,
        sites: &[file::Site],
    ) -> CheckedIssuers<'f> {
        let at = KeyPath::root().key("issuers");
        let mut entries: Vec<Entry<'f>> = Vec::new();
        for (name, mirror) in mirror.into_iter().flatten() {
            let at = at.key(name);
            self.accept(&at, issuer_name(name));
            let twin = entries.iter().find(|other| mirror.issuer.is_some() && other.mirror.issuer == mirror.issuer);
            if let Some(twin) = twin {
                let message = format!("is also that of {}: a token could belong to either", twin.name);
                self.report.problem(&at.key("issuer"), message, "give each issuer its own iss");
            }
            let issuer = match &mirror.local {
                Some(local) => self.local_issuer(&at, name, mirror, local, sites),
                None => self.issuer(&at, name, mirror),
            };
            entries.push(Entry { name, mirror, issuer });
        }
        CheckedIssuers { entries }
    }

    fn issuer(&mut self, at: &KeyPath, name: &str, mirror: &file::Issuer) -> Option<Issuer> {
        let insecure_http = mirror.insecure_http.unwrap_or(false);
        let remedy = "write what the iss claim of the tokens says";
        let issuer = self.needed(&at.key("issuer"), mirror.issuer.as_deref(), text, remedy);
        let keys = self.keys(at, mirror, insecure_http);
        let algorithms = self.algorithms(at, mirror, keys.as_ref());
        let client = self.client(at, mirror);
        let discovered = matches!(keys, Some(KeySource::Discovery { .. }));
        let refresh = match &mirror.refresh {
            Some(refresh) => self.refresh(at, refresh, client.is_some(), insecure_http),
            None => (client.is_some() && discovered).then_some(Refresh::Discovered),
        };
        let (identity, audiences) = self.identity(at, mirror, (keys.as_ref(), client.as_ref()));
        let token_type = mirror.token_type.as_deref().and_then(|word| self.accept(&at.key("token_type"), text(word)));
        let leeway = self.leeway(&at.key("leeway"), mirror.leeway);
        let login = mirror.login.as_ref().and_then(|login| self.login(&at.key("login"), login));
        let transport = IssuerTransport {
            ca: mirror.ca_file.as_deref().and_then(|path| self.certificate_authorities(&at.key("ca_file"), path)),
            timeout: self.time(&at.key("timeout"), mirror.timeout, defaults::ISSUER_TIMEOUT),
            offline: false,
        };
        // Only now that everything has been looked at may something be missing.
        let (issuer, keys) = (issuer.unwrap_or_default(), keys?);
        let name = Arc::from(name);
        Some(Issuer {
            name,
            issuer,
            keys,
            client,
            identity,
            audiences,
            algorithms,
            token_type,
            leeway,
            refresh,
            login,
            transport,
        })
    }

    /// A URL of the issuer, or a problem, unless that may come from a broken `insecure_http`.
    fn issuer_url(&mut self, issuer: &KeyPath, at: &KeyPath, url: Result<Url, Mistake>) -> Option<Url> {
        let conflict = |mistake: Mistake| {
            let depends = [issuer.key("insecure_http")];
            self.report.conflict(at, &depends, mistake.message, mistake.advice);
        };
        url.map_err(conflict).ok()
    }

    /// RFC 7519 §4.1.4: "usually no more than a few minutes".
    fn leeway(&mut self, at: &KeyPath, given: Option<file::HumanDuration>) -> std::time::Duration {
        let leeway = given.map_or(defaults::LEEWAY, |given| given.0);
        if leeway.as_secs() > 300 {
            self.report.problem(at, "is longer than 5m: tokens would outlive their end", "set the clocks right");
        }
        leeway
    }

    /// The names of two cookies, which must differ.
    fn login_cookies(&mut self, at: &KeyPath, mirror: &file::LoginCookies) -> Option<(String, Option<String>)> {
        let remedy = "name the cookie with the access token";
        let access = self.needed(&at.key("access"), mirror.access.as_deref(), cookie_name, remedy);
        let refresh = mirror.refresh.as_ref().and_then(|name| self.accept(&at.key("refresh"), cookie_name(name)));
        if access.is_some() && access == refresh {
            self.report.problem(&at.key("refresh"), "is the same as access", "name the other cookie");
        }
        Some((access?, refresh))
    }
}

/// Names go into cookies' associated data, logs and environment variables.
fn issuer_name(name: &str) -> Result<(), Mistake> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(Mistake::new("is not a name for an issuer", "use lower-case letters, digits, hyphens and underscores"))
    }
}
