//! Signatures that are none, and the one other spelling that is: an ECDSA signature mirrored at the order of its curve.

use crate::harness::keys::SigningKey;
use crate::harness::random::Random;

use super::spelling::Spelt;

/// The order of P-256 (FIPS 186-5, SEC 2 §2.4.2), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of the group of Ed25519 (RFC 8032 §5.1), little-endian.
const ED_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Makes another signature of a good one. `other` is a good signature of another message.
pub(super) fn spoil(random: &mut Random, key: &SigningKey, good: &[u8], other: &[u8]) -> Spelt<Vec<u8>> {
    let bad = |text: Vec<u8>| Spelt { fine: text == good, text };
    match random.below(12) {
        0 => bad(Vec::new()),
        1 => bad(other.to_vec()),
        2 => bad(good[..random.below(good.len())].to_vec()),
        3 => bad(good[random.below(good.len())..].to_vec()),
        4 => bad([good, &[0]].concat()),
        5 => bad([&[0], good].concat()),
        6 => bad(vec![*random.one_of(&[0, 1, 0xff]); good.len()]),
        7 => bad(random.bytes(good.len())),
        8 | 9 => {
            let mut flipped = good.to_vec();
            flipped[random.below(good.len())] ^= 1 << random.below(8);
            bad(flipped)
        }
        _ => match key {
            SigningKey::P256(_) => of_p256(random, good),
            SigningKey::Ed25519(_) => bad(of_ed25519(random, good)),
            _ => bad([good, good].concat()),
        },
    }
}

fn of_p256(random: &mut Random, good: &[u8]) -> Spelt<Vec<u8>> {
    let (r, s) = good.split_at(32);
    let (zero, mut one) = ([0; 32], [0; 32]);
    one[31] = 1;
    let bad = |r: &[u8], s: &[u8]| Spelt { text: [r, s].concat(), fine: false };
    match random.below(12) {
        0 => bad(&zero, &zero),
        1 => bad(&zero, s),
        2 => bad(r, &zero),
        3 => bad(&ORDER, s),
        4 => bad(r, &ORDER),
        5 => bad(&ORDER, &ORDER),
        6 => bad(&zero, &one),
        7 => bad(&one, &zero),
        8 => bad(&one, &one),
        9 => bad(s, r),
        10 => bad(&der(r, s), b""),
        // (r, n - s) verifies wherever (r, s) does: the same header and claims, in another spelling.
        _ => Spelt { text: mirrored(good), fine: true },
    }
}

/// (r, n - s).
pub(super) fn mirrored(good: &[u8]) -> Vec<u8> {
    let (r, s) = good.split_at(32);
    let mut mirrored = [0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(ORDER[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        mirrored[at] = u8::try_from(difference + 256 * borrow).unwrap();
    }
    [r, &mirrored].concat()
}

/// `SEQUENCE { INTEGER r, INTEGER s }`, as X.509 has it and JWS does not.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let sign = number[zeros..].first().is_none_or(|first| *first > 0x7f);
        let body = [if sign { &[0][..] } else { &[] }, &number[zeros..]].concat();
        [&[2, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let body = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
}

fn of_ed25519(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let (r, s) = good.split_at(32);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    match random.below(4) {
        0 => [r, &plus_order(s)].concat(),
        1 => [neutral, [0; 32]].concat(),
        2 => [r, &[0; 32]].concat(),
        _ => [&neutral, s].concat(),
    }
}

/// s + L, which a verifier without the check of RFC 8032 §5.1.7 takes for s.
fn plus_order(s: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    let mut carry = 0;
    for at in 0..32 {
        let digit = u16::from(s[at]) + u16::from(ED_ORDER[at]) + carry;
        carry = digit >> 8;
        sum[at] = digit.to_le_bytes()[0];
    }
    sum
}
