//! `session.store`.

use url::Url;

use super::issuers::CheckedIssuers;
use super::secrets::Given;
use super::{Check, KeyPath, Mistake};
use crate::config::file::{self, OneOrMany, TextOr};
use crate::config::{Arrangement, Redis, SessionStore, defaults};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// What a URL of the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    tls: bool,
    host: String,
    port: Option<u16>,
    user: Option<String>,
    database: u16,
}

impl Check<'_> {
    /// `session` is where the keys of the session are, `secret` says whether it has a secret of its own.
    pub(super) fn store(
        &mut self,
        session: &KeyPath,
        mirror: Option<&TextOr<String, file::Store>>,
        secret: bool,
    ) -> SessionStore {
        let at = session.key("store");
        let mirror = match mirror {
            None => return SessionStore::Memory,
            Some(TextOr::Text(name)) => {
                if name != "memory" {
                    self.report.problem(&at, "is not a store", "write memory, or redis: { url: redis://… }");
                }
                return SessionStore::Memory;
            }
            Some(TextOr::Keys(file::Store { redis: Some(redis) })) => redis,
            Some(TextOr::Keys(file::Store { redis: None })) => {
                self.report.absent(&at.key("redis"), "is missing", "write redis: { url: … }, or store: memory");
                return SessionStore::Memory;
            }
        };
        if !secret {
            let depends = [session.key("secret"), session.key("secret_file")];
            let remedy = "give all instances the same secret: make one with openssl rand -base64 48";
            self.report.conflict(&at, &depends, "needs a session secret, which seals what is stored", remedy);
        }
        self.redis(&at.key("redis"), mirror).map_or(SessionStore::Memory, |redis| SessionStore::Redis(Box::new(redis)))
    }

    /// What each instance has for itself, although a store that is shared says that there may be several. One instance may use
    /// such a store as well, so this is no problem in itself.
    pub(super) fn of_one_instance(&mut self, store: &SessionStore, issuers: &CheckedIssuers<'_>, asserts: bool) {
        if *store == SessionStore::Memory {
            return;
        }
        for name in issuers.local_names() {
            self.report.note(
                &KeyPath::root().key("issuers").key(name).key("local"),
                "has keys and sessions of each instance's own, though session.store is shared: where several instances run, what \
                 one gives out is refused by the others, and people are signed out; run one, or sign in elsewhere",
            );
        }
        if asserts {
            self.report.note(
                &KeyPath::root().key("state_directory"),
                "has a key for assertions that each instance makes for itself: where several run, give all of them the same \
                 assertion-key.pem",
            );
        }
    }

    fn redis(&mut self, at: &KeyPath, mirror: &file::Redis) -> Option<Redis> {
        let arrangement = self.arrangement(at, mirror);
        let servers = self.servers(at, mirror.url.as_ref(), &arrangement);
        let given = Given { at, key: "password", inline: None, file: mirror.password_file.as_ref() };
        let password = self.secret(&given).map(|(_, password)| password);
        let timeout = self.time(&at.key("timeout"), mirror.timeout, defaults::STORE_TIMEOUT);
        let prefix = mirror.prefix.as_deref().unwrap_or(defaults::STORE_PREFIX);
        let prefix = self.accept(&at.key("prefix"), key_prefix(prefix))?;
        let Server { tls, user, database, .. } = servers.first()?.clone();
        let ca = match &mirror.ca_file {
            Some(path) if tls => self.certificate_authorities(&at.key("ca_file"), path),
            Some(_) => {
                let remedy = "write rediss:// for TLS, or take ca_file out";
                let depends = [at.key("ca_file"), at.key("url")];
                self.report.conflict(&at.key("ca_file"), &depends, "is given, but the URL is without TLS", remedy);
                None
            }
            None => None,
        };
        if let (Some(_), Some(password)) = (&user, password.is_none().then(|| at.key("password_file"))) {
            self.report.absent(
                &password,
                "is missing, which the user of the URL needs",
                "name a file with the password",
            );
        }
        let port = if matches!(arrangement, Arrangement::Sentinel(_)) { SENTINEL_PORT } else { PORT };
        let servers = servers.into_iter().map(|server| (server.host, server.port.unwrap_or(port))).collect();
        Some(Redis { arrangement, servers, tls, user, password, database, ca, timeout, prefix })
    }

    fn arrangement(&mut self, at: &KeyPath, mirror: &file::Redis) -> Arrangement {
        match (&mirror.sentinel, mirror.cluster.unwrap_or(false)) {
            (None, false) => Arrangement::Single,
            (None, true) => Arrangement::Cluster,
            (Some(name), false) => Arrangement::Sentinel(name.clone()),
            (Some(_), true) => {
                let remedy = "keep one of the two: Sentinels are for servers outside of a Cluster";
                self.report.conflict(&at.key("sentinel"), &[at.key("cluster")], "is given beside cluster", remedy);
                Arrangement::Cluster
            }
        }
    }

    fn servers(&mut self, redis: &KeyPath, urls: Option<&OneOrMany<String>>, arrangement: &Arrangement) -> Vec<Server> {
        let at = &redis.key("url");
        let remedy = "name the server, as in rediss://user@redis:6379/0";
        let Some(urls) = urls else {
            self.report.absent(at, "is missing", remedy);
            return Vec::new();
        };
        if urls.is_list && urls.values.len() > 1 && *arrangement == Arrangement::Single {
            let depends = [at.clone(), redis.key("sentinel"), redis.key("cluster")];
            let remedy = "say what they are: sentinel: NAME, or cluster: true";
            self.report.conflict(at, &depends, "names several servers", remedy);
        }
        let servers = if urls.is_list {
            self.each(at, &urls.values, |url| server(url), remedy)
        } else {
            urls.values.iter().filter_map(|url| self.accept(at, server(url))).collect()
        };
        let Some(first) = servers.first() else { return servers };
        let alike =
            |server: &Server| (server.tls, &server.user, server.database) == (first.tls, &first.user, first.database);
        if !servers.iter().all(alike) {
            self.report.problem(at, "names servers that differ", "give all URLs one scheme, user and database");
        }
        if first.database != 0 && *arrangement == Arrangement::Cluster {
            let depends = [redis.key("sentinel")];
            let message = "names a database, which a Cluster does not have";
            self.report.conflict(at, &depends, message, "end the URLs behind the port");
        }
        servers
    }
}

fn server(text: &str) -> Result<Server, Mistake> {
    let mistake = || Mistake::new("is not the URL of a Redis", "write it as redis://host:6379, or rediss://… with TLS");
    let url = Url::parse(text).map_err(|_| mistake())?;
    let tls = match url.scheme() {
        "redis" => false,
        "rediss" => true,
        _ => return Err(mistake()),
    };
    if url.password().is_some() {
        return Err(Mistake::new("has a password in the URL", "put it into a file and name that as password_file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Mistake::new("has more than a path in the URL", "end it behind the number of the database"));
    }
    let database = match url.path().trim_matches('/') {
        "" => 0,
        number => {
            number.parse().map_err(|_| Mistake::new("names no database by number", "write it as redis://host/0"))?
        }
    };
    let user = percent_encoding::percent_decode_str(url.username()).decode_utf8().map_err(|_| mistake())?;
    let user = (!user.is_empty()).then(|| user.into_owned());
    // Brackets are how a URL writes an IPv6 address, not a part of it.
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(mistake)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Server { tls, host, port: url.port(), user, database })
}

/// Braces would put all keys into one slot of a Cluster.
fn key_prefix(prefix: &str) -> Result<String, Mistake> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if !prefix.is_empty() && prefix.len() <= 64 && prefix.bytes().all(allowed) {
        Ok(prefix.to_owned())
    } else {
        Err(Mistake::new("is not a prefix for keys", "write up to 64 letters, digits and any of - _ . : /"))
    }
}
