//! From presented credentials to an authorised identity.
