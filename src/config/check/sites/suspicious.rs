//! What is valid, and yet looks like a mistake: worth a warning, and never an error.

use super::super::Check;
use super::SiteContext;
use super::layer::{Layer, Required};
use super::order::Candidate;
use crate::config::check::values::covers;
use crate::config::{Access, PathPattern, Route};

impl Check<'_> {
    pub(super) fn suspicious(&mut self, site: &SiteContext<'_>, layer: &Layer, candidates: &[Candidate]) {
        self.literal(candidates);
        self.open_around(candidates);
        self.unheard(layer, candidates);
        self.without_cookies(site, candidates);
    }

    /// Everything is open that nobody has thought of, and an application often has a second address for the same thing. The
    /// other way round is how it is meant: the site is closed, and what is public is named.
    fn open_around(&mut self, candidates: &[Candidate]) {
        for Candidate { route: open, at } in candidates.iter().filter(|open| is_public_prefix(&open.route)) {
            let closed = candidates.iter().find(|closed| {
                let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = &closed.route.path;
                closed.route.access == Access::Required
                    && closed.route.path != open.path
                    && closed.route.upstream == open.upstream
                    && covers(&open.path, path, open.ignore_case)
            });
            if let Some(closed) = closed {
                let message = format!(
                    "is public and covers {}, which is not: whatever the application serves at another address is open. \
                     Close it, and name what is public",
                    closed.route.path
                );
                self.report.warn(&at.key("access"), message);
            }
        }
    }

    /// A segment that many routers would take for whatever stands there.
    fn literal(&mut self, candidates: &[Candidate]) {
        for Candidate { route, at } in candidates {
            let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = &route.path;
            if path.contains("/:") {
                let message = "has a segment that begins with a colon, and covers no other: there are no patterns, and what was \
                               meant falls under another route";
                self.report.warn(&at.key("path"), message);
            }
        }
    }

    /// A condition of the site that every route has opened.
    fn unheard(&mut self, layer: &Layer, candidates: &[Candidate]) {
        let Some(require) = layer.require.as_ref().filter(|require| !Required::is_nothing(&require.value)) else {
            return;
        };
        let counts = |candidate: &Candidate| candidate.route.access == Access::Required;
        if !candidates.is_empty() && !candidates.iter().any(counts) {
            self.report.warn(&require.at, "never counts: no route of the site has access: required");
        }
    }

    /// Cookies are `SameSite=Lax`, so a browser sends none with what a script of another site fetches.
    fn without_cookies(&mut self, site: &SiteContext<'_>, candidates: &[Candidate]) {
        let mut told: Vec<&str> = Vec::new();
        for Candidate { route, at } in candidates {
            if !route.cors || route.access == Access::Public {
                continue;
            }
            for origin in &route.allowed_origins {
                if is_of_another_site(origin, site.host) && !told.contains(&origin.as_str()) {
                    told.push(origin);
                    let message = format!(
                        "lets scripts of {origin} ask, which is another site: browsers send no session cookies with that \
                         (SameSite=Lax), so only a bearer token can authenticate it"
                    );
                    self.report.warn(&at.key("allowed_origins"), message);
                }
            }
        }
    }
}

fn is_public_prefix(route: &Route) -> bool {
    route.access == Access::Public && route.login.is_none() && matches!(route.path, PathPattern::Prefix(_))
}

/// Whether it certainly is one. Where registrations end is not known here, so whoever shares the last two labels may be of
/// the same site; a page over plain http is of another one in any case.
fn is_of_another_site(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let name = authority.split(':').next().unwrap_or_default();
    let ending = |name: &str| name.rsplit('.').take(2).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    scheme == "http" || ending(name) != ending(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_site_is_told_from_a_sibling() {
        for (origin, other) in [
            ("https://spa.example.com", false),
            ("https://example.com:8443", false),
            ("http://spa.example.com", true),
            ("https://example.org", true),
            ("https://app.example.com.evil.test", true),
        ] {
            assert_eq!(is_of_another_site(origin, "app.example.com"), other, "{origin}");
        }
    }
}
