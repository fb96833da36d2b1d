//! The sheets on the server: found, opened, stepped on, sealed, written back.

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join;
use zeroize::Zeroizing;

use super::{LEASE, Local, SharedStore, Terms};
use crate::clock::Now;
use crate::session::shared::{Away, Reading, Server, Swap};
use crate::session::store::RecordKey;
use crate::session::store::records::Records;
use crate::session::store::sheet::{ChainId, Sheet};

/// So often a step is taken anew because another instance was faster.
const ATTEMPTS: usize = 32;
/// So many bytes of a sealed value no other one begins with: its version and its nonce.
const DISTINCT: usize = 18;

/// Where a step is taken.
pub(super) struct At<'a> {
    pub(super) chain: ChainId,
    /// What was read there.
    pub(super) reading: Reading,
    /// What stands in for a chain that the server does not know.
    pub(super) or: Option<&'a Sheet>,
    /// Whether those who wait have to look again.
    pub(super) wakes: bool,
}

impl At<'_> {
    pub(super) fn quietly((chain, reading): (ChainId, Reading)) -> Self {
        Self { chain, reading, or: None, wakes: false }
    }
}

/// A step that was taken, and what is known after it.
pub(super) struct Taken<T> {
    pub(super) answer: T,
    pub(super) sheet: Sheet,
}

impl<S: Server> SharedStore<S> {
    /// The chain of a token, and its sheet.
    pub(super) async fn find(&self, key: &RecordKey) -> Result<(ChainId, Reading), Away> {
        let own = ChainId::beginning_with(key);
        let (pointer_key, sheet_key) = (self.pointer_key(key), self.sheet_key(own));
        // Most tokens came out of another; for those that did not, one way there and back is enough.
        let (pointer, sheet) = join(self.server.look_up(&pointer_key), self.server.read(&sheet_key)).await;
        match ChainId::parse(&pointer?).filter(|chain| *chain != own) {
            Some(chain) => Ok((chain, self.server.read(&self.sheet_key(chain)).await?)),
            None => Ok((own, sheet?)),
        }
    }

    /// Takes a step on what was read, and writes what came of it, if that is anything new.
    pub(super) async fn step<T>(
        &self,
        At { chain, mut reading, or, wakes }: At<'_>,
        step: impl Fn(&mut Records, Now) -> T,
    ) -> Result<Taken<T>, Away> {
        let (key, channel, told) = (self.sheet_key(chain), self.channel(), chain.to_string());
        for _ in 0..ATTEMPTS {
            let terms = self.terms.load_full();
            let now = self.now(&reading);
            let mut sheet = self.open(&terms, chain, &reading).or_else(|| or.cloned()).unwrap_or_default();
            self.spare_leaders(&mut sheet, now);
            let before = sheet.to_bytes(self.calendar);
            let mut records = Records::of(terms.policy, sheet);
            let answer = step(&mut records, now);
            let sheet = records.into_sheet();
            let after = sheet.to_bytes(self.calendar);
            let taken = Taken { answer, sheet };
            if *before == *after {
                return Ok(taken);
            }
            let value = Self::seal(&terms, chain, &after)?;
            let tell = wakes.then_some((channel.as_str(), told.as_str()));
            let lasts = terms.policy.lasts(taken.sheet.accepted_until(), now.wall);
            let held = distinct(&reading.value);
            match self.server.swap(&Swap { key: &key, held, value: &value, lasts, tell }).await? {
                None => return Ok(taken),
                Some(faster) => reading = faster,
            }
        }
        tracing::debug!("a record of the shared store changed too often to be changed here");
        Err(Away)
    }

    /// What stands in the store, if this version can make sense of it. If not, it is as if it were not there: whoever wrote
    /// it has another secret, or another version, and one sign-in puts it right.
    pub(super) fn open(&self, terms: &Terms, chain: ChainId, reading: &Reading) -> Option<Sheet> {
        if reading.value.is_empty() {
            return None;
        }
        let sealed = std::str::from_utf8(&reading.value).ok();
        let opened = sealed.and_then(|sealed| terms.sealer.open(&purpose(chain), sealed).ok()).map(Zeroizing::new);
        let sheet = opened.and_then(|bytes| Sheet::from_bytes(&bytes, self.calendar).ok());
        if sheet.is_none() && !self.unreadable_told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                fault = "operator",
                "a record in the shared store cannot be read and is discarded: it was sealed under another session secret, or \
                 by a version that is too new; give all instances the same secrets"
            );
        }
        sheet
    }

    pub(super) fn seal(terms: &Terms, chain: ChainId, bytes: &[u8]) -> Result<String, Away> {
        terms.sealer.seal(&purpose(chain), bytes).map_err(|error| {
            tracing::error!(%error, "a record for the shared store cannot be sealed");
            Away
        })
    }

    /// Just after the server was away, whoever leads has not been able to say so, and may have an outcome to record.
    pub(super) fn spare_leaders(&self, sheet: &mut Sheet, now: Now) {
        let Some(regained_at) = self.server.regained_at() else { return };
        let since = self.clock.instant().saturating_duration_since(regained_at);
        if let Some(left) = LEASE.checked_sub(since) {
            sheet.spare_leaders(now.instant + left);
        }
    }

    pub(super) fn now(&self, reading: &Reading) -> Now {
        self.local().time = Some((self.clock.instant(), reading.at));
        Now { instant: self.calendar.instant(reading.at), wall: self.clock.now() }
    }

    pub(super) fn now_without_server(&self, local: &Local) -> Now {
        let here = self.clock.instant();
        let instant = local
            .time
            .map_or(here, |(seen, millis)| self.calendar.instant(millis) + here.saturating_duration_since(seen));
        Now { instant, wall: self.clock.now() }
    }

    pub(super) fn sheet_key(&self, chain: ChainId) -> String {
        format!("{}:renewal:{chain}", self.prefix)
    }

    pub(super) fn pointer_key(&self, key: &RecordKey) -> String {
        format!("{}:token:{}", self.prefix, URL_SAFE_NO_PAD.encode(key.as_bytes()))
    }

    pub(super) fn channel(&self) -> String {
        format!("{}:renewals", self.prefix)
    }
}

/// What a sealed sheet is for: a value moved to another chain does not open.
pub(super) fn purpose(chain: ChainId) -> String {
    format!("renewal {chain}")
}

fn distinct(sealed: &[u8]) -> &[u8] {
    sealed.get(..DISTINCT).unwrap_or(sealed)
}
