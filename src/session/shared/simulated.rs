//! A server for tests: single keys and messages, with every trouble that a test asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Away, Heard, Listed, Listener, Reading, Server, Swap};
use crate::clock::Clock;
use crate::session::store::yield_now;

/// Decides by chance, whatever makes chance in a test.
pub(crate) type Chance = fn() -> bool;

/// The server. Clones are one and the same; each may be an instance's connection to it.
#[derive(Clone)]
pub struct Simulated {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

struct State {
    started: Instant,
    values: HashMap<String, Vec<u8>>,
    /// For how long each of them was to stay.
    lasts: HashMap<String, Duration>,
    lists: HashMap<String, List>,
    places: usize,
    listeners: Vec<(String, Listener)>,
    away: bool,
    regained_at: Option<Instant>,
    loses_messages: Chance,
    loses_answers: Chance,
    writes: usize,
}

#[derive(Default)]
struct List {
    entries: Vec<Listed>,
    /// In milliseconds of the server's clock.
    ends_at: u64,
}

impl State {
    /// A list, which is empty once its time is over.
    fn list(&mut self, name: &str, at: u64) -> &mut List {
        let list = self.lists.entry(name.to_owned()).or_default();
        if list.ends_at <= at {
            *list = List::default();
        }
        list
    }

    fn say(&self, channel: &str, message: &str) {
        let listeners = self.listeners.iter().filter(|(listened, _)| listened == channel);
        for (_, listener) in listeners.filter(|_| !(self.loses_messages)()) {
            listener(Heard::Message(message));
        }
    }
}

impl Simulated {
    pub(crate) fn new(clock: &Clock) -> Self {
        let state = State {
            started: clock.instant(),
            values: HashMap::new(),
            lasts: HashMap::new(),
            lists: HashMap::new(),
            places: 0,
            listeners: Vec::new(),
            away: false,
            regained_at: None,
            loses_messages: || false,
            loses_answers: || false,
            writes: 0,
        };
        Self { clock: clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// From now on nobody reaches it.
    pub(crate) fn leave(&self) {
        self.state().away = true;
    }

    /// From now on everybody does again.
    pub(crate) fn return_again(&self) {
        let now = self.clock.instant();
        let mut state = self.state();
        state.away = false;
        state.regained_at = Some(now);
        for (_, listener) in &state.listeners {
            listener(Heard::Gap);
        }
    }

    /// It forgets everything, and its clock is set back so far that places begin anew.
    pub(crate) fn flush(&self) {
        let mut state = self.state();
        state.places = 0;
        state.values.clear();
        state.lists.clear();
    }

    pub(crate) fn lose_messages(&self, chance: Chance) {
        self.state().loses_messages = chance;
    }

    /// What is asked for is done, and the answer lost.
    pub(crate) fn lose_answers(&self, chance: Chance) {
        self.state().loses_answers = chance;
    }

    /// How often a value was written.
    pub(crate) fn writes(&self) -> usize {
        self.state().writes
    }

    /// For how long a value was to stay when it was written.
    pub(crate) fn lasts(&self, key: &str) -> Option<Duration> {
        self.state().lasts.get(key).copied()
    }

    /// All keys and values.
    pub(crate) fn values(&self) -> HashMap<String, String> {
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        self.state().values.iter().map(|(key, value)| (key.clone(), text(value))).collect()
    }

    /// Whatever stood there, this does now.
    pub(crate) fn overwrite(&self, key: &str, value: &[u8]) {
        self.state().values.insert(key.to_owned(), value.to_vec());
    }

    /// One operation: the way there, what happens there at one moment, the way back.
    async fn ask<T>(&self, operation: impl FnOnce(&mut State, u64) -> T) -> Result<T, Away> {
        yield_now().await;
        let (answer, lost) = {
            let now = self.clock.instant();
            let mut state = self.state();
            if state.away {
                return Err(Away);
            }
            // Some day in 2001.
            let elapsed = now.saturating_duration_since(state.started) + Duration::from_secs(1_000_000_000);
            let answer = operation(&mut state, u64::try_from(elapsed.as_millis()).unwrap());
            (answer, (state.loses_answers)())
        };
        yield_now().await;
        if lost { Err(Away) } else { Ok(answer) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Server for Simulated {
    async fn read(&self, key: &str) -> Result<Reading, Away> {
        self.ask(|state, at| Reading { at, value: state.values.get(key).cloned().unwrap_or_default() }).await
    }

    async fn swap(&self, swap: &Swap<'_>) -> Result<Option<Reading>, Away> {
        self.ask(|state, at| {
            let held = state.values.get(swap.key).cloned().unwrap_or_default();
            if !held.starts_with(swap.held) || (swap.held.is_empty() && !held.is_empty()) {
                return Some(Reading { at, value: held });
            }
            state.values.insert(swap.key.to_owned(), swap.value.into());
            state.lasts.insert(swap.key.to_owned(), swap.lasts);
            state.writes += 1;
            if let Some((channel, message)) = swap.tell {
                state.say(channel, message);
            }
            None
        })
        .await
    }

    async fn look_up(&self, key: &str) -> Result<String, Away> {
        let value = self.ask(|state, _| state.values.get(key).cloned().unwrap_or_default()).await?;
        Ok(String::from_utf8(value).unwrap_or_default())
    }

    async fn put(&self, key: &str, value: &str, lasts: Duration) -> Result<(), Away> {
        self.ask(|state, _| {
            state.values.insert(key.to_owned(), value.into());
            state.lasts.insert(key.to_owned(), lasts);
        })
        .await
    }

    async fn append(
        &self,
        list: &str,
        entry: &str,
        (most, lasts): (usize, Duration),
        channel: &str,
    ) -> Result<(), Away> {
        self.ask(|state, at| {
            state.writes += 1;
            state.places += 1;
            let place = format!("{:020}", state.places);
            let List { entries, ends_at } = state.list(list, at);
            *ends_at = at.saturating_add(u64::try_from(lasts.as_millis()).unwrap()).max(*ends_at);
            entries.push(Listed { place, entry: entry.to_owned() });
            let surplus = entries.len().saturating_sub(most);
            entries.drain(..surplus);
            state.say(channel, "");
        })
        .await
    }

    async fn page(&self, list: &str, place: &str, most: usize) -> Result<Vec<Listed>, Away> {
        self.ask(|state, at| {
            let entries = state.list(list, at).entries.iter();
            entries.filter(|listed| listed.place.as_str() >= place).take(most).cloned().collect()
        })
        .await
    }

    fn listen(&self, channel: &str, listener: Listener) {
        self.state().listeners.push((channel.to_owned(), listener));
    }

    fn is_away(&self) -> bool {
        self.state().away
    }

    fn regained_at(&self) -> Option<Instant> {
        self.state().regained_at
    }
}
