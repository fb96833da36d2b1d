//! From members to text: the spellings of JSON and of Base64 that parsers disagree about.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::members::Member;
use crate::harness::keys::base64url;
use crate::harness::random::Random;

/// A text, and whether a token with it may count.
#[derive(Debug)]
pub(super) struct Spelt<T> {
    pub(super) text: T,
    pub(super) fine: bool,
}

/// The object as JSON, its names in some spelling, and now and then something around or inside that does not belong there.
pub(super) fn json(random: &mut Random, members: &[Member]) -> Spelt<Vec<u8>> {
    let space = if random.chance(100) { *random.one_of(&[" ", "\n", "\t", "\r\n  "]) } else { "" };
    let pairs: Vec<String> = members
        .iter()
        .map(|member| format!("{space}\"{}\"{space}:{space}{}{space}", name(random, member.name), member.value))
        .collect();
    let text = format!("{{{}}}", pairs.join(",")).into_bytes();
    if !random.chance(60) {
        return Spelt { text, fine: true };
    }
    let with = |before: &[u8], after: &[u8]| [before, &text, after].concat();
    let (text, fine) = match random.below(16) {
        0 => (with(b" \n", b"\t "), true),
        1 => (with(b"\xef\xbb\xbf", b""), false),
        2 => (with(b"", b"x"), false),
        3 => (with(b"", br#"{"sub":"root"}"#), false),
        4 => (with(b"[", b"]"), false),
        5 => (with(b"/* */", b""), false),
        6 => (with(b"", b"\0"), false),
        7 => ([&text[..text.len() - 1], b",}"].concat(), false),
        8 => ([&text[..text.len() - 1], b",\"x\":\"\xff\"}"].concat(), false),
        9 => ([&text[..text.len() - 1], b",\"x\":\"\xc0\xaf\"}"].concat(), false),
        10 => ([&text[..text.len() - 1], b",x:1}"].concat(), false),
        11 => (text.iter().map(|byte| if *byte == b'"' { b'\'' } else { *byte }).collect(), false),
        12 => (text.iter().flat_map(|byte| [*byte, 0]).collect(), false),
        13 => (with(b"\"", b"\""), false),
        14 => (text[..text.len() - 1].to_vec(), false),
        _ => (Vec::new(), false),
    };
    Spelt { text, fine }
}

/// The same name with a letter written by its number.
fn name(random: &mut Random, name: &str) -> String {
    if !random.chance(50) {
        return name.to_owned();
    }
    let at = random.below(name.len());
    let escape = format!("\\u{:04x}", u32::from(name.as_bytes()[at]));
    format!("{}{escape}{}", &name[..at], &name[at + 1..])
}

/// Base64url without padding, or something that lax decoders take for it.
pub(super) fn encode(random: &mut Random, bytes: &[u8]) -> Spelt<String> {
    let canonical = base64url(bytes);
    if !random.chance(60) {
        return Spelt { text: canonical, fine: true };
    }
    let padded = GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new());
    let standard = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_encode_padding(false));
    // Inside: what stands around a field's value is no part of it.
    let at = if canonical.len() > 1 { 1 + random.below(canonical.len() - 1) } else { 0 };
    let insert = |text: &str| format!("{}{text}{}", &canonical[..at], &canonical[at..]);
    let text = match random.below(9) {
        0 => padded.encode(bytes),
        1 => standard.encode(bytes),
        2 => trailing_bits(&canonical),
        3 => format!("{canonical}="),
        4 => insert("="),
        5 => insert(" "),
        6 => insert("%3D"),
        7 => base64url(&canonical),
        _ => format!("{canonical}A"),
    };
    Spelt { fine: text == canonical, text }
}

/// The same bytes to whoever ignores the last bits of the last letter (RFC 4648 §3.5).
pub(super) fn trailing_bits(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let Some(last) = text.bytes().last().filter(|_| !text.len().is_multiple_of(4)) else { return text.to_owned() };
    let at = LETTERS.iter().position(|letter| *letter == last).unwrap();
    format!("{}{}", &text[..text.len() - 1], char::from(LETTERS[at ^ 1]))
}
