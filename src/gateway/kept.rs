//! What a start would find in the state directory, looked at and left as it is: for whoever asks before there is a start.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::auth::assertion::Assertions;
use crate::config::{Config, KeySource, SessionStore};
use crate::issuer::local;
use crate::session::DenialJournal;
use crate::state;

/// Why something that is kept could not be gone on with.
type Unusable = (PathBuf, Box<dyn Error + Send + Sync>);

/// Everything that a gateway of this configuration keeps there and could not read or write. A gateway that runs is not
/// disturbed: no lock is taken, and nothing is made.
#[must_use]
pub fn examine_state(config: &Config) -> Vec<Unusable> {
    let Some(directory) = &config.state_directory else { return Vec::new() };
    let mut unusable = Vec::new();
    let mut note = |place: &Path, outcome: Result<(), Box<dyn Error + Send + Sync>>| {
        unusable.extend(outcome.err().map(|error| (place.to_owned(), error)));
    };
    note(directory, Assertions::examine(directory).map_err(Into::into));
    if config.session.store == SessionStore::Memory && !config.issuers.is_empty() {
        let denials = directory.join("denials");
        note(&denials, writable(&denials).and_then(|()| Ok(DenialJournal::examine(&denials)?)));
    }
    for issuer in &config.issuers {
        if let KeySource::Local(issuer) = &issuer.keys
            && let Some(kept) = &issuer.state
        {
            note(kept, writable(kept).and_then(|()| Ok(local::examine(kept)?)));
        }
    }
    if let crate::config::Tls::Acme(acme) = &config.tls {
        note(&acme.kept_in, writable(&acme.kept_in));
    }
    unusable
}

fn writable(directory: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    state::probe(directory).map_err(|error| format!("cannot be written to: {error}").into())
}
