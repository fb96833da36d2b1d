//! What is told about a request: data, for whoever renders it.
//!
//! Claims that are looked at are shown, because they are what it is about. Tokens, cookies and fixed credentials never are
//! (law 8): see [`shown`](super::shown).

use serde::Serialize;

/// Everything that is told about a request.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// What becomes of it.
    pub decision: Decision,
    /// Why, where it does not reach the application, or where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status that this very request gets from Usher. `None` where the application answers, or where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The request as it is read.
    pub request: Read,
    /// Every site, the one that wins first.
    pub sites: Vec<Candidate>,
    /// The site that wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Every route of that site, in winning order.
    pub routes: Vec<Candidate>,
    /// The route that wins, as the access log calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What was looked at, in the order of the journey.
    pub checks: Vec<Check>,
    /// What the application receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// What Usher answers where it refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// What cannot be known from here, and what was assumed.
    pub notes: Vec<String>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It reaches the application.
    Forwarded,
    /// It is for one of Usher's own endpoints.
    Answered,
    /// Usher refuses it.
    Refused,
    /// That cannot be known from here.
    #[default]
    Unknown,
}

/// The request as it is read.
#[derive(Debug, Default, Serialize)]
pub struct Read {
    /// Its method.
    pub method: String,
    /// The canonical host. `None` where the request is not admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The canonical path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it is taken for a person's who navigates.
    pub navigation: bool,
}

/// A site or route that could have won.
#[derive(Debug, Serialize)]
pub struct Candidate {
    /// The host of a site, or the path of a route with its methods.
    pub name: String,
    /// Whether it has.
    pub wins: bool,
    /// Why not, or what it is.
    pub why: String,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// The step of the journey.
    pub step: &'static str,
    /// What was looked at.
    pub what: String,
    /// `None`: it was not come to, or could not be known.
    pub holds: Option<bool>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// What the application receives.
#[derive(Debug, Serialize)]
pub struct Forwarded {
    /// The addresses, one of which it goes to.
    pub upstream: Vec<String>,
    /// The request target. Whatever is in the query is left out.
    pub target: String,
    /// The fields, names in small letters. Those of the connection itself are not among them.
    pub headers: Vec<Field>,
    /// Names of fields that were sent and do not arrive.
    pub removed: Vec<String>,
}

/// One field that the application receives.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value, or what stands for it.
    pub value: String,
    /// Whether Usher says it, and not the client.
    pub added: bool,
}

/// What Usher answers where it refuses.
#[derive(Debug, Serialize)]
pub struct Answers {
    /// To a person who navigates.
    pub browser: Answer,
    /// To a program or script.
    pub program: Answer,
}

/// One answer.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The fields that say what to do: `location`, `www-authenticate`, `retry-after`, `allow`, `content-type`.
    pub headers: Vec<Field>,
    /// The sentence that a program gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether it clears the session's cookies.
    pub clears_cookies: bool,
}

impl Check {
    /// Of which only the verdict is told.
    pub(super) fn of(step: &'static str, what: impl Into<String>, holds: impl Into<Option<bool>>) -> Self {
        Self { step, what: what.into(), holds: holds.into(), wanted: None, seen: None }
    }

    /// With what is there.
    pub(super) fn seen(self, seen: impl Into<String>) -> Self {
        Self { seen: Some(seen.into()), ..self }
    }

    /// With what would be right.
    pub(super) fn wanted(self, wanted: impl Into<String>) -> Self {
        Self { wanted: Some(wanted.into()), ..self }
    }
}

impl Explanation {
    /// The request does not come: the handshake before it is refused for the certificate that is shown in it.
    pub fn refuse_handshake(&mut self, reason: &str) {
        self.checks.insert(0, Check::of("client certificate", "it counts", false).seen(reason));
        self.reason = Some(format!("the TLS handshake is refused: {reason}"));
        (self.decision, self.status, self.answers, self.forwarded) = (Decision::Refused, None, None, None);
    }

    /// Notes what cannot be known, or was assumed.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}
