//! The one task that keeps the connection open: connects, proves the link good, waits until it is given up, begins again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{PushInfo, RedisError, Value};
use tokio::time::timeout;

use super::super::link::{self, Link};
use super::super::{Away, Heard, Server, arrangement, sets};
use super::{Connection, Inner, State};
use crate::config::Redis;

/// Between two tries to connect, and between two looks whether the server is there.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// How many operations a try may take as long as: connecting, naming oneself, subscribing, writing.
const OPERATIONS_OF_A_TRY: u32 = 4;

/// Why there is no connection that takes writes. The operator's of the store, or the network's.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be reached, or hangs.
    #[error("it does not answer in time")]
    TookTooLong,
    /// It cannot be reached, lets nobody in by these credentials, or refuses to write.
    #[error("it cannot be used")]
    Refused(#[source] RedisError),
    /// It takes writes, but not whatever it is asked: the user has not all the rights that it takes.
    #[error("it takes writes, and refuses other commands")]
    RefusedCommand(#[source] RedisError),
}

/// Connects, subscribes to what is listened to, and does so again whenever the link is of no use, for as long as anybody has
/// this connection.
pub(super) async fn keep_open(connection: Weak<Inner>) {
    let mut was_away = false;
    let mut first = true;
    loop {
        let Some(inner) = connection.upgrade() else { return };
        match inner.try_to_connect().await {
            Ok(link) => {
                if was_away {
                    tracing::info!("the shared store is back");
                }
                if !first {
                    inner.circuit.regained();
                }
                (first, was_away) = (false, false);
                inner.circuit.closes();
                inner.link.send_replace(State::Connected(link));
                inner.tell(Heard::Gap, |_| true);
                drop(inner);
                if given_up(&connection).await.is_none() {
                    return;
                }
            }
            Err(failure) => {
                if !was_away {
                    let cause = &failure as &dyn std::error::Error;
                    tracing::error!(
                        fault = "store",
                        cause,
                        "the shared store is out of reach: sessions go on, and renewals wait until it is back"
                    );
                }
                (first, was_away) = (false, true);
                inner.link.send_replace(State::Away);
                drop(inner);
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        }
    }
}

/// Until the link is of no use; `None` when nobody has use for one. It is tried now and then, for an instance that asks for
/// nothing must know all the same that the server was away: others may have been unable to say that they are alive.
async fn given_up(connection: &Weak<Inner>) -> Option<()> {
    loop {
        let inner = connection.upgrade()?;
        if timeout(BETWEEN_TRIES, inner.circuit.opened()).await.is_ok() {
            inner.link.send_replace(State::Connecting);
            return Some(());
        }
        let probe = probe_key(&inner.redis.load());
        // A failure is counted like any other.
        let _there = Connection(inner).look_up(&probe).await;
    }
}

impl Inner {
    /// A link that has taken a write: one to a replica, or to a server that is full, is as good as none.
    pub(super) async fn try_to_connect(self: &Arc<Self>) -> Result<Link, Unusable> {
        let hearer = Arc::downgrade(self);
        let pushes = move |push: PushInfo| hearer.upgrade().ok_or(Away).map(|inner| inner.hear(&push));
        let redis = self.redis.load_full();
        let trying = async {
            let mut link = arrangement::connect(&redis, pushes).await?;
            for channel in self.channels() {
                link.subscribe(&channel).await?;
            }
            let () = link.ask(&link::put(&probe_key(&redis), "", Duration::from_secs(1))).await?;
            Ok(link)
        };
        let patience = redis.timeout.saturating_mul(OPERATIONS_OF_A_TRY);
        timeout(patience, trying).await.map_err(|_| Unusable::TookTooLong)?.map_err(Unusable::Refused)
    }

    /// A link that has taken a write may be one of a user who has no right to something else.
    pub(super) async fn try_each_sort(&self, link: &mut Link, sets: bool) -> Result<(), Unusable> {
        let redis = self.redis.load_full();
        let probe = probe_key(&redis);
        let of_sets = sets.then(|| sets::of_each_sort(&probe)).into_iter().flatten();
        for command in link::of_each_sort(&probe).into_iter().chain(of_sets) {
            let asking = timeout(redis.timeout, link.ask::<Value>(&command)).await;
            asking.map_err(|_| Unusable::TookTooLong)?.map_err(Unusable::RefusedCommand)?;
        }
        let subscribing = timeout(redis.timeout, link.subscribe(&probe)).await;
        subscribing.map_err(|_| Unusable::TookTooLong)?.map_err(Unusable::RefusedCommand)
    }
}

fn probe_key(redis: &Redis) -> String {
    format!("{}:probe", redis.prefix)
}
