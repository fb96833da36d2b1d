//! Lists of revoked certificates: whether TLS can go by them. Whoever is on none of those that it looks at gets in, and the library
//! looks at one for each authority, the first of that name; where that one is not signed by the authority, nobody gets in.

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::OwnedCertRevocationList;
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer as _, X509Certificate};

use super::Mistake;
use crate::clock::Timestamp;
use crate::config::{Bundle, RevocationListEnd, RevocationLists};

/// Lists that TLS can go by, one of each authority: what the others issue would be refused, for nobody says that it still counts.
pub(super) fn of_each(authorities: &[u8], pem: Vec<u8>) -> Result<RevocationLists, Mistake> {
    let ders: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    let no_lists = || {
        let remedy =
            "write them as PEM: openssl crl -inform der -in LIST -out FILE makes that of what is offered for download";
        Mistake::new("is not a PEM file with lists of revoked certificates", remedy)
    };
    let ders = ders.ok().filter(|ders| !ders.is_empty()).ok_or_else(no_lists)?;
    let lists = usable(&ders)?;
    for authority in CertificateDer::pem_slice_iter(authorities).flatten() {
        let Ok((_, authority)) = X509Certificate::from_der(&authority) else { continue };
        has_its_own(&authority, &lists)?;
    }
    let ends = lists.iter().map(end).collect();
    drop(lists);
    Ok(RevocationLists { lists: Bundle::new(pem), ends })
}

/// A list that does not say when it ends is refused before.
fn end(list: &CertificateRevocationList<'_>) -> RevocationListEnd {
    let time = |at: ASN1Time| Timestamp(u64::try_from(at.timestamp()).unwrap_or_default());
    let (begins, at) = (time(list.last_update()), list.next_update().map_or(Timestamp(0), time));
    let late = Timestamp(at.0 - at.since(begins).as_secs() / 10);
    RevocationListEnd { authority: list.issuer().to_string(), late, at }
}

fn usable<'d>(ders: &'d [CertificateRevocationListDer<'_>]) -> Result<Vec<CertificateRevocationList<'d>>, Mistake> {
    let mut lists: Vec<CertificateRevocationList<'_>> = Vec::new();
    for (index, der) in ders.iter().enumerate() {
        let number = index + 1;
        let unusable = |error: String| {
            Mistake::new(
                format!("holds a list (number {number}) that cannot be used: {error}"),
                "name complete lists of v2, which have a number (crlnumber of openssl ca), not deltas or indirect ones",
            )
        };
        OwnedCertRevocationList::from_der(der).map_err(|error| unusable(error.to_string()))?;
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| unusable(error.to_string()))?;
        if let Some(other) = lists.iter().position(|other| are_about_the_same(other, &list)) {
            return Err(Mistake::new(
                format!(
                    "holds two lists of {} (numbers {} and {number}), and only the first would be looked at",
                    list.issuer(),
                    other + 1
                ),
                "leave the latest one of each authority in it",
            ));
        }
        lists.push(list);
    }
    Ok(lists)
}

/// Whether one of them would hide the other. An authority may divide what it has revoked among lists that say so (RFC 5280
/// §5.2.5): a handshake looks at all of these.
fn are_about_the_same(one: &CertificateRevocationList<'_>, other: &CertificateRevocationList<'_>) -> bool {
    let part = |list: &CertificateRevocationList<'_>| {
        let said = list.extensions().iter().find(|said| said.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT);
        said.map(|said| said.value.to_vec())
    };
    let (one_part, other_part) = (part(one), part(other));
    one.issuer().as_raw() == other.issuer().as_raw()
        && (one_part.is_none() || other_part.is_none() || one_part == other_part)
}

fn has_its_own(authority: &X509Certificate<'_>, lists: &[CertificateRevocationList<'_>]) -> Result<(), Mistake> {
    let name = authority.subject();
    let its = || lists.iter().enumerate().filter(|(_, list)| list.issuer().as_raw() == name.as_raw());
    if its().next().is_none() {
        return Err(Mistake::new(
            format!("holds no list of {name}, all of whose certificates would be refused"),
            "add its list, an empty one if it has revoked none, or take it out of ca_file",
        ));
    }
    match its().find(|(_, list)| !has_signed(authority, list)) {
        Some((index, _)) => Err(Mistake::new(
            format!(
                "holds a list (number {}) of {name} that the authority of that name in ca_file has not signed: its certificates \
                 would be refused",
                index + 1
            ),
            "put the list in that is signed with the key of this authority; two of one name cannot both have one here",
        )),
        None => Ok(()),
    }
}

/// TLS looks again, at the algorithm as well.
fn has_signed(authority: &X509Certificate<'_>, list: &CertificateRevocationList<'_>) -> bool {
    let key = &authority.public_key().subject_public_key.data;
    let (signed, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    algorithms.all.iter().any(|algorithm| algorithm.verify_signature(key, signed, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
        CrlIssuingDistributionPoint, CrlScope, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, date_time_ymd,
    };

    use super::*;

    fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    }

    fn list(issuer: &Issuer<'_, KeyPair>, part: Option<CrlIssuingDistributionPoint>) -> String {
        list_until(2100, issuer, part)
    }

    fn list_until(year: i32, issuer: &Issuer<'_, KeyPair>, part: Option<CrlIssuingDistributionPoint>) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: vec![1].into(),
            issuing_distribution_point: part,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().pem().unwrap()
    }

    fn part(uri: &str) -> CrlIssuingDistributionPoint {
        let distribution_point = CrlDistributionPoint { uris: vec![uri.to_owned()] };
        CrlIssuingDistributionPoint { distribution_point, scope: Some(CrlScope::UserCertsOnly) }
    }

    #[test]
    fn what_is_known_of_an_authority_ends_with_the_first_of_its_lists() {
        let [(ca, one), (_, between)] = ["one", "between"].map(authority);
        let parts = [(2090, "http://a.test/1"), (2080, "http://a.test/2"), (2100, "http://a.test/3")];
        let parts = parts.map(|(year, uri)| list_until(year, &one, Some(part(uri))));
        let lists = parts.concat() + &list(&between, None);
        let known = of_each(ca.as_bytes(), lists.into_bytes()).unwrap();
        let ends: Vec<_> = known.known_until().into_iter().map(|(authority, at)| (authority, at.0)).collect();
        assert_eq!(ends, [("CN=between", 4_102_444_800), ("CN=one", 3_471_292_800)]);
    }

    #[test]
    fn no_list_hides_another_and_each_authority_has_signed_its_own() {
        let [(ca, one), (namesake, other), (_, between)] = ["one", "one", "between"].map(authority);
        let whole = list(&one, None);
        let [first, second] = ["http://a.test/1", "http://a.test/2"].map(|uri| list(&one, Some(part(uri))));
        for (authorities, lists, refused) in [
            (&ca, whole.clone(), None),
            (&ca, list(&between, None) + &whole, None),
            (&ca, first.clone() + &second, None),
            (&ca, first.clone() + &first, Some("two lists of CN=one (numbers 1 and 2)")),
            (&ca, whole.clone() + &first, Some("two lists")),
            (&ca, first.clone() + &whole, Some("two lists")),
            (
                &ca,
                list(&between, None) + &whole + &list(&between, None),
                Some("two lists of CN=between (numbers 1 and 3)"),
            ),
            (&ca, list(&other, None), Some("(number 1) of CN=one that the authority")),
            (&format!("{ca}{namesake}"), whole.clone(), Some("has not signed")),
            (&ca, list(&between, None), Some("holds no list of CN=one")),
        ] {
            let told = of_each(authorities.as_bytes(), lists.into_bytes()).err().map(|mistake| mistake.message);
            assert_eq!(told.is_some(), refused.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(refused.unwrap_or_default()), "{refused:?}");
        }
    }
}
