//! What changes, for people: what opens first, so that it is not overlooked.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::Told;
use super::change::{Change, Kind};
use super::outcome::Outcome;
use super::replay::{Group, Replayed};
use crate::commands::table;
use crate::gateway::explain::Decision;

const OPENED: Style = AnsiColor::Red.on_default().bold().invert();
const CLOSED: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Writes it.
pub(super) fn write(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    for change in &told.changes {
        one(change, out)?;
    }
    if !told.changes.is_empty() {
        writeln!(out)?;
    }
    if !told.settings.is_empty() {
        writeln!(out, "settings: {}", told.settings.join(", "))?;
    }
    if !told.restart.is_empty() {
        writeln!(out, "{CHANGED}restart{CHANGED:#}: {} can only be changed by one", told.restart.join(", "))?;
    }
    if let Some(log) = &told.log {
        replayed(log, out)?;
    }
    summary(told, out)
}

const fn word(kind: Kind) -> (Style, &'static str) {
    match kind {
        Kind::Opened => (OPENED, "OPENED"),
        Kind::Closed => (CLOSED, "closed"),
        Kind::Changed => (CHANGED, "changed"),
        Kind::Added => (DIM, "added"),
        Kind::Removed => (DIM, "removed"),
    }
}

fn one(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let (style, word) = word(change.kind);
    let site = change.site.as_deref().unwrap_or("every site");
    let place = if change.paths.is_empty() { site.to_owned() } else { format!("{site} {}", change.paths.join(" ")) };
    let methods = if change.methods.is_empty() { String::new() } else { format!("  {}", change.methods.join(", ")) };
    writeln!(out, "{style}{word}{style:#}{:1$} {BOLD}{place}{BOLD:#}{methods}", "", 7 - word.len())?;
    change.what.iter().try_for_each(|what| writeln!(out, "        {what}"))
}

fn replayed(log: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let more = if log.and_more { "more than " } else { "" };
    writeln!(
        out,
        "log: {} requests, {more}{} different ones; decided alike: {}",
        log.requests, log.different, log.alike
    )?;
    if log.unreadable > 0 {
        writeln!(out, "log: {} requests that could not be read by any configuration", log.unreadable)?;
    }
    if log.other_lines > 0 {
        let first = log.first_other_lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let and = if log.other_lines > log.first_other_lines.len() as u64 { " and more" } else { "" };
        writeln!(out, "log: {} lines that are none of the access log: line {first}{and}", log.other_lines)?;
    }
    groups("decided otherwise", &log.otherwise, out)?;
    groups("cannot be known without the claims or what was presented", &log.unknown, out)?;
    writeln!(out)
}

fn groups(title: &str, groups: &[Group], out: &mut dyn Write) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let requests: u64 = groups.iter().map(|group| group.requests).sum();
    writeln!(out, "\n{BOLD}{title}: {requests}{BOLD:#}")?;
    let rows: Vec<_> = groups
        .iter()
        .map(|group| {
            let is_elsewhere = group.before.decision == group.after.decision;
            [
                group.requests.to_string(),
                outcome(&group.before, is_elsewhere),
                outcome(&group.after, is_elsewhere),
                format!("{} (line {})", group.example, group.line),
            ]
        })
        .collect();
    table::write("  ", ["requests", "before", "after", "for example"], &rows, out)
}

/// In words; where it is forwarded to only if that is what differs.
fn outcome(outcome: &Outcome, with_upstream: bool) -> String {
    match (outcome.decision, &outcome.status[..], &outcome.upstream) {
        (Decision::Forwarded, _, Some(upstream)) if with_upstream => format!("forwarded to {upstream}"),
        (Decision::Forwarded, ..) => "forwarded".to_owned(),
        (Decision::Answered, ..) => "answered".to_owned(),
        (Decision::Unknown, ..) => "?".to_owned(),
        (Decision::Refused, [program, browser], _) if program != browser => {
            format!("refused {program}, a browser {browser}")
        }
        (Decision::Refused, status, _) => {
            format!("refused {}", status.first().map(ToString::to_string).unwrap_or_default())
        }
    }
}

fn summary(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    let mut counts = Vec::new();
    for kind in [Kind::Opened, Kind::Closed, Kind::Changed, Kind::Added, Kind::Removed] {
        let count = told.changes.iter().filter(|change| change.kind == kind).count();
        if count > 0 {
            counts.push(format!("{count} {}", word(kind).1.to_lowercase()));
        }
    }
    if !counts.is_empty() {
        writeln!(out, "{}.", counts.join(", "))
    } else if told.settings.is_empty() {
        writeln!(out, "No request is treated otherwise.")
    } else {
        writeln!(out, "No route decides otherwise. What those settings do to requests is not compared.")
    }
}
