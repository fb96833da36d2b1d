//! `identity`: which token says who somebody is, for whom it must be meant, and how the issuer is asked about it.

use super::super::values::{endpoint, text};
use super::super::{Check, KeyPath};
use crate::config::file::{self, Identity};
use crate::config::{Client, ClientAuthentication, IdentityToken, Introspection, KeySource, defaults};

/// A revocation at the issuer must not take longer than this to hold.
const LONGEST_CACHE: std::time::Duration = std::time::Duration::from_secs(600);

impl Check<'_> {
    /// The token and its audiences.
    pub(super) fn identity(
        &mut self,
        at: &KeyPath,
        mirror: &file::Issuer,
        (keys, client): (Option<&KeySource>, Option<&Client>),
    ) -> (IdentityToken, Vec<String>) {
        let identity = mirror.identity.unwrap_or_default();
        let audiences = match identity {
            Identity::AccessToken | Identity::Introspection => {
                self.audiences(&at.key("audiences"), mirror.audiences.as_deref())
            }
            Identity::IdToken => self.client_as_audience(at, mirror),
        };
        let identity = match identity {
            Identity::Introspection => IdentityToken::Introspected(self.introspection(at, mirror, (keys, client))),
            Identity::AccessToken | Identity::IdToken => {
                self.only_for_introspection(at, mirror);
                if identity == Identity::IdToken { IdentityToken::IdToken } else { IdentityToken::AccessToken }
            }
        };
        (identity, audiences)
    }

    fn introspection(
        &mut self,
        at: &KeyPath,
        mirror: &file::Issuer,
        (keys, client): (Option<&KeySource>, Option<&Client>),
    ) -> Introspection {
        let identity = &at.key("identity");
        let depends = ["client_id", "client_secret", "client_secret_file", "client_key_file", "client_authentication"];
        let depends = depends.map(|key| at.key(key));
        let is_nobody = |client: &Client| client.authentication == ClientAuthentication::None;
        if client.is_none_or(is_nobody) && mirror.client_key_file.is_none() {
            // RFC 7662 §2.1: else anybody could try tokens there.
            let remedy = "add client_id and client_secret_file: an issuer answers nobody else about tokens";
            self.report.conflict(identity, &depends, "needs a client with a secret or a key", remedy);
        }
        if mirror.token_type.is_some() {
            let remedy = "take token_type out: it is about the header of a JWT, which nobody looks at";
            self.report.problem(&at.key("token_type"), "is given beside identity: introspection", remedy);
        }
        let url = mirror.introspection_endpoint.as_deref();
        let insecure_http = mirror.insecure_http.unwrap_or(false);
        let at_endpoint = at.key("introspection_endpoint");
        let is_discovered = matches!(keys, None | Some(KeySource::Discovery { .. }));
        if url.is_none() && !is_discovered {
            let remedy = "write where the issuer is asked about tokens (RFC 7662)";
            self.report.absent(&at_endpoint, "is missing, and there is no discovery", remedy);
        }
        let cache = mirror.introspection_cache.map_or(defaults::INTROSPECTION_CACHE, |given| given.0);
        if cache > LONGEST_CACHE {
            let message = "is longer than 10m: a token would count for so long after it was revoked";
            self.report.problem(&at.key("introspection_cache"), message, "30s is right for most");
        }
        let endpoint = url.and_then(|url| self.issuer_url(at, &at_endpoint, endpoint(url, insecure_http)));
        Introspection { endpoint, cache }
    }

    fn only_for_introspection(&mut self, at: &KeyPath, mirror: &file::Issuer) {
        for (key, is_given) in [
            ("introspection_endpoint", mirror.introspection_endpoint.is_some()),
            ("introspection_cache", mirror.introspection_cache.is_some()),
        ] {
            if is_given {
                let remedy = "add identity: introspection, or take it out";
                self.report.lacks(&at.key(key), &[at.key("identity")], "is for identity: introspection", remedy);
            }
        }
    }

    fn audiences(&mut self, at: &KeyPath, mirror: Option<&[String]>) -> Vec<String> {
        let remedy = "write what the aud claim of the tokens says, as in audiences: [usher]";
        let Some(audiences) = mirror else {
            self.report.absent(at, "is missing: tokens for other applications would count too", remedy);
            return Vec::new();
        };
        self.each(at, audiences, |audience| text(audience), remedy)
    }

    /// An ID token is meant for the client that has asked for it (OIDC Core §2), and for nobody else.
    fn client_as_audience(&mut self, at: &KeyPath, mirror: &file::Issuer) -> Vec<String> {
        if mirror.audiences.is_some() {
            let remedy = "take audiences out: that of an ID token is the client_id";
            self.report.problem(&at.key("audiences"), "is given beside identity: id_token", remedy);
        }
        if mirror.client_id.is_none() {
            self.report.lacks(&at.key("identity"), &[at.key("client_id")], "needs a client_id", "add client_id");
        }
        // OIDC Core §3.1.2.1: it is this word that asks for one.
        if mirror.scopes.as_ref().is_some_and(|words| !words.iter().any(|word| word == "openid")) {
            self.report.problem(&at.key("scopes"), "ask for no ID token", "add openid");
        }
        mirror.client_id.iter().cloned().collect()
    }
}
