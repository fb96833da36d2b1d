//! `listen.admin`: what it shows is for operators, so whoever else can reach it has to be kept out.

use std::net::SocketAddr;

use super::listen::address;
use super::secrets::Given;
use super::values::host_pattern;
use super::{Check, KeyPath, Mistake};
use crate::config::file::{self, TextOr};
use crate::config::{Admin, HostPattern, Secret};

/// Shorter ones could be guessed by whoever reaches the listener, which counts no attempts.
const SHORTEST_TOKEN: usize = 16;

const TOKEN: &str =
    "write admin: { address: 0.0.0.0:9901, token_file: … }, or listen on 127.0.0.1; openssl rand -hex 32 makes a token";

impl Check<'_> {
    /// The admin listener.
    pub(super) fn admin(&mut self, at: &KeyPath, mirror: &TextOr<String, file::Admin>) -> Option<Admin> {
        let keys = match mirror {
            TextOr::Text(text) => {
                let address = self.accept(at, address(text))?;
                self.guarded(at, address, &[], false);
                return Some(Admin { address, token: None, hosts: Vec::new() });
            }
            TextOr::Keys(keys) => keys,
        };
        let remedy = "write address: 127.0.0.1:9901";
        let address = self.needed(&at.key("address"), keys.address.as_deref(), address, remedy);
        let given = Given { at, key: "token", inline: keys.token.as_ref(), file: keys.token_file.as_ref() };
        let token = self.strong_secret(&given).and_then(|(at, token)| {
            let presentable = presentable(&token);
            self.accept(&at, presentable).map(|()| token)
        });
        let hosts = match &keys.hosts {
            Some(hosts) => self.each(&at.key("hosts"), hosts, |text| name(text), "name a host, or take the key out"),
            None => Vec::new(),
        };
        let address = address?;
        self.guarded(&at.key("address"), address, &[at.key("token"), at.key("token_file")], given.is_given());
        Some(Admin { address, token, hosts })
    }

    /// The page and the metrics name hosts, routes and people's requests.
    fn guarded(&mut self, at: &KeyPath, address: SocketAddr, depends: &[KeyPath], has_token: bool) {
        if !has_token && !address.ip().to_canonical().is_loopback() {
            let message =
                "can be reached from other machines, and nothing says who may read metrics and the status page";
            self.report.conflict(at, depends, message, TOKEN);
        }
    }
}

/// A header and a browser's form for passwords take it as it is.
fn presentable(token: &Secret) -> Result<(), Mistake> {
    let token = token.expose();
    if token.len() < SHORTEST_TOKEN {
        let message = format!("is shorter than {SHORTEST_TOKEN} characters");
        return Err(Mistake::new(message, "make one with: openssl rand -hex 32"));
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        let message = "has characters that a header does not take";
        return Err(Mistake::new(message, "make one with: openssl rand -hex 32"));
    }
    Ok(())
}

fn name(text: &str) -> Result<String, Mistake> {
    match host_pattern(text)? {
        HostPattern::Exact(host) => Ok(host),
        HostPattern::OneLabel(_) => Err(Mistake::new("must be one name", "write each name by itself")),
    }
}
