//! `listen`, `tls` and `trusted_proxies`.

use std::net::SocketAddr;

use crate::commands::import::notes::Notes;
use crate::commands::import::options::{Given, Options};
use crate::commands::import::yaml::{self, Yaml};

const HTTP: &str = "127.0.0.1:4180";
const HTTPS: &str = "0.0.0.0:443";
/// Where a proxy that runs beside comes from.
const LOOPBACK: &str = "[127.0.0.1, \"::1\"]";

/// `is_asked`: there is no application behind, another proxy asks about each request.
pub(super) fn write(options: &mut Options, is_asked: bool, yaml: &mut Yaml, notes: &mut Notes) {
    let (http, https) = (options.take("http_address"), options.take("https_address"));
    let pair = (options.take("tls_cert_file"), options.take("tls_key_file"));
    let force = options.take("force_https").filter(Given::is_true);
    let proxies = options.take("trusted_proxy_ips");
    let behind = options.take("reverse_proxy").filter(Given::is_true);
    if let Some(header) = options.take("real_client_ip_header")
        && !header.text().eq_ignore_ascii_case("x-forwarded-for")
    {
        let why =
            "the client's address is read from X-Forwarded-For or Forwarded; let the proxy in front send one of them";
        notes.left_out(&header, why);
    }
    yaml.line("listen:");
    if let (Some(certificate), Some(key)) = &pair {
        let at = https.as_ref().map_or(HTTPS.to_owned(), |given| address(given, HTTPS, notes));
        yaml.of(
            format!("  https: {}", yaml::text(&at)),
            https.map_or("the default of https_address".into(), |given| given.origin()),
        );
        if let Some(given) = http.as_ref().or(force.as_ref()) {
            let at = http.as_ref().map_or(HTTP.to_owned(), |given| address(given, HTTP, notes));
            yaml.of(format!("  http: {}", yaml::text(&at)), format!("{}; it redirects to https", given.origin()));
        }
        asks(is_asked, yaml);
        yaml.line("tls:");
        yaml.line("  certificates:");
        yaml.of(format!("    - certificate: {}", yaml::text(certificate.text())), certificate.origin());
        yaml.of(format!("      key: {}", yaml::text(key.text())), key.origin());
        if is_asked || behind.is_some() {
            trusted(proxies.as_ref(), behind.is_none(), yaml, notes);
        } else if let Some(given) = proxies {
            notes.left_out(&given, "counts with reverse_proxy only, and did not before either");
        }
        return;
    }
    let at = http.as_ref().map_or(HTTP.to_owned(), |given| address(given, HTTP, notes));
    let origin = http.map_or("the default of http_address".to_owned(), |given| given.origin());
    yaml.of(format!("  plain: {}", yaml::text(&at)), origin);
    asks(is_asked, yaml);
    if let Some(https) = https {
        notes.left_out(&https, "there is no tls_cert_file with tls_key_file, so it was not listened at");
    }
    let is_beside = at.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
    trusted(proxies.as_ref(), is_beside, yaml, notes);
}

fn asks(is_asked: bool, yaml: &mut Yaml) {
    if is_asked {
        yaml.of("  verify: 127.0.0.1:4181", "here the proxy asks; see examples/forward-auth");
    }
    yaml.of("  admin: 127.0.0.1:9901", "in place of ping_path and ready_path: /healthz, /readyz");
}

/// Without TLS, only these are served: browsers would not keep the cookies.
fn trusted(proxies: Option<&Given>, is_beside: bool, yaml: &mut Yaml, notes: &mut Notes) {
    if let Some(given) = proxies {
        yaml.of(format!("trusted_proxies: {}", yaml::list(given.list())), given.origin());
        return;
    }
    yaml.of(format!("trusted_proxies: {LOOPBACK}"), "what ends TLS in front; nobody else is served or believed");
    if !is_beside {
        notes.remains(
            "write the network of the proxy that ends TLS into trusted_proxies: oauth2-proxy believes whoever connects, \
             and Usher serves nobody else without TLS. Only this machine is in it",
        );
    }
}

/// An address of ours, or the default with a note.
fn address(given: &Given, default: &str, notes: &mut Notes) -> String {
    let text = given.text();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    if text.parse::<SocketAddr>().is_ok() {
        return text;
    }
    notes.left_out(given, format!("is no address with a port, which listen needs: {default} is written in its place"));
    default.to_owned()
}
