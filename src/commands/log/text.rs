//! What an event says, as text for people: the message, then `name=value` with blanks between.
//!
//! Texts are quoted as Rust does; numbers are not, and so are told from texts. What is no text by itself (an address, an
//! error) stands bare as long as it is one word, and is quoted like a text where it is not: an error may repeat what
//! somebody has sent, and nobody writes fields or lines of his own into the log. When and how grave it is, and the place
//! in the code, are written by tracing-subscriber.

use std::fmt;

use anstyle::Style;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::commands::causes;
use crate::printable::printable;

/// The format.
pub(super) struct Text;

impl<'w> FormatFields<'w> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut written = Fields { writer, any: false, outcome: Ok(()) };
        fields.record(&mut written);
        written.outcome
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    any: bool,
    outcome: fmt::Result,
}

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.outcome.is_ok() {
            self.outcome = self.try_write(field, value);
        }
    }

    fn try_write(&mut self, field: &Field, value: fmt::Arguments<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.any, true) {
            self.writer.write_char(' ')?;
        }
        if is_message(field) {
            return self.writer.write_fmt(value);
        }
        let plain = Style::new();
        let (italic, dimmed) =
            if self.writer.has_ansi_escapes() { (plain.italic(), plain.dimmed()) } else { (plain, plain) };
        let name = field.name();
        // An identifier; `r#type` in the source is `type` here.
        let name = name.strip_prefix("r#").unwrap_or(name);
        write!(self.writer, "{italic}{name}{italic:#}{dimmed}={dimmed:#}{value}")
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let shown = format!("{value:?}");
        if is_message(field) {
            self.write(field, format_args!("{}", printable(&shown)));
        } else if is_one_word(&shown) {
            self.write(field, format_args!("{shown}"));
        } else {
            self.write(field, format_args!("{shown:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_message(field) {
            self.write(field, format_args!("{}", printable(value)));
        } else {
            self.write(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &causes(value).join(": "));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, format_args!("{value}"));
    }
}

fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

/// Whether it can stand between blanks without being taken for anything else.
fn is_one_word(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| !letter.is_whitespace() && !matches!(letter, '=' | '"' | '\\'))
        && printable(text) == text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::testing::Recorded;
    use super::*;
    use crate::commands::explain::logged::Logged;

    fn logged(event: impl FnOnce()) -> String {
        let recorded = Recorded::default();
        let subscriber = tracing_subscriber::fmt().with_writer(recorded.clone()).with_ansi(false).fmt_fields(Text);
        tracing::subscriber::with_default(subscriber.finish(), event);
        let line = recorded.text();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line}");
        line.split_once(": ").unwrap().1.trim_end().to_owned()
    }

    #[test]
    fn what_is_more_than_a_word_is_quoted_and_nothing_else() {
        let address: std::net::IpAddr = "2001:db8::1".parse().unwrap();
        let error = io::Error::other("said \"no\"\n2026-11-27T03:00:00Z ERROR usher: all is lost");
        let line = logged(|| {
            tracing::info!(
                text = "/",
                count = 3_u64,
                ratio = 0.125,
                yes = true,
                client = %address,
                blank = %"a b",
                field = %"a status=200",
                sign = %"a=b",
                nothing = %"",
                turned = %"a\u{202e}b",
                error = &error as &dyn std::error::Error,
                "it broke:\n{error}",
            );
        });
        assert_eq!(
            line,
            "it broke:\\nsaid \"no\"\\n2026-11-27T03:00:00Z ERROR usher: all is lost text=\"/\" count=3 ratio=0.125 \
             yes=true client=2001:db8::1 blank=\"a b\" field=\"a status=200\" sign=\"a=b\" nothing=\"\" \
             turned=\"a\\u{202e}b\" error=\"said \\\"no\\\"\\n2026-11-27T03:00:00Z ERROR usher: all is lost\""
        );
    }

    #[test]
    fn a_line_of_the_access_log_is_read_back_as_it_was_whether_or_not_a_value_is_quoted() {
        for path in ["/x", "/a b", "/a\" status=200 decision=\"forwarded", "/a=b\\"] {
            let line = logged(|| {
                tracing::info!(
                    target: "usher::access",
                    request_id = "1", method = %"GET", path = %path, decision = "refused", status = 403_u16
                );
            });
            let read = Logged::parse(&format!("usher::access: {line}")).unwrap();
            assert_eq!((read.path.as_deref(), &*read.decision, read.status), (Some(path), "refused", 403), "{line}");
        }
    }
}
