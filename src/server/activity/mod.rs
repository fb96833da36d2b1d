//! How long a connection's peer has kept us waiting, and what follows from it.
//!
//! hyper's own time-out for request heads also runs between requests, so it cannot tell a browser that keeps a connection
//! for later from one that sends a head byte by byte. The socket ([`super::wire`]) and the service ([`super::service`])
//! therefore note here what happens, which costs a store; the connection's one timer ([`super::connection`]) asks for a
//! [`Verdict`] now and then. It wakes at the latest after the shortest of all time-outs, so whatever began after a verdict
//! is judged on time.
//!
//! Silence within a request body is the gateway's to bound: only it knows whether the body is being waited for.

mod moment;
mod verdict;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) use self::verdict::{Silence, Verdict};

use self::moment::Moment;
use super::connection::Protocol;
use super::header_block::Block;
use crate::config::Limits;

/// Bytes of an HTTP/2 client preface (RFC 9113 §3.4).
const H2_PREFACE: u32 = 24;

/// A connection whose last answer is not older than this is about to bring another request, or may be.
const UNREST: Duration = Duration::from_secs(1);

/// So many more requests than it waits for may a client give up before it is sent away. Each has been on its way to the
/// application by then: resetting streams as fast as they are opened keeps that busy at no cost (CVE-2023-44487), however
/// few of them are open at once.
const GIVEN_UP: u32 = 100;

/// How long a client may take to notice that it has been said goodbye to, and still open streams.
const OVERSTAY: Duration = Duration::from_secs(10);

/// What has happened on one connection. All that touch it live on one worker's thread, but for tunnels, which no longer
/// need the order of events; so every access is relaxed.
#[derive(Debug)]
pub(super) struct Activity {
    protocol: Protocol,
    limits: Limits,
    now: fn() -> Instant,
    opened: Instant,
    in_flight: AtomicU32,
    /// Bytes received while no request was in flight; for HTTP/2 up to the preface.
    head_bytes: AtomicU32,
    /// Whether the last request had a body, the end of which may still be on its way to us.
    had_body: AtomicBool,
    idle: Moment,
    head: Moment,
    /// Since when an HTTP/2 header block has been unfinished.
    block: Moment,
    blocked: Moment,
    written_while_blocked: AtomicU64,
    leaving: AtomicBool,
    retired: Moment,
    lingering: Moment,
    /// Something was written that no flush has sent yet.
    flush_put_off: AtomicBool,
    /// Requests given up before they were answered, less those that were answered.
    given_up: AtomicU32,
    too_much: Notify,
    /// The end of the answer at hand is that of the connection, and nothing else shows it (HTTP/1.0).
    unframed: AtomicBool,
    cut: AtomicBool,
}

impl Activity {
    /// A connection that is opened now; `now` is asked only when something begins.
    pub(super) fn new(protocol: Protocol, limits: Limits, now: fn() -> Instant) -> Self {
        let opened = now();
        let activity = Self {
            protocol,
            limits,
            now,
            opened,
            in_flight: AtomicU32::new(0),
            head_bytes: AtomicU32::new(0),
            had_body: AtomicBool::new(false),
            idle: Moment::default(),
            head: Moment::default(),
            block: Moment::default(),
            blocked: Moment::default(),
            written_while_blocked: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            retired: Moment::default(),
            lingering: Moment::default(),
            flush_put_off: AtomicBool::new(false),
            given_up: AtomicU32::new(0),
            too_much: Notify::new(),
            unframed: AtomicBool::new(false),
            cut: AtomicBool::new(false),
        };
        activity.head.set(Duration::ZERO);
        activity
    }

    /// `count` bytes have been received.
    pub(super) fn received(&self, count: usize) {
        if count == 0 || self.in_flight.load(Relaxed) > 0 {
            return;
        }
        match self.protocol {
            Protocol::Http1 => {
                if self.head_bytes.fetch_add(saturated(count), Relaxed) == 0 && !self.head.is_set() {
                    self.head.set(self.at((self.now)()));
                }
            }
            // Behind the preface, HTTP/2 has frames at any time: see `amid`.
            Protocol::Http2 if self.head.is_set() => {
                if self.head_bytes.fetch_add(saturated(count), Relaxed).saturating_add(saturated(count)) >= H2_PREFACE {
                    self.head.clear();
                    self.idle.set(self.at((self.now)()));
                }
            }
            Protocol::Http2 => {}
        }
    }

    /// Whether HTTP/2 is spoken.
    pub(super) fn is_http2(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    /// What has been received ends within a header block of HTTP/2, or does not.
    pub(super) fn amid(&self, block: Block) {
        match block {
            Block::None if self.block.is_set() => self.block.clear(),
            Block::None | Block::Unfinished => {}
            Block::Begun => self.block.set(self.at((self.now)())),
        }
    }

    /// A request's head is complete.
    pub(super) fn request_begins(&self, has_body: bool) {
        self.in_flight.fetch_add(1, Relaxed);
        if self.overstays() {
            self.too_much.notify_one();
        }
        self.had_body.store(has_body, Relaxed);
        self.head.clear();
        self.head_bytes.store(0, Relaxed);
    }

    /// Whether anything but the end of the connection will show that of the answer at hand.
    pub(super) fn frames(&self, framed: bool) {
        self.unframed.store(!framed, Relaxed);
    }

    /// The answer at hand will never be whole.
    pub(super) fn cuts(&self) {
        self.cut.store(true, Relaxed);
    }

    /// Whether the connection ends within an answer, which its client would take for a whole one.
    pub(super) fn is_cut_unseen(&self) -> bool {
        self.unframed.load(Relaxed) && (self.cut.load(Relaxed) || self.in_flight.load(Relaxed) > 0)
    }

    /// A response has been handed over whole, or was given up.
    pub(super) fn request_ends(&self) {
        if self.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.idle.set(self.at((self.now)()));
        }
    }

    /// The head of a response has been handed over.
    pub(super) fn answered(&self) {
        let fewer = |given_up: u32| given_up.checked_sub(1);
        let _ = self.given_up.fetch_update(Relaxed, Relaxed, fewer);
    }

    /// A request was given up before there was an answer.
    pub(super) fn given_up(&self) {
        if self.given_up.fetch_add(1, Relaxed) >= GIVEN_UP {
            self.too_much.notify_one();
        }
    }

    /// Waits until the client has given up too many requests, or goes on opening streams on a connection that was said
    /// goodbye to.
    pub(super) async fn too_much(&self) {
        self.too_much.notified().await;
    }

    /// Whether goodbye is not enough: HTTP/2 takes new streams until the client has acknowledged it, which a client may
    /// leave for ever.
    pub(super) fn ignores_goodbye(&self) -> bool {
        self.overstays() || self.given_up.load(Relaxed) >= 2 * GIVEN_UP
    }

    fn overstays(&self) -> bool {
        self.is_http2() && self.since(&self.retired).is_some_and(|retired| retired + OVERSTAY <= (self.now)())
    }

    /// `count` bytes have been taken by the connection's buffers or the socket.
    pub(super) fn wrote(&self, count: usize) {
        if self.blocked.is_set() {
            self.written_while_blocked.fetch_add(count as u64, Relaxed);
        }
    }

    /// What is written waits for more to go with it.
    pub(super) fn puts_flush_off(&self) {
        self.flush_put_off.store(true, Relaxed);
    }

    /// All that was written is being sent.
    pub(super) fn flushes(&self) {
        self.flush_put_off.store(false, Relaxed);
    }

    /// Whether something waits for a flush: whoever has nothing more to write must see to it.
    pub(super) fn flush_is_due(&self) -> bool {
        self.flush_put_off.load(Relaxed)
    }

    /// The socket takes no more for now.
    pub(super) fn blocked(&self) {
        if !self.blocked.is_set() {
            self.written_while_blocked.store(0, Relaxed);
            self.blocked.set(self.at((self.now)()));
        }
    }

    /// The socket has taken everything.
    pub(super) fn flushed(&self) {
        self.blocked.clear();
    }

    /// The connection is about to be retired: an answer that is ready before that is the last one as well.
    pub(super) fn leaves(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Whether an answer must say by itself that it is the last one on this connection, which HTTP/2 has GOAWAY for.
    pub(super) fn says_close(&self) -> bool {
        self.leaving.load(Relaxed) && !self.is_http2()
    }

    /// No further requests are accepted.
    pub(super) fn retire(&self) {
        self.retired.set(self.at((self.now)()));
    }

    /// Our side of the connection is closed. Returns whether the peer may still be sending: closing the socket under its
    /// bytes would make its system throw our last answer away.
    pub(super) fn lingers(&self) -> bool {
        if !self.lingering.is_set() {
            self.lingering.set(self.at((self.now)()));
        }
        self.had_body.load(Relaxed) || self.head_bytes.load(Relaxed) > 0
    }

    /// Whether nothing has been under way on the connection for some time by `now`, so that what comes next is the head of a
    /// request. HTTP/2 has frames between requests. Where the last request had a body, an early answer may have come before
    /// its end: what comes next is then what is left of it, and would be taken for a request (CWE-444).
    pub(super) fn rests(&self, now: Instant) -> bool {
        let idle = self.since(&self.idle).is_some_and(|since| since + UNREST <= now);
        let nothing_begun = self.in_flight.load(Relaxed) == 0 && self.head_bytes.load(Relaxed) == 0;
        let nothing_left = !self.had_body.load(Relaxed) && !self.blocked.is_set() && !self.lingering.is_set();
        self.protocol == Protocol::Http1 && idle && nothing_begun && nothing_left
    }

    /// Until when a connection that rests is kept.
    pub(super) fn rest_ends_at(&self) -> Instant {
        let idle_since = self.since(&self.idle).unwrap_or(self.opened);
        (idle_since + self.limits.idle_timeout).min(self.opened + self.limits.connection_age)
    }

    fn at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    fn since(&self, moment: &Moment) -> Option<Instant> {
        moment.load().map(|moment| self.opened + moment)
    }
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
