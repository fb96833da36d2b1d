//! The commands: one small script each to read and to write, so that a key's value and the time come from the same server
//! at the same moment, in a Cluster too.

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue, RedisResult, cmd};

use super::{Listed, Reading, Swap};

const READ: &str = "
local time = redis.call('TIME')
return {time[1], time[2], redis.call('GET', KEYS[1]) or ''}";

/// Returns nothing when it has written.
const SWAP: &str = "
local held = redis.call('GET', KEYS[1]) or ''
if string.sub(held, 1, #ARGV[1]) ~= ARGV[1] or (ARGV[1] == '' and held ~= '') then
  local time = redis.call('TIME')
  return {time[1], time[2], held}
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return {}";

/// Adds to a stream, whose places are times and so only grow. It stays for as long as any entry has asked for; where the user
/// may not ask how long that is, for as long as the last one has.
const APPEND: &str = "
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'e', ARGV[1])
local left = redis.pcall('PTTL', KEYS[1])
if type(left) ~= 'number' or left < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('PUBLISH', ARGV[4], '')";

/// Places and entries by turns. What is no entry of ours, or too long for one, says nothing, but does not keep what is behind
/// it from being read.
const PAGE: &str = "
local page = {}
for _, listed in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
  local fields = listed[2]
  page[#page + 1] = listed[1]
  page[#page + 1] = #fields == 2 and #fields[2] <= tonumber(ARGV[3]) and fields[2] or ''
end
return page";

/// The longest entry in bytes. Ours are an eighth of that.
const LONGEST_ENTRY: usize = 1024;

/// An open connection. Clones share it.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Server(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }
}

/// As the server answers: seconds, microseconds, value; or nothing. Anybody may have written the value.
pub(super) type Answer = Vec<Vec<u8>>;

pub(super) fn read(key: &str) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(READ).arg(1).arg(key);
    command
}

pub(super) fn swap(swap: &Swap<'_>) -> Cmd {
    let (channel, message) = swap.tell.unwrap_or_default();
    let lasts = u64::try_from(swap.lasts.as_millis()).unwrap_or(u64::MAX).clamp(1, LONGEST);
    let mut command = cmd("EVAL");
    command.arg(SWAP).arg(1).arg(swap.key).arg(swap.held).arg(swap.value).arg(lasts).arg(channel).arg(message);
    command
}

pub(super) fn put(key: &str, value: &str, lasts: std::time::Duration) -> Cmd {
    let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).clamp(1, LONGEST);
    let mut command = cmd("SET");
    command.arg(key).arg(value).arg("PX").arg(lasts);
    command
}

/// What the server is, and in a Cluster what each of them is.
pub(super) fn describe() -> Cmd {
    cmd("INFO")
}

pub(super) fn look_up(key: &str) -> Cmd {
    let mut command = cmd("GET");
    command.arg(key);
    command
}

pub(super) fn append(list: &str, entry: &str, (most, lasts): (usize, std::time::Duration), channel: &str) -> Cmd {
    let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX).clamp(1, LONGEST);
    let mut command = cmd("EVAL");
    command.arg(APPEND).arg(1).arg(list).arg(entry).arg(most).arg(lasts).arg(channel);
    command
}

pub(super) fn page(list: &str, place: &str, most: usize) -> Cmd {
    let place = if place.is_empty() { "-" } else { place };
    let mut command = cmd("EVAL");
    command.arg(PAGE).arg(1).arg(list).arg(place).arg(most).arg(LONGEST_ENTRY);
    command
}

/// A command of each sort that there is, but those of sets, on keys that go within a second.
pub(super) fn of_each_sort(probe: &str) -> Vec<Cmd> {
    let (list, second) = (format!("{probe}-list"), std::time::Duration::from_secs(1));
    let mut left = cmd("PTTL");
    left.arg(&list);
    let written = Swap { key: probe, held: b"", value: "", lasts: second, tell: Some((probe, "")) };
    vec![read(probe), swap(&written), append(&list, "", (1, second), probe), left, page(&list, "", 1)]
}

/// A page of a list.
pub(super) fn listed(page: &Answer) -> Vec<Listed> {
    let pairs = page.chunks_exact(2).filter_map(<[Vec<u8>]>::first_chunk);
    pairs.map(|[place, entry]| Listed { place: text(place), entry: text(entry) }).collect()
}

/// What is no text was not written by us, and says nothing.
pub(super) fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).unwrap_or_default().to_owned()
}

/// A thousand years: the server refuses what would not fit its clock.
const LONGEST: u64 = 31_536_000_000_000;

/// What was read; `None` for an answer of nothing.
pub(super) fn reading(answer: Answer) -> Option<Reading> {
    let [seconds, micros, value] = <[Vec<u8>; 3]>::try_from(answer).ok()?;
    let (seconds, micros): (u64, u64) = (text(&seconds).parse().ok()?, text(&micros).parse().ok()?);
    Some(Reading { at: seconds.saturating_mul(1000).saturating_add(micros / 1000), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(parts: &[&[u8]]) -> Answer {
        parts.iter().map(|part| part.to_vec()).collect()
    }

    #[test]
    fn an_entry_that_is_none_has_a_place_all_the_same() {
        let read = listed(&answer(&[b"5-0", b"\xff\xfe", b"6-0", b"sealed"]));
        let read: Vec<_> = read.iter().map(|listed| (listed.place.as_str(), listed.entry.as_str())).collect();
        assert_eq!(read, [("5-0", ""), ("6-0", "sealed")], "what is behind it can be read");
    }

    #[test]
    fn the_time_is_in_milliseconds_and_the_value_is_whatever_stands_there() {
        let read = reading(answer(&[b"12", b"345678", b"\xff"])).unwrap();
        assert_eq!((read.at, read.value.as_slice()), (12_345, &b"\xff"[..]));
        assert!(reading(answer(&[])).is_none());
        assert!(reading(answer(&[b"x", b"1", b""])).is_none());
    }
}
