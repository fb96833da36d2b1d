//! `session`: the secret, how long sessions last, and the store.

use url::Url;

use super::durations::{seconds, written};
use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};
use crate::commands::import::yaml::{self, Yaml};

const SECRET: &str = "/run/secrets/usher_session";
const PASSWORD: &str = "/run/secrets/usher_redis";

pub(super) fn write(options: &mut Options, yaml: &mut Yaml, notes: &mut Notes) {
    yaml.line("session:");
    let given = [options.take("cookie_secret"), options.take("cookie_secret_file")].into_iter().flatten().next();
    let origin =
        given.map_or("in place of cookie_secret".to_owned(), |given| format!("in place of {}", given.origin()));
    yaml.of(format!("  secret_file: {SECRET}"), origin);
    notes.remains(format!("make a new session secret: openssl rand -base64 48 > {SECRET}"));
    expiry(options, yaml, notes);
    let is_redis = options.take("session_store_type").is_some_and(|given| given.text() == "redis");
    redis(options, is_redis, yaml, notes);
}

fn expiry(options: &mut Options, yaml: &mut Yaml, notes: &mut Notes) {
    let given = options.take("cookie_expire");
    let origin = given.as_ref().map_or("the default of cookie_expire".to_owned(), Given::origin);
    let time = given.as_ref().map_or(Some(168 * 3600), |given| seconds(given.text()));
    match (time, &given) {
        (Some(1..), _) => {
            let time = time.map(written).unwrap_or_default();
            yaml.of(format!("  idle_timeout: {time}"), origin);
            yaml.line(format!("  absolute_timeout: {time}"));
        }
        (Some(0), Some(given)) => {
            notes.left_out(
                given,
                "cookies here last as long as the session: 8h idle and 30d in all, unless session says otherwise",
            );
        }
        (_, Some(given)) => notes.left_out(given, "is no duration; write idle_timeout and absolute_timeout"),
        _ => {}
    }
}

fn redis(options: &mut Options, is_redis: bool, yaml: &mut Yaml, notes: &mut Notes) {
    let [single, sentinels, cluster] =
        ["redis_connection_url", "redis_sentinel_connection_urls", "redis_cluster_connection_urls"]
            .map(|name| options.take(name));
    let [use_sentinel, use_cluster] =
        ["redis_use_sentinel", "redis_use_cluster"].map(|name| options.take(name).is_some_and(|given| given.is_true()));
    let (master, password) = (options.take("redis_sentinel_master_name"), options.take("redis_password"));
    let (user, ca) = (options.take("redis_username"), options.take("redis_ca_path"));
    if !is_redis {
        notes.remains(
            "name a state_directory that outlives restarts, such as /var/lib/usher: without one, a restart forgets who has signed \
             out, and a copy of their cookies counts again",
        );
        for given in [single, sentinels, cluster, master, password, user, ca].into_iter().flatten() {
            notes.left_out(&given, "counts with session_store_type = \"redis\" only, and did not before either");
        }
        return;
    }
    let urls = if use_sentinel {
        sentinels
    } else if use_cluster {
        cluster
    } else {
        single
    };
    let Some(urls) = urls else {
        notes
            .by_default("redis_connection_url", "is missing, so sessions stay in cookies; write session.store by hand");
        return;
    };
    let user = user.as_ref().map(Given::text);
    let Some(addresses) = urls.list().into_iter().map(|url| address(url, user)).collect::<Option<Vec<_>>>() else {
        notes.left_out(
            &urls,
            "is no redis:// or rediss:// URL, so sessions stay in cookies; write session.store by hand",
        );
        return;
    };
    let has_password = password.is_some() || addresses.iter().any(|(_, secret)| *secret);
    let addresses: Vec<_> = addresses.iter().map(|(url, _)| url.as_str()).collect();
    yaml.of("  tokens: store", "a key in the cookie, the tokens in Redis, as it was");
    yaml.line("  store:");
    yaml.line("    redis:");
    yaml.of(format!("      url: {}", yaml::list(addresses)), urls.origin());
    if let Some(master) = master.filter(|_| use_sentinel) {
        yaml.of(format!("      sentinel: {}", yaml::text(master.text())), master.origin());
    }
    if use_cluster {
        yaml.line("      cluster: true");
    }
    if has_password {
        let from = password.unwrap_or(urls);
        yaml.of(format!("      password_file: {PASSWORD}"), from.origin());
        notes.remains(format!("put the password of Redis, line {}, into {PASSWORD}", from.line));
    }
    if let Some(ca) = ca {
        yaml.of(format!("      ca_file: {}", yaml::text(ca.text())), ca.origin());
    }
}

/// The URL without its password, and whether it has one.
fn address(url: &str, user: Option<&str>) -> Option<(String, bool)> {
    let mut url = Url::parse(url).ok().filter(|url| ["redis", "rediss"].contains(&url.scheme()) && url.has_host())?;
    let secret = url.password().is_some();
    url.set_password(None).ok()?;
    if let Some(user) = user {
        url.set_username(user).ok()?;
    }
    url.set_query(None);
    Some((url.to_string(), secret))
}
