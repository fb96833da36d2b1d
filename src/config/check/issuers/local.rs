//! `issuers.NAME.local`: Usher as the issuer.

use std::sync::Arc;
use std::time::Duration;

use super::super::values::{base_url, host_pattern, text};
use super::super::{Check, KeyPath, Mistake};
use super::CheckedIssuers;
use crate::config::file;
use crate::config::{HostPattern, IdentityToken, Issuer, IssuerTransport, KeySource, LocalIssuer, defaults};
use crate::oauth::Algorithm;

/// A shorter life would be over before the next request; a longer one would make the keys stay published for days.
const ACCESS_TOKEN_LIFETIME: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(5)..=Duration::from_secs(24 * 3600);
/// The next key is published for an hour before it signs.
const SHORTEST_KEY_LIFETIME: Duration = Duration::from_secs(2 * 3600);

impl Check<'_> {
    pub(super) fn local_issuer(
        &mut self,
        at: &KeyPath,
        name: &str,
        mirror: &file::Issuer,
        local: &file::Local,
        sites: &[file::Site],
    ) -> Option<Issuer> {
        self.only_for_others(at, mirror);
        let inside = at.key("local");
        let issuer = match &mirror.issuer {
            // Others find the keys below it; whether it is reached by plain http is theirs to judge.
            Some(issuer) => self.accept(&at.key("issuer"), base_url(issuer, true).map(|_| issuer.clone())),
            None => own_host(name, sites).map(|host| format!("https://{host}/.usher/issuer")),
        };
        let audiences = match &mirror.audiences {
            Some(audiences) => {
                let remedy = "write what the aud claim of the tokens is to say, or take the key out";
                self.each(&at.key("audiences"), audiences, |audience| text(audience), remedy)
            }
            None => issuer.iter().cloned().collect(),
        };
        let leeway = self.leeway(&at.key("leeway"), mirror.leeway);
        let users = self.users(&inside.key("users_file"), local.users_file.as_deref());
        let access_token_lifetime =
            local.access_token_lifetime.map_or(defaults::ACCESS_TOKEN_LIFETIME, |given| given.0);
        if !ACCESS_TOKEN_LIFETIME.contains(&access_token_lifetime) {
            let remedy = "a few minutes are right: they are renewed quietly";
            self.report.problem(&inside.key("access_token_lifetime"), "must be between 5s and 1d", remedy);
        }
        let refresh_token_lifetime = self.time(
            &inside.key("refresh_token_lifetime"),
            local.refresh_token_lifetime,
            defaults::REFRESH_TOKEN_LIFETIME,
        );
        let signing_key_lifetime = local.signing_key_lifetime.map_or(defaults::SIGNING_KEY_LIFETIME, |given| given.0);
        if signing_key_lifetime < SHORTEST_KEY_LIFETIME {
            let remedy = "days or weeks are right";
            self.report.problem(&inside.key("signing_key_lifetime"), "must be at least 2h", remedy);
        }
        Some(Issuer {
            name: Arc::from(name),
            issuer: issuer?,
            keys: KeySource::Local(LocalIssuer {
                users: users?,
                access_token_lifetime,
                refresh_token_lifetime,
                signing_key_lifetime,
                refresh_grace: defaults::REFRESH_GRACE,
                state: None,
            }),
            client: None,
            audiences,
            algorithms: vec![Algorithm::ES256],
            identity: IdentityToken::AccessToken,
            token_type: Some("at+jwt".to_owned()),
            leeway,
            refresh: None,
            login: None,
            transport: IssuerTransport { ca: None, timeout: defaults::ISSUER_TIMEOUT, offline: false },
        })
    }

    /// Whatever is about an issuer elsewhere.
    fn only_for_others(&mut self, at: &KeyPath, mirror: &file::Issuer) {
        for (key, is_given) in [
            ("backchannel_url", mirror.backchannel_url.is_some()),
            ("client_id", mirror.client_id.is_some()),
            ("client_secret", mirror.client_secret.is_some()),
            ("client_secret_file", mirror.client_secret_file.is_some()),
            ("client_key_file", mirror.client_key_file.is_some()),
            ("client_authentication", mirror.client_authentication.is_some()),
            ("scopes", mirror.scopes.is_some()),
            ("end_session", mirror.end_session.is_some()),
            ("identity", mirror.identity.is_some()),
            ("introspection_endpoint", mirror.introspection_endpoint.is_some()),
            ("introspection_cache", mirror.introspection_cache.is_some()),
            ("algorithms", mirror.algorithms.is_some()),
            ("token_type", mirror.token_type.is_some()),
            ("jwks_url", mirror.jwks_url.is_some()),
            ("public_key_file", mirror.public_key_file.is_some()),
            ("hmac_secret", mirror.hmac_secret.is_some()),
            ("hmac_secret_file", mirror.hmac_secret_file.is_some()),
            ("insecure_http", mirror.insecure_http.is_some()),
            ("ca_file", mirror.ca_file.is_some()),
            ("timeout", mirror.timeout.is_some()),
            ("refresh", mirror.refresh.is_some()),
            ("login", mirror.login.is_some()),
        ] {
            if is_given {
                let message = "is about an issuer elsewhere, but local makes Usher the issuer";
                self.report.conflict(&at.key(key), &[at.key("local")], message, "take it out, or take local out");
            }
        }
    }

    /// A local issuer is found at the first site that uses it and whose host is no pattern. Told once the sites have been
    /// looked at: with a mistake there, there may be one after all.
    pub(in crate::config::check) fn addresses_of_local_issuers(
        &mut self,
        issuers: &CheckedIssuers<'_>,
        sites: &[file::Site],
    ) {
        let root = KeyPath::root();
        for entry in issuers.entries.iter().filter(|entry| entry.mirror.local.is_some()) {
            if entry.mirror.issuer.is_none() && own_host(entry.name, sites).is_none() {
                let at = root.key("issuers").key(entry.name).key("issuer");
                let message = "is missing, and no site with one host uses this issuer";
                let remedy = "write what the iss claim is to say, as in issuer: https://app.example.com/.usher/issuer";
                self.report.conflict(&at, &[at.clone(), root.key("sites")], message, remedy);
            }
        }
    }
}

/// The host of the first site that uses the local issuer of this name and whose host is no pattern.
pub(in crate::config) fn own_host(name: &str, sites: &[file::Site]) -> Option<String> {
    let names = |names: Option<&file::OneOrMany<String>>| {
        names.is_some_and(|names| names.values.iter().any(|named| named == name))
    };
    let uses = |site: &&file::Site| {
        let mut routes = site.routes.iter().flatten();
        names(site.keys().issuer) || routes.any(|route| names(route.keys().issuer))
    };
    let host = |site: &file::Site| match host_pattern(site.host.as_deref()?) {
        Ok(HostPattern::Exact(host)) => Some(host),
        Ok(HostPattern::OneLabel(_)) | Err(Mistake { .. }) => None,
    };
    sites.iter().filter(uses).find_map(host)
}
