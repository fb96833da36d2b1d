//! What is asked for, and what goes wrong with it: a request says both in its target, so that whoever asks and whoever
//! answers need no other agreement.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::random::Random;

/// How many requests of a thousand meet a fault of the application.
const FAULTS: usize = 50;

/// What the application does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Answers.
    Nothing,
    /// Closes, or resets the stream, without a word.
    CloseBeforeHead,
    /// Resets the connection.
    ResetBeforeHead,
    /// Stops in the middle of the head.
    CutHead,
    /// Stops in the middle of a body of a known length.
    CutBody,
    /// Stops in the middle of a body of no known length; over HTTP/2 with a reset that reports no error.
    CutChunks,
    /// Breaks the framing of a body half way, with somebody else's answer in the place.
    BrokenChunks,
    /// Somebody else's answer behind its own, which says its length.
    BehindLength,
    /// The same behind chunks.
    BehindChunks,
    /// The same behind an answer that has no body: to `HEAD`, or 204.
    BehindNothing,
    /// A length and chunks at once; where the length ends, somebody else's answer begins.
    TwoFramings,
    /// Interim answers before the answer.
    Interim,
    /// Answers before the upload was read, and reads it afterwards.
    Early,
    /// Answers before the upload was read, and closes.
    EarlyAndClose,
    /// Does not answer. The client does not wait for it.
    Stall,
    /// Does not end its answer. The client does not wait for it.
    StallInBody,
    /// Speaks no HTTP.
    Garbage,
}

/// All of them, in the order of the table.
pub(super) const FAULTS_OF_ALL_KINDS: [Fault; 17] = [
    Fault::Nothing,
    Fault::CloseBeforeHead,
    Fault::ResetBeforeHead,
    Fault::CutHead,
    Fault::CutBody,
    Fault::CutChunks,
    Fault::BrokenChunks,
    Fault::BehindLength,
    Fault::BehindChunks,
    Fault::BehindNothing,
    Fault::TwoFramings,
    Fault::Interim,
    Fault::Early,
    Fault::EarlyAndClose,
    Fault::Stall,
    Fault::StallInBody,
    Fault::Garbage,
];

impl Fault {
    /// Whether the application answers in full, whatever else it does.
    pub(super) const fn leaves_an_answer(self, head: bool) -> bool {
        match self {
            Self::CloseBeforeHead | Self::ResetBeforeHead | Self::CutHead | Self::Stall | Self::Garbage => false,
            Self::CutBody | Self::CutChunks | Self::BrokenChunks | Self::StallInBody => head,
            _ => true,
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Who asks.
    pub(super) user: String,
    /// The number of the request among the user's.
    pub(super) number: usize,
    /// How often the answer, and the body of a request, say what they say.
    pub(super) lines: usize,
    pub(super) fault: Fault,
}

impl Plan {
    /// A request of `user`.
    pub(super) fn draw(random: &mut Random, user: &str, number: usize) -> Self {
        // Few are long: enough for more than one packet, read, and frame.
        let lines = if random.chance(20) { 3000 } else { *random.one_of(&[1, 2, 40]) };
        let fault =
            if random.chance(FAULTS) { *random.one_of(&FAULTS_OF_ALL_KINDS[1..]) } else { FAULTS_OF_ALL_KINDS[0] };
        // What is behind a long answer comes with a later read, maybe after the next request: then nobody can tell it
        // from the answer to that.
        let behind = matches!(fault, Fault::BehindLength | Fault::BehindChunks | Fault::BehindNothing);
        Self { user: user.to_owned(), number, lines: if behind { lines.min(40) } else { lines }, fault }
    }

    /// The target of the request.
    pub(super) fn target(&self) -> String {
        let fault = FAULTS_OF_ALL_KINDS.iter().position(|fault| *fault == self.fault).unwrap();
        format!("/{}/{}/{}/{fault}", self.user, self.number, self.lines)
    }

    /// Reads a target; `None` if it is none of these.
    pub(super) fn of_target(target: &str) -> Option<Self> {
        let mut parts = target.strip_prefix('/')?.split('/');
        let user = parts.next()?.to_owned();
        let mut number = || parts.next()?.parse::<usize>().ok();
        let plan = Self { user, number: number()?, lines: number()?, fault: *FAULTS_OF_ALL_KINDS.get(number()?)? };
        parts.next().is_none().then_some(plan)
    }

    /// What no other request carries.
    pub(super) fn nonce(&self) -> String {
        format!("{}.{}", self.user, self.number)
    }

    /// The body of a request that has one.
    pub(super) fn upload(&self) -> String {
        format!("{}\n", self.nonce()).repeat(self.lines)
    }

    /// What the one answer to it says on each of its lines.
    pub(super) fn answer(&self) -> String {
        answer(&self.user, &self.nonce())
    }
}

/// What an answer says: whose request it was to the application, and what that carried.
pub(super) fn answer(identity: &str, nonce: &str) -> String {
    format!("{identity} {nonce}")
}

/// What both applications saw.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    requests: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
}

impl Oracle {
    /// A request as it came, with the identity that was named with it, and the body if that was read. Returns what was
    /// asked for and the nonce.
    pub(super) fn saw(
        &self,
        (method, target): (&str, &str),
        identity: &[&str],
        body: Option<&[u8]>,
    ) -> Option<(Plan, String)> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let Some(plan) = Plan::of_target(target) else {
            self.is_wrong(format!("{method} {target} by {identity:?}"));
            return None;
        };
        if identity != [plan.user.as_str()] {
            self.is_wrong(format!("{method} {target} by {identity:?}"));
        }
        if let Some(body) = body {
            self.uploaded(&plan, method, body);
        }
        let uploaded = body.and_then(|body| Some(std::str::from_utf8(body).ok()?.lines().next()?.to_owned()));
        let nonce = uploaded.unwrap_or_else(|| plan.nonce());
        Some((plan, nonce))
    }

    /// The whole body of a request.
    pub(super) fn uploaded(&self, plan: &Plan, method: &str, body: &[u8]) {
        let expected = if method == "POST" { plan.upload() } else { String::new() };
        if body != expected.as_bytes() {
            self.is_wrong(format!("{method} {} with {:.200?}", plan.target(), String::from_utf8_lossy(body)));
        }
    }

    /// Something was seen that nobody has sent.
    pub(super) fn is_wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// A connection, until what is returned is dropped.
    pub(super) fn accept(&self) -> impl Drop + '_ {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.peak.fetch_max(self.open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Open(&self.open)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many connections there were in all, and at most at a time.
    pub(super) fn connections(&self) -> (usize, usize) {
        (self.accepted.load(Ordering::Relaxed), self.peak.load(Ordering::Relaxed))
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }
}

struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
