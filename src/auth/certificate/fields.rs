//! The fields of a certificate that can be claims.

use std::borrow::Cow;
use std::fmt::Write as _;

use x509_parser::oid_registry::{
    OID_DOMAIN_COMPONENT, OID_USERID, OID_X509_COMMON_NAME, OID_X509_COUNTRY_NAME, OID_X509_LOCALITY_NAME,
    OID_X509_ORGANIZATION_NAME, OID_X509_ORGANIZATIONAL_UNIT, OID_X509_STATE_OR_PROVINCE_NAME, OID_X509_STREET_ADDRESS,
    Oid,
};
use x509_parser::prelude::{AttributeTypeAndValue, GeneralName, X509Certificate};

use super::{FieldName, UnusableCertificate};
use crate::config::CertificateField;
use crate::printable::printable;

/// Bytes of one value. What is longer names nobody that anybody could know.
const LONGEST: usize = 512;

/// The value of a field; `None` where the certificate has none.
pub(super) fn value(
    read: &X509Certificate<'_>,
    field: CertificateField,
) -> Result<Option<String>, UnusableCertificate> {
    let name = FieldName(field);
    let value = match field {
        CertificateField::SubjectDn => distinguished_name(read)?,
        CertificateField::CommonName => {
            let mut names = read.subject().iter_common_name();
            let first = names.next().map(text).transpose()?;
            refuse_another(names.next().is_some(), name)?;
            first.map(str::to_owned)
        }
        CertificateField::SanEmail => alternative(read, name, |general| match general {
            GeneralName::RFC822Name(address) => Some(address),
            _ => None,
        })?,
        CertificateField::SanDns => alternative(read, name, |general| match general {
            GeneralName::DNSName(host) => Some(host),
            _ => None,
        })?,
        CertificateField::SanUri => alternative(read, name, |general| match general {
            GeneralName::URI(uri) => Some(uri),
            _ => None,
        })?,
    };
    match value {
        Some(value) if !is_fit(&value) => Err(UnusableCertificate::Unfit(name)),
        value => Ok(value),
    }
}

fn refuse_another(is_there: bool, name: FieldName) -> Result<(), UnusableCertificate> {
    if is_there { Err(UnusableCertificate::Several(name)) } else { Ok(()) }
}

/// The one alternative name of a kind. They are ASCII (RFC 5280 §4.2.1.6), without blanks.
fn alternative<'a>(
    read: &'a X509Certificate<'_>,
    name: FieldName,
    of_kind: impl Fn(&'a GeneralName<'a>) -> Option<&'a str>,
) -> Result<Option<String>, UnusableCertificate> {
    let extension = read.subject_alternative_name().map_err(|_| UnusableCertificate::Unreadable)?;
    let all = extension.map_or(&[][..], |extension| &extension.value.general_names);
    // One that cannot be read may be of any kind.
    if all.iter().any(|general| matches!(general, GeneralName::Invalid(..))) {
        return Err(UnusableCertificate::Unreadable);
    }
    let mut values = all.iter().filter_map(of_kind);
    let first = values.next();
    refuse_another(values.next().is_some(), name)?;
    match first {
        Some(value) if !value.bytes().all(|byte| byte.is_ascii_graphic()) => Err(UnusableCertificate::Unfit(name)),
        first => Ok(first.map(str::to_owned)),
    }
}

/// Whether nobody can misread a value: it is there, is not too long, has no blanks at its ends, and no character that controls
/// something or is not seen.
fn is_fit(value: &str) -> bool {
    let shows_whole = matches!(printable(value), Cow::Borrowed(_));
    !value.is_empty() && value.len() <= LONGEST && value.trim() == value && shows_whole
}

/// The subject as RFC 4514 §2 writes it: the last part first, so that what an authority appends for all stands at the end.
/// `None`: it is empty.
///
/// # Errors
/// [`UnusableCertificate::Unreadable`]: a part is no text, or in another alphabet than Unicode. [`UnusableCertificate::Unfit`]: it
/// is longer than what names somebody is, however it is written.
pub fn distinguished_name(read: &X509Certificate<'_>) -> Result<Option<String>, UnusableCertificate> {
    // Whoever is to be refused may have written it for the time that it takes to write it again.
    if read.subject().as_raw().len() > 4 * LONGEST {
        return Err(UnusableCertificate::Unfit(FieldName(CertificateField::SubjectDn)));
    }
    let parts: Vec<_> = read.subject().iter_rdn().collect();
    let mut written = String::new();
    for (number, part) in parts.iter().rev().enumerate() {
        for (position, attribute) in part.iter().enumerate() {
            if position > 0 {
                written.push('+');
            } else if number > 0 {
                written.push(',');
            }
            write_attribute(&mut written, attribute)?;
        }
    }
    Ok(Some(written).filter(|written| !written.is_empty()))
}

fn write_attribute(written: &mut String, attribute: &AttributeTypeAndValue<'_>) -> Result<(), UnusableCertificate> {
    let value = text(attribute)?;
    match short_name(attribute.attr_type()) {
        Some(name) => written.push_str(name),
        None => drop(write!(written, "{}", attribute.attr_type())),
    }
    written.push('=');
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        let is_special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || letter == ' ' && (index == 0 || index == last)
            || letter == '#' && index == 0;
        if is_special {
            written.push('\\');
        }
        written.push(letter);
    }
    Ok(())
}

/// RFC 4514 §3.
fn short_name(attribute: &Oid<'_>) -> Option<&'static str> {
    let known = [
        (OID_X509_COMMON_NAME, "CN"),
        (OID_X509_LOCALITY_NAME, "L"),
        (OID_X509_STATE_OR_PROVINCE_NAME, "ST"),
        (OID_X509_ORGANIZATION_NAME, "O"),
        (OID_X509_ORGANIZATIONAL_UNIT, "OU"),
        (OID_X509_COUNTRY_NAME, "C"),
        (OID_X509_STREET_ADDRESS, "STREET"),
        (OID_DOMAIN_COMPONENT, "DC"),
        (OID_USERID, "UID"),
    ];
    known.iter().find(|(oid, _)| oid == attribute).map(|(_, name)| *name)
}

fn text<'a>(attribute: &AttributeTypeAndValue<'a>) -> Result<&'a str, UnusableCertificate> {
    attribute.as_str().map_err(|_| UnusableCertificate::Unreadable)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair};
    use x509_parser::prelude::FromDer as _;

    use super::*;

    fn read(
        field: CertificateField,
        change: impl Fn(&mut CertificateParams),
    ) -> Result<Option<String>, UnusableCertificate> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        value(&X509Certificate::from_der(certificate.der()).unwrap().1, field)
    }

    #[test]
    fn a_subject_is_written_so_that_no_two_look_the_same() {
        for (parts, expected) in [
            (&[(DnType::CountryName, "DE"), (DnType::CommonName, "alice")][..], "CN=alice,C=DE"),
            (&[(DnType::CommonName, "a,O=b+c\\\"<>;")], r#"CN=a\,O=b\+c\\\"\<\>\;"#),
            (&[(DnType::CommonName, "#a b")], r"CN=\#a b"),
            (&[(DnType::CommonName, "Zoë")], "CN=Zoë"),
            (&[(DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]), "a@b.test")], "1.2.840.113549.1.9.1=a@b.test"),
        ] {
            let subject = read(CertificateField::SubjectDn, |params| {
                for (kind, text) in parts {
                    params.distinguished_name.push(kind.clone(), *text);
                }
            });
            assert_eq!(subject, Ok(Some(expected.to_owned())));
        }
        assert_eq!(read(CertificateField::SubjectDn, |_| {}), Ok(None));
    }

    #[test]
    fn a_name_with_something_in_it_that_does_not_show_is_refused() {
        for unseen in ['\u{7f}', '\u{ad}', '\u{61c}', '\u{180e}', '\u{202e}', '\u{fff9}', '\u{e0041}'] {
            let name = read(CertificateField::CommonName, |params| {
                params.distinguished_name.push(DnType::CommonName, format!("ali{unseen}ce"));
            });
            assert_eq!(name, Err(UnusableCertificate::Unfit(FieldName(CertificateField::CommonName))), "{unseen:?}");
        }
    }

    #[test]
    fn text_in_another_alphabet_than_unicode_is_not_guessed_at() {
        let name = read(CertificateField::CommonName, |params| {
            let text = DnValue::TeletexString("alice".try_into().unwrap());
            params.distinguished_name.push(DnType::CommonName, text);
        });
        assert_eq!(name, Err(UnusableCertificate::Unreadable));
    }

    #[test]
    fn an_alternative_name_that_cannot_be_read_may_be_any() {
        let address = read(CertificateField::SanEmail, |params| {
            // One address that is good and one that is no text.
            let names = b"\x30\x0c\x81\x06a@b.de\x81\x02\xff\xfe".to_vec();
            params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
        });
        assert_eq!(address, Err(UnusableCertificate::Unreadable));
    }
}
