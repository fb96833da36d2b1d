//! How an issuer's tokens are renewed, and how an application's own login hands them out.

use super::super::values::{canonical_path, endpoint, json_pointer, text};
use super::super::{Check, KeyPath};
use crate::config::file;
use crate::config::{ExchangeFormat, Login, LoginTokens, Refresh, RefreshExchange, TokenPointers, defaults};

impl Check<'_> {
    pub(super) fn refresh(
        &mut self,
        issuer: &KeyPath,
        mirror: &file::Refresh,
        has_client: bool,
        insecure_http: bool,
    ) -> Option<Refresh> {
        let at = issuer.key("refresh");
        match (&mirror.token_endpoint, &mirror.url) {
            (Some(_), Some(_)) => {
                self.report.problem(&at.key("url"), "is given beside token_endpoint", "keep one of the two");
                None
            }
            (Some(url), None) => {
                self.only_for_exchanges(&at, mirror);
                if !has_client {
                    let missing = [issuer.key("client_id")];
                    let remedy = "add client_id to the issuer";
                    self.report.lacks(&at.key("token_endpoint"), &missing, "needs a client", remedy);
                }
                self.issuer_url(issuer, &at.key("token_endpoint"), endpoint(url, insecure_http))
                    .map(Refresh::TokenEndpoint)
            }
            (None, Some(url)) => {
                let field = mirror.field.as_deref().unwrap_or(defaults::REFRESH_FIELD);
                let field = self.accept(&at.key("field"), text(field)).unwrap_or_default();
                let tokens = self.pointers(&at, mirror.access_token.as_deref(), mirror.refresh_token.as_deref());
                let url = self.issuer_url(issuer, &at.key("url"), endpoint(url, insecure_http));
                let send = mirror.send.unwrap_or(ExchangeFormat::Json);
                Some(Refresh::Exchange(RefreshExchange { url: url?, send, field, tokens: tokens? }))
            }
            (None, None) => {
                let depends = [at.key("token_endpoint"), at.key("url")];
                let remedy = "add url for an existing token service, or token_endpoint for OAuth";
                self.report.conflict(&at, &depends, "does not say where", remedy);
                None
            }
        }
    }

    /// RFC 6749 leaves nothing to choose.
    fn only_for_exchanges(&mut self, at: &KeyPath, mirror: &file::Refresh) {
        for (key, given) in [
            ("send", mirror.send.is_some()),
            ("field", mirror.field.is_some()),
            ("access_token", mirror.access_token.is_some()),
            ("refresh_token", mirror.refresh_token.is_some()),
        ] {
            if given {
                let message = "has no meaning at an OAuth token_endpoint";
                self.report.problem(&at.key(key), message, "take it out, or use url in place of token_endpoint");
            }
        }
    }

    fn pointers(&mut self, at: &KeyPath, access: Option<&str>, refresh: Option<&str>) -> Option<TokenPointers> {
        let access = access.unwrap_or(defaults::ACCESS_TOKEN_POINTER);
        let refresh = refresh.unwrap_or(defaults::REFRESH_TOKEN_POINTER);
        let access_token = self.accept(&at.key("access_token"), json_pointer(access));
        let refresh_token = self.accept(&at.key("refresh_token"), json_pointer(refresh));
        if access_token.is_some() && access_token == refresh_token {
            self.report.problem(&at.key("refresh_token"), "is the same as access_token", "point at the other token");
        }
        Some(TokenPointers { access_token: access_token?, refresh_token })
    }

    pub(super) fn login(&mut self, at: &KeyPath, mirror: &file::Login) -> Option<Login> {
        let remedy = "write the path that the login is posted to";
        let path = self.needed(&at.key("path"), mirror.path.as_deref(), canonical_path, remedy);
        if path.as_ref().is_some_and(|path| path.ends_with('/')) {
            self.report.problem(&at.key("path"), "ends in a slash, but is one path", "take the slash off");
        }
        let page = mirror.page.as_ref().and_then(|page| self.accept(&at.key("page"), canonical_path(page)));
        let tokens = match &mirror.cookies {
            Some(cookies) => {
                for (key, given) in [("access_token", &mirror.access_token), ("refresh_token", &mirror.refresh_token)] {
                    if given.is_some() {
                        self.report.problem(&at.key(key), "is given beside cookies", "keep one of the two");
                    }
                }
                let (access, refresh) = self.login_cookies(&at.key("cookies"), cookies)?;
                LoginTokens::Cookies { access, refresh }
            }
            None => {
                LoginTokens::Body(self.pointers(at, mirror.access_token.as_deref(), mirror.refresh_token.as_deref())?)
            }
        };
        Some(Login { path: path?, tokens, page })
    }
}
