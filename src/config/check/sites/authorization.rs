//! `upstream_authorization`: what the application expects in place of the client's credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, header};

use super::super::secrets::Given;
use super::super::values::{header_name, header_value, text};
use super::super::{Check, KeyPath, Mistake};
use crate::config::file::{BasicAuthorization, UpstreamAuthorization};

impl Check<'_> {
    pub(super) fn upstream_authorization(
        &mut self,
        at: &KeyPath,
        mirror: &UpstreamAuthorization,
    ) -> Option<(HeaderName, HeaderValue)> {
        let has_value = mirror.value.is_some() || mirror.value_file.is_some();
        match (&mirror.basic, &mirror.header) {
            (Some(_), _) if mirror.header.is_some() || has_value => {
                self.report.problem(&at.key("basic"), "is given beside a header", "keep one of the two");
                None
            }
            (Some(basic), _) => self.basic(&at.key("basic"), basic),
            (None, Some(name)) => {
                let name = self.accept(&at.key("header"), header_name(name));
                let value = self.needed_secret(
                    at,
                    &Given { at, key: "value", inline: mirror.value.as_ref(), file: mirror.value_file.as_ref() },
                );
                let (place, value) = value?;
                Some((name?, self.accept(&place, header_value(value.expose()))?))
            }
            (None, None) => {
                let depends = [at.key("basic"), at.key("header")];
                let remedy = "add basic: { username, password_file }, or header and value_file";
                self.report.conflict(at, &depends, "does not say what to send", remedy);
                None
            }
        }
    }

    fn basic(&mut self, at: &KeyPath, mirror: &BasicAuthorization) -> Option<(HeaderName, HeaderValue)> {
        let username = self.needed(&at.key("username"), mirror.username.as_deref(), username, "add it");
        let given =
            Given { at, key: "password", inline: mirror.password.as_ref(), file: mirror.password_file.as_ref() };
        let (place, password) = self.needed_secret(at, &given)?;
        let credentials = [username?.as_bytes(), b":", password.expose()].concat();
        let value = header_value(format!("Basic {}", STANDARD.encode(credentials)).as_bytes());
        Some((header::AUTHORIZATION, self.accept(&place, value)?))
    }

    fn needed_secret(&mut self, at: &KeyPath, given: &Given<'_>) -> Option<(KeyPath, crate::config::Secret)> {
        if !given.is_given() {
            let file_key = format!("{}_file", given.key);
            let depends = [at.key(given.key), at.key(&file_key)];
            self.report.conflict(&at.key(given.key), &depends, "is missing", format!("add {file_key}"));
        }
        self.secret(given)
    }
}

/// RFC 7617 §2: a colon would end it.
fn username(name: &str) -> Result<String, Mistake> {
    if name.contains(':') || name.chars().any(char::is_control) {
        return Err(Mistake::new("has a colon or a control character", "HTTP Basic has no way to send that"));
    }
    text(name)
}
