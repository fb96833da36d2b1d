//! Where a name leads, by the resolver of this machine.

use std::collections::BTreeSet;
use std::io;

use tokio::net::lookup_host;

/// What is asked for is the name: its ports do not matter.
const ANY_PORT: u16 = 0;

/// Its addresses, in words.
pub(super) async fn resolve(host: &str) -> io::Result<String> {
    let addresses: BTreeSet<_> = lookup_host((host, ANY_PORT)).await?.map(|address| address.ip()).collect();
    Ok(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
