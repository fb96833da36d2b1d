//! What Usher does about CORS (Fetch Standard §3.2): a preflight passes where the route says so, and a refusal can be read by
//! scripts that may. What the application answers carries the application's own fields.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::config::Route;

/// What a request says of the script that has sent it.
#[derive(Debug)]
pub(super) struct Cors {
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl Cors {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        Self {
            origin: headers.get(ORIGIN).cloned(),
            preflight: *request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    /// Whether this is a preflight that the route lets through to the application, without an identity: a browser sends no
    /// credentials with it, and it asks for nothing but permission.
    pub(super) fn is_preflight(&self, route: &Route) -> bool {
        self.preflight && self.origin_allowed_by(route).is_some()
    }

    /// Lets the script read a refusal, where its origin is one that the route allows.
    pub(super) fn let_read(&self, route: &Route, headers: &mut HeaderMap) {
        if let Some(origin) = self.origin_allowed_by(route) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }

    fn origin_allowed_by(&self, route: &Route) -> Option<&HeaderValue> {
        let origin = self.origin.as_ref()?;
        let allowed = |allowed: &String| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
        (route.cors && route.allowed_origins.iter().any(allowed)).then_some(origin)
    }
}
