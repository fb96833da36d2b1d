//! Whose a certificate that was refused says it is. Whoever makes one writes into it what they like: nobody has verified it,
//! and it decides nothing. It is fit for a line of the log: what does not show is escaped, and what is long is cut.
//!
//! The library's error does not have the certificate, and the verifier that sees it is one for all handshakes: it leaves word for
//! the handshake that is being polled.

use std::cell::Cell;
use std::fmt::Write as _;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser as _;

use crate::auth::certificate::distinguished_name;
use crate::printable::printable;

tokio::task_local! {
    static REFUSED: Cell<Whose>;
}

/// Whose it says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whose {
    /// The subject as RFC 4514 writes it. `None` where there is none, or none that can be read and is of a sensible length.
    pub(super) subject: Option<String>,
    /// The serial number in hex, as `openssl x509 -serial` writes it.
    pub(super) serial: Option<String>,
}

impl Whose {
    /// What a certificate in DER says.
    pub(super) fn of(certificate: &[u8]) -> Self {
        // Extensions say nothing of this, and there may be thousands.
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        let Ok((_, read)) = parser.parse(certificate) else { return Self::default() };
        let subject = distinguished_name(&read).ok().flatten();
        Self { subject: subject.map(|subject| beginning(&printable(&subject))), serial: Some(hex(read.raw_serial())) }
    }
}

/// What comes of a handshake, and whose certificate was refused in it, if any was.
pub(super) async fn noted<F: Future>(handshake: F) -> (F::Output, Whose) {
    let noted = async {
        let shaken = handshake.await;
        (shaken, REFUSED.with(Cell::take))
    };
    REFUSED.scope(Cell::default(), noted).await
}

/// Notes for the handshake that is being polled whose certificate is refused in it.
pub(super) fn note(certificate: &CertificateDer<'_>) {
    // Where somebody asks what would become of a handshake, there is none.
    let _ = REFUSED.try_with(|refused| refused.set(Whose::of(certificate)));
}

/// As much of a text as a line of the log has room for.
pub(super) fn beginning(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut letters = text.chars();
    let mut beginning: String = letters.by_ref().take(LONGEST).collect();
    if letters.next().is_some() {
        beginning.push('…');
    }
    beginning
}

fn hex(number: &[u8]) -> String {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let zeros = zeros.min(number.len().saturating_sub(1));
    // Twice as long as any may be (RFC 5280 §4.1.2.2).
    let digits = number.iter().skip(zeros).take(40);
    digits.fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(name: &str, serial: &[u8]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if !name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.serial_number = Some(serial.to_vec().into());
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn what_it_says_is_fit_for_a_line_whatever_that_is() {
        let [long, longer] = [1_000, 50_000].map(|length| "x".repeat(length));
        let cut = format!("CN={}…", "x".repeat(197));
        for (name, subject, serial, number) in [
            ("alice", Some("CN=alice"), &[0x0a, 0xbc][..], "0ABC"),
            ("alice", Some("CN=alice"), &[0], "00"),
            // OpenSSL does not show what keeps it positive.
            ("alice", Some("CN=alice"), &[0, 0xff], "FF"),
            ("a\nb\u{202e}c", Some("CN=a\\nb\\u{202e}c"), &[1], "01"),
            (&long, Some(&*cut), &[0x11; 60], &"11".repeat(40)),
            (&longer, None, &[1], "01"),
            ("", None, &[1], "01"),
        ] {
            let whose = Whose::of(&certificate(name, serial));
            assert_eq!((whose.subject.as_deref(), whose.serial.as_deref()), (subject, Some(number)));
        }
        for unreadable in [&b""[..], b"\x30\x03\x02\x01\x01", &certificate("alice", &[1])[..40]] {
            assert_eq!(Whose::of(unreadable), Whose::default());
        }
    }

    #[tokio::test]
    async fn no_handshake_is_told_of_a_certificate_that_was_shown_in_another() {
        let shaking = async |name: &str| {
            note(&certificate(name, &[1]));
            tokio::task::yield_now().await;
        };
        let idle = async { tokio::task::yield_now().await };
        let (alice, bob, nobody) = tokio::join!(noted(shaking("alice")), noted(shaking("bob")), noted(idle));
        let subjects = [alice, bob, nobody].map(|((), whose)| whose.subject);
        assert_eq!(subjects, [Some("CN=alice".to_owned()), Some("CN=bob".to_owned()), None]);
        // Nor is anybody where nobody listens.
        note(&certificate("alice", &[1]));
    }
}
