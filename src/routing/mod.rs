//! Host, path and method to a route.
