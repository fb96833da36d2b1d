//! One of the users: asks, leaves now and then before the end, and judges what comes.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};

use super::plan::{Fault, Plan};
use crate::harness::body::{Feed, fed};
use crate::harness::client::Connection;
use crate::harness::random::Random;
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Ask, Client, Jar, Protocol};

/// How many requests of a thousand their client leaves.
const LEAVES: usize = 20;

/// The applications by their hosts: over HTTP/1.1, over HTTP/2.
pub(super) const HOSTS: [&str; 2] = ["app.test", "other.test"];

/// A connection to the gateway that several users share, as behind a content delivery network.
pub(super) struct Door {
    client: Client,
    kept: Mutex<Option<Connection>>,
}

impl Door {
    pub(super) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self { client, kept: Mutex::default() })
    }

    async fn connection(&self, kept: &mut Option<Connection>) -> Connection {
        match kept.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => self.client.connect(HOSTS[0]).await,
        }
    }
}

/// What a user presents.
#[derive(Clone)]
pub(super) enum Credentials {
    Bearer(String),
    Session(Jar),
}

/// When a client leaves by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Never,
    BeforeTheHead,
    InTheBody,
    InTheUpload,
}

/// How a request ended for its client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// With the user's own answer, whole.
    Own,
    /// With a part of the user's own answer, which was visibly not the whole.
    Cut,
    /// Not at all: the connection was closed, or the stream reset, before the head. With what the client says of it.
    Closed(String),
    /// With an answer of the gateway's.
    Status(u16),
    /// The client did not wait for it.
    Left,
    /// In any other way.
    Wrong(String),
}

/// How many requests ended how: by host, and by what was done to them.
pub(super) type Tally = BTreeMap<(&'static str, Fault, bool, Ending), usize>;

pub(super) struct User {
    pub(super) name: String,
    pub(super) credentials: Credentials,
    pub(super) door: Arc<Door>,
    pub(super) random: Random,
}

impl User {
    /// Asks so often, one after the other, whenever there is a permit.
    pub(super) async fn run(mut self, requests: usize, permits: Arc<Semaphore>) -> Tally {
        let mut tally = Tally::new();
        for number in 0..requests {
            let _permit = permits.acquire().await.unwrap();
            let plan = Plan::draw(&mut self.random, &self.name, number);
            let host = HOSTS[self.random.below(HOSTS.len())];
            let (leaves, ending) = self.ask(host, &plan).await;
            *tally.entry((host, plan.fault, leaves, ending)).or_default() += 1;
        }
        tally
    }

    async fn ask(&mut self, host: &str, plan: &Plan) -> (bool, Ending) {
        let method =
            self.random.one_of(&[Method::GET, Method::GET, Method::GET, Method::POST, Method::POST, Method::HEAD]);
        let leaves = match plan.fault {
            Fault::Stall => Leaves::BeforeTheHead,
            Fault::StallInBody => Leaves::InTheBody,
            _ if !self.random.chance(LEAVES) => Leaves::Never,
            _ => *self.random.one_of(&[Leaves::BeforeTheHead, Leaves::InTheBody, Leaves::InTheUpload]),
        };
        let mut ask = Ask::new(method.clone(), &format!("https://{host}{}", plan.target()));
        ask = match &self.credentials {
            Credentials::Bearer(token) => ask.bearer(token),
            Credentials::Session(jar) => ask.cookies(jar).header("origin", &format!("https://{host}")),
        };
        let mut rest = None;
        if method == Method::POST {
            let upload = plan.upload();
            let slowly = leaves == Leaves::InTheUpload || matches!(plan.fault, Fault::Early | Fault::EarlyAndClose);
            ask = if slowly {
                let (feed, body) = fed();
                let (first, second) = upload.split_at(upload.len() / 2);
                feed.chunk(first.to_owned());
                rest = Some((feed, second.to_owned()));
                ask.streamed(body)
            } else {
                ask.body(upload)
            };
        }
        let moment = Duration::from_micros(self.random.below(5000) as u64);
        let door = Arc::clone(&self.door);
        let mut kept = door.kept.lock().await;
        let mut connection = door.connection(&mut kept).await;
        let mut kept = Some(kept);
        if door.client.protocol == Protocol::Http2 {
            // Others go on with it at the same time.
            *kept.take().unwrap() = Some(connection.share());
        }
        let exchange = exchange(&mut connection, ask, rest, (plan, method), leaves, moment);
        let ending = timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Ending::Wrong(format!("no end of {plan:?}")));
        if let Some(mut kept) = kept
            && matches!(ending, Ending::Own | Ending::Status(_))
        {
            *kept = Some(connection);
        }
        (leaves != Leaves::Never, ending)
    }
}

async fn exchange(
    connection: &mut Connection,
    ask: Ask,
    rest: Option<(Feed, String)>,
    asked: (&Plan, &Method),
    leaves: Leaves,
    moment: Duration,
) -> Ending {
    let opening = connection.open(ask);
    let opened = match (leaves, rest) {
        (Leaves::BeforeTheHead, _) => match timeout(moment, opening).await {
            Ok(opened) => opened,
            Err(_) => return Ending::Left,
        },
        (Leaves::InTheUpload, Some((feed, _))) => {
            let cut = async {
                sleep(moment).await;
                feed.cut();
            };
            tokio::join!(opening, cut).0
        }
        (_, Some((feed, second))) => {
            // What answers early has had the first half only.
            let opened = opening.await;
            feed.chunk(second);
            opened
        }
        (_, None) => opening.await,
    };
    let response = match opened {
        Ok(response) => response,
        Err(error) => return Ending::Closed(reason(&error)),
    };
    if leaves == Leaves::InTheBody && response.status() == 200 {
        return leave(response, asked, moment).await;
    }
    judge(&Answer::read(response).await, asked)
}

/// What a client says of an answer that it did not get, without the numbers of streams.
fn reason(error: &hyper::Error) -> String {
    match error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
        Some(error) if error.is_reset() => format!("reset with {:?}", error.reason()),
        Some(error) => format!("connection ended with {:?}", error.reason()),
        None => error.to_string(),
    }
}

/// Reads one piece of the body, which has to be right as well, and leaves.
async fn leave(response: Response<Incoming>, asked: (&Plan, &Method), moment: Duration) -> Ending {
    let (head, mut body) = response.into_parts();
    let first = timeout(moment, body.frame()).await;
    let first = first.ok().flatten().and_then(|frame| frame.ok()?.into_data().ok()).unwrap_or_default();
    let part = Answer { status: head.status, headers: head.headers, body: first, trailers: None, complete: false };
    match judge(&part, asked) {
        Ending::Cut => Ending::Left,
        other => other,
    }
}

fn judge(answer: &Answer, (plan, method): (&Plan, &Method)) -> Ending {
    let wrong = || {
        let body = String::from_utf8_lossy(&answer.body);
        let (status, end) = (answer.status, if answer.complete { "" } else { ", cut" });
        Ending::Wrong(format!("{method} {} got {status} {:?} {body:.200?}{end}", plan.target(), answer.headers))
    };
    let says = answer.headers.get("x-answer").map(|value| value.to_str().unwrap());
    let from_application = says == Some(&plan.answer());
    match answer.status.as_u16() {
        200 if from_application => {
            let head = *method == Method::HEAD;
            let whole = if head { String::new() } else { format!("{}\n", plan.answer()).repeat(plan.lines) };
            let is_whole = answer.body == whole.as_bytes();
            if answer.complete && is_whole && plan.fault.leaves_an_answer(head) {
                Ending::Own
            } else if !answer.complete && whole.as_bytes().starts_with(&answer.body) {
                Ending::Cut
            } else {
                wrong()
            }
        }
        204 if from_application && answer.body.is_empty() => Ending::Own,
        200 | 204 => wrong(),
        // Said by the gateway itself: nothing of anybody's is in it.
        status if says.is_none() && !answer.text().contains("mallory") => Ending::Status(status),
        _ => wrong(),
    }
}
