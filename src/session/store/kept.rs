//! What could not be recorded because the server is away, so that those who ask here still have it.
//!
//! No other instance knows of it until it is recorded, nor of the token that it brought: it is in a browser by then, and another
//! instance that gets the server back sooner may spend it as one of which nothing is known. The record that comes later says that
//! it is unspent. This is *not* prevented: keeping the new token back instead would lose it with the process.

use std::collections::HashMap;

use super::records::Records;
use super::sheet::{ChainId, Sheet};
use super::{Policy, RecordKey};

/// The most chains. What is not kept here is lost only if the server stays away for as long as the process lives.
const MOST_CHAINS: usize = 10_000;

/// The sheets of chains as they would stand in the store.
#[derive(Debug, Default)]
pub(super) struct Kept {
    sheets: HashMap<ChainId, Sheet>,
    chains: HashMap<RecordKey, ChainId>,
}

impl Kept {
    /// Takes a step on the sheet of a chain, and keeps what comes of it. A chain that is kept already stays as it is.
    pub(super) fn keep<T>(
        &mut self,
        chain: ChainId,
        sheet: Sheet,
        policy: Policy,
        step: impl FnOnce(&mut Records) -> T,
    ) {
        if self.sheets.contains_key(&chain) || self.sheets.len() >= MOST_CHAINS {
            return;
        }
        let mut records = Records::of(policy, sheet);
        step(&mut records);
        let sheet = records.into_sheet();
        self.chains.extend(sheet.records.iter().map(|(key, _)| (*key, chain)));
        self.sheets.insert(chain, sheet);
    }

    /// Takes a step on the chain of a token, if it is kept.
    pub(super) fn step<T>(
        &mut self,
        key: &RecordKey,
        policy: Policy,
        step: impl FnOnce(&mut Records) -> T,
    ) -> Option<T> {
        let chain = self.chains.get(key)?;
        let sheet = self.sheets.get_mut(chain)?;
        let mut records = Records::of(policy, std::mem::take(sheet));
        let answer = step(&mut records);
        *sheet = records.into_sheet();
        Some(answer)
    }

    /// The store knows this chain again.
    pub(super) fn forget(&mut self, chain: ChainId) {
        if self.sheets.remove(&chain).is_some() {
            self.chains.retain(|_, of| *of != chain);
        }
    }
}
