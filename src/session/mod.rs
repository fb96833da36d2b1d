//! Sealing, renewal records, denials.
