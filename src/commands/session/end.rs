//! `usher session end`: denies first, which counts at once and on every instance, then forgets, then tells the issuer. As nobody
//! else knows who wanted that, the line of the audit log is written here.

use std::io::Write;

use super::{NOTHING_THERE, Reach, SessionError};
use crate::commands::{Failure, causes};
use crate::config;
use crate::issuer::{Issuer, RevokeError};
use crate::oauth::RefreshToken;
use crate::printable::printable;
use crate::session::store::{Ask, EndCause, Need, Presenter, RecordKey};
use crate::session::stored::StoredSession;
use crate::session::{SessionId, TokenHash};

/// Ends these sessions.
pub(super) async fn sessions(reach: &Reach, ids: &[SessionId], out: &mut impl Write) -> Result<(), Failure> {
    let mut unknown = 0;
    for id in ids {
        let held = reach.sessions.read(*id).await.map_err(Failure::world)?;
        if let Some(held) = held {
            let session = &held.session;
            deny(reach, *id, Some(session)).await?;
            reach.audit.signed_out(Some((&session.issuer, &session.subject)));
            end(reach, *id, session, out).await?;
        } else {
            // An instance may remember what the store has lost.
            deny(reach, *id, None).await?;
            reach.audit.signed_out(None);
            reach.sessions.end(*id, None).await.map_err(Failure::world)?;
            writeln!(out, "{}: not in the store, and denied from now on", id.to_text())?;
            unknown += 1;
        }
    }
    match unknown {
        0 => Ok(()),
        _ => Err(Failure::world(SessionError::Unknown(unknown, ids.len())).with_code(NOTHING_THERE)),
    }
}

/// Ends all that this user was given until now at these issuers. Says how many sessions were in the store.
pub(super) async fn user(
    reach: &Reach,
    subject: &str,
    issuers: &[&config::Issuer],
    out: &mut impl Write,
) -> Result<usize, Failure> {
    reach
        .deny(|denied, now| {
            for issuer in issuers {
                // The issuer's clock may be ahead.
                let (issued_until, until) = (now.wall.after(issuer.leeway), now.wall.after(reach.absolute_timeout));
                denied.deny_subject(&issuer.issuer, subject, issued_until, until, now);
            }
        })
        .await?;
    let names: Vec<&str> = issuers.iter().map(|issuer| &*issuer.name).collect();
    for issuer in &names {
        reach.audit.signed_out(Some((issuer, subject)));
    }
    writeln!(out, "{}: whatever was given until now at {} is denied", printable(subject), names.join(", "))?;
    let (mut listing, mut ended) = (reach.sessions.list_user(names, subject), 0);
    while let Some(page) = reach.sessions.next(&mut listing).await.map_err(Failure::world)? {
        for (id, session) in &page {
            deny(reach, *id, Some(session)).await?;
            end(reach, *id, session, out).await?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// What is to be done about one that is denied.
async fn end(reach: &Reach, id: SessionId, session: &StoredSession, out: &mut impl Write) -> Result<(), Failure> {
    let told = tell_issuer(reach, id, session).await?;
    reach.sessions.end(id, Some(session)).await.map_err(Failure::world)?;
    writeln!(out, "{}: ended ({} at {}); {told}", id.to_text(), printable(&session.subject), session.issuer)?;
    Ok(())
}

async fn deny(reach: &Reach, id: SessionId, session: Option<&StoredSession>) -> Result<(), Failure> {
    reach
        .deny(|denied, now| {
            denied.deny_session(id, now.wall.after(reach.absolute_timeout), now);
            if let Some(session) = session {
                // Cookies from before it moved into the store are of this session too.
                if let Some(before) = session.moved_from {
                    denied.deny_session(before, now.wall.after(reach.absolute_timeout), now);
                }
                denied.deny_access_token(TokenHash::of(session.access.expose()), session.idle_until, now);
            }
        })
        .await
}

/// Ends the chain of renewals, and revokes what is at its end. Says in words what became of that.
async fn tell_issuer(reach: &Reach, id: SessionId, session: &StoredSession) -> Result<String, Failure> {
    let Some(refresh) = &session.refresh else { return Ok("there is no refresh token".to_owned()) };
    let ask = Ask {
        key: RecordKey::of(&session.issuer, refresh),
        token: refresh.clone(),
        session: Some(id),
        beside: None,
        by: Presenter::Keeper,
        need: Need::Token,
    };
    if let Some(before) = session.moved_from {
        let ask = Ask { session: Some(before), ..ask.clone() };
        // Whatever else came of the chain is known by the end below.
        reach.renewals.end(&ask, EndCause::SignedOut).await;
    }
    let ending = reach.renewals.end(&ask, EndCause::SignedOut).await;
    if let Some(ending) = &ending {
        let tokens = &ending.access_tokens;
        reach
            .deny(|denied, now| tokens.iter().for_each(|(token, until)| denied.deny_access_token(*token, *until, now)))
            .await?;
    }
    // While one is being spent, whoever does revokes it.
    let Some(token) = ending.and_then(|ending| ending.refresh_token) else {
        return Ok("its refresh token is being spent, or was revoked before".to_owned());
    };
    let issuer = reach.issuers.iter().find(|issuer| issuer.config().name.as_ref() == &*session.issuer);
    Ok(match issuer {
        Some(issuer) => revoke(issuer, &token).await,
        None => "its refresh token is with a local issuer, and of no use without the session".to_owned(),
    })
}

async fn revoke(issuer: &Issuer, token: &RefreshToken) -> String {
    match issuer.revoke(token).await {
        Ok(()) => "its refresh token is revoked".to_owned(),
        Err(RevokeError::NotOffered) => "the issuer revokes no refresh tokens".to_owned(),
        Err(error) => format!("its refresh token could not be revoked: {}", causes(&error).join(": ")),
    }
}
