//! An authenticator app: the codes of a secret by the time, written down from RFC 6238 once more.

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

/// The bytes of this are the ASCII digits from 1 to 0, twice: the secret of RFC 6238, appendix B.
pub(crate) const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// What the app shows at this second for a secret in base32.
pub(crate) fn code(secret: &str, seconds: u64) -> String {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &base32(secret));
    let tag = sign(&key, &(seconds / 30).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] % 16);
    let number = tag[at..at + 4].iter().fold(0u64, |number, byte| number * 256 + u64::from(*byte)) % (1 << 31);
    format!("{:06}", number % 1_000_000)
}

/// RFC 4648 §6.
fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut buffer) = (Vec::new(), 0, 0u64);
    for letter in text.bytes() {
        let value = if letter.is_ascii_uppercase() { letter - b'A' } else { letter - b'2' + 26 };
        (buffer, bits) = ((buffer << 5 | u64::from(value)) & 0xffff, bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits).to_le_bytes()[0]);
        }
    }
    bytes
}

#[test]
fn the_app_shows_what_rfc_6238_says() {
    assert_eq!(base32(SECRET), b"12345678901234567890");
    for (seconds, shown) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
        assert_eq!(code(SECRET, seconds), shown);
    }
}
