//! `usher session list`: page by page, for there may be millions. No token is shown.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::Style;
use serde_json::json;

use super::Reach;
use crate::clock::Timestamp;
use crate::commands::Failure;
use crate::commands::source::Output;
use crate::config;
use crate::printable::printable;
use crate::session::SessionId;
use crate::session::stored::StoredSession;

const HEADING: Style = Style::new().dimmed();

/// Writes the sessions at these issuers, of this user if one is named.
pub(super) async fn write(
    reach: &Reach,
    user: Option<&str>,
    issuers: &[&config::Issuer],
    output: Output,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let names: Vec<&str> = issuers.iter().map(|issuer| &*issuer.name).collect();
    let mut listing = match user {
        Some(user) => reach.sessions.list_user(names.iter().copied(), user),
        None => reach.sessions.list_all(),
    };
    let width = names.iter().map(|name| name.chars().count()).chain([6]).max().unwrap_or_default();
    let mut is_first = true;
    while let Some(page) = reach.sessions.next(&mut listing).await.map_err(Failure::world)? {
        for (id, session) in page.iter().filter(|(_, session)| names.contains(&&*session.issuer)) {
            match output {
                Output::Text if is_first => {
                    heading(width, out)?;
                    text(*id, session, width, out)?;
                }
                Output::Text => text(*id, session, width, out)?,
                Output::Json => write!(out, "{}{}", if is_first { "[\n" } else { ",\n" }, document(*id, session))?,
            }
            is_first = false;
        }
    }
    match (output, is_first, user) {
        (Output::Json, is_empty, _) => writeln!(out, "{}", if is_empty { "[]" } else { "\n]" })?,
        (Output::Text, true, Some(user)) => writeln!(out, "{} has no session in the store.", printable(user))?,
        (Output::Text, true, None) => writeln!(out, "There is no session in the store.")?,
        (Output::Text, false, _) => {}
    }
    Ok(())
}

fn heading(width: usize, out: &mut impl Write) -> io::Result<()> {
    let line = format!("{:32}  {:20}  {:20}  {:20}  {:width$}  user", "id", "began", "renewed", "ends", "issuer");
    writeln!(out, "{HEADING}{line}{HEADING:#}")
}

fn text(id: SessionId, session: &StoredSession, width: usize, out: &mut impl Write) -> io::Result<()> {
    let [began, renewed, ends] = times(session);
    let user = printable(&session.subject);
    writeln!(out, "{}  {began}  {renewed}  {ends}  {:width$}  {user}", id.to_text(), session.issuer)
}

fn document(id: SessionId, session: &StoredSession) -> serde_json::Value {
    let [began, renewed, ends] = times(session);
    json!({
        "id": id.to_text(),
        "user": session.subject,
        "issuer": session.issuer,
        "began": began,
        "renewed": renewed,
        "ends": ends,
    })
}

/// When it began, was last renewed, and ends if nobody comes.
fn times(session: &StoredSession) -> [String; 3] {
    [session.started_at, session.renewed_at, session.idle_until].map(|Timestamp(seconds)| {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        humantime::format_rfc3339_seconds(at.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
    })
}
