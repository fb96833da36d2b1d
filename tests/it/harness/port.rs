//! Ports for programs that cannot be told to take any, and to say which.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives out by itself: to whatever else is bound or connected meanwhile, it would give one that
/// was free a moment ago.
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;

/// One that nobody listens at, and that is handed out once in this process. Ten thousand above, where a Redis Cluster has its
/// second one, nobody listens either.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other processes of tests begin elsewhere.
    let begin = u16::try_from(std::process::id() * 64 % u32::from(COUNT)).unwrap();
    loop {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if [port, port + COUNT].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}
