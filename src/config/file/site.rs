//! `sites`, their routes, and the keys that a site sets for its routes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{BodyLimit, ByteSize, ClientCertificates, HumanDuration, OneOrMany, Require, Scalar, TextOr, UpstreamKeys};
use crate::config::{Access, LimitedBy, Secret, Unauthenticated};

/// Makes [`Site`] and [`Route`] of their own keys and the keys that both have. (`#[serde(flatten)]` would do that too, but
/// it gives up refusing unknown keys.)
macro_rules! site_and_route {
    ($($(#[$doc:meta])* $key:ident: $type:ty,)*) => {
        /// One application, by host. Every key but `host` and `routes` is inherited by the routes.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, expecting = "a map with host and routes")]
        pub struct Site {
            /// `app.example.com`, or `*.corp.example.com` for exactly one label in front.
            #[schemars(required)]
            pub host: Option<String>,
            /// What is there. The most specific path wins: exact over prefix, longer over shorter.
            #[schemars(required)]
            pub routes: Option<Vec<Route>>,
            /// Certificates that clients of this site show in the TLS handshake. Default: none is asked for.
            pub client_certificates: Option<ClientCertificates>,
            $($(#[$doc])* pub $key: Option<$type>,)*
        }

        /// One path of an application. Keys that are not given are inherited from the site.
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, expecting = "a map with path")]
        pub struct Route {
            /// `/admin/` covers that segment and everything below it; `/feed` is exactly that path.
            #[schemars(required)]
            pub path: Option<String>,
            $($(#[$doc])* pub $key: Option<$type>,)*
        }

        /// The keys that sites and routes share, borrowed from either.
        #[derive(Clone, Copy, Debug)]
        pub struct RouteKeys<'a> {
            $($(#[$doc])* pub $key: Option<&'a $type>,)*
        }

        impl Site {
            /// The keys that the routes inherit.
            #[must_use]
            pub fn keys(&self) -> RouteKeys<'_> {
                RouteKeys { $($key: self.$key.as_ref(),)* }
            }
        }

        impl Route {
            /// The keys that the route itself sets.
            #[must_use]
            pub fn keys(&self) -> RouteKeys<'_> {
                RouteKeys { $($key: self.$key.as_ref(),)* }
            }
        }
    };
}

site_and_route! {
    /// Whose tokens count here: a name under `issuers`, or a list.
    issuer: OneOrMany<String>,
    /// The application: an `http://`, `https://`, `h2c://` or `unix:` address, or a list of equivalent ones.
    upstream: OneOrMany<TextOr<String, UpstreamKeys>>,
    /// Who gets in. Default: required.
    access: Access,
    /// What must hold where access is required, all of it: claim path → value, or any/all/none/domain lists. `acr` and `max_age` are
    /// about the sign-in: who has not signed in so is sent to sign in again.
    require: Require,
    /// The methods that the route is for. Default: all but TRACE and CONNECT.
    methods: Vec<String>,
    /// Header → claim path. A claim that is absent makes no header.
    identity_headers: BTreeMap<String, String>,
    /// More headers that a client may never send.
    strip_headers: Vec<String>,
    /// Send a short-lived signed JWT of the identity in `X-Usher-Assertion`. Default: false.
    assertion: bool,
    /// Pass the access token on as `Authorization: Bearer`. Default: false.
    forward_access_token: bool,
    /// What the application expects in place of the client's credentials.
    upstream_authorization: UpstreamAuthorization,
    /// Taken off the front of the path after matching: `/pub`.
    strip_prefix: String,
    /// Sent to the application as `Host`. Default: the client's.
    rewrite_host: String,
    /// How a request without credentials is answered. Default: auto.
    unauthenticated: Unauthenticated,
    /// Whether a 403 names what was required. Default: false.
    explain_refusals: bool,
    /// A form of at most this size that meets an ended session is kept by the page that says so, to be sent again. Default: 0,
    /// none is.
    resend_forms: ByteSize,
    /// The status of the frame that closes a WebSocket whose session has ended: 1000, 1008, or 3000 to 4999. Default: 1008.
    websocket_close_code: u16,
    /// How many requests somebody may send in how long, or a list of such limits. What a site sets is counted together for all
    /// routes that inherit it; an empty list of a route lifts it there. Default: none.
    rate_limit: OneOrMany<RateLimit>,
    /// Time-outs towards the application; single ones can be overridden.
    timeouts: Timeouts,
    /// Larger request bodies are refused. `none` lifts the bound. Default: 10MiB.
    body_limit: BodyLimit,
    /// Paths match whatever the case, for applications that do so too. Default: false.
    ignore_case: bool,
    /// Answer `allowed_origins` with CORS headers on refusals, and let their preflights through. Default: false.
    cors: bool,
    /// Origins besides the site's own that may open WebSockets and send unsafe requests with cookies.
    allowed_origins: Vec<String>,
}

/// How many requests somebody may send in how long. More are refused with 429.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with by, requests and per")]
pub struct RateLimit {
    /// Who is counted: the address, before anything else is looked at; the subject; or the session. Whoever has no session is
    /// counted as a subject, and whoever is not signed in by the address.
    #[schemars(required)]
    pub by: Option<LimitedBy>,
    /// So many requests.
    #[schemars(required)]
    pub requests: Option<u64>,
    /// In so long: 1s to 24h, in whole seconds.
    #[schemars(required)]
    pub per: Option<HumanDuration>,
    /// So many of them may come at once. Default: as many as `requests`.
    pub burst: Option<u64>,
}

/// Lists of values that a claim is compared with, or of domains that an address is in.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a value, or a map with any, all, none or domain")]
pub struct RequirementLists {
    /// The claim holds at least one of these.
    pub any: Option<Vec<Scalar>>,
    /// The claim holds all of these.
    pub all: Option<Vec<Scalar>>,
    /// The claim holds none of these. Also met when there is no such claim.
    pub none: Option<Vec<Scalar>>,
    /// The claim is an e-mail address in one of these domains: `example.com`, or `.example.com` for every one below it. On
    /// `email`, `email_verified` must be true as well, unless `require` says something else of it.
    pub domain: Option<OneOrMany<String>>,
}

/// What the application expects in place of the client's credentials: `basic`, or a `header` and its value.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with basic, or with header and value")]
pub struct UpstreamAuthorization {
    /// HTTP Basic authentication.
    pub basic: Option<BasicAuthorization>,
    /// The name of a header.
    pub header: Option<String>,
    /// The value of the header.
    pub value: Option<Secret>,
    /// A file with the value of the header.
    pub value_file: Option<PathBuf>,
}

/// HTTP Basic authentication (RFC 7617).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with username and password")]
pub struct BasicAuthorization {
    /// User name, without a colon.
    #[schemars(required)]
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
}

/// Time-outs towards the application.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map with connect, response and idle")]
pub struct Timeouts {
    /// Until the connection stands. Default: 5s.
    pub connect: Option<HumanDuration>,
    /// From the request's last byte until the head of the answer. Default: 60s.
    pub response: Option<HumanDuration>,
    /// Silence in a body, a stream or a WebSocket. Default: 5m.
    pub idle: Option<HumanDuration>,
}
