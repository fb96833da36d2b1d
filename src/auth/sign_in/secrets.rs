//! What binds one sign-in to one browser: state (RFC 6749 §10.12), nonce (OIDC Core §3.1.2.1) and code verifier (RFC 7636).
//!
//! All three come from one random seed of 256 bits by a one-way function, each under a label of its own: of the two that
//! stand in a URL, neither leads to the third. So a sign-in under way takes 32 bytes in a cookie rather than 96, and twenty
//! of them stay below what a `Cookie` header holds.

use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::oauth::CodeVerifier;
use crate::session::NoRandomness;

/// Characters of a cookie's name that say which sign-in it belongs to.
const NAME_BYTES: usize = 6;

/// The seed. Whoever knows it can finish the sign-in, so it leaves this process sealed only.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Seed([u8; 32]);

impl Seed {
    pub(super) fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(super) fn state(&self) -> String {
        self.derive(b"state")
    }

    pub(super) fn nonce(&self) -> String {
        self.derive(b"nonce")
    }

    /// 43 characters: as many as RFC 7636 §4.1 asks for at least.
    pub(super) fn verifier(&self) -> CodeVerifier {
        CodeVerifier::new(&self.derive(b"code verifier"))
    }

    fn derive(&self, label: &[u8]) -> String {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(label);
        URL_SAFE_NO_PAD.encode(context.finish())
    }
}

/// Never shows the seed.
impl std::fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seed(…)")
    }
}

/// `code_challenge`, method `S256` (RFC 7636 §4.2).
pub(super) fn code_challenge(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes()))
}

/// Which cookie a state belongs to. Short, and of no use to find the state by.
pub(super) fn cookie_suffix(state: &str) -> String {
    let digest = digest(&SHA256, state.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..NAME_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(code_challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn state_nonce_and_verifier_have_256_bits_each_and_differ() {
        let seed = Seed::random().unwrap();
        let all = [seed.state(), seed.nonce(), seed.verifier().expose().to_owned(), seed.encode()];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 43);
            assert!(!all.iter().skip(index + 1).any(|other| other == one));
        }
        assert_ne!(seed.state(), Seed::random().unwrap().state());
    }

    #[test]
    fn a_seed_survives_its_text_and_never_shows_in_debug() {
        let seed = Seed::random().unwrap();
        assert_eq!(Seed::decode(&seed.encode()), Some(seed.clone()));
        assert_eq!(format!("{seed:?}"), "Seed(…)");
        for text in ["", "AAAA", "not base64!"] {
            assert_eq!(Seed::decode(text), None);
        }
    }

    #[test]
    fn a_cookie_suffix_is_short_and_says_nothing_of_the_state() {
        let suffix = cookie_suffix("state");
        assert_eq!((suffix.len(), suffix.as_str() == cookie_suffix("other")), (8, false));
    }
}
