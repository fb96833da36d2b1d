//! What `usher user add` and `usher user set` write of somebody, as flags say it.

use serde_json::Value;

use crate::config::users::edit;

/// Whom it is about, and what is said of them.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// The name that the user signs in with
    pub(super) name: String,
    /// The claim `name`, as in --name 'Alice Liddell'
    #[arg(long = "name", value_name = "NAME")]
    pub(super) full_name: Option<String>,
    /// The claim `email`
    #[arg(long, value_name = "ADDRESS")]
    pub(super) email: Option<String>,
    /// The claim `sub`, where it is not the name
    #[arg(long, value_name = "SUBJECT")]
    pub(super) subject: Option<String>,
    /// One of the claim `roles`, as in --role admin; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<String>,
    /// Another claim, as in --claim team=red or --claim level=3; the value is JSON, or else text; may be given several times;
    /// `set` takes out what is null
    #[arg(long = "claim", value_name = "CLAIM=VALUE", value_parser = claim)]
    pub(super) claims: Vec<(String, Value)>,
}

/// One claim is given twice. Whoever typed.
#[derive(Debug, thiserror::Error)]
#[error("the claim {0} is given twice")]
pub(super) struct ClaimTwice(String);

impl NewArgs {
    /// Whether no flag is given.
    pub(super) fn says_nothing(&self) -> bool {
        let Self { name: _, full_name, email, subject, roles, claims } = self;
        full_name.is_none() && email.is_none() && subject.is_none() && roles.is_empty() && claims.is_empty()
    }

    /// The user, with the hash of a password if there is a new one.
    pub(super) fn with_hash<'a>(&'a self, hash: Option<&'a str>) -> Result<edit::NewUser<'a>, ClaimTwice> {
        let mut claims = serde_json::Map::new();
        let roles = (!self.roles.is_empty()).then(|| ("roles".to_owned(), Value::from(self.roles.clone())));
        for (claim, value) in roles.into_iter().chain(self.claims.iter().cloned()) {
            if claims.insert(claim.clone(), value).is_some() {
                return Err(ClaimTwice(claim));
            }
        }
        let (name, email, subject) = (self.full_name.as_deref(), self.email.as_deref(), self.subject.as_deref());
        Ok(edit::NewUser { hash, name, email, subject, claims })
    }
}

/// `team=red`, `level=3`, `groups=["a","b"]`.
fn claim(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((claim, value)) if !claim.is_empty() => {
            Ok((claim.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
        }
        Some(_) | None => Err("write CLAIM=VALUE".to_owned()),
    }
}
