//! The sites as browsers find them: their names, and what the rules of cookies make of them.

use super::Trial;
use super::finding::Finding;
use super::names;
use crate::config::{Access, Config, Cookies, HostPattern, Site};

/// Whether browsers keep and send what Usher sets, site by site. Those that nobody signs in to have none.
pub(super) fn cookies(config: &Config) -> Vec<Finding> {
    let signs_in = |site: &&Site| site.routes.iter().any(|route| route.access != Access::Public);
    config.sites.iter().filter(signs_in).map(|site| of_site(config, site)).collect()
}

fn of_site(config: &Config, site: &Site) -> Finding {
    const CHECK: &str = "cookies";
    let of = site.host.to_string();
    let names = match &config.session.cookies {
        Cookies::Sealed => "__Host-usher-access and __Host-usher-refresh".to_owned(),
        Cookies::Stored => "__Host-usher-session".to_owned(),
        Cookies::Raw { access, refresh } => {
            let found = format!(
                "{access} and {refresh} are the existing service's: it must set them with Secure, HttpOnly and Path=/"
            );
            return Finding::note(CHECK, of, found);
        }
    };
    let wide = matches!(site.host, HostPattern::OneLabel(_));
    let own = if wide { "each host has its own: people sign in to each" } else { "for this host alone" };
    if config.listen.https.is_empty() {
        let found = format!("{names}, {own}; browsers keep them over https only, which the proxy in front must speak");
        return Finding::note(CHECK, of, found);
    }
    Finding::ok(CHECK, of, format!("{names}, over https, {own}"))
}

/// Where the names of the sites lead. One that does not resolve here may do so where the browsers are.
pub(super) fn trials(config: &Config) -> Vec<Trial<'_>> {
    let names = config.sites.iter().filter_map(|site| match &site.host {
        HostPattern::Exact(host) if !host.starts_with('[') && host.parse::<std::net::IpAddr>().is_err() => Some(host),
        HostPattern::Exact(_) | HostPattern::OneLabel(_) => None,
    });
    names.map(|host| Trial::new("site.dns", host, name(host))).collect()
}

async fn name(host: &str) -> Vec<Finding> {
    vec![match names::resolve(host).await {
        Ok(addresses) => Finding::ok("site.dns", host, addresses),
        Err(_) => Finding::note("site.dns", host, "does not resolve here: it must where the browsers are"),
    }]
}
