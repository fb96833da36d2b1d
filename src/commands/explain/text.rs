//! An explanation for people: aligned, the decision at the end, where somebody looks first.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use super::logged::Compared;
use crate::gateway::explain::{Answer, Candidate, Check, Decision, Explanation, Forwarded};
use crate::printable::printable;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// More candidates that are for something else are only counted.
const MOST: usize = 12;

/// Writes it.
pub(super) fn write(told: &Explanation, log: Option<&Compared>, out: &mut dyn Write) -> io::Result<()> {
    let read = &told.request;
    let (host, path) = (read.host.as_deref().unwrap_or_default(), read.path.as_deref().unwrap_or("(not readable)"));
    writeln!(out, "{BOLD}{} {}{}{BOLD:#}", printable(&read.method), printable(host), printable(path))?;
    candidates("site", &told.sites, out)?;
    candidates("route", &told.routes, out)?;
    checks(&told.checks, out)?;
    if let Some(forwarded) = &told.forwarded {
        received(forwarded, out)?;
    }
    writeln!(out)?;
    for note in &told.notes {
        writeln!(out, "note: {}", printable(note))?;
    }
    if let Some(log) = log {
        then(log, out)?;
    }
    decision(told, out)?;
    if let Some(answers) = &told.answers {
        answer("a browser gets", &answers.browser, out)?;
        answer("a program gets", &answers.program, out)?;
    }
    Ok(())
}

fn mark(holds: Option<bool>) -> (Style, &'static str) {
    match holds {
        Some(true) => (GOOD, "✓"),
        Some(false) => (BAD, "✗"),
        None => (DIM, "?"),
    }
}

fn candidates(what: &str, candidates: &[Candidate], out: &mut dyn Write) -> io::Result<()> {
    if candidates.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{DIM}{what}{DIM:#}")?;
    let width = candidates.iter().map(|candidate| candidate.name.chars().count()).max().unwrap_or_default();
    let shown = candidates.iter().position(|candidate| candidate.wins).map_or(MOST, |winner| MOST.max(winner + 1));
    for Candidate { name, wins, why } in candidates.iter().take(shown) {
        let (style, mark) = if *wins { (GOOD, "✓") } else { (DIM, "·") };
        writeln!(out, "  {style}{mark}{style:#} {name:width$}  {}", printable(why))?;
    }
    match candidates.len().saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  {DIM}·{DIM:#} and {more} more, which --output json lists"),
    }
}

fn checks(checks: &[Check], out: &mut dyn Write) -> io::Result<()> {
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or_default();
    let mut step = "";
    for check in checks {
        if check.step != step {
            step = check.step;
            writeln!(out, "\n{DIM}{step}{DIM:#}")?;
        }
        let (style, mark) = mark(check.holds);
        let wanted = check.wanted.as_ref().map(|wanted| format!("{DIM}(wanted: {}){DIM:#}", printable(wanted)));
        let seen = check.seen.as_ref().map(|seen| printable(seen).into_owned());
        let seen = [seen, wanted].into_iter().flatten().collect::<Vec<_>>().join("  ");
        let line = format!("{:width$}  {seen}", check.what);
        writeln!(out, "  {style}{mark}{style:#} {}", line.trim_end())?;
    }
    Ok(())
}

fn received(forwarded: &Forwarded, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{DIM}the application receives{DIM:#}")?;
    let place =
        if forwarded.upstream.is_empty() { "the proxy that asks".to_owned() } else { forwarded.upstream.join(", ") };
    writeln!(out, "  → {} at {place}", printable(&forwarded.target))?;
    let width = forwarded.headers.iter().map(|field| field.name.len()).max().unwrap_or_default();
    for field in &forwarded.headers {
        let by = if field.added { "+" } else { " " };
        writeln!(out, "  {GOOD}{by}{GOOD:#} {:width$}  {}", field.name, printable(&field.value))?;
    }
    if !forwarded.removed.is_empty() {
        writeln!(out, "  {BAD}-{BAD:#} not passed on: {}", forwarded.removed.join(", "))?;
    }
    Ok(())
}

fn then(log: &Compared, out: &mut dyn Write) -> io::Result<()> {
    let route = log.route.as_deref().unwrap_or("no route");
    let reason = log.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", printable(reason)));
    let [decision, route, id] = [&*log.decision, route, &log.request_id].map(printable);
    writeln!(out, "then:   {decision} {} by {route}{reason} {DIM}({id}){DIM:#}", log.status)?;
    let verdict = match log.differs {
        Some(true) => "decided otherwise",
        Some(false) => "decided the same",
        None => "not known from the log alone",
    };
    writeln!(out, "now:    {verdict}")
}

fn decision(told: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    let reason = printable(told.reason.as_deref().unwrap_or_default());
    match told.decision {
        Decision::Forwarded => writeln!(out, "{GOOD}→ reaches the application{GOOD:#}"),
        Decision::Answered => writeln!(out, "{GOOD}→ is answered by Usher itself{GOOD:#}"),
        Decision::Refused => writeln!(out, "{BAD}→ is refused{BAD:#}: {reason}"),
        Decision::Unknown if told.forwarded.is_some() => {
            writeln!(out, "{BOLD}→ would reach the application, but that is not certain{BOLD:#}: {reason}")
        }
        Decision::Unknown => writeln!(out, "{BOLD}→ cannot be known from here{BOLD:#}: {reason}"),
    }
}

fn answer(who: &str, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let telling = answer.headers.iter().filter(|field| field.name != "content-type");
    write!(out, "  {who}  {}", answer.status)?;
    for field in telling {
        write!(out, "  {}: {}", field.name, printable(&field.value))?;
    }
    writeln!(out, "{}", if answer.clears_cookies { "  and clears the session's cookies" } else { "" })?;
    match &answer.detail {
        Some(detail) => writeln!(out, "  {:1$}  “{2}”", "", who.len(), printable(detail)),
        None => Ok(()),
    }
}
