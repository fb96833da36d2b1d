//! Lists among which an authority divides what it has revoked (RFC 5280 §5.2.5). webpki looks at one of them, the first that may be
//! about a certificate, and takes any for that where the certificate does not say which distribution point is its own. Which list
//! comes first must not let anybody in, so all of them are looked at here: what one of them names is kept out, and so is
//! everybody where the time of one is over, for it may name them by now. Their signatures are *not* looked at.

use rustls::CertificateError;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use webpki::{CertRevocationList, EndEntityCert, OwnedCertRevocationList};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

/// The lists of authorities that have several.
#[derive(Debug, Default)]
pub(super) struct DividedLists(Vec<Part>);

#[derive(Debug)]
struct Part {
    list: CertRevocationList<'static>,
    /// In seconds since 1970. One that does not say is over.
    ends: u64,
}

impl Part {
    fn of(der: &CertificateRevocationListDer<'_>) -> Result<Self, webpki::Error> {
        let list = OwnedCertRevocationList::from_der(der)?.into();
        let ends = CertificateRevocationList::from_der(der).ok().and_then(|(_, list)| list.next_update());
        Ok(Self { list, ends: ends.and_then(|at| u64::try_from(at.timestamp()).ok()).unwrap_or_default() })
    }
}

impl DividedLists {
    /// Those among these.
    pub(super) fn among(lists: &[CertificateRevocationListDer<'_>]) -> Result<Self, webpki::Error> {
        let (mut lists, mut divided) = (lists.iter().map(Part::of).collect::<Result<Vec<_>, _>>()?, Vec::new());
        while let Some(one) = lists.pop() {
            if lists.iter().chain(&divided).any(|other: &Part| other.list.issuer() == one.list.issuer()) {
                divided.push(one);
            }
        }
        Ok(Self(divided))
    }

    /// Refuses a certificate that one of them names, or may name by now. What cannot be read is nobody's.
    pub(super) fn check(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Ok(()) };
        let its = || self.0.iter().filter(|part| part.list.issuer() == certificate.issuer());
        if its().any(|part| !matches!(part.list.find_serial(certificate.serial()), Ok(None))) {
            return Err(CertificateError::Revoked);
        }
        if its().any(|part| part.ends <= now.as_secs()) {
            return Err(CertificateError::ExpiredRevocationList);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
        CrlIssuingDistributionPoint, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd,
    };
    use rustls::server::WebPkiClientVerifier;
    use rustls::server::danger::ClientCertVerifier as _;
    use rustls::{Error, RootCertStore};

    use super::super::client_chains::Short;
    use super::*;

    fn authority(name: &str) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().der().clone(), Issuer::new(params, key))
    }

    fn certificate(issuer: &Issuer<'_, KeyPair>, serial: u8) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.serial_number = Some(vec![serial].into());
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    fn list(
        issuer: &Issuer<'_, KeyPair>,
        uri: &str,
        serials: &[u8],
        until: i32,
    ) -> CertificateRevocationListDer<'static> {
        let revoked = |serial: &u8| RevokedCertParams {
            serial_number: vec![*serial].into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let distribution_point = CrlDistributionPoint { uris: vec![uri.to_owned()] };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: vec![1].into(),
            issuing_distribution_point: Some(CrlIssuingDistributionPoint { distribution_point, scope: None }),
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(issuer).unwrap().der().clone()
    }

    #[test]
    fn whichever_list_comes_first_nobody_gets_in_whom_another_one_of_that_authority_names() {
        let [(root, one), (other_root, other)] = ["one", "other"].map(authority);
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        roots.add(other_root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = || WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(&provider));
        let [first, second] =
            [("http://a.test/1", 1), ("http://a.test/2", 2)].map(|(uri, by)| list(&one, uri, &[by], 2100));
        let others = list(&other, "http://a.test/1", &[3], 2100);
        for lists in [[&first, &others, &second], [&second, &first, &others]] {
            let lists = lists.map(Clone::clone);
            let divided = DividedLists::among(&lists).unwrap();
            assert_eq!(divided.0.len(), 2, "that of the other authority is looked at as it is");
            let looks_at = |divided| Short(builder().with_crls(lists.clone()).build().unwrap(), divided);
            let refused =
                |verifier: &Short, certificate| verifier.verify_client_cert(&certificate, &[], UnixTime::now()).err();
            let [webpki, verifier] = [DividedLists::default(), divided].map(looks_at);
            let let_in = |verifier, issuer, serials: [u8; 4]| {
                let outcomes = serials.map(|serial| refused(verifier, certificate(issuer, serial)));
                assert!(outcomes.iter().flatten().all(|error| *error == Error::from(CertificateError::Revoked)));
                outcomes.map(|error| error.is_none())
            };
            assert_eq!(let_in(&verifier, &one, [1, 2, 3, 4]), [false, false, true, true]);
            assert_eq!(let_in(&verifier, &other, [1, 2, 3, 4]), [true, true, false, true]);
            let hidden = let_in(&webpki, &one, [1, 2, 3, 4]);
            assert!(hidden[0] || hidden[1], "else there would be no need of this");
        }
    }

    #[test]
    fn whichever_list_comes_first_nobody_gets_in_where_the_time_of_one_is_over() {
        let [(root, one), (other_root, other)] = ["one", "other"].map(authority);
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        roots.add(other_root).unwrap();
        let parts = [("http://a.test/1", 2100), ("http://a.test/2", 2021)];
        let [good, over] = parts.map(|(uri, until)| list(&one, uri, &[], until));
        let others = list(&other, "http://a.test/1", &[], 2100);
        for lists in [[&good, &others, &over], [&over, &good, &others]] {
            let lists = lists.map(Clone::clone);
            let divided = DividedLists::among(&lists).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider);
            let builder = builder.with_crls(lists).enforce_revocation_expiration();
            let verifier = Short(builder.build().unwrap(), divided);
            let is_let_in = |issuer| verifier.verify_client_cert(&certificate(issuer, 1), &[], UnixTime::now()).is_ok();
            assert_eq!([is_let_in(&one), is_let_in(&other)], [false, true]);
        }
    }
}
