//! What counts at start only, and so cannot be changed by a reload.

use crate::config::{Admin, Config};

/// The keys that differ and count at start only.
pub(super) fn keys(before: &Config, after: &Config) -> Vec<&'static str> {
    let (one, other) = (&before.listen, &after.listen);
    let address = |admin: &Admin| admin.address;
    [
        ("listen.https", one.https != other.https),
        ("listen.http", one.http != other.http),
        ("listen.plain", one.plain != other.plain),
        ("listen.verify", one.verify != other.verify),
        ("listen.admin", one.admin.as_ref().map(address) != other.admin.as_ref().map(address)),
        ("state_directory", before.state_directory != after.state_directory),
        ("session.store", !before.session.store.is_same_place(&after.session.store)),
        ("log.format", before.log.format != after.log.format),
        ("log.level", before.log.level != after.log.level),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
