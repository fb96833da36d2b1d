//! The addresses of one upstream, how they are to be treated, and what the log is told of them.

use std::error::Error;
use std::sync::Arc;

use aws_lc_rs::rand;
use http::StatusCode;

use crate::config::{Balance, UpstreamCare};
use crate::forwarding::budget::RetryBudget;
use crate::forwarding::condition::Evidence;
use crate::forwarding::error::chain;
use crate::forwarding::upstreams::Address;

/// One upstream, as all workers share it.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) addresses: Vec<Arc<Address>>,
    pub(super) care: UpstreamCare,
    pub(super) budget: Arc<RetryBudget>,
}

/// The application has answered, and says that it is in trouble.
#[derive(Debug, thiserror::Error)]
#[error("it answers {0}, as it has done several times in a row")]
struct ServerErrors(StatusCode);

impl Pool {
    /// Whether those who belong together are kept at one address.
    pub(super) fn keeps_together(&self) -> bool {
        self.care.balance == Balance::Session && self.addresses.len() > 1
    }

    /// Whether it is at these addresses.
    pub(super) fn is_at(&self, addresses: &[Arc<Address>]) -> bool {
        self.addresses.iter().map(|address| &address.name).eq(addresses.iter().map(|address| &address.name))
    }

    /// A request that began at `stage` speaks against `address`.
    pub(super) fn failed(&self, address: &Address, (stage, evidence): (u32, Evidence), cause: &dyn Error) {
        let alone = self.addresses.len() == 1;
        let is_room = || {
            let out = self.addresses.iter().filter(|other| other.condition.is_out()).count();
            let most = self.addresses.len() * usize::from(self.care.ejection.max_percent) / 100;
            // One always stays.
            out < most.max(1).min(self.addresses.len().saturating_sub(1))
        };
        let ejected = address.condition.failed(stage, evidence, &self.care.ejection, is_room, chance);
        let Some(penalty) = ejected else { return };
        let (name, cause, seconds) = (&*address.name, chain(cause), penalty.as_secs());
        if alone {
            tracing::warn!(fault = "upstream", address = name, cause, "the application at this address does not work");
        } else {
            tracing::warn!(
                fault = "upstream",
                address = name,
                cause,
                seconds,
                "the application at this address is passed over"
            );
        }
        address.condition.note_failure(cause);
    }

    /// A request that began at `stage` has its answer.
    pub(super) fn answered(&self, address: &Address, stage: u32, status: StatusCode) {
        if self.care.ejection.server_errors.is_some() {
            if !status.is_server_error() {
                address.condition.made_no_error();
            } else if address.condition.weighs_server_errors(stage) {
                return self.failed(address, (stage, Evidence::ServerError), &ServerErrors(status));
            }
        }
        if address.condition.worked(stage) {
            tracing::info!(address = &*address.name, "the application at this address works again");
        }
    }
}

/// Without randomness, ejections end when they end.
fn chance() -> u8 {
    let mut chance = [0];
    rand::fill(&mut chance).map_or(0, |()| u8::from_be_bytes(chance))
}
