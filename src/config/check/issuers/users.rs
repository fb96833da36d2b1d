//! The users file of a local issuer: a document of its own, whose problems are told with its own places.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::super::{Check, KeyPath, Mistake};
use crate::config::file;
use crate::config::load::Format;
use crate::config::report::Report;
use crate::config::users::read;
use crate::config::{FoldedName, HashError, PasswordHash, Secret, TotpSecret, User, Users};

/// Longer names are none.
const LONGEST_NAME: usize = 256;

/// What the issuer says by itself, and what has a key of its own.
const REGISTERED: [&str; 20] = [
    "acr",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "azp",
    "client_id",
    "cnf",
    "email",
    "events",
    "exp",
    "iat",
    "iss",
    "jti",
    "name",
    "nbf",
    "nonce",
    "sid",
    "sub",
    "typ",
];

impl Check<'_> {
    pub(super) fn users(&mut self, at: &KeyPath, path: Option<&Path>) -> Option<Users> {
        let Some(path) = path else {
            self.report.absent(at, "is missing", "name the file that usher user keeps, as in users_file: users.yaml");
            return None;
        };
        let bytes = self.read_or(at, path, "correct the path, or make the file with: usher user add NAME")?;
        let path = self.located(path);
        let unreadable = || Mistake::new(format!("names {}, which is not text", path.display()), "write it in UTF-8");
        let text = self.accept(at, String::from_utf8(bytes).map_err(|_| unreadable()))?;
        let (users, problems) = read(&path.display().to_string(), Format::of(&path), &text);
        self.report.include(at, problems);
        let mode = fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o002 != 0 {
            let message = format!("names {}, which everybody can write: any password can be set in it", path.display());
            self.report.problem(at, message, "take that away with: chmod o-w");
        } else if mode & 0o024 != 0 {
            // That its group may read it is how a service is given one.
            let message = "is a file that others can read, or its group can write: passwords can be guessed from it, or set; \
                           chmod 0600 or 0640";
            self.report.note(at, message);
        }
        let costs: BTreeSet<_> = users.iter().map(|(_, user)| user.password.cost()).collect();
        if costs.len() > 1 {
            // Somebody unknown costs what most of them do, and the others are told from that by the time.
            let message = "has hashes of several kinds or costs: how long a sign-in takes tells who is there; \
                           set those passwords anew with usher user password";
            self.report.note(at, message);
        }
        Some(users)
    }
}

/// The users, or what is wrong with them.
pub(in crate::config) fn users_of(mirror: &file::UsersFile, report: &mut Report) -> Users {
    let at = KeyPath::root().key("users");
    let mut known: BTreeMap<FoldedName, &str> = BTreeMap::new();
    let mut subjects: BTreeMap<String, &str> = BTreeMap::new();
    let mut users = Vec::new();
    let empty = BTreeMap::new();
    let written = mirror.users.as_ref().unwrap_or(&empty);
    if written.is_empty() {
        report.absent(&at, "has nobody: who is to sign in?", "add somebody with: usher user add NAME");
    }
    for (name, user) in written {
        let at = at.key(name);
        if let Some(message) = wrong_name(name) {
            report.problem(&at, message, "use a name of 1 to 256 bytes without control characters and outer spaces");
        }
        if let Some(twin) = known.insert(FoldedName::of(name), name) {
            let message = format!("is the name of {twin} too: case and width do not count");
            report.problem(&at, message, "give each user a name of their own");
        }
        let Some(user) = checked(&at, name, user, report) else { continue };
        if let Some(twin) = subjects.insert(user.subject.clone(), name) {
            let message = format!("is also that of {twin}: the application would take the two for one");
            report.problem(&at.key("subject"), message, "give each user a subject of their own");
        }
        users.push(user);
    }
    Users::new(users)
}

fn wrong_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        Some("is not a name")
    } else if name.trim() != name || name.chars().any(char::is_control) {
        Some("is a name that cannot be typed")
    } else {
        None
    }
}

fn checked(at: &KeyPath, name: &str, mirror: &file::User, report: &mut Report) -> Option<User> {
    let password = password(&at.key("password"), name, mirror.password.as_ref(), report);
    let totp = mirror.totp.as_ref().map(|given| TotpSecret::parse(given.expose())).transpose();
    if let Err(error) = &totp {
        report.problem(&at.key("totp"), error.to_string(), format!("make one with: usher user totp {name}"));
    }
    let subject = mirror.subject.clone().unwrap_or_else(|| name.to_owned());
    if subject.is_empty() || subject.len() > LONGEST_NAME || subject.chars().any(char::is_control) {
        report.problem(&at.key("subject"), "is not a subject", "write 1 to 256 bytes without control characters");
    }
    let mut claims = Map::new();
    for (claim, value) in mirror.claims.iter().flatten() {
        if REGISTERED.contains(&claim.as_str()) {
            let remedy = "take it out; name, email and subject are keys of the user";
            report.problem(&at.key("claims").key(claim), "is a claim that Usher itself writes", remedy);
        }
        claims.insert(claim.clone(), value.clone());
    }
    for (claim, value) in [("name", &mirror.name), ("email", &mirror.email)] {
        claims.extend(value.iter().map(|value| (claim.to_owned(), Value::from(value.as_str()))));
    }
    let (name, disabled) = (name.to_owned(), mirror.disabled.unwrap_or(false));
    Some(User { name, subject, password: password?, totp: totp.ok()?, disabled, claims })
}

fn password(at: &KeyPath, name: &str, given: Option<&Secret>, report: &mut Report) -> Option<PasswordHash> {
    let remedy = format!("set one with: usher user password {name}");
    let Some(given) = given else {
        report.absent(at, "is missing", remedy);
        return None;
    };
    let text = std::str::from_utf8(given.expose()).unwrap_or_default();
    match PasswordHash::parse(text) {
        Ok(hash) => Some(hash),
        Err(error @ (HashError::Unreadable | HashError::OtherKind | HashError::Cost)) => {
            report.problem(at, error.to_string(), remedy);
            None
        }
    }
}
