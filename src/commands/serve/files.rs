//! The files that a configuration in force depends on, and whether one of them has changed.
//!
//! Everything that the configuration names is followed by its contents ([`super::watch`]): the file itself, secrets, keys,
//! authorities, users, translations, templates. This module does *not* put anything in force.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::watch::Watch;
use crate::config::{self, Config, ConfigError, Loaded, Sources};
use crate::gateway;

/// Where the configuration comes from, and the files that it depends on.
#[derive(Debug)]
pub(super) struct Source {
    sources: Sources,
    configuration: Watch,
    certificates: Watch,
}

impl Source {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, configuration: Watch::default(), certificates: Watch::default() }
    }

    /// Looks. Returns whether there is a change that counts in what the configuration is made of, and in certificates.
    pub(super) fn look(&mut self) -> (bool, bool) {
        (self.configuration.look(), self.certificates.look())
    }

    /// Loads the configuration, and watches what it depends on from now on. Certificates are those that are in use until it is
    /// in force, and others are what keeps it from that: one that is of no use may be put right.
    pub(super) fn load(&mut self, in_force: Option<&Config>) -> Result<Loaded, ConfigError> {
        self.configuration.settle();
        loop {
            let loaded = config::load(&self.sources);
            let config = in_force.or(loaded.as_ref().ok().map(|loaded| &loaded.config));
            let in_use = config.map(certificates).unwrap_or_default();
            let files = match &loaded {
                Ok(loaded) => depended_on(loaded, &in_use),
                // What is missing or wrong may be put right in any of these.
                Err(error) => &self.configuration.files() | &(&error.files - &in_use),
            };
            self.certificates.follow(&in_use);
            // A file that is named for the first time was read before it was watched.
            if !self.configuration.follow(&files) {
                return loaded;
            }
        }
    }
}

/// The files of the certificates that clients are shown.
fn certificates(config: &Config) -> BTreeSet<PathBuf> {
    config.tls.files().into_iter().flat_map(|pair| [pair.certificate, pair.key]).collect()
}

/// What a configuration is made of. Certificates that are in use are renewed by themselves, unless they are something else
/// besides, such as the authority of an issuer.
fn depended_on(Loaded { config, files, shared_files, .. }: &Loaded, in_use: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut files = &(&(files | &certificates(config)) - in_use) | shared_files;
    files.extend(config.pages.iter().flat_map(|directory| gateway::page_templates(directory)));
    files
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
        date_time_ymd,
    };

    use super::*;
    use crate::config::schema;

    const YAML: &str = "
listen: { https: '127.0.0.1:0', admin: { address: '127.0.0.1:0', token_file: admin } }
tracing: { otlp: { endpoint: 'http://127.0.0.1:4318', headers_file: headers } }
tls:
  certificates: [{ certificate: site.pem, key: site.key }]
  acme: { agree_to_terms: true, hosts: ordered.test, external_account: { key_id: a, hmac_key_file: eab } }
state_directory: state
issuers:
  company: { issuer: 'https://id.test', ca_file: ca.pem, client_id: a, client_secret_file: client, audiences: [a] }
  keyed: { issuer: 'https://other.test', client_id: a, client_key_file: client.key, audiences: [a] }
  fixed: { issuer: fixed, public_key_file: public.pem, algorithms: [ES256], audiences: [a] }
  legacy: { issuer: legacy, hmac_secret_file: hmac, algorithms: [HS256], audiences: [a] }
  staff: { local: { users_file: users.yaml } }
session:
  secret: [{ file: first }, { file: second }]
  store: { redis: { url: 'rediss://usher@127.0.0.1', password_file: redis, ca_file: redis.pem } }
pages: pages
translations: translations
sites:
  - host: app.test
    issuer: [company, keyed, fixed, legacy, staff]
    upstream:
      { url: 'https://127.0.0.1:9', ca_file: upstream.pem, client_certificate: presented.pem, client_key: presented.key }
    routes:
      - { path: /, upstream_authorization: { header: X-Token, value_file: token } }
      - { path: /basic/, upstream_authorization: { basic: { username: usher, password_file: basic } } }
  - host: ordered.test
    client_certificates: { ca_file: clients.pem, crl_file: revoked.pem }
    upstream: 'http://127.0.0.1:9'
    access: public
    routes: [{ path: / }]
";
    const SECRETS: [&str; 10] =
        ["client", "hmac", "first", "second", "redis", "token", "basic", "session", "admin", "eab"];
    const USERS: &str = "users: { alice: { password: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzYWx0c2FsdA$kGQ5XwZbhAYdJLhmL\
                         pvCNV9nxMFcm0WZx2dX1v7o0ZQ' } }\n";

    /// Everything that the configuration names, and it itself, as Kubernetes mounts them: each is a link to a file behind a
    /// link, which is turned.
    fn mounted(yaml: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let first = directory.path().join("v0");
        let write = |name: &str, text: &str| fs::write(first.join(name), text).unwrap();
        fs::create_dir_all(first.join("pages")).unwrap();
        fs::create_dir(first.join("translations")).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["app.test".into()]).unwrap().self_signed(&key).unwrap().pem();
        for name in ["site", "ca", "redis", "upstream", "presented"] {
            write(&format!("{name}.pem"), &certificate);
        }
        let mut clients = CertificateParams::new(Vec::new()).unwrap();
        clients.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        write("clients.pem", &clients.self_signed(&key).unwrap().pem());
        let revoked = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: vec![1].into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        write("revoked.pem", &revoked.signed_by(&Issuer::from_params(&clients, &key)).unwrap().pem().unwrap());
        for name in ["site.key", "presented.key", "client.key"] {
            write(name, &key.serialize_pem());
        }
        write("public.pem", &key.public_key_pem());
        write("headers", "X-Key: k3zQ0pZ9wX4mVb7Lq2RtY8uJ5nHc\n");
        for name in SECRETS {
            write(name, &format!("k3zQ0pZ9wX4mVb7Lq2RtY8uJ5nHc-{name}\n"));
        }
        write("users.yaml", USERS);
        write("pages/refusal.html", "{{ words.title }}");
        write("translations/de.yaml", "sign_in: Anmelden\n");
        write("usher.yaml", yaml);
        symlink("v0", directory.path().join("..data")).unwrap();
        for entry in fs::read_dir(&first).unwrap() {
            let name = entry.unwrap().file_name();
            symlink(Path::new("..data").join(&name), directory.path().join(&name)).unwrap();
        }
        directory
    }

    /// Turns the link to a copy of everything, in which one file says something else.
    fn turn(directory: &Path, to: &str, file: &Path) {
        let (from, next) = (fs::canonicalize(directory.join("..data")).unwrap(), directory.join(to));
        for below in ["", "pages", "translations"] {
            fs::create_dir_all(next.join(below)).unwrap();
            for entry in fs::read_dir(from.join(below)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::copy(&path, next.join(below).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        fs::write(next.join(file), changed(&next.join(file))).unwrap();
        symlink(to, directory.join("turning")).unwrap();
        fs::rename(directory.join("turning"), directory.join("..data")).unwrap();
    }

    fn changed(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default() + "\n"
    }

    /// Two looks, of which the second one finds a change if there is one.
    fn looked(source: &mut Source) -> (bool, bool) {
        assert_eq!(source.look(), (false, false), "it may be under way still");
        source.look()
    }

    fn followed(directory: &Path) -> (Source, Vec<PathBuf>) {
        let mut source = Source::new(Sources::file(directory.join("usher.yaml")));
        let files: Vec<_> = source.load(None).unwrap().files.into_iter().filter(|path| path.is_file()).collect();
        (source, files)
    }

    #[test]
    fn every_kind_of_file_is_followed_however_it_is_replaced() {
        let directory = mounted(YAML);
        let (mut source, mut files) = followed(directory.path());
        // Templates that are not there are not among what the configuration depends on, but may come.
        files.extend(["pages/refusal.html", "pages/layout.html"].map(|name| directory.path().join(name)));
        assert_eq!(files.len(), 26, "{files:?}");
        for (number, path) in files.iter().enumerate() {
            let name = path.strip_prefix(directory.path()).unwrap();
            let is_certificate = name.starts_with("site.pem") || name.starts_with("site.key");
            let expected = (!is_certificate, is_certificate);
            turn(directory.path(), &format!("v{}", number + 1), name);
            assert_eq!(looked(&mut source), expected, "a link is turned: {name:?}");
            fs::write(path, changed(path)).unwrap();
            assert_eq!(looked(&mut source), expected, "written in place: {name:?}");
            let beside = directory.path().join("written beside");
            fs::write(&beside, changed(path)).unwrap();
            fs::rename(&beside, path).unwrap();
            assert_eq!(looked(&mut source), expected, "an editor has renamed: {name:?}");
            // What was a link is a file from now on: the next one is looked at by itself.
            assert_eq!(looked(&mut source), (false, false), "once: {name:?}");
        }
    }

    #[test]
    fn no_key_for_a_file_is_forgotten_above() {
        fn keys(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
            if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
                found.extend(properties.keys().filter(|key| key.ends_with("_file")).cloned());
            }
            let members = schema.as_object().into_iter().flat_map(|map| map.values());
            members.chain(schema.as_array().into_iter().flatten()).for_each(|member| keys(member, found));
        }
        let mut found = BTreeSet::new();
        keys(schema::schema().as_value(), &mut found);
        // That of one secret is the same as a list of them.
        found.remove("secret_file");
        assert!(found.len() > 7, "{found:?}");
        for key in found {
            assert!(YAML.contains(&format!("{key}:")), "{key}");
        }
    }

    #[test]
    fn certificates_of_a_configuration_that_is_not_in_force_are_what_it_is_made_of_and_those_in_use_stay_watched() {
        let directory = mounted(YAML);
        let at = |name: &str| directory.path().join(name);
        let mut source = Source::new(Sources::file(at("usher.yaml")));
        let in_force = source.load(None).unwrap().config;
        let files = "certificates: [{ certificate: site.pem, key: site.key }]\n  acme: { agree_to_terms: true, hosts: ordered.test";
        let acme = "acme: { agree_to_terms: true, hosts: app.test";
        let next = files.replace("site.pem", "next.pem");
        fs::create_dir_all(at("state/acme")).unwrap();
        fs::copy(at("site.pem"), at("next.pem")).unwrap();
        for (other, wanted) in [(&*next, "next.pem"), (acme, "state/acme/app.test.pem")] {
            fs::write(at("usher.yaml"), YAML.replace(files, other)).unwrap();
            source.load(Some(&in_force)).unwrap();
            fs::write(at("site.pem"), changed(&at("site.pem"))).unwrap();
            assert_eq!(looked(&mut source), (false, true), "the one in use");
            fs::write(at(wanted), changed(&at(wanted))).unwrap();
            assert_eq!(looked(&mut source), (true, false), "{wanted}");
        }
    }

    #[test]
    fn a_certificate_that_is_an_authority_as_well_counts_as_both() {
        let directory = mounted(&YAML.replace("ca_file: ca.pem", "ca_file: site.pem"));
        let (mut source, _) = followed(directory.path());
        turn(directory.path(), "v1", Path::new("site.pem"));
        assert_eq!(looked(&mut source), (true, true));
    }
}
