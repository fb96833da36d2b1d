//! `session`.

use std::path::Path;
use std::sync::OnceLock;

use super::issuers::CheckedIssuers;
use super::secrets::{not_empty, not_well_known, without_newline};
use super::values::cookie_name;
use super::{Check, KeyPath, Mistake};
use crate::config::file::{self, SecretFile, TextOr};
use crate::config::{Cookies, Secret, Session, SessionStore, TokenPlace, defaults};

/// Shorter secrets are worth a warning, though any length works.
const SHORT: usize = 16;

impl Check<'_> {
    /// `None` when the system has no randomness to make a secret of.
    pub(super) fn session(
        &mut self,
        mirror: Option<&file::Session>,
        issuers: &CheckedIssuers<'_>,
        development: bool,
    ) -> Option<Session> {
        let at = KeyPath::root().key("session");
        let mirror = mirror.cloned().unwrap_or_default();
        let tokens = mirror.tokens.unwrap_or(TokenPlace::Cookies);
        let cookies = self.cookies(&at, mirror.cookies.as_ref(), tokens);
        let mut secrets = self.session_secrets(&at, &mirror);
        let store = self.store(&at, mirror.store.as_ref(), !secrets.is_empty());
        if secrets.is_empty() {
            let sealing = !matches!(cookies, Cookies::Raw { .. }) && issuers.keep_sessions();
            self.without_secret(&at, sealing, development);
            secrets.push(self.accept(&at.key("secret"), random())?);
        }
        if cookies == Cookies::Stored && store == SessionStore::Memory {
            let note =
                "keeps sessions in the memory of this process: a restart signs everybody out. With Redis it does not";
            self.report.note(&at.key("tokens"), note);
        }
        let session = Session {
            secrets,
            idle_timeout: self.time(&at.key("idle_timeout"), mirror.idle_timeout, defaults::IDLE_TIMEOUT),
            absolute_timeout: self.time(
                &at.key("absolute_timeout"),
                mirror.absolute_timeout,
                defaults::ABSOLUTE_TIMEOUT,
            ),
            refresh_ahead: mirror.refresh_ahead.map_or(defaults::REFRESH_AHEAD, |given| given.0),
            refresh_grace: mirror.refresh_grace.map_or(defaults::REFRESH_GRACE, |given| given.0),
            refresh_wait: self.time(&at.key("refresh_wait"), mirror.refresh_wait, defaults::REFRESH_WAIT),
            on_reuse: mirror.on_reuse.unwrap_or(crate::config::OnReuse::Revoke),
            max_records: self.count(&at.key("max_records"), mirror.max_records, defaults::MAX_RECORDS),
            store,
            cookies,
        };
        if session.absolute_timeout < session.idle_timeout {
            let depends = [at.key("absolute_timeout"), at.key("idle_timeout")];
            let remedy = "make it longer, or idle_timeout shorter";
            self.report.conflict(&at.key("absolute_timeout"), &depends, "is shorter than idle_timeout", remedy);
        }
        Some(session)
    }

    fn session_secrets(&mut self, at: &KeyPath, mirror: &file::Session) -> Vec<Secret> {
        let (key, file_key) = (at.key("secret"), at.key("secret_file"));
        let secrets = match (&mirror.secret, &mirror.secret_file) {
            (Some(_), Some(_)) => {
                self.report.problem(&file_key, "is given beside secret", "keep one of the two");
                return Vec::new();
            }
            (None, None) => return Vec::new(),
            (None, Some(path)) => self.session_secret_in(file_key, path).into_iter().collect(),
            (Some(given), None) => {
                if given.values.is_empty() {
                    self.report.absent(&key, "is an empty list", "add a secret, or take the key out");
                }
                let place = |index| if given.is_list { key.index(index) } else { key.clone() };
                let places = given.values.iter().enumerate().map(|(index, entry)| (place(index), entry));
                places.filter_map(|(place, entry)| self.session_secret(place, entry)).collect::<Vec<_>>()
            }
        };
        for (place, secret) in &secrets {
            if secret.expose().len() < SHORT {
                self.report.warn(place, "is short enough to be guessed; make one with: openssl rand -base64 48");
            }
        }
        secrets.into_iter().map(|(_, secret)| secret).collect()
    }

    fn session_secret(&mut self, at: KeyPath, entry: &TextOr<Secret, SecretFile>) -> Option<(KeyPath, Secret)> {
        match entry {
            TextOr::Text(secret) => self.strong_session_secret(at, secret.clone()),
            TextOr::Keys(SecretFile { file: Some(path) }) => self.session_secret_in(at.key("file"), path),
            TextOr::Keys(SecretFile { file: None }) => {
                self.report.absent(&at.key("file"), "is missing", "write { file: PATH }");
                None
            }
        }
    }

    fn session_secret_in(&mut self, at: KeyPath, path: &Path) -> Option<(KeyPath, Secret)> {
        // Nobody else hands this secret out: who has none makes one.
        let remedy = "make it with: openssl rand -base64 48 > FILE, or correct the path; relative paths begin at the \
                      configuration file";
        let bytes = self.read_or(&at, path, remedy)?;
        self.strong_session_secret(at, Secret::new(without_newline(bytes)))
    }

    fn strong_session_secret(&mut self, at: KeyPath, secret: Secret) -> Option<(KeyPath, Secret)> {
        let secret = self.accept(&at, not_empty(secret))?;
        self.accept(&at, not_well_known(&secret)).map(|()| (at, secret))
    }

    /// There is no secret: fine when nothing is sealed, tolerable in development, else a problem.
    fn without_secret(&mut self, at: &KeyPath, sealing: bool, development: bool) {
        let (secret, file) = (at.key("secret"), at.key("secret_file"));
        if sealing && development {
            self.report.note(&secret, "is not set: one is made at every start, which ends all sessions");
        } else if sealing {
            let depends = [secret.clone(), file, at.key("cookies"), KeyPath::root().key("tls").key("self_signed")];
            let remedy = "make one with: openssl rand -base64 48, and name its file as session.secret_file";
            self.report.conflict(&secret, &depends, "is missing: nothing can seal the cookies", remedy);
        }
    }

    fn cookies(&mut self, session: &KeyPath, mirror: Option<&file::Cookies>, tokens: TokenPlace) -> Cookies {
        let (at, tokens_at) = (&session.key("cookies"), session.key("tokens"));
        let mirror = mirror.cloned().unwrap_or_default();
        let names = [("access", mirror.access.as_ref()), ("refresh", mirror.refresh.as_ref())];
        if mirror.sealed.unwrap_or(true) {
            for (key, _) in names.iter().filter(|(_, name)| name.is_some()) {
                let message = "names a raw cookie, but the cookies are sealed";
                let remedy = "add sealed: false to use the cookies of an existing service";
                self.report.lacks(&at.key(key), &[at.key("sealed")], message, remedy);
            }
            return match tokens {
                TokenPlace::Cookies => Cookies::Sealed,
                TokenPlace::Store => Cookies::Stored,
            };
        }
        if tokens == TokenPlace::Store {
            let message = "wants the tokens in the store, but they are in the cookies of an existing service";
            let remedy = "write tokens: cookies, or take sealed: false and the names of those cookies out";
            self.report.conflict(&tokens_at, &[tokens_at.clone(), at.key("sealed")], message, remedy);
        }
        let [access, refresh] = names.map(|(key, name)| {
            if name.is_none() {
                let remedy = "name the existing service's cookie";
                self.report.absent(&at.key(key), "is missing, which sealed: false needs", remedy);
            }
            name.and_then(|name| self.accept(&at.key(key), cookie_name(name)))
        });
        match (access, refresh) {
            (Some(access), Some(refresh)) => {
                if access == refresh {
                    self.report.problem(&at.key("refresh"), "is the same as access", "name the other cookie");
                }
                Cookies::Raw { access, refresh }
            }
            _ => Cookies::Sealed,
        }
    }
}

/// One for the life of this process: a configuration that is read anew must not end the sessions.
fn random() -> Result<Secret, Mistake> {
    static MADE: OnceLock<Secret> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made.clone());
    }
    let mut bytes = vec![0; 32];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => Ok(MADE.get_or_init(|| Secret::new(bytes)).clone()),
        Err(_) => Err(Mistake::new("cannot be made: the system has no randomness", "set one")),
    }
}
