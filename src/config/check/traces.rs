//! `tracing`.

use http::{HeaderName, HeaderValue};
use url::Url;

use super::secrets::without_newline;
use super::values::{base_url, header_name, header_value};
use super::{Check, KeyPath, Mistake};
use crate::config::{IssuerTransport, Otlp, Ratio, TraceSource, Tracing, defaults, file};

/// What a collector takes spans at (OTLP specification, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

impl Check<'_> {
    /// Without the key, Usher takes no part in traces.
    pub(super) fn tracing(&mut self, mirror: Option<&file::Tracing>) -> Option<Tracing> {
        let mirror = mirror?;
        let root = KeyPath::root().key("tracing");
        let at = root.key("sample");
        let ratio =
            |part| Ratio::new(part).ok_or_else(|| Mistake::new("must be between 0 and 1", "write 0.1 for a tenth"));
        let sample = mirror.sample.and_then(|part| self.accept(&at, ratio(part)));
        Some(Tracing {
            accept_from: mirror.accept_from.unwrap_or(TraceSource::TrustedProxies),
            sample: sample.unwrap_or(Ratio::ALL),
            otlp: mirror.otlp.as_ref().and_then(|otlp| self.otlp(&root.key("otlp"), otlp)),
        })
    }

    fn otlp(&mut self, at: &KeyPath, mirror: &file::Otlp) -> Option<Otlp> {
        let remedy = "add the collector's address, as in http://collector:4318";
        let url = self.needed(&at.key("endpoint"), mirror.endpoint.as_deref(), collector, remedy);
        let headers_at = at.key("headers_file");
        let headers = match mirror.headers_file.as_deref() {
            Some(path) => {
                let text = self.read(&headers_at, path);
                text.and_then(|text| self.accept(&headers_at, headers(&text))).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let ca_at = at.key("ca_file");
        let transport = IssuerTransport {
            ca: mirror.ca_file.as_deref().and_then(|path| self.certificate_authorities(&ca_at, path)),
            timeout: self.time(&at.key("timeout"), mirror.timeout, defaults::COLLECTOR_TIMEOUT),
            offline: false,
        };
        let url = url?;
        if url.scheme() == "http" && !headers.is_empty() {
            self.report.note(&headers_at, "goes over plain http, for whoever is on the way to read");
        }
        let service_name = mirror.service_name.clone().unwrap_or_else(|| defaults::SERVICE_NAME.to_owned());
        Some(Otlp { url, headers, service_name, transport })
    }
}

/// Where spans are posted to.
fn collector(text: &str) -> Result<Url, Mistake> {
    let written = |url: &Url| url.path().ends_with(PATH);
    let remedy = "write it as http://collector:4318";
    match base_url(text, true) {
        Ok(url) if written(&url) => Err(Mistake::new(format!("has {PATH} at its end"), "take that off: Usher adds it")),
        // 4317 is where collectors speak gRPC, which Usher does not.
        Ok(url) if url.port() == Some(4317) => {
            Err(Mistake::new("has the port of OTLP over gRPC", "name that of OTLP over HTTP, which is mostly 4318"))
        }
        Ok(mut url) => {
            let path = format!("{}{PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
            Ok(url)
        }
        // What the issuers' rules advise is not for a collector.
        Err(mistake) => Err(Mistake::new(mistake.message, remedy)),
    }
}

/// `Name: value`, one in a line. What is wrong is told by its line, never by what stands there.
fn headers(text: &[u8]) -> Result<Vec<(HeaderName, HeaderValue)>, Mistake> {
    let text = without_newline(text.to_vec());
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let told = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"));
    let header = |(index, line): (usize, &[u8])| {
        header(line).ok_or_else(|| {
            let message = format!("has something else than a header in line {}", index + 1);
            Mistake::new(message, "write Name: value in each line; Host, Content-* and Connection are Usher's to say")
        })
    };
    let headers = told.map(header).collect::<Result<Vec<_>, _>>()?;
    if headers.is_empty() {
        Err(Mistake::new("has no header in it", "write Name: value, or take the key out"))
    } else {
        Ok(headers)
    }
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = header_name(str::from_utf8(name).ok()?.trim()).ok()?;
    let is_ours = name.as_str().starts_with("content-");
    let value = header_value(value.get(1..)?.trim_ascii()).ok()?;
    (!is_ours && !value.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_base_and_its_path_is_added() {
        for (text, url) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://otlp.example.com/otlp/", "https://otlp.example.com/otlp/v1/traces"),
        ] {
            assert_eq!(collector(text).unwrap().as_str(), url);
        }
        for wrong in [
            "",
            "collector:4318",
            "grpc://collector:4318",
            "http://collector:4317",
            "http://u:p@collector:4318",
            "http://collector:4318/v1/traces",
            "http://collector:4318?x",
        ] {
            assert!(collector(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_stand_one_in_a_line_and_a_mistake_does_not_show_them() {
        let read = headers(b"# of the tenant\nX-Scope-OrgID: one\r\n\nAuthorization:Bearer  canary\n").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[1].0.as_str(), read[1].1.as_bytes()), ("authorization", &b"Bearer  canary"[..]));
        assert!(!format!("{read:?}").contains("canary"));
        for wrong in
            ["", "# nothing", "canary", "a: b\ncanary", "Host: canary", "content-type: canary", "x: ca\0nary", "x:"]
        {
            let mistake = headers(wrong.as_bytes()).unwrap_err();
            assert!(!format!("{mistake:?}").contains("canary"), "{mistake:?}");
        }
    }
}
