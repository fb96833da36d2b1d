//! Which requests belong together, where an upstream keeps those at one address.
//!
//! No cookie says so and nothing is remembered: the address follows from a hash of the user and one of each address, the same
//! in every instance and after every restart (rendezvous hashing). When an address is out, only its own users go elsewhere,
//! each to the next in an order of their own, and they come back to it.

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};

/// Those who are at one address together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity(u64);

impl Affinity {
    /// All requests of one user, in whichever session: `issuer` and `subject` of a verified token.
    #[must_use]
    pub fn of_user(issuer: &str, subject: &str) -> Self {
        Self(hash(&[b"user", issuer.as_bytes(), subject.as_bytes()]))
    }

    /// All requests of one client address, where it is not known who asks.
    #[must_use]
    pub fn of_client(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(hash(&[b"client", &address.octets()])),
            IpAddr::V6(address) => Self(hash(&[b"client", &address.octets()])),
        }
    }

    /// How near they are to an address: they are at the nearest that is in.
    pub(super) const fn nearness(self, address: u64) -> u64 {
        // The finalizer of SplitMix64: a change of any bit changes half of the others.
        let mut mixed = self.0 ^ address;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// What tells them apart from others while an address returns, so that they come back once.
    pub(super) const fn dice(self) -> u64 {
        self.0 >> 32
    }
}

/// What stands for an address.
pub(super) fn place(address: &str) -> u64 {
    hash(&[b"address", address.as_bytes()])
}

/// Each part with its length before it, so that two lists of parts are never one text.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(user: usize, addresses: &[u64]) -> usize {
        let affinity = Affinity::of_user("https://id.test", &format!("user-{user}"));
        (0..addresses.len()).max_by_key(|index| affinity.nearness(addresses[*index])).unwrap()
    }

    #[test]
    fn users_spread_evenly_and_only_those_of_an_address_that_goes_move() {
        let four: Vec<u64> = (0..4).map(|n| place(&format!("http://app-{n}:8080"))).collect();
        let mut users = [0; 4];
        for user in 0..4000 {
            let at = nearest(user, &four);
            users[at] += 1;
            if at != 3 {
                assert_eq!(nearest(user, &four[..3]), at, "user {user} has no reason to move");
            }
        }
        assert!(users.iter().all(|users| (900..1100).contains(users)), "{users:?}");
    }

    /// Instances of different versions must agree.
    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(Affinity::of_user("https://id.test", "alice"), Affinity(13_980_630_505_459_659_633));
        assert_eq!(
            Affinity::of_client("::ffff:192.0.2.1".parse().unwrap()),
            Affinity::of_client("192.0.2.1".parse().unwrap())
        );
        assert_eq!(place("http://app:8080"), 15_358_259_256_830_813_535);
    }
}
