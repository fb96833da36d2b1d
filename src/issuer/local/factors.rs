//! How somebody has proved who it is, in the words of tokens (RFC 9068 §2.2.1, OIDC Core §2).

use serde::{Deserialize, Serialize};

/// What was asked for and was right. The name is what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Factors {
    /// The password.
    Password,
    /// The password, and then a one-time password.
    PasswordAndCode,
}

impl Factors {
    /// Every `acr` that there is, the weakest first.
    pub(super) const CLASSES: [&str; 2] = [Self::Password.class(), Self::PasswordAndCode.class()];

    /// The `acr`: how many factors.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Password => "1",
            Self::PasswordAndCode => "2",
        }
    }

    /// The `amr` (RFC 8176 §2).
    pub(super) const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["pwd"],
            Self::PasswordAndCode => &["pwd", "otp", "mfa"],
        }
    }
}
