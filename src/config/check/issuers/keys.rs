//! Where an issuer's verification keys come from, and which algorithms they are for.

use jsonwebtoken::DecodingKey;

use super::super::secrets::Given;
use super::super::values::{base_url, endpoint};
use super::super::{Advice, Check, KeyPath, Mistake};
use crate::config::file;
use crate::config::{KeySource, Secret, defaults};
use crate::oauth::Algorithm;
use crate::oauth::algorithm::Family;

/// Every algorithm that can be said. `none` cannot.
pub(in crate::config) fn algorithm_names() -> [&'static str; 13] {
    Algorithm::ALL.map(Algorithm::name)
}

/// RFC 8725 §3.5, RFC 7518 §3.2: a shared secret is at least as long as the hash.
const SHORTEST_HMAC_SECRET: usize = 32;

impl Check<'_> {
    /// The one source that is given, or discovery.
    pub(super) fn keys(&mut self, at: &KeyPath, mirror: &file::Issuer, insecure_http: bool) -> Option<KeySource> {
        let (inline, file) = (mirror.hmac_secret.as_ref(), mirror.hmac_secret_file.as_ref());
        let hmac = Given { at, key: "hmac_secret", inline, file };
        let hmac_key = if inline.is_some() { "hmac_secret" } else { "hmac_secret_file" };
        let sources = [
            ("jwks_url", mirror.jwks_url.is_some()),
            ("public_key_file", mirror.public_key_file.is_some()),
            (hmac_key, hmac.is_given()),
        ];
        let mut given = sources.iter().filter(|(_, is_given)| *is_given);
        let first = given.next();
        if let (Some((first, _)), Some((second, _))) = (first, given.next()) {
            let message = format!("is given beside {first}");
            self.report.problem(&at.key(second), message, "keep one source of keys; make two issuers of two keys");
        }
        if let (Some((source, _)), true) = (first, mirror.backchannel_url.is_some()) {
            let message = format!("is for discovery, but the keys come from {source}");
            self.report.problem(&at.key("backchannel_url"), message, "keep one of the two");
        }
        if let Some(url) = &mirror.jwks_url {
            return self.issuer_url(at, &at.key("jwks_url"), endpoint(url, insecure_http)).map(KeySource::JwksUrl);
        }
        if let Some(path) = &mirror.public_key_file {
            return self.read(&at.key("public_key_file"), path).map(KeySource::PublicKey);
        }
        if hmac.is_given() {
            let (at, secret) = self.strong_secret(&hmac)?;
            return self.accept(&at, long_enough(secret)).map(KeySource::Hmac);
        }
        self.discovery(at, mirror, insecure_http)
    }

    fn discovery(&mut self, at: &KeyPath, mirror: &file::Issuer, insecure_http: bool) -> Option<KeySource> {
        let base = match (&mirror.backchannel_url, &mirror.issuer) {
            (Some(url), _) => self.issuer_url(at, &at.key("backchannel_url"), base_url(url, insecure_http))?,
            (None, Some(issuer)) => {
                let base = base_url(issuer, insecure_http);
                // A name that is no URL is fine as an issuer, but then the keys must come from elsewhere.
                let elsewhere = "or say where the keys are: jwks_url, public_key_file or hmac_secret_file";
                let base =
                    base.map_err(|mistake| Mistake::new(mistake.message, format!("{}, {elsewhere}", mistake.advice)));
                let sources = ["jwks_url", "public_key_file", "hmac_secret", "hmac_secret_file", "backchannel_url"];
                match base {
                    Ok(base) => base,
                    Err(mistake) => {
                        let mut depends: Vec<_> = sources.map(|key| at.key(key)).to_vec();
                        depends.extend([at.key("insecure_http"), at.key("issuer")]);
                        self.report.conflict(&at.key("issuer"), &depends, mistake.message, mistake.advice);
                        return None;
                    }
                }
            }
            (None, None) => return None,
        };
        Some(KeySource::Discovery { base })
    }

    /// The algorithms, which the keys must be for: one key is for one family of algorithms (RFC 8725 §3.1).
    pub(super) fn algorithms(
        &mut self,
        at: &KeyPath,
        mirror: &file::Issuer,
        keys: Option<&KeySource>,
    ) -> Vec<Algorithm> {
        let at = at.key("algorithms");
        let Some(names) = &mirror.algorithms else {
            return match keys {
                Some(KeySource::PublicKey(_) | KeySource::Hmac(_)) => {
                    self.report.absent(&at, "is missing", "write what the key is for, as in algorithms: [RS256]");
                    Vec::new()
                }
                _ => defaults::KEY_SET_ALGORITHMS.to_vec(),
            };
        };
        if names.is_empty() {
            self.report.absent(&at, "is an empty list", "write the algorithms of the issuer, as in [RS256]");
        }
        let mut algorithms = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let at = at.index(index);
            match algorithm(name) {
                Ok(algorithm) => {
                    if let Some(keys) = keys {
                        self.fits(&at, algorithm, algorithms.first().copied(), keys);
                    }
                    algorithms.push(algorithm);
                }
                Err((message, advice)) => self.report.suggest(&at, message, advice),
            }
        }
        algorithms
    }

    /// Whether an algorithm is one for these keys.
    fn fits(&mut self, at: &KeyPath, algorithm: Algorithm, first: Option<Algorithm>, keys: &KeySource) {
        let mistake = match (keys, algorithm.family()) {
            (KeySource::Hmac(secret), Family::Hmac) => {
                let needed = hash_length(algorithm);
                let short = secret.expose().len() < needed;
                short.then(|| format!("needs a secret of at least {needed} bytes (RFC 7518 §3.2)"))
            }
            (KeySource::Hmac(_), _) => Some("is for public keys, but the key is a shared secret".to_owned()),
            (_, Family::Hmac) => Some("is for shared secrets, but the keys are public".to_owned()),
            (KeySource::PublicKey(_), family_here) if first.is_some_and(|first| first.family() != family_here) => {
                Some("is for another kind of key than the one before it".to_owned())
            }
            (KeySource::PublicKey(pem), family_here) => {
                (!is_key_of(pem, family_here)).then(|| "is not what the key in public_key_file is for".to_owned())
            }
            _ => None,
        };
        if let Some(message) = mistake {
            self.report.problem(at, message, "write the algorithms that the issuer signs with this key, and no others");
        }
    }
}

fn algorithm(name: &str) -> Result<Algorithm, (String, Advice)> {
    if name.eq_ignore_ascii_case("none") {
        let remedy = Some("name the algorithm that the issuer signs with".to_owned());
        return Err(("lets everybody in: tokens must be signed".to_owned(), Advice { suggestion: None, remedy }));
    }
    let known = || format!("write one of {}", algorithm_names().join(", "));
    let advice = || Advice::nearest(name, algorithm_names(), known);
    Algorithm::named(name).ok_or_else(|| ("is not an algorithm".to_owned(), advice()))
}

fn long_enough(secret: Secret) -> Result<Secret, Mistake> {
    if secret.expose().len() < SHORTEST_HMAC_SECRET {
        let message =
            format!("is shorter than {SHORTEST_HMAC_SECRET} bytes, so that it can be guessed (RFC 8725 §3.5)");
        return Err(Mistake::new(message, "make one with: openssl rand -base64 48, here and at the issuer"));
    }
    Ok(secret)
}

const fn hash_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => 32,
    }
}

fn is_key_of(pem: &[u8], family: Family) -> bool {
    match family {
        Family::Rsa => DecodingKey::from_rsa_pem(pem).is_ok(),
        Family::Ec => DecodingKey::from_ec_pem(pem).is_ok(),
        Family::Ed => DecodingKey::from_ed_pem(pem).is_ok(),
        Family::Hmac => false,
    }
}
