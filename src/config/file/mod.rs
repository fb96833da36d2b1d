//! The configuration file as it is written: a serde mirror, key by key.
//!
//! Every key is optional here, so that all that is missing can be told at once; what is needed, the defaults and what the
//! values mean is the business of `check`. The comments on the keys are the descriptions of the JSON Schema. Unknown keys
//! are refused everywhere: a typo in a rule must not open a door.

mod acme;
mod choice;
mod client_certificates;
mod issuer;
mod listen;
mod operation;
mod requirement;
mod session;
mod site;
mod units;
mod upstream;
mod users;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub use acme::{Acme, ExternalAccount};
pub use choice::{OneOrMany, TextOr};
pub use client_certificates::ClientCertificates;
pub use issuer::{ClientAuthenticationMethod, Identity, Issuer, Local, Login, LoginCookies, Refresh};
pub use listen::{Admin, Certificate, Listen, Tls};
pub use operation::{Limits, Log, Otlp, Shutdown, Tracing};
pub use requirement::{Require, Requirement, Scalar};
pub use session::{Cookies, Redis, SecretFile, Session, Store};
pub use site::{
    BasicAuthorization, RateLimit, RequirementLists, Route, RouteKeys, Site, Timeouts, UpstreamAuthorization,
};
pub use units::{BodyLimit, ByteSize, HumanDuration, StatusRange};
pub use upstream::{Circuit, Ejection, HealthCheck, UpstreamKeys};
pub use users::{User, UsersFile};

/// The configuration of Usher. Everything but `listen` and `sites` has safe defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a map of keys")]
pub struct File {
    /// Where Usher listens. At least one of `https` and `plain` is needed.
    pub listen: Option<Listen>,
    /// The certificates of the https listener.
    pub tls: Option<Tls>,
    /// Networks (CIDR) or addresses whose `X-Forwarded-*` and PROXY protocol headers are believed. Default: nobody's.
    pub trusted_proxies: Option<Vec<String>>,
    /// Everybody whose tokens count somewhere, by a short name of your choice.
    pub issuers: Option<BTreeMap<String, Issuer>>,
    /// Cookies, life times and renewal.
    pub session: Option<Session>,
    /// The applications, by host.
    #[schemars(required)]
    pub sites: Option<Vec<Site>>,
    /// Bounds on what a client may do.
    pub limits: Option<Limits>,
    /// Format and level of the log.
    pub log: Option<Log>,
    /// How Usher takes part in distributed traces (W3C Trace Context). Default: not at all.
    pub tracing: Option<Tracing>,
    /// What happens between the signal to stop and the end.
    pub shutdown: Option<Shutdown>,
    /// A directory of templates that replace the built-in pages.
    pub pages: Option<PathBuf>,
    /// A directory with the words of the pages in other languages, a file for each: `de.yaml`. Default: English only.
    pub translations: Option<PathBuf>,
    /// Where Usher keeps what must survive a restart. Default: nothing is kept.
    pub state_directory: Option<PathBuf>,
}
