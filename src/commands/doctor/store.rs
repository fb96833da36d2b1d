//! The store that instances share: whether it can be reached and takes writes, and what it forgets.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::finding::{Finding, told};
use super::remedy::{self, Keys};
use crate::clock::Clock;
use crate::config::{Arrangement, Cookies, Redis, Session, SessionStore};
use crate::session::shared::{Connection, Examination, Unusable};

const CHECK: &str = "session.store";
const KEYS: Keys = Keys { ca: "session.store.redis.ca_file", server_name: None };

const RIGHTS: &str =
    "give its user the rights that the README lists, and with tokens: store those of sessions in the store";

/// Connects, tries what Usher asks of it on keys that go within a second, and asks the server what it is.
pub(super) async fn examine(session: &Session, clock: &Clock) -> Vec<Finding> {
    let SessionStore::Redis(redis) = &session.store else {
        return vec![Finding::ok(CHECK, "", "the memory of the process, which no other instance shares")];
    };
    let (of, lists) = (servers(redis), matches!(session.cookies, Cookies::Stored));
    match Connection::new((**redis).clone(), clock.clone()).examine(lists).await {
        Ok(found) => {
            let mut findings = vec![reached(&found, redis, &of)];
            findings.extend(eviction(&found, &of));
            findings
        }
        Err(error) => vec![Finding::failed(CHECK, of, told(&error), unusable(&error))],
    }
}

/// Never with the user or the password.
fn servers(redis: &Redis) -> String {
    redis.servers.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(", ")
}

fn reached(found: &Examination, redis: &Redis, of: &str) -> Finding {
    let Some(first) = found.servers.first() else { return Finding::ok(CHECK, of, "takes writes") };
    // Of a Cluster everybody has answered, replicas included, and writes go to where they belong.
    if redis.arrangement != Arrangement::Cluster && first.role != "master" {
        let remedy = "name the master: what is written to a replica is lost when it next copies its master";
        return Finding::failed(CHECK, of, "is a replica, though one that takes writes", remedy);
    }
    let role = if redis.arrangement == Arrangement::Cluster { "a Cluster" } else { "a master" };
    Finding::ok(CHECK, of, format!("takes writes; {role}, version {}", first.version))
}

fn eviction(found: &Examination, of: &str) -> Vec<Finding> {
    const EVICTION: &str = "session.store.eviction";
    if found.servers.is_empty() {
        let found = "not known: the user may not ask (INFO); see that maxmemory-policy is noeviction";
        return vec![Finding::note(EVICTION, of, found)];
    }
    match found.servers.iter().find(|server| server.eviction != "noeviction") {
        None => vec![Finding::ok(EVICTION, of, "noeviction: nothing is forgotten when it is full")],
        Some(server) if server.limit == 0 => {
            let found = format!("{}, but there is no maxmemory from which on it counts", server.eviction);
            vec![Finding::note(EVICTION, of, found)]
        }
        Some(server) => {
            let found = format!("{}: when it is full, sign-outs and spent tokens are forgotten", server.eviction);
            vec![Finding::warning(EVICTION, of, found, "set maxmemory-policy noeviction")]
        }
    }
}

fn unusable(error: &Unusable) -> String {
    let redis = match error {
        Unusable::TookTooLong => {
            return "see whether it answers, and whether a firewall is between here and there".to_owned();
        }
        // In a script, the want of a right is an error without a code of its own.
        Unusable::RefusedCommand(_) => return RIGHTS.to_owned(),
        Unusable::Refused(redis) => redis,
    };
    let refused = by_code(redis).map(str::to_owned);
    refused.or_else(|| remedy::of_tls(error, &KEYS)).unwrap_or_else(|| remedy::of_socket(error).to_owned())
}

fn by_code(error: &RedisError) -> Option<&'static str> {
    match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            Some("it is a replica: name the master, or the Sentinels that know where it is")
        }
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            Some("correct the user in session.store.redis.url and the password in password_file")
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) | (_, Some("NOPERM")) => Some(RIGHTS),
        (_, Some("OOM")) => Some("it is full: raise maxmemory, or see who else writes there"),
        (_, Some("MISCONF")) => Some("it cannot save to its disk: see its log"),
        (_, Some("NOREPLICAS")) => Some("it wants more replicas than it has (min-replicas-to-write): bring them back"),
        (_, Some("LOADING")) => Some("it is starting: wait until it has read its disk"),
        (_, Some("MASTERDOWN")) => Some("it is a replica without a master: bring that back"),
        _ => None,
    }
}
