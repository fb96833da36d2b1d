//! The end of step 4: what another site makes a browser send does not act for its user.

use http::Request;

use super::Rejection;
use super::admit::Target;
use crate::auth::credentials::Credentials;
use crate::auth::origin;
use crate::config::{Access, Route};

/// Passes what acts for nobody, or may act for the user. A login begins a session, and so acts for whoever it is without any.
pub(super) fn refuse_cross_site<B>(
    request: &Request<B>,
    target: &Target,
    route: &Route,
    credentials: &Credentials,
) -> Result<(), Rejection> {
    let acts_by_itself = route.access != Access::Public && credentials.are_ambient();
    let (scheme, authority) = (target.scheme(), target.authority());
    if (acts_by_itself || route.login.is_some())
        && !origin::may_act(request.method(), request.headers(), scheme, authority, &route.allowed_origins)
    {
        return Err(Rejection::CrossSite);
    }
    Ok(())
}
