//! A line of the access log, in either format that it is written in, and how the present configuration compares.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::ExplainError;
use super::input::Inputs;
use crate::gateway::explain::{Decision, Explanation, Presented};

/// Of whose lines this is about.
const TARGET: &str = "usher::access";

/// What a line says of its request. The members that explaining needs, by the names that they have there.
#[derive(Debug, Default)]
pub(in crate::commands) struct Logged {
    pub(in crate::commands) method: String,
    pub(in crate::commands) host: Option<String>,
    pub(in crate::commands) path: Option<String>,
    pub(in crate::commands) reason: Option<String>,
    request_id: String,
    client: Option<String>,
    pub(in crate::commands) route: Option<String>,
    pub(in crate::commands) issuer: Option<String>,
    pub(in crate::commands) decision: String,
    pub(in crate::commands) status: u16,
}

/// What was decided then, and whether it would be now.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// The id of the request.
    pub(super) request_id: String,
    /// The status that it got.
    pub(super) status: u16,
    /// What was decided: `forwarded`, `verified`, `refused` or `answered`.
    pub(super) decision: String,
    /// The route that it fell under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Whether the present configuration decides otherwise. `None`: that cannot be known from the log.
    pub(super) differs: Option<bool>,
}

impl Logged {
    /// Reads a line; `-` is the first line of standard input.
    pub(super) fn read(line: &str, inputs: &mut Inputs) -> Result<Self, ExplainError> {
        let text;
        let line = if line == "-" {
            text = inputs.standard("--log")?;
            text.lines().next().unwrap_or_default()
        } else {
            line
        };
        Self::parse(line).ok_or(ExplainError::Line)
    }

    /// Whatever stands before it, such as the name of a container, is skipped.
    pub(in crate::commands) fn parse(line: &str) -> Option<Self> {
        let line = anstream::adapter::strip_str(line).to_string();
        let members = match line.split_once(&format!("{TARGET}: ")) {
            // Behind a quote it is what somebody has sent, in a line of another kind.
            Some((before, members)) if !before.contains('"') => of_text(members)?,
            _ => of_json(line.get(line.find('{')?..)?)?,
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            method: text("method")?,
            host: text("host"),
            path: text("path"),
            reason: text("reason"),
            request_id: text("request_id")?,
            client: text("client"),
            route: text("route"),
            issuer: text("issuer"),
            decision: text("decision")?,
            status: u16::try_from(members.get("status")?.as_u64()?).ok()?,
        })
    }

    /// Who has asked.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.client.as_ref()?.parse().ok()
    }

    /// What was presented then, as far as the log tells.
    pub(in crate::commands) fn presented(&self) -> Presented {
        Presented::of_log(self.issuer.as_deref(), self.reason.as_deref())
    }

    /// How what is decided now compares.
    pub(super) fn compare(&self, now: &Explanation) -> Compared {
        // Another proxy has forwarded what was verified.
        let has_passed = matches!(&*self.decision, "forwarded" | "verified");
        let is_other = match now.decision {
            _ if self.route != now.route => Some(true),
            Decision::Unknown => None,
            Decision::Forwarded if self.is_refused_in_passing() => None,
            Decision::Forwarded => Some(!has_passed),
            Decision::Answered => Some(has_passed),
            Decision::Refused => Some(self.decision != "refused" || !self.had_status_of(now)),
        };
        Compared {
            request_id: self.request_id.clone(),
            status: self.status,
            decision: self.decision.clone(),
            route: self.route.clone(),
            reason: self.reason.clone(),
            differs: is_other,
        }
    }

    /// Whether it was refused for the day's troubles, or for what the log does not keep, and not for what is written about its
    /// route.
    pub(in crate::commands) fn is_refused_in_passing(&self) -> bool {
        self.decision == "refused" && !matches!(self.status, 302 | 401 | 403)
    }

    /// Whether it was a person or a program, the log does not say.
    fn had_status_of(&self, now: &Explanation) -> bool {
        now.answers
            .as_ref()
            .is_some_and(|answers| [answers.browser.status, answers.program.status].contains(&self.status))
    }
}

fn of_json(text: &str) -> Option<Map<String, Value>> {
    let Ok(Value::Object(members)) = serde_json::from_str(text.trim()) else { return None };
    (members.get("target")?.as_str()? == TARGET).then_some(members)
}

/// `name=value` with blanks between; texts are quoted as Rust does.
fn of_text(text: &str) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquoted(quoted).map(|(text, after)| (Value::String(text), after))?
        } else {
            let (bare, after) = after.split_once(' ').unwrap_or((after, ""));
            (serde_json::from_str(bare).unwrap_or_else(|_| Value::String(bare.to_owned())), after)
        };
        members.insert(name.trim().to_owned(), value);
        rest = after.trim_start();
    }
    Some(members)
}

/// The text up to the quote that ends it, and what comes after that.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some((text, characters.as_str())),
            '\\' => text.push(match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                'u' => {
                    let (digits, after) = characters.as_str().strip_prefix('{')?.split_once('}')?;
                    characters = after.chars();
                    char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                }
                other => other,
            }),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were_written() {
        for text in ["/a \"b\"\\", "tab\tline\n", "\u{7f}é\u{200b}'", "/", "", "nul\0 and \u{1} after"] {
            let members = of_text(&format!("path={text:?} status=200")).unwrap();
            assert_eq!((members["path"].as_str(), members["status"].as_u64()), (Some(text), Some(200)), "{text:?}");
        }
    }

    #[test]
    fn lines_of_others_are_none() {
        let forged = "usher::access: request_id=a method=GET decision=forwarded status=200 bytes=0";
        assert!(Logged::parse(forged).is_some());
        let forged = format!("INFO usher::audit: event=\"refused\" subject=\"{forged}\"");
        for line in ["", "{", "{}", r#"{"target":"usher::audit","method":"GET"}"#, "INFO usher::access: ", &forged] {
            assert!(Logged::parse(line).is_none(), "{line}");
        }
    }
}
