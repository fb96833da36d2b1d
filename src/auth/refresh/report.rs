//! What the refresh protocol tells the operator. A token is named by the first digits of its record's key, never shown
//! (law 8). What an auditor looks for is a line of the [audit log](crate::audit); the request that it came of has one too,
//! which says why it was refused.

use std::error::Error;
use std::time::Duration;

use super::{AcceptError, NotRevoked};
use crate::audit::{Event, TARGET};
use crate::config::OnReuse;
use crate::issuer::Sent;
use crate::session::store::{EndCause, Outcome, RecordKey};

pub(super) fn renewed(issuer: &str, record: RecordKey, successor: RecordKey) {
    tracing::info!(issuer, %record, %successor, rotated = record != successor, "renewed");
}

pub(super) fn rejected(issuer: &str, record: RecordKey, after_lost_answer: bool) {
    tracing::info!(issuer, %record, after_lost_answer, "the issuer refused the refresh token: the session is over");
}

pub(super) fn unavailable(
    issuer: &str,
    record: RecordKey,
    sent: Sent,
    (fault, cause): (&'static str, &(dyn Error + 'static)),
) {
    let what = match sent {
        Sent::Never => "the issuer is out of reach; sessions are kept",
        Sent::Answered => "the issuer answered a renewal with neither tokens nor a refusal; sessions are kept",
        Sent::Unknown => "the issuer did not answer a renewal; sessions are kept",
    };
    tracing::warn!(fault, issuer, %record, cause, "{what}");
}

pub(super) fn answer_lost(issuer: &str, record: RecordKey) {
    tracing::warn!(issuer, %record, "the answer to a renewal was lost; it is asked for once more");
}

pub(super) fn turned_away(issuer: &str, record: RecordKey) {
    tracing::debug!(issuer, %record, "not renewed now: the issuer is failing, or too many renewals are under way");
}

pub(super) fn unverified(issuer: &str, record: RecordKey, cause: &(dyn Error + 'static)) {
    tracing::error!(
        issuer, %record, cause,
        "the issuer renewed an access token that does not verify: check audiences, algorithms and keys of this issuer"
    );
}

pub(super) fn without_id_token(issuer: &str, record: RecordKey) {
    tracing::error!(
        fault = "operator", issuer, %record,
        "the issuer renews without an ID token, and identity: id_token needs one: the user has to sign in again; have it send \
         one with every renewal, or use identity: access_token or introspection"
    );
}

pub(super) fn unusable(issuer: &str, error: &AcceptError) {
    tracing::warn!(issuer, error = error as &(dyn Error + 'static), "a recorded access token does not verify here");
}

pub(super) fn other_identity(issuer: &str) {
    let event = Event::IdentityMismatch.happens();
    tracing::warn!(target: TARGET, event, issuer, "a refresh token was presented beside somebody else's access token");
}

pub(super) fn reused(issuer: &str, record: RecordKey, on_reuse: OnReuse) {
    let session = match on_reuse {
        OnReuse::Revoke => "revoked",
        OnReuse::Refuse => "kept",
    };
    let event = Event::ReuseDetected.happens();
    tracing::warn!(
        target: TARGET, event, issuer, %record, session,
        "a spent refresh token was presented after its grace: somebody may have a copy of the cookie"
    );
}

pub(super) fn ended(issuer: &str, record: RecordKey, cause: EndCause) {
    match cause {
        EndCause::SignedOut => tracing::info!(issuer, %record, "the session was ended: signed out"),
        EndCause::Reused => tracing::info!(issuer, %record, "the session was ended: a spent token was reused"),
        EndCause::IdentityChanged => {
            let event = Event::IdentityChanged.happens();
            tracing::error!(
                target: TARGET, event, issuer, %record,
                "the session was ended: its renewal gave tokens of another issuer or subject"
            );
        }
    }
}

pub(super) fn not_sent(record: RecordKey) {
    tracing::warn!(%record, "a renewal is not sent: its lease has ended, and another instance may have taken over");
}

pub(super) fn fenced(record: RecordKey) {
    tracing::warn!(%record, "a renewal took longer than its lease; what it brought is discarded");
}

pub(super) fn kept(record: RecordKey) {
    tracing::warn!(
        fault = "store", %record,
        "the shared store is away: the outcome of a renewal is kept by this process, and recorded once it is back"
    );
}

pub(super) fn not_begun(issuer: &str) {
    tracing::warn!(
        fault = "store",
        issuer,
        "the shared store is away: should the token of a sign-in be one that has been given out before, it may not count"
    );
}

pub(super) fn not_revoked(issuer: &str, again_in: Option<Duration>, NotRevoked { fault, cause }: &NotRevoked) {
    let again_in = again_in.map(|pause| pause.as_secs());
    let what = match again_in {
        Some(_) => "the refresh token of an ended session is not revoked at the issuer yet",
        None => "the refresh token of an ended session could not be revoked at the issuer; it counts no more here",
    };
    let cause: &(dyn Error + 'static) = cause.as_ref();
    tracing::warn!(fault, issuer, again_in, cause, "{what}");
}

pub(super) fn panicked(record: RecordKey) -> Outcome {
    tracing::error!(%record, "a renewal panicked; the session is kept");
    Outcome::Unavailable { retry_after: None, answer_lost: true }
}
