//! The last refusals, for whoever asks why: what the access log says of each, and of claims that were not enough those that
//! the route asks about. Never a token, a cookie or a query (law 8).
//!
//! Only a request that is refused comes here, and none that is merely sent to sign in. There are a few for each status, so
//! that a flood of one kind leaves the others in sight, and each is bounded in size. They outlive a reload and end with the
//! process. What is refused before it is a request (a head that is too long, a connection too many) is not among them. Why a
//! request would be refused now is told by [`explain`](super::explain): the journey once more, under the configuration in
//! force.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HOST;
use http::{HeaderValue, Method, Request, Uri};
use serde::Serialize;

use super::access_log::{Cause, Record};
use super::explain::{Decision, Explanation, Presented};
use super::{Connection, Gateway};
use crate::clock::Timestamp;
use crate::config::{LogSubject, Route};
use crate::oauth::{ClaimPath, Claims};

/// How many of each status are kept.
const OF_EACH: usize = 16;
/// Longer texts of a request are cut.
const LONGEST: usize = 1024;
/// Longer claims are not kept.
const LONGEST_CLAIMS: usize = 4096;
/// What step-up looks at, and what says whose claims these are.
const ALWAYS_KEPT: [&str; 4] = ["iss", "sub", "acr", "auth_time"];

/// The last refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// How many there were.
    count: u64,
    by_status: BTreeMap<u16, VecDeque<Arc<Refusal>>>,
}

/// A request that was refused.
#[derive(Debug, Serialize)]
pub struct Refusal {
    /// Which one it is, counted from the start of the process.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Its id in the log.
    pub request_id: String,
    /// Who asked, as the access log has it.
    pub client: Arc<str>,
    /// The method.
    pub method: String,
    /// The host; `None` where the request could not be read.
    pub host: Option<String>,
    /// The canonical path; `None` where the request could not be read.
    pub path: Option<String>,
    /// The route, once it was found.
    pub route: Option<Arc<str>>,
    /// The issuer whose token counted.
    pub issuer: Option<Arc<str>>,
    /// Whose it is, as the access log shows subjects.
    pub subject: Option<Arc<str>>,
    /// Why.
    pub reason: String,
    /// Whose fault that is.
    pub fault: &'static str,
    /// What was answered.
    pub status: u16,
    /// Whether it was taken for a person's who navigates.
    pub navigation: bool,
    /// Whether the path is longer than what is kept of it.
    pub is_cut: bool,
    /// Whether it was refused for something that is not kept.
    #[serde(skip)]
    is_of_unkept: bool,
    #[serde(skip)]
    claims: Option<Box<Claims>>,
}

/// What is kept of claims that a route does not let pass: what it asks about. Nothing where the log does not show subjects as
/// they are, for a claim may name whoever it is about.
pub(super) fn kept_claims(subjects: LogSubject, claims: &Claims, route: &Route) -> Option<Box<Claims>> {
    if subjects != LogSubject::Plain {
        return None;
    }
    let always: Vec<ClaimPath> = ALWAYS_KEPT.iter().filter_map(|name| name.parse().ok()).collect();
    let asked = route.require.iter().map(|condition| &condition.claim);
    let kept = claims.narrowed(asked.chain(&always));
    let length = serde_json::to_string(&kept.0).map_or(usize::MAX, |text| text.len());
    (length <= LONGEST_CLAIMS).then(|| Box::new(kept))
}

impl Refusals {
    /// Keeps one more, in place of the oldest of its status when there are too many.
    pub(super) fn keep(&self, at: Timestamp, record: &Record, navigation: bool, claims: Option<Box<Claims>>) {
        let Some((reason, fault)) = &record.refusal else { return };
        let path = record.target.as_ref().map(|target| target.path.as_str());
        self.push(Refusal {
            number: 0,
            at,
            request_id: record.id.as_str().to_owned(),
            client: Arc::clone(&record.client),
            method: cut(record.method.as_str()),
            host: record.target.as_ref().map(|target| cut(&target.host)),
            path: path.map(cut),
            route: record.route.clone(),
            issuer: record.issuer.clone(),
            subject: record.subject.as_deref().map(|subject| cut(subject).into()),
            reason: cut(reason),
            fault,
            status: record.status.as_u16(),
            navigation,
            is_cut: path.is_some_and(|path| path.len() > LONGEST),
            is_of_unkept: matches!(record.cause, Cause::Unkept | Cause::RateLimit),
            claims,
        });
    }

    fn push(&self, mut refusal: Refusal) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        refusal.number = kept.count;
        let of_status = kept.by_status.entry(refusal.status).or_default();
        if of_status.len() == OF_EACH {
            of_status.pop_front();
        }
        of_status.push_back(Arc::new(refusal));
    }

    /// All that are kept, the newest first.
    fn all(&self) -> Vec<Arc<Refusal>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = kept.by_status.values().flatten().cloned().collect();
        drop(kept);
        all.sort_unstable_by_key(|refusal| std::cmp::Reverse(refusal.number));
        all
    }
}

/// The beginning of a text, as much as is kept of one.
fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let ends = text.char_indices().map(|(start, letter)| start + letter.len_utf8());
    let end = ends.take_while(|end| *end <= LONGEST).last().unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}

impl Gateway {
    /// The last refusals, the newest first.
    #[must_use]
    pub fn refusals(&self) -> Vec<Arc<Refusal>> {
        self.lasting.refusals.all()
    }

    /// What would become of the same request by the configuration in force, as far as what is kept of it tells. `None` where
    /// it could not be read, or is not kept whole.
    pub async fn explain_refusal(&self, refusal: &Refusal) -> Option<Explanation> {
        let (Some(host), Some(path), false) = (&refusal.host, &refusal.path, refusal.is_cut) else { return None };
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(refusal.method.as_bytes()).ok()?;
        *request.uri_mut() = Uri::try_from(path.as_str()).ok()?;
        request.headers_mut().insert(HOST, HeaderValue::try_from(host.as_str()).ok()?);
        if refusal.navigation {
            request.headers_mut().insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
        }
        let client = refusal.client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
        let connection = Connection::new(SocketAddr::new(client, 0), false, here, true, None);
        let presented = match &refusal.claims {
            Some(claims) => Presented::Claims((**claims).clone()),
            None => Presented::of_log(refusal.issuer.as_deref(), Some(&refusal.reason)),
        };
        let mut explanation = self.explain(&connection, request, &presented).await;
        if explanation.decision == Decision::Forwarded && refusal.is_of_unkept {
            explanation.decision = Decision::Unknown;
            explanation.reason = Some("what it was refused for is not kept".to_owned());
        }
        // Made of what is left of the claims, it would be less than what the application gets.
        explanation.forwarded = None;
        explanation.note("queries, header fields and tokens are not kept, so nothing of them is looked at here");
        Some(explanation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16) -> Refusal {
        let text = String::new;
        Refusal {
            number: 0,
            at: Timestamp(0),
            request_id: text(),
            client: "".into(),
            method: text(),
            host: None,
            path: None,
            route: None,
            issuer: None,
            subject: None,
            reason: text(),
            fault: "client",
            status,
            navigation: false,
            is_cut: false,
            is_of_unkept: false,
            claims: None,
        }
    }

    #[test]
    fn a_flood_of_one_status_leaves_the_others_in_sight_and_the_newest_come_first() {
        let refusals = Refusals::default();
        refusals.push(refusal(403));
        (0..1000).for_each(|_| refusals.push(refusal(404)));
        refusals.push(refusal(502));
        let all: Vec<_> = refusals.all().iter().map(|refusal| (refusal.number, refusal.status)).collect();
        assert_eq!(all.len(), OF_EACH + 2);
        assert_eq!((all[0], all[1], all[OF_EACH], all[OF_EACH + 1]), ((1002, 502), (1001, 404), (986, 404), (1, 403)));
    }

    #[test]
    fn texts_are_cut_between_letters() {
        let long = "ä".repeat(LONGEST);
        assert_eq!(cut(&long).len(), LONGEST);
        assert_eq!(cut(&format!("x{long}")).len(), LONGEST - 1);
        assert_eq!(cut("short"), "short");
    }
}
