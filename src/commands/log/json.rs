//! Events as lines of JSON: one object, its members in the order `timestamp`, `level`, what the event says, `target`.
//!
//! There is such a line for every request, and tracing-subscriber's own format costs a tenth of all that Usher does for
//! one: it goes through a serializer and an intermediate text for every member. What events look like is the same. Spans
//! are not shown: Usher has none.

use std::cell::RefCell;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::time_of_day;
use crate::commands::causes;

/// The format.
pub(super) struct Json;

thread_local! {
    /// The line that is being put together: in a text of its own, appending is a copy and no call.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // Taken, not borrowed: showing a value might log something.
        let mut line = LINE.take();
        line.clear();
        write_event(&mut line, event)?;
        let written = writer.write_str(&line);
        LINE.set(line);
        written
    }
}

fn write_event(line: &mut String, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    line.push_str(r#"{"timestamp":""#);
    write!(line, "{}", humantime::format_rfc3339_micros(time_of_day()))?;
    line.push_str(r#"","level":""#);
    line.push_str(metadata.level().as_str());
    line.push('"');
    event.record(&mut Members(line));
    line.push_str(r#","target":""#);
    push_escaped(line, metadata.target());
    line.push_str("\"}\n");
    Ok(())
}

/// Writes what an event says.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn name(&mut self, field: &Field) {
        // An identifier; `r#type` in the source is `type` here.
        let name = field.name();
        self.0.push_str(",\"");
        self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.0.push_str("\":");
    }

    fn integer(&mut self, field: &Field, value: impl itoa::Integer) {
        self.name(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.0.push('"');
        // A value that cannot be shown is shown as far as it can.
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push('"');
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push('"');
        push_escaped(self.0, value);
        self.0.push('"');
    }

    /// With its causes: what went wrong stands in the last of them.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &causes(value).join(": "));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.integer(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.integer(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        if push_thousandths(self.0, value) {
            return;
        }
        // JSON has no infinity. Writing to a text cannot fail.
        let _ = if value.is_finite() { write!(self.0, "{value}") } else { self.0.write_str("null") };
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.0.push_str(if value { "true" } else { "false" });
    }
}

/// Writes a number that has three decimals at most, as all durations in the log do: that takes no search for the shortest
/// text that reads back as the same number. Says whether it is such a number.
fn push_thousandths(line: &mut String, value: f64) -> bool {
    const MOST: f64 = 1e12;
    if !(0.0..MOST).contains(&value) {
        return false;
    }
    let thousandths = (value * 1e3).round();
    #[expect(clippy::float_cmp, reason = "it is another number unless it is the very same")]
    if thousandths / 1e3 != value {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative and below 1e15")]
    let thousandths = thousandths as u64;
    line.push_str(itoa::Buffer::new().format(thousandths / 1000));
    let mut rest = thousandths % 1000;
    let mut place = 100;
    if rest > 0 {
        line.push('.');
    }
    while rest > 0 {
        line.push_str(itoa::Buffer::new().format(rest / place));
        rest %= place;
        place /= 10;
    }
    true
}

/// Writes text as the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

/// RFC 8259 §7.
fn push_escaped(line: &mut String, text: &str) {
    // Nearly all texts are plain, which is seen many bytes at a time when none of them ends the search.
    if text.bytes().fold(true, |plain, byte| plain & !needs_escape(byte)) {
        return line.push_str(text);
    }
    let mut rest = text;
    while let Some((plain, from)) = rest.bytes().position(needs_escape).and_then(|at| rest.split_at_checked(at)) {
        line.push_str(plain);
        let mut characters = from.chars();
        match characters.next() {
            Some('\n') => line.push_str("\\n"),
            Some('\r') => line.push_str("\\r"),
            Some('\t') => line.push_str("\\t"),
            Some(quoted @ ('"' | '\\')) => line.extend(['\\', quoted]),
            Some(control) => drop(write!(line, "\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = characters.as_str();
    }
    line.push_str(rest);
}

#[expect(clippy::needless_bitwise_bool, reason = "without a way out, several bytes are looked at in one instruction")]
const fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use std::io;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::testing::Recorded;
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it \"broke\"")]
    struct Broke(#[source] io::Error);

    fn logged(event: impl FnOnce()) -> String {
        let recorded = Recorded::default();
        let subscriber = tracing_subscriber::fmt().with_writer(recorded.clone()).event_format(Json).finish();
        tracing::subscriber::with_default(subscriber, event);
        recorded.text()
    }

    #[test]
    fn an_event_is_one_object_with_a_member_for_each_field() {
        let none: Option<&str> = None;
        let error = Broke(io::Error::other("by itself"));
        let line = logged(|| {
            tracing::info!(
                target: "usher::access",
                text = "a\nb",
                shown = %"x\\y",
                debug = ?Some(1),
                count = 3_u64,
                less = -3,
                ratio = 0.125,
                whole = 2.0,
                endless = f64::INFINITY,
                yes = true,
                none,
                error = &error as &dyn std::error::Error,
                "said"
            );
        });
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
        let mut value: Value = serde_json::from_str(&line).unwrap();
        let members = value.as_object_mut().unwrap();
        let timestamp = members.remove("timestamp").unwrap();
        assert!(humantime::parse_rfc3339(timestamp.as_str().unwrap()).is_ok(), "{timestamp}");
        assert_eq!(
            value,
            json!({
                "level": "INFO", "message": "said", "text": "a\nb", "shown": "x\\y", "debug": "Some(1)", "count": 3,
                "less": -3, "ratio": 0.125, "whole": 2, "endless": null, "yes": true, "error": "it \"broke\": by itself",
                "target": "usher::access"
            })
        );
    }

    #[test]
    fn numbers_of_three_decimals_are_written_as_any_other() {
        for thousandths in (0..3000_u32).chain([999_999, 12_345_000, u32::MAX]) {
            let value = f64::from(thousandths) / 1e3;
            let mut written = String::new();
            assert!(push_thousandths(&mut written, value));
            assert_eq!(written, value.to_string());
        }
        for value in [-1.0, 0.0001, 0.1 + 0.2, 1e12, f64::NAN, f64::INFINITY] {
            assert!(!push_thousandths(&mut String::new(), value), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_back(text in any::<String>()) {
            let mut written = String::from("\"");
            push_escaped(&mut written, &text);
            written.push('"');
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
