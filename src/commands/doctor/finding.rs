//! One thing that was found, how bad it is, and what to do about it.

use std::error::Error;

use serde::Serialize;

use crate::commands::causes;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Nothing is wrong, and yet somebody may want to know.
    Note,
    /// It works, or will for a while, and should be mended.
    Warning,
    /// Something cannot work.
    Failed,
}

/// What was found. Nothing secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: a name that stays, for scripts.
    pub(super) check: &'static str,
    /// Of what: an issuer, a site, an address, a file. Empty where there is one only.
    pub(super) of: String,
    pub(super) verdict: Verdict,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, of: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check, of: of.into(), verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn note(check: &'static str, of: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, ..Self::ok(check, of, found) }
    }

    pub(super) fn warning(
        check: &'static str,
        of: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::ok(check, of, found) }
    }

    pub(super) fn failed(
        check: &'static str,
        of: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Failed, remedy: Some(remedy.into()), ..Self::ok(check, of, found) }
    }
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What an error and its causes say, on one line. Some libraries say what their cause says.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    let mut causes = causes(error);
    causes.dedup();
    causes.join(": ")
}
