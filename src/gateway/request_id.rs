//! The id of a request: in the log, in refusals, and in a header to the application and back.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Connection;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of one request. Made once, as the header's value.
pub(super) struct RequestId(HeaderValue);

/// Makes ids that do not repeat: a random start per process, then counting.
pub(super) struct RequestIds {
    /// In hexadecimal.
    process: Box<str>,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(process: u64) -> Self {
        Self { process: format!("{process:016x}").into(), next: AtomicU64::new(0) }
    }

    /// The id that a trusted proxy in front has given the request, else a new one.
    pub(super) fn of(&self, headers: &HeaderMap, connection: &Connection) -> RequestId {
        let given = headers.get(HEADER).filter(|id| connection.peer_trusted && looks_like_an_id(id.as_bytes()));
        // Copied: a piece of what was read would keep all of that in memory until the answer ends.
        let given = given.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        RequestId(given.unwrap_or_else(|| self.next()))
    }

    fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unused = if number > u64::from(u32::MAX) { 0 } else { 4 };
        let mut id = String::with_capacity(self.process.len() + 16);
        id.push_str(&self.process);
        // By hand, for it is done for every request and formatting has a price.
        let halves = number.to_be_bytes().into_iter().skip(unused).flat_map(|byte| [byte >> 4, byte & 15]);
        id.extend(halves.filter_map(|half| char::from_digit(half.into(), 16)));
        // Digits are a header's value always.
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
    }
}

impl RequestId {
    /// As it stands in the log.
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Says it in a header, in place of any that is there.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER, self.0.clone());
    }
}

fn looks_like_an_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (8..=64).contains(&id.len()) && id.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ids: &RequestIds, peer_trusted: bool, given: &'static str) -> String {
        let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_static(given))]);
        let here = "127.0.0.1:1".parse().unwrap();
        ids.of(&headers, &Connection::new(here, peer_trusted, here, true, None)).as_str().to_owned()
    }

    #[test]
    fn an_id_is_taken_over_from_trusted_proxies_when_it_looks_like_one() {
        let ids = RequestIds::new(7);
        assert_eq!(id(&ids, true, "0af7651916cd43dd.8448-a_1"), "0af7651916cd43dd.8448-a_1");
        for (peer_trusted, given) in [(false, "0af7651916cd43dd"), (true, "short"), (true, "with a space")] {
            assert!(id(&ids, peer_trusted, given).starts_with("0000000000000007"), "{given}");
        }
    }

    #[test]
    fn ids_of_one_process_do_not_repeat() {
        let ids = RequestIds::new(7);
        assert_eq!(id(&ids, false, ""), "000000000000000700000000");
        assert_eq!(id(&ids, false, ""), "000000000000000700000001");
    }
}
