//! Sets whose members end by themselves, and the removal of keys: what lists of sessions stand on.

use std::time::Duration;

use redis::{Cmd, cmd};

use super::{Away, Connection};

/// Members that have ended go when another comes, so that a set is never larger than what lives. The set lasts for as long as
/// the member that stays longest.
const ENLIST: &str = "
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. time[1])
redis.call('ZADD', KEYS[1], time[1] + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < ARGV[2] * 1000 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end";

/// Members that are asked for at once.
const PAGE: usize = 200;

/// Some members of a set.
#[derive(Clone, Debug)]
pub struct Page {
    /// The members. One that comes or goes meanwhile may be missing, or come twice.
    pub members: Vec<String>,
    /// Where the next page begins; `None` behind the last.
    pub next: Option<String>,
}

impl Connection {
    /// Makes `member` one of a set for so long.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn enlist(&self, set: &str, member: &str, lasts: Duration) -> Result<(), Away> {
        self.ask(listing(set, member, lasts)).await
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn strike(&self, set: &str, member: &str) -> Result<(), Away> {
        self.ask(command("ZREM", set, &[member])).await
    }

    /// The members of a set, from the beginning, or from where a page before has ended.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn members(&self, set: &str, from: Option<&str>) -> Result<Page, Away> {
        let page = PAGE.to_string();
        let scan = command("ZSCAN", set, &[from.unwrap_or("0"), "COUNT", &page]);
        let (next, members): (String, Vec<(String, f64)>) = self.ask(scan).await?;
        let members = members.into_iter().map(|(member, _)| member).collect();
        Ok(Page { members, next: Some(next).filter(|next| next != "0") })
    }

    /// Removes a key with its value; says whether there was one.
    ///
    /// # Errors
    /// [`Away`]
    pub async fn remove(&self, key: &str) -> Result<bool, Away> {
        self.ask(command("DEL", key, &[])).await
    }
}

/// A command of each sort, on keys that go within a second.
pub(super) fn of_each_sort(probe: &str) -> [Cmd; 4] {
    let set = format!("{probe}-set");
    let scan = command("ZSCAN", &set, &["0"]);
    [listing(&set, "", Duration::from_secs(1)), scan, command("ZREM", &set, &[""]), command("DEL", &set, &[])]
}

fn listing(set: &str, member: &str, lasts: Duration) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(ENLIST).arg(1).arg(set).arg(member).arg(lasts.as_secs().clamp(1, LONGEST));
    command
}

/// A thousand years, in seconds.
const LONGEST: u64 = 31_536_000_000;

fn command(name: &str, key: &str, arguments: &[&str]) -> Cmd {
    let mut command = cmd(name);
    command.arg(key).arg(arguments);
    command
}
