//! Authorization servers and their keys.
