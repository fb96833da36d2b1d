//! The client that Usher is at an authorization server: its name, and how it says that it is the one.

use std::sync::Arc;

use super::super::secrets::Given;
use super::super::values::{scope_word, text};
use super::super::{Check, KeyPath, Mistake};
use crate::config::file::{self, ClientAuthenticationMethod};
use crate::config::{Client, ClientAuthentication, ClientKey, defaults};
use crate::oauth::algorithm::Family;
use crate::oauth::{Algorithm, SigningKey};

/// What a client may sign with. Of an RSA key it must be said which; any other key is for one.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// Their names.
pub(in crate::config) fn client_key_algorithm_names() -> [&'static str; 5] {
    ALGORITHMS.map(Algorithm::name)
}

impl Check<'_> {
    pub(super) fn client(&mut self, at: &KeyPath, mirror: &file::Issuer) -> Option<Client> {
        let authentication = self.client_authentication(at, mirror);
        let Some(id) = &mirror.client_id else {
            for (key, is_given) in [
                ("client_secret", mirror.client_secret.is_some()),
                ("client_secret_file", mirror.client_secret_file.is_some()),
                ("client_key_file", mirror.client_key_file.is_some()),
                ("client_authentication", mirror.client_authentication.is_some()),
                ("scopes", mirror.scopes.is_some()),
                ("authorization_parameters", mirror.authorization_parameters.is_some()),
                ("end_session", mirror.end_session.is_some()),
            ] {
                if is_given {
                    self.report.lacks(&at.key(key), &[at.key("client_id")], "needs a client_id", "add client_id");
                }
            }
            return None;
        };
        let id = self.accept(&at.key("client_id"), text(id))?;
        let scopes = match &mirror.scopes {
            Some(words) => self.each(&at.key("scopes"), words, |word| scope_word(word), "write [openid]"),
            None => defaults::SCOPES.map(str::to_owned).to_vec(),
        };
        let parameters = &at.key("authorization_parameters");
        let authorization_parameters =
            self.authorization_parameters(parameters, mirror.authorization_parameters.as_ref());
        let end_session = mirror.end_session.unwrap_or(defaults::END_SESSION);
        Some(Client { id, authentication, scopes, authorization_parameters, end_session })
    }

    fn client_authentication(&mut self, at: &KeyPath, mirror: &file::Issuer) -> ClientAuthentication {
        use ClientAuthenticationMethod as M;
        let (inline, file) = (mirror.client_secret.as_ref(), mirror.client_secret_file.as_ref());
        let given = Given { at, key: "client_secret", inline, file };
        let secret = self.strong_secret(&given).map(|(_, secret)| secret);
        let key = self.client_key(at, mirror);
        let has_key = mirror.client_key_file.is_some();
        if given.is_given() && has_key {
            let message = "is given beside a client_secret: a client is who it is in one way";
            self.report.problem(&at.key("client_key_file"), message, "keep one of the two");
        }
        let method = mirror.client_authentication.unwrap_or(match (has_key, given.is_given()) {
            (true, _) => M::PrivateKeyJwt,
            (false, true) => M::Basic,
            (false, false) => M::None,
        });
        match (method, secret, key) {
            (M::Basic, Some(secret), _) => return ClientAuthentication::Basic(secret),
            (M::Post, Some(secret), _) => return ClientAuthentication::Post(secret),
            (M::PrivateKeyJwt, _, Some(key)) => return ClientAuthentication::PrivateKey(key),
            (M::Basic | M::Post | M::PrivateKeyJwt | M::None, _, _) => {}
        }
        let depends = ["client_secret", "client_secret_file", "client_key_file"].map(|key| at.key(key));
        let mistake = match method {
            M::Basic | M::Post => Some(("needs a client_secret", "add client_secret_file")),
            M::PrivateKeyJwt if has_key => None,
            M::PrivateKeyJwt => Some(("needs a client_key_file", "add client_key_file, or write basic or post")),
            M::None if has_key => Some(("is none beside a key", "take client_key_file out, or write private_key_jwt")),
            M::None if given.is_given() => {
                Some(("is none beside a secret", "take the secret out, or write basic or post"))
            }
            M::None => None,
        };
        if let Some((message, remedy)) = mistake {
            self.report.conflict(&at.key("client_authentication"), &depends, message, remedy);
        }
        ClientAuthentication::None
    }

    fn client_key(&mut self, at: &KeyPath, mirror: &file::Issuer) -> Option<ClientKey> {
        let kid = mirror.client_key_id.as_deref().and_then(|kid| self.accept(&at.key("client_key_id"), text(kid)));
        let audience = mirror.client_assertion_audience.as_deref().or(mirror.issuer.as_deref()).unwrap_or_default();
        if mirror.client_assertion_audience.is_some() {
            self.accept(&at.key("client_assertion_audience"), text(audience));
        }
        let Some(path) = &mirror.client_key_file else {
            for (key, is_given) in [
                ("client_key_id", mirror.client_key_id.is_some()),
                ("client_key_algorithm", mirror.client_key_algorithm.is_some()),
                ("client_assertion_audience", mirror.client_assertion_audience.is_some()),
            ] {
                if is_given {
                    let missing = [at.key("client_key_file")];
                    self.report.lacks(&at.key(key), &missing, "needs a client_key_file", "add client_key_file");
                }
            }
            return None;
        };
        let file = &at.key("client_key_file");
        let pem = zeroize::Zeroizing::new(self.read(file, path)?);
        let family = self.accept(file, SigningKey::family(&pem).ok_or_else(no_key))?;
        let algorithm = self.client_key_algorithm(at, mirror, (family, &pem))?;
        let key = SigningKey::from_pem(&pem, algorithm, kid.as_deref()).map_err(|_| no_key());
        let key = Arc::new(self.accept(file, key)?);
        Some(ClientKey { key, audience: audience.to_owned() })
    }

    /// The algorithm that is given, or the one of the key's curve.
    fn client_key_algorithm(
        &mut self,
        at: &KeyPath,
        mirror: &file::Issuer,
        (family, pem): (Family, &[u8]),
    ) -> Option<Algorithm> {
        let at = &at.key("client_key_algorithm");
        let fits = |algorithm: &Algorithm| SigningKey::from_pem(pem, *algorithm, None).is_ok();
        let Some(name) = mirror.client_key_algorithm.as_deref() else {
            if family == Family::Rsa {
                let remedy = "write RS256, or PS256 where the server takes that";
                self.report.absent(at, "is missing: an RSA key is good for several", remedy);
                return None;
            }
            let algorithm = ALGORITHMS.into_iter().find(fits).ok_or_else(no_key);
            return self.accept(at, algorithm);
        };
        let names = client_key_algorithm_names().join(", ");
        let known = Algorithm::named(name).filter(|algorithm| ALGORITHMS.contains(algorithm));
        let known =
            known.ok_or_else(|| Mistake::new("is not an algorithm for a client", format!("write one of {names}")));
        let algorithm = self.accept(at, known)?;
        let fitting = Some(algorithm).filter(fits);
        let misfit =
            || Mistake::new("is not what the key in client_key_file is for", "write the algorithm of that key");
        self.accept(at, fitting.ok_or_else(misfit))
    }
}

fn no_key() -> Mistake {
    let remedy = "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256; or bring another form \
                  into PKCS#8 with: openssl pkcs8 -topk8 -nocrypt -in OLD";
    Mistake::new(
        "holds no private key that a client can sign with: PEM (PKCS#8), RSA of 2048 bits or more, P-256, P-384 or Ed25519",
        remedy,
    )
}
