//! `upstream` and `routes`: which path goes where, and which of them are open or are for programs.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::paths::{Plain, plain};
use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};
use crate::commands::import::yaml::{self, Yaml};

/// All paths that are not just like the one above them.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// By path: `/` or a prefix ends in a slash.
    upstreams: BTreeMap<String, (String, String)>,
    paths: BTreeMap<String, Path>,
}

/// What is said about a path.
#[derive(Debug, Default)]
struct Path {
    /// Everybody may, with any method.
    is_open: bool,
    /// Everybody may, with these.
    open_methods: BTreeSet<String>,
    /// Programs live there.
    is_for_programs: bool,
    origins: Vec<String>,
}

impl Path {
    /// It is there because an exact path wins over the prefix of this name.
    fn says_nothing(&self) -> bool {
        !self.is_for_programs && !self.opens()
    }

    fn opens(&self) -> bool {
        self.is_open || !self.open_methods.is_empty()
    }
}

impl Routes {
    pub(super) fn of(options: &mut Options, notes: &mut Notes) -> Self {
        let mut routes = Self::default();
        if let Some(given) = options.take("upstreams") {
            for text in given.list() {
                routes.upstream(text, &given, notes);
            }
        }
        for given in ["skip_auth_routes", "skip_auth_regex"].into_iter().filter_map(|name| options.take(name)) {
            for pattern in given.list() {
                routes.open(pattern, &given, notes);
            }
        }
        if let Some(given) = options.take("api_routes") {
            for pattern in given.list() {
                routes.for_programs(pattern, &given, notes);
            }
        }
        routes.keep_what_is_served(notes);
        if routes.paths.iter().any(|(path, said)| path.ends_with('/') && said.opens()) {
            let why = "oauth2-proxy, since 7.15.5, asks for a sign-in where ; or an encoded ? or # is in such a path; here it is \
                       open as well, for whatever an application makes of it is below the same name, or else it is refused";
            notes.about("open paths that end in a slash".to_owned(), why);
        }
        routes
    }

    /// Whether there is no application behind: another proxy asks.
    pub(super) fn is_without_upstream(&self) -> bool {
        self.upstreams.is_empty()
    }

    fn upstream(&mut self, text: &str, given: &Given, notes: &mut Notes) {
        if let Some(socket) = text.strip_prefix("unix://") {
            let socket = socket.split(':').next().unwrap_or(socket);
            self.upstreams.insert("/".to_owned(), (format!("unix:{socket}"), given.origin()));
            return;
        }
        let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let Some(url) = url else {
            let scheme = text.split_once("://").map_or("without a scheme", |(scheme, _)| scheme);
            let why = match scheme {
                "file" => "files are not served: put a web server behind, and name it as upstream",
                "static" => {
                    "there are no fixed answers; where this is all there is, another proxy asks: see examples/forward-auth"
                }
                _ => "is no http://, https:// or unix:// address",
            };
            notes.left_out(given, format!("{scheme}: {why}"));
            return;
        };
        let mut address = url.clone();
        address.set_path("");
        address.set_query(None);
        address.set_fragment(None);
        if address.username() != "" || address.password().is_some() {
            notes.left_out(given, "has credentials in it; send them with upstream_authorization");
            let _ = (address.set_username(""), address.set_password(None));
        }
        let address = (address.as_str().trim_end_matches('/').to_owned(), given.origin());
        if self.upstreams.insert(url.path().to_owned(), address).is_some() {
            notes.left_out(given, format!("{} is there twice: the last one is kept", url.path()));
        }
    }

    /// `METHOD=pattern`, `METHOD!=pattern` or the pattern alone.
    fn open(&mut self, text: &str, given: &Given, notes: &mut Notes) {
        let is_method = |method: &str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic());
        let (method, pattern) = match text.split_once('=') {
            Some((method, pattern)) if given.name == "skip_auth_routes" && is_method(method) => (Some(method), pattern),
            Some((method, _)) if given.name == "skip_auth_routes" && method.ends_with('!') => {
                notes.left_out(given, format!("{text} opens everything else, which is refused: name what is open"));
                return;
            }
            _ => (None, text),
        };
        let method = method.map(str::to_ascii_uppercase);
        if method.as_deref().is_some_and(|method| ["TRACE", "CONNECT"].contains(&method)) {
            notes.left_out(given, format!("{text} is for a method that is not forwarded"));
            return;
        }
        let Some(path) = self.path(pattern, given, "stays closed", notes) else { return };
        match method {
            Some(method) => drop(path.open_methods.insert(method)),
            None => path.is_open = true,
        }
    }

    fn for_programs(&mut self, pattern: &str, given: &Given, notes: &mut Notes) {
        if let Some(path) = self.path(pattern, given, "is answered by the kind of request, as everything", notes) {
            path.is_for_programs = true;
        }
    }

    /// The entry of a pattern's path. A prefix that the pattern leaves out itself gets an entry that says nothing: an exact
    /// path wins, so that it stays what it was.
    fn path(&mut self, pattern: &str, given: &Given, otherwise: &str, notes: &mut Notes) -> Option<&mut Path> {
        let Plain { path, not_itself, is_narrower } = match plain(pattern) {
            Ok(plain) => plain,
            Err(why) => {
                notes.left_out(given, format!("{pattern} {why}: it {otherwise}; write the paths as routes"));
                return None;
            }
        };
        if is_narrower {
            notes.left_out(
                given,
                format!("{pattern} matches more than {path}, which is written; add what else is meant"),
            );
        }
        if let Some(itself) = not_itself {
            self.paths.entry(itself).or_default().origins.push(given.origin());
        }
        let entry = self.paths.entry(path).or_default();
        entry.origins.push(given.origin());
        Some(entry)
    }

    /// Nothing was served where there is no upstream; a route would be in the way of nothing.
    fn keep_what_is_served(&mut self, notes: &mut Notes) {
        if self.is_without_upstream() {
            return;
        }
        let upstreams: Vec<_> = self.upstreams.keys().cloned().collect();
        self.paths.retain(|path, said| {
            // What only keeps a prefix from opening the name of its directory must stay, though nothing was served there.
            let below = if said.says_nothing() { format!("{path}/") } else { path.clone() };
            let is_served = upstreams.iter().any(|upstream| covers(upstream, path) || covers(upstream, &below));
            if !is_served {
                let origins = said.origins.join(", ");
                notes.about(format!("{path} ({origins})"), "no upstream serves it, so there is no route for it");
            }
            is_served
        });
    }

    pub(super) fn write(&self, yaml: &mut Yaml) {
        let site = self.upstreams.get("/").or_else(|| self.upstreams.values().next());
        if let Some((address, origin)) = site {
            yaml.of(format!("    upstream: {}", yaml::text(address)), origin.clone());
        }
        yaml.line("    routes:");
        let mut paths: BTreeSet<&String> = self.upstreams.keys().chain(self.paths.keys()).collect();
        let everything = "/".to_owned();
        if self.is_without_upstream() {
            paths.insert(&everything);
        }
        for path in paths {
            self.route(path, site, yaml);
        }
    }

    fn route(&self, path: &str, site: Option<&(String, String)>, yaml: &mut Yaml) {
        let nothing = Path::default();
        let said = self.paths.get(path).unwrap_or(&nothing);
        let upstream = self.upstream_of(path).filter(|upstream| Some(*upstream) != site);
        let keys = upstream.map(|(address, _)| format!(", upstream: {}", yaml::text(address))).unwrap_or_default();
        let mut origins = said.origins.clone();
        origins.extend(self.upstreams.get(path).map(|(_, origin)| origin.clone()));
        origins.dedup();
        let origin = if origins.is_empty() { "everything else".to_owned() } else { origins.join(", ") };
        let written = yaml::text(path);
        if said.is_open || self.is_below_an_open_one(path) {
            yaml.of(format!("      - {{ path: {written}, access: public{keys} }}"), origin);
            return;
        }
        let status = if said.is_for_programs { ", unauthenticated: status" } else { "" };
        let methods: Vec<&str> = said.open_methods.iter().map(String::as_str).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            let why = "a route for GET serves HEAD too, which was not open";
            yaml.of(format!("      - {{ path: {written}, methods: [HEAD]{status}{keys} }}"), why);
        }
        if !methods.is_empty() {
            let methods = yaml::list(methods.iter().copied());
            yaml.of(format!("      - {{ path: {written}, methods: {methods}, access: public{keys} }}"), origin.clone());
        }
        yaml.of(format!("      - {{ path: {written}{status}{keys} }}"), origin);
    }

    /// What was open by a pattern further up stays open where another option names a path of its own.
    fn is_below_an_open_one(&self, path: &str) -> bool {
        self.paths.iter().any(|(open, said)| said.is_open && open.ends_with('/') && path.starts_with(open))
    }

    /// The one whose path is the longest that covers this one.
    fn upstream_of(&self, path: &str) -> Option<&(String, String)> {
        let covering = self.upstreams.iter().filter(|(upstream, _)| covers(upstream, path));
        covering.max_by_key(|(upstream, _)| upstream.len()).map(|(_, address)| address)
    }
}

/// A path with a slash at its end covers what is below; any other only itself.
fn covers(upstream: &str, path: &str) -> bool {
    upstream == path || upstream.ends_with('/') && path.starts_with(upstream)
}
