//! Health, on a listener of its own.
