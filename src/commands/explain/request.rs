//! The request that is asked about, and the connection that it comes on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::ExplainError;
use super::logged::Logged;
use crate::config::Config;
use crate::gateway::Connection;
use crate::oauth::AccessToken;

/// Where a request comes from that nobody says anything else of: nowhere (RFC 5737).
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How a trusted proxy says by which scheme it was asked.
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is asked for.
#[derive(Debug)]
pub(in crate::commands) struct Asked {
    method: Method,
    secure: bool,
    authority: String,
    /// Path and query.
    target: Uri,
}

impl Asked {
    /// As somebody types it.
    pub(super) fn of_url(method: &str, url: &str) -> Result<Self, ExplainError> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| ExplainError::Method(method.to_owned()))?;
        let no_url = || ExplainError::Url(url.to_owned());
        let uri = Uri::try_from(url).map_err(|_| no_url())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(no_url()),
        };
        let authority = uri.authority().ok_or_else(no_url)?.to_string();
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Ok(Self { method, secure, authority, target: Uri::try_from(target).map_err(|_| no_url())? })
    }

    /// As the log has it. It does not say by which scheme, which nearly always is https.
    pub(in crate::commands) fn of_log(logged: &Logged) -> Result<Self, ExplainError> {
        let (Some(host), Some(path)) = (&logged.host, &logged.path) else {
            return Err(ExplainError::Unread(logged.reason.clone().unwrap_or_default()));
        };
        Self::of_url(&logged.method, &format!("https://{host}{path}"))
    }

    /// The host, as it was written, without its port.
    pub(super) fn host(&self) -> &str {
        self.authority.rsplit_once(':').map_or(&self.authority, |(host, _)| host)
    }

    /// The path as it was written.
    pub(super) fn path(&self) -> &str {
        self.target.path()
    }

    /// Whether the browser speaks TLS.
    pub(super) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The connection that it would come on by this configuration, and what is assumed about that.
    pub(in crate::commands) fn connection(&self, config: &Config, from: Option<IpAddr>) -> (Connection, Vec<String>) {
        let listen = &config.listen;
        let mut notes = Vec::new();
        let is_plain = if self.secure { listen.https.is_empty() } else { !listen.plain.is_empty() };
        if is_plain {
            notes.push("as if a trusted proxy had passed it on to the plain listener".to_owned());
        } else if !self.secure {
            let note = if listen.http.is_empty() {
                "no listener serves http: explained as if it had been https"
            } else {
                "the http listener answers 308 to https: explained as what comes then"
            };
            notes.push(note.to_owned());
        }
        let from = from.unwrap_or(NOWHERE);
        let peer_trusted = is_plain || config.trusted_proxies.iter().any(|network| network.contains(&from));
        let local = if is_plain { listen.plain.first() } else { listen.https.first() };
        let local = local.copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 443)));
        (Connection::new(SocketAddr::new(from, 0), peer_trusted, local, !is_plain, None), notes)
    }

    /// The request itself.
    pub(in crate::commands) fn request(
        &self,
        headers: &[String],
        bearer: Option<&AccessToken>,
        cookies: Option<&str>,
        connection: &Connection,
    ) -> Result<Request<()>, ExplainError> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        let fields = request.headers_mut();
        for header in headers {
            let no_header = || ExplainError::Header(header.clone());
            let (name, value) = header.split_once(':').ok_or_else(no_header)?;
            let name: HeaderName = name.trim().parse().map_err(|_| no_header())?;
            fields.append(name, value.trim().parse().map_err(|_| no_header())?);
        }
        let add = |fields: &mut http::HeaderMap, name, value: &str| {
            let mut value = HeaderValue::try_from(value).map_err(|_| ExplainError::Token)?;
            value.set_sensitive(true);
            fields.append(name, value);
            Ok::<_, ExplainError>(())
        };
        if let Some(token) = bearer {
            add(fields, AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
        }
        if let Some(cookies) = cookies {
            add(fields, COOKIE, cookies)?;
        }
        if !fields.contains_key(HOST) {
            let host = HeaderValue::try_from(&self.authority).map_err(|_| ExplainError::Url(self.authority.clone()))?;
            fields.insert(HOST, host);
        }
        if self.secure && !connection.secure && !fields.contains_key(X_FORWARDED_PROTO) {
            fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        Ok(request)
    }
}
