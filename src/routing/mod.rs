//! Host, path and method to a route.
//!
//! [`CanonicalPath::parse`] and [`canonical_host`] bring what a client sent into the one form in which it is matched *and*
//! forwarded; whatever an application could read in more than one way is refused there. [`Router::find`] then looks the
//! route up, and [`Router::candidates`] says why it is that one. This module decides which route a request falls under, and
//! *not* whether it may pass.

mod candidates;
mod host;
mod lenient;
#[cfg(any(test, fuzzing))]
pub(crate) mod model;
mod path;
mod query;
mod router;
mod table;

pub use candidates::{Candidate, Standing};
pub use host::{HostError, canonical_host};
pub use path::{CanonicalPath, PathError};
pub use query::{QueryError, check_query};
pub use router::{Misreading, NoRoute, Router};
