//! The applications: hosts, routes, and what a route requires and sends.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{IssuerId, RateLimitId, UpstreamId};
use crate::oauth::{ClaimPath, EmailDomain};

/// One application, by host.
#[derive(Clone, Debug)]
pub struct Site {
    /// The host or pattern.
    pub host: HostPattern,
    /// Its routes, in winning order (most specific first), what they inherit filled in.
    pub routes: Vec<Arc<Route>>,
}

/// The host of a site, lower case, without port and trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `app.example.com`, or an IP address as it stands in `Host` (IPv6 in brackets).
    Exact(String),
    /// `*.corp.example.com`: exactly one label before the suffix, which is kept with its leading dot.
    OneLabel(String),
}

/// Index of a set of identity headers in [`Config::identity_sets`](super::Config::identity_sets).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentitySetId(pub usize);

/// Index of a route among those of all sites, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub usize);

/// One route, with everything it inherits from its site.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each mirrors a key of the file that is true or false")]
pub struct Route {
    /// Which one it is.
    pub id: RouteId,
    /// Short and stable, for logs: `app.example.com/admin/` plus the methods when there are any.
    pub name: Arc<str>,
    /// What it covers.
    pub path: PathPattern,
    /// The methods that the route is for; `None`: all but TRACE and CONNECT.
    pub methods: Option<Vec<Method>>,
    /// Whether paths match whatever the case. The bytes go on unchanged.
    pub ignore_case: bool,
    /// Who gets in.
    pub access: Access,
    /// Whose tokens count, in the operator's order. Empty only when `access` is [`Access::Public`].
    pub issuers: Vec<IssuerId>,
    /// Conditions on the claims, all of which must hold. Empty unless `access` is [`Access::Required`].
    pub require: Vec<Condition>,
    /// How, and how recently, whoever asks must have signed in. Asks nothing unless `access` is [`Access::Required`].
    pub authentication: Authentication,
    /// Where the request goes. `None`: nowhere; another proxy serves it, and only asks here whether it may.
    pub upstream: Option<UpstreamId>,
    /// Claims to headers.
    pub identity: IdentitySetId,
    /// Send a short-lived signed JWT of the identity in `X-Usher-Assertion`.
    pub assertion: bool,
    /// Pass the access token on as `Authorization: Bearer`.
    pub forward_access_token: bool,
    /// What the application expects in `Authorization` (or another header) instead of what the client sent.
    pub upstream_authorization: Option<(HeaderName, HeaderValue)>,
    /// Taken off the front of the path after matching; whole segments, begins with `/`, no slash at its end.
    pub strip_prefix: Option<String>,
    /// Sent to the upstream as `Host` in place of the client's.
    pub rewrite_host: Option<HeaderValue>,
    /// The form of the answer to a request without credentials.
    pub unauthenticated: Unauthenticated,
    /// Whether a 403 names what was required.
    pub explain_refusals: bool,
    /// Forms of at most so many bytes that meet an ended session come back with its page, to be sent again. `None`: none do.
    pub resend_forms: Option<u64>,
    /// The status of the frame that closes a WebSocket whose session has ended (RFC 6455 §7.4).
    pub websocket_close_code: u16,
    /// How many requests may come, by each of these. Empty: any number.
    pub rate_limits: Vec<RateLimitId>,
    /// Time-outs towards the application.
    pub timeouts: Timeouts,
    /// Larger request bodies are refused with 413. `None`: no bound.
    pub body_limit: Option<u64>,
    /// Origins (as in the `Origin` header, lower case) besides the site's own that may send unsafe requests with cookies,
    /// open WebSockets, and read refusals (CORS) when `cors` is set.
    pub allowed_origins: Vec<String>,
    /// Whether refusals carry CORS headers for `allowed_origins`, and preflights from them pass to the application
    /// without an identity.
    pub cors: bool,
    /// When this is the path of an issuer's own login: take the tokens out of the answer to a `POST`.
    pub login: Option<IssuerId>,
}

/// What a route covers. Canonical, as the router matches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Exactly this path.
    Exact(String),
    /// `/admin/`: that segment and everything below it. Kept with its slash at the end; `/` covers everything.
    Prefix(String),
}

/// Who gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Only with a token that counts.
    Required,
    /// With an identity if there is one, without otherwise.
    Optional,
    /// Everybody; no identity is looked at or sent.
    Public,
}

/// How, and how recently, somebody must have signed in: what another sign-in can mend. Who they are is the business of
/// conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// The `acr` of the sign-in must be one of these (OIDC Core §2), in order of preference. Empty: any.
    pub acr_values: Vec<String>,
    /// The sign-in must be no older, in whole seconds and at least one.
    pub max_age: Option<Duration>,
}

impl Authentication {
    /// Whether any sign-in will do.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.acr_values.is_empty() && self.max_age.is_none()
    }
}

/// A condition on one claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Which claim.
    pub claim: ClaimPath,
    /// What must hold of it.
    pub test: ConditionTest,
}

/// What must hold of a claim. A claim "holds" a value when it equals it or is a list with it as a member; the `scope`
/// claim holds a string when that is one of its words. An absent claim holds nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionTest {
    /// Holds at least one of these.
    Any(Vec<Value>),
    /// Holds all of these.
    All(Vec<Value>),
    /// Holds none of these: an absent claim passes.
    None(Vec<Value>),
    /// Is an address in one of these domains, or a list of such addresses and nothing else.
    Domain(Vec<EmailDomain>),
}

/// One header made of a claim; an absent claim makes no header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityHeader {
    /// The header.
    pub name: HeaderName,
    /// The claim.
    pub claim: ClaimPath,
}

/// The form of the answer to a request without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unauthenticated {
    /// By the kind of request: navigations are sent to sign in, everything else gets a status.
    Auto,
    /// Always a redirect.
    Redirect,
    /// Always a status.
    Status,
}

/// Time-outs towards the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the request's last byte until the head of the answer.
    pub response: Duration,
    /// Silence in a body or an upgraded stream, in either direction.
    pub idle: Duration,
}
