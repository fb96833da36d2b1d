//! Sockets to requests.
