//! What is read from files and standard input.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use super::ExplainError;
use crate::oauth::{AccessToken, Claims};

/// Files, and standard input, which is there once.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    is_taken: bool,
}

impl Inputs {
    /// The text of a file; `-` is standard input. `flag` is for errors.
    pub(super) fn text(&mut self, flag: &str, path: &Path) -> Result<String, ExplainError> {
        if path == Path::new("-") {
            return self.standard(flag);
        }
        let what = format!("{flag} {}", path.display());
        fs::read_to_string(path).map_err(|source| ExplainError::Read { what, source })
    }

    /// Standard input.
    pub(super) fn standard(&mut self, flag: &str) -> Result<String, ExplainError> {
        if std::mem::replace(&mut self.is_taken, true) {
            return Err(ExplainError::InputTwice);
        }
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|source| ExplainError::Read { what: format!("{flag} -"), source })?;
        Ok(text)
    }

    /// A token, without the white space around it.
    pub(super) fn token(&mut self, path: &Path) -> Result<AccessToken, ExplainError> {
        Ok(AccessToken::new(self.text("--token-file", path)?.trim()))
    }

    /// The claims of a JSON object: what is given begins as one, or names a file with it.
    pub(super) fn claims(&mut self, given: &Path) -> Result<Claims, ExplainError> {
        let (what, text) = match given.to_str().filter(|text| text.trim_start().starts_with('{')) {
            Some(json) => ("what is given".to_owned(), json.to_owned()),
            None => (given.display().to_string(), self.text("--claims", given)?),
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(claims)) => Ok(Claims(claims)),
            Ok(_) => Err(ExplainError::Claims { what, source: None }),
            Err(error) => Err(ExplainError::Claims { what, source: Some(error) }),
        }
    }

    /// The certificates of a PEM file, of which there is one at least.
    pub(super) fn certificates(&mut self, path: &Path) -> Result<Vec<CertificateDer<'static>>, ExplainError> {
        let text = self.text("--client-certificate", path)?;
        let read = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let read = read.ok().filter(|certificates| !certificates.is_empty());
        read.ok_or_else(|| ExplainError::Certificate(path.display().to_string()))
    }
}
