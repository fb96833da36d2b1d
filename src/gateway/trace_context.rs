//! The trace that a request belongs to: W3C Trace Context, level 1 (<https://www.w3.org/TR/trace-context-1/>).
//!
//! A trace of somebody whom the configuration trusts goes on. Every other request begins one here, with a decision of our own
//! about its recording: a client must not choose the ids that an operator searches by, join other people's traces, or have all
//! that it does recorded (§7.1 and §7.2 of the recommendation). What is malformed is never forwarded, nor the `tracestate`
//! beside it. Where a collector is told of the request ([`Recording`]), the application gets Usher's span as its parent; else it
//! gets what came, because a span that nobody can find would tear the trace apart.
//! Without `tracing` in the configuration, this does nothing, and the fields are the application's own affair.

use aws_lc_rs::rand;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Connection;
use super::recording::Recording;
use crate::clock::Clock;
use crate::config::{TraceSource, Tracing};
use crate::traces::Spans;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-`, 32 digits of the trace, `-`, 16 of the parent, `-`, two of flags (§3.2).
const LENGTH: usize = 55;

/// The trace of one request.
#[derive(Debug)]
pub(super) struct TraceContext {
    /// As version 00.
    traceparent: HeaderValue,
    is_continued: bool,
    /// What a collector will be told, where it is.
    pub(super) recording: Option<Box<Recording>>,
}

impl TraceContext {
    /// The trace of a request with these headers. It is recorded where it is to be and there are `spans`.
    pub(super) fn of(
        headers: &HeaderMap,
        connection: &Connection,
        tracing: &Tracing,
        spans: Option<(&Spans, &Clock)>,
    ) -> Option<Self> {
        let is_trusted = match tracing.accept_from {
            TraceSource::TrustedProxies => connection.peer_trusted,
            TraceSource::Everybody => true,
            TraceSource::Nobody => false,
        };
        let given = if is_trusted { given(headers) } else { None };
        let is_continued = given.is_some();
        let traceparent = given.or_else(|| {
            // Who asks about a request of theirs is told nothing that the application gets.
            (!connection.questions).then(|| begin(tracing)).flatten()
        })?;
        let trace = Self { traceparent, is_continued, recording: None };
        Some(match spans {
            Some((spans, clock)) => trace.recorded(spans, clock),
            None => trace,
        })
    }

    /// The same with Usher's own part in it, if it is to be recorded.
    fn recorded(self, spans: &Spans, clock: &Clock) -> Self {
        self.with_recording(spans, clock).unwrap_or(self)
    }

    fn with_recording(&self, spans: &Spans, clock: &Clock) -> Option<Self> {
        let text = self.traceparent.to_str().ok()?;
        let flags = text.get(53..LENGTH)?;
        if u8::from_str_radix(flags, 16).ok()? & 1 == 0 {
            return None;
        }
        let trace = u128::from_str_radix(self.id()?, 16).ok()?;
        let parent = u64::from_str_radix(text.get(36..52)?, 16).ok()?;
        let recording = Recording::begin(spans, clock, trace, self.is_continued.then_some(parent))?;
        let traceparent =
            HeaderValue::try_from(format!("00-{trace:032x}-{:016x}-{flags}", recording.forwarded())).ok()?;
        Some(Self { traceparent, is_continued: self.is_continued, recording: Some(Box::new(recording)) })
    }

    /// Its id, as the log has it.
    pub(super) fn id(&self) -> Option<&str> {
        self.traceparent.to_str().ok()?.get(3..35)
    }

    /// Says it to the application, in place of what is there. `None`: nothing can be said, and so nothing is.
    pub(super) fn write(trace: Option<&Self>, headers: &mut HeaderMap) {
        match trace {
            Some(trace) => headers.insert(TRACEPARENT, trace.traceparent.clone()),
            None => headers.remove(TRACEPARENT),
        };
        if trace.is_none_or(|trace| !trace.is_continued) {
            headers.remove(TRACESTATE);
        }
    }
}

/// The only `traceparent`, where that is one.
fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let (line, None) = (lines.next()?.as_bytes(), lines.next()) else { return None };
    let (known, rest) = line.split_at_checked(LENGTH)?;
    let [version, trace, parent, flags] = [0..2, 3..35, 36..52, 53..LENGTH].map(|at| known.get(at).unwrap_or_default());
    let is_parted = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    let is_hex = |digits: &[u8]| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let is_some = |digits: &[u8]| digits.iter().any(|digit| *digit != b'0');
    let is_known = match version {
        b"ff" => false,
        b"00" => rest.is_empty(),
        // A later version may say more behind this (§4.3).
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    let is_written = is_parted && [version, trace, parent, flags].into_iter().all(is_hex);
    if !(is_written && is_known && is_some(trace) && is_some(parent)) {
        return None;
    }
    if version == b"00" {
        // Copied: a piece of what was read would keep all of that in memory until the answer ends.
        return HeaderValue::from_bytes(known).ok();
    }
    let is_sampled =
        flags.last().is_some_and(|digit| char::from(*digit).to_digit(16).is_some_and(|flags| flags & 1 == 1));
    let (trace, parent) = (str::from_utf8(trace).ok()?, str::from_utf8(parent).ok()?);
    HeaderValue::try_from(format!("00-{trace}-{parent}-0{}", u8::from(is_sampled))).ok()
}

/// A new one. `None` where the system gives no randomness: a request does not fail for that.
fn begin(tracing: &Tracing) -> Option<HeaderValue> {
    let mut random = [0; 24];
    rand::fill(&mut random).ok()?;
    let (trace, parent) = random.split_first_chunk::<16>()?;
    let (_, decisive) = trace.split_last_chunk::<8>()?;
    let is_sampled = u8::from(tracing.sample.has(u64::from_be_bytes(*decisive)));
    let (trace, parent) = (u128::from_be_bytes(*trace).max(1), u64::from_be_bytes(*parent.first_chunk::<8>()?).max(1));
    HeaderValue::try_from(format!("00-{trace:032x}-{parent:016x}-0{is_sampled}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ratio;

    const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn context(lines: &[&str], peer_trusted: bool, accept_from: TraceSource) -> (String, Option<bool>) {
        let lines = lines.iter().map(|line| (TRACEPARENT, HeaderValue::from_str(line).unwrap()));
        let mut headers: HeaderMap = lines.chain([(TRACESTATE, HeaderValue::from_static("a=b"))]).collect();
        let here = "127.0.0.1:1".parse().unwrap();
        let connection = Connection::new(here, peer_trusted, here, true, None);
        let tracing = Tracing { accept_from, sample: Ratio::ALL, otlp: None };
        let context = TraceContext::of(&headers, &connection, &tracing, None).unwrap();
        TraceContext::write(Some(&context), &mut headers);
        assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
        let written = headers[TRACEPARENT].to_str().unwrap().to_owned();
        assert_eq!(context.id(), written.get(3..35));
        (written, Some(headers.contains_key(TRACESTATE)))
    }

    #[test]
    fn a_trace_of_somebody_trusted_goes_on_and_every_other_request_begins_one() {
        use TraceSource::{Everybody, Nobody, TrustedProxies};
        for (source, peer_trusted, goes_on) in [
            (TrustedProxies, true, true),
            (TrustedProxies, false, false),
            (Everybody, false, true),
            (Nobody, true, false),
        ] {
            let (written, has_state) = context(&[GIVEN], peer_trusted, source);
            assert_eq!((written == GIVEN, has_state), (goes_on, Some(goes_on)), "{source:?}");
            assert!(written.len() == LENGTH && written.starts_with("00-") && written.ends_with("-01"), "{written}");
        }
        assert_ne!(context(&[], true, Everybody), context(&[], true, Everybody));
    }

    #[test]
    fn what_is_malformed_begins_a_trace_and_later_versions_are_read_as_this_one() {
        let upper = GIVEN.to_uppercase();
        let of = |from: &str, to: &str| GIVEN.replace(from, to);
        for lines in [
            vec![""],
            vec!["00"],
            vec![GIVEN, GIVEN],
            vec![&upper],
            vec![&of("00-", "ff-")],
            vec![&of("-01", "-1")],
            vec![&of("-01", "-01-more")],
            vec![&of("-01", "-zz")],
            vec![&of("-01", "-01,")],
            vec![&of("-b7", "b-7")],
            vec![&of("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32))],
            vec![&of("b7ad6b7169203331", &"0".repeat(16))],
        ] {
            let (written, has_state) = context(&lines, true, TraceSource::Everybody);
            assert!(!written.contains("b7ad6b7169203331") && has_state == Some(false), "{lines:?}: {written}");
        }
        for (later, flags) in [("01-", "-01"), ("cc-", "-01-what-comes-later"), ("01-", "-03"), ("01-", "-02")] {
            let given = format!("{later}{IDS}{flags}");
            let (written, _) = context(&[&given], true, TraceSource::Everybody);
            let sampled = if flags == "-02" { "-00" } else { "-01" };
            assert_eq!(written, format!("00-{IDS}{sampled}"), "{given}");
        }
    }
}
